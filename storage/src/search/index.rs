//! The index: what is in it, how it changes, and how it becomes durable.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_crypto::vault::Vault;
use parlor_proto::ids::AccountId;
use serde::{Deserialize, Serialize};
use tantivy::columnar::Column;
use tantivy::index::SegmentId;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{BitSetDocSet, ConstScorer, EnableScoring, Explanation, Query as TantivyQuery, Scorer, Weight};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use tantivy::{
    BitSet, DocId, Index, IndexReader, IndexWriter, ReloadPolicy, Score, SegmentReader, TantivyDocument, TantivyError,
};

use super::sealed::Sealed;
use super::words::{Kind, words};
use crate::limits::SEARCH_WRITER_BYTES;
use crate::timeline::Position;

/// Raised when what is indexed, or how, changes: an index of another number is built anew.
const VERSION: u32 = 1;

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
    pub(super) reader: IndexReader,
    pub(super) columns: Columns,
    index: Index,
    writer: Mutex<IndexWriter>,
    committed: Mutex<Option<Progress>>,
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
    room: Field,
    order: Field,
    tie: Field,
    author: Field,
    seq: Field,
}

impl Fields {
    fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let text = |name: &str, record| TextFieldIndexing::default().set_tokenizer(name).set_index_option(record);
        let words = text("words", IndexRecordOption::WithFreqsAndPositions);
        let starts = text("starts", IndexRecordOption::Basic).set_fieldnorms(false);
        let fields = Self {
            words: schema.add_text_field("words", TextOptions::default().set_indexing_options(words)),
            starts: schema.add_text_field("starts", TextOptions::default().set_indexing_options(starts)),
            tags: schema.add_bytes_field("tags", INDEXED),
            room: schema.add_u64_field("room", FAST),
            order: schema.add_u64_field("order", FAST),
            tie: schema.add_u64_field("tie", FAST),
            author: schema.add_u64_field("author", FAST),
            seq: schema.add_u64_field("seq", FAST),
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
        let index = Index::open_or_create(folder.clone(), schema)?;
        index.tokenizers().register("words", Splitter { starts: false });
        index.tokenizers().register("starts", Splitter { starts: true });
        let options = IndexWriterOptions::builder();
        let options = options.memory_budget_per_thread(SEARCH_WRITER_BYTES).num_worker_threads(1).num_merge_threads(1);
        let writer = index.writer_with_options(options.build())?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let payload = index.load_metas()?.payload;
        let committed = payload.and_then(|text| decode(&text)).filter(|progress| progress.version == VERSION);
        // What another version made is of no use, and neither is what does not say how far it came.
        if committed.is_none() && !index.searchable_segment_ids()?.is_empty() {
            return Err(TantivyError::SystemError("it is of another version".to_owned()));
        }
        let inner = Inner {
            folder: folder.clone(),
            fields,
            reader,
            columns: Columns::default(),
            index,
            writer: Mutex::new(writer),
            committed: Mutex::new(committed),
        };
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
        let writer = locked(&self.0.writer);
        let change = || -> Result<(), TantivyError> {
            if !gone.is_empty() {
                let gone = Gone::new(gone, &self.0.columns);
                writer.delete_query(Box::new(gone))?;
            }
            for entry in entries {
                writer.add_document(self.document(entry))?;
            }
            Ok(())
        };
        change().map_err(|error| self.told(&error))
    }

    /// Takes all messages of a room out.
    pub fn forget_room(&self, room: u32) {
        let term = tantivy::Term::from_field_bytes(self.0.fields.tags, &room_tag(room));
        locked(&self.0.writer).delete_term(term);
    }

    fn document(&self, entry: &Entry) -> TantivyDocument {
        let Fields { words, starts, tags, room, order, tie, author, seq } = self.0.fields;
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
        let Key { position, room: number } = entry.key;
        document.add_u64(room, u64::from(number));
        document.add_u64(order, position.order);
        document.add_u64(tie, u64::from(position.tie));
        document.add_u64(author, u64::from(position.author));
        document.add_u64(seq, u64::from(position.seq));
        document
    }

    /// Shows to searches what was applied, and remembers how far that is. Survives the end of the process, not a power cut.
    ///
    /// # Errors
    /// See [`SearchError`]; the index is then to be opened again.
    pub fn commit(&self, progress: Progress) -> Result<(), SearchError> {
        let mut writer = locked(&self.0.writer);
        let mut change = || -> Result<(), TantivyError> {
            let mut prepared = writer.prepare_commit()?;
            prepared.set_payload(&encode(&progress));
            prepared.commit()?;
            self.reload()
        };
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

    /// Whether messages that were taken out are still in the files.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn holds_gone(&self) -> Result<bool, SearchError> {
        let metas = self.0.index.searchable_segment_metas().map_err(|error| self.told(&error))?;
        Ok(metas.iter().any(|meta| meta.num_deleted_docs() > 0))
    }

    /// Rewrites the files in which messages are that were taken out, without them, and removes the old ones.
    ///
    /// # Errors
    /// See [`SearchError`]; the index is then to be opened again.
    pub fn purge(&self) -> Result<(), SearchError> {
        let mut writer = locked(&self.0.writer);
        let mut change = || -> Result<(), TantivyError> {
            let metas = self.0.index.searchable_segment_metas()?;
            let dirty = metas.iter().filter(|meta| meta.num_deleted_docs() > 0).map(|meta| meta.id());
            for segment in dirty.collect::<Vec<_>>() {
                // One that a merge of tantivy's own has taken meanwhile is rewritten by that.
                if let Err(error) = writer.merge(&[segment]).wait()
                    && !matches!(error, TantivyError::InvalidArgument(_))
                {
                    return Err(error);
                }
            }
            self.reload()?;
            writer.garbage_collect_files().wait()?;
            Ok(())
        };
        change().map_err(|error| self.told(&error))
    }

