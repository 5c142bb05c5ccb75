//! Real programs behind real address translators: two people, a relay, and what lies between.
//!
//! Needs root, `ip` and `nft`; without, the tests say that they were skipped. A few pairs run here; `cargo xtask soak` runs the whole matrix
//! of translators and links first, and writes its tables into `docs/measures.md`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parlor_tests::lab::{Lab, Link, NatKind, RELAY};
use parlor_tests::{Options, Person, Relay, eventually, left_out};

/// An ordinary way through a town: 80 ms there and back between two hosts.
const TOWN: Link = Link { delay: 20, jitter: 0, loss: 0.0 };
/// A bad radio link.
const RADIO: Link = Link { delay: 50, jitter: 20, loss: 1.0 };
/// What links do to packets, and how people call them.
const LINKS: [(&str, Link); 5] = [
    ("town: 20 ms", TOWN),
    ("far: 100 ms, 30 ms of jitter", Link { delay: 100, jitter: 30, loss: 0.0 }),
    ("radio: 50 ms, 20 ms of jitter, 1 % lost", RADIO),
    ("bad radio: 50 ms, 20 ms of jitter, 4 % lost", Link { delay: 50, jitter: 20, loss: 4.0 }),
    ("satellite: 300 ms", Link { delay: 300, jitter: 0, loss: 0.0 }),
];
/// Labs of the matrix that stand at once: they mostly wait.
const AT_ONCE: usize = 3;
/// How long a direct way is waited for: three attempts to punch a hole.
const PUNCHING: Duration = Duration::from_secs(40);

/// Two people, each on a side, and their relay.
struct Meeting {
    alice: Person,
    bob: Person,
    room: String,
    /// From the joining to the first message read.
    first_message: Duration,
    relay: Relay,
    lab: Lab,
}

/// The lab, or word of why there is none.
fn lab(a: NatKind, b: NatKind, link: Link) -> Option<Lab> {
    match Lab::build(a, b, link) {
        Ok(lab) => Some(lab),
        Err(why) => {
            left_out("the network lab", why);
            None
        }
    }
}

fn person(lab: &Lab, relay: &Relay, name: &str, host: &str) -> Person {
    let relays = relay.addresses.iter().flat_map(|it| ["--relay".to_owned(), it.clone()]).collect();
    let hosts = ["/ip4/0.0.0.0", "/ip6/::"];
    let listen = hosts.iter().flat_map(|it| [format!("{it}/udp/4001/quic-v1"), format!("{it}/tcp/4001")]).collect();
    let options = Options { listen, run_args: relays, namespace: Some(lab.namespace(host)), ..Options::default() };
    let person = Person::start_with(name, options);
    eventually(&format!("{name} is reached through the relay"), || {
        let relays = person.cli(&["status"]).done().object()["relays"].clone();
        relays.as_array()?.iter().any(|it| it["reserved"] == true).then_some(())
    });
    person
}

/// Alice invites Bob, and he reads what she wrote.
fn meet(a: NatKind, b: NatKind, link: Link) -> Option<Meeting> {
    Some(meet_in(lab(a, b, link)?))
}

fn meet_in(lab: Lab) -> Meeting {
    let relay = lab.relay("relay", RELAY);
    let (alice, bob) = (person(&lab, &relay, "alice", "hostA"), person(&lab, &relay, "bob", "hostB"));
    let room = alice.create_room("town");
    let invite = alice.invite(&room, &[]);
    let start = Instant::now();
    bob.join(&invite);
    alice.say(&room, "hello");
    heard(&bob, &room, "hello");
    Meeting { first_message: start.elapsed(), alice, bob, room, relay, lab }
}

fn heard(who: &Person, room: &str, text: &str) {
    eventually(&format!("{} hears {text}", who.name), || {
        who.history(room).iter().any(|it| it.text == text).then_some(())
    });
}

