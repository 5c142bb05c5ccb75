//! Coming in by the link alone: what is read at its relays, and when enough was read to enter.

use std::collections::BTreeSet;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::control::Sponsor;
use parlor_proto::join::instant::Entering;
use parlor_proto::link::Link;
use parlor_proto::mailbox::{BoxKind, BoxName};

use crate::account::rng;
use crate::services::mailboxes::DoorNews;

/// So long nothing new came of boxes that were read to their ends at all relays.
const QUIET_MS: u64 = 1_500;
/// So long the relays may take to give a box to its end: one may be down, or keep back its end.
const PATIENCE_MS: u64 = 10_000;
/// So long reading may take in all, whatever news there is.
const READING_MS: u64 = 60_000;

/// What was read to enter by the link alone.
pub(super) struct EnterByLink {
    pub(super) machine: Entering,
    /// The boxes that are read,
    asked: BTreeSet<BoxName>,
    /// and those of them read to their ends at all relays.
    caught_up: BTreeSet<BoxName>,
    /// When the package of the maker was whole,
    began_ms: Option<u64>,
    /// and when enough was read since.
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
            began_ms: None,
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
        let due_ms = match (all, self.due_ms) {
            (true, _) => now_ms.saturating_add(QUIET_MS),
            (false, Some(due_ms)) if new.is_empty() => due_ms,
            (false, _) => now_ms.saturating_add(PATIENCE_MS),
        };
        let began_ms = *self.began_ms.get_or_insert(now_ms);
        self.due_ms = Some(due_ms.min(began_ms.saturating_add(READING_MS)));
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
