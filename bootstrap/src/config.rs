//! Settings of a relay: what the program was told, over what the config file says, over defaults.
//!
//! ```toml
//! listen = ["/ip4/0.0.0.0/udp/4001/quic-v1", "/ip4/0.0.0.0/tcp/4001"]
//! external = ["/dns4/relay.example/udp/4001/quic-v1"]   # where nodes reach it from outside
//! data = "/var/lib/parlor-bootstrap"
//! mailbox = "sled"                                       # or "nats://127.0.0.1:4222,127.0.0.1:4223"
//! peer = ["/dns4/other.example/tcp/4001/p2p/12D3KooW..."]
//! metrics = "127.0.0.1:4002"
//! token_file = "/etc/parlor-bootstrap/token"             # or token = "..."; open = true without either
//!
//! [limits]
//! connections = 10000
//! mailbox_bytes = 21474836480
//! names = 1000000
//! ```

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use parlor_net::Address;
use parlor_proto::access::{self, AccessToken};
use serde::Deserialize;

use crate::data::{self, DataDir};
use crate::limits;
use crate::problem::{Code, Problem};

/// The port of relays when nobody says: what others of the field use too.
pub const PORT: u16 = 4001;
/// The address of metrics when nobody says.
pub const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4002);

/// What the program was told by flags and environment; what is absent comes from the file or the defaults.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The config file; without one, `config.toml` of the data folder if it is there.
    pub config: Option<PathBuf>,
    /// The data folder.
    pub data: Option<PathBuf>,
    /// Addresses to listen on; none means not said.
    pub listen: Vec<String>,
    /// Addresses at which nodes reach the relay; none means not said.
    pub external: Vec<String>,
    /// Where mailboxes are kept.
    pub mailbox: Option<String>,
    /// Other relays; none means not said.
    pub peers: Vec<String>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Everybody may use it.
    pub open: bool,
    /// Only who knows this may use it.
    pub token: Option<String>,
}

/// Where mailboxes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailboxPlace {
    /// In the data folder.
    Sled,
    /// In a NATS JetStream cluster, by the `HOST:PORT` of its servers.
    Nats(Vec<String>),
}

/// Numbers that an operator may change; each has its default and reason in [`crate::limits`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Numbers {
    /// Connections in all.
    pub connections: u32,
    /// Connections from one source.
    pub connections_per_source: u32,
    /// Circuits in all.
    pub circuits: usize,
    /// Circuits that one peer asked for.
    pub circuits_per_peer: usize,
    /// Circuits of those who asked from one source.
    pub circuits_per_source: usize,
    /// Bytes of one circuit, both ways together; 0 for no limit.
    pub circuit_bytes: u64,
    /// Resident memory in bytes above which new connections are refused.
    pub memory: usize,
    /// Bytes of all mailboxes.
    pub mailbox_bytes: u64,
    /// Bytes that one source may put at once.
    pub put_bytes_at_once: u64,
    /// Bytes that one source may put a day, sustained.
    pub put_bytes_per_day: u64,
    /// Requests that one source may make a second on its lines, sustained.
    pub requests_per_second: u32,
    /// Boxes that one source may make a day, sustained.
    pub boxes_per_day: u32,
    /// Names in all.
    pub names: u64,
    /// New names from one source a day, sustained.
    pub names_per_day: u32,
    /// The limits by source hold for this machine's own addresses too.
    pub loopback: bool,
}

/// Settings of a relay.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder.
    pub data: DataDir,
    /// Addresses to listen on.
    pub listen: Vec<Address>,
    /// Addresses at which nodes reach it.
    pub external: Vec<Address>,
    /// Where mailboxes are kept.
    pub mailbox: MailboxPlace,
    /// Other relays.
    pub peers: Vec<Address>,
    /// Where metrics are served, and whether it was asked for: if not, and it is taken, any free port does.
    pub metrics: (SocketAddr, bool),
    /// Only who knows this may use it; `None` for everybody.
    pub token: Option<AccessToken>,
    /// Numbers.
    pub numbers: Numbers,
}

