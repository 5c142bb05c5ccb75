//! What the topic of a room brings: judged, taken in, and compared with what the streams of its authors show.
//!
//! Gossip is a hint, so whatever is ignored here comes by sync. What it leaves to others: the format
//! ([`parlor_proto::gossip`]), and forwarding, which follows from the verdict.

use parlor_net::{GossipToken, PeerId, Verdict as Judgement};
use parlor_proto::DeviceId;
use parlor_proto::event::{Event, LogKind};
use parlor_proto::gossip::{GossipError, GossipFrame, Unreached};
use parlor_proto::marker::INTERVAL_MS;
use parlor_proto::wire::{Item, SeriesKind};

use super::entry::{Job, Turn};
use super::ingest::{bad_copies, blames};
use crate::limits::{GOSSIP_COMMITS_MAX, GOSSIP_PATIENCE_MS};

/// Times in a row that gossip misses what the stream showed, after which a link is dropped.
const MISSES: u8 = 2;

/// Whether gossip brings what a peer writes, or its stream alone does. libp2p can go deaf in one direction without a word;
/// a new connection cures it.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Both were equal once: what is written from here on is expected by gossip too.
    settled: bool,
    /// The highest number of its messages that gossip brought, over whomever.
    heard: u64,
    /// A number that its stream showed first, and until when gossip may follow.
    waiting: Option<(u64, u64)>,
    misses: u8,
}

impl Hearing {
    /// The peer's stream and ours hold the same.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }

    /// Gossip brought the peer's message of this number.
    fn heard(&mut self, seq: u64) {
        self.heard = self.heard.max(seq);
        if self.waiting.is_some_and(|(shown, _)| shown <= self.heard) {
            self.excuse();
        }
    }

    /// The peer's stream brought its message of this number.
    fn shown(&mut self, seq: u64, now_ms: u64) {
        if self.settled && seq > self.heard && self.waiting.is_none() {
            self.waiting = Some((seq, now_ms.saturating_add(GOSSIP_PATIENCE_MS)));
        }
    }

    /// Gossip came and was not looked at: nothing follows from what is missing.
    fn excuse(&mut self) {
        self.waiting = None;
        self.misses = 0;
    }

    /// When [`missed`](Self::missed) is to be asked.
    pub(super) fn due(&self) -> Option<u64> {
        self.waiting.map(|(_, until)| until)
    }

    /// Time passed: whether gossip missed once too often.
    fn missed(&mut self, now_ms: u64) -> bool {
        if self.waiting.take_if(|(_, until)| *until <= now_ms).is_some() {
            self.misses = self.misses.saturating_add(1);
        }
        self.misses >= MISSES
    }
}

