//! The task that owns the book of groups.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlor_api::{
    Code, CreateRoom, EventBody, GroupInvitation, JoinAnswer, JoinRequest, JoinState, Problem, RequestChange,
    RequestChanged,
};
use parlor_proto::link::{Link, LinkError};
use parlor_proto::{AccountId, RoomId, codec};
use parlor_storage::{Batch, Namespace};
use tokio::task::JoinSet;

use super::book::{Book, Invited, Known, State};
use super::handle::{Chats, Command, Inbox, Wanted};
use super::telling::{Step, tell};
use super::views;
use crate::app::Answer;
use crate::clock::{now_ms, until};
use crate::services::joins::{Joins, Whose};
use crate::services::rooms::{Context, Rooms, made_room};

/// Longest sleep while nothing is due: the clock of the machine may jump.
const LOOK: Duration = Duration::from_secs(3_600);
/// Pause after what failed at first,
const AGAIN_MS: u64 = 15_000;
/// and at most.
const AGAIN_MAX_MS: u64 = 600_000;
/// How long one try to come in takes, in seconds; a request that waits goes on by itself.
const JOIN_SECONDS: u64 = 60;

/// What the service works with.
pub(crate) struct Parts {
    pub(crate) context: Arc<Context>,
    pub(crate) rooms: Rooms,
    pub(crate) joins: Joins,
}

/// When something is tried again, and how often it was.
#[derive(Debug, Clone, Copy)]
struct Again {
    due_ms: u64,
    pause_ms: u64,
}

impl Again {
    /// Whether it is time. A clock that was ahead when this was set makes nobody wait longer than the longest pause.
    fn is_due(&self, now_ms: u64) -> bool {
        self.due_ms <= now_ms || self.due_ms > now_ms.saturating_add(AGAIN_MAX_MS)
    }

    /// Whether it was tried for a quarter of an hour: a clock that was wrong at the start is right by now.
    fn is_tired(&self) -> bool {
        self.pause_ms >= AGAIN_MAX_MS
    }

    fn later(&mut self, now_ms: u64) {
        self.due_ms = now_ms.saturating_add(self.pause_ms);
        self.pause_ms = self.pause_ms.saturating_mul(2).min(AGAIN_MAX_MS);
    }
}

/// What came of telling somebody.
struct Came {
    room: RoomId,
    invited: Invited,
    step: Answer<Step>,
}

pub(super) struct Actor {
    pub(super) parts: Parts,
    pub(super) book: Book,
    /// Groups with something left to do: a way in, or somebody to tell.
    todo: BTreeMap<RoomId, Again>,
    /// Tries to come in, each by a link.
    joining: JoinSet<(RoomId, String, Answer<JoinAnswer>)>,
    /// Which those are.
    coming: BTreeSet<RoomId>,
    /// Invitations on their way into direct chats,
    telling: JoinSet<Came>,
    /// and to whom.
    telling_whom: BTreeSet<(RoomId, AccountId)>,
}

/// Runs the service until its handles are gone.
pub(crate) async fn run(parts: Parts, inbox: Inbox) {
    let Inbox { mut commands, told, book } = inbox;
    let mut contacts = parts.context.contacts.changes();
    let mut actor = Actor {
        book,
        parts,
        todo: BTreeMap::new(),
        joining: JoinSet::new(),
        coming: BTreeSet::new(),
        telling: JoinSet::new(),
        telling_whom: BTreeSet::new(),
    };
    actor.begin(&told).await;
    loop {
        let due = actor.todo.values().map(|again| again.due_ms).min().map_or(LOOK, until).min(LOOK);
        tokio::select! {
            command = commands.recv() => match command {
                Some(command) => actor.on_command(command).await,
                None => return,
            },
            // One chat at a time, and of it some: whoever floods holds nobody up.
            () = told.some() => if let Some(chat) = told.take() {
                let looked = actor.look(chat).await;
                told.looked(chat, looked.left);
                if looked.again {
                    Chats::add_later(&told, chat, Duration::from_millis(AGAIN_MS));
                }
            },
            Some(came) = actor.joining.join_next(), if !actor.joining.is_empty() => {
                if let Ok((room, link, answer)) = came {
                    actor.on_came(room, &link, answer).await;
                }
            }
            Some(came) = actor.telling.join_next(), if !actor.telling.is_empty() => {
                if let Ok(came) = came {
                    actor.on_told(came).await;
                }
            }
            // Somebody may have answered that we may write: whoever was not told can be.
            changed = contacts.changed() => {
                if changed.is_err() {
                    return;
                }
                actor.due_now(|known| !known.untold(now_ms()).is_empty());
                actor.forget_blocked().await;
            }
            () = tokio::time::sleep(due) => {}
        }
        actor.work().await;
    }
}

