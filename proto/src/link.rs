//! Invite links: a signed capability as text that fits a QR code.
//!
//! ```text
//! text     parlor://join/V/#<b64>  or  parlor://join/V/<b64>  or  https://HOST/join#V/<b64>      base64url, no padding
//! QR       PARLOR://JOIN/1/<b32>                                                       RFC 4648 base32, no padding
//!          PARLOR://JOIN/2/<b43>                                                       base 43, see below
//! V        2 if one of the addresses leads through a relay, otherwise 1
//! payload  fields | sig[64] | check[4]
//! fields   seed[16] | room_id[32] | issuer[32] | power | perms | expires_ms | max_uses | sponsor | peer[32] | addresses (<= 3)
//! address  0 ip4[4] | 1 ip6[16] | 2 name      then 0 tcp | 1 quic, port                               (postcard)
//!          3 relay[32] ip4 | 4 relay[32] ip6 | 5 relay[32] name    of the relay, whose peer is named: through it to `peer`
//! sig      by the issuer's device, label "link", over invite_pk || fields
//! check    first 4 bytes of H("link check", fields || sig)
//! ```
//! The joiner checks the signature before it connects to anybody. Every byte is covered by both: the checksum tells
//! damage (a lost or changed character) from a forgery, the signature settles it. The seed is the secret: who has the
//! text can knock. `invite_pk` is derived from it and stands in the Invite event of the issuer's log, through which uses,
//! expiry and revocation reach every member. Room name and topic secret are not in a link.
//!
//! Promises: at most [`MAX_TEXT`] characters in every form, about 300 usually; one payload has one text of each form; no
//! changed text is another valid link. The format with vectors is in `docs/spec/invites.md`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use parlor_crypto::hash::Domain;
use parlor_crypto::invite::{InviteKeys, InviteSeed};
use parlor_crypto::{PublicKey, Signature, SigningKey, domain, label};
use serde::{Deserialize, Serialize};

use crate::codec;
use crate::control::{Permissions, Power, Sponsor};
use crate::ids::{DeviceId, RoomId};

mod base32;
mod base43;

/// Longest link in characters: fits a QR code of version 11 in alphanumeric mode, 61 modules wide.
pub const MAX_TEXT: usize = 400;
/// Longest payload of version 1 in bytes: base32 of it with the prefix has [`MAX_TEXT`] characters.
pub const MAX_PAYLOAD_1: usize = (MAX_TEXT - QR_PREFIX.len()) * 5 / 8;
/// Longest payload in bytes: the same in base 43, of version 2. It has room for a relay and an address.
pub const MAX_PAYLOAD: usize = base43::bytes(MAX_TEXT - QR_PREFIX.len());
/// Most addresses in a link.
pub const MAX_ADDRESSES: usize = 3;
/// Longest host name in an address: more would not leave room for a second address.
pub const MAX_NAME: usize = 64;

const QR_PREFIX: &str = "PARLOR://JOIN/1/";
const TAIL: usize = 64 + 4;

static CHECK: Domain = domain!("link check");

/// An invite link, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    fields: Fields,
    sig: Signature,
}

/// What the link allows. The same stands in the Invite event, which alone decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caveats {
    /// Power of the newcomer.
    pub power: Power,
    /// Permissions of the newcomer.
    pub perms: Permissions,
    /// Not after this time, milliseconds since the epoch; `u64::MAX` for no end.
    pub expires_ms: u64,
    /// How many accounts may come; `u32::MAX` for any number.
    pub max_uses: u32,
    /// Who may admit.
    pub sponsor: Sponsor,
}

/// Where somebody can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// Host.
    pub host: Host,
    /// Transport.
    pub transport: Transport,
    /// Port.
    pub port: u16,
}

