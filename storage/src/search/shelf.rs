//! A shelf of the index: an index of tantivy's, of messages that have one thing in common, namely whether they disappear.
//!
//! What disappears must leave the files soon, and files are written once: a segment that held it is written anew without it, and the old
//! one goes with its keys. In one index with everything else that would be to write all of it, again and again. So there are two:
//!
//! - [`Shelf::Lasting`]: segments grow as large as tantivy likes, for few large ones are small and fast. What is taken out of them was
//!   deleted by somebody, which is rare, and they are written anew at leisure.
//! - [`Shelf::Fading`]: messages that disappear. A segment that has [`SEARCH_FADING_SEGMENT`] messages is merged with no other any more,
//!   so to write one anew is never much; and what ends at about the same time mostly came at about the same time, so it stands in few of
//!   them. The keys of old files are overwritten and synced before they are removed, as those of rows are (`keyring.rs`).
//!
//! When a segment is to be written anew is up to whoever owns the index ([`SearchIndex::purge`](super::SearchIndex::purge)).

use std::collections::HashSet;
use std::sync::Mutex;

use tantivy::index::SegmentId;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::Schema;
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, SegmentReader, TantivyDocument, TantivyError, Term};

use super::columns::{Columns, Gone};
use super::index::{Key, locked};
use super::sealed::Sealed;
use super::splitter::Splitter;
use crate::limits::{SEARCH_FADING_SEGMENT, SEARCH_WRITER_BYTES};

/// Where a message stands in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shelf {
    /// With what stays until somebody deletes it.
    Lasting,
    /// With what disappears.
    Fading,
}

impl Shelf {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Lasting, Self::Fading];
}

/// A shelf that is open.
pub(super) struct Held {
    pub(super) reader: IndexReader,
    pub(super) columns: Columns,
    index: Index,
    writer: Mutex<IndexWriter>,
}

impl Held {
    pub(super) fn open(folder: &Sealed, shelf: Shelf, schema: Schema) -> Result<Self, TantivyError> {
        let index = Index::open_or_create(folder.of(shelf), schema)?;
        index.tokenizers().register("words", Splitter { starts: false });
        index.tokenizers().register("starts", Splitter { starts: true });
        let options = IndexWriterOptions::builder();
        let options = options.memory_budget_per_thread(SEARCH_WRITER_BYTES).num_worker_threads(1).num_merge_threads(1);
        let writer = index.writer_with_options(options.build())?;
        if shelf == Shelf::Fading {
            let mut small = LogMergePolicy::default();
            small.set_max_docs_before_merge(SEARCH_FADING_SEGMENT);
            writer.set_merge_policy(Box::new(small));
        }
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { reader, columns: Columns::default(), index, writer: Mutex::new(writer) })
    }

    /// What the last commit was given to remember.
    pub(super) fn remembered(&self) -> Result<Option<String>, TantivyError> {
        Ok(self.index.load_metas()?.payload)
    }

    pub(super) fn is_empty(&self) -> Result<bool, TantivyError> {
        Ok(self.index.searchable_segment_ids()?.is_empty())
    }

    pub(super) fn remove(&self, gone: &[Key]) -> Result<(), TantivyError> {
        locked(&self.writer).delete_query(Box::new(Gone::new(gone, &self.columns))).map(drop)
    }

    pub(super) fn remove_all_of(&self, term: Term) {
        locked(&self.writer).delete_term(term);
    }

    pub(super) fn add(&self, document: TantivyDocument) -> Result<(), TantivyError> {
        locked(&self.writer).add_document(document).map(drop)
    }

    pub(super) fn commit(&self, remember: &str) -> Result<(), TantivyError> {
        let mut writer = locked(&self.writer);
        let mut prepared = writer.prepare_commit()?;
        prepared.set_payload(remember);
        prepared.commit()?;
        self.reload()
    }

    /// Whether something that was taken out is in a file: in one of a segment that counts, or in one that is to be removed.
    pub(super) fn holds_gone(&self) -> Result<bool, TantivyError> {
        let metas = self.index.searchable_segment_metas()?;
        let live: HashSet<String> = metas.iter().map(|meta| meta.id().uuid_string()).collect();
        let of_live = |name: &str| name.split_once('.').is_some_and(|(id, _)| live.contains(id)) || name == "meta.json";
        let files = self.index.directory().list_managed_files();
        Ok(metas.iter().any(|meta| meta.num_deleted_docs() > 0)
            || files.iter().any(|path| !of_live(&path.to_string_lossy())))
    }

    /// Writes the segments anew in which something is that was taken out.
    pub(super) fn purge(&self) -> Result<(), TantivyError> {
        let mut writer = locked(&self.writer);
        for segment in self.dirty()? {
            // One that a merge of tantivy's own has taken meanwhile is rewritten by that.
            if let Err(error) = writer.merge(&[segment]).wait()
                && !matches!(error, TantivyError::InvalidArgument(_))
            {
                return Err(error);
            }
        }
        self.reload()?;
        writer.garbage_collect_files().wait().map(drop)
    }

    /// The segments in which something is that was taken out. Who holds on to what tantivy says of a segment keeps its files.
    fn dirty(&self) -> Result<Vec<SegmentId>, TantivyError> {
        let metas = self.index.searchable_segment_metas()?;
        Ok(metas.iter().filter(|meta| meta.num_deleted_docs() > 0).map(|meta| meta.id()).collect())
    }

    /// Leaves a file behind, as a process does that ends while it writes a segment.
    #[cfg(test)]
    pub(super) fn leave_behind(&self, path: &std::path::Path) {
        use tantivy::Directory;
        use tantivy::directory::TerminatingWrite;
        self.index.directory().open_write(path).unwrap().terminate().unwrap();
    }

    pub(super) fn reload(&self) -> Result<(), TantivyError> {
        self.reader.reload()?;
        let searcher = self.reader.searcher();
        let live: HashSet<SegmentId> = searcher.segment_readers().iter().map(SegmentReader::segment_id).collect();
        self.columns.keep(&live);
        Ok(())
    }
}
