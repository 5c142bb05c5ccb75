//! A member who does not keep to the rules: its node is the real one, but its home was changed while it did not run, so that
//! it holds and passes on what no honest node would ever write.
//!
//! The trick is one for all rules: the room's machine is brought back to a moment in the past, before its owner was removed.
//! There everything is permitted still. What it writes there has the parents of then, a time of then, and the keys of then,
//! and goes into the logs where they end now.

use parlor_crypto::epoch::SliceSecret;
use parlor_crypto::seal;
use parlor_node::{AtRest, Home, Passphrase};
use parlor_proto::body::{Body, Edit};
use parlor_proto::control::{Control, InviteHistory, Role, Setting, Target};
use parlor_proto::event::{Event, Header, MessageHeader, sealing_header};
use parlor_proto::hlc::Hlc;
use parlor_proto::room::{Accepted, EpochRow, NewInvite, Outcome, Removal, Room};
use parlor_proto::{AccountId, RoomId};
use parlor_storage::{Batch, ControlRow, MessageRow};
use parlor_tests::{Person, eventually};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// A home that is being changed.
struct Doctored {
    home: AtRest,
    /// The room as it was.
    room: Room,
    /// When that was.
    now_ms: u64,
}

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn control_of(event: &Event) -> Control {
    Control::decode(event.control().unwrap().kind, event.payload()).unwrap()
}

/// Says something, and edits what was said last, under the keys of before the removal of somebody else, knowing of it: what the
/// rules forbid, and no honest node does.
fn writes_under_old_keys(person: &Person, room: &str, text: &str, edited: &str) {
    let home = AtRest::open(&Home::at(person.home()), &Passphrase::None).unwrap();
    let id: RoomId = room.parse().unwrap();
    let now = home.room(id).unwrap();
    let me = home.identity.device();
    let last = home.parts(id).unwrap().tips.into_iter().find(|tip| tip.path == me).unwrap().event;
    let old = last.message().unwrap().clone();
    assert_ne!(now.epoch_status().epoch, Some(old.epoch), "there are other keys since");
    let name = [&b"epoch"[..], old.epoch.as_bytes()].concat();
    let keys = home.parts(id).unwrap().keys;
    let held = EpochRow::decode(&name, &keys[&name]).unwrap().1.key.unwrap();
    let slice = SliceSecret::from_secret(held.slice, held.key).unwrap();
    let mut before = (last.id(), old);
    let mut batch = Batch::new(Some(id));
    let mut write = |body: Body| {
        let header = MessageHeader {
            seq: before.1.seq + 1,
            prev: before.0,
            control: now.control_frontier(),
            hlc: Hlc(before.1.hlc.0 + (1 << 16)),
            generation: before.1.generation + 1,
            ..before.1.clone()
        };
        let unsealed = Header::Message(header.clone());
        let sealing = sealing_header(&unsealed, &unsealed.encode());
        let mut chain = slice.sender(me.as_bytes());
        chain.advance_to(header.generation).unwrap();
        let key = chain.message_key(&seal::header_digest(id.as_bytes(), &sealing));
        let payload = seal::seal(&key, id.as_bytes(), &sealing, &body.encode());
        let event = Event::sign(&id, unsealed, &payload, home.identity.signing_key()).unwrap();
        batch.message(MessageRow {
            device: me,
            seq: event.seq(),
            id: event.id(),
            hlc: header.hlc.0,
            order: header.hlc.0,
            received_ms: header.hlc.ms(),
            covers_own: 0,
            key: Some(key.secret().clone()),
            bytes: event.bytes().to_vec(),
            fades_ms: None,
        });
        before = (event.id(), event.message().unwrap().clone());
    };
    write(Body::text(text));
    write(Body::Edit(Edit { target: last.id(), text: edited.to_owned(), mentions: Vec::new() }));
    home.store.commit_blocking(batch).unwrap();
}

