//! The log of the room in the words of the API: structured for programs, and told for people. These are the only words
//! for it; every window shows them as they are.

use parlor_api::{Author, Device, Gone, Message, MessageKind, MessageStatus, Note, NoteKind, Standing, UpdateRoom};
use parlor_proto::control::{Complaint, Mailboxes, Policy, Setting};
use parlor_proto::hlc::Hlc;
use parlor_proto::room::{Exit, ExitHow, Happened, LogLine};
use parlor_proto::{AccountId, DeviceId};

use super::entry::Turn;
use super::views::{history, role};
use crate::bus::rfc3339;
use crate::services::mailboxes::Relay;

/// Digits of the id of an event that stand in the place of a note: with the clock before them as long as the place of a
/// message, so that both compare.
const TIE: usize = 24;

impl Turn<'_> {
    /// An account with its name.
    pub(super) fn author_of(&self, account: &AccountId) -> Author {
        Author { account: account.to_string(), name: self.name_of(account) }
    }

    /// What we are in the room.
    pub(super) fn standing(&self) -> Standing {
        let room = &self.entry.room;
        match (room.role(), room.exit(&self.context.identity.account())) {
            (Some(mine), _) => role(mine).into(),
            (None, Some(Exit { how: ExitHow::Left, .. })) => Standing::Left,
            (None, Some(_)) => Standing::Removed,
            (None, None) => Standing::Joining,
        }
    }

    /// How we came out of the room, if we did.
    pub(super) fn gone(&self) -> Option<Gone> {
        let exit = self.entry.room.exit(&self.context.identity.account())?;
        let by = self.author_of(&exit.by);
        let how = match exit.how {
            ExitHow::Left => "you left the room".to_owned(),
            ExitHow::Removed if exit.banned => format!("you were banned from the room by {}", by.name),
            ExitHow::Removed => format!("you were removed from the room by {}", by.name),
            ExitHow::Revoked => "this device was revoked by another one of your account".to_owned(),
            ExitHow::NotAdmitted => {
                "you are not in the room: the invite was used up or closed, or who let you in had no right to"
                    .to_owned()
            }
        };
        let text = format!("{how}; what you hold of it stays readable");
        Some(Gone { by, at: rfc3339(exit.at_ms), banned: exit.banned, text })
    }

    /// A note of the log as it stands in the history.
    pub(super) fn note_view(&self, line: &LogLine) -> Message {
        let note = self.note(line);
        let at = rfc3339(line.at_ms);
        Message {
            message: line.event.to_string(),
            room: self.id().to_string(),
            author: note.by.clone(),
            sent_at: at.clone(),
            received_at: at,
            kind: MessageKind::System,
            text: self.told(line, &note),
            formatted: Vec::new(),
            files: Vec::new(),
            reply_to: None,
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
            mentions: Vec::new(),
            status: MessageStatus::Delivered,
            delivered_to: 0,
            read_by: 0,
            recipients: 0,
            reason: None,
            reason_code: None,
            unsafe_epoch: false,
            expires_at: None,
            order: place(line),
            early: false,
            system: Some(note),
        }
    }

    /// The log with the place of each line in the history, the newest first.
    pub(super) fn placed_log(&self) -> Vec<(String, LogLine)> {
        let mut lines: Vec<_> = self.entry.room.log().into_iter().map(|line| (place(&line), line)).collect();
        lines.sort_unstable_by(|a, b| b.0.cmp(&a.0));
        lines
    }

    fn note(&self, line: &LogLine) -> Note {
        let note = Note { by: self.author_of(&line.by), counts: line.counts, ..Note::default() };
        let who = |accounts: &[AccountId]| accounts.iter().map(|account| self.author_of(account)).collect();
        match &line.what {
            Happened::Created(owners) => Note { what: NoteKind::Created, who: who(owners), ..note },
            Happened::Joined { account, role: came_as, invite, inviter } => Note {
                what: NoteKind::Joined,
                who: who(&[*account]),
                role: Some(role(*came_as)),
                invite: Some(invite.to_string()),
                inviter: Some(self.author_of(inviter)),
                ..note
            },
            Happened::Role(account, given) => {
                Note { what: NoteKind::Role, who: who(&[*account]), role: Some(role(*given)), ..note }
            }
            Happened::MayInvite(account, may) => {
                let what = if *may { NoteKind::MayInvite } else { NoteKind::MayNotInvite };
                Note { what, who: who(&[*account]), ..note }
            }
            Happened::InvitesEnded(account, invites) => {
                Note { what: NoteKind::InvitesEnded, who: who(&[*account]), invites: Some(*invites), ..note }
            }
            Happened::RoleEnded(account, ended) => {
                Note { what: NoteKind::RoleEnded, who: who(&[*account]), role: Some(role(*ended)), ..note }
            }
            Happened::Removed { accounts, invite, ban, cascade, purge } => Note {
                what: NoteKind::Removed,
                who: who(accounts),
                invite: invite.map(|invite| invite.to_string()),
                ban: *ban,
                cascade: *cascade,
                purge: *purge,
                ..note
            },
            Happened::Unbanned(account) => Note { what: NoteKind::Unbanned, who: who(&[*account]), ..note },
            Happened::Left => Note { what: NoteKind::Left, who: who(&[line.by]), ..note },
            Happened::Invited(invite, gives) => {
                Note { what: NoteKind::Invited, invite: Some(invite.to_string()), role: Some(role(*gives)), ..note }
            }
            Happened::Instant(invite) => {
                Note { what: NoteKind::InviteInstant, invite: Some(invite.to_string()), ..note }
            }
            Happened::InviteRevoked(invite, inviter) => Note {
                what: NoteKind::InviteRevoked,
                invite: Some(invite.to_string()),
                inviter: Some(self.author_of(inviter)),
                ..note
            },
            Happened::Declined(account, invite) => {
                let name = self.asks_as(account).unwrap_or_else(|| self.name_of(account));
                let asked = Author { account: account.to_string(), name };
                Note { what: NoteKind::Declined, who: vec![asked], invite: Some(invite.to_string()), ..note }
            }
            Happened::Settings(writes) => Note { what: NoteKind::Settings, settings: Some(settings(writes)), ..note },
            Happened::Policy(policy) => Note { what: NoteKind::Settings, settings: Some(rules(policy)), ..note },
            Happened::Keys(..) => Note { what: NoteKind::Keys, ..note },
            Happened::Devices { of, added, revoked } => Note {
                what: NoteKind::Devices,
                who: who(&[*of]),
                added: added.iter().map(|(device, _)| device.to_string()).collect(),
                revoked: revoked.iter().map(ToString::to_string).collect(),
                ..note
            },
            Happened::Contradiction(device, account) => Note {
                what: NoteKind::Contradiction,
                who: account.iter().map(|account| self.author_of(account)).collect(),
                device: Some(device.to_string()),
                ..note
            },
            Happened::Complaint(_, _, maker) => {
                Note { what: NoteKind::KeysMissing, who: maker.iter().map(|it| self.author_of(it)).collect(), ..note }
            }
            _ => note,
        }
    }

    /// A note as people read it.
    fn told(&self, line: &LogLine, note: &Note) -> String {
        let by = note.by.name.as_str();
        let who = names(&note.who);
        let role = note.role.map_or("member", parlor_api::Role::name);
        let inviter = note.inviter.as_ref().map_or("somebody", |inviter| &inviter.name);
        let mut text = match note.what {
            NoteKind::Created if note.who.len() > 1 => format!("{by} made the room, owned by {who}"),
            NoteKind::Created => format!("{by} made the room"),
            NoteKind::Joined => {
                let by_guest = self.entry.room.is_guest(&line.by);
                let invite = if by_guest { "an instant invite" } else { "an invite" };
                let mut text = format!("{who} joined by {invite} of {inviter}");
                if note.role != Some(parlor_api::Role::Member) {
                    text.push_str(&format!(" as {role}"));
                }
                if note.inviter.as_ref() != Some(&note.by) && !by_guest {
                    text.push_str(&format!(", let in by {by}"));
                }
                text
            }
            NoteKind::Left => format!("{by} left"),
            NoteKind::Removed => removed(note, &who),
            NoteKind::Unbanned => format!("{by} lifted the ban of {who}"),
            NoteKind::Role => format!("{by} made {who} {}", with_article(role)),
            NoteKind::MayInvite => format!("{by} gave {who} the right to invite"),
            NoteKind::MayNotInvite => format!("{by} took the right to invite from {who}"),
            NoteKind::InvitesEnded => match note.invites {
                Some(1) => format!("With that an open invite of {who} ended"),
                many => format!("With that {} open invites of {who} ended", many.unwrap_or_default()),
            },
            NoteKind::RoleEnded => format!("{by} ended a role of {who}: {role}"),
            NoteKind::Invited => match note.role {
                Some(parlor_api::Role::Member) | None => format!("{by} made an invite"),
                Some(_) => format!("{by} made an invite for {}", with_article(role)),
            },
            NoteKind::InviteInstant => {
                format!("{by} made the invite instant: whoever has its link comes in and reads with nobody online")
            }
            NoteKind::InviteRevoked if inviter == by => format!("{by} revoked an invite"),
            NoteKind::InviteRevoked => format!("{by} revoked an invite of {inviter}"),
            NoteKind::Declined => format!("{by} refused {who}, who asked to come in"),
            NoteKind::Settings => {
                format!("{by} {}", changed(&note.settings.clone().unwrap_or_default()))
            }
            NoteKind::Keys if note.counts => "The keys changed".to_owned(),
            NoteKind::Keys => return format!("{by} made new keys, which nobody uses"),
            NoteKind::Devices => devices(&who, &line.what),
            NoteKind::Contradiction => format!("A device of {who} contradicted itself: it was copied, or it cheats"),
            NoteKind::KeysMissing => keys_missing(by, &who, &line.what),
            NoteKind::Unknown => format!("{by} did something this version does not know"),
        };
        if !note.counts {
            text.push_str(", which does not count");
        }
        text
    }

    /// The devices of an account that count.
    pub(super) fn devices(&self, account: &AccountId, online: impl Fn(&DeviceId) -> bool) -> Vec<Device> {
        let held = self.entry.room.devices(account);
        let counting = held.into_iter().filter(|info| !info.revoked);
        let view = |info: parlor_proto::room::DeviceInfo| Device {
            device: info.device.to_string(),
            online: online(&info.device),
            name: info.name,
            contradicts_itself: info.contradicts_itself,
        };
        counting.map(view).collect()
    }
}

