//! The index: what is in it, how it changes, and how it becomes durable.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_crypto::vault::Vault;
use parlor_proto::ids::AccountId;
use serde::{Deserialize, Serialize};
use tantivy::schema::{BytesOptions, FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::space_usage::SegmentSpaceUsage;
use tantivy::{TantivyDocument, TantivyError};

use super::columns;
use super::sealed::Sealed;
use super::shelf::{Held, Shelf};
use crate::timeline::Position;

/// Raised when what is indexed, or how, changes: an index of another number is built anew.
const VERSION: u32 = 2;

/// Names a message in the index: where it stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its place.
    pub position: Position,
    /// The short number of its room.
    pub room: u32,
}

/// A message as it is indexed.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Which.
    pub key: Key,
    /// Who wrote it.
    pub author: AccountId,
    /// Whether files come with it.
    pub file: bool,
    /// Where it is put: by whether it disappears.
    pub shelf: Shelf,
    /// What it says: its text, options of a poll, names of files.
    pub parts: Vec<String>,
}

/// How far the index has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    version: u32,
    /// Up to this group of the store changes are in it.
    pub group: u64,
    /// How far the store was walked, while the index is being built.
    pub build: Option<Build>,
}

/// How far the store was walked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The room that is walked; those with smaller numbers are done.
    pub room: u32,
    /// Its messages from this place on are done.
    pub before: Option<[u8; Position::LEN]>,
    /// Messages looked at.
    pub looked: u64,
}

impl Progress {
    /// Of an index that is empty, of a store whose last group is this.
    pub fn new(group: u64) -> Self {
        Self { version: VERSION, group, build: Some(Build::default()) }
    }

    #[cfg(test)]
    pub(super) fn of_before(self) -> Self {
        Self { version: VERSION - 1, ..self }
    }

    /// What never goes back while an index lives: groups, and messages looked at while it is built.
    fn looked_at(&self) -> (u64, u64) {
        (self.group, self.build.map_or(u64::MAX, |build| build.looked))
    }
}

/// Why the index can not be used.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// Its files are not what was written: it is to be built anew.
    #[error("the search index is damaged: {0}")]
    Damaged(String),
    /// The operating system says no; nothing is wrong with what is there.
    #[error("the search index can not be read or written: {0}")]
    Io(String),
}

/// The index. Clones are the same.
#[derive(Clone)]
pub struct SearchIndex(Arc<Inner>);

pub(super) struct Inner {
    pub(super) folder: Sealed,
    pub(super) fields: Fields,
    lasting: Held,
    fading: Held,
    committed: Mutex<Option<Progress>>,
}

impl Inner {
    pub(super) fn held(&self, shelf: Shelf) -> &Held {
        match shelf {
            Shelf::Lasting => &self.lasting,
            Shelf::Fading => &self.fading,
        }
    }

    /// All shelves, by number.
    pub(super) fn shelves(&self) -> [&Held; 2] {
        Shelf::ALL.map(|shelf| self.held(shelf))
    }
}

impl std::fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SearchIndex").field("folder", &self.0.folder).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) words: Field,
    pub(super) starts: Field,
    pub(super) tags: Field,
    ms: Field,
    tick: Field,
    seq: Field,
    writer: Field,
}

impl Fields {
    fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let text = |name: &str, record| TextFieldIndexing::default().set_tokenizer(name).set_index_option(record);
        // Lengths of messages would be a byte each, and only make scores a little better, by which nothing is sorted.
        let words = text("words", IndexRecordOption::WithFreqsAndPositions).set_fieldnorms(false);
        let starts = text("starts", IndexRecordOption::Basic).set_fieldnorms(false);
        let fields = Self {
            words: schema.add_text_field("words", TextOptions::default().set_indexing_options(words)),
            starts: schema.add_text_field("starts", TextOptions::default().set_indexing_options(starts)),
            // Without how many there are of each message, which would be a byte for nothing.
            tags: schema.add_bytes_field("tags", BytesOptions::default().set_indexed()),
            ms: schema.add_u64_field("ms", FAST),
            tick: schema.add_u64_field("tick", FAST),
            seq: schema.add_u64_field("seq", FAST),
            writer: schema.add_bytes_field("writer", FAST),
        };
        (schema.build(), fields)
    }
}

