//! How much of the past who was let in may read: no change of role widens it, whoever writes it.

use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};

use super::support::{Person, START};
use crate::body::Body;
use crate::control::{Control, GrantRole, History, InviteBounds, InviteHistory, Policy, Power, Role, RoomKind, Target};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::AccountId;
use crate::room::{InviteLimit, NewInvite, Refusal, Removal, Room};

const BLIND: Option<InviteHistory> = Some(InviteHistory::None);

/// A founder who wrote "secret past" in a shared room, and somebody who came without history.
fn newcomer(role: Role) -> (Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    alice.write("secret past");
    alice.now += 2 * 3_600_000;
    let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(next);
    let link = alice.invite(&NewInvite { history: BLIND, ..NewInvite::of(role) });
    let bob = Person::join(2, &link, &mut alice);
    (alice, bob)
}

fn account(person: &Person) -> AccountId {
    person.room.me().account()
}

fn gives(giver: &mut Person, whom: &Person, role: Role) {
    let outcome = giver.room.grant_role(&account(whom), role, giver.now).unwrap();
    assert!(!outcome.accepted.is_empty());
    giver.keep(outcome);
}

/// Both know everything, and who lacks a key was offered it.
fn settle(one: &mut Person, other: &mut Person) {
    for _ in 0..3 {
        one.sync(other);
        for epoch in other.room.keys_wanted() {
            if let Ok(share) = one.room.key_share_for(&other.room.me().device(), &epoch, &mut one.rng) {
                let healed = other.room.accept_key_share(&share).unwrap();
                other.keep(healed);
            }
        }
    }
}

fn knows_nothing_of_the_past(of: &mut Person, whom: &mut Person) {
    let secret = of.events().into_iter().find(|event| event.message().is_some()).unwrap();
    let (device, epoch) = (whom.room.me().device(), secret.message().unwrap().epoch);
    assert!(!of.room.epochs_for(&device).contains(&epoch));
    assert!(of.room.key_share_for(&device, &epoch, &mut of.rng).is_err());
    assert!(whom.room.open_later(&secret).is_none_or(|opened| opened.body.is_none()));
    assert!(!whom.shown().contains(&"secret past".to_string()), "{:?}", whom.shown());
}

#[test]
fn no_change_of_role_lets_somebody_read_of_before_he_came() {
    for roles in [[Role::Observer, Role::Member], [Role::Moderator, Role::Observer], [Role::Admin, Role::Owner]] {
        let (mut alice, mut bob) = newcomer(Role::Member);
        for role in roles {
            gives(&mut alice, &bob, role);
            settle(&mut alice, &mut bob);
            assert_eq!(bob.room.role(), Some(role));
            knows_nothing_of_the_past(&mut alice, &mut bob);
        }
        alice.write("after");
        settle(&mut alice, &mut bob);
        assert!(bob.shown().contains(&"after".to_string()));
    }
}

#[test]
fn whom_somebody_invites_who_was_given_a_role_reads_no_more_than_he() {
    let (mut alice, mut bob) = newcomer(Role::Member);
    gives(&mut alice, &bob, Role::Admin);
    settle(&mut alice, &mut bob);
    let all = NewInvite { history: Some(InviteHistory::Full), ..NewInvite::of(Role::Member) };
    assert!(bob.room.invite(&all, START, &mut bob.rng).is_err(), "he is told, and nothing is written");
    let link = bob.invite(&NewInvite::of(Role::Member));
    let mut carol = Person::join(3, &link, &mut bob);
    settle(&mut alice, &mut carol);
    knows_nothing_of_the_past(&mut alice, &mut carol);
    // Nor does Alice's node give it to one who knocks with that link.
    settle(&mut bob, &mut alice);
    let link = bob.invite(&NewInvite::of(Role::Member));
    alice.sync_from(&bob);
    let mut dave = Person::join(4, &link, &mut alice);
    settle(&mut alice, &mut dave);
    knows_nothing_of_the_past(&mut alice, &mut dave);
}

#[test]
fn whoever_is_taken_back_reads_no_more_than_he_could_when_he_was_in() {
    let (mut alice, mut bob) = newcomer(Role::Member);
    super::attacks::remove(&mut alice, &bob);
    settle(&mut alice, &mut bob);
    gives(&mut alice, &bob, Role::Member);
    settle(&mut alice, &mut bob);
    knows_nothing_of_the_past(&mut alice, &mut bob);
}

/// How somebody who read everything was put out, before he came again without history.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Left,
    Removed,
    WithWhoInvitedHim,
    RemovedWhileHeWasGivenARole,
}

