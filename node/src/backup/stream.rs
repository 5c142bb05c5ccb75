//! Records as frames, and back: one frame in memory on either side.

use std::io::Read;

use parlor_api::{Code, Problem};
use parlor_crypto::backup::{FRAME_HEAD, FRAME_PLAIN, HEAD_LEN, Opener, Sealer};
use parlor_crypto::vault::{Stretch, Unlock};
use parlor_proto::codec;
use zeroize::Zeroizing;

use super::record::{MAX_RECORD, Record};
use super::{damaged, problem};
use crate::account::rng;

/// Where the bytes of a backup go. An error ends the writing.
pub(crate) trait Sink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// Whoever wanted them is gone, or can not take them.
    fn take(&mut self, bytes: Vec<u8>) -> Result<(), Problem>;
}

/// Writes records.
pub(super) struct Writer<'a> {
    sealer: Sealer,
    plain: Zeroizing<Vec<u8>>,
    to: &'a mut dyn Sink,
}

impl<'a> Writer<'a> {
    /// Begins. Blocks for the time of Argon2id with a passphrase.
    pub(super) fn begin(with: Unlock<'_>, to: &'a mut dyn Sink) -> Result<Self, Problem> {
        let made = Sealer::new(&mut rng(), with, Stretch::RECOMMENDED);
        let (sealer, head) = made.map_err(|error| Problem::new(Code::Usage, error.to_string()))?;
        to.take(head)?;
        // Of its final size from the beginning: a buffer that grows leaves what it held behind.
        Ok(Self { sealer, plain: Zeroizing::new(Vec::with_capacity(FRAME_PLAIN)), to })
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<(), Problem> {
        let bytes = Zeroizing::new(codec::encode(record));
        let length = u32::try_from(bytes.len()).ok().filter(|n| *n as usize <= MAX_RECORD);
        let length = length.ok_or_else(|| Problem::new(Code::Internal, "a value is too long for a backup"))?;
        self.fill(&length.to_be_bytes())?;
        self.fill(&bytes)
    }

    fn fill(&mut self, mut bytes: &[u8]) -> Result<(), Problem> {
        while !bytes.is_empty() {
            // A full frame waits for one byte more: the last one is never empty.
            if self.plain.len() == FRAME_PLAIN {
                self.flush(false)?;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(FRAME_PLAIN - self.plain.len()));
            self.plain.extend_from_slice(now);
            bytes = rest;
        }
        Ok(())
    }

    fn flush(&mut self, last: bool) -> Result<(), Problem> {
        let frame = self.sealer.seal(&mut rng(), &self.plain, last);
        zeroize::Zeroize::zeroize(&mut *self.plain);
        self.plain.clear();
        self.to.take(frame)
    }

    /// Ends it: without this, nobody takes it for a backup.
    pub(super) fn end(mut self) -> Result<(), Problem> {
        self.flush(true)
    }
}

/// Reads records.
pub(super) struct Reader<R> {
    opener: Opener,
    from: R,
    plain: Zeroizing<Vec<u8>>,
    at: usize,
}

impl<R: Read> Reader<R> {
    /// Begins. `with` is told what the head says. Blocks for the time of Argon2id with a passphrase.
    pub(super) fn begin(mut from: R, with: Unlock<'_>) -> Result<Self, Problem> {
        let mut head = [0; HEAD_LEN];
        read(&mut from, &mut head)?;
        let opener = Opener::new(&head, with).map_err(|error| problem(&error))?;
        Ok(Self { opener, from, plain: Zeroizing::default(), at: 0 })
    }

