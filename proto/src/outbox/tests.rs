//! Promises of the outbox.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const ROOM: RoomId = RoomId([1; 32]);
const ME: AccountId = AccountId([1; 32]);
const MY_PHONE: DeviceId = DeviceId([0x11; 32]);
const BOB: DeviceId = DeviceId([2; 32]);
const CAROL: DeviceId = DeviceId([3; 32]);

fn event(n: u8) -> EventId {
    EventId([n; 32])
}

/// An outbox with its clock and dice.
struct Desk {
    outbox: Outbox,
    now_ms: u64,
    rng: StdRng,
}

impl Desk {
    fn new(outbox: Outbox) -> Self {
        let mut desk = Self { outbox, now_ms: 1_000_000, rng: StdRng::seed_from_u64(3) };
        let devices = vec![
            (DeviceId([1; 32]), ME),
            (MY_PHONE, ME),
            (BOB, AccountId([2; 32])),
            (DeviceId([0x22; 32]), AccountId([2; 32])),
            (CAROL, AccountId([3; 32])),
        ];
        desk.tell(In::Members { room: ROOM, me: ME, devices });
        desk
    }

    fn writable() -> Self {
        let mut desk = Self::new(Outbox::default());
        desk.tell(In::Writable(ROOM));
        desk
    }

    fn tell(&mut self, input: In) -> Vec<Out> {
        self.outbox.handle(input, self.now_ms, &mut self.rng)
    }

    fn submit(&mut self, n: u8) -> Vec<Out> {
        self.outbox.submit([n; 16], ROOM, vec![n; 10], self.now_ms).unwrap()
    }

    fn written(&mut self, n: u8) -> Vec<Out> {
        self.tell(In::Written { nonce: [n; 16], event: event(n), seq: u64::from(n) })
    }

    fn has(&mut self, device: DeviceId, seq: u64) -> Vec<Out> {
        self.tell(In::PeerHas { room: ROOM, device, seq })
    }

    fn status(&self, n: u8) -> Status {
        self.outbox.status(&ROOM, u64::from(n))
    }
}

#[test]
fn a_message_goes_from_queued_to_read() {
    let mut desk = Desk::writable();
    assert!(matches!(&desk.submit(1)[..], [Out::Write(entry)] if entry.nonce == [1; 16]));
    let out = desk.written(1);
    assert!(out.contains(&Out::Seek(ROOM)));
    assert_eq!(desk.status(1), Status::Queued(Waiting::Unreachable));
    let out = desk.tell(In::Connected { room: ROOM, n: 1 });
    assert_eq!(out, [Out::Publish { room: ROOM, from: 1, to: 1 }]);
    assert_eq!(desk.status(1), Status::Queued(Waiting::Unconfirmed));
    desk.has(MY_PHONE, 1);
    assert_eq!(desk.status(1), Status::Sent);
    desk.has(BOB, 1);
    assert_eq!(desk.status(1), Status::Delivered { to: 1, of: 2 });
    desk.has(DeviceId([0x22; 32]), 1);
    assert_eq!(desk.status(1), Status::Delivered { to: 1, of: 2 }, "two devices of one account");
    desk.tell(In::Marked { room: ROOM, device: CAROL, delivered: 1, read: 0, at_ms: 5 });
    assert_eq!(desk.status(1), Status::Delivered { to: 2, of: 2 });
    desk.tell(In::Marked { room: ROOM, device: CAROL, delivered: 1, read: 1, at_ms: 5 });
    assert_eq!(desk.status(1), Status::Read { by: 1, to: 2, of: 2 });
    assert_eq!(desk.outbox.lines(), []);
}

#[test]
fn delivered_is_never_claimed_for_what_a_member_does_not_have() {
    let mut desk = Desk::writable();
    for n in 1..=3 {
        desk.submit(n);
        desk.written(n);
    }
    desk.has(BOB, 2);
    assert_eq!(desk.status(2), Status::Delivered { to: 1, of: 2 });
    assert!(matches!(desk.status(3), Status::Queued(_)));
    desk.tell(In::Marked { room: ROOM, device: CAROL, delivered: 1, read: 9, at_ms: 5 });
    assert_eq!(desk.status(1), Status::Read { by: 1, to: 2, of: 2 });
    assert_eq!(desk.status(2), Status::Delivered { to: 1, of: 2 }, "read beyond what is stored counts for nothing");
    // Somebody who is no member any more does not count.
    desk.tell(In::Members { room: ROOM, me: ME, devices: vec![(CAROL, AccountId([3; 32]))] });
    assert_eq!(desk.status(2), Status::Sent);
}

