//! Whoever let somebody in can make that void again, with a revocation or a Leave that hold less than he did, or with another
//! branch of his log: nobody tells that from an honest race. Those he let in are let in anew, and keep what they wrote.

use parlor_crypto::account::RootSeed;
use parlor_crypto::invite::InviteSeed;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use super::attacks::remove;
use super::crowds::lets_in;
use super::support::{Person, START, identity, many, new_invite};
use crate::control::{
    AccountUpdate, DeviceFence, History, JoinRequest, MessageFate, NewDevice, RevokeFence, Role, Target,
};
use crate::identity::Identity;
use crate::ids::AccountId;
use crate::limits;
use crate::room::{Change, NewInvite, Removal};
use crate::steps;

/// Alice, whose room it is, Mallory, who came by her link and has a phone too, and the link.
struct Story {
    alice: Person,
    mallory: Person,
    phone: Person,
    root: RootSeed,
    link: InviteSeed,
}

fn story(new: &NewInvite) -> Story {
    story_of(History::Full, new)
}

fn story_of(history: History, new: &NewInvite) -> Story {
    let mut alice = Person::founder(1, history);
    let own = alice.invite(&many(Role::Member));
    let link = alice.invite(new);
    let mut mallory = Person::join(2, &own, &mut alice);
    let mut rng = StdRng::seed_from_u64(2);
    let (root, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&root, "phone", 2, START, &mut rng).unwrap();
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = mallory.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, mallory.now).unwrap();
    mallory.keep(added);
    alice.sync(&mut mallory);
    let phone = mallory.restored_as(phone);
    Story { alice, mallory, phone, root, link }
}

impl Story {
    /// Mallory's laptop lets Nina in, who says something.
    fn lets_nina_in(&mut self) -> Person {
        let mut nina = Person::join(3, &self.link, &mut self.mallory);
        nina.write("hello");
        self.alice.sync(&mut nina);
        self.mallory.sync_from(&self.alice);
        nina
    }

    /// The phone revokes the laptop, and says that nothing of it counts.
    fn revokes_the_laptop(&mut self) {
        let device = self.mallory.room.me().device();
        let nothing = DeviceFence { device, control: None, message: None };
        let account = self.mallory.room.me().account();
        let revoke = RevokeFence::revoke(&self.root.root_key(0), account, self.mallory.room.id(), nothing).unwrap();
        let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
        let written = self.phone.room.update_account(update, self.phone.now).unwrap();
        self.phone.keep(written);
    }

    /// The phone leaves, and has not heard of whom the laptop let in.
    fn leaves_unaware(&mut self) {
        let left = self.phone.room.leave(self.phone.now).unwrap();
        self.phone.keep(left);
    }
}

pub(super) fn is_in(person: &Person, other: &Person) -> bool {
    account_is_in(person, &other.room.me().account())
}

fn account_is_in(person: &Person, account: &AccountId) -> bool {
    person.room.members().iter().any(|member| member.account == *account)
}

/// Does what is due for some minutes.
fn minutes(person: &mut Person, minutes: u64) {
    for _ in 0..minutes * 6 {
        person.look();
        person.now += 10_000;
    }
}

/// Gives what the other asks for: keys that it lacks.
fn give_keys(to: &mut Person, from: &mut Person) {
    for epoch in to.room.keys_wanted() {
        let Ok(share) = from.room.key_share_for(&to.room.me().device(), &epoch, &mut from.rng) else { continue };
        if let Ok(outcome) = to.room.accept_key_share(&share) {
            to.keep(outcome);
        }
    }
}

/// How many Admits of this account the room holds.
fn admissions(person: &Person, account: &AccountId) -> usize {
    person.room.dag.grants_of(account).len()
}

