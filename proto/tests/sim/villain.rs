//! A hostile member: it holds its own keys, follows no rule, and acts through a node that otherwise works.
//!
//! What it writes is well formed, or nobody would take it; what it writes *about* is not bound by what it knows. It
//! writes with old parents and beside its own events, after it was removed too; gives what is not its own to give, removes
//! with fences of its choice, lets puppets in, leaves, revokes its own device, makes epochs with a ghost, without a member or
//! with another secret for one, and events of kinds that nobody knows. Some of it it shows to one peer only. How it lies
//! on the wire is in [`crate::liar`].

use parlor_crypto::SigningKey;
use parlor_crypto::account::RootSeed;
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::hpke::{Row, RowContext, seal_row};
use parlor_crypto::leaf::LeafPublic;
use parlor_proto::control::{
    AccountUpdate, Admit, Complaint, Control, Decline, DeviceFence, GrantRole, History, Invite, InviteBounds,
    InviteHistory, InviteRevoke, JoinRequest, KeyComplaint, Leave, LogPosition, MessageFate, Permissions, Policy,
    PolicyChange, Power, Remove, RevokeFence, Rotate, RotateReason, Rows, Sponsor, State, Target, Unban,
};
use parlor_proto::epoch::member_root;
use parlor_proto::event::{ControlHeader, Event, Header, MessageHeader};
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::marker::Marker;
use parlor_proto::room::Room;
use parlor_proto::{AccountId, DeviceId, EpochId, EventId, limits};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::liar::tamper;
use crate::node::{Commit, Effect, Node};

/// What makes a node hostile.
pub(crate) struct Villain {
    root: RootSeed,
    /// Devices of nobody, whom it lets in.
    puppets: Vec<Identity>,
    /// The key of all its links.
    invite: SigningKey,
    /// Frames that it sent, to send them again.
    heard: Vec<Vec<u8>>,
}

/// What the villain can choose from.
struct Known {
    accounts: Vec<AccountId>,
    devices: Vec<(DeviceId, LeafPublic)>,
    events: Vec<Event>,
    own: Vec<Event>,
    grants: Vec<EventId>,
}

fn pick<'a, T>(rng: &mut StdRng, list: &'a [T]) -> Option<&'a T> {
    (!list.is_empty()).then(|| &list[rng.random_range(0..list.len())])
}

impl Villain {
    pub(crate) fn new(root: RootSeed, rng: &mut StdRng) -> Self {
        let puppet = |_| Identity::create("puppet", 1, rng).expect("a short name").1;
        let puppets = (0..3).map(puppet).collect();
        Self { root, puppets, invite: SigningKey::generate(rng), heard: Vec::new() }
    }

    /// What it sends instead of a frame.
    pub(crate) fn lie(&mut self, bytes: Vec<u8>, rng: &mut StdRng) -> Vec<Vec<u8>> {
        if self.heard.len() < 100 {
            self.heard.push(bytes.clone());
        }
        tamper(bytes, rng)
    }

    /// Whether it keeps the logs of a device to itself: now of these, now of those.
    pub(crate) fn withholds(&self, device: &DeviceId, now: u64) -> bool {
        (u64::from(device.0[0]) + now / 20_000).is_multiple_of(4)
    }

    /// The devices that are its own beside its node's, with their leaf keys.
    pub(crate) fn puppets(&self) -> impl Iterator<Item = (DeviceId, LeafPublic)> {
        self.puppets.iter().map(|puppet| (puppet.device(), puppet.leafs()[0].secret.public()))
    }
}

impl Node {
    pub(crate) fn is_villain(&self) -> bool {
        self.villain.is_some()
    }