/// The place of a note in the history: that of a message written then.
fn place(line: &LogLine) -> String {
    let order = Hlc::at(line.at_ms).0 | line.lamport.min(0xffff);
    let id = line.event.to_string();
    format!("{order:016x}{}", id.get(..TIE).unwrap_or_default())
}

fn settings(writes: &[(Setting, Vec<u8>)]) -> UpdateRoom {
    let mut update = UpdateRoom::default();
    for (setting, value) in writes {
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match setting {
            Setting::Name => update.name = text(),
            Setting::About => update.about = text(),
            Setting::Ttl => {
                let ms = value.as_slice().try_into().map_or(0, u64::from_be_bytes);
                update.ttl = Some(ms / 1000);
            }
            Setting::Mailboxes => {
                let mailboxes = Mailboxes::decode(value).unwrap_or_default();
                update.mailboxes = Some(mailboxes.list().iter().flat_map(|it| Relay::of_mailbox(it).texts()).collect());
            }
            _ => {}
        }
    }
    update
}

fn rules(policy: &Policy) -> UpdateRoom {
    UpdateRoom { history: Some(history(policy.history)), ..UpdateRoom::default() }
}

/// What was done to the settings.
fn changed(update: &UpdateRoom) -> String {
    let mut parts = Vec::new();
    parts.extend(update.name.as_ref().map(|name| format!("named the room {name}")));
    parts.extend(update.about.as_ref().map(|about| match about.as_str() {
        "" => "took the description of the room away".to_owned(),
        about => format!("described the room as: {about}"),
    }));
    parts.extend(update.ttl.map(|seconds| match seconds {
        0 => "has messages stay".to_owned(),
        seconds => format!("has messages disappear after {}", span(seconds)),
    }));
    parts.extend(update.mailboxes.as_ref().map(|relays| match relays.as_slice() {
        [] => "has nothing kept at relays any more".to_owned(),
        relays => format!("has what is written kept for those who are away, at {}", relays.join(" and ")),
    }));
    parts.extend(update.history.map(|history| match history {
        parlor_api::History::Shared => "lets newcomers read everything written from now on".to_owned(),
        parlor_api::History::FromJoin => "lets newcomers read only what is written after they came".to_owned(),
    }));
    if parts.is_empty() {
        // What nobody is shown, such as the tokens of relays.
        parts.push("changed a setting of the room".to_owned());
    }
    listed(&parts)
}

