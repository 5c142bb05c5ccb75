//! A room of which something on the disk can not be read, so that it is not here while the others are.
//!
//! Nothing of it is touched: a backup, or a disk that can be read again at the next start, brings it back. Whoever wants no more of it
//! throws it away, and may join again; then nothing is written before the logs of this device came from a member.

use std::sync::Arc;

use parlor_api::{Attention, Code, Problem, RoomItem, RoomKind, Standing, SyncState};
use parlor_proto::RoomId;
use parlor_proto::sync::Guard;
use parlor_storage::{Batch, Namespace};

use super::begin::loaded;
use super::directory::{Directory, Summary};
use super::entry::damaged;
use super::message::Wish;
use super::worker::{Context, Worker};
use crate::app::Answer;
use crate::clock::now_ms;
use crate::home_damaged;
use crate::services::commit_problem;

/// A room that could not be read is looked at again after this long, when something is wanted of it.
const READ_AGAIN_MS: u64 = 10_000;
/// Begins the name of a row that says that a room was thrown away here.
const THROWN_AWAY: &[u8] = b"thrown away|";

impl Directory {
    /// A room can not be read. It is told once.
    pub(super) fn damaged(&self, room: RoomId, problem: &Problem) {
        tracing::error!(room = %room.short(), %problem, "a room can not be read, and is left out");
        let known = self.get(&room);
        let item = known.map_or_else(|| unknown(room), |summary| summary.item);
        let item = RoomItem { damaged: Some(problem.detail.clone()), ..item };
        let sync = SyncState {
            room: item.room.clone(),
            name: item.name.clone(),
            peers: 0,
            have: 0,
            want: 0,
            done: true,
            early: 0,
        };
        self.put(room, Summary { item, sync, writable: false, cloned: false, has_mailbox: false, online: Vec::new() });
    }

    /// Why a room can not be read, if that is so.
    pub(crate) fn damage(&self, room: &RoomId) -> Option<Problem> {
        let why = self.get(room)?.item.damaged?;
        let hint = "everything else works; a backup brings it back, or throw it away to join it again: parlor room leave ROOM --force";
        Some(home_damaged(format!("the room can not be read: {why}")).hint(hint))
    }
}

/// What is known of a room that was damaged when the node started.
fn unknown(room: RoomId) -> RoomItem {
    RoomItem {
        room: room.to_string(),
        name: format!("room {}", room.short()),
        kind: RoomKind::Group,
        role: Standing::Left,
        gone: None,
        unread: 0,
        mentions: 0,
        first_unread: None,
        first_unread_order: None,
        attention: Attention::default(),
        draft: false,
        members: 0,
        last_message: None,
        damaged: None,
    }
}

impl Worker {
    /// Something is wanted of a room that is not here.
    pub(super) async fn wish_elsewhere(&mut self, room: RoomId, wish: Wish) {
        let Some(problem) = self.context.directory.damage(&room) else {
            return wish.refuse(Problem::of(Code::RoomNotFound));
        };
        if self.read_again(room).await {
            return self.turn(room, |turn| turn.wish(wish)).await;
        }
        match wish {
            Wish::Leave(true, reply) => drop(reply.send(throw_away(self.context.clone(), room).await)),
            wish => wish.refuse(problem),
        }
    }

    /// Looks, now and then, whether a room can be read again: it was the disk that could not just then. Whether it is here.
    async fn read_again(&mut self, room: RoomId) -> bool {
        let now_ms = now_ms();
        let lately = |at: &u64| now_ms < at.saturating_add(READ_AGAIN_MS);
        if self.read_lately.get(&room).is_some_and(lately) {
            return false;
        }
        self.read_lately.insert(room, now_ms);
        let context = self.context.clone();
        let Ok(Ok((entry, outbox))) = tokio::task::spawn_blocking(move || loaded(&context, room)).await else {
            return false;
        };
        tracing::info!(room = %room.short(), "a room can be read again");
        self.rooms.insert(room, entry);
        self.reread_outbox(&outbox).await;
        self.turn(room, |turn| {
            turn.guard();
            turn.begin();
            turn.summarise();
        })
        .await;
        true
    }

    /// Whether a room may begin: one that is damaged here is in the way of another with its id.
    pub(super) fn may_begin(&self, room: &RoomId) -> Answer<Guard> {
        if let Some(problem) = self.context.directory.damage(room) {
            return Err(problem);
        }
        let was_here = self.context.store.get(None, Namespace::Meta, &thrown_away(room)).map_err(damaged)?.is_some();
        Ok(if was_here { Guard::start(now_ms()) } else { Guard::open() })
    }
}

/// Forgets a room that can not be read. What its logs hold of ours is noted to be elsewhere.
async fn throw_away(context: Arc<Context>, room: RoomId) -> Answer<()> {
    let mut note = Batch::new(None);
    note.put(Namespace::Meta, &thrown_away(&room), Vec::new());
    let mut forget = Batch::new(Some(room));
    forget.forget_room();
    for batch in [note, forget] {
        context.store.commit(batch).await.map_err(|error| commit_problem(&error))?;
    }
    context.directory.remove(&room);
    context.own.left(&room);
    Ok(())
}

fn thrown_away(room: &RoomId) -> Vec<u8> {
    [THROWN_AWAY, room.as_bytes()].concat()
}
