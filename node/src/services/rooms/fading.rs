//! Messages that disappear, as far as a room has to do with them: how long what is said about one lasts, and what goes with it.

use std::collections::VecDeque;

use parlor_api::{EventBody, MessageExpired};
use parlor_proto::EventId;
use parlor_proto::annotation;
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::room::{Message, Verdict};
use parlor_storage::{Batch, Due, Namespace};

use super::entry::Turn;
use super::message::Reply;
use super::settle::Settle;
use crate::services::files::row_key;

/// Messages of which it is remembered when they disappear, until the store knows: more than come in one batch of sync.
const LATELY: usize = 1_280;

/// When the messages disappear that came lately, for what is said about them in the same breath.
#[derive(Debug, Default)]
pub(super) struct Lately(VecDeque<(EventId, Life)>);

/// How long a message lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It is over.
    Over,
    /// Up to a moment, or for ever.
    Until(Option<u64>),
}

impl Lately {
    fn note(&mut self, message: &Message) {
        if self.0.len() == LATELY {
            self.0.pop_front();
        }
        let life = if message.verdict == Verdict::Faded { Life::Over } else { Life::Until(message.fades_ms) };
        self.0.push_back((message.event.id(), life));
    }

    fn find(&self, id: &EventId) -> Option<Life> {
        self.0.iter().rev().find(|(known, _)| known == id).map(|(_, life)| *life)
    }
}

/// The later of two ends; `None` is never.
fn later(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    Some(one?.max(other?))
}

impl Turn<'_> {
    /// A message is about to be stored: what is said about another one lasts at least as long as that, and is not shown if that is over.
    ///
    /// Its own time it keeps in any case: before that is over nobody takes it without its payload, and so nothing its author wrote
    /// later.
    pub(super) fn lasting(&mut self, message: &mut Message) {
        self.ending_as_shown(message);
        if let Some(target) = message.body.as_ref().and_then(Body::target) {
            match self.life(&target) {
                Some(Life::Over) => (message.key, message.body, message.verdict) = (None, None, Verdict::Faded),
                Some(Life::Until(until)) => message.fades_ms = later(message.fades_ms, until),
                None => {}
            }
        } else if message.verdict == Verdict::Faded || message.fades_ms.or(self.entry.room.ttl_ms()).is_some() {
            self.entry.lately.note(message);
        }
        if let Some(until_ms) = message.fades_ms {
            self.context.fading.note(until_ms);
        }
    }

    /// What was shown early ends when it was to end then: it disappears once.
    fn ending_as_shown(&self, message: &mut Message) {
        let Some(ends_ms) = self.entry.early.ends_ms(&message.event.id()).filter(|_| message.fades_ms.is_some()) else {
            return;
        };
        message.fades_ms = message.fades_ms.min(Some(ends_ms));
        if ends_ms <= self.now_ms {
            (message.key, message.body, message.verdict) = (None, None, Verdict::Faded);
        }
    }

    /// How long a message that is here lasts.
    fn life(&self, id: &EventId) -> Option<Life> {
        if let Some(life) = self.entry.lately.find(id) {
            return Some(life);
        }
        let row = self.context.store.message(&self.id(), id).ok().flatten()?;
        let event = Event::decode(&self.id(), &row.bytes).ok()?;
        Some(if event.is_bare() { Life::Over } else { Life::Until(row.fades_ms) })
    }

    /// Takes away messages that are over: the lines, what is said about them, and their files. Answered when it is durable.
    pub(super) fn fade(&mut self, due: Vec<Due>, reply: Reply<()>) {
        let room = self.id();
        let mut batch = Batch::new(Some(room));
        let mut gone = Vec::new();
        for due in due {
            for file in self.context.files.named_by(&room, &due.id) {
                batch.delete(Namespace::File, &row_key(&file, &due.id));
            }
            batch.unsay(annotation::about(&due.id)).unsay(annotation::thread(&due.id));
            batch.unremark(annotation::PINS, &due.id.0).fade(due);
            gone.push(due);
        }
        self.hand_over(
            batch,
            Settle::reply(move |turn, done| {
                if done.is_ok() {
                    turn.faded(&gone);
                }
                drop(reply.send(done));
            }),
        );
    }

    /// Messages are gone: windows drop them, nobody is called to them any more, and no answer is begun to one.
    fn faded(&mut self, gone: &[Due]) {
        for due in gone {
            let room = self.id();
            self.context.files.unname(&room, &due.id);
            self.context.bus.forget(&due.id.to_string());
            if !due.is_line {
                continue;
            }
            let (room, message) = (room.to_string(), due.id.to_string());
            // The newest line of the room, or what it quotes.
            let quotes = |line: &parlor_api::Message| line.reply_to.as_ref() == Some(&message);
            if self.entry.last.as_ref().is_some_and(|(place, line)| *place == due.position || quotes(line)) {
                self.entry.last = None;
            }
            self.drop_answer_to(&message);
            self.publish(EventBody::MessageExpired(MessageExpired { message, room }));
        }
        if gone.iter().any(|due| due.is_line) {
            self.recount(None);
            self.load_last();
            self.summarise();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_about_a_message_lasts_as_long_as_either() {
        assert_eq!(later(Some(1), Some(2)), Some(2));
        assert_eq!(later(Some(2), Some(1)), Some(2));
        assert_eq!(later(Some(1), None), None);
        assert_eq!(later(None, Some(1)), None);
    }
}
