//! One room as a worker holds it, and the turn in which something happens to it.
//!
//! An [`Entry`] is the state machine of the room with everything that lives as long as it: sync sessions, what others
//! have told of their progress, unread count. A [`Turn`] lends it to a handler together with the worker's outbox; what
//! the handler wants done outside (commit, read, send) it leaves in [`Turn::jobs`], which the worker carries out in
//! order. Handlers therefore never wait.

use std::collections::{HashMap, HashSet};

use parlor_api::Problem;
use parlor_crypto::wrap::GossipKey;
use parlor_net::{GossipToken, PeerId, Topic, Verdict};
use parlor_proto::binding::Binding;
use parlor_proto::gossip::{Coalescer, Unreached};
use parlor_proto::hlc::Hlc;
use parlor_proto::marker::{Marker, Throttle};
use parlor_proto::outbox::Outbox;
use parlor_proto::presence::{Listener, Speaker};
use parlor_proto::room::{Early, MessageTip, Room, RoomParts, Standing};
use parlor_proto::sync::{Guard, Series, Session, Tables, Tip};
use parlor_proto::wire::SeriesKind;
use parlor_proto::{AccountId, DeviceId, RoomId, event::Event};
use parlor_storage::{Batch, Chain, Namespace, Position, ReadError, Store};
use serde::{Deserialize, Serialize};

use super::attention::{KeptDraft, Wanted};
use super::fading::Lately;
use super::gossip::Hearing;
use super::key_asks::KeyAsks;
use super::message::Wish;
use super::opening::Opening;
use super::profiles::RoomProfiles;
use super::settle::Settle;
use super::unread::Unread;
use super::worker::Context;
use crate::home_damaged;
use crate::services::mailboxes::Tips;

/// Names of what is stored beside the events of a room.
pub(super) mod names {
    /// Our read marker: [`super::ReadMark`].
    pub(crate) const READ: &[u8] = b"read";
    /// Ids of the messages that came when what stands after them was read, and were not read since.
    pub(crate) const LATE: &[u8] = b"late";
    /// When the room calls and where it stands in the list: [`super::super::attention::Wanted`].
    pub(crate) const WANTED: &[u8] = b"wanted";
    /// What was written and not sent: [`super::super::attention::KeptDraft`].
    pub(crate) const DRAFT: &[u8] = b"draft";
    /// Begins the names of rows that say that somebody deleted a message, and its keys may be here still.
    pub(crate) const DELETED: &[u8] = b"deleted|";
    /// Keys came, and what waited for them was not opened to its end: see [`super::super::opening`].
    pub(crate) const OPENING: &[u8] = b"opening";
    /// What members told of who left before it came: [`super::super::promised`].
    pub(crate) const PROMISED: &[u8] = b"promised";
    /// Control events beside the log of a device that wrote two of one number, by id.
    pub(crate) const FORK: &[u8] = b"fork";

    pub(crate) fn deleted(id: &parlor_proto::EventId) -> Vec<u8> {
        [DELETED, id.as_bytes()].concat()
    }

    pub(crate) fn fork(id: &parlor_proto::EventId) -> Vec<u8> {
        [FORK, id.as_bytes()].concat()
    }
}

/// How far the user of this account has read.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct ReadMark {
    /// Its place on the timeline, and the message there.
    pub(super) order: u64,
    pub(super) message: Option<parlor_proto::EventId>,
}

/// A session with one peer.
pub(super) struct Linked {
    pub(super) session: Session,
    pub(super) channel: u16,
    /// Proved, and known to the outbox as a connected member.
    pub(super) device: Option<DeviceId>,
    /// What a former member may know of the tables: as they were when it was put out.
    pub(super) cut: Option<Tables>,
    /// How many control events there were when that was worked out of tables that held them all: it costs a resolution of the room,
    /// at worst.
    pub(super) cut_at: Option<usize>,
    /// Events with bad signatures that it brought.
    pub(super) bad_copies: usize,
    /// Whether gossip brings what it writes.
    pub(super) hearing: Hearing,
    /// What it lacks, and could not be read just then.
    pub(super) unread: Option<super::sessions::Unread>,
    /// It was asked for its newest page.
    pub(super) asked_newest: bool,
}

