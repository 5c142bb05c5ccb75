//! What both stores must do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parlor_bootstrap::mailbox::{Feed, MailboxStore, News, StoreError, Usage};
use parlor_proto::mailbox::{BlobId, BoxKind, BoxName, StoreId, limits};

/// What was acknowledged.
pub(crate) struct Kept {
    pub(crate) store: StoreId,
    pub(crate) name: BoxName,
    pub(crate) blobs: Vec<(BlobId, Bytes, u64)>,
}

fn name(kind: BoxKind, n: u8) -> BoxName {
    BoxName { kind, key: [n; 32] }
}

fn blob(n: u64) -> (BlobId, Bytes) {
    let mut bytes = vec![n as u8; if n.is_multiple_of(4) { 65_536 } else { 512 }];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    (BlobId::of(&bytes), bytes.into())
}

/// Waits for something, patiently: the machine may be slow.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: not within a minute");
}

pub(crate) async fn all(store: Arc<dyn MailboxStore>) {
    what_is_put_is_listed_in_order_and_given(&*store).await;
    a_blob_twice_is_one_entry(&*store).await;
    many_at_once_get_numbers_of_their_own(Arc::clone(&store)).await;
    what_is_taken_out_is_gone(&*store).await;
    subscribers_are_told_in_order(&*store).await;
    a_full_box_refuses_new_blobs_and_knows_the_old(&*store).await;
}

async fn what_is_put_is_listed_in_order_and_given(store: &dyn MailboxStore) {
    let (mine, other) = (name(BoxKind::Room, 1), name(BoxKind::Door, 1));
    assert_eq!(store.list(mine, 0, 10).await.unwrap().entries, []);
    let mut numbers = Vec::new();
    for n in 1..=9 {
        let (id, bytes) = blob(n);
        numbers.push(store.put(mine, id, bytes.clone()).await.unwrap());
        if n == 5 {
            store.put(other, id, bytes).await.unwrap();
        }
    }
    assert!(numbers.is_sorted() && numbers[0] > 0);
    let (mut after, mut listed) = (0, Vec::new());
    loop {
        let listing = store.list(mine, after, 4).await.unwrap();
        assert!(listing.entries.len() <= 4 && listing.end >= numbers[8]);
        listed.extend(listing.entries);
        if !listing.more {
            break;
        }
        after = listed.last().unwrap().at;
    }
    assert_eq!(listed.iter().map(|entry| entry.at).collect::<Vec<_>>(), numbers);
    for (entry, n) in listed.iter().zip(1..) {
        let (id, bytes) = blob(n);
        assert_eq!((entry.id, entry.size as usize), (id, bytes.len()));
        assert_eq!(store.get(mine, id).await.unwrap(), Some(bytes));
    }
    assert_eq!(store.list(mine, numbers[8], 4).await.unwrap().entries, []);
    assert_eq!(store.list(mine, u64::MAX, 4).await.unwrap().entries, []);
    assert_eq!(store.get(mine, blob(77).0).await.unwrap(), None);
    assert_eq!(store.list(other, 0, 10).await.unwrap().entries.len(), 1);
    assert_eq!(store.get(other, blob(1).0).await.unwrap(), None, "of another box");
}

async fn a_blob_twice_is_one_entry(store: &dyn MailboxStore) {
    let mine = name(BoxKind::Room, 2);
    let (id, bytes) = blob(1);
    let first = store.put(mine, id, bytes.clone()).await.unwrap();
    store.put(mine, blob(2).0, blob(2).1).await.unwrap();
    assert_eq!(store.put(mine, id, bytes).await.unwrap(), first);
    assert_eq!(store.list(mine, 0, 10).await.unwrap().entries.len(), 2);
}

async fn many_at_once_get_numbers_of_their_own(store: Arc<dyn MailboxStore>) {
    let mine = name(BoxKind::Room, 3);
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.put(mine, blob(n).0, blob(n).1).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    let listed = store.list(mine, 0, 512).await.unwrap();
    assert!(!listed.more);
    assert_eq!(listed.entries.iter().map(|entry| entry.at).collect::<Vec<_>>(), numbers);
    numbers.dedup();
    assert_eq!(numbers.len(), 64);
}

