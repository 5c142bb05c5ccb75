//! Reading: what each relay lists, each blob asked of one, handed over once, and cursors that follow what was taken.

use super::super::blob::is_class;
use super::super::frame::{Entry, Refusal};
use super::super::limits;
use super::super::name::{BlobId, BoxName, RelayId};
use super::line::{Job, pause_after};
use super::{At, Due, Fault, Holder, Mailboxes, Out, Stage, Want};
use crate::wire::Blob;

/// A box that is subscribed is listed again after this time, in case a push was lost or kept back.
const RELIST_MS: u64 = 60 * 60 * 1_000;
/// A relay that puts off what it lists so often in a row is told of: a busy one gives something now and then.
const PUT_OFF_OFTEN: u32 = 32;

impl At {
    /// Where to list from and how much, if it is time to list. `full`: of all boxes together as much is wanted as may be.
    pub(super) fn begin_listing(&mut self, full: bool) -> Option<(u64, u16)> {
        self.queued = false;
        if self.listing.is_some() || self.pending.len() >= limits::MAX_PENDING {
            self.again = true;
            return None;
        }
        // What was promised to be at a place that others were pushed beyond is looked for.
        let promised = self.promises.first_key_value().map_or(u64::MAX, |(at, _)| at.saturating_sub(1));
        let after = self.listed.min(promised);
        self.listing = Some(after);
        self.again = false;
        let limit = if full { limits::WANTED_SHARE } else { limits::MAX_LISTED };
        Some((after, limit as u16))
    }

    /// Whether `n` more are beyond what the box may have here whatever the others have.
    fn has_its_share(&self, n: usize) -> bool {
        self.pending.len() + n > limits::WANTED_SHARE
    }

    fn advance(&mut self) -> bool {
        let free = self.pending.first_key_value().map_or(u64::MAX, |(at, _)| at - 1);
        let reached = free.min(self.listed);
        let further = reached > self.cursor.at;
        self.cursor.at = self.cursor.at.max(reached);
        further
    }
}

impl Want {
    /// Whom to ask now: the load is spread over the relays that have it, but for those that put us off.
    fn giver(&self, id: &BlobId, now_ms: u64) -> Option<(RelayId, usize)> {
        let ready = || self.holders.iter().filter(|(_, holder)| holder.not_before_ms <= now_ms);
        let (relay, holder) = ready().nth(usize::from(id.0[0]) % ready().count().max(1))?;
        Some((relay.clone(), holder.size))
    }

    /// When the first that has it may be asked.
    fn not_before_ms(&self) -> u64 {
        self.holders.values().map(|holder| holder.not_before_ms).min().unwrap_or(0)
    }
}

impl Mailboxes {
    fn at(&mut self, relay: &RelayId, name: &BoxName) -> Option<&mut At> {
        self.boxes.get_mut(name)?.at.get_mut(relay)
    }

    pub(super) fn subscribed(&mut self, relay: &RelayId, name: BoxName, inline: bool) {
        if let Some(at) = self.at(relay, &name) {
            at.subscribed = Some(inline);
        }
        self.queue_list(relay, name);
    }

    /// Lists the box at the relay, now or when the listing under way is done.
    pub(super) fn queue_list(&mut self, relay: &RelayId, name: BoxName) {
        let Some(at) = self.at(relay, &name).filter(|at| at.open) else { return };
        if at.listing.is_some() {
            at.again = true;
        } else if !at.queued {
            at.queued = true;
            self.job(relay, Job::List(name));
        }
    }

    /// It is time to list again, and to subscribe where that was refused.
    pub(super) fn list_again(&mut self, relay: &RelayId, name: BoxName) {
        let Some(at) = self.at(relay, &name) else { return };
        at.relist = false;
        if !at.open {
            return;
        }
        if at.subscribed.is_some() {
            self.queue_list(relay, name);
        } else {
            self.job(relay, Job::Subscribe(name, false));
        }
    }

    pub(super) fn list_later(&mut self, relay: &RelayId, name: BoxName, pause_ms: u64, now_ms: u64) {
        let Some(at) = self.at(relay, &name).filter(|at| !at.relist) else { return };
        at.relist = true;
        self.due.insert((now_ms.saturating_add(pause_ms), Due::List(relay.clone(), name)));
    }

