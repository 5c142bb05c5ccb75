//! Files: sent to a room, fetched from whoever has them, whatever is killed on the way, and saved where nothing is hurt.

use std::fs;
#[cfg(unix)]
use std::io::{Read, Write};
#[cfg(unix)]
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use parlor_tests::{Canaries, Person, eventually};
use serde_json::Value;

/// Bytes of the large file: enough for somebody to be killed in the middle.
#[cfg(unix)]
const LARGE: usize = 30 << 20;

fn together() -> (Person, Person, Person, String) {
    let (alice, bob, carol) = (Person::start("Alice"), Person::start("Bob"), Person::start("Carol"));
    let room = alice.create_room("Archive");
    let link = alice.invite(&room, &["--uses", "2"]);
    bob.join(&link);
    carol.join(&link);
    // All know where all are.
    for person in [&alice, &bob, &carol] {
        person.connected_to(2);
    }
    (alice, bob, carol, room)
}

/// Bytes that no chunk shares with another.
fn content(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..len.div_ceil(4)).flat_map(|_| next()).take(len).collect()
}

fn write(person: &Person, name: &str, bytes: &[u8]) -> PathBuf {
    let path = person.scratch().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Sends files with a caption, and answers the message's id.
#[track_caller]
fn send(person: &Person, room: &str, text: &str, paths: &[&Path], more: &[&str]) -> String {
    let mut args: Vec<String> = vec!["send".into(), room.into(), text.into()];
    for path in paths {
        args.extend(["--file".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    person.cli(&args).done().text("message")
}

/// The files of a message, once this person's node shows it.
#[track_caller]
fn files(person: &Person, room: &str, message: &str) -> Vec<Value> {
    eventually(&format!("{} sees the message", person.name), || {
        let shown = person.cli(&["history", room]).done().lines();
        let found = shown.iter().find(|it| it["message"] == message)?;
        assert_eq!(found["kind"], "file");
        found["files"].as_array().cloned()
    })
}

/// Fetches the files of a message into a folder, and answers where they are.
#[track_caller]
fn get(person: &Person, room: &str, message: &str, folder: &Path) -> Vec<PathBuf> {
    files(person, room, message);
    fs::create_dir_all(folder).unwrap();
    let got = person.cli(&["file", "get", room, message, "--out", folder.to_str().unwrap()]).done().lines();
    got.iter().map(|file| PathBuf::from(file["path"].as_str().unwrap())).collect()
}

/// Asks the node for the first file of a message, as a window does, and waits for nothing.
#[cfg(unix)]
fn want(person: &Person, room: &str, message: &str) {
    let token = fs::read_to_string(person.home().join("token")).unwrap();
    let (api, token) = (person.api(), token.trim());
    let mut stream = TcpStream::connect(api).unwrap();
    let path = format!("/api/v1/rooms/{room}/messages/{message}/files/0");
    let head = format!("Host: {api}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\nConnection: close\r\n");
    stream.write_all(format!("POST {path} HTTP/1.1\r\n{head}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Bytes of files that are on their way, as they take place on the disk of this person: no holes.
#[cfg(unix)]
fn on_the_way(person: &Person) -> u64 {
    let folders = fs::read_dir(person.home().join("blobs")).into_iter().flatten().flatten();
    let entries = folders.flat_map(|folder| fs::read_dir(folder.path()).into_iter().flatten().flatten());
    let parts = entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "part"));
    parts
        .filter_map(|part| part.metadata().ok())
        .map(|found| std::os::unix::fs::MetadataExt::blocks(&found) * 512)
        .sum()
}

#[cfg(unix)]
#[test]
fn a_large_file_comes_whole_though_receiver_and_source_are_killed_on_the_way() {
    let (mut alice, bob, mut carol, room) = together();
    let bytes = content(LARGE);
    let path = write(&alice, "archive.bin", &bytes);
    let message = send(&alice, &room, "All of it", &[&path], &[]);
    fs::remove_file(&path).unwrap();
    assert_eq!(files(&alice, &room, &message)[0]["state"], "here", "what was sent is kept");
    assert_eq!(files(&bob, &room, &message)[0]["state"], "remote", "what is no picture is fetched on request");
    // Carol asks Alice, and is killed in the middle.
    files(&carol, &room, &message);
    want(&carol, &room, &message);
    eventually("some of it came", || (on_the_way(&carol) > 4 << 20).then_some(()));
    carol.kill9();
    let before = on_the_way(&carol);
    assert!(before < LARGE as u64, "it was in the middle");
    // Only Bob is there, who has nothing of it: what she has then is what she had.
    alice.kill9();
    carol.run();
    let kept = eventually("what came is found", || Some(have(&carol, &room, &message)).filter(|have| *have > 0));
    // The names of its chunks, one that was torn, and what the disk takes for less than a block, are in the one and not in the other.
    assert!(kept + (1 << 20) > before && kept < LARGE as u64, "{kept} of {before}");
    assert_eq!(state(&bob, &room, &message), "remote");
    carol.kill9();
    // Bob has it from Alice.
    alice.run();
    let saved = get(&bob, &room, &message, &bob.scratch().join("got"));
    assert_eq!(saved, [bob.scratch().join("got/archive.bin")]);
    assert!(fs::read(&saved[0]).unwrap() == bytes, "as it was sent");
    carol.run();
    // She goes on by herself, and one of her two sources is killed.
    eventually("more of it comes", || Some(have(&carol, &room, &message)).filter(|have| *have > kept));
    alice.kill9();
    let saved = get(&carol, &room, &message, &carol.scratch().join("got"));
    assert!(fs::read(&saved[0]).unwrap() == bytes, "as it was sent");
    assert_eq!(on_the_way(&carol), 0);
    // It is here for good, with nobody else there.
    drop(bob);
    carol.restart();
    let again = get(&carol, &room, &message, &carol.scratch().join("got"));
    assert_eq!(again, [carol.scratch().join("got/archive (1).bin")], "nothing is written over");
    assert!(fs::read(&again[0]).unwrap() == bytes);
}

/// Bytes of the first file of a message that are on this device.
#[cfg(unix)]
fn have(person: &Person, room: &str, message: &str) -> u64 {
    files(person, room, message)[0]["have"].as_u64().unwrap()
}

fn state(person: &Person, room: &str, message: &str) -> String {
    files(person, room, message)[0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_waits_for_who_has_it_and_comes_by_itself() {
    let (mut alice, mut bob, carol, room) = together();
    let bytes = content(700_000);
    let path = write(&alice, "notes.txt", &bytes);
    let message = send(&alice, &room, "", &[&path], &[]);
    for person in [&bob, &carol] {
        files(person, &room, &message);
    }
    alice.stop();
    let asked = bob.cli(&["file", "get", &room, &message, "--timeout", "1s"]);
    asked.refused(6, "timed_out");
    assert_eq!(state(&bob, &room, &message), "waiting");
    // People are told what is waited for, also where no bar can be shown, and what history shows of it.
    let told = bob.plain(&["file", "get", &room, &message, "--timeout", "1s"]);
    assert!(told.stderr.contains("notes.txt: waiting for a member who has it\n"), "{}", told.stderr);
    assert!(told.stderr.contains("0 B of 683.5 KiB came: waiting for a member who has it"), "{}", told.stderr);
    let shown = bob.plain(&["history", &room]).done().stdout;
    assert!(shown.contains("Alice  [file 1: notes.txt (683.5 KiB, waiting)]"), "{shown}");
    bob.cli(&["file", "get", &room, &message, "--number", "2"]).refused(5, "file_not_found");
    let window = bob.listen_to(Some(&room));
    alice.run();
    eventually("it came by itself", || (state(&bob, &room, &message) == "here").then_some(()));
    let told = |wanted: &str| {
        let events = window.lines();
        events.iter().any(|event| event["event"] == "file" && event["state"] == wanted && event["message"] == *message)
    };
    eventually("windows were told", || told("here").then_some(()));
    // With Alice away again, Carol has it from Bob, also over his restart.
    alice.stop();
    bob.restart();
    let saved = get(&carol, &room, &message, &carol.scratch().join("got"));
    assert!(fs::read(&saved[0]).unwrap() == bytes);
    // Who needs the space gives it up, and can have it again; what was sent from here stays.
    assert_eq!(carol.plain(&["file", "remove", &room, &message]).done().stdout, "removed notes.txt\n");
    eventually("it is gone", || (state(&carol, &room, &message) == "remote").then_some(()));
    alice.run();
    alice.cli(&["file", "remove", &room, &message]).refused(1, "conflict");
    get(&carol, &room, &message, &carol.scratch().join("got"));
}

const SECRET: &[u8] = b"GPS 52.5163 13.3777";

/// A JPEG with no picture in it, that says where it was taken.
fn photo() -> Vec<u8> {
    let segment = |marker: u8, content: &[u8]| {
        [&[0xff, marker], (content.len() as u16 + 2).to_be_bytes().as_slice(), content].concat()
    };
    let exif = segment(0xe1, &[b"Exif\0\0", SECRET].concat());
    [&[0xff, 0xd8], exif.as_slice(), &segment(0xdb, &[1; 65]), &segment(0xda, &[0; 10]), b"scan\xff\xd9", SECRET]
        .concat()
}

fn has_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

#[test]
fn a_picture_comes_by_itself_and_does_not_say_where_it_was_taken() {
    let (alice, bob, _carol, room) = together();
    let path = write(&alice, "photo.jpg", &photo());
    let message = send(&alice, &room, "Look!", &[&path], &[]);
    eventually("the picture is there", || (state(&bob, &room, &message) == "here").then_some(()));
    let shown = &files(&bob, &room, &message)[0];
    assert_eq!((shown["mime"].as_str(), shown["name"].as_str()), (Some("image/jpeg"), Some("photo.jpg")));
    let saved = get(&bob, &room, &message, &bob.scratch().join("got"));
    let came = fs::read(&saved[0]).unwrap();
    assert!(!has_secret(&came) && came.starts_with(&[0xff, 0xd8]) && came.len() > 60);
    // Unless that is wanted.
    let kept = send(&alice, &room, "", &[&path], &["--keep-metadata"]);
    let saved = get(&bob, &room, &kept, &bob.scratch().join("kept"));
    assert_eq!(fs::read(&saved[0]).unwrap(), photo());
    // What nothing can be taken out of is refused, and nothing is sent.
    let raw = write(&alice, "raw.tiff", b"II*\0\x08\0\0\0");
    let refused = alice.cli(&["send", &room, "", "--file", raw.to_str().unwrap()]);
    refused.refused(1, "metadata");
    assert_eq!(alice.cli(&["history", &room]).done().lines().len(), 2);
}

/// Attack 51.
#[cfg(unix)]
#[test]
fn names_of_files_lead_nowhere_and_pretend_nothing() {
    let (alice, bob, _carol, room) = together();
    let names = [
        ("..\\..\\boot.ini", "boot.ini"),
        (".bashrc", "bashrc"),
        ("photo\u{202e}gpj.exe", "photogpj.exe"),
        ("nul.txt", "_nul.txt"),
        ("-rf", "_-rf"),
        ("a\nb\u{1b}[2J.txt", "ab[2J.txt"),
    ];
    let paths: Vec<_> = names.iter().map(|(name, _)| write(&alice, name, name.as_bytes())).collect();
    let paths: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    let message = send(&alice, &room, "Six files", &paths, &[]);
    let folder = bob.scratch().join("got");
    fs::create_dir_all(&folder).unwrap();
    // A link in the way is not followed.
    std::os::unix::fs::symlink(bob.scratch().join("victim"), folder.join("bashrc")).unwrap();
    let saved = get(&bob, &room, &message, &folder);
    for ((name, safe), path) in names.iter().zip(&saved) {
        let safe = if *safe == "bashrc" { "bashrc (1)" } else { *safe };
        assert_eq!(path, &folder.join(safe), "{name:?}");
        assert_eq!(fs::read(path).unwrap(), name.as_bytes());
    }
    assert!(!bob.scratch().join("victim").exists());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), names.len() + 1);
}

#[test]
fn nothing_of_a_file_is_readable_on_a_disk() {
    let (alice, bob, _carol, room) = together();
    let canary = "The canary sings in the blob. ".repeat(20_000);
    let path = write(&alice, "canary-name.txt", canary.as_bytes());
    let message = send(&alice, &room, "", &[&path], &[]);
    let hash = files(&bob, &room, &message)[0]["hash"].as_str().unwrap().to_owned();
    get(&bob, &room, &message, &bob.scratch().join("got"));
    let secrets = Canaries::of(&["canary sings", "canary-name", &hash]);
    for person in [&alice, &bob] {
        let mut folders = vec![person.home()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                assert!(!hash.starts_with(&name[..name.len().min(16)]) || name.len() < 8, "{name}");
                if entry.path().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = fs::read(entry.path()).unwrap();
                assert_eq!(secrets.in_bytes(&bytes), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn a_file_that_came_while_its_sender_was_blocked_is_there_when_that_is_undone() {
    let (alice, bob, carol, room) = together();
    carol.cli(&["contact", "block", "@Alice"]).done();
    let path = write(&alice, "notes.txt", b"notes");
    let message = send(&alice, &room, "", &[&path], &[]);
    files(&bob, &room, &message);
    // Bob had it before, so Carol has it when she has what he says then.
    let said = bob.cli(&["send", &room, "I have it"]).done().text("message");
    eventually("Carol hears Bob", || {
        let shown = carol.cli(&["history", &room]).done().lines();
        assert!(shown.iter().all(|it| it["message"] != message), "who is blocked is not shown");
        shown.iter().any(|it| it["message"] == said).then_some(())
    });
    carol.cli(&["file", "get", &room, &message]).refused(5, "message_not_found");
    carol.cli(&["contact", "block", "@Alice", "--undo"]).done();
    let saved = get(&carol, &room, &message, &carol.scratch().join("got"));
    assert_eq!(fs::read(&saved[0]).unwrap(), b"notes");
}
