//! Mailboxes, as a room sees them: which are to be read, what of ours goes in, and what came out.
//!
//! The mailboxes service ([`crate::services::mailboxes`]) owns the lines to relays; here is what only the room knows. What
//! comes out of a box is taken in like gossip: nobody vouches for it but its author.

use std::collections::HashSet;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::control::{Control, ROTATE_KIND, Rows};
use parlor_proto::epoch::{decode_names, levels, page_hash};
use parlor_proto::event::Event;
use parlor_proto::mailbox::{BoxKind, BoxName, Mail};
use parlor_proto::outbox::In as OutboxIn;
use parlor_proto::room::{Outcome, Reject};
use parlor_proto::sync::Series;
use parlor_proto::wire::{Blob, Item, SeriesKind};
use parlor_proto::{DeviceId, EventId, RoomId, codec};
use parlor_storage::{LogKind, LogRow, Namespace, Store, Want};
use tokio::sync::oneshot;

use super::entry::Turn;
use super::message::MailboxCommand;
use super::settle::Settle;
use crate::limits::{GOSSIP_COMMITS_MAX, STRETCH_BYTES, STRETCH_EVENTS, STRETCH_PAGES_BYTES, STRETCHES_BYTES};
use crate::services::mailboxes::{Became, Plan, Relay, SharedBox, Stretch, Tips};

