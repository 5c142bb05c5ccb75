//! Rooms of 10 to 10,000 members: resolution, removal, messages; beside OpenMLS and, for removal, Megolm (vodozemac).
//!
//! Times are processor time. *Resolution* is what the control events of a room mean, from scratch and event by event.
//! *Removal* puts one member out and gives the others a new key: what it costs who does it and each member, and how many
//! bytes travel. OpenMLS does so by a commit, in a *cold* tree (all were added at once) and in a *warm* one (everybody has
//! committed since); Megolm by a new session whose key goes to each device over Olm, in sessions that stand already. A
//! *message* is sealed by one member and opened by another, with all that is checked on the way.
//! *Dearest* is what a peer can make a member do with one message.
//!
//! `rules 10 1000` takes these sizes only. `--cold` leaves out warm trees, whose making takes longest; `--alone` leaves out
//! all that others do.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints its rows, and fails by panicking")]

use parlor_benches::mls::Pair as MlsPair;
use parlor_benches::olm::Senders;
use parlor_benches::people::{Person, START, two_of};
use parlor_benches::{Goal, Pair, ROUNDS, Row, cpu, figure, median};
use parlor_crypto::Secret;
use parlor_crypto::epoch::SliceSecret;
use parlor_proto::control::{Setting, Target};
use parlor_proto::dag::{Dag, Insert};
use parlor_proto::event::Event;
use parlor_proto::limits::{MAX_GEN, MAX_SLICE};
use parlor_proto::resolve::{Resolved, resolve};
use parlor_proto::room::{Outcome, Removal};
use parlor_proto::wire::Blob;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How many members the rooms have.
const SIZES: [u64; 4] = [10, 100, 1_000, 10_000];
/// From this size on a warm tree, which takes a commit by everybody, is not made.
const WARM_BELOW: u64 = 10_000;
/// What is measured beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Cold,
    All,
}

/// Messages of one round.
const MESSAGES: usize = 50;

fn main() {
    let mut beside = Beside::All;
    let mut given: Vec<u64> = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--cold" => beside = Beside::Cold,
            "--alone" => beside = Beside::Nothing,
            size => given.push(size.parse().unwrap()),
        }
    }
    for n in if given.is_empty() { SIZES.to_vec() } else { given } {
        eprintln!("{n} members");
        let (founder, mut last) = two_of(n);
        resolution(n, &founder);
        removal(n, &founder, &last, beside);
        let founder = dearest(n, founder, &mut last);
        if beside > Beside::Nothing && n < WARM_BELOW {
            messages(n, founder, last);
        }
    }
}

/// Processor seconds that `work` takes. The kernel brings the account up to date when a thread goes to sleep, else a few
/// times in a hundredth of a second, and most of this is shorter.
fn cpu_of(work: impl FnOnce()) -> f64 {
    let moment = || {
        std::thread::sleep(std::time::Duration::from_micros(10));
        cpu::seconds()
    };
    let start = moment();
    work();
    moment() - start
}

/// A row without anything beside it.
fn alone(what: &str, unit: &str, ours: f64, goal: Option<f64>) {
    let row = serde_json::json!({
        "what": what,
        "ours": format!("{} {unit}", figure(ours)),
        "goal": goal.map_or("-".to_owned(), |goal| format!("<= {goal} {unit}")),
        "reached": goal.map(|goal| ours <= goal),
    });
    println!("{row}");
}

fn resolution(n: u64, founder: &Person) {
    let mut dag = Dag::new(founder.id());
    let inserted = |event: &Event| matches!(dag.insert_stored(event), Insert::New(_));
    assert!(founder.room.control_events().all(inserted));
    let view = dag.everything();
    let times = if n < 1_000 { 100 } else { 1 };
    let scratch = median((0..ROUNDS).map(|_| cpu_of(|| (0..times).for_each(|_| drop(resolve(&dag, &view))))));
    let goal = match n {
        1_000 => Some(20.0),
        10_000 => Some(200.0),
        _ => None,
    };
    alone(&format!("resolution from scratch, {n} members"), "ms", scratch / f64::from(times) * 1e3, goal);
    let grow = || {
        let mut kept = Resolved::default();
        (0..dag.len()).for_each(|at| drop(kept.advance(&dag, at)));
        assert_eq!(kept.members().len() as u64, n);
    };
    let stepwise = median((0..ROUNDS).map(|_| cpu_of(|| (0..times).for_each(|_| grow()))));
    let each = stepwise / f64::from(times) / dag.len() as f64;
    alone(&format!("resolution, one more event, {n} members"), "us", each * 1e6, None);
}

