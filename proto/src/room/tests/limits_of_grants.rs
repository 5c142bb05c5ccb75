//! Rules about who may do what, each against a member who has all that the rule wants but one thing.

use parlor_crypto::account::{DeviceCert, RootSeed};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rules::{admit, auth, forge, why};
use super::support::{Person, START, identity, many, new_invite, revoked_phone};
use crate::control::{
    AccountUpdate, Control, EquivProof, GrantRole, History, Invite, InviteBounds, InviteHistory, JoinRequest,
    MessageFate, NewDevice, Permission, Permissions, Policy, PolicyChange, Power, Remove, RevokeFence, Role, Rotate,
    Setting, SignedHeader, Sponsor, State, Target, Unban,
};
use crate::event::{Event, Header};
use crate::identity::Identity;
use crate::ids::{AccountId, DeviceId};
use crate::room::Removal;
use crate::validity::Invalid;

/// Alice, and Bob, whom she made as strong as an admin, with these permissions and the right to hand them on; and Carol, a member.
fn strong(perms: Permissions) -> (Person, Person, Person) {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut alice);
    let grant = Control::Grant(GrantRole {
        auth: auth(&alice),
        subject: bob.room.me().account(),
        power: Power::ADMIN,
        perms,
        max_depth: 2,
        invites: InviteBounds::NONE,
    });
    let event = forge(&alice, &grant, |_| ());
    assert_eq!(why(&mut alice, event), None);
    bob.sync_from(&alice);
    (alice, bob, carol)
}

fn account(person: &Person) -> AccountId {
    person.room.me().account()
}

/// What Bob forges is refused without the permission, and only for that.
fn takes(permission: Permission, what: impl Fn(&mut Person, &Person, &Person) -> Control) {
    let all = [Permission::Post, Permission::Invite, Permission::Grant, Permission::Remove, Permission::Moderate];
    let all = all.into_iter().chain([Permission::Policy]).filter(|other| *other != permission);
    let others = all.fold(Permissions::NONE, Permissions::with);
    for (perms, expected) in [(others, Some(Invalid::Permission)), (others.with(permission), None)] {
        let (mut alice, mut bob, carol) = strong(perms);
        let control = what(&mut alice, &bob, &carol);
        bob.sync_from(&alice);
        // Made under the grant that is new.
        let event = forge(&bob, &control, |_| ());
        assert_eq!(why(&mut alice, event), expected, "{permission:?}");
    }
}

#[test]
fn inviting_takes_the_permission_to_invite_however_strong_somebody_is() {
    takes(Permission::Invite, |_, bob, _| {
        Control::Invite(Invite {
            auth: auth(bob),
            invite_pk: [1; 32],
            box_pk: [2; 32],
            door: [3; 32],
            power: Power::MEMBER,
            perms: Permissions::NONE.with(Permission::Post),
            not_before_ms: 0,
            expires_ms: u64::MAX,
            max_uses: 1,
            approval: false,
            history: InviteHistory::None,
            sponsor: Sponsor::AnyMember,
            max_depth: 0,
            onward: InviteBounds { history: InviteHistory::None, ..InviteBounds::NONE },
        })
    });
}

#[test]
fn removing_takes_the_permission_to_remove_however_senior_somebody_is() {
    takes(Permission::Remove, |_, bob, carol| {
        Control::Remove(Remove {
            auth: auth(bob),
            target: Target::Account(account(carol)),
            ban: false,
            cascade: false,
            messages: MessageFate::Fenced,
            fence: Vec::new(),
        })
    });
}

#[test]
fn ending_a_ban_takes_the_permission_to_remove_however_senior_somebody_is() {
    takes(Permission::Remove, |alice, bob, carol| {
        // By a moderator, who is junior to Bob.
        let link = alice.invite(&new_invite(Role::Moderator));
        let mut dave = Person::join(4, &link, alice);
        let ban = Removal { target: Target::Account(account(carol)), ban: true, cascade: false, purge: false };
        let outcome = dave.room.remove(&[ban], dave.now, &mut dave.rng).unwrap();
        let removal = outcome.events().next().unwrap().id();
        dave.keep(outcome);
        alice.sync_from(&dave);
        Control::Unban(Unban { auth: auth(bob), removal })
    });
}

#[test]
fn making_an_epoch_takes_the_permission_to_post() {
    takes(Permission::Post, |alice, bob, _| {
        let (_, rotate) = alice.room.dag.epoch(&alice.room.epoch_status().epoch.unwrap()).unwrap();
        Control::Rotate(Rotate { auth: auth(bob), ..rotate.clone() })
    });
}

#[test]
fn settings_take_the_permission_that_is_theirs() {
    let name = |_: &mut Person, bob: &Person, _: &Person| {
        Control::State(State { auth: auth(bob), writes: vec![(Setting::Name as u8, b"x".to_vec())] })
    };
    takes(Permission::Policy, name);
    let generation = |_: &mut Person, bob: &Person, _: &Person| {
        Control::State(State { auth: auth(bob), writes: vec![(Setting::TopicGeneration as u8, vec![0, 0, 0, 9])] })
    };
    takes(Permission::Moderate, generation);
    takes(Permission::Policy, |_, bob, _| {
        Control::Policy(PolicyChange { auth: auth(bob), policy: Policy { history: History::None } })
    });
}

