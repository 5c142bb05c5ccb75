//! The owner of the index: follows the store, builds what is missing, makes it durable.

use std::collections::BTreeMap;
use std::time::Duration;

use parlor_api::{Code, EventBody, SearchState};
use parlor_proto::RoomId;
use parlor_storage::search::{Build, Entry, Key, Progress, SearchError, SearchIndex, Shelf};
use parlor_storage::{Batch, Changed, Cursor, Position, Store};
use tokio::time::Instant;

use super::finds::unreadable;
use super::handle::{Pace, Search, blocking};
use super::parts;
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::limits::{SEARCH_BATCH, SEARCH_SWEPT_BYTES};
use crate::services::rooms::{Rooms, Seen};
use crate::services::webhooks::Floor;

/// How often windows are told how far building is.
const TELL: Duration = Duration::from_secs(1);

/// What the service is made of.
pub(crate) struct Parts {
    pub(crate) search: Search,
    pub(crate) rooms: Rooms,
    pub(crate) bus: Bus,
    pub(crate) pace: Pace,
    /// Up to where others need the list of changes no more.
    pub(crate) floor: Floor,
}

struct Actor {
    parts: Parts,
    index: SearchIndex,
    /// How far the index is with what was applied.
    progress: Progress,
    /// Something was applied and not committed.
    dirty: bool,
    committed: Instant,
    /// Since when something was committed and not synced.
    unsynced: Option<Instant>,
    /// When what was taken out leaves the files, of each shelf.
    sweeps: [(Shelf, Sweep); 2],
    told: Option<(Instant, SearchState)>,
}

/// When files are written anew without what was taken out.
#[derive(Debug, Clone, Copy)]
struct Sweep {
    due: Option<Instant>,
    /// Not before this: it rests as long as is needed not to be at work all the time.
    ready: Instant,
}

impl Sweep {
    /// Once at the beginning, of what a process left that was ended before.
    fn new(due: Instant) -> Self {
        Self { due: Some(due), ready: due }
    }

    /// There is something to do, and it may wait for so long.
    fn plan(&mut self, now: Instant, wait: Duration) {
        self.due.get_or_insert(self.ready.max(now + wait));
    }

    /// It was done in this time, and wrote so much.
    fn done(&mut self, began: Instant, now: Instant, bytes: u64) {
        let written = Duration::from_millis(bytes.saturating_mul(1_000) / SEARCH_SWEPT_BYTES);
        *self = Self { due: None, ready: now + written.max(10 * (now - began)) };
    }
}

/// Runs the service until it is aborted.
pub(crate) async fn run(parts: Parts) {
    let mut parts = parts;
    loop {
        let search = parts.search.clone();
        let again = parts.pace.again;
        let opened = blocking(move || search.open()).await;
        let (back, error) = match opened {
            Ok(index) => Actor::new(parts, index).follow().await,
            Err(error) => (parts, error),
        };
        parts = back;
        let damaged = matches!(error, SearchError::Damaged(_));
        tracing::warn!(%error, "the search index is opened again");
        parts.search.set_state(SearchState { complete: false, ..parts.search.state() });
        let search = parts.search.clone();
        let closed = tokio::task::spawn_blocking(move || search.close(damaged)).await;
        if closed.is_err() || !damaged {
            tokio::time::sleep(again).await;
        }
    }
}

impl Actor {
    fn new(parts: Parts, index: SearchIndex) -> Self {
        let now = Instant::now();
        let group = *parts.search.inner().store.watch().borrow();
        // An index of a store that was put back knows of groups that are not there: it is built anew.
        let known = index.progress().filter(|progress| progress.group <= group);
        let progress = known.unwrap_or_else(|| Progress::new(group));
        let sweeps = Shelf::ALL.map(|shelf| (shelf, Sweep::new(now + parts.pace.sweep(shelf))));
        Self { parts, index, progress, dirty: false, committed: now, unsynced: None, sweeps, told: None }
    }

