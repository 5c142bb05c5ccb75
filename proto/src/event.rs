//! Events: what devices write in a room, signed and hash-chained.
//!
//! Every device keeps two logs in a room: a control log (who may do what, and keys) and a message log. An event is one
//! entry of one log. On the wire and on disk it is one byte string:
//!
//! ```text
//! u16 big endian: length of the header | header | signature[64] | payload
//! control header: v | suite | kind | device[32] | seq | prev[32] | parents | lamport | ts_ms | payload_len | payload_hash[32]
//! message header: v | suite | kind | device[32] | seq | prev[32] | parents | control | hlc | epoch[16] | slice | gen | salt[16]
//!                 | payload_len | payload_hash[32]
//! ```
//!
//! Headers are postcard (numbers are varints, lists carry their length). `kind` is one byte: below [`MESSAGE_KIND`] a
//! control event, from there on a message. The id is a hash of room id and header, the signature covers a domain label,
//! the room id and the header, so neither can be moved to another room. The room id itself is never in an event; a
//! genesis is hashed under 32 zero bytes, and its id *is* the room id.
//!
//! A message may come **bare**, without its payload, when its time is over ([`crate::room::fading`]): id and signature are of
//! the header alone, and so is its place in the log.
//!
//! [`Event::decode`] promises: limits kept, the only encoding, payload matches its hash, parents strictly ascending,
//! `prev` zero exactly at `seq` 1. It does **not** check the signature ([`Event::verify`]) nor the rules of the room
//! ([`crate::validity`]).

use std::fmt;
use std::sync::Arc;

use parlor_crypto::{PublicKey, Signature, SigningKey, hash, label};
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError};
use crate::hlc::Hlc;
use crate::ids::{DeviceId, EpochId, EventId, RoomId};
use crate::limits;

/// From this number on `kind` says that an event is a message. There is one kind of message in a header: what it is
/// inside is encrypted ([`crate::body`]).
pub const MESSAGE_KIND: u8 = 0x80;
/// The kind of the first event of a room.
pub const GENESIS_KIND: u8 = 1;

/// Which of a device's two logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LogKind {
    /// Who may do what, and keys.
    Control,
    /// Messages.
    Message,
}

/// One log of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogId {
    /// Whose.
    pub device: DeviceId,
    /// Which of the two.
    pub kind: LogKind,
}

/// The header of an event in a control log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlHeader {
    /// [`limits::VERSION`].
    pub v: u8,
    /// [`limits::SUITE`].
    pub suite: u8,
    /// What the payload is: a number below [`MESSAGE_KIND`], see [`crate::control`].
    pub kind: u8,
    /// The author.
    pub device: DeviceId,
    /// Place in the log, dense from 1.
    pub seq: u64,
    /// The event before it in the log; zero at `seq` 1.
    pub prev: EventId,
    /// Control events of others that the author held and nobody had built on, at most 8, ascending.
    pub parents: Vec<EventId>,
    /// 1 + the greatest of `prev` and `parents`.
    pub lamport: u64,
    /// The author's clock in milliseconds since the epoch. Only invites look at it.
    pub ts_ms: u64,
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// Hash of the payload.
    pub payload_hash: [u8; 32],
}

/// The header of an event in a message log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageHeader {
    /// [`limits::VERSION`].
    pub v: u8,
    /// [`limits::SUITE`].
    pub suite: u8,
    /// [`MESSAGE_KIND`].
    pub kind: u8,
    /// The author.
    pub device: DeviceId,
    /// Place in the log, dense from 1.
    pub seq: u64,
    /// The event before it in the log; zero at `seq` 1.
    pub prev: EventId,
    /// Messages of others that the author held and nobody had built on, at most 8, ascending.
    pub parents: Vec<EventId>,
    /// The control events the author held that nobody had built on, at most 8, ascending: the view it was written in.
    pub control: Vec<EventId>,
    /// Hybrid logical clock, greater than that of `prev`.
    pub hlc: Hlc,
    /// The epoch it is encrypted under.
    pub epoch: EpochId,
    /// The slice of the epoch.
    pub slice: u32,
    /// How many messages of this device came before in this slice.
    pub generation: u32,
    /// Makes the key of the message its own even if a device is cloned.
    pub salt: [u8; 16],
    /// Length of the payload in bytes.
    pub payload_len: u32,
    /// Hash of the payload.
    pub payload_hash: [u8; 32],
}

