//! Joining: by link, by picture, and being told why not.

use std::time::{Duration, Instant};

use parlor_tests::{Person, eventually};

#[test]
fn two_people_talk_after_one_joins_by_link() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    they_talk(&alice, &bob, &room);
}

#[test]
fn two_people_talk_after_one_joins_by_the_picture_of_the_code() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let png = alice.scratch().join("invite.png");
    alice.invite_png(&room, &png);
    let joined = bob.cli(&["join".as_ref(), "--qr".as_ref(), png.as_os_str()]).done();
    assert_eq!((joined.text("state"), joined.text("room")), ("joined".into(), room.clone()));
    they_talk(&alice, &bob, &room);
}

/// Both write, both see both, in one order, named after who wrote; and each learns that the other has it.
fn they_talk(alice: &Person, bob: &Person, room: &str) {
    let follows = bob.listen_to(Some(room));
    alice.say(room, "Hello Bob");
    eventually("Bob's open window shows the message", || {
        follows.lines().iter().any(|event| event["event"] == "message" && event["text"] == "Hello Bob").then_some(())
    });
    bob.say(room, "Hello Alice");
    let (at_alice, at_bob) = (alice.holds(room, 2), bob.holds(room, 2));
    let shown = |history: &[parlor_tests::Message]| -> Vec<_> {
        history.iter().map(|m| (m.id.clone(), m.author.clone(), m.text.clone())).collect()
    };
    assert_eq!(shown(&at_alice), shown(&at_bob));
    assert_eq!((at_bob[0].author.as_str(), at_bob[0].text.as_str()), ("Alice", "Hello Bob"));
    assert_eq!((at_bob[1].author.as_str(), at_bob[1].text.as_str()), ("Bob", "Hello Alice"));
    alice.all_delivered(room, 1);
    bob.all_delivered(room, 1);
    let members = bob.cli(&["members", room]).done().lines();
    let mut names: Vec<_> = members.iter().filter_map(|member| member["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Alice", "Bob"]);
}

#[test]
fn who_comes_later_to_a_room_without_history_sees_nothing_of_before() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.cli(&["room", "create", "Quiet", "--history", "from-join"]).done().text("room");
    alice.say(&room, "Before Bob");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "After Bob");
    bob.holds(&room, 1);
    let lines = bob.cli(&["history", &room]).done().lines();
    assert_eq!(lines.iter().map(|line| line["text"].as_str()).collect::<Vec<_>>(), [Some("After Bob")]);
    assert_eq!(alice.texts(&room), ["Before Bob", "After Bob"]);
}

#[test]
fn who_leaves_reads_nothing_more_and_may_come_back() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    bob.say(&room, "Goodbye");
    alice.holds(&room, 1);
    bob.cli(&["room", "leave", &room]).done();
    eventually("Alice knows that Bob left", || {
        (alice.cli(&["members", &room]).done().lines().len() == 1).then_some(())
    });
    alice.say(&room, "Bob is gone");
    bob.cli(&["send", &room, "Am I?"]).refused(4, "not_permitted");
    assert_eq!(bob.texts(&room), ["Goodbye"], "what he held stays readable");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "Welcome back");
    assert_eq!(bob.holds(&room, 3)[2].text, "Welcome back");
}

#[test]
fn who_comes_after_the_last_use_is_told_so() {
    let (alice, bob, carol) = (Person::start("Alice"), Person::start("Bob"), Person::start("Carol"));
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &["--uses", "1"]);
    bob.join(&link);
    carol.cli(&["join", &link]).refused(4, "invite_exhausted");
    let invites = alice.cli(&["invite", "list", &room]).done().lines();
    assert_eq!((invites[0]["used"].as_u64(), invites[0]["uses_left"].as_u64()), (Some(1), Some(0)));
    assert_eq!(carol.cli(&["room", "list"]).done().lines().len(), 0, "nothing is left of the attempt");
}

