//! Hostile histories: bytes as choices of what members write who keep to no rule but the form.
//!
//! Every event continues some log of some device from some view, also old ones and forks; it is made under some grant,
//! names some targets, and is signed. Most are refused by validity; those that are not must mean the same to everybody.

use std::collections::BTreeMap;

use parlor_proto::control::Control;
use parlor_proto::dag::{Dag, Insert, NodeIdx, Set};
use parlor_proto::event::{Event, Header, MESSAGE_KIND, MessageHeader};
use parlor_proto::hlc::Hlc;
use parlor_proto::ids::{EpochId, EventId};
use parlor_proto::limits;
use parlor_proto::resolve::{Resolved, resolve};
use parlor_proto::room::{Room, RoomParts};

use crate::forge::Forge;
use crate::input::Input;
use crate::people::{NOW, owner_room, prepared};

/// Events of one history: more make it slower without making it richer.
const MOST: usize = 24;

/// The incremental resolver equals the one from scratch after every event, in every view, and in another order of
/// arrival; and what holds in every history holds here (C1, C2, C5, C6).
pub fn resolution(data: &[u8]) {
    let mut input = Input::new(data);
    let mut forge = Forge::new();
    let mut kept = resolve(forge.dag(), &forge.dag().everything());
    while !input.is_empty() && forge.dag().len() < forge.began() + MOST {
        let Some(at) = forge.one(&mut input) else { continue };
        kept.advance(forge.dag(), at);
        let scratch = resolve(forge.dag(), &forge.dag().everything());
        assert_same(forge.dag(), &kept, &scratch);
        assert_sound(forge.dag(), &scratch);
    }
    let dag = forge.dag();
    if let Some(head) = input.pick(&(0..dag.len()).collect::<Vec<_>>()) {
        let view = dag.past_of([head]);
        let mut stepwise = Resolved::default();
        view.iter().for_each(|at| drop(stepwise.advance(dag, at)));
        assert_same(dag, &stepwise, &resolve(dag, &view));
    }
    let other = reordered(dag, &mut input);
    assert_eq!(meaning(&other), meaning(dag), "the order of arrival changes nothing");
}

/// Both resolvers say the same of everything that can be asked.
fn assert_same(dag: &Dag, kept: &Resolved, scratch: &Resolved) {
    assert_eq!(kept.members(), scratch.members());
    assert_eq!(kept.settings(), scratch.settings());
    assert_eq!(kept.policy(dag), scratch.policy(dag));
    assert!(same_set(kept.view(), scratch.view()) && same_set(kept.live(), scratch.live()));
    for g in 0..dag.grants().len() {
        assert_eq!(kept.is_ok(g), scratch.is_ok(g), "grant {g}");
        assert_eq!(kept.kills(g), scratch.kills(g), "grant {g}");
    }
    for at in scratch.view().iter() {
        assert_eq!(kept.is_admissible(dag, at), scratch.is_admissible(dag, at), "event {at}");
    }
    for invite in dag.kinds().invites.iter().copied().filter(|at| scratch.view().has(*at)) {
        assert!(kept.came_by(invite).eq(scratch.came_by(invite)), "invite {invite}");
        assert_eq!(kept.is_closed(dag, invite), scratch.is_closed(dag, invite), "invite {invite}");
    }
    for device in dag.devices() {
        assert_eq!(kept.is_revoked(&device.device), scratch.is_revoked(&device.device));
    }
    for grant in dag.grants() {
        assert_eq!(kept.bans(dag, &grant.subject), scratch.bans(dag, &grant.subject));
    }
}

fn same_set(one: &Set, other: &Set) -> bool {
    one.iter().eq(other.iter())
}

/// What holds in every history.
fn assert_sound(dag: &Dag, resolved: &Resolved) {
    let first = dag.grants()[0].subject;
    let left = dag.kinds().leaves.contains_key(&first);
    assert!(left || resolved.members().contains_key(&first), "the first owner is never locked out (C5)");
    for at in &dag.kinds().invites {
        if let Control::Invite(invite) = &dag.node(*at).control {
            assert!(resolved.uses(*at) <= invite.max_uses as usize, "no more come than were invited (C6)");
        }
    }
    for (account, g) in resolved.members() {
        assert!(resolved.is_live(*g) && dag.grants()[*g].subject == *account);
    }
}

/// The same events, inserted in another order.
fn reordered(dag: &Dag, input: &mut Input<'_>) -> Dag {
    let mut other = Dag::new(dag.room());
    let mut waiting: Vec<NodeIdx> = (0..dag.len()).collect();
    while !waiting.is_empty() {
        let from = input.below(waiting.len());
        waiting.rotate_left(from);
        let before = waiting.len();
        waiting.retain(|at| matches!(other.insert_stored(&dag.node(*at).event), Insert::Missing(_)));
        assert!(waiting.len() < before, "what was valid is valid in any order");
    }
    assert_eq!(other.len(), dag.len());
    other
}

