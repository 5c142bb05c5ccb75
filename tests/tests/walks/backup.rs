//! A home in one sealed file, and what comes of it on another machine.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use parlor_tests::{Answer, Canaries, Options, Person, Relay, each_file, eventually, program};

/// A passphrase in a file.
fn secret(person: &Person, name: &str, text: &str) -> PathBuf {
    let path = person.scratch().join(name);
    std::fs::write(&path, format!("{text}\n")).unwrap();
    path
}

fn create(person: &Person, file: &Path, passphrase: &Path) -> Answer {
    person.cli(&[
        "backup".as_ref(),
        "create".as_ref(),
        file.as_os_str(),
        "--passphrase-file".as_ref(),
        passphrase.as_os_str(),
    ])
}

fn restore(person: &Person, file: &Path, passphrase: &Path) -> Answer {
    person.cli(&[
        "backup".as_ref(),
        "restore".as_ref(),
        file.as_os_str(),
        "--passphrase-file".as_ref(),
        passphrase.as_os_str(),
    ])
}

/// Two people with a room and a direct chat between them, who verified each other.
fn two(options: impl Fn() -> Options) -> ([Person; 2], String, String) {
    let people = ["Alice", "Bob"].map(|name| Person::start_with(name, options()));
    let [alice, bob] = &people;
    bob.cli(&["contact", "add", &alice.card()]).done();
    alice.cli(&["contact", "add", &bob.card(), "--name", "Bobby"]).done();
    alice.sees_contact("Bob", "contact");
    alice.cli(&["contact", "verify", "@Bobby", "--yes"]).done();
    let chat = alice.cli(&["dm", "@Bobby", "just us"]).done().text("room");
    bob.holds(&chat, 1);
    let room = alice.create_room("Reading club");
    bob.join(&alice.invite(&room, &[]));
    (people, room, chat)
}

#[test]
fn a_restored_home_is_a_new_device_with_all_that_was_known_and_goes_on_beside_the_old_one() {
    let ([mut alice, bob], room, chat) = two(Options::default);
    let first = alice.say(&room, "the book is by Zamyatin");
    let edited = bob.say(&room, "I like it");
    alice.holds(&room, 2);
    bob.cli(&["edit", &room, &edited, "I love it"]).done();
    bob.cli(&["react", &room, &first, "👍"]).done();
    eventually("Alice sees what was said about it", || {
        (alice.texts(&room) == ["the book is by Zamyatin", "I love it"]).then_some(())
    });
    alice.cli(&["profile", "set", "about", "Reads old books."]).done();
    alice.cli(&["profile", "set", "last-seen", "--visible", "nobody"]).done();
    let profile = alice.cli(&["profile", "show"]).done().object();
    let (file, word) = (alice.scratch().join("alice.backup"), secret(&alice, "word", "correct horse"));
    create(&alice, &file, &word).done();
    create(&alice, &file, &word).refused(1, "already_exists");
    let mut canaries = Canaries::of(&["Zamyatin", "Reading club", "Bobby"]);
    canaries.person(&alice);
    assert_eq!(
        canaries.in_bytes(&std::fs::read(&file).unwrap()),
        Vec::<&str>::new(),
        "nothing stands there in the clear"
    );

    let mut other = Person::new("Alice", Options::default());
    let restored = restore(&other, &file, &word).done();
    let device = alice.cli(&["status"]).done().text("device");
    assert_eq!(restored.text("from_device"), device);
    assert_ne!(restored.text("device"), device, "it is a new device");
    restore(&other, &file, &word).refused(1, "already_exists");
    assert!(restored.text("made_at").as_str() > "2020", "it is told how old it is");
    other.run();
    eventually("what the old device shows to whom goes on", || {
        (other.cli(&["profile", "show"]).done().object() == profile).then_some(())
    });
    assert_eq!(other.texts(&room), ["the book is by Zamyatin", "I love it"]);
    assert_eq!(other.texts(&chat), ["just us"]);
    let shown = other.cli(&["message", &room, &first]).done().object();
    assert_eq!(shown["reactions"]["👍"].as_array().map(Vec::len), Some(1), "{shown}");
    let kept = other.contact("Bob").unwrap();
    assert_eq!(
        (kept["name"].as_str(), kept["verified"].as_bool(), kept["state"].as_str()),
        (Some("Bobby"), Some(true), Some("contact"))
    );
    // The same member comes back by itself, and both devices of Alice go on.
    other.say(&room, "from the new one");
    assert_eq!(bob.holds(&room, 3)[2].author, "Alice");
    alice.holds(&room, 3);
    alice.say(&room, "from the old one");
    bob.say(&room, "I see both");
    for person in [&alice, &bob, &other] {
        let texts = person.holds(&room, 5);
        assert_eq!(texts[2].text, "from the new one");
        assert_eq!(person.cli(&["members", &room]).done().lines().len(), 2, "there is one Alice");
    }
    other.cli(&["dm", "@Bobby", "and here"]).done();
    bob.holds(&chat, 2);
    // The old one is lost: it is put out, and nothing of what it wrote is.
    alice.kill9();
    other.cli(&["device", "revoke", &device]).done();
    other.restart();
    bob.say(&room, "without it");
    assert_eq!(other.holds(&room, 6)[5].text, "without it");
    let status = other.cli(&["status"]).done().object();
    assert_eq!(status["warnings"].as_array().map(Vec::len), Some(0), "nothing says it was copied: {status}");
}

