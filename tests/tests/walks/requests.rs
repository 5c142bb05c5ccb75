//! Who asks to come in by an invite that wants a person's word: who hears of it, what is said, and what he is told.

use parlor_tests::{Person, eventually};

/// Alice's room with a moderator, Bob, and a link that asks.
fn asked() -> (Person, Person, String, String) {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Club");
    bob.join(&alice.invite(&room, &[]));
    alice.cli(&["member", "role", &room, "@Bob", "moderator"]).done();
    bob.sees(&room, &[("Alice", "owner"), ("Bob", "moderator")]);
    let link = alice.invite(&room, &["--approve", "--uses", "5"]);
    (alice, bob, room, link)
}

fn asks(person: &Person, room: &str) -> usize {
    person.cli(&["requests", room]).done().lines().len()
}

#[test]
fn a_refusal_is_known_to_all_who_may_answer_and_another_may_still_say_yes() {
    let (alice, mut bob, room, link) = asked();
    let erin = Person::start("Erin");
    assert_eq!(erin.cli(&["join", &link, "--timeout", "2s"]).done().text("state"), "pending");
    eventually("both see who asks", || (asks(&alice, &room) == 1 && asks(&bob, &room) == 1).then_some(()));
    let follows = bob.listen_to(Some(&room));
    alice.cli(&["refuse", &room, "@Erin"]).done();
    eventually("Bob is told who refused", || {
        let told = |event: &serde_json::Value| {
            event["event"] == "request" && event["change"] == "refused" && event["by"]["name"] == "Alice"
        };
        follows.lines().iter().any(told).then_some(())
    });
    assert_eq!((asks(&alice, &room), asks(&bob, &room)), (0, 0));
    for person in [&alice, &bob] {
        assert!(person.notes(&room).contains(&"Alice refused Erin, who asked to come in".to_owned()));
    }
    let told = erin.cli(&["join", &link, "--timeout", "5s"]);
    told.refused(4, "join_refused");
    assert!(told.stderr.contains("refused by a moderator"), "{}", told.stderr);
    // Nobody asks on, also after a restart.
    bob.kill9();
    bob.run();
    assert_eq!((asks(&alice, &room), asks(&bob, &room)), (0, 0));
    let approved = bob.cli(&["approve", &room, "@Erin"]).done().object();
    assert_eq!(approved["refused_by"]["name"], "Alice");
    eventually("Alice knows that Erin may come in", || alice.roles(&room).contains_key("Erin").then_some(()));
    erin.join(&link);
    erin.say(&room, "Thank you");
    bob.holds(&room, 1);
}
