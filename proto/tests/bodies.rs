//! `docs/spec/vectors/messages.json`, made by hand from the page, says what this crate writes. Change neither without the other.

#![allow(clippy::unwrap_used, reason = "a program of tests: it fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use parlor_proto::annotation::{Act, Annotation, Kept};
use parlor_proto::body::{Body, Edit, Pin, Poll, React, Redact, Text, Vote};
use parlor_proto::hlc::Hlc;
use parlor_proto::{AccountId, DeviceId, EventId, codec};

const TARGET: EventId = EventId([1; 32]);
const ACCOUNT: AccountId = AccountId([2; 32]);

fn hex(bytes: Vec<u8>) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bodies() -> [(&'static str, Body); 8] {
    let thread = Some(EventId([3; 32]));
    let mentions = vec![ACCOUNT];
    let options = vec!["mon".to_owned(), "fri".to_owned()];
    [
        ("text", Body::Text(Text { text: "hi <@0>".into(), reply_to: Some(TARGET), mentions, thread: None })),
        ("text_in_thread", Body::Text(Text { text: "hi".into(), thread, ..Text::default() })),
        ("edit", Body::Edit(Edit { target: TARGET, text: "ho".into(), mentions: Vec::new() })),
        ("redact", Body::Redact(Redact { target: TARGET })),
        ("react", Body::React(React { target: TARGET, emoji: "👍".into(), on: true })),
        ("poll", Body::Poll(Poll { question: "when?".into(), options, several: false })),
        ("vote", Body::Vote(Vote { poll: TARGET, choices: vec![0, 3] })),
        ("pin", Body::Pin(Pin { target: TARGET, on: false })),
    ]
}

#[test]
fn contents_and_remarks_are_written_as_the_page_says() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/vectors/messages.json");
    let written: BTreeMap<String, String> = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let mut found: BTreeMap<String, String> =
        bodies().into_iter().map(|(name, body)| (name.to_owned(), hex(body.encode()))).collect();
    for (name, body) in bodies() {
        assert_eq!(Body::decode(&body.encode()), Ok(body), "{name}");
    }
    let said = Annotation {
        id: EventId([5; 32]),
        hlc: Hlc(7),
        device: DeviceId([4; 32]),
        seq: 9,
        author: ACCOUNT,
        control: vec![EventId([6; 32])],
        act: Act::React { emoji: "👍".into(), on: true },
    };
    found.insert("remark_react".into(), hex(codec::encode(&Kept::Said(said))));
    found.insert("remark_thread".into(), hex(codec::encode(&Kept::Thread)));
    found.insert("remark_unsafe".into(), hex(codec::encode(&Kept::Unsafe)));
    assert_eq!(found, written);
}
