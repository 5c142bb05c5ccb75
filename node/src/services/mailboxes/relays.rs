//! Relays as settings, rooms and links name them.

use parlor_api::{Code, Problem};
use parlor_net::{Address, PeerId};
use parlor_proto::access::{self, AccessToken};
use parlor_proto::contact::{Reach, RelayAt};
use parlor_proto::control::{MAX_MAILBOX_ADDRESSES, MAX_MAILBOXES, Mailbox, MailboxToken, MailboxTokens, Mailboxes};
use parlor_proto::link::Link;
use parlor_proto::mailbox::RelayId;

use crate::limits::ADDRESSES_PER_PEER;
use crate::services::joins::{to_address, to_link};

/// A relay: its peer, where it listens, and what it asks for. It shows no token when it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Where, best first.
    pub(crate) addresses: Vec<Address>,
    /// What it asks for, if it is not open to all.
    pub(crate) token: Option<AccessToken>,
}

impl Relay {
    /// A mailbox of a room, as it is shown to people.
    pub(crate) fn of_mailbox(mailbox: &Mailbox) -> Self {
        let addresses = mailbox.addresses.iter().map(to_address).collect();
        Self { peer: PeerId::from_key(mailbox.peer), addresses, token: None }
    }

    /// The mailboxes of a room, as its members use them.
    pub(crate) fn of_room(mailboxes: &Mailboxes, tokens: &MailboxTokens) -> Vec<Self> {
        let with_token = |mailbox: &Mailbox| {
            let token = tokens.of(&mailbox.peer).cloned();
            Self { token, ..Self::of_mailbox(mailbox) }
        };
        mailboxes.list().iter().map(with_token).collect()
    }

    /// As a room keeps it; `None` if none of its addresses has a compact form.
    pub(crate) fn to_mailbox(&self) -> Option<Mailbox> {
        let addresses: Vec<_> = self.addresses.iter().filter_map(to_link).take(MAX_MAILBOX_ADDRESSES).collect();
        (!addresses.is_empty()).then(|| Mailbox { peer: *self.peer.as_key(), addresses })
    }

    /// The relays that the addresses of a link lead through.
    pub(crate) fn of_link(link: &Link) -> Vec<Self> {
        let mut relays: Vec<Self> = Vec::new();
        for address in link.addresses() {
            if let (Some(peer), Some(at)) = (address.relay(), address.of_relay()) {
                add(&mut relays, PeerId::from_key(*peer), to_address(&at), None);
            }
        }
        relays
    }

    /// The relays of a contact.
    pub(crate) fn of_contact(reach: &Reach) -> Vec<Self> {
        let mut relays: Vec<Self> = Vec::new();
        for RelayAt { peer, address } in &reach.relays {
            add(&mut relays, PeerId::from_key(*peer), to_address(address), None);
        }
        relays
    }

    /// The mailboxes of a direct chat: of both in turn, so that some of each are among them. In the same order both get the same.
    pub(crate) fn of_both(one: &[Self], other: &[Self]) -> Vec<Self> {
        let mut both: Vec<Self> = Vec::new();
        for at in 0..one.len().max(other.len()) {
            for relay in [one.get(at), other.get(at)].into_iter().flatten() {
                if both.len() < MAX_MAILBOXES && !both.iter().any(|it| it.peer == relay.peer) {
                    both.push(relay.clone());
                }
            }
        }
        both
    }

