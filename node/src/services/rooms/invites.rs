//! Invites: what clients want made and revoked, within the own right to invite.

use parlor_api::{Code, CreateInvite, Invite, Problem};
use parlor_proto::EventId;
use parlor_proto::control::{InviteBounds, InviteHistory, Mailboxes, Permission, Sponsor};
use parlor_proto::link::{Address, Caveats, Link};
use parlor_proto::room::{InviteLimit, NewInvite, Outcome, Refusal};
use parlor_storage::Batch;

use super::entry::Turn;
use super::log::with_article;
use super::message::Reply;
use super::settle::Settle;
use super::views::{from_role, role};
use crate::account::rng;
use crate::app::Answer;
use crate::bus::{parse_rfc3339, rfc3339};
use crate::count::count;

/// An invite that is to be stored.
struct Made {
    id: EventId,
    link: String,
    outcome: Outcome,
    batch: Batch,
}

impl Turn<'_> {
    /// The invites of the room, the newest first.
    pub(super) fn invite_views(&self) -> Vec<Invite> {
        let mut invites = self.entry.room.invites();
        invites.sort_by_key(|info| std::cmp::Reverse(info.created_at_ms));
        invites.iter().map(|info| self.invite_view(info, None)).collect()
    }

    /// Makes an invite.
    pub(super) fn create_invite(&mut self, request: &CreateInvite, addresses: &[Address], reply: Reply<Invite>) {
        match self.make_invite(request, addresses) {
            Err(problem) => drop(reply.send(Err(problem))),
            Ok(Made { id, link, outcome, batch }) => self.commit_with(
                batch,
                outcome,
                Settle::reply(move |turn, done| {
                    if done.is_ok() && turn.entry.parts.contains_key(&id) {
                        turn.plan_mail();
                    }
                    let view = turn.entry.room.invite_info(&id).map(|info| turn.invite_view(&info, Some(link)));
                    drop(reply.send(done.and(view.ok_or_else(|| Problem::of(Code::Internal)))));
                }),
            ),
        }
    }

    fn make_invite(&mut self, request: &CreateInvite, addresses: &[Address]) -> Answer<Made> {
        let new = self.new_invite(request)?;
        let (expires_ms, max_uses) = (new.expires_ms.unwrap_or(u64::MAX), new.uses.unwrap_or(u32::MAX));
        let (seed, id, outcome, batch) = if request.instant {
            let made = self.entry.room.invite_instant(&new, self.now_ms, &mut rng());
            let made = made.map_err(|why| self.invite_refused(request.role, why))?;
            let batch = self.leave_at_door(&made);
            (made.seed, made.id, made.outcome, batch)
        } else {
            let made = self.entry.room.invite(&new, self.now_ms, &mut rng());
            let made = made.map_err(|why| self.invite_refused(request.role, why))?;
            let id = self.entry.room.invite_by_key(&made.0.keys().sign.public_bytes());
            (made.0, id.ok_or_else(|| Problem::of(Code::Internal))?, made.1, Batch::new(Some(self.id())))
        };
        let kind = self.entry.room.info().map_or(parlor_proto::control::RoomKind::Group, |info| info.kind);
        let mut perms = new.role.permissions(kind);
        if new.delegate.is_some() {
            perms = perms.with(Permission::Invite);
        }
        let sponsor = if request.instant { Sponsor::Instant } else { new.sponsor };
        let caveats = Caveats { power: new.role.power(), perms, expires_ms, max_uses, sponsor };
        let device = self.context.identity.signing_key();
        let mailboxes = self.entry.room.info().map(|info| info.mailboxes).unwrap_or_default();
        let addresses = &for_link(addresses, &mailboxes);
        let link = Link::issue(seed, self.id(), caveats, device, self.context.peer.to_key(), addresses).to_text();
        Ok(Made { id, link, outcome, batch })
    }

    /// What a client wants, with what it did not say: a week and one person, or as much as our right to invite reaches to.
    fn new_invite(&self, request: &CreateInvite) -> Answer<NewInvite> {
        let me = self.entry.room.member(&self.context.identity.account());
        let right: Option<InviteBounds> = me.and_then(|me| me.invites).map(|(_, bounds)| bounds);
        let until_ms = right.map_or(u64::MAX, |right| right.until_ms);
        if until_ms <= self.now_ms {
            return Err(beyond_right(InviteLimit::Until(until_ms)));
        }
        let after = |seconds: u64| self.now_ms.saturating_add(seconds.saturating_mul(1000));
        let expires_ms = match request.expires_in {
            Some(seconds) => after(seconds),
            None => after(CreateInvite::EXPIRES_IN).min(until_ms),
        };
        Ok(NewInvite {
            role: from_role(request.role),
            expires_ms: Some(expires_ms),
            uses: Some(request.uses.unwrap_or(1).max(1)),
            approval: request.approve,
            sponsor: sponsor(request)?,
            history: self.history_wanted(request)?,
            delegate: request.delegate,
        })
    }

    /// What those who come are to read of the past.
    fn history_wanted(&self, request: &CreateInvite) -> Answer<Option<InviteHistory>> {
        let since = match (&request.since, request.history) {
            (None, None) => return Ok(None),
            (None, Some(parlor_api::History::FromJoin)) => return Ok(Some(InviteHistory::None)),
            (None, Some(parlor_api::History::Shared)) => return Ok(Some(InviteHistory::Full)),
            (Some(_), Some(_)) => return Err(Problem::new(Code::BadRequest, "either `history` or `since`, not both")),
            (Some(since), None) => since,
        };
        let from_ms = parse_rfc3339(since)
            .ok_or_else(|| Problem::new(Code::BadRequest, "`since` is a time such as 2026-11-21T08:00:00Z"))?;
        let (epoch, _) = self.entry.room.epoch_since(from_ms).map_err(|newest| {
            let detail = "newcomers read from a change of the room's keys on, and there was none since then";
            Problem::new(Code::Conflict, detail).hint(format!(
                "the last one was at {}; name that or earlier, or nothing of the past: --history from-join",
                newest.map_or_else(|| "no time".to_owned(), rfc3339)
            ))
        })?;
        Ok(Some(InviteHistory::Since(epoch)))
    }

    /// Why no invite is made.
    fn invite_refused(&self, wanted: parlor_api::Role, why: Refusal) -> Problem {
        match (why, self.entry.room.role().map(role)) {
            (Refusal::TooStrong, Some(mine)) => {
                let detail =
                    format!("{} can not invite anybody as {}", with_article(mine.name()), with_article(wanted.name()));
                Problem::new(Code::NotPermitted, detail).hint(match wanted {
                    parlor_api::Role::Owner => "an owner makes others owners: parlor member role ROOM WHO owner",
                    _ => "an owner or admin of the room can",
                })
            }
            (Refusal::Invite(InviteLimit::Depth(0)), _) if !self.may_invite_anybody() => Problem::new(
                Code::NotPermitted,
                "the right to invite came to its end before you: who gave you your role could hand it on no further",
            )
            .hint("an owner or admin can: parlor member role ROOM WHO ROLE --may-invite"),
            (other, _) => self.refused(other),
        }
    }

    /// Whether our right to invite reaches to one step at least.
    fn may_invite_anybody(&self) -> bool {
        let me = self.entry.room.member(&self.context.identity.account());
        me.and_then(|me| me.invites).is_some_and(|(depth, _)| depth > 0)
    }

    /// Takes an invite back.
    pub(super) fn revoke(&mut self, text: &str, reply: Reply<Invite>) {
        let info = match self.invite_named(text) {
            Ok(info) => info,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        if info.revoked {
            return drop(reply.send(Ok(self.invite_view(&info, None))));
        }
        match self.entry.room.revoke(&info.id, self.now_ms, &mut rng()) {
            Err(Refusal::TooStrong) => {
                let maker = self.name_of(&info.by);
                let detail = format!("this invite was made by {maker}, who stands above you here");
                let problem = Problem::new(Code::NotPermitted, detail);
                drop(reply.send(Err(problem.hint(format!("{maker}, or somebody more senior, can revoke it")))));
            }
            Err(why) => drop(reply.send(Err(self.refused(why)))),
            Ok(outcome) => self.commit(
                outcome,
                Settle::reply(move |turn, done| {
                    let view = turn.entry.room.invite_info(&info.id).map(|info| turn.invite_view(&info, None));
                    drop(reply.send(done.and(view.ok_or_else(|| Problem::of(Code::Internal)))));
                }),
            ),
        }
    }
}

