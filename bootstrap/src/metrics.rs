//! What is counted and measured, in the text form of Prometheus. Numbers only: no peer, address, box or name stands in a
//! metric.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parlor_net::relay::Status as RelayStatus;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::guard::Use;

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$inner])* $variant,)* }

        impl $name {
            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

labels! {
    /// What became of a request.
    Outcome {
        /// Done.
        Done = "done",
        /// Refused, by a rule or a quota.
        Refused = "refused",
        /// Refused, for the store holds as much as it may.
        Full = "full",
        /// There is no such thing.
        Unknown = "unknown",
        /// The store failed.
        Failed = "failed",
    }
}

labels! {
    /// A request on a mailbox line.
    MailboxRequest {
        /// A blob is put.
        Put = "put",
        /// A box is listed.
        List = "list",
        /// A blob is read.
        Get = "get",
        /// A box is subscribed.
        Subscribe = "subscribe",
        /// A blob is taken out.
        Drop = "drop",
        /// A token is shown.
        Token = "token",
    }
}

/// Counters by one label, and by two.
type By1 = Family<[(&'static str, &'static str); 1], Counter>;
type By2 = Family<[(&'static str, &'static str); 2], Counter>;

/// What is looked up when somebody asks for the metrics.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// The network.
    pub network: Option<RelayStatus>,
    /// Blobs and bytes in the mailboxes.
    pub mailbox: (u64, u64),
    /// What they count against their bound, and the bound.
    pub mailbox_counted: (u64, u64),
    /// Open files, and how many there may be.
    pub files: (u64, u64),
    /// Names.
    pub names: u64,
    /// Bans.
    pub bans: u64,
    /// Bytes of the data folder.
    pub disk: u64,
    /// Free bytes of its disk.
    pub disk_free: u64,
    /// Resident memory in bytes.
    pub memory: u64,
    /// Sources whose use is remembered.
    pub sources: u64,
}

/// All metrics of a relay. Cheap to clone parts; one for each relay.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    levels: Vec<(Gauge<i64, AtomicI64>, Level)>,
    totals: Vec<(Counter<u64, AtomicU64>, Total)>,
    mailbox: By2,
    put_bytes: Counter,
    got_bytes: Counter,
    pushes: Counter,
    put_seconds: Histogram,
    claims: By1,
    lookups: By1,
    quotas: By1,
}

type Level = fn(&Levels) -> u64;
type Total = fn(&RelayStatus) -> u64;

/// Names, help and source of the gauges.
const LEVELS: [(&str, &str, Level); 20] = [
    ("connections", "Connections that stand", |it| net(it, |net| net.connections)),
    ("connected_sources", "Addresses with a connection", |it| net(it, |net| net.sources)),
    ("reservations", "Circuit reservations that stand", |it| net(it, |net| net.reservations)),
    ("circuits", "Circuits that stand", |it| net(it, |net| net.circuits)),
    ("lines", "Lines of mailboxes and the directory that stand", |it| net(it, |net| net.lines)),
    ("dht_records", "Records of the DHT that are held", |it| net(it, |net| net.records)),
    ("peers_connected", "Other relays that are connected", |it| net(it, |net| net.peers.len())),
    ("peers_away", "Other relays that are not", |it| net(it, |net| net.peers_away.len())),
    ("mailbox_blobs", "Blobs in the mailboxes", |it| it.mailbox.0),
    ("mailbox_bytes", "Bytes in the mailboxes", |it| it.mailbox.1),
    ("mailbox_counted_bytes", "Bytes in the mailboxes with what they take beside", |it| it.mailbox_counted.0),
    ("mailbox_max_bytes", "What mailbox_counted_bytes may come to", |it| it.mailbox_counted.1),
    ("open_files", "Open files of the process", |it| it.files.0),
    ("open_files_max", "Open files that the process may have", |it| it.files.1),
    ("names", "Names in the directory", |it| it.names),
    ("bans", "Peers and addresses that are refused", |it| it.bans),
    ("data_bytes", "Bytes of the data folder", |it| it.disk),
    ("disk_free_bytes", "Free bytes on the disk of the data folder", |it| it.disk_free),
    ("memory_bytes", "Resident memory of the process", |it| it.memory),
    ("quota_sources", "Addresses whose use is remembered for quotas", |it| it.sources),
];

/// Names, help and source of the counters that the network keeps.
const TOTALS: [(&str, &str, Total); 13] = [
    ("connections_opened", "Connections that were established", |it| it.traffic.connections),
    ("connections_refused", "Connections that were refused or failed", |it| it.traffic.connections_refused),
    ("reservations_made", "Circuit reservations that were made or renewed", |it| it.traffic.reservations),
    ("reservations_refused", "Circuit reservations that were refused", |it| it.traffic.reservations_refused),
    ("circuits_made", "Circuits that were made", |it| it.traffic.circuits),
    ("circuits_refused", "Circuits that were refused", |it| it.traffic.circuits_refused),
    ("lines_opened", "Lines that were accepted", |it| it.traffic.lines),
    ("lines_refused", "Lines that were refused", |it| it.traffic.lines_refused),
    ("dht_records_taken", "Records of the DHT that were taken in", |it| it.traffic.records),
    ("dht_records_refused", "Records of the DHT that were refused", |it| it.traffic.records_refused),
    ("dht_finds", "Questions to the DHT that were answered", |it| it.traffic.finds),
    ("streams_paced", "Streams that came faster than their source may open them", |it| it.traffic.streams_paced),
    ("reachability_probes", "Addresses of nodes that were tried from outside", |it| it.traffic.probes),
];