#[test]
fn nothing_waits_for_anybody_to_ask_twice() {
    let mut desk = Desk::new(Outbox::default());
    assert!(matches!(&desk.submit(1)[..], [Out::Store(entry)] if entry.stage == Stage::Unwritten));
    assert!(matches!(&desk.submit(2)[..], [Out::Store(_)]));
    let out = desk.tell(In::Writable(ROOM));
    let order: Vec<_> = out.iter().map(|out| if let Out::Write(entry) = out { entry.nonce[0] } else { 0 }).collect();
    assert_eq!(order, [1, 2], "in the order of submission");
    assert_eq!(desk.tell(In::Writable(ROOM)), [], "asked once");
    let out = desk.tell(In::NotNow { nonce: [1; 16], waiting: Waiting::NoSafeEpoch });
    assert_eq!(out, [Out::ChangedUnwritten { room: ROOM, nonce: [1; 16] }]);
    assert_eq!(desk.outbox.lines()[0].status, Status::Queued(Waiting::NoSafeEpoch));
    desk.now_ms += WRITE_PAUSE_MS;
    assert!(matches!(&desk.tell(In::Tick)[..], [Out::Write(entry)] if entry.nonce == [1; 16]));
}

#[test]
fn a_repeated_request_writes_nothing_twice() {
    let mut desk = Desk::writable();
    desk.submit(1);
    assert_eq!(desk.submit(1), []);
    desk.written(1);
    assert_eq!(desk.submit(1), []);
    desk.has(BOB, 1);
    assert_eq!(desk.submit(1), []);
    assert_eq!(desk.outbox.find(&[1; 16]).and_then(Entry::event), Some((event(1), 1)));
    let other = desk.outbox.submit([1; 16], RoomId([2; 32]), vec![1; 10], desk.now_ms);
    assert_eq!(other, Err(OutboxError::NonceReused));
    // After a day the request is forgotten.
    desk.now_ms += KEEP_MS;
    assert_eq!(desk.tell(In::Tick), [Out::Remove(ROOM, [1; 16])]);
    assert_eq!(desk.outbox.find(&[1; 16]), None);
}

/// The stored entries as a crash leaves them.
fn disk(outs: &[Out]) -> Vec<Entry> {
    let mut disk: Vec<Entry> = Vec::new();
    for out in outs {
        if let Out::Store(entry) = out {
            disk.retain(|kept| kept.nonce != entry.nonce);
            disk.push(entry.clone());
        }
    }
    disk
}

#[test]
fn a_restart_goes_on_where_the_disk_says() {
    let mut desk = Desk::new(Outbox::default());
    let mut outs = desk.submit(1);
    outs.extend(desk.submit(2));
    let mut entries = disk(&outs);
    // The first was written in one commit with its event, then the power failed.
    entries[0] = entries[0].written(event(1), 1);
    let mut desk = Desk::new(Outbox::restore(entries));
    assert!(matches!(desk.status(1), Status::Queued(_)));
    let out = desk.tell(In::Writable(ROOM));
    assert!(matches!(&out[..], [Out::Write(entry)] if entry.nonce == [2; 16]), "the first is not written again");
    let out = desk.tell(In::Connected { room: ROOM, n: 2 });
    assert_eq!(out, [Out::Publish { room: ROOM, from: 1, to: 1 }]);
    desk.has(BOB, 1);
    assert_eq!(desk.status(1), Status::Delivered { to: 1, of: 2 });
}

