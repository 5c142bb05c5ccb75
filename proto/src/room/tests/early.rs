//! Early messages: what is shown of a newest page, and what is not.

use super::attacks::remove;
use super::support::*;
use crate::control::{History, Role};
use crate::event::{Event, Header, MessageHeader};
use crate::ids::{DeviceId, EventId};
use crate::limits;
use crate::room::{Accepted, Early, Message, NewRoom};

/// The messages that somebody holds, in the order in which they came.
fn messages(of: &Person) -> Vec<Event> {
    of.events().into_iter().filter(|event| event.message().is_some()).collect()
}

fn control(of: &Person) -> Vec<Event> {
    of.events().into_iter().filter(|event| event.control().is_some()).collect()
}

/// What is shown early, in the order of the timeline.
fn shown(early: &Early) -> Vec<String> {
    let mut shown: Vec<_> = early.shown().collect();
    shown.sort_by_key(|message| (message.order, message.event.id()));
    let text = |body: &crate::body::Body| match body {
        crate::body::Body::Text(text) => text.text.clone(),
        other => panic!("only texts are written here: {other:?}"),
    };
    shown.into_iter().filter_map(|message| message.body.as_ref().map(text)).collect()
}

/// Alice with so many messages, and Bob, who came afterwards and holds all control events.
fn newcomer(n: usize) -> (Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    for n in 1..=n {
        alice.write(&format!("line {n}"));
        alice.now += 10;
    }
    let link = alice.invite(&many(Role::Member));
    let me = identity(2);
    let admission = alice.admit(&me, &link).unwrap();
    let mut bob = Person::joining(2, me, &link, &alice.room.id(), admission.welcome.as_ref().unwrap());
    bob.now = alice.now;
    bob.receive(control(&alice));
    (alice, bob)
}

fn ids(messages: &[Message]) -> Vec<EventId> {
    messages.iter().map(|message| message.event.id()).collect()
}

fn last(of: &Person, n: usize) -> Vec<Event> {
    let messages = messages(of);
    messages[messages.len() - n..].to_vec()
}

#[test]
fn a_page_is_shown_alone_and_leaves_no_trace_in_the_room() {
    let (mut alice, mut bob) = newcomer(60);
    let before = (bob.room.state_hash(), bob.room.tips().len(), bob.room.marker_heads(), bob.room.missing_parents());
    let mut early = Early::default();
    let mut page = last(&alice, 20);
    page.reverse();
    assert!(early.take(&mut bob.room, Some(alice.room.me().device()), page.clone(), bob.now));
    assert!(!early.take(&mut bob.room, None, page, bob.now), "the same again");
    let lines: Vec<String> = (41..=60).map(|n| format!("line {n}")).collect();
    assert_eq!(shown(&early), lines);
    let after = (bob.room.state_hash(), bob.room.tips().len(), bob.room.marker_heads(), bob.room.missing_parents());
    assert_eq!(before, after);
    // What he writes meanwhile is built on nothing of it.
    let written = bob.write("hello");
    let parents = &written.event.message().unwrap().parents;
    assert!(parents.iter().all(|parent| messages(&alice).iter().all(|event| event.id() != *parent)));
    // The log comes, and each is opened as if nothing had come early.
    let keys: Vec<_> = early.shown().map(|message| (message.event.id(), message.key.clone().unwrap())).collect();
    for event in messages(&alice) {
        bob.receive(vec![event]);
    }
    for accepted in &bob.stored {
        let Accepted::Message(message) = accepted else { continue };
        assert!(message.key.is_some() && message.body.is_some());
        let given = keys.iter().find(|(id, _)| *id == message.event.id());
        assert!(given.is_none_or(|(_, key)| key.secret() == message.key.as_ref().unwrap().secret()));
        assert_eq!(early.landed(&message.event.id()), given.is_some());
    }
    assert!(early.is_empty());
    alice.sync_from(&bob);
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
}

#[test]
fn what_the_log_holds_is_not_early() {
    let (alice, mut bob) = newcomer(20);
    bob.receive(messages(&alice)[..15].to_vec());
    let mut early = Early::default();
    early.take(&mut bob.room, None, last(&alice, 10), bob.now);
    assert_eq!(shown(&early).len(), 5);
}

