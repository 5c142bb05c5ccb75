//! Who may say what about whose message (attacks 10, 32).

use super::support::{Person, many};
use crate::annotation::{Act, Annotation, Fold, Weight, fold};
use crate::body::{Body, Edit, Pin, React, Redact};
use crate::control::{History, Role, Target};
use crate::ids::EventId;
use crate::room::{Accepted, Message, Refusal, Removal};

/// An owner, two moderators of whom the first came first, and a member, all with the same events.
fn people() -> [Person; 4] {
    let mut alice = Person::founder(1, History::Full);
    let moderators = alice.invite(&many(Role::Moderator));
    let members = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &moderators, &mut alice);
    let carol = Person::join(3, &moderators, &mut alice);
    let dan = Person::join(4, &members, &mut alice);
    let mut all = [alice, bob, carol, dan];
    meet(&mut all);
    all
}

/// All hold everything.
fn meet(all: &mut [Person]) {
    for _ in 0..2 {
        for at in 0..all.len() {
            let (before, rest) = all.split_at_mut(at);
            let Some((one, after)) = rest.split_first_mut() else { return };
            before.iter().chain(after.iter()).for_each(|other| drop(one.sync_from(other)));
            one.maintain();
        }
    }
}

impl Person {
    /// What a message looks like here.
    pub(super) fn sees(&self, target: &Message) -> Fold {
        let messages = self.stored.iter().filter_map(|accepted| match accepted {
            Accepted::Message(message) => Some(message),
            Accepted::Control(_) => None,
        });
        let said = messages.filter_map(|message| {
            let author = self.room.writer_of(&message.event)?;
            let (about, said) = Annotation::of(&message.event, author, message.body.as_ref()?)?;
            (about == target.event.id()).then(|| (said, self.place(&message.event).0))
        });
        let weighed = said.map(|(said, path)| {
            let weight = self.room.weigh(&said, Some(&path), &target.author);
            (said, weight)
        });
        fold(&target.author, target.body.as_ref(), weighed)
    }
}

fn redact(target: &Message) -> Body {
    Body::Redact(Redact { target: target.event.id() })
}

fn edit(target: &Message, text: &str) -> Body {
    Body::Edit(Edit { target: target.event.id(), text: text.into(), mentions: Vec::new() })
}

fn pin(target: &Message, on: bool) -> Body {
    Body::Pin(Pin { target: target.event.id(), on })
}

#[test]
fn everybody_sees_the_same_whatever_came_first() {
    let mut all = people();
    let target = all[3].write("hello");
    meet(&mut all);
    let id = target.event.id();
    let edited = all[3].say(&edit(&target, "hello all"));
    for (person, emoji) in [(0, "👍"), (1, "❤️"), (2, "👍")] {
        all[person].say(&Body::React(React { target: id, emoji: emoji.into(), on: true }));
    }
    all[1].say(&pin(&target, true));
    meet(&mut all);
    let seen = all[0].sees(&target);
    assert_eq!(seen.edits.last().map(|edit| edit.id), Some(edited.event.id()));
    assert_eq!(seen.reactions["👍"].len(), 2);
    assert!(seen.pinned.is_some() && seen.deleted.is_none());
    assert!(all.iter().all(|person| person.sees(&target) == seen));
}

#[test]
fn only_the_account_that_wrote_a_message_edits_it() {
    let mut all = people();
    let target = all[3].write("mine");
    meet(&mut all);
    assert_eq!(all[0].room.may_say(&edit(&target, "yours"), &target.author), Err(Refusal::NotAuthor));
    // A hostile node writes it all the same, and even a moderator's counts for nothing.
    all[0].say(&edit(&target, "yours"));
    all[1].say(&edit(&target, "ours"));
    meet(&mut all);
    assert!(all.iter().all(|person| person.sees(&target).edits.is_empty()));
}

#[test]
fn moderators_take_back_what_juniors_wrote_and_nobody_else_does() {
    let mut all = people();
    let of_owner = all[0].write("from the owner");
    let of_bob = all[1].write("from the first moderator");
    let of_carol = all[2].write("from the second");
    let of_dan = all[3].write("from a member");
    meet(&mut all);
    for (who, target, may) in
        [(3, &of_carol, false), (2, &of_bob, false), (2, &of_owner, false), (1, &of_carol, true), (2, &of_dan, true)]
    {
        assert_eq!(all[who].room.may_say(&redact(target), &target.author).is_ok(), may, "{who}");
        all[who].say(&redact(target));
    }
    meet(&mut all);
    for person in &all {
        let by = |target| person.sees(target).deleted.map(|deleted| deleted.by);
        assert_eq!(by(&of_owner), None);
        assert_eq!(by(&of_bob), None);
        assert_eq!(by(&of_carol), Some(of_bob.author));
        assert_eq!(by(&of_dan), Some(of_carol.author));
    }
}

