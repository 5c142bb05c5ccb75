//! Writes `fuzz/seeds/`: real bytes of every format, a few for each target. Run it when a format changed:
//! `cargo run --manifest-path fuzz/Cargo.toml --bin seeds`.

use std::collections::BTreeSet;
use std::path::Path;

use parlor_crypto::Secret;
use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::vault::{Stretch, Unlock, Vault};
use parlor_fuzz::forge::Forge;
use parlor_fuzz::input::Input;
use parlor_fuzz::people::{NOW, prepared, rng};
use parlor_proto::binding::Binding;
use parlor_proto::body::{Body, Text};
use parlor_proto::codec::encode;
use parlor_proto::control::{Control, Permissions, Power, Row, Rows, Sponsor};
use parlor_proto::epoch::{self, Welcome};
use parlor_proto::gossip::{GossipFrame, Unreached};
use parlor_proto::hlc::Hlc;
use parlor_proto::ids::{AccountId, DeviceId, EpochId, EventId};
use parlor_proto::join::{self, Answer};
use parlor_proto::link::{Address, Caveats, Host, Link, Transport};
use parlor_proto::mailbox::{Bundle, Mail};
use parlor_proto::marker::Marker;
use parlor_proto::profile::{Content, Field, PictureKey, Place, Portrait, Profile, picture_hash, round_seen};
use parlor_proto::sync::Tables;
use parlor_proto::wire::{
    Asked, Blob, CompareItem, Entry, Item, LinkFrame, Newest, Path as TagPath, RoomFrame, SeriesKind, Told, Want,
};

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, seeds) in all() {
        let folder = root.join(target);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        for (n, bytes) in seeds.into_iter().enumerate() {
            std::fs::write(folder.join(format!("{n:02}")), bytes)?;
        }
    }
    Ok(())
}

type Seeds = Vec<Vec<u8>>;

fn all() -> Vec<(&'static str, Seeds)> {
    let prepared = prepared();
    let rows = rows(70);
    let pages = epoch::page_rows(rows.clone());
    let bodies = [
        Body::text("hello"),
        Body::Text(Text {
            text: "é".to_owned(),
            reply_to: Some(EventId([1; 32])),
            mentions: vec![AccountId([2; 32]); 2],
            thread: None,
        }),
        Body::Unknown { kind: 200, content: vec![1, 2, 3] },
    ];
    vec![
        ("event", prepared.events.iter().map(|event| event.bytes().to_vec()).collect()),
        ("control", controls()),
        ("body", bodies.iter().map(Body::encode).collect()),
        ("wire", frames()),
        ("gossip", gossip()),
        ("profile", profiles()),
        ("record", records()),
        ("rows", vec![encode(&rows[..3].to_vec()), encode(&pages.0), encode(&Rows::Inline(rows[..2].to_vec()))]),
        ("join", joins()),
        ("link", links()),
        ("link_stream", link_streams()),
        ("session", sessions()),
        ("stored", stored()),
        ("api", api()),
        ("mailbox", mailboxes()),
        ("room", choices(400)),
        ("resolution", choices(500)),
        ("frames", streams()),
        ("disk", disks()),
    ]
}

/// A hello, two frames of a sync stream, a message of a join.
fn streams() -> Seeds {
    let hello = [&b"parlor"[..], &1_u16.to_be_bytes(), &1_u16.to_be_bytes(), &[3; 24]].concat();
    let framed = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    vec![[framed(&hello), framed(&[9; 40])].concat(), hello, framed(b"join")]
}

/// Rows of a record of the journal, a mark, and plain values.
fn disks() -> Seeds {
    let row = |tree: u8, key: &[u8], value: &[u8]| {
        [&[tree, key.len() as u8][..], &(value.len() as u32 + 1).to_be_bytes(), key, value].concat()
    };
    vec![
        [row(1, &[2; 24], &[3; 30]), vec![4, 2, 0, 0, 0, 0, 7, 7]].concat(),
        [[0; 7].as_slice(), &[9], &[0; 16]].concat(),
        encode(&(5_u32, 6_u32, EventId([7; 32]), &b"bytes of an event"[..])),
        encode(&(&b"name"[..], &b"value"[..])),
        [vec![1], vec![2; 20]].concat(),
    ]
}

fn rows(n: u8) -> Vec<Row> {
    let row = |n: u8| -> Row {
        // The layout of a row: a hint, and bytes to be opened.
        let bytes = [vec![n; 8], vec![n; 80]].concat();
        parlor_proto::codec::decode(&bytes, 88).expect("a row has 88 bytes")
    };
    (0..n).map(row).collect()
}

