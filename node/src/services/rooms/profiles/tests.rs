//! Promises about profiles in a room.

use parlor_api::{UpdateField, UpdateProfile};
use parlor_crypto::SigningKey;
use parlor_crypto::envelope::EnvelopeKey;
use parlor_proto::EpochId;
use parlor_proto::outbox::Outbox;

use super::*;
use crate::services::alone::Alone;

const ROOM: RoomId = RoomId([7; 32]);

fn record(room: &RoomId, device: &SigningKey, counter: u64) -> Profile {
    let key = EnvelopeKey::new(&Secret::new([1; 32]));
    let at = Place { room, slice: (EpochId([2; 16]), 0), key: &key };
    Profile::seal(at, device, counter, &Content::default(), &mut rng())
}

#[test]
fn a_member_who_floods_costs_a_commit_in_a_while_and_the_newest_is_taken() {
    let mut pace = Pace::default();
    let device = |n: u8| DeviceId([n; 32]);
    assert_eq!(pace.admit(device(1), 4, "first", 10_000), Some("first"), "at once");
    for (counter, what) in [(5, "b"), (9, "newest"), (7, "c"), (9, "again"), (8, "d")] {
        assert_eq!(pace.admit(device(1), counter, what, 10_001), None);
    }
    assert_eq!(pace.due(), Some(10_000 + PROFILE_EVERY_MS));
    assert!(pace.ripe(10_000 + PROFILE_EVERY_MS - 1).is_empty());
    assert_eq!(pace.ripe(10_000 + PROFILE_EVERY_MS), ["newest"]);
    assert_eq!((pace.due(), pace.admit(device(1), 10, "soon", 10_001 + PROFILE_EVERY_MS)), (None, None));
    assert_eq!(pace.admit(device(1), 11, "back", 9_000), Some("back"), "a clock that went back keeps nothing out");
    for n in 1..=PROFILES_WAITING as u8 + 1 {
        pace.admit(device(n), 1, "first", 50_000);
        pace.admit(device(n), 2, "second", 50_000);
    }
    assert_eq!(pace.waiting.len(), PROFILES_WAITING, "what finds no room comes again");
    pace.retain(|one| *one == device(1));
    assert_eq!(pace.ripe(99_000), ["second"]);
}

#[test]
fn what_is_stored_is_read_as_it_was() {
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let held = Held { record: record(&ROOM, &key, 3), content: Some(Content::default()), opened: true };
    let Row(bytes, content, opened) = codec::decode(&held.row(), MAX_ROW).unwrap();
    assert_eq!((Profile::decode(&ROOM, &bytes.0), content, opened), (Ok(held.record), held.content, true));
}

impl Alone {
    fn here(&self) -> RoomId {
        self.room.parse().unwrap()
    }

