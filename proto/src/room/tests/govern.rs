//! Governing: what a member with a role does to others, and what a refusal says.

use parlor_crypto::invite::InviteSeed;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::support::{Person, START, new_invite};
use crate::control::{
    AccountUpdate, Complaint, Control, GrantRole, History, InviteBounds, InviteHistory, NewDevice, Permission, Policy,
    RevokeFence, Role, Target,
};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::room::{
    Change, Delegation, InviteLimit, JoinRefusal, NewInvite, Outcome, Refusal, Reject, Removal, ShareRefusal, Standing,
    Verdict,
};
use crate::validity::Invalid;

/// A founder with people of these roles, who all know each other.
pub(super) fn founded(history: History, roles: &[Role]) -> (Person, Vec<Person>) {
    let mut alice = Person::founder(1, history);
    let mut others: Vec<Person> = Vec::new();
    for (n, role) in roles.iter().enumerate() {
        let link = alice.invite(&new_invite(*role));
        others.push(Person::join(n as u64 + 2, &link, &mut alice));
    }
    settle(&mut alice, &mut others);
    (alice, others)
}

fn settle(alice: &mut Person, others: &mut [Person]) {
    for _ in 0..2 {
        others.iter_mut().for_each(|other| other.sync(alice));
    }
}

pub(super) fn account(person: &Person) -> crate::ids::AccountId {
    person.room.me().account()
}

pub(super) fn removal(person: &Person) -> Removal {
    Removal { target: Target::Account(account(person)), ban: false, cascade: false, purge: false }
}

impl Person {
    fn remove(&mut self, removal: Removal) -> Result<Outcome, Refusal> {
        let outcome = self.room.remove(&[removal], self.now, &mut self.rng)?;
        self.keep(outcome.clone());
        Ok(outcome)
    }

    fn grant(&mut self, to: &Self, role: Role) -> Result<Outcome, Refusal> {
        let outcome = self.room.grant_role(&account(to), role, self.now)?;
        self.keep(outcome.clone());
        Ok(outcome)
    }

    fn open(&mut self, role: Role) -> InviteSeed {
        self.invite(&NewInvite::of(role))
    }
}

#[test]
fn whoever_is_removed_reads_what_was_written_before_and_nothing_after() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member, Role::Member]);
    let before = alice.write("before");
    let outcome = alice.remove(removal(&others[0])).unwrap();
    let kinds: Vec<u8> = outcome.events().filter_map(|event| event.control().map(|header| header.kind)).collect();
    assert_eq!(kinds, [3, 11], "the removal and the next epoch are one batch");
    let after = alice.write("after");
    settle(&mut alice, &mut others);
    // He was offline at the removal: any member hands him what came before, and the removal.
    let Verdict::Shown = others[0].room.verdict(&before.event) else { unreachable!() };
    assert!(!others[0].room.is_member() && others[1].room.is_member());
    assert_eq!(others[1].shown(), ["before", "after"]);
    assert_eq!(others[0].room.epoch_status().epoch, None);
    let lines = others[0].shown();
    assert!(lines.contains(&"before".to_owned()));
    let opened = others[0].stored.iter().any(|accepted| {
        matches!(accepted, crate::room::Accepted::Message(m) if m.event.id() == after.event.id() && m.key.is_some())
    });
    assert!(!opened, "no key of what came after");
    assert_eq!(others[1].room.standing(&others[0].room.me().device()), Standing::Removed);
}

#[test]
fn of_a_removed_member_the_messages_inside_the_fence_stay_and_later_ones_are_hidden() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member, Role::Member]);
    let seen = others[0].write("seen");
    alice.sync_from(&others[0]);
    // Not heard of by the remover: written at the same time, or backdated, nobody can tell.
    let unseen = others[0].write("unseen");
    alice.remove(removal(&others[0])).unwrap();
    let events = others[0].events();
    others[1].receive(events);
    settle(&mut alice, &mut others[1..]);
    alice.sync_from(&others[0]);
    for room in [&alice.room, &others[1].room] {
        assert_eq!(room.verdict(&seen.event), Verdict::Shown);
        assert_eq!(room.verdict(&unseen.event), Verdict::AfterRemoval);
    }
    alice.restart();
    assert_eq!(alice.room.verdict(&unseen.event), Verdict::AfterRemoval);
}