impl Actor {
    pub(super) fn me(&self) -> AccountId {
        self.parts.context.identity.account()
    }

    /// Whether we are in a room.
    pub(super) fn is_in(&self, room: &RoomId) -> bool {
        self.parts.context.directory.get(room).is_some_and(|summary| summary.item.role.role().is_some())
    }

    /// Whether we were in a group of these people and are out: whoever makes it anew asks.
    pub(super) fn left_such(&self, people: &[AccountId]) -> bool {
        let was_in = |known: &&Known| matches!(known.state, State::Made(_) | State::Taken { link: None, .. });
        let mut same = self.book.iter().filter(|known| known.people == people).filter(was_in);
        same.any(|known| !self.is_in(&known.room))
    }

    /// After a start: what was under way goes on, and what came and was not looked at is.
    async fn begin(&mut self, told: &Chats) {
        self.forget_blocked().await;
        let rows: Vec<Known> = self.book.iter().cloned().collect();
        for known in rows {
            match &known.state {
                // The node ended before the room was there.
                State::Made(_) if self.parts.context.directory.get(&known.room).is_none() => {
                    self.forget(&known.room).await
                }
                _ => self.plan(&known),
            }
        }
        for (room, _) in self.parts.context.directory.all() {
            let rows = self.parts.context.store.scan_readable(Some(&room), Namespace::Group);
            if rows.is_ok_and(|rows| !rows.is_empty()) {
                told.add(room);
            }
        }
    }

    /// Invitations of whom the user has blocked are as those that he would send now: nothing. Nobody goes on knocking at his door.
    async fn forget_blocked(&mut self) {
        let contacts = &self.parts.context.contacts;
        let invites = |known: &&Known| known.comes() || matches!(known.state, State::Asked { .. });
        let of_blocked =
            self.book.iter().filter(invites).filter(|it| it.by().is_some_and(|by| contacts.is_blocked(&by)));
        let rooms: Vec<RoomId> = of_blocked.map(|known| known.room).filter(|room| !self.is_in(room)).collect();
        for room in rooms {
            self.forget(&room).await;
        }
    }

    /// What is left to do of a group is done now; when it was tried already, after its pause.
    pub(super) fn plan(&mut self, known: &Known) {
        if known.comes() || known.has_untold() {
            self.todo.entry(known.room).or_insert(Again { due_ms: now_ms(), pause_ms: AGAIN_MS });
        } else {
            self.todo.remove(&known.room);
        }
    }

    fn due_now(&mut self, which: impl Fn(&Known) -> bool) {
        let now = now_ms();
        for (room, again) in &mut self.todo {
            if self.book.get(room).is_some_and(&which) {
                again.due_ms = now;
            }
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Find(people, reply) => drop(reply.send(self.find(&people).await)),
            Command::Open(wanted, reply) => drop(reply.send(self.open(wanted).await)),
            Command::List(reply) => drop(reply.send(Ok(self.list()))),
            Command::Accept(text, reply) => drop(reply.send(self.accept(&text).await)),
            Command::Refuse(text, reply) => drop(reply.send(self.refuse(&text).await)),
        }
    }

    fn list(&self) -> Vec<GroupInvitation> {
        let (contacts, me) = (&self.parts.context.contacts, self.me());
        let mut all: Vec<_> = self.book.iter().filter_map(|known| views::invitation(contacts, &me, known)).collect();
        all.sort_by(|a, b| (&b.at, &a.room).cmp(&(&a.at, &b.room)));
        all
    }

