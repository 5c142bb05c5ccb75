//! What follows when a batch is durable: peers, windows and whoever asked learn of it, in this order and not before.

use parlor_api::{
    Author, EventBody, InviteChange, InviteChanged, MemberChange, MemberChanged, Problem, RoomChange, RoomChanged,
};
use parlor_net::PeerId;
use parlor_proto::binding::Binding;
use parlor_proto::body::Body;
use parlor_proto::control::{REMOVE_KIND, ROTATE_KIND};
use parlor_proto::event::{Event, LogKind};
use parlor_proto::hlc::Hlc;
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{self, In as OutboxIn};
use parlor_proto::profile::Portrait;
use parlor_proto::room::{Accepted, Change, Exit, ExitHow, Message, Placed, Verdict};
use parlor_proto::sync::{Advance, In as SyncIn, Series, Tip};
use parlor_proto::wire::SeriesKind;
use parlor_proto::{AccountId, EventId};
use parlor_storage::Chain;

use super::entry::{Job, OWN_CLOCK, Turn};
use super::profiles::Held;
use super::sight::Looked;
use crate::limits::{NOTE_EVENTS, SMALL_ROOM};

/// What is to be told when a batch is durable.
#[derive(Default)]
pub(super) struct Settle {
    /// Events of the batch.
    pub(super) accepted: Vec<Accepted>,
    /// Of those the ones of forked logs, and where they stand.
    pub(super) placed: Vec<Placed>,
    /// Pinned messages of forked logs whose places the store may know now.
    pub(super) unplaced: Vec<EventId>,
    /// What became different.
    pub(super) changes: Vec<Change>,
    /// Entries of the outbox that the batch holds.
    pub(super) entries: Vec<outbox::Entry>,
    /// Entries of the outbox that the batch removes.
    pub(super) forget: Vec<outbox::Nonce>,
    /// Messages of which it is corrected up to which of ours they cover.
    pub(super) covers: Vec<(EventId, u64)>,
    /// Markers that the batch holds.
    pub(super) markers: Vec<Marker>,
    /// Peer bindings that the batch holds.
    pub(super) bindings: Vec<Binding>,
    /// Profiles that the batch holds,
    pub(super) profiles: Vec<Held>,
    /// and pictures of them.
    pub(super) portraits: Vec<Portrait>,
    /// Whether something that was delivered was not taken, and is to come again.
    pub(super) left_out: bool,
    /// The session that delivered the events, its number for them, and whether all of them were taken.
    pub(super) delivered: Option<(PeerId, u32, bool)>,
    /// The changes of the room as it was restored last, of which this is one.
    pub(super) chain: Chain,
    /// Who waits for it. Called with what went wrong, if anything did.
    pub(super) replies: Vec<Reply>,
}