async fn what_is_taken_out_is_gone(store: &dyn MailboxStore) {
    let mine = name(BoxKind::Inbox, 4);
    for n in 1..=3 {
        store.put(mine, blob(n).0, blob(n).1).await.unwrap();
    }
    store.remove(mine, blob(2).0).await.unwrap();
    store.remove(mine, blob(2).0).await.unwrap();
    let left: Vec<_> = store.list(mine, 0, 10).await.unwrap().entries.iter().map(|entry| entry.id).collect();
    assert_eq!(left, [blob(1).0, blob(3).0]);
    assert_eq!(store.get(mine, blob(2).0).await.unwrap(), None);
    assert_eq!(store.usage(mine).await.unwrap(), Usage { blobs: 2, bytes: 1_024 });
    store.put(mine, blob(2).0, blob(2).1).await.unwrap();
    let last = store.list(mine, 0, 10).await.unwrap().entries.last().copied().unwrap();
    assert_eq!(last.id, blob(2).0, "put again it is new");
}

async fn subscribers_are_told_in_order(store: &dyn MailboxStore) {
    let (mine, other) = (name(BoxKind::Room, 5), name(BoxKind::Room, 6));
    let (mut one, mut two) = (store.hub().feed(), store.hub().feed());
    // Where several relays share a store its hub begins to hear of it a little later.
    one.subscribe(name(BoxKind::Room, 99));
    eventually("the store tells", async || {
        let n = rand::random::<u32>();
        store.put(name(BoxKind::Room, 99), blob(u64::from(n) | 1).0, blob(u64::from(n) | 1).1).await.unwrap();
        tokio::time::timeout(Duration::from_millis(300), one.next()).await.is_ok()
    })
    .await;
    one.unsubscribe(&name(BoxKind::Room, 99));
    one.subscribe(mine);
    two.subscribe(mine);
    two.subscribe(other);
    for n in 1..=5 {
        store.put(mine, blob(n).0, blob(n).1).await.unwrap();
        store.put(other, blob(n).0, blob(n).1).await.unwrap();
    }
    let told = told_of(&mut one, mine, 5).await;
    assert_eq!(told, (1..=5).map(|n| blob(n).0).collect::<Vec<_>>());
    assert_eq!(told_of(&mut two, other, 5).await, told);
}

/// The next blobs in a box that the feed tells of.
async fn told_of(feed: &mut Feed, of: BoxName, n: usize) -> Vec<BlobId> {
    let mut told = Vec::new();
    while told.len() < n {
        let news = tokio::time::timeout(Duration::from_secs(60), feed.next()).await.expect("nothing is told");
        if let News::Entry { name, entry, blob } = news
            && name == of
        {
            assert_eq!(BlobId::of(&blob), entry.id);
            told.push(entry.id);
        }
    }
    told
}

async fn a_full_box_refuses_new_blobs_and_knows_the_old(store: &dyn MailboxStore) {
    let inbox = name(BoxKind::Inbox, 7);
    let large = |n: u64| {
        let bytes = Bytes::from([n.to_be_bytes().as_slice(), &[0; 8_184]].concat());
        (BlobId::of(&bytes), bytes)
    };
    let fits = limits::INBOX_BYTES / 8_192;
    for n in 0..fits {
        store.put(inbox, large(n).0, large(n).1).await.unwrap();
    }
    assert_eq!(store.usage(inbox).await.unwrap().blobs, fits);
    assert_eq!(store.put(inbox, large(fits).0, large(fits).1).await, Err(StoreError::BoxFull));
    assert!(store.put(inbox, large(3).0, large(3).1).await.is_ok(), "what is there is there");
    store.remove(inbox, large(0).0).await.unwrap();
    assert!(store.put(inbox, large(fits).0, large(fits).1).await.is_ok());
}

/// Puts blobs, and gives what was acknowledged.
pub(crate) async fn fill(store: &dyn MailboxStore, n: u64) -> Kept {
    fill_box(store, 50, n).await
}

