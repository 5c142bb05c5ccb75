//! The index against a scan of all texts, over random changes, with restarts and damage between.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use parlor_crypto::vault::Vault;
use parlor_proto::ids::AccountId;
use proptest::prelude::*;

use super::sealed::Sealed;
use super::{Ask, Entry, Key, Mark, Progress, Query, SearchIndex, Shelf};
use crate::timeline::Position;

fn key(number: u32) -> Key {
    let position = Position { order: u64::from(number / 2) << 16, tie: 7, author: number % 2, seq: number + 1 };
    Key { position, room: 1 + number % 3 }
}

fn account(number: u32) -> AccountId {
    AccountId([number as u8 % 2; 32])
}

fn entry(number: u32, text: &str) -> Entry {
    let shelf = if number % 4 == 1 { Shelf::Fading } else { Shelf::Lasting };
    let (file, parts) = (number.is_multiple_of(5), vec![text.to_owned()]);
    Entry { key: key(number), author: account(number), file, shelf, parts }
}

fn vault() -> Vault {
    Vault::generate(&mut rand::rng())
}

fn ask(query: &str) -> Ask {
    Ask { query: Query::parse(query).unwrap(), limit: 500, ..Ask::default() }
}

/// The keys of what fits, newest first: candidates that their texts bear out.
fn found(index: &SearchIndex, ask: &Ask, texts: &BTreeMap<u32, String>) -> Vec<Key> {
    let of_key: BTreeMap<Key, &String> = texts.iter().map(|(number, text)| (key(*number), text)).collect();
    let candidates = index.candidates(ask).unwrap();
    let fits = |key: &Key| of_key.get(key).is_some_and(|text| ask.query.find(&[text]).is_some());
    candidates.into_iter().map(|candidate| candidate.key).filter(fits).collect()
}

fn scan(ask: &Ask, texts: &BTreeMap<u32, String>) -> Vec<Key> {
    let fits = |number: &u32, text: &String| {
        ask.query.find(&[text]).is_some()
            && ask.room.is_none_or(|room| key(*number).room == room)
            && ask.from.is_none_or(|from| account(*number) == from)
            && (!ask.file || number.is_multiple_of(5))
            && key(*number).position.order >= ask.since
            && ask.until.is_none_or(|until| key(*number).position.order < until)
    };
    let mut keys: Vec<_> = texts.iter().filter(|(number, text)| fits(number, text)).map(|(n, _)| key(*n)).collect();
    keys.sort_unstable();
    keys.reverse();
    keys
}

/// The files in which a word is, also of messages that were taken out.
fn files_with(index: &SearchIndex, word: &str) -> BTreeSet<(Shelf, PathBuf)> {
    let term = tantivy::Term::from_field_text(index.inner().fields.words, word);
    let mut files = BTreeSet::new();
    for shelf in Shelf::ALL {
        let searcher = index.inner().held(shelf).reader.searcher();
        for segment in searcher.segment_readers() {
            let words = segment.inverted_index(index.inner().fields.words).unwrap();
            if words.terms().get(term.serialized_value_bytes()).unwrap().is_some() {
                let of_segment = ["idx", "pos", "term", "fast", "fieldnorm", "store"];
                let id = segment.segment_id().uuid_string();
                files.extend(of_segment.map(|extension| (shelf, PathBuf::from(format!("{id}.{extension}")))));
            }
        }
    }
    files
}

fn holds_word(index: &SearchIndex, word: &str) -> bool {
    !files_with(index, word).is_empty()
}

fn purge(index: &SearchIndex) {
    for shelf in Shelf::ALL {
        // A merge of tantivy's own may be under way.
        while index.holds_gone(shelf).unwrap() {
            index.purge(shelf).unwrap();
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u32, String),
    Remove(u32),
    Commit,
    Purge,
    Restart,
    Ask(String, Option<u32>, bool),
}

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "hello",
        "help",
        "Héllo",
        "world",
        "worldly",
        "don't",
        "日本語",
        "日",
        "本",
        "한국어",
        "a",
        "ab",
        "abc",
        "Straße",
        "strasse",
        "42",
        "🎉",
        "x-y.z",
        "i",
        "ÀB",
    ]);
    prop::collection::vec(word, 0..8).prop_map(|words| words.join(" "))
}

