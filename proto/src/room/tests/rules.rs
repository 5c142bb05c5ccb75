//! Rules against members who do not keep to `Room`: events signed by hand.

use super::support::{Person, START, identity, many, new_invite};
use crate::control::{
    Admit, Control, Genesis, History, Invite, InviteBounds, InviteHistory, InviteRevoke, JoinRequest, Leave,
    Permissions, Policy, Power, Role, RoomKind, Sponsor,
};
use crate::dag::{Dag, Insert};
use crate::event::{ControlHeader, Event, Header};
use crate::ids::{EventId, RoomId};
use crate::limits;
use crate::room::{Accepted, Change, Missing, NewInvite, NewRoom, Reject, Verdict};
use crate::validity::Invalid;

/// `control` as the next event of `person`, with a header changed by `change`.
pub(super) fn forge(person: &Person, control: &Control, change: impl Fn(&mut ControlHeader)) -> Event {
    let mut header = person.room.control_header(control.kind(), &[], person.now).unwrap();
    change(&mut header);
    let payload = control.encode();
    Event::sign(&person.room.id(), Header::Control(header), &payload, person.room.me().signing_key()).unwrap()
}

pub(super) fn auth(person: &Person) -> EventId {
    person.room.grant_id(person.room.grant().unwrap())
}

pub(super) fn why(person: &mut Person, event: Event) -> Option<Invalid> {
    match person.receive(vec![event]).rejected.first().map(|rejected| rejected.why.clone()) {
        Some(Reject::Invalid(invalid)) => Some(invalid),
        Some(other) => unreachable!("{other}"),
        None => None,
    }
}

/// An Admit of `joiner` by `sponsor` that asks nobody whether it may be.
pub(super) fn admit(sponsor: &Person, link: &parlor_crypto::invite::InviteSeed, join: JoinRequest) -> Admit {
    let invite = sponsor.room.invite_by_key(&link.keys().sign.public_bytes()).unwrap();
    let epoch = sponsor.room.epoch_status().epoch.unwrap();
    Admit { auth: auth(sponsor), invite, join, epoch, slice: 0, slice_commit: [0; 32] }
}

fn request(person: &Person, link: &parlor_crypto::invite::InviteSeed, seed: u64) -> JoinRequest {
    Person::request(&person.room.id(), &identity(seed), link)
}

#[test]
fn an_admit_outside_the_window_of_its_invite_counts_nowhere_whatever_the_joiner_says() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite { expires_ms: Some(START + 1_000), ..new_invite(Role::Member) });
    let join = request(&alice, &link, 2);
    let control = Control::Admit(Box::new(admit(&alice, &link, join)));
    for ts_ms in [0, START - 3_600_000, START + 1_001, u64::MAX] {
        let event = forge(&alice, &control, |header| header.ts_ms = ts_ms);
        assert_eq!(why(&mut alice, event), Some(Invalid::Window));
    }
    let event = forge(&alice, &control, |header| header.ts_ms = START + 1_000);
    assert_eq!(why(&mut alice, event), None);
}

#[test]
fn a_sponsor_is_of_the_class_asked_and_no_weaker_than_what_he_gives() {
    let mut alice = Person::founder(1, History::Full);
    let come = alice.invite(&new_invite(Role::Member));
    let for_admin = alice.invite(&new_invite(Role::Admin));
    let by_admin = alice.invite(&NewInvite { sponsor: Sponsor::Admin, ..new_invite(Role::Member) });
    let bob = Person::join(2, &come, &mut alice);
    for link in [&for_admin, &by_admin] {
        let control = Control::Admit(Box::new(admit(&bob, link, request(&bob, link, 3))));
        let event = forge(&bob, &control, |_| ());
        assert_eq!(why(&mut alice, event), Some(Invalid::Permission));
    }
}