    /// Does something that nobody may do.
    pub(crate) fn do_evil(&mut self, accounts: &[AccountId], peers: usize, now_ms: u64) {
        if self.rng.random_ratio(1, 12) {
            self.jump_clock();
        }
        let now = self.clock(now_ms);
        if self.room().is_none_or(|room| room.control_frontier().is_empty()) {
            return;
        }
        match self.rng.random_range(0..14) {
            0 => self.lie_about_delivery(now),
            1 => self.flood(peers, now),
            2 => self.replay(peers),
            3..7 => {
                let messages: Vec<Event> = (0..6).filter_map(|_| self.forge_message(now)).collect();
                if self.rng.random_ratio(1, 3) {
                    self.show(&messages, peers);
                } else {
                    messages.into_iter().for_each(|event| self.pass_on(event, peers, now));
                }
            }
            _ => {
                let secretly = self.rng.random_ratio(1, 4);
                // Most of what comes to its mind breaks a rule that everybody checks.
                let events: Vec<Event> = (0..30).filter_map(|_| self.forge(accounts, now)).collect();
                if secretly {
                    self.show(&events[..events.len().min(3)], peers);
                    return;
                }
                for event in events {
                    if self.take_own(event, now) {
                        return;
                    }
                }
            }
        }
    }

    fn jump_clock(&mut self) {
        const YEAR_MS: i64 = 365 * 86_400_000;
        let skews = [-3 * YEAR_MS, 3 * YEAR_MS, 0, 1_000_000, -1_000_000];
        self.skew_ms = skews[self.rng.random_range(0..skews.len())];
        self.running().maintain_ms = Some(0);
    }

    /// Takes an event of its own making into its node, which passes it on like any other. Whether it was taken.
    fn take_own(&mut self, event: Event, now: u64) -> bool {
        let Some(room) = self.running().room.as_mut() else { return false };
        let received = room.receive(vec![event], now);
        let taken = !received.outcome.accepted.is_empty();
        self.commit(Commit { outcome: received.outcome, ..Commit::default() }, now);
        taken
    }

    /// Takes a message of its own making as if somebody had sent it; what its node does not take it shows to somebody.
    fn pass_on(&mut self, event: Event, peers: usize, now: u64) {
        let Some(room) = self.running().room.as_mut() else { return };
        let received = room.receive(vec![event.clone()], now);
        if !received.rejected.is_empty() {
            self.show(&[event], peers);
        }
        self.take(received, Vec::new(), None, now);
    }

    /// Shows events to one peer only, beside the logs.
    fn show(&mut self, events: &[Event], peers: usize) {
        let to = self.rng.random_range(0..peers);
        let list = events.iter().map(|event| event.bytes().to_vec().into()).collect();
        self.gossip_to(&parlor_proto::gossip::GossipFrame::Events(list), Some(to));
    }

    fn replay(&mut self, peers: usize) {
        let mut rng = self.fork_rng();
        let Some(bytes) = self.villain.as_ref().and_then(|villain| pick(&mut rng, &villain.heard).cloned()) else {
            return;
        };
        self.out.push(Effect::Stream { to: rng.random_range(0..peers), bytes });
    }

    /// Orphans: events whose ancestors exist nowhere.
    fn flood(&mut self, peers: usize, now: u64) {
        let mut rng = self.fork_rng();
        let Some(room) = self.room().map(Room::id) else { return };
        let me = self.me.device();
        let orphan = |n: u64| {
            let prev = EventId(StdRng::seed_from_u64(n ^ now).random());
            let header = control_header(77, me, n, prev, vec![EventId([n as u8; 32])], 1_000 + n, now);
            Event::sign(&room, header, &[], self.me.signing_key()).ok()
        };
        let first = rng.random_range(50..1_000);
        let orphans: Vec<Event> = (first..first + 20).filter_map(orphan).collect();
        self.show(&orphans, peers);
    }

    /// A marker that confirms what it never received.
    fn lie_about_delivery(&mut self, now: u64) {
        let Some(room) = self.room() else { return };
        let (id, mut heads) = (room.id(), room.heads());
        heads.truncate(7);
        heads.push(EventId([9; 32]));
        heads.sort_unstable();
        let counter = self.disk.markers.get(&self.me.device()).map_or(0, |marker| marker.counter) + 1;
        let marker = Marker::sign(&id, self.me.signing_key(), counter, heads, Hlc(u64::MAX), now);
        self.commit(Commit { markers: vec![marker], ..Commit::default() }, now);
    }

