//! Decides what calls the user, and when: a machine without clock, bus or desktop.
//!
//! A message [calls](Notices::call) if its room lets it, and waits [`SETTLE_MS`]: an open window marks it as read meanwhile, and then it
//! is [dropped](Notices::waits). What comes in a burst is told together: a room tells at most once in [`GROUP_MS`], all together once in
//! [`GAP_MS`], and when more than [`ROOMS_AT_ONCE`] rooms have something to tell, one notice speaks for all. What falls into quiet
//! hours is not told later: it is counted as unread like everything.

use std::collections::{BTreeMap, VecDeque};

use parlor_api::Calls;

/// Time for a window to show a message before it calls.
pub(super) const SETTLE_MS: u64 = 1_000;
/// Shortest time between two notices of a room.
pub(super) const GROUP_MS: u64 = 15_000;
/// Shortest time between two notices.
pub(super) const GAP_MS: u64 = 2_000;
/// Rooms that tell at one time each for itself.
pub(super) const ROOMS_AT_ONCE: usize = 3;
/// Messages of a room that are known one by one; of more only the number.
const CALLS_MAX: usize = 1_000;
/// Who comes into a room is not called by what was written longer than this before: by his clock and that of others.
const BEFORE_JOIN_MS: u64 = 10 * 60 * 1_000;

/// A message that may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// Its room.
    pub(super) room: String,
    /// Its id.
    pub(super) message: String,
    /// Its place in the room.
    pub(super) order: String,
    /// Whether it mentions the user.
    pub(super) mention: bool,
    /// When it was written.
    pub(super) sent_ms: u64,
    /// Name of its author.
    pub(super) author: String,
    /// What it says.
    pub(super) text: String,
}

/// What is to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    /// Something new.
    Show(Notice),
    /// What was shown of a room was read.
    Withdraw(String),
}

/// Something that calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// The newest message, if all are of one room.
    pub(super) newest: Option<Call>,
    /// How many rooms.
    pub(super) rooms: usize,
    /// How many messages that were not read.
    pub(super) count: u64,
    /// How many of them mention the user.
    pub(super) mentions: u64,
}

/// What waits of one room.
#[derive(Debug, Default)]
struct Waiting {
    /// Places of the messages that were not read, and whether each is a mention, as they came.
    calls: VecDeque<(String, bool)>,
    /// Further ones, of which only this is known.
    more: (u64, u64),
    newest: Option<Call>,
    /// Something came since the last notice: when it is to be told.
    due_ms: Option<u64>,
    shown: bool,
    last_ms: Option<u64>,
}

/// The machine. Times are milliseconds since the epoch.
#[derive(Debug, Default)]
pub(super) struct Notices {
    rooms: BTreeMap<String, Waiting>,
    joined_ms: BTreeMap<String, u64>,
    last_ms: Option<u64>,
}

impl Notices {
    /// The user came into a room.
    pub(super) fn joined(&mut self, room: &str, now_ms: u64) {
        self.joined_ms.insert(room.to_owned(), now_ms);
    }

    /// The user is out of a room.
    pub(super) fn left(&mut self, room: &str) -> Option<Out> {
        self.joined_ms.remove(room);
        self.rooms.remove(room).and_then(|waiting| waiting.shown.then(|| Out::Withdraw(room.to_owned())))
    }

    /// A message of somebody else came that was not read, into a room that calls so.
    pub(super) fn call(&mut self, call: Call, calls: Calls, now_ms: u64) {
        let old = self.joined_ms.get(&call.room).is_some_and(|joined| call.sent_ms + BEFORE_JOIN_MS < *joined);
        if old || !lets(calls, call.mention) {
            return;
        }
        let waiting = self.rooms.entry(call.room.clone()).or_default();
        if waiting.calls.len() == CALLS_MAX {
            let (_, mention) = waiting.calls.pop_front().unwrap_or_default();
            waiting.more = (waiting.more.0 + 1, waiting.more.1 + u64::from(mention));
        }
        waiting.calls.push_back((call.order.clone(), call.mention));
        if waiting.newest.as_ref().is_none_or(|newest| newest.order < call.order) {
            waiting.newest = Some(call);
        }
        let grouped = waiting.last_ms.map_or(0, |last| last.saturating_add(GROUP_MS));
        waiting.due_ms.get_or_insert(grouped.max(now_ms.saturating_add(SETTLE_MS)));
    }

