//! What is shipped beside the program fits it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use parlor_bootstrap::config::{Config, Overrides};
use parlor_bootstrap::metrics::{Levels, MailboxRequest, Metrics, Outcome};

fn shipped(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    text.split(word).filter(|it| it.starts_with("parlor_relay_")).map(str::to_owned).collect()
}

#[test]
fn every_metric_that_the_dashboard_and_the_alerts_name_is_exported() {
    let metrics = Metrics::new();
    // What has labels appears with its first use.
    metrics.claim(Outcome::Done);
    metrics.lookup(Outcome::Done);
    metrics.mailbox(MailboxRequest::Put, Outcome::Done);
    metrics.refused_line();
    let exported = metrics_in(&metrics.text(&Levels { network: None, ..Levels::default() }));
    let dashboard = shipped("compose/grafana/dashboards/parlor-relay.json");
    let value: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(value["panels"].as_array().unwrap().len() > 20);
    let named = metrics_in(&(dashboard + &shipped("compose/alerts.yml")));
    assert!(named.len() > 20, "{named:?}");
    let missing: Vec<_> = named.difference(&exported).collect();
    assert!(missing.is_empty(), "not exported: {missing:?}");
}

#[test]
fn the_shipped_settings_are_read_as_they_are_and_with_every_line_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        let data = Some(dir.path().join("data"));
        Config::load(Overrides { config: Some(path), data, ..Overrides::default() })
    };
    let text = shipped("config.toml");
    assert_eq!(load(&text).unwrap().numbers, parlor_bootstrap::config::Numbers::default());
    let peer = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD";
    let used = text.replace("#mailbox = \"sled\"\n", "").replace("12D3KooW...", peer);
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(setting) if setting.starts_with(char::is_alphabetic) => setting.to_owned(),
        _ => line.to_owned(),
    };
    let used: Vec<_> = used.lines().map(uncommented).collect();
    let config = load(&used.join("\n")).unwrap();
    assert_eq!((config.listen.len(), config.external.len(), config.peers.len()), (2, 2, 1));
    assert!(config.token.is_some());
}

#[test]
fn the_unit_runs_the_program_with_the_shipped_settings_and_no_rights() {
    let unit = shipped("parlor-bootstrap.service");
    for line in [
        "LoadCredential=config.toml:/etc/parlor-bootstrap/config.toml",
        "ExecStart=/usr/bin/parlor-bootstrap run --json --config ${CREDENTIALS_DIRECTORY}/config.toml",
        "DynamicUser=yes",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "Restart=on-failure",
    ] {
        assert!(unit.lines().any(|it| it == line), "{line}");
    }
}

#[test]
fn the_container_tells_its_health_and_builds_from_the_sources_alone() {
    let docker = shipped("Dockerfile");
    assert!(docker.contains("\"stats\", \"--healthy\""), "a relay that is failing would be healthy");
    let ignored = shipped("Dockerfile.dockerignore");
    for path in ["target", ".git"] {
        assert!(ignored.lines().any(|it| it.trim_matches('/') == path), "{path} would go into the context");
    }
    let compose = shipped("compose/compose.yaml");
    assert!(compose.contains("network_mode: host"), "behind the bridge all IPv6 clients are one source");
    assert!(compose.contains("nofile: 65536"));
}
