//! Webhooks: programs of the owner that the node calls when messages come.

use std::collections::BTreeSet;

use parlor_api::{Code, CreateWebhook, Problem, Webhook};

use super::{Answer, App};
use crate::services::webhooks::NewHook;

impl App {
    /// Makes a webhook: it is told of what comes from now on. The answer holds the secret that signs, once.
    ///
    /// # Errors
    /// `bad_request` for a name or address that can not be used; `room_not_found`, `ambiguous`; `conflict` for too many.
    pub async fn create_webhook(&self, request: CreateWebhook) -> Answer<Webhook> {
        // A list that came out empty by mistake is not to mean all.
        if request.rooms.as_ref().is_some_and(Vec::is_empty) {
            return Err(Problem::new(Code::BadRequest, "a webhook is for 1 to 64 rooms, or without `rooms` for all"));
        }
        let mut rooms = BTreeSet::new();
        for room in request.rooms.iter().flatten() {
            rooms.insert(self.find_room(room).await?);
        }
        let new = NewHook { name: request.name, url: request.url, rooms: rooms.into_iter().collect() };
        self.node.webhooks.make(new).await
    }

    /// The webhooks with how they do, the oldest first.
    pub async fn list_webhooks(&self) -> Answer<Vec<Webhook>> {
        self.node.webhooks.list().await
    }

    /// Removes a webhook with what waits for it.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn remove_webhook(&self, id: &str) -> Answer<()> {
        self.node.webhooks.remove(id.to_owned()).await
    }

    /// Another secret for a webhook; the one before signs as well for a day.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn rotate_webhook(&self, id: &str) -> Answer<Webhook> {
        self.node.webhooks.rotate(id.to_owned()).await
    }

    /// Delivers to a webhook again that was given up, or tries one now that fails.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn enable_webhook(&self, id: &str) -> Answer<Webhook> {
        self.node.webhooks.enable(id.to_owned()).await
    }
}
