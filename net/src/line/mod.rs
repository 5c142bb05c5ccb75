//! Lines: ordered streams of frames beside sync, one protocol a kind.
//!
//! A node opens lines ([`crate::NetworkHandle::open_line`]); a relay accepts those to relays ([`crate::relay::RelayEvent::Line`]),
//! a node those between nodes ([`crate::NetworkEvent::Line`]). On the wire a line is a stream of the connection, each frame
//! `u32 length || 1 ..= LineKind::frame_max bytes`, in both directions at once. A line carries opaque bytes; what they mean is
//! in `docs/spec/mailbox.md` and beyond.
//!
//! Frames arrive in order and whole, or the line ends. Each direction has a queue of some frames ([`LINE_QUEUE`],
//! [`BLOB_QUEUE`]), and what does not fit waits at the sender: a slow reader slows its writer. A frame whose first byte is there, or that is being written, is
//! complete within [`crate::limits::FRAME_DEADLINE`], else the line ends.

mod behaviour;
mod task;

use bytes::Bytes;
use libp2p::StreamProtocol;
use tokio::sync::mpsc;

use crate::{
    PeerId,
    limits::{BLOB_FRAME_MAX, BLOB_QUEUE, LINE_FRAME_MAX, LINE_QUEUE},
};

pub(crate) use behaviour::{Behaviour, Event as BehaviourEvent};
pub(crate) use task::run;

/// What is spoken on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LineKind {
    /// `/parlor/mailbox/1`.
    Mailbox,
    /// `/parlor/directory/1`.
    Directory,
    /// `/parlor/blob/1`, between nodes that are up.
    Blob,
}

impl LineKind {
    /// What relays accept.
    pub const OF_RELAYS: [Self; 2] = [Self::Mailbox, Self::Directory];
    /// What nodes accept.
    pub const OF_NODES: [Self; 1] = [Self::Blob];

    /// Bytes of the largest frame.
    pub const fn frame_max(self) -> usize {
        match self {
            Self::Mailbox | Self::Directory => LINE_FRAME_MAX,
            Self::Blob => BLOB_FRAME_MAX,
        }
    }

    /// Frames that wait in each direction.
    const fn queue(self) -> usize {
        match self {
            Self::Mailbox | Self::Directory => LINE_QUEUE,
            Self::Blob => BLOB_QUEUE,
        }
    }

    pub(crate) fn protocol(self) -> StreamProtocol {
        match self {
            Self::Mailbox => StreamProtocol::new("/parlor/mailbox/1"),
            Self::Directory => StreamProtocol::new("/parlor/directory/1"),
            Self::Blob => StreamProtocol::new("/parlor/blob/1"),
        }
    }
}

/// A standing line. Dropping it, or its sending half with all its clones, closes it after what was sent is written.
#[derive(Debug)]
pub struct Line {
    peer: PeerId,
    kind: LineKind,
    sender: LineSender,
    receiver: LineReceiver,
}

/// The half of a line that sends. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LineSender {
    frames: mpsc::Sender<Bytes>,
    max: usize,
}

/// The half of a line that receives.
#[derive(Debug)]
pub struct LineReceiver {
    frames: mpsc::Receiver<Bytes>,
}

/// Why a line could not be opened, or a frame not be sent on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The frame is empty or larger than [`LineKind::frame_max`].
    #[error("a frame of a line has {0} bytes")]
    Size(usize),
    /// More than [`crate::limits::LINES_OPEN`] lines, or [`crate::limits::ADDRESSES_MAX`] addresses.
    #[error("too many {0}")]
    TooMany(&'static str),
    /// No connection to the relay could be made.
    #[error("cannot reach the relay: {0}")]
    Unreachable(String),
    /// The relay does not offer this kind of line, or not now: it said so, or ended the connection instead.
    #[error("the relay does not take such a line")]
    Refused,
    /// It did not stand within [`crate::limits::LINE_OPEN_DEADLINE`].
    #[error("the relay did not answer in time")]
    Timeout,
    /// The line is over.
    #[error("the line is over")]
    Closed,
    /// The network task has ended.
    #[error("the network has stopped")]
    Stopped,
}

