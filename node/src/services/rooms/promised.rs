//! What members told of who left before it came: as long as it is missing, a room is not in sync, whoever else is connected.
//!
//! Only messages are remembered, by the number up to which a log goes. Who told too much is believed until he comes again, or is no
//! member any more; so it is while he is connected.

use std::collections::BTreeMap;

use parlor_proto::sync::{Series, Tables};
use parlor_proto::{DeviceId, codec};
use parlor_storage::{Batch, Namespace};

use super::entry::{Turn, names};
use super::settle::Settle;

/// Most logs that are remembered so.
const LOGS_MAX: usize = 4_096;
/// Longest row of them.
const ROW_MAX: usize = 128 * LOGS_MAX;

/// Up to which number logs go, and who told it.
#[derive(Debug, Default)]
pub(super) struct Promised {
    logs: BTreeMap<DeviceId, (u64, DeviceId)>,
}

impl Promised {
    /// Takes a row as it was stored.
    pub(super) fn decode(row: Option<Vec<u8>>) -> Self {
        let rows = row.and_then(|row| codec::decode::<Vec<(DeviceId, u64, DeviceId)>>(&row, ROW_MAX).ok());
        let logs = rows.unwrap_or_default().into_iter().take(LOGS_MAX);
        Self { logs: logs.map(|(log, seq, by)| (log, (seq, by))).collect() }
    }

    fn encode(&self) -> Vec<u8> {
        let rows: Vec<_> = self.logs.iter().map(|(log, (seq, by))| (*log, *seq, *by)).collect();
        codec::encode(&rows)
    }

    /// Somebody goes, and told of this that is not here; what he told before counts no more.
    fn take(&mut self, by: DeviceId, told: impl IntoIterator<Item = (DeviceId, u64)>) {
        self.forget(&by);
        for (log, seq) in told {
            let known = self.logs.get(&log).map(|(seq, _)| *seq);
            if known.is_none_or(|known| known < seq) && (known.is_some() || self.logs.len() < LOGS_MAX) {
                self.logs.insert(log, (seq, by));
            }
        }
    }

    /// What somebody told counts no more.
    fn forget(&mut self, by: &DeviceId) {
        self.logs.retain(|_, (_, teller)| teller != by);
    }

    /// Only what these devices told counts.
    pub(super) fn retain(&mut self, stays: impl Fn(&DeviceId) -> bool) {
        self.logs.retain(|_, (_, by)| stays(by));
    }

    /// How many messages of each log lack.
    pub(super) fn missing<'a>(&'a self, tables: &'a Tables) -> impl Iterator<Item = (DeviceId, u64)> + 'a {
        let lack = |log: &DeviceId, seq: u64| seq.saturating_sub(tables.seq(&Series::messages(*log)));
        self.logs.iter().map(move |(log, (seq, _))| (*log, lack(log, *seq))).filter(|(_, lack)| *lack > 0)
    }

    /// How many messages lack.
    pub(super) fn n_missing(&self, tables: &Tables) -> u64 {
        self.missing(tables).fold(0, |sum, (_, lack)| sum.saturating_add(lack))
    }
}

