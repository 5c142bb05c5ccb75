//! What is known of groups: those made here, those we were brought into, and those that wait for the user's word. No I/O but at the
//! start.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::body::Group;
use parlor_proto::{AccountId, RoomId, codec};
use parlor_storage::{Namespace, Store};
use serde::{Deserialize, Serialize};

use crate::app::Answer;
use crate::limits::{
    GROUP_INVITE_MS, GROUP_JOINS_BY, GROUP_JOINS_MAX, GROUPS_A_DAY, GROUPS_ASKED_BY, GROUPS_ASKED_MAX, GROUPS_MAX,
};

const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Longest stored group in bytes: 32 people twice, a name, a link for each of them.
pub(super) const MAX_STORED: usize = 32 * 1_024;

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
    /// When it was made or first heard of here, milliseconds since the epoch.
    pub(super) heard_ms: u64,
    /// Since when we come in by the present link, or that waits for a word.
    pub(super) at_ms: u64,
    /// How often an invitation into it was taken, or began to wait for a word, since it was heard of.
    pub(super) times: u32,
    pub(super) state: State,
}

/// When somebody was told whom another device of ours was to tell: long ago, so that it is done here when the same people are asked
/// again. It may have been too late for that device.
const ELSEWHERE_MS: u64 = 1;

/// A stored group for another device of the account: whom the first one was to invite it invites itself. `None` for what is none.
pub(crate) fn restored(stored: &[u8]) -> Option<Vec<u8>> {
    let mut known: Known = codec::decode(stored, MAX_STORED).ok()?;
    if let State::Made(invited) = &mut known.state {
        for untold in invited.iter_mut().filter(|one| one.told_ms == 0) {
            (untold.told_ms, untold.link) = (ELSEWHERE_MS, None);
        }
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
    /// The user refused what somebody invited us into: he does not ask again.
    Refused { by: AccountId },
    /// The door said no to somebody's link. He may send a better one, but that counts.
    Failed { by: AccountId },
}

/// Whom we bring in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invited {
    pub(super) account: AccountId,
    /// How often, from 1: after an invitation ran out there is another.
    pub(super) times: u32,
    /// Since when we try to tell him, this time.
    pub(super) since_ms: u64,
    /// The link for him alone, once it is made: whatever fails after that, there is no second one.
    pub(super) link: Option<String>,
    /// When it was written into the direct chat; 0 while it is not.
    pub(super) told_ms: u64,
}

/// Why an invitation is not taken without the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Why {
    /// Who writes is no contact (any more).
    NoContact,
    /// Somebody is to be in it who is blocked.
    Blocked,
    /// We were in it, and left or were removed; or we refused an invitation into it.
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

impl State {
    fn link(&self) -> Option<&str> {
        match self {
            Self::Taken { link: Some(link), .. } | Self::Asked { link, .. } => Some(link),
            _ => None,
        }
    }
}

impl Known {
    /// The link by which we come in, or may.
    fn link(&self) -> Option<&str> {
        self.state.link()
    }

    /// Whether we are in it, were, or come in: then it keeps its place among the groups of the same people.
    fn is_ours(&self) -> bool {
        matches!(self.state, State::Made(_) | State::Taken { .. })
    }

    /// Whose invitation it was.
    pub(super) fn by(&self) -> Option<AccountId> {
        match &self.state {
            State::Made(_) => None,
            State::Taken { by, .. } | State::Asked { by, .. } => Some(*by),
            State::Refused { by } | State::Failed { by } => Some(*by),
        }
    }