#[test]
fn whom_a_member_let_in_is_in_again_after_he_made_that_void_and_what_was_written_shows() {
    for history in [History::Full, History::None] {
        for revokes in [true, false] {
            let mut story = story_of(history, &many(Role::Member));
            let mut nina = story.lets_nina_in();
            assert!(is_in(&story.alice, &nina));
            if revokes {
                story.revokes_the_laptop()
            } else {
                story.leaves_unaware()
            }
            let alice = &mut story.alice;
            alice.sync_from(&story.phone);
            assert!(!is_in(alice, &nina), "what he let count does not hold her Admit");
            let heard = nina.sync_from(&story.phone);
            assert!(heard.outcome.changes.is_empty() || !nina.room.is_member());
            minutes(alice, 2);
            assert!(is_in(alice, &nina), "Alice lets her in by the same request");
            assert_eq!(alice.shown(), ["hello"], "what she wrote counts");
            nina.sync_from(alice);
            assert!(nina.room.is_member());
            give_keys(&mut nina, alice);
            nina.maintain();
            nina.write("again");
            alice.sync_from(&nina);
            assert_eq!(alice.shown(), ["hello", "again"]);
            assert_eq!(nina.shown(), ["hello", "again"]);
            alice.restart();
            nina.restart();
            assert!(is_in(alice, &nina) && is_in(&nina, &nina));
            assert_eq!(nina.shown(), alice.shown());
        }
    }
}

#[test]
fn who_is_let_in_anew_is_let_in_once_and_nobody_answers_nobody_for_ever() {
    let mut story = story(&many(Role::Member));
    let own = story.alice.invite(&many(Role::Member));
    let mut others: Vec<Person> = (0..3).map(|n| Person::join(20 + n, &own, &mut story.alice)).collect();
    let nina = story.lets_nina_in();
    story.revokes_the_laptop();
    story.alice.sync_from(&story.phone);
    let mut all = vec![story.alice];
    all.append(&mut others);
    meet(&mut all, 60);
    let account = nina.room.me().account();
    let lens: Vec<usize> = all.iter().map(|one| one.room.dag.len()).collect();
    all.iter_mut().for_each(|one| minutes(one, 5));
    for (one, len) in all.iter().zip(lens) {
        assert!(is_in(one, &nina));
        assert_eq!(admissions(one, &account), 2, "one writes it, the others see that");
        assert_eq!(one.room.dag.len(), len, "nothing more comes of it");
    }
}

#[test]
fn who_let_somebody_in_himself_writes_no_second_admission_of_the_request() {
    let mut story = story(&many(Role::Member));
    let nina = story.lets_nina_in();
    story.revokes_the_laptop();
    story.phone.sync_from(&story.mallory);
    assert!(!is_in(&story.phone, &nina));
    minutes(&mut story.phone, 2);
    assert!(!is_in(&story.phone, &nina), "he did once: another does now");
    assert_eq!(admissions(&story.phone, &nina.room.me().account()), 1);
}

/// What is said against somebody, before it is known that his coming in is void.
type Says = fn(&mut Story, &Person);

/// What a moderator or the invite says against it holds: whom a knock would not let in is not let in without one.
#[test]
fn nobody_is_let_in_anew_whom_a_knock_would_not_let_in() {
    let plain = many(Role::Member);
    let told: [(&str, NewInvite, Says); 7] = [
        ("closed", plain.clone(), |story, _| {
            let id = story.alice.room.invite_by_key(&story.link.keys().sign.public_bytes()).unwrap();
            let outcome = story.alice.room.revoke(&id, story.alice.now, &mut story.alice.rng).unwrap();
            story.alice.keep(outcome);
        }),
        ("expired", plain.clone(), |story, _| story.alice.now += 3_600_000),
        ("to be approved", NewInvite { approval: true, ..plain.clone() }, |_, _| ()),
        ("used up", new_invite(Role::Member), |story, _| {
            story.alice.admit(&identity(9), &story.link).unwrap();
        }),
        ("removed", plain.clone(), |story, nina| remove(&mut story.alice, nina)),
        ("banned", plain.clone(), |story, nina| {
            let target = Target::Account(nina.room.me().account());
            let removal = Removal { target, ban: true, cascade: false, purge: false };
            let outcome = story.alice.room.remove(&[removal], story.alice.now, &mut story.alice.rng).unwrap();
            story.alice.keep(outcome);
        }),
        ("put out of his role", plain, |story, nina| {
            let account = nina.room.me().account();
            let alice = &mut story.alice;
            let given = alice.room.grant_id(alice.room.dag.grants_of(&account)[0]);
            let target = Target::Grant(given, account);
            let removal = Removal { target, ban: false, cascade: false, purge: false };
            let outcome = alice.room.write_removal(&removal, MessageFate::Fenced, alice.now).unwrap();
            alice.keep(outcome);
        }),
    ];
    for (what, new, says) in told {
        let mut story = story(&new);
        let request = Person::request(&story.mallory.room.id(), &identity(3), &story.link);
        let approved = story.mallory.room.admit(request, true, story.mallory.now, &mut story.mallory.rng).unwrap();
        story.mallory.keep(approved.outcome);
        let id = story.mallory.room.id();
        let mut nina = Person::joining(3, identity(3), &story.link, &id, approved.welcome.as_ref().unwrap());
        nina.sync_from(&story.mallory);
        if what == "used up" {
            // Mallory's Admit is not known to Alice when she lets in somebody else.
            says(&mut story, &nina);
            story.alice.sync_from(&nina);
        } else {
            story.alice.sync_from(&nina);
            assert!(is_in(&story.alice, &nina), "{what}");
            says(&mut story, &nina);
        }
        story.revokes_the_laptop();
        story.alice.sync_from(&story.phone);
        minutes(&mut story.alice, 3);
        assert!(!is_in(&story.alice, &nina), "{what}");
        assert_eq!(admissions(&story.alice, &nina.room.me().account()), 1, "{what}");
    }
}

