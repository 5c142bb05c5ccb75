//! The tests of the web page: format, lint, types and unit tests beside the build of the programs, then a real browser before real nodes.
//!
//! They need Node.js, npm and a Chromium. What is missing and can not be had is said, at once and again at the end, and what
//! needs it is left out; where `PARLOR_ALL_RIGHTS` is set, that fails.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::shell::Step;
use crate::{Error, shell, test};

/// Oldest Node.js that the page is made with, as in its `package.json`.
const NODE: (u32, u32) = (20, 19);
/// Set where everything can be had: then nothing may be left out.
const ALL_RIGHTS: &str = "PARLOR_ALL_RIGHTS";
/// Tests that ask the built page, and no browser.
const WITHOUT_BROWSER: &str = "e2e/bundle";
/// Tests that only `soak` runs, since they take minutes: they make pictures of every screen, and scroll for long.
const LONG: [&str; 2] = ["e2e/shots.e2e.ts", "e2e/scroll.e2e.ts"];

/// Which tests with a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that belong to every change.
    Short,
    /// All.
    All,
}

/// Steps that run beside others, and what they say when they are waited for.
pub(crate) struct Beside<T>(JoinHandle<(Talk, Result<T, Missing>)>);

/// What steps said.
#[derive(Default)]
struct Talk {
    text: String,
    seconds: Duration,
}

/// Why there is no result.
enum Missing {
    /// Something that is not of the project is not here.
    Tool(String),
    /// A step failed.
    Failed(String),
}

/// What the tests in a browser need.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    web: PathBuf,
    /// The page as its sources are now.
    page: PathBuf,
    /// A Chromium; nothing where there is none.
    chromium: Option<PathBuf>,
}

/// Begins what needs no program of ours: the checks of the sources, the built page in `target`, a Chromium.
pub(crate) fn check(root: &Path, target: &Path) -> Beside<Built> {
    let (web, page) = (root.join("web"), target.join("page"));
    Beside::begin(move |talk| {
        needed(&web)?;
        talk.step(install(&web))
            .map_err(|_| Missing::Tool("the page's packages can not be installed by npm".to_owned()))?;
        talk.must(npm(&web, ["run", "check"]))?;
        let build = npm(&web, ["run", "build", "--", "--emptyOutDir", "--outDir"]).args([&page]);
        talk.must(build)?;
        let found = shell::program(Path::new("node"), &web).args(["scripts/chromium.mjs", "--install"]).output();
        let chromium = found.ok().map(|path| PathBuf::from(path.trim()));
        Ok(Built { web, page, chromium })
    })
}

/// Begins the tests before real nodes of `program`.
pub(crate) fn browse(built: Built, program: &Path, which: Which) -> Beside<()> {
    let program = program.to_owned();
    Beside::begin(move |talk| {
        let tests = npm(&built.web, ["run", "e2e", "--"]).env("PARLOR_UI_DIR", &built.page).env("PARLOR_BIN", &program);
        let Some(chromium) = built.chromium else {
            talk.must(tests.args([WITHOUT_BROWSER]))?;
            return Err(Missing::Tool("there is no Chromium, and none can be installed".to_owned()));
        };
        let left_out = LONG.iter().filter(|_| which == Which::Short).flat_map(|file| ["--exclude", file]);
        talk.must(tests.args(left_out).env("CHROMIUM", chromium))
    })
}

/// Everything of the page without the rest, one after the other.
pub(crate) fn alone(root: &Path, which: Which) -> Result<(), Error> {
    shell::cargo(root, ["build", "--locked", "--package", "parlor"]).run()?;
    let (mut left_out, print) = (Vec::new(), |line: &str| println!("{line}"));
    let Some(built) = check(root, &test::target(root)?).join("the web page", &mut left_out, print)? else {
        return Ok(());
    };
    let browser = browse(built, &test::program(root)?, which);
    browser.join("the web page in a browser", &mut left_out, print).map(drop)
}

