//! Durations as people write them: `90s`, `15m`, `12h`, `7d`, `2w`, and several together as in `1h30m`.

/// Longest duration that is understood, in seconds: ten years.
const LONGEST: u64 = 10 * 365 * 86_400;

/// Seconds of a duration that is not zero.
///
/// # Errors
/// What a duration looks like.
pub fn parse(text: &str) -> Result<u64, String> {
    match parse_or_off(text)? {
        0 => Err("must be longer than nothing".into()),
        seconds => Ok(seconds),
    }
}

/// Seconds of a duration; `0` and `off` are zero.
///
/// # Errors
/// What a duration looks like.
pub fn parse_or_off(text: &str) -> Result<u64, String> {
    if matches!(text, "0" | "off") {
        return Ok(0);
    }
    let wrong = || "a duration is a number with s, m, h, d or w, such as 90s or 7d".to_owned();
    let mut total = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let mut after = unit.chars();
        let seconds = match after.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            _ => return Err(wrong()),
        };
        total = number.checked_mul(seconds).and_then(|n| total.checked_add(n)).unwrap_or(u64::MAX);
        rest = after.as_str();
    }
    match total {
        _ if text.is_empty() => Err(wrong()),
        0 => Err("must be longer than nothing".into()),
        LONGEST.. => Err("must be shorter than ten years".into()),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_written() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), ("1h30m", 5_400)]
        {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        assert_eq!(parse_or_off("off"), Ok(0));
        assert!(parse_or_off("0s").is_err(), "it might be meant as the shortest");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "7", "d", "7 d", "-1d", "7y", "1d2", "0s", "0", "99999999999999999999d", "9999999999999d", "7ä"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
