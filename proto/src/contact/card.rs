//! Contact cards: who somebody is and where, as text that fits a QR code.
//!
//! ```text
//! text     parlor://contact/1/#<b64>  or  parlor://contact/1/<b64>  or  https://HOST/contact#1/<b64>
//! QR       PARLOR://CONTACT/1/<b32>
//! payload  fields | check[4]
//! fields   inception[64] | contact key[32] | sig[64] | peer[32] | name | addresses (<= 3) | relays (<= 2)       postcard
//! relay    peer[32] | address
//! check    first 4 bytes of H("card check", fields)
//! ```
//! A card is public: whoever has it can ask. The root's signature ties the contact key to the account; name, peer,
//! addresses and relays are hints that nobody signs: who changes them makes others knock at a wrong door, where
//! nobody can prove to be the account.
//!
//! Promises: the link has at most [`link::MAX_TEXT`] characters: addresses and relays that do not fit are left out. The QR
//! text is a fifth longer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use parlor_crypto::account::Inception;
use parlor_crypto::contact::{ContactKey, ContactPublic};
use parlor_crypto::domain;
use parlor_crypto::hash::Domain;
use serde::{Deserialize, Serialize};

use super::{Reach, RelayAt, cut};
use crate::codec;
use crate::ids::AccountId;
use crate::link::{self, Address, LinkError, LinkKind};

/// Longest payload in bytes: base64 of it with the prefix has [`link::MAX_TEXT`] characters.
pub const MAX_CARD: usize = (link::MAX_TEXT - PREFIX.len()) * 3 / 4;
/// Longest name on a card, in bytes.
pub const MAX_CARD_NAME: usize = 32;
/// Most relays on a card.
pub const MAX_CARD_RELAYS: usize = 2;

const PREFIX: &str = "parlor://contact/1/#";
const QR_PREFIX: &str = "PARLOR://CONTACT/1/";

static CHECK: Domain = domain!("card check");

/// A contact card, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    fields: Fields,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    account: Inception,
    key: ContactKey,
    peer: [u8; 32],
    name: String,
    addresses: Vec<Address>,
    relays: Vec<RelayAt>,
}

/// Why a text is not a card that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CardError {
    /// Another link, or no link, or a damaged one.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Undamaged, but its contact key is not signed by the account it names: a forgery.
    #[error("the contact key is not the account's")]
    Forged,
}

impl Card {
    /// Makes a card of what fits: the first relay before further addresses, since it works when the node sleeps.
    pub fn new(account: Inception, key: ContactKey, name: &str, peer: [u8; 32], reach: &Reach) -> Self {
        let name = cut(name, MAX_CARD_NAME);
        let mut fields = Fields { account, key, peer, name, addresses: Vec::new(), relays: Vec::new() };
        let mut addresses = reach.addresses.iter().filter(|address| address.is_sound());
        let mut relays = reach.relays.iter().filter(|relay| relay.address.is_sound());
        fields.push_address(addresses.next());
        fields.push_relay(relays.next());
        addresses.for_each(|address| fields.push_address(Some(address)));
        relays.for_each(|relay| fields.push_relay(Some(relay)));
        Self { fields }
    }

    /// Reads a card in any of its forms; spaces and line ends around it are ignored.
    ///
    /// # Errors
    /// See [`CardError`].
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let (version, payload) = link::payload(text.trim(), LinkKind::Contact)?;
        if version != 1 {
            return Err(LinkError::NewerVersion(version).into());
        }
        if payload.len() > MAX_CARD {
            return Err(LinkError::Damaged.into());
        }
        let (bytes, check) = payload.split_last_chunk::<4>().ok_or(LinkError::Damaged)?;
        if CHECK.hash_prefix::<4>(&[bytes]) != *check {
            return Err(LinkError::Damaged.into());
        }
        let fields: Fields = codec::decode(bytes, MAX_CARD).map_err(|_| LinkError::Damaged)?;
        let sound = fields.name.len() <= MAX_CARD_NAME
            && fields.addresses.len() <= link::MAX_ADDRESSES
            && fields.relays.len() <= MAX_CARD_RELAYS
            && fields.addresses.iter().chain(fields.relays.iter().map(|relay| &relay.address)).all(Address::is_sound);
        if !sound {
            return Err(LinkError::Damaged.into());
        }
        fields.key.verify(&fields.account).map_err(|_| CardError::Forged)?;
        Ok(Self { fields })
    }

    /// The usual form: the payload is in the fragment, which no browser sends.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", BASE64.encode(self.payload()))
    }

    /// The form for people without the program: a page at `host` that tells how to get it.
    pub fn to_web_text(&self, host: &str) -> String {
        format!("https://{host}/contact#1/{}", BASE64.encode(self.payload()))
    }

    /// The form for QR codes: upper case letters, digits, `:` and `/` only.
    pub fn to_qr_text(&self) -> String {
        format!("{QR_PREFIX}{}", link::base32_encode(&self.payload()))
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        AccountId(self.fields.account.account())
    }

    /// What the account began with.
    pub fn inception(&self) -> &Inception {
        &self.fields.account
    }

    /// Its contact key.
    pub fn key(&self) -> &ContactKey {
        &self.fields.key
    }

    /// Its contact key as it is sealed to; `None` never occurs, since a card is checked.
    pub fn public(&self) -> Option<ContactPublic> {
        self.fields.key.verify(&self.fields.account).ok()
    }

    /// What it calls itself; nobody has checked that.
    pub fn name(&self) -> &str {
        &self.fields.name
    }

    /// Where it can be found.
    pub fn reach(&self) -> Reach {
        let Fields { peer, addresses, relays, .. } = self.fields.clone();
        Reach { peer: Some(peer), addresses, relays }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = codec::encode(&self.fields);
        let check = CHECK.hash_prefix::<4>(&[&payload]);
        payload.extend_from_slice(&check);
        payload
    }
}