/// The header of either log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// Of a control log.
    Control(ControlHeader),
    /// Of a message log.
    Message(MessageHeader),
}

/// Why bytes are not an event of this room, whatever its rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// Too short, too long, or lengths that do not fit.
    #[error("not the shape of an event")]
    Shape,
    /// The header is not canonical: damage, or a try to give one event two ids.
    #[error("header: {0}")]
    Header(#[from] CodecError),
    /// A version of the format we do not know.
    #[error("version {0} of the format")]
    Version(u8),
    /// Another cipher suite than the room's: a downgrade.
    #[error("cipher suite {0}")]
    Suite(u8),
    /// Sequence number and `prev` contradict each other or a limit.
    #[error("sequence number out of order")]
    Sequence,
    /// Parents or control heads that are too many, not ascending, or name `prev`.
    #[error("parents not in order")]
    Parents,
    /// The payload is not the one the header names.
    #[error("payload does not match its hash")]
    Payload,
    /// A number beyond its limit.
    #[error("number beyond its limit")]
    Limit,
    /// A genesis of another room.
    #[error("genesis of another room")]
    Genesis,
    /// The signature is not the device's over this room and header: damage, forgery, or an event of another room.
    #[error("bad signature")]
    Signature,
}

/// An event, decoded. Cheap to clone.
#[derive(Clone)]
pub struct Event(Arc<Inner>);

struct Inner {
    id: EventId,
    header: Header,
    header_len: usize,
    bytes: Vec<u8>,
}

impl Event {
    /// Decodes `bytes` as an event of `room`, without checking the signature.
    ///
    /// # Errors
    /// See [`EventError`]; the sender of such bytes is at fault.
    pub fn decode(room: &RoomId, bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > limits::MAX_EVENT {
            return Err(EventError::Shape);
        }
        let (len, rest) = bytes.split_first_chunk::<2>().ok_or(EventError::Shape)?;
        let header_len = usize::from(u16::from_be_bytes(*len));
        let (header_bytes, rest) = rest.split_at_checked(header_len).ok_or(EventError::Shape)?;
        let (_, payload) = rest.split_first_chunk::<64>().ok_or(EventError::Shape)?;
        let header = Header::parse(header_bytes)?;
        if !is_bare(&header, payload) {
            if usize::try_from(header.payload_len()) != Ok(payload.len()) || payload.len() > limits::MAX_PAYLOAD {
                return Err(EventError::Payload);
            }
            if *header.payload_hash() != hash_payload(payload) {
                return Err(EventError::Payload);
            }
        }
        let id = event_id(room, &header, header_bytes)?;
        Ok(Self(Arc::new(Inner { id, header, header_len, bytes: bytes.to_vec() })))
    }

