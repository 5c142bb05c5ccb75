//! What a hostile peer can and can not do to a link and a session.

use parlor_crypto::label;
use parlor_crypto::topic::TopicSecret;

use super::pair::*;
use super::*;
use crate::codec;
use crate::ids::RoomId;
use crate::wire::*;

const NOW: u64 = 1_000_000;

fn setup(side: Side, nonce: u8) -> LinkSetup {
    let (our_peer, their_peer) = if side == Side::Dialer { ("d", "l") } else { ("l", "d") };
    LinkSetup { side, our_peer: our_peer.into(), their_peer: their_peer.into(), nonce: [nonce; 32] }
}

/// Our link after hellos, with one room.
fn link() -> PeerLink {
    let (mut link, _) = PeerLink::start(setup(Side::Listener, 1), NOW);
    link.handle(LinkIn::AddRoom { room: ROOM, topic_secret: &topic() }, NOW);
    let hello = LinkFrame::Hello { version: 1, limits: 1, nonce: [2; 32] };
    assert!(matches!(&link.handle(LinkIn::Frame(&hello.encode()), NOW)[..], [LinkOut::Send(_)]));
    link
}

fn blame(out: &[LinkOut]) -> Option<Misbehaviour> {
    out.iter().find_map(|out| if let LinkOut::Misbehaved(why) = out { Some(*why) } else { None })
}

#[test]
fn only_shared_rooms_open_and_both_sides_agree_on_the_channel() {
    let (mut dialer, hello_d) = PeerLink::start(setup(Side::Dialer, 1), NOW);
    let (mut listener, hello_l) = PeerLink::start(setup(Side::Listener, 2), NOW);
    let secrets: Vec<_> = (0..6).map(|n| TopicSecret::from_secret(parlor_crypto::Secret::new([n; 32]))).collect();
    let mut wire: Vec<(bool, LinkOut)> = hello_d.into_iter().map(|out| (true, out)).collect();
    wire.extend(hello_l.into_iter().map(|out| (false, out)));
    let add = |link: &mut PeerLink, n: usize| {
        link.handle(LinkIn::AddRoom { room: RoomId([n as u8; 32]), topic_secret: &secrets[n] }, NOW)
    };
    for n in [0, 1, 2, 3] {
        add(&mut dialer, n);
    }
    for n in [3, 1, 4] {
        add(&mut listener, n);
    }
    let mut opened = [Vec::new(), Vec::new()];
    let mut added = false;
    loop {
        while let Some((from_dialer, out)) = (!wire.is_empty()).then(|| wire.remove(0)) {
            match out {
                LinkOut::Send(bytes) => {
                    let to = if from_dialer { &mut listener } else { &mut dialer };
                    let out = to.handle(LinkIn::Frame(&bytes), NOW);
                    wire.extend(out.into_iter().map(|out| (!from_dialer, out)));
                }
                LinkOut::Opened { room, channel, .. } => opened[usize::from(from_dialer)].push((room, channel)),
                other => panic!("{other:?}"),
            }
        }
        if added {
            break;
        }
        // Rooms added later, on either side first.
        added = true;
        wire.extend(add(&mut listener, 0).into_iter().map(|out| (false, out)));
        wire.extend(add(&mut dialer, 5).into_iter().map(|out| (true, out)));
        wire.extend(add(&mut listener, 5).into_iter().map(|out| (false, out)));
    }
    opened.iter_mut().for_each(|opened| opened.sort());
    let expected: Vec<_> = [(0, 0), (1, 1), (3, 3), (5, 4)].map(|(room, channel)| (RoomId([room; 32]), channel)).into();
    assert_eq!(opened, [expected.clone(), expected]);
}

