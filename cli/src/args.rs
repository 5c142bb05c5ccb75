//! The command line: global options and the list of commands. Each command's own arguments stand in its file.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use parlor_api::{Code, Problem};
use parlor_node::Home;

use crate::cmd;

/// Chat that belongs to the people who use it: a node of your own, end to end encrypted, without a server.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, max_term_width = 100, infer_subcommands = false)]
#[command(after_help = "Examples:
  parlor                                    start your node, and open its page
  parlor room create Friends                make a room
  parlor invite create Friends --qr         let somebody in
  parlor join 'parlor://join/1/...'         join a room by its link
  parlor send Friends 'Hello'               write
  parlor listen Friends                     see what others write

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no node is running for this home,
4 not permitted, 5 not found, 6 unreachable or timed out.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do; without it, the node is started.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// The folder of the account
    #[arg(long, global = true, value_name = "DIR", env = "PARLOR_HOME", help_heading = "Global options")]
    pub home: Option<PathBuf>,
    /// Answer in JSON: one object, or one a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Say more; twice for what the network does
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// Say nothing but answers and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    pub color: Color,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Globals {
    /// The home: as told, or in the data folder of the platform.
    ///
    /// # Errors
    /// `usage` when this user has no data folder.
    pub fn home(&self) -> Result<Home, Problem> {
        if let Some(dir) = &self.home {
            if dir.as_os_str().is_empty() {
                return Err(Problem::new(Code::Usage, "the home is empty").hint("name a folder with --home DIR"));
            }
            // Absolute, so that hints can be pasted elsewhere.
            return Ok(Home::at(std::path::absolute(dir).unwrap_or_else(|_| dir.clone())));
        }
        let dirs = directories::ProjectDirs::from("", "", "parlor");
        let none = || Problem::new(Code::Usage, "this user has no data folder").hint("name one with --home DIR");
        Ok(Home::at(dirs.ok_or_else(none)?.data_dir()))
    }

    /// How this program is called for the same home, to be pasted into a shell.
    pub fn program(&self) -> String {
        let called = std::env::args().next().filter(|a| !a.is_empty()).unwrap_or_else(|| "parlor".into());
        let told = std::env::args_os().any(|a| a == "--home" || a.to_string_lossy().starts_with("--home="));
        match &self.home {
            // From the environment it holds for what is pasted too.
            Some(dir) if told => {
                let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                format!("{} --home {}", quoted(&called), quoted(&dir.to_string_lossy()))
            }
            _ => quoted(&called),
        }
    }
}

