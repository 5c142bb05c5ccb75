//! What former members may know.

use super::support::*;
use crate::control::{History, Role, Setting};
use crate::room::NewInvite;

#[test]
fn who_left_learns_what_was_said_without_knowing_it_and_nothing_that_was_built_on_its_leaving() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite { uses: None, ..new_invite(Role::Admin) });
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