#[test]
fn a_purge_hides_everything_and_who_comes_back_writes_anew() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let old = others[0].write("spam");
    alice.sync_from(&others[0]);
    alice.remove(Removal { purge: true, ..removal(&others[0]) }).unwrap();
    assert_eq!(alice.room.verdict(&old.event), Verdict::AfterRemoval);
    alice.grant(&others[0], Role::Member).unwrap();
    settle(&mut alice, &mut others);
    let new = others[0].write("sorry");
    alice.sync_from(&others[0]);
    assert_eq!(alice.room.verdict(&new.event), Verdict::Shown);
    assert_eq!(alice.room.verdict(&old.event), Verdict::AfterRemoval);
}

#[test]
fn a_purge_takes_nobody_his_own_words_on_his_own_device_while_he_is_out() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member, Role::Member]);
    let old = others[0].write("my own words");
    alice.sync_from(&others[0]);
    let unseen = others[0].write("nobody saw this");
    alice.remove(Removal { purge: true, ..removal(&others[0]) }).unwrap();
    settle(&mut alice, &mut others);
    assert!(!others[0].room.is_member());
    let verdict = |person: &Person| person.room.verdict(&old.event);
    assert_eq!(verdict(&others[0]), Verdict::Shown);
    assert_eq!(others[0].room.verdict(&unseen.event), Verdict::AfterRemoval, "as after every removal");
    others[0].restart();
    assert_eq!(verdict(&others[0]), Verdict::Shown);
    assert_eq!([verdict(&alice), verdict(&others[1])], [Verdict::AfterRemoval; 2]);
    alice.grant(&others[0], Role::Member).unwrap();
    settle(&mut alice, &mut others);
    assert_eq!(verdict(&others[0]), Verdict::AfterRemoval, "members see the same");
}

#[test]
fn a_weaker_role_hides_nothing_that_was_written_unaware_unless_it_takes_the_right_to_write() {
    for (role, verdict) in [(Role::Member, Verdict::Shown), (Role::Observer, Verdict::AfterRemoval)] {
        let (mut alice, mut others) = founded(History::Full, &[Role::Moderator]);
        alice.grant(&others[0], role).unwrap();
        let unaware = others[0].write("unaware");
        alice.sync_from(&others[0]);
        assert_eq!(alice.room.member(&account(&others[0])).unwrap().role, role);
        assert_eq!(alice.room.verdict(&unaware.event), verdict);
        settle(&mut alice, &mut others);
        assert_eq!(others[0].room.role(), Some(role));
        assert!(alice.room.epoch_status().epoch.is_some());
    }
}

