//! Roles, removals and bans: what clients want, whom they mean, and why the room refuses.

use parlor_api::{Banned, Code, Member, Problem, RemoveMembers, Removed, Role, SetRole};
use parlor_proto::AccountId;
use parlor_proto::control::{Permission, Target};
use parlor_proto::room::{Delegation, Outcome, Refusal, Removal};

use super::entry::Turn;
use super::log::with_article;
use super::message::Reply;
use super::settle::Settle;
use super::views::{from_role, role};
use super::who::no_member;
use crate::app::Answer;
use crate::bus::rfc3339;

impl Turn<'_> {
    /// Gives somebody a role.
    pub(super) fn set_role(&mut self, who: &str, wanted: &SetRole, reply: Reply<Member>) {
        match self.give_role(who, wanted) {
            Err(problem) => drop(reply.send(Err(problem))),
            Ok((account, outcome)) => self.commit(
                outcome,
                Settle::reply(move |turn, done| {
                    let view = turn.member_views().into_iter().find(|view| view.account == account.to_string());
                    drop(reply.send(done.and(view.ok_or_else(|| Problem::of(Code::MemberNotFound)))));
                }),
            ),
        }
    }

    fn give_role(&mut self, who: &str, wanted: &SetRole) -> Answer<(AccountId, Outcome)> {
        let account = self.known(who)?;
        if account == self.context.identity.account() {
            return Err(Problem::new(Code::NotPermitted, "nobody changes his own role")
                .hint("ask another owner or admin of the room; or leave with: parlor room leave ROOM"));
        }
        let given = from_role(wanted.role);
        let now_ms = self.now_ms;
        let room = &mut self.entry.room;
        let done = if wanted.may_invite {
            let right = Delegation {
                depth: wanted.invite_depth.unwrap_or(given.max_depth().max(1)),
                until_ms: wanted.invite_expires_in.map(|secs| now_ms.saturating_add(secs.saturating_mul(1000))),
                uses: wanted.invite_uses,
            };
            room.delegate(&account, given, right, now_ms)
        } else {
            room.grant_role(&account, given, now_ms)
        };
        let outcome = done.map_err(|why| self.role_refused(&account, wanted.role, why))?;
        Ok((account, outcome))
    }

    /// Removes or bans somebody. Answered when it is durable, with the keys that follow from it.
    pub(super) fn remove(&mut self, who: &str, how: RemoveMembers, ban: bool, reply: Reply<Removed>) {
        let me = self.context.identity.account();
        // A ban keeps out who is out already, too.
        let meant = if ban { self.known(who) } else { self.member_named(who) };
        match meant {
            Err(problem) => drop(reply.send(Err(problem))),
            Ok(account) if account == me => {
                let problem = Problem::new(Code::Conflict, "nobody removes himself");
                drop(reply.send(Err(problem.hint("leave with: parlor room leave ROOM"))));
            }
            Ok(account) => self.remove_target(Target::Account(account), how, ban, reply),
        }
    }

    /// Removes all who came by an invite, and closes it.
    pub(super) fn remove_joined(&mut self, invite: &str, how: RemoveMembers, reply: Reply<Removed>) {
        match self.invite_named(invite) {
            Err(problem) => drop(reply.send(Err(problem))),
            Ok(info) => self.remove_target(Target::Invite(info.id), how, false, reply),
        }
    }

    fn remove_target(&mut self, target: Target, how: RemoveMembers, ban: bool, reply: Reply<Removed>) {
        let before = self.entry.room.members();
        let removal = Removal { target, ban, cascade: how.cascade, purge: how.purge };
        match self.entry.room.remove(&[removal], self.now_ms, &mut crate::account::rng()) {
            Err(why) => {
                let account = match target {
                    Target::Account(account) => Some(account),
                    _ => None,
                };
                drop(reply.send(Err(self.removal_refused(account, if ban { "ban" } else { "remove" }, why))));
            }
            Ok(outcome) => {
                let room = &self.entry.room;
                let out = before.iter().map(|member| member.account).filter(|account| room.member(account).is_none());
                let mut removed: Vec<_> = out.map(|account| self.author_of(&account)).collect();
                if let (Target::Account(account), true) = (target, removed.is_empty()) {
                    removed.push(self.author_of(&account));
                }
                let removed = Removed {
                    room: self.id().to_string(),
                    removed,
                    banned: ban,
                    epoch: room.epoch_status().epoch.map(|epoch| epoch.short()),
                };
                self.commit(outcome, Settle::reply(|_, done| drop(reply.send(done.map(|()| removed)))));
            }
        }
    }

    /// Lifts the ban of somebody, who does not come back by that.
    pub(super) fn unban(&mut self, who: &str, reply: Reply<Banned>) {
        match self.lift_ban(who) {
            Err(problem) => drop(reply.send(Err(problem))),
            Ok((view, outcome)) => {
                self.commit(outcome, Settle::reply(|_, done| drop(reply.send(done.map(|()| view)))));
            }
        }
    }

    fn lift_ban(&mut self, who: &str) -> Answer<(Banned, Outcome)> {
        if !self.entry.room.permissions().has(Permission::Remove) {
            return Err(self.refused(match self.entry.room.is_member() {
                true => Refusal::NotPermitted(Permission::Remove),
                false => Refusal::NotMember,
            }));
        }
        let banned: Vec<_> = self.entry.room.banned().into_iter().map(|ban| ban.account).collect();
        let not_found = || {
            Problem::new(Code::MemberNotFound, "nobody of that name is banned")
                .hint("parlor room show ROOM tells who is")
        };
        let account = self.pick(&banned, who)?.ok_or_else(not_found)?;
        let views = self.banned_views();
        let view = views.into_iter().find(|view| view.account == account.to_string()).ok_or_else(not_found)?;
        match self.entry.room.unban(&account, self.now_ms) {
            Ok(outcome) => Ok((view, outcome)),
            Err(Refusal::TooStrong) => {
                let detail =
                    format!("the ban of {} by {} can only be lifted by somebody as senior", view.name, view.by.name);
                Err(Problem::new(Code::NotPermitted, detail).hint(format!("ask {}, or an owner", view.by.name)))
            }
            Err(why) => Err(self.refused(why)),
        }
    }

    /// Who is banned.
    pub(super) fn banned_views(&self) -> Vec<Banned> {
        let view = |ban: parlor_proto::room::Ban| Banned {
            account: ban.account.to_string(),
            name: self.name_of(&ban.account),
            by: self.author_of(&ban.by),
            at: rfc3339(ban.at_ms),
        };
        self.entry.room.banned().into_iter().map(view).collect()
    }

    /// Refuses to leave a room with members and no owner, unless `force` says so.
    pub(super) fn may_leave(&self, force: bool) -> Answer<()> {
        use parlor_proto::control::Role;
        let me = self.context.identity.account();
        let others: Vec<_> = self.entry.room.members().into_iter().filter(|member| member.account != me).collect();
        let owned = others.iter().any(|member| member.role == Role::Owner);
        if force || owned || others.is_empty() || self.entry.room.role() != Some(Role::Owner) {
            return Ok(());
        }
        Err(Problem::new(
            Code::LastOwner,
            "you are the only owner: without you nobody could make owners or admins any more",
        )
        .hint("make another owner first: parlor member role ROOM WHO owner; or leave all the same with --force"))
    }

    /// Why a role is not given.
    fn role_refused(&self, account: &AccountId, wanted: Role, why: Refusal) -> Problem {
        let Some(mine) = self.entry.room.role().map(role) else { return self.refused(Refusal::NotMember) };
        let name = self.name_of(account);
        match why {
            Refusal::TooStrong if wanted < mine => {
                let detail =
                    format!("{} can not make anybody {}", with_article(mine.name()), with_article(wanted.name()));
                let who = if wanted == Role::Owner { "an owner can" } else { "an owner or admin can" };
                Problem::new(Code::NotPermitted, detail).hint(who)
            }
            Refusal::TooStrong => self.above_us(account, "change the role of"),
            Refusal::Banned => Problem::new(Code::Banned, format!("{name} is banned by somebody more senior"))
                .hint("the ban must be lifted first: parlor member unban ROOM WHO"),
            Refusal::NoAccount => no_member(&name),
            other => self.refused(other),
        }
    }

    /// Why somebody is not removed.
    fn removal_refused(&self, account: Option<AccountId>, verb: &str, why: Refusal) -> Problem {
        match (why, account) {
            (Refusal::TooStrong, Some(account)) => self.above_us(&account, verb),
            (Refusal::TooStrong, None) => {
                Problem::new(Code::NotPermitted, "this invite was made by somebody more senior than you")
                    .hint("who made it, or an owner, can remove all who came by it")
            }
            (Refusal::NoAccount, Some(account)) => no_member(&self.name_of(&account)),
            (Refusal::NoAccount, None) => {
                Problem::new(Code::MemberNotFound, "nobody who came by this invite is a member")
                    .hint("to close the invite: parlor invite revoke ROOM INVITE")
            }
            (other, _) => self.refused(other),
        }
    }

    /// We may not touch somebody: he is as strong as we are, or stronger.
    fn above_us(&self, account: &AccountId, verb: &str) -> Problem {
        let mine = self.entry.room.role().map(role);
        let theirs = self.entry.room.member(account).map(|member| role(member.role));
        let (Some(mine), Some(theirs)) = (mine, theirs) else { return self.refused(Refusal::TooStrong) };
        let name = self.name_of(account);
        let (mine_named, theirs_named) = (with_article(mine.name()), with_article(theirs.name()));
        if theirs < mine {
            let stronger = if theirs == Role::Owner { "another owner" } else { "an owner" };
            return Problem::new(Code::NotPermitted, format!("{mine_named} can not {verb} {theirs_named}"))
                .hint(format!("{stronger} of the room can"));
        }
        let detail = format!("you can not {verb} {name}, who is {theirs_named} too and more senior");
        Problem::new(Code::NotPermitted, detail).hint("whoever made you both what you are, or an owner, can")
    }
}
