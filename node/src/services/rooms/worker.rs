//! A worker: one task that owns the rooms of its place, and does what their handlers leave to be done.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use parlor_api::{Code, Problem};
use parlor_net::{NetworkHandle, PeerId};
use parlor_proto::RoomId;
use parlor_proto::join::Doorkeeper;
use parlor_proto::outbox::{In as OutboxIn, Out as OutboxOut, Outbox};
use parlor_storage::{Batch, CommitError, InOrder, Store};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::damaged::Damage;
use super::directory::Directory;
use super::entry::{After, Entry, Job, Turn};
use super::message::{Command, Wish};
use super::settle::Settle;
use crate::account::{Me, rng};
use crate::bus::Bus;
use crate::clock::{now_ms, until};
use crate::services::attention::Attention;
use crate::services::contacts::Contacts;
use crate::services::fading::Fading;
use crate::services::mailboxes::Mailboxes;
use crate::services::own::OwnDevices;
use crate::services::peers::Peers;
use crate::services::profiles::Profiles;
use crate::services::{files::Files, groups::Groups};

/// What every worker works with.
pub(crate) struct Context {
    pub(crate) identity: Me,
    /// Name of the account.
    pub(crate) name: String,
    /// Our peer id.
    pub(crate) peer: PeerId,
    pub(crate) store: Store,
    pub(crate) net: NetworkHandle,
    pub(crate) bus: Bus,
    pub(crate) directory: Directory,
    pub(crate) peers: Peers,
    pub(crate) mailboxes: Mailboxes,
    pub(crate) contacts: Contacts,
    pub(crate) own: OwnDevices,
    pub(crate) attention: Attention,
    pub(crate) files: Files,
    pub(crate) fading: Fading,
    pub(crate) profiles: Profiles,
    pub(crate) groups: Groups,
    /// Places for rooms with early messages.
    pub(crate) early_places: Arc<Semaphore>,
}

type Committed = Pin<Box<dyn Future<Output = (RoomId, Box<Settle>, Result<(), CommitError>)> + Send>>;
type Read = Pin<Box<dyn Future<Output = (RoomId, After)> + Send>>;

pub(super) struct Worker {
    pub(super) context: Arc<Context>,
    inbox: mpsc::Receiver<Command>,
    pub(super) rooms: HashMap<RoomId, Entry>,
    pub(super) outbox: Outbox,
    pub(super) doorkeeper: Doorkeeper,
    store: InOrder,
    /// In the order in which they were handed over, which is that in which they become durable.
    pub(super) commits: FuturesOrdered<Committed>,
    pub(super) reads: FuturesUnordered<Read>,
    /// Rooms that can not be read.
    pub(super) damaged: HashMap<RoomId, Damage>,
    /// One for every room that waits for something.
    pub(super) deadlines: BTreeSet<(u64, RoomId)>,
}

/// What woke a worker.
enum Event {
    Command(Option<Command>),
    Committed(RoomId, Box<Settle>, Result<(), CommitError>),
    Read(RoomId, After),
    Due,
}

