//! What others tell of themselves, in all rooms together, and the names they are shown by.
//!
//! Rooms put a line here for each device that told something, as they do in their directory: what is shown of an account is
//! what all its lines make together ([`Content::take`]), whatever the order in which they came.
//!
//! A name that looks like that of somebody else we know is shown with the beginning of its account behind, unless the user
//! himself gave it. So nobody is taken for another by what he calls himself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parlor_proto::profile::{Content, PictureKey};
use parlor_proto::{AccountId, DeviceId, RoomId, name};

/// Hexadecimal digits of an account that tell it from others of its name, or stand for a name nobody knows.
const SHORT: usize = 8;

/// Accounts of one look that are told of when it is given to one more: with more of them nobody looks at names any more.
const ALIKE_MAX: usize = 8;

/// Where a name comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// A device's certificate: whatever its owner wrote there.
    Certificate,
    /// A profile.
    Profile,
    /// The user: what he calls a contact, or himself.
    User,
}

/// What one device told in one room.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) content: Content,
    /// Whether that was in a direct chat: to one contact alone.
    pub(crate) direct: bool,
    /// Whether the picture that it names is held.
    pub(crate) portrait: bool,
}

#[derive(Debug, Default)]
struct Person {
    lines: BTreeMap<(RoomId, DeviceId), Told>,
    merged: Content,
    /// What its names look like, by where they come from.
    looks: BTreeMap<Name, String>,
    /// The name of its certificate.
    certificate: String,
}

/// Everybody.
#[derive(Debug, Default)]
pub(super) struct People {
    persons: HashMap<AccountId, Person>,
    looks: HashMap<String, BTreeSet<AccountId>>,
}

/// What is shown of somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What he calls himself.
    pub(crate) name: Option<String>,
    pub(crate) about: Option<String>,
    pub(crate) picture: Option<[u8; 32]>,
    pub(crate) seen_ms: Option<u64>,
}

impl People {
    /// A device tells this in a room now, or nothing that opens. Answers whose profiles look different since.
    pub(super) fn tell(&mut self, account: AccountId, at: (RoomId, DeviceId), told: Option<Told>) -> Vec<AccountId> {
        let before = self.shown(&account);
        let person = self.persons.entry(account).or_default();
        match told {
            Some(told) => drop(person.lines.insert(at, told)),
            None => drop(person.lines.remove(&at)),
        }
        self.merge(account, &before)
    }

    /// Of a room only these lines stay. Answers whose profiles look different since.
    pub(super) fn retain(&mut self, room: &RoomId, stays: impl Fn(&DeviceId) -> bool) -> Vec<AccountId> {
        let goes = |(at, device): &(RoomId, DeviceId)| at == room && !stays(device);
        let touched = self.persons.iter().filter(|(_, person)| person.lines.keys().any(goes));
        let touched: Vec<_> = touched.map(|(account, _)| *account).collect();
        let mut changed = Vec::new();
        for account in touched {
            let before = self.shown(&account);
            if let Some(person) = self.persons.get_mut(&account) {
                person.lines.retain(|at, _| !goes(at));
            }
            changed.extend(self.merge(account, &before));
        }
        changed
    }

    fn merge(&mut self, account: AccountId, before: &Shown) -> Vec<AccountId> {
        if let Some(person) = self.persons.get_mut(&account) {
            let mut merged = Content::default();
            for line in person.lines.values() {
                merged.take(line.content.clone());
            }
            person.merged = merged;
        }
        let after = self.shown(&account);
        let mut changed = Vec::new();
        if after.name != before.name {
            changed = self.called(account, Name::Profile, after.name.as_deref().unwrap_or_default());
        }
        if after != *before && !changed.contains(&account) {
            changed.push(account);
        }
        changed
    }

    /// An account is called this by somebody; empty for no more. Answers who is shown by another name since.
    pub(super) fn called(&mut self, account: AccountId, by: Name, called: &str) -> Vec<AccountId> {
        let person = self.persons.entry(account).or_default();
        if by == Name::Certificate {
            if person.certificate == called {
                return Vec::new();
            }
            called.clone_into(&mut person.certificate);
        }
        let look = Some(name::look(called)).filter(|look| !look.is_empty());
        let before = match &look {
            Some(look) => person.looks.insert(by, look.clone()),
            None => person.looks.remove(&by),
        };
        if before == look {
            return Vec::new();
        }
        let mut touched = BTreeSet::from([account]);
        if let Some(before) = before.filter(|before| !person.looks.values().any(|look| look == before)) {
            let alike = self.looks.entry(before.clone()).or_default();
            alike.remove(&account);
            touched.extend(alike.iter().take(ALIKE_MAX));
            if alike.is_empty() {
                self.looks.remove(&before);
            }
        }
        if let Some(look) = look {
            let alike = self.looks.entry(look).or_default();
            touched.extend(alike.iter().take(ALIKE_MAX));
            alike.insert(account);
        }
        touched.into_iter().collect()
    }

