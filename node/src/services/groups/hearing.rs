//! What came in direct chats is looked at, and kept.

use parlor_api::RequestChange;
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Namespace};

use super::actor::Actor;
use super::book::{Facts, MAX_STORED, Told, Verdict};
use crate::clock::now_ms;
use crate::limits::GROUP_LOOKED;

/// What came of looking at a chat.
pub(super) struct Looked {
    /// So many of its invitations are left for the next turn.
    pub(super) left: usize,
    /// Something of it could not be read or kept just now: it is looked at again a little later.
    pub(super) again: bool,
}

const LATER: Looked = Looked { left: 0, again: true };

impl Actor {
    /// Looks at some of the invitations that lie in a direct chat. What was heard is forgotten; what could not be kept stays there.
    pub(super) async fn look(&mut self, chat: RoomId) -> Looked {
        let store = self.parts.context.store.clone();
        // One that does not open keeps no other from being looked at.
        let rows = tokio::task::spawn_blocking(move || store.scan_readable(Some(&chat), Namespace::Group)).await;
        let Ok(Ok(rows)) = rows else {
            tracing::error!(room = %chat.short(), "invitations into groups can not be read");
            return LATER;
        };
        let left = rows.len().saturating_sub(GROUP_LOOKED);
        let (mut batch, mut again) = (Batch::new(Some(chat)), false);
        for (key, bytes) in rows.into_iter().take(GROUP_LOOKED) {
            match codec::decode::<Told>(&bytes, MAX_STORED) {
                Ok(told) if !self.hear(&told).await => again = true,
                _ => _ = batch.delete(Namespace::Group, &key),
            }
        }
        match self.parts.context.store.commit(batch).await {
            Ok(_) if !again => Looked { left, again },
            Ok(_) => LATER,
            Err(error) => {
                // Looking at them again changes nothing.
                tracing::warn!(room = %chat.short(), %error, "invitations that were looked at could not be forgotten");
                LATER
            }
        }
    }

    /// Hears an invitation. Whether it is done with: it is kept, or is to be forgotten.
    async fn hear(&mut self, told: &Told) -> bool {
        let (now, me) = (now_ms(), self.me());
        let contacts = &self.parts.context.contacts;
        let others = told.group.people.iter().filter(|account| **account != me && **account != told.by);
        let facts = Facts {
            now_ms: now,
            by_blocked: contacts.is_blocked(&told.by),
            by_contact: contacts.is_mutual(&told.by),
            names_blocked: others.clone().any(|account| contacts.is_blocked(account)),
            inside: self.is_in(&told.room),
            was_in: !self.is_in(&told.room)
                && (self.parts.context.directory.get(&told.room).is_some() || self.left_such(&told.group.people)),
        };
        for room in self.book.to_forget(|room| self.is_in(room), now) {
            self.forget(&room).await;
        }
        let verdict = self.book.judge(told, &me, facts);
        let Some(known) = self.book.heard(told, verdict, now) else { return true };
        let news = self.book.get(&known.room).is_none_or(|before| before.state != known.state);
        if let Err(problem) = self.keep(known.clone()).await {
            tracing::warn!(%problem, "an invitation into a group could not be kept");
            return false;
        }
        match verdict {
            Verdict::Ask(_) if news => {
                self.parts.joins.give_up(&known.room);
                self.tell_request(&known, told.by, RequestChange::Asked);
            }
            Verdict::Take => self.plan(&known),
            _ => {}
        }
        true
    }
}
