//! The files of the page: out of the binary, or in a debug build out of a folder.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

#[path = "../../../build/kinds.rs"]
mod kinds;
#[path = "../../../build/stamp.rs"]
#[allow(dead_code, reason = "the build script uses more of it")]
mod stamp;

include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Largest file that is read of a folder.
const FILE_MAX: u64 = 32 << 20;

/// A file of the page in the binary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asset {
    /// Below the folder of the page, with forward slashes.
    pub(crate) name: &'static str,
    /// Media type.
    pub(crate) kind: &'static str,
    /// Another one for other content.
    pub(crate) tag: &'static str,
    /// As it is.
    pub(crate) plain: &'static [u8],
    /// The same in Brotli.
    pub(crate) brotli: Option<&'static [u8]>,
}

/// A file that was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) kind: &'static str,
    pub(crate) tag: String,
    pub(crate) plain: Bytes,
    pub(crate) brotli: Option<Bytes>,
}

impl From<Asset> for Found {
    fn from(asset: Asset) -> Self {
        let brotli = asset.brotli.map(Bytes::from_static);
        Self { kind: asset.kind, tag: asset.tag.to_owned(), plain: Bytes::from_static(asset.plain), brotli }
    }
}

/// Where the files of the page are. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// In the binary, sorted by name.
    Embedded(&'static [Asset]),
    /// In a folder, read anew each time: for who works on the page.
    Folder(Arc<Path>),
}

impl Files {
    /// The page of this program: of the folder `PARLOR_UI_DIR` in a debug build, else the one that was built in.
    pub(crate) fn here() -> Self {
        let folder = std::env::var_os("PARLOR_UI_DIR").filter(|dir| cfg!(debug_assertions) && !dir.is_empty());
        folder.map_or(Self::Embedded(EMBEDDED), |folder| Self::Folder(PathBuf::from(folder).into()))
    }

    /// These files, sorted by name.
    #[cfg(test)]
    pub(crate) fn of(files: &'static [Asset]) -> Self {
        Self::Embedded(files)
    }

    /// A file by its name below the folder of the page. Blocks for a small file in the case of a folder.
    pub(crate) fn find(&self, name: &str) -> Option<Found> {
        match self {
            Self::Embedded(files) => {
                let at = files.binary_search_by(|file| file.name.cmp(name)).ok()?;
                files.get(at).copied().map(Found::from)
            }
            Self::Folder(folder) => read(folder, name),
        }
    }
}

fn read(folder: &Path, name: &str) -> Option<Found> {
    let kind = kinds::kind(name)?;
    let below = Path::new(name);
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let path = folder.join(below);
    if std::fs::metadata(&path).ok().is_none_or(|it| !it.is_file() || it.len() > FILE_MAX) {
        return None;
    }
    let plain = std::fs::read(path).ok()?;
    let tag = format!("{:032x}", stamp::fnv(&[&plain]));
    Some(Found { kind, tag, plain: plain.into(), brotli: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_folder_only_what_is_in_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dist");
        std::fs::create_dir_all(folder.join("assets")).unwrap();
        std::fs::write(folder.join("assets/a.js"), b"1").unwrap();
        std::fs::write(folder.join("run.sh"), b"1").unwrap();
        std::fs::write(dir.path().join("secret.txt"), b"2").unwrap();
        let files = Files::Folder(folder.into());
        assert_eq!(files.find("assets/a.js").unwrap().plain, &b"1"[..]);
        let outside = dir.path().join("secret.txt").to_string_lossy().into_owned();
        for name in ["../secret.txt", "assets/../../secret.txt", &outside, "gone.js", "assets", "run.sh"] {
            assert!(files.find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_table_that_was_built_in_is_sorted() {
        assert!(EMBEDDED.is_sorted_by(|a, b| a.name < b.name));
        assert!(EMBEDDED.iter().all(|file| file.kind == kinds::kind(file.name).unwrap_or_default()));
        assert!(EMBEDDED.is_empty() || Files::Embedded(EMBEDDED).find("index.html").is_some());
    }

    #[test]
    fn a_stamp_is_that_of_the_sources_and_of_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("index.html", "a");
        write("src/main.ts", "b");
        let before = stamp::stamp(dir.path()).unwrap();
        for other in ["dist/index.html", "node_modules/x/y.js", ".cache/z", "README.md"] {
            write(other, "c");
        }
        assert_eq!(stamp::stamp(dir.path()).unwrap(), before);
        write("src/main.ts", "B");
        let changed = stamp::stamp(dir.path()).unwrap();
        assert_ne!(changed, before);
        write("src/main.ts", "b");
        std::fs::rename(dir.path().join("src/main.ts"), dir.path().join("src/main2.ts")).unwrap();
        assert_ne!(stamp::stamp(dir.path()).unwrap(), before);
    }
}