impl<T: Send + 'static> Beside<T> {
    fn begin(steps: impl FnOnce(&mut Talk) -> Result<T, Missing> + Send + 'static) -> Self {
        Self(std::thread::spawn(move || {
            let (start, mut talk) = (Instant::now(), Talk::default());
            let outcome = steps(&mut talk);
            talk.seconds = start.elapsed();
            (talk, outcome)
        }))
    }

    /// Waits, hands each line that was said to `line`, and answers what came out: nothing if a tool is missing, which is added to
    /// `left_out`.
    pub(crate) fn join(
        self,
        what: &str,
        left_out: &mut Vec<String>,
        line: impl FnMut(&str),
    ) -> Result<Option<T>, Error> {
        let (talk, outcome) = self.0.join().map_err(|_| format!("{what}: ended by a panic"))?;
        talk.text.lines().for_each(line);
        eprintln!("-- {what}: {:.1} s, beside the others", talk.seconds.as_secs_f64());
        match outcome {
            Ok(made) => Ok(Some(made)),
            Err(Missing::Failed(why)) => Err(why.into()),
            Err(Missing::Tool(why)) if std::env::var_os(ALL_RIGHTS).is_some() => {
                Err(format!("{ALL_RIGHTS} is set, and yet {what} could not be tested: {why}").into())
            }
            Err(Missing::Tool(why)) => {
                let note = format!("{what} was skipped: {why}");
                eprintln!("note: {note}");
                left_out.push(note);
                Ok(None)
            }
        }
    }
}

impl Talk {
    /// Runs a step and keeps what it says.
    fn step(&mut self, step: Step) -> Result<(), String> {
        let (said, status) = step.captured().map_err(|error| error.to_string())?;
        self.text.push_str(&said);
        status.success().then_some(()).ok_or_else(|| last_line(&said, status))
    }

    fn must(&mut self, step: Step) -> Result<(), Missing> {
        let name = step.text();
        self.step(step).map_err(|why| Missing::Failed(format!("`{name}` failed: {why}")))
    }
}

/// Says what is not here of the tools that nothing of this installs.
fn needed(web: &Path) -> Result<(), Missing> {
    let said = shell::program(Path::new("node"), web).args(["--version"]).output().unwrap_or_default();
    if version(&said).is_none_or(|found| found < NODE) {
        return Err(Missing::Tool(format!("Node.js {}.{} or newer was not found", NODE.0, NODE.1)));
    }
    let has_npm = npm(web, ["--version"]).succeeds();
    has_npm.then_some(()).ok_or_else(|| Missing::Tool("npm was not found".to_owned()))
}

/// The first two numbers of `v20.19.1`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.trim().strip_prefix('v')?.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Gets the packages that the lock file names; see `node/build.rs` why it is not `npm ci`.
pub(crate) fn install(web: &Path) -> Step {
    npm(web, ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
}

/// `npm` in the folder of the page.
pub(crate) fn npm<const N: usize>(web: &Path, args: [&str; N]) -> Step {
    // Without colours, so that the counts can be read.
    shell::program(Path::new(if cfg!(windows) { "npm.cmd" } else { "npm" }), web).args(args).env("NO_COLOR", "1")
}

fn last_line(said: &str, status: ExitStatus) -> String {
    said.lines().rev().find(|line| !line.trim().is_empty()).map_or_else(|| status.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_node_is_told_from_a_newer_one() {
        assert!(version("v20.19.0\n").is_some_and(|found| found >= NODE));
        assert!(version("v22.1.3").is_some_and(|found| found >= NODE));
        assert!(version("v20.18.9").is_some_and(|found| found < NODE));
        assert_eq!(version("command not found"), None);
    }

    #[test]
    fn the_tests_that_are_named_here_are_there() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("../web");
        assert!(LONG.iter().all(|file| web.join(file).is_file()));
        assert!(web.join(format!("{WITHOUT_BROWSER}.e2e.ts")).is_file());
    }

    #[test]
    fn what_is_missing_is_told_and_what_fails_is_an_error() {
        let mut left_out = Vec::new();
        let failing: Beside<()> = Beside::begin(|_| Err(Missing::Failed("no".to_owned())));
        assert!(failing.join("the page", &mut left_out, |_| ()).is_err());
        assert!(left_out.is_empty());
        let well = Beside::begin(|talk| {
            talk.text.push_str("one\ntwo\n");
            Ok(7)
        });
        let mut lines = Vec::new();
        let made = well.join("the page", &mut left_out, |line| lines.push(line.to_owned())).unwrap();
        assert_eq!((made, lines.len()), (Some(7), 2));
    }
}