impl Meeting {
    /// Whether Alice's connection to Bob goes without the relay, once the attempts are over.
    fn becomes_direct(&self) -> bool {
        let end = Instant::now() + PUNCHING;
        loop {
            let status = self.alice.cli(&["status"]).done().object();
            if status["peers"].as_array().is_some_and(|it| it.iter().any(|peer| peer["direct"] == true)) {
                return true;
            }
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

#[test]
fn behind_usual_routers_people_meet_and_end_up_connected_directly() {
    let Some(meeting) = meet(NatKind::PortRestricted, NatKind::PortRestricted, TOWN) else { return };
    assert!(meeting.becomes_direct());
    meeting.bob.say(&meeting.room, "directly");
    heard(&meeting.alice, &meeting.room, "directly");
}

#[test]
fn where_ipv6_goes_through_people_behind_the_strictest_routers_end_up_connected_directly() {
    let Some(lab) = lab(NatKind::Symmetric, NatKind::Symmetric, TOWN) else { return };
    lab.give_ipv6();
    let meeting = meet_in(lab);
    assert!(meeting.becomes_direct());
    meeting.bob.say(&meeting.room, "by IPv6");
    heard(&meeting.alice, &meeting.room, "by IPv6");
}

#[test]
fn behind_symmetric_routers_and_without_udp_people_talk_through_the_relay() {
    for (a, b) in [(NatKind::Symmetric, NatKind::Symmetric), (NatKind::UdpBlocked, NatKind::Carrier)] {
        let Some(meeting) = meet(a, b, TOWN) else { return };
        meeting.bob.say(&meeting.room, "anyway");
        heard(&meeting.alice, &meeting.room, "anyway");
    }
}

#[test]
fn a_link_that_loses_is_cut_and_heals_and_an_address_that_changes_lose_nothing() {
    let Some(mut meeting) = meet(NatKind::PortRestricted, NatKind::Symmetric, RADIO) else { return };
    meeting.lab.cut('B', true);
    meeting.alice.say(&meeting.room, "while it was cut");
    meeting.lab.cut('B', false);
    heard(&meeting.bob, &meeting.room, "while it was cut");
    meeting.lab.readdress('B');
    meeting.alice.say(&meeting.room, "at the new address");
    heard(&meeting.bob, &meeting.room, "at the new address");
    meeting.lab.set_link('B', TOWN);
    assert!(!meeting.relay.addresses.is_empty());
}

/// The way that a pair's connection takes in the end, and the time to its first message. `failed` for a pair that did not meet: its logs
/// are printed.
fn cell(a: NatKind, b: NatKind, link: Link) -> String {
    // A thread of its own: one pair that fails is a cell, and the others are tried all the same.
    let pair = std::thread::spawn(move || {
        let meeting = meet(a, b, link).unwrap();
        let way = if meeting.becomes_direct() { "direct" } else { "relayed" };
        format!("{way}, {:.1} s", meeting.first_message.as_secs_f32())
    });
    pair.join().unwrap_or_else(|_| "failed".to_owned())
}

/// The cells of all pairs, in their order.
fn cells(pairs: &[(NatKind, NatKind, Link)]) -> Vec<String> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![String::new(); pairs.len()]));
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((a, b, link)) = pairs.get(at) else { return };
            let cell = cell(*a, *b, *link);
            println!("{a} and {b}: {cell}");
            done.lock().unwrap()[at] = cell;
        }
    };
    std::thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
    done.into_inner().unwrap()
}

/// How long somebody waits for what was said while his link was cut, once it is whole again, and for what was said after he moved.
fn cut_and_moved() -> (Duration, Duration) {
    let meeting = meet(NatKind::PortRestricted, NatKind::PortRestricted, TOWN).unwrap();
    let Meeting { alice, bob, room, lab, .. } = &meeting;
    lab.cut('B', true);
    eventually("Alice's node has given Bob's up", || {
        alice.cli(&["status"]).done().object()["peers"].as_array()?.is_empty().then_some(())
    });
    alice.say(room, "while it was cut");
    lab.cut('B', false);
    let start = Instant::now();
    heard(bob, room, "while it was cut");
    let healed = start.elapsed();
    lab.readdress('B');
    let start = Instant::now();
    alice.say(room, "at the new address");
    heard(bob, room, "at the new address");
    (healed, start.elapsed())
}

/// Prints the tables of `docs/measures.md`.
#[test]
#[ignore = "takes many minutes: cargo xtask soak"]
fn the_whole_matrix() {
    if lab(NatKind::Open, NatKind::Open, TOWN).is_none() {
        return;
    }
    let pairs = NatKind::ALL.into_iter().flat_map(|a| NatKind::ALL.map(|b| (a, b, TOWN)));
    let links = LINKS.map(|(_, link)| (NatKind::PortRestricted, NatKind::PortRestricted, link));
    let all: Vec<_> = pairs.chain(links).collect();
    let cells = cells(&all);
    let (pairs, links) = cells.split_at(NatKind::ALL.len() * NatKind::ALL.len());
    println!("<!-- nat matrix -->");
    println!("| Alice \\ Bob | {} |", NatKind::ALL.map(|it| it.to_string()).join(" | "));
    println!("|---|{}", "---|".repeat(NatKind::ALL.len()));
    for (a, row) in NatKind::ALL.iter().zip(pairs.chunks(NatKind::ALL.len())) {
        println!("| {a} | {} |", row.join(" | "));
    }
    let (healed, moved) = cut_and_moved();
    println!("<!-- links -->");
    println!("| link of all, one way | both port-restricted |");
    println!("|---|---|");
    for ((name, _), cell) in LINKS.iter().zip(links) {
        println!("| {name} | {cell} |");
    }
    println!(
        "| town, cut until it was noticed: what was said meanwhile is read after it heals in | {:.1} s |",
        healed.as_secs_f32()
    );
    println!(
        "| town, another address behind the box: what is said then is read after | {:.1} s |",
        moved.as_secs_f32()
    );
    assert!(cells.iter().all(|cell| cell != "failed"), "some pairs did not meet");
}
