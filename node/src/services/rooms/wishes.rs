//! What clients want of a room.

use parlor_api::{Code, Problem, SendAnswer, SendRequest, UpdateRoom};
use parlor_proto::body::{Body, BodyError, Text, is_title};
use parlor_proto::control::{History, MailboxTokens, Mailboxes, Permission, Policy, Setting};
use parlor_proto::file::Files;
use parlor_proto::limits::MAX_ROOM_NAME;
use parlor_proto::outbox::{self, Failure, Nonce, Out as OutboxOut, OutboxError};
use parlor_proto::room::{ExitHow, Outcome, Refusal};
use parlor_proto::{EventId, room};

use super::entry::Turn;
use super::instant::not_instant;
use super::invites::beyond_right;
use super::log::with_article;
use super::message::{Reply, Wish};
use super::settle::Settle;
use super::views::role;
use super::way::Way;
use super::worker::Context;
use crate::account::rng;
use crate::app::Answer;
use crate::clock::now_ms;
use crate::services::mailboxes::Relay;

/// Labels the hash that turns a client's idempotency key into a nonce.
static CLIENT_ID: parlor_crypto::hash::Domain = parlor_crypto::domain!("client id");

impl Turn<'_> {
    /// Does what a client wants.
    pub(super) fn wish(&mut self, wish: Wish) {
        let Some(wish) = self.when_free(wish) else { return };
        match wish {
            Wish::Show(reply) => drop(reply.send(self.room_view().ok_or_else(not_ready))),
            Wish::Members(reply) => drop(reply.send(Ok(self.member_views()))),
            Wish::Invites(reply) => drop(reply.send(Ok(self.invite_views()))),
            Wish::CreateInvite(request, addresses, reply) => self.create_invite(&request, &addresses, reply),
            Wish::Revoke(invite, reply) => self.revoke(&invite, reply),
            Wish::Update(update, reply) => self.update(update, reply),
            Wish::Leave(force, reply) => self.leave(force, reply),
            Wish::Send(messages, reply) => self.send(messages, reply),
            Wish::Message(id, reply) => self.message(id, reply),
            Wish::Files(id, reply) => self.files(id, reply),
            Wish::Seen(places, any, reply) => self.seen(places, any, reply),
            Wish::Exported(after, limit, reply) => self.exported(after, limit, reply),
            Wish::History(anchor, limit, system, reply) => self.history(anchor, limit, system, reply),
            Wish::Read(message, reply) => self.mark_read(message, reply),
            Wish::Receipts(message, reply) => self.receipts(message, reply),
            Wish::Typing(types, reply) => self.typing(types, reply),
            Wish::Attend(update, reply) => self.attend(&update, reply),
            Wish::Draft(reply) => drop(reply.send(Ok(self.draft_view()))),
            Wish::SetDraft(draft, reply) => self.set_draft(draft, reply),
            Wish::Say(id, say, client_id, reply) => self.say(id, say, client_id, reply),
            Wish::Ask(poll, reply) => self.ask(poll, reply),
            Wish::Pins(reply) => self.pins(reply),
            Wish::Edits(id, reply) => self.edits(id, reply),
            Wish::Thread(root, before, limit, reply) => self.thread(root, before, limit as usize, reply),
            Wish::Requests(reply) => drop(reply.send(Ok(self.request_views()))),
            Wish::Approve(who, reply) => self.approve(&who, reply),
            Wish::Refuse(who, reply) => self.refuse(&who, reply),
            Wish::SetRole(who, wanted, reply) => self.set_role(&who, &wanted, reply),
            Wish::Remove(who, how, ban, reply) => self.remove(&who, how, ban, reply),
            Wish::RemoveJoined(invite, how, reply) => self.remove_joined(&invite, how, reply),
            Wish::Unban(who, reply) => self.unban(&who, reply),
            Wish::OwnDevices(reply) => drop(reply.send(Ok(self.own_devices()))),
            Wish::RevokeDevice(device, reply) => self.revoke_device(&device, reply),
            Wish::Introduce(devices, reply) => self.introduce(&devices, reply),
            Wish::Invite(group, client_id, reply) => self.invite_into(group, &client_id, reply),
            Wish::PeopleOf(people, reply) => drop(reply.send(Ok(self.people_of(&people)))),
        }
    }

    fn update(&mut self, update: UpdateRoom, reply: Reply<parlor_api::Room>) {
        let mut writes = Vec::new();
        if let Some(name) = update.name {
            match checked_title(&name) {
                Ok(name) => writes.push((Setting::Name, name.as_bytes().to_vec())),
                Err(problem) => return drop(reply.send(Err(problem))),
            }
        }
        if let Some(about) = update.about {
            writes.push((Setting::About, about.into_bytes()));
        }
        if let Some(ttl) = update.ttl {
            let value = if ttl == 0 { Vec::new() } else { ttl.saturating_mul(1000).to_be_bytes().to_vec() };
            writes.push((Setting::Ttl, value));
        }
        if let Some(texts) = update.mailboxes {
            match self.mailboxes(&texts) {
                Ok(settings) => writes.extend(settings),
                Err(problem) => return drop(reply.send(Err(problem))),
            }
        }
        match self.change(writes, update.history) {
            Err(why) => drop(reply.send(Err(self.refused(why)))),
            Ok(outcome) => self.commit(
                outcome,
                Settle::reply(|turn, done| {
                    drop(reply.send(done.and(turn.room_view().ok_or_else(not_ready))));
                }),
            ),
        }
    }

    /// The settings that give the room these mailboxes. A relay named without its token keeps the one of the room, or ours.
    fn mailboxes(&self, texts: &[String]) -> Result<Vec<(Setting, Vec<u8>)>, Problem> {
        let info = self.entry.room.info();
        let before = info.map(|info| Relay::of_room(&info.mailboxes, &info.mailbox_tokens)).unwrap_or_default();
        let relays = Relay::with_tokens(Relay::parse(texts, Code::BadRequest)?, &before);
        let relays = Relay::with_tokens(relays, self.context.mailboxes.own());
        let (mailboxes, tokens) = Relay::mailboxes(&relays)?;
        let had_tokens = before.iter().any(|relay| relay.token.is_some());
        let tokens = (had_tokens || !tokens.is_empty()).then(|| (Setting::MailboxTokens, tokens.encode()));
        Ok(std::iter::once((Setting::Mailboxes, mailboxes.encode())).chain(tokens).collect())
    }

    /// Settings and rules in one commit; nothing is written unless both are permitted.
    fn change(
        &mut self,
        writes: Vec<(Setting, Vec<u8>)>,
        history: Option<parlor_api::History>,
    ) -> Result<Outcome, Refusal> {
        if history.is_some() && !self.entry.room.permissions().has(Permission::Policy) {
            return Err(match self.entry.room.is_member() {
                true => Refusal::NotPermitted(Permission::Policy),
                false => Refusal::NotMember,
            });
        }
        let mut outcome = self.entry.room.change_state(writes, self.now_ms)?;
        let now = self.entry.room.info().map(|info| super::views::history(info.history));
        if let Some(history) = history.filter(|history| now != Some(*history)) {
            let history = match history {
                parlor_api::History::Shared => History::Full,
                parlor_api::History::FromJoin => History::None,
            };
            // The settings stand already: what follows is committed with them or not at all.
            outcome.merge(self.entry.room.set_policy(Policy { history }, self.now_ms).unwrap_or_default());
        }
        Ok(outcome)
    }

    fn leave(&mut self, force: bool, reply: Reply<()>) {
        if !self.entry.room.is_member() && !self.begins_again() {
            // Who has left already has what he wants; who was put out has not left.
            let left = self.standing() == parlor_api::Standing::Left;
            return drop(reply.send(if left { Ok(()) } else { Err(self.no_member()) }));
        }
        if self.entry.guard.is_firm() {
            let why = "nobody can be told that you leave: what this device wrote here has to come from a member first";
            let problem = Problem::new(Code::Busy, why).reason("not_compared");
            let hint =
                "wait until a member is online, or leave without telling anybody: parlor room leave ROOM --force";
            return drop(reply.send(Err(problem.hint(hint))));
        }
        if let Err(problem) = self.may_leave(force) {
            return drop(reply.send(Err(problem)));
        }
        match self.entry.room.leave(self.now_ms) {
            Err(why) => drop(reply.send(Err(self.refused(why)))),
            Ok(outcome) => self.commit(outcome, Settle::reply(|_, done| drop(reply.send(done)))),
        }
    }

    /// Stores messages in one commit. A request that was made before is answered with what it made then.
    fn send(&mut self, messages: Vec<SendRequest>, reply: Reply<Vec<SendAnswer>>) {
        let mut requests = Vec::new();
        for message in messages {
            match self.body(&message) {
                Ok(body) => requests.push((nonce(message.client_id.as_deref()), body)),
                Err(problem) => return drop(reply.send(Err(problem))),
            }
        }
        self.submit(requests, |_, answers| drop(reply.send(answers)));
    }

    /// Hands bodies to the outbox and writes them in one commit; answers what became of them.
    pub(super) fn submit(
        &mut self,
        requests: Vec<(Nonce, Body)>,
        answer: impl FnOnce(&mut Turn<'_>, Answer<Vec<SendAnswer>>) + Send + 'static,
    ) {
        if let Err(refused) = self.may_submit() {
            // What was written before we were refused is answered as it was.
            let answers = self.written_before(&requests).ok_or(refused);
            return answer(self, answers);
        }
        let nonces: Vec<_> = requests.iter().map(|(nonce, _)| *nonce).collect();
        let mut taken = Vec::new();
        for (nonce, body) in requests {
            match self.outbox.submit(nonce, self.id(), body.encode(), self.now_ms) {
                Ok(out) => taken.extend(out),
                Err(error) => {
                    // All or nothing.
                    for out in taken {
                        if let OutboxOut::Write(entry) | OutboxOut::Store(entry) = out {
                            self.outbox.withdraw(&entry.nonce);
                        }
                    }
                    return answer(self, Err(outbox_problem(error)));
                }
            }
        }
        let mut entries = Vec::new();
        for out in taken {
            match out {
                OutboxOut::Write(entry) => entries.push(entry),
                other => self.jobs.push(super::entry::Job::Outbox(other)),
            }
        }
        let answer: super::settle::Reply = Box::new(move |turn, done| {
            let answers = done.and_then(|()| nonces.iter().map(|nonce| turn.send_answer(nonce)).collect());
            answer(turn, answers);
        });
        self.write(entries, vec![answer]);
    }

    fn may_submit(&self) -> Answer<()> {
        match &self.entry.room {
            // It stands in the outbox until then.
            _ if self.begins_again() => Ok(()),
            room if !room.is_member() => Err(self.refused(Refusal::NotMember)),
            room if !room.permissions().has(Permission::Post) => {
                Err(self.refused(Refusal::NotPermitted(Permission::Post)))
            }
            room if room.is_cloned() => Err(Problem::of(Code::DeviceCloned)),
            _ => Ok(()),
        }
    }

    /// The answers to requests that were all made before, and are all written.
    fn written_before(&self, requests: &[(Nonce, Body)]) -> Option<Vec<SendAnswer>> {
        let written = |(nonce, body): &(Nonce, Body)| {
            let entry = self.outbox.find(nonce).filter(|entry| entry.room == self.id() && entry.event().is_some())?;
            let same = entry.body.is_empty() || entry.body == body.encode();
            self.send_answer(nonce).ok().filter(|_| same)
        };
        requests.iter().map(written).collect()
    }

    fn send_answer(&self, nonce: &Nonce) -> Answer<SendAnswer> {
        let entry = self.outbox.find(nonce).ok_or_else(|| Problem::of(Code::Internal))?;
        if let outbox::Stage::Failed { failure, event: None } = entry.stage {
            return Err(failed_problem(failure));
        }
        let message = match entry.event() {
            Some((event, _)) => event.to_string(),
            None => nonce.iter().map(|b| format!("{b:02x}")).collect(),
        };
        let Way { status, delivered_to, .. } = match entry.event() {
            Some((_, seq)) => self.way(self.outbox.status(&self.id(), seq)),
            None => Way::at(parlor_api::MessageStatus::Queued, 0, 0),
        };
        Ok(SendAnswer { message, room: self.id().to_string(), status, delivered_to })
    }

    fn body(&self, request: &SendRequest) -> Answer<Body> {
        let id = |text: &Option<String>| -> Answer<Option<EventId>> {
            let parsed = text.as_ref().map(|text| text.parse()).transpose();
            parsed.map_err(|_| Problem::of(Code::MessageNotFound))
        };
        let (reply_to, thread) = (id(&request.reply_to)?, id(&request.thread)?);
        let (text, mentions) = self.addressed(&request.text);
        let files = self.attached(request)?;
        if !files.is_empty() {
            if thread.is_some() {
                let problem = Problem::new(Code::BadRequest, "files can not be sent in a thread yet");
                return Err(problem.hint("send them as an answer: --reply-to"));
            }
            let mut files = Files { text, reply_to, mentions, thread, files };
            files.trim_previews();
            let body = Body::File(Box::new(files));
            body.check().map_err(body_problem)?;
            return Ok(body);
        }
        let body = Body::Text(Text { text, reply_to, mentions, thread });
        if request.text.trim().is_empty() {
            return Err(body_problem(BodyError::Empty));
        }
        body.check().map_err(body_problem)?;
        Ok(body)
    }

    /// Why the room refuses, for people.
    pub(super) fn refused(&self, why: Refusal) -> Problem {
        let detail = why.to_string();
        match why {
            Refusal::NotPermitted(permission) => {
                let role = self.entry.room.role().map_or("nobody", |r| role(r).name());
                let to = allows(permission);
                let detail =
                    format!("the permission `{permission}` ({to}) is missing: you are {} here", with_article(role));
                Problem::new(Code::NotPermitted, detail).hint("an owner or admin of the room can give you another role")
            }
            Refusal::TooStrong => {
                Problem::new(Code::NotPermitted, "your role is too weak for this, or stands too far below")
                    .hint("somebody more senior in the room can do it")
            }
            Refusal::Invite(limit) => beyond_right(limit),
            Refusal::Instant(limit) => not_instant(limit, self.entry.room.permissions().has(Permission::Policy)),
            Refusal::NotMember => self.no_member(),
            Refusal::Banned => {
                Problem::of(Code::Banned).hint("the ban must be lifted first: parlor member unban ROOM WHO")
            }
            Refusal::NoAccount => Problem::of(Code::MemberNotFound),
            Refusal::Held if self.entry.guard.is_firm() => {
                let why = "what this device wrote before the room was thrown away has to come from a member first";
                Problem::new(Code::Busy, why).hint("it comes when a member is online; messages wait until then")
            }
            Refusal::NoSafeEpoch | Refusal::Held => Problem::new(Code::Busy, detail).hint("try again in a moment"),
            Refusal::Cloned => Problem::of(Code::DeviceCloned),
            Refusal::Body(error) => body_problem(error),
            Refusal::Setting => Problem::new(Code::BadRequest, detail),
            Refusal::NoInvite => Problem::of(Code::InviteNotFound),
            Refusal::Direct => Problem::new(Code::Conflict, detail)
                .hint("block the other to hear nothing more: parlor contact block WHO"),
            _ => Problem::new(Code::Conflict, detail),
        }
    }
}

