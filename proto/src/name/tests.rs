//! What names look like, and whose word counts.

use parlor_crypto::account::RootSeed;
use parlor_crypto::{Secret, SigningKey};

use super::*;

fn seed(byte: u8) -> RootSeed {
    RootSeed::from_secret(Secret::new([byte; 32]))
}

fn relay(byte: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([byte; 32]))
}

fn record(name: &str) -> NameRecord {
    let (relay, seed) = (relay(9).public_bytes(), seed(1));
    NameRecord::sign(&relay, &seed.root_key(0), seed.inception(), name.parse().unwrap(), b"card".to_vec(), 5).unwrap()
}

#[test]
fn a_name_has_one_normal_form() {
    for text in ["alice", "@Alice", " ALICE ", "ａｌｉｃｅ", "Ａlice"] {
        assert_eq!(Name::parse(text).unwrap().as_str(), "alice", "{text}");
    }
    assert_eq!(Name::parse("JOSE\u{301}").unwrap().as_str(), "josé");
    assert_eq!(Name::parse("аня").unwrap().as_str(), "аня");
    assert_eq!(Name::parse("花子").unwrap().as_str(), "花子");
    assert_eq!(Name::parse("anna-lena.b_2").unwrap().as_str(), "anna-lena.b_2");
}

#[test]
fn what_is_no_name_is_refused_with_its_reason() {
    use NameError::{Character, Length, MixedScript, Reserved};
    let long = "a".repeat(33);
    let bytes = "a".repeat(100_000);
    let wrong = [
        ("", Length),
        ("a", Length),
        (long.as_str(), Length),
        (bytes.as_str(), Length),
        ("al ice", Character),
        ("alice!", Character),
        (".alice", Character),
        ("alice-", Character),
        ("al--ice", Character),
        ("al._ice", Character),
        ("al\u{200b}ice", Character),
        ("al\u{202e}ice", Character),
        ("ali\u{0}ce", Character),
        ("💩💩💩", Character),
        ("\u{301}alice", Character),
        ("аlice", MixedScript),
        ("Admin", Reserved),
        ("relay", Reserved),
    ];
    for (text, why) in wrong {
        assert_eq!(Name::parse(text), Err(why), "{text:?}");
    }
}

#[test]
fn names_that_are_taken_for_each_other_have_one_look() {
    let alike = [("alice", "a1ice"), ("alice", "al.ice"), ("alice", "a-lice"), ("bob", "b0b"), ("modem", "modern")];
    for (a, b) in alike {
        assert_eq!(Name::parse(a).unwrap().look(), Name::parse(b).unwrap().look(), "{a} {b}");
    }
    // All Cyrillic, and not told from Latin by the eye.
    assert_eq!(Name::parse("рахо").unwrap().look(), Name::parse("paxo").unwrap().look());
    for (a, b) in [("alice", "alicia"), ("bob", "rob"), ("anna", "hanna")] {
        assert_ne!(Name::parse(a).unwrap().look(), Name::parse(b).unwrap().look(), "{a} {b}");
    }
}

#[test]
fn a_record_is_worth_something_at_its_relay_only_and_unchanged() {
    let record = record("alice");
    assert_eq!(record.verify(&relay(9).public_bytes()), Ok(()));
    assert_eq!(record.verify(&relay(8).public_bytes()), Err(RecordError::Signature));
    let held = Held::sign(&relay(9), record, 100, 200);
    let bytes = held.encode();
    let key = relay(9).public_bytes();
    assert_eq!(Held::decode(&key, &bytes), Ok(held));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(Held::decode(&key, &changed).is_err(), "byte {place}");
    }
}

#[test]
fn a_relay_can_not_make_up_a_record_and_another_can_not_speak_for_it() {
    let key = relay(9).public_bytes();
    let mut forged = record("alice");
    forged.inception = seed(2).inception();
    assert_eq!(Held::sign(&relay(9), forged, 1, 1).verify(&key), Err(RecordError::Signature));
    let foreign =
        Held { sig: Held::sign(&relay(8), record("alice"), 1, 1).sig, ..Held::sign(&relay(9), record("alice"), 1, 1) };
    assert_eq!(foreign.verify(&key), Err(RecordError::Relay));
    let wrong_root =
        NameRecord::sign(&key, &seed(2).root_key(0), seed(1).inception(), "bob".parse().unwrap(), vec![], 1);
    assert_eq!(wrong_root, Err(RecordError::Signature));
}

#[test]
fn a_handover_is_the_accounts_word_for_one_name_one_relay_and_one_receiver() {
    let (key, seed) = (relay(9).public_bytes(), seed(1));
    let to = Some(AccountId([7; 32]));
    let name: Name = "alice".parse().unwrap();
    let made = Handover::sign(&key, &seed.root_key(0), seed.inception(), name, to, 9).unwrap();
    assert_eq!(made.verify(&key), Ok(()));
    assert!(made.verify(&relay(8).public_bytes()).is_err());
    assert!(Handover { to: None, ..made.clone() }.verify(&key).is_err());
    assert!(Handover { name: "bob".parse().unwrap(), ..made.clone() }.verify(&key).is_err());
    assert!(Handover { ts_ms: 10, ..made }.verify(&key).is_err());
}

#[test]
fn a_card_is_bounded() {
    let (key, seed) = (relay(9).public_bytes(), seed(1));
    let make =
        |n| NameRecord::sign(&key, &seed.root_key(0), seed.inception(), "al".parse().unwrap(), vec![0; n], u64::MAX);
    let longest = Held::sign(&relay(9), make(MAX_CARD).unwrap(), u64::MAX, u64::MAX);
    assert!(longest.encode().len() <= MAX_HELD);
    assert_eq!(make(MAX_CARD + 1), Err(RecordError::TooLong));
    let mut fat = record("alice");
    fat.card = vec![0; MAX_CARD + 1];
    assert_eq!(fat.verify(&key), Err(RecordError::TooLong));
}

#[test]
fn a_name_at_a_relay_is_taken_apart() {
    assert_eq!(split("@alice@relay.example"), Ok(("alice".parse().unwrap(), Some("relay.example"))));
    assert_eq!(split("alice"), Ok(("alice".parse().unwrap(), None)));
    assert_eq!(split("@alice@"), Ok(("alice".parse().unwrap(), None)));
    assert!(split("@@relay").is_err());
}
