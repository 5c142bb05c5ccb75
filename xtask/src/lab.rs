//! The network lab: its tools, and its whole matrix in `docs/measures.md`.
//!
//! The lab is part of the tests (`tests/tests/lab`). It makes network namespaces, so it needs root, `ip` and `nft`; where they can not be
//! had, its tests say that they were skipped.

use std::path::Path;

use crate::{Error, shell};

/// Where the table stands.
const PAGE: &str = "docs/measures.md";
const BEGIN: &str = "<!-- nat matrix -->\n";
const END: &str = "<!-- end of nat matrix -->";

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

/// Runs the whole matrix and writes its table.
pub(crate) fn matrix(root: &Path) -> Result<(), Error> {
    let mut table = String::new();
    let test = ["test", "--locked", "--package", "parlor-tests", "--test", "lab", "--"];
    let collected = shell::cargo(root, test).args(["--ignored", "--nocapture", "the_whole_matrix"]).each_line(|line| {
        println!("{line}");
        if line.starts_with('|') {
            table.push_str(line);
            table.push('\n');
        }
    });
    collected?;
    if table.is_empty() {
        return Ok(());
    }
    let path = root.join(PAGE);
    let page = std::fs::read_to_string(&path)?;
    std::fs::write(path, with_table(&page, &table)?)?;
    Ok(())
}

fn with_table(page: &str, table: &str) -> Result<String, Error> {
    let (before, rest) = page.split_once(BEGIN).ok_or_else(|| format!("{PAGE} has no place for the matrix"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{PAGE} has no end of the matrix"))?;
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_put_in_its_place() {
        let page = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(with_table(&page, "| new |\n").unwrap(), format!("a\n{BEGIN}| new |\n{END}\nb\n"));
        assert!(with_table("nothing", "").is_err());
    }
}
