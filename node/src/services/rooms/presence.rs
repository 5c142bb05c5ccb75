//! Who types and who is there: what we say, and what others let us know. Nothing of it is stored.

use parlor_api::{EventBody, PresenceChanged, Typing};
use parlor_net::Verdict as Judgement;
use parlor_proto::gossip::GossipFrame;
use parlor_proto::presence::{Change, Presence, Stance};
use parlor_proto::room::Refusal;
use parlor_proto::wire::Blob;
use parlor_proto::{AccountId, DeviceId};

use super::entry::{Entry, Turn};
use super::message::Reply;

impl Entry {
    /// Whether anybody would hear what we say.
    pub(super) fn is_heard(&self) -> bool {
        self.room.is_member() && self.sessions.values().any(|linked| linked.device.is_some())
    }
}

impl Turn<'_> {
    /// A statement on the room's topic.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Judgement {
        let Ok(presence) = Presence::decode(bytes) else { return Judgement::Reject };
        let device = presence.device;
        if !self.is_live(&device) || device == self.context.identity.device() {
            return Judgement::Ignore;
        }
        // Before its signature, which is what costs.
        if !self.entry.listener.admits(&device, presence.ts_ms, self.now_ms) {
            return Judgement::Ignore;
        }
        if presence.verify(&self.id()).is_err() {
            return Judgement::Reject;
        }
        let change = self.entry.listener.hear(&presence, self.now_ms);
        self.show_heard(device, change);
        Judgement::Accept
    }

    /// Says what is to be said now, if somebody hears it.
    pub(super) fn speak(&mut self) {
        if !self.entry.is_heard() {
            return;
        }
        let Some(doing) = self.entry.speaker.take(self.now_ms) else { return };
        let presence = Presence::sign(&self.id(), self.context.identity.signing_key(), doing, self.now_ms);
        self.gossip_out(&GossipFrame::Presence(Blob(presence.encode())), false);
    }

    /// The user types, or stopped.
    pub(super) fn typing(&mut self, types: bool, reply: Reply<()>) {
        if !self.entry.room.is_member() {
            return drop(reply.send(Err(self.refused(Refusal::NotMember))));
        }
        if self.context.attention.typing() {
            self.entry.speaker.typing(types, self.now_ms);
        }
        drop(reply.send(Ok(())));
    }

    /// The settings may be others now: how we are shown.
    pub(super) fn set_stance(&mut self) {
        self.entry.speaker.stance(self.context.attention.stance(), self.now_ms);
    }

    /// Time passed for what others said.
    pub(super) fn tick_heard(&mut self) {
        for (device, change) in self.entry.listener.tick(self.now_ms) {
            self.show_heard(device, change);
        }
    }

    /// A device wrote: it does not type any more.
    pub(super) fn wrote(&mut self, device: &DeviceId) {
        if *device == self.context.identity.device() {
            self.entry.speaker.sent();
        } else if self.entry.listener.stopped(device) {
            self.show_heard(*device, Change::Typing(false));
        }
    }

    /// Who is connected changed: windows learn who came and went, and who came how we are to be shown.
    pub(super) fn show_connected(&mut self) {
        let mut accounts: Vec<AccountId> = self.entry.shown_presence.keys().copied().collect();
        accounts.extend(self.entry.connected().iter().filter_map(|device| self.entry.room.account_of(device)));
        accounts.sort_unstable();
        accounts.dedup();
        accounts.iter().for_each(|account| self.show_presence(*account));
        self.entry.speaker.greet(self.now_ms);
        self.pass_requests_on();
    }

    /// Whether somebody is there, as far as he lets us know. In a room that we are out of nobody is shown: members are connected to
    /// give us what came before, and that is nobody's company.
    pub(super) fn presence_of(&self, account: &AccountId) -> parlor_api::Presence {
        if !self.entry.room.is_member() {
            return parlor_api::Presence::Offline;
        }
        let mut found = parlor_api::Presence::Offline;
        for linked in self.entry.sessions.values() {
            let Some(device) = linked.device.filter(|device| self.entry.room.account_of(device) == Some(*account))
            else {
                continue;
            };
            match self.entry.listener.stance(&device) {
                Stance::Here => return parlor_api::Presence::Online,
                Stance::Away => found = parlor_api::Presence::Away,
                Stance::Hidden => {}
            }
        }
        found
    }

    fn show_heard(&mut self, device: DeviceId, change: Change) {
        let Some(account) = self.entry.room.account_of(&device) else { return };
        let stranger = account != self.context.identity.account() && !self.context.contacts.is_blocked(&account);
        match change {
            Change::Typing(typing) if stranger => {
                let (room, name) = (self.id().to_string(), self.name_of(&account));
                self.publish(EventBody::Typing(Typing { room, account: account.to_string(), name, typing }));
            }
            Change::Stance => self.show_presence(account),
            Change::Nothing | Change::Typing(_) => {}
        }
    }

    /// Tells windows whether somebody is there, when that is news.
    fn show_presence(&mut self, account: AccountId) {
        if account == self.context.identity.account() {
            return;
        }
        let presence = self.presence_of(&account);
        let before = self.entry.shown_presence.insert(account, presence).unwrap_or_default();
        if presence == parlor_api::Presence::Offline {
            self.entry.shown_presence.remove(&account);
        }
        if before == presence {
            return;
        }
        let (room, name) = (self.id().to_string(), self.name_of(&account));
        let online = presence != parlor_api::Presence::Offline;
        let changed = PresenceChanged { account: account.to_string(), room: Some(room), name, online, presence };
        self.publish(EventBody::Presence(changed));
    }
}
