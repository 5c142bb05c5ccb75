//! The network, the clock, and what people do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use parlor_proto::DeviceId;
use parlor_proto::control::{History, Role};
use parlor_proto::join;
use parlor_proto::outbox::Nonce;
use parlor_proto::room::{NewRoom, Room};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use crate::checks;
use crate::knowledge::Ledger;
use crate::node::{Effect, Node};

/// When histories begin, milliseconds since the epoch.
const START: u64 = 1_700_000_000_000;
/// How long people do things.
const ACTIVE_MS: u64 = 90_000;
/// How long the healed network has to come to rest.
const REST_MS: u64 = 400_000;
/// How often missing connections are tried.
const MESH_MS: u64 = 700;

/// What newcomers become: where nobody is removed, where hostile ones are trusted too much, and where people govern.
const OPEN: &[Role] = &[Role::Moderator, Role::Moderator, Role::Member];
const TRUSTED: &[Role] = &[Role::Admin, Role::Admin, Role::Moderator, Role::Member];
const GOVERNED: &[Role] = &[Role::Admin, Role::Moderator, Role::Moderator, Role::Member, Role::Observer];

/// What kind of history.
pub(crate) struct Plan {
    pub history: History,
    pub people: usize,
    pub writes: usize,
    pub joins: usize,
    pub invites: usize,
    /// Of each invite.
    pub uses: u32,
    pub leaves: usize,
    /// Roles given, people removed and banned and taken back, rules changed.
    pub governs: usize,
    /// The history mode changes too.
    pub modes: bool,
    pub crashes: usize,
    pub partitions: usize,
    /// Homes that are put back to an earlier copy, and run on from there.
    pub restores: usize,
    /// The last so many nodes are further devices of accounts of others.
    pub phones: usize,
    /// How often somebody brings another device, or revokes one.
    pub devices: usize,
    /// Hostile members: the first nodes after the founder.
    pub villains: usize,
    /// How often they do something.
    pub deeds: usize,
    /// Percent of gossip frames that do not arrive.
    pub gossip_loss: u32,
    /// How wrong clocks are, either way.
    pub skew_ms: i64,
    /// Only neighbours are connected, and whoever let somebody in with the newcomer.
    pub line: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            history: History::Full,
            people: 4,
            writes: 25,
            joins: 6,
            invites: 8,
            uses: 2,
            leaves: 0,
            governs: 0,
            modes: false,
            crashes: 2,
            partitions: 2,
            restores: 0,
            phones: 0,
            devices: 0,
            villains: 0,
            deeds: 0,
            gossip_loss: 20,
            skew_ms: 240_000,
            line: false,
        }
    }
}

/// Something that happens at a time.
enum What {
    Frame { link: u64, from: usize, to: usize, bytes: Vec<u8> },
    Gossip { to: usize, topic: String, bytes: Vec<u8> },
    Knock { from: usize, to: usize, bytes: Vec<u8> },
    Answer { from: usize, to: usize, bytes: Vec<u8> },
    Dialled { who: usize, to: usize },
    Mesh,
    Act(Act),
}

/// What somebody does.
#[derive(Clone, Copy)]
enum Act {
    Write(usize),
    Repeat(usize),
    Invite(usize),
    Join(usize),
    Leave(usize),
    Govern(usize),
    Evil(usize),
    Devices(usize),
    Crash(usize),
    Start(usize),
    Copy(usize),
    Restore(usize),
    Split,
    Heal,
}

/// People, their network, and the queue of what happens.
pub(crate) struct World {
    pub plan: Plan,
    pub nodes: Vec<Node>,
    pub now_ms: u64,
    /// Every gossip frame ever sent.
    pub heard: Vec<(String, Vec<u8>)>,
    /// Who was handed which secrets.
    pub ledger: Ledger,
    /// Text by request.
    pub texts: BTreeMap<Nonce, String>,
    rng: StdRng,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    what: BTreeMap<u64, What>,
    n_queued: u64,
    part: Vec<usize>,
    /// Connections: number and time of the last frame each way, so that streams keep their order.
    links: BTreeMap<(usize, usize), (u64, [u64; 2])>,
    n_links: u64,
    invites: Vec<String>,
    sponsored: BTreeSet<(usize, usize)>,
    healed: bool,
}

