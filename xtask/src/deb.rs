//! `cargo xtask deb`: a Debian package of the relay, made with `dpkg-deb` alone: program, manual pages, completions, unit,
//! settings, licences. With `--walk` it is tried on a Debian that is booted for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, shell};

mod walk;

const PACKAGE: &str = "parlor-bootstrap";
/// The program that walks with it.
const NODE: &str = "parlor";

/// Files of the tree, where they go, and their mode.
const FILES: [(&str, &str, u32); 6] = [
    ("packaging/parlor-bootstrap.service", "usr/lib/systemd/system/parlor-bootstrap.service", 0o644),
    ("packaging/config.toml", "etc/parlor-bootstrap/config.toml", 0o640),
    ("docs/guide/operators.md", "usr/share/doc/parlor-bootstrap/operators.md", 0o644),
    ("LICENSE-MIT", "usr/share/doc/parlor-bootstrap/LICENSE-MIT", 0o644),
    ("LICENSE-APACHE", "usr/share/doc/parlor-bootstrap/LICENSE-APACHE", 0o644),
    ("packaging/compose/grafana/dashboards/parlor-relay.json", "usr/share/doc/parlor-bootstrap/grafana.json", 0o644),
];

/// Builds the package. `--program FILE` packs a program that was built before, with that of a node beside it for `--walk`;
/// `--out DIR` says where to.
pub(crate) fn run(root: &Path, args: &[String]) -> Result<(), Error> {
    let (mut program, mut out, mut walks) = (None, root.join("target/debian"), false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--program" => program = Some(PathBuf::from(value()?)),
            "--out" => out = PathBuf::from(value()?),
            "--walk" => walks = true,
            _ => return Err(format!("no option {arg}").into()),
        }
    }
    let program = match program {
        Some(program) => program,
        None => {
            let node: &[&str] = if walks { &["--package", NODE] } else { &[] };
            shell::cargo(root, ["build", "--release", "--locked", "--package", PACKAGE]).args(node).run()?;
            let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            target.join("release").join(PACKAGE)
        }
    };
    let deb = pack(root, &program, &out)?;
    println!("{}", deb.display());
    if walks { walk::run(root, &out, &deb, &program.with_file_name(NODE)) } else { Ok(()) }
}

/// Makes the package of a program in `out`, and says where it is.
fn pack(root: &Path, program: &Path, out: &Path) -> Result<PathBuf, Error> {
    let stage = out.join("stage");
    let _ = fs::remove_dir_all(&stage);
    place(program, &stage.join("usr/bin").join(PACKAGE), 0o755)?;
    for (from, to, mode) in FILES {
        place(&root.join(from), &stage.join(to), mode)?;
    }
    generated(program, &stage)?;
    for script in ["postinst", "prerm", "postrm"] {
        place(&root.join("packaging/debian").join(script), &stage.join("DEBIAN").join(script), 0o755)?;
    }
    write(&stage.join("DEBIAN/conffiles"), "/etc/parlor-bootstrap/config.toml\n")?;
    write(&stage.join("DEBIAN/control"), &control(root, &libc(&fs::read(program)?))?)?;
    let deb = out.join(format!("{PACKAGE}_{}_{}.deb", version(root)?, architecture()?));
    let packed = ["--build", "--root-owner-group"];
    shell::program(Path::new("dpkg-deb"), root).args(packed).args([&stage, &deb]).run()?;
    Ok(deb)
}

/// What the program writes itself: manual pages and completions.
fn generated(program: &Path, stage: &Path) -> Result<(), Error> {
    let pages = stage.join("usr/share/man/man1");
    fs::create_dir_all(&pages)?;
    shell::program(program, stage).args([Path::new("--quiet"), Path::new("man"), &pages]).run()?;
    let shells = [
        ("bash", "usr/share/bash-completion/completions/parlor-bootstrap"),
        ("zsh", "usr/share/zsh/vendor-completions/_parlor-bootstrap"),
        ("fish", "usr/share/fish/vendor_completions.d/parlor-bootstrap.fish"),
    ];
    for (shell, path) in shells {
        let answer = Command::new(program).args(["completions", shell]).output()?;
        if !answer.status.success() {
            return Err(format!("no completions for {shell}").into());
        }
        write(&stage.join(path), &String::from_utf8(answer.stdout)?)?;
    }
    Ok(())
}

/// The lowest libc that has all that the program asks for: what it was built with decides, not what we meant. The names stand in the
/// program's table of strings.
fn libc(program: &[u8]) -> String {
    const MARK: &[u8] = b"GLIBC_2.";
    let minor = |at: usize| {
        let digits = program[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit()).take(4);
        digits.fold(None, |number: Option<u32>, byte| Some(number.unwrap_or(0) * 10 + u32::from(byte - b'0')))
    };
    let found = program.windows(MARK.len()).enumerate().filter(|(_, it)| *it == MARK).filter_map(|(at, _)| minor(at));
    format!("2.{}", found.max().unwrap_or(34).max(34))
}

fn control(root: &Path, libc: &str) -> Result<String, Error> {
    Ok(format!(
        "Package: {PACKAGE}\nVersion: {}\nArchitecture: {}\nMaintainer: The Parlor developers <parlor@example.invalid>\n\
         Section: net\nPriority: optional\nDepends: libc6 (>= {libc})\nRecommends: systemd (>= 247)\n\
         Description: relay for Parlor, the chat without a server\n \
         Helps nodes to reach each other across NATs, keeps sealed mail for those who\n \
         sleep, and gives out names. It learns no content and no members.\n",
        version(root)?,
        architecture()?
    ))
}

/// The version of the workspace.
fn version(root: &Path) -> Result<String, Error> {
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("version = "));
    Ok(line.ok_or("the workspace has no version")?.trim_matches('"').to_owned())
}

/// Debian's name of this machine's architecture.
fn architecture() -> Result<String, Error> {
    let answer = Command::new("dpkg").arg("--print-architecture").output()?;
    Ok(String::from_utf8(answer.stdout)?.trim().to_owned())
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<(), Error> {
    fs::create_dir_all(to.parent().ok_or("a file has a folder")?)?;
    fs::copy(from, to).map_err(|e| format!("{}: {e}", from.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::create_dir_all(path.parent().ok_or("a file has a folder")?)?;
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o644))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_asks_for_the_libc_that_the_program_was_built_with() {
        let program = b"\x7fELF GLIBC_2.4\0GLIBC_2.38\0GLIBC_2.2.5\0GLIBC_PRIVATE\0GLIBC_2.";
        assert_eq!(libc(program), "2.38");
        assert_eq!(libc(b"nothing"), "2.34");
    }
}