    /// Our record as it is stored, when it was written for what we tell now.
    async fn own_record(&self) -> Held {
        let (context, me) = (&self.app.node.context, self.app.node.context.identity.device());
        loop {
            let held = RoomProfiles::load(&context.store, &self.here()).unwrap().held.remove(&me);
            if let Some(held) = held.filter(|held| held.opened) {
                return held;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn telling(about: &str) -> Self {
        let alone = Self::new().await;
        let about = UpdateField { value: Some(about.to_owned()), ..UpdateField::default() };
        alone.app.update_profile(UpdateProfile { about: Some(about), ..UpdateProfile::default() }).await.unwrap();
        alone
    }

    /// Does something with the room as it is stored, beside the node: what its turns do.
    fn in_turn<T>(&self, now_ms: u64, act: impl FnOnce(&mut Turn<'_>) -> T) -> T {
        let context = self.app.node.context.clone();
        let mut entry = Entry::load(&context, self.here()).unwrap();
        let (mut outbox, mut jobs) = (Outbox::default(), Vec::new());
        act(&mut Turn { entry: &mut entry, outbox: &mut outbox, context: &context, jobs: &mut jobs, now_ms })
    }
}

/// A record of ours that a copy of this home wrote.
fn of_a_copy(turn: &Turn<'_>, counter: u64, content: &Content) -> Profile {
    let (room, slice) = (turn.id(), turn.entry.room.slice_in_use().unwrap());
    let key = turn.entry.room.profile_key(&slice).unwrap();
    let at = Place { room: &room, slice, key: &key };
    Profile::seal(at, turn.context.identity.signing_key(), counter, content, &mut rng())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_opened_before_a_crash_is_opened_at_the_next_start() {
    let alone = Alone::telling("Reads old books.").await;
    let held = alone.own_record().await;
    // As if the key had been stored, and what it opens had not.
    let closed = Held { content: None, opened: false, ..held.clone() };
    let mut batch = Batch::new(Some(alone.here()));
    batch.put(Namespace::Profile, &held.record.device.0, closed.row());
    alone.app.node.context.store.commit(batch).await.unwrap();
    let alone = alone.restarted().await;
    let again = alone.own_record().await;
    assert_eq!(
        (again.record.counter, again.content),
        (held.record.counter, held.content),
        "and nothing is written anew"
    );
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_copies_of_a_home_that_tell_the_same_do_not_answer_each_other() {
    let alone = Alone::telling("Reads old books.").await;
    let held = alone.own_record().await;
    let (counter, content) = (held.record.counter, held.content.unwrap());
    let now = crate::clock::now_ms();
    alone.in_turn(now, |turn| {
        let me = turn.context.identity.device();
        let mut settle = Settle::default();
        let same = of_a_copy(turn, counter + 5, &content);
        assert!(turn.take_profile(same, &mut settle));
        assert_eq!((settle.profiles.len(), turn.entry.profiles.counter(&me)), (1, Some(counter + 5)));
        turn.profess();
        assert_eq!((turn.entry.profiles.due_ms, turn.entry.profiles.counter(&me)), (None, Some(counter + 5)));
        // What says something else is answered, once in a while.
        turn.entry.profiles.written_ms = now;
        let other = Content { about: Field { value: Some("Other.".into()), ..content.about.clone() }, ..content };
        let other = of_a_copy(turn, counter + 9, &other);
        assert!(!turn.take_profile(other, &mut settle));
        turn.profess();
        assert_eq!(turn.entry.profiles.due_ms, Some(now + PROFILE_EVERY_MS));
        turn.now_ms = now + PROFILE_EVERY_MS;
        turn.profess();
        assert_eq!(turn.entry.profiles.counter(&me), Some(counter + 10));
    });
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_who_is_out_no_row_stays_and_pictures_are_not_read_to_know_of_them() {
    let alone = Alone::telling("Reads old books.").await;
    alone.own_record().await;
    let (store, room) = (alone.app.node.context.store.clone(), alone.here());
    let stranger = SigningKey::from_seed(&Secret::new([9; 32]));
    let held = Held { record: record(&room, &stranger, 3), content: None, opened: false };
    let portrait = Portrait::seal(&room, &stranger, 4, None, &mut rng());
    let rows = |held: &Held, portrait: &Portrait| {
        alone.in_turn(1, |turn| {
            let mut batch = Batch::new(Some(room));
            let (profiles, portraits) = (vec![held.clone()], vec![portrait.clone()]);
            turn.put_profiles(&mut batch, &Settle { profiles, portraits, ..Settle::default() });
            batch
        })
    };
    store.commit(rows(&held, &portrait)).await.unwrap();
    let device = held.record.device;
    assert_eq!(RoomProfiles::load(&store, &room).unwrap().portraits.get(&device), Some(&4));
    // A home of before has no row of the counter: it is written, once.
    let mut batch = Batch::new(Some(room));
    batch.delete(Namespace::Profile, &portrait_key(&device));
    store.commit(batch).await.unwrap();
    let counted = || store.get(Some(&room), Namespace::Profile, &portrait_key(&device)).unwrap();
    assert_eq!(counted(), None);
    assert_eq!(RoomProfiles::load(&store, &room).unwrap().portraits.get(&device), Some(&4));
    assert_eq!(counted(), Some(codec::encode(&4_u64)));
    // He is no member: the first batch of the room takes them away.
    let batch = alone.in_turn(1, |turn| {
        assert!(turn.entry.profiles.gone.contains(&device));
        let mut batch = Batch::new(Some(room));
        turn.put_profiles(&mut batch, &Settle::default());
        assert!(turn.entry.profiles.gone.is_empty());
        batch
    });
    store.commit(batch).await.unwrap();
    let left = |namespace| store.scan(Some(&room), namespace, &device.0).unwrap().len();
    assert_eq!((left(Namespace::Profile), left(Namespace::Portrait)), (0, 0));
    alone.node.stop().await.unwrap();
}
