//! The relay that anyone can host: helps nodes to reach each other across NATs, keeps sealed mail for those who sleep, and
//! gives out names. It learns addresses, times, sizes and keys of boxes; no room, account, content or author, but for
//! names that people claim.
//!
//! | module | noun |
//! |---|---|
//! | [`limits`] | every bound, with its reason |
//! | [`config`], [`data`] | settings, and the data folder |
//! | [`host`] | a running relay: starts, serves lines, stops |
//! | [`relay`] | what all parts of a running relay share |
//! | [`post`] | one line to the mailboxes |
//! | [`mailbox`] | where mailboxes are kept |
//! | [`directory`] | names, and one line to them |
//! | [`guard`] | what each source may use |
//! | [`turns`] | whose put is next |
//! | [`ban`] | whom the operator refuses |
//! | [`metrics`], [`http`] | what is counted, `/metrics` and `/health` |
//! | [`admin`] | the operator's commands to a running relay |
//! | [`files`] | the limit of open files |
//! | [`problem`] | what goes wrong, for the operator |
//!
//! The program `parlor-bootstrap` is in `main.rs`, `args.rs`, `out.rs` and `cmd/`. It never depends on `node`.

mod accept;
pub mod admin;
pub mod ban;
pub mod config;
pub mod data;
pub mod directory;
pub mod files;
pub mod guard;
pub mod host;
pub mod http;
pub mod limits;
pub mod mailbox;
pub mod metrics;
pub mod post;
pub mod problem;
pub mod relay;
pub mod turns;