/// Answers somebody who waits for a commit.
pub(super) type Reply = Box<dyn FnOnce(&mut Turn<'_>, Result<(), Problem>) + Send>;

impl Settle {
    /// Nothing to tell but an answer.
    pub(super) fn reply(reply: impl FnOnce(&mut Turn<'_>, Result<(), Problem>) + Send + 'static) -> Self {
        Self { replies: vec![Box::new(reply)], ..Self::default() }
    }
}

impl Turn<'_> {
    /// The batch of `settle` is durable.
    pub(super) fn settle(&mut self, settle: Settle) {
        let advances = self.advance_tables(&settle);
        self.early_landed(&settle);
        self.push_own(&settle.accepted);
        let me = self.context.identity.device();
        for marker in settle.markers.iter().filter(|marker| marker.device == me) {
            self.push_marker(marker);
        }
        self.tell_sessions(settle.delivered, advances);
        self.tell_where(&settle.bindings);
        let told = settle.profiles.iter().map(|held| held.record.device);
        self.show_profiles(told.chain(settle.portraits.iter().map(|portrait| portrait.device)));
        for message in settle.accepted.iter().filter_map(message) {
            self.show(message);
        }
        for entry in &settle.entries {
            if let outbox::Stage::Written { event, seq } = entry.stage {
                self.tell_outbox(OutboxIn::Written { nonce: entry.nonce, event, seq });
            }
        }
        if settle.accepted.iter().any(|accepted| matches!(accepted, Accepted::Control(_))) {
            self.tell_devices();
            self.tell_own_devices();
            self.note_refused();
            // Also of what changed nothing in the end: who was put out and came back left an epoch behind whose key may be missing.
            self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
        }
        // Once more: before it was stored it may have been looked in vain.
        let ends = settle.accepted.iter().filter_map(message).filter_map(|message| message.fades_ms);
        ends.for_each(|until_ms| self.context.fading.note(until_ms));
        self.tell_log(&settle.accepted);
        self.tell_changes(&settle.changes);
        self.find_pins(settle.unplaced);
        if settle.accepted.iter().filter_map(message).next().is_some() {
            self.entry.throttle.touch();
            self.resolve_markers();
        }
        for reply in settle.replies {
            reply(self, Ok(()));
        }
        self.show_progress();
        self.summarise();
        self.tell_mailboxes();
    }

    /// Notes in the tables what is durable now, and says what moved.
    fn advance_tables(&mut self, settle: &Settle) -> Vec<Advance> {
        let me = self.context.identity.device();
        let push = self.entry.connected().len() <= SMALL_ROOM;
        let from = settle.delivered.and_then(|(peer, _, _)| self.entry.sessions.get(&peer)?.session.peer());
        let mut advances: Vec<Advance> = Vec::new();
        for accepted in &settle.accepted {
            let event = accepted.event();
            let kind = match event.log().kind {
                LogKind::Control => SeriesKind::Control,
                LogKind::Message => SeriesKind::Message,
            };
            let (mut series, mut seq) = (Series { kind, device: event.device() }, event.seq());
            if let Some(placed) = settle.placed.iter().find(|placed| placed.event == event.id()) {
                if let Some(cut) = placed.cut {
                    // What former members may know is told in the same stretches: a claim in others could never be kept.
                    let frozen = self.entry.sessions.values_mut().filter_map(|linked| linked.cut.as_mut());
                    for tables in frozen.chain([&mut self.entry.tables]) {
                        tables.cut(Series { kind, device: cut.stretch }, cut.end, cut.id.0, cut.rest);
                    }
                }
                (series.device, seq) = (placed.place.stretch, placed.place.number);
            }
            if !self.entry.tables.advance(series, Tip { seq, id: event.id().0 }) {
                continue;
            }
            let bytes = ((push || is_urgent(event)) && event.device() == me).then(|| event.bytes().to_vec());
            match advances.iter_mut().find(|advance| advance.series == series && bytes.is_none()) {
                Some(advance) => advance.seq = seq,
                None => advances.push(Advance { series, seq, bytes, from }),
            }
        }
        if settle.accepted.iter().any(|accepted| matches!(accepted, Accepted::Control(_))) {
            self.entry.note_view();
            if self.entry.room.leaves_out() {
                // Former members are told no more than members.
                let room = &self.entry.room;
                let frozen = self.entry.sessions.values_mut().filter_map(|linked| linked.cut.as_mut());
                frozen.chain([&mut self.entry.tables]).for_each(|tables| tables.leave_out(|series| room.tells(series)));
            }
        }
        for leaf in self.entry.room.leafs() {
            let series = Series::leaf(parlor_proto::DeviceId(leaf.device));
            if self.entry.tables.advance(series, Tip { seq: leaf.counter, id: [0; 32] }) {
                advances.push(Advance { series, seq: leaf.counter, bytes: None, from });
            }
        }
        for (series, seq, bytes) in self.records_of(settle, push) {
            if self.entry.tables.advance(series, Tip { seq, id: [0; 32] }) {
                advances.push(Advance { series, seq, bytes, from });
            }
        }
        advances
    }

    /// The records of a batch: their series, their counters, and of ours what is pushed. Of somebody who left meanwhile nothing is told.
    fn records_of(&self, settle: &Settle, push: bool) -> Vec<(Series, u64, Option<Vec<u8>>)> {
        let me = self.context.identity.device();
        let stays = |device: &parlor_proto::DeviceId| *device == me || self.is_live(device);
        let pushed = |device: &parlor_proto::DeviceId| push && *device == me;
        let markers = settle.markers.iter().map(|marker| {
            (Series::marker(marker.device), marker.counter, pushed(&marker.device).then(|| marker.encode()))
        });
        // Pushed, for who was met for the first time may be gone before the next tips.
        let bindings = settle.bindings.iter().map(|binding| {
            (Series::binding(binding.device), binding.counter, pushed(&binding.device).then(|| binding.encode()))
        });
        let profiles = settle.profiles.iter().map(|Held { record, .. }| {
            (Series::profile(record.device), record.counter, pushed(&record.device).then(|| record.encode()))
        });
        let portraits = settle.portraits.iter().map(|portrait| {
            (Series::portrait(portrait.device), portrait.counter, pushed(&portrait.device).then(|| portrait.encode()))
        });
        let all = markers.chain(bindings).chain(profiles).chain(portraits);
        all.filter(|(series, ..)| stays(&series.device)).collect()
    }

    fn tell_sessions(&mut self, delivered: Option<(PeerId, u32, bool)>, advances: Vec<Advance>) {
        if let Some((peer, batch, complete)) = delivered {
            self.session(peer, SyncIn::Stored { batch, complete });
        }
        if advances.is_empty() {
            return;
        }
        let peers: Vec<_> = self.entry.sessions.keys().copied().collect();
        for peer in peers {
            self.session(peer, SyncIn::Advanced(advances.clone()));
        }
    }

    /// A message is part of the room now: shows it in windows and counts it.
    pub(super) fn show(&mut self, message: &Message) {
        let me = self.context.identity.account();
        let event = &message.event;
        if message.author == me && event.device() == self.context.identity.device() {
            if self.entry.own_clock.len() == OWN_CLOCK {
                self.entry.own_clock.pop_front();
            }
            self.entry.own_clock.push_back((event.seq(), event.message().map_or(Hlc::ZERO, |header| header.hlc)));
        }
        self.wrote(&event.device());
        let shown = message.verdict == Verdict::Shown && !self.is_of_blocked(&event.device());
        self.files_seen(event, message.body.as_ref(), shown);
        self.group_seen(message.body.as_ref());
        if !shown {
            return;
        }
        if let Some(target) = message.body.as_ref().and_then(Body::target) {
            if let Some(durable) = self.entry.deleted.get_mut(&target) {
                *durable = true;
            }
            return self.touch(target);
        }
        let Ok(Some(position)) = self.context.store.position(&self.id(), &event.id()) else { return };
        self.count(message);
        // What was said about it before it came counts from the beginning.
        let (event, body, fades_ms) = (event.clone(), message.body.clone(), message.fades_ms);
        let (received_ms, author) = (self.now_ms, message.author);
        let (erased, early) = (false, false);
        let looked = Looked { position, received_ms, shown, erased, early, fades_ms, event, author, body };
        let sight = self.look_now(&looked);
        let view = self.folded_view(&looked, &sight);
        self.erase_deleted(&looked, &view, &sight);
        self.touch_thread(looked.body.as_ref());
        if self.entry.last.as_ref().is_none_or(|(last, _)| *last < position) {
            self.entry.last = Some((position, view.clone()));
        }
        self.publish(EventBody::Message(Box::new(view)));
    }

    /// Tells the outbox, windows and the peers service what is different in the room.
    pub(super) fn tell_changes(&mut self, changes: &[Change]) {
        for change in changes {
            match *change {
                Change::Joined => {
                    self.entry.part_ms = None;
                    self.jobs.push(Job::Want { room: self.id(), wanted: true });
                    self.entry.guard.joined(self.now_ms);
                    self.guard_again();
                    self.tell_room(RoomChange::Joined);
                }
                Change::Out => {
                    self.begin_parting();
                    self.guard_again();
                    let failure = outbox::Failure::NoMember;
                    self.tell_outbox(OutboxIn::Closed(self.id(), failure));
                    let left = self.standing() == parlor_api::Standing::Left;
                    self.tell_room(if left { RoomChange::Left } else { RoomChange::Removed });
                    self.show_connected();
                }
                Change::State => self.tell_room(RoomChange::Updated),
                Change::MemberIn(account) => self.tell_member(account, MemberChange::Joined),
                Change::MemberOut(account) => self.tell_member_out(account),
                Change::MemberRole(account) => {
                    self.tell_member(account, MemberChange::Updated);
                    self.pass_requests_on();
                }
                Change::Invite(invite) => self.tell_invite(invite),
                Change::Keys(_) => self.open_profiles(),
                Change::Fork(device) => self.tell_fork(device),
                _ => {}
            }
        }
        self.keys_came(changes);
        let members = |c: &Change| {
            matches!(c, Change::MemberIn(_) | Change::MemberOut(_) | Change::Devices(_) | Change::Joined | Change::Out)
        };
        if changes.iter().any(members) {
            self.entry.forget_former();
            match changes.iter().any(|change| matches!(change, Change::Joined)) {
                true => self.show_all_profiles(),
                false => self.note_people(),
            }
            self.tell_members();
            self.tell_standings();
            if changes.iter().any(|change| matches!(change, Change::Joined)) {
                // Who was connected all the while we were out is shown again.
                self.show_connected();
            }
            self.bind();
            // What somebody wrote who is out now may be hidden.
            self.recount(None);
            if changes.iter().any(|change| matches!(change, Change::MemberOut(_))) {
                self.load_last();
            }
        }
        if changes.iter().any(|change| matches!(change, Change::Branches(_))) {
            self.recount(None);
            self.load_last();
            self.tell_room(RoomChange::Updated);
        }
        if changes.iter().any(|change| matches!(change, Change::Epoch | Change::Joined)) {
            self.note_gossip_key();
            if self.entry.room.epoch_status().epoch.is_some() {
                self.tell_outbox(OutboxIn::Writable(self.id()));
            }
        }
        if !changes.is_empty() {
            self.entry.maintain_ms = Some(self.now_ms);
            self.announce();
            self.plan_mail();
        }
    }

    /// The outbox learns whose devices count.
    pub(super) fn tell_members(&mut self) {
        let members = self.entry.room.members();
        let devices = members.iter().flat_map(|m| m.devices.iter().map(|(device, _)| (*device, m.account))).collect();
        let me = self.context.identity.account();
        self.tell_outbox(OutboxIn::Members { room: self.id(), me, devices });
        self.note_unreached();
    }

    /// A device contradicted itself. If it is ours nothing of it is written any more: what waits in the outbox fails.
    fn tell_fork(&mut self, device: parlor_proto::DeviceId) {
        tracing::warn!(room = %self.id().short(), device = %device.short(), "a device wrote two events of one number");
        if device == self.context.identity.device() {
            self.hold();
            self.tell_outbox(OutboxIn::Writable(self.id()));
        }
    }

    fn tell_room(&mut self, change: RoomChange) {
        let name = self.title();
        let gone = self.gone();
        self.publish(EventBody::Room(RoomChanged { room: self.id().to_string(), name, change, gone }));
    }

    fn tell_member_out(&mut self, account: AccountId) {
        match self.entry.room.exit(&account) {
            Some(Exit { how: ExitHow::Removed, by, .. }) => {
                let by = self.author_of(&by);
                self.tell_member_by(account, MemberChange::Removed, Some(by));
            }
            _ => self.tell_member(account, MemberChange::Left),
        }
    }

    fn tell_member(&mut self, account: AccountId, change: MemberChange) {
        self.tell_member_by(account, change, None);
    }

    fn tell_member_by(&mut self, account: AccountId, change: MemberChange, by: Option<Author>) {
        let role = self.entry.room.member(&account).map(|member| super::views::role(member.role));
        let event = MemberChanged {
            room: self.id().to_string(),
            account: account.to_string(),
            name: self.name_of(&account),
            role,
            change,
            by,
        };
        self.publish(EventBody::Member(event));
    }

    /// Tells windows what was done in the room, in the order in which it came.
    fn tell_log(&self, accepted: &[Accepted]) {
        let control = accepted.iter().filter(|accepted| matches!(accepted, Accepted::Control(_)));
        let lines: Vec<_> = control.filter_map(|accepted| self.entry.room.log_of(&accepted.event().id())).collect();
        for line in lines.iter().skip(lines.len().saturating_sub(NOTE_EVENTS)) {
            self.publish(EventBody::System(Box::new(self.note_view(line))));
        }
    }

    fn tell_invite(&mut self, invite: EventId) {
        let Some(info) = self.entry.room.invite_info(&invite) else { return };
        let change = match (info.revoked, info.used) {
            (true, _) => InviteChange::Revoked,
            (false, 0) => InviteChange::Created,
            _ => InviteChange::Used,
        };
        let event = InviteChanged { room: self.id().to_string(), invite: invite.to_string(), change };
        self.publish(EventBody::Invite(event));
    }

    pub(super) fn publish(&self, body: EventBody) {
        self.context.bus.publish(self.now_ms, body);
    }
}

/// What changes who may read goes to everybody connected at once, however many they are: who hears late of an epoch makes another,
/// and gossip is not heard by who does not have the key that it is wrapped under.
fn is_urgent(event: &Event) -> bool {
    event.control().is_some_and(|header| matches!(header.kind, REMOVE_KIND | ROTATE_KIND))
}

fn message(accepted: &Accepted) -> Option<&Message> {
    match accepted {
        Accepted::Message(message) => Some(message),
        Accepted::Control(_) => None,
    }
}