/// More than the own right to invite reaches to, which somebody handed on.
pub(super) fn beyond_right(limit: InviteLimit) -> Problem {
    const MORE: &str = "whoever gave you the right, or somebody more senior, can do more";
    let (detail, hint) = match limit {
        InviteLimit::Depth(0) => {
            ("the right to invite ends with you: you can not hand it on".to_owned(), MORE.to_owned())
        }
        InviteLimit::Depth(most) => (
            format!("your right to invite can be handed on {} at most", count(most, "step", "steps")),
            format!("--delegate {most} or less; {MORE}"),
        ),
        InviteLimit::Until(ms) => (
            format!("your right to invite is for invites that end by {} at the latest", rfc3339(ms)),
            format!("a shorter one: --expires, or without it; {MORE}"),
        ),
        InviteLimit::Uses(most) => (
            format!("your right to invite is for at most {} an invite", count(most, "person", "people")),
            format!("--uses {most} or less; {MORE}"),
        ),
        InviteLimit::Room => (
            "as the room is now, newcomers read only what is written after they came".to_owned(),
            "an owner or admin can share what is written from then on: parlor room set ROOM --history shared"
                .to_owned(),
        ),
        InviteLimit::History => {
            ("newcomers can not read more of the past by your invite than you could".to_owned(), MORE.to_owned())
        }
    };
    Problem::new(Code::NotPermitted, detail).hint(hint)
}