fn query() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "hello",
        "hel",
        "hel ",
        "w",
        "wo",
        "wor* he",
        "\"hello world\"",
        "\"world",
        "don't",
        "don'",
        "日",
        "日本",
        "本語",
        "国",
        "한국",
        "a",
        "ab ",
        "a* b*",
        "strasse",
        "4",
        "🎉",
        "x-y",
        "x-y.z ",
        "\"日本語 a\"",
        "i",
        "",
        "hello help",
    ]);
    plain.prop_map(str::to_owned)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40_u32, text()).prop_map(|(number, text)| Step::Put(number, text)),
        2 => (0..40_u32).prop_map(Step::Remove),
        2 => Just(Step::Commit),
        1 => Just(Step::Purge),
        1 => Just(Step::Restart),
        3 => (query(), prop::option::of(1..4_u32), any::<bool>()).prop_map(|(query, room, file)| Step::Ask(query, room, file)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_a_scan_finds_whatever_happened(steps in prop::collection::vec(step(), 1..40)) {
        let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
        let mut index = SearchIndex::open(dir.path(), &vault).unwrap();
        let (mut now, mut committed) = (BTreeMap::new(), BTreeMap::new());
        let mut group = 0;
        for step in steps {
            match step {
                Step::Put(number, text) => {
                    index.apply(&[key(number)], &[entry(number, &text)]).unwrap();
                    now.insert(number, text);
                }
                Step::Remove(number) => {
                    index.apply(&[key(number)], &[]).unwrap();
                    now.remove(&number);
                }
                Step::Commit | Step::Purge => {
                    group += 1;
                    index.commit(Progress::new(group)).unwrap();
                    committed = now.clone();
                    if matches!(step, Step::Purge) {
                        purge(&index);
                    }
                }
                Step::Restart => {
                    drop(index);
                    index = SearchIndex::open(dir.path(), &vault).unwrap();
                    prop_assert_eq!(index.progress().map_or(0, |progress| progress.group), group);
                    now = committed.clone();
                }
                Step::Ask(query, room, file) => {
                    let ask = Ask { room, file, ..ask(&query) };
                    prop_assert_eq!(found(&index, &ask, &committed), scan(&ask, &committed), "{}", query);
                }
            }
        }
    }
}

fn filled(dir: &Path, vault: &Vault, n: u32) -> (SearchIndex, BTreeMap<u32, String>) {
    let index = SearchIndex::open(dir, vault).unwrap();
    let texts: BTreeMap<u32, String> = (0..n).map(|number| (number, format!("message number {number}"))).collect();
    let entries: Vec<_> = texts.iter().map(|(number, text)| entry(*number, text)).collect();
    index.apply(&[], &entries).unwrap();
    index.commit(Progress::new(1)).unwrap();
    (index, texts)
}

#[test]
fn pages_go_from_the_newest_to_the_oldest_without_gap_or_repetition() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let (index, texts) = filled(dir.path(), &vault, 200);
    for query in ["message", "num", "", "\"message number\""] {
        for filter in [
            Ask::default(),
            Ask { since: key(50).position.order, until: Some(key(150).position.order), ..Ask::default() },
        ] {
            let all = Ask { query: Query::parse(query).unwrap(), limit: 500, ..filter };
            let (mut pages, mut after) = (Vec::new(), None);
            loop {
                let page = index.candidates(&Ask { limit: 7, after, ..all.clone() }).unwrap();
                let Some(last) = page.last() else { break };
                let text = Mark(last.key).to_string();
                after = Some(text.parse().unwrap());
                pages.extend(page.into_iter().map(|candidate| candidate.key));
            }
            assert_eq!(pages, scan(&all, &texts), "{query}");
        }
    }
    for odd in ["", "0", &"g".repeat(48), &"0".repeat(49), &"é".repeat(24), &"+".repeat(48)] {
        assert!(odd.parse::<Mark>().is_err());
    }
}

#[test]
fn what_occurs_often_is_found_newest_first_wherever_it_stands() {
    const COUNT: u32 = 9_973;
    let vault = vault();
    for step in [1, COUNT - 1, 7_919] {
        let dir = tempfile::tempdir().unwrap();
        let index = SearchIndex::open(dir.path(), &vault).unwrap();
        let texts: BTreeMap<u32, String> = (0..COUNT).map(|number| (number, "often".to_owned())).collect();
        let numbers = (0..COUNT).map(|at| at * step % COUNT);
        let entries: Vec<_> = numbers.map(|n| Entry { shelf: Shelf::Lasting, ..entry(n, "often") }).collect();
        index.apply(&[], &entries).unwrap();
        index.commit(Progress::new(1)).unwrap();
        let (some, least) = (key(4_000).position.order, key(9_000).position.order);
        for filter in [
            Ask::default(),
            Ask { until: Some(some), ..Ask::default() },
            Ask { after: Some(Mark(key(3_333))), ..Ask::default() },
            Ask { since: least, room: Some(2), ..Ask::default() },
        ] {
            let asked = Ask { limit: 20, query: Query::parse("often").unwrap(), ..filter.clone() };
            let mut wanted = scan(&asked, &texts);
            wanted.retain(|key| asked.after.is_none_or(|mark| *key < mark.0));
            wanted.truncate(20);
            assert_eq!(found(&index, &asked, &texts), wanted, "{step} {filter:?}");
        }
    }
}

