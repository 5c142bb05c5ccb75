//! Letters: what two accounts say to each other before they share a room.
//!
//! ```text
//! sent     "parlor/1 letter\0" | HPKE box to the contact key of the receiver, or to the leaf key of one of its devices
//!          label "letter", context the receiver's account
//! letter   papers | what | ts_ms u64 | sig[64]                                                                     postcard
//! papers   inception[64] | contact key[32] | sig[64] | name | devices (1..=4) | peer | addresses (<= 4) | relays (<= 2)
//! what     0 ask, text (<= 512 bytes) | 1 accept | 2 card
//! sig      by the first device over receiver account[32] || papers, what, ts_ms
//! ```
//! A letter goes to a node that is reached (`/parlor/join/1`, told from a knock by its first bytes), or into the inbox
//! mailbox of the account. Nobody but the receiver reads who writes; nobody but the writer could have written it; it is
//! worth nothing to anybody else. Repeating one changes nothing.

use parlor_crypto::account::Inception;
use parlor_crypto::contact::{ContactKey, ContactPublic, ContactSecret};
use parlor_crypto::leaf::{LeafPublic, LeafSecret};
use parlor_crypto::{CryptoRng, PublicKey, Signature, SigningKey, hpke, label};
use serde::{Deserialize, Serialize};

use super::{MAX_CARD_RELAYS, Reach};
use crate::codec;
use crate::control::NewDevice;
use crate::ids::{AccountId, DeviceId};
use crate::link::Address;

/// What a sent letter begins with. A knock begins with 16 random bytes.
pub const LETTER_MAGIC: &[u8; 16] = b"parlor/1 letter\0";
/// Longest letter as it is sent, in bytes: as a knock.
pub const MAX_LETTER: usize = 4 * 1_024;
/// Longest text of somebody who asks, in bytes: a greeting.
pub const MAX_ASK_TEXT: usize = 512;
/// Most devices in a letter: the rest comes in the room.
pub const MAX_LETTER_DEVICES: usize = 4;
/// Most addresses in a letter.
pub const MAX_LETTER_ADDRESSES: usize = 4;
/// Longest name in a letter, in bytes: as the name of an account.
const MAX_NAME: usize = 64;

const LABEL: &str = "letter";

/// Who writes, in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Papers {
    /// The account.
    pub account: Inception,
    /// Its contact key.
    pub key: ContactKey,
    /// What it calls itself.
    pub name: String,
    /// Its devices, the writing one first.
    pub devices: Vec<NewDevice>,
    /// Where it can be found.
    pub reach: Reach,
}

/// What a letter says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// May I write to you? With a greeting, which may be empty.
    Ask(String),
    /// You may, and this is me.
    Accept,
    /// This is me; I have not decided. Only to those who share a room with us.
    Card,
}

/// A letter, opened and checked, or to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// From whom.
    pub papers: Papers,
    /// What it says.
    pub what: What,
    /// When it was written, milliseconds since the epoch: of several the last one's papers count.
    pub ts_ms: u64,
    sig: Signature,
}

/// Bytes that are no letter to us, or one that does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LetterError {
    /// Not the shape of a letter.
    #[error("not a letter")]
    Shape,
    /// Not sealed to us.
    #[error("not for us")]
    NotForUs,
    /// Its papers or its signature do not hold.
    #[error("the papers of the letter do not hold")]
    Papers,
}

impl Papers {
    /// The account's id.
    pub fn account_id(&self) -> AccountId {
        AccountId(self.account.account())
    }

    /// The contact key as it is sealed to.
    pub fn public(&self) -> Option<ContactPublic> {
        self.key.verify(&self.account).ok()
    }

    fn hold(&self) -> bool {
        let short = self.name.len() <= MAX_NAME
            && (1..=MAX_LETTER_DEVICES).contains(&self.devices.len())
            && self.reach.addresses.len() <= MAX_LETTER_ADDRESSES
            && self.reach.relays.len() <= MAX_CARD_RELAYS
            && self.reach.addresses.iter().all(Address::is_sound)
            && self.reach.relays.iter().all(|relay| relay.address.is_sound());
        short && self.public().is_some() && self.devices.iter().all(|device| device.verify(&self.account).is_ok())
    }
}

impl Letter {
    /// Writes a letter to `to`; `device` is the first in the papers.
    pub fn write(to: &AccountId, papers: Papers, what: What, ts_ms: u64, device: &SigningKey) -> Self {
        let mut letter = Self { papers, what, ts_ms, sig: Signature([0; 64]) };
        letter.sig = device.sign(label::SIGN_LETTER, &[&to.0, &letter.signed()]);
        letter
    }

