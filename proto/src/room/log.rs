//! The log of a room: its control events as what people did to each other. For people to read; decides nothing.

use super::Room;
use crate::control::{
    Complaint, Control, EquivProof, GrantId, GrantRole, InviteId, MessageFate, Permission, Policy, Remove, Role,
    RotateReason, Setting, Target,
};
use crate::dag::{GrantIdx, Node, NodeIdx};
use crate::ids::{AccountId, DeviceId, EpochId, EventId};

/// The events that make a room: genesis, first settings, first keys. The first one says it all.
const MADE_WITH: usize = 3;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The event that says so.
    pub event: EventId,
    /// How many events it was built on, at least: grows along causality, so that lines of one moment can be ordered.
    pub lamport: u64,
    /// When, by its author's clock.
    pub at_ms: u64,
    /// Whose device wrote it.
    pub by: AccountId,
    /// Whether it holds: not what was done under a grant that did not count (any more).
    pub counts: bool,
    /// What happened.
    pub what: Happened,
}

/// What somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happened {
    /// Made the room, with these owners.
    Created(Vec<AccountId>),
    /// Let an account in on an invite, as this.
    Joined {
        /// Who came.
        account: AccountId,
        /// What it became.
        role: Role,
        /// By which invite,
        invite: InviteId,
        /// and whose.
        inviter: AccountId,
    },
    /// Gave an account a role.
    Role(AccountId, Role),
    /// Gave an account the right to invite, or took it away; what else it is did not change.
    MayInvite(AccountId, bool),
    /// Ended one role of an account.
    RoleEnded(AccountId, Role),
    /// By another role for an account, ended so many of its invites that were open.
    InvitesEnded(AccountId, u32),
    /// Removed accounts: one, or those who had come by an invite.
    Removed {
        /// Whom, themselves.
        accounts: Vec<AccountId>,
        /// Who had come by this invite.
        invite: Option<InviteId>,
        /// They may not come back.
        ban: bool,
        /// With all whom they brought.
        cascade: bool,
        /// Their messages are hidden.
        purge: bool,
    },
    /// Lifted the ban of an account.
    Unbanned(AccountId),
    /// Left.
    Left,
    /// Made an invite that gives this role.
    Invited(InviteId, Role),
    /// Made an invite instant: the link alone reads and lets in, with nobody online.
    Instant(InviteId),
    /// Revoked an invite of somebody.
    InviteRevoked(InviteId, AccountId),
    /// Refused an account that asked to come in, on this invite.
    Declined(AccountId, InviteId),
    /// Changed settings. Numbers this version does not know are left out.
    Settings(Vec<(Setting, Vec<u8>)>),
    /// Changed the rules beside the roles.
    Policy(Policy),
    /// Made new keys.
    Keys(EpochId, RotateReason),
    /// Devices of an account, its own word or by an invite: new ones with their names, and revoked ones.
    Devices {
        /// Whose.
        of: AccountId,
        /// New ones.
        added: Vec<(DeviceId, String)>,
        /// Revoked ones.
        revoked: Vec<DeviceId>,
    },
    /// Proved that a device of an account wrote two events of one number.
    Contradiction(DeviceId, Option<AccountId>),
    /// Complained about the keys of an epoch, which this account made.
    Complaint(EpochId, Complaint, Option<AccountId>),
}

/// How an account came out of the room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The event that ended its last grant; the admission itself, if that never counted.
    pub event: EventId,
    /// Who wrote that.
    pub by: AccountId,
    /// When, by his clock.
    pub at_ms: u64,
    /// In which way.
    pub how: ExitHow,
    /// Whether somebody must lift a ban before the account can come back.
    pub banned: bool,
}

/// In which way somebody came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitHow {
    /// It left.
    Left,
    /// Somebody removed it.
    Removed,
    /// Its admission does not count: the invite was used up or closed, or who admitted had no right to (any more).
    NotAdmitted,
    /// Another device of the account revoked this one.
    Revoked,
}

impl Room {
    /// The log in order of acceptance: ancestors first.
    pub fn log(&self) -> Vec<LogLine> {
        (0..self.dag.len()).filter_map(|at| self.log_line(at)).collect()
    }

    /// The line of one control event; `None` for one that says nothing to people, and for what is no control event here.
    pub fn log_of(&self, event: &EventId) -> Option<LogLine> {
        self.log_line(self.dag.find(event)?)
    }

