//! Nothing on disk says what is stored: no content, no names, no ids, no keys.

use std::fs;
use std::path::Path;

use parlor_crypto::Secret;
use parlor_storage::{Batch, LogKind, Namespace};

use crate::common::{batch, control, device, event_id, message, open, room};

/// Shorter stretches than this may be found by chance; longer ones would be a leak of half an id.
const STRETCH: usize = 12;

#[test]
fn no_file_holds_content_ids_or_keys_in_the_clear() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let text = b"canary text that nobody may read";
    let name = b"canary room name";
    for seq in 1..=50 {
        let mut row = message(1, 1, seq, seq, 300);
        row.bytes[100..100 + text.len()].copy_from_slice(text);
        row.key = (seq % 2 == 0).then(|| Secret::new(row.id.0));
        let mut all = batch(1);
        all.room(name.to_vec()).message(row).control(control(1, 2, seq));
        all.put(Namespace::Leaf, &device(1).0, name.to_vec()).page([0xca; 32], [0xca; 9_000].to_vec());
        store.commit_blocking(all).unwrap();
    }
    let mut all = batch(1);
    all.message_key(event_id(LogKind::Message, 1, 1, 1), Secret::new([0xcb; 32]));
    store.commit_blocking(all).unwrap();
    let mut global = Batch::new(None);
    global.put(Namespace::Peer, &room(2).0, vec![0xcd; 64]);
    store.commit_blocking(global).unwrap();
    store.close();
    open(dir.path()).close();

    let mut canaries = vec![text.to_vec(), name.to_vec(), vec![0xca; 32], vec![0xcb; 32], vec![0xcd; 32]];
    canaries.extend([room(1).0, room(2).0, device(1).0, device(2).0].map(Vec::from));
    for seq in 1..=50 {
        canaries.push(event_id(LogKind::Message, 1, 1, seq).0.to_vec());
        canaries.push(event_id(LogKind::Control, 1, 2, seq).0.to_vec());
    }
    let stretches: std::collections::HashSet<&[u8]> =
        canaries.iter().flat_map(|canary| canary.windows(STRETCH)).collect();
    let mut bytes = 0;
    look_through(dir.path(), &mut |path, content| {
        bytes += content.len();
        let found = content.windows(STRETCH).position(|window| stretches.contains(window));
        assert_eq!(found, None, "a canary in {}", path.display());
    });
    assert!(bytes > 100_000, "the scan looked at nothing");
}

fn look_through(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look_through(&path, look);
        } else {
            look(&path, &fs::read(&path).unwrap());
        }
    }
}
