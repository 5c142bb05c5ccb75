//! `parlor backup`: writes everything of a home into one sealed file, and makes a home of such a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use parlor_api::{Code, MakeBackup, Problem};
use parlor_node::{BackupKey, Passphrase, Restored, count, restore_backup};
use serde_json::json;
use zeroize::{Zeroize as _, Zeroizing};

use crate::args::Globals;
use crate::client::Client;
use crate::display::neutral_line;
use crate::input;
use crate::out::{Done, Out};
use crate::time;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write a backup of this home
    Create(CreateArgs),
    /// Make a home of a backup: a new device of the account; no node runs
    Restore(RestoreArgs),
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
            return Ok(BackupKey::Passphrase(line(file)?));
        }
        if !input::can_ask() || out.is_json() {
            return Err(Problem::new(Code::PassphraseNeeded, "a backup is sealed under a passphrase")
                .hint("give it with --passphrase-file FILE, or the recovery phrase with --recovery-file FILE"));
        }
        loop {
            let first = input::ask_secret("Passphrase of the backup")?;
            let first = first.ok_or_else(|| Problem::new(Code::Usage, "a backup without a passphrase is not made"))?;
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
        // A name of its own: two who write to one file at once do not take each other's half for their own.
        name.push(format!(".{:016x}.part", rand::random::<u64>()));
        let path = to.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(|error| failed("write", &path, &error))?;
        Ok((Self { path, to, done: false }, file))
    }

    /// All of it is there: on the disk, under its name, over nothing.
    fn finish(mut self, file: &File) -> Result<(), Problem> {
        file.sync_all().map_err(|error| failed("write", &self.path, &error))?;
        // A link fails if there is something meanwhile, where a rename would replace it.
        match fs::hard_link(&self.path, self.to) {
            Ok(()) => drop(fs::remove_file(&self.path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(exists(self.to)),
            // No links on this disk.
            Err(_) => fs::rename(&self.path, self.to).map_err(|error| failed("write", self.to, &error))?,
        }
        self.done = true;
        let above = self.to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        #[cfg(unix)]
        File::open(above).and_then(|dir| dir.sync_all()).map_err(|error| failed("write", above, &error))?;
        Ok(())
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
    // Moved, not copied, and wiped when it was sent.
    let mut request = match key {
        BackupKey::Passphrase(mut text) => MakeBackup { passphrase: Some(std::mem::take(&mut *text)), recovery: None },
        BackupKey::Recovery(mut text) => MakeBackup { passphrase: None, recovery: Some(std::mem::take(&mut *text)) },
    };
    let made = node.download_of("/backup", &request, &mut file);
    request.passphrase.zeroize();
    request.recovery.zeroize();
    made?;
    file.flush().map_err(|error| failed("write", &args.file, &error))?;
    let bytes = file.metadata().map_or(0, |about| about.len());
    beside.finish(&file)?;
    if out.is_json() {
        return out.json(&json!({ "path": args.file, "bytes": bytes }));
    }
    out.line(neutral_line(&args.file.display().to_string()))?;
    let bytes = count(bytes, "byte", "bytes");
    out.note(format!("{bytes}. Whoever has this file and what opens it is you: keep them apart."));
    Ok(())
}

fn restore(args: &RestoreArgs, globals: &Globals, out: &mut Out) -> Done {
    let home = globals.home()?;
    let key = args.key.read(false, out)?;
    let lock = args.home_passphrase_file.clone().map_or(Passphrase::None, Passphrase::File);
    let file = File::open(&args.file).map_err(|error| input::unopened(&args.file, &error))?;
    let restored = restore_backup(&home, BufReader::new(file), &key, &lock)?;
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
        "{}, {}, {}. This is a new device. If the old one is lost: {} device revoke {}",
        count(counts.rooms, "room", "rooms"),
        count(counts.messages, "message", "messages"),
        count(counts.contacts, "contact", "contacts"),
        globals.program(),
        from_device.chars().take(12).collect::<String>()
    ));
    Ok(())
}
