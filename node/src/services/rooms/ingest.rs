//! Events of others: sorted, taken in, and what they lack fetched. What sync delivers comes here; what gossip brings, over
//! [`super::gossip`].

use parlor_net::PeerId;
use parlor_proto::annotation::{self, Kept};
use parlor_proto::binding::Binding;
use parlor_proto::body::Body;
use parlor_proto::control::LeafRecord;
use parlor_proto::event::{Event, LogKind};
use parlor_proto::marker::Marker;
use parlor_proto::profile::{Portrait, Profile};
use parlor_proto::room::{Missing, Outcome, Received, Reject, Rejected, Standing};
use parlor_proto::sync::{In as SyncIn, Series};
use parlor_proto::wire::{Asked, Item, SeriesKind};
use parlor_proto::{DeviceId, EventId, codec};

use super::entry::Turn;
use super::settle::Settle;
use crate::limits::BAD_COPIES_MAX;

/// Longest leaf record in bytes: two keys, two numbers, a signature.
const MAX_LEAF: usize = 256;

impl Turn<'_> {
    /// A batch of a sync session: takes it in and answers the session when it is durable.
    pub(super) fn deliver(&mut self, peer: PeerId, batch: u32, items: Vec<Item>) {
        let Some((events, mut records)) = self.sort(items) else {
            self.session(peer, SyncIn::Refused { batch });
            return;
        };
        self.shown(peer, &events);
        // Events are counted references: this copies none.
        let batched = events.clone();
        let device = self.entry.sessions.get(&peer).and_then(|linked| linked.device);
        let member = device.is_some_and(|device| self.entry.room.standing(&device) == Standing::Live);
        let received = if member {
            self.entry.room.receive(events, self.now_ms)
        } else {
            self.entry.room.receive_unvouched(events, self.now_ms)
        };
        let linked = self.entry.sessions.get_mut(&peer);
        let too_many = linked.is_some_and(|linked| {
            linked.bad_copies += bad_copies(&received.rejected);
            linked.bad_copies > BAD_COPIES_MAX
        });
        if too_many || blames(&received.rejected) {
            tracing::debug!(room = %self.id().short(), peer = %peer.short(), "invalid events in a batch");
            self.session(peer, SyncIn::Refused { batch });
        }
        let complete = !records.left_out && batched.iter().all(|event| self.entry.room.seen(event));
        records.delivered = Some((peer, batch, complete));
        self.take(received, records);
        self.hear_early(batched);
    }

    /// Decodes events and records. `None` when something in it is malformed: whoever handed it over is at fault.
    pub(super) fn sort(&mut self, items: Vec<Item>) -> Option<(Vec<Event>, Settle)> {
        let room = self.id();
        let mut events = Vec::with_capacity(items.len());
        let mut settle = Settle::default();
        for Item { kind, bytes } in items {
            match kind {
                SeriesKind::Control | SeriesKind::Message => events.push(Event::decode(&room, &bytes.0).ok()?),
                SeriesKind::Marker => {
                    let marker = Marker::decode(&room, &bytes.0).ok()?;
                    let live = self.entry.room.standing(&marker.device) == Standing::Live;
                    if live && marker.replaces(self.entry.markers.get(&marker.device)) {
                        self.entry.markers.insert(marker.device, marker.clone());
                        self.entry.unresolved.insert(marker.device);
                        settle.markers.push(marker);
                    }
                }
                SeriesKind::Binding => {
                    let binding = Binding::decode(&room, &bytes.0).ok()?;
                    if self.is_live(&binding.device) && binding.replaces(self.entry.bindings.get(&binding.device)) {
                        self.entry.bindings.insert(binding.device, binding.clone());
                        settle.bindings.push(binding);
                    }
                }
                SeriesKind::Profile => {
                    let record = Profile::decode(&room, &bytes.0).ok()?;
                    settle.left_out |= !self.take_profile(record, &mut settle);
                }
                SeriesKind::Portrait => {
                    let portrait = Portrait::decode(&room, &bytes.0).ok()?;
                    settle.left_out |= !self.take_portrait(portrait, &mut settle);
                }
                SeriesKind::Leaf => {
                    let leaf: LeafRecord = codec::decode(&bytes.0, MAX_LEAF).ok()?;
                    if let Ok(Some(persist)) = self.entry.room.accept_leaf(leaf) {
                        self.commit(Outcome { persist, ..Outcome::default() }, Settle::default());
                    }
                }
            }
        }
        Some((events, settle))
    }

    /// Commits what the room took in, and has fetched what is missing.
    pub(super) fn take(&mut self, received: Received, settle: Settle) {
        let from = settle.delivered.map(|(peer, ..)| peer);
        self.take_from(from, received, settle);
    }

    /// As [`take`](Self::take), of what a peer brought by sync.
    pub(super) fn take_from(&mut self, from: Option<PeerId>, received: Received, mut settle: Settle) {
        let Received { outcome, waiting, unknown_parents, covers_corrected, unsure, .. } = received;
        let corrected = !covers_corrected.is_empty();
        settle.covers = covers_corrected;
        let markers = !settle.markers.is_empty();
        let profiles = !settle.profiles.is_empty() || !settle.portraits.is_empty();
        let records = markers || profiles || !settle.bindings.is_empty();
        if !outcome.accepted.is_empty()
            || !outcome.persist.is_empty()
            || settle.delivered.is_some()
            || records
            || corrected
        {
            self.commit(outcome, settle);
        }
        self.fetch(&waiting, from);
        if !unsure.is_empty() {
            self.look_up_unsure(unsure, from);
        }
        if !unknown_parents.is_empty() {
            self.look_up_parents(unknown_parents);
        }
        if corrected {
            // A missing parent came: what markers said covers more of ours than was known.
            let devices: Vec<_> = self.entry.markers.keys().copied().collect();
            self.entry.unresolved.extend(devices);
        }
        if markers || corrected {
            self.resolve_markers();
        }
    }

    /// Asks connected members for what others wait for; for a control event whoever brought what waits for it.
    fn fetch(&mut self, waiting: &[Missing], from: Option<PeerId>) {
        let mut gaps: Vec<Series> = Vec::new();
        for missing in waiting {
            let series = match missing {
                Missing::Log { log, .. } => match log.kind {
                    LogKind::Control => Series::control(log.device),
                    LogKind::Message => Series::messages(log.device),
                },
                Missing::Control(id) => {
                    if let Some(peer) = from {
                        self.session(peer, SyncIn::Ask(Asked::Event(*id)));
                    }
                    continue;
                }
            };
            if !gaps.contains(&series) {
                gaps.push(series);
            }
        }
        let peers: Vec<_> = self.entry.sessions.keys().copied().collect();
        for series in gaps {
            for peer in &peers {
                self.session(*peer, SyncIn::Gap(series));
            }
        }
    }

    /// Parents that are not among the recent messages: the store knows whether they are here.
    pub(super) fn look_up_parents(&mut self, parents: Vec<EventId>) {
        let room = self.id();
        self.read(move |store| {
            let covers = |id: EventId| Some((id, store.message(&room, &id).ok().flatten()?.covers_own));
            let held: Vec<_> = parents.into_iter().filter_map(covers).collect();
            Box::new(move |turn| {
                let received = turn.entry.room.parents_held(&held);
                turn.take(received, Settle::default());
                turn.entry.throttle.touch();
            })
        });
    }

    /// Whether an edit that is opened now was written under keys that were not safe: it was noted at itself when it came, for
    /// nobody knew what it is, and belongs to its target. Of others the note stands where it belongs.
    pub(super) fn unsafe_when_it_came(&self, event: &Event, body: Option<&Body>) -> bool {
        let noted = || self.context.store.remarks(&self.id(), &annotation::about(&event.id()), usize::MAX);
        let is_note = |row: &parlor_storage::RemarkRow| Kept::decode(&row.value) == Some(Kept::Unsafe);
        matches!(body, Some(Body::Edit(_))) && noted().is_ok_and(|rows| rows.iter().any(is_note))
    }

    /// Whether a device may be shown as connected.
    pub(super) fn is_live(&self, device: &DeviceId) -> bool {
        self.entry.room.standing(device) == Standing::Live
    }
}

pub(super) fn bad_copies(rejected: &[Rejected]) -> usize {
    rejected.iter().filter(|rejected| rejected.of_batch && rejected.why == Reject::BadCopy).count()
}

pub(super) fn blames(rejected: &[Rejected]) -> bool {
    rejected.iter().any(|rejected| rejected.blames_sender())
}
