//! Names at a relay: `@alice@relay` leads to an account and the card by which it is reached.
//!
//! ```text
//! record     name | inception[64] | card: bytes <= 2048 | ts_ms varint | sig[64]
//! sig        by the account's root, label "name", over relay[32] || the fields before it
//! held       record | since_ms varint | at_ms varint | sig[64]
//! sig        by the relay's transport key, label "name held", over record || since_ms u64 || at_ms u64
//! handover   name | inception[64] | to: option account[32] | ts_ms varint | sig[64]
//! sig        by the account's root, label "name move", over relay[32] || the fields before it
//! ```
//! A name belongs to the account that claimed it first at that relay; only that account changes its card, gives it up or
//! hands it on. The relay can refuse, forget, or lie to one asker about what it holds; it can not make up a record for an
//! account, and a date that it signed is evidence against it. Who looks a name up checks both signatures with the key in the
//! relay's address ([`Held::decode`]). The format with vectors is in `docs/spec/directory.md`.

use std::fmt;
use std::str::FromStr;

use parlor_crypto::{PublicKey, Signature, SigningKey, label};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile as _, MixedScript as _};

use crate::codec::{self, CodecError};
use crate::control::Inception;
use crate::ids::AccountId;

/// Fewest characters of a name: shorter ones run out.
pub const MIN_CHARS: usize = 2;
/// Most characters of a name.
pub const MAX_CHARS: usize = 32;
/// Most bytes of a name.
pub const MAX_NAME: usize = 4 * MAX_CHARS;
/// Longest card in bytes: papers, keys and a few relays.
pub const MAX_CARD: usize = 2_048;
/// Longest record in bytes.
pub const MAX_RECORD: usize = 2 + MAX_NAME + 64 + 2 + MAX_CARD + 10 + 64;
/// Longest held record in bytes.
pub const MAX_HELD: usize = MAX_RECORD + 10 + 10 + 64;

/// Names that nobody gets: they would speak for the relay, or for everybody.
const RESERVED: [&str; 16] = [
    "abuse",
    "admin",
    "administrator",
    "all",
    "everyone",
    "help",
    "here",
    "info",
    "moderator",
    "owner",
    "parlor",
    "relay",
    "root",
    "security",
    "support",
    "system",
];

/// A name in its one normal form: lower case, NFKC, of one script, letters and digits with single `.`, `-`, `_` between.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Too short or too long.
    #[error("a name has {MIN_CHARS} to {MAX_CHARS} characters")]
    Length,
    /// A character that does not belong in a name, or a separator at an end or beside another.
    #[error("a name has letters and digits, and single dots, hyphens or underscores between them")]
    Character,
    /// Letters of several scripts, which people can not tell apart.
    #[error("a name has letters of one script only")]
    MixedScript,
    /// A name that would speak for the relay or for everybody.
    #[error("this name is reserved")]
    Reserved,
    /// Bytes that are a name, but not in its normal form.
    #[error("not in normal form")]
    NotNormal,
}

/// Why bytes are no record, or one of somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not the encoding of a record.
    #[error("name record: {0}")]
    Codec(#[from] CodecError),
    /// A card over [`MAX_CARD`].
    #[error("the card of a name is too long")]
    TooLong,
    /// Not signed by the account it names, for this relay.
    #[error("bad signature of a name record")]
    Signature,
    /// Not signed by the relay.
    #[error("bad signature of the relay")]
    Relay,
}

impl Name {
    /// The name that somebody typed, with or without `@`, brought to its normal form.
    ///
    /// # Errors
    /// [`NameError`] says why it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        let text = text.strip_prefix('@').unwrap_or(text);
        if text.len() > 4 * MAX_NAME {
            return Err(NameError::Length);
        }
        let normal: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        check(&normal)?;
        Ok(Self(normal))
    }

    /// The name in its normal form, without `@`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it looks like: two names with one look are taken for each other, so a relay gives out only one of them. By the
    /// confusables of Unicode (UTS 39), with case and separators left out. It changes with the version of Unicode, so it is
    /// for comparing, not for signing.
    pub fn look(&self) -> String {
        look(&self.0)
    }
}

