//! One peer and one room: prove, compare, stream, stay.
//!
//! Life of a session. It starts when [`super::PeerLink`] says that both sides have the room.
//!
//! 1. *Proof.* Each side sends its device id and a signature over the connection and the room, sealed under a key from
//!    the topic secret. [`Out::Proved`] names the peer's device; the owner answers with [`In::Standing`], now and
//!    whenever the room's state changes what the device is.
//! 2. *Summary.* The driver (the side that dialled) opens a round: both sides tell digests of their [`Tables`]. Equal:
//!    [`Out::Equal`], done. A side that sees a [`Standing::Stranger`] tells nothing about itself.
//! 3. *Compare.* Unequal: the sides exchange digests of ever smaller parts until each part differs in a few series,
//!    which are listed ([`super::sketch`]). A side that is behind in a series sends `Want`; a side that is ahead streams.
//! 4. *Stream.* [`Out::Read`] asks the owner for events, which go out in batches: control logs first, then messages in
//!    order, then records. The receiver gets [`Out::Deliver`] and answers [`In::Stored`] after its durable commit, which
//!    sends the `Ack`. At most [`WINDOW`] batches are under way. An acknowledged batch that held messages of our own
//!    gives [`Out::PeerHas`].
//! 5. *Live.* [`In::Advanced`] tells what is new here. It is sent at once when it carries bytes (small rooms), else its
//!    tip is told within [`TIPS_MS`]. Rounds are repeated, seldom when nothing happens.
//!
//! Who gets what: a [`Standing::Live`] peer gets everything. A [`Standing::Removed`] peer gets the control logs in the
//! tables given for it, which the owner cuts to what makes it understand that it is out; it is asked for the rest of its
//! own message log, for what it wrote before counts, and the room judges what it brings. A stranger gets nothing and may
//! bring control events: the joiner whose Admit we have not seen makes itself known that way.
//!
//! A hostile peer: every frame before its proof, malformed, too large, unsolicited or beyond a bound gives
//! [`Out::Misbehaved`], after which the session is silent and the connection is to be closed. A peer that starts
//! something and does not finish it is stopped by a deadline ([`Session::next_deadline`]). Nothing that a peer says is
//! kept beyond the series we hold ourselves and the bounds named here. What it claims to hold is believed only where it
//! harms nobody but itself, or where its device's acknowledgement is the fact ([`Out::PeerHas`]).

mod ask;
mod compare;
mod live;
mod own;
mod stream;
mod wake;

use parlor_crypto::topic::{Connection, Side, TopicSecret};
use parlor_crypto::{CryptoRng, PublicKey, SigningKey, label};

use crate::codec;
use crate::ids::{DeviceId, RoomId};
use crate::wire::{Asked, Item, Proof, RoomFrame, SeriesKind};

use super::sketch::Salt;
use super::tables::{Series, Tables};

pub use wake::{ACK_TIMEOUT_MS, ASK_TIMEOUT_MS, COMPARE_TIMEOUT_MS, OWED_TIMEOUT_MS, PROOF_TIMEOUT_MS, TIPS_MS};

/// Batches under way in each direction: at 128 KiB each a megabyte, enough for a fast link with a slow disk behind it.
pub const WINDOW: usize = 8;
/// Requests for pages and keys under way in each direction.
pub const MAX_ASKS: usize = 16;

/// What a session is made of.
pub struct SessionSetup<'a> {
    /// Room.
    pub room: RoomId,
    /// Its topic secret.
    pub topic_secret: &'a TopicSecret,
    /// From [`super::LinkOut::Opened`].
    pub connection: Connection,
    /// From [`super::LinkOut::Opened`].
    pub version: u16,
    /// Our end of the connection.
    pub side: Side,
    /// Our device's key.
    pub device: &'a SigningKey,
}

/// What the peer's device is in this room, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A device of a member.
    Live,
    /// A device of somebody who was a member, or was let in on an invite that others had used up. The tables given with
    /// each input hold what it may know: control logs up to what put it out, and its own message log.
    Removed,
    /// Unknown: it knows the topic secret, so it may be new.
    Stranger,
}

/// One event or record to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Of which series.
    pub series: Series,
    /// Its sequence number or counter.
    pub seq: u64,
    /// The bytes as their author signed them.
    pub bytes: Vec<u8>,
}

/// A range of a series to be read. For leaf records and markers the newest one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Series.
    pub series: Series,
    /// First sequence number.
    pub from: u64,
    /// Last sequence number.
    pub to: u64,
}

