//! The joins service: one task for every join under way, which drives [`parlor_proto::join::Joiner`].
//!
//! A join outlives the client that asked for it: who gives up waiting finds the room later. One that waits for a member's
//! word outlives the node too: it is kept on disk until it is answered or the invite ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use parlor_api::{Code, JoinAnswer, JoinProgress, JoinState, JoinStep, Problem};
use parlor_crypto::mailbox::BoxKeys;
use parlor_net::{Address, PeerId};
use parlor_proto::RoomId;
use parlor_proto::control::JoinRequest;
use parlor_proto::epoch::Welcome;
use parlor_proto::join::instant::EnterError;
use parlor_proto::join::{Answer, Door, Failure, In, Joiner, Out, Refusal, State};
use parlor_proto::link::Link;
use parlor_proto::room::{JoinRefusal, Outcome, Room};
use parlor_storage::Namespace;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::account::rng;
use crate::app;
use crate::clock::{now_ms, until};
use crate::count::count;
use crate::limits::JOINS_MAX;
use crate::services::mailboxes::DoorNews;
use crate::services::rooms::{Context, Rooms};

pub(crate) use ways::{to_address, to_link};
pub(crate) use whose::Whose;

mod cancel;
mod door_knock;
mod instant;
mod kept;
mod problems;
mod told;
mod ways;
mod whose;

use door_knock::{DoorKnock, sign};
use instant::EnterByLink;
use problems::{cancelled, link_problem, refused};
use told::Told;
use whose::{GoesOn, Patience};

/// Pause before entering again while the keys of the room change.
const ENTER_AGAIN_MS: u64 = 5_000;
/// How long it is waited for the beginning of a room that let us in, before others are asked.
const BEGIN_MS: u64 = 20_000;
/// Candidates that wait at a join.
const CANDIDATES: usize = 16;

/// A handle on the joins under way.
#[derive(Clone)]
pub(crate) struct Joins {
    /// By numbers: there may be several into one room, by different links.
    under_way: Arc<Mutex<BTreeMap<u64, UnderWay>>>,
    told: Told,
}

/// Who waits for the answer of a join.
type Client = oneshot::Sender<app::Answer<JoinAnswer>>;

/// A join under way.
struct UnderWay {
    room: RoomId,
    candidates: mpsc::Sender<PeerId>,
    whose: Whose,
    request: JoinRequest,
    /// Nobody waits for it: it goes on by itself.
    goes_on: Arc<AtomicBool>,
    given_up: Arc<Notify>,
}

impl Joins {
    pub(crate) fn new() -> Self {
        Self { under_way: Arc::default(), told: Told::default() }
    }

    /// Goes on with the joins that waited for a member's word when the node ended.
    pub(crate) fn resume(&self, context: &Arc<Context>, rooms: &Rooms) {
        self.told.load(context);
        let stored = context.store.scan(None, Namespace::Invite, kept::PREFIX).unwrap_or_else(|error| {
            tracing::error!(%error, "joins that waited can not be read: they go on after a start at which they can");
            Vec::new()
        });
        for (name, bytes) in stored {
            let Some(kept) = kept::decode(&bytes) else { continue };
            let for_later = context.clone();
            match Link::parse(&kept.link, now_ms()) {
                // Nothing that is asked helps now: it goes on after a start with which the room can begin.
                Ok(link) if context.directory.damage(&link.room()).is_some() => {}
                Ok(link) if context.directory.get(&link.room()).is_none_or(|it| it.item.role.role().is_none()) => {
                    let (by, link_now, request) = (Whose::User, link.clone(), kept.request.clone());
                    tokio::spawn(async move { kept::rename(&for_later, &name, &link_now, &request).await });
                    let _ = self.begin(context.clone(), rooms.clone(), link, Some(kept.request), None, by);
                }
                // In by now, or over while we were away.
                parsed => {
                    let (told, room) = (self.told.clone(), kept.room);
                    tokio::spawn(async move {
                        kept::remove(&for_later, &name).await;
                        if let Err(error) = parsed {
                            told.ended(&for_later, room, link_problem(&error)).await;
                        }
                    });
                }
            }
        }
    }

