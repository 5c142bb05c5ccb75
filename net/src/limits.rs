//! Every bound of the network, with its reason.
//!
//! Values that two nodes must share are part of [`LIMITS_VERSION`]: a node refuses a peer whose hello shows another
//! version, because a peer with smaller limits goes silently deaf (libp2p finding 3.1).

use std::time::Duration;

/// Version of the limits that both ends must share: gossip frame and control sizes, topic count, frame size. Raise it with
/// any of them.
pub const LIMITS_VERSION: u16 = 1;

/// Largest gossip payload in bytes. Well below [`GOSSIP_TRANSMIT_MAX`], because the receiver's limit also counts up to
/// 8 KiB of read-ahead, the topic and the envelope (libp2p finding 3.2).
pub const GOSSIP_PAYLOAD_MAX: usize = 32 * 1024;
/// Largest gossipsub RPC in bytes.
pub const GOSSIP_TRANSMIT_MAX: usize = 256 * 1024;
/// Largest control part of a gossipsub RPC in bytes. It holds the hello with all topics (1,000 x about 48 bytes) and the
/// IHAVE of five heartbeats (5,000 x 22 bytes), see libp2p findings 3.3 and 3.5.
pub const GOSSIP_CONTROL_MAX: usize = 128 * 1024;
/// Message ids in one IHAVE: 22 bytes each.
pub const GOSSIP_IDS_MAX: usize = 5000;
/// Topics a node may subscribe to, and a peer may announce.
pub const TOPICS_MAX: usize = 1000;
/// Longest topic name in bytes: 32 characters of base32 are 20 bytes of hash.
pub const TOPIC_NAME_MAX: usize = 40;
/// Gossip messages queued for one peer inside gossipsub.
pub const GOSSIP_QUEUE: usize = 2000;
/// Own publishes a second, sustained. IHAVE of one topic stays below [`GOSSIP_CONTROL_MAX`] up to about 1,100 a second.
pub const PUBLISH_RATE: u32 = 1000;
/// Own publishes in one burst: gossipsub's queue of one peer.
pub const PUBLISH_BURST: u32 = GOSSIP_QUEUE as u32;
/// Own published bytes a second, sustained; with [`PUBLISH_BURST_BYTES`] it bounds what the queues of slow peers can hold.
pub const PUBLISH_BYTE_RATE: u32 = 4 * 1024 * 1024;
/// Own published bytes in one burst.
pub const PUBLISH_BURST_BYTES: u32 = 16 * 1024 * 1024;
/// Gossip messages a second taken from one neighbour; the rest is ignored and left to sync. Twice the publishing rate,
/// because a neighbour also forwards what others wrote.
pub const GOSSIP_PEER_RATE: u32 = 2 * PUBLISH_RATE;
/// Gossip messages taken from one neighbour in one burst.
pub const GOSSIP_PEER_BURST: u32 = 2 * PUBLISH_BURST;
/// Topic joins and leaves of one peer a minute that are still reported; above it costs score. Four times a whole hello.
pub const TOPIC_CHANGES_PER_MINUTE: u32 = 4 * TOPICS_MAX as u32;

/// Largest sync frame in bytes: a batch of 128 KiB with room for headers, and the memory one peer can hold of ours.
pub const FRAME_MAX: usize = 256 * 1024;
/// Bytes of frames waiting for one peer. Above it the peer is disconnected: a lost frame would be a hole in a stream that
/// both ends believe whole. Sixteen full windows of sync (8 batches of 128 KiB).
pub const SEND_QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Frames waiting for one peer: bounds the overhead of tiny ones.
pub const SEND_QUEUE_FRAMES: usize = 4096;
/// Above this many waiting bytes [`crate::NetworkEvent::Congested`] asks to hold back.
pub const SEND_CONGESTED_BYTES: usize = SEND_QUEUE_BYTES / 4;
/// Below this many waiting bytes the congestion is reported as over.
pub const SEND_RELAXED_BYTES: usize = SEND_QUEUE_BYTES / 16;
/// Bytes of frames waiting for all peers together.
pub const SEND_TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// Received frames waiting in the network task's inbox for all peers together (8 MiB of the largest). Each stream holds
/// one more while it waits for a place; places are given in the order of asking, so no peer takes another's turn.
pub const STREAM_INBOX: usize = 32;
/// Time to move one whole frame, read or written, once its first byte is there: 256 KiB at 4 KiB/s.
pub const FRAME_DEADLINE: Duration = Duration::from_secs(60);
/// Time for both hellos of a new sync stream, and from a new connection to its first sync stream.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(10);

