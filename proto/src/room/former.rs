//! What a former member may know of the control logs (C8): all that does not have its end in the past, and the end itself.

use std::collections::BTreeMap;

use super::Room;
use super::types::Tip;
use crate::control::Control;
use crate::dag::{Dag, NodeIdx, Set};
use crate::event::{LogId, LogKind};
use crate::ids::{AccountId, DeviceId};
use crate::resolve::{Reason, is_known, resolve};

impl Room {
    /// How far a former member with this device may know each control log: up to what put it out, or made its coming in void, and
    /// what was said without knowing of that; nothing that was built on it, unless without it he could not tell that he is out.
    pub fn control_for(&self, device: &DeviceId) -> Vec<Tip> {
        let Some(account) = self.account_of(device) else { return Vec::new() };
        let grants = self.dag.grants_of(&account);
        let member = self.resolved.members().contains_key(&account);
        let reasons: Vec<Reason> = if member {
            // Of a member it is out when it was revoked.
            self.resolved.revoked_by_its_account(&self.dag, device, &account)
        } else {
            grants.iter().flat_map(|g| self.resolved.put_out_by(&self.dag, *g)).collect()
        };
        let may_know = |at: NodeIdx| {
            let knows = |reason: &Reason| reason.iter().all(|end| self.dag.in_past(*end, at));
            !reasons.iter().any(knows) || reasons.iter().any(|reason| is_known(&self.dag, at, reason))
        };
        let mut told = Set::default();
        (0..self.dag.nodes().len()).filter(|at| may_know(*at)).for_each(|at| told.put(at));
        if !member {
            self.convince(&mut told, device, &account);
        }
        // The past only grows along a log: what may be known of a stretch is its beginning.
        let mut tips: BTreeMap<DeviceId, Tip> = BTreeMap::new();
        for at in told.iter() {
            let event = &self.dag.node(at).event;
            let (device, seq) = self.control_place(event);
            let log = LogId { device, kind: LogKind::Control };
            let tip = tips.entry(device).or_insert(Tip { log, seq, id: event.id() });
            if seq > tip.seq {
                *tip = Tip { log, seq, id: event.id() };
            }
        }
        tips.into_values().collect()
    }

    /// Adds to what somebody who is out is told until it tells him so. The first reasons do not when what he knows, by his own events,
    /// undoes them, and only something later takes that back: the branch of a forked log in which who removed him revokes his own
    /// device, say, until a fence leaves that branch out.
    fn convince(&self, told: &mut Set, device: &DeviceId, account: &AccountId) {
        let own = self.dag.nodes().iter().enumerate().filter(|(_, node)| node.event.device() == *device);
        let known = self.dag.past_of(own.map(|(at, _)| at));
        let is_out = |told: &Set| {
            let mut view = told.clone();
            view.put_all(&known);
            !resolve(&self.dag, &view).members().contains_key(account)
        };
        let mut open: Vec<NodeIdx> = (0..self.dag.nodes().len()).filter(|at| decides(&self.dag, *at)).collect();
        open.retain(|at| !told.has(*at));
        let age = |at: &NodeIdx| (self.dag.node(*at).lamport, self.dag.node(*at).event.id());
        open.sort_unstable_by_key(age);
        // Twice as many each time: a few looks at the whole, and at most twice what is needed.
        let (mut done, mut next) = (0, 1);
        while done < open.len() && !is_out(told) {
            let more = &open[done..open.len().min(done + next)];
            told.put_all(&self.dag.past_of(more.iter().copied()));
            (done, next) = (done + more.len(), next * 2);
        }
    }
}

/// Whether an event may change who is a member.
fn decides(dag: &Dag, at: NodeIdx) -> bool {
    !matches!(
        dag.node(at).control,
        Control::State(_)
            | Control::Rotate(_)
            | Control::KeyComplaint(_)
            | Control::Decline(_)
            | Control::EquivProof(_)
            | Control::Unknown(_)
    )
}
