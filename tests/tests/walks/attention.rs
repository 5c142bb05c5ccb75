//! What waits to be read, who read it, who types, what was begun and not sent: the same in every window, through restarts, and told to
//! nobody against the user's will.

use std::process::{Child, Command, Stdio};

use parlor_tests::{Canaries, Options, Person, Stream, each_file, eventually};
use serde_json::Value;

fn together(names: &[&str]) -> (Vec<Person>, String) {
    let people: Vec<Person> = names.iter().map(|name| Person::start(name)).collect();
    let room = people[0].create_room("Reading club");
    for person in &people[1..] {
        person.join(&people[0].invite(&room, &[]));
    }
    (people, room)
}

/// The line of a room in somebody's list.
fn listed(person: &Person, room: &str) -> Value {
    let rooms = person.cli(&["room", "list"]).done().lines();
    rooms.into_iter().find(|line| line["room"] == room).unwrap_or_default()
}

/// How many are unread, as list and room show it: both agree.
fn unread(person: &Person, room: &str) -> u64 {
    let shown = person.cli(&["room", "show", room]).done().object();
    let line = listed(person, room);
    for field in ["mentions", "first_unread", "first_unread_order"] {
        assert_eq!(line[field], shown[field], "{field} is the same in list and room");
    }
    assert_eq!(line["unread"], shown["unread"]);
    shown["unread"].as_u64().unwrap()
}

fn waits_unread(person: &Person, room: &str, n: u64) {
    eventually(&format!("{} has {n} unread", person.name), || (listed(person, room)["unread"] == n).then_some(()));
    assert_eq!(unread(person, room), n);
}

/// The last event of a kind that a window showed about a room.
fn last(window: &Stream, kind: &str, room: &str) -> Option<Value> {
    window.lines().into_iter().rfind(|line| line["event"] == kind && line["room"] == room)
}

/// Who has a message and who read it, by name.
fn people(author: &Person, room: &str, message: &str) -> Vec<(String, bool, bool)> {
    let shown = author.cli(&["message", room, message]).done().object();
    let people = shown["people"].as_array().cloned().unwrap();
    people
        .iter()
        .map(|it| {
            let (delivered, read) = (it["delivered"].as_bool().unwrap(), it["read"].as_bool().unwrap());
            assert_eq!(it["delivered_at"].is_string(), delivered, "{it}");
            assert_eq!(it["read_at"].is_string(), read, "{it}");
            (it["name"].as_str().unwrap().to_owned(), delivered, read)
        })
        .collect()
}

#[test]
fn who_has_a_message_and_who_read_it_is_told_by_name_and_to_whom_the_reader_lets() {
    let (mut all, room) = together(&["Alice", "Bob", "Carol"]);
    all[2].cli(&["config", "set", "receipts", "off"]).done();
    let id = all[0].say(&room, "Chapter one");
    let is = |all: &[Person], bob: bool, carol: bool| {
        let wanted = [("Bob".to_owned(), true, bob), ("Carol".to_owned(), true, carol)];
        eventually("it is told", || (people(&all[0], &room, &id) == wanted).then_some(()));
    };
    is(&all, false, false);
    all[2].holds(&room, 1);
    all[2].cli(&["read", &room]).done();
    all[1].cli(&["read", &room]).done();
    is(&all, true, false);
    assert_eq!(all[0].history(&room)[0].status, "read");
    // She does not tell after a restart either, until she wants to.
    all[2].restart();
    assert_eq!(all[2].cli(&["config", "get"]).done().object()["receipts"], false);
    let next = all[0].say(&room, "Chapter two");
    eventually("Carol has the next", || people(&all[0], &room, &next)[1].1.then_some(()));
    is(&all, true, false);
    all[2].cli(&["config", "set", "receipts", "on"]).done();
    is(&all, true, true);
    all[0].restart();
    is(&all, true, true);
    all[1].cli(&["message", &room, &id]).done();
    let of_bob = all[1].cli(&["message", &room, &id]).done().object();
    assert_eq!(of_bob["people"], serde_json::json!([]), "only its author knows");
}

