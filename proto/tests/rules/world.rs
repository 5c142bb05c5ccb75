//! A random history: who does what, knowing what.

use std::collections::{BTreeMap, BTreeSet};

use parlor_proto::control::{
    AccountUpdate, Admit, Control, DeviceFence, GrantRole, History, Invite, InviteRevoke, Leave, LogPosition,
    MessageFate, Policy, PolicyChange, Remove, RevokeFence, Role, RoomKind, Rotate, RotateReason, Rows, Sponsor, State,
    Target, Unban,
};
use parlor_proto::dag::{Dag, GrantIdx, Insert, NodeIdx, Set};
use parlor_proto::event::{ControlHeader, Event, Header};
use parlor_proto::resolve::resolve;
use parlor_proto::{AccountId, DeviceId, EpochId, EventId, RoomId, limits};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::people::{DEVICES, PEOPLE, person};

/// A device: person and number.
pub(crate) type Who = (usize, usize);

/// Whose room it is.
pub(crate) const FOUNDER: Who = (0, 0);

/// A room with so many owners, the same each time.
pub(crate) fn world(owners: usize) -> World {
    World::founded(StdRng::seed_from_u64(7), owners)
}

/// Writing as if everything since `view` had not been heard of.
pub(crate) fn unaware(view: &Set) -> How {
    How { view: Some(view.clone()), after: None }
}

pub(crate) struct World {
    pub rng: StdRng,
    pub dag: Dag,
    pub everything: Set,
    /// All valid events in the order in which they were written.
    pub events: Vec<Event>,
    /// What each device knows.
    knows: BTreeMap<Who, Set>,
    /// People whose nodes are doctored.
    pub doctored: BTreeSet<usize>,
    epoch: EpochId,
    now: u64,
}

/// How an event is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    /// Knowing only this; `None`: all that the device knows.
    pub view: Option<Set>,
    /// After this event of the device's own log; `None`: after its last.
    pub after: Option<NodeIdx>,
}

