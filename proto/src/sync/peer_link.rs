//! One connection: hello, blinded probes, channels.
//!
//! Life of a link. Both sides send `Hello` with fresh nonces. Both nonces and both transport peer ids make the
//! [`Connection`], which names this connection and no other. Then each side sends, for each of its rooms,
//! `KDF(topic_secret, "probe", side || connection, 16)`. Who knows the topic secret of a room computes what the other
//! side's probe for it must be, so exactly the shared rooms match; who does not sees random bytes. The probe is
//! different for each direction, so echoing one matches nothing, and for each connection, so replaying one matches
//! nothing. A room is *open* on a side when it has sent its own probe and seen the other's; its channel number is the
//! number of the dialer's probe. Rooms added later are probed then. What the other side learns: how many rooms we
//! have, and which of its own.
//!
//! Bounds: [`MAX_PROBES`] from each side, then further ones are a misbehaviour; a hello within [`HELLO_TIMEOUT_MS`].
//! The link does not judge what is inside the frames of a room.

use std::collections::HashMap;

use parlor_crypto::topic::{Connection, Side, TopicSecret};

use crate::ids::RoomId;
use crate::wire::{Blob, LIMITS_VERSION, LINK_VERSION, LinkFrame, MAX_PROBES};

use super::session::Misbehaviour;

/// A connection whose other end said no hello for this long is dropped.
pub const HELLO_TIMEOUT_MS: u64 = 10_000;

/// What a link is made of.
#[derive(Debug, Clone)]
pub struct LinkSetup {
    /// Our end.
    pub side: Side,
    /// Bytes of our transport peer id.
    pub our_peer: Vec<u8>,
    /// Bytes of the other end's transport peer id, as the transport proved it.
    pub their_peer: Vec<u8>,
    /// Fresh random bytes.
    pub nonce: [u8; 32],
}

/// What a link is told.
#[derive(Debug)]
pub enum LinkIn<'a> {
    /// A frame arrived.
    Frame(&'a [u8]),
    /// We have this room: offer it. Telling it twice changes nothing.
    AddRoom {
        /// Room.
        room: RoomId,
        /// Its topic secret.
        topic_secret: &'a TopicSecret,
    },
    /// We no longer sync this room.
    RemoveRoom {
        /// Room.
        room: RoomId,
    },
    /// Time passed.
    Tick,
}

/// What a link wants done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum LinkOut {
    /// Put this frame on the stream.
    Send(Vec<u8>),
    /// Both sides have this room: start a session for it.
    Opened {
        /// Room.
        room: RoomId,
        /// Its channel, for [`PeerLink::wrap`].
        channel: u16,
        /// Names this connection: goes into [`super::SessionSetup`].
        connection: Connection,
        /// Version that both ends speak.
        version: u16,
    },
    /// A frame for the session of this room.
    Frame {
        /// Room.
        room: RoomId,
        /// An encoded [`crate::wire::RoomFrame`].
        bytes: Vec<u8>,
    },
    /// The other side stopped syncing this room: drop its session.
    Closed {
        /// Room.
        room: RoomId,
    },
    /// The other end broke a rule: close the connection and lower its score.
    Misbehaved(Misbehaviour),
}

/// The machine of one connection. See the module's page.
pub struct PeerLink {
    setup: LinkSetup,
    hello_deadline: Option<u64>,
    connection: Option<Connection>,
    version: u16,
    rooms: Vec<Offered>,
    theirs: HashMap<[u8; 16], u16>,
    n_sent: usize,
    n_received: usize,
    open: HashMap<u16, RoomId>,
    failed: bool,
}

/// A room of ours on this connection.
struct Offered {
    room: RoomId,
    topic_secret: TopicSecret,
    /// What the other side's probe for it is.
    expected: [u8; 16],
    /// Number of our own probe for it, `None` before the hello or when no number is left.
    index: Option<u16>,
    channel: Option<u16>,
}

