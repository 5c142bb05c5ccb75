//! How far our messages in one room have come, and when they are tried again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlor_crypto::CryptoRng;
use rand::RngExt as _;

use crate::ids::{AccountId, DeviceId};

use super::{FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Nonce, Status, Waiting};

/// One room of the outbox.
#[derive(Default)]
pub(super) struct Reach {
    /// Requests without an event, in the order of submission.
    pub(super) unwritten: VecDeque<Nonce>,
    /// Messages that are on no other device, by number in our log.
    pub(super) unsent: BTreeMap<u64, Nonce>,
    /// Messages that were written and then given up.
    pub(super) failed: BTreeMap<u64, Nonce>,
    /// The room can be written to, as last told.
    pub(super) writable: bool,
    /// Members' devices connected.
    pub(super) n_connected: usize,
    /// When writing is tried again.
    pub(super) write_ms: Option<u64>,
    /// When sending is tried again.
    pub(super) attempt_ms: Option<u64>,
    /// The last pause between two tries.
    pub(super) pause_ms: u64,
    /// Tries since the oldest unsent message.
    pub(super) attempts: u32,
    /// What was written up to this number was sent before the last try: whoever has it could have said so. What is newer is
    /// not sent again yet.
    pub(super) tried_to: u64,
    me: Option<AccountId>,
    accounts: BTreeMap<DeviceId, AccountId>,
    /// Per device: our log is stored up to here, and read up to here.
    marks: BTreeMap<DeviceId, (u64, u64)>,
}

impl Reach {
    /// Sets the live devices of the room.
    pub(super) fn set_members(&mut self, me: AccountId, devices: Vec<(DeviceId, AccountId)>) {
        self.me = Some(me);
        self.accounts = devices.into_iter().collect();
    }

    /// Notes that `device` has our log up to `has` and read up to `read`; gives the range of messages that this says
    /// something new about.
    pub(super) fn raise(&mut self, device: DeviceId, has: u64, read: u64) -> Option<(u64, u64)> {
        let mark = self.marks.entry(device).or_default();
        let (old_has, old_read) = *mark;
        *mark = (old_has.max(has), old_read.max(read.min(has)));
        let (new_has, new_read) = *mark;
        let had = (new_has > old_has).then_some((old_has + 1, new_has));
        let was_read = (new_read > old_read).then_some((old_read + 1, new_read));
        match (had, was_read) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (had, was_read) => had.or(was_read),
        }
    }

    /// Nothing is to be sent any more.
    pub(super) fn rest(&mut self) {
        (self.attempt_ms, self.pause_ms, self.attempts) = (None, 0, 0);
    }

    /// Sets the time of the next try, each pause twice the one before.
    pub(super) fn pause(&mut self, now_ms: u64, rng: &mut impl CryptoRng) {
        self.attempts = self.attempts.saturating_add(1);
        self.pause_ms = (self.pause_ms * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        let jitter = rng.random_range(0..=self.pause_ms / 2);
        self.attempt_ms = Some(now_ms.saturating_add(self.pause_ms * 3 / 4 + jitter));
    }

    /// When something is to be tried.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        [self.write_ms, self.attempt_ms].into_iter().flatten().min()
    }

    /// The status of a written message that is not given up.
    pub(super) fn status(&self, seq: u64) -> Status {
        let others: BTreeSet<_> = self.accounts.values().filter(|account| Some(**account) != self.me).collect();
        let (mut to, mut by) = (BTreeSet::new(), BTreeSet::new());
        let mut elsewhere = false;
        for (device, (has, read)) in self.marks.iter().filter(|(_, (has, _))| *has >= seq) {
            debug_assert!(read <= has);
            elsewhere = true;
            let Some(account) = self.accounts.get(device).filter(|account| Some(**account) != self.me) else {
                continue;
            };
            to.insert(account);
            if *read >= seq {
                by.insert(account);
            }
        }
        let count = |set: &BTreeSet<_>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        let (to, by, of) = (count(&to), count(&by), count(&others));
        match (by, to) {
            (1.., _) => Status::Read { by, to, of },
            (0, 1..) => Status::Delivered { to, of },
            _ if elsewhere || !self.unsent.contains_key(&seq) => Status::Sent,
            _ if self.n_connected > 0 => Status::Queued(Waiting::Unconfirmed),
            _ => Status::Queued(Waiting::Unreachable),
        }
    }
}
