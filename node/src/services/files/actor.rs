//! The owner of what is to be fetched.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parlor_api::{Code, FileState};
use parlor_net::{NetworkHandle, PeerId};
use parlor_proto::FileId;
use parlor_storage::Held;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::blocking;
use super::fetch::{self, End};
use super::handle::{Files, Order};
use super::serve::serve;
use super::table::Place;
use crate::app::Answer;
use crate::clock::now_ms;
use crate::limits::{FETCHES, FILE_AGAIN_MS, FILE_TRIES_MAX, UPLOAD_KEPT_MS};
use crate::services::rooms::Rooms;

/// How often it is looked at what waits.
const LOOK: Duration = Duration::from_secs(1);

/// How often uploads are looked at that nobody sent.
const SWEEP_MS: u64 = 60 * 60 * 1_000;

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) files: Files,
    pub(crate) net: NetworkHandle,
    pub(crate) rooms: Rooms,
}

/// A file that waits to be fetched.
struct Waiting {
    place: Place,
    /// Not tried before, unless somebody else comes.
    due_ms: u64,
    /// How often it was tried in vain.
    tries: u32,
    /// Who was connected then.
    company: Vec<PeerId>,
}

/// A file that is being fetched.
struct Running {
    waiting: Waiting,
    stop: watch::Sender<bool>,
    /// It was given up, and is wanted again since.
    again: Option<Place>,
}

struct Actor {
    parts: Parts,
    waiting: BTreeMap<FileId, Waiting>,
    running: HashMap<FileId, Running>,
    fetches: JoinSet<(FileId, End)>,
    lines: JoinSet<()>,
    swept_ms: u64,
}

/// Runs the service until it is aborted.
pub(crate) async fn run(parts: Parts) {
    let files = parts.files.clone();
    let mut actor = Actor {
        parts,
        waiting: BTreeMap::new(),
        running: HashMap::new(),
        fetches: JoinSet::new(),
        lines: JoinSet::new(),
        swept_ms: 0,
    };
    actor.keep_cache(None).await;
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = files.told() => actor.on_told().await,
            _ = look.tick() => actor.on_look().await,
            Some(ended) = actor.fetches.join_next(), if !actor.fetches.is_empty() => match ended {
                Ok((file, end)) => actor.on_end(file, end).await,
                Err(error) => tracing::error!(%error, "fetching a file failed"),
            },
            Some(_) = actor.lines.join_next(), if !actor.lines.is_empty() => {}
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.parts.files.close();
    }
}

impl Actor {
    async fn on_told(&mut self) {
        let slots = self.parts.files.take();
        for line in slots.lines {
            self.lines.spawn(serve(self.parts.files.clone(), line));
        }
        for order in slots.orders {
            let (done, reply) = match order {
                Order::Want(file, place, None) => {
                    self.want_unasked(file, place).await;
                    continue;
                }
                Order::Want(file, place, Some(reply)) => (self.want(file, place).await, reply),
                Order::Drop(file, reply) => (self.give_up(file).await, reply),
            };
            // Whoever asked may have gone.
            let _ = reply.send(done);
        }
        // Somebody may have come who has what waits.
        let files = self.parts.files.clone();
        for (file, waiting) in &mut self.waiting {
            if files.company(file).iter().any(|peer| !waiting.company.contains(peer)) {
                waiting.due_ms = 0;
            }
        }
        self.begin();
    }

    /// A file is to be fetched. That is written down first: if it can not be, nothing changes.
    async fn want(&mut self, file: FileId, place: Place) -> Answer<()> {
        let files = self.parts.files.clone();
        if self.waiting.contains_key(&file) || files.state(&file).0 == FileState::Here {
            return Ok(());
        }
        if self.running.get(&file).is_some_and(|running| !*running.stop.borrow()) {
            return Ok(());
        }
        files.note_want(file, place).await?;
        if let Some(running) = self.running.get_mut(&file) {
            // It begins anew when that which is given up has ended.
            running.again = Some(place);
            return Ok(());
        }
        self.wait(file, place);
        Ok(())
    }

    /// The same of what nobody waits for: a picture, or what was wanted before the start.
    async fn want_unasked(&mut self, file: FileId, place: Place) {
        if self.parts.files.state(&file).0 == FileState::Here {
            // It came, and the node ended before that it is wanted no more was written down.
            return self.forget(&file).await;
        }
        if let Err(problem) = self.want(file, place).await {
            tracing::warn!(%problem, "that a file is wanted could not be noted");
            self.wait(file, place);
        }
    }

    /// A file waits from now on.
    fn wait(&mut self, file: FileId, place: Place) {
        self.waiting.insert(file, Waiting { place, due_ms: 0, tries: 0, company: Vec::new() });
        self.parts.files.change(&file, |known| {
            if known.state == FileState::Remote {
                (known.state, known.reason) = (FileState::Waiting, None);
            }
        });
    }

    async fn on_look(&mut self) {
        self.begin();
        let now = now_ms();
        if now.saturating_sub(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now;
            if let Err(problem) = self.parts.files.forget_uploads(now.saturating_sub(UPLOAD_KEPT_MS)).await {
                tracing::warn!(%problem, "uploads that nobody sent could not be removed");
            }
        }
    }

