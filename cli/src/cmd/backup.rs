//! `parlor backup`: writes everything of a home into one sealed file, and makes a home of such a file.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlor_api::{Code, MakeBackup, Problem};
use parlor_node::{BackupKey, Checked, Passphrase, Restored, count, long_enough, restore_backup, verify_backup};
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::Globals;
use crate::client::Client;
use crate::display::neutral_line;
use crate::input;
use crate::out::{Done, Out};
use crate::save::remove_rest;
use crate::time;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write a backup of this home
    Create(CreateArgs),
    /// Make a home of a backup: a new device of the account; no node runs
    Restore(RestoreArgs),
    /// Read a backup to its end, and say whose it is and whether it can be restored; nothing is made
    Verify(VerifyArgs),
}

/// Arguments of `create`.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// The file to write; nothing is overwritten
    file: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

/// Arguments of `restore`.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
    /// Lock the new home with the passphrase in the first line of this file; if nothing is said and the old one was locked, with
    /// that of the backup
    #[arg(long, value_name = "F")]
    home_passphrase_file: Option<PathBuf>,
}

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The backup
    file: PathBuf,
    #[command(flatten)]
    key: KeyArgs,
}

/// What seals the backup.
#[derive(Debug, clap::Args)]
struct KeyArgs {
    /// The passphrase of the backup stands in the first line of this file
    #[arg(long, value_name = "F")]
    passphrase_file: Option<PathBuf>,
    /// The recovery phrase of the account stands in this file
    #[arg(long, value_name = "F", conflicts_with = "passphrase_file")]
    recovery_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key, asked for when there is a terminal; twice if it is a new one.
    fn read(&self, new: bool, out: &Out) -> Result<BackupKey, Problem> {
        if let Some(file) = &self.recovery_file {
            return Ok(BackupKey::Recovery(line(file)?));
        }
        if let Some(file) = &self.passphrase_file {
            let text = line(file)?;
            // Said before anything is written; what was made under a short one still opens.
            if new {
                long_enough(&text)?;
            }
            return Ok(BackupKey::Passphrase(text));
        }
        if !input::can_ask() || out.is_json() {
            return Err(Problem::new(Code::PassphraseNeeded, "a backup is sealed under a passphrase")
                .hint("give it with --passphrase-file FILE, or the recovery phrase with --recovery-file FILE"));
        }
        loop {
            let first = input::ask_secret("Passphrase of the backup")?;
            let first = first.ok_or_else(|| Problem::new(Code::Usage, "a backup without a passphrase is not made"))?;
            if let Err(short) = if new { long_enough(&first) } else { Ok(()) } {
                out.problem(&short);
                continue;
            }
            if !new || input::ask_secret("The same again")?.as_ref() == Some(&first) {
                return Ok(BackupKey::Passphrase(first));
            }
            out.note("These were not the same.");
        }
    }
}

/// The first line of a file.
fn line(file: &Path) -> Result<Zeroizing<String>, Problem> {
    let read = Passphrase::File(file.to_owned()).read()?;
    read.ok_or_else(|| Problem::new(Code::Usage, format!("there is nothing in {}", file.display())))
}

/// Runs it.
///
/// # Errors
/// What the node answers; the file can not be written or read, or is no backup.
pub fn run(command: Command, node: impl FnOnce() -> Result<Client, Problem>, globals: &Globals, out: &mut Out) -> Done {
    match command {
        Command::Create(args) => create(&args, &node()?, out),
        Command::Restore(args) => restore(&args, globals, out),
        Command::Verify(args) => verify(&args, out),
    }
}

/// How the name of a file ends that is not whole.
const PART: &str = ".part";

/// Digits before that.
const DIGITS: usize = 16;

/// Removes what commands left beside `to` that were killed while they wrote it: up to a backup each, of no use to anybody.
fn remove_rests(to: &Path, name: &OsStr) {
    let above = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = fs::read_dir(above) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let rest = found.as_encoded_bytes().strip_prefix(name.as_encoded_bytes());
        let digits = rest.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(PART.as_bytes()));
        if digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit)) {
            remove_rest(&entry.path());
        }
    }
}

/// A file that is written beside its place and moved there when it is whole.
struct Beside<'a> {
    path: PathBuf,
    to: &'a Path,
    done: bool,
}