    /// Follows the store until something goes wrong.
    async fn follow(mut self) -> (Parts, SearchError) {
        let mut changes = self.store().watch();
        if self.index.progress().is_some_and(|progress| progress.group > self.progress.group) {
            return (self.parts, SearchError::Damaged("the store is older".to_owned()));
        }
        loop {
            changes.mark_unchanged();
            let more = match self.step().await {
                Ok(more) => more,
                Err(error) => return (self.parts, error),
            };
            if more {
                continue;
            }
            let due = self.due();
            let sleep = tokio::time::sleep_until(due.unwrap_or_else(Instant::now));
            tokio::select! {
                changed = changes.changed() => if changed.is_err() {
                    // The store is closed: the node stops, and so does this when it is aborted.
                    std::future::pending::<()>().await;
                },
                () = sleep, if due.is_some() => {}
                () = self.parts.search.broken() => return (self.parts, SearchError::Damaged("a reader says so".to_owned())),
            }
        }
    }

    fn store(&self) -> &Store {
        &self.parts.search.inner().store
    }

    /// Does some of what there is to do; whether there is more at once.
    async fn step(&mut self) -> Result<bool, SearchError> {
        let (store, after) = (self.store().clone(), self.progress.group);
        let changes = blocking(move || store.changes(after, 2 * SEARCH_BATCH).map_err(unreadable)).await?;
        let mut more = changes.more;
        if !changes.changed.is_empty() {
            self.take(changes.changed).await?;
            self.dirty = true;
        }
        self.progress.group = changes.up_to;
        if !more && let Some(build) = self.progress.build {
            match self.build(build).await {
                Ok(build) => self.progress.build = build,
                Err(error) => {
                    // What was said since is found meanwhile.
                    self.commit().await?;
                    return Err(error);
                }
            }
            self.dirty = true;
            more = self.progress.build.is_some();
        }
        let commit_due = self.committed + self.parts.pace.commit <= Instant::now();
        if self.dirty && commit_due {
            self.commit().await?;
        }
        self.tell().await?;
        self.rest().await?;
        Ok(more)
    }

    /// When something is due, if nothing changes.
    fn due(&self) -> Option<Instant> {
        let commit = self.dirty.then(|| self.committed + self.parts.pace.commit);
        let sync = self.unsynced.map(|since| since + self.parts.pace.sync);
        // What is not committed yet is before them.
        let sweeps = self.sweeps.iter().filter_map(|(_, sweep)| sweep.due.filter(|_| !self.dirty));
        commit.into_iter().chain(sync).chain(sweeps).min()
    }

    /// Looks at what changed.
    async fn take(&mut self, changed: Vec<Changed>) -> Result<(), SearchError> {
        let store = self.store().clone();
        let rooms = blocking(move || store.room_numbers().map_err(unreadable)).await?;
        let rooms: BTreeMap<u32, RoomId> = rooms.into_iter().collect();
        let mut places: BTreeMap<u32, Vec<Position>> = BTreeMap::new();
        for Changed { room, position, .. } in changed {
            match position {
                Some(position) => places.entry(room).or_default().push(position),
                None => {
                    // What came before belongs to the room that is forgotten.
                    places.remove(&room);
                    self.index.forget_room(room);
                }
            }
        }
        for (number, mut places) in places {
            places.sort_unstable();
            places.dedup();
            for some in places.chunks(SEARCH_BATCH) {
                self.renew(number, rooms.get(&number).copied(), some.to_vec()).await?;
            }
        }
        Ok(())
    }

    /// Puts what messages are now in the place of what the index has of them.
    async fn renew(&self, number: u32, room: Option<RoomId>, places: Vec<Position>) -> Result<(), SearchError> {
        let Some(room) = room else { return self.put(number, places, Vec::new()).await };
        let problem = match self.parts.rooms.seen(room, places.clone(), true).await {
            Ok(seen) => return self.put(number, places, seen).await,
            Err(problem) => problem,
        };
        match (problem.code, places.len()) {
            // One after the other: what is damaged takes no others along.
            (Code::HomeDamaged, 2..) => {
                for place in places {
                    Box::pin(self.renew(number, Some(room), vec![place])).await?;
                }
                return Ok(());
            }
            (Code::HomeDamaged, _) if self.is_damaged(room, places).await? => {}
            (Code::RoomNotFound, _) if self.is_gone(room).await? => {}
            _ => return Err(SearchError::Io(problem.to_string())),
        }
        tracing::debug!(room = %room.short(), %problem, "messages were not looked at for the search");
        Ok(())
    }

