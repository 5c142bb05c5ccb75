//! Bytes that are no event, an event of somebody else, or of another room (C11, attacks 1, 3, 13, 25, 27, 28).

use proptest::prelude::*;

use super::support::{Person, START, new_invite};
use crate::control::{Control, History, Role, Setting, State};
use crate::event::{Event, EventError, Header, MESSAGE_KIND, sealing_header};
use crate::ids::{EventId, RoomId};
use crate::room::{Missing, Received, Reject, Room};
use crate::validity::Invalid;

/// One of each: genesis, state, rotate, invite, admit, a message.
fn samples() -> (Room, Vec<Event>) {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let text = bob.write("canary").event;
    alice.receive(vec![text]);
    let events = alice.events();
    (alice.room, events)
}

#[test]
fn every_flipped_bit_and_every_cut_of_every_event_is_refused() {
    let (room, events) = samples();
    let room = room.id();
    for event in &events {
        for at in 0..event.bytes().len() {
            let mut bytes = event.bytes().to_vec();
            bytes[at] ^= 1 << (at % 8);
            let good = Event::decode(&room, &bytes).and_then(|event| event.verify(&room));
            assert!(good.is_err(), "byte {at} of {event:?}");
            let cut = Event::decode(&room, &event.bytes()[..at]);
            if event.message().is_some() && at == event.bytes().len() - event.payload().len() {
                // Without its payload it is the same event, which a room takes when its time is over and not before.
                assert!(cut.is_ok_and(|cut| cut.is_bare() && cut.id() == event.id()));
            } else {
                assert!(cut.is_err(), "{at} bytes of {event:?}");
            }
        }
        let longer = [event.bytes(), &[0]].concat();
        assert!(Event::decode(&room, &longer).is_err());
        assert_eq!(Event::decode(&room, event.bytes()).unwrap().verify(&room), Ok(()));
    }
}

#[test]
fn an_event_is_worth_nothing_in_another_room() {
    let (_, events) = samples();
    let mut other = Person::founder(7, History::None);
    let other_id = other.room.id();
    for event in &events {
        match Event::decode(&other_id, event.bytes()) {
            Err(why) => assert_eq!(why, EventError::Genesis),
            Ok(moved) => {
                assert_eq!(moved.verify(&other_id), Err(EventError::Signature));
                let received = other.receive(vec![moved]);
                // Nobody's fault is proven by it: a later event may vouch for the copy.
                assert!(received.rejected.iter().all(|rejected| rejected.why == Reject::BadCopy));
                assert!(received.outcome.accepted.is_empty());
                assert_eq!(received.rejected.len() + received.duplicates, 1);
            }
        }
    }
}

#[test]
fn a_signature_of_one_use_is_none_of_another() {
    let mut alice = Person::founder(1, History::Full);
    let message = alice.write("hello").event;
    // The same header bytes signed as anything else do not verify.
    for label in parlor_crypto::label::SIGNATURES {
        let signed = alice.room.me().signing_key().sign(label, &[alice.room.id().as_bytes(), message.header_bytes()]);
        let mut bytes = message.bytes().to_vec();
        let from = 2 + message.header_bytes().len();
        bytes[from..from + 64].copy_from_slice(&signed.0);
        let verified = Event::decode(&alice.room.id(), &bytes).unwrap().verify(&alice.room.id());
        assert_eq!(verified.is_ok(), label == parlor_crypto::label::SIGN_EVENT, "{label}");
    }
}

#[test]
fn a_version_or_suite_of_another_time_is_refused() {
    let (room, events) = samples();
    for event in &events {
        let mut bytes = event.bytes().to_vec();
        bytes[2] = 2;
        assert_eq!(Event::decode(&room.id(), &bytes).err(), Some(EventError::Version(2)));
        bytes[2] = 1;
        for suite in (0..=u8::MAX).filter(|suite| *suite != crate::limits::SUITE) {
            bytes[3] = suite;
            assert_eq!(Event::decode(&room.id(), &bytes).err(), Some(EventError::Suite(suite)));
        }
    }
}