#[test]
fn a_room_begins_only_with_owners_who_are_who_they_say() {
    let (alice, bob, carol) = (identity(1), identity(2), identity(3).entrant());
    let begin = |owners: Vec<crate::control::Entrant>| {
        let (policy, kind, suite) = (Policy { history: History::Full }, RoomKind::Group, limits::SUITE);
        let control = Control::Genesis(Genesis { rules: limits::RULES, suite, kind, owners, policy, nonce: [7; 32] });
        let header = ControlHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind: control.kind(),
            device: alice.device(),
            seq: 1,
            prev: EventId::ZERO,
            parents: Vec::new(),
            lamport: 1,
            ts_ms: START,
            payload_len: 0,
            payload_hash: [0; 32],
        };
        let event =
            Event::sign(&RoomId([0; 32]), Header::Control(header), &control.encode(), alice.signing_key()).unwrap();
        match Dag::new(RoomId(event.id().0)).insert(&event) {
            Insert::Invalid(why) => Some(why),
            _ => None,
        }
    };
    assert_eq!(begin(vec![alice.entrant(), bob.entrant()]), None);
    for what in 0..2 {
        let mut forged = bob.entrant();
        match what {
            0 => forged.leaf = carol.leaf,
            _ => forged.account = carol.account,
        }
        assert_eq!(begin(vec![alice.entrant(), forged]), Some(Invalid::Papers));
    }
    assert_eq!(begin(vec![bob.entrant(), alice.entrant()]), Some(Invalid::Genesis), "the first one's device signs");
}

#[test]
fn papers_of_others_let_nobody_in() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let other = alice.invite(&new_invite(Role::Member));
    let mut forged = Vec::new();
    // Signed with another link, for another room, with somebody else's certificate, with a changed nonce.
    let mut join = request(&alice, &other, 3);
    join.invite_pk = link.keys().sign.public_bytes();
    forged.push((join, Invalid::Papers));
    forged.push((request(&alice, &other, 3), Invalid::Papers));
    forged.push((request(&Person::founder(9, History::Full), &link, 3), Invalid::Papers));
    let mut join = request(&alice, &link, 3);
    join.entrant.cert = identity(4).entrant().cert;
    forged.push((join, Invalid::Papers));
    let mut join = request(&alice, &link, 3);
    join.nonce[0] ^= 1;
    forged.push((join, Invalid::Papers));
    // A leaf key that the founder has.
    let me = identity(3);
    let mut entrant = me.entrant();
    let leaf = parlor_crypto::leaf::LeafPublic::parse(&alice.room.me().entrant().leaf.leaf_pk).unwrap();
    entrant.leaf = crate::control::LeafRecord::issue(me.signing_key(), 1, &leaf, START);
    let stolen = JoinRequest::sign(&alice.room.id(), &link.keys().sign, me.signing_key(), entrant, [0; 16]);
    forged.push((stolen, Invalid::KeyTaken));
    for (join, expected) in forged {
        let control = Control::Admit(Box::new(admit(&alice, &link, join)));
        let event = forge(&alice, &control, |_| ());
        assert_eq!(why(&mut alice, event), Some(expected));
    }
    assert_eq!(alice.room.members().len(), 1);
}

#[test]
fn an_invite_gives_no_more_than_its_author_has() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Moderator));
    let bob = Person::join(2, &link, &mut alice);
    let fair = Invite {
        auth: auth(&bob),
        invite_pk: [1; 32],
        box_pk: [2; 32],
        door: [3; 32],
        power: Power::MEMBER,
        perms: Role::Member.permissions(crate::control::RoomKind::Group),
        not_before_ms: 0,
        expires_ms: u64::MAX,
        max_uses: 1,
        approval: false,
        history: InviteHistory::Full,
        sponsor: Sponsor::AnyMember,
        max_depth: 0,
        onward: InviteBounds { history: InviteHistory::None, ..InviteBounds::NONE },
    };
    let greedy = [
        Invite { power: Power::ADMIN, ..fair.clone() },
        Invite { perms: Permissions::ALL, ..fair.clone() },
        Invite { max_depth: 1, ..fair.clone() },
    ];
    for invite in greedy {
        let event = forge(&bob, &Control::Invite(invite), |_| ());
        assert_eq!(why(&mut alice, event), Some(Invalid::Attenuation));
    }
    let event = forge(&bob, &Control::Invite(fair.clone()), |_| ());
    assert_eq!(why(&mut alice, event), None);
    // A link that needs no member's word is for plain members.
    let instant = Invite { sponsor: Sponsor::Instant, ..fair.clone() };
    let owner = |invite: Invite| Control::Invite(Invite { auth: auth(&alice), ..invite });
    let strong = [
        Invite { power: Power::MODERATOR, ..instant.clone() },
        Invite { power: Power::OBSERVER, ..instant.clone() },
        Invite { perms: Role::Moderator.permissions(crate::control::RoomKind::Group), ..instant.clone() },
        Invite { max_depth: 1, ..instant.clone() },
        Invite { approval: true, ..instant.clone() },
    ];
    let strong: Vec<_> = strong.into_iter().map(|invite| forge(&alice, &owner(invite), |_| ())).collect();
    let plain = forge(&alice, &owner(instant), |_| ());
    for event in strong {
        assert_eq!(why(&mut alice, event), Some(Invalid::Attenuation));
    }
    assert_eq!(why(&mut alice, plain), None);
    // No history where the room has none.
    let mut closed = Person::founder(5, History::None);
    let invite = Invite { auth: auth(&closed), ..fair };
    let event = forge(&closed, &Control::Invite(invite), |_| ());
    assert_eq!(why(&mut closed, event), Some(Invalid::Attenuation));
}

