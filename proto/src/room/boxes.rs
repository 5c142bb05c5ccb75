//! The mailboxes of a room's slices: which are read, and in which an event of ours goes.
//!
//! Whoever holds the key of a slice can use its box (`docs/spec/mailbox.md`). A member who was away goes from box to box:
//! what ends an epoch or a slice is put in the box of *before*, so that it finds the way on.

use std::collections::BTreeSet;

use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::epoch::SliceSecret;
use parlor_crypto::mailbox::BoxKeys;

use super::Room;
use crate::control::{Control, ROTATE_KIND};
use crate::event::Event;
use crate::ids::{DeviceId, EpochId};

/// Boxes of a room that are read at a time: of its newest epochs. A relay allows thousands in all.
pub const MAX_READ: usize = 16;
/// Slices before the current one whose boxes are still read: who wrote before it knew of the next.
const BACK: u32 = 2;
/// Slices after the current one whose boxes are looked at: one may have begun by a message alone.
const AHEAD: u32 = 1;

/// Events that go along with one of ours at most: a guest writes two.
const MAX_CARRIED: usize = 8;

/// A slice of an epoch, whose box is meant.
pub type Slice = (EpochId, u32);

impl Room {
    /// The slices whose boxes are to be read, of the newest epoch first; at most [`MAX_READ`]. Of a room that was joined and
    /// whose events are not here yet, those that the Welcome gave keys of.
    pub fn slices_to_read(&self) -> Vec<Slice> {
        let known = self.epochs.all().map(|epoch| epoch.id);
        let unknown = self.epochs.held().keys().copied().filter(|epoch| self.epochs.order(epoch).is_none());
        let mut slices = Vec::new();
        for epoch in known.chain(unknown) {
            let Some(held) = self.epochs.held().get(&epoch) else { continue };
            let current = self.current_slice(&epoch).max(held.slice);
            let first = current.saturating_sub(BACK).max(held.slice);
            slices.extend((first..=current.saturating_add(AHEAD)).rev().map(|slice| (epoch, slice)));
            if slices.len() >= MAX_READ {
                break;
            }
        }
        slices.truncate(MAX_READ);
        slices
    }

    /// Something that changes whenever [`slices_to_read`](Self::slices_to_read) may: cheap to compare.
    pub fn slices_mark(&self) -> (Option<Slice>, usize) {
        (self.slice_in_use(), self.epochs.held().len())
    }

    /// The keys of the box of a slice; `None` if the key of the slice is not held. Also of a key that is not checked yet: a
    /// wrong one names a box in which nothing is.
    pub fn box_keys(&self, slice: &Slice) -> Option<BoxKeys> {
        self.slice_secret(slice).map(|secret| secret.mailbox())
    }

    /// The slice under whose keys what is told to exactly the members goes now; `None` while no safe epoch is held.
    pub fn slice_in_use(&self) -> Option<Slice> {
        self.best.map(|epoch| (epoch, self.current_slice(&epoch)))
    }

    /// The key that profiles of a slice are sealed under ([`crate::profile`]); `None` if the key of the slice is not held, or nobody
    /// may write in it yet.
    pub fn profile_key(&self, slice: &Slice) -> Option<EnvelopeKey> {
        // Keys of later slices cost a step each: nobody makes us walk to the last one.
        let reached = slice.1 <= self.last_slice(&slice.0).max(self.current_slice(&slice.0));
        let secret = if reached { self.slice_secret(slice) } else { None };
        secret.map(|secret| secret.profile())
    }

    fn slice_secret(&self, (epoch, slice): &Slice) -> Option<SliceSecret> {
        let held = self.epochs.held().get(epoch).filter(|held| held.slice <= *slice)?;
        let mut secret = SliceSecret::from_secret(held.slice, held.key.clone()).ok()?;
        secret.advance_to(*slice).ok()?;
        Some(secret)
    }

