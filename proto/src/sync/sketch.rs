//! A table cut into parts that can be compared by digests.
//!
//! Every series has a *tag*, a hash of its kind and device salted with room and connection, so nobody can choose devices
//! whose tags collide or crowd into one part. A [`Sketch`] holds the series of a table sorted by tag. A *path* is a run
//! of hexadecimal digits; the lines below a path are those whose tags begin with it. Comparing goes from the empty path
//! down, sixteen parts at a time, only where digests differ, and ends with lists of one or two lines.
//!
//! Digests of parts and checks of lines have 2 bytes and are salted with the number of the round: two different parts look
//! equal once in 65,536, and not again in the next round, which comes because the digests of whole tables (16 bytes) still
//! differ. The salt of the connection keeps anybody from preparing such parts.

use std::cmp::Ordering;
use std::collections::HashMap;

use parlor_crypto::domain;
use parlor_crypto::hash::Domain;
use parlor_crypto::topic::Connection;

use crate::ids::RoomId;
use crate::wire::{CompareItem, Entry, Path, SeriesKind, SeriesTag};

use super::tables::{Series, Tables, Tip, is_record};

/// A whole table of at most this many lines is listed at once: one turn less for some 400 bytes.
pub(super) const ROOT_LIST: usize = 32;
/// A part of at most this many lines is listed, not split.
const LEAF_LIST: usize = 2;
static TAG: Domain = domain!("sync tag");
static CHECK: Domain = domain!("sync check");
static PART: Domain = domain!("sync part");
static SALT: Domain = domain!("sync salt");

/// Makes tags and checks of one session.
#[derive(Clone)]
pub(super) struct Salt([u8; 32]);

/// A line of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) series: Series,
    pub(super) entry: Entry,
}

/// A table as it was when a round began, sorted by tag.
pub(super) struct Sketch {
    lines: Vec<Line>,
    round: u32,
}

/// Which series a tag means.
#[derive(Default)]
pub(super) struct Tags {
    series: HashMap<SeriesTag, Series>,
    shape: Option<u64>,
}

impl Salt {
    pub(super) fn new(room: &RoomId, connection: &Connection) -> Self {
        Self(SALT.hash(&[room.as_bytes(), connection.as_bytes()]))
    }

    pub(super) fn tag(&self, series: &Series) -> SeriesTag {
        TAG.hash_prefix(&[&self.0, &[series.kind as u8], series.device.as_bytes()])
    }

    /// The line of a series in round `round`.
    pub(super) fn entry(&self, series: &Series, tip: &Tip, round: u32) -> Entry {
        let round = round.to_be_bytes();
        let check = if is_record(series.kind) { [0; 2] } else { CHECK.hash_prefix(&[&self.0, &round, &tip.id]) };
        Entry { tag: self.tag(series), seq: tip.seq, check }
    }
}

impl Tags {
    /// The series of ours with this tag.
    pub(super) fn find(&mut self, tag: &SeriesTag, tables: &Tables, salt: &Salt) -> Option<Series> {
        if !self.are_of(tables) {
            self.series = tables.iter().map(|(series, _)| (salt.tag(series), *series)).collect();
            self.shape = Some(tables.shape());
        }
        self.get(tag)
    }

    /// Whether the series known here are those of `tables`.
    pub(super) fn are_of(&self, tables: &Tables) -> bool {
        self.shape == Some(tables.shape())
    }

    /// The series with this tag, among those known here.
    pub(super) fn get(&self, tag: &SeriesTag) -> Option<Series> {
        self.series.get(tag).copied()
    }
}

impl Sketch {
    /// The sketch of the series in `tables` whose kinds are `chosen`.
    pub(super) fn new(tables: &Tables, salt: &Salt, round: u32, chosen: impl Fn(SeriesKind) -> bool) -> Self {
        let chosen = tables.iter().filter(|(series, _)| chosen(series.kind));
        let mut lines: Vec<_> =
            chosen.map(|(series, tip)| Line { series: *series, entry: salt.entry(series, tip, round) }).collect();
        lines.sort_unstable_by_key(|line| line.entry.tag);
        Self { lines, round }
    }

    /// The round it was made for.
    pub(super) fn round(&self) -> u32 {
        self.round
    }

    /// Number of lines.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// What to say first about the whole table.
    pub(super) fn first(&self) -> CompareItem {
        if self.lines.len() <= ROOT_LIST { self.list(Path::ROOT) } else { self.split(Path::ROOT) }
    }

    /// What to say about the part below `path`: the list of it when it is short, else its split.
    pub(super) fn describe(&self, path: Path) -> CompareItem {
        let short = self.below(path).len() <= LEAF_LIST || path.child(0).is_none();
        if short { self.list(path) } else { self.split(path) }
    }

    /// The lines below `path`.
    pub(super) fn below(&self, path: Path) -> &[Line] {
        let start = self.lines.partition_point(|line| path.place(&line.entry.tag) == Ordering::Less);
        let end = self.lines.partition_point(|line| path.place(&line.entry.tag) != Ordering::Greater);
        self.lines.get(start..end).unwrap_or_default()
    }

    /// The digest of some lines; `None` of none.
    pub(super) fn digest(&self, lines: &[Line]) -> Option<[u8; 2]> {
        if lines.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(lines.len() * 16 + 4);
        bytes.extend_from_slice(&self.round.to_be_bytes());
        for Line { entry, .. } in lines {
            bytes.extend_from_slice(&entry.tag);
            bytes.extend_from_slice(&entry.seq.to_be_bytes());
            bytes.extend_from_slice(&entry.check);
        }
        Some(PART.hash_prefix(&[&bytes]))
    }

    fn list(&self, path: Path) -> CompareItem {
        CompareItem::List { path, entries: self.below(path).iter().map(|line| line.entry).collect() }
    }

    fn split(&self, path: Path) -> CompareItem {
        let (mut children, mut digests) = (0, Vec::new());
        for digit in 0..16 {
            if let Some(digest) = path.child(digit).and_then(|child| self.digest(self.below(child))) {
                children |= 1 << digit;
                digests.push(digest);
            }
        }
        CompareItem::Split { path, children, digests }
    }
}
