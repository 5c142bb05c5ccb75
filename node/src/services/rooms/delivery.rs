//! What others hold of our messages, and what we tell them of theirs: markers and the outbox.

use std::sync::Arc;

use parlor_api::{Code, EventBody, MessageStatus, Problem, Receipt, Receipts, StatusChanged};
use parlor_proto::binding::Binding;
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{In as OutboxIn, Status, Waiting};
use parlor_proto::room::Outcome;
use parlor_proto::{DeviceId, EventId};

use super::entry::{Job, Turn, damaged};
use super::message::Reply;
use super::settle::Settle;
use crate::account::rng;
use crate::bus::rfc3339;

/// Status events sent for one change: of a longer stretch only the newest messages are told one by one.
const STATUS_EVENTS: u64 = 256;

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

    /// Tells the outbox what the markers of others say, as far as their heads are known here.
    pub(super) fn resolve_markers(&mut self) {
        let unresolved: Vec<_> = self.entry.unresolved.iter().copied().collect();
        for device in unresolved {
            self.resolve_marker(device);
        }
    }

    fn resolve_marker(&mut self, device: DeviceId) {
        let Some(marker) = self.entry.markers.get(&device) else { return };
        let known: Vec<_> = marker.heads.iter().map(|head| (*head, self.entry.room.covers_own(head))).collect();
        let delivered = known.iter().filter_map(|(_, covers)| *covers).max().unwrap_or(0);
        let unknown: Vec<_> = known.iter().filter(|(_, covers)| covers.is_none()).map(|(head, _)| *head).collect();
        let (read, at_ms) = (marker.read_up_to, marker.ts_ms);
        self.tell_marked(device, delivered, read, at_ms);
        if unknown.is_empty() {
            self.entry.unresolved.remove(&device);
            return;
        }
        let room = self.id();
        self.read(move |store| {
            let rows: Vec<_> = unknown.iter().map(|head| store.message(&room, head).ok().flatten()).collect();
            let covers = rows.iter().flatten().map(|row| row.covers_own).max().unwrap_or(0);
            let all = rows.iter().all(Option::is_some);
            Box::new(move |turn| {
                turn.tell_marked(device, covers, read, at_ms);
                if all {
                    turn.entry.unresolved.remove(&device);
                }
            })
        });
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
        let (status, delivered_to, read_by, reason) = self.status_told(self.outbox.status(&self.id(), row.seq));
        let changed = StatusChanged {
            message: event.id().to_string(),
            room: self.id().to_string(),
            status,
            delivered_to,
            read_by,
            reason,
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
                if let (Some((_, last)), Some((status, delivered_to, read_by, reason))) = (&mut turn.entry.last, view) {
                    (last.status, last.delivered_to, last.read_by, last.reason) =
                        (status, delivered_to, read_by, reason);
                }
                turn.summarise();
            })
        });
    }

    fn row_status(&self, row: &parlor_storage::MessageRow) -> Option<(MessageStatus, u32, u32, Option<String>)> {
        let mine = row.device == self.context.identity.device();
        mine.then(|| self.status_told(self.outbox.status(&self.id(), row.seq)))
    }

    /// As [`status_of`]; who waits for members of a room that has no others is told that instead.
    pub(super) fn status_told(&self, status: Status) -> (MessageStatus, u32, u32, Option<String>) {
        let alone = matches!(status, Status::Queued(Waiting::Unreachable)) && self.entry.room.members().len() == 1;
        let (status, to, by, why) = status_of(status);
        (status, to, by, if alone { Some("nobody else is in the room yet".into()) } else { why })
    }
}

/// A status of the outbox in the words of the API: state, delivered to, read by, reason.
fn status_of(status: Status) -> (MessageStatus, u32, u32, Option<String>) {
    match status {
        Status::Queued(why) => (MessageStatus::Queued, 0, 0, Some(why.to_string())),
        Status::Sent => (MessageStatus::Sent, 0, 0, None),
        Status::Delivered { to, .. } => (MessageStatus::Delivered, to, 0, None),
        Status::Read { by, to, .. } => (MessageStatus::Read, to, by, None),
        Status::Failed(why) => (MessageStatus::Failed, 0, 0, Some(why.to_string())),
    }
}
