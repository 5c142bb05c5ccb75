//! A home put back to an older copy, or run twice: nothing written is lost, and a device that wrote twice stops and says so.

use std::path::Path;

use parlor_tests::{Options, Person, eventually};

/// Copies the home of a person whose node does not run, into a person of its own.
fn copy_of(person: &Person) -> Person {
    let copy = Person::new(&person.name, Options::default());
    copy_folder(&person.home(), &copy.home());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_home_restored_from_a_backup_fetches_what_it_wrote_and_goes_on() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "one");
    bob.holds(&room, 1);
    alice.stop();
    let mut restored = copy_of(&alice);
    alice.run();
    alice.say(&room, "two");
    bob.holds(&room, 2);
    alice.stop();
    // The disk is lost; the backup knows nothing of the second message.
    restored.run();
    restored.say(&room, "three");
    bob.holds(&room, 3);
    restored.holds(&room, 3);
    assert_eq!(restored.texts(&room), ["one", "two", "three"]);
    assert_eq!(bob.texts(&room), restored.texts(&room));
    restored.all_delivered(&room, 1);
}

#[test]
fn of_a_home_run_twice_both_writings_are_kept_and_the_device_stops_and_says_why() {
    let (mut alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "common");
    bob.holds(&room, 1);
    bob.stop();
    alice.stop();
    let mut copy = copy_of(&alice);
    // Both write where nobody sees it.
    alice.run();
    alice.say(&room, "left");
    alice.stop();
    copy.run();
    copy.say(&room, "right");
    copy.stop();
    bob.run();
    alice.run();
    bob.holds(&room, 2);
    alice.stop();
    copy.run();
    assert_eq!(sorted(&bob, &room, 3), ["common", "left", "right"], "nothing that was written is lost");
    assert_eq!(sorted(&copy, &room, 3), ["common", "left", "right"]);
    stops(&copy, &room);
    copy.stop();
    // The other one learns it as soon as it meets somebody.
    alice.run();
    stops(&alice, &room);
    bob.say(&room, "I see two of you");
    assert_eq!(sorted(&alice, &room, 4).len(), 4);
}

#[test]
fn of_a_home_that_runs_twice_at_once_both_writings_are_kept_and_both_stop() {
    let (mut alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    // They meet again once Bob has said where he is: from then on Alice's home knows where to find him, and so does its copy.
    bob.stop();
    bob.run();
    [&alice, &bob].iter().for_each(|person| person.connected_to(1));
    alice.say(&room, "common");
    bob.holds(&room, 1);
    eventually("it is confirmed, after what each holds was compared", || {
        alice.history(&room).iter().any(|message| message.delivered_to > 0).then_some(())
    });
    bob.stop();
    alice.stop();
    let mut copy = copy_of(&alice);
    // Both run, and write, and nobody sees that there are two.
    alice.run();
    copy.run();
    alice.say(&room, "left");
    copy.say(&room, "right");
    assert_eq!(sorted(&alice, &room, 2), ["common", "left"]);
    assert_eq!(sorted(&copy, &room, 2), ["common", "right"]);
    // Bob meets one of them first, while the other runs on; when that one goes he meets the other.
    bob.run();
    bob.holds(&room, 2);
    let (mut first, mut second) =
        if bob.texts(&room).contains(&"left".to_owned()) { (alice, copy) } else { (copy, alice) };
    first.stop();
    assert_eq!(sorted(&bob, &room, 3), ["common", "left", "right"], "nothing that was written is lost");
    stops(&second, &room);
    assert_eq!(sorted(&second, &room, 3), ["common", "left", "right"]);
    second.stop();
    first.run();
    stops(&first, &room);
    assert_eq!(sorted(&first, &room, 3), ["common", "left", "right"]);
    // What was refused is in no outbox.
    let failed = |line: &serde_json::Value| line["status"] == "failed";
    assert!(!first.cli(&["outbox", "list"]).done().lines().iter().any(failed));
}

/// The device knows that it was copied, says so, and writes no more.
fn stops(person: &Person, room: &str) {
    eventually("the device knows that it was copied", || {
        let status = person.cli(&["status"]).done();
        let warnings = status.lines().first()?["warnings"].as_array()?.clone();
        warnings.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with("device_cloned"))).then_some(())
    });
    person.cli(&["send", room, "more", "--wait", "none"]).refused(1, "device_cloned");
}

fn sorted(person: &Person, room: &str, n: usize) -> Vec<String> {
    person.holds(room, n);
    let mut texts = person.texts(room);
    texts.sort();
    texts
}

#[test]
fn what_a_copy_writes_beside_old_messages_of_somebody_removed_hides_none_of_them() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &["--uses", "2"]);
    let (mut bob, mut carol) = (Person::start("Bob"), Person::start("Carol"));
    [&bob, &carol].iter().for_each(|person| person.join(&link));
    bob.say(&room, "early");
    [&alice, &carol].iter().for_each(|person| drop(person.holds(&room, 1)));
    bob.stop();
    let mut copy = copy_of(&bob);
    bob.run();
    ["one", "two"].iter().for_each(|text| drop(bob.say(&room, text)));
    [&alice, &carol].iter().for_each(|person| drop(person.holds(&room, 3)));
    bob.stop();
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    let stay = [("Alice", "owner"), ("Carol", "member")];
    carol.sees(&room, &stay);
    // Both homes of Bob write while nobody is there who knows better: after what the fence pins, and beside it.
    alice.stop();
    carol.stop();
    bob.run();
    bob.say(&room, "late");
    bob.stop();
    copy.run();
    copy.say(&room, "forged");
    copy.stop();
    alice.run();
    carol.run();
    let have = |person: &Person, n: u64| {
        eventually(&format!("{} has {n} messages, shown or not", person.name), || {
            (person.count(&room) >= n).then_some(())
        });
    };
    for (home, n) in [(&mut bob, 4), (&mut copy, 5)] {
        home.run();
        [&alice, &carol].iter().for_each(|person| have(person, n));
        home.stop();
    }
    // After a start only the store knows where stands what the fence pins: it is the end of no branch.
    for _ in 0..2 {
        for person in [&alice, &carol] {
            assert_eq!(person.texts(&room), ["early", "one", "two"], "at {}", person.name);
        }
        alice.restart();
        carol.restart();
    }
    // Whoever comes now sees the same, whatever of it comes first.
    let dora = Person::start("Dora");
    dora.join(&alice.invite(&room, &[]));
    have(&dora, 5);
    assert_eq!(dora.texts(&room), ["early", "one", "two"]);
}
