//! Files killed at any moment: what was kept is whole, what was on its way is gone on with, and nothing else stays.
//!
//! The test starts its own binary as a child that seals files, keeps them, and writes chunks of one on its way, saying each when
//! it is done; kills it with SIGKILL, and looks at what is there.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use parlor_crypto::Secret;
use parlor_crypto::vault::{Stretch, Unlock, Vault};
use parlor_proto::FileId;
use parlor_storage::{Blobs, Held};

use crate::kill::acknowledge;

/// Where the child writes; set only for the child.
const CHILD: &str = "PARLOR_BLOB_KILL_DIR";
/// Kills in all.
const KILLS: u32 = 24;
/// Chunks of a file that is sealed.
const CHUNKS: u32 = 5;
/// Bytes of a chunk here: most are smaller than a whole one.
const LEN: usize = 40_000;
/// The file on its way.
const PART: FileId = FileId([200; 32]);

fn file(n: u64) -> FileId {
    let mut id = [1; 32];
    id[..8].copy_from_slice(&n.to_be_bytes());
    FileId(id)
}

fn chunk(n: u64, slot: u32) -> Vec<u8> {
    (0..LEN).map(|at| (n as usize * 31 + slot as usize * 7 + at / 64) as u8).collect()
}

/// The same vault in every process.
fn open(dir: &Path) -> Blobs {
    let path = dir.join("vault");
    let key = Secret::new([9; 32]);
    let bytes = std::fs::read(&path).unwrap_or_else(|_| {
        let vault = Vault::generate(&mut rand::rng());
        let stretch = Stretch { memory_kib: 64, passes: 1, lanes: 1 };
        let bytes = vault.lock(&mut rand::rng(), Unlock::KeyFile(&key), stretch).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        bytes
    });
    Blobs::open(&dir.join("blobs"), &Vault::unlock(&bytes, Unlock::KeyFile(&key)).unwrap()).unwrap()
}

/// Seals files and writes chunks until killed. Not a test of its own: it does nothing unless the test below starts it.
#[test]
fn the_child_seals_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let blobs = open(Path::new(&dir));
    let first = (1..).find(|n| blobs.held(&file(*n)) == Held::Nothing).unwrap();
    for n in first.. {
        let mut blob = blobs.create().unwrap();
        for slot in 0..CHUNKS {
            blob.write(slot, &chunk(n, slot)).unwrap();
        }
        blob.keep(&file(n)).unwrap();
        acknowledge("kept", n);
        let mut part = blobs.part(&PART).unwrap();
        part.write(n as u32, &chunk(200, n as u32)).unwrap();
        acknowledge("part", n);
    }
}

#[test]
fn what_was_kept_is_whole_and_what_was_on_its_way_is_gone_on_with_after_any_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, mut parts) = (BTreeSet::new(), BTreeSet::new());
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "blobs::the_child_seals_until_it_is_killed", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // After so many words, which is anywhere between two of them.
        let words = 1 + kill % 7;
        let mut heard = 0;
        let mut note = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|word| !word.ends_with("ack")).skip(1);
            let (Some(what), Some(Ok(n))) = (words.next(), words.next().map(str::parse::<u64>)) else { return false };
            if what == "kept" { kept.insert(n) } else { parts.insert(n) }
        };
        while heard < words {
            heard += u32::from(note(&lines.next().unwrap().unwrap()));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        lines.map_while(Result::ok).for_each(|line| _ = note(&line));
        let blobs = open(dir.path());
        for n in &kept {
            assert_eq!(blobs.held(&file(*n)), Held::Whole, "file {n} after kill {kill}");
            assert!((0..CHUNKS).all(|slot| blobs.read(&file(*n), slot, LEN).unwrap() == chunk(*n, slot)));
        }
        for n in &parts {
            assert!(blobs.read(&PART, *n as u32, LEN).unwrap() == chunk(200, *n as u32), "chunk {n} after kill {kill}");
        }
        let left = std::fs::read_dir(dir.path().join("blobs/new")).unwrap().count();
        assert_eq!(left, 0, "what was being sealed is gone");
    }
    assert!(kept.len() >= KILLS as usize / 2 && !parts.is_empty());
}
