//! Lines of other nodes, which ask for files: what it may have it is given, a chunk at a time.

use std::sync::Arc;

use bytes::Bytes;
use parlor_api::FileState;
use parlor_crypto::file::TAG;
use parlor_net::{Line, PeerId};
use parlor_proto::FileId;
use parlor_proto::file::{Bits, Served, Server, Told};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::blocking;
use super::handle::{Files, layout};
use crate::limits::{FILE_LINE_IDLE, FILE_REFUSALS, FILE_STRANGER_IDLE, FILE_STRANGERS};

/// The lines of others that are served.
pub(super) struct Lines {
    files: Files,
    tasks: JoinSet<()>,
    /// Places for those of whom no session proved yet that they are in a room with us.
    strangers: Arc<Semaphore>,
}

impl Lines {
    pub(super) fn new(files: Files) -> Self {
        Self { files, tasks: JoinSet::new(), strangers: Arc::new(Semaphore::new(FILE_STRANGERS)) }
    }

    /// Serves a line; one of a stranger only if few of them have one.
    pub(super) fn take(&mut self, line: Line) {
        let place = if self.files.is_member(&line.peer()) {
            None
        } else {
            // Without a place the line ends here.
            let Ok(place) = self.strangers.clone().try_acquire_owned() else { return };
            Some(place)
        };
        let files = self.files.clone();
        self.tasks.spawn(async move {
            serve(files, line).await;
            drop(place);
        });
    }

    /// Waits until one is over; `None` if there is none. Cancel safe.
    pub(super) async fn over(&mut self) -> Option<()> {
        self.tasks.join_next().await.map(|_| ())
    }
}

/// Serves the line until it ends, breaks a rule, is told no [`FILE_REFUSALS`] times in a row, or is silent for
/// [`FILE_LINE_IDLE`]; a stranger's for [`FILE_STRANGER_IDLE`].
pub(super) async fn serve(files: Files, mut line: Line) {
    let peer = line.peer();
    let (mut server, mut refusals) = (Server::default(), 0);
    loop {
        let idle = if files.is_member(&peer) { FILE_LINE_IDLE } else { FILE_STRANGER_IDLE };
        let Ok(Some(frame)) = timeout(idle, line.recv()).await else { return };
        let answer = match server.asked(&frame) {
            Ok(Served::Have(file)) => have(&files, &file, &peer),
            Ok(Served::Chunk(file, slot)) => chunk(&files, file, slot, &peer).await,
            Err(error) => {
                tracing::debug!(peer = %peer.short(), %error, "a peer broke a rule of files");
                return;
            }
        };
        refusals = if answer == Told::Refused.encode() { refusals + 1 } else { 0 };
        // Waits while the other reads slowly: one chunk and those of the queue are all that waits for it.
        if line.send(answer).await.is_err() || refusals >= FILE_REFUSALS {
            return;
        }
    }
}

fn have(files: &Files, file: &FileId, peer: &PeerId) -> Bytes {
    if !files.may_have(file, peer) {
        return Told::Refused.encode().into();
    }
    let table = files.table();
    let Some(known) = table.get(file) else { return Told::Refused.encode().into() };
    match &known.have {
        _ if known.state == FileState::Here => Told::All.encode(),
        Some(bits) => Told::Some(bits.as_bytes()).encode(),
        None => Told::Some(Bits::none(known.layout.end()).as_bytes()).encode(),
    }
    .into()
}

/// Asked anew for each chunk whether the peer may have it: it may be no member any more.
async fn chunk(files: &Files, file: FileId, slot: u32, peer: &PeerId) -> Bytes {
    if !files.may_have(&file, peer) {
        return Told::Refused.encode().into();
    }
    let held = files
        .table()
        .get(&file)
        .is_some_and(|known| known.state == FileState::Here || known.have.as_ref().is_some_and(|bits| bits.has(slot)));
    let len = layout(files, &file).map_or(0, |layout| layout.plain_len(slot));
    if !held || len == 0 {
        return Told::Lacks(slot).encode().into();
    }
    let blobs = files.blobs().clone();
    let read = blocking(move || blobs.read(&file, slot, len + TAG)).await;
    match read {
        Ok(Ok(sealed)) => Told::Chunk(slot, &sealed).encode().into(),
        _ => Told::Lacks(slot).encode().into(),
    }
}
