//! The owner of what is to be fetched.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parlor_api::{Code, FileState, Problem};
use parlor_net::{NetworkHandle, PeerId};
use parlor_proto::FileId;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::blocking;
use super::cache::{Cached, surplus};
use super::fetch::{self, End};
use super::handle::{Files, Order};
use super::serve::Lines;
use super::table::{Place, Want};
use crate::app::Answer;
use crate::clock::now_ms;
use crate::limits::{
    FETCHES, FETCHES_UNWISHED, FILE_AGAIN_MS, FILE_PARTS, FILE_STALLS, FILE_TRIES_MAX, UPLOAD_KEPT_MS,
};
use crate::services::rooms::Rooms;
use crate::services::why::Why;

/// How often it is looked at what waits.
const LOOK: Duration = Duration::from_secs(1);

/// How often uploads are looked at that nobody sent.
const SWEEP_MS: u64 = 60 * 60 * 1_000;

/// Why a file that nobody asked for does not come any more.
fn stalled() -> Why {
    Why::new("gave_nothing", "members said to have it, and gave none of it: it comes when it is asked for")
}

fn crowded() -> Why {
    Why::new("crowded_out", "files of others took more space than allowed: it comes when it is asked for")
}

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
    /// How often of these somebody said to have it, and gave nothing.
    stalls: u32,
    /// Who was connected then.
    company: Vec<PeerId>,
}

impl Waiting {
    fn new(place: Place) -> Self {
        Self { place, due_ms: 0, tries: 0, stalls: 0, company: Vec::new() }
    }
}

/// A file that is being fetched.
struct Running {
    waiting: Waiting,
    stop: watch::Sender<bool>,
    /// It was given up, and is wanted again since.
    again: Option<Want>,
}

struct Actor {
    parts: Parts,
    waiting: BTreeMap<FileId, Waiting>,
    running: HashMap<FileId, Running>,
    fetches: JoinSet<(FileId, End)>,
    lines: Lines,
    swept_ms: u64,
    /// Whether the cache was looked at since the start.
    cache_kept: bool,
    /// Whether one waits for a place, for those that have one.
    others_wait: Arc<AtomicBool>,
}

