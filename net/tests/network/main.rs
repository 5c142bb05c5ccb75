//! Promises of the network, kept between real nodes on loopback and in memory.
//!
//! One binary, so that it is linked once. Waiting is done by `eventually`, never by a bare sleep. [`failures`] holds the
//! failures of libp2p that were reproduced before this crate was written, each with the settings or the handling that survives it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod basics;
mod connections;
mod failures;
mod floods;
mod harness;
mod hostile;
mod relays;
