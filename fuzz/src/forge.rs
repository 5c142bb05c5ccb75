//! Events by hand: any kind, by any device, from any view, under any grant.

use std::sync::{Arc, OnceLock};

use parlor_crypto::account::RootSeed;
use parlor_proto::control::{
    AccountUpdate, Admit, Complaint, Control, Decline, DeviceFence, EquivProof, GrantId, GrantRole, History, Invite,
    InviteBounds, InviteHistory, InviteRevoke, JoinRequest, KeyComplaint, Leave, LogPosition, MessageFate, NewDevice,
    Permissions, Policy, PolicyChange, Power, Remove, RevokeFence, Role, RoomKind, Rotate, RotateReason, Rows, Sponsor,
    State, Target, Unban,
};
use parlor_proto::dag::{Dag, Insert, NodeIdx};
use parlor_proto::event::{ControlHeader, Event, Header};
use parlor_proto::identity::Identity;
use parlor_proto::ids::{AccountId, EpochId, EventId};
use parlor_proto::limits;

use crate::input::Input;
use crate::people::{NOW, identity, prepared, rng, root};

/// Who writes: the three of the prepared room, three who may come, and a second device of the admin.
struct Cast {
    people: Vec<Arc<Identity>>,
    /// The roots of their accounts.
    roots: Vec<RootSeed>,
    /// Requests of those who may come, on the invite that is open.
    requests: Vec<JoinRequest>,
}

fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| {
        let prepared = prepared();
        let mut people: Vec<_> = (1..=6).map(identity).collect();
        let mut roots: Vec<_> = (1..=6).map(root).collect();
        let second = Identity::add_device(&root(2), "second", 2, NOW, &mut rng()).expect("a short name");
        people.push(Arc::new(second));
        roots.push(root(2));
        let keys = prepared.invite.keys();
        let ask =
            |me: &Arc<Identity>| JoinRequest::sign(&prepared.room, &keys.sign, me.signing_key(), me.entrant(), [7; 16]);
        let requests = people.iter().map(ask).collect();
        Cast { people, roots, requests }
    })
}

/// Makes events and holds those that are valid.
pub struct Forge {
    dag: Dag,
    began: usize,
    refused: Option<Event>,
}

impl Forge {
    /// The prepared room.
    pub fn new() -> Self {
        let prepared = prepared();
        let mut dag = Dag::new(prepared.room);
        for event in &prepared.parts.control {
            assert!(matches!(dag.insert_stored(event), Insert::New(_)));
        }
        let began = dag.len();
        Self { dag, began, refused: None }
    }

    /// What is valid so far.
    pub fn dag(&self) -> &Dag {
        &self.dag
    }

    /// How many events there were at first.
    pub fn began(&self) -> usize {
        self.began
    }

