//! Orphans: who was let in by somebody who made that void since, and nobody put out.
//!
//! A revocation of a device and a Leave say themselves how far the log of their author counts. Whoever holds two devices can say
//! so little that those whom one of them let in are out, all that they wrote with them; and an honest device says as little when it
//! has not heard of what the other did. Nobody tells the one from the other, nor from what a thief, or who was removed, writes with
//! old heads: what a fence leaves out stays void. But the request by which an orphan came lies in the log, signed by himself and with
//! the key of the link. A member who may let him in by it does, as if he had knocked: with the same refusals, and without a
//! question to anybody.
//!
//! It ends: nobody writes a second admission of a request by which he let in somebody already, the turn is drawn so that usually one
//! member writes, and nobody writes more than a few in a minute.

use std::collections::{BTreeMap, BTreeSet};

use super::Room;
use super::types::Outcome;
use crate::control::{Control, JoinRequest};
use crate::dag::{Node, NodeIdx};
use crate::epoch::election_delay_ms;
use crate::ids::{AccountId, DeviceId};
use crate::limits;

/// What we know of when orphans are let in.
#[derive(Debug, Default)]
pub(super) struct Tending {
    /// How many control events there were when it was looked last.
    looked: usize,
    /// The admissions that came to nothing, and when each is written anew by us.
    turns: BTreeMap<NodeIdx, u64>,
    /// Since when we count how many we let in,
    since_ms: u64,
    /// and how many that are.
    written: usize,
}

impl Room {
    /// Lets in orphans when it is our turn. Answers also when to be called again.
    pub(super) fn tend_orphans(&mut self, now_ms: u64) -> (Outcome, Option<u64>) {
        let mut outcome = Outcome::default();
        if self.best.is_none() || self.may_write().is_err() || self.dag.direct().is_some() {
            // Nobody lets in anybody now; the turns are drawn when that changes, so that not all write at once.
            (self.orphans.looked, self.orphans.turns) = (0, BTreeMap::new());
            return (outcome, None);
        }
        if self.orphans.looked != self.dag.len() {
            self.orphans.looked = self.dag.len();
            self.draw_orphans(now_ms);
        }
        let window = self.orphans.since_ms..self.orphans.since_ms.saturating_add(limits::ORPHANS_MS);
        if !window.contains(&now_ms) {
            (self.orphans.since_ms, self.orphans.written) = (now_ms, 0);
        }
        let due: Vec<NodeIdx> =
            self.orphans.turns.iter().filter(|(_, at_ms)| **at_ms <= now_ms).map(|(at, _)| *at).collect();
        for at in due {
            if self.orphans.written >= limits::MAX_ORPHANS {
                let next_ms = self.orphans.since_ms.saturating_add(limits::ORPHANS_MS);
                return (outcome, Some(next_ms));
            }
            self.orphans.turns.remove(&at);
            let Some((invite, join)) = self.orphan(at, now_ms) else { continue };
            if let Ok((admitted, ..)) = self.write_admit(invite, join, now_ms) {
                self.orphans.written += 1;
                outcome.merge(admitted);
            }
        }
        (outcome, self.orphans.turns.values().min().copied())
    }

    /// Looks for orphans, a few at a time, and draws when we let them in.
    fn draw_orphans(&mut self, now_ms: u64) {
        let mut accounts: BTreeSet<AccountId> = BTreeSet::new();
        let mut requests = BTreeSet::new();
        let found: Vec<NodeIdx> = {
            // What is said of one holds for all by which that member let him in by that request.
            let new = |at: &NodeIdx| match &self.dag.node(*at) {
                Node { control: Control::Admit(admit), author, .. } => {
                    requests.insert((*author, admit.invite, admit.join.entrant.device(), admit.join.nonce))
                }
                _ => false,
            };
            let all = self.resolved.outsiders().iter().filter(new);
            let orphans = all.filter_map(|at| Some((at, self.orphan(at, now_ms)?.1.entrant.account())));
            orphans
                .filter(|(_, account)| accounts.insert(*account))
                .take(limits::MAX_ORPHANS)
                .map(|(at, _)| at)
                .collect()
        };
        if found.is_empty() {
            self.orphans.turns.clear();
            return;
        }
        let devices: Vec<DeviceId> = self.live_device_ids().collect();
        let me = self.me.device();
        let dag = &self.dag;
        let turn_ms = |at: &NodeIdx| {
            let lot = [dag.node(*at).event.id()];
            now_ms.saturating_add(election_delay_ms(&lot, &me, &devices))
        };
        let before = std::mem::take(&mut self.orphans.turns);
        let turns = found.iter().map(|at| (*at, before.get(at).copied().unwrap_or_else(|| turn_ms(at))));
        self.orphans.turns = turns.collect();
    }

    /// The invite and the request of an orphan, by the admission that came to nothing, if we may let him in by them: nobody removed him
    /// ever, he did not leave, and we did not let him in by this request already. Guests are not let in anew, nor whom they let in.
    fn orphan(&self, at: NodeIdx, now_ms: u64) -> Option<(NodeIdx, JoinRequest)> {
        #[cfg(test)]
        crate::steps::note();
        let node = self.dag.node(at);
        let Control::Admit(admit) = &node.control else { return None };
        let g = self.dag.grants_by(at).next().filter(|g| !self.resolved.is_ok(*g))?;
        let account = self.dag.grants()[g].subject;
        if self.resolved.members().contains_key(&account) || !self.dag.leaves_of(&account).is_empty() {
            return None;
        }
        if self.resolved.removals(&self.dag, &account).next().is_some() {
            return None;
        }
        let by_us = |other: &NodeIdx| self.dag.node(*other).author == self.me.account();
        if self.dag.same_request(admit).iter().any(by_us) {
            return None;
        }
        let invite = self.dag.invite_behind(g)?;
        let by_guests = self.dag.kinds().instant.contains_key(&invite) || self.is_guest(&node.author);
        if by_guests || self.has_keys_of_others(&admit.join) {
            return None;
        }
        let power = self.dag.grants()[self.grant()?].power;
        self.check_invite(invite, power, &admit.join, false, now_ms).ok()?;
        Some((invite, admit.join.clone()))
    }
}
