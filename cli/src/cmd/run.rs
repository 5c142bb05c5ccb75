//! `parlor run`: runs the node in the foreground until SIGINT, SIGTERM or `parlor stop`. `parlor` alone does the same, or
//! says where the node is that runs already. A home without an account gets one first.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use parlor_api::{Code, Event, EventBody, Problem, Ready, WebCode, WebState};
use parlor_node::config::Overrides;
use parlor_node::{Config, Home, Passphrase, Running};

use super::{init, web};
use crate::args::Globals;
use crate::browser;
use crate::client::{Client, is_owned};
use crate::cmd::listen;
use crate::display;
use crate::input;
use crate::out::{Done, Fail, Look, Out};

/// Arguments.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Listen for other nodes on this address; can be repeated
    #[arg(long, value_name = "MULTIADDR", env = "PARLOR_LISTEN", value_delimiter = ',')]
    listen: Vec<String>,
    /// Use this relay, ADDRESS or ADDRESS?token=TOKEN; can be repeated. Other users of this machine see arguments: a token is better
    /// kept in config.toml
    #[arg(long, value_name = "MULTIADDR", env = "PARLOR_RELAY", value_delimiter = ',')]
    relay: Vec<String>,
    /// Serve the local API on this address of this machine
    #[arg(long, value_name = "ADDR:PORT", env = "PARLOR_API")]
    api: Option<SocketAddr>,
    /// Do not look for members on the local network
    #[arg(long)]
    no_mdns: bool,
    /// Unlock the account with the passphrase in the first line of this file
    #[arg(long, value_name = "F", env = "PARLOR_PASSPHRASE_FILE")]
    passphrase_file: Option<PathBuf>,
    /// Open the page; where there is no account yet, or it is locked, that is done in the page
    #[arg(long)]
    web: bool,
    /// With --web: print the link to the page only
    #[arg(long, requires = "web")]
    no_open: bool,
}

/// `parlor` alone: starts the node, or says where it runs.
///
/// # Errors
/// Why no node runs now.
pub fn first_or_again(globals: &Globals, out: &mut Out) -> Done {
    let home = globals.home()?;
    if !is_owned(&home) {
        return start(Args { web: !out.is_json(), ..Args::default() }, true, globals, out);
    }
    let node = Client::connect(home)?;
    let status: Result<parlor_api::Status, Problem> = node.get("/status");
    let at_the_door = |p: &Problem| matches!(p.code, Code::NoAccount | Code::PassphraseNeeded);
    if !out.is_json() && status.as_ref().err().is_some_and(at_the_door) {
        return web::open(true, &node, out);
    }
    let status = status?;
    let parlor_api::Status { api, peer_id, account, name, listen, .. } = status;
    let ready = Ready { api, peer_id, account, name, listen };
    if out.is_json() {
        let at = jiff::Timestamp::now().to_string();
        return out.json(&Event { seq: 0, at, body: EventBody::Ready(ready) });
    }
    out.note("The node is running already.");
    welcome(&ready, globals, out)?;
    web::open(true, &node, out)
}

/// Runs it.
///
/// # Errors
/// Why the node could not start, or had to stop.
pub fn run(args: Args, globals: &Globals, out: &mut Out) -> Done {
    start(args, false, globals, out)
}

