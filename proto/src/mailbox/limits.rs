//! Every bound of the mailbox protocol, with its reason. Those of one side only may differ between versions.

// What both sides agree on.

/// Version of the protocol that this code speaks.
pub const VERSION: u16 = 1;
/// Shortest blob: a message of a line or two, with its header and seals, fits.
pub const MIN_BLOB: usize = 512;
/// Longest blob: two of the largest events, a page of epoch rows, or a Welcome fit.
pub const MAX_BLOB: usize = 64 * 1_024;
/// Longest blob in an inbox: papers and a greeting. Strangers put there.
pub const MAX_INBOX_BLOB: usize = 8 * 1_024;
/// Longest frame: a blob and what is around it, or the longest listing.
pub const MAX_FRAME: usize = MAX_BLOB + 4 * 1_024;
/// Entries in one listing: 24 KiB.
pub const MAX_LISTED: usize = 512;
/// Longest name of a relay: peer ids have 38 bytes.
pub const MAX_RELAY_ID: usize = 64;

// What a relay allows.

/// Requests of one line that wait for their answers. With the longest blobs 4 MiB a line.
pub const WINDOW: u16 = 64;
/// Boxes open on one line: a thousand rooms with their last epochs. Some 400 KiB at the relay when all are used.
pub const MAX_SLOTS: u16 = 4_096;
/// How long a blob is kept: who is away for longer gets what he missed from members.
pub const KEEP_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Blobs and bytes in the box of a slice of a room: a month of 500 messages a day, or of some busy days.
pub const ROOM_BLOBS: u64 = 16_384;
/// See [`ROOM_BLOBS`].
pub const ROOM_BYTES: u64 = 32 * 1_024 * 1_024;
/// Blobs and bytes in the door of an invite: requests, answers, and what an instant invite leaves there.
pub const DOOR_BLOBS: u64 = 1_024;
/// See [`DOOR_BLOBS`].
pub const DOOR_BYTES: u64 = 4 * 1_024 * 1_024;
/// Blobs and bytes in an inbox: more requests than anybody answers in a month.
pub const INBOX_BLOBS: u64 = 512;
/// See [`INBOX_BLOBS`].
pub const INBOX_BYTES: u64 = 1_024 * 1_024;

// What a client does.

/// Relays that a client uses at once: some for each room.
pub const MAX_RELAYS: usize = 64;
/// Relays of one box: each costs a copy of everything.
pub const MAX_BOX_RELAYS: usize = 4;
/// Boxes that a client has open, as many as a relay allows on a line.
pub const MAX_BOXES: usize = MAX_SLOTS as usize;
/// Bytes of blobs that a client has given to the machine and no relay has all of.
pub const MAX_PUT_BYTES: usize = 64 * 1_024 * 1_024;
/// Of these what any one box may have, whatever the others have: so what no relay of theirs takes keeps nothing of ours out of it.
pub const PUT_SHARE: usize = 256 * 1_024;
/// Blobs of one box at one relay that were listed and are not taken yet; listing rests until some are.
pub const MAX_PENDING: usize = 1_024;
/// Bytes of blobs that were handed over and are not taken yet; asking for more rests until some are.
pub const MAX_HANDED_BYTES: usize = 4 * 1_024 * 1_024;
/// Of these what any one box may have, whatever the others have: so what can not be taken of theirs keeps nobody from reading it.
pub const HANDED_SHARE: usize = MAX_BLOB;
/// Blobs that were listed and are not taken yet, over all boxes: some 16 MB. Reached only if relays make them up.
pub const MAX_WANTED: usize = 65_536;
/// Of these what any one box may have at any one relay, whatever the others have: so what relays make up in some boxes keeps nobody
/// from reading another.
pub const WANTED_SHARE: usize = 64;
/// Names of blobs that a client remembers having taken, for each box: other relays list them later.
pub const MAX_TAKEN: usize = 4_096;
/// Promises of a relay to keep our blobs in a box that we remember, to look whether it did.
pub const MAX_PROMISES: usize = 1_024;
/// A relay that does not answer for this long is not there.
pub const ANSWER_MS: u64 = 20_000;
/// An announced blob whose content another relay is pushing is waited for this long before it is asked for.
pub const PUSH_PATIENCE_MS: u64 = 1_000;
/// A put that was refused for now is tried again after this long, if the relay does not say.
pub const RETRY_MS: u64 = 60_000;
/// Longest pause that a relay can ask for.
pub const MAX_RETRY_MS: u64 = 60 * 60 * 1_000;
/// Lies on one line after which it is closed. One may be an accident of the relay's disk.
pub const MAX_LIES: u32 = 4;
/// First rest of a relay that lied, doubling.
pub const REST_MS: u64 = 60_000;
/// Longest rest.
pub const MAX_REST_MS: u64 = 6 * 60 * 60 * 1_000;
