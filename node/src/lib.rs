//! Joins the parts: services, local API, web UI served.

mod account;
pub mod app;
mod at_rest;
mod backup;
pub mod bus;
mod clock;
pub mod config;
mod count;
mod doctor;
mod door;
mod formatted;
pub mod home;
pub mod http;
pub mod launch;
mod limits;
mod listen;
mod services;
mod verify;

pub use app::App;
pub use at_rest::AtRest;
pub use backup::{BackupKey, Checked, Counts, Restored, restore_backup, verify_backup};
pub use config::{Config, Passphrase, long_enough};
pub use count::count;
pub use home::Home;
pub use launch::{NewAccount, Running, Waiting, init_account, recover_account, start, wait};
pub use verify::{Verified, verify_export};

/// Something of the home is damaged: what it is, with the remedy.
fn home_damaged(detail: impl Into<String>) -> parlor_api::Problem {
    parlor_api::Problem::new(parlor_api::Code::HomeDamaged, detail)
        .hint("restore the home from a backup, or leave the room and join again; nothing was overwritten")
}