    /// The first group of these people in which all of them are, or come in.
    async fn find(&self, people: &[AccountId]) -> Answer<Option<RoomId>> {
        for room in self.book.of(people) {
            if !self.is_in(&room) {
                match self.book.get(&room).filter(|known| known.comes()) {
                    Some(known) => return Err(self.not_in_yet(known)),
                    None => continue,
                }
            }
            let company = self.parts.rooms.company(room, people.to_vec()).await?;
            let missing = people.iter().filter(|account| !company.members.contains(account)).count();
            let theirs = self.book.get(&room).is_some_and(|known| known.is_of(missing, now_ms()));
            let no_others = company.members.iter().all(|member| people.binary_search(member).is_ok());
            // With others in it, or without somebody who was or never came, it is the chat of other people.
            if theirs && no_others && company.out.is_empty() {
                return Ok(Some(room));
            }
        }
        Ok(None)
    }

    /// Somebody invited us into a group of the people that are asked for, and we are not in yet: another one would be a second chat of
    /// the same people, and who invites into nothing must not stand in the way of one.
    fn not_in_yet(&self, known: &Known) -> Problem {
        let by = known.by().and_then(|by| self.parts.context.contacts.shown(&by)).unwrap_or_default();
        let what = format!("{by} invited you into the group “{}” of these people, and you are not in yet", known.name);
        let room = known.room.to_string();
        Problem::new(Code::Conflict, what).hint(format!(
            "you come in when somebody who is in it can be reached; to make another one, refuse it: parlor group refuse {}",
            room.get(..16).unwrap_or_default()
        ))
    }

    async fn open(&mut self, wanted: Wanted) -> Answer<(RoomId, bool)> {
        let Wanted { people, name } = wanted;
        if let Some(room) = self.find(&people).await? {
            self.tell_missing(room, &people).await?;
            return Ok((room, false));
        }
        let now = now_ms();
        for room in self.book.to_forget(|room| self.is_in(room), now) {
            self.forget(&room).await;
        }
        if !self.book.has_space() {
            return Err(Problem::new(Code::Conflict, "you are in as many groups of contacts as there may be")
                .hint("leave some of them, or make a room and invite people: parlor room create NAME"));
        }
        let (machine, outcome) = made_room(&self.parts.context, CreateRoom::named(name.clone()))?;
        let (room, me) = (machine.id(), self.me());
        let others = people.iter().filter(|account| **account != me);
        let invited = others.map(|account| Invited::new(*account, now)).collect();
        let known = Known { room, name, people, heard_ms: now, at_ms: now, times: 0, state: State::Made(invited) };
        // First the plan: whatever happens then, nobody is forgotten and nobody is told twice.
        self.keep(known.clone()).await?;
        if let Err(problem) = self.parts.rooms.begin(machine, outcome).await {
            self.forget(&room).await;
            return Err(problem);
        }
        self.plan(&known);
        Ok((room, true))
    }

    /// Tells those anew whose invitation ran out.
    async fn tell_missing(&mut self, room: RoomId, people: &[AccountId]) -> Answer<()> {
        let Some(mut known) = self.book.get(&room).cloned() else { return Ok(()) };
        if !self.is_in(&room) {
            return Ok(());
        }
        let company = self.parts.rooms.company(room, people.to_vec()).await?;
        let missing: Vec<_> = people.iter().filter(|account| !company.members.contains(account)).copied().collect();
        if known.tell_again(&missing, now_ms()) {
            self.keep(known.clone()).await?;
            self.plan(&known);
            self.due_now(|known| known.room == room);
        }
        Ok(())
    }

    async fn accept(&mut self, text: &str) -> Answer<JoinAnswer> {
        let asked = |known: &Known| matches!(known.state, State::Asked { .. });
        let mut known = views::named(&self.book, text, asked)?.clone();
        let Some(by) = known.by().filter(|_| known.accept(now_ms())) else {
            return Err(Problem::of(Code::InviteNotFound));
        };
        self.keep(known.clone()).await?;
        self.plan(&known);
        self.tell_request(&known, by, RequestChange::Approved);
        Ok(JoinAnswer { name: known.name, ..JoinAnswer::pending(known.room.to_string(), "a member who lets us in") })
    }