/// A host, in the shortest form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Host {
    /// IPv4.
    Ip4([u8; 4]),
    /// IPv6.
    Ip6([u8; 16]),
    /// A DNS name: letters, digits, dots and hyphens, at most [`MAX_NAME`].
    Name(String),
    /// Through the relay of this peer, which is at an IPv4.
    ViaIp4([u8; 32], [u8; 4]),
    /// Through the relay of this peer, which is at an IPv6.
    ViaIp6([u8; 32], [u8; 16]),
    /// Through the relay of this peer, which is at a DNS name.
    ViaName([u8; 32], String),
}

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// QUIC version 1 on UDP.
    Quic,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Invites to a room.
    Join,
    /// A contact card.
    Contact,
    /// Links a new device to an account. Never to be taken from strangers (attack 35).
    Device,
}

/// Why a text is not a link that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// No Parlor link at all.
    #[error("not a parlor link")]
    NotALink,
    /// A link, but for something else.
    #[error("a link for something else: {0}")]
    WrongKind(LinkKind),
    /// Made by a newer version.
    #[error("link of format version {0}, made by a newer version of parlor")]
    NewerVersion(u32),
    /// Characters are missing or changed: copy it again.
    #[error("damaged link: characters are missing or changed")]
    Damaged,
    /// Undamaged, but not signed by the device it names: a forgery.
    #[error("the link is not signed by who it says")]
    BadSignature,
    /// It was good until this time, milliseconds since the epoch.
    #[error("the link has expired")]
    Expired(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fields {
    seed: InviteSeed,
    room: RoomId,
    issuer: DeviceId,
    caveats: Caveats,
    peer: [u8; 32],
    addresses: Vec<Address>,
}

impl Link {
    /// Makes and signs a link. `peer` is the issuer's transport peer id: the bytes of its Ed25519 key. Of `addresses`,
    /// best first, as many are taken as fit; those with a host name that breaks [`MAX_NAME`] are left out.
    pub fn issue(
        seed: InviteSeed,
        room: RoomId,
        caveats: Caveats,
        device: &SigningKey,
        peer: [u8; 32],
        addresses: &[Address],
    ) -> Self {
        let issuer = DeviceId(device.public_bytes());
        let mut fields = Fields { seed, room, issuer, caveats, peer, addresses: Vec::new() };
        for address in addresses.iter().filter(|address| address.is_sound()) {
            fields.addresses.push(address.clone());
            let len = codec::encode(&fields).len() + TAIL;
            if fields.addresses.len() > MAX_ADDRESSES || len > longest(fields.version()) {
                fields.addresses.pop();
            }
        }
        let invite_pk = fields.seed.keys().sign.public_bytes();
        let sig = device.sign(label::SIGN_LINK, &[&invite_pk, &codec::encode(&fields)]);
        Self { fields, sig }
    }

    /// Reads a link in any of its forms; spaces and line ends around it are ignored.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub fn parse(text: &str, now_ms: u64) -> Result<Self, LinkError> {
        let (version, payload) = payload(text.trim(), LinkKind::Join)?;
        let link = Self::from_payload(version, &payload)?;
        if link.fields.caveats.expires_ms < now_ms {
            return Err(LinkError::Expired(link.fields.caveats.expires_ms));
        }
        Ok(link)
    }

    fn from_payload(version: u32, payload: &[u8]) -> Result<Self, LinkError> {
        if payload.len() > longest(version) {
            return Err(LinkError::Damaged);
        }
        let (covered, check) = payload.split_last_chunk::<4>().ok_or(LinkError::Damaged)?;
        if CHECK.hash_prefix::<4>(&[covered]) != *check {
            return Err(LinkError::Damaged);
        }
        let (bytes, sig) = covered.split_last_chunk::<64>().ok_or(LinkError::Damaged)?;
        let fields: Fields = codec::decode(bytes, MAX_PAYLOAD).map_err(|_| LinkError::Damaged)?;
        // A link that needs no version 2 is of version 1: one text each.
        let sound = fields.addresses.iter().all(Address::is_sound) && fields.version() == version;
        if fields.addresses.len() > MAX_ADDRESSES || !sound {
            return Err(LinkError::Damaged);
        }
        let sig = Signature(*sig);
        let invite_pk = fields.seed.keys().sign.public_bytes();
        let issuer = PublicKey::parse(fields.issuer.as_bytes()).map_err(|_| LinkError::BadSignature)?;
        issuer.verify(label::SIGN_LINK, &[&invite_pk, bytes], &sig).map_err(|_| LinkError::BadSignature)?;
        Ok(Self { fields, sig })
    }

    /// The usual form: `parlor://join/1/#...`. The payload is in the fragment, which no browser sends.
    pub fn to_text(&self) -> String {
        format!("parlor://join/{}/#{}", self.fields.version(), BASE64.encode(self.payload()))
    }

    /// The form for people without the program: a page at `host` that tells how to get it.
    pub fn to_web_text(&self, host: &str) -> String {
        format!("https://{host}/join#{}/{}", self.fields.version(), BASE64.encode(self.payload()))
    }

    /// The form for QR codes: only what alphanumeric mode holds and a link may have.
    pub fn to_qr_text(&self) -> String {
        match self.fields.version() {
            1 => format!("{QR_PREFIX}{}", base32::encode(&self.payload())),
            version => format!("PARLOR://JOIN/{version}/{}", base43::encode(&self.payload())),
        }
    }

    /// The keys that the link's seed gives.
    pub fn keys(&self) -> InviteKeys {
        self.fields.seed.keys()
    }

    /// The seed.
    pub fn seed(&self) -> &InviteSeed {
        &self.fields.seed
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        self.fields.room
    }

    /// The device that made the link.
    pub fn issuer(&self) -> DeviceId {
        self.fields.issuer
    }

    /// What it allows.
    pub fn caveats(&self) -> &Caveats {
        &self.fields.caveats
    }

    /// The issuer's transport peer id: the bytes of its Ed25519 key.
    pub fn peer(&self) -> &[u8; 32] {
        &self.fields.peer
    }

    /// Where the issuer can be reached, best first.
    pub fn addresses(&self) -> &[Address] {
        &self.fields.addresses
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = codec::encode(&self.fields);
        payload.extend_from_slice(&self.sig.0);
        let check = CHECK.hash_prefix::<4>(&[&payload]);
        payload.extend_from_slice(&check);
        payload
    }
}

