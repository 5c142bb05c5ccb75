//! The documents: those a project needs are there, their links lead somewhere, nobody's own folders are named in them.

use super::Finding;
use super::tree::Tree;

/// Documents that must exist, with a text that must stand in them.
const REQUIRED: [(&str, &str); 8] = [
    ("README.md", "cargo xtask test"),
    ("ARCHITECTURE.md", "Glossary"),
    ("CONTRIBUTING.md", "cargo xtask test"),
    ("CHANGELOG.md", "## [Unreleased]"),
    ("SECURITY.md", "report"),
    ("LICENSE-MIT", "MIT License"),
    ("LICENSE-APACHE", "Apache License"),
    ("docs/threat-model.md", "learns"),
];

/// `ARCHITECTURE.md` is read in one sitting.
const MAX_ARCHITECTURE_LINES: usize = 300;

/// Beginnings of paths that exist on one machine only, in pieces so that this file does not hold them.
const MACHINE: [&str; 3] = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/Use", "rs/")];

/// Checks documents, and every text for paths of one machine.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, part) in REQUIRED {
        match tree.text(path) {
            None => findings.push(Finding::new("document", path, 0, "missing")),
            Some(text) if !text.contains(part) => {
                findings.push(Finding::new("document", path, 0, format!("must hold `{part}`")));
            }
            Some(_) => {}
        }
    }
    if tree.text("ARCHITECTURE.md").is_some_and(|text| text.lines().count() > MAX_ARCHITECTURE_LINES) {
        let message = format!("{MAX_ARCHITECTURE_LINES} lines at most");
        findings.push(Finding::new("document", "ARCHITECTURE.md", 0, message));
    }
    for (path, text) in tree.texts() {
        for (index, line) in text.lines().enumerate() {
            for machine in MACHINE.iter().filter(|machine| line.contains(**machine)) {
                let message = format!("`{machine}` is a folder of one machine");
                findings.push(Finding::new("machine-path", path, index + 1, message));
            }
            if path.ends_with(".md") {
                links(tree, path, index + 1, line, findings);
            }
        }
    }
}

fn links(tree: &Tree, path: &str, line: usize, text: &str, findings: &mut Vec<Finding>) {
    for rest in text.split("](").skip(1) {
        let Some((target, _)) = rest.split_once(')') else { continue };
        let file = target.split('#').next().unwrap_or_default();
        let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
        if !elsewhere && !leads_somewhere(tree, path, file) {
            findings.push(Finding::new("link", path, line, format!("`{target}` leads nowhere")));
        }
    }
}

fn leads_somewhere(tree: &Tree, from: &str, target: &str) -> bool {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let folder = format!("{path}/");
    tree.holds(&path) || path.is_empty() || tree.texts().any(|(file, _)| file.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(files: &[(&str, &str)]) -> Vec<&'static str> {
        let mut findings = Vec::new();
        check(&Tree::of(files), &mut findings);
        findings.retain(|finding| finding.rule != "document");
        findings.into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn documents_of_a_project_are_required() {
        let mut findings = Vec::new();
        check(&Tree::of(&[("CHANGELOG.md", "# Changelog\n")]), &mut findings);
        assert_eq!(findings.len(), REQUIRED.len());
    }

    #[test]
    fn links_lead_somewhere() {
        let guide = ("docs/guide/users.md", "x");
        assert!(rules(&[guide, ("docs/a.md", "[g](guide/users.md#top) [d](guide/) [s](#s)")]).is_empty());
        assert!(rules(&[guide, ("docs/adr/1.md", "[g](../guide/users.md)")]).is_empty());
        assert_eq!(rules(&[guide, ("docs/a.md", "[g](users.md)")]), ["link"]);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(rules(&[("a.sh", concat!("cd /wo", "rk/main"))]), ["machine-path"]);
    }
}
