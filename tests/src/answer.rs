//! What a command answered: exit code, JSON on standard output, an error on standard error.

use serde_json::Value;

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The command, for messages.
    pub command: String,
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

#[allow(clippy::panic, reason = "the harness of tests fails by panicking")]
impl Answer {
    /// The answer, if the command did what it was asked.
    ///
    /// # Panics
    /// If it failed.
    #[track_caller]
    pub fn done(self) -> Self {
        assert!(self.code == 0, "`{}` exited with {}: {}{}", self.command, self.code, self.stdout, self.stderr);
        self
    }

    /// The objects on standard output, one a line.
    ///
    /// # Panics
    /// If something else stands there.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("`{}` printed no JSON ({error}): {line}", self.command),
        };
        self.stdout.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
    }

    /// The one object on standard output.
    ///
    /// # Panics
    /// If there is none, or more.
    #[track_caller]
    pub fn object(&self) -> Value {
        match self.lines().as_slice() {
            [object] => object.clone(),
            lines => panic!("`{}` printed {} objects", self.command, lines.len()),
        }
    }

    /// The text of a field of the one object.
    ///
    /// # Panics
    /// If there is no such text.
    #[track_caller]
    pub fn text(&self, field: &str) -> String {
        match self.object().get(field).and_then(Value::as_str) {
            Some(text) => text.to_owned(),
            None => panic!("`{}` answered without `{field}`: {}", self.command, self.stdout),
        }
    }

    /// Checks that the command failed with this exit code and stable error code, and told a person what and what to do.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn refused(&self, exit: i32, code: &str) {
        let shown = format!("`{}` exited with {}: {}{}", self.command, self.code, self.stdout, self.stderr);
        assert_eq!(self.code, exit, "{shown}");
        let line = self.stderr.lines().rev().find(|line| line.contains("\"error\"")).unwrap_or_default();
        let error = serde_json::from_str::<Value>(line).unwrap_or_default()["error"].clone();
        assert_eq!(error["code"].as_str(), Some(code), "{shown}");
        for field in ["message", "hint"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {shown}");
        }
    }
}
