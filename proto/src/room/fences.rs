//! How far the logs of a device count for whoever ends what it may do: all that is held of them here.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashSet};

use super::Room;
use crate::control::{DeviceFence, LogPosition};
use crate::dag::{NodeIdx, Set};
use crate::ids::{AccountId, DeviceId, EventId};

impl Room {
    /// How far the logs of a device are known here: what a revocation written now lets count.
    pub fn revoke_fence(&self, device: &DeviceId) -> DeviceFence {
        self.device_fence(device, &self.everything)
    }

    /// How far the logs of a device are known: of its control log what is in `view`, of a forked one the branch on which most people
    /// stand: whoever is removed would else choose himself, by a longer one, whose coming in he makes void.
    pub(super) fn device_fence(&self, device: &DeviceId, view: &Set) -> DeviceFence {
        let log = self.dag.logs().get(device).map_or(&[][..], Vec::as_slice);
        let seen: Vec<NodeIdx> = log.iter().copied().filter(|at| view.has(*at)).collect();
        let followed: HashSet<EventId> = seen.iter().map(|at| self.dag.node(*at).event.prev()).collect();
        let is_end = |at: &&NodeIdx| !followed.contains(&self.dag.node(**at).event.id());
        let ends: Vec<NodeIdx> = seen.iter().filter(is_end).copied().collect();
        let stands = if ends.len() > 1 { self.standing_on(device) } else { Vec::new() };
        let people = |end: NodeIdx| {
            let on = stands.iter().filter(|(at, _)| self.dag.in_past(*at, end));
            on.map(|(_, account)| *account).collect::<BTreeSet<AccountId>>().len()
        };
        let rank = |at: &NodeIdx| {
            let event = &self.dag.node(*at).event;
            (people(*at), event.seq(), Reverse(event.id()))
        };
        let end = ends.into_iter().max_by_key(rank).map(|at| &self.dag.node(at).event);
        let control = end.map(|event| LogPosition { seq: event.seq(), id: event.id() });
        let message = self.messages.end(device).map(|end| LogPosition { seq: end.seq, id: end.id });
        DeviceFence { device: *device, control, message }
    }

    /// The events of a device that somebody's grant which counts now was given by, or that made the invite he came by.
    fn standing_on(&self, device: &DeviceId) -> Vec<(NodeIdx, AccountId)> {
        let live = (0..self.dag.grants().len()).filter(|g| self.resolved.is_live(*g));
        let made = live.flat_map(|g| {
            let grant = &self.dag.grants()[g];
            [Some(grant.op), self.dag.invite_behind(g)].into_iter().flatten().map(|at| (at, grant.subject))
        });
        made.filter(|(at, _)| self.dag.node(*at).event.device() == *device).collect()
    }
}
