//! Every bound of the relay program, with its reason. Those of its network are in [`parlor_net::limits`], those of the
//! mailbox protocol in [`parlor_proto::mailbox::limits`].

use std::time::Duration;

/// Bytes of all mailboxes, with what each blob takes beside on the disk: seven million messages of 512 bytes, a month of 4,700 people who write 50 a day.
pub const MAILBOX_BYTES: u64 = 20 * 1_024 * 1_024 * 1_024;
/// Bytes that one source may put at once: a node that comes back after a week offline, with its rooms' epochs.
pub const PUT_BYTES_AT_ONCE: u64 = 64 * 1_024 * 1_024;
/// Bytes that one source may put a day, sustained: an office of a hundred people behind one address.
pub const PUT_BYTES_PER_DAY: u64 = 256 * 1_024 * 1_024;
/// Requests that one source may make at once on its lines: opening and listing the boxes of a hundred rooms, for ten nodes.
pub const REQUESTS_BURST: u32 = 10_000;
/// Requests that one source may make a second, sustained.
pub const REQUESTS_PER_SECOND: u32 = 200;
/// Boxes that one source may make at once: the first start of a node with hundreds of rooms.
pub const BOXES_BURST: u32 = 2_000;
/// Boxes that one source may make a day, sustained: each slice of each room is one.
pub const BOXES_PER_DAY: u32 = 10_000;

/// Puts at the store at once, of whom there are turns: one line fills the window of the protocol, and a disk that syncs in 10 ms
/// still takes 6,400 a second.
pub const PUTS_AT_ONCE: usize = 64;
/// Puts at the store beyond those, of sources that have nothing else under way: all together fit the store's queue of 16 MiB.
pub const PUTS_BEYOND: usize = 160;
/// Bytes of puts that wait for their turn, shared out between the sources that wait: of one alone what it may put at once.
pub const PUTS_WAITING_BYTES: usize = 64 * 1_024 * 1_024;
/// Answers that refuse for a quota are given after this time at most, so that a flood is not answered as fast as it asks: a line
/// is refused as often a second as its window is wide. Less than a client waits for an answer.
pub const REFUSED_AFTER: Duration = Duration::from_secs(1);
/// Free bytes on the disk below which no mail is taken: names and bans can be written for longer.
pub const MAIL_RESERVE: u64 = 64 * 1_024 * 1_024;
/// Room below which the mailboxes are called full: what the longest blob takes.
pub const MAIL_FULL: u64 = 68 * 1_024;
/// Boxes of which is remembered that they are there: some 10 MB. To find out costs a walk of the box.
pub const BOXES_KNOWN: usize = 65_536;

/// Lines of all clients: two for each connection.
pub const LINES: usize = 20_000;
/// Lines from one source: as many as connections.
pub const LINES_PER_SOURCE: usize = 1_024;
/// Time in which a client must take a frame that is sent to it.
pub const SEND_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes that wait for a line beyond which nothing is read for it from the mailboxes: four of the longest blobs.
pub const UNSENT_BYTES: usize = 256 * 1_024;
/// Time after which a line of the directory on which nothing is asked is closed.
pub const DIRECTORY_REST: Duration = Duration::from_secs(120);
/// Time for the store to answer a request.
pub const STORE_DEADLINE: Duration = Duration::from_secs(20);
/// Time for a put to get its turn at the store: less than a client waits for an answer, so that it hears when to come again.
pub const TURN_DEADLINE: Duration = Duration::from_secs(5);
/// Time for lines to finish what they were asked once the relay stops.
pub const STOP_TIME: Duration = Duration::from_secs(5);

/// Names in all: a gigabyte of disk at the most, with usual cards.
pub const NAMES_MAX: u64 = 1_000_000;
/// New names from one source at once: a family.
pub const NAMES_BURST: u32 = 5;
/// New names from one source a day, sustained: one in ten minutes.
pub const NAMES_PER_DAY: u32 = 144;
/// New names from all sources at once.
pub const NAMES_TOTAL_BURST: u32 = 200;
/// New names from all sources a minute, sustained: a squatter with a thousand addresses gets 30,000 a day, and is seen.
pub const NAMES_TOTAL_PER_MINUTE: u32 = 20;
/// New cards and released names from one source at once.
pub const CHANGES_BURST: u32 = 20;
/// New cards and released names from one source a minute, sustained.
pub const CHANGES_PER_MINUTE: u32 = 1;
/// Look-ups from one source at once.
pub const LOOKUPS_BURST: u32 = 60;
/// Look-ups from one source a second, sustained: the names of a relay are not a list for everybody.
pub const LOOKUPS_PER_SECOND: u32 = 5;
/// Claims that wait for the directory. More are refused.
pub const BOOK_QUEUE: usize = 256;

/// Sources whose use is remembered: some 20 MB.
pub const SOURCES: usize = 65_536;
/// Wrong tokens from one source within [`WRONG_TOKENS_TIME`] after which its lines are refused.
pub const WRONG_TOKENS: u32 = 8;
/// See [`WRONG_TOKENS`].
pub const WRONG_TOKENS_TIME: Duration = Duration::from_secs(3_600);
/// A shown token lets a peer reserve and dial for so long; nodes show it on each connection.
pub const PERMIT_TIME: Duration = Duration::from_secs(24 * 3_600);

/// Bans that are kept.
pub const BANS: usize = 100_000;
/// Bytes of the reason of a ban.
pub const REASON_MAX: usize = 200;
/// How often bans that have ended are taken out, and expired blobs removed.
pub const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Open files that are kept from connections: stores, their logs when they are opened again, the operator's commands, metrics.
pub const FILES_RESERVED: u64 = 256;
/// Connections that shake hands at once, where the limit of open files leaves room for them.
pub const FILES_PENDING: u64 = parlor_net::limits::RELAY_CONNECTIONS_PENDING as u64;

/// Connections to the metrics address at once.
pub const HTTP_CONNECTIONS: usize = 32;
/// Time for the head of a request.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(5);
/// Time for a whole connection to the metrics address.
pub const HTTP_TIME: Duration = Duration::from_secs(30);
/// Bytes of a head.
pub const HTTP_HEAD: usize = 16 * 1_024;
/// How long an answer about the relay is good: several scrapes a second cost one look.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Free bytes on the disk below which the relay calls itself unwell.
pub const DISK_LOW: u64 = 64 * 1_024 * 1_024;

/// Connections to the admin socket at once.
pub const ADMIN_CONNECTIONS: usize = 8;
/// Bytes of a command on the admin socket.
pub const ADMIN_REQUEST: usize = 4 * 1_024;
/// Bytes of an answer on the admin socket: a page of names.
pub const ADMIN_ANSWER: usize = 4 * 1_024 * 1_024;
/// Time for a command on the admin socket, with its answer.
pub const ADMIN_TIME: Duration = Duration::from_secs(30);
/// Names or bans in one answer.
pub const ADMIN_PAGE: usize = 1_000;
