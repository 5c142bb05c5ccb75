//! The one writer of mailboxes: what waits becomes one durable group, then everybody is answered and subscribers are told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parlor_proto::mailbox::{BlobId, BoxName, Entry, StoreId};
use rand::RngExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use super::rows::{self, Arrival, State};
use super::{Counters, MailUsage, PutError, Request, Told};
use crate::CommitError;
use crate::fault::{Fault, guarded};
use crate::limits::{GROUP_BATCHES, GROUP_BYTES, MAIL_BOXES, SWEEP_ROWS};
use crate::opening::Core;
use crate::value::Row;
use crate::writer::Writer;

/// The writer's state.
pub(super) struct MailWriter {
    writer: Writer,
    counters: Arc<Counters>,
    max_bytes: u64,
    told: Told,
    state: State,
    /// Whether the disk may have taken a group that failed: what it holds is read before anything more is written.
    unsure: bool,
    /// What boxes hold that were put in lately.
    boxes: HashMap<BoxName, MailUsage>,
    expiring: Option<Expiring>,
}

struct Expiring {
    before_ms: u64,
    gone: u64,
    answers: Vec<oneshot::Sender<Result<u64, PutError>>>,
}

/// The group that is being made.
#[derive(Default)]
struct Group {
    rows: Vec<Row>,
    state: State,
    /// Boxes as they are after the group.
    boxes: HashMap<BoxName, MailUsage>,
    /// Numbers of what the group puts in.
    new: HashMap<(BoxName, BlobId), u64>,
    /// What the group takes out.
    removed: HashSet<u64>,
    arrivals: Vec<(BoxName, Entry, Bytes)>,
    puts: Vec<(oneshot::Sender<Result<u64, PutError>>, u64)>,
    removals: Vec<oneshot::Sender<Result<(), PutError>>>,
    shares: Vec<OwnedSemaphorePermit>,
    bytes: usize,
}

impl MailWriter {
    /// The writer of an open folder, and the id of the store; a new one is given one.
    pub(super) fn new(
        mut writer: Writer,
        counters: Arc<Counters>,
        max_bytes: u64,
        told: Told,
    ) -> Result<(Self, StoreId), PutError> {
        let core = writer.ready()?;
        let committing = |fault: Fault| PutError::Commit(fault.committing());
        let id = match guarded(|| rows::store_id(&core)).map_err(committing)? {
            Some(id) => id,
            None => {
                let id = StoreId(rand::rng().random());
                writer.write(&core, vec![rows::store_row(id)]).map_err(committing)?;
                id
            }
        };
        let state = guarded(|| State::read(&core)).map_err(committing)?;
        drop(core);
        let boxes = HashMap::new();
        let new = Self { writer, counters, max_bytes, told, state, unsure: false, boxes, expiring: None };
        new.publish();
        Ok((new, id))
    }

    fn publish(&self) {
        let State { end, usage } = self.state;
        self.counters.blobs.store(usage.blobs, Ordering::Relaxed);
        self.counters.bytes.store(usage.bytes, Ordering::Relaxed);
        self.counters.end.store(end, Ordering::Release);
    }