impl Turn<'_> {
    /// The mailboxes service learns what there is to read and to write, if that changed.
    pub(super) fn plan_mail(&mut self) {
        let room = &self.entry.room;
        let relays = self.mail_relays();
        // Of a room that is being joined the relays are those of the link.
        self.entry.mailed = !relays.is_empty() || !room.is_member();
        self.entry.slices_mark = room.slices_mark();
        if !self.entry.mailed {
            self.context.mailboxes.plan(self.id(), Plan::default());
            return;
        }
        let keys = room.slices_to_read().into_iter().filter_map(|slice| room.box_keys(&slice));
        let boxes = keys.chain(room.chat_keys()).map(|keys| shared(BoxKind::Room, keys)).collect();
        let doors = room.open_doors(self.now_ms).into_iter();
        let doors = doors.map(|door| shared(BoxKind::Door, BoxKeys::of_door(&door))).collect();
        let member = room.is_member();
        let left = self.left_at_doors();
        let plan = Plan { relays, boxes, doors, left, member };
        self.context.mailboxes.plan(self.id(), plan);
        self.tell_mailboxes();
    }

    /// The relays that keep the room's mail: those of its State. A direct chat whose State names none is kept at those of both, as far
    /// as each knows the other's from his letters: who writes puts it where the other reads.
    pub(super) fn mail_relays(&self) -> Vec<Relay> {
        let room = &self.entry.room;
        let relays = room.info().map(|info| Relay::of_room(&info.mailboxes, &info.mailbox_tokens)).unwrap_or_default();
        let Some(other) = room.other().filter(|_| relays.is_empty()) else { return relays };
        let Some(theirs) = self.context.contacts.relays_of(&other) else { return Vec::new() };
        let ours = self.context.mailboxes.own();
        let theirs = Relay::with_tokens(theirs, ours);
        if self.context.identity.account() < other {
            Relay::of_both(ours, &theirs)
        } else {
            Relay::of_both(&theirs, ours)
        }
    }

    /// After a change: the mailboxes service learns what of ours is durable, and what is to be read if that changed.
    pub(super) fn tell_mailboxes(&mut self) {
        if !self.entry.mailed {
            return;
        }
        if self.entry.slices_mark != self.entry.room.slices_mark() {
            return self.plan_mail();
        }
        let tips = self.own_tips();
        if self.entry.told_tips != tips {
            self.entry.told_tips = tips;
            self.context.mailboxes.wrote(self.id(), tips);
        }
    }

    /// How far our own logs and records are durable.
    fn own_tips(&self) -> Tips {
        let me = self.context.identity.device();
        let seq = |series: Series| self.entry.tables.seq(&series);
        Tips {
            control: seq(Series::control(me)),
            message: seq(Series::messages(me)),
            marker: seq(Series::marker(me)),
            leaf: seq(Series::leaf(me)),
            binding: seq(Series::binding(me)),
            // That we were seen is nothing for those who are away.
            profile: seq(Series::profile(me)).min(self.entry.profiles.worth),
            portrait: seq(Series::portrait(me)),
        }
    }

    /// What the mailboxes service wants.
    pub(super) fn on_mailbox(&mut self, command: MailboxCommand) {
        match command {
            MailboxCommand::Came { mails, reply } => self.take_mail(mails, reply),
            MailboxCommand::Stretches { after, reply } => self.stretches(after, reply),
            MailboxCommand::Stored { seq } => self.tell_outbox(OutboxIn::Stored { room: self.id(), seq }),
            MailboxCommand::Left { invite } => self.forget_parts(&invite),
            MailboxCommand::CaughtUp => {
                if self.entry.room.caught_up() {
                    self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
                }
            }
            MailboxCommand::Snapshot { reply } => drop(reply.send(self.snapshot())),
        }
    }

    /// What of ours comes after `after`, in the order in which it is to be put: some of it, if it is much.
    fn stretches(&mut self, after: Tips, reply: oneshot::Sender<Vec<Stretch>>) {
        let (room, device, tips) = (self.id(), self.context.identity.device(), self.own_tips());
        self.read(move |store| {
            let mut control = rows(store, &room, LogKind::Control, device, after.control, tips.control);
            let (mut pages, mut bytes) = (Vec::new(), 0);
            for row in &control {
                let of = pages_of(store, &room, row);
                bytes += of.iter().map(mail_bytes).sum::<usize>();
                pages.push(of);
                if bytes > STRETCHES_BYTES {
                    break;
                }
            }
            control.truncate(pages.len());
            let messages = rows(store, &room, LogKind::Message, device, after.message, tips.message);
            let portrait = (tips.portrait > after.portrait)
                .then(|| store.get(Some(&room), Namespace::Portrait, &device.0).ok().flatten())
                .flatten();
            Box::new(move |turn| {
                let mut stretches = Vec::new();
                for (row, pages) in control.into_iter().zip(pages) {
                    turn.add_stretch(&mut stretches, SeriesKind::Control, row, pages);
                }
                for row in messages {
                    turn.add_stretch(&mut stretches, SeriesKind::Message, row, Vec::new());
                }
                turn.add_records(&mut stretches, after, portrait);
                drop(reply.send(stretches));
            })
        });
    }

    /// One more event: to the last stretch, if that is of the same kind, for the same boxes, and has room.
    fn add_stretch(&self, stretches: &mut Vec<Stretch>, kind: SeriesKind, row: LogRow, pages: Vec<Mail>) {
        let Ok(event) = Event::decode(&self.id(), &row.bytes) else { return };
        let slices: Vec<_> = self.entry.room.slices_of(&event).into_iter().collect();
        // Who let us in by an instant invite is nobody who could put it there.
        let carried = self.entry.room.carried_with(&event).into_iter();
        let carried: Vec<Mail> = carried
            .map(|event| Mail::Record(Item { kind: SeriesKind::Control, bytes: Blob(event.bytes().to_vec()) }))
            .collect();
        let bytes = row.bytes.len() + pages.iter().map(mail_bytes).sum::<usize>();
        let item = Mail::Record(Item { kind, bytes: Blob(row.bytes) });
        if let Some(last) = stretches.last_mut().filter(|last| last.kind == kind && last.slices == slices)
            && carried.is_empty()
            && last.to + 1 == row.seq
            && last.mails.len() < STRETCH_EVENTS
            && last.mails.iter().map(mail_bytes).sum::<usize>() + bytes <= STRETCH_BYTES
        {
            last.to = row.seq;
            last.mails.push(item);
            last.mails.extend(pages);
            return;
        }
        let keys = slices.iter().filter_map(|slice| self.entry.room.box_keys(slice));
        let chat = self.entry.room.chat_keys().filter(|_| kind == SeriesKind::Control);
        let boxes = keys.chain(chat).map(|keys| shared(BoxKind::Room, keys)).collect();
        let mails = carried.into_iter().chain([item]).chain(pages).collect();
        stretches.push(Stretch { kind, from: row.seq, to: row.seq, slices, boxes, mails });
    }

    /// Our newest marker, leaf record, binding and profile, those that are newer than `after`.
    fn add_records(&self, stretches: &mut Vec<Stretch>, after: Tips, portrait: Option<Vec<u8>>) {
        let me = self.context.identity.device();
        let entry = &self.entry;
        let leaf = entry.room.me().entrant().leaf;
        let marker = entry.markers.get(&me).map(|marker| (marker.counter, marker.encode()));
        let binding = entry.bindings.get(&me).map(|binding| (binding.counter, binding.encode()));
        let profile = entry.profiles.record(&me).map(|record| (record.counter, record.encode()));
        let profile = profile.filter(|_| after.profile < entry.profiles.worth);
        let portrait = portrait.map(|bytes| (entry.tables.seq(&Series::portrait(me)), bytes));
        let records = [
            (SeriesKind::Leaf, after.leaf, Some((leaf.counter, codec::encode(&leaf)))),
            (SeriesKind::Binding, after.binding, binding),
            (SeriesKind::Profile, after.profile, profile),
            (SeriesKind::Portrait, after.portrait, portrait),
            (SeriesKind::Marker, after.marker, marker),
        ];
        let slices: Vec<_> = entry.slices_mark.0.into_iter().collect();
        for (kind, put, record) in records {
            let Some((counter, bytes)) = record.filter(|(counter, _)| *counter > put) else { continue };
            let keys = slices.iter().filter_map(|slice| entry.room.box_keys(slice));
            let boxes = keys.map(|keys| shared(BoxKind::Room, keys)).collect();
            let mails = vec![Mail::Record(Item { kind, bytes: Blob(bytes) })];
            stretches.push(Stretch { kind, from: put + 1, to: counter, slices: slices.clone(), boxes, mails });
        }
    }

    /// Takes in what came out of mailboxes, by blobs. The answer, when all of it is durable, says what became of each; it is empty if
    /// nothing could be looked at or written.
    fn take_mail(&mut self, blobs: Vec<Vec<Mail>>, reply: oneshot::Sender<Vec<Became>>) {
        if self.entry.committing >= GOSSIP_COMMITS_MAX {
            // The disk lags: it is shown again later.
            let _ = reply.send(Vec::new());
            return;
        }
        // One at a time: what somebody put between keeps nothing out.
        let (mut all, mut settle, mut by_blob) = (Vec::new(), Settle::default(), Vec::new());
        let mut pages = Vec::new();
        for mails in blobs {
            let (mut events, mut left_out, had) = (Vec::new(), false, pages.len());
            for mail in mails {
                match mail {
                    Mail::Record(item) => {
                        let Some((found, records)) = self.sort(vec![item]) else { continue };
                        events.extend(found);
                        settle.markers.extend(records.markers);
                        settle.bindings.extend(records.bindings);
                        settle.profiles.extend(records.profiles);
                        settle.portraits.extend(records.portraits);
                        left_out |= records.left_out;
                    }
                    Mail::Page(page) => pages.push(page.0),
                }
            }
            all.extend(events.iter().map(|event| (by_blob.len(), event.clone())));
            settle.left_out |= left_out;
            by_blob.push((events, left_out, pages.len() > had));
        }
        // Copies of one event one after the other: a bad one keeps no good one out, nor does it speak for it.
        let mut refused: HashSet<(usize, EventId)> = HashSet::new();
        loop {
            let mut ids = HashSet::new();
            let (once, again): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, event)| ids.insert(event.id()));
            let events = once.iter().map(|(_, event)| event.clone()).collect();
            let received = self.entry.room.receive_unvouched(events, self.now_ms);
            let bad = received.rejected.iter().filter(|it| it.why != Reject::Full).map(|it| it.id);
            let bad: HashSet<EventId> = bad.chain(received.unsure.iter().map(Event::id)).collect();
            let of_once = once.into_iter().map(|(blob, event)| (blob, event.id()));
            refused.extend(of_once.filter(|(_, id)| bad.contains(id)));
            self.take(received, std::mem::take(&mut settle));
            all = again.into_iter().filter(|(_, event)| !self.entry.room.seen(event)).collect();
            if all.is_empty() {
                break;
            }
        }
        self.take_pages(pages);
        let room = &self.entry.room;
        let became = by_blob.iter().enumerate().map(|(blob, (events, left_out, has_pages))| {
            let waits = |event: &Event| !room.seen(event) && !refused.contains(&(blob, event.id()));
            // The page that leads to them may lie in another blob.
            let pages_wait = *has_pages && events.iter().any(|event| room.wants_pages_of(&event.id()));
            match events.iter().all(|event| room.seen(event)) {
                _ if *left_out || pages_wait || events.iter().any(waits) => Became::Waits,
                true => Became::There,
                false => Became::Refused,
            }
        });
        let became: Vec<Became> = became.collect();
        self.commit(
            Outcome::default(),
            Settle::reply(move |_, done| {
                // The service has stopped if nobody waits.
                let _ = reply.send(if done.is_ok() { became } else { Vec::new() });
            }),
        );
    }

    /// Takes pages of rows, each when it is wanted: one leads to others, and the first are wanted once their Rotate is here.
    fn take_pages(&mut self, pages: Vec<Vec<u8>>) {
        let mut pages: Vec<_> = pages.into_iter().map(|page| (page_hash(&page), page)).collect();
        while !pages.is_empty() {
            let wanted: HashSet<_> = self.entry.room.pages_wanted().into_iter().collect();
            let (now, later): (Vec<_>, Vec<_>) = pages.into_iter().partition(|(hash, _)| wanted.contains(hash));
            if now.is_empty() {
                return;
            }
            for (_, page) in now {
                if let Ok(outcome) = self.entry.room.accept_page(page) {
                    self.commit(outcome, Settle::default());
                }
            }
            // Those that are named now, and do not lie here, are asked for.
            self.entry.maintain_ms = Some(self.now_ms.max(self.entry.rest_until_ms));
            pages = later;
        }
    }

    /// All control events, for somebody who comes in while nobody is online.
    fn snapshot(&self) -> Vec<Mail> {
        let control = |event: &Event| Item { kind: SeriesKind::Control, bytes: Blob(event.bytes().to_vec()) };
        self.entry.room.control_events().map(|event| Mail::Record(control(event))).collect()
    }
}

