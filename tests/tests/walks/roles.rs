//! Roles and removal: who may what, who is out by whose word, and what he still reads.

use parlor_tests::{Person, eventually};

/// Alice, who owns the room, with others who joined it as members, in this order.
fn club(names: &[&str]) -> (Person, Vec<Person>, String) {
    let alice = Person::start("Alice");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "20"]);
    let others: Vec<Person> = names.iter().map(|name| Person::start(name)).collect();
    others.iter().for_each(|person| person.join(&link));
    (alice, others, room)
}

/// Checks that a command was not permitted, and that what it says names `what`.
#[track_caller]
fn not_permitted(person: &Person, args: &[&str], what: &str) {
    let answer = person.cli(args);
    answer.refused(4, "not_permitted");
    assert!(answer.stderr.contains(what), "{what} is not named: {}", answer.stderr);
}

/// Checks that all of these see the same members, events and keys.
fn agree(people: &[&Person], room: &str) {
    eventually("all see the same room", || {
        let shown: Vec<_> = people.iter().map(|person| person.cli(&["room", "show", room]).done().object()).collect();
        let same = |field: &str| shown.iter().all(|room| room[field] == shown[0][field]);
        let safe = shown.iter().all(|room| room["safe"] == true);
        (same("fingerprint") && same("control_frontier") && same("epoch") && safe).then_some(())
    });
}

#[test]
fn everybody_rules_over_those_below_and_each_refusal_says_why() {
    let (alice, others, room) = club(&["Bob", "Carol"]);
    let [bob, carol] = others.as_slice() else { unreachable!() };
    alice.cli(&["member", "role", &room, "@Bob", "admin"]).done();
    bob.sees(&room, &[("Alice", "owner"), ("Bob", "admin"), ("Carol", "member")]);
    not_permitted(carol, &["invite", "create", &room], "`invite`");
    not_permitted(carol, &["member", "role", &room, "@Carol", "admin"], "his own role");
    bob.cli(&["member", "role", &room, "@Carol", "moderator"]).done();
    carol.sees(&room, &[("Alice", "owner"), ("Bob", "admin"), ("Carol", "moderator")]);
    let dave = Person::start("Dave");
    dave.join(&carol.invite(&room, &[]));
    let roles = [("Alice", "owner"), ("Bob", "admin"), ("Carol", "moderator"), ("Dave", "member")];
    [&alice, bob, carol, &dave].iter().for_each(|person| person.sees(&room, &roles));

    not_permitted(bob, &["member", "role", &room, "@Carol", "owner"], "an admin can not make anybody an owner");
    not_permitted(bob, &["member", "remove", &room, "@Alice"], "an admin can not remove an owner");
    not_permitted(carol, &["member", "ban", &room, "@Bob"], "a moderator can not ban an admin");
    not_permitted(carol, &["member", "role", &room, "@Dave", "observer"], "`grant`");
    not_permitted(carol, &["room", "set", &room, "--history", "from-join"], "`policy`");
    not_permitted(&dave, &["member", "remove", &room, "@Carol"], "`remove`");
    not_permitted(&dave, &["room", "rename", &room, "Dave's"], "`policy`");
    alice.cli(&["member", "remove", &room, "@Nobody"]).refused(5, "member_not_found");
    alice.cli(&["room", "leave", &room]).refused(1, "last_owner");
    let before = alice.notes(&room);
    assert_eq!(
        [bob, carol, &dave].map(|person| person.notes(&room)),
        [(); 3].map(|()| before.clone()),
        "nothing was written"
    );
    let wanted = [
        "Alice made the room",
        "Alice made an invite",
        "Bob joined by an invite of Alice",
        "Carol joined by an invite of Alice",
        "Alice made Bob an admin",
        "Bob made Carol a moderator",
        "Carol made an invite",
        "Dave joined by an invite of Carol",
    ];
    assert_eq!(before, wanted);

    // Pages of the log meet, also from a note on.
    let ids = |args: &[&str]| -> Vec<String> {
        let lines = alice.cli(&[&["history", &room, "--system"], args].concat()).done().lines();
        lines.iter().filter_map(|note| note["message"].as_str().map(str::to_owned)).collect()
    };
    let all = ids(&["--limit", "100"]);
    assert_eq!(all.len(), before.len());
    assert_eq!(ids(&["--limit", "3", "--before", &all[2]]), all[3..6]);
    assert_eq!(ids(&["--limit", "3", "--after", &all[5]]), all[2..5]);

    // A weaker role again, and an owner beside Alice, who may leave then.
    bob.cli(&["member", "role", &room, "@Carol", "observer"]).done();
    eventually("Carol may not write", || (carol.cli(&["send", &room, "Still?"]).code == 4).then_some(()));
    not_permitted(carol, &["send", &room, "Still?"], "`post`");
    alice.cli(&["member", "role", &room, "@Bob", "owner"]).done();
    alice.cli(&["room", "leave", &room]).done();
    bob.sees(&room, &[("Bob", "owner"), ("Carol", "observer"), ("Dave", "member")]);
    assert_eq!(alice.standing(&room), "left");
    // Then the keys change, when it is somebody's turn.
    let after = bob.notes(&room);
    let told = ["Bob made Carol an observer", "Alice made Bob an owner", "Alice left"];
    assert_eq!(after[before.len()..before.len() + told.len()], told);
}