impl<'a> Beside<'a> {
    fn make(to: &'a Path) -> Result<(Self, File), Problem> {
        if fs::symlink_metadata(to).is_ok() {
            return Err(exists(to));
        }
        let mut name = to.file_name().map(ToOwned::to_owned).ok_or_else(|| {
            Problem::new(Code::Usage, format!("{} names no file", to.display())).hint("name the file to write")
        })?;
        remove_rests(to, &name);
        // A name of its own: two who write to one file at once do not take each other's half for their own.
        name.push(format!(".{:016x}{PART}", rand::random::<u64>()));
        let path = to.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| failed("write", &path, &error))?;
        // So nobody takes it for a rest. Where there are no locks, none is taken for one.
        let _ = file.try_lock();
        Ok((Self { path, to, done: false }, file))
    }

    /// All of it is there: on the disk, under its name, over nothing.
    fn finish(self, file: &File) -> Result<(), Problem> {
        self.finish_by(file, |path, to| fs::hard_link(path, to))
    }

    fn finish_by(mut self, file: &File, link: impl Fn(&Path, &Path) -> io::Result<()>) -> Result<(), Problem> {
        file.sync_all().map_err(|error| failed("write", &self.path, &error))?;
        // A link fails if there is something meanwhile, where a rename would replace it.
        match link(&self.path, self.to) {
            Ok(()) => drop(fs::remove_file(&self.path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(self.to)),
            // No links on this disk.
            Err(_) => self.take_name()?,
        }
        self.done = true;
        let above = self.to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        #[cfg(unix)]
        File::open(above).and_then(|dir| dir.sync_all()).map_err(|error| failed("write", above, &error))?;
        Ok(())
    }

    /// Takes the name, if nobody has it, and puts the file in the place of what it took it with.
    fn take_name(&self) -> Result<(), Problem> {
        match OpenOptions::new().write(true).create_new(true).open(self.to) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(self.to)),
            Err(error) => return Err(failed("write", self.to, &error)),
        }
        fs::rename(&self.path, self.to).map_err(|error| {
            let _ = fs::remove_file(self.to);
            failed("write", self.to, &error)
        })
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn exists(path: &Path) -> Problem {
    Problem::new(Code::AlreadyExists, format!("{} exists", path.display())).hint("name another file")
}

fn failed(doing: &str, path: &Path, error: &io::Error) -> Problem {
    parlor_node::home::problem(doing, path, error)
}

fn create(args: &CreateArgs, node: &Client, out: &mut Out) -> Done {
    let key = args.key.read(true, out)?;
    let (beside, mut file) = Beside::make(&args.file)?;
    // Wiped when it was sent.
    let mut request = match &key {
        BackupKey::Passphrase(text) => MakeBackup { passphrase: Some(text.as_str().to_owned()), recovery: None },
        BackupKey::Recovery(text) => MakeBackup { passphrase: None, recovery: Some(text.as_str().to_owned()) },
    };
    let made = node.download_of("/backup", &request, &mut file);
    request.passphrase.zeroize();
    request.recovery.zeroize();
    made?;
    file.flush().map_err(|error| failed("write", &args.file, &error))?;
    let bytes = file.metadata().map_or(0, |about| about.len());
    // Who finds out when he restores it finds out too late.
    let written = File::open(&beside.path).map_err(|error| failed("read", &beside.path, &error))?;
    verify_backup(BufReader::new(written), &key)?;
    beside.finish(&file)?;
    if out.is_json() {
        return out.json(&json!({ "path": args.file, "bytes": bytes }));
    }
    out.line(neutral_line(&args.file.display().to_string()))?;
    let bytes = count(bytes, "byte", "bytes");
    out.note(format!("{bytes}. Whoever has this file and what opens it is you: keep them apart."));
    Ok(())
}

fn verify(args: &VerifyArgs, out: &mut Out) -> Done {
    let key = args.key.read(false, out)?;
    let file = File::open(&args.file).map_err(|error| input::unopened(&args.file, &error))?;
    let Checked { account, device, name, made_at, counts } = verify_backup(BufReader::new(file), &key)?;
    if out.is_json() {
        return out.json(&json!({
            "account": account, "from_device": device, "name": name, "made_at": made_at,
            "rooms": counts.rooms, "messages": counts.messages, "contacts": counts.contacts,
        }));
    }
    out.line(format!("account  {account}"))?;
    out.line(format!("device   {device}"))?;
    out.line(format!("name     {}", neutral_line(&name)))?;
    out.line(format!("made     {}", time::local(&made_at)))?;
    out.note(format!(
        "{}, {}, {}: all of it is there.",
        count(counts.rooms, "room", "rooms"),
        count(counts.messages, "message", "messages"),
        count(counts.contacts, "contact", "contacts"),
    ));
    Ok(())
}