impl Worker {
    pub(super) fn new(
        context: Arc<Context>,
        inbox: mpsc::Receiver<Command>,
        rooms: HashMap<RoomId, Entry>,
        outbox: Outbox,
    ) -> Self {
        let store = InOrder::new(context.store.clone());
        Self {
            context,
            inbox,
            rooms,
            outbox,
            doorkeeper: Doorkeeper::default(),
            store,
            commits: FuturesOrdered::new(),
            reads: FuturesUnordered::new(),
            damaged: HashMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Runs until it is told to stop; says when it has begun with its rooms.
    pub(super) async fn run(mut self, ready: oneshot::Sender<()>) {
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.turn(room, |turn| {
                turn.guard();
                turn.begin();
            })
            .await;
        }
        // With what each reads of itself as it begins.
        for _ in 0..self.reads.len() {
            if let Some((room, after)) = self.reads.next().await {
                self.turn(room, |turn| after(turn)).await;
            }
        }
        let _ = ready.send(());
        loop {
            let due = self.next_deadline();
            let event = tokio::select! {
                Some((room, settle, done)) = self.commits.next(), if !self.commits.is_empty() => {
                    Event::Committed(room, settle, done)
                }
                Some((room, after)) = self.reads.next(), if !self.reads.is_empty() => Event::Read(room, after),
                command = self.inbox.recv() => Event::Command(command),
                () = tokio::time::sleep(due.map_or(std::time::Duration::MAX, until)), if due.is_some() => Event::Due,
            };
            match event {
                Event::Command(None) => return,
                Event::Command(Some(Command::Stop { done })) => {
                    self.drain().await;
                    let _ = done.send(());
                    return;
                }
                Event::Command(Some(command)) => self.on_command(command).await,
                Event::Committed(room, settle, done) => Box::pin(self.on_committed(room, *settle, done)).await,
                Event::Read(room, after) => self.turn(room, |turn| after(turn)).await,
                Event::Due => self.on_due().await,
            }
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Opened(opened) => self.turn(opened.room, |turn| turn.open_session(opened)).await,
            Command::Frame { room, peer, bytes } => {
                self.turn(room, |turn| {
                    turn.session(peer, parlor_proto::sync::In::Frame(bytes));
                    turn.ask_for_newest();
                })
                .await;
            }
            Command::Closed { room, peer } => self.turn(room, |turn| turn.close_session(peer)).await,
            Command::Gossip { room, data, source, token } => {
                self.turn(room, |turn| turn.gossip(&data, source, token)).await;
            }
            Command::Knock(knock) => self.on_knock(knock).await,
            Command::Begin { room, outcome, reply } => self.begin(room, *outcome, reply).await,
            Command::Wish { room, wish: Wish::Leave(true, reply) } if self.is_uncompared(&room) => {
                self.leave_uncompared(room, reply).await;
            }
            Command::Wish { room, wish } if self.rooms.contains_key(&room) => {
                self.turn(room, |turn| turn.wish(wish)).await;
            }
            Command::Fade { room, due, reply } if self.rooms.contains_key(&room) => {
                self.turn(room, |turn| turn.fade(due, reply)).await;
            }
            // The room is being left: what is in it goes with it.
            Command::Fade { reply, .. } => drop(reply.send(Err(Problem::of(Code::RoomNotFound)))),
            // Whoever asked a room that is not here sees that nobody answers.
            Command::Mailbox { room, command } => self.turn(room, |turn| turn.on_mailbox(command)).await,
            Command::Wish { room, wish } => self.wish_elsewhere(room, wish).await,
            Command::Renewed(identity) => {
                let rooms: Vec<_> = self.rooms.keys().copied().collect();
                for room in rooms {
                    let identity = identity.clone();
                    self.turn(room, |turn| turn.renewed(identity)).await;
                }
            }
            Command::Moved => {
                let rooms: Vec<_> = self.rooms.keys().copied().collect();
                for room in rooms {
                    self.turn(room, |turn| turn.bind()).await;
                }
            }
            Command::People { reply } => drop(reply.send(Ok(self.people()))),
            Command::Acquaintance { account, reply } => drop(reply.send(Ok(self.acquaintance(&account)))),
            Command::Refresh => self.refresh_all().await,
            Command::Profess => {
                let rooms: Vec<_> = self.rooms.keys().copied().collect();
                for room in rooms {
                    self.turn(room, |_| {}).await;
                }
            }
            Command::Outbox { bodies, reply } => drop(reply.send(Ok(self.outbox_lines(bodies)))),
            Command::Retry { message, reply } => {
                let answer = self.retry(message.as_deref()).await;
                drop(reply.send(answer));
            }
            Command::Discard { message, reply } => {
                let answer = self.discard(message.as_deref()).await;
                drop(reply.send(answer));
            }
            Command::Stop { .. } => {}
        }
    }

    /// Lends a room to a handler, does what it leaves to be done, and notes when the room is due next.
    pub(super) async fn turn(&mut self, room: RoomId, handler: impl FnOnce(&mut Turn<'_>)) {
        let mut jobs = Vec::new();
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        let context = self.context.clone();
        let now_ms = now_ms();
        let (known, handed) = (entry.room.n_control(), entry.handed);
        let mut turn = Turn { entry, outbox: &mut self.outbox, context: &context, jobs: &mut jobs, now_ms };
        handler(&mut turn);
        turn.mark();
        turn.profess();
        turn.speak();
        turn.meet();
        let stands_alone = entry.room.n_control().saturating_sub(known) > entry.handed - handed;
        self.carry_out(jobs).await;
        self.note_deadline(room);
        if stands_alone {
            Box::pin(self.forget_unstored(room)).await;
        }
    }

    /// Jobs in their order. Those of the outbox may be about any room of this worker and leave jobs themselves.
    pub(super) async fn carry_out(&mut self, jobs: Vec<Job>) {
        let mut jobs: std::collections::VecDeque<_> = jobs.into();
        while let Some(job) = jobs.pop_front() {
            let Job::Outbox(out) = job else {
                self.carry_out_one(job).await;
                continue;
            };
            let room = room_of(&out);
            let Some(entry) = self.rooms.get_mut(&room) else { continue };
            let mut more = Vec::new();
            let context = self.context.clone();
            let mut turn =
                Turn { entry, outbox: &mut self.outbox, context: &context, jobs: &mut more, now_ms: now_ms() };
            turn.on_outbox(out);
            self.note_deadline(room);
            // In the place of what asked for them: who is answered after it is answered after them too.
            more.into_iter().rev().for_each(|job| jobs.push_front(job));
        }
    }

    async fn carry_out_one(&mut self, job: Job) {
        let context = self.context.clone();
        match job {
            // The network has stopped: then so do we.
            Job::Send { peer, frame } => {
                let _ = context.net.send(peer, frame.into()).await;
            }
            Job::Publish { topic, data } => {
                let _ = context.net.publish(topic, data.into()).await;
            }
            Job::Judge { token, verdict } => {
                let _ = context.net.verdict(token, verdict).await;
            }
            Job::Drop { peer, weight } => {
                let _ = context.net.punish(peer, weight).await;
                let _ = context.net.disconnect(peer).await;
            }
            Job::Commit { room, batch, settle } => self.hand_over(room, batch, settle).await,
            Job::Read { room, read } => {
                let store = context.store.clone();
                let reading = tokio::task::spawn_blocking(move || read(&store));
                self.reads.push(Box::pin(async move { (room, reading.await.unwrap_or_else(|_| Turn::lost_read())) }));
            }
            Job::Ask { room, peer, knock, after } => {
                let net = context.net.clone();
                self.reads.push(Box::pin(async move {
                    let answer = net.request(peer, Vec::new(), knock.into()).await.unwrap_or_default();
                    let after: After = Box::new(move |turn| after(turn, &answer));
                    (room, after)
                }));
            }
            Job::Announce { room } => self.announce(room).await,
            Job::Proved { room, peer } => context.peers.proved(room, peer),
            Job::Company { room, any } => context.peers.company(room, any),
            Job::Reachable { room, binding } => {
                let addresses = binding.addresses.iter().map(crate::services::joins::to_address).collect();
                context.peers.named(room, binding.device, PeerId::from_key(binding.peer), addresses);
            }
            Job::Want { room, wanted } => context.peers.want(room, wanted),
            Job::Seek { room } => context.peers.seek(room),
            Job::Outbox(_) => {}
        }
    }

    /// Hands a batch to the store at once, so that batches become durable in the order of their making.
    async fn hand_over(&mut self, room: RoomId, batch: Batch, settle: Box<Settle>) {
        let stored = self.store.commit(batch);
        let mut commit: Committed = Box::pin(async move { (room, settle, stored.await) });
        match futures::poll!(&mut commit) {
            std::task::Poll::Ready(done) => self.commits.push_back(Box::pin(std::future::ready(done))),
            std::task::Poll::Pending => self.commits.push_back(commit),
        }
    }

    pub(super) async fn on_committed(&mut self, room: RoomId, settle: Settle, done: Result<(), CommitError>) {
        // Nothing to write, but made after something that could not be written: the room was restored meanwhile.
        let stands = self.rooms.get(&room).is_some_and(|entry| entry.chain.same(&settle.chain));
        match done.and(if stands { Ok(()) } else { Err(CommitError::Broken) }) {
            Ok(()) => {
                self.turn(room, |turn| {
                    turn.entry.committing = turn.entry.committing.saturating_sub(1);
                    turn.settle(settle);
                })
                .await;
            }
            Err(error) => Box::pin(self.on_failed(room, settle, &error)).await,
        }
    }

    async fn on_due(&mut self) {
        let now = now_ms();
        self.try_damaged(now).await;
        let out = self.outbox.handle(OutboxIn::Tick, now, &mut rng());
        self.carry_out(out.into_iter().map(Job::Outbox).collect()).await;
        while let Some((due, room)) = self.deadlines.first().copied() {
            if due > now {
                return;
            }
            self.deadlines.pop_first();
            if let Some(entry) = self.rooms.get_mut(&room) {
                entry.noted_ms = None;
            }
            self.turn(room, |turn| turn.tick()).await;
        }
    }

    fn note_deadline(&mut self, room: RoomId) {
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        let Some(due) = entry.next_deadline(now_ms()) else { return };
        if entry.noted_ms.is_none_or(|noted| due < noted) {
            if let Some(noted) = entry.noted_ms.replace(due) {
                self.deadlines.remove(&(noted, room));
            }
            self.deadlines.insert((due, room));
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        let rooms = self.deadlines.first().map(|(due, _)| *due);
        [rooms, self.outbox.next_deadline(), self.damaged_due()].into_iter().flatten().min()
    }

    async fn announce(&mut self, room: RoomId) {
        let Some(entry) = self.rooms.get(&room) else { return };
        let secret = entry.room.topic_secret().clone();
        // Of somebody who is blocked nothing is taken and nothing is told: as if the chat were not here.
        if entry.room.other().is_some_and(|other| self.context.contacts.is_blocked(&other)) {
            return self.context.peers.hide_room(room);
        }
        let topics = entry.topics.clone();
        self.context.peers.have_room(room, secret, topics);
    }

    /// Finishes what was handed to the store.
    pub(super) async fn drain(&mut self) {
        while let Some((room, settle, done)) = self.commits.next().await {
            Box::pin(self.on_committed(room, *settle, done)).await;
        }
    }
}

impl Turn<'_> {
    /// A room was loaded: others learn of it.
    pub(super) fn begin(&mut self) {
        self.note_gossip_key();
        self.tell_members();
        self.tell_own_devices();
        self.tell_where_members_are();
        self.go_on_opening();
        self.go_on_erasing();
        self.open_profiles();
        self.show_all_profiles();
        if self.entry.room.epoch_status().epoch.is_some() {
            self.tell_outbox(OutboxIn::Writable(self.id()));
        }
        self.bind();
        self.resolve_markers();
        self.load_last();
        self.announce();
        self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
        self.begin_parting();
        self.plan_mail();
        self.set_stance();
    }

    /// Time passed.
    fn tick(&mut self) {
        self.tick_coalescer();
        self.tick_guard();
        self.tick_sessions();
        self.check_links();
        self.tick_parting();
        self.tick_requests();
        self.tick_heard();
        self.tick_wanted();
        self.tick_early();
        self.tick_opening();
        self.tick_pins();
        if self.entry.rest_until_ms != 0 && !self.entry.rests(self.now_ms) {
            self.entry.rest_until_ms = 0;
            self.bind();
            self.go_on_opening();
            self.go_on_erasing();
        }
        if self.entry.maintain_ms.is_some_and(|due| due <= self.now_ms) {
            let company = self.company();
            self.entry.room.meet(company, self.now_ms);
            let (outcome, next) = self.entry.room.maintain(self.now_ms, &mut rng());
            self.entry.maintain_ms = next;
            if !outcome.accepted.is_empty() || !outcome.persist.is_empty() {
                self.commit(outcome, Settle::default());
            }
            self.ask_for_keys();
        }
    }

    /// The peers service learns of the room's topic secret and topics.
    pub(super) fn announce(&mut self) {
        let topics = self.entry.room.topic_names().into_iter().filter_map(|name| parlor_net::Topic::new(name).ok());
        self.entry.topics = topics.collect();
        self.jobs.push(Job::Announce { room: self.id() });
    }
}

/// The room that an output of the outbox is about.
fn room_of(out: &OutboxOut) -> RoomId {
    match out {
        OutboxOut::Write(entry) | OutboxOut::Store(entry) => entry.room,
        OutboxOut::Remove(room, _)
        | OutboxOut::Publish { room, .. }
        | OutboxOut::Seek(room)
        | OutboxOut::Changed { room, .. }
        | OutboxOut::ChangedUnwritten { room, .. } => *room,
    }
}

#[cfg(test)]
mod tests;
