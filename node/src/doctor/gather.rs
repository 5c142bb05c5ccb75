//! Asking the node what it observes.

use std::collections::BTreeMap;

use parlor_api::{Code, Diagnosis, MessageStatus, Problem, RoomKind};
use parlor_net::{Carrier, Nat, NetworkStatus, PeerId, RelayState};

use super::{Clock, Facts, MailboxFact, NatKind, RelayFact, RoomFact, Udp, findings, observe_clock};
use crate::app::{Answer, App};
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::services::attention::Desktop;
use crate::services::mailboxes::RelayView;
use crate::services::rooms::Summary;

impl App {
    /// What is wrong with the node, in words. With `report`, without anything that says who and where.
    pub async fn doctor(&self, report: bool) -> Answer<Diagnosis> {
        let facts = self.observe().await?;
        let facts = if report { facts.nameless() } else { facts };
        Ok(Diagnosis {
            at: rfc3339(now_ms()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            findings: findings(&facts),
            observed: facts.observed(),
        })
    }

    async fn observe(&self) -> Answer<Facts> {
        let node = &self.node;
        let network = node.context.net.status().await.map_err(|_| Problem::of(Code::Stopping))?;
        let all: Vec<_> = node.context.directory.all().into_iter().map(|(_, summary)| summary).collect();
        let up = || network.peers.iter().filter(|peer| peer.up);
        let (asked, asking) = node.context.contacts.waiting();
        let unsent = node.rooms.outbox().await?;
        let given_up = unsent.iter().filter(|entry| entry.status == MessageStatus::Failed).count();
        let outbox = unsent.len() - given_up;
        let home = node.home.clone();
        let free = tokio::task::spawn_blocking(move || fs4::available_space(home).ok()).await;
        Ok(Facts {
            listening: network.listening.len(),
            loopback_only: !network.listening.is_empty() && network.listening.iter().all(|it| it.is_loopback()),
            nat: match network.nat {
                Nat::Open => NatKind::Open,
                Nat::Cone => NatKind::Cone,
                Nat::Symmetric => NatKind::Symmetric,
                _ => NatKind::Unknown,
            },
            mapped: network.upnp.is_some(),
            udp: udp(&network),
            relays: relays(&network, &node.context.mailboxes.relays()),
            mailboxes: node.context.mailboxes.relays().into_values().filter_map(mailbox).collect(),
            peers: up().count(),
            relayed: up().filter(|peer| peer.relayed).count(),
            redialling: network.redialling.len(),
            banned: network.banned.len(),
            punched: network.punched,
            clock: clock(&all),
            revoked: self.is_revoked().await?,
            rooms: all
                .iter()
                .filter(|summary| summary.item.role.role().is_some() && summary.item.damaged.is_none())
                .map(room)
                .collect(),
            damaged: all.iter().filter(|it| it.item.damaged.is_some()).map(|it| it.item.name.clone()).collect(),
            outbox,
            given_up,
            joining: node.joins.waiting().len(),
            asked,
            asking,
            changed: node.context.contacts.changed_since(),
            half_revoked: node.context.own.half_revoked(),
            own_new: node.context.own.new_ones().into_iter().map(|(_, name, _)| name).collect(),
            unheard: node.context.attention.desktop() == Desktop::Nobody
                && node.context.attention.notify() != parlor_api::Notify::Off,
            disk_free: free.ok().flatten(),
        })
    }
}

fn room(summary: &Summary) -> RoomFact {
    let item = &summary.item;
    RoomFact {
        name: item.name.clone(),
        others: item.members.saturating_sub(1),
        online: summary.sync.peers,
        missing: summary.sync.want,
        writable: summary.writable,
        waits_for_other: item.kind == RoomKind::Direct && !summary.writable,
        cloned: summary.cloned,
        no_mailbox: !summary.has_mailbox && summary.writable && item.kind != RoomKind::Direct,
    }
}

/// UDP works if a connection goes over it; a relay that has addresses for it and is reached over TCP alone says that it does not.
fn udp(network: &NetworkStatus) -> Udp {
    let quic = |address: &parlor_net::Address| address.endpoint().is_some_and(|it| it.carrier == Carrier::Quic);
    let ways = network.peers.iter().map(|peer| &peer.address);
    let to_relays = network.relays.iter().filter_map(|relay| relay.connected.as_ref());
    if ways.chain(to_relays).any(|address| quic(address) && !address.is_loopback()) {
        return Udp::Works;
    }
    let missed = network.relays.iter().any(|relay| {
        relay.connected.as_ref().is_some_and(|address| !quic(address)) && relay.addresses.iter().any(quic)
    });
    if missed { Udp::Blocked } else { Udp::Unknown }
}

fn relays(network: &NetworkStatus, mailboxes: &BTreeMap<PeerId, RelayView>) -> Vec<RelayFact> {
    let fact = |relay: &parlor_net::RelayStatus| {
        let (reserved, attempts, trouble) = match &relay.state {
            RelayState::Reserved { .. } => (true, 0, None),
            RelayState::Connecting { attempts, error } => (false, *attempts, error.as_ref().map(|it| it.trouble)),
            _ => (false, 0, None),
        };
        let place = relay.addresses.first().map(ToString::to_string);
        let locked = mailboxes.get(&relay.peer).is_some_and(|view| view.locked);
        RelayFact { name: place.unwrap_or_else(|| relay.peer.short()), reserved, attempts, trouble, locked }
    };
    network.relays.iter().map(fact).collect()
}

/// A mailbox that refuses, or that is not reached and lacks something. What is new may be on its way, and is no trouble.
fn mailbox(view: RelayView) -> Option<MailboxFact> {
    let RelayView { texts, up, rooms, lacks, error, locked } = view;
    // Of a token that is missing the relay's own finding tells.
    let in_trouble = rooms > 0 && !locked && lacks > 0 && (!up || error.is_some());
    let name = texts.into_iter().next().unwrap_or_default();
    in_trouble.then_some(MailboxFact { name, rooms, lacks, error: error.filter(|_| up).map(|why| why.text) })
}

fn clock(all: &[Summary]) -> Clock {
    let sent = all.iter().filter_map(|summary| summary.item.last_message.as_ref());
    let times = sent.filter_map(|message| message.sent_at.parse::<jiff::Timestamp>().ok());
    let newest = times.filter_map(|time| u64::try_from(time.as_millisecond()).ok()).max();
    observe_clock(now_ms(), newest)
}