#[test]
fn unread_counts_agree_in_every_window_and_survive_a_crash() {
    let (mut all, room) = together(&["Alice", "Bob"]);
    let (whole, one) = (all[1].listen_to(None), all[1].listen_to(Some(&room)));
    let ids: Vec<String> = (1..=5).map(|n| all[0].say(&room, &format!("line {n}"))).collect();
    all[1].holds(&room, 5);
    waits_unread(&all[1], &room, 5);
    all[1].say(&room, "own messages do not count");
    waits_unread(&all[1], &room, 5);
    let both = |n: u64, first: Option<&String>| {
        for window in [&whole, &one] {
            eventually("the windows agree", || {
                let event = last(window, "unread", &room)?;
                (event["unread"] == n && event["first_unread"].as_str() == first.map(String::as_str)).then_some(())
            });
        }
    };
    both(5, Some(&ids[0]));
    let answer = all[1].cli(&["read", &room, &ids[1]]).done().object();
    assert_eq!(answer["unread"], 3);
    both(3, Some(&ids[2]));
    all[1].kill9();
    all[1].run();
    waits_unread(&all[1], &room, 3);
    let line = listed(&all[1], &room);
    assert_eq!(line["first_unread"].as_str(), Some(ids[2].as_str()));
    let around = line["first_unread_order"].as_str().unwrap().to_owned();
    let page = all[1].cli(&["history", &room, "--around", &around, "--limit", "3"]).done().lines();
    assert!(page.iter().any(|message| message["message"] == ids[2]), "the cursor leads there");
    assert_eq!(all[1].cli(&["read", &room, &ids[0]]).done().object()["unread"], 3, "it never goes back");
    assert_eq!(all[1].cli(&["read", &room]).done().object()["unread"], 0);
    all[1].restart();
    assert_eq!(unread(&all[1], &room), 0);
}

#[test]
fn what_came_late_is_unread_and_its_author_is_not_told_otherwise() {
    let (mut all, room) = together(&["Alice", "Bob", "Carol"]);
    all[0].stop();
    all[1].stop();
    let late = all[2].say(&room, "written while nobody was there");
    all[2].stop();
    all[0].run();
    all[1].run();
    let new = all[1].say(&room, "written after it");
    waits_unread(&all[0], &room, 1);
    assert_eq!(all[0].cli(&["read", &room]).done().object()["unread"], 0);
    eventually("Bob is told", || people(&all[1], &room, &new).iter().any(|it| it.2).then_some(()));
    all[2].run();
    all[0].holds(&room, 2);
    waits_unread(&all[0], &room, 1);
    assert_eq!(listed(&all[0], &room)["first_unread"].as_str(), Some(late.as_str()));
    let shown = all[0].cli(&["message", &room, &late]).done().object();
    assert_eq!(shown["status"], "delivered", "it stands before what was read, and was not read");
    all[0].kill9();
    all[0].run();
    waits_unread(&all[0], &room, 1);
    let of_alice = |all: &[Person]| {
        let people = people(&all[2], &room, &late);
        people.into_iter().find(|it| it.0 == "Alice").map(|it| (it.1, it.2))
    };
    eventually("Alice has it", || (of_alice(&all) == Some((true, false))).then_some(()));
    assert_eq!(all[0].cli(&["read", &room]).done().object()["unread"], 0);
    eventually("Alice read it", || (of_alice(&all) == Some((true, true))).then_some(()));
}

#[test]
fn a_draft_keeps_its_files_through_a_crash_and_is_sent_as_it_is() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Attic");
    let path = alice.scratch().join("list of things.txt");
    std::fs::write(&path, "a lamp, two chairs").unwrap();
    alice.cli(&["send", &room, "--draft"]).refused(2, "empty_text");
    alice.cli(&["draft", "set", &room, "What is left", "--file", path.to_str().unwrap()]).done();
    std::fs::remove_file(&path).unwrap();
    alice.kill9();
    alice.run();
    let draft = alice.cli(&["draft", "show", &room]).done().object();
    assert_eq!((&draft["text"], &draft["files"][0]["name"]), (&"What is left".into(), &"list of things.txt".into()));
    assert_eq!(listed(&alice, &room)["draft"], true);
    let sent = alice.cli(&["send", &room, "--draft"]).done().text("message");
    let shown = alice.cli(&["history", &room]).done().lines();
    assert_eq!((&shown[0]["message"], &shown[0]["text"]), (&sent.clone().into(), &"What is left".into()));
    assert_eq!(shown[0]["files"][0]["state"], "here");
    let draft = alice.cli(&["draft", "show", &room]).done().object();
    assert_eq!((&draft["text"], draft["files"].as_array().map(Vec::len)), (&"".into(), Some(0)));
    alice.cli(&["draft", "set", &room, "--file", "/nowhere"]).refused(5, "not_found");
}