impl Turn<'_> {
    /// We are no member: left, removed by whom, or not in yet.
    fn no_member(&self) -> Problem {
        let Some(gone) = self.gone() else {
            return Problem::new(Code::NotPermitted, "you are no member of this room yet")
                .hint("try again in a moment");
        };
        let exit = self.entry.room.exit(&self.context.identity.account());
        let hint = if gone.banned {
            format!("{} or somebody more senior can lift the ban", gone.by.name)
        } else if exit.is_some_and(|exit| exit.how == ExitHow::Revoked) {
            "if it was you, make a new device with your 24 words: parlor init --recover FILE, in a new home; if not, somebody has your account"
                .to_owned()
        } else {
            "ask a member for an invite".to_owned()
        };
        Problem::new(Code::NotPermitted, gone.text).hint(hint)
    }
}

/// What a permission is for.
fn allows(permission: Permission) -> &'static str {
    match permission {
        Permission::Post => "to write",
        Permission::Invite => "to make invites",
        Permission::Grant => "to give roles",
        Permission::Remove => "to remove members",
        Permission::Moderate => "to hide and pin messages",
        Permission::Policy => "to change the room",
        _ => "to do this",
    }
}

/// Makes the room that a client wants, which is stored by nobody yet. Those who are away get what is written through the relays that
/// its maker uses.
///
/// # Errors
/// `bad_request`.
pub(crate) fn made_room(context: &Context, mut request: parlor_api::CreateRoom) -> Answer<(room::Room, Outcome)> {
    request.name = checked_title(&request.name)?.to_owned();
    let own = context.mailboxes.own();
    let mailboxes = match &request.mailboxes {
        Some(texts) => Relay::mailboxes(&Relay::with_tokens(Relay::parse(texts, Code::BadRequest)?, own))?,
        None => Relay::some_mailboxes(own),
    };
    let made = room::Room::create(context.identity.now(), new_room(request, mailboxes), now_ms(), &mut rng());
    made.map_err(|why| creation_problem(&why))
}

