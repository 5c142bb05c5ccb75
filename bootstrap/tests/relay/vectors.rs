//! `docs/spec/vectors/directory.json` says what goes over a line of the directory. Change neither without the other. To write
//! it anew after a change of format, run with `PARLOR_WRITE_VECTORS=1`.

use std::path::PathBuf;

use parlor_crypto::account::RootSeed;
use parlor_crypto::{Secret, SigningKey};
use parlor_proto::access::AccessToken;
use parlor_proto::codec;
use parlor_proto::directory::{Answer, Ask, Greeting, Refusal, Reply, Request};
use parlor_proto::ids::AccountId;
use parlor_proto::name::{Handover, Held, Name, NameRecord};
use serde_json::json;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_and_frames_are_those_of_the_page() {
    let relay = SigningKey::from_seed(&Secret::new([0x22; 32]));
    let (key, seed) = (relay.public_bytes(), RootSeed::from_secret(Secret::new([0x11; 32])));
    let (root, inception) = (seed.root_key(0), seed.inception());
    let name: Name = "alice".parse().unwrap();
    let ts_ms = 1_800_000_000_000;
    let record = NameRecord::sign(&key, &root, inception, name.clone(), b"card".to_vec(), ts_ms).unwrap();
    let held = Held::sign(&relay, record.clone(), ts_ms + 1, ts_ms + 2);
    let to = Some(AccountId([0x33; 32]));
    let handover = Handover::sign(&key, &root, inception, name.clone(), to, ts_ms + 3).unwrap();
    let request = |ask| hex(codec::encode(&Request { id: 7, ask }));
    let reply = |answer| hex(codec::encode(&Reply { id: 7, answer }));
    let token = AccessToken::parse("correct-horse").unwrap();
    let normal = ["@Alice", "ａｌｉｃｅ", "JOSE\u{301}", "anna-lena.b_2", "花子"];
    let looks = ["alice", "a1ice", "al.ice", "modem", "modern"];
    let forms = |texts: &[&str], form: fn(Name) -> String| {
        texts.iter().map(|text| json!([text, form(text.parse().unwrap())])).collect::<Vec<_>>()
    };
    let found = json!({
        "relay_seed": hex([0x22; 32]), "relay": hex(key), "account_seed": hex([0x11; 32]), "account": hex(inception.account()),
        "names": forms(&normal, |name| name.to_string()), "looks": forms(&looks, |name| name.look()),
        "name": "alice", "card": hex(b"card"), "ts_ms": ts_ms, "since_ms": ts_ms + 1, "at_ms": ts_ms + 2,
        "record": hex(codec::encode(&record)), "held": hex(held.encode()),
        "handover_to": hex([0x33; 32]), "handover": hex(codec::encode(&handover)),
        "greeting": hex(codec::encode(&Greeting { token: true, now_ms: ts_ms })),
        "requests": {
            "unlock": request(Ask::Unlock(token)),
            "claim": request(Ask::Claim { record, handover: Some(handover.clone()) }),
            "release": request(Ask::Release(handover)),
            "lookup": request(Ask::Lookup(name)),
        },
        "replies": {
            "unlocked": reply(Answer::Unlocked), "held": reply(Answer::Held(held)), "released": reply(Answer::Released),
            "unknown": reply(Answer::Unknown), "taken": reply(Answer::Refused(Refusal::Taken)),
            "failed": reply(Answer::Refused(Refusal::Failed)),
        },
    });
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/vectors/directory.json");
    let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
    if std::env::var_os("PARLOR_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "directory.json says otherwise");
}
