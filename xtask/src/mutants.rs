//! `cargo xtask mutants`: breaks each rule by one line, in a copy of the tree, and expects a test to fail.
//!
//! `xtask/mutants.toml` lists the mutants: which text becomes which, and the tests that must notice. A mutant that nothing
//! notices is a rule without a test (it *survives*). One whose text is not there any more, or that does not compile, says
//! that the list is out of date. The copy and what is built from it are in `target/mutants`; the working tree is only read.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::shell::Tested;
use crate::{Error, shell};

const LIST: &str = "xtask/mutants.toml";
/// Folders that are no sources.
const SKIPPED: [&str; 5] = [".git", "target", "corpus", "artifacts", "node_modules"];
/// Tests of a mutant that take longer than this are ended: some mutants never end. On a machine that is busy with other things a
/// mutant may survive slowly, so that this is told apart from a test that failed.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// One change of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mutant {
    name: String,
    file: String,
    old: String,
    new: String,
    package: String,
    /// What chooses the tests, as `cargo test` takes it: `--lib` or `--test sim`, and parts of names.
    tests: Vec<String>,
}

/// What became of a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A test failed.
    Killed,
    /// Every test passed.
    Survived,
    /// The tests did not end. Most likely that is what the mutant did.
    Endless,
    /// Its text is not in the file exactly once.
    Lost,
    /// What it makes does not compile.
    Broken,
}

/// `mutants [--only PART] [--from N]`: those whose name has `PART` in it, or all; from the Nth of them on, so that a run that was
/// interrupted can go on.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let (mut part, mut from) = ("", 1);
    for pair in args.chunks(2) {
        match pair {
            [flag, given] if flag == "--only" => part = given,
            [flag, given] if flag == "--from" => from = given.parse().map_err(|_| "--from wants a number")?,
            _ => return Err("mutants takes only --only PART and --from N".into()),
        }
    }
    let mutants: Vec<Mutant> = list(root)?.into_iter().filter(|mutant| mutant.name.contains(part)).collect();
    if mutants.len() < from {
        return Err(format!("there are {} mutants with `{part}` in their names", mutants.len()).into());
    }
    let place = root.join("target/mutants");
    let tree = place.join("tree");
    mirror(root, &tree)?;
    let (mut left, mut endless) = (Vec::new(), 0);
    for (n, mutant) in mutants.iter().enumerate().skip(from.saturating_sub(1)) {
        let start = Instant::now();
        let fate = mutant.try_in(&tree, &place.join("target"))?;
        let seconds = start.elapsed().as_secs_f64();
        println!("[{}/{}] {fate:?}: {} ({seconds:.0} s)", n + 1, mutants.len(), mutant.name);
        match fate {
            Fate::Killed => {}
            Fate::Endless => endless += 1,
            _ => left.push(format!("{fate:?}: {} in {}", mutant.name, mutant.file)),
        }
    }
    if left.is_empty() {
        println!("{} mutants, none survived; of {endless} the tests did not end in time", mutants.len());
        return Ok(());
    }
    Err(format!("{} of {} mutants not killed:\n{}", left.len(), mutants.len(), left.join("\n")).into())
}

/// The list, read and checked.
fn list(root: &Path) -> Result<Vec<Mutant>, Error> {
    let table: toml::Table = std::fs::read_to_string(root.join(LIST))?.parse()?;
    let entries = table.get("mutant").and_then(toml::Value::as_array).ok_or("no mutants in the list")?;
    entries.iter().map(Mutant::read).collect()
}

impl Mutant {
    fn read(value: &toml::Value) -> Result<Self, Error> {
        let text = |field: &str| {
            let text = value.get(field).and_then(toml::Value::as_str).map(str::to_owned);
            text.ok_or_else(|| format!("a mutant without `{field}`: {value}"))
        };
        let tests = text("tests")?.split_whitespace().map(str::to_owned).collect();
        let file = text("file")?;
        let package = match file.split('/').next() {
            Some(folder @ ("crypto" | "proto" | "storage" | "net" | "node" | "api")) => format!("parlor-{folder}"),
            _ => return Err(format!("no crate of ours: {file}").into()),
        };
        Ok(Self { name: text("name")?, file, old: text("old")?, new: text("new")?, package, tests })
    }

    /// `source` with the change; nothing if the text is not there exactly once.
    fn apply(&self, source: &str) -> Option<String> {
        (source.matches(&self.old).count() == 1).then(|| source.replacen(&self.old, &self.new, 1))
    }