    pub(super) fn on_list_refused(&mut self, relay: &RelayId, name: BoxName, refusal: Refusal, now_ms: u64) {
        if let Some(at) = self.at(relay, &name) {
            at.listing = None;
            at.again = true;
        }
        self.list_later(relay, name, pause_after(refusal).unwrap_or(RELIST_MS), now_ms);
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one answer")]
    pub(super) fn on_listed(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        entries: &[Entry],
        more: bool,
        end: u64,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        let full = self.n_wanted + entries.len() > limits::MAX_WANTED;
        let Some(at) = self.at(relay, &name) else { return };
        let Some(after) = at.listing.take() else { return };
        if full && at.has_its_share(entries.len()) {
            at.again = true;
            return self.list_later(relay, name, limits::PUSH_PATIENCE_MS, now_ms);
        }
        if end < at.listed {
            self.rewound(relay, name, now_ms, out);
            return;
        }
        let last = entries.last().map_or(after, |entry| entry.at);
        let ascending = entries.windows(2).all(|pair| matches!(pair, [a, b] if a.at < b.at));
        let in_place = entries.first().is_none_or(|first| first.at > after) && last <= end;
        let sizes = entries.iter().all(|entry| fits(&name, entry));
        if !ascending || !in_place || !sizes || (more && entries.is_empty()) {
            at.again = true;
            self.list_later(relay, name, limits::RETRY_MS, now_ms);
            return self.lie(relay, Some(name), Fault::Disorder, now_ms, out);
        }
        let covered = if more { last } else { end };
        let known = at.listed;
        let mut broken = Vec::new();
        at.promises.retain(|no, id| {
            let kept = entries.iter().any(|entry| entry.at == *no && entry.id == *id);
            if *no <= covered && !kept {
                broken.push(*id);
            }
            *no > covered
        });
        at.listed = at.listed.max(covered);
        if !more && !at.again {
            at.listed = at.listed.max(at.pushed);
        }
        let again = more || at.again;
        for id in broken {
            self.lie(relay, Some(name), Fault::Dropped(id), now_ms, out);
        }
        for entry in entries.iter().filter(|entry| entry.at > known) {
            self.note(relay, name, entry, false, now_ms, out);
        }
        if !self.is_up(relay) {
            // It lied once too often meanwhile: what it listed counts for nothing.
            return;
        }
        self.advance(relay, name, out);
        if again {
            self.queue_list(relay, name);
        } else {
            out.push(Out::CaughtUp { name, relay: relay.clone() });
            self.list_later(relay, name, RELIST_MS, now_ms);
        }
    }

    /// The relay went back: all of it is read anew.
    fn rewound(&mut self, relay: &RelayId, name: BoxName, now_ms: u64, out: &mut Vec<Out>) {
        self.forget_holder(relay, &name);
        let Some(at) = self.at(relay, &name) else { return };
        (at.listed, at.pushed, at.cursor.at) = (0, 0, 0);
        at.pending.clear();
        let lost: Vec<BlobId> = std::mem::take(&mut at.promises).into_values().collect();
        let cursor = at.cursor;
        out.push(Out::Cursor { name, relay: relay.clone(), cursor });
        for id in lost {
            out.push(Out::Fault { relay: relay.clone(), name: Some(name), fault: Fault::Dropped(id) });
        }
        self.queue_list(relay, name);
        self.lie(relay, Some(name), Fault::Rewound, now_ms, out);
    }

    pub(super) fn on_push(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        entry: Entry,
        blob: Option<Blob>,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        let full = self.n_wanted >= limits::MAX_WANTED;
        let Some(at) = self.at(relay, &name).filter(|at| at.subscribed.is_some()) else { return };
        if !fits(&name, &entry) {
            return self.lie(relay, Some(name), Fault::Disorder, now_ms, out);
        }
        if at.promises.get(&entry.at) == Some(&entry.id) {
            at.promises.remove(&entry.at);
        }
        if entry.at <= at.listed.max(at.pushed) {
            return self.repeated(relay, name, now_ms, out);
        }
        if full && at.has_its_share(1) || at.pending.len() >= limits::MAX_PENDING {
            at.again = true;
            return self.list_later(relay, name, limits::PUSH_PATIENCE_MS, now_ms);
        }
        at.pushed = entry.at;
        let skipped = at.promises.first_key_value().is_some_and(|(no, _)| *no < entry.at);
        // What was put before and is still to be listed is not passed over.
        if at.listing.is_none() && !at.queued && !at.again {
            at.listed = entry.at;
        }
        self.note(relay, name, &entry, blob.is_none(), now_ms, out);
        if let Some(Blob(blob)) = blob {
            self.on_content(relay, name, entry.id, blob, now_ms, out);
        }
        self.advance(relay, name, out);
        if skipped {
            self.queue_list(relay, name);
        }
    }

    /// A relay has this blob in the box; nothing when its line was closed for what it said before: it would be asked in vain, and
    /// nobody else. `patient`: another relay may be pushing its content just now.
    fn note(&mut self, relay: &RelayId, name: BoxName, entry: &Entry, patient: bool, now_ms: u64, out: &mut Vec<Out>) {
        if !self.is_up(relay) {
            return;
        }
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        if mailbox.taken.has(&entry.id) {
            return;
        }
        let pushed_by = |at: &At| at.subscribed == Some(true);
        let patient = patient && mailbox.at.iter().any(|(other, at)| other != relay && pushed_by(at));
        let Some(at) = mailbox.at.get_mut(relay) else { return };
        let new = !mailbox.wanted.contains_key(&entry.id);
        let stage = if patient { Stage::Later } else { Stage::Unasked };
        let want =
            mailbox.wanted.entry(entry.id).or_insert_with(|| Want { holders: Default::default(), stage, held: 0 });
        if let Some(known) = want.holders.get(relay) {
            if known.at != entry.at {
                self.lie(relay, Some(name), Fault::Disorder, now_ms, out);
            }
            return;
        }
        want.holders.insert(relay.clone(), Holder { at: entry.at, size: entry.size as usize, not_before_ms: 0 });
        at.pending.insert(entry.at, entry.id);
        if !new {
            // The others put us off.
            if want.stage == Stage::Later && want.holders.values().any(|holder| holder.not_before_ms > now_ms) {
                want.stage = Stage::Unasked;
                self.unasked.insert((name, entry.id));
            }
            return;
        }
        self.n_wanted += 1;
        if patient {
            self.due.insert((now_ms.saturating_add(limits::PUSH_PATIENCE_MS), Due::Want(name, entry.id)));
        } else {
            self.unasked.insert((name, entry.id));
        }
    }

    pub(super) fn want_again(&mut self, name: BoxName, id: BlobId) {
        let want = self.boxes.get_mut(&name).and_then(|mailbox| mailbox.wanted.get_mut(&id));
        if let Some(want) = want.filter(|want| want.stage == Stage::Later) {
            want.stage = Stage::Unasked;
            self.unasked.insert((name, id));
        }
    }

    /// Whether so much more of a box may be asked for and handed over.
    fn has_room(&self, name: &BoxName, more: usize) -> bool {
        let own = || {
            let wanted = self.boxes.get(name).into_iter().flat_map(|mailbox| mailbox.wanted.values());
            wanted.map(|want| want.held).sum::<usize>()
        };
        self.handed_bytes + more <= limits::MAX_HANDED_BYTES || own() + more <= limits::HANDED_SHARE
    }

    /// Asks for what is wanted, as long as there is room for it.
    pub(super) fn seek(&mut self, now_ms: u64) {
        let mut next = self.unasked.first().copied();
        while let Some((name, id)) = next {
            let want = self.boxes.get(&name).and_then(|mailbox| mailbox.wanted.get(&id));
            let size = want.and_then(|want| want.holders.values().map(|holder| holder.size).max()).unwrap_or(0);
            if !self.has_room(&name, size) {
                // Of another box there may be less.
                next = self.unasked.range((name, BlobId([u8::MAX; 32]))..).find(|(other, _)| *other != name).copied();
                continue;
            }
            self.unasked.remove(&(name, id));
            next = self.unasked.range((name, id)..).next().copied();
            let Some(mailbox) = self.boxes.get_mut(&name) else { continue };
            let Some(want) = mailbox.wanted.get_mut(&id).filter(|want| want.stage == Stage::Unasked) else { continue };
            if want.holders.is_empty() {
                mailbox.wanted.remove(&id);
                self.n_wanted -= 1;
                continue;
            }
            let Some((relay, size)) = want.giver(&id, now_ms) else {
                want.stage = Stage::Later;
                self.due.insert((want.not_before_ms(), Due::Want(name, id)));
                continue;
            };
            want.held = size;
            self.handed_bytes += size;
            want.stage = Stage::Asked(relay.clone());
            self.job(&relay, Job::Get(name, id));
        }
    }

    pub(super) fn on_blob(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        id: BlobId,
        blob: Option<Vec<u8>>,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        match blob {
            Some(blob) => self.on_content(relay, name, id, blob, now_ms, out),
            None => {
                if self.unhold(relay, name, id, out) {
                    out.push(Out::Fault { relay: relay.clone(), name: Some(name), fault: Fault::Withheld });
                }
            }
        }
    }

    /// A relay gave bytes for this name.
    fn on_content(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        id: BlobId,
        blob: Vec<u8>,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        let want = mailbox.wanted.get_mut(&id);
        let size = want.as_ref().and_then(|want| want.holders.get(relay)).map(|holder| holder.size);
        if BlobId::of(&blob) != id || size.is_some_and(|size| size != blob.len()) {
            self.unhold(relay, name, id, out);
            return self.lie(relay, Some(name), Fault::Forged, now_ms, out);
        }
        let Some(want) = want.filter(|want| want.stage != Stage::Handed && size.is_some()) else { return };
        if want.held == 0 && !self.has_room(&name, blob.len()) {
            // It is asked for when there is room.
            return;
        }
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        if let Some(at) = mailbox.at.get_mut(relay) {
            at.put_off = 0;
        }
        let Some(want) = mailbox.wanted.get_mut(&id) else { return };
        self.handed_bytes = self.handed_bytes - want.held + blob.len();
        want.held = blob.len();
        want.stage = Stage::Handed;
        self.unasked.remove(&(name, id));
        out.push(Out::Got { name, id, blob });
    }

    pub(super) fn on_get_refused(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        id: BlobId,
        refusal: Refusal,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        let Some(pause_ms) = pause_after(refusal) else {
            self.unhold(relay, name, id, out);
            return;
        };
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        if let Some(at) = mailbox.at.get_mut(relay) {
            at.put_off += 1;
            if at.put_off % PUT_OFF_OFTEN == 0 {
                out.push(Out::Fault { relay: relay.clone(), name: Some(name), fault: Fault::Withheld });
            }
        }
        let Some(want) = mailbox.wanted.get_mut(&id) else { return };
        if let Some(holder) = want.holders.get_mut(relay) {
            holder.not_before_ms = now_ms.saturating_add(pause_ms);
        }
        if want.stage == Stage::Asked(relay.clone()) {
            self.handed_bytes -= std::mem::take(&mut want.held);
            // Another one that has it is asked at once.
            want.stage = Stage::Unasked;
            self.unasked.insert((name, id));
        }
    }

    /// The relay does not give this blob: it is asked of another that has it, and passed over at this one. Whether it had
    /// said that it has it.
    fn unhold(&mut self, relay: &RelayId, name: BoxName, id: BlobId, out: &mut Vec<Out>) -> bool {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return false };
        let Some(want) = mailbox.wanted.get_mut(&id) else { return false };
        let Some(holder) = want.holders.remove(relay) else { return false };
        if want.stage == Stage::Asked(relay.clone()) {
            self.handed_bytes -= std::mem::take(&mut want.held);
            want.stage = Stage::Unasked;
            self.unasked.insert((name, id));
        }
        if want.holders.is_empty() && want.stage != Stage::Handed {
            mailbox.wanted.remove(&id);
            self.n_wanted -= 1;
            self.unasked.remove(&(name, id));
        }
        if let Some(at) = mailbox.at.get_mut(relay) {
            at.pending.remove(&holder.at);
        }
        self.advance(relay, name, out);
        true
    }

