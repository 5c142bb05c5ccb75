//! The control DAG: all control events of a room that are valid by themselves, with what follows from them statically.
//!
//! Every event has its ancestors in the DAG before it ([`Dag::insert`] answers what is missing otherwise), and every
//! static fact about it (who wrote it, under which grant, which grant it makes) is worked out once, when it is inserted.
//! What those facts *mean* when events contradict each other is decided in [`crate::resolve`].
//!
//! Whether one event lies in the past of another is a bit in the other's set of ancestors, so it costs one look whatever
//! the shape of the DAG and however often a device forked its log. `n` events take `n²/16` bytes: 60 KiB at 1,000.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::control::{Admit, Control, Entrant, Genesis, Invite, LeafRecord, Permissions, Policy, Power, Rotate};
use crate::event::Event;
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use crate::validity::{self, Invalid, Papers};

/// The place of an event in the order of acceptance.
pub type NodeIdx = usize;
/// The place of a grant in the order of acceptance.
pub type GrantIdx = usize;
/// The number of a device in the order of its first certificate here. Means nothing on another node.
pub type DeviceNo = usize;

/// A set of small numbers: of events, or of devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set(Vec<u64>);

impl Set {
    /// All numbers below `n`.
    pub fn below(n: usize) -> Self {
        let mut words = vec![u64::MAX; n / 64];
        if !n.is_multiple_of(64) {
            words.push((1 << (n % 64)) - 1);
        }
        Self(words)
    }

    /// Whether `n` is in it.
    pub fn has(&self, n: usize) -> bool {
        self.0.get(n / 64).is_some_and(|word| word & (1 << (n % 64)) != 0)
    }

    /// Puts `n` in.
    pub fn put(&mut self, n: usize) {
        if self.0.len() <= n / 64 {
            self.0.resize(n / 64 + 1, 0);
        }
        self.0[n / 64] |= 1 << (n % 64);
    }

    /// Puts all of `other` in.
    pub fn put_all(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// Whether everything in it is in `other`.
    pub fn within(&self, other: &Self) -> bool {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).all(|(mine, theirs)| mine & !theirs == 0)
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The numbers in it, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }
}

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

/// A right given to an account.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The event that gave it.
    pub op: NodeIdx,
    /// To whom.
    pub subject: AccountId,
    /// How strong.
    pub power: Power,
    /// What it permits.
    pub perms: Permissions,
    /// How far it may be delegated.
    pub max_depth: u8,
    /// The grant that this one hangs below in seniority; none for the first owners.
    pub parent: Option<GrantIdx>,
    /// How far below an owner.
    pub depth: u32,
    /// Orders the grants of one parent: place of the event in its log (of an owner: place in the genesis), and its id.
    pub rank: (u64, EventId),
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
    /// The leaf key it came with.
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
    grants: Vec<Grant>,
    grants_of: HashMap<AccountId, Vec<GrantIdx>>,
    devices: Vec<DeviceEntry>,
    device_nos: HashMap<DeviceId, DeviceNo>,
    leaf_owners: HashMap<[u8; 32], Vec<(NodeIdx, DeviceId)>>,
    epochs: HashMap<EpochId, NodeIdx>,
    forked: BTreeSet<DeviceId>,
    kinds: Kinds,
}

