//! Reading back: pages meet without gap or overlap, from wherever one begins.

use parlor_tests::Person;

/// More than two of the largest pages.
const WRITTEN: usize = 250;

fn ids(alice: &Person, room: &str, more: &[&str]) -> Vec<String> {
    let lines = alice.cli(&[&["history", room], more].concat()).done().lines();
    lines.iter().filter_map(|message| message["message"].as_str().map(str::to_owned)).collect()
}

#[test]
fn pages_meet_without_gap_or_overlap() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    let lines: Vec<String> = (1..=WRITTEN).map(|n| format!("entry {n}")).collect();
    alice.say_lines(&room, &lines).done();
    let all = ids(&alice, &room, &["--limit", "1000"]);
    assert!(all.len() >= WRITTEN);
    assert_eq!(ids(&alice, &room, &[]), all[..50], "newest first, fifty if nothing is said");

    let mut walked: Vec<String> = Vec::new();
    loop {
        let mut more = vec!["--limit", "70"];
        if let Some(last) = walked.last() {
            more.extend(["--before", last]);
        }
        let page = ids(&alice, &room, &more);
        if page.is_empty() {
            break;
        }
        walked.extend(page);
    }
    assert_eq!(walked, all);
    assert_eq!(ids(&alice, &room, &["--after", &all[30], "--limit", "100"]), all[..30]);
    let around = ids(&alice, &room, &["--around", &all[100], "--limit", "21"]);
    assert!(around.contains(&all[100]) && around.len() <= 21 && all.windows(around.len()).any(|page| page == around));
}

#[test]
fn a_room_is_known_by_name_id_and_beginning_of_its_id_until_two_fit() {
    let alice = Person::start("Alice");
    let first = alice.create_room("Reading club");
    alice.say("Reading club", "by name");
    alice.say(&first, "by id");
    alice.say(&first[..12], "by the beginning of the id");
    assert_eq!(alice.texts(&first).len(), 3);
    alice.create_room("Reading club");
    alice.cli(&["send", "Reading club", "to whom?"]).refused(2, "ambiguous");
}

#[test]
fn lines_are_read_with_a_dash_and_without() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.cli_with(&["send", &room, "--lines"], b"one\ntwo\n").done();
    alice.cli_with(&["send", &room, "-", "--lines"], b"three\nfour").done();
    alice.cli_with(&["send", &room, "-"], b"five\nand still five\n").done();
    assert_eq!(alice.texts(&room), ["one", "two", "three", "four", "five\nand still five"]);
}