#[test]
fn what_somebody_read_before_he_left_does_not_count_when_he_came_again_and_is_taken_back_then() {
    use Ended::{Left, Removed, RemovedWhileHeWasGivenARole, WithWhoInvitedHim};
    for ended in [Left, Removed, WithWhoInvitedHim, RemovedWhileHeWasGivenARole] {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&NewInvite::of(Role::Admin));
        let mut carol = Person::join(3, &link, &mut alice);
        let link = carol.invite(&NewInvite::of(Role::Member));
        let mut bob = Person::join(2, &link, &mut carol);
        alice.sync(&mut carol);
        alice.sync(&mut bob);
        carol.sync_from(&alice);
        let mut doctored = carol.clone_with_all_secrets();
        if matches!(ended, RemovedWhileHeWasGivenARole) {
            gives(&mut carol, &bob, Role::Observer);
        }
        match ended {
            Left => {
                let outcome = bob.room.leave(bob.now).unwrap();
                bob.keep(outcome);
                alice.sync_from(&bob);
            }
            Removed | RemovedWhileHeWasGivenARole => super::attacks::remove(&mut alice, &bob),
            WithWhoInvitedHim => {
                let target = Target::Account(account(&carol));
                let removal = Removal { target, ban: false, cascade: true, purge: false };
                let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
                alice.keep(outcome);
            }
        }
        alice.sync_from(&carol);
        assert!(!alice.room.members().iter().any(|member| member.account == account(&bob)), "{ended:?}");
        alice.now += 2 * 3_600_000;
        alice.maintain();
        alice.write("secret past");
        alice.now += 2 * 3_600_000;
        let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
        alice.keep(next);
        let link = alice.invite(&NewInvite { history: BLIND, ..NewInvite::of(Role::Member) });
        let mut bob = Person::join(2, &link, &mut alice);
        settle(&mut alice, &mut bob);
        knows_nothing_of_the_past(&mut alice, &mut bob);
        // A doctored node of an admin gives a role as if it had not heard of anything since. It counts for nobody who was removed.
        if !matches!(ended, Left) {
            gives(&mut doctored, &bob, Role::Observer);
            alice.sync_from(&doctored);
        }
        gives(&mut alice, &bob, Role::Moderator);
        settle(&mut alice, &mut bob);
        knows_nothing_of_the_past(&mut alice, &mut bob);
        super::attacks::remove(&mut alice, &bob);
        settle(&mut alice, &mut bob);
        gives(&mut alice, &bob, Role::Member);
        settle(&mut alice, &mut bob);
        assert!(bob.room.is_member(), "{ended:?}");
        knows_nothing_of_the_past(&mut alice, &mut bob);
    }
}

/// Grants of a junior role to somebody, in a row, as a doctored node of an admin may write them.
fn grants_by(writer: &mut Person, whom: AccountId, history: InviteHistory, n: usize) {
    for _ in 0..n {
        let grant = Control::Grant(GrantRole {
            auth: writer.room.grant_id(writer.room.grant().unwrap()),
            subject: whom,
            power: Power::OBSERVER,
            perms: Role::Observer.permissions(RoomKind::Group),
            max_depth: 0,
            invites: InviteBounds { history, ..InviteBounds::NONE },
        });
        let event = written(&writer.room, &grant, writer.now);
        assert!(writer.receive(vec![event]).rejected.is_empty());
    }
}

/// A founder, an admin, and a member who reads everything.
fn three() -> (Person, Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Admin));
    let mut carol = Person::join(3, &link, &mut alice);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    carol.sync_from(&alice);
    (alice, carol, bob)
}

#[test]
fn grants_without_number_that_do_not_count_let_nobody_read_what_he_could_not() {
    let (mut alice, mut carol, bob) = three();
    super::attacks::remove(&mut alice, &bob);
    alice.now += 2 * 3_600_000;
    alice.maintain();
    alice.write("secret past");
    alice.now += 2 * 3_600_000;
    let next = alice.room.rotate(alice.now, &mut alice.rng).unwrap();
    alice.keep(next);
    let link = alice.invite(&NewInvite { history: BLIND, ..NewInvite::of(Role::Member) });
    let mut bob = Person::join(2, &link, &mut alice);
    // An admin who was away gives him roles, one after another, as if he had never been out.
    grants_by(&mut carol, account(&bob), InviteHistory::Full, crate::limits::MAX_SAME);
    alice.sync_from(&carol);
    super::attacks::remove(&mut alice, &carol);
    super::attacks::remove(&mut alice, &bob);
    settle(&mut alice, &mut bob);
    gives(&mut alice, &bob, Role::Member);
    settle(&mut alice, &mut bob);
    assert!(bob.room.is_member());
    knows_nothing_of_the_past(&mut alice, &mut bob);
}

