//! Canaries: what must not be seen outside, looked for in files, on the wire, in the memory of a process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use crate::Person;

/// Texts and ids to look for; ids also as raw bytes.
#[derive(Debug, Default)]
pub struct Canaries {
    all: Vec<(String, Vec<u8>)>,
    /// Looks for all of them in one pass; made when it is first needed.
    search: OnceLock<AhoCorasick>,
}

impl Canaries {
    /// Looks for these texts.
    pub fn of(texts: &[&str]) -> Self {
        let mut canaries = Self::default();
        texts.iter().for_each(|text| canaries.add((*text).to_owned(), text.as_bytes().to_vec()));
        canaries
    }

    /// Looks for an id too, given in hexadecimal digits: as it is, in capitals, as bytes.
    ///
    /// # Panics
    /// If it is no id.
    #[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
    pub fn id(&mut self, name: &str, hex: &str) {
        assert!(hex.len() >= 16 && hex.len().is_multiple_of(2) && hex.is_ascii(), "`{hex}` is no id of {name}");
        let byte = |i: usize| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("an id is in hexadecimal digits");
        self.add(format!("{name} in hex"), hex.into());
        self.add(format!("{name} in capital hex"), hex.to_uppercase().into());
        self.add(format!("{name} as bytes"), (0..hex.len() / 2).map(byte).collect());
    }

    /// Looks for these bytes too.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.add(name.to_owned(), bytes.to_vec());
    }

    /// Looks for the ids of a person too, whose node runs.
    #[track_caller]
    pub fn person(&mut self, person: &Person) {
        let status = person.cli(&["status"]).done();
        self.id(&format!("account of {}", person.name), &status.text("account"));
        self.id(&format!("device of {}", person.name), &status.text("device"));
    }

    /// Names of those that are in `bytes`.
    ///
    /// # Panics
    /// If there are more than any test looks for.
    #[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
    pub fn in_bytes(&self, bytes: &[u8]) -> Vec<&str> {
        let search = self.search.get_or_init(|| {
            AhoCorasick::new(self.all.iter().map(|(_, canary)| canary)).expect("a few short patterns can be looked for")
        });
        let found = search.find_overlapping_iter(bytes);
        let mut found: Vec<&str> = found.map(|hit| self.all[hit.pattern().as_usize()].0.as_str()).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    fn add(&mut self, name: String, bytes: Vec<u8>) {
        assert!(!bytes.is_empty(), "{name} is everywhere");
        self.all.push((name, bytes));
        self.search = OnceLock::new();
    }
}

/// Every file under `folder`, with its bytes; names of files are looked at too.
///
/// # Panics
/// If one can not be read.
#[allow(clippy::expect_used, reason = "the harness of tests fails by panicking")]
pub fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("a folder can be read").path();
        look(&path, path.file_name().unwrap_or_default().as_encoded_bytes());
        if path.is_dir() {
            each_file(&path, look);
        } else if path.is_file() {
            look(&path, &std::fs::read(&path).expect("a file can be read"));
        }
    }
}

/// Every stretch of memory that a process wrote or may have written, with where it begins: heap, stacks, data. What is
/// mapped read only is program text, the same for everybody; what was never touched is passed over.
///
/// # Errors
/// This process may not (another user's, or not our child where the system asks for that), or this system can not.
pub fn each_stretch(pid: u32, look: &mut impl FnMut(u64, &[u8])) -> io::Result<()> {
    let page = page_len()?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut pages = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut n_read = 0;
    for line in maps.lines() {
        let mut words = line.split(' ');
        let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = |text: &str| u64::from_str_radix(text, 16).ok();
        let Some((start, end)) = range.split_once('-') else { continue };
        let (Some(start), Some(end)) = (number(start), number(end)) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let entries = read_at(&mut pages, start / page * 8, (end - start) / page * 8)?;
        // In memory or swapped out.
        let there = |entry: &[u8]| entry.last().is_some_and(|flags| flags & 0b1100_0000 != 0);
        let mut at = start;
        for run in entries.chunks(8).collect::<Vec<_>>().chunk_by(|one, next| there(one) == there(next)) {
            let len = run.len() as u64 * page;
            if there(run[0]) {
                // It may go away while it is read: what was read until then counts.
                let bytes = read_at(&mut memory, at, len).unwrap_or_default();
                n_read += bytes.len();
                look(at, &bytes);
            }
            at += len;
        }
    }
    if n_read == 0 { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// The length of a page, from what the system tells every process.
fn page_len() -> io::Result<u64> {
    /// `AT_PAGESZ`.
    const PAGE_LEN: u64 = 6;
    let told = std::fs::read("/proc/self/auxv")?;
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_ne_bytes).unwrap_or_default();
    let mut pairs = told.chunks_exact(16).map(|pair| (number(&pair[..8]), number(&pair[8..])));
    let page = pairs.find(|(key, _)| *key == PAGE_LEN).map(|(_, value)| value);
    page.filter(|page| *page > 0).ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn read_at(file: &mut File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canaries_are_found_wherever_they_stand_and_nothing_else_is() {
        let mut canaries = Canaries::of(&["canary", "candle"]);
        canaries.id("room", "00ff00ff00ff00ff");
        assert_eq!(canaries.in_bytes(b"a can of cannaries"), [""; 0]);
        assert_eq!(canaries.in_bytes(b"cacanary"), ["canary"]);
        assert_eq!(canaries.in_bytes(b"candlecanary"), ["canary", "candle"]);
        assert_eq!(canaries.in_bytes(b"00FF00FF00FF00FF"), ["room in capital hex"]);
        assert_eq!(canaries.in_bytes(&[1, 0, 255, 0, 255, 0, 255, 0, 255]), ["room as bytes"]);
        assert_eq!(canaries.in_bytes(b""), [""; 0]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_a_process_is_read() {
        let canary = String::from_utf8("yranac-yromem".bytes().rev().collect()).unwrap();
        let canaries = Canaries::of(&[&canary]);
        let mut found = false;
        each_stretch(std::process::id(), &mut |_, bytes| found |= !canaries.in_bytes(bytes).is_empty()).unwrap();
        assert!(found);
    }
}
