//! The control DAG: all control events of a room that are valid by themselves, with what follows from them statically.
//!
//! Every event has its ancestors in the DAG before it ([`Dag::insert`] answers what is missing otherwise), and every
//! static fact about it (who wrote it, under which grant, which grant it makes) is worked out once, when it is inserted.
//! What those facts *mean* when events contradict each other is decided in [`crate::resolve`].
//!
//! Whether one event lies in the past of another is a bit in the other's set of ancestors, so it costs one look whatever
//! the shape of the DAG and however often a device forked its log. Sets share what they have in common, so an event takes
//! some 200 bytes for it, and a pointer for every 1,024 events before it.

mod ends;
mod grants;
mod kinds;
mod proofs;
mod reads;
mod set;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use self::ends::Reach;
use self::grants::Grants;
pub use self::grants::{Grant, GrantIdx};
pub use self::kinds::Kinds;
pub use self::set::Set;
use crate::control::{
    Control, DIRECT_POLICY, Direct, Entrant, Genesis, Inception, Invite, LeafRecord, Policy, RoomKind, Rotate,
};
use crate::event::Event;
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use crate::limits;
use crate::validity::{self, Invalid, Papers};

/// The place of an event in the order of acceptance.
pub type NodeIdx = usize;
/// The number of a device in the order of its first certificate here. Means nothing on another node.
pub type DeviceNo = usize;

/// An accepted event.
#[derive(Debug)]
pub struct Node {
    /// The event.
    pub event: Event,
    /// Its payload.
    pub control: Control,
    /// Whose device wrote it.
    pub author: AccountId,
    /// The grant it was made under; none for the genesis and unknown kinds.
    pub auth: Option<GrantIdx>,
    /// 1 + the greatest before it.
    pub lamport: u64,
    /// The author's clock.
    pub ts_ms: u64,
    /// All its ancestors, without itself.
    pub past: Set,
}

/// A device of an account.
#[derive(Debug, Clone)]
pub struct DeviceEntry {
    /// The device.
    pub device: DeviceId,
    /// Every certificate: the event it came in, the account.
    pub certs: Vec<(NodeIdx, AccountId)>,
    /// What its owner calls it.
    pub name: String,
    /// The leaf key it came with, or came again with.
    pub leaf: LeafRecord,
}

/// What became of an event that was to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insert {
    /// It is in now.
    New(NodeIdx),
    /// It was in already.
    Known,
    /// Ancestors are missing: insert them first.
    Missing(Vec<EventId>),
    /// It breaks the rules whatever comes.
    Invalid(Invalid),
}

/// The control DAG of a room.
#[derive(Debug)]
pub struct Dag {
    room: RoomId,
    nodes: Vec<Node>,
    index: HashMap<EventId, NodeIdx>,
    /// Events that nothing is built on.
    frontier: BTreeSet<EventId>,
    /// Every device's log in order of acceptance.
    logs: BTreeMap<DeviceId, Vec<NodeIdx>>,
    grants: Grants,
    /// What each account began with.
    inceptions: HashMap<AccountId, Inception>,
    devices: Vec<DeviceEntry>,
    device_nos: HashMap<DeviceId, DeviceNo>,
    devices_of: HashMap<AccountId, Vec<DeviceNo>>,
    leaf_owners: HashMap<[u8; 32], Vec<(NodeIdx, DeviceId)>>,
    epochs: HashMap<EpochId, NodeIdx>,
    forked: BTreeSet<DeviceId>,
    kinds: Kinds,
}

impl Dag {
    /// The empty DAG of a room.
    pub fn new(room: RoomId) -> Self {
        Self {
            room,
            nodes: Vec::new(),
            index: HashMap::new(),
            frontier: BTreeSet::new(),
            logs: BTreeMap::new(),
            grants: Grants::default(),
            inceptions: HashMap::new(),
            devices: Vec::new(),
            device_nos: HashMap::new(),
            devices_of: HashMap::new(),
            leaf_owners: HashMap::new(),
            epochs: HashMap::new(),
            forked: BTreeSet::new(),
            kinds: Kinds::default(),
        }
    }

    /// Inserts a control event whose signature the caller has checked.
    pub fn insert(&mut self, event: &Event) -> Insert {
        self.insert_with(event, Papers::Check)
    }

    /// Inserts an event that was accepted before and stored: signatures inside it were checked then.
    pub fn insert_stored(&mut self, event: &Event) -> Insert {
        self.insert_with(event, Papers::Known)
    }

    fn insert_with(&mut self, event: &Event, papers: Papers) -> Insert {
        let Some(header) = event.control() else { return Insert::Invalid(Invalid::Payload) };
        let id = event.id();
        if self.index.contains_key(&id) {
            return Insert::Known;
        }
        let first = header.seq == 1;
        let before = header.parents.iter().chain((!first).then_some(&header.prev));
        let missing: Vec<EventId> = before.clone().filter(|id| !self.index.contains_key(*id)).copied().collect();
        if !missing.is_empty() {
            return Insert::Missing(missing);
        }
        let before: Vec<NodeIdx> = before.filter_map(|id| self.index.get(id).copied()).collect();
        match validity::check(self, event, header, &before, papers) {
            Ok(node) => Insert::New(self.add(node)),
            Err(invalid) => Insert::Invalid(invalid),
        }
    }

