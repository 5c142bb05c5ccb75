//! Messages as their annotations make them, in the words of the API.

use parlor_api::{Block, Message, MessageKind, Poll, PollOption, Quote, Thread, Version};
use parlor_proto::annotation::{self, Fold};
use parlor_proto::body::{Body, mention};
use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::{AccountId, EventId};

use super::entry::Turn;
use super::sight::{Looked, Sight};
use super::views::open;
use crate::bus::rfc3339;
use crate::formatted::formatted;

/// Characters of a message that are quoted above an answer.
const QUOTED_CHARS: usize = 140;

/// A text with its mentions.
struct Said {
    text: String,
    mentions: Vec<AccountId>,
}

impl Turn<'_> {
    /// What was said about a message makes of it.
    pub(super) fn fold(&self, looked: &Looked, sight: &Sight) -> Fold {
        let said = sight.about(&looked.event.id()).map(|about| about.annotations.as_slice()).unwrap_or_default();
        let heard =
            said.iter().filter(|said| !self.context.contacts.is_blocked(&said.author) || said.author == looked.author);
        let weighed =
            heard.map(|said| (said.clone(), self.entry.room.weigh(said, sight.path(&said.id), &looked.author)));
        annotation::fold(&looked.author, looked.body.as_ref(), weighed)
    }

    /// A message as it is now.
    pub(super) fn folded_view(&self, looked: &Looked, sight: &Sight) -> Message {
        let fold = self.fold(looked, sight);
        let mut view = self.message_view(&looked.event, looked.body.as_ref(), looked.position, looked.received_ms);
        view.early = looked.early;
        view.expires_at = looked.fades_ms.map(rfc3339);
        view.replies = self.thread_view(&looked.event.id(), sight);
        if let Some(deleted) = fold.deleted {
            clear(&mut view);
            view.deleted = true;
            view.deleted_by = Some(self.author_of(&deleted.by));
            return view;
        }
        view.unsafe_epoch = is_unsafe_now(looked, &fold, sight);
        let edited = fold.edits.last().and_then(|edit| Some((edit, self.edited(&edit.id, sight)?)));
        view.edits = u32::try_from(fold.edits.len()).unwrap_or(u32::MAX);
        view.edited_at = edited.as_ref().map(|(edit, _)| rfc3339(edit.at.ms()));
        if let Some(said) = edited.map(|(_, said)| said).or_else(|| looked.body.as_ref().and_then(said)) {
            view.mentions = said.mentions.iter().map(ToString::to_string).collect();
            view.text = self.spelled(&said);
            view.formatted = self.formatted(&said);
        }
        if let Some(Body::Poll(poll)) = &looked.body {
            view.kind = MessageKind::Poll;
            view.text.clone_from(&poll.question);
            view.poll = Some(poll_view(poll, &fold));
        }
        if let Some(Body::Text(text)) = &looked.body {
            view.thread = text.thread.map(|root| root.to_string());
            view.reply = text.reply_to.and_then(|id| self.quote(&id, sight));
        }
        if let Some(Body::File(files)) = &looked.body {
            view.reply = files.reply_to.and_then(|id| self.quote(&id, sight));
        }
        let names = |who: Vec<AccountId>| who.iter().map(ToString::to_string).collect();
        view.reactions = fold.reactions.into_iter().map(|(emoji, who)| (emoji, names(who))).collect();
        view.pinned_by = fold.pinned.map(|pinned| self.author_of(&pinned.by));
        view
    }

    /// The texts that a message had, the first one first and the present one last.
    pub(super) fn versions(&self, looked: &Looked, sight: &Sight) -> Vec<Version> {
        let fold = self.fold(looked, sight);
        if fold.deleted.is_some() {
            return Vec::new();
        }
        let first = looked.body.as_ref().and_then(said).map(|said| {
            let at = looked.event.message().map_or(Hlc::ZERO, |header| header.hlc);
            self.version(&said, at, is_under_unsafe(looked, looked.event.id(), sight))
        });
        let later = fold.edits.iter().filter_map(|edit| {
            let said = self.edited(&edit.id, sight)?;
            Some(self.version(&said, edit.at, is_under_unsafe(looked, edit.id, sight)))
        });
        first.into_iter().chain(later).collect()
    }

    fn version(&self, said: &Said, at: Hlc, unsafe_epoch: bool) -> Version {
        Version { text: self.spelled(said), formatted: self.formatted(said), at: rfc3339(at.ms()), unsafe_epoch }
    }

    /// A text as a tree, with the names that this node knows; empty where there is nothing to format.
    fn formatted(&self, said: &Said) -> Vec<Block> {
        let named = |number: usize| {
            let account = said.mentions.get(number)?;
            Some((account.to_string(), self.name_of(account)))
        };
        formatted(&said.text, &named).unwrap_or_default()
    }

    /// A text with the names that this node knows.
    fn spelled(&self, said: &Said) -> String {
        mention::shown(&said.text, &said.mentions, |account| self.name_of(account))
    }

    /// The text in an edit.
    fn edited(&self, id: &EventId, sight: &Sight) -> Option<Said> {
        let row = &sight.message(id)?.row;
        let event = Event::decode(&self.id(), &row.bytes).ok()?;
        match open(&self.id(), &event, row)? {
            Body::Edit(edit) => Some(Said { text: edit.text, mentions: edit.mentions }),
            _ => None,
        }
    }

    fn thread_view(&self, id: &EventId, sight: &Sight) -> Option<Thread> {
        let (count, last) = sight.about(id)?.thread?;
        Some(Thread { count: u32::try_from(count).unwrap_or(u32::MAX), last_at: rfc3339(Hlc(last.order()).ms()) })
    }

    /// What an answer shows of the message it answers.
    fn quote(&self, id: &EventId, sight: &Sight) -> Option<Quote> {
        let looked = self.look_at(sight.message(id)?)?;
        let fold = self.fold(&looked, sight);
        let deleted = fold.deleted.is_some();
        let edited = fold.edits.last().and_then(|edit| self.edited(&edit.id, sight));
        let text = match &looked.body {
            _ if deleted => String::new(),
            Some(Body::Poll(poll)) => poll.question.clone(),
            body => edited.or_else(|| body.as_ref().and_then(said)).map(|said| self.spelled(&said)).unwrap_or_default(),
        };
        let kind = self.message_view(&looked.event, looked.body.as_ref(), looked.position, 0).kind;
        let kind = if deleted { MessageKind::Text } else { kind };
        let author = self.author(&looked.event.device());
        let unsafe_epoch = !deleted && is_unsafe_now(&looked, &fold, sight);
        Some(Quote { message: id.to_string(), author, kind, text: shortened(&text), deleted, unsafe_epoch })
    }
}