/// One room as a worker holds it.
pub(super) struct Entry {
    pub(super) room: Room,
    /// How far each series is durable here.
    pub(super) tables: Tables,
    /// How far each control log was handed to the store.
    pub(super) control_tips: HashMap<DeviceId, u64>,
    /// Control events handed to the store since it was loaded.
    pub(super) handed: usize,
    pub(super) sessions: HashMap<PeerId, Linked>,
    /// What members told of who are connected no more.
    pub(super) promised: super::promised::Promised,
    pub(super) coalescer: Coalescer,
    /// Devices of members to whom we are not connected: others forward our gossip to them.
    pub(super) unreached: Unreached,
    /// Key under which the room gossiped before the present one: what replaces an epoch is wrapped under it.
    pub(super) gossip_key: Option<GossipKey>,
    pub(super) former_gossip_key: Option<GossipKey>,
    /// Devices that see another room in the same events.
    pub(super) split: std::collections::BTreeSet<DeviceId>,
    /// The newest marker of each device, ours included.
    pub(super) markers: HashMap<DeviceId, Marker>,
    /// The newest peer binding of each device, ours included.
    pub(super) bindings: HashMap<DeviceId, Binding>,
    /// What members tell of themselves, and we.
    pub(super) profiles: Box<RoomProfiles>,
    /// Devices whose marker names a head that is not here yet.
    pub(super) unresolved: HashSet<DeviceId>,
    pub(super) resolving: super::delivery::Resolving,
    pub(super) throttle: Throttle,
    /// Clock readings of our newest messages, to tell which of them a read marker covers: (number, clock).
    pub(super) own_clock: std::collections::VecDeque<(u64, Hlc)>,
    pub(super) read: ReadMark,
    pub(super) unread: Unread,
    /// When messages that came lately disappear.
    pub(super) lately: Lately,
    /// When the room calls, and where it stands in the list.
    pub(super) wanted: Wanted,
    /// What was written and not sent.
    pub(super) draft: KeptDraft,
    /// What we say of what the user does right now,
    pub(super) speaker: Speaker,
    /// and what others said of themselves.
    pub(super) listener: Listener,
    /// Who is shown as there; the others are not.
    pub(super) shown_presence: HashMap<AccountId, parlor_api::Presence>,
    /// When gossip brought a marker of each device last.
    pub(super) heard_markers: HashMap<DeviceId, u64>,
    pub(super) last: Option<(Position, parlor_api::Message)>,
    /// Messages that are looked at because something was said about them, and whether more was since.
    pub(super) touched: HashMap<parlor_proto::EventId, bool>,
    /// Messages that somebody deleted and whose keys may be here still, as far as a row on the disk says so; and whether what deletes
    /// them is durable.
    pub(super) deleted: HashMap<parlor_proto::EventId, bool>,
    /// The changes made since the room was loaded: after one that could not be stored none of the later ones is.
    pub(super) chain: Chain,
    /// Batches handed to the store and not durable yet.
    pub(super) committing: usize,
    /// How far messages that waited for their keys are opened.
    pub(super) opening: Opening,
    /// When it is looked again for what fences pin: it could not be read.
    pub(super) pins_again_ms: Option<u64>,
    /// Nothing is stored on our own account before: a change could not be stored. 0 if all is well.
    pub(super) rest_until_ms: u64,
    /// Whether anything may be written yet, and what clients want written meanwhile.
    pub(super) guard: Guard,
    pub(super) held: Vec<Wish>,
    /// When the room's machine wants to be looked after.
    pub(super) maintain_ms: Option<u64>,
    /// How often pages and keys that are missing were asked for.
    pub(super) key_asks: KeyAsks,
    /// When the members are no longer dialled, of a room that we are out of.
    pub(super) part_ms: Option<u64>,
    /// The deadline that the worker has noted for this room.
    pub(super) noted_ms: Option<u64>,
    /// How many events of the room are told and not here, and how many messages are shown early, as last shown.
    pub(super) shown_want: (u64, u32, bool),
    /// Messages that are shown before the log reaches them, and the place in memory for them.
    pub(super) early: Early,
    pub(super) early_place: Option<super::early::EarlyPlace>,
    /// The order of the last line when nothing was known to be missing.
    pub(super) whole_to: u64,
    /// When it was looked last whether somebody owes enough to be asked.
    pub(super) early_looked_ms: u64,
    pub(super) topics: Vec<Topic>,
    /// Whether the mailboxes service knows of this room: it has mailboxes, or is not here yet.
    pub(super) mailed: bool,
    /// The slices whose boxes are read, as last told,
    pub(super) slices_mark: (Option<parlor_proto::room::Slice>, usize),
    /// and how far our own logs are durable, as last told.
    pub(super) told_tips: Tips,
    /// Who asks to come in here.
    pub(super) requests: Box<super::requests::Requests>,
    /// What is left at the doors of our instant invites, and is not at the relays yet.
    pub(super) parts: super::instant::Parts,
}

