//! What a disk or a program of the user hands us.

use std::str::FromStr;

use parlor_api::{
    CreateInvite, CreateRoom, Event, JoinAnswer, JoinRequest, MarkRead, Message, Page, Problem, SendBatch, SendRequest,
    UpdateRoom,
};
use parlor_crypto::Secret;
use parlor_crypto::vault::{Unlock, Vault};
use parlor_proto::identity::Identity;
use parlor_proto::room::{EpochRow, Room, RoomParts};
use parlor_storage::Position;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::input::Input;
use crate::people::{NOW, prepared, rng};

/// A vault file, an identity, and the rows of a room: damaged, they are refused and never a panic.
pub fn stored(data: &[u8]) {
    let key = Secret::new([5; 32]);
    let _ = Vault::wants(data);
    let _ = Vault::unlock(data, Unlock::KeyFile(&key));
    if let Ok(me) = Identity::from_bytes(data) {
        assert_eq!(&me.to_bytes()[..], data);
    }

    let prepared = prepared();
    let mut input = Input::new(data);
    let mut parts: RoomParts = prepared.parts.clone();
    let names: Vec<Vec<u8>> = parts.keys.keys().cloned().collect();
    while !input.is_empty() {
        let name = input.below(names.len() + 2);
        let (at, run) = (input.byte(), input.run());
        match names.get(name) {
            // Patched in one place, replaced, or gone.
            Some(name) if at & 3 == 0 => drop(parts.keys.remove(name)),
            Some(name) if at & 3 == 1 => drop(parts.keys.insert(name.clone(), Zeroizing::new(run.to_vec()))),
            Some(name) => patch(parts.keys.get_mut(name), usize::from(at >> 2), run),
            None if name == names.len() => parts.heads = run.to_vec(),
            None => {
                let (name, row) = run.split_at(run.len().min(17));
                let _ = EpochRow::decode(name, row);
                parts.keys.insert(name.to_vec(), Zeroizing::new(row.to_vec()));
            }
        }
    }
    if let Ok(mut room) = Room::restore(prepared.people[0].clone(), parts) {
        room.receive(prepared.events.clone(), NOW);
        let _ = room.maintain(NOW, &mut rng());
        let _ = (room.members(), room.epoch_status(), room.marker_heads());
    }
}

fn patch(row: Option<&mut Zeroizing<Vec<u8>>>, at: usize, run: &[u8]) {
    let Some(row) = row else { return };
    for (old, new) in row.iter_mut().skip(at).zip(run) {
        *old ^= new;
    }
}

/// Bodies of requests, answers that are read again, and positions in a timeline.
pub fn api(data: &[u8]) {
    again::<CreateRoom>(data);
    again::<UpdateRoom>(data);
    again::<CreateInvite>(data);
    again::<JoinRequest>(data);
    again::<JoinAnswer>(data);
    again::<SendRequest>(data);
    again::<SendBatch>(data);
    again::<MarkRead>(data);
    again::<Page<Message>>(data);
    again::<Problem>(data);
    again::<Event>(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(position) = Position::from_str(text)
    {
        assert_eq!(position.to_string(), text);
    }
}

/// What is read, written and read again is the same.
fn again<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let text = serde_json::to_string(&value).expect("a value of the API");
        let same: T = serde_json::from_str(&text).expect("what we write we read");
        assert_eq!(serde_json::to_string(&same).expect("a value of the API"), text);
    }
}