#[test]
fn what_waits_in_a_room_that_is_read_later_goes_out_and_is_known_by_its_number() {
    let mut before = Desk::new(Outbox::default());
    let mut outs = before.submit(1);
    outs.extend(before.submit(2));
    let mut entries = disk(&outs);
    entries[0] = entries[0].written(event(1), 1);
    let mut desk = Desk::writable();
    let out = desk.submit(3);
    assert!(matches!(&out[..], [Out::Write(entry)] if entry.nonce == [3; 16]));
    desk.outbox.reread(entries.clone());
    // Once more changes nothing.
    desk.outbox.reread(entries);
    assert_eq!(desk.outbox.lines().len(), 3);
    assert_eq!(desk.submit(2), [], "it is the same message");
    let out = desk.tell(In::Writable(ROOM));
    assert!(
        matches!(&out[..], [Out::Write(entry)] if entry.nonce == [2; 16]),
        "what is written, or being written, is not written again"
    );
    let out = desk.tell(In::Connected { room: ROOM, n: 2 });
    assert_eq!(out, [Out::Publish { room: ROOM, from: 1, to: 1 }]);
}

#[test]
fn what_was_to_be_written_into_a_room_that_was_not_there_is_written_when_it_is() {
    let mut desk = Desk::writable();
    desk.submit(1);
    desk.outbox.idle(&ROOM);
    assert_eq!(desk.submit(2).len(), 1);
    let out = desk.tell(In::Writable(ROOM));
    assert!(matches!(&out[..], [Out::Write(one), Out::Write(two)] if (one.nonce, two.nonce) == ([1; 16], [2; 16])));
}

#[test]
fn a_failed_message_is_retried_or_discarded_by_hand_only() {
    let mut desk = Desk::writable();
    desk.submit(1);
    let out = desk.tell(In::Never { nonce: [1; 16], failure: Failure::NotPermitted });
    assert!(matches!(&out[..], [Out::Store(_), Out::ChangedUnwritten { .. }]));
    assert_eq!(desk.outbox.lines()[0].status, Status::Failed(Failure::NotPermitted));
    assert_eq!(desk.tell(In::Writable(ROOM)), []);
    let (nonce, now_ms) = ([1; 16], desk.now_ms);
    let out = desk.outbox.retry(&nonce, now_ms, &mut desk.rng).unwrap();
    assert!(matches!(&out[..], [Out::Store(_), Out::Write(_)]));
    assert_eq!(desk.outbox.discard(&nonce), Err(OutboxError::Written), "it is being written");
    desk.tell(In::Never { nonce, failure: Failure::NotPermitted });
    assert_eq!(desk.outbox.discard(&nonce), Ok(vec![Out::Remove(ROOM, nonce)]));
    assert_eq!(desk.outbox.lines(), []);
    assert_eq!(desk.outbox.discard(&nonce), Err(OutboxError::Unknown));
}

#[test]
fn a_request_that_failed_before_it_was_written_is_made_anew_when_the_client_repeats_it() {
    let mut desk = Desk::writable();
    desk.submit(1);
    desk.tell(In::Never { nonce: [1; 16], failure: Failure::Store });
    assert!(matches!(&desk.submit(1)[..], [Out::Write(_)]));
    desk.written(1);
    assert_eq!(desk.submit(1), []);
    assert_eq!(desk.outbox.lines().len(), 1);
    desk.has(BOB, 1);
    assert_eq!(desk.outbox.lines(), []);
}

#[test]
fn a_message_that_the_disk_took_though_its_commit_failed_is_written_and_not_made_anew() {
    let mut desk = Desk::writable();
    desk.submit(1);
    // The room is restored, and its stored entries tell; then the failed commit says what it held.
    desk.written(1);
    assert_eq!(desk.tell(In::Never { nonce: [1; 16], failure: Failure::Store }), []);
    assert_eq!(desk.submit(1), [], "the client repeats itself");
    assert_eq!(desk.outbox.find(&[1; 16]).and_then(Entry::event), Some((event(1), 1)));
    // The other way round nothing is lost either.
    desk.submit(2);
    desk.tell(In::Never { nonce: [2; 16], failure: Failure::Store });
    desk.written(2);
    desk.has(BOB, 2);
    assert_eq!((desk.outbox.lines().len(), desk.status(2)), (0, Status::Delivered { to: 1, of: 2 }));
}

