//! From what is observed to what is told: one rule a function, none of which looks at anything but the facts.

use parlor_api::{Finding, Level, Tried};

use parlor_net::RelayTrouble;

use super::devices::device;
use super::facts::{Clock, Facts, NatKind, RelayFact, Udp};
use super::rooms::{asleep, damaged, mailboxes, rooms};
use crate::count::count;

/// Less free space than this is a problem: the store stops to write.
const DISK_PROBLEM: u64 = 100 << 20;
/// Less than this is worth a warning.
const DISK_WARNING: u64 = 1 << 30;

/// What follows from the facts, the worst first. Never empty.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let rules: [fn(&Facts) -> Vec<Finding>; 14] = [
        device, damaged, clock, disk, listening, way_in, udp, relays, mailboxes, people, rooms, asleep, waiting,
        desktop,
    ];
    let mut all: Vec<Finding> = rules.iter().flat_map(|rule| rule(facts)).collect();
    if all.iter().all(|finding| finding.level == Level::Note) {
        all.push(told(
            "all_well",
            Level::Fine,
            "nothing is wrong that this node can see",
            "if somebody still can not be reached, ask him to run the doctor too",
        ));
    }
    all.sort_by_key(|finding| finding.level);
    all
}

pub(super) fn told(code: &str, level: Level, text: impl Into<String>, hint: impl Into<String>) -> Finding {
    Finding { code: code.into(), level, text: text.into(), hint: hint.into(), n: None, name: None, tried: Vec::new() }
}

pub(super) fn tried(finding: Finding, tried: Vec<Tried>) -> Finding {
    Finding { tried, ..finding }
}

/// With the number that stands in its text.
pub(super) fn counted(n: u64, finding: Finding) -> Finding {
    Finding { n: Some(n), ..finding }
}

/// With the name that stands in its text.
pub(super) fn named(name: &str, finding: Finding) -> Finding {
    Finding { name: Some(name.to_owned()), ..finding }
}

pub(super) fn step(code: &str, n: Option<usize>, text: impl Into<String>) -> Tried {
    Tried { code: code.into(), text: text.into(), n: n.map(|n| n as u64), of: None }
}

/// Notifications reach nobody.
fn desktop(facts: &Facts) -> Vec<Finding> {
    let finding = told(
        "no_desktop",
        Level::Note,
        "notifications reach no desktop: no session bus answers, or nobody on it shows them",
        "this is fine on a machine without a screen; else run the node in your desktop session, or: parlor config set notify off",
    );
    if facts.unheard { vec![finding] } else { Vec::new() }
}

fn clock(facts: &Facts) -> Vec<Finding> {
    let hint = "set the clock of this machine, or have it set from the network";
    match facts.clock {
        Clock::Plausible => Vec::new(),
        Clock::Unset => vec![told(
            "clock_wrong",
            Level::Problem,
            "the clock of this machine shows a time before this program was made: invites seem not open yet, and messages stand at the wrong place",
            hint,
        )],
        Clock::Behind(seconds) => {
            let minutes = seconds / 60;
            let text = format!(
                "the newest message is from {minutes} minutes ahead of this machine's clock: either this clock is behind, or that of its author is ahead"
            );
            vec![counted(minutes, told("clock_behind", Level::Warning, text, hint))]
        }
    }
}

fn disk(facts: &Facts) -> Vec<Finding> {
    let Some(free) = facts.disk_free else { return Vec::new() };
    let text = format!("the disk that holds the home has {} MiB left", free >> 20);
    let hint = "make room on the disk: a full one takes no messages, neither yours nor those of others";
    match free {
        _ if free < DISK_PROBLEM => vec![counted(free >> 20, told("disk_full", Level::Problem, text, hint))],
        _ if free < DISK_WARNING => vec![counted(free >> 20, told("disk_low", Level::Warning, text, hint))],
        _ => Vec::new(),
    }
}

