//! Pages with early messages among them, and a newcomer who reads the newest ones first.

use std::collections::HashSet;
use std::time::Duration;

use parlor_api::{CreateInvite, EventBody, JoinRequest, SendRequest};
use parlor_proto::{DeviceId, EventId, RoomId};
use parlor_storage::{Cursor, MessageRow, Page, Position, TimelineRow};

use super::merged;
use crate::app::{Anchor, Say};
use crate::bus::Subscription;
use crate::services::alone::{Alone, config};
use crate::{App, Home, Passphrase, Running, init_account, start};

/// Far longer than anything here takes, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// Enough for more batches than are under way at once.
const WRITTEN: usize = 4_000;

fn position(order: u64) -> Position {
    Position::unstored(&RoomId([1; 32]), &DeviceId([2; 32]), order, order)
}

fn row(order: u64) -> TimelineRow {
    let row = MessageRow {
        device: DeviceId([2; 32]),
        seq: order,
        id: EventId([u8::try_from(order).unwrap(); 32]),
        hlc: order,
        order,
        received_ms: 0,
        covers_own: 0,
        key: None,
        bytes: Vec::new(),
        fades_ms: None,
    };
    TimelineRow { position: position(order), row }
}

/// A page of the store: these orders, newest first, and whether there is more on either side.
fn page(orders: impl IntoIterator<Item = u64>, older: bool, newer: bool) -> Page {
    Page { rows: orders.into_iter().map(row).collect(), older, newer }
}

fn early(orders: impl IntoIterator<Item = u64>) -> Vec<TimelineRow> {
    orders.into_iter().map(row).collect()
}

fn orders(page: &Page) -> Vec<u64> {
    page.rows.iter().map(|row| row.row.order).collect()
}

#[test]
fn the_newest_page_ends_with_what_came_early() {
    let newest = merged(page([3, 2, 1], false, false), Cursor::Newest, 4, early([90, 91]));
    assert_eq!((orders(&newest), newest.older, newest.newer), (vec![91, 90, 3, 2], true, false));
    let only = merged(page([], false, false), Cursor::Newest, 4, early([90, 91]));
    assert_eq!((orders(&only), only.older, only.newer), (vec![91, 90], false, false));
}

#[test]
fn pages_meet_without_gap_or_overlap_where_early_ones_stand_among_them() {
    // The store holds 1 to 6 and 50; early are 40, 60 and 61.
    let held = |cursor: Cursor, limit: usize| {
        let all = [50, 6, 5, 4, 3, 2, 1];
        let below = |at: u64| all.into_iter().filter(move |order| *order < at);
        let above = |at: u64| all.into_iter().filter(move |order| *order > at);
        match cursor {
            Cursor::Before(at) => {
                let at = at.order();
                page(below(at).take(limit), below(at).count() > limit, all.into_iter().any(|order| order >= at))
            }
            Cursor::After(at) => {
                let (at, skipped) = (at.order(), above(at.order()).count().saturating_sub(limit));
                page(above(at).skip(skipped), all.into_iter().any(|order| order <= at), skipped > 0)
            }
            _ => page(all.into_iter().take(limit), all.len() > limit, false),
        }
    };
    let everything = vec![61, 60, 50, 40, 6, 5, 4, 3, 2, 1];
    for limit in 1..12 {
        let (mut down, mut cursor) = (Vec::new(), Cursor::Newest);
        loop {
            let page = merged(held(cursor, limit), cursor, limit, early([60, 40, 61]));
            assert!(page.rows.len() <= limit && page.newer != down.is_empty(), "{limit}: {down:?}");
            down.extend(orders(&page));
            if !page.older {
                break;
            }
            cursor = Cursor::Before(page.rows.last().unwrap().position);
        }
        assert_eq!(down, everything, "{limit}");
        let (mut up, mut cursor) = (Vec::new(), Cursor::After(position(0)));
        loop {
            let page = merged(held(cursor, limit), cursor, limit, early([60, 40, 61]));
            up.extend(orders(&page).into_iter().rev());
            if !page.newer {
                break;
            }
            cursor = Cursor::After(page.rows.first().unwrap().position);
        }
        up.reverse();
        assert_eq!(up, everything, "{limit}");
    }
}

#[test]
fn what_the_store_holds_by_now_stands_once() {
    let newest = merged(page([3, 2, 1], false, false), Cursor::Newest, 10, early([3, 4]));
    assert_eq!(orders(&newest), [4, 3, 2, 1]);
}

#[test]
fn around_an_early_message_are_its_neighbours() {
    let around = merged(page([3, 2, 1], false, false), Cursor::Around(position(60)), 3, early([40, 60, 61]));
    assert_eq!((orders(&around), around.older, around.newer), (vec![61, 60, 40], true, false));
}

async fn write(app: &App, room: &str, n: usize) {
    let texts: Vec<SendRequest> =
        (1..=n).map(|n| SendRequest { text: format!("line {n}"), ..SendRequest::default() }).collect();
    for texts in texts.chunks(parlor_api::BATCH_MAX) {
        app.send(room, texts.to_vec()).await.unwrap();
    }
}