/// Attack 42: a room of another version, whose genesis is signed and whole, is none for this one, and nobody is led to it by
/// an event that says so in its own header only.
#[test]
fn a_genesis_of_another_version_begins_no_room_of_this_one() {
    let (room, events) = samples();
    let genesis = events.iter().find(|event| event.header().is_genesis()).unwrap();
    let key = Person::founder(1, History::None).room.me().signing_key().clone();
    for version in (0..=u8::MAX).filter(|version| *version != genesis.control().unwrap().v) {
        let Header::Control(header) = genesis.header().clone() else { unreachable!() };
        let header = Header::Control(crate::event::ControlHeader { v: version, ..header }).encode();
        // Signed as such a version would, for the id that this genesis has.
        let id = crate::event::genesis_id(&header);
        let sig = key.sign(parlor_crypto::label::SIGN_EVENT, &[&id.0, &header]);
        let len = u16::try_from(header.len()).unwrap().to_be_bytes();
        let bytes = [&len, header.as_slice(), &sig.0, genesis.payload()].concat();
        for room in [room.id(), crate::ids::RoomId(id.0)] {
            assert_eq!(Event::decode(&room, &bytes).err(), Some(EventError::Version(version)));
        }
    }
}

#[test]
fn parents_and_control_heads_have_one_order_so_an_event_has_one_id() {
    let (room, events) = samples();
    let (room, me) = (room.id(), Person::founder(1, History::None));
    // As it is on the wire, whatever whoever wrote it thinks of it.
    let wire = |header: &Header, payload: &[u8]| {
        let header = header.encode();
        let signature = me.room.me().signing_key().sign(parlor_crypto::label::SIGN_EVENT, &[room.as_bytes(), &header]);
        let len = u16::try_from(header.len()).unwrap().to_be_bytes();
        Event::decode(&room, &[&len, header.as_slice(), &signature.0, payload].concat())
    };
    let lists = [vec![3, 4], vec![4, 3], vec![3, 3], vec![1, 2, 4, 3, 5]];
    let lists = lists.map(|list| list.into_iter().map(|n| EventId([n; 32])).collect::<Vec<_>>());
    let written: Vec<&Event> = events.iter().filter(|event| !event.header().is_genesis()).collect();
    assert!(
        written.iter().any(|event| event.control().is_some()) && written.iter().any(|event| event.message().is_some())
    );
    for event in written {
        let (mut parents, mut heads) = (Vec::new(), Vec::new());
        for list in &lists {
            match event.header().clone() {
                Header::Control(header) => {
                    parents.push(Header::Control(crate::event::ControlHeader { parents: list.clone(), ..header }));
                }
                Header::Message(header) => {
                    let on = crate::event::MessageHeader { parents: list.clone(), ..header.clone() };
                    parents.push(Header::Message(on));
                    heads.push(Header::Message(crate::event::MessageHeader { control: list.clone(), ..header }));
                }
            }
        }
        for headers in [parents, heads].iter().filter(|headers| !headers.is_empty()) {
            assert_eq!(wire(&headers[0], event.payload()).err(), None);
            for header in &headers[1..] {
                assert_eq!(wire(header, event.payload()).err(), Some(EventError::Parents), "{header:?}");
            }
        }
    }
}

#[test]
fn a_replay_changes_nothing_also_after_a_restart() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("once");
    alice.sync_from(&bob);
    let state = alice.room.state_hash();
    let everything = bob.events();
    for restart in [false, true] {
        if restart {
            alice.restart();
        }
        let received = alice.receive(everything.clone());
        assert_eq!(received.duplicates, everything.len());
        assert!(received.rejected.is_empty());
        assert_eq!((alice.room.state_hash(), alice.shown()), (state, vec!["once".to_owned()]));
    }
}

#[test]
fn what_lacks_the_event_before_it_waits_and_is_taken_when_that_comes() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let lines: Vec<Event> = (0..5).map(|n| bob.write(&format!("line {n}")).event).collect();
    let received = alice.receive(lines[2..].to_vec());
    assert!(received.outcome.accepted.is_empty());
    let gap = Missing::Log { log: lines[0].log(), from: 1, to: 2 };
    assert_eq!(received.waiting, [gap]);
    assert_eq!(alice.receive(vec![lines[1].clone()]).waiting, [Missing::Log { log: lines[0].log(), from: 1, to: 1 }]);
    let received = alice.receive(vec![lines[0].clone()]);
    assert!(received.waiting.is_empty());
    assert_eq!(alice.shown(), ["line 0", "line 1", "line 2", "line 3", "line 4"]);
}