    /// Whether what could not be read can not be read while the store can: then it is not the store being opened again.
    async fn is_damaged(&self, room: RoomId, places: Vec<Position>) -> Result<bool, SearchError> {
        let store = self.store().clone();
        blocking(move || store.room_numbers().map_err(unreadable)).await?;
        let again = self.parts.rooms.seen(room, places, true).await;
        Ok(again.is_err_and(|problem| problem.code == Code::HomeDamaged))
    }

    /// Whether a room is being forgotten.
    async fn is_gone(&self, room: RoomId) -> Result<bool, SearchError> {
        let store = self.store().clone();
        let rooms = blocking(move || store.room_numbers().map_err(unreadable)).await?;
        Ok(rooms.iter().all(|(_, held)| *held != room))
    }

    async fn put(&self, number: u32, places: Vec<Position>, seen: Vec<Seen>) -> Result<(), SearchError> {
        let key = |position| Key { position, room: number };
        let mut gone: Vec<Key> = places.into_iter().chain(seen.iter().map(|seen| seen.position)).map(key).collect();
        gone.sort_unstable();
        gone.dedup();
        let entries: Vec<Entry> = seen.iter().filter_map(|seen| entry(number, seen)).collect();
        let index = self.index.clone();
        blocking(move || index.apply(&gone, &entries)).await
    }

    /// Walks the store a little further; nothing is left of building when it is done.
    async fn build(&mut self, build: Build) -> Result<Option<Build>, SearchError> {
        let store = self.store().clone();
        let page = blocking(move || {
            let rooms = store.room_numbers().map_err(unreadable)?;
            let Some((number, room)) = rooms.into_iter().find(|(number, _)| *number >= build.room) else {
                return Ok(None);
            };
            let before = build.before.filter(|_| number == build.room).map(Position::from_stored);
            let cursor = before.map_or(Cursor::Newest, Cursor::Before);
            let page = store.page_readable(&room, cursor, SEARCH_BATCH).map_err(unreadable)?;
            Ok(Some((number, room, page)))
        });
        let Some((number, room, page)) = page.await? else { return Ok(None) };
        let looked = build.looked + page.rows.len() as u64;
        let last = page.rows.last().map(|row| row.position);
        let places: Vec<_> = page.rows.iter().filter(|row| row.row.key.is_some()).map(|row| row.position).collect();
        if !places.is_empty() {
            self.renew(number, Some(room), places).await?;
        }
        let next = match last.filter(|_| page.older) {
            Some(last) => Build { room: number, before: Some(last.stored()), looked },
            None => Build { room: number.saturating_add(1), before: None, looked },
        };
        Ok(Some(next))
    }

    async fn commit(&mut self) -> Result<(), SearchError> {
        let (index, progress) = (self.index.clone(), self.progress);
        blocking(move || index.commit(progress)).await?;
        self.dirty = false;
        self.committed = Instant::now();
        self.unsynced.get_or_insert(self.committed);
        for at in 0..self.sweeps.len() {
            self.plan_sweep(at).await?;
        }
        Ok(())
    }

    /// Sees to it that what was taken out of a shelf leaves its files.
    async fn plan_sweep(&mut self, at: usize) -> Result<(), SearchError> {
        let (shelf, sweep) = self.sweeps[at];
        let index = self.index.clone();
        if sweep.due.is_none() && blocking(move || index.holds_gone(shelf)).await? {
            self.sweeps[at].1.plan(Instant::now(), self.parts.pace.sweep(shelf));
        }
        Ok(())
    }