    /// Makes and signs an event of `room`: sets length and hash of `payload` in `header`, signs with `key`, whose public
    /// half must be the header's device. A genesis gets its room id from itself; `room` is then ignored.
    ///
    /// # Errors
    /// Those of [`decode`](Self::decode) for a header that breaks a limit.
    pub fn sign(room: &RoomId, mut header: Header, payload: &[u8], key: &SigningKey) -> Result<Self, EventError> {
        let len = u32::try_from(payload.len()).map_err(|_| EventError::Payload)?;
        if payload.len() > limits::MAX_PAYLOAD {
            return Err(EventError::Payload);
        }
        header.set_payload(len, hash_payload(payload));
        header.check()?;
        let header_bytes = header.encode();
        let header_len = u16::try_from(header_bytes.len()).map_err(|_| EventError::Shape)?;
        if header_bytes.len() > limits::MAX_HEADER {
            return Err(EventError::Shape);
        }
        let id = if header.is_genesis() { genesis_id(&header_bytes) } else { event_id(room, &header, &header_bytes)? };
        let room = if header.is_genesis() { RoomId(id.0) } else { *room };
        let signature = key.sign(label::SIGN_EVENT, &[room.as_bytes(), &header_bytes]);
        let mut bytes = Vec::with_capacity(2 + header_bytes.len() + 64 + payload.len());
        bytes.extend_from_slice(&header_len.to_be_bytes());
        bytes.extend_from_slice(&header_bytes);
        bytes.extend_from_slice(&signature.0);
        bytes.extend_from_slice(payload);
        Ok(Self(Arc::new(Inner { id, header, header_len: header_bytes.len(), bytes })))
    }

    /// The beginning of a direct chat, which nobody signs: `header` is of [`DIRECT_KIND`](crate::control::DIRECT_KIND).
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    pub(crate) fn unsigned(room: &RoomId, mut header: ControlHeader, payload: &[u8]) -> Result<Self, EventError> {
        header.payload_len = u32::try_from(payload.len()).map_err(|_| EventError::Payload)?;
        header.payload_hash = hash_payload(payload);
        let bytes = Header::Control(header).encode();
        let header_len = u16::try_from(bytes.len()).map_err(|_| EventError::Shape)?;
        Self::decode(room, &[&header_len.to_be_bytes(), bytes.as_slice(), &[0; 64], payload].concat())
    }

    /// Checks the signature (strictly, finding F1) as one over an event of `room` by its device.
    ///
    /// # Errors
    /// [`EventError::Signature`]. The copy is bad; the author need not be at fault.
    pub fn verify(&self, room: &RoomId) -> Result<(), EventError> {
        let key = PublicKey::parse(self.device().as_bytes()).map_err(|_| EventError::Signature)?;
        self.verify_by(room, &key)
    }

    /// As [`verify`](Self::verify) with the parsed key of the event's device, which the caller keeps.
    ///
    /// # Errors
    /// [`EventError::Signature`], also if `key` is not the device's.
    pub fn verify_by(&self, room: &RoomId, key: &PublicKey) -> Result<(), EventError> {
        if key.as_bytes() != self.device().as_bytes() {
            return Err(EventError::Signature);
        }
        key.verify(label::SIGN_EVENT, &[room.as_bytes(), self.header_bytes()], &self.signature())
            .map_err(|_| EventError::Signature)
    }

    /// The id.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The header, if it is a control event.
    pub fn control(&self) -> Option<&ControlHeader> {
        match &self.0.header {
            Header::Control(header) => Some(header),
            Header::Message(_) => None,
        }
    }

    /// The header, if it is a message.
    pub fn message(&self) -> Option<&MessageHeader> {
        match &self.0.header {
            Header::Control(_) => None,
            Header::Message(header) => Some(header),
        }
    }

    /// The log it is an entry of.
    pub fn log(&self) -> LogId {
        self.0.header.log()
    }

    /// The author.
    pub fn device(&self) -> DeviceId {
        self.log().device
    }

    /// The place in its log, from 1.
    pub fn seq(&self) -> u64 {
        self.0.header.seq()
    }

    /// The event before it in its log; [`EventId::ZERO`] for the first.
    pub fn prev(&self) -> EventId {
        match &self.0.header {
            Header::Control(header) => header.prev,
            Header::Message(header) => header.prev,
        }
    }

    /// The parents, without `prev`.
    pub fn parents(&self) -> &[EventId] {
        match &self.0.header {
            Header::Control(header) => &header.parents,
            Header::Message(header) => &header.parents,
        }
    }

    /// The payload: readable for control events, sealed for messages.
    pub fn payload(&self) -> &[u8] {
        self.0.bytes.get(2 + self.0.header_len + 64..).unwrap_or_default()
    }

