//! What a view means, in words that do not depend on the order in which events came.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::dag::{Dag, GrantIdx, NodeIdx};
use parlor_proto::resolve::Resolved;
use parlor_proto::{AccountId, DeviceId, EventId};

/// A grant: the event that made it, and its subject.
type GrantName = (EventId, AccountId);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub members: BTreeMap<AccountId, GrantName>,
    pub live: BTreeSet<DeviceId>,
    pub ok: BTreeSet<GrantName>,
    pub kills: BTreeMap<GrantName, BTreeSet<EventId>>,
    pub uses: BTreeMap<EventId, BTreeSet<AccountId>>,
    pub closed: BTreeSet<EventId>,
    pub settings: BTreeMap<u8, Vec<u8>>,
    pub policy: Option<String>,
    /// The events that brought in somebody who is out, by which epochs are safe or not.
    pub outsiders: BTreeSet<EventId>,
}

pub(crate) fn name(dag: &Dag, g: GrantIdx) -> GrantName {
    let grant = &dag.grants()[g];
    (id(dag, grant.op), grant.subject)
}

pub(crate) fn id(dag: &Dag, at: NodeIdx) -> EventId {
    dag.node(at).event.id()
}

impl Summary {
    /// Of `resolved`; of what it says about grants outside its view nothing is kept.
    pub(crate) fn of(dag: &Dag, resolved: &Resolved) -> Self {
        let grants = || (0..dag.grants().len()).filter(|g| resolved.view().has(dag.grants()[*g].op));
        let killed = grants().filter(|g| !resolved.kills(*g).is_empty());
        let invites = || dag.kinds().invites.iter().copied().filter(|at| resolved.view().has(*at));
        Self {
            members: resolved.members().iter().map(|(account, g)| (*account, name(dag, *g))).collect(),
            live: resolved.live().iter().map(|no| dag.devices()[no].device).collect(),
            ok: grants().filter(|g| resolved.is_ok(*g)).map(|g| name(dag, g)).collect(),
            kills: killed.map(|g| (name(dag, g), resolved.kills(g).iter().map(|at| id(dag, *at)).collect())).collect(),
            uses: invites()
                .filter(|at| resolved.uses(*at) > 0)
                .map(|at| (id(dag, at), resolved.came_by(at).copied().collect()))
                .collect(),
            closed: invites().filter(|at| resolved.is_closed(dag, *at)).map(|at| id(dag, at)).collect(),
            outsiders: resolved.outsiders().iter().map(|at| id(dag, at)).collect(),
            settings: resolved.settings().clone(),
            policy: resolved.policy(dag).map(|policy| format!("{policy:?}")),
        }
    }
}
