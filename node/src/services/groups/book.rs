//! What is known of groups: those made here, those we were brought into, and those that wait for the user's word. No I/O.

use std::collections::BTreeMap;

use parlor_proto::body::Group;
use parlor_proto::{AccountId, RoomId, codec};
use serde::{Deserialize, Serialize};

use crate::limits::{GROUP_INVITE_MS, GROUPS_A_DAY, GROUPS_ASKED_BY, GROUPS_ASKED_MAX, GROUPS_MAX};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Longest stored group in bytes: 32 people twice, a name, a link.
pub(super) const MAX_STORED: usize = 8 * 1_024;

/// An invitation as it came in a direct chat, and from whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Who wrote it: the other of the chat.
    pub(crate) by: AccountId,
    /// The room that the link leads into.
    pub(crate) room: RoomId,
    /// What was written.
    pub(crate) group: Group,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) room: RoomId,
    pub(super) name: String,
    /// Who was meant to be in it, ascending.
    pub(super) people: Vec<AccountId>,
    /// When it was made or heard of here, milliseconds since the epoch.
    pub(super) at_ms: u64,
    pub(super) state: State,
}

/// A stored group for another device of the account: whom the first one was to invite it invites itself. `None` for what is none.
pub(crate) fn restored(stored: &[u8], now_ms: u64) -> Option<Vec<u8>> {
    let mut known: Known = codec::decode(stored, MAX_STORED).ok()?;
    for untold in known.untold() {
        known.note_told(&untold.account, now_ms);
    }
    Some(codec::encode(&known))
}

/// How we are in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// We made it, for these.
    Made(Vec<Invited>),
    /// Somebody brought us in; by this link, while we are not in.
    Taken { by: AccountId, link: Option<String> },
    /// Somebody invites us, and that waits for the user's word.
    Asked { by: AccountId, link: String, why: Why },
}

/// Whom we bring in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invited {
    pub(super) account: AccountId,
    /// How often, from 1: after an invitation ran out there is another.
    pub(super) times: u32,
    /// When the last one was written into the direct chat; 0 while it is not.
    pub(super) told_ms: u64,
}

/// Why an invitation is not taken without the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Why {
    /// Who writes is no contact (any more).
    NoContact,
    /// Somebody is to be in it who is blocked.
    Blocked,
    /// We were in it, and left or were removed.
    Left,
    /// He brought us into many lately.
    Many,
}

/// What the book of contacts and the rooms say of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) now_ms: u64,
    /// Who writes is blocked.
    pub(super) by_blocked: bool,
    /// Who writes and we want to write to each other.
    pub(super) by_contact: bool,
    /// Somebody else who is to be in it is blocked.
    pub(super) names_blocked: bool,
    /// We are in the room already.
    pub(super) inside: bool,
    /// We were in it and are out, however we had come.
    pub(super) was_in: bool,
}

/// What to do with an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Forget,
    /// Come in.
    Take,
    /// Ask the user.
    Ask(Why),
}

/// All groups.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    groups: BTreeMap<RoomId, Known>,
}

impl Known {
    /// Whose invitation it was.
    fn by(&self) -> Option<AccountId> {
        match &self.state {
            State::Made(_) => None,
            State::Taken { by, .. } | State::Asked { by, .. } => Some(*by),
        }
    }

    /// Those who were not told yet, with how often they were before.
    pub(super) fn untold(&self) -> Vec<Invited> {
        match &self.state {
            State::Made(invited) => invited.iter().filter(|invited| invited.told_ms == 0).cloned().collect(),
            _ => Vec::new(),
        }
    }

    /// Notes that somebody was told. Whether that is news.
    pub(super) fn note_told(&mut self, account: &AccountId, now_ms: u64) -> bool {
        let State::Made(invited) = &mut self.state else { return false };
        let found = invited.iter_mut().find(|invited| invited.account == *account && invited.told_ms == 0);
        found.map(|invited| invited.told_ms = now_ms).is_some()
    }

