//! Sealing to a leaf key: HPKE (RFC 9180) base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
//!
//! Three uses, each with its own `info`, which binds the place so that a sealed secret moved elsewhere does not open
//! (attacks 3 and 4):
//!
//! ```text
//! row      "parlor/1 row"      || room_id[32] || commit[32] || member_root[32] || device[32] || leaf_pk[32]
//! welcome  "parlor/1 welcome"  || room_id[32] || invite[32] || device[32] || leaf_pk[32]
//! box      "parlor/1 box" 0x00 || u8(|label|) || label || leaf_pk[32] || context
//! ```
//! A row is `hint[8] || enc[32] || ct[48]`, 88 bytes. Welcome and box are `enc[32] || ct`. HPKE says nothing about the
//! sender: rows travel in a signed Rotate, and whoever seals anything else signs inside.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::epoch::EpochSecret;
use crate::hash::HINT;
use crate::leaf::{LeafPublic, LeafSecret};
use crate::secret::Secret;
use crate::work::{self, Work};
use crate::{OpenError, array};

type Kem = X25519HkdfSha256;

/// Bytes that sealing adds: the encapsulated key and the tag.
pub const OVERHEAD: usize = ENC + 16;
const ENC: usize = 32;

/// One device's share of a Rotate: the epoch secret, sealed to its leaf key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// Tells a device its row among others: [`row_hint`]. Rows of a page are sorted by it.
    pub hint: [u8; 8],
    /// The encapsulated key.
    pub enc: [u8; 32],
    /// The sealed secret.
    #[serde(with = "array")]
    pub ct: [u8; 48],
}

impl Row {
    /// Length in bytes.
    pub const LEN: usize = 88;
}

/// What all rows of one Rotate are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowContext {
    /// The room.
    pub room_id: [u8; 32],
    /// The epoch's commitment: [`EpochSecret::commit`].
    pub commit: [u8; 32],
    /// The root of the epoch's recipients.
    pub member_root: [u8; 32],
}

/// Why a row gives no epoch secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// It does not open: not for this device, leaf, room or Rotate, or damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It opens to another secret than the Rotate commits to: its author cheated (attack 22).
    #[error("row does not match the commitment of its epoch")]
    Commit,
}

/// The hint of a device's row: `H("hint", leaf_pk || device || commit)[..8]`. With the device in it nobody else's row has the
/// same one, whatever leaf key others claim.
pub fn row_hint(leaf: &LeafPublic, device: &[u8; 32], commit: &[u8; 32]) -> [u8; 8] {
    HINT.hash_prefix(&[leaf.as_bytes(), device, commit])
}

/// Seals an epoch secret to one device.
pub fn seal_row(
    rng: &mut impl CryptoRng,
    context: &RowContext,
    device: &[u8; 32],
    leaf: &LeafPublic,
    secret: &EpochSecret,
) -> Row {
    let sealed = seal(rng, &row_info(context, device, leaf), leaf, &[], secret.secret().expose());
    let (mut enc, mut ct) = ([0; 32], [0; 48]);
    enc.copy_from_slice(&sealed[..ENC]);
    ct.copy_from_slice(&sealed[ENC..]);
    Row { hint: row_hint(leaf, device, &context.commit), enc, ct }
}

/// Opens the own row and checks the secret against the commitment.
///
/// # Errors
/// [`RowError::Open`] if it is not for us or damaged, [`RowError::Commit`] if its author cheated.
pub fn open_row(
    context: &RowContext,
    device: &[u8; 32],
    leaf: &LeafSecret,
    row: &Row,
) -> Result<EpochSecret, RowError> {
    let public = leaf.public();
    if row.hint != row_hint(&public, device, &context.commit) {
        return Err(RowError::Open(OpenError));
    }
    let info = row_info(context, device, &public);
    let plain = open_parts(&info, leaf, &[], &row.enc, &row.ct)?;
    let bytes: &[u8; 32] = plain.as_slice().try_into().map_err(|_| OpenError)?;
    let secret = EpochSecret::from_secret(Secret::new(*bytes));
    if secret.commit(&context.room_id) == context.commit { Ok(secret) } else { Err(RowError::Commit) }
}

/// What a Welcome is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WelcomeContext {
    /// The room.
    pub room_id: [u8; 32],
    /// The id of the Invite event.
    pub invite: [u8; 32],
    /// The joining device.
    pub device: [u8; 32],
}

/// Seals a Welcome to the joiner's leaf key.
pub fn seal_welcome(
    rng: &mut impl CryptoRng,
    context: &WelcomeContext,
    leaf: &LeafPublic,
    plaintext: &[u8],
) -> Vec<u8> {
    seal(rng, &welcome_info(context, leaf), leaf, &[], plaintext)
}

