//! Who becomes a contact, who waits, and who is not heard.

use super::*;
use crate::contact::letter::tests::{Person, person};

const NOW: u64 = 1_700_000_000_000;

fn card(of: &Person) -> Card {
    Card::new(of.inception(), of.key, "somebody", [7; 32], &Reach::default())
}

fn ask(of: &Person, to: &Person) -> Letter {
    of.letter(to, What::Ask("hello".into()), NOW)
}

#[test]
fn a_stranger_asks_waits_and_is_accepted() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    let heard = book.hear(&ask(&alice, &bob), false, NOW);
    assert!(heard.asks && heard.changed && !heard.mutual && heard.reply == Reply::Kept);
    let again = book.hear(&ask(&alice, &bob), false, NOW + 1);
    assert!(!again.asks, "one open request an account");
    assert_eq!(book.iter().count(), 1);
    book.accept(&alice.me.account()).unwrap();
    assert_eq!(book.get(&alice.me.account()).unwrap().stage, Stage::Mutual);
    assert_eq!(book.hear(&ask(&alice, &bob), false, NOW).reply, Reply::Accept, "a lost answer comes again");
}

#[test]
fn who_added_each_other_need_nobodys_word() {
    let (alice, bob) = (person(1), person(2));
    let (mut of_alice, mut of_bob) = (Book::default(), Book::default());
    of_alice.add(&card(&bob), "hi", NOW).unwrap();
    of_bob.add(&card(&alice), "", NOW).unwrap();
    let heard = of_bob.hear(&ask(&alice, &bob), false, NOW);
    assert!(heard.mutual && heard.reply == Reply::Accept && !heard.asks);
    let heard = of_alice.hear(&bob.letter(&alice, What::Accept, NOW), false, NOW);
    assert!(heard.mutual && heard.reply == Reply::Kept);
    let contact = of_alice.get(&bob.me.account()).unwrap();
    assert_eq!((contact.devices.len(), contact.reach.addresses.len()), (1, 1));
    // Adding somebody who asks is to accept.
    let mut late = Book::default();
    late.hear(&ask(&alice, &bob), false, NOW);
    assert_eq!(late.add(&card(&alice), "", NOW), Ok((alice.me.account(), true)));
}

#[test]
fn whoever_is_blocked_is_answered_as_if_nobody_had_looked_and_changes_nothing() {
    let (alice, bob, eve) = (person(1), person(2), person(3));
    let mut book = Book::default();
    book.hear(&ask(&alice, &bob), false, NOW);
    book.block(alice.inception(), "Alice", true, NOW).unwrap();
    let blocked = book.clone();
    let to_blocked = book.hear(&ask(&alice, &bob), false, NOW + 5);
    let to_stranger = book.hear(&ask(&eve, &bob), false, NOW + 5);
    assert_eq!(to_blocked.reply, to_stranger.reply);
    assert!(!to_blocked.changed && !to_blocked.asks);
    assert_eq!(book.get(&alice.me.account()), blocked.get(&alice.me.account()));
    assert_eq!(book.accept(&alice.me.account()), Err(BookError::Blocked));
    assert_eq!(book.add(&card(&alice), "", NOW), Err(BookError::Blocked));
    assert_eq!(book.remove(&alice.me.account()), Err(BookError::Blocked));
}

#[test]
fn what_somebody_asked_before_he_was_blocked_waits_again_when_that_is_taken_back() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    book.hear(&ask(&alice, &bob), false, NOW);
    let asked = book.get(&alice.me.account()).unwrap().stage.clone();
    book.block(alice.inception(), "Alice", true, NOW + 1).unwrap();
    book.block(alice.inception(), "Alice", false, NOW + 2).unwrap();
    assert_eq!(book.get(&alice.me.account()).unwrap().stage, asked);
    book.accept(&alice.me.account()).unwrap();
    // Who asks first while blocked is heard when he asks again.
    let mut other = Book::default();
    other.block(alice.inception(), "Alice", true, NOW).unwrap();
    other.hear(&ask(&alice, &bob), false, NOW);
    other.block(alice.inception(), "Alice", false, NOW).unwrap();
    assert!(other.hear(&ask(&alice, &bob), false, NOW + 9).asks);
}