    /// What waits in a room is different: the oldest message that was not read, if there is one, and how the room calls now.
    pub(super) fn waits(&mut self, room: &str, first: Option<&str>, calls: Calls) -> Option<Out> {
        let waiting = self.rooms.get_mut(room)?;
        waiting
            .calls
            .retain(|(order, mention)| lets(calls, *mention) && first.is_some_and(|first| order.as_str() >= first));
        if !waiting.calls.is_empty() {
            return None;
        }
        let last_ms = waiting.last_ms;
        let shown = std::mem::replace(waiting, Waiting { last_ms, ..Waiting::default() }).shown;
        shown.then(|| Out::Withdraw(room.to_owned()))
    }

    /// A message disappeared: what it said is told to nobody.
    pub(super) fn gone(&mut self, room: &str, message: &str) {
        let newest = self.rooms.get_mut(room).and_then(|waiting| waiting.newest.as_mut());
        if let Some(newest) = newest.filter(|newest| newest.message == message) {
            newest.text.clear();
        }
    }

    /// When [`tick`](Self::tick) is due.
    pub(super) fn due(&self) -> Option<u64> {
        let first = self.rooms.values().filter_map(|waiting| waiting.due_ms).min()?;
        Some(first.max(self.last_ms.map_or(0, |last| last.saturating_add(GAP_MS))))
    }

    /// Time passed. With `silent` what is due is not told, now or later.
    pub(super) fn tick(&mut self, silent: bool, now_ms: u64) -> Vec<Out> {
        if self.due().is_none_or(|due| due > now_ms) {
            return Vec::new();
        }
        let is_due = |waiting: &&mut Waiting| waiting.due_ms.is_some_and(|due| due <= now_ms);
        let mut told = Vec::new();
        for waiting in self.rooms.values_mut().filter(is_due) {
            waiting.due_ms = None;
            if silent {
                continue;
            }
            waiting.last_ms = Some(now_ms);
            waiting.shown = true;
            let mentions = waiting.calls.iter().filter(|(_, mention)| *mention).count() as u64;
            told.push(Notice {
                newest: waiting.newest.clone(),
                rooms: 1,
                count: waiting.calls.len() as u64 + waiting.more.0,
                mentions: mentions + waiting.more.1,
            });
        }
        if told.is_empty() {
            return Vec::new();
        }
        self.last_ms = Some(now_ms);
        if told.len() > ROOMS_AT_ONCE {
            let sum = |of: fn(&Notice) -> u64| told.iter().map(of).sum();
            let (count, mentions) = (sum(|notice| notice.count), sum(|notice| notice.mentions));
            told = vec![Notice { newest: None, rooms: told.len(), count, mentions }];
        }
        told.into_iter().map(Out::Show).collect()
    }
}

