//! Files sealed, cut, and fetched in worlds of all sorts of sources.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::Secret;
use parlor_crypto::file::{CHUNK_LEN, FileKey};
use proptest::prelude::*;

use super::*;
use crate::limits::{ASKED_MAX, SOURCE_AGAIN_MS, SOURCE_PATIENCE_MS, SOURCE_STRIKES};

/// A file of `size` bytes as its sender seals it, pushed in pieces of this many bytes.
fn sealed(size: usize, piece: usize) -> (FileRef, BTreeMap<u32, Vec<u8>>) {
    let key = Secret::new([7; 32]);
    let mut writer = FileWriter::new(FileKey::from_secret(key.clone()));
    let content: Vec<u8> = (0..size).map(|at| (at / 3 + at / 1_000) as u8).collect();
    let mut chunks = BTreeMap::new();
    for piece in content.chunks(piece) {
        chunks.extend(writer.push(piece).unwrap().into_iter().map(|sealed| (sealed.slot, sealed.bytes)));
    }
    assert_eq!(writer.written(), None, "not before its end");
    while let Some(sealed) = writer.finish() {
        chunks.insert(sealed.slot, sealed.bytes);
    }
    let Written { size, names } = writer.written().unwrap();
    let (name, mime) = ("a.bin".to_owned(), "application/octet-stream".to_owned());
    (FileRef { key, names, size, name, mime, pixels: None, preview: Vec::new() }, chunks)
}

fn opened(file: &FileRef, chunks: &BTreeMap<u32, Vec<u8>>) -> Vec<u8> {
    let layout = file.layout().unwrap();
    let mut content = Vec::new();
    for slot in NAMES_MAX..layout.end() {
        let plain = file.file_key().open(layout.place(slot).unwrap(), chunks[&slot].clone()).unwrap();
        content.extend_from_slice(&plain[..layout.file_len(slot)]);
        assert!(plain[layout.file_len(slot)..].iter().all(|byte| *byte == 0), "the rest is padding");
    }
    content
}

