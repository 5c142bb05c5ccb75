//! What the user wants of a room for himself: when it calls, where it stands in the list, and what he began to write in it.
//!
//! Nobody else learns of any of this. It is stored beside the room, sealed like everything, and goes with it.

use parlor_api::{Attention, Calls, Code, Draft, EventBody, Problem, SetDraft, TEXT_MAX, UpdateAttention};
use parlor_proto::FileId;
use parlor_proto::limits::MAX_FILES;
use parlor_storage::{Batch, Namespace};
use serde::{Deserialize, Serialize};

use super::entry::{Turn, names};
use super::message::Reply;
use super::settle::Settle;
use super::wishes::not_ready;
use crate::bus::rfc3339;

/// When a room calls and where it stands, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    level: Calls,
    /// Muted until then; [`FOR_GOOD`] if it does not end.
    muted_until_ms: Option<u64>,
    archived: bool,
    pinned: bool,
}

/// A mute without an end.
const FOR_GOOD: u64 = u64::MAX;

/// A draft, as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct KeptDraft {
    text: String,
    files: Vec<String>,
    reply_to: Option<String>,
    updated_ms: u64,
}

impl Wanted {
    /// In the words of the API.
    pub(super) fn view(&self, now_ms: u64) -> Attention {
        let until = self.muted_until_ms.filter(|until| *until > now_ms);
        Attention {
            level: self.level,
            muted: until.is_some(),
            muted_until: until.filter(|until| *until != FOR_GOOD).map(rfc3339),
            archived: self.archived,
            pinned: self.pinned,
        }
    }

    /// When it becomes another by itself.
    pub(super) fn due(&self, now_ms: u64) -> Option<u64> {
        self.muted_until_ms.filter(|until| *until > now_ms && *until != FOR_GOOD)
    }

    fn update(&mut self, update: &UpdateAttention, now_ms: u64) {
        self.level = update.level.unwrap_or(self.level);
        self.archived = update.archived.unwrap_or(self.archived);
        self.pinned = update.pinned.unwrap_or(self.pinned);
        match (update.muted, update.mute_for) {
            (Some(false), _) => self.muted_until_ms = None,
            (_, Some(seconds)) => {
                self.muted_until_ms = Some(now_ms.saturating_add(seconds.saturating_mul(1_000)).min(FOR_GOOD - 1));
            }
            (Some(true), None) => self.muted_until_ms = Some(FOR_GOOD),
            (None, None) => {}
        }
    }
}

/// The files of a draft, as stored; `None` for one that can not be read.
pub(crate) fn files_of_draft(bytes: Option<Vec<u8>>) -> Option<Vec<FileId>> {
    let Some(bytes) = bytes else { return Some(Vec::new()) };
    let draft: KeptDraft = serde_json::from_slice(&bytes).ok()?;
    draft.files.iter().map(|file| file.parse().ok()).collect()
}

