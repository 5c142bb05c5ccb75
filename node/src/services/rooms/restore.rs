//! A room is thrown away and read from the disk again: what it holds in memory stands behind something that is not there.

use futures::StreamExt;
use parlor_api::{Code, Problem};
use parlor_proto::RoomId;
use parlor_proto::outbox::{self, In as OutboxIn};
use parlor_storage::{Batch, CommitError};

use super::begin::held;
use super::entry::{Entry, Job, Turn};
use super::settle::Settle;
use super::worker::Worker;
use crate::account::rng;
use crate::clock::now_ms;
use crate::limits::REST_MS;
use crate::services::commit_problem;

impl Worker {
    /// A commit failed: the room stands behind something that is not on disk, so it is restored from there. What it did after
    /// that change fails with it.
    pub(super) async fn on_failed(&mut self, room: RoomId, settle: Settle, error: &CommitError) {
        tracing::error!(room = %room.short(), %error, "a change of a room could not be stored");
        let first = self.rooms.get(&room).is_some_and(|entry| entry.chain.same(&settle.chain));
        let problem = commit_problem(error);
        if first && let Some(mut gone) = Box::pin(self.restore(room)).await {
            // A new room of which nothing came to the disk: whoever wanted it is told.
            let context = self.context.clone();
            let (mut jobs, now_ms) = (Vec::new(), now_ms());
            let outbox = &mut self.outbox;
            let mut turn = Turn { entry: &mut gone, outbox, context: &context, jobs: &mut jobs, now_ms };
            settle.replies.into_iter().for_each(|reply| reply(&mut turn, Err(problem.clone())));
            self.never_written(&settle.entries);
            return;
        }
        if !self.rooms.contains_key(&room) {
            return self.never_written(&settle.entries);
        }
        self.turn(room, |turn| {
            // The disk may have taken the messages all the same: then the outbox has learned so.
            let is_there = |entry: &outbox::Entry| {
                entry.event().is_some()
                    && turn.outbox.find(&entry.nonce).and_then(outbox::Entry::event) == entry.event()
            };
            let are_there = !settle.entries.is_empty() && settle.entries.iter().all(is_there);
            for entry in &settle.entries {
                let failure = outbox::Failure::Store;
                turn.tell_outbox(OutboxIn::Never { nonce: entry.nonce, failure });
            }
            for reply in settle.replies {
                reply(turn, if are_there { Ok(()) } else { Err(problem.clone()) });
            }
            if first {
                turn.publish(parlor_api::EventBody::Error(problem.clone().into()));
                turn.begin_again();
            }
        })
        .await;
    }

    /// Messages of a room that is not here: their owner hears of them when it is again.
    fn never_written(&mut self, entries: &[outbox::Entry]) {
        for entry in entries {
            let never = OutboxIn::Never { nonce: entry.nonce, failure: outbox::Failure::Store };
            self.outbox.handle(never, now_ms(), &mut rng());
        }
    }

    /// Throws a room away and loads it from the store; its peers are dropped, so that sync begins anew. Answers what was
    /// thrown away when the store holds nothing to take its place.
    async fn restore(&mut self, room: RoomId) -> Option<Entry> {
        let mut entry = self.rooms.remove(&room)?;
        if let Some(noted) = entry.noted_ms {
            self.deadlines.remove(&(noted, room));
        }
        // Whether the disk took what failed is decided by the next commit: until then what is read may still change. What was made after
        // it, and waits for a place in the queue, is refused: its chain is broken.
        let _ = self.context.store.commit(Batch::new(None)).await;
        let context = self.context.clone();
        let loaded = tokio::task::spawn_blocking(move || held(&context, room)).await;
        // Of these wishes nothing was written.
        let waits = std::mem::take(&mut entry.held);
        match loaded {
            Ok(Ok(Some((mut loaded, outbox)))) => {
                loaded.rest_until_ms = now_ms().saturating_add(REST_MS);
                // Whom it waits for, and what waits for that, is as before.
                (loaded.guard, loaded.held) = (entry.guard, waits);
                self.rooms.insert(room, loaded);
                self.reread_outbox(&outbox).await;
            }
            Ok(Err(problem)) => {
                self.lose(room, &problem);
                waits.into_iter().for_each(|wish| wish.refuse(problem.clone()));
            }
            Ok(Ok(None)) => waits.into_iter().for_each(|wish| wish.refuse(Problem::of(Code::RoomNotFound))),
            Err(died) => {
                let problem = Problem::new(Code::Internal, died.to_string());
                self.lose(room, &problem);
                waits.into_iter().for_each(|wish| wish.refuse(problem.clone()));
            }
        }
        for peer in entry.sessions.keys() {
            let _ = self.context.net.disconnect(*peer).await;
        }
        if self.rooms.contains_key(&room) { None } else { Some(entry) }
    }

    /// Waits until all that was handed over is stored or refused, also what did not find a place in the store's queue yet. What follows
    /// from it is done later, in its order.
    pub(super) async fn settle_down(&mut self) {
        let done: Vec<_> = std::mem::take(&mut self.commits).collect().await;
        for done in done {
            self.commits.push_back(Box::pin(std::future::ready(done)));
        }
    }

    /// Tells the outbox which messages the disk has taken, whatever was said of the commits that held them, and what waits in a room that
    /// it does not know yet.
    pub(super) async fn reread_outbox(&mut self, stored: &[outbox::Entry]) {
        let mut jobs = Vec::new();
        for entry in stored {
            if let Some((event, seq)) = entry.event() {
                let written = OutboxIn::Written { nonce: entry.nonce, event, seq };
                jobs.extend(self.outbox.handle(written, now_ms(), &mut rng()).into_iter().map(Job::Outbox));
            }
        }
        self.outbox.reread(stored.iter().cloned());
        self.carry_out(jobs).await;
    }

    /// Something was refused when a part of it was made already, and that was handed to nobody: what we write next would stand on it,
    /// and nobody would ever have it whole. So the room is what is on the disk again.
    pub(super) async fn forget_unstored(&mut self, room: RoomId) {
        tracing::error!(room = %room.short(), "a change of a room was made in part, and is undone");
        let undone = self.rooms.get(&room).map(|entry| entry.chain.clone());
        // What was handed over before is on the disk, and so in what is read from it: it did not fail with the rest.
        let handed: Vec<_> = std::mem::take(&mut self.commits).collect().await;
        if Box::pin(self.restore(room)).await.is_none() {
            self.turn(room, |turn| turn.begin_again()).await;
        }
        let mut stands = true;
        for (of, settle, done) in handed {
            let before = of == room && undone.as_ref().is_some_and(|chain| chain.same(&settle.chain));
            stands &= !before || done.is_ok();
            if before && stands {
                self.turn(room, |turn| settle.replies.into_iter().for_each(|reply| reply(turn, Ok(())))).await;
            } else {
                Box::pin(self.on_committed(of, *settle, done)).await;
            }
        }
    }
}