    /// The header as received.
    pub fn header_bytes(&self) -> &[u8] {
        self.0.bytes.get(2..2 + self.0.header_len).unwrap_or_default()
    }

    /// The signature.
    pub fn signature(&self) -> Signature {
        let from = 2 + self.0.header_len;
        Signature(self.0.bytes.get(from..).and_then(|rest| rest.first_chunk().copied()).unwrap_or([0; 64]))
    }

    /// The event on the wire and on disk, as received.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// As [`bytes`](Self::bytes), without a copy if this is the only handle.
    pub fn into_bytes(self) -> Vec<u8> {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.bytes.clone(), |inner| inner.bytes)
    }

    /// Whether it is a message that came without its payload. Only a room may say whether that is well ([`Room`](crate::room::Room)).
    pub fn is_bare(&self) -> bool {
        is_bare(&self.0.header, self.payload())
    }

    /// A message without its payload; what is no message as it is.
    pub fn bare(&self) -> Self {
        if self.message().is_none() {
            return self.clone();
        }
        let (id, header, header_len) = (self.0.id, self.0.header.clone(), self.0.header_len);
        let bytes = self.0.bytes.get(..2 + header_len + 64).unwrap_or_default().to_vec();
        Self(Arc::new(Inner { id, header, header_len, bytes }))
    }

    /// What a message is sealed to beside the room: its header with length and hash of the payload zero.
    pub fn sealing_header(&self) -> Vec<u8> {
        sealing_header(&self.0.header, self.header_bytes())
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes && self.0.id == other.0.id
    }
}

impl Eq for Event {}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.log();
        write!(f, "Event({} {:?} {}#{})", self.id().short(), log.kind, log.device.short(), self.seq())
    }
}

impl Header {
    /// Decodes a header as it stands in an event, and checks what it says about itself.
    ///
    /// # Errors
    /// See [`EventError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        let header = Self::decode(bytes)?;
        header.check()?;
        Ok(header)
    }

    /// The log it is an entry of.
    pub fn log(&self) -> LogId {
        match self {
            Self::Control(header) => LogId { device: header.device, kind: LogKind::Control },
            Self::Message(header) => LogId { device: header.device, kind: LogKind::Message },
        }
    }

    /// The event before it in its log; zero for the first.
    pub fn prev(&self) -> EventId {
        match self {
            Self::Control(header) => header.prev,
            Self::Message(header) => header.prev,
        }
    }

    /// The place in its log, from 1.
    pub fn seq(&self) -> u64 {
        match self {
            Self::Control(header) => header.seq,
            Self::Message(header) => header.seq,
        }
    }

    /// Decodes a header, checking the encoding but not what the numbers say.
    fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        let [v, suite, kind, ..] = *bytes else { return Err(EventError::Shape) };
        if v != limits::VERSION {
            return Err(EventError::Version(v));
        }
        if suite != limits::SUITE {
            return Err(EventError::Suite(suite));
        }
        Ok(if kind < MESSAGE_KIND {
            Self::Control(codec::decode(bytes, limits::MAX_HEADER)?)
        } else {
            Self::Message(codec::decode(bytes, limits::MAX_HEADER)?)
        })
    }

    /// The bytes that are hashed and signed.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Control(header) => codec::encode(header),
            Self::Message(header) => codec::encode(header),
        }
    }

    /// What the header says about itself, whatever the room.
    fn check(&self) -> Result<(), EventError> {
        let (seq, prev, parents) = match self {
            Self::Control(header) => (header.seq, header.prev, &header.parents),
            Self::Message(header) => (header.seq, header.prev, &header.parents),
        };
        if seq == 0 || seq > limits::MAX_SEQ || (seq == 1) != (prev == EventId::ZERO) {
            return Err(EventError::Sequence);
        }
        check_ids(parents)?;
        if parents.contains(&prev) {
            return Err(EventError::Parents);
        }
        match self {
            Self::Control(header) => header.check(),
            Self::Message(header) => header.check(),
        }
    }

    pub(crate) fn is_genesis(&self) -> bool {
        matches!(self, Self::Control(header) if header.kind == GENESIS_KIND)
    }

    fn payload_len(&self) -> u32 {
        match self {
            Self::Control(header) => header.payload_len,
            Self::Message(header) => header.payload_len,
        }
    }

    fn payload_hash(&self) -> &[u8; 32] {
        match self {
            Self::Control(header) => &header.payload_hash,
            Self::Message(header) => &header.payload_hash,
        }
    }

    fn set_payload(&mut self, len: u32, hash: [u8; 32]) {
        match self {
            Self::Control(header) => (header.payload_len, header.payload_hash) = (len, hash),
            Self::Message(header) => (header.payload_len, header.payload_hash) = (len, hash),
        }
    }
}