/// What any name looks like, also one that people give each other: see [`Name::look`]. Spaces are left out too.
pub fn look(name: &str) -> String {
    let once = |text: &str| skeleton(text).flat_map(char::to_lowercase).collect::<String>();
    let plain: String = name.chars().filter(|c| !is_separator(*c) && !c.is_whitespace()).collect();
    once(&once(&plain))
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '-' | '_')
}

fn check(name: &str) -> Result<(), NameError> {
    let count = name.chars().count();
    if !(MIN_CHARS..=MAX_CHARS).contains(&count) || name.len() > MAX_NAME {
        return Err(NameError::Length);
    }
    let fits = |c: char| is_separator(c) || (c.is_alphanumeric() || is_mark(c)) && c.identifier_allowed();
    let mut chars = name.chars();
    let ends = !name.starts_with(is_end) && !name.ends_with(is_separator);
    let pairs = !name.chars().zip(name.chars().skip(1)).any(|(a, b)| is_separator(a) && is_separator(b));
    if !chars.all(fits) || !ends || !pairs {
        return Err(NameError::Character);
    }
    if !name.is_single_script() {
        return Err(NameError::MixedScript);
    }
    if RESERVED.contains(&name) {
        return Err(NameError::Reserved);
    }
    Ok(())
}

/// A combining mark, as many scripts write vowels.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Whether a name can not begin with it.
fn is_end(c: char) -> bool {
    is_separator(c) || is_mark(c)
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let name = Self::parse(&text)?;
        if name.0 == text { Ok(name) } else { Err(NameError::NotNormal) }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account's word that it goes by a name at one relay, with the card by which it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord {
    /// The name.
    pub name: Name,
    /// What the account begins with; its hash is the account.
    pub inception: Inception,
    /// The account's contact card, as contacts read it. At most [`MAX_CARD`] bytes.
    pub card: Vec<u8>,
    /// The account's clock, milliseconds since the epoch. Of one account the newest record counts.
    pub ts_ms: u64,
    /// The root's signature.
    pub sig: Signature,
}

impl NameRecord {
    /// Makes and signs a record for the relay with this transport key.
    ///
    /// # Errors
    /// [`RecordError::TooLong`] for a card over [`MAX_CARD`]; [`RecordError::Signature`] if `root` is not the root key of
    /// `inception`.
    pub fn sign(
        relay: &[u8; 32],
        root: &SigningKey,
        inception: Inception,
        name: Name,
        card: Vec<u8>,
        ts_ms: u64,
    ) -> Result<Self, RecordError> {
        if card.len() > MAX_CARD {
            return Err(RecordError::TooLong);
        }
        if inception.root_pk != root.public_bytes() {
            return Err(RecordError::Signature);
        }
        let mut record = Self { name, inception, card, ts_ms, sig: Signature([0; 64]) };
        record.sig = root.sign(label::SIGN_NAME, &[relay, &covered(&record)]);
        Ok(record)
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        AccountId(self.inception.account())
    }

    /// Checks the size of the card and the account's signature for the relay with this transport key.
    ///
    /// # Errors
    /// See [`RecordError`]; whoever sent such a record is at fault.
    pub fn verify(&self, relay: &[u8; 32]) -> Result<(), RecordError> {
        if self.card.len() > MAX_CARD {
            return Err(RecordError::TooLong);
        }
        let root = self.inception.root().map_err(|_| RecordError::Signature)?;
        root.verify(label::SIGN_NAME, &[relay, &covered(self)], &self.sig).map_err(|_| RecordError::Signature)
    }
}

/// A record that a relay holds, with the relay's word for since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The account's record.
    pub record: NameRecord,
    /// When the account got the name, by the relay's clock, milliseconds since the epoch.
    pub since_ms: u64,
    /// When the relay took this record.
    pub at_ms: u64,
    /// The relay's signature.
    pub sig: Signature,
}