    /// What the relay lists in a box is not to be had from it now.
    pub(super) fn forget_holder(&mut self, relay: &RelayId, name: &BoxName) {
        let Some(mailbox) = self.boxes.get_mut(name) else { return };
        mailbox.wanted.retain(|id, want| {
            if want.holders.remove(relay).is_none() {
                return true;
            }
            if want.stage == Stage::Asked(relay.clone()) {
                self.handed_bytes -= std::mem::take(&mut want.held);
                want.stage = Stage::Unasked;
                self.unasked.insert((*name, *id));
            }
            let stays = !want.holders.is_empty() || want.stage == Stage::Handed;
            if !stays {
                self.n_wanted -= 1;
                self.unasked.remove(&(*name, *id));
            }
            stays
        });
    }

    /// What was handed over is done with.
    pub(super) fn take(&mut self, name: BoxName, id: BlobId, out: &mut Vec<Out>) {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        mailbox.taken.add(id);
        let Some(want) = mailbox.wanted.remove(&id) else { return };
        self.n_wanted -= 1;
        self.handed_bytes -= want.held;
        self.unasked.remove(&(name, id));
        for (relay, holder) in want.holders {
            let Some(at) = self.at(&relay, &name) else { continue };
            at.pending.remove(&holder.at);
            self.advance(&relay, name, out);
        }
    }

    fn advance(&mut self, relay: &RelayId, name: BoxName, out: &mut Vec<Out>) {
        let Some(at) = self.at(relay, &name) else { return };
        let go_on = at.again && at.listing.is_none() && at.pending.len() < limits::MAX_PENDING / 2;
        if at.advance() {
            let cursor = at.cursor;
            out.push(Out::Cursor { name, relay: relay.clone(), cursor });
        }
        if go_on {
            self.queue_list(relay, name);
        }
    }
}

/// Whether an entry can be of a blob in this box.
fn fits(name: &BoxName, entry: &Entry) -> bool {
    let size = entry.size as usize;
    entry.at > 0 && is_class(size) && size <= name.kind.max_blob()
}