fn listening(facts: &Facts) -> Vec<Finding> {
    if facts.listening == 0 {
        let text = "the node listens nowhere: nobody can connect to it, not even through a relay";
        return vec![told(
            "not_listening",
            Level::Problem,
            text,
            "start it with: parlor run --listen /ip4/0.0.0.0/udp/0/quic-v1",
        )];
    }
    if facts.loopback_only {
        let text = "the node listens on this machine alone: others can not reach it directly";
        return vec![told(
            "loopback_only",
            Level::Note,
            text,
            "start it without --listen, or name an address of the network",
        )];
    }
    Vec::new()
}

/// What stands between us and the internet.
fn way_in(facts: &Facts) -> Vec<Finding> {
    let helped = facts.relays.iter().any(|relay| relay.reserved);
    let level = if helped { Level::Note } else { Level::Warning };
    let (worked, failed) = facts.punched;
    let punched = format!("punching holes: {worked} worked, {failed} did not");
    let punched = Tried { n: Some(worked), of: Some(worked.saturating_add(failed)), ..step("punching", None, punched) };
    let mapping = step("mapping", None, "asking the router to map a port (UPnP)");
    match facts.nat {
        NatKind::Symmetric => {
            let text = "the router gives each connection another port (symmetric NAT): direct connections from outside hardly ever work";
            let hint = if helped {
                "nothing: what can not go directly goes through a relay; a port forwarded in the router makes it direct"
            } else {
                "add a relay: parlor run --relay ADDRESS; or forward a port in the router and listen on it"
            };
            vec![tried(told("nat_symmetric", level, text, hint), vec![mapping, punched])]
        }
        NatKind::Cone if facts.mapped => Vec::new(),
        NatKind::Cone => {
            let text = "this machine is behind a router (NAT): others reach it after a relay has introduced them";
            let hint = if helped { "nothing: it works" } else { "add a relay: parlor run --relay ADDRESS" };
            vec![tried(told("nat_cone", level, text, hint), vec![mapping, punched])]
        }
        NatKind::Open | NatKind::Unknown => Vec::new(),
    }
}

fn udp(facts: &Facts) -> Vec<Finding> {
    if facts.udp != Udp::Blocked {
        return Vec::new();
    }
    let text = "this network lets no UDP through: connections go over TCP, and holes in routers can hardly be punched";
    let hint = "allow outgoing UDP in the firewall, or go on with relays: messages arrive all the same";
    vec![told("udp_blocked", Level::Warning, text, hint)]
}

fn relays(facts: &Facts) -> Vec<Finding> {
    if facts.relays.is_empty() {
        let text = "there is no relay: people behind routers can not reach each other, and nobody keeps mail while all are away";
        return vec![told(
            "no_relay",
            Level::Note,
            text,
            "add one: parlor run --relay ADDRESS; anybody can run parlor-bootstrap",
        )];
    }
    let broken: Vec<Finding> = facts.relays.iter().filter(|relay| !relay.reserved).filter_map(relay).collect();
    let none_left = facts.relays.iter().all(|relay| !relay.reserved);
    if none_left {
        broken
    } else {
        broken.into_iter().map(|finding| Finding { level: Level::Warning, ..finding }).collect()
    }
}

