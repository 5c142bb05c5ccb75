//! Takes connections from the operator's machines, so many at once and no more: others wait until one is over.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::limits;

/// Hands every connection that `accept` gives to `converse`, until `shutdown` is done; then those that stand are cut off.
/// `accept` must be cancel safe.
pub(crate) async fn each<S, A, C>(
    places: usize,
    shutdown: impl Future<Output = ()>,
    accept: impl Fn() -> A,
    converse: impl Fn(S) -> C,
) where
    A: Future<Output = io::Result<S>>,
    C: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(places));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => continue,
            accepted = next(&places, &accept) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let conversation = converse(stream);
        connections.spawn(async move {
            conversation.await;
            drop(place);
        });
    }
}

/// The next connection, once there is a place for it. Cancel safe: only one of both waits holds anything.
async fn next<S, A: Future<Output = io::Result<S>>>(
    places: &Arc<Semaphore>,
    accept: impl Fn() -> A,
) -> Option<(S, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match accept().await {
        Ok(stream) => Some((stream, place)),
        Err(error) => {
            // Out of file descriptors, for instance: others give theirs back.
            tracing::warn!(%error, "could not accept a connection of the operator");
            tokio::time::sleep(limits::LOOK_AGAIN).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, mpsc};

    use super::*;

    /// Each connection is a way to end it.
    #[tokio::test(start_paused = true)]
    async fn who_comes_when_all_places_are_taken_waits_and_an_error_stops_nobody() {
        let (come, coming) = mpsc::channel::<io::Result<Arc<Notify>>>(8);
        let coming = Arc::new(tokio::sync::Mutex::new(coming));
        let n_standing = Arc::new(AtomicUsize::new(0));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = {
            let n_standing = n_standing.clone();
            tokio::spawn(async move {
                let accept =
                    || async { coming.lock().await.recv().await.unwrap_or_else(|| Err(io::ErrorKind::Other.into())) };
                let converse = |end: Arc<Notify>| {
                    let n_standing = n_standing.clone();
                    async move {
                        n_standing.fetch_add(1, Ordering::Relaxed);
                        end.notified().await;
                        n_standing.fetch_sub(1, Ordering::Relaxed);
                    }
                };
                each(2, async move { drop(stopped.await) }, accept, converse).await;
            })
        };
        let ends: Vec<_> = (0..3).map(|_| Arc::new(Notify::new())).collect();
        come.send(Err(io::ErrorKind::Other.into())).await.unwrap();
        for end in &ends {
            come.send(Ok(end.clone())).await.unwrap();
        }
        // Time stands still until nobody has anything to do.
        let settle = || tokio::time::sleep(2 * limits::LOOK_AGAIN);
        settle().await;
        assert_eq!(n_standing.load(Ordering::Relaxed), 2);
        ends[0].notify_one();
        ends[1].notify_one();
        settle().await;
        assert_eq!(n_standing.load(Ordering::Relaxed), 1, "the third came in");
        stop.send(()).unwrap();
        serving.await.unwrap();
    }
}
