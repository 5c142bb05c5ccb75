//! One line of another node, which asks for a file: what it may have it is given, a chunk at a time.

use bytes::Bytes;
use parlor_api::FileState;
use parlor_crypto::file::TAG;
use parlor_net::{Line, PeerId};
use parlor_proto::FileId;
use parlor_proto::file::{Bits, Served, Server, Told};
use tokio::time::timeout;

use super::blocking;
use super::handle::{Files, layout};
use crate::limits::FILE_LINE_IDLE;

/// Serves the line until it ends, breaks a rule, or is silent for [`FILE_LINE_IDLE`].
pub(super) async fn serve(files: Files, mut line: Line) {
    let peer = line.peer();
    let mut server = Server::default();
    while let Ok(Some(frame)) = timeout(FILE_LINE_IDLE, line.recv()).await {
        let answer = match server.asked(&frame) {
            Ok(Served::Have(file)) => have(&files, &file, &peer),
            Ok(Served::Chunk(file, slot)) => chunk(&files, file, slot, &peer).await,
            Err(error) => {
                tracing::debug!(peer = %peer.short(), %error, "a peer broke a rule of files");
                return;
            }
        };
        // Waits while the other reads slowly: one chunk and those of the queue are all that waits for it.
        if line.send(answer).await.is_err() {
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
