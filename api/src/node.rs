//! The node itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the node does: `GET /status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Account id.
    pub account: String,
    /// Name of the account.
    pub name: String,
    /// Device id.
    pub device: String,
    /// The libp2p peer id, which is not the device's.
    pub peer_id: String,
    /// Version of the program.
    pub version: String,
    /// Address of this API.
    pub api: String,
    /// Addresses others can dial.
    pub listen: Vec<String>,
    /// Who is connected.
    pub peers: Vec<Peer>,
    /// Relays in use.
    pub relays: Vec<Relay>,
    /// Rooms and how far each is synchronised.
    pub rooms: Vec<SyncState>,
    /// How many own messages nobody else holds yet.
    pub outbox: u64,
    /// Unread messages of all rooms that may call: without those of muted and archived rooms, and as each room's level says.
    #[serde(default)]
    pub unread: u64,
    /// Those of them that mention this account.
    #[serde(default)]
    pub mentions: u64,
    /// Rooms that we asked to come into and were not answered by yet.
    #[serde(default)]
    pub joining: Vec<String>,
    /// The same with what each waits for, and joins that ended without the room in the last week.
    #[serde(default)]
    pub joins: Vec<crate::JoinProgress>,
    /// How far the index of the search is.
    #[serde(default)]
    pub search: crate::SearchState,
    /// When the node started.
    pub started_at: String,
    /// Problems a person should know of: clock far off, disk nearly full.
    pub warnings: Vec<String>,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Peer {
    /// The libp2p peer id.
    pub peer_id: String,
    /// Address of the connection.
    pub address: String,
    /// Whether it goes without a relay.
    pub direct: bool,
    /// Account, when it is a member of a room of ours.
    pub account: Option<String>,
    /// Name of that account.
    pub name: Option<String>,
    /// Round trip in milliseconds.
    pub rtt_ms: Option<u32>,
}

/// A relay in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Relay {
    /// Its address.
    pub address: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Its libp2p peer id.
    #[serde(default)]
    pub peer_id: String,
    /// Whether others can reach us through it now.
    #[serde(default)]
    pub reserved: bool,
    /// Whether its mailbox answers; false also when no room of ours has one there.
    #[serde(default)]
    pub mailbox: bool,
    /// How many rooms of ours have a mailbox there.
    #[serde(default)]
    pub rooms: u32,
    /// Events of ours that its mailbox does not have yet.
    #[serde(default)]
    pub waiting: u64,
    /// What went wrong last, if it has not gone well since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same as a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// How far a room is synchronised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncState {
    /// Room id.
    pub room: String,
    /// Its name.
    pub name: String,
    /// Members' devices connected to us for this room.
    pub peers: u32,
    /// Messages we hold.
    pub have: u64,
    /// Messages we know of and do not hold.
    pub want: u64,
    /// Whether we hold everything that any connected member holds, and what others told of before they left.
    pub done: bool,
    /// Whether a member who is connected owes what is missing; if not, it comes when somebody is who has it.
    #[serde(default)]
    pub asking: bool,
    /// Of the newest messages so many are shown early, before those between are here.
    #[serde(default)]
    pub early: u32,
}
