//! Our own events on their way out: written, gossiped, gossiped again.

use parlor_api::{EventBody, OutboxChanged};
use parlor_net::Topic;
use parlor_proto::body::Body;
use parlor_proto::event::LogKind;
use parlor_proto::gossip::{GossipFrame, MAX_UNREACHED, Unreached};
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{Entry as OutboxEntry, Failure, In as OutboxIn, Out as OutboxOut, Waiting};
use parlor_proto::room::{Accepted, Outcome, Refusal, Written};
use parlor_proto::wire::Blob;
use parlor_storage::Want;

use super::entry::{Job, Turn};
use super::settle::{Reply, Settle};
use crate::account::rng;
use crate::limits::REPUBLISH_BYTES;

/// Kind of the control event that replaces an epoch.
const ROTATE: u8 = 11;

impl Turn<'_> {
    /// What the outbox wants done in this room.
    pub(super) fn on_outbox(&mut self, out: OutboxOut) {
        match out {
            OutboxOut::Write(entry) => self.write(vec![entry], Vec::new()),
            OutboxOut::Store(entry) => self.store_entry(entry),
            OutboxOut::Remove(_, nonce) => {
                self.commit(Outcome::default(), Settle { forget: vec![nonce], ..Settle::default() });
            }
            OutboxOut::Publish { from, to, .. } => self.publish_again(from, to),
            OutboxOut::Seek(room) => self.jobs.push(Job::Seek { room }),
            OutboxOut::Changed { from, to, .. } => self.show_statuses(from, to),
            OutboxOut::ChangedUnwritten { nonce, .. } => self.show_unwritten(&nonce),
        }
    }

    /// Makes the events of these entries and commits all of them in one batch.
    pub(super) fn write(&mut self, entries: Vec<OutboxEntry>, replies: Vec<Reply>) {
        let mut outcome = Outcome::default();
        let mut settle = Settle { replies, ..Settle::default() };
        for entry in entries {
            match self.write_one(&entry, &mut outcome) {
                Ok(message) => settle.entries.push(message),
                Err(refused) => self.tell_outbox(refused),
            }
        }
        self.commit(outcome, settle);
    }

    fn write_one(&mut self, entry: &OutboxEntry, outcome: &mut Outcome) -> Result<OutboxEntry, OutboxIn> {
        let nonce = entry.nonce;
        let never = |failure| OutboxIn::Never { nonce, failure };
        let body = Body::decode(&entry.body).map_err(|_| never(Failure::TooLong))?;
        if self.begins_again() {
            return Err(OutboxIn::NotNow { nonce, waiting: Waiting::Comparing });
        }
        outcome.merge(self.entry.room.freshen(self.now_ms, &mut rng()));
        let mut written = self.entry.room.write(&body, self.now_ms, &mut rng());
        if matches!(written, Err(Refusal::NoSafeEpoch)) {
            // Somebody wants to write now: no waiting for the elected device.
            if let Ok(rotated) = self.entry.room.rotate(self.now_ms, &mut rng()) {
                outcome.merge(rotated);
                written = self.entry.room.write(&body, self.now_ms, &mut rng());
            }
        }
        match written {
            Ok(Written { message, persist }) => {
                let (event, seq) = (message.event.id(), message.event.seq());
                outcome.merge(Outcome { accepted: vec![Accepted::Message(message)], persist, ..Outcome::default() });
                Ok(entry.written(event, seq))
            }
            Err(Refusal::NoSafeEpoch) => Err(OutboxIn::NotNow { nonce, waiting: Waiting::NoSafeEpoch }),
            Err(Refusal::Held) => Err(OutboxIn::NotNow { nonce, waiting: Waiting::Comparing }),
            Err(Refusal::Cloned) => Err(never(Failure::Cloned)),
            Err(Refusal::NotMember) => Err(never(Failure::NoMember)),
            Err(Refusal::Body(_)) => Err(never(Failure::TooLong)),
            Err(_) => Err(never(Failure::NotPermitted)),
        }
    }

    /// Gossips those of the events that are our own.
    pub(super) fn push_own(&mut self, accepted: &[Accepted]) {
        let me = self.context.identity.device();
        for event in accepted.iter().map(Accepted::event).filter(|event| event.device() == me) {
            if event.log().kind == LogKind::Message {
                let frames = self.entry.coalescer.push(event.bytes().to_vec(), self.now_ms);
                frames.iter().for_each(|frame| self.gossip_out(frame, false));
                continue;
            }
            let replaces = event.control().is_some_and(|header| header.kind == ROTATE);
            self.gossip_out(&GossipFrame::Events(vec![Blob(event.bytes().to_vec())]), replaces);
        }
    }

    /// Gossips our marker.
    pub(super) fn push_marker(&mut self, marker: &Marker) {
        self.gossip_out(&GossipFrame::Markers(vec![Blob(marker.encode())]), false);
    }

    /// Time passed for messages that wait for company.
    pub(super) fn tick_coalescer(&mut self) {
        if let Some(frame) = self.entry.coalescer.tick(self.now_ms) {
            self.gossip_out(&frame, false);
        }
    }

    /// Members or connections changed: notes whom our gossip does not reach without others.
    pub(super) fn note_unreached(&mut self) {
        let connected = self.entry.connected();
        let me = self.context.identity.device();
        self.entry.unreached = if self.entry.room.n_members() > connected.len() + MAX_UNREACHED {
            // In a room so large nobody looks through all members at each connection.
            Unreached::default()
        } else {
            let members = self.entry.room.members();
            let devices = members.iter().flat_map(|member| member.devices.iter().map(|(device, _)| *device));
            Unreached::devices(devices.filter(|device| *device != me && !connected.contains(device)))
        };
    }

    /// The room's gossip key may be another now.
    pub(super) fn note_gossip_key(&mut self) {
        let key = self.entry.room.gossip_key();
        let hint =
            |key: &Option<parlor_crypto::wrap::GossipKey>| key.as_ref().map(parlor_crypto::wrap::GossipKey::hint);
        if hint(&key) != hint(&self.entry.gossip_key) {
            self.entry.former_gossip_key = self.entry.gossip_key.take();
            self.entry.gossip_key = key;
        }
    }

    pub(super) fn gossip_out(&mut self, frame: &GossipFrame, replaces: bool) {
        if self.entry.gossip_key.is_none() {
            self.note_gossip_key();
        }
        let former = self.entry.former_gossip_key.as_ref().filter(|_| replaces);
        let Some(key) = former.or(self.entry.gossip_key.as_ref()) else { return };
        let Some(data) = frame.wrap(&self.entry.unreached, key, &mut rng()) else { return };
        let topic = self.entry.room.topic_names().into_iter().next().and_then(|name| Topic::new(name).ok());
        if let Some(topic) = topic {
            self.jobs.push(Job::Publish { topic, data });
        }
    }

    /// Our messages that nobody confirmed go on gossip once more.
    fn publish_again(&mut self, from: u64, to: u64) {
        let (room, device) = (self.id(), self.context.identity.device());
        self.read(move |store| {
            let want = Want { device, from, to };
            let rows = store.missing(&room, parlor_storage::LogKind::Message, &[want], REPUBLISH_BYTES);
            let rows = rows.unwrap_or_default();
            Box::new(move |turn| {
                for row in rows {
                    let frames = turn.entry.coalescer.push(row.bytes, turn.now_ms);
                    frames.iter().for_each(|frame| turn.gossip_out(frame, false));
                }
            })
        });
    }

    fn show_unwritten(&mut self, nonce: &parlor_proto::outbox::Nonce) {
        let lines = self.outbox.lines();
        let waiting = lines.len() as u64;
        let Some(line) = lines.into_iter().find(|line| line.nonce == *nonce) else { return };
        let way = self.way(line.status);
        let event = OutboxChanged {
            message: super::views::outbox_name(&line),
            room: self.id().to_string(),
            attempts: line.attempts,
            next_attempt: line.next_attempt_ms.map(crate::bus::rfc3339),
            reason: way.reason,
            reason_code: way.reason_code,
            waiting,
        };
        self.publish(EventBody::Outbox(event));
    }
}
