//! Nothing readable outside: what lies on the disk and goes over the wire tells a stranger nothing.

use std::path::Path;

use parlor_tests::{Capture, Options, Person};

const TEXT: &str = "canary-text-7f3a9c51";
const ROOM: &str = "canary-room-2b8e04d6";
const ALICE: &str = "canary-alice-91c7";
const BOB: &str = "canary-bob-e05d";

/// Said in the clear at the beginning of every TCP connection of libp2p: shows that a capture captures.
const MULTISTREAM: &[u8] = b"/multistream/1.0.0";

/// The first byte of the long header of a first QUIC packet, version 1, with its version.
const QUIC: [&[u8]; 4] = [b"\xc0\0\0\0\x01", b"\xc1\0\0\0\x01", b"\xc2\0\0\0\x01", b"\xc3\0\0\0\x01"];

/// What must not be seen: texts, names and ids, ids also as raw bytes.
struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    fn of(people: [&Person; 2], room: &str) -> Self {
        let mut all: Vec<_> = [TEXT, ROOM, ALICE, BOB].map(|text| (text.to_owned(), text.into())).into();
        let mut id = |name: &str, hex: &str| {
            let bytes = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
            all.push((format!("{name} in hex"), hex.into()));
            all.push((format!("{name} in capital hex"), hex.to_uppercase().into()));
            all.push((format!("{name} as bytes"), bytes));
        };
        id("room id", room);
        for person in people {
            let status = person.cli(&["status"]).done();
            id(&format!("account of {}", person.name), &status.text("account"));
            id(&format!("device of {}", person.name), &status.text("device"));
        }
        Self(all)
    }

    /// Names of those that are in `bytes`.
    fn in_bytes(&self, bytes: &[u8]) -> Vec<&str> {
        self.0.iter().filter(|(_, canary)| holds(bytes, canary)).map(|(name, _)| name.as_str()).collect()
    }
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    let Some(first) = part.first() else { return true };
    let mut rest = bytes;
    while let Some(position) = rest.iter().position(|byte| byte == first) {
        rest = &rest[position..];
        if rest.starts_with(part) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

/// Every file under `folder`, with its bytes; names of files are looked at too.
fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        look(&path, path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() {
            each_file(&path, look);
        } else if path.is_file() {
            look(&path, &std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn over_tcp_neither_the_wire_nor_the_disk_shows_texts_names_or_ids() {
    nothing_is_shown("/ip4/127.0.0.1/tcp/0", &[MULTISTREAM]);
}

#[test]
fn over_quic_neither_the_wire_nor_the_disk_shows_texts_names_or_ids() {
    nothing_is_shown("/ip4/127.0.0.1/udp/0/quic-v1", &QUIC);
}

/// Two people meet, write live and catch up over one transport; one of `control` must be on the wire.
fn nothing_is_shown(listen: &str, control: &[&[u8]]) {
    let options = Options { listen: vec![listen.to_owned()], ..Options::default() };
    let (mut alice, mut bob) = (Person::start_with(ALICE, options.clone()), Person::start_with(BOB, options));
    let capture = Capture::start(alice.listen().iter().chain(bob.listen()));
    let room = alice.create_room(ROOM);
    bob.join(&alice.invite(&room, &[]));
    alice.say(&room, TEXT);
    bob.holds(&room, 1);
    // Missed messages go another way than live ones.
    bob.stop();
    alice.say_lines(&room, &vec![TEXT.to_owned(); 50]).done();
    bob.run();
    bob.holds(&room, 51);
    alice.all_delivered(&room, 1);
    let canaries = Canaries::of([&alice, &bob], &room);
    let capture = capture.map(Capture::stop);
    alice.stop();
    bob.stop();

    for person in [&alice, &bob] {
        let mut n_files = 0;
        each_file(&person.home(), &mut |path, bytes| {
            let found = canaries.in_bytes(bytes);
            assert!(found.is_empty(), "{} holds {found:?}", path.display());
            n_files += 1;
        });
        assert!(n_files > 0, "a home holds files");
    }
    match capture {
        Ok(flows) => {
            let seen: usize = flows.iter().map(Vec::len).sum();
            let connection = flows.iter().any(|flow| control.iter().any(|control| holds(flow, control)));
            assert!(connection, "{seen} bytes captured, but no connection");
            for flow in &flows {
                let found = canaries.in_bytes(flow);
                assert!(found.is_empty(), "the wire shows {found:?}");
            }
            println!("{} flows of {seen} bytes show nothing", flows.len());
        }
        Err(error) => println!("the wire was not captured, this process may not: {error}"),
    }
}

#[cfg(unix)]
#[test]
fn only_their_owner_can_open_the_files_of_a_home() {
    use std::os::unix::fs::PermissionsExt;
    let mut alice = Person::start(ALICE);
    alice.create_room(ROOM);
    alice.stop();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&alice.home()), 0o700);
    for name in ["token", "account"] {
        assert_eq!(mode(&alice.home().join(name)), 0o600, "{name}");
    }
}
