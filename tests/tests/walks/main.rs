//! The promises of a chat between people, walked with real nodes on loopback.
//!
//! Each test is a story of the user guide. Commands and JSON are those of the command line, so these tests are also the
//! check that its names and exit codes stay.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail by panicking")]

mod asleep;
mod attention;
mod backup;
mod bad_input;
mod bots;
mod catching_up;
mod contacts;
mod copies;
mod devices;
mod doctor;
mod doctored;
mod door;
mod export;
mod fading;
mod files;
mod groups;
mod history;
mod joining;
mod keys;
mod local_api;
mod lying;
mod many;
mod nearby;
mod privacy;
mod profiles;
#[cfg(unix)]
mod readme;
mod relays;
mod requests;
mod roles;
mod saying;
mod search;
mod webhooks;