    /// Does what is due now and then: sync, rewrite.
    async fn rest(&mut self) -> Result<(), SearchError> {
        let now = Instant::now();
        for at in 0..self.sweeps.len() {
            let (shelf, sweep) = self.sweeps[at];
            if self.dirty || sweep.due.is_none_or(|due| due > now) {
                continue;
            }
            let (index, began) = (self.index.clone(), Instant::now());
            let bytes = blocking(move || index.purge(shelf)).await?;
            self.sweeps[at].1.done(began, Instant::now(), bytes);
            self.unsynced.get_or_insert(now);
            // A merge may have kept something.
            self.plan_sweep(at).await?;
        }
        if self.unsynced.is_some_and(|since| since + self.parts.pace.sync <= now) {
            let index = self.index.clone();
            blocking(move || index.sync()).await?;
            self.unsynced = None;
            if let Some(progress) = self.index.progress() {
                let mut batch = Batch::new(None);
                // Webhooks follow the same list.
                batch.trim_changes(progress.group.min(self.parts.floor.get()));
                // A full disk: then the list is cut the next time.
                let _ = self.store().commit(batch).await;
            }
        }
        Ok(())
    }

    /// Writes down how far the index is, and tells windows while it is being built.
    async fn tell(&mut self) -> Result<(), SearchError> {
        let (store, committed) = (self.store().clone(), self.index.progress());
        let build = self.progress.build;
        let building = committed.is_none_or(|progress| progress.build.is_some());
        let complete = !building && !self.dirty;
        let was_building = self.told.is_some_and(|(_, told)| !told.complete);
        let due = self.told.is_none_or(|(at, _)| at.elapsed() >= TELL);
        let ends = was_building && complete;
        if !(due || ends) {
            let state = self.parts.search.state();
            self.parts.search.set_state(SearchState { complete: complete && state.indexed == state.total, ..state });
            return Ok(());
        }
        let total = blocking(move || {
            let rooms = store.room_numbers().map_err(unreadable)?;
            rooms.iter().map(|(_, room)| store.count(room).map_err(unreadable)).sum::<Result<u64, _>>()
        });
        let total = total.await?;
        let indexed = if building { build.map_or(total, |build| build.looked).min(total) } else { total };
        let state = SearchState { indexed, total, complete };
        self.parts.search.set_state(state);
        // What is only behind by some messages is no news, and neither is an index of nothing.
        let told = SearchState { complete: !building, ..state };
        self.told = Some((Instant::now(), told));
        if (building || was_building && complete) && total > 0 {
            self.parts.bus.publish(now_ms(), EventBody::Search(state));
        }
        Ok(())
    }
}

/// A message for the index; nothing of one that says nothing any more.
fn entry(room: u32, seen: &Seen) -> Option<Entry> {
    let parts: Vec<String> = parts(&seen.message).into_iter().map(str::to_owned).collect();
    let key = Key { position: seen.position, room };
    let file = !seen.message.files.is_empty();
    let shelf = if seen.message.expires_at.is_some() { Shelf::Fading } else { Shelf::Lasting };
    (!parts.is_empty()).then_some(Entry { key, author: seen.author, file, shelf, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_anew_soon_and_neither_all_the_time_nor_all_at_once() {
        let (begin, s) = (Instant::now(), Duration::from_secs);
        let at = |seconds| begin + s(seconds);
        let mut sweep = Sweep::new(at(0));
        assert_eq!(sweep.due, Some(at(0)));
        sweep.done(at(0), at(1), 0);
        assert_eq!(sweep.due, None);
        sweep.plan(at(1), s(2));
        sweep.plan(at(2), s(2));
        assert_eq!(sweep.due, Some(at(11)), "ten times as long as the last one took");
        sweep.done(at(11), at(11), 60 * SEARCH_SWEPT_BYTES);
        sweep.plan(at(12), s(2));
        assert_eq!(sweep.due, Some(at(71)), "so many bytes a second");
        sweep.done(at(71), at(71), 0);
        sweep.plan(at(500), s(2));
        assert_eq!(sweep.due, Some(at(502)), "after a rest at once");
    }
}