#[test]
fn who_left_or_whose_device_is_revoked_is_not_brought_back() {
    let mut story = story(&many(Role::Member));
    let mut nina = story.lets_nina_in();
    let left = nina.room.leave(nina.now).unwrap();
    nina.keep(left);
    story.alice.sync_from(&nina);
    story.revokes_the_laptop();
    story.alice.sync_from(&story.phone);
    minutes(&mut story.alice, 3);
    assert!(!is_in(&story.alice, &nina));
    assert_eq!(admissions(&story.alice, &nina.room.me().account()), 1);
}

#[test]
fn who_had_left_before_and_came_again_keeps_what_he_wrote_since_when_that_coming_is_void() {
    let mut story = story(&many(Role::Member));
    let mut nina = Person::join(3, &story.link, &mut story.alice);
    let left = nina.room.leave(nina.now).unwrap();
    nina.keep(left);
    story.alice.sync_from(&nina);
    story.alice.maintain();
    story.mallory.sync_from(&story.alice);
    let (id, me) = (nina.room.id(), identity(3));
    let knock = |n: u8| JoinRequest::sign(&id, &story.link.keys().sign, me.signing_key(), me.entrant(), [n; 16]);
    let (second, third) = (knock(8), knock(9));
    let mallory = &mut story.mallory;
    let admission = mallory.room.admit(second, false, mallory.now, &mut mallory.rng).unwrap();
    mallory.keep(admission.outcome);
    nina.sync_from(mallory);
    give_keys(&mut nina, mallory);
    nina.write("back again");
    story.alice.sync_from(&nina);
    assert_eq!(story.alice.shown(), ["back again"]);
    story.revokes_the_laptop();
    story.alice.sync_from(&story.phone);
    story.alice.maintain();
    assert!(story.alice.shown().is_empty());
    let alice = &mut story.alice;
    let admission = alice.room.admit(third, false, alice.now, &mut alice.rng).unwrap();
    alice.keep(admission.outcome);
    assert_eq!(alice.shown(), ["back again"]);
}

/// Nina knocked twice, and knew of one answer when she left.
#[test]
fn who_left_is_not_brought_back_by_another_request_either() {
    let mut story = story(&many(Role::Member));
    let mut twin = story.mallory.clone_with_all_secrets();
    let mut nina = Person::join(3, &story.link, &mut story.mallory);
    let (id, me) = (nina.room.id(), identity(3));
    let second = JoinRequest::sign(&id, &story.link.keys().sign, me.signing_key(), me.entrant(), [8; 16]);
    let admitted = twin.room.admit(second, false, twin.now, &mut twin.rng).unwrap();
    twin.keep(admitted.outcome);
    let left = nina.room.leave(nina.now).unwrap();
    nina.keep(left);
    story.revokes_the_laptop();
    for other in [&twin, &nina, &story.phone] {
        story.alice.sync_from(other);
    }
    assert_eq!(admissions(&story.alice, &nina.room.me().account()), 2);
    minutes(&mut story.alice, 3);
    assert!(!is_in(&story.alice, &nina));
    assert_eq!(admissions(&story.alice, &nina.room.me().account()), 2);
}