/// Seconds of the buckets for puts: a durable flush is some milliseconds.
const PUT_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 4.0, 16.0];

fn net(levels: &Levels, number: impl Fn(&RelayStatus) -> usize) -> u64 {
    levels.network.as_ref().map_or(0, |network| number(network) as u64)
}

impl Metrics {
    /// Metrics at zero.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("parlor_relay");
        let info = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", info);
        let started = Gauge::<i64, AtomicI64>::default();
        started.set(jiff::Timestamp::now().as_second());
        registry.register("start_time_seconds", "When the relay started, seconds since 1970", started);
        let levels = LEVELS.into_iter().map(|(name, help, level)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            (gauge, level)
        });
        let levels = levels.collect();
        let totals = TOTALS.into_iter().map(|(name, help, total)| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            (counter, total)
        });
        let totals = totals.collect();
        let put_seconds = Histogram::new(PUT_SECONDS);
        let mut metrics = Self {
            registry,
            levels,
            totals,
            mailbox: Family::default(),
            put_bytes: Counter::default(),
            got_bytes: Counter::default(),
            pushes: Counter::default(),
            put_seconds,
            claims: Family::default(),
            lookups: Family::default(),
            quotas: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("mailbox_requests", "Requests on mailbox lines", self.mailbox.clone());
        registry.register("mailbox_put_bytes", "Bytes of blobs that were put durably", self.put_bytes.clone());
        registry.register("mailbox_got_bytes", "Bytes of blobs that were read", self.got_bytes.clone());
        registry.register("mailbox_pushes", "Blobs told to subscribers", self.pushes.clone());
        registry.register("mailbox_put_seconds", "Time until a blob was durable", self.put_seconds.clone());
        registry.register("directory_claims", "Claims of names", self.claims.clone());
        registry.register("directory_lookups", "Look-ups of names", self.lookups.clone());
        registry.register("quota_refusals", "Requests refused because a source asked too much", self.quotas.clone());
    }

    /// The metrics as text, with these levels.
    pub fn text(&self, levels: &Levels) -> String {
        for (gauge, level) in &self.levels {
            gauge.set(i64::try_from(level(levels)).unwrap_or(i64::MAX));
        }
        if let Some(network) = &levels.network {
            for (counter, total) in &self.totals {
                counter.inner().store(total(network), Ordering::Relaxed);
            }
        }
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A claim of a name was answered.
    pub fn claim(&self, outcome: Outcome) {
        self.claims.get_or_create(&[("outcome", outcome.text())]).inc();
    }

    /// A look-up of a name was answered.
    pub fn lookup(&self, outcome: Outcome) {
        self.lookups.get_or_create(&[("outcome", outcome.text())]).inc();
    }

    /// A request on a mailbox line was answered.
    pub fn mailbox(&self, request: MailboxRequest, outcome: Outcome) {
        self.mailbox.get_or_create(&[("request", request.text()), ("outcome", outcome.text())]).inc();
    }

    /// A blob of so many bytes is durable, after this time.
    pub fn put(&self, bytes: usize, time: Duration) {
        self.put_bytes.inc_by(bytes as u64);
        self.put_seconds.observe(time.as_secs_f64());
    }

    /// A blob of so many bytes was read.
    pub fn got(&self, bytes: usize) {
        self.got_bytes.inc_by(bytes as u64);
    }

    /// A blob was told to a subscriber.
    pub fn pushed(&self) {
        self.pushes.inc();
    }

    /// A source used too much.
    pub fn refused_by_quota(&self, what: Use) {
        self.quota(match what {
            Use::Request => "requests",
            Use::PutBytes => "put_bytes",
            Use::NewBox => "new_boxes",
            Use::NewName => "new_names",
            Use::NameChange => "name_changes",
            Use::Lookup => "lookups",
        });
    }

    /// A line was refused because its source has too many.
    pub fn refused_line(&self) {
        self.quota("lines");
    }

    /// A wrong token was shown.
    pub fn wrong_token(&self) {
        self.quota("wrong_tokens");
    }

    fn quota(&self, quota: &'static str) {
        self.quotas.get_or_create(&[("quota", quota)]).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_in_the_text() {
        let metrics = Metrics::new();
        metrics.put(512, Duration::from_millis(3));
        metrics.claim(Outcome::Done);
        metrics.refused_by_quota(Use::NewName);
        let text = metrics.text(&Levels { names: 7, mailbox: (2, 1_024), ..Levels::default() });
        for line in [
            "parlor_relay_names 7",
            "parlor_relay_mailbox_bytes 1024",
            "parlor_relay_mailbox_put_bytes_total 512",
            "parlor_relay_mailbox_put_seconds_bucket{le=\"0.004\"} 1",
            "parlor_relay_directory_claims_total{outcome=\"done\"} 1",
            "parlor_relay_quota_refusals_total{quota=\"new_names\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
    }
}
