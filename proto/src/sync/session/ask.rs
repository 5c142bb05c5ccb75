//! Requests for things outside the logs: row pages, epoch keys, the newest page.
//!
//! Only a live member is asked and answered. An answer that nobody asked for is a misbehaviour (attack 30); what is in an
//! answer is for the asker to check against a commitment it holds already.

use std::collections::BTreeMap;

use crate::wire::{Asked, Blob, RoomFrame};

use super::{Handled, MAX_ASKS, Misbehaviour, Out, Session, Standing, Turn};

/// Requests under way, and those that wait for a free place.
#[derive(Default)]
pub(super) struct Asks {
    next_id: u32,
    ours: BTreeMap<u32, (Asked, u64)>,
    theirs: BTreeMap<u32, Asked>,
    /// When the peer asked for the newest page last.
    newest_ms: Option<u64>,
}

/// A peer is given the newest page once in this time: it costs some hundred reads, and an honest one asks once.
const NEWEST_PAUSE_MS: u64 = 30_000;
/// From this version on a peer knows [`Asked::Newest`].
const NEWEST_VERSION: u16 = 2;

impl Asks {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.ours.values().map(|(_, deadline)| *deadline).min()
    }
}

impl Session {
    /// We need something. Refused at once when the peer can not be asked.
    pub(super) fn on_need(&mut self, what: Asked, turn: &mut Turn<'_>) -> Handled {
        let asks = &mut self.asks;
        if asks.ours.values().any(|(asked, _)| *asked == what) {
            return Ok(());
        }
        let unknown = what == Asked::Newest && self.version < NEWEST_VERSION;
        if self.standing != Some(Standing::Live) || unknown || asks.ours.len() >= MAX_ASKS {
            turn.out.push(Out::Answered { what, bytes: None });
            return Ok(());
        }
        let id = asks.next_id;
        asks.next_id = asks.next_id.wrapping_add(1);
        asks.ours.insert(id, (what, turn.now_ms.saturating_add(super::ASK_TIMEOUT_MS)));
        turn.send(&RoomFrame::Ask { id, what });
        Ok(())
    }

    /// The peer needs something.
    pub(super) fn on_asked(&mut self, id: u32, what: Asked, turn: &mut Turn<'_>) -> Handled {
        let Some(device) = self.peer else { return Err(Misbehaviour::OutOfTurn) };
        if self.asks.theirs.len() >= MAX_ASKS || self.asks.theirs.contains_key(&id) {
            return Err(Misbehaviour::TooMany);
        }
        // A removed member may ask for keys of epochs it was a recipient of: the owner decides.
        if matches!(self.standing, None | Some(Standing::Stranger)) {
            turn.send(&RoomFrame::Answer { id, bytes: None });
            return Ok(());
        }
        if what == Asked::Newest {
            let too_soon = |last: u64| turn.now_ms < last.saturating_add(NEWEST_PAUSE_MS);
            if self.asks.newest_ms.is_some_and(too_soon) {
                turn.send(&RoomFrame::Answer { id, bytes: None });
                return Ok(());
            }
            self.asks.newest_ms = Some(turn.now_ms);
        }
        self.asks.theirs.insert(id, what);
        turn.out.push(Out::Asked { id, device, what });
        Ok(())
    }

    /// The owner found, or did not find, what the peer needs.
    pub(super) fn on_found(&mut self, id: u32, bytes: Option<Vec<u8>>, turn: &mut Turn<'_>) -> Handled {
        if self.asks.theirs.remove(&id).is_some() {
            let bytes = bytes.filter(|bytes| bytes.len() <= crate::wire::MAX_BATCH_BYTES).map(Blob);
            turn.send(&RoomFrame::Answer { id, bytes });
        }
        Ok(())
    }

    /// The peer's answer.
    pub(super) fn on_answer(&mut self, id: u32, bytes: Option<Blob>, turn: &mut Turn<'_>) -> Handled {
        match self.asks.ours.remove(&id) {
            Some((what, _)) => turn.out.push(Out::Answered { what, bytes: bytes.map(|blob| blob.0) }),
            // It may have been given up a moment ago; one that was never asked is another matter.
            None if id < self.asks.next_id => {}
            None => return Err(Misbehaviour::Unsolicited),
        }
        Ok(())
    }

    pub(super) fn expire_asks(&mut self, turn: &mut Turn<'_>) {
        let now_ms = turn.now_ms;
        let expired = self.asks.ours.extract_if(.., |_, (_, deadline)| *deadline <= now_ms);
        turn.out.extend(expired.map(|(_, (what, _))| Out::Answered { what, bytes: None }));
    }
}
