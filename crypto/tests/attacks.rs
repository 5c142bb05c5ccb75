//! What somebody hostile may hand in: weak and second encodings of keys, malleable signatures, things signed or sealed
//! for another use, place or person, changed bytes, far jumps.

mod common;

use std::ops::{Add, Mul};

use common::{bit_flips, bytes, rng};
use ed25519_dalek::Verifier;
use parlor_crypto::account::{CertError, DeviceCert, DeviceRevoke, RootSeed};
use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::epoch::{ChainError, EpochSecret, SliceSecret};
use parlor_crypto::hpke::{self, Row, RowContext, RowError, WelcomeContext};
use parlor_crypto::leaf::{LeafError, LeafPublic, LeafRecord, LeafSecret};
use parlor_crypto::limits::{MAX_DEVICE_NAME, MAX_FENCE, MAX_GENERATION, MAX_SLICE};
use parlor_crypto::seal::{self, MessageKey};
use parlor_crypto::{OpenError, PublicKey, Secret, Signature, SigningKey, label, wrap};
use sha2::{Digest, Sha512};

/// All encodings of the eight points of low order on the curve: eight canonical, six second ones.
const ED25519_LOW_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// The list of <https://cr.yp.to/ecdh.html#validate>, and what else falls on it once the top bit is cut off.
const X25519_LOW_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

#[test]
fn the_identity_point_signs_anything_for_plain_verify_and_nothing_for_ours() {
    let identity = bytes(ED25519_LOW_ORDER[0]);
    let mut forged = [0; 64];
    forged[..32].copy_from_slice(&identity);

    let weak = ed25519_dalek::VerifyingKey::from_bytes(&identity).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(&forged);
    #[allow(clippy::disallowed_methods, reason = "shows why it is disallowed (finding F1)")]
    let plain = weak.verify(b"any message at all", &signature);
    assert!(plain.is_ok(), "the library has changed: finding F1 no longer holds");
    assert!(weak.verify_strict(b"any message at all", &signature).is_err());

    assert!(PublicKey::parse(&identity).is_err());
}

#[test]
fn no_encoding_of_a_low_order_point_is_a_signing_key() {
    for hex in ED25519_LOW_ORDER {
        assert!(PublicKey::parse(&bytes(hex)).is_err(), "{hex}");
    }
}

#[test]
fn second_encodings_of_points_are_no_signing_keys() {
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut encoding = [0xff; 32];
            (encoding[0], encoding[31]) = (low, high);
            assert!(PublicKey::parse(&encoding).is_err(), "{encoding:02x?}");
        }
    }
}

#[test]
fn a_signature_with_the_group_order_added_is_refused() {
    const ORDER: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let key = SigningKey::generate(&mut rng(1));
    let good = key.sign(label::SIGN_EVENT, &[b"header"]);
    assert_eq!(key.public().verify(label::SIGN_EVENT, &[b"header"], &good), Ok(()));

    let mut malleated = good.0;
    let mut carry = 0;
    for (byte, order) in malleated[32..].iter_mut().zip(bytes::<32>(ORDER)) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert!(key.public().verify(label::SIGN_EVENT, &[b"header"], &Signature(malleated)).is_err());
}

#[test]
fn a_signature_with_a_low_order_nonce_point_is_refused() {
    let key = SigningKey::generate(&mut rng(2)).public();
    for hex in ED25519_LOW_ORDER {
        let mut forged = [0; 64];
        forged[..32].copy_from_slice(&bytes::<32>(hex));
        assert!(key.verify(label::SIGN_EVENT, &[b"header"], &Signature(forged)).is_err());
    }
}

/// The number that the bytes are, the least first, of the type of `like`.
fn number<S: Copy + From<u64> + Add<Output = S> + Mul<Output = S>>(_like: S, bytes: &[u8]) -> S {
    bytes.iter().rev().fold(S::from(0), |number, byte| number * S::from(256) + S::from(u64::from(*byte)))
}

