//! What goes wrong, as clients see it: one table of stable codes with their HTTP status and exit code.
//!
//! A [`Problem`] is an RFC 9457 problem document (`application/problem+json`) with two more members: `code`, which
//! programs compare, and `hint`, which tells a person what to do. The command line prints the same code and hint and
//! exits with [`Code::exit`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! codes {
    ($($variant:ident $name:literal $status:literal $exit:literal $title:literal)*) => {
        /// A stable error code. Codes are never renamed; new ones may appear.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum Code {
            $(#[doc = $title] #[serde(rename = $name)] $variant,)*
            /// A code this version does not know, from a newer node.
            #[serde(rename = "unknown", other)]
            Unknown,
        }

        impl Code {
            /// Every code this version knows, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The code as it is written in JSON.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Unknown => "unknown" }
            }

            /// Status of the HTTP answer that carries it.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* Self::Unknown => 500 }
            }

            /// Exit code of the command line: 1 failed, 2 wrong usage, 3 no node, 4 not permitted, 5 not found,
            /// 6 unreachable or timed out.
            pub fn exit(self) -> u8 {
                match self { $(Self::$variant => $exit,)* Self::Unknown => 1 }
            }

            /// What usually helps, for problems that say nothing better.
            pub fn hint(self) -> Option<&'static str> {
                Some(match self {
                    Self::RoomNotFound => "parlor room list shows the rooms of this account",
                    Self::MessageNotFound => "parlor history ROOM --json shows the ids of messages",
                    Self::InviteNotFound => "parlor invite list ROOM shows the invites",
                    Self::ContactNotFound => "parlor contact list shows who is in your book; add somebody by his card",
                    Self::Blocked => "parlor contact block WHO --undo takes the block back",
                    Self::MemberNotFound => "parlor members ROOM shows who is in the room",
                    Self::FileNotHere => "fetch it with: parlor file get ROOM MESSAGE",
                    Self::Stopping | Self::NoNode => "start the node with: parlor run",
                    Self::Busy | Self::TimedOut | Self::RateLimited => "try again in a moment",
                    Self::SplitView => "update parlor on both sides; compare the state in `parlor room show` with others",
                    Self::DeviceCloned => "run one copy of a home only; with a new home you can be invited again",
                    Self::PassphraseShort => "take four words that do not belong together: whoever copies the file tries all short ones",
                    Self::DeviceNew => "parlor device confirm DEVICE if it is yours; if not: parlor device revoke DEVICE",
                    Self::DeviceStillIn => "revoke it there too: parlor device revoke DEVICE",
                    Self::Banned | Self::JoinRefused => "ask the one who invited you",
                    Self::Internal => "look into the log of the node (parlor run -v), and report it",
                    Self::BadRequest | Self::Usage | Self::MethodNotAllowed | Self::NotFound => "--help after the command shows what it takes",
                    _ => return None,
                })
            }

            /// One line that is the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* Self::Unknown => "unknown problem" }
            }
        }
    };
}