impl Line {
    /// A line of which `frames` are moved by a task of its own: see [`run`].
    pub(crate) fn new(peer: PeerId, kind: LineKind) -> (Self, Ends) {
        let (outgoing, to_write) = mpsc::channel(kind.queue());
        let (read, incoming) = mpsc::channel(kind.queue());
        let max = kind.frame_max();
        let sender = LineSender { frames: outgoing, max };
        let receiver = LineReceiver { frames: incoming };
        (Self { peer, kind, sender, receiver }, Ends { outgoing: to_write, incoming: read, max })
    }

    /// Two ends of one line within this process, without a network between: what one sends the other receives. For tests and for
    /// programs that are their own relay. `one` and `other` are the peers that the ends see.
    pub fn pair(kind: LineKind, one: PeerId, other: PeerId) -> (Self, Self) {
        let (there, to_there) = mpsc::channel(kind.queue());
        let (here, to_here) = mpsc::channel(kind.queue());
        let end = |peer, frames, incoming| Self {
            peer,
            kind,
            sender: LineSender { frames, max: kind.frame_max() },
            receiver: LineReceiver { frames: incoming },
        };
        (end(other, there, to_here), end(one, here, to_there))
    }

    /// Who is at the other end; its key was proved by the connection.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// What is spoken on it.
    pub fn kind(&self) -> LineKind {
        self.kind
    }

    /// Sends a frame: see [`LineSender::send`].
    ///
    /// # Errors
    /// The frame has no allowed size, or the line is over.
    pub async fn send(&self, frame: Bytes) -> Result<(), LineError> {
        self.sender.send(frame).await
    }

    /// The next frame: see [`LineReceiver::recv`].
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.receiver.recv().await
    }

    /// Both halves, for two tasks.
    pub fn split(self) -> (LineSender, LineReceiver) {
        (self.sender, self.receiver)
    }
}

impl LineSender {
    /// Queues a frame. Waits while as many frames wait as the kind allows; that ends at the latest when the other side did not take
    /// one for [`crate::limits::FRAME_DEADLINE`], because then the line ends. Cancel safe: a dropped call has sent
    /// nothing. `Ok` says nothing about arrival.
    ///
    /// # Errors
    /// The frame has no allowed size, or the line is over.
    pub async fn send(&self, frame: Bytes) -> Result<(), LineError> {
        self.checked(&frame)?;
        self.frames.send(frame).await.map_err(|_| LineError::Closed)
    }

    /// Queues a frame if there is room, and says whether there was: for pushes to many that must not wait for one.
    ///
    /// # Errors
    /// The frame has no allowed size, or the line is over.
    pub fn try_send(&self, frame: Bytes) -> Result<bool, LineError> {
        self.checked(&frame)?;
        match self.frames.try_send(frame) {
            Ok(()) => Ok(true),
            Err(mpsc::error::TrySendError::Full(_)) => Ok(false),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(LineError::Closed),
        }
    }

    /// Waits until the line is over.
    pub async fn closed(&self) {
        self.frames.closed().await;
    }

    fn checked(&self, frame: &Bytes) -> Result<(), LineError> {
        if frame.is_empty() || frame.len() > self.max { Err(LineError::Size(frame.len())) } else { Ok(()) }
    }
}

impl LineReceiver {
    /// The next frame, not yet trusted; `None` when the line is over. Cancel safe.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.frames.recv().await
    }
}

/// What the task of a line works with: what to write, and where to put what was read.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) outgoing: mpsc::Receiver<Bytes>,
    pub(crate) incoming: mpsc::Sender<Bytes>,
    /// Bytes of the largest frame.
    pub(crate) max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_carries_frames_both_ways_until_an_end_is_dropped() {
        let (one, other) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]));
        let (mut here, mut there) = Line::pair(LineKind::Mailbox, one, other);
        assert_eq!((here.peer(), there.peer()), (other, one));
        here.send("question".into()).await.unwrap();
        there.send("answer".into()).await.unwrap();
        assert_eq!(there.recv().await.unwrap(), "question");
        assert_eq!(here.recv().await.unwrap(), "answer");
        assert_eq!(here.send(Bytes::new()).await, Err(LineError::Size(0)));
        let oversize = Bytes::from(vec![0; LINE_FRAME_MAX + 1]);
        assert_eq!(here.send(oversize).await, Err(LineError::Size(LINE_FRAME_MAX + 1)));
        drop(there);
        assert_eq!(here.recv().await, None);
        assert_eq!(here.send("late".into()).await, Err(LineError::Closed));
    }
}
