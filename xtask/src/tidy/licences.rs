//! Licences of everything we are built from, against the list in `deny.toml`.
//!
//! `cargo deny` checks the same and more. This needs no other program, so that a machine without it still refuses a
//! dependency whose licence is not on the list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Finding;
use crate::{Error, shell};

const LIST: &str = "deny.toml";

/// What `deny.toml` allows.
#[derive(Debug, Default)]
struct Allowed {
    everywhere: BTreeSet<String>,
    /// By name of package.
    only: BTreeMap<String, BTreeSet<String>>,
}

/// Checks every package that some build of ours contains.
pub(super) fn check(root: &Path, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let Ok(list) = std::fs::read_to_string(root.join(LIST)) else {
        findings.push(Finding::new("licence", LIST, 0, "missing"));
        return Ok(());
    };
    let allowed = Allowed::parse(&list)?;
    // `cargo tree` and not `cargo metadata`: the second lists packages that no choice of ours ever builds.
    let tree = ["tree", "--workspace", "--locked", "--target", "all", "--prefix", "none", "--format", "{p}|{l}"];
    let used = shell::cargo(root, tree).output()?;
    let used: BTreeSet<(&str, &str)> = used.lines().filter_map(package).collect();
    for (name, licence) in used {
        if licence.is_empty() {
            findings.push(Finding::new("licence", LIST, 0, format!("{name} names no licence")));
        } else if !satisfied(licence, &|one| allowed.allows(name, one)) {
            findings.push(Finding::new("licence", LIST, 0, format!("{name}: `{licence}` is not allowed")));
        }
    }
    Ok(())
}

/// Name and licence from a line `name v1.2.3 (note)|licence`, which may end with ` (*)`.
fn package(line: &str) -> Option<(&str, &str)> {
    let (package, licence) = line.split_once('|')?;
    Some((package.split_whitespace().next()?, licence.trim_end_matches(" (*)").trim()))
}

impl Allowed {
    fn parse(text: &str) -> Result<Self, Error> {
        let table: toml::Table = text.parse()?;
        let names = |value: Option<&toml::Value>| -> BTreeSet<String> {
            let list = value.and_then(toml::Value::as_array).into_iter().flatten();
            list.filter_map(toml::Value::as_str).map(str::to_owned).collect()
        };
        let licences = table.get("licenses").ok_or("deny.toml has no [licenses]")?;
        let mut allowed = Self { everywhere: names(licences.get("allow")), only: BTreeMap::new() };
        for exception in licences.get("exceptions").and_then(toml::Value::as_array).into_iter().flatten() {
            if let Some(name) = exception.get("crate").and_then(toml::Value::as_str) {
                allowed.only.insert(name.to_owned(), names(exception.get("allow")));
            }
        }
        Ok(allowed)
    }

    fn allows(&self, package: &str, licence: &str) -> bool {
        self.everywhere.contains(licence) || self.only.get(package).is_some_and(|only| only.contains(licence))
    }
}

/// Whether an SPDX expression can be met with licences that are `allowed`. `/` is the old spelling of OR.
fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(words, allowed);
    while let ["OR", rest @ ..] = words {
        *words = rest;
        met |= all(words, allowed);
    }
    met
}

fn all(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(words, allowed);
    while let ["AND", rest @ ..] = words {
        *words = rest;
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut &[&str], allowed: &dyn Fn(&str) -> bool) -> bool {
    match words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any(words, allowed);
            if let [")", rest @ ..] = words {
                *words = rest;
            }
            met
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed(&format!("{licence} WITH {exception}"))
        }
        [licence, rest @ ..] => {
            *words = rest;
            allowed(licence)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_met_by_one_of_or_and_all_of_and() {
        let allowed = |licence: &str| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&licence);
        for good in
            ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "ISC AND (GPL-3.0 OR MIT)", "Apache-2.0 WITH LLVM-exception"]
        {
            assert!(satisfied(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND BSL-1.0", "", "MIT)", "Apache-2.0 WITH other"] {
            assert!(!satisfied(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn lines_of_the_tree_are_read() {
        assert_eq!(package("syn v2.0.1 (proc-macro)|MIT OR Apache-2.0 (*)"), Some(("syn", "MIT OR Apache-2.0")));
        assert_eq!(package("odd v1.0.0|"), Some(("odd", "")));
        assert_eq!(package(""), None);
    }

    #[test]
    fn an_exception_holds_for_its_crate_only() {
        let text = "[licenses]\nallow=['MIT']\nexceptions=[{ crate='a', allow=['MPL-2.0'] }]";
        let allowed = Allowed::parse(text).unwrap();
        assert!(allowed.allows("a", "MPL-2.0") && allowed.allows("b", "MIT") && !allowed.allows("b", "MPL-2.0"));
    }
}
