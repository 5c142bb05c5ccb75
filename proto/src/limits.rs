//! Every bound of this crate's rules, each with its reason.
//!
//! A bound that two nodes must agree on (what makes an event valid) is part of the protocol and never changes within
//! version 1; the others only bound what one node keeps in memory.

// What makes an event valid.

/// The version of the formats.
pub const VERSION: u8 = 1;
/// The cipher suite: Ed25519, DHKEM(X25519), HKDF-SHA256, ChaCha20-Poly1305, BLAKE3. Pinned by the genesis.
pub const SUITE: u8 = 1;
/// The version of the rules of a room. Pinned by the genesis.
pub const RULES: u8 = 1;
/// Longest header: eight parents and eight control heads of 32 bytes fill 512, the fixed fields about 250.
pub const MAX_HEADER: usize = 1_024;
/// Longest payload, so that a wrapped event stays below the 32 KiB of a gossip frame.
pub const MAX_PAYLOAD: usize = 24 * 1_024;
/// Longest event on the wire: length of the header, header, signature, payload.
pub const MAX_EVENT: usize = 2 + MAX_HEADER + 64 + MAX_PAYLOAD;
/// Most parents, and most control heads, in one header: more heads are joined by several events.
pub const MAX_PARENTS: usize = 8;
/// Most epochs that a Rotate builds on.
pub const MAX_EPOCH_PARENTS: usize = 4;
/// Most owners in a genesis: two are wise, eight are a board.
pub const MAX_OWNERS: usize = 8;
/// Longest device name, in bytes.
pub const MAX_DEVICE_NAME: usize = 64;
/// Longest name of a room, in bytes.
pub const MAX_ROOM_NAME: usize = 128;
/// Longest value of one room setting, in bytes.
pub const MAX_SETTING: usize = 4 * 1_024;
/// Most settings written by one State.
pub const MAX_WRITES: usize = 16;
/// Most devices of an account named in a fence.
pub const MAX_FENCE: usize = 64;
/// Most devices named in the fence of a removal: with 109 bytes each they fit a payload.
pub const MAX_REMOVE_FENCE: usize = 200;
/// Longest fence inside a DeviceRevoke: a room and two places in logs.
pub const MAX_REVOKE_FENCE: usize = 160;
/// Most devices of an account that are live at once, those that came first: each has a row in every epoch, so a room of
/// 4,096 accounts has an epoch whatever they do.
pub const MAX_DEVICES: usize = 16;
/// Most devices that one AccountUpdate brings and revokes.
pub const MAX_UPDATE_DEVICES: usize = 16;
/// Deepest delegation below an owner.
pub const MAX_DEPTH: u8 = 16;
/// A message log of which so many branches are proved beside the log itself is left out: far more than accidents with backups make.
pub const MAX_PROVED_BRANCHES: usize = 16;
/// Highest generation in a slice: 65,536 derivations cost some 20 ms, the most that one event can make a reader do.
pub const MAX_GEN: u32 = 65_535;
/// Highest slice of an epoch, for the same reason. An epoch that reaches it is replaced.
pub const MAX_SLICE: u32 = 65_535;
/// How many slices of an epoch may be begun beyond the last that an admission opened. A slice lasts a day and an epoch a week,
/// so whoever needs more is rare; and nobody uses up the slices of an epoch by naming the last one.
pub const SLICE_REACH: u32 = 16;
/// Rows in a page of an epoch: 705 bytes. A member needs one row, so small pages make what it fetches small.
pub const ROWS_PER_PAGE: usize = 8;
/// Pages named by a Rotate, or by a page above them: 640 bytes, as much as a page of rows.
pub const PAGE_FANOUT: usize = 16;
/// Up to this many rows travel in the Rotate itself: small rooms never fetch a page.
pub const INLINE_ROWS: usize = 64;
/// Most rows of an epoch: what three levels of pages above those of rows can name. Sealing them takes a minute.
pub const MAX_ROWS: usize = ROWS_PER_PAGE * PAGE_FANOUT * PAGE_FANOUT * PAGE_FANOUT * PAGE_FANOUT;
/// Rows sealed in one piece, which may run beside others: some 7 ms.
pub const ROWS_PER_JOB: usize = 64;
/// Highest sequence number: nobody writes so much, and sums of them never overflow.
pub const MAX_SEQ: u64 = u32::MAX as u64;

