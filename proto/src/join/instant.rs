//! Coming in by the link alone: what the maker of an instant invite leaves at its door, and the machine of who enters.
//!
//! ```text
//! package   welcomes: [sealed Welcome of guest 0, 1, ..], control: [event]                                          postcard
//! part      hash[32] of the package | total u16 | index u16 | bytes | sig[64]                                       postcard
//! sealed    EnvelopeKey "invite instant" of the link's seed, aad = room id, of a part
//! sig       by the device that made the link, label "instant", over room id || the part without it
//! ```
//! [`Entering`] is told what comes out of the door and of the room's boxes. From the parts it puts the package together, and
//! with it runs the room as one of the guests, which finds the way from box to box like any member who was away. As the guest
//! it lets its user in, and leaves. Everything happens in memory; the room it ends with is the user's own, to be stored in
//! one batch. Of what others put in the boxes only what opens and verifies is used, and no more is held than
//! [`limits::MAX_PACKAGE`] and [`limits::MAX_ENTERING`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_crypto::hash::Domain;
use parlor_crypto::invite::InviteSeed;
use parlor_crypto::mailbox::BoxKeys;
use parlor_crypto::{CryptoRng, PublicKey, Signature, SigningKey, domain, label};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::control::JoinRequest;
use crate::epoch::Welcome;
use crate::event::Event;
use crate::identity::Identity;
use crate::ids::RoomId;
use crate::limits;
use crate::link::Link;
use crate::mailbox::Mail;
use crate::room::{JoinRefusal, Outcome, Room};
use crate::wire::{Blob, SeriesKind};

/// Bytes of the package in one part: with what is around them they fill the longest blob of a door.
const PART: usize = 60 * 1_024;
/// Most parts of a package.
const MAX_PARTS: usize = limits::MAX_PACKAGE.div_ceil(PART);
/// Longest part.
const MAX_PART: usize = PART + 256;
/// Packages that are put together at once: the maker's device left one, and signs no others.
const MAX_PACKAGES: usize = 2;

static PACKAGE: Domain = domain!("instant package");

/// What a newcomer needs who finds nobody online.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The Welcome of each guest, sealed to it.
    pub welcomes: Vec<Blob>,
    /// All control events, in an order in which none stands before what it follows.
    pub control: Vec<Blob>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    hash: [u8; 32],
    total: u16,
    index: u16,
    bytes: Blob,
    sig: Signature,
}

impl Part {
    /// What is signed, but for the room.
    fn signed(&self) -> Vec<u8> {
        codec::encode(&(self.hash, self.total, self.index, &self.bytes))
    }
}

impl Package {
    /// The sealed parts, for the door of the invite with this seed. `device` is that of the maker, which signs the link.
    pub fn seal(
        &self,
        room: &RoomId,
        seed: &InviteSeed,
        device: &SigningKey,
        rng: &mut impl CryptoRng,
    ) -> Vec<Vec<u8>> {
        let bytes = codec::encode(self);
        let hash = PACKAGE.hash(&[&bytes]);
        let key = seed.instant().seal;
        let total = u16::try_from(bytes.len().div_ceil(PART)).unwrap_or(u16::MAX);
        let parts = (0..total).zip(bytes.chunks(PART));
        let mut seal = |(index, bytes): (u16, &[u8])| {
            let mut part = Part { hash, total, index, bytes: Blob(bytes.to_vec()), sig: Signature([0; 64]) };
            part.sig = device.sign(label::SIGN_INSTANT, &[room.as_bytes(), &part.signed()]);
            key.seal(rng, room.as_bytes(), &codec::encode(&part))
        };
        parts.map(&mut seal).collect()
    }
}

/// Why nobody can be let in by the link alone, now or ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnterError {
    /// Not all was read that the maker left at the door.
    #[error("what the maker of the invite left is not here")]
    NoPackage,
    /// No guest can let anybody in: they were used or put out.
    #[error("the invite has been used up or revoked")]
    NoGuest,
    /// Another guest has to be tried, which may find more boxes: read those and enter again.
    #[error("more is to be read first")]
    ReadOn,
    /// The guest may not let us in.
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
}