fn lets(calls: Calls, mention: bool) -> bool {
    match calls {
        Calls::All => true,
        Calls::Mentions => mention,
        Calls::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(room: &str, n: u64, mention: bool) -> Call {
        Call {
            room: room.to_owned(),
            message: format!("message {n}"),
            order: format!("{n:08}"),
            mention,
            sent_ms: 1_000_000,
            author: "Bob".into(),
            text: n.to_string(),
        }
    }

    /// What is shown until `end_ms`: when, in how many rooms, how many messages.
    fn shown(notices: &mut Notices, end_ms: u64) -> Vec<(u64, usize, u64)> {
        let mut shown = Vec::new();
        while let Some(due) = notices.due().filter(|due| *due <= end_ms) {
            for out in notices.tick(false, due) {
                let Out::Show(notice) = out else { panic!("nothing was read") };
                shown.push((due, notice.rooms, notice.count));
            }
        }
        shown
    }

    #[test]
    fn a_lone_message_calls_after_a_moment_and_one_that_was_read_meanwhile_does_not() {
        let mut notices = Notices::default();
        notices.call(call("club", 1, false), Calls::All, 10_000);
        assert_eq!(notices.tick(false, 10_999), []);
        assert_eq!(shown(&mut notices, 20_000), [(11_000, 1, 1)]);
        notices.call(call("club", 2, false), Calls::All, 60_000);
        assert_eq!(
            notices.waits("club", None, Calls::All),
            Some(Out::Withdraw("club".into())),
            "what was shown is taken away"
        );
        assert_eq!(notices.due(), None);
        notices.call(call("club", 3, false), Calls::All, 60_100);
        assert_eq!(notices.waits("club", None, Calls::All), None, "nothing was shown since");
        assert_eq!(shown(&mut notices, 999_000), []);
    }

    #[test]
    fn a_burst_is_told_once_and_what_goes_on_in_groups() {
        let mut notices = Notices::default();
        let mut told = Vec::new();
        for n in 0..600 {
            let now = 10_000 + n * 100;
            told.extend(shown(&mut notices, now));
            notices.call(call("club", n, false), Calls::All, now);
        }
        told.extend(shown(&mut notices, 999_000));
        let times: Vec<_> = told.iter().map(|(at, ..)| *at).collect();
        assert_eq!(times, [11_000, 26_000, 41_000, 56_000, 71_000]);
        assert_eq!(told.last().unwrap().2, 600, "with all that was not read");
    }

    #[test]
    fn many_rooms_at_once_are_told_as_one() {
        let mut notices = Notices::default();
        for room in ["a", "b", "c", "d", "e"] {
            notices.call(call(room, 1, room == "c"), Calls::All, 10_000);
            notices.call(call(room, 2, false), Calls::All, 10_500);
        }
        let out = notices.tick(false, 11_000);
        assert_eq!(out, [Out::Show(Notice { newest: None, rooms: 5, count: 10, mentions: 1 })]);
        notices.call(call("f", 1, false), Calls::All, 11_000);
        assert_eq!(notices.due(), Some(13_000), "never two at once");
        assert_eq!(shown(&mut notices, 99_000), [(13_000, 1, 1)]);
    }

    #[test]
    fn rooms_call_as_they_are_told_to() {
        let mut notices = Notices::default();
        notices.call(call("loud", 1, false), Calls::All, 10_000);
        notices.call(call("asks", 1, false), Calls::Mentions, 10_000);
        notices.call(call("asks", 2, true), Calls::Mentions, 10_000);
        notices.call(call("dumb", 1, true), Calls::None, 10_000);
        let newest = |out: &Out| match out {
            Out::Show(notice) => notice.newest.clone().map(|call| (call.room, call.order, notice.count)),
            Out::Withdraw(_) => None,
        };
        let told: Vec<_> = notices.tick(false, 11_000).iter().filter_map(newest).collect();
        assert_eq!(told, [("asks".into(), "00000002".into(), 1), ("loud".into(), "00000001".into(), 1)]);
        // Muted before its time came.
        notices.call(call("late", 1, true), Calls::All, 20_000);
        assert_eq!(notices.waits("late", Some("00000001"), Calls::None), None);
        assert_eq!(shown(&mut notices, 99_000), []);
    }

    #[test]
    fn what_was_read_in_part_is_counted_as_what_is_left() {
        let mut notices = Notices::default();
        (1..=5).for_each(|n| notices.call(call("club", n, n == 1), Calls::All, 10_000));
        assert_eq!(notices.waits("club", Some("00000004"), Calls::All), None);
        let out = notices.tick(false, 11_000);
        assert!(matches!(&out[..], [Out::Show(Notice { count: 2, mentions: 0, .. })]), "{out:?}");
    }

    #[test]
    fn quiet_hours_are_silent_and_nothing_is_told_after_them() {
        let mut notices = Notices::default();
        notices.call(call("club", 1, true), Calls::All, 10_000);
        assert_eq!(notices.tick(true, 11_000), []);
        assert_eq!(notices.due(), None);
        notices.call(call("club", 2, false), Calls::All, 20_000);
        assert_eq!(shown(&mut notices, 99_000), [(21_000, 1, 2)], "the next one speaks of what waits");
    }

    #[test]
    fn the_past_of_a_room_does_not_call_who_comes_in() {
        let mut notices = Notices::default();
        notices.joined("club", 9_000_000);
        notices.call(call("club", 1, true), Calls::All, 9_000_100);
        assert_eq!(notices.due(), None);
        let new = Call { sent_ms: 9_000_000 - 60_000, ..call("club", 2, false) };
        notices.call(new, Calls::All, 9_000_200);
        assert_eq!(shown(&mut notices, 9_999_000), [(9_001_200, 1, 1)]);
        assert_eq!(notices.left("club"), Some(Out::Withdraw("club".into())));
    }

    #[test]
    fn however_many_come_what_is_remembered_is_bounded() {
        let mut notices = Notices::default();
        (0..5_000).for_each(|n| notices.call(call("club", n, n % 2 == 0), Calls::All, 10_000));
        assert!(notices.rooms["club"].calls.len() <= CALLS_MAX);
        let out = notices.tick(false, 11_000);
        assert!(matches!(&out[..], [Out::Show(Notice { count: 5_000, mentions: 2_500, .. })]), "{out:?}");
    }
}
