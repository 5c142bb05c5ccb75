//! What the owner of the lines does at doors: at those of others he knocks, and reads for who enters; at our own he leaves what
//! makers of instant invites seal.

use std::collections::BTreeSet;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::RoomId;
use parlor_proto::join::DoorMail;
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, BoxSetup, Cursor, Out, RelayId};
use parlor_proto::wire::Blob;
use tokio::sync::mpsc::error::TrySendError;

use super::{Actor, At, Done, Use};
use crate::clock::now_ms;
use crate::services::mailboxes::door_reads::Waiting;
use crate::services::mailboxes::doors::{DoorNews, JoinDoor};
use crate::services::mailboxes::plan::SharedBox;
use crate::services::mailboxes::relays::Relay;

impl Actor {
    /// Knocks at a door, or reads it.
    pub(super) fn on_join_door(&mut self, door: JoinDoor) {
        let (shared, room) = (door.shared(), door.room);
        let name = shared.name;
        for relay in &door.relays {
            if let Some(id) = relay.id() {
                self.relays.entry(id).or_insert_with(|| At::new(relay.clone()));
            }
        }
        self.show_tokens(&door.relays);
        let relays = door.relays.iter().filter_map(|relay| Some((relay.id()?, Cursor::default()))).collect();
        let setup = BoxSetup { name, key: Some(shared.keys.sign.clone()), read: true, relays };
        let now = now_ms();
        let Ok(out) = self.machine.open(setup, now) else { return };
        self.boxes.insert(name, Use { room, keys: shared });
        self.rooms.entry(room).or_default();
        self.carry_out(out);
        // Known before it is put: an answer may be there already.
        let knock = DoorMail::Knock(Blob(door.knock.clone())).encode();
        let Some(blob) = self.seal(&name, &knock) else { return };
        if door.leave {
            self.put(&name, &knock);
        }
        self.joins.insert(name, (door, BlobId::of(&blob)));
        self.apply(room);
    }

    /// A door is of no interest any more to the join that knocked there.
    pub(super) fn leave_door(&mut self, door: &JoinDoor) {
        let name = door.name();
        if !self.joins.get(&name).is_some_and(|(it, _)| it.is_of(door)) {
            return;
        }
        self.close_door(&name);
        let joins = self.joins.values().any(|(it, _)| it.room == door.room);
        if !joins && self.rooms.get(&door.room).is_some_and(|mail| !mail.is_here) {
            self.rooms.remove(&door.room);
        } else {
            self.apply(door.room);
        }
    }