impl Fields {
    fn push_address(&mut self, address: Option<&Address>) {
        self.addresses.extend(address.cloned());
        if self.addresses.len() > link::MAX_ADDRESSES || !self.fits() {
            self.addresses.pop();
        }
    }

    fn push_relay(&mut self, relay: Option<&RelayAt>) {
        self.relays.extend(relay.cloned());
        if self.relays.len() > MAX_CARD_RELAYS || !self.fits() {
            self.relays.pop();
        }
    }

    fn fits(&self) -> bool {
        codec::encode(self).len() + 4 <= MAX_CARD
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::person;
    use super::*;
    use crate::link::{Host, Transport};

    fn ip(last: u8) -> Address {
        Address { host: Host::Ip4([10, 0, 0, last]), transport: Transport::Quic, port: 40_000 }
    }

    fn reach(addresses: u8, relays: u8) -> Reach {
        let relay = |n| RelayAt { peer: [n; 32], address: ip(n) };
        Reach { peer: None, addresses: (0..addresses).map(ip).collect(), relays: (0..relays).map(relay).collect() }
    }

    fn forms(card: &Card) -> [String; 4] {
        let text = card.to_text();
        let bare = text.replace('#', "");
        [text, bare, card.to_web_text("parlor.example"), card.to_qr_text()]
    }

    #[test]
    fn every_form_says_the_same_and_the_link_is_short() {
        let alice = person(1);
        let card = Card::new(alice.inception(), alice.key, "Alice", [7; 32], &reach(5, 3));
        for text in forms(&card) {
            assert_eq!(Card::parse(&format!(" {text}\n")).unwrap(), card, "{text}");
        }
        assert!(card.to_text().len() <= link::MAX_TEXT, "{}", card.to_text().len());
        assert!(card.to_qr_text().len() <= 490, "{}", card.to_qr_text().len());
        assert_eq!((card.name(), card.account()), ("Alice", alice.me.account()));
        assert!(!card.reach().addresses.is_empty() && !card.reach().relays.is_empty());
        assert!(card.public().is_some());
    }

    #[test]
    fn the_longest_card_fits() {
        let alice = person(1);
        let name = "Ä".repeat(40);
        let host = |n: usize| Address { host: Host::Name("a".repeat(n)), transport: Transport::Tcp, port: 65_535 };
        for n in 1..=link::MAX_NAME {
            let relays = vec![RelayAt { peer: [9; 32], address: host(n) }; 3];
            let reach = Reach { peer: None, addresses: vec![host(n); 4], relays };
            let card = Card::new(alice.inception(), alice.key, &name, [7; 32], &reach);
            assert!(card.to_text().len() <= link::MAX_TEXT);
            assert_eq!(Card::parse(&card.to_text()).unwrap().name().len(), MAX_CARD_NAME);
        }
    }

    #[test]
    fn a_changed_or_shortened_text_is_no_card() {
        let alice = person(1);
        let card = Card::new(alice.inception(), alice.key, "Alice", [7; 32], &reach(1, 1));
        for text in forms(&card) {
            for at in text.len() - 300..text.len() {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                assert!(Card::parse(&String::from_utf8(bytes).unwrap()).is_err(), "{text} at {at}");
                assert!(Card::parse(&text[..at]).is_err());
            }
        }
    }

    #[test]
    fn a_card_with_somebody_elses_contact_key_is_a_forgery() {
        let (alice, eve) = (person(1), person(2));
        let card = Card::new(alice.inception(), eve.key, "Alice", [7; 32], &reach(1, 0));
        assert_eq!(Card::parse(&card.to_text()), Err(CardError::Forged));
    }

    #[test]
    fn other_links_are_told_apart() {
        for (text, kind) in [("parlor://join/1/#AAAA", LinkKind::Join), ("parlor://link/1/#AAAA", LinkKind::Device)] {
            assert_eq!(Card::parse(text), Err(LinkError::WrongKind(kind).into()));
        }
        assert_eq!(Card::parse("parlor://contact/2/#AAAA"), Err(LinkError::NewerVersion(2).into()));
        assert_eq!(Card::parse("hello"), Err(LinkError::NotALink.into()));
    }
}