impl World {
    /// A room with one or two owners and an epoch.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let owners = rng.random_range(1..=2);
        Self::founded(rng, owners)
    }

    pub(crate) fn founded(rng: StdRng, owners: usize) -> Self {
        let genesis = Control::Genesis(parlor_proto::control::Genesis {
            rules: limits::RULES,
            suite: limits::SUITE,
            kind: RoomKind::Group,
            owners: (0..owners).map(|n| person(n).entrant(0)).collect(),
            policy: Policy { history: History::Full },
            nonce: [0; 32],
        });
        let header = ControlHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind: 1,
            device: person(0).device(0),
            seq: 1,
            prev: EventId::ZERO,
            parents: Vec::new(),
            lamport: 1,
            ts_ms: 1,
            payload_len: 0,
            payload_hash: [0; 32],
        };
        let event = sign(&RoomId([0; 32]), header, &genesis, (0, 0));
        let mut dag = Dag::new(RoomId(event.id().0));
        assert_eq!(dag.insert_stored(&event), Insert::New(0));
        let mut world = Self {
            rng,
            dag,
            everything: Set::below(1),
            events: vec![event],
            knows: BTreeMap::new(),
            doctored: BTreeSet::new(),
            epoch: EpochId([0; 16]),
            now: 1_000,
        };
        (0..owners).for_each(|n| {
            world.knows.insert((n, 0), Set::below(1));
        });
        let auth = world.grant_of((0, 0)).unwrap();
        let rotate = Rotate {
            auth: world.id(world.dag.grants()[auth].op),
            reason: RotateReason::NoSafeEpoch,
            parents: Vec::new(),
            commit: [0; 32],
            share_history: History::Full,
            member_root: [0; 32],
            n_rows: 0,
            rows: Rows::Inline(Vec::new()),
        };
        let at = world.write((0, 0), &Control::Rotate(rotate), How::default()).unwrap();
        world.epoch = EpochId::of(&world.id(at));
        world.tell_all();
        world
    }

    /// A founder with many who came by his invites, in the given roles, all knowing everything. Answers their numbers.
    pub(crate) fn with(&mut self, roles: &[Role]) -> Vec<Who> {
        let mut came = Vec::new();
        for role in roles {
            let n = self.next_person();
            let invite = self.invite((0, 0), *role, u32::MAX).unwrap();
            self.admit((0, 0), invite, (n, 0)).unwrap();
            self.tell_all();
            came.push((n, 0));
        }
        came
    }

    fn next_person(&self) -> usize {
        (0..PEOPLE).find(|n| self.dag.devices_of(&person(*n).account()).is_empty()).unwrap()
    }

    /// Plays a history of random length.
    pub(crate) fn play(&mut self) {
        let roles = [Role::Admin, Role::Admin, Role::Moderator, Role::Member, Role::Owner, Role::Observer];
        let first: Vec<Role> = (0..self.rng.random_range(2..6)).map(|_| *self.pick(&roles)).collect();
        self.with(&first);
        for n in 1..PEOPLE {
            if self.rng.random_ratio(1, 3) {
                self.doctored.insert(n);
            }
        }
        let steps = self.rng.random_range(25..70);
        for _ in 0..steps {
            self.step();
        }
    }

    fn step(&mut self) {
        let devices: Vec<Who> = self.knows.keys().copied().collect();
        let who = *self.pick(&devices);
        if self.rng.random_ratio(1, 4) {
            let other = *self.pick(&devices);
            self.tell(other, who);
            return;
        }
        let how = if self.doctored.contains(&who.0) && self.rng.random_ratio(1, 3) {
            self.doctor(who)
        } else {
            How::default()
        };
        if let Some(control) = self.idea(who, how.view.as_ref()) {
            self.write(who, &control, how);
        }
    }

    /// A way to write that no honest node takes: knowing less than was known, or beside an event of one's own log.
    pub(crate) fn doctor(&mut self, who: Who) -> How {
        let known = self.knows[&who].clone();
        let own: Vec<NodeIdx> = self.log(who).into_iter().filter(|at| known.has(*at)).collect();
        let mut how = How::default();
        if !own.is_empty() && self.rng.random_ratio(1, 2) {
            how.after = Some(*self.pick(&own));
        }
        let all: Vec<NodeIdx> = known.iter().collect();
        let head = *self.pick(&all);
        let mut view = self.dag.past_of([head]);
        view.put_all(&self.dag.past_of(how.after.or(own.last().copied())));
        how.view = Some(view);
        how
    }

    /// Something to do for a device that knows `view`.
    pub(crate) fn idea(&mut self, who: Who, view: Option<&Set>) -> Option<Control> {
        let view = view.unwrap_or(&self.knows[&who]).clone();
        let account = person(who.0).account();
        let mine: Vec<GrantIdx> =
            self.dag.grants_of(&account).iter().copied().filter(|g| view.has(self.dag.grants()[*g].op)).collect();
        // Mostly the strongest, as honest nodes do.
        let auth = if mine.is_empty() {
            return None;
        } else if self.rng.random_ratio(4, 5) {
            *mine.iter().min_by_key(|g| self.dag.place(**g)).unwrap()
        } else {
            *self.pick(&mine)
        };
        let auth_id = self.id(self.dag.grants()[auth].op);
        let accounts: Vec<AccountId> = (0..PEOPLE)
            .map(|n| person(n).account())
            .filter(|a| self.dag.devices_of(a).iter().any(|no| self.dag.account_in(*no, &view).is_some()))
            .collect();
        let invites: Vec<NodeIdx> = self.dag.kinds().invites.iter().copied().filter(|at| view.has(*at)).collect();
        Some(match self.rng.random_range(0..100) {
            0..14 => {
                let role = *self.pick(&[Role::Admin, Role::Moderator, Role::Member, Role::Member, Role::Observer]);
                let uses = *self.pick(&[1, 1, 1, 2, u32::MAX]);
                Control::Invite(self.invitation(auth, role, uses))
            }
            14..38 if !invites.is_empty() => {
                // Mostly a late one, so that several race for its uses.
                let late = &invites[invites.len().saturating_sub(2)..];
                let invite = if self.rng.random_ratio(2, 3) { *self.pick(late) } else { *self.pick(&invites) };
                let n = self.rng.random_range(0..PEOPLE);
                let device = self.rng.random_range(0..DEVICES);
                Control::Admit(Box::new(self.admission(auth, invite, (n, device))?))
            }
            38..50 => {
                let role = *self.pick(&[Role::Owner, Role::Admin, Role::Moderator, Role::Member, Role::Observer]);
                let gone = self.removed_in(&view);
                let again = !gone.is_empty() && self.rng.random_ratio(1, 2);
                let subject = if again { *self.pick(&gone) } else { *self.pick(&accounts) };
                Control::Grant(self.grant_role(auth, subject, role))
            }
            50..74 => {
                let target = self.target(&view, &accounts, &invites)?;
                let cascade = self.rng.random_ratio(1, 4);
                let ban = self.rng.random_ratio(1, 3) && matches!(target, Target::Account(_));
                Control::Remove(self.removal(auth, target, ban, cascade, &view))
            }
            74..78 => Control::Leave(Leave { auth: auth_id, fence: Vec::new() }),
            78..82 if !invites.is_empty() => {
                let invite = *self.pick(&invites);
                Control::InviteRevoke(InviteRevoke { auth: auth_id, invite: self.id(invite) })
            }
            82..86 => {
                let bans: Vec<EventId> = self
                    .dag
                    .nodes()
                    .iter()
                    .enumerate()
                    .filter(|(at, node)| view.has(*at) && matches!(&node.control, Control::Remove(r) if r.ban))
                    .map(|(_, node)| node.event.id())
                    .collect();
                if bans.is_empty() {
                    return None;
                }
                Control::Unban(Unban { auth: auth_id, removal: *self.pick(&bans) })
            }
            86..92 => Control::AccountUpdate(self.update(who, &view)),
            92..98 => {
                let key = self.rng.random_range(1..4);
                let value = vec![self.rng.random_range(0..200)];
                Control::State(State { auth: auth_id, writes: vec![(key, value)] })
            }
            _ => {
                let history = *self.pick(&[History::None, History::Full]);
                Control::Policy(PolicyChange { auth: auth_id, policy: Policy { history } })
            }
        })
    }

    /// Those whom somebody removed, as far as is known in `view`.
    fn removed_in(&self, view: &Set) -> Vec<AccountId> {
        let removes = self.dag.kinds().account_removes.iter();
        removes.filter(|(_, ops)| ops.iter().any(|op| view.has(*op))).map(|(account, _)| *account).collect()
    }

    fn target(&mut self, view: &Set, accounts: &[AccountId], invites: &[NodeIdx]) -> Option<Target> {
        let grants: Vec<GrantIdx> =
            (0..self.dag.grants().len()).filter(|g| view.has(self.dag.grants()[*g].op)).collect();
        Some(match self.rng.random_range(0..10) {
            0 if !invites.is_empty() => {
                let invite = *self.pick(invites);
                Target::Invite(self.id(invite))
            }
            1..5 => {
                let g = *self.pick(&grants);
                Target::Grant(self.id(self.dag.grants()[g].op), self.dag.grants()[g].subject)
            }
            _ => Target::Account(*self.pick(accounts)),
        })
    }

    pub(crate) fn invitation(&mut self, auth: GrantIdx, role: Role, max_uses: u32) -> Invite {
        let giver = &self.dag.grants()[auth];
        let (below, invites) = (giver.max_depth.saturating_sub(1), giver.invites);
        let perms = role.permissions(RoomKind::Group);
        Invite {
            auth: self.id(self.dag.grants()[auth].op),
            invite_pk: self.rng.random(),
            box_pk: [0; 32],
            door: [0; 32],
            power: role.power(),
            perms,
            not_before_ms: 0,
            expires_ms: invites.until_ms,
            max_uses: max_uses.min(invites.uses),
            approval: false,
            history: invites.history,
            sponsor: Sponsor::AnyMember,
            max_depth: role.max_depth().min(below),
            onward: invites,
        }
    }

    pub(crate) fn admission(&self, auth: GrantIdx, invite: NodeIdx, who: Who) -> Option<Admit> {
        let Control::Invite(made) = &self.dag.node(invite).control else { return None };
        Some(Admit {
            auth: self.id(self.dag.grants()[auth].op),
            invite: self.id(invite),
            join: person(who.0).request(who.1, made.invite_pk),
            epoch: self.epoch,
            slice: 0,
            slice_commit: [0; 32],
        })
    }

    pub(crate) fn grant_role(&self, auth: GrantIdx, subject: AccountId, role: Role) -> GrantRole {
        let grant = &self.dag.grants()[auth];
        GrantRole {
            auth: self.id(grant.op),
            subject,
            power: role.power(),
            perms: role.permissions(RoomKind::Group),
            max_depth: role.max_depth().min(grant.max_depth.saturating_sub(1)),
            invites: grant.invites,
        }
    }

    /// A removal with the fence that an honest node makes, or a narrower one.
    pub(crate) fn removal(&mut self, auth: GrantIdx, target: Target, ban: bool, cascade: bool, view: &Set) -> Remove {
        let hit = if cascade { self.dag.subtree(&target) } else { self.dag.targets(&target).to_vec() };
        let hit: BTreeSet<AccountId> = hit.into_iter().map(|g| self.dag.grants()[g].subject).collect();
        let narrow = self.rng.random_ratio(1, 6);
        let mut fence = Vec::new();
        for no in hit.iter().flat_map(|account| self.dag.devices_of(account)) {
            let device = self.dag.devices()[*no].device;
            fence.push(self.fence(device, view, narrow));
        }
        fence.sort_unstable_by_key(|fence| fence.device);
        fence.dedup_by_key(|fence| fence.device);
        let auth = self.id(self.dag.grants()[auth].op);
        Remove { auth, target, ban, cascade, messages: MessageFate::Fenced, fence }
    }

    /// How far a device's control log is seen in `view`: of branches the longest, or some event of it.
    pub(crate) fn fence(&self, device: DeviceId, view: &Set, narrow: bool) -> DeviceFence {
        let log = self.dag.logs().get(&device).map_or(&[][..], Vec::as_slice);
        let mut seen: Vec<&Event> =
            log.iter().filter(|at| view.has(**at)).map(|at| &self.dag.node(*at).event).collect();
        seen.sort_by_key(|event| (event.seq(), std::cmp::Reverse(event.id())));
        let end = if narrow { seen.get(seen.len() / 2) } else { seen.last() };
        let control = end.map(|event| LogPosition { seq: event.seq(), id: event.id() });
        DeviceFence { device, control, message: None }
    }

    /// The account's devices change: one comes, or one goes.
    fn update(&mut self, who: Who, view: &Set) -> AccountUpdate {
        let me = person(who.0);
        let other = self.rng.random_range(0..DEVICES);
        if self.rng.random_ratio(1, 2) {
            return AccountUpdate { devices: vec![me.papers(other)], revokes: Vec::new() };
        }
        let narrow = self.rng.random_ratio(1, 3);
        let fence = self.fence(me.device(other), view, narrow);
        let revoke = RevokeFence::revoke(&me.root(), me.account(), self.dag.room(), fence).unwrap();
        AccountUpdate { devices: Vec::new(), revokes: vec![revoke] }
    }
}

