//! Epochs: who can read.
//!
//! A Rotate hands one secret to exactly the resolved members, a row of 88 bytes for each device, sealed to its leaf key.
//! Up to [`limits::INLINE_ROWS`] rows travel in the Rotate itself; more are cut into pages of [`limits::ROWS_PER_PAGE`]
//! under a tree of pages that name [`limits::PAGE_FANOUT`] pages each. All are named by their hash, and a member fetches those
//! on the way to its row. Here are the parts: rows and pages, the root
//! of the recipients, the Welcome, and who makes the next epoch. Which epoch is safe is decided in [`crate::room`].

use parlor_crypto::CryptoRng;
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::hash;
use parlor_crypto::hedge::Hedged;
use parlor_crypto::hpke::{self, RowContext, WelcomeContext};
use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::secret::{Secret, exposed};
use parlor_crypto::topic::TopicSecret;
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::control::{PageName, Row, Rows};
use crate::identity::Identity;
use crate::ids::{DeviceId, EpochId, EventId, RoomId};
use crate::limits;

/// What a newcomer is handed by its sponsor, sealed to its leaf key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// Names the topic, proves membership in sync.
    pub topic_secret: TopicSecret,
    /// How often the topic moved on.
    pub generation: u32,
    /// Keys of epochs by the history mode, ascending by epoch.
    pub keys: Vec<WelcomeKey>,
    /// The control events that nobody had built on, the Admit among them: what the newcomer must come to hold.
    pub frontier: Vec<EventId>,
}

/// The key of an epoch from one slice on. Checked against the epoch's commitment when its Rotate is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeKey {
    /// Which epoch.
    pub epoch: EpochId,
    /// From which slice on.
    pub slice: u32,
    /// The key of that slice.
    #[serde(with = "exposed")]
    pub key: Secret,
}

/// A Welcome that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WelcomeError {
    /// Sealed for another room, invite, device or leaf, or damaged.
    #[error("the welcome does not open")]
    Open,
    /// What is inside is malformed.
    #[error("the welcome is malformed")]
    Malformed,
}

impl Welcome {
    /// Opens the Welcome to `room` that answers our request with the invite's key.
    ///
    /// # Errors
    /// See [`WelcomeError`]; the sponsor is at fault.
    pub fn open(me: &Identity, room: &RoomId, invite_pk: &[u8; 32], sealed: &[u8]) -> Result<Self, WelcomeError> {
        if sealed.len() > limits::MAX_WELCOME {
            return Err(WelcomeError::Open);
        }
        let context = WelcomeContext { room_id: room.0, invite: *invite_pk, device: me.device().0 };
        let plain = me.leafs().iter().find_map(|leaf| hpke::open_welcome(&context, &leaf.secret, sealed).ok());
        let plain = plain.ok_or(WelcomeError::Open)?;
        let welcome: Self = codec::decode(&plain, limits::MAX_WELCOME).map_err(|_| WelcomeError::Malformed)?;
        let bounded =
            welcome.keys.len() <= limits::MAX_WELCOME_KEYS && welcome.frontier.len() <= limits::MAX_WELCOME / 32;
        if bounded { Ok(welcome) } else { Err(WelcomeError::Malformed) }
    }

    /// Seals it for the device `device` with the leaf key `leaf`.
    pub fn seal(
        &self,
        room: &RoomId,
        invite_pk: &[u8; 32],
        device: &DeviceId,
        leaf: &LeafPublic,
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let context = WelcomeContext { room_id: room.0, invite: *invite_pk, device: device.0 };
        let plain = zeroize::Zeroizing::new(codec::encode(self));
        hpke::seal_welcome(rng, &context, leaf, &plain)
    }
}

/// Hash of the devices an epoch is made for, in whatever order they come.
pub fn member_root(devices: impl IntoIterator<Item = DeviceId>) -> [u8; 32] {
    let mut devices: Vec<DeviceId> = devices.into_iter().collect();
    devices.sort_unstable();
    let parts: Vec<&[u8]> = devices.iter().map(|device| device.0.as_slice()).collect();
    hash::MEMBERS.hash(&parts)
}

/// A part of the rows of a new epoch, to be sealed. Jobs do not touch each other: they may run side by side.
pub struct SealJob {
    context: RowContext,
    secret: EpochSecret,
    recipients: Vec<(DeviceId, LeafPublic)>,
    rng: Hedged,
}

/// How jobs are done: on the caller's thread, or spread over several. Answers the rows of all, in any order.
pub type Spread = fn(Vec<SealJob>) -> Vec<Row>;

impl SealJob {
    /// Seals its rows: about 0.1 ms each.
    pub fn run(mut self) -> Vec<Row> {
        let (context, secret, rng) = (&self.context, &self.secret, &mut self.rng);
        let seal =
            |(device, leaf): &(DeviceId, LeafPublic)| hpke::seal_row(rng, context, device.as_bytes(), leaf, secret);
        self.recipients.iter().map(seal).collect()
    }
}

impl std::fmt::Debug for SealJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealJob({} rows)", self.recipients.len())
    }
}

/// One job after the other.
pub fn one_by_one(jobs: Vec<SealJob>) -> Vec<Row> {
    jobs.into_iter().flat_map(SealJob::run).collect()
}

