//! How far each series of a room reaches: the whole of what two members compare.
//!
//! A [`Series`] is a numbered run of things by one device: its control log, its message log, its leaf records, its
//! markers, bindings and profiles. [`Tables`] maps each to its [`Tip`]. A room of a million messages by a hundred authors is a table of some
//! hundred lines, so comparing rooms is comparing these lines. The owner of a room keeps one `Tables` and calls
//! [`Tables::advance`] **after** the durable commit of what it names: peers take a tip as a promise that it is stored.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use parlor_crypto::domain;
use parlor_crypto::hash::Domain;

use crate::ids::DeviceId;
use crate::wire::{Digests, SeriesKind};

/// A numbered run of things by one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// What kind of things.
    pub kind: SeriesKind,
    /// Whose. Of a stretch of a forked log ([`crate::room::Place`]) the id of its first event.
    pub device: DeviceId,
}

/// Where a series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Sequence number of the last event (dense from 1), or counter of the newest record.
    pub seq: u64,
    /// Id of that event. For a leaf record or marker all zeros: their counter alone is compared.
    pub id: [u8; 32],
}

/// Kinds of which only the newest counts, in order.
const RECORDS: [SeriesKind; 5] =
    [SeriesKind::Leaf, SeriesKind::Marker, SeriesKind::Binding, SeriesKind::Profile, SeriesKind::Portrait];

static TABLES: Domain = domain!("sync tables");

/// How far each series of one room reaches on this device.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    tips: BTreeMap<Series, Tip>,
    /// Counts the changes of which series there are.
    shape: u64,
    digests: OnceLock<Digests>,
    /// What the control logs mean together, if that was said of them as they are.
    view: Option<[u8; 8]>,
}

impl Series {
    /// The control log of `device`.
    pub fn control(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Control, device }
    }

    /// The message log of `device`.
    pub fn messages(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Message, device }
    }

    /// The leaf records of `device`.
    pub fn leaf(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Leaf, device }
    }

    /// The markers of `device`.
    pub fn marker(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Marker, device }
    }

    /// The peer bindings of `device`.
    pub fn binding(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Binding, device }
    }

    /// The profiles of `device`.
    pub fn profile(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Profile, device }
    }

    /// The pictures of the profiles of `device`.
    pub fn portrait(device: DeviceId) -> Self {
        Self { kind: SeriesKind::Portrait, device }
    }
}

impl Tables {
    /// Tables of a room of which nothing is held.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `series` reaches `tip` now. Never goes back: returns whether the tip moved.
    pub fn advance(&mut self, series: Series, tip: Tip) -> bool {
        let tip = if is_record(series.kind) { Tip { id: [0; 32], ..tip } } else { tip };
        let moved = tip.seq > self.seq(&series);
        if moved {
            self.forget_view(series.kind);
            self.shape += u64::from(self.tips.insert(series, tip).is_none());
            self.digests = OnceLock::new();
        }
        moved
    }

    /// Something else follows number `end` of `series` (the event `id`) too: what was behind it is the series `rest` of the same
    /// kind from now on, numbered from 1. Nothing if it does not reach so far.
    pub fn cut(&mut self, series: Series, end: u64, id: [u8; 32], rest: DeviceId) {
        let Some(tip) = self.tip(&series).filter(|tip| tip.seq > end) else { return };
        self.forget_view(series.kind);
        self.tips.remove(&series);
        if end > 0 {
            self.tips.insert(series, Tip { seq: end, id });
        }
        self.tips.insert(Series { device: rest, ..series }, Tip { seq: tip.seq - end, id: tip.id });
        self.shape += 1;
        self.digests = OnceLock::new();
    }

    /// How many control events the control logs hold together.
    pub fn n_control(&self) -> u64 {
        let control = self.tips.iter().filter(|(series, _)| series.kind == SeriesKind::Control);
        control.map(|(_, tip)| tip.seq).sum()
    }

    /// Says what the control logs mean together: the fingerprint of the room that holds `n_control` control events. Nothing if the
    /// tables are of fewer: then some are not durable yet, and the fingerprint is not of what is told here.
    pub fn mean(&mut self, n_control: usize, fingerprint: &[u8; 32]) {
        let view = fingerprint.first_chunk().copied().filter(|_| self.n_control() == n_control as u64);
        if view != self.view {
            self.view = view;
            self.digests = OnceLock::new();
        }
    }

    fn forget_view(&mut self, kind: SeriesKind) {
        if kind == SeriesKind::Control {
            self.view = None;
        }
    }

    /// Takes the markers, bindings and profiles of everybody out whom `keep` does not know: those of a former member are no longer
    /// compared, for whoever came later never takes them.
    pub fn retain_records(&mut self, keep: impl Fn(&DeviceId) -> bool) {
        let before = self.tips.len();
        let told = |kind| is_record(kind) && kind != SeriesKind::Leaf;
        self.tips.retain(|series, _| !told(series.kind) || keep(&series.device));
        if self.tips.len() != before {
            self.shape += 1;
            self.digests = OnceLock::new();
        }
    }

