//! Settings of a node: what the program was told, over what `HOME/config.toml` says, over defaults.
//!
//! ```toml
//! listen = ["/ip4/0.0.0.0/udp/4001/quic-v1"]   # addresses to listen on for other nodes; by default any port, by IPv4 and IPv6
//! relay = ["/dns4/relay.example/tcp/4001/p2p/12D3KooW..."]   # with ?token=TOKEN behind, if the relay is not open to all
//! api = "127.0.0.1:7077"                     # address of the local API
//! mdns = true                                # find members on the local network
//! passphrase_file = "/run/secrets/parlor"    # unlocks the account
//! receipts = true                            # authors learn that we read their messages
//! typing = true                              # others see that we type
//! presence = "here"                          # how others see us: here, away or hidden
//! notify = "count"                           # what notifications tell: off, count, names or text
//! quiet = "22:00-07:00"                      # hours without notifications
//! files.auto = 10485760                      # pictures up to so many bytes are fetched by themselves; 0 for none
//! files.cache = 10737418240                  # files of others take at most so many bytes; the oldest go first
//! ```
//!
//! The last five are what holds until `parlor config set` says otherwise: that is kept in the history.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use parlor_api::{Code, Notify, Problem, Stance};
use parlor_net::Carriers;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::home::{self, Home};
use crate::limits::{FILE_AUTO, FILE_CACHE};
pub use crate::services::attention::{Chosen, Quiet};

/// Longest passphrase, in bytes: longer than anybody types, short enough to hash at once.
pub(crate) const PASSPHRASE_MAX: usize = 1024;

/// Shortest passphrase that is taken for something new, in characters: of shorter ones all are tried by who has the file.
pub const PASSPHRASE_MIN: usize = 8;

/// Addresses to listen on when nobody says: any free port on every interface, by QUIC and by TCP; by IPv6 where the machine has it,
/// for there nobody stands behind a translator of addresses.
fn default_listen() -> Vec<String> {
    let mut listen = vec!["/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0"];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        listen.extend(["/ip6/::/udp/0/quic-v1", "/ip6/::/tcp/0"]);
    }
    listen.into_iter().map(str::to_owned).collect()
}

/// Where the passphrase of the account comes from.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Passphrase {
    /// There is none: the key is in a file of the home with mode 0600.
    #[default]
    None,
    /// The first line of this file.
    File(PathBuf),
    /// Typed by the user.
    Given(Zeroizing<String>),
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Given(_) => f.write_str("Given(..)"),
        }
    }
}

impl Passphrase {
    /// The passphrase itself: the first line of the file, without the line end.
    ///
    /// # Errors
    /// `usage` when the file is not there, is empty or is no text; `home_denied` when it can not be read.
    pub fn read(&self) -> Result<Option<Zeroizing<String>>, Problem> {
        let path = match self {
            Self::None => return Ok(None),
            Self::Given(text) => return Ok(Some(text.clone())),
            Self::File(path) => path,
        };
        let wrong = |what: &str| Problem::new(Code::Usage, format!("the passphrase file {} {what}", path.display()));
        let bytes = Zeroizing::new(home::read_small(path)?.ok_or_else(|| wrong("does not exist"))?);
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8 text"))?;
        let line = text.lines().next().unwrap_or_default();
        match line.len() {
            0 => Err(wrong("is empty")),
            n if n > PASSPHRASE_MAX => Err(wrong("is too long")),
            _ => Ok(Some(Zeroizing::new(line.to_owned()))),
        }
    }

    /// Refuses one that is too short for something new; what was locked with a short one before still opens.
    ///
    /// # Errors
    /// `passphrase_short`; as [`read`](Self::read).
    pub fn must_be_long(&self) -> Result<(), Problem> {
        self.read()?.map_or(Ok(()), |text| long_enough(&text))
    }
}

/// Refuses a passphrase that is too short for something new.
///
/// # Errors
/// `passphrase_short`.
pub fn long_enough(passphrase: &str) -> Result<(), Problem> {
    if passphrase.chars().count() < PASSPHRASE_MIN { Err(Problem::of(Code::PassphraseShort)) } else { Ok(()) }
}