/// Something that is new here since the last input. The tables given with it hold it already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Series.
    pub series: Series,
    /// Its sequence number or counter.
    pub seq: u64,
    /// The bytes, to have them sent at once; `None` to have the tip told soon. Give bytes for events of our own device
    /// in rooms with at most 8 connected members.
    pub bytes: Option<Vec<u8>>,
    /// The device that brought it by sync: it is not told what it told us.
    pub from: Option<DeviceId>,
}

/// What a session is told.
#[derive(Debug)]
pub enum In {
    /// A frame arrived ([`super::LinkOut::Frame`]).
    Frame(Vec<u8>),
    /// What the peer's device is, after [`Out::Proved`] and at every change.
    Standing(Standing),
    /// Answer to [`Out::Read`]: events merged in a topological order (control: lamport or arrival; messages: hybrid clock).
    /// What was asked for and is not there is not asked for again in this round.
    Read {
        /// The number in the request.
        ticket: u32,
        /// Events.
        events: Vec<Outgoing>,
    },
    /// A delivered batch is durably committed. `complete` says that every item of it is stored now, be it since long;
    /// `false` when some were not accepted or wait for something.
    Stored {
        /// Number of the batch.
        batch: u32,
        /// Whether all of it is stored.
        complete: bool,
    },
    /// A delivered batch held something that no honest peer sends (a bad signature, another room's event).
    Refused {
        /// Number of the batch.
        batch: u32,
    },
    /// The tables moved.
    Advanced(Vec<Advance>),
    /// An event arrived by another way whose predecessors in its log are missing: ask for them.
    Gap(Series),
    /// Events of this series came that are here not and follow nothing that is here, though the series reaches further: the
    /// peer holds another branch of it.
    Fork(Series),
    /// We need something outside the logs.
    Ask(Asked),
    /// Answer to [`Out::Asked`]: the bytes, or `None` when we have it not or the peer is not entitled.
    Answer {
        /// The number in the request.
        id: u32,
        /// The bytes.
        bytes: Option<Vec<u8>>,
    },
    /// Time passed.
    Tick,
}

/// What a session wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// Send this frame to the peer ([`super::PeerLink::wrap`]).
    Send(Vec<u8>),
    /// The peer proved to be this device: answer with [`In::Standing`].
    Proved {
        /// The device.
        device: DeviceId,
    },
    /// Read events to be sent and give them as [`In::Read`]. One request is under way at a time; all of it is of one kind.
    Read {
        /// Number of the request.
        ticket: u32,
        /// What: series of this kind only.
        kind: SeriesKind,
        /// Which ranges.
        wanted: Vec<Wanted>,
        /// At most this many bytes of events, but at least one event.
        max_bytes: usize,
        /// At most this many events.
        max_items: usize,
    },
    /// Store these events and records; answer with [`In::Stored`] or [`In::Refused`].
    Deliver {
        /// Number of the batch.
        batch: u32,
        /// Who sent them.
        from: DeviceId,
        /// Events and records as received.
        items: Vec<Item>,
    },
    /// The peer's device holds our own message log durably up to here.
    PeerHas {
        /// The peer's device.
        device: DeviceId,
        /// Sequence number.
        seq: u64,
    },
    /// Both sides held the same logs in this round: what is still missing here, this peer does not have either.
    Equal,
    /// The peer, a member, holds the same control events as we and sees another room in them (`split`); or it did, and does no
    /// longer. One of both nodes is wrong, or lies.
    View {
        /// The peer's device.
        device: DeviceId,
        /// Whether the views differ now.
        split: bool,
    },
    /// The peer's event of this number is another than ours: its author wrote two.
    Forked {
        /// The log.
        series: Series,
        /// Sequence number.
        seq: u64,
    },
    /// All that the peer, a member, holds of our own control and message log is here. Once a session.
    OwnLogs,
    /// The peer asks for something outside the logs: answer with [`In::Answer`].
    Asked {
        /// Number of the request.
        id: u32,
        /// The peer's device.
        device: DeviceId,
        /// What.
        what: Asked,
    },
    /// The answer to an [`In::Ask`]; `None` when the peer does not have or give it, or did not answer in time.
    Answered {
        /// What was asked for.
        what: Asked,
        /// The bytes, not checked.
        bytes: Option<Vec<u8>>,
    },
    /// The peer broke a rule: close the connection and lower its score. The session is silent from here on.
    Misbehaved(Misbehaviour),
}

