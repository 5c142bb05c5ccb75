//! A full, read-only or forbidden disk: said clearly, nothing lost, and working again when there is space.
//!
//! The full disk is a small tmpfs, which needs root; without it those tests say so and pass.

use std::fs;
use std::path::Path;
use std::process::Command;

use parlor_storage::{CommitError, Cursor, OpenError, OpenOptions, Store};

use crate::common::{batch, message, room, try_open, vault};

/// A mounted tmpfs; unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with the reason printed, if this machine does not let us mount one.
    fn mount(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            Ok(output) => {
                println!("skipped, mounting a tmpfs failed: {}", String::from_utf8_lossy(&output.stderr));
                None
            }
            Err(error) => {
                println!("skipped, there is no mount: {error}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Commits messages of 8 KiB from `seq` on until one is refused; the number of the refused one and why.
fn fill(store: &Store, mut seq: u64) -> (u64, CommitError) {
    loop {
        let mut one = batch(1);
        one.message(message(1, 1, seq, seq, 8_000));
        match store.commit_blocking(one) {
            Ok(()) => seq += 1,
            Err(error) => return (seq, error),
        }
    }
}

/// Everything below `end` is there and in order.
fn holds(store: &Store, end: u64) {
    assert_eq!(store.count(&room(1)).unwrap(), end - 1);
    let mut seen = 0;
    let mut cursor = Cursor::Newest;
    loop {
        let page = store.page(&room(1), cursor, 100).unwrap();
        for row in &page.rows {
            assert_eq!(row.row, message(1, 1, end - 1 - seen, end - 1 - seen, 8_000));
            seen += 1;
        }
        match page.rows.last() {
            Some(oldest) => cursor = Cursor::Before(oldest.position),
            None => break,
        }
    }
    assert_eq!(seen, end - 1);
}

#[test]
fn with_a_reserve_a_full_disk_refuses_commits_and_keeps_reading() {
    let Some(disk) = SmallDisk::mount(40) else { return };
    let dir = disk.path().join("store");
    let store = Store::open(&dir, &vault(), OpenOptions { reserve_bytes: 8 << 20 }).unwrap();
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![1; 10 << 20]).unwrap();
    let (refused, error) = fill(&store, 1);
    assert!(matches!(error, CommitError::DiskFull), "{error}");
    holds(&store, refused);
    // Somebody else takes the rest.
    let _ = fs::write(disk.path().join("greedy"), vec![1; 64 << 20]);
    let (again, error) = fill(&store, refused);
    assert!(again == refused && matches!(error, CommitError::DiskFull), "{error}");
    holds(&store, refused);
    fs::remove_file(ballast).unwrap();
    fs::remove_file(disk.path().join("greedy")).unwrap();
    let mut next = batch(1);
    next.message(message(1, 1, refused, refused, 8_000));
    store.commit_blocking(next).unwrap();
    holds(&store, refused + 1);
    store.close();
    holds(&try_open(&dir).unwrap(), refused + 1);
}

#[test]
fn a_disk_that_others_fill_meanwhile_breaks_the_log_and_it_is_opened_again() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let dir = disk.path().join("store");
    let store = Store::open(&dir, &vault(), OpenOptions { reserve_bytes: 4 << 20 }).unwrap();
    let (mut next, mut broken) = (1, 0);
    for _ in 0..4 {
        // Each time somebody else takes everything while commits go on.
        let greedy = disk.path().join("greedy");
        let (refused, error) = std::thread::scope(|scope| {
            scope.spawn(|| drop(fs::write(&greedy, vec![1; 128 << 20])));
            fill(&store, next)
        });
        assert!(matches!(error, CommitError::DiskFull), "{error}");
        broken += u32::from(!dir.join("ballast").exists());
        if store.count(&room(1)).is_err() {
            // The other one took the ballast, too: reading comes back by itself with the space.
            fs::remove_file(&greedy).unwrap();
            while store.count(&room(1)).is_err() {
                std::thread::yield_now();
            }
        }
        // One that failed in the middle may have reached the disk wholly, and is there then.
        next = store.count(&room(1)).unwrap() + 1;
        assert!(next == refused || next == refused + 1, "{next} after {refused}");
        holds(&store, next);
        let _ = fs::remove_file(&greedy);
        let mut one = batch(1);
        one.message(message(1, 1, next, next, 8_000));
        store.commit_blocking(one).unwrap();
        next += 1;
    }
    println!("the log broke {broken} times of 4");
    store.close();
    holds(&try_open(&dir).unwrap(), next);
}

#[test]
fn without_a_reserve_the_log_breaks_and_works_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let dir = disk.path().join("store");
    let store = try_open(&dir).unwrap();
    let ballast = disk.path().join("other");
    fs::write(&ballast, vec![1; 10 << 20]).unwrap();
    let (refused, error) = fill(&store, 1);
    assert!(matches!(error, CommitError::DiskFull), "{error}");
    fs::remove_file(ballast).unwrap();
    // The refused one may have reached the disk wholly: then it is there now and the same again is harmless.
    let mut next = batch(1);
    next.message(message(1, 1, refused, refused, 8_000));
    store.commit_blocking(next).unwrap();
    holds(&store, refused + 1);
    store.close();
    holds(&try_open(&dir).unwrap(), refused + 1);
}

#[test]
fn a_disk_too_full_to_open_says_so_and_opens_later() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let _ = fs::write(disk.path().join("ballast"), vec![1; 64 << 20]);
    let error = try_open(&disk.path().join("store")).unwrap_err();
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error}");
    fs::remove_file(disk.path().join("ballast")).unwrap();
    try_open(&disk.path().join("store")).unwrap().close();
}

#[test]
fn a_read_only_disk_is_named_as_such() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let dir = disk.path().join("store");
    let store = try_open(&dir).unwrap();
    let (end, _) = {
        let mut one = batch(1);
        one.message(message(1, 1, 1, 1, 8_000));
        (2, store.commit_blocking(one).unwrap())
    };
    store.close();
    disk.remount("ro");
    let error = try_open(&dir).unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
    disk.remount("rw");
    holds(&try_open(&dir).unwrap(), end);
}

/// Set for the child that plays another user.
const CHILD: &str = "PARLOR_STORE_FORBIDDEN_DIR";

/// Opens what another user owns. Does nothing unless the test below starts it.
#[test]
fn what_another_user_made_is_refused_to_this_child() {
    if let Some(dir) = std::env::var_os(CHILD) {
        let error = try_open(Path::new(&dir)).unwrap_err();
        assert!(matches!(error, OpenError::Permission { .. }), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn a_forbidden_folder_is_named_as_such() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    /// Nobody: root may open everything, so the child must not be root.
    const NOBODY: u32 = 65_534;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (made, empty) = (dir.path().join("made"), dir.path().join("empty"));
    try_open(&made).unwrap().close();
    fs::create_dir(&empty).unwrap();
    for (home, mode) in [(&made, 0o700), (&empty, 0o555)] {
        fs::set_permissions(home, fs::Permissions::from_mode(mode)).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "disk::what_another_user_made_is_refused_to_this_child"]).env(CHILD, home);
        if fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("Uid:\t0")) {
            child.uid(NOBODY).gid(NOBODY);
        } else if mode == 0o700 {
            continue;
        }
        match child.output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
            Err(error) => println!("skipped, the test binary does not start as another user: {error}"),
        }
    }
}