// Messages.

/// Longest text of a message in bytes: padding rounds a body up to 23 KiB at most, and 64 mentions take 2.
pub const MAX_TEXT: usize = 20 * 1_024;
/// Most mentions in a message.
pub const MAX_MENTIONS: usize = 64;
/// Fewest people of a group that contacts are invited into: with one other there is the direct chat.
pub const MIN_GROUP: usize = 3;
/// Most people of such a group, with who makes it: members watch the doors of so many invites (`asleep.md`).
pub const MAX_GROUP: usize = 32;
/// Longest link in an invitation into one, in bytes: as of every link.
pub const MAX_GROUP_LINK: usize = 400;
/// Longest emoji of a reaction in bytes: the longest in use, families and flags of regions, take 28 to 41.
pub const MAX_EMOJI: usize = 64;
/// Most characters of one.
pub const MAX_EMOJI_CHARS: usize = 16;
/// Longest question of a poll in bytes.
pub const MAX_QUESTION: usize = 2 * 1_024;
/// Fewest answers of a poll.
pub const MIN_OPTIONS: usize = 2;
/// Most answers of a poll: what a screen shows.
pub const MAX_OPTIONS: usize = 20;
/// Longest answer of a poll in bytes.
pub const MAX_OPTION: usize = 256;
/// Of the emoji that one account put on a message or took off, so many are remembered: those it touched last.
pub const MAX_REACTIONS: u8 = 32;
/// Of the edits of a message by one account, so many are remembered: the last.
pub const MAX_EDITS: u8 = 32;
/// Of the votes and pins of one account, and the deletions of one device, about one message: more than one, so that a later one
/// that does not count (its author was out by then) takes nothing away from the one before.
pub const MAX_REPEATED: u8 = 4;

// Files.

/// Largest file: 16,384 chunks.
pub const MAX_FILE: u64 = 4 * 1_024 * 1_024 * 1_024;
/// Most files of one message: with their previews and the longest caption they fit a payload.
pub const MAX_FILES: usize = 8;
/// Longest text beside files, in bytes.
pub const MAX_CAPTION: usize = 4 * 1_024;
/// Longest name of a file, in bytes: as much as a file system takes.
pub const MAX_FILE_NAME: usize = 255;
/// Longest media type of a file: the standard allows 127 for each half, none in use has more than 73.
pub const MAX_FILE_TYPE: usize = 100;
/// Longest preview of a picture, in bytes: a JPEG of 160 pixels.
pub const MAX_PREVIEW: usize = 3 * 1_024;
/// Longest previews of one message together, in bytes.
pub const MAX_PREVIEWS: usize = 12 * 1_024;
/// Chunks asked of one source and not come: 4 MiB fill 40 MB/s at 100 ms.
pub const ASKED_MAX: u32 = 16;
/// A source that gave nothing for so long, and was asked: what it was asked for is asked of others, too.
pub const SOURCE_PATIENCE_MS: u64 = 15_000;
/// So often a source may give nothing in that time before it is let go.
pub const SOURCE_STRIKES: u32 = 3;
/// A source that lacked so many chunks that it said to have, one after the other, is let go: what it had may have been removed
/// meanwhile, and it is asked anew some time later.
pub const SOURCE_LACKS: u32 = ASKED_MAX;
/// A source that has a part only is asked again what it has after this long.
pub const SOURCE_AGAIN_MS: u64 = 2_000;
/// Slots looked at to find the rarest: enough that two who fetch from a third get different ones.
pub const RAREST_OF: usize = 64;

// Time.

