//! Letters on their way out: to whom, when, and what became of them.
//!
//! A question is asked until it is answered: soon after each other while nobody can be reached, rarely once the letter is
//! there and a person has to decide, at once when the other comes online. A yes is told until it is there. Nothing here is
//! stored: what is owed follows from the book.

use std::collections::BTreeMap;

use parlor_proto::AccountId;

/// First pause after nobody was reached; doubles up to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 5_000;
/// Longest pause while nobody is reached.
const LONGEST_PAUSE_MS: u64 = 600_000;
/// Pause once the letter is there: a person decides, and tells us by himself.
const KEPT_PAUSE_MS: u64 = 1_800_000;
/// Letters on their way at once: each may wait for a dial.
const AT_ONCE: usize = 8;

/// What is owed to somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owed {
    due_ms: u64,
    pause_ms: u64,
    under_way: bool,
}

/// The letters that are to go out.
#[derive(Debug, Default)]
pub(super) struct OwedLetters {
    owed: BTreeMap<AccountId, Owed>,
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is there.
    There,
    /// Nobody was reached, or nobody who knew what to do with it.
    Lost,
}

impl OwedLetters {
    /// A letter is to go out, now.
    pub(super) fn owe(&mut self, account: AccountId, now_ms: u64) {
        let owed =
            self.owed.entry(account).or_insert(Owed { due_ms: now_ms, pause_ms: FIRST_PAUSE_MS, under_way: false });
        owed.due_ms = now_ms;
        owed.pause_ms = FIRST_PAUSE_MS;
    }

    /// Nothing is owed any more.
    pub(super) fn settle(&mut self, account: &AccountId) {
        self.owed.remove(account);
    }

    /// Whether a letter is to go out by and by.
    pub(super) fn owes(&self, account: &AccountId) -> bool {
        self.owed.contains_key(account)
    }

    /// When [`take_due`](Self::take_due) is to be called next.
    pub(super) fn due(&self) -> Option<u64> {
        if self.under_way() >= AT_ONCE {
            return None;
        }
        self.owed.values().filter(|owed| !owed.under_way).map(|owed| owed.due_ms).min()
    }

    /// To whom letters go out now: those are under way until [`came_back`](Self::came_back).
    pub(super) fn take_due(&mut self, now_ms: u64) -> Vec<AccountId> {
        let free = AT_ONCE.saturating_sub(self.under_way());
        let due = self.owed.iter_mut().filter(|(_, owed)| !owed.under_way && owed.due_ms <= now_ms).take(free);
        due.map(|(account, owed)| {
            owed.under_way = true;
            *account
        })
        .collect()
    }

    /// What became of a letter.
    pub(super) fn came_back(&mut self, account: &AccountId, fate: Fate, now_ms: u64) {
        let Some(owed) = self.owed.get_mut(account) else { return };
        owed.under_way = false;
        owed.due_ms = match fate {
            Fate::There => now_ms.saturating_add(KEPT_PAUSE_MS),
            Fate::Lost => now_ms.saturating_add(owed.pause_ms),
        };
        owed.pause_ms = owed.pause_ms.saturating_mul(2).min(LONGEST_PAUSE_MS);
    }

    fn under_way(&self) -> usize {
        self.owed.values().filter(|owed| owed.under_way).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId([n; 32])
    }

    #[test]
    fn a_lost_letter_goes_out_again_with_growing_pauses_and_at_once_when_asked() {
        let mut letters = OwedLetters::default();
        letters.owe(account(1), 1_000);
        let (mut now, mut pauses) = (1_000, Vec::new());
        for _ in 0..10 {
            assert_eq!(letters.take_due(now), [account(1)]);
            assert!(letters.take_due(now).is_empty(), "one at a time");
            letters.came_back(&account(1), Fate::Lost, now);
            let due = letters.due().unwrap();
            pauses.push(due - now);
            now = due;
        }
        assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE_MS && pauses[9] == LONGEST_PAUSE_MS);
        letters.owe(account(1), now - 1);
        assert_eq!(letters.take_due(now - 1), [account(1)]);
        letters.came_back(&account(1), Fate::There, now);
        assert_eq!(letters.due(), Some(now + KEPT_PAUSE_MS));
        letters.settle(&account(1));
        assert_eq!(letters.due(), None);
    }

    #[test]
    fn a_few_are_under_way_at_once() {
        let mut letters = OwedLetters::default();
        (0..20).for_each(|n| letters.owe(account(n), 0));
        assert_eq!(letters.take_due(0).len(), AT_ONCE);
        assert_eq!(letters.due(), None);
        letters.came_back(&account(0), Fate::There, 0);
        assert_eq!(letters.take_due(0).len(), 1);
    }
}
