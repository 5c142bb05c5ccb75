//! Every bound of the local API, with its reason.

use std::time::Duration;

use parlor_proto::sync::ANSWER_MS;

/// Connections at once: many windows, bots and scripts of one user; more is a runaway script, and waits in the backlog.
pub const CONNECTIONS: usize = 256;

/// Time for the whole head of a request, also between two requests of a connection: a stalled client gives up its place.
pub const HEAD_TIME: Duration = Duration::from_secs(15);

/// Time for the whole body of a request: 4 MiB take milliseconds on loopback.
pub const BODY_TIME: Duration = Duration::from_secs(15);

/// Time in which a client must read at least something of what is written to it.
pub const WRITE_TIME: Duration = Duration::from_secs(30);

/// Time for a request that does not wait for other people. Longer than what is written waits for a member to say what it holds
/// of our logs ([`ANSWER_MS`]), so that it is answered and not given up a moment before.
pub const HANDLE_TIME: Duration = Duration::from_secs(45);
const _: () = assert!(HANDLE_TIME.as_millis() as u64 >= ANSWER_MS + 10_000);

/// Time for connections to finish once the node stops.
pub const STOP_TIME: Duration = Duration::from_secs(5);

/// Bytes of a head: a join link in a header is far below, and hyper refuses buffers below 8 KiB.
pub const HEAD_MAX: usize = 16 * 1024;

/// Bytes of a JSON body: the longest text with every byte escaped is six times as long.
pub const BODY_MAX: usize = 6 * parlor_api::TEXT_MAX + 8 * 1024;

/// Bytes of a JSON body with several messages.
pub const BATCH_BODY_MAX: usize = 4 << 20;

/// Bytes of a message that a client sends up a WebSocket.
pub const SOCKET_MESSAGE_MAX: usize = 4 * 1024;

/// Time between two pings of a WebSocket; a client silent for three of them is gone.
pub const SOCKET_PING: Duration = Duration::from_secs(20);

/// Life of a ticket that opens a WebSocket.
pub const TICKET_TIME: Duration = Duration::from_secs(30);

/// Streams of events at once for one token of a browser or a script: each holds one of [`CONNECTIONS`].
pub const FEEDS_EACH: usize = 16;

/// Tickets at once for one token: nobody takes those of others.
pub const TICKETS_EACH: usize = 8;

/// Tickets at once: a window needs one for each reconnect.
pub const TICKETS: usize = 64;

/// Life of a code that opens a session of a browser: until the browser has started.
pub const CODE_TIME: Duration = Duration::from_secs(60);

/// Codes at once: one is made for each window that is opened.
pub const CODES: usize = 16;

/// Longest life of a session.
pub const SESSION_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// A session that asks for nothing for so long is over: a laptop may sleep over a weekend.
pub const SESSION_IDLE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sessions at once: a window each.
pub const SESSIONS: usize = 32;

/// Characters kept of what a browser calls itself.
pub const AGENT_MAX: usize = 200;

/// Tokens of scripts.
pub const SCRIPT_TOKENS: usize = 64;

/// Bytes of the name of such a token.
pub const TOKEN_NAME_MAX: usize = 64;

/// Rooms that such a token is for; more is all.
pub const TOKEN_ROOMS: usize = 64;

/// Life of a signed link: a page of images loads in seconds, and a film is wound for minutes.
pub const LINK_TIME: Duration = Duration::from_secs(15 * 60);

/// Links signed in one request: two for each message of a page.
pub const LINKS_MAX: usize = 200;

/// Wrong passphrases that are answered at once.
pub const PASSPHRASE_FREE: u32 = 3;

/// Longest pause after a wrong passphrase; from a second on it doubles.
pub const PASSPHRASE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Wrong tokens in [`FAILURE_WINDOW`] after which wrong ones are answered 429: nobody guesses 256 bits, but a program
/// that tries should be slow and seen in the log.
pub const FAILURES: u32 = 20;

/// See [`FAILURES`].
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// Longest wait for the status of a message.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// Longest text of a QR code: more modules than a phone reads from a screen.
pub const QR_TEXT_MAX: usize = 1000;
