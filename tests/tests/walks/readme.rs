//! The walk of the README, as it stands there, but for the folders and the build.

use std::process::Command;

use parlor_tests::{program, run_to_end};

/// How the block begins in the README.
const FENCE: &str = "```sh walk\n";

#[test]
fn the_walk_of_the_readme_works_when_pasted() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let (_, rest) = readme.split_once(FENCE).expect("the README has a walk");
    let (walk, _) = rest.split_once("```").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let folder = format!("{}/", scratch.path().display());
    let build = |line: &&str| !line.starts_with("cargo build") && !line.starts_with("export PATH");
    let script = walk.lines().filter(build).collect::<Vec<_>>().join("\n").replace("/tmp/", &folder);
    // Whatever happens, no node is left behind.
    let script = format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}\n");

    let programs = program().parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap_or_default());
    let answer =
        run_to_end(Command::new("bash").args(["-c", &script]).env("PATH", path).env_remove("PARLOR_HOME"), b"");
    let logs =
        ["alice.log", "bob.log"].map(|name| std::fs::read_to_string(scratch.path().join(name)).unwrap_or_default());
    assert_eq!(answer.code, 0, "{}\n{}\n{logs:?}", answer.stdout, answer.stderr);
    for text in ["Hello Bob", "Hello Alice", "Are you there?"] {
        assert!(answer.stdout.matches(text).count() >= 2, "both show `{text}`: {}", answer.stdout);
    }
}
