//! The start of the service: rooms are loaded and given to workers, and are found from then on.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_api::Problem;
use parlor_proto::RoomId;
use parlor_proto::codec;
use parlor_proto::outbox::{self, Outbox};
use parlor_storage::{Namespace, Store};
use tokio::sync::{mpsc, oneshot};

use super::entry::Entry;
use super::handle::Rooms;
use super::worker::{Context, Worker};
use crate::limits::{WORKER_INBOX, WORKERS_MAX};

/// Starts the workers with the rooms that the store holds. Blocks while they are loaded. The second is to be waited for before
/// anybody looks for a room: then all are in the directory.
///
/// # Errors
/// `home_damaged` when a room can not be restored.
pub(crate) fn start(context: Arc<Context>, tasks: &mut tokio::task::JoinSet<()>) -> Result<(Rooms, Begun), Problem> {
    let n = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let mut workers: Vec<_> = Vec::new();
    let mut senders = Vec::new();
    for _ in 0..n {
        let (sender, inbox) = mpsc::channel(WORKER_INBOX);
        senders.push(sender);
        workers.push((inbox, HashMap::new()));
    }
    for (id, _) in context.store.rooms().map_err(super::entry::damaged)? {
        let entry = Entry::load(&context, id)?;
        if let Some((_, rooms)) = workers.get_mut(Rooms::place(&id, n)) {
            rooms.insert(id, entry);
        }
    }
    let mut begun = Vec::new();
    for (inbox, rooms) in workers {
        let outbox = Outbox::restore(stored_outbox(&context.store, rooms.keys())?);
        let worker = Worker::new(context.clone(), inbox, rooms, outbox);
        let (ready, wait) = oneshot::channel();
        begun.push(wait);
        tasks.spawn(worker.run(ready));
    }
    Ok((Rooms::new(senders), Begun(begun)))
}

/// What ends when every worker has begun with its rooms.
pub(crate) struct Begun(Vec<oneshot::Receiver<()>>);

impl Begun {
    /// Waits until every room is in the directory, with its last message.
    pub(crate) async fn wait(self) {
        for worker in self.0 {
            // A worker that ended has nothing more to begin with; the node ends with it.
            let _ = worker.await;
        }
    }
}

pub(super) fn stored_outbox<'a>(
    store: &Store,
    rooms: impl Iterator<Item = &'a RoomId>,
) -> Result<Vec<outbox::Entry>, Problem> {
    let mut entries = Vec::new();
    for room in rooms {
        for (_, bytes) in store.scan(Some(room), Namespace::Outbox, &[]).map_err(super::entry::damaged)? {
            entries.extend(codec::decode::<outbox::Entry>(&bytes, usize::MAX));
        }
    }
    Ok(entries)
}
