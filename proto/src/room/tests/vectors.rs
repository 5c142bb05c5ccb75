//! `docs/spec/vectors/events.json` says what this crate writes. Change neither without the other.
//!
//! Where randomness is taken, it is the bytes 00 01 02 ... ff 00 ..., from 00 for each of the two people. To write the file
//! anew after a change of format, run with `PARLOR_WRITE_VECTORS=1`.

use std::sync::Arc;

use serde_json::{Value, json};

use self::shared::{Counting, agree, hex};
use super::support::{START, new_invite, new_room};
use crate::body::{Body, Text};
use crate::control::{
    AccountUpdate, Complaint, Control, History, JoinRequest, NewDevice, Policy, RevokeFence, Role, Sponsor, State,
    Target,
};
use crate::epoch::Welcome;
use crate::event::{Event, Header};
use crate::hlc::Hlc;
use crate::identity::Identity;
use crate::ids::AccountId;
use crate::room::{Accepted, Message, NewInvite, Outcome, Removal, Room};

#[path = "../../../tests/shared/mod.rs"]
mod shared;

fn event(event: &Event) -> Value {
    let header = event.header().encode();
    json!({ "id": hex(event.id().0), "kind": header[2], "seq": event.seq(), "header": hex(&header), "bytes": hex(event.bytes()) })
}

fn events(outcome: &Outcome) -> Vec<Value> {
    outcome.events().map(event).collect()
}

fn message(message: &Message) -> Value {
    json!({
        "event": event(&message.event),
        "sealed_to": hex(message.event.sealing_header()),
        "key": hex(message.key.as_ref().unwrap().secret().expose()),
        "body": hex(message.body.as_ref().unwrap().encode()),
    })
}

#[test]
fn the_code_writes_what_the_spec_says() {
    agree("events.json", &compute());
}

fn stored_keys(outcome: &Outcome) -> Value {
    let row = |(name, row): (&Vec<u8>, &Option<_>)| json!({ "name": hex(name), "row": row.as_ref().map(hex) });
    outcome.persist.keys.iter().map(row).collect()
}

fn compute() -> Value {
    let (alice_rng, bob_rng) = (&mut Counting(0), &mut Counting(128));
    let (_, alice_me) = Identity::create("laptop", START, alice_rng).unwrap();
    let (_, bob_me) = Identity::create("phone", START, bob_rng).unwrap();
    let (mut alice, created) =
        Room::create(Arc::new(alice_me.clone()), new_room(History::None), START, alice_rng).unwrap();
    let (link, invited) = alice.invite(&new_invite(Role::Member), START + 1, alice_rng).unwrap();
    let keys = link.keys();
    let join = JoinRequest::sign(&alice.id(), &keys.sign, bob_me.signing_key(), bob_me.entrant(), [7; 16]);
    let admission = alice.admit(join.clone(), false, START + 2, alice_rng).unwrap();
    let invite_pk = keys.sign.public_bytes();
    let welcome = Welcome::open(&bob_me, &alice.id(), &invite_pk, admission.welcome.as_ref().unwrap()).unwrap();
    let (mut bob, _) = Room::join(Arc::new(bob_me.clone()), alice.id(), welcome.clone());
    let control: Vec<Event> = alice.control_events().cloned().collect();
    bob.receive(control, START + 3);
    let hello = bob.write(&Body::text("hello"), START + 4, bob_rng).unwrap().message;
    let Some(Accepted::Message(heard)) = alice.receive(vec![hello.event.clone()], START + 5).outcome.accepted.pop()
    else {
        unreachable!("the message is taken")
    };
    assert_eq!(heard.body, hello.body);
    let answer = Body::Text(Text {
        text: "hi".into(),
        reply_to: Some(hello.event.id()),
        mentions: vec![bob_me.account()],
        thread: None,
    });
    let answer = alice.write(&answer, START + 6, alice_rng).unwrap().message;
    let left = bob.leave(START + 7).unwrap();
    json!({
        "identities": {
            "alice": { "stored": hex(alice_me.to_bytes()), "account": hex(alice_me.account().0), "device": hex(alice_me.device().0) },
            "bob": { "stored": hex(bob_me.to_bytes()), "account": hex(bob_me.account().0), "device": hex(bob_me.device().0) },
        },
        "room": hex(alice.id().0),
        "create": events(&created),
        "invite": { "seed": hex(link.secret().expose()), "events": events(&invited) },
        "join_request": hex(crate::codec::encode(&join)),
        "admit": { "events": events(&admission.outcome), "welcome": hex(admission.welcome.as_ref().unwrap()),
                   "welcome_opened": hex(crate::codec::encode(&welcome)) },
        "hello": message(&hello),
        "answer": message(&answer),
        "leave": events(&left),
        "hlc": { "ms": START, "reading": Hlc::at(START).0 },
        "stored_keys": stored_keys(&created),
        "govern": govern(),
    })
}

