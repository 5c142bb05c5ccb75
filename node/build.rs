//! Puts the web page into the binary: finds or builds it, and writes `OUT_DIR/page.rs` with its files.
//!
//! In this order (`docs/spec/web.md`, ADR 0020): the folder `PARLOR_UI_DIST`; `web/dist` if it was built of `web` as it is;
//! npm, in release builds or with `PARLOR_UI=build`; an old `web/dist`; nothing, and then the node serves a page that says so.
//! A build never fails for want of the page, but with the feature `ui-required`. A debug build takes `web/dist` as it is
//! and starts nothing: tests neither wait for npm nor for the network.
#![allow(clippy::print_stdout, reason = "that is how a build script talks to cargo")]

#[path = "build/kinds.rs"]
mod kinds;
#[path = "build/stamp.rs"]
mod stamp;

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Most files of a page, and their bytes: more is a mistake in the folder's name.
const FILES_MAX: usize = 512;
const BYTES_MAX: u64 = 32 << 20;

/// Oldest Node that builds the page.
const NODE: (u32, u32) = (20, 19);

type Failed = Box<dyn Error>;

/// A folder to embed.
enum Page {
    Built(PathBuf),
    /// Of other sources than there are now.
    Old(PathBuf),
    None,
}

fn main() -> Result<(), Failed> {
    for name in ["PARLOR_UI_DIST", "PARLOR_UI"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let web = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../web");
    let required = env::var_os("CARGO_FEATURE_UI_REQUIRED").is_some();
    let folder = match find(&web, &out)? {
        Page::Built(folder) => Some(folder),
        Page::Old(_) if required => return Err("web/dist is older than web: run `cargo xtask web`".into()),
        Page::None if required => return Err(NO_PAGE.into()),
        Page::Old(folder) => {
            println!("cargo:warning=the web page in web/dist is older than its sources: run `cargo xtask web`");
            Some(folder)
        }
        Page::None => {
            if wanted() {
                println!("cargo:warning={NO_PAGE}");
            }
            None
        }
    };
    write(folder.as_deref(), &out.join("page.rs"))
}

const NO_PAGE: &str = "the web page is not built in: that needs Node.js 20.19 or newer with npm, or PARLOR_UI_DIST=folder; \
                       command line and API work without it";

/// Whether this build is to have a page as its sources are now.
fn wanted() -> bool {
    env::var("PROFILE").is_ok_and(|profile| profile == "release") || env::var("PARLOR_UI").is_ok_and(|it| it == "build")
}

fn find(web: &Path, out: &Path) -> Result<Page, Failed> {
    if let Some(folder) = env::var_os("PARLOR_UI_DIST").filter(|it| !it.is_empty()) {
        let folder = PathBuf::from(folder);
        println!("cargo:rerun-if-changed={}", folder.display());
        return if folder.join("index.html").is_file() {
            Ok(Page::Built(folder))
        } else {
            Err(format!("PARLOR_UI_DIST: there is no index.html in {}", folder.display()).into())
        };
    }
    let dist = web.join("dist");
    let there = dist.join("index.html").is_file();
    if there {
        println!("cargo:rerun-if-changed={}", dist.display());
    }
    if !wanted() || !web.join("package-lock.json").is_file() {
        return Ok(if there { Page::Built(dist) } else { Page::None });
    }
    for source in stamp::sources(web)? {
        println!("cargo:rerun-if-changed={}", web.join(source).display());
    }
    let now = stamp::stamp(web)?;
    if there && fs::read_to_string(dist.join(stamp::FILE)).is_ok_and(|of| of.trim() == now) {
        return Ok(Page::Built(dist));
    }
    match build(web, &out.join("web")) {
        Ok(built) => Ok(Page::Built(built)),
        Err(why) => {
            println!("cargo:warning=the web page could not be built: {why}");
            Ok(if there { Page::Old(dist) } else { Page::None })
        }
    }
}

/// Builds the page in a copy of its sources, so that nothing is written into the tree.
fn build(web: &Path, copy: &Path) -> Result<PathBuf, Failed> {
    if node().is_none_or(|found| found < NODE) {
        return Err(format!("Node.js {}.{} or newer was not found", NODE.0, NODE.1).into());
    }
    if copy.exists() {
        fs::remove_dir_all(copy)?;
    }
    for source in stamp::sources(web)? {
        let to = copy.join(&source);
        fs::create_dir_all(to.parent().unwrap_or(copy))?;
        fs::copy(web.join(&source), to)?;
    }
    // Versions and hashes are those of the lock file. `npm ci` would want every optional package of other systems to stand in it, which
    // depends on the registry the lock was written from.
    npm(copy, &["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])?;
    npm(copy, &["run", "build"])?;
    // Nobody needs it again, and it is large.
    fs::remove_dir_all(copy.join("node_modules"))?;
    let dist = copy.join("dist");
    if dist.join("index.html").is_file() { Ok(dist) } else { Err("`npm run build` made no dist/index.html".into()) }
}

fn npm(folder: &Path, args: &[&str]) -> Result<(), Failed> {
    let program = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let done = Command::new(program).args(args).current_dir(folder).stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("npm {}: {last}", args.join(" ")).into())
}

/// The version of Node.
fn node() -> Option<(u32, u32)> {
    let said = Command::new("node").arg("--version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    let mut numbers = said.trim().strip_prefix('v')?.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Writes the table of the files in `folder`.
fn write(folder: Option<&Path>, to: &Path) -> Result<(), Failed> {
    let mut table = String::from("static EMBEDDED: &[Asset] = &[\n");
    for (name, path) in folder.map(files).transpose()?.unwrap_or_default() {
        let Some(kind) = kinds::kind(&name) else { continue };
        let tag = format!("{:032x}", stamp::fnv(&[&fs::read(&path)?]));
        let brotli = path.with_file_name(format!("{}.br", path.file_name().unwrap_or_default().to_string_lossy()));
        let brotli = match brotli.is_file() {
            true => format!("Some(include_bytes!({:?}))", fs::canonicalize(brotli)?),
            false => "None".to_owned(),
        };
        let plain = fs::canonicalize(&path)?;
        writeln!(
            table,
            "    Asset {{ name: {name:?}, kind: {kind:?}, tag: {tag:?}, plain: include_bytes!({plain:?}), brotli: {brotli} }},"
        )?;
    }
    table.push_str("];\n");
    fs::write(to, table)?;
    Ok(())
}

/// The files below `folder`, sorted by name.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failed> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut bytes = 0;
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
                continue;
            }
            bytes += entry.metadata()?.len();
            let name = path.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
            found.push((name, path));
            if found.len() > FILES_MAX || bytes > BYTES_MAX {
                return Err(format!(
                    "{} holds more than a page: more than {FILES_MAX} files or {BYTES_MAX} bytes",
                    folder.display()
                )
                .into());
            }
        }
    }
    found.sort();
    Ok(found)
}
