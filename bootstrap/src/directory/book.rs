//! The owner of the names. Rules are in `proto`; here they meet what is stored.
//!
//! Rows, in the namespaces of the relay's store (keys are hashes, since names are longer than keys may be):
//!
//! | namespace | key | value |
//! |---|---|---|
//! | `Name` | `H(name)` | name, account, since: what the operator lists |
//! | `Record` | `n`, `H(name)` | the countersigned record, or who gave the name up and when |
//! | `Record` | `l`, `H(look)` | the name that looks so |
//! | `Record` | `a`, account | the account's names |
//! | `Record` | `#` | how many names there are |

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parlor_crypto::hash::Domain;
use parlor_crypto::{SigningKey, domain};
use parlor_proto::codec;
use parlor_proto::directory::{Known, Refusal, decide, may_go};
use parlor_proto::ids::AccountId;
use parlor_proto::name::{Handover, Held, MAX_HELD, Name, NameRecord};
use parlor_storage::{Batch, Namespace, ReadError, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::limits;

static NAME: Domain = domain!("directory name");
static LOOK: Domain = domain!("directory look");

const COUNT: &[u8] = b"#";

/// A handle to the directory. Clones are the same one; it ends with the last.
#[derive(Debug, Clone)]
pub struct Book {
    asks: mpsc::Sender<Ask>,
    pages: Pages,
    count: Arc<AtomicU64>,
}

/// Why the directory could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// No, by the rules.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The disk can not be read or written; nothing changed, or it is not known.
    #[error("the names can not be read or written: {0}")]
    Store(String),
}

/// A name, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The name.
    pub name: Name,
    /// Who has it.
    pub account: AccountId,
    /// Since when, milliseconds since the epoch.
    pub since_ms: u64,
}

/// What is stored of a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "made one at a time and encoded at once")]
enum Row {
    Held(Held),
    Released { account: AccountId, ts_ms: u64 },
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a short queue")]
enum Ask {
    Claim(NameRecord, Option<Handover>, u64, oneshot::Sender<Result<Held, BookError>>),
    Release(Handover, u64, oneshot::Sender<Result<bool, BookError>>),
    Remove(Name, oneshot::Sender<Result<bool, BookError>>),
}

/// The rows.
#[derive(Debug, Clone)]
struct Pages(Store);

/// Who decides and writes.
struct Clerk {
    pages: Pages,
    relay: SigningKey,
    key: [u8; 32],
    max: u64,
    count: Arc<AtomicU64>,
}

impl Book {
    /// The directory in this store, countersigned with the relay's transport key; at most `max` names. Blocks.
    ///
    /// # Errors
    /// The store can not be read, or the thread not be started.
    pub fn open(store: Store, relay: SigningKey, max: u64) -> Result<Self, BookError> {
        let pages = Pages(store);
        let stored: u64 = pages.read(Namespace::Record, COUNT, 16)?.unwrap_or(0);
        let count = Arc::new(AtomicU64::new(stored));
        let (asks, inbox) = mpsc::channel(limits::BOOK_QUEUE);
        let key = relay.public_bytes();
        let clerk = Clerk { pages: pages.clone(), relay, key, max, count: count.clone() };
        let thread = std::thread::Builder::new().name("directory".to_owned());
        thread.spawn(move || clerk.work(inbox)).map_err(|e| BookError::Store(e.to_string()))?;
        Ok(Self { asks, pages, count })
    }

    /// Claims a name, or changes its card. What is answered is durable.
    ///
    /// # Errors
    /// [`Refusal::Later`] when too many claims wait; else see [`decide`].
    ///
    /// # Cancel safety
    /// Dropped, it may have happened.
    pub async fn claim(&self, record: NameRecord, handover: Option<Handover>, now_ms: u64) -> Result<Held, BookError> {
        self.ask(|answer| Ask::Claim(record, handover, now_ms, answer)).await
    }

    /// Gives a name up, by the word of its account; whether it was held.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub async fn release(&self, handover: Handover, now_ms: u64) -> Result<bool, BookError> {
        self.ask(|answer| Ask::Release(handover, now_ms, answer)).await
    }

    /// Takes a name out, by the operator's word; whether it was held.
    ///
    /// # Errors
    /// [`BookError::Store`].
    pub async fn remove(&self, name: Name) -> Result<bool, BookError> {
        self.ask(|answer| Ask::Remove(name, answer)).await
    }

    /// Who holds a name.
    ///
    /// # Errors
    /// [`BookError::Store`].
    pub async fn lookup(&self, name: Name) -> Result<Option<Held>, BookError> {
        let pages = self.pages.clone();
        let row = tokio::task::spawn_blocking(move || pages.row(&name)).await;
        match row.map_err(|e| BookError::Store(e.to_string()))?? {
            Some(Row::Held(held)) => Ok(Some(held)),
            _ => Ok(None),
        }
    }

