//! `docs/spec/vectors/crypto.json` says what this crate computes. Change neither without the other.
//!
//! Where randomness is taken, it is the bytes 00 01 02 ... ff 00 ... . To write the file anew after a change of format,
//! run with `PARLOR_WRITE_VECTORS=1`.

#![allow(clippy::unwrap_used, reason = "helpers of one test")]

mod common;

use std::path::PathBuf;

use common::{Counting, hex};
use parlor_crypto::account::{DeviceCert, DeviceRevoke, RootSeed};
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::file::{self, FileKey, Part, Place};
use parlor_crypto::hpke::{self, RowContext, WelcomeContext};
use parlor_crypto::invite::{InviteSeed, knock_key};
use parlor_crypto::leaf::{LeafRecord, LeafSecret};
use parlor_crypto::mailbox::{BoxKeys, InboxSecret};
use parlor_crypto::secret::SecretBytes;
use parlor_crypto::topic::{Connection, Side, TopicSecret};
use parlor_crypto::vault::{Stretch, Unlock, Vault};
use parlor_crypto::{Secret, SigningKey, hash, kdf, label, padme, phrase, seal};
use serde_json::{Value, json};

#[test]
fn the_code_computes_what_the_spec_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/vectors/crypto.json");
    let computed = json!({
        "labels": labels(),
        "account": account(),
        "leaf": leaf(),
        "epoch": epoch(),
        "message": message(),
        "topic": topic(),
        "invite": invite(),
        "mailbox": mailbox(),
        "file": file(),
        "vault": vault(),
    });
    if std::env::var_os("PARLOR_WRITE_VECTORS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, serde_json::to_string_pretty(&computed).unwrap() + "\n").unwrap();
    }
    let written: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for (name, part) in computed.as_object().unwrap() {
        assert_eq!(part, &written[name], "{name}");
    }
    assert_eq!(computed, written);
}

fn labels() -> Value {
    let secret = Secret::new([0x11; 32]);
    let key = SigningKey::from_seed(&secret);
    json!({
        "hash": {
            "label": "event", "x": hex(b"abc"), "out": hex(hash::EVENT.hash(&[b"a", b"bc"])),
        },
        "kdf": {
            "secret": hex(secret.expose()), "label": label::KDF_PROBE, "ctx": hex(b"abc"), "length": 16,
            "out": hex(kdf::derive_public::<16>(&secret, label::KDF_PROBE, &[b"a", b"bc"])),
        },
        "sign": {
            "seed": hex(secret.expose()), "public": hex(key.public_bytes()), "label": label::SIGN_EVENT, "x": hex(b"abc"),
            "signature": hex(key.sign(label::SIGN_EVENT, &[b"a", b"bc"]).0),
        },
    })
}

fn account() -> Value {
    let seed = RootSeed::from_secret(Secret::new([0x22; 32]));
    let inception = seed.inception();
    let device = SigningKey::from_seed(&Secret::new([0x11; 32]));
    let root = seed.root_key(0);
    let cert = DeviceCert::issue(&root, inception.account(), &device.public(), "laptop", 1_700_000_000_000, 1).unwrap();
    let revoke = DeviceRevoke::issue(&root, inception.account(), device.public_bytes(), vec![1, 2, 3]).unwrap();
    json!({
        "seed": hex(seed.secret().expose()),
        "phrase": phrase::spell(&seed).as_str(),
        "root_pk": hex(inception.root_pk),
        "next_root_pk": hex(seed.root_key(1).public_bytes()),
        "next_root_commit": hex(inception.next_root_commit),
        "account": hex(inception.account()),
        "cert": {
            "device_pk": hex(cert.device_pk), "name": cert.name, "created": cert.created, "seq": cert.seq,
            "sig": hex(cert.sig.0),
        },
        "revoke": { "device_pk": hex(revoke.device_pk), "fence": hex(&revoke.fence), "sig": hex(revoke.sig.0) },
    })
}

