//! Messages that disappear: from when on, by whose word, and in whatever order their copies come.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::support::{Person, START, identity, many, new_room};
use crate::body::{Body, Redact};
use crate::control::{History, Role, Setting};
use crate::event::{Event, EventError};
use crate::limits::{CLOCK_ERROR_MS, FADING_GRACE_MS, MAX_TTL_MS};
use crate::room::{Accepted, Message, NewInvite, NewRoom, Refusal, Reject, Verdict};

const HOUR: u64 = 3_600_000;

fn fading_pair() -> (Person, Person) {
    let mut alice = Person::founder_of(1, NewRoom { ttl_ms: Some(HOUR), ..new_room(History::Full) });
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.sync(&mut bob);
    (alice, bob)
}

fn set_ttl(person: &mut Person, ttl_ms: Option<u64>) {
    let value = ttl_ms.map_or(Vec::new(), |ttl_ms| ttl_ms.to_be_bytes().to_vec());
    let outcome = person.room.set_state(vec![(Setting::Ttl, value)], person.now).unwrap();
    person.keep(outcome);
}

/// What a person holds of a message.
fn held(person: &Person, message: &Message) -> Option<Message> {
    person.stored.iter().find_map(|accepted| match accepted {
        Accepted::Message(held) if held.event.id() == message.event.id() => Some(held.clone()),
        _ => None,
    })
}

#[test]
fn how_long_a_message_lives_is_said_by_the_view_it_was_written_in() {
    let (mut alice, mut bob) = fading_pair();
    let first = alice.write("an hour");
    assert_eq!(first.fades_ms, Some(alice.now + HOUR));
    set_ttl(&mut alice, None);
    let second = alice.write("for ever");
    set_ttl(&mut alice, Some(2 * HOUR));
    let third = alice.write("two hours");
    assert_eq!((second.fades_ms, third.fades_ms), (None, Some(alice.now + 2 * HOUR)));
    // Whoever learns of all of it at once judges alike.
    bob.sync_from(&alice);
    let lives: Vec<_> = [&first, &second, &third].map(|message| held(&bob, message).unwrap().fades_ms).into();
    assert_eq!(lives, [first.fades_ms, None, third.fades_ms]);
}

#[test]
fn a_time_to_live_is_a_second_to_a_year() {
    let (mut alice, _) = fading_pair();
    for ttl_ms in [0_u64, 999, MAX_TTL_MS + 1, u64::MAX] {
        let set = alice.room.set_state(vec![(Setting::Ttl, ttl_ms.to_be_bytes().to_vec())], alice.now);
        assert_eq!(set.unwrap_err(), Refusal::Setting, "{ttl_ms}");
    }
}

#[test]
fn a_bare_copy_of_what_is_not_over_is_refused_and_nobody_is_blamed() {
    let (mut alice, mut bob) = fading_pair();
    let message = alice.write("still there");
    bob.now = alice.now + HOUR - 1;
    let received = bob.receive(vec![message.event.bare()]);
    assert_eq!(received.rejected.len(), 1);
    assert_eq!(received.rejected[0].why, Reject::Bare);
    assert!(!received.rejected[0].blames_sender());
    // The whole copy is taken all the same.
    bob.sync_from(&alice);
    assert_eq!(bob.shown(), ["still there"]);
}

#[test]
fn in_a_room_that_keeps_everything_no_bare_copy_is_ever_taken() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.sync(&mut bob);
    let message = alice.write("for ever");
    bob.now = START + 1_000 * MAX_TTL_MS;
    assert_eq!(bob.receive(vec![message.event.bare()]).rejected[0].why, Reject::Bare);
}

#[test]
fn what_is_over_is_taken_bare_and_its_author_goes_on() {
    let (mut alice, mut bob) = fading_pair();
    let first = alice.write("over");
    alice.now += HOUR;
    let second = alice.write("new");
    bob.now = alice.now;
    assert!(bob.receive(vec![first.event.bare(), second.event.clone()]).rejected.is_empty());
    let over = held(&bob, &first).unwrap();
    assert_eq!((over.verdict, over.body, over.key.is_none(), over.fades_ms), (Verdict::Faded, None, true, None));
    assert_eq!(bob.room.verdict(&over.event), Verdict::Faded);
    assert_eq!(bob.shown(), ["new"]);
    bob.restart();
    assert_eq!(bob.shown(), ["new"]);
    assert!(bob.room.open_later(&over.event).is_none(), "no key that comes later opens it");
}

#[test]
fn a_whole_copy_takes_the_place_of_a_bare_one_that_waits() {
    let (mut alice, mut bob) = fading_pair();
    let first = alice.write("one");
    let second = alice.write("two");
    bob.now = alice.now;
    bob.receive(vec![second.event.bare()]);
    bob.receive(vec![second.event.clone()]);
    bob.receive(vec![first.event.clone()]);
    assert_eq!(bob.shown(), ["one", "two"]);
}

#[test]
fn a_clock_keeps_nothing_for_ever_and_kills_nothing_unread() {
    let (mut alice, mut bob) = fading_pair();
    let now = alice.now;
    alice.now = now + 100 * HOUR;
    let ahead = alice.write("from the future");
    bob.now = now;
    bob.receive(vec![ahead.event.clone()]);
    assert_eq!(held(&bob, &ahead).unwrap().fades_ms, Some(now + HOUR));
    let (mut alice, mut bob) = fading_pair();
    let behind = alice.write("from the past");
    bob.now = alice.now + 5 * HOUR;
    bob.receive(vec![behind.event.clone()]);
    assert_eq!(held(&bob, &behind).unwrap().fades_ms, Some(bob.now + FADING_GRACE_MS));
    assert_eq!(bob.shown(), ["from the past"]);
}

