//! What holds for any input: lengths, round trips, uniqueness of keys, one-way chains, silence of `Debug`.

mod common;

use std::collections::HashSet;
use std::fmt::Debug;

use common::{Counting, hex, rng};
use parlor_crypto::account::RootSeed;
use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::epoch::EpochSecret;
use parlor_crypto::invite::{InviteSeed, knock_key};
use parlor_crypto::leaf::LeafSecret;
use parlor_crypto::padme;
use parlor_crypto::phrase::{self, PhraseError};
use parlor_crypto::seal::{self, MessageKey};
use parlor_crypto::secret::SecretBytes;
use parlor_crypto::topic::{Connection, PLACE_MS, Side, TopicSecret};
use parlor_crypto::vault::{Lock, Stretch, Unlock, Vault, VaultError};
use parlor_crypto::{Secret, Signature, SigningKey, hash, kdf, label};
use proptest::prelude::*;
use zeroize::{Zeroize, ZeroizeOnDrop};

proptest! {
    #[test]
    fn padding_comes_off_again(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut padded = Vec::new();
        padme::pad_into(&body, &mut padded);
        prop_assert_eq!(padded.len(), padme::padded_len(body.len()));
        prop_assert_eq!(padme::unpadded_len(&padded), Some(body.len()));
    }

    #[test]
    fn only_canonical_padding_comes_off(padded in proptest::collection::vec(prop_oneof![Just(0), Just(0x80), any::<u8>()], 0..100)) {
        if let Some(len) = padme::unpadded_len(&padded) {
            let mut again = Vec::new();
            padme::pad_into(&padded[..len], &mut again);
            prop_assert_eq!(again, padded);
        }
    }

    #[test]
    fn a_sealed_body_opens_to_itself(body in proptest::collection::vec(any::<u8>(), 0..2000), header in any::<[u8; 40]>()) {
        let key = MessageKey::from_secret(Secret::new([9; 32]));
        let payload = seal::seal(&key, &[1; 32], &header, &body);
        prop_assert_eq!(payload.len(), seal::sealed_len(body.len()));
        let opened = seal::open(&key, &[1; 32], &header, &payload).unwrap();
        prop_assert_eq!(opened.as_slice(), body.as_slice());
    }

    #[test]
    fn foreign_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let secret = Secret::new([9; 32]);
        prop_assert!(seal::open(&MessageKey::from_secret(secret.clone()), &[1; 32], b"", &bytes).is_err());
        prop_assert!(EnvelopeKey::new(&secret).open(b"", &bytes).is_err());
        prop_assert!(EpochSecret::from_secret(secret).first_slice().gossip().unwrap(&bytes).is_err());
        prop_assert!(Vault::unlock(&bytes, Unlock::KeyFile(&Secret::new([1; 32]))).is_err());
        prop_assert!(phrase::parse(&String::from_utf8_lossy(&bytes)).is_err());
    }

    #[test]
    fn a_phrase_spells_its_seed(seed in any::<[u8; 32]>()) {
        let seed = RootSeed::from_secret(Secret::new(seed));
        let words = phrase::spell(&seed);
        let typed = format!("  {}\n", words.to_uppercase().replace(' ', "\t "));
        prop_assert_eq!(phrase::parse(&typed), Ok(seed));
    }
}

#[test]
fn padding_costs_at_most_an_eighth_and_leaves_few_lengths() {
    let mut lengths = HashSet::new();
    for len in 0..=24 * 1024 {
        let padded = padme::padded_len(len);
        assert!(padded > len);
        assert!(padded <= padme::MIN_LEN || padded - len - 1 <= (len + 1) / 8, "{len} -> {padded}");
        assert!(padded <= padme::padded_len(len + 1));
        lengths.insert(padded);
    }
    assert!(lengths.len() <= 130, "{} lengths", lengths.len());
}