impl World {
    pub(crate) fn id(&self, at: NodeIdx) -> EventId {
        self.dag.node(at).event.id()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.random_range(0..from.len())]
    }

    /// All events of a device.
    pub(crate) fn log(&self, who: Who) -> Vec<NodeIdx> {
        self.dag.logs().get(&person(who.0).device(who.1)).cloned().unwrap_or_default()
    }

    /// What a device knows.
    pub(crate) fn view(&self, who: Who) -> Set {
        self.knows[&who].clone()
    }

    /// The strongest grant of the device's account that it knows.
    pub(crate) fn grant_of(&self, who: Who) -> Option<GrantIdx> {
        let known = self.knows.get(&who)?;
        let mine = self.dag.grants_of(&person(who.0).account()).iter().copied();
        mine.filter(|g| known.has(self.dag.grants()[*g].op)).min_by_key(|g| self.dag.place(*g))
    }

    /// `who` learns all that `from` knows.
    pub(crate) fn tell(&mut self, who: Who, from: Who) {
        let theirs = self.knows[&from].clone();
        self.knows.entry(who).or_default().put_all(&theirs);
    }

    /// Everybody learns everything.
    pub(crate) fn tell_all(&mut self) {
        let all = Set::below(self.dag.len());
        self.knows.values_mut().for_each(|known| *known = all.clone());
    }

    /// Signs and inserts; `None` if the rules refuse it.
    pub(crate) fn write(&mut self, who: Who, control: &Control, how: How) -> Option<NodeIdx> {
        let device = person(who.0).device(who.1);
        let mut view = how.view.unwrap_or_else(|| self.knows[&who].clone());
        let prev = how.after.or_else(|| {
            let own = self.log(who).into_iter().filter(|at| view.has(*at));
            own.max_by_key(|at| self.dag.node(*at).event.seq())
        });
        if let Some(prev) = prev {
            view.put_all(&self.dag.past_of([prev]));
        }
        let parents = self.heads(&view, prev);
        let before = parents.iter().copied().chain(prev);
        let lamport = 1 + before.map(|at| self.dag.node(at).lamport).max()?;
        self.now += 1;
        let mut ids: Vec<EventId> = parents.into_iter().map(|at| self.id(at)).collect();
        ids.sort_unstable();
        let header = ControlHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind: control.kind(),
            device,
            seq: prev.map_or(1, |prev| self.dag.node(prev).event.seq() + 1),
            prev: prev.map_or(EventId::ZERO, |prev| self.id(prev)),
            parents: ids,
            lamport,
            ts_ms: self.now,
            payload_len: 0,
            payload_hash: [0; 32],
        };
        let event = sign(&self.dag.room(), header, control, who);
        let Insert::New(at) = self.dag.insert_stored(&event) else { return None };
        self.events.push(event);
        self.everything.put(at);
        let past = self.dag.past_of([at]);
        self.knows.entry(who).or_default().put_all(&past);
        match control {
            Control::Admit(admit) => self.arrive(admit.join.entrant.device(), &past),
            Control::AccountUpdate(update) => update.devices.iter().for_each(|new| self.arrive(new.device(), &past)),
            _ => {}
        }
        Some(at)
    }

    /// A newcomer knows what let it in.
    fn arrive(&mut self, device: DeviceId, past: &Set) {
        let all = (0..PEOPLE).flat_map(|n| (0..DEVICES).map(move |d| (n, d)));
        let who = all.into_iter().find(|(n, d)| person(*n).device(*d) == device).unwrap();
        self.knows.entry(who).or_default().put_all(past);
    }

    /// The events of a view that nothing in it is built on, without `prev`: at most eight of them.
    fn heads(&self, view: &Set, prev: Option<NodeIdx>) -> Vec<NodeIdx> {
        let mut heads: Vec<NodeIdx> = Vec::new();
        let mut covered = prev.map(|prev| self.dag.past_of([prev])).unwrap_or_default();
        let all: Vec<NodeIdx> = view.iter().collect();
        for at in all.into_iter().rev() {
            if !covered.has(at) {
                covered.put_all(&self.dag.past_of([at]));
                heads.push(at);
            }
        }
        heads.truncate(limits::MAX_PARENTS);
        heads
    }

    pub(crate) fn invite(&mut self, who: Who, role: Role, uses: u32) -> Option<NodeIdx> {
        let auth = self.grant_of(who)?;
        let invite = self.invitation(auth, role, uses);
        self.write(who, &Control::Invite(invite), How::default())
    }

    pub(crate) fn admit(&mut self, sponsor: Who, invite: NodeIdx, joiner: Who) -> Option<NodeIdx> {
        let admit = self.admission(self.grant_of(sponsor)?, invite, joiner)?;
        self.write(sponsor, &Control::Admit(Box::new(admit)), How::default())
    }

    pub(crate) fn give(&mut self, who: Who, subject: Who, role: Role) -> Option<NodeIdx> {
        let grant = self.grant_role(self.grant_of(who)?, person(subject.0).account(), role);
        self.write(who, &Control::Grant(grant), How::default())
    }

    /// Removes an account with the fence of an honest node.
    pub(crate) fn remove(&mut self, who: Who, whom: Who, ban: bool, cascade: bool) -> Option<NodeIdx> {
        self.remove_how(who, whom, ban, cascade, How::default())
    }

    pub(crate) fn remove_how(&mut self, who: Who, whom: Who, ban: bool, cascade: bool, how: How) -> Option<NodeIdx> {
        let target = Target::Account(person(whom.0).account());
        let view = how.view.clone().unwrap_or_else(|| self.view(who));
        let mut remove = self.removal(self.grant_of(who)?, target, ban, cascade, &view);
        for fence in &mut remove.fence {
            *fence = self.fence(fence.device, &view, false);
        }
        self.write(who, &Control::Remove(remove), how)
    }

    pub(crate) fn leave(&mut self, who: Who, how: How) -> Option<NodeIdx> {
        let auth = self.id(self.dag.grants()[self.grant_of(who)?].op);
        self.write(who, &Control::Leave(Leave { auth, fence: Vec::new() }), how)
    }

    /// Whether the person is a member by all events.
    pub(crate) fn is_member(&self, who: Who) -> bool {
        resolve(&self.dag, &self.everything).members().contains_key(&person(who.0).account())
    }

    /// The role of the person by all events.
    pub(crate) fn role(&self, who: Who) -> Option<Role> {
        let resolved = resolve(&self.dag, &self.everything);
        let g = resolved.members().get(&person(who.0).account()).copied()?;
        Some(self.dag.grants()[g].power.role())
    }
}

fn sign(room: &RoomId, header: ControlHeader, control: &Control, who: Who) -> Event {
    Event::sign(room, Header::Control(header), &control.encode(), person(who.0).key(who.1)).unwrap()
}
