//! A file of a client, sealed as its bytes come.
//!
//! Its bytes pass through once, a chunk at a time. A picture is held whole while what it says beside the picture is taken out
//! and a small one is made of it: one at a time, and none that is larger than allowed.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use parlor_api::{Code, Problem, UploadedFile};
use parlor_crypto::file::{CHUNK_LEN, FileKey};
use parlor_proto::file::{FileRef, FileRefError, FileWriter};
use parlor_proto::limits::MAX_FILE_NAME;
use parlor_storage::{Blob, BlobError};
use tokio::time::timeout;

use super::handle::Files;
use super::{blob_problem, blocking, metadata, preview};
use crate::account::rng;
use crate::app::Answer;
use crate::limits::{FILE_BODY_IDLE, PICTURE_HELD};

/// What a client says of a file before its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Incoming {
    /// What it is called.
    pub(crate) name: String,
    /// Its media type; none to have it found out.
    pub(crate) mime: Option<String>,
    /// Leave in a picture what it says beside the picture: place, device, time.
    pub(crate) keep_metadata: bool,
}

/// A file being sealed: where it goes, and what seals it.
pub(crate) struct Uploading {
    blob: Blob,
    writer: FileWriter,
    key: FileKey,
}

/// Bytes that decide what a file is.
const HEAD: usize = 64;

/// Seals a file whose bytes come from a client, and remembers it for a message. Durable when it returns.
///
/// # Errors
/// `too_long`, `disk_full`, `busy`, `timed_out`; `metadata` for a picture from which nothing can be taken out.
pub(crate) async fn take(
    files: &Files,
    incoming: Incoming,
    body: impl Stream<Item = Result<Bytes, Problem>> + Send,
) -> Answer<UploadedFile> {
    let _place = files.places().try_acquire_owned().map_err(|_| Problem::of(Code::Busy))?;
    if files.is_full() {
        return Err(Problem::new(Code::Busy, "too many files wait to be sent").hint("send some of them first"));
    }
    let name = incoming.name.trim();
    if name.is_empty() || name.len() > MAX_FILE_NAME {
        return Err(file_problem(FileRefError::Name));
    }
    let mut body = Pieces { body: std::pin::pin!(body), held: Vec::new(), ended: false };
    body.fill(HEAD).await?;
    let kind = metadata::Kind::of(&body.held);
    let mime = incoming.mime.clone().filter(|_| kind.is_none());
    let mime = mime.unwrap_or_else(|| kind.map_or_else(|| of_name(name), metadata::Kind::mime).to_owned());
    let mut uploading = Uploading::begin(files).await?;
    let mut seen = preview::Seen::default();
    if let Some(kind) = kind {
        let _turn = files.pictures().acquire_owned().await.map_err(|_| Problem::of(Code::Stopping))?;
        let whole = body.fill(PICTURE_HELD + 1).await? <= PICTURE_HELD;
        if !whole && !incoming.keep_metadata {
            return Err(kept_metadata("the picture is too large to take out what it says beside the picture"));
        }
        if whole {
            let picture = std::mem::take(&mut body.held);
            let keep = incoming.keep_metadata;
            let worked = blocking(move || {
                let picture = if keep { picture } else { metadata::strip(kind, &picture)? };
                let seen = preview::of(kind, &picture);
                Ok::<_, metadata::StripError>((picture, seen))
            });
            let (picture, found) = worked.await?.map_err(|error| kept_metadata(&error.to_string()))?;
            (body.held, seen) = (picture, found);
        }
    }
    while !body.held.is_empty() {
        let piece = std::mem::take(&mut body.held);
        uploading = uploading.push(piece).await?;
        body.fill(CHUNK_LEN).await?;
    }
    let file = FileRef {
        key: uploading.key.secret().clone(),
        names: Vec::new(),
        size: 0,
        name: name.to_owned(),
        mime,
        pixels: seen.pixels,
        preview: seen.preview,
    };
    let file = uploading.finish(file).await?;
    files.uploaded(file.clone()).await?;
    let (width, height) = file.pixels.unzip();
    Ok(UploadedFile {
        file: file.id().to_string(),
        name: file.name.clone(),
        mime: file.mime.clone(),
        bytes: file.size,
        width,
        height,
    })
}

impl Uploading {
    async fn begin(files: &Files) -> Answer<Self> {
        let blobs = files.blobs().clone();
        let blob = blocking(move || blobs.create()).await?.map_err(|error| blob_problem(&error))?;
        let key = FileKey::generate(&mut rng());
        Ok(Self { blob, writer: FileWriter::new(key.clone()), key })
    }

    /// Seals the next bytes and writes what is whole.
    async fn push(mut self, bytes: Vec<u8>) -> Answer<Self> {
        blocking(move || {
            // A picture comes in one piece; its chunks are written as they are made all the same.
            for piece in bytes.chunks(CHUNK_LEN) {
                for sealed in self.writer.push(piece).map_err(file_problem)? {
                    self.blob.write(sealed.slot, &sealed.bytes).map_err(|error| blob_problem(&error))?;
                }
            }
            Ok(self)
        })
        .await?
    }

    /// Seals the rest and makes all of it durable.
    async fn finish(mut self, mut file: FileRef) -> Answer<FileRef> {
        blocking(move || {
            let mut rest = || -> Result<(), BlobError> {
                while let Some(sealed) = self.writer.finish() {
                    self.blob.write(sealed.slot, &sealed.bytes)?;
                }
                Ok(())
            };
            rest().map_err(|error| blob_problem(&error))?;
            let written = self.writer.written().ok_or_else(|| Problem::of(Code::Internal))?;
            (file.size, file.names) = (written.size, written.names);
            file.check().map_err(file_problem)?;
            self.blob.keep(&file.id()).map_err(|error| blob_problem(&error))?;
            Ok(file)
        })
        .await?
    }
}

/// The body of a request, held in pieces.
struct Pieces<'a, S> {
    body: std::pin::Pin<&'a mut S>,
    held: Vec<u8>,
    ended: bool,
}

impl<S: Stream<Item = Result<Bytes, Problem>>> Pieces<'_, S> {
    /// Reads until at least so many bytes are held, or the body ends; answers how many are held.
    async fn fill(&mut self, bytes: usize) -> Answer<usize> {
        while !self.ended && self.held.len() < bytes {
            let late = |_| Problem::new(Code::TimedOut, "the file came too slowly");
            match timeout(FILE_BODY_IDLE, self.body.next()).await.map_err(late)? {
                Some(piece) => self.held.extend_from_slice(&piece?),
                None => self.ended = true,
            }
        }
        Ok(self.held.len())
    }
}

fn file_problem(error: FileRefError) -> Problem {
    match error {
        FileRefError::Size => {
            Problem::new(Code::TooLong, error.to_string()).hint("split it, or pack it into parts of at most 4 GiB")
        }
        other => Problem::new(Code::BadRequest, other.to_string()),
    }
}

fn kept_metadata(why: &str) -> Problem {
    Problem::new(Code::Metadata, why).hint(
        "send it with --keep-metadata to send everything it says, such as where it was taken; or as another format",
    )
}

/// The media type that the ending of a name stands for.
fn of_name(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "txt" | "md" | "log" | "csv" => "text/plain",
        "html" | "htm" => "text/html",
        "json" => "application/json",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "svg" => "image/svg+xml",
        "mp4" | "m4v" => "video/mp4",
        "webm" => "video/webm",
        "mov" => "video/quicktime",
        "mp3" => "audio/mpeg",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "m4a" => "audio/mp4",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "odt" => "application/vnd.oasis.opendocument.text",
        _ => "application/octet-stream",
    }
}
