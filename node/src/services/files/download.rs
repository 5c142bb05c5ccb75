//! A file to a client: its chunks are read and opened as the client reads.

use std::ops::Range;

use bytes::Bytes;
use futures::Stream;
use parlor_api::{Code, FileState, Problem};
use parlor_crypto::file::TAG;
use parlor_proto::file::{FileRef, Layout};

use super::handle::Files;
use super::{blob_problem, blocking};
use crate::app::Answer;

/// A file that is here, and what of it is wanted.
pub(crate) struct Download {
    files: Files,
    file: FileRef,
    layout: Layout,
    /// Bytes of the file that are still to come.
    range: Range<u64>,
}

impl Download {
    /// Of a file that is here.
    ///
    /// # Errors
    /// `file_not_here`.
    pub(crate) fn new(files: Files, file: FileRef) -> Answer<Self> {
        let layout = file.layout().ok_or_else(|| Problem::of(Code::FileBroken))?;
        if files.state(&file.id()).0 != FileState::Here {
            return Err(Problem::of(Code::FileNotHere));
        }
        Ok(Self { files, layout, range: 0..file.size, file })
    }

    /// The file.
    pub(crate) fn file(&self) -> &FileRef {
        &self.file
    }

    /// Only these bytes of it.
    pub(crate) fn within(mut self, range: Range<u64>) -> Self {
        self.range = range.start.min(self.file.size)..range.end.min(self.file.size);
        self
    }

    /// Its bytes, a chunk at a time.
    pub(crate) fn bytes(self) -> impl Stream<Item = Result<Bytes, Problem>> + Send {
        futures::stream::try_unfold(self, |mut this| async move {
            if this.range.is_empty() {
                return Ok(None);
            }
            let bytes = this.next().await?;
            this.range.start += bytes.len() as u64;
            Ok(Some((bytes, this)))
        })
    }

    /// The bytes from the start of the range on, to the end of their chunk at most.
    async fn next(&self) -> Answer<Bytes> {
        let (slot, from) = self.layout.find(self.range.start);
        let (blobs, id, key) = (self.files.blobs().clone(), self.file.id(), self.file.file_key());
        let place = self.layout.place(slot).ok_or_else(|| Problem::of(Code::Internal))?;
        let len = self.layout.plain_len(slot);
        let opened = blocking(move || {
            let sealed = blobs.read(&id, slot, len + TAG).map_err(|error| blob_problem(&error))?;
            key.open(place, sealed).map_err(|_| Problem::of(Code::FileBroken))
        });
        let opened = Bytes::from(opened.await??);
        // What follows the file in its last chunks is padding.
        let left = usize::try_from(self.range.end - self.range.start).unwrap_or(usize::MAX);
        let to = self.layout.file_len(slot).min(from.saturating_add(left));
        if from >= to || to > opened.len() {
            return Err(Problem::of(Code::Internal));
        }
        Ok(opened.slice(from..to))
    }
}

/// The type under which a file of others is given to a window: only such as a window shows without running anything.
pub(crate) fn shown_type(mime: &str) -> &'static str {
    const SHOWN: [&str; 12] = [
        "image/jpeg",
        "image/png",
        "image/webp",
        "image/gif",
        "image/avif",
        "video/mp4",
        "video/webm",
        "audio/mpeg",
        "audio/ogg",
        "audio/wav",
        "audio/flac",
        "audio/mp4",
    ];
    SHOWN.into_iter().find(|shown| *shown == mime).unwrap_or("application/octet-stream")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_window_could_run_is_given_as_bytes() {
        for mime in
            ["text/html", "image/svg+xml", "application/xhtml+xml", "text/plain", "", "IMAGE/PNG", "image/png; x"]
        {
            assert_eq!(shown_type(mime), "application/octet-stream", "{mime}");
        }
        assert_eq!(shown_type("image/png"), "image/png");
    }
}
