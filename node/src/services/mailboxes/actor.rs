//! The owner of the lines, the boxes and the places in them. What it puts in is in [`writing`], what it does at
//! doors in [`doors`], and with relays in [`relays`].

mod doors;
mod relays;
mod writing;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use parlor_net::{NetworkHandle, PeerId};
use parlor_proto::join::DoorMail;
use parlor_proto::mailbox::{
    self as mailbox, BlobId, BoxKind, BoxName, BoxSetup, Bundle, Cursor, Mail, Mailboxes as Machine, Out, Refusal,
    RelayId,
};
use parlor_proto::{DeviceId, RoomId};
use parlor_storage::Store;
use tokio::sync::{mpsc, oneshot};

use super::at_doors::AtDoors;
use super::door_reads::DoorReads;
use super::doors::{DoorNews, JoinDoor, Knocks};
use super::feed::Feed;
use super::handle::{Mailboxes, Slots};
use super::intake::{Became, Came, Intake};
use super::kept::Kept;
use super::lines::{LineEvent, OurLine, What};
use super::plan::{Plan, SharedBox, Stretch, Tips};
use super::relays::Relay;
use super::snapshots::Snapshots;
use super::tokens::Tokens;
use crate::clock::{now_ms, until};
use crate::limits::{LINE_EVENTS, MAIL_KEPT_MS, MAIL_LOOK_MS, MARKER_EVERY_MS};
use crate::services::mailboxes::troubles::of_refusal;
use crate::services::rooms::{Context, Knocked, NoAnswer, Rooms};
use crate::services::why::Why;

/// Pause between two pictures of the relays for the status.
const SHOW_MS: u64 = 200;

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) handle: Mailboxes,
    pub(crate) net: NetworkHandle,
    pub(crate) rooms: Rooms,
    pub(crate) store: Store,
    pub(crate) context: Arc<Context>,
}

/// A room with mailboxes, or one that is being joined.
#[derive(Default)]
struct RoomMail {
    plan: Plan,
    tips: Tips,
    feed: Feed,
    kept: Kept,
    intake: Intake,
    knocks: Knocks,
    /// What of ours is on its way to doors.
    left: AtDoors,
    /// What is left there for who was let in.
    snapshots: Snapshots,
    /// The room was here once: it told its plan.
    is_here: bool,
    /// Something at a door of it was passed over, because it was not here yet.
    passed_over: bool,
    /// What of ours is being read from the log,
    reading: bool,
    /// and not before this time, because no more could be put.
    full_until_ms: u64,
    /// Whether the room was told that a mailbox was read to its end.
    told_end: bool,
    /// Up to which of our messages the room was told that a mailbox has them.
    told_sent: u64,
    /// The marker that may go out now, and when a later one may.
    marker: u64,
    marker_ms: u64,
    /// Since when what is on disk is behind.
    dirty_ms: Option<u64>,
}

/// What a box is for.
struct Use {
    room: RoomId,
    keys: SharedBox,
}

/// A relay that some box is at, or that the settings name.
struct At {
    relay: Relay,
    line: Option<OurLine>,
    up: bool,
    error: Option<Why>,
    /// It wants a token that we have not.
    locked: bool,
}

impl At {
    fn new(relay: Relay) -> Self {
        Self { relay, line: None, up: false, error: None, locked: false }
    }
}

/// The end of something that was asked of the rooms service.
enum Done {
    Shown(RoomId, Option<Vec<Became>>),
    Stretches(RoomId, Option<Vec<Stretch>>),
    Knocked { room: RoomId, name: BoxName, id: BlobId, what: Result<Knocked, NoAnswer>, events: Vec<Mail> },
    Stored,
}

type Asked = Pin<Box<dyn Future<Output = Done> + Send>>;

struct Actor {
    parts: Parts,
    machine: Machine,
    rooms: BTreeMap<RoomId, RoomMail>,
    boxes: HashMap<BoxName, Use>,
    relays: BTreeMap<RelayId, At>,
    tokens: Tokens,
    /// Doors at which we knock, and the blobs of the knocks.
    joins: HashMap<BoxName, (JoinDoor, BlobId)>,
    door_reads: DoorReads,
    reserved: BTreeSet<PeerId>,
    asked: FuturesUnordered<Asked>,
    lines: mpsc::Sender<LineEvent>,
    numbers: u64,
    /// When the status was shown last.
    shown_ms: u64,
    device: DeviceId,
    /// Secret of this device, so that what is put twice is sealed alike and looks like nothing to others.
    seed: parlor_crypto::Secret,
}