    async fn refuse(&mut self, text: &str) -> Answer<()> {
        let waits =
            |known: &Known| matches!(known.state, State::Asked { .. }) || known.comes() && !self.is_in(&known.room);
        let mut known = views::named(&self.book, text, waits)?.clone();
        let Some(by) = known.by().filter(|_| known.refuse()) else { return Err(Problem::of(Code::InviteNotFound)) };
        // It is remembered: forgotten, the next one of him would be a first one.
        self.keep(known.clone()).await?;
        self.todo.remove(&known.room);
        self.parts.joins.give_up(&known.room);
        self.tell_request(&known, by, RequestChange::Refused);
        Ok(())
    }

    pub(super) fn tell_request(&self, known: &Known, by: AccountId, change: RequestChange) {
        let name = self.parts.context.contacts.shown(&by).unwrap_or_default();
        let event = RequestChanged { room: known.room.to_string(), account: by.to_string(), name, change, by: None };
        self.parts.context.bus.publish(now_ms(), EventBody::Request(event));
    }

    /// Does what is due.
    async fn work(&mut self) {
        let now = now_ms();
        let due: Vec<RoomId> = self.todo.iter().filter(|(_, again)| again.is_due(now)).map(|(room, _)| *room).collect();
        for room in due {
            let Some(known) = self.book.get(&room).cloned() else {
                self.todo.remove(&room);
                continue;
            };
            match &known.state {
                State::Taken { link: Some(link), .. } => self.come_in(&known, link.clone()).await,
                State::Made(_) => self.tell_untold(&known),
                _ => {
                    self.todo.remove(&room);
                }
            }
        }
    }

    /// Later again, with growing pauses.
    fn later(&mut self, room: RoomId) {
        if let Some(again) = self.todo.get_mut(&room) {
            again.later(now_ms());
        }
    }

    /// The groups into which a join is under way, those that wait at a door and for a member's word among them.
    fn under_way(&self) -> BTreeSet<RoomId> {
        let waiting = self.parts.joins.waiting().into_iter().filter(|room| self.todo.contains_key(room));
        waiting.chain(self.coming.iter().copied()).collect()
    }

    async fn come_in(&mut self, known: &Known, link: String) {
        let room = known.room;
        if self.is_in(&room) {
            return self.came_in(room).await;
        }
        if known.is_over(now_ms()) && self.todo.get(&room).is_some_and(Again::is_tired) {
            return self.forget(&room).await;
        }
        self.later(room);
        let under_way = self.under_way();
        if under_way.contains(&room) || !self.book.may_join(known.by(), &under_way) {
            return;
        }
        self.coming.insert(room);
        let (joins, context, rooms) = (self.parts.joins.clone(), self.parts.context.clone(), self.parts.rooms.clone());
        self.joining.spawn(async move {
            let request = JoinRequest { link: link.clone(), timeout: JOIN_SECONDS, once_asked: false };
            (room, link, joins.join(context, rooms, request, Whose::Contact).await)
        });
    }

    async fn on_came(&mut self, room: RoomId, link: &str, answer: Answer<JoinAnswer>) {
        self.coming.remove(&room);
        match answer {
            Ok(answer) if answer.state == JoinState::Joined => self.came_in(room).await,
            Ok(_) => {}
            Err(problem) => {
                tracing::info!(room = %room.short(), %problem, "a group that a contact invited into was not reached");
                let over = matches!(
                    problem.code,
                    Code::InviteExpired
                        | Code::InviteExhausted
                        | Code::InviteRevoked
                        | Code::LinkDamaged
                        | Code::Banned
                        | Code::JoinRefused
                );
                // That the link is over by our own clock is no answer of the door.
                let by_our_clock = matches!(Link::parse(link, now_ms()), Err(LinkError::Expired(_)));
                if over && !by_our_clock {
                    self.failed(room, link).await;
                }
            }
        }
    }

