//! Bad input: each has a clear message with a hint, the right exit code, and loses nothing.

use std::net::TcpListener;
use std::path::PathBuf;

use parlor_tests::{Options, Person};

/// As much as an event may hold; a text of this size has no room for anything around it.
const TOO_LONG: usize = 24 * 1024;

/// Far more than anything may hold.
const FAR_TOO_LONG: usize = 10 * 1024 * 1024;

#[test]
fn what_can_not_be_sent_is_refused_and_what_was_sent_stays() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "Kept");
    alice.cli(&["send", "nosuchroom", "Hello"]).refused(5, "room_not_found");
    alice.cli(&["history", "nosuchroom"]).refused(5, "room_not_found");
    alice.cli(&["send", &room, ""]).refused(2, "empty_text");
    alice.cli_with(&["send", &room, "-"], b"").refused(2, "empty_text");
    alice.cli(&["send", &room, &"x".repeat(TOO_LONG)]).refused(2, "too_long");
    alice.cli_with(&["send", &room, "-"], &vec![b'x'; TOO_LONG]).refused(2, "too_long");
    alice.cli_with(&["send", &room, "-"], &vec![b'x'; FAR_TOO_LONG]).refused(2, "too_long");
    alice.cli_with(&["send", &room, "-"], b"caf\xe9").refused(2, "not_utf8");
    alice.cli_with(&["send", &room, "--lines"], b"caf\xe9\n").refused(2, "not_utf8");
    alice.cli(&["history", &room, "--before", &"0".repeat(64)]).refused(5, "message_not_found");
    alice.cli(&["history", &room, "--before", "yesterday"]).refused(2, "bad_request");
    assert_eq!(alice.texts(&room), ["Kept"]);
    alice.say(&room, "Still works");
    assert_eq!(alice.texts(&room), ["Kept", "Still works"]);
}

#[test]
fn a_reply_names_a_message_of_the_room_and_a_picture_a_folder_that_is_there() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "First");
    alice.cli(&["send", &room, "Yes", "--reply-to", &"0".repeat(64)]).refused(5, "message_not_found");
    let first = alice.history(&room)[0].id.clone();
    alice.cli(&["send", &room, "Yes", "--reply-to", &first]).done();
    assert_eq!(alice.texts(&room), ["First", "Yes"]);
    let nowhere = alice.home().join("nowhere").join("invite.png");
    alice.cli(&["invite", "create", &room, "--png", &nowhere.to_string_lossy()]).refused(5, "not_found");
    assert!(alice.cli(&["invite", "list", &room]).done().lines().is_empty(), "no invite was made");
}

#[test]
fn a_text_just_short_enough_is_sent_whole() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    let text = "ä€😀".repeat(1_000);
    let sent = alice.cli_with(&["send", &room, "-", "--wait", "none"], text.as_bytes()).done();
    let history = alice.history(&room);
    assert_eq!((history[0].id.clone(), history[0].text.clone()), (sent.text("message"), text));
}

#[test]
fn wrong_usage_is_said_to_be_wrong_usage() {
    let alice = Person::start("Alice");
    for args in [&["nosuchcommand"][..], &["send"], &["history", "x", "--limit", "many"], &["room"]] {
        assert_eq!(alice.cli(args).code, 2, "{args:?}");
    }
}

#[test]
fn commands_without_a_node_say_so() {
    let alice = Person::new("Alice", Options::default());
    alice.cli(&["status"]).refused(3, "no_node");
    alice.init().done();
    for args in [&["status"][..], &["send", "Diary", "Hello"], &["room", "list"], &["stop"]] {
        alice.cli(args).refused(3, "no_node");
    }
}

#[test]
fn an_account_is_not_made_twice() {
    let alice = Person::new("Alice", Options::default());
    let first = alice.init().done().text("account");
    alice.init().refused(1, "already_exists");
    let mut alice = alice;
    alice.run();
    assert_eq!(alice.cli(&["status"]).done().text("account"), first);
}

