//! What newcomers read of the past, told and kept; why invites end; what the log says of the right to invite.

use super::support::Person;
use crate::control::{History, InviteHistory, Policy, Role, Setting};
use crate::ids::AccountId;
use crate::room::{Delegation, Happened, InviteEnd, NewInvite, Past};

const HOUR_MS: u64 = 3_600_000;

fn account(person: &Person) -> AccountId {
    person.room.me().account()
}

/// Makes new keys, two hours later; answers when.
fn rotates(person: &mut Person) -> u64 {
    person.now += 2 * HOUR_MS;
    let made = person.room.rotate(person.now, &mut person.rng).unwrap();
    assert!(!made.accepted.is_empty());
    person.keep(made);
    person.now
}

fn set_to(person: &mut Person, history: History) -> u64 {
    person.now += 2 * HOUR_MS;
    let changed = person.room.set_policy(Policy { history }, person.now).unwrap();
    person.keep(changed);
    person.maintain();
    let newest = person.room.epoch_since(u64::MAX).unwrap_err();
    newest.unwrap()
}

#[test]
fn an_invite_for_a_time_shows_what_was_written_under_the_keys_made_since_then_and_says_from_when() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("first");
    let second = rotates(&mut alice);
    alice.write("second");
    let third = rotates(&mut alice);
    alice.write("third");
    assert_eq!(alice.room.epoch_since(third + 1), Err(Some(third)), "no keys are newer");
    for (from_ms, since_ms, shown) in
        [(third, third, vec!["third"]), (second + 1, third, vec!["third"]), (second, second, vec!["second", "third"])]
    {
        let (epoch, made_ms) = alice.room.epoch_since(from_ms).unwrap();
        assert_eq!(made_ms, since_ms, "never more than was asked for");
        let history = InviteHistory::Since(epoch);
        assert_eq!(alice.room.past_for(&history), Past { since_ms: Some(since_ms), ..Past::default() });
        let link = alice.invite(&NewInvite { history: Some(history), ..NewInvite::of(Role::Member) });
        let newcomer = Person::join(from_ms, &link, &mut alice);
        assert_eq!(newcomer.shown(), shown);
    }
    assert_eq!(alice.room.epoch_since(0).unwrap().1, super::support::START);
}

#[test]
fn what_newcomers_read_is_told_with_the_time_in_which_the_room_was_closed() {
    let mut alice = Person::founder(1, History::Full);
    let all = Past { since_ms: Some(super::support::START), everything: true, parts: false };
    assert_eq!(alice.room.past_for(&InviteHistory::Full), all);
    assert_eq!(alice.room.past_for(&InviteHistory::None), Past::default(), "only what is written after they came");
    set_to(&mut alice, History::None);
    let closed = Past { parts: true, ..Past::default() };
    assert_eq!(alice.room.past_for(&InviteHistory::Full), closed);
    let open_again = set_to(&mut alice, History::Full);
    let told = Past { since_ms: Some(open_again), everything: false, parts: true };
    assert_eq!(alice.room.past_for(&InviteHistory::Full), told);
}

#[test]
fn why_an_invite_takes_nobody_any_more_is_told() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    let maker = account(&bob);
    let ends = |room: &crate::room::Room| -> Vec<_> {
        let of_bob = room.invites().into_iter().filter(|info| info.by == maker);
        of_bob.map(|info| (info.revoked, info.end)).collect()
    };
    let _ = bob.invite(&NewInvite::of(Role::Member));
    alice.sync_from(&bob);
    assert_eq!(ends(&alice.room), [(false, None)]);
    let id = alice.room.invites().into_iter().find(|info| info.by == maker).unwrap().id;
    let revoked = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    alice.keep(revoked);
    assert_eq!(ends(&alice.room), [(true, Some(InviteEnd::Revoked(account(&alice))))]);
    bob.sync_from(&alice);
    let _ = bob.invite(&NewInvite::of(Role::Member));
    alice.sync_from(&bob);
    let changed = alice.room.grant_role(&maker, Role::Observer, alice.now).unwrap();
    alice.keep(changed);
    assert!(ends(&alice.room).contains(&(true, Some(InviteEnd::MakerChanged))));
    let told = alice.room.log().into_iter().map(|line| line.what);
    let told: Vec<_> = told.filter(|what| matches!(what, Happened::InvitesEnded(..))).collect();
    assert_eq!(told, [Happened::InvitesEnded(maker, 1)], "of the one that was open still");
    super::attacks::remove(&mut alice, &bob);
    assert!(ends(&alice.room).contains(&(true, Some(InviteEnd::MakerOut))));
}

#[test]
fn the_right_to_invite_is_told_as_that_and_not_as_the_role_somebody_had() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let before = alice.room.log().len();
    let right = Delegation { depth: 1, until_ms: None, uses: None };
    let given = alice.room.delegate(&account(&bob), Role::Member, right, alice.now).unwrap();
    alice.keep(given);
    for role in [Role::Member, Role::Moderator] {
        let changed = alice.room.grant_role(&account(&bob), role, alice.now).unwrap();
        alice.keep(changed);
    }
    let told: Vec<_> = alice.room.log().into_iter().skip(before).map(|line| line.what).collect();
    let told: Vec<_> = told.into_iter().filter(|what| !matches!(what, Happened::Keys(..))).collect();
    let bob = account(&bob);
    assert_eq!(
        told,
        [Happened::MayInvite(bob, true), Happened::MayInvite(bob, false), Happened::Role(bob, Role::Moderator)]
    );
}

#[test]
fn that_invites_ended_stays_in_the_log_whatever_becomes_of_who_made_them() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Moderator));
    let mut bob = Person::join(2, &link, &mut alice);
    bob.invite(&NewInvite::of(Role::Member));
    alice.sync_from(&bob);
    let changed = alice.room.grant_role(&account(&bob), Role::Member, alice.now).unwrap();
    alice.keep(changed);
    let ended = |of: &Person| of.room.log().iter().any(|line| matches!(line.what, Happened::InvitesEnded(_, 1)));
    assert!(ended(&alice));
    super::attacks::remove(&mut alice, &bob);
    assert!(ended(&alice), "what was so is told also when he is out");
}

#[test]
fn a_setting_that_is_so_already_is_not_written_again() {
    let mut alice = Person::founder(1, History::Full);
    let lines = alice.room.log().len();
    let mut sets = |setting, value: Vec<u8>| {
        let outcome = alice.room.change_state(vec![(setting, value)], alice.now).unwrap();
        let written = !outcome.accepted.is_empty();
        alice.keep(outcome);
        written
    };
    assert!(!sets(Setting::Ttl, Vec::new()), "there is no timer");
    assert!(sets(Setting::Ttl, HOUR_MS.to_be_bytes().to_vec()) && !sets(Setting::Ttl, HOUR_MS.to_be_bytes().to_vec()));
    assert!(!sets(Setting::Name, b"kitchen".to_vec()) && sets(Setting::Name, b"garden".to_vec()));
    assert_eq!(alice.room.log().len(), lines + 2);
}
