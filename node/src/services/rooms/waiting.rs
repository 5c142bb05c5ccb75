//! What waits in the outbox, as clients see it: listed, tried again, given up.

use parlor_api::{Code, Problem};
use parlor_proto::outbox::{Line, OutboxError};
use parlor_proto::room::Outcome;
use tokio::sync::oneshot;

use super::entry::{Job, Turn};
use super::outbox_words::Waits;
use super::settle::Settle;
use super::views::outbox_name;
use super::worker::Worker;
use crate::account::rng;
use crate::app::Answer;
use crate::clock::now_ms;

/// What answers when a message is given up on the disk too, with its name.
pub(super) type Discarded = oneshot::Receiver<Answer<String>>;

impl Worker {
    /// What waits to be sent, in all rooms.
    pub(super) fn outbox_lines(&mut self, bodies: bool) -> Vec<Waits> {
        let lines = self.outbox.lines();
        let mut views = Vec::new();
        for line in lines {
            let Some(entry) = self.rooms.get_mut(&line.room) else { continue };
            let mut jobs = Vec::new();
            let turn =
                Turn { entry, outbox: &mut self.outbox, context: &self.context, jobs: &mut jobs, now_ms: now_ms() };
            let entry = turn.outbox_view(&line);
            let waits = self.outbox.find(&line.nonce).filter(|_| bodies);
            let body = waits.map(|entry| entry.body.clone()).unwrap_or_default();
            views.push(Waits { entry, room: line.room, event: line.event, body });
        }
        views
    }

    /// The message of this name, or all; none of a room that is not here: what becomes of it there could not be written down.
    fn waiting(&self, message: Option<&str>) -> Vec<Line> {
        let mut lines = self.outbox.lines();
        lines.retain(|line| self.rooms.contains_key(&line.room));
        lines.retain(|line| message.is_none_or(|message| outbox_name(line) == message));
        lines
    }

    /// Tries one message now, or all; answers which.
    pub(super) async fn retry(&mut self, message: Option<&str>) -> Answer<Vec<String>> {
        let mut tried = Vec::new();
        for line in self.waiting(message) {
            match self.outbox.retry(&line.nonce, now_ms(), &mut rng()) {
                Ok(out) => {
                    self.carry_out(out.into_iter().map(Job::Outbox).collect()).await;
                    tried.push(outbox_name(&line));
                }
                Err(error) if message.is_some() => return Err(written(&error)),
                Err(_) => {}
            }
        }
        Ok(tried)
    }

    /// Gives up one message, or all that can be. Each is given up when that is durable: otherwise it is here again.
    pub(super) async fn discard(&mut self, message: Option<&str>) -> Answer<Vec<Discarded>> {
        let mut discarded = Vec::new();
        for line in self.waiting(message) {
            match self.outbox.discard(&line.nonce) {
                Ok(_) => {
                    let (reply, answer) = oneshot::channel();
                    let name = outbox_name(&line);
                    let told = Settle::reply(move |_, done| drop(reply.send(done.map(|()| name))));
                    let settle = Settle { forget: vec![line.nonce], ..told };
                    self.turn(line.room, |turn| turn.commit(Outcome::default(), settle)).await;
                    discarded.push(answer);
                }
                Err(error) if message.is_some() => return Err(written(&error)),
                Err(_) => {}
            }
        }
        Ok(discarded)
    }
}

fn written(error: &OutboxError) -> Problem {
    Problem::new(Code::Conflict, error.to_string())
        .hint("a message that is written is part of your log: it goes out when somebody can be reached")
}