/// Largest request in bytes on `/parlor/join/1`.
pub const REQUEST_MAX: usize = 16 * 1024;
/// Largest answer in bytes on `/parlor/join/1`.
pub const RESPONSE_MAX: usize = 64 * 1024;
/// Time for a request with its answer.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(20);
/// Requests in flight on one connection, each way.
pub const REQUEST_STREAMS: usize = 8;
/// Inbound requests waiting for the node's answer, over all peers; more are refused.
pub const REQUESTS_WAITING: usize = 64;
/// Our own requests in flight, over all peers.
pub const REQUESTS_ASKED: usize = 256;
/// Inbound requests taken from one peer in one burst.
pub const REQUEST_BURST: u32 = 10;
/// Inbound requests taken from one peer a second, sustained; the rest is refused and costs score.
pub const REQUEST_RATE: u32 = 1;

/// Commands waiting for the network task. The task never waits for anything else, so this is short.
pub const COMMAND_QUEUE: usize = 1024;
/// Events waiting in the channel to the node: 32 MiB of the largest frames.
pub const EVENT_QUEUE: usize = 128;
/// Events waiting in the network task, when the channel is full, from which on frames wait in their streams, which slows
/// their senders down.
pub const OUTBOX_FRAMES: usize = 16;
/// Events waiting in the network task from which on gossip is ignored and requests are refused: 64 MiB of the largest
/// gossip, a burst of thousands of usual messages.
pub const OUTBOX_GOSSIP: usize = 2048;
/// Events waiting in the network task at which it stops reading the network at all: the node hangs.
pub const OUTBOX_HARD: usize = 8192;

/// Connections of one peer: one relayed, two direct, one spare while they are being sorted out.
pub const CONNECTIONS_PER_PEER: u32 = 4;
/// Established inbound connections.
pub const CONNECTIONS_IN: u32 = 300;
/// Established outbound connections.
pub const CONNECTIONS_OUT: u32 = 150;
/// Inbound connections that are still shaking hands.
pub const CONNECTIONS_PENDING_IN: u32 = 64;
/// Inbound connections from one source (an IPv4 address, an IPv6 /64) that are still shaking hands: a quarter of all, so that
/// one slow source leaves room for others.
pub const SOURCE_PENDING: usize = 16;
/// Inbound connections from one source in one burst: a shared address of many users that all come back at once.
pub const SOURCE_BURST: u32 = 60;
/// Inbound connections from one source a second, sustained. A handshake costs about 2 ms.
pub const SOURCE_RATE: u32 = 4;
/// Sources that are remembered.
pub const SOURCES_MAX: usize = 4096;
/// Streams that a peer may have open on one connection: what all protocols need together is 25. Each can hold 256 KiB unread.
pub const STREAMS_MAX: u32 = 64;
/// Streams of one connection whose protocol is still being settled.
pub const STREAMS_NEGOTIATING: usize = 32;
/// Unread bytes of one QUIC stream: 50 MB/s at 80 ms round trip.
pub const QUIC_STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Unread bytes of all streams of one QUIC connection.
pub const QUIC_CONNECTION_WINDOW: u32 = 6 * 1024 * 1024;
/// An idle QUIC connection sends a packet each time this has passed: address translators forget UDP after 30 s and more. libp2p's
/// 5 s would cost an idle node with 20 peers a megabyte an hour.
pub const QUIC_KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A QUIC connection on which nothing came for so long is over: two lost packets are no reason.
pub const QUIC_IDLE: Duration = Duration::from_secs(50);
/// Resident memory of the process, in bytes, above which new connections are refused.
pub const MEMORY_MAX: usize = 2 * 1024 * 1024 * 1024;
/// Time for a connection to be set up, all handshakes included.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Time a connection may take to say goodbye. A dead TCP peer with full socket buffers would otherwise hold the close, and
/// with it gossipsub's stale picture of the peer, for the system's quarter of an hour.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);
/// Time after which a connection without any stream is closed.
pub const IDLE_DEADLINE: Duration = Duration::from_secs(60);
/// Time the deciding side has to close a surplus connection before the other side does.
pub const SURPLUS_GRACE: Duration = Duration::from_secs(10);
/// Nothing was heard for so long of a peer to whom something was sent since: it is pinged.
pub const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Nothing was heard or sent for so long: the peer that leads pings, and if it does not, after twice the time the other. A ping
/// costs 244 bytes (Yamux measures its round trip by it, too): 20 idle peers then cost 117 kB an hour. Below what most address
/// translators remember of a TCP connection.
pub const PING_IDLE: Duration = Duration::from_secs(150);
/// A peer is asked again who it is: what changes it tells by itself. The library's five minutes cost 20 idle peers 310 kB an hour.
pub const IDENTIFY_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// Time for the answer to a ping. The second unanswered ping closes the connection.
pub const PING_DEADLINE: Duration = Duration::from_secs(10);