    /// Bytes of its files.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn disk_bytes(&self) -> Result<u64, SearchError> {
        self.0.folder.bytes().map_err(|error| SearchError::Io(error.to_string()))
    }

    /// How many messages are in it.
    pub fn count(&self) -> u64 {
        self.0.reader.searcher().num_docs()
    }

    fn reload(&self) -> Result<(), TantivyError> {
        self.0.reader.reload()?;
        let searcher = self.0.reader.searcher();
        let live: HashSet<SegmentId> = searcher.segment_readers().iter().map(SegmentReader::segment_id).collect();
        locked(&self.0.columns.0).retain(|segment, _| live.contains(segment));
        Ok(())
    }

    pub(super) fn told(&self, error: &TantivyError) -> SearchError {
        told(error, &self.0.folder, false)
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
fn encode(progress: &Progress) -> String {
    parlor_proto::codec::encode(progress).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> Option<Progress> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let byte = |pair: &[u8]| u8::try_from(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?).ok();
    let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
    postcard::from_bytes(&bytes?).ok()
}

/// The key columns of segments, opened once: a column that is opened is read as a whole.
#[derive(Clone, Default)]
pub(super) struct Columns(Arc<Mutex<HashMap<SegmentId, Arc<KeyColumns>>>>);

/// Where the messages of a segment stand.
pub(super) struct KeyColumns {
    room: Column<u64>,
    pub(super) order: Column<u64>,
    tie: Column<u64>,
    author: Column<u64>,
    seq: Column<u64>,
}

impl std::fmt::Debug for Columns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").finish_non_exhaustive()
    }
}

impl Columns {
    pub(super) fn of(&self, segment: &SegmentReader) -> Result<Arc<KeyColumns>, TantivyError> {
        if let Some(columns) = locked(&self.0).get(&segment.segment_id()) {
            return Ok(Arc::clone(columns));
        }
        let column = |name: &str| segment.fast_fields().u64(name);
        let columns = Arc::new(KeyColumns {
            room: column("room")?,
            order: column("order")?,
            tie: column("tie")?,
            author: column("author")?,
            seq: column("seq")?,
        });
        locked(&self.0).insert(segment.segment_id(), Arc::clone(&columns));
        Ok(columns)
    }
}

impl KeyColumns {
    /// The key of a message.
    pub(super) fn key(&self, doc: DocId) -> Option<Key> {
        let short = |column: &Column<u64>| u32::try_from(column.first(doc)?).ok();
        let order = self.order.first(doc)?;
        let position = Position { order, tie: short(&self.tie)?, author: short(&self.author)?, seq: short(&self.seq)? };
        Some(Key { position, room: short(&self.room)? })
    }
}

/// Messages to be taken out, as a query. They are found by their columns: an index of keys would be a fifth of all bytes.
#[derive(Debug, Clone)]
struct Gone {
    keys: Arc<HashMap<u64, Vec<Key>>>,
    columns: Columns,
    first: u64,
    last: u64,
}

impl Gone {
    fn new(gone: &[Key], columns: &Columns) -> Self {
        let mut keys: HashMap<u64, Vec<Key>> = HashMap::new();
        for key in gone {
            keys.entry(key.position.order).or_default().push(*key);
        }
        let (first, last) = (keys.keys().min().copied().unwrap_or(0), keys.keys().max().copied().unwrap_or(0));
        Self { keys: Arc::new(keys), columns: columns.clone(), first, last }
    }
}

impl TantivyQuery for Gone {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Gone {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut found = BitSet::with_max_value(reader.max_doc());
        let columns = self.columns.of(reader)?;
        if columns.order.min_value() <= self.last && self.first <= columns.order.max_value() {
            for doc in 0..reader.max_doc() {
                let keys = columns.order.first(doc).and_then(|order| self.keys.get(&order));
                if keys.is_some_and(|keys| columns.key(doc).is_some_and(|key| keys.contains(&key))) {
                    found.insert(doc);
                }
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(found), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("Gone", 1.0))
    }
}

/// Cuts text into words, or into what words of letters begin with.
#[derive(Debug, Clone, Copy)]
struct Splitter {
    starts: bool,
}

struct Tokens {
    tokens: std::vec::IntoIter<Token>,
    now: Token,
}

impl Tokenizer for Splitter {
    type TokenStream<'a> = Tokens;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens {
        let token = |text: String, place: u32| Token { text, position: place as usize, ..Token::default() };
        let tokens: Vec<Token> = if self.starts {
            let mut seen = HashSet::new();
            let letters = words(text).into_iter().filter(|word| word.kind == Kind::Letters);
            let starts = letters.flat_map(|word| [1, 2].map(|n| word.text.chars().take(n).collect::<String>()));
            starts.filter(|start| seen.insert(start.clone())).map(|start| token(start, 0)).collect()
        } else {
            words(text).into_iter().map(|word| token(word.text, word.place)).collect()
        };
        Tokens { tokens: tokens.into_iter(), now: Token::default() }
    }
}

impl TokenStream for Tokens {
    fn advance(&mut self) -> bool {
        let Some(next) = self.tokens.next() else { return false };
        self.now = next;
        true
    }

    fn token(&self) -> &Token {
        &self.now
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.now
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked had changed nothing by half; a writer that broke says so at its next use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
