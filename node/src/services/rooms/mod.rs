//! The rooms service: everything that happens in a room.
//!
//! Rooms are spread over a small pool of workers by their id; a worker is one task that owns its rooms' state machines
//! ([`parlor_proto::room::Room`]), their sync sessions and their outbox. What happens to a room passes through three
//! steps: the machine changes its mind ([`entry`]), the outcome is committed as one durable batch ([`commit`]), and only
//! then others learn of it ([`settle`]): peers, windows, whoever asked. A worker never waits for the disk or a peer;
//! commits and reads are jobs whose ends it handles like any other event.
//!
//! If a commit fails, the machine stands behind something that is not on disk: the entry is thrown away and restored
//! from the store, and its peers are dropped so that sync begins anew.

mod arrival;
mod attention;
mod begin;
mod commit;
mod cores;
mod damaged;
mod delivery;
pub(crate) mod devices;
mod direct;
mod directory;
mod early;
mod entry;
mod export;
mod fading;
mod files;
mod folds;
mod forks;
mod former;
mod gossip;
mod govern;
mod groups;
mod guard;
mod handle;
mod holes;
mod ingest;
mod instant;
mod invites;
mod key_asks;
mod knocks;
mod log;
mod mail;
mod message;
mod opening;
mod outbox_words;
mod outgoing;
mod presence;
mod profiles;
mod promised;
mod reads;
mod requests;
mod restore;
mod say;
mod seen;
mod sessions;
mod settle;
mod sight;
mod split;
#[cfg(test)]
mod tests;
mod unread;
mod views;
mod waiting;
mod way;
mod who;
mod wishes;
mod worker;

pub(crate) use attention::files_of_draft;
pub(crate) use begin::start;
pub(crate) use damaged::was_thrown_away;
#[cfg(test)]
pub(crate) use directory::Online;
pub(crate) use directory::{Directory, Summary};
pub(crate) use entry::names::{DRAFT, FORK};
pub(crate) use entry::parts as stored_parts;
pub(crate) use files::{file_view, note_files};
pub(crate) use handle::Rooms;
pub(crate) use message::{KnockEnd, Knocked, NoAnswer, Opened};
pub(crate) use seen::Seen;
pub(crate) use views::open;
pub(crate) use wishes::{checked_title, made_room};
pub(crate) use worker::Context;