    /// The next record; `None` after the last one, when the whole file was verified.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Problem> {
        if self.at == self.plain.len() && !self.refill()? {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.take(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_RECORD {
            return Err(damaged("a record is longer than any is"));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        self.take(&mut bytes)?;
        codec::decode(&bytes, MAX_RECORD).map(Some).map_err(|_| damaged("a record is none"))
    }

    fn take(&mut self, mut into: &mut [u8]) -> Result<(), Problem> {
        while !into.is_empty() {
            if self.at == self.plain.len() && !self.refill()? {
                return Err(damaged("it ends within a record"));
            }
            let here = self.plain.get(self.at..).unwrap_or_default();
            let now = here.len().min(into.len());
            let (to, rest) = std::mem::take(&mut into).split_at_mut(now);
            for (to, from) in to.iter_mut().zip(here) {
                *to = *from;
            }
            self.at += now;
            into = rest;
        }
        Ok(())
    }

    /// Opens the next frame; `false` after the last one.
    fn refill(&mut self) -> Result<bool, Problem> {
        if self.opener.has_ended() {
            return match self.from.read(&mut [0]) {
                Ok(0) => Ok(false),
                Ok(_) => Err(damaged("something stands behind its end")),
                Err(error) => Err(unreadable(&error)),
            };
        }
        let mut head = [0; FRAME_HEAD];
        read(&mut self.from, &mut head)?;
        let (length, last) = Opener::length(head).map_err(|error| problem(&error))?;
        let mut sealed = vec![0; length];
        read(&mut self.from, &mut sealed)?;
        self.plain = Zeroizing::new(self.opener.open(&sealed, last).map_err(|error| problem(&error))?);
        self.at = 0;
        Ok(!self.plain.is_empty())
    }
}

fn read(from: &mut impl Read, into: &mut [u8]) -> Result<(), Problem> {
    from.read_exact(into).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => damaged("it was cut short"),
        _ => unreadable(&error),
    })
}

fn unreadable(error: &std::io::Error) -> Problem {
    Problem::new(Code::HomeDenied, format!("could not read the backup: {error}"))
}

/// A file in memory.
#[cfg(test)]
#[derive(Default)]
pub(super) struct File(pub(super) Vec<u8>);

#[cfg(test)]
impl Sink for File {
    fn take(&mut self, bytes: Vec<u8>) -> Result<(), Problem> {
        self.0.extend(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A key file: passphrases take their time.
    const KEY: parlor_crypto::Secret = parlor_crypto::Secret::new([7; 32]);

    fn written(values: &[Vec<u8>]) -> Vec<u8> {
        let mut file = File::default();
        let mut writer = Writer::begin(Unlock::KeyFile(&KEY), &mut file).unwrap();
        for value in values {
            writer.write(&Record::Control(value.clone())).unwrap();
        }
        writer.end().unwrap();
        file.0
    }

    fn read_all(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
        let mut reader = Reader::begin(bytes, Unlock::KeyFile(&KEY))?;
        let mut values = Vec::new();
        while let Some(record) = reader.next()? {
            let Record::Control(value) = record else { panic!("another record") };
            values.push(value);
        }
        Ok(values)
    }

    #[test]
    fn records_of_all_lengths_come_back_whatever_frames_they_fall_into() {
        // Around the ends of frames: a length takes four bytes, a record some around its value.
        for beyond in 0..16 {
            let values = vec![vec![1; FRAME_PLAIN - beyond], vec![], vec![2; 3], vec![3; MAX_RECORD - 16]];
            let bytes = written(&values);
            assert_eq!(read_all(&bytes).unwrap(), values);
            assert!(bytes.len() < values.iter().map(Vec::len).sum::<usize>() + 1_024, "little is added");
        }
    }

    #[test]
    fn what_is_too_long_for_a_record_is_not_written() {
        let mut file = File::default();
        let mut writer = Writer::begin(Unlock::KeyFile(&KEY), &mut file).unwrap();
        assert!(writer.write(&Record::Control(vec![0; MAX_RECORD])).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn random_records_come_back_and_no_change_or_cut_goes_unnoticed(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40_000), 0..6),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let bytes = written(&values);
            prop_assert_eq!(&read_all(&bytes).unwrap(), &values);
            let mut changed = bytes.clone();
            let at = at.index(bytes.len());
            changed[at] ^= 1 << bit;
            prop_assert!(read_all(&changed).is_err());
            prop_assert!(read_all(&bytes[..at]).is_err());
        }
    }
}
