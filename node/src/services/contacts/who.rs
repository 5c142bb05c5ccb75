//! Whom a user means: somebody in the book or in a room of ours, or whom a card names.

use std::collections::BTreeMap;

use parlor_api::{Code, Problem};
use parlor_crypto::account::Inception;
use parlor_crypto::leaf::LeafPublic;
use parlor_net::PeerId;
use parlor_proto::contact::{Card, CardError};
use parlor_proto::link::LinkError;
use parlor_proto::{AccountId, DeviceId};

use super::handle::Contacts;
use crate::app::Answer;
use crate::limits::ID_PREFIX_MIN;
use crate::services::rooms::Rooms;

/// Accounts named in the hint of an ambiguous name.
const NAMED_MAX: usize = 5;

/// Somebody who is in a room of ours.
#[derive(Debug, Clone)]
pub(crate) struct Acquaintance {
    /// What the account began with.
    pub(crate) account: Inception,
    /// What the room calls it.
    pub(crate) name: String,
    /// Its devices with their leaf keys.
    pub(crate) devices: Vec<(DeviceId, LeafPublic)>,
    /// Peers by which it is connected.
    pub(crate) peers: Vec<PeerId>,
}

impl Acquaintance {
    /// Adds what another room knows.
    pub(crate) fn merge(
        &mut self,
        devices: impl IntoIterator<Item = (DeviceId, LeafPublic)>,
        peers: impl IntoIterator<Item = PeerId>,
    ) {
        for (device, leaf) in devices {
            if self.devices.iter().all(|(known, _)| *known != device) {
                self.devices.push((device, leaf));
            }
        }
        for peer in peers {
            if !self.peers.contains(&peer) {
                self.peers.push(peer);
            }
        }
    }
}

/// Whom a user means.
pub(super) enum Meant {
    /// The card says.
    Card(Box<Card>),
    /// Somebody known.
    Account(AccountId),
}

impl Meant {
    /// His account.
    pub(super) fn account(&self) -> AccountId {
        match self {
            Self::Card(card) => card.account(),
            Self::Account(account) => *account,
        }
    }
}

/// Finds whom `who` means: a contact card, an account, a unique beginning of one, or `@name`, which people also write without
/// the `@` when nothing else fits.
///
/// # Errors
/// `link_damaged`, `contact_not_found`, `ambiguous`.
pub(super) async fn find(contacts: &Contacts, rooms: &Rooms, who: &str) -> Answer<Meant> {
    let who = who.trim();
    if who.contains("://") || who.starts_with("PARLOR:") {
        return Card::parse(who).map(|card| Meant::Card(Box::new(card))).map_err(|error| card_problem(&error));
    }
    let mut known: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for (account, contact) in contacts.read().iter() {
        known.insert(*account, vec![contact.petname.clone(), contact.name.clone()]);
    }
    for (account, name) in rooms.people().await? {
        known.entry(account).or_default().push(name);
    }
    if let Ok(account) = who.to_ascii_lowercase().parse::<AccountId>()
        && known.contains_key(&account)
    {
        return Ok(Meant::Account(account));
    }
    pick(&known, who).map(Meant::Account)
}

impl Contacts {
    /// The account of somebody in the book or in a room of ours, or of whom a card names; a whole account is taken as it is.
    ///
    /// # Errors
    /// As [`find`].
    pub(crate) async fn account_of(&self, rooms: &Rooms, who: &str) -> Answer<AccountId> {
        if let Ok(account) = who.trim().to_ascii_lowercase().parse() {
            return Ok(account);
        }
        Ok(find(self, rooms, who).await?.account())
    }
}

fn pick(known: &BTreeMap<AccountId, Vec<String>>, who: &str) -> Answer<AccountId> {
    let name = who.strip_prefix('@').unwrap_or(who);
    let lower = who.to_ascii_lowercase();
    let called = |names: &[String]| names.iter().any(|it| !it.is_empty() && it == name);
    let begins = |account: &AccountId| who.len() >= ID_PREFIX_MIN && account.to_string().starts_with(&lower);
    let named: Vec<_> = known.iter().filter(|(_, names)| called(names)).collect();
    let prefixed: Vec<_> = known.iter().filter(|(account, _)| !who.starts_with('@') && begins(account)).collect();
    let found = if named.is_empty() { prefixed } else { named };
    match found.as_slice() {
        [] => Err(Problem::new(Code::ContactNotFound, format!("nobody you know is called {who}"))
            .hint("add somebody by his card: parlor contact add LINK; parlor contact list shows who is in your book")),
        [(account, _)] => Ok(**account),
        several => {
            let short = |account: &AccountId| account.to_string().chars().take(16).collect::<String>();
            let line = |(account, names): &(&AccountId, &Vec<String>)| {
                format!("{} ({})", short(account), names.iter().find(|name| !name.is_empty()).map_or("", |n| n))
            };
            let lines: Vec<_> = several.iter().take(NAMED_MAX).map(line).collect();
            Err(Problem::new(Code::Ambiguous, "more than one account fits")
                .hint(format!("name the account: {}", lines.join(", "))))
        }
    }
}

fn card_problem(error: &CardError) -> Problem {
    let problem = Problem::new(Code::LinkDamaged, error.to_string());
    match error {
        CardError::Link(LinkError::NewerVersion(_)) => problem.hint("update parlor"),
        CardError::Link(LinkError::WrongKind(_)) => {
            problem.hint("a contact card begins with parlor://contact/; an invite is for: parlor join LINK")
        }
        _ => problem.hint("copy the whole card again, or ask for it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_accounts_and_beginnings_of_accounts_are_understood() {
        let [a, b] = [AccountId([0xaa; 32]), AccountId([0xab; 32])];
        let known = BTreeMap::from([
            (a, vec!["Al".to_owned(), "Alice".to_owned()]),
            (b, vec![String::new(), "Alice".to_owned(), "Bob".to_owned()]),
        ]);
        assert_eq!(pick(&known, "@Al").unwrap(), a);
        assert_eq!(pick(&known, "Bob").unwrap(), b);
        assert_eq!(pick(&known, "abab").unwrap(), b);
        assert_eq!(pick(&known, &a.to_string()).unwrap(), a);
        assert_eq!(pick(&known, "@Alice").unwrap_err().code, Code::Ambiguous);
        assert_eq!(pick(&known, "@").unwrap_err().code, Code::ContactNotFound);
        assert_eq!(pick(&known, "").unwrap_err().code, Code::ContactNotFound);
        assert_eq!(pick(&known, "@abab").unwrap_err().code, Code::ContactNotFound);
    }
}
