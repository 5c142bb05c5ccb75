//! What is put in the box of an invite's door: knocks, answers, and what a newcomer needs who finds nobody online.
//!
//! ```text
//! door mail   0 knock: bytes | 1 answer: to[32], last, bytes | 2 events: bundle | 3 part of a package: bytes        postcard
//! ```
//! A knock and its answer are those of `/parlor/join/1`. `to` is the id of the blob that held the knock; `last` says that no
//! other answer follows. Whoever holds the link or the Invite can put anything here: an answer is worth what opens in it.

use serde::{Deserialize, Serialize};

use super::{MAX_ANSWER, MAX_KNOCK};
use crate::codec;
use crate::mailbox::blob::{MAX_CONTENT, MAX_MAILS};
use crate::mailbox::{BlobId, Bundle};
use crate::wire::Blob;

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
    /// Events of the room, for whoever was let in.
    Events(Bundle),
    /// A sealed part of what an instant invite leaves: [`super::instant`].
    Part(Blob),
}

impl DoorMail {
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
            Self::Events(bundle) => (1..=MAX_MAILS).contains(&bundle.0.len()),
        };
        bounded.then_some(mail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::Mail;

    #[test]
    fn door_mail_comes_back_and_what_breaks_a_bound_is_none() {
        let answer = DoorMail::Answer { to: BlobId([3; 32]), last: true, bytes: Blob(vec![7; 100]) };
        let events = DoorMail::Events(Bundle(vec![Mail::Page(Blob(vec![1]))]));
        for mail in [DoorMail::Knock(Blob(vec![1; MAX_KNOCK])), answer, events] {
            assert_eq!(DoorMail::decode(&mail.encode()), Some(mail));
        }
        let broken = [DoorMail::Knock(Blob(vec![1; MAX_KNOCK + 1])), DoorMail::Events(Bundle(Vec::new()))];
        assert!(broken.iter().all(|mail| DoorMail::decode(&mail.encode()).is_none()));
        assert_eq!(DoorMail::decode(&[9]), None);
    }
}
