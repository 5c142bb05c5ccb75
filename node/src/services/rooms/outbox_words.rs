//! What waits in the outbox, in words: an edit or a reaction is no line of its room, so by its number nobody knows what it is.

use parlor_api::{OutboxEntry, OutboxKind};
use parlor_proto::body::{Body, mention};
use parlor_proto::event::Event;
use parlor_proto::{AccountId, EventId, RoomId};

use super::views::{NAMELESS, open};
use super::worker::Context;

/// Entries that are told in words, the oldest: of more than that only the numbers are told.
const TOLD_MAX: usize = 1_000;
/// Longest text of an entry, in characters.
const TEXT_MAX: usize = 160;

/// One entry as a worker has it: its body, while it is not written.
pub(crate) struct Waits {
    pub(super) entry: OutboxEntry,
    pub(super) room: RoomId,
    pub(super) event: Option<EventId>,
    pub(super) body: Vec<u8>,
}

/// Says of each entry what it is. Blocks: what is written already is read from the disk.
pub(crate) fn tell(context: &Context, waits: Vec<Waits>) -> Vec<OutboxEntry> {
    let tell = |(n, waits): (usize, Waits)| {
        let body = (n < TOLD_MAX).then(|| match waits.event {
            None => Body::decode(&waits.body).ok(),
            Some(event) => written(context, &waits.room, &event),
        });
        let mut entry = waits.entry;
        if let Some(body) = body.flatten() {
            let (kind, about, text) = say(context, &body);
            entry.kind = kind;
            entry.about = about.map(|id| id.to_string());
            entry.text = cut(&text);
        }
        entry
    };
    waits.into_iter().enumerate().map(tell).collect()
}

fn written(context: &Context, room: &RoomId, event: &EventId) -> Option<Body> {
    let row = context.store.message(room, event).ok()??;
    open(room, &Event::decode(room, &row.bytes).ok()?, &row)
}

/// What a body is, which message it is about, and what it says.
fn say(context: &Context, body: &Body) -> (OutboxKind, Option<EventId>, String) {
    let named =
        |text: &str, mentions: &[AccountId]| mention::shown(text, mentions, |account| name_of(context, account));
    match body {
        Body::Text(it) => (OutboxKind::Text, None, named(&it.text, &it.mentions)),
        Body::File(it) => {
            let names: Vec<_> = it.files.iter().map(|file| file.name.as_str()).collect();
            let text = if it.text.is_empty() { names.join(", ") } else { named(&it.text, &it.mentions) };
            (OutboxKind::File, None, text)
        }
        Body::Poll(it) => (OutboxKind::Poll, None, it.question.clone()),
        Body::Group(it) => (OutboxKind::Invitation, None, it.name.clone()),
        Body::Edit(it) => (OutboxKind::Edit, Some(it.target), named(&it.text, &it.mentions)),
        Body::Redact(it) => (OutboxKind::Deletion, Some(it.target), String::new()),
        Body::React(it) => {
            let kind = if it.on { OutboxKind::Reaction } else { OutboxKind::ReactionOff };
            (kind, Some(it.target), it.emoji.clone())
        }
        Body::Vote(it) => (OutboxKind::Vote, Some(it.poll), String::new()),
        Body::Pin(it) => {
            let kind = if it.on { OutboxKind::Pin } else { OutboxKind::PinOff };
            (kind, Some(it.target), String::new())
        }
        _ => (OutboxKind::Unknown, None, String::new()),
    }
}

fn name_of(context: &Context, account: &AccountId) -> String {
    let name = context.profiles.name_of(account, &context.contacts.shown(account).unwrap_or_default());
    if name.is_empty() { account.to_string().chars().take(NAMELESS).collect() } else { name }
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_text_the_beginning_is_told() {
        assert_eq!(cut("short"), "short");
        let long = "ä".repeat(TEXT_MAX + 1);
        assert_eq!(cut(&long), format!("{}…", "ä".repeat(TEXT_MAX)));
        assert_eq!(cut(&"ä".repeat(TEXT_MAX)).chars().count(), TEXT_MAX);
    }
}