impl SearchIndex {
    /// Opens the index in this folder; makes an empty one if there is none, or if what is there can not be used.
    ///
    /// # Errors
    /// The folder can not be read or written.
    pub fn open(dir: &Path, vault: &Vault) -> Result<Self, SearchError> {
        match Self::try_open(dir, vault) {
            Err(SearchError::Damaged(why)) => {
                tracing::warn!(why, "the search index is built anew");
                Sealed::wipe(dir).map_err(|error| SearchError::Io(error.to_string()))?;
                Self::try_open(dir, vault)
            }
            opened => opened,
        }
    }

    /// Throws the index in this folder away.
    ///
    /// # Errors
    /// A file can not be removed.
    pub fn wipe(dir: &Path) -> Result<(), SearchError> {
        Sealed::wipe(dir).map_err(|error| SearchError::Io(error.to_string()))
    }

    fn try_open(dir: &Path, vault: &Vault) -> Result<Self, SearchError> {
        let folder = Sealed::open(dir, vault).map_err(|error| SearchError::Io(error.to_string()))?;
        let opened = Self::build(&folder);
        opened.map_err(|error| told(&error, &folder, true))
    }

    fn build(folder: &Sealed) -> Result<Self, TantivyError> {
        let (schema, fields) = Fields::schema();
        let lasting = Held::open(folder, Shelf::Lasting, schema.clone())?;
        let fading = Held::open(folder, Shelf::Fading, schema)?;
        let committed = common(&lasting, &fading)?;
        let inner = Inner { folder: folder.clone(), fields, lasting, fading, committed: Mutex::new(committed) };
        Ok(Self(Arc::new(inner)))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// How far it had come with the last commit; `None` if it is empty and nothing was committed.
    pub fn progress(&self) -> Option<Progress> {
        *locked(&self.0.committed)
    }

    /// Takes messages out, then puts messages in; found after the next commit.
    ///
    /// # Errors
    /// See [`SearchError`]; the index is then to be opened again.
    pub fn apply(&self, gone: &[Key], entries: &[Entry]) -> Result<(), SearchError> {
        let change = || -> Result<(), TantivyError> {
            for shelf in self.0.shelves() {
                if !gone.is_empty() {
                    shelf.remove(gone)?;
                }
            }
            entries.iter().try_for_each(|entry| self.0.held(entry.shelf).add(self.document(entry)))
        };
        change().map_err(|error| self.told(&error))
    }

    /// Takes all messages of a room out.
    pub fn forget_room(&self, room: u32) {
        let term = tantivy::Term::from_field_bytes(self.0.fields.tags, &room_tag(room));
        self.0.shelves().into_iter().for_each(|shelf| shelf.remove_all_of(term.clone()));
    }

    fn document(&self, entry: &Entry) -> TantivyDocument {
        let Fields { words, starts, tags, ms, tick, seq, writer } = self.0.fields;
        let mut document = TantivyDocument::default();
        for part in &entry.parts {
            document.add_text(words, part);
            document.add_text(starts, part);
        }
        document.add_bytes(tags, &room_tag(entry.key.room));
        document.add_bytes(tags, &account_tag(&entry.author));
        if entry.file {
            document.add_bytes(tags, FILE_TAG);
        }
        let (ms_of, tick_of) = columns::ms_and_tick(entry.key.position.order);
        document.add_u64(ms, ms_of);
        document.add_u64(tick, tick_of);
        document.add_u64(seq, u64::from(entry.key.position.seq));
        document.add_bytes(writer, &columns::writer(&entry.key));
        document
    }

    /// Shows to searches what was applied, and remembers how far that is. Survives the end of the process, not a power cut.
    ///
    /// # Errors
    /// See [`SearchError`]; the index is then to be opened again.
    pub fn commit(&self, progress: Progress) -> Result<(), SearchError> {
        // What lasts comes last: its progress is that of both (`common`).
        let text = encode(&progress);
        let change = || self.0.fading.commit(&text).and_then(|()| self.0.lasting.commit(&text));
        change().map_err(|error| self.told(&error))?;
        *locked(&self.0.committed) = Some(progress);
        Ok(())
    }

    /// Makes all that was committed durable.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn sync(&self) -> Result<(), SearchError> {
        self.0.folder.sync().map_err(|error| SearchError::Io(error.to_string()))
    }

