//! Every attack and every claim has its tests, and they exist: `docs/attacks.md` names them as `file::test`.

use super::Finding;
use super::tree::Tree;

const PAGE: &str = "docs/attacks.md";

/// Rows that must be there: the attacks on the protocol, and the claims.
fn rows() -> impl Iterator<Item = String> {
    let attacks = (1..=36).chain(39..=44).map(|n| n.to_string());
    attacks.chain((1..=22).map(|n| format!("C{n}")))
}

/// Checks that no row is missing and that every test named exists.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let Some(text) = tree.text(PAGE) else {
        findings.push(Finding::new("attacks", PAGE, 0, "missing"));
        return;
    };
    for row in rows().filter(|row| !text.contains(&format!("\n| {row} |"))) {
        findings.push(Finding::new("attacks", PAGE, 0, format!("row {row} is missing")));
    }
    for (index, line) in text.lines().enumerate() {
        let named = line.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"));
        for (file, test) in named.filter(|(file, _)| file.ends_with(".rs")) {
            let defined = tree.text(file).is_some_and(|source| source.contains(&format!("fn {test}(")));
            if !defined {
                let message = format!("`{test}` is not in `{file}`: name the test that promises this");
                findings.push(Finding::new("attacks", PAGE, index + 1, message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_was_renamed_and_a_row_that_is_gone_are_found() {
        let all: Vec<String> = rows().map(|row| format!("\n| {row} | what | `a.rs::holds` |")).collect();
        let page = all.concat();
        let check_with = |page: &str, source: &str| {
            let mut findings = Vec::new();
            check(&Tree::of(&[(PAGE, page), ("a.rs", source)]), &mut findings);
            findings.len()
        };
        assert_eq!(check_with(&page, "fn holds() {}"), 0);
        assert_eq!(check_with(&page, "fn holds_not() {}"), all.len());
        assert_eq!(check_with(&all[1..].concat(), "fn holds() {}"), 1);
    }
}