/// What somebody has who is sent the dearest message: one at the last place of its epoch, whose chain he does not have, and one
/// written in a view that he never had.
fn dearest(n: u64, mut founder: Person, last: &mut Person) -> Person {
    let far = || {
        let mut slice = SliceSecret::from_secret(0, Secret::new([7; 32])).unwrap();
        slice.advance_to(MAX_SLICE).unwrap();
        let mut chain = slice.sender(&[7; 32]);
        chain.advance_to(MAX_GEN).unwrap();
    };
    let last_place = median((0..ROUNDS).map(|_| cpu_of(far)));
    alone("dearest: the key of the last message of the last slice", "ms", last_place * 1e3, Some(60.0));
    let said = founder.write("apart").message.event;
    let name = vec![(Setting::Name, b"another".to_vec())];
    let named: Vec<Event> = founder.room.set_state(name, START).unwrap().events().cloned().collect();
    last.receive(named);
    let view = cpu_of(|| assert_eq!(last.receive(vec![said]).len(), 1));
    alone(&format!("dearest: a message in a view that nobody had, {n} members"), "ms", view * 1e3, None);
    founder
}

/// What one removal cost.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Processor seconds of who removes,
    rotator: f64,
    /// and of a member.
    member: f64,
    /// Bytes that who removes sends at least once,
    up: f64,
    /// and that a member receives.
    down: f64,
}

impl Cost {
    fn median(rounds: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(rounds.iter().map(field));
        Self { rotator: of(|c| c.rotator), member: of(|c| c.member), up: of(|c| c.up), down: of(|c| c.down) }
    }
}