/// What a handler wants done outside.
pub(super) enum Job {
    /// Put a frame on a peer's stream.
    Send { peer: PeerId, frame: Vec<u8> },
    /// Publish on a topic.
    Publish { topic: Topic, data: Vec<u8> },
    /// Judge a gossip message.
    Judge { token: GossipToken, verdict: Verdict },
    /// Count something against a peer and drop it.
    Drop { peer: PeerId, weight: u32 },
    /// Commit, then settle. An empty batch settles after all before it.
    Commit { room: RoomId, batch: Batch, settle: Box<Settle> },
    /// Read beside the writer, then go on with what was read.
    Read { room: RoomId, read: Box<dyn FnOnce(&Store) -> After + Send> },
    /// Ask a connected peer for somebody who wants in, then go on with the answer.
    Ask { room: RoomId, peer: PeerId, knock: Vec<u8>, after: OnAnswer },
    /// Tell the peers service about this room: its topic secret and topics.
    Announce { room: RoomId },
    /// A member's device is behind this connection.
    Proved { room: RoomId, peer: PeerId },
    /// Whether a member's device is connected now.
    Company { room: RoomId, any: bool },
    /// A member's device says where it can be reached.
    Reachable { room: RoomId, binding: Binding },
    /// Whether members of the room are dialled on our own account.
    Want { room: RoomId, wanted: bool },
    /// Nobody of the room is connected: look for members.
    Seek { room: RoomId },
    /// Something the outbox wants done, in whatever room.
    Outbox(parlor_proto::outbox::Out),
}

/// What to do in the room with what was read.
pub(super) type After = Box<dyn FnOnce(&mut Turn<'_>) + Send>;

/// What to do in the room with what a peer answered; nothing if it did not.
pub(super) type OnAnswer = Box<dyn FnOnce(&mut Turn<'_>, &[u8]) + Send>;

/// A turn: something happens to a room.
pub(super) struct Turn<'a> {
    pub(super) entry: &'a mut Entry,
    pub(super) outbox: &'a mut Outbox,
    pub(super) context: &'a Context,
    pub(super) jobs: &'a mut Vec<Job>,
    pub(super) now_ms: u64,
}

impl Turn<'_> {
    /// The room.
    pub(super) fn id(&self) -> RoomId {
        self.entry.room.id()
    }

    /// Has something read beside the writer.
    pub(super) fn read(&mut self, read: impl FnOnce(&Store) -> After + Send + 'static) {
        let room = self.id();
        self.jobs.push(Job::Read { room, read: Box::new(read) });
    }
}

impl Entry {
    /// An entry for a room of which nothing is stored yet.
    pub(super) fn new(mut room: Room) -> Self {
        room.seal_with(super::cores::over_cores);
        Self {
            room,
            tables: Tables::new(),
            split: std::collections::BTreeSet::new(),
            control_tips: HashMap::new(),
            sessions: HashMap::new(),
            promised: Default::default(),
            coalescer: Coalescer::default(),
            unreached: Unreached::default(),
            gossip_key: None,
            former_gossip_key: None,
            markers: HashMap::new(),
            bindings: HashMap::new(),
            profiles: Box::default(),
            unresolved: HashSet::new(),
            resolving: super::delivery::Resolving::default(),
            throttle: Throttle::default(),
            own_clock: std::collections::VecDeque::new(),
            read: ReadMark::default(),
            unread: Unread::default(),
            lately: Lately::default(),
            wanted: Wanted::default(),
            draft: KeptDraft::default(),
            speaker: Speaker::default(),
            listener: Listener::default(),
            shown_presence: HashMap::new(),
            heard_markers: HashMap::new(),
            last: None,
            touched: HashMap::new(),
            deleted: HashMap::new(),
            chain: Chain::default(),
            committing: 0,
            opening: Opening::default(),
            pins_again_ms: None,
            handed: 0,
            rest_until_ms: 0,
            guard: Guard::open(),
            held: Vec::new(),
            maintain_ms: Some(0),
            key_asks: KeyAsks::default(),
            part_ms: None,
            noted_ms: None,
            shown_want: (0, 0, false),
            early: Early::default(),
            early_place: None,
            whole_to: 0,
            early_looked_ms: 0,
            topics: Vec::new(),
            mailed: false,
            slices_mark: (None, 0),
            told_tips: Tips::default(),
            requests: Box::default(),
            parts: Default::default(),
        }
    }

