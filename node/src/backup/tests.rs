//! Promises about whole backups: what was written is restored.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use parlor_api::{Code, CreateInvite, Problem};
use parlor_crypto::vault::Unlock;
use parlor_proto::RoomId;
use parlor_storage::{Batch, ControlRow, Namespace, OpenOptions, Store};
use zeroize::Zeroizing;

use super::record::Record;
use super::stream::{File, Reader, Writer};
use super::write::{Source, Values, whole, write};
use super::{BackupKey, restore_backup, verify_backup};
use crate::account::Account;
use crate::clock::now_ms;
use crate::services::alone::Alone;
use crate::services::rooms::FORK;
use crate::{Home, Passphrase, init_account};

const WORD: &str = "correct horse";

fn key() -> BackupKey {
    BackupKey::Passphrase(Zeroizing::new(WORD.to_owned()))
}

/// A backup of the home, from this store.
fn backup(account: &Account, store: Store) -> Vec<u8> {
    let source = Source {
        store,
        account: account.identity().entrant().account,
        device: account.identity().device(),
        name: account.name().to_owned(),
        root: account.root_key().to_seed(),
        locked: false,
        config: String::new(),
        now_ms: now_ms(),
    };
    let mut file = File::default();
    write(&source, &key(), &mut file).unwrap();
    file.0
}

fn records(backup: &[u8]) -> Vec<Record> {
    let mut reader = Reader::begin(backup, Unlock::Passphrase(WORD)).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut file = File::default();
    let mut writer = Writer::begin(Unlock::Passphrase(WORD), &mut file).unwrap();
    records.iter().for_each(|record| writer.write(record).unwrap());
    writer.end().unwrap();
    file.0
}

/// A home made of a backup.
fn restored(at: &Path, backup: &[u8]) -> Result<Home, Problem> {
    let home = Home::at(at);
    restore_backup(&home, backup, &key(), &Passphrase::None).map(|_| home)
}

fn opened(home: &Home) -> (Account, Store) {
    let account = Account::open(home, &Passphrase::None).unwrap();
    let store = Store::open(&home.store_dir(), account.vault(), OpenOptions::default()).unwrap();
    (account, store)
}

/// Numbers and orders of the messages of all rooms as they are shown.
fn shown(store: &Store) -> Vec<(u64, u64)> {
    let rooms = store.rooms().unwrap();
    let rows = rooms.iter().flat_map(|(room, _)| store.walk(room, None, 100).unwrap());
    rows.map(|row| (row.row.seq, row.row.order)).collect()
}

/// The backup of somebody whose room shows the second message of a log above the first, as backups once were: in the order in
/// which messages are shown.
async fn crossed() -> Vec<Record> {
    let alone = Alone::new().await;
    alone.write("first").await;
    alone.write("second").await;
    let account = Account::open(&alone.home, &Passphrase::None).unwrap();
    let mut records = records(&backup(&account, alone.app.node.context.store.clone()));
    alone.node.stop().await.unwrap();
    let is_message = |record: &Record| matches!(record, Record::Message(_));
    let first = records.iter().position(is_message).unwrap();
    let Record::Message(said) = &mut records[first] else { panic!("no message") };
    assert_eq!(said.seq, 1);
    // So far ahead, by its clock, that the next one was too far, and came at the time of its arrival.
    said.order += (9 * 60_000) << 16;
    records.swap(first, first + 1);
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_shown_in_another_order_than_their_author_wrote_them_are_restored() {
    let dir = tempfile::tempdir().unwrap();
    let before = written(&crossed().await);
    let (account, store) = opened(&restored(&dir.path().join("one"), &before).unwrap());
    let shows = shown(&store);
    assert_eq!(shows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [2, 1]);
    let again = backup(&account, store.clone());
    store.close();
    for file in [&before, &again] {
        let checked = verify_backup(file.as_slice(), &key()).unwrap();
        assert_eq!((checked.counts.rooms, checked.counts.messages), (1, 2));
    }
    let (_, store) = opened(&restored(&dir.path().join("two"), &again).unwrap());
    assert_eq!(shown(&store), shows);
    let mut numbers = records(&again).into_iter().filter_map(|record| match record {
        Record::Message(said) => Some(said.seq),
        _ => None,
    });
    assert!(numbers.by_ref().is_sorted(), "a log is written in its order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_home_knows_where_members_were_reached() {
    let dir = tempfile::tempdir().unwrap();
    let alone = Alone::new().await;
    let store = alone.app.node.context.store.clone();
    let mut batch = Batch::new(None);
    batch.put(Namespace::Peer, &[7; 32], b"where it was".to_vec());
    store.commit(batch).await.unwrap();
    let account = Account::open(&alone.home, &Passphrase::None).unwrap();
    let file = backup(&account, store);
    alone.node.stop().await.unwrap();
    let (_, store) = opened(&restored(&dir.path().join("one"), &file).unwrap());
    assert!(store.get(None, Namespace::Peer, &[7; 32]).unwrap().is_some());
}

/// A backup that looks, whenever it is read, at what was made of it so far.
struct Watched<'a> {
    from: &'a [u8],
    beside: PathBuf,
    looked: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.looked |= self.beside.join("store").exists();
        assert!(!self.beside.join("account").exists() && !self.beside.join("account.key").exists());
        self.from.read(into)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn up_to_the_last_byte_of_a_backup_nothing_lies_there_that_opens_what_was_restored() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path().join("home"));
    let alone = Alone::new().await;
    let account = Account::open(&alone.home, &Passphrase::None).unwrap();
    let from = backup(&account, alone.app.node.context.store.clone());
    let mut watched = Watched { from: &from, beside: dir.path().join("home.restoring"), looked: false };
    restore_backup(&home, &mut watched, &key(), &Passphrase::None).unwrap();
    assert!(watched.looked);
    opened(&home);
    alone.node.stop().await.unwrap();
}