#[test]
fn a_page_that_comes_before_the_control_events_is_shown_when_they_are_here() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    carol.sync_from(&alice);
    carol.write("hello from one whom Bob does not know");
    let mut early = Early::default();
    assert!(!early.take(&mut bob.room, None, messages(&carol), bob.now));
    assert!(!early.is_empty() && shown(&early).is_empty());
    bob.receive(control(&alice));
    assert!(early.look_again(&mut bob.room, bob.now).is_empty());
    assert_eq!(shown(&early).len(), 1);
}

#[test]
fn of_who_is_out_nothing_is_shown_early() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let (mut bob, mut carol) = (Person::join(2, &link, &mut alice), Person::join(3, &link, &mut alice));
    bob.sync_from(&alice);
    carol.receive(control(&alice));
    bob.write("before");
    alice.sync_from(&bob);
    let mut early = Early::default();
    early.take(&mut carol.room, None, messages(&bob), carol.now);
    assert_eq!(shown(&early), ["before"]);
    remove(&mut alice, &bob);
    // He goes on without knowing, and beside what he wrote.
    bob.write("after");
    carol.receive(control(&alice));
    let gone = early.look_again(&mut carol.room, carol.now);
    assert_eq!(ids(&gone), [messages(&bob)[0].id()], "it comes with his log");
    early.take(&mut carol.room, None, messages(&bob), carol.now);
    assert!(shown(&early).is_empty());
}

#[test]
fn what_nobody_signed_is_not_shown_and_floods_are_bounded() {
    let (alice, mut bob) = newcomer(600);
    let mut early = Early::default();
    let room = bob.room.id();
    for at in [10, 200, 300, 400] {
        let mut bytes = last(&alice, 1)[0].bytes().to_vec();
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        if let Ok(event) = Event::decode(&room, &bytes) {
            early.take(&mut bob.room, None, vec![event], bob.now);
        }
    }
    assert!(shown(&early).is_empty(), "{:?}", shown(&early));
    let (mut twice, all) = (messages(&alice), messages(&alice));
    twice.extend(all);
    early.take(&mut bob.room, None, twice, bob.now);
    assert_eq!(early.n_shown(), limits::MAX_EARLY_OF_DEVICE);
}

#[test]
fn what_no_log_reaches_goes() {
    let (alice, mut bob) = newcomer(20);
    let mut early = Early::default();
    let (giver, other) = (alice.room.me().device(), DeviceId([9; 32]));
    let page = |early: &mut Early, bob: &mut Person| {
        early.take(&mut bob.room, Some(giver), last(&alice, 5), bob.now);
        assert_eq!(early.n_shown(), 5);
    };
    page(&mut early, &mut bob);
    assert!(early.equal(&other, false).is_empty(), "somebody else who lacks it too says nothing");
    assert_eq!(early.equal(&giver, false).len(), 5, "who gave it does not hold it");
    page(&mut early, &mut bob);
    assert_eq!(early.equal(&other, true).len(), 5, "nobody holds it");
    page(&mut early, &mut bob);
    let due = early.due().unwrap();
    assert_eq!(due, bob.now + limits::EARLY_KEPT_MS);
    assert!(early.expire(due - 1).is_empty());
    assert_eq!(early.expire(due).len(), 5);
    assert!(early.is_empty() && early.due().is_none());
}

#[test]
fn what_disappears_is_not_shown_early_for_longer() {
    let hour = 3_600_000_u64;
    let mut alice = Person::founder_of(1, NewRoom { ttl_ms: Some(hour), ..new_room(History::Full) });
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.receive(control(&alice));
    alice.write("soon over");
    let mut early = Early::default();
    early.take(&mut bob.room, None, messages(&alice), bob.now);
    assert_eq!(shown(&early), ["soon over"]);
    let due = early.due().unwrap();
    let id = messages(&alice)[0].id();
    assert_eq!(early.ends_ms(&id), Some(due), "also when the log brings it");
    assert!(due <= bob.now + hour && early.expire(due).len() == 1);
    assert_eq!(early.ends_ms(&id), Some(due), "and when that is afterwards");
    early.take(&mut bob.room, None, messages(&alice), due + 1);
    assert!(early.is_empty(), "nor is it shown early once more");
    let long_after = bob.now + hour + limits::CLOCK_ERROR_MS + 1;
    early.take(&mut bob.room, None, messages(&alice), long_after);
    assert!(early.is_empty());
}

