//! Real rooms with as many members as a bench asks for, made by the room's own machine.

use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use parlor_proto::RoomId;
use parlor_proto::body::Body;
use parlor_proto::control::{History, JoinRequest, Role};
use parlor_proto::epoch::Welcome;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{Message, NewInvite, NewRoom, Outcome, Persist, Room, RoomParts, Written};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// When benches begin, milliseconds since the epoch.
pub const START: u64 = 1_700_000_000_000;

/// The length of a chat message in the benches, in bytes; its event has about 350.
const TEXT: usize = 100;

/// A member with its room.
pub struct Person {
    /// The room as this member sees it.
    pub room: Room,
    /// What it wants stored beside its events.
    pub persist: Persist,
    rng: StdRng,
    now_ms: u64,
}

/// A room of `n` members who all know of each other and can write. The first one made it.
pub fn room_of(n: u64) -> Vec<Person> {
    let mut crowd = Crowd::found();
    let mut people: Vec<Person> = (1..n).map(|n| crowd.admit(n)).collect();
    people.insert(0, crowd.founder);
    let control: Vec<Event> = people[0].room.control_events().cloned().collect();
    for person in &mut people {
        person.receive(control.clone());
        assert!(person.room.epoch_status().epoch.is_some(), "everybody can write");
    }
    people
}

/// The founder of a room of `n` members, and the last one who came; the others are members, and nothing of them runs.
pub fn two_of(n: u64) -> (Person, Person) {
    let mut crowd = Crowd::found();
    (1..n - 1).for_each(|n| drop(crowd.admit(n)));
    let mut last = crowd.admit(n - 1);
    last.receive(crowd.founder.room.control_events().cloned().collect());
    assert!(last.room.epoch_status().epoch.is_some(), "it can write");
    (crowd.founder, last)
}

/// A room that lets people in.
struct Crowd {
    founder: Person,
    link: InviteSeed,
}

impl Crowd {
    fn found() -> Self {
        let mut rng = StdRng::seed_from_u64(0);
        let new = NewRoom::group("bench", History::Full);
        let (room, outcome) = Room::create(identity(0), new, START, &mut rng).unwrap();
        let mut founder = Person { room, persist: outcome.persist, rng, now_ms: START };
        let (link, outcome) = founder.room.invite(&NewInvite::of(Role::Member), START, &mut founder.rng).unwrap();
        founder.keep(outcome);
        Self { founder, link }
    }

    /// Lets the person of this number in, who holds nothing but its Welcome yet.
    fn admit(&mut self, number: u64) -> Person {
        let me = identity(number);
        let (id, keys) = (self.founder.id(), self.link.keys());
        let request = JoinRequest::sign(&id, &keys.sign, me.signing_key(), me.entrant(), [7; 16]);
        let admission = self.founder.room.admit(request, false, START, &mut self.founder.rng).unwrap();
        self.founder.keep(admission.outcome);
        let welcome = Welcome::open(&me, &id, &keys.sign.public_bytes(), &admission.welcome.unwrap()).unwrap();
        let (room, outcome) = Room::join(me, id, welcome);
        Person { room, persist: outcome.persist, rng: StdRng::seed_from_u64(number), now_ms: START }
    }
}

fn identity(seed: u64) -> Arc<Identity> {
    let (_, me) = Identity::create("bench", START, &mut StdRng::seed_from_u64(seed)).unwrap();
    Arc::new(me)
}

/// A text as people write it, another one for each number.
pub fn text(n: u64) -> String {
    let mut text = format!("message {n}: ");
    while text.len() < TEXT {
        text.push_str("the kettle is on, ");
    }
    text.truncate(TEXT);
    text
}

/// `count` messages of a conversation in which the people take turns of ten; each turn knows all that was written before.
/// In their order.
pub fn conversation(people: &mut [Person], count: u64) -> Vec<Event> {
    const TURN: u64 = 10;
    let mut events: Vec<Event> = Vec::new();
    let mut known = vec![0; people.len()];
    for turn in 0..count.div_ceil(TURN) {
        let at = turn as usize % people.len();
        let others = events[known[at]..].iter().filter(|event| event.device() != people[at].room.me().device());
        let others = others.cloned().collect();
        people[at].now_ms = START + turn * 1_000;
        people[at].receive(others);
        events.extend((0..TURN).map(|n| people[at].write(&text(turn * TURN + n)).message.event));
        known[at] = events.len();
    }
    events.truncate(count as usize);
    events
}

impl Person {
    /// Writes a message.
    pub fn write(&mut self, text: &str) -> Written {
        self.now_ms += 1;
        self.room.write(&Body::text(text), self.now_ms, &mut self.rng).unwrap()
    }

    /// Takes events, which must all be good; gives the messages among them.
    pub fn receive(&mut self, events: Vec<Event>) -> Vec<Message> {
        let received = self.room.receive(events, self.now_ms);
        assert!(received.rejected.is_empty() && received.waiting.is_empty());
        self.keep(received.outcome)
    }

    /// The room as it is after a restart, when it holds no messages yet.
    pub fn fresh(&self) -> Room {
        let parts = RoomParts {
            room: self.id(),
            control: self.room.control_events().cloned().collect(),
            tips: Vec::new(),
            heads: Vec::new(),
            keys: self.persist.keys.clone().into_iter().filter_map(|(name, row)| Some((name, row?))).collect(),
        };
        Room::restore(self.room.me().clone(), parts).unwrap()
    }

    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.room.id()
    }

    fn keep(&mut self, outcome: Outcome) -> Vec<Message> {
        self.persist.merge(outcome.persist);
        let messages = outcome.accepted.into_iter().filter_map(|accepted| match accepted {
            parlor_proto::room::Accepted::Message(message) => Some(message),
            parlor_proto::room::Accepted::Control(_) => None,
        });
        messages.collect()
    }
}