fn relay(relay: &RelayFact) -> Option<Finding> {
    let name = &relay.name;
    let (code, text, hint) = match relay.trouble {
        // Just begun.
        None if relay.attempts == 0 => return None,
        _ if relay.locked => (
            "relay_refused",
            format!("the relay {name} serves its own users only"),
            "ask who runs it for its token, and name it with ?token=TOKEN after its address; or use another relay",
        ),
        Some(RelayTrouble::Full) => (
            "relay_full",
            format!("the relay {name} has no place for this node: it is full, or serves those with its token only"),
            "add another relay; or ask who runs it for a token or a higher limit",
        ),
        Some(RelayTrouble::Refused) => {
            ("relay_refused", format!("the relay {name} refuses this node"), "ask who runs it, or use another relay")
        }
        Some(RelayTrouble::OtherKey) => (
            "relay_other_key",
            format!("at the address of the relay {name} somebody answers with another key"),
            "ask who runs it for the present address: it was set up anew, or somebody stands between",
        ),
        Some(RelayTrouble::Clock) => (
            "relay_clock",
            format!(
                "what the relay {name} gives is over before it comes: the clock of this machine is ahead, or that of the relay is behind"
            ),
            "look at the clock of this machine, and have it set from the network; if it is right, tell who runs the relay",
        ),
        Some(RelayTrouble::Down) => (
            "relay_down",
            format!("the relay {name} does not answer"),
            "ask who runs it; look whether this machine is online; add another relay meanwhile",
        ),
        Some(_) | None => (
            "relay_trouble",
            format!("the relay {name} is of no use now"),
            "start the node with -v to see why, or use another relay",
        ),
    };
    let times = count(relay.attempts, "attempt", "attempts");
    let connecting =
        step("connecting", Some(relay.attempts as usize), format!("connecting: {times} without success, going on"));
    Some(tried(named(name, told(code, Level::Problem, text, hint)), vec![connecting]))
}

/// Who is there.
fn people(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let shared = facts.rooms.iter().filter(|room| room.others > 0).count();
    let online = facts.rooms.iter().any(|room| room.online > 0);
    if shared > 0 && !online {
        let text = match facts.peers {
            0 => "nobody of your rooms is online, or nobody can be reached".to_owned(),
            n => format!("{} connected, but nobody of your rooms", count(n, "peer is", "peers are")),
        };
        let hint = "ask whether they are online, and have them run the doctor too; what you write waits and goes out by itself";
        let dials = format!("dialling {} again and again", count(facts.redialling, "known node", "known nodes"));
        let reserved = facts.relays.iter().filter(|relay| relay.reserved).count();
        let waits = format!("waiting at {}", count(reserved, "relay", "relays"));
        let steps = vec![step("dialling", Some(facts.redialling), dials), step("waiting", Some(reserved), waits)];
        let alone = Finding {
            n: (facts.peers > 0).then_some(facts.peers as u64),
            ..told("nobody_online", Level::Warning, text, hint)
        };
        found.push(tried(alone, steps));
    } else if facts.redialling > 0 && shared > 0 {
        let text = format!("{} can not be reached now", count(facts.redialling, "known node", "known nodes"));
        let away = told("peers_away", Level::Note, text, "nothing: they are dialled again when they may be back");
        let dials = step("pauses", None, "dialling with growing pauses, at all addresses that are known");
        found.push(tried(counted(facts.redialling as u64, away), vec![dials]));
    }
    if facts.banned > 0 {
        let text = format!("{} broke the rules and are refused for a while", count(facts.banned, "peer", "peers"));
        let hint = "if it is a friend's node: both should run the newest version";
        found.push(counted(facts.banned as u64, told("peers_refused", Level::Note, text, hint)));
    }
    found
}

