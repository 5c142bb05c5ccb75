//! One client's line to the directory: one question at a time, each with its deadline and its price.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;
use parlor_net::Line;
use parlor_proto::codec;
use parlor_proto::directory::{Answer, Ask, Greeting, MAX_FRAME, Refusal, Reply, Request};
use parlor_proto::name::{Handover, Name, NameRecord};
use tokio::sync::watch;
use tokio::time::timeout;

use super::BookError;
use crate::guard::{TooMuch, Use};
use crate::limits;
use crate::metrics::Outcome;
use crate::relay::{Relay, now_ms, told};

/// What the line knows of its client.
struct Client<'a> {
    relay: &'a Relay,
    line: &'a Line,
    source: Option<IpAddr>,
    admitted: bool,
}

/// Serves a line until its client ends it, breaks a rule or stalls, or the relay stops.
pub async fn serve(relay: &Relay, mut line: Line, source: Option<IpAddr>, mut stopped: watch::Receiver<bool>) {
    let greeting = Greeting { token: relay.token.is_some(), now_ms: now_ms() };
    if !send(&line, codec::encode(&greeting)).await {
        return;
    }
    let mut admitted = relay.token.is_none();
    let mut next = 0_u32;
    loop {
        let frame = tokio::select! {
            frame = timeout(limits::DIRECTORY_REST, line.recv()) => frame,
            () = told(&mut stopped) => return,
        };
        let Ok(Some(frame)) = frame else { return };
        let Ok(request) = codec::decode::<Request>(&frame, MAX_FRAME) else { return };
        if request.id != next {
            return;
        }
        next = next.wrapping_add(1);
        let mut client = Client { relay, line: &line, source, admitted };
        let Some(answer) = client.answer(request.ask).await else { return };
        admitted = client.admitted;
        if !send(&line, codec::encode(&Reply { id: request.id, answer })).await {
            return;
        }
    }
}

async fn send(line: &Line, frame: Vec<u8>) -> bool {
    matches!(timeout(limits::SEND_DEADLINE, line.send(Bytes::from(frame))).await, Ok(Ok(())))
}

impl Client<'_> {
    /// The answer; `None` when the line is to be closed.
    async fn answer(&mut self, ask: Ask) -> Option<Answer> {
        let answered = match ask {
            Ask::Unlock(token) => {
                if !self.relay.admit(self.line.peer(), self.source, token.expose().as_bytes()).await {
                    return None;
                }
                self.admitted = true;
                return Some(Answer::Unlocked);
            }
            Ask::Lookup(name) => self.lookup(name).await,
            Ask::Claim { .. } | Ask::Release(_) if !self.admitted => Err(Refusal::Locked),
            Ask::Claim { record, handover } => self.claim(record, handover).await,
            Ask::Release(handover) => self.release(handover).await,
        };
        Some(answered.unwrap_or_else(Answer::Refused))
    }

    async fn lookup(&self, name: Name) -> Result<Answer, Refusal> {
        self.take(Use::Lookup).await?;
        let found = self.relay.book.lookup(name).await;
        let found = found.map_err(|error| refusal(&error))?;
        let outcome = if found.is_some() { Outcome::Done } else { Outcome::Unknown };
        self.relay.metrics.lookup(outcome);
        Ok(found.map_or(Answer::Unknown, Answer::Held))
    }

    async fn claim(&self, record: NameRecord, handover: Option<Handover>) -> Result<Answer, Refusal> {
        self.take(Use::NameChange).await?;
        let book = &self.relay.book;
        let held = book.lookup(record.name.clone()).await.map_err(|error| refusal(&error))?;
        let mine = held.is_some_and(|held| held.record.account() == record.account());
        // Checked before it costs anything of a rate: a name that will not be given is no new name.
        if !mine && record.verify(self.relay.key()).is_err() {
            return Err(Refusal::Invalid);
        }
        if !mine {
            self.take(Use::NewName).await?;
        }
        let claimed = book.claim(record, handover, now_ms()).await;
        // A name that was not given costs nobody one, or refused claims would empty what all have together.
        if !mine && claimed.is_err() {
            self.relay.guard.give_back(self.source, Use::NewName, 1);
        }
        self.relay.metrics.claim(if claimed.is_ok() { Outcome::Done } else { Outcome::Refused });
        claimed.map(Answer::Held).map_err(|error| refusal(&error))
    }

    async fn release(&self, handover: Handover) -> Result<Answer, Refusal> {
        self.take(Use::NameChange).await?;
        let released = self.relay.book.release(handover, now_ms()).await;
        released.map(|held| if held { Answer::Released } else { Answer::Unknown }).map_err(|error| refusal(&error))
    }

    /// Uses something up. Who has used too much is told so after a while: who is told at once asks again at once.
    async fn take(&self, what: Use) -> Result<(), Refusal> {
        let Err(TooMuch(wait)) = self.relay.guard.take(self.source, what, 1, Instant::now()) else { return Ok(()) };
        self.relay.metrics.refused_by_quota(what);
        tokio::time::sleep(wait.min(limits::REFUSED_AFTER)).await;
        Err(Refusal::Later)
    }
}

fn refusal(error: &BookError) -> Refusal {
    match error {
        BookError::Refused(refusal) => *refusal,
        BookError::Store(why) => {
            tracing::error!(why, "the directory can not be read or written");
            Refusal::Failed
        }
    }
}
