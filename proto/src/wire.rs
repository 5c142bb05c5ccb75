//! Wire frames of `/parlor/sync/1`: what travels on the one sync stream of a connection.
//!
//! A stream carries [`LinkFrame`]s, each at most [`MAX_FRAME`] bytes (the network layer prefixes a length and knows
//! nothing else). [`LinkFrame::Room`] carries a [`RoomFrame`] of the session of one room, named by a channel number that
//! only the two ends can connect with a room. All frames are canonical postcard ([`crate::codec`]); byte strings inside
//! are [`Blob`]s. Enum tags are the position of the variant: new variants go to the end.
//!
//! The layout field by field is in `docs/spec/sync.md`. The rules are kept by [`crate::sync::PeerLink`] and
//! [`crate::sync::Session`]; this module only fixes the form and the limits.

use std::cmp::Ordering;
use std::fmt;

use parlor_crypto::Signature;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::{self, CodecError};
use crate::ids::{DeviceId, EpochId, EventId};

/// Largest frame on a sync stream in bytes: a full batch (128 KiB) and its framing fit with room to spare.
pub const MAX_FRAME: usize = 256 * 1024;
/// Version of the protocol on the stream that this code speaks. From 2 on a newest page can be asked for.
pub const LINK_VERSION: u16 = 2;
/// Version of the limits (`docs/spec/sync.md`) that this code keeps.
pub const LIMITS_VERSION: u16 = 1;
/// Probes that one side may send on one connection: more rooms than that are not offered. Bounds what a stranger can
/// make us remember to 64 KiB a connection.
pub const MAX_PROBES: usize = 4096;
/// Items in a [`RoomFrame::Compare`], [`RoomFrame::Tips`] or [`RoomFrame::Want`]: about 64 KiB of them.
pub const MAX_ITEMS: usize = 4096;
/// Events and records in one batch: with the smallest events the byte limit alone would allow more.
pub const MAX_BATCH_ITEMS: usize = 1024;
/// Payload bytes of a batch. A batch is one durable commit of the receiver.
pub const MAX_BATCH_BYTES: usize = 128 * 1024;

/// Messages in a [`Newest`] page: lines and what is said about them.
pub const MAX_NEWEST: usize = 512;

/// A byte string; `serde` writes it as bytes in one piece, not as a sequence of numbers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BlobVisitor)
    }
}

struct BlobVisitor;

impl<'de> Visitor<'de> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
        Ok(Blob(bytes.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Blob, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(Blob(bytes))
    }
}

/// One frame on a sync stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkFrame {
    /// First frame of both sides.
    Hello {
        /// [`LINK_VERSION`] of the sender; the connection speaks the smaller of both.
        version: u16,
        /// [`LIMITS_VERSION`] of the sender.
        limits: u16,
        /// Fresh random bytes; with the other side's they make everything below valid on this connection only.
        nonce: [u8; 32],
    },
    /// A blinded probe a room. The sender's probes are numbered from 0 over the life of the connection; the number of
    /// the initiator's probe is the channel of the room.
    Probes(Vec<[u8; 16]>),
    /// A [`RoomFrame`] of the room with this channel.
    Room {
        /// Channel of the room.
        channel: u16,
        /// An encoded [`RoomFrame`].
        bytes: Blob,
    },
    /// The sender no longer syncs the room with this channel. Frames still under way are ignored.
    Close {
        /// Channel of the room.
        channel: u16,
    },
}

/// One frame of the session of one room. Nothing but `Proof` is answered before the sender proved who it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoomFrame {
    /// A sealed [`Proof`], first frame of both sides.
    Proof(Blob),
    /// Opens a round of comparison, or answers one with the same number.
    Summary {
        /// Number of the round; the session's driver counts from 1.
        round: u32,
        /// What the sender lets the receiver know of its tables, by what the receiver is to it.
        told: Told,
    },
    /// One turn of a comparison: each side answers a `Compare` with one, until one is empty.
    Compare {
        /// Round that this belongs to.
        round: u32,
        /// What to look at.
        items: Vec<CompareItem>,
    },
    /// "Send me what follows `have`".
    Want(Vec<Want>),
    /// Events and records, oldest first, to be stored and acknowledged as one.
    Batch {
        /// Counts from 0 for each sender.
        id: u32,
        /// Events and records.
        items: Vec<Item>,
    },
    /// The batch was processed. Sent only after the durable commit.
    Ack {
        /// Batch.
        id: u32,
        /// Whether all of it is stored now. `false`: some was not accepted (yet), so nothing may be concluded.
        stored: bool,
    },
    /// The sender's series reach this far now.
    Tips(Vec<Entry>),
    /// A request for something outside the logs.
    Ask {
        /// Chosen by the asker.
        id: u32,
        /// What for.
        what: Asked,
    },
    /// The answer to `Ask`.
    Answer {
        /// The asker's number.
        id: u32,
        /// The bytes, or `None` when the sender does not have or does not give it.
        bytes: Option<Blob>,
    },
    /// "Open a new round": the sender's view of the receiver, or its own logs, changed.
    Again,
    /// What the sender holds of the receiver's own control and message log. Told once, to a member.
    Yours(Vec<Entry>),
}

