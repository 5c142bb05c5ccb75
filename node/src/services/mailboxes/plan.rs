//! What a room wants of its mailboxes, and what it gives to be put in.

use std::sync::Arc;

use parlor_crypto::mailbox::BoxKeys;
use parlor_proto::EventId;
use parlor_proto::mailbox::{BoxName, Mail};
use parlor_proto::room::Slice;
use parlor_proto::wire::SeriesKind;
use serde::{Deserialize, Serialize};

use super::relays::Relay;

/// What a room wants read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// The relays of its State.
    pub(crate) relays: Vec<Relay>,
    /// The boxes to read, the newest first.
    pub(crate) boxes: Vec<SharedBox>,
    /// The doors of its open invites.
    pub(crate) doors: Vec<SharedBox>,
    /// What is left at them for who comes while nobody is online.
    pub(crate) left: Vec<Left>,
    /// Whether we are a member, who writes. Who is not in yet also reads at the relays of the link.
    pub(crate) member: bool,
}

/// What the maker of an instant invite leaves at its door.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    /// The invite.
    pub(crate) invite: EventId,
    /// Its door.
    pub(crate) door: SharedBox,
    /// Sealed parts.
    pub(crate) parts: Arc<[Vec<u8>]>,
}

/// A box with its keys.
#[derive(Debug, Clone)]
pub(crate) struct SharedBox {
    /// Its name.
    pub(crate) name: BoxName,
    /// What proves and seals it.
    pub(crate) keys: BoxKeys,
}

/// Something of ours that goes into boxes: a stretch of a log, or a record.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// What it is of.
    pub(crate) kind: SeriesKind,
    /// First number in it.
    pub(crate) from: u64,
    /// Last.
    pub(crate) to: u64,
    /// The slices in whose boxes it goes,
    pub(crate) slices: Vec<Slice>,
    /// and these boxes; none if nobody has a key of them any more.
    pub(crate) boxes: Vec<SharedBox>,
    /// What is put in.
    pub(crate) mails: Vec<Mail>,
}

/// Places in our own logs, and counters of our own records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tips {
    /// Of the control log.
    pub(crate) control: u64,
    /// Of the message log.
    pub(crate) message: u64,
    /// Of the marker.
    pub(crate) marker: u64,
    /// Of the leaf record.
    pub(crate) leaf: u64,
    /// Of the peer binding.
    pub(crate) binding: u64,
    /// Of the profile.
    pub(crate) profile: u64,
    /// Of its picture.
    pub(crate) portrait: u64,
}

impl Tips {
    /// The place of one kind.
    pub(crate) fn of(&self, kind: SeriesKind) -> u64 {
        match kind {
            SeriesKind::Control => self.control,
            SeriesKind::Message => self.message,
            SeriesKind::Marker => self.marker,
            SeriesKind::Leaf => self.leaf,
            SeriesKind::Binding => self.binding,
            SeriesKind::Profile => self.profile,
            SeriesKind::Portrait => self.portrait,
        }
    }

    /// The same, to change.
    pub(crate) fn of_mut(&mut self, kind: SeriesKind) -> &mut u64 {
        match kind {
            SeriesKind::Control => &mut self.control,
            SeriesKind::Message => &mut self.message,
            SeriesKind::Marker => &mut self.marker,
            SeriesKind::Leaf => &mut self.leaf,
            SeriesKind::Binding => &mut self.binding,
            SeriesKind::Profile => &mut self.profile,
            SeriesKind::Portrait => &mut self.portrait,
        }
    }

    /// All kinds, in the order in which they are put: who may do what before what was said.
    pub(crate) const KINDS: [SeriesKind; 7] = [
        SeriesKind::Control,
        SeriesKind::Leaf,
        SeriesKind::Message,
        SeriesKind::Binding,
        SeriesKind::Profile,
        SeriesKind::Portrait,
        SeriesKind::Marker,
    ];

    /// Whether nothing is beyond `other`.
    pub(crate) fn within(&self, other: &Self) -> bool {
        Self::KINDS.iter().all(|kind| self.of(*kind) <= other.of(*kind))
    }
}
