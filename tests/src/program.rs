//! The program under test, and running a program to its end.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use crate::{Answer, eventually};

/// The `parlor` that was built with this test.
///
/// `cargo xtask test` builds it and says where it is (`PARLOR_BIN`). Without that it is built now, so that a test never
/// runs an old program.
///
/// # Panics
/// If it can not be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("PARLOR_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

#[allow(clippy::expect_used, clippy::print_stderr, reason = "the harness of tests fails by panicking")]
fn build() -> PathBuf {
    // The test executable is target/PROFILE/deps/NAME-HASH, the programs are in target/PROFILE.
    let test = std::env::current_exe().expect("a running test has a path");
    let folder = test.ancestors().nth(2).expect("test executables are in a folder of the target folder");
    let release = folder.file_name().is_some_and(|name| name == "release");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--workspace", "--bins"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(release.then_some("--release"));
    command.env("CARGO_TARGET_DIR", folder.parent().expect("profiles are in the target folder"));
    eprintln!("building parlor");
    assert!(command.status().expect("cargo runs").success(), "parlor can not be built");
    folder.join(format!("parlor{}", std::env::consts::EXE_SUFFIX))
}

/// A command; inside a network namespace if one is named: see `lab`.
pub(crate) fn at(namespace: Option<&str>, program: &Path) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

/// How much of a command is shown in messages.
const SHOWN: usize = 400;

/// A process that ends with its owner at the latest.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `command` with `input` on its standard input, to its end.
///
/// # Panics
/// If it can not start, or has not ended at the [`DEADLINE`](crate::DEADLINE).
#[track_caller]
#[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
pub fn run_to_end(command: &mut Command, input: &[u8]) -> Answer {
    let text: String = format!("{command:?}").chars().take(SHOWN).collect();
    // Files and not pipes: whoever writes much is never held up by a reader of ours, and needs no thread.
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| scratch.path().join(name);
    let file = |name: &str| File::create(path(name)).expect("a temporary file");
    file("in").write_all(input).expect("a temporary file takes bytes");
    command.stdin(File::open(path("in")).map(Stdio::from).expect("a temporary file"));
    let mut child = Ended(command.stdout(file("out")).stderr(file("err")).spawn().expect("the program starts"));
    let status = eventually(&text, || child.0.try_wait().expect("a child can be waited for"));
    let read = |name: &str| String::from_utf8_lossy(&std::fs::read(path(name)).unwrap_or_default()).into_owned();
    Answer { command: text, code: status.code().unwrap_or(-1), stdout: read("out"), stderr: read("err") }
}