#[test]
fn control_events_without_their_ancestors_wait_and_count_for_nothing() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let before = bob.stored.len();
    for name in ["one", "two", "three"] {
        let outcome = bob.room.set_state(vec![(Setting::Name, name.into())], bob.now).unwrap();
        bob.keep(outcome);
    }
    let new: Vec<Event> = bob.events()[before..].to_vec();
    let received = alice.receive(vec![new[2].clone(), new[1].clone()]);
    assert_eq!(received.waiting, [Missing::Control(new[0].id())]);
    assert_eq!(alice.room.info().unwrap().name, "kitchen");
    alice.receive(vec![new[0].clone()]);
    assert_eq!(alice.room.info().unwrap().name, "three");
}

/// Signs `control` as the next control event of `person` after `change` has spoiled its header.
fn spoiled(person: &Person, control: &Control, change: impl Fn(&mut crate::event::ControlHeader)) -> Event {
    let mut header = person.room.control_header(control.kind(), &[], person.now).unwrap();
    change(&mut header);
    let payload = control.encode();
    Event::sign(&person.room.id(), Header::Control(header), &payload, person.room.me().signing_key()).unwrap()
}

fn refused(received: &Received) -> Option<Reject> {
    assert!(received.outcome.accepted.is_empty());
    received.rejected.first().map(|rejected| rejected.why.clone())
}

#[test]
fn a_lamport_number_is_exactly_one_more_than_what_came_before() {
    let mut alice = Person::founder(1, History::Full);
    let auth = alice.room.grant_id(alice.room.grant().unwrap());
    let state = Control::State(State { auth, writes: vec![(1, b"x".to_vec())] });
    for lamport in [0, 1, u64::MAX] {
        let event = spoiled(&alice, &state, |header| header.lamport = lamport);
        assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Lamport)));
    }
    let more = spoiled(&alice, &state, |header| header.lamport += 1);
    assert_eq!(refused(&alice.receive(vec![more])), Some(Reject::Invalid(Invalid::Lamport)));
    let exact = spoiled(&alice, &state, |_| ());
    assert!(alice.receive(vec![exact]).rejected.is_empty());
}

#[test]
fn nobody_acts_under_a_grant_of_another_or_without_one() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let owner = alice.room.grant_id(alice.room.grant().unwrap());
    for auth in [owner, EventId([9; 32])] {
        let state = Control::State(State { auth, writes: vec![(1, b"mine".to_vec())] });
        let event = spoiled(&bob, &state, |_| ());
        assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Auth)));
    }
    let own = bob.room.grant_id(bob.room.grant().unwrap());
    let state = Control::State(State { auth: own, writes: vec![(1, b"mine".to_vec())] });
    let event = spoiled(&bob, &state, |_| ());
    assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Permission)));
    // A stranger who knows all of it.
    let eve = Person::founder(66, History::Full);
    let mut header = bob.room.control_header(10, &[], START).unwrap();
    (header.device, header.seq, header.prev) = (eve.room.me().device(), 1, EventId::ZERO);
    let payload = state.encode();
    let event = Event::sign(&alice.room.id(), Header::Control(header), &payload, eve.room.me().signing_key()).unwrap();
    assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Author)));
}

#[test]
fn a_kind_of_a_newer_version_is_kept_and_changes_nothing() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut header = bob.room.control_header(77, &[], bob.now).unwrap();
    header.kind = 77;
    let id = bob.room.id();
    let event = Event::sign(&id, Header::Control(header), b"whatever", bob.room.me().signing_key()).unwrap();
    bob.receive(vec![event.clone()]);
    let received = alice.receive(vec![event.clone()]);
    assert!(received.rejected.is_empty());
    assert!(alice.room.control_event(&event.id()).is_some());
    alice.sync(&mut bob);
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
    bob.write("still fine");
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["still fine"]);
}

