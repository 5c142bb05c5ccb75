//! The columns of the index: which message each of its documents is.
//!
//! ```text
//! ms      u64 column: the upper 48 bits of the order, which mostly is a time
//! tick    u64 column: the lower 16, mostly none. In one column they would cost their 16 bits whatever they are
//! seq     u64 column: the message's number in its author's log
//! writer  room u32, author u32, tie u32: a column of bytes. There are few writers, so each row is some bits that name one
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tantivy::columnar::Column;
use tantivy::index::SegmentId;
use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query as TantivyQuery, Scorer, Weight};
use tantivy::{BitSet, DocId, Score, SegmentReader, TantivyError};

use super::index::{Key, locked};
use crate::timeline::Position;

/// The key columns of segments, opened once: a column that is opened is read as a whole.
#[derive(Clone, Default)]
pub(super) struct Columns(Arc<Mutex<HashMap<SegmentId, Arc<KeyColumns>>>>);

/// Where the messages of a segment stand.
pub(super) struct KeyColumns {
    ms: Column<u64>,
    tick: Column<u64>,
    seq: Column<u64>,
    writer: Column<u64>,
    /// By their numbers in the column.
    writers: Vec<Writer>,
    /// The least and the greatest of `ms` of each [`STRETCH`] of messages.
    reaches: Vec<(u64, u64)>,
}

/// Messages that stand one after the other in a segment, of which it is known how old they are. Most came one after the other.
pub(super) const STRETCH: u32 = 512;

/// What all messages of one author in one room have in common.
#[derive(Debug, Clone, Copy)]
struct Writer {
    room: u32,
    author: u32,
    tie: u32,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").finish_non_exhaustive()
    }
}

const TICK_BITS: u32 = 16;

/// The values of the columns `ms` and `tick`.
pub(super) fn ms_and_tick(order: u64) -> (u64, u64) {
    (order >> TICK_BITS, order & ((1 << TICK_BITS) - 1))
}

/// The value of the column `writer`.
pub(super) fn writer(key: &Key) -> [u8; 12] {
    let mut bytes = [0; 12];
    let Position { author, tie, .. } = key.position;
    for (at, part) in bytes.chunks_exact_mut(4).zip([key.room, author, tie]) {
        at.copy_from_slice(&part.to_be_bytes());
    }
    bytes
}

impl Writer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let part = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        (bytes.len() == 12).then_some(())?;
        Some(Self { room: part(0)?, author: part(4)?, tie: part(8)? })
    }
}

impl Columns {
    pub(super) fn of(&self, segment: &SegmentReader) -> Result<Arc<KeyColumns>, TantivyError> {
        if let Some(columns) = locked(&self.0).get(&segment.segment_id()) {
            return Ok(Arc::clone(columns));
        }
        let fast = segment.fast_fields();
        let wrong = || TantivyError::InternalError("the writers of a segment make no sense".to_owned());
        let writer = fast.bytes("writer")?.ok_or_else(wrong)?;
        let mut writers = Vec::with_capacity(writer.num_terms());
        let mut all = writer.dictionary().stream()?;
        while all.advance() {
            writers.push(Writer::parse(all.key()).ok_or_else(wrong)?);
        }
        let ms = fast.u64("ms")?;
        let columns = Arc::new(KeyColumns {
            reaches: reaches(&ms, segment.max_doc()),
            ms,
            tick: fast.u64("tick")?,
            seq: fast.u64("seq")?,
            writer: writer.ords().clone(),
            writers,
        });
        locked(&self.0).insert(segment.segment_id(), Arc::clone(&columns));
        Ok(columns)
    }

    /// Lets go of all segments but these.
    pub(super) fn keep(&self, live: &HashSet<SegmentId>) {
        locked(&self.0).retain(|segment, _| live.contains(segment));
    }
}

impl KeyColumns {
    /// The key of a message.
    pub(super) fn key(&self, doc: DocId) -> Option<Key> {
        let Writer { room, author, tie } = *self.writers.get(usize::try_from(self.writer.first(doc)?).ok()?)?;
        let seq = u32::try_from(self.seq.first(doc)?).ok()?;
        Some(Key { position: Position { order: self.order_from(doc, 0)?, tie, author, seq }, room })
    }

    /// The order of a message if it is not less than this.
    pub(super) fn order_from(&self, doc: DocId, least: u64) -> Option<u64> {
        let ms = self.ms.first(doc).filter(|ms| *ms >= least >> TICK_BITS)?;
        Some(ms << TICK_BITS | self.tick.first(doc)?).filter(|order| *order >= least)
    }

    /// The stretches in which an order may be in a range, ascending, with the greatest it may be.
    pub(super) fn stretches(&self, from: u64, to: u64) -> Vec<(u32, u64)> {
        let fits = |(_, (least, most)): &(u32, &(u64, u64))| *least <= to >> TICK_BITS && from >> TICK_BITS <= *most;
        let most = |(number, (_, most)): (u32, &(u64, u64))| (number, most << TICK_BITS | ((1 << TICK_BITS) - 1));
        (0..).zip(&self.reaches).filter(fits).map(most).collect()
    }

    /// Whether the order of a message may be in a range.
    pub(super) fn reach(&self, from: u64, to: u64) -> bool {
        self.ms.min_value() <= to >> TICK_BITS && from >> TICK_BITS <= self.ms.max_value()
    }
}

fn reaches(ms: &Column<u64>, docs: DocId) -> Vec<(u64, u64)> {
    let of = |from: DocId| {
        let all = (from..docs.min(from + STRETCH)).filter_map(|doc| ms.first(doc));
        all.fold((u64::MAX, 0), |(least, most), ms| (least.min(ms), most.max(ms)))
    };
    (0..docs).step_by(STRETCH as usize).map(of).collect()
}

/// Messages to be taken out, as a query. They are found by their columns: an index of keys would be a fifth of all bytes.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    keys: Arc<HashMap<u64, Vec<Key>>>,
    columns: Columns,
    first: u64,
    last: u64,
}

impl Gone {
    pub(super) fn new(gone: &[Key], columns: &Columns) -> Self {
        let mut keys: HashMap<u64, Vec<Key>> = HashMap::new();
        for key in gone {
            keys.entry(key.position.order).or_default().push(*key);
        }
        let (first, last) = (keys.keys().min().copied().unwrap_or(0), keys.keys().max().copied().unwrap_or(0));
        Self { keys: Arc::new(keys), columns: columns.clone(), first, last }
    }
}

impl TantivyQuery for Gone {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Gone {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut found = BitSet::with_max_value(reader.max_doc());
        let columns = self.columns.of(reader)?;
        if columns.reach(self.first, self.last) {
            for doc in 0..reader.max_doc() {
                let order = columns.order_from(doc, self.first).filter(|order| *order <= self.last);
                let keys = order.and_then(|order| self.keys.get(&order));
                if keys.is_some_and(|keys| columns.key(doc).is_some_and(|key| keys.contains(&key))) {
                    found.insert(doc);
                }
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(found), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("Gone", 1.0))
    }
}