#[test]
fn who_is_removed_is_told_by_whom_and_reads_nothing_of_what_comes_after() {
    let (alice, mut others, room) = club(&["Bob", "Carol"]);
    let mut carol = others.pop().unwrap();
    let bob = others.pop().unwrap();
    let follows = bob.listen_to(Some(&room));
    alice.say(&room, "Before");
    bob.holds(&room, 1);
    carol.holds(&room, 1);
    carol.stop();
    let removed = alice.cli(&["member", "remove", &room, "@Bob"]).done().object();
    assert_eq!((removed["removed"][0]["name"].as_str(), removed["epoch"].is_string()), (Some("Bob"), true));
    alice.say(&room, "After");
    assert_eq!(bob.is_removed(&room), "Alice");
    eventually("Bob's open window says so", || {
        let told = |event: &serde_json::Value| event["event"] == "room" && event["change"] == "removed";
        follows.lines().iter().find(|event| told(event)).map(|event| assert_eq!(event["gone"]["by"]["name"], "Alice"))
    });
    not_permitted(&bob, &["send", &room, "But"], "removed from the room by Alice");
    bob.cli(&["status"]).done();
    // Carol was away, and finds the same.
    carol.run();
    assert_eq!(carol.holds(&room, 2)[1].text, "After");
    carol.sees(&room, &[("Alice", "owner"), ("Carol", "member")]);
    agree(&[&alice, &carol], &room);
    carol.say(&room, "Where is Bob?");
    alice.holds(&room, 3);
    assert_eq!(bob.texts(&room), ["Before"], "what he had, and no more");
    assert!(carol.notes(&room).contains(&"Bob was removed by Alice".to_owned()));
}