#[test]
fn of_many_who_were_let_in_and_are_out_few_are_let_in_a_minute() {
    let mut story = story(&many(Role::Member));
    let people: Vec<AccountId> = (0..20).map(|n| identity(40 + n).account()).collect();
    for n in 0..20 {
        story.mallory.admit(&identity(40 + n), &story.link).unwrap();
    }
    story.revokes_the_laptop();
    story.alice.sync_from(&story.mallory);
    story.alice.sync_from(&story.phone);
    let within = |alice: &Person| people.iter().filter(|account| account_is_in(alice, account)).count();
    assert_eq!(within(&story.alice), 0);
    let mut came = Vec::new();
    for _ in 0..600 {
        story.alice.look();
        came.push(within(&story.alice));
        story.alice.now += 250;
    }
    assert!(came[200] <= limits::MAX_ORPHANS, "{came:?}");
    assert_eq!(came.last(), Some(&people.len()), "all of them in the end");
}

#[test]
fn maintenance_says_when_somebody_is_to_be_let_in_and_rests_otherwise() {
    let mut story = story(&many(Role::Member));
    let nina = story.lets_nina_in();
    story.revokes_the_laptop();
    let alice = &mut story.alice;
    alice.sync_from(&story.phone);
    for _ in 0..20 {
        let (outcome, next) = alice.room.maintain(alice.now, &mut alice.rng);
        let came = outcome.changes.contains(&Change::MemberIn(nina.room.me().account()));
        let quiet = outcome.accepted.is_empty();
        alice.keep(outcome);
        if came {
            assert!(is_in(alice, &nina));
            return;
        }
        assert!(!quiet || next.is_some_and(|at| at > alice.now), "called at once for nothing");
        // As after every outcome it is called again.
        alice.now = if quiet { next.unwrap_or(alice.now) } else { alice.now };
    }
    unreachable!("she was not let in when it was said");
}

#[test]
fn of_two_branches_of_his_log_a_removal_keeps_the_one_on_which_people_stand() {
    let mut story = story(&many(Role::Member));
    let mut twin = story.mallory.clone_with_all_secrets();
    let nina = story.lets_nina_in();
    // Written beside it, and longer.
    for _ in 0..5 {
        twin.now += limits::ROTATE_EVERY_MS;
        let made = twin.room.rotate(twin.now, &mut twin.rng).unwrap();
        twin.keep(made);
    }
    let alice = &mut story.alice;
    alice.sync_from(&twin);
    assert!(is_in(alice, &nina));
    remove(alice, &story.mallory);
    assert!(!is_in(alice, &story.mallory));
    assert!(is_in(alice, &nina), "she goes on as before");
    assert_eq!(admissions(alice, &nina.room.me().account()), 1);
    assert_eq!(alice.shown(), ["hello"]);
}

#[test]
fn what_was_written_under_a_void_admission_counts_within_the_fence_of_a_later_removal() {
    let mut story = story(&many(Role::Member));
    let mut nina = story.lets_nina_in();
    let mut behind = nina.clone_with_all_secrets();
    story.revokes_the_laptop();
    let alice = &mut story.alice;
    alice.sync_from(&story.phone);
    assert!(alice.shown().is_empty(), "nobody who counts let her in");
    minutes(alice, 2);
    assert_eq!(alice.shown(), ["hello"]);
    remove(alice, &nina);
    assert_eq!(alice.shown(), ["hello"], "what she wrote before");
    nina.now = alice.now;
    behind.now = alice.now;
    // By the old view, in which nothing is known of either.
    behind.write("backdated");
    alice.sync_from(&behind);
    assert_eq!(alice.shown(), ["hello"]);
}

/// Whoever has the link sees the number of a request in the log, and can ask under it for somebody else.
#[test]
fn who_asks_under_the_number_of_somebody_elses_request_keeps_nobody_out() {
    let mut story = story(&many(Role::Member));
    story.alice.admit(&identity(9), &story.link).unwrap();
    let nina = story.lets_nina_in();
    story.revokes_the_laptop();
    story.alice.sync_from(&story.phone);
    assert!(!is_in(&story.alice, &nina));
    minutes(&mut story.alice, 2);
    assert!(is_in(&story.alice, &nina));
}

