//! What rows hold: the plain forms of values, and cells, which hold a sealed value of any size.
//!
//! A cell is `0x00 | sealed` or, when that is longer than [`INLINE`], `0x01 | generation u64 | pieces u16`, with the
//! sealed bytes cut into pieces under `generation | number` in their own tree. sled keeps up to 17 values in a leaf and
//! writes a leaf over 128 KiB as a separate file that it never syncs; pieces of 4 KiB keep every leaf far below.
//! What disappears is sealed once more inside, under a key of the keyring that goes with it (`0x02 | id of the key u64` before such a
//! cell); of a message only what it says, for its header stays.
//!
//! A generation is used once: pieces are written before the cell that names them and removed after another replaced it.

use parlor_proto::ids::{DeviceId, EventId, RoomId};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::fault::Fault;
use crate::keyring::{KeyId, Keyring, Lasts};
use crate::opened::Plain;
use crate::opening::Core;
use crate::rows::{ControlRow, MessageRow, erased};
use crate::schema::{TreeId, Trees, piece_key};
use crate::seal::{Sealer, place, secret};
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

/// What follows the value of a message that disappears: its `bytes` are then without the payload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Fading<'a> {
    pub(crate) key: KeyId,
    /// When it is over.
    pub(crate) until_ms: u64,
    /// [`Content`], sealed under that key.
    pub(crate) sealed: &'a [u8],
}

/// What is gone of a message when its time is over.
#[derive(Serialize, Deserialize)]
pub(crate) struct Content<'a> {
    key: Option<Zeroizing<[u8; 32]>>,
    payload: &'a [u8],
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

    /// The plain form of a message's row, with what disappears sealed.
    pub(crate) fn sealed(row: &MessageRow, core: &Core) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut value = MessageValue::of(row);
        let Some(until_ms) = row.fades_ms else { return Ok(encode(&value)) };
        let (head, payload) = without_payload(&row.bytes);
        value.bytes = head;
        let content = encode(&Content { key: value.key.take(), payload });
        let lasts = Lasts::Until(until_ms);
        let (key, sealed) = core.keyring.seal(lasts, row.id.as_bytes(), &content, &core.sealer)?;
        Ok(value.with(&Fading { key, until_ms, sealed: &sealed }))
    }

    fn with(&self, fading: &Fading<'_>) -> Zeroizing<Vec<u8>> {
        let mut plain = encode(self);
        plain.extend_from_slice(&encode(fading));
        plain
    }

    /// The value and what disappears of it.
    pub(crate) fn parse(plain: &'a [u8]) -> Result<(Self, Option<Fading<'a>>), Fault> {
        let malformed = |_| Fault::damaged(TreeId::Timeline, "a malformed value");
        let (value, rest) = postcard::take_from_bytes(plain).map_err(malformed)?;
        let fading = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest).map_err(malformed)?) };
        Ok((value, fading))
    }

    /// The message; without what it says if that is gone.
    pub(crate) fn row(
        &self,
        fading: Option<&Fading<'_>>,
        core: &Core,
        device: DeviceId,
        position: Position,
    ) -> Result<MessageRow, Fault> {
        let mut row = MessageRow {
            device,
            seq: u64::from(position.seq),
            id: self.id,
            hlc: self.hlc_xor_order ^ position.order,
            order: position.order,
            received_ms: self.received_ms,
            covers_own: self.covers_own,
            key: self.key.as_ref().map(|key| secret(key)),
            bytes: self.bytes.to_vec(),
            fades_ms: None,
        };
        let Some(fading) = fading else { return Ok(row) };
        let content = core.keyring.open_sealed(fading.key, self.id.as_bytes(), fading.sealed)?;
        let Some(content) = content else {
            row.key = Some(erased());
            return Ok(row);
        };
        let content: Content<'_> = decode(TreeId::Timeline, &content)?;
        row.key = content.key.as_ref().map(|key| secret(key));
        row.bytes.extend_from_slice(content.payload);
        row.fades_ms = Some(fading.until_ms);
        Ok(row)
    }

    /// The plain form with another key or number covered; `None` if that changes nothing. `key` says what becomes of the one there is.
    pub(crate) fn changed(
        mut self,
        fading: Option<&Fading<'_>>,
        core: &Core,
        key: impl FnOnce(Option<&[u8; 32]>) -> Option<[u8; 32]>,
        covers_own: Option<u64>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let covers = covers_own.filter(|covers| *covers > self.covers_own);
        self.covers_own = covers.unwrap_or(self.covers_own);
        let Some(fading) = fading else {
            let key = key(self.key.as_deref());
            let changes = key.is_some() || covers.is_some();
            self.key = key.map(Zeroizing::new).or(self.key);
            return Ok(changes.then(|| encode(&self)));
        };
        let unchanged = || covers.map(|_| self.with(fading));
        let Some(content) = core.keyring.open_sealed(fading.key, self.id.as_bytes(), fading.sealed)? else {
            return Ok(unchanged());
        };
        let mut content: Content<'_> = decode(TreeId::Timeline, &content)?;
        let Some(key) = key(content.key.as_deref()) else { return Ok(unchanged()) };
        content.key = Some(Zeroizing::new(key));
        let sealed = core.keyring.seal_again(fading.key, self.id.as_bytes(), &encode(&content));
        let Some(sealed) = sealed else { return Ok(unchanged()) };
        Ok(Some(self.with(&Fading { sealed: &sealed, ..*fading })))
    }

    /// The plain form of a message that is over: nothing of what it said is in it.
    pub(crate) fn over(mut self) -> Zeroizing<Vec<u8>> {
        self.key = Some(Zeroizing::new(*erased().expose()));
        self.bytes = without_payload(self.bytes).0;
        encode(&self)
    }
}

