//! Whom an epoch must reach to be written under.

use super::attacks::remove;
use super::support::{Person, many, new_invite};
use crate::control::{History, Role};

fn reads_what_is_written_for_it(writer: &mut Person, reader: &mut Person) {
    // The next hour is long enough for a rotation that nothing missing calls for: that one would hide the fault.
    let before = writer.now;
    for _ in 0..3 {
        writer.look();
        writer.now += 1_000;
        reader.sync_from(writer);
        reader.look();
        writer.sync_from(reader);
    }
    assert!(writer.now < before + 30_000);
    writer.write("for all of us");
    reader.sync_from(writer);
    assert!(reader.shown().contains(&"for all of us".to_string()), "{:?}", reader.shown());
}

#[test]
fn a_newcomer_let_in_while_others_made_an_epoch_reads_what_is_written_for_it() {
    let mut ann = Person::founder(1, History::None);
    let link = ann.invite(&new_invite(Role::Moderator));
    let mut ben = Person::join(2, &link, &mut ann);
    let link = ann.invite(&new_invite(Role::Member));
    let cleo = Person::join(3, &link, &mut ann);
    let link = ann.invite(&new_invite(Role::Member));
    ben.sync_from(&ann);
    remove(&mut ben, &cleo);
    let mut dora = Person::join(4, &link, &mut ann);
    ann.sync_from(&ben);
    dora.sync_from(&ann);
    reads_what_is_written_for_it(&mut ann, &mut dora);
}

#[test]
fn whoever_is_taken_back_in_a_room_without_history_reads_what_is_written_for_it() {
    let mut ann = Person::founder(1, History::None);
    let link = ann.invite(&new_invite(Role::Member));
    let mut ben = Person::join(2, &link, &mut ann);
    remove(&mut ann, &ben);
    ben.sync_from(&ann);
    assert!(!ben.room.is_member());
    let outcome = ann.room.grant_role(&ben.room.me().account(), Role::Member, ann.now).unwrap();
    ann.keep(outcome);
    ben.sync_from(&ann);
    reads_what_is_written_for_it(&mut ann, &mut ben);
}

/// The first Welcome was lost with a crash; the second admission opened a later slice.
#[test]
fn who_was_let_in_twice_reads_what_was_written_between() {
    let mut alice = Person::founder(1, History::None);
    let link = alice.invite(&many(Role::Member));
    let again = alice.invite(&many(Role::Member));
    let lost = Person::join(2, &link, &mut alice);
    let between = alice.write("between").event;
    let mut bob = Person::join(2, &again, &mut alice);
    assert_eq!(lost.room.me().device(), bob.room.me().device());
    assert!(bob.shown().is_empty());
    let epoch = between.message().unwrap().epoch;
    assert_eq!(bob.room.keys_wanted(), [epoch]);
    let share = alice.room.key_share_for(&bob.room.me().device(), &epoch, &mut alice.rng).unwrap();
    let healed = bob.room.accept_key_share(&share).unwrap();
    bob.keep(healed);
    assert!(bob.room.open_later(&between).is_some_and(|opened| opened.body.is_some()));
    assert!(bob.room.keys_wanted().is_empty());
}