/// Opens a Welcome. The plaintext holds keys: it is wiped when dropped.
///
/// # Errors
/// [`OpenError`] if it is not for this join, or damaged.
pub fn open_welcome(
    context: &WelcomeContext,
    leaf: &LeafSecret,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open(&welcome_info(context, &leaf.public()), leaf, &[], sealed)
}

/// Seals anything else to a leaf key. `label` names the use, `context` the place, `aad` is authenticated beside.
pub fn seal_box(
    rng: &mut impl CryptoRng,
    label: &'static str,
    context: &[u8],
    leaf: &LeafPublic,
    aad: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    seal(rng, &box_info(label, context, leaf), leaf, aad, plaintext)
}

/// Opens what [`seal_box`] sealed with the same label, context and `aad`.
///
/// # Errors
/// [`OpenError`] if any of them differs or the bytes are damaged.
pub fn open_box(
    label: &'static str,
    context: &[u8],
    leaf: &LeafSecret,
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open(&box_info(label, context, &leaf.public()), leaf, aad, sealed)
}

fn row_info(context: &RowContext, device: &[u8; 32], leaf: &LeafPublic) -> Vec<u8> {
    let RowContext { room_id, commit, member_root } = context;
    [b"parlor/1 row".as_slice(), room_id, commit, member_root, device, leaf.as_bytes()].concat()
}

fn welcome_info(context: &WelcomeContext, leaf: &LeafPublic) -> Vec<u8> {
    let WelcomeContext { room_id, invite, device } = context;
    [b"parlor/1 welcome".as_slice(), room_id, invite, device, leaf.as_bytes()].concat()
}

#[allow(clippy::expect_used, reason = "labels are short constants")]
fn box_info(label: &'static str, context: &[u8], leaf: &LeafPublic) -> Vec<u8> {
    let label_len = u8::try_from(label.len()).expect("a label of less than 256 bytes");
    [b"parlor/1 box\0".as_slice(), &[label_len], label.as_bytes(), leaf.as_bytes(), context].concat()
}

#[allow(
    clippy::expect_used,
    reason = "a LeafPublic has 32 bytes and is not of low order, the only ways in which encapsulation fails"
)]
fn seal(rng: &mut impl CryptoRng, info: &[u8], leaf: &LeafPublic, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = <Kem as hpke::Kem>::PublicKey::from_bytes(leaf.as_bytes()).expect("32 bytes");
    let (enc, ct) = hpke::single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &key,
        info,
        plaintext,
        aad,
        rng,
    )
    .expect("a contributory key");
    [enc.to_bytes().as_slice(), &ct].concat()
}

fn open(info: &[u8], leaf: &LeafSecret, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (enc, ct) = sealed.split_first_chunk::<ENC>().ok_or(OpenError)?;
    open_parts(info, leaf, aad, enc, ct)
}

fn open_parts(
    info: &[u8],
    leaf: &LeafSecret,
    aad: &[u8],
    enc: &[u8; ENC],
    ct: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    work::note(Work { openings: 1, ..Work::default() });
    let key = <Kem as hpke::Kem>::PrivateKey::from_bytes(leaf.as_bytes()).map_err(|_| OpenError)?;
    let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_| OpenError)?;
    hpke::single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeR::Base, &key, &enc, info, ct, aad)
        .map(Zeroizing::new)
        .map_err(|_| OpenError)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Gives the bytes it was made with, once.
    struct Fixed<'a>(&'a [u8]);

    impl rand::TryRng for Fixed<'_> {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            unreachable!("key generation asks for bytes")
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            unreachable!("key generation asks for bytes")
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            let (now, later) = self.0.split_at(out.len());
            out.copy_from_slice(now);
            self.0 = later;
            Ok(())
        }
    }

    impl rand::TryCryptoRng for Fixed<'_> {}

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    #[test]
    fn rfc_9180_a_2_1_gives_the_sealed_bytes_of_the_rfc_and_opens_them() {
        let info = bytes("4f6465206f6e2061204772656369616e2055726e");
        let aad = bytes("436f756e742d30");
        let plaintext = bytes("4265617574792069732074727574682c20747275746820626561757479");
        let key = bytes("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb");
        let sealed = bytes(
            "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a\
             1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
        );
        let leaf = LeafSecret::from_secret(&Secret::new(key.try_into().unwrap()));
        assert_eq!(
            leaf.public().as_bytes().as_slice(),
            bytes("4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a")
        );

        assert_eq!(*open(&info, &leaf, &aad, &sealed).unwrap(), plaintext);

        let seed = bytes("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b");
        assert_eq!(seal(&mut Fixed(&seed), &info, &leaf.public(), &aad, &plaintext), sealed);
    }
}