#[test]
fn who_is_removed_while_away_gets_all_up_to_it_from_any_member_and_nothing_after() {
    let (mut alice, mut others, room) = club(&["Bob", "Carol"]);
    let carol = others.pop().unwrap();
    let mut bob = others.pop().unwrap();
    // Then they know where to find each other.
    [&alice, &bob, &carol].iter().for_each(|person| person.connected_to(2));
    bob.stop();
    alice.say(&room, "Bob will read this");
    let file = alice.scratch().join("notes.txt");
    std::fs::write(&file, "notes").unwrap();
    alice.cli(&["send", &room, "--file", &file.to_string_lossy(), "--wait", "none"]).done();
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    alice.say(&room, "Bob will not read this");
    carol.holds(&room, 2);
    alice.stop();
    bob.run();
    assert_eq!(bob.is_removed(&room), "Alice", "Carol tells it");
    assert_eq!(bob.holds(&room, 1)[0].text, "Bob will read this");
    let sent = bob.cli(&["history", &room]).done().lines().into_iter().find(|it| it["kind"] == "file");
    let sent = sent.and_then(|it| it["message"].as_str().map(str::to_owned)).expect("the message with the file");
    not_permitted(&bob, &["file", "get", &room, &sent], "nobody gives it to you any more: you were removed");
    let shown = bob.cli(&["room", "show", &room]).done().object();
    let seen = shown["people"].as_array().unwrap().iter().any(|member| member["online"] == true);
    assert!(shown["online"] == 0 && !seen, "who is out is shown nobody's company");
    alice.run();
    alice.say(&room, "Nor this");
    carol.holds(&room, 3);
    assert_eq!(bob.texts(&room).len(), 1);
    // Taken back he is shown again who is there, also those who were connected all the while.
    let follows = bob.listen_to(Some(&room));
    alice.cli(&["member", "role", &room, "@Bob", "member"]).done();
    eventually("Bob's window is told who is there", || {
        let there = |event: &serde_json::Value| event["event"] == "presence" && event["online"] == true;
        follows.lines().iter().any(there).then_some(())
    });
}

#[test]
fn of_two_admins_apart_the_more_senior_decides_and_what_the_other_did_meanwhile_does_not_count() {
    let (mut alice, mut others, room) = club(&["Bob", "Carol", "Dave"]);
    for name in ["@Bob", "@Carol"] {
        alice.cli(&["member", "role", &room, name, "admin"]).done();
    }
    let all = [("Alice", "owner"), ("Bob", "admin"), ("Carol", "admin"), ("Dave", "member")];
    others.iter().for_each(|person| person.sees(&room, &all));
    // Then they know where to find each other.
    others.iter().for_each(|person| person.connected_to(3));
    let dave = others.pop().unwrap();
    let mut carol = others.pop().unwrap();
    let mut bob = others.pop().unwrap();
    // Apart: Carol removes whom she may, and can not remove Bob, who was made an admin before her.
    alice.stop();
    bob.stop();
    not_permitted(&carol, &["member", "remove", &room, "@Bob"], "more senior");
    carol.cli(&["member", "remove", &room, "@Dave"]).done();
    assert_eq!(dave.is_removed(&room), "Carol");
    carol.stop();
    // On the other side Bob, who knows nothing of that.
    let mut dave = dave;
    dave.stop();
    bob.run();
    bob.cli(&["member", "remove", &room, "@Carol"]).done();
    alice.run();
    let stay = [("Alice", "owner"), ("Bob", "admin"), ("Dave", "member")];
    [&alice, &bob].iter().for_each(|person| person.sees(&room, &stay));
    // Both sides meet.
    carol.run();
    dave.run();
    assert_eq!(carol.is_removed(&room), "Bob");
    [&alice, &bob, &dave].iter().for_each(|person| person.sees(&room, &stay));
    agree(&[&alice, &bob, &dave], &room);
    dave.say(&room, "Still here");
    bob.holds(&room, 1);
    let tried = "Dave was removed by Carol, which does not count".to_owned();
    for person in [&alice, &bob, &dave] {
        eventually(&format!("{} sees what was tried", person.name), || {
            person.notes(&room).contains(&tried).then_some(())
        });
    }
}

