//! Whom an epoch reaches beside those it was made for: whoever came later and may have its key.

use super::epochs::{EpochInfo, Epochs};
use super::openings::Opened;
use crate::control::{Control, History, InviteHistory};
use crate::dag::{Dag, DeviceNo, GrantIdx, NodeIdx, Set};
use crate::ids::{AccountId, EpochId};
use crate::resolve::Resolved;

impl Epochs {
    /// Whether every live device of a view can come by the key of `epoch`: made for it or another device of its account, or by
    /// the history modes, or by an admission into it. Whoever was let in into another epoch meanwhile, or taken back by a grant
    /// in a room without history, can not: then the next epoch is needed.
    pub(super) fn reaches_all(
        &self,
        dag: &Dag,
        epoch: &EpochInfo,
        resolved: &Resolved,
        live: &Set,
        view: &Set,
    ) -> bool {
        let Control::Rotate(rotate) = &dag.node(epoch.at).control else { return false };
        let mut known = Opened::new();
        let reaches = |no: DeviceNo| {
            let Some(account) = dag.account_in(no, view) else { return false };
            let mut grants = dag.grants_of(&account).iter().copied().filter(|g| resolved.is_live(*g));
            let by_history =
                grants.any(|g| self.history_reaches(dag, g, rotate.share_history, &epoch.id, |at| view.has(at)));
            by_history
                || dag.devices_of(&account).iter().any(|no| epoch.recipients.has(*no))
                || self.admitted_into(dag, &epoch.id, &account, resolved, &mut known)
        };
        live.without(&epoch.recipients).all(reaches)
    }

    /// Whether the history mode of an epoch and what a grant lets read let its subject read the epoch, by the epochs that are
    /// `known`.
    pub(super) fn history_reaches(
        &self,
        dag: &Dag,
        grant: GrantIdx,
        shared: History,
        epoch: &EpochId,
        known: impl Fn(NodeIdx) -> bool,
    ) -> bool {
        shared == History::Full && self.invite_reaches(&dag.grants()[grant].reads, epoch, known)
    }

    /// Whether an invite lets its newcomers read an epoch made before, by the epochs that are `known`.
    pub(super) fn invite_reaches(
        &self,
        history: &InviteHistory,
        epoch: &EpochId,
        known: impl Fn(NodeIdx) -> bool,
    ) -> bool {
        match history {
            InviteHistory::None => false,
            InviteHistory::Since(first) => {
                let first = self.info(first).filter(|first| known(first.at));
                first.is_some_and(|first| self.order(epoch) >= Some(first.order))
            }
            InviteHistory::Full => true,
        }
    }

    /// Whether an admission that counts let the account into the epoch.
    fn admitted_into(
        &self,
        dag: &Dag,
        epoch: &EpochId,
        account: &AccountId,
        resolved: &Resolved,
        known: &mut Opened,
    ) -> bool {
        dag.grants_of(account).iter().any(|g| {
            let op = dag.grants()[*g].op;
            let into = matches!(&dag.node(op).control, Control::Admit(admit) if admit.epoch == *epoch);
            into && self.opens_beside(dag, op, resolved, known)
        })
    }
}
