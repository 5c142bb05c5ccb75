//! Who asks too much: what each source uses, against what it may use.
//!
//! A source is an IPv4 address or the /64 of an IPv6 one. Peer ids and accounts are free, so they are no measure. Each use has
//! a bucket that fills with time; an empty one refuses and says when to come again. What happens to one source changes nothing
//! for another, but for new names, which are also counted in all. This machine's own addresses are let through, unless the
//! operator says otherwise: several nodes on one machine are nobody's attack.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Numbers;
use crate::limits;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How often all sources are looked at for those that use nothing.
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// What a source can use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A request on a mailbox line.
    Request,
    /// Bytes put.
    PutBytes,
    /// A box that did not exist.
    NewBox,
    /// A name that it did not have.
    NewName,
    /// A new card, or a name given up.
    NameChange,
    /// A look-up of a name.
    Lookup,
}

/// How many kinds of use there are.
const USES: usize = 6;

/// Come again after this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuch(pub Duration);

/// What all sources use.
#[derive(Debug)]
pub struct Guard {
    rates: [Rate; USES],
    loopback: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    sources: HashMap<IpAddr, Source>,
    /// New names of everybody.
    names: Bucket,
    /// When those that use nothing were looked for.
    walked: Option<Instant>,
}

/// So much at once, and so much again in `every`.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u64,
    amount: u64,
    every: Duration,
}

/// What was used and did not come back yet, at a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    used: f64,
    at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Source {
    buckets: [Bucket; USES],
    lines: usize,
    wrong: u32,
    wrong_since: Option<Instant>,
}

/// New names of everybody.
const NAMES: Rate =
    Rate { burst: limits::NAMES_TOTAL_BURST as u64, amount: limits::NAMES_TOTAL_PER_MINUTE as u64, every: MINUTE };

impl Guard {
    /// Guards with these numbers.
    pub fn new(numbers: &Numbers) -> Self {
        let rate = |burst: u64, amount: u64, every| Rate { burst, amount, every };
        let rates = [
            rate(limits::REQUESTS_BURST.into(), numbers.requests_per_second.into(), Duration::from_secs(1)),
            rate(numbers.put_bytes_at_once, numbers.put_bytes_per_day, DAY),
            rate(limits::BOXES_BURST.into(), numbers.boxes_per_day.into(), DAY),
            rate(limits::NAMES_BURST.into(), numbers.names_per_day.into(), DAY),
            rate(limits::CHANGES_BURST.into(), limits::CHANGES_PER_MINUTE.into(), MINUTE),
            rate(limits::LOOKUPS_BURST.into(), limits::LOOKUPS_PER_SECOND.into(), Duration::from_secs(1)),
        ];
        let state = State { sources: HashMap::new(), names: Bucket::default(), walked: None };
        Self { rates, loopback: numbers.loopback, state: Mutex::new(state) }
    }

    /// Uses something up.
    ///
    /// # Errors
    /// [`TooMuch`] when the source has used too much; nothing more is used up then.
    pub fn take(&self, source: Option<IpAddr>, what: Use, amount: u64, now: Instant) -> Result<(), TooMuch> {
        let Some(source) = self.counted(source) else { return Ok(()) };
        let rate = &self.rates[what as usize];
        let state = &mut *self.state();
        state.entry(source, now);
        let State { sources, names, .. } = state;
        let Some(entry) = sources.get_mut(&source) else { return Ok(()) };
        let bucket = &mut entry.buckets[what as usize];
        bucket.check(rate, amount, now)?;
        if what == Use::NewName {
            names.check(&NAMES, amount, now)?;
            names.add(amount);
        }
        bucket.add(amount);
        Ok(())
    }

