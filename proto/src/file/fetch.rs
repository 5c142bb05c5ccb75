//! Fetching a file from several at once: whom to ask for which chunk, and what to think of what comes.
//!
//! The chunks of names come first, then the content, the rarest of the next ones first. Each source has a window of questions
//! that grows with what it gives. What a silent source was asked for is asked of others; at the end, when everything is asked
//! for, a source with nothing to do is asked for what another still owes. Whoever gives a chunk that is not of its name is let
//! go at once, and whoever gives nothing after some time.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::file::{FileKey, TAG, chunk_name};

use super::{Ask, Bits, FileRef, Layout, NAMES_MAX, Told};
use crate::limits::{ASKED_MAX, RAREST_OF, SOURCE_AGAIN_MS, SOURCE_LACKS, SOURCE_PATIENCE_MS, SOURCE_STRIKES};

/// First window of a source.
const FIRST_WINDOW: u32 = 4;

/// A file on its way. `S` names a source.
#[derive(Debug)]
pub struct Fetch<S> {
    key: FileKey,
    layout: Layout,
    /// By slot, as far as they are known.
    names: Vec<Option<[u8; 32]>>,
    have: Bits,
    /// No slot below is missing.
    first: u32,
    /// Bytes of the file that are here.
    bytes: u64,
    sources: BTreeMap<S, Source>,
    dropped: Vec<(S, Drop)>,
}

/// Why a source is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drop {
    /// It gave what is not of its name, what was not asked for, or nothing that can be read.
    Lied,
    /// It does not know the file, or not us as a member.
    Refused,
    /// It gave nothing for long, or lacked again and again what it said to have.
    Silent,
}

/// What becomes of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It was missing: it is to be kept.
    Fresh,
    /// It is here already.
    Known,
    /// It is not the chunk of this slot.
    Wrong,
    /// It is of its name, and does not open with the file's key: its author made no whole file.
    Broken,
}

#[derive(Debug)]
struct Source {
    has: Has,
    window: u32,
    asked: BTreeSet<u32>,
    /// When it gave a chunk last, said what it has, or was first asked.
    heard_ms: u64,
    /// When it was asked last what it has.
    asked_ms: Option<u64>,
    /// Whether it still owes the answer to that.
    to_say: bool,
    strikes: u32,
    /// Whether it ever gave a chunk.
    gave: bool,
    /// Chunks that it was asked for and lacked, since it gave one.
    lacked: u32,
}

#[derive(Debug)]
enum Has {
    /// It has not said yet.
    Unknown,
    All,
    Some(Bits),
}

impl Source {
    fn has(&self, slot: u32) -> bool {
        match &self.has {
            Has::Unknown => false,
            Has::All => true,
            Has::Some(bits) => bits.has(slot),
        }
    }

    /// Whether it is no worse than slow: nobody else is asked for what such a one owes, as long as there is other work.
    fn is_good(&self) -> bool {
        self.strikes == 0 && self.lacked < FIRST_WINDOW
    }

    fn owes(&self) -> bool {
        !self.asked.is_empty() || self.to_say
    }
}

impl<S: Copy + Ord> Fetch<S> {
    /// Begins with nothing; `None` for what can not be a file.
    pub fn new(file: &FileRef) -> Option<Self> {
        file.check().ok()?;
        let layout = file.layout()?;
        let mut names = vec![None; layout.end() as usize];
        for (known, name) in names.iter_mut().zip(&file.names) {
            *known = Some(*name);
        }
        let have = Bits::none(layout.end());
        let (sources, dropped) = (BTreeMap::new(), Vec::new());
        Some(Self { key: file.file_key(), layout, names, have, first: 0, bytes: 0, sources, dropped })
    }

    /// How the file is cut.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What is here.
    pub fn have(&self) -> &Bits {
        &self.have
    }

    /// Bytes of the file that are here.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether everything is here.
    pub fn is_done(&self) -> bool {
        self.have.count() == self.layout.n_slots()
    }