#[test]
fn nobody_revokes_the_invite_of_a_senior() {
    let mut alice = Person::founder(1, History::Full);
    let come = alice.invite(&new_invite(Role::Admin));
    let open = alice.invite(&new_invite(Role::Member));
    let bob = Person::join(2, &come, &mut alice);
    let invite = alice.room.invite_by_key(&open.keys().sign.public_bytes()).unwrap();
    let revoke = Control::InviteRevoke(InviteRevoke { auth: auth(&bob), invite });
    let event = forge(&bob, &revoke, |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::Permission));
    assert!(!alice.room.invite_info(&invite).unwrap().revoked);
}

#[test]
fn an_admission_made_without_knowing_of_the_revocation_is_void_and_one_it_knew_stays() {
    let mut alice = Person::founder(1, History::Full);
    let come = alice.invite(&new_invite(Role::Member));
    let open = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &come, &mut alice);
    // One admission that alice knows when she revokes, one that she does not.
    let carol = Person::join(3, &open, &mut bob);
    alice.sync_from(&bob);
    let id = alice.room.invite_by_key(&open.keys().sign.public_bytes()).unwrap();
    let outcome = alice.room.revoke(&id, alice.now, &mut alice.rng).unwrap();
    alice.keep(outcome);
    let dave = Person::join(4, &open, &mut bob);
    alice.sync(&mut bob);
    let is_member = |p: &Person| alice.room.member(&p.room.me().account()).is_some();
    assert!(is_member(&carol));
    assert!(!is_member(&dave));
}

#[test]
fn whoever_leaves_takes_his_open_invites_along_but_not_those_who_came_by_them() {
    let mut alice = Person::founder(1, History::Full);
    let come = alice.invite(&new_invite(Role::Moderator));
    let mut bob = Person::join(2, &come, &mut alice);
    let link = bob.invite(&many(Role::Member));
    let carol = Person::join(3, &link, &mut bob);
    alice.sync_from(&bob);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    // Alice has not heard that he left, and lets dave in on his invite.
    let dave = Person::join(4, &link, &mut alice);
    alice.sync_from(&bob);
    let is_member = |p: &Person| alice.room.member(&p.room.me().account()).is_some();
    assert!(is_member(&carol) && !is_member(&dave) && !is_member(&bob));
}