fn leaf() -> Value {
    let device = SigningKey::from_seed(&Secret::new([0x11; 32]));
    let leaf = LeafSecret::from_secret(&Secret::new([0x33; 32]));
    let record = LeafRecord::issue(&device, 7, &leaf.public(), 1_700_000_000_000);
    let sealed = hpke::seal_box(&mut Counting(0), "test", b"context", &leaf.public(), b"aad", b"text");
    json!({
        "secret": hex(leaf.to_secret().expose()),
        "leaf_pk": hex(record.leaf_pk),
        "record": { "device": hex(record.device), "counter": record.counter, "ts": record.ts, "sig": hex(record.sig.0) },
        "box": {
            "label": "test", "context": hex(b"context"), "aad": hex(b"aad"), "plaintext": hex(b"text"),
            "sealed": hex(sealed),
        },
    })
}

fn epoch() -> Value {
    let (room_id, device) = ([0x44; 32], [0x55; 32]);
    let leaf = LeafSecret::from_secret(&Secret::new([0x33; 32]));
    let parents = [Secret::new([0x02; 32]), Secret::new([0x01; 32])].map(EpochSecret::from_secret);
    let epoch = EpochSecret::generate(&mut Counting(0), &[&parents[0], &parents[1]]);
    let commit = epoch.commit(&room_id);
    let context = RowContext { room_id, commit, member_root: [0x66; 32] };
    let row = hpke::seal_row(&mut Counting(0), &context, &device, &leaf.public(), &epoch);
    assert_eq!(hpke::open_row(&context, &device, &leaf, &row).as_ref(), Ok(&epoch));
    let slice = epoch.slice(2).unwrap();
    let mut chain = slice.sender(&device);
    chain.advance_to(3).unwrap();
    let gossip = slice.gossip();
    json!({
        "parents": parents.each_ref().map(|parent| hex(parent.secret().expose())),
        "k_0": hex(epoch.secret().expose()),
        "room_id": hex(room_id), "commit": hex(commit), "member_root": hex(context.member_root), "device": hex(device),
        "row": { "leaf_secret": hex(leaf.to_secret().expose()), "hint": hex(row.hint), "enc": hex(row.enc), "ct": hex(row.ct) },
        "k_2": hex(slice.secret().expose()),
        "k_2_commit": hex(slice.commit(&room_id)),
        "c_3": hex(chain.secret().expose()),
        "gossip": { "hint": hex(gossip.hint()), "frame": hex(b"frame"), "wrapped": hex(gossip.wrap(&mut Counting(0), b"frame")) },
    })
}

fn message() -> Value {
    let (room_id, header, body) = ([0x44; 32], b"header with payload fields zeroed", b"hello");
    let device = SigningKey::from_seed(&Secret::new([0x11; 32]));
    let chain = EpochSecret::from_secret(Secret::new([0x77; 32])).first_slice().sender(&device.public_bytes());
    let key = chain.message_key(&seal::header_digest(&room_id, header));
    let padded = [0, 31, 32, 100, 300, 1000, 24_000].map(|len| [len, padme::padded_len(len)]);
    json!({
        "k_0": hex([0x77; 32]), "slice": 0, "generation": 0, "device": hex(device.public_bytes()),
        "room_id": hex(room_id), "header": hex(header), "body": hex(body),
        "salt": hex(seal::salt(&mut Counting(0), &device, body)),
        "message_key": hex(key.secret().expose()),
        "payload": hex(seal::seal(&key, &room_id, header, body)),
        "padded_lengths": padded,
    })
}

fn topic() -> Value {
    let topic = TopicSecret::from_secret(Secret::new([0x88; 32]));
    let connection = Connection::new(&[0x01; 32], &[0x02; 32], b"dialer", b"listener");
    let proof = topic.proof_key(Side::Dialer, &connection).seal(&mut Counting(0), b"", b"proof");
    let places = [0, 1_800_000_000_000_u64].map(|now_ms| {
        let places = topic.places(now_ms);
        json!({ "now_ms": now_ms, "now": hex(places.now), "until_ms": places.until_ms })
    });
    json!({
        "topic_secret": hex(topic.secret().expose()),
        "names": [topic.name(0), topic.name(1)],
        "places": places,
        "connection": hex(connection.as_bytes()),
        "probe_dialer": hex(topic.probe(Side::Dialer, &connection)),
        "probe_listener": hex(topic.probe(Side::Listener, &connection)),
        "proof_dialer": { "plaintext": hex(b"proof"), "sealed": hex(proof) },
    })
}