    /// The door does not open to this link. That it was tried is remembered: who sends links that fail brings us to no more doors
    /// than who sends good ones.
    async fn failed(&mut self, room: RoomId, link: &str) {
        let Some(mut known) = self.book.get(&room).cloned() else { return };
        if !known.fail(link) {
            return;
        }
        self.todo.remove(&room);
        if let Err(problem) = self.keep(known).await {
            tracing::warn!(room = %room.short(), %problem, "that a group was not reached could not be kept");
        }
    }

    /// We are in: the link is no secret to be kept any more.
    async fn came_in(&mut self, room: RoomId) {
        self.todo.remove(&room);
        let Some(mut known) = self.book.get(&room).cloned() else { return };
        if let State::Taken { link: link @ Some(_), .. } = &mut known.state {
            *link = None;
            if let Err(problem) = self.keep(known).await {
                tracing::warn!(room = %room.short(), %problem, "that a group was reached could not be kept");
            }
        }
    }

    /// Tells those who were not told yet, each in the direct chat with him. A chat that compares its logs first takes its time: nobody
    /// waits for that here.
    fn tell_untold(&mut self, known: &Known) {
        let room = known.room;
        if !self.is_in(&room) {
            self.todo.remove(&room);
            return;
        }
        if !known.has_untold() {
            self.todo.remove(&room);
            return;
        }
        // Nobody whom that was tried with for as long as an invitation lasts: by the clock of now, which may be wrong.
        let untold = known.untold(now_ms());
        self.later(room);
        for invited in untold {
            if self.telling_whom.insert((room, invited.account)) {
                self.tell(known, invited);
            }
        }
    }

    fn tell(&mut self, known: &Known, invited: Invited) {
        let (context, rooms, known) = (self.parts.context.clone(), self.parts.rooms.clone(), known.clone());
        self.telling.spawn(async move {
            let step = tell(&context, &rooms, &known, &invited).await;
            Came { room: known.room, invited, step }
        });
    }

    async fn on_told(&mut self, came: Came) {
        let Came { room, invited, step } = came;
        let whom = (room, invited.account);
        self.telling_whom.remove(&whom);
        let step = match step {
            Ok(step) => step,
            Err(problem) => {
                return tracing::info!(room = %room.short(), %problem, "somebody can not be invited into a group yet");
            }
        };
        let Some(mut known) = self.book.get(&room).cloned() else { return };
        let told = step == Step::Told;
        let news = match step {
            Step::Linked(link) => known.note_link(&invited.account, invited.times, link),
            Step::Told => known.note_told(&invited.account, invited.times, now_ms()),
        };
        if !news {
            return;
        }
        if let Err(problem) = self.keep(known.clone()).await {
            return tracing::warn!(room = %room.short(), %problem, "how far somebody is invited could not be kept");
        }
        let untold = known.untold(now_ms());
        match untold.iter().find(|one| one.account == invited.account).cloned() {
            Some(linked) if !told => {
                self.telling_whom.insert(whom);
                self.tell(&known, linked);
            }
            _ if untold.is_empty() => drop(self.todo.remove(&room)),
            _ => {}
        }
    }

    pub(super) async fn keep(&mut self, known: Known) -> Answer<()> {
        let mut batch = Batch::new(None);
        batch.put(Namespace::Group, &known.room.0, codec::encode(&known));
        let done = self.parts.context.store.commit(batch).await;
        done.map_err(|error| crate::services::commit_problem(&error))?;
        self.book.put(known);
        Ok(())
    }

    pub(super) async fn forget(&mut self, room: &RoomId) {
        self.parts.joins.give_up(room);
        self.book.remove(room);
        self.todo.remove(room);
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Group, &room.0);
        if let Err(error) = self.parts.context.store.commit(batch).await {
            tracing::warn!(room = %room.short(), %error, "a group that is over could not be forgotten");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_makes_nobody_wait_longer_than_the_longest_pause() {
        let (now, year) = (1_700_000_000_000, 365 * 24 * 3_600 * 1_000);
        let mut again = Again { due_ms: now, pause_ms: AGAIN_MS };
        for _ in 0..20 {
            again.later(now);
            assert!(!again.is_due(now) && again.is_due(again.due_ms));
        }
        again.later(now + year);
        assert!(again.is_due(now), "the clock was put right");
    }
}
