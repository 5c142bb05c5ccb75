//! Knocks: strangers who ask to come in by an invite of one of the rooms here, or members who pass on what was asked of them.

use parlor_proto::join::Answer as JoinAnswer;
use parlor_proto::room::JoinRefusal;

use super::message::{Knock, Knocked};
use super::requests::refusal;
use super::settle::Settle;
use super::worker::Worker;
use crate::account::rng;
use crate::clock::now_ms;

impl Worker {
    /// Lets somebody in, notes that he asks, or says why not.
    pub(super) async fn on_knock(&mut self, knock: Knock) {
        let Knock { peer, data, reply } = knock;
        let invites: Vec<_> = self
            .rooms
            .iter()
            .flat_map(|(room, entry)| entry.room.invites().into_iter().map(|info| (*room, info.id, info.invite_pk)))
            .collect();
        let Ok(knocker) = self.doorkeeper.open(peer.as_key(), &data, invites, now_ms()) else {
            return drop(reply.send(None));
        };
        self.turn(knocker.room, |turn| {
            let seal = knocker.knock;
            match turn.entry.room.admit(knocker.request.clone(), false, turn.now_ms, &mut rng()) {
                Ok(admission) => {
                    let answer = JoinAnswer::Welcome(admission.welcome.into());
                    turn.commit(
                        admission.outcome,
                        Settle::reply(move |_, done| {
                            let bytes = || seal.seal(&answer, &mut rng());
                            drop(reply.send(done.ok().map(|()| Knocked::of(&answer, bytes()))));
                        }),
                    );
                }
                Err(why) => {
                    let answer = match why {
                        JoinRefusal::Approval => turn.asked_to_come_in(&peer, knocker.invite, knocker.request),
                        why => refusal(why),
                    };
                    drop(reply.send(Some(Knocked::of(&answer, seal.seal(&answer, &mut rng())))));
                }
            }
        })
        .await;
    }
}
