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

#[test]
fn who_asks_is_told_how_many_members_have_the_request_and_how_it_ended_also_later() {
    let (alice, bob, room, link) = asked();
    let mut erin = Person::start("Erin");
    let said = erin.plain(&["join", &link, "--timeout", "2s"]);
    assert!(said.stderr.contains("the request waits for approval: 1 member who may approve has it"), "{}", said.stderr);
    eventually("Bob sees who asks", || (asks(&bob, &room) == 1).then_some(()));
    let waits = || erin.cli(&["status"]).done().object()["joins"][0].clone();
    eventually("Erin knows that both have it", || {
        let join = waits();
        (join["step"] == "approval" && join["members"] == 2 && join["room"] == room.as_str()).then_some(())
    });
    bob.cli(&["refuse", &room, "@Erin"]).done();
    eventually("it is told that it ended", || (waits()["step"] == "ended").then_some(()));
    erin.kill9();
    erin.run();
    let ended = erin.cli(&["status"]).done().object()["joins"][0].clone();
    assert_eq!((ended["step"].as_str(), ended["problem"]["code"].as_str()), (Some("ended"), Some("join_refused")));
    assert_eq!(ended["problem"]["message"], "refused by a moderator");
    for command in ["status", "room"] {
        let args: &[&str] = if command == "room" { &["room", "list"] } else { &["status"] };
        let said = erin.plain(args);
        assert!([said.stdout, said.stderr].concat().contains("refused by a moderator"), "{command}");
    }
    // A room that one is in says nothing of how it was before.
    alice.cli(&["approve", &room, "@Erin"]).done();
    erin.join(&link);
    assert_eq!(erin.cli(&["status"]).done().object()["joins"], serde_json::json!([]));
}

#[test]
fn who_waits_for_a_person_is_in_when_he_says_yes_and_is_told_when_he_says_no() {
    let (alice, _bob, room, link) = asked();
    let (erin, dave) = (Person::start("Erin"), Person::start("Dave"));
    let join = |person: &Person| person.cli(&["join", &link, "--timeout", "60s"]);
    std::thread::scope(|scope| {
        let (first, second) = (scope.spawn(|| join(&erin)), scope.spawn(|| join(&dave)));
        eventually("both ask", || (asks(&alice, &room) == 2).then_some(()));
        alice.cli(&["approve", &room, "@Erin"]).done();
        alice.cli(&["refuse", &room, "@Dave"]).done();
        let joined = first.join().unwrap().done();
        assert_eq!((joined.text("state"), joined.text("name")), ("joined".into(), "Club".into()));
        second.join().unwrap().refused(4, "join_refused");
    });
}

#[test]
fn who_was_let_in_and_put_out_before_he_came_is_told_of_as_not_in_yet_and_a_link_brings_him_in() {
    let (alice, _bob, room, link) = asked();
    let mut erin = Person::start("Erin");
    assert_eq!(erin.cli(&["join", &link, "--timeout", "2s"]).done().text("state"), "pending");
    eventually("Alice sees who asks", || (asks(&alice, &room) == 1).then_some(()));
    erin.stop();
    alice.cli(&["approve", &room, "@Erin"]).done();
    let erins = || {
        let members = alice.cli(&["members", &room]).done().lines();
        members.into_iter().find(|member| member["name"] == "Erin")
    };
    assert_eq!(erins().map(|it| it["not_here_yet"] == true), Some(true));
    alice.cli(&["member", "ban", &room, "@Erin"]).done();
    // Her node asks again, and hears that.
    erin.run();
    eventually("Erin hears of the ban", || {
        (erin.cli(&["status"]).done().object()["joins"][0]["step"] == "ended").then_some(())
    });
    alice.cli(&["member", "unban", &room, "@Erin"]).done();
    let said = alice.plain(&["member", "role", &room, "@Erin", "member"]);
    assert!(said.stderr.contains("was never in the room: his node gets it when he uses a link"), "{}", said.stderr);
    erin.join(&alice.invite(&room, &[]));
    eventually("Alice knows that Erin came", || erins()?.get("not_here_yet").is_none().then_some(()));
}

#[test]
fn what_is_changed_while_nobody_is_there_says_so_and_scripts_are_left_alone() {
    let (alice, mut bob, room, _) = asked();
    let alone = "Nobody else has this yet";
    alice.connected_to(1);
    let said = alice.plain(&["room", "rename", &room, "Garden"]);
    assert!(!said.stderr.contains(alone), "{}", said.stderr);
    bob.stop();
    eventually("Bob is gone", || {
        (alice.cli(&["status"]).done().object()["peers"].as_array().is_some_and(Vec::is_empty)).then_some(())
    });
    for command in [
        &["room", "rename", &room, "Orchard"][..],
        &["invite", "create", &room],
        &["member", "role", &room, "@Bob", "admin"],
        &["member", "remove", &room, "@Bob"],
    ] {
        let said = alice.plain(command);
        let told = said.stderr.contains(alone);
        // Whom one removes is nobody to be told.
        assert_eq!(told, command[1] != "remove", "{command:?}: {}", said.stderr);
    }
    let quiet = alice.cli(&["room", "rename", &room, "Club"]).done();
    assert!(!quiet.stderr.contains(alone));
}