/// Bob's account, a device for it, and what Bob's device says of it to the room, by the word of this root.
fn phone_of(bob: &Person, root: &RootSeed) -> (Identity, Control) {
    let mut rng = StdRng::seed_from_u64(2);
    let (own, _) = Identity::create("laptop", START, &mut rng).unwrap();
    assert_eq!(AccountId(own.inception().account()), account(bob));
    let phone = Identity::add_device(&own, "phone", 2, START, &mut rng).unwrap();
    let mut papers = NewDevice::sign(phone.signing_key(), phone.entrant());
    let device = phone.signing_key().public();
    papers.cert = DeviceCert::issue(&root.root_key(0), account(bob).0, &device, "phone", START, 2).unwrap();
    (phone, Control::AccountUpdate(AccountUpdate { devices: vec![papers], revokes: Vec::new() }))
}

fn roots() -> (RootSeed, RootSeed) {
    let root = |seed| Identity::create("laptop", START, &mut StdRng::seed_from_u64(seed)).unwrap().0;
    (root(2), root(9))
}

#[test]
fn devices_come_and_go_by_the_word_of_their_account_alone() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    let (own, other) = roots();
    let (_, forged) = phone_of(&bob, &other);
    let event = forge(&bob, &forged, |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::Papers));
    let (phone, true_papers) = phone_of(&bob, &own);
    let event = forge(&bob, &true_papers, |_| ());
    assert_eq!(why(&mut alice, event), None);
    bob.sync_from(&alice);
    // By another root; of a device that is Carol's, with the word of Bob's account.
    let revoke = |root: &RootSeed, device: DeviceId| {
        let fence = bob.room.revoke_fence(&device);
        let revoke = RevokeFence::revoke(&root.root_key(0), account(&bob), bob.room.id(), fence).unwrap();
        Control::AccountUpdate(AccountUpdate { devices: Vec::new(), revokes: vec![revoke] })
    };
    let carols = carol.room.me().device();
    let cases = [
        (revoke(&other, phone.device()), Some(Invalid::Papers)),
        (revoke(&own, carols), Some(Invalid::Reference)),
        (revoke(&own, phone.device()), None),
    ];
    for (control, expected) in cases {
        let event = forge(&bob, &control, |_| ());
        assert_eq!(why(&mut alice, event), expected);
    }
    assert!(alice.room.members().iter().any(|member| member.devices.iter().any(|(device, _)| *device == carols)));
}

#[test]
fn nobody_is_said_to_contradict_himself_by_what_he_did_not_sign() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let carol = Person::join(3, &link, &mut alice);
    bob.sync_from(&alice);
    // Two events of one number of Carol's control log; the second is signed by Bob.
    let state = |text: &str| Control::State(State { auth: auth(&carol), writes: vec![(1, text.as_bytes().to_vec())] });
    let (one, other) = (forge(&carol, &state("one"), |_| ()), forge(&carol, &state("other"), |_| ()));
    let header = Header::Control(other.control().unwrap().clone());
    let signer = bob.room.me().signing_key();
    let forged = Event::sign(&bob.room.id(), header, other.payload(), signer).unwrap();
    let room = alice.room.id();
    let signed = |event: &Event| SignedHeader { header: event.header_bytes().to_vec(), sig: event.signature() };
    assert!(EquivProof::new(&room, &one, &forged).is_none());
    let (first, second) = if one.id() < forged.id() { (&one, &forged) } else { (&forged, &one) };
    let lie = EquivProof { first: signed(first), second: signed(second) };
    let event = forge(&bob, &Control::EquivProof(Box::new(lie)), |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::Papers));
    let proof = EquivProof::new(&room, &one, &other).unwrap();
    let event = forge(&bob, &Control::EquivProof(Box::new(proof)), |_| ());
    assert_eq!(why(&mut alice, event), None);
}

#[test]
fn nobody_comes_in_with_the_device_of_another_account() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let carol = Person::join(3, &link, &mut alice);
    // Mallory certifies Carol's device, and Carol's device signs the request: all papers hold.
    let mut rng = StdRng::seed_from_u64(4);
    let (root, mallory) = Identity::create("laptop", START, &mut rng).unwrap();
    let device = carol.room.me().signing_key();
    let mut entrant = mallory.entrant();
    entrant.cert =
        DeviceCert::issue(&root.root_key(0), mallory.account().0, &device.public(), "mine", START, 1).unwrap();
    entrant.leaf = carol.room.me().entrant().leaf;
    let join = JoinRequest::sign(&alice.room.id(), &link.keys().sign, device, entrant, [7; 16]);
    assert!(join.verify(&alice.room.id()).is_ok());
    let event = forge(&alice, &Control::Admit(Box::new(admit(&alice, &link, join))), |_| ());
    assert_eq!(why(&mut alice, event), Some(Invalid::KeyTaken));
    assert_eq!(alice.room.account_of(&carol.room.me().device()), Some(account(&carol)));
}

#[test]
fn a_device_that_its_account_revoked_comes_in_no_more_by_any_invite() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let phone = revoked_phone(&mut bob);
    assert_eq!(phone.account(), account(&bob));
    alice.sync_from(&bob);
    alice.maintain();
    let asks = |me: &Identity| Person::request(&alice.room.id(), me, &link);
    let again = Control::Admit(Box::new(admit(&alice, &link, asks(&phone))));
    let other = Control::Admit(Box::new(admit(&alice, &link, asks(&identity(5)))));
    let (again, other) = (forge(&alice, &again, |_| ()), forge(&alice, &other, |_| ()));
    assert_eq!(why(&mut alice, again), Some(Invalid::Revoked));
    assert_eq!(why(&mut alice, other), None, "for nothing else");
}