    /// Where it is dialled: where our settings and links that we follow say (`trusted`), then where rooms and contacts say, as far
    /// as that may be dialled on their word.
    pub(crate) fn to_dial<'a>(
        &self,
        trusted: impl Iterator<Item = &'a Self>,
        may_dial: impl Fn(&Address) -> bool,
    ) -> Vec<Address> {
        let named = trusted.filter(|it| it.peer == self.peer).flat_map(|it| it.addresses.clone());
        let told = self.addresses.iter().filter(|address| may_dial(address)).cloned();
        let mut addresses: Vec<Address> = Vec::new();
        for address in named.chain(told) {
            if addresses.len() < ADDRESSES_PER_PEER && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Its name in the mailbox protocol.
    pub(crate) fn id(&self) -> Option<RelayId> {
        RelayId::new(self.peer.as_key())
    }

    /// As people name it: each address with the peer at its end.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.addresses.iter().map(|address| address.with_peer(self.peer).to_string()).collect()
    }

    /// The relays that these multiaddresses name, those of one peer together.
    ///
    /// # Errors
    /// `code` for a text that is no address of a relay.
    pub(crate) fn parse(texts: &[String], code: Code) -> Result<Vec<Self>, Problem> {
        let mut relays: Vec<Self> = Vec::new();
        for text in texts {
            // What follows the address may be a secret that was mistyped: it is not repeated.
            let shown = text.split('?').next().unwrap_or_default();
            let wrong = |why: String| {
                Problem::new(code, format!("{shown} is not the address of a relay: {why}")).hint(
                    "such as /ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooW..; the relay says its own when it starts",
                )
            };
            let (address, token) = access::split(text).map_err(|error| {
                let why = format!("what follows the address of {shown} is no ?token=TOKEN: {error}");
                Problem::new(code, why).hint("ask who runs the relay for its token")
            })?;
            let address: Address =
                address.parse().map_err(|error: parlor_net::ParseAddressError| wrong(error.to_string()))?;
            let peer = address.peer().ok_or_else(|| wrong("the peer id at its end is missing".to_owned()))?;
            if address.is_relayed() {
                return Err(wrong("it leads through another relay".to_owned()));
            }
            add(&mut relays, peer, address.without_peer(), token);
        }
        Ok(relays)
    }

    /// Gives those without a token the one by which `known` uses the same relay: who names a relay need not know it by heart.
    pub(crate) fn with_tokens(mut relays: Vec<Self>, known: &[Self]) -> Vec<Self> {
        for relay in relays.iter_mut().filter(|relay| relay.token.is_none()) {
            relay.token = known.iter().find(|own| own.peer == relay.peer).and_then(|own| own.token.clone());
        }
        relays
    }

    /// The settings of a room made by who uses these relays: the first of them that others can dial, with their tokens.
    pub(crate) fn some_mailboxes(relays: &[Self]) -> (Mailboxes, MailboxTokens) {
        let list: Vec<_> = relays.iter().filter_map(Self::to_mailbox).take(MAX_MAILBOXES).collect();
        let tokens = tokens_of(relays, &list);
        (Mailboxes::new(list).unwrap_or_default(), tokens)
    }

    /// The settings of a room that has these mailboxes.
    ///
    /// # Errors
    /// `bad_request` for more of them than a room may have, or one that has no address for others.
    pub(crate) fn mailboxes(relays: &[Self]) -> Result<(Mailboxes, MailboxTokens), Problem> {
        let list = relays.iter().filter_map(Self::to_mailbox).collect::<Vec<_>>();
        let tokens = tokens_of(relays, &list);
        let sound = (list.len() == relays.len()).then(|| Mailboxes::new(list)).flatten();
        let sound = sound.ok_or_else(|| {
            Problem::new(Code::BadRequest, "a room has at most four mailboxes, each with an address over TCP or QUIC")
        })?;
        Ok((sound, tokens))
    }
}

/// The tokens of those relays that are in the list.
fn tokens_of(relays: &[Relay], list: &[Mailbox]) -> MailboxTokens {
    let token = |mailbox: &Mailbox| {
        let relay = relays.iter().find(|relay| *relay.peer.as_key() == mailbox.peer)?;
        Some(MailboxToken { peer: mailbox.peer, token: relay.token.clone()? })
    };
    MailboxTokens::new(list.iter().filter_map(token).collect()).unwrap_or_default()
}