#[test]
fn no_two_headers_share_a_message_key() {
    let epoch = EpochSecret::from_secret(Secret::new([1; 32]));
    let mut keys = HashSet::new();
    let mut count = 0;
    for slice in 0..4 {
        let slice = epoch.slice(slice).unwrap();
        for device in 0..4 {
            let mut chain = slice.sender(&[device; 32]);
            for generation in 0..200 {
                chain.advance_to(generation).unwrap();
                // A cloned device: the same generation again under other salts, sequence numbers or rooms.
                for header in 0..8_u8 {
                    let digest = seal::header_digest(&[header % 2; 32], &[header / 2]);
                    keys.insert(*chain.message_key(&digest).secret().expose());
                    count += 1;
                }
            }
        }
    }
    assert_eq!(keys.len(), count);
}

#[test]
fn a_salt_differs_with_body_device_or_randomness() {
    let (alice, bob) = (SigningKey::from_seed(&Secret::new([1; 32])), SigningKey::from_seed(&Secret::new([2; 32])));
    let cloned = || Counting(0);
    let salts = [
        seal::salt(&mut cloned(), &alice, b"one"),
        seal::salt(&mut cloned(), &alice, b"two"),
        seal::salt(&mut cloned(), &bob, b"one"),
        seal::salt(&mut Counting(1), &alice, b"one"),
    ];
    assert_eq!(salts.iter().collect::<HashSet<_>>().len(), 4);
}

#[test]
fn a_chain_reaches_the_same_key_by_steps_and_by_a_jump() {
    let epoch = EpochSecret::from_secret(Secret::new([1; 32]));
    let (mut stepped, jumped) = (epoch.first_slice(), epoch.slice(50).unwrap());
    (1..=50).for_each(|index| stepped.advance_to(index).unwrap());
    assert_eq!(stepped, jumped);

    let (mut stepped, mut jumped) = (stepped.sender(&[3; 32]), jumped.sender(&[3; 32]));
    (1..=300).for_each(|generation| stepped.advance_to(generation).unwrap());
    jumped.advance_to(300).unwrap();
    assert_eq!(stepped, jumped);
}

#[test]
fn a_new_epoch_depends_on_randomness_and_on_each_parent_in_any_order() {
    let (a, b) = (EpochSecret::from_secret(Secret::new([1; 32])), EpochSecret::from_secret(Secret::new([2; 32])));
    let broken = || Counting(0);
    let both = EpochSecret::generate(&mut broken(), &[&a, &b]);
    assert_eq!(both, EpochSecret::generate(&mut broken(), &[&b, &a]));
    assert_ne!(both, EpochSecret::generate(&mut broken(), &[&a]));
    assert_ne!(both, EpochSecret::generate(&mut broken(), &[]));
    assert_ne!(both, EpochSecret::generate(&mut Counting(1), &[&a, &b]));
}

#[test]
fn keys_of_different_uses_differ() {
    let secret = Secret::new([1; 32]);
    let mut outputs: HashSet<[u8; 32]> = label::KDFS.iter().map(|l| kdf::derive_public(&secret, l, &[])).collect();
    assert_eq!(outputs.len(), label::KDFS.len());
    outputs.insert(kdf::derive_public(&secret, label::KDF_SLICE, &[b"context"]));
    assert_eq!(outputs.len(), label::KDFS.len() + 1);
    let short: [u8; 16] = kdf::derive_public(&secret, label::KDF_SLICE, &[]);
    assert!(outputs.iter().all(|long| long[..16] != short), "the length is part of the label");
}