#[test]
fn where_a_restore_was_broken_off_there_is_no_home_and_none_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::at(dir.path());
    init_account(&home, "alone", &Passphrase::None).unwrap();
    std::fs::write(home.restoring_file(), b"").unwrap();
    assert_eq!(Account::open(&home, &Passphrase::None).err().unwrap().code, Code::NoAccount);
    std::fs::remove_file(home.account_file()).unwrap();
    assert_eq!(init_account(&home, "alone", &Passphrase::None).err().unwrap().code, Code::NoAccount);
    std::fs::remove_file(home.restoring_file()).unwrap();
    init_account(&home, "alone", &Passphrase::None).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_room_that_changes_while_it_is_read_only_what_stands_on_nothing_missed_is_taken() {
    let alone = Alone::new().await;
    for _ in 0..3 {
        alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
    }
    let room: RoomId = alone.room.parse().unwrap();
    let mut control = alone.app.node.context.store.control(&room).unwrap();
    let all = |control: &[ControlRow], values: &Values| -> Vec<bool> {
        let whole = whole(room, values, control).unwrap();
        control.iter().map(|row| whole.contains(row.id.as_bytes().as_slice())).collect()
    };
    assert!(control.len() >= 4 && all(&control, &Vec::new()).iter().all(|it| *it));
    // One device writes one after the other: without one of them none of the later ones stands.
    let missed = control.remove(2);
    let stands = all(&control, &Vec::new());
    assert_eq!((stands.iter().filter(|it| **it).count(), &stands[..2]), (2, [true, true].as_slice()));
    // It may lie beside the log.
    let beside = vec![(Namespace::Meta, vec![([FORK, missed.id.as_bytes()].concat(), missed.bytes)])];
    assert!(all(&control, &beside).iter().all(|it| *it));
    alone.node.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_restored_is_found_without_restoring_it() {
    let is_message = |record: &Record| matches!(record, Record::Message(said) if said.seq == 1);
    let is_genesis = |record: &Record| matches!(record, Record::Control(_));
    let dir = tempfile::tempdir().unwrap();
    for lacks in [is_message as fn(&Record) -> bool, is_genesis] {
        let mut records = crossed().await;
        let lacking = records.remove(records.iter().position(lacks).unwrap());
        let Some(Record::End(counts)) = records.last_mut() else { panic!("no end") };
        // Whoever wrote it believes it.
        match lacking {
            Record::Message(_) => counts.messages -= 1,
            _ => counts.control -= 1,
        }
        let file = written(&records);
        assert_eq!(verify_backup(file.as_slice(), &key()).unwrap_err().code, Code::BackupDamaged);
        assert_eq!(restored(&dir.path().join("home"), &file).unwrap_err().code, Code::BackupDamaged);
    }
}
