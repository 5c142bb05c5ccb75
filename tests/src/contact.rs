//! What people do with contacts and relays, each in one place.

use serde_json::Value;

use crate::{Person, eventually};

impl Person {
    /// The link of the own card.
    #[track_caller]
    pub fn card(&self) -> String {
        self.cli(&["contact", "card"]).done().text("link")
    }

    /// What the book says of an account that calls itself so; nothing while nobody does.
    #[track_caller]
    pub fn contact(&self, own_name: &str) -> Option<Value> {
        let book = self.cli(&["contact", "list"]).done().lines();
        book.into_iter().find(|contact| contact["own_name"] == own_name)
    }

    /// Waits until the book says that of somebody, and answers all it says of him.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn waits_for(&self, own_name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let what = format!("in the book of {}, {own_name} {what}", self.name);
        eventually(&what, || self.contact(own_name).filter(&is_so))
    }

    /// Waits until somebody has this state in the book.
    ///
    /// # Panics
    /// If he has not in time.
    #[track_caller]
    pub fn sees_contact(&self, own_name: &str, state: &str) -> Value {
        self.waits_for(own_name, &format!("is {state}"), |contact| contact["state"] == state)
    }

    /// Waits until the letter to somebody lies in his inbox at a relay.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn has_mailed(&self, own_name: &str) {
        self.waits_for(own_name, "has our letter in his inbox", |contact| contact["mailed"] == true);
    }

    /// The relays as the status shows them.
    #[track_caller]
    pub fn relays(&self) -> Vec<Value> {
        self.cli(&["status"]).done().object()["relays"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until this many relays have everything of ours, and what we wrote in the room is marked so.
    ///
    /// # Panics
    /// If they have not in time.
    #[track_caller]
    pub fn all_is_put(&self, room: &str, n: usize) {
        eventually(&format!("everything of {} is at {n} relays", self.name), || {
            let history = self.history(room);
            let mut own = history.iter().filter(|message| message.author == self.name);
            let sent = own.all(|message| ["sent", "delivered", "read"].contains(&message.status.as_str()));
            let whole = |relay: &&Value| relay["mailbox"] == true && relay["waiting"] == 0;
            (sent && self.relays().iter().filter(whole).count() == n).then_some(())
        });
    }
}
