//! What came out of the boxes of one room and is not taken yet. Without I/O.
//!
//! A blob is taken when all that is in it is durable here. What waits for something else (an event whose ancestors are on
//! their way) is shown to the room again, more and more seldom, so that a restart meanwhile finds it in the box.

use std::collections::VecDeque;

use parlor_proto::mailbox::{BlobId, BoxName, Mail};

use crate::limits::{INTAKE_BLOBS, INTAKE_BYTES, INTAKE_TRIES, INTAKE_WAITING_BYTES};

/// A blob that came.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) name: BoxName,
    pub(super) id: BlobId,
    /// What was in it.
    pub(super) mails: Vec<Mail>,
    bytes: usize,
    tries: u32,
    next_ms: u64,
}

impl Came {
    pub(super) fn new(name: BoxName, id: BlobId, mails: Vec<Mail>) -> Self {
        let bytes = mails.iter().map(|mail| match mail {
            Mail::Record(item) => item.bytes.0.len(),
            Mail::Page(page) => page.0.len(),
        });
        Self { name, id, bytes: bytes.sum(), mails, tries: 0, next_ms: 0 }
    }
}

/// What came for one room.
#[derive(Debug, Default)]
pub(super) struct Intake {
    fresh: VecDeque<Came>,
    /// What is shown again later.
    waiting: VecDeque<Came>,
    under_way: Vec<Came>,
}

impl Intake {
    /// A blob came.
    pub(super) fn push(&mut self, came: Came) {
        self.fresh.push_back(came);
    }

    /// What to show the room now, if nothing is shown to it already.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<Vec<Mail>> {
        if !self.under_way.is_empty() {
            return None;
        }
        let mut bytes = 0;
        while let Some(came) = self.fresh.pop_front_if(|came| bytes == 0 || bytes + came.bytes <= INTAKE_BYTES) {
            bytes += came.bytes.max(1);
            self.under_way.push(came);
            if self.under_way.len() >= INTAKE_BLOBS {
                break;
            }
        }
        if self.under_way.is_empty() {
            // Alone, so that what is complete is not held back by what is not.
            let at = self.waiting.iter().position(|came| came.next_ms <= now_ms)?;
            self.under_way.extend(self.waiting.remove(at));
        }
        Some(self.under_way.iter().flat_map(|came| came.mails.iter().cloned()).collect())
    }

    /// The room has what was shown durably; `complete` if none of it waits. Answers the blobs that are taken.
    pub(super) fn shown(&mut self, complete: bool, now_ms: u64) -> Vec<(BoxName, BlobId)> {
        let mut shown = std::mem::take(&mut self.under_way);
        if complete {
            // What waited may have waited for this.
            self.waiting.iter_mut().filter(|came| came.tries < 4).for_each(|came| came.next_ms = now_ms);
            return shown.iter().map(|came| (came.name, came.id)).collect();
        }
        let alone = shown.len() == 1;
        for came in &mut shown {
            if alone {
                came.tries += 1;
                came.next_ms = now_ms.saturating_add(1_000 << came.tries.min(6));
            }
        }
        self.waiting.extend(shown);
        self.give_up()
    }

    /// Gives up what was shown often enough, and the oldest of too much. It comes by sync.
    fn give_up(&mut self) -> Vec<(BoxName, BlobId)> {
        let mut given_up = Vec::new();
        let mut bytes: usize = self.waiting.iter().map(|came| came.bytes).sum();
        self.waiting.retain(|came| {
            let over = came.tries >= INTAKE_TRIES || bytes > INTAKE_WAITING_BYTES;
            if over {
                bytes -= came.bytes;
                given_up.push((came.name, came.id));
            }
            !over
        });
        given_up
    }

    /// When something is to be shown again.
    pub(super) fn due_ms(&self) -> Option<u64> {
        if self.under_way.is_empty() { self.waiting.iter().map(|came| came.next_ms).min() } else { None }
    }

    /// Whether nothing is left.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.waiting.is_empty() && self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::mailbox::BoxKind;
    use parlor_proto::wire::Blob;

    use super::*;

    const BOX: BoxName = BoxName { kind: BoxKind::Room, key: [1; 32] };

    fn came(n: u8) -> Came {
        Came::new(BOX, BlobId([n; 32]), vec![Mail::Page(Blob(vec![n; 100]))])
    }

    #[test]
    fn what_is_complete_is_taken_and_what_waits_is_shown_again_alone() {
        let mut intake = Intake::default();
        intake.push(came(1));
        intake.push(came(2));
        assert_eq!(intake.next(0).unwrap().len(), 2);
        assert!(intake.next(0).is_none(), "one at a time");
        assert!(intake.shown(false, 0).is_empty(), "one of both waits");
        assert_eq!(intake.next(0).unwrap().len(), 1);
        assert_eq!(intake.shown(true, 0), [(BOX, BlobId([1; 32]))]);
        assert_eq!(intake.next(0).unwrap().len(), 1);
        assert!(intake.shown(false, 0).is_empty());
        assert!(intake.next(0).is_none(), "not at once again");
        let due = intake.due_ms().unwrap();
        assert!(due > 0 && intake.next(due).is_some());
        assert_eq!(intake.shown(true, due), [(BOX, BlobId([2; 32]))]);
        assert!(intake.is_empty());
    }

    #[test]
    fn what_never_becomes_complete_is_given_up() {
        let mut intake = Intake::default();
        intake.push(came(1));
        let mut now_ms = 0;
        for _ in 0..INTAKE_TRIES {
            assert!(intake.next(now_ms).is_some());
            let given_up = intake.shown(false, now_ms);
            now_ms = intake.due_ms().unwrap_or(now_ms);
            if !given_up.is_empty() {
                return assert!(intake.is_empty());
            }
        }
        panic!("tried for ever");
    }
}
