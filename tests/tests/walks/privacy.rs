//! Nothing readable outside: what lies on the disk and goes over the wire tells a stranger nothing.

use std::path::Path;

use parlor_tests::{Canaries, Capture, Options, Person, each_file, left_out};

const TEXT: &str = "canary-text-7f3a9c51";
const ROOM: &str = "canary-room-2b8e04d6";
const ALICE: &str = "canary-alice-91c7";
const BOB: &str = "canary-bob-e05d";

/// Said in the clear at the beginning of every TCP connection of libp2p: shows that a capture captures.
const MULTISTREAM: &[u8] = b"/multistream/1.0.0";

/// The first byte of the long header of a first QUIC packet, version 1, with its version. Half of that byte is masked by keys.
fn quic(masked: u8) -> [u8; 5] {
    [0xc0 | masked, 0, 0, 0, 1]
}

#[test]
fn over_tcp_neither_the_wire_nor_the_disk_shows_texts_names_or_ids() {
    nothing_is_shown("/ip4/127.0.0.1/tcp/0", &[MULTISTREAM.to_vec()]);
}

#[test]
fn over_quic_neither_the_wire_nor_the_disk_shows_texts_names_or_ids() {
    let firsts: Vec<_> = (0..16).map(|masked| quic(masked).to_vec()).collect();
    nothing_is_shown("/ip4/127.0.0.1/udp/0/quic-v1", &firsts);
}

/// Two people meet, write live and catch up over one transport; one of `control` must be on the wire.
fn nothing_is_shown(listen: &str, control: &[Vec<u8>]) {
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
    let mut canaries = Canaries::of(&[TEXT, ROOM, ALICE, BOB]);
    canaries.id("room", &room);
    [&alice, &bob].into_iter().for_each(|person| canaries.person(person));
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
            let mut connections = Canaries::of(&[]);
            control.iter().for_each(|bytes| connections.bytes("a connection", bytes));
            let connection = flows.iter().any(|flow| !connections.in_bytes(flow).is_empty());
            assert!(connection, "{seen} bytes captured, but no connection");
            for flow in &flows {
                let found = canaries.in_bytes(flow);
                assert!(found.is_empty(), "the wire shows {found:?}");
            }
            println!("{} flows of {seen} bytes show nothing", flows.len());
        }
        Err(error) => left_out("what goes over the wire", error),
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
    // Also of one that somebody opened to others by hand.
    std::fs::set_permissions(alice.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    alice.run();
    assert_eq!(mode(&alice.home()), 0o700);
}
