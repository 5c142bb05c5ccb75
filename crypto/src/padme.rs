//! Padding: bodies are filled up to few possible lengths, so that a sealed length tells little about its content.
//!
//! `body || 0x80 || 0x00...`, up to the Padmé length of `|body| + 1` (Nikitin et al., "Reducing Metadata Leakage from
//! Encrypted Files and Communication with PURBs", 2019), at least [`MIN_LEN`]: at most 12 % more, and for a length L
//! only O(log log L) bits of it remain visible. The padding is canonical: any other filling is refused.

/// Shortest padded length in bytes: "yes" and "no", or a reaction and a word, look alike.
pub const MIN_LEN: usize = 32;

const MARK: u8 = 0x80;

/// Padded length of a body of `len` bytes.
pub const fn padded_len(len: usize) -> usize {
    let marked = len.saturating_add(1);
    if marked <= MIN_LEN { MIN_LEN } else { padme(marked) }
}

/// The Padmé length: the lowest bits are rounded up until only as many significant ones stay as the exponent has bits.
const fn padme(len: usize) -> usize {
    let exponent = len.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - significant)) - 1;
    match len.checked_add(mask) {
        Some(sum) => sum & !mask,
        None => len,
    }
}

/// Appends the padded body to `out`.
pub fn pad_into(body: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + padded_len(body.len());
    out.reserve(padded_len(body.len()));
    out.extend_from_slice(body);
    out.push(MARK);
    out.resize(end, 0);
}

/// Length of the body in a padded body, or `None` if the padding is not the canonical one.
pub fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let len = padded.iter().rposition(|byte| *byte != 0)?;
    (padded[len] == MARK && padded_len(len) == padded.len()).then_some(len)
}
