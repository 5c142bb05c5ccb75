//! The line to one relay: greeting, requests in a window, deadlines, and what a relay that lied has to wait.

use std::collections::{BTreeMap, VecDeque};

use super::super::frame::{Ask, ClientFrame, Refusal, Reply, ServerFrame, Terms};
use super::super::limits;
use super::super::name::{BlobId, BoxName, RelayId, StoreId};
use super::super::proof::prove;
use super::{At, Fault, Mailboxes, Out, PutAt};
use crate::wire::Blob;

/// Pause after the first line that could not be opened, doubling to [`LONGEST_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 1_000;
const LONGEST_PAUSE_MS: u64 = 5 * 60 * 1_000;
/// Pushes of what we know already, of which each so many count as a lie.
const REPEATS: u32 = 1_024;

/// One relay.
#[derive(Debug)]
pub(super) struct Relay {
    state: State,
    /// Lines in a row that brought nothing.
    failures: u32,
    /// Lines that were closed because of lies.
    strikes: u32,
    /// It rests because it was not shown the token it wants.
    wants_token: bool,
}

#[derive(Debug)]
enum State {
    /// No line before this time.
    Resting(u64),
    Connecting,
    /// The greeting is waited for until this time.
    Greeting(u64),
    Up(Line),
}

/// A line that was greeted.
#[derive(Debug)]
struct Line {
    nonce: [u8; 32],
    store: StoreId,
    terms: Terms,
    next_number: u32,
    asked: BTreeMap<u32, Asked>,
    jobs: VecDeque<Job>,
    slots: BTreeMap<u16, BoxName>,
    by_name: BTreeMap<BoxName, u16>,
    lies: u32,
    repeats: u32,
}

/// A request that is under way.
#[derive(Debug)]
struct Asked {
    job: Job,
    /// Of which life of its box.
    life: Option<u64>,
    until_ms: u64,
}

/// A request to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Job {
    Token,
    Open(BoxName),
    Close(u16),
    Put(BoxName, BlobId),
    List(BoxName),
    Get(BoxName, BlobId),
    Subscribe(BoxName, bool),
    Drop(BoxName, BlobId),
}

impl Job {
    /// The box it is about, as long as that is open.
    fn name(&self) -> Option<&BoxName> {
        match self {
            Self::Token | Self::Close(_) => None,
            Self::Open(name)
            | Self::Put(name, _)
            | Self::List(name)
            | Self::Get(name, _)
            | Self::Subscribe(name, _)
            | Self::Drop(name, _) => Some(name),
        }
    }
}

impl Relay {
    const fn new(now_ms: u64) -> Self {
        Self { state: State::Resting(now_ms), failures: 0, strikes: 0, wants_token: false }
    }

    /// Another token is there: no need to rest for want of it.
    pub(super) fn try_token(&mut self) {
        if std::mem::take(&mut self.wants_token) && matches!(self.state, State::Resting(_)) {
            self.state = State::Resting(0);
        }
    }

    pub(super) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        match &self.state {
            State::Resting(until_ms) | State::Greeting(until_ms) => Some(*until_ms),
            State::Connecting => None,
            State::Up(line) => line.asked.first_key_value().map(|(_, asked)| asked.until_ms),
        }
    }

    fn line(&mut self) -> Option<&mut Line> {
        match &mut self.state {
            State::Up(line) => Some(line),
            _ => None,
        }
    }
}

impl Line {
    fn free_slot(&self) -> Option<u16> {
        let next = self.slots.last_key_value().map_or(0, |(last, _)| last.saturating_add(1));
        if next < self.terms.slots {
            return Some(next);
        }
        (0..self.terms.slots).find(|slot| !self.slots.contains_key(slot))
    }
}

impl Mailboxes {
    /// Sees to it that the relay is known, and opens the box there if its line stands.
    pub(super) fn use_relay(&mut self, relay: &RelayId, name: &BoxName, now_ms: u64) {
        self.relays.entry(relay.clone()).or_insert_with(|| Relay::new(now_ms));
        self.reconcile(relay, name);
        self.job(relay, Job::Open(*name));
    }

