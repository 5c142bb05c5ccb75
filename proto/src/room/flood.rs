//! Former members, and devices that were revoked, that go on writing.
//!
//! What they write counts for nothing, but somebody may have built on it before he knew, so it can not simply be refused:
//! whatever a member hands on is taken. From others, and from gossip, which says nothing about who sent it, only so much
//! of it is taken, ever: what he wrote before he heard of his end is less. So a flood does not enter a room, whoever starts it,
//! and all members keep the same. Whoever was never in, for he was let in by somebody whose word counts for nothing, writes on the
//! account of that one: nobody has more of it by bringing others.

use std::collections::{HashMap, HashSet};

use super::Room;
use crate::control::Control;
use crate::dag::Set;
use crate::event::Event;
use crate::ids::{AccountId, DeviceId};
use crate::limits;

/// Who answers for what somebody writes whose words do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Answers {
    /// An account that was in; of a member it is only what those wrote whom it let in in vain.
    Account(AccountId),
    /// A device of a member that is not live.
    Device(DeviceId),
}

/// How many events are here for which somebody answers. Nothing of it is kept: what is here says it.
pub(super) type Flood = HashMap<Answers, usize>;

impl Room {
    /// Who answers for a control event that no member vouches for, if it is to be counted. Who is no member himself, yet or any more,
    /// can not tell and takes all.
    pub(super) fn answers_for(&self, event: &Event) -> Option<Answers> {
        if !self.is_member() {
            return None;
        }
        let author = self.author_of(event)?;
        if !self.resolved.members().contains_key(&author) {
            return Some(Answers::Account(self.who_brought(&author, &mut HashMap::new())));
        }
        let device = event.device();
        let over = self.dag.device_no(&device).is_some_and(|no| !self.resolved.live().has(no));
        over.then_some(Answers::Device(device))
    }

    /// Whether a message that no member vouches for is one too many of a device that is out: so far beyond what its end says of its log.
    pub(super) fn is_message_of_a_flood(&self, event: &Event) -> bool {
        let device = event.device();
        let (Some(author), Some(header)) = (self.account_of(&device).filter(|_| self.is_member()), event.message())
        else {
            return false;
        };
        let live = self.dag.device_no(&device).is_some_and(|no| self.resolved.live().has(no));
        if live && self.resolved.members().contains_key(&author) {
            return false;
        }
        let grants = self.dag.grants_of(&author);
        let was_in = grants.iter().any(|g| self.resolved.began(&self.dag, *g));
        let ends = grants.iter().flat_map(|g| self.resolved.kills(*g));
        let ends = ends.filter_map(|end| match &self.dag.node(*end).control {
            Control::Remove(remove) => remove.fence_of(&device)?.message.map(|at| at.seq),
            Control::Leave(leave) => leave.fence.iter().find(|at| at.device == device).map(|at| at.seq),
            _ => None,
        });
        let revokes = self.dag.device_revokes(&device).iter();
        let revokes = revokes.filter_map(|(_, fence)| fence.message.map(|at| at.seq));
        let more = if was_in { limits::MAX_FORMER_MESSAGES } else { limits::MAX_VOID_MESSAGES };
        header.seq > ends.chain(revokes).max().unwrap_or(0).saturating_add(more)
    }

    /// Whether no more is taken for which `answers` answers. Of what is taken then the caller adds one to it.
    pub(super) fn is_flooded(&self, answers: Answers, flood: &mut Flood) -> bool {
        *flood.entry(answers).or_insert_with(|| self.written_for(answers)) >= limits::MAX_FORMER_EVENTS
    }

    /// The account that was in and let in this one, or whoever let it in, in vain; itself if it was in.
    /// What was found out is noted in `known`.
    fn who_brought(&self, account: &AccountId, known: &mut HashMap<AccountId, AccountId>) -> AccountId {
        let (mut at, mut seen) = (*account, HashSet::new());
        while seen.insert(at) {
            if let Some(brought) = known.get(&at) {
                at = *brought;
                break;
            }
            let grants = self.dag.grants_of(&at);
            let Some(first) = grants.first().filter(|_| !grants.iter().any(|g| self.resolved.began(&self.dag, *g)))
            else {
                break;
            };
            at = self.dag.node(self.dag.grants()[*first].op).author;
        }
        known.extend(seen.into_iter().map(|account| (account, at)));
        at
    }

    /// How many control events are here for which somebody answers.
    fn written_for(&self, answers: Answers) -> usize {
        match answers {
            Answers::Device(device) => {
                let revokes = self.dag.device_revokes(&device).iter().map(|(at, _)| *at);
                self.written_after(&[device], revokes)
            }
            Answers::Account(account) => {
                let out = |other: &AccountId| !self.resolved.members().contains_key(other);
                let subjects: HashSet<AccountId> = self.dag.grants().iter().map(|grant| grant.subject).collect();
                let mut known = HashMap::new();
                let mut brought = |other: &AccountId| self.who_brought(other, &mut known) == account;
                let theirs = subjects.into_iter().filter(|other| out(other) && brought(other));
                theirs.map(|other| self.written_by(&other)).sum()
            }
        }
    }

    /// How many control events of an account are here that nothing which ended a grant of it knew.
    fn written_by(&self, account: &AccountId) -> usize {
        let devices = self.dag.devices_of(account).iter().filter_map(|no| self.dag.devices().get(*no));
        let devices: Vec<DeviceId> = devices.map(|entry| entry.device).collect();
        let ends = self.dag.grants_of(account).iter().flat_map(|g| self.resolved.kills(*g)).copied();
        self.written_after(&devices, ends)
    }

    /// How many control events of these devices are here that none of `ends` knew.
    fn written_after(&self, devices: &[DeviceId], ends: impl Iterator<Item = usize>) -> usize {
        let mut known = Set::default();
        ends.for_each(|end| known.put_all(&self.dag.node(end).past));
        let logs = devices.iter().filter_map(|device| self.dag.logs().get(device));
        logs.flatten().filter(|at| !known.has(**at)).count()
    }

    /// Whose event it is, if the device or its account is known.
    fn author_of(&self, event: &Event) -> Option<AccountId> {
        if let Some(account) = self.account_of(&event.device()) {
            return Some(account);
        }
        let kind = event.control()?.kind;
        match Control::decode(kind, event.payload()).ok()? {
            Control::AccountUpdate(update) => update.devices.first().map(|new| AccountId(new.cert.account)),
            _ => None,
        }
        // Of accounts that nobody knows nothing is taken.
        .filter(|account| self.dag.inception(account).is_some())
    }
}
