//! Knocks that wait in mailboxes: ours at the door of an invite, and those of others at our rooms' doors.
//!
//! A knock in a door box is the same that goes over a connection, and so is the answer. Before the answer the sponsor leaves
//! all control events, so that the joiner finds everything there and needs nobody online. Whoever comes by first answers; the
//! others see the answer in the box and leave the knock.

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::RoomId;
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, Mail};
use tokio::sync::mpsc;

use super::plan::SharedBox;
use super::relays::Relay;
use crate::limits::{KNOCK_AGAIN_MS, KNOCK_SPREAD_MS, KNOCKS_WAITING};

/// A door at which we knock.
#[derive(Clone)]
pub(crate) struct JoinDoor {
    /// The room behind it.
    pub(crate) room: RoomId,
    /// The relays of the link.
    pub(crate) relays: Vec<Relay>,
    /// The door key of the invite.
    pub(crate) door: [u8; 32],
    /// What is put there; nothing if it is only read, for now.
    pub(crate) knock: Option<Vec<u8>>,
    /// Whether what the maker left there is read.
    pub(crate) instant: bool,
    /// Hears what comes of it.
    pub(crate) news: mpsc::Sender<DoorNews>,
}

/// What comes of a knock in a mailbox.
#[derive(Debug)]
pub(crate) enum DoorNews {
    /// A relay keeps it.
    Waits,
    /// Somebody answered.
    Answer(Vec<u8>),
    /// What may be a part of what the maker of an instant invite left.
    Part(Vec<u8>),
    /// What was in a box of the room that is read to enter.
    Mails(Vec<Mail>),
    /// All that the relays of the link have of a box was read, of the room that is entered or of its door.
    CaughtUp(BoxName),
}

impl JoinDoor {
    /// Its box.
    pub(super) fn shared(&self) -> SharedBox {
        let keys = BoxKeys::of_door(&self.door);
        SharedBox { name: BoxName { kind: BoxKind::Door, key: keys.sign.public_bytes() }, keys }
    }
}

/// A knock of somebody at a door of ours.
#[derive(Debug)]
pub(super) struct Knock {
    pub(super) name: BoxName,
    pub(super) id: BlobId,
    pub(super) bytes: Vec<u8>,
    due_ms: u64,
    /// A person has to approve, and the joiner was told so.
    pub(super) told: bool,
}

/// The knocks at the doors of one room.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    waiting: Vec<Knock>,
}

impl Knocks {
    /// A knock came. Those of several members who are online do not answer at once: `me` decides who is first. False when
    /// there are too many already.
    pub(super) fn add(&mut self, name: BoxName, id: BlobId, bytes: Vec<u8>, me: &[u8; 32], now_ms: u64) -> bool {
        if self.waiting.len() >= KNOCKS_WAITING {
            return false;
        }
        let draw = blake3_of(&id.0, me);
        let due_ms = now_ms.saturating_add(u64::from(draw) % KNOCK_SPREAD_MS);
        self.waiting.push(Knock { name, id, bytes, due_ms, told: false });
        true
    }

    /// Somebody answered a knock: it need not be. Whether it was waiting.
    pub(super) fn answered(&mut self, id: &BlobId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|knock| knock.id != *id);
        self.waiting.len() < before
    }

    /// A knock whose time has come; it comes again later unless it is answered.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<(BoxName, BlobId, Vec<u8>)> {
        let knock = self.waiting.iter_mut().find(|knock| knock.due_ms <= now_ms)?;
        knock.due_ms = now_ms.saturating_add(KNOCK_AGAIN_MS);
        Some((knock.name, knock.id, knock.bytes.clone()))
    }

    /// A person has to approve. Whether the joiner was not told yet.
    pub(super) fn tell_pending(&mut self, id: &BlobId) -> bool {
        let knock = self.waiting.iter_mut().find(|knock| knock.id == *id && !knock.told);
        knock.map(|knock| knock.told = true).is_some()
    }

    /// Something changed in the room: who waits for a word may have it now.
    pub(super) fn look_again(&mut self, now_ms: u64) {
        self.waiting.iter_mut().filter(|knock| knock.told).for_each(|knock| knock.due_ms = now_ms);
    }

    /// When a knock is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.waiting.iter().map(|knock| knock.due_ms).min()
    }
}

/// A draw that differs from device to device.
fn blake3_of(id: &[u8; 32], me: &[u8; 32]) -> u16 {
    let mixed =
        id.iter().zip(me).fold((0_u8, 0_u8), |(a, b), (x, y)| (a ^ x.wrapping_mul(31) ^ y, b.wrapping_add(x ^ y)));
    u16::from_be_bytes([mixed.0, mixed.1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: BoxName = BoxName { kind: BoxKind::Door, key: [1; 32] };

    #[test]
    fn a_knock_is_looked_at_until_somebody_answers_it() {
        let mut knocks = Knocks::default();
        assert!(knocks.add(BOX, BlobId([1; 32]), vec![1], &[7; 32], 1_000));
        let due = knocks.due_ms().unwrap();
        assert!((1_000..1_000 + KNOCK_SPREAD_MS).contains(&due));
        assert_eq!(knocks.next(due), Some((BOX, BlobId([1; 32]), vec![1])));
        assert_eq!(knocks.next(due), None, "not at once again");
        assert!(knocks.tell_pending(&BlobId([1; 32])) && !knocks.tell_pending(&BlobId([1; 32])));
        knocks.look_again(due + 1);
        assert!(knocks.next(due + 1).is_some());
        assert!(knocks.answered(&BlobId([1; 32])) && !knocks.answered(&BlobId([1; 32])));
        assert_eq!(knocks.due_ms(), None);
    }

    #[test]
    fn the_knocks_that_wait_are_bounded() {
        let mut knocks = Knocks::default();
        for n in 0..KNOCKS_WAITING {
            assert!(knocks.add(BOX, BlobId([n as u8; 32]), Vec::new(), &[7; 32], 0));
        }
        assert!(!knocks.add(BOX, BlobId([255; 32]), Vec::new(), &[7; 32], 0));
    }
}
