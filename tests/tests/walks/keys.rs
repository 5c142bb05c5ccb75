//! The keys of a direct chat, and somebody who took a home.

use std::path::Path;

use parlor_node::{AtRest, Home, Passphrase};
use parlor_proto::RoomId;
use parlor_proto::control::ROTATE_KIND;
use parlor_proto::event::Event;
use parlor_proto::room::Room;
use parlor_tests::{Person, eventually};

/// Everything that a folder holds, as somebody takes it.
fn take(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            take(&from, &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(&from, &to).unwrap();
        }
    }
}

/// The room as somebody has it who took a home, once he was sent these.
fn told(home: &AtRest, room: RoomId, control: &[Event]) -> Room {
    let mut room = home.room(room).unwrap();
    let received = room.receive(control.to_vec(), u64::MAX / 2);
    assert!(received.rejected.is_empty());
    room
}

fn rotations(control: &[Event]) -> usize {
    control.iter().filter(|event| event.control().is_some_and(|header| header.kind == ROTATE_KIND)).count()
}

#[test]
fn the_next_message_of_a_direct_chat_is_closed_to_who_took_the_home_before_its_leaf_key_was_replaced() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    bob.cli(&["contact", "add", &alice.card()]).done();
    let chat = alice.cli(&["dm", &bob.card(), "before"]).done().text("room");
    eventually("Bob has the chat", || bob.contact("Alice")?["room"].as_str().map(drop));
    bob.holds(&chat, 1);
    alice.say(&chat, "who has my home reads this");
    bob.holds(&chat, 2);
    alice.stop();
    let stolen = alice.scratch().join("stolen");
    take(&alice.home(), &stolen);
    let mut home = AtRest::open(&Home::at(alice.home()), &Passphrase::None).unwrap();
    let taken = rotations(&home.parts(chat.parse().unwrap()).unwrap().control);
    home.renew_leaf().unwrap();
    drop(home);
    alice.run();
    alice.say(&chat, "who has it now does not");
    bob.holds(&chat, 3);
    bob.say(&chat, "nor this");
    alice.holds(&chat, 4);
    alice.stop();
    let (id, alice) = (chat.parse().unwrap(), AtRest::open(&Home::at(alice.home()), &Passphrase::None).unwrap());
    let parts = alice.parts(id).unwrap();
    assert_eq!(rotations(&parts.control), taken + 1, "one for both");
    let thief = AtRest::open(&Home::at(stolen), &Passphrase::None).unwrap();
    let mut room = told(&thief, id, &parts.control);
    let opens = |event: &Event| room.open_later(event).is_some();
    let last = |home: &AtRest| home.parts(id).unwrap().tips.into_iter().map(|tip| tip.event).collect::<Vec<_>>();
    let [before, after] = [&thief, &alice].map(last);
    assert_eq!(before.iter().chain(&after).map(opens).collect::<Vec<_>>(), [true, false, false]);
}