    /// Whether this is the sealed chunk of that slot; takes it as held if so. From the disk, or, through
    /// [`given`](Self::given), from a source.
    pub fn offer(&mut self, slot: u32, sealed: &[u8]) -> Given {
        let name = self.names.get(slot as usize).copied().flatten();
        let Some((place, name)) = self.layout.place(slot).zip(name) else { return Given::Wrong };
        if sealed.len() != self.layout.plain_len(slot) + TAG || chunk_name(sealed) != name {
            return Given::Wrong;
        }
        if self.have.has(slot) {
            return Given::Known;
        }
        if slot < NAMES_MAX {
            let Ok(plain) = self.key.open(place, sealed.to_vec()) else { return Given::Broken };
            let from = NAMES_MAX as usize + slot as usize * (parlor_crypto::file::CHUNK_LEN / 32);
            let (names, _) = plain.as_chunks::<32>();
            for (known, name) in self.names.iter_mut().skip(from).zip(names) {
                *known = Some(*name);
            }
        }
        self.have.add(slot);
        self.bytes += self.layout.file_len(slot) as u64;
        while self.first < self.layout.end() && (self.have.has(self.first) || self.layout.place(self.first).is_none()) {
            self.first += 1;
        }
        Given::Fresh
    }

    /// A source that may have it.
    pub fn up(&mut self, source: S, now_ms: u64) {
        self.sources.entry(source).or_insert(Source {
            has: Has::Unknown,
            window: FIRST_WINDOW,
            asked: BTreeSet::new(),
            heard_ms: now_ms,
            asked_ms: None,
            to_say: false,
            strikes: 0,
            gave: false,
            lacked: 0,
        });
    }

    /// A source is gone. Says whether it left with chunks that it owes, and gave none.
    pub fn down(&mut self, source: S) -> bool {
        self.sources.remove(&source).is_some_and(|source| !source.gave && !source.asked.is_empty())
    }

    /// Whether somebody is asked for something: there is a source that has what is missing.
    pub fn is_fed(&self) -> bool {
        self.sources.values().any(|source| !source.asked.is_empty())
    }

    /// A source said something. Of a chunk, answers what becomes of it. Only chunks, and once what it has, count as a sign of life.
    pub fn told(&mut self, source: S, told: &Told<'_>, now_ms: u64) -> Option<Given> {
        let from = self.sources.get_mut(&source)?;
        match told {
            Told::All | Told::Some(_) if !std::mem::take(&mut from.to_say) => self.drop(source, Drop::Lied),
            Told::All => (from.has, from.heard_ms) = (Has::All, now_ms),
            Told::Some(bytes) => match Told::bits(bytes, &self.layout) {
                Ok(bits) => (from.has, from.heard_ms) = (Has::Some(bits), now_ms),
                Err(_) => self.drop(source, Drop::Lied),
            },
            Told::Refused => self.drop(source, Drop::Refused),
            Told::Lacks(slot) => self.lacks(source, *slot),
            Told::Chunk(slot, sealed) => return Some(self.given(source, *slot, sealed, now_ms)),
        }
        None
    }

    fn lacks(&mut self, source: S, slot: u32) {
        let layout = self.layout;
        let Some(from) = self.sources.get_mut(&source) else { return };
        if !from.asked.remove(&slot) {
            return self.drop(source, Drop::Lied);
        }
        from.lacked += 1;
        if from.lacked >= SOURCE_LACKS {
            return self.drop(source, Drop::Silent);
        }
        if matches!(from.has, Has::All) {
            let mut bits = Bits::none(layout.end());
            layout.slots().for_each(|slot| _ = bits.add(slot));
            from.has = Has::Some(bits);
        }
        if let Has::Some(bits) = &mut from.has {
            bits.remove(slot);
        }
    }

    fn given(&mut self, source: S, slot: u32, sealed: &[u8], now_ms: u64) -> Given {
        let asked = self.sources.get_mut(&source).is_some_and(|from| from.asked.remove(&slot));
        let given = if asked { self.offer(slot, sealed) } else { Given::Wrong };
        match given {
            Given::Wrong => self.drop(source, Drop::Lied),
            Given::Fresh | Given::Known | Given::Broken => {
                if let Some(from) = self.sources.get_mut(&source) {
                    from.heard_ms = now_ms;
                    (from.strikes, from.lacked, from.gave) = (0, 0, true);
                    from.window = (from.window + 1).min(ASKED_MAX);
                }
            }
        }
        given
    }

