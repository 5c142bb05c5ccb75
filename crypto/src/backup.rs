//! A backup sealed from its first byte to its last, a frame at a time, so that neither side holds more than one.
//!
//! ```text
//! magic    "parlor backup" 0x00
//! version  u8 = 1
//! vault    [FILE_LEN]      vault file: the random key of this backup, under a passphrase or the recovery phrase
//! frame*   length u32 | sealed[length]; the last one has the top bit of the length set
//! sealed   XChaCha20-Poly1305(key, random nonce, aad = head[32] | number u64 | last u8, plain)      1 to 64 KiB of plain
//! ```
//! `head` is `H("backup", magic || version || vault)`, `key` the sealing key "backup" of the vault. A frame opens in its place only and
//! in its backup only; what ends without a last frame, or goes on behind it, is no backup. Numbers are big-endian.

use rand::CryptoRng;

use crate::account::RootSeed;
use crate::envelope::EnvelopeKey;
use crate::hash::BACKUP;
use crate::secret::Secret;
use crate::vault::{FILE_LEN, Lock, Stretch, Unlock, Vault, VaultError};
use crate::{kdf, label};

const MAGIC: &[u8; 14] = b"parlor backup\0";
const VERSION: u8 = 1;
/// Top bit of a length: this frame is the last one.
const LAST: u32 = 1 << 31;
/// What the frames are sealed for.
const PURPOSE: &str = "backup";

/// Length of what stands before the frames, in bytes.
pub const HEAD_LEN: usize = MAGIC.len() + 1 + FILE_LEN;
/// Most plain bytes in a frame.
pub const FRAME_PLAIN: usize = 64 * 1_024;
/// Most sealed bytes in a frame: the plain ones, nonce and tag.
pub const FRAME_MAX: usize = FRAME_PLAIN + 40;
/// Length of what stands before a sealed frame, in bytes.
pub const FRAME_HEAD: usize = 4;

/// Why a backup does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// It does not begin as a backup does.
    #[error("this is no backup of parlor")]
    Foreign,
    /// Made by a newer version.
    #[error("the backup has version {found}, this program knows up to {VERSION}")]
    Version {
        /// Its version.
        found: u8,
    },
    /// Changed, cut short, put together from several, or longer than it was.
    #[error("the backup is damaged")]
    Damaged,
    /// The passphrase or recovery phrase is wrong, or of the other kind.
    #[error(transparent)]
    Vault(VaultError),
}

impl From<VaultError> for BackupError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Damaged => Self::Damaged,
            other => Self::Vault(other),
        }
    }
}

/// The key in place of a passphrase, which follows from the recovery phrase of the account.
pub fn phrase_key(seed: &RootSeed) -> Secret {
    kdf::derive(seed.secret(), label::KDF_BACKUP, &[])
}

/// A place in a backup.
struct Place {
    key: EnvelopeKey,
    head: [u8; 32],
    number: u64,
}

impl Place {
    fn new(vault: &Vault, head: &[u8]) -> Self {
        Self { key: vault.sealing_key(PURPOSE), head: BACKUP.hash(&[head]), number: 0 }
    }

    /// What belongs to the next frame.
    fn next(&mut self, last: bool) -> [u8; 41] {
        let mut aad = [0; 41];
        let (head, rest) = aad.split_at_mut(32);
        head.copy_from_slice(&self.head);
        let (number, end) = rest.split_at_mut(8);
        number.copy_from_slice(&self.number.to_be_bytes());
        end.fill(u8::from(last));
        self.number = self.number.saturating_add(1);
        aad
    }
}

/// Seals a backup.
pub struct Sealer(Place);

impl Sealer {
    /// A backup that opens `with` this, and the bytes before its frames. Blocks for the time of Argon2id with a passphrase.
    ///
    /// # Errors
    /// [`VaultError::PassphraseLength`], [`VaultError::Parameters`].
    pub fn new(rng: &mut impl CryptoRng, with: Unlock<'_>, stretch: Stretch) -> Result<(Self, Vec<u8>), VaultError> {
        let vault = Vault::generate(rng);
        let mut head = Vec::with_capacity(HEAD_LEN);
        head.extend_from_slice(MAGIC);
        head.push(VERSION);
        head.extend_from_slice(&vault.lock(rng, with, stretch)?);
        Ok((Self(Place::new(&vault, &head)), head))
    }

