//! How far our messages in one room have come, and when they are tried again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlor_crypto::CryptoRng;
use rand::RngExt as _;

use crate::ids::{AccountId, DeviceId};

use super::{FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Nonce, Receipt, Status, Waiting};

/// Steps of a [`Track`] that are remembered: what is older keeps the time of the oldest one left, which is still true.
const STEPS: usize = 256;

/// How far something came, and when it was known to.
#[derive(Debug, Default)]
struct Track {
    /// Up to this number since this time, rising; at most [`STEPS`].
    steps: VecDeque<(u64, u64)>,
}

impl Track {
    /// How far it came.
    fn reached(&self) -> u64 {
        self.steps.back().map_or(0, |(seq, _)| *seq)
    }

    /// Since when it is known to have come to `seq`: at the latest then.
    fn since(&self, seq: u64) -> Option<u64> {
        self.steps.get(self.steps.partition_point(|(reached, _)| *reached < seq)).map(|(_, at_ms)| *at_ms)
    }

    /// It came to `seq`; whether that is further than before.
    fn advance(&mut self, seq: u64, at_ms: u64) -> bool {
        if seq <= self.reached() {
            return false;
        }
        if self.steps.len() == STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back((seq, at_ms));
        true
    }
}

/// What a device said of our log.
#[derive(Debug, Default)]
struct Mark {
    has: Track,
    read: Track,
}

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
    marks: BTreeMap<DeviceId, Mark>,
}

impl Reach {
    /// Sets the live devices of the room.
    pub(super) fn set_members(&mut self, me: AccountId, devices: Vec<(DeviceId, AccountId)>) {
        self.me = Some(me);
        self.accounts = devices.into_iter().collect();
    }

    /// Notes that `device` has our log up to `has` and read up to `read` since `at_ms`; gives the range of messages that this
    /// says something new about.
    pub(super) fn raise(&mut self, device: DeviceId, has: u64, read: u64, at_ms: u64) -> Option<(u64, u64)> {
        let mark = self.marks.entry(device).or_default();
        let (old_has, old_read, read) = (mark.has.reached(), mark.read.reached(), read.min(has));
        let had = mark.has.advance(has, at_ms).then_some((old_has + 1, has));
        let was_read = mark.read.advance(read, at_ms).then_some((old_read + 1, read));
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

    /// What every other account of the room says of message `seq`, by account.
    pub(super) fn receipts(&self, seq: u64) -> Vec<Receipt> {
        let mut found: BTreeMap<AccountId, Receipt> = BTreeMap::new();
        for (device, account) in self.accounts.iter().filter(|(_, account)| Some(**account) != self.me) {
            let receipt =
                found.entry(*account).or_insert(Receipt { account: *account, delivered_ms: None, read_ms: None });
            let Some(mark) = self.marks.get(device) else { continue };
            receipt.delivered_ms = earlier(receipt.delivered_ms, mark.has.since(seq));
            receipt.read_ms = earlier(receipt.read_ms, mark.read.since(seq));
        }
        found.into_values().collect()
    }

    /// The status of a written message that is not given up.
    pub(super) fn status(&self, seq: u64) -> Status {
        let others: BTreeSet<_> = self.accounts.values().filter(|account| Some(**account) != self.me).collect();
        let (mut to, mut by) = (BTreeSet::new(), BTreeSet::new());
        let mut elsewhere = false;
        for (device, mark) in self.marks.iter().filter(|(_, mark)| mark.has.reached() >= seq) {
            debug_assert!(mark.read.reached() <= mark.has.reached());
            elsewhere = true;
            let Some(account) = self.accounts.get(device).filter(|account| Some(**account) != self.me) else {
                continue;
            };
            to.insert(account);
            if mark.read.reached() >= seq {
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

/// The earlier of two times, of which either may not be known.
fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    [a, b].into_iter().flatten().min()
}
