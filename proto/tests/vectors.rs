//! `docs/spec/vectors/{sync,invites,delivery,gossip}.json` say what this crate writes. Change neither without the other.
//!
//! Where randomness is taken, it is the bytes 00 01 02 ... ff 00 .... To write the files anew after a change of format,
//! run with `PARLOR_WRITE_VECTORS=1`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program of tests: it fails by panicking"
)]

mod shared;

use parlor_crypto::invite::InviteSeed;
use parlor_crypto::secret::SecretBytes;
use parlor_crypto::topic::TopicSecret;
use parlor_crypto::wrap::GossipKey;
use parlor_crypto::{Secret, SigningKey};
use parlor_proto::control::{JoinRequest, Permissions, Power, Sponsor};
use parlor_proto::gossip::{GossipFrame, Unreached};
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::join::{Answer, Refusal, knock};
use parlor_proto::link::{Address, Caveats, Host, Link, Transport};
use parlor_proto::marker::Marker;
use parlor_proto::outbox::{Entry, Failure, Stage};
use parlor_proto::sync::{
    In, LinkIn, LinkOut, LinkSetup, Out, PeerLink, Series, Session, SessionSetup, Side, Standing, Tables, Tip,
};
use parlor_proto::wire::Blob;
use parlor_proto::{DeviceId, EventId, RoomId, codec};
use serde_json::json;
use shared::{Counting, agree, hex};

const ROOM: RoomId = RoomId([0x11; 32]);

fn device(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([byte; 32]))
}

fn id(key: &SigningKey) -> DeviceId {
    DeviceId(key.public_bytes())
}

fn sent(out: &[LinkOut]) -> Vec<Vec<u8>> {
    let send = |out: &LinkOut| if let LinkOut::Send(bytes) = out { Some(bytes.clone()) } else { None };
    out.iter().filter_map(send).collect()
}

