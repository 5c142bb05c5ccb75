//! Files of messages, as far as the room has to do with them: what names them, and where that is written down.

use parlor_api::{Code, File, Problem, SendRequest};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::file::{FileRef, safe_name};
use parlor_proto::room::Verdict;
use parlor_proto::{EventId, FileId};
use parlor_storage::{Batch, Namespace};

use super::entry::{Turn, damaged};
use super::message::Reply;
use super::views::open;
use crate::app::Answer;
use crate::services::files::{row_key, row_value};
use crate::services::why::Why;

impl Turn<'_> {
    /// The files that a message names; none of one that is not shown.
    pub(super) fn files(&mut self, id: EventId, reply: Reply<Vec<FileRef>>) {
        let room = self.id();
        self.read(move |store| {
            let row = store.message(&room, &id).map_err(damaged);
            Box::new(move |turn| {
                let found = row.and_then(|row| {
                    let row = row.ok_or_else(|| Problem::of(Code::MessageNotFound))?;
                    let event = Event::decode(&room, &row.bytes).map_err(|_| Problem::of(Code::MessageNotFound))?;
                    let shown = turn.entry.room.verdict_on(&event, &row.device) == Verdict::Shown
                        && !turn.is_of_blocked(&event.device());
                    match open(&room, &event, &row).filter(|_| shown) {
                        Some(Body::File(files)) => Ok(files.files),
                        Some(_) => Ok(Vec::new()),
                        None => Err(Problem::of(Code::MessageNotFound)),
                    }
                });
                drop(reply.send(found));
            })
        });
    }

    /// Writes down, in the batch of a message, which files it names: that is what a start reads.
    pub(super) fn note_files(&self, batch: &mut Batch, event: &Event, body: Option<&Body>) {
        let Some(body) = body else { return };
        note_files(batch, event, body, event.device() == self.context.identity.device());
    }

    /// A message came: its files can be fetched and served from now on. What is not shown now may be later, as soon as its author
    /// is blocked no more: its files are known as well, as after a start, but none is fetched by itself.
    pub(super) fn files_seen(&self, event: &Event, body: Option<&Body>, shown: bool) {
        if let Some(Body::File(files)) = body {
            let own = event.device() == self.context.identity.device();
            self.context.files.seen((self.id(), event.id()), &files.files, own, shown);
        }
    }

    /// The files of a message for windows.
    pub(super) fn file_views(&self, files: &[FileRef]) -> Vec<File> {
        files.iter().map(|file| file_view(file, &self.context.files)).collect()
    }

    /// A file for windows.
    pub(super) fn file_view(&self, file: &FileRef) -> File {
        file_view(file, &self.context.files)
    }

    /// The files that a request names, as they were sealed.
    pub(super) fn attached(&self, request: &SendRequest) -> Answer<Vec<FileRef>> {
        let find = |text: &String| {
            let id: Option<FileId> = text.parse().ok();
            let file = id.and_then(|id| self.context.files.upload(&id));
            let gone = "a file of the message was not taken, or too long ago";
            file.ok_or_else(|| Problem::new(Code::FileNotFound, gone).hint("take it again with POST /files"))
        };
        request.files.iter().map(find).collect()
    }
}

/// Writes down which files a message names; `own` if it was sent from here.
pub(crate) fn note_files(batch: &mut Batch, event: &Event, body: &Body, own: bool) {
    let Body::File(files) = body else { return };
    for (index, file) in files.files.iter().enumerate() {
        batch.put(Namespace::File, &row_key(&file.id(), &event.id()), row_value(index, file, own));
    }
}

/// A file for windows.
pub(crate) fn file_view(file: &FileRef, files: &crate::services::files::Files) -> File {
    let id = file.id();
    let (state, have, why) = files.state(&id);
    let (reason_code, reason) = Why::told(why);
    let (width, height) = file.pixels.unzip();
    File {
        name: file.name.clone(),
        mime: file.mime.clone(),
        bytes: file.size,
        hash: id.to_string(),
        state,
        have,
        reason,
        reason_code,
        save_as: safe_name(&file.name),
        width,
        height,
        preview: !file.preview.is_empty(),
    }
}