/// What a device signs to show that it stands behind this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The device.
    pub device: DeviceId,
    /// Its signature (label "sync proof") over `room || side || version u16 || connection`.
    pub signature: Signature,
}

/// What a side tells in a summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// Nothing: the receiver is a stranger (yet).
    Nothing,
    /// The digest of the control logs that the receiver may have: it is a member no more.
    Control([u8; 16]),
    /// All: the receiver is a member.
    All(Digests),
}

/// Digests of everything that sync compares; equal digests mean equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Of all control logs.
    pub control: [u8; 16],
    /// Of all message logs.
    pub messages: [u8; 16],
    /// Of what stands beside the logs: leaf records, markers, bindings, profiles.
    pub records: [u8; 16],
    /// What the control events mean to the sender: the beginning of [`crate::room::Room::fingerprint`]. `None` while it is not of
    /// exactly these logs. No part of the content.
    pub view: Option<[u8; 8]>,
}

/// A series by its tag: a hash of kind and device salted with the connection, so that nobody can prepare collisions.
pub type SeriesTag = [u8; 6];

/// Where one series ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Series.
    pub tag: SeriesTag,
    /// Sequence number of its last event, or counter of the newest record.
    pub seq: u64,
    /// Salted hash of that event's id, to notice forks. Other in every round, so that none is missed twice.
    pub check: [u8; 2],
}

/// "Send me what follows".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    /// Series.
    pub tag: SeriesTag,
    /// The last sequence number or counter that the sender holds, 0 for none.
    pub have: u64,
}

/// A part of a table: the series whose tags begin with a run of hexadecimal digits. As a number those digits with a 1
/// before them, so that 1 is the whole table and `0x1a0` what begins with `a0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path(pub u64);

impl Path {
    /// The whole table.
    pub const ROOT: Self = Self(1);
    /// Digits of a tag.
    pub const MAX_DIGITS: u32 = 12;

    /// How many digits it has; `None` if the number is no path.
    pub fn digits(self) -> Option<u32> {
        let bits = self.0.checked_ilog2()?;
        (bits.is_multiple_of(4) && bits / 4 <= Self::MAX_DIGITS).then_some(bits / 4)
    }

    /// This path with one more digit, below 16. `None` of a path that has all digits, or is none.
    pub fn child(self, digit: u8) -> Option<Self> {
        let grows = digit < 16 && self.digits()? < Self::MAX_DIGITS;
        grows.then_some(Self(self.0 << 4 | u64::from(digit)))
    }

    /// Where a tag stands to this part: before, in or after it. Of what is no path: after it.
    pub fn place(self, tag: &SeriesTag) -> Ordering {
        let Some(digits) = self.digits() else { return Ordering::Greater };
        let tag = tag.iter().fold(1, |number: u64, byte| number << 8 | u64::from(*byte));
        (tag >> (4 * (Self::MAX_DIGITS - digits))).cmp(&self.0)
    }
}

/// One item of a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CompareItem {
    /// The sender's entries below `path`, split by the next digit: one digest for each bit of `children` that is set,
    /// ascending.
    Split {
        /// Which part.
        path: Path,
        /// Bit i: there are entries below digit i.
        children: u16,
        /// Their digests.
        digests: Vec<[u8; 2]>,
    },
    /// All entries of the sender below `path`.
    List {
        /// Which part.
        path: Path,
        /// Entries, by tag ascending.
        entries: Vec<Entry>,
    },
    /// "Tell me more about what you have below `path`; I tell nothing."
    Tell {
        /// Which part.
        path: Path,
    },
}

/// Kind of an item of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SeriesKind {
    /// Control log.
    Control,
    /// Message log.
    Message,
    /// Leaf records: only the newest counts.
    Leaf,
    /// Delivery markers: only the newest counts.
    Marker,
    /// Peer bindings: only the newest counts.
    Binding,
    /// Profiles: only the newest counts.
    Profile,
    /// Pictures of profiles: only the newest counts.
    Portrait,
}

/// One event or record as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What it is.
    pub kind: SeriesKind,
    /// The bytes as their author signed them.
    pub bytes: Blob,
}

/// Something outside the logs that one may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Asked {
    /// A page of rows of a Rotate, by its hash.
    Page([u8; 32]),
    /// The key of an epoch, sealed to the asker's leaf.
    Key(EpochId),
    /// A control event, which another event has for an ancestor.
    Event(EventId),
    /// The messages written last ([`Newest`]), to be shown before the logs have come so far. From version 2 on.
    Newest,
}

/// The answer to [`Asked::Newest`]: messages as their authors signed them, the newest first, and what is said about them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest(pub Vec<Blob>);

impl Newest {
    /// Encodes the page.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a page of at most [`MAX_BATCH_BYTES`] and [`MAX_NEWEST`] messages.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let page: Self = codec::decode(bytes, MAX_BATCH_BYTES)?;
        if page.0.len() > MAX_NEWEST { Err(CodecError::TooLong { limit: MAX_NEWEST }) } else { Ok(page) }
    }

    /// A page of as many of these messages as fit, in their order.
    pub fn of(events: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut page = NewestPage::default();
        let _all = events.into_iter().all(|event| page.add([event]));
        page.page()
    }
}