    /// Uses something up that can not be refused any more. How long the source is to wait before it goes on.
    pub fn spend(&self, source: Option<IpAddr>, what: Use, amount: u64, now: Instant) -> Option<Duration> {
        let source = self.counted(source)?;
        let rate = &self.rates[what as usize];
        let state = &mut *self.state();
        let bucket = &mut state.entry(source, now).buckets[what as usize];
        let checked = bucket.check(rate, amount, now);
        bucket.add(amount);
        checked.err().map(|TooMuch(wait)| wait)
    }

    /// Gives back what was taken and came to nothing.
    pub fn give_back(&self, source: Option<IpAddr>, what: Use, amount: u64) {
        let Some(source) = self.counted(source) else { return };
        let state = &mut *self.state();
        if let Some(entry) = state.sources.get_mut(&source) {
            entry.buckets[what as usize].give_back(amount);
        }
        if what == Use::NewName {
            state.names.give_back(amount);
        }
    }

    /// Counts a line of a source; `None` when it has too many, or has shown too many wrong tokens.
    pub fn line(&self, source: Option<IpAddr>, now: Instant) -> Option<LinePlace<'_>> {
        let counted = self.counted(source);
        if let Some(source) = counted {
            let state = &mut *self.state();
            let entry = state.entry(source, now);
            let locked = entry.wrong >= limits::WRONG_TOKENS && entry.is_wrong_lately(now);
            if locked || entry.lines >= limits::LINES_PER_SOURCE {
                return None;
            }
            entry.lines += 1;
        }
        Some(LinePlace { guard: self, source: counted })
    }

    /// Notes that a source showed a wrong token. This machine's own addresses are counted too: nobody may guess.
    pub fn wrong_token(&self, source: Option<IpAddr>, now: Instant) {
        let Some(source) = source else { return };
        let state = &mut *self.state();
        let entry = state.entry(source, now);
        if !entry.is_wrong_lately(now) {
            entry.wrong = 0;
            entry.wrong_since = Some(now);
        }
        entry.wrong += 1;
    }

    /// How many sources are remembered.
    pub fn sources(&self) -> usize {
        self.state().sources.len()
    }

    /// The source, where what it uses is counted.
    pub fn counted(&self, source: Option<IpAddr>) -> Option<IpAddr> {
        source.filter(|source| self.loopback || !source.is_loopback())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counters are sound whatever happened to whoever held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of a source; dropping it takes it out of the count.
#[derive(Debug)]
pub struct LinePlace<'a> {
    guard: &'a Guard,
    source: Option<IpAddr>,
}

impl Drop for LinePlace<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.source
            && let Some(entry) = self.guard.state().sources.get_mut(&source)
        {
            entry.lines = entry.lines.saturating_sub(1);
        }
    }
}

impl State {
    /// What is remembered of a source. When too many are, those that use nothing are forgotten, at most once a second; if they
    /// are few, an eighth of all that have no line: a look at all of them is then paid by thousands of newcomers. Those that
    /// showed a wrong token and did nothing else lately go last, and go too, or who has enough addresses fills the table.
    fn entry(&mut self, source: IpAddr, now: Instant) -> &mut Source {
        if self.sources.len() >= limits::SOURCES && !self.sources.contains_key(&source) {
            if self.walked.is_none_or(|at| now.saturating_duration_since(at) >= WALK_AGAIN) {
                self.walked = Some(now);
                self.sources.retain(|_, entry| entry.is_busy(now));
            }
            for also_wrong in [false, true] {
                let mut too_many = self.sources.len().saturating_sub(limits::SOURCES / 8 * 7);
                if too_many == 0 {
                    break;
                }
                self.sources.retain(|_, entry| {
                    let goes = too_many > 0 && entry.lines == 0 && (also_wrong || !entry.is_wrong_lately(now));
                    too_many -= usize::from(goes);
                    !goes
                });
            }
        }
        self.sources.entry(source).or_default()
    }
}

