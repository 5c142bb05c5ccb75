//! Names at relays: claiming one, and finding out whom `@alice@relay` leads to.
//!
//! A relay is asked on a line of its own for each question. What it says is checked by both signatures
//! ([`parlor_proto::directory::Client`]) and against the contact card that the name leads to.

use std::sync::Arc;
use std::time::Duration;

use parlor_api::{Code, NameEntry, Problem};
use parlor_crypto::SigningKey;
use parlor_net::{Address, Host, LineKind, NetworkHandle, PeerId};
use parlor_proto::access::{self, AccessToken};
use parlor_proto::contact::Card;
use parlor_proto::control::Inception;
use parlor_proto::directory::{Answer as Said, Ask, Client, Refusal};
use parlor_proto::name::{Held, Name, NameRecord, split};

use crate::app::Answer;
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::limits::CONTACT_RELAYS;

/// How long a relay has for one question, with the time to connect.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A relay as the settings name it.
#[derive(Debug, Clone)]
pub(crate) struct OwnRelay {
    /// Who it is.
    pub(crate) peer: PeerId,
    /// Where, best first.
    pub(crate) addresses: Vec<Address>,
    /// What it asks for, if it is not open to all.
    pub(crate) token: Option<AccessToken>,
}

/// Asks directories. Clones are the same.
#[derive(Clone)]
pub(crate) struct Names {
    net: NetworkHandle,
    relays: Arc<[OwnRelay]>,
    root: Arc<SigningKey>,
    inception: Inception,
}

/// The relays of the settings, those of one peer together. What is no address of a relay is left out: the network says so.
pub(crate) fn own_relays(texts: &[String]) -> Vec<OwnRelay> {
    let mut relays: Vec<OwnRelay> = Vec::new();
    for text in texts {
        let Some(relay) = parse(text) else { continue };
        match relays.iter_mut().find(|known| known.peer == relay.peer) {
            Some(known) => {
                known.addresses.extend(relay.addresses);
                known.token = known.token.take().or(relay.token);
            }
            None => relays.push(relay),
        }
    }
    relays.truncate(CONTACT_RELAYS);
    relays
}

fn parse(text: &str) -> Option<OwnRelay> {
    let (address, token) = access::split(text).ok()?;
    let address: Address = address.parse().ok()?;
    let peer = address.peer().filter(|_| !address.is_relayed())?;
    Some(OwnRelay { peer, addresses: vec![address.without_peer()], token })
}

/// Whether a text says somebody's name at a relay: `@alice@relay`.
pub(crate) fn is_remote(who: &str) -> bool {
    who.trim().strip_prefix('@').is_some_and(|rest| rest.contains('@'))
}

impl Names {
    pub(crate) fn new(net: NetworkHandle, relays: Vec<OwnRelay>, root: SigningKey, inception: Inception) -> Self {
        Self { net, relays: relays.into(), root: Arc::new(root), inception }
    }

    /// Claims a name for our account, with a card.
    ///
    /// # Errors
    /// `name_taken`, `bad_request`, `unreachable`, and what else the relay says.
    pub(crate) async fn claim(&self, name: &str, relay: &str, card: &Card) -> Answer<NameEntry> {
        let name = Name::parse(name).map_err(|error| bad_name(&error.to_string()))?;
        let relay = self.find(relay)?;
        let key = relay.peer.to_key();
        let record = NameRecord::sign(&key, &self.root, self.inception, name, card.to_text().into_bytes(), now_ms());
        let record = record.map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        match self.ask(&relay, Ask::Claim { record, handover: None }).await? {
            Said::Held(held) => entry(&held, card, &relay),
            Said::Refused(refusal) => Err(refused(refusal)),
            _ => Err(liar()),
        }
    }

    /// The card that `@alice@relay` leads to.
    ///
    /// # Errors
    /// `contact_not_found`, `bad_request`, `unreachable`.
    pub(crate) async fn lookup(&self, who: &str) -> Answer<(NameEntry, Card)> {
        let (name, relay) = split(who.trim()).map_err(|error| bad_name(&error.to_string()))?;
        let relay = relay.ok_or_else(|| bad_name("the relay is missing"))?;
        let relay = self.find(relay)?;
        match self.ask(&relay, Ask::Lookup(name)).await? {
            Said::Held(held) => {
                let text = std::str::from_utf8(&held.record.card).unwrap_or_default();
                let card = Card::parse(text).map_err(|_| {
                    Problem::new(Code::ContactNotFound, "the name leads to a card that this version can not read")
                        .hint("update parlor, or ask for the card itself")
                })?;
                // The account that signed the name must be the one of the card.
                if card.account() != held.record.account() {
                    return Err(liar());
                }
                Ok((entry(&held, &card, &relay)?, card))
            }
            Said::Unknown => Err(Problem::new(Code::ContactNotFound, format!("nobody goes by {who}"))
                .hint("names are exact: ask how it is written, and at which relay")),
            Said::Refused(refusal) => Err(refused(refusal)),
            _ => Err(liar()),
        }
    }

