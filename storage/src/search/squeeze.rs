//! The file of stored documents, made small. We store none, yet tantivy writes an empty one for each message, and where it stands: five
//! bytes a message that tell nothing, a twelfth of the index.
//!
//! What it writes goes up by ever the same step every four bytes. So each byte is written as what it differs from what the two before it
//! of the same place among four let one expect, which nearly always is nothing, and stretches of nothing as their length.
//!
//! ```text
//! file     chunks | bytes of the file as tantivy knows it u64
//! chunk    u16 len, runs             of 16,384 bytes, the last one of what is left
//! run      u16 n (< 0x8000), n bytes | 0x8000 + n: n zeros
//! ```

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use tantivy::HasLen;
use tantivy::directory::{AntiCallToken, FileHandle, OwnedBytes, TerminatingWrite};

/// Bytes of a chunk before it is made small.
const CHUNK: usize = 16 * 1024;

/// Says that a run is of zeros.
const ZEROS: u16 = 0x8000;

/// Zeros that are worth a run of their own.
const WORTH: usize = 5;

/// What is left of a byte when what was to be expected is taken away.
fn rest(bytes: &[u8], at: usize) -> u8 {
    bytes[at].wrapping_sub(expected(bytes, at))
}

fn expected(bytes: &[u8], at: usize) -> u8 {
    let before = |back: usize| at.checked_sub(back).map_or(0, |at| bytes[at]);
    before(4).wrapping_mul(2).wrapping_sub(before(8))
}

fn squeeze(chunk: &[u8], to: &mut Vec<u8>) {
    let rests: Vec<u8> = (0..chunk.len()).map(|at| rest(chunk, at)).collect();
    let zeros = |from: usize| rests[from..].iter().take_while(|rest| **rest == 0).count();
    let begin = to.len();
    to.extend_from_slice(&[0; 2]);
    let mut at = 0;
    while at < rests.len() {
        let n = zeros(at);
        if n >= WORTH || at + n == rests.len() {
            to.extend_from_slice(&(ZEROS | n as u16).to_le_bytes());
            at += n;
            continue;
        }
        let mut end = at + 1;
        while end < rests.len() && zeros(end) < WORTH {
            end += 1;
        }
        to.extend_from_slice(&((end - at) as u16).to_le_bytes());
        to.extend_from_slice(&rests[at..end]);
        at = end;
    }
    let len = (to.len() - begin - 2) as u16;
    to[begin..begin + 2].copy_from_slice(&len.to_le_bytes());
}

/// The chunk that was made small; `None` if it was not.
fn loosen(mut runs: &[u8]) -> Option<Vec<u8>> {
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some((head, after)) = runs.split_first_chunk() {
        let head = u16::from_le_bytes(*head);
        let n = usize::from(head & !ZEROS);
        let zeros = head & ZEROS != 0;
        if chunk.len() + n > CHUNK {
            return None;
        }
        let (rests, after) = after.split_at_checked(if zeros { 0 } else { n })?;
        runs = after;
        for at in 0..n {
            chunk.push(0);
            let last = chunk.len() - 1;
            chunk[last] = rests.get(at).unwrap_or(&0).wrapping_add(expected(&chunk, last));
        }
    }
    runs.is_empty().then_some(chunk)
}

/// Whether a file of this name is one of stored documents.
pub(super) fn is_squeezed(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "store")
}

/// Writes a file small.
pub(super) struct Squeezing<W> {
    to: W,
    chunk: Vec<u8>,
    len: u64,
}

impl<W: Write> Squeezing<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, chunk: Vec::with_capacity(CHUNK), len: 0 }
    }

    fn chunk(&mut self) -> io::Result<()> {
        let mut small = Vec::new();
        squeeze(&self.chunk, &mut small);
        self.chunk.clear();
        self.to.write_all(&small)
    }
}

impl<W: Write> Write for Squeezing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        self.len += taken as u64;
        if self.chunk.len() == CHUNK {
            self.chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: TerminatingWrite> TerminatingWrite for Squeezing<W> {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        if !self.chunk.is_empty() {
            self.chunk()?;
        }
        self.to.write_all(&self.len.to_le_bytes())?;
        self.to.terminate_ref(token)
    }
}

/// A file that was written small, as tantivy knows it.
pub(super) struct Loose {
    small: OwnedBytes,
    chunks: Vec<Range<usize>>,
    len: usize,
}

impl Loose {
    /// Of all bytes of the file; `None` if it is no such file.
    pub(super) fn new(small: OwnedBytes) -> Option<Self> {
        let (mut rest, len) = small.as_slice().split_last_chunk()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (mut chunks, mut at) = (Vec::new(), 0);
        while let Some((n, after)) = rest.split_first_chunk() {
            let n = usize::from(u16::from_le_bytes(*n));
            rest = after.get(n..)?;
            chunks.push(at + 2..at + 2 + n);
            at += 2 + n;
        }
        (rest.is_empty() && chunks.len() == len.div_ceil(CHUNK)).then_some(Self { small, chunks, len })
    }
}

impl fmt::Debug for Loose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loose").field("len", &self.len).finish_non_exhaustive()
    }
}

impl HasLen for Loose {
    fn len(&self) -> usize {
        self.len
    }
}

impl FileHandle for Loose {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "a file of documents makes no sense");
        if range.start >= range.end {
            return Ok(OwnedBytes::empty());
        }
        let mut bytes = Vec::with_capacity(range.len());
        for number in range.start / CHUNK..=(range.end - 1) / CHUNK {
            let chunk = self.chunks.get(number).and_then(|at| loosen(&self.small[at.clone()])).ok_or_else(wrong)?;
            let (from, to) = (range.start.saturating_sub(number * CHUNK), (range.end - number * CHUNK).min(CHUNK));
            bytes.extend_from_slice(chunk.get(from..to).ok_or_else(wrong)?);
        }
        Ok(OwnedBytes::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn small(bytes: &[u8]) -> Vec<u8> {
        let mut writing = Squeezing::new(Vec::new());
        writing.write_all(bytes).unwrap();
        if !writing.chunk.is_empty() {
            writing.chunk().unwrap();
        }
        let len = writing.len;
        [writing.to, len.to_le_bytes().to_vec()].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn whatever_is_written_is_read_and_what_is_torn_is_not(
            mut bytes in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..3 * CHUNK),
            from in 0..3 * CHUNK, len in 0..CHUNK, steps in any::<bool>(),
        ) {
            if steps {
                bytes = (0..bytes.len() as u32 / 4).flat_map(u32::to_le_bytes).collect();
            }
            let squeezed = small(&bytes);
            let loose = Loose::new(OwnedBytes::new(squeezed.clone())).unwrap();
            prop_assert_eq!(loose.len(), bytes.len());
            let range = from.min(bytes.len())..(from + len).min(bytes.len());
            let read = loose.read_bytes(range.clone()).unwrap();
            prop_assert_eq!(read.as_slice(), &bytes[range]);
            if steps && bytes.len() > 4_000 {
                prop_assert!(squeezed.len() < bytes.len() / 20, "{} of {}", squeezed.len(), bytes.len());
            }
            for cut in [0, 7, squeezed.len() / 2, squeezed.len() - 1] {
                if let Some(torn) = Loose::new(OwnedBytes::new(squeezed[..cut].to_vec())) {
                    let _ = torn.read_bytes(0..torn.len().min(CHUNK));
                }
            }
        }
    }
}
