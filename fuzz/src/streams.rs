//! A hostile peer at a connection, and in the session of a room: whatever it sends in whatever order.

use std::collections::VecDeque;

use parlor_crypto::topic::{Connection, Side, TopicSecret};
use parlor_crypto::{Secret, label};
use parlor_proto::RoomId;
use parlor_proto::codec;
use parlor_proto::ids::DeviceId;
use parlor_proto::sync::{
    Advance, In, LinkIn, LinkOut, LinkSetup, Out, Outgoing, PeerLink, Series, Session, SessionSetup, Standing, Tables,
    Tip,
};
use parlor_proto::wire::{Asked, LinkFrame, Proof, RoomFrame, SeriesKind};

use crate::input::Input;
use crate::people::{NOW, prepared, rng};

fn topic(n: u8) -> TopicSecret {
    TopicSecret::from_secret(Secret::new([n; 32]))
}

/// Frames at a connection, between rooms that come and go. A link that was wronged says nothing more, and what it says is
/// in the format.
pub fn link(data: &[u8]) {
    let mut input = Input::new(data);
    let side = if input.flag() { Side::Dialer } else { Side::Listener };
    let setup = LinkSetup { side, our_peer: b"us".to_vec(), their_peer: b"them".to_vec(), nonce: [1; 32] };
    let (mut link, _) = PeerLink::start(setup, NOW);
    let nonce = [2; 32];
    let connection = match side {
        Side::Dialer => Connection::new(&[1; 32], &nonce, b"us", b"them"),
        Side::Listener => Connection::new(&nonce, &[1; 32], b"them", b"us"),
    };
    let their_side = if side == Side::Dialer { Side::Listener } else { Side::Dialer };
    let mut failed = false;
    let mut now = NOW;
    while !input.is_empty() {
        let room = input.byte() % 4;
        let secret = topic(room);
        let hello = LinkFrame::Hello { version: 1, limits: 1, nonce }.encode();
        let probe = LinkFrame::Probes(vec![secret.probe(their_side, &connection)]).encode();
        let frame;
        let told = match input.below(8) {
            0 => LinkIn::AddRoom { room: RoomId([room; 32]), topic_secret: &secret },
            1 => LinkIn::RemoveRoom { room: RoomId([room; 32]) },
            2 => {
                now += 1_000;
                LinkIn::Tick
            }
            3 => LinkIn::Frame(&hello),
            4 => LinkIn::Frame(&probe),
            5 => {
                frame = PeerLink::wrap(u16::from(room), input.run().to_vec());
                LinkIn::Frame(&frame)
            }
            _ => LinkIn::Frame(input.run()),
        };
        let out = link.handle(told, now);
        assert!(!failed || out.is_empty(), "silent after a misbehaviour");
        for out in &out {
            match out {
                LinkOut::Send(bytes) => drop(LinkFrame::decode(bytes).expect("what we send is in the format")),
                LinkOut::Misbehaved(_) => failed = true,
                _ => {}
            }
        }
        assert!(link.open_rooms().count() <= 4);
    }
}

/// The tables of a node with a few logs.
fn tables(n: u8) -> Tables {
    let mut tables = Tables::new();
    for author in 0..n {
        let device = device(author);
        for (series, seq) in [(Series::control(device), 2), (Series::messages(device), 3), (Series::leaf(device), 1)] {
            tables.advance(series, Tip { seq, id: [author; 32] });
        }
    }
    tables
}

fn device(n: u8) -> DeviceId {
    prepared().people.get(usize::from(n)).map_or(DeviceId([n; 32]), |person| person.device())
}

fn proof(connection: &Connection) -> Vec<u8> {
    let prepared = prepared();
    let covered = [prepared.room.0.as_slice(), &[0, 0, 1], connection.as_bytes()].concat();
    let peer = &prepared.people[1];
    let signature = peer.signing_key().sign(label::SIGN_SYNC_PROOF, &[&covered]);
    let plain = codec::encode(&Proof { device: peer.device(), signature });
    RoomFrame::Proof(topic(9).proof_key(Side::Dialer, connection).seal(&mut rng(), &[], &plain).into()).encode()
}

