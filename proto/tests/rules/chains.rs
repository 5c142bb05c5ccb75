//! Chains of delegation: whatever anybody tries to hand on, no link of a chain is wider than the one above it.

use parlor_proto::EpochId;
use parlor_proto::control::{
    Control, GrantRole, Invite, InviteBounds, InviteHistory, Permission, Permissions, Power, Role,
};
use parlor_proto::dag::{Dag, GrantIdx};
use parlor_proto::resolve::resolve;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::people::{PEOPLE, person};
use crate::world::{FOUNDER, How, Who, World, world};

/// Histories of greed, each of some sixty attempts.
const GREEDY: u64 = 60;

impl World {
    /// Bounds of whatever width, often those of the giver.
    fn any_bounds(&mut self, giver: GrantIdx) -> InviteBounds {
        let theirs = self.dag.grants()[giver].invites;
        if self.rng.random_ratio(2, 3) {
            return theirs;
        }
        let history = match self.rng.random_range(0..6) {
            0 => InviteHistory::None,
            1 => InviteHistory::Since(self.any_epoch()),
            2 => InviteHistory::Full,
            _ => theirs.history,
        };
        let until_ms = if self.rng.random() { theirs.until_ms } else { self.rng.random_range(1..2_000_000) };
        let uses = if self.rng.random() { theirs.uses } else { self.rng.random_range(1..5) };
        InviteBounds { until_ms, uses, history }
    }

    fn any_epoch(&mut self) -> EpochId {
        let rotates = self.dag.kinds().rotates.clone();
        let at = *self.pick(&rotates);
        EpochId::of(&self.id(at))
    }

    /// Somebody tries to hand on rights, with no regard to what is his.
    fn greed(&mut self) {
        let everybody: Vec<Who> = (0..PEOPLE).map(|n| (n, 0)).filter(|who| self.grant_of(*who).is_some()).collect();
        // Often who came last, so that chains grow long.
        let who = if self.rng.random() { everybody[everybody.len() - 1] } else { *self.pick(&everybody) };
        let giver = self.grant_of(who).unwrap();
        let auth = self.id(self.dag.grants()[giver].op);
        let perms = match self.rng.random_range(0..3) {
            0 => self.dag.grants()[giver].perms,
            1 => Permissions::NONE.with(Permission::Post).with(Permission::Invite),
            _ => Permissions(self.rng.random_range(0..64)),
        };
        let theirs = &self.dag.grants()[giver];
        let (power, below) = (theirs.power, theirs.max_depth.saturating_sub(1));
        let power = if self.rng.random_ratio(1, 4) { Power(self.rng.random_range(0..5)) } else { power };
        let max_depth = if self.rng.random_ratio(1, 4) { self.rng.random_range(0..6) } else { below };
        if self.rng.random_ratio(1, 3) {
            let subject = person(self.pick(&everybody).0).account();
            let invites = self.any_bounds(giver);
            let grant = GrantRole { auth, subject, power, perms, max_depth, invites };
            self.write(who, &Control::Grant(grant), How::default());
        } else {
            let says = self.any_bounds(giver);
            let invite = Invite {
                power,
                perms,
                max_depth,
                expires_ms: says.until_ms,
                max_uses: says.uses.max(1),
                history: says.history,
                onward: self.any_bounds(giver),
                ..self.invitation(giver, Role::Member, 1)
            };
            let Some(at) = self.write(who, &Control::Invite(invite), How::default()) else { return };
            if let Some(newcomer) = (0..PEOPLE).find(|n| self.dag.devices_of(&person(*n).account()).is_empty()) {
                self.admit(FOUNDER, at, (newcomer, 0));
            }
        }
        self.tell_all();
    }
}

/// Whether an epoch is `bound` or a later one.
fn since(dag: &Dag, epoch: &EpochId, bound: &EpochId) -> bool {
    let order = |epoch: &EpochId| {
        dag.epoch(epoch).map(|(at, _)| (dag.node(at).lamport, std::cmp::Reverse(dag.node(at).event.id())))
    };
    epoch == bound || order(epoch) >= order(bound)
}