    /// A control event, perhaps with old parents, perhaps beside another of its log.
    fn forge(&mut self, accounts: &[AccountId], now: u64) -> Option<Event> {
        let mut rng = self.fork_rng();
        let known = self.known(accounts)?;
        let room = self.room()?.id();
        let fork = rng.random_ratio(1, 3);
        let prev = if fork { pick(&mut rng, &known.own).cloned() } else { known.own.last().cloned() };
        let mut parents: Vec<&Event> = Vec::new();
        let latest = rng.random_ratio(1, 2);
        for _ in 0..rng.random_range(1..4) {
            let others = if latest { &known.events[known.events.len().saturating_sub(3)..] } else { &known.events };
            let other = pick(&mut rng, others)?;
            if other.device() != self.me.device() && !parents.iter().any(|parent| parent.id() == other.id()) {
                parents.push(other);
            }
        }
        parents.sort_by_key(|parent| parent.id());
        let lamport = parents.iter().copied().chain(&prev).filter_map(|event| event.control()).map(|h| h.lamport).max();
        let control = self.idea(&known, &mut rng, now)?;
        let header = control_header(
            control.kind(),
            self.me.device(),
            prev.as_ref().map_or(1, |prev| prev.seq() + 1),
            prev.as_ref().map_or(EventId::ZERO, Event::id),
            parents.iter().map(|parent| parent.id()).collect(),
            1 + lamport?,
            now,
        );
        let payload = if matches!(control, Control::Unknown(_)) { vec![7; 40] } else { control.encode() };
        Event::sign(&room, header, &payload, self.me.signing_key()).ok()
    }

    /// A message of its device like one that it holds: beside its own messages, in views, epochs and slices of its choice, with parents
    /// that may exist nowhere, over what is no message.
    fn forge_message(&mut self, now: u64) -> Option<Event> {
        let mut rng = self.fork_rng();
        let me = self.me.device();
        let room = self.room()?;
        let all: Vec<&Event> = self.disk.messages.values().map(|stored| &stored.event).collect();
        let like = pick(&mut rng, &all)?.message()?.clone();
        let own: Vec<&Event> = all.iter().copied().filter(|event| event.device() == me).collect();
        let prev = if rng.random_ratio(1, 3) { pick(&mut rng, &own) } else { own.last() };
        let before = prev.and_then(|event| event.message());
        let mut parents: Vec<EventId> =
            (0..rng.random_range(0..4)).filter_map(|_| pick(&mut rng, &all)).map(|e| e.id()).collect();
        if rng.random_ratio(1, 6) {
            parents.push(EventId(rng.random()));
        }
        parents.retain(|parent| prev.is_none_or(|prev| prev.id() != *parent));
        parents.sort_unstable();
        parents.dedup();
        let control: Vec<Event> = room.control_events().cloned().collect();
        let heads = match rng.random_range(0..4) {
            0 => vec![pick(&mut rng, &control)?.id()],
            1 => room.control_frontier().into_iter().take(limits::MAX_PARENTS).collect(),
            _ => before.unwrap_or(&like).control.clone(),
        };
        let same = rng.random_ratio(2, 3);
        let epoch = match before {
            Some(before) if same => before.epoch,
            _ => like.epoch,
        };
        let continues = before.filter(|before| before.epoch == epoch);
        let slice =
            continues.map_or(like.slice, |before| before.slice) + rng.random_range(0..4) / 3 * rng.random_range(1..20);
        let generation = match continues {
            Some(before) if before.slice == slice => before.generation + 1,
            _ => 0,
        };
        let latest = before.map_or(0, |before| before.hlc.0);
        let hlc = match rng.random_range(0..6) {
            0 => Hlc(latest + 1),
            1 => like.hlc,
            2 => Hlc::at(now + 86_400_000),
            _ => Hlc(latest.max(Hlc::at(now).0) + 1),
        };
        let header = MessageHeader {
            device: me,
            seq: prev.map_or(1, |prev| prev.seq() + 1),
            prev: prev.map_or(EventId::ZERO, |prev| prev.id()),
            parents,
            control: heads,
            hlc,
            epoch,
            slice,
            generation: if rng.random_ratio(1, 10) { rng.random_range(0..70_000) } else { generation },
            salt: rng.random(),
            ..like
        };
        let payload: Vec<u8> = (0..rng.random_range(1..200)).map(|_| rng.random()).collect();
        Event::sign(&room.id(), Header::Message(header), &payload, self.me.signing_key()).ok()
    }