/// What a DAG means, without the numbers that depend on the order of arrival.
fn meaning(dag: &Dag) -> impl Eq + std::fmt::Debug + use<> {
    let resolved = resolve(dag, &dag.everything());
    let id = |at: NodeIdx| dag.node(at).event.id();
    let members: BTreeMap<_, _> = resolved
        .members()
        .iter()
        .map(|(account, g)| (*account, (id(dag.grants()[*g].op), dag.grants()[*g].power)))
        .collect();
    let grants: BTreeMap<_, _> = (0..dag.grants().len())
        .map(|g| {
            let mut kills: Vec<EventId> = resolved.kills(g).iter().map(|at| id(*at)).collect();
            kills.sort_unstable();
            ((id(dag.grants()[g].op), dag.grants()[g].subject), (resolved.is_ok(g), kills))
        })
        .collect();
    let mut closed: Vec<EventId> =
        dag.kinds().invites.iter().filter(|at| resolved.is_closed(dag, **at)).map(|at| id(*at)).collect();
    closed.sort_unstable();
    let live: std::collections::BTreeSet<_> = resolved.live().iter().map(|no| dag.devices()[no].device).collect();
    let policy = resolved.policy(dag).cloned();
    (members, grants, closed, live, resolved.settings().clone(), policy)
}

/// Hostile events and messages handed to the machine of a room: in one order and another, in batches, twice, and through a
/// restart it comes to the same.
pub fn room(data: &[u8]) {
    let mut input = Input::new(data);
    let mut forge = Forge::new();
    let mut events: Vec<Event> = Vec::new();
    while !input.is_empty() && events.len() < MOST {
        if input.byte() & 3 == 0 {
            events.extend(message(&forge, &mut input));
        } else if let Some(at) = forge.one(&mut input) {
            events.push(forge.dag().node(at).event.clone());
        } else {
            // What validity refuses comes all the same.
            events.extend(forge.refused());
        }
    }
    let mut straight = owner_room();
    straight.receive(events.clone(), NOW);
    let mut turned = owner_room();
    let mut left = events.clone();
    left.reverse();
    while !left.is_empty() {
        let n = 1 + input.below(left.len().min(5));
        let batch: Vec<Event> = left.drain(..n).collect();
        turned.receive(batch.clone(), NOW);
        turned.receive(batch, NOW);
    }
    // What had not its ancestors in full buffers comes again.
    turned.receive(events.clone(), NOW);
    straight.receive(events.clone(), NOW);
    assert_eq!(straight.state_hash(), turned.state_hash(), "the order of arrival changes nothing (C1)");
    for event in events.iter().filter(|event| event.message().is_some()) {
        assert_eq!(straight.verdict(event), turned.verdict(event));
    }
    let again = restarted(&straight);
    assert_eq!(again.state_hash(), straight.state_hash(), "a restart changes nothing");
    let _ = turned.maintain(NOW, &mut crate::people::rng());
}

/// The room as a restart makes it from its control events.
fn restarted(room: &Room) -> Room {
    let prepared = prepared();
    let parts =
        RoomParts { control: room.control_events().cloned().collect(), heads: Vec::new(), ..prepared.parts.clone() };
    Room::restore(prepared.people[0].clone(), parts).expect("what was accepted is accepted again")
}

/// A message with any numbers, whose inside nobody can open.
fn message(forge: &Forge, input: &mut Input<'_>) -> Option<Event> {
    let prepared = prepared();
    let author = input.pick(&[0, 1, 2, 3])?;
    let person = forge.person(author)?;
    let before: Vec<&Event> = prepared.events.iter().filter(|event| event.message().is_some()).collect();
    let prev = before.get(input.below(before.len() + 1)).map_or(EventId::ZERO, |event| event.id());
    let seq = if prev == EventId::ZERO { 1 } else { 1 + u64::from(input.byte() % 5) };
    let dag = forge.dag();
    let mut control: Vec<EventId> =
        (0..1 + input.below(3)).map(|_| dag.node(input.below(dag.len())).event.id()).collect();
    control.sort_unstable();
    control.dedup();
    let epochs: Vec<EpochId> = dag.kinds().rotates.iter().map(|at| EpochId::of(&dag.node(*at).event.id())).collect();
    let header = Header::Message(MessageHeader {
        v: limits::VERSION,
        suite: limits::SUITE,
        kind: MESSAGE_KIND,
        device: person.device(),
        seq,
        prev,
        parents: Vec::new(),
        control,
        hlc: Hlc::at(NOW + u64::from(input.byte())),
        epoch: input.pick(&epochs).unwrap_or(EpochId([0; 16])),
        slice: u32::from(input.byte() % 4),
        generation: u32::from(input.byte() % 4),
        salt: [input.byte(); 16],
        payload_len: 0,
        payload_hash: [0; 32],
    });
    Event::sign(&prepared.room, header, input.run(), person.signing_key()).ok()
}
