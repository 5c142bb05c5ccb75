//! Messages that disappear: from every window, every answer and every file of every home, whatever ran, was away or was killed when
//! their time was over, and nobody gets them afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use parlor_node::{AtRest, Home, Passphrase};
use parlor_proto::{EventId, RoomId};
use parlor_tests::{Canaries, Options, Person, each_file, eventually};
use serde_json::Value;

/// How long messages live: long enough for a slow machine to do before what is to be done before.
const TTL: &str = "20s";

const TEXT: &str = "canary-fading-3b1f77c0";
const EDITED: &str = "canary-edited-a1d09e52";
const ANSWER: &str = "canary-answer-77e0c4d1";
const DRAFT: &str = "canary-draft-0c22ab9e";
const FILE: &str = "canary-file-9e51d7";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What a thief with the vault finds of a message in a home: bytes of the payload, and whether there is a key for it.
fn found(home: &Path, room: &str, message: &str) -> (usize, bool) {
    let home = Home::at(home);
    let at_rest = AtRest::open(&home, &Passphrase::None).unwrap();
    let (room, message): (RoomId, EventId) = (room.parse().unwrap(), message.parse().unwrap());
    let row = at_rest.store.message(&room, &message).unwrap().unwrap();
    let event = parlor_proto::event::Event::decode(&room, &row.bytes).unwrap();
    (event.payload().len(), row.key.is_some() && !row.is_erased())
}

/// The lines of a room, as everybody who is asked shows them.
fn lines(person: &Person, room: &str) -> Vec<Value> {
    person.cli(&["history", room]).done().lines()
}

fn unread(person: &Person, room: &str) -> u64 {
    person.cli(&["room", "show", room]).done().object()["unread"].as_u64().unwrap()
}

/// Nothing in any file of this home says what disappeared, also not to somebody who has the vault: sealed values are opened elsewhere.
fn nothing_in_clear(home: &Path, file: &str) {
    let mut canaries = Canaries::of(&[TEXT, EDITED, ANSWER, DRAFT, FILE]);
    canaries.bytes("the file", &file.as_bytes()[..64]);
    each_file(home, &mut |path, bytes| {
        assert_eq!(canaries.in_bytes(bytes), [""; 0], "in {}", path.display());
    });
}

fn blobs(person: &Person) -> Vec<PathBuf> {
    let mut found = Vec::new();
    each_file(&person.home().join("blobs"), &mut |path, _| found.push(path.to_path_buf()));
    found.retain(|path| path.is_file());
    found.dedup();
    found
}

#[test]
fn messages_disappear_everywhere_whoever_was_away_or_killed_and_newcomers_get_none() {
    let options = || Options { listen: vec!["/ip4/127.0.0.1/tcp/0".into()], ..Options::default() };
    let mut alice = Person::start_with("Alice", options());
    let mut bob = Person::start_with("Bob", options());
    let room = alice.cli(&["room", "create", "Whispers", "--ttl", TTL]).done().text("room");
    bob.join(&alice.invite(&room, &[]));
    bob.connected_to(1);
    let window = alice.listen_to(Some(&room));

    let content = "What is in the canary file is gone too. ".repeat(3_000);
    let path = alice.scratch().join(FILE);
    fs::write(&path, &content).unwrap();
    let sent = alice.cli(&["send", &room, TEXT, "--wait", "none"]).done().text("message");
    let answer = alice.cli(&["send", &room, ANSWER, "--reply-to", &sent, "--wait", "none"]).done().text("message");
    alice.cli(&["edit", &room, &sent, EDITED]).done();
    alice.cli(&["react", &room, &sent, "🕊"]).done();
    let with_file = alice.cli(&["send", &room, "", "--file", path.to_str().unwrap(), "--wait", "none"]).done();
    let with_file = with_file.text("message");
    alice.cli(&["draft", "set", &room, DRAFT, "--reply-to", &sent]).done();
    alice.cli(&["draft", "set", &room, "something else", "--reply-to", &sent]).done();
    let shown = eventually("Bob has all of it", || {
        let shown = lines(&bob, &room);
        let edited = shown.iter().any(|line| line["message"] == *sent && line["text"] == EDITED);
        let reacted = shown.iter().any(|line| line["reactions"]["🕊"].is_array());
        (shown.len() == 3 && edited && reacted).then_some(shown)
    });
    assert!(shown.iter().all(|line| line["expires_at"].is_string()), "{shown:?}");
    assert_eq!(unread(&bob, &room), 3);
    // Bob is away when it is over. As he lies there now, a thief with his vault reads it.
    bob.kill9();
    let stolen = alice.scratch().join("stolen");
    copy(&bob.home(), &stolen);
    let again = alice.scratch().join("again");
    copy(&bob.home(), &again);
    let (payload, key) = found(&again, &room, &sent);
    assert!(payload > 0 && key, "the copy holds it");

    eventually("all of it is gone from Alice", || lines(&alice, &room).is_empty().then_some(()));
    eventually("the file is gone from her disk", || blobs(&alice).is_empty().then_some(()));
    alice.cli(&["message", &room, &sent]).refused(5, "message_not_found");
    let draft = alice.cli(&["draft", "show", &room]).done().object();
    assert_eq!((&draft["text"], &draft["reply_to"]), (&"something else".into(), &Value::Null));
    eventually("the window was told of each", || {
        let told = window.lines();
        let gone = |id: &str| told.iter().any(|it| it["event"] == "message.expired" && it["message"] == id);
        (gone(&sent) && gone(&answer) && gone(&with_file)).then_some(())
    });
    drop(window);

    // He comes back after that, is killed at once, and comes back again: nothing was read in between.
    bob.run();
    assert_eq!(lines(&bob, &room), Vec::<Value>::new());
    bob.kill9();
    bob.run();
    assert_eq!(lines(&bob, &room), Vec::<Value>::new());
    eventually("nothing waits to be read", || (unread(&bob, &room) == 0).then_some(()));
    // What is written now is read, by him and by somebody who gets all that is left of the past.
    let carol = Person::start_with("Carol", options());
    carol.join(&alice.invite(&room, &[]));
    let late = alice.say(&room, "still here");
    for person in [&bob, &carol] {
        eventually(&format!("{} reads on", person.name), || {
            let shown = lines(person, &room);
            assert!(shown.iter().all(|line| line["message"] == *late), "{shown:?}");
            (shown.len() == 1).then_some(())
        });
    }
    eventually("Carol holds every log whole", || {
        (carol.count(&room) >= alice.count(&room) && alice.count(&room) >= 5).then_some(())
    });
    carol.cli(&["file", "get", &room, &with_file]).refused(5, "message_not_found");

    for person in [&mut alice, &mut bob] {
        person.kill9();
        nothing_in_clear(&person.home(), &content);
        assert_eq!(found(&person.home(), &room, &sent), (0, false), "{}", person.name);
        assert_eq!(found(&person.home(), &room, &with_file), (0, false), "{}", person.name);
    }
    // All that Bob's disk ever held, with the keys that are left: nothing comes back.
    fs::copy(bob.home().join("store").join("fading"), stolen.join("store").join("fading")).unwrap();
    for message in [&sent, &answer, &with_file] {
        assert_eq!(found(&stolen, &room, message), (0, false));
    }
}
