//! Being away: what was written meanwhile arrives, whole, in order and once, whatever is killed on the way.

use parlor_tests::{Message, Person, eventually};

/// How many messages are missed. Enough for several batches and pages.
const MISSED: usize = 1_000;

/// How many each writes while both are away from each other.
const APART: usize = 200;

fn together() -> (Person, Person, String) {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    (alice, bob, room)
}

fn numbered(name: &str, n: usize) -> Vec<String> {
    (1..=n).map(|number| format!("{name} {number}")).collect()
}

fn ids(history: &[Message]) -> Vec<&str> {
    history.iter().map(|message| message.id.as_str()).collect()
}

/// Both hold these texts in this order, under the same ids, and Alice knows that Bob does.
fn arrived(alice: &Person, bob: &Person, room: &str, texts: &[String]) {
    let at_bob = bob.holds(room, texts.len());
    let at_alice = alice.holds(room, texts.len());
    assert!(at_bob.iter().map(|message| &message.text).eq(texts), "in the order they were written");
    assert_eq!(ids(&at_alice), ids(&at_bob));
    alice.all_delivered(room, 1);
}

#[test]
fn what_was_missed_arrives_in_order_and_is_marked_delivered() {
    let (alice, mut bob, room) = together();
    bob.stop();
    let texts = numbered("line", MISSED);
    assert_eq!(alice.say_lines(&room, &texts).done().lines().len(), MISSED);
    let waiting = alice.history(&room);
    assert!(waiting.iter().all(|message| message.status == "queued"), "nobody has them");
    bob.run();
    arrived(&alice, &bob, &room, &texts);
    assert_eq!(alice.cli(&["outbox", "list"]).done().lines().len(), 0, "nothing waits any more");
}

#[test]
fn a_receiver_killed_during_the_transfer_ends_up_with_everything_once() {
    let (alice, mut bob, room) = together();
    bob.stop();
    let texts = numbered("line", MISSED);
    alice.say_lines(&room, &texts).done();
    bob.run();
    eventually("the transfer has begun", || (bob.count(&room) > 0).then_some(()));
    bob.kill9();
    bob.run();
    arrived(&alice, &bob, &room, &texts);
}

#[test]
fn a_sender_killed_during_the_transfer_loses_nothing_and_repeats_nothing() {
    let (mut alice, mut bob, room) = together();
    bob.stop();
    let texts = numbered("line", MISSED);
    alice.say_lines(&room, &texts).done();
    bob.run();
    eventually("the transfer has begun", || (bob.count(&room) > 0).then_some(()));
    alice.kill9();
    alice.run();
    arrived(&alice, &bob, &room, &texts);
}

#[test]
fn both_wrote_while_apart_and_see_the_same() {
    let (mut alice, mut bob, room) = together();
    bob.stop();
    alice.say_lines(&room, &numbered("Alice", APART)).done();
    alice.stop();
    bob.run();
    bob.say_lines(&room, &numbered("Bob", APART)).done();
    alice.run();
    let (at_alice, at_bob) = (alice.holds(&room, 2 * APART), bob.holds(&room, 2 * APART));
    assert_eq!(ids(&at_alice), ids(&at_bob), "in one order");
    for person in [&alice, &bob] {
        let own = at_bob.iter().filter(|message| message.author == person.name).map(|message| &message.text);
        assert!(own.eq(&numbered(&person.name, APART)), "each in the order of its author");
        person.all_delivered(&room, 1);
    }
}

#[test]
fn a_message_nobody_can_have_waits_through_restarts_and_goes_out_once() {
    let (mut alice, mut bob, room) = together();
    bob.stop();
    let id = alice.say(&room, "Are you there?");
    alice.restart();
    alice.kill9();
    alice.run();
    let waiting = alice.history(&room);
    assert_eq!((waiting[0].id.as_str(), waiting[0].status.as_str()), (id.as_str(), "queued"));
    let outbox = alice.cli(&["outbox", "list"]).done().lines();
    assert_eq!(outbox.iter().map(|entry| entry["message"].as_str()).collect::<Vec<_>>(), [Some(id.as_str())]);
    bob.run();
    arrived(&alice, &bob, &room, &["Are you there?".into()]);
}

#[test]
fn waiting_for_delivery_ends_when_the_other_has_it() {
    let (alice, bob, room) = together();
    let sent = alice.cli(&["send", &room, "Ready?", "--wait", "delivered"]).done();
    assert_eq!(sent.text("status"), "delivered");
    assert_eq!(bob.texts(&room), ["Ready?"], "delivered means stored there");
}

#[cfg(unix)]
#[test]
fn a_node_asked_to_terminate_stops_well_and_keeps_its_history() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "Dear diary");
    for signal in ["-TERM", "-INT"] {
        let sent = std::process::Command::new("kill").args([signal, &alice.pid().to_string()]).status().unwrap();
        assert!(sent.success());
        alice.ended_well();
        alice.cli(&["status"]).refused(3, "no_node");
        alice.run();
        assert_eq!(alice.texts(&room), ["Dear diary"]);
    }
}

/// So many that the newest page comes long before the others.
const LONG: usize = 6_000;

/// What a window heard: the number of the first event that tells of a newest page, and the messages that were new before it.
fn before_the_newest(heard: &[serde_json::Value]) -> Option<usize> {
    let at = heard.iter().position(|event| event["event"] == "sync" && event["early"].as_u64() > Some(0))?;
    Some(heard[..at].iter().filter(|event| event["event"] == "message").count())
}

#[test]
fn a_newcomer_reads_the_newest_messages_first_and_the_rest_comes_behind_whatever_is_killed() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Reading club");
    let texts = numbered("line", LONG);
    alice.say_lines(&room, &texts).done();
    let mut bob = Person::start("Bob");
    let window = bob.listen_to(None);
    bob.join(&alice.invite(&room, &[]));
    let before = eventually("the newest page is told of", || before_the_newest(&window.lines()));
    assert!(before < LONG / 2, "{before} were new before the newest page");
    drop(window);
    bob.kill9();
    bob.run();
    bob.cli(&["status"]).done();
    bob.kill9();
    bob.run();
    let shown = eventually("Bob reads what was said last", || {
        let history = bob.cli(&["history", &room, "--limit", "20"]).done().lines();
        history.iter().any(|message| message["text"] == texts[LONG - 1].as_str()).then_some(history)
    });
    let said = shown.iter().filter(|line| line["kind"] == "text");
    let newest: Vec<_> = said.filter_map(|message| message["text"].as_str()).collect();
    assert!(texts[LONG - 20..].iter().rev().eq(newest.iter()), "{newest:?}");
    arrived(&alice, &bob, &room, &texts);
    assert_eq!(bob.cli(&["room", "show", &room]).done().object()["early"], 0, "nothing is early any more");
}