impl World {
    pub(crate) fn new(seed: u64, plan: Plan) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes: Vec<_> = (0..plan.people)
            .map(|index| {
                let skew = rng.random_range(-plan.skew_ms..=plan.skew_ms);
                let commit_ms = if rng.random_bool(0.5) { 0 } else { 60 };
                Node::new(index, rng.random(), skew, commit_ms)
            })
            .collect();
        let mut nodes: Vec<Node> = nodes;
        for node in &mut nodes {
            // Every second history of them without the guard, so that there are forks.
            (node.forks, node.guarded) = (plan.restores > 0, plan.restores == 0 || seed.is_multiple_of(2));
            (node.forks, node.hostile) = (node.forks || plan.villains > 0, plan.villains > 0);
        }
        for phone in 0..plan.phones {
            // The founder, and those after the hostile ones.
            let owner = if phone == 0 { 0 } else { plan.villains + phone };
            let (owners, phones) = nodes.split_at_mut(plan.people - plan.phones);
            phones[phone].belong_to(&owners[owner]);
        }
        nodes.iter_mut().skip(1).take(plan.villains).for_each(Node::turn_evil);
        let part = vec![0; nodes.len()];
        let mut world = Self {
            plan,
            nodes,
            now_ms: START,
            heard: Vec::new(),
            ledger: Ledger::default(),
            texts: BTreeMap::new(),
            rng,
            queue: BinaryHeap::new(),
            what: BTreeMap::new(),
            n_queued: 0,
            part,
            links: BTreeMap::new(),
            n_links: 0,
            invites: Vec::new(),
            sponsored: BTreeSet::new(),
            healed: false,
        };
        world.plan_acts();
        world
    }

    fn plan_acts(&mut self) {
        let new = NewRoom::group("kitchen", self.plan.history);
        self.nodes[0].found(new, START);
        let n = self.nodes.len();
        self.at(START + 100, What::Mesh);
        self.at(START + 200, What::Act(Act::Invite(0)));
        self.at(START + 12_000, What::Act(Act::Invite(0)));
        for person in 1..n {
            // Hostile ones are early, so that they are trusted.
            let latest = if self.nodes[person].is_villain() { 2_000 } else { 20_000 };
            let when = START + self.rng.random_range(300..latest);
            self.at(when, What::Act(Act::Join(person)));
        }
        let counts = [
            self.plan.writes,
            self.plan.joins,
            self.plan.invites,
            self.plan.leaves,
            self.plan.crashes,
            self.plan.partitions,
            self.plan.writes / 5,
            self.plan.restores,
            self.plan.governs,
            self.plan.deeds,
            self.plan.deeds / 10,
            self.plan.devices,
        ];
        for (kind, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                let when = START + self.rng.random_range(1_000..ACTIVE_MS);
                let who = self.rng.random_range(0..n);
                let act = match kind {
                    0 => Act::Write(who),
                    1 => Act::Join(who),
                    2 => Act::Invite(who),
                    3 => Act::Leave(1 + who % (n - 1)),
                    4 => Act::Crash(who),
                    5 => Act::Split,
                    7 => Act::Copy(who),
                    8 => Act::Govern(who),
                    9 => Act::Evil(1 + who % self.plan.villains.max(1)),
                    10 => Act::Copy(1 + who % self.plan.villains.max(1)),
                    11 => Act::Devices(who),
                    _ => Act::Repeat(who),
                };
                self.at(when, What::Act(act));
                let later = when + self.rng.random_range(500..15_000);
                match act {
                    Act::Crash(who) => self.at(later, What::Act(Act::Start(who))),
                    Act::Split => self.at(later, What::Act(Act::Heal)),
                    Act::Copy(who) => self.at(later, What::Act(Act::Restore(who))),
                    _ => {}
                }
            }
        }
        self.at(START + ACTIVE_MS + 16_000, What::Act(Act::Heal));
    }

    fn at(&mut self, when: u64, what: What) {
        self.queue.push(Reverse((when, self.n_queued)));
        self.what.insert(self.n_queued, what);
        self.n_queued += 1;
    }

    /// Runs the history to its end.
    pub(crate) fn run(&mut self) {
        let end = START + ACTIVE_MS + REST_MS;
        let mut steps = 0_u64;
        loop {
            let queued = self.queue.peek().map_or(u64::MAX, |Reverse((when, _))| *when);
            let woken = (0..self.nodes.len()).filter_map(|who| Some((self.deadline(who)?, who))).min();
            let woken_at = woken.map_or(u64::MAX, |(when, _)| when.max(self.now_ms));
            let next = queued.min(woken_at);
            if next > end || (self.healed && steps.is_multiple_of(64) && self.is_at_rest()) {
                break;
            }
            self.now_ms = self.now_ms.max(next);
            if let Some((_, who)) = woken.filter(|_| woken_at <= queued) {
                self.nodes[who].wake(self.now_ms);
            } else if let Some(what) = self.queue.pop().and_then(|Reverse((_, n))| self.what.remove(&n)) {
                self.happen(what);
            }
            self.carry_out();
            steps += 1;
            assert!(steps < 200_000, "a history without end");
            if steps.is_multiple_of(256) {
                checks::always(self);
            }
        }
    }

    /// Whether a device is one of a hostile member.
    pub(crate) fn is_evil(&self, device: &DeviceId) -> bool {
        self.nodes.iter().any(|node| node.is_villain() && node.me.device() == *device)
    }

    /// What happened, in a line.
    pub(crate) fn summary(&self) -> String {
        let members = self.nodes.iter().filter(|node| node.is_member()).count();
        let inside = self.nodes.iter().filter(|node| node.disk.room.is_some()).count();
        let messages = self.nodes.iter().map(|node| node.disk.messages.len()).max().unwrap_or(0);
        let forged = |node: &Node| node.disk.messages.values().filter(|stored| stored.text.is_none()).count();
        let forged = self.nodes.iter().filter(|node| !node.is_villain()).map(forged).max().unwrap_or(0);
        let control = self.nodes.iter().map(|node| node.disk.control.len()).max().unwrap_or(0);
        let seconds = (self.now_ms - START) / 1_000;
        let evil = |node: &Node| node.disk.control.iter().filter(|event| self.is_evil(&event.device())).count();
        let evil = self.nodes.iter().filter(|node| !node.is_villain()).map(evil).max().unwrap_or(0);
        let forks = self.nodes.iter().filter(|node| node.room().is_some_and(Room::is_cloned)).count();
        format!(
            "{members} members of {inside} who came in, {messages} messages ({forged} unread), {control} control events ({evil} evil), {forks} forks, {seconds} s"
        )
    }

    fn deadline(&self, who: usize) -> Option<u64> {
        let node = &self.nodes[who];
        Some(node.next_deadline()?.saturating_add_signed(-node.skew_ms))
    }

    /// Nothing is under way, and all members hold the same and know it.
    fn is_at_rest(&self) -> bool {
        let late = self.now_ms > START + ACTIVE_MS + 30_000;
        late && checks::is_same(self) && (self.plan.villains > 0 || checks::all_delivered(self))
    }

    fn happen(&mut self, what: What) {
        let now = self.now_ms;
        match what {
            What::Frame { link, from, to, bytes } => {
                if self.links.get(&pair(from, to)).is_some_and(|(number, _)| *number == link) {
                    self.nodes[to].on_stream(from, &bytes, now);
                }
            }
            What::Gossip { to, topic, bytes } if self.nodes[to].running.is_some() => {
                self.nodes[to].on_gossip(&topic, &bytes, now);
            }
            What::Knock { from, to, bytes } if self.reach(from, to) => self.nodes[to].on_knock(from, &bytes, now),
            What::Answer { from, to, bytes } if self.reach(from, to) => {
                self.sponsored.insert(pair(from, to));
                let clock = self.nodes[to].clock(now);
                self.nodes[to].tell_joiner(join::In::Answered(bytes), clock);
            }
            What::Dialled { who, to } if self.nodes[who].running.is_some() => {
                let clock = self.nodes[who].clock(now);
                let input = if self.reach(who, to) { join::In::Connected } else { join::In::DialFailed };
                self.nodes[who].tell_joiner(input, clock);
            }
            What::Gossip { .. } | What::Knock { .. } | What::Answer { .. } | What::Dialled { .. } => {}
            What::Mesh => {
                self.mesh();
                self.at(now + MESH_MS, What::Mesh);
            }
            What::Act(act) => self.act(act),
        }
    }

    fn act(&mut self, act: Act) {
        let now = self.now_ms;
        let runs = |world: &Self, who: usize| world.nodes[who].running.is_some();
        match act {
            Act::Write(who) if runs(self, who) && self.nodes[who].is_member() => {
                let nonce: Nonce = self.rng.random();
                let text = format!("message {} of {who}", self.texts.len());
                self.nodes[who].submit(nonce, &text, now);
                self.texts.insert(nonce, text);
            }
            Act::Repeat(who) if runs(self, who) => {
                let held: Vec<_> = self.nodes[who].promised.iter().rev().take(3).copied().collect();
                for nonce in held {
                    let text = self.texts[&nonce].clone();
                    self.nodes[who].submit(nonce, &text, now);
                }
            }
            Act::Invite(who) if runs(self, who) => {
                let roles = match (self.plan.villains, self.plan.governs) {
                    (0, 0) => OPEN,
                    (0, _) => GOVERNED,
                    _ => TRUSTED,
                };
                let link = self.nodes[who].invite(self.plan.uses, roles, now);
                self.invites.extend(link.map(|link| link.to_text()));
            }
            Act::Join(who) if runs(self, who) && !self.invites.is_empty() => {
                let place = self.rng.random_range(0..self.invites.len());
                let link = self.invites[place].clone();
                self.nodes[who].join(&link, now);
                // Others that are near may be members too.
                let near: [u8; 2] = self.rng.random();
                let clock = self.nodes[who].clock(now);
                for other in near.map(|n| n % self.nodes.len() as u8).into_iter().filter(|n| usize::from(*n) != who) {
                    self.nodes[who].tell_joiner(join::In::Candidate(vec![other]), clock);
                }
            }
            Act::Leave(who) if runs(self, who) => self.nodes[who].leave(now),
            Act::Evil(who) if runs(self, who) => {
                let accounts: Vec<_> = self.nodes.iter().map(|node| node.me.account()).collect();
                self.nodes[who].do_evil(&accounts, accounts.len(), now);
            }
            Act::Govern(who) if runs(self, who) => {
                let accounts: Vec<_> = self.nodes.iter().map(|node| node.me.account()).collect();
                self.nodes[who].govern(&accounts, self.plan.modes, now);
            }
            Act::Devices(who) if runs(self, who) => self.nodes[who].change_devices(now),
            Act::Crash(who) if runs(self, who) => {
                self.cut(|a, b| a == who || b == who);
                self.nodes[who].crash();
            }
            Act::Copy(who) if self.nodes[who].disk.room.is_some() => {
                let node = &mut self.nodes[who];
                node.copy = Some((node.disk.clone(), node.promised.clone()));
            }
            Act::Restore(who) => {
                let Some((disk, promised)) = self.nodes[who].copy.take() else { return };
                self.cut(|a, b| a == who || b == who);
                let node = &mut self.nodes[who];
                node.crash();
                (node.disk, node.promised) = (disk, promised);
                node.restored = true;
                node.start(now);
            }
            Act::Start(who) if !runs(self, who) => self.nodes[who].start(now),
            Act::Split => {
                self.part = (0..self.nodes.len()).map(|_| self.rng.random_range(0..2)).collect();
                let part = self.part.clone();
                self.cut(|a, b| part[a] != part[b]);
            }
            Act::Heal => {
                self.part.fill(0);
                self.healed = now > START + ACTIVE_MS;
                if self.healed {
                    self.nodes.iter_mut().for_each(|node| node.join_on(now));
                }
            }
            _ => {}
        }
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        self.part[a] == self.part[b] && self.nodes[a].running.is_some() && self.nodes[b].running.is_some()
    }

    fn cut(&mut self, cuts: impl Fn(usize, usize) -> bool) {
        let gone: Vec<_> = self.links.keys().copied().filter(|(a, b)| cuts(*a, *b)).collect();
        for (a, b) in gone {
            self.links.remove(&(a, b));
            for (who, other) in [(a, b), (b, a)] {
                if self.nodes[who].running.is_some() {
                    self.nodes[who].disconnected(other, self.now_ms);
                }
            }
        }
    }

    /// Connects whoever can be connected.
    fn mesh(&mut self) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let neighbours = !self.plan.line || self.are_neighbours(a, b);
                let rooms = self.nodes[a].room().is_some() && self.nodes[b].room().is_some();
                let wanted = neighbours && rooms && !self.links.contains_key(&(a, b));
                if wanted && self.reach(a, b) && self.rng.random_bool(0.6) {
                    self.n_links += 1;
                    self.links.insert((a, b), (self.n_links, [0; 2]));
                    let a_dials = self.rng.random_bool(0.5);
                    self.nodes[a].connected(b, a_dials, self.now_ms);
                    self.nodes[b].connected(a, !a_dials, self.now_ms);
                }
            }
        }
    }

    /// In a line: those side by side, whoever let somebody in with the newcomer, and, once the network is healed, members with nobody but
    /// former and hostile ones between them: nothing else would connect them.
    fn are_neighbours(&self, a: usize, b: usize) -> bool {
        let honest = |node: &Node| node.is_member() && !node.is_villain();
        let alone = || self.healed && !self.nodes[a + 1..b].iter().any(honest);
        b == a + 1 || self.sponsored.contains(&(a, b)) || alone()
    }

    /// Does what the nodes want of the network.
    fn carry_out(&mut self) {
        for from in 0..self.nodes.len() {
            std::mem::take(&mut self.nodes[from].handed).into_iter().for_each(|hand| self.ledger.hand(hand));
            for effect in std::mem::take(&mut self.nodes[from].out) {
                self.effect(from, effect);
            }
        }
    }

    fn effect(&mut self, from: usize, effect: Effect) {
        let soon = self.now_ms + self.rng.random_range(1..120);
        match effect {
            Effect::Stream { to, bytes } => {
                let Some((link, last)) = self.links.get_mut(&pair(from, to)) else { return };
                let way = usize::from(from < to);
                last[way] = last[way].max(soon);
                let (link, when) = (*link, last[way]);
                let frames = match &mut self.nodes[from].villain {
                    Some(villain) if !self.healed => villain.lie(bytes, &mut self.rng),
                    _ => vec![bytes],
                };
                for bytes in frames {
                    self.at(when, What::Frame { link, from, to, bytes });
                }
            }
            Effect::Gossip { topic, bytes, to: only } => {
                for to in (0..self.nodes.len()).filter(|to| *to != from && only.is_none_or(|only| only == *to)) {
                    let lost = self.rng.random_ratio(self.plan.gossip_loss, 100) || self.part[from] != self.part[to];
                    let copies = if lost { 0 } else { 1 + u32::from(self.rng.random_bool(0.1)) };
                    for _ in 0..copies {
                        let when = self.now_ms + self.rng.random_range(1..400);
                        self.at(when, What::Gossip { to, topic: topic.clone(), bytes: bytes.clone() });
                    }
                }
                self.heard.push((topic, bytes));
            }
            Effect::Dial { to } => self.at(soon, What::Dialled { who: from, to }),
            Effect::Knock { to, bytes } => self.at(soon, What::Knock { from, to, bytes }),
            Effect::Answer { to, bytes } => self.at(soon, What::Answer { from, to, bytes }),
            Effect::Split { peer } => {
                let hostile = self.nodes[peer].is_villain() || self.nodes[from].is_villain();
                assert!(hostile, "honest nodes {from} and {peer} hold the same events and see two rooms");
            }
            Effect::Blame { peer, why } => {
                let hostile = self.nodes[peer].is_villain() || self.nodes[from].is_villain();
                assert!(hostile, "node {from} finds honest node {peer} at fault: {why}");
                self.cut(|a, b| (a, b) == pair(from, peer));
            }
        }
    }
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}