#[test]
fn what_somebody_does_after_leaving_counts_for_nothing() {
    let mut alice = Person::founder(1, History::Full);
    let come = alice.invite(&new_invite(Role::Moderator));
    let mut bob = Person::join(2, &come, &mut alice);
    bob.write("before");
    let heads = bob.room.control_frontier();
    let (seq, prev) =
        (bob.room.control_header(1, &[], START).unwrap().seq, bob.room.control_header(1, &[], START).unwrap().prev);
    let name = Control::State(crate::control::State { auth: auth(&bob), writes: vec![(4, vec![0, 0, 0, 9])] });
    let mut later = bob.write("after");
    let left = Control::Leave(Leave {
        auth: auth(&bob),
        fence: vec![crate::control::LogPoint {
            device: bob.room.me().device(),
            seq: 1,
            id: bob
                .events()
                .iter()
                .rev()
                .find(|event| event.message().is_some_and(|header| header.seq == 1))
                .unwrap()
                .id(),
        }],
    });
    let left = forge(&bob, &left, |_| ());
    // A fork of his log beside the Leave, pretending not to know of it.
    let fork = forge(&bob, &name, |header| {
        (header.seq, header.prev) = (seq, prev);
        header.parents = heads.iter().filter(|head| **head != prev).copied().collect();
    });
    later.verdict = Verdict::Shown;
    for events in [vec![left.clone(), fork.clone()], vec![fork, left]] {
        let mut witness = Person::founder(1, History::Full);
        witness.receive(alice.events());
        witness.receive(bob.events());
        witness.room.set_me(alice.room.me().clone());
        witness.receive(events);
        assert_eq!(witness.room.topic_generation(), 0, "the setting does not count");
        assert_eq!(witness.room.verdict(&later.event), Verdict::AfterRemoval);
        assert_eq!(witness.room.members().len(), 1);
    }
}

#[test]
fn a_message_above_a_missing_parent_is_not_confirmed_until_the_parent_comes() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    let parent = carol.write("the parent").event;
    bob.sync_from(&carol);
    let child = bob.write("the child").event;
    assert_eq!(child.parents(), [parent.id()]);

    let received = alice.receive(vec![child.clone()]);
    assert_eq!(received.unknown_parents, [parent.id()]);
    assert_eq!(alice.shown(), ["the child"], "it is stored and shown all the same");
    assert!(alice.room.marker_heads().is_empty());
    assert_eq!(alice.room.missing_parents(), 1);
    alice.restart();
    assert!(alice.room.marker_heads().is_empty());
    let above = alice.write("above it").event;
    assert!(alice.room.marker_heads().is_empty());

    alice.receive(vec![parent.clone()]);
    assert_eq!(alice.room.marker_heads(), [above.id()]);
    assert_eq!((alice.room.heads(), alice.room.missing_parents()), (vec![above.id()], 0));
    assert!(received.waiting.is_empty());
}

#[test]
fn parents_that_nobody_has_are_given_up() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    carol.write("lost with her disk");
    bob.sync_from(&carol);
    let child = bob.write("the child").event;
    alice.receive(vec![child.clone()]);
    assert!(alice.room.marker_heads().is_empty());
    let given_up = alice.room.give_up_missing();
    assert!(given_up.outcome.persist.heads.is_some());
    assert_eq!(alice.room.marker_heads(), [child.id()]);
}

#[test]
fn messages_wait_for_the_control_events_they_were_written_under() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut bob);
    bob.sync_from(&carol);
    let text = bob.write("welcome carol").event;
    let received = alice.receive(vec![text.clone()]);
    assert!(received.outcome.accepted.is_empty() && alice.shown().is_empty());
    assert_eq!(received.waiting, [Missing::Control(bob.room.control_frontier()[0])]);
    let control: Vec<Event> = bob.room.control_events().cloned().collect();
    let received = alice.receive(control);
    assert!(received.waiting.is_empty());
    assert_eq!(alice.shown(), ["welcome carol"]);
}

#[test]
fn a_member_without_the_key_does_not_make_epochs_without_end() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Member));
    let me = identity(2);
    let welcome = alice.admit(&me, &link).unwrap().welcome.unwrap();
    let mut bob = Person::joining(2, me, &link, &alice.room.id(), &welcome);
    bob.sync_from(&alice);
    bob.room.forget_keys_for_tests();
    let rotations = |p: &Person| p.room.control_events().filter(|e| e.control().unwrap().kind == 11).count();
    assert_eq!(rotations(&bob), 1);
    let mut wakes = 0;
    while bob.now < START + 3_600_000 && wakes < 1_000 {
        let (outcome, wake) = bob.room.maintain(bob.now, &mut bob.rng);
        bob.keep(outcome);
        bob.now = wake.unwrap().max(bob.now + 1);
        wakes += 1;
    }
    assert_eq!(rotations(&bob), 2, "one that it can write under, and it is enough");
    bob.write("with a key of my own");
    alice.sync_from(&bob);
    assert_eq!(alice.shown(), ["with a key of my own"]);
}

