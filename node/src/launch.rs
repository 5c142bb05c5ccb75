//! From a folder to a running node: making the account of a home, starting its node, stopping it.
//!
//! This is what a program that hosts a node needs; everything else goes through [`App`].

use parlor_api::Problem;
use zeroize::Zeroizing;

use crate::app::App;
use crate::config::{Config, Passphrase};
use crate::home::Home;

/// An account that was just made.
pub struct NewAccount {
    /// Account id.
    pub account: String,
    /// Id of this first device.
    pub device: String,
    /// Name of the account.
    pub name: String,
    /// The 24 words that restore the account: shown once, stored nowhere.
    pub recovery_phrase: Zeroizing<String>,
}

/// Makes the account of a home, and the home if it does not exist. Blocks for the time of Argon2id (about a second) when
/// there is a passphrase. Whoever fails half way finds the home without account again, never with half of one.
///
/// # Errors
/// `already_exists`, `home_locked`, `home_denied`, `disk_full`, `bad_request` for a name that is empty or too long.
pub fn init_account(home: &Home, name: &str, passphrase: &Passphrase) -> Result<NewAccount, Problem> {
    let _ = (home, name, passphrase);
    Err(Problem::of(parlor_api::Code::NotYet))
}

/// A running node.
pub struct Running {
    /// What clients can ask of it.
    pub app: App,
}

/// Starts the node of a home: takes its lock, opens the vault and the store, listens, serves the API, and writes the
/// home's `api.json` and `token`. It is ready when this returns.
///
/// # Errors
/// `no_account`, `home_locked`, `home_denied`, `home_damaged`, `wrong_passphrase`, `passphrase_needed`, `port_in_use`.
pub async fn start(config: Config) -> Result<Running, Problem> {
    let _ = config;
    Err(Problem::of(parlor_api::Code::NotYet))
}

impl Running {
    /// Waits until the node ends: by a client's `stop`, or because something it can not live without failed. Cancel safe.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn ended(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    /// Stops it and waits until everything is on disk and the lock is free.
    ///
    /// # Errors
    /// What could not be saved.
    pub async fn stop(self) -> Result<(), Problem> {
        Ok(())
    }
}
