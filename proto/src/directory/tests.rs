//! Who gets a name, and what a client believes.

use parlor_crypto::account::RootSeed;
use parlor_crypto::{Secret, SigningKey};

use super::*;

const NOW: u64 = 1_800_000_000_000;

fn seed(byte: u8) -> RootSeed {
    RootSeed::from_secret(Secret::new([byte; 32]))
}

fn relay() -> SigningKey {
    SigningKey::from_seed(&Secret::new([9; 32]))
}

fn key() -> [u8; 32] {
    relay().public_bytes()
}

fn record(who: u8, name: &str, ts_ms: u64) -> NameRecord {
    let seed = seed(who);
    NameRecord::sign(&key(), &seed.root_key(0), seed.inception(), name.parse().unwrap(), vec![who], ts_ms).unwrap()
}

fn handover(who: u8, name: &str, to: Option<u8>, ts_ms: u64) -> Handover {
    let to = to.map(|to| AccountId(seed(to).inception().account()));
    let seed = seed(who);
    Handover::sign(&key(), &seed.root_key(0), seed.inception(), name.parse().unwrap(), to, ts_ms).unwrap()
}

fn held(record: &NameRecord) -> Held {
    Held::sign(&relay(), record.clone(), NOW - 50, NOW - 40)
}

#[test]
fn who_comes_first_has_the_name_and_only_he_changes_it() {
    let first = record(1, "alice", NOW);
    assert_eq!(decide(&key(), Known::default(), &first, None, NOW), Ok(NOW));
    let mine = held(&first);
    let known = Known { held: Some(&mine), names: 1, ..Known::default() };
    assert_eq!(decide(&key(), known, &record(2, "alice", NOW + 1), None, NOW), Err(Refusal::Taken));
    assert_eq!(decide(&key(), known, &record(1, "alice", NOW + 1), None, NOW), Ok(NOW - 50));
    assert_eq!(decide(&key(), known, &first, None, NOW), Ok(NOW - 50), "an answer that was lost");
    assert_eq!(decide(&key(), known, &record(1, "alice", NOW - 1), None, NOW), Err(Refusal::Stale));
}

#[test]
fn a_name_goes_to_whom_its_account_says_and_to_nobody_else() {
    let mine = held(&record(1, "alice", NOW));
    let known = Known { held: Some(&mine), ..Known::default() };
    let claim = |handover: Handover| decide(&key(), known, &record(2, "alice", NOW), Some(&handover), NOW);
    assert_eq!(claim(handover(1, "alice", Some(2), NOW)), Ok(NOW));
    assert_eq!(claim(handover(1, "alice", Some(3), NOW)), Err(Refusal::NotYours));
    assert_eq!(claim(handover(1, "alice", None, NOW)), Err(Refusal::NotYours));
    assert_eq!(claim(handover(2, "alice", Some(2), NOW)), Err(Refusal::NotYours));
    assert_eq!(claim(handover(1, "alicia", Some(2), NOW)), Err(Refusal::NotYours));
    assert_eq!(claim(handover(1, "alice", Some(2), NOW - 1)), Err(Refusal::Stale), "from before the last record");
    let mut forged = handover(1, "alice", Some(3), NOW);
    forged.to = Some(record(2, "alice", NOW).account());
    assert_eq!(claim(forged), Err(Refusal::Invalid));
}

#[test]
fn names_that_look_alike_more_than_a_few_and_foreign_clocks_are_refused() {
    let other: Name = "a1ice".parse().unwrap();
    let alike = Known { alike: Some((&other, AccountId([7; 32]))), ..Known::default() };
    assert_eq!(decide(&key(), alike, &record(1, "alice", NOW), None, NOW), Err(Refusal::Confusable));
    let many = Known { names: MAX_NAMES, ..Known::default() };
    assert_eq!(decide(&key(), many, &record(1, "alice", NOW), None, NOW), Err(Refusal::TooMany));
    for ts_ms in [NOW - MAX_SKEW_MS - 1, NOW + MAX_SKEW_MS + 1, 0, u64::MAX] {
        assert_eq!(decide(&key(), Known::default(), &record(1, "alice", ts_ms), None, NOW), Err(Refusal::Clock));
    }
    let mut unsigned = record(1, "alice", NOW);
    unsigned.card.push(1);
    assert_eq!(decide(&key(), Known::default(), &unsigned, None, NOW), Err(Refusal::Invalid));
}

#[test]
fn a_name_that_was_given_up_is_not_taken_back_with_an_old_record() {
    let old = record(1, "alice", NOW - 10);
    let known = Known { released: Some((old.account(), NOW - 5)), ..Known::default() };
    assert_eq!(decide(&key(), known, &old, None, NOW), Err(Refusal::Stale));
    assert_eq!(decide(&key(), known, &record(1, "alice", NOW), None, NOW), Ok(NOW));
    assert_eq!(decide(&key(), known, &record(2, "alice", NOW), None, NOW), Ok(NOW));
}

fn greeted() -> Client {
    let mut client = Client::new(key());
    assert!(client.ask(Ask::Lookup("alice".parse().unwrap())).is_err());
    let greeting = codec::encode(&Greeting { token: true, now_ms: NOW });
    assert_eq!(client.hear(&greeting), Ok(None));
    assert_eq!(client.greeting(), Some(&Greeting { token: true, now_ms: NOW }));
    client
}

#[test]
fn a_client_takes_answers_that_hold_and_no_others() {
    let mine = held(&record(1, "alice", NOW));
    let theirs = held(&record(2, "bob", NOW));
    let mut forged = mine.clone();
    forged.record.card = vec![6];
    let lookup = |answer: Answer| {
        let mut client = greeted();
        let (id, _) = client.ask(Ask::Lookup("alice".parse().unwrap())).unwrap();
        client.hear(&codec::encode(&Reply { id, answer }))
    };
    assert_eq!(lookup(Answer::Held(mine.clone())), Ok(Some((0, Answer::Held(mine)))));
    assert_eq!(lookup(Answer::Unknown), Ok(Some((0, Answer::Unknown))));
    assert_eq!(lookup(Answer::Held(theirs)), Err(ClientError::OtherName));
    assert!(matches!(lookup(Answer::Held(forged)), Err(ClientError::Record(_))));
    assert_eq!(lookup(Answer::Unlocked), Err(ClientError::Unasked));
    let mut client = greeted();
    assert_eq!(client.hear(&codec::encode(&Reply { id: 0, answer: Answer::Unknown })), Err(ClientError::Unasked));
    assert!(greeted().hear(&[0xff; 40]).is_err());
}

#[test]
fn the_longest_frames_fit() {
    let seed = seed(1);
    // Four bytes a letter: the Adlam script.
    let longest: Name = "\u{1e922}".repeat(32).parse().unwrap_or_else(|_| "花".repeat(32).parse().unwrap());
    let root = seed.root_key(0);
    let card = vec![0; crate::name::MAX_CARD];
    let record = NameRecord::sign(&key(), &root, seed.inception(), longest.clone(), card, u64::MAX).unwrap();
    let to = Some(AccountId([1; 32]));
    let handover = Handover::sign(&key(), &root, seed.inception(), longest, to, u64::MAX).unwrap();
    let ask = Ask::Claim { record, handover: Some(handover) };
    let request = Request { id: u32::MAX, ask };
    assert!(codec::encode(&request).len() <= MAX_FRAME);
}
