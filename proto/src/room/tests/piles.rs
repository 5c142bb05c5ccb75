//! What somebody is given many times over, or has done to him many times over, keeps nobody from taking it away again.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::attacks::remove;
use super::govern::{account, removal};
use super::rules::{admit, auth, forge};
use super::support::{Person, START, identity, many};
use super::voided::is_in;
use crate::control::{
    AccountUpdate, Control, DeviceFence, History, InviteRevoke, JoinRequest, MessageFate, NewDevice, Remove,
    RevokeFence, Role, Target, Unban,
};
use crate::identity::Identity;
use crate::limits::MAX_SAME;
use crate::room::{Delegation, JoinRefusal, Removal};

/// A plain member with an open link lets herself in again and again by it, as a doctored node may.
fn piling_up(alice: &mut Person, times: usize) -> Person {
    let link = alice.invite(&many(Role::Member));
    let mut mallory = Person::join(2, &link, alice);
    let (id, me) = (mallory.room.id(), mallory.room.me().clone());
    for n in 0..times {
        let nonce = [u8::try_from(n).unwrap(); 16];
        let join = JoinRequest::sign(&id, &link.keys().sign, me.signing_key(), me.entrant(), nonce);
        let event = forge(&mallory, &Control::Admit(Box::new(admit(&mallory, &link, join))), |_| ());
        assert!(mallory.receive(vec![event]).rejected.is_empty());
    }
    alice.sync_from(&mallory);
    mallory
}

#[test]
fn who_lets_herself_in_many_times_is_muted_and_removed_all_the_same() {
    for times in [MAX_SAME - 2, MAX_SAME] {
        let mut alice = Person::founder(1, History::Full);
        let mallory = piling_up(&mut alice, times);
        let muted = alice.room.grant_role(&account(&mallory), Role::Observer, alice.now).unwrap();
        alice.keep(muted);
        assert_eq!(alice.room.member(&account(&mallory)).unwrap().role, Role::Observer);
        remove(&mut alice, &mallory);
        assert!(!is_in(&alice, &mallory));
        let banned = Removal { ban: true, ..removal(&mallory) };
        let banned = alice.room.remove(&[banned], alice.now, &mut alice.rng).unwrap();
        alice.keep(banned);
        alice.restart();
        assert!(!is_in(&alice, &mallory) && alice.room.banned().len() == 1);
    }
}

#[test]
fn who_is_removed_and_taken_back_often_is_removed_once_more() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    for _ in 0..=MAX_SAME {
        remove(&mut alice, &bob);
        assert!(!is_in(&alice, &bob));
        let back = alice.room.grant_role(&account(&bob), Role::Member, alice.now).unwrap();
        alice.keep(back);
        assert!(is_in(&alice, &bob));
    }
}

/// Alice with a laptop that is stolen, her phone, and Bob.
struct Stolen {
    laptop: Person,
    phone: Person,
    bob: Person,
    root: parlor_crypto::account::RootSeed,
}

fn stolen() -> Stolen {
    let mut laptop = Person::founder(1, History::Full);
    let link = laptop.invite(&many(Role::Member));
    let mut rng = StdRng::seed_from_u64(1);
    let (root, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&root, "phone", 2, START, &mut rng).unwrap();
    let devices = vec![NewDevice::sign(phone.signing_key(), phone.entrant())];
    let added = laptop.room.update_account(AccountUpdate { devices, revokes: Vec::new() }, laptop.now).unwrap();
    laptop.keep(added);
    let mut bob = Person::join(2, &link, &mut laptop);
    bob.sync(&mut laptop);
    let phone = laptop.restored_as(phone);
    Stolen { laptop, phone, bob, root }
}

impl Stolen {
    /// The thief writes, and the phone revokes the laptop as it was before, and hears of it afterwards.
    fn thief_writes(&mut self, controls: &[Control]) {
        let device = self.laptop.room.me().device();
        let fence = self.phone.room.revoke_fence(&device);
        for control in controls {
            let event = forge(&self.laptop, control, |_| ());
            assert!(self.laptop.receive(vec![event]).rejected.is_empty());
        }
        self.revoke(fence);
        self.phone.sync_from(&self.laptop);
    }

    fn revoke(&mut self, fence: DeviceFence) {
        let phone = &mut self.phone;
        let revoke =
            RevokeFence::revoke(&self.root.root_key(0), phone.room.me().account(), phone.room.id(), fence).unwrap();
        let update = AccountUpdate { devices: Vec::new(), revokes: vec![revoke] };
        let revoked = phone.room.update_account(update, phone.now).unwrap();
        phone.keep(revoked);
        phone.maintain();
    }
}

