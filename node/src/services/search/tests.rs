//! The search of a running node: what is said is found, what is taken back is not, and a lost index comes back.

use std::time::Duration;

use parlor_api::{Code, CreateRoom, SearchPage, SendRequest};
use parlor_crypto::vault::Vault;
use parlor_storage::search::{Ask, Query, Shelf};

use super::handle::{Pace, Search};
use super::{Parts, run};
use crate::Home;
use crate::account::rng;
use crate::app::{Say, SearchFor};
use crate::services::alone::{Alone, in_store, new_room};
use crate::services::webhooks::Floor;

impl Alone {
    async fn hits(&self, words: &str) -> SearchPage {
        let wanted = SearchFor { words: words.to_owned(), limit: Some(50), ..SearchFor::default() };
        self.app.search(wanted).await.unwrap()
    }

    /// The texts that are found when the index is up to date.
    async fn found(&self, words: &str) -> Vec<String> {
        loop {
            let page = self.hits(words).await;
            if page.complete {
                return page.items.into_iter().map(|hit| hit.message.text).collect();
            }
            pause().await;
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_found_and_what_was_said_before_is_not() {
    let alone = Alone::new().await;
    let first = alone.write("the Quick brown fox").await;
    alone.write("slow and quick").await;
    assert_eq!(alone.found("quick").await, ["slow and quick", "the Quick brown fox"]);
    assert_eq!(alone.found("quick bro").await, ["the Quick brown fox"]);
    assert_eq!(alone.found("\"brown fox\"").await, ["the Quick brown fox"]);
    alone.app.say(&alone.room, &first, Say::Edit("a lazy dog".to_owned()), None).await.unwrap();
    // At once, whatever the index holds.
    assert!(alone.hits("brown").await.items.is_empty());
    assert_eq!(alone.found("dog").await, ["a lazy dog"]);
    alone.app.say(&alone.room, &first, Say::Delete, None).await.unwrap();
    assert!(alone.hits("dog").await.items.is_empty());
    assert_eq!(alone.found("quick").await, ["slow and quick"]);
    let hit = alone.hits("quick").await.items.remove(0);
    assert_eq!((hit.snippet.as_str(), hit.marks.as_slice()), ("slow and quick", &[[9, 14]][..]));
    assert!(hit.score > 0.0);
    let alone = alone.after(|_| ()).await;
    assert_eq!(alone.found("quick").await, ["slow and quick"]);
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_lost_or_damaged_is_built_anew_and_the_rest_works() {
    let mut alone = Alone::new().await;
    for n in 0..20 {
        alone.write(&format!("message {n}")).await;
    }
    assert_eq!(alone.found("message ").await.len(), 20);
    let lost = |home: &Home| std::fs::remove_dir_all(home.search_dir()).unwrap();
    let torn = |home: &Home| {
        for entry in std::fs::read_dir(home.search_dir()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        }
    };
    for (n, damage) in [&lost as &(dyn Fn(&Home) + Sync), &torn].into_iter().enumerate() {
        alone = alone.after(damage).await;
        alone.write(&format!("message after damage {n}")).await;
        assert_eq!(alone.found("message ").await.len(), 21 + n);
        assert_eq!(alone.found("\"message 7\"").await, ["message 7"]);
        let state = alone.app.status().await.unwrap().search;
        assert!(state.complete && state.indexed == state.total && state.total >= 20, "{state:?}");
    }
    alone.node.stop().await.unwrap();
}

/// An index of its own beside that of the node.
fn beside(alone: &Alone, pace: Pace) -> (Search, tempfile::TempDir, tokio::task::JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let search = Search::new(dir.path(), &Vault::generate(&mut rng()), alone.app.node.context.store.clone());
    let (rooms, bus) = (alone.app.node.rooms.clone(), alone.app.node.bus.clone());
    let task = tokio::spawn(run(Parts { search: search.clone(), rooms, bus, pace, floor: Floor::open() }));
    (search, dir, task)
}

/// How many messages with these words an index has.
fn held(search: &Search, words: &str) -> Option<usize> {
    let ask = Ask { query: Query::parse(words).unwrap(), limit: 10, ..Ask::default() };
    search.index().map(|index| index.candidates(&ask).unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_disappeared_leaves_the_files_at_once_though_others_wait() {
    let alone = Alone::new().await;
    let (ms, long) = (Duration::from_millis(1), Duration::from_secs(3_600));
    let (search, _dir, task) = beside(&alone, Pace { commit: ms, sync: ms, purge: long, fade: ms, again: ms });
    // Over before the node's own index cuts the list of changes, which both follow.
    let fading = alone.app.create_room(CreateRoom { ttl: Some(2), ..new_room("fading") }).await.unwrap().room;
    let canary = SendRequest { text: "canary".to_owned(), ..SendRequest::default() };
    alone.app.send(&fading, vec![canary]).await.unwrap();
    while held(&search, "canary") != Some(1) {
        pause().await;
    }
    while held(&search, "canary") != Some(0) || search.index().unwrap().holds_gone(Shelf::Fading).unwrap() {
        pause().await;
    }
    task.abort();
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_message_leaves_the_files_and_the_list_of_changes_is_cut() {
    let alone = Alone::new().await;
    let kept = alone.write("kept").await;
    let canary = alone.write("canary").await;
    let ms = Duration::from_millis(1);
    let (search, _dir, task) = beside(&alone, Pace { commit: ms, sync: ms, purge: ms, fade: ms, again: ms });
    let store = alone.app.node.context.store.clone();
    let holds = |words: &str| held(&search, words);
    while holds("canary") != Some(1) || holds("kept") != Some(1) {
        pause().await;
    }
    alone.app.say(&alone.room, &canary, Say::Delete, None).await.unwrap();
    while holds("canary") != Some(0) || search.index().unwrap().holds_gone(Shelf::Lasting).unwrap() {
        pause().await;
    }
    assert_eq!((holds("kept"), search.index().unwrap().count()), (Some(1), 1));
    while !store.changes(0, 10).unwrap().changed.is_empty() {
        pause().await;
    }
    alone.app.say(&alone.room, &kept, Say::Edit("changed".to_owned()), None).await.unwrap();
    while holds("changed") != Some(1) || holds("kept") != Some(0) {
        pause().await;
    }
    task.abort();
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_bounded_and_filters_are_kept() {
    let alone = Alone::new().await;
    alone.write("hello there").await;
    let other = alone.app.create_room(new_room("other")).await.unwrap().room;
    let there = SendRequest { text: "hello elsewhere".to_owned(), ..SendRequest::default() };
    alone.app.send(&other, vec![there]).await.unwrap();
    assert_eq!(alone.found("hello").await.len(), 2);
    let texts = async |wanted: SearchFor| {
        let page = alone.app.search(SearchFor { words: "hello".to_owned(), ..wanted }).await?;
        Ok::<_, parlor_api::Problem>(page.items.into_iter().map(|hit| hit.message.text).collect::<Vec<_>>())
    };
    let room = |room: &str| SearchFor { room: Some(room.to_owned()), ..SearchFor::default() };
    assert_eq!(texts(room("other")).await.unwrap(), ["hello elsewhere"]);
    assert_eq!(texts(room("nowhere")).await.unwrap_err().code, Code::RoomNotFound);
    for (from, n) in [("me", 2), ("@alone", 2), (&"00".repeat(32), 0)] {
        let wanted = SearchFor { from: Some(from.to_owned()), ..SearchFor::default() };
        assert_eq!(texts(wanted).await.unwrap().len(), n, "{from}");
    }
    for (since, until, n) in
        [("2020-01-01", "2020-12-31", 0), ("2020-01-01", "9000-01-01", 2), ("9000-01-01", "9001-01-01", 0)]
    {
        let (since, until) = (Some(since.to_owned()), Some(until.to_owned()));
        assert_eq!(texts(SearchFor { since, until, ..SearchFor::default() }).await.unwrap().len(), n);
    }
    assert!(texts(SearchFor { has: Some("file".to_owned()), ..SearchFor::default() }).await.unwrap().is_empty());
    let first = SearchFor { words: "hello".to_owned(), limit: Some(1), ..SearchFor::default() };
    let page = alone.app.search(first.clone()).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let rest = alone.app.search(SearchFor { cursor: page.next, ..first.clone() }).await.unwrap();
    assert_eq!(rest.items.iter().map(|hit| hit.message.text.as_str()).collect::<Vec<_>>(), ["hello there"]);
    for wrong in [
        SearchFor { words: "x".repeat(600), ..SearchFor::default() },
        SearchFor {
            words: "w ".repeat(40) + &(0..40).map(|n| format!("w{n} ")).collect::<String>(),
            ..SearchFor::default()
        },
        SearchFor::default(),
        SearchFor { cursor: Some("later".to_owned()), ..first.clone() },
        SearchFor { has: Some("cake".to_owned()), ..first.clone() },
        SearchFor { since: Some("soon".to_owned()), ..first.clone() },
    ] {
        assert_eq!(alone.app.search(wrong).await.unwrap_err().code, Code::BadRequest);
    }
    let many = (0..60).map(|_| alone.app.search(first.clone()));
    let answers = futures::future::join_all(many).await;
    assert!(answers.iter().any(Result::is_ok));
    assert!(answers.iter().all(|answer| answer.as_ref().map_or_else(|why| why.code == Code::RateLimited, |_| true)));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_can_not_be_read_any_more_keeps_nothing_else_from_being_found() {
    let alone = Alone::new().await;
    for n in 0..5 {
        alone.write(&format!("number {n}")).await;
    }
    let other = alone.app.create_room(new_room("other")).await.unwrap().room;
    let say = async |alone: &Alone, text: &str| {
        let request = SendRequest { text: text.to_owned(), ..SendRequest::default() };
        alone.app.send(&other, vec![request]).await.unwrap();
    };
    say(&alone, "number elsewhere").await;
    let id = alone.room.parse().unwrap();
    let store = alone.app.node.context.store.clone();
    let page = store.page(&id, parlor_storage::Cursor::Newest, 10).unwrap();
    drop(store);
    let alone = alone.after(|home| {
        in_store(home, |store| store.damage_message(&id, page.rows[2].position).unwrap());
        std::fs::remove_dir_all(home.search_dir()).unwrap();
    });
    let alone = alone.await;
    say(&alone, "number last").await;
    let begun = std::time::Instant::now();
    while !alone.hits("number").await.complete {
        assert!(begun.elapsed() < Duration::from_secs(40), "the index is never built");
        pause().await;
    }
    let mut found = alone.found("number").await;
    found.sort_unstable();
    assert_eq!(found, ["number 0", "number 1", "number 3", "number 4", "number elsewhere", "number last"]);
    alone.node.stop().await.unwrap();
}