#[test]
fn a_draft_is_there_in_all_windows_and_after_a_crash_and_nowhere_in_the_clear() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    let window = alice.listen_to(None);
    let text = "what I never dared to send, line one\nline two";
    alice.cli_with(&["draft", "set", &room, "-"], text.as_bytes()).done();
    eventually("the window shows it", || (last(&window, "draft", &room)?["text"] == text).then_some(()));
    assert_eq!(listed(&alice, &room)["draft"], true);
    alice.kill9();
    alice.run();
    let draft = alice.cli(&["draft", "show", &room]).done().object();
    assert_eq!((draft["text"].as_str(), draft["files"].as_array().map(Vec::len)), (Some(text), Some(0)));
    let canaries = Canaries::of(&["never dared to send"]);
    each_file(&alice.home(), &mut |file, bytes| {
        assert!(canaries.in_bytes(bytes).is_empty(), "the draft is in {}", file.display());
    });
    alice.cli(&["draft", "clear", &room]).done();
    assert_eq!(alice.cli(&["draft", "show", &room]).done().text("text"), "");
    let long = "x".repeat(20 * 1024 + 1);
    alice.cli(&["draft", "set", &room, &long]).refused(2, "too_long");
    alice.restart();
    assert_eq!(listed(&alice, &room)["draft"], false);
}

#[test]
fn typing_is_seen_until_it_ends_and_by_nobody_if_that_is_wanted() {
    let (all, room) = together(&["Alice", "Bob"]);
    let window = all[1].listen_to(Some(&room));
    let types = |typing: bool| {
        eventually(&format!("Bob sees that Alice types: {typing}"), || {
            if typing {
                // As a window does while keys are pressed.
                all[0].cli(&["typing", &room]).done();
            }
            let event = last(&window, "typing", &room)?;
            (event["typing"] == typing && event["name"] == "Alice").then_some(())
        });
    };
    types(true);
    // Nothing more is said: it is over by itself, or when what was typed comes.
    types(false);
    types(true);
    all[0].say(&room, "there it is");
    types(false);
    all[0].cli(&["config", "set", "typing", "off"]).done();
    let n_before = window.lines().iter().filter(|line| line["event"] == "typing").count();
    all[0].cli(&["typing", &room]).done();
    // What comes after it is here: it would have been, too.
    all[0].say(&room, "nothing to see");
    all[1].holds(&room, 2);
    eventually("the window shows the message", || {
        window.lines().iter().any(|line| line["event"] == "message" && line["text"] == "nothing to see").then_some(())
    });
    assert_eq!(window.lines().iter().filter(|line| line["event"] == "typing").count(), n_before);
}

#[test]
fn who_is_there_is_shown_as_each_wants() {
    let (mut all, room) = together(&["Alice", "Bob"]);
    let window = all[1].listen_to(None);
    let is = |all: &[Person], presence: &str| {
        eventually(&format!("Alice is {presence} to Bob"), || {
            let members = all[1].cli(&["members", &room]).done().lines();
            let alice = members.into_iter().find(|member| member["name"] == "Alice")?;
            (alice["presence"] == presence && alice["online"] == (presence != "offline")).then_some(())
        });
    };
    is(&all, "online");
    for presence in ["away", "hidden", "here"] {
        all[0].cli(&["config", "set", "presence", presence]).done();
        let shown = match presence {
            "away" => "away",
            "hidden" => "offline",
            _ => "online",
        };
        is(&all, shown);
        eventually("the window is told", || (last(&window, "presence", &room)?["presence"] == shown).then_some(()));
    }
    // Who comes later learns it, too.
    all[0].cli(&["config", "set", "presence", "hidden"]).done();
    all[1].restart();
    let connected = |all: &[Person]| {
        let status = all[1].cli(&["status"]).done().object();
        status["peers"].as_array().is_some_and(|peers| !peers.is_empty())
    };
    eventually("they are connected", || connected(&all).then_some(()));
    is(&all, "offline");
    all[0].stop();
}

