//! Measures the index of the search alone: `search_bench [MESSAGES [fading]]`. What it is compared with lives in `tests/benches`.
//!
//! Prints what its bytes are, how long it takes to build, and how long queries of each kind take.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measuring program: it prints, and fails by panicking")]

use std::time::Instant;

use parlor_crypto::vault::Vault;
use parlor_proto::AccountId;
use parlor_storage::Position;
use parlor_storage::search::{Ask, Entry, Key, Progress, Query, SearchIndex, Shelf};

const VOCABULARY: u64 = 50_000;
const QUERIES: usize = 200;
const BATCH: usize = 4_096;

/// How often a query is asked.
const ROUNDS: usize = 5;

/// Messages that disappear one after the other.
const FADING: u64 = 20;

/// Numbers that look like chance, the same in each run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A word's rank, small ones far more often.
    fn rank(&mut self) -> u64 {
        let share = (self.next() % 1_000_000) as f64 / 1_000_000.0;
        ((VOCABULARY as f64).powf(share) as u64).min(VOCABULARY - 1)
    }
}

/// The texts of `tests/benches`.
fn word(rank: u64) -> String {
    let mut dice = Dice(rank.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let syllables = 1 + dice.next() % 3 + u64::from(rank > 100);
    let syllable = |dice: &mut Dice| {
        let (c, v) = (dice.next() as usize % 20, dice.next() as usize % 5);
        [b"bcdfghjklmnprstvwxyz"[c], b"aeiou"[v]]
    };
    let mut text: Vec<u8> = (0..syllables).flat_map(|_| syllable(&mut dice)).collect();
    if rank > 2_000 {
        text.push(b'a' + (rank % 26) as u8);
    }
    String::from_utf8(text).unwrap()
}

fn text(number: u64) -> String {
    let mut dice = Dice(number.wrapping_mul(0xD134_2543_DE82_EF95) | 1);
    let words = 4 + dice.next() % 20;
    (0..words).map(|_| word(dice.rank())).collect::<Vec<_>>().join(" ")
}

/// Clocks go by fits and starts, ties are hashes, and each author counts for himself.
fn key(number: u64) -> Key {
    let mut dice = Dice(number | 1);
    let (room, author) = (1 + (number % 10) as u32, (number % 200) as u32);
    let ms = 1_700_000_000_000 + number * 977 + dice.next() % 900;
    let mut place = [0; 20];
    place[..8].copy_from_slice(&(ms << 16 | u64::from(dice.next().is_multiple_of(10))).to_be_bytes());
    place[8..12].copy_from_slice(&author.wrapping_mul(0x9E37_79B9).to_be_bytes());
    place[12..16].copy_from_slice(&author.to_be_bytes());
    place[16..].copy_from_slice(&((number / 200) as u32).to_be_bytes());
    Key { position: Position::from_stored(place), room }
}

fn entry(number: u64, shelf: Shelf) -> Entry {
    let author = AccountId([(number % 200) as u8; 32]);
    Entry { key: key(number), author, file: false, shelf, parts: vec![text(number)] }
}

/// A kind of query, and some of it.
fn queries(count: u64) -> Vec<(&'static str, Vec<String>)> {
    let mut dice = Dice(7);
    let mut some = |make: &mut dyn FnMut(&mut Dice) -> String| (0..QUERIES).map(|_| make(&mut dice)).collect();
    let begin = |dice: &mut Dice, n: usize| word(dice.rank()).chars().take(n).collect::<String>();
    let phrase = |dice: &mut Dice| {
        let text = text(dice.next() % count);
        let words: Vec<_> = text.split(' ').collect();
        let at = dice.next() as usize % (words.len() - 1);
        format!("\"{} {}\"", words[at], words[at + 1])
    };
    vec![
        ("rare word", some(&mut |dice| word(10_000 + dice.next() % 40_000) + " ")),
        ("common word", some(&mut |dice| word(dice.next() % 50) + " ")),
        ("two words", some(&mut |dice| format!("{} {} ", word(dice.rank()), word(dice.rank())))),
        ("phrase", some(&mut |dice| phrase(dice))),
        ("one letter", some(&mut |dice| begin(dice, 1))),
        ("two letters", some(&mut |dice| begin(dice, 2))),
        ("three letters", some(&mut |dice| begin(dice, 3))),
        ("a word and a letter", some(&mut |dice| format!("{} {}", word(dice.rank()), begin(dice, 1)))),
        ("from one account", some(&mut |_| String::new())),
    ]
}

fn ask(kind: &str, words: &str) -> Ask {
    let from = (kind == "from one account").then_some(AccountId([7; 32]));
    Ask { query: Query::parse(words).unwrap(), limit: 20, from, ..Ask::default() }
}

/// One message after the other disappears: how long it takes until its words are in no file.
fn fade(index: &SearchIndex, count: u64) {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for number in 0..FADING.min(count) {
        index.apply(&[key(number)], &[]).unwrap();
        index.commit(Progress::new(1)).unwrap();
        let begun = Instant::now();
        bytes += index.purge(Shelf::Fading).unwrap();
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        assert!(!index.holds_gone(Shelf::Fading).unwrap());
    }
    times.sort_by(f64::total_cmp);
    println!("{:<20} p50 {:7.3} ms   most {:7.3} ms", "one disappears", times[times.len() / 2], times[times.len() - 1]);
    println!("written for each  {:>10}", bytes / FADING.min(count));
}

fn main() {
    let count = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let shelf = if std::env::args().any(|arg| arg == "fading") { Shelf::Fading } else { Shelf::Lasting };
    let dir = tempfile::tempdir().unwrap();
    let index = SearchIndex::open(dir.path(), &Vault::generate(&mut rand::rng())).unwrap();
    let begun = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let entries: Vec<_> = (first..count.min(first + BATCH as u64)).map(|number| entry(number, shelf)).collect();
        index.apply(&[], &entries).unwrap();
        index.commit(Progress::new(1)).unwrap();
    }
    println!("build             {:8.0} messages/s", count as f64 / begun.elapsed().as_secs_f64());
    let of_text: u64 = (0..count).map(|number| text(number).len() as u64).sum();
    println!("text              {of_text:>10}");
    println!(
        "index             {:>10} {:.3}",
        index.disk_bytes().unwrap(),
        index.disk_bytes().unwrap() as f64 / of_text as f64
    );
    for (kind, bytes) in index.usage().unwrap() {
        println!("  {kind:<16}{bytes:>10} {:.4}", bytes as f64 / of_text as f64);
    }
    for (kind, words) in queries(count) {
        let find = |words: &String| index.candidates(&ask(kind, words)).unwrap().len();
        let time = |words: &String| {
            let once = || {
                let begun = Instant::now();
                std::hint::black_box(find(words));
                begun.elapsed().as_secs_f64() * 1e3
            };
            // The best of some: what else the machine does is not of interest.
            (0..ROUNDS).map(|_| once()).fold(f64::INFINITY, f64::min)
        };
        let mut times: Vec<f64> = words.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        println!("{kind:<20} p50 {:7.3} ms   p99 {:7.3} ms", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
    if shelf == Shelf::Fading {
        fade(&index, count);
    }
}