/// The machine of somebody who enters by an instant link. See [`super::instant`].
pub struct Entering {
    link: Link,
    parts: BTreeMap<[u8; 32], Vec<Option<Vec<u8>>>>,
    package: Option<Package>,
    /// The guests that were not tried yet.
    guests: Vec<u8>,
    room: Option<Room>,
    /// What came out of the room's boxes, for the next guest.
    mails: Vec<Mail>,
    bytes: usize,
    /// Why no guest lets us in, as far as one of them saw it.
    over: Option<JoinRefusal>,
}

impl Entering {
    /// Begins to enter by this link.
    pub fn new(link: Link) -> Self {
        let (parts, package, mails) = (BTreeMap::new(), None, Vec::new());
        Self { link, parts, package, guests: Vec::new(), room: None, mails, bytes: 0, over: None }
    }

    /// Takes what may be a sealed part. Whether the package is whole now, for the first time; then the boxes of
    /// [`boxes`](Self::boxes) are to be read.
    pub fn part(&mut self, sealed: &[u8], now_ms: u64, rng: &mut impl CryptoRng) -> bool {
        if self.package.is_some() || sealed.len() > MAX_PART {
            return false;
        }
        let room = self.link.room();
        let Ok(plain) = self.link.seed().instant().seal.open(room.as_bytes(), sealed) else { return false };
        let Ok(part) = codec::decode::<Part>(&plain, MAX_PART) else { return false };
        let (total, index) = (usize::from(part.total), usize::from(part.index));
        let issuer = PublicKey::parse(self.link.issuer().as_bytes());
        let covered: [&[u8]; 2] = [room.as_bytes(), &part.signed()];
        let signed = issuer.is_ok_and(|issuer| issuer.verify(label::SIGN_INSTANT, &covered, &part.sig).is_ok());
        let room_left = self.parts.contains_key(&part.hash) || self.parts.len() < MAX_PACKAGES;
        if !signed || total > MAX_PARTS || index >= total || part.bytes.0.len() > PART || !room_left {
            return false;
        }
        let hash = part.hash;
        let parts = self.parts.entry(hash).or_default();
        parts.resize(total, None);
        parts[index] = Some(part.bytes.0);
        let Some(bytes) = parts.iter().cloned().collect::<Option<Vec<_>>>().map(|parts| parts.concat()) else {
            return false;
        };
        let whole = PACKAGE.hash(&[&bytes]) == hash;
        let Some(package) = codec::decode::<Package>(&bytes, limits::MAX_PACKAGE).ok().filter(|_| whole) else {
            return false;
        };
        self.parts.clear();
        let n = package.welcomes.len().min(limits::MAX_GUESTS as usize);
        self.guests = (0..u8::try_from(n).unwrap_or(0)).collect();
        // At random, so that two who come at once seldom are the same guest.
        for at in (1..self.guests.len()).rev() {
            let mut draw = [0; 8];
            rng.fill_bytes(&mut draw);
            let other = usize::try_from(u64::from_le_bytes(draw) % (at as u64 + 1)).unwrap_or(0);
            self.guests.swap(at, other);
        }
        self.package = Some(package);
        self.next_guest(now_ms)
    }

    /// The boxes of the room that are to be read, the newest first: more when a new epoch was found.
    pub fn boxes(&self) -> Vec<BoxKeys> {
        let Some(room) = &self.room else { return Vec::new() };
        room.slices_to_read().into_iter().filter_map(|slice| room.box_keys(&slice)).collect()
    }

    /// Takes what came out of a box of the room.
    pub fn take(&mut self, mails: Vec<Mail>, now_ms: u64) {
        let size = |mail: &Mail| match mail {
            Mail::Record(item) => item.bytes.0.len() + 64,
            Mail::Page(page) => page.0.len() + 64,
        };
        for mail in mails {
            let bytes = self.bytes + size(&mail);
            let is_event = match &mail {
                Mail::Record(item) => matches!(item.kind, SeriesKind::Control | SeriesKind::Message),
                Mail::Page(_) => true,
            };
            if is_event && bytes <= limits::MAX_ENTERING {
                self.bytes = bytes;
                self.show(std::slice::from_ref(&mail), now_ms);
                self.mails.push(mail);
            }
        }
    }

