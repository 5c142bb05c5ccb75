//! What happens because time passes: redials, deadlines of connections, ends of congestion and of bans.

use std::time::Instant;

use super::NetworkTask;
use crate::{DownReason, NetworkEvent, limits::*};

impl NetworkTask {
    pub(super) fn on_tick(&mut self, now: Instant) {
        self.redial(now);
        self.serve_relays(now);
        self.announce(now);
        self.expire_lines(now);
        self.dial_deferred(now);
        self.close_late(now);
        self.ping_silent(now);
        self.relax();
        self.requests.expire(now);
        for peer in self.scores.expire(now) {
            self.swarm.behaviour_mut().banned.unblock_peer(peer.to_libp2p());
        }
    }

    /// Dials kept peers that are not connected and whose pause is over.
    pub(super) fn redial(&mut self, now: Instant) {
        let Self { kept, peers, .. } = self;
        let due = kept.due(now, DIALS_PER_TURN, &mut rand::random, |it| !peers.is_connected(it));
        for (peer, addresses) in due {
            self.dial(peer, addresses);
        }
    }

    /// Closes connections whose stream does not come or whose surplus the leader left, and forgets streams of closed
    /// connections that do not end.
    fn close_late(&mut self, now: Instant) {
        let deadline = self.tuning.hello_deadline;
        let mut late = Vec::new();
        let mut surplus = Vec::new();
        for (peer, entry) in self.peers.iter() {
            let waits = |since: Instant| now.saturating_duration_since(since) > deadline;
            let line_ended = |it: &crate::peers::Connection| it.stream.as_ref().is_none_or(|it| it.task.is_finished());
            for (id, it) in &entry.connections {
                if it.is_open() && !it.service && line_ended(it) && waits(it.since) || it.gone.is_some_and(waits) {
                    late.push((*peer, *id));
                }
            }
            if !self.leads(peer) {
                surplus.extend(entry.overdue(now).into_iter().map(|id| (*peer, id)));
            }
        }
        for (peer, id) in late {
            self.never_up(peer, id, DownReason::Stalled);
        }
        for (peer, id) in surplus {
            self.close_connection(peer, id, DownReason::Moved);
        }
    }

    /// Pings where nothing was heard for too long.
    fn ping_silent(&mut self, now: Instant) {
        let (us, published, tuning) = (self.us, self.published, &self.tuning);
        let mut silent = Vec::new();
        for (peer, entry) in self.peers.iter_mut() {
            let idle = if us < *peer { tuning.ping_idle } else { tuning.ping_idle * 2 };
            let spoken = entry.spoken.max(published);
            for (id, connection) in &mut entry.connections {
                // Relays have nothing to ask us.
                let idle = if connection.service { tuning.ping_idle } else { idle };
                let patience = if spoken > connection.heard { tuning.ping_interval } else { idle };
                if connection.is_doubtful(now, patience) {
                    connection.asked = true;
                    silent.push((peer.to_libp2p(), *id));
                }
            }
        }
        for (peer, id) in silent {
            self.swarm.behaviour_mut().ping.ask(peer, id);
        }
    }

    /// Tells which peers took what was piled up for them.
    fn relax(&mut self) {
        let mut relaxed = Vec::new();
        for (peer, entry) in self.peers.iter_mut() {
            if let Some(line) = entry.active_line()
                && line.congested
                && line.queue.own() <= SEND_RELAXED_BYTES
            {
                line.congested = false;
                relaxed.push(*peer);
            }
        }
        for peer in relaxed {
            self.emit(NetworkEvent::Congested { peer, congested: false });
        }
    }
}