/// One payload of each kind that a random history holds.
fn controls() -> Seeds {
    let mut forge = Forge::new();
    let bytes = noise(40_000, 3);
    let mut input = Input::new(&bytes);
    while !input.is_empty() {
        forge.one(&mut input);
    }
    let mut seen = BTreeSet::new();
    let nodes = forge.dag().nodes().iter();
    let first = nodes.filter(|node| !matches!(node.control, Control::Unknown(_)) && seen.insert(node.control.kind()));
    first.map(|node| [vec![node.control.kind()], node.event.payload().to_vec()].concat()).collect()
}

fn room_frames() -> Vec<RoomFrame> {
    let entry = Entry { tag: [1; 6], seq: 9, check: [0; 2] };
    let digests = Tables::new().digests();
    let (path, item) = (TagPath::ROOT, Item { kind: SeriesKind::Control, bytes: Blob(vec![7; 40]) });
    vec![
        RoomFrame::Summary { round: 1, told: Told::All(digests) },
        RoomFrame::Summary { round: 1, told: Told::Nothing },
        RoomFrame::Compare { round: 1, items: vec![CompareItem::List { path, entries: vec![entry] }] },
        RoomFrame::Compare {
            round: 1,
            items: vec![CompareItem::Split { path, children: 3, digests: vec![[1; 2]; 2] }, CompareItem::Tell { path }],
        },
        RoomFrame::Compare { round: 1, items: Vec::new() },
        RoomFrame::Want(vec![Want { tag: [1; 6], have: 3 }]),
        RoomFrame::Batch { id: 0, items: vec![item] },
        RoomFrame::Ack { id: 0, stored: true },
        RoomFrame::Tips(vec![entry]),
        RoomFrame::Ask { id: 3, what: Asked::Page([1; 32]) },
        RoomFrame::Ask { id: 4, what: Asked::Key(EpochId([1; 16])) },
        RoomFrame::Answer { id: 0, bytes: Some(Blob(vec![1])) },
        RoomFrame::Again,
        RoomFrame::Proof(Blob(vec![0; 60])),
        RoomFrame::Ask { id: 5, what: Asked::Newest },
    ]
}

fn frames() -> Seeds {
    let mut frames = vec![
        LinkFrame::Hello { version: 1, limits: 1, nonce: [2; 32] }.encode(),
        LinkFrame::Probes(vec![[3; 16]; 2]).encode(),
        LinkFrame::Close { channel: 1 }.encode(),
        LinkFrame::Room { channel: 0, bytes: Blob(RoomFrame::Again.encode()) }.encode(),
    ];
    frames.extend(room_frames().iter().map(RoomFrame::encode));
    frames.push(Newest(vec![Blob(vec![7; 40]), Blob::default()]).encode());
    frames
}

fn gossip() -> Seeds {
    let event = Blob(prepared().events[0].bytes().to_vec());
    let unreached = Unreached::devices([DeviceId([7; 32])]);
    let frames = [
        GossipFrame::Events(vec![event]),
        GossipFrame::Markers(vec![Blob(vec![1; 30])]),
        GossipFrame::Leaves(vec![Blob(vec![1; 30]); 2]),
        GossipFrame::Presence(Blob(vec![5])),
    ];
    frames.iter().map(|frame| encode(&(&unreached, frame))).collect()
}

fn profiles() -> Seeds {
    let prepared = prepared();
    let me = &prepared.people[1];
    let key = EnvelopeKey::new(&Secret::new([1; 32]));
    let named = PictureKey { hash: picture_hash(b"picture"), key: Secret::new([2; 32]) };
    let content = Content {
        name: Field { stamp: NOW, value: Some("Alice Liddell".to_owned()) },
        about: Field { stamp: NOW, value: Some("Two\nlines".to_owned()) },
        picture: Field { stamp: NOW, value: Some(named.clone()) },
        seen: Field { stamp: round_seen(NOW), value: Some(round_seen(NOW)) },
    };
    let at = Place { room: &prepared.room, slice: (EpochId([3; 16]), 1), key: &key };
    let record = Profile::seal(at, me.signing_key(), 3, &content, &mut rng());
    let portrait = Portrait::seal(&prepared.room, me.signing_key(), 3, Some((b"picture", &named.key)), &mut rng());
    vec![content.encode(), record.encode(), portrait.encode(), "Zoë Иван 山田".into()]
}

fn records() -> Seeds {
    let prepared = prepared();
    let me = &prepared.people[1];
    let heads = vec![EventId([1; 32]), EventId([2; 32])];
    let marker = Marker::sign(&prepared.room, me.signing_key(), 3, heads, Hlc::at(NOW), NOW);
    let binding = Binding::sign(&prepared.room, me.signing_key(), 3, [9; 32], &addresses(), NOW);
    vec![marker.encode(), binding.encode(), encode(&me.entrant().leaf)]
}