    /// Begins what is due, as long as there is a place, and somebody who may have it.
    fn begin(&mut self) {
        let now = now_ms();
        let due: Vec<_> = self.waiting.iter().filter(|(_, it)| it.due_ms <= now).map(|(id, _)| *id).collect();
        for file in due {
            if self.running.len() >= FETCHES {
                return;
            }
            let company = self.parts.files.company(&file);
            if company.is_empty() {
                continue;
            }
            let Some(waiting) = self.waiting.remove(&file) else { continue };
            let (place, (stop, stopped)) = (waiting.place, watch::channel(false));
            self.running.insert(file, Running { waiting: Waiting { company, ..waiting }, stop, again: None });
            let (files, net, rooms) = (self.parts.files.clone(), self.parts.net.clone(), self.parts.rooms.clone());
            self.fetches.spawn(async move {
                let named = rooms.files(place.room, place.message).await;
                let reference = named.map(|named| named.into_iter().nth(place.index as usize));
                let end = match reference {
                    Ok(Some(reference)) if reference.id() == file => fetch::run(files, net, reference, stopped).await,
                    // The message was deleted, or its author is not shown any more.
                    Ok(_) => End::Stopped,
                    Err(problem) if problem.code == Code::MessageNotFound => End::Stopped,
                    Err(problem) => End::Failed(problem),
                };
                (file, end)
            });
        }
    }

    async fn on_end(&mut self, file: FileId, end: End) {
        let Some(Running { waiting, stop, again }) = self.running.remove(&file) else { return };
        if *stop.borrow() {
            // It was given up, however it ended.
            self.leave(file).await;
            if let Some(place) = again {
                self.wait(file, place);
            }
            return self.begin();
        }
        // What a try costs grows with what is here already.
        let pause = FILE_AGAIN_MS << waiting.tries.min(FILE_TRIES_MAX);
        let later = |pause: u64| Waiting { due_ms: now_ms() + pause, tries: waiting.tries + 1, ..waiting };
        let files = self.parts.files.clone();
        let reason = end.reason();
        match end {
            End::Done => {
                self.forget(&file).await;
                files.change(&file, |known| {
                    (known.state, known.have) = (FileState::Here, None);
                    known.bytes = known.layout.size();
                });
                self.keep_cache(Some(file)).await;
            }
            End::Lonely => {
                files.change(&file, |known| known.state = FileState::Waiting);
                self.waiting.insert(file, later(pause));
            }
            End::Failed(problem) => {
                tracing::warn!(%problem, "a file could not be fetched");
                files.change(&file, |known| (known.state, known.reason) = (FileState::Waiting, reason));
                self.waiting.insert(file, later(10 * pause));
            }
            End::Broken | End::Stopped => {
                self.remove(&file).await;
                files.change(&file, |known| {
                    (known.state, known.bytes, known.have) = (FileState::Remote, 0, None);
                    known.reason = reason;
                });
                self.forget(&file).await;
            }
        }
        self.begin();
    }

    /// Not to be fetched any more: what came of it is removed. That is written down first: if it can not be, nothing changes.
    async fn give_up(&mut self, file: FileId) -> Answer<()> {
        self.parts.files.forget_want(&file).await?;
        self.waiting.remove(&file);
        match self.running.get_mut(&file) {
            Some(running) => {
                running.stop.send_replace(true);
                running.again = None;
            }
            None => self.leave(file).await,
        }
        Ok(())
    }

    /// Nothing of a file is here any more.
    async fn leave(&self, file: FileId) {
        self.remove(&file).await;
        self.parts.files.change(&file, |known| {
            (known.state, known.bytes, known.have, known.reason) = (FileState::Remote, 0, None, None);
        });
    }

    async fn forget(&self, file: &FileId) {
        if let Err(problem) = self.parts.files.forget_want(file).await {
            tracing::warn!(%problem, "that a file is no longer wanted could not be noted");
        }
    }

    async fn remove(&self, file: &FileId) {
        let (blobs, file) = (self.parts.files.blobs().clone(), *file);
        if !matches!(blocking(move || blobs.remove(&file)).await, Ok(Ok(()))) {
            tracing::warn!("a file could not be removed");
        }
    }

    /// Removes files of others, the oldest first, until the rest takes no more than is allowed. That which came last stays.
    async fn keep_cache(&self, last: Option<FileId>) {
        let files = self.parts.files.clone();
        let here: Vec<FileId> = {
            let table = files.table();
            table.iter().filter(|(_, it)| it.state == FileState::Here && !it.own).map(|(id, _)| *id).collect()
        };
        let (blobs, limit) = (files.blobs().clone(), files.limits().cache);
        let removed = blocking(move || {
            let mut found: Vec<_> = here.iter().filter_map(|id| Some((*id, blobs.usage(id)?))).collect();
            found.sort_by_key(|(id, usage)| (Some(*id) == last, usage.written));
            let mut all: u64 = found.iter().map(|(_, usage)| usage.bytes).sum();
            let mut removed = Vec::new();
            for (id, usage) in found {
                if all <= limit || Some(id) == last || usage.held != Held::Whole {
                    break;
                }
                if blobs.remove(&id).is_ok() {
                    all -= usage.bytes;
                    removed.push(id);
                }
            }
            removed
        });
        for file in removed.await.unwrap_or_default() {
            files.change(&file, |known| (known.state, known.bytes) = (FileState::Remote, 0));
        }
    }
}
