//! What others tell and ask the files service.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_api::{Code, EventBody, FileChanged, FileState, Gone, Problem};
use parlor_crypto::vault::Vault;
use parlor_net::{Line, PeerId};
use parlor_proto::file::{FileRef, Layout};
use parlor_proto::{EventId, FileId, RoomId, codec};
use parlor_storage::{Batch, Blobs, Held, Namespace, ReadError, Store};
use tokio::sync::{Notify, Semaphore, oneshot};

use super::named::{UPLOAD, Upload, WANT, keep_only_named, unnamed};
use super::table::{Known, Place, Table, Want};
use super::{blob_problem, blocking};
use crate::app::Answer;
use crate::bus::Bus;
use crate::clock::now_ms;
use crate::limits::{FILE_UPLOADS, UPLOADS_KEPT};
use crate::services::commit_problem;
use crate::services::rooms::Directory;
use crate::services::why::Why;

/// What the user allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Pictures up to so many bytes are fetched by themselves.
    pub(crate) auto: u64,
    /// Files of others take at most so much; the oldest go first.
    pub(crate) cache: u64,
}

/// A handle on the files service. Clones are the same service. What is told never waits.
#[derive(Clone)]
pub(crate) struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: Blobs,
    store: Store,
    bus: Bus,
    directory: Directory,
    limits: Limits,
    table: Mutex<Table>,
    slots: Mutex<Slots>,
    uploads: Mutex<HashMap<FileId, Upload>>,
    told: Notify,
    /// Places for uploads.
    places: Arc<Semaphore>,
    /// One picture is worked on at a time: each may take much memory.
    pictures: Arc<Semaphore>,
}

/// What was told and not looked at yet.
#[derive(Default)]
pub(super) struct Slots {
    /// Lines of other nodes. At most as many as the network serves.
    pub(super) lines: Vec<Line>,
    /// What is to be done, in the order in which it was told. At most one for each file that messages name, and for each request.
    pub(super) orders: Vec<Order>,
    /// Nobody looks any more.
    closed: bool,
}

/// What is to be done with a file, and who waits for it: he is told when it is durable.
pub(super) enum Order {
    /// Fetch it.
    Want(FileId, Want, Option<oneshot::Sender<Answer<()>>>),
    /// No message names it any more.
    Unnamed(FileId),
    /// Fetch it no more, and remove what is here of it.
    Drop(FileId, oneshot::Sender<Answer<()>>),
}

/// Why a file does not come to who is out of its rooms.
fn not_given(gone: &Gone) -> Why {
    let words = "this file is not on this device, and nobody gives it to you any more";
    Why::new("no_member", format!("{words}: {}", gone.text))
}

impl Files {
    /// Opens the folder, and reads what the store says of files. Blocks.
    ///
    /// # Errors
    /// The folder or the store can not be read.
    pub(crate) fn load(
        dir: &std::path::Path,
        vault: &Vault,
        limits: Limits,
        (store, bus, directory): (Store, Bus, Directory),
    ) -> Answer<Self> {
        let blobs = Blobs::open(dir, vault).map_err(|error| blob_problem(&error))?;
        let mut table = Table::default();
        for (room, _) in store.rooms().map_err(damaged)? {
            // A row that does not open keeps no other from being read, and not the node from starting: the messages name the files too.
            for (key, value) in store.scan_readable(Some(&room), Namespace::File).map_err(damaged)? {
                let Some(file) = table.restore(room, &key, &value) else { continue };
                if let Some(known) = table.get_mut(&file) {
                    look(known, &blobs, &file);
                }
            }
        }
        let mut slots = Slots::default();
        let ours = store.scan_readable(None, Namespace::File).map_err(damaged)?;
        for (key, value) in &ours {
            let id = key.strip_prefix(WANT).and_then(|id| id.try_into().ok()).map(FileId);
            if let Some((file, want)) = id.zip(codec::decode(value, 128).ok()) {
                slots.orders.push(Order::Want(file, want, None));
            }
        }
        let mut uploads = HashMap::new();
        for (_, value) in ours.iter().filter(|(key, _)| key.starts_with(UPLOAD)) {
            if let Some(upload) = Upload::decode(value) {
                uploads.insert(upload.file.id(), upload);
            }
        }
        keep_only_named(&store, &blobs);
        let told = Notify::new();
        told.notify_one();
        Ok(Self {
            inner: Arc::new(Inner {
                blobs,
                store,
                bus,
                directory,
                limits,
                table: Mutex::new(table),
                slots: Mutex::new(slots),
                uploads: Mutex::new(uploads),
                told,
                places: Arc::new(Semaphore::new(FILE_UPLOADS)),
                pictures: Arc::new(Semaphore::new(1)),
            }),
        })
    }