#[test]
fn a_stolen_device_uses_up_nothing_of_what_the_others_may_do() {
    let mut story = stolen();
    let target = Target::Account(account(&story.bob));
    let removal = Remove {
        auth: auth(&story.laptop),
        target,
        ban: false,
        cascade: false,
        messages: MessageFate::Fenced,
        fence: Vec::new(),
    };
    story.thief_writes(&vec![Control::Remove(removal); MAX_SAME]);
    let Stolen { mut phone, bob, .. } = story;
    assert!(is_in(&phone, &bob), "what the thief did counts for nothing");
    remove(&mut phone, &bob);
    assert!(!is_in(&phone, &bob));
}

#[test]
fn what_a_stolen_device_closed_for_nothing_can_be_closed_still() {
    let mut story = stolen();
    let invite = story.phone.room.invites().into_iter().next().unwrap().id;
    let banned = Removal { ban: true, ..removal(&story.bob) };
    let banned = story.laptop.room.remove(&[banned], story.laptop.now, &mut story.laptop.rng).unwrap();
    story.laptop.keep(banned);
    story.phone.sync_from(&story.laptop);
    let ban = story.phone.room.banned()[0].removal;
    let auth = auth(&story.laptop);
    story.thief_writes(&[
        Control::InviteRevoke(InviteRevoke { auth, invite }),
        Control::Unban(Unban { auth, removal: ban }),
    ]);
    let Stolen { mut phone, bob, .. } = story;
    assert_eq!(phone.room.banned().len(), 1);
    let lifted = phone.room.unban(&account(&bob), phone.now).unwrap();
    phone.keep(lifted);
    assert_eq!(phone.room.banned().len(), 0);
    let closed = phone.room.revoke(&invite, phone.now, &mut phone.rng).unwrap();
    assert!(closed.events().next().is_some(), "it is open");
    phone.keep(closed);
    assert!(phone.room.invites().iter().all(|open| open.id != invite || open.revoked));
}

#[test]
fn who_was_given_another_role_and_left_is_told_so_at_the_door_of_an_old_link_and_gets_no_keys() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let mut bob = Person::join(2, &link, &mut alice);
    let mut carol = Person::join(3, &link, &mut alice);
    let right = Delegation { depth: 1, until_ms: None, uses: None };
    let given = alice.room.delegate(&account(&bob), Role::Member, right, alice.now).unwrap();
    alice.keep(given);
    bob.sync(&mut alice);
    let left = bob.room.leave(bob.now).unwrap();
    bob.keep(left);
    alice.sync_from(&bob);
    alice.maintain();
    carol.sync_from(&alice);
    let (id, me) = (carol.room.id(), identity(2));
    let join = |nonce| JoinRequest::sign(&id, &link.keys().sign, me.signing_key(), me.entrant(), [nonce; 16]);
    let before = carol.room.n_control();
    let told = carol.room.admit(join(9), false, carol.now, &mut carol.rng);
    assert_eq!(told.err(), Some(JoinRefusal::RemovedSince));
    assert_eq!(carol.room.n_control(), before);
    // By a link that knows of it he comes in.
    let new = alice.invite(&many(Role::Member));
    assert!(alice.admit(&me, &new).unwrap().welcome.is_some());
}

#[test]
fn two_devices_of_one_account_that_change_a_role_apart_put_nobody_out() {
    let Stolen { mut laptop, mut phone, bob, .. } = stolen();
    let right = Delegation { depth: 1, until_ms: None, uses: None };
    for device in [&mut laptop, &mut phone] {
        let given = device.room.delegate(&account(&bob), Role::Member, right, device.now).unwrap();
        device.keep(given);
    }
    laptop.sync(&mut phone);
    assert!(is_in(&laptop, &bob) && is_in(&phone, &bob));
}

#[test]
fn another_device_of_who_has_another_role_comes_in_by_the_link_he_came_by() {
    let mut alice = Person::founder(1, History::Full);
    let link = alice.invite(&many(Role::Member));
    let bob = Person::join(2, &link, &mut alice);
    let right = Delegation { depth: 1, until_ms: None, uses: None };
    let given = alice.room.delegate(&account(&bob), Role::Member, right, alice.now).unwrap();
    alice.keep(given);
    let mut rng = StdRng::seed_from_u64(2);
    let (root, _) = Identity::create("laptop", START, &mut rng).unwrap();
    let phone = Identity::add_device(&root, "phone", 2, START, &mut rng).unwrap();
    assert!(alice.admit(&phone, &link).unwrap().welcome.is_some());
}