#[test]
fn of_two_admins_who_remove_each_other_apart_one_and_the_same_stays_everywhere() {
    // Two owners; Bob is made an admin by the one and Carol by the other, each where the other side sees nothing of it. So each
    // may remove the other, who is a member as far as he knows.
    let (mut alice, mut others, room) = club(&["Olga", "Bob", "Carol", "Dave"]);
    alice.cli(&["member", "role", &room, "@Olga", "owner"]).done();
    let all = [("Alice", "owner"), ("Olga", "owner"), ("Bob", "member"), ("Carol", "member"), ("Dave", "member")];
    others.iter().for_each(|person| person.sees(&room, &all));
    // Then they know where to find each other.
    others.iter().for_each(|person| person.connected_to(4));
    let [olga, bob, carol, dave] = others.as_mut_slice() else { unreachable!() };
    olga.stop();
    carol.stop();
    alice.cli(&["member", "role", &room, "@Bob", "admin"]).done();
    bob.sees(
        &room,
        &[("Alice", "owner"), ("Olga", "owner"), ("Bob", "admin"), ("Carol", "member"), ("Dave", "member")],
    );
    bob.cli(&["member", "remove", &room, "@Carol"]).done();
    bob.say(&room, "Carol is out");
    alice.holds(&room, 1);
    dave.stop();
    alice.stop();
    bob.stop();
    olga.run();
    carol.run();
    olga.cli(&["member", "role", &room, "@Carol", "admin"]).done();
    carol.sees(
        &room,
        &[("Alice", "owner"), ("Olga", "owner"), ("Bob", "member"), ("Carol", "admin"), ("Dave", "member")],
    );
    carol.cli(&["member", "remove", &room, "@Bob"]).done();
    carol.say(&room, "Bob is out");
    olga.holds(&room, 1);
    // Both sides meet. Bob has his role from the first owner, so his word counts, and what Carol did meanwhile does not.
    [&mut alice, bob, dave].into_iter().for_each(Person::run);
    assert_eq!(carol.is_removed(&room), "Bob");
    let stay = [("Alice", "owner"), ("Olga", "owner"), ("Bob", "admin"), ("Dave", "member")];
    for person in [&alice, olga, bob, dave] {
        person.sees(&room, &stay);
        let tried = "Bob was removed by Carol, which does not count";
        eventually(&format!("{} is told what was tried", person.name), || {
            person.notes(&room).iter().any(|note| note == tried).then_some(())
        });
    }
    agree(&[&alice, olga, bob, dave], &room);
    bob.say(&room, "I stay");
    for person in [&alice, olga, dave] {
        eventually("all who stay read on", || person.texts(&room).contains(&"I stay".to_owned()).then_some(()));
    }
    assert!(!carol.texts(&room).contains(&"I stay".to_owned()));
}

#[test]
fn a_removal_holds_for_the_half_of_the_room_that_was_away() {
    let (alice, mut others, room) = club(&["Bob", "Carol", "Dave", "Erin", "Frank"]);
    alice.say(&room, "Before");
    others.iter().for_each(|person| drop(person.holds(&room, 1)));
    others[2..].iter_mut().for_each(Person::stop);
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    alice.cli(&["member", "remove", &room, "@Frank"]).done();
    alice.say(&room, "After");
    others[2..].iter_mut().for_each(Person::run);
    let [bob, carol, dave, erin, frank] = others.as_slice() else { unreachable!() };
    let rest = [("Alice", "owner"), ("Carol", "member"), ("Dave", "member"), ("Erin", "member")];
    for person in [&alice, carol, dave, erin] {
        person.sees(&room, &rest);
        person.holds(&room, 2);
    }
    agree(&[&alice, carol, dave, erin], &room);
    erin.say(&room, "I was away");
    dave.holds(&room, 3);
    for gone in [bob, frank] {
        assert_eq!(gone.is_removed(&room), "Alice");
        assert_eq!(gone.texts(&room), ["Before"]);
    }
}