#[test]
fn a_device_that_contradicts_itself_is_flagged_and_everybody_keeps_the_same() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Admin));
    let bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    let name = |name: &str| {
        Control::State(crate::control::State { auth: auth(&bob), writes: vec![(1, name.as_bytes().to_vec())] })
    };
    let (left, right) = (forge(&bob, &name("left"), |_| ()), forge(&bob, &name("right"), |_| ()));
    alice.receive(vec![left.clone()]);
    carol.receive(vec![right.clone()]);
    let changes = alice.room.receive(vec![right], START).outcome.changes;
    assert!(changes.contains(&Change::Fork(bob.room.me().device())));
    let changes = carol.room.receive(vec![left], START).outcome.changes;
    assert!(changes.contains(&Change::Fork(bob.room.me().device())));
    assert_eq!(alice.room.state_hash(), carol.room.state_hash());
    assert_eq!(alice.room.tips(), carol.room.tips());
}

#[test]
fn an_event_continues_exactly_its_own_log() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&new_invite(Role::Admin));
    let mut bob = Person::join(2, &link, &mut alice);
    let control = Control::State(crate::control::State { auth: auth(&bob), writes: vec![(1, b"x".to_vec())] });
    for _ in 0..2 {
        let event = forge(&bob, &control, |_| ());
        bob.receive(vec![event.clone()]);
        alice.receive(vec![event]);
    }
    let of_alice = alice.room.control_log(&alice.room.me().device(), 1).last().unwrap().id();
    let first = bob.room.control_log(&bob.room.me().device(), 1).next().unwrap().clone();
    let jump = forge(&bob, &control, |header| header.seq += 1);
    let back = forge(&bob, &control, |header| (header.prev, header.parents) = (first.id(), vec![header.prev]));
    let other = forge(&bob, &control, |header| (header.prev, header.parents) = (of_alice, vec![header.prev]));
    // The numbers would fit: only the device tells that it is another log.
    let of_alice_seq = alice.room.control_log(&alice.room.me().device(), 1).last().unwrap().seq();
    let fits = forge(&bob, &control, |header| {
        (header.seq, header.prev, header.parents) = (of_alice_seq + 1, of_alice, vec![header.prev]);
    });
    for event in [jump, back, other, fits] {
        assert_eq!(why(&mut alice, event), Some(Invalid::Prev));
    }
}

/// Bob, who came as `first` and then once more as `second`, with the control heads from before the second time.
fn twice(first: Role, second: Role, kind: RoomKind) -> (Person, Person, Vec<EventId>) {
    let mut alice = Person::founder_of(1, NewRoom { kind, ..super::support::new_room(History::Full) });
    let link = alice.invite(&new_invite(first));
    let mut bob = Person::join(2, &link, &mut alice);
    let heads = bob.room.control_frontier();
    let again = alice.invite(&new_invite(second));
    // The node answers with the old Welcome; a doctored one writes the second Admit.
    let join = Person::request(&alice.room.id(), bob.room.me(), &again);
    let control = Control::Admit(Box::new(admit(&alice, &again, join)));
    let event = forge(&alice, &control, |_| ());
    assert_eq!(why(&mut alice, event), None);
    bob.sync_from(&alice);
    assert_eq!(bob.room.role(), Some(second));
    (alice, bob, heads)
}

#[test]
fn a_grant_serves_only_events_that_have_it_in_their_past() {
    let (mut alice, bob, heads) = twice(Role::Member, Role::Admin, RoomKind::Group);
    let state = Control::State(crate::control::State { auth: auth(&bob), writes: vec![(1, b"x".to_vec())] });
    let lamport = heads.iter().map(|id| bob.room.control_event(id).unwrap().control().unwrap().lamport).max().unwrap();
    let early = forge(&bob, &state, |header| (header.parents, header.lamport) = (heads.clone(), lamport + 1));
    assert_eq!(why(&mut alice, early), Some(Invalid::Auth));
    let now = forge(&bob, &state, |_| ());
    assert_eq!(why(&mut alice, now), None);
}