/// A file that can not be read any more when the user stops the program: so what was made of it is taken away.
struct Stoppable<R> {
    from: R,
    stopped: Arc<AtomicBool>,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.stopped.load(Ordering::Acquire) {
            true => Err(io::Error::other("it was stopped, and nothing was made of it")),
            false => self.from.read(into),
        }
    }
}

/// Becomes true when SIGINT or SIGTERM comes.
fn stopped() -> Result<Arc<AtomicBool>, Problem> {
    let wait = || -> io::Result<Arc<AtomicBool>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let interrupted = {
            let _within = runtime.enter();
            super::run::interrupted()?
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let told = stopped.clone();
        std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
            runtime.block_on(interrupted);
            told.store(true, Ordering::Release);
        })?;
        Ok(stopped)
    };
    wait().map_err(|error| Problem::new(Code::Internal, format!("signals can not be waited for: {error}")))
}

fn restore(args: &RestoreArgs, globals: &Globals, out: &mut Out) -> Done {
    let home = globals.home()?;
    let key = args.key.read(false, out)?;
    let lock = args.home_passphrase_file.clone().map_or(Passphrase::None, Passphrase::File);
    lock.must_be_long()?;
    let file = File::open(&args.file).map_err(|error| input::unopened(&args.file, &error))?;
    let from = Stoppable { from: BufReader::new(file), stopped: stopped()? };
    let restored = restore_backup(&home, from, &key, &lock)?;
    let Restored { account, device, from_device, name, made_at, locked, counts } = &restored;
    if out.is_json() {
        return out.json(&json!({
            "account": account, "device": device, "from_device": from_device, "name": name, "home": home.dir(),
            "made_at": made_at,
            "locked": locked, "rooms": counts.rooms, "messages": counts.messages, "contacts": counts.contacts,
        }));
    }
    out.line(format!("account  {account}"))?;
    out.line(format!("device   {device}"))?;
    out.line(format!("name     {}", neutral_line(name)))?;
    out.line(format!("home     {}", home.dir().display()))?;
    // An old file is as good as a new one in all but what it does not know.
    out.line(format!("made     {}", time::local(made_at)))?;
    out.note(format!(
        "Contacts and blocks are as they were then. Your profile is shown to nobody, unless another device of yours shows it, until \
         you say to whom: {} profile set",
        globals.program()
    ));
    out.note(format!(
        "{}, {}, {}. This is a new device. If the old one is lost: {} device revoke {}",
        count(counts.rooms, "room", "rooms"),
        count(counts.messages, "message", "messages"),
        count(counts.contacts, "contact", "contacts"),
        globals.program(),
        from_device.chars().take(12).collect::<String>()
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As disks without links answer.
    fn no_link(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[test]
    fn nothing_is_overwritten_where_there_are_no_links_either() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("backup");
        let finished = |text: &str, meanwhile: &dyn Fn()| {
            let (beside, mut file) = Beside::make(&to)?;
            file.write_all(text.as_bytes()).unwrap();
            meanwhile();
            beside.finish_by(&file, no_link)
        };
        let other = || fs::write(&to, "another").unwrap();
        assert_eq!(finished("mine", &other).unwrap_err().code, Code::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "another");
        fs::remove_file(&to).unwrap();
        finished("mine", &|| ()).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_command_left_goes_and_what_another_one_writes_stays() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("home.backup");
        for rest in
            ["home.backup.0123456789abcdef.part", "home.backup.0123456789abcdxy.part", "other.0123456789abcdef.part"]
        {
            fs::write(dir.path().join(rest), b"half").unwrap();
        }
        let (one, _file) = Beside::make(&to).unwrap();
        let (two, _other) = Beside::make(&to).unwrap();
        assert!(one.path.exists() && two.path.exists(), "both are at work");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4, "only the rest of this backup is gone");
        assert!(!dir.path().join("home.backup.0123456789abcdef.part").exists());
    }
}