#[test]
fn what_was_written_since_the_backup_comes_also_if_somebody_was_out_for_it_who_is_back() {
    let ([alice, bob], room, _) = two(Options::default);
    let cem = Person::start("Cem");
    cem.join(&alice.invite(&room, &[]));
    alice.say(&room, "before");
    [&bob, &cem].into_iter().for_each(|person| drop(person.holds(&room, 1)));
    let (file, word) = (bob.scratch().join("bob.backup"), secret(&bob, "word", "correct horse"));
    create(&bob, &file, &word).done();
    alice.cli(&["member", "remove", &room, "@Cem"]).done();
    alice.say(&room, "between");
    alice.cli(&["member", "role", &room, "@Cem", "member"]).done();
    alice.say(&room, "after");
    bob.holds(&room, 3);
    let mut other = Person::new("Bob", Options::default());
    restore(&other, &file, &word).done();
    other.run();
    let texts: Vec<String> = other.holds(&room, 3).into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["before", "between", "after"]);
}

#[test]
fn who_restores_while_nobody_is_online_writes_and_is_read_later() {
    let relay = Relay::start();
    let ([mut alice, mut bob], room, _) = two(|| Relay::used(&[&relay]));
    alice.say(&room, "before");
    bob.holds(&room, 1);
    alice.all_is_put(&room, 1);
    let (file, word) = (alice.scratch().join("alice.backup"), secret(&alice, "word", "correct horse"));
    create(&alice, &file, &word).done();
    alice.kill9();
    bob.stop();

    let mut other = Person::new("Alice", Relay::used(&[&relay]));
    restore(&other, &file, &word).done();
    other.run();
    assert_eq!(other.texts(&room), ["before"]);
    other.say(&room, "all alone");
    other.all_is_put(&room, 1);
    other.kill9();

    bob.run();
    let read = bob.holds(&room, 2);
    assert_eq!((read[1].text.as_str(), read[1].author.as_str()), ("all alone", "Alice"));
    bob.say(&room, "welcome back");
    bob.all_is_put(&room, 1);
    bob.stop();
    other.run();
    assert_eq!(other.holds(&room, 3)[2].text, "welcome back");
}

#[test]
fn a_backup_that_is_not_whole_or_opened_wrongly_makes_no_home_and_says_why() {
    let alice = Person::start("Alice");
    let room = alice.create_room("diary");
    alice.say_lines(&room, &(0..40).map(|n| format!("{n} {}", "x".repeat(4_000))).collect::<Vec<_>>()).done();
    let (file, word) = (alice.scratch().join("alice.backup"), secret(&alice, "word", "correct horse"));
    create(&alice, &file, &word).done();
    let whole = std::fs::read(&file).unwrap();
    assert!(whole.len() > 130_000, "several frames");
    let other = Person::new("Alice", Options::default());
    let wrong = secret(&other, "wrong", "correct house");
    restore(&other, &file, &wrong).refused(1, "wrong_passphrase");
    let missing = other.scratch().join("missing");
    restore(&other, &missing, &word).refused(5, "not_found");
    let broken = other.scratch().join("broken");
    let (middle, end) = (whole.len() / 2, whole.len());
    type Change = Box<dyn Fn(&mut Vec<u8>)>;
    let changes: [(&str, Change); 6] = [
        ("cut short", Box::new(move |bytes| bytes.truncate(end - 1))),
        ("cut in the middle", Box::new(move |bytes| bytes.truncate(middle))),
        ("a bit in the middle", Box::new(move |bytes| bytes[middle] ^= 1)),
        ("a bit at the end", Box::new(move |bytes| bytes[end - 1] ^= 1)),
        ("longer", Box::new(|bytes| bytes.push(0))),
        ("something else", Box::new(|bytes| bytes[0] ^= 1)),
    ];
    for (what, change) in changes {
        let mut bytes = whole.clone();
        change(&mut bytes);
        std::fs::write(&broken, bytes).unwrap();
        let refused = restore(&other, &broken, &word);
        refused.refused(1, "backup_damaged");
        assert!(!other.home().exists(), "{what}: there is no half home");
    }
    let verified = |file: &Path| {
        let (file, word) = (file.to_string_lossy(), word.to_string_lossy());
        other.cli(&["backup", "verify", &*file, "--passphrase-file", &*word])
    };
    verified(&broken).refused(1, "backup_damaged");
    assert_eq!(verified(&file).done().object()["messages"], 40);
    let left: Vec<_> = std::fs::read_dir(other.scratch()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "nothing is left lying about: {left:?}");
    restore(&other, &file, &word).done();
    other.cli(&["backup", "create", "/nowhere"]).refused(3, "no_node");
}

