//! What the doctor looks at.

use std::collections::BTreeMap;

use parlor_net::RelayTrouble;

/// A clock behind the newest message by more than this is told: what is written now stands at the wrong place.
const CLOCK_MS: u64 = 10 * 60 * 1_000;
/// No clock of a running Parlor is before this: 2025-01-01.
const EARLIEST_MS: u64 = 1_735_689_600_000;

/// What a node observes of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Addresses it listens on.
    pub(crate) listening: usize,
    /// All of them are of this machine alone.
    pub(crate) loopback_only: bool,
    /// The way in from the internet.
    pub(crate) nat: NatKind,
    /// The router mapped a port for us.
    pub(crate) mapped: bool,
    /// Whether packets of UDP come through.
    pub(crate) udp: Udp,
    /// Relays.
    pub(crate) relays: Vec<RelayFact>,
    /// Relays of rooms whose mailboxes are in trouble,
    pub(crate) mailboxes: Vec<MailboxFact>,
    /// Connected peers,
    pub(crate) peers: usize,
    /// and those of them by a relay.
    pub(crate) relayed: usize,
    /// Peers we want to be connected to and are not.
    pub(crate) redialling: usize,
    /// Peers that are refused for a while.
    pub(crate) banned: usize,
    /// Hole punching that succeeded and that failed.
    pub(crate) punched: (u64, u64),
    /// Another device of this account revoked this one.
    pub(crate) revoked: bool,
    /// Rooms.
    pub(crate) rooms: Vec<RoomFact>,
    /// Rooms that can not be read.
    pub(crate) damaged: Vec<String>,
    /// Own messages that nobody else holds yet.
    pub(crate) outbox: usize,
    /// Own messages that were given up.
    pub(crate) given_up: usize,
    /// Joins that nobody answered.
    pub(crate) joining: usize,
    /// People who were asked and did not answer.
    pub(crate) asked: usize,
    /// People who wait for our word.
    pub(crate) asking: usize,
    /// Verified people to whom a device came since.
    pub(crate) changed: Vec<String>,
    /// Names of devices of the own account that came and were not confirmed.
    pub(crate) own_new: Vec<String>,
    /// Names of devices of the own account that were revoked in some room, and in how many they read on.
    pub(crate) half_revoked: Vec<(String, u64)>,
    /// Notifications are wanted on the desktop, and nobody there shows them.
    pub(crate) unheard: bool,
    /// Our clock.
    pub(crate) clock: Clock,
    /// Bytes free where the home is; `None` if the system does not say.
    pub(crate) disk_free: Option<u64>,
}

/// The way in from the internet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NatKind {
    /// Not known yet.
    #[default]
    Unknown,
    /// Strangers can connect.
    Open,
    /// Through a router that holes can be punched into.
    Cone,
    /// Through a router that gives each other end another port.
    Symmetric,
}

/// Whether packets of UDP come through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Udp {
    /// Not known yet.
    #[default]
    Unknown,
    /// A connection goes over it.
    Works,
    /// Only TCP reaches relays that have addresses for both.
    Blocked,
}

/// A relay.
#[derive(Debug, Clone)]
pub(crate) struct RelayFact {
    /// What to call it.
    pub(crate) name: String,
    /// We can be reached through it.
    pub(crate) reserved: bool,
    /// Attempts that failed in a row.
    pub(crate) attempts: u32,
    /// Why.
    pub(crate) trouble: Option<RelayTrouble>,
    /// Its mailbox wants a token that we have not.
    pub(crate) locked: bool,
}

/// A relay that keeps mail of rooms, and does not do so now.
#[derive(Debug, Clone)]
pub(crate) struct MailboxFact {
    /// What to call it.
    pub(crate) name: String,
    /// Rooms that have it as a mailbox.
    pub(crate) rooms: u32,
    /// Events of ours that it lacks.
    pub(crate) lacks: u64,
    /// What it says, or what was found of it; nothing if it is not reached.
    pub(crate) error: Option<String>,
}

