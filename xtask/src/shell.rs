//! Running other programs: prints what is run, passes their output on, turns a failure into an error.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Error;

/// How a test program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tested {
    /// Every test passed.
    Passed,
    /// One failed.
    Failed,
    /// It did not end in time.
    Endless,
}

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

    /// What it says on both its streams, for later, and how it ended. Errors if it can not start.
    pub(crate) fn captured(mut self) -> Result<(String, ExitStatus), Error> {
        let output = self.0.stdin(Stdio::null()).output()?;
        let mut said = format!("\n$ {}\n", self.text());
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((said, output.status))
    }

    /// Whether it runs and succeeds; its output is thrown away.
    pub(crate) fn succeeds(mut self) -> bool {
        self.0.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Runs it as a test program, silently, and ends it at the first test that fails, or when `patience` is over.
    pub(crate) fn test(mut self, patience: Duration) -> Result<Tested, Error> {
        let mut child = self.0.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let failed = Arc::new(AtomicBool::new(false));
        let (seen, stdout) = (Arc::clone(&failed), child.stdout.take());
        let reader = std::thread::spawn(move || {
            // What can not be read any more says nothing; then the exit code does.
            let _ = read_lines(stdout, |line| {
                if line.starts_with("test ") && line.trim_end().ends_with("... FAILED") {
                    seen.store(true, Ordering::Relaxed);
                }
            });
        });
        let end = Instant::now() + patience;
        let tested = loop {
            if failed.load(Ordering::Relaxed) {
                break Tested::Failed;
            }
            if let Some(status) = child.try_wait()? {
                break if status.success() { Tested::Passed } else { Tested::Failed };
            }
            if Instant::now() > end {
                break Tested::Endless;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        // It may have ended by itself meanwhile.
        let _ = child.kill();
        child.wait()?;
        drop(reader.join());
        Ok(tested)
    }

    fn announce(&self) {
        eprintln!("\n$ {}", self.text());
    }

    /// The program without its folder, and its arguments.
    pub(crate) fn text(&self) -> String {
        let program = Path::new(self.0.get_program()).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let args = self.0.get_args().map(|arg| arg.to_string_lossy().into_owned());
        std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
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