    /// Lets `me` in as the guest, whose events are then part of the room, and begins the room as `me`. What the outcome holds
    /// is to be stored in one batch; the room then puts the guest's events in its boxes with its own first one
    /// ([`Room::carried_with`]).
    ///
    /// # Errors
    /// See [`EnterError`]. After [`EnterError::ReadOn`] and [`JoinRefusal::NoSafeEpoch`] it may be tried again when more was
    /// read.
    pub fn enter(
        &mut self,
        request: &JoinRequest,
        me: Arc<Identity>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Room, Outcome), EnterError> {
        if self.package.is_none() {
            return Err(EnterError::NoPackage);
        }
        if !self.room.as_ref().is_some_and(is_unused) {
            return Err(match (self.next_guest(now_ms), self.over) {
                (true, _) => EnterError::ReadOn,
                (false, Some(why)) => EnterError::Refused(why),
                (false, None) => EnterError::NoGuest,
            });
        }
        let guest = self.room.as_mut().ok_or(EnterError::NoGuest)?;
        let admission = guest.admit(request.clone(), false, now_ms, rng)?;
        // A guest that has let somebody in is used, whatever becomes of us.
        guest.leave(now_ms).map_err(|_| EnterError::NoGuest)?;
        let id = guest.id();
        let sealed = admission.welcome.ok_or(EnterError::NoGuest)?;
        let welcome = Welcome::open(&me, &id, &request.invite_pk, &sealed);
        let (mut room, mut outcome) = Room::join(me, id, welcome.map_err(|_| EnterError::NoGuest)?);
        let events: Vec<Event> = guest.control_events().cloned().collect();
        outcome.merge(room.receive(events, now_ms).outcome);
        if !room.is_member() {
            return Err(EnterError::NoGuest);
        }
        // With the guest gone no epoch is safe. The next one is ours: it carries the guest's events into the boxes, where nobody
        // else would put them.
        room.rotate_at_once(&mut outcome, now_ms, rng);
        Ok((room, outcome))
    }

    /// How many bytes of others are held.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.bytes + self.parts.values().flatten().flatten().map(Vec::len).sum::<usize>()
    }

    /// The room as the guest has it.
    #[cfg(test)]
    pub(crate) fn into_room(self) -> Option<Room> {
        self.room
    }

    /// Runs the room as the next guest that is a member still, by all that is here. False if there is none.
    fn next_guest(&mut self, now_ms: u64) -> bool {
        self.note_end();
        while let Some(number) = self.guests.pop() {
            self.room = self.as_guest(number, now_ms);
            let mails = std::mem::take(&mut self.mails);
            self.show(&mails, now_ms);
            self.mails = mails;
            if self.room.as_ref().is_some_and(is_unused) {
                return true;
            }
            self.note_end();
        }
        false
    }

    /// What the guest as which the room is run saw of the invite.
    fn note_end(&mut self) {
        let Some(room) = &self.room else { return };
        let invite = room.invite_by_key(&self.link.keys().sign.public_bytes()).and_then(|id| room.invite_info(&id));
        let Some(invite) = invite else { return };
        if invite.revoked {
            self.over = Some(JoinRefusal::Revoked);
        } else if invite.max_uses.is_some_and(|most| invite.used >= most) {
            self.over = self.over.or(Some(JoinRefusal::UsesExhausted));
        }
    }

    fn as_guest(&self, number: u8, now_ms: u64) -> Option<Room> {
        let package = self.package.as_ref()?;
        let seed = self.link.seed();
        let guest = Arc::new(Identity::guest(seed.guest(number)).ok()?);
        let key = seed.instant().guests.public_bytes();
        let sealed = package.welcomes.get(usize::from(number))?;
        let id = self.link.room();
        let welcome = Welcome::open(&guest, &id, &key, &sealed.0).ok()?;
        let (mut room, _) = Room::join(guest, id, welcome);
        let events = package.control.iter().filter_map(|bytes| Event::decode(&id, &bytes.0).ok()).collect();
        drop(room.receive(events, now_ms));
        Some(room)
    }

    fn show(&mut self, mails: &[Mail], now_ms: u64) {
        let Some(room) = &mut self.room else { return };
        for mail in mails {
            match mail {
                // A page that nobody wants is left.
                Mail::Page(page) => drop(room.accept_page(page.0.clone())),
                Mail::Record(item) => {
                    let event = Event::decode(&room.id(), &item.bytes.0);
                    drop(event.map(|event| room.receive_unvouched(vec![event], now_ms)));
                }
            }
        }
    }
}

/// Whether the guest as which the room is run is a member and has written nothing.
fn is_unused(room: &Room) -> bool {
    room.is_member() && room.control_log(&room.me().device(), 1).next().is_none()
}
