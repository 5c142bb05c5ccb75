//! Contacts: people with names of our own, whom we let write to us, and whom we verified.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::message::MessageStatus;

/// How far two accounts are with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContactState {
    /// We asked and were not answered yet.
    Asked,
    /// It asks us: accept or block it.
    Asking,
    /// Both want.
    Contact,
    /// Neither asked: only named, verified or blocked.
    Known,
}

/// Somebody in the book: item of `GET /contacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    /// Account id.
    pub account: String,
    /// What we call it, else what it calls itself: neutralise before showing it on a terminal.
    pub name: String,
    /// What it calls itself; nobody has checked that.
    pub own_name: String,
    /// How far we are.
    pub state: ContactState,
    /// Whether the safety number was compared and nothing changed since.
    pub verified: bool,
    /// When it was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<String>,
    /// When a device came to the account after that: compare again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
    /// Whether nothing of it is taken or shown.
    pub blocked: bool,
    /// The greeting of who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// When it asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<String>,
    /// The direct chat with it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Our letter, a question or a yes, lies in its inbox at a relay, as that relay says.
    #[serde(default)]
    pub mailed: bool,
    /// When it came into the book.
    pub since: String,
}

/// The own card: answer of `GET /contacts/card`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactCard {
    /// The card as a link: whoever has it can ask to write to us.
    pub link: String,
    /// The card as text of a QR code.
    pub qr: String,
    /// Account id.
    pub account: String,
    /// Name of the account.
    pub name: String,
}

/// Somebody to be added: `POST /contacts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddContact {
    /// A contact card, an account, a unique beginning of one, `@name` of somebody in a room, or `@name@relay`.
    pub who: String,
    /// A greeting that goes with the question, at most 512 bytes.
    #[serde(default)]
    pub text: String,
    /// What we call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `PUT /contacts/{who}/block`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockContact {
    /// Whether it is blocked from now on.
    pub blocked: bool,
}

/// `PUT /contacts/{who}/name`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NameContact {
    /// What we call it; empty to take that back.
    pub name: String,
}

/// `PUT /contacts/{who}/safety`: the number was compared, or the mark is taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyContact {
    /// Whether it is verified from now on.
    pub verified: bool,
    /// The 60 digits that the other side showed, if they were read by machine: refused if they are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
}

/// The safety number with somebody: answer of `GET` and `PUT /contacts/{who}/safety`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Safety {
    /// Account id.
    pub account: String,
    /// Its name.
    pub name: String,
    /// 60 digits in groups of five; both see the same.
    pub safety_number: String,
    /// Text of a QR code that the other side scans.
    pub qr: String,
    /// Whether it is verified and nothing changed since.
    pub verified: bool,
    /// When a device came to the account after it was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<String>,
}

/// A direct chat to be opened: `POST /dm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenDirect {
    /// Whom: as in [`AddContact`], or the name or account of a contact.
    pub who: String,
    /// A first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A direct chat: answer of `POST /dm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Direct {
    /// The room.
    pub room: String,
    /// The message that was sent with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How far that message is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<MessageStatus>,
    /// With whom.
    pub account: String,
    /// Its name.
    pub name: String,
    /// How far we are: what is written waits until both want.
    pub state: ContactState,
}

/// A name to be claimed: `POST /names`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimName {
    /// The name, with or without `@`.
    pub name: String,
    /// At which relay: its address, or the host of one of ours.
    pub relay: String,
}

/// A name at a relay: answer of `POST /names` and `GET /names/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameEntry {
    /// The name, with `@`.
    pub name: String,
    /// The relay.
    pub relay: String,
    /// The account that it leads to.
    pub account: String,
    /// Its contact card.
    pub link: String,
    /// When the account got it, as the relay says and signs.
    pub since: String,
    /// When its card was last renewed.
    pub updated_at: String,
}
