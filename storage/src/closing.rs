//! Ending a writer: what waits is finished, then the files are given back.

use tokio::sync::{mpsc, oneshot};

/// Asks the writer to end and waits until it has. Blocks: not from an async task.
pub(crate) fn close<R>(requests: &mpsc::Sender<R>, ask: impl FnOnce(oneshot::Sender<()>) -> R) {
    let (answer, answered) = oneshot::channel();
    futures::executor::block_on(async {
        if requests.send(ask(answer)).await.is_ok() {
            // An error means that somebody else closed it first.
            let _ = answered.await;
        }
        requests.closed().await;
    });
}
