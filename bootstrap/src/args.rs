//! The command line: global options and the list of commands.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use parlor_bootstrap::config::Overrides;

/// A relay for Parlor: helps nodes reach each other, keeps sealed mail for those who sleep, gives out names.
#[derive(Debug, Parser)]
#[command(name = "parlor-bootstrap", version, max_term_width = 100, infer_subcommands = false)]
#[command(after_help = "Examples:
  parlor-bootstrap run                                     a relay for everybody, on port 4001
  parlor-bootstrap run --external /dns4/relay.example/udp/4001/quic-v1
  PARLOR_BOOTSTRAP_TOKEN=... parlor-bootstrap run          a relay for those who know the token
  parlor-bootstrap stats                                   how the running relay does
  parlor-bootstrap ban add 192.0.2.7 --for 7d              refuse somebody

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 no relay is running on this data folder,
5 not found, 6 unreachable or timed out.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// The folder of the relay
    #[arg(long, global = true, value_name = "DIR", env = "PARLOR_BOOTSTRAP_DATA", help_heading = "Global options")]
    pub data: Option<PathBuf>,
    /// Settings in TOML; without it, config.toml in the folder of the relay
    #[arg(long, global = true, value_name = "FILE", env = "PARLOR_BOOTSTRAP_CONFIG", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Answer in JSON: one object, or one a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say more; twice for what the network does
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Say nothing but answers and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
}

impl Cli {
    /// The command line and the environment. A variable that is there and empty says nothing: container files pass on what an
    /// operator did not set.
    ///
    /// # Errors
    /// Help, version, or arguments that do not fit.
    pub fn understand<T: Into<std::ffi::OsString>>(words: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        let said = |arg: Arg| match arg.get_env() {
            Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => arg.env(Resettable::Reset),
            _ => arg,
        };
        let mut command = Self::command().mut_args(said).mut_subcommand("run", |run| run.mut_args(said));
        let words: Vec<std::ffi::OsString> = words.into_iter().map(Into::into).collect();
        let matches = command.try_get_matches_from_mut(words)?;
        let mut cli = Self::from_arg_matches(&matches)?;
        if let (Command::Run(args), Some(run)) = (&mut cli.command, matches.subcommand_matches("run")) {
            args.settle(run, &mut command)?;
        }
        Ok(cli)
    }
}

impl RunArgs {
    /// `--open` wins over a token of the environment; with `--token` it makes no sense.
    fn settle(&mut self, matches: &ArgMatches, command: &mut clap::Command) -> Result<(), clap::Error> {
        if self.open && matches.value_source("token") == Some(ValueSource::CommandLine) {
            return Err(command.error(ErrorKind::ArgumentConflict, "--open can not be used with --token"));
        }
        if self.open {
            self.token = None;
        }
        Ok(())
    }
}

impl Globals {
    /// What was told about the folder and the settings.
    pub fn told(&self) -> Overrides {
        Overrides { data: self.data.clone(), config: self.config.clone(), ..Overrides::default() }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the relay in the foreground
    Run(RunArgs),
    /// Show how the running relay does
    Stats(StatsArgs),
    /// Show by what nodes use the running relay, with its token
    Address,
    /// List, show and take out names
    Names {
        /// What; without it, they are listed
        #[command(subcommand)]
        command: Option<NamesCommand>,
    },
    /// List, add and take back bans
    Ban {
        /// What; without it, they are listed
        #[command(subcommand)]
        command: Option<BanCommand>,
    },
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder
    Man {
        /// The folder to write them into
        dir: PathBuf,
    },
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Listen for nodes on this address; can be repeated
    #[arg(long, value_name = "MULTIADDR", env = "PARLOR_BOOTSTRAP_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,
    /// Nodes reach the relay at this address; can be repeated
    #[arg(long, value_name = "MULTIADDR", env = "PARLOR_BOOTSTRAP_EXTERNAL", value_delimiter = ',')]
    pub external: Vec<String>,
    /// Keep mailboxes here: sled, or nats://HOST:PORT[,..]
    #[arg(long, value_name = "STORE", env = "PARLOR_BOOTSTRAP_MAILBOX")]
    pub mailbox: Option<String>,
    /// Another relay to stay connected to; can be repeated
    #[arg(long, value_name = "MULTIADDR", env = "PARLOR_BOOTSTRAP_PEER", value_delimiter = ',')]
    pub peer: Vec<String>,
    /// Serve /health and /metrics here
    #[arg(long, value_name = "ADDR:PORT", env = "PARLOR_BOOTSTRAP_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Everybody may use it, whatever the settings say
    #[arg(long)]
    pub open: bool,
    /// Only those who know this may use it; others see arguments, so rather use the environment or token_file
    #[arg(long, value_name = "T", env = "PARLOR_BOOTSTRAP_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

/// Arguments of `stats`.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct StatsArgs {
    /// End with 1 when something is wrong with it
    #[arg(long)]
    pub healthy: bool,
}

/// What to do with names.
#[derive(Debug, Subcommand)]
pub enum NamesCommand {
    /// List names in their order
    List {
        /// Begin after this one
        #[arg(long, value_name = "NAME")]
        after: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show one name
    Show {
        /// Which
        name: String,
    },
    /// Take a name out: anybody may claim it then
    Remove {
        /// Which
        name: String,
    },
}

/// What to do with bans.
#[derive(Debug, Subcommand)]
pub enum BanCommand {
    /// List who is refused
    List,
    /// Refuse a peer or an address; of IPv6 the /64
    Add {
        /// A peer id or an IP address
        who: String,
        /// For so long, such as 30m, 12h, 7d; without it, for good
        #[arg(long = "for", value_name = "DURATION")]
        duration: Option<String>,
        /// Why, for yourself
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let a peer or an address in again
    Remove {
        /// A peer id or an IP address
        who: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_contract_is_there_with_its_flags() {
        let calls = [
            "run",
            "run --listen A --listen B --external E --data D --mailbox sled --peer P --metrics 127.0.0.1:1 --config F --open",
            "run --mailbox nats://a:1,b:2 --token abcdefgh",
            "names",
            "names list --after a --limit 3",
            "names show alice",
            "names remove alice",
            "stats",
            "stats --healthy",
            "address",
            "ban",
            "ban list",
            "ban add 192.0.2.7 --for 7d --reason spam",
            "ban remove 192.0.2.7",
            "completions bash",
            "man D",
        ];
        for call in calls {
            for globals in ["", "--json --data D -v "] {
                let words = format!("parlor-bootstrap {globals}{call}");
                let words: Vec<_> = words.split(' ').collect();
                if call.contains("--data") && !globals.is_empty() {
                    continue;
                }
                let parsed = Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
        }
        assert!(Cli::understand(["parlor-bootstrap", "run", "--open", "--token", "abcdefgh"]).is_err());
        assert!(Cli::understand(["parlor-bootstrap", "run", "--token", ""]).is_ok(), "refused later, as a token");
    }
}
