//! The epochs of a room as one device sees them: which are safe, whose keys are held, and the chains below the keys.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use parlor_crypto::epoch::{EpochSecret, SenderChain, SliceSecret};
use parlor_crypto::seal::{self, MessageKey};
use parlor_crypto::secret::Secret;
use parlor_crypto::wrap::GossipKey;

use super::cache::Cache;
use super::false_keys::FalseKeys;
use super::healing::Lacking;
use super::late::Late;
use super::openings::Support;
use crate::control::{Complaint, Control, RotateReason};
use crate::dag::{Dag, GrantIdx, NodeIdx, Set};
use crate::epoch::member_root;
use crate::event::MessageHeader;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;
use crate::resolve::Resolved;

/// The order of epochs: by lamport, then the smaller id later, so that the greatest is the best.
pub(super) type EpochOrder = (u64, Reverse<EventId>);

/// What an epoch is, from its Rotate and that one's past alone.
#[derive(Debug)]
pub(super) struct EpochInfo {
    pub(super) id: EpochId,
    pub(super) at: NodeIdx,
    pub(super) order: EpochOrder,
    /// The live devices in its own view.
    pub(super) recipients: Set,
    /// Whether it was made for exactly those, and called for.
    pub(super) sound: bool,
}

/// The key of an epoch from one slice on.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) slice: u32,
    pub(super) key: Secret,
    /// Whether it was checked against the commitment in the Rotate or Admit.
    pub(super) checked: bool,
}

/// A page on the way to our row.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedPage {
    pub(super) epoch: EpochId,
    /// How many levels above the rows.
    pub(super) level: u8,
    /// For the row of which of our leaf keys: the newest first.
    pub(super) leaf: usize,
}

/// All epochs.
#[derive(Debug)]
pub(super) struct Epochs {
    by_order: BTreeMap<EpochOrder, EpochInfo>,
    orders: HashMap<EpochId, EpochOrder>,
    held: BTreeMap<EpochId, Held>,
    slices: Cache<(EpochId, u32), SliceSecret>,
    chains: Cache<(EpochId, u32, DeviceId), SenderChain>,
    gossip: HashMap<[u8; 8], (EpochId, u32)>,
    /// Highest slice seen in a message of an epoch.
    used_slices: HashMap<EpochId, u32>,
    pub(super) pages: BTreeMap<[u8; 32], Vec<u8>>,
    pub(super) pages_wanted: BTreeMap<[u8; 32], WantedPage>,
    /// What was wrong with our row of an epoch,
    pub(super) faults: BTreeMap<EpochId, Complaint>,
    /// and since when its key is missing.
    pub(super) lacking: BTreeMap<EpochId, Lacking>,
    /// Epochs whose row was not looked for yet.
    pub(super) untried: Vec<EpochId>,
    /// The highest slice that admissions opened in an epoch, and by which, among the first `counted` control events.
    admitted: HashMap<EpochId, (u32, NodeIdx)>,
    counted: NodeIdx,
    /// Why each admission may open what it says.
    pub(super) openings: HashMap<NodeIdx, Support>,
    /// The admissions into the epoch we write under that commit to a key that does not belong to it.
    pub(super) false_keys: FalseKeys,
    /// What we were when keys were asked for last: when that changes we may be entitled to more.
    pub(super) asked_as: (Option<GrantIdx>, usize, bool),
    /// The Rotates of each device that nothing missing called for.
    idle: HashMap<DeviceId, Vec<NodeIdx>>,
    /// Epochs made for us whose row is missing or wrong.
    pub(super) keys_wanted: BTreeSet<EpochId>,
    /// Epochs whose key was destroyed: never opened again.
    gone: BTreeSet<EpochId>,
    /// When later slices of an epoch began for this device, ascending.
    began: HashMap<EpochId, Vec<(u32, u64)>>,
    /// Epochs whose stored row is not what is here.
    changed: BTreeSet<EpochId>,
    /// Chains for late messages of slices whose keys are gone.
    pub(super) late: Late,
}