/// How far ahead of our clock an event may claim to be and still stand at its own place in the timeline.
pub const MAX_AHEAD_MS: u64 = 10 * 60 * 1_000;
/// A day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// An epoch is replaced after this time.
pub const EPOCH_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// An epoch is replaced after this many messages of one device in it.
pub const EPOCH_MESSAGES: u32 = 10_000;
/// In rooms that forget, whoever writes when a slice is this old begins the next one.
pub const SLICE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The key of a slice that ended is kept this long, for messages that come late.
pub const SLICE_GRACE_MS: u64 = 48 * 60 * 60 * 1_000;
/// Chains for late messages of a slice whose key is gone are kept this long: as long as leaf keys.
pub const LATE_KEPT_MS: u64 = LEAF_KEPT_MS;
/// Shortest life of a message that disappears.
pub const MIN_TTL_MS: u64 = 1_000;
/// Longest one: a setting beyond means this.
pub const MAX_TTL_MS: u64 = 366 * 24 * 60 * 60 * 1_000;
/// What came when it was over by its author's clock is kept this long, for a clock may be wrong and nobody has read it; for its own time
/// if that is shorter.
pub const FADING_GRACE_MS: u64 = 5 * 60 * 1_000;
/// How wrong a clock is at most that anybody uses: a time zone or a day. What was over before that is over.
pub const CLOCK_ERROR_MS: u64 = 24 * 60 * 60 * 1_000;
/// How often a room that forgets looks which slices began and which keys are to go.
pub const SLICE_LOOK_MS: u64 = 60 * 60 * 1_000;
/// A leaf key is replaced after this time.
pub const LEAF_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// The secret of a replaced leaf key is kept this long at most, for who has not heard of the new one.
pub const LEAF_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// A device makes at most one Rotate in this time that no missing epoch calls for.
pub const ROTATE_EVERY_MS: u64 = 60 * 60 * 1_000;
/// In a direct chat a device makes at most one in this time before what it writes: leaf keys of two or three devices change a few
/// times a week, and who says all the time that his did has others make no more.
pub const DIRECT_EVERY_MS: u64 = DAY_MS;
/// Removals of one device within this time share an epoch.
pub const REMOVALS_MS: u64 = 2_000;
/// The device elected first waits this long before it rotates, so that what is on its way can arrive.
pub const ELECTION_BASE_MS: u64 = 250;
/// Each further rank waits this much longer.
pub const ELECTION_STEP_MS: u64 = 200;
/// The same for each device before it that is connected and may do it: what it makes is under way for as long as a slow machine
/// takes to seal, store and send it.
pub const ELECTION_CONNECTED_STEP_MS: u64 = 1_000;
/// Whoever is elected waits at most this long, since no epoch was safe, until it holds the same control events as those it is
/// connected to: 50 nodes that start at once on a busy machine take 17 s. A peer that is silent, or lies about what it holds,
/// holds up an epoch for this time and no longer. Meanwhile nobody writes under an unsafe epoch, and who wants to write makes
/// one at once.
pub const ELECTION_APART_MS: u64 = 30_000;
/// An account is waited for that long in all within this time, an hour: who never says that it is equal holds up one epoch and not
/// the next ones.
pub const PATIENCE_MS: u64 = 60 * 60 * 1_000;
/// So long anybody is waited for within that time, whoever it is: several reunions of a whole room.
pub const PATIENCE_ALL_MS: u64 = 120_000;
/// New control heads draw lots anew for this long since they were drawn first: what several heard of at about the same time. Who
/// writes something all the time puts nobody off for longer.
pub const ELECTION_ANEW_MS: u64 = 10_000;
/// Nobody waits longer than this for those before it.
pub const ELECTION_MAX_MS: u64 = 60_000;
/// A page that does not come for this time is not waited for alone: the key is asked for as well.
pub const PAGE_WAIT_MS: u64 = 10_000;
/// A key that nobody could give for this time is complained of.
pub const COMPLAIN_MS: u64 = 30_000;
/// So many complaints about an epoch say enough.
pub const MAX_COMPLAINTS: usize = 3;
/// How long a member waits for a row or page before it asks everybody and may rotate itself.
pub const ROW_WAIT_MS: u64 = 60_000;