    /// The next frame, with its length before it. What is beyond [`FRAME_PLAIN`] bytes nobody takes.
    pub fn seal(&mut self, rng: &mut impl CryptoRng, plain: &[u8], last: bool) -> Vec<u8> {
        debug_assert!(plain.len() <= FRAME_PLAIN, "frames are cut by who fills them");
        let aad = self.0.next(last);
        let mut frame = vec![0; FRAME_HEAD];
        self.0.key.seal_into(rng, &aad, plain, &mut frame);
        let sealed = u32::try_from(frame.len() - FRAME_HEAD).unwrap_or(u32::MAX >> 1);
        let length = if last { sealed | LAST } else { sealed };
        for (to, from) in frame.iter_mut().zip(length.to_be_bytes()) {
            *to = from;
        }
        frame
    }
}

/// What a backup says it wants, without opening it.
///
/// # Errors
/// [`BackupError`] for what is none.
pub fn wants(head: &[u8]) -> Result<Lock, BackupError> {
    Ok(Vault::wants(vault_of(head)?)?)
}

fn vault_of(head: &[u8]) -> Result<&[u8], BackupError> {
    let rest = head.strip_prefix(MAGIC).ok_or(BackupError::Foreign)?;
    let (version, vault) = rest.split_first().ok_or(BackupError::Damaged)?;
    if *version > VERSION {
        return Err(BackupError::Version { found: *version });
    }
    if *version == VERSION && vault.len() == FILE_LEN { Ok(vault) } else { Err(BackupError::Damaged) }
}

/// Opens a backup.
pub struct Opener {
    place: Place,
    ended: bool,
}

impl Opener {
    /// Begins with the [`HEAD_LEN`] bytes before the frames. Blocks for the time of Argon2id with a passphrase.
    ///
    /// # Errors
    /// [`BackupError`]: what is no backup, a newer one, a damaged one and a wrong passphrase are told apart.
    pub fn new(head: &[u8], with: Unlock<'_>) -> Result<Self, BackupError> {
        let vault = Vault::unlock(vault_of(head)?, with)?;
        Ok(Self { place: Place::new(&vault, head), ended: false })
    }

    /// How many sealed bytes the frame of this beginning has, and whether it is the last one.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] for a length that no frame has.
    pub fn length(head: [u8; FRAME_HEAD]) -> Result<(usize, bool), BackupError> {
        let told = u32::from_be_bytes(head);
        let length = usize::try_from(told & !LAST).map_err(|_| BackupError::Damaged)?;
        if length > FRAME_MAX { Err(BackupError::Damaged) } else { Ok((length, told & LAST != 0)) }
    }

    /// The plain bytes of the next frame.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] if it is not the next one, or was changed, or one was the last.
    pub fn open(&mut self, sealed: &[u8], last: bool) -> Result<Vec<u8>, BackupError> {
        if self.ended {
            return Err(BackupError::Damaged);
        }
        let aad = self.place.next(last);
        let plain = self.place.key.open(&aad, sealed).map_err(|_| BackupError::Damaged)?;
        self.ended = last;
        Ok(plain)
    }

    /// Whether the last frame was opened.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn rng() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    /// A backup of these pieces.
    fn sealed(pieces: &[&[u8]]) -> Vec<u8> {
        let with = Unlock::Passphrase("correct horse");
        let (mut sealer, mut file) = Sealer::new(&mut rng(), with, Stretch::CHEAPEST_FOR_TESTS).unwrap();
        for (at, piece) in pieces.iter().enumerate() {
            file.extend(sealer.seal(&mut rng(), piece, at + 1 == pieces.len()));
        }
        file
    }

