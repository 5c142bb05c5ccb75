//! What a node has durably: all that survives a crash.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parlor_crypto::seal::MessageKey;
use parlor_proto::event::{Event, LogKind};
use parlor_proto::identity::Identity;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{Entry, Nonce};
use parlor_proto::room::{Accepted, MessageTip, Persist, Place, Room, RoomParts, Sibling, StoredKeys};
use parlor_proto::sync::{Outgoing, Series, Tables, Tip, Wanted};
use parlor_proto::wire::SeriesKind;
use parlor_proto::{DeviceId, EventId, RoomId};

/// A stored message.
#[derive(Clone)]
pub(crate) struct Stored {
    pub event: Event,
    pub covers_own: u64,
    pub key: Option<MessageKey>,
    pub text: Option<String>,
}

/// The disk of a node.
#[derive(Default, Clone)]
pub(crate) struct Disk {
    pub room: Option<RoomId>,
    /// The links by which it wants to come in, until it is in or was refused; the one in use last.
    pub joining: Vec<String>,
    pub control: Vec<Event>,
    /// By path (the device, or the name of a branch) and number in it.
    pub messages: BTreeMap<(DeviceId, u64), Stored>,
    pub ids: HashSet<EventId>,
    pub outbox: BTreeMap<Nonce, Entry>,
    pub markers: BTreeMap<DeviceId, Marker>,
    heads: Vec<u8>,
    /// Rows of keys.
    pub keys: StoredKeys,
}

impl Disk {
    pub(crate) fn accept(&mut self, accepted: &Accepted, place: Option<&Place>) {
        assert!(self.ids.insert(accepted.event().id()), "an event is stored twice");
        match accepted {
            Accepted::Control(event) => self.control.push(event.clone()),
            Accepted::Message(message) => {
                let event = message.event.clone();
                let text = message.body.as_ref().map(super::node::text);
                let stored = Stored { covers_own: message.covers_own, key: message.key.clone(), text, event };
                let plain = (stored.event.device(), stored.event.seq());
                let before = self.messages.insert(place.map_or(plain, |place| (place.path, place.at)), stored);
                assert!(before.is_none(), "two messages of one number");
            }
        }
    }

    pub(crate) fn persist(&mut self, persist: &Persist) {
        if let Some(heads) = &persist.heads {
            self.heads.clone_from(heads);
        }
        for (name, row) in &persist.keys {
            match row {
                Some(row) => self.keys.insert(name.clone(), row.clone()),
                None => self.keys.remove(name),
            };
        }
    }

    /// The room after a restart.
    pub(crate) fn restore(&self, me: &Arc<Identity>) -> Option<Room> {
        let room = self.room?;
        let mut tips = BTreeMap::new();
        for ((path, _), stored) in &self.messages {
            let tip = MessageTip { path: *path, event: stored.event.clone(), covers_own: stored.covers_own };
            tips.insert(*path, tip);
        }
        let parts = RoomParts {
            room,
            control: self.control.clone(),
            tips: tips.into_values().collect(),
            heads: self.heads.clone(),
            keys: self.keys.clone(),
        };
        let mut room = Room::restore(Arc::clone(me), parts).expect("what was stored is restored");
        room.pins_found(&self.places(&room.unplaced()));
        Some(room)
    }

    /// Where these messages are stored, as far as they are.
    pub(crate) fn places(&self, ids: &[EventId]) -> Vec<(EventId, DeviceId, u64)> {
        let stored = self.messages.iter().filter(|(_, stored)| ids.contains(&stored.event.id()));
        stored.map(|((path, at), stored)| (stored.event.id(), *path, *at)).collect()
    }

    pub(crate) fn tables(&self, room: Option<&Room>) -> Tables {
        let mut tables = Tables::new();
        for tip in room.map(Room::tips).unwrap_or_default() {
            let kind = match tip.log.kind {
                LogKind::Control => SeriesKind::Control,
                LogKind::Message => SeriesKind::Message,
            };
            tables.advance(Series { kind, device: tip.log.device }, Tip { seq: tip.seq, id: tip.id.0 });
        }
        for marker in self.markers.values() {
            tables.advance(Series::marker(marker.device), Tip { seq: marker.counter, id: [0; 32] });
        }
        tables
    }

    /// What stands around the place of a message that is not stored; `None` if not even the one before it is.
    pub(crate) fn sibling(&self, event: &Event) -> Option<Sibling> {
        let mut stored = self.messages.iter();
        let before = stored.find(|(_, stored)| stored.event.id() == event.prev());
        if before.is_none() && event.seq() != 1 {
            return None;
        }
        let (path, at) = before.map_or((event.device(), 0), |(place, _)| *place);
        let before =
            before.map(|(_, stored)| MessageTip { path, event: stored.event.clone(), covers_own: stored.covers_own });
        let next = self.messages.get(&(path, at + 1))?.event.clone();
        Some(Sibling { path, before, next })
    }

    /// Reads for a session, merged in a topological order.
    pub(crate) fn read(
        &self,
        room: &Room,
        kind: SeriesKind,
        wanted: &[Wanted],
        max_bytes: usize,
        max_items: usize,
    ) -> Vec<Outgoing> {
        let mut found: Vec<Outgoing> = match kind {
            SeriesKind::Control => {
                let placed = self.control.iter().map(|event| (room.control_place(event), event));
                let wants = |(device, seq): &(DeviceId, u64)| {
                    wanted.iter().any(|w| w.series.device == *device && (w.from..=w.to).contains(seq))
                };
                let placed = placed.filter(|(place, _)| wants(place));
                placed
                    .map(|((device, seq), event)| Outgoing {
                        series: Series::control(device),
                        seq,
                        bytes: event.bytes().to_vec(),
                    })
                    .collect()
            }
            SeriesKind::Message => {
                let mut events: Vec<(&Event, Series, u64)> = Vec::new();
                for Wanted { series, from, to } in wanted {
                    let (path, before) = room.kept_in(&series.device);
                    let stored = self.messages.range((path, from + before)..=(path, to.saturating_add(before)));
                    events.extend(stored.map(|((_, at), stored)| (&stored.event, *series, at - before)));
                }
                let order = |(event, ..): &(&Event, Series, u64)| {
                    (event.message().map(|header| header.hlc), event.device(), event.seq())
                };
                events.sort_by_key(order);
                let out = |(event, series, seq): (&Event, Series, u64)| Outgoing {
                    series,
                    seq,
                    bytes: event.bytes().to_vec(),
                };
                events.into_iter().map(out).collect()
            }
            SeriesKind::Marker => {
                let newest = |w: &Wanted| self.markers.get(&w.series.device);
                let out =
                    |w: &Wanted| newest(w).map(|m| Outgoing { series: w.series, seq: m.counter, bytes: m.encode() });
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Leaf | SeriesKind::Binding | SeriesKind::Profile | SeriesKind::Portrait => Vec::new(),
        };
        let mut n_bytes = 0;
        let fits = found.iter().take(max_items).take_while(|out| {
            n_bytes += out.bytes.len();
            n_bytes <= max_bytes
        });
        let n = fits.count().max(1);
        found.truncate(n);
        found
    }
}

/// The series an event is in.
pub(crate) fn series(event: &Event) -> Series {
    match event.log().kind {
        LogKind::Control => Series::control(event.device()),
        LogKind::Message => Series::messages(event.device()),
    }
}