    /// The rooms whose members have not answered yet.
    pub(crate) fn waiting(&self) -> Vec<RoomId> {
        let rooms: BTreeSet<RoomId> = self.joins().values().map(|join| join.room).collect();
        rooms.into_iter().collect()
    }

    /// How far the joins of the user are, and those that ended in the last days without the room.
    pub(crate) fn progress(&self) -> Vec<JoinProgress> {
        self.told.list()
    }

    /// A connected peer that may be a member of a room somebody wants to join.
    pub(crate) fn candidate(&self, peer: PeerId) {
        for join in self.joins().values() {
            // Full or over: there are enough candidates, or no more need of them.
            let _ = join.candidates.try_send(peer);
        }
    }

    /// Joins by a link. See [`crate::App::join`].
    pub(crate) async fn join(
        &self,
        context: Arc<Context>,
        rooms: Rooms,
        request: parlor_api::JoinRequest,
        whose: Whose,
    ) -> app::Answer<JoinAnswer> {
        let link = Link::parse(&request.link, now_ms()).map_err(|error| link_problem(&error))?;
        let room = link.room();
        if let Some(damage) = context.directory.damage(&room) {
            return Err(damage);
        }
        if let Some(summary) = context.directory.get(&room).filter(|summary| summary.item.role.role().is_some()) {
            return Ok(answer(room, &summary, JoinState::Joined));
        }
        let until_ms = now_ms().saturating_add(request.timeout.min(parlor_api::JoinRequest::TIMEOUT_MAX) * 1000);
        let patience = Patience { until_ms, once_asked: request.once_asked };
        let finished = self.begin(context, rooms, link, None, Some(patience), whose)?;
        finished.await.map_err(|_| Problem::of(Code::Stopping))?
    }

    /// Starts the task of a join. A client is answered at its deadline, or when the question that is open then is over.
    fn begin(
        &self,
        context: Arc<Context>,
        rooms: Rooms,
        link: Link,
        request: Option<JoinRequest>,
        patience: Option<Patience>,
        whose: Whose,
    ) -> app::Answer<oneshot::Receiver<app::Answer<JoinAnswer>>> {
        let room = link.room();
        let (sender, candidates) = mpsc::channel(CANDIDATES);
        let given_up: Arc<Notify> = Arc::default();
        let goes_on = Arc::new(AtomicBool::new(patience.is_none()));
        let (number, request, instead) = {
            let mut joins = self.joins();
            if joins.len() >= JOINS_MAX {
                return Err(Problem::new(Code::Busy, "too many joins are under way").hint("try again in a minute"));
            }
            // In the place of one by the same link that goes on by itself, with its request: whoever has that knows it.
            let invite = link.keys().sign.public_bytes();
            let is_same = |join: &&UnderWay| {
                join.whose == whose && join.request.invite_pk == invite && join.goes_on.load(Ordering::Relaxed)
            };
            let before = joins.values().find(is_same).filter(|join| join.room == room);
            before.inspect(|join| join.given_up.notify_one());
            let instead = before.is_some();
            let request = request.or_else(|| Some(before?.request.clone())).unwrap_or_else(|| sign(&context, &link));
            let number = joins.last_key_value().map_or(0, |(last, _)| last + 1);
            let (candidates, given_up, goes_on) = (sender, given_up.clone(), goes_on.clone());
            let it = UnderWay { room, candidates, whose, request: request.clone(), goes_on, given_up };
            joins.insert(number, it);
            (number, request, instead)
        };
        let (client, finished) = oneshot::channel();
        let mut client = Some(client);
        let joins = self.clone();
        tokio::spawn(async move {
            // The boxes of a room that is here are read by it.
            let enter = EnterByLink::by(&link).filter(|_| context.directory.get(&room).is_none());
            let (door, news) = DoorKnock::at(&context, &link, &request, enter.is_some(), whose);
            let (mailboxes, at) = (context.mailboxes.clone(), door.door.clone());
            let goes_on = GoesOn { instead, it: goes_on };
            let told = joins.told.clone();
            if whose == Whose::User {
                told.began(&context, room).await;
            }
            let joining = Joining {
                context,
                rooms,
                link,
                request,
                candidates,
                door,
                news,
                waits: false,
                here: None,
                enter,
                whose,
                goes_on,
                told,
            };
            tokio::select! {
                () = joining.run(&mut client, patience) => {}
                () = given_up.notified() => {}
            }
            if let Some(client) = client {
                drop(client.send(Err(cancelled())));
            }
            mailboxes.leave_door(at);
            joins.joins().remove(&number);
        });
        Ok(finished)
    }

