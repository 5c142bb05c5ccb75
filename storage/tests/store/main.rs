//! What the store promises, tested through its public face: by use, by model, by killing it, by cutting its power, by damaging its files and
//! by filling its disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking; helpers are tests, too")]
#![allow(clippy::print_stdout, reason = "seeds and reasons for skipping are printed")]

mod blobs;
mod canary;
mod common;
mod corrupt;
mod disk;
mod fading;
mod kill;
mod mail;
mod model;
#[cfg(target_os = "linux")]
mod power;
mod promises;
#[cfg(target_os = "linux")]
mod tape;