    /// Of those who are `missing`, whoever's invitation ran out is to be told anew. Whether there is anybody.
    pub(super) fn tell_again(&mut self, missing: &[AccountId], now_ms: u64) -> bool {
        let State::Made(invited) = &mut self.state else { return false };
        let mut some = false;
        for one in invited.iter_mut().filter(|one| missing.contains(&one.account)) {
            if one.told_ms > 0 && one.told_ms.saturating_add(GROUP_INVITE_MS) <= now_ms {
                (one.told_ms, one.times) = (0, one.times.saturating_add(1));
                some = true;
            }
        }
        some
    }
}

impl Book {
    pub(super) fn restore(groups: impl IntoIterator<Item = Known>) -> Self {
        Self { groups: groups.into_iter().map(|known| (known.room, known)).collect() }
    }

    pub(super) fn get(&self, room: &RoomId) -> Option<&Known> {
        self.groups.get(room)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.groups.values()
    }

    pub(super) fn put(&mut self, known: Known) {
        self.groups.insert(known.room, known);
    }

    pub(super) fn remove(&mut self, room: &RoomId) {
        self.groups.remove(room);
    }

    /// The groups of exactly these people, ascending, in which we are or come in: the first that was known here first.
    pub(super) fn of(&self, people: &[AccountId]) -> Vec<RoomId> {
        let mine = |known: &&Known| !matches!(known.state, State::Asked { .. }) && known.people == people;
        let mut found: Vec<&Known> = self.groups.values().filter(mine).collect();
        found.sort_by_key(|known| (known.at_ms, known.room));
        found.into_iter().map(|known| known.room).collect()
    }

    /// Groups that give way for another one, when there are as many as may be: the oldest in which we are not any more.
    pub(super) fn to_forget(&self, inside: impl Fn(&RoomId) -> bool, now_ms: u64) -> Vec<RoomId> {
        if self.groups.len() < GROUPS_MAX {
            return Vec::new();
        }
        let over = |known: &&Known| {
            let waits = matches!(known.state, State::Taken { link: Some(_), .. });
            !waits && known.at_ms.saturating_add(DAY_MS) < now_ms && !inside(&known.room)
        };
        let mut over: Vec<&Known> = self.groups.values().filter(over).collect();
        over.sort_by_key(|known| known.at_ms);
        let many = self.groups.len() + 1 - GROUPS_MAX;
        over.into_iter().take(many.max(GROUPS_MAX / 8)).map(|known| known.room).collect()
    }

    /// Whether there is space for one more.
    pub(super) fn has_space(&self) -> bool {
        self.groups.len() < GROUPS_MAX
    }

    /// What is to become of an invitation to us, `me`.
    pub(super) fn judge(&self, told: &Told, me: &AccountId, facts: Facts) -> Verdict {
        let people = &told.group.people;
        if facts.by_blocked || facts.inside || !people.contains(me) || !people.contains(&told.by) {
            return Verdict::Forget;
        }
        let why = match self.groups.get(&told.room).map(|known| &known.state) {
            Some(State::Made(_)) => return Verdict::Forget,
            // On the way in; the link may be a better one. Only who brought us in may change what was taken.
            Some(State::Taken { by, link: Some(_) }) if *by == told.by => return Verdict::Take,
            Some(State::Taken { link: Some(_), .. }) => return Verdict::Forget,
            Some(State::Taken { link: None, .. }) => Some(Why::Left),
            Some(State::Asked { by, why, .. }) if *by == told.by => Some(*why),
            Some(State::Asked { .. }) => return Verdict::Forget,
            None => facts.was_in.then_some(Why::Left),
        };
        let why = why.or_else(|| match () {
            () if !facts.by_contact => Some(Why::NoContact),
            () if facts.names_blocked => Some(Why::Blocked),
            () if self.of_lately(&told.by, facts.now_ms) >= GROUPS_A_DAY => Some(Why::Many),
            () => None,
        });
        match why {
            None if self.has_space() => Verdict::Take,
            None => Verdict::Forget,
            Some(why) if self.groups.contains_key(&told.room) || self.may_ask(&told.by) => Verdict::Ask(why),
            Some(_) => Verdict::Forget,
        }
    }