impl Epochs {
    pub(super) fn new() -> Self {
        Self {
            by_order: BTreeMap::new(),
            orders: HashMap::new(),
            held: BTreeMap::new(),
            slices: Cache::new(limits::MAX_SLICE_KEYS),
            chains: Cache::new(limits::MAX_CHAINS),
            gossip: HashMap::new(),
            used_slices: HashMap::new(),
            pages: BTreeMap::new(),
            pages_wanted: BTreeMap::new(),
            faults: BTreeMap::new(),
            lacking: BTreeMap::new(),
            untried: Vec::new(),
            admitted: HashMap::new(),
            counted: 0,
            openings: HashMap::new(),
            false_keys: FalseKeys::default(),
            asked_as: (None, 0, false),
            idle: HashMap::new(),
            keys_wanted: BTreeSet::new(),
            gone: BTreeSet::new(),
            began: HashMap::new(),
            changed: BTreeSet::new(),
            late: Late::default(),
        }
    }

    /// Takes back what was stored of an epoch: its key, or that it is gone.
    pub(super) fn restore(&mut self, epoch: EpochId, held: Option<Held>, began: Vec<(u32, u64)>) {
        match held {
            Some(held) => {
                self.held.insert(epoch, held);
            }
            None => {
                self.gone.insert(epoch);
            }
        }
        self.began.insert(epoch, began);
    }

    /// The epochs whose row is to be written.
    pub(super) fn take_changed(&mut self) -> BTreeSet<EpochId> {
        std::mem::take(&mut self.changed)
    }

    /// All rows are to be written.
    pub(super) fn change_all(&mut self) {
        self.changed.extend(self.held.keys().chain(&self.gone).copied());
    }

    /// The row of an epoch is to be written.
    pub(super) fn change(&mut self, epoch: EpochId) {
        self.changed.insert(epoch);
    }

    /// Destroys the key of an epoch, for good.
    pub(super) fn destroy(&mut self, epoch: EpochId) {
        self.held.remove(&epoch);
        self.began.remove(&epoch);
        self.gone.insert(epoch);
        self.keys_wanted.remove(&epoch);
        self.lacking.remove(&epoch);
        self.pages_wanted.retain(|_, wanted| wanted.epoch != epoch);
        self.forget_derived(&epoch, u32::MAX);
        self.changed.insert(epoch);
    }

    /// Replaces the key of an epoch by that of a later slice.
    pub(super) fn advance_held(&mut self, epoch: &EpochId, slice: u32) {
        let Some(held) = self.held.get_mut(epoch).filter(|held| held.slice < slice) else { return };
        let later = SliceSecret::from_secret(held.slice, held.key.clone());
        let Some(later) = later.ok().and_then(|mut later| later.advance_to(slice).ok().map(|()| later)) else { return };
        (held.slice, held.key) = (slice, later.secret().clone());
        self.keys_wanted.remove(epoch);
        self.forget_derived(epoch, slice);
        self.changed.insert(*epoch);
    }

    /// Forgets what was derived of the slices before `slice`.
    fn forget_derived(&mut self, epoch: &EpochId, slice: u32) {
        self.slices.retain(|(of, at)| of != epoch || *at >= slice);
        self.chains.retain(|(of, at, _)| of != epoch || *at >= slice);
        self.false_keys.forget_before(epoch, slice);
    }

    pub(super) fn began_mut(&mut self, epoch: EpochId) -> &mut Vec<(u32, u64)> {
        self.began.entry(epoch).or_default()
    }

    /// Whether the key was destroyed.
    pub(super) fn is_gone(&self, epoch: &EpochId) -> bool {
        self.gone.contains(epoch)
    }

    /// The later slices with the times at which they began here, ascending.
    pub(super) fn began(&self, epoch: &EpochId) -> &[(u32, u64)] {
        self.began.get(epoch).map_or(&[], Vec::as_slice)
    }

