//! What rows hold: the plain forms of values, and cells, which hold a sealed value of any size.
//!
//! A cell is `0x00 | sealed` or, when that is longer than [`INLINE`], `0x01 | generation u64 | pieces u16`, with the
//! sealed bytes cut into pieces under `generation | number` in their own tree. sled keeps up to 17 values in a leaf and
//! writes a leaf over 128 KiB as a separate file that it never syncs; pieces of 4 KiB keep every leaf far below.
//! A generation is used once: pieces are written before the cell that names them and removed after another replaced it.

use parlor_proto::ids::{DeviceId, EventId, RoomId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::opened::Plain;
use crate::rows::{ControlRow, MessageRow};
use crate::schema::{TreeId, Trees, piece_key};
use crate::seal::{Sealer, secret};
use crate::timeline::Position;

/// Sealed bytes that stay in the row itself, and bytes of one piece.
const INLINE: usize = 4 * 1024;

/// The most pieces of a cell: more than the largest value needs.
const MAX_PIECES: usize = 4_096;

/// A row to be written, or to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) tree: TreeId,
    pub(crate) key: Vec<u8>,
    /// `None` removes it.
    pub(crate) value: Option<Vec<u8>>,
}

impl Row {
    pub(crate) fn new(tree: TreeId, key: &[u8], value: Vec<u8>) -> Self {
        Self { tree, key: key.to_vec(), value: Some(value) }
    }

    pub(crate) fn removal(tree: TreeId, key: &[u8]) -> Self {
        Self { tree, key: key.to_vec(), value: None }
    }
}

/// Plain form of a row of [`TreeId::Rooms`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RoomValue {
    pub(crate) id: RoomId,
    pub(crate) forgotten: bool,
}

/// Plain form of a row of [`TreeId::Tips`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct TipValue {
    pub(crate) seq: u32,
    pub(crate) id: EventId,
}

/// Plain form of a row of [`TreeId::Control`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ControlValue<'a> {
    pub(crate) author: u32,
    pub(crate) seq: u32,
    pub(crate) id: EventId,
    pub(crate) bytes: &'a [u8],
}

impl ControlValue<'_> {
    pub(crate) fn row(self, device: DeviceId) -> ControlRow {
        ControlRow { device, seq: u64::from(self.seq), id: self.id, bytes: self.bytes.to_vec() }
    }
}

/// Plain form of a row of [`TreeId::Timeline`]; author, seq and order are in its key.
#[derive(Serialize, Deserialize)]
pub(crate) struct MessageValue<'a> {
    pub(crate) id: EventId,
    /// Zero for nearly all.
    pub(crate) hlc_xor_order: u64,
    pub(crate) received_ms: u64,
    pub(crate) covers_own: u64,
    pub(crate) key: Option<Zeroizing<[u8; 32]>>,
    pub(crate) bytes: &'a [u8],
}

impl<'a> MessageValue<'a> {
    pub(crate) fn of(row: &'a MessageRow) -> Self {
        Self {
            id: row.id,
            hlc_xor_order: row.hlc ^ row.order,
            received_ms: row.received_ms,
            covers_own: row.covers_own,
            key: row.key.as_ref().map(|key| Zeroizing::new(*key.expose())),
            bytes: &row.bytes,
        }
    }

    pub(crate) fn row(&self, device: DeviceId, position: Position) -> MessageRow {
        MessageRow {
            device,
            seq: u64::from(position.seq),
            id: self.id,
            hlc: self.hlc_xor_order ^ position.order,
            order: position.order,
            received_ms: self.received_ms,
            covers_own: self.covers_own,
            key: self.key.as_ref().map(|key| secret(key)),
            bytes: self.bytes.to_vec(),
        }
    }
}

/// Plain form of a row of [`TreeId::Values`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeyedValue<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Where an id leads: value of a row of [`TreeId::Ids`], `0x00 | arrival u32` or `0x01 | position [20]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Control(u32),
    Message(Position),
}

impl Place {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + Position::LEN);
        match self {
            Self::Control(arrival) => {
                bytes.push(0);
                bytes.extend_from_slice(&arrival.to_be_bytes());
            }
            Self::Message(position) => {
                bytes.push(1);
                bytes.extend_from_slice(&position.to_bytes());
            }
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let place = match bytes.split_first() {
            Some((0, arrival)) => arrival.try_into().ok().map(|bytes| Self::Control(u32::from_be_bytes(bytes))),
            Some((1, position)) => position.try_into().ok().map(|bytes| Self::Message(Position::from_bytes(bytes))),
            _ => None,
        };
        place.ok_or_else(|| Fault::damaged(TreeId::Ids, "a malformed row"))
    }
}

