//! People, and a room of three of them: the same in every run.

use std::sync::{Arc, OnceLock};

use parlor_crypto::account::RootSeed;
use parlor_crypto::invite::InviteSeed;
use parlor_proto::RoomId;
use parlor_proto::body::Body;
use parlor_proto::control::{History, JoinRequest, Role};
use parlor_proto::epoch::Welcome;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{Accepted, NewInvite, NewRoom, Outcome, Persist, Room, RoomParts, StoredKeys};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// When everything happens, milliseconds since the epoch.
pub const NOW: u64 = 1_700_000_000_000;

/// The person of this number.
pub fn identity(number: u64) -> Arc<Identity> {
    let (_, me) = Identity::create("fuzz", NOW, &mut StdRng::seed_from_u64(number)).expect("a short name");
    Arc::new(me)
}

/// The root of the account of the person of this number.
pub fn root(number: u64) -> RootSeed {
    Identity::create("fuzz", NOW, &mut StdRng::seed_from_u64(number)).expect("a short name").0
}

/// Random numbers that are the same in every run.
pub fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A room of an owner, an admin and a member, as the owner's disk holds it, with a few messages.
pub struct Prepared {
    /// The room.
    pub room: RoomId,
    /// The three, by seniority.
    pub people: Vec<Arc<Identity>>,
    /// What the disk holds of it.
    pub parts: RoomParts,
    /// The seed of an invite that is still open.
    pub invite: InviteSeed,
    /// All events in order.
    pub events: Vec<Event>,
    /// A sealed Welcome, and a request, of the last one who came.
    pub welcome: Vec<u8>,
    /// The request that it answered.
    pub request: JoinRequest,
}

/// The prepared room, made once.
pub fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(prepare)
}

/// The prepared room as its owner's machine.
pub fn owner_room() -> Room {
    let prepared = prepared();
    Room::restore(prepared.people[0].clone(), prepared.parts.clone()).expect("stored by a room")
}

struct Disk {
    events: Vec<Event>,
    persist: Persist,
}

impl Disk {
    fn keep(&mut self, outcome: Outcome) {
        self.events.extend(outcome.accepted.iter().map(Accepted::event).cloned());
        self.persist.merge(outcome.persist);
    }
}

fn prepare() -> Prepared {
    let rng = &mut rng();
    let people: Vec<_> = (1..=3).map(identity).collect();
    let about = "about".to_owned();
    let new = NewRoom { about, ttl_ms: Some(1_000), ..NewRoom::group("fuzz", History::Full) };
    let mut disk = Disk { events: Vec::new(), persist: Persist::default() };
    let (mut room, outcome) = Room::create(people[0].clone(), new, NOW, rng).expect("a sound room");
    disk.keep(outcome);
    let (mut welcome, mut last) = (Vec::new(), None);
    for (person, role) in people[1..].iter().zip([Role::Admin, Role::Member]) {
        let (seed, outcome) = room.invite(&NewInvite::of(role), NOW, rng).expect("an owner invites");
        disk.keep(outcome);
        let keys = seed.keys();
        let request = JoinRequest::sign(&room.id(), &keys.sign, person.signing_key(), person.entrant(), [7; 16]);
        let admission = room.admit(request.clone(), true, NOW, rng).expect("an open invite");
        disk.keep(admission.outcome);
        welcome = admission.welcome;
        last = Some((seed, request));
    }
    let (invite, request) = last.expect("two came");
    let control: Vec<Event> = room.control_events().cloned().collect();
    let opened = Welcome::open(&people[2], &room.id(), &request.invite_pk, &welcome).expect("sealed for the member");
    let (mut member, _) = Room::join(people[2].clone(), room.id(), opened);
    member.receive(control.clone(), NOW);
    for n in 0..3 {
        let written = member.write(&Body::text(format!("message {n}")), NOW + n, rng).expect("a member writes");
        let received = room.receive(vec![written.message.event], NOW + n);
        disk.keep(received.outcome);
    }
    let keys: StoredKeys = disk.persist.keys.into_iter().filter_map(|(name, row)| Some((name, row?))).collect();
    let parts =
        RoomParts { room: room.id(), control, tips: Vec::new(), heads: disk.persist.heads.unwrap_or_default(), keys };
    Prepared { room: room.id(), people, parts, invite, events: disk.events, welcome, request }
}
