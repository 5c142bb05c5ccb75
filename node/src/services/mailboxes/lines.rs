//! Lines to relays: opened, fed and listened to by a task each, which tells the owner in one bounded queue.

use bytes::Bytes;
use parlor_net::{LineKind, NetworkHandle};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::relays::Relay;
use super::troubles::of_line;
use crate::limits::LINE_FRAMES;
use crate::services::why::Why;

/// Something happened on a line.
#[derive(Debug)]
pub(super) struct LineEvent {
    /// To which relay.
    pub(super) relay: Relay,
    /// Which of our lines to it: of an earlier one nothing is of interest.
    pub(super) number: u64,
    /// What.
    pub(super) what: What,
}

/// What happened on a line.
#[derive(Debug)]
pub(super) enum What {
    /// It stands.
    Open,
    /// A frame came.
    Frame(Bytes),
    /// It ended, or could not be opened.
    Over(Option<Why>),
}

/// A line of ours. Dropping it closes it.
#[derive(Debug)]
pub(super) struct OurLine {
    pub(super) number: u64,
    frames: mpsc::Sender<Bytes>,
    task: AbortHandle,
}

impl OurLine {
    /// Begins to open a line; `told` hears what becomes of it.
    pub(super) fn open(net: NetworkHandle, relay: Relay, number: u64, told: mpsc::Sender<LineEvent>) -> Self {
        let (frames, outgoing) = mpsc::channel(LINE_FRAMES);
        let task = tokio::spawn(serve(net, relay, number, outgoing, told)).abort_handle();
        Self { number, frames, task }
    }

    /// Sends a frame. Whether there was room: if not, the relay takes nothing, and the line is to be given up.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        self.frames.try_send(frame.into()).is_ok()
    }
}

impl Drop for OurLine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    net: NetworkHandle,
    relay: Relay,
    number: u64,
    mut outgoing: mpsc::Receiver<Bytes>,
    told: mpsc::Sender<LineEvent>,
) {
    let event = |what| LineEvent { relay: relay.clone(), number, what };
    let line = match net.open_line(relay.peer, relay.addresses.clone(), LineKind::Mailbox).await {
        Ok(line) => line,
        Err(error) => return drop(told.send(event(What::Over(Some(of_line(error.to_string()))))).await),
    };
    // The owner has ended if nobody listens; so below.
    let _ = told.send(event(What::Open)).await;
    let (sender, mut receiver) = line.split();
    let write = async {
        while let Some(frame) = outgoing.recv().await {
            if sender.send(frame).await.is_err() {
                return;
            }
        }
    };
    let read = async {
        while let Some(frame) = receiver.recv().await {
            let _ = told.send(event(What::Frame(frame))).await;
        }
    };
    tokio::select! {
        () = write => {}
        () = read => {}
    }
    let _ = told.send(event(What::Over(None))).await;
}