    /// Works out a new epoch, made by the Rotate at `at`; `resolved` is what its past means.
    pub(super) fn add(&mut self, dag: &Dag, at: NodeIdx, resolved: &Resolved) {
        let node = dag.node(at);
        let Control::Rotate(rotate) = &node.control else { return };
        let mut view = node.past.clone();
        let recipients = resolved.live().clone();
        let made_for_them = member_root(recipients.iter().map(|no| dag.devices()[no].device)) == rotate.member_root
            && recipients.len() == rotate.n_rows as usize;
        let called_for = match rotate.reason {
            RotateReason::NoSafeEpoch => self.safe_in(dag, resolved, &recipients, &view).next().is_none(),
            RotateReason::Hand => {
                self.rested(dag, at)
                    || self.answers(dag, at, resolved, &view)
                    || self.leads_on(dag, at, resolved, &view)
            }
            RotateReason::Age | RotateReason::History => self.rested(dag, at),
        };
        view.put(at);
        if rotate.reason != RotateReason::NoSafeEpoch {
            self.idle.entry(node.event.device()).or_default().push(at);
        }
        let rotator = resolved.is_admissible(dag, at);
        let id = EpochId::of(&node.event.id());
        let order = (node.lamport, Reverse(node.event.id()));
        let sound = made_for_them && called_for && rotator;
        self.orders.insert(id, order);
        self.untried.push(id);
        self.by_order.insert(order, EpochInfo { id, at, order, recipients, sound });
    }

    /// Whether the Rotates of this device that nothing missing called for are an hour old.
    fn rested(&self, dag: &Dag, at: NodeIdx) -> bool {
        let node = dag.node(at);
        let earlier = self.idle_of(&node.event.device()).iter().filter(|other| node.past.has(**other));
        let mut earlier = earlier.map(|other| dag.node(*other).ts_ms);
        let next = |ts_ms: u64| ts_ms.checked_add(limits::ROTATE_EVERY_MS);
        earlier.all(|ts_ms| next(ts_ms).is_some_and(|next_ms| node.ts_ms >= next_ms))
    }

    /// Whether the Rotate answers an epoch that was missing and whose key its author complains of, in its past: each device
    /// answers such a one once, however often it happens.
    fn answers(&self, dag: &Dag, at: NodeIdx, resolved: &Resolved, view: &Set) -> bool {
        let device = dag.node(at).event.device();
        let mut wrong = self.safe_in(dag, resolved, resolved.live(), view).filter(|epoch| answerable(dag, &epoch.id));
        wrong.any(|epoch| {
            let complained = dag.complaints(&epoch.id).any(|(op, node)| view.has(op) && node.event.device() == device);
            complained && !self.has_answered(dag, epoch, &device, |op| view.has(op))
        })
    }

    /// Whether the Rotate leads on from a dead end.
    fn leads_on(&self, dag: &Dag, at: NodeIdx, resolved: &Resolved, view: &Set) -> bool {
        self.may_lead_on(dag, &dag.node(at).event.device(), resolved, view)
    }

    /// Whether a device may lead on from a dead end of a view: an epoch that was made as it should be and is not safe (any more).
    /// Nobody writes under it, and who did goes back to no older one; whether another is safe does not matter, for its key may be
    /// one that nobody has. Each device answers such a one once, however often it happens.
    pub(super) fn may_lead_on(&self, dag: &Dag, device: &DeviceId, resolved: &Resolved, view: &Set) -> bool {
        let known = self.by_order.values().rev().filter(|epoch| epoch.sound && view.has(epoch.at));
        let mut open = known.filter(|epoch| !self.has_answered(dag, epoch, device, |op| view.has(op)));
        open.any(|epoch| !self.is_safe(dag, epoch, resolved, resolved.live(), view))
    }

    /// Whether a device has made an epoch of its own accord after this one that counts. One that does not is no answer: with more
    /// heads than an event can name it may have been made without what calls for it.
    pub(super) fn has_answered(
        &self,
        dag: &Dag,
        epoch: &EpochInfo,
        device: &DeviceId,
        known: impl Fn(NodeIdx) -> bool,
    ) -> bool {
        // Its own making is no answer to it.
        let after = |op: &NodeIdx| *op != epoch.at && known(*op) && dag.in_past(epoch.at, *op);
        let counts = |op: &NodeIdx| self.info(&EpochId::of(&dag.node(*op).event.id())).is_some_and(|made| made.sound);
        self.idle_of(device).iter().any(|op| after(op) && counts(op))
    }