#[test]
fn no_link_of_a_chain_of_delegation_is_wider_than_the_one_above_it() {
    let mut longest = 0;
    let mut handed_on = 0;
    for seed in 0..GREEDY {
        let mut world = World::founded(StdRng::seed_from_u64(seed), 1);
        world.with(&[Role::Admin, Role::Moderator, Role::Member]);
        (0..60).for_each(|_| world.greed());
        let dag = &world.dag;
        for g in dag.grants() {
            let Some(giver) = g.giver.map(|giver| &dag.grants()[giver]) else { continue };
            assert!(g.power >= giver.power && g.perms.within(giver.perms), "seed {seed}: more rights");
            assert!(g.max_depth < giver.max_depth, "seed {seed}: deeper");
            assert!(g.invites.within(&giver.invites, |a, b| since(dag, a, b)), "seed {seed}: wider invites");
            longest = longest.max(g.depth);
            handed_on += usize::from(g.perms.has(Permission::Invite));
        }
        for at in &dag.kinds().invites {
            let Control::Invite(invite) = &dag.node(*at).control else { unreachable!() };
            let giver = &dag.grants()[dag.node(*at).auth.unwrap()];
            let says = InviteBounds { until_ms: invite.expires_ms, uses: invite.max_uses, history: invite.history };
            assert!(says.within(&giver.invites, |a, b| since(dag, a, b)), "seed {seed}: an invite beyond its right");
            assert!(giver.perms.has(Permission::Invite) && giver.max_depth > 0, "seed {seed}: no right at all");
        }
    }
    assert!(longest >= 4, "chains were short: {longest}");
    assert!(handed_on > 200, "the right was hardly handed on: {handed_on}");
}

/// A member who was given the right to invite by an admin, and who came by it in turn.
fn chain(world: &mut World, depth: u8) -> (Who, Vec<Who>) {
    let [admin, bob] = world.with(&[Role::Admin, Role::Member])[..] else { unreachable!() };
    let auth = world.grant_of(admin).unwrap();
    let perms = Role::Member.permissions(parlor_proto::control::RoomKind::Group).with(Permission::Invite);
    let old = world.grant_of(bob).unwrap();
    let grant = GrantRole { perms, max_depth: depth, ..world.grant_role(auth, person(bob.0).account(), Role::Member) };
    world.write(admin, &Control::Grant(grant), How::default()).unwrap();
    let view = world.view(admin);
    let target = parlor_proto::control::Target::Grant(world.id(world.dag.grants()[old].op), person(bob.0).account());
    let remove = world.removal(auth, target, false, false, &view);
    world.write(admin, &Control::Remove(remove), How::default()).unwrap();
    world.tell_all();
    let mut came = vec![bob];
    for next in 10.. {
        let who = *came.last().unwrap();
        let mut giver = world.dag.grants_of(&person(who.0).account()).iter().copied();
        let giver = giver.rfind(|g| world.dag.grants()[*g].perms.has(Permission::Invite));
        let Some(giver) = giver else { break };
        let below = world.dag.grants()[giver].max_depth.saturating_sub(1);
        let perms = if below > 0 { perms } else { Role::Member.permissions(parlor_proto::control::RoomKind::Group) };
        let invite = Invite { perms, max_depth: below, ..world.invitation(giver, Role::Member, 1) };
        let Some(at) = world.write(who, &Control::Invite(invite), How::default()) else { break };
        world.tell_all();
        world.admit(FOUNDER, at, (next, 0)).unwrap();
        world.tell_all();
        came.push((next, 0));
    }
    (admin, came)
}

#[test]
fn members_who_may_invite_hand_the_right_on_as_deep_as_it_was_given_and_no_deeper() {
    for depth in 1..4 {
        let mut world = world(1);
        let (_, came) = chain(&mut world, depth);
        assert_eq!(came.len(), usize::from(depth) + 1, "somebody for each step");
    }
}

#[test]
fn with_a_cascade_all_that_was_handed_on_ends_and_without_it_open_invites_alone() {
    for cascade in [true, false] {
        let mut world = world(1);
        let (admin, came) = chain(&mut world, 3);
        // The last but one has an invite open.
        let inviter = came[came.len() - 2];
        let giver = resolve(&world.dag, &world.everything).members()[&person(inviter.0).account()];
        let invite = Invite { max_depth: 0, ..world.invitation(giver, Role::Member, 5) };
        let open = world.write(inviter, &Control::Invite(invite), How::default()).unwrap();
        world.tell_all();
        world.remove(FOUNDER, admin, false, cascade).unwrap();
        world.tell_all();
        assert!(!world.is_member(admin));
        assert!(came.iter().all(|who| world.is_member(*who) != cascade), "cascade: {cascade}");
        let resolved = resolve(&world.dag, &world.everything);
        assert_eq!(resolved.is_closed(&world.dag, open), cascade, "his invites are dead as soon as he is out");
        let newcomer = (18, 0);
        world.admit(FOUNDER, open, newcomer);
        assert_eq!(world.is_member(newcomer), !cascade);
    }
}