#[test]
fn not_even_the_owner_signs_with_a_low_order_nonce_point_though_plain_verify_takes_it() {
    let seed = Secret::new([3; 32]);
    let (ours, raw) = (SigningKey::from_seed(&seed), ed25519_dalek::SigningKey::from_bytes(seed.expose()));
    let message = [b"parlor/1 ", label::SIGN_EVENT.as_bytes(), &[0], b"header"].concat();
    // With the identity as nonce point S is the challenge times the secret scalar.
    let nonce: [u8; 32] = bytes(ED25519_LOW_ORDER[0]);
    let challenge =
        Sha512::new().chain_update(nonce).chain_update(ours.public_bytes()).chain_update(&message).finalize();
    let scalar = raw.to_scalar();
    let mut forged = [0; 64];
    forged[..32].copy_from_slice(&nonce);
    forged[32..].copy_from_slice(&(number(scalar, &challenge) * scalar).to_bytes());

    #[allow(clippy::disallowed_methods, reason = "shows why it is disallowed: others check otherwise")]
    let plain = raw.verifying_key().verify(&message, &ed25519_dalek::Signature::from_bytes(&forged));
    assert!(plain.is_ok());
    assert!(ours.public().verify(label::SIGN_EVENT, &[b"header"], &Signature(forged)).is_err());
}

#[test]
fn a_signature_for_one_use_is_none_for_another() {
    let key = SigningKey::generate(&mut rng(3));
    for made in label::SIGNATURES {
        let signature = key.sign(made, &[b"bytes"]);
        for checked in label::SIGNATURES {
            let verdict = key.public().verify(checked, &[b"bytes"], &signature);
            assert_eq!(verdict.is_ok(), made == checked, "{made} as {checked}");
        }
    }
}

#[test]
fn every_changed_bit_of_signature_or_message_is_refused() {
    let key = SigningKey::generate(&mut rng(4));
    let signature = key.sign(label::SIGN_EVENT, &[b"room", b"header"]);
    for changed in bit_flips(&signature.0) {
        let changed = Signature(changed.try_into().unwrap());
        assert!(key.public().verify(label::SIGN_EVENT, &[b"roomheader"], &changed).is_err());
    }
    for changed in bit_flips(b"roomheader") {
        assert!(key.public().verify(label::SIGN_EVENT, &[&changed], &signature).is_err());
    }
}

#[test]
fn no_low_order_point_enters_any_agreement() {
    let mut rng = rng(5);
    let device = SigningKey::generate(&mut rng);
    let leaf = LeafSecret::generate(&mut rng);
    let (context, secret) = row_context(&mut rng);
    let id = device.public_bytes();
    let row = hpke::seal_row(&mut rng, &context, &id, &leaf.public(), &secret);
    let boxed = hpke::seal_box(&mut rng, "test", b"", &leaf.public(), b"", b"text");
    let welcome_context = WelcomeContext { room_id: [1; 32], invite: [2; 32], device: id };
    let welcome = hpke::seal_welcome(&mut rng, &welcome_context, &leaf.public(), b"keys");
    for hex in X25519_LOW_ORDER {
        let point: [u8; 32] = bytes(hex);
        assert!(LeafPublic::parse(&point).is_err(), "{hex}");

        let parts: [&[u8]; 4] = [&id, &1_u64.to_be_bytes(), &point, &2_u64.to_be_bytes()];
        let sig = device.sign(label::SIGN_LEAF, &parts);
        let record = LeafRecord { device: id, counter: 1, leaf_pk: point, ts: 2, sig };
        assert!(matches!(record.verify(), Err(LeafError::Key(_))), "{hex}");

        let opened = hpke::open_row(&context, &id, &leaf, &Row { enc: point, ..row });
        assert_eq!(opened, Err(RowError::Open(OpenError)));
        let swapped = [&point, &boxed[32..]].concat();
        assert!(hpke::open_box("test", b"", &leaf, b"", &swapped).is_err());
        let swapped = [&point, &welcome[32..]].concat();
        assert!(hpke::open_welcome(&welcome_context, &leaf, &swapped).is_err());
    }
}