/// A time as people say it, in the largest unit of which it is a whole number.
fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let whole = |(size, _): &&(u64, &str)| seconds.is_multiple_of(*size);
    let (size, unit) = UNITS.iter().find(whole).copied().unwrap_or((1, "second"));
    match seconds / size {
        1 => format!("1 {unit}"),
        n => format!("{n} {unit}s"),
    }
}

fn removed(note: &Note, who: &str) -> String {
    let by = &note.by.name;
    let verb = if note.ban { "banned" } else { "removed" };
    let verb_is = if note.who.len() == 1 { "was" } else { "were" };
    let mut text = match (&note.invite, note.who.is_empty()) {
        (None, _) => format!("{who} {verb_is} {verb} by {by}"),
        (Some(_), true) => format!("{by} closed an invite"),
        (Some(_), false) => format!("{who}, who came by one invite, {verb_is} {verb} by {by}"),
    };
    if note.cascade {
        text.push_str(", with all whom they brought");
    }
    if note.purge {
        text.push_str(", and their messages hidden");
    }
    text
}

/// A complaint about keys: never came, or wrong.
fn keys_missing(by: &str, maker: &str, what: &Happened) -> String {
    let keys = if maker.is_empty() { "the new keys".to_owned() } else { format!("the keys that {maker} made") };
    match what {
        Happened::Complaint(_, Complaint::NoPage | Complaint::NoRow, _) => format!("{by} was not given {keys}"),
        _ => format!("{by} could not take {keys}: what was given to him is wrong"),
    }
}

