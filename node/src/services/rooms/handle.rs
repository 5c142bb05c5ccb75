//! What others may ask of the rooms service.

use std::sync::Arc;

use parlor_api::{
    Banned, Code, CreateInvite, CreatePoll, Draft, Invite, Member, Message, OutboxAnswer, OutboxEntry, OwnDevice, Page,
    Problem, ReadAnswer, Receipts, RemoveMembers, Removed, Request, Room as RoomView, SendAnswer, SendRequest,
    SetDraft, SetRole, UpdateAttention, UpdateRoom, Version,
};
use parlor_net::{GossipToken, PeerId};
use parlor_proto::body::Group;
use parlor_proto::control::NewDevice;
use parlor_proto::file::FileRef;
use parlor_proto::identity::Identity;
use parlor_proto::mailbox::Mail;
use parlor_proto::room::{Outcome, Room};
use parlor_proto::{AccountId, DeviceId, EventId, RoomId};
use parlor_storage::{Due, Position};
use tokio::sync::{mpsc, oneshot};

use super::groups::PeopleOf;
use super::message::{Command, Knock, Knocked, MailboxCommand, NoAnswer, Opened, Reply, Wish};
use super::outbox_words::{self, Waits};
use super::seen::Seen;
use super::worker::Context;
use crate::app::{Anchor, Answer, Say};
use crate::limits::ID_PREFIX_MIN;
use crate::services::contacts::Acquaintance;
use crate::services::mailboxes::{Became, Stretch, Tips};

/// A handle on the workers. Clones are the same service. Methods wait for room in the worker's inbox, and those that
/// answer for the answer; dropping such a future gives up the answer, not the change.
#[derive(Clone)]
pub(crate) struct Rooms {
    workers: Vec<mpsc::Sender<Command>>,
}

impl Rooms {
    pub(super) fn new(workers: Vec<mpsc::Sender<Command>>) -> Self {
        Self { workers }
    }

    /// The worker of a room. Ids are hashes, so the first bytes spread evenly.
    pub(super) fn place(room: &RoomId, workers: usize) -> usize {
        usize::from(room.0[0]) % workers.max(1)
    }

    async fn tell(&self, room: &RoomId, command: Command) -> Answer<()> {
        let worker = self.workers.get(Self::place(room, self.workers.len())).ok_or_else(stopping)?;
        worker.send(command).await.map_err(|_| stopping())
    }

