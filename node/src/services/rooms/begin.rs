//! The start of the service: rooms are loaded and given to workers, and are found from then on.

use std::collections::HashMap;
use std::sync::Arc;

use parlor_api::{Code, Problem};
use parlor_proto::RoomId;
use parlor_proto::codec;
use parlor_proto::outbox::{self, Outbox};
use parlor_storage::Namespace;
use tokio::sync::{mpsc, oneshot};

use super::damaged::Damage;
use super::entry::Entry;
use super::handle::Rooms;
use super::worker::{Context, Worker};
use crate::clock::now_ms;
use crate::limits::{WORKER_INBOX, WORKERS_MAX};

/// Starts the workers with the rooms that the store holds. Blocks while they are loaded. The second is to be waited for before
/// anybody looks for a room: then all are in the directory.
///
/// A room that can not be restored is left out: it is in the directory as damaged.
///
/// # Errors
/// `home_damaged` when the list of rooms can not be read.
pub(crate) fn start(context: Arc<Context>, tasks: &mut tokio::task::JoinSet<()>) -> Result<(Rooms, Begun), Problem> {
    let n = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS_MAX);
    let mut workers: Vec<_> = Vec::new();
    let mut senders = Vec::new();
    for _ in 0..n {
        let (sender, inbox) = mpsc::channel(WORKER_INBOX);
        senders.push(sender);
        workers.push((inbox, HashMap::new(), Vec::new(), HashMap::new()));
    }
    for (id, _) in context.store.rooms().map_err(super::entry::damaged)? {
        let place = workers.get_mut(Rooms::place(&id, n));
        match loaded(&context, id) {
            Ok((entry, outbox)) => {
                if let Some((_, rooms, waits, _)) = place {
                    rooms.insert(id, entry);
                    waits.extend(outbox);
                }
            }
            Err(problem) if problem.code == Code::HomeDamaged => {
                context.directory.damaged(id, &problem);
                if let Some((.., damaged)) = place {
                    damaged.insert(id, Damage::new(now_ms()));
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    let mut begun = Vec::new();
    for (inbox, rooms, waits, damaged) in workers {
        let outbox = Outbox::restore(waits);
        let mut worker = Worker::new(context.clone(), inbox, rooms, outbox);
        worker.damaged = damaged;
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

/// A room as the store holds it, and what of it waits in the outbox. Blocks.
pub(super) fn loaded(context: &Context, room: RoomId) -> Result<(Entry, Vec<outbox::Entry>), Problem> {
    let rows = context.store.scan(Some(&room), Namespace::Outbox, &[]).map_err(super::entry::damaged)?;
    let outbox = rows.iter().filter_map(|(_, bytes)| codec::decode(bytes, usize::MAX).ok()).collect();
    Ok((Entry::load(context, room)?, outbox))
}

/// As [`loaded`]; nothing of a room that the store does not hold. Blocks.
pub(super) fn held(context: &Context, room: RoomId) -> Result<Option<(Entry, Vec<outbox::Entry>)>, Problem> {
    let stored = context.store.rooms().map_err(super::entry::damaged)?;
    if !stored.iter().any(|(id, _)| *id == room) {
        return Ok(None);
    }
    loaded(context, room).map(Some)
}

#[cfg(test)]
mod tests;
