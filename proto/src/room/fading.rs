//! Messages that disappear: how long one lives, and from when on it is taken without its payload.
//!
//! How long is the setting of the room in the message's **own view**, so everybody agrees which messages disappear, and a change
//! says something about what is written after it. From when on is the author's word, bounded by the moment at which the message came,
//! so each node judges by its own clock:
//!
//! - A clock that runs ahead keeps nothing longer: the time begins when the message came, at the latest.
//! - A clock that runs behind kills nothing unread: what comes is kept for [`limits::FADING_GRACE_MS`], or for its whole time if
//!   that is shorter, unless it was over a day ago by its author's word.
//!
//! What is said about another message has its own end here too; whoever knows that message keeps it as long as that lives, for what is
//! taken back or corrected would come again otherwise.
//!
//! Of a message that is over the header and the signature stay, for its place in its author's log: it travels **bare**. A bare copy
//! of what is not over here yet is refused, and nobody is to blame for it: otherwise whoever passes messages on could blank them.

use super::Room;
use crate::control::Setting;
use crate::event::MessageHeader;
use crate::hlc::Hlc;
use crate::limits;
use crate::resolve::Resolved;

/// How long messages live by the settings of a view; `None` for ever.
pub(super) fn ttl_ms(resolved: &Resolved) -> Option<u64> {
    let value = resolved.settings().get(&(Setting::Ttl as u8))?;
    let ttl_ms = u64::from_be_bytes(value.as_slice().try_into().ok()?);
    (ttl_ms > 0).then(|| ttl_ms.clamp(limits::MIN_TTL_MS, limits::MAX_TTL_MS))
}

/// Whether this is a time to live that can be set: milliseconds, big-endian.
pub(super) fn is_ttl(value: &[u8]) -> bool {
    let ttl_ms = value.try_into().map(u64::from_be_bytes);
    ttl_ms.is_ok_and(|ttl_ms| (limits::MIN_TTL_MS..=limits::MAX_TTL_MS).contains(&ttl_ms))
}

/// When a message that came now is over, by our clock; `None` if it is over already.
pub fn ends_ms(sent_ms: u64, ttl_ms: u64, now_ms: u64) -> Option<u64> {
    let ends_ms = sent_ms.min(now_ms).saturating_add(ttl_ms);
    if ends_ms.saturating_add(limits::CLOCK_ERROR_MS) <= now_ms {
        return None;
    }
    Some(ends_ms.max(soonest_ms(ttl_ms, now_ms)))
}

/// When the first is over of what came now.
pub(super) fn soonest_ms(ttl_ms: u64, now_ms: u64) -> u64 {
    now_ms.saturating_add(ttl_ms.min(limits::FADING_GRACE_MS))
}

/// Whether a message may be taken without its payload: it is over by its author's word. A word that is far in the future says
/// nothing: others count from when it came to them, and who could take no bare copy of it would wait for that moment with all its
/// author wrote later.
pub(super) fn is_over(sent: Hlc, ttl_ms: u64, now_ms: u64) -> bool {
    sent.is_ahead_of(now_ms) || sent.ms().saturating_add(ttl_ms) <= now_ms
}

impl Room {
    /// How long messages live that are written now; `None` for ever.
    pub fn ttl_ms(&self) -> Option<u64> {
        ttl_ms(&self.resolved)
    }

    /// As [`ttl_of`](Self::ttl_of), the view worked out if it is not known; it is all here.
    pub(super) fn view_ttl(&mut self, header: &MessageHeader) -> Option<u64> {
        self.view(header)?;
        self.ttl_of(header)
    }

    /// How long messages written in the view of this one live. `None` for ever, or while the view is not known.
    pub(super) fn ttl_of(&self, header: &MessageHeader) -> Option<u64> {
        self.contexts.peek(&header.control)?.ttl_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_700_000_000_000;

    #[test]
    fn a_message_lives_from_when_it_was_sent() {
        assert_eq!(ends_ms(NOW, HOUR, NOW), Some(NOW + HOUR));
        assert_eq!(ends_ms(NOW - HOUR / 2, HOUR, NOW), Some(NOW + HOUR / 2));
    }

    #[test]
    fn a_clock_that_runs_ahead_keeps_nothing_longer() {
        assert_eq!(ends_ms(u64::MAX, HOUR, NOW), Some(NOW + HOUR));
        assert_eq!(ends_ms(NOW + 24 * HOUR, HOUR, NOW), Some(NOW + HOUR));
    }

    #[test]
    fn a_clock_that_runs_behind_kills_nothing_unread() {
        assert_eq!(ends_ms(NOW - 5 * HOUR, HOUR, NOW), Some(NOW + limits::FADING_GRACE_MS));
        assert_eq!(ends_ms(NOW - 5 * HOUR, 2_000, NOW), Some(NOW + 2_000), "never longer than its time");
    }

    #[test]
    fn what_was_over_long_ago_is_not_shown_again() {
        assert_eq!(ends_ms(NOW - limits::CLOCK_ERROR_MS - HOUR, HOUR, NOW), None);
        assert_eq!(ends_ms(0, limits::MAX_TTL_MS, NOW), None);
    }

    #[test]
    fn only_what_is_over_is_taken_bare() {
        let is_over = |sent_ms| is_over(Hlc::at(sent_ms), HOUR, NOW);
        assert!(!is_over(NOW) && !is_over(NOW - HOUR + 1));
        assert!(is_over(NOW - HOUR));
        assert!(!is_over(NOW + 1_000), "a clock that is a little ahead");
        assert!(is_over(NOW + 24 * HOUR), "a clock that says nothing");
    }
}