/// Relays as people name them, perhaps with the tokens that they ask for: printed are the addresses.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RelayTexts(Vec<String>);

impl From<Vec<String>> for RelayTexts {
    fn from(texts: Vec<String>) -> Self {
        Self(texts)
    }
}

impl std::ops::Deref for RelayTexts {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Debug for RelayTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|text| text.split('?').next().unwrap_or_default())).finish()
    }
}

/// What the program was told by flags and environment; what is absent comes from the file or the defaults.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Addresses to listen on; none means not said.
    pub listen: Vec<String>,
    /// Relays; none means not said.
    pub relays: RelayTexts,
    /// Address of the local API.
    pub api: Option<SocketAddr>,
    /// Do not look for members on the local network.
    pub no_mdns: bool,
    /// Where the passphrase comes from; `None` means not said.
    pub passphrase: Passphrase,
}

/// Settings of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The home.
    pub home: Home,
    /// Addresses to listen on for other nodes, as multiaddresses.
    pub listen: Vec<String>,
    /// Relays, as multiaddresses with a peer id, and `?token=TOKEN` behind if they are not open to all.
    pub relays: RelayTexts,
    /// Address of the local API, always of this machine; port 0 takes a free one.
    pub api: SocketAddr,
    /// Look for members on the local network.
    pub mdns: bool,
    /// Where the passphrase comes from.
    pub passphrase: Passphrase,
    /// What `config.toml` says of receipts, typing, presence and notifications.
    pub attention: Chosen,
    /// Show notifications on the desktop: for programs of a person, not for tests.
    pub desktop: bool,
    /// Pictures up to so many bytes are fetched by themselves.
    pub files_auto: u64,
    /// Files of others take at most so many bytes.
    pub files_cache: u64,
    /// What carries the connections; no setting of users. [`Carriers::Memory`] is for tests of many nodes in one process.
    pub carriers: Carriers,
}

/// What `config.toml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: Option<Vec<String>>,
    relay: Option<Vec<String>>,
    api: Option<SocketAddr>,
    mdns: Option<bool>,
    passphrase_file: Option<PathBuf>,
    receipts: Option<bool>,
    typing: Option<bool>,
    presence: Option<Stance>,
    notify: Option<Notify>,
    quiet: Option<String>,
    #[serde(default)]
    files: FileSettings,
}

/// What it may say about files.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSettings {
    auto: Option<u64>,
    cache: Option<u64>,
}

impl Config {
    /// The defaults, for the node of this home.
    pub fn new(home: Home) -> Self {
        Self {
            home,
            listen: default_listen(),
            relays: RelayTexts::default(),
            api: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            mdns: true,
            passphrase: Passphrase::None,
            attention: Chosen::default(),
            desktop: false,
            files_auto: FILE_AUTO,
            files_cache: FILE_CACHE,
            carriers: Carriers::Internet,
        }
    }

    /// The settings of a home under what the program was told.
    ///
    /// # Errors
    /// `bad_config` that shows the line; `home_denied`.
    pub fn load(home: Home, told: Overrides) -> Result<Self, Problem> {
        let file = Settings::read(&home)?;
        let mut config = Self::new(home);
        config.listen = some(told.listen).or(file.listen).unwrap_or(config.listen);
        config.relays = some(told.relays.0).or(file.relay).unwrap_or_default().into();
        config.api = told.api.or(file.api).unwrap_or(config.api);
        config.mdns = !told.no_mdns && file.mdns.unwrap_or(true);
        config.passphrase = match told.passphrase {
            Passphrase::None => file.passphrase_file.map_or(Passphrase::None, Passphrase::File),
            told => told,
        };
        let hours = |text: &str| {
            let quiet = crate::services::attention::hours(text);
            quiet.map_err(|problem| Problem::new(Code::BadConfig, format!("quiet: {}", problem.detail)))
        };
        config.attention = Chosen {
            receipts: file.receipts,
            typing: file.typing,
            presence: file.presence,
            notify: file.notify,
            quiet: file.quiet.as_deref().map(hours).transpose()?,
        };
        config.desktop = cfg!(feature = "desktop");
        config.files_auto = file.files.auto.unwrap_or(config.files_auto);
        config.files_cache = file.files.cache.unwrap_or(config.files_cache);
        if config.api.ip().is_loopback() {
            return Ok(config);
        }
        let detail = format!("the local API can not listen on {}: it is for this machine only", config.api);
        Err(Problem::new(Code::BadConfig, detail).hint("use 127.0.0.1:PORT or [::1]:PORT"))
    }
}

