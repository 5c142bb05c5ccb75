//! Exceptions to the rules: `xtask/tidy.toml`, each with its reason.
//!
//! ```toml
//! [[exception]]
//! rule = "long-function"
//! path = "net/src/swarm.rs"
//! item = "build"          # optional: only findings whose message names it
//! reason = "one list of settings; splitting it would hide the order"
//! ```

use std::path::Path;

use super::Finding;
use crate::Error;

const FILE: &str = "xtask/tidy.toml";

/// The exceptions of the project.
#[derive(Debug, Default)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    rule: String,
    path: String,
    item: Option<String>,
}

impl Exceptions {
    /// Reads the file; none if there is no file.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        match std::fs::read_to_string(root.join(FILE)) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let table: toml::Table = text.parse()?;
        let mut exceptions = Vec::new();
        for entry in table.get("exception").and_then(toml::Value::as_array).into_iter().flatten() {
            let field = |name: &str| entry.get(name).and_then(toml::Value::as_str).map(str::to_owned);
            let (Some(rule), Some(path), Some(reason)) = (field("rule"), field("path"), field("reason")) else {
                return Err(format!("{FILE}: an exception needs rule, path and reason: {entry}").into());
            };
            if reason.trim().is_empty() {
                return Err(format!("{FILE}: an exception without a reason: {entry}").into());
            }
            exceptions.push(Exception { rule, path, item: field("item") });
        }
        Ok(Self(exceptions))
    }

    /// The findings that are no exceptions, sorted, and one for each exception that excepts nothing.
    pub(super) fn apply(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut used = vec![false; self.0.len()];
        let mut left = Vec::new();
        for finding in findings {
            match self.0.iter().position(|exception| exception.covers(&finding)) {
                Some(index) => used[index] = true,
                None => left.push(finding),
            }
        }
        for (exception, _) in self.0.iter().zip(&used).filter(|(_, used)| !**used) {
            let message = format!("the exception to {} in {} is no longer needed", exception.rule, exception.path);
            left.push(Finding::new("exception", FILE, 0, message));
        }
        left.sort();
        left
    }
}

impl Exception {
    fn covers(&self, finding: &Finding) -> bool {
        self.rule == finding.rule
            && self.path == finding.path
            && self.item.as_ref().is_none_or(|item| finding.message.contains(&format!("`{item}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_covers_its_item_only() {
        let text = "[[exception]]\nrule='long-function'\npath='a.rs'\nitem='f'\nreason='a table'";
        let exceptions = Exceptions::parse(text).unwrap();
        let f = Finding::new("long-function", "a.rs", 1, "`f` has 90 lines");
        let g = Finding::new("long-function", "a.rs", 2, "`g` has 90 lines");
        assert_eq!(exceptions.apply(vec![g.clone(), f]), [g]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let exceptions = Exceptions::parse("[[exception]]\nrule='x'\npath='a.rs'\nreason='r'").unwrap();
        assert_eq!(exceptions.apply(Vec::new()).len(), 1);
    }

    #[test]
    fn an_exception_needs_a_reason() {
        assert!(Exceptions::parse("[[exception]]\nrule='x'\npath='a.rs'").is_err());
        assert!(Exceptions::parse("[[exception]]\nrule='x'\npath='a.rs'\nreason=' '").is_err());
    }
}
