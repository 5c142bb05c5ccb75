//! The operator's commands to a running relay: `admin.sock` in the data folder, for whoever may enter that folder.
//!
//! One line of JSON each way: a [`Command`], and `{"ok":ANSWER}` or `{"error":{"code","message","hint"}}`. A Unix socket and no
//! port, so no web page and no other user reaches it.

use std::future::Future;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::accept;
use crate::ban::{Ban, Who};
use crate::data::{self, DataDir};
use crate::directory::{BookError, Listed};
use crate::limits;
use crate::problem::{Code, Problem};
use crate::relay::{Relay, now_ms};

/// Longest path of a socket that every system takes.
const PATH_MAX: usize = 100;

/// What the operator asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Command {
    /// How it does.
    Stats,
    /// By what nodes use it, with its token.
    Address,
    /// Names in their order.
    Names {
        /// After this one.
        after: Option<String>,
        /// At most so many, and [`limits::ADMIN_PAGE`].
        limit: usize,
    },
    /// One name, with its card.
    Name {
        /// Which.
        name: String,
    },
    /// Takes a name out.
    RemoveName {
        /// Which.
        name: String,
    },
    /// Who is refused, in the order of the list.
    Bans {
        /// After so many.
        skip: usize,
    },
    /// Refuses somebody.
    Ban {
        /// A peer id or an IP address.
        who: String,
        /// For so long; for good without.
        seconds: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Lets somebody in again.
    Unban {
        /// A peer id or an IP address.
        who: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Ok(Value),
    Error(Problem),
}

/// Listens for the operator's commands.
///
/// # Errors
/// `data_denied`.
pub fn bind(data: &DataDir) -> Result<UnixListener, Problem> {
    let path = data.admin_socket();
    let failed = |e: &io::Error| data::failed("listen on", &path, e);
    // Left by a relay that was killed: whoever holds the lock of the folder owns it.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(&e)),
        _ => {}
    }
    let listener = near(&path, |short| UnixListener::bind(short)).map_err(|e| failed(&e))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|e| failed(&e))?;
    }
    Ok(listener)
}

/// Serves until `shutdown` is done.
pub async fn serve(listener: UnixListener, relay: Arc<Relay>, shutdown: impl Future<Output = ()>) {
    let accept = || async { Ok(listener.accept().await?.0) };
    let serve = |stream| {
        let relay = relay.clone();
        // Whoever is too slow asks again.
        async move { drop(timeout(limits::ADMIN_TIME, converse(stream, &relay)).await) }
    };
    accept::each(limits::ADMIN_CONNECTIONS, shutdown, accept, serve).await;
}

async fn converse(mut stream: UnixStream, relay: &Relay) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(reader.take(limits::ADMIN_REQUEST as u64)).read_line(&mut line).await?;
    let said = match serde_json::from_str::<Command>(&line) {
        Ok(command) => obey(command, relay).await.map_or_else(Said::Error, Said::Ok),
        Err(e) => Said::Error(Problem::new(Code::Usage, format!("not a command: {e}"))),
    };
    let mut text = serde_json::to_vec(&said)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    writer.shutdown().await
}