/// The same if the row came and is wrong, and nobody without the key can write: somebody who has it may still give it.
pub const WRONG_ROW_WAIT_MS: u64 = 5_000;

// Memory.

/// Most control events with missing ancestors kept in a room.
pub const MAX_PENDING: usize = 1_000;
/// Most of them from one device.
pub const MAX_PENDING_PER_DEVICE: usize = 256;
/// Most bytes of events that wait.
pub const MAX_PENDING_BYTES: usize = 4 * 1_024 * 1_024;
/// Most messages that wait for earlier ones of their log or for control events.
pub const MAX_WAITING: usize = 1_000;
/// Most of them from one device.
pub const MAX_WAITING_PER_DEVICE: usize = 256;
/// Most message parents remembered as missing.
pub const MAX_MISSING_PARENTS: usize = 1_024;
/// Most events that wait, of each sort, of devices that nobody knows here: somebody just let in, or made up.
pub const MAX_WAITING_STRANGE: usize = 128;
/// Recent messages remembered by id, to find parents without asking the store.
pub const RECENT_MESSAGES: usize = 8_192;
/// Whoever lacks so many messages of a room asks for its newest page: fewer come in two batches of sync.
pub const EARLY_FROM: u64 = 256;
/// Lines of a newest page: two screens.
pub const NEWEST_LINES: usize = 128;
/// Most early messages of a room, with what is said about them,
pub const MAX_EARLY: usize = 512;
/// of one device: what is heard of one who talks a lot leaves place for the page,
pub const MAX_EARLY_OF_DEVICE: usize = 256;
/// and their bytes: a page, and as much again that is heard while the log comes.
pub const MAX_EARLY_BYTES: usize = 256 * 1_024;
/// Early messages of a room of which it is remembered when they disappear.
pub const MAX_EARLY_ENDS: usize = 2_048;
/// How long an early message is kept that no log reaches.
pub const EARLY_KEPT_MS: u64 = 24 * 3_600_000;
/// Most steps of chains of keys to open what comes early, in [`EARLY_REFILL_MS`]: 50 ms. Nobody has checked a generation that comes early.
pub const MAX_EARLY_STEPS: u32 = 262_144;
/// Most of them for messages of one device: those of others can be opened all the same.
pub const MAX_EARLY_STEPS_OF_DEVICE: u32 = 65_536;
/// Most views that are worked out for it in that time: who talks to each other knows nearly the same control events.
pub const MAX_EARLY_VIEWS: usize = 32;
/// In this time.
pub const EARLY_REFILL_MS: u64 = 60_000;
/// Most bytes that are stored as one value: what a room keeps beside its events in one row stays below it, whatever its members write.
pub const MAX_VALUE: usize = 256 * 1024;
/// Messages that nothing is built on which are remembered, the latest: 16 KiB.
pub const MAX_HEADS: usize = 512;
/// Most paths of all forked message logs of a room, a device's own one counted: 90 KiB.
pub const MAX_PATHS: usize = 768;
/// Most branches kept of one message log beside the log itself, while it is not left out ([`MAX_PROVED_BRANCHES`]): 30 KiB of memory,
/// written with every message.
pub const MAX_BRANCHES: usize = 256;
/// Sender chains kept at the place they have reached.
pub const MAX_CHAINS: usize = 512;
/// Most devices of an epoch for each of which chains for late messages are kept; in larger rooms none are.
pub const MAX_LATE_DEVICES: usize = 256;
/// Of the slices that end at once: so many of the first and of the last are kept of each device.
pub const LATE_SLICES: u32 = 8;
/// How many slices further somebody may have written who was away when an epoch was replaced: a week of days.
pub const LATE_AHEAD: u32 = 7;
/// Most chains for late messages in a room, which may be all of one epoch: 225 KiB.
pub const MAX_LATE_CHAINS: usize = 3_072;
/// Slice keys kept beside the first of their epoch.
pub const MAX_SLICE_KEYS: usize = 256;
/// Sets of control heads whose past is kept worked out.
pub const MAX_CONTEXTS: usize = 64;
/// How often one device lets in one account, or gives it roles that nobody takes away: each is looked at and ended by itself.
pub const MAX_SAME: usize = 64;
/// How often all devices of one account that are not revoked let in one account.
pub const MAX_SAME_OF_ACCOUNT: usize = 4 * MAX_SAME;
/// Most control events of a former member, that whoever removed it did not know, taken from others than members: what it wrote
/// before it heard of its removal is less.
pub const MAX_FORMER_EVENTS: usize = 64;
/// Most messages of a device of a former member, or of a revoked one, beyond what the fences of its end say, that are taken from
/// others than members.
pub const MAX_FORMER_MESSAGES: u64 = 256;
/// Most messages of a device that was never in, for whoever let it in had no right to, that are taken from others than members.
pub const MAX_VOID_MESSAGES: u64 = 16;
/// Views of the control events kept resolved beside that of all.
pub const MAX_VIEWS: usize = 8;
/// Most events by which a resolved view grows step by step; for more it is resolved anew.
pub const MAX_GROWTH: usize = 512;
/// Most epoch keys in a Welcome; older ones are asked for one by one.
pub const MAX_WELCOME_KEYS: usize = 256;
/// Most tokens of mentions in one text that are shown as names.
pub const MAX_SHOWN_MENTIONS: usize = 256;
/// Longest Welcome in bytes.
pub const MAX_WELCOME: usize = 32 * 1_024;