#[test]
fn a_probe_is_good_for_one_room_one_connection_and_one_side() {
    let (room, other) = (TopicSecret::generate(&mut rng(1)), TopicSecret::generate(&mut rng(2)));
    let connection = Connection::new(&[1; 32], &[2; 32], b"dialer", b"listener");
    let probes = [
        room.probe(Side::Dialer, &connection),
        room.probe(Side::Listener, &connection),
        other.probe(Side::Dialer, &connection),
        room.probe(Side::Dialer, &Connection::new(&[3; 32], &[2; 32], b"dialer", b"listener")),
        room.probe(Side::Dialer, &Connection::new(&[1; 32], &[3; 32], b"dialer", b"listener")),
        room.probe(Side::Dialer, &Connection::new(&[1; 32], &[2; 32], b"dialerl", b"istener")),
    ];
    assert_eq!(probes.iter().collect::<HashSet<_>>().len(), probes.len());

    let proof = room.proof_key(Side::Dialer, &connection).seal(&mut rng(3), b"", b"signature");
    assert!(room.proof_key(Side::Dialer, &connection).open(b"", &proof).is_ok());
    assert!(room.proof_key(Side::Listener, &connection).open(b"", &proof).is_err());
}

#[test]
fn a_topic_name_moves_with_its_generation_and_is_plain_text() {
    let secret = TopicSecret::generate(&mut rng(4));
    let names: HashSet<_> = (0..10).map(|generation| secret.name(generation)).collect();
    assert_eq!(names.len(), 10);
    assert!(
        names
            .iter()
            .all(|name| name.len() == 32 && name.bytes().all(|b| b"abcdefghijklmnopqrstuvwxyz234567".contains(&b)))
    );
}

#[test]
fn a_place_is_used_for_a_day_and_who_is_two_hours_off_looks_there_too() {
    let (secret, other) = (TopicSecret::generate(&mut rng(4)), TopicSecret::generate(&mut rng(5)));
    let start = 1_800_000_000_000;
    let first = secret.places(start);
    assert!(first.until_ms > start && first.until_ms <= start + PLACE_MS);
    assert_ne!(first.now, other.places(start).now);
    assert_ne!(first.until_ms, other.places(start).until_ms, "rooms do not change at once");
    let (last, next) = (secret.places(first.until_ms - 1), secret.places(first.until_ms));
    assert_eq!((last.now, last.until_ms), (first.now, first.until_ms));
    assert_eq!((last.near, next.near), (Some(next.now), Some(last.now)));
    assert_eq!(next.until_ms, first.until_ms + PLACE_MS);
    let noon = secret.places(first.until_ms + PLACE_MS / 2);
    assert_eq!((noon.now, noon.near), (next.now, None));
    let keys: HashSet<_> = (0..30).map(|day| secret.places(start + day * PLACE_MS).now).collect();
    assert_eq!(keys.len(), 30);
}

#[test]
fn an_invite_has_the_same_keys_for_issuer_and_joiner_and_they_differ_from_each_other() {
    let seed = InviteSeed::generate(&mut rng(5));
    let copy = InviteSeed::from_secret(SecretBytes::new(*seed.secret().expose()));
    let (issuer, joiner) = (seed.keys(), copy.keys());
    assert_eq!(issuer.sign.public(), joiner.sign.public());
    assert_eq!(issuer.leaf.public(), joiner.leaf.public());
    assert_eq!(issuer.door.public(), joiner.door.public());
    assert_ne!(issuer.sign.public(), issuer.door.public());

    let invite_pk = issuer.sign.public_bytes();
    let knock = knock_key(&invite_pk).seal(&mut rng(6), b"", b"nonce and probe");
    assert!(knock_key(&invite_pk).open(b"", &knock).is_ok());
    assert!(knock_key(&issuer.door.public_bytes()).open(b"", &knock).is_err());
}

#[test]
fn an_account_is_restored_from_its_seed_and_commits_to_its_next_root() {
    let seed = RootSeed::generate(&mut rng(7));
    let restored = phrase::parse(&phrase::spell(&seed)).unwrap();
    assert_eq!(restored.inception().account(), seed.inception().account());
    let next = restored.root_key(1).public_bytes();
    assert_eq!(seed.inception().next_root_commit, parlor_crypto::account::next_root_commit(&next));
    assert_ne!(next, seed.inception().root_pk);
}

