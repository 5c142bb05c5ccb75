//! A room of which something on the disk can not be read, so that it is not here while the others are.
//!
//! Nothing of it is touched: a backup, or a disk that can be read again, brings it back; that is tried now and then. Meanwhile it is
//! offered to nobody: who is offered a room that is not here waits for it, and drops us. Whoever wants no more of it throws it away, and may join
//! again; then nothing is written before the logs of this device came from a member.

use std::sync::Arc;

use parlor_api::{Attention, Code, Problem, RoomItem, RoomKind, Standing, SyncState};
use parlor_proto::sync::Guard;
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Namespace, Store, Tip};

use super::begin::held;
use super::directory::{Directory, Summary};
use super::entry::damaged;
use super::message::{Reply, Wish};
use super::worker::{Context, Worker};
use crate::app::Answer;
use crate::clock::now_ms;
use crate::home_damaged;
use crate::services::commit_problem;
use crate::services::mailboxes::Plan;

/// A room that could not be read is looked at again after this long, when something is wanted of it.
const READ_AGAIN_MS: u64 = 10_000;
/// By itself it is looked at again after this long,
const FIRST_PAUSE_MS: u64 = 1_000;
/// twice as long each time, and at last this long: it costs reading what opens of it.
const LAST_PAUSE_MS: u64 = 600_000;
/// Longest row that says that a room was thrown away.
const REACHED_MAX: usize = 32;
/// Begins the name of a row that says that a room was thrown away here, and how far our logs went.
const THROWN_AWAY: &[u8] = b"thrown away|";

/// A room that can not be read: when it was tried last, and how long it rests then.
pub(super) struct Damage {
    tried_ms: u64,
    pause_ms: u64,
}

impl Damage {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { tried_ms: now_ms, pause_ms: FIRST_PAUSE_MS }
    }

    /// When it is tried again.
    pub(super) fn due(&self) -> u64 {
        self.tried_ms.saturating_add(self.pause_ms)
    }

    /// Whether it was tried so lately that nobody's wish has it tried again.
    fn lately(&self, now_ms: u64) -> bool {
        now_ms < self.tried_ms.saturating_add(self.pause_ms.min(READ_AGAIN_MS))
    }

    fn failed(&mut self, now_ms: u64) {
        *self = Self { tried_ms: now_ms, pause_ms: self.pause_ms.saturating_mul(2).min(LAST_PAUSE_MS) };
    }
}