    /// Names after `after` in their order, at most `limit`. Reads all of them: for the operator.
    ///
    /// # Errors
    /// [`BookError::Store`].
    pub async fn list(&self, after: Option<String>, limit: usize) -> Result<Vec<Listed>, BookError> {
        let pages = self.pages.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let rows = pages.0.scan(None, Namespace::Name, &[]).map_err(store)?;
            let decoded = rows.iter().filter_map(|(_, value)| codec::decode::<Listed>(value, 512).ok());
            let mut names: Vec<_> =
                decoded.filter(|it| after.as_deref().is_none_or(|after| it.name.as_str() > after)).collect();
            names.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            names.truncate(limit);
            Ok(names)
        });
        listed.await.map_err(|e| BookError::Store(e.to_string()))?
    }

    /// How many names are held.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<Result<T, BookError>>) -> Ask) -> Result<T, BookError> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(ask(answer)).map_err(|_| Refusal::Later)?;
        answered.await.map_err(|_| BookError::Store("the directory has stopped".to_owned()))?
    }
}

impl Clerk {
    fn work(self, mut inbox: mpsc::Receiver<Ask>) {
        while let Some(ask) = inbox.blocking_recv() {
            // Whoever asked may be gone; what was written stays.
            match ask {
                Ask::Claim(record, handover, now_ms, answer) => {
                    let _ = answer.send(self.claim(record, handover.as_ref(), now_ms));
                }
                Ask::Release(handover, now_ms, answer) => {
                    let _ = answer.send(self.release(&handover, now_ms));
                }
                Ask::Remove(name, answer) => {
                    let _ = answer.send(self.remove(&name));
                }
            }
        }
    }

    fn claim(&self, record: NameRecord, handover: Option<&Handover>, now_ms: u64) -> Result<Held, BookError> {
        let (pages, account) = (&self.pages, record.account());
        let row = pages.row(&record.name)?;
        let (held, released) = match &row {
            Some(Row::Held(held)) => (Some(held), None),
            Some(Row::Released { account, ts_ms }) => (None, Some((*account, *ts_ms))),
            None => (None, None),
        };
        let look = record.name.look();
        let alike = pages.alike(&look)?;
        let alike = alike.as_ref().map(|(name, account)| (name, *account));
        let mine = pages.names_of(&account)?;
        let known = Known { held, released, alike, names: mine.len() };
        let since_ms = decide(&self.key, known, &record, handover, now_ms)?;
        if let Some(held) = held.filter(|held| held.record == record) {
            return Ok(held.clone());
        }
        if held.is_none() && self.count.load(Ordering::Relaxed) >= self.max {
            return Err(Refusal::Full.into());
        }
        let before = held.map(|held| held.record.account());
        let name = record.name.clone();
        let held = Held::sign(&self.relay, record, since_ms, now_ms);
        let mut batch = Batch::new(None);
        batch.put(Namespace::Record, &name_row(&name), codec::encode(&Row::Held(held.clone())));
        if before != Some(account) {
            if let Some(before) = before {
                pages.take_from(&mut batch, &before, &name)?;
            }
            batch.put(Namespace::Record, &account_row(&account), codec::encode(&[mine, vec![name.clone()]].concat()));
            batch.put(Namespace::Record, &look_row(&look), codec::encode(&(name.clone(), account)));
            let listed = Listed { name: name.clone(), account, since_ms };
            batch.put(Namespace::Name, &NAME.hash(&[name.as_str().as_bytes()]), codec::encode(&listed));
        }
        let new = u64::from(before.is_none());
        self.commit(batch, |count| count.saturating_add(new))?;
        Ok(held)
    }

    fn release(&self, handover: &Handover, now_ms: u64) -> Result<bool, BookError> {
        let Some(Row::Held(held)) = self.pages.row(&handover.name)? else { return Ok(false) };
        may_go(&self.key, &held, handover, now_ms)?;
        if handover.to.is_some() {
            // It goes to somebody, who claims it with this; nobody else gets it meanwhile.
            return Err(Refusal::NotYours.into());
        }
        self.take_out(&held, handover.ts_ms)?;
        Ok(true)
    }

    fn remove(&self, name: &Name) -> Result<bool, BookError> {
        let Some(Row::Held(held)) = self.pages.row(name)? else { return Ok(false) };
        self.take_out(&held, held.record.ts_ms)?;
        Ok(true)
    }

    fn take_out(&self, held: &Held, ts_ms: u64) -> Result<(), BookError> {
        let (name, account) = (&held.record.name, held.record.account());
        let mut batch = Batch::new(None);
        batch.put(Namespace::Record, &name_row(name), codec::encode(&Row::Released { account, ts_ms }));
        batch.delete(Namespace::Record, &look_row(&name.look()));
        batch.delete(Namespace::Name, &NAME.hash(&[name.as_str().as_bytes()]));
        self.pages.take_from(&mut batch, &account, name)?;
        self.commit(batch, |count| count.saturating_sub(1))
    }