/// Rules that a peer can break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Bytes that are no frame.
    #[error("malformed frame")]
    Malformed,
    /// A version that does not exist.
    #[error("unknown protocol version")]
    Version,
    /// Our own hello came back.
    #[error("our own hello came back")]
    Echo,
    /// A frame that does not fit the state.
    #[error("frame out of turn")]
    OutOfTurn,
    /// A channel that was never open.
    #[error("unknown channel")]
    UnknownChannel,
    /// More than a bound allows.
    #[error("more than the limit")]
    TooMany,
    /// The proof does not open or verify, or is of another device than before.
    #[error("bad proof")]
    BadProof,
    /// An answer or acknowledgement of something that was not sent.
    #[error("unsolicited answer")]
    Unsolicited,
    /// Messages from somebody who is no member.
    #[error("messages from a stranger")]
    NotEntitled,
    /// Events that no honest peer sends.
    #[error("invalid events")]
    BadEvents,
    /// Started something and did not go on.
    #[error("stalled")]
    Stalled,
    /// Claimed events and never sent them.
    #[error("claimed events and withheld them")]
    Withheld,
}

/// The machine of one peer and room. See the module's page.
pub struct Session {
    room: RoomId,
    topic_secret: TopicSecret,
    connection: Connection,
    version: u16,
    side: Side,
    our_device: DeviceId,
    salt: Salt,
    peer: Option<DeviceId>,
    standing: Option<Standing>,
    failed: bool,
    rounds: compare::Rounds,
    stream: stream::Stream,
    live: live::Live,
    own: own::Own,
    asks: ask::Asks,
    wake: wake::Wake,
}

/// What every handler works with.
struct Turn<'a> {
    tables: &'a Tables,
    now_ms: u64,
    out: &'a mut Vec<Out>,
}

impl Turn<'_> {
    fn send(&mut self, frame: &RoomFrame) {
        self.out.push(Out::Send(frame.encode()));
    }
}

type Handled = Result<(), Misbehaviour>;

impl Session {
    /// Starts a session; the outputs hold our proof.
    pub fn start(setup: SessionSetup<'_>, now_ms: u64, rng: &mut impl CryptoRng) -> (Self, Vec<Out>) {
        let SessionSetup { room, topic_secret, connection, version, side, device } = setup;
        let signature = device.sign(label::SIGN_SYNC_PROOF, &[&proof_covers(&room, version, side, &connection)]);
        let proof = codec::encode(&Proof { device: DeviceId(device.public_bytes()), signature });
        let sealed = topic_secret.proof_key(side, &connection).seal(rng, &[], &proof);
        let session = Self {
            room,
            topic_secret: topic_secret.clone(),
            salt: Salt::new(&room, &connection),
            connection,
            version,
            side,
            our_device: DeviceId(device.public_bytes()),
            peer: None,
            standing: None,
            failed: false,
            rounds: compare::Rounds::default(),
            stream: stream::Stream::default(),
            live: live::Live::default(),
            own: own::Own::default(),
            asks: ask::Asks::default(),
            wake: wake::Wake::start(now_ms),
        };
        (session, vec![Out::Send(RoomFrame::Proof(sealed.into()).encode())])
    }

    /// Takes one input and says what to do. `tables` are those of the room as they are now (of a removed peer cut to
    /// what it may know); `now_ms` never goes back.
    pub fn handle(&mut self, input: In, tables: &Tables, now_ms: u64) -> Vec<Out> {
        let mut out = Vec::new();
        if self.failed {
            return out;
        }
        let turn = &mut Turn { tables, now_ms, out: &mut out };
        let handled = match input {
            In::Frame(bytes) => self.on_frame(&bytes, turn),
            In::Standing(standing) => self.on_standing(standing, turn),
            In::Read { ticket, events } => self.on_read(ticket, events, turn),
            In::Stored { batch, complete } => self.on_stored(batch, complete, turn),
            In::Refused { .. } => Err(Misbehaviour::BadEvents),
            In::Advanced(advances) => self.on_advanced(advances, turn),
            In::Gap(series) => self.on_gap(series, turn),
            In::Fork(series) => self.on_fork(series, turn),
            In::Ask(what) => self.on_need(what, turn),
            In::Answer { id, bytes } => self.on_found(id, bytes, turn),
            In::Tick => self.on_tick(turn),
        };
        if let Err(reason) = handled {
            self.failed = true;
            out.push(Out::Misbehaved(reason));
        }
        out
    }