/// Frames in the session of a room, whose driver answers as the node does, at once or late. Strangers are read nothing, and
/// a former member its own messages only.
pub fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let connection = Connection::new(&[2; 32], &[1; 32], b"d", b"l");
    let prepared = prepared();
    let setup = SessionSetup {
        room: prepared.room,
        topic_secret: &topic(9),
        connection: connection.clone(),
        version: 1,
        side: Side::Listener,
        device: prepared.people[0].signing_key(),
    };
    let (mut session, _) = Session::start(setup, NOW, &mut rng());
    let all = tables(input.byte() % 24);
    let mut standing = [Standing::Live, Standing::Removed, Standing::Stranger][input.below(3)];
    let (mut now, mut failed) = (NOW, false);
    let mut owed: VecDeque<In> = VecDeque::new();
    if input.byte() & 3 != 0 {
        owed.push_back(In::Frame(proof(&connection)));
    }
    while !input.is_empty() || !owed.is_empty() {
        let told = match input.below(8) {
            0..4 if !owed.is_empty() => owed.pop_front().unwrap_or(In::Tick),
            0 => {
                now = session.next_deadline().unwrap_or(now).max(now);
                In::Tick
            }
            1 => In::Advanced(vec![Advance {
                series: Series::messages(device(input.byte() % 4)),
                seq: 3,
                bytes: input.flag().then(|| vec![1; 20]),
                from: None,
            }]),
            2 => In::Gap(Series::messages(device(input.byte()))),
            3 => In::Ask(Asked::Page([1; 32])),
            4 => {
                standing = [Standing::Live, Standing::Removed, Standing::Stranger][input.below(3)];
                In::Standing(standing)
            }
            _ => In::Frame(input.run().to_vec()),
        };
        let cut = if standing == Standing::Removed { all.cut_for(device(1)) } else { all.clone() };
        let out = session.handle(told, &cut, now);
        assert!(!failed || out.is_empty(), "silent after a misbehaviour");
        for out in out {
            answer(out, standing, &session, &mut failed, &mut owed, &mut input);
        }
        if failed {
            owed.clear();
            if session.next_deadline().is_some() {
                panic!("a session that ended waits for something");
            }
        }
    }
}

/// What the node does with an output.
fn answer(
    out: Out,
    standing: Standing,
    session: &Session,
    failed: &mut bool,
    owed: &mut VecDeque<In>,
    input: &mut Input<'_>,
) {
    match out {
        Out::Send(bytes) => drop(RoomFrame::decode(&bytes).expect("what we send is in the format")),
        Out::Proved { .. } => owed.push_back(In::Standing(standing)),
        Out::Read { ticket, kind, wanted, max_bytes, max_items } => {
            assert!(session.standing().is_some_and(|standing| standing != Standing::Stranger), "strangers get nothing");
            if session.standing() == Some(Standing::Removed) {
                let own = wanted.iter().all(|wanted| wanted.series.device == device(1));
                assert!(kind == SeriesKind::Control || (kind == SeriesKind::Message && own), "a former member's own");
            }
            let few = usize::from(input.byte() % 8).min(max_items);
            let numbers = wanted.iter().flat_map(|it| (it.from..=it.to).map(|seq| (it.series, seq)));
            let events = numbers.take(few).map(|(series, seq)| Outgoing { series, seq, bytes: vec![7; 30] }).collect();
            assert!(max_bytes > 0);
            owed.push_back(In::Read { ticket, events });
        }
        Out::Deliver { batch, .. } => owed.push_back(match input.below(4) {
            0 => In::Refused { batch },
            n => In::Stored { batch, complete: n == 1 },
        }),
        Out::Asked { id, .. } => owed.push_back(In::Answer { id, bytes: input.flag().then(|| vec![1; 9]) }),
        Out::Misbehaved(_) => *failed = true,
        _ => {}
    }
}