#[test]
fn a_wrong_phrase_says_what_is_wrong_and_never_repeats_a_word() {
    let good = phrase::spell(&RootSeed::from_secret(Secret::new([7; 32])));
    let words: Vec<&str> = good.split(' ').collect();
    assert_eq!(phrase::parse(&words[..23].join(" ")), Err(PhraseError::WordCount { found: 23 }));
    assert_eq!(phrase::parse(""), Err(PhraseError::WordCount { found: 0 }));

    let mut misspelt = words.clone();
    misspelt[4] = "parlour";
    let error = phrase::parse(&misspelt.join(" ")).unwrap_err();
    assert_eq!(error, PhraseError::UnknownWord { position: 5 });
    assert!(!error.to_string().contains("parlour"));

    let mut swapped = words.clone();
    let other = (1..24).find(|i| words[*i] != words[0]).unwrap();
    swapped.swap(0, other);
    assert_eq!(phrase::parse(&swapped.join(" ")), Err(PhraseError::Checksum));
}

#[test]
fn a_vault_opens_with_what_locked_it_and_tells_wrong_from_damaged() {
    let mut rng = rng(8);
    let vault = Vault::generate(&mut rng);
    let (right, wrong) = (Unlock::Passphrase("correct horse"), Unlock::Passphrase("correct house"));
    let file = vault.lock(&mut rng, right, Stretch::CHEAPEST_FOR_TESTS).unwrap();
    assert_eq!(Vault::wants(&file), Ok(Lock::Passphrase));
    assert_eq!(Vault::unlock(&file, right), Ok(vault.clone()));
    assert_eq!(Vault::unlock(&file, wrong), Err(VaultError::WrongKey));
    assert_eq!(Vault::unlock(&file, Unlock::Passphrase("")), Err(VaultError::PassphraseLength));
    let (key, other) = (Secret::random(&mut rng), Secret::random(&mut rng));
    assert_eq!(Vault::unlock(&file, Unlock::KeyFile(&key)), Err(VaultError::WantsPassphrase));

    for (i, changed) in common::bit_flips(&file).enumerate() {
        let verdict = Vault::unlock(&changed, wrong).unwrap_err();
        assert!(matches!(verdict, VaultError::Damaged | VaultError::Version { .. }), "bit {i}: {verdict}");
    }
    for len in 0..file.len() {
        assert_eq!(Vault::unlock(&file[..len], right), Err(VaultError::Damaged), "{len} bytes");
    }
    assert_eq!(Vault::unlock(&[file.as_slice(), b"\n"].concat(), right), Err(VaultError::Damaged));

    let file = vault.lock(&mut rng, Unlock::KeyFile(&key), Stretch::RECOMMENDED).unwrap();
    assert_eq!(Vault::wants(&file), Ok(Lock::KeyFile));
    assert_eq!(Vault::unlock(&file, Unlock::KeyFile(&key)), Ok(vault));
    assert_eq!(Vault::unlock(&file, Unlock::KeyFile(&other)), Err(VaultError::WrongKey));
    assert_eq!(Vault::unlock(&file, right), Err(VaultError::WantsKeyFile));
}

#[test]
fn a_vault_file_cannot_ask_for_all_the_memory() {
    let mut rng = rng(9);
    let vault = Vault::generate(&mut rng);
    let passphrase = Unlock::Passphrase("correct horse");
    let mut file = vault.lock(&mut rng, passphrase, Stretch::CHEAPEST_FOR_TESTS).unwrap();
    let body = file.len() - 16;
    file[15..19].copy_from_slice(&u32::MAX.to_be_bytes());
    let check: [u8; 16] = hash::VAULT.hash_prefix(&[&file[..body]]);
    file[body..].copy_from_slice(&check);
    assert_eq!(Vault::unlock(&file, passphrase), Err(VaultError::Parameters));
}

