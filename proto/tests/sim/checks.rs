//! What must hold: all the time, and when the network has healed.
//!
//! C1: equal events give equal rooms. C6: an invite admits no more than it says. C9: without shared history a newcomer
//! holds no key from before. C12: no two messages share a key. C21: what was promised is there, everywhere. C22: once.
//! And: delivered is never claimed falsely; nobody honest is found at fault (there [`crate::world`] panics); what was
//! heard before changes nothing when it is heard again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use parlor_proto::control::{History, Permission};
use parlor_proto::event::Event;
use parlor_proto::outbox::{Stage, Status};
use parlor_proto::room::{Room, Standing, Verdict};
use parlor_proto::{DeviceId, EventId};

use crate::knowledge::{Finished, Whole};
use crate::node::Node;
use crate::villain::Villain;
use crate::world::World;

/// The live devices of a room that are honest nodes.
fn honest(world: &World, room: &Room) -> BTreeSet<DeviceId> {
    let nodes = world.nodes.iter().filter(|node| !node.is_villain()).map(|node| node.me.device());
    nodes.filter(|device| room.standing(device) == Standing::Live).collect()
}

/// Live honest members.
fn members(world: &World) -> Vec<&Node> {
    world.nodes.iter().filter(|node| node.is_member() && !node.is_villain()).collect()
}

/// The messages that a node holds, but of logs that are left out for having too many branches.
fn message_ids(node: &Node) -> Vec<EventId> {
    let told = |event: &Event| node.room().is_none_or(|room| room.tells(&event.device()));
    let held = node.disk.messages.values().map(|stored| &stored.event);
    let mut ids: Vec<EventId> = held.filter(|event| told(event)).map(Event::id).collect();
    ids.sort_unstable();
    ids
}

/// Those of them that it shows.
fn shown_ids(node: &Node) -> Vec<EventId> {
    let Some(room) = node.room() else { return Vec::new() };
    let told = node.disk.messages.iter().filter(|(_, stored)| room.tells(&stored.event.device()));
    let shows = |path, event| matches!(room.verdict_on(event, path), Verdict::Shown | Verdict::Faded);
    let shown = told.filter(|((path, _), stored)| shows(path, &stored.event));
    let mut ids: Vec<EventId> = shown.map(|(_, stored)| stored.event.id()).collect();
    ids.sort_unstable();
    ids
}

/// Whether all members hold the same control events and messages and can write.
pub(crate) fn is_same(world: &World) -> bool {
    if world.nodes.iter().any(|node| node.running.is_none()) {
        return false;
    }
    let members = members(world);
    let Some(first) = members.first() else { return true };
    let known = first.room().map_or(0, |room| honest(world, room).len());
    known == members.len()
        && members.iter().all(|node| {
            let (Some(a), Some(b)) = (first.room(), node.room()) else { return false };
            a.state_hash() == b.state_hash() && message_ids(first) == message_ids(node)
        })
        && members.iter().all(|node| node.running.as_ref().is_some_and(|r| r.commits.is_empty()))
        && members.iter().all(|node| node.room().is_some_and(|room| room.epoch_status().epoch.is_some()))
}

/// Whether every message of every member is known to be delivered to all.
pub(crate) fn all_delivered(world: &World) -> bool {
    members(world).iter().all(|node| {
        let (Some(room), Some(running)) = (node.room(), &node.running) else { return false };
        let others = room.members().len() as u32 - 1;
        let me = node.me.device();
        node.disk.messages.range((me, 0)..=(me, u64::MAX)).all(|((_, seq), _)| {
            let status = running.outbox.status(&room.id(), *seq);
            others == 0 || status == Status::Delivered { to: others, of: others }
        })
    })
}

/// What members think of their own messages, for a failed check.
fn statuses(world: &World) -> String {
    let mut lines = String::new();
    for node in members(world) {
        let (Some(room), Some(running)) = (node.room(), &node.running) else { continue };
        let me = node.me.device();
        let own = node.disk.messages.range((me, 0)..=(me, u64::MAX));
        let own: Vec<_> = own.map(|((_, seq), _)| running.outbox.status(&room.id(), *seq)).collect();
        let peers: Vec<_> = running
            .peers
            .iter()
            .map(|(peer, linked)| (peer, linked.session.as_ref().map(|(_, s)| (s.standing(), s.is_settled()))))
            .collect();
        let index = node.index;
        lines += &format!("\nnode {index} {}: {own:?}, peers {peers:?}", node.me.device().short());
        let control = node.disk.control.iter().map(|e| (e.device().short(), e.seq(), e.id().short()));
        lines += &format!("\n  control {:?}", control.collect::<Vec<_>>());
        let members = room.members();
        lines += &format!("\n  members {:?}", members.iter().map(|m| m.account.short()).collect::<Vec<_>>());
        lines += &format!("\n  missing {} parents, waits for {:?}", room.missing_parents(), room.missing());
        lines += &format!("\n  epoch {:?}", room.epoch_status());
    }
    lines
}