    fn try_in(&self, tree: &Path, target: &Path) -> Result<Fate, Error> {
        let path = tree.join(&self.file);
        let source = std::fs::read_to_string(&path)?;
        let Some(changed) = self.apply(&source) else { return Ok(Fate::Lost) };
        std::fs::write(&path, changed)?;
        let fate = self.judge(tree, target);
        std::fs::write(&path, source)?;
        fate
    }

    fn judge(&self, tree: &Path, target: &Path) -> Result<Fate, Error> {
        let (chosen, names): (Vec<_>, Vec<_>) = self.tests.iter().partition(|word| self.is_target(word));
        let built = shell::cargo(tree, ["test", "--no-run", "--quiet", "--locked", "--message-format", "json"])
            .args(["--package", &self.package])
            .args(chosen)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .output();
        let Ok(built) = built else { return Ok(Fate::Broken) };
        let folder = tree.join(self.file.split('/').next().unwrap_or_default());
        for program in executables(&built) {
            match shell::program(&program, &folder).args(&names).test(PATIENCE)? {
                Tested::Passed => {}
                Tested::Failed => return Ok(Fate::Killed),
                Tested::Endless => return Ok(Fate::Endless),
            }
        }
        Ok(Fate::Survived)
    }

    /// Whether a word of `tests` chooses a test executable; the others choose tests in it.
    fn is_target(&self, word: &str) -> bool {
        let after = self.tests.iter().position(|other| other == word).and_then(|at| at.checked_sub(1));
        let named = after.and_then(|at| self.tests.get(at)).is_some_and(|before| before == "--test");
        named || word.starts_with("--")
    }
}

/// The test programs that cargo says it made.
fn executables(messages: &str) -> Vec<PathBuf> {
    let values = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let tests = values.filter(|value| value["profile"]["test"] == true);
    tests.filter_map(|value| value["executable"].as_str().map(PathBuf::from)).collect()
}

/// Makes `to` a copy of the sources at `from`. What is equal is not touched, so that builds stay warm.
fn mirror(from: &Path, to: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(to)?;
    let mut known: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            mirror(&source, &copy)?;
        } else {
            let bytes = std::fs::read(&source)?;
            if std::fs::read(&copy).ok().as_ref() != Some(&bytes) {
                std::fs::write(&copy, bytes)?;
            }
        }
        known.push(copy);
    }
    for entry in std::fs::read_dir(to)? {
        let path = entry?.path();
        if !known.contains(&path) {
            if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(tests: &str) -> Mutant {
        let words = tests.split_whitespace().map(str::to_owned).collect();
        let text = |text: &str| text.to_owned();
        let (old, new) = (text("a < b"), text("a <= b"));
        Mutant { name: text("m"), file: text("f"), old, new, package: text("p"), tests: words }
    }

    #[test]
    fn a_mutant_changes_one_place_or_none() {
        let mutant = mutant("--lib");
        assert_eq!(mutant.apply("if a < b {}").as_deref(), Some("if a <= b {}"));
        assert_eq!(mutant.apply("if a < b { a < b }"), None);
        assert_eq!(mutant.apply("if b < a {}"), None);
    }

    #[test]
    fn executables_and_names_of_tests_are_told_apart() {
        let mutant = mutant("--lib --test sim nobody_is_locked_out");
        let targets: Vec<_> = mutant.tests.iter().filter(|word| mutant.is_target(word)).collect();
        assert_eq!(targets, ["--lib", "--test", "sim"]);
    }

    #[test]
    fn a_copy_follows_the_tree_and_leaves_equal_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::create_dir_all(from.join("a/target")).unwrap();
        std::fs::write(from.join("a/one"), "1").unwrap();
        std::fs::write(from.join("a/target/built"), "x").unwrap();
        mirror(&from, &to).unwrap();
        let made = std::fs::metadata(to.join("a/one")).unwrap().modified().unwrap();
        std::fs::write(from.join("a/two"), "2").unwrap();
        std::fs::write(to.join("a/three"), "3").unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!(std::fs::metadata(to.join("a/one")).unwrap().modified().unwrap(), made);
        assert!(to.join("a/two").exists() && !to.join("a/three").exists() && !to.join("a/target").exists());
    }

    #[test]
    fn the_list_of_mutants_is_sound() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mutants = list(root).unwrap();
        for mutant in &mutants {
            assert_eq!(mutants.iter().filter(|other| other.name == mutant.name).count(), 1, "{}", mutant.name);
            assert!(mutant.old != mutant.new && root.join(&mutant.file).is_file(), "{}", mutant.name);
        }
    }
}