#[test]
fn who_is_banned_comes_back_by_no_invite_until_the_ban_is_lifted() {
    let (alice, others, room) = club(&["Bob", "Carol"]);
    let [bob, carol] = others.as_slice() else { unreachable!() };
    alice.cli(&["member", "role", &room, "@Carol", "moderator"]).done();
    alice.cli(&["member", "ban", &room, "@Bob"]).done();
    assert_eq!(bob.is_removed(&room), "Alice");
    carol.sees(&room, &[("Alice", "owner"), ("Carol", "moderator")]);
    for link in [alice.invite(&room, &[]), carol.invite(&room, &[])] {
        bob.cli(&["join", &link]).refused(4, "banned");
    }
    let shown = carol.cli(&["room", "show", &room]).done().object();
    assert_eq!((&shown["banned"][0]["name"], &shown["banned"][0]["by"]["name"]), (&"Bob".into(), &"Alice".into()));
    not_permitted(carol, &["member", "unban", &room, "@Bob"], "by Alice");
    carol.cli(&["member", "unban", &room, "@Alice"]).refused(5, "member_not_found");
    alice.cli(&["member", "unban", &room, "@Bob"]).done();
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "Welcome back");
    assert_eq!(bob.holds(&room, 1)[0].text, "Welcome back");
    let log = alice.notes(&room);
    for told in ["Bob was banned by Alice", "Alice lifted the ban of Bob"] {
        assert!(log.contains(&told.to_owned()), "{log:?}");
    }
}

#[test]
fn of_two_members_of_one_name_the_account_says_who_is_meant() {
    let (alice, others, room) = club(&["Bob", "Bob"]);
    let accounts: Vec<String> = others.iter().map(|bob| bob.cli(&["status"]).done().text("account")).collect();
    eventually("both are in", || (alice.cli(&["members", &room]).done().lines().len() == 3).then_some(()));
    let unclear = alice.cli(&["member", "remove", &room, "@Bob"]);
    unclear.refused(2, "ambiguous");
    assert!(accounts.iter().all(|account| unclear.stderr.contains(&account[..16])), "{}", unclear.stderr);
    alice.cli(&["member", "remove", &room, &accounts[0][..12]]).done();
    assert_eq!(others[0].is_removed(&room), "Alice");
    assert_eq!(others[1].standing(&room), "member");
}

#[test]
fn a_moderator_who_did_not_invite_can_let_in_who_asks() {
    let (mut alice, others, room) = club(&["Bob"]);
    let bob = &others[0];
    alice.cli(&["member", "role", &room, "@Bob", "moderator"]).done();
    bob.sees(&room, &[("Alice", "owner"), ("Bob", "moderator")]);
    // Carol knows Bob from elsewhere: that is how her request reaches him.
    let carol = Person::start("Carol");
    let other = bob.create_room("Elsewhere");
    carol.join(&bob.invite(&other, &[]));
    let link = alice.invite(&room, &["--approve"]);
    let made = alice.notes(&room);
    eventually("Bob knows the invite", || (bob.notes(&room) == made).then_some(()));
    alice.stop();
    assert_eq!(carol.cli(&["join", &link, "--timeout", "3s"]).done().text("state"), "pending");
    bob.cli(&["approve", &room, "@Carol"]).done();
    eventually("Carol can write", || (carol.cli(&["send", &room, "Thank you"]).code == 0).then_some(()));
    bob.holds(&room, 1);
    assert!(bob.notes(&room).contains(&"Carol joined by an invite of Alice, let in by Bob".to_owned()));
}

#[test]
fn in_a_channel_only_moderators_and_above_write() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.cli(&["room", "create", "News", "--channel"]).done().text("room");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "First");
    bob.holds(&room, 1);
    not_permitted(&bob, &["send", &room, "May I?"], "`post`");
    assert_eq!(bob.cli(&["room", "show", &room]).done().object()["policy"]["post"], "moderator");
    alice.cli(&["member", "role", &room, "@Bob", "moderator"]).done();
    eventually("Bob may write", || (bob.cli(&["send", &room, "Thanks"]).code == 0).then_some(()));
    alice.holds(&room, 2);
    // An observer of a group only reads, too.
    let carol = Person::start("Carol");
    let group = alice.create_room("Group");
    carol.join(&alice.invite(&group, &["--role", "observer"]));
    alice.say(&group, "Look");
    carol.holds(&group, 1);
    not_permitted(&carol, &["send", &group, "I see"], "`post`");
}

