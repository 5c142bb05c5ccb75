//! Relays as settings, rooms and links name them.

use parlor_api::{Code, Problem};
use parlor_net::{Address, PeerId};
use parlor_proto::control::{MAX_MAILBOX_ADDRESSES, MAX_MAILBOXES, Mailbox, Mailboxes};
use parlor_proto::link::Link;
use parlor_proto::mailbox::RelayId;

use crate::services::joins::{to_address, to_link};

/// A relay: its peer, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relay {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Where, best first.
    pub(crate) addresses: Vec<Address>,
}

impl Relay {
    /// A mailbox of a room.
    pub(crate) fn of_mailbox(mailbox: &Mailbox) -> Self {
        let addresses = mailbox.addresses.iter().map(to_address).collect();
        Self { peer: PeerId::from_key(mailbox.peer), addresses }
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
                add(&mut relays, PeerId::from_key(*peer), to_address(&at));
            }
        }
        relays
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
            let wrong = |why: String| {
                Problem::new(code, format!("{text} is not the address of a relay: {why}")).hint(
                    "such as /ip4/192.0.2.7/udp/4001/quic-v1/p2p/12D3KooW..; the relay says its own when it starts",
                )
            };
            let address: Address =
                text.parse().map_err(|error: parlor_net::ParseAddressError| wrong(error.to_string()))?;
            let peer = address.peer().ok_or_else(|| wrong("the peer id at its end is missing".to_owned()))?;
            if address.is_relayed() {
                return Err(wrong("it leads through another relay".to_owned()));
            }
            add(&mut relays, peer, address.without_peer());
        }
        Ok(relays)
    }

    /// The setting of a room made by who uses these relays: the first of them that others can dial.
    pub(crate) fn some_mailboxes(relays: &[Self]) -> Mailboxes {
        let list = relays.iter().filter_map(Self::to_mailbox).take(MAX_MAILBOXES).collect();
        Mailboxes::new(list).unwrap_or_default()
    }

    /// The setting of a room that has these mailboxes.
    ///
    /// # Errors
    /// `bad_request` for more of them than a room may have, or one that has no address for others.
    pub(crate) fn mailboxes(relays: &[Self]) -> Result<Mailboxes, Problem> {
        let list = relays.iter().filter_map(Self::to_mailbox).collect::<Vec<_>>();
        let sound = (list.len() == relays.len()).then(|| Mailboxes::new(list)).flatten();
        sound.ok_or_else(|| {
            Problem::new(Code::BadRequest, "a room has at most four mailboxes, each with an address over TCP or QUIC")
        })
    }
}

fn add(relays: &mut Vec<Relay>, peer: PeerId, address: Address) {
    match relays.iter_mut().find(|relay| relay.peer == peer) {
        Some(relay) if !relay.addresses.contains(&address) => relay.addresses.push(address),
        Some(_) => {}
        None => relays.push(Relay { peer, addresses: vec![address] }),
    }
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
        let setting = Relay::mailboxes(&relays).unwrap();
        let back: Vec<_> = setting.list().iter().map(Relay::of_mailbox).collect();
        assert_eq!(back, relays);
        assert_eq!(back[1].texts(), [texts[1].clone()]);
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
    }
}
