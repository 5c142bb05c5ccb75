//! How a hostile node lies on the wire: it loses, repeats, changes and makes up frames.

use parlor_proto::codec;
use parlor_proto::wire::{Blob, LinkFrame, RoomFrame};
use rand::RngExt as _;
use rand::rngs::StdRng;

/// Most bytes of a frame.
const MAX_FRAME: usize = 300_000;

/// What a liar sends instead of a frame: nothing, itself, twice, or something else.
pub(crate) fn tamper(bytes: Vec<u8>, rng: &mut StdRng) -> Vec<Vec<u8>> {
    match rng.random_range(0..40) {
        0 => Vec::new(),
        1 => vec![bytes.clone(), bytes],
        2 => {
            let mut bytes = bytes;
            let at = rng.random_range(0..bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << rng.random_range(0..8);
            }
            vec![bytes]
        }
        3..10 => vec![lie(&bytes, rng).unwrap_or(bytes)],
        _ => vec![bytes],
    }
}

fn lie(bytes: &[u8], rng: &mut StdRng) -> Option<Vec<u8>> {
    let LinkFrame::Room { channel, bytes } = codec::decode::<LinkFrame>(bytes, MAX_FRAME).ok()? else { return None };
    let mut frame: RoomFrame = codec::decode(&bytes.0, MAX_FRAME).ok()?;
    match &mut frame {
        RoomFrame::Batch { items, .. } => {
            let at = rng.random_range(0..items.len().max(1));
            match rng.random_range(0..3) {
                0 if items.len() > 1 => drop(items.remove(at)),
                1 => items.reverse(),
                _ => {
                    let item = items.get_mut(at)?;
                    let n = rng.random_range(0..item.bytes.0.len().max(1));
                    if let Some(byte) = item.bytes.0.get_mut(n) {
                        *byte ^= 0x10;
                    }
                }
            }
        }
        RoomFrame::Ack { stored, .. } => *stored = !*stored,
        RoomFrame::Tips(entries) => entries.iter_mut().for_each(|entry| entry.seq += rng.random_range(0..9)),
        RoomFrame::Want(wants) => wants.iter_mut().for_each(|want| want.have = rng.random_range(0..5)),
        RoomFrame::Answer { bytes, .. } => *bytes = rng.random::<bool>().then(|| Blob(vec![1; 60])),
        _ => return None,
    }
    let bytes = Blob(codec::encode(&frame));
    Some(codec::encode(&LinkFrame::Room { channel, bytes }))
}
