//! The life of one sync stream: hellos, go, then frames both ways until either side ends.
//!
//! One task a stream. Reading and writing run side by side, because two sides that both write before reading lock each other
//! out; each step on the wire has a deadline. The reader gives a frame to the network task only when that has room: a node that is
//! too slow slows its peers down, one frame of memory each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
    io::{BufReader, BufWriter},
};
use libp2p::{Stream, swarm::ConnectionId};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{
    frame::{self, FrameError},
    hello::{self, Hello, HelloError},
};
use crate::{PeerId, limits::FRAME_MAX};

/// Read and written at once when frames are small.
const BUFFER: usize = 16 * 1024;
/// Begins a *go*; the number of the choice follows.
const GO: u8 = 1;
/// Bytes of a *go*.
const GO_LEN: usize = 5;

/// Names a stream: there is one a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StreamKey {
    pub(crate) peer: PeerId,
    pub(crate) connection: ConnectionId,
}

/// What a stream's task tells the network task, in this order: `Hello`, `Up`, any `Frame`s, `End`; `End` may come at any time.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// The other side's hello is here. The leader now chooses.
    Hello(Hello),
    /// The leader's choice of this number is this stream. Both sides use it, unless a later choice is known already.
    Up(u32),
    /// A frame.
    Frame(Bytes),
    /// The stream is over.
    End(StreamEnd),
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The other side, or the connection, ended it.
    Closed,
    /// Our side let go of the queue.
    Finished,
    /// A deadline passed.
    Late,
    /// The other side broke the format.
    Malformed,
    /// Another version.
    Incompatible,
}

/// The time each step may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    pub(crate) hello: Duration,
    pub(crate) go: Duration,
    pub(crate) frame: Duration,
}

/// Counts the bytes waiting for one peer, and for all.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    own: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Queue {
    /// An empty queue that counts into `all` too.
    pub(crate) fn new(all: Arc<AtomicUsize>) -> Self {
        Self { own: Arc::default(), all }
    }

    /// Bytes waiting for this peer.
    pub(crate) fn own(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// Bytes waiting for all peers.
    pub(crate) fn all(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Counts a frame in; it is counted out when the guard is dropped, wherever that happens.
    pub(crate) fn enter(&self, frame: Bytes) -> Queued {
        self.own.fetch_add(frame.len(), Ordering::Relaxed);
        self.all.fetch_add(frame.len(), Ordering::Relaxed);
        Queued { frame, queue: self.clone() }
    }
}

/// A frame that waits to be written.
#[derive(Debug)]
pub(crate) struct Queued {
    frame: Bytes,
    queue: Queue,
}

impl Drop for Queued {
    fn drop(&mut self) {
        self.queue.own.fetch_sub(self.frame.len(), Ordering::Relaxed);
        self.queue.all.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}

/// What the task of a stream works with.
pub(crate) struct StreamTask {
    pub(crate) key: StreamKey,
    pub(crate) hello: Hello,
    /// Where events go.
    pub(crate) inbox: mpsc::Sender<(StreamKey, StreamEvent)>,
    /// On the leading side: the choice. `None` follows.
    pub(crate) go: Option<oneshot::Receiver<u32>>,
    /// Frames to write. Dropping the other end finishes the stream.
    pub(crate) frames: mpsc::Receiver<Queued>,
    pub(crate) deadlines: Deadlines,
}

impl From<FrameError> for StreamEnd {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::End | FrameError::Io => Self::Closed,
            FrameError::Length => Self::Malformed,
            FrameError::Late => Self::Late,
        }
    }
}

impl From<HelloError> for StreamEnd {
    fn from(error: HelloError) -> Self {
        match error {
            HelloError::Malformed => Self::Malformed,
            HelloError::Incompatible => Self::Incompatible,
        }
    }
}