/// Whose node may let people in by an invite.
fn sponsor(request: &CreateInvite) -> Answer<Sponsor> {
    use parlor_api::Role;
    match (request.sponsor, request.approve) {
        (None, false) | (Some(Role::Member), false) => Ok(Sponsor::AnyMember),
        (None | Some(Role::Moderator), _) => Ok(Sponsor::Moderator),
        (Some(Role::Admin), _) => Ok(Sponsor::Admin),
        (Some(Role::Member), true) => Err(Problem::new(Code::BadRequest, "members can not approve requests")
            .hint("with approval the sponsor is a moderator or an admin")),
        (Some(_), _) => Err(Problem::new(Code::BadRequest, "the sponsor is a member, a moderator or an admin")),
    }
}

/// The addresses of a link, best first: one to reach us directly, the relays where the request can wait, more of ours.
fn for_link(ours: &[Address], mailboxes: &Mailboxes) -> Vec<Address> {
    let through = |mailbox: &parlor_proto::control::Mailbox| mailbox.addresses.first()?.via(mailbox.peer);
    let mut ways: Vec<Address> = mailboxes.list().iter().filter_map(through).collect();
    ways.extend(ours.iter().filter(|address| address.relay().is_some()).cloned());
    let mut direct = ours.iter().filter(|address| address.relay().is_none()).cloned();
    let mut addresses: Vec<Address> = direct.next().into_iter().collect();
    for way in ways {
        // One address of a relay is enough.
        if !addresses.iter().any(|known| known.relay() == way.relay()) {
            addresses.push(way);
        }
    }
    addresses.extend(direct);
    addresses
}