#[test]
fn notifications_come_for_what_calls_and_say_no_more_than_they_may() {
    let (all, loud) = together(&["Alice", "Bob"]);
    let muted = all[0].create_room("Noise");
    all[1].join(&all[0].invite(&muted, &[]));
    all[1].cli(&["room", "mute", &muted, "--for", "8h"]).done();
    let window = all[1].listen_to(None);
    let told = || -> Vec<Value> { window.lines().into_iter().filter(|line| line["event"] == "notification").collect() };
    all[0].say(&muted, "blah");
    all[1].holds(&muted, 1);
    all[1].say(&loud, "an own message calls nobody");
    (1..=3).for_each(|n| drop(all[0].say(&loud, &format!("secret {n}"))));
    all[1].holds(&loud, 4);
    let first = eventually("it calls", || told().into_iter().next());
    assert_eq!(first["room"].as_str(), Some(loud.as_str()));
    let text = first.to_string();
    assert!(!text.contains("secret") && !text.contains("Alice") && !text.contains("Reading"), "{text}");
    all[1].cli(&["read", &loud]).done();
    all[1].cli(&["config", "set", "notify", "text"]).done();
    all[0].say(&loud, "lunch?");
    let second = eventually("it calls again", || told().into_iter().find(|it| it["title"] == "Reading club"));
    assert_eq!(second["body"], "Alice: lunch?");
    assert!(told().iter().all(|it| it["room"] != muted.as_str()), "the muted room is silent");
    let status = all[1].cli(&["status"]).done().object();
    assert_eq!(status["unread"], 1, "what is muted is counted in its room only");
    assert_eq!(unread(&all[1], &muted), 1);
    all[1].cli(&["config", "set", "quiet", "nonsense"]).refused(2, "bad_request");
}