/// Whatever Mallory does with what his two devices know, and whoever hears of it in which order: whom the link let in is in.
#[test]
fn whom_a_link_let_in_is_in_at_the_end_whatever_a_sponsor_says_of_himself() {
    for seed in 0..24 {
        let mut rng = StdRng::seed_from_u64(1_000 + seed);
        let mut story = story(&NewInvite { expires_ms: None, ..many(Role::Member) });
        let own = story.alice.invite(&many(Role::Member));
        let mut honest: Vec<Person> = (0..2).map(|n| Person::join(20 + n, &own, &mut story.alice)).collect();
        story.mallory.sync_from(&story.alice);
        story.phone.sync_from(&story.alice);
        let mut twin = story.mallory.clone_with_all_secrets();
        let mut came: Vec<Person> = Vec::new();
        for n in 0..rng.random_range(1..4) {
            let sponsor = if rng.random_ratio(1, 4) { &mut twin } else { &mut story.mallory };
            let mut person = Person::join(30 + n, &story.link, sponsor);
            person.write("I am in");
            came.push(person);
            if rng.random_ratio(1, 3) {
                story.phone.sync_from(&story.mallory);
            }
        }
        match rng.random_range(0..3) {
            0 => story.revokes_the_laptop(),
            1 => story.leaves_unaware(),
            _ => {
                twin.now += limits::ROTATE_EVERY_MS;
                let made = twin.room.rotate(twin.now, &mut twin.rng).unwrap();
                twin.keep(made);
            }
        }
        let mut all = vec![story.alice];
        all.append(&mut honest);
        let sources = [&story.mallory, &story.phone, &twin];
        for one in &mut all {
            let first = rng.random_range(0..sources.len());
            (0..sources.len()).for_each(|n| _ = one.sync_from(sources[(first + n) % sources.len()]));
            came.iter().for_each(|person| _ = one.sync_from(person));
        }
        if is_in(&all[0], &story.mallory) && rng.random_ratio(1, 2) {
            remove(&mut all[0], &story.mallory);
        }
        let written = meet(&mut all, 120);
        assert!(meet(&mut all, 20) == 0, "{seed}: it comes to rest");
        assert!(written < 60, "{seed}: {written} events");
        for one in &all {
            assert_eq!(one.room.state_hash(), all[0].room.state_hash(), "{seed}");
            assert!(came.iter().all(|person| is_in(one, person)), "{seed}");
            assert_eq!(one.shown().len(), came.len(), "{seed}");
        }
    }
}

/// All do what is due, each knowing what the others know. Answers how many control events they wrote.
fn meet(all: &mut [Person], rounds: usize) -> usize {
    let before = all.iter().map(|one| one.room.dag.len()).max();
    for _ in 0..rounds {
        for n in 0..all.len() {
            let (before, rest) = all.split_at_mut(n);
            let Some((one, after)) = rest.split_first_mut() else { continue };
            before.iter().chain(after.iter()).for_each(|other| _ = one.sync_from(other));
            one.look();
            one.now += 50;
        }
    }
    all.iter().map(|one| one.room.dag.len()).max().unwrap_or(0) - before.unwrap_or(0)
}

#[test]
fn of_many_void_admissions_of_one_request_one_is_looked_at() {
    let mut story = story(&many(Role::Member));
    for _ in 0..40 {
        let event = lets_in(&mut story.mallory, &story.link, 3, 0);
        assert!(story.alice.receive(vec![event]).rejected.is_empty());
    }
    let id = story.alice.room.invite_by_key(&story.link.keys().sign.public_bytes()).unwrap();
    let closed = story.alice.room.revoke(&id, story.alice.now, &mut story.alice.rng).unwrap();
    story.alice.keep(closed);
    story.revokes_the_laptop();
    story.alice.sync_from(&story.phone);
    assert!(!account_is_in(&story.alice, &identity(3).account()));
    assert_eq!(admissions(&story.alice, &identity(3).account()), 40);
    // After the next control event.
    story.alice.maintain();
    story.alice.invite(&many(Role::Member));
    let before = steps::taken();
    story.alice.look();
    let steps = steps::taken() - before;
    assert!(steps <= 4, "{steps}");
}
