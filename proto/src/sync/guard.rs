//! The clone guard: a device that starts compares its own logs with a member before it writes (attack 20).
//!
//! Whoever restores an old home, or starts a copy of it, would give numbers a second time that others know already. So
//! nothing is written before one connected member has told what it holds of our logs ([`super::Out::OwnLogs`]) and all of
//! that is here. Nobody reachable within [`ALONE_MS`]: it may write, for a person alone must be able to; then the first member
//! that comes is asked all the same. A member that answers nothing is waited for [`ANSWER_MS`]. The caller keeps what is to be
//! written meanwhile, and asks [`Guard::holds`].
//!
//! Of a room that this device threw away, and came into again, it is known that members hold logs of ours that are not here: there time
//! ends nothing ([`Guard::until_compared`]). But of a direct chat the other may never have had the end of them, and nobody else is there
//! to have it: once he has said what he holds, the rest is waited for [`LOST_MS`], for his node may find it at a relay.

/// How long a device waits for the first member to be connected.
pub const ALONE_MS: u64 = 3_000;
/// How long it waits for a connected member's answer, and for what that member says to hold.
pub const ANSWER_MS: u64 = 30_000;
/// How long what the only other member lacks too is waited for, after he said so.
const LOST_MS: u64 = 3_600_000;

/// Whether a device may write into a room yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guard {
    until_ms: Option<u64>,
    /// Nobody was asked since the start.
    unasked: bool,
    /// What this device wrote was read from disk, and compared with nobody's.
    uncompared: bool,
    /// Only a member's answer ends it.
    firm: bool,
}

impl Guard {
    /// Of a room that has just begun on this device: nothing to compare. [`start`](Self::start) is for rooms read from disk.
    pub fn open() -> Self {
        Self::default()
    }

    /// Of a room with other members, at the start of the program.
    pub fn start(now_ms: u64) -> Self {
        Self { until_ms: Some(now_ms.saturating_add(ALONE_MS)), unasked: true, uncompared: true, firm: false }
    }

    /// Of a room in which this device wrote what it has no more: nothing is written before it came from a member, however long
    /// that takes.
    pub fn until_compared() -> Self {
        Self { until_ms: None, unasked: false, uncompared: true, firm: true }
    }

    /// We are a member again, of a room that we were out of when the program started: what waited for an answer then may have
    /// ended without one, and a copy of this device may have been taken back before.
    pub fn joined(&mut self, now_ms: u64) {
        if self.uncompared && !self.firm {
            self.until_ms = Some(now_ms.saturating_add(ANSWER_MS));
            self.unasked = false;
        }
    }

    /// A member's device is connected: it will say what it holds of our logs.
    pub fn met(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.unasked) {
            self.until_ms = Some(now_ms.saturating_add(ANSWER_MS));
        }
    }

    /// All that the only other member holds of our logs is here, and that is less than there was.
    pub fn lacks(&mut self, now_ms: u64) {
        if self.firm && self.until_ms.is_none() {
            self.until_ms = Some(now_ms.saturating_add(LOST_MS));
        }
    }

    /// Everything that a member holds of our logs is here.
    pub fn compared(&mut self) {
        *self = Self::open();
    }

    /// Whether nothing is to be written now.
    pub fn holds(&self, now_ms: u64) -> bool {
        self.firm || self.until_ms.is_some_and(|until| now_ms < until)
    }

    /// Whether it waits for a member's answer, or that time passes.
    pub fn waits(&self) -> bool {
        self.firm || self.until_ms.is_some()
    }

    /// Whether only a member's answer ends it.
    pub fn is_firm(&self) -> bool {
        self.firm
    }

    /// When it ends by itself.
    pub fn due(&self) -> Option<u64> {
        self.until_ms
    }

    /// Time passed: whether it ended by itself just now.
    pub fn tick(&mut self, now_ms: u64) -> bool {
        let ended = self.until_ms.take_if(|until| *until <= now_ms).is_some();
        if ended && self.firm {
            *self = Self::open();
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_taken_back_waits_for_an_answer_unless_one_came_before() {
        let mut guard = Guard::start(0);
        guard.met(10);
        assert!(guard.tick(10 + ANSWER_MS), "nobody answers who is out");
        guard.joined(90_000);
        assert!(guard.holds(90_000 + ANSWER_MS - 1) && !guard.holds(90_000 + ANSWER_MS));
        guard.compared();
        guard.joined(190_000);
        assert!(!guard.holds(190_000), "what was compared once is known");
        let mut new = Guard::open();
        new.joined(0);
        assert!(!new.holds(0));
    }

    #[test]
    fn who_threw_away_what_it_wrote_waits_for_an_answer_however_long_it_takes() {
        let mut guard = Guard::until_compared();
        guard.joined(0);
        guard.met(10);
        assert!(!guard.tick(u64::MAX) && guard.holds(u64::MAX) && guard.waits() && guard.due().is_none());
        guard.compared();
        guard.joined(20);
        assert!(!guard.holds(20) && !guard.waits());
    }

    #[test]
    fn what_the_only_other_member_lacks_too_is_given_up_after_an_hour_and_not_before_he_said_so() {
        let mut guard = Guard::until_compared();
        assert!(!guard.tick(u64::MAX / 2));
        guard.lacks(1_000);
        guard.lacks(900_000);
        assert_eq!(guard.due(), Some(1_000 + LOST_MS));
        assert!(!guard.tick(LOST_MS) && guard.is_firm() && guard.holds(u64::MAX));
        assert!(guard.tick(1_000 + LOST_MS) && !guard.is_firm() && !guard.holds(0) && !guard.waits());
        let mut open = Guard::open();
        open.lacks(0);
        assert_eq!(open.due(), None);
    }

    #[test]
    fn a_device_waits_for_a_member_shortly_and_for_its_answer_longer() {
        assert!(!Guard::open().holds(0));
        let mut guard = Guard::start(1_000);
        assert!(guard.holds(1_000 + ALONE_MS - 1) && !guard.holds(1_000 + ALONE_MS));
        assert!(!guard.tick(1_001) && guard.tick(1_000 + ALONE_MS) && guard.due().is_none());
        // The first member is asked even then, the second is not.
        guard.met(50_000);
        assert!(guard.holds(50_000 + ANSWER_MS - 1));
        assert!(guard.tick(50_000 + ANSWER_MS));
        guard.met(90_000);
        assert!(!guard.holds(90_000));
        let mut guard = Guard::start(0);
        guard.met(10);
        guard.compared();
        guard.met(20);
        assert!(!guard.holds(20));
    }
}