/// A room.
#[derive(Debug, Clone)]
pub(crate) struct RoomFact {
    /// What to call it.
    pub(crate) name: String,
    /// Other members.
    pub(crate) others: u32,
    /// Their devices connected now.
    pub(crate) online: u32,
    /// Messages that are known of and not here.
    pub(crate) missing: u64,
    /// Whether it can be written to.
    pub(crate) writable: bool,
    /// It is a direct chat that can not be written to: most likely the other has not accepted yet.
    pub(crate) waits_for_other: bool,
    /// This device was copied: two of it wrote.
    pub(crate) cloned: bool,
    /// Nobody keeps what is written while all are away.
    pub(crate) no_mailbox: bool,
}

/// Our clock beside those of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Nothing speaks against it.
    #[default]
    Plausible,
    /// It shows a time before this program was made.
    Unset,
    /// The newest message is from so many seconds ahead of it.
    Behind(u64),
}

/// What is to be thought of our clock, beside the newest message of anybody.
pub(crate) fn observe_clock(now_ms: u64, newest_ms: Option<u64>) -> Clock {
    match newest_ms {
        _ if now_ms < EARLIEST_MS => Clock::Unset,
        Some(newest_ms) if newest_ms > now_ms.saturating_add(CLOCK_MS) => Clock::Behind((newest_ms - now_ms) / 1_000),
        _ => Clock::Plausible,
    }
}

impl Facts {
    /// The facts as numbers and words without names, for a report.
    pub(crate) fn observed(&self) -> BTreeMap<String, String> {
        let reserved = self.relays.iter().filter(|relay| relay.reserved).count();
        let writable = self.rooms.iter().filter(|room| room.writable).count();
        let online = self.rooms.iter().filter(|room| room.online > 0).count();
        let free = self.disk_free.map_or_else(|| "unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
        let facts: [(&str, String); 17] = [
            ("listening", self.listening.to_string()),
            ("loopback_only", self.loopback_only.to_string()),
            ("nat", format!("{:?}", self.nat).to_lowercase()),
            ("port_mapped", self.mapped.to_string()),
            ("udp", format!("{:?}", self.udp).to_lowercase()),
            ("relays", format!("{reserved} of {}", self.relays.len())),
            ("peers", format!("{}, {} of them relayed", self.peers, self.relayed)),
            ("redialling", self.redialling.to_string()),
            ("refused_peers", self.banned.to_string()),
            ("holes_punched", format!("{}, failed {}", self.punched.0, self.punched.1)),
            ("rooms", format!("{}, {writable} writable, {online} with somebody online", self.rooms.len())),
            ("outbox", format!("{}, given up {}", self.outbox, self.given_up)),
            ("joining", self.joining.to_string()),
            ("requests", format!("{} out, {} in", self.asked, self.asking)),
            ("desktop", if self.unheard { "nobody shows notifications" } else { "fine" }.to_owned()),
            ("clock", format!("{:?}", self.clock).to_lowercase()),
            ("disk_free", free),
        ];
        facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect()
    }

    /// The same without names: rooms, people and relays are numbered.
    #[must_use]
    pub(crate) fn nameless(mut self) -> Self {
        for (n, room) in self.rooms.iter_mut().enumerate() {
            room.name = format!("number {}", n + 1);
        }
        for (n, room) in self.damaged.iter_mut().enumerate() {
            *room = format!("number {}", n + 1);
        }
        for (n, relay) in self.relays.iter_mut().enumerate() {
            relay.name = format!("number {}", n + 1);
        }
        for (n, relay) in self.mailboxes.iter_mut().enumerate() {
            relay.name = format!("number {}", n + 1);
            // It may name addresses.
            relay.error = None;
        }
        for (n, person) in self.changed.iter_mut().enumerate() {
            *person = format!("person {}", n + 1);
        }
        for (n, (device, _)) in self.half_revoked.iter_mut().enumerate() {
            *device = format!("number {}", n + 1);
        }
        for (n, device) in self.own_new.iter_mut().enumerate() {
            *device = format!("number {}", n + 1);
        }
        self
    }
}
