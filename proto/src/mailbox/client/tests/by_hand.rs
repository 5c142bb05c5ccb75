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
    /// Takes nothing of what comes, but keeps it here.
    holds_back: bool,
    held: Vec<(BoxName, BlobId)>,
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
        Self::with_slots(window, 8)
    }

    fn with_slots(window: u16, slots: u16) -> Self {
        let client = Mailboxes::new();
        let mut it = Self { client, asked: Vec::new(), got: BTreeSet::new(), holds_back: false, held: Vec::new() };
        it.open(1);
        it.client.connected(&relay_id(0), 0);
        let terms = Terms { token: false, keep_ms: 1, slots, window };
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
                    if self.holds_back {
                        self.held.push((name, id));
                        continue;
                    }
                    let out = self.client.taken(name, id, 0);
                    self.act(out);
                }
                _ => {}
            }
        }
    }

    fn take_all(&mut self) {
        for (name, id) in std::mem::take(&mut self.held) {
            let out = self.client.taken(name, id, 0);
            self.act(out);
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

    /// The relay puts off whatever is asked for.
    fn put_off(&mut self) {
        while self.asked.iter().any(|(_, ask)| is_get(ask)) {
            let (number, _) = self.take(is_get);
            let refusal = Refusal::Busy { retry_ms: limits::MAX_RETRY_MS };
            self.says(&ServerFrame::Reply { number, reply: Reply::Refused(refusal) });
        }
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

/// A blob of the longest kind.
fn long(n: u8) -> Arc<[u8]> {
    vec![n; limits::MAX_BLOB].into()
}

#[test]
fn what_is_held_of_one_box_keeps_no_other_from_being_read() {
    let mut it = ByHand::new(64);
    it.open(2);
    for _ in 0..2 {
        it.answer(is_open, Reply::Done);
        it.answer(is_subscribe, Reply::Done);
    }
    let entry = |n: u8| Entry { at: n.into(), id: BlobId::of(&long(n)), size: long(n).len() as u32 };
    it.holds_back = true;
    it.answer(is_list, Reply::Listed { entries: (1..=100).map(entry).collect(), more: false, end: 100 });
    let gives = |it: &mut ByHand| {
        while it.asked.iter().any(|(_, ask)| is_get(ask)) {
            let (number, ask) = it.take(is_get);
            let Ask::Get { id, .. } = ask else { return };
            let found = (1..=102).map(long).chain([blob(3)]).find(|blob| BlobId::of(blob) == id);
            it.says(&ServerFrame::Reply { number, reply: Reply::Blob(found.map(|blob| Blob(blob.to_vec()))) });
        }
    };
    gives(&mut it);
    let all = limits::MAX_HANDED_BYTES / limits::MAX_BLOB;
    assert_eq!(it.got.len(), all, "what is not taken is bounded");
    it.answer(is_list, Reply::Listed { entries: vec![entry(101), entry(102)], more: false, end: 102 });
    gives(&mut it);
    assert_eq!(it.got.len(), all + 1, "the other box has its share, and no more");
    assert!(it.got.contains(&BlobId::of(&long(101))) || it.got.contains(&BlobId::of(&long(102))));
    let push = Entry { at: 103, id: BlobId::of(&blob(3)), size: 512 };
    it.says(&ServerFrame::Push { slot: 1, entry: push, blob: Some(Blob(blob(3).to_vec())) });
    assert_eq!(it.got.len(), all + 1);
    it.take_all();
    gives(&mut it);
    assert!(it.got.contains(&BlobId::of(&blob(3))), "there is room again");
}

#[test]
fn what_relays_make_up_in_many_boxes_keeps_no_other_from_being_read() {
    let mut it = ByHand::with_slots(1_024, 256);
    let boxes = limits::MAX_WANTED / limits::MAX_PENDING;
    let mut no = 0;
    let mut made_up = |n: usize| -> Vec<Entry> {
        let entry = |no: u64| Entry { at: no, id: BlobId::of(&no.to_be_bytes()), size: 512 };
        let entries = (no + 1..=no + n as u64).map(entry).collect();
        no += n as u64;
        entries
    };
    for n in 1..=boxes {
        if n > 1 {
            it.open(n as u8);
        }
        it.answer(is_open, Reply::Done);
        it.answer(is_subscribe, Reply::Done);
        for more in [true, false] {
            let entries = made_up(limits::MAX_LISTED);
            let end = entries.last().unwrap().at;
            it.answer(is_list, Reply::Listed { entries, more, end });
            it.put_off();
        }
    }
    it.open(boxes as u8 + 1);
    it.answer(is_open, Reply::Done);
    it.answer(is_subscribe, Reply::Done);
    let (number, ask) = it.take(is_list);
    assert!(matches!(ask, Ask::List { limit, .. } if usize::from(limit) == limits::WANTED_SHARE), "{ask:?}");
    it.says(&ServerFrame::Reply { number, reply: listed(1..=3, false, 3) });
    it.give(3);
    assert_eq!(it.got.len(), 3);
    let push = Entry { at: 4, id: BlobId::of(&blob(4)), size: blob(4).len() as u32 };
    let slot = boxes as u16;
    it.says(&ServerFrame::Push { slot, entry: push, blob: Some(Blob(blob(4).to_vec())) });
    assert_eq!(it.got.len(), 4);
}

#[test]
fn what_waits_to_be_put_in_one_box_keeps_nothing_out_of_another() {
    let mut client = Mailboxes::new();
    for n in [1, 2] {
        client.open(setup(n), 0).unwrap();
    }
    let blob = |n: usize| -> Arc<[u8]> {
        let mut bytes = vec![0; limits::MAX_BLOB];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        bytes.into()
    };
    let mut put = |n: u8, blob| client.put(setup(n).name, blob, 0).map(drop);
    let most = limits::MAX_PUT_BYTES / limits::MAX_BLOB;
    (0..most).for_each(|n| put(1, blob(n)).unwrap());
    assert_eq!(put(1, blob(most)), Err(ClientError::Full));
    let share = limits::PUT_SHARE / limits::MAX_BLOB;
    (0..share).for_each(|n| put(2, blob(n)).unwrap());
    assert_eq!(put(2, blob(share)), Err(ClientError::Full), "its share is bounded too");
}
