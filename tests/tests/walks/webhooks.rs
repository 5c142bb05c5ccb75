//! The node calls a program of its owner: a real receiver that dies and comes back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use parlor_crypto::kdf;
use parlor_tests::{Person, eventually, program, run_to_end};
use serde_json::Value;

/// A delivery as it came.
#[derive(Debug, Clone)]
struct Got {
    delivery: String,
    signature: String,
    body: String,
}

impl Got {
    fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self) -> String {
        self.value()["message"]["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks the signature as a receiver in any language does.
    fn is_signed(&self, secret: &str) -> bool {
        let mut parts = self.signature.split(',');
        let time = parts.next().and_then(|part| part.strip_prefix("t=")).unwrap();
        let mac = kdf::extract(secret.as_bytes(), format!("{time}.{}", self.body).as_bytes());
        let mac: String = mac.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        parts.any(|part| part.strip_prefix("v1=") == Some(&mac))
    }
}

/// A program that takes deliveries: dead until it is started, and killed with its socket.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    status: Arc<AtomicU16>,
    alive: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Receiver {
    fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        Self { address, got: Arc::default(), status: Arc::new(AtomicU16::new(200)), alive: None }
    }

    fn start(&mut self) {
        let listener = eventually("the port is free", || TcpListener::bind(self.address).ok());
        let (got, status, ends) = (self.got.clone(), self.status.clone(), Arc::new(AtomicBool::new(false)));
        let ended = ends.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                // One that breaks off is no delivery.
                let _ = take(stream.unwrap(), &got, status.load(Ordering::Acquire));
            }
        });
        self.alive = Some((ends, thread));
    }

    fn kill(&mut self) {
        let (ends, thread) = self.alive.take().unwrap();
        ends.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        thread.join().unwrap();
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until a message with this text was delivered, and answers all that was.
    fn has(&self, text: &str) -> Vec<Got> {
        eventually(&format!("`{text}` is delivered"), || {
            Some(self.got()).filter(|got| got.iter().any(|one| one.text() == text))
        })
    }
}

fn take(mut stream: TcpStream, got: &Mutex<Vec<Got>>, status: u16) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut some = [0; 4096];
        let n = stream.read(&mut some)?;
        if n == 0 {
            return Ok(());
        }
        bytes.extend_from_slice(&some[..n]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name).map(str::trim).map(str::to_owned));
        let length: usize = header("content-length:").and_then(|n| n.parse().ok()).unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            break (head.clone(), (end + 4, length));
        }
    };
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::trim).unwrap_or_default().to_owned()
    };
    let body = String::from_utf8_lossy(&bytes[length.0..length.0 + length.1]).into_owned();
    got.lock().unwrap().push(Got {
        delivery: header("parlor-delivery:"),
        signature: header("parlor-signature:"),
        body,
    });
    write!(stream, "HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n")
}

fn hook(person: &Person, id: &str) -> Value {
    let hooks = person.cli(&["webhook", "list"]).done().lines();
    hooks.into_iter().find(|hook| hook["id"] == id).unwrap()
}