impl Held {
    /// Countersigns a record with the relay's transport key.
    pub fn sign(relay: &SigningKey, record: NameRecord, since_ms: u64, at_ms: u64) -> Self {
        let mut held = Self { record, since_ms, at_ms, sig: Signature([0; 64]) };
        held.sig = relay.sign(label::SIGN_NAME_HELD, &held.parts().each_ref().map(AsRef::as_ref));
        held
    }

    /// Checks both signatures with the relay's transport key: what whoever looks a name up does.
    ///
    /// # Errors
    /// See [`RecordError`]: the relay gave something that it must not have.
    pub fn verify(&self, relay: &[u8; 32]) -> Result<(), RecordError> {
        self.record.verify(relay)?;
        let key = PublicKey::parse(relay).map_err(|_| RecordError::Relay)?;
        let parts = self.parts();
        let parts = parts.each_ref().map(AsRef::as_ref);
        key.verify(label::SIGN_NAME_HELD, &parts, &self.sig).map_err(|_| RecordError::Relay)
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes it and checks both signatures.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn decode(relay: &[u8; 32], bytes: &[u8]) -> Result<Self, RecordError> {
        let held: Self = codec::decode(bytes, MAX_HELD)?;
        held.verify(relay)?;
        Ok(held)
    }

    fn parts(&self) -> [Vec<u8>; 3] {
        let times = [self.since_ms, self.at_ms].map(|ms| ms.to_be_bytes().to_vec());
        let [since, at] = times;
        // The times first: all parts but the last have a fixed size.
        [since, at, codec::encode(&self.record)]
    }
}

/// An account's word that it gives a name up, to another account or to whoever comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// The name.
    pub name: Name,
    /// What the account that has it begins with.
    pub inception: Inception,
    /// The account that gets it; `None` for whoever comes.
    pub to: Option<AccountId>,
    /// The account's clock, milliseconds since the epoch: not before its last record.
    pub ts_ms: u64,
    /// The root's signature.
    pub sig: Signature,
}

impl Handover {
    /// Makes and signs a handover at the relay with this transport key.
    ///
    /// # Errors
    /// [`RecordError::Signature`] if `root` is not the root key of `inception`.
    pub fn sign(
        relay: &[u8; 32],
        root: &SigningKey,
        inception: Inception,
        name: Name,
        to: Option<AccountId>,
        ts_ms: u64,
    ) -> Result<Self, RecordError> {
        if inception.root_pk != root.public_bytes() {
            return Err(RecordError::Signature);
        }
        let mut handover = Self { name, inception, to, ts_ms, sig: Signature([0; 64]) };
        handover.sig = root.sign(label::SIGN_NAME_MOVE, &[relay, &covered(&handover)]);
        Ok(handover)
    }

    /// The account that gives.
    pub fn account(&self) -> AccountId {
        AccountId(self.inception.account())
    }

    /// Checks the account's signature for the relay with this transport key.
    ///
    /// # Errors
    /// [`RecordError::Signature`].
    pub fn verify(&self, relay: &[u8; 32]) -> Result<(), RecordError> {
        let root = self.inception.root().map_err(|_| RecordError::Signature)?;
        root.verify(label::SIGN_NAME_MOVE, &[relay, &covered(self)], &self.sig).map_err(|_| RecordError::Signature)
    }
}

/// The encoding without the signature, which is its last 64 bytes.
fn covered(signed: &impl Serialize) -> Vec<u8> {
    let mut bytes = codec::encode(signed);
    bytes.truncate(bytes.len().saturating_sub(64));
    bytes
}

/// `@alice@relay` in its two parts: the name, and the text that says which relay.
///
/// # Errors
/// [`NameError`] for what stands before the second `@`.
pub fn split(text: &str) -> Result<(Name, Option<&str>), NameError> {
    let text = text.trim();
    let text = text.strip_prefix('@').unwrap_or(text);
    match text.split_once('@') {
        Some((name, relay)) => Ok((Name::parse(name)?, Some(relay).filter(|relay| !relay.is_empty()))),
        None => Ok((Name::parse(text)?, None)),
    }
}

#[cfg(test)]
mod tests;
