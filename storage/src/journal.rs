//! The journal: what makes a group durable.
//!
//! A group is one record: the rows that it writes and removes, as they go into sled, with a check. One write and one
//! `fdatasync` on space that was taken and zeroed before make it durable, and nothing else has to be; the rows go into
//! sled afterwards, which puts them on disk in its own time. Opening applies the records that sled does not hold yet.
//!
//! ```text
//! record = length of rows u32 | group u64 | rows | check [16]       check = blind(journal, 0, all before)
//! row    = tree u8 | length of key u8 | 0 u32, removes; or length of value + 1 u32 | key | value
//! ```
//! Records stand one after the other, their groups without gaps. When the file is full sled is made durable and it begins
//! anew: what is left of older records ends the row of groups. Everything in it is sealed or blind, as in sled.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::limits::{JOURNAL_BYTES, JOURNAL_STEP};
use crate::schema::{NO_ROOM, TreeId};
use crate::seal::{Blind, Sealer};
use crate::value::Row;

const HEAD: usize = 12;
const CHECK: usize = 16;

/// The file, open for writing.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Where the next record goes.
    end: u64,
    /// Up to where the file is there, zeroed or written.
    len: u64,
}

/// A group as the journal holds it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) group: u64,
    pub(crate) rows: Vec<Row>,
}

impl Journal {
    /// Opens the journal at `path`, to be written from its beginning: everything in it is in sled, durably.
    pub(crate) fn begin(path: &Path) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(false).open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, end: 0, len })
    }

    /// Makes a group durable. After an error it may be there or not.
    pub(crate) fn append(&mut self, group: u64, rows: &[Row], sealer: &Sealer) -> io::Result<()> {
        let record = record(group, rows, sealer)?;
        let end = self.end + record.len() as u64;
        if end > self.len {
            let len = end.next_multiple_of(JOURNAL_STEP);
            self.file.seek(SeekFrom::Start(self.len))?;
            io::copy(&mut io::repeat(0).take(len - self.len), &mut self.file)?;
            self.len = len;
        }
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&record)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }

    /// Whether it is time to make sled durable and begin anew.
    pub(crate) fn is_full(&self) -> bool {
        self.end >= JOURNAL_BYTES
    }

    /// Everything in it is in sled, durably: what comes is written over it.
    pub(crate) fn restart(&mut self) {
        self.end = 0;
    }
}

/// The groups that the journal at `path` holds: from its beginning, as long as they follow each other.
pub(crate) fn read(path: &Path, sealer: &Sealer) -> io::Result<Vec<Record>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut records: Vec<Record> = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(record) = next(&mut rest, sealer)
        && records.last().is_none_or(|last| last.group.checked_add(1) == Some(record.group))
    {
        records.push(record);
    }
    Ok(records)
}

pub(crate) fn record(group: u64, rows: &[Row], sealer: &Sealer) -> io::Result<Vec<u8>> {
    let content: usize = rows.iter().map(|row| 6 + row.key.len() + row.value.as_ref().map_or(0, Vec::len)).sum();
    let len = u32::try_from(content).map_err(|_| io::Error::other("a group is too large"))?;
    let mut bytes = Vec::with_capacity(HEAD + content + CHECK);
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.extend_from_slice(&group.to_be_bytes());
    for Row { tree, key, value } in rows {
        // Keys have at most 24 bytes, and a value is smaller than its record.
        bytes.extend_from_slice(&[*tree as u8, key.len() as u8]);
        bytes.extend_from_slice(&value.as_ref().map_or(0, |value| value.len() as u32 + 1).to_be_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.as_deref().unwrap_or_default());
    }
    let check = sealer.blind(Blind::Journal, NO_ROOM, &bytes);
    bytes.extend_from_slice(&check);
    Ok(bytes)
}

/// The record at the beginning of `bytes`, which then begin after it.
pub(crate) fn next(bytes: &mut &[u8], sealer: &Sealer) -> Option<Record> {
    let len = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
    let (body, rest) = bytes.split_at_checked(HEAD + len)?;
    let (check, rest) = rest.split_first_chunk::<CHECK>()?;
    if sealer.blind(Blind::Journal, NO_ROOM, body) != *check {
        return None;
    }
    let (_, body) = body.split_first_chunk::<4>()?;
    let (group, mut body) = body.split_first_chunk()?;
    let mut rows = Vec::new();
    while !body.is_empty() {
        rows.push(row(&mut body)?);
    }
    *bytes = rest;
    Some(Record { group: u64::from_be_bytes(*group), rows })
}

fn row(bytes: &mut &[u8]) -> Option<Row> {
    let ([tree, key], rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::from(*key))?;
    let len = u32::from_be_bytes(*value).checked_sub(1);
    let (value, rest) = rest.split_at_checked(len.unwrap_or(0) as usize)?;
    *bytes = rest;
    Some(Row { tree: TreeId::of(*tree)?, key: key.to_vec(), value: len.map(|_| value.to_vec()) })
}

#[cfg(test)]
mod tests {
    use parlor_crypto::vault::Vault;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn sealer() -> Sealer {
        Sealer::new(&Vault::generate(&mut StdRng::seed_from_u64(1)))
    }

    fn rows(n: u8) -> Vec<Row> {
        vec![
            Row::new(TreeId::Timeline, &[n; 24], vec![n; 300]),
            Row::removal(TreeId::Unread, &[n; 24]),
            Row::new(TreeId::Unread, &[n; 4], Vec::new()),
        ]
    }

    fn groups(path: &Path) -> Vec<u64> {
        read(path, &sealer()).unwrap().iter().map(|record| record.group).collect()
    }

    #[test]
    fn what_was_appended_is_read_and_what_is_left_of_older_groups_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        assert!(groups(&path).is_empty());
        let mut journal = Journal::begin(&path).unwrap();
        for group in 5..9 {
            journal.append(group, &rows(group as u8), &sealer()).unwrap();
        }
        let found = read(&path, &sealer()).unwrap();
        assert_eq!(found.iter().map(|record| record.group).collect::<Vec<_>>(), [5, 6, 7, 8]);
        assert_eq!(found[2].rows, rows(7));
        journal.restart();
        journal.append(9, &rows(9), &sealer()).unwrap();
        assert_eq!(groups(&path), [9], "6, 7 and 8 are still there");
    }

    #[test]
    fn a_record_with_any_bit_changed_or_cut_anywhere_is_none() {
        let whole = record(3, &rows(1), &sealer()).unwrap();
        assert!(next(&mut whole.as_slice(), &sealer()).is_some());
        for at in 0..whole.len() {
            assert_eq!(next(&mut &whole[..at], &sealer()), None);
            let mut changed = whole.clone();
            changed[at] ^= 1 << (at % 8);
            assert_eq!(next(&mut changed.as_slice(), &sealer()), None, "byte {at}");
        }
    }
}