#[test]
fn sync_frames_are_those_of_the_page() {
    let topic = TopicSecret::from_secret(Secret::new([0x22; 32]));
    let setup = |side, ours: &[u8], theirs: &[u8], nonce| LinkSetup {
        side,
        our_peer: ours.to_vec(),
        their_peer: theirs.to_vec(),
        nonce: [nonce; 32],
    };
    let (mut dialer, hello_d) = PeerLink::start(setup(Side::Dialer, b"dialer", b"listener", 0xdd), 0);
    let (mut listener, hello_l) = PeerLink::start(setup(Side::Listener, b"listener", b"dialer", 0xee), 0);
    for link in [&mut dialer, &mut listener] {
        link.handle(LinkIn::AddRoom { room: ROOM, topic_secret: &topic }, 0);
    }
    let (hello_d, hello_l) = (sent(&hello_d).remove(0), sent(&hello_l).remove(0));
    let probes_d = sent(&dialer.handle(LinkIn::Frame(&hello_l), 0)).remove(0);
    let probes_l = sent(&listener.handle(LinkIn::Frame(&hello_d), 0)).remove(0);
    let opened = dialer.handle(LinkIn::Frame(&probes_l), 0).remove(0);
    let LinkOut::Opened { connection, version, channel, .. } = opened else { panic!("{opened:?}") };

    let (alice, bob) = (device(1), device(2));
    let session = |side, key: &SigningKey| {
        let connection = connection.clone();
        let setup = SessionSetup { room: ROOM, topic_secret: &topic, connection, version, side, device: key };
        let (session, out) = Session::start(setup, 0, &mut Counting(0));
        let Some(Out::Send(proof)) = out.into_iter().next() else { panic!("a proof") };
        (session, proof)
    };
    let (mut a, proof_a) = session(Side::Dialer, &alice);
    let (mut b, proof_b) = session(Side::Listener, &bob);
    let series = [
        (Series::control(id(&alice)), Tip { seq: 3, id: [0x33; 32] }),
        (Series::messages(id(&alice)), Tip { seq: 500, id: [0x44; 32] }),
        (Series::marker(id(&bob)), Tip { seq: 7, id: [0; 32] }),
    ];
    let ours: Tables = series.into_iter().collect();
    let theirs: Tables = series[..2].iter().copied().collect();
    a.handle(In::Frame(proof_b.clone()), &ours, 0);
    b.handle(In::Frame(proof_a.clone()), &theirs, 0);
    let frames = |out: Vec<Out>| -> Vec<Vec<u8>> {
        out.into_iter().filter_map(|out| if let Out::Send(bytes) = out { Some(bytes) } else { None }).collect()
    };
    let yours_b = frames(b.handle(In::Standing(Standing::Live), &theirs, 0)).remove(0);
    let mut both = frames(a.handle(In::Standing(Standing::Live), &ours, 0));
    let (yours_a, summary_a) = (both.remove(0), both.remove(0));
    let summary_b = frames(b.handle(In::Frame(summary_a.clone()), &theirs, 0)).remove(0);
    let compare = frames(a.handle(In::Frame(summary_b.clone()), &ours, 0)).remove(0);
    let reply = frames(b.handle(In::Frame(compare.clone()), &theirs, 0));
    let digests = ours.digests();
    agree(
        "sync.json",
        &json!({
            "room_id": hex(ROOM.0), "topic_secret": hex([0x22; 32]), "dialer_peer": hex("dialer"), "listener_peer": hex("listener"),
            "device_seeds": [hex([1; 32]), hex([2; 32])], "connection": hex(connection.as_bytes()),
            "hello_dialer": hex(hello_d), "hello_listener": hex(hello_l),
            "probes_dialer": hex(probes_d), "probes_listener": hex(probes_l), "channel": channel,
            "proof_dialer": hex(proof_a), "proof_listener": hex(proof_b),
            "tips": ours.iter().map(|(s, t)| json!([s.kind as u8, hex(s.device.0), t.seq, hex(t.id)])).collect::<Vec<_>>(),
            "digests": [hex(digests.control), hex(digests.messages), hex(digests.records)],
            "yours_dialer": hex(yours_a), "yours_listener": hex(yours_b),
            "summary_dialer": hex(summary_a), "summary_listener": hex(summary_b),
            "compare_dialer": hex(&compare), "reply_listener": reply.iter().map(hex).collect::<Vec<_>>(),
            "on_the_stream": hex(PeerLink::wrap(channel, compare)),
        }),
    );
}

fn link(through_relay: bool) -> Link {
    let caveats = Caveats {
        power: Power(3),
        perms: Permissions(1),
        expires_ms: 1_800_000_000_000,
        max_uses: 5,
        sponsor: Sponsor::AnyMember,
    };
    let addresses = [
        Address { host: Host::Ip4([192, 0, 2, 7]), transport: Transport::Quic, port: 4_242 },
        Address { host: Host::Name("chat.example".into()), transport: Transport::Tcp, port: 443 },
    ];
    let relayed = addresses.iter().filter_map(|address| address.via([0x99; 32])).next();
    let addresses: Vec<_> = relayed.into_iter().filter(|_| through_relay).chain(addresses.clone()).collect();
    let seed = InviteSeed::from_secret(SecretBytes::new([0x55; 16]));
    Link::issue(seed, ROOM, caveats, &device(1), [0x66; 32], &addresses)
}

