//! The stamp: a file that says that the folder is a store, which schema it has and which key it wants.
//!
//! ```text
//! magic "parlor store" 0x00 | schema u32 | check [8] | key check [16] | check [8]
//! ```
//! Each check is the BLAKE3 of everything before it, cut: it tells damage from a newer version and from a wrong key.
//! The stamp is read before anything else is touched, so a newer or foreign store is refused as it is.
//!
//! **Migrations** are numbered: the step from schema n to n + 1 is `STEPS[n - OLDEST]`. A step is safe to repeat; the
//! stamp is rewritten after each, so an interrupted migration goes on where it was.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::OpenError;
use crate::fault::Fault;
use crate::opening::Core;
use crate::schema::{NO_ROOM, SCHEMA};
use crate::seal::{Blind, Sealer};

/// The oldest schema that can be migrated.
pub(crate) const OLDEST: u32 = 2;

/// One migration: from one schema to the next.
pub(crate) type Step<T> = fn(&T) -> Result<(), Fault>;

/// The migrations this program knows.
///
/// To 3: trees of asides and remarks came, which are empty at first. Older programs would not fill them.
///
/// To 4: the tree of changes came, as empty as the index that follows it: that is built from the timeline.
///
/// To 5: what disappears is sealed once more; older programs would not find its content.
pub(crate) const STEPS: [Step<Core>; (SCHEMA - OLDEST) as usize] = [|_| Ok(()), |_| Ok(()), |_| Ok(())];

const MAGIC: &[u8; 13] = b"parlor store\0";
const HEAD: usize = MAGIC.len() + 4;
const KEY_CHECK: usize = HEAD + 8;
const BODY: usize = KEY_CHECK + 16;

/// A stamp as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) schema: u32,
}

impl Stamp {
    /// Reads the stamp at `path`, and checks that the key is the right one. `None` if there is no file.
    pub(crate) fn read(path: &Path, sealer: &Sealer) -> Result<Option<Self>, OpenError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::Io(error).opening(path)),
        };
        let path = path.to_path_buf();
        if !bytes.starts_with(MAGIC) {
            return Err(OpenError::Foreign { path });
        }
        let damaged = || OpenError::Damaged { path: path.clone(), detail: "the stamp fails its checksum".to_owned() };
        let schema = checked(&bytes, HEAD).and_then(|head| head.last_chunk().copied());
        let schema = u32::from_be_bytes(schema.ok_or_else(damaged)?);
        if schema > SCHEMA {
            return Err(OpenError::Newer { path, found: schema, known: SCHEMA });
        }
        if schema < OLDEST {
            return Err(OpenError::Older { path, found: schema, oldest: OLDEST });
        }
        let body = checked(&bytes, BODY).ok_or_else(damaged)?;
        if !body.ends_with(&key_check(sealer)) {
            return Err(OpenError::WrongKey { path });
        }
        Ok(Some(Self { schema }))
    }

    /// Writes the stamp at `path` so that it is there wholly or not at all, also after power loss.
    pub(crate) fn write(self, path: &Path, sealer: &Sealer) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.schema.to_be_bytes());
        bytes.extend_from_slice(&check(&bytes));
        bytes.extend_from_slice(&key_check(sealer));
        bytes.extend_from_slice(&check(&bytes));
        let fresh = fresh_path(path);
        let mut file = File::create(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        sync_folder(path.parent().unwrap_or(path))
    }
}

/// Runs the `steps` that lead from `schema`, the first step being that of [`OLDEST`], and calls `stamped` after each.
pub(crate) fn migrate<T>(
    schema: u32,
    steps: &[Step<T>],
    store: &T,
    mut stamped: impl FnMut(Stamp) -> io::Result<()>,
) -> Result<(), Fault> {
    for (step, reached) in steps.iter().zip(OLDEST + 1..).skip((schema - OLDEST) as usize) {
        tracing::info!(schema = reached, "migrating the store");
        step(store)?;
        stamped(Stamp { schema: reached })?;
    }
    Ok(())
}

/// Where a stamp is written before it takes its place.
pub(crate) fn fresh_path(stamp: &Path) -> PathBuf {
    stamp.with_extension("new")
}

/// Makes the entries of a folder durable. The parent of a relative path may be empty: the working folder.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Windows can neither open nor needs to sync a folder.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The first `len` bytes, if the check after them agrees.
fn checked(bytes: &[u8], len: usize) -> Option<&[u8]> {
    let (body, rest) = bytes.split_at_checked(len)?;
    rest.starts_with(&check(body)).then_some(body)
}

fn check(bytes: &[u8]) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    short
}

fn key_check(sealer: &Sealer) -> [u8; 16] {
    sealer.blind(Blind::Stamp, NO_ROOM, MAGIC)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn each_missing_step_runs_once_in_order_and_is_stamped() {
        let steps: [Step<RefCell<Vec<u32>>>; 3] = [
            |ran| {
                ran.borrow_mut().push(1);
                Ok(())
            },
            |ran| {
                ran.borrow_mut().push(2);
                Ok(())
            },
            |ran| {
                ran.borrow_mut().push(3);
                Ok(())
            },
        ];
        let ran = RefCell::default();
        let mut stamped = Vec::new();
        migrate(OLDEST + 1, &steps, &ran, |stamp| {
            stamped.push(stamp.schema);
            Ok(())
        })
        .unwrap();
        assert_eq!(ran.into_inner(), [2, 3]);
        assert_eq!(stamped, [OLDEST + 2, OLDEST + 3]);
    }

    #[test]
    fn the_parent_of_a_relative_folder_can_be_synced() {
        sync_folder(Path::new("store").parent().unwrap()).unwrap();
    }

    #[test]
    fn a_failed_step_is_not_stamped() {
        let steps: [Step<()>; 1] = [|()| Err(Fault::Damaged("no".to_owned()))];
        let mut stamped = Vec::new();
        let result = migrate(OLDEST, &steps, &(), |stamp| {
            stamped.push(stamp.schema);
            Ok(())
        });
        assert!(result.is_err() && stamped.is_empty());
    }
}