#[test]
fn with_an_inviter_go_his_open_invites_and_with_an_invite_all_who_came_by_it() {
    let (alice, others, room) = club(&["Bob"]);
    let bob = &others[0];
    alice.cli(&["member", "role", &room, "@Bob", "member", "--may-invite"]).done();
    eventually("Bob may invite", || (bob.cli(&["invite", "create", &room]).code == 0).then_some(()));
    let link = bob.invite(&room, &["--uses", "5"]);
    let (carol, dave) = (Person::start("Carol"), Person::start("Dave"));
    carol.join(&link);
    dave.join(&link);
    alice.sees(&room, &[("Alice", "owner"), ("Bob", "member"), ("Carol", "member"), ("Dave", "member")]);
    let invites = alice.cli(&["invite", "list", &room]).done().lines();
    let used = invites.iter().find(|invite| invite["used"] == 2).unwrap();
    assert_eq!((used["created_by_name"].as_str(), used["joined"].as_array().map(Vec::len)), (Some("Bob"), Some(2)));
    let id = used["invite"].as_str().unwrap();
    let out = alice.cli(&["member", "remove", "--invite", &room, id]).done().object();
    assert_eq!(out["removed"].as_array().map(Vec::len), Some(2));
    for person in [&carol, &dave] {
        assert_eq!(person.is_removed(&room), "Alice");
    }
    alice.sees(&room, &[("Alice", "owner"), ("Bob", "member")]);

    let again = alice.cli(&["invite", "create", &room]).done();
    carol.join(&again.text("link"));
    alice.cli(&["invite", "revoke", &room, &again.text("invite"), "--remove-joined"]).done();
    assert_eq!(carol.is_removed(&room), "Alice");

    let second = bob.invite(&room, &[]);
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    assert_eq!(bob.is_removed(&room), "Alice");
    let erin = Person::start("Erin");
    let refused = erin.cli(&["join", &second, "--timeout", "2s"]);
    assert!([4, 6].contains(&refused.code), "{}{}", refused.stdout, refused.stderr);
    let open = alice.cli(&["invite", "list", &room]).done().lines();
    assert!(open.iter().all(|invite| invite["created_by_name"] == "Alice" || invite["revoked"] == true));
    alice.sees(&room, &[("Alice", "owner")]);
}

#[test]
fn who_asks_to_come_in_is_shown_to_each_who_may_say_yes_also_to_one_who_was_away() {
    let (alice, mut others, room) = club(&["Bob", "Carol", "Dave"]);
    for name in ["@Bob", "@Carol"] {
        alice.cli(&["member", "role", &room, name, "moderator"]).done();
    }
    let dave = others.pop().unwrap();
    let mut carol = others.pop().unwrap();
    let bob = others.pop().unwrap();
    let roles = [("Alice", "owner"), ("Bob", "moderator"), ("Carol", "moderator"), ("Dave", "member")];
    [&bob, &carol, &dave].iter().for_each(|person| person.sees(&room, &roles));
    // Then they know where to find each other.
    [&alice, &bob, &carol, &dave].iter().for_each(|person| person.connected_to(3));
    carol.stop();
    let link = alice.invite(&room, &["--approve"]);
    let erin = Person::start("Erin");
    assert_eq!(erin.cli(&["join", &link, "--timeout", "3s"]).done().text("state"), "pending");
    let asks = |person: &Person| {
        eventually(&format!("{} sees who asks", person.name), || {
            let asking = person.cli(&["requests", &room]).done().lines();
            asking.iter().any(|request| request["name"] == "Erin").then_some(asking.len())
        })
    };
    assert_eq!([asks(&alice), asks(&bob)], [1, 1]);
    carol.run();
    assert_eq!(asks(&carol), 1);
    assert!(dave.cli(&["requests", &room]).done().lines().is_empty(), "a member is not told who asks");
    not_permitted(&dave, &["approve", &room, "@Erin"], "only moderators and above let in who asks");
    carol.cli(&["approve", &room, "@Erin"]).done();
    eventually("Erin is in, and nobody is asked any more", || {
        let asked = |person: &&Person| !person.cli(&["requests", &room]).done().lines().is_empty();
        (erin.cli(&["send", &room, "Thank you"]).code == 0 && ![&alice, &bob, &carol].iter().any(asked)).then_some(())
    });
    assert!(alice.notes(&room).contains(&"Erin joined by an invite of Alice, let in by Carol".to_owned()));
}