/// The encoding of a plain form, wiped when dropped.
pub(crate) fn encode<T: Serialize>(value: &T) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(parlor_proto::codec::encode(value))
}

/// The plain form that `bytes` encode.
pub(crate) fn decode<'a, T: Deserialize<'a>>(tree: TreeId, bytes: &'a [u8]) -> Result<T, Fault> {
    postcard::from_bytes(bytes).map_err(|_| Fault::damaged(tree, "a malformed value"))
}

/// Makes cells; numbers their generations.
#[derive(Debug)]
pub(crate) struct CellMaker<'a> {
    sealer: &'a Sealer,
    next_generation: u64,
}

impl<'a> CellMaker<'a> {
    /// For the group with this number. A group makes at most 65,536 cells with pieces: it has fewer bytes than that
    /// many pieces.
    pub(crate) fn new(sealer: &'a Sealer, group: u64) -> Self {
        Self { sealer, next_generation: first_generation(group) }
    }

    /// Adds to `rows` what holds `plain` under `key`: pieces first.
    pub(crate) fn cell(&mut self, tree: TreeId, key: &[u8], plain: Zeroizing<Vec<u8>>, rows: &mut Vec<Row>) {
        let sealed = self.sealer.seal(tree, key, plain);
        if sealed.len() <= INLINE {
            let mut value = Vec::with_capacity(1 + sealed.len());
            value.push(0);
            value.extend_from_slice(&sealed);
            rows.push(Row::new(tree, key, value));
            return;
        }
        let generation = self.next_generation;
        self.next_generation += 1;
        let mut pieces = 0_u16;
        for piece in sealed.chunks(INLINE) {
            rows.push(Row::new(TreeId::Pieces, &piece_key(generation, pieces), piece.to_vec()));
            pieces += 1;
        }
        let mut value = vec![1];
        value.extend_from_slice(&generation.to_be_bytes());
        value.extend_from_slice(&pieces.to_be_bytes());
        rows.push(Row::new(tree, key, value));
    }
}

/// The first generation of a group; those below the first of the next one are its own.
fn first_generation(group: u64) -> u64 {
    group << 16
}

/// The pieces that a cell names: generation and count.
pub(crate) fn pieces_of(cell: &[u8]) -> Option<(u64, u16)> {
    let rest = cell.strip_prefix(&[1])?;
    let (generation, rest) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*generation), u16::from_be_bytes(rest.try_into().ok()?)))
}

/// Opens the cell found under `key`.
pub(crate) fn open_cell(trees: &Trees, sealer: &Sealer, tree: TreeId, key: &[u8], cell: &[u8]) -> Result<Plain, Fault> {
    if let Some(sealed) = cell.strip_prefix(&[0]) {
        return sealer.open(tree, key, sealed);
    }
    let (generation, pieces) = pieces_of(cell).ok_or_else(|| Fault::damaged(tree, "a malformed cell"))?;
    if usize::from(pieces) > MAX_PIECES {
        return Err(Fault::damaged(tree, "a malformed cell"));
    }
    let mut sealed = Vec::with_capacity(usize::from(pieces) * INLINE);
    for piece in 0..pieces {
        let found = trees.get(TreeId::Pieces).get(piece_key(generation, piece))?;
        let found = found.ok_or_else(|| Fault::damaged(TreeId::Pieces, "a piece is missing"))?;
        sealed.extend_from_slice(&found);
    }
    sealer.open(tree, key, &sealed)
}

/// Reads the cell under `key`. A reader may meet a cell that is replaced meanwhile: its pieces are gone then, and the
/// row is read again.
pub(crate) fn read_cell(trees: &Trees, sealer: &Sealer, tree: TreeId, key: &[u8]) -> Result<Option<Plain>, Fault> {
    let Some(mut cell) = trees.get(tree).get(key)? else { return Ok(None) };
    loop {
        match open_cell(trees, sealer, tree, key, &cell) {
            Ok(plain) => return Ok(Some(plain)),
            Err(fault) => match trees.get(tree).get(key)? {
                Some(now) if now != cell => cell = now,
                Some(_) => return Err(fault),
                None => return Ok(None),
            },
        }
    }
}