    /// How an account came out of the room; `None` for members and for who never was in.
    pub fn exit(&self, account: &AccountId) -> Option<Exit> {
        if self.resolved.members().contains_key(account) {
            // The account is in; this device of it may be out.
            let ours = *account == self.me.account();
            let revoke = self.dag.device_revokes(&self.me.device()).first().filter(|_| ours);
            return revoke.map(|(at, _)| exit(self.dag.node(*at), ExitHow::Revoked, false));
        }
        let grants = self.dag.grants_of(account);
        let banned = !self.resolved.bans(&self.dag, account).is_empty();
        let counted = grants.iter().filter(|g| self.resolved.is_ok(**g));
        let kills = counted.flat_map(|g| self.resolved.kills(*g));
        // What everybody else who holds the same events takes for the last one too.
        if let Some(kill) = kills.copied().max_by_key(|at| (self.dag.node(*at).lamport, self.dag.node(*at).event.id()))
        {
            let node = self.dag.node(kill);
            let left = matches!(node.control, Control::Leave(_));
            return Some(exit(node, if left { ExitHow::Left } else { ExitHow::Removed }, banned));
        }
        let admission =
            grants.iter().map(|g| self.dag.node(self.dag.grants()[*g].op)).max_by_key(|node| node.lamport)?;
        Some(exit(admission, ExitHow::NotAdmitted, banned))
    }