/// One event of each kind that governs a room.
fn govern() -> Value {
    let (alice_rng, bob_rng) = (&mut Counting(64), &mut Counting(192));
    let (_, alice_me) = Identity::create("laptop", START, alice_rng).unwrap();
    let (root, bob_me) = Identity::create("phone", START, bob_rng).unwrap();
    let (mut alice, created) = Room::create(Arc::new(alice_me), new_room(History::Full), START, alice_rng).unwrap();
    let (link, _) = alice.invite(&new_invite(Role::Member), START + 1, alice_rng).unwrap();
    let keys = link.keys();
    let join = JoinRequest::sign(&alice.id(), &keys.sign, bob_me.signing_key(), bob_me.entrant(), [7; 16]);
    let admission = alice.admit(join, false, START + 2, alice_rng).unwrap();
    let welcome =
        Welcome::open(&bob_me, &alice.id(), &keys.sign.public_bytes(), admission.welcome.as_ref().unwrap()).unwrap();
    let (mut bob, _) = Room::join(Arc::new(bob_me.clone()), alice.id(), welcome);
    bob.receive(alice.control_events().cloned().collect(), START + 3);
    let granted = alice.grant_role(&bob_me.account(), Role::Moderator, START + 4).unwrap();
    let policy = alice.set_policy(Policy { history: History::None }, START + 5).unwrap();
    bob.receive(alice.control_events().cloned().collect(), START + 6);
    let epoch = bob.epoch_status().epoch.unwrap();
    let complaint = bob.complain(&epoch, Complaint::Commit, START + 7).unwrap();
    let tablet = Identity::add_device(&root, "tablet", 2, START, bob_rng).unwrap();
    let devices = vec![NewDevice::sign(tablet.signing_key(), tablet.entrant())];
    let added = bob.update_account(AccountUpdate { devices, revokes: Vec::new() }, START + 8).unwrap();
    let fence = bob.revoke_fence(&tablet.device());
    let revoke = RevokeFence::revoke(&root.root_key(0), bob_me.account(), bob.id(), fence).unwrap();
    let revoked = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    let revoked = bob.update_account(revoked, START + 9).unwrap();
    alice.receive(bob.control_events().cloned().collect(), START + 10);
    let [one, other] = [1, 2].map(|about| contradiction(&bob, &bob_me, about));
    let proof = alice.report_fork(&one, &other, START + 12).unwrap();
    let target = Target::Account(bob_me.account());
    let removal = Removal { target, ban: true, cascade: true, purge: false };
    let removed = alice.remove(&[removal], START + 13, alice_rng).unwrap();
    let unbanned = alice.unban(&bob_me.account(), START + 14).unwrap();
    let asks = NewInvite { approval: true, sponsor: Sponsor::Moderator, ..new_invite(Role::Member) };
    let (asks, _) = alice.invite(&asks, START + 15, alice_rng).unwrap();
    let asks = alice.invite_by_key(&asks.keys().sign.public_bytes()).unwrap();
    let declined = alice.decline(&asks, &AccountId([9; 32]), START + 16).unwrap();
    json!({
        "create": events(&created),
        "grant": events(&granted),
        "policy": events(&policy),
        "complaint": events(&complaint),
        "device_added": events(&added),
        "device_revoked": events(&revoked),
        "contradiction": [event(&one), event(&other)],
        "proof": events(&proof),
        "removed": events(&removed),
        "unbanned": events(&unbanned),
        "declined": events(&declined),
    })
}

/// The next event of `room`'s log: one of several with one number.
fn contradiction(room: &Room, me: &Identity, about: u8) -> Event {
    let auth = room.grant_id(room.grant().unwrap());
    let state = Control::State(State { auth, writes: vec![(2, vec![about])] });
    let header = room.control_header(state.kind(), &[], START + 11).unwrap();
    Event::sign(&room.id(), Header::Control(header), &state.encode(), me.signing_key()).unwrap()
}
