//! Habits of every Rust file: it says what it is, it is short, its exceptions have reasons, its tests are named after
//! promises; and every crate has its bounds in one place.

use super::Finding;
use super::rust::{Source, word_at, words};
use super::tree::Tree;

/// A longer file is about two things.
const MAX_FILE_LINES: usize = 600;

/// A longer function does two things. Lines with code, signature included.
const MAX_FUNCTION_LINES: usize = 80;

/// Crates that hold what others send them, so that everything in them has a bound with a reason.
const BOUNDED: [&str; 6] = ["crypto", "proto", "storage", "net", "node", "bootstrap"];

/// Words of unfinished work, in pieces so that this file does not hold them.
const UNFINISHED: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Checks every Rust file and every bounded crate.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, source) in tree.sources() {
        head(path, source, findings);
        lengths(path, source, findings);
        unfinished(path, source, findings);
        reasons(path, source, findings);
        names_of_tests(path, source, findings);
    }
    for folder in BOUNDED {
        let path = format!("{folder}/src/limits.rs");
        if !tree.holds(&path) {
            findings.push(Finding::new("limits", &path, 0, "missing: the bounds of a crate stand in one file"));
        }
    }
}

fn head(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    let first = source.text.lines().next().unwrap_or_default();
    if first.strip_prefix("//!").is_none_or(|words| words.trim().is_empty()) {
        findings.push(Finding::new("head", path, 1, "the first line says what the file is: `//! ...`"));
    }
}

fn lengths(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    let n_lines = source.text.lines().count();
    if n_lines > MAX_FILE_LINES {
        let message = format!("{n_lines} lines, {MAX_FILE_LINES} at most: which noun is missing?");
        findings.push(Finding::new("long-file", path, 0, message));
    }
    for function in source.functions().into_iter().filter(|function| function.n_lines > MAX_FUNCTION_LINES) {
        let message = format!("`{}` has {} lines, {MAX_FUNCTION_LINES} at most", function.name, function.n_lines);
        findings.push(Finding::new("long-function", path, function.line, message));
    }
}

fn unfinished(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    for word in UNFINISHED {
        for position in words(&source.text, word) {
            findings.push(Finding::new("unfinished", path, source.line(position), format!("`{word}`")));
        }
    }
    for word in ["todo!", "unimplemented!"] {
        for position in words(&source.code, word) {
            findings.push(Finding::new("unfinished", path, source.line(position), format!("`{word}`")));
        }
    }
}

fn reasons(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    for name in ["allow", "expect"] {
        for (position, arguments) in source.attributes(name) {
            if words(arguments, "reason").next().is_none() {
                let message = format!("`#[{name}]` without `reason = \"...\"`");
                findings.push(Finding::new("reason", path, source.line(position), message));
            }
        }
    }
}

fn names_of_tests(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    for mark in ["#[test]", "#[tokio::test"] {
        for (position, _) in source.code.match_indices(mark) {
            let Some(function) = words(&source.code[position..], "fn").next() else { continue };
            let name = word_at(&source.code, position + function + 2);
            if name.starts_with("test_") || name.starts_with("it_") || !name.contains('_') {
                let message = format!("`{name}`: a test is named after the promise it keeps");
                findings.push(Finding::new("test-name", path, source.line(position + function), message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let limits = BOUNDED.map(|folder| format!("{folder}/src/limits.rs"));
        let mut files: Vec<(&str, &str)> = limits.iter().map(|path| (path.as_str(), "//! Bounds.\n")).collect();
        files.push(("a/src/lib.rs", text));
        let mut findings = Vec::new();
        check(&Tree::of(&files), &mut findings);
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_good_file_passes() {
        let text =
            "//! What it is.\n#[allow(dead_code, reason = \"why\")]\nfn f() {}\n#[test]\nfn f_keeps_its_promise() {}\n";
        assert!(rules(text).is_empty());
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(rules("fn f() {}"), ["head"]);
        assert_eq!(rules("//!\n//! Late."), ["head"]);
    }

    #[test]
    fn long_files_and_functions_are_found() {
        assert_eq!(rules(&format!("//! A.\n{}", "\n".repeat(MAX_FILE_LINES))), ["long-file"]);
        let body = |n: usize| format!("//! A.\nfn f() {{\n{}}}\n", "g();\n".repeat(n));
        assert_eq!(rules(&body(MAX_FUNCTION_LINES - 1)), ["long-function"]);
        assert!(rules(&body(MAX_FUNCTION_LINES - 2)).is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_code_and_comments() {
        assert_eq!(rules(concat!("//! A.\n// TO", "DO: later\nfn f() { to", "do!() }")), ["unfinished"; 2]);
    }

    #[test]
    fn an_allow_needs_its_reason() {
        assert_eq!(rules("//! A.\n#![allow(clippy::panic)]\n#[expect(unused)]\nfn f() {}"), ["reason"; 2]);
        assert!(rules("//! A.\nfn f() { x.expect(\"held\"); }").is_empty());
    }

    #[test]
    fn tests_are_named_after_promises() {
        assert_eq!(
            rules("//! A.\n#[test]\nfn test_f() {}\n#[tokio::test(start_paused = true)]\nasync fn works() {}"),
            ["test-name"; 2]
        );
    }

    #[test]
    fn a_crate_without_limits_is_found() {
        let mut findings = Vec::new();
        check(&Tree::of(&[]), &mut findings);
        assert_eq!(findings.len(), BOUNDED.len());
    }
}
