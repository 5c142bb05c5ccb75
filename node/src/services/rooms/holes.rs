//! Holes: messages that were written, as far as is known here, and did not come yet.
//!
//! A log is held without gaps, so what lacks of an author is what he wrote last, as far as members that are connected told of it, or as what
//! came of it says that waits; and of messages that others built on it is known that they are, not by whom. It comes by sync: here it
//! is only said.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use parlor_api::{Hole, HoleKind};
use parlor_proto::event::LogKind;
use parlor_proto::room::Missing;
use parlor_proto::sync::Series;
use parlor_proto::wire::SeriesKind;
use parlor_proto::{AccountId, DeviceId};

use super::entry::Turn;
use crate::count::count;

/// Authors of whom it is told apart what is missing; what lacks of others is not counted.
const AUTHORS: usize = 64;

/// What lacks of one author, and who is asked.
#[derive(Debug, Default)]
struct Lack {
    missing: u64,
    asking: BTreeSet<String>,
}

impl Turn<'_> {
    /// What is known to be missing, the most first.
    pub(super) fn holes(&self) -> Vec<Hole> {
        let mut lacks: BTreeMap<AccountId, Lack> = BTreeMap::new();
        let mut waits: BTreeMap<DeviceId, u64> = self.gaps();
        for (device, lack) in self.entry.promised.missing(&self.entry.tables) {
            let told = waits.entry(device).or_default();
            *told = lack.max(*told);
        }
        let owing: Vec<_> =
            self.entry.sessions.values().filter(|linked| linked.session.n_owed(&self.entry.tables) > 0).collect();
        let devices = if owing.is_empty() { waits.keys().copied().collect() } else { self.writers(&waits) };
        for device in devices {
            let Some(account) = self.entry.room.account_of(&device) else { continue };
            let series = Series::messages(device);
            let mut told = waits.get(&device).copied().unwrap_or(0);
            let mut asking = BTreeSet::new();
            for linked in &owing {
                let owed = linked.session.owes(&series, &self.entry.tables);
                told = told.max(owed);
                let who = linked.device.and_then(|device| self.entry.room.account_of(&device));
                asking.extend(who.filter(|_| owed > 0).map(|who| self.name_of(&who)));
            }
            if told > 0 {
                let lack = lacks.entry(account).or_default();
                lack.missing = lack.missing.saturating_add(told);
                lack.asking.extend(asking);
            }
        }
        self.spoken_holes(lacks)
    }

    /// Numbers that lack before what came and waits, by device.
    pub(super) fn gaps(&self) -> BTreeMap<DeviceId, u64> {
        let mut gaps = BTreeMap::new();
        for missing in self.entry.room.missing() {
            if let Missing::Log { log, from, to } = missing
                && log.kind == LogKind::Message
            {
                gaps.insert(log.device, to.saturating_sub(from).saturating_add(1));
            }
        }
        gaps
    }

    /// Every device that may have written: whose log is here, and those of members.
    pub(super) fn writers(&self, waits: &BTreeMap<DeviceId, u64>) -> HashSet<DeviceId> {
        let members = self.entry.room.members();
        let live = members.iter().flat_map(|member| member.devices.iter().map(|(device, _)| *device));
        let known = self.entry.tables.iter().filter(|(series, _)| series.kind == SeriesKind::Message);
        known.map(|(series, _)| series.device).chain(live).chain(waits.keys().copied()).collect()
    }

    fn spoken_holes(&self, lacks: BTreeMap<AccountId, Lack>) -> Vec<Hole> {
        let known: u64 = lacks.values().map(|lack| lack.missing).fold(0, u64::saturating_add);
        let mut holes: Vec<Hole> = lacks
            .into_iter()
            .map(|(account, lack)| {
                let author = self.author_of(&account);
                let asking: Vec<String> = lack.asking.into_iter().collect();
                let text = spoken(lack.missing, Some(&author.name), &asking);
                Hole { kind: HoleKind::Hole, author: Some(author), missing: lack.missing, asking, text }
            })
            .collect();
        holes.sort_by_key(|hole| std::cmp::Reverse(hole.missing));
        holes.truncate(AUTHORS);
        // What others built on may be among those.
        let missing = (self.entry.room.missing_parents() as u64).saturating_sub(known);
        if missing > 0 {
            let connected = self.entry.connected();
            let accounts: BTreeSet<_> =
                connected.iter().filter_map(|device| self.entry.room.account_of(device)).collect();
            let asking: Vec<String> = accounts.iter().map(|account| self.name_of(account)).collect();
            let text = spoken(missing, None, &asking);
            holes.push(Hole { kind: HoleKind::Hole, author: None, missing, asking, text });
        }
        holes
    }
}