/// Runs the service until it is stopped.
pub(crate) async fn run(parts: Parts) {
    let (lines, mut events) = mpsc::channel(LINE_EVENTS);
    let identity = &parts.context.identity;
    let (device, seed) = (identity.device(), identity.signing_key().to_seed());
    let handle = parts.handle.clone();
    let mut actor = Actor {
        parts,
        machine: Machine::new(),
        rooms: BTreeMap::new(),
        boxes: HashMap::new(),
        relays: BTreeMap::new(),
        tokens: Tokens::new(handle.own()),
        joins: HashMap::new(),
        door_reads: DoorReads::default(),
        reserved: BTreeSet::new(),
        asked: FuturesUnordered::new(),
        lines,
        numbers: 0,
        shown_ms: 0,
        device,
        seed,
    };
    actor.reserve().await;
    let mut listening = actor.parts.context.peers.listening();
    loop {
        let due = actor.due_ms();
        tokio::select! {
            () = handle.told() => {
                let slots = handle.take();
                if let Some(done) = actor.on_told(slots).await {
                    actor.keep_all().await;
                    // Whoever stops us may have gone.
                    let _ = done.send(());
                    return;
                }
            }
            Some(event) = events.recv() => actor.on_line(event),
            // In another network other relays can be reached.
            Ok(()) = listening.changed() => actor.reserve().await,
            Some(done) = actor.asked.next(), if !actor.asked.is_empty() => actor.on_done(done),
            () = tokio::time::sleep(until(due)) => {}
        }
        actor.tick();
    }
}

impl Actor {
    async fn on_told(&mut self, slots: Slots) -> Option<oneshot::Sender<()>> {
        for (room, ended) in slots.ended {
            self.end_reads(&room);
            // Whoever waited may have gone.
            let _ = ended.send(());
        }
        for (room, plan) in slots.plans {
            self.on_plan(room, plan, slots.tips.get(&room)).await;
        }
        for (room, tips) in slots.tips {
            if let Some(mail) = self.rooms.get_mut(&room) {
                mail.tips = tips;
                mail.knocks.look_again(now_ms());
            }
        }
        for door in slots.doors {
            self.on_join_door(door);
        }
        for (door, boxes) in slots.reads {
            self.read_to_enter(door, boxes);
        }
        for door in slots.left {
            self.leave_door(&door);
        }
        self.reserve().await;
        // What is shown is never older than what was told.
        self.shown_ms = 0;
        slots.stop
    }

    /// A room wants something else read, or is at other relays.
    async fn on_plan(&mut self, room: RoomId, plan: Plan, tips: Option<&Tips>) {
        if !self.rooms.contains_key(&room) {
            if plan.relays.is_empty() {
                return;
            }
            let (store, id) = (self.parts.store.clone(), room);
            let kept = tokio::task::spawn_blocking(move || Kept::load(&store, &id)).await.unwrap_or_default();
            self.rooms.insert(room, RoomMail { kept, ..RoomMail::default() });
        }
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        mail.plan = plan;
        mail.tips = tips.copied().unwrap_or(mail.tips);
        mail.is_here = true;
        let passed_over = std::mem::take(&mut mail.passed_over);
        if mail.plan.member {
            self.leave_doors(&room);
        } else if passed_over {
            self.read_doors_again(&room);
        }
        self.apply(room);
        self.leave_parts(room);
    }