#[test]
fn links_and_knocks_are_those_of_the_page() {
    let (relayed, link) = (link(true), link(false));
    let mut rng = Counting(0);
    let (_, joiner) = Identity::create("laptop", 1_700_000_000_000, &mut rng).unwrap();
    let keys = link.keys();
    let request = JoinRequest::sign(&ROOM, &keys.sign, joiner.signing_key(), joiner.entrant(), [0x77; 16]);
    let (sent, bytes) = knock(&request.invite_pk, &request, &mut rng);
    let answer = Answer::Refused(Refusal::UsedUp);
    let sealed = sent.seal(&answer, &mut rng);
    assert_eq!(sent.open(&sealed), Some(answer));
    agree(
        "invites.json",
        &json!({
            "seed": hex([0x55; 16]), "room_id": hex(ROOM.0), "device_seed": hex([1; 32]), "peer": hex([0x66; 32]),
            "power": 3, "perms": 1, "expires_ms": 1_800_000_000_000_u64, "max_uses": 5, "sponsor": 0,
            "addresses": link.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
            "text": link.to_text(), "web": link.to_web_text("parlor.example"), "qr": link.to_qr_text(),
            "relayed": {
                "relay": hex([0x99; 32]), "text": relayed.to_text(), "web": relayed.to_web_text("parlor.example"),
                "qr": relayed.to_qr_text(),
                "addresses": relayed.addresses().iter().map(ToString::to_string).collect::<Vec<_>>(),
            },
            "invite_pk": hex(request.invite_pk), "join_request": hex(codec::encode(&request)),
            "knock": hex(bytes), "answer_used_up": hex(sealed),
            "answers": {
                "welcome": hex(codec::encode(&Answer::Welcome(Blob(vec![1, 2, 3])))),
                "declined": hex(codec::encode(&Answer::Refused(Refusal::Declined))),
                "pending": hex(codec::encode(&Answer::Pending { held_by: 3 })),
            },
        }),
    );
}

#[test]
fn markers_and_entries_are_those_of_the_page() {
    let heads = vec![EventId([0x99; 32]), EventId([0x88; 32])];
    let marker = Marker::sign(&ROOM, &device(1), 9, heads, Hlc::at(1_700_000_000_000), 1_700_000_000_123);
    let entry = |stage| {
        let body = if matches!(stage, Stage::Unwritten) { b"body".to_vec() } else { Vec::new() };
        hex(codec::encode(&Entry { nonce: [0xaa; 16], room: ROOM, body, submitted_ms: 1_700_000_000_000, stage }))
    };
    let (event, seq) = (EventId([0xbb; 32]), 12);
    agree(
        "delivery.json",
        &json!({
            "room_id": hex(ROOM.0), "device_seed": hex([1; 32]), "counter": 9, "read_up_to": Hlc::at(1_700_000_000_000).0,
            "ts_ms": 1_700_000_000_123_u64, "marker": hex(marker.encode()),
            "entries": {
                "unwritten": entry(Stage::Unwritten),
                "written": entry(Stage::Written { event, seq }),
                "sent": entry(Stage::Sent { event, seq, at_ms: 1_700_000_001_000 }),
                "failed": entry(Stage::Failed { failure: Failure::NoMember, event: Some((event, seq)) }),
            },
        }),
    );
}

#[test]
fn gossip_frames_are_those_of_the_page() {
    let key = GossipKey::new(&Secret::new([0xcc; 32]));
    let frame = GossipFrame::Events(vec![Blob(vec![1, 2, 3]), Blob(vec![4])]);
    let unreached = Unreached::devices([DeviceId([0xdd; 32])]);
    let wrapped = frame.wrap(&unreached, &key, &mut Counting(0)).unwrap();
    let others = [
        GossipFrame::Markers(vec![Blob(vec![5])]),
        GossipFrame::Leaves(vec![Blob(vec![6])]),
        GossipFrame::Presence(Blob(vec![7])),
    ];
    agree(
        "gossip.json",
        &json!({
            "w": hex([0xcc; 32]), "hint": hex(key.hint()), "frame": hex(codec::encode(&frame)), "wrapped": hex(&wrapped),
            "unreached": hex(codec::encode(&unreached)), "unsaid": hex(codec::encode(&Unreached::default())),
            "markers": hex(codec::encode(&others[0])), "leaves": hex(codec::encode(&others[1])),
            "presence": hex(codec::encode(&others[2])),
        }),
    );
}
