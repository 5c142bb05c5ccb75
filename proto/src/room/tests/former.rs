//! What former members may know.

use super::attacks::remove;
use super::support::*;
use crate::control::{History, Role, Setting};
use crate::room::NewInvite;

#[test]
fn who_left_learns_what_was_said_without_knowing_it_and_nothing_that_was_built_on_its_leaving() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    alice.sync(&mut carol);
    alice.sync(&mut bob);
    let outcome = bob.room.leave(bob.now).unwrap();
    bob.keep(outcome);
    // Carol writes without knowing it, Alice knowing it.
    let rename = |person: &mut Person, name: &str| {
        let outcome = person.room.set_state(vec![(Setting::Name, name.into())], person.now).unwrap();
        person.keep(outcome);
    };
    rename(&mut carol, "unknowing");
    alice.sync_from(&bob);
    alice.sync_from(&carol);
    rename(&mut alice, "knowing");
    let device = bob.room.me().device();
    let (leave, theirs) = (bob.room.tips(), alice.room.control_for(&device));
    let of = |tips: &[crate::room::Tip], person: &Person| {
        let device = person.room.me().device();
        let log = |tip: &&crate::room::Tip| tip.log.device == device && tip.log.kind == crate::event::LogKind::Control;
        tips.iter().find(log).map(|tip| tip.seq)
    };
    assert_eq!(of(&theirs, &bob), of(&leave, &bob), "its own end");
    assert_eq!(of(&theirs, &carol), of(&carol.room.tips(), &carol), "what did not know of it");
    assert!(of(&theirs, &alice) < of(&alice.room.tips(), &alice), "not what was built on it");
}

#[test]
fn who_was_taken_back_by_somebody_who_was_out_learns_why_that_is_void() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Admin));
    let mut dave = Person::join(2, &link, &mut alice);
    let mut bob = Person::join(3, &link, &mut alice);
    dave.sync_from(&alice);
    remove(&mut alice, &bob);
    bob.sync_from(&alice);
    dave.sync_from(&alice);
    assert!(!bob.room.is_member());
    // Apart: dave, whom alice removes, takes him back.
    let again = dave.invite(&many(Role::Member));
    bob = Person::join(3, &again, &mut dave);
    assert!(bob.room.is_member());
    remove(&mut alice, &dave);
    alice.sync_from(&bob);
    assert!(alice.room.members().len() == 1);
    tell_why(&mut alice, &mut bob);
}

/// What somebody is told who is out, as little as it is, tells him that.
fn tell_why(teller: &mut Person, out: &mut Person) {
    let told = teller.room.control_for(&out.room.me().device());
    let known = |event: &crate::event::Event| {
        told.iter().any(|tip| event.control().is_some() && tip.log == event.log() && event.seq() <= tip.seq)
    };
    let (told, all): (Vec<_>, Vec<_>) = (teller.events().into_iter().filter(known).collect(), teller.events());
    assert!(told.len() < all.len());
    out.receive(told);
    assert!(!out.room.is_member());
}

#[test]
fn who_came_by_an_invite_that_others_had_used_up_together_learns_of_all_of_them() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let twice = alice.invite(&NewInvite { uses: Some(2), ..new_invite(Role::Member) });
    bob.sync_from(&alice);
    // Apart: two come by Alice, the second known to have come after the first, and one by Bob.
    let mut eve = Person::join(5, &twice, &mut bob);
    let _carol = Person::join(3, &twice, &mut alice);
    let _dave = Person::join(4, &twice, &mut alice);
    alice.sync(&mut bob);
    assert!(eve.room.is_member() && alice.room.members().len() == 4);
    let renamed = alice.room.set_state(vec![(Setting::Name, b"after".to_vec())], alice.now).unwrap();
    alice.keep(renamed);
    tell_why(&mut alice, &mut eve);
}

#[test]
fn who_is_put_out_once_more_later_learns_nothing_of_the_time_between() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    remove(&mut alice, &bob);
    let device = bob.room.me().device();
    let before = alice.room.control_for(&device);
    let renamed = alice.room.set_state(vec![(Setting::Name, b"between".to_vec())], alice.now).unwrap();
    alice.keep(renamed);
    // All who came by the link are put out, those who are out already too.
    let _carol = Person::join(3, &link, &mut alice);
    let target = crate::control::Target::Invite(alice.room.invites()[0].id);
    let all = crate::room::Removal { target, ban: false, cascade: false, purge: false };
    let removed = alice.room.remove(&[all], alice.now, &mut alice.rng).unwrap();
    alice.keep(removed);
    assert_eq!(alice.room.control_for(&device), before);
}

#[test]
fn who_was_put_out_by_one_branch_of_a_log_and_knows_another_that_undoes_it_learns_which_of_them_counts() {
    let mut alice = Person::founder(1, History::None);
    let (admins, moderators) = (alice.invite(&many(Role::Admin)), alice.invite(&many(Role::Moderator)));
    let mut mallory = Person::join(2, &admins, &mut alice);
    let mut carol = Person::join(3, &moderators, &mut alice);
    mallory.sync_from(&alice);
    // One device, two branches: in one he removes Carol, in the other he leaves without having done so.
    let mut twin = mallory.clone_with_all_secrets();
    remove(&mut mallory, &carol);
    let left = twin.room.leave(twin.now).unwrap();
    twin.keep(left);
    carol.sync_from(&twin);
    let _written_knowing_it = carol.invite(&new_invite(Role::Member));
    // Alice pins the branch in which Carol is out, and renames the room later.
    alice.sync_from(&mallory);
    remove(&mut alice, &mallory);
    alice.sync_from(&carol);
    assert_eq!(alice.room.members().len(), 1);
    carol.receive(mallory.events());
    assert!(carol.room.is_member(), "the first reason alone does not tell her");
    let renamed = alice.room.set_state(vec![(Setting::Name, b"after".to_vec())], alice.now).unwrap();
    alice.keep(renamed);
    tell_why(&mut alice, &mut carol);
}

#[test]
fn a_revoked_device_of_a_member_learns_that_it_is_and_nothing_that_was_built_on_it() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let phone = revoked_phone(&mut bob);
    alice.sync(&mut bob);
    let revoked = bob.room.tips();
    let renamed = alice.room.set_state(vec![(Setting::Name, b"after".to_vec())], alice.now).unwrap();
    alice.keep(renamed);
    let _carol = Person::join(3, &link, &mut alice);
    let told = alice.room.control_for(&phone.device());
    let of = |tips: &[crate::room::Tip], person: &Person| {
        let device = person.room.me().device();
        let log = |tip: &&crate::room::Tip| tip.log.device == device && tip.log.kind == crate::event::LogKind::Control;
        tips.iter().find(log).map(|tip| tip.seq)
    };
    assert_eq!(of(&told, &bob), of(&revoked, &bob), "its own end");
    assert!(of(&told, &alice) < of(&alice.room.tips(), &alice), "not what was built on it");
}
