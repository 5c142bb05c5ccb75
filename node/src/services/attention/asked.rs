//! What clients ask of attention.

use parlor_api::{Calls, Draft, Receipts, Room, RoomItem, SetDraft, Settings, UpdateAttention, UpdateSettings};

use crate::app::{Answer, App, message_id};

/// How many messages of these rooms call and were not read, and how many of them mention the user.
pub(crate) fn calling<'a>(rooms: impl Iterator<Item = &'a RoomItem>) -> (u64, u64) {
    let awake = rooms.filter(|room| !room.attention.muted && !room.attention.archived);
    awake.fold((0, 0), |(unread, mentions), room| match room.attention.level {
        Calls::All => (unread + room.unread, mentions + room.mentions),
        Calls::Mentions => (unread + room.mentions, mentions + room.mentions),
        Calls::None => (unread, mentions),
    })
}

impl App {
    /// Who has a message of this device, and who read it.
    ///
    /// # Errors
    /// `message_not_found`; `conflict` for a message that this device did not write.
    pub async fn receipts(&self, room: &str, message: &str) -> Answer<Receipts> {
        self.node.rooms.receipts(self.find_room(room).await?, message_id(message)?).await
    }

    /// The user types in a room, or stopped: others see it, unless the settings say no. To be said again every few seconds.
    ///
    /// # Errors
    /// `not_permitted` in a room that we are out of.
    pub async fn set_typing(&self, room: &str, typing: bool) -> Answer<()> {
        self.node.rooms.typing(self.find_room(room).await?, typing).await
    }

    /// Changes when a room calls, and where it stands in the list; durable when it returns.
    ///
    /// # Errors
    /// `bad_request`.
    pub async fn attend(&self, room: &str, update: UpdateAttention) -> Answer<Room> {
        self.node.rooms.attend(self.find_room(room).await?, update).await
    }

    /// What was written in a room and not sent.
    pub async fn draft(&self, room: &str) -> Answer<Draft> {
        self.node.rooms.draft(self.find_room(room).await?).await
    }

    /// Keeps what was written and not sent; durable when it returns. An empty text takes it away.
    ///
    /// # Errors
    /// `too_long`, `message_not_found` for `reply_to`.
    pub async fn set_draft(&self, room: &str, draft: SetDraft) -> Answer<Draft> {
        self.node.rooms.set_draft(self.find_room(room).await?, draft).await
    }

    /// What this account shows of itself, and how it wants to be called.
    pub async fn settings(&self) -> Answer<Settings> {
        Ok(self.node.context.attention.settings())
    }

    /// Changes that; durable and in force when it returns.
    ///
    /// # Errors
    /// `bad_request`.
    pub async fn update_settings(&self, update: UpdateSettings) -> Answer<Settings> {
        self.node.context.attention.update(update).await
    }
}