#[test]
fn every_message_is_delivered_signed_though_receiver_and_node_die_in_turn() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (room, other) = (alice.create_room("Builds"), alice.create_room("Diary"));
    bob.join(&alice.invite(&room, &[]));
    bob.say(&room, "before the webhook");
    alice.holds(&room, 1);
    let mut receiver = Receiver::new();
    receiver.start();
    let url = format!("http://{}/hook?x=1", receiver.address);
    let made = alice.cli(&["webhook", "create", "ci", &url, "--room", &room]).done();
    let (id, secret) = (made.text("id"), made.text("secret"));
    assert!(hook(&alice, &id)["secret"].is_null(), "it is shown once");
    alice.say(&other, "dear diary");
    let first = bob.say(&room, "one");
    let got = receiver.has("one");
    assert!(got.iter().all(|got| got.is_signed(&secret) && !got.is_signed("whsec_00")), "{got:?}");
    let delivered = got.iter().find(|got| got.text() == "one").unwrap().value();
    assert_eq!(
        (delivered["event"].as_str(), delivered["message"]["message"].as_str()),
        (Some("message"), Some(&*first))
    );
    assert_eq!(delivered["message"]["author"]["name"], "Bob");

    // The receiver dies, then the node; what was written meanwhile comes when both are back, in order.
    receiver.kill();
    bob.say(&room, "two");
    alice.holds(&room, 3);
    eventually("the webhook is known to fail", || (hook(&alice, &id)["state"] == "failing").then_some(()));
    let failing = hook(&alice, &id);
    assert!(failing["pending"].as_u64() >= Some(1) && failing["last_error"].is_string(), "{failing}");
    alice.kill9();
    bob.say(&room, "three");
    alice.run();
    alice.holds(&room, 4);
    bob.cli(&["edit", &room, &first, "one, mended"]).done();
    receiver.start();
    alice.cli(&["webhook", "enable", &id]).done();
    let got = receiver.has("three");
    receiver.has("one, mended");
    let texts: Vec<String> = got.iter().map(Got::text).collect();
    let place = |text: &str| texts.iter().position(|it| it == text).unwrap();
    assert!(place("one") < place("two") && place("two") < place("three"), "{texts:?}");
    assert!(
        !texts.contains(&"dear diary".to_owned()) && !texts.contains(&"before the webhook".to_owned()),
        "{texts:?}"
    );
    eventually("the webhook works again", || (hook(&alice, &id)["state"] == "working").then_some(()));
    // A receiver that drops what it had by its name has each once.
    let mut seen = std::collections::BTreeMap::new();
    receiver.got().iter().for_each(|got| drop(seen.insert(got.delivery.clone(), got.text())));
    let mut once: Vec<_> = seen.into_values().filter(|text| ["one", "two", "three"].contains(&text.as_str())).collect();
    once.sort();
    assert_eq!(once, ["one", "three", "two"]);

    // Another secret: both sign for a while.
    let fresh = alice.cli(&["webhook", "secret", &id]).done().text("secret");
    bob.say(&room, "four");
    let got = receiver.has("four");
    let last = got.iter().find(|got| got.text() == "four").unwrap();
    assert!(fresh != secret && last.is_signed(&fresh) && last.is_signed(&secret));

    // A receiver that says it is gone is not asked again.
    receiver.status.store(410, Ordering::Release);
    bob.say(&room, "five");
    eventually("the webhook is given up", || (hook(&alice, &id)["state"] == "disabled").then_some(()));
    alice.cli(&["webhook", "remove", &id]).done();
    alice.cli(&["webhook", "remove", &id]).refused(5, "not_found");
    alice.cli(&["webhook", "create", "x", "ftp://127.0.0.1/"]).refused(2, "bad_request");
}

#[test]
fn a_receiver_that_drops_what_it_had_ends_with_what_is_so() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Votes");
    bob.join(&alice.invite(&room, &[]));
    let message = alice.say(&room, "tea?");
    bob.holds(&room, 1);
    let mut receiver = Receiver::new();
    receiver.start();
    let url = format!("http://{}/", receiver.address);
    let id = alice.cli(&["webhook", "create", "state", &url]).done().text("id");
    // As many as he was told of so far, each with the state that came with its name first.
    let kept = || {
        let mut had = std::collections::BTreeSet::new();
        let new = receiver.got().into_iter().filter(|got| had.insert(got.delivery.clone()));
        let states: Vec<bool> = new.map(|got| got.value()["message"]["reactions"]["👍"].is_array()).collect();
        states
    };
    for on in [true, false, true] {
        let all: &[&str] =
            if on { &["react", &room, &message, "👍"] } else { &["react", &room, &message, "👍", "--off"] };
        bob.cli(all).done();
        eventually("the last thing that he kept is what is so", || (kept().last() == Some(&on)).then_some(()));
    }
    assert_eq!(kept(), [true, false, true]);
    alice.cli(&["webhook", "remove", &id]).done();
}

#[test]
fn a_token_of_a_script_makes_no_webhook() {
    let alice = Person::start("Alice");
    let token = alice.cli(&["token", "create", "bot", "--scope", "manage"]).done().text("token");
    let mut command = Command::new(program());
    command.arg("--home").arg(alice.home()).args(["--json", "webhook", "create", "x", "http://127.0.0.1:1/"]);
    let refused = run_to_end(command.env_remove("PARLOR_HOME").env("PARLOR_TOKEN", &token), b"");
    refused.refused(4, "scope_missing");
}
