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
    let warned = |person: &Person| {
        eventually("the device knows that it was copied", || {
            let status = person.cli(&["status"]).done();
            let warnings = status.lines().first()?["warnings"].as_array()?.clone();
            warnings.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with("device_cloned"))).then_some(())
        });
        person.cli(&["send", &room, "more", "--wait", "none"]).refused(1, "device_cloned");
    };
    warned(&copy);
    copy.stop();
    // The other one learns it as soon as it meets somebody.
    alice.run();
    warned(&alice);
    bob.say(&room, "I see two of you");
    assert_eq!(sorted(&alice, &room, 4).len(), 4);
}

fn sorted(person: &Person, room: &str, n: usize) -> Vec<String> {
    person.holds(room, n);
    let mut texts = person.texts(room);
    texts.sort();
    texts
}
