//! Knocks that wait in mailboxes: ours at the door of an invite, and those of others at our rooms' doors.
//!
//! A knock in a door box is the same that goes over a connection, and so is the answer. Before the answer the sponsor leaves
//! all control events, so that the joiner finds everything there and needs nobody online. Whoever comes by first answers; the
//! others see the answer in the box and leave the knock.

use std::collections::HashMap;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::RoomId;
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, Mail};
use tokio::sync::mpsc;

use super::plan::SharedBox;
use super::relays::Relay;
use crate::limits::{KNOCK_AGAIN_MS, KNOCK_PAUSE_MS, KNOCK_SPREAD_MS};

/// A door at which we knock.
#[derive(Clone)]
pub(crate) struct JoinDoor {
    /// The room behind it.
    pub(crate) room: RoomId,
    /// The relays of the link.
    pub(crate) relays: Vec<Relay>,
    /// The door key of the invite.
    pub(crate) door: [u8; 32],
    /// What is put there,
    pub(crate) knock: Vec<u8>,
    /// now, or later: then it is only read, for it may be there already, and an answer too.
    pub(crate) leave: bool,
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
    /// The name of its box.
    pub(crate) fn name(&self) -> BoxName {
        self.shared().name
    }

    /// Whether it is of the same join.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.news.same_channel(&other.news)
    }

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
    /// The room is looking at it.
    shown: bool,
    /// What answers it, on its way to the relays: who ends before one has it meets the knock again.
    answer: Option<BlobId>,
}

/// The knocks at the doors of one room. They stay in their boxes meanwhile, so there are no more of them than the machine hands
/// over of these.
#[derive(Debug, Default)]
pub(super) struct Knocks {
    waiting: Vec<Knock>,
    /// Doors at which too much was asked for: none of their knocks is looked at before.
    rests_until_ms: HashMap<BoxName, u64>,
}

impl Knocks {
    /// A knock came. Those of several members who are online do not answer at once: `me` decides who is first.
    pub(super) fn add(&mut self, name: BoxName, id: BlobId, bytes: Vec<u8>, me: &[u8; 32], now_ms: u64) {
        let draw = blake3_of(&id.0, me);
        let due_ms = now_ms.saturating_add(u64::from(draw) % KNOCK_SPREAD_MS);
        self.answered(&id);
        self.waiting.push(Knock { name, id, bytes, due_ms, told: false, shown: false, answer: None });
    }

    /// Forgets the knocks at doors that are not watched any more.
    pub(super) fn retain(&mut self, is_watched: impl Fn(&BoxName) -> bool) {
        self.waiting.retain(|knock| is_watched(&knock.name));
        self.rests_until_ms.retain(|name, _| is_watched(name));
    }

    /// Somebody answered a knock: it need not be. Whether it was waiting.
    pub(super) fn answered(&mut self, id: &BlobId) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|knock| knock.id != *id);
        self.waiting.len() < before
    }

    /// What answers a knock is on its way: the knock is taken out of its box when that is at a relay.
    pub(super) fn answering(&mut self, id: &BlobId, answer: BlobId) {
        for knock in self.waiting.iter_mut().filter(|knock| knock.id == *id) {
            (knock.shown, knock.answer) = (false, Some(answer));
        }
    }

    /// This is at a relay, or nothing is tried any more with it. The knock that it answers, which is done with.
    pub(super) fn arrived(&mut self, answer: &BlobId) -> Option<BlobId> {
        let knock = self.waiting.iter().find(|knock| knock.answer.as_ref() == Some(answer))?.id;
        self.answered(&knock);
        Some(knock)
    }

    /// The knock that waited longest of those whose time has come, unless the room is looking at one.
    pub(super) fn next(&mut self, now_ms: u64) -> Option<(BoxName, BlobId, Vec<u8>)> {
        if self.waiting.iter().any(|knock| knock.shown) {
            return None;
        }
        let rests = &self.rests_until_ms;
        let is_due = |knock: &&mut Knock| knock.answer.is_none() && due_ms(knock, rests) <= now_ms;
        let knock = self.waiting.iter_mut().filter(is_due).min_by_key(|knock| knock.due_ms)?;
        knock.shown = true;
        Some((knock.name, knock.id, knock.bytes.clone()))
    }

    /// The room looked at a knock, and it is to be looked at again later.
    pub(super) fn again(&mut self, id: &BlobId, now_ms: u64) {
        for knock in self.waiting.iter_mut().filter(|knock| knock.id == *id) {
            (knock.shown, knock.due_ms) = (false, now_ms.saturating_add(KNOCK_AGAIN_MS));
        }
    }

    /// Nobody could look at a knock: it keeps its place, and its door rests.
    pub(super) fn not_now(&mut self, id: &BlobId, now_ms: u64) {
        for knock in self.waiting.iter_mut().filter(|knock| knock.id == *id) {
            knock.shown = false;
            self.rests_until_ms.insert(knock.name, now_ms.saturating_add(KNOCK_PAUSE_MS));
        }
    }

    /// A person has to approve. Whether the joiner was not told yet.
    pub(super) fn tell_pending(&mut self, id: &BlobId) -> bool {
        let knock = self.waiting.iter_mut().find(|knock| knock.id == *id && !knock.told);
        knock.map(|knock| knock.told = true).is_some()
    }

    /// Something changed in the room: who waits for a word may have it now.
    pub(super) fn look_again(&mut self, now_ms: u64) {
        let told = self.waiting.iter_mut().filter(|knock| knock.told);
        told.for_each(|knock| knock.due_ms = knock.due_ms.min(now_ms));
    }

    /// When a knock is due.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let unseen = self.waiting.iter().filter(|knock| !knock.shown && knock.answer.is_none());
        unseen.map(|knock| due_ms(knock, &self.rests_until_ms)).min()
    }
}

