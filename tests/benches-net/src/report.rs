//! Rows of the tables of `docs/measures.md`, and what is said while measuring.

use parlor_benches::figure;

/// A row whose goal is not a ratio.
#[derive(Debug, Default)]
pub struct Line<'a> {
    /// What is measured.
    pub what: &'a str,
    /// Our figure with its unit.
    pub ours: String,
    /// The system beside ours; empty when there is none.
    pub beside: &'a str,
    /// Its figure with its unit.
    pub theirs: String,
    /// Ours by theirs.
    pub ratio: Option<f64>,
    /// How far to get.
    pub goal: &'a str,
    /// Whether we got there.
    pub reached: Option<bool>,
}

impl Line<'_> {
    /// Prints it as `cargo xtask bench` reads it.
    #[allow(clippy::print_stdout, reason = "a bench prints its rows")]
    pub fn print(&self) {
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let row = serde_json::json!({
            "what": self.what,
            "ours": self.ours,
            "beside": or_dash(self.beside),
            "theirs": or_dash(&self.theirs),
            "ratio": self.ratio.map_or("-".to_owned(), figure),
            "goal": or_dash(self.goal),
            "reached": self.reached,
        });
        println!("{row}");
    }
}

/// Says on standard error how a measurement goes on.
#[allow(clippy::print_stderr, reason = "a bench tells what it does")]
pub fn say(text: impl std::fmt::Display) {
    eprintln!("{text}");
}

/// The value at `share` (0 to 1) of sorted values; NaN of none.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// A number from the environment, to run a bench smaller or larger than it is meant to be.
pub fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