/// The same; `alone` when the program was called without a command, which makes the account that is missing, whoever calls it.
fn start(args: Args, alone: bool, globals: &Globals, out: &mut Out) -> Done {
    log(globals);
    let home = globals.home()?;
    let told = Overrides {
        listen: args.listen,
        relays: args.relay.into(),
        api: args.api,
        no_mdns: args.no_mdns,
        passphrase: args.passphrase_file.map_or(Passphrase::None, Passphrase::File),
    };
    let mut config = Config::load(home.clone(), told.clone())?;
    let page = Page { wanted: args.web, open: !args.no_open };
    home.must_be_whole()?;
    if !home.has_account() && !is_owned(&home) && !in_the_page(&page, alone, &config.passphrase, out)? {
        if !alone && (out.is_json() || !input::can_ask()) {
            // A unit file, or a misspelt home: an account that nobody knows of, with a phrase that nobody saw, is of no use.
            let detail = format!("{} has no account", home.dir().display());
            return Err(Problem::new(Code::NoAccount, detail).hint("make one with: parlor init --name NAME").into());
        }
        config.passphrase = first_run(&home, config.passphrase, out)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(host((config, told), &page, globals, out))
}

/// What is wanted of the page.
struct Page {
    /// To be there from the beginning.
    wanted: bool,
    /// To be opened in a browser.
    open: bool,
}

/// Whether the account is to be made in the page: if the user says so, by `--web` where nobody can be asked.
fn in_the_page(page: &Page, alone: bool, passphrase: &Passphrase, out: &Out) -> Result<bool, Problem> {
    if !page.wanted || *passphrase != Passphrase::None {
        return Ok(false);
    }
    if out.is_json() || !input::can_ask() || !page.open {
        return Ok(!alone);
    }
    if !browser::is_there() {
        return Ok(false);
    }
    let answer =
        input::ask("Make your account here (Enter), or in the browser, where a backup is restored too (b)", "")?;
    Ok(answer.eq_ignore_ascii_case("b"))
}

/// Makes the account and answers how to unlock it.
fn first_run(home: &Home, told: Passphrase, out: &mut Out) -> Result<Passphrase, Fail> {
    out.note("Welcome to Parlor. This is the first run: it makes your account.");
    let file = match told {
        Passphrase::File(path) => Some(path),
        Passphrase::None | Passphrase::Given(_) => None,
    };
    let (made, unlock) = init::make(home, None, file, None, out)?;
    if out.is_json() {
        let words = made.recovery_phrase.as_str();
        let told = serde_json::json!({"event": "account", "account": made.account, "recovery_phrase": words});
        out.aside(&told);
        return Ok(unlock);
    }
    init::show_phrase(&made, out)?;
    out.line("")?;
    if input::can_ask() {
        // What follows would push the words off a small screen.
        input::ask("Press Enter when you have written them down", "")?;
    }
    Ok(unlock)
}

/// Hosts the node until it ends or is told to.
async fn host((mut config, told): (Config, Overrides), page: &Page, globals: &Globals, out: &mut Out) -> Done {
    // Heard from the beginning, so that Ctrl-C during the start stops it as cleanly.
    let interrupted = interrupted()?;
    let mut interrupted = std::pin::pin!(interrupted);
    let home = config.home.clone();
    let mut running = loop {
        let passphrase_needed = |p: &Problem| p.code == Code::PassphraseNeeded && input::can_ask() && !out.is_json();
        let at_the_door = |p: &Problem| {
            let asks = p.code == Code::NoAccount || p.code == Code::PassphraseNeeded && !passphrase_needed(p);
            page.wanted && asks
        };
        match parlor_node::start(config.clone()).await {
            Ok(running) => {
                if page.wanted {
                    show_page(&home, page, running.web()?, out)?;
                }
                break running;
            }
            Err(problem) if at_the_door(&problem) => match wait((config, told), page, interrupted.as_mut(), out).await?
            {
                Some(running) => break running,
                None => return Ok(()),
            },
            Err(problem) if passphrase_needed(&problem) => match input::ask_secret("Passphrase")? {
                Some(given) => config.passphrase = Passphrase::Given(given),
                None => return Err(problem.into()),
            },
            Err(problem) => return Err(problem.into()),
        }
    };
    let followed = follow(&mut running, interrupted.as_mut(), globals, out).await;
    let stopped = running.stop().await;
    followed?;
    stopped?;
    Ok(())
}

/// Serves the page until it has made or unlocked the account, and answers the node that runs then; `None` when it was ended before.
async fn wait(
    (config, told): (Config, Overrides),
    page: &Page,
    interrupted: std::pin::Pin<&mut impl Future<Output = ()>>,
    out: &mut Out,
) -> Result<Option<Running>, Fail> {
    let home = config.home.clone();
    let waiting = parlor_node::wait(config, told).await?;
    let (code, state) = (waiting.web()?, waiting.state());
    if out.is_json() {
        let WebCode { url, expires_in, .. } = &code;
        let told = serde_json::json!({
            "event": "waiting", "state": state, "api": waiting.api(), "url": url, "expires_in": expires_in,
        });
        out.json(&told)?;
    } else {
        out.note(match state {
            WebState::New => "Welcome to Parlor. The page makes your account, or restores a backup.",
            _ => "The page asks for your passphrase.",
        });
        show_page(&home, page, code, out)?;
        out.note("Ctrl-C ends it; `parlor web` opens the page again.");
    }
    let stopper = waiting.stopper();
    let mut opened = std::pin::pin!(waiting.opened());
    let running = tokio::select! {
        biased;
        () = interrupted => {
            stopper.send_replace(true);
            opened.await?
        }
        running = opened.as_mut() => running?,
    };
    Ok(running)
}

/// Opens the page in a browser, or tells where it is.
fn show_page(home: &Home, page: &Page, code: WebCode, out: &mut Out) -> Done {
    if out.is_json() {
        return Ok(());
    }
    let opened = page.open && browser::open(home, &code.url);
    web::tell(&code.url, opened, out)
}

/// Shows the node as ready, then (with `--json`) its events, until it ends.
async fn follow(
    running: &mut Running,
    mut interrupted: std::pin::Pin<&mut impl Future<Output = ()>>,
    globals: &Globals,
    out: &mut Out,
) -> Done {
    let mut events = running.app.subscribe(None)?;
    let ready = running.app.ready().await?;
    if out.is_json() {
        let at = jiff::Timestamp::now().to_string();
        out.json(&Event { seq: 0, at, body: EventBody::Ready(ready) })?;
    } else {
        welcome(&ready, globals, out)?;
        out.note("Ctrl-C stops the node.");
    }
    loop {
        tokio::select! {
            biased;
            () = interrupted.as_mut() => {
                out.note("Stopping.");
                return Ok(());
            }
            ended = running.ended() => return Ok(ended?),
            event = events.next() => match event {
                // The first line said it.
                Some(Ok(event)) if matches!(event.body, EventBody::Ready(_)) => {}
                Some(Ok(event)) if out.is_json() => out.json(&*event)?,
                Some(Ok(event)) => {
                    if let EventBody::Error(note) = &event.body {
                        out.note(format!("error: {}", display::neutral(&note.message)));
                    }
                }
                // Whoever reads our output was slow: say so and go on from now.
                Some(Err(_)) => {
                    if out.is_json() {
                        out.json(&listen::missed())?;
                    }
                    events = running.app.subscribe(None)?;
                }
                None => return Ok(()),
            },
        }
    }
}

/// What a person can do now, with commands to paste.
fn welcome(ready: &Ready, globals: &Globals, out: &mut Out) -> Done {
    let name = display::neutral_line(&ready.name);
    let program = globals.program();
    let short: String = ready.account.chars().take(8).collect();
    out.line(format!("Parlor runs as {} (account {short})", out.paint(Look::Strong, &name)))?;
    out.line(format!("  local API  {}", ready.api))?;
    for (i, address) in ready.listen.iter().enumerate() {
        out.line(format!("  {} {address}", if i == 0 { "listens on" } else { "          " }))?;
    }
    let steps = [
        ("To chat with somebody, in another terminal:", format!("{program} room create Friends")),
        ("", format!("{program} invite create Friends --qr")),
        (
            "They start a node with `parlor`, and in another terminal, with the link it prints:",
            "parlor join 'parlor://join/1/...'".to_owned(),
        ),
        ("Then write and read:", format!("{program} send Friends 'Hello'")),
        ("", format!("{program} listen Friends")),
    ];
    out.line("")?;
    for (title, command) in steps {
        if !title.is_empty() {
            out.line(title)?;
        }
        out.line(format!("  {}", out.paint(Look::Strong, &command)))?;
    }
    out.line("")
}

/// Done when SIGINT or SIGTERM comes.
#[cfg(unix)]
pub(super) fn interrupted() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut int = signal(SignalKind::interrupt())?;
    let mut term = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    })
}

#[cfg(not(unix))]
pub(super) fn interrupted() -> io::Result<impl Future<Output = ()>> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

/// Logs to standard error: warnings, with `-v` what the node does, with `-vv` also what the network does.
/// libp2p\'s DHT warns at every start that it knows nobody yet, which is of no matter.
fn log(globals: &Globals) {
    let default = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (_, 0) => "warn,libp2p_kad=error",
        (_, 1) => "warn,libp2p_kad=error,parlor=info,parlor_node=info,parlor_net=info,parlor_storage=info",
        (_, 2) => "info,parlor=debug,parlor_node=debug,parlor_net=debug,parlor_storage=debug",
        _ => "debug",
    };
    let filter = std::env::var("PARLOR_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| default.into());
    // A second subscriber in one process is refused, which is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).try_init();
}
