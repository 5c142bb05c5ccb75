//! The leaf key of this device, replaced every week: first on disk, then in all rooms, which tell their members.
//!
//! Whoever stole the keys of this device before reads nothing that others seal for it afterwards.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::account::Account;
use crate::clock::{now_ms, until};
use crate::home::Home;
use crate::services::rooms::{Context, Rooms};

/// How long it is left alone after the disk refused a new key.
const RETRY: Duration = Duration::from_secs(3_600);
/// The longest sleep at a time: the clock of the system may be set.
const LOOK: Duration = Duration::from_secs(24 * 3_600);

/// Runs until it is dropped.
pub(crate) async fn run(mut account: Account, home: Home, context: Arc<Context>, rooms: Rooms) {
    loop {
        tokio::time::sleep(until(account.leaf_due_ms()).min(LOOK)).await;
        let home = home.clone();
        let renewing = tokio::task::spawn_blocking(move || {
            let renewed = account.renew_leaf(&home, now_ms());
            (account, renewed)
        });
        // The task of a blocking closure that does not panic ends only with the program.
        let Ok((back, renewed)) = renewing.await else { return };
        account = back;
        match renewed {
            Ok(Some(identity)) => {
                context.identity.replace(identity.clone());
                rooms.renewed(identity).await;
                info!("the leaf key was replaced");
            }
            Ok(None) => {}
            Err(problem) => {
                warn!(%problem, "the leaf key could not be replaced");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