impl Context {
    /// A room that is not here any more is offered to nobody, and its mail rests. When it is here again it is announced anew.
    fn hide(&self, room: RoomId) {
        self.peers.hide_room(room);
        self.mailboxes.plan(room, Plan::default());
    }
}

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
            asking: false,
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
        let lately = self.damaged.get(&room).is_some_and(|damage| damage.lately(now_ms()));
        if !lately && self.read_again(room).await {
            return self.turn(room, |turn| turn.wish(wish)).await;
        }
        match wish {
            Wish::Leave(true, reply) => {
                let thrown = throw_away(self.context.clone(), room).await;
                if thrown.is_ok() {
                    self.damaged.remove(&room);
                }
                drop(reply.send(thrown));
            }
            wish => wish.refuse(problem),
        }
    }

    /// Whether a room can be left only by throwing it away: what would tell the members can not be written before one of them is online.
    pub(super) fn is_uncompared(&self, room: &RoomId) -> bool {
        let inside = |entry: &super::entry::Entry| entry.room.is_member() || entry.room.other().is_some();
        self.rooms.get(room).is_some_and(|entry| entry.guard.is_firm() && inside(entry))
    }

    /// Throws away a room in which nothing was written since it was thrown away before.
    pub(super) async fn leave_uncompared(&mut self, room: RoomId, reply: Reply<()>) {
        self.take_out(room).await;
        let waiting: Vec<_> = self.outbox.lines().into_iter().filter(|line| line.room == room).collect();
        for line in waiting {
            // Its row goes with the room.
            let _ = self.outbox.discard(&line.nonce);
        }
        let thrown = throw_away(self.context.clone(), room).await;
        if let Err(problem) = &thrown {
            self.lose(room, problem);
        }
        drop(reply.send(thrown));
    }

    /// A room that was here can not be read any more.
    pub(super) fn lose(&mut self, room: RoomId, problem: &Problem) {
        self.context.directory.damaged(room, problem);
        self.damaged.insert(room, Damage::new(now_ms()));
        self.context.hide(room);
    }

    /// When a room that can not be read is tried again.
    pub(super) fn damaged_due(&self) -> Option<u64> {
        self.damaged.values().map(Damage::due).min()
    }

    /// Time passed for rooms that can not be read.
    pub(super) async fn try_damaged(&mut self, now_ms: u64) {
        let due = self.damaged.iter().filter(|(_, damage)| damage.due() <= now_ms);
        let due: Vec<RoomId> = due.map(|(room, _)| *room).collect();
        for room in due {
            self.read_again(room).await;
        }
    }

    /// Looks whether a room can be read again: it was the disk that could not just then. Whether it is here.
    async fn read_again(&mut self, room: RoomId) -> bool {
        let context = self.context.clone();
        let read = tokio::task::spawn_blocking(move || held(&context, room)).await;
        let (entry, outbox) = match read {
            Ok(Ok(Some(held))) => held,
            Ok(Ok(None)) => {
                // It was being made when the disk failed, and nothing of it came there.
                self.damaged.remove(&room);
                self.context.directory.remove(&room);
                return false;
            }
            Ok(Err(_)) | Err(_) => {
                self.damaged.entry(room).or_insert_with(|| Damage::new(0)).failed(now_ms());
                return false;
            }
        };
        tracing::info!(room = %room.short(), "a room can be read again");
        self.damaged.remove(&room);
        self.rooms.insert(room, entry);
        self.outbox.idle(&room);
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
        let was_here = was_thrown_away(&self.context.store, room)?;
        Ok(if was_here { Guard::until_compared() } else { Guard::open() })
    }
}

/// Forgets a room that can not be read. What its logs hold of ours is noted to be elsewhere.
async fn throw_away(context: Arc<Context>, room: RoomId) -> Answer<()> {
    let mut note = Batch::new(None);
    let me = context.identity.device();
    let seq = |tips: &[Tip]| tips.iter().find(|tip| tip.device == me).map_or(0, |tip| tip.seq);
    // As far as the disk says it.
    let ours = context.store.tips(&room).map_or((0, 0), |tips| (seq(&tips.control), seq(&tips.message)));
    // Of one that was thrown away before and did not come whole since.
    let (control, message) = reached(&context.store, &room).unwrap_or_default();
    let ours = (ours.0.max(control), ours.1.max(message));
    note.put(Namespace::Meta, &thrown_away(&room), codec::encode(&ours));
    let mut forget = Batch::new(Some(room));
    forget.forget_room();
    for batch in [note, forget] {
        context.store.commit(batch).await.map_err(|error| commit_problem(&error))?;
    }
    context.directory.remove(&room);
    context.own.left(&room);
    context.hide(room);
    Ok(())
}

/// Whether a room of this id was thrown away here, and what its logs hold of ours was not compared since. Blocks.
pub(crate) fn was_thrown_away(store: &Store, room: &RoomId) -> Answer<bool> {
    Ok(store.get(None, Namespace::Meta, &thrown_away(room)).map_err(damaged)?.is_some())
}

/// Up to where our two logs of a room that was thrown away went, control first; nothing of one that was not. Blocks.
pub(super) fn reached(store: &Store, room: &RoomId) -> Option<(u64, u64)> {
    let row = store.get(None, Namespace::Meta, &thrown_away(room)).ok().flatten()?;
    Some(codec::decode(&row, REACHED_MAX).unwrap_or_default())
}

/// Notes that what the logs of a room hold of ours is here.
pub(super) fn compared(room: &RoomId) -> Batch {
    let mut batch = Batch::new(None);
    batch.delete(Namespace::Meta, &thrown_away(room));
    batch
}

fn thrown_away(room: &RoomId) -> Vec<u8> {
    [THROWN_AWAY, room.as_bytes()].concat()
}