#[test]
fn grants_without_number_that_do_not_count_take_nothing_from_who_reads_everything() {
    let (mut alice, mut carol, bob) = three();
    super::attacks::remove(&mut alice, &carol);
    grants_by(&mut carol, account(&bob), InviteHistory::None, 64);
    alice.sync_from(&carol);
    gives(&mut alice, &bob, Role::Moderator);
    let grant = alice.room.resolved.members()[&account(&bob)];
    assert_eq!(alice.room.dag.grants()[grant].reads, InviteHistory::Full);
}

#[test]
fn who_brings_a_device_by_an_invite_without_history_reads_on_with_another_role() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    alice.write("between");
    settle(&mut alice, &mut bob);
    let link = alice.invite(&NewInvite { history: BLIND, ..NewInvite::of(Role::Member) });
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Arc::new(Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap());
    let admission = alice.admit(&phone, &link).unwrap();
    let mut phone = Person::joining(12, phone, &link, &alice.room.id(), admission.welcome.as_ref().unwrap());
    settle(&mut alice, &mut phone);
    settle(&mut alice, &mut bob);
    super::attacks::remove(&mut alice, &bob);
    gives(&mut alice, &bob, Role::Member);
    settle(&mut alice, &mut bob);
    let grant = alice.room.resolved.members()[&account(&bob)];
    assert_eq!(alice.room.dag.grants()[grant].reads, InviteHistory::Full);
}

#[test]
fn who_comes_back_with_another_device_reads_on_with_the_first_one_too() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut laptop = Person::join(2, &link, &mut alice);
    settle(&mut alice, &mut laptop);
    super::attacks::remove(&mut alice, &laptop);
    alice.maintain();
    let link = alice.invite(&NewInvite::of(Role::Member));
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Arc::new(Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap());
    alice.admit(&phone, &link).unwrap();
    alice.write("for both");
    settle(&mut alice, &mut laptop);
    assert!(laptop.room.is_member());
    let message = alice.events().into_iter().find(|event| event.message().is_some()).unwrap();
    assert!(laptop.room.open_later(&message).is_some_and(|opened| opened.body == Some(Body::text("for both"))));
}

#[test]
fn a_doctored_node_that_gives_a_role_with_everything_gives_nothing_more() {
    let (mut alice, mut bob) = newcomer(Role::Admin);
    let link = alice.invite(&NewInvite { history: BLIND, ..NewInvite::of(Role::Member) });
    let mut carol = Person::join(3, &link, &mut alice);
    let link = alice.invite(&NewInvite::of(Role::Admin));
    let mut mallory = Person::join(4, &link, &mut alice);
    mallory.sync(&mut carol);
    let grant = Control::Grant(GrantRole {
        auth: mallory.room.grant_id(mallory.room.grant().unwrap()),
        subject: account(&carol),
        power: Power::MODERATOR,
        perms: Role::Moderator.permissions(RoomKind::Group),
        max_depth: 1,
        invites: InviteBounds::NONE,
    });
    let event = written(&mallory.room, &grant, mallory.now);
    assert!(carol.receive(vec![event.clone()]).rejected.is_empty());
    assert!(alice.receive(vec![event]).rejected.is_empty(), "what it says is allowed; what it comes to is less");
    settle(&mut alice, &mut carol);
    assert_eq!(carol.room.role(), Some(Role::Moderator));
    knows_nothing_of_the_past(&mut alice, &mut carol);
    // And an invite made under it by a doctored node, for everything, shows nothing either.
    let dave = carol.invite(&NewInvite::of(Role::Member));
    settle(&mut alice, &mut carol);
    let mut dave = Person::join(5, &dave, &mut alice);
    settle(&mut alice, &mut dave);
    knows_nothing_of_the_past(&mut alice, &mut dave);
    bob.sync(&mut alice);
    knows_nothing_of_the_past(&mut alice, &mut bob);
}

