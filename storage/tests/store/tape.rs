//! What a process did to its files, from a tape of `strace`, and what a disk may hold of it after a power cut.
//!
//! Only what a completed `fsync` or `fdatasync` of that file covers is certain; `sync_file_range` counts for nothing. Of
//! the rest each page of 4 KiB, sometimes each sector, may be there or not, in any of its versions; files may have any
//! of their lengths since, with zeros where data is missing; names may lag.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

const PAGE: usize = 4_096;
const SECTOR: usize = 512;
/// sled's segments.
const STRETCH: usize = 512 * 1024;
const CALLS: &str = "trace=openat,lseek,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,unlink,mkdir";

/// Whether there is an `strace` that may be used.
pub(crate) fn is_there() -> bool {
    let run = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).stderr(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

/// Starts `program` so that a tape is written to `tape`; each `fdatasync` begins by `delay` later.
pub(crate) fn record(
    tape: &Path,
    program: &Path,
    args: &[&str],
    envs: &[(&str, &Path)],
    delay: Option<Duration>,
) -> Child {
    let mut command = Command::new("strace");
    command.args(["--seccomp-bpf", "-f", "-qq", "-y", "-xx", "-s", "8000000", "-e", CALLS, "-o"]).arg(tape);
    if let Some(delay) = delay {
        command.arg("-e").arg(format!("inject=fdatasync:delay_enter={}", delay.as_micros()));
    }
    command.arg(program).args(args).envs(envs.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// One line of a tape: a call, its beginning or its end.
#[derive(Debug)]
pub(crate) enum Event {
    /// Bytes of a file, or of the standard output, begin to be written.
    Write {
        call: u64,
        path: PathBuf,
        at: Option<u64>,
        fd: u32,
        bytes: Arc<[u8]>,
    },
    /// A sync begins.
    Sync {
        call: u64,
        path: PathBuf,
    },
    /// A write or a sync has ended well.
    Done {
        call: u64,
    },
    /// Another call has ended well.
    Seek {
        fd: u32,
        to: u64,
    },
    Open {
        path: PathBuf,
        fd: u32,
        creates: bool,
        truncates: bool,
    },
    Length {
        path: PathBuf,
        len: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    Folder {
        path: PathBuf,
    },
}

/// Reads the tape at `path`, of which only what happens below `root` and on the standard output counts. `None` if a
/// process ended in the middle of a write: the tape does not tell whether that was done.
pub(crate) fn read(path: &Path, root: &Path) -> Option<Vec<Event>> {
    let mut events = Vec::new();
    // What a thread is in the middle of: its number if it is a write or sync, else its text.
    let mut open: HashMap<String, (Option<u64>, String)> = HashMap::new();
    let mut calls = 0;
    for line in BufReader::new(fs::File::open(path).unwrap()).split(b'\n') {
        let line = String::from_utf8(line.unwrap()).unwrap();
        let (thread, rest) = line.split_once(' ').unwrap();
        let rest = rest.trim_start();
        let (call, text) = if let Some(resumed) = rest.strip_prefix("<... ") {
            let (call, begun) = open.remove(thread).unwrap();
            (call, begun + resumed.split_once(" resumed>").unwrap().1)
        } else {
            let text = rest.strip_suffix(" <unfinished ...>").unwrap_or(rest);
            calls += 1;
            let begun = begin(text, calls, root);
            let call = begun.is_some().then_some(calls);
            events.extend(begun);
            if text.len() < rest.len() {
                // The bytes of a write are not needed again.
                let kept = if call.is_some() { text.find('(').unwrap_or(0) } else { text.len() };
                let text = text[..kept].to_owned();
                open.insert(thread.to_owned(), (call, text));
                continue;
            }
            (call, text.to_owned())
        };
        let Some((before, result)) = text.rsplit_once(" = ") else { continue };
        if result.starts_with('?') && text.contains("write") {
            return None;
        }
        if result.starts_with('-') || result.starts_with('?') {
            continue;
        }
        match call {
            Some(call) => events.push(Event::Done { call }),
            None => events.extend(end(before.trim_end(), result, root)),
        }
    }
    let unfinished = |(call, text): &(Option<u64>, String)| call.is_some() && text.contains("write");
    (!open.values().any(unfinished)).then_some(events)
}

/// How many bytes of the file that ends in `name` are not certain after each event.
pub(crate) fn under_way(events: &[Event], name: &str) -> Vec<usize> {
    let mut writes: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
    let mut syncs: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut sum = 0;
    let mut after = |event: &Event| {
        match event {
            Event::Write { call, path, bytes, .. } if path.ends_with(name) => {
                sum += bytes.len();
                writes.insert(*call, (bytes.len(), false));
            }
            Event::Sync { call, path } if path.ends_with(name) => {
                let done = writes.iter().filter(|(_, (_, done))| *done);
                syncs.insert(*call, done.map(|(call, _)| *call).collect());
            }
            Event::Done { call } => match syncs.remove(call) {
                Some(covered) => covered.iter().filter_map(|call| writes.remove(call)).for_each(|(len, _)| sum -= len),
                None => writes.get_mut(call).into_iter().for_each(|(_, done)| *done = true),
            },
            _ => {}
        }
        sum
    };
    events.iter().map(&mut after).collect()
}

/// A write or a sync, from the text of its beginning.
fn begin(text: &str, call: u64, root: &Path) -> Option<Event> {
    let (name, args) = text.split_once('(')?;
    let (fd, path) = file(args)?;
    if !path.starts_with(root) && fd != 1 {
        return None;
    }
    match name {
        "fsync" | "fdatasync" => Some(Event::Sync { call, path }),
        "write" | "pwrite64" => {
            let (_, rest) = args.split_once('"')?;
            let (bytes, rest) = rest.split_once('"')?;
            assert!(!rest.starts_with("..."), "the tape is cut");
            let at = (name == "pwrite64").then(|| number(rest.split(", ").nth(2).unwrap()));
            Some(Event::Write { call, path, at, fd, bytes: unhex(bytes).into() })
        }
        _ => None,
    }
}

/// Another call, from the text of all of it.
fn end(text: &str, result: &str, root: &Path) -> Option<Event> {
    let (name, args) = text.split_once('(')?;
    let strings: Vec<PathBuf> = args.split('"').skip(1).step_by(2).map(to_path).collect();
    let below = |path: &PathBuf| path.starts_with(root);
    match name {
        "lseek" => Some(Event::Seek { fd: file(args)?.0, to: number(result) }),
        "ftruncate" | "fallocate" => {
            let (_, path) = file(args).filter(|(_, path)| below(path))?;
            assert_eq!(name, "ftruncate", "not expected below {}", root.display());
            Some(Event::Length { path, len: number(args.rsplit(", ").next()?) })
        }
        "openat" => {
            let path = strings.first().filter(|path| below(path))?.clone();
            let flags = args.rsplit('"').next()?;
            let (fd, _) = file(result)?;
            Some(Event::Open { path, fd, creates: flags.contains("O_CREAT"), truncates: flags.contains("O_TRUNC") })
        }
        "rename" => {
            let [from, to] = <[PathBuf; 2]>::try_from(strings).ok()?;
            below(&to).then_some(Event::Rename { from, to })
        }
        "unlink" => strings.into_iter().find(below).map(|path| Event::Remove { path }),
        "mkdir" => strings.into_iter().find(below).map(|path| Event::Folder { path }),
        _ => None,
    }
}

/// `3<\x2f...>`: a descriptor and where it leads.
fn file(text: &str) -> Option<(u32, PathBuf)> {
    let (fd, rest) = text.split_once('<')?;
    Some((fd.parse().ok()?, to_path(rest.split_once('>')?.0)))
}

fn to_path(text: &str) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&unhex(text)).into_owned())
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks_exact(4).map(|four| digit(four[2]) << 4 | digit(four[3])).collect()
}

fn number(text: &str) -> u64 {
    text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// A disk while the tape is played: what is certain, and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: Vec<Inode>,
    names: BTreeMap<PathBuf, Node>,
    certain: BTreeMap<PathBuf, Node>,
    renames: Vec<Naming>,
    offsets: HashMap<u32, u64>,
    writes: HashMap<u64, usize>,
    /// How many truncations there were.
    lengths: u64,
    syncs: HashMap<u64, (PathBuf, Vec<u64>)>,
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Folder,
    File(usize),
}

#[derive(Debug, Default)]
struct Inode {
    certain: Vec<u8>,
    len: u64,
    pending: Vec<Change>,
}

#[derive(Debug)]
struct Change {
    call: u64,
    done: bool,
    /// The bytes at an offset; without bytes the length.
    at: u64,
    bytes: Option<Arc<[u8]>>,
}

/// A change of names under way: what gets a name, what loses one.
#[derive(Debug)]
struct Naming {
    set: Option<(PathBuf, Node)>,
    unset: Option<PathBuf>,
    /// A sync of anything has ended since: a journalling file system has it.
    journaled: bool,
}

/// How the disk loses what was under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mood {
    /// Of hundred.
    kept: u32,
    unit: usize,
    /// Names are certain only when their folder was synced.
    hostile: bool,
}