/// Whether a message, or the text that it has now, was written under keys that its author should have known to be old.
fn is_unsafe_now(looked: &Looked, fold: &Fold, sight: &Sight) -> bool {
    let shown = fold.edits.last().map_or_else(|| looked.event.id(), |edit| edit.id);
    is_under_unsafe(looked, looked.event.id(), sight) || is_under_unsafe(looked, shown, sight)
}

/// The same of one event that is a message or an edit of it.
fn is_under_unsafe(looked: &Looked, id: EventId, sight: &Sight) -> bool {
    sight.about(&looked.event.id()).is_some_and(|about| about.under_unsafe.contains(&id))
}

/// Takes everything that a message said out of its view.
fn clear(view: &mut Message) {
    view.kind = MessageKind::Text;
    view.text = String::new();
    view.formatted = Vec::new();
    view.files = Vec::new();
    view.mentions = Vec::new();
    view.reply_to = None;
}

fn said(body: &Body) -> Option<Said> {
    match body {
        Body::Text(text) => Some(Said { text: text.text.clone(), mentions: text.mentions.clone() }),
        Body::File(files) => Some(Said { text: files.text.clone(), mentions: files.mentions.clone() }),
        _ => None,
    }
}

fn poll_view(poll: &parlor_proto::body::Poll, fold: &Fold) -> Poll {
    let chose = |place: usize| {
        let chose =
            fold.votes.iter().filter(move |(_, choices)| choices.iter().any(|choice| usize::from(*choice) == place));
        chose.map(|(account, _)| account.to_string()).collect()
    };
    let option = |(place, text): (usize, &String)| PollOption { text: text.clone(), votes: chose(place) };
    Poll {
        options: poll.options.iter().enumerate().map(option).collect(),
        several: poll.several,
        voters: u32::try_from(fold.votes.len()).unwrap_or(u32::MAX),
    }
}

/// The beginning of a text on one line.
fn shortened(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(QUOTED_CHARS).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// Whether an account is among those who put this emoji on a message.
pub(super) fn has_reacted(view: &Message, emoji: &str, account: &AccountId) -> bool {
    let account = account.to_string();
    view.reactions.get(emoji).is_some_and(|who| who.contains(&account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_short_line() {
        assert_eq!(shortened("two\nlines"), "two lines");
        let long = shortened(&"é".repeat(1_000));
        assert_eq!(long.chars().count(), QUOTED_CHARS + 1);
        assert!(long.ends_with('…'));
    }
}
