//! The joiner's machine: from a link to a room that can be read and written.

use parlor_crypto::CryptoRng;

use crate::control::JoinRequest;
use crate::ids::RoomId;
use crate::link::{Address, Link};

use super::{Answer, Knock, Refusal, knock};

/// A dialled address that did not connect by then is given up.
pub const DIAL_TIMEOUT_MS: u64 = 10_000;
/// A member that did not answer a knock by then is given up.
pub const ASK_TIMEOUT_MS: u64 = 20_000;
/// A room that is not ready this long after the Welcome: knock at somebody else.
pub const SYNC_TIMEOUT_MS: u64 = 60_000;
/// First pause before asking again while a member has to approve; doubles up to [`LONGEST_PAUSE_MS`].
pub const PENDING_PAUSE_MS: u64 = 5_000;
/// First pause after all addresses failed; doubles up to [`LONGEST_PAUSE_MS`].
pub const FIRST_PAUSE_MS: u64 = 2_000;
/// Longest pause between two rounds over the addresses.
pub const LONGEST_PAUSE_MS: u64 = 60_000;
/// Peers that may be members beside the addresses of the link (found on the local network, say).
const MAX_CANDIDATES: usize = 16;

/// Somebody to knock at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Door {
    /// The issuer, at this address of the link.
    Issuer(Address),
    /// A peer that is connected or known already: bytes of its peer id.
    Peer(Vec<u8>),
}

/// Where joining stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Connecting to somebody.
    Dialling(Door),
    /// Knocked; no answer yet.
    Asked(Door),
    /// A member has to approve.
    Pending,
    /// Nobody could be reached; trying again at this time.
    Resting {
        /// When.
        until_ms: u64,
    },
    /// Let in; fetching the room.
    Syncing,
    /// The room can be read and written.
    Joined,
    /// Over.
    Failed(Failure),
}

/// Why joining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// A member refused.
    #[error("{0}")]
    Refused(Refusal),
    /// Nobody who could let us in was reached in time.
    #[error("no member could be reached")]
    Unreachable,
    /// A member has not approved in time; the request stands.
    #[error("a member has to approve first")]
    StillPending,
    /// Let in, but the room did not arrive in time.
    #[error("the room could not be fetched in time")]
    Unsynced,
    /// Cancelled by hand.
    #[error("cancelled")]
    Cancelled,
}

/// What the joiner is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum In {
    /// The dial asked for succeeded.
    Connected,
    /// The dial asked for failed.
    DialFailed,
    /// The answer to the knock.
    Answered(Vec<u8>),
    /// The knock got no answer.
    AskFailed,
    /// A connected peer that may be a member: knock there too.
    Candidate(Vec<u8>),
    /// The Welcome of [`Out::Welcomed`] did not open or was wrong: try somebody else.
    BadWelcome,
    /// The room is complete enough to be read and written.
    Ready,
    /// Stop.
    Cancel,
    /// Time passed.
    Tick,
}

/// What the joiner wants done.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// Connect; answer `Connected` or `DialFailed`. For [`Door::Issuer`] the peer must prove to be [`Link::peer`].
    Dial(Door),
    /// Send this knock to the door that is connected now; answer `Answered` or `AskFailed`.
    Ask {
        /// Whom.
        door: Door,
        /// The knock.
        bytes: Vec<u8>,
    },
    /// We are let in: open this Welcome, open the room on sync with the peer that answered, say `Ready` when it can be
    /// written to.
    Welcomed {
        /// Who answered.
        door: Door,
        /// The sealed Welcome.
        welcome: Vec<u8>,
    },
    /// The state changed: tell whoever watches.
    Changed(State),
    /// Over: joined.
    Joined(RoomId),
    /// Over: not joined.
    Failed(Failure),
}

/// The joiner's machine. See [`super`].
pub struct Joiner {
    link: Link,
    request: JoinRequest,
    state: State,
    candidates: Vec<Vec<u8>>,
    /// Doors not tried in this round, next last.
    untried: Vec<Door>,
    knock: Option<Knock>,
    door: Option<Door>,
    was_pending: bool,
    held_by: u16,
    pending_ms: u64,
    pause_ms: u64,
    step_deadline: u64,
    deadline: Option<u64>,
    /// A refusal that another member may not share.
    refusal: Option<Refusal>,
}

impl Joiner {
    /// Begins to join by `link` with `request`, which is made for its room and invite. Gives up at `deadline_ms`.
    pub fn start(link: Link, request: JoinRequest, deadline_ms: Option<u64>, now_ms: u64) -> (Self, Vec<Out>) {
        let mut joiner = Self {
            link,
            request,
            state: State::Resting { until_ms: now_ms },
            candidates: Vec::new(),
            untried: Vec::new(),
            knock: None,
            door: None,
            was_pending: false,
            held_by: 0,
            pending_ms: 0,
            pause_ms: 0,
            step_deadline: now_ms,
            deadline: deadline_ms,
            refusal: None,
        };
        let mut out = Vec::new();
        joiner.new_round();
        joiner.next_door(now_ms, &mut out);
        (joiner, out)
    }