#[test]
fn a_leaf_key_has_one_encoding() {
    let key = *LeafSecret::generate(&mut rng(6)).public().as_bytes();
    assert!(LeafPublic::parse(&key).is_ok());
    let mut second = key;
    second[31] |= 0x80;
    assert!(LeafPublic::parse(&second).is_err());
    for low in 0xed..=0xff {
        let mut encoding = [0xff; 32];
        (encoding[0], encoding[31]) = (low, 0x7f);
        assert!(LeafPublic::parse(&encoding).is_err(), "{encoding:02x?}");
    }
}

#[test]
fn a_leaf_record_holds_for_nothing_but_itself() {
    let mut rng = rng(7);
    let device = SigningKey::generate(&mut rng);
    let leaf = LeafSecret::generate(&mut rng).public();
    let other = LeafSecret::generate(&mut rng).public();
    let record = LeafRecord::issue(&device, 7, &leaf, 1000);
    assert_eq!(record.verify(), Ok(leaf));
    for changed in [
        LeafRecord { device: SigningKey::generate(&mut rng).public_bytes(), ..record },
        LeafRecord { counter: 8, ..record },
        LeafRecord { leaf_pk: *other.as_bytes(), ..record },
        LeafRecord { ts: 1001, ..record },
    ] {
        assert!(matches!(changed.verify(), Err(LeafError::Signature(_))));
    }
}

#[test]
fn a_certificate_holds_for_nothing_but_itself() {
    let mut rng = rng(8);
    let (seed, stranger) = (RootSeed::generate(&mut rng), RootSeed::generate(&mut rng));
    let account = seed.inception().account();
    let device = SigningKey::generate(&mut rng).public();
    let cert = DeviceCert::issue(&seed.root_key(0), account, &device, "laptop", 5, 1).unwrap();
    assert_eq!(cert.verify(&seed.inception()), Ok(device));
    assert_eq!(cert.verify(&stranger.inception()), Err(CertError::OtherAccount));
    for changed in [
        DeviceCert { device_pk: SigningKey::generate(&mut rng).public_bytes(), ..cert.clone() },
        DeviceCert { name: "laptoq".into(), ..cert.clone() },
        DeviceCert { created: 6, ..cert.clone() },
        DeviceCert { seq: 2, ..cert.clone() },
        DeviceCert { account: [9; 32], ..cert.clone() },
    ] {
        assert!(changed.verify(&seed.inception()).is_err());
        assert!(changed.verify_by(&seed.root_key(0).public()).is_err());
    }
    let by_next_root = DeviceCert::issue(&seed.root_key(1), account, &device, "laptop", 5, 1).unwrap();
    assert!(matches!(by_next_root.verify(&seed.inception()), Err(CertError::Signature(_))));
    assert_eq!(by_next_root.verify_by(&seed.root_key(1).public()), Ok(device));
}

#[test]
fn a_certificate_for_a_weak_device_key_does_not_hold() {
    let seed = RootSeed::generate(&mut rng(9));
    let (account, weak) = (seed.inception().account(), [0; 32]);
    let parts: [&[u8]; 5] = [&account, &weak, &5_u64.to_be_bytes(), &1_u64.to_be_bytes(), b"laptop"];
    let sig = seed.root_key(0).sign(label::SIGN_DEVICE_CERT, &parts);
    let cert = DeviceCert { account, device_pk: weak, name: "laptop".into(), created: 5, seq: 1, sig };
    assert!(matches!(cert.verify(&seed.inception()), Err(CertError::Key(_))));
}

