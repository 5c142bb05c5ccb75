//! What is said about messages: edits, deletions, reactions, pins, polls, answers, threads, apart and together.

use parlor_tests::{Person, eventually};
use serde_json::Value;

fn together() -> (Person, Person, String) {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    (alice, bob, room)
}

impl Seen for Person {
    fn seen(&self, room: &str, id: &str) -> Option<Value> {
        let lines = self.cli(&["history", room]).done().lines();
        lines.into_iter().find(|message| message["message"] == id)
    }
}

/// A message as somebody's history shows it.
trait Seen {
    fn seen(&self, room: &str, id: &str) -> Option<Value>;

    /// Waits until it is as wanted.
    #[track_caller]
    fn shows(&self, what: &str, room: &str, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || self.seen(room, id).filter(|message| wanted(message)))
    }
}

/// What of a message is the same for everybody.
fn common(message: &Value) -> Value {
    let fields = [
        "message",
        "kind",
        "text",
        "reply",
        "thread",
        "replies",
        "edited_at",
        "edits",
        "deleted",
        "deleted_by",
        "pinned_by",
        "reactions",
        "poll",
        "mentions",
    ];
    fields.iter().map(|field| message[field].clone()).collect()
}

/// Waits until both show the same of everything.
#[track_caller]
fn agree(alice: &Person, bob: &Person, room: &str) -> Vec<Value> {
    let shown = |person: &Person| person.cli(&["history", room]).done().lines().iter().map(common).collect::<Vec<_>>();
    eventually("both see the same", || {
        let (at_alice, at_bob) = (shown(alice), shown(bob));
        (at_alice == at_bob).then_some(at_alice)
    })
}

#[test]
fn edits_and_reactions_made_apart_meet() {
    let (mut alice, mut bob, room) = together();
    let id = alice.say(&room, "helo");
    bob.shows("the message is at Bob", &room, &id, |_| true);
    bob.stop();
    let edited = alice.cli(&["edit", &room, &id, "hello"]).done().object();
    assert_eq!(edited["text"], "hello");
    alice.cli(&["react", &room, &id, "👍"]).done();
    alice.stop();
    // He has not heard of the edit.
    bob.run();
    let old = bob.cli(&["react", &room, &id, "👍"]).done().object();
    assert_eq!(old["text"], "helo");
    bob.cli(&["react", &room, &id, "🎉"]).done();
    alice.run();
    let seen = alice.shows("all reactions are at Alice", &room, &id, |message| {
        message["reactions"]["👍"].as_array().is_some_and(|who| who.len() == 2) && message["reactions"]["🎉"].is_array()
    });
    assert_eq!(seen["text"], "hello");
    agree(&alice, &bob, &room);
    bob.kill9();
    bob.run();
    alice.cli(&["react", &room, &id, "👍", "--off"]).done();
    bob.shows("one took it off", &room, &id, |message| {
        message["reactions"]["👍"].as_array().is_some_and(|w| w.len() == 1)
    });
    let texts: Vec<Value> = alice.cli(&["edits", &room, &id]).done().lines();
    assert_eq!(texts.iter().map(|version| version["text"].clone()).collect::<Vec<_>>(), ["helo", "hello"]);
    assert_eq!(alice.history(&room).len(), 1, "what is said about a message is no line");
}

#[test]
fn what_was_deleted_is_gone_for_both_and_only_who_may_deletes() {
    let (mut alice, bob, room) = together();
    let of_alice = alice.say(&room, "from the owner");
    let of_bob = bob.say(&room, "something rude");
    alice.shows("the message of Bob is at Alice", &room, &of_bob, |_| true);
    bob.shows("the message of Alice is at Bob", &room, &of_alice, |_| true);
    bob.cli(&["edit", &room, &of_alice, "from me"]).refused(4, "not_permitted");
    bob.cli(&["delete", &room, &of_alice]).refused(4, "not_permitted");
    bob.cli(&["pin", &room, &of_alice]).refused(4, "not_permitted");
    bob.cli(&["delete", &room, &"7".repeat(64)]).refused(5, "message_not_found");
    alice.cli(&["delete", &room, &of_bob]).done();
    let gone = bob.shows("it is deleted at Bob", &room, &of_bob, |message| message["deleted"] == true);
    assert_eq!((&gone["text"], &gone["deleted_by"]["name"]), (&"".into(), &"Alice".into()));
    bob.cli(&["react", &room, &of_bob, "👎"]).refused(1, "conflict");
    alice.cli(&["delete", &room, &of_alice]).done();
    alice.kill9();
    alice.run();
    let all = agree(&alice, &bob, &room);
    assert!(!format!("{all:?}").contains("rude"));
}

#[test]
fn answers_threads_mentions_pins_and_polls_are_the_same_for_both() {
    let (mut alice, mut bob, room) = together();
    let question = alice.say(&room, "what do we read, @bob?");
    let seen = bob.shows("the question is at Bob", &room, &question, |_| true);
    assert_eq!(seen["text"], "what do we read, @Bob?");
    assert_eq!(seen["mentions"].as_array().map(Vec::len), Some(1));
    let answer = bob.cli(&["send", &room, "poems", "--reply-to", &question]).done().text("message");
    let quoted = alice.shows("the answer is at Alice", &room, &answer, |_| true);
    assert_eq!(quoted["reply"]["text"], "what do we read, @Bob?");
    assert_eq!(quoted["reply"]["author"]["name"], "Alice");
    let aside = bob.cli(&["send", &room, "or plays", "--thread", &question]).done().text("message");
    alice.shows("the question tells of a thread", &room, &question, |message| message["replies"]["count"] == 1);
    let thread = alice.cli(&["history", &room, "--thread", &question]).done().lines();
    assert_eq!(thread.iter().map(|message| message["message"].clone()).collect::<Vec<_>>(), [aside.as_str()]);
    alice.cli(&["pin", &room, &answer]).done();
    let poll = bob.cli(&["poll", &room, "when?", "monday", "friday"]).done().text("message");
    bob.cli(&["vote", &room, &poll, "2"]).done();
    bob.cli(&["vote", &room, &poll, "3"]).refused(2, "bad_request");
    alice.shows("the poll is at Alice", &room, &poll, |message| message["kind"] == "poll");
    alice.stop();
    bob.stop();
    alice.run();
    alice.cli(&["vote", &room, &poll, "1"]).done();
    bob.run();
    let voted = bob.shows("both have voted", &room, &poll, |message| message["poll"]["voters"] == 2);
    assert!(
        voted["poll"]["options"]
            .as_array()
            .is_some_and(|all| all.iter().all(|o| o["votes"].as_array().map(Vec::len) == Some(1)))
    );
    agree(&alice, &bob, &room);
    let pins = bob.cli(&["pins", &room]).done().lines();
    assert_eq!(pins.iter().map(|message| message["message"].clone()).collect::<Vec<_>>(), [answer.as_str()]);
    assert_eq!(alice.cli(&["outbox", "list"]).done().lines().len(), 0, "nothing waits any more");
}