    /// We are in: the doors at which we knocked for this room are of no interest any more.
    pub(super) fn leave_doors(&mut self, room: &RoomId) {
        let of_room = self.joins.iter().filter(|(_, (door, _))| door.room == *room);
        for name in of_room.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.close_door(&name);
        }
    }

    /// The room is here: what was passed over at the doors at which we knocked is for it.
    pub(super) fn read_doors_again(&mut self, room: &RoomId) {
        let of_room = self.joins.values().filter(|(door, _)| door.room == *room);
        for door in of_room.map(|(door, _)| door.clone()).collect::<Vec<_>>() {
            let name = door.name();
            self.boxes.remove(&name);
            let out = self.machine.close(&name, now_ms());
            self.carry_out(out);
            self.on_join_door(door);
        }
    }

    /// A room of which we are a member by now opens the box again, and reads it as one.
    fn close_door(&mut self, name: &BoxName) {
        self.joins.remove(name);
        for name in self.door_reads.leave(name).into_iter().chain([*name]) {
            self.boxes.remove(&name);
            let out = self.machine.close(&name, now_ms());
            self.carry_out(out);
        }
    }

    /// Puts at the doors of a room what is left there, once a run.
    pub(super) fn leave_parts(&mut self, room: RoomId) {
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        let left = mail.plan.left.clone();
        mail.left.retain(|invite| left.iter().any(|it| it.invite == *invite));
        for left in left {
            let name = left.door.name;
            let known = self.rooms.get(&room).is_some_and(|mail| mail.left.has(&left.invite));
            if known || !self.boxes.contains_key(&name) {
                continue;
            }
            let contents = left.parts.iter().map(|part| DoorMail::Part(Blob(part.clone())).encode());
            let blobs: Option<BTreeSet<BlobId>> = contents.map(|content| self.put(&name, &content)).collect();
            // Too much waits in all: with the next plan.
            if let (Some(blobs), Some(mail)) = (blobs, self.rooms.get_mut(&room)) {
                mail.left.put(left.invite, blobs);
            }
        }
    }

    /// Nothing is tried any more with a blob of ours.
    pub(super) fn on_settled(&mut self, name: &BoxName, id: &BlobId) {
        let Some(room) = self.boxes.get(name).map(|used| used.room) else { return };
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        mail.snapshots.settled(name, id);
        let done = mail.left.settled(id);
        for invite in done {
            let rooms = self.parts.rooms.clone();
            self.asked.push(Box::pin(async move {
                rooms.left(room, invite).await;
                Done::Stored
            }));
        }
    }

    /// Reads boxes of a room for who enters it, at the relays of his door.
    pub(super) fn read_to_enter(&mut self, door: BoxName, boxes: Vec<BoxKeys>) {
        let at = self.joins.get(&door).map(|(door, _)| (door.room, door.relays.clone()));
        let Some((room, relays)) = at else { return };
        for keys in boxes {
            let name = BoxName { kind: BoxKind::Room, key: keys.sign.public_bytes() };
            // Of a room that is here everything is read anyway.
            if self.boxes.contains_key(&name) {
                continue;
            }
            let relays = relays.iter().filter_map(|relay| Some((relay.id()?, Cursor::default()))).collect();
            let setup = BoxSetup { name, key: Some(keys.sign.clone()), read: true, relays };
            let Ok(out) = self.machine.open(setup, now_ms()) else { continue };
            self.boxes.insert(name, Use { room, keys: SharedBox { name, keys } });
            self.door_reads.add(name, room, door);
            self.carry_out(out);
        }
    }

    /// A room is entered: it reads its boxes itself from their beginning.
    pub(super) fn end_reads(&mut self, room: &RoomId) {
        for name in self.door_reads.enter(room) {
            self.boxes.remove(&name);
            let out = self.machine.close(&name, now_ms());
            self.carry_out(out);
        }
    }

    /// A relay has no more in a box than was read.
    pub(super) fn on_caught_up(&mut self, name: BoxName, relay: RelayId) {
        let Some(room) = self.boxes.get(&name).map(|used| used.room) else { return };
        let at = self.door_reads.door_of(&name);
        let at_door = self.joins.get(&name).is_some_and(|(door, _)| door.instant);
        if let Some(at) = at.or(at_door.then_some(name)) {
            let relays = self.joins.get(&at).map(|(door, _)| door.relays.as_slice()).unwrap_or_default();
            let relays: Vec<RelayId> = relays.iter().filter_map(Relay::id).collect();
            if self.door_reads.ended(name, relay, &relays) {
                let out = self.pass_on(at, None, DoorNews::CaughtUp(name));
                self.carry_out(out);
            }
        } else if name.kind == BoxKind::Room
            && self.rooms.get_mut(&room).is_some_and(|mail| !std::mem::replace(&mut mail.told_end, true))
        {
            let rooms = self.parts.rooms.clone();
            self.asked.push(Box::pin(async move {
                rooms.caught_up(room).await;
                Done::Stored
            }));
        }
    }

    /// Passes something on to who enters a room, after what waits already.
    pub(super) fn pass_on(&mut self, door: BoxName, blob: Option<(BoxName, BlobId)>, news: DoorNews) -> Vec<Out> {
        self.door_reads.waiting.push_back(Waiting { door, blob, news });
        self.pass_on_more()
    }

    /// Passes on what waits, as far as it is taken.
    pub(super) fn pass_on_more(&mut self) -> Vec<Out> {
        let mut out = Vec::new();
        let mut kept = std::collections::VecDeque::new();
        while let Some(Waiting { door, blob, news }) = self.door_reads.waiting.pop_front() {
            let full = kept.iter().any(|waiting: &Waiting| waiting.door == door);
            let hears = self.joins.get(&door).map(|(door, _)| &door.news);
            let news = match (hears, full) {
                (Some(_), true) => Some(news),
                (Some(sender), false) => match sender.try_send(news) {
                    Err(TrySendError::Full(news)) => Some(news),
                    // Nobody listens any more.
                    Ok(()) | Err(TrySendError::Closed(_)) => None,
                },
                (None, _) => None,
            };
            match (news, blob) {
                (Some(news), blob) => kept.push_back(Waiting { door, blob, news }),
                (None, Some((name, id))) => out.extend(self.machine.taken(name, id, now_ms())),
                (None, None) => {}
            }
        }
        self.door_reads.waiting = kept;
        out
    }
}