impl ControlHeader {
    fn check(&self) -> Result<(), EventError> {
        if self.kind >= MESSAGE_KIND || self.kind == 0 {
            return Err(EventError::Limit);
        }
        if self.kind == GENESIS_KIND || self.kind == crate::control::DIRECT_KIND {
            let first = self.seq == 1 && self.parents.is_empty() && self.lamport == 1;
            return if first { Ok(()) } else { Err(EventError::Sequence) };
        }
        // Everything but the genesis has seen the genesis.
        if self.seq == 1 && self.parents.is_empty() {
            return Err(EventError::Parents);
        }
        Ok(())
    }
}

impl MessageHeader {
    fn check(&self) -> Result<(), EventError> {
        if self.kind != MESSAGE_KIND || self.generation > limits::MAX_GEN || self.slice > limits::MAX_SLICE {
            return Err(EventError::Limit);
        }
        check_ids(&self.control)?;
        if self.control.is_empty() { Err(EventError::Parents) } else { Ok(()) }
    }
}

/// What a message with this header is sealed to beside the room: the header with length and hash of the payload zero.
/// Both stand last, so it is the encoded header with another end.
pub fn sealing_header(header: &Header, encoded: &[u8]) -> Vec<u8> {
    let tail = 32 + varint_len(header.payload_len());
    let mut bytes = Vec::with_capacity(encoded.len());
    bytes.extend_from_slice(encoded.get(..encoded.len().saturating_sub(tail)).unwrap_or_default());
    bytes.extend_from_slice(&[0; 33]);
    bytes
}

/// The id of the room whose genesis has this header.
pub fn genesis_id(header_bytes: &[u8]) -> EventId {
    EventId(hash::EVENT.hash(&[&[0; 32], header_bytes]))
}

fn event_id(room: &RoomId, header: &Header, header_bytes: &[u8]) -> Result<EventId, EventError> {
    if header.is_genesis() {
        let id = genesis_id(header_bytes);
        return if id.0 == room.0 { Ok(id) } else { Err(EventError::Genesis) };
    }
    Ok(EventId(hash::EVENT.hash(&[room.as_bytes(), header_bytes])))
}

/// Whether a message lacks the payload that its header names. No message has an empty one: what is sealed is padded.
fn is_bare(header: &Header, payload: &[u8]) -> bool {
    let is_message = matches!(header, Header::Message(_));
    let named = usize::try_from(header.payload_len()).is_ok_and(|len| (1..=limits::MAX_PAYLOAD).contains(&len));
    is_message && payload.is_empty() && named
}

fn hash_payload(payload: &[u8]) -> [u8; 32] {
    hash::PAYLOAD.hash(&[payload])
}

/// At most [`limits::MAX_PARENTS`] ids, strictly ascending.
fn check_ids(ids: &[EventId]) -> Result<(), EventError> {
    let ascending = ids.is_sorted_by(|a, b| a < b);
    if ids.len() <= limits::MAX_PARENTS && ascending { Ok(()) } else { Err(EventError::Parents) }
}

/// Bytes of a postcard varint.
fn varint_len(value: u32) -> usize {
    (32 - value.leading_zeros()).max(1).div_ceil(7) as usize
}
