//! The requests of one room as this node knows them: who asks, since when, and who was told of it.
//!
//! Members pass on what joiners asked of them, never what they heard from another member: so a request lives as long as its joiner
//! asks, and [`REQUEST_MS`] longer at most with each who heard of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use parlor_proto::control::{InviteId, JoinRequest};
use parlor_proto::{AccountId, DeviceId, codec};
use serde::{Deserialize, Serialize};

use crate::limits::{PASS_AGAIN_MS, PASS_ON_MS, REQUEST_MS, REQUESTS_MAX};

/// A request, by the account that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::services::rooms) struct Asked {
    /// On which invite.
    pub(super) invite: InviteId,
    /// The joiner's own words, with his signatures.
    pub(super) join: JoinRequest,
    /// When it came, milliseconds since the epoch.
    pub(super) at_ms: u64,
    /// Somebody said no: the room knows it, this follows it.
    #[serde(skip)]
    pub(super) refused: bool,
    /// Only members told of it: they pass it on themselves.
    pub(super) heard: bool,
}

impl Asked {
    pub(super) fn invite(&self) -> &InviteId {
        &self.invite
    }

    pub(super) fn device(&self) -> DeviceId {
        self.join.entrant.device()
    }

    /// Whether it still waits for a word.
    pub(super) fn waits(&self) -> bool {
        !self.refused
    }

    fn is_over(&self, now_ms: u64) -> bool {
        self.at_ms.saturating_add(REQUEST_MS) < now_ms
    }
}

/// What is to be done with a request that came.
#[derive(Debug)]
pub(super) enum Came {
    /// It is kept: write this down. It is news, or only known better than before.
    Keep { asked: Box<Asked>, news: bool },
    /// It waits already.
    Waits,
    /// Too many wait.
    Full,
}

/// The requests of a room.
#[derive(Default)]
pub(in crate::services::rooms) struct Requests {
    /// By who asks.
    asked: BTreeMap<AccountId, Asked>,
    /// Which devices of members were told of whom.
    told: HashSet<(DeviceId, AccountId)>,
    /// When each of these devices may be told of another.
    rests: HashMap<DeviceId, u64>,
    /// When somebody is to be told of another.
    due_ms: Option<u64>,
}

/// The key of a stored request.
pub(super) fn key(account: &AccountId) -> Vec<u8> {
    [b"request".as_slice(), &account.0].concat()
}

