//! Search as one types over a million messages, sealed, beside the same index of plain tantivy in memory and SQLite FTS5.
//!
//! Texts have words of a vocabulary of 50,000, as often as words are (Zipf). A query is what somebody has typed so far of one or two
//! words of some message; all answer the 20 newest. Ours is what the node asks its index; that the candidates are looked at in their
//! rooms comes on top and is the same for any index. Then a tenth as many messages that disappear: one after the other goes, and how
//! long it takes until its words are in no file.
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use parlor_benches::{Goal, Pair, Row, seconds, size};
use parlor_crypto::vault::Vault;
use parlor_proto::AccountId;
use parlor_storage::Position;
use parlor_storage::search::{Ask, Entry, Key, Progress, Query, SearchIndex, Shelf};
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, Occur, PhrasePrefixQuery, Query as TantivyQuery, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, IndexReader, Order, Term, doc};

const VOCABULARY: u64 = 50_000;
const QUERIES: usize = 400;
const NEWEST: usize = 20;
/// Messages that disappear one after the other.
const FADING: u64 = 20;
/// Messages of a commit while the index is filled.
const BATCH: usize = 4_096;

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

/// What was typed so far, with the words that are whole and the beginning of the last.
fn typed(count: u64) -> Vec<(Vec<String>, String)> {
    let mut dice = Dice(7);
    let mut queries = Vec::new();
    while queries.len() < QUERIES {
        let text = text(dice.next() % count);
        let words: Vec<&str> = text.split(' ').collect();
        let at = dice.next() as usize % (words.len() - 1);
        let (whole, last) = if dice.next().is_multiple_of(2) {
            (vec![], words[at])
        } else {
            (vec![words[at].to_owned()], words[at + 1])
        };
        queries.extend((1..=last.len()).map(|n| (whole.clone(), last[..n].to_owned())));
    }
    queries
}

fn ours(index: &SearchIndex, (whole, last): &(Vec<String>, String)) -> usize {
    let query = Query::parse(&[whole.clone(), vec![last.clone()]].concat().join(" ")).unwrap();
    index.candidates(&Ask { query, limit: NEWEST, ..Ask::default() }).unwrap().len()
}

/// Clocks go by fits and starts, ties are hashes, and each author counts for himself: even ones would cost no columns.
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

fn fill(index: &SearchIndex, count: u64, shelf: Shelf) {
    let numbers: Vec<u64> = (0..count).collect();
    for numbers in numbers.chunks(BATCH) {
        let entry = |number: &u64| {
            let author = AccountId([(number % 200) as u8; 32]);
            Entry { key: key(*number), author, file: false, shelf, parts: vec![text(*number)] }
        };
        index.apply(&[], &numbers.iter().map(entry).collect::<Vec<_>>()).unwrap();
        index.commit(Progress::new(1)).unwrap();
    }
}

/// Milliseconds and bytes that each of some messages costs that disappear one after the other.
fn fade(index: &SearchIndex, count: u64) -> (f64, f64) {
    let (mut times, mut bytes) = (Vec::new(), 0);
    for number in 0..FADING.min(count) {
        index.apply(&[key(number)], &[]).unwrap();
        index.commit(Progress::new(1)).unwrap();
        times.push(1e3 * seconds(|| bytes += index.purge(Shelf::Fading).unwrap()));
        assert!(!index.holds_gone(Shelf::Fading).unwrap());
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], bytes as f64 / times.len() as f64)
}

struct Plain {
    words: Field,
    reader: IndexReader,
}

impl Plain {
    fn new(count: u64) -> Self {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default().set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let words = schema.add_text_field("words", TextOptions::default().set_indexing_options(indexing));
        let order = schema.add_u64_field("order", FAST);
        let index = Index::create_in_ram(schema.build());
        let mut writer = index.writer_with_num_threads(1, 15_000_000).unwrap();
        for number in 0..count {
            writer.add_document(doc!(words => text(number), order => number)).unwrap();
        }
        writer.commit().unwrap();
        writer.wait_merging_threads().unwrap();
        Self { words, reader: index.reader().unwrap() }
    }

    fn find(&self, (whole, last): &(Vec<String>, String)) -> usize {
        let term = |word: &str| Term::from_field_text(self.words, word);
        let mut begins = PhrasePrefixQuery::new(vec![term(last)]);
        begins.set_max_expansions(65_536);
        let mut all: Vec<(Occur, Box<dyn TantivyQuery>)> = vec![(Occur::Must, Box::new(begins))];
        for word in whole {
            all.push((Occur::Must, Box::new(TermQuery::new(term(word), IndexRecordOption::WithFreqs))));
        }
        let newest = TopDocs::with_limit(NEWEST).order_by_fast_field::<u64>("order", Order::Desc);
        self.reader.searcher().search(&BooleanQuery::new(all), &newest).unwrap().len()
    }
}