/// Runs the service until it is aborted.
pub(crate) async fn run(parts: Parts) {
    let files = parts.files.clone();
    let mut actor = Actor {
        parts,
        waiting: BTreeMap::new(),
        running: HashMap::new(),
        fetches: JoinSet::new(),
        lines: Lines::new(files.clone()),
        swept_ms: 0,
        cache_kept: false,
        others_wait: Arc::default(),
    };
    actor.on_told().await;
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
            Some(()) = actor.lines.over() => {}
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
            self.lines.take(line);
        }
        for order in slots.orders {
            let (done, reply) = match order {
                Order::Want(file, want, None) => {
                    self.want_unasked(file, want).await;
                    continue;
                }
                Order::Unnamed(file) => {
                    self.unnamed(file).await;
                    continue;
                }
                Order::Want(file, want, Some(reply)) => (self.want(file, want).await, reply),
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
    async fn want(&mut self, file: FileId, want: Want) -> Answer<()> {
        let files = self.parts.files.clone();
        let known = files.table().get(&file).map(|known| (known.state, known.wished));
        let Some((state, wished)) = known else { return Err(Problem::of(Code::MessageNotFound)) };
        let fetched = self.running.get(&file).is_some_and(|running| !*running.stop.borrow());
        let under_way = fetched || self.waiting.contains_key(&file);
        if state == FileState::Here || under_way && (wished || !want.wished) {
            return Ok(());
        }
        files.note_want(file, want).await?;
        match self.running.get_mut(&file) {
            Some(_) if fetched => self.wish(&file, want),
            // It begins anew when that which is given up has ended.
            Some(running) => running.again = Some(want),
            None => self.wait(file, want),
        }
        Ok(())
    }

    /// The same of what nobody waits for: a picture, or what was wanted before the start.
    async fn want_unasked(&mut self, file: FileId, want: Want) {
        let state = self.parts.files.table().get(&file).map(|known| known.state);
        match state {
            // What was asked for stays written down for as long as it is here.
            Some(FileState::Here) if want.wished => self.wish(&file, want),
            // It came, and the node ended before that it is wanted no more was written down; or the messages that named it are gone.
            Some(FileState::Here) | None => self.forget(&file).await,
            Some(_) => {
                if let Err(problem) = self.want(file, want).await {
                    tracing::warn!(%problem, "that a file is wanted could not be noted");
                    self.wait(file, want);
                }
            }
        }
    }

    /// Notes that somebody asked for a file, if somebody did.
    fn wish(&self, file: &FileId, want: Want) {
        if let Some(known) = self.parts.files.table().get_mut(file) {
            known.wished |= want.wished;
        }
    }

    /// A file waits from now on, or is due at once if it waits already.
    fn wait(&mut self, file: FileId, want: Want) {
        self.wish(&file, want);
        let waiting = self.waiting.entry(file).or_insert_with(|| Waiting::new(want.place));
        waiting.due_ms = now_ms();
        self.parts.files.change(&file, |known| {
            known.reason = None;
            if known.state == FileState::Remote {
                known.state = FileState::Waiting;
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
        self.others_wait.store(false, Ordering::Relaxed);
        let (waiting, running) = (&self.waiting, &self.running);
        let (due, mut unwished) = {
            let table = self.parts.files.table();
            let wished = |file: &FileId| table.get(file).is_some_and(|known| known.wished);
            (due(waiting, now_ms(), wished), running.keys().filter(|file| !wished(file)).count())
        };
        for (file, wished) in due {
            let no_place = self.running.len() >= FETCHES || !wished && unwished >= FETCHES_UNWISHED;
            if no_place && self.others_wait.load(Ordering::Relaxed) {
                continue;
            }
            let company = self.parts.files.company(&file);
            if company.is_empty() {
                continue;
            }
            if no_place {
                self.others_wait.store(true, Ordering::Relaxed);
                continue;
            }
            unwished += usize::from(!wished);
            let Some(waiting) = self.waiting.remove(&file) else { continue };
            let (place, (stop, stopped)) = (waiting.place, watch::channel(false));
            self.running.insert(file, Running { waiting: Waiting { company, ..waiting }, stop, again: None });
            let (files, net, rooms) = (self.parts.files.clone(), self.parts.net.clone(), self.parts.rooms.clone());
            let others_wait = self.others_wait.clone();
            self.fetches.spawn(async move {
                let named = rooms.files(place.room, place.message).await;
                let reference = named.map(|named| named.into_iter().nth(place.index as usize));
                let end = match reference {
                    Ok(Some(reference)) if reference.id() == file => {
                        fetch::run((files, net), reference, others_wait, stopped).await
                    }
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
            if let Some(want) = again {
                self.wait(file, want);
            }
            return self.begin();
        }
        // What a try costs grows with what is here already.
        let pause = FILE_AGAIN_MS << waiting.tries.min(FILE_TRIES_MAX);
        let stalls = waiting.stalls + u32::from(matches!(end, End::Stalled));
        let later = |pause: u64| Waiting { due_ms: now_ms() + pause, tries: waiting.tries + 1, stalls, ..waiting };
        let wished = self.is_wished(&file);
        let files = self.parts.files.clone();
        let reason = end.reason();
        match end {
            End::Done => {
                if !wished {
                    self.forget(&file).await;
                }
                files.change(&file, |known| {
                    (known.state, known.have) = (FileState::Here, None);
                    known.bytes = known.layout.size();
                });
                self.keep_cache(Some(file)).await;
            }
            End::Stalled if stalls >= FILE_STALLS && !wished => {
                self.remove(&file).await;
                self.forget(&file).await;
                files.change(&file, |known| known.gone(Some(stalled())));
            }
            End::Lonely | End::Stalled => {
                files.change(&file, |known| known.state = FileState::Waiting);
                self.waiting.insert(file, later(pause));
                self.keep_cache(None).await;
            }
            End::Failed(problem) => {
                tracing::warn!(%problem, "a file could not be fetched");
                files.change(&file, |known| (known.state, known.reason) = (FileState::Waiting, reason));
                self.waiting.insert(file, later(10 * pause));
                self.keep_cache(None).await;
            }
            End::Broken | End::Stopped => {
                self.remove(&file).await;
                files.change(&file, |known| known.gone(reason));
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

    /// No message names a file any more: it is fetched no more, and what came of it goes.
    async fn unnamed(&mut self, file: FileId) {
        if let Some(running) = self.running.get_mut(&file) {
            // It is removed when that has ended.
            running.stop.send_replace(true);
            running.again = None;
        }
        match self.parts.files.forget_unnamed(file).await {
            Ok(true) => drop(self.waiting.remove(&file)),
            Ok(false) => {}
            Err(problem) => tracing::warn!(%problem, "a file that no message names could not be removed"),
        }
    }

    /// Nothing of a file is here any more.
    async fn leave(&self, file: FileId) {
        self.remove(&file).await;
        self.parts.files.change(&file, |known| known.gone(None));
    }

    fn is_wished(&self, file: &FileId) -> bool {
        self.parts.files.table().get(file).is_some_and(|known| known.wished)
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

    /// Removes of the files of others what is more than allowed; see [`surplus`]. That which came last stays. What goes is wanted no
    /// more: it would only come again.
    async fn keep_cache(&mut self, last: Option<FileId>) {
        let (files, starts) = (self.parts.files.clone(), !std::mem::replace(&mut self.cache_kept, true));
        let of_others: Vec<_> = {
            let (table, stays) = (files.table(), |id: &FileId| Some(*id) == last || self.running.contains_key(id));
            // At a start parts may be left of what is not wanted any more.
            let of_others =
                table.iter().filter(|(_, known)| !known.own && (starts || known.state != FileState::Remote));
            of_others.map(|(id, known)| (*id, known.wished, stays(id))).collect()
        };
        let (blobs, cache) = (files.blobs().clone(), files.limits().cache);
        let removed = blocking(move || {
            let usage = |(file, wished, stays)| Some(Cached { file, usage: blobs.usage(&file)?, wished, stays });
            let gone = surplus(of_others.into_iter().filter_map(usage).collect(), cache, FILE_PARTS);
            gone.into_iter().filter(|file| blobs.remove(file).is_ok()).collect::<Vec<_>>()
        });
        for file in removed.await.unwrap_or_default() {
            let reason = self.waiting.remove(&file).map(|_| crowded());
            files.change(&file, |known| known.gone(reason));
            self.forget(&file).await;
        }
    }
}

/// What is due, in turn, and whether somebody asked for it; what comes by itself and was tried in vain more often stands behind.
fn due(waiting: &BTreeMap<FileId, Waiting>, now_ms: u64, wished: impl Fn(&FileId) -> bool) -> Vec<(FileId, bool)> {
    let due = waiting.iter().filter(|(_, it)| it.due_ms <= now_ms);
    let mut due: Vec<_> = due.map(|(id, it)| (*id, wished(id), it)).collect();
    due.sort_by_key(|(_, wished, it)| (if *wished { 0 } else { it.tries }, it.due_ms));
    due.into_iter().map(|(id, wished, _)| (id, wished)).collect()
}

#[cfg(test)]
mod tests {
    use parlor_proto::{EventId, RoomId};

    use super::*;

    fn waiting(tries: u32, due_ms: u64) -> Waiting {
        let place = Place { room: RoomId([1; 32]), message: EventId([2; 32]), index: 0 };
        Waiting { due_ms, tries, ..Waiting::new(place) }
    }

    #[test]
    fn what_was_tried_in_vain_does_not_stand_before_what_is_new_or_asked_for() {
        let all = [(1, waiting(9, 0)), (2, waiting(9, 5)), (3, waiting(0, 7)), (4, waiting(0, 11)), (5, waiting(9, 8))];
        let all: BTreeMap<_, _> = all.into_iter().map(|(id, it)| (FileId([id; 32]), it)).collect();
        let due = due(&all, 10, |file| file.0[0] == 5);
        let due: Vec<_> = due.iter().map(|(file, wished)| (file.0[0], *wished)).collect();
        assert_eq!(due, [(3, false), (5, true), (1, false), (2, false)]);
    }
}
