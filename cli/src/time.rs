//! Times: shown in the zone of the user, read as people write them.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Length of a day as people write it: 2026-11-21.
const DAY: usize = 10;
/// A clock that is ahead by more says nothing about when something was written.
const AHEAD: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// A time of the API as date and time of the user's zone; what is no time stays as it is.
pub fn local(rfc3339: &str) -> String {
    zoned(rfc3339, &TimeZone::system()).map_or_else(|| rfc3339.to_owned(), |t| t.strftime("%Y-%m-%d %H:%M").to_string())
}

/// The same, as the time alone when it is today.
pub fn brief(rfc3339: &str) -> String {
    let zone = TimeZone::system();
    let today = Timestamp::now().to_zoned(zone.clone()).date();
    match zoned(rfc3339, &zone) {
        Some(t) if t.date() == today => t.strftime("%H:%M").to_string(),
        Some(t) => t.strftime("%Y-%m-%d %H:%M").to_string(),
        None => rfc3339.to_owned(),
    }
}

/// The time to show for a message: when it was sent, or when it came if its author's clock was ahead by more than clocks differ.
pub fn said<'a>(sent_at: &'a str, received_at: &'a str) -> &'a str {
    let times = (sent_at.parse::<Timestamp>(), received_at.parse::<Timestamp>());
    let (Ok(sent), Ok(received)) = times else { return sent_at };
    if sent.duration_since(received) > AHEAD { received_at } else { sent_at }
}

/// A date, a date with time, or an RFC 3339 time, as an RFC 3339 time; in the user's zone when it names none.
///
/// # Errors
/// What a date looks like.
pub fn parse(text: &str) -> Result<String, String> {
    parse_in(text, &TimeZone::system())
}

fn parse_in(text: &str, zone: &TimeZone) -> Result<String, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.to_string());
    }
    // A date alone is its midnight.
    let time = text.parse::<DateTime>().ok().and_then(|c| zone.to_timestamp(c).ok());
    time.map(|t| t.to_string()).ok_or_else(|| "a date looks like 2026-11-21 or '2026-11-21 08:00'".into())
}

/// A day as the time at which it begins in the user's zone, or ends if it is the `last`; what is no day stays as it is.
pub fn bound(text: &str, last: bool) -> String {
    bound_in(text, last, &TimeZone::system()).unwrap_or_else(|| text.to_owned())
}

fn bound_in(text: &str, last: bool, zone: &TimeZone) -> Option<String> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == DAY)?;
    let day = if last { day.tomorrow().ok()? } else { day };
    let begins = zone.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    Some(if last { begins - jiff::SignedDuration::from_millis(1) } else { begins }.to_string())
}

fn zoned(rfc3339: &str, zone: &TimeZone) -> Option<Zoned> {
    rfc3339.parse::<Timestamp>().ok().map(|t| t.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_that_of_the_user() {
        let zone = TimeZone::fixed(jiff::tz::offset(9));
        assert_eq!(bound_in("2026-11-23", false, &zone).as_deref(), Some("2026-11-22T15:00:00Z"));
        assert_eq!(bound_in("2026-11-22", true, &zone).as_deref(), Some("2026-11-22T14:59:59.999Z"));
        assert_eq!(bound("2026-11-22T10:00:00Z", true), "2026-11-22T10:00:00Z");
        assert_eq!(bound("soon", false), "soon");
    }

    #[test]
    fn what_was_sent_tomorrow_is_shown_when_it_came() {
        let (sent, later) = ("2026-11-21T08:00:00Z", "2026-11-21T08:05:00Z");
        assert_eq!((said(sent, later), said(later, sent)), (sent, later));
        assert_eq!(said("2026-11-22T08:00:00Z", sent), sent);
        assert_eq!(said("soon", sent), "soon");
    }

    #[test]
    fn dates_are_read_in_the_zone_of_the_user() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let cases = [
            ("2026-11-21", "2026-11-20T22:00:00Z"),
            ("2026-11-21 08:30", "2026-11-21T06:30:00Z"),
            ("2026-11-21T08:30:00Z", "2026-11-21T08:30:00Z"),
            ("2026-11-21T08:30:00+01:00", "2026-11-21T07:30:00Z"),
        ];
        for (text, wanted) in cases {
            assert_eq!(parse_in(text, &zone).as_deref(), Ok(wanted), "{text}");
        }
        assert!(parse_in("yesterday", &zone).is_err());
    }
}