#[test]
fn of_sent_messages_the_newest_are_remembered_and_no_more() {
    let mut desk = Desk::writable();
    let nonce = |n: usize| (n as u128).to_be_bytes();
    for n in 1..=KEEP_SENT + 3 {
        desk.outbox.submit(nonce(n), ROOM, vec![1; 10], desk.now_ms).unwrap();
        desk.tell(In::Written { nonce: nonce(n), event: event(1), seq: n as u64 });
        let out = desk.has(BOB, n as u64);
        let forgotten = out.iter().filter(|out| matches!(out, Out::Remove(..))).count();
        assert_eq!(forgotten, usize::from(n > KEEP_SENT));
    }
    assert_eq!(desk.outbox.find(&nonce(3)), None);
    assert!(desk.outbox.find(&nonce(4)).is_some());
    let (room, body) = (ROOM, vec![1; 10]);
    assert_eq!(desk.outbox.submit(nonce(4), room, body, desk.now_ms), Ok(Vec::new()), "still recognised");
}

#[test]
fn what_is_withdrawn_was_never_submitted() {
    let mut desk = Desk::writable();
    desk.submit(1);
    desk.outbox.withdraw(&[1; 16]);
    assert_eq!(desk.outbox.lines(), []);
    assert!(matches!(&desk.submit(1)[..], [Out::Write(_)]));
}

#[test]
fn a_written_message_can_not_be_discarded_and_fails_when_the_room_is_left() {
    let mut desk = Desk::writable();
    desk.submit(1);
    desk.written(1);
    assert_eq!(desk.outbox.discard(&[1; 16]), Err(OutboxError::Written));
    desk.tell(In::Closed(ROOM, Failure::NoMember));
    assert_eq!(desk.status(1), Status::Failed(Failure::NoMember));
    assert_eq!(desk.outbox.next_deadline(), None, "nothing is tried any more");
    // It reached somebody after all.
    desk.has(BOB, 1);
    assert_eq!(desk.status(1), Status::Delivered { to: 1, of: 2 });
}

#[test]
fn tries_become_seldom_and_a_connection_starts_anew() {
    let mut desk = Desk::writable();
    desk.submit(1);
    desk.written(1);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let due = desk.outbox.next_deadline().unwrap();
        pauses.push(due - desk.now_ms);
        desk.now_ms = due;
        assert_eq!(desk.tell(In::Tick), [Out::Seek(ROOM)]);
    }
    assert!(pauses[0] <= FIRST_PAUSE_MS * 5 / 4 && pauses[0] >= FIRST_PAUSE_MS * 3 / 4);
    assert!(pauses[11] <= LONGEST_PAUSE_MS * 5 / 4 && pauses[11] >= LONGEST_PAUSE_MS * 3 / 4);
    assert_eq!(desk.outbox.lines()[0].attempts, 13);
    let out = desk.tell(In::Connected { room: ROOM, n: 1 });
    assert_eq!(out, [Out::Publish { room: ROOM, from: 1, to: 1 }]);
    assert!(desk.outbox.next_deadline().unwrap() - desk.now_ms <= FIRST_PAUSE_MS * 5 / 4);
}

#[test]
fn what_is_written_while_members_are_connected_is_not_sent_twice() {
    let mut desk = Desk::writable();
    desk.tell(In::Connected { room: ROOM, n: 1 });
    let publishes = |out: &[Out]| -> Vec<(u64, u64)> {
        let range = |out: &Out| if let Out::Publish { from, to, .. } = out { Some((*from, *to)) } else { None };
        out.iter().filter_map(range).collect()
    };
    for n in 1..=3 {
        desk.submit(n);
        assert_eq!(publishes(&desk.written(n)), [], "whoever wrote it gossips it");
    }
    // The first was written before the pause began; the others may be on their way still.
    desk.now_ms = desk.outbox.next_deadline().unwrap();
    assert_eq!(publishes(&desk.tell(In::Tick)), [(1, 1)]);
    desk.has(BOB, 2);
    desk.submit(4);
    desk.written(4);
    desk.now_ms = desk.outbox.next_deadline().unwrap();
    assert_eq!(publishes(&desk.tell(In::Tick)), [(3, 3)]);
    assert_eq!(publishes(&desk.tell(In::Connected { room: ROOM, n: 2 })), [(3, 4)], "who comes new may lack all");
}