/// When a knock may be looked at.
fn due_ms(knock: &Knock, rests: &HashMap<BoxName, u64>) -> u64 {
    knock.due_ms.max(rests.get(&knock.name).copied().unwrap_or(0))
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

    #[test]
    fn a_knock_is_done_with_when_its_answer_is_at_a_relay() {
        let (mut knocks, name) = (Knocks::default(), BoxName { kind: BoxKind::Door, key: [1; 32] });
        let [one, other, answer] = [1, 2, 3].map(|n| BlobId([n; 32]));
        for id in [one, other] {
            knocks.add(name, id, vec![1], &[7; 32], 0);
        }
        let (_, first, _) = knocks.next(KNOCK_SPREAD_MS).unwrap();
        knocks.answering(&first, answer);
        let (_, second, _) = knocks.next(KNOCK_SPREAD_MS).unwrap();
        assert!(first != second && knocks.due_ms().is_none(), "it holds up nobody, and is not looked at again");
        assert_eq!((knocks.arrived(&answer), knocks.arrived(&answer)), (Some(first), None));
        knocks.answering(&second, answer);
        assert!(knocks.answered(&second), "another member was faster");
        assert_eq!(knocks.arrived(&answer), None);
    }

    const BOX: BoxName = BoxName { kind: BoxKind::Door, key: [1; 32] };

    #[test]
    fn a_knock_is_looked_at_until_somebody_answers_it() {
        let mut knocks = Knocks::default();
        knocks.add(BOX, BlobId([1; 32]), vec![1], &[7; 32], 1_000);
        let due = knocks.due_ms().unwrap();
        assert!((1_000..1_000 + KNOCK_SPREAD_MS).contains(&due));
        assert_eq!(knocks.next(due), Some((BOX, BlobId([1; 32]), vec![1])));
        assert_eq!((knocks.next(due + KNOCK_AGAIN_MS), knocks.due_ms()), (None, None), "the room is looking at it");
        knocks.again(&BlobId([1; 32]), due);
        assert_eq!(knocks.next(due), None, "not at once again");
        assert!(knocks.tell_pending(&BlobId([1; 32])) && !knocks.tell_pending(&BlobId([1; 32])));
        knocks.look_again(due + 1);
        assert!(knocks.next(due + 1).is_some());
        assert!(knocks.answered(&BlobId([1; 32])) && !knocks.answered(&BlobId([1; 32])));
        assert_eq!(knocks.due_ms(), None);
    }

    #[test]
    fn however_many_knock_at_one_door_each_is_looked_at_in_its_turn_and_another_door_does_not_wait() {
        const OTHER: BoxName = BoxName { kind: BoxKind::Door, key: [2; 32] };
        let mut knocks = Knocks::default();
        let id = |n: u8| BlobId([n; 32]);
        (0..100).for_each(|n| knocks.add(BOX, id(n), Vec::new(), &[7; 32], 0));
        knocks.add(OTHER, id(200), Vec::new(), &[7; 32], 0);
        // A door takes two at once, then one each pause; somebody writes all the time.
        let (mut now, mut free, mut seen) = (KNOCK_SPREAD_MS, 2, Vec::new());
        while seen.len() < 101 {
            let Some((name, of, _)) = knocks.next(now) else {
                now = knocks.due_ms().unwrap().max(now + 1);
                knocks.look_again(now);
                free = 1;
                continue;
            };
            assert!(now < 101 * KNOCK_PAUSE_MS, "{} of 101 were looked at", seen.len());
            if name == BOX && free == 0 {
                knocks.not_now(&of, now);
                continue;
            }
            free -= i32::from(name == BOX);
            seen.extend((!seen.contains(&of)).then_some(of));
            knocks.tell_pending(&of);
            knocks.again(&of, now);
            let waited = seen.len() < 10 || seen.contains(&id(200));
            assert!(waited, "the other door waits");
        }
        knocks.retain(|name| *name == OTHER);
        assert!(!knocks.answered(&id(1)) && knocks.answered(&id(200)));
    }
}
