//! Rooms of many people who meet again after removals apart, in virtual time: real machines, and a network with delays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::support::{Person, START, identity, many};
use crate::control::{History, ROTATE_KIND, Role, Target};
use crate::event::Event;
use crate::ids::EventId;
use crate::room::{Company, Removal};

/// When everybody is connected to everybody, after the first two were.
const ALL_CONNECTED_MS: u64 = 8_000;
/// Longest time until what one sends is stored at the other: a busy machine.
const SLOW_MS: u64 = 800;

/// Who is there.
pub(super) struct Plan {
    /// People who stay.
    pub(super) stay: usize,
    /// Admins who remove one each, and know of no other removal.
    pub(super) removers: usize,
    /// With how many others each begins to talk, if not with all; others begin with it.
    pub(super) talks_to: Option<usize>,
    /// Whether rooms are told who is connected.
    pub(super) told: bool,
    /// When the story is over.
    pub(super) end_ms: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { stay: 12, removers: 5, talks_to: None, told: true, end_ms: 150_000 }
    }
}

/// What happens at a time.
enum Happens {
    /// Two compare what they hold, and give each other what is missing.
    Round(usize, usize),
    /// One hears from another, who held these heads.
    Hears { who: usize, of: usize, heads: Vec<EventId>, events: Vec<Event> },
    /// One hears by gossip, from nobody in particular.
    Gossip { who: usize, events: Vec<Event> },
    /// One is given a page of rows that it asked for.
    Page { who: usize, hash: [u8; 32] },
    /// One wants to be looked after.
    Wake(usize),
    /// One makes an epoch by hand, whether or not it would count.
    Rotates(usize),
}

/// Who stays in the room, in virtual time.
pub(super) struct Reunion {
    pub(super) people: Vec<Person>,
    /// What each heard last of each other: the heads of its control log.
    heard: Vec<BTreeMap<usize, Vec<EventId>>>,
    agenda: BTreeMap<(u64, u64), Happens>,
    n: u64,
    rng: StdRng,
    told: bool,
    end_ms: u64,
    /// All pages of rows there are.
    pages: HashMap<[u8; 32], Vec<u8>>,
    asked: BTreeSet<(usize, [u8; 32])>,
    /// Epochs that were made when somebody's room wanted them.
    pub(super) made: usize,
}

pub(super) fn heads(person: &Person) -> Vec<EventId> {
    person.room.dag.frontier().iter().copied().collect()
}

pub(super) fn remove(person: &mut Person, whom: &Person) {
    let target = Target::Account(whom.room.me().account());
    let removal = Removal { target, ban: false, cascade: false, purge: false };
    let outcome = person.room.remove(&[removal], person.now, &mut person.rng).unwrap();
    person.keep(outcome);
}

impl Reunion {
    /// Some were removed by as many apart; nobody has met anybody yet.
    pub(super) fn new(seed: u64, plan: &Plan) -> Self {
        let mut founder = Person::founder(1, History::Full);
        let link = founder.invite(&many(Role::Admin));
        let others: Vec<u64> = (2..).take(plan.stay + plan.removers - 1).collect();
        others.iter().for_each(|n| drop(founder.admit(&identity(*n), &link).unwrap()));
        founder.look();
        // What each would have been given, without hearing it from the others one by one.
        let joined = |n: &u64| {
            let mut person = founder.restored_as(crate::identity::Identity::clone(&identity(*n)));
            person.rng = StdRng::seed_from_u64(*n);
            person
        };
        let mut people: Vec<Person> = others.iter().map(joined).collect();
        let gone = people.split_off(plan.stay - 1);
        people.push(founder);
        let mut pages = HashMap::new();
        for (person, whom) in people.iter_mut().zip(&gone) {
            remove(person, whom);
            pages.extend(person.pages());
        }
        people.iter_mut().for_each(|person| person.now = START + 60_000);
        let heard = people.iter().map(|_| BTreeMap::new()).collect();
        let (agenda, asked, rng) = (BTreeMap::new(), BTreeSet::new(), StdRng::seed_from_u64(seed));
        let (told, end_ms) = (plan.told, START + 60_000 + plan.end_ms);
        let mut reunion = Self { people, heard, agenda, n: 0, rng, told, end_ms, pages, asked, made: 0 };
        reunion.connect(plan.talks_to);
        reunion
    }

    fn connect(&mut self, talks_to: Option<usize>) {
        let n = self.people.len();
        // Some near and some far: what one says is everywhere after a few steps.
        let far = |a: usize| move |step: usize| (a + step * step) % n;
        let mut pairs = BTreeSet::new();
        for a in 0..n {
            let others: Vec<usize> = match talks_to {
                Some(talks_to) => (1..=talks_to).map(far(a)).collect(),
                None => (0..a).collect(),
            };
            pairs.extend(others.into_iter().filter(|b| *b != a).map(|b| (a.max(b), a.min(b))));
        }
        for (a, b) in pairs {
            let at_ms = START + 60_000 + self.rng.random_range(0..ALL_CONNECTED_MS);
            self.plan(at_ms, Happens::Round(a, b));
        }
    }

    fn plan(&mut self, at_ms: u64, what: Happens) {
        self.n += 1;
        self.agenda.insert((at_ms, self.n), what);
    }

    fn later(&mut self, now_ms: u64) -> u64 {
        now_ms + self.rng.random_range(20..SLOW_MS)
    }

    /// Somebody makes epochs by hand at these times, counted from the beginning.
    pub(super) fn rotates(&mut self, who: usize, at_ms: impl Iterator<Item = u64>) {
        at_ms.for_each(|at_ms| self.plan(START + 60_000 + at_ms, Happens::Rotates(who)));
    }