    /// The keys of the box of a direct chat, in which its control events go besides: each finds there the epoch that the other made while
    /// nobody else was online, and of which it has no key yet. `None` in rooms of another sort, whose newcomers get a Welcome.
    pub fn chat_keys(&self) -> Option<BoxKeys> {
        self.other().map(|_| BoxKeys::of_direct(self.topic_secret()))
    }

    /// In the boxes of which slices an event of ours goes. A control event that one of our Rotates followed is put where that
    /// one goes, for who was away needs both; none if no key is held any more.
    pub fn slices_of(&self, event: &Event) -> BTreeSet<Slice> {
        let slices = match event.message() {
            Some(header) => BTreeSet::from([(header.epoch, header.slice)]),
            None => self.slices_of_control(event),
        };
        slices.into_iter().filter(|(epoch, slice)| self.holds(epoch, *slice)).collect()
    }

    /// What goes along with an event of ours, because nobody else puts it in a box: before the first that we wrote after a guest
    /// let us in, all that this guest wrote.
    pub fn carried_with(&self, event: &Event) -> Vec<Event> {
        let Some(at) = self.dag.find(&event.id()).filter(|_| event.device() == self.me.device()) else {
            return Vec::new();
        };
        let before = self.dag.find(&event.prev());
        let admits = self.dag.grants_of(&self.me.account()).iter().map(|g| self.dag.grants()[*g].op);
        let new = admits.filter(|op| {
            self.is_guest(&self.dag.node(*op).author)
                && self.dag.in_past(*op, at)
                && !before.is_some_and(|before| self.dag.in_past(*op, before))
        });
        let guests: BTreeSet<DeviceId> = new.map(|op| self.dag.node(op).event.device()).collect();
        guests.iter().flat_map(|guest| self.control_log(guest, 1)).take(MAX_CARRIED).cloned().collect()
    }

    fn slices_of_control(&self, event: &Event) -> BTreeSet<Slice> {
        let carried = self.carried_with(event);
        let mut slices: BTreeSet<Slice> = carried.iter().flat_map(|carried| self.slices_of_control(carried)).collect();
        let node = self.dag.find(&event.id()).map(|at| self.dag.node(at));
        if let Some(Control::Admit(admit)) = node.map(|node| &node.control) {
            slices.insert((admit.epoch, admit.slice.saturating_sub(1)));
            slices.insert((admit.epoch, admit.slice));
        }
        let rotate = self
            .control_log(&event.device(), event.seq())
            .find(|later| later.control().is_some_and(|header| header.kind == ROTATE_KIND));
        let Some(rotate) = rotate else {
            // Under whatever is written now; if nothing is safe, where the others still look.
            let newest = self.best.or_else(|| self.newest_held(None));
            slices.extend(newest.map(|epoch| (epoch, self.current_slice(&epoch))));
            return slices;
        };
        let own = EpochId::of(&rotate.id());
        let parents = self.dag.epoch(&own).map(|(_, rotate)| rotate.parents.clone()).unwrap_or_default();
        let before = parents.into_iter().chain(self.newest_held(Some(&own)));
        slices.extend(before.map(|epoch| (epoch, self.current_slice(&epoch))));
        if rotate.id() == event.id() {
            slices.insert((own, 0));
        }
        slices
    }

    /// The newest epoch whose key is held, of those before `before`.
    fn newest_held(&self, before: Option<&EpochId>) -> Option<EpochId> {
        let limit = before.and_then(|epoch| self.epochs.order(epoch));
        let earlier = self.epochs.all().filter(|epoch| limit.is_none_or(|limit| epoch.order < limit));
        earlier.map(|epoch| epoch.id).find(|epoch| self.epochs.held().contains_key(epoch))
    }

    fn holds(&self, epoch: &EpochId, slice: u32) -> bool {
        self.epochs.held().get(epoch).is_some_and(|held| held.slice <= slice)
    }
}
