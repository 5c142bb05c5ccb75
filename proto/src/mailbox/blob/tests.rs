//! Blobs have few lengths, open in their box alone, and carry everything that was packed.

use parlor_crypto::Secret;
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::mailbox::{BoxKeys, InboxSecret};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::mailbox::limits::MAX_INBOX_BLOB;
use crate::mailbox::name::BoxKind;
use crate::mailbox::proof::name_of;
use crate::wire::SeriesKind;

fn room(slice: u32) -> (BoxName, BoxKeys) {
    let keys = EpochSecret::from_secret(Secret::new([7; 32])).slice(slice).unwrap().mailbox();
    (name_of(BoxKind::Room, &keys.sign), keys)
}

fn record(n: u8, len: usize) -> Mail {
    Mail::Record(Item { kind: SeriesKind::Message, bytes: Blob(vec![n; len]) })
}

#[test]
fn a_blob_has_the_length_of_a_class_and_opens_to_its_content_in_its_box_alone() {
    let mut rng = StdRng::seed_from_u64(1);
    let (name, keys) = room(0);
    for len in [0, 1, 470, 471, 472, 5_000, MAX_CONTENT] {
        let content = vec![0x80; len];
        let blob = seal_blob(&mut rng, &name, &keys.seal, &content).unwrap();
        assert!(is_class(blob.len()) && blob.len() < 2 * (len + 512), "{len} in {}", blob.len());
        assert_eq!(open_blob(&name, &keys.seal, &blob), Ok(content));
    }
    assert_eq!(seal_blob(&mut rng, &name, &keys.seal, &vec![0; MAX_CONTENT + 1]), Err(BlobError::TooLong));
    let blob = seal_blob(&mut rng, &name, &keys.seal, b"hello").unwrap();
    let (later, later_keys) = room(1);
    let door = BoxName { kind: BoxKind::Door, ..name };
    for (name, key) in [(later, &keys.seal), (name, &later_keys.seal), (door, &keys.seal)] {
        assert_eq!(open_blob(&name, key, &blob), Err(BlobError::Sealed));
    }
    assert_eq!(open_blob(&name, &keys.seal, &blob[..511]), Err(BlobError::Size));
    for at in [0, 24, 100, 511] {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        assert_eq!(open_blob(&name, &keys.seal, &changed), Err(BlobError::Sealed));
    }
    for padded in [vec![0; 472], vec![1; 472]] {
        let unmarked = keys.seal.seal(&mut rng, &name.to_bytes(), &padded);
        assert_eq!(open_blob(&name, &keys.seal, &unmarked), Err(BlobError::Content));
    }
}

#[test]
fn who_is_given_a_later_slice_reaches_its_box_and_no_earlier_one() {
    let epoch = EpochSecret::from_secret(Secret::new([7; 32]));
    let given = epoch.slice(3).unwrap();
    let mut later = given.clone();
    later.advance_to(5).unwrap();
    assert_eq!(later.mailbox().sign.public_bytes(), room(5).1.sign.public_bytes());
    let names: std::collections::BTreeSet<_> = (0..6).map(|slice| room(slice).0).collect();
    assert_eq!(names.len(), 6);
}

#[test]
fn an_inbox_is_opened_by_its_account_alone() {
    let mut rng = StdRng::seed_from_u64(2);
    let keys = InboxSecret::from_secret(Secret::new([3; 32])).keys();
    let name = name_of(BoxKind::Inbox, &keys.sign);
    let blob = seal_inbox_blob(&mut rng, &name, &keys.leaf.public(), b"let me in").unwrap();
    assert_eq!(blob.len(), 512);
    assert_eq!(open_inbox_blob(&name, &keys.leaf, &blob), Ok(b"let me in".to_vec()));
    let other = InboxSecret::from_secret(Secret::new([4; 32])).keys();
    assert_eq!(open_inbox_blob(&name, &other.leaf, &blob), Err(BlobError::Sealed));
    let long = vec![1; MAX_INBOX_BLOB];
    assert_eq!(seal_inbox_blob(&mut rng, &name, &keys.leaf.public(), &long), Err(BlobError::TooLong));
    assert_eq!(open_inbox_blob(&name, &keys.leaf, &vec![0; 2 * MAX_INBOX_BLOB]), Err(BlobError::Size));
}

proptest! {
    #[test]
    fn what_is_packed_comes_out_in_order_and_every_bundle_fits_a_blob(
        lens in prop::collection::vec(0_usize..30_000, 1..40), small in 0_usize..300,
    ) {
        let mails: Vec<Mail> = (0..small).map(|n| record(n as u8, 3))
            .chain(lens.iter().map(|len| record(*len as u8, *len)))
            .collect();
        let bundles = Bundle::pack(mails.clone());
        for bundle in &bundles {
            let content = bundle.encode();
            prop_assert!(content.len() <= MAX_CONTENT);
            prop_assert_eq!(&Bundle::decode(&content).unwrap(), bundle);
        }
        prop_assert_eq!(bundles.into_iter().flat_map(|bundle| bundle.0).collect::<Vec<_>>(), mails);
    }

    #[test]
    fn no_bytes_are_a_bundle_but_those_that_encode_one(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(bundle) = Bundle::decode(&bytes) {
            prop_assert_eq!(bundle.encode(), bytes);
        }
    }
}

#[test]
fn pages_that_fill_several_blobs_lie_in_each_behind_the_rotate_that_they_are_of() {
    let page = |n: u8| Mail::Page(Blob(vec![n; 700]));
    let mails: Vec<Mail> = [record(1, 90), record(2, 1_000)].into_iter().chain((0..200).map(page)).collect();
    let bundles = Bundle::pack(mails.iter().cloned().chain([record(3, 5)]));
    assert!(bundles.len() > 2);
    let [first, rest @ ..] = bundles.as_slice() else { panic!("there are bundles") };
    assert!(rest.iter().all(|bundle| bundle.0[0] == record(2, 1_000) && bundle.encode().len() <= MAX_CONTENT));
    let once = first.0.iter().chain(rest.iter().flat_map(|bundle| &bundle.0[1..]));
    assert_eq!(once.cloned().collect::<Vec<_>>(), mails.into_iter().chain([record(3, 5)]).collect::<Vec<_>>());
}

#[test]
fn empty_and_overfull_bundles_are_refused() {
    assert_eq!(Bundle::decode(&Bundle::default().encode()), Err(BlobError::Content));
    let many = Bundle((0..=MAX_MAILS).map(|_| record(1, 0)).collect());
    assert_eq!(Bundle::decode(&many.encode()), Err(BlobError::Content));
}