#[test]
fn an_inception_with_a_weak_root_certifies_nobody() {
    let mut rng = rng(10);
    let mut inception = RootSeed::generate(&mut rng).inception();
    inception.root_pk = bytes(ED25519_LOW_ORDER[0]);
    let mut sig = [0; 64];
    sig[0] = 1;
    let cert = DeviceCert {
        account: inception.account(),
        device_pk: SigningKey::generate(&mut rng).public_bytes(),
        name: String::new(),
        created: 0,
        seq: 0,
        sig: Signature(sig),
    };
    assert!(matches!(cert.verify(&inception), Err(CertError::Key(_))));
}

#[test]
fn a_revocation_holds_for_nothing_but_itself_and_is_no_certificate() {
    let mut rng = rng(11);
    let seed = RootSeed::generate(&mut rng);
    let (root, account) = (seed.root_key(0), seed.inception().account());
    let device = SigningKey::generate(&mut rng).public_bytes();
    let revoke = DeviceRevoke::issue(&root, account, device, vec![1, 2]).unwrap();
    assert_eq!(revoke.verify(&seed.inception()), Ok(()));
    assert!(DeviceRevoke { fence: vec![1, 3], ..revoke.clone() }.verify(&seed.inception()).is_err());
    assert!(DeviceRevoke { device_pk: account, ..revoke.clone() }.verify(&seed.inception()).is_err());
    // The same bytes, cut differently.
    let as_cert = DeviceCert { account, device_pk: device, name: String::new(), created: 0, seq: 0, sig: revoke.sig };
    assert!(as_cert.verify(&seed.inception()).is_err());
}

#[test]
fn what_is_too_long_is_neither_signed_nor_believed() {
    let mut rng = rng(12);
    let seed = RootSeed::generate(&mut rng);
    let (root, account) = (seed.root_key(0), seed.inception().account());
    let device = SigningKey::generate(&mut rng).public();
    let name = "n".repeat(MAX_DEVICE_NAME + 1);
    assert_eq!(DeviceCert::issue(&root, account, &device, &name, 0, 0), Err(CertError::TooLong));
    let fence = vec![0; MAX_FENCE + 1];
    assert_eq!(DeviceRevoke::issue(&root, account, *device.as_bytes(), fence), Err(CertError::TooLong));
    let mut cert = DeviceCert::issue(&root, account, &device, "n", 0, 0).unwrap();
    cert.name = name;
    assert_eq!(cert.verify(&seed.inception()), Err(CertError::TooLong));
}

#[test]
fn a_row_opens_only_in_its_room_and_rotate_for_its_device_and_leaf() {
    let mut rng = rng(13);
    let leaf = LeafSecret::generate(&mut rng);
    let (context, secret) = row_context(&mut rng);
    let row = hpke::seal_row(&mut rng, &context, &[7; 32], &leaf.public(), &secret);
    assert_eq!(hpke::open_row(&context, &[7; 32], &leaf, &row), Ok(secret));

    let refused = Err(RowError::Open(OpenError));
    assert_eq!(hpke::open_row(&context, &[8; 32], &leaf, &row), refused);
    assert_eq!(hpke::open_row(&context, &[7; 32], &LeafSecret::generate(&mut rng), &row), refused);
    for moved in [
        RowContext { room_id: [0; 32], ..context },
        RowContext { commit: [0; 32], ..context },
        RowContext { member_root: [0; 32], ..context },
    ] {
        assert_eq!(hpke::open_row(&moved, &[7; 32], &leaf, &row), refused);
    }
    let flat = [row.hint.as_slice(), &row.enc, &row.ct].concat();
    assert_eq!(flat.len(), Row::LEN);
    for changed in bit_flips(&flat) {
        let (hint, rest) = changed.split_first_chunk().unwrap();
        let (enc, ct) = rest.split_first_chunk().unwrap();
        // X25519 ignores the top bit of a point, but HPKE binds its bytes.
        let changed = Row { hint: *hint, enc: *enc, ct: ct.try_into().unwrap() };
        assert_eq!(hpke::open_row(&context, &[7; 32], &leaf, &changed), refused);
    }
}

