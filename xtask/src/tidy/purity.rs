//! What sources may not name: clocks, threads, files and sockets where there is no I/O; another crate's library.
//!
//! Only what ships is read: tests may do as they like.

use std::collections::BTreeSet;

use super::Finding;
use super::rust::words;
use super::tree::Tree;

/// Crates whose results depend on their arguments alone.
const PURE: [&str; 2] = ["crypto/src/", "proto/src/"];

/// What such a crate does not name, and what it has instead.
const IMPURE: [(&str, &str); 17] = [
    ("SystemTime", "time is an argument"),
    ("time::Instant", "time is an argument"),
    ("Instant::now", "time is an argument"),
    ("std::thread", "work is done where it is asked for"),
    ("std::fs", "files are the caller's"),
    ("TcpStream", "sockets are the caller's"),
    ("TcpListener", "sockets are the caller's"),
    ("UdpSocket", "sockets are the caller's"),
    ("ToSocketAddrs", "names are looked up by the caller"),
    ("std::process", "programs are the caller's"),
    ("std::env", "settings are arguments"),
    ("tokio", "machines have no runtime"),
    ("async", "machines have no runtime"),
    ("SysRng", "randomness is an argument"),
    ("OsRng", "randomness is an argument"),
    ("rand::rng", "randomness is an argument"),
    ("thread_rng", "randomness is an argument"),
];

/// Libraries named by one crate's sources only.
const ALONE: [(&str, &str); 3] = [("sled::", "storage/"), ("tantivy::", "storage/"), ("libp2p", "net/")];

/// The program knows where a node's home is and how to run one, and everything else through the API.
const CLI: &str = "cli/src/";

/// What of the node it may therefore not name.
const INSIDE: [&str; 5] = ["app", "App", "bus", "http", "services"];

/// Checks every Rust file.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, source) in tree.sources() {
        if path.starts_with("tests/") || path.starts_with("xtask/") {
            continue;
        }
        let imports = source.imports();
        // Written out, `use std::{fs, time::Instant}` holds paths that its text does not.
        let find = |rule, word: &str, message: String, findings: &mut Vec<Finding>| {
            let written = words(&source.shipped, word);
            let imported = imports.iter().filter(|(_, path)| words(path, word).next().is_some()).map(|(at, _)| *at);
            let lines: BTreeSet<usize> = written.chain(imported).map(|position| source.line(position)).collect();
            findings.extend(lines.into_iter().map(|line| Finding::new(rule, path, line, message.clone())));
        };
        if PURE.iter().any(|folder| path.starts_with(folder)) {
            for (word, instead) in IMPURE {
                find("pure", word, format!("`{word}` in a crate without I/O: {instead}"), findings);
            }
        }
        for (word, owner) in ALONE {
            if !path.starts_with(owner) {
                find("edge", word, format!("`{word}` is named outside {owner}"), findings);
            }
        }
        if path.starts_with(CLI) {
            for part in INSIDE {
                let named = format!("parlor_node::{part}");
                find("edge", &named, format!("`{named}`: the program knows a node through its API"), findings);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        check(&Tree::of(&[(path, text)]), &mut findings);
        findings.into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found() {
        assert_eq!(lines("proto/src/hlc.rs", "use std::time::Duration;\nuse std::time::Instant;\n"), [2]);
        assert_eq!(lines("crypto/src/seal.rs", "fn f() { rand::rng(); }"), [1]);
        assert_eq!(lines("proto/src/hlc.rs", "use std::{\n  fs as files,\n  time::{Duration, Instant},\n};"), [3, 2]);
        assert!(lines("node/src/clock.rs", "use std::time::Instant;").is_empty());
    }

    #[test]
    fn other_words_of_the_field_are_left_alone() {
        assert!(lines("proto/src/invite.rs", "enum Sponsor { Instant }\nlet a = Sponsor::Instant;").is_empty());
        assert!(lines("proto/src/invite.rs", "// std::fs\nconst S: &str = \"tokio\";").is_empty());
    }

    #[test]
    fn tests_may_use_a_clock() {
        assert!(lines("proto/src/a.rs", "#[cfg(test)]\nmod tests { use std::time::Instant; }").is_empty());
        assert!(lines("proto/tests/simulator.rs", "use std::time::Instant;").is_empty());
    }

    #[test]
    fn a_library_named_elsewhere_is_found() {
        assert_eq!(lines("node/src/a.rs", "use libp2p::PeerId;\nuse sled::Db;").len(), 2);
        assert!(lines("net/src/a.rs", "use libp2p::PeerId;").is_empty());
    }

    #[test]
    fn the_program_sees_nothing_inside_the_node() {
        assert!(lines("cli/src/cmd/run.rs", "use parlor_node::{Home, launch};\nparlor_node::start();").is_empty());
        assert_eq!(lines("cli/src/cmd/send.rs", "use parlor_node::services::room::Handle;"), [1]);
        assert_eq!(lines("cli/src/cmd/send.rs", "use parlor_node::{\n  Home,\n  App,\n};"), [3]);
    }
}
