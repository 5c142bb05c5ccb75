//! Two on one local network, with no address of each other that works: they find each other by what the network announces.
//!
//! Announcements go to everybody on a network, so these nodes have one of their own: two network namespaces with a wire
//! between them, gone after the test. Making them needs Linux, the program `ip`, and the right to do so.

use std::process::Command;

use parlor_tests::{Options, Person, eventually, left_out};

/// Two namespaces with a wire between them, alone in the world.
struct Wire {
    names: [String; 2],
}

fn ip(args: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(args).output().map_err(|error| format!("ip: {error}"))?;
    let said = || format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(said()) }
}

impl Wire {
    /// The two ends have the addresses 10.77.0.1 and 10.77.0.2.
    fn lay() -> Result<Self, String> {
        let names = ["a", "b"].map(|end| format!("parlor-{}-{end}", std::process::id()));
        let wire = Self { names };
        let [a, b] = &wire.names;
        ip(&["netns", "add", a])?;
        ip(&["netns", "add", b])?;
        ip(&["link", "add", "wire", "netns", a, "type", "veth", "peer", "name", "wire", "netns", b])?;
        for (end, address) in [(a, "10.77.0.1/24"), (b, "10.77.0.2/24")] {
            ip(&["-n", end, "address", "add", address, "dev", "wire"])?;
            ip(&["-n", end, "link", "set", "lo", "up"])?;
            ip(&["-n", end, "link", "set", "wire", "up"])?;
            ip(&["-n", end, "route", "add", "224.0.0.0/4", "dev", "wire"])?;
        }
        Ok(wire)
    }

    fn person(&self, end: usize, mdns: bool, name: &str) -> Person {
        let listen = vec!["/ip4/0.0.0.0/tcp/0".to_owned()];
        let options = Options { namespace: Some(self.names[end].clone()), mdns, listen, ..Options::default() };
        Person::start_with(name, options)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The wire goes with its ends.
        self.names.iter().for_each(|name| drop(ip(&["netns", "delete", name])));
    }
}

#[test]
fn two_who_know_no_address_of_each_other_meet_on_the_local_network() {
    let wire = match Wire::lay() {
        Ok(wire) => wire,
        Err(why) => return left_out("a local network", why),
    };
    let mut alice = wire.person(0, true, "Alice");
    let room = alice.create_room("Next door");
    let link = alice.invite(&room, &[]);
    // Alice's machine gets another address: what the link says leads nowhere.
    alice.stop();
    ip(&["-n", &wire.names[0], "address", "del", "10.77.0.1/24", "dev", "wire"]).unwrap();
    ip(&["-n", &wire.names[0], "address", "add", "10.77.0.11/24", "dev", "wire"]).unwrap();
    ip(&["-n", &wire.names[0], "route", "replace", "224.0.0.0/4", "dev", "wire"]).unwrap();
    alice.moved();
    alice.run();

    let mut bob = wire.person(1, false, "Bob");
    let in_vain = bob.cli(&["join", &link, "--timeout", "3s"]);
    assert_ne!(in_vain.code, 0, "without announcements nobody is found: {}", in_vain.stdout);
    assert_eq!(bob.cli(&["status"]).done().object()["peers"].as_array().map(Vec::len), Some(0));
    bob.options().mdns = true;
    bob.restart();
    bob.join(&link);
    bob.say(&room, "Hello, neighbour");
    assert_eq!(alice.holds(&room, 1)[0].text, "Hello, neighbour");
    alice.say(&room, "Come in");
    bob.holds(&room, 2);
    eventually("Bob is connected to where Alice is now", || {
        let status = bob.cli(&["status"]).done().object();
        let peers = status["peers"].as_array()?.clone();
        peers.iter().any(|peer| peer["address"].as_str().is_some_and(|it| it.contains("/10.77.0.11/"))).then_some(())
    });
}