#[test]
fn members_pin_nothing() {
    let mut all = people();
    let target = all[3].write("look at this");
    meet(&mut all);
    assert!(matches!(all[3].room.may_say(&pin(&target, true), &target.author), Err(Refusal::NotPermitted(_))));
    all[3].say(&pin(&target, true));
    meet(&mut all);
    assert!(all.iter().all(|person| person.sees(&target).pinned.is_none()));
    all[1].say(&pin(&target, true));
    all[3].say(&pin(&target, false));
    meet(&mut all);
    assert!(all.iter().all(|person| person.sees(&target).pinned.is_some()), "nor do they take pins out");
}

#[test]
fn what_a_moderator_did_before_he_lost_the_role_stays_and_what_he_does_after_does_not_count() {
    let mut all = people();
    let (first, second) = (all[3].write("first"), all[3].write("second"));
    meet(&mut all);
    all[1].say(&redact(&first));
    meet(&mut all);
    let (account, now) = (all[1].room.me().account(), all[0].now);
    let outcome = all[0].room.grant_role(&account, Role::Member, now).unwrap();
    all[0].keep(outcome);
    // He has not heard of it, or says so.
    all[1].say(&redact(&second));
    all[1].say(&pin(&second, true));
    meet(&mut all);
    let later = all[1].write("still here");
    all[1].say(&redact(&second));
    meet(&mut all);
    for person in &all {
        assert!(person.sees(&first).deleted.is_some());
        let seen = person.sees(&second);
        assert!(seen.deleted.is_none() && seen.pinned.is_none());
        assert!(person.shown().contains(&"still here".to_owned()), "he writes on: {:?}", later.verdict);
    }
}

#[test]
fn what_a_removed_member_says_afterwards_about_messages_is_hidden_like_his_messages() {
    let mut all = people();
    let (mine, of_owner) = (all[3].write("mine"), all[0].write("from the owner"));
    meet(&mut all);
    let account = all[3].room.me().account();
    let removal = Removal { target: Target::Account(account), ban: false, cascade: false, purge: false };
    let [alice, ..] = &mut all;
    let outcome = alice.room.remove(&[removal], alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    all[3].say(&edit(&mine, "after all"));
    all[3].say(&redact(&mine));
    all[3].say(&Body::React(React { target: of_owner.event.id(), emoji: "👎".into(), on: true }));
    meet(&mut all);
    for person in &all[..3] {
        assert_eq!(person.sees(&mine), Fold::default());
        assert_eq!(person.sees(&of_owner), Fold::default());
    }
}

#[test]
fn an_annotation_of_what_is_not_here_or_of_an_annotation_says_nothing_about_others() {
    let mut all = people();
    let target = all[3].write("hello");
    let edited = all[3].say(&edit(&target, "hi"));
    all[3].say(&Body::Redact(Redact { target: edited.event.id() }));
    all[3].say(&Body::Redact(Redact { target: EventId([7; 32]) }));
    meet(&mut all);
    // An edit is taken back by deleting the message or by another edit.
    let seen = all[0].sees(&target);
    assert!(seen.deleted.is_none());
    assert_eq!(seen.edits.len(), 1);
}

#[test]
fn where_something_is_kept_does_not_change_when_the_room_does() {
    let mut all = people();
    let target = all[3].write("hello");
    meet(&mut all);
    let said = all[1].say(&pin(&target, true));
    let places = |person: &Person| {
        let body = said.body.as_ref().unwrap();
        person.room.remarks(&said.event, crate::hlc::Hlc(1), body)
    };
    let before = places(&all[0]);
    assert_eq!(before.len(), 2, "under its target, and in the list of pins");
    let (account, now) = (all[1].room.me().account(), all[0].now);
    let outcome = all[0].room.grant_role(&account, Role::Member, now).unwrap();
    all[0].keep(outcome);
    assert_eq!(places(&all[0]), before);
    let other = all[3].say(&pin(&target, true));
    let of_member = all[3].room.remarks(&other.event, crate::hlc::Hlc(1), other.body.as_ref().unwrap());
    assert_eq!(of_member.len(), 1, "what members pin is in no list of the room");
    let react =
        Annotation { act: Act::Edit, ..Annotation::of(&said.event, account, said.body.as_ref().unwrap()).unwrap().1 };
    assert_eq!(all[0].room.weigh(&react, None, &account), Weight { shown: true, moderates: false });
}
