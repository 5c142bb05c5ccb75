//! The text files of the project, read once; Rust files with what is code, comment and test in them.

use std::collections::BTreeMap;
use std::path::Path;

use super::rust::Source;
use crate::Error;

/// Names of what holds nothing of ours.
const SKIPPED: [&str; 5] = [".git", "target", "node_modules", "dist", "corpus"];

/// Every text file, by its path from the root.
#[derive(Debug, Default)]
pub(super) struct Tree {
    texts: BTreeMap<String, String>,
    sources: BTreeMap<String, Source>,
}

impl Tree {
    /// Reads all text files under `root`. Files that are no UTF-8 are passed over.
    pub(super) fn read(root: &Path) -> Result<Self, Error> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        tree.hide_test_modules();
        Ok(tree)
    }

    /// A tree of given files, for tests of rules.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.insert((*path).to_owned(), (*text).to_owned());
        }
        tree.hide_test_modules();
        tree
    }

    /// How many files there are.
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there is a text file at `path`.
    pub(super) fn holds(&self, path: &str) -> bool {
        self.texts.contains_key(path)
    }

    /// All files.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text at `path`.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// The Rust files.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.sources.iter().map(|(path, source)| (path.as_str(), source))
    }

    /// The Rust file at `path`.
    pub(super) fn source(&self, path: &str) -> Option<&Source> {
        self.sources.get(path)
    }

    fn read_folder(&mut self, root: &Path, prefix: &str) -> Result<(), Error> {
        for entry in std::fs::read_dir(root.join(prefix))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let kind = entry.file_type()?;
            // `.git` is a file in a second work tree of one repository.
            if SKIPPED.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                self.read_folder(root, &path)?;
            } else if kind.is_file()
                && let Ok(text) = String::from_utf8(std::fs::read(entry.path())?)
            {
                self.insert(path, text);
            }
        }
        Ok(())
    }

    /// Files that only tests see because of how another file names them.
    fn hide_test_modules(&mut self) {
        let mut hidden = Vec::new();
        for (path, source) in &self.sources {
            let folder = match path.rsplit_once('/') {
                Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder,
                _ => path.trim_end_matches(".rs"),
            };
            for module in source.test_modules() {
                let own = format!("{folder}/{module}.rs");
                let below = format!("{folder}/{module}/");
                hidden.extend(self.sources.keys().filter(|path| **path == own || path.starts_with(&below)).cloned());
            }
        }
        for path in hidden {
            if let Some(source) = self.sources.get_mut(&path) {
                source.hide();
            }
        }
    }

    fn insert(&mut self, path: String, text: String) {
        if path.ends_with(".rs") {
            self.sources.insert(path.clone(), Source::new(&path, &text));
        }
        self.texts.insert(path, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_named_by_tests_only_ship_nothing() {
        let (parent, child) = ("#[cfg(test)]\nmod hostile;\nmod session;", "use std::fs;");
        let tree = Tree::of(&[
            ("proto/src/sync/mod.rs", parent),
            ("proto/src/sync/hostile.rs", child),
            ("proto/src/sync/hostile/deep.rs", child),
            ("proto/src/sync/session.rs", child),
        ]);
        let ships = |path: &str| tree.source(path).is_some_and(|source| source.shipped.contains("fs"));
        assert!(!ships("proto/src/sync/hostile.rs") && !ships("proto/src/sync/hostile/deep.rs"));
        assert!(ships("proto/src/sync/session.rs"));
    }
}