    /// A box is not at this relay any more.
    pub(super) fn leave(&mut self, relay: &RelayId, name: &BoxName, out: &mut Vec<Out>) {
        self.forget_holder(relay, name);
        if let Some(mailbox) = self.boxes.get_mut(name) {
            mailbox.at.remove(relay);
            for put in mailbox.puts.values_mut() {
                put.at.remove(relay);
            }
        }
        if let Some(line) = self.relays.get_mut(relay).and_then(Relay::line)
            && let Some(slot) = line.by_name.remove(name)
        {
            line.jobs.push_back(Job::Close(slot));
        }
        if !self.boxes.values().any(|mailbox| mailbox.at.contains_key(relay))
            && let Some(left) = self.relays.remove(relay)
            && !matches!(left.state, State::Resting(_))
        {
            out.push(Out::HangUp { relay: relay.clone() });
        }
    }

    /// Queues a request on the line, if it stands.
    pub(super) fn job(&mut self, relay: &RelayId, job: Job) {
        if let Some(line) = self.relays.get_mut(relay).and_then(Relay::line) {
            line.jobs.push_back(job);
        }
    }

    pub(super) fn greet(&mut self, relay: &RelayId, now_ms: u64) {
        if let Some(relay) = self.relays.get_mut(relay)
            && matches!(relay.state, State::Connecting)
        {
            relay.state = State::Greeting(now_ms.saturating_add(limits::ANSWER_MS));
        }
    }