impl Doctored {
    /// The room in this home as it was before the removal of its owner.
    fn before_removal(person: &Person, room: &str) -> Self {
        let home = AtRest::open(&Home::at(person.home()), &Passphrase::None).unwrap();
        let id: RoomId = room.parse().unwrap();
        let me = home.identity.account();
        let mut parts = home.parts(id).unwrap();
        let of_me = |event: &Event| match control_of(event) {
            Control::Remove(remove) => remove.target == Target::Account(me),
            _ => false,
        };
        let at = parts.control.iter().position(of_me).expect("it was removed");
        let removal = parts.control[at].control().unwrap().ts_ms;
        parts.control.truncate(at);
        let room = Room::restore(home.identity.clone(), parts).unwrap();
        assert!(room.is_member(), "in the past it is a member still");
        Self { home, room, now_ms: removal - 1 }
    }

    /// Puts events into the home, at the ends of the logs.
    fn keep(&self, outcome: Outcome) {
        let mut batch = Batch::new(Some(self.room.id()));
        for accepted in &outcome.accepted {
            match accepted {
                Accepted::Control(event) => _ = batch.control(ControlRow::of(event)),
                Accepted::Message(message) => _ = batch.message(MessageRow::of(message, self.now_ms)),
            }
        }
        batch.persist(outcome.persist);
        self.home.store.commit_blocking(batch).unwrap();
    }

    fn says(&mut self, text: &str) {
        let body = Body::text(text);
        let written = self.room.write(&body, self.now_ms, &mut rng()).unwrap();
        let outcome = Outcome {
            accepted: vec![Accepted::Message(written.message)],
            persist: written.persist,
            ..Outcome::default()
        };
        self.keep(outcome);
    }

    fn removes(&mut self, account: AccountId) {
        let removal = Removal { target: Target::Account(account), ban: true, cascade: true, purge: true };
        let outcome = self.room.remove(&[removal], self.now_ms, &mut rng()).unwrap();
        self.keep(outcome);
    }

    fn makes(&mut self, account: AccountId, role: Role) {
        let outcome = self.room.grant_role(&account, role, self.now_ms).unwrap();
        self.keep(outcome);
    }

    fn renames(&mut self, name: &str) {
        let outcome = self.room.set_state(vec![(Setting::Name, name.into())], self.now_ms).unwrap();
        self.keep(outcome);
    }

    fn invites(&mut self) {
        let new = NewInvite { history: Some(InviteHistory::Full), ..NewInvite::of(Role::Member) };
        let (_, outcome) = self.room.invite(&new, self.now_ms, &mut rng()).unwrap();
        self.keep(outcome);
    }
}

#[test]
fn what_somebody_writes_under_old_keys_is_flagged_in_every_history() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "2"]);
    let (bob, mut carol) = (Person::start("Bob"), Person::start("Carol"));
    [&bob, &carol].iter().for_each(|person| person.join(&link));
    carol.say(&room, "Good morning");
    [&alice, &bob].iter().for_each(|person| drop(person.holds(&room, 1)));
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    let stay = [("Alice", "owner"), ("Carol", "member")];
    carol.sees(&room, &stay);
    eventually("Carol has the new keys", || {
        (carol.cli(&["room", "show", &room]).done().object()["safe"] == true).then_some(())
    });
    carol.stop();
    writes_under_old_keys(&carol, &room, "Bob reads this", "and also this");
    carol.run();

    let flagged = |person: &Person| {
        eventually(&format!("{} has both", person.name), || {
            let mut lines = person.cli(&["history", &room]).done().lines();
            lines.reverse();
            (lines.len() == 2 && lines[0]["edits"] == 1).then_some(lines)
        })
    };
    let lines = flagged(&alice);
    assert_eq!(
        (lines[0]["text"].as_str(), &lines[0]["unsafe_epoch"]),
        (Some("and also this"), &true.into()),
        "an edit"
    );
    assert_eq!((lines[1]["text"].as_str(), &lines[1]["unsafe_epoch"]), (Some("Bob reads this"), &true.into()));
    alice.say(&room, "Under the new ones");
    let told = |person: &Person| person.plain(&["history", &room]).stdout;
    let of = |told: &str, text: &str| told.lines().find(|line| line.contains(text)).unwrap().to_owned();
    let warned = |line: String| line.contains("written under old keys: somebody who is out may read it");
    assert!(warned(of(&told(&alice), "Bob reads this")) && !warned(of(&told(&alice), "Under the new ones")));
    alice.restart();
    assert!(warned(of(&told(&alice), "Bob reads this")) && warned(of(&told(&alice), "and also this")));
}

