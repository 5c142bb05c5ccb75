//! One client's line to the mailboxes: the rules are the session's ([`parlor_proto::mailbox::session`]), what is kept is the
//! store's; here stand deadlines, quotas and order.
//!
//! As many requests are open as the terms allow, until the line took their answers, and no more frames are read meanwhile.
//! Answers and pushes go down the line as they come. While it does not take them ([`Unsent`]) the client is still heard,
//! up to its window, but little is read for it from the store, and it is told no news; a client that takes nothing in time
//! loses the line and nothing else. When the relay stops, what was asked is still answered.

mod put;
mod unsent;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::FuturesUnordered;
use parlor_net::{Line, PeerId};
use parlor_proto::mailbox::{Answer, Call, Refusal, RelayId, Session, Step, Terms, limits as terms};
use parlor_storage::limits::MAIL_BLOB_COST;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use crate::guard::{TooMuch, Use};
use crate::limits;
use crate::mailbox::{Feed, Listing, MailboxStore, News, StoreError};
use crate::metrics::{MailboxRequest, Outcome};
use crate::relay::{Relay, told};
use crate::turns::Whose;
pub(crate) use put::Boxes;
use put::{Put, put};
use unsent::Unsent;

/// A line and what it waits for.
struct Post<'a> {
    relay: &'a Relay,
    store: &'a dyn MailboxStore,
    peer: PeerId,
    source: Option<IpAddr>,
    session: Session,
    feed: Feed,
    unsent: Unsent,
    work: FuturesUnordered<BoxFuture<'a, (u32, Answer)>>,
    /// When the token was shown, or the permission that came of it was renewed.
    admitted: Option<Instant>,
    /// Until when no frame is read, for its source asks too fast.
    rests_until: Option<Instant>,
}

/// The line is to be closed.
#[derive(Debug)]
struct Over;

/// Serves a line until its client ends it, breaks a rule or stalls, or the relay stops.
pub async fn serve(
    relay: &Relay,
    line: Line,
    source: Option<IpAddr>,
    nonce: [u8; 32],
    mut stopped: watch::Receiver<bool>,
) {
    let Some(id) = RelayId::new(relay.key()) else { return };
    let store = relay.mailboxes.as_ref();
    let allowed =
        Terms { token: relay.token.is_some(), keep_ms: terms::KEEP_MS, slots: terms::MAX_SLOTS, window: terms::WINDOW };
    let (session, hello) = Session::begin(nonce, id, store.id(), allowed);
    let peer = line.peer();
    let (sender, mut receiver) = line.split();
    let feed = store.hub().feed();
    let (unsent, work) = (Unsent::new(sender), FuturesUnordered::new());
    let mut post = Post { relay, store, peer, source, session, feed, unsent, work, admitted: None, rests_until: None };
    if post.unsent.push(hello).is_err() {
        return;
    }
    let mut stopping = false;
    loop {
        let open = !stopping && post.work.len() + post.unsent.len() < usize::from(terms::WINDOW);
        let rests = post.rests_until.filter(|until| *until > Instant::now());
        let (waits, full) = (post.unsent.len() > 0, post.unsent.is_full());
        let went = tokio::select! {
            () = told(&mut stopped), if !stopping => {
                stopping = true;
                Ok(())
            }
            went = post.unsent.pass_on(), if waits => went,
            Some((number, answer)) = post.work.next(), if !full && !post.work.is_empty() => {
                post.answer(number, answer).await
            }
            news = post.feed.next(), if !stopping && !waits => post.tell(news),
            () = sleep_until(rests.unwrap_or_else(Instant::now).into()), if rests.is_some() && !stopping => Ok(()),
            frame = receiver.recv(), if open && rests.is_none() => match frame {
                Some(frame) => post.hear(&frame).await,
                None => Err(Over),
            },
        };
        if went.is_err() || stopping && post.work.is_empty() && post.unsent.len() == 0 {
            return;
        }
    }
}

impl<'a> Post<'a> {
    /// Takes a frame of the client.
    async fn hear(&mut self, frame: &[u8]) -> Result<(), Over> {
        // Who uses its line keeps its circuits: it shows the token once a connection.
        if self.admitted.is_some_and(|at| at.elapsed() > limits::PERMIT_TIME / 2) {
            self.relay.permit(self.peer).await;
            self.admitted = Some(Instant::now());
        }
        let steps = self.session.frame(frame).map_err(|error| {
            tracing::debug!(peer = %self.peer.short(), %error, "a client broke the rules of its line");
            Over
        })?;
        // A call of the store pays for itself and is refused beyond the rate. What is answered at once, such as the proof of a
        // box, has no refusal: beyond the rate the next frame is read later.
        if !steps.iter().any(|step| matches!(step, Step::Call(call) if goes_to_the_store(call))) {
            let wait = self.relay.guard.spend(self.source, Use::Request, 1, Instant::now());
            self.rests_until = wait.map(|wait| Instant::now() + wait);
        }
        self.carry_out(steps).await
    }

    /// Gives the answer to a call to the client.
    async fn answer(&mut self, number: u32, answer: Answer) -> Result<(), Over> {
        let steps = self.session.answer(number, answer);
        self.carry_out(steps).await
    }

    /// Tells the client what came into its boxes.
    fn tell(&mut self, news: News) -> Result<(), Over> {
        let frame = match &news {
            News::Entry { name, entry, blob } => self.session.push(name, *entry, blob),
            News::Behind { name } => self.session.behind(name),
        };
        let Some(frame) = frame else { return Ok(()) };
        self.relay.metrics.pushed();
        self.unsent.push(frame)
    }