#[test]
fn a_refusal_to_govern_names_the_permission_and_writes_nothing_and_others_refuse_the_event_too() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Moderator, Role::Member, Role::Admin]);
    let [moderator, member, admin] = &mut others[..] else { unreachable!() };
    let events = member.room.control_events().count();
    let refused = |refusal: Result<Outcome, Refusal>| refusal.map(|_| ()).unwrap_err();
    assert_eq!(refused(member.grant(moderator, Role::Observer)), Refusal::NotPermitted(Permission::Grant));
    assert_eq!(refused(moderator.grant(member, Role::Observer)), Refusal::NotPermitted(Permission::Grant));
    assert_eq!(refused(member.remove(removal(moderator))), Refusal::NotPermitted(Permission::Remove));
    assert_eq!(refused(moderator.remove(removal(admin))), Refusal::TooStrong);
    assert_eq!(refused(admin.grant(member, Role::Owner)), Refusal::TooStrong);
    assert_eq!(refused(admin.grant(&alice, Role::Member)), Refusal::TooStrong);
    let none = Policy { history: History::None };
    assert_eq!(refused(moderator.room.set_policy(none, START)), Refusal::NotPermitted(Permission::Policy));
    assert_eq!(refused(member.room.unban(&account(moderator), START)), Refusal::NotPermitted(Permission::Remove));
    let stranger = Person::founder(77, History::Full);
    assert_eq!(refused(admin.grant(&stranger, Role::Member)), Refusal::NoAccount);
    assert_eq!(refused(admin.remove(removal(&stranger))), Refusal::NoAccount);
    assert_eq!(member.room.control_events().count(), events);
    // Written all the same by a doctored node.
    let auth = moderator.room.grant_id(moderator.room.grant().unwrap());
    let power = Role::Member.power();
    let perms = crate::control::Permissions::NONE;
    let invites = crate::control::InviteBounds::NONE;
    let grant = Control::Grant(GrantRole { auth, subject: account(member), power, perms, max_depth: 0, invites });
    let header = Header::Control(moderator.room.control_header(grant.kind(), &[], START).unwrap());
    let key = moderator.room.me().signing_key();
    let event = Event::sign(&moderator.room.id(), header, &grant.encode(), key).unwrap();
    let why = alice.receive(vec![event]).rejected.remove(0).why;
    assert_eq!(why, Reject::Invalid(Invalid::Permission));
}

#[test]
fn a_banned_account_is_not_let_in_by_juniors_until_the_ban_is_lifted() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
    let link = others[0].open(Role::Member);
    settle(&mut alice, &mut others);
    alice.remove(Removal { ban: true, ..removal(&others[1]) }).unwrap();
    settle(&mut alice, &mut others);
    assert_eq!(alice.room.banned().len(), 1);
    let back = others[1].room.me().clone();
    let refused = |person: &mut Person| person.admit(&back, &link).map(|_| ()).unwrap_err();
    assert_eq!(refused(&mut others[0]), JoinRefusal::Banned);
    assert_eq!(others[0].room.grant_role(&back.account(), Role::Member, START).unwrap_err(), Refusal::Banned);
    assert_eq!(others[0].room.unban(&back.account(), START).unwrap_err(), Refusal::TooStrong);
    let lifted = alice.room.unban(&back.account(), alice.now).unwrap();
    alice.keep(lifted);
    assert!(alice.room.banned().is_empty());
    settle(&mut alice, &mut others);
    others[0].admit(&back, &link).unwrap();
    settle(&mut alice, &mut others);
    assert!(alice.room.member(&back.account()).is_some());
}

#[test]
fn who_is_out_already_is_banned_by_who_may_and_comes_in_by_no_link() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
    alice.remove(removal(&others[1])).unwrap();
    settle(&mut alice, &mut others);
    let out = others[1].room.me().clone();
    let epoch = alice.room.epoch_status().epoch;
    let ban = Removal { ban: true, ..removal(&others[1]) };
    let plain = removal(&others[1]);
    assert_eq!(others[0].remove(plain).unwrap_err(), Refusal::NoAccount, "he is no member");
    others[0].remove(ban).unwrap();
    settle(&mut alice, &mut others);
    assert_eq!(alice.room.banned().len(), 1);
    assert_eq!(alice.room.epoch_status().epoch, epoch, "he had no keys any more");
    let link = alice.open(Role::Member);
    assert_eq!(alice.admit(&out, &link).map(|_| ()).unwrap_err(), JoinRefusal::Banned);
    let stranger = Removal { target: Target::Account(crate::ids::AccountId([9; 32])), ..ban };
    assert_eq!(alice.remove(stranger).unwrap_err(), Refusal::NoAccount, "nobody knows him");
}