impl Fields {
    /// The oldest version that can say this.
    fn version(&self) -> u32 {
        if self.addresses.iter().any(|address| address.relay().is_some()) { 2 } else { 1 }
    }
}

fn longest(version: u32) -> usize {
    if version == 1 { MAX_PAYLOAD_1 } else { MAX_PAYLOAD }
}

impl Address {
    /// The relay that the way leads through, if it does: the bytes of its peer's Ed25519 key.
    pub fn relay(&self) -> Option<&[u8; 32]> {
        match &self.host {
            Host::Ip4(_) | Host::Ip6(_) | Host::Name(_) => None,
            Host::ViaIp4(relay, _) | Host::ViaIp6(relay, _) | Host::ViaName(relay, _) => Some(relay),
        }
    }

    /// The address of the relay itself, if the way leads through one.
    pub fn of_relay(&self) -> Option<Self> {
        let host = match &self.host {
            Host::Ip4(_) | Host::Ip6(_) | Host::Name(_) => return None,
            Host::ViaIp4(_, ip) => Host::Ip4(*ip),
            Host::ViaIp6(_, ip) => Host::Ip6(*ip),
            Host::ViaName(_, name) => Host::Name(name.clone()),
        };
        Some(Self { host, ..self.clone() })
    }

    /// The way through the relay of this peer, which is at this address. `None` for an address that leads through one itself.
    pub fn via(&self, relay: [u8; 32]) -> Option<Self> {
        let host = match &self.host {
            Host::Ip4(ip) => Host::ViaIp4(relay, *ip),
            Host::Ip6(ip) => Host::ViaIp6(relay, *ip),
            Host::Name(name) => Host::ViaName(relay, name.clone()),
            Host::ViaIp4(..) | Host::ViaIp6(..) | Host::ViaName(..) => return None,
        };
        Some(Self { host, ..self.clone() })
    }