#[test]
fn a_rotator_who_gives_somebody_another_secret_is_found_out() {
    let mut rng = rng(14);
    let leaf = LeafSecret::generate(&mut rng);
    let (context, _) = row_context(&mut rng);
    let other = EpochSecret::generate(&mut rng, &[]);
    let row = hpke::seal_row(&mut rng, &context, &[7; 32], &leaf.public(), &other);
    assert_eq!(hpke::open_row(&context, &[7; 32], &leaf, &row), Err(RowError::Commit));
}

#[test]
fn a_welcome_opens_only_for_its_join() {
    let mut rng = rng(15);
    let leaf = LeafSecret::generate(&mut rng);
    let context = WelcomeContext { room_id: [1; 32], invite: [2; 32], device: [3; 32] };
    let sealed = hpke::seal_welcome(&mut rng, &context, &leaf.public(), b"topic secret and keys");
    assert_eq!(hpke::open_welcome(&context, &leaf, &sealed).unwrap().as_slice(), b"topic secret and keys");
    for moved in [
        WelcomeContext { room_id: [0; 32], ..context },
        WelcomeContext { invite: [0; 32], ..context },
        WelcomeContext { device: [0; 32], ..context },
    ] {
        assert!(hpke::open_welcome(&moved, &leaf, &sealed).is_err());
    }
    assert!(hpke::open_welcome(&context, &LeafSecret::generate(&mut rng), &sealed).is_err());
    for changed in bit_flips(&sealed) {
        assert!(hpke::open_welcome(&context, &leaf, &changed).is_err());
    }
    for len in 0..sealed.len() {
        assert!(hpke::open_welcome(&context, &leaf, &sealed[..len]).is_err());
    }
}

#[test]
fn a_box_opens_only_with_its_label_context_and_associated_data() {
    let mut rng = rng(16);
    let leaf = LeafSecret::generate(&mut rng);
    let sealed = hpke::seal_box(&mut rng, "inbox", b"place", &leaf.public(), b"beside", b"text");
    assert_eq!(hpke::open_box("inbox", b"place", &leaf, b"beside", &sealed).unwrap().as_slice(), b"text");
    assert!(hpke::open_box("inbo", b"place", &leaf, b"beside", &sealed).is_err());
    assert!(hpke::open_box("inbox", b"other", &leaf, b"beside", &sealed).is_err());
    assert!(hpke::open_box("inbox", b"place", &leaf, b"", &sealed).is_err());
}

#[test]
fn every_changed_bit_of_a_sealed_message_its_header_or_room_is_refused() {
    let key = MessageKey::from_secret(Secret::new([5; 32]));
    let (room, header) = ([1; 32], b"header with payload fields zeroed");
    let payload = seal::seal(&key, &room, header, b"hello");
    assert_eq!(payload.len(), seal::sealed_len(5));
    assert_eq!(seal::open(&key, &room, header, &payload).unwrap().as_slice(), b"hello");
    for changed in bit_flips(&payload) {
        assert!(seal::open(&key, &room, header, &changed).is_err());
    }
    for changed in bit_flips(header) {
        assert!(seal::open(&key, &room, &changed, &payload).is_err());
    }
    for changed in bit_flips(&room) {
        assert!(seal::open(&key, &changed.try_into().unwrap(), header, &payload).is_err());
    }
    for changed in bit_flips(key.secret().expose()) {
        let key = MessageKey::from_secret(Secret::new(changed.try_into().unwrap()));
        assert!(seal::open(&key, &room, header, &payload).is_err());
    }
    for len in 0..payload.len() {
        assert!(seal::open(&key, &room, header, &payload[..len]).is_err());
    }
}