#[test]
fn an_invite_is_taken_away_with_all_who_came_by_it_and_says_who_they_are() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Moderator]);
    let link = others[0].open(Role::Member);
    let id = others[0].room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let guests = [Person::join(10, &link, &mut others[0]), Person::join(11, &link, &mut others[0])];
    settle(&mut alice, &mut others);
    let mut came: Vec<_> = guests.iter().map(|guest| (account(guest), true)).collect();
    came.sort_unstable();
    assert_eq!(alice.room.came_by(&id), came);
    let target = Target::Invite(id);
    let outcome = alice.remove(Removal { target, ban: false, cascade: false, purge: false }).unwrap();
    assert!(outcome.changes.contains(&Change::Invite(id)));
    assert_eq!(alice.room.n_members(), 2);
    assert!(alice.room.invite_info(&id).unwrap().revoked);
    let late = super::support::identity(12);
    assert_eq!(alice.admit(&late, &link).map(|_| ()).unwrap_err(), JoinRefusal::Revoked);
}

#[test]
fn an_account_brings_and_revokes_devices_and_nobody_else_does() {
    let mut rng = StdRng::seed_from_u64(5);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    assert_eq!(root.inception().account(), account(bob).0, "the same seed makes the same person");
    let phone = Identity::add_device(&root, "phone", 2, START, &mut rng).unwrap();
    let papers = NewDevice::sign(phone.signing_key(), phone.entrant());
    // Not certified by the root.
    let (other, _) = Identity::create("x", START, &mut rng).unwrap();
    let mut forged = papers.clone();
    forged.cert.sig = Identity::add_device(&other, "phone", 2, START, &mut rng).unwrap().entrant().cert.sig;
    let update = AccountUpdate { devices: vec![forged], revokes: Vec::new() };
    assert!(bob.room.update_account(update, bob.now).is_err());
    let update = AccountUpdate { devices: vec![papers], revokes: Vec::new() };
    let outcome = bob.room.update_account(update, bob.now).unwrap();
    bob.keep(outcome);
    alice.sync(bob);
    assert_eq!(alice.room.standing(&phone.device()), Standing::Live);
    assert_eq!(alice.room.devices(&account(bob)).len(), 2);
    let fence = bob.room.revoke_fence(&phone.device());
    let revoke = RevokeFence::revoke(&root.root_key(0), account(bob), bob.room.id(), fence).unwrap();
    let elsewhere = RevokeFence::revoke(&root.root_key(0), account(bob), crate::ids::RoomId([9; 32]), fence).unwrap();
    let update = |revoke| AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    assert!(bob.room.update_account(update(elsewhere), bob.now).is_err(), "a word for one room is none in another");
    let outcome = bob.room.update_account(update(revoke), bob.now).unwrap();
    bob.keep(outcome);
    alice.sync(bob);
    assert_eq!(alice.room.standing(&phone.device()), Standing::Removed);
    assert!(alice.room.devices(&account(bob))[1].revoked);
    assert!(alice.room.epoch_status().epoch.is_some());
    assert_eq!(alice.room.state_hash(), bob.room.state_hash());
}

#[test]
fn revoking_a_device_makes_the_epoch_without_it_in_the_same_batch_and_touches_no_other_account() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let link = alice.open(Role::Member);
    let phone = Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap();
    alice.admit(&phone, &link).unwrap();
    settle(&mut alice, &mut others);
    let bob = &mut others[0];
    assert_eq!(bob.room.devices(&account(bob)).len(), 2, "by an invite a second device of a member comes in");
    let key = root.root_key(0);
    let revoke = |bob: &mut Person, device| bob.room.revoke_device(&device, &key, bob.now, &mut bob.rng);
    let own = bob.room.me().device();
    assert_eq!(revoke(bob, own).map(|_| ()), Err(Refusal::OwnDevice));
    assert_eq!(revoke(bob, alice.room.me().device()).map(|_| ()), Err(Refusal::NoAccount));
    let outcome = revoke(bob, phone.device()).unwrap();
    let kinds: Vec<u8> = outcome.events().filter_map(|event| event.control().map(|header| header.kind)).collect();
    assert_eq!(kinds, [8, 11]);
    bob.keep(outcome);
    assert!(revoke(bob, phone.device()).unwrap().accepted.is_empty(), "once is enough");
    alice.sync(bob);
    assert_eq!(alice.room.standing(&phone.device()), Standing::Removed);
    assert_eq!(alice.room.standing(&own), Standing::Live);
    let epoch = alice.room.epoch_status().epoch.unwrap();
    assert_eq!(
        alice.room.key_share_for(&phone.device(), &epoch, &mut alice.rng).map(|_| ()),
        Err(ShareRefusal::NotEntitled)
    );
}