#[test]
fn generations_that_nobody_checked_cost_a_bounded_number_of_steps() {
    let (mut alice, mut bob) = newcomer(5);
    let honest = last(&alice, 1);
    let header = honest[0].message().unwrap().clone();
    // Each wants a chain from its beginning: the later the number, the earlier the generation.
    let dear = |n: u64, alice: &mut Person| {
        let generation = limits::MAX_GEN - u32::try_from(n).unwrap();
        let header = MessageHeader { seq: 1_000 + n, generation, ..header.clone() };
        let signer = alice.room.me().clone();
        Event::sign(&alice.room.id(), Header::Message(header), honest[0].payload(), signer.signing_key()).unwrap()
    };
    let flood: Vec<Event> = (0..200).map(|n| dear(n, &mut alice)).collect();
    let mut early = Early::default();
    early.take(&mut bob.room, None, flood, bob.now);
    assert!(shown(&early).is_empty(), "none of them opens");
    let spent = limits::MAX_EARLY_STEPS - early.steps_left();
    assert!(
        (1..=limits::MAX_EARLY_STEPS_OF_DEVICE).contains(&spent),
        "{spent}: those that were too dear were not tried"
    );
    // After a while there are enough again, and what costs little goes first.
    early.take(&mut bob.room, None, honest.clone(), bob.now + limits::EARLY_REFILL_MS);
    assert_eq!(shown(&early), ["line 5"]);
}

#[test]
fn an_answer_to_an_early_message_stands_below_it_also_when_its_authors_clock_is_ahead() {
    let (mut alice, mut bob) = newcomer(5);
    alice.now += 180_000;
    alice.write("a question from a clock that is three minutes ahead");
    let mut early = Early::default();
    early.take(&mut bob.room, None, last(&alice, 1), bob.now);
    let asked = early.shown().map(|message| message.order).max().unwrap();
    let answer = bob.write("an answer");
    assert!(answer.event.message().unwrap().hlc > asked);
}

#[test]
fn what_is_shown_since_last_is_told_once() {
    let (alice, mut bob) = newcomer(20);
    let mut early = Early::default();
    early.take(&mut bob.room, None, last(&alice, 5), bob.now);
    assert_eq!(early.news().len(), 5);
    early.take(&mut bob.room, None, last(&alice, 6), bob.now);
    assert_eq!(early.news(), [last(&alice, 6)[0].id()]);
    assert!(early.news().is_empty());
}

#[test]
fn who_sends_what_is_dear_spends_his_own_share() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let (mut bob, mut carol) = (Person::join(2, &link, &mut alice), Person::join(3, &link, &mut alice));
    bob.sync_from(&alice);
    carol.receive(control(&alice));
    bob.write("of Bob");
    bob.write("of Bob again");
    alice.write("of Alice");
    let of_bob = messages(&bob);
    let header = of_bob[1].message().unwrap().clone();
    let dear = |n: u32| {
        let header = MessageHeader { seq: 1_000 + u64::from(n), generation: limits::MAX_GEN - n, ..header.clone() };
        let signer = bob.room.me().clone();
        Event::sign(&bob.room.id(), Header::Message(header), of_bob[1].payload(), signer.signing_key()).unwrap()
    };
    let mut early = Early::default();
    // Each begins its chain anew, for these go forward only.
    for event in (0..20).map(dear) {
        early.take(&mut carol.room, None, vec![event], carol.now);
    }
    assert!(early.steps_left() >= limits::MAX_EARLY_STEPS - limits::MAX_EARLY_STEPS_OF_DEVICE);
    early.take(&mut carol.room, None, messages(&alice), carol.now);
    assert_eq!(shown(&early), ["of Alice"]);
    // What was too dear is looked at again when there are steps again.
    let due = early.due().unwrap();
    assert_eq!(due, carol.now + limits::EARLY_REFILL_MS);
    assert!(early.look_again(&mut carol.room, due).is_empty());
    let spent = limits::MAX_EARLY_STEPS - early.steps_left();
    assert!((1..=limits::MAX_EARLY_STEPS_OF_DEVICE).contains(&spent), "{spent}");
}
