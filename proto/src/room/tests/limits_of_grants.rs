//! Rules about who may do what, each against a member who has all that the rule wants but one thing.

use parlor_crypto::account::DeviceCert;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::keys::many;
use super::rules::{admit, auth, forge, why};
use super::support::{Person, START, identity, new_invite};
use crate::control::{
    AccountUpdate, Control, GrantRole, History, Invite, InviteBounds, InviteHistory, JoinRequest, MessageFate,
    NewDevice, Permission, Permissions, Power, Remove, RevokeFence, Role, Sponsor, Target, Unban,
};
use crate::identity::Identity;
use crate::ids::AccountId;
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
    let post = Permissions::NONE.with(Permission::Post);
    for (perms, expected) in [(post, Some(Invalid::Permission)), (post.with(permission), None)] {
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
    let mut rng = StdRng::seed_from_u64(2);
    let (seed, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&seed, "phone", 2, START, &mut rng).unwrap();
    assert_eq!(phone.account(), account(&bob));
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = bob.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, bob.now).unwrap();
    bob.keep(added);
    let fence = bob.room.revoke_fence(&phone.device());
    let revoke = RevokeFence::revoke(&seed.root_key(0), phone.account(), bob.room.id(), fence).unwrap();
    let revokes = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
    let revoked = bob.room.update_account(revokes, bob.now).unwrap();
    bob.keep(revoked);
    alice.sync_from(&bob);
    alice.maintain();
    let asks = |me: &Identity| Person::request(&alice.room.id(), me, &link);
    let again = Control::Admit(Box::new(admit(&alice, &link, asks(&phone))));
    let other = Control::Admit(Box::new(admit(&alice, &link, asks(&identity(5)))));
    let (again, other) = (forge(&alice, &again, |_| ()), forge(&alice, &other, |_| ()));
    assert_eq!(why(&mut alice, again), Some(Invalid::Revoked));
    assert_eq!(why(&mut alice, other), None, "for nothing else");
}
