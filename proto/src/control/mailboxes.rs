//! The mailboxes of a room: which relays keep what its members write for those who are away. A setting like its name.
//!
//! ```text
//! value    list of mailboxes, <= 4, no peer twice      mailbox  peer[32] | addresses (1 to 3, as in a link)      postcard
//! tokens   list of tokens, <= 4, no peer twice         token    peer[32] | text (access token)                   postcard
//! ```
//! The tokens are a setting of their own, for relays that are not open to all: members read and write there by the room's
//! token, and only members learn it.
//!
//! Members write to all of them and read all of them together, so each alone is enough. Of several lists written at once
//! one counts, as for every setting. A value that breaks the form is no mailbox at all. What is in a mailbox is described
//! in `docs/spec/mailbox.md`, what a node does with it in `docs/spec/asleep.md`.

use serde::{Deserialize, Serialize};

use crate::access::AccessToken;
use crate::codec;
use crate::link::Address;

/// Most mailboxes of a room: everything is written to each of them.
pub const MAX_MAILBOXES: usize = 4;
/// Most addresses of a mailbox: a relay has few and fixed ones.
pub const MAX_MAILBOX_ADDRESSES: usize = 3;

/// A relay that keeps a mailbox for the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// Its transport peer: the bytes of its Ed25519 key.
    pub peer: [u8; 32],
    /// Where it listens, best first.
    pub addresses: Vec<Address>,
}

/// The mailboxes of a room, in the order in which they were named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mailboxes(Vec<Mailbox>);

impl Mailboxes {
    /// The list, if it keeps the limits: at most [`MAX_MAILBOXES`] of different peers, each with one to
    /// [`MAX_MAILBOX_ADDRESSES`] sound, direct addresses.
    pub fn new(list: Vec<Mailbox>) -> Option<Self> {
        let of = |at: usize| list.get(at).map(|mailbox| mailbox.peer);
        let sound = list.iter().enumerate().all(|(at, mailbox)| {
            (1..=MAX_MAILBOX_ADDRESSES).contains(&mailbox.addresses.len())
                && mailbox.addresses.iter().all(|address| address.is_sound() && address.relay().is_none())
                && !(0..at).any(|before| of(before) == Some(mailbox.peer))
        });
        (sound && list.len() <= MAX_MAILBOXES).then_some(Self(list))
    }

    /// The value of the setting.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the value of the setting; none for a value that breaks the form.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let list: Self = codec::decode(value, crate::limits::MAX_SETTING).ok()?;
        Self::new(list.0)
    }

    /// The mailboxes.
    pub fn list(&self) -> &[Mailbox] {
        &self.0
    }
}

/// What one relay of a room's mailboxes asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxToken {
    /// Its transport peer.
    pub peer: [u8; 32],
    /// What is shown to it, and to nobody else.
    pub token: AccessToken,
}

/// What the relays of a room's mailboxes ask for. Relays without an entry are open to all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailboxTokens(Vec<MailboxToken>);

impl MailboxTokens {
    /// The list, if it has at most [`MAX_MAILBOXES`] tokens of different peers.
    pub fn new(list: Vec<MailboxToken>) -> Option<Self> {
        let of = |at: usize| list.get(at).map(|entry| entry.peer);
        let twice = (0..list.len()).any(|at| (0..at).any(|before| of(before) == of(at)));
        (!twice && list.len() <= MAX_MAILBOXES).then_some(Self(list))
    }

    /// The value of the setting: in the clear, to be written only into an event.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads the value of the setting; none for a value that breaks the form.
    pub fn decode(value: &[u8]) -> Option<Self> {
        let list: Self = codec::decode(value, crate::limits::MAX_SETTING).ok()?;
        Self::new(list.0)
    }

    /// The token of a relay.
    pub fn of(&self, peer: &[u8; 32]) -> Option<&AccessToken> {
        self.0.iter().find(|entry| entry.peer == *peer).map(|entry| &entry.token)
    }

    /// Whether no relay asks for one.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Host, Transport};

    fn mailbox(n: u8, addresses: usize) -> Mailbox {
        let host = Host::Name("r".repeat(64));
        Mailbox { peer: [n; 32], addresses: vec![Address { host, transport: Transport::Quic, port: 4001 }; addresses] }
    }

    #[test]
    fn four_mailboxes_of_three_addresses_come_back_and_fit_a_setting() {
        let list = Mailboxes::new((0..4).map(|n| mailbox(n, 3)).collect()).unwrap();
        assert!(list.encode().len() <= crate::limits::MAX_SETTING);
        assert_eq!(Mailboxes::decode(&list.encode()), Some(list));
        assert_eq!(Mailboxes::decode(&Mailboxes::default().encode()), Some(Mailboxes::default()));
    }

    #[test]
    fn tokens_come_back_each_for_its_relay_and_are_not_shown() {
        let token = |n: u8| MailboxToken { peer: [n; 32], token: AccessToken::parse(&"t".repeat(128)).unwrap() };
        let tokens = MailboxTokens::new((0..4).map(token).collect()).unwrap();
        assert!(tokens.encode().len() <= crate::limits::MAX_SETTING);
        assert_eq!(MailboxTokens::decode(&tokens.encode()), Some(tokens.clone()));
        assert!(tokens.of(&[3; 32]).is_some() && tokens.of(&[4; 32]).is_none());
        assert!(!format!("{tokens:?}").contains("ttt"));
        for broken in [(0..5).map(token).collect(), vec![token(1), token(1)]] {
            assert_eq!(MailboxTokens::new(broken), None);
        }
        let short = codec::encode(&vec![([1_u8; 32], "short")]);
        assert_eq!(MailboxTokens::decode(&short), None);
    }

    #[test]
    fn a_list_that_breaks_a_limit_is_none() {
        let broken = [
            (0..5).map(|n| mailbox(n, 1)).collect(),
            vec![mailbox(1, 4)],
            vec![mailbox(1, 0)],
            vec![mailbox(1, 1), mailbox(1, 2)],
            vec![Mailbox {
                addresses: vec![Address { host: Host::ViaIp4([1; 32], [1; 4]), transport: Transport::Tcp, port: 1 }],
                ..mailbox(1, 1)
            }],
        ];
        for list in broken {
            assert_eq!(Mailboxes::new(list.clone()), None);
            assert_eq!(Mailboxes::decode(&codec::encode(&list)), None);
        }
        assert_eq!(Mailboxes::decode(&[7; 9]), None);
    }
}