fn addresses() -> Vec<Address> {
    vec![
        Address { host: Host::Ip4([127, 0, 0, 1]), transport: Transport::Tcp, port: 4001 },
        Address { host: Host::Name("example.org".to_owned()), transport: Transport::Quic, port: 1 },
        Address { host: Host::Ip6([1; 16]), transport: Transport::Quic, port: 65_535 },
    ]
}

fn joins() -> Seeds {
    let prepared = prepared();
    let me = &prepared.people[2];
    let welcome = Welcome::open(me, &prepared.room, &prepared.request.invite_pk, &prepared.welcome);
    let (_, knock) = join::knock(&prepared.request.invite_pk, &prepared.request, &mut rng());
    vec![
        knock,
        encode(&prepared.request),
        encode(&welcome.expect("sealed for the member")),
        encode(&Answer::Welcome(Blob(prepared.welcome.clone()))),
        encode(&Answer::Refused(join::Refusal::Banned)),
        encode(&Answer::Pending { held_by: 3 }),
    ]
}

fn links() -> Seeds {
    let prepared = prepared();
    let caveats = Caveats {
        power: Power::MEMBER,
        perms: Permissions::ALL,
        expires_ms: u64::MAX,
        max_uses: 1,
        sponsor: Sponsor::AnyMember,
    };
    let key = prepared.people[0].signing_key();
    let link = Link::issue(prepared.invite.clone(), prepared.room, caveats, key, [9; 32], &addresses());
    let fields = (&prepared.invite, prepared.room, prepared.people[0].device(), caveats, [9_u8; 32], addresses());
    let texts =
        [link.to_text(), link.to_qr_text(), link.to_web_text("example.org"), "parlor://contact/1/#x".to_owned()];
    texts.into_iter().map(String::into_bytes).chain([encode(&fields)]).collect()
}

/// A run of bytes as [`Input::run`] reads it.
fn run(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("seeds are short").to_be_bytes();
    [&len[..], bytes].concat()
}

fn link_streams() -> Seeds {
    let room = RoomFrame::Again.encode();
    let honest = [vec![0, 1, 0, 1, 3, 1, 4, 1, 5], run(&room), vec![1, 1, 1, 2]].concat();
    let late = [vec![1, 1, 3, 2, 0, 2, 4, 3, 6], run(&frames()[1]), vec![2, 1]].concat();
    vec![honest, late, vec![0, 1, 2, 1, 2, 1, 2]]
}

fn sessions() -> Seeds {
    let all: Vec<u8> = room_frames().iter().flat_map(|frame| [vec![0, 0, 7], run(&frame.encode())].concat()).collect();
    let one = |frame: &RoomFrame| [vec![20, 0, 1, 0, 0, 7], run(&frame.encode()), vec![0; 6]].concat();
    let mut seeds: Seeds = room_frames().iter().map(one).collect();
    seeds.extend((0..3).map(|standing| [vec![20, standing, 1], all.clone()].concat()));
    seeds
}

fn stored() -> Seeds {
    let key = Secret::new([5; 32]);
    let vault = Vault::generate(&mut rng()).lock(&mut rng(), Unlock::KeyFile(&key), Stretch::CHEAPEST_FOR_TESTS);
    let prepared = prepared();
    let mut seeds = vec![vault.expect("a key file locks"), prepared.people[0].to_bytes().to_vec()];
    let names = prepared.parts.keys.len() as u8;
    for (n, row) in (0..).zip(prepared.parts.keys.values()) {
        seeds.push([vec![n, 1], run(row)].concat());
        seeds.push([vec![n, 6], run(&[1; 4])].concat());
    }
    seeds.push([vec![names, 0], run(&prepared.parts.heads)].concat());
    seeds
}

fn api() -> Seeds {
    let texts = [
        r#"{"name":"kitchen","kind":"group","history":"full","about":"x","ttl_ms":5}"#,
        r#"{"role":"member","expires_ms":5,"uses":1,"approval":false}"#,
        r#"{"link":"parlor://join/1/#x"}"#,
        r#"{"text":"hi","reply_to":"00","mentions":["00"],"key":"k"}"#,
        r#"{"messages":[{"text":"hi"}]}"#,
        r#"{"up_to":"00"}"#,
        "0000000000000000000000000000000000000000",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Choices for whole histories.
/// Random choices for both ends of a line, and a bundle.
fn mailboxes() -> Seeds {
    let item = Item { kind: SeriesKind::Message, bytes: Blob(vec![1; 20]) };
    let bundle = Bundle(vec![Mail::Record(item), Mail::Page(Blob(vec![2; 30]))]).encode();
    let ends = (0..8).map(|seed| [&[seed as u8 % 2], noise(300, seed + 1).as_slice()].concat());
    ends.chain([[&[2], bundle.as_slice()].concat()]).collect()
}

fn choices(len: usize) -> Seeds {
    (1..=8).map(|seed| noise(len, seed)).collect()
}

/// Bytes that look random and are the same in every run.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}