#[test]
fn a_file_comes_out_as_it_went_in_however_its_bytes_came() {
    for size in [0, 1, 31, 33, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN, 5 * CHUNK_LEN + 7] {
        for piece in [1_000, CHUNK_LEN, 10 * CHUNK_LEN] {
            let (file, chunks) = sealed(size, piece);
            assert_eq!(file.check(), Ok(()), "{size}");
            assert_eq!(chunks.keys().copied().collect::<Vec<_>>(), file.layout().unwrap().slots().collect::<Vec<_>>());
            let content: Vec<u8> = (0..size).map(|at| (at / 3 + at / 1_000) as u8).collect();
            assert!(opened(&file, &chunks) == content, "{size} in pieces of {piece}");
        }
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let (file, _) = sealed(10, 10);
    let refused = |change: fn(&mut FileRef)| {
        let mut other = file.clone();
        change(&mut other);
        assert!(Fetch::<u8>::new(&other).is_none());
        other.check().unwrap_err()
    };
    assert_eq!(refused(|file| file.size = crate::limits::MAX_FILE + 1), FileRefError::Size);
    assert_eq!(refused(|file| file.size = u64::MAX), FileRefError::Size);
    assert_eq!(refused(|file| file.names.clear()), FileRefError::Names);
    assert_eq!(refused(|file| file.names.push([0; 32])), FileRefError::Names);
    assert_eq!(refused(|file| file.name.clear()), FileRefError::Name);
    assert_eq!(refused(|file| file.name = "x".repeat(256)), FileRefError::Name);
    assert_eq!(refused(|file| file.mime = "a\nb".into()), FileRefError::Type);
    assert_eq!(refused(|file| file.preview = vec![0; 3_073]), FileRefError::Preview);
    assert_ne!(file.id(), FileRef { size: 11, ..file.clone() }.id(), "another size is another file");
}

#[test]
fn names_that_do_not_open_are_the_authors_fault_and_not_the_sources() {
    let (file, chunks) = sealed(10, 10);
    let other = FileRef { key: Secret::new([8; 32]), ..file };
    let mut fetch = Fetch::new(&other).unwrap();
    fetch.up(1_u8, 0);
    assert_eq!(fetch.curious(0), [1]);
    fetch.told(1, &Told::All, 0);
    assert_eq!(fetch.asks(0), [(1, Ask::Chunk(0))]);
    assert_eq!(fetch.told(1, &Told::Chunk(0, &chunks[&0]), 0), Some(Given::Broken));
    assert!(fetch.dropped().is_empty());
}

#[test]
fn a_file_on_disk_is_taken_up_where_it_stood() {
    let (file, mut chunks) = sealed(4 * CHUNK_LEN, CHUNK_LEN);
    let mut fetch = Fetch::new(&file).unwrap();
    assert_eq!(fetch.offer(3, &chunks[&3]), Given::Wrong, "its name is not known before the names are there");
    assert_eq!(fetch.offer(0, &chunks[&0]), Given::Fresh);
    assert_eq!(fetch.offer(3, &chunks[&3]), Given::Fresh);
    assert_eq!(fetch.offer(3, &chunks[&3]), Given::Known);
    chunks.get_mut(&4).unwrap()[9] ^= 1;
    assert_eq!(fetch.offer(4, &chunks[&4]), Given::Wrong, "a torn chunk is fetched again");
    assert_eq!((fetch.bytes(), fetch.is_done()), (CHUNK_LEN as u64, false));
    fetch.up('a', 0);
    assert_eq!(fetch.curious(0), ['a']);
    fetch.told('a', &Told::All, 0);
    let asked: Vec<_> = fetch.asks(0).into_iter().map(|(_, ask)| ask).collect();
    assert_eq!(asked, [2, 4, 5].map(Ask::Chunk));
}

#[test]
fn what_a_silent_source_owes_is_asked_of_another_and_it_is_let_go() {
    let (file, chunks) = sealed(3 * CHUNK_LEN, CHUNK_LEN);
    let mut fetch = Fetch::new(&file).unwrap();
    fetch.offer(0, &chunks[&0]);
    has_all(&mut fetch, 'a', 0);
    assert_eq!(fetch.asks(0).len(), 3);
    let mut now = 0;
    for strike in 1..=SOURCE_STRIKES {
        now += SOURCE_PATIENCE_MS;
        assert!(fetch.asks(now - 1).is_empty());
        assert!(fetch.asks(now).is_empty(), "strike {strike}");
    }
    assert_eq!(fetch.dropped(), [('a', Drop::Silent)]);
    has_all(&mut fetch, 'b', now);
    assert_eq!(fetch.asks(now).len(), 3);
}

/// A source comes, is asked what it has, and says: all.
fn has_all(fetch: &mut Fetch<char>, source: char, now: u64) {
    fetch.up(source, now);
    assert_eq!(fetch.curious(now), [source]);
    assert_eq!(fetch.told(source, &Told::All, now), None);
}

#[test]
fn a_source_that_talks_and_gives_nothing_is_let_go_like_a_silent_one() {
    let (file, chunks) = sealed(3 * CHUNK_LEN, CHUNK_LEN);
    let all = |fetch: &Fetch<char>| {
        let mut bits = Bits::none(fetch.layout().end());
        fetch.layout().slots().for_each(|slot| _ = bits.add(slot));
        bits.as_bytes().to_vec()
    };
    // What nobody asked for is no sign of life, but the end: what it has, and what it lacks.
    for unasked in 0..3 {
        let mut fetch = Fetch::new(&file).unwrap();
        fetch.offer(0, &chunks[&0]);
        has_all(&mut fetch, 'a', 0);
        assert_eq!(fetch.asks(0).len(), 3);
        let bits = all(&fetch);
        fetch.told('a', &[Told::All, Told::Some(&bits), Told::Lacks(0)][unasked], 1);
        assert_eq!(fetch.dropped(), [('a', Drop::Lied)], "{unasked}");
        assert!(!fetch.is_fed());
        assert!(!fetch.down('a'), "it is not there any more");
        // And an honest one is asked for what it owed at once.
        has_all(&mut fetch, 'b', 1);
        assert_eq!(fetch.asks(1).len(), 3);
    }
    // Lacking what it said to have, again and again, is no way to be asked for ever either.
    let mut fetch = Fetch::new(&file).unwrap();
    fetch.offer(0, &chunks[&0]);
    has_all(&mut fetch, 'a', 0);
    let (mut now, mut lacked) = (0, 0);
    while fetch.dropped().is_empty() {
        assert!(lacked < 100, "it does not end");
        for (source, ask) in fetch.asks(now) {
            let Ask::Chunk(slot) = ask else { panic!("only chunks") };
            lacked += 1;
            fetch.told(source, &Told::Lacks(slot), now);
        }
        now += SOURCE_AGAIN_MS;
        if fetch.curious(now) == ['a'] {
            let bits = all(&fetch);
            fetch.told('a', &Told::Some(&bits), now);
        }
    }
    assert!(!fetch.is_fed());
}

#[test]
fn one_that_lacks_now_and_then_what_it_owes_does_not_gain_time() {
    let (file, chunks) = sealed(3 * CHUNK_LEN, CHUNK_LEN);
    let mut fetch = Fetch::new(&file).unwrap();
    fetch.offer(0, &chunks[&0]);
    has_all(&mut fetch, 'a', 0);
    assert_eq!(fetch.asks(0).len(), 3);
    fetch.told('a', &Told::Lacks(2), SOURCE_PATIENCE_MS - 1);
    // Who comes then is asked for the rest as soon as the first one's time is over.
    has_all(&mut fetch, 'b', SOURCE_PATIENCE_MS - 1);
    assert_eq!(fetch.asks(SOURCE_PATIENCE_MS - 1), [('b', Ask::Chunk(2))]);
    let asks = fetch.asks(SOURCE_PATIENCE_MS);
    assert_eq!(asks, [('b', Ask::Chunk(3)), ('b', Ask::Chunk(4))]);
    fetch.told('b', &Told::Chunk(2, &chunks[&2]), SOURCE_PATIENCE_MS);
    assert_eq!(
        (fetch.down('a'), fetch.down('b')),
        (true, false),
        "who leaves without a chunk is told from who gave some"
    );
}

/// What a source of a world is like.
#[derive(Debug, Clone)]
enum Sort {
    Whole,
    /// Has these slots, and more as time passes: all at the end.
    Part(Vec<bool>),
    Liar,
    Silent,
    Refuses,
    /// Says that it has all, and has nothing.
    Empty,
    /// Gives this many chunks, and goes.
    Leaves(usize),
    Babbles,
}

fn sort() -> impl Strategy<Value = Sort> {
    prop_oneof![
        2 => Just(Sort::Whole),
        3 => prop::collection::vec(any::<bool>(), 16).prop_map(Sort::Part),
        1 => Just(Sort::Liar),
        1 => Just(Sort::Silent),
        1 => Just(Sort::Refuses),
        1 => Just(Sort::Empty),
        1 => (0..6_usize).prop_map(Sort::Leaves),
        1 => Just(Sort::Babbles),
    ]
}

/// A source is asked what it has; at the end of the world those that had a part have all.
fn say_what_it_has(fetch: &mut Fetch<usize>, source: usize, sort: &Sort, end: bool, now: u64) {
    let layout = fetch.layout();
    match sort {
        Sort::Silent => {}
        Sort::Refuses => _ = fetch.told(source, &Told::Refused, now),
        Sort::Part(has) if !end => {
            let mut bits = Bits::none(layout.end());
            layout.slots().filter(|slot| has[*slot as usize % 16]).for_each(|slot| _ = bits.add(slot));
            fetch.told(source, &Told::Some(bits.as_bytes()), now);
        }
        Sort::Babbles => _ = fetch.told(source, &Told::Some(&[1; 9]), now),
        _ => _ = fetch.told(source, &Told::All, now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// With one honest source that has everything the file comes, whatever the others do; and nobody is asked for what he said
    /// not to have, twice for the same, or for more than his window.
    #[test]
    fn a_file_comes_whole_whatever_some_sources_do(
        mut sorts in prop::collection::vec(sort(), 0..6), size in 0..6 * CHUNK_LEN, held in any::<u16>(), order in any::<u64>(),
    ) {
        sorts.push(Sort::Whole);
        let (file, chunks) = sealed(size, 100_000);
        let layout = file.layout().unwrap();
        let mut fetch = Fetch::new(&file).unwrap();
        let mut taken = BTreeMap::new();
        for slot in layout.slots().filter(|slot| held >> slot & 1 == 1) {
            if fetch.offer(slot, &chunks[&slot]) == Given::Fresh {
                taken.insert(slot, chunks[&slot].clone());
            }
        }
        for source in 0..sorts.len() {
            fetch.up(source, 0);
        }
        let mut owed: Vec<(usize, u32)> = Vec::new();
        let (mut gone, mut lied): (BTreeSet<usize>, BTreeSet<usize>) = Default::default();
        let (mut now, mut seed, mut turns) = (0, order, 0);
        while !fetch.is_done() {
            turns += 1;
            prop_assert!(turns < 5_000, "it does not end");
            for source in fetch.curious(now) {
                say_what_it_has(&mut fetch, source, &sorts[source], turns > 40, now);
            }
            for (source, ask) in fetch.asks(now) {
                let Ask::Chunk(slot) = ask else { panic!("only chunks") };
                prop_assert!(layout.place(slot).is_some() && !taken.contains_key(&slot));
                prop_assert!(!owed.contains(&(source, slot)), "asked twice of one");
                prop_assert!(!gone.contains(&source) && !lied.contains(&source));
                if let Sort::Part(has) = &sorts[source] {
                    prop_assert!(turns > 40 || has[slot as usize % 16], "it said not to have that");
                }
                owed.push((source, slot));
                prop_assert!(owed.iter().filter(|(other, _)| *other == source).count() <= ASKED_MAX as usize);
            }
            let quiet = |(source, _): &(usize, u32)| matches!(sorts[*source], Sort::Silent);
            let live: Vec<_> = (0..owed.len()).filter(|at| !quiet(&owed[*at])).collect();
            if live.is_empty() {
                now += 1_000;
                continue;
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (source, slot) = owed.remove(live[(seed >> 33) as usize % live.len()]);
            now += 10;
            let good = &chunks[&slot];
            let given = match &mut sorts[source] {
                Sort::Liar => {
                    lied.insert(source);
                    let mut bad = good.clone();
                    bad[0] ^= 1;
                    fetch.told(source, &Told::Chunk(slot, &bad), now)
                }
                Sort::Empty => fetch.told(source, &Told::Lacks(slot), now),
                Sort::Leaves(left) => {
                    *left = left.saturating_sub(1);
                    let left = *left;
                    let given = fetch.told(source, &Told::Chunk(slot, good), now);
                    if left == 0 {
                        fetch.down(source);
                        gone.insert(source);
                    }
                    given
                }
                _ => fetch.told(source, &Told::Chunk(slot, good), now),
            };
            if given == Some(Given::Fresh) {
                taken.insert(slot, good.clone());
            }
            owed.retain(|(source, _)| !gone.contains(source) && !lied.contains(source));
        }
        for (source, why) in fetch.dropped() {
            match why {
                Drop::Lied => prop_assert!(matches!(sorts[source], Sort::Liar | Sort::Babbles)),
                Drop::Refused => prop_assert!(matches!(sorts[source], Sort::Refuses)),
                Drop::Silent => prop_assert!(!matches!(sorts[source], Sort::Whole)),
            }
        }
        prop_assert!(taken == chunks && fetch.bytes() == size as u64 && opened(&file, &taken).len() == size);
    }

    /// Without any that is whole, what they have together is enough.
    #[test]
    fn parts_make_a_whole(has in prop::collection::vec(any::<[bool; 3]>(), 16), size in 1..6 * CHUNK_LEN) {
        let (file, chunks) = sealed(size, 100_000);
        let layout = file.layout().unwrap();
        let mut fetch = Fetch::new(&file).unwrap();
        for source in 0..3_usize {
            fetch.up(source, 0);
            fetch.curious(0);
            let mut bits = Bits::none(layout.end());
            let whose = |slot: &u32| has[*slot as usize % 16].get(source) == Some(&true) || *slot as usize % 3 == source;
            layout.slots().filter(whose).for_each(|slot| _ = bits.add(slot));
            fetch.told(source, &Told::Some(bits.as_bytes()), 0);
        }
        let mut given = BTreeSet::new();
        while !fetch.is_done() {
            let asks = fetch.asks(0);
            prop_assert!(!asks.is_empty());
            for (source, ask) in asks {
                let Ask::Chunk(slot) = ask else { panic!("only chunks") };
                given.insert(source);
                fetch.told(source, &Told::Chunk(slot, &chunks[&slot]), 0);
            }
        }
        prop_assert!(fetch.dropped().is_empty() && !given.is_empty());
    }
}
