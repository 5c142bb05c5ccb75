//! The network lab: its tools, and its whole matrix in `docs/measures.md`.
//!
//! The lab is part of the tests (`tests/tests/lab`). It makes network namespaces, so it needs root, `ip` and `nft`; where they can not be
//! had, its tests say that they were skipped.

use std::path::Path;

use crate::{Error, shell};

/// Where the tables stand, each between `<!-- NAME -->` and `<!-- end of NAME -->`.
const PAGE: &str = "docs/measures.md";

/// Installs what the lab needs and root may install. Nothing is an error: the lab then skips.
pub(crate) fn tools(root: &Path) {
    let has = |tool: &str, flag: &str| shell::program(tool.as_ref(), root).args([flag]).succeeds();
    if has("ip", "-V") && has("nft", "--version") {
        return;
    }
    let may = shell::program("id".as_ref(), root).args(["-u"]).output().is_ok_and(|it| it.trim() == "0");
    let apt = |words: &[&str]| shell::program("apt-get".as_ref(), root).args(words.iter().copied()).succeeds();
    let install = ["install", "-y", "-qq", "--no-install-recommends", "iproute2", "nftables"];
    if !may || !(apt(&install) || apt(&["update", "-qq"]) && apt(&install)) {
        eprintln!("note: `ip` and `nft` are not here and can not be installed, so the network lab is skipped");
    }
}

/// Runs the whole matrix and writes its tables.
pub(crate) fn matrix(root: &Path) -> Result<(), Error> {
    let mut tables: Vec<(String, String)> = Vec::new();
    let test = ["test", "--locked", "--package", "parlor-tests", "--test", "lab", "--"];
    let ran = shell::cargo(root, test).args(["--ignored", "--nocapture", "the_whole_matrix"]).each_line(|line| {
        println!("{line}");
        read(&mut tables, line);
    });
    if !tables.is_empty() {
        let path = root.join(PAGE);
        let mut page = std::fs::read_to_string(&path)?;
        for (name, table) in &tables {
            page = with_table(&page, name, table)?;
        }
        std::fs::write(path, page)?;
    }
    ran
}

/// A line of the test: the name of the table that follows, a row of it, or something else.
fn read(tables: &mut Vec<(String, String)>, line: &str) {
    if let Some(name) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
        tables.push((name.to_owned(), String::new()));
    } else if let Some((_, table)) = tables.last_mut().filter(|_| line.starts_with('|')) {
        table.push_str(line);
        table.push('\n');
    }
}

fn with_table(page: &str, name: &str, table: &str) -> Result<String, Error> {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let (before, rest) = page.split_once(&begin).ok_or_else(|| format!("{PAGE} has no place for the {name}"))?;
    let (_, after) = rest.split_once(&end).ok_or_else(|| format!("{PAGE} has no end of the {name}"))?;
    Ok(format!("{before}{begin}{table}{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_is_put_in_its_place() {
        let mut tables = Vec::new();
        for line in ["running", "<!-- one -->", "| 1 |", "noise", "<!-- two -->", "| 2 |", "| 3 |", "ok"] {
            read(&mut tables, line);
        }
        let mut page = "a\n<!-- two -->\nold\n<!-- end of two -->\n<!-- one -->\n<!-- end of one -->\n".to_owned();
        for (name, table) in &tables {
            page = with_table(&page, name, table).unwrap();
        }
        let wanted = "a\n<!-- two -->\n| 2 |\n| 3 |\n<!-- end of two -->\n<!-- one -->\n| 1 |\n<!-- end of one -->\n";
        assert_eq!(page, wanted);
        assert!(with_table("nothing", "one", "| new |\n").is_err());
    }
}
