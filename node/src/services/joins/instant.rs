//! Coming in by the link alone: what is read at its relays, and when enough was read to enter.

use std::collections::BTreeSet;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::control::Sponsor;
use parlor_proto::join::instant::Entering;
use parlor_proto::link::Link;
use parlor_proto::mailbox::{BoxKind, BoxName};

use crate::account::rng;
use crate::services::mailboxes::DoorNews;

/// So long nothing new came of boxes that were read to their ends: other relays may have more.
const QUIET_MS: u64 = 1_500;
/// So long a box may take to be read to its end.
const PATIENCE_MS: u64 = 20_000;

/// What was read to enter by the link alone.
pub(super) struct EnterByLink {
    pub(super) machine: Entering,
    /// The boxes that are read,
    asked: BTreeSet<BoxName>,
    /// and those of them read to their ends at some relay.
    caught_up: BTreeSet<BoxName>,
    /// When enough was read; none before the package of the maker is whole.
    due_ms: Option<u64>,
}

impl EnterByLink {
    /// For a link of an instant invite.
    pub(super) fn by(link: &Link) -> Option<Self> {
        let instant = link.caveats().sponsor == Sponsor::Instant;
        instant.then(|| Self {
            machine: Entering::new(link.clone()),
            asked: BTreeSet::new(),
            caught_up: BTreeSet::new(),
            due_ms: None,
        })
    }

    /// Takes what came of the door and of the boxes. Answers the boxes that are to be read besides.
    pub(super) fn hear(&mut self, news: DoorNews, now_ms: u64) -> Vec<BoxKeys> {
        match news {
            DoorNews::Part(part) => {
                if !self.machine.part(&part, now_ms, &mut rng()) {
                    return Vec::new();
                }
            }
            DoorNews::Mails(mails) => self.machine.take(mails, now_ms),
            DoorNews::CaughtUp(name) => drop(self.caught_up.insert(name)),
            DoorNews::Waits | DoorNews::Answer(_) => return Vec::new(),
        }
        self.read_on(now_ms)
    }

    /// The boxes that are to be read and are not yet.
    pub(super) fn read_on(&mut self, now_ms: u64) -> Vec<BoxKeys> {
        let name = |keys: &BoxKeys| BoxName { kind: BoxKind::Room, key: keys.sign.public_bytes() };
        let boxes = self.machine.boxes();
        if boxes.is_empty() {
            return boxes;
        }
        let new: Vec<BoxKeys> = boxes.into_iter().filter(|keys| self.asked.insert(name(keys))).collect();
        let all = self.asked.is_subset(&self.caught_up);
        self.due_ms = match (all, self.due_ms) {
            (true, _) => Some(now_ms.saturating_add(QUIET_MS)),
            (false, Some(due_ms)) if new.is_empty() => Some(due_ms),
            (false, _) => Some(now_ms.saturating_add(PATIENCE_MS)),
        };
        new
    }

    /// When to enter.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// Not before this time.
    pub(super) fn later(&mut self, at_ms: u64) {
        self.due_ms = Some(at_ms);
    }
}
