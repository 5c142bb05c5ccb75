//! Profiles: what people tell of themselves, and to whom we tell what.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who may see a field of our profile. Enforced by who gets the key, not by what others' programs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Visible {
    /// Nobody.
    #[default]
    Nobody,
    /// Contacts: people who want to write to us, and we to them.
    Contacts,
    /// Everybody in a room with us, and contacts.
    Rooms,
}

/// What somebody tells us of himself: `GET /profiles/{who}`, `GET /profiles`, and the event `profile`. What is absent was not
/// told to us.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Profile {
    /// Account id: what tells people apart whatever they call themselves.
    pub account: String,
    /// What to show: what we call him, else what he calls himself, else the name of his first device. With the beginning of the
    /// account behind where it looks like the name of somebody else we know. Neutralise before showing it on a terminal.
    pub name: String,
    /// What he calls himself in his profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_name: Option<String>,
    /// What he says about himself: plain text of up to 8 lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// His picture: `GET /pictures/{hash}` gives it, for ever the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// When he did something last, rounded down to ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<String>,
    /// Whether this is the account of this home.
    pub me: bool,
    /// Whether he is blocked: then nothing of what he tells is shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub blocked: bool,
}

/// Our own profile: `GET /profile`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnProfile {
    /// Account id.
    pub account: String,
    /// The name of this device's certificate, which members of our rooms see in any case.
    pub certificate_name: String,
    /// The name we chose.
    pub name: OwnField,
    /// What we say about ourselves.
    pub about: OwnField,
    /// The hash of our picture: `GET /pictures/{hash}` gives it.
    pub picture: OwnField,
    /// When we did something last, as others are told it. Off for as long as nobody may see it.
    pub last_seen: OwnField,
}

/// A field of our own profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OwnField {
    /// What it says; absent if it was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Who may see it.
    pub visible: Visible,
}

/// What is to be different: `PATCH /profile`. What is absent stays. The picture itself is set with `PUT /profile/picture`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProfile {
    /// The name: up to 64 bytes, words of one script each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<UpdateField>,
    /// The text about oneself: up to 512 bytes and 8 lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<UpdateField>,
    /// Who may see the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Visible>,
    /// Who may see when we did something last; `nobody` switches it off and forgets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Visible>,
}

/// What is to be different of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateField {
    /// What it says; empty to take it away. Absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Who may see it. Absent: as before, and everybody in our rooms if it was never set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visible: Option<Visible>,
}
