//! The mailboxes service: what is written for members who are away, and read of those who were here.
//!
//! One task owns the lines to relays and drives [`parlor_proto::mailbox::Mailboxes`]. It reads the boxes of all rooms that
//! have relays and hands what comes out to the rooms service; a blob counts as read when what is in it is durable here.
//! What this device writes goes to every relay of the room. No list of it is kept: our own logs are on disk without gaps, so
//! a place in each of them for each relay ([`feed`]) says what is still to be put, through any crash, and putting the same
//! again is one blob all the same, because it is sealed alike.
//!
//! | module | noun |
//! |---|---|
//! | [`handle`] | what others tell and ask |
//! | [`plan`] | what a room wants of its mailboxes |
//! | [`feed`] | what of ours is at which relay |
//! | [`intake`] | what came and is not taken yet |
//! | [`kept`] | what is remembered on disk |
//! | [`lines`] | lines to relays |
//! | [`doors`] | knocks that wait in mailboxes |
//! | [`door_reads`] | what is read for who comes in by a link alone |
//! | [`at_doors`] | what is left at a door for him |
//! | [`snapshots`] | what is left there for who was let in |
//! | [`troubles`] | what goes wrong with relays, in codes |
//! | [`actor`] | the owner of all that |
//!
//! A relay that is gone, lies or drops is a line in the status; the others are used as if it were not there.

mod actor;
mod at_doors;
mod door_reads;
mod doors;
mod feed;
mod handle;
mod intake;
mod kept;
mod lines;
mod plan;
mod relays;
mod snapshots;
#[cfg(test)]
mod tests;
mod tokens;
mod troubles;

pub(crate) use actor::{Parts, run};
pub(crate) use doors::{DoorNews, JoinDoor};
pub(crate) use handle::{Mailboxes, RelayView};
pub(crate) use intake::Became;
pub(crate) use kept::NAME as KEPT;
pub(crate) use plan::{Left, Plan, SharedBox, Stretch, Tips};
pub(crate) use relays::Relay;
pub(crate) use troubles::of_reservation;
