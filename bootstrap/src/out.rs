//! All output of the program: answers to a locked standard output, the rest to standard error.
//!
//! A reader that goes away (`parlor-bootstrap names | head`) ends the program quietly. With `--json` standard output holds only
//! JSON, and an error is one object on standard error.

use std::io::{self, ErrorKind, Write};

use parlor_bootstrap::problem::{Code, Problem};
use serde::Serialize;

/// Why a command ended early.
#[derive(Debug)]
pub enum Fail {
    /// Something to tell the operator.
    Problem(Problem),
    /// Nobody reads our answers any more.
    PipeClosed,
}

/// What a command answers.
pub type Done = Result<(), Fail>;

impl From<Problem> for Fail {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::Problem(Problem::new(Code::Internal, format!("could not write the answer: {error}"))),
        }
    }
}

/// How to answer.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// In JSON.
    pub json: bool,
    /// Without remarks.
    pub quiet: bool,
}

impl Out {
    /// An answer as one line of JSON.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn json(self, value: &impl Serialize) -> Done {
        let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// A line of an answer for people.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn line(self, text: impl AsRef<str>) -> Done {
        self.bytes(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// When they could not be written.
    pub fn bytes(self, bytes: &[u8]) -> Done {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// A remark for people on standard error; silent with `--json` and `--quiet`.
    pub fn note(self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
        }
    }

    /// A problem on standard error, as one JSON object or for people.
    pub fn problem(self, problem: &Problem) {
        let text = if self.json {
            serde_json::json!({ "error": problem }).to_string()
        } else if problem.hint.is_empty() {
            format!("error: {}", problem.message)
        } else {
            format!("error: {}\nhint: {}", problem.message, problem.hint)
        };
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}
