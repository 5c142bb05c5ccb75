//! What is said on a line of `/parlor/blob/1`: who fetches asks, who serves tells.
//!
//! ```text
//! ask    01 | id [32]                 what have you of this file?
//!        02 | slot u32                give me this chunk of it
//! told   81                           all of it
//!        82 | bits                    these slots: one bit each from 0 to the last, the lowest of a byte first
//!        83 | slot u32 | chunk        here
//!        84 | slot u32                not here
//!        85                           no file of a room in which we are both members
//! ```
//! Numbers are big-endian. A chunk is asked for after the file was; another question for the same file asks anew what is there.

use parlor_crypto::file::{CHUNK_LEN, TAG};

use super::{Bits, Layout};
use crate::ids::FileId;

/// Longest frame in bytes: a whole chunk, sealed, with its slot.
pub const BLOB_FRAME_MAX: usize = 1 + 4 + CHUNK_LEN + TAG;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// What have you of this file?
    Have(FileId),
    /// Give me this chunk of it.
    Chunk(u32),
}

/// An answer, the chunk still inside the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<'a> {
    /// All of it.
    All,
    /// What these bits say, for a file of as many slots: see [`Bits::from_bytes`].
    Some(&'a [u8]),
    /// The sealed bytes of a chunk.
    Chunk(u32, &'a [u8]),
    /// That chunk is not here.
    Lacks(u32),
    /// No file of a room that both are in.
    Refused,
}

/// Bytes that are no frame of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not a frame at all.
    #[error("not a frame of this protocol")]
    Malformed,
    /// A chunk was asked for before a file.
    #[error("a chunk of no file")]
    NoFile,
}

impl Ask {
    /// Its frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Have(file) => [&[1], file.0.as_slice()].concat(),
            Self::Chunk(slot) => [&[2], slot.to_be_bytes().as_slice()].concat(),
        }
    }

    /// The question of a frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(frame: &[u8]) -> Result<Self, FrameError> {
        let (tag, rest) = frame.split_first().ok_or(FrameError::Malformed)?;
        match tag {
            1 => rest.try_into().map(|id| Self::Have(FileId(id))),
            2 => rest.try_into().map(|slot| Self::Chunk(u32::from_be_bytes(slot))),
            _ => return Err(FrameError::Malformed),
        }
        .map_err(|_| FrameError::Malformed)
    }
}

impl<'a> Told<'a> {
    /// Its frame.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::All => vec![0x81],
            Self::Some(bits) => [&[0x82], *bits].concat(),
            Self::Chunk(slot, chunk) => [&[0x83], slot.to_be_bytes().as_slice(), chunk].concat(),
            Self::Lacks(slot) => [&[0x84], slot.to_be_bytes().as_slice()].concat(),
            Self::Refused => vec![0x85],
        }
    }

    /// The answer in a frame.
    ///
    /// # Errors
    /// [`FrameError::Malformed`].
    pub fn decode(frame: &'a [u8]) -> Result<Self, FrameError> {
        let slot = |rest: &[u8]| rest.try_into().map(u32::from_be_bytes).map_err(|_| FrameError::Malformed);
        match frame.split_first() {
            Some((0x81, [])) => Ok(Self::All),
            Some((0x82, bits)) => Ok(Self::Some(bits)),
            Some((0x83, rest)) => {
                let (number, chunk) = rest.split_at_checked(4).ok_or(FrameError::Malformed)?;
                Ok(Self::Chunk(slot(number)?, chunk))
            }
            Some((0x84, rest)) => slot(rest).map(Self::Lacks),
            Some((0x85, [])) => Ok(Self::Refused),
            _ => Err(FrameError::Malformed),
        }
    }

    /// What somebody has of a file, as far as these bits say something of a file of this layout.
    ///
    /// # Errors
    /// [`FrameError::Malformed`] for the bits of another file.
    pub fn bits(bytes: &[u8], layout: &Layout) -> Result<Bits, FrameError> {
        Bits::from_bytes(bytes, layout.end()).ok_or(FrameError::Malformed)
    }
}

/// The side of a line that serves: what a frame asks for, and of which file.
#[derive(Debug, Default)]
pub struct Server {
    file: Option<FileId>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// What is here of this file.
    Have(FileId),
    /// A chunk of it.
    Chunk(FileId, u32),
}

impl Server {
    /// Takes a frame.
    ///
    /// # Errors
    /// See [`FrameError`]: the line is to be ended.
    pub fn asked(&mut self, frame: &[u8]) -> Result<Served, FrameError> {
        match Ask::decode(frame)? {
            Ask::Have(file) => {
                self.file = Some(file);
                Ok(Served::Have(file))
            }
            Ask::Chunk(slot) => self.file.map(|file| Served::Chunk(file, slot)).ok_or(FrameError::NoFile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_and_everything_else_is_refused() {
        for ask in [Ask::Have(FileId([7; 32])), Ask::Chunk(0), Ask::Chunk(u32::MAX)] {
            let frame = ask.encode();
            assert_eq!(Ask::decode(&frame), Ok(ask));
            assert!(Ask::decode(&frame[..frame.len() - 1]).is_err());
            assert!(Ask::decode(&[&frame[..], &[0]].concat()).is_err());
        }
        for told in [Told::All, Told::Some(&[1, 2]), Told::Chunk(9, b"chunk"), Told::Lacks(9), Told::Refused] {
            let frame = told.encode();
            assert_eq!(Told::decode(&frame), Ok(told));
        }
        for bad in [&[][..], &[0], &[3], &[0x81, 0], &[0x83, 0, 0, 0], &[0x84, 0, 0, 0, 0, 0], &[0x85, 1], &[0x86]] {
            assert!(Told::decode(bad).is_err() && Ask::decode(bad).is_err(), "{bad:?}");
        }
        let whole = vec![7; CHUNK_LEN + TAG];
        assert_eq!(Told::Chunk(1, &whole).encode().len(), BLOB_FRAME_MAX);
    }

    #[test]
    fn a_chunk_of_no_file_is_not_served() {
        let mut server = Server::default();
        assert_eq!(server.asked(&Ask::Chunk(2).encode()), Err(FrameError::NoFile));
        let file = FileId([1; 32]);
        assert_eq!(server.asked(&Ask::Have(file).encode()), Ok(Served::Have(file)));
        assert_eq!(server.asked(&Ask::Chunk(2).encode()), Ok(Served::Chunk(file, 2)));
    }
}