impl PeerLink {
    /// Starts a link; the outputs hold the hello. Rooms are told by [`LinkIn::AddRoom`], at any time.
    pub fn start(setup: LinkSetup, now_ms: u64) -> (Self, Vec<LinkOut>) {
        let hello = LinkFrame::Hello { version: LINK_VERSION, limits: LIMITS_VERSION, nonce: setup.nonce };
        let link = Self {
            setup,
            hello_deadline: Some(now_ms.saturating_add(HELLO_TIMEOUT_MS)),
            connection: None,
            version: LINK_VERSION,
            rooms: Vec::new(),
            theirs: HashMap::new(),
            n_sent: 0,
            n_received: 0,
            open: HashMap::new(),
            failed: false,
        };
        (link, vec![LinkOut::Send(hello.encode())])
    }

    /// Takes one input and says what to do. After a `Misbehaved` it stays silent.
    pub fn handle(&mut self, input: LinkIn<'_>, now_ms: u64) -> Vec<LinkOut> {
        let mut out = Vec::new();
        if self.failed {
            return out;
        }
        let done = match input {
            LinkIn::Frame(bytes) => self.on_frame(bytes, &mut out),
            LinkIn::AddRoom { room, topic_secret } => {
                self.add_room(room, topic_secret, &mut out);
                Ok(())
            }
            LinkIn::RemoveRoom { room } => {
                self.remove_room(room, &mut out);
                Ok(())
            }
            LinkIn::Tick if self.hello_deadline.is_some_and(|deadline| now_ms >= deadline) => {
                Err(Misbehaviour::Stalled)
            }
            LinkIn::Tick => Ok(()),
        };
        if let Err(reason) = done {
            self.failed = true;
            out.push(LinkOut::Misbehaved(reason));
        }
        out
    }

    /// When `Tick` is due next.
    pub fn next_deadline(&self) -> Option<u64> {
        self.hello_deadline.filter(|_| !self.failed)
    }

    /// The stream frame that carries `bytes` of the session with this channel.
    pub fn wrap(channel: u16, bytes: Vec<u8>) -> Vec<u8> {
        LinkFrame::Room { channel, bytes: Blob(bytes) }.encode()
    }

    /// Our end of the connection.
    pub fn side(&self) -> Side {
        self.setup.side
    }

    /// Rooms open on this connection.
    pub fn open_rooms(&self) -> impl Iterator<Item = RoomId> {
        self.open.values().copied()
    }

    fn on_frame(&mut self, bytes: &[u8], out: &mut Vec<LinkOut>) -> Result<(), Misbehaviour> {
        let frame = LinkFrame::decode(bytes).map_err(|_| Misbehaviour::Malformed)?;
        match (frame, self.connection.is_some()) {
            (LinkFrame::Hello { version, nonce, .. }, false) => self.on_hello(version, &nonce, out),
            (LinkFrame::Probes(probes), true) => self.on_probes(&probes, out),
            (LinkFrame::Room { channel, bytes }, true) => self.on_room(channel, bytes, out),
            (LinkFrame::Close { channel }, true) => {
                if let Some(room) = self.open.remove(&channel) {
                    out.push(LinkOut::Closed { room });
                }
                Ok(())
            }
            _ => Err(Misbehaviour::OutOfTurn),
        }
    }

    fn on_hello(&mut self, version: u16, nonce: &[u8; 32], out: &mut Vec<LinkOut>) -> Result<(), Misbehaviour> {
        if version == 0 {
            return Err(Misbehaviour::Version);
        }
        if *nonce == self.setup.nonce {
            return Err(Misbehaviour::Echo);
        }
        let LinkSetup { side, our_peer, their_peer, nonce: ours } = &self.setup;
        let connection = match side {
            Side::Dialer => Connection::new(ours, nonce, our_peer, their_peer),
            Side::Listener => Connection::new(nonce, ours, their_peer, our_peer),
        };
        self.version = version.min(LINK_VERSION);
        self.hello_deadline = None;
        let mut probes = Vec::new();
        for offered in &mut self.rooms {
            offered.expected = offered.topic_secret.probe(side.other(), &connection);
            if self.n_sent < MAX_PROBES {
                offered.index = u16::try_from(self.n_sent).ok();
                self.n_sent += 1;
                probes.push(offered.topic_secret.probe(*side, &connection));
            }
        }
        self.connection = Some(connection);
        if !probes.is_empty() {
            out.push(LinkOut::Send(LinkFrame::Probes(probes).encode()));
        }
        Ok(())
    }

