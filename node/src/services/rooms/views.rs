//! Rooms, members, invites and messages in the words of the API.

use parlor_api::{
    Author, History as HistoryView, Invite, Joined, MayInvite, Member, Message, MessageKind, MessageStatus,
    OutboxEntry, OutboxKind, Past, Policy, Role, Room as RoomView, RoomItem, RoomKind as KindView, SyncState,
};
use parlor_crypto::seal::{self, MessageKey};
use parlor_proto::body::Body;
use parlor_proto::control::{self, InviteHistory};
use parlor_proto::event::{Event, LogId, LogKind};
use parlor_proto::outbox::Line;
use parlor_proto::presence::Stance;
use parlor_proto::room::{InviteEnd, InviteInfo, NoEpoch};
use parlor_proto::{AccountId, DeviceId};
use parlor_storage::{MessageRow, Position};

use super::directory::{Online, Summary};
use super::entry::Turn;
use super::way::Way;
use crate::bus::rfc3339;
use crate::services::mailboxes::Relay;

/// Hexadecimal digits of an account id that stand for a name nobody knows.
pub(super) const NAMELESS: usize = 8;

impl Turn<'_> {
    /// The name of an account: what we call it, else what it calls itself, else what its certificate says; told apart from others
    /// who are called so.
    pub(super) fn name_of(&self, account: &AccountId) -> String {
        let name = self.context.profiles.name_of(account, &self.certificate_name(account));
        if name.is_empty() { account.to_string().chars().take(NAMELESS).collect() } else { name }
    }

    /// As [`name_of`](Self::name_of), as people type it.
    pub(super) fn typed_name_of(&self, account: &AccountId) -> String {
        self.context.profiles.plain_name_of(account, &self.certificate_name(account))
    }

    fn certificate_name(&self, account: &AccountId) -> String {
        let name = self.entry.room.name_of(account).filter(|name| !name.is_empty());
        name.or_else(|| self.context.contacts.shown(account)).unwrap_or_default()
    }

    /// Whether a device is of somebody who is blocked.
    pub(super) fn is_of_blocked(&self, device: &DeviceId) -> bool {
        self.entry.room.account_of(device).is_some_and(|account| self.context.contacts.is_blocked(&account))
    }

    /// Whether a device is of our own account: this one, or another one of it.
    fn is_ours(&self, device: &DeviceId) -> bool {
        let account = self.entry.room.account_of(device);
        *device == self.context.identity.device() || account == Some(self.context.identity.account())
    }

    pub(super) fn author(&self, device: &DeviceId) -> Author {
        match self.entry.room.account_of(device) {
            Some(account) => self.author_of(&account),
            None => Author { account: String::new(), name: device.short() },
        }
    }

    /// A message as it was written: what was said about it since is added by [`folded_view`](Self::folded_view).
    pub(super) fn message_view(
        &self,
        event: &Event,
        body: Option<&Body>,
        position: Position,
        received_ms: u64,
    ) -> Message {
        let device = event.device();
        let mine = device == self.context.identity.device();
        let way = if mine {
            self.way(self.outbox.status(&self.id(), event.seq()))
        } else if self.was_read(position.order(), &event.id()) {
            Way::at(MessageStatus::Read, 0, 0)
        } else {
            Way::at(MessageStatus::Delivered, 0, 0)
        };
        let files = match body {
            Some(Body::File(files)) => self.file_views(&files.files),
            _ => Vec::new(),
        };
        let (kind, text, reply_to, mentions) = match body {
            Some(Body::Text(text)) => (
                MessageKind::Text,
                text.text.clone(),
                text.reply_to.map(|id| id.to_string()),
                text.mentions.iter().map(ToString::to_string).collect(),
            ),
            Some(Body::File(files)) => (
                MessageKind::File,
                files.text.clone(),
                files.reply_to.map(|id| id.to_string()),
                files.mentions.iter().map(ToString::to_string).collect(),
            ),
            // In a room it is nothing: whoever is in it could have windows show lines as the node's own.
            Some(Body::Group(group)) if self.entry.room.other().is_some() => {
                (MessageKind::System, self.group_text(group, self.is_ours(&device)), None, Vec::new())
            }
            _ => (MessageKind::Unknown, String::new(), None, Vec::new()),
        };
        let members = self.entry.room.n_members();
        Message {
            message: event.id().to_string(),
            room: self.id().to_string(),
            author: self.author(&device),
            sent_at: rfc3339(event.message().map_or(0, |header| header.hlc.ms())),
            received_at: rfc3339(received_ms),
            kind,
            text,
            formatted: Vec::new(),
            files,
            reply_to,
            reply: None,
            thread: None,
            replies: None,
            edited_at: None,
            edits: 0,
            deleted: false,
            deleted_by: None,
            pinned_by: None,
            reactions: Default::default(),
            poll: None,
            mentions,
            status: way.status,
            delivered_to: way.delivered_to,
            read_by: way.read_by,
            recipients: u32::try_from(members.saturating_sub(1)).unwrap_or(u32::MAX),
            reason: way.reason,
            reason_code: way.reason_code,
            unsafe_epoch: false,
            expires_at: None,
            order: position.to_string(),
            early: false,
            system: None,
        }
    }

    pub(super) fn room_view(&self) -> Option<RoomView> {
        let info = self.entry.room.info()?;
        let online = self.online_accounts();
        let policy = self.entry.room.policy()?;
        let status = self.entry.room.epoch_status();
        let safe = self.entry.room.is_member() && status.epoch.is_some();
        let unread = self.entry.unread.told();
        let (why_not_code, why_not) = (!safe).then(|| self.why_not_safe(status.why)).unzip();
        let sync = self.sync_state();
        Some(RoomView {
            missing: sync.want,
            early: sync.early,
            room: self.id().to_string(),
            name: self.title(),
            about: info.about,
            kind: kind(info.kind),
            history: history(policy.history),
            past: self.past_view(&invited(policy.history)),
            ttl: info.ttl_ms.map(|ms| ms / 1000),
            role: self.standing(),
            gone: self.gone(),
            members: count(self.entry.room.n_members()),
            guests: count(self.entry.room.n_guests()),
            online: count(online.len()),
            unread: unread.unread,
            mentions: unread.mentions,
            first_unread: unread.first_unread,
            first_unread_order: unread.first_unread_order,
            attention: self.entry.wanted.view(self.now_ms),
            draft: !self.entry.draft.is_empty(),
            read_up_to: self.entry.read.message.map(|id| id.to_string()),
            created_at: rfc3339(info.created_at_ms),
            last_message: self.entry.last.as_ref().map(|(_, message)| message.clone()),
            policy: Policy { history: history(policy.history), post: posters(info.kind) },
            mailboxes: self.mail_relays().iter().flat_map(Relay::texts).collect(),
            banned: self.banned_views(),
            epoch: status.epoch.map(|epoch| epoch.short()),
            safe,
            why_not: why_not.map(str::to_owned),
            why_not_code: why_not_code.map(str::to_owned),
            people: self.member_views(),
            control_frontier: self.entry.room.control_frontier().iter().map(ToString::to_string).collect(),
            fingerprint: hex(&self.entry.room.fingerprint()),
            split_views: self.split_views(),
        })
    }

    /// Why nothing can be written that exactly the members can read: as a code that never changes, and for people.
    fn why_not_safe(&self, why: Option<NoEpoch>) -> (&'static str, &'static str) {
        match why {
            _ if self.begins_again() => ("waits_for_other", "the other has not accepted yet, or was not online since"),
            _ if !self.entry.room.is_member() => ("no_member", "you are no member of this room"),
            _ if self.entry.room.waits_for_other() => {
                ("waits_for_other", "the other has not accepted yet, or was not online since")
            }
            Some(NoEpoch::NoRoom) => ("room_not_ready", "the room is still being fetched"),
            Some(NoEpoch::NoKey(_)) => {
                ("keys_not_here", "the keys were made, but are not here yet: any member who is connected gives them")
            }
            Some(NoEpoch::NoneSafe) | None => (
                "keys_not_made",
                "members changed and new keys are not made yet: the node of a member makes them in a moment",
            ),
        }
    }

    fn online_accounts(&self) -> Vec<AccountId> {
        let mut accounts: Vec<_> =
            self.entry.connected().iter().filter_map(|device| self.entry.room.account_of(device)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts.retain(|account| self.presence_of(account) != parlor_api::Presence::Offline);
        accounts
    }

    pub(super) fn member_views(&self) -> Vec<Member> {
        let (connected, inside) = (self.entry.connected(), self.entry.room.is_member());
        let (me, my_device) = (self.context.identity.account(), self.context.identity.device());
        let own = match self.context.attention.stance() {
            Stance::Here => parlor_api::Presence::Online,
            Stance::Away => parlor_api::Presence::Away,
            Stance::Hidden => parlor_api::Presence::Offline,
        };
        let mut members = self.entry.room.members();
        members.sort_by_key(|member| (member.power, self.name_of(&member.account), member.account));
        let view = |member: parlor_proto::room::Member| {
            let told = self.context.profiles.view(&member.account);
            let hidden = |device: &DeviceId| self.entry.listener.stance(device) == Stance::Hidden;
            let online =
                |device: &DeviceId| *device == my_device || inside && connected.contains(device) && !hidden(device);
            let devices = self.devices(&member.account, online);
            Member {
                account: member.account.to_string(),
                name: self.name_of(&member.account),
                role: role(member.role),
                joined_at: rfc3339(member.joined_at_ms),
                online: devices.iter().any(|device| device.online),
                presence: if member.account == me { own } else { self.presence_of(&member.account) },
                not_here_yet: member.account != me && !self.was_heard_of(&member.account),
                devices,
                verified: self.context.contacts.is_verified(&member.account),
                picture: told.picture,
                about: told.about,
                last_seen: told.last_seen,
                me: member.account == me,
                may_invite: member.invites.filter(|(depth, _)| *depth > 0).map(|(depth, most)| MayInvite {
                    depth,
                    until: (most.until_ms != u64::MAX).then(|| rfc3339(most.until_ms)),
                    uses: (most.uses != u32::MAX).then_some(most.uses),
                }),
                by: member.by.map(|account| self.author_of(&account)),
                invite: member.invite.map(|invite| invite.to_string()),
            }
        };
        members.into_iter().map(view).collect()
    }

    /// Whether a device of an account ever wrote here, told where it is or what it holds, or is connected.
    fn was_heard_of(&self, account: &AccountId) -> bool {
        let (entry, connected) = (&self.entry, self.entry.connected());
        let wrote = |device: &DeviceId| {
            let log = |kind| LogId { kind, device: *device };
            [LogKind::Control, LogKind::Message].into_iter().any(|kind| entry.room.tip(&log(kind)).is_some())
        };
        entry.room.devices(account).iter().map(|info| &info.device).any(|device| {
            connected.contains(device)
                || entry.bindings.contains_key(device)
                || entry.markers.contains_key(device)
                || wrote(device)
        })
    }

    pub(super) fn invite_view(&self, info: &InviteInfo, link: Option<String>) -> Invite {
        let uses = info.max_uses.unwrap_or(u32::MAX);
        let expired = info.expires_ms.is_some_and(|end| end < self.now_ms);
        let joined = self.entry.room.came_by(&info.id).into_iter();
        let instant_notice = info.instant && link.is_some();
        let (why_ended_code, why_ended) = info.end.map(|end| self.why_ended(end, &info.by)).unzip();
        let ended_by = match info.end {
            Some(InviteEnd::Revoked(by)) => Some(self.author_of(&by)),
            _ => None,
        };
        let left = if info.revoked || expired { 0 } else { uses.saturating_sub(info.used) };
        Invite {
            invite: info.id.to_string(),
            room: self.id().to_string(),
            link,
            role: role(info.role),
            expires_at: rfc3339(info.expires_ms.unwrap_or(u64::MAX)),
            uses,
            used: info.used,
            uses_left: left,
            revoked: info.revoked,
            why_ended,
            why_ended_code: why_ended_code.map(str::to_owned),
            ended_by,
            past: self.past_view(&info.history),
            created_by: info.by.to_string(),
            created_by_name: self.name_of(&info.by),
            created_at: rfc3339(info.created_at_ms),
            approve: info.approval,
            instant: info.instant,
            notice: instant_notice.then(|| parlor_api::INSTANT_NOTICE.to_owned()),
            delegate: info.delegates,
            joined: joined.map(|(account, member)| Joined { account: self.author_of(&account), member }).collect(),
        }
    }

    fn past_view(&self, history: &InviteHistory) -> Past {
        let past = self.entry.room.past_for(history);
        Past { everything: past.everything, since: past.since_ms.map(rfc3339), parts: past.parts }
    }

    /// Why an invite takes nobody any more: as a code that never changes, and for people.
    fn why_ended(&self, end: InviteEnd, maker: &AccountId) -> (&'static str, String) {
        let name = self.name_of(maker);
        match end {
            InviteEnd::Revoked(by) => ("revoked", format!("revoked by {}", self.name_of(&by))),
            InviteEnd::MakerOut => ("maker_out", format!("{name} is out of the room")),
            InviteEnd::MakerChanged => ("maker_changed", format!("{name} was given another role or right")),
            InviteEnd::NeverCounted => ("never_counted", format!("{name} had no right to make it")),
        }
    }

    pub(super) fn outbox_view(&self, line: &Line) -> OutboxEntry {
        let way = self.way(line.status);
        OutboxEntry {
            message: outbox_name(line),
            room: line.room.to_string(),
            kind: OutboxKind::Unknown,
            text: String::new(),
            about: None,
            attempts: line.attempts,
            next_attempt: line.next_attempt_ms.map(rfc3339),
            reason: way.reason,
            reason_code: way.reason_code,
            status: way.status,
            queued_at: rfc3339(line.submitted_ms),
        }
    }

    /// Writes the line of this room in the directory.
    pub(super) fn summarise(&mut self) {
        self.tell_unread();
        let Some(info) = self.entry.room.info() else { return };
        let unread = self.entry.unread.told();
        let item = RoomItem {
            room: self.id().to_string(),
            name: self.title(),
            kind: kind(info.kind),
            role: self.standing(),
            gone: self.gone(),
            unread: unread.unread,
            mentions: unread.mentions,
            first_unread: unread.first_unread,
            first_unread_order: unread.first_unread_order,
            attention: unread.attention,
            draft: !self.entry.draft.is_empty(),
            members: count(self.entry.room.n_members()),
            last_message: self.entry.last.as_ref().map(|(_, message)| message.clone()),
            damaged: None,
        };
        let writable = self.entry.room.is_member() && self.entry.room.epoch_status().epoch.is_some();
        let online = self
            .entry
            .sessions
            .iter()
            .filter_map(|(peer, linked)| {
                let account = self.entry.room.account_of(&linked.device?)?;
                Some(Online { account: account.to_string(), name: self.name_of(&account), peer: *peer })
            })
            .collect();
        let (sync, cloned) = (self.sync_state(), self.entry.room.is_cloned());
        let has_mailbox = !self.mail_relays().is_empty();
        self.context.directory.put(self.id(), Summary { item, sync, writable, online, cloned, has_mailbox });
    }

    /// How far the room is synchronised.
    pub(super) fn sync_state(&self) -> SyncState {
        let tables = &self.entry.tables;
        let have = tables.iter().filter(|(s, _)| s.kind == parlor_proto::wire::SeriesKind::Message).map(|(_, t)| t.seq);
        let owed = self.entry.sessions.values().map(|linked| linked.session.n_owed(tables)).max().unwrap_or(0);
        let promised = if self.entry.room.is_member() { self.entry.promised.n_missing(tables) } else { 0 };
        let want = owed.max(promised);
        SyncState {
            room: self.id().to_string(),
            name: self.title(),
            peers: count(self.entry.connected().len()),
            have: have.sum(),
            want,
            done: want == 0,
            asking: owed > 0,
            early: count(self.n_early()),
        }
    }

    /// Tells windows how catching up goes, when it moved.
    pub(super) fn show_progress(&mut self) {
        self.tell_progress();
        self.ask_for_newest();
    }

    /// As [`show_progress`](Self::show_progress), and nobody is asked for anything.
    pub(super) fn tell_progress(&mut self) {
        self.check_promised();
        let state = self.sync_state();
        let shown = (state.want, state.early, state.asking);
        if shown == self.entry.shown_want {
            return;
        }
        self.entry.shown_want = shown;
        let progress = parlor_api::SyncProgress {
            room: state.room,
            have: state.have,
            want: state.want,
            done: state.done,
            asking: state.asking,
            early: state.early,
        };
        self.publish(parlor_api::EventBody::Sync(progress));
    }
}

