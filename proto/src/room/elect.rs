//! Whose turn it is to make an epoch, and when.

use std::collections::BTreeSet;

use super::Room;
use crate::control::{Control, Permission, RotateReason};
use crate::epoch::{election_delay_after_ms, election_delay_ms};
use crate::ids::{DeviceId, EventId};
use crate::limits;

/// Who of the members is connected, as the sessions of the node tell it ([`Room::meet`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Company {
    /// Devices of members that proved themselves.
    pub connected: BTreeSet<DeviceId>,
    /// Those of them that may hold other control events than we: no round has found both sides equal since ours moved.
    pub apart: BTreeSet<DeviceId>,
    /// Whether a peer has not proved yet who it is.
    pub unproved: bool,
}

/// A rotation that waits for this device's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    reason: RotateReason,
    /// The control heads it was drawn for: others draw again.
    heads: Vec<EventId>,
    /// Whether it waits for members to be equal; `None` if it is ours without an election.
    apart: Option<bool>,
    at_ms: u64,
}

impl Room {
    /// Notes who is connected, and who of them holds what we hold: whoever is elected to make an epoch that is missing
    /// waits until it is equal with them, so that it sees all removals at once, and longer for those before it who are there.
    /// `true` if a turn is waited for that this may bring nearer: then [`maintain`](Self::maintain) is to be called.
    pub fn meet(&mut self, company: Company, now_ms: u64) -> bool {
        let waited = self.patience.waits();
        *self.company = company;
        self.mind_company(now_ms);
        self.turn.is_some() && self.patience.waits() != waited
    }

    /// Counts how long those were waited for who hold other control events, and works out for whom that goes on: while no epoch
    /// is safe, but not for ever, and not again and again for the same.
    pub(super) fn mind_company(&mut self, now_ms: u64) {
        let mut apart = BTreeSet::new();
        if self.missing_ms.is_some() && now_ms < self.apart_until_ms(now_ms) {
            let devices = self.company.apart.iter().filter(|device| self.is_live_device(device));
            apart.extend(devices.map(|device| self.account_of(device)));
            apart.extend(self.company.unproved.then_some(None));
        }
        self.patience.wait_for(apart, now_ms);
        if self.missing_ms.is_none() {
            self.drawn_ms = None;
        } else if !self.patience.waits() {
            self.drawn_ms.get_or_insert(now_ms);
        }
    }

    /// Whether a turn to make an epoch that is missing is waited for: then it matters who is connected ([`meet`](Self::meet)).
    pub fn awaits_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// When it is our turn, if that is not now.
    pub(super) fn waits_for_turn(&mut self, reason: RotateReason, now_ms: u64) -> Option<u64> {
        let apart = self.is_apart(reason);
        let stands = |turn: &Turn| {
            let waits_on = turn.apart == Some(true) && now_ms >= turn.at_ms;
            let same = turn.apart.is_none_or(|drawn| drawn == apart) && self.same_heads(&turn.heads);
            turn.reason == reason && same && !waits_on
        };
        let waiting = self.turn.clone().filter(stands);
        let turn = match waiting {
            Some(turn) => turn,
            None => self.draw(reason, now_ms),
        };
        let at_ms = turn.at_ms;
        let waits = now_ms < at_ms;
        self.turn = waits.then_some(turn);
        waits.then_some(at_ms)
    }

    /// A turn at this time, whoever is elected and whoever is connected.
    pub(super) fn turn_at(&self, reason: RotateReason, at_ms: u64) -> Turn {
        let heads = self.dag.frontier().iter().copied().collect();
        Turn { reason, heads, apart: None, at_ms }
    }

    /// Whether members that are connected are waited for, until they hold what we hold. Not for ever: a peer that never says so
    /// would hold up every epoch.
    fn is_apart(&self, reason: RotateReason) -> bool {
        reason == RotateReason::NoSafeEpoch && self.patience.waits()
    }

    fn apart_until_ms(&self, now_ms: u64) -> u64 {
        self.missing_ms.unwrap_or(now_ms).saturating_add(limits::ELECTION_APART_MS)
    }

    fn draw(&self, reason: RotateReason, now_ms: u64) -> Turn {
        let heads: Vec<EventId> = self.dag.frontier().iter().copied().collect();
        let devices: Vec<DeviceId> = self.live_device_ids().collect();
        let delay = || election_delay_ms(&heads, &self.me.device(), &devices);
        let apart = self.is_apart(reason);
        let at_ms = match reason {
            // Nothing that may still come helps, but an epoch of somebody else whom it happened to as well.
            RotateReason::Hand if self.is_stranded() => now_ms.saturating_add(delay()),
            // Since the key is missing, whatever came meanwhile.
            RotateReason::Hand => {
                let lacking = self.lacks_better().map(|(_, lacking)| self.patience_ms(&lacking));
                lacking.unwrap_or(now_ms.saturating_add(limits::ROW_WAIT_MS)).saturating_add(delay())
            }
            RotateReason::NoSafeEpoch if apart => {
                self.apart_until_ms(now_ms).min(now_ms.saturating_add(self.patience.left_ms(now_ms)))
            }
            // New heads draw anew, but not for ever.
            RotateReason::NoSafeEpoch => {
                let step = |device: &DeviceId| self.step_ms(device);
                let delay = election_delay_after_ms(&heads, &self.me.device(), &devices, step);
                let longest_ms = self.drawn_ms.unwrap_or(now_ms).saturating_add(limits::ELECTION_ANEW_MS + delay);
                now_ms.saturating_add(delay + self.head_start_ms()).min(longest_ms)
            }
            RotateReason::Age | RotateReason::History => now_ms.saturating_add(delay()),
        };
        Turn { reason, heads, apart: Some(apart), at_ms }
    }

    /// How long a device that ranks before us is waited for: longer if it is there and may make an epoch.
    fn step_ms(&self, device: &DeviceId) -> u64 {
        let able = || {
            let grant = self.resolved.members().get(&self.account_of(device)?)?;
            Some(self.dag.grants()[*grant].perms.has(Permission::Post))
        };
        if self.company.connected.contains(device) && able() == Some(true) {
            limits::ELECTION_CONNECTED_STEP_MS
        } else {
            limits::ELECTION_STEP_MS
        }
    }

    /// A removal that nothing of its author follows says that he makes an epoch himself, for all his removals.
    fn head_start_ms(&self) -> u64 {
        let mut heads = self.dag.frontier().iter().filter_map(|head| self.dag.find(head));
        let me = self.me.device();
        let removes = |at| {
            let node = self.dag.node(at);
            matches!(node.control, Control::Remove(_))
                && node.event.device() != me
                && self.is_live_device(&node.event.device())
        };
        if heads.any(removes) { limits::REMOVALS_MS } else { 0 }
    }

    fn same_heads(&self, heads: &[EventId]) -> bool {
        self.dag.frontier().iter().eq(heads)
    }
}
