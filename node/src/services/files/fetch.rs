//! One file on its way: a line to each source, questions as the machine wants them, chunks to the disk.
//!
//! A source is a member who is connected; it has a line and a task of its own, which moves frames between the line and this
//! one. What waits of them is bounded: two chunks a line, and four here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parlor_api::{Code, FileState, Problem};
use parlor_crypto::file::TAG;
use parlor_net::{LineKind, LineSender, NetworkHandle, PeerId};
use parlor_proto::FileId;
use parlor_proto::file::{Ask, Drop, Fetch, FileRef, Given, Told};
use parlor_proto::limits::ASKED_MAX;
use parlor_storage::{Blob, BlobError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::handle::Files;
use super::{blob_problem, blocking};
use crate::clock::now_ms;
use crate::limits::{FETCH_SOURCES, FILE_LONELY_MS, FILE_PROGRESS_MS, FILE_REFUSED_MS, FILE_STALLED_MS};
use crate::services::why::Why;

/// How often it is looked at who is connected, and who is silent.
const LOOK: Duration = Duration::from_millis(500);

/// Frames of all sources that wait here.
const FRAMES: usize = 4;

/// Why a fetch ended.
#[derive(Debug)]
pub(super) enum End {
    /// All of it is here, durably.
    Done,
    /// Nobody is connected who has it: to be tried again.
    Lonely,
    /// Somebody says to have it, and nothing came for long while others wait: to be tried again.
    Stalled,
    /// It was given up.
    Stopped,
    /// It can not be kept now: the disk is full, say. To be tried again later.
    Failed(Problem),
    /// Its author made no whole file of it: it never comes.
    Broken,
}

/// What a source's task tells.
enum Event {
    Frame(u64, Bytes),
    Over(u64),
}

struct Source {
    peer: PeerId,
    asks: mpsc::Sender<Bytes>,
}

struct Fetching {
    files: Files,
    net: NetworkHandle,
    id: FileId,
    fetch: Fetch<u64>,
    sources: BTreeMap<u64, Source>,
    /// Who said no, or lied, and until when nothing is asked of him.
    shunned: BTreeMap<PeerId, u64>,
    tasks: JoinSet<()>,
    next: u64,
    events: mpsc::Sender<Event>,
    pace: Pace,
    /// When windows were told last.
    told_ms: u64,
}

/// Fetches a file until it is here, is given up, or nobody has it.
pub(super) async fn run(
    (files, net): (Files, NetworkHandle),
    file: FileRef,
    others_wait: Arc<AtomicBool>,
    mut stop: watch::Receiver<bool>,
) -> End {
    let id = file.id();
    let Some(fetch) = Fetch::new(&file) else { return End::Broken };
    let blobs = files.blobs().clone();
    let found = match blocking(move || resume(fetch, blobs.part(&id)?)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return End::Failed(blob_problem(&error)),
        Err(problem) => return End::Failed(problem),
    };
    let (events, mut inbox) = mpsc::channel(FRAMES);
    let (fetch, mut blob) = found;
    let mut fetching = Fetching {
        files,
        net,
        id,
        fetch,
        sources: BTreeMap::new(),
        shunned: BTreeMap::new(),
        tasks: JoinSet::new(),
        next: 0,
        events,
        pace: Pace::new(now_ms()),
        told_ms: 0,
    };
    let mut look = tokio::time::interval(LOOK);
    loop {
        if fetching.fetch.is_done() {
            return match blocking(move || blob.keep(&id)).await {
                Ok(Ok(())) => End::Done,
                Ok(Err(error)) => End::Failed(blob_problem(&error)),
                Err(problem) => End::Failed(problem),
            };
        }
        let event = tokio::select! {
            Some(event) = inbox.recv() => Some(event),
            _ = look.tick() => None,
            Ok(()) = stop.changed() => return End::Stopped,
        };
        match event {
            None => fetching.look(),
            Some(Event::Over(source)) => fetching.over(source),
            Some(Event::Frame(source, frame)) => match fetching.frame(source, &frame) {
                Some((Given::Broken, _)) => return End::Broken,
                Some((Given::Fresh, slot)) => {
                    fetching.pace.fresh_ms = now_ms();
                    let chunk = frame.slice(CHUNK_AT..);
                    blob = match blocking(move || blob.write(slot, &chunk).map(|()| blob)).await {
                        Ok(Ok(blob)) => blob,
                        Ok(Err(error)) => return End::Failed(blob_problem(&error)),
                        Err(problem) => return End::Failed(problem),
                    };
                }
                _ => {}
            },
        }
        fetching.ask();
        fetching.tell(false);
        if let Some(end) = fetching.pace.end(now_ms(), others_wait.load(Ordering::Relaxed)) {
            return end;
        }
    }
}

/// Where the chunk begins in its frame.
const CHUNK_AT: usize = 5;

/// Finds what is held already: every chunk is checked against its name. Blocks.
fn resume(mut fetch: Fetch<u64>, mut blob: Blob) -> Result<(Fetch<u64>, Blob), BlobError> {
    for slot in fetch.layout().slots() {
        match blob.read(slot, fetch.layout().plain_len(slot) + TAG) {
            Ok(sealed) => _ = fetch.offer(slot, &sealed),
            // It ends before: nothing is held beyond, but what stands lower may be.
            Err(BlobError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((fetch, blob))
}

impl Fetching {
    /// Looks who is connected.
    fn look(&mut self) {
        let now = now_ms();
        self.shunned.retain(|_, until| *until > now);
        let mut company: BTreeSet<_> = self.files.company(&self.id).into_iter().collect();
        let gone: Vec<_> =
            self.sources.iter().filter(|(_, it)| !company.contains(&it.peer)).map(|(source, _)| *source).collect();
        gone.into_iter().for_each(|source| self.over(source));
        company.retain(|peer| !self.shunned.contains_key(peer));
        for source in self.sources.values() {
            company.remove(&source.peer);
        }
        for peer in company.into_iter().take(FETCH_SOURCES.saturating_sub(self.sources.len())) {
            self.next += 1;
            let (asks, to_ask) = mpsc::channel(ASKED_MAX as usize + 2);
            self.sources.insert(self.next, Source { peer, asks });
            self.fetch.up(self.next, now);
            self.tasks.spawn(converse(self.net.clone(), peer, self.next, to_ask, self.events.clone()));
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// The line of a source is over. Whoever is still there gets another one, after a pause: a long one if it held chunks up
    /// and gave none, or a line after the other would be as good as patience without end.
    fn over(&mut self, source: u64) {
        let pause = if self.fetch.down(source) { 10 * FILE_REFUSED_MS } else { LOOK.as_millis() as u64 };
        if let Some(source) = self.sources.remove(&source) {
            self.shunned.entry(source.peer).or_insert(now_ms() + pause);
        }
    }

    /// Takes what a source says; of a chunk, answers what becomes of it and where it stands.
    fn frame(&mut self, source: u64, frame: &Bytes) -> Option<(Given, u32)> {
        match Told::decode(frame) {
            Ok(told) => {
                let slot = if let Told::Chunk(slot, _) = told { slot } else { 0 };
                self.fetch.told(source, &told, now_ms()).map(|given| (given, slot))
            }
            Err(_) => {
                self.fetch.garbled(source);
                None
            }
        }
    }

    /// Asks what is to be asked now, and lets go who is to be let go.
    fn ask(&mut self) {
        let now = now_ms();
        for source in self.fetch.curious(now) {
            self.send(source, Ask::Have(self.id));
        }
        for (source, ask) in self.fetch.asks(now) {
            self.send(source, ask);
        }
        for (source, why) in self.fetch.dropped() {
            let Some(source) = self.sources.remove(&source) else { continue };
            tracing::debug!(peer = %source.peer.short(), ?why, "a source of a file is let go");
            let pause = if why == Drop::Refused { FILE_REFUSED_MS } else { 10 * FILE_REFUSED_MS };
            self.shunned.insert(source.peer, now + pause);
        }
        if self.fetch.is_fed() {
            self.pace.fed_ms = now;
        }
    }

    fn send(&mut self, source: u64, ask: Ask) {
        // There is room for the whole window; a task that takes none is about to say that it is over.
        if let Some(source) = self.sources.get(&source) {
            let _ = source.asks.try_send(ask.encode().into());
        }
    }

    /// Notes how far it came, for windows and for those who ask us; not at every chunk.
    fn tell(&mut self, now: bool) {
        if !now && now_ms().saturating_sub(self.told_ms) < FILE_PROGRESS_MS {
            return;
        }
        self.told_ms = now_ms();
        let state = if self.fetch.is_fed() { FileState::Fetching } else { FileState::Waiting };
        let (bytes, have) = (self.fetch.bytes(), self.fetch.have().clone());
        self.files.change(&self.id, |known| {
            (known.state, known.bytes, known.have) = (state, bytes, Some(have));
            known.reason = None;
        });
    }
}

/// How it goes on.
struct Pace {
    /// When somebody had something of it last that is missing here, as he says.
    fed_ms: u64,
    /// When a chunk came last.
    fresh_ms: u64,
}

impl Pace {
    fn new(now_ms: u64) -> Self {
        Self { fed_ms: now_ms, fresh_ms: now_ms }
    }

    /// How it ends now, if others are to have their turn.
    fn end(&self, now_ms: u64, others_wait: bool) -> Option<End> {
        if now_ms.saturating_sub(self.fed_ms) >= FILE_LONELY_MS {
            return Some(End::Lonely);
        }
        (others_wait && now_ms.saturating_sub(self.fresh_ms) >= FILE_STALLED_MS).then_some(End::Stalled)
    }
}

impl std::ops::Drop for Fetching {
    fn drop(&mut self) {
        self.tell(true);
    }
}

/// Moves frames between a line and the fetch, until either ends.
async fn converse(
    net: NetworkHandle,
    peer: PeerId,
    source: u64,
    asks: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<Event>,
) {
    if let Ok(line) = net.open_line(peer, Vec::new(), LineKind::Blob).await {
        let (sender, mut receiver) = line.split();
        let hear = async {
            while let Some(frame) = receiver.recv().await {
                if events.send(Event::Frame(source, frame)).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = hear => {}
            () = say(sender, asks) => {}
        }
    }
    // The fetch may have ended.
    let _ = events.send(Event::Over(source)).await;
}

async fn say(line: LineSender, mut asks: mpsc::Receiver<Bytes>) {
    while let Some(ask) = asks.recv().await {
        if line.send(ask).await.is_err() {
            return;
        }
    }
}

impl End {
    /// What windows are told of it, where it is a failure.
    pub(super) fn reason(&self) -> Option<Why> {
        match self {
            Self::Failed(problem) => Some(Why::from(problem)),
            Self::Broken => Some(Why::from(&Problem::of(Code::FileBroken))),
            Self::Done | Self::Lonely | Self::Stalled | Self::Stopped => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_to_others_when_nothing_comes_whatever_sources_say() {
        let mut pace = Pace::new(0);
        // Somebody says to have it all the time, and gives nothing.
        pace.fed_ms = FILE_STALLED_MS;
        assert!(pace.end(FILE_STALLED_MS - 1, true).is_none());
        assert!(matches!(pace.end(FILE_STALLED_MS, true), Some(End::Stalled)));
        assert!(pace.end(FILE_STALLED_MS, false).is_none(), "nobody waits for the place");
        pace.fresh_ms = 1;
        assert!(pace.end(FILE_STALLED_MS, true).is_none(), "a chunk came");
        pace.fed_ms = 0;
        assert!(matches!(pace.end(FILE_LONELY_MS, false), Some(End::Lonely)));
    }
}
