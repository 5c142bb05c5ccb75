//! A member who does not keep to the rules: its node is the real one, but its home was changed while it did not run, so that
//! it holds and passes on what no honest node would ever write.
//!
//! The trick is one for all rules: the room's machine is brought back to a moment in the past, before its owner was removed.
//! There everything is permitted still. What it writes there has the parents of then, a time of then, and the keys of then,
//! and goes into the logs where they end now.

use parlor_node::{AtRest, Home, Passphrase};
use parlor_proto::body::Body;
use parlor_proto::control::{Control, InviteHistory, Role, Setting, Target};
use parlor_proto::event::Event;
use parlor_proto::room::{Accepted, NewInvite, Outcome, Removal, Room};
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