    /// The letter as it is sent, for whoever holds the secret of `key`: the contact key or a leaf key of `to`.
    pub fn seal(&self, to: &AccountId, key: &LeafPublic, rng: &mut impl CryptoRng) -> Vec<u8> {
        let mut bytes = LETTER_MAGIC.to_vec();
        bytes.extend(hpke::seal_box(rng, LABEL, &to.0, key, &[], &codec::encode(self)));
        bytes
    }

    /// Opens and checks a letter to us.
    ///
    /// # Errors
    /// See [`LetterError`].
    pub fn open<'a>(
        us: &AccountId,
        contact: &'a ContactSecret,
        leafs: impl IntoIterator<Item = &'a LeafSecret>,
        bytes: &[u8],
    ) -> Result<Self, LetterError> {
        if bytes.len() > MAX_LETTER {
            return Err(LetterError::Shape);
        }
        let sealed = bytes.strip_prefix(LETTER_MAGIC).ok_or(LetterError::Shape)?;
        let mut keys = [contact.leaf()].into_iter().chain(leafs);
        let plain = keys.find_map(|key| hpke::open_box(LABEL, &us.0, key, &[], sealed).ok());
        let plain = plain.ok_or(LetterError::NotForUs)?;
        let letter: Self = codec::decode(&plain, MAX_LETTER).map_err(|_| LetterError::Shape)?;
        let short = !matches!(&letter.what, What::Ask(text) if text.len() > MAX_ASK_TEXT);
        if !short || !letter.papers.hold() || letter.papers.account_id() == *us {
            return Err(LetterError::Papers);
        }
        let writer = letter.device().ok_or(LetterError::Papers)?;
        let key = PublicKey::parse(&writer.0).map_err(|_| LetterError::Papers)?;
        key.verify(label::SIGN_LETTER, &[&us.0, &letter.signed()], &letter.sig).map_err(|_| LetterError::Papers)?;
        Ok(letter)
    }

    /// The device that wrote it.
    pub fn device(&self) -> Option<DeviceId> {
        self.papers.devices.first().map(NewDevice::device)
    }

    fn signed(&self) -> Vec<u8> {
        codec::encode(&(&self.papers, &self.what, self.ts_ms))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use parlor_crypto::account::RootSeed;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::identity::Identity;
    use crate::link::{Host, Transport};

    /// A person with all keys.
    pub(in super::super) struct Person {
        pub(in super::super) me: Identity,
        pub(in super::super) secret: ContactSecret,
        pub(in super::super) key: ContactKey,
    }

    impl Person {
        pub(in super::super) fn inception(&self) -> Inception {
            self.me.entrant().account
        }

        pub(in super::super) fn papers(&self) -> Papers {
            let address = Address { host: Host::Ip4([10, 0, 0, 1]), transport: Transport::Tcp, port: 1 };
            Papers {
                account: self.inception(),
                key: self.key,
                name: "somebody".into(),
                devices: vec![NewDevice::sign(self.me.signing_key(), self.me.entrant())],
                reach: Reach { peer: Some([7; 32]), addresses: vec![address], relays: Vec::new() },
            }
        }

        pub(in super::super) fn letter(&self, to: &Self, what: What, ts_ms: u64) -> Letter {
            Letter::write(&to.me.account(), self.papers(), what, ts_ms, self.me.signing_key())
        }

        pub(in super::super) fn open(&self, bytes: &[u8]) -> Result<Letter, LetterError> {
            let leafs = self.me.leafs().iter().map(|leaf| &leaf.secret);
            Letter::open(&self.me.account(), &self.secret, leafs, bytes)
        }
    }

    pub(in super::super) fn person(n: u8) -> Person {
        let rng = &mut StdRng::seed_from_u64(u64::from(n));
        let seed = RootSeed::generate(rng);
        let me = Identity::add_device(&seed, "somebody", 1, 1_000, rng).unwrap();
        let root = seed.root_key(0);
        let secret = ContactSecret::of_root(&root.to_seed());
        let key = ContactKey::issue(&root, &me.account().0, &secret);
        Person { me, secret, key }
    }

    #[test]
    fn a_letter_reaches_the_account_by_its_contact_key_or_by_a_leaf_key_and_nobody_else() {
        let (alice, bob, eve) = (person(1), person(2), person(3));
        let rng = &mut StdRng::seed_from_u64(9);
        let letter = alice.letter(&bob, What::Ask("hello".into()), 5);
        let keys = [*bob.papers().public().unwrap().leaf(), bob.me.leafs()[0].secret.public()];
        for key in keys {
            let sent = letter.seal(&bob.me.account(), &key, rng);
            assert!(sent.len() < 1_024, "{}", sent.len());
            assert_eq!(bob.open(&sent), Ok(letter.clone()));
            assert_eq!(eve.open(&sent), Err(LetterError::NotForUs));
        }
    }

    #[test]
    fn the_longest_letter_fits() {
        let (alice, bob) = (person(1), person(2));
        let mut papers = alice.papers();
        papers.name = "n".repeat(MAX_NAME);
        papers.devices = vec![papers.devices[0].clone(); MAX_LETTER_DEVICES];
        let host = Host::Name("h".repeat(crate::link::MAX_NAME));
        let address = Address { host, transport: Transport::Tcp, port: 65_535 };
        papers.reach.relays = vec![super::super::RelayAt { peer: [1; 32], address: address.clone() }; MAX_CARD_RELAYS];
        papers.reach.addresses = vec![address; MAX_LETTER_ADDRESSES];
        let what = What::Ask("t".repeat(MAX_ASK_TEXT));
        let letter = Letter::write(&bob.me.account(), papers, what, u64::MAX, alice.me.signing_key());
        let sent = letter.seal(&bob.me.account(), bob.papers().public().unwrap().leaf(), &mut StdRng::seed_from_u64(1));
        assert!(sent.len() <= MAX_LETTER, "{}", sent.len());
        assert_eq!(bob.open(&sent), Ok(letter));
    }

    #[test]
    fn a_letter_with_somebody_elses_papers_or_to_somebody_else_is_refused() {
        let (alice, bob, eve) = (person(1), person(2), person(3));
        let rng = &mut StdRng::seed_from_u64(9);
        let to_bob = *bob.papers().public().unwrap().leaf();
        let seal = |letter: &Letter, rng: &mut StdRng| letter.seal(&bob.me.account(), &to_bob, rng);
        // Eve signs with her device under Alice's papers.
        let forged = Letter::write(&bob.me.account(), alice.papers(), What::Accept, 5, eve.me.signing_key());
        assert_eq!(bob.open(&seal(&forged, rng)), Err(LetterError::Papers));
        // Alice's letter to Eve, sealed again to Bob.
        let passed_on = alice.letter(&eve, What::Ask(String::new()), 5);
        assert_eq!(bob.open(&seal(&passed_on, rng)), Err(LetterError::Papers));
        // Another text, another contact key, our own papers.
        let mut changed = alice.letter(&bob, What::Ask("a".into()), 5);
        changed.what = What::Ask("b".into());
        assert_eq!(bob.open(&seal(&changed, rng)), Err(LetterError::Papers));
        let mut papers = alice.papers();
        papers.key = eve.key;
        let swapped = Letter::write(&bob.me.account(), papers, What::Accept, 5, alice.me.signing_key());
        assert_eq!(bob.open(&seal(&swapped, rng)), Err(LetterError::Papers));
        let own = bob.letter(&bob, What::Accept, 5);
        assert_eq!(bob.open(&seal(&own, rng)), Err(LetterError::Papers));
    }

    #[test]
    fn too_much_of_anything_is_refused() {
        let (alice, bob) = (person(1), person(2));
        let rng = &mut StdRng::seed_from_u64(9);
        let to_bob = *bob.papers().public().unwrap().leaf();
        let mut send = |papers: Papers, what: What| {
            let letter = Letter::write(&bob.me.account(), papers, what, 5, alice.me.signing_key());
            bob.open(&letter.seal(&bob.me.account(), &to_bob, rng)).map(|_| ())
        };
        assert_eq!(send(alice.papers(), What::Card), Ok(()));
        assert!(send(alice.papers(), What::Ask("x".repeat(MAX_ASK_TEXT + 1))).is_err());
        let with = |change: fn(&mut Papers)| {
            let mut papers = alice.papers();
            change(&mut papers);
            papers
        };
        assert!(send(with(|it| it.devices.clear()), What::Accept).is_err());
        assert!(send(with(|it| it.devices = vec![it.devices[0].clone(); 5]), What::Accept).is_err());
        assert!(send(with(|it| it.name = "x".repeat(65)), What::Accept).is_err());
        assert!(send(with(|it| it.reach.addresses = vec![it.reach.addresses[0].clone(); 5]), What::Accept).is_err());
        assert_eq!(bob.open(&[0; MAX_LETTER + 1]), Err(LetterError::Shape));
        assert_eq!(bob.open(b"parlor/1 letter"), Err(LetterError::Shape));
        assert_eq!(bob.open(LETTER_MAGIC), Err(LetterError::NotForUs));
    }
}
