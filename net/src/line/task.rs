//! Moves the frames of one line, both ways side by side, until either end is over.
//!
//! Nothing is buffered for an idle line: a relay holds thousands of them.

use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::Ends;
use crate::{limits::LINE_BURST, stream::frame};

/// Runs the line to its end. That is also when the sender of `gone` is dropped: Yamux 0.14 does not wake the streams of a connection
/// that is closed in good order, so its end must be told.
pub(crate) async fn run(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    ends: Ends,
    mut gone: watch::Receiver<()>,
    deadline: Duration,
) {
    let (mut reader, mut writer) = stream.split();
    let Ends { mut outgoing, incoming, max } = ends;
    tokio::select! {
        _ = gone.changed() => {}
        () = receive(&mut reader, &incoming, max, deadline) => {}
        () = transmit(&mut writer, &mut outgoing, deadline) => {}
    }
}

/// Ends when the other side does, breaks the framing or stalls. When nobody receives here it leaves the end to the writer, who may
/// still have something to write.
async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    incoming: &mpsc::Sender<Bytes>,
    max: usize,
    deadline: Duration,
) {
    loop {
        let data = tokio::select! {
            data = frame::read(reader, max, deadline) => data,
            () = incoming.closed() => return std::future::pending().await,
        };
        let Ok(data) = data else { return };
        if incoming.send(data).await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Ends when nobody sends any more and all is written, or when the other side does not take it in time.
async fn transmit(writer: &mut (impl AsyncWrite + Unpin), outgoing: &mut mpsc::Receiver<Bytes>, deadline: Duration) {
    while let Some(first) = outgoing.recv().await {
        let mut burst = Vec::with_capacity(first.len() + 4);
        append(&mut burst, &first);
        while burst.len() < LINE_BURST {
            let Ok(next) = outgoing.try_recv() else { break };
            append(&mut burst, &next);
        }
        let written = async {
            writer.write_all(&burst).await?;
            writer.flush().await
        };
        if !matches!(timeout(deadline, written).await, Ok(Ok(()))) {
            return;
        }
    }
    // Saying goodbye properly is a courtesy.
    let _ = timeout(deadline, writer.close()).await;
}

fn append(burst: &mut Vec<u8>, data: &[u8]) {
    // At most LineKind::frame_max, checked when it was queued.
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    burst.extend_from_slice(&len.to_be_bytes());
    burst.extend_from_slice(data);
}
