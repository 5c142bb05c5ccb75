//! The one writer: takes the batches that wait, makes them durable as one group of the journal, applies it, then answers.
//!
//! While the disk works the next batches gather, so the group is as large as the disk is slow; nobody waits for company.
//! When writing fails sled refuses everything that follows; the readers keep what was durable, and before the next
//! group the log is opened again. Forgotten rooms are swept while nothing waits.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::ballast::Ballast;
use crate::batch::Batch;
use crate::fault::{Fault, guarded};
use crate::faults::Faults;
use crate::group::Group;
use crate::limits::{GROUP_BATCHES, GROUP_BYTES, LOCK_PATIENCE, REOPEN_RETRY, SWEEP_ROWS};
use crate::opening::{Core, Folder, Next, Notes};
use crate::schema::{TreeId, number_key};
use crate::seal::Sealer;
use crate::value::Row;
use crate::write::apply;
use crate::{CommitError, OpenError, ReadError};

/// What the writer is asked.
#[derive(Debug)]
pub(crate) enum Request {
    Commit(Job),
    /// Somebody could not read: open the log again if that helps.
    Mend(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

/// A batch that waits.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) answer: oneshot::Sender<Result<(), CommitError>>,
    /// Its share of the queue's bytes.
    pub(crate) _share: OwnedSemaphorePermit,
}

/// What readers find.
#[derive(Debug)]
pub(crate) enum Slot {
    Open(Arc<Core>),
    /// It could not be opened again; the next commit tries.
    Failed(ReadError),
    Closed,
}

/// What handles and writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    slot: RwLock<Slot>,
    pub(crate) faults: Faults,
    /// The last group that readers see all of.
    pub(crate) published: watch::Sender<u64>,
}

impl Shared {
    pub(crate) fn new(core: Core, group: u64) -> Self {
        let published = watch::Sender::new(group);
        Self { slot: RwLock::new(Slot::Open(Arc::new(core))), faults: Faults::default(), published }
    }

    /// The open store; waits while it is being opened again.
    pub(crate) fn core(&self) -> Result<Arc<Core>, ReadError> {
        match &*self.slot.read().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(core) => Ok(Arc::clone(core)),
            Slot::Failed(error) => Err(error.clone()),
            Slot::Closed => Err(ReadError::Closed),
        }
    }

    /// Lets go of the open store, then puts what `make` returns in its place. Readers wait meanwhile.
    fn replace(&self, make: impl FnOnce() -> Slot) {
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if let Slot::Open(core) = std::mem::replace(&mut *slot, Slot::Closed) {
            let deadline = Instant::now() + LOCK_PATIENCE;
            while Arc::strong_count(&core) > 1 && Instant::now() < deadline {
                std::thread::yield_now();
            }
            // sled panics in drop if its last sync fails; what it would sync was never acknowledged.
            let _ = guarded(|| {
                drop(core);
                Ok(())
            });
        }
        *slot = make();
    }
}

/// The writer's own state.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) folder: Folder,
    pub(crate) sealer: Sealer,
    pub(crate) notes: Notes,
    pub(crate) next: Next,
    pub(crate) ballast: Ballast,
    /// Whether writing failed: the log must be opened again.
    pub(crate) failed: bool,
}

