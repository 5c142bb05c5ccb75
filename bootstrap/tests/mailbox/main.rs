//! One suite for both stores of mailboxes: sled, and a JetStream cluster of three real servers, one of which is killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking; helpers are tests, too")]
#![allow(clippy::print_stdout, reason = "reasons for skipping are printed")]

mod cluster;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use parlor_bootstrap::mailbox::{MailboxStore, NatsOptions, NatsStore, SledStore, StoreError};
use parlor_storage::MailOptions;

use cluster::Cluster;

/// Where a cluster keeps mailboxes, as `docs/spec/mailbox.md` says.
const STREAM: &str = "parlor-mailboxes";

fn sled(dir: &std::path::Path) -> SledStore {
    let options = MailOptions { reserve_bytes: 0, ..MailOptions::default() };
    SledStore::open(dir, options).unwrap()
}

async fn nats(cluster: &Cluster, options: NatsOptions) -> NatsStore {
    for _ in 0..40 {
        match NatsStore::connect(&cluster.addresses(), options.clone()).await {
            Ok(store) => return store,
            Err(error) => println!("the cluster is not ready: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("the cluster does not become ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn sled_keeps_what_a_mailbox_promises() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(sled(dir.path()));
    suite::all(Arc::clone(&store) as Arc<dyn MailboxStore>).await;
    // As if thirty days and a bit were over in a moment: no time did that, so nothing is let go before the clock stood.
    let later =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap() + Duration::from_secs(31 * 86_400);
    let before = store.total().await.unwrap().blobs;
    assert_eq!(store.expire(later.as_millis() as u64).await.unwrap(), 0);
    assert_eq!(store.total().await.unwrap().blobs, before);
    assert!(store.check().await.iter().any(|it| it.contains("clock")), "the operator is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn sled_goes_on_where_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let kept = {
        let store = sled(dir.path());
        let kept = suite::fill(&store, 20).await;
        assert_eq!(store.check().await, Vec::<String>::new());
        store.close().await;
        assert_eq!(store.check().await.len(), 1, "it says that it stores nothing");
        assert!(matches!(
            store.put(kept.name, kept.blobs[0].0, kept.blobs[0].1.clone()).await,
            Err(StoreError::Failed(_))
        ));
        kept
    };
    let dir = dir.path().to_owned();
    let store = tokio::task::spawn_blocking(move || sled(&dir)).await.unwrap();
    assert_eq!(store.id(), kept.store);
    suite::is_all_there(&store, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_keeps_what_a_mailbox_promises_and_loses_nothing_when_a_server_is_killed() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let one = Arc::new(nats(&cluster, NatsOptions::default()).await);
    suite::all(Arc::clone(&one) as Arc<dyn MailboxStore>).await;

    // A second relay, which keeps nothing either, shows the same and is told of what comes in by the first.
    let two = nats(&cluster, NatsOptions::default()).await;
    assert_eq!(two.id(), one.id());
    let kept = suite::fill(&*one, 20).await;
    suite::is_all_there(&two, &kept).await;
    suite::another_is_told(&*one, &two).await;

    // Puts go on while a server is killed and comes back; what was acknowledged is there, at both.
    let killing = async {
        suite::eventually("some puts", async || suite::is_filled(&two, 10).await).await;
        cluster.kill(0);
    };
    let (kept, ()) = tokio::join!(suite::fill_slowly(&*one, 60), killing);
    suite::is_all_there(&two, &kept).await;
    suite::is_all_there(&*one, &kept).await;
    // And another, as soon as the first has caught up.
    cluster.restart(0);
    suite::eventually("the cluster is whole again", async || cluster.is_whole(STREAM).await).await;
    cluster.kill(1);
    suite::is_all_there(&two, &kept).await;
    suite::is_all_there(&*one, &kept).await;
    suite::another_is_told(&two, &*one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_lacks_nothing_when_a_server_lags_behind_the_others() {
    let Some(cluster) = Cluster::start(3) else { return };
    let first = nats(&cluster, NatsOptions::default()).await;
    suite::fill(&first, 1).await;
    let mut leader = None;
    suite::eventually("a server leads", async || {
        leader = cluster.leader(STREAM).await;
        leader.is_some()
    })
    .await;
    let leader = leader.unwrap();
    let slow = (leader + 1) % 3;
    let store = NatsStore::connect(&cluster.address(leader), NatsOptions::default()).await.unwrap();
    for round in 1..=12 {
        // Meanwhile the two others acknowledge by themselves.
        cluster.freeze(slow);
        let kept = suite::fill_box(&store, round, 60).await;
        cluster.thaw(slow);
        suite::lists_all(&store, &kept).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_alone_keeps_mailboxes_too_and_lets_them_go_after_their_time() {
    let Some(cluster) = Cluster::start(1) else { return };
    let options = NatsOptions { keep: Duration::from_secs(2), ..NatsOptions::default() };
    let store = nats(&cluster, options).await;
    let kept = suite::fill(&store, 5).await;
    suite::eventually("everything expires", async || {
        let listing = store.list(kept.name, 0, 10).await.unwrap();
        listing.entries.is_empty() && listing.end >= 5
    })
    .await;
    assert_eq!(store.get(kept.name, kept.blobs[0].0).await, Ok(None));
}
