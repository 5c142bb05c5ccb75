//! What others hold of our messages, and what we tell them of theirs: markers and the outbox.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_api::{Code, EventBody, Problem, Receipt, Receipts, StatusChanged};
use parlor_proto::binding::Binding;
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{In as OutboxIn, Status, Waiting};
use parlor_proto::room::Outcome;
use parlor_proto::{DeviceId, EventId};

use super::entry::{After, Job, Turn, damaged};
use super::message::Reply;
use super::settle::Settle;
use super::way::Way;
use crate::account::rng;
use crate::bus::rfc3339;

/// Status events sent for one change: of a longer stretch only the newest messages are told one by one.
const STATUS_EVENTS: u64 = 256;

/// Whether the store is asked what heads of markers cover.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Resolving {
    #[default]
    Not,
    Now,
    /// And again when that is answered: markers or messages came meanwhile.
    OnceMore,
}

/// A marker with heads of which memory does not know what they cover.
struct Closed {
    device: DeviceId,
    counter: u64,
    heads: Vec<EventId>,
    read: Hlc,
    at_ms: u64,
}

impl Turn<'_> {
    /// Tells the outbox something; what it wants done is done by the worker, in order.
    pub(super) fn tell_outbox(&mut self, input: OutboxIn) {
        let out = self.outbox.handle(input, self.now_ms, &mut rng());
        self.jobs.extend(out.into_iter().map(Job::Outbox));
    }

    /// Makes our marker if it is due and says something new.
    pub(super) fn mark(&mut self) {
        let n_members = self.entry.room.n_members();
        if !self.entry.room.is_member() || self.entry.rests(self.now_ms) {
            return;
        }
        if !self.entry.throttle.take(n_members, self.now_ms) {
            return;
        }
        let me = self.context.identity.device();
        let heads = self.entry.room.marker_heads();
        // Nobody is told that we read what came too late for that, or anything if he who reads does not want it.
        let told = self.context.attention.receipts();
        let read = if told { self.entry.unread.wholly_read(self.entry.read.order) } else { Hlc::ZERO };
        let held = self.entry.markers.get(&me);
        let mut sorted = heads.clone();
        sorted.sort_unstable();
        if heads.is_empty() || held.is_some_and(|held| held.heads == sorted && held.read_up_to == read) {
            return;
        }
        let counter = held.map_or(0, |held| held.counter) + 1;
        let marker = Marker::sign(&self.id(), self.context.identity.signing_key(), counter, heads, read, self.now_ms);
        self.entry.markers.insert(me, marker.clone());
        self.commit(Outcome::default(), Settle { markers: vec![marker], ..Settle::default() });
    }

    /// Our leaf key is another: the members are told its record when what was handed to the store before is durable.
    pub(super) fn renewed(&mut self, identity: Arc<Identity>) {
        self.entry.room.set_me(identity);
        self.commit(Outcome::default(), Settle::default());
    }

    /// Has those dialled whom these bindings name.
    pub(super) fn tell_where<'a>(&mut self, bindings: impl IntoIterator<Item = &'a Binding>) {
        let (room, me) = (self.id(), self.context.identity.device());
        let others = bindings.into_iter().filter(|binding| binding.device != me);
        self.jobs.extend(others.map(|binding| Job::Reachable { room, binding: binding.clone() }));
    }

    /// As the room begins: the address book keeps nothing of what members say.
    pub(super) fn tell_where_members_are(&mut self) {
        let bindings: Vec<Binding> = self.entry.bindings.values().cloned().collect();
        self.tell_where(&bindings);
    }

    /// Tells members where we can be reached, when that is news.
    pub(super) fn bind(&mut self) {
        if !self.entry.room.is_member() || self.entry.rests(self.now_ms) {
            return;
        }
        let me = self.context.identity.device();
        let ours = self.context.peers.to_give(parlor_proto::binding::MAX_ADDRESSES);
        let addresses: Vec<_> = ours.iter().filter_map(crate::services::joins::to_link).collect();
        let held = self.entry.bindings.get(&me);
        let counter = held.map_or(0, |held| held.counter) + 1;
        let (key, peer) = (self.context.identity.signing_key(), self.context.peer.to_key());
        let binding = Binding::sign(&self.id(), key, counter, peer, &addresses, self.now_ms);
        if held.is_some_and(|held| held.peer == peer && held.addresses == binding.addresses) {
            return;
        }
        self.entry.bindings.insert(me, binding.clone());
        self.commit(Outcome::default(), Settle { bindings: vec![binding], ..Settle::default() });
    }

    /// Tells the outbox what the markers of others say, as far as their heads are known here. What is not known from memory is looked
    /// up for all of them together, and once at a time: when a message comes, the markers of a large room come faster than answers.
    pub(super) fn resolve_markers(&mut self) {
        let unresolved: Vec<_> = self.entry.unresolved.iter().copied().collect();
        let closed: Vec<_> = unresolved.into_iter().filter_map(|device| self.resolve_marker(device)).collect();
        if closed.is_empty() {
            return;
        }
        if self.entry.resolving != Resolving::Not {
            self.entry.resolving = Resolving::OnceMore;
            return;
        }
        self.entry.resolving = Resolving::Now;
        let room = self.id();
        self.read(move |store| {
            let mut seen: HashMap<EventId, Option<u64>> = HashMap::new();
            let mut covers = |head: &EventId| {
                let look = || store.message(&room, head).ok().flatten().map(|row| row.covers_own);
                *seen.entry(*head).or_insert_with(look)
            };
            let found: Vec<Vec<_>> =
                closed.iter().map(|marker| marker.heads.iter().map(&mut covers).collect()).collect();
            Box::new(move |turn| turn.resolved(&closed, &found))
        });
    }

    /// Tells the outbox what is known of a marker from memory; the marker with the heads that are not.
    fn resolve_marker(&mut self, device: DeviceId) -> Option<Closed> {
        let marker = self.entry.markers.get(&device)?;
        let known: Vec<_> = marker.heads.iter().map(|head| (*head, self.entry.room.covers_own(head))).collect();
        let delivered = known.iter().filter_map(|(_, covers)| *covers).max().unwrap_or(0);
        let heads: Vec<_> = known.iter().filter(|(_, covers)| covers.is_none()).map(|(head, _)| *head).collect();
        let (counter, read, at_ms) = (marker.counter, marker.read_up_to, marker.ts_ms);
        self.tell_marked(device, delivered, read, at_ms);
        if heads.is_empty() {
            self.entry.unresolved.remove(&device);
            return None;
        }
        Some(Closed { device, counter, heads, read, at_ms })
    }

    /// The store was asked for what heads of markers cover: one entry a marker, in it one a head, `None` for what is not here yet.
    fn resolved(&mut self, closed: &[Closed], found: &[Vec<Option<u64>>]) {
        for (marker, covers) in closed.iter().zip(found) {
            let delivered = covers.iter().flatten().copied().max().unwrap_or(0);
            self.tell_marked(marker.device, delivered, marker.read, marker.at_ms);
            let newest = self.entry.markers.get(&marker.device).is_some_and(|held| held.counter == marker.counter);
            if newest && covers.iter().all(Option::is_some) {
                self.entry.unresolved.remove(&marker.device);
            }
        }
        if std::mem::take(&mut self.entry.resolving) == Resolving::OnceMore {
            self.resolve_markers();
        }
    }

    /// What follows a read of a room that panicked: nothing waits for its answer any more, and what comes next asks again.
    pub(super) fn lost_read() -> After {
        Box::new(|turn| {
            turn.entry.resolving = Resolving::Not;
            turn.entry.opening.lost(turn.now_ms);
        })
    }

    fn tell_marked(&mut self, device: DeviceId, delivered: u64, read_up_to: Hlc, at_ms: u64) {
        let newest = self.entry.own_clock.iter().rev().find(|(seq, clock)| *seq <= delivered && *clock <= read_up_to);
        let read = newest.map_or(0, |(seq, _)| *seq);
        if self.is_live(&device) {
            self.tell_outbox(OutboxIn::Marked { room: self.id(), device, delivered, read, at_ms });
        }
    }

    /// Who has a message of ours, and who read it.
    pub(super) fn receipts(&mut self, id: EventId, reply: Reply<Receipts>) {
        let room = self.id();
        self.read(move |store| {
            let row = store.message(&room, &id).map_err(damaged);
            Box::new(move |turn| {
                let row = row.and_then(|row| row.ok_or_else(|| Problem::of(Code::MessageNotFound)));
                drop(reply.send(row.and_then(|row| turn.receipts_view(&row))));
            })
        });
    }

    fn receipts_view(&self, row: &parlor_storage::MessageRow) -> Result<Receipts, Problem> {
        if row.device != self.context.identity.device() {
            return Err(Problem::new(Code::Conflict, "who has a message is known to the device that wrote it only"));
        }
        // No clock of others makes a message known before it was written.
        let written_ms = Hlc(row.hlc).ms();
        let at = |ms: Option<u64>| ms.map(|ms| rfc3339(ms.max(written_ms)));
        let mut people: Vec<_> = self
            .outbox
            .receipts(&self.id(), row.seq)
            .into_iter()
            .map(|receipt| Receipt {
                account: receipt.account.to_string(),
                name: self.name_of(&receipt.account),
                delivered: receipt.delivered_ms.is_some(),
                delivered_at: at(receipt.delivered_ms),
                read: receipt.read_ms.is_some(),
                read_at: at(receipt.read_ms),
            })
            .collect();
        people.sort_by(|a, b| (&a.name, &a.account).cmp(&(&b.name, &b.account)));
        Ok(Receipts { message: row.id.to_string(), room: self.id().to_string(), people })
    }

    /// The status of our messages `from..=to` changed: windows are told.
    pub(super) fn show_statuses(&mut self, from: u64, to: u64) {
        let (room, device) = (self.id(), self.context.identity.device());
        let from = from.max(to.saturating_sub(STATUS_EVENTS - 1)).max(1);
        self.read(move |store| {
            let want = parlor_storage::Want { device, from, to };
            let rows = store.missing(&room, parlor_storage::LogKind::Message, &[want], usize::MAX).unwrap_or_default();
            Box::new(move |turn| {
                for row in rows {
                    turn.show_status(&row);
                }
                turn.refresh_last();
            })
        });
    }

    fn show_status(&mut self, row: &parlor_storage::LogRow) {
        let Ok(event) = parlor_proto::event::Event::decode(&self.id(), &row.bytes) else { return };
        let way = self.way(self.outbox.status(&self.id(), row.seq));
        let changed = StatusChanged {
            message: event.id().to_string(),
            room: self.id().to_string(),
            status: way.status,
            delivered_to: way.delivered_to,
            read_by: way.read_by,
            reason: way.reason,
            reason_code: way.reason_code,
        };
        self.publish(EventBody::Status(changed));
    }

    /// The newest message of the list shows its status too.
    fn refresh_last(&mut self) {
        let Some((_, last)) = &self.entry.last else { return };
        let Ok(id) = last.message.parse() else { return };
        let room = self.id();
        self.read(move |store| {
            let row = store.message(&room, &id).ok().flatten();
            Box::new(move |turn| {
                let Some(row) = row else { return };
                let view = turn.row_status(&row);
                if let (Some((_, last)), Some(way)) = (&mut turn.entry.last, view) {
                    (last.status, last.delivered_to, last.read_by) = (way.status, way.delivered_to, way.read_by);
                    (last.reason, last.reason_code) = (way.reason, way.reason_code);
                }
                turn.summarise();
            })
        });
    }

    fn row_status(&self, row: &parlor_storage::MessageRow) -> Option<Way> {
        let mine = row.device == self.context.identity.device();
        mine.then(|| self.way(self.outbox.status(&self.id(), row.seq)))
    }

    /// As [`Way::of`]; who waits for members of a room that has no others is told that instead.
    pub(super) fn way(&self, status: Status) -> Way {
        let alone = matches!(status, Status::Queued(Waiting::Unreachable)) && self.entry.room.members().len() == 1;
        let way = Way::of(status);
        if alone { way.because("alone", "nobody else is in the room yet") } else { way }
    }
}
