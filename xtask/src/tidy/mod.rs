//! `cargo xtask tidy`: the sentences of the architecture and our habits, checked from the tree.
//!
//! Each module here is a family of rules: a function that takes the [`Tree`] and pushes [`Finding`]s. All rules run, all
//! findings are printed, sorted by file. A rule reads text and manifests only, never compiles. What must stay an exception
//! stands in `xtask/tidy.toml` with its reason; an exception that is no longer needed is a finding too.

mod attacks;
mod documents;
mod exceptions;
mod licences;
mod manifests;
mod purity;
mod rust;
mod sources;
mod spec;
mod tree;

use std::fmt;
use std::path::Path;

use crate::Error;
use exceptions::Exceptions;
use tree::Tree;

/// One place where a rule is broken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// From the root, with forward slashes.
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    /// Short name of the rule, as used in `tidy.toml`.
    rule: &'static str,
    /// What is wrong and what would be right.
    message: String,
}

impl Finding {
    fn new(rule: &'static str, path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, rule, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, message } = self;
        match line {
            0 => write!(f, "{path}: [{rule}] {message}"),
            _ => write!(f, "{path}:{line}: [{rule}] {message}"),
        }
    }
}

/// Checks everything; with `--bless`, first stamps the spec pages with the formats as they are.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    match args {
        [] => {}
        [flag] if flag == "--bless" => {
            for page in spec::bless(root, &Tree::read(root)?)? {
                println!("stamped {page}");
            }
        }
        _ => return Err("tidy takes only --bless".into()),
    }
    let tree = Tree::read(root)?;
    let exceptions = Exceptions::read(root)?;
    let mut findings = Vec::new();
    manifests::check(&tree, &mut findings);
    purity::check(&tree, &mut findings);
    sources::check(&tree, &mut findings);
    spec::check(&tree, &mut findings);
    attacks::check(&tree, &mut findings);
    documents::check(&tree, &mut findings);
    licences::check(root, &mut findings)?;
    let findings = exceptions.apply(findings);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("tidy: {} files, nothing found", tree.len());
            Ok(())
        }
        n => Err(format!("tidy: {n} findings").into()),
    }
}
