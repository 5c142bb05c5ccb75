//! What sources may not name: clocks, threads, files and sockets where there is no I/O; another crate's library.
//!
//! Only what ships is read: tests may do as they like.

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

/// The program runs a node and otherwise knows it through its API: the crate is named in one file.
const CLI: &str = "cli/src/";

/// Checks every Rust file.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut files_of_cli_with_node = Vec::new();
    for (path, source) in tree.sources() {
        if path.starts_with("tests/") || path.starts_with("xtask/") {
            continue;
        }
        let find = |rule, word: &str, message: String, findings: &mut Vec<Finding>| {
            for position in words(&source.shipped, word) {
                findings.push(Finding::new(rule, path, source.line(position), message.clone()));
            }
        };
        if PURE.iter().any(|folder| path.starts_with(folder)) {
            for (word, instead) in IMPURE {
                let message = format!("`{word}` in a crate without I/O: {instead}");
                find("pure", word, message.clone(), findings);
                // Written out, `use std::{fs, time::Instant}` holds words that its text does not.
                let hidden = source.imports().into_iter().filter(|(_, path)| {
                    words(path, word).next().is_some() && words(&source.shipped, word).next().is_none()
                });
                findings.extend(hidden.map(|(at, _)| Finding::new("pure", path, source.line(at), message.clone())));
            }
        }
        for (word, owner) in ALONE {
            if !path.starts_with(owner) {
                find("edge", word, format!("`{word}` is named outside {owner}"), findings);
            }
        }
        if path.starts_with(CLI) && words(&source.shipped, "parlor_node").next().is_some() {
            files_of_cli_with_node.push(path);
        }
    }
    for path in files_of_cli_with_node.into_iter().skip(1) {
        findings.push(Finding::new("edge", path, 0, "the program names `parlor_node` in one file only, to run it"));
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
    fn the_program_names_the_node_in_one_file() {
        let mut findings = Vec::new();
        let text = "use parlor_node::run;";
        check(&Tree::of(&[("cli/src/cmd/run.rs", text), ("cli/src/main.rs", text)]), &mut findings);
        assert_eq!(findings.len(), 1);
    }
}