    /// The relay that a text names: a whole address, or of our own ones the host, the host with its port, or the beginning of
    /// the peer id.
    fn find(&self, text: &str) -> Answer<OwnRelay> {
        if let Some(relay) = parse(text) {
            let own = self.relays.iter().find(|own| own.peer == relay.peer);
            return Ok(own.cloned().unwrap_or(relay));
        }
        let fits = |relay: &&OwnRelay| {
            relay.addresses.iter().any(|address| is_called(address, text)) || {
                let peer = relay.peer.to_string();
                text.len() >= 8 && (peer.starts_with(text) || peer.ends_with(text))
            }
        };
        let found: Vec<&OwnRelay> = self.relays.iter().filter(fits).collect();
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(Problem::new(Code::NotFound, format!("no relay of yours is called {text}"))
                .hint("name it by its whole address with its peer id, or add it: parlor run --relay ADDRESS")),
            _ => Err(Problem::new(Code::Ambiguous, format!("several of your relays are called {text}"))
                .hint("name it by its whole address, or with its port")),
        }
    }

    async fn ask(&self, relay: &OwnRelay, ask: Ask) -> Answer<Said> {
        let told = tokio::time::timeout(PATIENCE, self.ask_patiently(relay, ask)).await;
        told.map_err(|_| Problem::new(Code::Unreachable, "the relay did not answer in time").hint(ASK))?
    }

    async fn ask_patiently(&self, relay: &OwnRelay, ask: Ask) -> Answer<Said> {
        let silent =
            |why: &str| Problem::new(Code::Unreachable, format!("the relay can not be asked: {why}")).hint(ASK);
        let line = self.net.open_line(relay.peer, relay.addresses.clone(), LineKind::Directory).await;
        let mut line = line.map_err(|error| silent(&error.to_string()))?;
        let mut client = Client::new(relay.peer.to_key());
        let mut asks = vec![ask];
        loop {
            let frame = line.recv().await.ok_or_else(|| silent("it closed the line"))?;
            match client.hear(&frame).map_err(|_| liar())? {
                None => {
                    let token = relay.token.clone().filter(|_| client.greeting().is_some_and(|it| it.token));
                    asks.extend(token.map(Ask::Unlock));
                }
                Some((_, Said::Unlocked)) => {}
                Some((_, answer)) => return Ok(answer),
            }
            // The token first, then the question.
            if let Some(next) = asks.pop() {
                let (_, frame) = client.ask(next).map_err(|_| liar())?;
                line.send(frame.into()).await.map_err(|error| silent(&error.to_string()))?;
            }
        }
    }
}

const ASK: &str = "look whether the relay runs (parlor doctor), and try again";

fn is_called(address: &Address, text: &str) -> bool {
    let Some(endpoint) = address.endpoint() else { return false };
    let host = match &endpoint.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Dns(name) => name.clone(),
    };
    host.eq_ignore_ascii_case(text) || format!("{host}:{}", endpoint.port).eq_ignore_ascii_case(text)
}

fn entry(held: &Held, card: &Card, relay: &OwnRelay) -> Answer<NameEntry> {
    let at = relay.addresses.first().map(|address| address.with_peer(relay.peer).to_string());
    Ok(NameEntry {
        name: format!("@{}", held.record.name.as_str()),
        relay: at.unwrap_or_else(|| relay.peer.to_string()),
        account: held.record.account().to_string(),
        link: card.to_text(),
        since: rfc3339(held.since_ms),
        updated_at: rfc3339(held.at_ms),
    })
}

fn bad_name(why: &str) -> Problem {
    Problem::new(Code::BadRequest, why).hint("a name is written @alice@relay: 2 to 32 letters and digits, and a relay")
}

fn liar() -> Problem {
    Problem::new(Code::Internal, "the relay gave an answer that does not hold")
        .hint("do not trust this relay with names; ask who runs it")
}

fn refused(refusal: Refusal) -> Problem {
    let code = match refusal {
        Refusal::Taken | Refusal::Confusable | Refusal::NotYours => Code::NameTaken,
        Refusal::Later => Code::RateLimited,
        Refusal::Locked => Code::NotPermitted,
        Refusal::Full | Refusal::Failed => Code::Unreachable,
        _ => Code::Conflict,
    };
    let hint = match refusal {
        Refusal::Taken | Refusal::Confusable => "choose another name, or another relay",
        Refusal::Locked => "ask who runs the relay for its token, and name it with ?token=TOKEN after its address",
        Refusal::Clock => "set the clock of this machine",
        Refusal::TooMany => {
            "use another relay; or ask who runs this one to take one of your names out (parlor-bootstrap names remove)"
        }
        _ => "try again later, or use another relay",
    };
    Problem::new(code, refusal.to_string()).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relays_of_the_settings_are_read_and_what_is_none_is_left_out() {
        let peer = PeerId::from_seed(&[7; 32]);
        let texts = [
            format!("/dns4/relay.example/tcp/4001/p2p/{peer}?token=correct-horse"),
            format!("/ip4/192.0.2.7/udp/4001/quic-v1/p2p/{peer}"),
            "/ip4/192.0.2.8/tcp/1".into(),
            "nonsense".into(),
        ];
        let relays = own_relays(&texts);
        assert_eq!(relays.len(), 1);
        assert_eq!((relays[0].peer, relays[0].addresses.len()), (peer, 2));
        assert!(relays[0].token.is_some());
        for name in ["relay.example", "RELAY.example:4001", "192.0.2.7"] {
            assert!(relays[0].addresses.iter().any(|address| is_called(address, name)), "{name}");
        }
        assert!(!relays[0].addresses.iter().any(|address| is_called(address, "example")));
    }

    #[test]
    fn a_name_at_a_relay_is_told_from_other_ways_to_say_who() {
        assert!(is_remote("@alice@relay.example") && is_remote(" @alice@/ip4/1.2.3.4/tcp/1/p2p/x"));
        assert!(!is_remote("@alice") && !is_remote("alice") && !is_remote("parlor://contact/1/#x@y"));
    }
}
