//! What is kept of webhooks, and when one is tried again. No I/O but at the start.

use parlor_api::{Webhook, WebhookState};
use parlor_crypto::hash::Domain;
use parlor_crypto::kdf;
use parlor_crypto::secret::exposed;
use parlor_crypto::{Secret, domain};
use parlor_proto::{RoomId, codec};
use parlor_storage::{Changed, Namespace, Store};
use serde::{Deserialize, Serialize};

use crate::app::Answer;
use crate::bus::rfc3339;
use crate::limits::{
    WEBHOOK_FIRST_PAUSE_MS, WEBHOOK_GIVE_UP_MS, WEBHOOK_GIVE_UP_TRIES, WEBHOOK_LAST_PAUSE_MS, WEBHOOK_OLD_SECRET_MS,
};

/// Names a delivery: the same for the same thing.
static DELIVERY: Domain = domain!("webhook delivery");

/// Longest stored webhook in bytes: an address, 64 rooms.
const MAX_STORED: usize = 16 * 1_024;
/// Longest error that is kept, in bytes.
const ERROR_MAX: usize = 200;

/// A webhook as it is kept, sealed like everything else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Hook {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: String,
    /// For all, if there is none.
    pub(super) rooms: Vec<RoomId>,
    #[serde(with = "exposed")]
    pub(super) secret: Secret,
    /// The one before, which signs as well until then.
    pub(super) before: Option<Before>,
    pub(super) made_ms: u64,
    /// Everything up to this group was delivered,
    pub(super) group: u64,
    /// and of the one after it so many.
    pub(super) done: u32,
    pub(super) delivered: u64,
    pub(super) failures: u32,
    pub(super) failing_ms: Option<u64>,
    pub(super) last_error: Option<String>,
    pub(super) disabled: bool,
    /// Changes were thrown away that it had not seen: the receiver is told first.
    pub(super) gap: bool,
}

/// A secret that was replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Before {
    #[serde(with = "exposed")]
    secret: Secret,
    until_ms: u64,
}

/// What followed from a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Became {
    /// As before.
    Same,
    /// It fails now, and did not before.
    Failing,
    /// It works again.
    Working,
    /// It is given up.
    Disabled,
}

/// A place in the list of changes: a group, and which change of it, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) group: u64,
    pub(super) at: u32,
}

/// Of what changed after a group, in whole groups, what is not done yet, with the places: of the first of these groups so many are.
pub(super) fn not_done(done: u32, changed: &[Changed]) -> impl Iterator<Item = (Place, &Changed)> {
    let first = changed.first().map(|changed| Place { group: changed.group, at: done });
    let groups = changed.chunk_by(|a, b| a.group == b.group);
    let places = groups.flat_map(|of| (0..).zip(of).map(|(at, it)| (Place { group: it.group, at }, it)));
    places.filter(move |(place, _)| first.is_none_or(|first| *place >= first))
}

/// The webhooks as stored. One that does not decode is left out, and told in the log.
///
/// # Errors
/// `home_damaged` if they can not be read.
pub(super) fn load(store: &Store) -> Answer<Vec<Hook>> {
    let rows = store.scan(None, Namespace::Webhook, &[]).map_err(|error| crate::home_damaged(error.to_string()))?;
    let hooks = rows.iter().filter_map(|(_, bytes)| {
        let hook = codec::decode(bytes, MAX_STORED);
        hook.inspect_err(|_| tracing::error!("a stored webhook can not be read")).ok()
    });
    Ok(hooks.collect())
}

impl Hook {
    /// A webhook that is told of what comes after this group.
    pub(super) fn new(id: String, name: String, url: String, secret: Secret, made_ms: u64, group: u64) -> Self {
        Self {
            id,
            name,
            url,
            rooms: Vec::new(),
            secret,
            before: None,
            made_ms,
            group,
            done: 0,
            delivered: 0,
            failures: 0,
            failing_ms: None,
            last_error: None,
            disabled: false,
            gap: false,
        }
    }

    /// Moves to before this place: everything up to it is done, or of no interest.
    pub(super) fn move_to(&mut self, place: Place) {
        (self.group, self.done) = (place.group.saturating_sub(1), place.at);
    }

    /// What stands at this place was taken. It may have been moved on meanwhile, past what was thrown away.
    pub(super) fn passed(&mut self, place: Place) {
        if self.group == place.group.saturating_sub(1) {
            self.done = place.at.saturating_add(1);
        }
    }

    /// What stands at this place can not be told: the receiver hears that something lacks.
    pub(super) fn pass_over(&mut self, place: Place) {
        self.move_to(place);
        self.passed(place);
        self.gap = true;
    }