#[test]
fn what_was_taken_out_is_found_no_more_and_leaves_the_files_when_they_are_rewritten() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let (index, _) = filled(dir.path(), &vault, 50);
    index.apply(&[], &[entry(60, "the canary sings")]).unwrap();
    index.commit(Progress::new(2)).unwrap();
    assert_eq!(index.candidates(&ask("canary")).unwrap().len(), 1);
    index.apply(&[key(60)], &[]).unwrap();
    index.commit(Progress::new(3)).unwrap();
    assert!(index.candidates(&ask("canary")).unwrap().is_empty());
    purge(&index);
    assert!(!holds_word(&index, "canary"), "the word is in no list of words any more");
    assert!(holds_word(&index, "number"));
    drop(index);
    let index = SearchIndex::open(dir.path(), &vault).unwrap();
    assert!(!holds_word(&index, "canary"));
    assert_eq!((index.count(), index.progress().unwrap().group), (50, 3));
}

/// A disk that forgets no name: every file that was ever seen in the folder, as it is now.
fn remember(dir: &Path, disk: &Path) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kept = disk.join(entry.file_name());
        if !kept.exists() {
            std::fs::hard_link(entry.path(), kept).unwrap();
        }
    }
}

#[test]
fn what_disappeared_is_in_no_file_that_opens_any_more() {
    let (dir, disk, vault) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), vault());
    let (index, _) = filled(dir.path(), &vault, 50);
    let mut held = BTreeSet::new();
    // 61 is to disappear, and so are 65 and others, later; between them segments are merged.
    for (at, number) in [61, 65, 69, 73, 77, 81, 85, 89, 93, 97].into_iter().enumerate() {
        let text = if number == 61 { "the canary sings" } else { "what comes later" };
        index.apply(&[], &[entry(number, text)]).unwrap();
        index.commit(Progress::new(2 + at as u64)).unwrap();
        held.extend(files_with(&index, "canary"));
        remember(dir.path(), disk.path());
    }
    assert!(!held.is_empty() && held.iter().all(|(shelf, _)| *shelf == Shelf::Fading));
    let thief = Sealed::open(disk.path(), &vault).unwrap();
    let opens = |(shelf, path): &(Shelf, PathBuf)| thief.of(*shelf).opens(path);
    assert!(held.iter().any(opens), "while it is there its files open");
    index.apply(&[key(61)], &[]).unwrap();
    index.commit(Progress::new(20)).unwrap();
    held.extend(files_with(&index, "canary"));
    remember(dir.path(), disk.path());
    assert!(index.candidates(&ask("canary")).unwrap().is_empty());
    assert!(index.holds_gone(Shelf::Fading).unwrap() && !index.holds_gone(Shelf::Lasting).unwrap());
    purge(&index);
    // A segment that was never finished goes too.
    let left = (Shelf::Fading, PathBuf::from("00000000000000000000000000000000.term"));
    index.inner().held(Shelf::Fading).leave_behind(&left.1);
    remember(dir.path(), disk.path());
    assert!(opens(&left) && held.insert(left) && index.holds_gone(Shelf::Fading).unwrap());
    index.purge(Shelf::Fading).unwrap();
    assert!(!index.holds_gone(Shelf::Fading).unwrap());
    assert_eq!(held.iter().filter(|file| opens(file)).collect::<Vec<_>>(), Vec::<&(Shelf, PathBuf)>::new());
    for index in [index, SearchIndex::open(dir.path(), &vault).unwrap()] {
        assert!(!holds_word(&index, "canary"), "nor is it in a file that was written since");
        assert_eq!(index.candidates(&ask("comes later")).unwrap().len(), 9);
        assert_eq!(index.count(), 59);
    }
}