    /// Takes the message logs, and stretches of them, out that are not told of any more ([`crate::room::Room::tells`]).
    pub fn leave_out(&mut self, tells: impl Fn(&DeviceId) -> bool) {
        let before = self.tips.len();
        self.tips.retain(|series, _| series.kind != SeriesKind::Message || tells(&series.device));
        if self.tips.len() != before {
            self.shape += 1;
            self.digests = OnceLock::new();
        }
    }

    /// A number that is another whenever a series was added or taken out.
    pub(super) fn shape(&self) -> u64 {
        self.shape
    }

    /// What a former member with this device may know of these tables: the control logs as they are now, and its own message
    /// log. Keep the cut from when it was put out: what comes later is not for it. Messages of others that it was let into are added
    /// by whoever can look for them.
    pub fn cut_for(&self, device: DeviceId) -> Self {
        let may_know = |series: &Series| series.kind == SeriesKind::Control || *series == Series::messages(device);
        self.tips.iter().filter(|(series, _)| may_know(series)).map(|(series, tip)| (*series, *tip)).collect()
    }

    /// Cuts the control logs to these ends, and takes those out that are not among them: what a former member may know
    /// ([`crate::room::Room::control_for`]).
    pub fn limit_control(&mut self, ends: impl IntoIterator<Item = (DeviceId, Tip)>) {
        let ends: BTreeMap<DeviceId, Tip> = ends.into_iter().collect();
        self.tips.retain(|series, tip| {
            let end = ends.get(&series.device);
            if let Some(end) = end.filter(|end| series.kind == SeriesKind::Control && end.seq < tip.seq) {
                *tip = *end;
            }
            series.kind != SeriesKind::Control || end.is_some()
        });
        self.view = None;
        self.shape += 1;
        self.digests = OnceLock::new();
    }

    /// Takes the control logs of `other` instead of its own: what a former member may know of them grew, or is other than it was.
    pub fn take_control(&mut self, other: &Self) {
        let control = |series: &Series| series.kind == SeriesKind::Control;
        let tips =
            |tables: &Self| tables.tips.iter().filter(|(series, _)| control(series)).map(|(s, t)| (*s, *t)).collect();
        let (ours, theirs): (Vec<(Series, Tip)>, Vec<_>) = (tips(self), tips(other));
        if ours == theirs {
            return;
        }
        self.tips.retain(|series, _| !control(series));
        self.tips.extend(theirs);
        self.view = None;
        self.shape += 1;
        self.digests = OnceLock::new();
    }

    /// Where `series` ends, `None` when nothing of it is held.
    pub fn tip(&self, series: &Series) -> Option<Tip> {
        self.tips.get(series).copied()
    }

    /// Sequence number or counter at which `series` ends, 0 when nothing of it is held.
    pub fn seq(&self, series: &Series) -> u64 {
        self.tips.get(series).map_or(0, |tip| tip.seq)
    }

    /// All series in order: control logs first.
    pub fn iter(&self) -> impl Iterator<Item = (&Series, &Tip)> {
        self.tips.iter()
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.tips.len()
    }

    /// Whether nothing is held at all.
    pub fn is_empty(&self) -> bool {
        self.tips.is_empty()
    }

    /// Digests of the tables; computed once after a change (about 70 bytes of hashing a series).
    pub fn digests(&self) -> Digests {
        *self.digests.get_or_init(|| Digests {
            view: self.view,
            control: self.digest(&[SeriesKind::Control]),
            messages: self.digest(&[SeriesKind::Message]),
            records: self.digest(&RECORDS),
        })
    }

    fn digest(&self, kinds: &[SeriesKind]) -> [u8; 16] {
        let mut bytes = Vec::new();
        for (series, tip) in self.tips.iter().filter(|(series, _)| kinds.contains(&series.kind)) {
            bytes.push(series.kind as u8);
            bytes.extend_from_slice(&series.device.0);
            bytes.extend_from_slice(&tip.seq.to_be_bytes());
            bytes.extend_from_slice(&tip.id);
        }
        TABLES.hash_prefix(&[&bytes])
    }
}

impl FromIterator<(Series, Tip)> for Tables {
    fn from_iter<I: IntoIterator<Item = (Series, Tip)>>(tips: I) -> Self {
        let mut tables = Self::new();
        for (series, tip) in tips {
            tables.advance(series, tip);
        }
        tables
    }
}

/// Whether only the newest of the series counts, by its counter.
pub(super) fn is_record(kind: SeriesKind) -> bool {
    RECORDS.contains(&kind)
}