    pub(super) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    pub(super) fn limits(&self) -> Limits {
        self.inner.limits
    }

    pub(super) fn places(&self) -> Arc<Semaphore> {
        self.inner.places.clone()
    }

    pub(super) fn pictures(&self) -> Arc<Semaphore> {
        self.inner.pictures.clone()
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.inner.table)
    }

    pub(super) fn take(&self) -> Slots {
        let mut slots = lock(&self.inner.slots);
        let closed = slots.closed;
        std::mem::replace(&mut *slots, Slots { closed, ..Slots::default() })
    }

    /// Waits until something is told. Cancel safe.
    pub(super) async fn told(&self) {
        self.inner.told.notified().await;
    }

    /// A message of a room names files; durable, with the rows that say so. Of one that is shown pictures are fetched.
    pub(crate) fn seen(&self, (room, message): (RoomId, EventId), files: &[FileRef], own: bool, shown: bool) {
        for (index, file) in files.iter().enumerate() {
            let Some(layout) = file.layout() else { continue };
            let (id, place) = (file.id(), Place { room, message, index: u32::try_from(index).unwrap_or(u32::MAX) });
            let mut table = self.table();
            let new = table.get(&id).is_none();
            table.name(id, layout, place, own);
            let Some(known) = table.get_mut(&id) else { continue };
            if new {
                look(known, &self.inner.blobs, &id);
            }
            let picture = super::preview::is_picture(&file.mime) && file.size <= self.inner.limits.auto;
            if picture && shown && !own && known.state == FileState::Remote {
                known.state = FileState::Waiting;
                lock(&self.inner.slots).orders.push(Order::Want(id, Want { place, wished: false }, None));
            }
        }
        self.inner.told.notify_one();
    }

    /// How far a file came, how many bytes of it are here, and why no more.
    pub(crate) fn state(&self, file: &FileId) -> (FileState, u64, Option<Why>) {
        let known = {
            let table = self.table();
            let known = table.get(file);
            known.map_or((FileState::Remote, 0, None), |known| (known.state, known.bytes, known.reason.clone()))
        };
        match self.given_by_nobody(file) {
            Some(gone) if known.0 != FileState::Here => (FileState::Remote, known.1, Some(not_given(&gone))),
            _ => known,
        }
    }

    /// How we came out of the rooms that name a file, if we are in none of them: members give it to members only.
    fn given_by_nobody(&self, file: &FileId) -> Option<Gone> {
        let rooms = self.rooms(file);
        let gone: Option<Vec<Gone>> = rooms.iter().map(|room| self.inner.directory.get(room)?.item.gone).collect();
        gone?.into_iter().next()
    }

    /// Fetches a file, now or whenever somebody is there who has it; also after a restart. Durable when it returns.
    ///
    /// # Errors
    /// `not_permitted` when we are out of the rooms that name it; the store does not take it.
    pub(crate) async fn want(&self, file: FileId, place: Place) -> Answer<()> {
        let Some(state) = self.table().get(&file).map(|known| known.state) else {
            return Err(Problem::of(Code::MessageNotFound));
        };
        if let Some(gone) = self.given_by_nobody(&file).filter(|_| state != FileState::Here) {
            let why = not_given(&gone);
            let problem = Problem::new(Code::NotPermitted, why.text).reason(why.code);
            return Err(problem.hint("ask somebody of the room for it"));
        }
        let want = Want { place, wished: true };
        self.order(|reply| Order::Want(file, want, Some(reply))).await
    }

    /// Has the owner do something, and waits until it is durable.
    async fn order(&self, order: impl FnOnce(oneshot::Sender<Answer<()>>) -> Order) -> Answer<()> {
        let (reply, done) = oneshot::channel();
        {
            let mut slots = lock(&self.inner.slots);
            if slots.closed {
                return Err(Problem::of(Code::Stopping));
            }
            slots.orders.push(order(reply));
        }
        self.inner.told.notify_one();
        done.await.unwrap_or_else(|_| Err(Problem::of(Code::Stopping)))
    }

    /// The files that a message names.
    pub(crate) fn named_by(&self, room: &RoomId, message: &EventId) -> Vec<FileId> {
        let table = self.table();
        let names = |known: &Known| known.places.iter().any(|it| it.room == *room && it.message == *message);
        table.iter().filter(|(_, known)| names(known)).map(|(id, _)| *id).collect()
    }

    /// A message is gone, and that is durable: files that no other one names go too.
    pub(crate) fn unname(&self, room: &RoomId, message: &EventId) {
        for file in self.named_by(room, message) {
            let is_left = {
                let mut table = self.table();
                let Some(known) = table.get_mut(&file) else { continue };
                known.places.retain(|it| it.room != *room || it.message != *message);
                known.places.is_empty()
            };
            if is_left {
                lock(&self.inner.slots).orders.push(Order::Unnamed(file));
            }
        }
        self.inner.told.notify_one();
    }

    /// Forgets a file that no message here names any more, with its key and what is here of it, unless an outbox has it. Whether it did.
    pub(super) async fn forget_unnamed(&self, file: FileId) -> Answer<bool> {
        let store = self.inner.store.clone();
        // What its message said is gone, and so is the file: a row that does not decode keeps nothing of it.
        let found = blocking(move || unnamed(&store, HashSet::from([file]))).await?.map_err(damaged)?;
        if found.files.is_empty() || self.table().get(&file).is_some_and(|known| !known.places.is_empty()) {
            return Ok(false);
        }
        let upload = lock(&self.inner.uploads).remove(&file);
        let mut batch = Batch::new(None);
        batch.delete(Namespace::File, &[UPLOAD, &file.0].concat());
        batch.delete(Namespace::File, &[WANT, &file.0].concat());
        if let Err(problem) = self.commit(batch).await {
            lock(&self.inner.uploads).extend(upload.map(|upload| (file, upload)));
            return Err(problem);
        }
        self.table().forget(&file);
        let blobs = self.inner.blobs.clone();
        blocking(move || blobs.remove(&file)).await?.map_err(|error| blob_problem(&error))?;
        Ok(true)
    }

    /// Nobody looks any more at what is told: who waits for it is told so.
    pub(super) fn close(&self) {
        *lock(&self.inner.slots) = Slots { closed: true, ..Slots::default() };
    }

    pub(super) async fn note_want(&self, file: FileId, want: Want) -> Answer<()> {
        let mut batch = Batch::new(None);
        batch.put(Namespace::File, &[WANT, &file.0].concat(), codec::encode(&want));
        self.commit(batch).await
    }

    pub(super) async fn forget_want(&self, file: &FileId) -> Answer<()> {
        let mut batch = Batch::new(None);
        batch.delete(Namespace::File, &[WANT, &file.0].concat());
        self.commit(batch).await
    }

    /// Does not fetch a file any more, and removes what is here of it. Durable when it returns.
    ///
    /// # Errors
    /// `conflict` for a file that was sealed here: others may have it from us only.
    pub(crate) async fn give_up(&self, file: FileId) -> Answer<()> {
        if self.table().get(&file).is_some_and(|known| known.own) {
            let why = "the file was sent from here: others may have it from nobody else";
            return Err(Problem::new(Code::Conflict, why).hint("delete the message when nobody needs it any more"));
        }
        self.order(|reply| Order::Drop(file, reply)).await
    }

    /// Somebody of a room came or went, which may have what is wanted.
    pub(crate) fn met(&self) {
        self.inner.told.notify_one();
    }

    /// Another node opened a line.
    pub(crate) fn line(&self, line: Line) {
        lock(&self.inner.slots).lines.push(line);
        self.inner.told.notify_one();
    }

    /// Who is connected and, as the sessions proved, a member of a room in which the file was named.
    pub(super) fn company(&self, file: &FileId) -> Vec<PeerId> {
        let rooms = self.rooms(file);
        let mut peers: Vec<_> = rooms.iter().flat_map(|room| self.inner.directory.online(room)).collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// Whether a peer may have a file: it proved, on this connection, to be a live member of a room in which it was named.
    pub(super) fn may_have(&self, file: &FileId, peer: &PeerId) -> bool {
        self.rooms(file).iter().any(|room| self.inner.directory.is_online(room, peer))
    }

    /// Whether a peer proved, on this connection, to be a live member of a room of ours.
    pub(super) fn is_member(&self, peer: &PeerId) -> bool {
        self.inner.directory.is_online_anywhere(peer)
    }

    fn rooms(&self, file: &FileId) -> Vec<RoomId> {
        let table = self.table();
        let mut rooms: Vec<_> = table.get(file).map_or(Vec::new(), |it| it.places.iter().map(|it| it.room).collect());
        rooms.sort_unstable();
        rooms.dedup();
        rooms
    }

    /// A file of a client was sealed. Durable when it returns. Of those that were sent the oldest are forgotten, where there are too
    /// many: their messages name them.
    pub(super) async fn uploaded(&self, file: FileRef) -> Answer<()> {
        let upload = Upload { made_ms: now_ms(), file };
        let id = upload.file.id();
        let surplus: Vec<FileId> = {
            let (uploads, table) = (lock(&self.inner.uploads), self.table());
            let sent = uploads.iter().filter(|(id, _)| table.get(id).is_some());
            let mut sent: Vec<_> = sent.map(|(id, upload)| (upload.made_ms, *id)).collect();
            sent.sort_unstable();
            let more = sent.len().saturating_sub(UPLOADS_KEPT);
            sent.into_iter().take(more).map(|(_, id)| id).collect()
        };
        let mut batch = Batch::new(None);
        for id in &surplus {
            batch.delete(Namespace::File, &[UPLOAD, &id.0].concat());
        }
        // It holds the key of the file, which may be sent into a room whose messages disappear.
        batch.put_fading(Namespace::File, &[UPLOAD, &id.0].concat(), codec::encode(&upload));
        self.commit(batch).await?;
        let mut uploads = lock(&self.inner.uploads);
        surplus.iter().for_each(|id| drop(uploads.remove(id)));
        uploads.insert(id, upload);
        Ok(())
    }

    /// A file that was sealed here and not forgotten since, for a message that is made of it now: it is not forgotten while that
    /// is on its way to the disk.
    pub(crate) fn upload(&self, file: &FileId) -> Option<FileRef> {
        let mut uploads = lock(&self.inner.uploads);
        let upload = uploads.get_mut(file)?;
        upload.made_ms = now_ms();
        Some(upload.file.clone())
    }

    /// Whether there is no room for another upload that waits to be sent. What was sent is not counted.
    pub(super) fn is_full(&self) -> bool {
        let (uploads, table) = (lock(&self.inner.uploads), self.table());
        uploads.keys().filter(|id| table.get(id).is_none()).count() >= UPLOADS_KEPT
    }

    /// Forgets uploads of before: what was sent has its message, what waits in an outbox stays, what is neither is removed.
    pub(super) async fn forget_uploads(&self, before_ms: u64) -> Answer<()> {
        let is_old = |upload: &Upload| upload.made_ms < before_ms;
        let old: Vec<FileId> =
            lock(&self.inner.uploads).iter().filter(|(_, upload)| is_old(upload)).map(|(id, _)| *id).collect();
        let mut unsent: HashSet<FileId> = old.iter().filter(|id| self.table().get(id).is_none()).copied().collect();
        if !unsent.is_empty() {
            let store = self.inner.store.clone();
            unsent = blocking(move || unnamed(&store, unsent)).await?.map_err(damaged)?.certain();
        }
        // Whoever makes a message of one meanwhile has made it young, or does not find it any more.
        let gone: HashMap<FileId, Upload> = {
            let (mut uploads, table) = (lock(&self.inner.uploads), self.table());
            let goes = |id: &FileId| old.contains(id) && (table.get(id).is_some() || unsent.contains(id));
            uploads.extract_if(|id, upload| is_old(upload) && goes(id)).collect()
        };
        if gone.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new(None);
        for id in gone.keys() {
            batch.delete(Namespace::File, &[UPLOAD, &id.0].concat());
        }
        if let Err(problem) = self.commit(batch).await {
            lock(&self.inner.uploads).extend(gone);
            return Err(problem);
        }
        let unsent: Vec<_> = gone.into_keys().filter(|id| unsent.contains(id)).collect();
        let blobs = self.inner.blobs.clone();
        blocking(move || unsent.iter().try_for_each(|id| blobs.remove(id))).await?.map_err(|error| blob_problem(&error))
    }

    async fn commit(&self, batch: Batch) -> Answer<()> {
        self.inner.store.commit(batch).await.map_err(|error| commit_problem(&error))
    }

    /// Changes what is known of a file, and tells windows.
    pub(super) fn change(&self, file: &FileId, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.table().get_mut(file) {
            change(known);
        }
        self.publish(file);
    }

    /// Tells windows how a file stands, of each message that names it.
    fn publish(&self, file: &FileId) {
        let Some(known) = self.table().get(file).cloned() else { return };
        for place in &known.places {
            let (reason_code, reason) = Why::told(known.reason.clone());
            let event = FileChanged {
                room: place.room.to_string(),
                message: place.message.to_string(),
                index: place.index,
                hash: file.to_string(),
                state: known.state,
                have: known.bytes,
                bytes: known.layout.size(),
                reason,
                reason_code,
            };
            self.inner.bus.publish(now_ms(), EventBody::File(event));
        }
    }
}

/// Notes what is on the disk of a file.
fn look(known: &mut Known, blobs: &Blobs, file: &FileId) {
    if blobs.held(file) == Held::Whole {
        (known.state, known.bytes) = (FileState::Here, known.layout.size());
    }
}

fn damaged(error: ReadError) -> Problem {
    crate::home_damaged(error.to_string())
}

/// The layout of a known file.
pub(super) fn layout(files: &Files, file: &FileId) -> Option<Layout> {
    files.table().get(file).map(|known| known.layout)
}

/// Held for a few lines that do not panic; the data is whole in any case.
fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