    /// Commits, with the new number of names.
    fn commit(&self, mut batch: Batch, counted: impl FnOnce(u64) -> u64) -> Result<(), BookError> {
        let before = self.count.load(Ordering::Relaxed);
        let after = counted(before);
        if after != before {
            batch.put(Namespace::Record, COUNT, codec::encode(&after));
        }
        self.pages.0.commit_blocking(batch).map_err(store)?;
        self.count.store(after, Ordering::Relaxed);
        Ok(())
    }
}

impl Pages {
    fn row(&self, name: &Name) -> Result<Option<Row>, BookError> {
        self.read(Namespace::Record, &name_row(name), MAX_HELD + 64)
    }

    fn alike(&self, look: &str) -> Result<Option<(Name, AccountId)>, BookError> {
        self.read(Namespace::Record, &look_row(look), 512)
    }

    fn names_of(&self, account: &AccountId) -> Result<Vec<Name>, BookError> {
        Ok(self.read(Namespace::Record, &account_row(account), 4_096)?.unwrap_or_default())
    }

    fn take_from(&self, batch: &mut Batch, account: &AccountId, name: &Name) -> Result<(), BookError> {
        let mut names = self.names_of(account)?;
        names.retain(|it| it != name);
        if names.is_empty() {
            batch.delete(Namespace::Record, &account_row(account));
        } else {
            batch.put(Namespace::Record, &account_row(account), codec::encode(&names));
        }
        Ok(())
    }

    fn read<T>(&self, namespace: Namespace, key: &[u8], max: usize) -> Result<Option<T>, BookError>
    where
        T: Serialize + DeserializeOwned,
    {
        let bytes = self.0.get(None, namespace, key).map_err(store)?;
        let damaged = |e: codec::CodecError| BookError::Store(format!("a row of the names is damaged: {e}"));
        bytes.map(|bytes| codec::decode(&bytes, max).map_err(damaged)).transpose()
    }
}

fn name_row(name: &Name) -> Vec<u8> {
    [b"n".as_slice(), &NAME.hash(&[name.as_str().as_bytes()])].concat()
}

fn look_row(look: &str) -> Vec<u8> {
    [b"l".as_slice(), &LOOK.hash(&[look.as_bytes()])].concat()
}

fn account_row(account: &AccountId) -> Vec<u8> {
    [b"a".as_slice(), account.as_bytes()].concat()
}

fn store(error: impl std::error::Error) -> BookError {
    BookError::Store(error.to_string())
}

impl From<ReadError> for BookError {
    fn from(error: ReadError) -> Self {
        store(error)
    }
}

#[cfg(test)]
mod tests {
    use parlor_crypto::Secret;
    use parlor_crypto::account::RootSeed;
    use parlor_crypto::vault::Vault;
    use parlor_proto::directory::MAX_NAMES;
    use parlor_storage::OpenOptions;

    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    struct Desk {
        dir: tempfile::TempDir,
        vault: Vault,
        store: Store,
        book: Book,
    }

    fn relay() -> SigningKey {
        SigningKey::from_seed(&Secret::new([9; 32]))
    }

    fn open(dir: &std::path::Path, vault: &Vault, max: u64) -> (Store, Book) {
        let store = Store::open(dir, vault, OpenOptions { reserve_bytes: 0 }).unwrap();
        (store.clone(), Book::open(store, relay(), max).unwrap())
    }

    fn desk(max: u64) -> Desk {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::generate(&mut rand::rng());
        let (store, book) = open(&dir.path().join("store"), &vault, max);
        Desk { dir, vault, store, book }
    }

    fn seed(who: u8) -> RootSeed {
        RootSeed::from_secret(Secret::new([who; 32]))
    }

    fn record(who: u8, name: &str, ts_ms: u64) -> NameRecord {
        let seed = seed(who);
        let key = relay().public_bytes();
        NameRecord::sign(&key, &seed.root_key(0), seed.inception(), name.parse().unwrap(), vec![who], ts_ms).unwrap()
    }

    fn handover(who: u8, name: &str, to: Option<u8>, ts_ms: u64) -> Handover {
        let to = to.map(|to| AccountId(seed(to).inception().account()));
        let seed = seed(who);
        let key = relay().public_bytes();
        Handover::sign(&key, &seed.root_key(0), seed.inception(), name.parse().unwrap(), to, ts_ms).unwrap()
    }

    fn refused(refusal: Refusal) -> BookError {
        BookError::Refused(refusal)
    }