impl Turn<'_> {
    /// A session ends: what its peer told of and did not give is remembered.
    pub(super) fn note_promised(&mut self, linked: &super::entry::Linked) {
        let tables = &self.entry.tables;
        let Some(by) = linked.device.filter(|_| linked.session.n_owed(tables) > 0) else { return };
        let owes = |log: DeviceId| {
            let series = Series::messages(log);
            let owed = linked.session.owes(&series, tables);
            (owed > 0).then(|| (log, tables.seq(&series).saturating_add(owed)))
        };
        let told: Vec<_> = self.writers(&self.gaps()).into_iter().filter_map(owes).collect();
        self.entry.promised.take(by, told);
        self.keep_promised();
    }

    /// A member holds what is here: it owes nothing, whatever it told before.
    pub(super) fn nothing_promised(&mut self, by: &DeviceId) {
        let n = self.entry.promised.logs.len();
        self.entry.promised.forget(by);
        if self.entry.promised.logs.len() != n {
            self.keep_promised();
            self.tell_progress();
        }
    }

    /// What was told is here now, is left out of what members give each other, or was told by somebody who is no member any more.
    pub(super) fn check_promised(&mut self) {
        if self.entry.promised.logs.is_empty() {
            return;
        }
        let (room, tables, n) = (&self.entry.room, &self.entry.tables, self.entry.promised.logs.len());
        // Of a log that forked since, the rest stands under other names: what lacks of it is told anew by whoever comes.
        let counts = |log: &DeviceId| room.tells(log) && !room.has_branches(log);
        let lacks = |log: &DeviceId, seq: u64| tables.seq(&Series::messages(*log)) < seq && counts(log);
        self.entry.promised.logs.retain(|log, (seq, _)| lacks(log, *seq));
        if self.entry.promised.logs.len() != n {
            self.keep_promised();
        }
    }

    fn keep_promised(&mut self) {
        let mut batch = Batch::new(Some(self.id()));
        match self.entry.promised.logs.is_empty() {
            true => batch.delete(Namespace::Meta, names::PROMISED),
            false => batch.put(Namespace::Meta, names::PROMISED, self.entry.promised.encode()),
        };
        self.hand_over(batch, Settle::default());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_api::{CreateInvite, EventBody, JoinRequest, SendRequest, SyncState};

    use super::*;
    use crate::services::alone::{Alone, config};
    use crate::{App, Home, Passphrase, init_account, start};

    const PATIENCE: Duration = Duration::from_secs(120);
    /// Each of some kilobytes: far more than is under way at once.
    const WRITTEN: usize = 400;

    fn device(n: u8) -> DeviceId {
        DeviceId([n; 32])
    }

    #[test]
    fn what_somebody_told_counts_until_it_is_here_or_he_tells_something_else() {
        let (mut promised, mut tables) = (Promised::default(), Tables::new());
        promised.take(device(1), [(device(7), 10), (device(8), 5)]);
        promised.take(device(2), [(device(7), 8), (device(8), 6)]);
        assert_eq!(promised.n_missing(&tables), 16);
        let mut again = Promised::decode(Some(promised.encode()));
        tables.advance(Series::messages(device(7)), parlor_proto::sync::Tip { seq: 9, id: [0; 32] });
        assert_eq!(again.n_missing(&tables), 7, "also after a restart");
        again.take(device(1), []);
        assert_eq!(again.missing(&tables).collect::<Vec<_>>(), [(device(8), 6)]);
        again.retain(|by| *by != device(2));
        assert_eq!(again.n_missing(&tables), 0);
        again
            .take(device(1), (0..=u16::MAX).map(|n| (DeviceId([n.to_be_bytes(); 16].concat().try_into().unwrap()), 1)));
        assert_eq!(again.logs.len(), LOGS_MAX, "nobody has more remembered");
    }

    async fn sync(app: &App) -> SyncState {
        app.status().await.unwrap().rooms.remove(0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_newcomer_whose_only_member_leaves_is_told_that_more_is_missing_until_it_is_there() {
        let alone = Alone::new().await;
        for n in 0..WRITTEN / 100 {
            let message =
                |i| SendRequest { text: format!("{} {}", 100 * n + i, "x".repeat(15_000)), ..SendRequest::default() };
            alone.app.send(&alone.room, (0..100).map(message).collect()).await.unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        init_account(&home, "bob", &Passphrase::None).unwrap();
        let bob = start(config(&home)).await.unwrap();
        let mut events = bob.app.subscribe(None).unwrap();
        let invite = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
        let join = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
        bob.app.join(join).await.unwrap();
        loop {
            let event = tokio::time::timeout(PATIENCE, events.next()).await.expect("catching up is told");
            if matches!(&event.unwrap().unwrap().body, EventBody::Sync(sync) if sync.want > 0) {
                break;
            }
        }
        alone.node.stop().await.unwrap();
        // What was under way lands.
        let settled = async |app: &App| {
            let (mut last, mut same) = (sync(app).await, 0);
            while last.peers > 0 || same < 20 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = sync(app).await;
                same = if now == last { same + 1 } else { 0 };
                last = now;
            }
            last
        };
        let left = settled(&bob.app).await;
        assert!(!left.done && !left.asking, "{left:?}");
        assert_eq!(left.have + left.want, WRITTEN as u64);
        bob.stop().await.unwrap();
        let bob = start(config(&home)).await.unwrap();
        let again = settled(&bob.app).await;
        assert_eq!((again.have, again.want, again.done), (left.have, left.want, false), "also after a restart");
        let node = start(config(&alone.home)).await.unwrap();
        let began = std::time::Instant::now();
        while !sync(&bob.app).await.done {
            assert!(began.elapsed() < PATIENCE, "{:?}", sync(&bob.app).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(sync(&bob.app).await.have, WRITTEN as u64);
        bob.stop().await.unwrap();
        node.stop().await.unwrap();
    }
}
