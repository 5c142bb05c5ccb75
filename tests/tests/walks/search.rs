//! Search: what is said is found by those who may read it, in any script, and what is taken back is found by nobody.

use parlor_tests::{Canaries, Person, each_file, eventually};
use serde_json::Value;

fn found(person: &Person, args: &[&str]) -> Vec<Value> {
    person.cli(&[&["search"], args].concat()).done().lines()
}

fn texts(person: &Person, args: &[&str]) -> Vec<String> {
    found(person, args).iter().map(|hit| hit["text"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn finds(person: &Person, args: &[&str], wanted: &[&str]) {
    eventually(&format!("{} finds {wanted:?} by {args:?}", person.name), || {
        (texts(person, args) == wanted).then_some(())
    });
}

#[test]
fn what_was_said_is_found_and_what_was_taken_back_by_nobody() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    let other = alice.create_room("Elsewhere");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&other, "an albatross elsewhere");
    let first = alice.say(&room, "The Albatross flies, déjà vu");
    bob.say(&room, "日本語の勉強 and an albatross");
    let secret = alice.say(&room, "platypus under the table");
    let path = alice.scratch().join("Albatross photo.txt");
    std::fs::write(&path, b"feathers").unwrap();
    alice.cli(&["send", &room, "look", "--file", path.to_str().unwrap()]).done();
    finds(&bob, &["albatross", "--has", "file"], &["look"]);
    finds(&bob, &["albat"], &["look", "日本語の勉強 and an albatross", "The Albatross flies, déjà vu"]);
    finds(&bob, &["albat "], &[]);
    finds(&bob, &["deja VU"], &["The Albatross flies, déjà vu"]);
    finds(&bob, &["\"albatross flies\""], &["The Albatross flies, déjà vu"]);
    finds(&bob, &["\"flies albatross\""], &[]);
    finds(&bob, &["本語"], &["日本語の勉強 and an albatross"]);
    finds(&bob, &["albatross", "--from", "@Alice"], &["look", "The Albatross flies, déjà vu"]);
    finds(&bob, &["albatross", "--from", "me"], &["日本語の勉強 and an albatross"]);
    finds(&bob, &["albatross", "--limit", "1"], &["look"]);
    finds(&bob, &["albatross", "--until", "2020-01-01"], &[]);
    finds(
        &bob,
        &["albatross", "--room", &room, "--since", "2020-01-01", "--limit", "2"],
        &["look", "日本語の勉強 and an albatross"],
    );
    finds(&alice, &["albatross", "--room", "Elsewhere"], &["an albatross elsewhere"]);
    let hit = found(&bob, &["flies"]).remove(0);
    assert_eq!((hit["message"].as_str(), hit["snippet"].as_str()), (Some(first.as_str()), hit["text"].as_str()));
    assert_eq!(hit["marks"], serde_json::json!([[14, 19]]));
    assert!(hit["score"].as_f64().unwrap() > 0.0);
    // Edited and deleted: neither finds the old words, also after a crash.
    finds(&bob, &["platypus"], &["platypus under the table"]);
    alice.cli(&["edit", &room, &first, "The pelican flies"]).done();
    alice.cli(&["delete", &room, &secret]).done();
    finds(&alice, &["platypus"], &[]);
    finds(&bob, &["platypus"], &[]);
    finds(&bob, &["flies"], &["The pelican flies"]);
    bob.kill9();
    bob.run();
    finds(&bob, &["flies"], &["The pelican flies"]);
    finds(&bob, &["platypus"], &[]);
    let canaries = Canaries::of(&["albatross", "Albatross", "pelican", "platypus", "日本"]);
    bob.stop();
    each_file(&bob.home(), &mut |file, bytes| {
        assert!(canaries.in_bytes(bytes).is_empty(), "{} holds {:?}", file.display(), canaries.in_bytes(bytes));
    });
}

#[test]
fn whoever_was_removed_searches_what_he_may_read_and_a_lost_index_comes_back() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    let mine = bob.say(&room, "heron of mine");
    alice.holds(&room, 1);
    alice.say(&room, "heron before");
    bob.holds(&room, 2);
    alice.cli(&["member", "remove", &room, "@Bob"]).done();
    alice.say(&room, "heron after");
    finds(&alice, &["heron"], &["heron after", "heron before", "heron of mine"]);
    eventually("Bob is out", || (bob.cli(&["room", "show", &room]).done().object()["role"] == "removed").then_some(()));
    finds(&bob, &["heron"], &["heron before", "heron of mine"]);
    assert_eq!(found(&bob, &["mine"])[0]["message"], mine);
    bob.stop();
    std::fs::remove_dir_all(bob.home().join("search")).unwrap();
    bob.run();
    finds(&bob, &["heron"], &["heron before", "heron of mine"]);
    eventually("the index is complete", || {
        let state = bob.cli(&["status"]).done().object()["search"].clone();
        (state["complete"] == true && state["indexed"] == state["total"]).then_some(())
    });
    bob.cli(&["search", &"x".repeat(600)]).refused(2, "bad_request");
}
