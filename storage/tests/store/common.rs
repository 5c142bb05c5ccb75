//! Rooms, devices and events to store; a place to store them in.

use std::path::Path;

use parlor_crypto::Secret;
use parlor_crypto::vault::Vault;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use parlor_storage::{Batch, ControlRow, LogKind, MessageRow, OpenOptions, Store};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// A key that is always the same.
pub(crate) fn vault() -> Vault {
    Vault::generate(&mut StdRng::seed_from_u64(7))
}

/// Opens without a reserve: the disks of test machines may be nearly full.
pub(crate) fn open(dir: &Path) -> Store {
    try_open(dir).unwrap()
}

pub(crate) fn try_open(dir: &Path) -> Result<Store, parlor_storage::OpenError> {
    Store::open(dir, &vault(), OpenOptions { reserve_bytes: 0 })
}

pub(crate) fn room(n: u8) -> RoomId {
    RoomId(hash(&["room".as_bytes(), &[n]]))
}

pub(crate) fn device(n: u8) -> DeviceId {
    DeviceId(hash(&["device".as_bytes(), &[n]]))
}

pub(crate) fn event_id(kind: LogKind, room: u8, device: u8, seq: u64) -> EventId {
    let kind = [u8::from(kind == LogKind::Message)];
    EventId(hash(&["event".as_bytes(), &kind, &[room, device], &seq.to_be_bytes()]))
}

/// Bytes that are the same for the same event.
pub(crate) fn event_bytes(id: &EventId, len: usize) -> Vec<u8> {
    id.0.iter().copied().cycle().take(len).collect()
}

pub(crate) fn message(room: u8, device_number: u8, seq: u64, order: u64, len: usize) -> MessageRow {
    let id = event_id(LogKind::Message, room, device_number, seq);
    MessageRow {
        device: device(device_number),
        seq,
        id,
        hlc: order,
        order,
        received_ms: 1_700_000_000_000 + seq,
        covers_own: seq / 2,
        key: Some(Secret::new(id.0)),
        bytes: event_bytes(&id, len),
        fades_ms: None,
    }
}

pub(crate) fn control(room: u8, device_number: u8, seq: u64) -> ControlRow {
    let id = event_id(LogKind::Control, room, device_number, seq);
    ControlRow { device: device(device_number), seq, id, bytes: event_bytes(&id, 200) }
}

/// A batch about a room.
pub(crate) fn batch(room_number: u8) -> Batch {
    Batch::new(Some(room(room_number)))
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    // A small mixing of our own: tests need ids that differ and look random, not a hash function.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut out = [0; 32];
    for byte in parts.iter().flat_map(|part| part.iter().chain([&0xff])) {
        state = (state ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
    for chunk in out.chunks_exact_mut(8) {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let mixed = (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        chunk.copy_from_slice(&(mixed ^ (mixed >> 32)).to_be_bytes());
    }
    out
}
