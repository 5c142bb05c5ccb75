//! Labelled HKDF-SHA256 (RFC 5869), in the shape of MLS ExpandWithLabel.
//!
//! `KDF(secret, label, ctx, L)` = HKDF-Expand with the 32-byte secret as key and
//! `info = u16(L) || u8(len) || "parlor/1 " label || u32(|ctx|) || ctx`, numbers big-endian, `len` the length of
//! `"parlor/1 " label`. Contexts are given in at most seven parts, concatenated without lengths; `L` is at most 64.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::secret::{Secret, SecretBytes};

const PREFIX: &[u8] = b"parlor/1 ";

/// `KDF(secret, label, context, N)`, secret output.
pub fn derive<const N: usize>(secret: &Secret, label: &'static str, context: &[&[u8]]) -> SecretBytes<N> {
    SecretBytes::fill(|out| expand(secret, label, context, out))
}

/// `KDF(secret, label, context, N)` for outputs that are shown to others: commitments, probes, hints.
pub fn derive_public<const N: usize>(secret: &Secret, label: &'static str, context: &[&[u8]]) -> [u8; N] {
    let mut out = [0; N];
    expand(secret, label, context, &mut out);
    out
}

/// HKDF-Extract: a uniform secret from key material.
pub fn extract(salt: &[u8], key_material: &[u8]) -> Secret {
    Secret::fill(|out| out.copy_from_slice(&Hkdf::<Sha256>::extract(Some(salt), key_material).0))
}

#[allow(clippy::expect_used, reason = "the sizes are fixed by the types: a 32-byte key, an output of at most 64 bytes")]
fn expand<const N: usize>(secret: &Secret, label: &'static str, context: &[&[u8]], out: &mut [u8; N]) {
    const { assert!(N <= 64) };
    let label_len = u8::try_from(PREFIX.len() + label.len()).expect("labels are short constants");
    let context_len: usize = context.iter().map(|part| part.len()).sum();
    let context_len = u32::try_from(context_len).expect("contexts are ids and hashes");
    let mut info: [&[u8]; 12] = [&[]; 12];
    let out_len = [0, N as u8];
    let label_len = [label_len];
    let context_len = context_len.to_be_bytes();
    info[..5].copy_from_slice(&[&out_len, &label_len, PREFIX, label.as_bytes(), &context_len]);
    info[5..5 + context.len()].copy_from_slice(context);
    let hkdf = Hkdf::<Sha256>::from_prk(secret.expose()).expect("a key of the hash's length");
    hkdf.expand_multi_info(&info[..5 + context.len()], out).expect("two blocks at most");
}