impl StreamTask {
    /// Runs the stream to its end.
    pub(crate) async fn run(mut self, stream: Stream) {
        let (reader, writer) = stream.split();
        let mut reader = BufReader::with_capacity(BUFFER, reader);
        let mut writer = BufWriter::with_capacity(BUFFER, writer);
        let end = match self.greet(&mut reader, &mut writer).await {
            Ok(()) => {
                let Self { key, inbox, frames, deadlines, .. } = &mut self;
                tokio::select! {
                    end = receive(&mut reader, *key, inbox, deadlines.frame) => end,
                    end = transmit(&mut writer, frames, deadlines.frame) => end,
                }
            }
            Err(end) => end,
        };
        self.tell(StreamEvent::End(end)).await;
    }

    async fn greet(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), StreamEnd> {
        let deadline = self.deadlines.hello;
        let ours = self.hello.encode();
        let hellos = async {
            let sent = async {
                frame::write(writer, &ours, deadline).await?;
                frame::flush(writer, deadline).await
            };
            let (sent, theirs) = futures::join!(sent, frame::read(reader, hello::LEN_MAX, deadline));
            sent?;
            Ok::<_, StreamEnd>(Hello::decode(&theirs?)?)
        };
        let theirs = timeout(deadline, hellos).await.map_err(|_| StreamEnd::Late)??;
        self.tell(StreamEvent::Hello(theirs)).await;
        let choice = match self.go.take() {
            Some(chosen) => {
                // Ends when the network task chooses this stream, or drops it for another.
                let choice = chosen.await.map_err(|_| StreamEnd::Finished)?;
                frame::write(writer, &go(choice), deadline).await?;
                frame::flush(writer, deadline).await?;
                choice
            }
            None => {
                let said = frame::read(reader, GO_LEN, deadline);
                let said = timeout(self.deadlines.go, said).await.map_err(|_| StreamEnd::Late)??;
                choice(&said).ok_or(StreamEnd::Malformed)?
            }
        };
        self.tell(StreamEvent::Up(choice)).await;
        Ok(())
    }

    /// Waits for room; when the network task is gone there is nobody to tell.
    async fn tell(&self, event: StreamEvent) {
        let _ = self.inbox.send((self.key, event)).await;
    }
}

fn go(choice: u32) -> [u8; GO_LEN] {
    let [a, b, c, d] = choice.to_be_bytes();
    [GO, a, b, c, d]
}

fn choice(go: &[u8]) -> Option<u32> {
    let (kind, choice) = go.split_first()?;
    (*kind == GO).then(|| choice.try_into().map(u32::from_be_bytes).ok())?
}

async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    key: StreamKey,
    inbox: &mpsc::Sender<(StreamKey, StreamEvent)>,
    deadline: Duration,
) -> StreamEnd {
    loop {
        match frame::read(reader, FRAME_MAX, deadline).await {
            Ok(data) => {
                if inbox.send((key, StreamEvent::Frame(data))).await.is_err() {
                    return StreamEnd::Finished;
                }
            }
            Err(error) => return error.into(),
        }
    }
}

async fn transmit(
    writer: &mut (impl AsyncWrite + Unpin),
    frames: &mut mpsc::Receiver<Queued>,
    deadline: Duration,
) -> StreamEnd {
    while let Some(next) = frames.recv().await {
        if let Err(error) = burst(writer, next, frames, deadline).await {
            return error.into();
        }
    }
    // Everything queued is flushed; saying goodbye properly is a courtesy.
    let _ = timeout(deadline, writer.close()).await;
    StreamEnd::Finished
}

/// Writes a frame and all that wait behind it, then flushes.
async fn burst(
    writer: &mut (impl AsyncWrite + Unpin),
    first: Queued,
    frames: &mut mpsc::Receiver<Queued>,
    deadline: Duration,
) -> Result<(), FrameError> {
    let mut next = Some(first);
    while let Some(queued) = next {
        frame::write(writer, &queued.frame, deadline).await?;
        drop(queued);
        next = frames.try_recv().ok();
    }
    frame::flush(writer, deadline).await
}
