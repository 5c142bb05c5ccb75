//! Deadlines: what a session waits for and for how long.

use super::{Handled, Misbehaviour, Session, Standing, Turn};

/// A peer proves its device within this time.
pub const PROOF_TIMEOUT_MS: u64 = 10_000;
/// A turn of a comparison is answered within this time.
pub const COMPARE_TIMEOUT_MS: u64 = 30_000;
/// While batches are under way, one is acknowledged within this time: a megabyte needs 17 kB/s.
pub const ACK_TIMEOUT_MS: u64 = 60_000;
/// A peer that said it has more begins to send it within this time.
pub const OWED_TIMEOUT_MS: u64 = 60_000;
/// A request for a page or key is answered within this time.
pub const ASK_TIMEOUT_MS: u64 = 30_000;
/// New tips are told after this time: gossip usually was faster, then nothing need be sent.
pub const TIPS_MS: u64 = 3_000;

/// Deadlines that stand beside the states they belong to.
pub(super) struct Wake {
    proof: Option<u64>,
    /// The last batch frame in either direction.
    pub(super) ack: Option<u64>,
    pub(super) owed: Option<u64>,
}

impl Wake {
    pub(super) fn start(now_ms: u64) -> Self {
        Self { proof: Some(now_ms.saturating_add(PROOF_TIMEOUT_MS)), ack: None, owed: None }
    }

    pub(super) fn proved(&mut self) {
        self.proof = None;
    }
}

impl Session {
    pub(super) fn earliest_deadline(&self) -> Option<u64> {
        let ours = [self.wake.proof, self.wake.ack, self.wake.owed, self.live.tips_ms, self.asks.next_deadline()];
        let rounds = [self.rounds.reply_deadline(), self.next_round_ms()];
        ours.into_iter().chain(rounds).flatten().min()
    }

    pub(super) fn on_tick(&mut self, turn: &mut Turn<'_>) -> Handled {
        let now_ms = turn.now_ms;
        let due = |deadline: Option<u64>| deadline.is_some_and(|at| at <= now_ms);
        if due(self.wake.proof) || due(self.rounds.reply_deadline()) || due(self.wake.ack) {
            return Err(Misbehaviour::Stalled);
        }
        if due(self.wake.owed) {
            self.wake.owed = None;
            let owes = self.n_owed_now(turn) > 0;
            // Who went out since it claimed, or put us out, may have claimed what neither gives nor takes any more.
            if owes && self.standing == Some(Standing::Live) {
                return Err(Misbehaviour::Withheld);
            }
        }
        self.expire_asks(turn);
        if due(self.live.tips_ms) {
            self.tell_tips(turn);
        }
        if due(self.next_round_ms()) {
            self.open_round(turn);
        }
        Ok(())
    }
}
