//! Whom a relay refuses: the operator's list of peers and addresses, kept over restarts.
//!
//! A ban is on disk before it holds, and ends by itself when it has an end. Peer ids are free, so a ban of an address says
//! more; of an IPv6 address it holds for the /64.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_net::PeerId;
use parlor_net::relay::RelayHandle;
use parlor_proto::codec;
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};

use crate::limits;
use crate::problem::{Code, Problem};

/// Longest stored ban.
const MAX_BYTES: usize = 64 + limits::REASON_MAX;

/// Who is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// A peer id.
    Peer(PeerId),
    /// An address; of IPv6 its /64.
    Source(IpAddr),
}

/// A ban, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Since when, milliseconds since the epoch.
    pub since_ms: u64,
    /// Until when; `None` for good.
    pub until_ms: Option<u64>,
    /// Why, for the operator; at most [`limits::REASON_MAX`] bytes.
    pub reason: String,
}

/// The list.
#[derive(Debug)]
pub struct Bans {
    store: Store,
    relay: RelayHandle,
    list: Mutex<BTreeMap<Who, Ban>>,
}

impl Who {
    fn key(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

impl FromStr for Who {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if let Ok(peer) = text.parse() {
            return Ok(Self::Peer(peer));
        }
        match text.trim_end_matches("/64").parse() {
            Ok(IpAddr::V6(address)) => Ok(match address.to_ipv4_mapped() {
                Some(v4) => Self::Source(v4.into()),
                None => Self::Source(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            }),
            Ok(v4) => Ok(Self::Source(v4)),
            Err(_) => Err(Problem::new(Code::Usage, format!("{text} is neither a peer id nor an IP address"))
                .hint("a peer id looks like 12D3KooW..., an address like 192.0.2.7 or 2001:db8::1")),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => peer.fmt(f),
            Self::Source(source @ IpAddr::V4(_)) => source.fmt(f),
            Self::Source(source @ IpAddr::V6(_)) => write!(f, "{source}/64"),
        }
    }
}

impl Bans {
    /// The list that is stored, put into effect.
    ///
    /// # Errors
    /// `data_damaged`; `internal` when the relay has stopped.
    pub async fn load(store: Store, relay: RelayHandle, now_ms: u64) -> Result<Self, Problem> {
        let reading = store.clone();
        let rows = tokio::task::spawn_blocking(move || reading.scan(None, Namespace::Ban, &[])).await;
        let rows = rows.map_err(Problem::internal)?.map_err(|e| Problem::new(Code::DataDamaged, e.to_string()))?;
        let mut list = BTreeMap::new();
        for (key, value) in rows {
            let who = std::str::from_utf8(&key).ok().and_then(|text| text.parse::<Who>().ok());
            let ban = codec::decode::<Ban>(&value, MAX_BYTES).ok();
            if let (Some(who), Some(ban)) = (who, ban) {
                list.insert(who, ban);
            }
        }
        let bans = Self { store, relay, list: Mutex::new(list) };
        for (who, ban) in bans.list() {
            if ban.until_ms.is_none_or(|until| until > now_ms) {
                bans.enforce(who).await?;
            }
        }
        Ok(bans)
    }

    /// The list, in the order of the names.
    pub fn list(&self) -> Vec<(Who, Ban)> {
        self.guarded().iter().map(|(who, ban)| (*who, ban.clone())).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.guarded().len()
    }

    /// Refuses somebody, for so long or for good. Durable when it returns, and in effect.
    ///
    /// # Errors
    /// `busy` when the list is full; `disk_full`, `internal`.
    pub async fn add(
        &self,
        who: Who,
        duration: Option<Duration>,
        mut reason: String,
        now_ms: u64,
    ) -> Result<Ban, Problem> {
        if self.count() >= limits::BANS && !self.guarded().contains_key(&who) {
            return Err(Problem::new(Code::Busy, "the list of bans is full").hint("take some out with: ban remove WHO"));
        }
        while reason.len() > limits::REASON_MAX {
            reason.pop();
        }
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let ban = Ban { since_ms: now_ms, until_ms: duration.map(|it| now_ms.saturating_add(ms(it))), reason };
        let mut batch = Batch::new(None);
        batch.put(Namespace::Ban, &who.key(), codec::encode(&ban));
        self.commit(batch).await?;
        self.guarded().insert(who, ban.clone());
        self.enforce(who).await?;
        Ok(ban)
    }

    /// Lets somebody in again; whether he was refused.
    ///
    /// # Errors
    /// `disk_full`, `internal`.
    pub async fn remove(&self, who: Who) -> Result<bool, Problem> {
        if !self.guarded().contains_key(&who) {
            return Ok(false);
        }
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Ban, &who.key());
        self.commit(batch).await?;
        self.guarded().remove(&who);
        let lifted = match who {
            Who::Peer(peer) => self.relay.unban(peer).await,
            Who::Source(source) => self.relay.unban_source(source).await,
        };
        lifted.map_err(Problem::internal)?;
        Ok(true)
    }

    /// Takes out the bans that have ended.
    ///
    /// # Errors
    /// `disk_full`, `internal`.
    pub async fn expire(&self, now_ms: u64) -> Result<(), Problem> {
        let ended = |ban: &Ban| ban.until_ms.is_some_and(|until| until <= now_ms);
        let ended: Vec<Who> = self.guarded().iter().filter(|(_, ban)| ended(ban)).map(|(who, _)| *who).collect();
        for who in ended {
            self.remove(who).await?;
        }
        Ok(())
    }

    async fn enforce(&self, who: Who) -> Result<(), Problem> {
        // Ends are this list's business: it takes them back.
        let done = match who {
            Who::Peer(peer) => self.relay.ban(peer, None).await,
            Who::Source(source) => self.relay.ban_source(source).await,
        };
        done.map_err(Problem::internal)
    }

    async fn commit(&self, batch: Batch) -> Result<(), Problem> {
        self.store.commit(batch).await.map_err(|e| match e {
            parlor_storage::CommitError::DiskFull => Problem::new(Code::DiskFull, e.to_string()),
            e => Problem::internal(e),
        })
    }

    fn guarded(&self) -> MutexGuard<'_, BTreeMap<Who, Ban>> {
        // Each change is one call on the map, so it is sound whatever happened to whoever held it.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_meant_is_understood_and_comes_back_as_it_was_said() {
        let peer = PeerId::from_seed(&[1; 32]);
        for text in [peer.to_string().as_str(), "192.0.2.7", "2001:db8:1:2::/64"] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
        assert_eq!("2001:db8:1:2:3:4:5:6".parse::<Who>().unwrap().to_string(), "2001:db8:1:2::/64");
        assert_eq!("::ffff:192.0.2.7".parse::<Who>().unwrap().to_string(), "192.0.2.7");
        assert_eq!("relay.example".parse::<Who>().unwrap_err().code, Code::Usage);
    }
}
