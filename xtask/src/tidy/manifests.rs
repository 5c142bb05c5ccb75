//! The sentences of the architecture that the manifests prove: who may depend on whom, who alone names a library, and the
//! fields every manifest of ours has.

use super::Finding;
use super::tree::Tree;

/// What each crate may depend on among ours; `None` for those that only test or build.
const EDGES: [(&str, &str, Option<&[&str]>); 10] = [
    ("crypto", "parlor-crypto", Some(&[])),
    ("proto", "parlor-proto", Some(&["parlor-crypto"])),
    ("storage", "parlor-storage", Some(&["parlor-proto", "parlor-crypto"])),
    ("net", "parlor-net", Some(&["parlor-proto", "parlor-crypto"])),
    ("api", "parlor-api", Some(&[])),
    ("node", "parlor-node", Some(&["parlor-crypto", "parlor-proto", "parlor-storage", "parlor-net", "parlor-api"])),
    ("bootstrap", "parlor-bootstrap", Some(&["parlor-net", "parlor-storage", "parlor-proto", "parlor-crypto"])),
    ("cli", "parlor", Some(&["parlor-api", "parlor-node"])),
    ("tests", "parlor-tests", None),
    ("xtask", "xtask", Some(&[])),
];

/// Libraries only one crate may name, by the beginning of their name.
const ALONE: [(&str, &str); 3] = [("sled", "storage"), ("tantivy", "storage"), ("libp2p", "net")];

/// Libraries that bring a clock, disk, network or executor into a crate that promises none.
const NO_IO: [&str; 9] = ["tokio", "async-std", "smol", "futures", "libp2p", "sled", "axum", "reqwest", "hyper"];
const WITHOUT_IO: [&str; 2] = ["crypto", "proto"];

const DEPENDENCIES: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// Checks every `Cargo.toml` of ours.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.texts() {
        let Some(folder) = path.strip_suffix("/Cargo.toml") else { continue };
        if folder.starts_with("fuzz") {
            continue;
        }
        let manifest: toml::Table = match text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(Finding::new("manifest", path, 0, error.to_string()));
                continue;
            }
        };
        fields(path, &manifest, findings);
        let named = EDGES.iter().find(|(at, _, _)| *at == folder).map(|(_, _, allowed)| *allowed);
        // Below `tests/`, anything may depend on anything: nothing of it is in a program.
        let Some(allowed) = named.or(folder.starts_with("tests/").then_some(None)) else {
            findings.push(Finding::new("manifest", path, 0, "a crate the architecture does not name"));
            continue;
        };
        for (section, name) in dependencies(&manifest) {
            edge(path, folder, allowed, &section, &name, findings);
        }
    }
}

fn fields(path: &str, manifest: &toml::Table, findings: &mut Vec<Finding>) {
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let inherits = |value: Option<&toml::Value>| {
        value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
    };
    for field in INHERITED {
        if !inherits(package.and_then(|package| package.get(field))) {
            findings.push(Finding::new("manifest", path, 0, format!("`{field}.workspace = true` is missing")));
        }
    }
    if package.and_then(|package| package.get("description")).is_none() {
        findings.push(Finding::new("manifest", path, 0, "`description` is missing"));
    }
    if !inherits(manifest.get("lints")) {
        findings.push(Finding::new("manifest", path, 0, "`[lints] workspace = true` is missing"));
    }
}

/// Every dependency with its section, also those of one platform.
fn dependencies(manifest: &toml::Table) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut of = |table: &toml::Table| {
        for section in DEPENDENCIES {
            for name in table.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys) {
                found.push((section.to_owned(), name.clone()));
            }
        }
    };
    of(manifest);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    targets.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table).for_each(of);
    found
}

fn edge(path: &str, folder: &str, allowed: Option<&[&str]>, section: &str, name: &str, findings: &mut Vec<Finding>) {
    let Some(allowed) = allowed else { return };
    let ours = EDGES.iter().any(|(_, package, _)| *package == name);
    let own = EDGES.iter().any(|(at, package, _)| *at == folder && *package == name);
    if ours && !own && !allowed.contains(&name) {
        let message = format!("{section}: `{folder}` may not depend on `{name}`");
        findings.push(Finding::new("edge", path, 0, message));
    }
    for (library, owner) in ALONE {
        let named = name == library || name.starts_with(&format!("{library}-"));
        if named && folder != owner {
            let message = format!("{section}: only `{owner}` may name `{name}`");
            findings.push(Finding::new("edge", path, 0, message));
        }
    }
    if section != "dev-dependencies" && WITHOUT_IO.contains(&folder) && NO_IO.contains(&name) {
        let message = format!("{section}: `{folder}` does no I/O and may not use `{name}`");
        findings.push(Finding::new("edge", path, 0, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "[package]\ndescription='x'\nversion.workspace=true\nedition.workspace=true\n\
        rust-version.workspace=true\nlicense.workspace=true\npublish.workspace=true\n[lints]\nworkspace=true\n";

    fn findings(path: &str, rest: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Tree::of(&[(path, &format!("{HEAD}{rest}"))]), &mut findings);
        findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        assert!(findings("net/Cargo.toml", "[dependencies]\nlibp2p='1'\nparlor-proto.workspace=true").is_empty());
        assert!(findings("tests/Cargo.toml", "[dependencies]\nsled='1'\nparlor-node.workspace=true").is_empty());
        assert!(findings("proto/Cargo.toml", "[dev-dependencies]\nparlor-proto.workspace=true").is_empty());
    }

    #[test]
    fn an_edge_against_the_architecture_is_found_in_every_section() {
        for section in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
            let found = findings("bootstrap/Cargo.toml", &format!("[{section}]\nparlor-node.workspace=true"));
            assert_eq!(found.len(), 1, "{section}");
        }
    }

    #[test]
    fn libraries_have_one_owner() {
        assert_eq!(findings("node/Cargo.toml", "[dependencies]\nlibp2p-stream='1'\nsled='1'").len(), 2);
    }

    #[test]
    fn protocol_crates_have_no_runtime() {
        assert_eq!(findings("proto/Cargo.toml", "[dependencies]\ntokio='1'").len(), 1);
        assert!(findings("proto/Cargo.toml", "[dev-dependencies]\ntokio='1'").is_empty());
    }

    #[test]
    fn every_manifest_inherits_licence_and_lints() {
        let mut findings = Vec::new();
        check(&Tree::of(&[("net/Cargo.toml", "[package]\nname='x'")]), &mut findings);
        assert_eq!(findings.len(), INHERITED.len() + 2);
    }

    #[test]
    fn a_new_crate_must_be_in_the_architecture() {
        assert_eq!(findings("utils/Cargo.toml", ""), ["a crate the architecture does not name"]);
    }
}