#[test]
fn a_complaint_about_a_key_is_made_once_and_changes_nothing() {
    let (alice, mut others) = founded(History::Full, &[Role::Member]);
    let epoch = alice.room.epoch_status().epoch.unwrap();
    let bob = &mut others[0];
    let before = bob.room.members();
    let first = bob.room.complain(&epoch, Complaint::Commit, bob.now).unwrap();
    assert_eq!(first.accepted.len(), 1);
    let again = bob.room.complain(&epoch, Complaint::NoRow, bob.now).unwrap();
    assert!(again.accepted.is_empty());
    assert_eq!(bob.room.members(), before);
    assert_eq!(bob.room.epoch_status().epoch, Some(epoch));
}

#[test]
fn the_rules_of_a_room_change_for_later_epochs_and_everybody_knows() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let none = Policy { history: History::None };
    let outcome = alice.room.set_policy(none.clone(), alice.now).unwrap();
    assert!(outcome.changes.contains(&Change::State));
    alice.keep(outcome);
    settle(&mut alice, &mut others);
    assert_eq!(others[0].room.policy(), Some(none.clone()));
    assert!(alice.room.set_policy(none, alice.now).unwrap().accepted.is_empty());
    alice.restart();
    assert_eq!(alice.room.policy().unwrap().history, History::None);
}

#[test]
fn two_admins_who_remove_each_other_apart_agree_once_they_meet() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Admin]);
    let (first, second) = others.split_at_mut(1);
    let (first, second) = (&mut first[0], &mut second[0]);
    first.remove(removal(second)).unwrap();
    assert_eq!(second.remove(removal(first)).map(|_| ()).unwrap_err(), Refusal::TooStrong);
    // The junior takes his friends along, and his senior's guests out, while he can.
    let link = second.open(Role::Member);
    let friend = Person::join(20, &link, second);
    alice.sync_from(second);
    alice.sync_from(first);
    alice.maintain();
    first.sync_from(&alice);
    first.maintain();
    alice.sync_from(first);
    let members: Vec<_> = alice.room.members().into_iter().map(|member| member.account).collect();
    assert!(members.contains(&account(first)) && !members.contains(&account(second)));
    assert!(!members.contains(&account(&friend)), "his open invite is dead");
    assert_eq!(alice.room.members(), first.room.members());
    assert!(alice.room.epoch_status().epoch.is_some());
}

#[test]
fn of_the_flood_of_a_former_member_little_enters_ever_unless_a_member_brings_it() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin]);
    alice.remove(removal(&others[0])).unwrap();
    let mut flood = Vec::new();
    for n in 0..100_u8 {
        let state = vec![(crate::control::Setting::About, vec![b'a' + n % 26])];
        let outcome = others[0].room.set_state(state, START).unwrap();
        flood.extend(outcome.events().cloned());
    }
    let before = alice.room.control_events().count();
    let mut received = alice.room.receive_unvouched(flood.clone(), alice.now);
    for day in 1..4 {
        alice.keep(std::mem::take(&mut received.outcome));
        assert_eq!(alice.room.control_events().count() - before, crate::limits::MAX_FORMER_EVENTS, "day {day}");
        alice.restart();
        received = alice.room.receive_unvouched(flood.clone(), alice.now + day * crate::limits::DAY_MS);
    }
    assert!(received.rejected.iter().all(|rejected| rejected.why == Reject::Full && !rejected.blames_sender()));
    assert_eq!(alice.room.info().unwrap().about, "", "and it counts for nothing");
    alice.room.receive(flood, alice.now);
    assert_eq!(alice.room.control_events().count() - before, 100);
    // What members write passes by any way.
    let outcome = alice.room.set_state(vec![(crate::control::Setting::About, b"ours".to_vec())], START).unwrap();
    assert_eq!(outcome.accepted.len(), 1);
}