fn account(person: &Person) -> AccountId {
    person.cli(&["status"]).done().text("account").parse().unwrap()
}

#[test]
fn what_a_removed_admin_writes_with_old_parents_changes_nothing_and_is_said_not_to_count() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "3"]);
    let (bob, carol) = (Person::start("Bob"), Person::start("Carol"));
    let mut mallory = Person::start("Mallory");
    [&bob, &carol, &mallory].iter().for_each(|person| person.join(&link));
    alice.cli(&["member", "role", &room, "@Mallory", "admin"]).done();
    let roles = [("Alice", "owner"), ("Bob", "member"), ("Carol", "member"), ("Mallory", "admin")];
    [&alice, &bob, &carol, &mallory].iter().for_each(|person| person.sees(&room, &roles));
    mallory.say(&room, "Good morning");
    [&alice, &bob, &carol].iter().for_each(|person| drop(person.holds(&room, 1)));
    // Then they know where to find each other.
    [&alice, &bob, &carol, &mallory].iter().for_each(|person| person.connected_to(3));
    alice.cli(&["member", "remove", &room, "@Mallory"]).done();
    assert_eq!(mallory.is_removed(&room), "Alice");
    alice.say(&room, "After");
    let stay = [("Alice", "owner"), ("Bob", "member"), ("Carol", "member")];
    for person in [&alice, &bob, &carol] {
        person.sees(&room, &stay);
        person.holds(&room, 2);
    }
    let (bob_id, carol_id) = (account(&bob), account(&carol));
    mallory.stop();

    let mut past = Doctored::before_removal(&mallory, &room);
    past.says("I am here still");
    past.makes(carol_id, Role::Admin);
    past.renames("Mallory's");
    past.invites();
    past.removes(bob_id);
    past.says("Bob is out");
    drop(past);

    // From now on the real node passes it on to everybody.
    mallory.run();
    let tried = [
        "Mallory made Carol an admin, which does not count",
        "Mallory named the room Mallory's, which does not count",
        "Mallory made an invite, which does not count",
        "Bob was banned by Mallory, with all whom they brought, and their messages hidden, which does not count",
    ];
    for person in [&alice, &bob, &carol] {
        for line in tried {
            eventually(&format!("{} is told: {line}", person.name), || {
                person.notes(&room).iter().any(|note| note == line).then_some(())
            });
        }
        person.sees(&room, &stay);
        assert_eq!(person.cli(&["room", "show", &room]).done().text("name"), "Club");
        assert_eq!(person.texts(&room), ["Good morning", "After"]);
    }
    // All of them agree, write on, and read each other.
    bob.say(&room, "I am not out");
    for person in [&alice, &bob, &carol] {
        assert_eq!(person.holds(&room, 3)[2].text, "I am not out");
    }
    eventually("all see the same room", || {
        let shown = [&alice, &bob, &carol].map(|person| person.cli(&["room", "show", &room]).done().object());
        let same = |field: &str| shown.iter().all(|room| room[field] == shown[0][field]);
        (same("fingerprint") && same("control_frontier") && same("epoch") && shown[0]["safe"] == true).then_some(())
    });
    assert!(!mallory.texts(&room).iter().any(|text| text == "After" || text == "I am not out"));
}