    /// When `Tick` is due next; `None` when nothing is waited for.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.failed { None } else { self.earliest_deadline() }
    }

    /// The peer's device, once it is proved.
    pub fn peer(&self) -> Option<DeviceId> {
        self.peer
    }

    /// What the peer's device is, as last told.
    pub fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// Whether nothing is under way in either direction and the last round found both sides equal.
    pub fn is_settled(&self) -> bool {
        !self.failed && self.rounds.last_equal() && self.stream.is_idle()
    }

    /// Whether the peer told last that it holds the control events that are in `tables` now.
    pub fn holds_same_control(&self, tables: &Tables) -> bool {
        self.rounds.peer_control() == Some(tables.digests().control)
    }

    /// Events of the peer that are told but not here yet, for a progress display.
    pub fn n_owed(&self, tables: &Tables) -> u64 {
        self.stream.n_owed(tables, &self.salt)
    }

    /// How many events of this series the peer told of that are not here yet. Answers nothing for who owes nothing, at no cost.
    pub fn owes(&self, series: &Series, tables: &Tables) -> u64 {
        self.stream.owes(&self.salt.tag(series), tables.seq(series))
    }

    /// How many messages of these devices the peer told of that are not here yet.
    pub fn owes_messages<'a>(&self, of: impl IntoIterator<Item = &'a DeviceId>, tables: &Tables) -> u64 {
        let owed = of.into_iter().map(|device| self.owes(&Series::messages(*device), tables));
        owed.fold(0, u64::saturating_add)
    }

    fn on_frame(&mut self, bytes: &[u8], turn: &mut Turn<'_>) -> Handled {
        let frame = RoomFrame::decode(bytes).map_err(|_| Misbehaviour::Malformed)?;
        if let RoomFrame::Proof(sealed) = frame {
            return self.on_proof(&sealed.0, turn);
        }
        if self.peer.is_none() {
            return Err(Misbehaviour::OutOfTurn);
        }
        match frame {
            RoomFrame::Proof(_) => Err(Misbehaviour::OutOfTurn),
            RoomFrame::Summary { round, told } => self.on_summary(round, told, turn),
            RoomFrame::Compare { round, items } => self.on_compare(round, &items, turn),
            RoomFrame::Want(wants) => self.on_want(&wants, turn),
            RoomFrame::Batch { id, items } => self.on_batch(id, items, turn),
            RoomFrame::Ack { id, stored } => self.on_ack(id, stored, turn),
            RoomFrame::Tips(entries) => self.on_tips(&entries, turn),
            RoomFrame::Ask { id, what } => self.on_asked(id, what, turn),
            RoomFrame::Answer { id, bytes } => self.on_answer(id, bytes, turn),
            RoomFrame::Again => self.on_again(turn),
            RoomFrame::Yours(entries) => self.on_yours(entries, turn),
        }
    }

    fn on_proof(&mut self, sealed: &[u8], turn: &mut Turn<'_>) -> Handled {
        if self.peer.is_some() {
            return Err(Misbehaviour::OutOfTurn);
        }
        let side = self.side.other();
        let plain = self.topic_secret.proof_key(side, &self.connection).open(&[], sealed);
        let plain = plain.map_err(|_| Misbehaviour::BadProof)?;
        let proof: Proof = codec::decode(&plain, 96).map_err(|_| Misbehaviour::BadProof)?;
        let device = proof.device;
        let key = PublicKey::parse(device.as_bytes()).map_err(|_| Misbehaviour::BadProof)?;
        let covered = proof_covers(&self.room, self.version, side, &self.connection);
        key.verify(label::SIGN_SYNC_PROOF, &[&covered], &proof.signature).map_err(|_| Misbehaviour::BadProof)?;
        self.peer = Some(device);
        self.wake.proved();
        turn.out.push(Out::Proved { device });
        Ok(())
    }

    /// Whether the peer may have things of this kind.
    fn serves(&self, kind: SeriesKind) -> bool {
        match self.standing {
            Some(Standing::Live) => true,
            // Of messages those that its cut of the tables holds.
            Some(Standing::Removed) => matches!(kind, SeriesKind::Control | SeriesKind::Message),
            Some(Standing::Stranger) | None => false,
        }
    }
}

/// What a proof's signature covers: `room || side || version u16 || connection`.
fn proof_covers(room: &RoomId, version: u16, side: Side, connection: &Connection) -> Vec<u8> {
    let side = match side {
        Side::Dialer => 0,
        Side::Listener => 1,
    };
    let mut covered = room.0.to_vec();
    covered.push(side);
    covered.extend_from_slice(&version.to_be_bytes());
    covered.extend_from_slice(connection.as_bytes());
    covered
}
