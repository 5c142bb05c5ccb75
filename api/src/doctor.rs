//! What is wrong with the node, in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something does not work.
    Problem,
    /// Something may stop to work, or works badly.
    Warning,
    /// Good to know.
    Note,
    /// All is well.
    Fine,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What programs compare; never changes.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// What is the case, for people: neutralise before showing it on a terminal.
    pub text: String,
    /// What to do about it.
    pub hint: String,
    /// The number in the text, if there is one: of messages, peers, minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The name in the text, if there is one: of a room, a relay, a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the node tried by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<Tried>,
}

/// Something that the node tried by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tried {
    /// What programs compare; never changes.
    pub code: String,
    /// The same for people.
    pub text: String,
    /// The number in the text, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Of how many it is so many, if that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// How the node does: answer of `GET /doctor`. With `?report=true` rooms, people and addresses are left out, so that it can be
/// handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// When.
    pub at: String,
    /// Version of the program.
    pub version: String,
    /// Platform it runs on.
    pub platform: String,
    /// What was found, the worst first.
    pub findings: Vec<Finding>,
    /// What it was concluded from: numbers and words, without names.
    pub observed: std::collections::BTreeMap<String, String>,
}