#[test]
fn the_recovery_phrase_opens_a_backup_and_a_locked_home_stays_locked() {
    let mut alice = Person::new("Alice", Options::default());
    let lock = secret(&alice, "lock", "correct horse");
    alice.options().passphrase_file = Some(lock.clone());
    let made =
        alice.cli(&["init", "--name", "Alice", "--show-recovery", "--passphrase-file", &lock.to_string_lossy()]).done();
    let phrase = secret(&alice, "phrase", &made.text("recovery_phrase"));
    alice.run();
    let room = alice.create_room("diary");
    alice.say(&room, "dear diary");
    let file = alice.scratch().join("alice.backup");
    let args = |file: &Path, key: &Path| {
        ["create".to_owned(), file.display().to_string(), "--recovery-file".into(), key.display().to_string()]
    };
    let backup = |args: &[String]| alice.cli(&[&["backup".to_owned()], args].concat());
    backup(&args(&file, &lock)).refused(2, "bad_request");
    backup(&args(&file, &phrase)).done();
    let other = Person::new("Alice", Options::default());
    let restore = |more: &[&str]| {
        let (file, phrase) = (file.to_string_lossy(), phrase.to_string_lossy());
        other.cli(&[&["backup", "restore", &*file, "--recovery-file", &*phrase], more].concat())
    };
    restore(&[]).refused(1, "passphrase_needed");
    restore(&["--home-passphrase-file", &lock.to_string_lossy()]).done();
    other.run_to_end().refused(1, "passphrase_needed");
    let mut other = other;
    other.options().passphrase_file = Some(lock);
    other.run();
    assert_eq!(other.texts(&room), ["dear diary"]);
    let canaries = Canaries::of(&["dear diary"]);
    each_file(&other.home(), &mut |path, bytes| {
        assert!(canaries.in_bytes(bytes).is_empty(), "{} holds the text in the clear", path.display());
    });
}

#[cfg(unix)]
#[test]
fn of_a_restore_that_is_stopped_nothing_is_left_and_of_one_that_is_killed_nothing_that_opens() {
    let alice = Person::start("Alice");
    let room = alice.create_room("diary");
    alice.say_lines(&room, &(0..80).map(|n| format!("{n} {}", "x".repeat(4_000))).collect::<Vec<_>>()).done();
    let (file, word) = (alice.scratch().join("alice.backup"), secret(&alice, "word", "correct horse"));
    create(&alice, &file, &word).done();
    let whole = std::fs::read(&file).unwrap();
    let (before, rest) = whole.split_at(whole.len() / 2);

    let other = Person::new("Alice", Options::default());
    let (pipe, beside) = (other.scratch().join("pipe"), other.home().with_extension("restoring"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (signal, left) in [("KILL", true), ("TERM", false)] {
        let mut command = Command::new(program());
        command.arg("--home").arg(other.home()).args(["backup", "restore"]).arg(&pipe);
        command.arg("--passphrase-file").arg(&word).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut restoring = command.spawn().unwrap();
        // Opens when the other side does.
        let mut to = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        to.write_all(before).unwrap();
        eventually("it is on its way", || beside.join("store").exists().then_some(()));
        assert!(!beside.join("account").exists() && !beside.join("account.key").exists());
        assert!(Command::new("kill").args(["-s", signal, &restoring.id().to_string()]).status().unwrap().success());
        // Until nobody reads any more.
        let told = rest.iter().take_while(|byte| to.write_all(&[**byte]).is_ok()).count();
        assert!(told < rest.len());
        assert!(!restoring.wait().unwrap().success());
        assert_eq!((beside.exists(), other.home().exists()), (left, false));
        assert!(!beside.join("account").exists() && !beside.join("account.key").exists());
    }
    restore(&other, &file, &word).done();
    assert!(!beside.exists());
}
