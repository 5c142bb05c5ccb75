//! Verifying an export offline: its events are taken in as a node takes them in, by a room that holds nothing else.
//!
//! What is shown of each message is then compared with what its author signed. Nothing is believed that the file says beside
//! events and keys: authors, times and texts follow from them.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parlor_api::{Code, EXPORT_VERSION, ExportHead, ExportedEvent, Message, Problem};
use parlor_crypto::Secret;
use parlor_crypto::seal::{self, MessageKey};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::Room;
use parlor_proto::{AccountId, EventId, RoomId};
use serde::{Deserialize, Serialize};

use crate::account::rng;
use crate::app::Answer;
use crate::bus::rfc3339;

/// Events taken in at once.
const BATCH: usize = 256;

/// Findings that are told; further ones are counted.
const TOLD: usize = 100;

/// A whole export.
#[derive(Deserialize)]
struct Export {
    #[serde(flatten)]
    about: ExportHead,
    control: Vec<String>,
    events: Vec<ExportedEvent>,
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The room.
    pub room: String,
    /// As the export calls it.
    pub name: String,
    /// Control events whose signatures and rules hold.
    pub control: usize,
    /// Messages, and what was said about them, whose signatures and rules hold.
    pub events: usize,
    /// Messages that are shown and say what their authors signed.
    pub messages: usize,
    /// Events without a key: deleted, or never readable for who made the export.
    pub closed: usize,
    /// What does not hold; at most a hundred lines.
    pub findings: Vec<String>,
    /// Whether everything holds.
    pub valid: bool,
}

/// Reads an export and verifies it. Blocks; takes memory for all of it.
///
/// # Errors
/// `bad_request` for what is no export of a version that is known.
pub fn verify_export(from: impl Read) -> Answer<Verified> {
    let export: Export = serde_json::from_reader(std::io::BufReader::new(from))
        .map_err(|error| Problem::new(Code::BadRequest, format!("not an export: {error}")))?;
    if export.about.parlor_export != EXPORT_VERSION {
        return Err(Problem::new(Code::BadRequest, "the export was made by a newer version").hint("update parlor"));
    }
    let id: RoomId = export
        .about
        .room
        .parse()
        .map_err(|_| Problem::new(Code::BadRequest, "not an export: there is no room in it"))?;
    let mut verifier = Verifier::new(id, &export.about, export.control.first())?;
    verifier.take(export.control.iter().map(String::as_str));
    let control = verifier.taken;
    verifier.taken = 0;
    verifier.take(export.events.iter().map(|event| event.event.as_str()));
    verifier.waits();
    verifier.compare(&export.events);
    Ok(verifier.end(export.about.name, control))
}

struct Verifier {
    room: Room,
    now_ms: u64,
    taken: usize,
    messages: usize,
    closed: usize,
    findings: Vec<String>,
    more: usize,
    /// Every event by its id, and whether it was taken in.
    events: HashMap<EventId, (Event, bool)>,
}

/// What an edit says, and who says it.
type Edits = HashMap<EventId, Vec<(AccountId, String)>>;

impl Verifier {
    fn new(id: RoomId, about: &ExportHead, genesis: Option<&String>) -> Answer<Self> {
        let genesis = genesis.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let genesis = genesis.and_then(|bytes| Event::decode(&id, &bytes).ok());
        let nobody = |_| Problem::of(Code::Internal);
        let (_, me) = Identity::create("verifier", 0, &mut rng()).map_err(nobody)?;
        let room = Room::to_check(Arc::new(me), id, genesis.as_ref());
        // Of clocks that were ahead at the time nothing follows here.
        let now_ms = about
            .exported_at
            .parse::<jiff::Timestamp>()
            .map_or(u64::MAX / 2, |at| u64::try_from(at.as_millisecond()).unwrap_or(0));
        let (findings, events) = (Vec::new(), HashMap::new());
        Ok(Self { room, now_ms, taken: 0, messages: 0, closed: 0, findings, more: 0, events })
    }

    fn finding(&mut self, text: String) {
        if self.findings.len() < TOLD { self.findings.push(text) } else { self.more += 1 }
    }