    pub(crate) fn is_sound(&self) -> bool {
        match &self.host {
            Host::Ip4(_) | Host::Ip6(_) | Host::ViaIp4(..) | Host::ViaIp6(..) => true,
            Host::Name(name) | Host::ViaName(_, name) => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
                !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(allowed)
            }
        }
    }
}

impl fmt::Display for Address {
    /// As a multiaddress without the peer id; of a relay only that the way leads through one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip4(ip) | Host::ViaIp4(_, ip) => write!(f, "/ip4/{}", std::net::Ipv4Addr::from(*ip))?,
            Host::Ip6(ip) | Host::ViaIp6(_, ip) => write!(f, "/ip6/{}", std::net::Ipv6Addr::from(*ip))?,
            Host::Name(name) | Host::ViaName(_, name) => write!(f, "/dns/{name}")?,
        }
        match self.transport {
            Transport::Tcp => write!(f, "/tcp/{}", self.port)?,
            Transport::Quic => write!(f, "/udp/{}/quic-v1", self.port)?,
        }
        if self.relay().is_some() { f.write_str("/p2p-circuit") } else { Ok(()) }
    }
}

/// Finds the version and the payload of a link of kind `wanted` in `text`, or says what else it is.
pub(crate) fn payload(text: &str, wanted: LinkKind) -> Result<(u32, Vec<u8>), LinkError> {
    if let Some(rest) = text.strip_prefix("PARLOR://") {
        let (version, rest) = versioned(rest, wanted, |kind| format!("{}/", kind.word().to_ascii_uppercase()))?;
        let bytes = if version == 1 { base32::decode(rest) } else { base43::decode(rest) };
        return Ok((version, bytes.ok_or(LinkError::Damaged)?));
    }
    let (version, rest) = if let Some(rest) = text.strip_prefix("parlor://") {
        let (version, rest) = versioned(rest, wanted, |kind| format!("{}/", kind.word()))?;
        (version, rest.strip_prefix('#').unwrap_or(rest))
    } else if let Some(rest) = text.strip_prefix("https://") {
        let (_, path) = rest.split_once('/').ok_or(LinkError::NotALink)?;
        versioned(path, wanted, |kind| format!("{}#", kind.word()))?
    } else {
        return Err(LinkError::NotALink);
    };
    if rest.len() > MAX_TEXT {
        return Err(LinkError::Damaged);
    }
    Ok((version, BASE64.decode(rest).map_err(|_| LinkError::Damaged)?))
}

/// The version, and what follows the word of the wanted kind and it.
fn versioned(text: &str, wanted: LinkKind, prefix: impl Fn(LinkKind) -> String) -> Result<(u32, &str), LinkError> {
    let kinds = [LinkKind::Join, LinkKind::Contact, LinkKind::Device];
    let kind = kinds.into_iter().find(|kind| text.starts_with(&prefix(*kind))).ok_or(LinkError::NotALink)?;
    if kind != wanted {
        return Err(LinkError::WrongKind(kind));
    }
    let text = text.strip_prefix(&prefix(kind)).unwrap_or_default();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (version, rest) = text.split_at(digits);
    let rest = rest.strip_prefix('/').ok_or(LinkError::Damaged)?;
    match version.parse() {
        Ok(number) if version == "1" || version == "2" => Ok((number, rest)),
        Ok(version) if version > 2 => Err(LinkError::NewerVersion(version)),
        _ => Err(LinkError::Damaged),
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Join => "an invite to a room",
            Self::Contact => "a contact card",
            Self::Device => "a new device",
        })
    }
}

impl LinkKind {
    fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Contact => "contact",
            Self::Device => "link",
        }
    }
}

/// RFC 4648 base32 in upper case without padding, as in QR codes.
pub(crate) fn base32_encode(bytes: &[u8]) -> String {
    base32::encode(bytes)
}

#[cfg(test)]
mod tests;
