//! Keys that do not come: patience with pages, complaints about rows, and when another epoch is made instead.
//!
//! A member without the key of an epoch asks the others for it ([`super::keys`]); any holder heals it. If nobody does
//! within a minute the member makes another epoch. A row that does not hold what its epoch commits to is complained of,
//! for all to see who made it; so are a row and a page that nobody could give. Few complain, whoever comes first.

use super::Room;
use super::epochs::{EpochInfo, answerable};
use super::types::Outcome;
use crate::control::Complaint;
use crate::epoch::election_delay_ms;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;

/// An epoch that was made for us and whose key is not here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lacking {
    /// Since when.
    pub(super) since_ms: u64,
    /// What is wrong with it, as far as is known.
    pub(super) fault: Option<Complaint>,
}

impl Room {
    /// Looks after keys that are missing. Answers when to look again.
    pub(super) fn tend_lacking(&mut self, now_ms: u64, outcome: &mut Outcome) -> Option<u64> {
        self.note_lacking(now_ms);
        let lacking: Vec<(EpochId, Lacking)> = self.epochs.lacking.iter().map(|(e, lacking)| (*e, *lacking)).collect();
        let mut next: Option<u64> = None;
        for (epoch, Lacking { since_ms, fault }) in lacking {
            let give_up_ms = since_ms.saturating_add(limits::PAGE_WAIT_MS);
            if now_ms >= give_up_ms {
                // A page that does not come is not waited for alone.
                if !self.epochs.held().contains_key(&epoch) {
                    self.epochs.keys_wanted.insert(epoch);
                }
            } else {
                next = next.into_iter().chain([give_up_ms]).min();
            }
            let due_ms = self.complaint_due_ms(&epoch, since_ms, fault);
            match due_ms.filter(|_| self.may_complain(&epoch)) {
                Some(due_ms) if now_ms < due_ms => next = next.into_iter().chain([due_ms]).min(),
                Some(_) => self.complain_of(&epoch, fault, now_ms, outcome),
                None => {}
            }
        }
        next
    }

    /// The best epoch that is safe and better than the one we write under, whose key we lack.
    pub(super) fn lacks_better(&self) -> Option<(EpochId, Lacking)> {
        let usable = |epoch: &&EpochInfo| self.best.and_then(|b| self.epochs.order(&b)).is_none_or(|b| epoch.order > b);
        let safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        let better = safe.take_while(usable).find(|epoch| self.epochs.lacking.contains_key(&epoch.id))?;
        self.epochs.lacking.get(&better.id).map(|lacking| (better.id, *lacking))
    }

    /// The epoch without whose key we can not write, if we may make another instead, also within the hour: each device answers
    /// once an epoch that was made because none was safe, and once each dead end.
    pub(super) fn owes_answer(&self) -> Option<(EpochId, Lacking)> {
        let (epoch, lacking) = self.lacks_better().filter(|_| self.best.is_none())?;
        (self.owes_complaint(&epoch) || self.may_lead_on()).then_some((epoch, lacking))
    }

    /// Whether an epoch made because none was safe is answered with a complaint of its key, once.
    fn owes_complaint(&self, epoch: &EpochId) -> bool {
        let answered = |info: &EpochInfo| self.epochs.has_answered(&self.dag, info, &self.me.device(), |_| true);
        answerable(&self.dag, epoch) && self.epochs.info(epoch).is_some_and(|info| !answered(info))
    }

    /// Whether an epoch of ours now would lead on from a dead end.
    fn may_lead_on(&self) -> bool {
        self.epochs.may_lead_on(&self.dag, &self.me.device(), &self.resolved, &self.everything)
    }

    /// Whether our last message is in a dead end, and every safe epoch older: we go back to none of them.
    pub(super) fn is_stranded(&self) -> bool {
        let end = self.messages.end(&self.me.device()).filter(|_| self.best.is_none());
        let Some(last) = end.and_then(|end| self.epochs.order(&end.epoch)) else { return false };
        let mut safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        safe.next().is_some_and(|best| best.order < last) && self.may_lead_on()
    }