fn removal(n: u64, founder: &Person, last: &Person, with: Beside) {
    let (mut ours, mut cold, mut warm, mut megolm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut mls_cold = (with > Beside::Nothing).then(|| MlsPair::cold(n));
    let mut mls_warm = (with == Beside::All && n < WARM_BELOW).then(|| MlsPair::warm(n));
    let mut olm = (with > Beside::Nothing).then(|| Senders::new(n));
    for round in 0..=ROUNDS {
        let costs = [
            remove(founder, last, round as u64),
            mls_cold.as_mut().map_or(Cost::default(), mls_removal),
            mls_warm.as_mut().map_or(Cost::default(), mls_removal),
            olm.as_mut().map_or(Cost::default(), rekey),
        ];
        // The first round does not count.
        if round > 0 {
            let all = [&mut ours, &mut cold, &mut warm, &mut megolm];
            all.into_iter().zip(costs).for_each(|(rounds, cost)| rounds.push(cost));
        }
    }
    let ours = Cost::median(&ours);
    let theirs = [
        ("OpenMLS, cold tree", &cold, mls_cold.is_some()),
        ("OpenMLS, warm tree", &warm, mls_warm.is_some()),
        ("Megolm, a new key", &megolm, olm.is_some()),
    ];
    let beside: Vec<(&str, Cost)> =
        theirs.into_iter().filter(|it| it.2).map(|(name, rounds, _)| (name, Cost::median(rounds))).collect();
    let tenth = |name: &str| if n == 1_000 && name.contains("warm") { Goal::AtMost(0.1) } else { Goal::None };
    let row = |what: &str, name: &str, unit: &str, (a, b): (f64, f64), goal: Goal| {
        let what = format!("removal, {n} members: {what}");
        Row { what: &what, beside: name, unit, pair: Pair { ours: a, theirs: b, ratio: a / b }, goal }.print();
    };
    let what = |what: &str| format!("removal, {n} members: {what}");
    alone(&what("who removes, for each device"), "us", ours.rotator / n as f64 * 1e6, Some(130.0));
    if beside.is_empty() {
        alone(&what("who removes"), "ms", ours.rotator * 1e3, None);
        alone(&what("a member"), "us", ours.member * 1e6, None);
        alone(&what("sent by who removes"), "B", ours.up, None);
        alone(&what("received by a member"), "B", ours.down, None);
    }
    for (name, theirs) in &beside {
        row("who removes", name, "ms", (ours.rotator * 1e3, theirs.rotator * 1e3), Goal::None);
    }
    for (name, theirs) in &beside {
        row("a member", name, "us", (ours.member * 1e6, theirs.member * 1e6), tenth(name));
    }
    for (name, theirs) in &beside {
        row("sent by who removes", name, "B", (ours.up, theirs.up), Goal::None);
    }
    for (name, theirs) in &beside {
        row("received by a member", name, "B", (ours.down, theirs.down), tenth(name));
    }
}

/// The founder puts out somebody in the middle, `last` takes it in.
fn remove(founder: &Person, last: &Person, round: u64) -> Cost {
    let (mut room, mut member) = (founder.fresh(), last.fresh());
    let accounts: Vec<_> = room.members().iter().map(|member| member.account).collect();
    let keep = [founder.room.me().account(), last.room.me().account()];
    let others: Vec<_> = accounts.into_iter().filter(|account| !keep.contains(account)).collect();
    let target = Target::Account(others[round as usize % others.len()]);
    let removal = Removal { target, ban: true, cascade: false, purge: false };
    let mut rng = StdRng::seed_from_u64(round);
    let now_ms = START + 60_000;
    let mut made = Outcome::default();
    let rotator = cpu_of(|| made = room.remove(&[removal], now_ms, &mut rng).unwrap());
    assert!(room.epoch_status().epoch.is_some(), "the new key is there");
    let events: Vec<Event> = made.events().cloned().collect();
    let of_events: usize = events.iter().map(|event| event.bytes().len()).sum();
    let of_pages: usize = made.persist.pages.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut fetched = 0;
    let taking = cpu_of(|| {
        let taken = member.receive(events, now_ms);
        assert!(taken.rejected.is_empty());
        loop {
            let wanted = member.pages_wanted();
            if wanted.is_empty() {
                break;
            }
            for hash in wanted {
                let (_, page) = made.persist.pages.iter().find(|(name, _)| *name == hash).unwrap();
                fetched += page.len();
                let _ = member.accept_page(page.clone());
            }
        }
    });
    assert_eq!(member.epoch_status().epoch, room.epoch_status().epoch, "both write under the new key");
    Cost { rotator, member: taking, up: (of_events + of_pages) as f64, down: (of_events + fetched) as f64 }
}

fn mls_removal(pair: &mut MlsPair) -> Cost {
    let mut commit = Vec::new();
    let rotator = cpu_of(|| commit = pair.remove_one());
    let member = cpu_of(|| pair.take(&commit));
    Cost { rotator, member, up: commit.len() as f64, down: commit.len() as f64 }
}

fn rekey(olm: &mut Senders) -> Cost {
    let mut sent = Vec::new();
    let rotator = cpu_of(|| sent = olm.new_key());
    let first = sent.first().map_or(0, Vec::len);
    let member = cpu_of(|| olm.take(&sent[0]));
    Cost { rotator, member, up: sent.iter().map(Vec::len).sum::<usize>() as f64, down: first as f64 }
}

/// A message sealed by the founder and opened by the last who came, and the same with OpenMLS.
fn messages(n: u64, mut founder: Person, mut last: Person) {
    let text = parlor_benches::people::text(1);
    let mut mls = MlsPair::cold(n);
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let mut bytes: Vec<Blob> = Vec::new();
        let sealed = cpu_of(|| {
            bytes = (0..MESSAGES).map(|_| Blob(founder.write(&text).message.event.bytes().to_vec())).collect();
        });
        let room = founder.id();
        let opened = cpu_of(|| {
            for bytes in &bytes {
                let taken = last.receive(vec![Event::decode(&room, &bytes.0).unwrap()]);
                assert!(taken.iter().all(|message| message.body.is_some()));
            }
        });
        let mut theirs = Vec::new();
        let mls_sealed = cpu_of(|| theirs = (0..MESSAGES).map(|_| mls.seal(text.as_bytes())).collect());
        let mls_opened = cpu_of(|| theirs.iter().for_each(|message| mls.take(message)));
        let each = |seconds: f64| seconds / MESSAGES as f64 * 1e6;
        rounds.push((each(sealed + opened), each(mls_sealed + mls_opened)));
    }
    let goal = if n == 1_000 { Goal::AtMost(0.1) } else { Goal::None };
    let what = format!("a message sealed and opened, {n} members");
    Row { what: &what, beside: "OpenMLS", unit: "us", pair: Pair::of(&rounds[1..]), goal }.print();
}
