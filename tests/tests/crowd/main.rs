//! Large rooms: many whole nodes in this process, over the in-process transport, each with a home of its own on disk.
//!
//! What needs hundreds of nodes is walked here without a process for each; what needs processes, signals and sockets is in
//! `walks`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail by panicking")]

mod nodes;
mod rooms;