impl Requests {
    /// The requests that the store holds; what does not decode is asked again by its joiner.
    pub(in crate::services::rooms) fn load<'a>(rows: impl Iterator<Item = &'a [u8]>) -> Self {
        let decode = |bytes| codec::decode::<Asked>(bytes, parlor_proto::join::MAX_KNOCK + 256).ok();
        let asked = rows.filter_map(decode).map(|asked| (asked.join.entrant.account(), asked)).collect();
        Self { asked, ..Self::default() }
    }

    /// Somebody asks, by himself or by a member who passes it on.
    pub(super) fn came(&self, invite: InviteId, join: JoinRequest, heard: bool, now_ms: u64) -> Came {
        let asked = |join| Asked { invite, join, at_ms: now_ms, refused: false, heard };
        match self.asked.get(&join.entrant.account()).filter(|known| known.invite == invite) {
            Some(known) if known.heard && !heard => Came::Keep { asked: asked(join).into(), news: false },
            Some(_) => Came::Waits,
            None if self.is_full(heard) => Came::Full,
            None => Came::Keep { asked: asked(join).into(), news: true },
        }
    }

    /// Whether there is no place for another one. What members tell leaves half of the places to who asks here himself; who was refused
    /// takes none.
    fn is_full(&self, heard: bool) -> bool {
        let waiting = || self.asked.values().filter(|asked| asked.waits());
        waiting().count() >= REQUESTS_MAX
            || (heard && waiting().filter(|asked| asked.heard).count() >= REQUESTS_MAX / 2)
    }

    /// Of those who were refused the one that asked longest ago, if there are too many.
    pub(super) fn refused_too_many(&self) -> Option<AccountId> {
        let refused = || self.asked.iter().filter(|(_, asked)| asked.refused);
        let oldest = || refused().min_by_key(|(_, asked)| asked.at_ms).map(|(account, _)| *account);
        (refused().count() > REQUESTS_MAX).then(oldest)?
    }

    pub(super) fn is_empty(&self) -> bool {
        self.asked.is_empty()
    }

    pub(super) fn keep(&mut self, account: AccountId, asked: Asked) {
        let invite = asked.invite;
        if self.asked.insert(account, asked).is_some_and(|was| was.invite != invite) {
            // Who was told of the one on another invite may answer this one, and knows nothing of it.
            self.told.retain(|(_, told)| *told != account);
        }
    }

    pub(super) fn remove(&mut self, account: &AccountId) -> Option<Asked> {
        self.told.retain(|(_, told)| told != account);
        self.asked.remove(account)
    }

    pub(super) fn get(&self, account: &AccountId) -> Option<&Asked> {
        self.asked.get(account)
    }

    /// Follows who is `declined` in the room, and answers who was refused since.
    pub(in crate::services::rooms) fn follow(
        &mut self,
        declined: impl Fn(&InviteId, &AccountId) -> bool,
    ) -> Vec<AccountId> {
        let mut refused = Vec::new();
        for (account, asked) in &mut self.asked {
            let was = std::mem::replace(&mut asked.refused, declined(&asked.invite, account));
            if asked.refused && !was {
                refused.push(*account);
            }
        }
        refused
    }

    /// All of them, also those who were refused.
    pub(super) fn all(&self) -> impl Iterator<Item = (&AccountId, &Asked)> {
        self.asked.iter()
    }

    /// What waits for an answer.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (&AccountId, &Asked)> {
        self.asked.iter().filter(|(_, asked)| asked.waits())
    }

    /// Those that are over: too old, or not `open` any more.
    pub(super) fn over(&self, now_ms: u64, open: impl Fn(&Asked) -> bool) -> Vec<AccountId> {
        let over = |(_, asked): &(&AccountId, &Asked)| asked.is_over(now_ms) || !open(asked);
        self.asked.iter().filter(over).map(|(account, _)| *account).collect()
    }

    /// What members' devices are to be told of now, each device once of each: what joiners asked of this node, on invites by which the
    /// device `may` let somebody in. One at a time and in its own time, for whoever is told takes knocks slowly, and holds floods of them
    /// against who knocks: what is left is due at [`due`](Self::due).
    pub(super) fn news(
        &mut self,
        devices: impl Iterator<Item = DeviceId>,
        may: impl Fn(&DeviceId, &InviteId) -> bool,
        now_ms: u64,
    ) -> Vec<(DeviceId, AccountId, Asked)> {
        self.rests.retain(|_, until| *until > now_ms);
        self.due_ms = None;
        let own = |(_, asked): &(&AccountId, &Asked)| asked.waits() && !asked.heard;
        let invites: BTreeSet<InviteId> = self.asked.iter().filter(own).map(|(_, asked)| asked.invite).collect();
        let mut news = Vec::new();
        for device in devices {
            let fits: Vec<_> = invites.iter().filter(|invite| may(&device, invite)).collect();
            let mut untold =
                self.asked.iter().filter(own).filter(|(account, asked)| {
                    fits.contains(&&asked.invite) && !self.told.contains(&(device, **account))
                });
            let Some((account, asked)) = untold.next() else { continue };
            let rests = self.rests.get(&device).copied();
            let due = rests.or_else(|| untold.next().map(|_| now_ms.saturating_add(PASS_ON_MS)));
            self.due_ms = [self.due_ms, due].into_iter().flatten().min();
            if rests.is_none() {
                news.push((device, *account, asked.clone()));
                self.told.insert((device, *account));
                self.rests.insert(device, now_ms.saturating_add(PASS_ON_MS));
            }
        }
        news
    }

    /// When [`news`](Self::news) has more.
    pub(in crate::services::rooms) fn due(&self) -> Option<u64> {
        self.due_ms
    }

    /// Whether [`due`](Self::due) has come; it counts once.
    pub(super) fn is_due(&mut self, now_ms: u64) -> bool {
        self.due_ms.take_if(|due| *due <= now_ms).is_some()
    }

    /// The devices that were told of an account.
    pub(super) fn told_of(&self, account: &AccountId) -> impl Iterator<Item = &DeviceId> {
        self.told.iter().filter(move |(_, told)| told == account).map(|(device, _)| device)
    }

    /// A device did not take what it was told: it is told again, but not at once.
    pub(super) fn not_taken(&mut self, device: DeviceId, account: AccountId, now_ms: u64) {
        let again_ms = now_ms.saturating_add(PASS_AGAIN_MS);
        self.told.remove(&(device, account));
        self.rests.insert(device, again_ms);
        self.due_ms = Some(self.due_ms.map_or(again_ms, |due| due.min(again_ms)));
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::invite::InviteSeed;
    use parlor_proto::RoomId;
    use parlor_proto::identity::Identity;

    use super::*;
    use crate::account::rng;

    const INVITE: InviteId = parlor_proto::EventId([5; 32]);
    const DAY_MS: u64 = 24 * 3600 * 1000;

    fn join() -> JoinRequest {
        let (_, me) = Identity::create("Erin", 0, &mut rng()).unwrap();
        let keys = InviteSeed::generate(&mut rng()).keys();
        JoinRequest::sign(&RoomId([1; 32]), &keys.sign, me.signing_key(), me.entrant(), [7; 16])
    }

    impl Requests {
        /// What a turn does with what came; answers whether it is to be written down.
        fn take(&mut self, join: &JoinRequest, heard: bool, now_ms: u64) -> bool {
            match self.came(INVITE, join.clone(), heard, now_ms) {
                Came::Keep { asked, .. } => {
                    self.asked.insert(join.entrant.account(), *asked).is_none_or(|was| was.heard)
                }
                _ => false,
            }
        }
    }

    #[test]
    fn what_members_tell_each_other_of_who_asks_ends_when_nobody_asks_any_more() {
        let join = join();
        let moderators = [DeviceId([1; 32]), DeviceId([2; 32]), DeviceId([3; 32])];
        let mut books = [Requests::default(), Requests::default(), Requests::default()];
        books[0].take(&join, false, 0);
        // They meet each day, from a fresh start, for three months.
        for day in 0..90 {
            let now_ms = day * DAY_MS;
            for from in 0..books.len() {
                books[from].told.clear();
                let others = (0..books.len()).filter(|to| *to != from);
                for (device, _, asked) in books[from].news(others.map(|to| moderators[to]), |_, _| true, now_ms) {
                    let to = moderators.iter().position(|moderator| *moderator == device).unwrap();
                    books[to].take(&asked.join, true, now_ms);
                }
                for over in books[from].over(now_ms, |_| true) {
                    books[from].remove(&over);
                }
            }
            let known = books.iter().filter(|book| !book.is_empty()).count();
            assert!(!(1..30).contains(&day) || known == 3, "day {day}: {known}");
            assert!(day < 62 || known == 0, "day {day}: {known} still show who asked two months ago");
        }
    }

    /// How many requests a device is told of now.
    fn told(book: &mut Requests, device: DeviceId, now_ms: u64) -> usize {
        book.news([device].into_iter(), |_, _| true, now_ms).len()
    }

    #[test]
    fn what_was_heard_first_is_passed_on_once_the_joiner_asks_himself() {
        let (join, carol) = (join(), DeviceId([3; 32]));
        let mut book = Requests::default();
        assert!(book.take(&join, true, 0), "it is kept");
        assert_eq!(told(&mut book, carol, 0), 0, "who told of it tells others himself");
        assert!(!book.take(&join, true, 1), "told again, it is nothing new");
        assert!(book.take(&join, false, 2));
        assert!(!book.take(&join, false, 3), "asked again, nothing is written");
        assert!(book.news([carol].into_iter(), |_, _| false, 3).is_empty());
        assert_eq!(told(&mut book, carol, 3), 1);
        assert_eq!(told(&mut book, carol, 3 + DAY_MS), 0, "once");
        assert_eq!(book.due(), None);
        book.not_taken(carol, join.entrant.account(), DAY_MS);
        assert_eq!(told(&mut book, carol, DAY_MS + 1), 0, "not at once");
        let due_ms = book.due().unwrap();
        assert_eq!(told(&mut book, carol, due_ms), 1);
    }

    #[test]
    fn who_asks_on_another_invite_is_told_of_again() {
        let (join, carol) = (join(), DeviceId([3; 32]));
        let mut book = Requests::default();
        for (n, invite) in [INVITE, parlor_proto::EventId([6; 32])].into_iter().enumerate() {
            let now_ms = n as u64 * DAY_MS;
            let Came::Keep { asked, news: true } = book.came(invite, join.clone(), false, now_ms) else { panic!() };
            book.keep(join.entrant.account(), *asked);
            assert_eq!(told(&mut book, carol, now_ms), 1);
        }
    }

    #[test]
    fn however_many_ask_and_however_often_a_member_is_told_slowly_and_of_all_in_the_end() {
        let mut book = full();
        let devices = [DeviceId([1; 32]), DeviceId([2; 32])];
        let mut heard = [0; 2];
        // Somebody knocks ten times a second.
        for now_ms in (0..2 * REQUESTS_MAX as u64 * PASS_ON_MS).step_by(100) {
            for (device, _, _) in book.news(devices.into_iter(), |_, _| true, now_ms) {
                heard[usize::from(device == devices[1])] += 1;
            }
            assert!(heard.iter().all(|told| *told <= 1 + now_ms / PASS_ON_MS), "{heard:?} after {now_ms} ms");
        }
        assert_eq!(heard, [REQUESTS_MAX as u64; 2]);
    }

    /// As many requests as are kept.
    fn full() -> Requests {
        let mut book = Requests::default();
        let join = join();
        for n in 0..REQUESTS_MAX {
            let Came::Keep { asked, .. } = book.came(INVITE, join.clone(), false, 0) else { panic!("{n} are kept") };
            let mut account = join.entrant.account();
            account.0[..2].copy_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
            book.keep(account, *asked);
        }
        book
    }

    #[test]
    fn whoever_asks_there_is_an_end_to_what_is_kept() {
        let mut book = full();
        assert!(matches!(book.came(INVITE, join(), false, 0), Came::Full));
        // Who was refused keeps nobody out, and does not stay for ever.
        let all: Vec<AccountId> = book.asked.keys().copied().collect();
        for account in &all[..2] {
            book.asked.get_mut(account).unwrap().refused = true;
        }
        assert!(matches!(book.came(INVITE, join(), false, 0), Came::Keep { .. }));
        assert_eq!(book.refused_too_many(), None);
        let mut one_more = book.asked[&all[0]].clone();
        one_more.at_ms = 1;
        book.asked.values_mut().for_each(|asked| asked.refused = true);
        book.keep(AccountId([255; 32]), one_more);
        assert!(book.refused_too_many().is_some_and(|oldest| oldest != AccountId([255; 32])));
    }

    #[test]
    fn what_members_tell_leaves_room_for_who_asks_himself() {
        let mut book = Requests::default();
        for (account, asked) in full().asked {
            if matches!(book.came(INVITE, asked.join.clone(), true, 0), Came::Keep { .. }) {
                book.keep(account, Asked { heard: true, ..asked });
            }
        }
        assert_eq!(book.asked.len(), REQUESTS_MAX / 2);
        assert!(matches!(book.came(INVITE, join(), true, 0), Came::Full));
        assert!(matches!(book.came(INVITE, join(), false, 0), Came::Keep { .. }));
    }
}