    /// Whether messages that were taken out are still in the files of a shelf.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn holds_gone(&self, shelf: Shelf) -> Result<bool, SearchError> {
        self.0.held(shelf).holds_gone().map_err(|error| self.told(&error))
    }

    /// Rewrites the files of a shelf in which messages are that were taken out, without them, and removes the old ones. Answers how many
    /// bytes were written, or somewhat more. What is being merged meanwhile stays: then [`holds_gone`](Self::holds_gone)
    /// afterwards, and this is to be called again.
    ///
    /// # Errors
    /// See [`SearchError`]; the index is then to be opened again.
    pub fn purge(&self, shelf: Shelf) -> Result<u64, SearchError> {
        let before = self.0.folder.written();
        self.0.held(shelf).purge().map_err(|error| self.told(&error))?;
        Ok(self.0.folder.written() - before)
    }

    /// Bytes of its files.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn disk_bytes(&self) -> Result<u64, SearchError> {
        self.0.folder.bytes().map_err(|error| SearchError::Io(error.to_string()))
    }

    /// Bytes of its files before they are sealed, by what they hold: `postings words`, `columns order`.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn usage(&self) -> Result<BTreeMap<String, u64>, SearchError> {
        let mut by_kind = BTreeMap::new();
        for shelf in self.0.shelves() {
            let usage = || -> Result<_, TantivyError> {
                // Files of segments that were merged meanwhile are gone.
                shelf.reload()?;
                Ok(shelf.reader.searcher().space_usage()?)
            };
            let usage = usage().map_err(|error| self.told(&error))?;
            count_kinds(usage.segments(), &mut by_kind);
        }
        Ok(by_kind)
    }

    /// How many messages are in it.
    pub fn count(&self) -> u64 {
        self.0.shelves().into_iter().map(|shelf| shelf.reader.searcher().num_docs()).sum()
    }

    pub(super) fn told(&self, error: &TantivyError) -> SearchError {
        told(error, &self.0.folder, false)
    }
}

/// How far both shelves are. They are committed one after the other, what fades first: if something ends between, that one is ahead, and
/// what comes is put into it once more. A shelf that is behind the other lost something.
fn common(lasting: &Held, fading: &Held) -> Result<Option<Progress>, TantivyError> {
    let of = |shelf: &Held| -> Result<Option<Progress>, TantivyError> {
        let progress = shelf.remembered()?.and_then(|text| decode(&text));
        Ok(progress.filter(|progress| progress.version == VERSION))
    };
    let wrong = |why: &str| Err(TantivyError::SystemError(why.to_owned()));
    match (of(lasting)?, of(fading)?) {
        (Some(at), Some(ahead)) if at.looked_at() <= ahead.looked_at() => Ok(Some(at)),
        (Some(_), _) => wrong("a part of it is older"),
        // What another version made is of no use, and neither is what does not say how far it came.
        (None, _) if !lasting.is_empty()? || !fading.is_empty()? => wrong("it is of another version"),
        (None, _) => Ok(None),
    }
}

/// Adds up what the files of segments hold.
fn count_kinds(segments: &[SegmentSpaceUsage], by_kind: &mut BTreeMap<String, u64>) {
    for segment in segments {
        let parts = [
            ("terms", segment.termdict()),
            ("postings", segment.postings()),
            ("positions", segment.positions()),
            ("columns", segment.fast_fields()),
            ("lengths", segment.fieldnorms()),
        ];
        for (kind, part) in parts {
            for field in part.fields() {
                *by_kind.entry(format!("{kind} {}", field.field_name())).or_default() += field.total().get_bytes();
            }
        }
    }
}

/// Files are damaged if the folder says so, or if what they hold makes no sense.
fn told(error: &TantivyError, folder: &Sealed, opening: bool) -> SearchError {
    let of_system = matches!(error, TantivyError::IoError(error) if error.kind() != ErrorKind::InvalidData)
        || matches!(error, TantivyError::OpenWriteError(_) | TantivyError::LockFailure(..));
    let nonsense = matches!(error, TantivyError::DataCorruption(_) | TantivyError::InternalError(_));
    if folder.is_damaged() || nonsense || opening && !of_system {
        SearchError::Damaged(error.to_string())
    } else {
        SearchError::Io(error.to_string())
    }
}

pub(super) const FILE_TAG: &[u8] = b"f";

pub(super) fn room_tag(room: u32) -> Vec<u8> {
    [b"r".as_slice(), &room.to_be_bytes()].concat()
}

pub(super) fn account_tag(account: &AccountId) -> Vec<u8> {
    [b"a".as_slice(), account.as_bytes()].concat()
}

/// What a commit remembers, as tantivy keeps it: text.
pub(super) fn encode(progress: &Progress) -> String {
    parlor_proto::codec::encode(progress).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> Option<Progress> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?).ok();
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    postcard::from_bytes(&bytes?).ok()
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had changed nothing by half; a writer that broke says so at its next use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
