//! The book of contacts: who is one, who asks to be, who is blocked. A machine without I/O.
//!
//! ```text
//!            ask out            answer or ask of theirs
//!  (nobody) --------> Asked -----------------------------> Mutual
//!     |                                                      ^
//!     | ask of theirs            accepted                    |
//!     +--------------> Asking -------------------------------+
//! ```
//! Whoever is blocked is answered like everybody whose request nobody has looked at: nothing that is sent tells it. Of
//! strangers at most [`MAX_ASKING`] requests are kept, one an account; more are forgotten and may come again.

use std::collections::BTreeMap;

use parlor_crypto::account::Inception;
use parlor_crypto::contact::{ContactKey, ContactPublic};
use serde::{Deserialize, Serialize};

use super::{Card, Letter, MAX_ASK_TEXT, Reach, Trust, What, cut};
use crate::codec::{self, CodecError};
use crate::control::NewDevice;
use crate::ids::{AccountId, DeviceId};

/// Most contacts: what a list shows and memory holds easily, 1 KiB each.
pub const MAX_CONTACTS: usize = 10_000;
/// Most requests of strangers that are kept, and as many of people we share a room with: an account costs nothing.
pub const MAX_ASKING: usize = 64;
/// Longest name that we give somebody, in bytes.
pub const MAX_PETNAME: usize = 64;
/// Longest stored contact in bytes.
const MAX_STORED: usize = 16 * 1_024;

/// Somebody in the book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What the account began with.
    pub account: Inception,
    /// Its contact key; `None` until somebody we know from a room told us.
    pub key: Option<ContactKey>,
    /// What it calls itself.
    pub name: String,
    /// What we call it; may be empty.
    pub petname: String,
    /// How far we are.
    pub stage: Stage,
    /// Nothing of it is taken or shown.
    pub blocked: bool,
    /// Whether it was verified.
    pub trust: Trust,
    /// Its devices with papers, as it told last.
    pub devices: Vec<NewDevice>,
    /// Where it can be found.
    pub reach: Reach,
    /// When it told us so, milliseconds since the epoch.
    pub papers_ms: u64,
    /// When it came into the book, milliseconds since the epoch.
    pub since_ms: u64,
}

/// How far we are with somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// We want to write to it, with this greeting, and were not answered yet.
    Asked(String),
    /// It wants to write to us.
    Asking {
        /// Its greeting.
        text: String,
        /// When it asked first, milliseconds since the epoch.
        at_ms: u64,
        /// We share a room.
        acquainted: bool,
    },
    /// Both want.
    Mutual,
    /// Neither asked: known by name, mark or block alone.
    Known,
}

/// All contacts.
#[derive(Debug, Clone, Default)]
pub struct Book {
    contacts: BTreeMap<AccountId, Contact>,
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// From whom.
    pub account: AccountId,
    /// What it is to be told.
    pub reply: Reply,
    /// The contact is another: store it.
    pub changed: bool,
    /// It asks, and did not before: tell the user.
    pub asks: bool,
    /// Both want now, and did not before.
    pub mutual: bool,
    /// A device came after it was verified: warn the user.
    pub warn: bool,
}

/// What the writer of a letter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The letter is here. So it is said to everybody, blocked or not.
    Kept,
    /// You may, and this is me.
    Accept,
    /// This is me.
    Card,
}

/// Why the book does not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BookError {
    /// Nobody of this account is in the book.
    #[error("no such contact")]
    Unknown,
    /// Our own account.
    #[error("this is you")]
    Ourselves,
    /// The book is full.
    #[error("too many contacts")]
    Full,
    /// The contact is blocked: unblock it first.
    #[error("the contact is blocked")]
    Blocked,
    /// A name that is too long.
    #[error("a name is too long")]
    Name,
}

impl Contact {
    /// Somebody of whom little is known.
    pub fn new(account: Inception, name: &str, now_ms: u64) -> Self {
        Self {
            account,
            key: None,
            name: name.to_owned(),
            petname: String::new(),
            stage: Stage::Known,
            blocked: false,
            trust: Trust::default(),
            devices: Vec::new(),
            reach: Reach::default(),
            papers_ms: 0,
            since_ms: now_ms,
        }
    }

    /// The account.
    pub fn id(&self) -> AccountId {
        AccountId(self.account.account())
    }

    /// What people see: our name for it, or its own.
    pub fn shown(&self) -> &str {
        if self.petname.is_empty() { &self.name } else { &self.petname }
    }

    /// Its contact key as it is sealed to, if it is known.
    pub fn public(&self) -> Option<ContactPublic> {
        self.key.as_ref()?.verify(&self.account).ok()
    }

    /// Whether we want to write to it.
    pub fn is_wanted(&self) -> bool {
        !self.blocked && matches!(self.stage, Stage::Asked(_) | Stage::Mutual)
    }

