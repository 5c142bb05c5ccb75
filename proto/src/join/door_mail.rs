//! What is put in the box of an invite's door: knocks, answers, and what a newcomer needs who finds nobody online.
//!
//! ```text
//! door mail   0 knock: bytes | 1 answer: to[32], last, bytes | 2 events: sealed bundle | 3 part of a package: bytes        postcard
//! ```
//! A knock and its answer are those of `/parlor/join/1`. `to` is the id of the blob that held the knock; `last` says that no
//! other answer follows. Whoever holds the link or the Invite can put anything here: an answer is worth what opens in it.

use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::{CryptoRng, hpke};
use serde::{Deserialize, Serialize};

use super::{MAX_ANSWER, MAX_KNOCK};
use crate::codec;
use crate::identity::{Identity, Leaf};
use crate::ids::RoomId;
use crate::mailbox::blob::MAX_CONTENT;
use crate::mailbox::{BlobId, Bundle, Mail};
use crate::wire::Blob;

/// What the sealing of events is called.
const EVENTS: &str = "door events";
/// What sealing, the length before it and the kind of mail add at most.
const SEALING: usize = 64;

/// The content of a blob in a door's box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DoorMail {
    /// Somebody wants in.
    Knock(Blob),
    /// The answer to a knock.
    Answer {
        /// The blob that held the knock.
        to: BlobId,
        /// Whether it is the last one.
        last: bool,
        /// As over a connection.
        bytes: Blob,
    },
    /// Events of the room, sealed for whoever was let in ([`Self::events`]): all who know the door read its box, also who was removed.
    Events(Blob),
    /// A sealed part of what an instant invite leaves: [`super::instant`].
    Part(Blob),
}

impl DoorMail {
    /// Events of a room in as few blobs as hold them, each sealed for the leaf key of who was let in.
    pub fn events(
        room: &RoomId,
        leaf: &LeafPublic,
        events: impl IntoIterator<Item = Mail>,
        rng: &mut impl CryptoRng,
    ) -> Vec<Self> {
        let bundles = Bundle::pack_within(events, MAX_CONTENT - SEALING);
        let mut seal =
            |bundle: Bundle| hpke::seal_box(rng, EVENTS, room.as_bytes(), leaf, &[], &codec::encode(&bundle));
        bundles.into_iter().map(|bundle| Self::Events(Blob(seal(bundle)))).collect()
    }

    /// Opens events that were sealed for a leaf key of `me`.
    pub fn open_events(room: &RoomId, me: &Identity, sealed: &[u8]) -> Option<Bundle> {
        let open = |leaf: &Leaf| hpke::open_box(EVENTS, room.as_bytes(), &leaf.secret, &[], sealed).ok();
        let plain = me.leafs().iter().find_map(open)?;
        Bundle::decode(&plain).ok()
    }

    /// The content of a blob.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the content of a blob; `None` for what nobody honest puts there.
    pub fn decode(content: &[u8]) -> Option<Self> {
        let mail: Self = codec::decode(content, MAX_CONTENT).ok()?;
        let bounded = match &mail {
            Self::Knock(bytes) => bytes.0.len() <= MAX_KNOCK,
            Self::Answer { bytes, .. } => bytes.0.len() <= MAX_ANSWER,
            Self::Part(sealed) => sealed.0.len() <= MAX_CONTENT,
            Self::Events(sealed) => sealed.0.len() <= MAX_CONTENT,
        };
        bounded.then_some(mail)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn door_mail_comes_back_and_what_breaks_a_bound_is_none() {
        let answer = DoorMail::Answer { to: BlobId([3; 32]), last: true, bytes: Blob(vec![7; 100]) };
        let events = DoorMail::Events(Blob(vec![1]));
        for mail in [DoorMail::Knock(Blob(vec![1; MAX_KNOCK])), answer, events] {
            assert_eq!(DoorMail::decode(&mail.encode()), Some(mail));
        }
        assert_eq!(DoorMail::decode(&DoorMail::Knock(Blob(vec![1; MAX_KNOCK + 1])).encode()), None);
        assert_eq!(DoorMail::decode(&[9]), None);
    }

    #[test]
    fn events_at_a_door_are_read_by_who_was_let_in_and_by_nobody_else_who_knows_the_door() {
        let mut rng = StdRng::seed_from_u64(1);
        let [me, other] = [1, 2].map(|n| Identity::create("me", n, &mut rng).unwrap().1);
        let (room, elsewhere) = (RoomId([1; 32]), RoomId([2; 32]));
        let leaf = LeafPublic::parse(&me.entrant().leaf.leaf_pk).unwrap();
        let pages: Vec<Mail> = (0..40).map(|n| Mail::Page(Blob(vec![n; 10_000]))).collect();
        let sealed = DoorMail::events(&room, &leaf, pages.clone(), &mut rng);
        assert!(sealed.len() > 1, "they fill several blobs");
        let mut came = Vec::new();
        for mail in sealed {
            let Some(DoorMail::Events(sealed)) = DoorMail::decode(&mail.encode()) else {
                panic!("too long for a blob")
            };
            assert_eq!(DoorMail::open_events(&room, &other, &sealed.0), None);
            assert_eq!(DoorMail::open_events(&elsewhere, &me, &sealed.0), None);
            came.extend(DoorMail::open_events(&room, &me, &sealed.0).unwrap().0);
        }
        assert_eq!(came, pages);
    }
}