    fn joins(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, UnderWay>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One join under way.
struct Joining {
    context: Arc<Context>,
    rooms: Rooms,
    link: Link,
    request: JoinRequest,
    candidates: mpsc::Receiver<PeerId>,
    /// Where the request waits when nobody is online,
    door: DoorKnock,
    /// what comes of that,
    news: mpsc::Receiver<DoorNews>,
    /// and whether a relay keeps it.
    waits: bool,
    /// Why this device can not hold the room that let us in, if it can not: then nobody else is asked.
    here: Option<Problem>,
    /// What was read to come in by the link alone, if it is such a link.
    enter: Option<EnterByLink>,
    whose: Whose,
    goes_on: GoesOn,
    told: Told,
}

/// What became of a knock.
enum Asked {
    /// This, for the machine.
    In(In),
    /// The join is over.
    Over(Result<(), Failure>),
}

impl Joining {
    /// Answers the client; goes on without him while a member has to approve.
    async fn run(mut self, client: &mut Option<Client>, patience: Option<Patience>) {
        let room = self.link.room();
        if let Some(patience) = patience {
            let done = self.round(Some(patience.until_ms), patience.once_asked).await;
            let asked = self.waits || self.goes_on.instead;
            let kept = asked && self.here.is_none() && matches!(done, Err(Failure::Unreachable | Failure::Unsynced));
            let waits = kept || matches!(done, Err(Failure::StillPending));
            if (waits || self.here.is_some()) && self.whose == Whose::User {
                kept::keep(&self.context, &self.link, &self.request).await;
            }
            let answer = done.map_or_else(|failure| self.failed(failure), |()| self.joined(room));
            if !waits && self.whose == Whose::User {
                self.told.over(&self.context, room).await;
            }
            drop(client.take().map(|client| client.send(answer)));
            if !waits {
                return self.forget().await;
            }
            self.goes_on.it.store(true, Ordering::Relaxed);
        }
        let done = self.round(Some(self.whose.until(self.link.caveats().expires_ms, now_ms())), false).await;
        self.forget().await;
        let Err(failure) = done else {
            return self.told.over(&self.context, room).await;
        };
        let problem = match self.failed(failure) {
            Err(problem) => problem,
            Ok(_) => Problem::of(Code::InviteExpired),
        };
        tracing::info!(room = %room.short(), %problem, "a join that waited has ended");
        if self.whose == Whose::Contact {
            return;
        }
        self.told.ended(&self.context, room, problem.clone()).await;
        let message = format!("the request to join was not granted: {problem}");
        let note = parlor_api::ErrorNote { message, ..problem.into() };
        self.context.bus.publish(now_ms(), parlor_api::EventBody::Error(note));
    }

    /// It is over, and goes on after no restart.
    async fn forget(&self) {
        // What a contact began is told by nobody to the user, and keeps nothing that he began himself. Who was let in and could not
        // hold the room comes in by the same request later.
        if self.whose == Whose::User && self.here.is_none() {
            kept::forget(&self.context, &self.link, &self.request).await;
        }
    }

    /// Tries until it is joined, fails, or the time is over.
    async fn round(&mut self, deadline: Option<u64>, once_asked: bool) -> Result<(), Failure> {
        let end = deadline.unwrap_or(u64::MAX);
        let (mut joiner, mut todo) = Joiner::start(self.link.clone(), self.request.clone(), deadline, now_ms());
        // Those connected already may be members, too.
        let mut inputs = self.connected().await;
        loop {
            for out in std::mem::take(&mut todo) {
                match out {
                    // Dialling and asking are one step of the network.
                    Out::Dial(_) => inputs.push(In::Connected),
                    Out::Ask { door, bytes } => match self.ask(&door, bytes, end).await {
                        Asked::In(input) => inputs.push(input),
                        Asked::Over(done) => return done,
                    },
                    Out::Welcomed { door, welcome } => {
                        inputs.push(Box::pin(self.enter(Some(&door), &welcome, end)).await)
                    }
                    Out::Changed(State::Pending) => {
                        self.waits_for(JoinStep::Approval, joiner.held_by().into());
                        if once_asked {
                            return Err(Failure::StillPending);
                        }
                    }
                    Out::Changed(State::Syncing) => self.waits_for(JoinStep::Fetching, 0),
                    Out::Changed(_) => {}
                    Out::Joined(_) => return Ok(()),
                    Out::Failed(failure) => return Err(failure),
                }
            }
            if let Some(done) = Box::pin(self.enter_if_due(end)).await {
                return done;
            }
            if self.here.is_some() {
                return Err(Failure::Cancelled);
            }
            if self.context.directory.get(&self.link.room()).is_some_and(|summary| summary.writable) {
                return Ok(());
            }
            if inputs.is_empty() {
                match self.wait(joiner.next_deadline()).await {
                    Ok(input) => inputs.push(input),
                    Err(news) => {
                        if let Some(done) = Box::pin(self.on_news(news, end)).await {
                            return done;
                        }
                    }
                }
            }
            for input in inputs.drain(..) {
                todo.extend(joiner.handle(input, now_ms(), &mut rng()));
            }
        }
    }

    /// Whoever is connected now, as candidates.
    async fn connected(&self) -> Vec<In> {
        let Ok(network) = self.context.net.status().await else { return Vec::new() };
        let up = network.peers.into_iter().filter(|peer| peer.up).take(CANDIDATES);
        up.map(|peer| In::Candidate(peer.peer.as_key().to_vec())).collect()
    }

    /// The next thing that happens by itself, or news of the mailbox. Cancel safe.
    async fn wait(&mut self, due: Option<u64>) -> Result<In, DoorNews> {
        let due = due.unwrap_or_else(|| now_ms() + 1000).min(self.enter_due_ms());
        tokio::select! {
            Some(peer) = self.candidates.recv() => Ok(In::Candidate(peer.as_key().to_vec())),
            Some(news) = self.news.recv() => Err(news),
            () = tokio::time::sleep(until(due)) => Ok(In::Tick),
        }
    }

    /// Something came of the request that waits in a mailbox. The end of the join, if that is one.
    async fn on_news(&mut self, news: DoorNews, end: u64) -> Option<Result<(), Failure>> {
        let bytes = match news {
            DoorNews::Waits => {
                self.waits = true;
                if self.told.of(&self.link.room()).0 == JoinStep::Looking {
                    self.waits_for(JoinStep::Relay, 0);
                }
                return None;
            }
            DoorNews::Answer(bytes) => bytes,
            read => {
                let boxes = self.enter.as_mut().map(|enter| enter.hear(read, now_ms())).unwrap_or_default();
                self.read(boxes);
                return None;
            }
        };
        match self.door.knock.open(&bytes)? {
            Answer::Welcome(welcome) => match Box::pin(self.enter(None, &welcome.0, end)).await {
                In::Ready => Some(Ok(())),
                _ => None,
            },
            Answer::Refused(why) if !why.is_passing() => Some(Err(Failure::Refused(why))),
            Answer::Refused(_) | Answer::Pending { .. } => None,
        }
    }

    /// Tells what the join waits for now. Of what a contact began nobody is told.
    fn waits_for(&self, step: JoinStep, members: u32) {
        if self.whose == Whose::User {
            self.told.step(&self.context, self.link.room(), step, members);
        }
    }

    fn door(&self, door: &Door) -> Option<(PeerId, Vec<Address>)> {
        match door {
            Door::Issuer(address) => {
                let address = Some(to_address(address)).filter(|address| self.whose.allows(&self.context, address));
                Some((PeerId::from_key(*self.link.peer()), address.into_iter().collect()))
            }
            Door::Peer(key) => Some((PeerId::from_key(key.as_slice().try_into().ok()?), Vec::new())),
        }
    }

    /// Knocks at somebody's, unless the join is over before he answers.
    async fn ask(&mut self, door: &Door, bytes: Vec<u8>, end: u64) -> Asked {
        let Some((peer, addresses)) = self.door(door) else { return Asked::In(In::AskFailed) };
        if matches!(door, Door::Issuer(_)) && addresses.is_empty() {
            return Asked::In(In::AskFailed);
        }
        let net = self.context.net.clone();
        let request = net.request(peer, addresses, bytes.into());
        tokio::pin!(request);
        loop {
            let due = self.enter_due_ms();
            tokio::select! {
                answer = &mut request => return Asked::In(match answer {
                    Ok(answer) => In::Answered(answer.to_vec()),
                    Err(error) => {
                        tracing::debug!(peer = %peer.short(), %error, "a knock failed");
                        In::AskFailed
                    }
                }),
                Some(news) = self.news.recv() => if let Some(done) = Box::pin(self.on_news(news, end)).await {
                    return Asked::Over(done);
                },
                () = tokio::time::sleep(until(due)) => if let Some(done) = Box::pin(self.enter_if_due(end)).await {
                    return Asked::Over(done);
                },
            }
        }
    }

    /// When to enter by the link alone.
    fn enter_due_ms(&self) -> u64 {
        self.enter.as_ref().and_then(EnterByLink::due_ms).unwrap_or(u64::MAX)
    }

    /// Has boxes of the room read, to enter by the link alone.
    fn read(&self, boxes: Vec<BoxKeys>) {
        if !boxes.is_empty() {
            self.context.mailboxes.read(self.door.door.name(), boxes);
        }
    }

    /// Enters by the link alone, if enough was read and nobody answered before. The end of the join, if that is one.
    async fn enter_if_due(&mut self, end: u64) -> Option<Result<(), Failure>> {
        let now = now_ms();
        let enter = self.enter.as_mut().filter(|enter| enter.due_ms().is_some_and(|due| due <= now))?;
        let me = self.context.identity.now();
        match enter.machine.enter(&self.request, me, now, &mut rng()) {
            Ok((room, outcome)) => {
                self.enter = None;
                // The room reads its boxes itself, from their beginning.
                self.context.mailboxes.end_reads(room.id()).await;
                return match Box::pin(self.hold(room, outcome, end)).await {
                    In::Ready => Some(Ok(())),
                    _ => Some(Err(Failure::Unsynced)),
                };
            }
            Err(EnterError::ReadOn) => {
                let boxes = enter.read_on(now);
                self.read(boxes);
            }
            // Somebody changes the keys, or began to and is away: what follows may come yet.
            Err(EnterError::Refused(JoinRefusal::NoSafeEpoch)) => enter.later(now.saturating_add(ENTER_AGAIN_MS)),
            Err(why) => {
                tracing::debug!(%why, "nobody comes in by this link alone");
                self.enter = None;
                let refusal = match why {
                    EnterError::Refused(JoinRefusal::UsesExhausted) => Refusal::UsedUp,
                    EnterError::Refused(JoinRefusal::Revoked) => Refusal::Revoked,
                    EnterError::Refused(JoinRefusal::Expired) => Refusal::Expired,
                    EnterError::Refused(JoinRefusal::Banned) => Refusal::Banned,
                    _ => return None,
                };
                return Some(Err(Failure::Refused(refusal)));
            }
        }
        None
    }

    /// We are let in: holds the room from now on and waits until it can be written to.
    async fn enter(&mut self, door: Option<&Door>, welcome: &[u8], deadline: u64) -> In {
        let (room, invite_pk) = (self.link.room(), self.link.keys().sign.public_bytes());
        let Ok(welcome) = Welcome::open(&self.context.identity.now(), &room, &invite_pk, welcome) else {
            return In::BadWelcome;
        };
        if let Some((peer, addresses)) = door.and_then(|door| self.door(door)) {
            let all = self.link.addresses().iter().map(to_address);
            let others = all.filter(|_| matches!(door, Some(Door::Issuer(_))));
            let others = others.filter(|address| self.whose.allows(&self.context, address));
            let addresses: Vec<_> = addresses.into_iter().chain(others).collect();
            self.context.peers.keep(room, peer, addresses);
        }
        let (machine, outcome) = Room::join(self.context.identity.now(), room, welcome);
        Box::pin(self.hold(machine, outcome, deadline)).await
    }

    /// Holds the room from now on and waits until it can be written to. Of a room whose Welcome is false nothing ever comes: after a
    /// while others are asked, whose Welcome takes its place; if it comes all the same, [`round`](Self::round) sees it.
    async fn hold(&mut self, machine: Room, outcome: Outcome, deadline: u64) -> In {
        let room = machine.id();
        if let Err(problem) = Box::pin(self.rooms.begin(machine, outcome)).await {
            tracing::error!(%problem, "a room that let us in could not be stored");
            self.here = Some(problem);
            return In::BadWelcome;
        }
        let (began, wait_ms) = (self.context.directory.wait(&room, |_| true), now_ms().saturating_add(BEGIN_MS));
        if tokio::time::timeout(until(deadline.min(wait_ms)), began).await.is_err() {
            return if deadline < wait_ms { In::Tick } else { In::BadWelcome };
        }
        let ready = self.context.directory.wait(&room, |summary| summary.writable);
        match tokio::time::timeout(until(deadline), ready).await {
            Ok(_) => In::Ready,
            Err(_) => In::Tick,
        }
    }

    fn joined(&self, room: RoomId) -> app::Answer<JoinAnswer> {
        let summary = self.context.directory.get(&room).ok_or_else(|| Problem::of(Code::Internal))?;
        Ok(answer(room, &summary, JoinState::Joined))
    }

    fn failed(&self, failure: Failure) -> app::Answer<JoinAnswer> {
        if let Some(problem) = &self.here {
            return Err(problem.clone());
        }
        let pending = |step, members, waits_for: &str| {
            let room = self.link.room().to_string();
            Ok(JoinAnswer { step: Some(step), members, ..JoinAnswer::pending(room, waits_for) })
        };
        match failure {
            Failure::Unreachable if self.waits => {
                pending(JoinStep::Relay, 0, "a relay keeps the request until a member comes by")
            }
            Failure::Unsynced => pending(JoinStep::Fetching, 0, "the room is being fetched"),
            Failure::StillPending => {
                let members = self.told.of(&self.link.room()).1.max(1);
                let (who, has) = (count(members, "member", "members"), if members == 1 { "has" } else { "have" });
                pending(
                    JoinStep::Approval,
                    members,
                    &format!("the request waits for approval: {who} who may approve {has} it"),
                )
            }
            Failure::Refused(refusal) => Err(refused(refusal)),
            Failure::Unreachable => Err(Problem::new(Code::Unreachable, "no member of the room could be reached")
                .hint("ask whether the one who invited you is online, and try again with a longer --timeout")),
            Failure::Cancelled => Err(Problem::of(Code::Stopping)),
            _ => Err(Problem::new(Code::JoinRefused, failure.to_string())),
        }
    }
}

fn answer(room: RoomId, summary: &crate::services::rooms::Summary, state: JoinState) -> JoinAnswer {
    JoinAnswer {
        room: room.to_string(),
        name: summary.item.name.clone(),
        role: summary.item.role.role().unwrap_or(parlor_api::Role::Member),
        state,
        waits_for: None,
        step: None,
        members: 0,
    }
}
