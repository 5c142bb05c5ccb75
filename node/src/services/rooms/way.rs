//! How far an own message came, and why no further: in words, and as codes for windows in other languages.

use parlor_api::MessageStatus;
use parlor_proto::outbox::{Failure, Status, Waiting};

/// How far an own message came, in the words of the API.
pub(super) struct Way {
    pub(super) status: MessageStatus,
    pub(super) delivered_to: u32,
    pub(super) read_by: u32,
    pub(super) reason: Option<String>,
    pub(super) reason_code: Option<String>,
}

impl Way {
    /// So far, and nothing in its way.
    pub(super) fn at(status: MessageStatus, delivered_to: u32, read_by: u32) -> Self {
        Self { status, delivered_to, read_by, reason: None, reason_code: None }
    }

    pub(super) fn because(self, code: &str, reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), reason_code: Some(code.to_owned()), ..self }
    }

    /// A status of the outbox.
    pub(super) fn of(status: Status) -> Self {
        match status {
            Status::Queued(why) => Self::at(MessageStatus::Queued, 0, 0).because(waiting_code(why), why.to_string()),
            Status::Sent => Self::at(MessageStatus::Sent, 0, 0),
            Status::Delivered { to, .. } => Self::at(MessageStatus::Delivered, to, 0),
            Status::Read { by, to, .. } => Self::at(MessageStatus::Read, to, by),
            Status::Failed(why) => Self::at(MessageStatus::Failed, 0, 0).because(failure_code(why), why.to_string()),
        }
    }
}

/// Names that programs compare: they never change.
fn waiting_code(why: Waiting) -> &'static str {
    match why {
        Waiting::NoSafeEpoch => "no_keys",
        Waiting::RoomNotReady => "room_not_ready",
        Waiting::Comparing => "comparing",
        Waiting::Unreachable => "unreachable",
        Waiting::Unconfirmed => "unconfirmed",
        _ => "waiting",
    }
}

fn failure_code(why: Failure) -> &'static str {
    match why {
        Failure::NotPermitted => "not_permitted",
        Failure::NoMember => "no_member",
        Failure::NoRoom => "no_room",
        Failure::TooLong => "too_long",
        Failure::Store => "not_stored",
        Failure::Cloned => "device_cloned",
        _ => "failed",
    }
}