    #[tokio::test]
    async fn a_claimed_name_is_found_countersigned_also_after_a_restart() {
        let desk = desk(10);
        let held = desk.book.claim(record(1, "alice", NOW), None, NOW).await.unwrap();
        held.verify(&relay().public_bytes()).unwrap();
        assert_eq!(desk.book.claim(record(2, "alice", NOW), None, NOW).await, Err(refused(Refusal::Taken)));
        assert_eq!(desk.book.claim(record(2, "a1ice", NOW), None, NOW).await, Err(refused(Refusal::Confusable)));
        desk.store.close();
        drop((desk.book, desk.store));
        let (_store, book) = open(&desk.dir.path().join("store"), &desk.vault, 10);
        assert_eq!(book.lookup("alice".parse().unwrap()).await.unwrap(), Some(held));
        assert_eq!(book.lookup("bob".parse().unwrap()).await.unwrap(), None);
        assert_eq!(book.count(), 1);
        assert_eq!(book.claim(record(2, "al.ice", NOW), None, NOW).await, Err(refused(Refusal::Confusable)));
    }

    #[tokio::test]
    async fn a_new_card_keeps_the_date_and_a_lost_answer_costs_nothing() {
        let Desk { book, dir: _dir, .. } = desk(10);
        let first = book.claim(record(1, "alice", NOW), None, NOW).await.unwrap();
        assert_eq!(book.claim(record(1, "alice", NOW), None, NOW + 9).await.unwrap(), first);
        let next = book.claim(record(1, "alice", NOW + 5), None, NOW + 9).await.unwrap();
        assert_eq!((next.since_ms, next.at_ms), (NOW, NOW + 9));
        assert_eq!(book.claim(record(1, "alice", NOW), None, NOW + 9).await, Err(refused(Refusal::Stale)));
        assert_eq!(book.count(), 1);
    }

    #[tokio::test]
    async fn a_name_is_handed_on_and_given_up_by_its_account_only() {
        let Desk { book, dir: _dir, .. } = desk(10);
        book.claim(record(1, "alice", NOW), None, NOW).await.unwrap();
        let stolen = handover(2, "alice", Some(2), NOW + 1);
        assert_eq!(book.claim(record(2, "alice", NOW), Some(stolen), NOW).await, Err(refused(Refusal::NotYours)));
        let given = handover(1, "alice", Some(2), NOW + 1);
        let theirs = book.claim(record(2, "alice", NOW), Some(given), NOW + 2).await.unwrap();
        assert_eq!((theirs.since_ms, book.count()), (NOW + 2, 1));
        // The first account has its place again, the second has used one.
        let free = |account: u8| (0..MAX_NAMES).map(move |n| record(account, &format!("name-{account}{n}{n}{n}"), NOW));
        for record in free(1) {
            book.claim(record, None, NOW).await.unwrap();
        }
        let mut theirs: Vec<NameRecord> = free(2).collect();
        let last = theirs.pop().unwrap();
        for record in theirs {
            book.claim(record, None, NOW).await.unwrap();
        }
        assert_eq!(book.claim(last, None, NOW).await, Err(refused(Refusal::TooMany)));
        assert_eq!(book.release(handover(1, "alice", None, NOW + 3), NOW).await, Err(refused(Refusal::NotYours)));
        assert_eq!(book.release(handover(2, "alice", None, NOW + 3), NOW).await, Ok(true));
        assert_eq!(book.release(handover(2, "alice", None, NOW + 3), NOW).await, Ok(false));
        assert_eq!(book.lookup("alice".parse().unwrap()).await.unwrap(), None);
        assert_eq!(book.claim(record(2, "alice", NOW), None, NOW).await, Err(refused(Refusal::Stale)));
        book.claim(record(3, "a1ice", NOW), None, NOW).await.unwrap();
    }

    #[tokio::test]
    async fn the_operator_lists_and_removes_and_the_directory_is_bounded() {
        let Desk { book, dir: _dir, .. } = desk(3);
        for (who, name) in [(1, "carol"), (2, "alice"), (3, "bob")] {
            book.claim(record(who, name, NOW), None, NOW).await.unwrap();
        }
        assert_eq!(book.claim(record(4, "dave", NOW), None, NOW).await, Err(refused(Refusal::Full)));
        let names = |listed: Vec<Listed>| listed.into_iter().map(|it| it.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(book.list(None, 2).await.unwrap()), ["alice", "bob"]);
        assert_eq!(names(book.list(Some("bob".into()), 9).await.unwrap()), ["carol"]);
        assert_eq!(book.remove("bob".parse().unwrap()).await, Ok(true));
        assert_eq!(book.remove("bob".parse().unwrap()).await, Ok(false));
        assert_eq!(book.count(), 2);
        book.claim(record(4, "dave", NOW), None, NOW).await.unwrap();
    }
}
