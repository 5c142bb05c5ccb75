//! Who is away: what is written waits at a relay, the program itself, until whoever it is for comes by.

use std::time::{Duration, Instant};

use parlor_tests::{Canaries, Message, Person, Relay, each_file, each_stretch, eventually, left_out};
use serde_json::Value;

/// Two people who share a room with mailboxes at these relays, and have both seen each other write.
fn two(names: [&str; 2], room: &str, relays: &[&Relay]) -> ([Person; 2], String) {
    let people = names.map(|name| Person::start_with(name, Relay::used(relays)));
    let room = people[0].create_room(room);
    people[1].join(&people[0].invite(&room, &[]));
    (people, room)
}

fn numbered(who: &str, from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("{who} {n}")).collect()
}

fn texts(history: &[Message]) -> Vec<&str> {
    history.iter().map(|message| message.text.as_str()).collect()
}

#[test]
fn what_alice_writes_before_she_goes_bob_has_later_in_order_and_then_she_sees_it_delivered() {
    let relay = Relay::start();
    let ([mut alice, mut bob], room) = two(["Alice", "Bob"], "Reading club", &[&relay]);
    bob.stop();
    let hers = numbered("Alice", 0, 50);
    alice.say_lines(&room, &hers).done();
    alice.all_is_put(&room, 1);
    let sent = alice.history(&room);
    assert!(sent.iter().all(|message| (message.status.as_str(), message.delivered_to) == ("sent", 0)), "{sent:?}");
    alice.stop();

    bob.run();
    assert_eq!(texts(&bob.holds(&room, 50)), hers);
    bob.say(&room, "Good morning");
    bob.all_is_put(&room, 1);
    bob.stop();

    alice.run();
    assert_eq!(alice.holds(&room, 51)[50].text, "Good morning");
    alice.all_delivered(&room, 1);
}

#[test]
fn a_long_absence_is_read_whole_from_a_relay_though_whoever_wrote_it_is_away() {
    let relay = Relay::start();
    let ([mut alice, mut bob], room) = two(["Alice", "Bob"], "Reading club", &[&relay]);
    bob.stop();
    let hers = numbered("Alice", 0, 1_500);
    alice.say_lines(&room, &hers).done();
    alice.all_is_put(&room, 1);
    alice.stop();
    bob.run();
    assert_eq!(texts(&bob.holds(&room, 1_500)), hers);
}

#[test]
fn of_two_relays_that_are_killed_in_turn_nothing_is_lost_and_status_says_which_is_gone() {
    let (mut one, mut other) = (Relay::start(), Relay::start());
    let ([mut alice, mut bob], room) = two(["Alice", "Bob"], "Reading club", &[&one, &other]);
    bob.all_is_put(&room, 2);
    bob.stop();
    alice.say_lines(&room, &numbered("Alice", 0, 20)).done();
    alice.all_is_put(&room, 2);
    one.kill9();
    alice.say_lines(&room, &numbered("Alice", 20, 40)).done();
    alice.all_is_put(&room, 1);
    eventually("status says that one relay lacks what was written since", || {
        let gone = |relay: &&Value| relay["address"] == one.address();
        let relays = alice.relays();
        let relay = relays.iter().find(gone)?;
        (relay["mailbox"] == false && relay["waiting"].as_u64() > Some(0)).then_some(())
    });
    alice.stop();

    // The other is killed, too; the first comes back with what it had said to have.
    other.kill9();
    one.run();
    bob.run();
    assert_eq!(texts(&bob.holds(&room, 20)), numbered("Alice", 0, 20));
    other.run();
    assert_eq!(texts(&bob.holds(&room, 40)), numbered("Alice", 0, 40));
}

#[test]
fn a_request_to_join_waits_at_the_door_until_a_member_comes_by_and_the_answer_until_the_joiner_does() {
    let relay = Relay::start();
    let [mut alice, mut bob] = ["Alice", "Bob"].map(|name| Person::start_with(name, Relay::used(&[&relay])));
    let room = alice.create_room("Reading club");
    let link = alice.invite(&room, &[]);
    alice.say(&room, "Nobody is here");
    alice.all_is_put(&room, 1);
    alice.stop();
    let asked = bob.cli(&["join", &link, "--timeout", "10s"]).done();
    assert_eq!(asked.text("state"), "pending");
    bob.stop();

    // By turns, never both at once: in the first turn, unless Alice goes before her answer lies at the relay.
    eventually("Bob comes in", || {
        alice.run();
        alice.sees(&room, &[("Alice", "owner"), ("Bob", "member")]);
        alice.all_is_put(&room, 1);
        alice.stop();
        bob.run();
        let came = within(TURN, || bob.count(&room) == 1);
        bob.stop();
        came.then_some(())
    });
    bob.run();
    assert_eq!(texts(&bob.holds(&room, 1)), ["Nobody is here"]);
    bob.say(&room, "I know");
    bob.all_is_put(&room, 1);
    bob.stop();
    alice.run();
    assert_eq!(texts(&alice.holds(&room, 2)), ["Nobody is here", "I know"]);
}

