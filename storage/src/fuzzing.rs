//! For fuzz targets: what the store decodes, behind the seals and checks that keep every mutation out.
//!
//! Compiled with the feature `fuzzing` only. Whoever holds the key of a home could write such bytes, and a disk that fails may
//! bring old pieces of them back: they are refused with an error, and never a panic or memory that the bytes do not pay for.

use parlor_crypto::vault::Vault;
use parlor_proto::ids::DeviceId;

use crate::journal;
use crate::mark::Mark;
use crate::schema::{NO_ROOM, TreeId, parse_timeline_key, parse_tip_key};
use crate::seal::{Blind, Sealer};
use crate::timeline::Position;
use crate::value::{ControlValue, KeyedValue, MessageValue, Place, RoomValue, TipValue, decode};

/// A key under which bytes are made good.
pub struct Key(Sealer);

impl Key {
    /// Of this vault.
    pub fn of(vault: &Vault) -> Self {
        Self(Sealer::new(vault))
    }
}

/// Reads `data` as the journal that it is, and as one whose only record has these bytes as its rows. What is read is written to
/// the same bytes again.
///
/// # Panics
/// If it is not.
pub fn journal(key: &Key, data: &[u8]) {
    let mut whole = data;
    while journal::next(&mut whole, &key.0).is_some() {}
    let mut bytes = Vec::with_capacity(data.len() + 28);
    bytes.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&7_u64.to_be_bytes());
    bytes.extend_from_slice(data);
    let check = key.0.blind(Blind::Journal, NO_ROOM, &bytes);
    bytes.extend_from_slice(&check);
    if let Some(record) = journal::next(&mut bytes.as_slice(), &key.0) {
        let again = journal::record(record.group, &record.rows, &key.0).ok();
        assert!(again.as_ref() == Some(&bytes), "a record is written as it was read");
    }
}

/// Reads `data` as the mark, made good too, and as every sort of key and value.
pub fn rows(key: &Key, data: &[u8]) {
    let _ = Mark::parse(data, &key.0);
    let mut good = data.to_vec();
    good.extend_from_slice(&key.0.blind(Blind::Mark, NO_ROOM, data));
    let _ = Mark::parse(&good, &key.0);
    let _ = (parse_tip_key(data), parse_timeline_key(data));
    if let Ok(place) = Place::parse(data) {
        assert_eq!(place.to_bytes(), data, "a place is written as it was read");
    }
    let device = DeviceId([1; 32]);
    let _ = decode::<RoomValue>(TreeId::Rooms, data);
    let _ = decode::<TipValue>(TreeId::Tips, data);
    let _ = decode::<DeviceId>(TreeId::Authors, data);
    let _ = decode::<KeyedValue<'_>>(TreeId::Values, data);
    if let Ok(value) = decode::<ControlValue<'_>>(TreeId::Control, data) {
        assert!(value.row(device).bytes.len() <= data.len(), "a row has no more bytes than were there");
    }
    if let Ok((value, _)) = MessageValue::parse(data) {
        let _ = value.over();
    }
}
