//! Sync sessions of a room: what a session wants done, and what its peer is to the room.

use parlor_net::PeerId;
use parlor_proto::event::Event;
use parlor_proto::limits::ROW_WAIT_MS;
use parlor_proto::outbox::In as OutboxIn;
use parlor_proto::profile::Portrait;
use parlor_proto::room::{Company, KeyShare, Standing};
use parlor_proto::sync::{
    In as SyncIn, Misbehaviour, Out as SyncOut, Outgoing, PeerLink, Series, Session, SessionSetup, Tip,
};
use parlor_proto::sync::{Standing as PeerStanding, Wanted};
use parlor_proto::wire::{Asked, SeriesKind};
use parlor_proto::{DeviceId, codec};
use parlor_storage::{LogKind, Namespace, ReadError, Want};

use super::entry::{Job, Linked, Turn};
use super::gossip::Hearing;
use super::message::Opened;
use super::settle::Settle;
use crate::account::rng;

/// Members of whom a page of rows is asked at once: each that has it sends it.
const PAGE_ASKS: usize = 3;
/// What a broken rule of sync counts against a peer: twice is a ban.
const WEIGHT: u32 = 50;
/// What a peer lacks and could not be read is read again after this long.
const SERVE_AGAIN_MS: u64 = 1_000;
/// Longest key share in bytes.
const MAX_SHARE: usize = 512;

/// Messages that a peer lacks, to be read when the disk gives them.
pub(super) struct Unread {
    pub(super) at_ms: u64,
    ticket: u32,
    wanted: Vec<Wanted>,
    max_bytes: usize,
    max_items: usize,
}