    async fn carry_out(&mut self, steps: Vec<Step>) -> Result<(), Over> {
        let mut steps = std::collections::VecDeque::from(steps);
        while let Some(step) = steps.pop_front() {
            match step {
                Step::Send(frame) => self.unsent.push(frame)?,
                Step::Call(Call::Unsubscribe { name }) => self.feed.unsubscribe(&name),
                Step::Call(Call::Token { number, token }) => {
                    if !self.relay.admit(self.peer, self.source, &token.0).await {
                        // The client is told why before the line ends.
                        for step in self.session.answer(number, Answer::Refused(Refusal::Token)) {
                            if let Step::Send(frame) = step {
                                self.unsent.push(frame)?;
                            }
                        }
                        self.unsent.pass_all_on().await?;
                        return Err(Over);
                    }
                    self.admitted = self.relay.token.is_some().then(Instant::now);
                    steps.extend(self.session.answer(number, Answer::Done));
                }
                Step::Call(Call::Subscribe { number, name }) => {
                    self.feed.subscribe(name);
                    steps.extend(self.session.answer(number, Answer::Done));
                    self.relay.metrics.mailbox(MailboxRequest::Subscribe, Outcome::Done);
                }
                Step::Call(call) => self.begin(call),
            }
        }
        Ok(())
    }

    /// Begins a call on the store.
    fn begin(&mut self, call: Call) {
        let (relay, store, source) = (self.relay, self.store, self.source);
        if let Err(wait) = self.take(Use::Request, 1) {
            return self.work.push(refused(number_of(&call), wait));
        }
        let work = match call {
            Call::Put { number, name, id, blob } => {
                let cost = blob.len() as u64 + MAIL_BLOB_COST;
                if let Err(wait) = self.take(Use::PutBytes, cost) {
                    return self.work.push(refused(number, wait));
                }
                let whose = relay.guard.counted(source).map_or(Whose::Peer(self.peer), Whose::Source);
                let this = Put { relay, store, source, whose, name, id, cost };
                async move { (number, put(this, Bytes::from(blob)).await) }.boxed()
            }
            Call::List { number, name, after, limit } => async move {
                let listed = within(store.list(name, after, limit)).await;
                (number, count(relay, MailboxRequest::List, listed.map(from_listing)))
            }
            .boxed(),
            Call::Get { number, name, id } => async move {
                let got = within(store.get(name, id)).await;
                if let Ok(Some(blob)) = &got {
                    relay.metrics.got(blob.len());
                }
                (number, count(relay, MailboxRequest::Get, got.map(|blob| Answer::Blob(blob.map(Vec::from)))))
            }
            .boxed(),
            Call::Drop { number, name, id } => async move {
                let dropped = within(store.remove(name, id)).await;
                (number, count(relay, MailboxRequest::Drop, dropped.map(|()| Answer::Done)))
            }
            .boxed(),
            // Answered before it comes here.
            Call::Token { .. } | Call::Subscribe { .. } | Call::Unsubscribe { .. } => return,
        };
        self.work.push(work);
    }

    fn take(&self, what: Use, amount: u64) -> Result<(), Duration> {
        take(self.relay, self.source, what, amount)
    }
}

/// Whether a call is answered by the store, or at once.
const fn goes_to_the_store(call: &Call) -> bool {
    matches!(call, Call::Put { .. } | Call::List { .. } | Call::Get { .. } | Call::Drop { .. })
}

fn take(relay: &Relay, source: Option<IpAddr>, what: Use, amount: u64) -> Result<(), Duration> {
    relay.guard.take(source, what, amount, Instant::now()).map_err(|TooMuch(wait)| {
        relay.metrics.refused_by_quota(what);
        wait
    })
}

/// Refuses for a quota, after a while: who is told at once asks again at once.
fn refused(number: u32, wait: Duration) -> BoxFuture<'static, (u32, Answer)> {
    async move {
        tokio::time::sleep(wait.min(limits::REFUSED_AFTER)).await;
        (number, quota(wait))
    }
    .boxed()
}

fn quota(wait: Duration) -> Answer {
    Answer::Refused(Refusal::Quota { retry_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) })
}

/// Waits for the store, but not for ever.
async fn within<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| Err(StoreError::Failed("it did not answer in time".to_owned()));
    timeout(limits::STORE_DEADLINE, work).await.unwrap_or_else(late)
}

/// The answer for the client, counted.
fn count(relay: &Relay, request: MailboxRequest, answered: Result<Answer, StoreError>) -> Answer {
    let outcome = match &answered {
        Ok(Answer::Blob(None)) => Outcome::Unknown,
        Ok(_) => Outcome::Done,
        Err(StoreError::Failed(why)) => {
            tracing::error!(why, "the mailboxes failed");
            Outcome::Failed
        }
        Err(StoreError::Full) => Outcome::Full,
        Err(_) => Outcome::Refused,
    };
    relay.metrics.mailbox(request, outcome);
    answered.unwrap_or_else(|error| Answer::Refused(error.refusal()))
}

fn from_listing(listing: Listing) -> Answer {
    let Listing { entries, more, end } = listing;
    Answer::Listed { entries, more, end }
}

fn number_of(call: &Call) -> u32 {
    match call {
        Call::Token { number, .. }
        | Call::Put { number, .. }
        | Call::List { number, .. }
        | Call::Get { number, .. }
        | Call::Subscribe { number, .. }
        | Call::Drop { number, .. } => *number,
        Call::Unsubscribe { .. } => 0,
    }
}
