//! All output of the program goes through here: to a locked standard output for answers, to standard error for the rest.
//!
//! A reader that goes away (`parlor history | head`) ends the program quietly. Text of other people passes
//! [`crate::display`] before it comes here; JSON carries it as it is.

use std::io::{self, ErrorKind, IsTerminal, Write};

use parlor_api::Problem;
use serde::Serialize;

use crate::args::{Cli, Color, Globals};
use crate::display;

/// Why a command ended early.
#[derive(Debug)]
pub enum Fail {
    /// Something to tell the user.
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
            _ => {
                Self::Problem(Problem::new(parlor_api::Code::Internal, format!("could not write the answer: {error}")))
            }
        }
    }
}

/// How to answer.
pub struct Out {
    json: bool,
    quiet: bool,
    color: bool,
    /// How this program was called, for hints.
    program: String,
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy)]
pub enum Look {
    /// Like the rest.
    Plain,
    /// Stands out.
    Strong,
    /// Steps back.
    Faint,
    /// Bad news.
    Bad,
}

impl Out {
    /// Answers as the global options say.
    pub fn new(globals: &Globals) -> Self {
        let var = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let color = match globals.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if var("NO_COLOR") || std::env::var_os("TERM").is_some_and(|t| t == "dumb") => false,
            Color::Auto if std::env::var_os("CLICOLOR_FORCE").is_some_and(|v| !v.is_empty() && v != "0") => true,
            Color::Auto => io::stdout().is_terminal(),
        };
        Self { json: globals.json, quiet: globals.quiet, color, program: globals.program() }
    }

    /// Whether answers are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether nothing but answers and errors is wanted: scripts read JSON, and no progress.
    pub fn is_quiet(&self) -> bool {
        self.quiet || self.json
    }

    /// Cells in a line of the terminal that shows our answers; `None` when they go elsewhere.
    pub fn width(&self) -> Option<usize> {
        let shown = io::stdout().is_terminal();
        let size = shown.then(|| terminal_size::terminal_size_of(io::stdout())).flatten();
        size.map(|(terminal_size::Width(cells), _)| usize::from(cells))
    }

    /// An answer as one line of JSON.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn json(&mut self, value: &impl Serialize) -> Done {
        let mut line = serde_json::to_vec(value).map_err(io::Error::from)?;
        line.push(b'\n');
        self.bytes(&line)
    }

    /// A line of an answer for people. It must be neutral already.
    ///
    /// # Errors
    /// When it could not be written.
    pub fn line(&mut self, text: impl AsRef<str>) -> Done {
        let mut text = text.as_ref().to_owned();
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    ///
    /// # Errors
    /// When they could not be written.
    pub fn bytes(&mut self, bytes: &[u8]) -> Done {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// A remark for people on standard error; silent with `--json` and `--quiet`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.json && !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
        }
    }

    /// Tells on standard error that a command that goes on has begun: with `--json` as `{"event":NAME}`, since scripts
    /// wait for it; else as a remark for people.
    pub fn begun(&self, name: &str, text: &str) {
        if self.json {
            self.aside(&serde_json::json!({ "event": name }));
        } else {
            self.note(text);
        }
    }

    /// An event on standard error, for scripts that read no answer yet.
    pub fn aside(&self, event: &serde_json::Value) {
        let _ = writeln!(io::stderr().lock(), "{event}");
    }

    /// Text with a look, if colours are wanted.
    pub fn paint(&self, look: Look, text: &str) -> String {
        let code = match look {
            Look::Plain => return text.to_owned(),
            _ if !self.color => return text.to_owned(),
            Look::Strong => "1",
            Look::Faint => "2",
            Look::Bad => "31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Text whose commands can be pasted: `parlor COMMAND` in it is called as this program was, for the same home.
    pub fn called(&self, text: &str) -> String {
        called(text, &self.program)
    }

    /// A problem on standard error, as one JSON object or for people.
    pub fn problem(&self, problem: &Problem) {
        if self.json {
            return problem_as_json(problem);
        }
        // Names in it may come from other people.
        let mut text = format!("error: {}", display::neutral(&problem.detail));
        if let Some(hint) = &problem.hint {
            let hint = self.called(&display::neutral(hint));
            text.push_str("\nhint: ");
            text.push_str(&hint.replace('\n', "\n      "));
        }
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// A hint whose commands can be pasted: called as this program was, for the same home.
fn called(hint: &str, program: &str) -> String {
    let command = |rest: &str| {
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
        <Cli as clap::CommandFactory>::command().get_subcommands().any(|it| it.get_name() == word)
    };
    let mut pieces = hint.split("parlor ");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let whole_word = !text.ends_with(|c: char| c.is_ascii_alphanumeric() || "/-_".contains(c));
        text.push_str(if whole_word && command(piece) { program } else { "parlor" });
        text.push(' ');
        text.push_str(piece);
    }
    text
}

/// A problem as one JSON object on standard error.
pub fn problem_as_json(problem: &Problem) {
    let hint = problem.hint.as_deref().unwrap_or_default();
    let error = serde_json::json!({"error": {"code": problem.code, "message": problem.detail, "hint": hint}});
    let _ = writeln!(io::stderr().lock(), "{error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_commands_as_this_program_was_called() {
        let program = "./parlor --home /h";
        let hint = "start it with: parlor run (parlor status tells; see ../parlor run)";
        let wanted = "start it with: ./parlor --home /h run (./parlor --home /h status tells; see ../parlor run)";
        assert_eq!(called(hint, program), wanted);
        assert_eq!(called("a parlor for all", program), "a parlor for all");
        assert_eq!(called("", program), "");
    }
}