    /// Takes events in, as a node does that hears of them for the first time.
    fn take<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let id = self.room.id();
        let mut batch = Vec::with_capacity(BATCH);
        let mut texts = texts.enumerate().peekable();
        while let Some((number, text)) = texts.next() {
            let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| Event::decode(&id, &bytes).ok());
            match decoded {
                Some(event) => {
                    self.events.entry(event.id()).or_insert_with(|| (event.clone(), false));
                    batch.push(event);
                }
                None => self.finding(format!("event {} can not be read", number + 1)),
            }
            if batch.len() == BATCH || texts.peek().is_none() {
                let received = self.room.receive(std::mem::take(&mut batch), self.now_ms);
                self.taken += received.outcome.accepted.len();
                for accepted in &received.outcome.accepted {
                    if let Some((_, taken)) = self.events.get_mut(&accepted.event().id()) {
                        *taken = true;
                    }
                }
                for rejected in received.rejected {
                    self.finding(format!("event {} does not hold: {}", rejected.id, rejected.why));
                }
                for event in received.unsure {
                    self.finding(format!("event {} is on another branch of its log: not verified", event.id()));
                }
            }
        }
    }

    /// What was not taken in waits for what is not in the export.
    fn waits(&mut self) {
        let lost: Vec<EventId> = self.events.iter().filter(|(_, (_, taken))| !taken).map(|(id, _)| *id).collect();
        for id in lost {
            self.finding(format!("event {id} follows what is not in the export"));
        }
    }

    /// What is shown, beside what was signed.
    fn compare(&mut self, events: &[ExportedEvent]) {
        let bodies: BTreeMap<EventId, (usize, Body)> = events
            .iter()
            .enumerate()
            .filter_map(|(number, it)| self.open(it).map(|(id, body)| (id, (number, body))))
            .collect();
        let mut edits = Edits::new();
        for (id, (_, body)) in &bodies {
            if let (Body::Edit(edit), Some(by)) = (body, self.writer(id)) {
                edits.entry(edit.target).or_default().push((by, edit.text.clone()));
            }
        }
        for (number, exported) in events.iter().enumerate() {
            self.closed += usize::from(exported.key.is_none());
            let Some(message) = &exported.message else { continue };
            let id = message.message.parse::<EventId>().ok();
            let signed = id.and_then(|id| bodies.get(&id).filter(|(at, _)| *at == number).map(|(_, body)| (id, body)));
            match signed {
                _ if message.deleted && message.text.is_empty() => {}
                Some((id, body)) => match self.differs(&id, body, message, &edits) {
                    None => self.messages += 1,
                    Some(what) => self.finding(format!("message {id}: {what}")),
                },
                None => self.finding(format!("message {} is not what its event says", message.message)),
            }
        }
    }

    fn open(&self, exported: &ExportedEvent) -> Option<(EventId, Body)> {
        let bytes = URL_SAFE_NO_PAD.decode(&exported.event).ok()?;
        let event = Event::decode(&self.room.id(), &bytes).ok()?;
        let key: [u8; 32] = URL_SAFE_NO_PAD.decode(exported.key.as_ref()?).ok()?.try_into().ok()?;
        let key = MessageKey::from_secret(Secret::new(key));
        let plain = seal::open(&key, self.room.id().as_bytes(), &event.sealing_header(), event.payload()).ok()?;
        Some((event.id(), Body::decode(&plain).ok()?))
    }

    fn writer(&self, id: &EventId) -> Option<AccountId> {
        let (event, _) = self.events.get(id).filter(|(_, taken)| *taken)?;
        self.room.writer_of(event)
    }

    /// What of a message is not as it was signed.
    fn differs(&self, id: &EventId, body: &Body, message: &Message, edits: &Edits) -> Option<String> {
        let Some(author) = self.writer(id) else { return Some("nobody of the room wrote it".to_owned()) };
        if message.author.account != author.to_string() {
            return Some(format!("it was written by {author}"));
        }
        let header = self.events.get(id).and_then(|(event, _)| event.message().cloned())?;
        if message.sent_at != rfc3339(header.hlc.ms()) {
            return Some("it was sent at another time".to_owned());
        }
        let first = match body {
            Body::Text(text) => text.text.as_str(),
            Body::File(files) => {
                let names = files.files.iter().map(|file| (&file.name, file.size, file.id().to_string()));
                let shown = message.files.iter().map(|file| (&file.name, file.bytes, file.hash.clone()));
                if !names.eq(shown) {
                    return Some("its files are others".to_owned());
                }
                files.text.as_str()
            }
            Body::Poll(poll) => poll.question.as_str(),
            _ => return None,
        };
        let own = edits.get(id).into_iter().flatten().filter(|(by, _)| *by == author);
        let fits = own.map(|(_, text)| text.as_str()).chain([first]).any(|text| is_spelled(text, &message.text));
        (!fits).then(|| "its author signed another text".to_owned())
    }

    fn end(mut self, name: String, control: usize) -> Verified {
        if self.more > 0 {
            self.findings.push(format!("and {} more", self.more));
        }
        let room = self.room.id().to_string();
        let (events, messages, closed) = (self.taken, self.messages, self.closed);
        let valid = self.findings.is_empty() && control > 0;
        Verified { room, name, control, events, messages, closed, findings: self.findings, valid }
    }
}

/// Whether a text that is shown is one that was signed, with names in the place of mentions: `<@0>` is any name.
fn is_spelled(signed: &str, shown: &str) -> bool {
    let mut pieces = Vec::new();
    let mut rest = signed;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|text| text.find("<@")).map(|at| at + from) {
        let digits = rest[at + 2..].chars().take_while(char::is_ascii_digit).count();
        if (1..=2).contains(&digits) && rest[at + 2 + digits..].starts_with('>') {
            pieces.push(&rest[..at]);
            rest = &rest[at + 3 + digits..];
            from = 0;
        } else {
            from = at + 2;
        }
    }
    pieces.push(rest);
    let (Some((first, others)), mut left) = (pieces.split_first(), shown) else { return false };
    let Some(after) = left.strip_prefix(first) else { return false };
    left = after;
    let Some((last, middle)) = others.split_last() else { return left.is_empty() };
    for piece in middle {
        // A token that names nobody is shown as it is, which begins with another sign than a name.
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_where_others_are_mentioned_and_nothing_else_may_differ() {
        for (signed, shown, fits) in [
            ("hello", "hello", true),
            ("hello", "hello!", false),
            ("hi <@0>, and <@12>", "hi @Bob, and @Carol of the sea", true),
            ("hi <@0>, and <@12>", "hi @Bob and @Carol", false),
            ("<@0>", "@Bob", true),
            ("<@0> pays", "@Bob never pays", true),
            ("<@> <@x> <", "<@> <@x> <", true),
            ("<@> <@x> <", "<@> <@y> <", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(is_spelled(signed, shown), fits, "{signed:?} {shown:?}");
        }
    }

    #[test]
    fn what_is_no_export_is_refused() {
        for text in ["", "{}", "[]", "{\"parlor_export\":1}", "\u{0}"] {
            assert_eq!(verify_export(text.as_bytes()).unwrap_err().code, Code::BadRequest);
        }
    }
}