    /// Every account that ever had a grant here, ascending.
    pub fn accounts(&self) -> Vec<AccountId> {
        let mut accounts: Vec<_> = self.dag.grants().iter().map(|grant| grant.subject).collect();
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    fn log_line(&self, at: NodeIdx) -> Option<LogLine> {
        let node = self.dag.node(at);
        if self.is_of_guests(node) {
            return None;
        }
        let what = self.happened(node)?;
        let mut grants = self.dag.grants_by(at);
        let counts = if grants.is_empty() {
            let left = matches!(node.control, Control::Leave(_));
            // Also when it was made under a role that somebody had changed meanwhile.
            self.resolved.is_admissible(&self.dag, at) || left && self.resolved.ends_any(&self.dag, &node.author, at)
        } else {
            grants.any(|g| self.resolved.is_ok(g))
        };
        let (event, by) = (node.event.id(), node.author);
        Some(LogLine { event, lamport: node.lamport, at_ms: node.ts_ms, by, counts, what })
    }

    fn happened(&self, node: &Node) -> Option<Happened> {
        Some(match &node.control {
            Control::Genesis(genesis) => {
                Happened::Created(genesis.owners.iter().map(|owner| owner.account()).collect())
            }
            Control::Admit(admit) => {
                let (invite_at, invite) = self.dag.invite(&admit.invite)?;
                let account = admit.join.entrant.account();
                // Whom a guest let in his maker lets in again: nobody comes. It may be another device of his.
                let was_in = |g: &GrantIdx| {
                    let ended = self.resolved.kills(*g).iter().any(|kill| node.past.has(*kill));
                    self.resolved.is_ok(*g) && node.past.has(self.dag.grants()[*g].op) && !ended
                };
                if self.dag.grants_of(&account).iter().any(was_in) {
                    let device = admit.join.entrant.device();
                    let known = self.dag.device_no(&device).and_then(|no| self.dag.account_in(no, &node.past));
                    let name = admit.join.entrant.cert.name.clone();
                    let came = Happened::Devices { of: account, added: vec![(device, name)], revoked: Vec::new() };
                    return known.is_none().then_some(came);
                }
                Happened::Joined {
                    account,
                    role: invite.power.role(),
                    invite: admit.invite,
                    inviter: self.dag.node(invite_at).author,
                }
            }
            Control::Grant(grant) => self.role_given(node, grant),
            Control::Remove(remove) => self.removal(node, remove)?,
            Control::Unban(unban) => match &self.dag.node(self.dag.find(&unban.removal)?).control {
                Control::Remove(Remove { target: Target::Account(account), .. }) => Happened::Unbanned(*account),
                _ => return None,
            },
            Control::Leave(_) => Happened::Left,
            Control::Invite(invite) => match self.dag.kinds().instant.get(&self.dag.find(&node.event.id())?) {
                Some(people) => Happened::Instant(self.dag.node(*people).event.id()),
                None => Happened::Invited(node.event.id(), invite.power.role()),
            },
            Control::InviteRevoke(revoke) => {
                let (invite_at, _) = self.dag.invite(&revoke.invite)?;
                Happened::InviteRevoked(revoke.invite, self.dag.node(invite_at).author)
            }
            Control::Decline(decline) => Happened::Declined(decline.account, decline.invite),
            Control::State(state) => {
                let known =
                    state.writes.iter().filter_map(|(number, value)| Some((people_see(*number)?, value.clone())));
                let known: Vec<_> = known.collect();
                if known.is_empty() || node.past.len() < MADE_WITH {
                    return None;
                }
                Happened::Settings(known)
            }
            Control::Policy(change) => Happened::Policy(change.policy.clone()),
            Control::Rotate(_) if node.past.len() < MADE_WITH => return None,
            Control::Rotate(rotate) => Happened::Keys(EpochId::of(&node.event.id()), rotate.reason),
            Control::AccountUpdate(_) if self.dag.direct().is_some() && node.past.len() < MADE_WITH => return None,
            Control::AccountUpdate(update) => Happened::Devices {
                of: node.author,
                added: update.devices.iter().map(|new| (new.device(), new.cert.name.clone())).collect(),
                revoked: update.revokes.iter().map(|revoke| DeviceId(revoke.device_pk)).collect(),
            },
            Control::EquivProof(proof) => self.contradiction(proof)?,
            Control::KeyComplaint(complaint) => {
                let maker = self.dag.epoch(&complaint.epoch).map(|(at, _)| self.dag.node(at).author);
                Happened::Complaint(complaint.epoch, complaint.what, maker)
            }
            // It was always there.
            Control::Direct(_) | Control::Unknown(_) => return None,
        })
    }

    /// A role; or the right to invite alone, if the account had the role in that view.
    fn role_given(&self, node: &Node, grant: &GrantRole) -> Happened {
        let stood = |g: &&GrantIdx| {
            let ended = self.resolved.kills(**g).iter().any(|kill| node.past.has(*kill));
            self.resolved.is_ok(**g) && node.past.has(self.dag.grants()[**g].op) && !ended
        };
        let had = self.dag.grants_of(&grant.subject).iter().filter(stood).map(|g| &self.dag.grants()[*g]);
        let had = had.min_by_key(|had| had.power).filter(|had| had.power == grant.power);
        let invites = grant.perms.has(Permission::Invite);
        match had {
            Some(had) if had.perms.has(Permission::Invite) != invites => Happened::MayInvite(grant.subject, invites),
            _ => Happened::Role(grant.subject, grant.power.role()),
        }
    }

    /// How many invites that were open ended with these grants.
    fn invites_ended(&self, node: &Node, ended: &[GrantIdx]) -> u32 {
        let theirs = |at: &&NodeIdx| {
            // As it was then: what became of its maker or of the invite since changes nothing of what was so.
            let open = |at: NodeIdx| {
                let info = self.describe_invite(at);
                let lasts = info.as_ref().is_some_and(|info| info.expires_ms.is_none_or(|end| end > node.ts_ms));
                let closed = self.resolved.closings(&self.dag, at).any(|closing| node.past.has(closing));
                let counts = self.resolved.is_admissible(&self.dag, at) && !closed;
                lasts && counts && info.is_some_and(|info| !info.is_used_up())
            };
            self.dag.node(**at).auth.is_some_and(|auth| ended.contains(&auth)) && open(**at)
        };
        u32::try_from(self.dag.kinds().invites.iter().filter(theirs).count()).unwrap_or(u32::MAX)
    }

    fn removal(&self, node: &Node, remove: &Remove) -> Option<Happened> {
        let (invite, accounts) = match &remove.target {
            Target::Account(account) => (None, vec![*account]),
            Target::Grant(grant, account) => return self.role_ended(node, grant, account),
            Target::Invite(invite) => {
                let hit = self.dag.targets(&remove.target).iter().copied();
                let mut accounts: Vec<_> =
                    hit.filter(|g| self.resolved.is_ok(*g)).map(|g| self.dag.grants()[g].subject).collect();
                accounts.sort_unstable();
                accounts.dedup();
                (Some(*invite), accounts)
            }
        };
        let purge = remove.messages == MessageFate::Purged;
        Some(Happened::Removed { accounts, invite, ban: remove.ban, cascade: remove.cascade, purge })
    }

    /// The end of one role. If its author gave the account another one just before, that says it all, but for the invites that end.
    fn role_ended(&self, node: &Node, grant: &GrantId, account: &AccountId) -> Option<Happened> {
        let prev = node.event.control().map(|header| header.prev);
        let before = prev.and_then(|prev| self.dag.find(&prev)).map(|at| &self.dag.node(at).control);
        let regranted = match before {
            Some(Control::Grant(given)) => given.subject == *account,
            // Several roles end at once.
            Some(Control::Remove(Remove { target: Target::Grant(_, other), .. })) => other == account,
            _ => false,
        };
        let ended = self.dag.targets(&Target::Grant(*grant, *account));
        let role = ended.first().map(|g| self.dag.grants()[*g].power.role())?;
        if !regranted {
            return Some(Happened::RoleEnded(*account, role));
        }
        let invites = self.invites_ended(node, ended);
        (invites > 0).then_some(Happened::InvitesEnded(*account, invites))
    }

    fn contradiction(&self, proof: &EquivProof) -> Option<Happened> {
        let log = proof.log(&self.id)?;
        Some(Happened::Contradiction(log.device, self.account_of(&log.device)))
    }
}

fn exit(node: &Node, how: ExitHow, banned: bool) -> Exit {
    Exit { event: node.event.id(), by: node.author, at_ms: node.ts_ms, how, banned }
}

/// The setting of a number, if people see it.
fn people_see(number: u8) -> Option<Setting> {
    [Setting::Name, Setting::About, Setting::Ttl, Setting::Mailboxes]
        .into_iter()
        .find(|setting| *setting as u8 == number)
}