    /// Takes one input and says what to do.
    pub fn handle(&mut self, input: In, now_ms: u64, rng: &mut impl CryptoRng) -> Vec<Out> {
        let mut out = Vec::new();
        match (input, self.state.clone()) {
            (_, State::Joined | State::Failed(_)) => {}
            (In::Cancel, _) => self.fail(Failure::Cancelled, &mut out),
            (In::Candidate(peer), state) => self.on_candidate(peer, &state, now_ms, &mut out),
            (In::Connected, State::Dialling(door)) => self.ask(door, now_ms, rng, &mut out),
            (In::DialFailed, State::Dialling(_)) | (In::AskFailed, State::Asked(_)) => self.next_door(now_ms, &mut out),
            (In::Answered(bytes), State::Asked(door)) => self.on_answer(door, &bytes, now_ms, &mut out),
            (In::BadWelcome, State::Syncing) => self.next_door(now_ms, &mut out),
            (In::Ready, State::Syncing) => {
                self.enter(State::Joined, now_ms, &mut out);
                out.push(Out::Joined(self.link.room()));
            }
            (In::Tick, state) => self.on_tick(&state, now_ms, &mut out),
            _ => {}
        }
        out
    }

    /// When `Tick` is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        match self.state {
            State::Joined | State::Failed(_) => None,
            _ => Some(self.deadline.map_or(self.step_deadline, |end| end.min(self.step_deadline))),
        }
    }

    /// Where joining stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How many members who may approve have the request, as far as we were told.
    pub fn held_by(&self) -> u16 {
        self.held_by
    }

    /// The link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    fn on_tick(&mut self, state: &State, now_ms: u64, out: &mut Vec<Out>) {
        if self.deadline.is_some_and(|end| now_ms >= end) {
            let failure = match (state, self.refusal) {
                (State::Syncing, _) => Failure::Unsynced,
                _ if self.was_pending => Failure::StillPending,
                (_, Some(refusal)) => Failure::Refused(refusal),
                _ => Failure::Unreachable,
            };
            self.fail(failure, out);
        } else if now_ms >= self.step_deadline {
            match state {
                State::Resting { .. } | State::Pending | State::Syncing => {
                    self.new_round();
                    self.next_door(now_ms, out);
                }
                _ => self.next_door(now_ms, out),
            }
        }
    }

    fn on_candidate(&mut self, peer: Vec<u8>, state: &State, now_ms: u64, out: &mut Vec<Out>) {
        if self.candidates.contains(&peer) || self.candidates.len() >= MAX_CANDIDATES {
            return;
        }
        self.candidates.push(peer.clone());
        self.untried.push(Door::Peer(peer));
        if matches!(state, State::Resting { .. }) {
            self.next_door(now_ms, out);
        }
    }

    fn on_answer(&mut self, door: Door, bytes: &[u8], now_ms: u64, out: &mut Vec<Out>) {
        match self.knock.take().and_then(|knock| knock.open(bytes)) {
            None => self.next_door(now_ms, out),
            Some(Answer::Welcome(welcome)) => {
                self.enter(State::Syncing, now_ms, out);
                out.push(Out::Welcomed { door, welcome: welcome.0 });
            }
            Some(Answer::Refused(refusal)) if refusal.is_passing() => {
                self.refusal = Some(refusal);
                self.next_door(now_ms, out);
            }
            Some(Answer::Refused(refusal)) => self.fail(Failure::Refused(refusal), out),
            Some(Answer::Pending { held_by }) => {
                self.was_pending = true;
                self.held_by = held_by;
                self.pending_ms = (self.pending_ms * 2).clamp(PENDING_PAUSE_MS, LONGEST_PAUSE_MS);
                self.door = Some(door);
                self.enter(State::Pending, now_ms, out);
            }
        }
    }

    fn ask(&mut self, door: Door, now_ms: u64, rng: &mut impl CryptoRng, out: &mut Vec<Out>) {
        let (knock, bytes) = knock(&self.request.invite_pk, &self.request, rng);
        self.knock = Some(knock);
        self.enter(State::Asked(door.clone()), now_ms, out);
        out.push(Out::Ask { door, bytes });
    }

    /// All doors again; the one that told us to wait first.
    fn new_round(&mut self) {
        self.untried = self.candidates.iter().rev().cloned().map(Door::Peer).collect();
        self.untried.extend(self.link.addresses().iter().rev().cloned().map(Door::Issuer));
        if let Some(door) = self.door.take() {
            self.untried.retain(|untried| *untried != door);
            self.untried.push(door);
        }
    }

    fn next_door(&mut self, now_ms: u64, out: &mut Vec<Out>) {
        self.knock = None;
        if let Some(door) = self.untried.pop() {
            self.enter(State::Dialling(door.clone()), now_ms, out);
            out.push(Out::Dial(door));
            return;
        }
        self.pause_ms = (self.pause_ms * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        self.enter(State::Resting { until_ms: now_ms.saturating_add(self.pause_ms) }, now_ms, out);
    }

    fn enter(&mut self, state: State, now_ms: u64, out: &mut Vec<Out>) {
        let wait = match state {
            State::Dialling(_) => DIAL_TIMEOUT_MS,
            State::Asked(_) => ASK_TIMEOUT_MS,
            State::Pending => self.pending_ms,
            State::Resting { .. } => self.pause_ms,
            State::Syncing => SYNC_TIMEOUT_MS,
            State::Joined | State::Failed(_) => 0,
        };
        self.step_deadline = now_ms.saturating_add(wait);
        self.state = state.clone();
        out.push(Out::Changed(state));
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Out>) {
        self.state = State::Failed(failure);
        out.push(Out::Changed(self.state.clone()));
        out.push(Out::Failed(failure));
    }
}
