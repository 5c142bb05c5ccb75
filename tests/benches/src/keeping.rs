//! How a node keeps what its rooms say, as far as a bench needs it: the same batches, the same rows.

use std::path::Path;

use parlor_crypto::vault::Vault;
use parlor_proto::event::Event;
use parlor_proto::room::{Accepted, MessageTip, Persist, RoomParts};
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, CommitError, ControlRow, HEADS, MessageRow, Namespace, OpenOptions, Store};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::people::{Person, START};

/// The vault of all stores of a bench.
pub fn vault() -> Vault {
    Vault::generate(&mut StdRng::seed_from_u64(7))
}

/// Opens the store in a folder.
pub fn open(dir: &Path) -> Store {
    Store::open(dir, &vault(), OpenOptions::default()).unwrap()
}

/// A store that holds the room of `person` without messages.
pub fn begin(dir: &Path, person: &Person) -> Store {
    let store = open(dir);
    let mut batch = Batch::new(Some(person.id()));
    batch.room(codec::encode(&person.id()));
    for event in person.room.control_events() {
        batch.control(ControlRow::of(event));
    }
    batch.persist(person.persist.clone());
    store.commit_blocking(batch).unwrap();
    store
}

/// The batch in which a node commits what a room accepted.
pub fn batch(room: RoomId, accepted: &[Accepted], beside: Persist) -> Batch {
    let mut batch = Batch::new(Some(room));
    for accepted in accepted {
        match accepted {
            Accepted::Control(event) => drop(batch.control(ControlRow::of(event))),
            Accepted::Message(message) => drop(batch.message(MessageRow::of(message, START))),
        }
    }
    batch.persist(beside);
    batch
}

/// What a store holds of a room: what a node reads at its start.
pub fn parts(store: &Store, id: RoomId) -> RoomParts {
    let decode = |bytes: &[u8]| Event::decode(&id, bytes).unwrap();
    let control = store.control(&id).unwrap().iter().map(|row| decode(&row.bytes)).collect();
    let tips = store.tips(&id).unwrap().message.into_iter().map(|tip| {
        let row = store.message(&id, &tip.id).unwrap().unwrap();
        MessageTip { path: row.device, event: decode(&row.bytes), covers_own: row.covers_own }
    });
    let tips = tips.collect();
    let heads = store.get(Some(&id), Namespace::Meta, HEADS).unwrap().unwrap_or_default();
    let keys = store.scan(Some(&id), Namespace::Keys, &[]).unwrap();
    let keys = keys.into_iter().map(|(name, row)| (name, row.into())).collect();
    RoomParts { room: id, control, tips, heads, keys }
}

/// Commits that are under way, answered in order: the room's worker goes on while the store's writer works.
#[derive(Default)]
pub struct Pipeline<'a> {
    waiting: std::collections::VecDeque<futures::future::BoxFuture<'a, Result<(), CommitError>>>,
}

impl<'a> Pipeline<'a> {
    /// Hands a batch to the writer; waits first while more than `most` are under way.
    pub fn commit(&mut self, store: &'a Store, batch: Batch, most: usize) {
        while self.waiting.len() >= most {
            self.finish_one();
        }
        let mut commit: futures::future::BoxFuture<'a, _> = Box::pin(store.commit(batch));
        // The first poll puts it into the writer's queue.
        match futures::FutureExt::now_or_never(&mut commit) {
            Some(done) => done.unwrap(),
            None => self.waiting.push_back(commit),
        }
    }

    /// Waits until everything is durable.
    pub fn finish(&mut self) {
        while !self.waiting.is_empty() {
            self.finish_one();
        }
    }

    fn finish_one(&mut self) {
        if let Some(first) = self.waiting.pop_front() {
            futures::executor::block_on(first).unwrap();
        }
    }
}