#[test]
fn a_full_outbox_says_so() {
    let mut desk = Desk::new(Outbox::default());
    let body = vec![0; MAX_WAITING_BYTES / 2];
    for n in 0..2 {
        assert!(desk.outbox.submit([n; 16], ROOM, body.clone(), 0).is_ok());
    }
    assert_eq!(desk.outbox.submit([3; 16], ROOM, vec![0], 0), Err(OutboxError::Full));
    desk.outbox.discard(&[0; 16]).unwrap();
    assert!(desk.outbox.submit([3; 16], ROOM, vec![0], 0).is_ok());
}

#[test]
fn a_mailbox_that_has_a_message_makes_it_sent_and_never_delivered() {
    let mut desk = Desk::writable();
    for n in 1..=3 {
        desk.submit(n);
        desk.written(n);
    }
    let out = desk.tell(In::Stored { room: ROOM, seq: 2 });
    let stored = out.iter().filter(|out| matches!(out, Out::Store(entry) if matches!(entry.stage, Stage::Sent { .. })));
    assert_eq!(stored.count(), 2);
    assert!(out.contains(&Out::Changed { room: ROOM, from: 1, to: 2 }));
    assert_eq!([1, 2, 3].map(|n| desk.status(n)), [Status::Sent, Status::Sent, Status::Queued(Waiting::Unreachable)]);
    assert!(desk.tell(In::Stored { room: ROOM, seq: 2 }).is_empty(), "nothing new");
    desk.tell(In::Stored { room: ROOM, seq: 3 });
    assert!(desk.outbox.lines().is_empty());
    desk.has(BOB, 2);
    assert_eq!([2, 3].map(|n| desk.status(n)), [Status::Delivered { to: 1, of: 2 }, Status::Sent]);
}

#[test]
fn each_member_is_told_apart_with_the_time_at_which_he_had_and_read_a_message() {
    let mut desk = Desk::writable();
    for n in 1..=3 {
        desk.submit(n);
        desk.written(n);
    }
    let (bob, carol) = (AccountId([2; 32]), AccountId([3; 32]));
    let receipt = |account, delivered_ms, read_ms| Receipt { account, delivered_ms, read_ms };
    assert_eq!(desk.outbox.receipts(&ROOM, 1), [receipt(bob, None, None), receipt(carol, None, None)]);
    desk.has(BOB, 2);
    desk.now_ms += 1_000;
    desk.tell(In::Marked { room: ROOM, device: BOB, delivered: 3, read: 2, at_ms: 1_000_700 });
    // His other device is later with both.
    desk.tell(In::Marked { room: ROOM, device: DeviceId([0x22; 32]), delivered: 3, read: 3, at_ms: 1_000_900 });
    // A clock that is ahead says at most now.
    desk.tell(In::Marked { room: ROOM, device: CAROL, delivered: 1, read: 0, at_ms: u64::MAX });
    assert_eq!(
        desk.outbox.receipts(&ROOM, 2),
        [receipt(bob, Some(1_000_000), Some(1_000_700)), receipt(carol, None, None)]
    );
    assert_eq!(
        desk.outbox.receipts(&ROOM, 3),
        [receipt(bob, Some(1_000_700), Some(1_000_900)), receipt(carol, None, None)]
    );
    assert_eq!(desk.outbox.receipts(&ROOM, 1)[1], receipt(carol, Some(1_001_000), None));
    // What was told once is not taken back by somebody who stops telling.
    desk.tell(In::Marked { room: ROOM, device: BOB, delivered: 3, read: 0, at_ms: 1_000_950 });
    assert_eq!(desk.outbox.receipts(&ROOM, 2)[0], receipt(bob, Some(1_000_000), Some(1_000_700)));
}

#[test]
fn of_a_long_log_the_times_of_old_messages_are_late_and_never_early() {
    let mut desk = Desk::writable();
    for n in 0..2_000u64 {
        desk.now_ms = 1_000_000 + n;
        desk.has(BOB, n + 1);
    }
    let since = |seq| desk.outbox.receipts(&ROOM, seq)[0].delivered_ms.unwrap();
    assert_eq!((since(2_000), since(1_900)), (1_001_999, 1_001_899));
    assert!((1..=2_000).all(|seq| since(seq) >= 1_000_000 + seq - 1));
}
