//! Why something does not go on: for people, and as a code that never changes, for windows in other languages.

use parlor_api::Problem;

/// A reason that windows are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Why {
    /// What programs compare.
    pub(crate) code: &'static str,
    /// The same for people: lower case, no full stop.
    pub(crate) text: String,
}

impl Why {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// In two fields of an answer: the code, and the words.
    pub(crate) fn told(why: Option<Self>) -> (Option<String>, Option<String>) {
        why.map(|why| (why.code.to_owned(), why.text)).unzip()
    }
}

impl From<&Problem> for Why {
    fn from(problem: &Problem) -> Self {
        Self::new(problem.code.as_str(), problem.detail.clone())
    }
}