#[test]
fn a_message_is_judged_by_the_view_it_was_written_in() {
    let (mut alice, mut bob, heads) = twice(Role::Member, Role::Moderator, RoomKind::Channel);
    let allowed = bob.write("now I may").event;
    let Header::Message(mut header) = allowed.header().clone() else { unreachable!() };
    header.control = heads;
    let early = Event::sign(&bob.room.id(), Header::Message(header), b"sealed", bob.room.me().signing_key()).unwrap();
    assert_eq!(bob.room.verdict(&allowed), Verdict::Shown);
    assert_eq!(bob.room.verdict(&early), Verdict::NotPermitted);
    let received = alice.room.receive(vec![early], START);
    let Some(Accepted::Message(message)) = received.outcome.accepted.first() else { unreachable!() };
    assert_ne!(message.verdict, Verdict::Shown);
}

#[test]
fn of_two_names_given_at_once_the_seniors_counts() {
    for juniors_id_first in [true, false] {
        let mut alice = Person::founder(1, History::Full);
        let link = alice.invite(&new_invite(Role::Admin));
        let mut bob = Person::join(2, &link, &mut alice);
        // Bob writes more, so that his lamport numbers are higher.
        for name in ["b1", "b2", "b3"] {
            let outcome = bob.room.set_state(vec![(crate::control::Setting::Name, name.into())], bob.now).unwrap();
            bob.keep(outcome);
        }
        let outcome = alice.room.set_state(vec![(crate::control::Setting::Name, b"a".to_vec())], alice.now).unwrap();
        alice.keep(outcome);
        if juniors_id_first {
            alice.sync_from(&bob)
        } else {
            bob.sync_from(&alice)
        };
        alice.sync(&mut bob);
        assert_eq!(alice.room.info().unwrap().name, "a");
        assert_eq!(bob.room.info().unwrap().name, "a");
        // Knowing of it, bob may change it.
        let outcome = bob.room.set_state(vec![(crate::control::Setting::Name, b"b4".to_vec())], bob.now).unwrap();
        bob.keep(outcome);
        alice.sync_from(&bob);
        assert_eq!(alice.room.info().unwrap().name, "b4");
    }
}

#[test]
fn nobody_lets_in_by_a_link_that_was_over_long_before_he_came_himself() {
    let mut alice = Person::founder(1, History::Full);
    let over = alice.invite(&NewInvite { expires_ms: Some(START + 1_000), ..many(Role::Member) });
    alice.now += 3 * crate::limits::DAY_MS;
    let link = alice.invite(&NewInvite { uses: Some(9), ..NewInvite::of(Role::Member) });
    let mut bob = Person::join(2, &link, &mut alice);
    let join = request(&bob, &over, 3);
    let control = Control::Admit(Box::new(admit(&bob, &over, join.clone())));
    let event = forge(&bob, &control, |header| header.ts_ms = START + 500);
    assert_eq!(why(&mut bob, event), Some(Invalid::Window));
    // Alice was there.
    let control = Control::Admit(Box::new(admit(&alice, &over, join)));
    let event = forge(&alice, &control, |header| header.ts_ms = START + 500);
    assert_eq!(why(&mut alice, event), None);
}

#[test]
fn nobody_lets_in_one_account_without_end() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&NewInvite { uses: Some(9), ..NewInvite::of(Role::Member) });
    let mut bob = Person::join(2, &link, &mut alice);
    let mut said = None;
    let mut taken = 0;
    for n in 0..100 {
        let me = bob.room.me().clone();
        let join = JoinRequest::sign(&bob.room.id(), &link.keys().sign, me.signing_key(), me.entrant(), [n; 16]);
        let control = Control::Admit(Box::new(admit(&bob, &link, join)));
        let event = forge(&bob, &control, |_| ());
        said = why(&mut bob, event);
        if said.is_some() {
            break;
        }
        taken += 1;
    }
    assert_eq!((taken, said), (crate::limits::MAX_SAME, Some(Invalid::Repeated)));
    // Others let him in all the same.
    alice.sync_from(&bob);
    let join = request(&alice, &link, 2);
    let control = Control::Admit(Box::new(admit(&alice, &link, join)));
    let event = forge(&alice, &control, |_| ());
    assert_eq!(why(&mut alice, event), None);
}