#[test]
fn who_has_the_link_of_an_instant_invite_comes_in_reads_and_writes_with_nobody_online() {
    let relay = Relay::start();
    let mut alice = Person::start_with("Alice", Relay::used(&[&relay]));
    let mut bob = Person::start("Bob");
    let room = alice.create_room("Reading club");
    let made = alice.cli(&["invite", "create", &room, "--instant"]).done();
    assert!(made.text("notice").contains("can read the room"), "{}", made.stdout);
    let link = made.text("link");
    alice.say_lines(&room, &numbered("Alice", 0, 2)).done();
    alice.all_is_put(&room, 1);
    assert_eq!(alice.roles(&room).len(), 1, "nobody sees the guest");
    alice.stop();

    bob.join(&link);
    assert_eq!(texts(&bob.holds(&room, 2)), numbered("Alice", 0, 2));
    bob.say(&room, "Nobody let me in");
    bob.all_is_put(&room, 1);
    bob.stop();

    alice.run();
    assert_eq!(alice.holds(&room, 3)[2].text, "Nobody let me in");
    alice.sees(&room, &[("Alice", "owner"), ("Bob", "member")]);
    // He stopped before his marker was due.
    bob.run();
    alice.all_delivered(&room, 1);
    let used = &alice.cli(&["invite", "list", &room]).done().lines()[0];
    assert_eq!((&used["used"], &used["uses_left"]), (&Value::from(1), &Value::from(0)), "{used}");
}

/// How long Bob stays each time. What is too short is made up for by another turn.
const TURN: Duration = Duration::from_secs(15);

/// Whether something becomes so in this time.
fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    let look = || if is_so() { Some(true) } else { (Instant::now() > end).then_some(false) };
    eventually("it is so, or the time is over", look)
}

const TEXTS: [&str; 2] = ["canary-text-5d21e8f0", "canary-answer-c08b7714"];
const ROOM: &str = "canary-room-64fa390b";
const NAMES: [&str; 2] = ["canary-alice-2e9d", "canary-bob-83af"];

/// Attack 38.
#[test]
fn neither_the_disk_nor_the_memory_of_a_relay_shows_texts_names_or_ids() {
    let relay = Relay::start();
    let ([mut alice, mut bob], room) = two(NAMES, ROOM, &[&relay]);
    let mut canaries = Canaries::of(&[TEXTS[0], TEXTS[1], ROOM, NAMES[0], NAMES[1]]);
    canaries.id("room", &room);
    [&alice, &bob].into_iter().for_each(|person| canaries.person(person));
    // One sleeps, then the other; whoever writes is looked at while he is connected.
    bob.stop();
    alice.say(&room, TEXTS[0]);
    alice.all_is_put(&room, 1);
    memory_shows_nothing(&relay, &canaries);
    // The same search finds the room in the memory of a member's node.
    let of_alice = in_memory(alice.pid(), &canaries).map(|(found, _)| found);
    assert!(of_alice.is_none_or(|found| found.iter().any(|name| name == "room as bytes")), "nothing is ever found");
    alice.stop();
    bob.run();
    bob.holds(&room, 1);
    bob.say(&room, TEXTS[1]);
    bob.all_is_put(&room, 1);
    bob.stop();
    alice.run();
    alice.holds(&room, 2);
    alice.all_delivered(&room, 1);
    memory_shows_nothing(&relay, &canaries);

    let mut n_bytes = 0;
    each_file(relay.folder(), &mut |path, bytes| {
        let found = canaries.in_bytes(bytes);
        assert!(found.is_empty(), "{} holds {found:?}", path.display());
        n_bytes += if path.starts_with(relay.data().join("mailbox")) { bytes.len() } else { 0 };
    });
    assert!(n_bytes > 4_096, "the mailboxes hold {n_bytes} bytes: nothing waited there");
}

/// What is found in what a process can write in its memory, and how many bytes that is; nothing, after saying so, where this
/// process may not look.
fn in_memory(pid: u32, canaries: &Canaries) -> Option<(Vec<String>, usize)> {
    let (mut found, mut n_bytes) = (Vec::new(), 0);
    let searched = each_stretch(pid, &mut |_, bytes| {
        found.extend(canaries.in_bytes(bytes).into_iter().map(str::to_owned));
        n_bytes += bytes.len();
    });
    match searched {
        Ok(()) => Some((found, n_bytes)),
        Err(error) => {
            left_out("the memory of a process", error);
            None
        }
    }
}

fn memory_shows_nothing(relay: &Relay, canaries: &Canaries) {
    let Some((found, n_bytes)) = in_memory(relay.pid(), canaries) else { return };
    assert!(found.is_empty(), "the memory of the relay shows {found:?}");
    println!("{n_bytes} bytes of the relay's memory show nothing");
}