impl Source {
    fn is_busy(&self, now: Instant) -> bool {
        let recent = |bucket: &Bucket| bucket.at.is_some_and(|at| now.saturating_duration_since(at) < DAY);
        self.lines > 0 || self.is_wrong_lately(now) || self.buckets.iter().any(recent)
    }

    fn is_wrong_lately(&self, now: Instant) -> bool {
        self.wrong_since.is_some_and(|since| now.saturating_duration_since(since) < limits::WRONG_TOKENS_TIME)
    }
}

impl Bucket {
    /// Lets time pass, and checks that so much can be used.
    fn check(&mut self, rate: &Rate, amount: u64, now: Instant) -> Result<(), TooMuch> {
        let per_second = rate.amount as f64 / rate.every.as_secs_f64();
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.used = (self.used - passed.as_secs_f64() * per_second).max(0.0);
        self.at = Some(now);
        let over = self.used + amount as f64 - rate.burst as f64;
        if over <= 0.0 {
            return Ok(());
        }
        // A rate of nothing never comes back; the wait is for people and clients, so a day stands for ever.
        let wait = if per_second > 0.0 { over / per_second } else { DAY.as_secs_f64() };
        Err(TooMuch(Duration::from_secs_f64(wait.clamp(1.0, DAY.as_secs_f64()))))
    }

    fn add(&mut self, amount: u64) {
        self.used += amount as f64;
    }

