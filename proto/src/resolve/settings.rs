//! Settings and policy: of each the last write counts.
//!
//! A write that knew another one replaces it; of writes that did not know each other that of the most senior author
//! counts, then the one of the higher lamport number, then of the greater id. So a setting is decided among the
//! admissible writes that no other was built on, usually one, whatever else was written.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::Resolved;
use crate::control::Control;
use crate::dag::{Dag, NodeIdx};

/// What is written: a setting by its number, or the policy.
pub(super) type Key = u16;

/// The policy is no setting with a number.
const POLICY: Key = 256;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// The writes of each key that no other was built on.
    heads: BTreeMap<Key, Vec<NodeIdx>>,
    /// The settings that count.
    values: BTreeMap<u8, Vec<u8>>,
    policy: Option<NodeIdx>,
}

impl Settings {
    pub(super) fn values(&self) -> &BTreeMap<u8, Vec<u8>> {
        &self.values
    }

    pub(super) fn policy(&self) -> Option<NodeIdx> {
        self.policy
    }

    /// A write that nothing is built on yet.
    pub(super) fn add(&mut self, dag: &Dag, at: NodeIdx) {
        for key in keys(&dag.node(at).control) {
            let heads = self.heads.entry(key).or_default();
            heads.retain(|head| !dag.node(at).past.has(*head));
            heads.push(at);
            self.choose(dag, key);
        }
    }

    /// The winner of a key among its heads.
    fn choose(&mut self, dag: &Dag, key: Key) {
        let heads = self.heads.get(&key).into_iter().flatten().copied();
        let rank = |at: &NodeIdx| {
            let node = dag.node(*at);
            (Reverse(node.auth.map(|auth| dag.place(auth))), node.lamport, node.event.id())
        };
        let winner = heads.max_by_key(rank);
        let Ok(number) = u8::try_from(key) else {
            self.policy = winner;
            return;
        };
        let written = winner.and_then(|at| match &dag.node(at).control {
            Control::State(state) => state.writes.iter().find(|(n, _)| *n == number).map(|(_, value)| value.clone()),
            _ => None,
        });
        match written {
            Some(value) => self.values.insert(number, value),
            None => self.values.remove(&number),
        };
    }
}

/// What an event writes.
pub(super) fn keys(control: &Control) -> Vec<Key> {
    match control {
        Control::State(state) => state.writes.iter().map(|(number, _)| Key::from(*number)).collect(),
        Control::Policy(_) => vec![POLICY],
        _ => Vec::new(),
    }
}

impl Resolved {
    /// All writes of the view, from scratch.
    pub(super) fn play_settings(&mut self, dag: &Dag) {
        let all = dag.kinds().states.iter().flat_map(|at| keys(&dag.node(*at).control)).collect();
        self.settings = Settings::default();
        self.replay(dag, &all);
    }

    /// Some keys, from scratch.
    pub(super) fn replay(&mut self, dag: &Dag, dirty: &BTreeSet<Key>) {
        for key in dirty {
            self.settings.heads.remove(key);
        }
        // Ancestors come first in the order of acceptance: the last write first, so that what it was built on is dropped.
        for at in dag.kinds().states.iter().rev().copied() {
            let written = keys(&dag.node(at).control);
            let wanted = written.into_iter().filter(|key| dirty.contains(key));
            let mut wanted = wanted.peekable();
            if wanted.peek().is_none() || !self.view.has(at) || !self.is_admissible(dag, at) {
                continue;
            }
            for key in wanted {
                let heads = self.settings.heads.entry(key).or_default();
                if !heads.iter().any(|head| dag.node(*head).past.has(at)) {
                    heads.push(at);
                }
            }
        }
        dirty.iter().for_each(|key| self.settings.choose(dag, *key));
    }
}
