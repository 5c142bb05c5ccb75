//! A room: the machine that a node holds one of for every room it is in.
//!
//! It holds the control DAG with its resolution, the keys, and the ends of all message logs; messages themselves are in
//! storage. Inputs are events from peers and wishes of the user; every change comes back as an [`Outcome`] that names the
//! new events and what to write beside them.
//!
//! **One batch.** The caller commits an outcome (events, keys, heads, pages) as one durable batch, and only then hands
//! events to the network and shows them. The machine already stands behind the change: **if the commit fails, drop the
//! `Room` and [`restore`](Room::restore) it.** What a device has written is then either durable or was never seen by
//! anybody, so no sequence number is used twice.
//!
//! **Any order.** [`receive`](Room::receive) takes events of both logs in any order and any number of times. What lacks
//! ancestors waits in bounded buffers and is named in [`Received::waiting`]. Two rooms that accepted the same control
//! events answer every query alike.
//!
//! **Who may be served** is decided by [`standing`](Room::standing): only a live member's device gets events; anybody who
//! proves knowledge of the topic secret may hand us control events, for a newcomer's own Admit is what makes him live.
//!
//! **Writing waits for a safe epoch.** [`write`](Room::write) refuses with [`Refusal::NoSafeEpoch`] while no epoch reaches
//! exactly the members; [`maintain`](Room::maintain) makes one when it is this device's turn. Call `maintain` after every
//! outcome and at the time it asks for.

mod admit;
mod annotate;
mod asking;
mod boxes;
mod branches;
mod cache;
mod changes;
mod create;
mod decline;
mod direct;
mod early;
mod elect;
mod epochs;
pub mod fading;
mod false_keys;
mod fences;
mod flood;
mod forks;
mod former;
mod govern;
mod guests;
mod healing;
mod invites;
mod keys;
mod late;
mod log;
mod maintain;
mod messages;
mod openings;
mod orphans;
mod past;
mod patience;
mod pending;
mod pins;
mod query;
mod reach;
mod reads;
mod receive;
mod rows;
mod run;
mod slices;
mod types;
mod verdicts;
mod views;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parlor_crypto::topic::TopicSecret;

pub use self::boxes::{MAX_READ, Slice};
pub use self::branches::{Cut, MessageTip, Place, Placed, Sibling};
use self::cache::Cache;
pub use self::create::NewRoom;
pub use self::decline::Declined;
pub use self::early::Early;
pub use self::elect::Company;
use self::epochs::Epochs;
pub use self::govern::{Ban, DeviceInfo, NewGrant, Removal};
pub use self::invites::{Delegation, InstantInvite, InstantLimit, InviteEnd, InviteInfo, InviteLimit, NewInvite};
pub use self::log::{Exit, ExitHow, Happened, LogLine};
use self::messages::Messages;
pub use self::past::Past;
use self::pending::Pending;
use self::receive::Context;
pub use self::rows::{EpochRow, HeldRow, KeyRows, StoredKeys};
use self::run::KeyCache;
pub use self::types::*;
use crate::control::LeafRecord;
use crate::dag::{Dag, GrantIdx, Set};
use crate::epoch::{Spread, one_by_one};
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId, EventId, RoomId};
use crate::limits;
use crate::resolve::{Delta, Resolved};

/// A room as one device sees it.
pub struct Room {
    me: Arc<Identity>,
    id: RoomId,
    dag: Dag,
    /// What all control events mean together,
    resolved: Resolved,
    /// all of them as a view,
    everything: Set,
    /// and the devices of the live members.
    live: Set,
    /// What other views mean.
    views: views::Views,
    /// What may be different since
    delta: Delta,
    /// it was told to the caller last.
    last: changes::Snapshot,
    pending: Pending,
    forks: forks::Forks,
    /// Which branches of message logs fences mean.
    pins: pins::Pins,
    epochs: Epochs,
    /// The epoch to write under.
    best: Option<EpochId>,
    /// What members were asked for last, of what is asked for in turn.
    asked: Option<crate::wire::Asked>,
    /// Since when a task of rotation waits for its turn.
    turn: Option<elect::Turn>,
    /// When the guests that are not needed any more are put out.
    guests: guests::Tending,
    /// When those are let in anew whose coming in somebody made void.
    orphans: orphans::Tending,
    /// Since when no epoch is safe.
    missing_ms: Option<u64>,
    /// Who is connected, and who of them may hold other control events.
    company: Box<Company>,
    /// How long those were waited for.
    patience: Box<patience::Patience>,
    /// Since when lots are drawn for the epoch that is missing.
    drawn_ms: Option<u64>,
    /// When we last made an epoch together with the change that called for it.
    rotated_ms: u64,
    messages: Messages,
    /// The latest clock of what was shown early: what is written stands below it.
    seen_early: crate::hlc::Hlc,
    /// The last place in the timeline that another device's message takes, as far as it is known here.
    newest: crate::hlc::Hlc,
    contexts: Cache<Vec<EventId>, Context>,
    keys: KeyCache,
    /// Our own leaf record, and those of others that are newer than what their devices came with.
    leafs: HashMap<DeviceId, LeafRecord>,
    topic: TopicSecret,
    generation: u32,
    /// The stored rows are of the first version: all are written with the next change.
    old_rows: bool,
    /// How the rows of a large epoch are sealed.
    spread: Spread,
}

impl Room {
    fn new(me: Arc<Identity>, id: RoomId, topic: TopicSecret) -> Self {
        Self {
            id,
            dag: Dag::new(id),
            resolved: Resolved::default(),
            everything: Set::default(),
            live: Set::default(),
            views: views::Views::default(),
            delta: Delta::default(),
            last: changes::Snapshot::default(),
            pending: Pending::default(),
            forks: forks::Forks::default(),
            pins: pins::Pins::default(),
            epochs: Epochs::new(),
            best: None,
            asked: None,
            turn: None,
            guests: guests::Tending::default(),
            orphans: orphans::Tending::default(),
            missing_ms: None,
            company: Box::default(),
            patience: Box::default(),
            drawn_ms: None,
            rotated_ms: 0,
            messages: Messages::new(),
            seen_early: crate::hlc::Hlc::ZERO,
            newest: crate::hlc::Hlc::ZERO,
            contexts: Cache::new(limits::MAX_CONTEXTS),
            keys: Cache::new(limits::MAX_CHAINS),
            leafs: HashMap::from([(me.device(), me.entrant().leaf)]),
            topic,
            generation: 0,
            old_rows: false,
            spread: one_by_one,
            me,
        }
    }

    /// The rows of epochs are sealed like this from now on; one by one unless said.
    pub fn seal_with(&mut self, spread: Spread) {
        self.spread = spread;
    }

    /// Our own strongest live grant.
    fn grant(&self) -> Option<GrantIdx> {
        let device = self.dag.device_no(&self.me.device())?;
        let live = self.live.has(device);
        self.resolved.members().get(&self.me.account()).copied().filter(|_| live)
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("id", &self.id)
            .field("control", &self.dag.len())
            .field("logs", &self.messages.ends().len())
            .field("best", &self.best)
            .finish_non_exhaustive()
    }
}
