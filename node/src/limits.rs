//! Every bound of the node, each with its reason. Those of the HTTP server are in [`crate::http::limits`].

use std::time::Duration;

/// Bytes of events in one batch of several that were released together: a quarter of what the store takes.
pub(crate) const SPLIT_BYTES: usize = 1024 * 1024;
/// Wishes of clients that wait while a room may not write yet: a start takes seconds.
pub(crate) const HELD_WISHES_MAX: usize = 64;
/// Bytes of events up to which what a room begins with is one batch: with all that goes along with them the store takes it.
pub(crate) const WHOLE_BYTES: usize = 2 * SPLIT_BYTES;
/// Messages taken away at once whose time is over: one batch.
pub(crate) const FADE_AT_ONCE: usize = 256;
/// Commands that wait at a room worker. Peers' frames are among them: when it is full the network is read slower.
pub(crate) const WORKER_INBOX: usize = 256;
/// Most room workers: beyond four the one writer of the store is what limits.
pub(crate) const WORKERS_MAX: usize = 4;
/// Connected members of a room up to which own events are also pushed down every sync stream.
pub(crate) const SMALL_ROOM: usize = 8;
/// Members of one room that we stay connected to on our own account. With the connections that others keep to us every
/// room of any size is a well connected graph.
pub(crate) const KEPT_PER_ROOM: usize = 8;
/// Peers of one room that are remembered on members' word: the devices of the largest rooms and some that are gone.
pub(crate) const TOLD_PER_ROOM: usize = 4_096;
/// Peers of one room that are dialled at a time when nobody of it is connected: a member may have named thousands.
pub(crate) const SOUGHT_AT_ONCE: usize = 16;
/// Rooms for which the relays' DHT is asked at once: each question goes to several relays.
pub(crate) const FINDS_AT_ONCE: usize = 4;
/// Strangers that announced themselves for rooms of ours and are dialled in [`FOUND_TRIED_MS`]: a relay may name any number.
pub(crate) const FOUND_TRIED_MAX: usize = 256;
/// Those of them for one room: whoever knows the place of one does not keep the others from being searched for.
pub(crate) const FOUND_TRIED_ROOM: usize = 16;
/// Who turned out to be no member is not dialled again before.
pub(crate) const FOUND_TRIED_MS: u64 = 60 * 60 * 1_000;
/// Addresses remembered of a peer.
pub(crate) const ADDRESSES_PER_PEER: usize = 8;
/// Commits of one room that wait for the disk, from which on gossip is ignored: 4 MiB of the largest frames. Sync, which waits
/// for commits, brings what they held.
pub(crate) const GOSSIP_COMMITS_MAX: usize = 128;
/// Time for gossip to bring what a stream showed first: several heartbeats, in which it repairs itself.
pub(crate) const GOSSIP_PATIENCE_MS: u64 = 5_000;
/// A link is not dropped for silent gossip again before: a busy peer may publish less than it writes.
pub(crate) const MUTE_PAUSE_MS: u64 = 600_000;
/// Bytes of events read from the store in one go for republishing.
pub(crate) const REPUBLISH_BYTES: usize = 256 * 1024;
/// Pause between two looks at whether a member owes so much that it is asked for its newest page: each goes over all members.
pub(crate) const EARLY_LOOK_MS: u64 = 100;
/// Rooms that have early messages at once: 32 MiB of them at most.
pub(crate) const EARLY_ROOMS: usize = 128;
/// Messages opened in one go after a key came.
pub(crate) const OPEN_LATER_ROWS: usize = 256;
/// What waits for its keys and could not be read is read again after this long.
pub(crate) const OPEN_AGAIN_MS: u64 = 5_000;
/// Messages of a room that came after what stands behind them was read, known one by one: each has a place in what is stored at each
/// further one. Who has more of them sees that many.
pub(crate) const LATE_MAX: usize = 1_000;
/// Changes of settings that wait for the disk.
pub(crate) const SETTINGS_INBOX: usize = 16;
/// Notifications that wait for the desktop: more are not shown.
#[cfg(feature = "desktop")]
pub(crate) const DESKTOP_QUEUE: usize = 8;
/// Messages counted as unread at most: beyond, people read "many".
pub(crate) const UNREAD_MAX: u64 = 10_000;
/// Notes of a room's log told to windows for one batch, the last ones: who joins an old room reads its log from the history.
pub(crate) const NOTE_EVENTS: usize = 64;
/// Events with bad signatures that one sync session may bring. An honest peer brings some when their author signed badly and
/// a later event vouched for them; each costs a verification.
pub(crate) const BAD_COPIES_MAX: usize = 8_192;
/// After a change of a room could not be stored nothing is stored in it on our own account for this long: on a full disk
/// it would fail again at once.
pub(crate) const REST_MS: u64 = 5_000;
/// A room that we are out of is still asked for what came before, and its members dialled for it, for so long after the start or
/// after we came out; then only whoever comes to us gives it.
pub(crate) const PART_MS: u64 = 3_600_000;
/// Joins under way at once: each keeps a link's secret and a task.
pub(crate) const JOINS_MAX: usize = 64;
/// Devices of the own account that came and are remembered: a person has a handful, and who floods more is told of all the same.
pub(crate) const OWN_DEVICES_MAX: usize = 64;
/// How long it is told that a join ended which nobody waited for: who looks once a week hears of it.
pub(crate) const JOIN_TOLD_MS: u64 = 7 * 24 * 3_600 * 1_000;
/// Joins that ended of which that is told.
pub(crate) const JOINS_TOLD_MAX: usize = 16;
/// Webhooks of a home.
pub(crate) const WEBHOOKS_MAX: usize = 32;
/// Commands that wait at the webhooks service.
pub(crate) const WEBHOOKS_INBOX: usize = 16;
/// Longest address of a webhook, in bytes.
pub(crate) const WEBHOOK_URL_MAX: usize = 2_048;
/// Groups of the store for which places of changed messages are kept for a webhook whose receiver is away: some 10 MB.
pub(crate) const WEBHOOK_BEHIND: u64 = 100_000;
/// Groups after which the place of a webhook is written down to which nothing was delivered.
pub(crate) const WEBHOOK_NOTED: u64 = 1_024;
/// Changes that are counted to say how many messages wait.
pub(crate) const WEBHOOK_COUNTED: usize = 1_000;
/// Pause after a delivery that was not taken; it doubles
pub(crate) const WEBHOOK_FIRST_PAUSE_MS: u64 = 2_000;
/// up to this,
pub(crate) const WEBHOOK_LAST_PAUSE_MS: u64 = 3_600_000;
/// and after so much of it,
pub(crate) const WEBHOOK_GIVE_UP_MS: u64 = 5 * 24 * 3_600 * 1_000;
/// and so many tries in a row (two days of them), the webhook is disabled.
pub(crate) const WEBHOOK_GIVE_UP_TRIES: u32 = 50;
/// Changes that are looked at in one go to find the next delivery.
pub(crate) const WEBHOOK_PAGE: usize = 128;
/// Tries to read what changed, with doubling pauses, before the receiver is told that something lacks: some minutes.
pub(crate) const WEBHOOK_READS: u32 = 8;
/// How long a replaced secret signs beside the new one.
pub(crate) const WEBHOOK_OLD_SECRET_MS: u64 = 24 * 3_600 * 1_000;
/// Time of one delivery, from looking the host up to the head of the answer,
pub(crate) const WEBHOOK_TIME: Duration = Duration::from_secs(20);
/// of a connection to one address,
pub(crate) const WEBHOOK_CONNECT_TIME: Duration = Duration::from_secs(5);
/// and how many addresses of a host are tried.
pub(crate) const WEBHOOK_ADDRESSES: usize = 3;
/// Longest head of an answer.
pub(crate) const WEBHOOK_HEAD_MAX: usize = 16 * 1_024;
/// Bytes of messages of a backup that wait for earlier ones of their authors: only such as were written before logs stood there in
/// their order.
pub(crate) const BACKUP_WAITING: usize = 256 * 1024 * 1024;
/// Bytes of a backup that the page may hand over: many times what the longest history takes, and less than a film that was taken for one.
pub(crate) const BACKUP_TAKEN: u64 = 64 << 30;
/// Longest time in which nothing of it comes.
pub(crate) const BACKUP_IDLE: Duration = Duration::from_secs(30);
/// Rows of a backup that are read or written in one go.
pub(crate) const BACKUP_ROWS: usize = 512;
/// Pieces of a backup, of 64 KiB, that wait for who takes them,
pub(crate) const BACKUP_QUEUE: usize = 8;
/// and how long they do before it is given up: so long nobody else makes one.
pub(crate) const BACKUP_STALL: Duration = Duration::from_secs(120);
/// Groups of several contacts that are remembered, 1 KiB each: so that the same people asked again have the first chat.
pub(crate) const GROUPS_MAX: usize = 1_024;
/// Groups into which one contact brings us in a day without our word: people make some, a machine makes thousands.
pub(crate) const GROUPS_A_DAY: usize = 8;
/// Invitations into groups that wait for the user's word,
pub(crate) const GROUPS_ASKED_MAX: usize = 64;
/// and of those the ones of one account.
pub(crate) const GROUPS_ASKED_BY: usize = 8;
/// How long an invitation into a group lasts: as long as mailboxes keep it.
pub(crate) const GROUP_INVITE_MS: u64 = 30 * 24 * 3_600 * 1_000;
/// Joins into groups under way at once: a part of [`JOINS_MAX`], so that contacts do not keep the user from joining.
pub(crate) const GROUP_JOINS_MAX: usize = 8;
/// Of those the ones by invitations of one account: doors of his that do not open keep nobody else waiting.
pub(crate) const GROUP_JOINS_BY: usize = 2;
/// Invitations of one direct chat that are looked at in one go: each is a commit.
pub(crate) const GROUP_LOOKED: usize = 16;
/// Invitations of one direct chat that wait to be looked at: who writes more before that is a machine, and the rest is forgotten.
pub(crate) const GROUP_TOLD_MAX: usize = 256;
/// Commands that wait at the groups service.
pub(crate) const GROUPS_INBOX: usize = 16;
/// Digits of an id that a user must type at least: fewer are a slip more often than a choice.
pub(crate) const ID_PREFIX_MIN: usize = 4;
/// Requests to come in that one room keeps, answered with a no or not at all: an invite may be public.
pub(crate) const REQUESTS_MAX: usize = 256;
/// How long after a request to come in a member is told of another: he takes eight knocks at once from anybody, then one in two seconds,
/// and holds it against us when we ask more than once a second.
pub(crate) const PASS_ON_MS: u64 = 4000;
/// When a member who did not take it is told of a request again.
pub(crate) const PASS_AGAIN_MS: u64 = 60_000;
/// A request that nobody answers is forgotten after 30 days; who still wants in asks again.
pub(crate) const REQUEST_MS: u64 = 30 * 24 * 3600 * 1000;
/// How long a stop waits for commits and goodbyes.
pub(crate) const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Events in one blob of what waited: a reader takes it in at one go.
pub(crate) const STRETCH_EVENTS: usize = 32;
/// Bytes of events in such a blob. A lone message is a blob of its own.
pub(crate) const STRETCH_BYTES: usize = 16 * 1024;
/// Bytes of pages of rows that go into a mailbox with their Rotate: of some 5,000 devices, and half of what may wait at who reads them.
pub(crate) const STRETCH_PAGES_BYTES: usize = 512 * 1024;
/// Bytes of own events read from the store in one go for mailboxes.
pub(crate) const STRETCHES_BYTES: usize = 256 * 1024;
/// Stretches of own logs of one room on their way to mailboxes: enough for a line of a second's round trip.
pub(crate) const FEED_WINDOW: usize = 64;
/// A relay that can be reached and does not take what is put holds up the others for this long.
pub(crate) const FEED_PATIENCE_MS: u64 = 30_000;
/// Own messages that a relay new to a room is given: who lacks older ones has them from members.
pub(crate) const NEW_RELAY_MESSAGES: u64 = 1_000;
/// Blobs shown to a room at once, and their bytes: one batch of the store.
pub(crate) const INTAKE_BLOBS: usize = 32;
/// See [`INTAKE_BLOBS`].
pub(crate) const INTAKE_BYTES: usize = 128 * 1024;
/// How often a blob is shown in which something waits for what does not come: for some ten minutes.
pub(crate) const INTAKE_TRIES: u32 = 16;
/// When blobs are shown again that a room could not look at: its disk lags, or fails.
pub(crate) const INTAKE_PAUSE_MS: u64 = 2_000;
/// Bytes of such blobs of one room: a quarter of what the machine hands over before it rests.
pub(crate) const INTAKE_WAITING_BYTES: usize = 1024 * 1024;
/// Frames that wait for a relay: more than its window of requests, so only one that takes nothing fills it.
pub(crate) const LINE_FRAMES: usize = 1_024;
/// Frames of all relays that wait to be looked at; then lines are read slower.
pub(crate) const LINE_EVENTS: usize = 64;
/// What was read and put is remembered on disk this long after it changed: a crash before costs doing some of it again.
pub(crate) const MAIL_KEPT_MS: u64 = 1_000;
/// Shortest pause between two looks at what is due.
pub(crate) const MAIL_LOOK_MS: u64 = 100;
/// Our marker goes into mailboxes at most once in this time: each is a blob for a month.
pub(crate) const MARKER_EVERY_MS: u64 = 10_000;
/// Relays at which a reservation is kept.
pub(crate) const RESERVED_MAX: usize = 4;
/// Bytes of control events left for a newcomer: what a door's box holds, with room for others. In larger rooms he gets them from
/// members.
pub(crate) const SNAPSHOT_BYTES: usize = 2 * 1024 * 1024;
/// Members who are online together do not answer a knock at once: each waits for up to so long.
pub(crate) const KNOCK_SPREAD_MS: u64 = 2_000;
/// A knock that could not be answered is looked at again after this long.
pub(crate) const KNOCK_AGAIN_MS: u64 = 30_000;
/// How long a door rests of which nobody can look at a knock now, or that is knocked at too often: one may be answered after it.
pub(crate) const KNOCK_PAUSE_MS: u64 = 2_000;
/// The events for one newcomer at a door are on their way for so long before the next one's may take their place.
pub(crate) const SNAPSHOT_PATIENCE_MS: u64 = 60_000;
/// A door whose box is full is left no more events for so long.
pub(crate) const DOOR_FULL_MS: u64 = 60 * 60 * 1000;
/// Own events are put again this long after there was no room for them.
pub(crate) const FEED_PAUSE_MS: u64 = 5_000;
/// Commands that wait at the contacts service: strangers' letters are among them, and are dropped when it is full.
pub(crate) const CONTACTS_INBOX: usize = 64;
/// How long opening a direct chat waits for the contact key of somebody known from a room.
pub(crate) const CONTACT_KEY_WAIT: Duration = Duration::from_secs(10);
/// Relays at which an inbox is read, and of somebody else's in which a letter is put: one of them is enough.
pub(crate) const CONTACT_RELAYS: usize = 4;
/// Inboxes of others that are open at once for a letter on its way: each may keep a line for a while.
pub(crate) const LETTERS_MAILED: usize = 64;