#[test]
fn who_reads_everything_keeps_that_with_another_role() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("secret past");
    let link = alice.invite(&NewInvite::of(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    gives(&mut alice, &bob, Role::Admin);
    settle(&mut alice, &mut bob);
    let link = bob.invite(&NewInvite::of(Role::Member));
    let carol = Person::join(3, &link, &mut bob);
    assert!(carol.shown().contains(&"secret past".to_string()));
}

fn written(room: &Room, control: &Control, now_ms: u64) -> Event {
    let header = Header::Control(room.control_header(control.kind(), &[], now_ms).unwrap());
    Event::sign(&room.id(), header, &control.encode(), room.me().signing_key()).unwrap()
}

/// Sets what newcomers read, and makes the epoch that says so.
fn opens(person: &mut Person, history: History) {
    person.now += 2 * 3_600_000;
    let changed = person.room.set_policy(Policy { history }, person.now).unwrap();
    person.keep(changed);
    person.maintain();
}

#[test]
fn an_invite_gives_by_itself_what_the_room_is_set_to_now() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("old");
    opens(&mut alice, History::None);
    assert_eq!(alice.room.info().unwrap().history, History::None);
    alice.write("closed");
    let link = alice.invite(&NewInvite::of(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    assert!(bob.shown().is_empty(), "{:?}", bob.shown());
    opens(&mut alice, History::Full);
    alice.write("open again");
    let link = alice.invite(&NewInvite::of(Role::Member));
    let carol = Person::join(3, &link, &mut alice);
    assert_eq!(carol.shown(), ["old", "open again"]);
}

#[test]
fn a_room_that_began_without_history_shows_newcomers_what_it_shares_since() {
    let mut alice = Person::founder(1, History::None);
    alice.write("closed");
    opens(&mut alice, History::Full);
    alice.write("shared");
    for history in [None, Some(InviteHistory::Full)] {
        let link = alice.invite(&NewInvite { history, ..NewInvite::of(Role::Member) });
        let newcomer = Person::join(2 + u64::from(history.is_some()), &link, &mut alice);
        assert_eq!(newcomer.shown(), ["shared"]);
    }
}

#[test]
fn more_of_the_past_than_the_room_lets_newcomers_read_now_is_refused_and_not_left_out() {
    let mut alice = Person::founder(1, History::None);
    let all = NewInvite { history: Some(InviteHistory::Full), ..NewInvite::of(Role::Member) };
    let before = alice.room.control_frontier();
    let refused = alice.room.invite(&all, alice.now, &mut alice.rng).map(|_| ()).unwrap_err();
    assert_eq!(refused, Refusal::Invite(InviteLimit::Room));
    assert_eq!(alice.room.control_frontier(), before);
}

#[test]
fn an_admission_that_was_over_before_it_was_written_takes_no_history_from_who_is_taken_back() {
    let mut alice = Person::founder(1, History::Full);
    alice.write("of before");
    let link = alice.invite(&super::support::many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut mallory = Person::join(3, &link, &mut alice);
    settle(&mut alice, &mut bob);
    alice.sync(&mut mallory);
    let first = alice.events().iter().find_map(|event| event.message().map(|message| message.epoch)).unwrap();
    super::attacks::remove(&mut alice, &bob);
    mallory.sync(&mut alice);
    // Mallory writes an admission of Bob by what he once asked for: it lets nobody in.
    let request = Person::request(&mallory.room.id(), bob.room.me(), &link);
    let says = super::rules::admit(&mallory, &link, request);
    let event = super::rules::forge(&mallory, &Control::Admit(Box::new(says)), |_| ());
    assert_eq!(super::rules::why(&mut alice, event), None);
    assert!(!alice.room.members().iter().any(|member| member.account == account(&bob)));
    gives(&mut alice, &bob, Role::Member);
    let given = alice.room.dag.grants_of(&account(&bob)).last().copied().unwrap();
    assert_ne!(alice.room.dag.grants()[given].reads, InviteHistory::None, "he reads what he could read");
    let (_, made) = alice.room.dag.epoch(&first).map(|(at, _)| (at, first)).unwrap();
    assert!(alice.room.epochs_for(&bob.room.me().device()).contains(&made));
}

#[test]
fn a_link_that_gives_nothing_any_more_shows_another_device_no_more_than_its_account_may_read() {
    let (mut alice, mut bob) = newcomer(Role::Member);
    let wide = alice.invite(&NewInvite { history: Some(InviteHistory::Full), ..NewInvite::of(Role::Member) });
    gives(&mut alice, &bob, Role::Observer);
    settle(&mut alice, &mut bob);
    let (root, _) = Identity::create("laptop", START, &mut StdRng::seed_from_u64(2)).unwrap();
    let phone = Arc::new(Identity::add_device(&root, "phone", 2, START, &mut StdRng::seed_from_u64(6)).unwrap());
    let admission = alice.admit(&phone, &wide).unwrap();
    let mut phone = Person::joining(12, phone, &wide, &alice.room.id(), admission.welcome.as_ref().unwrap());
    settle(&mut alice, &mut phone);
    knows_nothing_of_the_past(&mut alice, &mut phone);
    alice.write("after");
    settle(&mut alice, &mut phone);
    assert!(phone.shown().contains(&"after".to_string()));
}
