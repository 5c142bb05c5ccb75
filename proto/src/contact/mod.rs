//! Contacts: who they are, how they are found and asked, whom we trust how far.
//!
//! A [`Card`] is a link or QR code that says who somebody is and where; a [`Letter`] is what two accounts send each other
//! before they share a room: "may I write to you", "yes". [`Book`] is the list of contacts as a machine without I/O;
//! [`safety`] is the number that two people compare. The formats are in `docs/spec/contacts.md`.

mod book;
mod card;
mod letter;
mod safety;
mod trust;
mod visitors;

use serde::{Deserialize, Serialize};

pub use self::book::{Book, BookError, Contact, Heard, MAX_ASKING, MAX_CONTACTS, MAX_PETNAME, Reply, Stage};
pub use self::card::{Card, CardError, MAX_CARD, MAX_CARD_NAME, MAX_CARD_RELAYS};
pub use self::letter::{
    LETTER_MAGIC, Letter, LetterError, MAX_ASK_TEXT, MAX_LETTER, MAX_LETTER_ADDRESSES, MAX_LETTER_DEVICES, Papers, What,
};
pub use self::safety::safety_number;
pub use self::trust::Trust;
pub use self::visitors::Visitors;

use crate::link::Address;

/// A relay where somebody has his inbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RelayAt {
    /// Its transport peer id: the bytes of its Ed25519 key.
    pub peer: [u8; 32],
    /// Where it is.
    pub address: Address,
}

/// Where somebody can be found. Hints: whoever answers there proves who he is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The transport peer id of one of his nodes; `None` if unknown.
    pub peer: Option<[u8; 32]>,
    /// Where that node was, best first.
    pub addresses: Vec<Address>,
    /// Relays with his inbox.
    pub relays: Vec<RelayAt>,
}

/// The first `max` bytes of a text at most, cut between characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
