//! Ballast: space taken in advance, thrown off when the disk is full.
//!
//! When a write fails in the middle sled refuses everything, and opening it again needs some space of its own. Then the
//! ballast goes, the log is opened again and reading goes on. It is taken anew when there is plenty of space.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use fs4::FileExt;

/// The file that takes the space.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    bytes: u64,
    is_there: bool,
}

impl Ballast {
    /// For the store in `dir`; zero bytes means none.
    pub(crate) fn new(dir: &Path, bytes: u64) -> Self {
        let path = dir.join("ballast");
        let is_there = fs::metadata(&path).is_ok_and(|file| file.len() == bytes);
        Self { path, bytes, is_there }
    }

    /// Whether commits are to be refused with so much `free` space. Takes the ballast when there is enough for both.
    pub(crate) fn refuses(&mut self, free: u64) -> bool {
        if !self.is_there && self.bytes > 0 && free >= 3 * self.bytes {
            match self.take() {
                Ok(()) => self.is_there = true,
                Err(error) => tracing::debug!(%error, "no ballast on this file system"),
            }
        }
        self.is_needed(free)
    }

    /// Whether there is too little space for sled to open.
    pub(crate) fn is_needed(&self, free: u64) -> bool {
        free < self.bytes
    }

    /// Gives the space back.
    pub(crate) fn throw_off(&mut self) {
        self.is_there = false;
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "there was no ballast");
        }
    }

    fn take(&self) -> io::Result<()> {
        let taken = File::create(&self.path).and_then(|file| FileExt::allocate(&file, self.bytes));
        if taken.is_err() {
            // A part of it would be of no use; that it cannot be removed either is no worse.
            let _ = fs::remove_file(&self.path);
        }
        taken
    }
}
