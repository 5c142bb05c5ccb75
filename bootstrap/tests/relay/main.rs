//! The relay as its operator and its clients meet it: the program itself, and lines to a relay in this process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod directory;
mod packaging;
mod program;
mod relay;