    /// Somebody of the cast.
    pub fn person(&self, number: usize) -> Option<&'static Identity> {
        cast().people.get(number).map(AsRef::as_ref)
    }

    /// The event that was refused last.
    pub fn refused(&mut self) -> Option<Event> {
        self.refused.take()
    }

    /// One more event. `None` if it is not valid.
    pub fn one(&mut self, input: &mut Input<'_>) -> Option<NodeIdx> {
        let cast = cast();
        let author = input.below(cast.people.len());
        let me = &cast.people[author];
        let control = self.control(author, input)?;
        let header = self.header(me, control.kind(), input);
        let event = Event::sign(&self.dag.room(), Header::Control(header), &control.encode(), me.signing_key()).ok()?;
        match self.dag.insert(&event) {
            Insert::New(at) => Some(at),
            Insert::Known | Insert::Missing(_) => None,
            Insert::Invalid(_) => {
                self.refused = Some(event);
                None
            }
        }
    }

    /// A header that continues a log of the device from some view: usually all that is known, often less.
    fn header(&self, me: &Identity, kind: u8, input: &mut Input<'_>) -> ControlHeader {
        let dag = &self.dag;
        let log = dag.logs().get(&me.device()).map_or(&[][..], Vec::as_slice);
        let way = input.byte();
        // A fork of the own log, from anywhere in it.
        let prev = if way & 7 == 7 {
            input.pick(&[&[None][..], &log.iter().copied().map(Some).collect::<Vec<_>>()].concat()).flatten()
        } else {
            log.last().copied()
        };
        let mut parents: Vec<NodeIdx> = match way >> 3 & 3 {
            0 | 1 => dag.frontier().iter().filter_map(|head| dag.find(head)).collect(),
            2 => vec![input.below(dag.len())],
            _ => (0..2).map(|_| input.below(dag.len())).collect(),
        };
        parents.retain(|at| Some(*at) != prev);
        if prev.is_none() && parents.is_empty() {
            parents.push(0);
        }
        parents.truncate(limits::MAX_PARENTS);
        let lamport = parents.iter().chain(&prev).map(|at| dag.node(*at).lamport).max().unwrap_or(0) + 1;
        let mut ids: Vec<EventId> = parents.iter().map(|at| dag.node(*at).event.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        ControlHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind,
            device: me.device(),
            seq: prev.map_or(1, |at| dag.node(at).event.seq() + 1),
            prev: prev.map_or(EventId::ZERO, |at| dag.node(at).event.id()),
            parents: ids,
            lamport,
            ts_ms: NOW + u64::from(way),
            payload_len: 0,
            payload_hash: [0; 32],
        }
    }

    /// What it says.
    fn control(&self, author: usize, input: &mut Input<'_>) -> Option<Control> {
        let cast = cast();
        let account = cast.people[author].account();
        let auth = self.auth(&account, input);
        Some(match input.below(16) {
            0 | 1 => Control::Grant(GrantRole {
                auth: auth?,
                subject: self.account(input),
                power: Power(input.byte() % 5),
                perms: permissions(input),
                max_depth: input.byte() % 6,
                invites: bounds(input),
            }),
            2..=5 => Control::Remove(self.remove(auth?, input)),
            6 => Control::Leave(Leave { auth: auth?, fence: Vec::new() }),
            7 => Control::Invite(Invite {
                auth: auth?,
                invite_pk: prepared().invite.keys().sign.public_bytes(),
                box_pk: [1; 32],
                door: [2; 32],
                power: Power(1 + input.byte() % 4),
                perms: permissions(input),
                not_before_ms: 0,
                expires_ms: u64::MAX,
                max_uses: 1 + u32::from(input.byte() % 3),
                approval: input.flag(),
                history: InviteHistory::None,
                sponsor: Sponsor::AnyMember,
                max_depth: input.byte() % 4,
                onward: bounds(input),
            }),
            8 => Control::InviteRevoke(InviteRevoke { auth: auth?, invite: self.invite(input)? }),
            9 | 10 => Control::Admit(Box::new(Admit {
                auth: auth?,
                invite: self.invite(input)?,
                join: cast.requests[input.below(cast.requests.len())].clone(),
                epoch: self.epoch(input)?,
                slice: u32::from(input.byte() % 4),
                slice_commit: [0; 32],
            })),
            11 => Control::AccountUpdate(self.update(author, input)),
            12 if input.flag() => {
                let history = if input.flag() { History::Full } else { History::None };
                Control::Policy(PolicyChange { auth: auth?, policy: Policy { history } })
            }
            12 => Control::State(State { auth: auth?, writes: vec![(1 + input.byte() % 6, vec![input.byte(); 4])] }),
            13 => Control::Unban(Unban { auth: auth?, removal: self.event(input) }),
            14 => Control::Rotate(Rotate {
                auth: auth?,
                reason: RotateReason::Hand,
                parents: self.epoch(input).into_iter().collect(),
                commit: [3; 32],
                share_history: History::Full,
                member_root: [4; 32],
                n_rows: 0,
                rows: Rows::Inline(Vec::new()),
            }),
            _ => self.seldom(auth, input)?,
        })
    }

    fn seldom(&self, auth: Option<GrantId>, input: &mut Input<'_>) -> Option<Control> {
        Some(match input.below(4) {
            3 => {
                let (auth, invite) = (auth?, self.invite(input)?);
                Control::Decline(Decline { auth, invite, account: self.account(input) })
            }
            0 => Control::KeyComplaint(KeyComplaint { auth: auth?, epoch: self.epoch(input)?, what: Complaint::NoRow }),
            1 => {
                let forked: Vec<_> = self.dag.forked().iter().collect();
                let device = input.pick(&forked)?;
                let log = self.dag.logs().get(device)?;
                let (one, other) = (input.pick(log)?, input.pick(log)?);
                let event = |at: NodeIdx| &self.dag.node(at).event;
                Control::EquivProof(Box::new(EquivProof::new(&self.dag.room(), event(one), event(other))?))
            }
            _ => Control::Unknown(100 + input.byte() % 4),
        })
    }

    /// A grant of the account; seldom one of somebody else.
    fn auth(&self, account: &AccountId, input: &mut Input<'_>) -> Option<GrantId> {
        let grants = self.dag.grants();
        let way = input.byte();
        let own = self.dag.grants_of(account);
        let g = match way & 7 {
            7 => input.below(grants.len()),
            6 => input.pick(own)?,
            _ => *own.last()?,
        };
        Some(self.dag.node(grants[g].op).event.id())
    }

    fn account(&self, input: &mut Input<'_>) -> AccountId {
        let people = &cast().people;
        people[input.below(people.len())].account()
    }

    fn event(&self, input: &mut Input<'_>) -> EventId {
        self.dag.node(input.below(self.dag.len())).event.id()
    }

    fn invite(&self, input: &mut Input<'_>) -> Option<EventId> {
        input.pick(&self.dag.kinds().invites).map(|at| self.dag.node(at).event.id())
    }

    fn epoch(&self, input: &mut Input<'_>) -> Option<EpochId> {
        input.pick(&self.dag.kinds().rotates).map(|at| EpochId::of(&self.dag.node(at).event.id()))
    }

    fn remove(&self, auth: GrantId, input: &mut Input<'_>) -> Remove {
        let way = input.byte();
        let target = match input.below(4) {
            0 => {
                let grant = &self.dag.grants()[input.below(self.dag.grants().len())];
                Target::Grant(self.dag.node(grant.op).event.id(), grant.subject)
            }
            1 => self.invite(input).map_or_else(|| Target::Account(self.account(input)), Target::Invite),
            _ => Target::Account(self.account(input)),
        };
        let of_account = matches!(target, Target::Account(_));
        let messages = match (way >> 2 & 3, target) {
            (0, Target::Grant(..)) => MessageFate::Kept,
            (1, _) => MessageFate::Purged,
            _ => MessageFate::Fenced,
        };
        let mut fence: Vec<DeviceFence> = Vec::new();
        for (device, log) in self.dag.logs() {
            // All that is known of it, less, or nothing.
            let end = if input.below(3) == 0 { input.pick(log) } else { log.last().copied() };
            let position =
                |at: NodeIdx| LogPosition { seq: self.dag.node(at).event.seq(), id: self.dag.node(at).event.id() };
            if way & 0x40 == 0 {
                fence.push(DeviceFence { device: *device, control: end.map(position), message: None });
            }
        }
        fence.sort_unstable_by_key(|fence| fence.device);
        Remove { auth, target, ban: of_account && way & 1 == 1, cascade: way & 2 == 2, messages, fence }
    }

    /// The second device comes, or some device of the account goes.
    fn update(&self, author: usize, input: &mut Input<'_>) -> AccountUpdate {
        let cast = cast();
        let (mut devices, mut revokes) = (Vec::new(), Vec::new());
        if input.flag() {
            let other = &cast.people[cast.people.len() - 1];
            devices.push(NewDevice::sign(other.signing_key(), other.entrant()));
        } else {
            let gone = &cast.people[input.below(cast.people.len())];
            let log = self.dag.logs().get(&gone.device()).map_or(&[][..], Vec::as_slice);
            let position =
                |at: NodeIdx| LogPosition { seq: self.dag.node(at).event.seq(), id: self.dag.node(at).event.id() };
            let fence = DeviceFence { device: gone.device(), control: input.pick(log).map(position), message: None };
            let root = cast.roots[author].root_key(0);
            revokes.extend(RevokeFence::revoke(&root, gone.account(), self.dag.room(), fence));
        }
        AccountUpdate { devices, revokes }
    }
}

impl Default for Forge {
    fn default() -> Self {
        Self::new()
    }
}

/// Bounds of the right to invite, or none.
fn bounds(input: &mut Input<'_>) -> InviteBounds {
    if input.flag() {
        return InviteBounds { history: InviteHistory::None, ..InviteBounds::NONE };
    }
    let history = if input.flag() { InviteHistory::Full } else { InviteHistory::None };
    InviteBounds { until_ms: u64::from(input.byte()), uses: u32::from(input.byte()), history }
}

/// Those of a role, or any.
fn permissions(input: &mut Input<'_>) -> Permissions {
    match input.below(4) {
        0 => Permissions(u16::from(input.byte() & 63)),
        1 => Role::Moderator.permissions(RoomKind::Group),
        2 => Role::Member.permissions(RoomKind::Group),
        _ => Permissions::ALL,
    }
}