/// What the config file may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    listen: Option<Vec<String>>,
    external: Option<Vec<String>>,
    data: Option<PathBuf>,
    mailbox: Option<String>,
    peer: Option<Vec<String>>,
    metrics: Option<SocketAddr>,
    open: Option<bool>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    limits: Numbers,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            connections: parlor_net::limits::RELAY_CONNECTIONS,
            connections_per_source: parlor_net::limits::RELAY_CONNECTIONS_PER_SOURCE,
            circuits: parlor_net::limits::RELAY_CIRCUITS,
            circuits_per_peer: parlor_net::limits::RELAY_CIRCUITS_PER_PEER,
            circuits_per_source: parlor_net::limits::RELAY_CIRCUITS_PER_SOURCE,
            circuit_bytes: parlor_net::limits::RELAY_CIRCUIT_BYTES,
            memory: parlor_net::limits::MEMORY_MAX,
            mailbox_bytes: limits::MAILBOX_BYTES,
            put_bytes_at_once: limits::PUT_BYTES_AT_ONCE,
            put_bytes_per_day: limits::PUT_BYTES_PER_DAY,
            requests_per_second: limits::REQUESTS_PER_SECOND,
            boxes_per_day: limits::BOXES_PER_DAY,
            names: limits::NAMES_MAX,
            names_per_day: limits::NAMES_PER_DAY,
            loopback: false,
        }
    }
}

impl Config {
    /// The data folder that the program was told, or the config file says, or the platform's.
    ///
    /// # Errors
    /// `bad_config`, `data_denied`; `usage` when this user has no data folder.
    pub fn data_dir(told: &Overrides) -> Result<DataDir, Problem> {
        Ok(Settings::find(told)?.0)
    }

    /// The settings under what the program was told.
    ///
    /// # Errors
    /// `bad_config` that shows the line or the setting; `data_denied`; `usage` when this user has no data folder.
    pub fn load(told: Overrides) -> Result<Self, Problem> {
        let (data, file) = Settings::find(&told)?;
        let token = token(&told, &file)?;
        let mailbox = told.mailbox.or(file.mailbox);
        let metrics = told.metrics.or(file.metrics);
        Ok(Self {
            data,
            listen: match some(told.listen).or(file.listen) {
                Some(listen) => addresses("listen on", &listen)?,
                None => default_listen(),
            },
            external: addresses("be reached at", &some(told.external).or(file.external).unwrap_or_default())?,
            mailbox: mailbox.map_or(Ok(MailboxPlace::Sled), |text| place(&text))?,
            peers: peers(&some(told.peers).or(file.peer).unwrap_or_default())?,
            metrics: (metrics.unwrap_or(METRICS), metrics.is_some()),
            token,
            numbers: file.limits,
        })
    }
}

impl Settings {
    /// The data folder, and what the config file says.
    fn find(told: &Overrides) -> Result<(DataDir, Self), Problem> {
        if let Some(path) = &told.config {
            let file = Self::read(path)?.ok_or_else(|| {
                Problem::new(Code::BadConfig, format!("there is no config file {}", path.display()))
                    .hint("name one that exists with --config FILE, or leave it out")
            })?;
            let data = match told.data.as_ref().or(file.data.as_ref()) {
                Some(dir) => at(dir)?,
                None => platform_dir()?,
            };
            return Ok((data, file));
        }
        let data = match &told.data {
            Some(dir) => at(dir)?,
            None => platform_dir()?,
        };
        let file = Self::read(&data.config_file())?.unwrap_or_default();
        Ok((data, file))
    }

    fn read(path: &Path) -> Result<Option<Self>, Problem> {
        let Some(bytes) = data::read_small(path)? else { return Ok(None) };
        let wrong = |why: String| {
            Problem::new(Code::BadConfig, format!("{}: {why}", path.display()))
                .hint("correct that line, or delete it to use the default")
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("not UTF-8 text".to_owned()))?;
        toml::from_str(text).map(Some).map_err(|e| wrong(e.to_string().trim_end().to_owned()))
    }
}

fn at(dir: &Path) -> Result<DataDir, Problem> {
    if dir.as_os_str().is_empty() {
        return Err(Problem::new(Code::Usage, "the data folder is empty").hint("name one with --data DIR"));
    }
    Ok(DataDir::at(std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())))
}

