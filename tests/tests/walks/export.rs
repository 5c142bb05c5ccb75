//! Exports: everything is in them, they hold offline, and what was changed afterwards is found.

use std::fs;
use std::path::Path;

use parlor_tests::{Person, eventually};
use serde_json::Value;

fn path(person: &Person, name: &str) -> String {
    person.scratch().join(name).to_str().unwrap().to_owned()
}

fn verify(person: &Person, file: &str) -> Value {
    person.cli(&["export", "verify", file]).done().object()
}

#[test]
fn an_export_holds_offline_and_what_was_changed_in_it_is_found() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Reading <b>club</b>");
    bob.join(&alice.invite(&room, &[]));
    let first = alice.say(&room, "<script>alert(1)</script> & so on");
    let gone = alice.say(&room, "taken back");
    bob.say(&room, "hello from Bob");
    alice.cli(&["edit", &room, &first, "<script>alert(2)</script> edited"]).done();
    alice.cli(&["delete", &room, &gone]).done();
    let photo = alice.scratch().join("notes.txt");
    fs::write(&photo, b"content of the file").unwrap();
    alice.cli(&["send", &room, "see", "--file", photo.to_str().unwrap()]).done();
    eventually("all is at Bob", || {
        let seen = bob.cli(&["history", &room]).done().lines();
        let edited = seen.iter().any(|message| message["text"].as_str().is_some_and(|text| text.ends_with("edited")));
        let deleted = seen.iter().any(|message| message["deleted"] == true);
        let file = seen.iter().any(|message| message["files"][0]["name"] == "notes.txt");
        (edited && deleted && file).then_some(())
    });
    let json = path(&bob, "room.json");
    let done = bob.cli(&["export", &room, "--format", "json", "--out", &json]).done().object();
    assert_eq!((done["messages"].as_u64(), done["files_missing"].as_u64()), (Some(4), Some(1)));
    bob.cli(&["export", &room, "--out", &json]).refused(1, "already_exists");
    let of_alice = path(&alice, "room.json");
    assert_eq!(alice.cli(&["export", &room, "--out", &of_alice]).done().object()["files"], 1);
    assert_eq!(
        fs::read(Path::new(&of_alice).with_file_name("room.json.files/notes.txt")).unwrap(),
        b"content of the file"
    );
    let html = path(&bob, "room.html");
    bob.cli(&["export", &room, "--format", "html", "--out", &html]).done();
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("&lt;script&gt;alert(2)&lt;/script&gt; edited") && page.contains("hello from Bob"), "{page}");
    assert!(!page.contains("<script") && !page.contains("taken back") && !page.contains("<b>club"), "{page}");
    // Without a node.
    bob.stop();
    let found = verify(&bob, &json);
    assert_eq!((found["valid"].as_bool(), found["messages"].as_u64()), (Some(true), Some(3)), "{found}");
    assert!(verify(&bob, &of_alice)["valid"].as_bool().unwrap());
    let whole = fs::read_to_string(&json).unwrap();
    assert!(!whole.contains("taken back"));
    let changed: [(&str, &str); 3] = [
        ("hello from Bob", "hello from Rob"),
        ("\"name\":\"notes.txt\"", "\"name\":\"other.txt\""),
        ("\"sent_at\":\"2", "\"sent_at\":\"3"),
    ];
    for (old, new) in changed {
        assert!(whole.contains(old), "{old}");
        let bad = path(&bob, "bad.json");
        fs::write(&bad, whole.replacen(old, new, 1)).unwrap();
        let answer = bob.cli(&["export", "verify", &bad]);
        answer.refused(1, "export_differs");
    }
    // An event that is left out is missed by those that follow it.
    let mut parsed: Value = serde_json::from_str(&whole).unwrap();
    parsed["events"].as_array_mut().unwrap().remove(0);
    let cut = path(&bob, "cut.json");
    fs::write(&cut, parsed.to_string()).unwrap();
    bob.cli(&["export", "verify", &cut]).refused(1, "export_differs");
}