/// What is stored of a kind; damaged or newer text reads as nothing chosen.
pub(super) fn decode<T: Default + for<'a> Deserialize<'a>>(bytes: Option<Vec<u8>>) -> T {
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

impl Turn<'_> {
    /// Changes when the room calls and where it stands.
    pub(super) fn attend(&mut self, update: &UpdateAttention, reply: Reply<parlor_api::Room>) {
        if update.muted == Some(false) && update.mute_for.is_some() {
            let problem = Problem::new(Code::BadRequest, "`mute_for` says how long to mute, and `muted` not to");
            return drop(reply.send(Err(problem)));
        }
        let mut wanted = self.entry.wanted.clone();
        wanted.update(update, self.now_ms);
        self.keep(names::WANTED, &wanted.clone(), move |turn, done| {
            if done.is_ok() {
                turn.entry.wanted = wanted;
                turn.summarise();
            }
            let view = turn.room_view().ok_or_else(not_ready);
            drop(reply.send(done.and(view)));
        });
    }

    /// The draft, in the words of the API.
    pub(super) fn draft_view(&self) -> Draft {
        let draft = &self.entry.draft;
        Draft {
            room: self.id().to_string(),
            text: draft.text.clone(),
            reply_to: draft.reply_to.clone(),
            files: draft
                .attached()
                .filter_map(|file| self.context.files.upload(&file))
                .map(|it| self.file_view(&it))
                .collect(),
            updated_at: (!draft.is_empty()).then(|| rfc3339(draft.updated_ms)),
        }
    }

    /// Keeps a draft, or takes it away.
    pub(super) fn set_draft(&mut self, set: SetDraft, reply: Reply<Draft>) {
        if set.text.len() > TEXT_MAX {
            let detail = format!("a draft has at most {TEXT_MAX} bytes, this has {}", set.text.len());
            return drop(reply.send(Err(Problem::new(Code::TooLong, detail).hint("shorten it"))));
        }
        if let Some(id) = &set.reply_to
            && id.parse::<parlor_proto::EventId>().is_err()
        {
            return drop(reply.send(Err(Problem::of(Code::MessageNotFound))));
        }
        if set.files.len() > MAX_FILES {
            let detail = format!("a draft has at most {MAX_FILES} files, this has {}", set.files.len());
            return drop(reply.send(Err(Problem::new(Code::BadRequest, detail))));
        }
        let is_here = |file: &String| file.parse().is_ok_and(|id| self.context.files.upload(&id).is_some());
        if !set.files.iter().all(is_here) {
            let gone = Problem::new(Code::FileNotFound, "a file of the draft was not taken, or too long ago");
            return drop(reply.send(Err(gone.hint("take it again with POST /files"))));
        }
        let draft = match set.text.is_empty() && set.files.is_empty() {
            true => KeptDraft::default(),
            false => KeptDraft { text: set.text, files: set.files, reply_to: set.reply_to, updated_ms: self.now_ms },
        };
        self.keep(names::DRAFT, &draft.clone(), move |turn, done| {
            if done.is_ok() {
                let same = turn.entry.draft.says(&draft);
                turn.entry.draft = draft;
                if !same {
                    turn.publish(EventBody::Draft(Box::new(turn.draft_view())));
                    turn.summarise();
                }
            }
            let view = turn.draft_view();
            drop(reply.send(done.map(|()| view)));
        });
    }

    /// A message is gone: a draft answers it no more.
    pub(super) fn drop_answer_to(&mut self, message: &str) {
        if self.entry.draft.reply_to.as_deref() != Some(message) {
            return;
        }
        let draft = KeptDraft { reply_to: None, ..self.entry.draft.clone() };
        self.keep(names::DRAFT, &draft.clone(), move |turn, done| {
            if done.is_ok() {
                turn.entry.draft = draft;
                turn.publish(EventBody::Draft(Box::new(turn.draft_view())));
            }
        });
    }

    /// Stores one of these beside the room.
    fn keep(
        &mut self,
        name: &[u8],
        value: &impl Serialize,
        then: impl FnOnce(&mut Turn<'_>, Result<(), Problem>) + Send + 'static,
    ) {
        let mut batch = Batch::new(Some(self.id()));
        match serde_json::to_vec(value) {
            // A draft is a text that may be sent: it may not outlive that, and a timer may be set before it is.
            Ok(bytes) => {
                batch.put_fading(Namespace::Meta, name, bytes);
            }
            Err(error) => return then(self, Err(Problem::new(Code::Internal, error.to_string()))),
        }
        self.hand_over(batch, Settle::reply(then));
    }
}

impl KeptDraft {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.files.is_empty()
    }

    /// Whether it says the same, whenever it was written.
    fn says(&self, other: &Self) -> bool {
        (&self.text, &self.files, &self.reply_to) == (&other.text, &other.files, &other.reply_to)
    }

    /// The files that would go with it.
    fn attached(&self) -> impl Iterator<Item = FileId> {
        self.files.iter().filter_map(|file| file.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mute_ends_when_it_was_said_or_by_hand() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.view(0), Attention::default());
        wanted.update(&UpdateAttention { mute_for: Some(60), ..UpdateAttention::default() }, 1_000);
        assert!(wanted.view(60_999).muted && wanted.due(2_000) == Some(61_000));
        assert!(!wanted.view(61_000).muted && wanted.due(61_000).is_none());
        wanted.update(&UpdateAttention { muted: Some(true), ..UpdateAttention::default() }, 1_000);
        assert!(wanted.view(u64::MAX - 1).muted && wanted.due(2_000).is_none());
        assert_eq!(wanted.view(5).muted_until, None);
        wanted.update(&UpdateAttention { level: Some(Calls::Mentions), ..UpdateAttention::default() }, 2_000);
        assert!(wanted.view(5).muted, "what is not said stays");
        wanted.update(&UpdateAttention { muted: Some(false), ..UpdateAttention::default() }, 2_000);
        assert_eq!(wanted.view(5), Attention { level: Calls::Mentions, ..Attention::default() });
    }

    #[test]
    fn what_is_stored_can_grow() {
        let wanted: Wanted = decode(Some(br#"{"pinned":true,"colour":"red"}"#.to_vec()));
        assert!(wanted.pinned);
        assert_eq!(decode::<Wanted>(Some(b"not json".to_vec())), Wanted::default());
    }
}