/// Events by what they are, so that resolution looks only at what concerns it.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Every invite.
    pub invites: Vec<NodeIdx>,
    /// The revocations of an invite.
    pub revokes: HashMap<NodeIdx, Vec<NodeIdx>>,
    /// The leaves of an account.
    pub leaves: HashMap<AccountId, Vec<NodeIdx>>,
    /// Every write of settings.
    pub states: Vec<NodeIdx>,
    /// Every epoch.
    pub rotates: Vec<NodeIdx>,
    /// The admissions in an epoch, with their slices.
    pub slices: HashMap<EpochId, Vec<(NodeIdx, u32)>>,
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
            grants: Vec::new(),
            grants_of: HashMap::new(),
            devices: Vec::new(),
            device_nos: HashMap::new(),
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
        match &node.control {
            Control::Genesis(genesis) => self.add_owners(at, id, genesis),
            Control::Invite(_) => self.kinds.invites.push(at),
            Control::InviteRevoke(revoke) => {
                if let Some(invite) = self.index.get(&revoke.invite) {
                    self.kinds.revokes.entry(*invite).or_default().push(at);
                }
            }
            Control::Admit(admit) => self.add_admit(at, &node, admit),
            Control::Leave(_) => self.kinds.leaves.entry(node.author).or_default().push(at),
            Control::State(_) => self.kinds.states.push(at),
            Control::Rotate(_) => {
                self.kinds.rotates.push(at);
                self.epochs.insert(EpochId::of(&id), at);
            }
            Control::Unknown(_) => {}
        }
        self.nodes.push(node);
        at
    }

    fn add_owners(&mut self, at: NodeIdx, id: EventId, genesis: &Genesis) {
        for (place, owner) in genesis.owners.iter().enumerate() {
            self.add_entrant(at, owner);
            self.add_grant(Grant {
                op: at,
                subject: owner.account(),
                power: Power::OWNER,
                perms: Permissions::ALL,
                max_depth: crate::limits::MAX_DEPTH,
                parent: None,
                depth: 0,
                rank: (place as u64, id),
            });
        }
    }

    fn add_admit(&mut self, at: NodeIdx, node: &Node, admit: &Admit) {
        self.add_entrant(at, &admit.join.entrant);
        self.kinds.slices.entry(admit.epoch).or_default().push((at, admit.slice));
        let Some((invite_node, invite)) = self.invite(&admit.invite) else { return };
        let (Some(sponsor), Some(inviter)) = (node.auth, self.nodes[invite_node].auth) else { return };
        let junior = if self.seniority(sponsor, inviter).is_lt() { inviter } else { sponsor };
        self.add_grant(Grant {
            op: at,
            subject: admit.join.entrant.account(),
            power: invite.power,
            perms: invite.perms,
            max_depth: invite.max_depth,
            parent: Some(junior),
            depth: self.grants[junior].depth + 1,
            rank: (node.event.seq(), node.event.id()),
        });
    }

    fn add_grant(&mut self, grant: Grant) {
        self.grants_of.entry(grant.subject).or_default().push(self.grants.len());
        self.grants.push(grant);
    }

    fn add_entrant(&mut self, at: NodeIdx, entrant: &Entrant) {
        let (device, account) = (entrant.device(), entrant.account());
        self.leaf_owners.entry(entrant.leaf.leaf_pk).or_default().push((at, device));
        if let Some(no) = self.device_nos.get(&device) {
            self.devices[*no].certs.push((at, account));
            return;
        }
        self.device_nos.insert(device, self.devices.len());
        let (name, leaf) = (entrant.cert.name.clone(), entrant.leaf);
        self.devices.push(DeviceEntry { device, certs: vec![(at, account)], name, leaf });
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

    /// All grants in order of acceptance.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// The grants given to an account.
    pub fn grants_of(&self, account: &AccountId) -> &[GrantIdx] {
        self.grants_of.get(account).map_or(&[], Vec::as_slice)
    }

    /// All devices by number.
    pub fn devices(&self) -> &[DeviceEntry] {
        &self.devices
    }

    /// The number of a device.
    pub fn device_no(&self, device: &DeviceId) -> Option<DeviceNo> {
        self.device_nos.get(device).copied()
    }

    /// Whose device it is, by the certificates in `view`; of several the one that came first in the room's order.
    pub fn account_in(&self, device: DeviceNo, view: &Set) -> Option<AccountId> {
        self.account_where(device, |at| view.has(at))
    }

    /// As [`account_in`](Self::account_in), with the view as a question.
    pub fn account_where(&self, device: DeviceNo, in_view: impl Fn(NodeIdx) -> bool) -> Option<AccountId> {
        let certs = self.devices.get(device)?.certs.iter().filter(|(at, _)| in_view(*at));
        certs.min_by_key(|(at, _)| (self.nodes[*at].lamport, self.nodes[*at].event.id())).map(|(_, account)| *account)
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

    /// The settings fixed at the beginning.
    pub fn policy(&self) -> Option<&Policy> {
        self.genesis().map(|genesis| &genesis.policy)
    }

    /// Events by what they are.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// The highest slice that admissions in `view` have opened in an epoch.
    pub fn admitted_slice(&self, epoch: &EpochId, view: &Set) -> u32 {
        let admits = self.kinds.slices.get(epoch).map_or(&[][..], Vec::as_slice);
        admits.iter().filter(|(at, _)| view.has(*at)).map(|(_, slice)| *slice).max().unwrap_or(0)
    }

    /// Compares two grants by seniority `(power, depth, path)`: `Less` is more senior. A static total order.
    pub fn seniority(&self, a: GrantIdx, b: GrantIdx) -> Ordering {
        let (left, right) = (&self.grants[a], &self.grants[b]);
        let by_place = (left.power, left.depth).cmp(&(right.power, right.depth));
        by_place.then_with(|| self.compare_paths(a, b))
    }

    /// Compares the paths of two grants of one depth: the topmost difference decides.
    fn compare_paths(&self, a: GrantIdx, b: GrantIdx) -> Ordering {
        let (mut left, mut right) = (&self.grants[a], &self.grants[b]);
        while left.parent != right.parent {
            let (Some(up_left), Some(up_right)) = (left.parent, right.parent) else { break };
            (left, right) = (&self.grants[up_left], &self.grants[up_right]);
        }
        left.rank.cmp(&right.rank)
    }

    /// All grants, the most senior first. `O(n log n)`: paths are ranked level by level, each by its parent's rank.
    pub fn by_seniority(&self) -> Vec<GrantIdx> {
        let mut order: Vec<GrantIdx> = (0..self.grants.len()).collect();
        let mut path_rank = vec![0_usize; order.len()];
        order.sort_unstable_by_key(|g| self.grants[*g].depth);
        for level in order.chunk_by_mut(|a, b| self.grants[*a].depth == self.grants[*b].depth) {
            level.sort_unstable_by_key(|g| {
                let grant = &self.grants[*g];
                (grant.parent.map(|parent| path_rank[parent]), grant.rank)
            });
            level.iter().enumerate().for_each(|(rank, g)| path_rank[*g] = rank);
        }
        order.sort_unstable_by_key(|g| (self.grants[*g].power, self.grants[*g].depth, path_rank[*g]));
        order
    }
}
