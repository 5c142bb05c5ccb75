//! `cargo xtask bench`: builds and runs the benches, and keeps their tables in `docs/measures.md`.
//!
//! A bench is a program of `tests/benches/src/bin` (parts of the node) or `tests/benches-net/src/bin` (whole nodes), or `web`: the page
//! in a browser (`web/e2e/measure.ts`). It runs ours and the system beside it interleaved and prints one JSON object a line for each row ([`Row`]); everything
//! else goes to standard error. This writes the rows of each bench between its markers in the document and leaves the
//! rest of the document alone.

use std::path::Path;

use serde_json::Value;

use crate::shell::Step;
use crate::{Error, page, shell, test};

const DOCUMENT: &str = "docs/measures.md";
/// The packages with benches, and where their programs are. What they are measured beside is heavy to build, so nothing
/// else builds them.
pub(crate) const PACKAGES: [(&str, &str); 2] =
    [("parlor-benches", "tests/benches/src/bin"), ("parlor-benches-net", "tests/benches-net/src/bin")];
/// The bench of the page, which is none of cargo's.
const WEB: &str = "web";
const HEAD: &str = "| what | ours | beside | theirs | ratio | goal | reached |\n|---|---|---|---|---|---|---|\n";

/// Runs the benches named, or all.
pub(crate) fn run(root: &Path, names: &[String]) -> Result<(), Error> {
    let all = programs(root)?;
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|(_, program)| program == *name)) {
        let known: Vec<_> = all.iter().map(|(_, name)| name.as_str()).collect();
        return Err(format!("no bench `{unknown}`; there are: {}", known.join(", ")).into());
    }
    let mut chosen = all.iter().filter(|(_, name)| names.is_empty() || names.contains(name)).peekable();
    if chosen.peek().is_none() {
        return Err("there is no bench".into());
    }
    let programs = ["--package", "parlor", "--package", "parlor-bootstrap"];
    shell::cargo(root, ["build", "--release", "--locked"]).args(programs).run()?;
    for (package, name) in chosen {
        let mut rows = Vec::new();
        bench(root, package, name)?.each_line(|line| match Row::read(line) {
            Some(row) => rows.push(row),
            None => println!("{line}"),
        })?;
        let table = table(&rows);
        println!("\n{name}\n\n{table}");
        let path = root.join(DOCUMENT);
        std::fs::write(&path, replace(&std::fs::read_to_string(&path)?, name, &table, &machine()))?;
    }
    println!("written to {DOCUMENT}");
    Ok(())
}

/// What measures `name`.
fn bench(root: &Path, package: &str, name: &str) -> Result<Step, Error> {
    if name != WEB {
        let run = ["run", "--quiet", "--release", "--locked", "--package", package, "--bin", name];
        return Ok(shell::cargo(root, run));
    }
    let web = root.join(WEB);
    page::install(&web).run()?;
    let program = test::target(root)?.join("release").join(format!("parlor{}", std::env::consts::EXE_SUFFIX));
    Ok(page::npm(&web, ["run", "measure"]).env("PARLOR_BIN", program))
}

/// Package and name of each bench, sorted by name.
fn programs(root: &Path) -> Result<Vec<(&'static str, String)>, Error> {
    let mut programs = vec![("", WEB.to_owned())];
    for (package, path) in PACKAGES {
        let Ok(folder) = std::fs::read_dir(root.join(path)) else { continue };
        for entry in folder {
            let path = entry?.path();
            if let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) {
                programs.push((package, name.to_owned()));
            }
        }
    }
    programs.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(programs)
}

/// One line of a table: ours and another's, medians of the same run.
#[derive(Debug, PartialEq)]
struct Row {
    what: String,
    ours: String,
    beside: String,
    theirs: String,
    ratio: String,
    goal: String,
    reached: Option<bool>,
}

impl Row {
    /// Reads what a bench prints; nothing if the line is not a row.
    fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or("-").to_owned();
        value.get("what")?.as_str()?;
        Some(Self {
            what: text("what"),
            ours: text("ours"),
            beside: text("beside"),
            theirs: text("theirs"),
            ratio: text("ratio"),
            goal: text("goal"),
            reached: value.get("reached").and_then(Value::as_bool),
        })
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = HEAD.to_owned();
    for row in rows {
        let reached = match row.reached {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "-",
        };
        let cells = [&row.what, &row.ours, &row.beside, &row.theirs, &row.ratio, &row.goal];
        for cell in cells {
            text.push_str("| ");
            text.push_str(&cell.replace('|', "\\|"));
            text.push(' ');
        }
        text.push_str(&format!("| {reached} |\n"));
    }
    text
}

/// `document` with the part between the markers of `name` replaced; the part is appended if there was none.
fn replace(document: &str, name: &str, table: &str, machine: &str) -> String {
    let (open, close) = (format!("<!-- bench {name} -->\n"), format!("<!-- /bench {name} -->\n"));
    let part = format!("{open}### {name}\n\n{table}\n{machine}\n\n{close}");
    match (document.find(&open), document.find(&close)) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{part}{}", &document[..start], &document[end + close.len()..])
        }
        _ => format!("{}\n\n{part}", document.trim_end()),
    }
}

/// The machine in one line: figures without it say nothing.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| line.strip_prefix("model name")).map(|rest| rest.trim_matches([' ', '\t', ':']));
    format!("{cpus} cores, {}, {}", model.unwrap_or("processor unknown"), std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_table_replaces_only_its_own() {
        let document =
            "# Measures\n\n<!-- bench a -->\nold\n<!-- /bench a -->\n\n<!-- bench b -->\nkept\n<!-- /bench b -->\n";
        let new = replace(document, "a", "T\n", "M");
        assert!(new.starts_with("# Measures\n\n<!-- bench a -->\n### a\n\nT\n\nM\n\n<!-- /bench a -->\n"));
        assert!(new.contains("kept") && !new.contains("old"));
        assert_eq!(replace(&new, "a", "T\n", "M"), new, "writing twice changes nothing");
    }

    #[test]
    fn a_table_without_a_place_is_appended() {
        assert!(replace("# Measures\n", "c", "T\n", "M").ends_with("T\n\nM\n\n<!-- /bench c -->\n"));
    }

    #[test]
    fn only_rows_are_rows() {
        assert_eq!(Row::read("warming up"), None);
        assert_eq!(Row::read("{\"event\":\"x\"}"), None);
        let row = Row::read(r#"{"what":"seal","ours":"1 us","reached":false}"#).unwrap();
        assert_eq!(table(&[row]), format!("{HEAD}| seal | 1 us | - | - | - | - | **no** |\n"));
    }
}
