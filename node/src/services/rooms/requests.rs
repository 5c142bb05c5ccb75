//! Requests to come in: who knocked on an invite that wants a person's word.
//!
//! A request is kept durably at the member it was made to until somebody answers it or the invite ends. The joiner asks
//! again by himself, so nothing has to find its way back: an approved one is answered with his Welcome, a refused one with
//! the refusal. The approval *is* the Admit; what is kept here is only the question, and a no.

use std::collections::{BTreeMap, HashSet};

use parlor_api::{Code, EventBody, Problem, Request, RequestChange, RequestChanged};
use parlor_proto::control::{InviteId, JoinRequest};
use parlor_proto::join::{Answer as JoinAnswer, Refusal as JoinRefused};
use parlor_proto::room::{JoinRefusal, Outcome, Refusal};
use parlor_proto::{AccountId, DeviceId, codec};
use parlor_storage::{Batch, Namespace};
use serde::{Deserialize, Serialize};

use super::entry::{Job, OnAnswer, Turn};
use super::log::with_article;
use super::message::Reply;
use super::settle::Settle;
use super::who::pick;
use crate::account::rng;
use crate::app::Answer;
use crate::bus::rfc3339;
use crate::limits::{PASSED_ON_MAX, REQUEST_MS, REQUESTS_MAX};

/// A request, by the account that made it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Asked {
    /// On which invite.
    invite: InviteId,
    /// The joiner's own words, with his signatures.
    join: JoinRequest,
    /// When it came, milliseconds since the epoch.
    at_ms: u64,
    /// Somebody here said no.
    refused: bool,
}

/// The requests of a room.
#[derive(Default)]
pub(super) struct Requests {
    /// By who asks.
    pub(super) asked: BTreeMap<AccountId, Asked>,
    /// Which devices of members were told of whom.
    passed_on: HashSet<(DeviceId, AccountId)>,
}

/// A stored request.
pub(super) fn decode(bytes: &[u8]) -> Option<(AccountId, Asked)> {
    let asked: Asked = codec::decode(bytes, parlor_proto::join::MAX_KNOCK + 256).ok()?;
    Some((asked.join.entrant.account(), asked))
}

fn key(account: &AccountId) -> Vec<u8> {
    [b"request".as_slice(), &account.0].concat()
}