async fn obey(command: Command, relay: &Relay) -> Result<Value, Problem> {
    match command {
        Command::Stats => to_value(&relay.stats().await),
        Command::Address => Ok(json!({ "relay": relay.address().await.map_err(Problem::internal)? })),
        Command::Names { after, limit } => {
            let names = relay.book.list(after, limit.min(limits::ADMIN_PAGE)).await.map_err(book_problem)?;
            Ok(names.iter().map(listed).collect())
        }
        Command::Name { name } => {
            let held = relay.book.lookup(parse_name(&name)?).await.map_err(book_problem)?;
            let held = held.ok_or_else(|| no_name(&name))?;
            let listed = listed(&Listed {
                name: held.record.name.clone(),
                account: held.record.account(),
                since_ms: held.since_ms,
            });
            let mut value = listed;
            value["changed_at"] = rfc3339(held.at_ms).into();
            value["card_bytes"] = held.record.card.len().into();
            Ok(value)
        }
        Command::RemoveName { name } => {
            if !relay.book.remove(parse_name(&name)?).await.map_err(book_problem)? {
                return Err(no_name(&name));
            }
            Ok(json!({ "name": name, "removed": true }))
        }
        Command::Bans { skip } => {
            let list = relay.bans.list();
            Ok(list.iter().skip(skip).take(limits::ADMIN_PAGE).map(|(who, ban)| banned(who, ban)).collect())
        }
        Command::Ban { who, seconds, reason } => {
            let who: Who = who.parse()?;
            let ban = relay.bans.add(who, seconds.map(Duration::from_secs), reason, now_ms()).await?;
            Ok(banned(&who, &ban))
        }
        Command::Unban { who } => {
            let who: Who = who.parse()?;
            if !relay.bans.remove(who).await? {
                return Err(Problem::new(Code::NotFound, format!("{who} is not banned")).hint("see: ban list"));
            }
            Ok(json!({ "who": who.to_string(), "removed": true }))
        }
    }
}

fn to_value(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(Problem::internal)
}

fn listed(it: &Listed) -> Value {
    json!({ "name": it.name, "account": it.account.to_string(), "since": rfc3339(it.since_ms) })
}

fn banned(who: &Who, ban: &Ban) -> Value {
    let kind = match who {
        Who::Peer(_) => "peer",
        Who::Source(_) => "address",
    };
    json!({
        "who": who.to_string(), "kind": kind, "reason": ban.reason,
        "since": rfc3339(ban.since_ms), "until": ban.until_ms.map(rfc3339),
    })
}

/// A time as people and programs write it.
fn rfc3339(ms: u64) -> String {
    let at = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}

fn parse_name(text: &str) -> Result<parlor_proto::name::Name, Problem> {
    text.parse().map_err(|e| Problem::new(Code::Usage, format!("{text}: {e}")))
}

fn no_name(name: &str) -> Problem {
    Problem::new(Code::NotFound, format!("nobody goes by {name} here")).hint("see: names list")
}

fn book_problem(error: BookError) -> Problem {
    Problem::internal(error)
}

/// Asks the relay that runs on this data folder. Blocks.
///
/// # Errors
/// `not_running`; `unreachable` when it does not answer in time; else what the relay says.
pub fn ask(data: &DataDir, command: &Command) -> Result<Value, Problem> {
    let path = data.admin_socket();
    let none = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            Problem::new(Code::NotRunning, format!("no relay is running on {}", data.dir().display()))
                .hint("start it with: parlor-bootstrap run, or name its folder with --data DIR")
        }
        _ => data::failed("connect to", &path, &e),
    };
    let stream = near(&path, |short| BlockingStream::connect(short)).map_err(none)?;
    let answered = converse_blocking(stream, command).map_err(|e| {
        Problem::new(Code::Unreachable, format!("the relay does not answer: {e}")).hint("look into its log")
    })?;
    match serde_json::from_str(&answered) {
        Ok(Said::Ok(value)) => Ok(value),
        Ok(Said::Error(problem)) => Err(problem),
        Err(e) => {
            Err(Problem::new(Code::Unreachable, format!("the relay gave no answer: {e}")).hint("look into its log"))
        }
    }
}

fn converse_blocking(mut stream: BlockingStream, command: &Command) -> io::Result<String> {
    stream.set_read_timeout(Some(limits::ADMIN_TIME))?;
    stream.set_write_timeout(Some(limits::ADMIN_TIME))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(limits::ADMIN_ANSWER as u64)).read_line(&mut answer)?;
    Ok(answer)
}

/// Does something with the path of a socket. A path that is too long for the system is named by its open folder instead.
fn near<T>(path: &Path, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    if path.as_os_str().len() <= PATH_MAX {
        return with(path);
    }
    let folder = std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    with(&short.join(path.file_name().unwrap_or_default()))
}