    fn add(&mut self, node: Node) -> NodeIdx {
        let at = self.nodes.len();
        let id = node.event.id();
        if let Some(header) = node.event.control() {
            self.frontier.remove(&header.prev);
            header.parents.iter().for_each(|parent| {
                self.frontier.remove(parent);
            });
        }
        self.frontier.insert(id);
        self.index.insert(id, at);
        let log = self.logs.entry(node.event.device()).or_default();
        if node.event.seq() <= log.len() as u64 {
            self.forked.insert(node.event.device());
        }
        log.push(at);
        self.add_papers(at, &node);
        self.add_grants(at, &node);
        self.add_kind(at, &node);
        self.nodes.push(node);
        at
    }

    /// Certificates, revocations, proofs: what an event says about devices.
    fn add_papers(&mut self, at: NodeIdx, node: &Node) {
        match &node.control {
            Control::Genesis(genesis) => genesis.owners.iter().for_each(|owner| self.add_entrant(at, owner)),
            Control::Admit(admit) => self.add_entrant(at, &admit.join.entrant),
            Control::Direct(direct) => {
                self.inceptions.extend(direct.accounts.iter().map(|account| (AccountId(account.account()), *account)));
            }
            Control::AccountUpdate(update) => {
                for new in &update.devices {
                    self.add_device(at, AccountId(new.cert.account), new.device(), &new.cert.name, new.leaf);
                }
            }
            Control::EquivProof(proof) => {
                if let Some(shown) = proof.shows(&self.room) {
                    self.forked.insert(shown.log.device);
                    self.kinds.proofs.entry(shown.log).or_default().add(at, shown);
                }
            }
            _ => {}
        }
    }

    fn add_entrant(&mut self, at: NodeIdx, entrant: &Entrant) {
        self.inceptions.insert(entrant.account(), entrant.account);
        self.add_device(at, entrant.account(), entrant.device(), &entrant.cert.name, entrant.leaf);
    }

    fn add_device(&mut self, at: NodeIdx, account: AccountId, device: DeviceId, name: &str, leaf: LeafRecord) {
        self.leaf_owners.entry(leaf.leaf_pk).or_default().push((at, device));
        let next = self.devices.len();
        let no = *self.device_nos.entry(device).or_insert(next);
        if no == next {
            self.devices.push(DeviceEntry { device, certs: Vec::new(), name: name.to_owned(), leaf });
        }
        let entry = &mut self.devices[no];
        // Whoever comes again may have another leaf key by then.
        if (leaf.counter, leaf.leaf_pk) > (entry.leaf.counter, entry.leaf.leaf_pk) {
            entry.leaf = leaf;
        }
        entry.certs.push((at, account));
        let theirs = self.devices_of.entry(account).or_default();
        if !theirs.contains(&no) {
            theirs.push(no);
        }
    }
}

impl Dag {
    /// The room.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// How many events are in it.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether not even the genesis is in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The event at `at`, which this DAG has answered.
    pub fn node(&self, at: NodeIdx) -> &Node {
        &self.nodes[at]
    }

    /// All events in order of acceptance.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where the event is, if it is in.
    pub fn find(&self, id: &EventId) -> Option<NodeIdx> {
        self.index.get(id).copied()
    }

    /// Events that nothing is built on, ascending.
    pub fn frontier(&self) -> &BTreeSet<EventId> {
        &self.frontier
    }

    /// Whether `a` is an ancestor of `b`, or `b` itself.
    pub fn in_past(&self, a: NodeIdx, b: NodeIdx) -> bool {
        a == b || self.nodes[b].past.has(a)
    }

    /// All ancestors of the events `heads`, with themselves.
    pub fn past_of(&self, heads: impl IntoIterator<Item = NodeIdx>) -> Set {
        let mut past = Set::default();
        for head in heads {
            past.put_all(&self.nodes[head].past);
            past.put(head);
        }
        past
    }

    /// All events, as a view.
    pub fn everything(&self) -> Set {
        Set::below(self.nodes.len())
    }

    /// Every device with control events, with the places of its events in order of acceptance.
    pub fn logs(&self) -> &BTreeMap<DeviceId, Vec<NodeIdx>> {
        &self.logs
    }

    /// The end of a device's log: of a forked one the longer branch, of equally long ones that with the smaller id.
    pub fn tip(&self, device: &DeviceId) -> Option<&Node> {
        let log = self.logs.get(device)?;
        if !self.forked.contains(device) {
            return log.last().map(|at| &self.nodes[*at]);
        }
        let log = log.iter().map(|at| &self.nodes[*at]);
        log.max_by_key(|node| (node.event.seq(), std::cmp::Reverse(node.event.id())))
    }