codes! {
    // variant         code                 status exit title
    BadRequest        "bad_request"         400    2    "the request is not well formed"
    Usage             "usage"               400    2    "wrong usage"
    EmptyText         "empty_text"          400    2    "the text is empty"
    NotUtf8           "not_utf8"            400    2    "the text is not UTF-8"
    TooLong           "too_long"            413    2    "the text or request is too long"
    Ambiguous         "ambiguous"           409    2    "the name fits more than one"
    LinkDamaged       "link_damaged"        400    2    "the link is damaged"
    NoQr              "no_qr"               400    2    "the picture holds no readable QR code"
    PassphraseShort   "passphrase_short"    400    2    "the passphrase is shorter than 8 characters"
    BadConfig         "bad_config"          400    2    "the configuration is wrong"

    NoNode            "no_node"             503    3    "no node is running for this home"
    Stopping          "stopping"            503    3    "the node is stopping"

    Unauthorized      "unauthorized"        401    4    "the token is missing or wrong"
    ScopeMissing      "scope_missing"       403    4    "the token does not allow this"
    NotPermitted      "not_permitted"       403    4    "the room does not permit this"
    InviteExpired     "invite_expired"      410    4    "the invite has expired"
    InviteExhausted   "invite_exhausted"    410    4    "the invite is used up"
    InviteRevoked     "invite_revoked"      410    4    "the invite has been revoked"
    JoinRefused       "join_refused"        403    4    "joining was refused"
    JoinCancelled     "join_cancelled"      409    1    "the join was cancelled"
    Blocked           "blocked"             409    4    "the contact is blocked"
    Banned            "banned"              403    4    "this account is banned from the room"
    SplitView         "split_view"          409    1    "a member sees another room in the same events"
    DeviceCloned      "device_cloned"       409    1    "this device was copied and both have written: it writes nothing any more"

    NotFound          "not_found"           404    5    "there is no such thing"
    NoAccount         "no_account"          404    5    "this home has no account"
    RoomNotFound      "room_not_found"      404    5    "there is no such room"
    MessageNotFound   "message_not_found"   404    5    "there is no such message"
    InviteNotFound    "invite_not_found"    404    5    "there is no such invite"
    ContactNotFound   "contact_not_found"   404    5    "there is no such contact"
    MemberNotFound    "member_not_found"    404    5    "there is no such member"
    FileNotFound      "file_not_found"      404    5    "the message has no such file"

    Unreachable       "unreachable"         504    6    "nobody who could answer is reachable"
    TimedOut          "timed_out"           504    6    "it took too long"

    ForeignHost       "foreign_host"        421    1    "the request is addressed to another host"
    ForeignOrigin     "foreign_origin"      403    1    "the request comes from another web page"
    RateLimited       "rate_limited"        429    1    "too many attempts"
    MethodNotAllowed  "method_not_allowed"  405    1    "the route does not know this method"
    FellBehind        "fell_behind"         410    1    "events were missed: read the state again"
    AlreadyExists     "already_exists"      409    1    "it exists already"
    Conflict          "conflict"            409    1    "it does not fit the present state"
    DevicesChanged    "devices_changed"     409    1    "a device came to a verified account: compare safety numbers again"
    DeviceNew         "device_new"          409    1    "a device came to this account: revoke it if it is not yours"
    DeviceStillIn     "device_still_in"     409    1    "a revoked device reads on where nobody revoked it"
    NameTaken         "name_taken"          409    1    "the name is taken, or looks like one that is"
    SafetyDiffers     "safety_differs"      409    1    "the safety numbers differ"
    FileNotHere       "file_not_here"       409    1    "the file is not on this device"
    FileBroken        "file_broken"         409    1    "the file was not made whole by its author"
    Metadata          "metadata"            409    1    "what a picture says beside the picture can not be taken out"
    ExportDiffers     "export_differs"      409    1    "the export is not what was signed"
    BackupDamaged     "backup_damaged"      400    1    "the backup is damaged, or none"
    LastOwner         "last_owner"          409    1    "the room would be left without an owner"
    HomeLocked        "home_locked"         409    1    "another node owns this home"
    HomeDenied        "home_denied"         500    1    "the home can not be read or written"
    HomeDamaged       "home_damaged"        500    1    "a file of the home is damaged"
    WrongPassphrase   "wrong_passphrase"    403    1    "the passphrase is wrong"
    PassphraseNeeded  "passphrase_needed"   503    1    "the home is locked with a passphrase"
    PortInUse         "port_in_use"         500    1    "the address is in use"
    DiskFull          "disk_full"           507    1    "the disk is full"
    NotYet            "not_yet"             501    1    "this version can not do that yet"
    Busy              "busy"                503    1    "the node has too much to do"
    Internal          "internal"            500    1    "the node failed"
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A problem document (RFC 9457): why a request was not done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:parlor:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The title of the code.
    pub title: String,
    /// Status of the HTTP answer.
    pub status: u16,
    /// What happened this time, for people: lower case, no full stop, no content of messages.
    pub detail: String,
    /// What programs compare.
    pub code: Code,
    /// What to do about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Why, where the code alone says little: a code that never changes, for windows in other languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason_code: Option<Box<str>>,
}

impl Problem {
    /// A problem of this code with what happened.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:parlor:problem:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            hint: code.hint().map(str::to_owned),
            reason_code: None,
        }
    }

    /// A problem of this code whose title says everything.
    pub fn of(code: Code) -> Self {
        Self::new(code, code.title())
    }

    /// The same with a code that says more than its own.
    #[must_use]
    pub fn reason(mut self, code: &str) -> Self {
        self.reason_code = Some(code.into());
        self
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_json_and_has_a_status_and_an_exit_code() {
        for &code in Code::ALL {
            let json = serde_json::to_string(&code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
            assert!((400..600).contains(&code.status()), "{code}");
            assert!((1..=6).contains(&code.exit()), "{code}");
        }
    }

    #[test]
    fn a_code_of_a_newer_node_is_still_a_problem() {
        let json = r#"{"type":"urn:x","title":"t","status":418,"detail":"d","code":"teapot"}"#;
        assert_eq!(serde_json::from_str::<Problem>(json).unwrap().code, Code::Unknown);
    }
}
