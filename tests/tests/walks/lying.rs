//! Relays that lie, beside an honest one and alone: attack 38. Whatever they do, people notice a line in `parlor status`.

mod relay;

use std::collections::BTreeMap;

use parlor_tests::{Options, Person, Relay, eventually};

use self::relay::{Liar, Lie};

/// How the node of somebody is started who uses relays at these addresses.
fn using<'a>(addresses: impl Iterator<Item = &'a str>) -> Options {
    let run_args = addresses.flat_map(|address| ["--relay".to_owned(), address.to_owned()]).collect();
    Options { run_args, ..Options::default() }
}

fn numbered(who: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("{who} {n}")).collect()
}

/// Waits until the relay at this address has everything of this person's, and what he wrote in the room is marked so.
#[track_caller]
fn is_put(person: &Person, room: &str, address: &str) {
    eventually(&format!("everything of {} is at {address}", person.name), || {
        let waits = person.history(room).iter().any(|message| message.status == "queued");
        let relays = person.relays();
        let relay = relays.iter().find(|relay| relay["address"] == address)?;
        (!waits && relay["mailbox"] == true && relay["waiting"] == 0).then_some(())
    });
}

/// As [`is_put`], and the relay itself says that it has all that the liars were given: one of them may have said so before.
#[track_caller]
fn is_kept(person: &Person, room: &str, honest: &Relay, liars: &[(Liar, Seen); 3]) {
    is_put(person, room, honest.address());
    let put = || liars.iter().map(|(liar, _)| liar.put() as u64).max();
    eventually("the honest relay has what the liars have", || (Some(honest.n_blobs()) >= put()).then_some(()));
}

/// What is said of each relay of which something is said.
fn told(person: &Person) -> BTreeMap<String, String> {
    let relays = person.relays();
    let line =
        |relay: &serde_json::Value| Some((relay["address"].as_str()?.to_owned(), relay["error"].as_str()?.to_owned()));
    relays.iter().filter_map(line).collect()
}

/// Waits until the status of somebody says this of the relay.
#[track_caller]
fn is_told(person: &Person, liar: &Liar, said: &str) {
    eventually(&format!("{} is told of a relay: {said}", person.name), || {
        told(person).get(&liar.address).is_some_and(|error| error.contains(said)).then_some(())
    });
}

/// Who is told something of a relay that lies, and what.
enum Seen {
    ByWriter(&'static str),
    ByReader(&'static str),
}

/// Alice and Bob, never online together, write to each other by an honest relay and three that lie.
#[track_caller]
fn beside_an_honest_one(lies: [(Lie, Seen); 3]) {
    let honest = Relay::start();
    let liars = lies.map(|(lie, seen)| (Liar::start(&[lie]), seen));
    let addresses = || liars.iter().map(|(liar, _)| liar.address.as_str()).chain([honest.address()]);
    let [mut alice, mut bob] = ["Alice", "Bob"].map(|name| Person::start_with(name, using(addresses())));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    assert_eq!(
        alice.cli(&["room", "show", &room]).done().object()["mailboxes"].as_array().map_or(0, Vec::len),
        liars.len() + 1
    );
    is_kept(&bob, &room, &honest, &liars);
    bob.stop();
    let mut all = numbered("Alice", 0, 12);
    alice.say_lines(&room, &all).done();
    is_kept(&alice, &room, &honest, &liars);
    for (liar, seen) in &liars {
        if let Seen::ByWriter(said) = seen {
            is_told(&alice, liar, said);
        }
    }
    assert!(alice.history(&room).iter().all(|message| message.status == "sent"), "nobody has them");
    alice.stop();

    bob.run();
    let held: Vec<_> = bob.holds(&room, all.len()).into_iter().map(|message| message.text).collect();
    assert_eq!(held, all);
    for (liar, seen) in &liars {
        if let Seen::ByReader(said) = seen {
            is_told(&bob, liar, said);
        }
    }
    all.push("Good morning".to_owned());
    bob.say(&room, "Good morning");
    is_kept(&bob, &room, &honest, &liars);
    bob.stop();

    alice.run();
    alice.holds(&room, all.len());
    assert_eq!(alice.texts(&room), all);
    alice.all_delivered(&room, 1);
    notices_nothing_else(&alice, &room, honest.address());
    bob.run();
    notices_nothing_else(&bob, &room, honest.address());
}

/// Nothing is said of the honest relay, nothing is warned of, and the room is as its members made it.
#[track_caller]
fn notices_nothing_else(person: &Person, room: &str, honest: &str) {
    assert_eq!(told(person).get(honest), None);
    let status = person.cli(&["status"]).done().object();
    assert!(status["warnings"].as_array().is_none_or(Vec::is_empty), "{status}");
    assert!(person.history(room).iter().all(|message| message.status != "failed"), "{status}");
    person.sees(room, &[("Alice", "owner"), ("Bob", "member")]);
    let notes = person.notes(room);
    assert!(notes.iter().all(|note| !note.contains("fork") && !note.contains("missing")), "{notes:?}");
}

#[test]
fn beside_relays_that_drop_forge_and_babble_all_is_read_in_order_and_status_says_what_each_did() {
    beside_an_honest_one([
        (Lie::Drops, Seen::ByWriter("it lost what it had promised to keep")),
        (Lie::Forges, Seen::ByReader("it gave other bytes than it named")),
        (Lie::Babbles, Seen::ByWriter("it sends what no relay sends")),
    ]);
}

#[test]
fn beside_relays_that_replay_reorder_and_miscount_all_is_read_in_order_and_once() {
    beside_an_honest_one([
        (Lie::Replays, Seen::ByReader("its list is out of order")),
        (Lie::Reorders, Seen::ByReader("its list is out of order")),
        (Lie::Miscounts, Seen::ByReader("its list is out of order")),
    ]);
}

#[test]
fn with_a_relay_that_lies_alone_nothing_false_is_shown_and_what_it_kept_back_comes_by_the_other_member() {
    let liar = Liar::start(&[]);
    let [mut alice, mut bob] =
        ["Alice", "Bob"].map(|name| Person::start_with(name, using([liar.address.as_str()].into_iter())));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    is_put(&bob, &room, &liar.address);
    bob.stop();

    // What came last has the lowest number: the order is that of Alice all the same.
    liar.lie(&[Lie::Renumbers]);
    let first = numbered("Alice", 0, 6);
    alice.say_lines(&room, &first).done();
    is_put(&alice, &room, &liar.address);
    alice.stop();
    bob.run();
    bob.holds(&room, first.len());
    assert_eq!(bob.texts(&room), first);
    bob.stop();

    // Nothing that it gives is what was put, but for what is known.
    liar.lie(&[Lie::Renumbers, Lie::Forges]);
    alice.run();
    let all = numbered("Alice", 0, 12);
    alice.say_lines(&room, &all[6..]).done();
    is_put(&alice, &room, &liar.address);
    alice.stop();
    bob.run();
    is_told(&bob, &liar, "it gave other bytes than it named");
    assert_eq!(bob.texts(&room), first);
    alice.run();
    bob.holds(&room, all.len());
    assert_eq!(bob.texts(&room), all);
    alice.all_delivered(&room, 1);

    // It shows nothing at all: who is online with somebody who wrote has everything.
    liar.lie(&[Lie::Withholds]);
    bob.say(&room, "Good morning");
    alice.holds(&room, all.len() + 1);
    assert_eq!(alice.texts(&room).last().map(String::as_str), Some("Good morning"));
}
