//! What is read of the store to show messages: themselves, what is said about them, what they answer.
//!
//! A [`Sight`] is filled step by step: what the first messages need (the text of an edit, the message that is quoted) is known
//! only when they are read, and only the room can say what counts. Reading happens beside the worker, or, for a single message
//! that is shown now, at once.

use std::collections::{HashMap, HashSet};

use parlor_api::{Code, Problem};
use parlor_proto::annotation::{self, Annotation, Kept};
use parlor_proto::body::Body;
use parlor_proto::event::Event;
use parlor_proto::{AccountId, DeviceId, EventId, RoomId};
use parlor_storage::{Position, Store, TimelineRow};

use super::entry::{After, Turn, damaged};
use super::views::open;
use crate::app::Answer;

/// How often a sight is filled: messages, their edits and quotes, the edits of what is quoted.
const ROUNDS: usize = 3;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Sight {
    messages: HashMap<EventId, Option<TimelineRow>>,
    said: HashMap<EventId, About>,
    /// The paths of their logs that annotations are stored under, where that is asked for.
    paths: HashMap<EventId, Option<DeviceId>>,
}

/// What is said about a message.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) annotations: Vec<Annotation>,
    /// How many messages its thread has here, as far as they are counted, and the last of them.
    pub(super) thread: Option<(usize, Position)>,
    /// Which of it and its edits were written under keys that were not safe for their author.
    pub(super) under_unsafe: Vec<EventId>,
}

/// What is to be read.
#[derive(Debug, Default)]
struct Wants {
    messages: HashSet<EventId>,
    said: HashSet<EventId>,
    paths: HashSet<EventId>,
}

/// A message of the store that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub(super) position: Position,
    pub(super) received_ms: u64,
    /// Windows show it, as far as the room has a say: whoever wrote it might, and is not blocked.
    pub(super) shown: bool,
    /// Its key is gone.
    pub(super) erased: bool,
    /// It is shown before the log reaches it.
    pub(super) early: bool,
    /// When it disappears.
    pub(super) fades_ms: Option<u64>,
    pub(super) event: Event,
    /// As its own view tells.
    pub(super) author: AccountId,
    /// What it said when it was written, if that can be read.
    pub(super) body: Option<Body>,
}

impl Sight {
    /// A message that was read.
    pub(super) fn message(&self, id: &EventId) -> Option<&TimelineRow> {
        self.messages.get(id)?.as_ref()
    }

    /// What is said about a message.
    pub(super) fn about(&self, id: &EventId) -> Option<&About> {
        self.said.get(id)
    }

    /// On which path of its log an annotation is stored, where that was read.
    pub(super) fn path(&self, id: &EventId) -> Option<&DeviceId> {
        self.paths.get(id)?.as_ref()
    }

    /// What is said about these messages. Blocks.
    pub(super) fn of(store: &Store, room: &RoomId, rows: &[TimelineRow]) -> Answer<Self> {
        let ids = rows.iter().map(|row| row.row.id);
        let said = ids.map(|id| Ok((id, about(store, room, &id)?))).collect::<Answer<_>>()?;
        Ok(Self { said, ..Self::default() })
    }

    /// Adds messages by id. Blocks.
    pub(super) fn add(&mut self, store: &Store, room: &RoomId, ids: impl IntoIterator<Item = EventId>) -> Answer<()> {
        self.fill(store, room, Wants { messages: ids.into_iter().collect(), ..Wants::default() })
    }

    /// Puts messages in the place of those that were not found.
    pub(super) fn fill_in(&mut self, row: impl Fn(&EventId) -> Option<TimelineRow>) {
        for (id, found) in self.messages.iter_mut().filter(|(_, found)| found.is_none()) {
            *found = row(id);
        }
    }

    /// Adds what is said about a message that is looked at.
    pub(super) fn say(&mut self, target: &EventId, said: Annotation) {
        if let Some(about) = self.said.get_mut(target)
            && about.annotations.iter().all(|it| it.id != said.id)
        {
            about.annotations.push(said);
        }
    }

    /// Reads what is wanted. Blocks.
    fn fill(&mut self, store: &Store, room: &RoomId, wants: Wants) -> Answer<()> {
        for id in wants.messages {
            let row = super::reads::readable_row(store, room, &id)?;
            self.messages.insert(id, row);
        }
        for id in wants.said {
            self.said.insert(id, about(store, room, &id)?);
        }
        for id in wants.paths {
            let row = super::reads::readable_row(store, room, &id)?;
            self.paths.insert(id, row.map(|row| row.row.device));
        }
        Ok(())
    }
}