    async fn wish<T>(&self, room: RoomId, wish: impl FnOnce(Reply<T>) -> Wish) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(&room, Command::Wish { room, wish: wish(reply) }).await?;
        answer.await.map_err(|_| stopping())?
    }

    async fn each<T>(&self, command: impl Fn(Reply<T>) -> Command) -> Answer<Vec<T>> {
        let mut answers = Vec::new();
        for worker in &self.workers {
            let (reply, answer) = oneshot::channel();
            worker.send(command(reply)).await.map_err(|_| stopping())?;
            answers.push(answer.await.map_err(|_| stopping())??);
        }
        Ok(answers)
    }

    pub(crate) async fn opened(&self, opened: Opened) {
        let room = opened.room;
        // Stopped: then sessions are of no interest; so in the two below.
        let _ = self.tell(&room, Command::Opened(opened)).await;
    }

    pub(crate) async fn frame(&self, room: RoomId, peer: PeerId, bytes: Vec<u8>) {
        let _ = self.tell(&room, Command::Frame { room, peer, bytes }).await;
    }

    pub(crate) async fn closed(&self, room: RoomId, peer: PeerId) {
        let _ = self.tell(&room, Command::Closed { room, peer }).await;
    }

    pub(crate) async fn gossip(&self, room: RoomId, data: bytes::Bytes, source: PeerId, token: GossipToken) {
        let _ = self.tell(&room, Command::Gossip { room, data, source, token }).await;
    }

    /// Our leaf key is another, and on disk: members are told.
    pub(crate) async fn renewed(&self, identity: Arc<Identity>) {
        for worker in &self.workers {
            let _ = worker.send(Command::Renewed(identity.clone())).await;
        }
    }

    /// Takes away messages whose time is over. Durable when it returns.
    ///
    /// # Errors
    /// The room is not here, or the store does not take it.
    pub(crate) async fn fade(&self, room: RoomId, due: Vec<Due>) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        self.tell(&room, Command::Fade { room, due, reply }).await?;
        answer.await.map_err(|_| stopping())?
    }

    /// We listen elsewhere now: members are told.
    pub(crate) async fn moved(&self) {
        for worker in &self.workers {
            let _ = worker.send(Command::Moved).await;
        }
    }

    /// Lets the rooms look at a knock, one worker after the other, until one knows the invite.
    pub(crate) async fn knock(&self, peer: PeerId, data: bytes::Bytes) -> Option<Vec<u8>> {
        for worker in &self.workers {
            let (reply, answer) = oneshot::channel();
            worker.send(Command::Knock(Knock { peer, at_door: None, data: data.clone(), reply })).await.ok()?;
            if let Ok(Ok(answer)) = answer.await {
                return Some(answer.bytes);
            }
        }
        None
    }

    /// Lets a room look at a knock that waited in the mailbox of one of its doors, of which `peer` is the key.
    pub(crate) async fn knock_at_door(
        &self,
        room: RoomId,
        peer: PeerId,
        data: bytes::Bytes,
    ) -> Result<Knocked, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let knock = Knock { peer, at_door: Some(room), data, reply };
        self.tell(&room, Command::Knock(knock)).await.map_err(|_| NoAnswer::NotNow)?;
        answer.await.unwrap_or(Err(NoAnswer::NotNow))
    }

    /// Has a room take in what came out of a mailbox; see [`MailboxCommand::Came`]. `None` if the room is not here.
    pub(crate) async fn mail(&self, room: RoomId, mails: Vec<Vec<Mail>>) -> Option<Vec<Became>> {
        self.for_mailboxes(room, |reply| MailboxCommand::Came { mails, reply }).await
    }

    /// What of our own in a room comes after these places.
    pub(crate) async fn stretches(&self, room: RoomId, after: Tips) -> Option<Vec<Stretch>> {
        self.for_mailboxes(room, |reply| MailboxCommand::Stretches { after, reply }).await
    }

    /// A mailbox of the room has our messages up to here.
    pub(crate) async fn stored(&self, room: RoomId, seq: u64) {
        // Stopped: then it is told again after the next start.
        let _ = self.tell(&room, Command::Mailbox { room, command: MailboxCommand::Stored { seq } }).await;
    }

    /// The relays have what was left at the door of an instant invite.
    pub(crate) async fn left(&self, room: RoomId, invite: EventId) {
        // Stopped: then it is put again after the next start.
        let _ = self.tell(&room, Command::Mailbox { room, command: MailboxCommand::Left { invite } }).await;
    }

    /// A mailbox of the room was read to its end.
    pub(crate) async fn caught_up(&self, room: RoomId) {
        // Stopped: then it is read again after the next start.
        let _ = self.tell(&room, Command::Mailbox { room, command: MailboxCommand::CaughtUp }).await;
    }

    /// All control events of a room, for a newcomer.
    pub(crate) async fn snapshot(&self, room: RoomId) -> Vec<Mail> {
        self.for_mailboxes(room, |reply| MailboxCommand::Snapshot { reply }).await.unwrap_or_default()
    }

    async fn for_mailboxes<T>(
        &self,
        room: RoomId,
        command: impl FnOnce(oneshot::Sender<T>) -> MailboxCommand,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.tell(&room, Command::Mailbox { room, command: command(reply) }).await.ok()?;
        answer.await.ok()
    }

    /// Begins to hold a room that was just made, or that let us in; durable when it returns.
    pub(crate) async fn begin(&self, room: Room, outcome: Outcome) -> Answer<()> {
        let (reply, answer) = oneshot::channel();
        let id = room.id();
        self.tell(&id, Command::Begin { room: Box::new(room), outcome: Box::new(outcome), reply }).await?;
        answer.await.map_err(|_| stopping())?
    }

    pub(crate) async fn show(&self, room: RoomId) -> Answer<RoomView> {
        self.wish(room, Wish::Show).await
    }

    pub(crate) async fn members(&self, room: RoomId) -> Answer<Vec<Member>> {
        self.wish(room, Wish::Members).await
    }

    pub(crate) async fn invites(&self, room: RoomId) -> Answer<Vec<Invite>> {
        self.wish(room, Wish::Invites).await
    }

    pub(crate) async fn create_invite(
        &self,
        room: RoomId,
        request: CreateInvite,
        addresses: Vec<parlor_proto::link::Address>,
    ) -> Answer<Invite> {
        self.wish(room, |reply| Wish::CreateInvite(request, addresses, reply)).await
    }

    pub(crate) async fn revoke(&self, room: RoomId, invite: String) -> Answer<Invite> {
        self.wish(room, |reply| Wish::Revoke(invite, reply)).await
    }

    pub(crate) async fn requests(&self, room: RoomId) -> Answer<Vec<Request>> {
        self.wish(room, Wish::Requests).await
    }

    pub(crate) async fn approve(&self, room: RoomId, who: String) -> Answer<Request> {
        self.wish(room, |reply| Wish::Approve(who, reply)).await
    }

    pub(crate) async fn refuse(&self, room: RoomId, who: String) -> Answer<Request> {
        self.wish(room, |reply| Wish::Refuse(who, reply)).await
    }

    pub(crate) async fn update(&self, room: RoomId, update: UpdateRoom) -> Answer<RoomView> {
        self.wish(room, |reply| Wish::Update(update, reply)).await
    }

    pub(crate) async fn leave(&self, room: RoomId, force: bool) -> Answer<()> {
        self.wish(room, |reply| Wish::Leave(force, reply)).await
    }

    pub(crate) async fn send(&self, room: RoomId, messages: Vec<SendRequest>) -> Answer<Vec<SendAnswer>> {
        self.wish(room, |reply| Wish::Send(messages, reply)).await
    }

    pub(crate) async fn message(&self, room: RoomId, message: EventId) -> Answer<Message> {
        self.wish(room, |reply| Wish::Message(message, reply)).await
    }

    /// The files that a message names.
    pub(crate) async fn files(&self, room: RoomId, message: EventId) -> Answer<Vec<FileRef>> {
        self.wish(room, |reply| Wish::Files(message, reply)).await
    }

    /// The messages after a place as they go into an export.
    pub(crate) async fn exported(
        &self,
        room: RoomId,
        after: Option<Position>,
        limit: usize,
    ) -> Answer<super::export::Stretch> {
        self.wish(room, |reply| Wish::Exported(after, limit, reply)).await
    }

    /// The messages at these places as they are now; see [`Seen`].
    pub(crate) async fn seen(&self, room: RoomId, places: Vec<Position>, any: bool) -> Answer<Vec<Seen>> {
        self.wish(room, |reply| Wish::Seen(places, any, reply)).await
    }

    pub(crate) async fn history(
        &self,
        room: RoomId,
        anchor: Anchor,
        limit: u32,
        system: bool,
    ) -> Answer<Page<Message>> {
        self.wish(room, |reply| Wish::History(anchor, limit, system, reply)).await
    }

    /// Says something about a message, and answers it as it is then.
    pub(crate) async fn say(
        &self,
        room: RoomId,
        message: EventId,
        say: Say,
        client_id: Option<String>,
    ) -> Answer<Message> {
        self.wish(room, |reply| Wish::Say(message, say, client_id, reply)).await
    }

    pub(crate) async fn ask(&self, room: RoomId, poll: CreatePoll) -> Answer<SendAnswer> {
        self.wish(room, |reply| Wish::Ask(poll, reply)).await
    }

    pub(crate) async fn pins(&self, room: RoomId) -> Answer<Vec<Message>> {
        self.wish(room, Wish::Pins).await
    }

    pub(crate) async fn edits(&self, room: RoomId, message: EventId) -> Answer<Vec<Version>> {
        self.wish(room, |reply| Wish::Edits(message, reply)).await
    }

    pub(crate) async fn thread(
        &self,
        room: RoomId,
        root: EventId,
        before: Option<String>,
        limit: u32,
    ) -> Answer<Page<Message>> {
        self.wish(room, |reply| Wish::Thread(root, before, limit, reply)).await
    }

    pub(crate) async fn set_role(&self, room: RoomId, who: String, wanted: SetRole) -> Answer<Member> {
        self.wish(room, |reply| Wish::SetRole(who, wanted, reply)).await
    }

    pub(crate) async fn remove(&self, room: RoomId, who: String, how: RemoveMembers, ban: bool) -> Answer<Removed> {
        self.wish(room, |reply| Wish::Remove(who, how, ban, reply)).await
    }

    pub(crate) async fn remove_joined(&self, room: RoomId, invite: String, how: RemoveMembers) -> Answer<Removed> {
        self.wish(room, |reply| Wish::RemoveJoined(invite, how, reply)).await
    }

    pub(crate) async fn unban(&self, room: RoomId, who: String) -> Answer<Banned> {
        self.wish(room, |reply| Wish::Unban(who, reply)).await
    }

    pub(crate) async fn own_devices(&self, room: RoomId) -> Answer<Vec<OwnDevice>> {
        self.wish(room, Wish::OwnDevices).await
    }

    pub(crate) async fn revoke_device(&self, room: RoomId, device: DeviceId) -> Answer<()> {
        self.wish(room, |reply| Wish::RevokeDevice(device, reply)).await
    }

    pub(crate) async fn mark_read(&self, room: RoomId, message: Option<EventId>) -> Answer<ReadAnswer> {
        self.wish(room, |reply| Wish::Read(message, reply)).await
    }

    pub(crate) async fn receipts(&self, room: RoomId, message: EventId) -> Answer<Receipts> {
        self.wish(room, |reply| Wish::Receipts(message, reply)).await
    }

    pub(crate) async fn typing(&self, room: RoomId, types: bool) -> Answer<()> {
        self.wish(room, |reply| Wish::Typing(types, reply)).await
    }

    pub(crate) async fn attend(&self, room: RoomId, update: UpdateAttention) -> Answer<RoomView> {
        self.wish(room, |reply| Wish::Attend(update, reply)).await
    }

    pub(crate) async fn draft(&self, room: RoomId) -> Answer<Draft> {
        self.wish(room, Wish::Draft).await
    }

    pub(crate) async fn set_draft(&self, room: RoomId, draft: SetDraft) -> Answer<Draft> {
        self.wish(room, |reply| Wish::SetDraft(draft, reply)).await
    }

    /// Brings devices of the other account into a direct chat; durable when it returns.
    pub(crate) async fn introduce(&self, room: RoomId, devices: Vec<NewDevice>) -> Answer<()> {
        self.wish(room, |reply| Wish::Introduce(devices, reply)).await
    }

    /// Writes an invitation into a group into this direct chat; with the same `client_id` once.
    pub(crate) async fn invite_into(&self, chat: RoomId, group: Group, client_id: String) -> Answer<SendAnswer> {
        self.wish(chat, |reply| Wish::Invite(group, client_id, reply)).await
    }

    /// Who is in a room, and who of these people was.
    pub(crate) async fn company(&self, room: RoomId, people: Vec<AccountId>) -> Answer<PeopleOf> {
        self.wish(room, |reply| Wish::PeopleOf(people, reply)).await
    }

    /// Everybody else in our rooms, with what they call themselves.
    pub(crate) async fn people(&self) -> Answer<Vec<(AccountId, String)>> {
        Ok(self.each(|reply| Command::People { reply }).await?.into_iter().flatten().collect())
    }

    /// What our rooms know of somebody, other than the direct chat with him.
    pub(crate) async fn acquaintance(&self, account: AccountId) -> Answer<Option<Acquaintance>> {
        let found = self.each(|reply| Command::Acquaintance { account, reply }).await?;
        Ok(found.into_iter().flatten().reduce(|mut all, more| {
            all.merge(more.devices, more.peers);
            all
        }))
    }

    /// What the book of contacts says is different: names, marks, blocks.
    pub(crate) async fn refresh(&self) {
        for worker in &self.workers {
            let _ = worker.send(Command::Refresh).await;
        }
    }

    /// What we tell of ourselves, or whom, is different: the rooms tell it.
    pub(crate) async fn profess(&self) {
        for worker in &self.workers {
            let _ = worker.send(Command::Profess).await;
        }
    }

    /// What waits, the oldest first, without a word of what it says.
    pub(crate) async fn outbox(&self) -> Answer<Vec<OutboxEntry>> {
        Ok(self.waits(false).await?.into_iter().map(|waits| waits.entry).collect())
    }

    /// As [`outbox`](Self::outbox), and what it says.
    pub(crate) async fn outbox_told(&self, context: Arc<Context>) -> Answer<Vec<OutboxEntry>> {
        let waits = self.waits(true).await?;
        let told = tokio::task::spawn_blocking(move || outbox_words::tell(&context, waits)).await;
        told.map_err(|_| Problem::of(Code::Internal))
    }

    async fn waits(&self, bodies: bool) -> Answer<Vec<Waits>> {
        let mut all: Vec<_> =
            self.each(|reply| Command::Outbox { bodies, reply }).await?.into_iter().flatten().collect();
        all.sort_by(|a, b| a.entry.queued_at.cmp(&b.entry.queued_at));
        Ok(all)
    }

    pub(crate) async fn retry(&self, message: Option<String>) -> Answer<OutboxAnswer> {
        let message = self.named(message).await?;
        let tried = self.each(|reply| Command::Retry { message: message.clone(), reply }).await?;
        touched(tried.into_iter().flatten().collect(), message.is_some())
    }

    pub(crate) async fn discard(&self, message: Option<String>) -> Answer<OutboxAnswer> {
        let message = self.named(message).await?;
        let mut messages = Vec::new();
        for discarded in
            self.each(|reply| Command::Discard { message: message.clone(), reply }).await?.into_iter().flatten()
        {
            messages.push(discarded.await.map_err(|_| stopping())??);
        }
        touched(messages, message.is_some())
    }

    /// The name of the one message in the outbox that is called so: by its id, or the first digits of it.
    async fn named(&self, text: Option<String>) -> Answer<Option<String>> {
        let Some(text) = text else { return Ok(None) };
        let lower = text.to_ascii_lowercase();
        let mut names: Vec<String> = self.outbox().await?.into_iter().map(|line| line.message).collect();
        names.retain(|name| *name == lower || lower.len() >= ID_PREFIX_MIN && name.starts_with(&lower));
        match names.as_slice() {
            [] => Err(not_waiting()),
            [name] => Ok(Some(name.clone())),
            _ => {
                let several = Problem::new(Code::Ambiguous, format!("{} messages in the outbox begin so", names.len()));
                Err(several.hint("give more of its id: parlor outbox list"))
            }
        }
    }

    /// Finishes what is under way and ends the workers.
    pub(crate) async fn stop(&self) {
        for worker in &self.workers {
            let (done, finished) = oneshot::channel();
            if worker.send(Command::Stop { done }).await.is_ok() {
                let _ = finished.await;
            }
        }
    }
}

fn touched(messages: Vec<String>, one: bool) -> Answer<OutboxAnswer> {
    if one && messages.is_empty() {
        return Err(not_waiting());
    }
    Ok(OutboxAnswer { messages })
}

fn not_waiting() -> Problem {
    Problem::new(Code::MessageNotFound, "there is no such message in the outbox")
        .hint(format!("parlor outbox list shows what waits; of an id the first {ID_PREFIX_MIN} digits are enough"))
}

fn stopping() -> Problem {
    Problem::of(Code::Stopping)
}