    /// The bytes to be stored, sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The contact of stored bytes.
    ///
    /// # Errors
    /// [`CodecError`]: damage.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes, MAX_STORED)
    }
}

impl Book {
    /// The book of stored contacts.
    pub fn restore(contacts: impl IntoIterator<Item = Contact>) -> Self {
        Self { contacts: contacts.into_iter().map(|contact| (contact.id(), contact)).collect() }
    }

    /// Somebody in it.
    pub fn get(&self, account: &AccountId) -> Option<&Contact> {
        self.contacts.get(account)
    }

    /// All, ascending by account.
    pub fn iter(&self) -> impl Iterator<Item = (&AccountId, &Contact)> {
        self.contacts.iter()
    }

    /// Takes a card: we want to write to its account. Answers whom, and whether it had asked already, so that both want now.
    ///
    /// # Errors
    /// [`BookError::Full`], [`BookError::Blocked`].
    pub fn add(&mut self, card: &Card, greeting: &str, now_ms: u64) -> Result<(AccountId, bool), BookError> {
        let account = card.account();
        let contact = self.entry(*card.inception(), card.name(), now_ms)?;
        contact.key = Some(*card.key());
        // Papers that the account signed are better than a card that may be old.
        if contact.papers_ms == 0 {
            contact.reach = card.reach();
        }
        self.want(&account, greeting).map(|mutual| (account, mutual))
    }

    /// Takes in somebody known from a room.
    ///
    /// # Errors
    /// [`BookError::Full`], [`BookError::Blocked`].
    pub fn add_member(
        &mut self,
        member: Inception,
        name: &str,
        greeting: &str,
        now_ms: u64,
    ) -> Result<(AccountId, bool), BookError> {
        let account = AccountId(member.account());
        self.entry(member, name, now_ms)?;
        self.want(&account, greeting).map(|mutual| (account, mutual))
    }

    /// We want to write to somebody in the book. Whether both want now, and did not before.
    ///
    /// # Errors
    /// [`BookError::Unknown`], [`BookError::Blocked`].
    pub fn want(&mut self, account: &AccountId, greeting: &str) -> Result<bool, BookError> {
        let contact = self.contacts.get_mut(account).ok_or(BookError::Unknown)?;
        if contact.blocked {
            return Err(BookError::Blocked);
        }
        let asking = matches!(contact.stage, Stage::Asking { .. });
        if asking {
            contact.stage = Stage::Mutual;
        } else if contact.stage != Stage::Mutual {
            // Who asks again without a greeting does not take the first one back.
            let said = match &contact.stage {
                Stage::Asked(said) if greeting.is_empty() => said.clone(),
                _ => cut(greeting, MAX_ASK_TEXT),
            };
            contact.stage = Stage::Asked(said);
        }
        Ok(asking)
    }

    /// Takes a letter, opened and checked. `acquainted` says that its writer shares a room with us.
    pub fn hear(&mut self, letter: &Letter, acquainted: bool, now_ms: u64) -> Heard {
        let account = letter.papers.account_id();
        let mut heard = Heard { account, reply: Reply::Kept, changed: false, asks: false, mutual: false, warn: false };
        let known = self.contacts.get(&account);
        if known.is_some_and(|contact| contact.blocked) {
            return heard;
        }
        let stranger = known.is_none_or(|contact| contact.stage == Stage::Known);
        if stranger {
            // Who says yes or shows a card to nobody's question is not listened to.
            if !matches!(letter.what, What::Ask(_)) || self.is_crowded(acquainted) {
                return heard;
            }
        }
        let Ok(contact) = self.entry(letter.papers.account, &letter.papers.name, now_ms) else { return heard };
        heard.changed = true;
        heard.warn = contact.take_papers(letter, now_ms);
        match (&mut contact.stage, &letter.what) {
            (stage @ Stage::Asked(_), What::Ask(_) | What::Accept) => {
                *stage = Stage::Mutual;
                heard.mutual = true;
                if letter.what != What::Accept {
                    heard.reply = Reply::Accept;
                }
            }
            (Stage::Mutual, What::Ask(_)) => heard.reply = Reply::Accept,
            (Stage::Asking { text, .. }, What::Ask(new)) => {
                text.clone_from(new);
                heard.reply = if acquainted { Reply::Card } else { Reply::Kept };
            }
            (stage @ Stage::Known, What::Ask(text)) => {
                *stage = Stage::Asking { text: text.clone(), at_ms: now_ms, acquainted };
                heard.asks = true;
                heard.reply = if acquainted { Reply::Card } else { Reply::Kept };
            }
            _ => {}
        }
        heard
    }

    /// Says yes to somebody who asks.
    ///
    /// # Errors
    /// [`BookError::Unknown`] if it does not ask; [`BookError::Blocked`].
    pub fn accept(&mut self, account: &AccountId) -> Result<(), BookError> {
        let contact = self.contacts.get_mut(account).ok_or(BookError::Unknown)?;
        match contact.stage {
            _ if contact.blocked => Err(BookError::Blocked),
            Stage::Asking { .. } | Stage::Mutual => {
                contact.stage = Stage::Mutual;
                Ok(())
            }
            Stage::Asked(_) | Stage::Known => Err(BookError::Unknown),
        }
    }

