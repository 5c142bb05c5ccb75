//! Joins that somebody wants no more: the user cancels what he asked for, or a contact's invitation is over.

use std::collections::BTreeSet;

use parlor_api::{Code, JoinProgress, Problem};
use parlor_proto::RoomId;
use parlor_storage::{Batch, Namespace};

use super::{Joins, UnderWay, Whose, kept, told};
use crate::app::Answer;
use crate::services::commit_problem;
use crate::services::rooms::Context;

/// Digits of a room's id that are enough to name a join.
const ID_PREFIX_MIN: usize = 4;

impl Joins {
    /// Gives up a join by a contact's invitation, if there is one. What the user began himself goes on.
    pub(crate) fn give_up(&self, room: &RoomId) {
        for join in self.joins().values().filter(|join| join.is_into(room, Whose::Contact)) {
            join.given_up.notify_one();
        }
    }

    /// Cancels what the user asked for: nothing more is asked of anybody, also after a restart, and how it ended is told no more.
    /// Answers what was told of it before. What lies at a relay, or with members, is called back from nowhere: who is let in by it
    /// comes in by asking again, for nobody here hears of it. Only a word that came just before is heard: then the room is there.
    ///
    /// # Errors
    /// `not_found`, `ambiguous`; `conflict` for a room that he is in by now.
    pub(crate) async fn cancel(&self, context: &Context, text: &str) -> Answer<JoinProgress> {
        let room = self.named(context, text)?;
        let was = self.told.line(&room);
        let ours: Vec<_> = {
            let joins = self.joins();
            let ours = joins.values().filter(|join| join.is_into(&room, Whose::User));
            ours.map(|join| {
                join.given_up.notify_one();
                (join.candidates.clone(), kept::key(&room, &join.request.invite_pk))
            })
            .collect()
        };
        let mut names: BTreeSet<Vec<u8>> = kept::names(context, &room).await;
        for (task, name) in ours {
            // When it has ended it keeps nothing more.
            task.closed().await;
            names.insert(name);
        }
        let mut batch = Batch::new(None);
        for name in names.iter().chain([&told::key(&room)]) {
            batch.delete(Namespace::Invite, name);
        }
        context.store.commit(batch).await.map_err(|error| commit_problem(&error))?;
        self.told.forget(context, room);
        Ok(was)
    }

    /// The room of the one join of the user that is called so: by its id, or the first digits of it.
    fn named(&self, context: &Context, text: &str) -> Answer<RoomId> {
        let under_way: Vec<RoomId> = {
            let joins = self.joins();
            joins.values().filter(|join| join.whose == Whose::User).map(|join| join.room).collect()
        };
        let all: BTreeSet<RoomId> = under_way.into_iter().chain(self.told.rooms()).collect();
        let text = text.to_ascii_lowercase();
        let begins = |room: &&RoomId| text.len() >= ID_PREFIX_MIN && room.to_string().starts_with(&text);
        match all.iter().filter(begins).collect::<Vec<_>>().as_slice() {
            [room] if is_in(context, room) => Err(in_by_now()),
            [room] => Ok(**room),
            [] if context.directory.find(&text).is_ok_and(|room| is_in(context, &room)) => Err(in_by_now()),
            [] => Err(Problem::new(Code::NotFound, "you asked to come into no such room")
                .hint(format!("parlor status shows the joins; of an id the first {ID_PREFIX_MIN} digits are enough"))),
            several => Err(Problem::new(Code::Ambiguous, format!("{} joins begin so", several.len()))
                .hint("give more of the id of its room: parlor status --json")),
        }
    }
}

impl UnderWay {
    fn is_into(&self, room: &RoomId, whose: Whose) -> bool {
        self.room == *room && self.whose == whose
    }
}

fn is_in(context: &Context, room: &RoomId) -> bool {
    context.directory.get(room).is_some_and(|summary| summary.item.role.role().is_some())
}

fn in_by_now() -> Problem {
    Problem::new(Code::Conflict, "you are in this room by now").hint("to go again: parlor room leave ROOM")
}
