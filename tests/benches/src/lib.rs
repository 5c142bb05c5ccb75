//! What the benches share: measuring ours and the system beside it in turn, and saying so in one form.
//!
//! A bench is a program of `src/bin`. It measures with [`interleaved`], and prints each [`Row`] with [`Row::print`];
//! `cargo xtask bench` makes the tables of `docs/measures.md` from them. Machines are shared and noisy, so only ratios of
//! one run say something, and no test asserts one.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a bench prints its rows, and fails by panicking"
)]

pub mod cpu;
pub mod history;
pub mod keeping;
pub mod mls;
pub mod olm;
pub mod people;
pub mod sqlite;

/// The allocator of the program that is measured. SQLite brings its own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of a measurement: enough for a median that one disturbed round does not move.
pub const ROUNDS: usize = 5;

/// Medians of one measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Ours.
    pub ours: f64,
    /// The other's.
    pub theirs: f64,
    /// Median of ours / theirs of the same round.
    pub ratio: f64,
}

/// Measures both in turn, [`ROUNDS`] times, after one round of each that does not count. The closures answer their figure.
pub fn interleaved(mut ours: impl FnMut() -> f64, mut theirs: impl FnMut() -> f64) -> Pair {
    ours();
    theirs();
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (ours(), theirs())).collect();
    Pair::of(&rounds)
}

impl Pair {
    /// The medians of rounds of (ours, theirs), for benches that measure more than two things in turn.
    pub fn of(rounds: &[(f64, f64)]) -> Self {
        Self {
            ours: median(rounds.iter().map(|round| round.0)),
            theirs: median(rounds.iter().map(|round| round.1)),
            ratio: median(rounds.iter().map(|round| round.0 / round.1)),
        }
    }
}

/// Seconds that `work` takes.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = std::time::Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// The first argument as a number, for a quicker look than the full size.
pub fn size(full: u64) -> u64 {
    std::env::args().nth(1).map_or(full, |size| size.parse().unwrap())
}

/// The median; NaN of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// How far to get.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The ratio is at least this: ours is a rate.
    AtLeast(f64),
    /// The ratio is at most this: ours is a time, a size or a cost.
    AtMost(f64),
    /// Ours is at most this, in its own unit.
    UpTo(f64),
    /// Told, not judged.
    None,
}

impl Goal {
    /// Whether the figures reach it; nothing if there is nothing to reach.
    pub fn reached(self, pair: &Pair) -> Option<bool> {
        match self {
            Self::AtLeast(goal) => Some(pair.ratio >= goal),
            Self::AtMost(goal) => Some(pair.ratio <= goal),
            Self::UpTo(goal) => Some(pair.ours <= goal),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(goal) => format!(">= {goal}x"),
            Self::AtMost(goal) => format!("<= {goal}x"),
            Self::UpTo(goal) => format!("<= {goal}"),
            Self::None => "-".to_owned(),
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// What is measured.
    pub what: &'a str,
    /// The system beside ours.
    pub beside: &'a str,
    /// Unit of both figures.
    pub unit: &'a str,
    /// The figures.
    pub pair: Pair,
    /// How far to get.
    pub goal: Goal,
}

impl Row<'_> {
    /// Prints it as `cargo xtask bench` reads it: one JSON object on a line of its own.
    pub fn print(&self) {
        println!("{}", self.json());
    }

    fn json(&self) -> serde_json::Value {
        let Self { what, beside, unit, pair, goal } = self;
        serde_json::json!({
            "what": what,
            "ours": format!("{} {unit}", figure(pair.ours)),
            "beside": beside,
            "theirs": format!("{} {unit}", figure(pair.theirs)),
            "ratio": format!("{:.2}", pair.ratio),
            "goal": goal.text(),
            "reached": goal.reached(pair),
        })
    }
}

/// A number with about three digits that say something.
pub fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_not_moved_by_one_outlier() {
        assert_eq!(median([3.0, 1.0, 900.0, 2.0, 2.5].into_iter()), 2.5);
        assert_eq!(median([1.0, 2.0].into_iter()), 1.5);
    }

    #[test]
    fn the_first_round_does_not_count() {
        let (mut ours, mut theirs) = ([100.0, 2.0, 2.0, 2.0, 2.0, 2.0].into_iter(), [100.0].into_iter());
        let pair = interleaved(|| ours.next().unwrap(), || theirs.next().unwrap_or(4.0));
        assert_eq!(pair, Pair { ours: 2.0, theirs: 4.0, ratio: 0.5 });
    }

    #[test]
    fn a_row_says_whether_its_goal_is_reached() {
        let pair = Pair { ours: 1234.5, theirs: 1000.0, ratio: 1.2345 };
        let row = Row { what: "seal", beside: "a", unit: "us", pair, goal: Goal::AtMost(1.2) };
        let json = row.json();
        assert_eq!((json["ours"].as_str(), json["ratio"].as_str()), (Some("1234 us"), Some("1.23")));
        assert_eq!((json["goal"].as_str(), json["reached"].as_bool()), (Some("<= 1.2x"), Some(false)));
        assert_eq!(Goal::UpTo(1200.0).reached(&pair), Some(false));
        assert_eq!(Goal::AtLeast(2.0).reached(&Pair { ratio: 2.0, ..pair }), Some(true));
    }
}