    /// The Rotates of a device that nothing missing called for.
    pub(super) fn idle_of(&self, device: &DeviceId) -> &[NodeIdx] {
        self.idle.get(device).map_or(&[], Vec::as_slice)
    }

    /// The epochs that are safe in a view, the best first. `live` are the live devices in it.
    pub(super) fn safe_in<'a>(
        &'a self,
        dag: &'a Dag,
        resolved: &'a Resolved,
        live: &'a Set,
        view: &'a Set,
    ) -> impl Iterator<Item = &'a EpochInfo> {
        self.by_order.values().rev().filter(move |epoch| self.is_safe(dag, epoch, resolved, live, view))
    }

    /// Whether an epoch is safe in a view.
    pub(super) fn is_safe_in(&self, dag: &Dag, epoch: &EpochId, resolved: &Resolved, view: &Set) -> bool {
        self.info(epoch).is_some_and(|epoch| self.is_safe(dag, epoch, resolved, resolved.live(), view))
    }

    fn is_safe(&self, dag: &Dag, epoch: &EpochInfo, resolved: &Resolved, live: &Set, view: &Set) -> bool {
        is_safe(dag, epoch, resolved, live, view) && self.reaches_all(dag, epoch, resolved, live, view)
    }

    /// The epochs, the best first.
    pub(super) fn all(&self) -> impl Iterator<Item = &EpochInfo> {
        self.by_order.values().rev()
    }

    pub(super) fn info(&self, epoch: &EpochId) -> Option<&EpochInfo> {
        self.by_order.get(self.orders.get(epoch)?)
    }

    pub(super) fn by_age(&self) -> impl Iterator<Item = EpochId> + '_ {
        self.by_order.values().map(|info| info.id)
    }

    pub(super) fn order(&self, epoch: &EpochId) -> Option<EpochOrder> {
        self.orders.get(epoch).copied()
    }

    pub(super) fn held(&self) -> &BTreeMap<EpochId, Held> {
        &self.held
    }

    /// Whether the key of this slice can be worked out from what is held, and was checked.
    pub(super) fn has_key(&self, epoch: &EpochId, slice: u32) -> bool {
        self.held.get(epoch).is_some_and(|held| held.checked && held.slice <= slice)
    }

    /// Keeps a key, unless a checked one of the epoch is held (earlier slices may have been destroyed) and no earlier one wanted,
    /// or it is gone. Whether that changed anything.
    pub(super) fn hold(&mut self, epoch: EpochId, key: Held) -> bool {
        let wanted = self.keys_wanted.contains(&epoch);
        let better = self.held.get(&epoch).is_none_or(|held| {
            let earlier = key.slice < held.slice;
            if held.checked { wanted && key.checked && earlier } else { key.checked || earlier }
        });
        let better = better && !self.gone.contains(&epoch);
        if better {
            self.held.insert(epoch, key);
            self.changed.insert(epoch);
            self.keys_wanted.remove(&epoch);
            self.pages_wanted.retain(|_, wanted| wanted.epoch != epoch);
        }
        better
    }

    /// Throws away a key that was not what its epoch commits to.
    pub(super) fn refuse(&mut self, epoch: &EpochId) {
        self.held.remove(epoch);
        self.changed.insert(*epoch);
    }

    /// The whole secret of an epoch, if it is held from the first slice on.
    pub(super) fn secret(&self, epoch: &EpochId) -> Option<EpochSecret> {
        let held = self.held.get(epoch).filter(|held| held.slice == 0 && held.checked)?;
        Some(EpochSecret::from_secret(held.key.clone()))
    }

    /// The key of a slice.
    pub(super) fn slice(&mut self, epoch: &EpochId, slice: u32) -> Option<SliceSecret> {
        if let Some(secret) = self.slices.get_mut(&(*epoch, slice)) {
            return Some(secret.clone());
        }
        let held = self.held.get(epoch).filter(|held| held.checked && held.slice <= slice)?;
        let mut secret = SliceSecret::from_secret(held.slice, held.key.clone()).ok()?;
        secret.advance_to(slice).ok()?;
        self.slices.put((*epoch, slice), secret.clone());
        Some(secret)
    }

    /// The one key of a message. Its signature and generation are checked already.
    pub(super) fn message_key(
        &mut self,
        room: &[u8; 32],
        header: &MessageHeader,
        sealing: &[u8],
    ) -> Option<MessageKey> {
        let digest = seal::header_digest(room, sealing);
        let place = (header.epoch, header.slice, header.device);
        if let Some(chain) = self.chains.get_mut(&place).filter(|chain| chain.generation() <= header.generation) {
            chain.advance_to(header.generation).ok()?;
            return Some(chain.message_key(&digest));
        }
        let Some(slice) = self.slice(&header.epoch, header.slice) else {
            return self.late.message_key(header, &digest);
        };
        let mut chain = slice.sender(header.device.as_bytes());
        chain.advance_to(header.generation).ok()?;
        let key = chain.message_key(&digest);
        // An old message is opened from the beginning, and the place where the chain had been is kept.
        if self.chains.peek(&place).is_none() {
            self.chains.put(place, chain);
        }
        Some(key)
    }

    /// Notes which slices new control events have opened.
    pub(super) fn count_admissions(&mut self, dag: &Dag) {
        for at in self.counted..dag.len() {
            if let Control::Admit(admit) = &dag.node(at).control {
                let highest = self.admitted.entry(admit.epoch).or_insert((admit.slice, at));
                if admit.slice > highest.0 {
                    *highest = (admit.slice, at);
                }
            }
        }
        self.counted = dag.len();
    }

    /// The highest slice of the epoch that an admission opened.
    pub(super) fn admitted_slice(&self, epoch: &EpochId) -> u32 {
        self.admitted.get(epoch).map_or(0, |(slice, _)| *slice)
    }

    /// Which admission opened it.
    pub(super) fn opened_by(&self, epoch: &EpochId) -> Option<NodeIdx> {
        self.admitted.get(epoch).filter(|(slice, _)| *slice > 0).map(|(_, at)| *at)
    }

    /// A message in this slice was seen.
    pub(super) fn saw_slice(&mut self, epoch: EpochId, slice: u32) {
        let highest = self.used_slices.entry(epoch).or_default();
        *highest = slice.max(*highest);
    }

    /// The highest slice of the epoch that anybody was seen to write in.
    pub(super) fn used_slice(&self, epoch: &EpochId) -> u32 {
        self.used_slices.get(epoch).copied().unwrap_or(0)
    }

    /// The wrap key of a slice, remembered by its hint.
    pub(super) fn gossip_key(&mut self, epoch: &EpochId, slice: u32) -> Option<GossipKey> {
        let key = self.slice(epoch, slice)?.gossip();
        if self.gossip.len() >= limits::MAX_SLICE_KEYS {
            self.gossip.clear();
        }
        self.gossip.insert(key.hint(), (*epoch, slice));
        Some(key)
    }

    /// The wrap key with this hint, among those remembered.
    pub(super) fn gossip_by_hint(&mut self, hint: &[u8; 8]) -> Option<GossipKey> {
        let (epoch, slice) = self.gossip.get(hint).copied()?;
        self.slice(&epoch, slice).map(|slice| slice.gossip())
    }
}

/// Whether an epoch was made because none was safe: if its key can not be had, nobody can write.
pub(super) fn answerable(dag: &Dag, epoch: &EpochId) -> bool {
    dag.epoch(epoch).is_some_and(|(_, rotate)| rotate.reason == RotateReason::NoSafeEpoch)
}

/// Whether an epoch reaches nobody but live members of the view, and everybody it must: the safe-epoch rule. It never
/// looks at a clock.
fn is_safe(dag: &Dag, epoch: &EpochInfo, resolved: &Resolved, live: &Set, view: &Set) -> bool {
    let node = dag.node(epoch.at);
    if !epoch.sound || !view.has(epoch.at) || !epoch.recipients.within(live) {
        return false;
    }
    if !resolved.is_admissible(dag, epoch.at) {
        return false;
    }
    // Whoever came in later may have been handed the key, whether or not that counts now; and so may who was out when it was
    // made, was in for a while because that had been undone, and was put out again.
    resolved.let_in_nobody_else(dag, &node.past, Some(&epoch.id))
}