/// Peers that are kept connected.
pub const KEPT_MAX: usize = 1024;
/// Addresses of one kept or dialled peer.
pub const ADDRESSES_MAX: usize = 16;
/// First pause before a redial.
pub const REDIAL_FIRST: Duration = Duration::from_millis(500);
/// Longest pause before a redial.
pub const REDIAL_LAST: Duration = Duration::from_secs(120);
/// A peer that was up for so long starts again with the shortest pause.
pub const STABLE_AFTER: Duration = Duration::from_secs(10);
/// Dials started in one housekeeping turn, so that a thousand kept peers are not dialled in one instant.
pub const DIALS_PER_TURN: usize = 16;
/// Period of housekeeping: redials, deadlines, ends of bans.
pub const HOUSEKEEPING: Duration = Duration::from_millis(250);

/// Score at which a peer is banned.
pub const BAN_AT: u32 = 100;
/// Score forgiven each minute.
pub const FORGIVEN_PER_MINUTE: u32 = 10;
/// Length of a ban. Identities are free, so a longer one would only cost memory.
pub const BAN_FOR: Duration = Duration::from_secs(600);
/// Peers with a score or a ban that are remembered; the one with the lowest score is forgotten first.
pub const SCORES_MAX: usize = 4096;
/// Weight of one rejected gossip message.
pub const WEIGHT_REJECT: u32 = 10;
/// Weight of a sync stream that breaks its framing or its hello.
pub const WEIGHT_MALFORMED: u32 = 50;
/// Weight of going over a rate.
pub const WEIGHT_FLOOD: u32 = 5;
/// Weight of a frame or a hello that did not come in time.
pub const WEIGHT_STALLED: u32 = 10;

/// Time for the last goodbyes at shutdown.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(3);

/// Largest frame of a line in bytes: the largest blob of a mailbox with its surroundings is 68 KiB.
pub const LINE_FRAME_MAX: usize = 72 * 1024;
/// Frames waiting in each direction of a line. Eight of the largest are 0.6 MiB, and a push of small ones passes at once.
pub const LINE_QUEUE: usize = 8;
/// Largest frame of a line that carries files, in bytes: a sealed chunk of 256 KiB with its number.
pub const BLOB_FRAME_MAX: usize = 256 * 1024 + 21;
/// Frames waiting in each direction of such a line: with the one being moved three quarters of a MiB.
pub const BLOB_QUEUE: usize = 2;
/// Lines of other nodes that a node serves at once, over all connections: 24 MiB of waiting chunks. More are dropped, and
/// their openers ask others, or again.
pub const LINES_SERVED: usize = 32;
/// Bytes of waiting frames written together.
pub const LINE_BURST: usize = 64 * 1024;
/// Lines that are taken on one connection. Of a relay: a mailbox, a directory, and the same once more while a client restarts
/// them. Of a node: one for each file that the other fetches.
pub const LINES_PER_CONNECTION: usize = 4;
/// Lines that a node opened, or is opening, two of them files and the others to relays: two kinds to four relays a room in 16 rooms with relays of their own.
pub const LINES_OPEN: usize = 128;
/// Time for a line to stand, with the connection that it needs.
pub const LINE_OPEN_DEADLINE: Duration = Duration::from_secs(20);

/// Relays at which a node keeps reservations. Each is one idle connection; with four, three may be down.
pub const RELAYS_MAX: usize = 4;
/// Time for the answer to a request for a reservation.
pub const RESERVE_DEADLINE: Duration = Duration::from_secs(20);