    /// What somebody tells us of himself.
    pub(super) fn shown(&self, account: &AccountId) -> Shown {
        let Some(person) = self.persons.get(account) else { return Shown::default() };
        let Content { name, about, picture, seen } = &person.merged;
        let held = |key: &PictureKey| self.lines_with(account, &key.hash).next().is_some();
        Shown {
            name: name.value.clone(),
            about: about.value.clone(),
            picture: picture.value.as_ref().filter(|key| held(key)).map(|key| key.hash),
            seen_ms: seen.value,
        }
    }

    /// The name of an account by its certificate; empty if no room knows it.
    pub(super) fn certificate(&self, account: &AccountId) -> &str {
        self.persons.get(account).map_or("", |person| &person.certificate)
    }

    /// A name of an account as it is shown: with the beginning of the account behind if somebody else could be meant. Of two with
    /// the same certificate name neither is told apart: each is what the room calls it, as if there were no profiles.
    pub(super) fn told_apart(&self, account: &AccountId, by: Name, called: &str) -> String {
        let look = name::look(called);
        let other = |one: &&AccountId| {
            let looks = self.persons.get(*one).map(|person| &person.looks);
            let weighs = |from: &Name| by == Name::Profile || *from > Name::Certificate;
            *one != account && looks.is_some_and(|looks| looks.iter().any(|(from, it)| *it == look && weighs(from)))
        };
        // Whoever writes somebody's account behind a name of his own has his own behind that.
        let pretends = by == Name::Certificate && names_an_account(&look);
        let alike = by != Name::User && self.looks.get(&look).is_some_and(|alike| alike.iter().any(|one| other(&one)));
        if alike || pretends { format!("{called} ({})", short(account)) } else { called.to_owned() }
    }

    /// Where a picture is held: the room, the device, and what opens it. Of several all.
    pub(super) fn portraits(&self, hash: &[u8; 32]) -> Vec<(AccountId, RoomId, DeviceId, PictureKey)> {
        let of = |account: &AccountId| {
            let account = *account;
            self.lines_with(&account, hash)
                .map(move |((room, device), key)| (account, *room, *device, key.clone()))
                .collect::<Vec<_>>()
        };
        self.persons.keys().flat_map(of).collect()
    }

    fn lines_with<'a>(
        &'a self,
        account: &AccountId,
        hash: &'a [u8; 32],
    ) -> impl Iterator<Item = (&'a (RoomId, DeviceId), &'a PictureKey)> {
        let lines = self.persons.get(account).into_iter().flat_map(|person| &person.lines);
        lines.filter(|(_, line)| line.portrait).filter_map(move |(at, line)| {
            let key = line.content.picture.value.as_ref().filter(|key| key.hash == *hash)?;
            Some((at, key))
        })
    }

    /// What the devices of an account told, and where.
    pub(super) fn lines(&self, account: &AccountId) -> Vec<(RoomId, DeviceId, Told)> {
        let lines = self.persons.get(account).into_iter().flat_map(|person| &person.lines);
        lines.map(|((room, device), told)| (*room, *device, told.clone())).collect()
    }

    /// Everybody who tells something.
    pub(super) fn telling(&self) -> Vec<AccountId> {
        let tells = |(_, person): &(&AccountId, &Person)| !person.lines.is_empty();
        let mut accounts: Vec<_> = self.persons.iter().filter(tells).map(|(account, _)| *account).collect();
        accounts.sort_unstable();
        accounts
    }
}

/// The beginning of an account, as people read it out.
pub(super) fn short(account: &AccountId) -> String {
    account.to_string().chars().take(SHORT).collect()
}

