//! Newest pages: a node that lacks some messages asks one member for the last ones, and shows them before its logs reach them.
//!
//! Checked at every moment: what is shown early is nobody's whom the node does not take for a member now, is not on the disk, and is
//! built on by nothing that the node writes. In the end none is left.

use std::sync::atomic::{AtomicUsize, Ordering};

use parlor_proto::DeviceId;
use parlor_proto::event::Event;
use parlor_proto::room::{Accepted, Change, Outcome, Standing as RoomStanding, Verdict};
use parlor_proto::sync::In;
use parlor_proto::wire::{Asked, Newest};
use rand::RngExt as _;

use crate::node::{Effect, Node};

/// How many messages of pages were shown, in all histories.
pub(crate) static SHOWN: AtomicUsize = AtomicUsize::new(0);

/// Who lacks so many messages asks: histories here are short.
const FROM: u64 = 3;
/// Lines of a page.
const LINES: usize = 4;

impl Node {
    /// Asks somebody who has more for the newest page, once a session, while none is shown.
    pub(crate) fn ask_for_newest(&mut self, now: u64) {
        let Some(room) = self.room() else { return };
        let members: Vec<DeviceId> = room.members().iter().flat_map(|m| m.devices.iter().map(|(d, _)| *d)).collect();
        let running = self.running();
        if !running.early.is_empty() {
            return;
        }
        let tables = &running.tables;
        let owing = running.peers.iter_mut().find_map(|(peer, linked)| {
            let (_, session) = linked.session.as_ref()?;
            let lacks = !linked.asked_newest && session.owes_messages(&members, tables) >= FROM;
            linked.asked_newest |= lacks;
            lacks.then_some(*peer)
        });
        if let Some(peer) = owing {
            self.tell_session(peer, In::Ask(Asked::Newest), now);
        }
    }

    /// The newest page, for a member. A villain leaves out what it likes, and turns bits over.
    pub(crate) fn newest_page(&mut self, to: &DeviceId) -> Option<Vec<u8>> {
        let mut rng = self.fork_rng();
        let live = self.room().is_some_and(|room| room.standing(to) == RoomStanding::Live);
        if !live {
            return None;
        }
        let mut events: Vec<&Event> = self.disk.messages.values().map(|stored| &stored.event).collect();
        events.sort_by_key(|event| std::cmp::Reverse(event.message().map(|header| header.hlc)));
        let mut page: Vec<Vec<u8>> = events.into_iter().take(LINES).map(|event| event.bytes().to_vec()).collect();
        if self.is_villain() {
            page.retain(|_| rng.random_bool(0.7));
            if let Some(event) = page.first_mut().filter(|_| rng.random_bool(0.5)) {
                let at = rng.random_range(0..event.len());
                event[at] ^= 1;
            }
        }
        Some(Newest::of(page).encode())
    }

    /// Somebody gave his newest page.
    pub(crate) fn on_newest(&mut self, peer: usize, bytes: &[u8], now: u64) {
        let running = self.running.as_mut().expect("it asked");
        let session = running.peers.get(&peer).and_then(|peer| peer.session.as_ref());
        let from = session.and_then(|(_, session)| session.peer());
        let Some(room) = running.room.as_mut() else { return };
        let page = Newest::decode(bytes)
            .map(|page| page.0.iter().map(|event| Event::decode(&room.id(), &event.0)).collect::<Result<Vec<_>, _>>());
        match page {
            Ok(Ok(events)) => {
                running.early.take(room, from, events, now);
                SHOWN.fetch_add(running.early.n_shown(), Ordering::Relaxed);
            }
            _ if self.hostile => self.out.push(Effect::Blame { peer, why: "a page that does not decode".into() }),
            _ => panic!("an honest page"),
        }
    }

    /// Messages came whose predecessors are missing: they are shown early too, while the log comes.
    pub(crate) fn hear_early(&mut self, events: Vec<Event>, now: u64) {
        let running = self.running();
        if let Some(room) = running.room.as_mut().filter(|_| !running.early.is_empty()) {
            running.early.take(room, None, events, now);
        }
    }

    /// The disk has taken a change.
    pub(crate) fn early_landed(&mut self, outcome: &Outcome, now: u64) {
        let running = self.running();
        for accepted in &outcome.accepted {
            running.early.landed(&accepted.event().id());
        }
        let control = outcome.accepted.iter().any(|accepted| matches!(accepted, Accepted::Control(_)));
        let keys = outcome.changes.iter().any(|change| matches!(change, Change::Keys(_)));
        if let Some(room) = running.room.as_mut().filter(|_| control || keys) {
            running.early.look_again(room, now);
        }
    }

    /// A peer holds no more than this node.
    pub(crate) fn early_equal(&mut self, peer: usize) {
        let running = self.running();
        let mut sessions = running.peers.values().filter_map(|peer| peer.session.as_ref());
        let nobody = sessions.all(|(_, session)| session.n_owed(&running.tables) == 0);
        let with = running.peers.get(&peer).and_then(|peer| peer.session.as_ref()).and_then(|(_, s)| s.peer());
        if let Some(with) = with {
            running.early.equal(&with, nobody);
        }
    }
}

/// What holds at every moment.
pub(crate) fn stands_beside_the_room(node: &Node) {
    let (Some(room), Some(running)) = (node.room(), &node.running) else { return };
    // What is on its way to the disk is looked at when it is there.
    for message in running.early.shown().filter(|_| running.commits.is_empty()) {
        let event = &message.event;
        assert!(!node.disk.ids.contains(&event.id()), "an early message is in its log");
        assert_eq!(room.verdict(event), Verdict::Shown, "an early message is not to be shown");
        assert_eq!(room.standing(&event.device()), RoomStanding::Live, "an early message of nobody here");
    }
    if node.is_villain() {
        return;
    }
    let me = node.me.device();
    for stored in node.disk.messages.range((me, 0)..=(me, u64::MAX)).map(|(_, stored)| stored) {
        let parents = stored.event.message().map_or(&[][..], |header| &header.parents);
        assert!(parents.iter().all(|id| node.disk.ids.contains(id)), "a message is built on what was not here");
    }
}