impl Mood {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        let kept = [0, 10, 50, 90, 100][rng.random_range(0..5)];
        Self { kept, unit: [SECTOR, PAGE, PAGE, STRETCH][rng.random_range(0..4)], hostile: rng.random() }
    }
}

impl Disk {
    /// A disk that certainly holds what is in the folder `root`.
    pub(crate) fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        disk.take(root);
        disk.certain.clone_from(&disk.names);
        disk
    }

    fn take(&mut self, folder: &Path) {
        self.names.insert(folder.to_owned(), Node::Folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.take(&path);
            } else {
                let certain = fs::read(&path).unwrap();
                self.names.insert(path, Node::File(self.files.len()));
                self.files.push(Inode { len: certain.len() as u64, certain, pending: Vec::new() });
            }
        }
    }

    /// Plays one event.
    pub(crate) fn play(&mut self, event: &Event) {
        match event {
            Event::Seek { fd, to } => drop(self.offsets.insert(*fd, *to)),
            Event::Open { path, fd, creates, truncates } => {
                self.offsets.insert(*fd, 0);
                if !self.names.contains_key(path) && *creates {
                    let node = Node::File(self.files.len());
                    self.files.push(Inode::default());
                    self.name(Some((path.clone(), node)), None);
                }
                if *truncates {
                    self.change(path, 0, 0, None);
                }
            }
            Event::Length { path, len } => self.change(path, 0, *len, None),
            Event::Write { call, path, at, fd, bytes } => {
                let offset = self.offsets.entry(*fd).or_default();
                let start = at.unwrap_or(*offset);
                if at.is_none() {
                    *offset += bytes.len() as u64;
                }
                self.change(path, *call, start, Some(Arc::clone(bytes)));
            }
            Event::Sync { call, path } => {
                let covered = self.inode(path).map_or_else(Vec::new, |file| {
                    let pending = &self.files[file].pending;
                    pending.iter().filter(|change| change.done).map(|change| change.call).collect()
                });
                self.syncs.insert(*call, (path.clone(), covered));
            }
            Event::Done { call } => self.done(*call),
            Event::Rename { from, to } => {
                let node = self.names[from];
                self.name(Some((to.clone(), node)), Some(from.clone()));
            }
            Event::Remove { path } => self.name(None, Some(path.clone())),
            Event::Folder { path } => self.name(Some((path.clone(), Node::Folder)), None),
        }
    }

    fn inode(&self, path: &Path) -> Option<usize> {
        match self.names.get(path)? {
            Node::File(file) => Some(*file),
            Node::Folder => None,
        }
    }

    fn change(&mut self, path: &Path, call: u64, at: u64, bytes: Option<Arc<[u8]>>) {
        let Some(index) = self.inode(path) else { return };
        let file = &mut self.files[index];
        file.len = bytes.as_ref().map_or(at, |bytes| file.len.max(at + bytes.len() as u64));
        // Truncations have no beginning on the tape, and no number: they are done, and have numbers of their own.
        let done = bytes.is_none();
        self.lengths += u64::from(done);
        let call = if done { u64::MAX - self.lengths } else { call };
        file.pending.push(Change { call, done, at, bytes });
        self.writes.insert(call, index);
    }

    fn name(&mut self, set: Option<(PathBuf, Node)>, unset: Option<PathBuf>) {
        let naming = Naming { set, unset, journaled: false };
        naming.apply(&mut self.names);
        self.renames.push(naming);
    }

    fn done(&mut self, call: u64) {
        if let Some((path, covered)) = self.syncs.remove(&call) {
            self.renames.iter_mut().for_each(|naming| naming.journaled = true);
            match self.names.get(&path) {
                Some(Node::File(file)) => self.files[*file].settle(&covered),
                _ => {
                    let (now, later) =
                        std::mem::take(&mut self.renames).into_iter().partition(|naming| naming.is_in(&path));
                    self.renames = later;
                    let now: Vec<Naming> = now;
                    now.iter().for_each(|naming| naming.apply(&mut self.certain));
                }
            }
        } else if let Some(file) = self.writes.remove(&call) {
            self.files[file]
                .pending
                .iter_mut()
                .filter(|change| change.call == call)
                .for_each(|change| change.done = true);
        }
    }

    /// Writes to `to` what may be left of `root` if the power fails now.
    pub(crate) fn cut(&self, root: &Path, to: &Path, mood: Mood, rng: &mut StdRng) {
        let mut names = self.certain.clone();
        let reached = if mood.kept == 100 { self.renames.len() } else { rng.random_range(0..=self.renames.len()) };
        for (index, naming) in self.renames.iter().enumerate() {
            if index < reached || (naming.journaled && !mood.hostile) {
                naming.apply(&mut names);
            }
        }
        for (path, node) in &names {
            let path = to.join(path.strip_prefix(root).unwrap());
            match node {
                Node::Folder => fs::create_dir_all(path).unwrap(),
                // A file whose folder has no name yet is lost with it.
                Node::File(file) => drop(fs::write(path, self.files[*file].left(mood, rng))),
            }
        }
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some(path) = &self.unset {
            names.remove(path);
        }
        names.extend(self.set.clone());
    }

    fn is_in(&self, folder: &Path) -> bool {
        let name = self.set.as_ref().map(|(path, _)| path).or(self.unset.as_ref());
        name.is_some_and(|path| path.parent() == Some(folder))
    }
}