#[test]
fn requests_of_blocked_people_take_no_place() {
    let bob = person(200);
    let mut book = Book::default();
    for n in 0..u8::try_from(MAX_ASKING).unwrap() {
        let asks = person(n);
        assert!(book.hear(&ask(&asks, &bob), false, NOW).asks);
        book.block(asks.inception(), "", true, NOW).unwrap();
    }
    assert!(book.hear(&ask(&person(150), &bob), false, NOW).asks);
}

#[test]
fn who_is_asked_again_without_a_greeting_keeps_the_first_one() {
    let alice = person(1);
    let mut book = Book::default();
    book.add(&card(&alice), "We met at the fair", NOW).unwrap();
    book.add(&card(&alice), "", NOW + 1).unwrap();
    book.want(&alice.me.account(), "").unwrap();
    let greeting = |book: &Book| book.get(&alice.me.account()).unwrap().stage.clone();
    assert_eq!(greeting(&book), Stage::Asked("We met at the fair".into()));
    book.add(&card(&alice), "It is me", NOW + 2).unwrap();
    assert_eq!(greeting(&book), Stage::Asked("It is me".into()));
}

#[test]
fn a_crowd_of_strangers_fills_no_memory_and_leaves_room_for_people_we_know() {
    let bob = person(200);
    let mut book = Book::default();
    for n in 0..=u8::try_from(MAX_ASKING + 5).unwrap() {
        book.hear(&ask(&person(n), &bob), false, NOW);
    }
    assert_eq!(book.iter().count(), MAX_ASKING);
    let heard = book.hear(&ask(&person(150), &bob), true, NOW);
    assert!(heard.asks, "somebody of a shared room is heard");
    assert_eq!(heard.reply, Reply::Card);
    let friend = person(151);
    book.add(&card(&friend), "", NOW).unwrap();
    assert!(book.hear(&ask(&friend, &bob), false, NOW).mutual);
}

#[test]
fn nobody_says_yes_to_a_question_that_was_not_asked() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    for what in [What::Accept, What::Card] {
        let heard = book.hear(&alice.letter(&bob, what, NOW), true, NOW);
        assert!(!heard.changed && heard.reply == Reply::Kept);
    }
    assert_eq!(book.iter().count(), 0);
    book.hear(&ask(&alice, &bob), false, NOW);
    let heard = book.hear(&alice.letter(&bob, What::Accept, NOW), false, NOW);
    assert!(!heard.mutual, "who asks does not accept himself");
}

#[test]
fn of_several_letters_the_last_one_counts_whatever_clock_wrote_it() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    let named = |name: &str, ts_ms: u64| {
        let mut papers = alice.papers();
        papers.name = name.into();
        Letter::write(&bob.me.account(), papers, What::Ask(String::new()), ts_ms, alice.me.signing_key())
    };
    let name = |book: &Book| book.get(&alice.me.account()).unwrap().name.clone();
    book.hear(&named("second", NOW), false, NOW);
    book.hear(&named("first", NOW - 9), false, NOW + 1);
    assert_eq!(name(&book), "second");
    book.hear(&named("ahead", u64::MAX), false, NOW + 2);
    book.hear(&named("third", NOW + 3), false, NOW + 3);
    assert_eq!(name(&book), "third");
}

#[test]
fn a_device_that_comes_after_verification_is_told() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    book.add(&card(&alice), "", NOW).unwrap();
    let first = [alice.me.device()];
    book.verify(alice.inception(), "", &first, true, NOW).unwrap();
    assert!(!book.hear(&alice.letter(&bob, What::Accept, NOW), false, NOW).warn);
    assert_eq!(book.see_devices(&alice.me.account(), &[DeviceId([9; 32])], NOW), (true, true));
    assert_eq!(book.see_devices(&alice.me.account(), &[DeviceId([9; 32])], NOW), (false, false));
    assert!(!book.get(&alice.me.account()).unwrap().trust.holds());
}

#[test]
fn a_contact_survives_its_bytes() {
    let (alice, bob) = (person(1), person(2));
    let mut book = Book::default();
    book.hear(&ask(&alice, &bob), false, NOW);
    book.rename(alice.inception(), "", "Al", NOW).unwrap();
    let contact = book.get(&alice.me.account()).unwrap().clone();
    assert_eq!(Contact::from_bytes(&contact.to_bytes()).as_ref(), Ok(&contact));
    assert_eq!(contact.shown(), "Al");
    assert_eq!(book.rename(alice.inception(), "", &"x".repeat(65), NOW), Err(BookError::Name));
    let again = Book::restore([contact.clone()]);
    assert_eq!(again.get(&alice.me.account()), Some(&contact));
}