fn invite() -> Value {
    let seed = InviteSeed::from_secret(SecretBytes::new([0x99; 16]));
    let keys = seed.keys();
    let leaf = LeafSecret::from_secret(&Secret::new([0x33; 32]));
    let context = WelcomeContext { room_id: [0x44; 32], invite: [0xaa; 32], device: [0x55; 32] };
    let knock = knock_key(&keys.sign.public_bytes()).seal(&mut Counting(0), b"", b"knock");
    let welcome = hpke::seal_welcome(&mut Counting(0), &context, &leaf.public(), b"welcome");
    json!({
        "seed": hex(seed.secret().expose()),
        "invite_pk": hex(keys.sign.public_bytes()),
        "box_pk": hex(keys.leaf.public().as_bytes()),
        "door": hex(keys.door.public_bytes()),
        "knock": { "plaintext": hex(b"knock"), "sealed": hex(knock) },
        "welcome": {
            "room_id": hex(context.room_id), "invite": hex(context.invite), "device": hex(context.device),
            "leaf_secret": hex(leaf.to_secret().expose()), "plaintext": hex(b"welcome"), "sealed": hex(welcome),
        },
    })
}

fn mailbox() -> Value {
    let slice = EpochSecret::from_secret(Secret::new([0x77; 32])).slice(2).unwrap().mailbox();
    let door = BoxKeys::of_door(&[0x0d; 32]);
    let inbox = InboxSecret::from_secret(Secret::new([0x1b; 32])).keys();
    let sealed = |keys: &BoxKeys| hex(keys.seal.seal(&mut Counting(0), b"aad", b"blob"));
    json!({
        "k_0": hex([0x77; 32]), "slice": 2, "aad": hex(b"aad"), "plaintext": hex(b"blob"),
        "slice_box": { "name": hex(slice.sign.public_bytes()), "sealed": sealed(&slice) },
        "door": hex([0x0d; 32]),
        "door_box": { "name": hex(door.sign.public_bytes()), "sealed": sealed(&door) },
        "inbox_secret": hex([0x1b; 32]),
        "inbox": { "name": hex(inbox.sign.public_bytes()), "box_pk": hex(inbox.leaf.public().as_bytes()) },
        "blob_name": hex(hash::BLOB.hash(&[b"blob"])),
    })
}

fn file() -> Value {
    let key = FileKey::from_secret(Secret::new([0xcc; 32]));
    let chunk = |part: Part, index: u32, last: bool, plain: &[u8]| {
        let sealed = key.seal(Place { part, index, last }, plain.to_vec());
        json!({
            "part": part as u8, "index": index, "last": last, "plaintext": hex(plain),
            "sealed": hex(&sealed), "name": hex(file::chunk_name(&sealed)),
        })
    };
    let padded = [0, 31, 1_000, 262_144, 1_000_000, 1 << 32].map(|size: u64| [size, file::padded_size(size)]);
    json!({
        "key": hex(key.secret().expose()),
        "chunks": [
            chunk(Part::Content, 0, false, b"first"),
            chunk(Part::Content, 1, true, b"last"),
            chunk(Part::Names, 0, true, &[0x11; 32]),
        ],
        "id": { "size": 9, "names": hex([0x22; 32]), "id": hex(key.id(9, &[[0x22; 32]])) },
        "padded_sizes": padded,
    })
}

fn vault() -> Value {
    let vault = Vault::generate(&mut Counting(0));
    let stretch = Stretch { memory_kib: 64, passes: 1, lanes: 1 };
    let by_passphrase = vault.lock(&mut Counting(0), Unlock::Passphrase("correct horse"), stretch).unwrap();
    let key_file = Secret::new([0xbb; 32]);
    let by_key_file = vault.lock(&mut Counting(0), Unlock::KeyFile(&key_file), Stretch::RECOMMENDED).unwrap();
    let value = vault.sealing_key("events").seal(&mut Counting(0), b"key", b"value");
    json!({
        "passphrase": "correct horse", "file_passphrase": hex(by_passphrase),
        "key_file": hex(key_file.expose()), "file_key_file": hex(by_key_file),
        "value": { "purpose": "events", "aad": hex(b"key"), "plaintext": hex(b"value"), "sealed": hex(value) },
        "blind": { "purpose": "rooms", "x": hex(b"id"), "out": hex(vault.blinding_key("rooms").blind(&[b"id"])) },
    })
}
