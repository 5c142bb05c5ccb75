//! One relay whose frames a test writes itself, in the order it wants.

use super::super::*;
use super::world::{blob, relay_id};
use crate::mailbox::frame::{Ask, ClientFrame, Entry, Reply, ServerFrame, Terms};
use crate::mailbox::name::BoxKind;
use crate::mailbox::proof::name_of;
use crate::wire::Blob;

/// The client, two boxes at the relay, and the requests that wait for an answer.
struct ByHand {
    client: Mailboxes,
    asked: Vec<(u32, Ask)>,
    got: BTreeSet<BlobId>,
}

fn setup(n: u8) -> BoxSetup {
    let key = SigningKey::from_seed(&parlor_crypto::Secret::new([n; 32]));
    let relays = vec![(relay_id(0), Cursor::default())];
    BoxSetup { name: name_of(BoxKind::Room, &key), key: Some(key), read: true, relays }
}

fn is_open(ask: &Ask) -> bool {
    matches!(ask, Ask::Open { .. })
}

fn is_subscribe(ask: &Ask) -> bool {
    matches!(ask, Ask::Subscribe { .. })
}

fn is_list(ask: &Ask) -> bool {
    matches!(ask, Ask::List { .. })
}

fn is_get(ask: &Ask) -> bool {
    matches!(ask, Ask::Get { .. })
}

/// A listing of the blobs with these numbers, each at the place of its number.
fn listed(numbers: std::ops::RangeInclusive<u64>, more: bool, end: u64) -> Reply {
    Reply::Listed { entries: numbers.map(entry).collect(), more, end }
}

fn entry(at: u64) -> Entry {
    Entry { at, id: BlobId::of(&blob(at)), size: blob(at).len() as u32 }
}

impl ByHand {
    /// With the first box open, on a line with so many requests at once.
    fn new(window: u16) -> Self {
        let mut it = Self { client: Mailboxes::new(), asked: Vec::new(), got: BTreeSet::new() };
        it.open(1);
        it.client.connected(&relay_id(0), 0);
        let terms = Terms { token: false, keep_ms: 1, slots: 8, window };
        it.says(&ServerFrame::Hello { version: limits::VERSION, nonce: [1; 32], store: StoreId([1; 16]), terms });
        it
    }

    fn open(&mut self, n: u8) {
        let out = self.client.open(setup(n), 0).unwrap();
        self.act(out);
    }

    fn close(&mut self, n: u8) {
        let out = self.client.close(&setup(n).name, 0);
        self.act(out);
    }

    fn says(&mut self, frame: &ServerFrame) {
        let out = self.client.frame(&relay_id(0), &frame.encode(), 0);
        self.act(out);
    }

    fn act(&mut self, out: Vec<Out>) {
        for out in out {
            match out {
                Out::Send { bytes, .. } => {
                    let ClientFrame { number, ask } = ClientFrame::decode(&bytes).unwrap();
                    self.asked.push((number, ask));
                }
                Out::Got { name, id, .. } => {
                    self.got.insert(id);
                    let out = self.client.taken(name, id, 0);
                    self.act(out);
                }
                _ => {}
            }
        }
    }

    /// The oldest request of this kind, which waits for an answer no more.
    fn take(&mut self, which: fn(&Ask) -> bool) -> (u32, Ask) {
        let place = self.asked.iter().position(|(_, ask)| which(ask)).expect("it was asked");
        self.asked.remove(place)
    }

    fn answer(&mut self, which: fn(&Ask) -> bool, reply: Reply) {
        let (number, _) = self.take(which);
        self.says(&ServerFrame::Reply { number, reply });
    }

    /// The relay gives what is asked for, of the blobs up to this one.
    fn give(&mut self, last: u64) {
        while self.asked.iter().any(|(_, ask)| is_get(ask)) {
            let (number, ask) = self.take(is_get);
            let Ask::Get { id, .. } = ask else { return };
            let found = (1..=last).map(blob).find(|blob| BlobId::of(blob) == id);
            self.says(&ServerFrame::Reply { number, reply: Reply::Blob(found.map(|blob| Blob(blob.to_vec()))) });
        }
    }
}

#[test]
fn an_answer_to_what_was_asked_before_a_box_was_closed_says_nothing_of_the_one_that_is_open_since() {
    let mut it = ByHand::new(64);
    it.answer(is_open, Reply::Done);
    it.answer(is_subscribe, Reply::Done);
    it.answer(is_list, listed(1..=512, true, 600));
    it.give(600);
    let (second_page, _) = it.take(is_list);
    // The line stays, because of another box.
    it.open(2);
    it.close(1);
    it.got.clear();
    it.asked.clear();
    it.open(1);
    it.answer(is_open, Reply::Done);
    it.answer(is_subscribe, Reply::Done);
    let (first_page, _) = it.take(is_list);
    it.says(&ServerFrame::Reply { number: second_page, reply: listed(513..=600, false, 600) });
    it.says(&ServerFrame::Reply { number: first_page, reply: listed(1..=512, true, 600) });
    it.give(600);
    it.answer(is_list, listed(513..=600, false, 600));
    it.give(600);
    assert_eq!(it.got.len(), 600, "what was put first is passed over");
}

#[test]
fn what_is_pushed_before_a_box_could_be_listed_takes_the_place_of_nothing_that_is_in_it() {
    // No other request fits while one waits.
    let mut it = ByHand::new(1);
    it.answer(is_open, Reply::Done);
    let (subscribe, _) = it.take(is_subscribe);
    it.open(2);
    it.says(&ServerFrame::Reply { number: subscribe, reply: Reply::Done });
    assert!(it.asked.iter().any(|(_, ask)| is_open(ask)), "the listing waits for its turn");
    it.says(&ServerFrame::Push { slot: 0, entry: entry(9), blob: Some(Blob(blob(9).to_vec())) });
    it.answer(is_open, Reply::Done);
    it.answer(is_list, listed(1..=9, false, 9));
    while it.asked.iter().any(|(_, ask)| is_get(ask) || is_subscribe(ask)) {
        it.give(9);
        if it.asked.iter().any(|(_, ask)| is_subscribe(ask)) {
            it.answer(is_subscribe, Reply::Done);
        }
    }
    assert_eq!(it.got.len(), 9, "what was put before is passed over");
}

#[test]
fn what_is_pushed_while_a_refused_listing_waits_takes_the_place_of_nothing_that_is_in_the_box() {
    let mut it = ByHand::new(64);
    it.answer(is_open, Reply::Done);
    it.answer(is_subscribe, Reply::Done);
    it.answer(is_list, Reply::Refused(Refusal::Busy { retry_ms: 5_000 }));
    it.says(&ServerFrame::Push { slot: 0, entry: entry(9), blob: Some(Blob(blob(9).to_vec())) });
    let out = it.client.tick(5_000);
    it.act(out);
    it.answer(is_list, listed(1..=9, false, 9));
    it.give(9);
    assert_eq!(it.got.len(), 9, "what was put before is passed over");
}