    /// Those who are to be told yet; nobody whom that was tried with for as long as an invitation lasts.
    pub(super) fn untold(&self, now_ms: u64) -> Vec<Invited> {
        match &self.state {
            State::Made(invited) => {
                invited.iter().filter(|one| one.told_ms == 0 && !one.is_over(now_ms)).cloned().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether somebody was not told, be it that the time for that is over: the clock may be wrong.
    pub(super) fn has_untold(&self) -> bool {
        matches!(&self.state, State::Made(invited) if invited.iter().any(|one| one.told_ms == 0))
    }

    /// Notes the link that was made for somebody who is to be told so often. Whether that is news.
    pub(super) fn note_link(&mut self, account: &AccountId, times: u32, link: String) -> bool {
        let State::Made(invited) = &mut self.state else { return false };
        let wants = |one: &&mut Invited| one.account == *account && one.times == times && one.told_ms == 0;
        let found = invited.iter_mut().find(wants).filter(|one| one.link.is_none());
        found.map(|one| one.link = Some(link)).is_some()
    }

    /// Notes that somebody was told so often. Whether that is news.
    pub(super) fn note_told(&mut self, account: &AccountId, times: u32, now_ms: u64) -> bool {
        let State::Made(invited) = &mut self.state else { return false };
        let wants = |one: &&mut Invited| one.account == *account && one.times == times && one.told_ms == 0;
        let found = invited.iter_mut().find(wants);
        found.map(|invited| (invited.told_ms, invited.link) = (now_ms, None)).is_some()
    }

    /// Of those who are `missing`, whoever's invitation ran out is to be told anew. Whether there is anybody.
    pub(super) fn tell_again(&mut self, missing: &[AccountId], now_ms: u64) -> bool {
        let State::Made(invited) = &mut self.state else { return false };
        let mut some = false;
        for one in invited.iter_mut().filter(|one| missing.contains(&one.account)) {
            if one.is_over(now_ms) {
                *one = Invited { times: one.times.saturating_add(1), ..Invited::new(one.account, now_ms) };
                some = true;
            }
        }
        some
    }

    /// The user comes in by the invitation that waited for his word. Whether there was one.
    pub(super) fn accept(&mut self, now_ms: u64) -> bool {
        let State::Asked { by, link, .. } = &self.state else { return false };
        self.state = State::Taken { by: *by, link: Some(link.clone()) };
        // He may have taken his time: it is from now on that we come in.
        self.at_ms = now_ms;
        true
    }

    /// The user does not want to come in. Whether there was an invitation, and we are not in by it.
    pub(super) fn refuse(&mut self) -> bool {
        let (State::Asked { by, .. } | State::Taken { by, link: Some(_) }) = &self.state else { return false };
        self.state = State::Refused { by: *by };
        true
    }

    /// The door does not let us in by this link. Whether it is the one that we have: of a better one that came meanwhile nothing is said.
    pub(super) fn fail(&mut self, tried: &str) -> bool {
        let State::Taken { by, link: Some(link) } = &self.state else { return false };
        if link != tried {
            return false;
        }
        self.state = State::Failed { by: *by };
        true
    }

    /// Whether the time is over in which we try to come in, whatever the link says of itself. A clock that was ahead gives no more of it.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.at_ms.abs_diff(now_ms) > GROUP_INVITE_MS
    }

    /// Whether we are on the way in, by somebody's invitation.
    pub(super) fn comes(&self) -> bool {
        matches!(self.state, State::Taken { link: Some(_), .. })
    }

    /// Whether it is the chat of these people, though these of them are not in it: they may be on their way, for as long as their
    /// invitations last. Only of a group that somebody else made does that matter: whoever we made it with we told.
    pub(super) fn is_of(&self, missing: usize, now_ms: u64) -> bool {
        let others = matches!(self.state, State::Taken { .. });
        missing == 0 || !others || now_ms < self.heard_ms.saturating_add(GROUP_INVITE_MS)
    }
}

impl Invited {
    /// Somebody who is to be told.
    pub(super) fn new(account: AccountId, now_ms: u64) -> Self {
        Self { account, times: 1, since_ms: now_ms, link: None, told_ms: 0 }
    }

    /// Whether the invitation ran out, or could not be told for as long as one lasts.
    fn is_over(&self, now_ms: u64) -> bool {
        let since = if self.told_ms > 0 { self.told_ms } else { self.since_ms };
        since.saturating_add(GROUP_INVITE_MS) <= now_ms
    }
}

impl Book {
    /// The groups as stored. One that does not decode (of a newer version) is left out: the room is there all the same.
    ///
    /// # Errors
    /// `home_damaged` if they can not be read: without them what was refused would be taken, and whoever is to be told forgotten.
    pub(super) fn load(store: &Store) -> Answer<Self> {
        let rows = store.scan(None, Namespace::Group, &[]).map_err(|error| crate::home_damaged(error.to_string()))?;
        Ok(Self::restore(rows.iter().filter_map(|(_, bytes)| codec::decode(bytes, MAX_STORED).ok())))
    }

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
        let ours = |known: &&Known| matches!(known.state, State::Made(_) | State::Taken { .. });
        let mut found: Vec<&Known> = self.groups.values().filter(ours).filter(|known| known.people == people).collect();
        found.sort_by_key(|known| (known.heard_ms, known.room));
        found.into_iter().map(|known| known.room).collect()
    }

    /// Groups that give way for another one, when there are as many as may be: the oldest in which we are not any more.
    pub(super) fn to_forget(&self, inside: impl Fn(&RoomId) -> bool, now_ms: u64) -> Vec<RoomId> {
        if self.groups.len() < GROUPS_MAX {
            return Vec::new();
        }
        let over = |known: &&Known| {
            let waits = matches!(known.state, State::Taken { link: Some(_), .. });
            !waits && known.heard_ms.max(known.at_ms).saturating_add(DAY_MS) < now_ms && !inside(&known.room)
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
        let other_people = self.groups.get(&told.room).is_some_and(|known| known.people != *people);
        let why = match self.groups.get(&told.room).map(|known| &known.state) {
            // We made it, and are out.
            Some(State::Made(_)) => Some(Why::Left),
            // On the way in; the link may be a better one. Only who brought us in may change what was taken; with other people it is
            // judged as if it were the first one.
            Some(State::Taken { by, link: Some(_) }) if *by != told.by => return Verdict::Forget,
            Some(State::Taken { link: Some(_), .. }) if !other_people => return Verdict::Take,
            Some(State::Taken { link: Some(_), .. }) => None,
            Some(State::Taken { link: None, .. }) => Some(Why::Left),
            Some(State::Asked { by, why, .. }) if *by == told.by => Some(*why),
            Some(State::Asked { .. }) => return Verdict::Forget,
            Some(State::Refused { by }) if *by == told.by => return Verdict::Forget,
            Some(State::Refused { .. }) => Some(Why::Left),
            Some(State::Failed { .. }) | None => facts.was_in.then_some(Why::Left),
        };
        let why = why.or_else(|| match () {
            () if !facts.by_contact => Some(Why::NoContact),
            () if facts.names_blocked => Some(Why::Blocked),
            () if self.of_lately(&told.by, facts.now_ms) >= GROUPS_A_DAY => Some(Why::Many),
            () => None,
        });
        let known = self.groups.get(&told.room);
        let waits = known.is_some_and(|known| matches!(known.state, State::Asked { .. }));
        let has_space = known.is_some() || self.has_space();
        match why {
            None if has_space => Verdict::Take,
            Some(why) if waits || has_space && self.may_ask(&told.by) => Verdict::Ask(why),
            _ => Verdict::Forget,
        }
    }

    /// How often this account brought us into a group, or wanted to, since a day before: what failed and what was refused counts.
    fn of_lately(&self, by: &AccountId, now_ms: u64) -> usize {
        // A clock that was ahead counts no longer than a day either.
        let lately = |known: &&Known| known.by() == Some(*by) && known.heard_ms.abs_diff(now_ms) < DAY_MS;
        self.groups.values().filter(lately).map(|known| known.times as usize).sum()
    }

    /// Whether one more invitation of this account can wait for the user's word.
    fn may_ask(&self, by: &AccountId) -> bool {
        let asked = || self.groups.values().filter(|known| matches!(known.state, State::Asked { .. }));
        asked().count() < GROUPS_ASKED_MAX && asked().filter(|known| known.by() == Some(*by)).count() < GROUPS_ASKED_BY
    }

    /// What is known of an invitation from now on.
    pub(super) fn heard(&self, told: &Told, verdict: Verdict, now_ms: u64) -> Option<Known> {
        let Told { by, room, group } = told.clone();
        let state = match verdict {
            Verdict::Forget => return None,
            Verdict::Take => State::Taken { by, link: Some(group.link) },
            Verdict::Ask(why) => State::Asked { by, link: group.link, why },
        };
        let before = self.groups.get(&room);
        // Again the same link is nothing new; a better one has its time.
        let same = before.filter(|before| before.link() == state.link());
        let goes_on = before.is_some_and(|before| before.link().is_some());
        let recent = before.filter(|before| before.heard_ms.abs_diff(now_ms) < DAY_MS || before.is_ours());
        Some(Known {
            room,
            name: group.name,
            people: group.people,
            heard_ms: recent.map_or(now_ms, |before| before.heard_ms),
            at_ms: same.map_or(now_ms, |before| before.at_ms),
            times: recent.map_or(0, |before| before.times).saturating_add(u32::from(!goes_on)),
            state,
        })
    }

    /// Whether a join by an invitation of this account may begin beside those under way: all in all there is a bound, and for each
    /// account one, so that nobody who brings us to doors that do not open keeps others from bringing us in.
    pub(super) fn may_join(&self, by: Option<AccountId>, under_way: &BTreeSet<RoomId>) -> bool {
        let of = |room: &&RoomId| self.get(room).is_some_and(|known| known.by() == by);
        under_way.len() < GROUP_JOINS_MAX && under_way.iter().filter(of).count() < GROUP_JOINS_BY
    }
}

#[cfg(test)]
mod tests;