    /// The room as the store holds it. Blocks.
    pub(super) fn load(context: &Context, id: RoomId) -> Result<Self, Problem> {
        let store = &context.store;
        let parts = parts(store, id)?;
        let room = Room::restore(context.identity.now(), parts)
            .map_err(|error| home_damaged(format!("room {} can not be restored: {error}", id.short())))?;
        let mut entry = Self::new(room);
        entry.load_pins(store);
        let tips = store.tips(&id).map_err(damaged)?.control;
        entry.control_tips = tips.into_iter().map(|tip| (tip.device, tip.seq)).collect();
        if super::damaged::was_thrown_away(store, &id)? {
            entry.guard = Guard::until_compared();
        }
        entry.fill_tables();
        // Members tell these again: one that does not open keeps nobody from the room.
        for (_, bytes) in store.scan_readable(Some(&id), Namespace::Marker).map_err(damaged)? {
            let Ok(marker) = Marker::decode(&id, &bytes) else { continue };
            entry.note_marker(marker);
        }
        for (_, bytes) in store.scan_readable(Some(&id), Namespace::Peer).map_err(damaged)? {
            let Ok(binding) = Binding::decode(&id, &bytes) else { continue };
            let tip = Tip { seq: binding.counter, id: [0; 32] };
            entry.tables.advance(Series::binding(binding.device), tip);
            entry.bindings.insert(binding.device, binding);
        }
        entry.load_profiles(store)?;
        let requests = store.scan(Some(&id), Namespace::Invite, b"request").map_err(damaged)?;
        *entry.requests = super::requests::Requests::load(requests.iter().map(|(_, bytes)| bytes.as_ref()));
        let declined = |invite: &_, account: &_| entry.room.declined(invite, account).is_some();
        entry.requests.follow(declined);
        let parts = store.scan(Some(&id), Namespace::Invite, super::instant::PREFIX).map_err(damaged)?;
        entry.parts = super::instant::decode(parts);
        let meta = |name| store.get(Some(&id), Namespace::Meta, name).map_err(damaged);
        entry.promised = super::promised::Promised::decode(meta(names::PROMISED)?.map(|row| row.to_vec()));
        entry.forget_former();
        entry.unresolved =
            entry.markers.keys().copied().filter(|device| *device != context.identity.device()).collect();
        if let Some(bytes) = meta(names::READ)? {
            entry.read = parlor_proto::codec::decode(&bytes, 64).unwrap_or_default();
        }
        entry.wanted = super::attention::decode(meta(names::WANTED)?);
        entry.draft = super::attention::decode(meta(names::DRAFT)?);
        let deleted = store.scan(Some(&id), Namespace::Meta, names::DELETED).map_err(damaged)?.into_iter();
        let deleted = deleted.filter_map(|(name, _)| name.strip_prefix(names::DELETED)?.try_into().ok());
        entry.deleted = deleted.map(|id| (parlor_proto::EventId(id), true)).collect();
        entry.opening.noted = meta(names::OPENING)?.is_some();
        entry.count_unread(context, store)?;
        entry.load_own_clock(store)?;
        // Whatever is stored and was not told before the end of the last run is told now.
        entry.throttle.touch();
        Ok(entry)
    }

    /// Takes a marker as the newest of its device, and notes it in the tables.
    pub(super) fn note_marker(&mut self, marker: Marker) {
        self.tables.advance(Series::marker(marker.device), Tip { seq: marker.counter, id: [0; 32] });
        self.markers.insert(marker.device, marker);
    }

    /// Markers, bindings and profiles of devices that are no member's count no more: nobody who comes later takes them.
    pub(super) fn forget_former(&mut self) {
        let room = &self.room;
        let stays = |device: &DeviceId| *device == room.me().device() || room.standing(device) == Standing::Live;
        self.tables.retain_records(stays);
        self.markers.retain(|device, _| stays(device));
        self.bindings.retain(|device, _| stays(device));
        self.profiles.retain(stays);
        self.unresolved.retain(stays);
        self.listener.retain(stays);
        self.promised.retain(stays);
        self.heard_markers.retain(|device, _| stays(device));
    }

