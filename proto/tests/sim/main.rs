//! The seeded simulator: short random histories of a room, with the machines that nodes run.
//!
//! Some people with a device or two each, on a network that loses and repeats gossip, delays, reorders, cuts connections and
//! falls into parts; they write, invite, join by link, leave, crash (losing what was not committed) and come back. At the
//! end the network heals, and everybody must hold the same room. What is checked is listed in [`checks`].
//!
//! Every history follows from its seed. A failing one prints it; replay it with `PARLOR_SIM_SEED=seed`, and
//! run more with `PARLOR_SIM_RUNS=n`; `PARLOR_SIM_VERBOSE=1` says what happened in each.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program of tests: it fails by panicking"
)]

mod checks;
mod devices;
mod disk;
mod early;
mod govern;
mod join;
mod keys;
mod keys_tracker;
mod knowledge;
mod liar;
mod marks;
mod node;
mod node_io;
mod theft;
mod villain;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use parlor_proto::control::History;

use world::{Plan, World};

/// Histories of each family, unless the environment says otherwise.
const RUNS: u64 = 25;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Runs a family of histories.
fn run(family: u64, plan: impl Fn(u64) -> Plan) {
    run_so_many(RUNS, family, plan);
}

/// As [`run`], of which so many are played.
fn run_so_many(runs: u64, family: u64, plan: impl Fn(u64) -> Plan) {
    let only = number("PARLOR_SIM_SEED");
    let runs = only.map_or(number("PARLOR_SIM_RUNS").unwrap_or(runs), |_| 1);
    for n in 0..runs {
        let seed = only.unwrap_or(family * 1_000_000 + n);
        let history = AssertUnwindSafe(|| {
            let mut world = World::new(seed, plan(seed));
            world.run();
            checks::final_state(&mut world);
            if std::env::var_os("PARLOR_SIM_VERBOSE").is_some() {
                println!("{seed}: {}", world.summary());
            }
        });
        if let Err(panic) = catch_unwind(history) {
            println!("history failed: PARLOR_SIM_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

#[test]
fn everybody_ends_with_the_same_room() {
    run(1, |_| Plan { history: History::Full, ..Plan::default() });
}

#[test]
fn newcomers_read_nothing_from_before_they_came() {
    run(2, |_| Plan { history: History::None, joins: 4, ..Plan::default() });
}

#[test]
fn crashes_lose_and_repeat_nothing() {
    run(3, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        crashes: 8,
        gossip_loss: 50,
        ..Plan::default()
    });
}

#[test]
fn invites_raced_for_in_parts_of_the_network_admit_no_more_than_they_say() {
    run(4, |_| Plan { people: 6, joins: 10, partitions: 5, uses: 1, leaves: 1, ..Plan::default() });
}

#[test]
fn without_gossip_sync_brings_everything() {
    run(5, |_| Plan { gossip_loss: 100, line: true, ..Plan::default() });
}

#[test]
fn homes_that_are_put_back_to_an_old_copy_fork_and_everybody_holds_both_branches() {
    run(7, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        restores: 3,
        crashes: 1,
        writes: 60,
        line: seed % 3 == 0,
        ..Plan::default()
    });
}

#[test]
fn who_left_is_out_and_what_was_written_before_counts() {
    run(6, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        people: 5,
        leaves: 3,
        crashes: 3,
        joins: 8,
        ..Plan::default()
    });
}

#[test]
fn whoever_governs_whom_in_whatever_part_of_the_network_all_agree_in_the_end() {
    run(8, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        people: 6,
        governs: 14,
        leaves: 1,
        joins: 12,
        partitions: 3,
        phones: (seed % 3) as usize,
        devices: 6,
        ..Plan::default()
    });
}

#[test]
fn whoever_rules_and_changes_what_newcomers_may_read_keys_go_to_those_entitled() {
    run(10, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        people: 6,
        governs: 20,
        modes: true,
        leaves: 2,
        joins: 14,
        crashes: 4,
        partitions: 4,
        line: seed % 3 == 0,
        ..Plan::default()
    });
}

#[test]
fn newest_pages_come_first_and_all_end_as_without_them() {
    // The 31st found what messages cover that were above a parent that was given up.
    run_so_many(35, 28, |seed| Plan {
        history: if seed % 4 == 3 { History::None } else { History::Full },
        people: 5,
        writes: 90,
        joins: 8,
        crashes: 6,
        leaves: (seed % 2) as usize,
        partitions: 4,
        gossip_loss: 70,
        line: seed % 2 == 0,
        ..Plan::default()
    });
    let shown = early::SHOWN.load(std::sync::atomic::Ordering::Relaxed);
    assert!(shown > 0 || number("PARLOR_SIM_SEED").is_some(), "no page was ever shown");
}

#[test]
fn newest_pages_of_liars_leave_nothing_behind() {
    run(29, |seed| Plan {
        people: 5,
        villains: 2,
        deeds: 25,
        writes: 70,
        joins: 9,
        crashes: 4,
        partitions: 4,
        gossip_loss: 70,
        governs: (seed % 4) as usize,
        ..Plan::default()
    });
}

#[test]
fn clocks_wrong_by_hours_and_days_stop_nobody() {
    const DAY_MS: i64 = 86_400_000;
    run(25, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        skew_ms: if seed % 3 == 0 { 30 * DAY_MS } else { DAY_MS / 3 },
        governs: 8,
        joins: 10,
        ..Plan::default()
    });
}

#[test]
fn hostile_members_divide_nobody_read_nothing_after_they_are_out_and_stop_nothing() {
    run(9, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        people: 6,
        villains: 1 + (seed % 2) as usize,
        deeds: 30,
        governs: 10,
        joins: 12,
        phones: (seed % 3) as usize,
        devices: 4,
        ..Plan::default()
    });
}

#[test]
fn a_network_of_neighbours_with_hostile_members_among_them_comes_to_the_same_room() {
    run(26, |seed| Plan {
        history: if seed % 2 == 0 { History::Full } else { History::None },
        people: 7,
        villains: 2,
        deeds: 40,
        phones: (seed % 3) as usize,
        devices: 4,
        governs: 12,
        joins: 14,
        partitions: 3,
        gossip_loss: 60,
        modes: true,
        line: seed % 2 == 0,
        ..Plan::default()
    });
}