    /// Opens and closes boxes as the plan of the room says.
    fn apply(&mut self, room: RoomId) {
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        let mut relays = mail.plan.relays.clone();
        for relay in self.joins.values().filter(|(door, _)| door.room == room).flat_map(|(door, _)| &door.relays) {
            // Who is not in yet knows those of the link.
            if !relays.iter().any(|it| it.peer == relay.peer) && relays.len() < mailbox::limits::MAX_BOX_RELAYS {
                relays.push(relay.clone());
            }
        }
        for relay in &relays {
            if let Some(id) = relay.id() {
                self.relays.entry(id).or_insert_with(|| At::new(relay.clone())).relay = relay.clone();
            }
        }
        self.show_tokens(&relays);
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        let wanted: Vec<SharedBox> = if relays.is_empty() {
            Vec::new()
        } else {
            mail.plan.boxes.iter().chain(&mail.plan.doors).cloned().collect()
        };
        let peers: Vec<PeerId> = if mail.plan.member { relays.iter().map(|it| it.peer).collect() } else { Vec::new() };
        let over = mail.feed.set_relays(&peers, &mail.kept.put, &mail.tips);
        mail.kept.retain(|name| wanted.iter().any(|it| it.name == *name));
        mail.knocks.retain(|name| wanted.iter().any(|it| it.name == *name));
        mail.snapshots.retain(|name| wanted.iter().any(|it| it.name == *name));
        let kept = mail.kept.taken.clone();
        let now = now_ms();
        let mut out = Vec::new();
        over.iter().for_each(|(name, id)| self.machine.unput(name, id));
        let gone = self.boxes.iter().filter(|(name, used)| {
            let ours = self.joins.contains_key(*name) || self.door_reads.reads(name);
            used.room == room && !wanted.iter().any(|it| it.name == **name) && !ours
        });
        for name in gone.map(|(name, _)| *name).collect::<Vec<_>>() {
            out.extend(self.machine.close(&name, now));
            self.boxes.remove(&name);
        }
        for shared in wanted {
            let at = |relay: &Relay| {
                let cursor = kept.get(&(shared.name, relay.peer)).copied().unwrap_or_default();
                Some((relay.id()?, cursor))
            };
            let setup = BoxSetup {
                name: shared.name,
                key: Some(shared.keys.sign.clone()),
                read: true,
                relays: relays.iter().filter_map(at).collect(),
            };
            match self.machine.open(setup, now) {
                Ok(more) => out.extend(more),
                Err(error) => tracing::warn!(room = %room.short(), %error, "a mailbox can not be used"),
            }
            self.boxes.insert(shared.name, Use { room, keys: shared });
        }
        self.carry_out(out);
    }

    fn on_line(&mut self, event: LineEvent) {
        let Some(id) = event.relay.id() else { return };
        let Some(at) =
            self.relays.get_mut(&id).filter(|at| at.line.as_ref().is_some_and(|line| line.number == event.number))
        else {
            return;
        };
        let now = now_ms();
        let out = match event.what {
            What::Open => {
                self.machine.connected(&id, now);
                Vec::new()
            }
            What::Frame(bytes) => self.machine.frame(&id, &bytes, now),
            What::Over(error) => {
                at.line = None;
                at.error = error.or_else(|| at.error.take());
                self.machine.disconnected(&id, now)
            }
        };
        self.carry_out(out);
    }

    /// What the machine wants done.
    fn carry_out(&mut self, out: Vec<Out>) {
        let mut todo: VecDeque<Out> = out.into();
        while let Some(out) = todo.pop_front() {
            match out {
                Out::Connect { relay } => self.connect(&relay),
                Out::HangUp { relay } => {
                    if let Some(at) = self.relays.get_mut(&relay) {
                        at.line = None;
                    }
                }
                Out::Send { relay, bytes } => {
                    let line = self.relays.get_mut(&relay).map(|at| &mut at.line);
                    let full = line.is_some_and(|line| line.take_if(|line| !line.send(bytes)).is_some());
                    if full {
                        todo.extend(self.machine.disconnected(&relay, now_ms()));
                    }
                }
                Out::Got { name, id, blob } => todo.extend(self.on_got(name, id, &blob)),
                Out::Stored { name, id, relay } => {
                    self.on_stored(&name, &id, &relay);
                    self.on_answered(&name, &id);
                }
                Out::Settled { name, id } => {
                    self.on_settled(&name, &id);
                    self.on_answered(&name, &id);
                }
                Out::CaughtUp { name, relay } => self.on_caught_up(name, relay),
                Out::Refused { relay, name, refusal } => {
                    if refusal == Refusal::Token {
                        self.on_token_refused(&relay);
                    }
                    if let Some(name) = name.filter(|_| refusal == Refusal::BoxFull) {
                        self.on_box_full(&relay, &name);
                    }
                    self.note_error(&relay, of_refusal(refusal));
                }
                Out::Cursor { name, relay, cursor } => self.on_cursor(name, &relay, cursor),
                Out::Fault { relay, fault, .. } => self.on_fault(&relay, fault),
            }
        }
    }

    fn on_box_full(&mut self, relay: &RelayId, name: &BoxName) {
        let Some(peer) = self.relays.get(relay).map(|at| at.relay.peer) else { return };
        let Some(mail) = self.boxes.get(name).and_then(|used| self.rooms.get_mut(&used.room)) else { return };
        let relays = mail.plan.relays.iter().map(|relay| relay.peer);
        let is_up = |peer: &PeerId| self.relays.values().any(|at| at.up && at.relay.peer == *peer);
        let up: Vec<PeerId> = relays.filter(is_up).collect();
        mail.snapshots.full(name, peer, &up, now_ms());
    }

