//! `cargo xtask deb --walk`: what an operator does with the package, on a Debian that is made and booted for it in a container.
//!
//! Needs root, `mmdebstrap` and `systemd-nspawn` (package `systemd-container`), and fetches some 60 MB of Debian's packages; what is
//! walked stands in `packaging/debian/walk.sh`. The container has a network of its own with nothing in it but loopback.

use std::fs;
use std::path::Path;

use crate::{Error, shell};

/// What the walk needs beside the least that Debian is.
const PACKAGES: &str = "--include=systemd,systemd-sysv,dbus,iproute2,curl,procps";
/// Runs the walk once the system is up, and ends the container.
const UNIT: &str = "[Unit]\nAfter=multi-user.target\nSuccessAction=poweroff-force\nFailureAction=poweroff-force\n\
                    [Service]\nType=oneshot\nTimeoutStartSec=300\nStandardOutput=file:/walk/log\nStandardError=file:/walk/log\n\
                    ExecStart=/walk/walk.sh\n[Install]\nWantedBy=multi-user.target\n";
/// What the walk says last.
const WELL: &str = "walk: all well";

/// Boots a Debian in `out` and walks there with the package and the program of a node.
pub(super) fn run(root: &Path, out: &Path, deb: &Path, node: &Path) -> Result<(), Error> {
    let system = out.join("system");
    if !system.join("etc/os-release").exists() {
        let _ = fs::remove_dir_all(&system);
        let made = shell::program(Path::new("mmdebstrap"), root);
        made.args(["--quiet", "--variant=minbase", PACKAGES, "bookworm"]).args([&system]).run()?;
    }
    let there = system.join("walk");
    let _ = fs::remove_dir_all(&there);
    super::place(deb, &there.join("parlor-bootstrap.deb"), 0o644)?;
    super::place(node, &there.join("parlor"), 0o755)?;
    super::place(&root.join("packaging/debian/walk.sh"), &there.join("walk.sh"), 0o755)?;
    super::write(&system.join("etc/systemd/system/walk.service"), UNIT)?;
    let wanted = system.join("etc/systemd/system/multi-user.target.wants/walk.service");
    let _ = fs::remove_file(&wanted);
    fs::create_dir_all(wanted.parent().ok_or("a file has a folder")?)?;
    std::os::unix::fs::symlink("/etc/systemd/system/walk.service", &wanted)?;
    // `--ephemeral`: each walk begins with the system as it was made; the log is bound in from outside.
    let bound = format!("--bind={}:/walk", there.display());
    let boot = ["--quiet", "--ephemeral", "--register=no", "--keep-unit", "--private-network", "--boot", &bound];
    shell::program(Path::new("systemd-nspawn"), root).args(boot).args([Path::new("--directory"), &system]).run()?;
    let log = fs::read_to_string(there.join("log"))?;
    println!("{log}");
    if log.lines().any(|line| line == WELL) { Ok(()) } else { Err("the walk with the package failed".into()) }
}