impl Wants {
    fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.said.is_empty() && self.paths.is_empty()
    }
}

/// What the store keeps about a message. Blocks.
fn about(store: &Store, room: &RoomId, id: &EventId) -> Answer<About> {
    let kept = store.remarks(room, &annotation::about(id), usize::MAX).map_err(damaged)?;
    let mut about = About::default();
    for row in kept {
        match Kept::decode(&row.value) {
            Some(Kept::Said(said)) => about.annotations.push(said),
            Some(Kept::Thread) => {
                let most = parlor_api::THREAD_COUNTED as usize;
                let thread = store.newest_remarks(room, &annotation::thread(id), None, most).map_err(damaged)?;
                let last = store.position(room, &row.id).map_err(damaged)?;
                about.thread = last.map(|last| (thread.len(), last));
            }
            Some(Kept::Unsafe) => about.under_unsafe.push(row.id),
            None => {}
        }
    }
    Ok(about)
}

impl Turn<'_> {
    /// Shows rows that were read with what is said about them, when all that they need is read too.
    pub(super) fn when_seen(
        &mut self,
        rows: &[TimelineRow],
        sight: Sight,
        then: impl FnOnce(&mut Turn<'_>, &[Looked], Sight) + Send + 'static,
    ) {
        let looked = rows.iter().filter_map(|row| self.look_at(row)).collect();
        self.see(looked, sight, ROUNDS, Box::new(then));
    }

    /// Goes on with messages when all that they need is read.
    pub(super) fn see_all(
        &mut self,
        looked: Vec<Looked>,
        sight: Sight,
        then: impl FnOnce(&mut Turn<'_>, &[Looked], Sight) + Send + 'static,
    ) {
        self.see(looked, sight, ROUNDS, Box::new(then));
    }

    fn see(&mut self, looked: Vec<Looked>, mut sight: Sight, rounds: usize, then: Then) {
        self.see_early(&mut sight);
        let wants = self.lacking(&looked, &sight);
        if wants.is_empty() || rounds == 0 {
            return then(self, &looked, sight);
        }
        let room = self.id();
        self.read(move |store| -> After {
            let filled = sight.fill(store, &room, wants);
            Box::new(move |turn| match filled {
                Ok(()) => turn.see(looked, sight, rounds - 1, then),
                Err(problem) => {
                    tracing::error!(room = %room.short(), %problem, "what is said about messages can not be read");
                    then(turn, &looked, sight);
                }
            })
        });
    }

    /// Looks a message up with what is said about it and what it needs to be shown. `message_not_found` if it is not here, or not
    /// shown, or is no line of the history.
    pub(super) fn look_up(
        &mut self,
        id: EventId,
        then: impl FnOnce(&mut Turn<'_>, Answer<(&Looked, Sight)>) + Send + 'static,
    ) {
        let room = self.id();
        let early = self.early_row(&id);
        self.read(move |store| -> After {
            let row = super::reads::timeline_row(store, &room, &id).map(|row| row.or(early));
            let found = row.and_then(|row| {
                let rows: Vec<_> = row.into_iter().collect();
                Sight::of(store, &room, &rows).map(|sight| (rows, sight))
            });
            Box::new(move |turn| match found {
                Ok((rows, sight)) => turn.when_seen(&rows, sight, move |turn, looked, sight| {
                    let first = looked.first().ok_or_else(|| Problem::of(Code::MessageNotFound));
                    then(turn, first.map(|looked| (looked, sight)));
                }),
                Err(problem) => then(turn, Err(problem)),
            })
        });
    }

    /// What a message needs to be shown that stands here, read at once from the worker, a few rows: for what is shown as it comes.
    pub(super) fn look_now(&self, looked: &Looked) -> Sight {
        let (room, store) = (self.id(), &self.context.store);
        let mut sight = Sight::default();
        let mut wants = Wants { said: HashSet::from([looked.event.id()]), ..Wants::default() };
        for _ in 0..=ROUNDS {
            if let Err(problem) = sight.fill(store, &room, wants) {
                tracing::error!(room = %room.short(), %problem, "what is said about a message can not be read");
                break;
            }
            self.see_early(&mut sight);
            wants = self.lacking(std::slice::from_ref(looked), &sight);
            if wants.is_empty() {
                break;
            }
        }
        sight
    }

    /// A stored message as it is looked at; `None` when it is not shown, or is an annotation.
    pub(super) fn look_at(&self, row: &TimelineRow) -> Option<Looked> {
        self.look_at_any(row).filter(|looked| looked.shown)
    }

    /// Whether a message is shown: whoever wrote it might, and is not blocked.
    fn shows(&self, row: &TimelineRow, event: &Event) -> bool {
        // On which branch of its log an early message stands is not known before the log has it.
        let verdict = match self.entry.early.get(&event.id()) {
            Some(_) => self.entry.room.verdict(event),
            None => self.entry.room.verdict_on(event, &row.row.device),
        };
        let allowed = verdict == parlor_proto::room::Verdict::Shown;
        allowed && !self.is_of_blocked(&event.device())
    }

    /// As [`look_at`](Self::look_at), also of one that is not shown now.
    pub(super) fn look_at_any(&self, row: &TimelineRow) -> Option<Looked> {
        row.row.key.as_ref()?;
        if row.row.fades_ms.is_some_and(|fades_ms| fades_ms <= self.now_ms) {
            return None;
        }
        let event = Event::decode(&self.id(), &row.row.bytes).ok()?;
        let erased = row.row.is_erased();
        let body = if erased { None } else { open(&self.id(), &event, &row.row) };
        let is_line = body.as_ref().is_none_or(|body| body.target().is_none());
        let author = self.entry.room.writer_of(&event).filter(|_| is_line)?;
        let (position, received_ms, fades_ms) = (row.position, row.row.received_ms, row.row.fades_ms);
        let early = self.entry.early.get(&row.row.id).is_some();
        let shown = self.shows(row, &event);
        Some(Looked { position, received_ms, shown, erased, early, fades_ms, event, author, body })
    }

    /// What showing these rows needs and was not read yet.
    fn lacking(&self, rows: &[Looked], sight: &Sight) -> Wants {
        let mut wants = Wants { paths: self.lacking_paths(sight), ..Wants::default() };
        let mut need = |looked: &Looked| {
            if let Some(edit) = self.fold(looked, sight).edits.last()
                && !sight.messages.contains_key(&edit.id)
            {
                wants.messages.insert(edit.id);
            }
        };
        let mut quoted = Vec::new();
        for looked in rows {
            need(looked);
            if let Some(Body::Text(text)) = &looked.body {
                quoted.extend(text.reply_to);
            }
            if let Some(Body::File(files)) = &looked.body {
                quoted.extend(files.reply_to);
            }
        }
        for id in &quoted {
            if let Some(looked) = sight.message(id).and_then(|row| self.look_at(row)) {
                need(&looked);
            }
        }
        for id in quoted {
            if !sight.messages.contains_key(&id) {
                wants.messages.insert(id);
            }
            if !sight.said.contains_key(&id) {
                wants.said.insert(id);
            }
        }
        wants
    }

    /// Goes on when of the annotations that were read those paths are known that are asked for.
    pub(super) fn with_paths(&mut self, mut sight: Sight, then: impl FnOnce(&mut Turn<'_>, Sight) + Send + 'static) {
        let (room, paths) = (self.id(), self.lacking_paths(&sight));
        if paths.is_empty() {
            return then(self, sight);
        }
        self.read(move |store| -> After {
            let filled = sight.fill(store, &room, Wants { paths, ..Wants::default() });
            Box::new(move |turn| {
                if let Err(problem) = filled {
                    tracing::error!(room = %room.short(), %problem, "where annotations are stored can not be read");
                }
                then(turn, sight);
            })
        });
    }

    /// The annotations that are judged by the branch that they stand on, and of which it was not read yet.
    fn lacking_paths(&self, sight: &Sight) -> HashSet<EventId> {
        let said = sight.said.values().flat_map(|about| &about.annotations);
        let forked = said.filter(|said| self.entry.room.is_judged_by_branch(&said.device));
        forked.map(|said| said.id).filter(|id| !sight.paths.contains_key(id)).collect()
    }
}

/// What to do with messages when all that they need is read.
type Then = Box<dyn FnOnce(&mut Turn<'_>, &[Looked], Sight) + Send>;