/// The room that a client wants made.
fn new_room(request: parlor_api::CreateRoom, (mailboxes, mailbox_tokens): (Mailboxes, MailboxTokens)) -> room::NewRoom {
    use parlor_proto::control::{History, RoomKind};
    room::NewRoom {
        name: request.name,
        kind: match request.kind {
            parlor_api::RoomKind::Channel => RoomKind::Channel,
            parlor_api::RoomKind::Direct => RoomKind::Direct,
            parlor_api::RoomKind::Group => RoomKind::Group,
        },
        history: match request.history {
            parlor_api::History::FromJoin => History::None,
            parlor_api::History::Shared => History::Full,
        },
        about: request.about.unwrap_or_default(),
        ttl_ms: request.ttl.filter(|ttl| *ttl > 0).map(|ttl| ttl.saturating_mul(1000)),
        mailboxes,
        mailbox_tokens,
    }
}

/// The name of a room as a client may give it: what people could not see or tell from another is none.
pub(crate) fn checked_title(name: &str) -> Answer<&str> {
    let name = name.trim();
    let wrong = |what: &str| Err(Problem::new(Code::BadRequest, format!("the name of the room {what}")));
    match name.len() {
        0 => wrong("is empty"),
        n if n > MAX_ROOM_NAME => wrong(&format!("is longer than {MAX_ROOM_NAME} bytes")),
        _ if !is_title(name) => wrong("holds ends of lines, or characters that turn the direction of writing"),
        _ => Ok(name),
    }
}

