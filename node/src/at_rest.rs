//! A home whose node does not run, opened as it lies on disk: who it is and what it holds of each room.
//!
//! For tools that examine or repair a home, and for tests of what others make of one whose owner changed it. It takes the
//! home's lock, so no node runs beside it; it knows nothing of a network and writes nothing of its own accord.

use std::sync::Arc;

use parlor_api::Problem;
use parlor_proto::RoomId;
use parlor_proto::identity::Identity;
use parlor_proto::room::{Room, RoomParts};
use parlor_storage::{OpenOptions, Store, private};

use crate::account::Account;
use crate::config::Passphrase;
use crate::home::Home;
use crate::launch::store_problem;
use crate::services::rooms::stored_parts;

/// An opened home. Its lock is free again when this is dropped.
pub struct AtRest {
    /// Account and device, with their keys.
    pub identity: Arc<Identity>,
    /// The history.
    pub store: Store,
    account: Account,
    home: Home,
    _lock: private::Lock,
}

impl AtRest {
    /// Opens a home. Blocks, with a passphrase for the time of Argon2id.
    ///
    /// # Errors
    /// `no_account`, `home_locked`, `home_denied`, `home_damaged`, `wrong_passphrase`, `passphrase_needed`.
    pub fn open(home: &Home, passphrase: &Passphrase) -> Result<Self, Problem> {
        let lock = home.lock()?;
        let account = Account::open(home, passphrase)?;
        let store = Store::open(&home.store_dir(), account.vault(), OpenOptions::default()).map_err(store_problem)?;
        Ok(Self { identity: account.identity(), store, account, home: home.clone(), _lock: lock })
    }

    /// Replaces the leaf key, as the node does when it is a week old, without waiting for that. Rooms hear of it when the node runs.
    /// Blocks.
    ///
    /// # Errors
    /// `home_denied`, `disk_full`, `home_damaged`; the old one goes on.
    pub fn renew_leaf(&mut self) -> Result<(), Problem> {
        let due_ms = self.account.leaf_due_ms();
        if let Some(identity) = self.account.renew_leaf(&self.home, due_ms)? {
            self.identity = identity;
        }
        Ok(())
    }

    /// What the home holds of a room: the parts of which its machine is made.
    ///
    /// # Errors
    /// `home_damaged`.
    pub fn parts(&self, room: RoomId) -> Result<RoomParts, Problem> {
        stored_parts(&self.store, room)
    }

    /// The machine of a room, as the home holds it.
    ///
    /// # Errors
    /// `home_damaged`.
    pub fn room(&self, room: RoomId) -> Result<Room, Problem> {
        let parts = self.parts(room)?;
        Room::restore(self.identity.clone(), parts).map_err(|error| crate::home_damaged(error.to_string()))
    }
}

impl Drop for AtRest {
    fn drop(&mut self) {
        self.store.close();
    }
}