    /// Blocks somebody, in the book or not, or takes that back. A request of his waits meanwhile, takes the place of nobody else's, and
    /// is there again afterwards.
    ///
    /// # Errors
    /// [`BookError::Full`].
    pub fn block(&mut self, member: Inception, name: &str, blocked: bool, now_ms: u64) -> Result<(), BookError> {
        self.entry(member, name, now_ms)?.blocked = blocked;
        Ok(())
    }

    /// Names somebody; an empty name takes ours back.
    ///
    /// # Errors
    /// [`BookError::Name`], [`BookError::Full`].
    pub fn rename(&mut self, member: Inception, name: &str, petname: &str, now_ms: u64) -> Result<(), BookError> {
        if petname.len() > MAX_PETNAME {
            return Err(BookError::Name);
        }
        petname.clone_into(&mut self.entry(member, name, now_ms)?.petname);
        Ok(())
    }

    /// Marks somebody as verified with the devices that are known of him now, or takes that back.
    ///
    /// # Errors
    /// [`BookError::Full`].
    pub fn verify(
        &mut self,
        member: Inception,
        name: &str,
        devices: &[DeviceId],
        verified: bool,
        now_ms: u64,
    ) -> Result<(), BookError> {
        let contact = self.entry(member, name, now_ms)?;
        contact.trust.see(devices, now_ms);
        if verified {
            contact.trust.verify(now_ms)
        } else {
            contact.trust.forget()
        }
        Ok(())
    }

    /// Devices of an account were seen in a room. Whether the contact is another now, and whether to warn.
    pub fn see_devices(&mut self, account: &AccountId, devices: &[DeviceId], now_ms: u64) -> (bool, bool) {
        let Some(contact) = self.contacts.get_mut(account) else { return (false, false) };
        let before = contact.trust.clone();
        let warn = contact.trust.see(devices, now_ms);
        (contact.trust != before, warn)
    }

    /// Takes in somebody of whom little is known, if he is not in the book.
    ///
    /// # Errors
    /// [`BookError::Full`].
    pub fn know(&mut self, member: Inception, name: &str, now_ms: u64) -> Result<(), BookError> {
        self.entry(member, name, now_ms).map(|_| ())
    }

    /// Writes an entry as it was, after a change that could not be stored.
    pub fn put(&mut self, contact: Contact) {
        self.contacts.insert(contact.id(), contact);
    }

    /// Takes back an entry that could not be stored.
    pub fn forget(&mut self, account: &AccountId) {
        self.contacts.remove(account);
    }

    /// Takes somebody out, with mark and name. Whoever is blocked stays blocked.
    ///
    /// # Errors
    /// [`BookError::Unknown`], [`BookError::Blocked`].
    pub fn remove(&mut self, account: &AccountId) -> Result<Contact, BookError> {
        match self.contacts.get(account) {
            None => Err(BookError::Unknown),
            Some(contact) if contact.blocked => Err(BookError::Blocked),
            Some(_) => self.contacts.remove(account).ok_or(BookError::Unknown),
        }
    }

    /// Whether no more requests are kept.
    fn is_crowded(&self, acquainted: bool) -> bool {
        let alike = |contact: &&Contact| match contact.stage {
            Stage::Asking { acquainted: of, .. } => of == acquainted && !contact.blocked,
            _ => false,
        };
        self.contacts.values().filter(alike).count() >= MAX_ASKING
    }

    fn entry(&mut self, account: Inception, name: &str, now_ms: u64) -> Result<&mut Contact, BookError> {
        let id = AccountId(account.account());
        if !self.contacts.contains_key(&id) && self.contacts.len() >= MAX_CONTACTS {
            return Err(BookError::Full);
        }
        Ok(self.contacts.entry(id).or_insert_with(|| Contact::new(account, name, now_ms)))
    }
}

impl Contact {
    /// Takes what the account says of itself, if it is news. Whether to warn.
    fn take_papers(&mut self, letter: &Letter, now_ms: u64) -> bool {
        let devices: Vec<DeviceId> = letter.papers.devices.iter().map(NewDevice::device).collect();
        let warn = self.trust.see(&devices, now_ms);
        // A clock that is ahead must not keep out what comes later.
        let said_ms = letter.ts_ms.min(now_ms).max(1);
        if said_ms >= self.papers_ms {
            self.papers_ms = said_ms;
            self.key = Some(letter.papers.key);
            self.name.clone_from(&letter.papers.name);
            self.devices.clone_from(&letter.papers.devices);
            self.reach.clone_from(&letter.papers.reach);
        }
        warn
    }
}

#[cfg(test)]
mod tests;