    fn known(&self, accounts: &[AccountId]) -> Option<Known> {
        let room = self.room()?;
        let me = self.me.device();
        let events: Vec<Event> = room.control_events().cloned().collect();
        let leafs =
            room.leafs().filter_map(|leaf| Some((DeviceId(leaf.device), LeafPublic::parse(&leaf.leaf_pk).ok()?)));
        let mine = |event: &&Event| match Control::decode(event.control().map_or(0, |h| h.kind), event.payload()) {
            Ok(Control::Genesis(_)) => event.device() == me,
            Ok(Control::Grant(grant)) => grant.subject == self.me.account(),
            Ok(Control::Admit(admit)) => admit.join.entrant.device() == me,
            _ => false,
        };
        let puppets = self.villain.iter().flat_map(|villain| villain.puppets.iter().map(Identity::account));
        let known = Known {
            accounts: accounts.iter().copied().chain(puppets).collect(),
            devices: leafs.collect(),
            own: events.iter().filter(|event| event.device() == me).cloned().collect(),
            grants: events.iter().filter(mine).map(Event::id).collect(),
            events,
        };
        (!known.grants.is_empty()).then_some(known)
    }

    /// Somebody is let in once more, himself perhaps, into an epoch of before.
    fn again(auth: EventId, known: &Known, rng: &mut StdRng) -> Option<Admit> {
        let (mut admits, mut epochs) = (Vec::new(), Vec::new());
        for event in &known.events {
            let header = event.control();
            match header.and_then(|header| Control::decode(header.kind, event.payload()).ok()) {
                Some(Control::Admit(admit)) => admits.push(*admit),
                Some(Control::Rotate(_)) => epochs.push(EpochId::of(&event.id())),
                _ => {}
            }
        }
        let (again, epoch) = (pick(rng, &admits)?.clone(), *pick(rng, &epochs)?);
        Some(Admit { auth, epoch, slice: rng.random_range(0..4), ..again })
    }

    fn idea(&self, known: &Known, rng: &mut StdRng, now: u64) -> Option<Control> {
        let villain = self.villain.as_ref()?;
        let room = self.room()?;
        let auth = *pick(rng, &known.grants)?;
        let whom = *pick(rng, &known.accounts)?;
        let invites = room.invites();
        let named = pick(rng, &invites).map(|info| info.id);
        let event = pick(rng, &known.events)?.id();
        Some(match rng.random_range(0..15) {
            0 => Control::Grant(GrantRole {
                auth,
                subject: whom,
                power: Power(rng.random_range(0..5)),
                perms: Permissions(rng.random_range(0..64)),
                max_depth: rng.random_range(0..4),
                invites: InviteBounds::NONE,
            }),
            1..4 => {
                let target = match rng.random_range(0..4) {
                    0 => Target::Invite(named?),
                    1 => Target::Grant(event, whom),
                    _ => Target::Account(whom),
                };
                let ban = rng.random() && matches!(target, Target::Account(_));
                let messages = if rng.random() { MessageFate::Fenced } else { MessageFate::Purged };
                Control::Remove(Remove {
                    auth,
                    target,
                    ban,
                    cascade: rng.random(),
                    messages,
                    fence: self.fence(known, rng),
                })
            }
            4 => Control::Leave(Leave { auth, fence: Vec::new() }),
            5 | 6 => Control::Invite(self.bait(auth, rng)?),
            8 => Control::Admit(Box::new(Self::again(auth, known, rng)?)),
            7 => {
                let invite = if rng.random() { event } else { named? };
                let puppet = pick(rng, &villain.puppets)?;
                let join =
                    JoinRequest::sign(&room.id(), &villain.invite, puppet.signing_key(), puppet.entrant(), [3; 16]);
                let epoch = EpochId::of(&pick(rng, &known.events)?.id());
                Control::Admit(Box::new(Admit {
                    auth,
                    invite,
                    join,
                    epoch,
                    slice: rng.random_range(0..4),
                    slice_commit: [5; 32],
                }))
            }
            9 => Control::State(State { auth, writes: vec![(1, b"taken over".to_vec()), (4, vec![0, 0, 0, 9])] }),
            10 => {
                let history = if rng.random() { History::None } else { History::Full };
                Control::Policy(PolicyChange { auth, policy: Policy { history } })
            }
            11 => Control::InviteRevoke(InviteRevoke { auth, invite: named? }),
            12 if rng.random() => Control::Unban(Unban { auth, removal: event }),
            12 if now.is_multiple_of(2) => Control::Decline(Decline { auth, invite: named?, account: whom }),
            12 => Control::KeyComplaint(KeyComplaint { auth, epoch: EpochId::of(&event), what: Complaint::Commit }),
            13 if rng.random() => Control::Unknown(rng.random_range(60..128)),
            13 => {
                let fence = DeviceFence { device: self.me.device(), control: None, message: None };
                let root = villain.root.root_key(0);
                let revoke = RevokeFence::revoke(&root, self.me.account(), room.id(), fence).ok()?;
                Control::AccountUpdate(AccountUpdate { devices: Vec::new(), revokes: vec![revoke] })
            }
            _ => Control::Rotate(self.evil_epoch(auth, known, rng, now)),
        })
    }