    /// What was said by a source can not be read.
    pub fn garbled(&mut self, source: S) {
        self.drop(source, Drop::Lied);
    }

    /// Sources that are let go since the last call; they are not asked again unless they come up again.
    pub fn dropped(&mut self) -> Vec<(S, Drop)> {
        std::mem::take(&mut self.dropped)
    }

    /// Chunks to ask for now, and of whom. To be called after anything happened, and every second or so.
    pub fn asks(&mut self, now_ms: u64) -> Vec<(S, Ask)> {
        self.lose_patience(now_ms);
        if self.is_done() {
            return Vec::new();
        }
        let mut asks = Vec::new();
        let names: Vec<S> = self.sources.keys().copied().collect();
        loop {
            let before = asks.len();
            for source in &names {
                if let Some(slot) = self.next_for(source) {
                    let Some(from) = self.sources.get_mut(source) else { continue };
                    if from.asked.is_empty() {
                        from.heard_ms = now_ms;
                    }
                    from.asked.insert(slot);
                    asks.push((*source, Ask::Chunk(slot)));
                }
            }
            if asks.len() == before {
                return asks;
            }
        }
    }

    /// Sources that are to be asked what they have, at most once in a while each: new ones, and those that have a part.
    pub fn curious(&mut self, now_ms: u64) -> Vec<S> {
        let done = self.is_done();
        let due = |source: &Source| match (&source.has, source.asked_ms) {
            _ if source.to_say => false,
            (_, None) => true,
            (Has::Some(_), Some(at)) => source.asked.is_empty() && now_ms.saturating_sub(at) >= SOURCE_AGAIN_MS,
            _ => false,
        };
        let mut curious = Vec::new();
        for (name, source) in self.sources.iter_mut().filter(|(_, source)| !done && due(source)) {
            source.heard_ms = now_ms;
            (source.asked_ms, source.to_say) = (Some(now_ms), true);
            curious.push(*name);
        }
        curious
    }

    /// Counts against sources that owe something and were silent for long.
    fn lose_patience(&mut self, now_ms: u64) {
        let mut silent = Vec::new();
        for (name, source) in &mut self.sources {
            if source.owes() && now_ms.saturating_sub(source.heard_ms) >= SOURCE_PATIENCE_MS {
                source.strikes += 1;
                source.heard_ms = now_ms;
                source.window = 1;
                if source.strikes >= SOURCE_STRIKES {
                    silent.push(*name);
                }
            }
        }
        for source in silent {
            self.drop(source, Drop::Silent);
        }
    }

    /// The slot that a source is asked for next, if it can be asked for one.
    fn next_for(&self, name: &S) -> Option<u32> {
        let source = self.sources.get(name)?;
        if source.asked.len() >= source.window as usize || matches!(source.has, Has::Unknown) {
            return None;
        }
        let wanted = |slot: &u32| {
            !self.have.has(*slot)
                && source.has(*slot)
                && !source.asked.contains(slot)
                && self.names.get(*slot as usize).is_some_and(Option::is_some)
        };
        let slots = || (self.first..self.layout.end()).filter(wanted);
        let partial = self.sources.values().any(|source| matches!(source.has, Has::Some(_)));
        let look = if partial { RAREST_OF } else { 1 };
        let free = slots().filter(|slot| !self.is_owed(*slot)).take(look);
        let rarest = free.min_by_key(|slot| self.sources.values().filter(|source| source.has(*slot)).count());
        // Everything is asked for: who has nothing else to do may be faster with what others owe.
        rarest.or_else(|| slots().find(|slot| source.asked.is_empty() && self.askers(*slot) < 2))
    }

    /// Whether a source that is no worse than slow owes this slot.
    fn is_owed(&self, slot: u32) -> bool {
        self.sources.values().any(|source| source.is_good() && source.asked.contains(&slot))
    }

    fn askers(&self, slot: u32) -> usize {
        self.sources.values().filter(|source| source.is_good() && source.asked.contains(&slot)).count()
    }

    fn drop(&mut self, source: S, why: Drop) {
        if self.sources.remove(&source).is_some() {
            self.dropped.push((source, why));
        }
    }
}
