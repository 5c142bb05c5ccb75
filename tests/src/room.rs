//! What people do in rooms, each in one place.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::{Answer, Person, eventually};

/// More than any story writes: the command asks for page after page.
const ALL: &str = "100000";

/// More messages than this are counted before they are read.
const MANY: usize = 100;

/// A message as one person's history shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What it says.
    pub text: String,
    /// Name of its author.
    pub author: String,
    /// `queued`, `sent`, `delivered`, `read` or `failed`.
    pub status: String,
    /// How many other members hold it.
    pub delivered_to: u64,
}

#[allow(clippy::panic, reason = "the harness of tests fails by panicking")]
impl Person {
    /// Makes a room and answers its id.
    #[track_caller]
    pub fn create_room(&self, name: &str) -> String {
        self.cli(&["room", "create", name]).done().text("room")
    }

    /// Makes an invite and answers its link.
    #[track_caller]
    pub fn invite(&self, room: &str, args: &[&str]) -> String {
        self.cli(&[&["invite", "create", room], args].concat()).done().text("link")
    }

    /// Makes an invite with a picture of its QR code.
    #[track_caller]
    pub fn invite_png(&self, room: &str, png: &Path) {
        let png = png.to_string_lossy();
        self.cli(&["invite", "create", room, "--png", &png]).done();
    }

    /// Joins, and waits for it.
    #[track_caller]
    pub fn join(&self, link: &str) {
        let answer = self.cli(&["join", link]).done();
        assert_eq!(answer.text("state"), "joined", "{}", answer.stdout);
    }

    /// Sends one message without waiting for anybody, and answers its id.
    #[track_caller]
    pub fn say(&self, room: &str, text: &str) -> String {
        self.cli(&["send", room, text, "--wait", "none"]).done().text("message")
    }

    /// Sends a message a line without waiting for anybody.
    #[track_caller]
    pub fn say_lines(&self, room: &str, lines: &[String]) -> Answer {
        let input = lines.join("\n") + "\n";
        self.cli_with(&["send", room, "--lines", "--wait", "none"], input.as_bytes())
    }

    /// The whole history of texts, oldest first.
    #[track_caller]
    pub fn history(&self, room: &str) -> Vec<Message> {
        let newest_first = self.cli(&["history", room, "--limit", ALL]).done().lines();
        newest_first.iter().rev().filter(|message| message["kind"] == "text").map(message).collect()
    }

    /// What the texts of the history say, oldest first.
    #[track_caller]
    pub fn texts(&self, room: &str) -> Vec<String> {
        self.history(room).into_iter().map(|message| message.text).collect()
    }

    /// How many texts the node says it holds; 0 while it does not answer.
    pub fn count(&self, room: &str) -> u64 {
        let answer = self.cli(&["status"]);
        let status: Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
        let rooms = status["rooms"].as_array().cloned().unwrap_or_default();
        rooms.iter().find(|entry| entry["room"] == room).and_then(|entry| entry["have"].as_u64()).unwrap_or(0)
    }

    /// Waits until the history holds this many texts, and answers it.
    ///
    /// # Panics
    /// If it holds more, or a message twice, or not so many in time.
    #[track_caller]
    pub fn holds(&self, room: &str, n: usize) -> Vec<Message> {
        let what = format!("{} holds {n} messages", self.name);
        let mut seen = 0;
        let history = eventually(&what, || {
            // The count is cheap, the pages are not.
            if seen == 0 && n > MANY && (self.count(room) as usize) < n {
                return None;
            }
            let history = self.history(room);
            seen = history.len();
            (seen >= n).then_some(history)
        });
        let mut times: BTreeMap<&str, u32> = BTreeMap::new();
        history.iter().for_each(|message| *times.entry(&message.id).or_default() += 1);
        assert!(times.values().all(|times| *times == 1), "a message is shown twice to {}", self.name);
        assert_eq!(history.len(), n, "{} holds more than was written", self.name);
        history
    }

    /// Waits until all own messages are marked as delivered to `n` others.
    ///
    /// # Panics
    /// If they are not in time.
    #[track_caller]
    pub fn all_delivered(&self, room: &str, n: u64) {
        let what = format!("all messages of {} are marked delivered to {n}", self.name);
        eventually(&what, || {
            let history = self.history(room);
            let mut own = history.iter().filter(|message| message.author == self.name);
            own.all(|message| message.status == "delivered" && message.delivered_to == n).then_some(())
        });
    }

    /// Roles by name, as this person's node shows the members.
    #[track_caller]
    pub fn roles(&self, room: &str) -> BTreeMap<String, String> {
        let members = self.cli(&["members", room]).done().lines();
        members.iter().map(|member| (text(member, "name"), text(member, "role"))).collect()
    }

    /// Waits until this person's node shows these members with these roles.
    ///
    /// # Panics
    /// If it does not in time.
    #[track_caller]
    pub fn sees(&self, room: &str, roles: &[(&str, &str)]) {
        let wanted: BTreeMap<String, String> =
            roles.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect();
        eventually(&format!("{} sees {wanted:?}", self.name), || (self.roles(room) == wanted).then_some(()));
    }

    /// What this person is in a room: a role, `left`, `removed`; empty while the room is not known.
    pub fn standing(&self, room: &str) -> String {
        let rooms = self.cli(&["room", "list"]).done().lines();
        let item = rooms.iter().find(|item| item["room"] == room);
        item.and_then(|item| item["role"].as_str()).unwrap_or_default().to_owned()
    }

    /// Waits until this person is told to be removed, and answers by whom.
    ///
    /// # Panics
    /// If it is not in time.
    #[track_caller]
    pub fn is_removed(&self, room: &str) -> String {
        eventually(&format!("{} knows to be removed", self.name), || (self.standing(room) == "removed").then_some(()));
        let shown = self.cli(&["room", "show", room]).done().object();
        shown["gone"]["by"]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// What was done in the room, as people read it, oldest first.
    #[track_caller]
    pub fn notes(&self, room: &str) -> Vec<String> {
        let newest_first = self.cli(&["history", room, "--system", "--limit", ALL]).done().lines();
        let notes = newest_first.iter().rev().filter(|message| message["kind"] == "system");
        notes.map(|note| text(note, "text")).collect()
    }

    /// Waits until this many peers are connected.
    ///
    /// # Panics
    /// If they are not in time.
    #[track_caller]
    pub fn connected_to(&self, n: usize) {
        eventually(&format!("{} has {n} peers", self.name), || {
            let status = self.cli(&["status"]).done().object();
            (status["peers"].as_array().map_or(0, Vec::len) >= n).then_some(())
        });
    }
}

fn message(value: &Value) -> Message {
    Message {
        id: text(value, "message"),
        text: text(value, "text"),
        author: value["author"]["name"].as_str().unwrap_or_default().to_owned(),
        status: text(value, "status"),
        delivered_to: value["delivered_to"].as_u64().unwrap_or(0),
    }
}

#[allow(clippy::panic, reason = "the harness of tests fails by panicking")]
fn text(value: &Value, field: &str) -> String {
    match value[field].as_str() {
        Some(text) => text.to_owned(),
        None => panic!("a message without `{field}`: {value}"),
    }
}