#[test]
fn invites_say_what_of_the_past_they_show_and_reach_as_far_as_the_right_to_make_them() {
    let (alice, others, room) = club(&["Bob"]);
    let bob = &others[0];
    alice.say(&room, "old");
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    assert_eq!(bob.is_removed(&room), "Alice");
    not_permitted(bob, &["room", "leave", &room], "removed from the room by Alice");
    alice.say(&room, "new");
    let made = alice.cli(&["room", "show", &room]).done().object();
    assert_eq!(made["past"]["everything"], true);
    let invite = alice.cli(&["invite", "create", &room, "--history", "since:2020-01-01"]).done().object();
    assert_eq!(invite["past"]["everything"], true);
    let late = alice.cli(&["invite", "create", &room, "--history", "since:2999-01-01"]);
    late.refused(1, "conflict");
    // The removal made the keys from which on a newcomer reads.
    let lines = alice.cli(&["history", &room, "--system"]).done().lines();
    let removal = lines.iter().find(|line| line["system"]["what"] == "removed").unwrap();
    let since = format!("since:{}", removal["sent_at"].as_str().unwrap());
    let invite = alice.cli(&["invite", "create", &room, "--history", &since]).done();
    assert!(invite.object()["past"]["since"].is_string());
    let carol = Person::start("Carol");
    carol.join(&invite.text("link"));
    assert_eq!(carol.holds(&room, 1)[0].text, "new");
    assert_eq!(carol.texts(&room), ["new"]);

    alice.cli(&["member", "role", &room, "@Carol", "member", "--may-invite", "--invites-for", "2h"]).done();
    eventually("Carol may invite, for as long as she may", || {
        (carol.cli(&["invite", "create", &room]).code == 0).then_some(())
    });
    not_permitted(&carol, &["invite", "create", &room, "--expires", "3d"], "--expires");
    not_permitted(
        &carol,
        &["invite", "create", &room, "--role", "admin"],
        "a member can not invite anybody as an admin",
    );
    not_permitted(&carol, &["member", "unban", &room, "@Nobody"], "`remove`");
    let mine = alice.cli(&["invite", "list", &room]).done().lines();
    let of_alice =
        mine.iter().find(|invite| invite["created_by_name"] == "Alice" && invite["revoked"] == false).unwrap();
    let id = of_alice["invite"].as_str().unwrap();
    not_permitted(&carol, &["invite", "revoke", &room, id], "made by Alice");
    alice.cli(&["member", "role", &room, "@Carol", "member"]).done();
    let told = ["Alice gave Carol the right to invite", "Alice took the right to invite from Carol"];
    let notes = alice.notes(&room);
    assert!(told.iter().all(|line| notes.contains(&(*line).to_owned())), "{notes:?}");
    assert!(notes.contains(&"With that an open invite of Carol ended".to_owned()), "{notes:?}");
    let list = alice.cli(&["invite", "list", &room]).done().lines();
    let ended = list.iter().find(|invite| invite["created_by_name"] == "Carol").unwrap();
    assert_eq!(ended["why_ended"], "Carol was given another role or right");
}
