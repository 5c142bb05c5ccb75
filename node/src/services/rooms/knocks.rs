//! Knocks: strangers who ask to come in by an invite of one of the rooms here, or members who pass on what was asked of them.

use std::collections::VecDeque;

use parlor_proto::RoomId;
use parlor_proto::control::InviteId;
use parlor_proto::join::{Answer as JoinAnswer, KnockError};
use parlor_proto::room::JoinRefusal;

use super::entry::Entry;
use super::message::{Knock, Knocked, NoAnswer};
use super::requests::refusal;
use super::settle::Settle;
use super::worker::Worker;
use crate::account::rng;
use crate::clock::now_ms;

impl Worker {
    /// Lets somebody in, notes that he asks, or says why not.
    pub(super) async fn on_knock(&mut self, knock: Knock) {
        let Knock { peer, at_door, data, reply } = knock;
        let found = match at_door.map(|room| (room, self.rooms.get(&room))) {
            Some((_, None)) => Err(KnockError::TooOften),
            Some((room, Some(entry))) => {
                self.doorkeeper.open_at_door(peer.as_key(), &data, keys(room, entry), now_ms())
            }
            None => {
                // By turns: a room with any number of invites hides none of another one.
                let invites = by_turns(self.rooms.iter().map(|(room, entry)| keys(*room, entry)));
                self.doorkeeper.open(peer.as_key(), &data, invites, now_ms())
            }
        };
        let knocker = match found {
            Ok(knocker) => knocker,
            Err(KnockError::TooOften) => return drop(reply.send(Err(NoAnswer::NotNow))),
            Err(_) => return drop(reply.send(Err(NoAnswer::Strange))),
        };
        self.turn(knocker.room, |turn| {
            let seal = knocker.knock;
            match turn.entry.room.admit(knocker.request.clone(), false, turn.now_ms, &mut rng()) {
                Ok(admission) => {
                    // Also if he was let in before: what was left for him then may not have come. Nobody else can open it.
                    let came = Some(turn.entry.room.leaf_for(&knocker.request));
                    let left_out = || refusal(JoinRefusal::RemovedSince);
                    let answer = admission.welcome.map_or_else(left_out, |welcome| JoinAnswer::Welcome(welcome.into()));
                    turn.commit(
                        admission.outcome,
                        Settle::reply(move |_, done| {
                            let bytes = || seal.seal(&answer, &mut rng());
                            let knocked = done.map(|()| Knocked { came, ..Knocked::of(&answer, bytes()) });
                            drop(reply.send(knocked.map_err(|_| NoAnswer::NotNow)));
                        }),
                    );
                }
                Err(why) => {
                    let answer = match why {
                        JoinRefusal::Approval => turn.asked_to_come_in(&peer, knocker.invite, knocker.request),
                        why => refusal(why),
                    };
                    drop(reply.send(Ok(Knocked::of(&answer, seal.seal(&answer, &mut rng())))));
                }
            }
        })
        .await;
    }
}

fn keys(room: RoomId, entry: &Entry) -> impl Iterator<Item = (RoomId, InviteId, [u8; 32])> + '_ {
    entry.room.invite_keys().map(move |(invite, invite_pk)| (room, invite, invite_pk))
}

/// The first of each, then the second of each, and so on.
fn by_turns<T>(all: impl Iterator<Item = impl Iterator<Item = T>>) -> impl Iterator<Item = T> {
    let mut waiting: VecDeque<_> = all.collect();
    std::iter::from_fn(move || {
        while let Some(mut first) = waiting.pop_front() {
            if let Some(item) = first.next() {
                waiting.push_back(first);
                return Some(item);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_one_hide_none_of_another() {
        let mixed: Vec<u32> = by_turns([vec![1, 2, 3, 4], vec![], vec![10]].into_iter().map(Vec::into_iter)).collect();
        assert_eq!(mixed, [1, 10, 2, 3, 4]);
    }
}