    /// Reads a whole backup as a program does.
    fn opened(file: &[u8], with: Unlock<'_>) -> Result<Vec<u8>, BackupError> {
        let (head, mut rest) = file.split_at_checked(HEAD_LEN).ok_or(BackupError::Damaged)?;
        let mut opener = Opener::new(head, with)?;
        let mut plain = Vec::new();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk().ok_or(BackupError::Damaged)?;
            let (length, last) = Opener::length(*length)?;
            let (frame, after) = after.split_at_checked(length).ok_or(BackupError::Damaged)?;
            plain.extend(opener.open(frame, last)?);
            rest = after;
        }
        if opener.has_ended() { Ok(plain) } else { Err(BackupError::Damaged) }
    }

    const RIGHT: Unlock<'_> = Unlock::Passphrase("correct horse");

    #[test]
    fn a_backup_opens_to_what_was_sealed_with_its_passphrase_only() {
        let file = sealed(&[b"one", b"two", b""]);
        assert_eq!(opened(&file, RIGHT).unwrap(), b"onetwo");
        let wrong = opened(&file, Unlock::Passphrase("correct house"));
        assert_eq!(wrong, Err(BackupError::Vault(VaultError::WrongKey)));
        let key = phrase_key(&RootSeed::generate(&mut rng()));
        assert_eq!(opened(&file, Unlock::KeyFile(&key)), Err(BackupError::Vault(VaultError::WantsPassphrase)));
        assert_eq!(wants(&file[..HEAD_LEN]), Ok(Lock::Passphrase));
    }

    #[test]
    fn every_bit_counts_from_the_first_to_the_last() {
        let file = sealed(&[b"one", b"two", b"three"]);
        for at in 0..file.len() {
            for bit in [1, 0x80] {
                let mut changed = file.clone();
                changed[at] ^= bit;
                assert!(opened(&changed, RIGHT).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn nothing_may_lack_follow_or_stand_elsewhere() {
        let pieces: [&[u8]; 3] = [b"aaaa", b"bbbb", b"cccc"];
        let file = sealed(&pieces);
        for end in 0..file.len() {
            assert!(opened(&file[..end], RIGHT).is_err(), "cut at {end}");
        }
        let mut longer = file.clone();
        longer.push(0);
        assert_eq!(opened(&longer, RIGHT), Err(BackupError::Damaged));
        let size = FRAME_HEAD + 4 + 40;
        let frame = |n: usize| &file[HEAD_LEN + n * size..HEAD_LEN + (n + 1) * size];
        for order in [[1, 0, 2], [0, 0, 2], [0, 2, 1]] {
            let turned = order.iter().fold(file[..HEAD_LEN].to_vec(), |mut all, n| {
                all.extend_from_slice(frame(*n));
                all
            });
            assert_eq!(opened(&turned, RIGHT), Err(BackupError::Damaged), "{order:?}");
        }
        let without = [&file[..HEAD_LEN], frame(0), frame(2)].concat();
        assert_eq!(opened(&without, RIGHT), Err(BackupError::Damaged));
    }

    #[test]
    fn frames_of_two_backups_do_not_mix() {
        let with = Unlock::Passphrase("correct horse");
        let mut random = rng();
        let mut make = |plain: &[u8]| {
            let (mut sealer, head) = Sealer::new(&mut random, with, Stretch::CHEAPEST_FOR_TESTS).unwrap();
            (head, sealer.seal(&mut random, plain, true))
        };
        let ((head, _), (_, frame)) = (make(b"one"), make(b"other"));
        assert_eq!(opened(&[head, frame].concat(), RIGHT), Err(BackupError::Damaged));
    }

    #[test]
    fn the_words_of_the_account_open_a_backup_that_was_made_for_them() {
        let (mine, other) = (RootSeed::generate(&mut rng()), RootSeed::from_secret(Secret::new([9; 32])));
        let (key, wrong) = (phrase_key(&mine), phrase_key(&other));
        let with = Unlock::KeyFile(&key);
        let (mut sealer, mut file) = Sealer::new(&mut rng(), with, Stretch::RECOMMENDED).unwrap();
        file.extend(sealer.seal(&mut rng(), b"all", true));
        assert_eq!(opened(&file, with).unwrap(), b"all");
        assert_eq!(wants(&file[..HEAD_LEN]), Ok(Lock::KeyFile));
        assert_eq!(opened(&file, Unlock::KeyFile(&wrong)), Err(BackupError::Vault(VaultError::WrongKey)));
        assert_ne!(key.expose(), mine.secret().expose(), "the key says nothing of the words");
    }

    #[test]
    fn what_is_no_backup_and_what_is_newer_are_told_apart() {
        assert_eq!(wants(&[b'x'; HEAD_LEN]), Err(BackupError::Foreign));
        assert_eq!(wants(b""), Err(BackupError::Foreign));
        let mut newer = sealed(&[b"x"])[..HEAD_LEN].to_vec();
        newer[MAGIC.len()] = 2;
        assert_eq!(wants(&newer), Err(BackupError::Version { found: 2 }));
        assert_eq!(Opener::length([0x7f, 0, 0, 0]), Err(BackupError::Damaged), "memory is never asked for more");
    }
}