#[test]
fn the_right_to_invite_is_handed_on_no_deeper_longer_or_wider_than_it_was_given() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Admin, Role::Member]);
    let right = |depth, until_ms, uses| Delegation { depth, until_ms, uses };
    let until = START + 3_600_000;
    let bob = account(&others[1]);
    // The admin may hand on one step less than he was given, which is four.
    let too_deep = others[0].room.delegate(&bob, Role::Member, right(4, None, None), START);
    assert_eq!(too_deep.unwrap_err(), Refusal::Invite(InviteLimit::Depth(3)));
    let given = others[0].room.delegate(&bob, Role::Member, right(2, Some(until), Some(2)), START).unwrap();
    others[0].keep(given);
    settle(&mut alice, &mut others);
    let bounds = InviteBounds { until_ms: until, uses: 2, history: InviteHistory::Full };
    assert_eq!(alice.room.member(&bob).unwrap().invites, Some((2, bounds)));
    assert_eq!(alice.room.member(&bob).unwrap().by, Some(account(&others[0])));
    let [_, bob] = &mut others[..] else { unreachable!() };
    let fair = NewInvite { delegate: Some(1), expires_ms: Some(until), uses: Some(2), ..new_invite(Role::Member) };
    let mut refused = |new: NewInvite| bob.room.invite(&new, START, &mut bob.rng).map(|_| ()).unwrap_err();
    assert_eq!(refused(NewInvite { delegate: Some(2), ..fair.clone() }), Refusal::Invite(InviteLimit::Depth(1)));
    assert_eq!(
        refused(NewInvite { expires_ms: Some(until + 1), ..fair.clone() }),
        Refusal::Invite(InviteLimit::Until(until))
    );
    assert_eq!(refused(NewInvite { uses: Some(3), ..fair.clone() }), Refusal::Invite(InviteLimit::Uses(2)));
    assert_eq!(refused(NewInvite { role: Role::Moderator, ..fair.clone() }), Refusal::TooStrong);
    // Whoever comes by it has one step left, and whom he lets in none.
    let link = bob.invite(&fair);
    let mut carol = Person::join(20, &link, &mut others[1]);
    let theirs = carol.room.member(&account(&carol)).unwrap().invites;
    assert_eq!(theirs, Some((1, bounds)));
    let last = carol.invite(&NewInvite { expires_ms: Some(until), ..new_invite(Role::Member) });
    let dave = Person::join(21, &last, &mut carol);
    assert_eq!(dave.room.member(&account(&dave)).unwrap().invites, None);
    assert_eq!(dave.room.permissions(), Role::Member.permissions(crate::control::RoomKind::Group));
}

#[test]
fn who_may_read_nothing_of_the_past_invites_nobody_who_may() {
    let (mut alice, mut others) = founded(History::Full, &[]);
    let _ = alice.write("before");
    let blind = NewInvite { history: Some(InviteHistory::None), ..new_invite(Role::Moderator) };
    let link = alice.invite(&blind);
    let mut bob = Person::join(2, &link, &mut alice);
    let all = NewInvite { history: Some(InviteHistory::Full), ..new_invite(Role::Member) };
    let refused = bob.room.invite(&all, START, &mut bob.rng).map(|_| ()).unwrap_err();
    assert_eq!(refused, Refusal::Invite(InviteLimit::History));
    let link = bob.invite(&new_invite(Role::Member));
    let puppet = Person::join(3, &link, &mut bob);
    assert!(puppet.shown().is_empty());
    others.clear();
    alice.sync_from(&bob);
    let of = |person: &Person| alice.room.epochs_for(&person.room.me().device());
    assert!(of(&puppet).is_subset(&of(&bob)), "nothing that he could not read himself");
}