#[test]
fn a_second_node_on_the_same_home_is_refused_and_the_first_goes_on() {
    let alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    let second = Person::new("Alice", Options { home: Some(alice.home()), ..Options::default() });
    second.run_to_end().refused(1, "home_locked");
    alice.say(&room, "Still here");
    assert_eq!(alice.texts(&room), ["Still here"]);
}

#[test]
fn a_port_in_use_is_named_and_the_next_start_works() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run_args = vec!["--api".to_owned(), address.clone()];
    let mut alice = Person::new("Alice", Options { run_args, ..Options::default() });
    alice.init().done();
    alice.run_to_end().refused(1, "port_in_use");
    alice.options().run_args =
        vec!["--listen".into(), format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port())];
    alice.run_to_end().refused(1, "port_in_use");
    alice.options().run_args.clear();
    alice.run();
    alice.cli(&["status"]).done();
}

#[test]
fn a_home_that_is_no_folder_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("home");
    std::fs::write(&home, "a letter").unwrap();
    let alice = Person::new("Alice", Options { home: Some(home.clone()), ..Options::default() });
    alice.init().refused(1, "home_denied");
    alice.run_to_end().refused(1, "home_denied");
    assert_eq!(std::fs::read_to_string(&home).unwrap(), "a letter", "nothing is overwritten");
}

#[test]
fn a_wrong_passphrase_opens_nothing_and_harms_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let right = file("right", "correct horse battery staple\n");
    let mut alice = Person::start_with("Alice", Options { passphrase_file: Some(right.clone()), ..Options::default() });
    let room = alice.create_room("Diary");
    alice.say(&room, "Secret");
    alice.stop();
    alice.options().passphrase_file = Some(file("wrong", "incorrect horse\n"));
    alice.run_to_end().refused(1, "wrong_passphrase");
    alice.options().passphrase_file = None;
    alice.run_to_end().refused(1, "passphrase_needed");
    alice.options().passphrase_file = Some(right);
    alice.run();
    assert_eq!(alice.texts(&room), ["Secret"]);
}

#[test]
fn a_damaged_key_file_is_named_and_no_passphrase_is_blamed() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "Secret");
    alice.stop();
    let path = alice.home().join("account.key");
    let key = std::fs::read(&path).unwrap();
    let mut damaged = key.clone();
    damaged[5] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    alice.run_to_end().refused(1, "home_damaged");
    assert_eq!(std::fs::read(&path).unwrap(), damaged, "nothing is overwritten");
    std::fs::write(&path, &key).unwrap();
    alice.run();
    assert_eq!(alice.texts(&room), ["Secret"]);
}

#[test]
fn an_account_that_is_gone_is_not_made_anew_over_what_it_opens() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "Secret");
    alice.stop();
    let (account, kept) = (alice.home().join("account"), alice.scratch().join("kept"));
    let key = std::fs::read(alice.home().join("account.key")).unwrap();
    std::fs::rename(&account, &kept).unwrap();
    alice.run_to_end().refused(1, "home_damaged");
    alice.cli(&["init", "--name", "New"]).refused(1, "home_damaged");
    assert!(!account.exists(), "nothing is put in its place");
    assert_eq!(std::fs::read(alice.home().join("account.key")).unwrap(), key, "nor over its key");
    std::fs::rename(&kept, &account).unwrap();
    alice.run();
    assert_eq!(alice.texts(&room), ["Secret"]);
}

#[test]
fn a_history_that_is_gone_is_not_begun_anew_without_a_word() {
    let mut alice = Person::start("Alice");
    let room = alice.create_room("Diary");
    alice.say(&room, "Secret");
    alice.stop();
    let (store, kept) = (alice.home().join("store"), alice.scratch().join("kept"));
    std::fs::rename(&store, &kept).unwrap();
    alice.run_to_end().refused(1, "home_damaged");
    assert!(!store.exists(), "nothing is put in its place");
    std::fs::rename(&kept, &store).unwrap();
    alice.run();
    assert_eq!(alice.texts(&room), ["Secret"]);
}

