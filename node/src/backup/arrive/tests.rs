//! Who is killed at any moment finds a new home or a restored one; what is no backup, or not for this home, changes nothing.

use super::*;

const PARTS: [&str; 5] = ["store", "store.made", "account.key", "config.toml", "account"];

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    home.create().unwrap();
    (dir, home)
}

fn make(home: &Home, name: &str, text: &str) {
    let path = home.dir().join(name);
    if name == "store" {
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("journal"), text).unwrap();
    } else {
        fs::write(path, text).unwrap();
    }
}

fn says(home: &Home, name: &str) -> Option<String> {
    let path = home.dir().join(name);
    fs::read_to_string(if name == "store" { path.join("journal") } else { path }).ok()
}

fn code(done: Result<impl Sized, Problem>) -> Option<Code> {
    done.err().map(|problem| problem.code)
}

/// The first bytes of a real backup, and some more.
fn sealed() -> Vec<u8> {
    use parlor_crypto::backup::Sealer;
    use parlor_crypto::vault::{Stretch, Unlock};
    let (mut sealer, mut bytes) = Sealer::new(
        &mut crate::account::rng(),
        Unlock::Passphrase("correct horse"),
        Stretch { memory_kib: 8, passes: 1, lanes: 1 },
    )
    .unwrap();
    bytes.extend(sealer.seal(&mut crate::account::rng(), b"nothing that a backup says", true));
    bytes
}

#[test]
fn who_is_killed_while_a_restored_home_is_moved_to_its_place_finds_it_whole() {
    for moved in 0..=PARTS.len() {
        let (_dir, home) = home();
        let whole = home.arrived();
        fs::create_dir_all(whole.dir()).unwrap();
        for (number, name) in PARTS.into_iter().enumerate() {
            make(if number < moved { &home } else { &whole }, name, "restored");
        }
        assert!(home.has_account(), "after {moved} parts");
        let _lock = home.lock().unwrap();
        for name in PARTS {
            assert_eq!(says(&home, name).as_deref(), Some("restored"), "{name} after {moved} parts");
        }
        assert!(!home.arriving_dir().exists());
    }
}

#[test]
fn who_is_killed_before_all_was_verified_finds_the_home_as_new_as_before() {
    let (_dir, home) = home();
    let filling = Home::at(home.arriving_dir().join("filling"));
    fs::create_dir_all(filling.dir()).unwrap();
    PARTS.into_iter().for_each(|name| make(&filling, name, "half"));
    fs::write(home.arriving_dir().join("backup"), b"sealed").unwrap();
    assert!(!home.has_account());
    let _lock = home.lock().unwrap();
    let left: Vec<_> = fs::read_dir(home.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[test]
fn an_account_and_settings_that_are_there_are_not_replaced() {
    let (_dir, home) = home();
    make(&home, "config.toml", "mine");
    let whole = home.arrived();
    fs::create_dir_all(whole.dir()).unwrap();
    PARTS.into_iter().for_each(|name| make(&whole, name, "restored"));
    drop(home.lock().unwrap());
    assert_eq!(says(&home, "config.toml").as_deref(), Some("mine"));
    assert_eq!(says(&home, "account").as_deref(), Some("restored"));
    fs::create_dir_all(whole.dir()).unwrap();
    PARTS.into_iter().for_each(|name| make(&whole, name, "another"));
    drop(home.lock().unwrap());
    assert_eq!(says(&home, "account").as_deref(), Some("restored"));
    assert_eq!(code(Taking::begin(&home)), Some(Code::Conflict));
}

#[test]
fn nothing_is_restored_over_a_history_whose_account_is_gone() {
    let (_dir, home) = home();
    make(&home, "store", "mine");
    assert_eq!(code(Taking::begin(&home)), Some(Code::AlreadyExists));
    assert_eq!(says(&home, "store").as_deref(), Some("mine"));
}

#[test]
fn what_is_no_backup_is_refused_by_its_first_bytes_and_what_broke_off_leaves_nothing() {
    let (_dir, home) = home();
    let mut taking = Taking::begin(&home).unwrap();
    assert_eq!(code(taking.write(&[b'x'; HEAD_LEN])), Some(Code::BackupDamaged));
    drop(taking);
    let mut taking = Taking::begin(&home).unwrap();
    taking.write(&sealed()[..HEAD_LEN / 2]).unwrap();
    assert_eq!(code(taking.end()), Some(Code::BackupDamaged));
    assert_eq!(fs::read_dir(home.arriving_dir()).unwrap().count(), 0);
    // In pieces of any length.
    let mut taking = Taking::begin(&home).unwrap();
    sealed().chunks(7).for_each(|piece| taking.write(piece).unwrap());
    let taken = taking.end().unwrap();
    assert!(taken.wants_passphrase);
    assert_eq!(fs::metadata(&taken.path).unwrap().len(), taken.bytes);
}

#[test]
fn who_hung_up_takes_nothing_of_the_next_one_away() {
    let (_dir, home) = home();
    let mut first = Taking::begin(&home).unwrap();
    first.write(&sealed()).unwrap();
    let mut second = Taking::begin(&home).unwrap();
    second.write(&sealed()).unwrap();
    drop(first);
    assert!(fs::metadata(second.end().unwrap().path).is_ok());
}

#[test]
fn a_backup_that_does_not_open_or_is_damaged_leaves_the_home_new_and_stays_taken() {
    let (_dir, home) = home();
    let mut taking = Taking::begin(&home).unwrap();
    taking.write(&sealed()).unwrap();
    let taken = taking.end().unwrap();
    let stop = watch::Sender::new(false);
    let progress = Progress::new(stop.subscribe());
    let restore = |text: &str| {
        let key = BackupKey::Passphrase(zeroize::Zeroizing::new(text.into()));
        code(restore_here(&home, &taken, (&key, &Passphrase::None), &progress))
    };
    for (text, wanted) in [("wrong", Code::WrongPassphrase), ("correct horse", Code::BackupDamaged)] {
        assert_eq!(restore(text), Some(wanted));
        assert!(!home.has_account());
        let left: Vec<_> = fs::read_dir(home.arriving_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, std::slice::from_ref(&taken.path));
    }
    assert!(progress.read() >= HEAD_LEN as u64);
    // A node that stops reads no further.
    stop.send_replace(true);
    assert!(restore("correct horse").is_some());
    assert_eq!(progress.read(), 0);
}