impl Writer {
    /// Works until the store is closed or its last handle dropped.
    pub(crate) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut closing = None;
        while closing.is_none() {
            let Some(first) = self.wait(&mut requests) else { break };
            let (mut jobs, mut mending) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            let mut request = Some(first);
            while let Some(now) = request.take() {
                match now {
                    Request::Close(answer) => closing = Some(answer),
                    Request::Mend(answer) => mending.push(answer),
                    Request::Commit(job) => {
                        bytes += job.batch.bytes();
                        let last = job.batch.forgets() || bytes >= GROUP_BYTES;
                        jobs.push(job);
                        if !last && jobs.len() < GROUP_BATCHES {
                            request = requests.try_recv().ok();
                        }
                    }
                }
            }
            if !jobs.is_empty() {
                self.commit(jobs);
            }
            for answer in mending {
                self.mend();
                // Whoever could not read may have given up.
                let _ = answer.send(());
            }
        }
        drop(requests);
        self.close();
        if let Some(answer) = closing {
            // Whoever closed may be gone; the store is closed all the same.
            let _ = answer.send(());
        }
    }

    /// The next request; while there is none, sweeps, or opens a failed log again. `None` when no handle is left.
    fn wait(&mut self, requests: &mut mpsc::Receiver<Request>) -> Option<Request> {
        while self.failed || !self.next.forgotten.is_empty() {
            match requests.try_recv() {
                Ok(request) => return Some(request),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.failed => {
                    std::thread::sleep(REOPEN_RETRY);
                    // The reason is logged, and told to whoever commits.
                    let _ = self.ready();
                }
                Err(TryRecvError::Empty) => self.sweep(),
            }
        }
        requests.blocking_recv()
    }

    /// Writes the batches as one group and answers each. An answer may find nobody: the batch is applied all the same.
    fn commit(&mut self, jobs: Vec<Job>) {
        let core = match self.ready() {
            Ok(core) => core,
            Err(error) => return refuse(jobs, &error),
        };
        let mut group = Group::new(&core, self.next.group, self.next.room);
        let mut accepted = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        for Job { batch, answer, _share } in jobs.by_ref() {
            let chain = batch.chain.clone();
            let added = if chain.is_broken() { Ok(Err(CommitError::Broken)) } else { guarded(|| group.add(batch)) };
            match added {
                Ok(Ok(())) => accepted.push((answer, chain, _share)),
                Ok(Err(refused)) => {
                    chain.break_off();
                    drop(answer.send(Err(refused)));
                }
                Err(fault) => {
                    // The group may hold a part of the batch: it must not be written.
                    let error = fault.committing();
                    accepted.push((answer, chain, _share));
                    // All chains first: who is answered may commit again at once.
                    accepted.iter().for_each(|(_, chain, _)| chain.break_off());
                    accepted.into_iter().for_each(|(answer, ..)| drop(answer.send(Err(error.clone()))));
                    return refuse(jobs.collect(), &error);
                }
            }
        }
        if accepted.is_empty() {
            return;
        }
        let number = self.next.group;
        let mut answer = match guarded(|| group.rows()).and_then(|rows| self.write(&core, rows)) {
            Ok(()) => {
                self.next.forgotten.extend(group.forgotten());
                self.next.room = group.publish();
                // A group without rows is none: the next one has its number, and is not to be taken for seen.
                self.shared.published.send_replace(self.next.group - 1);
                Ok(())
            }
            Err(fault) => {
                tracing::error!(?fault, "writing to the store failed");
                self.failed = true;
                Err(fault.committing())
            }
        };
        drop(core);
        if self.failed {
            self.mend();
            // The disk may have taken it all the same: that is known when the store is open again.
            if !self.failed && self.next.group > number {
                answer = Ok(());
            }
        }
        if answer.is_err() {
            accepted.iter().for_each(|(_, chain, _)| chain.break_off());
        }
        accepted.into_iter().for_each(|(sender, ..)| drop(sender.send(answer.clone())));
    }

    /// Makes the rows of the next group durable and applies them.
    pub(crate) fn write(&mut self, core: &Core, rows: Vec<Row>) -> Result<(), Fault> {
        let group = self.next.group;
        if rows.is_empty() {
            return Ok(());
        }
        // Keys of what disappears are durable before what needs them.
        core.keyring.sync()?;
        self.notes.journal.append(group, &rows, &self.sealer)?;
        self.shared.faults.after_journal()?;
        self.notes.mark(group, &self.sealer)?;
        self.next.group += 1;
        guarded(|| {
            apply(core, group, rows)?;
            if self.notes.journal.is_full() { self.notes.flush(core, group) } else { Ok(()) }
        })
    }

    /// Makes everything durable and gives the files back.
    pub(crate) fn close(mut self) {
        self.rest();
        self.shared.replace(|| Slot::Closed);
    }

    /// Makes sled durable before the store closes, so that nothing is to be applied when it opens.
    fn rest(&mut self) {
        if let Ok(core) = self.shared.core()
            && !self.failed
            && let Err(fault) = guarded(|| self.notes.flush(&core, self.next.group - 1))
        {
            tracing::warn!(?fault, "the last groups stay in the journal");
        }
    }

    /// The store, ready to be written to: opened again if writing failed before, with space to write.
    pub(crate) fn ready(&mut self) -> Result<Arc<Core>, CommitError> {
        let free = fs4::available_space(self.folder.dir()).map_err(|error| CommitError::Io(error.to_string()))?;
        if self.ballast.refuses(free) {
            return Err(CommitError::DiskFull);
        }
        if self.failed || self.shared.core().is_ok_and(|core| core.engine.has_failed()) {
            self.failed = true;
            self.open_again()?;
        }
        self.shared.core().map_err(|error| match error {
            ReadError::Closed => CommitError::Closed,
            ReadError::Damaged(detail) => CommitError::Damaged(detail),
            other => CommitError::Io(other.to_string()),
        })
    }

    /// Opens a failed log again, in the space of the ballast if there is no other.
    pub(crate) fn mend(&mut self) {
        self.failed |= self.shared.core().is_ok_and(|core| core.engine.has_failed());
        if self.failed {
            if fs4::available_space(self.folder.dir()).is_ok_and(|free| self.ballast.is_needed(free)) {
                self.ballast.throw_off();
            }
            if let Err(error) = self.open_again() {
                tracing::warn!(%error, "the log could not be opened again; it is tried until it can");
            }
        }
    }

    fn open_again(&mut self) -> Result<(), CommitError> {
        tracing::info!("opening the log again after a failed write");
        self.shared.faults.before_opening()?;
        let mut result = Ok(());
        let Self { shared, folder, sealer, .. } = self;
        let mut opened = None;
        shared.replace(|| match folder.open(sealer) {
            Ok((core, next, notes)) => {
                opened = Some((next, notes));
                Slot::Open(Arc::new(core))
            }
            Err(error) => {
                let slot = Slot::Failed(ReadError::Io(error.to_string()));
                result = Err(reopening(error));
                slot
            }
        });
        if let Some((next, notes)) = opened {
            self.shared.published.send_replace(next.group - 1);
            self.next = next;
            self.notes = notes;
            self.failed = false;
        }
        result
    }

    /// Removes some rows of a forgotten room, at last its number.
    fn sweep(&mut self) {
        let Some(room) = self.next.forgotten.last().copied() else { return };
        let swept = self.ready().map_err(|error| Fault::Damaged(error.to_string())).and_then(|core| {
            let (rows, left) = guarded(|| swept(&core, room))?;
            self.write(&core, rows)?;
            Ok(left)
        });
        match swept {
            Ok(true) => {}
            Ok(false) => self.next.forgotten.retain(|number| *number != room),
            Err(fault) => {
                tracing::warn!(?fault, "sweeping a forgotten room failed; it goes on after the next opening");
                self.failed = true;
                self.next.forgotten.clear();
            }
        }
    }
}