    /// All meet; answers how many epochs they made.
    pub(super) fn meet(mut self) -> usize {
        let end_ms = self.end_ms;
        let mut now_ms = START + 60_000;
        while now_ms < end_ms && !self.is_at_rest(now_ms) {
            now_ms += 1_000;
            self.end_ms = now_ms;
            self.go_on(|_| {});
        }
        self.check_same();
        self.made
    }

    /// Whether everybody is connected, holds the same, and can write.
    fn is_at_rest(&self, now_ms: u64) -> bool {
        let all = heads(&self.people[0]);
        let rests = |person: &Person| person.room.epoch_status().epoch.is_some() && heads(person) == all;
        now_ms > START + 60_000 + ALL_CONNECTED_MS && self.people.iter().all(rests)
    }

    /// Until the end; `look` sees the room of each whenever something happened to it.
    pub(super) fn go_on(&mut self, mut look: impl FnMut(&Person)) {
        while self.agenda.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= self.end_ms)
            && let Some(((at_ms, _), what)) = self.agenda.pop_first()
        {
            match what {
                Happens::Round(a, b) => self.round(a, b, at_ms),
                Happens::Hears { who, of, heads, events } => {
                    self.heard[who].insert(of, heads);
                    self.takes(who, events, at_ms);
                    look(&self.people[who]);
                }
                Happens::Gossip { who, events } => {
                    self.takes(who, events, at_ms);
                    look(&self.people[who]);
                }
                Happens::Page { who, hash } => {
                    self.people[who].now = at_ms;
                    let page = self.pages[&hash].clone();
                    if let Ok(outcome) = self.people[who].room.accept_page(page) {
                        self.people[who].keep(outcome);
                    }
                    self.look(who, at_ms);
                }
                Happens::Wake(who) => {
                    self.people[who].now = at_ms;
                    self.look(who, at_ms);
                }
                Happens::Rotates(who) => self.rotate(who, at_ms),
            }
        }
    }

    /// Everybody holds the same, and can write.
    pub(super) fn check_same(&self) {
        let all = heads(&self.people[0]);
        for person in &self.people {
            assert!(person.room.epoch_status().epoch.is_some() && heads(person) == all, "all agree in the end");
        }
    }

    fn round(&mut self, a: usize, b: usize, at_ms: u64) {
        let same = heads(&self.people[a]) == heads(&self.people[b]);
        for (who, of) in [(a, b), (b, a)] {
            let heads = heads(&self.people[of]);
            // Of what both are told already nothing is new to them.
            if same && self.heard[who].get(&of) == Some(&heads) {
                continue;
            }
            let lacks = |event: &&Event| self.people[who].room.control_event(&event.id()).is_none();
            let events = match same {
                true => Vec::new(),
                false => self.people[of].room.control_events().filter(lacks).cloned().collect(),
            };
            let at_ms = self.later(at_ms);
            self.plan(at_ms, Happens::Hears { who, of, heads, events });
        }
        let next_ms = at_ms + self.rng.random_range(1_500..2_500);
        self.plan(next_ms, Happens::Round(a, b));
    }

    fn takes(&mut self, who: usize, mut events: Vec<Event>, at_ms: u64) {
        let person = &mut self.people[who];
        person.now = at_ms;
        events.retain(|event| person.room.control_event(&event.id()).is_none());
        person.receive(events);
        self.look(who, at_ms);
    }

    /// One that does not mind what its own room refuses.
    fn rotate(&mut self, who: usize, now_ms: u64) {
        let person = &mut self.people[who];
        person.now = now_ms;
        let reason = crate::control::RotateReason::Hand;
        let outcome = person.room.make_epoch(reason, now_ms, &mut person.rng).unwrap();
        let events = outcome.events().cloned().collect();
        person.keep(outcome);
        self.tell(who, events, now_ms);
    }

    fn look(&mut self, who: usize, now_ms: u64) {
        let person = &mut self.people[who];
        if self.told {
            let ours = heads(person);
            let device = |of: &usize| self.people[*of].room.me().device();
            let apart =
                self.heard[who].iter().filter(|(_, theirs)| **theirs != ours).map(|(of, _)| device(of)).collect();
            let connected = self.heard[who].keys().map(device).collect();
            self.people[who].room.meet(Company { connected, apart, unproved: false }, now_ms);
        }
        let person = &mut self.people[who];
        let (outcome, wake) = person.room.maintain(now_ms, &mut person.rng);
        let events: Vec<Event> = outcome.events().cloned().collect();
        let rotates = |event: &&Event| event.control().is_some_and(|header| header.kind == ROTATE_KIND);
        self.made += events.iter().filter(rotates).count();
        person.keep(outcome);
        if let Some(at_ms) = wake {
            self.plan(at_ms.max(now_ms + 1), Happens::Wake(who));
        }
        self.tell(who, events, now_ms);
        for hash in self.people[who].room.pages_wanted() {
            if self.pages.contains_key(&hash) && self.asked.insert((who, hash)) {
                let at_ms = self.later(now_ms);
                self.plan(at_ms, Happens::Page { who, hash });
            }
        }
    }

    /// Pushed to those who are connected, and gossiped to all others.
    fn tell(&mut self, who: usize, events: Vec<Event>, now_ms: u64) {
        if events.is_empty() {
            return;
        }
        self.pages.extend(self.people[who].pages());
        for other in (0..self.people.len()).filter(|other| *other != who) {
            let (at_ms, events) = (self.later(now_ms), events.clone());
            let what = match self.heard[who].contains_key(&other) {
                true => Happens::Hears { who: other, of: who, heads: heads(&self.people[who]), events },
                false => Happens::Gossip { who: other, events },
            };
            self.plan(at_ms, what);
        }
    }
}
