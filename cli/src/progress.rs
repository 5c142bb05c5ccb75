//! How far something came, on a terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

use crate::display;

/// Between two lines of progress.
const PAUSE: Duration = Duration::from_millis(150);

/// Columns of the bar.
const BAR: usize = 24;

/// A line on standard error that is written over, if that is a terminal and nobody wants quiet.
pub struct Progress {
    shown: bool,
    label: String,
    total: u64,
    last: Option<Instant>,
}

impl Progress {
    /// Of `label` with so many bytes in all.
    pub fn new(wanted: bool, label: &str, total: u64) -> Self {
        let shown = wanted && io::stderr().is_terminal();
        Self { shown, label: display::neutral_line(label), total, last: None }
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Came so far; `remark` says what it waits for.
    pub fn at(&mut self, bytes: u64, remark: &str) {
        if !self.shown || self.last.is_some_and(|last| last.elapsed() < PAUSE) {
            return;
        }
        self.last = Some(Instant::now());
        let _ = write!(io::stderr().lock(), "\r\u{1b}[K{}", line(&self.label, bytes, self.total, remark));
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if self.shown && self.last.take().is_some() {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn line(label: &str, bytes: u64, total: u64, remark: &str) -> String {
    let part = bytes.min(total).saturating_mul(BAR as u64).checked_div(total).unwrap_or(BAR as u64);
    // At most BAR.
    let full = usize::try_from(part).unwrap_or(BAR);
    let bar = format!("{}{}", "#".repeat(full), "-".repeat(BAR.saturating_sub(full)));
    let remark = if remark.is_empty() { String::new() } else { format!("  {remark}") };
    format!("{label} [{bar}] {} of {}{remark}", display::bytes(bytes), display::bytes(total))
}

/// A reader that tells how far it came.
pub struct Counted<'a, R> {
    inner: R,
    bytes: u64,
    progress: &'a mut Progress,
}

impl<'a, R> Counted<'a, R> {
    /// Counts what is read of `inner`.
    pub fn new(inner: R, progress: &'a mut Progress) -> Self {
        Self { inner, bytes: 0, progress }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes += n as u64;
        self.progress.at(self.bytes, "");
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_came() {
        assert_eq!(line("a", 0, 100, ""), "a [------------------------] 0 B of 100 B");
        assert_eq!(line("a", 2_048, 4_096, "waiting"), "a [############------------] 2.0 KiB of 4.0 KiB  waiting");
        assert_eq!(line("a", 0, 0, ""), "a [########################] 0 B of 0 B");
        assert_eq!(line("a", u64::MAX, 1, ""), format!("a [{}] {} of 1 B", "#".repeat(BAR), display::bytes(u64::MAX)));
    }
}