    /// Up to this group all was thrown away: the receiver hears that something lacks.
    pub(super) fn lose_up_to(&mut self, group: u64) {
        (self.group, self.done, self.gap) = (group, 0, true);
    }

    /// The receiver was told that something lacks after this group. What was thrown away meanwhile he does not know of yet.
    pub(super) fn told_gap(&mut self, group: u64) {
        self.gap &= self.group != group;
    }

    /// Whether messages of a room are for it.
    pub(super) fn wants(&self, room: &RoomId) -> bool {
        self.rooms.is_empty() || self.rooms.contains(room)
    }

    pub(super) fn state(&self) -> WebhookState {
        match (self.disabled, self.failures) {
            (true, _) => WebhookState::Disabled,
            (false, 0) => WebhookState::Working,
            (false, _) => WebhookState::Failing,
        }
    }

    /// The receiver took a delivery.
    pub(super) fn took(&mut self) -> Became {
        let failed = self.failures > 0;
        self.delivered = self.delivered.saturating_add(1);
        (self.failures, self.failing_ms, self.last_error) = (0, None, None);
        if failed { Became::Working } else { Became::Same }
    }

    /// The receiver did not take it. `gone`: it says that it never will.
    pub(super) fn failed(&mut self, why: &str, gone: bool, now_ms: u64) -> Became {
        let first = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        // A clock that was ahead when it began to fail counts from now on.
        let since = *self.failing_ms.insert(self.failing_ms.map_or(now_ms, |since| since.min(now_ms)));
        let mut end = why.len().min(ERROR_MAX);
        while !why.is_char_boundary(end) {
            end -= 1;
        }
        self.last_error = why.get(..end).map(str::to_owned);
        // Time alone says little: the machine may have been off, or its clock wrong.
        let long = now_ms.saturating_sub(since) >= WEBHOOK_GIVE_UP_MS && self.failures >= WEBHOOK_GIVE_UP_TRIES;
        if gone || long {
            self.disabled = true;
            return Became::Disabled;
        }
        if first { Became::Failing } else { Became::Same }
    }

    /// How long to wait before the next try; `random` spreads webhooks that failed together over a quarter more.
    pub(super) fn pause_ms(&self, random: u64) -> u64 {
        let pause = pause_ms(self.failures);
        pause.saturating_add(random % (pause / 4).max(1))
    }

    /// Another secret; the present one signs as well for a day, so that nothing is refused while the receiver learns the new one.
    pub(super) fn rotate(&mut self, fresh: Secret, now_ms: u64) {
        let secret = std::mem::replace(&mut self.secret, fresh);
        self.before = Some(Before { secret, until_ms: now_ms.saturating_add(WEBHOOK_OLD_SECRET_MS) });
    }

    /// Works again from where it stopped.
    pub(super) fn enable(&mut self) {
        (self.disabled, self.failures, self.failing_ms, self.last_error) = (false, 0, None, None);
    }

    /// The value of the header that signs a body: `t=SECONDS,v1=HEX`, and a second `v1` while there is an older secret. Signed is
    /// `SECONDS || "." || body` with HMAC-SHA256 under the secret as text.
    pub(super) fn signature(&self, body: &[u8], now_ms: u64) -> String {
        let seconds = (now_ms / 1_000).to_string();
        let signed = [seconds.as_bytes(), b".", body].concat();
        let before = self.before.as_ref().filter(|before| before.until_ms > now_ms).map(|before| &before.secret);
        let mut value = format!("t={seconds}");
        for secret in [Some(&self.secret), before].into_iter().flatten() {
            value.push_str(",v1=");
            value.push_str(&hex(hmac(secret, &signed).expose()));
        }
        value
    }

    /// Names a delivery of this webhook: of a message by its id, for it comes once.
    pub(super) fn delivery(&self, event: &str, what: &[u8]) -> String {
        let name: [u8; 16] = DELIVERY.hash_prefix(&[self.id.as_bytes(), b"\0", event.as_bytes(), b"\0", what]);
        hex(&name)
    }

    /// Names a delivery by its place, which is the same after a crash: what is set, taken back and set again is told three times.
    pub(super) fn delivery_at(&self, event: &str, place: Place) -> String {
        self.delivery(event, &[place.group.to_be_bytes().as_slice(), &place.at.to_be_bytes()].concat())
    }