// Orphans: who was let in by somebody who made that void.

/// Most of them that a node lets in anew in [`ORPHANS_MS`].
pub const MAX_ORPHANS: usize = 16;
/// In what time it lets in so many.
pub const ORPHANS_MS: u64 = 60 * 1_000;

// Instant invites.

/// Most people that an instant invite is for: each has a guest, with a row in every epoch.
pub const MAX_GUESTS: u32 = 8;
/// Longest time of an instant invite: a relay keeps what is at its door for as long.
pub const INSTANT_MS: u64 = 30 * DAY_MS;
/// Longest package at the door of an instant invite, in bytes: with its seals and padding it takes less than three quarters of
/// what a door holds, so knocks find room too.
pub const MAX_PACKAGE: usize = 2 * 1_024 * 1_024;
/// Most bytes that somebody who enters by an instant invite holds of what was written since, to look at it as another guest.
pub const MAX_ENTERING: usize = 16 * 1_024 * 1_024;
/// The maker of an instant invite puts out a guest that is not needed any more after this long, once a mailbox was read to its
/// end: nobody is put out who came in by that guest meanwhile.
pub const GUEST_GRACE_MS: u64 = 60 * 1_000;
/// Others who may do it after this long, if the maker does not.
pub const GUEST_OTHERS_MS: u64 = 60 * 60 * 1_000;
/// Whoever could read no mailbox of the room waits this long: somebody may have come in whom it does not know.
pub const GUEST_UNREAD_MS: u64 = DAY_MS;

// Profiles.

/// Longest name of a profile, in bytes: as long as that of a device.
pub const MAX_PROFILE_NAME: usize = MAX_DEVICE_NAME;
/// Longest text about oneself, in bytes.
pub const MAX_ABOUT: usize = 512;
/// Most lines of it.
pub const MAX_ABOUT_LINES: usize = 8;
/// Longest picture, in bytes: a JPEG of 256 pixels in good quality. All pictures of a room of 200 are 5 MB.
pub const MAX_PORTRAIT: usize = 24 * 1_024;
/// Longest opened profile, in bytes: both texts, four stamps, a picture's hash and key.
pub const MAX_PROFILE_CONTENT: usize = 1 + MAX_PROFILE_NAME + MAX_ABOUT + 64 + 4 * 9 + 16;
/// When somebody was seen last is rounded down to this: a quarter of an hour would be late, a minute would follow him about.
pub const SEEN_ROUND_MS: u64 = 10 * 60 * 1_000;
