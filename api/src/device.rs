//! The devices of this account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A device of this account: item of `GET /devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnDevice {
    /// Device id.
    pub device: String,
    /// Its name; may be empty.
    pub name: String,
    /// When it came into the first of these rooms, by the clock of whoever let it in; absent if it is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether it is the device of this home.
    pub this: bool,
    /// Whether it is connected to us now, or it is this one.
    pub online: bool,
    /// The rooms that know it.
    pub rooms: Vec<String>,
    /// Whether it was revoked, in any of them.
    pub revoked: bool,
    /// The rooms in which it reads on although it was revoked in others: whoever revoked it is not in them. Revoke it here too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_in: Vec<String>,
    /// Whether it came while the device of this home was there, and nobody said here that it is known: somebody who has the recovery
    /// phrase or a backup may have made it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new: bool,
    /// Whether it wrote two different things in one place: it was copied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub contradicts_itself: bool,
}

/// What happened to a device of this account. New ones may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChange {
    /// It came, and this device did not make it: warn loudly.
    Came,
    /// The user said that it is his.
    Confirmed,
    /// Something this version does not know.
    #[serde(other)]
    Unknown,
}

/// A device of this account came, or was confirmed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceChanged {
    /// Device id.
    pub device: String,
    /// Its name; may be empty.
    pub name: String,
    /// What happened.
    pub change: DeviceChange,
}

/// Answer of `POST /devices/{device}/revoke`: durable here, and nobody holding the device can read what is written from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokedDevice {
    /// Device id.
    pub device: String,
    /// Its name; may be empty.
    pub name: String,
    /// The rooms in which it was revoked.
    pub rooms: Vec<String>,
    /// Rooms that could not be told now, with the reason for people: revoke it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<NotRevoked>,
}

/// A room that was not told of a revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NotRevoked {
    /// The room.
    pub room: String,
    /// Why, for people.
    pub why: String,
}