#[test]
fn the_keys_of_a_vault_survive_a_new_passphrase_and_differ_by_purpose() {
    let mut rng = rng(10);
    let vault = Vault::generate(&mut rng);
    let sealed = vault.sealing_key("events").seal(&mut rng, b"", b"value");
    let file = vault.lock(&mut rng, Unlock::Passphrase("new"), Stretch::CHEAPEST_FOR_TESTS).unwrap();
    let reopened = Vault::unlock(&file, Unlock::Passphrase("new")).unwrap();
    assert_eq!(reopened.sealing_key("events").open(b"", &sealed).unwrap(), b"value");
    assert!(reopened.sealing_key("outbox").open(b"", &sealed).is_err());
    assert_eq!(vault.blinding_key("rooms").blind(&[b"id"]), reopened.blinding_key("rooms").blind(&[b"id"]));
    assert_ne!(vault.blinding_key("rooms").blind(&[b"id"]), vault.blinding_key("devices").blind(&[b"id"]));
}

#[test]
fn secrets_are_written_without_a_length_and_signatures_too() {
    let signature = Signature([7; 64]);
    let written = postcard::to_stdvec(&signature).unwrap();
    assert_eq!(written, [7; 64]);
    assert_eq!(postcard::from_bytes::<Signature>(&written), Ok(signature));
    assert!(postcard::from_bytes::<Signature>(&written[..63]).is_err());

    let topic = TopicSecret::from_secret(Secret::new([8; 32]));
    let written = postcard::to_stdvec(&topic).unwrap();
    assert_eq!(written, [8; 32]);
    assert_eq!(postcard::from_bytes::<TopicSecret>(&written), Ok(topic));
    let seed = InviteSeed::from_secret(SecretBytes::new([9; 16]));
    assert_eq!(postcard::to_stdvec(&seed).unwrap(), [9; 16]);
}

#[test]
fn debug_prints_no_secret_byte() {
    let secret = Secret::new([0xa7; 32]);
    let epoch = EpochSecret::from_secret(secret.clone());
    let mut rng = rng(11);
    let vault = Vault::generate(&mut rng);
    let seed = InviteSeed::from_secret(SecretBytes::new([0xa7; 16]));
    let values: Vec<Box<dyn Debug>> = vec![
        Box::new(secret.clone()),
        Box::new(RootSeed::from_secret(secret.clone())),
        Box::new(SigningKey::from_seed(&secret)),
        Box::new(LeafSecret::from_secret(&secret)),
        Box::new(epoch.clone()),
        Box::new(epoch.first_slice()),
        Box::new(epoch.first_slice().sender(&[0; 32])),
        Box::new(epoch.first_slice().gossip()),
        Box::new(MessageKey::from_secret(secret.clone())),
        Box::new(TopicSecret::from_secret(secret.clone())),
        Box::new(EnvelopeKey::new(&secret)),
        Box::new(seed.clone()),
        Box::new(vault.blinding_key("x")),
        Box::new(Unlock::KeyFile(&secret)),
    ];
    for value in &values {
        let printed = format!("{value:?} {value:#?}").to_lowercase();
        assert!(!printed.contains("a7a7") && !printed.contains("167") && !printed.contains("0xa7"), "{printed}");
    }
    let unlock = Unlock::Passphrase("correct horse");
    assert!(!format!("{unlock:?}").contains("horse"));
    let keys = format!("{:?}", seed.keys());
    assert!(!keys.contains(&hex(&seed.keys().sign.to_seed().expose()[..4])));
}

#[test]
fn secrets_are_wiped() {
    const fn wiped_on_drop<T: ZeroizeOnDrop>() {}
    wiped_on_drop::<Secret>();
    wiped_on_drop::<SecretBytes<16>>();
    // What our other secret types are made of.
    wiped_on_drop::<ed25519_dalek::SigningKey>();
    wiped_on_drop::<x25519_dalek::StaticSecret>();
    wiped_on_drop::<chacha20poly1305::XChaCha20Poly1305>();

    let mut secret = Secret::new([7; 32]);
    secret.zeroize();
    assert_eq!(secret.expose(), &[0; 32]);
}