    /// Works until the store is closed or its last handle dropped.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut closing = None;
        while closing.is_none() {
            let first = if self.expiring.is_some() { requests.try_recv().ok() } else { requests.blocking_recv() };
            match first {
                Some(first) => closing = self.take(first, &mut requests),
                None if self.expiring.is_none() || requests.is_closed() => break,
                None => {}
            }
            self.expire_some();
        }
        drop(requests);
        self.writer.close();
        if let Some(answer) = closing {
            // Whoever closed may be gone; the store is closed all the same.
            let _ = answer.send(());
        }
    }

    /// The store, ready to be written to, and our state that of the disk.
    fn ready(&mut self) -> Result<Arc<Core>, CommitError> {
        let core = self.writer.ready()?;
        if self.unsure {
            self.read_again(&core).map_err(|fault| fault.committing())?;
        }
        Ok(core)
    }

    /// Reads what the disk took of a group that failed, and tells it: its numbers are given.
    fn read_again(&mut self, core: &Core) -> Result<(), Fault> {
        let (state, taken) = guarded(|| {
            let state = State::read(core)?;
            let mut taken = Vec::new();
            for at in self.state.end + 1..=state.end {
                let Some(Arrival { name, entry, .. }) = rows::arrival_at(core, at)? else { continue };
                taken.extend(rows::blob(core, &name, &entry.id)?.map(|blob| (name, entry, Bytes::from(blob))));
            }
            Ok((state, taken))
        })?;
        self.state = state;
        self.unsure = false;
        self.publish();
        for (name, entry, blob) in &taken {
            (self.told)(*name, *entry, blob);
        }
        Ok(())
    }

    /// Commits what waits, as one group. Gives back who wants the store closed.
    fn take(&mut self, first: Request, requests: &mut mpsc::Receiver<Request>) -> Option<oneshot::Sender<()>> {
        let core = match self.ready() {
            Ok(core) => core,
            Err(error) => {
                return match first {
                    Request::Close(answer) => Some(answer),
                    other => {
                        refuse(other, &error);
                        None
                    }
                };
            }
        };
        let mut group = Group { state: self.state, ..Group::default() };
        let mut request = Some(first);
        let mut closing = None;
        let mut n_requests = 0;
        while let Some(now) = request.take() {
            n_requests += 1;
            match now {
                Request::Close(answer) => closing = Some(answer),
                Request::Expire { before_ms, answer } => self.expire(before_ms, answer),
                Request::Put { name, id, blob, now_ms, answer, _share } => {
                    match guarded(|| self.put(&core, &mut group, name, id, &blob, now_ms)) {
                        Ok(Ok(at)) => {
                            group.puts.push((answer, at));
                            group.shares.push(_share);
                        }
                        Ok(Err(refused)) => drop(answer.send(Err(refused))),
                        Err(fault) => drop(answer.send(Err(PutError::Commit(fault.committing())))),
                    }
                }
                Request::Remove { name, id, answer } => match guarded(|| self.remove(&core, &mut group, name, id)) {
                    Ok(()) => group.removals.push(answer),
                    Err(fault) => drop(answer.send(Err(PutError::Commit(fault.committing())))),
                },
            }
            if closing.is_none() && n_requests < GROUP_BATCHES && group.bytes < GROUP_BYTES {
                request = requests.try_recv().ok();
            }
        }
        // Everybody was answered.
        let _ = self.commit(core, group);
        closing
    }

    /// Adds a blob to the group, if it is not there.
    fn put(
        &self,
        core: &Core,
        group: &mut Group,
        name: BoxName,
        id: BlobId,
        blob: &Bytes,
        now_ms: u64,
    ) -> Result<Result<u64, PutError>, Fault> {
        if let Some(at) = group.new.get(&(name, id)) {
            return Ok(Ok(*at));
        }
        if let Some(at) = rows::number(core, &name, &id)?.filter(|at| !group.removed.contains(at)) {
            return Ok(Ok(at));
        }
        let len = blob.len() as u64;
        let usage = self.usage(core, group, &name)?;
        if usage.blobs >= name.kind.max_blobs() || usage.bytes + len > name.kind.max_bytes() {
            return Ok(Err(PutError::BoxFull));
        }
        let after = added(group.state.usage, len);
        if after.counted() > self.max_bytes {
            return Ok(Err(PutError::Full));
        }
        let at = group.state.end + 1;
        // Blobs are at most 64 KiB.
        let entry = Entry { at, id, size: blob.len() as u32 };
        rows::insert(&Arrival { name, put_ms: now_ms, entry }, blob, &mut group.rows);
        group.state.end = at;
        group.state.usage = after;
        group.boxes.insert(name, added(usage, len));
        group.new.insert((name, id), at);
        group.arrivals.push((name, entry, blob.clone()));
        group.bytes += blob.len();
        Ok(Ok(at))
    }

    /// Takes a blob out by the group, if it is there durably.
    fn remove(&self, core: &Core, group: &mut Group, name: BoxName, id: BlobId) -> Result<(), Fault> {
        let Some(at) = rows::number(core, &name, &id)?.filter(|at| !group.removed.contains(at)) else { return Ok(()) };
        let Some(arrival) = rows::arrival_at(core, at)? else { return Ok(()) };
        let usage = self.usage(core, group, &name)?;
        rows::remove(&arrival, &mut group.rows);
        let len = u64::from(arrival.entry.size);
        group.state.usage = removed(group.state.usage, len);
        group.boxes.insert(name, removed(usage, len));
        group.removed.insert(at);
        Ok(())
    }

    fn usage(&self, core: &Core, group: &Group, name: &BoxName) -> Result<MailUsage, Fault> {
        match group.boxes.get(name).or_else(|| self.boxes.get(name)) {
            Some(usage) => Ok(*usage),
            None => rows::usage(core, name),
        }
    }

    /// Writes a group, tells subscribers, and answers. Whether it is durable.
    fn commit(&mut self, core: Arc<Core>, mut group: Group) -> Result<(), PutError> {
        let number = self.writer.next.group;
        let mut result = Ok(());
        if !group.rows.is_empty() {
            group.rows.push(group.state.row());
            if let Err(fault) = self.writer.write(&core, std::mem::take(&mut group.rows)) {
                tracing::error!(?fault, "writing mailboxes failed");
                result = Err(PutError::Commit(fault.committing()));
                self.writer.failed = true;
            }
        }
        drop(core);
        if self.writer.failed {
            self.writer.mend();
            // The disk may have taken it all the same: that is known when the store is open again.
            if !self.writer.failed && self.writer.next.group > number {
                result = Ok(());
            }
            self.unsure = self.writer.failed;
            self.boxes.clear();
        }
        if result.is_ok() {
            self.state = group.state;
            if self.boxes.len() > MAIL_BOXES {
                self.boxes.clear();
            }
            self.boxes.extend(group.boxes);
            self.publish();
            for (name, entry, blob) in &group.arrivals {
                (self.told)(*name, *entry, blob);
            }
        }
        for (answer, at) in group.puts {
            drop(answer.send(result.clone().map(|()| at)));
        }
        for answer in group.removals {
            drop(answer.send(result.clone()));
        }
        result
    }

    fn expire(&mut self, before_ms: u64, answer: oneshot::Sender<Result<u64, PutError>>) {
        let expiring = self.expiring.get_or_insert_with(|| Expiring { before_ms, gone: 0, answers: Vec::new() });
        expiring.before_ms = expiring.before_ms.max(before_ms);
        expiring.answers.push(answer);
    }

    /// Lets go some of what is too old.
    fn expire_some(&mut self) {
        let Some(mut expiring) = self.expiring.take() else { return };
        match self.expire_group(expiring.before_ms) {
            Ok(0) => {
                for answer in expiring.answers {
                    drop(answer.send(Ok(expiring.gone)));
                }
            }
            Ok(gone) => {
                expiring.gone += gone;
                self.expiring = Some(expiring);
            }
            Err(error) => {
                for answer in expiring.answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    fn expire_group(&mut self, before_ms: u64) -> Result<u64, PutError> {
        let core = self.ready()?;
        let committing = |fault: Fault| PutError::Commit(fault.committing());
        let oldest = guarded(|| rows::oldest(&core, before_ms, SWEEP_ROWS / 4)).map_err(committing)?;
        let mut group = Group { state: self.state, ..Group::default() };
        for arrival in &oldest {
            let Arrival { name, entry, .. } = arrival;
            guarded(|| self.remove(&core, &mut group, *name, entry.id)).map_err(committing)?;
        }
        let gone = group.removed.len() as u64;
        self.commit(core, group)?;
        Ok(gone)
    }
}

const fn added(usage: MailUsage, len: u64) -> MailUsage {
    MailUsage { blobs: usage.blobs + 1, bytes: usage.bytes + len }
}

const fn removed(usage: MailUsage, len: u64) -> MailUsage {
    MailUsage { blobs: usage.blobs.saturating_sub(1), bytes: usage.bytes.saturating_sub(len) }
}

fn refuse(request: Request, error: &CommitError) {
    match request {
        Request::Put { answer, .. } | Request::Expire { answer, .. } => {
            drop(answer.send(Err(PutError::Commit(error.clone()))));
        }
        Request::Remove { answer, .. } => drop(answer.send(Err(PutError::Commit(error.clone())))),
        Request::Close(_) => {}
    }
}