/// What waits.
fn waiting(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if facts.outbox > 0 {
        let text = format!("{} of yours nobody else holds yet", count(facts.outbox, "message", "messages"));
        let waits = told("outbox_waits", Level::Note, text, "parlor outbox list says why; they go out by themselves");
        let sending = step("sending", None, "sending again whenever a member is reached, and with growing pauses");
        found.push(tried(counted(facts.outbox as u64, waits), vec![sending]));
    }
    if facts.given_up > 0 {
        let went = "given up, and went to nobody";
        let text = format!("{} {went}", count(facts.given_up, "message of yours was", "messages of yours were"));
        let hint = "parlor outbox list says why; parlor outbox retry tries again, parlor outbox discard forgets";
        found.push(counted(facts.given_up as u64, told("outbox_given_up", Level::Warning, text, hint)));
    }
    if facts.joining > 0 {
        let text = format!("{} not answered yet", count(facts.joining, "request to join is", "requests to join are"));
        let joins = told("join_waits", Level::Note, text, "a member has to be online, or to approve");
        found.push(counted(facts.joining as u64, joins));
    }
    if facts.asked > 0 {
        let asked = count(facts.asked, "person was", "people were");
        let text = format!("{asked} asked whether you may write, and did not answer yet");
        let hint = "their nodes are asked again and again; tell them by another way";
        found.push(counted(facts.asked as u64, told("request_waits", Level::Note, text, hint)));
    }
    if facts.asking > 0 {
        let text = format!("{} to write to you", count(facts.asking, "person asks", "people ask"));
        let asks = told("requests_in", Level::Note, text, "parlor contact list shows who; accept or block them");
        found.push(counted(facts.asking as u64, asks));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::facts::{MailboxFact, RoomFact};
    use crate::doctor::observe_clock;
    use crate::doctor::rooms::ROOMS_TOLD;

    fn well() -> Facts {
        Facts {
            listening: 2,
            nat: NatKind::Open,
            relays: vec![relay_at("r", true)],
            disk_free: Some(1 << 40),
            ..Facts::default()
        }
    }

    fn relay_at(name: &str, reserved: bool) -> RelayFact {
        RelayFact { name: name.into(), reserved, attempts: 0, trouble: None, locked: false }
    }

    fn room(name: &str) -> RoomFact {
        RoomFact {
            name: name.into(),
            others: 1,
            online: 1,
            missing: 0,
            writable: true,
            waits_for_other: false,
            cloned: false,
            no_mailbox: false,
        }
    }

    fn codes(facts: &Facts) -> Vec<String> {
        findings(facts).into_iter().map(|finding| finding.code).collect()
    }

    fn level(facts: &Facts, code: &str) -> Level {
        findings(facts).into_iter().find(|finding| finding.code == code).unwrap().level
    }

    #[test]
    fn a_healthy_node_is_told_that_all_is_well() {
        assert_eq!(codes(&well()), ["all_well"]);
        let busy = Facts { rooms: vec![room("kitchen")], peers: 1, ..well() };
        assert_eq!(codes(&busy), ["all_well"]);
    }

    #[test]
    fn the_worst_stands_first_and_every_finding_says_what_to_do() {
        let facts = Facts {
            listening: 0,
            nat: NatKind::Symmetric,
            udp: Udp::Blocked,
            relays: vec![RelayFact { trouble: Some(RelayTrouble::Down), attempts: 3, ..relay_at("r", false) }],
            rooms: vec![
                RoomFact { online: 0, writable: false, ..room("kitchen") },
                RoomFact { cloned: true, ..room("attic") },
            ],
            outbox: 2,
            given_up: 1,
            joining: 1,
            asked: 1,
            asking: 2,
            banned: 1,
            changed: vec!["Bob".into()],
            half_revoked: vec![("tablet".into(), 2)],
            own_new: vec!["phone".into()],
            clock: Clock::Behind(7_200),
            disk_free: Some(0),
            redialling: 3,
            ..Facts::default()
        };
        let found = findings(&Facts {
            rooms: facts.rooms.iter().map(|it| RoomFact { online: 0, ..it.clone() }).collect(),
            ..facts
        });
        assert!(found.is_sorted_by_key(|finding| finding.level));
        assert!(found.iter().all(|finding| !finding.text.is_empty() && !finding.hint.is_empty()));
        let mut codes: Vec<_> = found.iter().map(|finding| finding.code.as_str()).collect();
        for code in [
            "not_listening",
            "nat_symmetric",
            "udp_blocked",
            "relay_down",
            "nobody_online",
            "room_waits",
            "device_cloned",
            "outbox_waits",
            "outbox_given_up",
            "join_waits",
            "request_waits",
            "requests_in",
            "peers_refused",
            "devices_changed",
            "device_new",
            "device_still_in",
            "clock_behind",
            "disk_full",
        ] {
            assert!(codes.contains(&code), "{code} is missing in {codes:?}");
        }
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), found.len(), "each is told once");
    }

    #[test]
    fn a_nat_is_a_warning_without_a_relay_and_a_note_with_one() {
        for (nat, code) in [(NatKind::Symmetric, "nat_symmetric"), (NatKind::Cone, "nat_cone")] {
            let with = Facts { nat, ..well() };
            assert_eq!(level(&with, code), Level::Note);
            let without = Facts { relays: Vec::new(), ..with };
            assert_eq!(level(&without, code), Level::Warning);
            let finding = findings(&without).into_iter().find(|finding| finding.code == code).unwrap();
            assert!(finding.hint.contains("--relay") && finding.tried.len() == 2);
        }
        assert_eq!(
            codes(&Facts { nat: NatKind::Cone, mapped: true, ..well() }),
            ["all_well"],
            "the router mapped a port"
        );
    }

    #[test]
    fn a_relay_that_is_down_full_or_closed_is_told_apart_and_matters_less_beside_one_that_works() {
        let troubles = [
            (RelayTrouble::Down, "relay_down"),
            (RelayTrouble::Full, "relay_full"),
            (RelayTrouble::Refused, "relay_refused"),
            (RelayTrouble::OtherKey, "relay_other_key"),
            (RelayTrouble::Clock, "relay_clock"),
            (RelayTrouble::Other, "relay_trouble"),
        ];
        for (trouble, code) in troubles {
            let broken = RelayFact { trouble: Some(trouble), attempts: 4, ..relay_at("north", false) };
            let alone = Facts { relays: vec![broken.clone()], ..well() };
            assert_eq!(level(&alone, code), Level::Problem);
            let beside = Facts { relays: vec![broken, relay_at("south", true)], ..well() };
            assert_eq!(level(&beside, code), Level::Warning);
        }
        assert_eq!(codes(&Facts { relays: vec![relay_at("new", false)], ..well() }), ["all_well"], "it has just begun");
        assert_eq!(level(&Facts { relays: Vec::new(), ..well() }, "no_relay"), Level::Note);
    }

    #[test]
    fn a_relay_whose_token_is_missing_is_told_so_whatever_else_it_says() {
        for trouble in [None, Some(RelayTrouble::Full), Some(RelayTrouble::Down)] {
            let locked = RelayFact { trouble, attempts: 1, locked: true, ..relay_at("north", false) };
            let found = findings(&Facts { relays: vec![locked], ..well() });
            assert!(found[0].code == "relay_refused" && found[0].hint.contains("?token="), "{found:?}");
        }
    }

    #[test]
    fn who_is_alone_is_told_what_was_tried() {
        let alone = Facts { rooms: vec![RoomFact { online: 0, ..room("kitchen") }], redialling: 2, ..well() };
        let finding = findings(&alone).remove(0);
        assert_eq!(finding.code, "nobody_online");
        let told: Vec<_> = finding.tried.iter().map(|tried| tried.text.as_str()).collect();
        assert_eq!(told, ["dialling 2 known nodes again and again", "waiting at 1 relay"]);
        let empty = Facts { rooms: vec![RoomFact { others: 0, online: 0, ..room("mine") }], ..well() };
        assert_eq!(codes(&empty), ["all_well"], "a room of one's own misses nobody");
        let some = Facts { rooms: vec![room("kitchen")], redialling: 1, ..well() };
        assert_eq!(codes(&some), ["peers_away", "all_well"], "a note spoils nothing");
    }

    #[test]
    fn a_room_without_a_mailbox_is_told_to_who_has_a_relay() {
        let facts = Facts { rooms: vec![RoomFact { no_mailbox: true, ..room("kitchen") }], ..well() };
        assert_eq!(codes(&facts), ["room_no_mailbox", "all_well"]);
        assert_eq!(codes(&Facts { relays: Vec::new(), ..facts }), ["no_relay", "all_well"]);
    }

    #[test]
    fn the_clock_and_the_disk_are_judged() {
        assert_eq!(observe_clock(1_000, None), Clock::Unset);
        let now = 1_800_000_000_000;
        assert_eq!(observe_clock(now, Some(now - 1)), Clock::Plausible);
        assert_eq!(observe_clock(now, Some(now + 300_000)), Clock::Plausible);
        assert_eq!(observe_clock(now, Some(now + 3_600_000)), Clock::Behind(3_600));
        assert_eq!(level(&Facts { clock: Clock::Unset, ..well() }, "clock_wrong"), Level::Problem);
        assert_eq!(level(&Facts { disk_free: Some(10 << 20), ..well() }, "disk_full"), Level::Problem);
        assert_eq!(level(&Facts { disk_free: Some(500 << 20), ..well() }, "disk_low"), Level::Warning);
        assert_eq!(codes(&Facts { disk_free: None, ..well() }), ["all_well"]);
    }

    #[test]
    fn a_chat_that_waits_for_the_other_is_no_trouble_and_many_rooms_are_summed_up() {
        let waits = RoomFact { writable: false, waits_for_other: true, online: 0, others: 0, ..room("Bob") };
        assert_eq!(level(&Facts { rooms: vec![waits], ..well() }, "chat_waits"), Level::Note);
        let rooms = (0..9).map(|n| RoomFact { writable: false, ..room(&n.to_string()) }).collect();
        let found = codes(&Facts { rooms, ..well() });
        assert_eq!(found.iter().filter(|code| *code == "room_waits").count(), ROOMS_TOLD);
        assert!(found.contains(&"rooms_wait".to_owned()));
    }

    /// A window in another language has the code, the number and the name only.
    #[test]
    fn a_number_or_a_name_in_a_text_is_told_beside_it() {
        let facts = Facts {
            nat: NatKind::Symmetric,
            punched: (2, 3),
            relays: vec![RelayFact { trouble: Some(RelayTrouble::Down), attempts: 3, ..relay_at("north", false) }],
            rooms: vec![RoomFact { online: 0, writable: false, missing: 1, ..room("kitchen") }],
            outbox: 2,
            given_up: 1,
            joining: 1,
            asked: 1,
            asking: 2,
            banned: 1,
            changed: vec!["Bob".into()],
            half_revoked: vec![("tablet".into(), 2)],
            own_new: vec!["phone".into()],
            clock: Clock::Behind(7_200),
            disk_free: Some(3 << 20),
            redialling: 4,
            ..well()
        };
        for finding in findings(&facts) {
            let number = finding.text.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok());
            assert_eq!(finding.n, number, "{finding:?}");
            let name =
                ["north", "kitchen", "Bob", "tablet", "phone"].into_iter().find(|name| finding.text.contains(name));
            assert_eq!(finding.name.as_deref(), name, "{finding:?}");
            for tried in finding.tried {
                let number = tried.text.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok());
                assert_eq!(tried.n, number, "{tried:?}");
            }
        }
    }

    #[test]
    fn a_mailbox_that_refuses_is_told_though_its_relay_works() {
        let mailbox =
            MailboxFact { name: "north".into(), rooms: 2, lacks: 10, error: Some("the relay is busy".into()) };
        let facts = Facts { mailboxes: vec![mailbox], ..well() };
        let codes = codes(&facts);
        assert!(codes.contains(&"mailbox_trouble".to_owned()) && !codes.contains(&"all_well".to_owned()));
        assert!(findings(&facts)[0].text.contains("busy"));
    }

    #[test]
    fn a_report_names_nobody() {
        let mailbox = MailboxFact {
            name: "box.example".into(),
            rooms: 1,
            lacks: 1,
            error: Some("dial of box.example failed".into()),
        };
        let facts = Facts {
            mailboxes: vec![mailbox],
            rooms: vec![RoomFact { writable: false, ..room("secret plans") }],
            changed: vec!["Bob Miller".into()],
            damaged: vec!["hidden plans".into()],
            own_new: vec!["tablet".into()],
            half_revoked: vec![("phone".into(), 2)],
            relays: vec![RelayFact {
                trouble: Some(RelayTrouble::Down),
                attempts: 1,
                ..relay_at("relay.example", false)
            }],
            ..well()
        };
        let facts = facts.nameless();
        let text = format!("{:?} {:?}", findings(&facts), facts.observed());
        for name in ["secret plans", "hidden plans", "tablet", "phone", "Bob", "relay.example", "box.example"] {
            assert!(!text.contains(name), "{text}");
        }
    }
}