/// A message of somebody, by a device that goes on as if nothing had been said to it.
fn unheard(away: &mut Person, to: &mut [&mut Person]) -> Event {
    let late = away.write("still here").event;
    to.iter_mut().for_each(|person| {
        person.receive(vec![late.clone()]);
    });
    late
}

#[test]
fn who_was_put_down_and_is_removed_by_a_junior_of_what_he_was_says_nothing_more() {
    for purge in [false, true] {
        let (mut alice, mut others) = founded(History::Full, &[Role::Member, Role::Moderator]);
        let [bob, carol] = &mut others[..] else { unreachable!() };
        alice.grant(bob, Role::Admin).unwrap();
        bob.sync_from(&alice);
        alice.grant(bob, Role::Member).unwrap();
        bob.sync_from(&alice);
        carol.sync_from(&alice);
        let mut away = bob.clone_with_all_secrets();
        carol.remove(Removal { purge, ..removal(bob) }).unwrap();
        alice.sync_from(carol);
        let late = unheard(&mut away, &mut [&mut alice, carol]);
        assert_eq!(alice.room.verdict(&late), Verdict::AfterRemoval);
        assert_eq!(carol.room.verdict(&late), Verdict::AfterRemoval);
    }
}

#[test]
fn who_was_given_a_right_beside_and_leaves_says_nothing_more() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    let right = Delegation { depth: 1, until_ms: None, uses: None };
    let given = alice.room.delegate(&account(bob), Role::Member, right, alice.now).unwrap();
    alice.keep(given);
    bob.sync_from(&alice);
    let mut away = bob.clone_with_all_secrets();
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(bob);
    let late = unheard(&mut away, &mut [&mut alice]);
    assert_eq!(alice.room.verdict(&late), Verdict::AfterRemoval);
}

#[test]
fn who_is_muted_after_his_role_was_changed_says_nothing_more_even_when_he_may_write_again() {
    let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
    let bob = &mut others[0];
    let mut away = bob.clone_with_all_secrets();
    for role in [Role::Moderator, Role::Member, Role::Moderator, Role::Member] {
        alice.grant(bob, role).unwrap();
    }
    // By the role that he had when he was away: he is a member all the while.
    let unaware = unheard(&mut away, &mut [&mut alice]);
    assert_eq!(alice.room.verdict(&unaware), Verdict::Shown);
    alice.grant(bob, Role::Observer).unwrap();
    let muted = unheard(&mut away, &mut [&mut alice]);
    assert_eq!(alice.room.verdict(&muted), Verdict::AfterRemoval);
    alice.grant(bob, Role::Member).unwrap();
    assert_eq!(alice.room.verdict(&unaware), Verdict::Shown);
    assert_eq!(alice.room.verdict(&muted), Verdict::AfterRemoval);
}

#[test]
fn what_crosses_a_change_of_role_shows_also_of_who_had_left_before_and_came_back() {
    for left_before in [false, true] {
        let (mut alice, mut others) = founded(History::Full, &[Role::Member]);
        let bob = &mut others[0];
        if left_before {
            let left = bob.room.leave(bob.now).unwrap();
            bob.keep(left);
            alice.sync_from(bob);
            alice.grant(bob, Role::Member).unwrap();
            alice.maintain();
            bob.sync(&mut alice);
        }
        let crossing = bob.write("crossing").event;
        let right = Delegation { depth: 1, until_ms: None, uses: None };
        let given = alice.room.delegate(&account(bob), Role::Member, right, alice.now).unwrap();
        alice.keep(given);
        alice.receive(vec![crossing.clone()]);
        assert_eq!(alice.room.verdict(&crossing), Verdict::Shown, "{left_before}");
    }
}
