//! Requests to come in: who knocked on an invite that wants a person's word.
//!
//! A request is kept durably at the member it was made to until somebody answers it or the invite ends. The joiner asks
//! again by himself, so nothing has to find its way back: an approved one is answered with his Welcome, a refused one with
//! the refusal. The approval *is* the Admit and the refusal is the Decline, which the room keeps; what is kept here is only the
//! question, also after a no: somebody may still say yes.

mod book;

use std::collections::HashMap;

use parlor_api::{Author, Code, EventBody, Problem, Request, RequestChange, RequestChanged};
use parlor_net::PeerId;
use parlor_proto::control::{InviteId, JoinRequest};
use parlor_proto::join::{Answer as JoinAnswer, Refusal as JoinRefused};
use parlor_proto::room::{JoinRefusal, Outcome, Refusal, Standing};
use parlor_proto::{AccountId, codec};
use parlor_storage::{Batch, Namespace};

use super::entry::{Job, OnAnswer, Turn};
use super::log::with_article;
use super::message::Reply;
use super::settle::Settle;
use super::who::pick;
use crate::account::rng;
use crate::app::Answer;
use crate::bus::rfc3339;
pub(super) use book::Requests;
use book::{Asked, Came, key};

impl Turn<'_> {
    /// Somebody wants in on an invite that wants a person's word: notes it, or says what was decided. What it answers may
    /// be told at once: a request that is lost is made again. `peer` asks for himself, or passes it on as a member.
    pub(super) fn asked_to_come_in(&mut self, peer: &PeerId, invite: InviteId, join: JoinRequest) -> JoinAnswer {
        self.forget_old_requests();
        let device = self.entry.sessions.get(peer).and_then(|linked| linked.device);
        let heard = device.is_some_and(|device| self.entry.room.account_of(&device).is_some());
        let account = join.entrant.account();
        match self.entry.requests.came(invite, join, heard, self.now_ms) {
            Came::Full => return JoinAnswer::Refused(JoinRefused::Later),
            Came::Waits => {}
            Came::Keep { asked, news } => {
                let name = asked.join.entrant.cert.name.clone();
                let settle = Settle::reply(move |turn, done| {
                    if done.is_ok() && news {
                        turn.tell_request(account, name, RequestChange::Asked);
                    }
                });
                self.keep_request(account, *asked, settle);
            }
        }
        // Whom it is passed on to now may not take it.
        let held_by = self.held_by(&account);
        self.pass_requests_on();
        JoinAnswer::Pending { held_by }
    }

    /// How many members who may answer have the request of an account, as far as is known here: we, and who took it from us.
    fn held_by(&self, account: &AccountId) -> u16 {
        let me = self.context.identity.account();
        let told = self.entry.requests.told_of(account).filter_map(|device| self.entry.room.account_of(device));
        let all: std::collections::BTreeSet<AccountId> = told.chain([me]).collect();
        u16::try_from(all.len()).unwrap_or(u16::MAX)
    }

    /// Passes what is asked here on to connected members who may answer it, each device once and slowly: as the same knock, made
    /// anew, so they take it as if the joiner had come to them.
    pub(super) fn pass_requests_on(&mut self) {
        if self.entry.requests.is_empty() {
            return;
        }
        self.forget_old_requests();
        if !self.entry.room.is_member() {
            return;
        }
        let me = self.context.identity.device();
        let (room, requests) = (&self.entry.room, &mut *self.entry.requests);
        let linked = self.entry.sessions.iter().filter_map(|(peer, linked)| Some((linked.device?, *peer)));
        let peers: HashMap<_, _> = linked.filter(|(device, _)| *device != me).collect();
        let may = |device: &_, invite: &_| room.account_of(device).is_some_and(|to| room.may_let_in(&to, invite));
        for (device, account, asked) in requests.news(peers.keys().copied(), may, self.now_ms) {
            let Some(info) = room.invite_info(asked.invite()) else { continue };
            let (asks, knock) = parlor_proto::join::knock(&info.invite_pk, &asked.join, &mut rng());
            let after: OnAnswer = Box::new(move |turn, answer| {
                let later = JoinAnswer::Refused(JoinRefused::Later);
                if asks.open(answer).is_none_or(|answer| answer == later) {
                    turn.entry.requests.not_taken(device, account, turn.now_ms);
                }
            });
            self.jobs.push(Job::Ask { room: room.id(), peer: peers[&device], knock, after });
        }
    }

    /// Time passed: others may be told of who asks.
    pub(super) fn tick_requests(&mut self) {
        if self.entry.requests.is_due(self.now_ms) {
            self.pass_requests_on();
        }
    }

    /// What waits for an answer, the oldest first.
    pub(super) fn request_views(&mut self) -> Vec<Request> {
        self.forget_old_requests();
        let mut waiting: Vec<_> = self.entry.requests.waiting().collect();
        waiting.sort_by_key(|(_, asked)| asked.at_ms);
        waiting.into_iter().filter_map(|(account, asked)| self.request_view(account, asked)).collect()
    }

    /// Lets somebody in who asked, also if somebody said no before.
    pub(super) fn approve(&mut self, who: &str, reply: Reply<Request>) {
        let (account, asked, view) = match self.request_of(who, true) {
            Ok(found) => found,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        match self.entry.room.admit(asked.join, true, self.now_ms, &mut rng()) {
            Err(why) => drop(reply.send(Err(approval_problem(why)))),
            Ok(admission) => {
                let mut batch = Batch::new(Some(self.id()));
                batch.delete(Namespace::Invite, &key(&account));
                self.entry.requests.remove(&account);
                let is_in = admission.welcome.is_some();
                let settle = Settle::reply(move |turn, done| {
                    if done.is_ok() && is_in {
                        turn.tell_request(account, view.name.clone(), RequestChange::Approved);
                    }
                    let told = if is_in { Ok(view) } else { Err(approval_problem(JoinRefusal::RemovedSince)) };
                    drop(reply.send(done.and(told)));
                });
                self.commit_with(batch, admission.outcome, settle);
            }
        }
    }

    /// Says no to somebody who asked, for all who may answer. He is told when he asks again, on this invite.
    pub(super) fn refuse(&mut self, who: &str, reply: Reply<Request>) {
        let (account, asked, view) = match self.request_of(who, false) {
            Ok(found) => found,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        match self.entry.room.decline(asked.invite(), &account, self.now_ms) {
            Err(why) => drop(reply.send(Err(approval_problem(why)))),
            Ok(outcome) => self.commit(outcome, Settle::reply(move |_, done| drop(reply.send(done.map(|()| view))))),
        }
    }

    /// The room changed: those who were refused meanwhile wait for nobody any more.
    pub(super) fn note_refused(&mut self) {
        let room = &self.entry.room;
        let refused = self.entry.requests.follow(|invite, account| room.declined(invite, account).is_some());
        for account in refused {
            let Some(asked) = self.entry.requests.get(&account) else { continue };
            let by = self.refused_by(asked.invite(), &account);
            let name = asked.join.entrant.cert.name.clone();
            self.tell_answered(account, name, RequestChange::Refused, by);
        }
    }

    fn keep_request(&mut self, account: AccountId, asked: Asked, settle: Settle) {
        let mut batch = Batch::new(Some(self.id()));
        batch.put(Namespace::Invite, &key(&account), codec::encode(&asked));
        if let Some(oldest) = self.entry.requests.refused_too_many() {
            self.entry.requests.remove(&oldest);
            batch.delete(Namespace::Invite, &key(&oldest));
        }
        self.entry.requests.keep(account, asked);
        self.commit_with(batch, Outcome::default(), settle);
    }

    /// Requests whose invite is closed, or that are too old, are over; so are those of devices that are in.
    fn forget_old_requests(&mut self) {
        let (room, now) = (&self.entry.room, self.now_ms);
        let over = self.entry.requests.over(now, |asked| {
            let invite = room.invite_info(asked.invite());
            // Who is in may ask for another device.
            invite.is_some_and(|info| !info.revoked && info.expires_ms.is_none_or(|end| end >= now))
                && room.standing(&asked.device()) != Standing::Live
        });
        if over.is_empty() {
            return;
        }
        let mut batch = Batch::new(Some(self.id()));
        for account in over {
            self.entry.requests.remove(&account);
            batch.delete(Namespace::Invite, &key(&account));
        }
        self.commit_with(batch, Outcome::default(), Settle::default());
    }

    /// The request that a user means: by account, a unique beginning of it, or `@name`. If none waits that he can mean, perhaps one
    /// that was `refused`.
    fn request_of(&mut self, who: &str, refused: bool) -> Answer<(AccountId, Asked, Request)> {
        self.may_answer()?;
        self.forget_old_requests();
        let called = |(account, asked): (&AccountId, &Asked)| (*account, asked.join.entrant.cert.name.clone());
        let mut found = pick(self.entry.requests.waiting().map(called), who)?;
        if found.is_none() && refused {
            found = pick(self.entry.requests.all().map(called), who)?;
        }
        let account = found.ok_or_else(|| {
            Problem::new(Code::NotFound, "nobody of that name asks to come in")
                .hint("parlor requests ROOM shows who asks")
        })?;
        let asked = self.entry.requests.get(&account).cloned().ok_or_else(|| Problem::of(Code::Internal))?;
        let view = self.request_view(&account, &asked).ok_or_else(|| Problem::of(Code::InviteNotFound))?;
        Ok((account, asked, view))
    }

    /// Refuses for who could answer no request at all.
    fn may_answer(&self) -> Answer<()> {
        use parlor_proto::control::Role;
        match self.entry.room.role() {
            None => Err(self.refused(Refusal::NotMember)),
            Some(mine) if mine.power() > Role::Moderator.power() => {
                let mine = with_article(super::views::role(mine).name());
                let detail = format!("only moderators and above let in who asks: you are {mine} here");
                Err(Problem::new(Code::NotPermitted, detail).hint("a moderator, admin or owner of the room can"))
            }
            Some(_) => Ok(()),
        }
    }

    fn request_view(&self, account: &AccountId, asked: &Asked) -> Option<Request> {
        let info = self.entry.room.invite_info(asked.invite())?;
        Some(Request {
            account: account.to_string(),
            name: asked.join.entrant.cert.name.clone(),
            device: asked.join.entrant.device().to_string(),
            room: self.id().to_string(),
            invite: asked.invite().to_string(),
            role: super::views::role(info.role),
            asked_at: rfc3339(asked.at_ms),
            refused_by: self.refused_by(asked.invite(), account),
        })
    }

    fn refused_by(&self, invite: &InviteId, account: &AccountId) -> Option<Author> {
        Some(self.author_of(&self.entry.room.declined(invite, account)?.by))
    }

    /// What somebody who asked here calls himself.
    pub(super) fn asks_as(&self, account: &AccountId) -> Option<String> {
        let name = self.entry.requests.get(account)?.join.entrant.cert.name.clone();
        (!name.is_empty()).then_some(name)
    }

    fn tell_request(&self, account: AccountId, name: String, change: RequestChange) {
        self.tell_answered(account, name, change, None);
    }

    fn tell_answered(&self, account: AccountId, name: String, change: RequestChange, by: Option<Author>) {
        let event = RequestChanged { room: self.id().to_string(), account: account.to_string(), name, change, by };
        self.publish(EventBody::Request(event));
    }
}

/// Why somebody who was approved can not be let in all the same.
fn approval_problem(why: JoinRefusal) -> Problem {
    let detail = why.to_string();
    match why {
        JoinRefusal::NotSponsor => Problem::new(Code::NotPermitted, "your role does not let people in by this invite")
            .hint("a moderator, admin or owner of the room can"),
        JoinRefusal::Expired => Problem::of(Code::InviteExpired),
        JoinRefusal::UsesExhausted => Problem::of(Code::InviteExhausted),
        JoinRefusal::Revoked => Problem::of(Code::InviteRevoked),
        JoinRefusal::Banned => Problem::of(Code::Banned),
        JoinRefusal::Cloned => Problem::of(Code::DeviceCloned),
        JoinRefusal::NoSafeEpoch => Problem::new(Code::Busy, detail).hint("try again in a moment"),
        _ => Problem::new(Code::Conflict, detail),
    }
}

/// What somebody who is not let in is told.
pub(super) fn refusal(why: JoinRefusal) -> JoinAnswer {
    JoinAnswer::Refused(match why {
        JoinRefusal::Expired => JoinRefused::Expired,
        JoinRefusal::NotYet => JoinRefused::NotYet,
        JoinRefusal::Revoked => JoinRefused::Revoked,
        JoinRefusal::UsesExhausted => JoinRefused::UsedUp,
        JoinRefusal::Banned => JoinRefused::Banned,
        JoinRefusal::NotSponsor | JoinRefusal::Cloned => JoinRefused::NotSponsor,
        JoinRefusal::DeviceRevoked => JoinRefused::DeviceRevoked,
        JoinRefusal::RemovedSince => JoinRefused::RemovedSince,
        JoinRefusal::Declined => JoinRefused::Declined,
        JoinRefusal::Request(_) => JoinRefused::Invalid,
        _ => JoinRefused::Later,
    })
}