    fn give_back(&mut self, amount: u64) {
        self.used = (self.used - amount as f64).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Option<IpAddr> {
        Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n)))
    }

    #[test]
    fn who_uses_too_much_waits_and_others_do_not() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        for _ in 0..limits::NAMES_BURST {
            guard.take(source(1), Use::NewName, 1, now).unwrap();
        }
        let TooMuch(wait) = guard.take(source(1), Use::NewName, 1, now).unwrap_err();
        assert!(wait > Duration::from_secs(500) && wait < Duration::from_secs(700), "{wait:?}");
        guard.take(source(2), Use::NewName, 1, now).unwrap();
        guard.take(source(1), Use::Lookup, 1, now).unwrap();
        guard.take(source(1), Use::NewName, 1, now + wait).unwrap();
        assert!(guard.take(source(1), Use::NewName, 1, now + wait).is_err());
    }

    #[test]
    fn a_thousand_addresses_get_no_thousand_names() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        let given = (0..1_000).filter(|n| guard.take(source(*n), Use::NewName, 1, now).is_ok()).count();
        assert_eq!(given, limits::NAMES_TOTAL_BURST as usize);
        let later = now + MINUTE;
        let given = (0..1_000).filter(|n| guard.take(source(*n), Use::NewName, 1, later).is_ok()).count();
        assert_eq!(given, limits::NAMES_TOTAL_PER_MINUTE as usize);
    }

    #[test]
    fn a_flood_of_sources_takes_bounded_memory_and_nobodys_lines() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        let honest = guard.line(source(0), now).unwrap();
        for n in 0..limits::SOURCES as u32 + 1_000 {
            guard.take(source(n + 1), Use::Lookup, 1, now).unwrap();
        }
        assert!(guard.sources() <= limits::SOURCES);
        assert_eq!(guard.state().sources[&source(0).unwrap()].lines, 1);
        drop(honest);
        assert_eq!(guard.state().sources[&source(0).unwrap()].lines, 0);
    }

    #[test]
    fn sources_that_showed_a_wrong_token_are_bounded_too_and_forgotten_last() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        let half = limits::SOURCES as u32 / 2;
        for n in 0..half {
            guard.wrong_token(source(n), now);
        }
        for n in half..half + limits::SOURCES as u32 {
            guard.take(source(n), Use::Lookup, 1, now).unwrap();
        }
        let wrong = guard.state().sources.values().filter(|entry| entry.is_wrong_lately(now)).count();
        assert_eq!(wrong, half as usize, "who only looked something up goes first");
        let first = 4 * limits::SOURCES as u32;
        for n in first..first + limits::SOURCES as u32 + 1_000 {
            guard.wrong_token(source(n), now);
            assert!(guard.sources() <= limits::SOURCES, "{n}");
        }
    }

    #[test]
    fn what_can_not_be_refused_is_owed_and_what_came_to_nothing_is_given_back() {
        let guard = Guard::new(&Numbers { requests_per_second: 10, ..Numbers::default() });
        let now = Instant::now();
        for _ in 0..limits::REQUESTS_BURST {
            assert_eq!(guard.spend(source(1), Use::Request, 1, now), None);
        }
        let waits: Vec<_> = (0..100).filter_map(|_| guard.spend(source(1), Use::Request, 1, now)).collect();
        assert_eq!(waits.len(), 100);
        assert_eq!(*waits.last().unwrap(), Duration::from_secs(10), "a hundred are owed at ten a second");
        assert_eq!(guard.spend(source(2), Use::Request, 1, now), None);

        let all = limits::PUT_BYTES_AT_ONCE;
        guard.take(source(1), Use::PutBytes, all, now).unwrap();
        assert!(guard.take(source(1), Use::PutBytes, 1, now).is_err());
        guard.give_back(source(1), Use::PutBytes, all);
        guard.take(source(1), Use::PutBytes, all, now).unwrap();
        // More than was taken is never given.
        guard.give_back(source(1), Use::PutBytes, 2 * all);
        guard.take(source(1), Use::PutBytes, all, now).unwrap();
        assert!(guard.take(source(1), Use::PutBytes, 1, now).is_err());
        for _ in 0..1_000 {
            guard.take(source(3), Use::NewName, 1, now).unwrap();
            guard.give_back(source(3), Use::NewName, 1);
        }
    }

    #[test]
    fn one_source_has_a_bounded_number_of_lines() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        let lines: Vec<_> = (0..limits::LINES_PER_SOURCE).map(|_| guard.line(source(1), now).unwrap()).collect();
        assert!(guard.line(source(1), now).is_none());
        assert!(guard.line(source(2), now).is_some());
        drop(lines);
        assert!(guard.line(source(1), now).is_some());
    }

    #[test]
    fn who_guesses_tokens_is_locked_out_for_an_hour_and_loopback_is_not_spared() {
        let guard = Guard::new(&Numbers::default());
        let now = Instant::now();
        for n in 0..limits::WRONG_TOKENS {
            assert!(guard.line(source(1), now).is_some(), "{n}");
            guard.wrong_token(source(1), now);
        }
        assert!(guard.line(source(1), now).is_none());
        assert!(guard.line(source(2), now).is_some());
        assert!(guard.line(source(1), now + limits::WRONG_TOKENS_TIME).is_some());
    }

    #[test]
    fn this_machine_is_let_through_unless_the_operator_says_otherwise() {
        let now = Instant::now();
        let loopback = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        let guard = Guard::new(&Numbers::default());
        assert!((0..1_000).all(|_| guard.take(loopback, Use::NewName, 1, now).is_ok()));
        let guard = Guard::new(&Numbers { loopback: true, ..Numbers::default() });
        assert!((0..1_000).any(|_| guard.take(loopback, Use::NewName, 1, now).is_err()));
    }

    #[test]
    fn more_than_a_burst_at_once_is_never_given_and_a_rate_of_nothing_never_comes_back() {
        let numbers = Numbers { put_bytes_per_day: 0, ..Numbers::default() };
        let guard = Guard::new(&numbers);
        let now = Instant::now();
        assert!(guard.take(source(1), Use::PutBytes, limits::PUT_BYTES_AT_ONCE + 1, now).is_err());
        guard.take(source(1), Use::PutBytes, limits::PUT_BYTES_AT_ONCE, now).unwrap();
        assert_eq!(guard.take(source(1), Use::PutBytes, 1, now + 30 * DAY), Err(TooMuch(DAY)));
    }
}