#[test]
fn what_was_over_long_ago_does_not_come_back_to_life() {
    let (mut alice, mut bob) = fading_pair();
    let message = alice.write("yesterday");
    bob.now = alice.now + HOUR + CLOCK_ERROR_MS;
    bob.receive(vec![message.event.clone()]);
    let taken = held(&bob, &message).unwrap();
    assert!(taken.event.is_bare() && taken.verdict == Verdict::Faded && taken.key.is_none());
}

#[test]
fn what_is_said_about_a_message_is_never_over_before_it_was_opened() {
    let (mut alice, mut bob) = fading_pair();
    let message = alice.write("to be taken back");
    let redact = Body::Redact(Redact { target: message.event.id() });
    let deletion = alice.say(&redact);
    alice.write("and more");
    // Whoever was away for long takes both whole: the message may live on for ever, as far as this is known here.
    bob.now = alice.now + 2 * CLOCK_ERROR_MS + HOUR;
    bob.sync_from(&alice);
    let late = held(&bob, &deletion).unwrap();
    assert_eq!((late.verdict, late.body.as_ref()), (Verdict::Shown, Some(&redact)));
    assert!(!late.event.is_bare() && late.fades_ms > Some(bob.now));
    assert_eq!(held(&bob, &message).unwrap().verdict, Verdict::Faded);
}

#[test]
fn a_clock_that_was_a_year_ahead_does_not_stop_who_was_away() {
    let (mut alice, mut bob) = fading_pair();
    alice.now += 365 * 24 * HOUR;
    let ahead = alice.write("from next year");
    let after = alice.write("and after it");
    bob.now += 3 * HOUR;
    // Those who had both have taken them away by now.
    let received = bob.receive(vec![ahead.event.bare(), after.event.bare()]);
    assert!(received.rejected.is_empty(), "{:?}", received.rejected);
    assert_eq!(held(&bob, &after).unwrap().verdict, Verdict::Faded);
}

#[test]
fn a_bare_copy_is_the_same_event_and_no_control_event_can_be_bare() {
    let (mut alice, _) = fading_pair();
    let message = alice.write("x");
    let room = alice.room.id();
    let bare = Event::decode(&room, message.event.bare().bytes()).unwrap();
    assert!(bare.is_bare() && !message.event.is_bare());
    assert_eq!((bare.id(), bare.seq(), bare.payload().len()), (message.event.id(), message.event.seq(), 0));
    bare.verify(&room).unwrap();
    assert_eq!(bare.bare(), bare);
    let control = alice.room.control_events().last().unwrap().clone();
    assert_eq!(control.bare(), control);
    let cut = control.bytes().len() - control.payload().len();
    assert_eq!(Event::decode(&room, &control.bytes()[..cut]).unwrap_err(), EventError::Payload);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever order whole and bare copies come in, all who come to hold everything hold the same, and nothing is left waiting.
    #[test]
    fn copies_of_what_is_over_lead_to_one_room_in_any_order(seed: u64, n in 2_usize..12) {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut alice, mut bob) = fading_pair();
        for i in 0..n {
            let (writer, reader) = if i % 3 == 0 { (&mut bob, &mut alice) } else { (&mut alice, &mut bob) };
            writer.write(&format!("message {i}"));
            reader.sync_from(writer);
            writer.now += 10 * 60_000;
        }
        let now = alice.now.max(bob.now) + HOUR / 2;
        let link = alice.invite(&NewInvite { expires_ms: None, ..many(Role::Member) });
        let mut newcomers = Vec::new();
        for number in [3, 4] {
            let me = identity(number);
            let welcome = alice.admit(&me, &link).unwrap().welcome.unwrap();
            newcomers.push(Person::joining(number, me, &link, &alice.room.id(), &welcome));
        }
        let events = alice.events();
        let over = |event: &Event| event.message().is_some_and(|header| header.hlc.ms() + HOUR <= now);
        for newcomer in &mut newcomers {
            newcomer.now = now;
            let mut copies: Vec<Event> = events.iter().cloned().chain(events.iter().filter(|it| over(it)).map(Event::bare)).collect();
            copies.shuffle(rng);
            for batch in copies.chunks(3) {
                for rejected in newcomer.receive(batch.to_vec()).rejected {
                    prop_assert!(!rejected.blames_sender(), "{:?}", rejected);
                }
            }
            newcomer.receive(copies);
        }
        let [carol, dave] = &newcomers[..] else { unreachable!() };
        prop_assert_eq!(carol.room.heads(), alice.room.heads());
        prop_assert_eq!(carol.room.heads(), dave.room.heads());
        prop_assert_eq!(carol.room.state_hash(), dave.room.state_hash());
        prop_assert!(carol.room.missing().is_empty() && dave.room.missing().is_empty());
        let late = |event: &&Event| event.message().is_some() && !over(event);
        let shown = events.iter().filter(late).count();
        prop_assert!(carol.shown().len() >= shown && dave.shown().len() >= shown, "what is not over is read by all");
    }
}