    /// An invite for its puppets, with rights that may not be its own to give.
    fn bait(&self, auth: EventId, rng: &mut StdRng) -> Option<Invite> {
        let villain = self.villain.as_ref()?;
        Some(Invite {
            auth,
            invite_pk: villain.invite.public_bytes(),
            box_pk: [1; 32],
            door: [2; 32],
            power: Power(rng.random_range(1..4)),
            perms: Permissions(rng.random_range(0..64)),
            not_before_ms: 0,
            expires_ms: u64::MAX,
            max_uses: rng.random_range(1..4),
            approval: false,
            history: InviteHistory::Full,
            sponsor: Sponsor::AnyMember,
            max_depth: 0,
            onward: InviteBounds::NONE,
        })
    }

    /// Fences of its own choice, on logs of others too.
    fn fence(&self, known: &Known, rng: &mut StdRng) -> Vec<DeviceFence> {
        let mut fence: Vec<DeviceFence> = Vec::new();
        for (device, _) in &known.devices {
            let log: Vec<&Event> = known.events.iter().filter(|event| event.device() == *device).collect();
            let end = pick(rng, &log).map(|event| LogPosition { seq: event.seq(), id: event.id() });
            let control = end.filter(|_| rng.random());
            fence.push(DeviceFence { device: *device, control, message: None });
        }
        fence.sort_by_key(|fence| fence.device);
        fence.dedup_by_key(|fence| fence.device);
        fence
    }

    /// An epoch with a ghost, without a member, or with another secret for one of them.
    fn evil_epoch(&self, auth: EventId, known: &Known, rng: &mut StdRng, _: u64) -> Rotate {
        let room = self.room().map(Room::id).expect("checked");
        let secret = EpochSecret::generate(rng, &[]);
        let other = EpochSecret::generate(rng, &[]);
        let commit = secret.commit(room.as_bytes());
        let mut devices = known.devices.clone();
        let way = rng.random_range(0..4);
        let victim = rng.random_range(0..devices.len());
        match way {
            0 => devices.extend(self.villain.iter().flat_map(Villain::puppets)),
            1 => drop(devices.remove(victim)),
            _ => {}
        }
        let member_root = member_root(devices.iter().map(|(device, _)| *device));
        let context = RowContext { room_id: room.0, commit, member_root };
        let rows = devices.iter().enumerate().map(|(n, (device, leaf))| {
            let secret = if way == 2 && n == victim { &other } else { &secret };
            seal_row(rng, &context, device.as_bytes(), leaf, secret)
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by_key(|row| row.hint);
        let reason = if way == 3 { RotateReason::Hand } else { RotateReason::NoSafeEpoch };
        Rotate {
            auth,
            reason,
            parents: Vec::new(),
            commit,
            share_history: History::Full,
            member_root,
            n_rows: rows.len() as u32,
            rows: Rows::Inline(rows),
        }
    }
}

fn control_header(
    kind: u8,
    device: DeviceId,
    seq: u64,
    prev: EventId,
    parents: Vec<EventId>,
    lamport: u64,
    ts_ms: u64,
) -> Header {
    Header::Control(ControlHeader {
        v: limits::VERSION,
        suite: limits::SUITE,
        kind,
        device,
        seq,
        prev,
        parents,
        lamport,
        ts_ms,
        payload_len: 0,
        payload_hash: [0; 32],
    })
}