impl Settings {
    fn read(home: &Home) -> Result<Self, Problem> {
        let path = home.config_file();
        let Some(bytes) = home::read_small(&path)? else { return Ok(Self::default()) };
        let wrong = |why: String| {
            let detail = format!("{}: {why}", path.display());
            Problem::new(Code::BadConfig, detail).hint("correct that line, or delete it to use the default")
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8 text".to_owned()))?;
        toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(config: &str) -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        std::fs::write(home.config_file(), config).unwrap();
        (dir, home)
    }

    #[test]
    fn what_the_program_was_told_wins_over_the_file_and_the_file_over_the_default() {
        let (_dir, home) = home("api = '127.0.0.1:7077'\nmdns = false\nlisten = ['/ip4/127.0.0.1/tcp/1']");
        let told = Overrides { listen: vec!["/ip4/127.0.0.1/tcp/2".into()], ..Overrides::default() };
        let config = Config::load(home, told).unwrap();
        assert_eq!(config.listen, ["/ip4/127.0.0.1/tcp/2"]);
        assert_eq!(config.api, "127.0.0.1:7077".parse().unwrap());
        assert!(!config.mdns);
        assert!(config.relays.is_empty());
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_line() {
        let (_dir, home) = home("mdns = true\napi_port = 5\n");
        let problem = Config::load(home, Overrides::default()).unwrap_err();
        assert_eq!(problem.code, Code::BadConfig);
        assert!(problem.detail.contains("line 2"), "{problem}");
    }

    #[test]
    fn the_token_of_a_relay_is_read_and_not_printed() {
        let (_dir, home) = home("relay = ['/dns4/r.example/tcp/1/p2p/12D3?token=correct-horse']");
        let config = Config::load(home, Overrides::default()).unwrap();
        assert!(config.relays[0].ends_with("correct-horse"));
        let shown = format!("{config:?}");
        assert!(shown.contains("r.example") && !shown.contains("horse"), "{shown}");
    }

    #[test]
    fn the_local_api_stays_on_this_machine() {
        let (_dir, home) = home("api = '0.0.0.0:7077'");
        assert_eq!(Config::load(home, Overrides::default()).unwrap_err().code, Code::BadConfig);
    }

    #[test]
    fn a_passphrase_is_the_first_line_of_its_file_and_never_shown() {
        let (dir, _) = home("");
        let path = dir.path().join("passphrase");
        std::fs::write(&path, "correct horse\r\nmore\n").unwrap();
        assert_eq!(
            Passphrase::File(path.clone()).read().unwrap().as_deref().map(String::as_str),
            Some("correct horse")
        );
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(Passphrase::File(path.clone()).read().unwrap_err().code, Code::Usage);
        assert!(Passphrase::File(dir.path().join("gone")).read().is_err());
        assert!(!format!("{:?}", Passphrase::Given(Zeroizing::new("horse".into()))).contains("horse"));
    }

    #[test]
    fn something_new_takes_no_passphrase_shorter_than_eight_characters() {
        let of = |text: &str| Passphrase::Given(Zeroizing::new(text.into())).must_be_long().map_err(|it| it.code);
        assert_eq!((of("1234567"), of("12345678")), (Err(Code::PassphraseShort), Ok(())));
        assert_eq!((of("ääääääää"), of("äääää")), (Ok(()), Err(Code::PassphraseShort)), "characters, not bytes");
        assert!(Passphrase::None.must_be_long().is_ok());
        assert!(Problem::of(Code::PassphraseShort).hint.is_some());
    }
}