    /// For clients. `waits`: how many messages wait, and whether there are more.
    pub(super) fn view(&self, waits: (u64, bool), next_ms: Option<u64>, with_secret: bool) -> Webhook {
        Webhook {
            id: self.id.clone(),
            name: self.name.clone(),
            url: self.url.clone(),
            rooms: self.rooms.iter().map(ToString::to_string).collect(),
            secret: with_secret.then(|| spelled(&self.secret)),
            state: self.state(),
            pending: waits.0,
            pending_more: waits.1,
            delivered: self.delivered,
            failures: self.failures,
            last_error: self.last_error.clone(),
            failing_since: self.failing_ms.map(rfc3339),
            next_attempt: next_ms.filter(|_| self.state() == WebhookState::Failing).map(rfc3339),
            made_at: rfc3339(self.made_ms),
        }
    }
}

/// The pause after so many failures in a row, in milliseconds.
pub(super) fn pause_ms(failures: u32) -> u64 {
    let doubled = WEBHOOK_FIRST_PAUSE_MS.saturating_mul(1 << failures.saturating_sub(1).min(32));
    doubled.min(WEBHOOK_LAST_PAUSE_MS)
}

/// Whether what is due then is due now. A clock that was ahead makes nobody wait longer than the longest pause.
pub(super) fn is_due(due_ms: u64, now_ms: u64) -> bool {
    due_ms <= now_ms || due_ms > now_ms.saturating_add(WEBHOOK_LAST_PAUSE_MS + WEBHOOK_LAST_PAUSE_MS / 4)
}

/// A secret as its owner writes it into the receiver.
fn spelled(secret: &Secret) -> String {
    format!("whsec_{}", hex(secret.expose()))
}