fn devices(by: &str, what: &Happened) -> String {
    let Happened::Devices { added, revoked, .. } = what else { return String::new() };
    let mut parts = Vec::new();
    parts.extend(added.iter().map(|(device, name)| match name.as_str() {
        "" => format!("has a new device ({})", device.short()),
        name => format!("has a new device ({name})"),
    }));
    parts.extend(revoked.iter().map(|device| format!("revoked a device ({})", device.short())));
    format!("{by} {}", listed(&parts))
}

fn names(authors: &[Author]) -> String {
    listed(&authors.iter().map(|author| author.name.clone()).collect::<Vec<_>>())
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A role as somebody is called: "an owner", "a member".
pub(super) fn with_article(role: &str) -> String {
    let article = if role.starts_with(['a', 'o']) { "an" } else { "a" };
    format!("{article} {role}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(name: &str) -> Author {
        Author { account: String::new(), name: name.to_owned() }
    }

    #[test]
    fn removals_are_told_as_they_were() {
        let bob = Note { by: author("Alice"), who: vec![author("Bob")], counts: true, ..Note::default() };
        assert_eq!(removed(&bob, "Bob"), "Bob was removed by Alice");
        let hard = Note { ban: true, cascade: true, purge: true, ..bob.clone() };
        let told = "Bob was banned by Alice, with all whom they brought, and their messages hidden";
        assert_eq!(removed(&hard, "Bob"), told);
        let all = Note { who: vec![author("Bob"), author("Eve")], invite: Some("1".into()), ..bob };
        let told = "Bob and Eve, who came by one invite, were removed by Alice";
        assert_eq!(removed(&all, &names(&all.who)), told);
    }

    #[test]
    fn settings_are_told_in_one_sentence() {
        let update = UpdateRoom {
            name: Some("Garden".into()),
            about: Some(String::new()),
            ttl: Some(60),
            ..UpdateRoom::default()
        };
        let told =
            "named the room Garden, took the description of the room away and has messages disappear after 1 minute";
        assert_eq!(changed(&update), told);
    }

    #[test]
    fn roles_have_their_articles() {
        let roles = ["owner", "admin", "moderator", "member", "observer"].map(with_article);
        assert_eq!(roles, ["an owner", "an admin", "a moderator", "a member", "an observer"]);
    }

    #[test]
    fn changed_settings_are_told_in_words_also_those_that_nobody_is_shown() {
        let told = |seconds| changed(&UpdateRoom { ttl: Some(seconds), ..UpdateRoom::default() });
        assert_eq!(told(604_800), "has messages disappear after 7 days");
        assert_eq!(told(86_400), "has messages disappear after 1 day");
        assert_eq!(told(90_000), "has messages disappear after 25 hours");
        assert_eq!(told(90), "has messages disappear after 90 seconds");
        assert_eq!(told(0), "has messages stay");
        let hidden = settings(&[(Setting::MailboxTokens, vec![1])]);
        assert_eq!(changed(&hidden), "changed a setting of the room");
        let name = settings(&[(Setting::MailboxTokens, vec![1]), (Setting::Name, b"Kitchen".to_vec())]);
        assert_eq!(changed(&name), "named the room Kitchen");
    }
}