#[test]
fn rooms_stand_in_the_list_as_they_were_put_there() {
    let mut alice = Person::start("Alice");
    let rooms: Vec<String> = ["old", "new", "away"].iter().map(|name| alice.create_room(name)).collect();
    rooms.iter().for_each(|room| drop(alice.say(room, "something")));
    alice.cli(&["room", "pin", &rooms[0]]).done();
    alice.cli(&["room", "archive", &rooms[2]]).done();
    alice.cli(&["room", "notify", &rooms[1], "mentions"]).done();
    alice.cli(&["room", "mute", &rooms[2]]).done();
    alice.restart();
    let lines = alice.cli(&["room", "list"]).done().lines();
    let names: Vec<_> = lines.iter().filter_map(|line| line["name"].as_str()).collect();
    assert_eq!(names, ["old", "away", "new"], "the pinned one first, then as they were written in");
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap()["attention"].clone();
    assert_eq!(
        (&of("old")["pinned"], &of("away")["archived"], &of("away")["muted"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert_eq!(of("new")["level"], "mentions");
    alice.cli(&["room", "mute", &rooms[2], "--off"]).done();
    alice.cli(&["room", "archive", &rooms[2], "--off"]).done();
    alice.cli(&["room", "pin", &rooms[0], "--off"]).done();
    let lines = alice.cli(&["room", "list"]).done().lines();
    assert_eq!(lines[0]["name"], "away");
    assert_eq!(lines[0]["attention"]["muted"], false);
}

#[test]
fn what_is_hidden_is_not_counted() {
    let (all, room) = together(&["Alice", "Bob", "Eve"]);
    all[1].holds(&room, 0);
    all[0].say(&room, "welcome");
    (1..=3).for_each(|n| drop(all[2].say(&room, &format!("spam {n}"))));
    waits_unread(&all[1], &room, 4);
    all[1].cli(&["contact", "block", "@Eve"]).done();
    waits_unread(&all[1], &room, 1);
    all[1].cli(&["contact", "block", "@Eve", "--undo"]).done();
    waits_unread(&all[1], &room, 4);
    all[0].holds(&room, 4);
    all[0].cli(&["member", "remove", &room, "@Eve", "--purge"]).done();
    waits_unread(&all[1], &room, 1);
    assert_eq!(all[1].cli(&["read", &room]).done().object()["unread"], 0);
}

#[test]
fn mentions_are_counted_apart_and_call_where_nothing_else_does() {
    let (mut all, room) = together(&["Alice", "Bob"]);
    all[1].cli(&["room", "notify", &room, "mentions"]).done();
    let window = all[1].listen_to(None);
    let first = all[0].say(&room, "nobody in particular");
    let second = all[0].say(&room, "@Bob look");
    all[0].cli(&["poll", &room, "Tea?", "yes", "no"]).done();
    // What is said about messages is none.
    all[0].cli(&["react", &room, &first, "👍"]).done();
    all[0].cli(&["edit", &room, &first, "nobody at all"]).done();
    waits_unread(&all[1], &room, 3);
    eventually("the edit is there", || {
        let shown = all[1].cli(&["message", &room, &first]).done().object();
        (shown["text"] == "nobody at all" && shown["reactions"]["👍"].is_array()).then_some(())
    });
    assert_eq!(unread(&all[1], &room), 3);
    assert_eq!(listed(&all[1], &room)["mentions"], 1);
    let told = eventually("it calls", || window.lines().into_iter().find(|line| line["event"] == "notification"));
    assert_eq!(
        (&told["count"], &told["mentions"], told["message"].as_str()),
        (&1.into(), &1.into(), Some(second.as_str()))
    );
    all[1].kill9();
    all[1].run();
    waits_unread(&all[1], &room, 3);
    let status = all[1].cli(&["status"]).done().object();
    assert_eq!((&status["unread"], &status["mentions"]), (&1.into(), &1.into()));
    all[1].cli(&["read", &room, &first]).done();
    let line = listed(&all[1], &room);
    assert_eq!((&line["mentions"], line["first_unread"].as_str()), (&1.into(), Some(second.as_str())));
    all[1].cli(&["read", &room]).done();
    assert_eq!(listed(&all[1], &room)["mentions"], 0);
}

/// A process of this test, ended with it.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A session bus of its own in `folder`, and what is said on it, in a file; nothing if this machine has no such programs.
fn session_bus(folder: &std::path::Path) -> Option<(String, std::path::PathBuf, [Helper; 2])> {
    let (config, socket, said) = (folder.join("bus.conf"), folder.join("bus.socket"), folder.join("bus.said"));
    let address = format!("unix:path={}", socket.display());
    let rules = "<policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>";
    let text = format!("<busconfig><type>session</type><listen>{address}</listen>{rules}</busconfig>");
    std::fs::write(&config, text).unwrap();
    let mut daemon = Command::new("dbus-daemon");
    daemon
        .arg("--nofork")
        .arg(format!("--config-file={}", config.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let daemon = Helper(daemon.spawn().ok()?);
    eventually("the session bus is there", || socket.exists().then_some(()));
    // A line as it comes, not a page.
    let mut monitor = Command::new("stdbuf");
    monitor.args(["-oL", "dbus-monitor", "--address", &address, "interface='org.freedesktop.Notifications'"]);
    monitor.stdout(std::fs::File::create(&said).unwrap()).stderr(Stdio::null());
    let monitor = Helper(monitor.spawn().ok()?);
    // It tells first that it has become a monitor.
    eventually("the bus is watched", || (std::fs::metadata(&said).ok()?.len() > 0).then_some(()));
    Some((address, said, [daemon, monitor]))
}

#[test]
fn the_desktop_is_told_over_its_bus_and_a_desktop_that_shows_nothing_hurts_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let Some((bus, said, _helpers)) = session_bus(folder.path()) else {
        println!("there is no dbus-daemon and dbus-monitor here: not tried");
        return;
    };
    let alice = Person::start("Alice");
    let bob = Person::start_with("Bob", Options { session_bus: Some(bus), ..Options::default() });
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, "the secret");
    let text = eventually("the desktop is told", || {
        let text = std::fs::read_to_string(&said).ok()?;
        text.contains("member=Notify").then_some(text).filter(|text| text.contains("1 new message"))
    });
    assert!(text.contains("\"Parlor\"") && !text.contains("secret") && !text.contains("Alice"), "{text}");
    // Nobody on this bus shows notifications: the node goes on, and the doctor knows.
    let says = |of: &Person| {
        let findings = of.cli(&["doctor"]).done().object()["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().any(|finding| finding["code"] == "no_desktop")
    };
    eventually("the doctor says so", || says(&bob).then_some(()));
    assert!(says(&alice), "where there is no bus he says so at once");
    bob.cli(&["config", "set", "notify", "off"]).done();
    assert!(!says(&bob), "who wants none lacks none");
    bob.say(&room, "still here");
    alice.holds(&room, 2);
}