/// What holds at every moment.
pub(crate) fn always(world: &World) {
    for node in &world.nodes {
        delivered_is_true(world, node);
        crate::early::stands_beside_the_room(node);
        invites_are_bounded(node);
    }
    keys_are_unique(world);
}

/// What holds when the network has healed and come to rest.
pub(crate) fn final_state(world: &mut World) {
    always(world);
    let members = members(world);
    if members.is_empty() {
        // Everybody left. Who was put out before that does not know.
        let rooms = || world.nodes.iter().filter_map(Node::room);
        return assert!(rooms().any(|room| room.members().is_empty()), "nobody knows that he is a member");
    }
    for node in &members[1..] {
        let (a, b) = (members[0].room().unwrap(), node.room().unwrap());
        let same = a.state_hash() == b.state_hash();
        assert!(same, "nodes {} and {} see two rooms: {}", members[0].index, node.index, statuses(world));
        assert_eq!(
            message_ids(members[0]),
            message_ids(node),
            "nodes {} and {} hold different messages",
            members[0].index,
            node.index
        );
        let (one, other) = (members[0].index, node.index);
        assert_eq!(shown_ids(members[0]), shown_ids(node), "nodes {one} and {other} show different messages");
    }
    let devices: BTreeSet<DeviceId> = members.iter().map(|node| node.me.device()).collect();
    let known = honest(world, members[0].room().unwrap());
    assert_eq!(devices, known, "the room has members that know nothing of it");
    for node in &members {
        let status = node.room().unwrap().epoch_status();
        // Observers alone, when all others left, have nobody who may make an epoch.
        let writes = node.room().unwrap().members().iter().any(|member| member.perms.has(Permission::Post));
        let able = status.epoch.is_some() || !writes;
        assert!(able, "node {} cannot write: {status:?}{}", node.index, statuses(world));
        readable(world, node);
    }
    for node in &members {
        let left = node.running.as_ref().map_or(0, |running| running.early.n_shown());
        assert!(left == 0 || world.plan.villains > 0, "node {} shows {left} messages early for ever", node.index);
    }
    written_once(world);
    secrets(world);
    // Whom a hostile member leaves in the dark about what it holds, nobody can know.
    assert!(
        world.plan.villains > 0 || all_delivered(world),
        "not all is delivered, or not all know it: {}",
        statuses(world)
    );
    replay(world);
}

/// C6.
fn invites_are_bounded(node: &Node) {
    let Some(room) = node.room() else { return };
    let mut by_invite: HashMap<EventId, u32> = HashMap::new();
    for member in room.members() {
        if let Some(invite) = member.invite {
            *by_invite.entry(invite).or_default() += 1;
        }
    }
    for info in room.invites() {
        let live = by_invite.get(&info.id).copied().unwrap_or(0);
        let max = info.max_uses.unwrap_or(u32::MAX);
        assert!(live <= max, "{live} came by invite {} for {max}", info.id.short());
    }
}

/// C12.
fn keys_are_unique(world: &World) {
    let mut owner: HashMap<[u8; 32], EventId> = HashMap::new();
    for stored in world.nodes.iter().flat_map(|node| node.disk.messages.values()) {
        if let Some(key) = &stored.key {
            let before = owner.insert(*key.secret().expose(), stored.event.id());
            assert!(before.is_none_or(|id| id == stored.event.id()), "two messages share a key");
        }
    }
}

/// Delivered to n means: on the disks of n other accounts.
fn delivered_is_true(world: &World, node: &Node) {
    // A hostile member writes two messages of one number; others confirm the one that they were given.
    let honest = node.villain.is_none();
    let (Some(room), Some(running)) = (node.room().filter(|_| honest), &node.running) else { return };
    let me = node.me.device();
    for ((_, seq), stored) in node.disk.messages.range((me, 0)..=(me, u64::MAX)) {
        let status = running.outbox.status(&room.id(), *seq);
        let claimed = match status {
            Status::Delivered { to, .. } | Status::Read { to, .. } => to as usize,
            _ => 0,
        };
        let holds = |other: &&Node| {
            // Who was put back to an old copy said the truth, and lost it.
            other.index != node.index && (other.restored || other.disk.ids.contains(&stored.event.id()))
        };
        let true_count = world.nodes.iter().filter(holds).count();
        assert!(claimed <= true_count + world.plan.villains, "{claimed} are said to have what {true_count} have");
        if status == Status::Sent && world.plan.villains == 0 {
            assert!(true_count > 0, "said to be sent and nowhere else");
        }
    }
}