fn add(relays: &mut Vec<Relay>, peer: PeerId, address: Address, token: Option<AccessToken>) {
    let Some(relay) = relays.iter_mut().find(|relay| relay.peer == peer) else {
        return relays.push(Relay { peer, addresses: vec![address], token });
    };
    if !relay.addresses.contains(&address) {
        relay.addresses.push(address);
    }
    relay.token = relay.token.take().or(token);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_peer_are_one_relay_and_come_back() {
        let (one, other) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]));
        let texts = [
            format!("/ip4/192.0.2.7/udp/4001/quic-v1/p2p/{one}"),
            format!("/dns/relay.example/tcp/443/p2p/{other}"),
            format!("/ip4/192.0.2.7/tcp/4001/p2p/{one}"),
        ];
        let relays = Relay::parse(&texts, Code::BadConfig).unwrap();
        assert_eq!(relays.iter().map(|relay| relay.addresses.len()).collect::<Vec<_>>(), [2, 1]);
        let (setting, tokens) = Relay::mailboxes(&relays).unwrap();
        let back = Relay::of_room(&setting, &tokens);
        assert_eq!(back, relays);
        assert_eq!(back[1].texts(), [texts[1].clone()]);
    }

    #[test]
    fn a_token_goes_with_its_relay_into_a_room_and_is_shown_to_nobody() {
        let (one, other) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]));
        let texts = [
            format!("/ip4/192.0.2.7/tcp/4001/p2p/{one}"),
            format!("/ip4/192.0.2.7/udp/4001/quic-v1/p2p/{one}?token=correct-horse"),
            format!("/dns/relay.example/tcp/443/p2p/{other}"),
        ];
        let relays = Relay::parse(&texts, Code::BadConfig).unwrap();
        let (setting, tokens) = Relay::some_mailboxes(&relays);
        let back = Relay::of_room(&setting, &tokens);
        assert_eq!(back, relays);
        assert_eq!(back.iter().map(|it| it.token.is_some()).collect::<Vec<_>>(), [true, false]);
        let shown = format!("{relays:?} {setting:?} {tokens:?} {:?}", relays[0].texts());
        assert!(!shown.contains("horse"), "{shown}");
        // Named again without its token, the relay keeps the one it is known by.
        let again = Relay::with_tokens(Relay::parse(&texts[..1], Code::BadRequest).unwrap(), &relays);
        assert_eq!(again[0].token, relays[0].token);
    }

    #[test]
    fn a_direct_chat_is_kept_at_relays_of_both_and_both_choose_the_same() {
        let relay = |n: u8| Relay { peer: PeerId::from_seed(&[n; 32]), addresses: Vec::new(), token: None };
        let peers = |relays: &[Relay]| relays.iter().map(|it| it.peer).collect::<Vec<_>>();
        let (one, other): (Vec<_>, Vec<_>) = ((1..=4).map(relay).collect(), vec![relay(5), relay(1), relay(6)]);
        let both = Relay::of_both(&one, &other);
        assert_eq!(peers(&both), peers(&[relay(1), relay(5), relay(2), relay(3)]));
        assert_eq!(peers(&Relay::of_both(&one[..1], &[])), peers(&one[..1]));
        assert!(Relay::of_both(&[], &[]).is_empty());
    }

    #[test]
    fn a_relay_is_dialled_where_we_were_told_by_people_and_where_rooms_say_as_far_as_that_may_be() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Address>>();
        let relay = |n: u8, texts: &[&str]| Relay {
            peer: PeerId::from_seed(&[n; 32]),
            addresses: addresses(texts),
            token: None,
        };
        let (public, private) = ("/ip4/192.0.2.7/tcp/4001", "/ip4/10.0.0.1/tcp/22");
        let of_room = relay(1, &[private, public]);
        let may_dial = |address: &Address| !address.to_string().contains("/10.");
        assert_eq!(of_room.to_dial([].iter(), may_dial), addresses(&[public]));
        let own = [relay(2, &["/ip4/10.0.0.9/tcp/1"]), relay(1, &["/ip4/10.0.0.2/tcp/4001", public])];
        assert_eq!(of_room.to_dial(own.iter(), may_dial), addresses(&["/ip4/10.0.0.2/tcp/4001", public]));
        let many: Vec<String> = (1..99).map(|port| format!("/ip4/192.0.2.7/tcp/{port}")).collect();
        let many = relay(1, &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(many.to_dial([].iter(), may_dial).len(), ADDRESSES_PER_PEER);
    }

    #[test]
    fn what_is_no_relay_is_refused_with_its_text() {
        let peer = PeerId::from_seed(&[1; 32]);
        for text in [
            "relay.example".to_owned(),
            "/ip4/192.0.2.7/tcp/1".to_owned(),
            format!("/ip4/192.0.2.7/tcp/1/p2p/{peer}/p2p-circuit/p2p/{peer}"),
        ] {
            let problem = Relay::parse(std::slice::from_ref(&text), Code::BadConfig).unwrap_err();
            assert!(problem.code == Code::BadConfig && problem.detail.contains(&text), "{problem}");
        }
        for secret in ["?token=hunter2", "?token=correct horse", "?tokn=correct-horse"] {
            let text = format!("/ip4/192.0.2.7/tcp/1/p2p/{peer}{secret}");
            let problem = Relay::parse(&[text], Code::BadConfig).unwrap_err();
            let said = format!("{problem} {:?}", problem.hint);
            assert!(!said.contains("hunter") && !said.contains("horse"), "{said}");
        }
    }
}
