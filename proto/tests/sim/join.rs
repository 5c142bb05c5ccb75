//! Both sides of joining by link.

use std::sync::Arc;

use parlor_proto::control::JoinRequest;
use parlor_proto::epoch::{Welcome, WelcomeKey};
use parlor_proto::join::{Answer, Door, Failure, In, Joiner, Out, Refusal};
use parlor_proto::link::Link;
use parlor_proto::room::{JoinRefusal, Room};
use rand::RngExt as _;

use crate::knowledge::Hand;
use crate::node::{Commit, Effect, Node};

impl Node {
    /// Begins to join by the text of a link.
    pub(crate) fn join(&mut self, text: &str, now_ms: u64) {
        let now = self.clock(now_ms);
        if self.running().joiner.is_some() || self.is_member() {
            return;
        }
        let Ok(link) = Link::parse(text, now) else { return };
        if self.disk.room.is_some_and(|room| room != link.room()) {
            return;
        }
        let keys = link.keys();
        let me = Arc::clone(&self.me);
        let request = JoinRequest::sign(&link.room(), &keys.sign, me.signing_key(), me.entrant(), self.rng.random());
        self.link = Some(link.clone());
        self.disk.joining.retain(|other| other != text);
        self.disk.joining.push(text.to_owned());
        let (joiner, out) = Joiner::start(link, request, Some(now + 120_000), now);
        self.running().joiner = Some(joiner);
        self.do_joiner(out, now);
    }

    /// Goes on with what it wanted before it gave up or was stopped.
    pub(crate) fn join_on(&mut self, now_ms: u64) {
        if let Some(text) = self.disk.joining.last().cloned().filter(|_| self.running.is_some()) {
            self.join(&text, now_ms);
        }
    }

    pub(crate) fn tell_joiner(&mut self, input: In, now: u64) {
        let mut rng = self.fork_rng();
        let Some(joiner) = self.running().joiner.as_mut() else { return };
        let out = joiner.handle(input, now, &mut rng);
        self.do_joiner(out, now);
    }

    fn do_joiner(&mut self, out: Vec<Out>, now: u64) {
        for out in out {
            match out {
                Out::Dial(Door::Issuer(address)) => self.out.push(Effect::Dial { to: usize::from(address.port) }),
                Out::Ask { door: Door::Issuer(address), bytes } => {
                    self.out.push(Effect::Knock { to: usize::from(address.port), bytes });
                }
                Out::Dial(Door::Peer(peer)) => self.out.push(Effect::Dial { to: usize::from(peer[0]) }),
                Out::Ask { door: Door::Peer(peer), bytes } => {
                    self.out.push(Effect::Knock { to: usize::from(peer[0]), bytes });
                }
                Out::Welcomed { welcome, .. } => self.welcomed(&welcome, now),
                Out::Joined(_) => {
                    self.running().joiner = None;
                    self.disk.joining.clear();
                }
                Out::Failed(why) => {
                    self.running().joiner = None;
                    if matches!(why, Failure::Refused(_)) {
                        self.disk.joining.pop();
                        self.join_on(now.saturating_add_signed(-self.skew_ms));
                    }
                }
                Out::Changed(_) => {}
            }
        }
    }

    fn welcomed(&mut self, sealed: &[u8], now: u64) {
        let Some(link) = self.link.clone() else { return };
        let me = Arc::clone(&self.me);
        let pk = link.keys().sign.public_bytes();
        let welcome = Welcome::open(&me, &link.room(), &pk, sealed).expect("an honest welcome opens");
        let (to, knew) = (me.device(), &welcome.frontier);
        let hand = |key: &WelcomeKey| Hand { to, epoch: key.epoch, slice: key.slice, knew: knew.clone() };
        self.handed.extend(welcome.keys.iter().map(hand));
        if self.room().is_none() {
            let (room, outcome) = Room::join(me, link.room(), welcome);
            self.running().room = Some(room);
            self.commit(Commit { room: Some(link.room()), outcome, ..Commit::default() }, now);
        }
        self.add_room_to_links(now);
        self.check_joined(now);
    }

    /// Tells the joiner when the room can be used.
    pub(crate) fn check_joined(&mut self, now: u64) {
        if self.is_member() && self.room().is_some_and(|room| room.epoch_status().epoch.is_some()) {
            self.tell_joiner(In::Ready, now);
        }
    }

    pub(crate) fn tick_joiner(&mut self, now: u64) {
        self.tell_joiner(In::Tick, now);
    }

    /// Somebody knocks.
    pub(crate) fn on_knock(&mut self, from: usize, bytes: &[u8], now_ms: u64) {
        let now = self.clock(now_ms);
        let mut rng = self.fork_rng();
        let running = self.running();
        let Some(room) = running.room.as_mut() else {
            self.out.push(Effect::Answer { to: from, bytes: Vec::new() });
            return;
        };
        let id = room.id();
        let invites: Vec<_> = room.invites().into_iter().rev().map(|info| (id, info.id, info.invite_pk)).collect();
        let Ok(knocker) = running.door.open(&[from as u8], bytes, invites, now) else {
            self.out.push(Effect::Answer { to: from, bytes: Vec::new() });
            return;
        };
        let (answer, outcome) = match room.admit(knocker.request.clone(), false, now, &mut rng) {
            Ok(admission) => {
                let left_out = Answer::Refused(Refusal::RemovedSince);
                let answer = admission.welcome.map_or(left_out, |welcome| Answer::Welcome(welcome.into()));
                (answer, admission.outcome)
            }
            // Who revoked its own device, or contradicted itself, can not come in nor let in.
            Err(JoinRefusal::Request(_) | JoinRefusal::DeviceRevoked) if self.hostile => {
                (Answer::Refused(Refusal::Later), parlor_proto::room::Outcome::default())
            }
            Err(why) => (Answer::Refused(refusal(why)), parlor_proto::room::Outcome::default()),
        };
        let sealed = knocker.knock.seal(&answer, &mut rng);
        // Nobody is told before the Admit is durable.
        self.commit(Commit { outcome, answer: Some((from, sealed)), ..Commit::default() }, now);
    }
}

fn refusal(why: JoinRefusal) -> Refusal {
    match why {
        JoinRefusal::Unknown | JoinRefusal::NoSafeEpoch => Refusal::Later,
        JoinRefusal::Expired => Refusal::Expired,
        JoinRefusal::NotYet => Refusal::NotYet,
        JoinRefusal::Revoked => Refusal::Revoked,
        JoinRefusal::UsesExhausted => Refusal::UsedUp,
        JoinRefusal::Banned => Refusal::Banned,
        JoinRefusal::RemovedSince => Refusal::RemovedSince,
        JoinRefusal::NotSponsor | JoinRefusal::Cloned => Refusal::NotSponsor,
        other => panic!("an honest request is refused: {other}"),
    }
}
