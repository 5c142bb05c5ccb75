//! The mark: what was durable, kept beside the log in a file of 40 bytes.
//!
//! ```text
//! group u64 | end of the log i64 (sled's sequence number) | length of the file u64 | check [16]
//! check = blind(mark, all before)
//! ```
//! It is written after each group, without a sync of its own: kill -9 cannot lose it, and after power loss it is at most
//! behind. So it never promises more than log and journal hold together, and if they end before it something is lost. End
//! and length are those of the last flush of the log. A mark that
//! is missing or damaged promises nothing; the store opens without that help.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::schema::NO_ROOM;
use crate::seal::{Blind, Sealer};

/// What was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The last durable group.
    pub(crate) group: u64,
    /// Everything up to this sequence number of sled's was on disk, itself included.
    pub(crate) end: i64,
    /// The length of the log file then.
    pub(crate) len: u64,
}

const BODY: usize = 24;
const LEN: usize = BODY + 16;

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct MarkFile(File);

impl Mark {
    /// Nothing promised.
    pub(crate) const NONE: Self = Self { group: 0, end: i64::MIN, len: 0 };

    /// The mark in the file at `path`.
    pub(crate) fn read(path: &Path, sealer: &Sealer) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(LEN);
        match File::open(path) {
            Ok(file) => file.take(LEN as u64 + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::NONE),
            Err(error) => return Err(error),
        };
        Ok(Self::parse(&bytes, sealer).unwrap_or_else(|| {
            tracing::warn!("the mark beside the log is damaged; opening without it");
            Self::NONE
        }))
    }

    pub(crate) fn parse(bytes: &[u8], sealer: &Sealer) -> Option<Self> {
        let (body, check) = bytes.split_at_checked(BODY)?;
        if sealer.blind(Blind::Mark, NO_ROOM, body) != check {
            return None;
        }
        let (group, rest) = body.split_first_chunk()?;
        let (end, len) = rest.split_first_chunk()?;
        let len = u64::from_be_bytes(len.try_into().ok()?);
        Some(Self { group: u64::from_be_bytes(*group), end: i64::from_be_bytes(*end), len })
    }
}

impl MarkFile {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        File::options().write(true).create(true).truncate(false).open(path).map(Self)
    }

    /// Writes the mark in one call, so that a kill leaves the old or the new one.
    pub(crate) fn write(&mut self, mark: Mark, sealer: &Sealer) -> io::Result<()> {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&mark.group.to_be_bytes());
        bytes[8..16].copy_from_slice(&mark.end.to_be_bytes());
        bytes[16..BODY].copy_from_slice(&mark.len.to_be_bytes());
        let check = sealer.blind(Blind::Mark, NO_ROOM, &bytes[..BODY]);
        bytes[BODY..].copy_from_slice(&check);
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(&bytes)
    }
}