    fn on_stored(&mut self, name: &BoxName, id: &BlobId, relay: &RelayId) {
        if let Some(mail) = self.boxes.get(name).and_then(|used| self.rooms.get_mut(&used.room)) {
            mail.left.stored(id);
        }
        if let Some((door, knock)) = self.joins.get(name)
            && knock == id
        {
            // Full: it was told already.
            let _ = door.news.try_send(DoorNews::Waits);
        }
        let Some(peer) = self.relays.get(relay).map(|at| at.relay.peer) else { return };
        let Some(room) = self.boxes.get(name).map(|used| used.room) else { return };
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        if mail.feed.stored(peer, name, id) {
            mail.kept.put = mail.feed.places().clone();
            mail.dirty_ms.get_or_insert(now_ms());
        }
    }

    fn on_cursor(&mut self, name: BoxName, relay: &RelayId, cursor: Cursor) {
        let Some(peer) = self.relays.get(relay).map(|at| at.relay.peer) else { return };
        let Some(used) = self.boxes.get(&name) else { return };
        // What was read to come in is read again by the room itself.
        let ours = !self.joins.contains_key(&name) && !self.door_reads.reads(&name);
        if let Some(mail) = self.rooms.get_mut(&used.room).filter(|_| ours) {
            mail.kept.taken.insert((name, peer), cursor);
            mail.dirty_ms.get_or_insert(now_ms());
        }
    }

    /// A blob came out of a box. What is worth nothing is taken at once.
    fn on_got(&mut self, name: BoxName, id: BlobId, blob: &[u8]) -> Vec<Out> {
        let now = now_ms();
        let Some(used) = self.boxes.get(&name) else { return self.machine.taken(name, id, now) };
        let room = used.room;
        let Ok(content) = mailbox::open_blob(&name, &used.keys.keys.seal, blob) else {
            return self.machine.taken(name, id, now);
        };
        if let Some(door) = self.door_reads.door_of(&name) {
            return match Bundle::decode(&content) {
                Ok(bundle) => self.pass_on(door, Some((name, id)), DoorNews::Mails(bundle.0)),
                Err(_) => self.machine.taken(name, id, now),
            };
        }
        let Some(mail) = self.rooms.get_mut(&room) else { return self.machine.taken(name, id, now) };
        if name.kind == BoxKind::Room {
            match Bundle::decode(&content) {
                Ok(bundle) => mail.intake.push(Came::new(&room, name, id, bundle.0)),
                Err(_) => return self.machine.taken(name, id, now),
            }
            return Vec::new();
        }
        match (DoorMail::decode(&content), self.joins.get(&name)) {
            (Some(DoorMail::Answer { to, bytes, .. }), Some((_, knock))) if *knock == to => {
                return self.pass_on(name, Some((name, id)), DoorNews::Answer(bytes.0));
            }
            (Some(DoorMail::Part(part)), Some((door, _))) if door.instant => {
                return self.pass_on(name, Some((name, id)), DoorNews::Part(part.0));
            }
            (Some(DoorMail::Events(sealed)), Some(_)) => {
                let me = self.parts.context.identity.now();
                if let Some(bundle) = DoorMail::open_events(&room, &me, &sealed.0) {
                    mail.intake.push(Came::new(&room, name, id, bundle.0));
                    return Vec::new();
                }
            }
            (Some(DoorMail::Knock(bytes)), None) if mail.plan.member => {
                mail.knocks.add(name, id, bytes.0, &self.device.0, now);
                return Vec::new();
            }
            (Some(DoorMail::Answer { to, last: true, .. }), None) => {
                let was_waiting = mail.knocks.answered(&to);
                let mut out = self.machine.taken(name, id, now);
                if was_waiting {
                    out.extend(self.machine.taken(name, to, now));
                }
                return out;
            }
            _ => {}
        }
        self.machine.taken(name, id, now)
    }

    fn on_done(&mut self, done: Done) {
        let now = now_ms();
        match done {
            Done::Shown(room, complete) => {
                let Some(mail) = self.rooms.get_mut(&room) else { return };
                let taken = match complete {
                    // It is only being joined, and may never come; if it does, its doors are read again.
                    None if !mail.is_here => {
                        mail.passed_over = true;
                        mail.intake.pass_over()
                    }
                    complete => mail.intake.shown(&complete.unwrap_or_default(), now),
                };
                let out: Vec<_> = taken.into_iter().flat_map(|(name, id)| self.machine.taken(name, id, now)).collect();
                self.carry_out(out);
            }
            Done::Stretches(room, stretches) => self.on_stretches(room, stretches.unwrap_or_default()),
            Done::Knocked { room, name, id, what, events } => self.on_knocked(room, name, id, what, events),
            Done::Stored => {}
        }
    }