impl Turn<'_> {
    /// A connection has this room on both sides.
    pub(super) fn open_session(&mut self, opened: Opened) {
        let Opened { room, peer, channel, connection, version, side } = opened;
        if self.entry.room.other().is_some_and(|other| self.context.contacts.is_blocked(&other)) {
            return;
        }
        let topic_secret = self.entry.room.topic_secret().clone();
        let device = self.context.identity.signing_key();
        let setup = SessionSetup { room, topic_secret: &topic_secret, connection, version, side, device };
        let (session, out) = Session::start(setup, self.now_ms, &mut rng());
        self.close_session(peer);
        self.entry.sessions.insert(
            peer,
            Linked {
                session,
                channel,
                device: None,
                cut: None,
                cut_at: None,
                bad_copies: 0,
                hearing: Hearing::default(),
                asked_newest: false,
                unread: None,
            },
        );
        out.into_iter().for_each(|out| self.on_session(peer, out));
    }

    /// A connection is gone, or the other side gave the room up.
    pub(super) fn close_session(&mut self, peer: PeerId) {
        let linked = self.entry.sessions.remove(&peer);
        self.asked_is_gone(peer);
        if let Some(linked) = linked.filter(|linked| linked.device.is_some()) {
            self.note_promised(&linked);
            self.connected_changed();
            self.tell_progress();
        }
    }

    /// Tells a session something, and does what it wants.
    pub(super) fn session(&mut self, peer: PeerId, input: SyncIn) {
        let Some(linked) = self.entry.sessions.get_mut(&peer) else { return };
        let tables = linked.cut.as_ref().unwrap_or(&self.entry.tables);
        let out = linked.session.handle(input, tables, self.now_ms);
        out.into_iter().for_each(|out| self.on_session(peer, out));
    }

    /// Time passed: for the sessions that wait for it.
    pub(super) fn tick_sessions(&mut self) {
        let due = |linked: &Linked| linked.session.next_deadline().is_some_and(|due| due <= self.now_ms);
        let peers: Vec<_> =
            self.entry.sessions.iter().filter(|(_, linked)| due(linked)).map(|(peer, _)| *peer).collect();
        for peer in peers {
            self.session(peer, SyncIn::Tick);
        }
        let now_ms = self.now_ms;
        let again = |linked: &mut Linked| linked.unread.take_if(|unread| unread.at_ms <= now_ms);
        let again = self.entry.sessions.iter_mut().filter_map(|(peer, linked)| Some((*peer, again(linked)?)));
        for (peer, unread) in again.collect::<Vec<_>>() {
            self.serve_messages(peer, unread);
        }
    }

    /// What the room is to its peers may have changed.
    pub(super) fn tell_standings(&mut self) {
        let proved: Vec<_> =
            self.entry.sessions.iter().filter_map(|(peer, linked)| Some((*peer, linked.session.peer()?))).collect();
        for (peer, device) in proved {
            self.tell_standing(peer, device);
        }
    }

    fn tell_standing(&mut self, peer: PeerId, device: DeviceId) {
        let live = self.is_live(&device);
        let standing = match self.entry.room.standing(&device) {
            Standing::Live => PeerStanding::Live,
            Standing::Removed => PeerStanding::Removed,
            Standing::Stranger => PeerStanding::Stranger,
        };
        let Some(linked) = self.entry.sessions.get_mut(&peer) else { return };
        let put_out = standing == PeerStanding::Removed && linked.cut.is_none();
        // What is told is what is durable: while the room knows more than that, this is worked out again when it is.
        let count = Some(self.entry.room.n_control()).filter(|count| self.entry.tables.n_control() == *count as u64);
        if standing != PeerStanding::Removed {
            linked.cut = None;
        } else if linked.cut.is_none() || count.is_none() || linked.cut_at != count {
            let mut cut = self.entry.tables.cut_for(device);
            let ends = self.entry.room.control_for(&device).into_iter();
            cut.limit_control(ends.map(|end| (end.log.device, Tip { seq: end.seq, id: end.id.0 })));
            match &mut linked.cut {
                // What puts it out may be something else by now. Of messages it keeps what it was let into.
                Some(before) => before.take_control(&cut),
                None => linked.cut = Some(cut),
            }
            linked.cut_at = count;
        }
        let known = linked.device.is_some();
        linked.device = live.then_some(device);
        if live && !known && self.entry.key_asks.begin_anew() {
            self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
        }
        if live && device != self.context.identity.device() {
            self.guard_met();
        }
        let Some(linked) = self.entry.sessions.get_mut(&peer) else { return };
        if linked.session.standing() != Some(standing) {
            self.session(peer, SyncIn::Standing(standing));
        }
        if put_out {
            self.give_what_came_before(peer, device);
        }
        if known != live {
            self.connected_changed();
        }
        if live && !known {
            self.jobs.push(Job::Proved { room: self.id(), peer });
        }
    }

    /// While an epoch is missing and this device waits for its turn to make it: notes whether it is equal with everybody connected.
    pub(super) fn meet(&mut self) {
        if !self.entry.room.awaits_turn() {
            return;
        }
        let company = self.company();
        if self.entry.room.meet(company, self.now_ms) {
            self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
        }
    }

    /// Who is connected, and who of them may hold other control events.
    pub(super) fn company(&self) -> Company {
        let tables = &self.entry.tables;
        let sessions = || self.entry.sessions.values();
        let differs = |linked: &&Linked| !linked.session.holds_same_control(tables);
        Company {
            connected: self.entry.connected().into_iter().collect(),
            apart: sessions().filter(differs).filter_map(|linked| linked.device).collect(),
            // Who it is will be known soon, or it is dropped.
            unproved: sessions().any(|linked| linked.device.is_none() && linked.session.peer().is_none()),
        }
    }

    fn connected_changed(&mut self) {
        self.note_unreached();
        let n = self.entry.connected().len();
        self.tell_outbox(OutboxIn::Connected { room: self.id(), n });
        self.show_connected();
        self.jobs.push(Job::Company { room: self.id(), any: n > 0 });
        self.summarise();
        self.context.files.met();
    }

    fn on_session(&mut self, peer: PeerId, out: SyncOut) {
        match out {
            SyncOut::Send(frame) => {
                let Some(linked) = self.entry.sessions.get(&peer) else { return };
                self.jobs.push(Job::Send { peer, frame: PeerLink::wrap(linked.channel, frame) });
            }
            SyncOut::Proved { device } => self.tell_standing(peer, device),
            SyncOut::Read { ticket, kind, wanted, max_bytes, max_items } => {
                self.serve(peer, ticket, kind, wanted, max_bytes, max_items);
            }
            SyncOut::Deliver { batch, items, .. } => self.deliver(peer, batch, items),
            SyncOut::PeerHas { device, seq } if self.is_live(&device) => {
                self.tell_outbox(OutboxIn::PeerHas { room: self.id(), device, seq });
            }
            SyncOut::PeerHas { .. } => {}
            SyncOut::Equal => self.on_equal(peer),
            SyncOut::View { device, split } => self.on_view(device, split),
            SyncOut::OwnLogs => self.guard_compared(),
            SyncOut::Forked { series, seq } => {
                tracing::warn!(room = %self.id().short(), device = %series.device.short(), seq, "a device wrote two events of one number");
            }
            SyncOut::Asked { id, device, what } => self.on_asked(peer, id, device, what),
            SyncOut::Answered { what, bytes } => self.on_answered(peer, what, bytes),
            SyncOut::Misbehaved(why) => self.on_misbehaved(peer, why),
        }
    }

    fn on_misbehaved(&mut self, peer: PeerId, why: Misbehaviour) {
        // A peer that stalls may just have a bad link: it is dropped and may come back.
        let weight = if matches!(why, Misbehaviour::Stalled | Misbehaviour::Withheld) { 5 } else { WEIGHT };
        tracing::debug!(room = %self.id().short(), peer = %peer.short(), %why, "a peer broke a rule of sync");
        self.close_session(peer);
        self.jobs.push(Job::Drop { peer, weight });
    }

    /// A live member holds the same logs: what is missing here is missing everywhere.
    fn on_equal(&mut self, peer: PeerId) {
        if let Some(linked) = self.entry.sessions.get_mut(&peer) {
            linked.hearing.settle();
            if let Some(device) = linked.device {
                self.nothing_promised(&device);
            }
        }
        self.early_equal(peer);
        if self.entry.room.missing_parents() > 0 {
            let received = self.entry.room.give_up_missing();
            self.take(received, Settle::default());
            self.entry.throttle.touch();
        }
        self.show_progress();
    }

    /// Reads what a peer lacks: messages from the store, the rest from memory.
    fn serve(
        &mut self,
        peer: PeerId,
        ticket: u32,
        kind: SeriesKind,
        wanted: Vec<Wanted>,
        max_bytes: usize,
        max_items: usize,
    ) {
        if kind == SeriesKind::Portrait {
            return self.serve_portraits(peer, ticket, wanted, max_bytes, max_items);
        }
        if kind != SeriesKind::Message {
            let events = self.held(kind, &wanted, max_bytes, max_items);
            self.session(peer, SyncIn::Read { ticket, events });
            return;
        }
        self.serve_messages(peer, Unread { at_ms: self.now_ms, ticket, wanted, max_bytes, max_items });
    }

    /// Reads messages that a peer lacks. While the disk gives nothing it is told nothing: that nothing is there would not be true.
    fn serve_messages(&mut self, peer: PeerId, unread: Unread) {
        let Unread { ticket, max_bytes, max_items, .. } = unread;
        let wanted = unread.wanted.clone();
        let room = self.id();
        // Where each stretch is kept: in which log, and how many of its messages come before.
        let kept: Vec<_> = wanted.iter().map(|wanted| self.entry.room.kept_in(&wanted.series.device)).collect();
        let want = |(wanted, (device, before)): (&Wanted, &(DeviceId, u64))| Want {
            device: *device,
            from: wanted.from.saturating_add(*before),
            to: wanted.to.saturating_add(*before),
        };
        let wants: Vec<_> = wanted.iter().zip(&kept).map(want).collect();
        self.read(move |store| {
            let rows = match store.missing(&room, LogKind::Message, &wants, max_bytes) {
                Err(error @ ReadError::Io(_)) => {
                    tracing::warn!(room = %room.short(), %error, "what a peer lacks is read again");
                    return Box::new(move |turn: &mut Turn<'_>| {
                        let at_ms = turn.now_ms.saturating_add(SERVE_AGAIN_MS);
                        if let Some(linked) = turn.entry.sessions.get_mut(&peer) {
                            linked.unread = Some(Unread { at_ms, ..unread });
                        }
                    });
                }
                rows => rows.unwrap_or_default(),
            };
            let asked = |row: &parlor_storage::LogRow| {
                let holds = |(want, _): &(&Want, &(DeviceId, u64))| {
                    want.device == row.device && (want.from..=want.to).contains(&row.seq)
                };
                let at = wants.iter().zip(&kept).position(|pair| holds(&pair))?;
                Some((wanted.get(at)?.series, row.seq.checked_sub(kept.get(at)?.1)?))
            };
            let event = |row: parlor_storage::LogRow| {
                let (series, seq) = asked(&row)?;
                Some(Outgoing { series, seq, bytes: row.bytes })
            };
            let events: Vec<_> = rows.into_iter().take(max_items).filter_map(event).collect();
            Box::new(move |turn| turn.session(peer, SyncIn::Read { ticket, events }))
        });
    }

    /// Pictures of profiles are not kept in memory.
    fn serve_portraits(&mut self, peer: PeerId, ticket: u32, wanted: Vec<Wanted>, max_bytes: usize, max_items: usize) {
        let room = self.id();
        self.read(move |store| {
            let mut events: Vec<Outgoing> = Vec::new();
            let mut left = max_bytes;
            for series in wanted.into_iter().map(|wanted| wanted.series).take(max_items) {
                let bytes = store.get(Some(&room), Namespace::Portrait, &series.device.0).unwrap_or_default();
                let Some(bytes) = bytes else { continue };
                let Ok(portrait) = Portrait::decode(&room, &bytes) else { continue };
                if !events.is_empty() && bytes.len() > left {
                    break;
                }
                left = left.saturating_sub(bytes.len());
                events.push(Outgoing { series, seq: portrait.counter, bytes });
            }
            Box::new(move |turn| turn.session(peer, SyncIn::Read { ticket, events }))
        });
    }

    fn held(&self, kind: SeriesKind, wanted: &[Wanted], max_bytes: usize, max_items: usize) -> Vec<Outgoing> {
        let candidates: Vec<Outgoing> = match kind {
            SeriesKind::Control => {
                let stretches = wanted.iter().map(|w| (w.series.device, w.from..=w.to));
                let held = self.entry.room.control_held(stretches, max_items).into_iter();
                let out = |((device, seq), event): ((_, _), &Event)| Outgoing {
                    series: Series::control(device),
                    seq,
                    bytes: event.bytes().to_vec(),
                };
                held.map(out).collect()
            }
            SeriesKind::Leaf => {
                let newest =
                    |w: &Wanted| self.entry.room.leafs().find(|leaf| leaf.device == w.series.device.0).copied();
                let out = |w: &Wanted| {
                    newest(w).map(|leaf| Outgoing { series: w.series, seq: leaf.counter, bytes: codec::encode(&leaf) })
                };
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Marker => {
                let out = |w: &Wanted| {
                    let marker = self.entry.markers.get(&w.series.device)?;
                    Some(Outgoing { series: w.series, seq: marker.counter, bytes: marker.encode() })
                };
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Binding => {
                let out = |w: &Wanted| {
                    let binding = self.entry.bindings.get(&w.series.device)?;
                    Some(Outgoing { series: w.series, seq: binding.counter, bytes: binding.encode() })
                };
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Profile => {
                let out = |w: &Wanted| {
                    let record = self.entry.profiles.record(&w.series.device)?;
                    Some(Outgoing { series: w.series, seq: record.counter, bytes: record.encode() })
                };
                wanted.iter().filter_map(out).collect()
            }
            SeriesKind::Message | SeriesKind::Portrait => Vec::new(),
        };
        let mut left = max_bytes;
        let fits = |(index, out): &(usize, Outgoing)| {
            let fits = *index == 0 || out.bytes.len() <= left;
            left = left.saturating_sub(out.bytes.len());
            fits
        };
        candidates.into_iter().take(max_items).enumerate().take_while(fits).map(|(_, out)| out).collect()
    }

    /// A peer asks for a page of rows or for a key.
    fn on_asked(&mut self, peer: PeerId, id: u32, device: DeviceId, what: Asked) {
        match what {
            Asked::Page(hash) => {
                let room = self.id();
                if !self.is_live(&device) {
                    self.session(peer, SyncIn::Answer { id, bytes: None });
                    return;
                }
                self.read(move |store| {
                    let bytes = store.page_blob(&room, &hash).unwrap_or_default();
                    Box::new(move |turn| turn.session(peer, SyncIn::Answer { id, bytes }))
                });
            }
            Asked::Newest => self.serve_newest(peer, id, &device),
            Asked::Event(wanted) => {
                let event = self.entry.room.control_event(&wanted).filter(|_| self.is_live(&device));
                let bytes = event.map(|event| event.bytes().to_vec());
                self.session(peer, SyncIn::Answer { id, bytes });
            }
            Asked::Key(epoch) => {
                let share = self.entry.room.key_share_for(&device, &epoch, &mut rng());
                if let Err(why) = &share {
                    tracing::debug!(room = %self.id().short(), device = %device.short(), %why, "a key is not given");
                }
                let bytes = share.ok().map(|share| codec::encode(&share));
                self.session(peer, SyncIn::Answer { id, bytes });
            }
        }
    }

    /// A peer answered; what it gives is checked against what the room's events commit to.
    fn on_answered(&mut self, peer: PeerId, what: Asked, bytes: Option<Vec<u8>>) {
        if what == Asked::Newest {
            return self.on_newest(peer, bytes.as_deref());
        }
        let Some(bytes) = bytes else { return };
        let outcome = match what {
            Asked::Newest => return,
            Asked::Page(_) => self.entry.room.accept_page(bytes),
            Asked::Key(_) => match codec::decode::<KeyShare>(&bytes, MAX_SHARE) {
                Ok(share) => self.entry.room.accept_key_share(&share),
                Err(_) => return,
            },
            Asked::Event(id) => {
                let event = Event::decode(&self.id(), &bytes).ok().filter(|event| event.id() == id);
                let Some(event) = event else { return };
                let received = self.entry.room.receive(vec![event], self.now_ms);
                return self.take_from(Some(peer), received, Settle::default());
            }
        };
        match outcome {
            Ok(outcome) => {
                self.commit(outcome, Settle::default());
                // A page may lead to others.
                self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
            }
            Err(why) => tracing::debug!(room = %self.id().short(), %why, "key material refused"),
        }
    }

    /// Asks connected members for pages and keys that the room lacks.
    pub(super) fn ask_for_keys(&mut self) {
        let (wanted, more) = self.entry.room.lacks_now(parlor_proto::sync::MAX_ASKS);
        if !wanted.is_empty() {
            tracing::debug!(room = %self.id().short(), wanted = wanted.len(), "keys are asked for");
        }
        // Who was asked may not have heard yet that we are in, or has the key itself a moment later.
        let again_ms = self.entry.key_asks.again_ms(wanted.len(), self.now_ms);
        let soon_ms = self.now_ms.saturating_add(ROW_WAIT_MS);
        let again_ms = again_ms.map(|again_ms| if more { again_ms.min(soon_ms) } else { again_ms });
        // With nobody there whoever comes begins it anew.
        let again_ms = again_ms.filter(|_| !self.entry.sessions.is_empty());
        self.entry.maintain_ms = self.entry.maintain_ms.into_iter().chain(again_ms).min();
        for what in wanted {
            for peer in self.who_may_give(what) {
                self.session(peer, SyncIn::Ask(what));
            }
        }
    }

    /// Members to ask. For a page some, who made it first: when they do not give it the key is asked for, of all.
    fn who_may_give(&self, what: Asked) -> Vec<PeerId> {
        let members = self.entry.sessions.iter().filter_map(|(peer, linked)| Some((*peer, linked.device?)));
        let mut members: Vec<(PeerId, DeviceId)> = members.collect();
        if let Asked::Page(hash) = what {
            let author = self.entry.room.page_author(&hash);
            members.sort_by_key(|(_, device)| Some(*device) != author);
            members.truncate(PAGE_ASKS);
        }
        members.into_iter().map(|(peer, _)| peer).collect()
    }
}