/// HMAC-SHA256 (RFC 2104) under the text of a secret: that is what the extracting half of HKDF is (RFC 5869 section 2.2).
fn hmac(secret: &Secret, message: &[u8]) -> Secret {
    kdf::extract(spelled(secret).as_bytes(), message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn hook() -> Hook {
        Hook::new("abcd".into(), "builds".into(), "http://127.0.0.1/".into(), Secret::new([7; 32]), NOW, 0)
    }

    #[test]
    fn what_is_signed_is_hmac_sha256_of_time_and_body_as_everybody_computes_it() {
        // RFC 4231, test case 2: the same function.
        let mac = kdf::extract(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(hex(mac.expose()), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let hook = hook();
        let key = format!("whsec_{}", "07".repeat(32));
        let expected = kdf::extract(key.as_bytes(), b"1700000000.{}");
        assert_eq!(hook.signature(b"{}", NOW), format!("t=1700000000,v1={}", hex(expected.expose())));
        assert_ne!(hook.signature(b"{ }", NOW), hook.signature(b"{}", NOW));
    }

    #[test]
    fn a_secret_that_was_replaced_signs_beside_the_new_one_for_a_day() {
        let mut hook = hook();
        let old = hook.signature(b"x", NOW);
        hook.rotate(Secret::new([8; 32]), NOW);
        let both = hook.signature(b"x", NOW);
        let old = old.strip_prefix("t=1700000000").unwrap();
        assert!(both.ends_with(old) && both.matches("v1=").count() == 2, "{both}");
        let later = hook.signature(b"x", NOW + WEBHOOK_OLD_SECRET_MS);
        assert_eq!(later.matches("v1=").count(), 1);
        assert!(!format!("{hook:?}").contains("0707"), "secrets are not printed");
    }

    #[test]
    fn pauses_double_up_to_an_hour_and_after_days_of_failure_it_is_given_up() {
        let mut hook = hook();
        assert_eq!(hook.failed("refused", false, NOW), Became::Failing);
        let mut pauses = vec![hook.pause_ms(0)];
        for _ in 0..40 {
            assert_eq!(hook.failed("refused", false, NOW + 1), Became::Same);
            pauses.push(hook.pause_ms(0));
        }
        assert_eq!(pauses[..3], [WEBHOOK_FIRST_PAUSE_MS, 2 * WEBHOOK_FIRST_PAUSE_MS, 4 * WEBHOOK_FIRST_PAUSE_MS]);
        assert_eq!(pauses.last(), Some(&WEBHOOK_LAST_PAUSE_MS));
        assert!(hook.pause_ms(u64::MAX) <= WEBHOOK_LAST_PAUSE_MS + WEBHOOK_LAST_PAUSE_MS / 4);
        for _ in hook.failures + 1..WEBHOOK_GIVE_UP_TRIES {
            assert_eq!(hook.failed("refused", false, NOW + WEBHOOK_GIVE_UP_MS), Became::Same);
        }
        assert_eq!(hook.failed("refused", false, NOW + WEBHOOK_GIVE_UP_MS), Became::Disabled);
        assert_eq!(hook.state(), WebhookState::Disabled);
        hook.enable();
        assert_eq!((hook.state(), hook.took()), (WebhookState::Working, Became::Same));
        hook.failed("x", false, NOW);
        assert_eq!((hook.took(), hook.failures), (Became::Working, 0));
        assert_eq!(hook.failed("gone", true, NOW), Became::Disabled, "a receiver that is gone is not asked for days");
    }

    #[test]
    fn a_delivery_has_one_name_however_often_it_is_repeated() {
        let hook = hook();
        assert_eq!(hook.delivery("message", b"1"), hook.delivery("message", b"1"));
        assert_ne!(hook.delivery("message", b"1"), hook.delivery("message.updated", b"1"));
        assert_ne!(
            hook.delivery("message", b"1"),
            Hook { id: "other".into(), ..hook.clone() }.delivery("message", b"1")
        );
    }

    #[test]
    fn a_machine_that_was_off_and_a_clock_that_was_wrong_give_nobody_up_and_stop_nobody() {
        let mut hook = hook();
        hook.failed("refused", false, NOW);
        assert_eq!(hook.failed("refused", false, NOW + 2 * WEBHOOK_GIVE_UP_MS), Became::Same, "it was off");
        let (mut ahead, year) = (self::hook(), 365 * 24 * 3_600 * 1_000);
        ahead.failed("refused", false, NOW + year);
        assert!(is_due(NOW + year + ahead.pause_ms(0), NOW), "the clock was put right");
        assert!(!is_due(NOW + ahead.pause_ms(0), NOW) && is_due(NOW, NOW));
        hook.failures = u32::MAX;
        assert!(!is_due(NOW + hook.pause_ms(u64::MAX), NOW));
        for _ in 0..WEBHOOK_GIVE_UP_TRIES {
            ahead.failed("refused", false, NOW);
        }
        assert_eq!(
            ahead.failed("refused", false, NOW + WEBHOOK_GIVE_UP_MS),
            Became::Disabled,
            "days count from then on"
        );
    }

    #[test]
    fn what_is_set_taken_back_and_set_again_has_three_names_which_a_crash_does_not_change() {
        let hook = hook();
        let places = [(5, 0), (5, 1), (6, 0)].map(|(group, at)| Place { group, at });
        let names = places.map(|place| hook.delivery_at("message.updated", place));
        assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
        assert_eq!(names, places.map(|place| hook.clone().delivery_at("message.updated", place)));
    }

    /// Changes of these groups, each with so many.
    fn changes(groups: &[(u64, u32)]) -> Vec<Changed> {
        let of = |(group, n): &(u64, u32)| vec![Changed { group: *group, room: 1, position: None }; *n as usize];
        groups.iter().flat_map(of).collect()
    }

    fn next_of(hook: &Hook, changed: &[Changed]) -> Option<Place> {
        not_done(hook.done, changed).next().map(|(place, _)| place)
    }

    #[test]
    fn every_change_has_its_turn_once_in_order() {
        let (all, mut hook, mut told) = (changes(&[(3, 2), (7, 1), (8, 3)]), hook(), Vec::new());
        loop {
            let next = |hook: &Hook| {
                let after: Vec<Changed> = all.iter().filter(|changed| changed.group > hook.group).copied().collect();
                next_of(hook, &after)
            };
            let Some(place) = next(&hook) else { break };
            hook.move_to(place);
            assert_eq!(next(&hook), Some(place), "what is not taken yet is told again");
            hook.passed(place);
            told.push((place.group, place.at));
        }
        assert_eq!(told, [(3, 0), (3, 1), (7, 0), (8, 0), (8, 1), (8, 2)]);
    }

    #[test]
    fn a_delivery_that_is_taken_while_others_are_thrown_away_hides_no_gap() {
        let (mut hook, place) = (hook(), Place { group: 5, at: 2 });
        hook.move_to(place);
        hook.lose_up_to(9);
        hook.passed(place);
        assert_eq!((hook.group, hook.done, hook.gap), (9, 0, true));
        // Of a gap that grows while it is told the rest is told too.
        hook.lose_up_to(12);
        hook.told_gap(9);
        assert!(hook.gap);
        hook.told_gap(12);
        assert!(!hook.gap);
        hook.pass_over(Place { group: 13, at: 0 });
        assert!(hook.gap);
        assert_eq!(next_of(&hook, &changes(&[(13, 2)])), Some(Place { group: 13, at: 1 }));
    }
}
