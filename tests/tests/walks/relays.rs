//! What relays do for rooms: real nodes and real relays.

use std::path::Path;

use parlor_tests::{Options, Person, Relay, eventually};

/// What the relays of these stories ask for, where they ask.
const TOKEN: &str = "correct-horse-battery";

fn with_relay(name: &str, address: &str) -> Person {
    let run_args = vec!["--relay".to_owned(), address.to_owned()];
    Person::start_with(name, Options { run_args, ..Options::default() })
}

/// Waits until the mailboxes have what somebody wrote.
fn is_sent(of: &Person, room: &str) {
    eventually("a relay has what was written", || {
        let history = of.history(room);
        let mut own = history.iter().filter(|message| message.author == of.name);
        own.all(|message| ["sent", "delivered", "read"].contains(&message.status.as_str())).then_some(())
    });
}

/// How the only relay of somebody does.
fn relay_of(of: &Person) -> serde_json::Value {
    let relays = of.cli(&["status"]).done().object()["relays"].clone();
    relays.as_array().and_then(|relays| relays.first()).cloned().unwrap_or_default()
}

/// Whether a file below `folder` has these bytes in it.
fn is_below(folder: &Path, bytes: &[u8]) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_below(&path, bytes);
        }
        std::fs::read(&path).unwrap_or_default().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[test]
fn members_use_the_mailbox_of_a_relay_with_a_token_by_that_of_their_room_and_it_is_shown_nowhere() {
    let relay = Relay::start_with(&["--token", TOKEN]);
    let mut alice = with_relay("Alice", &format!("{}?token={TOKEN}", relay.address()));
    eventually("Alice's relay lets her in", || (relay_of(&alice)["reserved"] == true).then_some(()));
    // Bob knows nothing of the relay.
    let mut bob = Person::start("Bob");
    let room = alice.create_room("town");
    bob.join(&alice.invite(&room, &[]));
    bob.stop();
    alice.say(&room, "while you sleep");
    is_sent(&alice, &room);
    alice.stop();
    bob.run();
    assert_eq!(bob.holds(&room, 1)[0].text, "while you sleep");
    bob.say(&room, "while you sleep, too");
    is_sent(&bob, &room);
    // Named again without its token, it keeps it.
    alice.run();
    alice.holds(&room, 2);
    alice.cli(&["room", "set", &room, "--mailbox", relay.address()]).done();
    alice.say(&room, "still here");
    is_sent(&alice, &room);
    let shown = [&["status"][..], &["room", "show", &room], &["history", &room, "--system"], &["doctor"]];
    for person in [&alice, &bob] {
        for command in shown {
            assert!(!person.cli(command).done().stdout.contains(TOKEN), "{command:?} shows {} the token", person.name);
        }
        assert!(
            !is_below(person.scratch(), TOKEN.as_bytes()),
            "the token is in a log or on the disk of {}",
            person.name
        );
    }
}

#[test]
fn who_has_another_token_is_told_so_and_not_served() {
    let relay = Relay::start_with(&["--token", TOKEN]);
    let alice = with_relay("Alice", &format!("{}?token=another-horse", relay.address()));
    let room = alice.create_room("town");
    let said = eventually("the relay refuses her", || {
        let relay = relay_of(&alice);
        relay["error"].as_str().filter(|error| error.contains("token")).map(str::to_owned)
    });
    assert!(!said.contains("another-horse"), "{said}");
    assert_ne!(relay_of(&alice)["reserved"], true);
    alice.say(&room, "anybody?");
    assert_eq!(alice.history(&room)[0].status, "queued");
}

/// How somebody stands in a person's book.
fn contact(of: &Person, name: &str) -> Option<serde_json::Value> {
    of.cli(&["contact", "list"]).done().lines().into_iter().find(|contact| contact["own_name"] == name)
}

#[test]
fn a_direct_chat_goes_on_by_the_relays_of_both_though_they_are_never_online_together() {
    let (one, other) = (Relay::start(), Relay::start());
    let (mut alice, mut bob) = (with_relay("Alice", one.address()), with_relay("Bob", other.address()));
    let card = bob.cli(&["contact", "card"]).done().text("link");
    bob.stop();
    let room = alice.cli(&["dm", &card, "hello Bob"]).done().text("room");
    eventually("the letter lies in Bob's inbox", || contact(&alice, "Bob").filter(|it| it["mailed"] == true));
    alice.stop();
    bob.run();
    eventually("Bob is asked", || contact(&bob, "Alice").filter(|it| it["state"] == "asking"));
    bob.cli(&["contact", "accept", "@Alice"]).done();
    eventually("his yes lies in Alice's inbox", || contact(&bob, "Alice").filter(|it| it["mailed"] == true));
    bob.stop();
    alice.run();
    eventually("Alice reads the yes", || contact(&alice, "Bob").filter(|it| it["state"] == "contact"));
    let shown = alice.cli(&["room", "show", &room]).done().object();
    assert_eq!(shown["mailboxes"].as_array().map_or(0, Vec::len), 2, "{shown}");
    is_sent(&alice, &room);
    alice.stop();
    bob.run();
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
    bob.say(&room, "hello Alice");
    is_sent(&bob, &room);
    bob.stop();
    alice.run();
    assert_eq!(alice.holds(&room, 2)[1].text, "hello Alice");
    alice.all_delivered(&room, 1);
}

#[test]
fn members_whose_addresses_all_changed_find_each_other_by_a_relay_that_neither_knew_before() {
    let (mut alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("town");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "before");
    bob.holds(&room, 1);
    alice.stop();
    bob.stop();
    // Other addresses, so that nothing that either remembers is true; and the room has no mailbox.
    let relay = Relay::start();
    for (person, host) in [(&mut alice, "127.0.0.2"), (&mut bob, "127.0.0.3")] {
        person.moved();
        person.options().run_args = vec!["--relay".to_owned(), relay.address().to_owned()];
        person.options().listen = vec![format!("/ip4/{host}/tcp/0"), format!("/ip4/{host}/udp/0/quic-v1")];
        person.run();
    }
    alice.say(&room, "after");
    assert_eq!(bob.holds(&room, 2)[1].text, "after");
}