    /// Into how many this account brought us, or wanted to, since a day before.
    fn of_lately(&self, by: &AccountId, now_ms: u64) -> usize {
        let lately = |known: &&Known| known.by() == Some(*by) && known.at_ms.saturating_add(DAY_MS) > now_ms;
        self.groups.values().filter(lately).count()
    }

    /// Whether one more invitation of this account can wait for the user's word.
    fn may_ask(&self, by: &AccountId) -> bool {
        let asked = || self.groups.values().filter(|known| matches!(known.state, State::Asked { .. }));
        self.has_space()
            && asked().count() < GROUPS_ASKED_MAX
            && asked().filter(|known| known.by() == Some(*by)).count() < GROUPS_ASKED_BY
    }

    /// What is known of an invitation from now on.
    pub(super) fn heard(&self, told: &Told, verdict: Verdict, now_ms: u64) -> Option<Known> {
        let Told { by, room, group } = told.clone();
        let state = match verdict {
            Verdict::Forget => return None,
            Verdict::Take => State::Taken { by, link: Some(group.link) },
            Verdict::Ask(why) => State::Asked { by, link: group.link, why },
        };
        let at_ms = self.groups.get(&room).map_or(now_ms, |known| known.at_ms);
        Some(Known { room, name: group.name, people: group.people, at_ms, state })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_700_000_000_000;
    const ME: AccountId = AccountId([1; 32]);

    fn account(n: u8) -> AccountId {
        AccountId([n; 32])
    }

    fn told(by: u8, room: u8) -> Told {
        let people = vec![ME, account(by), account(200)];
        Told { by: account(by), room: RoomId([room; 32]), group: Group { link: "l".into(), name: "n".into(), people } }
    }

    fn facts(now_ms: u64) -> Facts {
        Facts { now_ms, by_blocked: false, by_contact: true, names_blocked: false, inside: false, was_in: false }
    }

    /// Does with an invitation what the book says.
    fn hear(book: &mut Book, told: &Told, facts: Facts) -> Verdict {
        let verdict = book.judge(told, &ME, facts);
        if let Some(known) = book.heard(told, verdict, facts.now_ms) {
            book.put(known);
        }
        verdict
    }

    #[test]
    fn a_contact_brings_us_in_and_nobody_else_does_without_our_word() {
        let mut book = Book::default();
        assert_eq!(hear(&mut book, &told(2, 1), facts(NOW)), Verdict::Take);
        let stranger = Facts { by_contact: false, ..facts(NOW) };
        assert_eq!(hear(&mut book, &told(3, 2), stranger), Verdict::Ask(Why::NoContact));
        let blocked = Facts { by_blocked: true, ..facts(NOW) };
        assert_eq!(hear(&mut book, &told(4, 3), blocked), Verdict::Forget);
        let with_blocked = Facts { names_blocked: true, ..facts(NOW) };
        assert_eq!(hear(&mut book, &told(5, 4), with_blocked), Verdict::Ask(Why::Blocked));
        assert_eq!(hear(&mut book, &told(6, 5), Facts { inside: true, ..facts(NOW) }), Verdict::Forget);
        // Whoever left is asked, also when nothing is known of an earlier invitation.
        assert_eq!(hear(&mut book, &told(6, 8), Facts { was_in: true, ..facts(NOW) }), Verdict::Ask(Why::Left));
    }

    #[test]
    fn an_invitation_that_leaves_us_or_its_writer_out_is_none() {
        let (book, mut without_us, mut without_him) = (Book::default(), told(2, 1), told(2, 1));
        without_us.group.people = vec![account(2), account(3), account(4)];
        without_him.group.people = vec![ME, account(3), account(4)];
        for told in [without_us, without_him] {
            assert_eq!(book.judge(&told, &ME, facts(NOW)), Verdict::Forget);
        }
    }

    #[test]
    fn who_left_a_group_is_asked_before_he_is_brought_in_again() {
        let mut book = Book::default();
        hear(&mut book, &told(2, 1), facts(NOW));
        let mut known = book.get(&RoomId([1; 32])).unwrap().clone();
        known.state = State::Taken { by: account(2), link: None };
        book.put(known);
        assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 1)), Verdict::Ask(Why::Left));
        assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 2)), Verdict::Ask(Why::Left), "and stays asked");
        assert_eq!(
            hear(&mut book, &told(3, 1), facts(NOW + 3)),
            Verdict::Forget,
            "another one does not take its place"
        );
    }

    #[test]
    fn nobody_takes_over_what_somebody_else_invited_into() {
        let mut book = Book::default();
        hear(&mut book, &told(2, 1), facts(NOW));
        assert_eq!(hear(&mut book, &told(3, 1), facts(NOW)), Verdict::Forget);
        assert_eq!(book.get(&RoomId([1; 32])).unwrap().by(), Some(account(2)));
    }

    #[test]
    fn the_first_group_of_the_same_people_is_the_one_that_was_known_first() {
        let mut book = Book::default();
        let people = told(2, 9).group.people;
        hear(&mut book, &told(2, 9), facts(NOW));
        hear(&mut book, &told(2, 1), facts(NOW + 1));
        assert_eq!(book.of(&people), [RoomId([9; 32]), RoomId([1; 32])]);
        assert!(book.of(&people[..2]).is_empty());
        let stranger = Facts { by_contact: false, ..facts(NOW) };
        hear(&mut book, &told(7, 3), stranger);
        assert!(book.of(&told(7, 3).group.people).is_empty(), "what waits for a word is no chat of ours");
    }

    #[test]
    fn who_was_told_is_told_again_only_after_the_invitation_ran_out() {
        let invited = |n: u8, told_ms: u64| Invited { account: account(n), times: 1, told_ms };
        let state = State::Made(vec![invited(2, NOW), invited(3, 0)]);
        let mut known = Known { room: RoomId([1; 32]), name: "n".into(), people: vec![], at_ms: NOW, state };
        assert!(!known.tell_again(&[account(2), account(3)], NOW + GROUP_INVITE_MS - 1));
        assert_eq!(known.untold(), [invited(3, 0)]);
        assert!(known.note_told(&account(3), NOW) && !known.note_told(&account(3), NOW));
        assert!(known.tell_again(&[account(2)], NOW + GROUP_INVITE_MS));
        assert_eq!(known.untold(), [Invited { account: account(2), times: 2, told_ms: 0 }]);
    }

    proptest! {
        #[test]
        fn whatever_contacts_send_bounds_hold(
            sent in prop::collection::vec((2u8..6, any::<u8>(), any::<bool>(), any::<bool>(), 0u64..1_000), 1..400),
        ) {
            let (mut book, mut now) = (Book::default(), NOW);
            for (by, room, by_contact, names_blocked, later) in sent {
                now += later;
                hear(&mut book, &told(by, room), Facts { by_contact, names_blocked, ..facts(now) });
            }
            for by in 2..6 {
                let of = |known: &&Known| known.by() == Some(account(by));
                let asked = |known: &&Known| matches!(known.state, State::Asked { .. });
                prop_assert!(book.iter().filter(of).filter(asked).count() <= GROUPS_ASKED_BY);
                let taken = book.iter().filter(of).filter(|known| !asked(known)).count();
                prop_assert!(taken <= GROUPS_A_DAY, "all of it is within a day");
            }
            let asked = book.iter().filter(|known| matches!(known.state, State::Asked { .. })).count();
            prop_assert!(asked <= GROUPS_ASKED_MAX);
            prop_assert!(book.groups.len() <= GROUPS_MAX);
        }
    }
}
