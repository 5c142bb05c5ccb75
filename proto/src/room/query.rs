//! Questions to a room.

use std::sync::Arc;

use parlor_crypto::domain;
use parlor_crypto::hash::Domain;
use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::topic::TopicSecret;

use super::Room;
use super::invites::{InviteEnd, InviteInfo};
use super::messages::Fit;
use super::types::{EpochStatus, Member, NoEpoch, RoomInfo, Standing, Tip};
use crate::control::{
    Control, Inception, Invite, InviteId, MailboxTokens, Mailboxes, Permission, Permissions, Power, Role, Setting,
    Sponsor,
};
use crate::dag::{GrantIdx, Node, NodeIdx};
use crate::event::{Event, LogId, LogKind};
use crate::identity::Identity;
use crate::ids::{AccountId, DeviceId, EventId, RoomId};
use crate::limits;

/// Doors of one room that are watched: a room with more open invites than that has old ones nobody uses.
const MAX_DOORS: usize = 32;

static FINGERPRINT: Domain = domain!("fingerprint");
static STATE: Domain = domain!("state");

impl Room {
    /// The room's id.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Whom this node is in the room.
    pub fn me(&self) -> &Arc<Identity> {
        &self.me
    }

    /// The same person with another leaf key, stored already: after [`Identity::renewed`]. Its record is the newest of our device
    /// from now on ([`leafs`](Self::leafs)): tell the members.
    pub fn set_me(&mut self, me: Arc<Identity>) {
        if me.device() == self.me.device() {
            self.leafs.insert(me.device(), me.entrant().leaf);
            self.me = me;
        }
    }

