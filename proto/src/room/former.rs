//! What a former member may know of the control logs (C8): all that does not have its end in the past, and the end itself.

use std::collections::BTreeMap;

use super::Room;
use super::types::Tip;
use crate::dag::NodeIdx;
use crate::event::{LogId, LogKind};
use crate::ids::DeviceId;
use crate::resolve::{Reason, is_known};

impl Room {
    /// How far a former member with this device may know each control log: up to what put it out, or made its coming in void, and
    /// what was said without knowing of that; nothing that was built on it.
    pub fn control_for(&self, device: &DeviceId) -> Vec<Tip> {
        let grants = self.account_of(device).map(|account| self.dag.grants_of(&account)).unwrap_or_default();
        let reasons: Vec<Reason> = grants.iter().flat_map(|g| self.resolved.put_out_by(&self.dag, *g)).collect();
        let may_know = |at: NodeIdx| {
            let knows = |reason: &Reason| reason.iter().all(|end| self.dag.in_past(*end, at));
            !reasons.iter().any(knows) || reasons.iter().any(|reason| is_known(&self.dag, at, reason))
        };
        // The past only grows along a log: what may be known of a stretch is its beginning.
        let mut tips: BTreeMap<DeviceId, Tip> = BTreeMap::new();
        for (_, node) in self.dag.nodes().iter().enumerate().filter(|(at, _)| may_know(*at)) {
            let (device, seq) = self.control_place(&node.event);
            let log = LogId { device, kind: LogKind::Control };
            let tip = tips.entry(device).or_insert(Tip { log, seq, id: node.event.id() });
            if seq > tip.seq {
                *tip = Tip { log, seq, id: node.event.id() };
            }
        }
        tips.into_values().collect()
    }
}
