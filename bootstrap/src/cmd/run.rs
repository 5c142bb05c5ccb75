//! `parlor-bootstrap run`: runs the relay in the foreground until SIGINT or SIGTERM.

use std::future::Future;
use std::io::{self, IsTerminal};

use parlor_bootstrap::config::{Config, Overrides};
use parlor_bootstrap::host::{self, Ready};
use parlor_bootstrap::problem::Problem;

use crate::args::{Globals, RunArgs};
use crate::out::{Done, Out};

/// Runs it.
///
/// # Errors
/// Why it could not start, or had to stop.
pub fn run(args: RunArgs, globals: &Globals, out: Out) -> Done {
    log(globals);
    let told = Overrides {
        listen: args.listen,
        external: args.external,
        mailbox: args.mailbox,
        peers: args.peer,
        metrics: args.metrics,
        open: args.open,
        token: args.token,
        ..globals.told()
    };
    let config = Config::load(told)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, out))
}

async fn serve(config: Config, out: Out) -> Done {
    // Heard from the beginning, so that Ctrl-C during the start stops it as cleanly.
    let interrupted = interrupted()?;
    let running = host::start(config).await?;
    if out.json {
        out.json(running.ready())?;
    } else {
        // What is no terminal is a log or a pipe, which others read.
        let relay = if io::stdout().is_terminal() {
            running.relay().address().await.map_err(Problem::internal)?
        } else {
            running.ready().relay.clone()
        };
        welcome(running.ready(), &relay, out)?;
    }
    running.run(interrupted).await?;
    out.note("Stopped.");
    Ok(())
}

/// What an operator can do now, with texts to paste.
fn welcome(ready: &Ready, relay: &[String], out: Out) -> Done {
    out.line(format!("The relay runs as {}", ready.peer_id))?;
    for (i, address) in ready.listen.iter().enumerate() {
        out.line(format!("  {} {address}", if i == 0 { "listens on" } else { "          " }))?;
    }
    out.line(format!("  metrics    {}/metrics", ready.metrics))?;
    out.line(format!("  health     {}/health", ready.metrics))?;
    out.line("")?;
    out.line("Nodes use it with:")?;
    for text in relay {
        out.line(format!("  parlor run --relay '{text}'"))?;
    }
    out.line("")?;
    if !ready.open && relay == ready.relay {
        out.note("The token is left out here; `parlor-bootstrap address` shows it.");
    }
    if ready.open {
        out.note(
            "Everybody may use it, within the limits. With a token (PARLOR_BOOTSTRAP_TOKEN) only those who know it.",
        );
    }
    out.note("Ctrl-C stops it.");
    Ok(())
}

/// Done when SIGINT or SIGTERM comes.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
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

/// Logs to standard error: warnings, with `-v` what the relay does, with `-vv` also what the network does.
/// libp2p\'s DHT warns at every start that it knows nobody yet, which is of no matter.
fn log(globals: &Globals) {
    let default = match (globals.quiet, globals.verbose) {
        (true, _) => "error",
        (_, 0) => "warn,libp2p_kad=error",
        (_, 1) => "warn,libp2p_kad=error,parlor_bootstrap=info,parlor_net=info,parlor_storage=info",
        (_, 2) => "info,parlor_bootstrap=debug,parlor_net=debug,parlor_storage=debug",
        _ => "debug",
    };
    let filter = std::env::var("PARLOR_LOG").unwrap_or_else(|_| default.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_else(|_| default.into());
    // A second subscriber in one process is refused, which is as good.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false).try_init();
}