/// A page that is put together.
#[derive(Debug, Clone, Default)]
pub struct NewestPage {
    events: Vec<Blob>,
    bytes: usize,
}

impl NewestPage {
    /// Adds messages that belong together, if all of them fit; whether they did.
    pub fn add(&mut self, events: impl IntoIterator<Item = Vec<u8>>) -> bool {
        /// Beside the bytes of a message its length, and that of the list.
        const FRAMING: usize = 4;
        let events: Vec<Blob> = events.into_iter().map(Blob).collect();
        let bytes = self.bytes + events.iter().map(|event| event.0.len() + FRAMING).sum::<usize>();
        let fits = bytes + FRAMING <= MAX_BATCH_BYTES && self.events.len() + events.len() <= MAX_NEWEST;
        if fits {
            self.bytes = bytes;
            self.events.extend(events);
        }
        fits
    }

    /// What was added, in its order.
    pub fn page(self) -> Newest {
        Newest(self.events)
    }
}

impl Digests {
    /// Whether both are of the same content.
    pub fn same_content(&self, other: &Self) -> bool {
        (self.control, self.messages, self.records) == (other.control, other.messages, other.records)
    }

    /// Whether the other side sees another room in the same control events; `None` where that can not be told.
    pub fn split_from(&self, other: &Self) -> Option<bool> {
        let (ours, theirs) = self.view.zip(other.view)?;
        (self.control == other.control).then_some(ours != theirs)
    }

    /// The digest that series of this kind are in.
    pub fn of(&self, kind: SeriesKind) -> [u8; 16] {
        match kind {
            SeriesKind::Control => self.control,
            SeriesKind::Message => self.messages,
            SeriesKind::Leaf
            | SeriesKind::Marker
            | SeriesKind::Binding
            | SeriesKind::Profile
            | SeriesKind::Portrait => self.records,
        }
    }
}

impl LinkFrame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a frame of at most [`MAX_FRAME`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_FRAME)
    }
}

impl RoomFrame {
    /// Encodes the frame.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a frame of at most [`MAX_FRAME`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_FRAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_the_digits_of_the_tags_in_its_part() {
        let tag = [0xa0, 0x1f, 0, 0, 0, 0xff];
        let below = [1, 0x1a, 0x1a0, 0x1a01, 0x1a01f, 0x1_a01f_0000_00ff];
        assert!(below.iter().all(|path| Path(*path).place(&tag).is_eq()));
        assert!(Path(0x1a1).place(&tag).is_lt() && Path(0x19).place(&tag).is_gt());
        assert_eq!(Path::ROOT.child(10).and_then(|path| path.child(0)), Some(Path(0x1a0)));
        assert_eq!((Path(0x1_a01f_0000_00ff).child(0), Path::ROOT.child(16)), (None, None));
        for no_path in [0, 2, 0x2a, 0x8000_0000_0000_0000, u64::MAX, 0x10_0000_0000_0000_0000_u128 as u64] {
            assert_eq!(Path(no_path).digits(), None, "{no_path:x}");
        }
    }

    #[test]
    fn frames_survive_their_encoding_and_nothing_else_decodes() {
        let batch =
            RoomFrame::Batch { id: 7, items: vec![Item { kind: SeriesKind::Message, bytes: Blob(vec![1, 2, 3]) }] };
        let frame = LinkFrame::Room { channel: 3, bytes: Blob(batch.encode()) };
        let bytes = frame.encode();
        assert_eq!(LinkFrame::decode(&bytes), Ok(frame));
        assert_eq!(RoomFrame::decode(&batch.encode()), Ok(batch));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(LinkFrame::decode(&longer), Err(CodecError::NotCanonical));
        assert!(LinkFrame::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(LinkFrame::decode(&vec![0; MAX_FRAME + 1]).is_err());
    }

    #[test]
    fn a_newest_page_holds_what_fits_and_no_more() {
        let page = Newest::of(std::iter::repeat_n(vec![7; 100], 2_000));
        assert_eq!(page.0.len(), MAX_NEWEST);
        assert_eq!(Newest::decode(&page.encode()), Ok(page));
        let page = Newest::of(std::iter::repeat_n(vec![7; 24_000], 20));
        assert_eq!(page.0.len(), 5);
        assert!(page.encode().len() <= MAX_BATCH_BYTES);
        let many = Newest(vec![Blob::default(); MAX_NEWEST + 1]);
        assert!(Newest::decode(&many.encode()).is_err());
    }

    #[test]
    fn a_promised_length_allocates_nothing() {
        // Tag of `Room`, channel 0, then a length of about 2^63 with nothing behind it.
        assert!(LinkFrame::decode(&[2, 0, 255, 255, 255, 255, 255, 255, 255, 255, 127]).is_err());
        // `Probes` that promises 2^40 entries.
        assert!(LinkFrame::decode(&[1, 128, 128, 128, 128, 128, 64]).is_err());
    }
}
