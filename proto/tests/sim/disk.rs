//! What a node has durably: all that survives a crash.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use parlor_crypto::seal::MessageKey;
use parlor_proto::event::{Event, LogKind};
use parlor_proto::identity::Identity;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{Entry, Nonce};
use parlor_proto::room::{Accepted, MessageTip, Persist, Room, RoomParts, StoredKeys};
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
#[derive(Default)]
pub(crate) struct Disk {
    pub room: Option<RoomId>,
    pub control: Vec<Event>,
    pub messages: BTreeMap<(DeviceId, u64), Stored>,
    pub ids: HashSet<EventId>,
    pub outbox: BTreeMap<Nonce, Entry>,
    pub markers: BTreeMap<DeviceId, Marker>,
    heads: Vec<u8>,
    /// Rows of keys.
    pub keys: StoredKeys,
}

impl Disk {
    pub(crate) fn accept(&mut self, accepted: &Accepted) {
        assert!(self.ids.insert(accepted.event().id()), "an event is stored twice");
        match accepted {
            Accepted::Control(event) => self.control.push(event.clone()),
            Accepted::Message(message) => {
                let event = message.event.clone();
                let text = message.body.as_ref().map(super::node::text);
                let stored = Stored { covers_own: message.covers_own, key: message.key.clone(), text, event };
                let before = self.messages.insert((stored.event.device(), stored.event.seq()), stored);
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
        for stored in self.messages.values() {
            tips.insert(
                stored.event.device(),
                MessageTip { event: stored.event.clone(), covers_own: stored.covers_own },
            );
        }
        let parts = RoomParts {
            room,
            control: self.control.clone(),
            tips: tips.into_values().collect(),
            heads: self.heads.clone(),
            keys: self.keys.clone(),
        };
        Some(Room::restore(Arc::clone(me), parts).expect("what was stored is restored"))
    }

    pub(crate) fn tables(&self) -> Tables {
        let mut tables = Tables::new();
        let events = self.control.iter().chain(self.messages.values().map(|stored| &stored.event));
        for event in events {
            tables.advance(series(event), Tip { seq: event.seq(), id: event.id().0 });
        }
        for marker in self.markers.values() {
            tables.advance(Series::marker(marker.device), Tip { seq: marker.counter, id: [0; 32] });
        }
        tables
    }

    /// Reads for a session, merged in a topological order.
    pub(crate) fn read(
        &self,
        kind: SeriesKind,
        wanted: &[Wanted],
        max_bytes: usize,
        max_items: usize,
    ) -> Vec<Outgoing> {
        let wants =
            |event: &&Event| wanted.iter().any(|w| w.series == series(event) && (w.from..=w.to).contains(&event.seq()));
        let outgoing =
            |event: &Event| Outgoing { series: series(event), seq: event.seq(), bytes: event.bytes().to_vec() };
        let mut found: Vec<Outgoing> = match kind {
            SeriesKind::Control => self.control.iter().filter(wants).map(outgoing).collect(),
            SeriesKind::Message => {
                let mut events: Vec<_> = self.messages.values().map(|stored| &stored.event).filter(wants).collect();
                events.sort_by_key(|event| (event.message().map(|header| header.hlc), event.device(), event.seq()));
                events.into_iter().map(outgoing).collect()
            }
            SeriesKind::Marker => {
                let newest = |w: &Wanted| self.markers.get(&w.series.device);
                let out =
                    |w: &Wanted| newest(w).map(|m| Outgoing { series: w.series, seq: m.counter, bytes: m.encode() });
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Leaf | SeriesKind::Binding => Vec::new(),
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
