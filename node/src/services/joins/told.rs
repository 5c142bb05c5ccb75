//! How far the joins of the user are, and how those ended that nobody waited for any more: for windows, for the command line, and
//! of what ended also for a later start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_api::{EventBody, JoinProgress, JoinStep, Problem};
use parlor_proto::RoomId;
use parlor_storage::{Batch, Namespace};

use crate::bus::{parse_rfc3339, rfc3339};
use crate::clock::now_ms;
use crate::limits::{JOIN_TOLD_MS, JOINS_TOLD_MAX};
use crate::services::rooms::Context;

/// How the names of what is kept begin.
const PREFIX: &[u8] = b"ended";

/// What is told of joins.
#[derive(Clone, Default)]
pub(super) struct Told {
    joins: Arc<Mutex<BTreeMap<RoomId, JoinProgress>>>,
}

impl Told {
    /// Reads what ended before this start.
    pub(super) fn load(&self, context: &Context) {
        let stored = context.store.scan(None, Namespace::Invite, PREFIX).unwrap_or_else(|error| {
            tracing::warn!(%error, "how joins ended can not be read");
            Vec::new()
        });
        for (_, bytes) in stored {
            let Ok(progress) = serde_json::from_slice::<JoinProgress>(&bytes) else { continue };
            let Ok(room) = progress.room.parse() else { continue };
            self.joins().insert(room, progress);
        }
    }

    /// What is under way, and what ended in the last days; the oldest first.
    pub(super) fn list(&self) -> Vec<JoinProgress> {
        let from_ms = now_ms().saturating_sub(JOIN_TOLD_MS);
        let mut joins: Vec<_> = self.joins().values().filter(|join| !is_old(join, from_ms)).cloned().collect();
        joins.sort_by(|a, b| a.since.cmp(&b.since));
        joins
    }

    /// A join begins: how one into this room ended before is told no more.
    pub(super) async fn began(&self, context: &Context, room: RoomId) {
        let ended = self.joins().get(&room).is_some_and(|join| join.step == JoinStep::Ended);
        if ended {
            self.over(context, room).await;
        }
        self.step(context, room, JoinStep::Looking, 0);
    }

    /// A join waits for this now.
    pub(super) fn step(&self, context: &Context, room: RoomId, step: JoinStep, members: u32) {
        let mut progress = JoinProgress { step, members, ..looking(&room) };
        {
            let mut joins = self.joins();
            if let Some(known) = joins.get(&room).filter(|known| known.step == step) {
                if known.members == members {
                    return;
                }
                progress.since.clone_from(&known.since);
            }
            joins.insert(room, progress.clone());
        }
        context.bus.publish(now_ms(), EventBody::Join(progress));
    }

    /// What a join waits for, and how many members have its request.
    pub(super) fn of(&self, room: &RoomId) -> (JoinStep, u32) {
        self.joins().get(room).map_or((JoinStep::Looking, 0), |join| (join.step, join.members))
    }

    /// A join is over, and its end is told by the room or was answered to who asked.
    pub(super) async fn over(&self, context: &Context, room: RoomId) {
        let was = self.forget(context, room);
        if was.is_some_and(|join| join.step == JoinStep::Ended) {
            let mut batch = Batch::new(None);
            batch.delete(Namespace::Invite, &key(&room));
            if let Err(error) = context.store.commit(batch).await {
                tracing::warn!(room = %room.short(), %error, "how a join ended could not be forgotten");
            }
        }
    }

    /// Nothing is told of a join any more: windows take it away.
    pub(super) fn forget(&self, context: &Context, room: RoomId) -> Option<JoinProgress> {
        let was = self.joins().remove(&room)?;
        let over = JoinProgress { step: JoinStep::Over, ..looking(&room) };
        context.bus.publish(now_ms(), EventBody::Join(over));
        Some(was)
    }

    /// The rooms of which something is told.
    pub(super) fn rooms(&self) -> Vec<RoomId> {
        self.joins().keys().copied().collect()
    }

    /// What is told of a join; of one that began just now that a member is looked for.
    pub(super) fn line(&self, room: &RoomId) -> JoinProgress {
        self.joins().get(room).cloned().unwrap_or_else(|| looking(room))
    }

    /// A join ended that nobody waits for any more. Durable when it returns; on a full disk it is told until the node stops.
    pub(super) async fn ended(&self, context: &Context, room: RoomId, problem: Problem) {
        let progress = JoinProgress { step: JoinStep::Ended, problem: Some(problem.into()), ..looking(&room) };
        let mut batch = Batch::new(None);
        batch.put(Namespace::Invite, &key(&room), serde_json::to_vec(&progress).unwrap_or_default());
        for gone in self.note(room, &progress) {
            batch.delete(Namespace::Invite, &key(&gone));
        }
        if let Err(error) = context.store.commit(batch).await {
            tracing::warn!(room = %room.short(), %error, "how a join ended could not be kept");
        }
        context.bus.publish(now_ms(), EventBody::Join(progress));
    }

    /// Notes an end, and answers which ones are not told any more: too old, or too many.
    fn note(&self, room: RoomId, progress: &JoinProgress) -> Vec<RoomId> {
        let mut joins = self.joins();
        joins.insert(room, progress.clone());
        let from_ms = now_ms().saturating_sub(JOIN_TOLD_MS);
        let mut ended: Vec<_> = joins.iter().filter(|(_, join)| join.step == JoinStep::Ended).collect();
        ended.sort_by(|a, b| b.1.since.cmp(&a.1.since));
        let over = ended.iter().enumerate().filter(|(n, (_, join))| *n >= JOINS_TOLD_MAX || is_old(join, from_ms));
        let gone: Vec<RoomId> = over.map(|(_, (room, _))| **room).collect();
        gone.iter().for_each(|room| _ = joins.remove(room));
        gone
    }

    fn joins(&self) -> std::sync::MutexGuard<'_, BTreeMap<RoomId, JoinProgress>> {
        self.joins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn looking(room: &RoomId) -> JoinProgress {
    JoinProgress {
        room: room.to_string(),
        step: JoinStep::Looking,
        members: 0,
        since: rfc3339(now_ms()),
        problem: None,
    }
}

fn is_old(join: &JoinProgress, from_ms: u64) -> bool {
    join.step == JoinStep::Ended && parse_rfc3339(&join.since).is_none_or(|at_ms| at_ms < from_ms)
}

/// The name of what is kept of how a join ended.
pub(super) fn key(room: &RoomId) -> Vec<u8> {
    [PREFIX, room.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(at_ms: u64) -> JoinProgress {
        JoinProgress { room: String::new(), step: JoinStep::Ended, members: 0, since: rfc3339(at_ms), problem: None }
    }

    #[test]
    fn of_joins_that_ended_the_last_ones_are_told_and_not_for_ever() {
        let (told, now) = (Told::default(), now_ms());
        let room = |n: usize| RoomId([u8::try_from(n).unwrap(); 32]);
        for n in 0..JOINS_TOLD_MAX {
            assert!(told.note(room(n), &ended(now - 60_000 + n as u64 * 1_000)).is_empty());
        }
        assert_eq!(told.note(room(200), &ended(now)), [room(0)]);
        told.joins().insert(room(1), ended(now - JOIN_TOLD_MS - 60_000));
        assert_eq!(told.list().len(), JOINS_TOLD_MAX - 1);
        assert_eq!(told.note(room(201), &ended(now)), [room(1)]);
    }
}
