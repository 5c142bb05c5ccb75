//! Messages that may be the other branch of a forked log, and on which branch those stand that fences pin: the store knows.

use parlor_net::PeerId;
use parlor_proto::event::Event;
use parlor_proto::room::{MessageTip, Outcome, Received, Sibling};
use parlor_proto::sync::{In as SyncIn, Series};
use parlor_proto::{DeviceId, EventId, RoomId};
use parlor_storage::{LogKind, ReadError, Store, Want};

use super::entry::{Entry, Turn};
use super::settle::Settle;
use crate::limits::OPEN_AGAIN_MS;

impl Turn<'_> {
    /// Has the store looked through for messages that the room is unsure of.
    pub(super) fn look_up_unsure(&mut self, unsure: Vec<Event>, from: Option<PeerId>) {
        let room = self.id();
        self.read(move |store| {
            let found: Result<Vec<_>, ReadError> = unsure
                .into_iter()
                .filter_map(|event| match store.has(&room, &event.id()) {
                    Ok(true) => None,
                    Ok(false) => Some(sibling(store, room, &event).map(|sibling| (event, sibling))),
                    Err(error) => Some(Err(error)),
                })
                .collect();
            Box::new(move |turn| match found {
                Ok(found) => turn.take_forks(found, from),
                Err(error) => {
                    tracing::warn!(room = %turn.id().short(), %error, "the store can not tell forks from repeats")
                }
            })
        });
    }

    /// Takes messages that the store does not hold, with what it holds beside them.
    fn take_forks(&mut self, found: Vec<(Event, Option<Sibling>)>, from: Option<PeerId>) {
        let mut outcome = Outcome::default();
        let mut unfounded: Vec<DeviceId> = Vec::new();
        for (event, sibling) in found {
            // It may be the next by now, or have come meanwhile.
            let mut received = self.entry.room.receive(vec![event.clone()], self.now_ms);
            let unsure = received.unsure.pop();
            if let (Some(event), Some(sibling)) = (unsure.clone(), sibling) {
                received = self.entry.room.receive_fork(event, &sibling, self.now_ms);
            } else if unsure.is_some() && !unfounded.contains(&event.device()) {
                unfounded.push(event.device());
            }
            let Received { outcome: taken, unknown_parents, .. } = received;
            outcome.merge(taken);
            if !unknown_parents.is_empty() {
                self.look_up_parents(unknown_parents);
            }
        }
        if !outcome.accepted.is_empty() || !outcome.persist.is_empty() {
            self.commit(outcome, Settle::default());
        }
        for device in unfounded {
            let peers: Vec<_> = from.map_or_else(|| self.entry.sessions.keys().copied().collect(), |peer| vec![peer]);
            for peer in peers {
                self.session(peer, SyncIn::Fork(Series::messages(device)));
            }
        }
    }
}

impl Turn<'_> {
    /// Looks up where messages stand that fences pin in forked logs: then other messages may be shown.
    pub(super) fn find_pins(&mut self, unplaced: Vec<EventId>) {
        if unplaced.is_empty() {
            return;
        }
        let room = self.id();
        self.read(move |store| {
            let found = places(store, &room, &unplaced);
            Box::new(move |turn| {
                let (found, is_all) = found;
                if !is_all {
                    turn.entry.pins_again_ms = Some(turn.now_ms.saturating_add(OPEN_AGAIN_MS));
                }
                let changes = turn.entry.room.pins_found(&found);
                turn.tell_changes(&changes);
            })
        });
    }

    /// Time passed: looks again for what could not be read.
    pub(super) fn tick_pins(&mut self) {
        if self.entry.pins_again_ms.take_if(|again_ms| *again_ms <= self.now_ms).is_some() {
            self.find_pins(self.entry.room.unplaced());
        }
    }
}

impl Entry {
    /// The same for a room that is loaded. Blocks.
    pub(super) fn load_pins(&mut self, store: &Store) {
        let (found, is_all) = places(store, &self.room.id(), &self.room.unplaced());
        self.pins_again_ms = (!is_all).then_some(0);
        self.room.pins_found(&found);
    }
}

/// Under which names and numbers these messages are stored, as far as they are here; and whether all could be looked for. Blocks.
fn places(store: &Store, room: &RoomId, ids: &[EventId]) -> (Vec<(EventId, DeviceId, u64)>, bool) {
    let mut is_all = true;
    let mut place = |id: &EventId| match store.message(room, id) {
        Ok(row) => row.map(|row| (*id, row.device, row.seq)),
        Err(error) => {
            tracing::warn!(room = %room.short(), %error, "which branch a fence means is looked up later");
            is_all = false;
            None
        }
    };
    let found = ids.iter().filter_map(&mut place).collect();
    (found, is_all)
}

/// What the store holds around the place of a message that it does not hold; `None` if not even the one before it.
fn sibling(store: &Store, room: RoomId, event: &Event) -> Result<Option<Sibling>, ReadError> {
    let (path, at, before) = if event.seq() == 1 {
        (event.device(), 0, None)
    } else {
        let Some(row) = store.message(&room, &event.prev())? else { return Ok(None) };
        let Ok(before) = Event::decode(&room, &row.bytes) else { return Ok(None) };
        let path = row.device;
        (path, row.seq, Some(MessageTip { path, event: before, covers_own: row.covers_own }))
    };
    let want = Want { device: path, from: at + 1, to: at + 1 };
    let next = store.missing(&room, LogKind::Message, &[want], usize::MAX)?;
    let next = next.first().and_then(|row| Event::decode(&room, &row.bytes).ok());
    Ok(next.map(|next| Sibling { path, before, next }))
}