/// The rows of a new epoch, sealed for every device of `recipients` and sorted by hint. Each job draws from a generator of its
/// own, which `rng` begins.
pub fn seal_rows(
    context: &RowContext,
    secret: &EpochSecret,
    recipients: &[(DeviceId, LeafPublic)],
    spread: Spread,
    rng: &mut impl CryptoRng,
) -> Vec<Row> {
    let job = |(number, part): (usize, &[(DeviceId, LeafPublic)])| SealJob {
        context: *context,
        secret: secret.clone(),
        recipients: part.to_vec(),
        rng: Hedged::new(rng, &[secret.secret().expose(), &number.to_be_bytes()]),
    };
    let jobs = recipients.chunks(limits::ROWS_PER_JOB).enumerate().map(job).collect();
    let mut rows = spread(jobs);
    rows.sort_unstable_by_key(|row| row.hint);
    rows
}

/// A page: its hash and its bytes.
pub type Page = ([u8; 32], Vec<u8>);

/// How many pages a Rotate of so many rows names, and how many levels of pages are between those and the pages of rows.
pub fn levels(n_rows: usize) -> (usize, u8) {
    let mut pages = n_rows.div_ceil(limits::ROWS_PER_PAGE);
    let mut levels = 0;
    while pages > limits::PAGE_FANOUT {
        pages = pages.div_ceil(limits::PAGE_FANOUT);
        levels += 1;
    }
    (pages, levels)
}

/// Rows as they stand in a Rotate, and the pages that travel beside it: those of rows, and above them pages that name
/// [`limits::PAGE_FANOUT`] pages each, until the Rotate can name those at the top.
pub fn page_rows(rows: Vec<Row>) -> (Rows, Vec<Page>) {
    if rows.len() <= limits::INLINE_ROWS {
        return (Rows::Inline(rows), Vec::new());
    }
    let mut pages = Vec::new();
    let mut names = Vec::new();
    for page in rows.chunks(limits::ROWS_PER_PAGE) {
        names.push((page[0].hint, put_page(codec::encode(&page), &mut pages)));
    }
    while names.len() > limits::PAGE_FANOUT {
        let below = std::mem::take(&mut names);
        for page in below.chunks(limits::PAGE_FANOUT) {
            names.push((page[0].0, put_page(codec::encode(&page), &mut pages)));
        }
    }
    (Rows::Pages(names), pages)
}

fn put_page(bytes: Vec<u8>, pages: &mut Vec<Page>) -> [u8; 32] {
    let hash = page_hash(&bytes);
    pages.push((hash, bytes));
    hash
}

/// The name of a page.
pub fn page_hash(bytes: &[u8]) -> [u8; 32] {
    hash::PAGE.hash(&[bytes])
}

/// The rows of a page.
///
/// # Errors
/// Bytes that are no page of at most [`limits::ROWS_PER_PAGE`] rows sorted by hint.
pub fn decode_page(bytes: &[u8]) -> Result<Vec<Row>, codec::CodecError> {
    let rows: Vec<Row> = codec::decode(bytes, limits::MAX_PAYLOAD)?;
    let fits = rows.len() <= limits::ROWS_PER_PAGE && rows.is_sorted_by_key(|row| row.hint);
    if fits { Ok(rows) } else { Err(codec::CodecError::Malformed) }
}

/// The names on a page above those of rows.
///
/// # Errors
/// Bytes that are no page of at most [`limits::PAGE_FANOUT`] names sorted by hint.
pub fn decode_names(bytes: &[u8]) -> Result<Vec<PageName>, codec::CodecError> {
    let names: Vec<PageName> = codec::decode(bytes, limits::MAX_PAYLOAD)?;
    let fits = names.len() <= limits::PAGE_FANOUT && names.is_sorted_by_key(|(hint, _)| *hint);
    if fits { Ok(names) } else { Err(codec::CodecError::Malformed) }
}

/// Where the row with `hint` is: the pages whose range of hints includes it, usually one.
pub fn pages_of(pages: &[PageName], hint: &[u8; 8]) -> impl Iterator<Item = [u8; 32]> {
    // Equal hints may run over the border of two pages.
    let last = pages.partition_point(|(first, _)| first <= hint);
    let first = pages.partition_point(|(first, _)| first < hint).saturating_sub(1);
    pages.get(first..last).unwrap_or_default().iter().map(|(_, hash)| *hash)
}

/// How long `device` waits before it makes the epoch that is missing: its rank among `devices` by a hash that is new for
/// every set of control heads, so that the task wanders.
pub fn election_delay_ms(heads: &[EventId], device: &DeviceId, devices: &[DeviceId]) -> u64 {
    election_delay_after_ms(heads, device, devices, |_| limits::ELECTION_STEP_MS)
}

/// The same where `step_ms` says how long each device that ranks before it is waited for.
pub fn election_delay_after_ms(
    heads: &[EventId],
    device: &DeviceId,
    devices: &[DeviceId],
    step_ms: impl Fn(&DeviceId) -> u64,
) -> u64 {
    let draw = |device: &DeviceId| {
        let heads = heads.iter().map(|head| head.0.as_slice());
        hash::ELECT.hash(&heads.chain([device.0.as_slice()]).collect::<Vec<_>>())
    };
    let mine = draw(device);
    let before = devices.iter().filter(|other| draw(other) < mine).map(step_ms);
    (limits::ELECTION_BASE_MS + before.sum::<u64>()).min(limits::ELECTION_MAX_MS)
}