impl Turn<'_> {
    /// Somebody wants in on an invite that wants a person's word: notes it, or says what was decided. What it answers may
    /// be told at once: a request that is lost is made again.
    pub(super) fn asked_to_come_in(&mut self, invite: InviteId, join: JoinRequest) -> JoinAnswer {
        self.forget_old_requests();
        let account = join.entrant.account();
        if let Some(known) = self.entry.requests.asked.get(&account).filter(|known| known.invite == invite) {
            if known.refused {
                return JoinAnswer::Refused(JoinRefused::Declined);
            }
            self.pass_requests_on();
            return JoinAnswer::Pending;
        }
        if self.entry.requests.asked.len() >= REQUESTS_MAX {
            return JoinAnswer::Refused(JoinRefused::Later);
        }
        let name = join.entrant.cert.name.clone();
        let asked = Asked { invite, join, at_ms: self.now_ms, refused: false };
        let settle = Settle::reply(move |turn, done| {
            if done.is_ok() {
                turn.tell_request(account, name, RequestChange::Asked);
            }
        });
        self.keep_request(account, asked, settle);
        self.pass_requests_on();
        JoinAnswer::Pending
    }

    /// Passes what is asked here on to connected members who may answer it, each device once: as the same knock, made anew, so
    /// they take it as if the joiner had come to them. One that does not take it is asked again when the joiner asks again.
    pub(super) fn pass_requests_on(&mut self) {
        let me = self.context.identity.device();
        let (room, Requests { asked, passed_on }) = (&self.entry.room, &mut *self.entry.requests);
        passed_on.retain(|(_, account)| asked.get(account).is_some_and(|asked| !asked.refused));
        let linked = self.entry.sessions.iter().filter_map(|(peer, linked)| Some((*peer, linked.device?)));
        for (peer, device) in linked.filter(|(_, device)| *device != me) {
            let may = |invite| room.account_of(&device).is_some_and(|to| room.may_let_in(&to, invite));
            let waiting = asked.iter().filter(|(_, asked)| !asked.refused && may(&asked.invite));
            let news = waiting.filter(|(account, _)| passed_on.insert((device, **account)));
            for (account, asked) in news.take(PASSED_ON_MAX) {
                let Some(info) = room.invite_info(&asked.invite) else { continue };
                let (asks, knock) = parlor_proto::join::knock(&info.invite_pk, &asked.join, &mut rng());
                let mark = (device, *account);
                let after: OnAnswer = Box::new(move |turn, answer| {
                    let later = JoinAnswer::Refused(JoinRefused::Later);
                    if asks.open(answer).is_none_or(|answer| answer == later) {
                        turn.entry.requests.passed_on.remove(&mark);
                    }
                });
                self.jobs.push(Job::Ask { room: room.id(), peer, knock, after });
            }
        }
    }

    /// What waits for an answer, the oldest first.
    pub(super) fn request_views(&mut self) -> Vec<Request> {
        self.forget_old_requests();
        let mut waiting: Vec<_> = self.entry.requests.asked.iter().filter(|(_, asked)| !asked.refused).collect();
        waiting.sort_by_key(|(_, asked)| asked.at_ms);
        waiting.into_iter().filter_map(|(account, asked)| self.request_view(account, asked)).collect()
    }

    /// Lets somebody in who asked.
    pub(super) fn approve(&mut self, who: &str, reply: Reply<Request>) {
        let (account, asked, view) = match self.request_of(who) {
            Ok(found) => found,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        match self.entry.room.admit(asked.join, true, self.now_ms, &mut rng()) {
            Err(why) => drop(reply.send(Err(approval_problem(why)))),
            Ok(admission) => {
                let mut batch = Batch::new(Some(self.id()));
                batch.delete(Namespace::Invite, &key(&account));
                self.entry.requests.asked.remove(&account);
                let settle = Settle::reply(move |turn, done| {
                    if done.is_ok() {
                        turn.tell_request(account, view.name.clone(), RequestChange::Approved);
                    }
                    drop(reply.send(done.map(|()| view)));
                });
                self.commit_with(batch, admission.outcome, settle);
            }
        }
    }

    /// Says no to somebody who asked. He is told when he asks again, on this invite.
    pub(super) fn refuse(&mut self, who: &str, reply: Reply<Request>) {
        let (account, asked, view) = match self.request_of(who) {
            Ok(found) => found,
            Err(problem) => return drop(reply.send(Err(problem))),
        };
        let settle = Settle::reply(move |turn, done| {
            if done.is_ok() {
                turn.tell_request(account, view.name.clone(), RequestChange::Refused);
            }
            drop(reply.send(done.map(|()| view)));
        });
        self.keep_request(account, Asked { refused: true, ..asked }, settle);
    }

    fn keep_request(&mut self, account: AccountId, asked: Asked, settle: Settle) {
        let mut batch = Batch::new(Some(self.id()));
        batch.put(Namespace::Invite, &key(&account), codec::encode(&asked));
        self.entry.requests.asked.insert(account, asked);
        self.commit_with(batch, Outcome::default(), settle);
    }

    /// Requests whose invite is closed, or that are too old, are over; so are those of who is in.
    fn forget_old_requests(&mut self) {
        let (room, now) = (&self.entry.room, self.now_ms);
        let open = |account: &AccountId, asked: &Asked| {
            let invite = room.invite_info(&asked.invite);
            invite.is_some_and(|info| !info.revoked && info.expires_ms.is_none_or(|end| end >= now))
                && asked.at_ms.saturating_add(REQUEST_MS) >= now
                && room.member(account).is_none()
        };
        let over: Vec<_> = self
            .entry
            .requests
            .asked
            .iter()
            .filter(|(account, asked)| !open(account, asked))
            .map(|(a, _)| *a)
            .collect();
        if over.is_empty() {
            return;
        }
        let mut batch = Batch::new(Some(self.id()));
        for account in over {
            self.entry.requests.asked.remove(&account);
            batch.delete(Namespace::Invite, &key(&account));
        }
        self.commit_with(batch, Outcome::default(), Settle::default());
    }

    /// The request that a user means: by account, a unique beginning of it, or `@name`.
    fn request_of(&mut self, who: &str) -> Answer<(AccountId, Asked, Request)> {
        self.may_answer()?;
        self.forget_old_requests();
        let waiting = self.entry.requests.asked.iter().filter(|(_, asked)| !asked.refused);
        let called = waiting.map(|(account, asked)| (*account, asked.join.entrant.cert.name.clone()));
        let account = pick(called, who)?.ok_or_else(|| {
            Problem::new(Code::NotFound, "nobody of that name asks to come in")
                .hint("parlor requests ROOM shows who asks")
        })?;
        let asked = self.entry.requests.asked.get(&account).cloned().ok_or_else(|| Problem::of(Code::Internal))?;
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
        let info = self.entry.room.invite_info(&asked.invite)?;
        Some(Request {
            account: account.to_string(),
            name: asked.join.entrant.cert.name.clone(),
            device: asked.join.entrant.device().to_string(),
            room: self.id().to_string(),
            invite: asked.invite.to_string(),
            role: super::views::role(info.role),
            asked_at: rfc3339(asked.at_ms),
        })
    }

    fn tell_request(&self, account: AccountId, name: String, change: RequestChange) {
        let event = RequestChanged { room: self.id().to_string(), account: account.to_string(), name, change };
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
        JoinRefusal::Request(_) => JoinRefused::Invalid,
        _ => JoinRefused::Later,
    })
}