#[test]
fn what_disappears_makes_nothing_be_written_anew_of_what_stays() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let index = SearchIndex::open(dir.path(), &vault).unwrap();
    let text = |number: u32| format!("message {number} of a long history {}", number * 7);
    let lasting = |number| Entry { shelf: Shelf::Lasting, ..entry(number, &text(number)) };
    let fading = entry(4_001, "is over soon");
    index.apply(&[], &(0..3_000).map(lasting).chain([fading]).collect::<Vec<_>>()).unwrap();
    index.commit(Progress::new(1)).unwrap();
    index.apply(&[key(4_001)], &[]).unwrap();
    index.commit(Progress::new(2)).unwrap();
    let written = index.purge(Shelf::Fading).unwrap();
    assert!(written < index.disk_bytes().unwrap() / 10, "{written}");
    assert_eq!((index.count(), index.holds_gone(Shelf::Fading).unwrap()), (3_000, false));
}

#[test]
fn an_index_of_before_is_thrown_away() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let (index, _) = filled(dir.path(), &vault, 10);
    index.commit(Progress::new(3).of_before()).unwrap();
    drop(index);
    let index = SearchIndex::open(dir.path(), &vault).unwrap();
    assert_eq!((index.count(), index.progress()), (0, None));
    drop(index);
    SearchIndex::wipe(dir.path()).unwrap();
    // One of other fields, on one shelf.
    let mut schema = tantivy::schema::Schema::builder();
    let words = schema.add_text_field("words", tantivy::schema::TEXT);
    let folder = Sealed::open(dir.path(), &vault).unwrap();
    let other = tantivy::Index::open_or_create(folder.of(Shelf::Lasting), schema.build()).unwrap();
    let mut writer: tantivy::IndexWriter = other.writer_with_num_threads(1, 15_000_000).unwrap();
    writer.add_document(tantivy::doc!(words => "canary")).unwrap();
    writer.commit().unwrap();
    drop((writer, other));
    let index = SearchIndex::open(dir.path(), &vault).unwrap();
    assert_eq!((index.count(), index.progress()), (0, None));
    assert!(!holds_word(&index, "canary"));
}

#[test]
fn what_ended_between_two_shelves_is_done_again_and_one_that_lost_something_is_noticed() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    for (shelf, kept) in [(Shelf::Fading, Some(1)), (Shelf::Lasting, None)] {
        SearchIndex::wipe(dir.path()).unwrap();
        let (index, _) = filled(dir.path(), &vault, 10);
        let later = super::index::encode(&Progress::new(2));
        index.inner().held(shelf).commit(&later).unwrap();
        drop(index);
        let index = SearchIndex::open(dir.path(), &vault).unwrap();
        assert_eq!(index.progress().map(|progress| progress.group), kept, "{shelf:?}");
        assert_eq!(index.count(), if kept.is_some() { 10 } else { 0 });
    }
}

#[test]
fn a_room_is_forgotten_as_a_whole() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let (index, _) = filled(dir.path(), &vault, 30);
    index.forget_room(2);
    index.commit(Progress::new(2)).unwrap();
    assert_eq!(index.count(), 20);
    assert!(index.candidates(&Ask { room: Some(2), ..ask("") }).unwrap().is_empty());
}

#[test]
fn scores_tell_who_says_it_more() {
    let (dir, vault) = (tempfile::tempdir().unwrap(), vault());
    let index = SearchIndex::open(dir.path(), &vault).unwrap();
    let long = format!("tea {}", "filler ".repeat(50));
    index.apply(&[], &[entry(1, "tea tea tea"), entry(2, &long), entry(3, "coffee")]).unwrap();
    index.commit(Progress::new(1)).unwrap();
    let found = index.candidates(&ask("tea ")).unwrap();
    let score = |number: u32| found.iter().find(|it| it.key == key(number)).map(|it| it.score);
    assert!(score(1).unwrap() > score(2).unwrap() && score(2).unwrap() > 0.0);
    assert_eq!(score(3), None);
}

#[test]
fn files_that_were_damaged_are_noticed_and_the_index_begins_anew() {
    let vault = vault();
    let mut noticed = BTreeSet::new();
    for nth in 0..40 {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path(), &vault, 100).0);
        let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let Some(file) = files.get(nth) else { break };
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        let index = SearchIndex::open(dir.path(), &vault).unwrap();
        // Either opening noticed, or whoever reads that file does: never a wrong answer.
        let whole = index.progress().is_some();
        let answered = index.candidates(&ask("message number"));
        match answered {
            Ok(found) if whole => assert_eq!(found.len(), 100),
            Ok(found) => assert!(found.is_empty()),
            Err(error) => assert!(matches!(error, super::SearchError::Damaged(_)), "{error}"),
        }
        noticed.insert(whole);
    }
    assert!(noticed.contains(&false));
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &vault, 10).0);
    let other = SearchIndex::open(dir.path(), &self::vault()).unwrap();
    assert_eq!((other.count(), other.progress()), (0, None), "of another vault it is of no use");
}