/// The content of a stored message, if its key is known.
pub(crate) fn open(room: &parlor_proto::RoomId, event: &Event, row: &MessageRow) -> Option<Body> {
    let key = MessageKey::from_secret(row.key.clone()?);
    let plain = seal::open(&key, room.as_bytes(), &event.sealing_header(), event.payload()).ok()?;
    Body::decode(&plain).ok()
}

/// The name of an outbox line for people and commands: the message's id, or while it is not written the request's.
pub(super) fn outbox_name(line: &Line) -> String {
    match line.event {
        Some(event) => event.to_string(),
        None => line.nonce.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

pub(super) fn role(role: control::Role) -> Role {
    match role {
        control::Role::Owner => Role::Owner,
        control::Role::Admin => Role::Admin,
        control::Role::Moderator => Role::Moderator,
        control::Role::Member => Role::Member,
        control::Role::Observer => Role::Observer,
    }
}

pub(super) fn from_role(role: Role) -> control::Role {
    match role {
        Role::Owner => control::Role::Owner,
        Role::Admin => control::Role::Admin,
        Role::Moderator => control::Role::Moderator,
        Role::Member => control::Role::Member,
        Role::Observer => control::Role::Observer,
    }
}

fn kind(kind: control::RoomKind) -> KindView {
    match kind {
        control::RoomKind::Group => KindView::Group,
        control::RoomKind::Channel => KindView::Channel,
        control::RoomKind::Direct => KindView::Direct,
    }
}

pub(super) fn history(history: control::History) -> HistoryView {
    match history {
        control::History::Full => HistoryView::Shared,
        control::History::None => HistoryView::FromJoin,
    }
}

/// What an invite gives that says nothing of the past.
fn invited(history: control::History) -> InviteHistory {
    match history {
        control::History::Full => InviteHistory::Full,
        control::History::None => InviteHistory::None,
    }
}

/// The weakest role that may write in a room of this kind.
fn posters(kind: control::RoomKind) -> Role {
    let all = [control::Role::Observer, control::Role::Member, control::Role::Moderator, control::Role::Admin];
    let may = |role: &control::Role| role.permissions(kind).has(control::Permission::Post);
    all.into_iter().find(may).map_or(Role::Owner, role)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