    /// The devices that wrote two events with one sequence number.
    pub fn forked(&self) -> &BTreeSet<DeviceId> {
        &self.forked
    }

    /// All devices by number.
    pub fn devices(&self) -> &[DeviceEntry] {
        &self.devices
    }

    /// The number of a device.
    pub fn device_no(&self, device: &DeviceId) -> Option<DeviceNo> {
        self.device_nos.get(device).copied()
    }

    /// The devices that were ever certified for an account, by their numbers.
    pub fn devices_of(&self, account: &AccountId) -> &[DeviceNo] {
        self.devices_of.get(account).map_or(&[], Vec::as_slice)
    }

    /// What an account of the room began with.
    pub fn inception(&self, account: &AccountId) -> Option<&Inception> {
        self.inceptions.get(account)
    }

    /// Whose device it is, by the certificates in `view`; of several the one that came first in the room's order.
    pub fn account_in(&self, device: DeviceNo, view: &Set) -> Option<AccountId> {
        self.account_where(device, |at| view.has(at))
    }

    /// As [`account_in`](Self::account_in), with the view as a question.
    pub fn account_where(&self, device: DeviceNo, in_view: impl Fn(NodeIdx) -> bool) -> Option<AccountId> {
        self.first_cert(device, in_view).map(|(_, account)| account)
    }

    /// Where the certificate stands in the room's order that says whose device it is; nothing on a device without one.
    pub fn came_in(&self, device: DeviceNo, in_view: impl Fn(NodeIdx) -> bool) -> Option<(u64, EventId, DeviceId)> {
        let (at, _) = self.first_cert(device, in_view)?;
        Some((self.nodes[at].lamport, self.nodes[at].event.id(), self.devices.get(device)?.device))
    }

    fn first_cert(&self, device: DeviceNo, in_view: impl Fn(NodeIdx) -> bool) -> Option<(NodeIdx, AccountId)> {
        let certs = self.devices.get(device)?.certs.iter().filter(|(at, _)| in_view(*at));
        certs.min_by_key(|(at, _)| (self.nodes[*at].lamport, self.nodes[*at].event.id())).copied()
    }

    /// Who came with this leaf key, and where.
    pub fn leaf_owners(&self, leaf_pk: &[u8; 32]) -> &[(NodeIdx, DeviceId)] {
        self.leaf_owners.get(leaf_pk).map_or(&[], Vec::as_slice)
    }

    /// The Rotate that made an epoch.
    pub fn epoch(&self, epoch: &EpochId) -> Option<(NodeIdx, &Rotate)> {
        let at = *self.epochs.get(epoch)?;
        match &self.nodes[at].control {
            Control::Rotate(rotate) => Some((at, rotate)),
            _ => None,
        }
    }

    /// An invite.
    pub fn invite(&self, id: &EventId) -> Option<(NodeIdx, &Invite)> {
        let at = self.find(id)?;
        match &self.nodes[at].control {
            Control::Invite(invite) => Some((at, invite)),
            _ => None,
        }
    }

    /// The genesis.
    pub fn genesis(&self) -> Option<&Genesis> {
        match &self.nodes.first()?.control {
            Control::Genesis(genesis) => Some(genesis),
            _ => None,
        }
    }

    /// What a direct chat begins with; `None` for other rooms.
    pub fn direct(&self) -> Option<&Direct> {
        match &self.nodes.first()?.control {
            Control::Direct(direct) => Some(direct),
            _ => None,
        }
    }

    /// What sort of room.
    pub fn kind(&self) -> Option<RoomKind> {
        let direct = self.direct().map(|_| RoomKind::Direct);
        direct.or_else(|| self.genesis().map(|genesis| genesis.kind))
    }

    /// The settings fixed at the beginning.
    pub fn policy(&self) -> Option<&Policy> {
        let direct = self.direct().map(|_| &DIRECT_POLICY);
        direct.or_else(|| self.genesis().map(|genesis| &genesis.policy))
    }

    /// Events by what they are.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Whether somebody who knows `view` may be let in at this slice of an epoch: the one after the last that may be written in.
    pub fn slice_in_reach(&self, epoch: &EpochId, slice: u32, view: &Set) -> bool {
        let Some(before) = slice.checked_sub(limits::SLICE_REACH + 1).filter(|before| *before > 0) else { return true };
        // The last one is the highest, as a rule.
        let admits = self.kinds.slices.get(epoch).map_or(&[][..], Vec::as_slice);
        admits.iter().rev().any(|(at, opened)| *opened >= before && view.has(*at))
    }

    /// The highest slice that admissions in `view` have opened in an epoch.
    pub fn admitted_slice(&self, epoch: &EpochId, view: &Set) -> u32 {
        let admits = self.kinds.slices.get(epoch).map_or(&[][..], Vec::as_slice);
        admits.iter().filter(|(at, _)| view.has(*at)).map(|(_, slice)| *slice).max().unwrap_or(0)
    }
}
