//! The relay as its operator and its clients meet it: the program itself, and lines to a relay in this process.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print what they measured"
)]

mod directory;
mod packaging;
mod post;
mod program;
mod relay;
mod vectors;