/// A word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an account in the home
    Init(cmd::init::Args),
    /// Run the node in the foreground
    Run(cmd::run::Args),
    /// Show how the node does
    Status,
    /// Say what is wrong, and what to do about it
    Doctor(cmd::doctor::Args),
    /// Stop the running node
    Stop,
    /// Make, list, show, change and leave rooms
    #[command(subcommand)]
    Room(cmd::room::Command),
    /// Make, list and revoke invites
    #[command(subcommand)]
    Invite(cmd::invite::Command),
    /// Join a room by a link or a QR code
    Join(cmd::join::Args),
    /// List who asks to come into a room by an invite with approval
    Requests(cmd::requests::ListArgs),
    /// Let somebody in who asks
    Approve(cmd::requests::AnswerArgs),
    /// Do not let somebody in who asks
    Refuse(cmd::requests::AnswerArgs),
    /// Your card, and whom you know: add, accept, block, verify, name
    #[command(subcommand)]
    Contact(cmd::contact::Command),
    /// Take a name at a relay, or look one up
    #[command(subcommand)]
    Name(cmd::name::Command),
    /// Write to one person, or to several at once
    Dm(cmd::dm::Args),
    /// Answer invitations into groups that wait for a word
    #[command(subcommand)]
    Group(cmd::group::Command),
    /// List the members of a room
    Members(cmd::members::Args),
    /// Give roles, remove, ban
    #[command(subcommand)]
    Member(cmd::member::Command),
    /// Send a message
    Send(cmd::send::Args),
    /// Change the text of one of your messages
    Edit(cmd::say::EditArgs),
    /// Delete a message: one of yours, or as a moderator somebody else's
    Delete(cmd::say::Which),
    /// Put an emoji on a message, or take it off
    React(cmd::say::ReactArgs),
    /// Pin a message, or take the pin out
    Pin(cmd::say::PinArgs),
    /// List the pinned messages
    Pins(cmd::say::PinsArgs),
    /// Start a poll
    Poll(cmd::say::PollArgs),
    /// Choose in a poll
    Vote(cmd::say::VoteArgs),
    /// Show the texts that a message had
    Edits(cmd::say::Which),
    /// Write a room into a file: as JSON that can be verified, or as a page to read
    Export(cmd::export::Args),
    /// Write everything of this home into one sealed file, or make a home of such a file
    #[command(subcommand)]
    Backup(cmd::backup::Command),
    /// Fetch and save files of messages
    #[command(subcommand)]
    File(cmd::file::Command),
    /// Show messages, newest first
    History(cmd::history::Args),
    /// Find messages, newest first
    Search(cmd::search::Args),
    /// Show what happens, as it happens
    Listen(cmd::listen::Args),
    /// Mark messages as read
    Read(cmd::read::Args),
    /// Show one message, and who has it and read it
    Message(cmd::message::Args),
    /// Tell others that you are typing
    Typing(cmd::typing::Args),
    /// Show, keep and clear what you wrote and did not send
    #[command(subcommand)]
    Draft(cmd::draft::Command),
    /// Show, retry and discard what waits to be sent
    #[command(subcommand)]
    Outbox(cmd::outbox::Command),
    /// Open the page of the node in a browser; list and end sessions
    Web(cmd::web::Args),
    /// Make, list and revoke tokens for scripts and bots
    #[command(subcommand)]
    Token(cmd::token::Command),
    /// Have programs of yours called when messages come
    #[command(subcommand)]
    Webhook(cmd::webhook::Command),
    /// List and revoke the devices of this account
    #[command(subcommand)]
    Device(cmd::device::Command),
    /// Show profiles, and change what you tell of yourself and to whom
    #[command(subcommand)]
    Profile(cmd::profile::Command),
    /// Show and change what others see of you, and when you are notified
    #[command(subcommand)]
    Config(cmd::config::Command),
    /// Print completions for a shell
    Completions(cmd::completions::Args),
    /// Write manual pages into a folder
    Man(cmd::man::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_word_survives_the_shell() {
        assert_eq!(quoted("target/release/parlor"), "target/release/parlor");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_text_may_begin_with_a_dash() {
        for text in ["-hello", "- item", "-10 degrees", "-->", "--lines is nice"] {
            for call in [vec!["send", "R", text], vec!["edit", "R", "ID", text], vec!["poll", "R", text, "-a", "-b"]] {
                let words = std::iter::once("parlor").chain(call.iter().copied());
                assert!(Cli::try_parse_from(words).is_ok(), "{call:?}");
            }
        }
        assert!(Cli::try_parse_from(["parlor", "poll", "R", "When?", "A", "B", "--several"]).is_ok());
        assert!(Cli::try_parse_from(["parlor", "poll", "R", "When?", "A", "B", "--json"]).is_err(), "it is no answer");
        let quiet = Cli::try_parse_from(["parlor", "send", "R", "hello", "-q"]).unwrap();
        assert!(quiet.globals.quiet);
    }

    /// A call of every command, with its flags.
    const CALLS: &[&str] = &[
        "init --name A --passphrase-file F",
        "run --listen /ip4/127.0.0.1/tcp/0 --listen /ip4/127.0.0.1/udp/0/quic-v1 --relay R --api 127.0.0.1:0 --no-mdns --passphrase-file F",
        "status",
        "stop",
        "room create N --channel --history from-join --about T --ttl 1d",
        "room list",
        "room show R",
        "room rename R N",
        "room set R --name N --about T --ttl 7d",
        "room set R --history from-join",
        "room leave R",
        "room leave R --force",
        "invite create R --role member --expires 7d --uses 3 --approve --instant --qr --png F",
        "invite list R",
        "invite revoke R I",
        "invite revoke R I --remove-joined",
        "join parlor://join/1/x --timeout 60s",
        "join --qr F.png",
        "members R",
        "member role R @W member --may-invite 2 --invites-for 7d --invite-uses 3",
        "invite create R --delegate 2",
        "device list",
        "device revoke D",
        "init --name A --recover F",
        "member role R W moderator",
        "member role R @W member --may-invite",
        "member remove R W --cascade --purge",
        "member remove R I --invite",
        "member remove --invite R I",
        "member ban R W --cascade --purge",
        "member unban R W",
        "requests R",
        "approve R A",
        "refuse R A",
        "send R text --file P --file Q --reply-to I --wait delivered",
        "send R --file P --keep-metadata",
        "file get R M",
        "file get R M --out P --number 2 --timeout 5m",
        "file remove R M --number 1",
        "send R -",
        "send R --lines",
        "send R -- --not-a-flag",
        "send R text --thread I",
        "edit R I text",
        "edit R I -",
        "delete R I",
        "react R I 👍",
        "react R I 👍 --off",
        "pin R I",
        "pin R I --off",
        "pins R",
        "poll R question one two three --several",
        "vote R I 1 2",
        "vote R I",
        "edits R I",
        "history R --thread I --limit 50 --before I",
        "history R --limit 50 --before I",
        "history R --after I",
        "history R --around I",
        "history R --date 2026-11-21",
        "history R --system",
        "search hello wor",
        "search hello --room R --from W --since 2026-05-01 --until 2026-05-31 --has file --limit 5",
        "search --has file",
        "export R --format json --out P",
        "export R --format html --out P --no-files",
        "export verify F",
        "backup create F",
        "backup create F --passphrase-file P",
        "backup create F --recovery-file P",
        "backup restore F --passphrase-file P --home-passphrase-file Q",
        "backup verify F --recovery-file P",
        "listen",
        "listen R",
        "read R",
        "read R I",
        "message R I",
        "typing R",
        "typing R --off",
        "draft show R",
        "draft set R text --reply-to I",
        "draft set R -",
        "draft set R text --file a.png --file b.pdf --keep-metadata",
        "send R --draft",
        "draft clear R",
        "config get",
        "config get receipts",
        "config set quiet 22:00-07:00",
        "room mute R",
        "room mute R --for 8h",
        "room mute R --off",
        "room notify R mentions",
        "room archive R",
        "room archive R --off",
        "room pin R",
        "room pin R --off",
        "outbox list",
        "outbox retry I",
        "outbox discard",
        "contact card --qr --png F",
        "contact add parlor://contact/1/x --name N --text T",
        "contact add --qr F.png",
        "contact list",
        "contact accept W",
        "contact block W",
        "contact block W --undo",
        "contact verify W",
        "contact verify W --yes",
        "contact verify W --scan F.png",
        "contact name W N",
        "contact remove W",
        "doctor",
        "doctor --report F",
        "name claim N --relay R",
        "name lookup @N@R",
        "dm W",
        "dm @W text",
        "dm @V @W @X --text hello --name Trip",
        "dm @V hello --with @W --with @X",
        "group list",
        "group accept R",
        "group refuse R",
        "web",
        "web --no-open",
        "web list",
        "web revoke all",
        "run --web --no-open",
        "token create N",
        "token create N --scope read,send,manage --room R --room S",
        "token list",
        "webhook create N https://host.example/hook --room R --room S",
        "webhook list",
        "webhook secret I",
        "webhook enable I",
        "webhook remove I",
        "token revoke I",
        "completions bash",
        "man D",
    ];

    #[test]
    fn every_command_of_the_contract_is_there_with_its_flags() {
        for call in CALLS {
            for globals in ["", "--json --home H -v --color never "] {
                let words = format!("parlor {globals}{call}");
                let parsed = Cli::try_parse_from(words.split(' '));
                assert!(parsed.is_ok(), "{words}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn a_mistyped_command_is_answered_with_the_right_one() {
        let error = Cli::try_parse_from(["parlor", "stauts"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("'status'"), "{error}");
    }
}