#[test]
fn a_generation_or_slice_that_is_not_its_place_in_the_log_is_refused_before_any_derivation() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.write("fine");
    alice.sync_from(&bob);
    let next = bob.write("next").event;
    let Header::Message(good) = next.header().clone() else { unreachable!() };
    let resign = |change: &dyn Fn(&mut crate::event::MessageHeader)| {
        let mut header = good.clone();
        change(&mut header);
        Event::sign(&bob.room.id(), Header::Message(header), b"sealed", bob.room.me().signing_key())
    };
    for generation in [0, 2, 65_535] {
        let event = resign(&|h| h.generation = generation).unwrap();
        assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Generation)));
    }
    assert_eq!(resign(&|h| h.generation = u32::MAX).err(), Some(EventError::Limit));
    assert_eq!(resign(&|h| h.slice = u32::MAX).err(), Some(EventError::Limit));
    let clock = resign(&|h| h.hlc = crate::hlc::Hlc(1)).unwrap();
    assert_eq!(refused(&alice.receive(vec![clock])), Some(Reject::Invalid(Invalid::Clock)));
    let epoch = resign(&|h| h.epoch.0[0] ^= 1).unwrap();
    assert_eq!(refused(&alice.receive(vec![epoch])), Some(Reject::Invalid(Invalid::Epoch)));
    assert!(alice.receive(vec![next]).rejected.is_empty());
}

#[test]
fn a_device_begins_every_epoch_with_its_first_generation_and_never_goes_back_to_an_older_one() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    // What Bob could write next, changed.
    let next = |bob: &Person, change: &dyn Fn(&mut crate::event::MessageHeader)| {
        let mut header = bob.clone_with_all_secrets().write("x").event.message().unwrap().clone();
        change(&mut header);
        Event::sign(&bob.room.id(), Header::Message(header), b"sealed", bob.room.me().signing_key()).unwrap()
    };
    let begins_later = |alice: &mut Person, bob: &Person| {
        for generation in [1, 2, 65_535] {
            let event = next(bob, &|h| h.generation = generation);
            assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Generation)));
        }
    };
    begins_later(&mut alice, &bob);
    let first = bob.write("one").event;
    alice.sync_from(&bob);
    let outcome = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    bob.sync_from(&alice);
    begins_later(&mut alice, &bob);
    let second = bob.write("two").event;
    alice.sync_from(&bob);
    let of = |event: &Event| event.message().unwrap().epoch;
    assert_ne!(of(&first), of(&second));
    for generation in 0..3 {
        let event = next(&bob, &|h| (h.epoch, h.generation) = (of(&first), generation));
        assert_eq!(refused(&alice.receive(vec![event])), Some(Reject::Invalid(Invalid::Epoch)));
    }
    bob.write("three");
    assert!(alice.sync_from(&bob).rejected.is_empty());
    assert_eq!(alice.shown(), ["one", "two", "three"]);
}

#[test]
fn an_event_from_the_far_future_stands_where_it_arrived_and_stops_nobody() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.now = START + 100 * 365 * 24 * 3_600_000;
    bob.write("from the future");
    let events = bob.events();
    alice.receive(events);
    assert!(alice.now.abs_diff(START) < 60_000);
    alice.write("after it");
    assert_eq!(alice.shown(), ["from the future", "after it"]);
}

#[test]
fn what_comes_while_our_clock_is_behind_stands_after_what_is_there() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.write("one");
    bob.receive(alice.events());
    bob.now -= 24 * 3_600_000;
    alice.write("two");
    alice.write("three");
    bob.receive(alice.events());
    assert_eq!(bob.shown(), ["one", "two", "three"]);
}

#[test]
fn who_wrote_with_a_clock_that_was_ahead_writes_on_where_the_others_do() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.now += 24 * 3_600_000;
    alice.write("tomorrow");
    alice.now -= 24 * 3_600_000;
    alice.write("today");
    bob.now = alice.now + 10;
    bob.receive(alice.events());
    bob.write("answer");
    alice.now = bob.now + 10;
    alice.receive(bob.events());
    alice.write("thanks");
    assert_eq!(alice.shown(), ["today", "answer", "thanks", "tomorrow"]);
    bob.now = alice.now + 10;
    bob.receive(alice.events());
    assert_eq!(bob.shown(), ["tomorrow", "today", "answer", "thanks"]);
}