    /// Does what is due: shows, reads on, lets go, writes down.
    fn tick(&mut self) {
        let now = now_ms();
        let mut out = self.machine.tick(now);
        out.extend(self.pass_on_more());
        self.carry_out(out);
        let mut up = Vec::new();
        for (id, at) in &mut self.relays {
            let is_up = self.machine.is_up(id);
            if is_up && !std::mem::replace(&mut at.up, is_up) {
                (at.error, at.locked) = (None, false);
            }
            at.up = is_up;
            up.extend(is_up.then_some(at.relay.peer));
        }
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.tick_room(room, &up, now);
        }
        if now >= self.shown_ms.saturating_add(SHOW_MS) {
            self.shown_ms = now;
            self.show();
        }
    }

    fn tick_room(&mut self, room: RoomId, up: &[PeerId], now: u64) {
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        let rooms = self.parts.rooms.clone();
        if let Some(mails) = mail.intake.next(now) {
            let rooms = rooms.clone();
            self.asked.push(Box::pin(async move { Done::Shown(room, rooms.mail(room, mails).await) }));
        }
        if mail.tips.marker > mail.marker && now >= mail.marker_ms {
            (mail.marker, mail.marker_ms) = (mail.tips.marker, now.saturating_add(MARKER_EVERY_MS));
        }
        let over = mail.feed.done(up, now);
        let tips = Tips { marker: mail.marker, ..mail.tips };
        if !mail.reading
            && now >= mail.full_until_ms
            && mail.plan.member
            && let Some(after) = mail.feed.next(up, &tips, now)
        {
            mail.reading = true;
            let rooms = rooms.clone();
            self.asked.push(Box::pin(async move { Done::Stretches(room, rooms.stretches(room, after).await) }));
        }
        let sent = mail.feed.sent_up_to();
        if sent > mail.told_sent {
            mail.told_sent = sent;
            let rooms = rooms.clone();
            self.asked.push(Box::pin(async move {
                rooms.stored(room, sent).await;
                Done::Stored
            }));
        }
        if let Some((name, id, bytes)) = mail.knocks.next(now) {
            self.asked.push(Box::pin(async move {
                let what = rooms.knock_at_door(room, PeerId::from_key(name.key), bytes.into()).await;
                let events = match &what {
                    Ok(knocked) if knocked.came.is_some() => rooms.snapshot(room).await,
                    _ => Vec::new(),
                };
                Done::Knocked { room, name, id, what, events }
            }));
        }
        if mail.dirty_ms.is_some_and(|since| now >= since.saturating_add(MAIL_KEPT_MS)) {
            mail.dirty_ms = None;
            let (store, batch) = (self.parts.store.clone(), mail.kept.store(room));
            self.asked.push(Box::pin(async move {
                if let Err(error) = store.commit(batch).await {
                    tracing::warn!(%error, "what was read of mailboxes could not be remembered");
                }
                Done::Stored
            }));
        }
        over.iter().for_each(|(name, id)| self.machine.unput(name, id));
    }

    /// When something is due, if nothing happens before.
    fn due_ms(&self) -> u64 {
        let now = now_ms();
        let of = |mail: &RoomMail| {
            let marker = (mail.tips.marker > mail.marker).then_some(mail.marker_ms);
            let dirty = mail.dirty_ms.map(|since| since.saturating_add(MAIL_KEPT_MS));
            [marker, dirty, mail.intake.due_ms(), mail.knocks.due_ms(), mail.feed.due_ms(now)]
        };
        let rooms = self.rooms.values().flat_map(of).flatten().min();
        // A moment at least: what is due and can not be done yet does not spin.
        let due = [rooms, self.machine.next_ms(), self.door_reads.due_ms(now)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(u64::MAX);
        due.clamp(now.saturating_add(MAIL_LOOK_MS), now.saturating_add(SHOW_MS.max(1_000)))
    }

    /// Writes down what is remembered of all rooms.
    async fn keep_all(&mut self) {
        for (room, mail) in self.rooms.iter().filter(|(_, mail)| mail.dirty_ms.is_some()) {
            let _ = self.parts.store.commit(mail.kept.store(*room)).await;
        }
    }
}