async fn eventually(what: &str, mut look: impl AsyncFnMut() -> bool) {
    let soon = async {
        while !look().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, soon).await.is_ok(), "{what}");
}

/// A node of its own that came into the room, what it is told from before on, and its home.
async fn joined(of: &Alone, name: &str) -> (Running, Subscription, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    init_account(&home, name, &Passphrase::None).unwrap();
    let node = start(config(&home)).await.unwrap();
    let events = node.app.subscribe(None).unwrap();
    let invite = of.app.create_invite(&of.room, CreateInvite::default()).await.unwrap();
    let join = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
    node.app.join(join).await.unwrap();
    (node, events, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_not_shown_early_what_was_deleted_nor_the_text_of_before_and_marks_nothing_read_that_is_to_come()
{
    let alone = Alone::new().await;
    let (bob, _, _bobs) = joined(&alone, "bob").await;
    let long = "spam ".repeat(4_000);
    let spam = vec![SendRequest { text: long, ..SendRequest::default() }; 6];
    write(&alone.app, &alone.room, WRITTEN).await;
    let spam = bob.app.send(&alone.room, spam).await.unwrap();
    let corrected = alone.write("a fautl").await;
    let spam: Vec<String> = spam.into_iter().map(|sent| sent.message).collect();
    for id in &spam {
        eventually("the spam is here", async || alone.app.message(&alone.room, id).await.is_ok()).await;
        alone.app.say(&alone.room, id, Say::Delete, None).await.unwrap();
    }
    alone.app.say(&alone.room, &corrected, Say::Edit("a fault".into()), None).await.unwrap();
    let (carol, mut events, _carols) = joined(&alone, "carol").await;
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("something goes on");
        let EventBody::Sync(sync) = &event.unwrap().unwrap().body else { continue };
        if sync.early > 0 {
            break;
        }
    }
    let page = carol.app.history(&alone.room, Anchor::Newest, 50, false).await.unwrap();
    assert!(page.items.iter().any(|message| message.early), "the log is here already");
    let texts: Vec<_> = page.items.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts[0], "a fault");
    assert!(page.items.iter().all(|message| !spam.contains(&message.message)), "{texts:?}");
    // What she writes stands at the end, and to have read it says nothing of what is to come.
    let own = carol.app.send(&alone.room, vec![SendRequest { text: "hello".into(), ..SendRequest::default() }]).await;
    let read = carol.app.mark_read(&alone.room, Some(&own.unwrap()[0].message)).await.unwrap();
    let after = carol.app.history(&alone.room, Anchor::Newest, 50, false).await.unwrap();
    assert!(read.message.is_none() || after.items.iter().all(|message| !message.early), "{read:?}");
    // What is corrected meanwhile is told, whether the log is there or not.
    alone.app.say(&alone.room, &corrected, Say::Edit("two faults".into()), None).await.unwrap();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("it is told");
        let EventBody::MessageUpdated(message) = &event.unwrap().unwrap().body else { continue };
        if message.message == corrected && message.text == "two faults" {
            break;
        }
    }
    for node in [bob, carol, alone.node] {
        node.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_has_the_newest_page_before_the_older_half_and_each_message_is_new_once() {
    let alone = Alone::new().await;
    write(&alone.app, &alone.room, WRITTEN).await;
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    init_account(&home, "bob", &Passphrase::None).unwrap();
    let bob = start(config(&home)).await.unwrap();
    let mut events = bob.app.subscribe(None).unwrap();
    let invite = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
    let join = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
    bob.app.join(join).await.unwrap();
    let (mut new, mut before) = (Vec::new(), None);
    while new.len() < WRITTEN {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("something goes on");
        match &event.unwrap().expect("nothing is missed").body {
            EventBody::Message(message) => {
                assert!(!message.early);
                new.push(message.message.clone());
            }
            EventBody::Sync(sync) if sync.early > 0 && before.is_none() => {
                before = Some(new.len());
                let page = bob.app.history(&alone.room, Anchor::Newest, 50, false).await.unwrap();
                let texts: Vec<_> = page.items.iter().map(|message| message.text.clone()).collect();
                let last: Vec<_> = (WRITTEN - 49..=WRITTEN).rev().map(|n| format!("line {n}")).collect();
                assert_eq!(texts, last);
                assert!(page.items[0].early && page.older.is_some());
                let newest = page.items[0].message.as_str();
                assert_eq!(bob.app.message(&alone.room, newest).await.unwrap().text, texts[0]);
                let read = bob.app.mark_read(&alone.room, Some(newest)).await.unwrap();
                assert_eq!(read.message, None, "nothing is read of what is not here");
            }
            _ => {}
        }
    }
    let before = before.expect("the newest page came early");
    assert!(before < WRITTEN / 2, "{before} were new before the newest page");
    assert_eq!(new.iter().collect::<HashSet<_>>().len(), WRITTEN, "each is new once");
    let page = bob.app.history(&alone.room, Anchor::Newest, 100, false).await.unwrap();
    assert!(page.items.iter().all(|message| !message.early));
    bob.stop().await.unwrap();
    alone.node.stop().await.unwrap();
}
