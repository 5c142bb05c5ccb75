//! Quiet hours: a stretch of each day by the clock of this machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// From one minute of the day, to another, which may be on the day after. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Quiet {
    from: u16,
    to: u16,
}

/// Text that is no quiet hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quiet hours look like 22:00-07:00")]
pub struct NoHours;

impl Quiet {
    /// Whether this minute of the day is in them.
    pub(crate) fn holds(self, minute: u16) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl FromStr for Quiet {
    type Err = NoHours;

    fn from_str(text: &str) -> Result<Self, NoHours> {
        let (from, to) = text.split_once('-').ok_or(NoHours)?;
        let (from, to) = (minute(from.trim())?, minute(to.trim())?);
        // A stretch without length could mean never or always: neither was meant.
        if from == to { Err(NoHours) } else { Ok(Self { from, to }) }
    }
}

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl From<Quiet> for String {
    fn from(quiet: Quiet) -> Self {
        quiet.to_string()
    }
}

impl TryFrom<String> for Quiet {
    type Error = NoHours;

    fn try_from(text: String) -> Result<Self, NoHours> {
        text.parse()
    }
}

/// `7:30` as the minute of the day; `24:00` is its end, which is its beginning.
fn minute(text: &str) -> Result<u16, NoHours> {
    let (hour, minute) = text.split_once(':').ok_or(NoHours)?;
    let number = |digits: &str| -> Result<u16, NoHours> {
        let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if plain { digits.parse().map_err(|_| NoHours) } else { Err(NoHours) }
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    match hour * 60 + minute {
        DAY => Ok(0),
        all if minute < 60 && all < DAY => Ok(all),
        _ => Err(NoHours),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_over_midnight_and_within_a_day() {
        let night: Quiet = "22:00-7:30".parse().unwrap();
        assert_eq!(night.to_string(), "22:00-07:30");
        let held = |quiet: Quiet, times: &[(u16, u16)]| -> Vec<bool> {
            times.iter().map(|(hour, minute)| quiet.holds(hour * 60 + minute)).collect()
        };
        let times = [(21, 59), (22, 0), (23, 59), (0, 0), (7, 29), (7, 30), (12, 0)];
        assert_eq!(held(night, &times), [false, true, true, true, true, false, false]);
        let siesta: Quiet = "13:00-15:00".parse().unwrap();
        assert_eq!(held(siesta, &[(12, 59), (13, 0), (14, 59), (15, 0)]), [false, true, true, false]);
        assert_eq!("20:00-24:00".parse::<Quiet>().unwrap().to_string(), "20:00-00:00");
    }

    #[test]
    fn what_are_no_hours_is_refused() {
        for text in [
            "",
            "22-7",
            "22:00",
            "22:00-22:00",
            "25:00-07:00",
            "22:60-07:00",
            "-1:00-07:00",
            "00:00-24:00",
            "+1:00-2:00",
        ] {
            assert_eq!(text.parse::<Quiet>(), Err(NoHours), "{text}");
        }
    }
}