    /// Name and settings; `None` until the genesis is here.
    pub fn info(&self) -> Option<RoomInfo> {
        let (kind, policy) = (self.dag.kind()?, self.policy()?);
        let text = |setting: Setting| {
            let value = self.resolved.settings().get(&(setting as u8));
            value.map_or(String::new(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let mailboxes = self.resolved.settings().get(&(Setting::Mailboxes as u8));
        let tokens = self.resolved.settings().get(&(Setting::MailboxTokens as u8));
        Some(RoomInfo {
            name: text(Setting::Name),
            about: text(Setting::About),
            mailboxes: mailboxes.and_then(|bytes| Mailboxes::decode(bytes)).unwrap_or_default(),
            mailbox_tokens: tokens.and_then(|bytes| MailboxTokens::decode(bytes)).unwrap_or_default(),
            ttl_ms: super::fading::ttl_ms(&self.resolved),
            kind,
            history: policy.history,
            created_at_ms: self.created_ms(),
        })
    }

    /// When it began, by the clock of who began it. The beginning of a direct chat itself has no time.
    fn created_ms(&self) -> u64 {
        self.dag.nodes().iter().take(2).map(|node| node.ts_ms).max().unwrap_or(0)
    }

    /// The members, ascending by account; without guests of instant invites, who are nobody.
    pub fn members(&self) -> Vec<Member> {
        let people = self.resolved.members().iter().filter(|(_, g)| self.guest_by(**g).is_none());
        people.map(|(account, g)| self.member_of(account, *g)).collect()
    }

    /// How many members there are, without guests.
    pub fn n_members(&self) -> usize {
        self.resolved.members().len() - self.n_guests()
    }

    /// A member, or a guest.
    pub fn member(&self, account: &AccountId) -> Option<Member> {
        self.resolved.members().get(account).map(|g| self.member_of(account, *g))
    }

    fn member_of(&self, account: &AccountId, g: GrantIdx) -> Member {
        let grant = &self.dag.grants()[g];
        let op = self.dag.node(grant.op);
        let devices = self.dag.devices_of(account).iter().filter(|no| self.live.has(**no));
        let theirs = devices.filter_map(|no| self.dag.devices().get(*no));
        let (invite, sponsor) = match &op.control {
            Control::Admit(admit) => (Some(admit.invite), Some(op.author)),
            _ => (None, None),
        };
        Member {
            account: *account,
            role: grant.power.role(),
            power: grant.power,
            perms: grant.perms,
            devices: theirs.map(|entry| (entry.device, entry.name.clone())).collect(),
            joined_at_ms: if self.dag.direct().is_some() { self.created_ms() } else { self.joined_ms(account, op) },
            invite,
            sponsor,
            invites: grant.perms.has(Permission::Invite).then_some((grant.max_depth, grant.invites)),
            by: grant.giver.map(|giver| self.dag.grants()[giver].subject),
        }
    }

    /// Since when a member is here without a break: a later grant of his may have made what he is now.
    fn joined_ms(&self, account: &AccountId, op: &Node) -> u64 {
        let live = self.dag.grants_of(account).iter().filter(|g| self.resolved.is_live(**g));
        let began = live.map(|g| self.dag.node(self.dag.grants()[*g].op).ts_ms);
        began.min().unwrap_or(op.ts_ms)
    }

    /// The name of an account, also of a former member: that of its first device here.
    pub fn name_of(&self, account: &AccountId) -> Option<String> {
        let first = self.dag.devices_of(account).first()?;
        self.dag.devices().get(*first).map(|entry| entry.name.clone())
    }

    /// What an account of the room began with, also of a former member.
    pub fn inception_of(&self, account: &AccountId) -> Option<Inception> {
        self.dag.inception(account).copied()
    }

    /// The live devices of a member with the leaf keys that are sealed to.
    pub fn leafs_of(&self, account: &AccountId) -> Vec<(DeviceId, LeafPublic)> {
        let devices = self.dag.devices_of(account).iter().filter(|no| self.live.has(**no));
        let theirs = devices.filter_map(|no| self.dag.devices().get(*no)).map(|entry| entry.device);
        theirs.filter_map(|device| Some((device, LeafPublic::parse(&self.leaf_of(&device)?.leaf_pk).ok()?))).collect()
    }

    /// Our own role; `None` if we are no member.
    pub fn role(&self) -> Option<Role> {
        self.grant().map(|g| self.dag.grants()[g].power.role())
    }

    /// What we may do; nothing if we are no member.
    pub fn permissions(&self) -> Permissions {
        self.grant().map_or(Permissions::NONE, |g| self.dag.grants()[g].perms)
    }

    /// Whether we are a live member.
    pub fn is_member(&self) -> bool {
        self.grant().is_some()
    }

    /// The invites in order of acceptance, also those that are closed; without those that guests come by.
    pub fn invites(&self) -> Vec<InviteInfo> {
        let invites = self.dag.kinds().invites.iter().filter(|at| !self.dag.kinds().instant.contains_key(at));
        invites.filter_map(|at| self.describe_invite(*at)).collect()
    }

    /// The public keys of the invites, the newest first: by what a knock is matched.
    pub fn invite_keys(&self) -> impl Iterator<Item = (InviteId, [u8; 32])> + '_ {
        let invites = self.dag.kinds().invites.iter().rev().filter(|at| !self.dag.kinds().instant.contains_key(at));
        invites.filter_map(|at| Some((self.dag.node(*at).event.id(), self.invite_at(*at)?.invite_pk)))
    }

    /// An invite.
    pub fn invite_info(&self, id: &InviteId) -> Option<InviteInfo> {
        self.describe_invite(self.dag.find(id)?)
    }

    /// The invite with this public key.
    pub fn invite_by_key(&self, invite_pk: &[u8; 32]) -> Option<InviteId> {
        self.invites_with_key(invite_pk).next().map(|at| self.dag.node(at).event.id())
    }

    /// The door keys of the invites on which we may let somebody in now, the newest first; at most 32. Also of those that are
    /// used up: whoever was let in by one may not have had the answer yet.
    pub fn open_doors(&self, now_ms: u64) -> Vec<[u8; 32]> {
        let Some(power) = self.grant().map(|g| self.dag.grants()[g].power) else { return Vec::new() };
        let open = |at: &NodeIdx| {
            let invite = self.invite_at(*at)?;
            let ours = power <= invite.sponsor.weakest() && power <= invite.power;
            let closed = now_ms > invite.expires_ms || self.resolved.is_closed(&self.dag, *at);
            (ours && !closed && invite.sponsor != Sponsor::Instant).then_some(invite.door)
        };
        self.dag.kinds().invites.iter().rev().filter_map(open).take(MAX_DOORS).collect()
    }

    /// Whether a member is of the class that an invite asks of who lets somebody in by it, or says no.
    pub fn may_let_in(&self, account: &AccountId, invite: &InviteId) -> bool {
        let power = self.resolved.members().get(account).map(|g| self.dag.grants()[*g].power);
        let invite = self.dag.invite(invite).map(|(_, invite)| invite);
        let fits = |(power, invite): (Power, &Invite)| power <= invite.sponsor.weakest() && power <= invite.power;
        power.zip(invite).is_some_and(fits)
    }

    /// The door key of an invite that is open.
    pub fn open_door(&self, invite: &InviteId, now_ms: u64) -> Option<[u8; 32]> {
        let (at, invite) = self.dag.invite(invite)?;
        let open = now_ms <= invite.expires_ms && !self.resolved.is_closed(&self.dag, at);
        open.then_some(invite.door)
    }

    /// Why an invite takes nobody any more.
    fn invite_end(&self, at: NodeIdx) -> Option<InviteEnd> {
        let maker = self.dag.node(at).author;
        let maker_out = self.dag.node(at).auth.is_some_and(|auth| !self.resolved.is_live(auth));
        match self.resolved.closings(&self.dag, at).next() {
            Some(closing) => Some(InviteEnd::Revoked(self.dag.node(closing).author)),
            None if !self.resolved.is_admissible(&self.dag, at) => Some(InviteEnd::NeverCounted),
            None if maker_out && self.resolved.members().contains_key(&maker) => Some(InviteEnd::MakerChanged),
            None => maker_out.then_some(InviteEnd::MakerOut),
        }
    }

    pub(super) fn describe_invite(&self, at: NodeIdx) -> Option<InviteInfo> {
        let invite = self.invite_at(at)?;
        let node = self.dag.node(at);
        Some(InviteInfo {
            id: node.event.id(),
            invite_pk: invite.invite_pk,
            by: node.author,
            created_at_ms: node.ts_ms,
            role: invite.power.role(),
            used: u32::try_from(self.resolved.uses(at)).unwrap_or(u32::MAX),
            max_uses: (invite.max_uses != u32::MAX).then_some(invite.max_uses),
            expires_ms: (invite.expires_ms != u64::MAX).then_some(invite.expires_ms),
            revoked: self.resolved.is_closed(&self.dag, at),
            end: self.invite_end(at),
            history: self.dag.lets_read(at),
            approval: invite.approval,
            sponsor: invite.sponsor,
            instant: self.guests_of(at).is_some(),
            delegates: invite.perms.has(Permission::Invite).then_some(invite.max_depth),
        })
    }

    /// The epoch that is written under, or why there is none.
    pub fn epoch_status(&self) -> EpochStatus {
        if let Some(epoch) = self.best {
            return EpochStatus { epoch: Some(epoch), slice: self.current_slice(&epoch), why: None };
        }
        let safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything).next();
        let why = match safe {
            _ if self.dag.is_empty() => NoEpoch::NoRoom,
            Some(epoch) => NoEpoch::NoKey(epoch.id),
            None => NoEpoch::NoneSafe,
        };
        EpochStatus { epoch: None, slice: 0, why: Some(why) }
    }

    /// The end of a log.
    pub fn tip(&self, log: &LogId) -> Option<Tip> {
        let (seq, id) = match log.kind {
            LogKind::Control => self.dag.tip(&log.device).map(|node| (node.event.seq(), node.event.id())),
            LogKind::Message => self.messages.end(&log.device).map(|end| (end.seq, end.id)),
        }?;
        Some(Tip { log: *log, seq, id })
    }

    /// Control events that nothing is built on, ascending.
    pub fn control_frontier(&self) -> Vec<EventId> {
        self.dag.frontier().iter().copied().collect()
    }

    /// Messages that nothing is built on, ascending.
    pub fn heads(&self) -> Vec<EventId> {
        self.messages.heads().iter().copied().collect()
    }

    /// What a delivery marker may name: at most eight messages, the latest, that are here with all their ancestors.
    pub fn marker_heads(&self) -> Vec<EventId> {
        let ends = self.messages.all_ends().filter(|end| self.messages.closed().contains(&end.id));
        let mut latest: Vec<_> = ends.map(|end| (end.hlc, end.id)).collect();
        latest.sort_unstable_by(|a, b| b.cmp(a));
        latest.truncate(limits::MAX_PARENTS);
        let mut heads: Vec<EventId> = latest.into_iter().map(|(_, id)| id).collect();
        heads.sort_unstable();
        heads
    }

    /// Up to which of our own messages the author of this recent message had seen ours; older messages: ask storage.
    pub fn covers_own(&self, message: &EventId) -> Option<u64> {
        self.messages.covers_own(message)
    }

    /// How many message parents are missing.
    pub fn missing_parents(&self) -> usize {
        self.messages.missing().len()
    }

    /// What a device is to the room now.
    pub fn standing(&self, device: &DeviceId) -> Standing {
        match self.dag.device_no(device) {
            Some(no) if self.live.has(no) => Standing::Live,
            // Whoever finds the link of an invite that is over would be served what a former member is.
            Some(_) if self.was_guest(device) => Standing::Stranger,
            Some(_) => Standing::Removed,
            None => Standing::Stranger,
        }
    }

    /// Whose device it is, or whose branch of a message log.
    pub fn account_of(&self, device: &DeviceId) -> Option<AccountId> {
        let device = self.messages.branches().owner(device).unwrap_or(*device);
        self.dag.account_in(self.dag.device_no(&device)?, &self.everything)
    }

    /// Whether the event is here already, as far as can be told without storage: of messages the ends of logs and those that
    /// came lately are known.
    pub fn seen(&self, event: &Event) -> bool {
        match event.message() {
            None => self.dag.find(&event.id()).is_some(),
            Some(header) => self.messages.fit(&event.id(), header) == Fit::Known,
        }
    }

    /// A control event.
    pub fn control_event(&self, id: &EventId) -> Option<&Event> {
        self.dag.find(id).map(|at| &self.dag.node(at).event)
    }

    /// The control events of a device from sequence number `from` on, in order of acceptance.
    pub fn control_log(&self, device: &DeviceId, from: u64) -> impl Iterator<Item = &Event> {
        let log = self.dag.logs().get(device).map_or(&[][..], Vec::as_slice);
        log.iter().map(|at| &self.dag.node(*at).event).filter(move |event| event.seq() >= from)
    }

    /// All control events in order of acceptance, which is a topological one.
    pub fn control_events(&self) -> impl Iterator<Item = &Event> {
        self.dag.nodes().iter().map(|node| &node.event)
    }

    /// Names the topic and proves membership in sync.
    pub fn topic_secret(&self) -> &TopicSecret {
        &self.topic
    }

    /// How often the topic moved on.
    pub fn topic_generation(&self) -> u32 {
        let setting = self.resolved.settings().get(&(Setting::TopicGeneration as u8));
        let set = setting.and_then(|bytes| bytes.as_slice().try_into().ok()).map(u32::from_be_bytes);
        set.unwrap_or(0).max(self.generation)
    }

    /// The topics to subscribe to: the current one, on which to publish, and the one before it.
    pub fn topic_names(&self) -> Vec<String> {
        let current = self.topic_generation();
        let before = current.checked_sub(1);
        [Some(current), before].into_iter().flatten().map(|generation| self.topic.name(generation)).collect()
    }

    /// Equal for all who see the same room: its id, live members and control frontier. Compared in sync to notice split views.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut bytes = self.id.0.to_vec();
        self.resolved.members().keys().for_each(|account| bytes.extend(account.0));
        bytes.extend([0; 32]);
        self.dag.frontier().iter().for_each(|head| bytes.extend(head.0));
        FINGERPRINT.hash(&[&bytes])
    }

    /// How many control events are here.
    pub fn n_control(&self) -> usize {
        self.dag.len()
    }

    /// Hash of all that the control events mean: equal events give equal hashes, whatever the order in which they came.
    /// What this device alone knows (keys, messages) is not in it.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut text = String::new();
        for (account, g) in self.resolved.members() {
            let member = self.member_of(account, *g);
            let mut devices: Vec<DeviceId> = member.devices.iter().map(|(device, _)| *device).collect();
            devices.sort_unstable();
            text += &format!("{:?}", (member.account.0, member.power, member.perms, member.invite, devices));
        }
        let mut invites: Vec<_> =
            self.invites().iter().map(|i| (i.id, i.used, i.revoked, i.max_uses, i.expires_ms)).collect();
        invites.sort_unstable();
        let safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        let safe: Vec<_> = safe.map(|epoch| epoch.id.0).collect();
        text += &format!("{invites:?}{:?}{safe:?}", self.resolved.settings());
        let frontier: Vec<_> = self.dag.frontier().iter().map(|id| id.0).collect();
        text += &format!("{frontier:?}");
        STATE.hash(&[text.as_bytes()])
    }
}
