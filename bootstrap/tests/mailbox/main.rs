//! One suite for both stores of mailboxes: sled, and a JetStream cluster of three real servers, one of which is killed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking; helpers are tests, too")]
#![allow(clippy::print_stdout, reason = "reasons for skipping are printed")]

mod cluster;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, StorageType};
use parlor_bootstrap::mailbox::{MailboxStore, NatsError, NatsOptions, NatsStore, SledStore, StoreError};
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

#[tokio::test(flavor = "multi_thread")]
async fn when_the_consumer_of_a_quiet_cluster_goes_nothing_is_told_or_counted_twice() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    let kept = suite::fill(&nats(&cluster, NatsOptions::default()).await, 20).await;
    let store = nats(&cluster, NatsOptions::default()).await;
    suite::eventually("only this relay follows", async || {
        cluster.is_whole(STREAM).await && cluster.consumers(STREAM).await.is_some_and(|all| all.len() == 1)
    })
    .await;
    let before = store.usage(kept.name).await.unwrap();
    let mut feed = store.hub().feed();
    feed.subscribe(kept.name);
    // It is gone, and then it is at a server that goes.
    let streams = cluster.jetstream().await.unwrap();
    let consumers = cluster.consumers(STREAM).await.unwrap();
    streams.delete_consumer_from_stream(&consumers[0].0, STREAM).await.unwrap();
    suite::only_what_is_new_is_told(&store, &mut feed, kept.name, 1).await;
    let mut at = None;
    suite::eventually("it follows again", async || {
        let all = cluster.consumers(STREAM).await.unwrap_or_default();
        at = all.iter().find(|(name, _)| *name != consumers[0].0).map(|(_, at)| *at);
        at.is_some()
    })
    .await;
    cluster.kill(at.unwrap());
    suite::only_what_is_new_is_told(&store, &mut feed, kept.name, 2).await;
    assert_eq!(store.usage(kept.name).await.unwrap().blobs, before.blobs + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_there_gets_the_copies_and_bounds_that_are_wanted_and_one_in_memory_is_refused() {
    let Some(cluster) = Cluster::start(3) else { return };
    let small = NatsOptions { replicas: 1, max_bytes: Some(1_000_000), ..NatsOptions::default() };
    let first = nats(&cluster, small).await;
    let kept = suite::fill(&first, 5).await;
    let wanted = NatsOptions { max_bytes: Some(50_000_000), ..NatsOptions::default() };
    let store = nats(&cluster, wanted.clone()).await;
    suite::is_all_there(&store, &kept).await;
    assert_eq!(store.id(), first.id());
    let streams = cluster.jetstream().await.unwrap();
    let there = streams.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    assert_eq!((there.num_replicas, there.max_bytes), (3, 50_000_000));
    let less = NatsOptions { replicas: 1, max_bytes: Some(1_000), keep: Duration::from_secs(1) };
    suite::is_all_there(&nats(&cluster, less).await, &kept).await;

    streams.delete_stream(STREAM).await.unwrap();
    let in_memory = Config { storage: StorageType::Memory, ..there };
    streams.create_stream(in_memory).await.unwrap();
    let refused = NatsStore::connect(&cluster.addresses(), wanted).await.unwrap_err();
    assert!(matches!(&refused, NatsError::BadStream(why) if why.contains("memory")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_without_the_room_that_is_wanted_says_how_much_that_is() {
    for servers in [1, 3] {
        let Some(cluster) = Cluster::start(servers) else { return };
        nats_is_up(&cluster).await;
        let wanted = NatsOptions { max_bytes: Some(20 << 30), ..NatsOptions::default() };
        let refused = NatsStore::connect(&cluster.addresses(), wanted).await.unwrap_err();
        assert!(matches!(refused, NatsError::NoSpace { .. }), "{refused}");
        assert!(refused.to_string().contains("20.0 GiB"), "{refused}");
    }
}

/// Waits until the cluster has chosen who leads.
async fn nats_is_up(cluster: &Cluster) {
    suite::eventually("the cluster answers", async || {
        let Some(streams) = cluster.jetstream().await else { return false };
        let found = streams.get_stream(STREAM).await.map_err(|error| error.kind());
        matches!(found, Err(GetStreamErrorKind::JetStream(why)) if why.error_code() == ErrorCode::STREAM_NOT_FOUND)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_list_makes_no_consumer_and_of_long_ones_there_are_few_at_once() {
    let Some(cluster) = Cluster::start(3) else { return };
    let store = Arc::new(nats(&cluster, NatsOptions::default()).await);
    let kept = suite::fill(&*store, 20).await;
    for (after, bound) in [(kept.blobs[16].2, 1), (0, 17)] {
        let lists: Vec<_> = (0..100)
            .map(|_| {
                let (store, name) = (Arc::clone(&store), kept.name);
                tokio::spawn(async move { store.list(name, after, 512).await.unwrap().entries.len() })
            })
            .collect();
        let mut most = 0;
        while !lists.iter().all(tokio::task::JoinHandle::is_finished) {
            most = most.max(cluster.consumers(STREAM).await.map_or(0, |all| all.len()));
        }
        let expected = kept.blobs.iter().filter(|(_, _, at)| *at > after).count();
        for list in lists {
            assert_eq!(list.await.unwrap(), expected);
        }
        assert!(most <= bound, "{most} consumers after {after}, the one that follows counted");
    }
}