/// The removal of some rows of a room, and whether there may be more.
fn swept(core: &Core, room: u32) -> Result<(Vec<Row>, bool), Fault> {
    let mut rows = Vec::new();
    for tree in TreeId::OF_ROOMS {
        for row in core.trees.get(tree).scan_prefix(number_key(room)).take(SWEEP_ROWS - rows.len()) {
            rows.push(Row::removal(tree, &row?.0));
        }
        if rows.len() == SWEEP_ROWS {
            return Ok((rows, true));
        }
    }
    rows.push(Row::removal(TreeId::Rooms, &number_key(room)));
    Ok((rows, false))
}

fn refuse(jobs: Vec<Job>, error: &CommitError) {
    jobs.iter().for_each(|job| job.batch.chain.break_off());
    for job in jobs {
        drop(job.answer.send(Err(error.clone())));
    }
}

fn reopening(error: OpenError) -> CommitError {
    match error {
        OpenError::DiskFull { .. } => CommitError::DiskFull,
        OpenError::ReadOnly { .. } => CommitError::ReadOnly,
        OpenError::Damaged { .. } => CommitError::Damaged(error.to_string()),
        other => CommitError::Io(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::vault::Vault;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use crate::{Batch, Chain, CommitError, Namespace, OpenOptions, Store};

    fn put(chain: &Chain, key: &[u8]) -> Batch {
        let mut batch = Batch::new(None);
        batch.chain(chain).put(Namespace::Meta, key, vec![1]);
        batch
    }

    #[test]
    fn after_a_failed_write_nothing_more_of_its_chain_is_stored_and_other_chains_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::generate(&mut StdRng::seed_from_u64(1));
        let store = Store::open(dir.path(), &vault, OpenOptions { reserve_bytes: 0 }).unwrap();
        let (chain, other) = (Chain::default(), Chain::default());
        store.commit_blocking(put(&chain, b"first")).unwrap();
        store.break_disk(1);
        let failed = store.commit_blocking(put(&chain, b"second"));
        assert!(matches!(failed, Err(CommitError::Io(_))), "{failed:?}");
        assert!(chain.is_broken() && !other.is_broken());
        // The disk works again. What was made in the belief that the second is there is refused all the same.
        let after = store.commit_blocking(put(&chain, b"third"));
        assert!(matches!(after, Err(CommitError::Broken)), "{after:?}");
        store.commit_blocking(put(&other, b"beside")).unwrap();
        let has = |key: &[u8]| store.get(None, Namespace::Meta, key).unwrap().is_some();
        assert!(has(b"first") && has(b"beside") && !has(b"third"));
    }
}