    /// The line is gone, or never was.
    pub(super) fn line_ended(&mut self, relay: &RelayId, now_ms: u64, out: &mut Vec<Out>) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        if matches!(known.state, State::Resting(_)) {
            return;
        }
        if !known.is_up() {
            known.failures = known.failures.saturating_add(1);
        }
        let pause = FIRST_PAUSE_MS.saturating_mul(1 << known.failures.min(16)).min(LONGEST_PAUSE_MS);
        out.push(Out::Fault { relay: relay.clone(), name: None, fault: Fault::Unreachable });
        self.rest(relay, now_ms.saturating_add(pause));
    }

    /// No line to this relay before `until_ms`: what was under way on it is undone.
    fn rest(&mut self, relay: &RelayId, until_ms: u64) {
        if let Some(known) = self.relays.get_mut(relay) {
            known.state = State::Resting(until_ms);
        }
        let names: Vec<BoxName> =
            self.boxes.iter().filter(|(_, b)| b.at.contains_key(relay)).map(|(n, _)| *n).collect();
        for name in names {
            self.forget_holder(relay, &name);
            let Some(mailbox) = self.boxes.get_mut(&name) else { continue };
            mailbox.at.get_mut(relay).into_iter().for_each(At::reset);
            for at in mailbox.puts.values_mut().filter_map(|put| put.at.get_mut(relay)) {
                if *at == PutAt::Asked {
                    *at = PutAt::Waiting;
                }
            }
        }
    }

    /// Closes the line because of what the relay did.
    fn hang_up(&mut self, relay: &RelayId, pause_ms: u64, now_ms: u64, out: &mut Vec<Out>) {
        out.push(Out::HangUp { relay: relay.clone() });
        self.rest(relay, now_ms.saturating_add(pause_ms));
    }

    fn lacks_token(&mut self, relay: &RelayId) {
        if let Some(known) = self.relays.get_mut(relay) {
            known.wants_token = true;
        }
    }

    /// A lie: after some of them, or at once when the line makes no sense any more, it is closed, for longer each time.
    pub(super) fn lie(
        &mut self,
        relay: &RelayId,
        name: Option<BoxName>,
        fault: Fault,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        out.push(Out::Fault { relay: relay.clone(), name, fault });
        let Some(known) = self.relays.get_mut(relay) else { return };
        let Some(line) = known.line() else { return };
        line.lies += 1;
        if line.lies >= limits::MAX_LIES || fault == Fault::Malformed {
            let pause = limits::REST_MS.saturating_mul(1 << known.strikes.min(16)).min(limits::MAX_REST_MS);
            known.strikes = known.strikes.saturating_add(1);
            self.hang_up(relay, pause, now_ms, out);
        }
    }

    /// The relay pushed what we know already.
    pub(super) fn repeated(&mut self, relay: &RelayId, name: BoxName, now_ms: u64, out: &mut Vec<Out>) {
        let Some(line) = self.relays.get_mut(relay).and_then(Relay::line) else { return };
        line.repeats += 1;
        if line.repeats >= REPEATS {
            line.repeats = 0;
            self.lie(relay, Some(name), Fault::Disorder, now_ms, out);
        }
    }

    /// Relays that do not answer lose their line.
    pub(super) fn look_at_deadlines(&mut self, now_ms: u64, out: &mut Vec<Out>) {
        let late = |relay: &Relay| match &relay.state {
            State::Greeting(_) | State::Up(_) => relay.next_ms().is_some_and(|until_ms| until_ms <= now_ms),
            State::Resting(_) | State::Connecting => false,
        };
        let silent: Vec<RelayId> = self.relays.iter().filter(|(_, r)| late(r)).map(|(id, _)| id.clone()).collect();
        for relay in silent {
            out.push(Out::Fault { relay: relay.clone(), name: None, fault: Fault::Slow });
            let failures = self.relays.get_mut(&relay).map_or(0, |known| {
                known.failures = known.failures.saturating_add(1);
                known.failures
            });
            let pause = FIRST_PAUSE_MS.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE_MS);
            self.hang_up(&relay, pause, now_ms, out);
        }
    }

    /// Opens lines that are due and sends what the windows allow.
    pub(super) fn run(&mut self, now_ms: u64, out: &mut Vec<Out>) {
        self.seek(now_ms);
        for (id, relay) in &mut self.relays {
            if matches!(relay.state, State::Resting(until_ms) if until_ms <= now_ms) {
                relay.state = State::Connecting;
                relay.wants_token = false;
                out.push(Out::Connect { relay: id.clone() });
            }
        }
        let busy = |relay: &&Relay| matches!(&relay.state, State::Up(line) if !line.jobs.is_empty());
        let busy: Vec<RelayId> = self.relays.iter().filter(|(_, r)| busy(r)).map(|(id, _)| id.clone()).collect();
        for relay in busy {
            self.send_jobs(&relay, now_ms, out);
        }
    }

    fn send_jobs(&mut self, relay: &RelayId, now_ms: u64, out: &mut Vec<Out>) {
        loop {
            let Some(line) = self.relays.get_mut(relay).and_then(Relay::line) else { return };
            if line.asked.len() >= usize::from(line.terms.window.min(limits::WINDOW)) {
                return;
            }
            let Some(job) = line.jobs.pop_front() else { return };
            let Some(ask) = self.ask_of(relay, &job) else { continue };
            let life = self.life_of(relay, &job);
            let Some(line) = self.relays.get_mut(relay).and_then(Relay::line) else { return };
            let number = line.next_number;
            line.next_number = line.next_number.wrapping_add(1);
            line.asked.insert(number, Asked { job, life, until_ms: now_ms.saturating_add(limits::ANSWER_MS) });
            out.push(Out::Send { relay: relay.clone(), bytes: ClientFrame { number, ask }.encode() });
        }
    }

    /// Which time the box of a job is open at the relay.
    fn life_of(&self, relay: &RelayId, job: &Job) -> Option<u64> {
        Some(self.boxes.get(job.name()?)?.at.get(relay)?.life)
    }

    /// The request of a job; `None` if it makes no sense any more.
    fn ask_of(&mut self, relay: &RelayId, job: &Job) -> Option<Ask> {
        let line = self.relays.get_mut(relay)?.line()?;
        let slot_of = |name: &BoxName| line.by_name.get(name).copied();
        match job {
            Job::Token => Some(Ask::Token(Blob(self.tokens.get(relay)?.expose().as_bytes().to_vec()))),
            Job::Close(slot) => Some(Ask::Close { slot: *slot }),
            Job::Open(name) => {
                let mailbox = self.boxes.get(name).filter(|mailbox| mailbox.at.contains_key(relay))?;
                if line.by_name.contains_key(name) {
                    return None;
                }
                let slot = line.free_slot()?;
                line.slots.insert(slot, *name);
                line.by_name.insert(*name, slot);
                let proof = mailbox.key.as_ref().map(|key| prove(name.kind, key, &line.nonce, relay));
                Some(Ask::Open { slot, name: *name, proof })
            }
            Job::Put(name, id) => {
                let slot = slot_of(name)?;
                let put = self.boxes.get_mut(name)?.puts.get_mut(id)?;
                let at = put.at.get_mut(relay).filter(|at| **at == PutAt::Waiting)?;
                *at = PutAt::Asked;
                Some(Ask::Put { slot, blob: Blob(put.blob.to_vec()) })
            }
            Job::List(name) => {
                let slot = slot_of(name)?;
                let full = self.n_wanted + limits::MAX_LISTED > limits::MAX_WANTED;
                let at = self.boxes.get_mut(name)?.at.get_mut(relay)?;
                let (after, limit) = at.begin_listing(full)?;
                Some(Ask::List { slot, after, limit })
            }
            Job::Get(name, id) => {
                let slot = slot_of(name)?;
                self.boxes.get(name)?.wanted.contains_key(id).then_some(Ask::Get { slot, id: *id })
            }
            Job::Subscribe(name, inline) => Some(Ask::Subscribe { slot: slot_of(name)?, inline: *inline }),
            Job::Drop(name, id) => Some(Ask::Drop { slot: slot_of(name)?, id: *id }),
        }
    }

    pub(super) fn on_frame(&mut self, relay: &RelayId, bytes: &[u8], now_ms: u64, out: &mut Vec<Out>) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        let frame = ServerFrame::decode(bytes).ok();
        match (&mut known.state, frame) {
            // Frames that were under way when the line was closed.
            (State::Resting(_) | State::Connecting, _) => {}
            (State::Greeting(_), Some(ServerFrame::Hello { version, nonce, store, terms })) => {
                if version != limits::VERSION {
                    out.push(Out::Fault { relay: relay.clone(), name: None, fault: Fault::Version });
                    return self.hang_up(relay, limits::MAX_REST_MS, now_ms, out);
                }
                self.greeted(relay, nonce, store, terms, now_ms, out);
            }
            (State::Up(line), Some(ServerFrame::Reply { number, reply })) => match line.asked.remove(&number) {
                // The box was closed since: what it is now was not asked.
                Some(Asked { job, life, .. }) if life != self.life_of(relay, &job) => {}
                Some(Asked { job, .. }) => self.on_reply(relay, job, reply, now_ms, out),
                None => self.nonsense(relay, now_ms, out),
            },
            (State::Up(line), Some(ServerFrame::Push { slot, entry, blob })) => match line.slots.get(&slot).copied() {
                Some(name) => self.on_push(relay, name, entry, blob, now_ms, out),
                None => self.nonsense(relay, now_ms, out),
            },
            (State::Up(line), Some(ServerFrame::Behind { slot })) => match line.slots.get(&slot).copied() {
                Some(name) => self.queue_list(relay, name),
                None => self.nonsense(relay, now_ms, out),
            },
            (State::Greeting(_) | State::Up(_), _) => self.nonsense(relay, now_ms, out),
        }
    }

    fn nonsense(&mut self, relay: &RelayId, now_ms: u64, out: &mut Vec<Out>) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        out.push(Out::Fault { relay: relay.clone(), name: None, fault: Fault::Malformed });
        let pause = limits::REST_MS.saturating_mul(1 << known.strikes.min(16)).min(limits::MAX_REST_MS);
        known.strikes = known.strikes.saturating_add(1);
        self.hang_up(relay, pause, now_ms, out);
    }

    fn greeted(
        &mut self,
        relay: &RelayId,
        nonce: [u8; 32],
        store: StoreId,
        terms: Terms,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        known.state = State::Up(Line {
            nonce,
            store,
            terms,
            next_number: 0,
            asked: BTreeMap::new(),
            jobs: VecDeque::new(),
            slots: BTreeMap::new(),
            by_name: BTreeMap::new(),
            lies: 0,
            repeats: 0,
        });
        if terms.token {
            if !self.tokens.contains_key(relay) {
                out.push(Out::Refused { relay: relay.clone(), name: None, refusal: Refusal::Token });
                self.hang_up(relay, limits::MAX_RETRY_MS, now_ms, out);
                return self.lacks_token(relay);
            }
            self.job(relay, Job::Token);
        }
        let names: Vec<BoxName> =
            self.boxes.iter().filter(|(_, b)| b.at.contains_key(relay)).map(|(n, _)| *n).collect();
        let mut another = false;
        for name in names {
            another |= self.reconcile(relay, &name);
            self.job(relay, Job::Open(name));
        }
        if another {
            out.push(Out::Fault { relay: relay.clone(), name: None, fault: Fault::NewStore });
        }
    }

    /// Where the relay's store is not the one that our cursor is of, we begin anew. Whether it is another than before.
    fn reconcile(&mut self, relay: &RelayId, name: &BoxName) -> bool {
        let Some(store) = self.relays.get_mut(relay).and_then(Relay::line).map(|line| line.store) else { return false };
        let Some(at) = self.boxes.get_mut(name).and_then(|mailbox| mailbox.at.get_mut(relay)) else { return false };
        if at.cursor.store == Some(store) {
            return false;
        }
        let another = at.cursor.store.is_some();
        at.promises.clear();
        at.cursor = super::Cursor { store: Some(store), at: 0 };
        at.reset();
        another
    }

    fn on_reply(&mut self, relay: &RelayId, job: Job, reply: Reply, now_ms: u64, out: &mut Vec<Out>) {
        if let Some(known) = self.relays.get_mut(relay) {
            known.failures = 0;
        }
        match (job, reply) {
            (Job::Token, Reply::Refused(refusal)) => {
                out.push(Out::Refused { relay: relay.clone(), name: None, refusal });
                self.hang_up(relay, limits::MAX_RETRY_MS, now_ms, out);
                self.lacks_token(relay);
            }
            (Job::Token | Job::Drop(..), Reply::Done) | (Job::Drop(..), Reply::Refused(_)) => {}
            (Job::Close(slot), Reply::Done | Reply::Refused(_)) => {
                if let Some(line) = self.relays.get_mut(relay).and_then(Relay::line) {
                    line.slots.remove(&slot);
                }
            }
            (Job::Open(name), Reply::Done) => self.opened(relay, name),
            (Job::Open(name), Reply::Refused(refusal)) => {
                if let Some(line) = self.relays.get_mut(relay).and_then(Relay::line)
                    && let Some(slot) = line.by_name.remove(&name)
                {
                    line.slots.remove(&slot);
                }
                out.push(Out::Refused { relay: relay.clone(), name: Some(name), refusal });
            }
            (Job::Subscribe(name, inline), Reply::Done) => self.subscribed(relay, name, inline),
            (Job::Subscribe(name, _), Reply::Refused(refusal)) => {
                out.push(Out::Refused { relay: relay.clone(), name: Some(name), refusal });
                self.list_later(relay, name, limits::RETRY_MS, now_ms);
            }
            (Job::Put(name, id), Reply::Stored { at }) => self.on_stored(relay, name, id, at, out),
            (Job::Put(name, id), Reply::Refused(refusal)) => self.on_put_refused(relay, name, id, refusal, now_ms, out),
            (Job::List(name), Reply::Listed { entries, more, end }) => {
                self.on_listed(relay, name, &entries, more, end, now_ms, out);
            }
            (Job::List(name), Reply::Refused(refusal)) => self.on_list_refused(relay, name, refusal, now_ms),
            (Job::Get(name, id), Reply::Blob(blob)) => {
                self.on_blob(relay, name, id, blob.map(|blob| blob.0), now_ms, out);
            }
            (Job::Get(name, id), Reply::Refused(refusal)) => {
                self.on_get_refused(relay, name, id, refusal, now_ms, out);
            }
            _ => self.nonsense(relay, now_ms, out),
        }
    }

    /// The box is open at the relay: what waits for that goes on.
    fn opened(&mut self, relay: &RelayId, name: BoxName) {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        let first = !mailbox.at.values().any(|at| at.subscribed == Some(true));
        let Some(at) = mailbox.at.get_mut(relay) else { return };
        at.open = true;
        let puts: Vec<BlobId> = mailbox.puts.keys().copied().collect();
        if mailbox.read {
            // The content comes from one relay, the others tell names. A second that takes it for granted costs a copy.
            self.job(relay, Job::Subscribe(name, first));
        }
        for id in puts {
            self.queue_put(relay, name, id);
        }
    }
}

/// How long to wait after a refusal, and whether trying again may help at all.
pub(super) fn pause_after(refusal: Refusal) -> Option<u64> {
    match refusal {
        Refusal::Quota { retry_ms } | Refusal::Busy { retry_ms } => Some(retry_ms.clamp(1_000, limits::MAX_RETRY_MS)),
        Refusal::Failed => Some(limits::RETRY_MS),
        Refusal::BoxFull => Some(limits::MAX_RETRY_MS),
        Refusal::Slot | Refusal::Token | Refusal::Proof | Refusal::NotAllowed | Refusal::BadBlob => None,
    }
}