/// C21 and C22: every text that was promised is in the room once.
fn written_once(world: &World) {
    for node in members(world) {
        let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
        let me = node.me.device();
        for ((device, _), stored) in &node.disk.messages {
            if let Some(text) = stored.text.as_ref().filter(|_| !world.is_evil(&stored.event.device())) {
                *seen.entry(text).or_default() += 1;
            }
            let own = *device == me;
            assert!(!own || stored.text.is_some(), "an own message cannot be read");
        }
        // What was in the outbox of the copy is sent by both.
        let twice = world.plan.restores > 0;
        assert!(seen.values().all(|n| *n == 1 || twice), "a message appears twice: {seen:?}");
        for nonce in &node.promised {
            let text = &world.texts[nonce];
            let stage = node.running.as_ref().and_then(|running| running.outbox.find(nonce)).map(|entry| entry.stage);
            // Whoever was made an observer meanwhile keeps the text until it may write again.
            let silenced = node.room().is_some_and(|room| room.may_post().is_err());
            let failed = matches!(stage, Some(Stage::Failed { .. })) || (silenced && stage == Some(Stage::Unwritten));
            let kept = failed || seen.contains_key(text.as_str());
            assert!(kept, "a promised message is lost: {text} {stage:?} {:?}", node.room().map(Room::role));
        }
    }
}

/// C7, C8, C9: what the ledger of secrets says at the end.
fn secrets(world: &mut World) {
    let mut ledger = std::mem::take(&mut world.ledger);
    let nodes = &world.nodes;
    let Some(first) = nodes.iter().find(|node| node.is_member()) else { return };
    let Some(room) = first.room() else { return };
    let control = nodes.iter().flat_map(|node| &node.disk.control);
    let mut messages: BTreeMap<EventId, &Event> = BTreeMap::new();
    for ((path, _), stored) in &first.disk.messages {
        let shown = matches!(room.verdict_on(&stored.event, path), Verdict::Shown | Verdict::NoKey);
        if shown && !world.is_evil(&stored.event.device()) {
            messages.insert(stored.event.id(), &stored.event);
        }
    }
    let read = nodes.iter().flat_map(|node| {
        let texts = node.disk.messages.values().filter(|stored| stored.text.is_some());
        texts.map(|stored| (node.me.device(), stored.event.id()))
    });
    let leafs = nodes
        .iter()
        .flat_map(|node| node.pads.iter().chain([&*node.me]))
        .flat_map(|me| me.leafs().iter().map(|leaf| (me.device(), leaf.secret.public())));
    let puppets = nodes.iter().filter_map(|node| node.villain.as_ref()).flat_map(Villain::puppets);
    let finished = Finished {
        whole: Whole::new(room.id(), control),
        ledger: &mut ledger,
        messages: messages.into_values().collect(),
        leafs: leafs.chain(puppets).collect(),
        pages: BTreeMap::new(),
        read: read.collect(),
        readers: members(world).iter().map(|node| (node.me.device(), node.me.account())).collect(),
    };
    finished.check();
    world.ledger = ledger;
}

/// With shared history everybody reads everything; who may read what otherwise is with [`secrets`].
fn readable(world: &World, node: &Node) {
    // Hostile members may change the history mode too.
    if world.plan.history == History::Full && world.plan.villains == 0 && !world.plan.modes {
        let room = node.room().expect("a member");
        let shown = |event: &Event, path| {
            matches!(room.verdict_on(event, path), Verdict::Shown | Verdict::NoKey) && !world.is_evil(&event.device())
        };
        let messages = node.disk.messages.iter();
        let dark = messages.filter(|((path, _), stored)| stored.text.is_none() && shown(&stored.event, path)).count();
        assert_eq!(dark, 0, "node {} cannot read {dark} messages", node.index);
    }
}

/// Everything that was ever heard is heard again by everybody: nothing changes.
fn replay(world: &mut World) {
    let heard = std::mem::take(&mut world.heard);
    let state = |node: &Node| (node.room().map(|room| room.state_hash()), message_ids(node));
    let honest = |world: &World| world.nodes.iter().filter(|node| !node.is_villain()).map(state).collect::<Vec<_>>();
    let inside = |world: &World| members(world).into_iter().map(state).collect::<Vec<_>>();
    // Some heard for the first time what a hostile member had shown to others only, or what nobody held any more but a home
    // that was put back; and who is out what was said meanwhile.
    let news = world.plan.villains > 0 || world.plan.restores > 0;
    let before = inside(world);
    hear(world, &heard);
    assert!(news || before == inside(world), "a replay changed something for a member");
    let before = honest(world);
    hear(world, &heard);
    assert_eq!(before, honest(world), "a replay changed something");
}

fn hear(world: &mut World, heard: &[(String, Vec<u8>)]) {
    let now = world.now_ms;
    for node in world.nodes.iter_mut().filter(|node| !node.is_villain()) {
        for (topic, bytes) in heard.iter().rev() {
            node.on_gossip(topic, bytes, now);
        }
        let events: Vec<Event> = node.disk.control.clone();
        if let Some(room) = node.running().room.as_mut() {
            let received = room.receive(events, now);
            assert!(received.outcome.accepted.is_empty());
        }
    }
}
