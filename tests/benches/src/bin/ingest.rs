//! Taking in events of ten authors: decode, verify, rules, open, commit; beside checking the signatures and nothing else.
//!
//! Live events come one by one, each with its own signature check and commit. Catching up, they come in batches as sync
//! delivers them (128 KiB, merged by clock), where one check vouches for a run of a log. Both are counted in processor
//! time of all threads, the store's writer included, and in time on the clock.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::collections::HashMap;
use std::time::Instant;

use ed25519_dalek::{Signature, VerifyingKey};
use parlor_benches::people::{Person, START, conversation, room_of};
use parlor_benches::{Goal, Pair, ROUNDS, Row, cpu, keeping, size};
use parlor_proto::event::Event;
use parlor_proto::room::Room;
use parlor_storage::Store;

const AUTHORS: u64 = 10;
const BATCH_BYTES: usize = 128 * 1024;
/// Commits under way while live events come, and batches while catching up (sync's window).
const LIVE: usize = 64;
const WINDOW: usize = 8;

/// Events a second: by processor time, and by the clock.
#[derive(Clone, Copy)]
struct Rate {
    cpu: f64,
    clock: f64,
}

fn measure(count: usize, work: impl FnOnce()) -> Rate {
    let start = Instant::now();
    let cpu = cpu::of(work);
    Rate { cpu: count as f64 / cpu, clock: count as f64 / start.elapsed().as_secs_f64() }
}

/// Decodes, verifies, judges, opens and commits; `batch` events at a time.
fn take(room: &mut Room, store: &Store, batches: &[Vec<Vec<u8>>], most: usize) {
    let id = room.id();
    let mut pipeline = keeping::Pipeline::default();
    for batch in batches {
        let events: Vec<Event> = batch.iter().map(|bytes| Event::decode(&id, bytes).unwrap()).collect();
        let received = room.receive(events, START + 1_000_000_000);
        assert!(received.rejected.is_empty() && received.waiting.is_empty());
        assert_eq!(received.outcome.accepted.len(), batch.len());
        let commit = keeping::batch(id, &received.outcome.accepted, received.outcome.persist);
        pipeline.commit(store, commit, most);
    }
    pipeline.finish();
}

fn ingest(reader: &Person, batches: &[Vec<Vec<u8>>], most: usize) -> Rate {
    let dir = tempfile::tempdir().unwrap();
    let store = keeping::begin(dir.path(), reader);
    let mut room = reader.fresh();
    let count: usize = batches.iter().map(Vec::len).sum();
    let rate = measure(count, || take(&mut room, &store, batches, most));
    assert_eq!(store.count(&reader.id()).unwrap(), count as u64);
    store.close();
    rate
}

/// The batches in which sync delivers the events.
fn batches(events: &[Event]) -> Vec<Vec<Vec<u8>>> {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|event| event.message().unwrap().hlc);
    let mut batches: Vec<Vec<Vec<u8>>> = vec![Vec::new()];
    let mut bytes = 0;
    for event in sorted {
        bytes += event.bytes().len();
        if bytes > BATCH_BYTES {
            bytes = event.bytes().len();
            batches.push(Vec::new());
        }
        batches.last_mut().unwrap().push(event.bytes().to_vec());
    }
    batches
}

/// What a signature is over, ready-made.
struct Signed {
    key: VerifyingKey,
    message: Vec<u8>,
    signature: Signature,
}

fn signed(events: &[Event], room: &[u8; 32]) -> Vec<Signed> {
    let mut keys = HashMap::new();
    let signed = events.iter().map(|event| {
        let device = event.device();
        let key = *keys.entry(device).or_insert_with(|| VerifyingKey::from_bytes(&device.0).unwrap());
        let message = [b"parlor/1 event\0".as_slice(), room, event.header_bytes()].concat();
        Signed { key, message, signature: Signature::from_bytes(&event.signature().0) }
    });
    signed.collect()
}

fn main() {
    let count = size(100_000);
    let mut people = room_of(AUTHORS + 1);
    let reader = people.pop().unwrap();
    let events = conversation(&mut people, count);
    let (fewer, bytes) = (events.len() / 2, events.iter().map(|event| event.bytes().len()).sum::<usize>());
    eprintln!("{} events of {} bytes", events.len(), bytes / events.len());
    let alone: Vec<Vec<Vec<u8>>> = events[..fewer].iter().map(|event| vec![event.bytes().to_vec()]).collect();
    let together = batches(&events);
    let signed = signed(&events[..fewer], reader.id().as_bytes());
    let mut rounds: [Vec<(f64, f64)>; 4] = Default::default();
    for round in 0..=ROUNDS {
        let limit = measure(signed.len(), || {
            signed.iter().for_each(|s| s.key.verify_strict(&s.message, &s.signature).unwrap());
        });
        let (live, caught_up) = (ingest(&reader, &alone, LIVE), ingest(&reader, &together, WINDOW));
        eprintln!("round {round}: {:.0} {:.0} {:.0}/s of processor time", limit.cpu, live.cpu, caught_up.cpu);
        if round > 0 {
            let pairs = [
                (live.cpu, limit.cpu),
                (live.clock, limit.clock),
                (caught_up.cpu, limit.cpu),
                (caught_up.clock, limit.clock),
            ];
            rounds.iter_mut().zip(pairs).for_each(|(rounds, pair)| rounds.push(pair));
        }
    }
    let rows = [
        ("live events, a second of processor time", Goal::AtLeast(0.6)),
        ("live events, a second on the clock", Goal::None),
        ("catching up, a second of processor time", Goal::AtLeast(3.0)),
        ("catching up, a second on the clock", Goal::None),
    ];
    for ((what, goal), rounds) in rows.into_iter().zip(&rounds) {
        Row { what, beside: "verify_strict alone", unit: "/s", pair: Pair::of(rounds), goal }.print();
    }
}