#[test]
fn an_expired_link_is_refused_as_expired() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let made = Instant::now();
    let link = alice.invite(&room, &["--expires", "1s"]);
    eventually("the second is over", || (made.elapsed() > Duration::from_secs(2)).then_some(()));
    bob.cli(&["join", &link]).refused(4, "invite_expired");
}

#[test]
fn a_revoked_link_is_refused_as_revoked() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let made = alice.cli(&["invite", "create", &room]).done();
    alice.cli(&["invite", "revoke", &room, &made.text("invite")]).done();
    bob.cli(&["join", &made.text("link")]).refused(4, "invite_revoked");
    assert_eq!(alice.cli(&["invite", "list", &room]).done().lines()[0]["revoked"], true);
}

#[test]
fn a_damaged_link_says_that_it_is_damaged() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &[]);
    let payload = link.rfind('/').unwrap() + 1;
    for position in (payload..link.len()).step_by(37).chain([link.len() - 1]) {
        let other = if &link[position..=position] == "A" { "B" } else { "A" };
        let damaged = format!("{}{other}{}", &link[..position], &link[position + 1..]);
        bob.cli(&["join", &damaged]).refused(2, "link_damaged");
    }
    bob.cli(&["join", &link[..link.len() - 8]]).refused(2, "link_damaged");
    bob.cli(&["join", "parlor://join/1/"]).refused(2, "link_damaged");
    bob.join(&link);
}

#[test]
fn a_link_nobody_answers_is_unreachable_and_works_later() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &[]);
    alice.stop();
    let waits = bob.cli(&["join", &link, "--timeout", "1s"]);
    assert!(waits.code == 6 || waits.text("state") == "pending", "{}{}", waits.stdout, waits.stderr);
    alice.run();
    bob.join(&link);
}

#[test]
fn who_needs_a_members_word_waits_for_it_through_restarts_of_both() {
    let (mut alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let follows = alice.listen_to(Some(&room));
    let link = alice.invite(&room, &["--approve"]);
    let asked = bob.cli(&["join", &link, "--timeout", "2s"]).done();
    assert_eq!(asked.text("state"), "pending");
    eventually("Alice is told", || {
        follows.lines().iter().any(|event| event["event"] == "request" && event["change"] == "asked").then_some(())
    });
    alice.kill9();
    alice.run();
    bob.kill9();
    bob.run();
    let requests = alice.cli(&["requests", &room]).done().lines();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0]["name"].as_str(), requests[0]["role"].as_str()), (Some("Bob"), Some("member")));
    assert_eq!(alice.cli(&["members", &room]).done().lines().len(), 1, "not in before");
    assert_eq!(bob.cli(&["status"]).done().object()["joining"].as_array().map(Vec::len), Some(1));
    alice.cli(&["approve", &room, "@Nobody"]).refused(5, "not_found");
    alice.cli(&["approve", &room, "@Bob"]).done();
    eventually("Bob is in", || bob.cli(&["room", "show", &room]).code.eq(&0).then_some(()));
    eventually("Bob can write", || (bob.cli(&["send", &room, "Thank you"]).code == 0).then_some(()));
    alice.holds(&room, 1);
    assert!(alice.cli(&["requests", &room]).done().lines().is_empty());
    eventually("nothing waits", || {
        (bob.cli(&["status"]).done().object()["joining"].as_array().map(Vec::len) == Some(0)).then_some(())
    });
}

#[test]
fn who_is_refused_is_told_and_can_not_ask_again_on_the_same_invite() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &["--approve", "--uses", "5"]);
    assert_eq!(bob.cli(&["join", &link, "--timeout", "1s"]).done().text("state"), "pending");
    let follows = bob.listen_to(None);
    let account = alice.cli(&["requests", &room]).done().lines()[0]["account"].as_str().unwrap_or_default().to_owned();
    alice.cli(&["refuse", &room, &account[..8]]).done();
    eventually("Bob is told", || {
        follows.lines().iter().any(|event| event["event"] == "error" && event["code"] == "join_refused").then_some(())
    });
    bob.cli(&["join", &link]).refused(4, "join_refused");
    assert_eq!(alice.cli(&["members", &room]).done().lines().len(), 1);
}