    fn on_probes(&mut self, probes: &[[u8; 16]], out: &mut Vec<LinkOut>) -> Result<(), Misbehaviour> {
        for probe in probes {
            if self.n_received >= MAX_PROBES {
                return Err(Misbehaviour::TooMany);
            }
            let index = u16::try_from(self.n_received).map_err(|_| Misbehaviour::TooMany)?;
            self.n_received += 1;
            self.theirs.entry(*probe).or_insert(index);
        }
        for place in 0..self.rooms.len() {
            self.open_if_shared(place, out);
        }
        Ok(())
    }

    fn on_room(&mut self, channel: u16, bytes: Blob, out: &mut Vec<LinkOut>) -> Result<(), Misbehaviour> {
        if let Some(room) = self.open.get(&channel) {
            out.push(LinkOut::Frame { room: *room, bytes: bytes.0 });
            return Ok(());
        }
        // A channel that was open once: its last frames were under way when we closed it.
        let limit = if self.setup.side == Side::Dialer { self.n_sent } else { self.n_received };
        if usize::from(channel) < limit { Ok(()) } else { Err(Misbehaviour::UnknownChannel) }
    }

    fn add_room(&mut self, room: RoomId, topic_secret: &TopicSecret, out: &mut Vec<LinkOut>) {
        if self.rooms.iter().any(|offered| offered.room == room) {
            return;
        }
        let mut offered =
            Offered { room, topic_secret: topic_secret.clone(), expected: [0; 16], index: None, channel: None };
        let Some(connection) = &self.connection else {
            self.rooms.push(offered);
            return;
        };
        if self.n_sent >= MAX_PROBES {
            return;
        }
        offered.expected = topic_secret.probe(self.setup.side.other(), connection);
        offered.index = u16::try_from(self.n_sent).ok();
        self.n_sent += 1;
        let probe = topic_secret.probe(self.setup.side, connection);
        out.push(LinkOut::Send(LinkFrame::Probes(vec![probe]).encode()));
        self.rooms.push(offered);
        self.open_if_shared(self.rooms.len() - 1, out);
    }

    fn remove_room(&mut self, room: RoomId, out: &mut Vec<LinkOut>) {
        let Some(place) = self.rooms.iter().position(|offered| offered.room == room) else { return };
        let offered = self.rooms.swap_remove(place);
        if let Some(channel) = offered.channel
            && self.open.remove(&channel).is_some()
        {
            out.push(LinkOut::Send(LinkFrame::Close { channel }.encode()));
        }
        // A probe can be used once: coming back to the room needs the other side's next probe, thus a new connection.
        self.theirs.remove(&offered.expected);
    }

    fn open_if_shared(&mut self, place: usize, out: &mut Vec<LinkOut>) {
        let Some(offered) = self.rooms.get_mut(place) else { return };
        let (None, Some(ours)) = (offered.channel, offered.index) else { return };
        let Some(connection) = &self.connection else { return };
        let Some(theirs) = self.theirs.get(&offered.expected).copied() else { return };
        let channel = if self.setup.side == Side::Dialer { ours } else { theirs };
        offered.channel = Some(channel);
        self.open.insert(channel, offered.room);
        out.push(LinkOut::Opened {
            room: offered.room,
            channel,
            connection: connection.clone(),
            version: self.version,
        });
    }
}
