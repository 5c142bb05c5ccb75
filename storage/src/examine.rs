//! Looks at sled's log before sled does, and refuses one that has lost what was acknowledged.
//!
//! sled replays its log from the last snapshot on. A message that fails its checksum it takes for the end of a segment,
//! silently goes on with the next, and clears what follows the last one; so damage would become a loss that nobody is
//! told of. The mark says up to where the log was durable: up to there every message of every segment must be sound.
//! What was written before the snapshot is not read here; sled checks it when it is read.
//!
//! The format, from sled 0.34.7 (`segment` = 512 KiB; numbers little-endian; lsn = place in the endless log):
//! ```text
//! segment   = crc32 u32 ^ !0 | lsn i64 ^ MAX | stable lsn i64 ^ MAX | messages    crc32 of the 16 bytes after it
//! message   = crc32 u32 ^ !0 | kind u8 | len varint | segment number varint | page varint | body[len]
//!                                                                       crc32 of the body, then of the header after it
//! kind      = 0 nothing, 2 the segment ends here, others up to 11 content
//! ```
//! Emptied segments are used again, in any order of the file. A kill can catch one half overwritten with newer
//! messages; those carry their own segment number, which is how it is told from damage.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::{Fault, panicked};
use crate::mark::Mark;

/// Bytes of a segment: sled's default, recorded in its `conf`.
const SEGMENT: usize = 512 * 1024;
const SEGMENT_I64: i64 = SEGMENT as i64;
/// Bytes of a segment's header.
const HEADER: usize = 20;
/// The least that a disk writes.
const SECTOR: usize = 512;
/// No message begins closer than this to the end of a segment.
const MARGIN: usize = 32;
/// Threads that examine: the disk answers several small reads at once, and the checksums are shared out.
const EXAMINERS: usize = 8;
const CAP: u8 = 2;
const LAST_KIND: u8 = 11;
/// Bytes that may be checksummed in the search for messages in one odd segment.
const SEARCH_BYTES: usize = 64 * 1024 * 1024;

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It holds what was promised.
    Sound,
    /// It may lack something: whether it does shows only when it is open.
    Suspect,
}

/// Examines the log at `path` from the sequence number `start` of its snapshot on. Opening writes zeros over every
/// segment that is free; if it was `interrupted`, zeros in a segment are not taken for damage.
///
/// # Errors
/// Damage, if something is missing that `mark` promises.
pub(crate) fn examine(path: &Path, start: i64, mark: Mark, interrupted: bool) -> Result<Verdict, Fault> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && mark == Mark::NONE => return Ok(Verdict::Sound),
        file => file?,
    };
    if mark == Mark::NONE {
        return Ok(Verdict::Sound);
    }
    let len = file.metadata()?.len();
    let search = Search { first: start / SEGMENT_I64 * SEGMENT_I64, end: mark.end, interrupted };
    let next = AtomicU64::new(0);
    let seen = std::thread::scope(|scope| {
        let work = || search.work(path, &next, len);
        let workers: Vec<_> = (0..EXAMINERS).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| Err(panicked(&*panic))));
        ended.collect::<Result<Vec<_>, Fault>>()
    })?;
    search.verdict(seen.into_iter().fold(Seen::default(), Seen::and), len < mark.len)
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
struct Search {
    /// The first segment that sled will replay.
    first: i64,
    /// The last sequence number that was durable.
    end: i64,
    /// Whether the last opening did not end.
    interrupted: bool,
}

/// What was seen.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Sound segments that sled will replay, up to the end.
    found: i64,
    /// Whether the one with the end is among them.
    has_end: bool,
    /// Whether there are newer ones.
    has_newer: bool,
    /// Whether one is empty, or being used again.
    has_odd: bool,
}

impl Seen {
    fn and(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            has_end: self.has_end || other.has_end,
            has_newer: self.has_newer || other.has_newer,
            has_odd: self.has_odd || other.has_odd,
        }
    }
}

