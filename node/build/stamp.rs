//! The stamp of a web page's sources: equal if and only if the sources are, as far as 128 bits tell.
//!
//! Shared by the build script of the node, which looks whether `web/dist` was built of `web` as it is, and by
//! `cargo xtask web`, which builds it. FNV-1a finds changes; it is no defence against forgers, who could change `dist` itself.

use std::io;
use std::path::{Path, PathBuf};

/// Name of the file in `dist` that holds the stamp of its sources.
pub(crate) const FILE: &str = "stamp";

/// What of `web` is no source.
const OTHER: [&str; 8] = ["node_modules", "dist", "e2e", "tests", "shots", "test-results", "coverage", "tools"];

/// FNV-1a with 128 bits.
pub(crate) fn fnv(parts: &[&[u8]]) -> u128 {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let length = |part: &[u8]| (part.len() as u64).to_be_bytes();
    let step = |hash: u128, byte: u8| (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    parts.iter().fold(BASIS, |hash, part| {
        let hash = length(part).into_iter().fold(hash, step);
        part.iter().copied().fold(hash, step)
    })
}

/// The sources in `web`, sorted, as paths below it.
///
/// # Errors
/// A folder that can not be read.
pub(crate) fn sources(web: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(web.join(&folder))? {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let top = folder.as_os_str().is_empty();
            if text.starts_with('.') || text.ends_with(".md") || (top && OTHER.contains(&text.as_ref())) {
                continue;
            }
            let path = folder.join(&name);
            if entry.file_type()?.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

/// The stamp of the sources in `web`.
///
/// # Errors
/// A file that can not be read.
pub(crate) fn stamp(web: &Path) -> io::Result<String> {
    let mut all = Vec::new();
    for path in sources(web)? {
        let name = path.to_string_lossy().replace('\\', "/");
        all.push(fnv(&[name.as_bytes(), &std::fs::read(web.join(&path))?]).to_be_bytes());
    }
    let parts: Vec<&[u8]> = all.iter().map(<[u8; 16]>::as_slice).collect();
    Ok(format!("{:032x}", fnv(&parts)))
}
