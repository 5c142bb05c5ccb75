//! Times: shown in the zone of the user, read as people write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

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

fn zoned(rfc3339: &str, zone: &TimeZone) -> Option<Zoned> {
    rfc3339.parse::<Timestamp>().ok().map(|t| t.to_zoned(zone.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