fn platform_dir() -> Result<DataDir, Problem> {
    let dirs = directories::ProjectDirs::from("", "", "parlor-bootstrap");
    let none = || Problem::new(Code::Usage, "this user has no data folder").hint("name one with --data DIR");
    Ok(DataDir::at(dirs.ok_or_else(none)?.data_dir()))
}

/// Who may use the relay. Without a word everybody; what was told on the command line wins as a whole.
fn token(told: &Overrides, file: &Settings) -> Result<Option<AccessToken>, Problem> {
    let wrong = |e: access::TokenError| {
        Problem::new(Code::BadConfig, e.to_string()).hint("make one with: openssl rand -hex 16")
    };
    if told.open {
        return Ok(None);
    }
    if let Some(text) = &told.token {
        return AccessToken::parse(text).map(Some).map_err(wrong);
    }
    let stored = match &file.token_file {
        Some(path) => {
            let bytes = data::read_small(path)?;
            let missing = || Problem::new(Code::BadConfig, format!("there is no token file {}", path.display()));
            let text = String::from_utf8(bytes.ok_or_else(missing)?).unwrap_or_default();
            Some(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        None => file.token.clone(),
    };
    match (stored, file.open) {
        (Some(_), Some(true)) => {
            let both = "the config file says both that the relay is open and that it has a token";
            Err(Problem::new(Code::BadConfig, both).hint("delete one of the two lines"))
        }
        (Some(text), _) => AccessToken::parse(&text).map(Some).map_err(wrong),
        (None, Some(false)) => {
            let neither = "the config file says that the relay is not open, and gives no token";
            Err(Problem::new(Code::BadConfig, neither).hint("add token_file = \"FILE\" or token = \"TOKEN\""))
        }
        (None, _) => Ok(None),
    }
}

fn addresses(what: &str, texts: &[String]) -> Result<Vec<Address>, Problem> {
    let parse = |text: &String| {
        let address: Address = text.parse().map_err(|e| {
            Problem::new(Code::BadConfig, format!("can not {what} {text}: {e}"))
                .hint("an address looks like /ip4/0.0.0.0/udp/4001/quic-v1 or /dns4/relay.example/tcp/4001")
        })?;
        Ok(address.without_peer())
    };
    texts.iter().map(parse).collect()
}

fn peers(texts: &[String]) -> Result<Vec<Address>, Problem> {
    let wrong = |text: &str, why: String| {
        Problem::new(Code::BadConfig, format!("can not use the relay {text}: {why}"))
            .hint("an address of a relay looks like /dns4/relay.example/tcp/4001/p2p/12D3KooW...")
    };
    let parse = |text: &String| {
        // Relays need no token of each other: they take part in the DHT only.
        let (address, _) = access::split(text).map_err(|e| wrong(text, e.to_string()))?;
        let address: Address = address.parse().map_err(|e| wrong(text, format!("{e}")))?;
        if address.peer().is_none() {
            return Err(wrong(text, "there is no peer id at its end".to_owned()));
        }
        Ok(address)
    };
    texts.iter().map(parse).collect()
}

fn place(text: &str) -> Result<MailboxPlace, Problem> {
    if text == "sled" {
        return Ok(MailboxPlace::Sled);
    }
    let wrong = || {
        Problem::new(Code::BadConfig, format!("can not keep mailboxes in {text}"))
            .hint("use sled, or nats://HOST:PORT with more servers after commas")
    };
    let servers = text.strip_prefix("nats://").ok_or_else(wrong)?;
    let servers: Vec<String> =
        servers.split(',').map(|it| it.trim_start_matches("nats://").trim().to_owned()).collect();
    let fits = |server: &String| {
        !server.is_empty() && server.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok())
    };
    if servers.iter().all(fits) { Ok(MailboxPlace::Nats(servers)) } else { Err(wrong()) }
}

/// The port of relays on every interface, by QUIC and by TCP; by IPv6 where the machine has it.
fn default_listen() -> Vec<Address> {
    let mut texts = vec![format!("/ip4/0.0.0.0/udp/{PORT}/quic-v1"), format!("/ip4/0.0.0.0/tcp/{PORT}")];
    if UdpSocket::bind("[::1]:0").is_ok() {
        texts.extend([format!("/ip6/::/udp/{PORT}/quic-v1"), format!("/ip6/::/tcp/{PORT}")]);
    }
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &str) -> (tempfile::TempDir, Overrides) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relay.toml");
        std::fs::write(&path, config).unwrap();
        let data = Some(dir.path().join("data"));
        (dir, Overrides { config: Some(path), data, ..Overrides::default() })
    }

    fn texts(addresses: &[Address]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_word_a_relay_is_open_and_keeps_everything_in_its_folder() {
        let (_dir, told) = told("");
        let config = Config::load(told).unwrap();
        assert_eq!(config.token, None);
        assert_eq!(config.mailbox, MailboxPlace::Sled);
        assert_eq!(config.metrics, (METRICS, false));
        assert!(texts(&config.listen).contains(&"/ip4/0.0.0.0/tcp/4001".to_owned()));
        assert_eq!(config.numbers, Numbers::default());
    }

    #[test]
    fn what_the_program_was_told_wins_over_the_file_and_the_file_over_the_default() {
        let (_dir, told) = told(
            "listen = ['/ip4/127.0.0.1/tcp/1']\nmetrics = '127.0.0.1:9'\nmailbox = 'nats://a:1,b:2'\ntoken = 'of-the-file'\n\
             [limits]\nnames = 7\n",
        );
        let listen = vec!["/ip4/127.0.0.1/tcp/2".to_owned()];
        let config = Config::load(Overrides { listen, ..told.clone() }).unwrap();
        assert_eq!(texts(&config.listen), ["/ip4/127.0.0.1/tcp/2"]);
        assert_eq!(config.metrics, ("127.0.0.1:9".parse().unwrap(), true));
        assert_eq!(config.mailbox, MailboxPlace::Nats(vec!["a:1".into(), "b:2".into()]));
        assert!(config.token.unwrap().is(b"of-the-file"));
        assert_eq!((config.numbers.names, config.numbers.connections), (7, Numbers::default().connections));
        let other = Config::load(Overrides { token: Some("of-the-flag".into()), ..told.clone() }).unwrap();
        assert!(other.token.unwrap().is(b"of-the-flag"));
        assert_eq!(Config::load(Overrides { open: true, ..told }).unwrap().token, None);
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_line_or_name() {
        let wrong = [
            ("open = true\nmailboxes = 'sled'\n", "line 2"),
            ("mailbox = 'redis://x'", "redis://x"),
            ("mailbox = 'nats://a:b'", "nats://a:b"),
            ("listen = ['127.0.0.1:4001']", "127.0.0.1:4001"),
            ("peer = ['/ip4/127.0.0.1/tcp/1']", "no peer id"),
            ("token = 'short'", "8 to 128"),
            ("open = true\ntoken = 'long-enough'", "both"),
            ("open = false", "no token"),
            ("token_file = '/nowhere/token'", "/nowhere/token"),
            ("[limits]\nconnections = -1", "line 2"),
        ];
        for (config, what) in wrong {
            let (_dir, told) = told(config);
            let problem = Config::load(told).unwrap_err();
            assert_eq!(problem.code, Code::BadConfig, "{config}");
            assert!(problem.message.contains(what), "{config}: {problem}");
        }
    }

    #[test]
    fn a_config_file_that_was_named_has_to_be_there_and_one_in_the_data_folder_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let data = Some(dir.path().to_owned());
        let missing = Overrides { config: Some(dir.path().join("none")), data: data.clone(), ..Overrides::default() };
        assert_eq!(Config::load(missing).unwrap_err().code, Code::BadConfig);
        let told = Overrides { data, ..Overrides::default() };
        assert!(Config::load(told.clone()).is_ok());
        std::fs::write(dir.path().join("config.toml"), "metrics = '127.0.0.1:1'").unwrap();
        assert_eq!(Config::load(told).unwrap().metrics.0, "127.0.0.1:1".parse().unwrap());
    }
}