impl Search {
    /// Examines segments until none is left.
    fn work(self, path: &Path, next: &AtomicU64, len: u64) -> Result<Seen, Fault> {
        let mut file = File::open(path)?;
        let mut buffer = vec![0; SEGMENT];
        let mut seen = Seen::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) * SEGMENT as u64;
            if at >= len {
                return Ok(seen);
            }
            file.seek(SeekFrom::Start(at))?;
            let mut filled = fill(&mut file, &mut buffer[..HEADER])?;
            let lsn = header(&buffer[..filled]);
            if lsn.is_none_or(|lsn| self.wants(lsn)) {
                filled += fill(&mut file, &mut buffer[filled..])?;
                let one = self.segment(lsn, &buffer[..filled]);
                seen = seen.and(one.map_err(|what| Fault::Damaged(format!("{what} in the segment at byte {at}")))?);
            }
            seen.has_newer |= lsn.is_some_and(|lsn| lsn > self.end);
        }
    }

    fn wants(self, lsn: i64) -> bool {
        (self.first..=self.end).contains(&lsn)
    }

    fn segment(self, lsn: Option<i64>, segment: &[u8]) -> Result<Seen, &'static str> {
        let Some(lsn) = lsn else { return self.headless(segment) };
        let number = lsn / SEGMENT_I64;
        let mut at = HEADER;
        while at <= SEGMENT - MARGIN && lsn + at as i64 <= self.end {
            match message(segment, at) {
                Some(found) if found.number == number && found.kind == CAP => break,
                Some(found) if found.number == number => at += found.len,
                _ if self.is_newer(segment) || self.is_cleared(segment) => {
                    return Ok(Seen { has_odd: true, ..Seen::default() });
                }
                _ => return Err("a message fails its checksum"),
            }
        }
        let has_end = (lsn..lsn + SEGMENT_I64).contains(&self.end);
        Ok(Seen { found: 1, has_end, ..Seen::default() })
    }

    /// A segment without a sound header: empty, being used again, or damaged.
    fn headless(self, segment: &[u8]) -> Result<Seen, &'static str> {
        let is_empty = segment.iter().all(|byte| *byte == 0);
        // Otherwise older than the snapshot, or nothing that was ever durable.
        let is_damaged = || numbers(segment).any(|number| self.wants(number.saturating_mul(SEGMENT_I64)));
        if !is_empty && !self.is_newer(segment) && !self.is_cleared(segment) && is_damaged() {
            return Err("the header fails its checksum");
        }
        Ok(Seen { has_odd: true, ..Seen::default() })
    }

    /// Whether sled may have been clearing the segment, as free, when an opening was interrupted: a sector is empty.
    fn is_cleared(self, segment: &[u8]) -> bool {
        self.interrupted && segment.chunks_exact(SECTOR).any(|sector| sector.iter().all(|byte| *byte == 0))
    }

    /// Whether the segment holds a message written after the end.
    fn is_newer(self, segment: &[u8]) -> bool {
        numbers(segment).any(|number| number.saturating_mul(SEGMENT_I64) > self.end)
    }

    fn verdict(self, seen: Seen, is_shorter: bool) -> Result<Verdict, Fault> {
        if self.end < self.first {
            return Ok(Verdict::Sound);
        }
        if !seen.has_end && !seen.has_newer {
            return Err(Fault::Damaged("acknowledged groups are missing at its end".to_owned()));
        }
        // Segments between may be gone because they were emptied; that is usual. With something odd beside it, it may
        // be a loss.
        let has_gap = seen.found < (self.end - self.first) / SEGMENT_I64 + 1;
        let is_odd = seen.has_odd || is_shorter || !seen.has_end;
        Ok(if has_gap && is_odd { Verdict::Suspect } else { Verdict::Sound })
    }
}

/// Reads until the buffer is full or the file ends; how much.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The lsn in a segment's header, if it is sound.
fn header(segment: &[u8]) -> Option<i64> {
    let (crc, rest) = segment.split_first_chunk()?;
    let body = rest.get(..HEADER - 4)?;
    let lsn = i64::from_le_bytes(*body.first_chunk()?) ^ i64::MAX;
    let is_sound = u32::from_le_bytes(*crc) == !crc32fast::hash(body) && lsn >= 0 && lsn % SEGMENT_I64 == 0;
    is_sound.then_some(lsn)
}

/// A message with a sound checksum.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: u8,
    number: i64,
    /// Header and body.
    len: usize,
    body: usize,
}

/// The message at `at`, if it is sound.
fn message(segment: &[u8], at: usize) -> Option<Message> {
    let found = framed(segment, at)?;
    let (header, body) = segment[at..at + found.len].split_at(found.len - found.body);
    let (crc, header) = header.split_first_chunk()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(header);
    (hasher.finalize() == !u32::from_le_bytes(*crc)).then_some(found)
}

/// What the bytes at `at` say of themselves, if a message could begin there.
fn framed(segment: &[u8], at: usize) -> Option<Message> {
    let bytes = segment.get(at..)?;
    let kind = *bytes.get(4)?;
    if kind == 0 || kind > LAST_KIND {
        return None;
    }
    let mut rest = bytes.get(5..)?;
    let body = usize::try_from(varint(&mut rest)?).ok()?;
    let number = i64::try_from(varint(&mut rest)?).ok()?;
    varint(&mut rest)?;
    (body <= rest.len()).then(|| Message { kind, number, len: bytes.len() - rest.len() + body, body })
}

/// The segment numbers of all sound messages found anywhere in an odd segment.
fn numbers(segment: &[u8]) -> impl Iterator<Item = i64> {
    let mut budget = SEARCH_BYTES;
    let starts = HEADER..segment.len().saturating_sub(MARGIN);
    starts.filter_map(move |at| {
        budget = budget.checked_sub(framed(segment, at)?.body)?;
        message(segment, at).map(|found| found.number)
    })
}

/// sled's variable-length number.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let (first, rest) = bytes.split_first()?;
    let (value, used) = match first {
        0..=240 => (u64::from(*first), 0),
        241..=248 => (240 + 256 * (u64::from(*first) - 241) + u64::from(*rest.first()?), 1),
        249 => (2_288 + 256 * u64::from(*rest.first()?) + u64::from(*rest.get(1)?), 2),
        _ => {
            let used = usize::from(*first) - 247;
            let mut number = [0; 8];
            number.get_mut(..used)?.copy_from_slice(rest.get(..used)?);
            (u64::from_le_bytes(number), used)
        }
    };
    *bytes = rest.get(used..)?;
    Some(value)
}