/// The same in the box of a room of this number.
pub(crate) async fn fill_box(store: &dyn MailboxStore, room: u8, n: u64) -> Kept {
    let name = name(BoxKind::Room, room);
    let mut blobs = Vec::new();
    for n in 1_000..1_000 + n {
        let (id, bytes) = blob(n);
        blobs.push((id, bytes.clone(), store.put(name, id, bytes).await.unwrap()));
    }
    Kept { store: store.id(), name, blobs }
}

const SLOWLY: BoxName = BoxName { kind: BoxKind::Room, key: [51; 32] };

/// The same over some time, in another box. Whatever is refused is put again, as clients do.
pub(crate) async fn fill_slowly(store: &dyn MailboxStore, n: u64) -> Kept {
    let mut blobs = Vec::new();
    for n in 0..n {
        let (id, bytes) = blob(2_001 + 4 * n);
        let mut number = None;
        eventually("a put", async || {
            number = store.put(SLOWLY, id, bytes.clone()).await.ok();
            number.is_some()
        })
        .await;
        blobs.push((id, bytes, number.unwrap()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Kept { store: store.id(), name: SLOWLY, blobs }
}

pub(crate) async fn is_filled(store: &dyn MailboxStore, n: usize) -> bool {
    store.list(SLOWLY, 0, 512).await.is_ok_and(|listing| listing.entries.len() >= n)
}

/// A list that is asked for at once has all that was acknowledged.
pub(crate) async fn lists_all(store: &dyn MailboxStore, kept: &Kept) {
    let listed: Vec<_> =
        store.list(kept.name, 0, 512).await.unwrap().entries.iter().map(|entry| (entry.id, entry.at)).collect();
    let all: Vec<_> = kept.blobs.iter().map(|(id, _, at)| (*id, *at)).collect();
    assert_eq!(listed, all, "a list has all that was acknowledged before");
}

/// All that was acknowledged is listed and given. A server that leads in place of a killed one has the last blobs in its log
/// before it has them in the stream: until then a list ends before them, and says so by its end.
pub(crate) async fn is_all_there(store: &dyn MailboxStore, kept: &Kept) {
    let all: Vec<_> = kept.blobs.iter().map(|(id, _, at)| (*id, *at)).collect();
    eventually("all that was acknowledged is listed", async || {
        let Ok(listing) = store.list(kept.name, 0, 512).await else { return false };
        let listed: Vec<_> = listing.entries.iter().map(|entry| (entry.id, entry.at)).collect();
        let so_far: Vec<_> = all.iter().copied().filter(|(_, at)| *at <= listing.end).collect();
        assert_eq!(listed, so_far, "a list has all up to its end");
        listed == all
    })
    .await;
    for (id, bytes, _) in &kept.blobs {
        let mut found = None;
        eventually("a blob", async || {
            found = store.get(kept.name, *id).await.ok();
            found.is_some()
        })
        .await;
        assert_eq!(found.flatten().as_ref(), Some(bytes));
    }
}

/// What is put at one relay is told at another that shares the store; after an interruption it is told to list again.
pub(crate) async fn another_is_told(putting: &dyn MailboxStore, listening: &dyn MailboxStore) {
    let name = name(BoxKind::Room, 52);
    let mut feed = listening.hub().feed();
    feed.subscribe(name);
    let mut n = rand::random::<u32>();
    eventually("the other relay is told", async || {
        n = n.wrapping_add(4) | 1;
        let _ = putting.put(name, blob(u64::from(n)).0, blob(u64::from(n)).1).await;
        let told = tokio::time::timeout(Duration::from_secs(1), feed.next()).await;
        matches!(told, Ok(News::Entry { .. }))
    })
    .await;
}

/// A further blob is put, the `n`th of this test, and is the next that a line is told of.
pub(crate) async fn only_what_is_new_is_told(store: &dyn MailboxStore, feed: &mut Feed, name: BoxName, n: u64) {
    let (id, bytes) = blob(7_000 + n);
    eventually("it is put", async || store.put(name, id, bytes.clone()).await.is_ok()).await;
    let told = tokio::time::timeout(Duration::from_secs(60), feed.next()).await.expect("nothing is told");
    let entry = match told {
        News::Entry { entry, .. } => Some(entry),
        News::Behind { .. } => None,
    };
    assert_eq!(entry.map(|entry| entry.id), Some(id), "{entry:?} was told");
}