/// Searches that read the index at once, and those that wait for them: each takes milliseconds.
pub(crate) const SEARCHES: usize = 2;
/// See [`SEARCHES`].
pub(crate) const SEARCHES_WAITING: usize = 16;
/// Messages that the index looks at in one go: a turn of their room's worker takes milliseconds.
pub(crate) const SEARCH_BATCH: usize = 256;
/// Characters of a message that are shown around what was found.
pub(crate) const SNIPPET_CHARS: usize = 160;

/// Events of one stretch of an export: some 600 KiB of the usual, at most 12 MiB.
pub(crate) const EXPORT_EVENTS: usize = 256;

/// Files fetched at once: each has a line to every source, of which a connection takes four.
pub(crate) const FETCHES: usize = 3;
/// Of these so many that nobody asked for: whatever comes by itself, what is asked for finds a place.
pub(crate) const FETCHES_UNWISHED: usize = 2;
/// Sources of one file at once.
pub(crate) const FETCH_SOURCES: usize = 8;
/// A file of which nobody connected has anything gives its place to another after this long.
pub(crate) const FILE_LONELY_MS: u64 = 20_000;
/// And is tried again after this long, or when another member of its room comes.
pub(crate) const FILE_AGAIN_MS: u64 = 2_000;
/// Each time it was tried in vain doubles that, so often at most: to a minute.
pub(crate) const FILE_TRIES_MAX: u32 = 5;
/// One of which no chunk came for so long, though somebody says to have it, gives its place to another that waits.
pub(crate) const FILE_STALLED_MS: u64 = 60_000;
/// One that nobody asked for is fetched no more when it did so often.
pub(crate) const FILE_STALLS: u32 = 5;
/// Parts of files that nobody asked for take at most so much: the oldest go, and are fetched no more.
pub(crate) const FILE_PARTS: u64 = 256 << 20;
/// Who does not know a file, or not us as a member yet, is asked again after this long; who lies, after ten times as long.
pub(crate) const FILE_REFUSED_MS: u64 = 3_000;
/// Windows and those who fetch the same are told how far a file came at most once in this time.
pub(crate) const FILE_PROGRESS_MS: u64 = 300;
/// A line that asks for nothing for so long is ended: a place for somebody else.
pub(crate) const FILE_LINE_IDLE: Duration = Duration::from_secs(60);
/// So many answers "no" one after the other end a line: who fetches ends it at the first.
pub(crate) const FILE_REFUSALS: u32 = 3;
/// Of the lines that the network serves, so many at most are of peers of whom no session proved that they share a room with us;
/// such a one has a room to prove or asks for what it never gets.
pub(crate) const FILE_STRANGERS: usize = 4;
/// A line of such a peer that asks for nothing for so long is ended.
pub(crate) const FILE_STRANGER_IDLE: Duration = Duration::from_secs(5);
/// Files of clients that are taken at once: each holds a MiB of chunks.
pub(crate) const FILE_UPLOADS: usize = 4;
/// A client that sends nothing of its file for so long is not waited for.
pub(crate) const FILE_BODY_IDLE: Duration = Duration::from_secs(30);
/// Files that were sealed and not sent, and for how long they are kept: a draft is sent within a week, or not. As many that were sent
/// are remembered for requests that are made again.
pub(crate) const UPLOADS_KEPT: usize = 256;
/// See [`UPLOADS_KEPT`].
pub(crate) const UPLOAD_KEPT_MS: u64 = 7 * 24 * 3600 * 1000;
/// A start removes no file that was written in so long a time before it, whatever names it: what is to go goes at a later one.
pub(crate) const FILE_SPARED_MS: u64 = 24 * 3600 * 1000;
/// Largest picture that is held whole to take out what it says beside the picture: that of a good camera.
pub(crate) const PICTURE_HELD: usize = 48 << 20;
/// Pictures up to so many bytes are fetched by themselves, unless the settings say otherwise.
pub(crate) const FILE_AUTO: u64 = 10 << 20;
/// Files of others take at most so much, unless the settings say otherwise.
pub(crate) const FILE_CACHE: u64 = 10 << 30;

/// Wishes about our own profile that wait: a window has one.
pub(crate) const PROFILES_INBOX: usize = 16;
/// Between two profiles that a room tells, and that it takes of one device: who changes four fields is told once or twice, and who
/// floods costs a commit in this time.
pub(crate) const PROFILE_EVERY_MS: u64 = 5_000;
/// A profile that says the same under newer keys is written once in this time, whoever comes and goes.
pub(crate) const PROFILE_AGAIN_MS: u64 = 60_000;
/// For each member a profile waits so much longer until it is written under newer keys, at most: not all write at once.
pub(crate) const PROFILE_SPREAD_MS: u64 = 250;
/// When somebody was seen last is told once in this time, and once in an hour in rooms of more than [`parlor_proto::marker::BIG_ROOM`] members.
pub(crate) const SEEN_EVERY_MS: u64 = 10 * 60 * 1_000;
/// See [`SEEN_EVERY_MS`].
pub(crate) const SEEN_EVERY_BIG_MS: u64 = 60 * 60 * 1_000;
/// Devices of a room whose profile waits to be taken, because they send one after the other: 1.6 MB with their pictures.
pub(crate) const PROFILES_WAITING: usize = 64;