/// Needs the right to mount: as root on Linux.
#[cfg(target_os = "linux")]
mod disks {
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use parlor_tests::{Options, Person, left_out};

    /// A small disk in memory, unmounted when dropped.
    struct Disk(PathBuf);

    impl Disk {
        /// Nothing if this process may not mount.
        fn new(at: &Path, options: &str) -> Option<Self> {
            std::fs::create_dir_all(at).unwrap();
            mount(at, options).then(|| Self(at.to_owned()))
        }
    }

    impl Drop for Disk {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
        }
    }

    fn mount(at: &Path, options: &str) -> bool {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).status();
        status.is_ok_and(|status| status.success())
    }

    #[test]
    fn a_home_that_can_not_be_written_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::new(&scratch.path().join("disk"), "ro") else {
            return left_out("a disk of its own", "this process may not mount");
        };
        let alice = Person::new("Alice", Options { home: Some(disk.0.join("home")), ..Options::default() });
        alice.init().refused(1, "home_denied");
        alice.run_to_end().refused(5, "no_account");
        assert!(mount(&disk.0, "remount,rw"));
        alice.init().done();
        assert!(mount(&disk.0, "remount,ro"));
        alice.run_to_end().refused(1, "home_denied");
    }

    #[test]
    fn a_full_disk_is_named_and_what_was_acknowledged_is_there_afterwards() {
        let scratch = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::new(&scratch.path().join("disk"), "size=96m") else {
            return left_out("a disk of its own", "this process may not mount");
        };
        let mut alice = Person::start_with("Alice", Options { home: Some(disk.0.join("home")), ..Options::default() });
        let room = alice.create_room("Diary");
        let before = alice.say(&room, "Before");
        fill(&disk.0.join("ballast"));
        let lines: Vec<String> = (0..2_000).map(|n| format!("{n} {}", "x".repeat(8_000))).collect();
        let answer = alice.say_lines(&room, &lines);
        answer.refused(1, "disk_full");
        let acknowledged: Vec<String> =
            answer.lines().iter().map(|line| line["message"].as_str().unwrap().into()).collect();
        assert!(acknowledged.len() < lines.len());

        std::fs::remove_file(disk.0.join("ballast")).unwrap();
        alice.kill9();
        alice.run();
        let held: Vec<String> = alice.history(&room).into_iter().map(|message| message.id).collect();
        assert!(held.contains(&before));
        for id in &acknowledged {
            assert!(held.contains(id), "acknowledged and lost");
        }
        alice.say(&room, "After");
    }

    #[test]
    fn a_room_for_which_the_disk_has_no_place_is_refused_and_the_node_goes_on() {
        let scratch = tempfile::tempdir().unwrap();
        let Some(disk) = Disk::new(&scratch.path().join("disk"), "size=96m") else {
            return left_out("a disk of its own", "this process may not mount");
        };
        let mut alice = Person::start_with("Alice", Options { home: Some(disk.0.join("home")), ..Options::default() });
        fill(&disk.0.join("ballast"));
        alice.cli(&["room", "create", "Diary"]).refused(1, "disk_full");
        std::fs::remove_file(disk.0.join("ballast")).unwrap();
        let room = alice.create_room("Garden");
        alice.say(&room, "After");
        alice.restart();
        assert_eq!(alice.texts(&room), ["After"]);
        assert_eq!(alice.cli(&["room", "list"]).done().lines().len(), 1, "nothing is left of the other");
    }

    /// Takes all that is free but about two megabytes.
    fn fill(path: &Path) {
        let mut file = std::fs::File::create(path).unwrap();
        let block = vec![0u8; 64 << 10];
        while file.write_all(&block).is_ok() {}
        let full = file.metadata().unwrap().len();
        file.set_len(full.saturating_sub(2 << 20)).unwrap();
    }
}
