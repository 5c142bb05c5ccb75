//! What the doctor says of real nodes.

use parlor_tests::{Options, Person, eventually};
use serde_json::Value;

fn codes(of: &Person) -> Vec<String> {
    let found = of.cli(&["doctor"]).done().object();
    let findings = found["findings"].as_array().cloned().unwrap_or_default();
    for finding in &findings {
        for field in ["text", "hint"] {
            assert!(finding[field].as_str().is_some_and(|text| !text.is_empty()), "{finding}");
        }
    }
    findings.iter().filter_map(|finding| Some(finding["code"].as_str()?.to_owned())).collect()
}

fn has(of: &Person, code: &str) -> bool {
    codes(of).iter().any(|found| found == code)
}

#[test]
fn a_healthy_node_is_well_and_one_that_is_left_alone_is_told_so() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    assert!(has(&alice, "all_well") && has(&alice, "no_relay") && has(&alice, "loopback_only"));
    let kitchen = alice.create_room("secret kitchen");
    bob.join(&alice.invite(&kitchen, &[]));
    eventually("Alice sees Bob", || (!has(&alice, "nobody_online")).then_some(()));
    bob.stop();
    eventually("Alice is told that nobody is there", || has(&alice, "nobody_online").then_some(()));
    alice.say(&kitchen, "anybody?");
    assert!(has(&alice, "outbox_waits"));
    let report = alice.scratch().join("report.json");
    alice.cli(&["doctor", "--report", &report.to_string_lossy()]).done();
    let text = std::fs::read_to_string(&report).unwrap();
    let parsed: Value = serde_json::from_str(&text).unwrap();
    assert!(parsed["observed"]["outbox"].is_string());
    for secret in ["secret kitchen", "Bob", "127.0.0.1", "anybody?", kitchen.as_str()] {
        assert!(!text.contains(secret), "{secret} is in the report: {text}");
    }
}

#[test]
fn a_relay_that_is_gone_is_named() {
    let peer = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD";
    let relay = format!("/ip4/127.0.0.1/tcp/9/p2p/{peer}");
    let options = Options { run_args: vec!["--relay".into(), relay], ..Options::default() };
    let alice = Person::start_with("Alice", options);
    eventually("the doctor names the relay", || {
        let found = alice.cli(&["doctor"]).done().object();
        let findings = found["findings"].as_array()?.clone();
        findings
            .into_iter()
            .find(|it| it["code"] == "relay_down" && it["text"].as_str().is_some_and(|t| t.contains("127.0.0.1")))
    });
}
