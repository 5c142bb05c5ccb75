//! Every format is on a page of `docs/spec`, and the page is looked at when the format changes.
//!
//! A page names the files it describes, and holds a stamp of them:
//!
//! ```text
//! <!-- covers: proto/src/event.rs proto/src/control.rs -->
//! <!-- stamp: 0123456789abcdef -->
//! ```
//!
//! The stamp is SHA-256 over what ships of those files, without comments and layout, so that only a change of meaning
//! changes it. Whoever changes a format reads the page, changes it, and stamps it with `cargo xtask tidy --bless`.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::Finding;
use super::rust::words;
use super::tree::Tree;
use crate::Error;

const PAGES: &str = "docs/spec/";

/// Folders whose files may hold formats that two nodes, or a node and its disk or clients, must agree on.
const FORMATS: [&str; 5] = ["crypto/src/", "proto/src/", "storage/src/", "net/src/", "api/src/"];

/// What a file names when it holds one.
const MARKS: [&str; 3] = ["Serialize", "Deserialize", "codec::"];

const COVERS: &str = "<!-- covers:";
const STAMP: &str = "<!-- stamp:";
const END: &str = "-->";

/// Hexadecimal digits of a stamp: enough to notice, short enough to read.
const STAMP_DIGITS: usize = 16;

/// Checks that files with formats are covered, and that stamps are fresh.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut covered = Vec::new();
    for (page, text) in pages(tree) {
        let files = covers(text);
        if files.is_empty() {
            findings.push(Finding::new("spec", page, 0, format!("names no file it describes: `{COVERS} PATH {END}`")));
            continue;
        }
        for file in files.iter().filter(|file| !tree.holds(file)) {
            findings.push(Finding::new("spec", page, 0, format!("describes `{file}`, which does not exist")));
        }
        if stamp_of(text) != Some(stamp(tree, &files).as_str()) {
            let message = "the files it describes have changed: read it, correct it, `cargo xtask tidy --bless`";
            findings.push(Finding::new("spec-stamp", page, 0, message));
        }
        covered.extend(files);
    }
    for (path, source) in tree.sources() {
        let holds_format = FORMATS.iter().any(|folder| path.starts_with(folder))
            && MARKS.iter().any(|mark| words(&source.shipped, mark).next().is_some());
        if holds_format && !covered.contains(&path) {
            findings.push(Finding::new("spec", path, 0, format!("holds a format that no page of {PAGES} covers")));
        }
    }
}

/// Stamps all pages that name files, and says which ones changed.
pub(super) fn bless(root: &Path, tree: &Tree) -> Result<Vec<String>, Error> {
    let mut stamped = Vec::new();
    for (page, text) in pages(tree) {
        let files = covers(text);
        if files.is_empty() {
            continue;
        }
        let new = with_stamp(text, &stamp(tree, &files));
        if new != text {
            std::fs::write(root.join(page), new)?;
            stamped.push(page.to_owned());
        }
    }
    Ok(stamped)
}

fn pages(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.texts().filter(|(path, _)| path.starts_with(PAGES) && path.ends_with(".md") && !path.ends_with("README.md"))
}

fn covers(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix(COVERS)?.strip_suffix(END));
    lines.flat_map(str::split_whitespace).collect()
}

fn stamp_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.trim().strip_prefix(STAMP)?.strip_suffix(END)).map(str::trim)
}

fn with_stamp(text: &str, stamp: &str) -> String {
    let line = format!("{STAMP} {stamp} {END}");
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with(STAMP)).collect();
    let last = lines.iter().rposition(|line| line.trim().starts_with(COVERS)).map_or(0, |index| index + 1);
    lines.insert(last, &line);
    lines.join("\n") + "\n"
}

fn stamp(tree: &Tree, files: &[&str]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.as_bytes());
        let meaning = tree.source(file).map(|source| source.meaning.as_str()).or_else(|| tree.text(file));
        for word in meaning.unwrap_or_default().split_whitespace() {
            hash.update(b" ");
            hash.update(word.as_bytes());
        }
        hash.update(b"\n");
    }
    let mut digits: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.truncate(STAMP_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Events\n<!-- covers: proto/src/event.rs -->\nText\n";
    const FORMAT: &str = "//! Events.\n#[derive(Serialize)]\nstruct Event { seq: u64 }\n";

    fn rules(page: &str, format: &str) -> Vec<&'static str> {
        let mut findings = Vec::new();
        check(&Tree::of(&[("docs/spec/events.md", page), ("proto/src/event.rs", format)]), &mut findings);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    fn blessed(format: &str) -> String {
        let tree = Tree::of(&[("proto/src/event.rs", format)]);
        with_stamp(PAGE, &stamp(&tree, &["proto/src/event.rs"]))
    }

    #[test]
    fn a_stamped_page_passes() {
        assert!(rules(&blessed(FORMAT), FORMAT).is_empty());
    }

    #[test]
    fn a_changed_format_needs_its_page_read() {
        assert_eq!(rules(&blessed(FORMAT), &FORMAT.replace("u64", "u32")), ["spec-stamp"]);
        assert_eq!(rules(PAGE, FORMAT), ["spec-stamp"], "never stamped");
    }

    #[test]
    fn comments_layout_and_tests_are_no_change() {
        let same = "//! All events.\n#[derive(Serialize)]\nstruct   Event {\n  // dense\n  seq: u64 }\n\
            #[cfg(test)]\nmod tests { fn f() {} }";
        assert!(rules(&blessed(FORMAT), same).is_empty());
    }

    #[test]
    fn a_format_without_a_page_is_found() {
        assert_eq!(rules("# Events\n<!-- covers: proto/src/gone.rs -->", FORMAT), ["spec", "spec-stamp", "spec"]);
        assert_eq!(rules("# Events\n", FORMAT), ["spec", "spec"]);
    }

    #[test]
    fn stamping_twice_changes_nothing() {
        let once = blessed(FORMAT);
        assert_eq!(with_stamp(&once, stamp_of(&once).unwrap()), once);
    }
}