/// A hole for people.
fn spoken(missing: u64, author: Option<&str>, asking: &[String]) -> String {
    let from = author.map_or_else(|| " that others answered".to_owned(), |author| format!(" from {author}"));
    let what = count(missing, &format!("message{from} is missing"), &format!("messages{from} are missing"));
    match asking.split_last() {
        None => format!("{what}; nobody who has it is connected"),
        Some((last, [])) => format!("{what}, asking {last}"),
        Some((last, others)) => format!("{what}, asking {} and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_api::{CreateInvite, JoinRequest, Page, SendRequest};
    use parlor_proto::RoomId;
    use parlor_proto::mailbox::Mail;
    use parlor_proto::wire::{Blob, Item};
    use parlor_storage::{LogKind as StoredKind, Want};

    use super::*;
    use crate::app::Anchor;
    use crate::services::alone::{Alone, config};
    use crate::{App, Home, Passphrase, init_account, start};

    #[test]
    fn a_hole_says_of_whom_how_much_and_who_is_asked() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(spoken(3, Some("Alice"), &names(&["Bob"])), "3 messages from Alice are missing, asking Bob");
        assert_eq!(
            spoken(2, Some("Alice"), &names(&["Bob", "Carol", "Dave"])),
            "2 messages from Alice are missing, asking Bob, Carol and Dave"
        );
        assert_eq!(
            spoken(1, None, &names(&[])),
            "1 message that others answered is missing; nobody who has it is connected"
        );
    }

    async fn page(app: &App, room: &str) -> Page<parlor_api::Message> {
        app.history(room, Anchor::Newest, 50, false).await.unwrap()
    }

    /// Waits until a node shows so many messages and holes.
    async fn shows(app: &App, room: &str, messages: usize, holes: usize) -> Page<parlor_api::Message> {
        loop {
            let page = page(app, room).await;
            if (page.items.len(), page.holes.len()) == (messages, holes) {
                return page;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_missing_is_said_until_it_comes() {
        let alone = Alone::new().await;
        let write = async |text: &str| {
            let request = SendRequest { text: text.to_owned(), ..SendRequest::default() };
            alone.app.send(&alone.room, vec![request]).await.unwrap();
        };
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("home"));
        init_account(&home, "bob", &Passphrase::None).unwrap();
        let bob = start(config(&home)).await.unwrap();
        let invite = alone.app.create_invite(&alone.room, CreateInvite::default()).await.unwrap();
        let join = JoinRequest { link: invite.link.unwrap(), timeout: JoinRequest::TIMEOUT_MAX, once_asked: false };
        bob.app.join(join).await.unwrap();
        write("one").await;
        shows(&bob.app, &alone.room, 1, 0).await;
        bob.stop().await.unwrap();
        for text in ["two", "three", "four"] {
            write(text).await;
        }
        // Of what she wrote meanwhile the last one comes by another way, while she is away.
        let room: RoomId = alone.room.parse().unwrap();
        let device = alone.app.node.context.identity.device();
        let want = Want { device, from: 4, to: 4 };
        let rows = alone.app.node.context.store.missing(&room, StoredKind::Message, &[want], usize::MAX).unwrap();
        let alone_again = (alone.home.clone(), alone.room.clone());
        alone.node.stop().await.unwrap();
        let bob = start(config(&home)).await.unwrap();
        let item = Item { kind: SeriesKind::Message, bytes: Blob(rows[0].bytes.clone()) };
        bob.app.node.rooms.mail(room, vec![vec![Mail::Record(item)]]).await.unwrap();
        let page = shows(&bob.app, &alone_again.1, 1, 1).await;
        assert_eq!((page.holes[0].missing, page.holes[0].author.as_ref().unwrap().name.as_str()), (2, "alone"));
        assert_eq!(page.holes[0].text, "2 messages from alone are missing; nobody who has it is connected");
        let node = start(config(&alone_again.0)).await.unwrap();
        let healed = shows(&bob.app, &alone_again.1, 4, 0).await;
        let texts: Vec<_> = healed.items.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["four", "three", "two", "one"]);
        node.stop().await.unwrap();
        bob.stop().await.unwrap();
    }
}