    /// Whether something is due in this room, and when.
    pub(super) fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        let of = |linked: &Linked| {
            [linked.session.next_deadline(), linked.hearing.due(), linked.unread.as_ref().map(|it| it.at_ms)]
        };
        let sessions = self.sessions.values().flat_map(of).flatten().min();
        let marker = self.throttle.due(self.room.n_members()).filter(|_| self.room.is_member());
        let marker = marker.map(|due| due.max(self.rest_until_ms));
        let rested = Some(self.rest_until_ms).filter(|until| *until != 0);
        let ours = [
            rested,
            self.coalescer.next_deadline(),
            self.maintain_ms,
            self.part_ms,
            self.guard.due(),
            self.requests.due(),
            self.early.due(),
            self.opening.due(),
            self.pins_again_ms,
        ];
        let said = self.speaker.due().filter(|_| self.is_heard());
        let attention = [said, self.listener.due(), self.wanted.due(now_ms)];
        let profile = self.profiles.due(self.room.is_member()).map(|due| due.max(self.rest_until_ms));
        [sessions, marker, profile].into_iter().chain(ours).chain(attention).flatten().min()
    }

    /// Whether nothing is stored on our own account now.
    pub(super) fn rests(&self, now_ms: u64) -> bool {
        now_ms < self.rest_until_ms
    }

    /// Devices of members that are connected.
    pub(super) fn connected(&self) -> HashSet<DeviceId> {
        self.sessions.values().filter_map(|linked| linked.device).collect()
    }

    fn fill_tables(&mut self) {
        for tip in self.room.tips() {
            let kind = match tip.log.kind {
                parlor_proto::event::LogKind::Control => SeriesKind::Control,
                parlor_proto::event::LogKind::Message => SeriesKind::Message,
            };
            let series = Series { kind, device: tip.log.device };
            self.tables.advance(series, Tip { seq: tip.seq, id: tip.id.0 });
        }
        for leaf in self.room.leafs() {
            self.tables.advance(Series::leaf(DeviceId(leaf.device)), Tip { seq: leaf.counter, id: [0; 32] });
        }
        self.note_view();
    }

    /// Tells in the tables what the control logs mean together, as far as both are of the same events.
    pub(super) fn note_view(&mut self) {
        self.tables.mean(self.room.n_control(), &self.room.fingerprint());
    }

    /// Clock readings of our newest messages. Blocks.
    fn load_own_clock(&mut self, store: &Store) -> Result<(), Problem> {
        let (id, device) = (self.room.id(), self.room.me().device());
        let to = self.tables.seq(&Series::messages(device));
        let from = to.saturating_sub(OWN_CLOCK as u64 / 4) + 1;
        let (mut rows, mut next) = (Vec::new(), from);
        while next <= to {
            let want = parlor_storage::Want { device, from: next, to };
            let read = store.missing(&id, parlor_storage::LogKind::Message, &[want], usize::MAX).map_err(damaged)?;
            // What is not given at the end does not open, and takes no others along.
            next = read.last().map_or(next, |row| row.seq + 1) + 1;
            rows.extend(read);
        }
        self.own_clock = rows.iter().map(|row| (row.seq, Hlc(row.rank))).collect();
        Ok(())
    }
}

/// Own messages whose clock is remembered, to tell which are read: older ones are taken for read with them.
pub(super) const OWN_CLOCK: usize = 4_096;

/// What the store holds of a room. Blocks.
pub(crate) fn parts(store: &Store, id: RoomId) -> Result<RoomParts, Problem> {
    let event = |bytes: &[u8]| {
        Event::decode(&id, bytes)
            .map_err(|error| home_damaged(format!("a stored event of room {}: {error}", id.short())))
    };
    let mut control = Vec::new();
    for row in store.control(&id).map_err(damaged)? {
        control.push(event(&row.bytes)?);
    }
    let forks = store.scan(Some(&id), Namespace::Meta, names::FORK).map_err(damaged)?;
    if !forks.is_empty() {
        for (_, bytes) in forks {
            control.push(event(&bytes)?);
        }
        // Ancestors before descendants.
        control.sort_by_key(|event| event.control().map(|header| header.lamport));
    }
    let mut tips = Vec::new();
    for tip in store.tips(&id).map_err(damaged)?.message {
        let row = store.message(&id, &tip.id).map_err(damaged)?;
        let row = row.ok_or_else(|| home_damaged(format!("the end of a log of room {} is missing", id.short())))?;
        tips.push(MessageTip { path: tip.device, event: event(&row.bytes)?, covers_own: row.covers_own });
    }
    let heads = store.get(Some(&id), Namespace::Meta, parlor_storage::HEADS).map_err(damaged)?.unwrap_or_default();
    let keys = store.scan(Some(&id), Namespace::Keys, &[]).map_err(damaged)?;
    let keys = keys.into_iter().map(|(name, row)| (name, zeroize::Zeroizing::new(row))).collect();
    Ok(RoomParts { room: id, control, tips, heads, keys })
}

/// A failed read, as people see it.
pub(super) fn damaged(error: ReadError) -> Problem {
    match error {
        ReadError::Closed => Problem::of(parlor_api::Code::Stopping),
        other => home_damaged(other.to_string()),
    }
}