    /// From when on another epoch may be made instead of one whose key does not come.
    pub(super) fn patience_ms(&self, lacking: &Lacking) -> u64 {
        // A row that is wrong does not become right. Others may have the key, if they hear of it soon.
        let wrong = lacking.fault.is_some_and(|fault| fault != Complaint::NoPage) && self.owes_answer().is_some();
        lacking.since_ms.saturating_add(if wrong { limits::WRONG_ROW_WAIT_MS } else { limits::ROW_WAIT_MS })
    }

    /// Before an answer: says which epoch it answers, unless we did.
    pub(super) fn complain_before_answer(&mut self, now_ms: u64, outcome: &mut Outcome) {
        if let Some((epoch, lacking)) = self.owes_answer() {
            self.complain_of(&epoch, lacking.fault, now_ms, outcome);
        }
    }

    /// Notes what is missing from now on, and forgets what came.
    fn note_lacking(&mut self, now_ms: u64) {
        let me = self.me.device();
        let wanted = self.epochs.keys_wanted.iter().copied();
        let wanted = wanted.chain(self.epochs.pages_wanted.values().map(|wanted| wanted.epoch));
        let wanted: Vec<EpochId> = wanted.filter(|epoch| self.was_recipient(&me, epoch)).collect();
        for epoch in wanted {
            let fault = self.epochs.faults.get(&epoch).copied();
            let lacking = self.epochs.lacking.entry(epoch).or_insert(Lacking { since_ms: now_ms, fault });
            lacking.fault = fault.or(lacking.fault);
        }
        // A lie is told of even when somebody healed it.
        let lied = |epoch: &EpochId| self.epochs.faults.get(epoch) == Some(&Complaint::Commit);
        let came =
            |epoch: &&EpochId| self.epochs.held().contains_key(epoch) && !(lied(epoch) && self.may_complain(epoch));
        let healed: Vec<EpochId> = self.epochs.lacking.keys().filter(came).copied().collect();
        for epoch in healed {
            self.epochs.lacking.remove(&epoch);
            self.epochs.faults.remove(&epoch);
        }
    }

    /// When it is our turn to complain: of a lie soon, of what may still come when there was time for it.
    fn complaint_due_ms(&self, epoch: &EpochId, since_ms: u64, fault: Option<Complaint>) -> Option<u64> {
        let devices: Vec<DeviceId> = self.live_device_ids().collect();
        let (at, _) = self.dag.epoch(epoch)?;
        let heads: [EventId; 1] = [self.dag.node(at).event.id()];
        let turn_ms = election_delay_ms(&heads, &self.me.device(), &devices);
        let patience_ms = if fault == Some(Complaint::Commit) { 0 } else { limits::COMPLAIN_MS };
        Some(since_ms.saturating_add(patience_ms).saturating_add(turn_ms))
    }

    /// Whether a complaint of ours would be news: of an epoch that counts, not by us already nor by enough others.
    fn may_complain(&self, epoch: &EpochId) -> bool {
        let me = self.me.device();
        let safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        let mut complaints = self.dag.complaints(epoch).map(|(_, node)| node.event.device());
        let enough = self.dag.complaints(epoch).count() >= limits::MAX_COMPLAINTS;
        self.is_member()
            && !enough
            && !complaints.any(|device| device == me)
            && safe.into_iter().any(|e| e.id == *epoch)
    }

    fn complain_of(&mut self, epoch: &EpochId, fault: Option<Complaint>, now_ms: u64, outcome: &mut Outcome) {
        if let Ok(complaint) = self.complain(epoch, fault.unwrap_or(Complaint::NoPage), now_ms) {
            outcome.merge(complaint);
        }
    }
}