/// Whether something of the form of an account's beginning stands in parentheses at the end of what looks so.
fn names_an_account(look: &str) -> bool {
    let inner = look.strip_suffix(')').and_then(|look| look.rsplit_once('(')).map(|(_, inner)| inner);
    inner.is_some_and(|inner| inner.chars().count() == SHORT && inner.chars().all(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;
    use parlor_proto::profile::Field;

    use super::*;

    const ALICE: AccountId = AccountId([1; 32]);
    const MALLORY: AccountId = AccountId([2; 32]);

    fn at(room: u8, device: u8) -> (RoomId, DeviceId) {
        (RoomId([room; 32]), DeviceId([device; 32]))
    }

    fn told(content: Content, portrait: bool) -> Option<Told> {
        Some(Told { content, direct: false, portrait })
    }

    fn named(stamp: u64, name: Option<&str>) -> Option<Told> {
        let name = Field { stamp, value: name.map(str::to_owned) };
        told(Content { name, ..Content::default() }, false)
    }

    #[test]
    fn what_several_devices_and_rooms_tell_is_one_profile_in_any_order() {
        let told = [
            (at(1, 1), named(5, None)),
            (at(2, 1), named(7, Some("Al"))),
            (at(1, 2), named(6, Some("Alice"))),
            (at(2, 2), named(7, None)),
        ];
        for turn in 0..told.len() {
            let mut people = People::default();
            for n in 0..told.len() {
                let (at, told) = told[(n + turn) % told.len()].clone();
                people.tell(ALICE, at, told);
            }
            assert_eq!(people.shown(&ALICE).name.as_deref(), Some("Al"));
        }
    }

    #[test]
    fn a_room_that_is_left_takes_with_it_what_was_told_there() {
        let mut people = People::default();
        people.tell(ALICE, at(1, 1), named(5, Some("Alice")));
        people.tell(ALICE, at(2, 1), named(6, Some("Al")));
        assert_eq!(people.retain(&RoomId([2; 32]), |_| false), [ALICE]);
        assert_eq!(people.shown(&ALICE).name.as_deref(), Some("Alice"));
        assert_eq!(people.retain(&RoomId([2; 32]), |_| false), []);
        people.retain(&RoomId([1; 32]), |_| false);
        assert_eq!(people.shown(&ALICE), Shown::default());
    }

    #[test]
    fn a_picture_is_shown_when_it_is_here() {
        let mut people = People::default();
        let key = PictureKey { hash: [9; 32], key: Secret::new([1; 32]) };
        let content = Content { picture: Field { stamp: 1, value: Some(key) }, ..Content::default() };
        people.tell(ALICE, at(1, 1), told(content.clone(), false));
        assert_eq!((people.shown(&ALICE).picture, people.portraits(&[9; 32]).len()), (None, 0));
        assert_eq!(people.tell(ALICE, at(1, 1), told(content, true)), [ALICE]);
        assert_eq!(people.shown(&ALICE).picture, Some([9; 32]));
        assert_eq!(people.portraits(&[9; 32])[0].2, DeviceId([1; 32]));
    }

    /// Who calls himself as another whom we know is told apart from him, and the name that the user gave stays as it is.
    #[test]
    fn nobody_passes_for_another_by_what_he_calls_himself() {
        let mut people = People::default();
        let shown = |people: &People, who: &AccountId, by, called: &str| people.told_apart(who, by, called);
        people.called(ALICE, Name::User, "Alice");
        people.called(MALLORY, Name::Certificate, "A1ice");
        assert_eq!(shown(&people, &MALLORY, Name::Certificate, "A1ice"), "A1ice (02020202)");
        assert_eq!(shown(&people, &ALICE, Name::User, "Alice"), "Alice");
        let changed = people.tell(MALLORY, at(1, 2), named(1, Some("al ice")));
        assert!(changed.contains(&MALLORY) && changed.contains(&ALICE), "{changed:?}");
        assert_eq!(shown(&people, &MALLORY, Name::Profile, "al ice"), "al ice (02020202)");
        people.called(ALICE, Name::User, "");
        assert_eq!(shown(&people, &MALLORY, Name::Profile, "al ice"), "al ice");
        // A certificate's name tells a profile's apart too, and two certificates of one name are as they always were.
        people.called(ALICE, Name::Certificate, "Alice");
        assert_eq!(shown(&people, &MALLORY, Name::Profile, "al ice"), "al ice (02020202)");
        assert_eq!(shown(&people, &MALLORY, Name::Certificate, "Bob (01010101)"), "Bob (01010101) (02020202)");
        assert_eq!(shown(&people, &MALLORY, Name::Certificate, "Bob (phone)"), "Bob (phone)");
        people.tell(MALLORY, at(1, 2), None);
        assert_eq!(shown(&people, &ALICE, Name::Certificate, "Alice"), "Alice");
        assert_eq!(shown(&people, &MALLORY, Name::Certificate, "A1ice"), "A1ice");
    }
}