/// Keys that a node announces: a room's and an invite's each, in two periods.
pub const PROVIDED_MAX: usize = 4096;
/// A record of the DHT is forgotten by relays after so long: who left is listed no longer than that.
pub const PROVIDED_FOR: Duration = Duration::from_secs(2 * 3600);
/// A node announces again after so long: three may be lost.
pub const PROVIDE_AGAIN: Duration = Duration::from_secs(30 * 60);
/// Time for a question to the DHT.
pub const FIND_DEADLINE: Duration = Duration::from_secs(20);
/// Questions to the DHT at once.
pub const FINDS_ASKED: usize = 32;

/// Established connections of a relay. At some 65 kB each, 10,000 are 650 MB.
pub const RELAY_CONNECTIONS: u32 = 10_000;
/// Connections of a relay that are still shaking hands.
pub const RELAY_CONNECTIONS_PENDING: u32 = 512;
/// Established inbound connections of a relay from one source (an IPv4 address, an IPv6 /64): a school or an office behind one
/// address.
pub const RELAY_CONNECTIONS_PER_SOURCE: u32 = 512;
/// Connections of one peer at a relay: the old one of a client that came back, and a spare.
pub const RELAY_CONNECTIONS_PER_PEER: u32 = 3;
/// Streams that a peer may have open on one connection to a relay: four lines, circuits each way, and small questions.
pub const RELAY_STREAMS: usize = 64;
/// Streams that somebody opens on one connection to a relay in one burst, and a second: a node that announces all its keys opens 64 a
/// second.
pub const RELAY_STREAMS_PER_CONNECTION: (u32, u32) = (512, 64);
/// Streams that all connections of one source open at a relay in one burst, and a second: the first ones of an office of 200 nodes that
/// come back at once.
pub const RELAY_STREAMS_PER_SOURCE: (u32, u32) = (4_096, 256);
/// Sources whose streams are counted: more than a relay has connections.
pub const PACED_SOURCES_MAX: usize = 16_384;
/// Reservations of a relay: one for every connection.
pub const RELAY_RESERVATIONS: usize = RELAY_CONNECTIONS as usize;
/// A reservation is renewed at three quarters of this.
pub const RELAY_RESERVATION: Duration = Duration::from_secs(3600);
/// Circuits of a relay. Each holds two buffers of 8 KiB while it carries something.
pub const RELAY_CIRCUITS: usize = 4096;
/// Circuits that one peer asked for: to its rooms' members behind bad NATs.
pub const RELAY_CIRCUITS_PER_PEER: usize = 64;
/// Circuits that stand for those who asked from one source (an IPv4 address, an IPv6 /64): a sixteenth of all, so that one
/// address does not take what is there for those who have no other way.
pub const RELAY_CIRCUITS_PER_SOURCE: usize = 256;
/// A circuit lasts so long; nodes make another.
pub const RELAY_CIRCUIT: Duration = Duration::from_secs(24 * 3600);
/// Bytes of a circuit, both ways together; nodes make another. An open relay is no free tunnel, and weeks of chat fit.
pub const RELAY_CIRCUIT_BYTES: u64 = 256 * 1024 * 1024;
/// Reservations and circuits asked for by one peer in one burst, and a minute.
pub const RELAY_ASKS_PER_PEER: (u32, u32) = (60, 20);
/// Reservations and circuits asked for from one source in one burst, and a minute: a shared address of many users.
pub const RELAY_ASKS_PER_SOURCE: (u32, u32) = (600, 200);
/// Records that a relay keeps of the DHT.
pub const RELAY_RECORDS: usize = 200_000;
/// Records that a relay keeps of the peers of one source: an office of 200 with 40 rooms.
pub const RELAY_RECORDS_PER_SOURCE: usize = 16_384;
/// Records taken from one source in one burst, and a minute.
pub const RELAY_RECORDS_ASKED: (u32, u32) = (RELAY_RECORDS_PER_SOURCE as u32, 2_000);
/// Records that a relay keeps of one peer: the rooms and invites of a busy user, in two periods.
pub const RELAY_RECORDS_PER_PEER: usize = 2_048;
/// Providers that a relay keeps of one key: what an answer holds.
pub const RELAY_PROVIDERS: usize = 20;
/// Lines accepted and not yet taken by the program.
pub const RELAY_EVENTS: usize = 256;
/// A connection on which nothing came for so long is pinged by the relay.
pub const RELAY_SILENCE: Duration = Duration::from_secs(240);
/// Peers and sources that a relay may have banned or permitted.
pub const RELAY_LIST_MAX: usize = 100_000;
