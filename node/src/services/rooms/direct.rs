//! Direct chats among the rooms, and who is in rooms at all: what the contacts service asks.

use std::collections::BTreeMap;

use parlor_proto::AccountId;
use parlor_proto::control::NewDevice;

use super::entry::Turn;
use super::message::Reply;
use super::settle::Settle;
use super::worker::Worker;
use crate::account::rng;
use crate::services::contacts::Acquaintance;

impl Worker {
    /// Everybody else in the rooms here, with what they call themselves.
    pub(super) fn people(&self) -> Vec<(AccountId, String)> {
        let me = self.context.identity.account();
        let mut people: BTreeMap<AccountId, String> = BTreeMap::new();
        let mut called = Vec::new();
        for entry in self.rooms.values() {
            for member in entry.room.members().into_iter().filter(|member| member.account != me) {
                let name = entry.room.name_of(&member.account).unwrap_or_default();
                people.entry(member.account).or_insert(name);
            }
        }
        for account in people.keys() {
            called.extend(self.context.profiles.shown(account).name.map(|name| (*account, name)));
        }
        people.into_iter().chain(called).collect()
    }

    /// What the book says of somebody is different, in whichever room.
    pub(super) async fn refresh_all(&mut self) {
        let rooms: Vec<_> = self.rooms.keys().copied().collect();
        for room in rooms {
            self.turn(room, |turn| turn.refresh()).await;
        }
    }

    /// What the rooms here know of a member, other than the direct chat with it.
    pub(super) fn acquaintance(&self, account: &AccountId) -> Option<Acquaintance> {
        let mut found: Option<Acquaintance> = None;
        let shared = self.rooms.values().filter(|entry| entry.room.other().is_none());
        for entry in shared.filter(|entry| entry.room.is_member() && entry.room.member(account).is_some()) {
            let Some(inception) = entry.room.inception_of(account) else { continue };
            let name = entry.room.name_of(account).unwrap_or_default();
            let online = entry.sessions.iter().filter(|(_, linked)| {
                linked.device.and_then(|device| entry.room.account_of(&device)) == Some(*account)
            });
            let (peers, devices) = (online.map(|(peer, _)| *peer), entry.room.leafs_of(account));
            let found = found.get_or_insert(Acquaintance { account: inception, name, devices: vec![], peers: vec![] });
            found.merge(devices, peers);
        }
        found
    }
}

impl Turn<'_> {
    /// Brings devices of the other account into a direct chat; answers when that is durable.
    pub(super) fn introduce(&mut self, devices: &[NewDevice], reply: Reply<()>) {
        // A letter came: it may name other relays, or say yes.
        self.plan_mail();
        match self.entry.room.introduce(devices, self.now_ms, &mut rng()) {
            Ok(outcome) => self.commit(outcome, Settle::reply(move |_, done| drop(reply.send(done)))),
            Err(why) => drop(reply.send(Err(self.refused(why)))),
        }
    }

    /// What the book says of somebody is different (names, marks, blocks), or what was set of attention.
    pub(super) fn refresh(&mut self) {
        if let Some(other) = self.entry.room.other() {
            if self.context.contacts.is_blocked(&other) {
                let peers: Vec<_> = self.entry.sessions.keys().copied().collect();
                peers.into_iter().for_each(|peer| self.close_session(peer));
            }
            self.announce();
            self.plan_mail();
        }
        // Whose messages are shown may be different, and what others may know of us.
        self.recount(None);
        self.load_last();
        self.set_stance();
        self.entry.throttle.touch();
        self.summarise();
    }

    /// The name of the room for people: of a direct chat the other's.
    pub(super) fn title(&self) -> String {
        match self.entry.room.other() {
            Some(other) => self.name_of(&other),
            None => self.entry.room.info().map(|info| info.name).unwrap_or_default(),
        }
    }

    /// Tells the contacts service which devices verified members have.
    pub(super) fn tell_devices(&self) {
        for account in self.context.contacts.watched() {
            if let Some(member) = self.entry.room.member(&account) {
                let devices = member.devices.into_iter().map(|(device, _)| device).collect();
                self.context.contacts.saw_devices(account, devices);
            }
        }
    }
}