pub(super) fn shared(kind: BoxKind, keys: BoxKeys) -> SharedBox {
    SharedBox { name: BoxName { kind, key: keys.sign.public_bytes() }, keys }
}

fn mail_bytes(mail: &Mail) -> usize {
    match mail {
        Mail::Record(item) => item.bytes.0.len(),
        Mail::Page(page) => page.0.len(),
    }
}

/// Events of our own log after `after`, as many as are worth reading at a time. Blocks.
fn rows(store: &Store, room: &RoomId, kind: LogKind, device: DeviceId, after: u64, to: u64) -> Vec<LogRow> {
    if after >= to {
        return Vec::new();
    }
    let want = Want { device, from: after + 1, to };
    store.missing(room, kind, &[want], STRETCHES_BYTES).unwrap_or_default()
}

/// The pages of rows that belong to an event, those at the top first: of a Rotate in a large room. Of a very large one only some; the
/// rest is asked of members. Blocks.
fn pages_of(store: &Store, room: &RoomId, row: &LogRow) -> Vec<Mail> {
    let Ok(event) = Event::decode(room, &row.bytes) else { return Vec::new() };
    if event.control().is_none_or(|header| header.kind != ROTATE_KIND) {
        return Vec::new();
    }
    let Ok(Control::Rotate(rotate)) = Control::decode(ROTATE_KIND, event.payload()) else { return Vec::new() };
    let Rows::Pages(mut names) = rotate.rows else { return Vec::new() };
    let (mut pages, mut bytes) = (Vec::new(), 0);
    for level in (0..=levels(rotate.n_rows as usize).1).rev() {
        let mut below = Vec::new();
        for (_, hash) in names {
            let Some(page) = store.page_blob(room, &hash).ok().flatten() else { continue };
            bytes += page.len();
            if bytes > STRETCH_PAGES_BYTES {
                return pages;
            }
            if level > 0 {
                below.extend(decode_names(&page).unwrap_or_default());
            }
            pages.push(Mail::Page(Blob(page)));
        }
        names = below;
    }
    pages
}

#[cfg(test)]
mod tests;
