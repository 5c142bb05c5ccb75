//! Running other programs: prints what is run, passes their output on, turns a failure into an error.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Error;

/// A command that says what it does before it does it.
pub(crate) struct Step(Command);

/// `cargo` with `args`, in the folder of the workspace.
pub(crate) fn cargo<const N: usize>(root: &Path, args: [&str; N]) -> Step {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root);
    Step(command)
}

/// A program, in `folder`.
pub(crate) fn program(path: &Path, folder: &Path) -> Step {
    let mut command = Command::new(path);
    command.current_dir(folder);
    Step(command)
}

impl Step {
    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.0.args(args);
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Runs it with our own output streams. Errors if it can not start or does not succeed.
    pub(crate) fn run(mut self) -> Result<(), Error> {
        self.announce();
        let status = self.0.status()?;
        self.check(status.success())
    }

    /// Runs it, hands each line of its standard output to `line`, which prints what it wants.
    pub(crate) fn each_line(mut self, line: impl FnMut(&str)) -> Result<(), Error> {
        self.announce();
        let mut child = self.0.stdout(Stdio::piped()).spawn()?;
        read_lines(child.stdout.take(), line)?;
        let status = child.wait()?;
        self.check(status.success())
    }

    /// As [`each_line`](Self::each_line), for a program that speaks on standard error.
    pub(crate) fn each_error_line(mut self, line: impl FnMut(&str)) -> Result<(), Error> {
        self.announce();
        let mut child = self.0.stderr(Stdio::piped()).spawn()?;
        read_lines(child.stderr.take(), line)?;
        let status = child.wait()?;
        self.check(status.success())
    }

    /// Its standard output, silently. Errors if it can not start or does not succeed.
    pub(crate) fn output(mut self) -> Result<String, Error> {
        let output = self.0.stderr(Stdio::inherit()).output()?;
        self.check(output.status.success())?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Whether it runs and succeeds; its output is thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// As [`succeeds`](Self::succeeds); after `patience` it is ended and has not succeeded.
    pub(crate) fn succeeds_within(mut self, patience: Duration) -> Result<bool, Error> {
        let mut child = self.0.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                return Ok(status.success());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        child.kill()?;
        child.wait()?;
        Ok(false)
    }

    fn announce(&self) {
        eprintln!("\n$ {}", self.text());
    }

    fn text(&self) -> String {
        let args = self.0.get_args().map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once("cargo".to_owned()).chain(args).collect::<Vec<_>>().join(" ")
    }

    fn check(&self, success: bool) -> Result<(), Error> {
        if success { Ok(()) } else { Err(format!("`{}` failed", self.text()).into()) }
    }
}

fn read_lines(stream: Option<impl Read>, mut line: impl FnMut(&str)) -> Result<(), Error> {
    let Some(stream) = stream else { return Ok(()) };
    for bytes in BufReader::new(stream).split(b'\n') {
        line(&String::from_utf8_lossy(&bytes?));
    }
    Ok(())
}
