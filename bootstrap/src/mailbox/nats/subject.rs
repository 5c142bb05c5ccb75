//! Subjects of the stream: which box and blob a message is, and how long.

use parlor_proto::mailbox::{BlobId, BoxName, StoreId};

pub(super) const PREFIX: &str = "parlor.mail";

/// What every blob of a box has.
pub(super) fn of_box(name: &BoxName) -> String {
    format!("{PREFIX}.{}.>", hex(&name.to_bytes()))
}

/// A blob of a box, whatever its length.
pub(super) fn of_blob(name: &BoxName, id: &BlobId) -> String {
    format!("{PREFIX}.{}.{}.*", hex(&name.to_bytes()), hex(&id.0))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |half: u8| char::from_digit(u32::from(half), 16);
    text.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten());
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let pairs = text.as_bytes().as_chunks::<2>();
    if text.len() != 2 * N {
        return None;
    }
    let digit = |letter: u8| u8::try_from(char::from(letter).to_digit(16)?).ok();
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs.0) {
        *byte = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(bytes)
}

pub(super) fn parse_id(description: &str) -> Option<StoreId> {
    unhex(description.strip_prefix("mailboxes ")?).map(StoreId)
}

pub(super) fn subject(name: &BoxName, id: &BlobId, len: u64) -> String {
    let mut text = String::with_capacity(160);
    text.push_str(PREFIX);
    for part in [&name.to_bytes()[..], &id.0] {
        text.push('.');
        push_hex(&mut text, part);
    }
    text + "." + &len.to_string()
}

pub(super) fn parse_subject(subject: &str) -> Option<(BoxName, BlobId, u32)> {
    let mut parts = subject.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
    let name = BoxName::from_bytes(&unhex(parts.next()?)?)?;
    let id = BlobId(unhex(parts.next()?)?);
    Some((name, id, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use parlor_proto::mailbox::BoxKind;

    use super::*;

    #[test]
    fn a_subject_says_box_blob_and_length_and_nothing_else_is_one() {
        let (name, id) = (BoxName { kind: BoxKind::Door, key: [0xa0; 32] }, BlobId([0x0f; 32]));
        let text = subject(&name, &id, 512);
        assert_eq!(text, format!("{PREFIX}.{}.{}.512", "02".to_owned() + &"a0".repeat(32), "0f".repeat(32)));
        assert_eq!(parse_subject(&text), Some((name, id, 512)));
        for other in [text.replace("0f0f", "+f+f"), text.replace(".512", ""), text.replace("a0a0", "a0")] {
            assert_eq!(parse_subject(&other), None, "{other}");
        }
    }
}