impl Inode {
    /// The changes of these calls are certain.
    fn settle(&mut self, covered: &[u64]) {
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|one| covered.contains(&one.call));
        self.pending = later;
        let now: Vec<Change> = now;
        for change in now {
            change.apply(&mut self.certain, |_| true);
        }
    }

    fn left(&self, mood: Mood, rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.certain.clone();
        let changes = self.pending.len();
        let mut lens = vec![bytes.len()];
        for change in &self.pending {
            let before = *lens.last().unwrap();
            lens.push(
                change.bytes.as_ref().map_or(change.at as usize, |new| before.max(change.at as usize + new.len())),
            );
        }
        let reached = if mood.kept == 100 { changes } else { rng.random_range(0..=changes) };
        let mut versions: HashMap<usize, usize> = HashMap::new();
        for (index, change) in self.pending.iter().enumerate() {
            if change.bytes.is_none() && index >= reached {
                // It was not cut: what came afterwards went to space that the disk does not know of.
                break;
            }
            // Of each unit the disk has the version after some change.
            change.apply(&mut bytes, |at| {
                let version = versions.entry(at / mood.unit).or_insert_with(|| match rng.random_range(0..100) {
                    roll if roll >= mood.kept => 0,
                    _ if mood.kept < 100 && rng.random_ratio(1, 5) => rng.random_range(0..=changes),
                    _ => changes,
                });
                index < *version
            });
        }
        bytes.resize(lens[reached], 0);
        bytes
    }
}

impl Change {
    /// Applies it to the sectors that are `kept`.
    fn apply(&self, file: &mut Vec<u8>, mut kept: impl FnMut(usize) -> bool) {
        let at = self.at as usize;
        let Some(new) = &self.bytes else { return file.resize(at, 0) };
        file.resize(file.len().max(at + new.len()), 0);
        let mut start = at;
        while start < at + new.len() {
            let end = (start / SECTOR * SECTOR + SECTOR).min(at + new.len());
            if kept(start) {
                file[start..end].copy_from_slice(&new[start - at..end - at]);
            }
            start = end;
        }
    }
}