/// Why a room can not be made or changed before it exists here.
fn creation_problem(why: &room::Refusal) -> Problem {
    match why {
        Refusal::Setting => Problem::new(Code::BadRequest, "a setting of the room is too long").hint(
            "a description has 4,096 bytes at most, and messages disappear after a time from 1 second to 366 days",
        ),
        other => Problem::new(Code::BadRequest, other.to_string()),
    }
}

pub(super) fn nonce(client_id: Option<&str>) -> Nonce {
    match client_id {
        Some(id) => CLIENT_ID.hash_prefix(&[id.as_bytes()]),
        None => {
            let mut nonce = [0; 16];
            rand::Rng::fill_bytes(&mut rng(), &mut nonce);
            nonce
        }
    }
}

pub(super) fn body_problem(error: BodyError) -> Problem {
    match error {
        BodyError::Empty => Problem::of(Code::EmptyText).hint("write something"),
        BodyError::TooLong { .. } => {
            Problem::new(Code::TooLong, error.to_string()).hint("send it in several messages, or as a file")
        }
        other => Problem::new(Code::BadRequest, other.to_string()),
    }
}

fn outbox_problem(error: OutboxError) -> Problem {
    match error {
        OutboxError::Full => Problem::new(Code::Busy, error.to_string()).hint("wait until messages have gone out"),
        OutboxError::Unknown => Problem::of(Code::MessageNotFound),
        other => Problem::new(Code::Conflict, other.to_string()),
    }
}

/// Why a message was given up before it was written.
fn failed_problem(failure: Failure) -> Problem {
    let code = match failure {
        Failure::NotPermitted | Failure::NoMember => Code::NotPermitted,
        Failure::TooLong => Code::TooLong,
        Failure::NoRoom => Code::RoomNotFound,
        Failure::Cloned => return Problem::of(Code::DeviceCloned),
        _ => Code::Internal,
    };
    Problem::new(code, failure.to_string())
}

pub(super) fn not_ready() -> Problem {
    Problem::new(Code::Busy, "the room is still being fetched").hint("try again in a moment")
}