#[test]
fn of_a_run_one_signature_vouches_for_all_and_a_bad_copy_harms_only_itself() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut lines: Vec<Event> = (0..4).map(|n| bob.write(&format!("{n}")).event).collect();
    let mut bytes = lines[3].bytes().to_vec();
    let at = 2 + lines[3].header_bytes().len() + 5;
    bytes[at] ^= 1;
    lines[3] = Event::decode(&alice.room.id(), &bytes).unwrap();
    let received = alice.receive(lines);
    assert_eq!(received.rejected.len(), 1);
    assert_eq!(alice.shown(), ["0", "1", "2"]);
}

#[test]
fn whoever_passes_on_a_badly_signed_event_is_not_blamed_and_what_follows_vouches_for_it_later() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let room = alice.room.id();
    let bad = |event: &Event| {
        let mut bytes = event.bytes().to_vec();
        bytes[2 + event.header_bytes().len() + 5] ^= 1;
        Event::decode(&room, &bytes).unwrap()
    };
    let lines: Vec<Event> = (0..4).map(|n| bob.write(&format!("{n}")).event).collect();
    let lines = [lines[0].clone(), bad(&lines[1]), bad(&lines[2]), lines[3].clone()];
    // Of two batches the first ends with what was signed badly.
    let received = alice.receive(lines[..3].to_vec());
    assert_eq!(received.rejected.len(), 2);
    assert!(received.rejected.iter().all(|rejected| !rejected.blames_sender()));
    assert!(alice.receive(lines[3..].to_vec()).rejected.is_empty());
    assert!(alice.receive(lines[1..3].to_vec()).rejected.is_empty());
    assert_eq!(alice.shown(), ["0", "1", "2", "3"]);
}

#[test]
fn waiting_events_are_bounded() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let lines: Vec<Event> = (0..400).map(|n| bob.write(&format!("{n}")).event).collect();
    let received = alice.receive(lines[1..].to_vec());
    assert!(received.rejected.iter().all(|rejected| rejected.why == Reject::Full && !rejected.blames_sender()));
    assert_eq!(received.rejected.len(), 399 - crate::limits::MAX_WAITING_PER_DEVICE);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_accepted_byte_string_encodes_to_itself(
        flips in proptest::collection::vec((0_usize..600, any::<u8>()), 0..4),
        which in 0_usize..6,
        room in any::<[u8; 32]>(),
    ) {
        let (_, events) = samples_once();
        let mut bytes = events[which % events.len()].bytes().to_vec();
        for (at, value) in flips {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        let room = RoomId(room);
        if let Ok(event) = Event::decode(&room, &bytes) {
            prop_assert_eq!(event.header().encode(), event.header_bytes());
            prop_assert_eq!(event.bytes(), &bytes[..]);
            prop_assert!(event.verify(&room).is_err());
            if let Some(header) = event.control()
                && let Ok(control) = Control::decode(header.kind, event.payload())
                && !matches!(control, Control::Unknown(_))
            {
                prop_assert_eq!(control.encode(), event.payload());
            }
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0_u8..=255) {
        let room = RoomId([0; 32]);
        let _ = Event::decode(&room, &bytes);
        let _ = Control::decode(kind, &bytes);
        let _ = crate::body::Body::decode(&bytes);
        let _ = crate::epoch::decode_page(&bytes);
    }
}

fn samples_once() -> &'static (RoomId, Vec<Event>) {
    static SAMPLES: std::sync::OnceLock<(RoomId, Vec<Event>)> = std::sync::OnceLock::new();
    SAMPLES.get_or_init(|| {
        let (room, events) = samples();
        (room.id(), events)
    })
}

#[test]
fn what_a_message_is_sealed_to_is_its_header_without_the_payload() {
    let mut alice = Person::founder(1, History::Full);
    for text in ["x", &"y".repeat(200), &"z".repeat(20_000)] {
        let event = alice.write(text).event;
        let Header::Message(mut header) = event.header().clone() else { unreachable!() };
        assert_eq!(header.kind, MESSAGE_KIND);
        (header.payload_len, header.payload_hash) = (0, [0; 32]);
        let unsealed = Header::Message(header);
        assert_eq!(event.sealing_header(), unsealed.encode());
        assert_eq!(sealing_header(&unsealed, &unsealed.encode()), unsealed.encode());
    }
}
