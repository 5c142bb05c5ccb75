//! What relays do for rooms: real nodes and real relays.

use parlor_tests::{Canaries, Options, Person, Relay, each_file, eventually};
use serde_json::Value;

/// What the relays of these stories ask for, where they ask.
const TOKEN: &str = "correct-horse-battery";

/// How somebody's node is started who uses a relay with this token.
fn with_token(relay: &Relay, token: &str) -> Options {
    let run_args = vec!["--relay".to_owned(), format!("{}?token={token}", relay.address())];
    Options { run_args, ..Options::default() }
}

/// How the only relay of somebody does.
fn relay_of(of: &Person) -> Value {
    of.relays().first().cloned().unwrap_or_default()
}

#[test]
fn members_use_the_mailbox_of_a_relay_with_a_token_by_that_of_their_room_and_it_is_shown_nowhere() {
    let relay = Relay::start_with(&["--token", TOKEN]);
    let mut alice = Person::start_with("Alice", with_token(&relay, TOKEN));
    eventually("Alice's relay lets her in", || (relay_of(&alice)["reserved"] == true).then_some(()));
    // Bob knows nothing of the relay.
    let mut bob = Person::start("Bob");
    let room = alice.create_room("town");
    bob.join(&alice.invite(&room, &[]));
    bob.stop();
    alice.say(&room, "while you sleep");
    alice.all_is_put(&room, 1);
    alice.stop();
    bob.run();
    assert_eq!(bob.holds(&room, 1)[0].text, "while you sleep");
    bob.say(&room, "while you sleep, too");
    bob.all_is_put(&room, 1);
    // Named again without its token, it keeps it.
    alice.run();
    alice.holds(&room, 2);
    alice.cli(&["room", "set", &room, "--mailbox", relay.address()]).done();
    alice.say(&room, "still here");
    alice.all_is_put(&room, 1);
    let shown = [&["status"][..], &["room", "show", &room], &["history", &room, "--system"], &["doctor"]];
    for person in [&alice, &bob] {
        for command in shown {
            assert!(!person.cli(command).done().stdout.contains(TOKEN), "{command:?} shows {} the token", person.name);
        }
    }
    let canaries = Canaries::of(&[TOKEN]);
    for person in [&mut alice, &mut bob] {
        person.stop();
        each_file(person.scratch(), &mut |path, bytes| {
            let found = canaries.in_bytes(bytes);
            assert!(found.is_empty(), "{} of {} holds {found:?}", path.display(), person.name);
        });
    }
}

#[test]
fn who_has_another_token_is_told_so_and_not_served() {
    let relay = Relay::start_with(&["--token", TOKEN]);
    let mut alice = Person::start_with("Alice", with_token(&relay, "another-horse"));
    let room = alice.create_room("town");
    let is_refused = |alice: &Person| {
        eventually("the relay refuses her", || {
            let relay = relay_of(alice);
            relay["error"].as_str().filter(|error| error.contains("token")).map(str::to_owned)
        })
    };
    let said = is_refused(&alice);
    assert!(!said.contains("another-horse"), "{said}");
    assert_ne!(relay_of(&alice)["reserved"], true);
    eventually("the doctor says what is missing", || {
        let findings = alice.cli(&["doctor"]).done().object()["findings"].clone();
        let finding = findings.as_array()?.iter().find(|finding| finding["code"] == "relay_refused")?.clone();
        finding["hint"].as_str().filter(|hint| hint.contains("?token=")).map(drop)
    });
    alice.say(&room, "anybody?");
    // Once more, with something that waits for the relay.
    alice.restart();
    is_refused(&alice);
    assert_eq!(alice.history(&room)[0].status, "queued");
}

#[test]
fn a_direct_chat_goes_on_by_the_relays_of_both_though_they_are_never_online_together() {
    let (one, other) = (Relay::start(), Relay::start());
    let mut alice = Person::start_with("Alice", Relay::used(&[&one]));
    let mut bob = Person::start_with("Bob", Relay::used(&[&other]));
    let card = bob.card();
    bob.stop();
    let room = alice.cli(&["dm", &card, "hello Bob"]).done().text("room");
    alice.has_mailed("Bob");
    alice.stop();
    bob.run();
    bob.sees_contact("Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    bob.has_mailed("Alice");
    bob.stop();
    alice.run();
    alice.sees_contact("Bob", "contact");
    let shown = alice.cli(&["room", "show", &room]).done().object();
    assert_eq!(shown["mailboxes"].as_array().map_or(0, Vec::len), 2, "{shown}");
    alice.all_is_put(&room, 2);
    alice.stop();
    bob.run();
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
    bob.say(&room, "hello Alice");
    bob.all_is_put(&room, 2);
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

#[test]
fn a_former_member_who_stays_connected_keeps_nobody_from_being_found() {
    let (mut alice, bob, mut carol) = (Person::start("Alice"), Person::start("Bob"), Person::start("Carol"));
    let room = alice.create_room("town");
    let link = alice.invite(&room, &["--uses", "2"]);
    bob.join(&link);
    carol.join(&link);
    carol.sees(&room, &[("Alice", "owner"), ("Bob", "member"), ("Carol", "member")]);
    // Each has another room with Bob alone, for which he is dialled.
    for person in [&alice, &carol] {
        let other = bob.create_room(&person.name);
        person.join(&bob.invite(&other, &[]));
    }
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    bob.is_removed(&room);
    carol.sees(&room, &[("Alice", "owner"), ("Carol", "member")]);
    alice.stop();
    carol.stop();
    // Both have moved, and Bob has not: he alone is where they know him.
    let relay = Relay::start();
    for (person, host) in [(&mut alice, "127.0.0.2"), (&mut carol, "127.0.0.3")] {
        person.moved();
        person.options().run_args = vec!["--relay".to_owned(), relay.address().to_owned()];
        person.options().listen = vec![format!("/ip4/{host}/tcp/0"), format!("/ip4/{host}/udp/0/quic-v1")];
        person.run();
        let with_bob = format!("{} is connected with Bob", person.name);
        let his = bob.cli(&["status"]).done().text("peer_id");
        eventually(&with_bob, || {
            let peers = person.cli(&["status"]).done().object()["peers"].clone();
            peers.as_array()?.iter().any(|peer| peer["peer_id"] == his.as_str()).then_some(())
        });
    }
    alice.say(&room, "without Bob");
    assert_eq!(carol.holds(&room, 1)[0].text, "without Bob");
}
