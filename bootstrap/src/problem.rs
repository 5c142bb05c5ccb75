//! What goes wrong, as an operator sees it: a stable code, what happened, what to do, and the exit code of the program.

use serde::{Deserialize, Serialize};

/// A stable code. Codes are never renamed; new ones may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Arguments that do not fit.
    Usage,
    /// The configuration is wrong.
    BadConfig,
    /// No relay is running on this data folder.
    NotRunning,
    /// There is no such thing.
    NotFound,
    /// What was asked did not answer in time, or can not be reached.
    Unreachable,
    /// Another relay owns this data folder.
    DataLocked,
    /// The data folder can not be read or written.
    DataDenied,
    /// A file of the data folder is damaged.
    DataDamaged,
    /// The address is in use.
    PortInUse,
    /// The disk is full.
    DiskFull,
    /// The cluster that is to keep the mailboxes has no room for them.
    NoSpace,
    /// The stream of the mailboxes in the cluster does not keep mail.
    BadStream,
    /// The relay has too much to do.
    Busy,
    /// The relay failed.
    #[serde(other)]
    Internal,
}

impl Code {
    /// Exit code of the program: 1 failed, 2 wrong usage, 3 no relay is running, 5 not found, 6 unreachable or timed out.
    pub fn exit(self) -> u8 {
        match self {
            Self::Usage | Self::BadConfig => 2,
            Self::NotRunning => 3,
            Self::NotFound => 5,
            Self::Unreachable => 6,
            _ => 1,
        }
    }
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// What programs compare.
    pub code: Code,
    /// What happened, for people: lower case, no full stop.
    pub message: String,
    /// What to do about it; may be empty.
    #[serde(default)]
    pub hint: String,
}

impl Problem {
    /// A problem with what happened.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: String::new() }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// Something of ours failed.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::new(Code::Internal, error.to_string()).hint("look into the relay's log (run -v), and report it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_json_and_a_newer_code_is_still_one() {
        let problem = Problem::new(Code::DataLocked, "taken").hint("stop it");
        let json = serde_json::to_string(&problem).unwrap();
        assert!(json.contains("\"data_locked\""), "{json}");
        assert_eq!(serde_json::from_str::<Problem>(&json).unwrap(), problem);
        let newer: Problem = serde_json::from_str(r#"{"code":"teapot","message":"m"}"#).unwrap();
        assert_eq!((newer.code, newer.code.exit()), (Code::Internal, 1));
    }
}