impl Turn<'_> {
    /// A frame of the room's topic: takes it in and says whether it is to be forwarded.
    pub(super) fn gossip(&mut self, data: &[u8], source: PeerId, token: GossipToken) {
        let verdict = self.judge(data, source);
        self.jobs.push(Job::Judge { token, verdict });
    }

    fn judge(&mut self, data: &[u8], source: PeerId) -> Judgement {
        if self.entry.committing >= GOSSIP_COMMITS_MAX {
            // The disk lags: sync brings it when there is room.
            self.excuse_gossip();
            return Judgement::Ignore;
        }
        let hinted = parlor_crypto::wrap::hint(data).and_then(|hint| self.entry.room.gossip_key_for(&hint));
        match GossipFrame::unwrap(data, |_| hinted.as_ref()) {
            Ok((frame, unreached)) => match self.gossip_frame(frame) {
                // Everybody whom we could tell was told.
                Judgement::Accept if !self.is_needed_by(&unreached) => Judgement::Ignore,
                verdict => verdict,
            },
            // Under a key that we do not have yet: sync brings what is in it.
            Err(GossipError::UnknownKey) => {
                self.excuse_gossip();
                Judgement::Ignore
            }
            Err(_) => {
                tracing::debug!(room = %self.id().short(), peer = %source.short(), "rejected gossip");
                Judgement::Reject
            }
        }
    }

    /// Whether we are connected to somebody who was not reached.
    fn is_needed_by(&self, unreached: &Unreached) -> bool {
        unreached.is_helped_by(self.entry.sessions.values().filter_map(|linked| linked.device.as_ref()))
    }

    fn gossip_frame(&mut self, frame: GossipFrame) -> Judgement {
        let kind = match &frame {
            GossipFrame::Events(_) => SeriesKind::Message,
            GossipFrame::Markers(_) => SeriesKind::Marker,
            GossipFrame::Leaves(_) => SeriesKind::Leaf,
            GossipFrame::Presence(said) => return self.hear(&said.0),
        };
        let (GossipFrame::Events(list) | GossipFrame::Markers(list) | GossipFrame::Leaves(list)) = frame else {
            return Judgement::Ignore;
        };
        let of_markers = kind == SeriesKind::Marker;
        let items: Vec<_> = list
            .into_iter()
            .filter(|bytes| !of_markers || self.is_marker_due(&bytes.0))
            .map(|bytes| Item { kind, bytes })
            .collect();
        if items.is_empty() {
            return Judgement::Ignore;
        }
        let Some((events, records)) = self.sort(items) else { return Judgement::Reject };
        for marker in &records.markers {
            self.entry.heard_markers.insert(marker.device, self.now_ms);
        }
        self.heard(&events);
        let (n_events, heard) = (events.len(), events.clone());
        let received = self.entry.room.receive_unvouched(events, self.now_ms);
        let known = n_events == received.duplicates && records.markers.is_empty();
        // On gossip what vouches for an event is in the same frame.
        let bad = blames(&received.rejected) || bad_copies(&received.rejected) > 0;
        let verdict = match (bad, known) {
            (true, _) => Judgement::Reject,
            (false, true) => Judgement::Ignore,
            (false, false) => Judgement::Accept,
        };
        self.take(received, records);
        if verdict != Judgement::Reject {
            self.hear_early(heard);
        }
        verdict
    }

    /// Whether a marker comes no sooner after the one before than its device may send them: each costs a commit. What it says comes
    /// by sync. The first bytes of a marker are its device's id; whoever puts in somebody else's is found out by its signature.
    fn is_marker_due(&self, bytes: &[u8]) -> bool {
        let device = bytes.first_chunk().map(|id| DeviceId(*id));
        let last = device.and_then(|device| self.entry.heard_markers.get(&device));
        last.is_none_or(|last| self.now_ms.saturating_sub(*last) >= INTERVAL_MS / 2)
    }

    /// Gossip brought these events.
    fn heard(&mut self, events: &[Event]) {
        for event in events.iter().filter(|event| event.log().kind == LogKind::Message) {
            let of = event.device();
            let its = self.entry.sessions.values_mut().filter(|linked| linked.device == Some(of));
            its.for_each(|linked| linked.hearing.heard(event.seq()));
        }
    }

    /// The stream of `peer` brought these events.
    pub(super) fn shown(&mut self, peer: PeerId, events: &[Event]) {
        let now_ms = self.now_ms;
        let Some(linked) = self.entry.sessions.get_mut(&peer) else { return };
        let Some(device) = linked.device else { return };
        let own = |event: &&Event| event.log().kind == LogKind::Message && event.device() == device;
        if let Some(seq) = events.iter().filter(own).map(Event::seq).max() {
            linked.hearing.shown(seq, now_ms);
        }
    }

    fn excuse_gossip(&mut self) {
        self.entry.sessions.values_mut().for_each(|linked| linked.hearing.excuse());
    }

    /// Drops links on which gossip is silent.
    pub(super) fn check_links(&mut self) {
        let now_ms = self.now_ms;
        let missed = self.entry.sessions.iter_mut().filter_map(|(peer, it)| it.hearing.missed(now_ms).then_some(*peer));
        let deaf: Vec<PeerId> = missed.collect();
        for peer in deaf {
            if let Some(linked) = self.entry.sessions.get_mut(&peer) {
                linked.hearing.excuse();
            }
            self.context.peers.mute(peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use parlor_api::{CreateInvite, CreateRoom, EventBody, JoinRequest, Problem, SendRequest};
    use parlor_proto::RoomId;
    use parlor_proto::outbox::Outbox;

    use super::super::entry::Entry;
    use super::*;
    use crate::launch::{Running, init_account, start};
    use crate::{Config, Home, Passphrase};

    /// Far longer than anything here takes, because the machine may be busy.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_link_is_deaf_when_gossip_missed_twice_in_a_row_what_the_stream_showed() {
        let late = GOSSIP_PATIENCE_MS;
        let mut hearing = Hearing::default();
        hearing.shown(1, 0);
        assert_eq!(hearing.due(), None, "what was written before the two were equal comes by the stream alone");
        hearing.settle();
        hearing.shown(2, 0);
        hearing.heard(2);
        assert_eq!(hearing.due(), None, "gossip brought it, later");
        hearing.heard(3);
        hearing.shown(3, 0);
        assert_eq!(hearing.due(), None, "gossip brought it, earlier");
        hearing.shown(4, 0);
        assert!(!hearing.missed(late - 1) && !hearing.missed(late), "once may be chance");
        hearing.shown(5, late);
        hearing.heard(5);
        hearing.shown(6, late);
        assert!(!hearing.missed(2 * late), "not in a row");
        hearing.shown(7, 2 * late);
        assert!(hearing.missed(3 * late));
        hearing.excuse();
        assert!(!hearing.missed(9 * late));
    }

    async fn node(dir: &Path, name: &str) -> Running {
        let home = Home::at(dir.join(name));
        init_account(&home, name, &Passphrase::None).unwrap();
        let mut config = Config::new(home);
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned()];
        config.mdns = false;
        start(config).await.unwrap()
    }

    async fn room(owner: &Running) -> RoomId {
        owner.app.create_room(CreateRoom::named("room")).await.unwrap().room.parse().unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn while_the_disk_lags_gossip_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let alice = node(dir.path(), "alice").await;
        let id = room(&alice).await;
        let context = alice.app.node.context.clone();
        let mut entry = Entry::load(&context, id).unwrap();
        // Garbage under the key of the room: whoever looks at it rejects it.
        let key = entry.room.gossip_key().unwrap();
        let data = [&key.hint()[..], &[7; 100]].concat();
        let mut judge = |committing: usize| {
            entry.committing = committing;
            let (mut outbox, mut jobs) = (Outbox::default(), Vec::new());
            let mut turn =
                Turn { entry: &mut entry, outbox: &mut outbox, context: &context, jobs: &mut jobs, now_ms: 0 };
            turn.judge(&data, context.peer)
        };
        assert_eq!(judge(GOSSIP_COMMITS_MAX - 1), Judgement::Reject);
        assert_eq!(judge(GOSSIP_COMMITS_MAX), Judgement::Ignore);
        alice.stop().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_member_who_sends_marker_after_marker_costs_a_commit_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let alice = node(dir.path(), "alice").await;
        let id = room(&alice).await;
        let context = alice.app.node.context.clone();
        let mut entry = Entry::load(&context, id).unwrap();
        let (bob, carol) = (DeviceId([2; 32]), DeviceId([3; 32]));
        entry.heard_markers.insert(bob, 10_000);
        let mut is_due = |device: DeviceId, now_ms: u64| {
            let (mut outbox, mut jobs) = (Outbox::default(), Vec::new());
            let turn = Turn { entry: &mut entry, outbox: &mut outbox, context: &context, jobs: &mut jobs, now_ms };
            turn.is_marker_due(&[&device.0[..], &[7; 100]].concat())
        };
        assert!(!is_due(bob, 10_001) && !is_due(bob, 10_999));
        assert!(is_due(bob, 11_000) && is_due(carol, 10_001));
        alice.stop().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_link_whose_gossip_is_silent_is_dropped_and_dialled_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (alice, bob) = (node(dir.path(), "alice").await, node(dir.path(), "bob").await);
        let id = room(&alice).await;
        let invite = alice.app.create_invite(&id.to_string(), CreateInvite::default()).await.unwrap();
        let request = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT, once_asked: false };
        bob.app.join(request).await.unwrap();
        let mut events = bob.app.subscribe(None).unwrap();
        // Bob's node no longer listens to the topic: as when libp2p went deaf, alice hears nothing of it.
        let entry = Entry::load(&bob.app.node.context, id).unwrap();
        for name in entry.room.topic_names() {
            bob.app.node.context.net.unsubscribe(parlor_net::Topic::new(name).unwrap()).await.unwrap();
        }
        let start = Instant::now();
        let (mut n, mut gone) = (0, false);
        loop {
            n += 1;
            write(&alice, &id, n).await.unwrap();
            while let Ok(event) = tokio::time::timeout(Duration::from_millis(500), events.next()).await {
                match &event.unwrap().unwrap().body {
                    EventBody::Peer(peer) if !peer.connected => gone = true,
                    EventBody::Peer(_) if gone => {
                        drop((alice.stop().await, bob.stop().await));
                        return;
                    }
                    _ => {}
                }
            }
            assert!(start.elapsed() < PATIENCE, "after {n} messages the link still stands");
        }
    }

    async fn write(node: &Running, room: &RoomId, n: u32) -> Result<(), Problem> {
        let message = SendRequest { text: n.to_string(), ..SendRequest::default() };
        node.app.send(&room.to_string(), vec![message]).await.map(drop)
    }
}
