//! Files: what a client can ask of them.

use bytes::Bytes;
use futures::Stream;
use parlor_api::{Code, File, Problem, UploadedFile};
use parlor_proto::RoomId;
use parlor_proto::file::FileRef;

use super::{Answer, App, message_id};
use crate::services::files::{self, Download, Incoming, Place};
use crate::services::rooms::file_view;

impl App {
    /// The store, for what is kept beside the history.
    pub(crate) fn store(&self) -> &parlor_storage::Store {
        &self.node.context.store
    }

    /// Seals a file whose bytes come one after the other, for a message; durable when it returns. Cancel safe: what was taken so
    /// far is removed.
    ///
    /// # Errors
    /// `too_long`, `disk_full`, `busy`, `timed_out`, `metadata`.
    pub(crate) async fn upload(
        &self,
        incoming: Incoming,
        body: impl Stream<Item = Result<Bytes, Problem>> + Send,
    ) -> Answer<UploadedFile> {
        files::take_upload(&self.node.context.files, incoming, body).await
    }

    /// A file of a message that is here.
    ///
    /// # Errors
    /// `message_not_found`, `file_not_found`, `file_not_here`.
    pub(crate) async fn download(&self, room: &str, message: &str, index: u32) -> Answer<Download> {
        let (_, file) = self.file(room, message, index).await?;
        Download::new(self.node.context.files.clone(), file)
    }

    /// Has a file fetched, now or when somebody is there who has it. Durable when it returns.
    ///
    /// # Errors
    /// `message_not_found`, `file_not_found`; `not_permitted` for one who is out of the room.
    pub(crate) async fn fetch_file(&self, room: &str, message: &str, index: u32) -> Answer<File> {
        let (place, file) = self.file(room, message, index).await?;
        self.node.context.files.want(file.id(), place).await?;
        Ok(file_view(&file, &self.node.context.files))
    }

    /// Has a file fetched no more, and what is here of it removed.
    ///
    /// # Errors
    /// `message_not_found`, `file_not_found`; `conflict` for one that was sent from here.
    pub(crate) async fn remove_file(&self, room: &str, message: &str, index: u32) -> Answer<File> {
        let (_, file) = self.file(room, message, index).await?;
        self.node.context.files.give_up(file.id()).await?;
        Ok(file_view(&file, &self.node.context.files))
    }

    /// The small picture that came with a file, decoded within bounds and made anew.
    ///
    /// # Errors
    /// `message_not_found`, `file_not_found` also when there is none.
    pub(crate) async fn preview(&self, room: &str, message: &str, index: u32) -> Answer<Vec<u8>> {
        let (_, file) = self.file(room, message, index).await?;
        let made = tokio::task::spawn_blocking(move || files::checked_preview(&file.preview)).await;
        made.ok().flatten().ok_or_else(|| Problem::new(Code::FileNotFound, "the file has no small picture"))
    }

    async fn file(&self, room: &str, message: &str, index: u32) -> Answer<(Place, FileRef)> {
        let room: RoomId = self.find_room(room).await?;
        let message = message_id(message)?;
        let named = self.node.rooms.files(room, message).await?;
        let file = named.into_iter().nth(index as usize).ok_or_else(|| Problem::of(Code::FileNotFound))?;
        Ok((Place { room, message, index }, file))
    }
}