fn sqlite(path: &std::path::Path, count: u64) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.execute_batch("CREATE VIRTUAL TABLE m USING fts5(words, content='', prefix='1 2'); BEGIN;").unwrap();
    let mut insert = connection.prepare("INSERT INTO m(rowid, words) VALUES (?1, ?2)").unwrap();
    for number in 0..count {
        insert.execute((number as i64, text(number))).unwrap();
    }
    drop(insert);
    connection.execute_batch("COMMIT; INSERT INTO m(m) VALUES('optimize');").unwrap();
    connection
}

fn in_sqlite(connection: &rusqlite::Connection, (whole, last): &(Vec<String>, String)) -> usize {
    let query = whole.iter().map(|word| format!("\"{word}\" ")).collect::<String>() + &format!("\"{last}\" *");
    let mut select =
        connection.prepare_cached("SELECT rowid FROM m WHERE m MATCH ?1 ORDER BY rowid DESC LIMIT 20").unwrap();
    select.query_map([query], |row| row.get::<_, i64>(0)).unwrap().count()
}

/// Median and 99th percentile in milliseconds.
type Times = (f64, f64);

fn times<Q>(queries: &[Q], find: impl Fn(&Q) -> usize) -> (f64, f64) {
    let find = |query: &Q| {
        std::hint::black_box(find(query));
    };
    queries.iter().for_each(find);
    let mut all: Vec<f64> = queries.iter().map(|query| 1e3 * seconds(|| find(query))).collect();
    all.sort_by(f64::total_cmp);
    (all[all.len() / 2], all[all.len() * 99 / 100])
}

fn main() {
    let count = size(1_000_000);
    let dir = tempfile::tempdir().unwrap();
    let index = SearchIndex::open(&dir.path().join("search"), &Vault::generate(&mut rand::rng())).unwrap();
    let filled = seconds(|| fill(&index, count, Shelf::Lasting));
    let bytes = index.disk_bytes().unwrap() as f64;
    let of_text: f64 = (0..count).map(|number| text(number).len() as f64).sum();
    let queries = typed(count);
    let plain = Plain::new(count);
    let lite = sqlite(&dir.path().join("fts"), count);
    for query in queries.iter().step_by(37) {
        assert_eq!((ours(&index, query), in_sqlite(&lite, query)), (plain.find(query), plain.find(query)), "{query:?}");
    }
    let rounds = |theirs: &dyn Fn() -> (f64, f64)| -> Vec<(Times, Times)> {
        (0..3).map(|_| (times(&queries, |query| ours(&index, query)), theirs())).collect()
    };
    let tell = |beside: &str, rounds: &[(Times, Times)], p50: Goal, p99: Goal| {
        let of = |pick: fn(&(f64, f64)) -> f64| rounds.iter().map(|(a, b)| (pick(a), pick(b))).collect::<Vec<_>>();
        Row { what: "search as typed, p50", beside, unit: "ms", pair: Pair::of(&of(|it| it.0)), goal: p50 }.print();
        Row { what: "search as typed, p99", beside, unit: "ms", pair: Pair::of(&of(|it| it.1)), goal: p99 }.print();
    };
    let beside = rounds(&|| times(&queries, |query| plain.find(query)));
    tell("tantivy, plain, in memory", &beside, Goal::AtMost(1.3), Goal::UpTo(10.0));
    let beside = rounds(&|| times(&queries, |query| in_sqlite(&lite, query)));
    tell("SQLite FTS5", &beside, Goal::None, Goal::None);
    let share = Pair { ours: bytes, theirs: of_text, ratio: bytes / of_text };
    Row { what: "index", beside: "the text", unit: "bytes", pair: share, goal: Goal::AtMost(0.7) }.print();
    for (kind, bytes) in index.usage().unwrap() {
        let share = Pair { ours: bytes as f64, theirs: of_text, ratio: bytes as f64 / of_text };
        Row { what: &format!("of that {kind}"), beside: "the text", unit: "bytes", pair: share, goal: Goal::None }
            .print();
    }
    let rate = Pair { ours: count as f64 / filled, theirs: f64::NAN, ratio: f64::NAN };
    Row { what: "building", beside: "-", unit: "messages/s", pair: rate, goal: Goal::None }.print();
    let fading = SearchIndex::open(&dir.path().join("fading"), &Vault::generate(&mut rand::rng())).unwrap();
    fill(&fading, count / 10, Shelf::Fading);
    let (ms, bytes) = fade(&fading, count / 10);
    for (what, unit, ours) in [("one disappears", "ms", ms), ("written anew for it", "bytes", bytes)] {
        let pair = Pair { ours, theirs: f64::NAN, ratio: f64::NAN };
        Row { what, beside: "-", unit, pair, goal: Goal::None }.print();
    }
}