#[test]
fn a_sealed_message_with_other_padding_than_ours_is_refused() {
    use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit, Nonce};

    let key = MessageKey::from_secret(Secret::new([5; 32]));
    let aad = [[1; 32].as_slice(), b"header"].concat();
    for padded in [b"".as_slice(), b"text", b"text\x80", &[0; 32], &[b"text\x80".as_slice(), &[0; 59]].concat()] {
        let mut payload = padded.to_vec();
        let cipher = ChaCha20Poly1305::new(key.secret().expose().into());
        cipher.encrypt_in_place(&Nonce::default(), &aad, &mut payload).unwrap();
        assert!(seal::open(&key, &[1; 32], b"header", &payload).is_err(), "{padded:02x?}");
    }
}

#[test]
fn a_far_jump_is_refused_before_any_work_and_changes_nothing() {
    let mut slice = EpochSecret::from_secret(Secret::new([1; 32])).slice(3).unwrap();
    let mut chain = slice.sender(&[2; 32]);
    chain.advance_to(10).unwrap();
    let (slice_before, chain_before) = (slice.clone(), chain.clone());

    assert_eq!(chain.advance_to(u32::MAX), Err(ChainError::TooFar));
    assert_eq!(chain.advance_to(MAX_GENERATION + 1), Err(ChainError::TooFar));
    assert_eq!(chain.advance_to(9), Err(ChainError::Gone));
    assert_eq!(slice.advance_to(MAX_SLICE + 1), Err(ChainError::TooFar));
    assert_eq!(slice.advance_to(2), Err(ChainError::Gone));
    assert_eq!((&slice, &chain), (&slice_before, &chain_before));
    assert_eq!(SliceSecret::from_secret(MAX_SLICE + 1, Secret::new([0; 32])), Err(ChainError::TooFar));

    chain.advance_to(MAX_GENERATION).unwrap();
    assert_eq!(chain.generation(), MAX_GENERATION);
}

#[test]
fn a_wrapped_frame_opens_only_with_its_key_and_unchanged() {
    let mut rng = rng(17);
    let epoch = EpochSecret::generate(&mut rng, &[]);
    let (key, next) = (epoch.slice(0).unwrap().gossip(), epoch.slice(1).unwrap().gossip());
    let wrapped = key.wrap(&mut rng, b"event");
    assert_eq!(wrapped.len(), 5 + wrap::OVERHEAD);
    assert_eq!(wrap::hint(&wrapped), Some(key.hint()));
    assert_eq!(key.unwrap(&wrapped).unwrap(), b"event");
    assert_eq!(next.unwrap(&wrapped), Err(OpenError));
    for changed in bit_flips(&wrapped) {
        assert_eq!(key.unwrap(&changed), Err(OpenError));
    }
    for len in 0..wrapped.len() {
        assert_eq!(key.unwrap(&wrapped[..len]), Err(OpenError));
    }
    assert_eq!(wrap::hint(&wrapped[..wrap::OVERHEAD - 1]), None);
}

#[test]
fn a_sealed_value_opens_only_in_its_place_and_unchanged() {
    let mut rng = rng(18);
    let key = EnvelopeKey::new(&Secret::random(&mut rng));
    let sealed = key.seal(&mut rng, b"tree/key", b"value");
    assert_eq!(key.open(b"tree/key", &sealed).unwrap(), b"value");
    assert_eq!(key.open_in_place(b"tree/key", &mut sealed.clone()).unwrap(), b"value");
    assert_eq!(key.open(b"tree/other", &sealed), Err(OpenError));
    for mut changed in bit_flips(&sealed) {
        assert_eq!(key.open(b"tree/key", &changed), Err(OpenError));
        let before = changed.clone();
        assert_eq!(key.open_in_place(b"tree/key", &mut changed), Err(OpenError));
        assert_eq!(changed, before);
    }
    for len in 0..sealed.len() {
        assert_eq!(key.open(b"tree/key", &sealed[..len]), Err(OpenError));
    }
}

fn row_context(rng: &mut impl rand::CryptoRng) -> (RowContext, EpochSecret) {
    let secret = EpochSecret::generate(rng, &[]);
    let room_id = [1; 32];
    (RowContext { room_id, commit: secret.commit(&room_id), member_root: [3; 32] }, secret)
}