/// The header and signature of a message, and its payload: `u16 length of the header | header | signature [64] | payload`.
fn without_payload(bytes: &[u8]) -> (&[u8], &[u8]) {
    let header = bytes.first_chunk().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
    bytes.split_at(bytes.len().min(2 + header + 64))
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
    keyring: &'a Keyring,
    next_generation: u64,
}

impl<'a> CellMaker<'a> {
    /// For the group with this number. A group makes at most 65,536 cells with pieces: it has fewer bytes than that
    /// many pieces.
    pub(crate) fn new(core: &'a Core, group: u64) -> Self {
        Self { sealer: &core.sealer, keyring: &core.keyring, next_generation: first_generation(group) }
    }

    /// Adds to `rows` what holds `plain` under `key`: pieces first.
    pub(crate) fn cell(&mut self, tree: TreeId, key: &[u8], plain: Zeroizing<Vec<u8>>, rows: &mut Vec<Row>) {
        self.put(tree, key, plain, Vec::new(), rows);
    }

    /// As [`cell`](Self::cell), of what disappears.
    pub(crate) fn fading(
        &mut self,
        tree: TreeId,
        key: &[u8],
        plain: &[u8],
        lasts: Lasts,
        rows: &mut Vec<Row>,
    ) -> Result<(), Fault> {
        let (id, sealed) = self.keyring.seal(lasts, &place(tree, key), plain, self.sealer)?;
        let mut head = vec![2];
        head.extend_from_slice(&id.to_be_bytes());
        self.put(tree, key, Zeroizing::new(sealed), head, rows);
        Ok(())
    }

    fn put(&mut self, tree: TreeId, key: &[u8], plain: Zeroizing<Vec<u8>>, head: Vec<u8>, rows: &mut Vec<Row>) {
        let sealed = self.sealer.seal(tree, key, plain);
        let mut value = head;
        if sealed.len() <= INLINE {
            value.reserve(1 + sealed.len());
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
        value.push(1);
        value.extend_from_slice(&generation.to_be_bytes());
        value.extend_from_slice(&pieces.to_be_bytes());
        rows.push(Row::new(tree, key, value));
    }
}

/// The first generation of a group; those below the first of the next one are its own.
fn first_generation(group: u64) -> u64 {
    group << 16
}

/// The key that a cell is sealed with inside, and the cell without that.
pub(crate) fn key_of(cell: &[u8]) -> (Option<KeyId>, &[u8]) {
    match cell.split_first() {
        Some((2, rest)) => match rest.split_first_chunk() {
            Some((id, rest)) => (Some(u64::from_be_bytes(*id)), rest),
            None => (None, cell),
        },
        _ => (None, cell),
    }
}

/// The pieces that a cell names: generation and count.
pub(crate) fn pieces_of(cell: &[u8]) -> Option<(u64, u16)> {
    let rest = key_of(cell).1.strip_prefix(&[1])?;
    let (generation, rest) = rest.split_first_chunk()?;
    Some((u64::from_be_bytes(*generation), u16::from_be_bytes(rest.try_into().ok()?)))
}

/// Opens the cell found under `key`, of a tree of which nothing disappears.
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

/// Opens the cell found under `key`; `None` if what it holds has disappeared.
pub(crate) fn open_lasting(core: &Core, tree: TreeId, key: &[u8], cell: &[u8]) -> Result<Option<Plain>, Fault> {
    let (inner, cell) = key_of(cell);
    let Some(inner) = inner else { return open_cell(&core.trees, &core.sealer, tree, key, cell).map(Some) };
    if core.keyring.is_gone(inner) {
        return Ok(None);
    }
    let sealed = open_cell(&core.trees, &core.sealer, tree, key, cell)?;
    let plain = core.keyring.open_sealed(inner, &place(tree, key), &sealed)?;
    Ok(plain.map(std::sync::Arc::new))
}

/// Reads the cell under `key`. A reader may meet a cell that is replaced meanwhile: its pieces are gone then, and the
/// row is read again.
pub(crate) fn read_cell(core: &Core, tree: TreeId, key: &[u8]) -> Result<Option<Plain>, Fault> {
    let Some(mut cell) = core.trees.get(tree).get(key)? else { return Ok(None) };
    loop {
        match open_lasting(core, tree, key, &cell) {
            Ok(plain) => return Ok(plain),
            Err(fault) => match core.trees.get(tree).get(key)? {
                Some(now) if now != cell => cell = now,
                Some(_) => return Err(fault),
                None => return Ok(None),
            },
        }
    }
}
