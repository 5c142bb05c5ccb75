//! The services: each owns one state in one task, others hold a handle.
//!
//! | service | owns |
//! |---|---|
//! | [`rooms`] | the rooms: state machines, sync sessions, outbox, delivery; a small pool of workers, by room |
//! | [`peers`] | the connections: sync links, whom to stay connected to, known addresses |
//! | [`joins`] | joins under way, and strangers who knock |
//! | [`mailboxes`] | lines to relays: what is written for members who are away, and read of them |
//! | [`attention`] | the settings of what calls the user and what of him others see; notifications |
//! | [`contacts`] | the book of contacts, letters from and to people we share no room with, direct chats |
//! | [`profiles`] | our own profile; what others tell of themselves, for windows |
//! | [`groups`] | group chats of several contacts: whom we invite, what contacts invite us into |
//! | [`files`] | files of messages: chunks on the disk, what is fetched, lines of those who fetch from us |
//! | [`search`] | the index of all messages: kept up to date behind the store, asked by windows |
//! | [`fading`] | nothing: has what is over taken away, and its keys destroyed |
//! | [`webhooks`] | what programs of the owner are told, and how far each is |
//! | [`names`] | nothing: asks the directories of relays |
//! | [`own`] | which devices of the own account came and were not confirmed |
//! | [`leafs`] | the account's file: replaces the leaf key every week |

#[cfg(test)]
pub(crate) mod alone;
pub(crate) mod attention;
pub(crate) mod contacts;
pub(crate) mod fading;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod joins;
pub(crate) mod leafs;
pub(crate) mod mailboxes;
pub(crate) mod names;
pub(crate) mod own;
pub(crate) mod peers;
pub(crate) mod profiles;
pub(crate) mod rooms;
pub(crate) mod search;
pub(crate) mod webhooks;
pub(crate) mod why;

use parlor_api::{Code, Problem};
use parlor_storage::CommitError;

/// What a failed commit means to the user.
pub(crate) fn commit_problem(error: &CommitError) -> Problem {
    match error {
        CommitError::DiskFull => {
            Problem::of(Code::DiskFull).hint("make room on the disk and try again: nothing is lost")
        }
        CommitError::ReadOnly => Problem::new(Code::HomeDenied, error.to_string()).hint("remount it writable"),
        CommitError::Damaged(_) => crate::home_damaged(error.to_string()),
        CommitError::Closed => Problem::of(Code::Stopping),
        other => Problem::new(Code::Internal, other.to_string()),
    }
}
