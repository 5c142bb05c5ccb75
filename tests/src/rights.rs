//! What a test may not do everywhere: make network namespaces, mount, read what goes over a wire.

use std::fmt::Display;

/// Set where every right is there, as in continuous integration: what is left out for want of one then fails.
const ALL_RIGHTS: &str = "PARLOR_ALL_RIGHTS";

/// Says that something is not tested here, and why.
///
/// # Panics
/// If whoever runs the tests said that every right is there.
#[track_caller]
#[allow(clippy::print_stdout, reason = "what was not tested is said in the output of the test")]
pub fn left_out(what: &str, why: impl Display) {
    println!("skipped: {what}: {why}");
    assert!(std::env::var_os(ALL_RIGHTS).is_none(), "{ALL_RIGHTS} is set, and yet {what} could not be tested: {why}");
}