#[test]
fn echoed_and_replayed_probes_open_nothing() {
    let (mut link, _) = PeerLink::start(setup(Side::Listener, 1), NOW);
    link.handle(LinkIn::AddRoom { room: ROOM, topic_secret: &topic() }, NOW);
    let hello = LinkFrame::Hello { version: 1, limits: 1, nonce: [2; 32] };
    let out = link.handle(LinkIn::Frame(&hello.encode()), NOW);
    let [LinkOut::Send(probes)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(link.handle(LinkIn::Frame(probes), NOW), [], "an echo matches nothing");
    // What the true dialer would send on another connection.
    let other = Connection::new(&[3; 32], &[1; 32], b"d", b"l");
    let replay = LinkFrame::Probes(vec![topic().probe(Side::Dialer, &other)]);
    assert_eq!(link.handle(LinkIn::Frame(&replay.encode()), NOW), []);
    assert_eq!(link.open_rooms().count(), 0);
}

#[test]
fn a_link_ends_at_the_first_broken_rule() {
    let probes = LinkFrame::Probes(vec![[0; 16]; MAX_PROBES]).encode();
    let mut full = link();
    assert_eq!(blame(&full.handle(LinkIn::Frame(&probes), NOW)), None);
    assert_eq!(blame(&full.handle(LinkIn::Frame(&probes), NOW)), Some(Misbehaviour::TooMany));
    assert_eq!(full.handle(LinkIn::Frame(&probes), NOW), [], "silent afterwards");
    let hello = LinkFrame::Hello { version: 1, limits: 1, nonce: [2; 32] }.encode();
    let room = LinkFrame::Room { channel: 9, bytes: Blob(Vec::new()) }.encode();
    assert_eq!(blame(&link().handle(LinkIn::Frame(&hello), NOW)), Some(Misbehaviour::OutOfTurn));
    assert_eq!(blame(&link().handle(LinkIn::Frame(&room), NOW)), Some(Misbehaviour::UnknownChannel));
    assert_eq!(blame(&link().handle(LinkIn::Frame(&[255; 9]), NOW)), Some(Misbehaviour::Malformed));
    assert_eq!(blame(&link().handle(LinkIn::Frame(&vec![0; MAX_FRAME + 1]), NOW)), Some(Misbehaviour::Malformed));
    let fresh = || PeerLink::start(setup(Side::Dialer, 2), NOW).0;
    assert_eq!(blame(&fresh().handle(LinkIn::Frame(&room), NOW)), Some(Misbehaviour::OutOfTurn));
    assert_eq!(blame(&fresh().handle(LinkIn::Frame(&hello), NOW)), Some(Misbehaviour::Echo));
    let mut silent = fresh();
    assert_eq!(silent.next_deadline(), Some(NOW + HELLO_TIMEOUT_MS));
    assert_eq!(blame(&silent.handle(LinkIn::Tick, NOW + HELLO_TIMEOUT_MS)), Some(Misbehaviour::Stalled));
}

/// Our session as the listener, and the connection it is on.
fn session() -> (Session, Connection) {
    let connection = Connection::new(&[2; 32], &[1; 32], b"d", b"l");
    let device = key(1);
    let setup = SessionSetup {
        room: ROOM,
        topic_secret: &topic(),
        connection: connection.clone(),
        version: 1,
        side: Side::Listener,
        device: &device,
    };
    (Session::start(setup, NOW, &mut rng()).0, connection)
}

/// The dialer's proof by device `n` for `room`, signed over `signed` and sealed for `sealed`.
fn proof(n: u64, room: RoomId, signed: &Connection, sealed: &Connection) -> Vec<u8> {
    let covered = [room.0.as_slice(), &[0, 0, 1], signed.as_bytes()].concat();
    let signature = key(n).sign(label::SIGN_SYNC_PROOF, &[&covered]);
    let plain = codec::encode(&Proof { device: device_id(n), signature });
    let bytes = topic().proof_key(Side::Dialer, sealed).seal(&mut rng(), &[], &plain);
    RoomFrame::Proof(Blob(bytes)).encode()
}

fn tables() -> Tables {
    let mut node = Node::new(1);
    for author in 100..200 {
        node.write(author, SeriesKind::Message, 2);
        node.write(author, SeriesKind::Control, 2);
    }
    node.tables
}

/// A session whose peer is proved and has this standing.
fn proved(standing: Standing) -> Session {
    let (mut session, connection) = session();
    let out = session.handle(In::Frame(proof(2, ROOM, &connection, &connection)), &tables(), NOW);
    assert_eq!(out, [Out::Proved { device: device_id(2) }]);
    session.handle(In::Standing(standing), &tables(), NOW);
    session
}

fn blamed(session: &mut Session, frame: &RoomFrame) -> Option<Misbehaviour> {
    fault(&session.handle(In::Frame(frame.encode()), &tables(), NOW))
}

fn fault(out: &[Out]) -> Option<Misbehaviour> {
    out.iter().find_map(|out| if let Out::Misbehaved(why) = out { Some(*why) } else { None })
}

fn summary(round: u32) -> RoomFrame {
    RoomFrame::Summary { round, told: Told::All(Node::new(3).tables.digests()) }
}

#[test]
fn a_proof_of_another_connection_room_or_device_is_refused() {
    let (_, connection) = session();
    let other = Connection::new(&[9; 32], &[1; 32], b"d", b"l");
    let bad = [
        proof(2, ROOM, &other, &connection),
        proof(2, ROOM, &connection, &other),
        proof(2, RoomId([1; 32]), &connection, &connection),
        RoomFrame::Proof(Blob(vec![0; 10])).encode(),
    ];
    for frame in bad {
        let (mut session, _) = session();
        let out = session.handle(In::Frame(frame), &tables(), NOW);
        assert_eq!(out, [Out::Misbehaved(Misbehaviour::BadProof)]);
        assert_eq!(session.peer(), None);
    }
    // Our own proof comes back.
    let device = key(1);
    let secret = topic();
    let setup = SessionSetup {
        room: ROOM,
        topic_secret: &secret,
        connection,
        version: 1,
        side: Side::Listener,
        device: &device,
    };
    let (mut session, out) = Session::start(setup, NOW, &mut rng());
    let [Out::Send(ours)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(fault(&session.handle(In::Frame(ours.clone()), &tables(), NOW)), Some(Misbehaviour::BadProof));
}

#[test]
fn nothing_is_answered_before_the_proof_nor_waited_for_without_end() {
    for frame in [summary(1), RoomFrame::Want(Vec::new()), RoomFrame::Again, RoomFrame::Tips(Vec::new())] {
        let (mut session, _) = session();
        let out = session.handle(In::Frame(frame.encode()), &tables(), NOW);
        assert_eq!(out, [Out::Misbehaved(Misbehaviour::OutOfTurn)]);
    }
    let (mut session, _) = session();
    let due = session.next_deadline().unwrap();
    assert_eq!(fault(&session.handle(In::Tick, &tables(), due)), Some(Misbehaviour::Stalled));
    assert_eq!(session.next_deadline(), None);
}

#[test]
fn a_peer_that_stops_in_a_comparison_is_dropped() {
    let mut session = proved(Standing::Live);
    assert_eq!(blamed(&mut session, &summary(1)), None);
    let due = session.next_deadline().unwrap();
    assert!(due <= NOW + COMPARE_TIMEOUT_MS);
    assert_eq!(fault(&session.handle(In::Tick, &tables(), due)), Some(Misbehaviour::Stalled));
}

#[test]
fn a_peer_that_claims_and_never_sends_is_dropped() {
    let mut session = proved(Standing::Live);
    blamed(&mut session, &summary(1));
    let entries = vec![Entry { tag: [1, 2, 3, 4, 5, 6], seq: u64::MAX, check: [0; 2] }];
    let list = CompareItem::List { path: Path::ROOT, entries };
    assert_eq!(blamed(&mut session, &RoomFrame::Compare { round: 1, items: vec![list] }), None);
    assert_eq!(blamed(&mut session, &RoomFrame::Compare { round: 1, items: Vec::new() }), None);
    let mut now = NOW;
    while let Some(due) = session.next_deadline() {
        now = due;
        let out = session.handle(In::Tick, &tables(), now);
        if let Some(why) = fault(&out) {
            assert_eq!(why, Misbehaviour::Withheld);
        }
    }
    assert!(now <= NOW + OWED_TIMEOUT_MS);
}

#[test]
fn a_member_that_went_out_after_it_claimed_is_not_blamed_for_what_is_no_longer_exchanged() {
    let mut session = proved(Standing::Live);
    blamed(&mut session, &summary(1));
    let entries = vec![Entry { tag: [1, 2, 3, 4, 5, 6], seq: 9, check: [0; 2] }];
    let list = CompareItem::List { path: Path::ROOT, entries };
    assert_eq!(blamed(&mut session, &RoomFrame::Compare { round: 1, items: vec![list] }), None);
    assert_eq!(blamed(&mut session, &RoomFrame::Compare { round: 1, items: Vec::new() }), None);
    session.handle(In::Standing(Standing::Removed), &tables(), NOW);
    while let Some(due) = session.next_deadline().filter(|due| *due <= NOW + OWED_TIMEOUT_MS) {
        let out = session.handle(In::Tick, &tables(), due);
        assert_ne!(fault(&out), Some(Misbehaviour::Withheld));
        if fault(&out).is_some() {
            break;
        }
    }
}

#[test]
fn malformed_comparisons_are_refused() {
    let entry = |tag| Entry { tag, seq: 1, check: [0; 2] };
    let list = |path, entries| CompareItem::List { path: Path(path), entries };
    let split = |path, children, digests| CompareItem::Split { path: Path(path), children, digests };
    let bad = [
        list(1, vec![entry([2; 6]), entry([1; 6])]),
        list(1, vec![entry([1; 6]), entry([1; 6])]),
        list(0x15, vec![entry([1; 6])]),
        list(0x20, Vec::new()),
        list(1 << 52, Vec::new()),
        split(1, 3, vec![[0; 2]]),
        split(1, 0, vec![[0; 2]]),
        split(1 << 48, 1, vec![[0; 2]]),
        split(0, 1, vec![[0; 2]]),
    ];
    for item in bad {
        let mut session = proved(Standing::Live);
        blamed(&mut session, &summary(1));
        let frame = RoomFrame::Compare { round: 1, items: vec![item] };
        assert_eq!(blamed(&mut session, &frame), Some(Misbehaviour::Malformed), "{frame:?}");
    }
    let mut session = proved(Standing::Live);
    blamed(&mut session, &summary(1));
    let frame = RoomFrame::Compare { round: 2, items: Vec::new() };
    assert_eq!(blamed(&mut session, &frame), Some(Misbehaviour::OutOfTurn));
}

#[test]
fn a_comparison_without_end_is_ended_and_its_memory_is_bounded() {
    let mut session = proved(Standing::Live);
    blamed(&mut session, &summary(1));
    // Every digest is wrong, again and again.
    let split = CompareItem::Split { path: Path::ROOT, children: u16::MAX, digests: vec![[9; 2]; 16] };
    let frame = RoomFrame::Compare { round: 1, items: vec![split; 1_000] };
    let ended = (0..1_100).find_map(|_| blamed(&mut session, &frame));
    assert!(matches!(ended, Some(Misbehaviour::TooMany | Misbehaviour::OutOfTurn)), "{ended:?}");
}

#[test]
fn unsolicited_answers_and_batches_out_of_order_are_refused() {
    let item = |kind| Item { kind, bytes: Blob(vec![1]) };
    let batch = |id, items| RoomFrame::Batch { id, items };
    let ack = RoomFrame::Ack { id: 0, stored: true };
    assert_eq!(blamed(&mut proved(Standing::Live), &ack), Some(Misbehaviour::Unsolicited));
    let answer = RoomFrame::Answer { id: 0, bytes: Some(Blob(vec![1])) };
    assert_eq!(blamed(&mut proved(Standing::Live), &answer), Some(Misbehaviour::Unsolicited));
    let live = || proved(Standing::Live);
    assert_eq!(blamed(&mut live(), &batch(1, vec![item(SeriesKind::Message)])), Some(Misbehaviour::Malformed));
    assert_eq!(blamed(&mut live(), &batch(0, Vec::new())), Some(Misbehaviour::Malformed));
    let many = vec![item(SeriesKind::Message); MAX_BATCH_ITEMS + 1];
    assert_eq!(blamed(&mut live(), &batch(0, many)), Some(Misbehaviour::TooMany));
    let mut session = live();
    for id in 0..8 {
        assert_eq!(blamed(&mut session, &batch(id, vec![item(SeriesKind::Message)])), None);
    }
    assert_eq!(blamed(&mut session, &batch(8, vec![item(SeriesKind::Message)])), Some(Misbehaviour::TooMany));
    let asks = |id| RoomFrame::Ask { id, what: Asked::Page([1; 32]) };
    let mut session = live();
    assert!((0..16).all(|id| blamed(&mut session, &asks(id)).is_none()));
    assert_eq!(blamed(&mut session, &asks(16)), Some(Misbehaviour::TooMany));
}

#[test]
fn strangers_get_nothing_and_removed_members_no_messages() {
    let message = RoomFrame::Batch { id: 0, items: vec![Item { kind: SeriesKind::Message, bytes: Blob(vec![1]) }] };
    assert_eq!(blamed(&mut proved(Standing::Stranger), &message), Some(Misbehaviour::NotEntitled));
    let mut removed = proved(Standing::Removed);
    let out = removed.handle(In::Frame(message.encode()), &tables(), NOW);
    assert!(matches!(out[..], [Out::Deliver { .. }]), "the room judges what it wrote before it left");
    let want = RoomFrame::Want(vec![Want { tag: [0; 6], have: 0 }]);
    assert_eq!(removed.handle(In::Frame(want.encode()), &tables(), NOW), []);

    let mut stranger = proved(Standing::Stranger);
    let told = |out: Vec<Out>| out.iter().filter(|out| matches!(out, Out::Send(_) | Out::Read { .. })).count();
    let out = stranger.handle(In::Frame(summary(1).encode()), &tables(), NOW);
    assert!(out.contains(&Out::Send(RoomFrame::Summary { round: 1, told: Told::Nothing }.encode())));
    let want = RoomFrame::Want(vec![Want { tag: [0; 6], have: 0 }]);
    assert_eq!(told(stranger.handle(In::Frame(want.encode()), &tables(), NOW)), 0);
    let split = CompareItem::Split { path: Path::ROOT, children: 1, digests: vec![[9; 2]] };
    let out = stranger.handle(In::Frame(RoomFrame::Compare { round: 1, items: vec![split] }.encode()), &tables(), NOW);
    let tell = RoomFrame::Compare { round: 1, items: vec![CompareItem::Tell { path: Path(0x10) }] };
    assert_eq!(out, [Out::Send(tell.encode())], "asks for more and tells nothing");
    let tell = RoomFrame::Compare { round: 1, items: vec![CompareItem::Tell { path: Path::ROOT }] };
    let out = stranger.handle(In::Frame(tell.encode()), &tables(), NOW);
    assert_eq!(out, [Out::Send(RoomFrame::Compare { round: 1, items: Vec::new() }.encode())], "has nothing to say");
    let ask = RoomFrame::Ask { id: 0, what: Asked::Page([1; 32]) };
    let out = proved(Standing::Stranger).handle(In::Frame(ask.encode()), &tables(), NOW);
    assert_eq!(out, [Out::Send(RoomFrame::Answer { id: 0, bytes: None }.encode())]);
}

#[test]
fn a_claim_to_hold_our_messages_is_no_acknowledgement_beyond_what_exists() {
    let mut node = Node::new(1);
    node.write(1, SeriesKind::Message, 5);
    let (mut session, connection) = session();
    session.handle(In::Frame(proof(2, ROOM, &connection, &connection)), &node.tables, NOW);
    session.handle(In::Standing(Standing::Live), &node.tables, NOW);
    session.handle(In::Frame(summary(1).encode()), &node.tables, NOW);
    let salt = sketch::Salt::new(&ROOM, &connection);
    let entry = Entry { tag: salt.tag(&Series::messages(device_id(1))), seq: 9_999, check: [0; 2] };
    let out = session.handle(In::Frame(RoomFrame::Tips(vec![entry]).encode()), &node.tables, NOW);
    assert!(!out.iter().any(|out| matches!(out, Out::PeerHas { .. })), "it may hold what a copy of us wrote: {out:?}");
    let mine = node.tables.tip(&Series::messages(device_id(1))).unwrap();
    let entry = salt.entry(&Series::messages(device_id(1)), &mine, 0);
    let out = session.handle(In::Frame(RoomFrame::Tips(vec![entry]).encode()), &node.tables, NOW);
    assert!(out.contains(&Out::PeerHas { device: device_id(2), seq: 5 }), "{out:?}");
}

#[test]
fn no_bytes_make_a_session_panic() {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let frames = [
        summary(1),
        RoomFrame::Want(vec![Want { tag: [1; 6], have: 3 }]),
        RoomFrame::Tips(vec![Entry { tag: [1; 6], seq: 9, check: [0; 2] }]),
        RoomFrame::Ack { id: 0, stored: true },
        RoomFrame::Ask { id: 3, what: Asked::Key(crate::ids::EpochId([1; 16])) },
        RoomFrame::Again,
        RoomFrame::Batch { id: 0, items: vec![Item { kind: SeriesKind::Control, bytes: Blob(vec![7; 40]) }] },
    ];
    let tables = tables();
    for _ in 0..300 {
        let (mut session, connection) = session();
        session.handle(In::Frame(proof(2, ROOM, &connection, &connection)), &tables, NOW);
        session.handle(In::Standing(Standing::Live), &tables, NOW);
        for _ in 0..6 {
            let mut bytes = frames[(next() % 7) as usize].encode();
            for _ in 0..next() % 4 {
                let place = (next() as usize) % bytes.len();
                bytes[place] = next() as u8;
            }
            session.handle(In::Frame(bytes), &tables, NOW);
        }
    }
}

#[test]
fn a_peer_of_version_1_is_not_asked_for_its_newest_page_and_a_stranger_gets_none() {
    let out = proved(Standing::Live).handle(In::Ask(Asked::Newest), &tables(), NOW);
    assert_eq!(out, [Out::Answered { what: Asked::Newest, bytes: None }]);
    let ask = RoomFrame::Ask { id: 0, what: Asked::Newest };
    let out = proved(Standing::Stranger).handle(In::Frame(ask.encode()), &tables(), NOW);
    assert_eq!(out, [Out::Send(RoomFrame::Answer { id: 0, bytes: None }.encode())]);
}
