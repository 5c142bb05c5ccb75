//! The rules of a room against hostile members: random histories of control events, and what must hold in each.
//!
//! Admins, moderators and members act at once on many sides of a partition; some are doctored: they write with old
//! parents, fork their logs, retaliate, hoard invites, appoint puppets, and go on after they were removed. Signatures
//! inside events are not checked here ([`Dag::insert_stored`](parlor_proto::dag::Dag::insert_stored)), the rules are.
//!
//! A test run plays ten thousand histories and more. In every one of them the resolver that is kept up to date, event by event
//! in another order, gives what the one from scratch gives.
//!
//! Every history follows from its seed. A failing one prints it; replay it with `PARLOR_SIM_SEED=seed`, and
//! run more with `PARLOR_SIM_RUNS=n`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program of tests: it fails by panicking"
)]

mod between;
mod cases;
mod chains;
mod claims;
mod people;
mod standing;
mod summary;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use world::World;

/// Histories of each family, unless the environment says otherwise.
const RUNS: u64 = 300;
/// Families with a claim of their own.
const FAMILIES: u64 = 9;
/// Histories of each of the [`CROWDS`], about which nothing else is asked than that all agree.
const CROWD: u64 = 2_000;
/// How many crowds: one a test, so that they run side by side.
const CROWDS: u64 = 4;
const _: () = assert!(FAMILIES * RUNS + CROWDS * CROWD >= 10_000, "ten thousand histories a test run");

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Runs a family of histories.
fn run(family: u64, check: impl Fn(&mut World)) {
    run_many(family, RUNS, check);
}

fn run_many(family: u64, runs: u64, check: impl Fn(&mut World)) {
    let only = number("PARLOR_SIM_SEED");
    let runs = only.map_or(number("PARLOR_SIM_RUNS").unwrap_or(runs), |_| 1);
    for n in 0..runs {
        let seed = only.unwrap_or(family * 1_000_000 + n);
        let history = AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            world.play();
            claims::grown_is_as_from_scratch(&mut world);
            check(&mut world);
        });
        if let Err(panic) = catch_unwind(history) {
            println!("history failed: PARLOR_SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
