//! People who share no room: cards, requests, direct chats, names, blocks, safety numbers.

use parlor_tests::{Person, Relay, eventually};
use serde_json::Value;

fn card(of: &Person) -> String {
    of.cli(&["contact", "card"]).done().text("link")
}

/// What somebody's book says of an account with this name; nothing while nobody is called so.
fn contact(of: &Person, name: &str) -> Option<Value> {
    of.cli(&["contact", "list"]).done().lines().into_iter().find(|contact| contact["own_name"] == name)
}

fn becomes(of: &Person, name: &str, state: &str) -> Value {
    let what = format!("{name} is {state} in the book of {}", of.name);
    eventually(&what, || contact(of, name).filter(|contact| contact["state"] == state))
}

#[test]
fn a_stranger_with_a_card_writes_waits_and_is_read_after_he_is_accepted() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let link = card(&bob);
    assert!(link.len() <= 400 && link.starts_with("parlor://contact/1/#"), "{link}");
    let chat = alice.cli(&["dm", &link, "hello Bob"]).done();
    let room = chat.text("room");
    assert_eq!(chat.text("state"), "asked");
    let asks = becomes(&bob, "Alice", "asking");
    assert_eq!(asks["verified"], false);
    assert!(bob.cli(&["room", "list"]).done().lines().is_empty(), "nothing is shared before it is accepted");
    bob.restart();
    let account = asks["account"].as_str().unwrap().to_owned();
    let accepted = bob.cli(&["contact", "accept", &account]).done();
    assert_eq!(accepted.text("state"), "contact");
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
    becomes(&alice, "Bob", "contact");
    alice.all_delivered(&room, 1);
    bob.cli(&["dm", "@Alice", "hello Alice"]).done();
    assert_eq!(alice.holds(&room, 2).len(), 2);
    let rooms = bob.cli(&["room", "list"]).done().lines();
    assert_eq!((rooms[0]["name"].as_str(), rooms[0]["kind"].as_str()), (Some("Alice"), Some("direct")));
}

#[test]
fn two_who_have_each_others_card_begin_at_once_and_hold_one_chat() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (card(&alice), card(&bob));
    let rooms = std::thread::scope(|scope| {
        let one = scope.spawn(|| alice.cli(&["dm", &of_bob, "from Alice"]).done().text("room"));
        let other = scope.spawn(|| bob.cli(&["dm", &of_alice, "from Bob"]).done().text("room"));
        [one.join().unwrap(), other.join().unwrap()]
    });
    assert_eq!(rooms[0], rooms[1]);
    let room = &rooms[0];
    alice.holds(room, 2);
    bob.holds(room, 2);
    alice.restart();
    bob.cli(&["send", room, "after a restart"]).done();
    alice.holds(room, 3);
    alice.cli(&["room", "leave", room]).refused(1, "conflict");
}

#[test]
fn somebody_of_a_shared_room_is_written_to_without_a_card() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let kitchen = alice.create_room("kitchen");
    bob.join(&alice.invite(&kitchen, &[]));
    let chat = alice.cli(&["dm", "@Bob", "just you"]).done();
    let room = chat.text("room");
    becomes(&bob, "Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(bob.holds(&room, 1)[0].text, "just you");
}

#[test]
fn whoever_is_blocked_is_neither_heard_nor_told() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (card(&alice), card(&bob));
    bob.cli(&["contact", "add", &of_alice]).done();
    let room = alice.cli(&["dm", &of_bob, "first"]).done().text("room");
    eventually("Bob has the chat", || contact(&bob, "Alice")?["room"].as_str().map(drop));
    bob.holds(&room, 1);
    let kitchen = alice.create_room("kitchen");
    bob.join(&alice.invite(&kitchen, &[]));
    bob.cli(&["contact", "block", "@Alice"]).done();
    alice.say(&room, "second");
    alice.say(&kitchen, "in the kitchen");
    // What Bob writes in the kitchen arrives, so the connection stands: Alice's words are there and not shown.
    bob.say(&kitchen, "anybody?");
    alice.holds(&kitchen, 2);
    eventually("Bob holds what he does not see", || (bob.count(&kitchen) == 2).then_some(()));
    assert_eq!(bob.texts(&kitchen), ["anybody?"]);
    assert!(bob.texts(&room).is_empty(), "what was said is hidden too");
    let of_bob = becomes(&alice, "Bob", "contact");
    assert_eq!(of_bob["blocked"], false, "Alice is not told");
    bob.cli(&["contact", "block", "@Alice", "--undo"]).done();
    bob.holds(&room, 2);
    assert_eq!(bob.holds(&kitchen, 2).len(), 2);
}

#[test]
fn both_see_one_safety_number_and_a_mark_and_a_name_last() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (card(&alice), card(&bob));
    alice.cli(&["contact", "add", &of_bob, "--name", "Bobby"]).done();
    bob.cli(&["contact", "add", &of_alice]).done();
    becomes(&alice, "Bob", "contact");
    let number = alice.cli(&["contact", "verify", "@Bobby"]).done().text("safety_number");
    assert_eq!(number, bob.cli(&["contact", "verify", "@Alice"]).done().text("safety_number"));
    assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 60);
    alice.cli(&["contact", "verify", "@Bobby", "--yes"]).done();
    alice.restart();
    let kept = contact(&alice, "Bob").unwrap();
    assert_eq!((kept["verified"].as_bool(), kept["name"].as_str()), (Some(true), Some("Bobby")));
    let room = alice.cli(&["dm", "@Bobby"]).done().text("room");
    let members = alice.cli(&["members", &room]).done().lines();
    let of_bob = members.iter().find(|member| member["me"] == false).unwrap();
    assert_eq!((of_bob["verified"].as_bool(), of_bob["name"].as_str()), (Some(true), Some("Bobby")));
}

#[test]
fn mistakes_with_contacts_are_told_with_a_hint_and_a_question_outlives_a_node_that_is_gone() {
    let alice = Person::start("Alice");
    let own = card(&alice);
    let kitchen = alice.create_room("kitchen");
    let invite = alice.invite(&kitchen, &[]);
    alice.cli(&["dm", &own]).refused(2, "bad_request");
    alice.cli(&["contact", "add", &invite]).refused(2, "link_damaged");
    alice.cli(&["contact", "add", &own[..own.len() - 3]]).refused(2, "link_damaged");
    alice.cli(&["join", &own]).refused(2, "link_damaged");
    alice.cli(&["dm", "@nobody", "hi"]).refused(5, "contact_not_found");
    alice.cli(&["contact", "accept", "@nobody"]).refused(5, "contact_not_found");
    let mut gone = Person::start("Gone");
    let link = card(&gone);
    gone.stop();
    let chat = alice.cli(&["dm", &link, "are you there?"]).done();
    assert_eq!(chat.text("state"), "asked");
    assert_eq!(alice.cli(&["outbox", "list"]).done().lines().len(), 1);
    gone.run();
    becomes(&gone, "Alice", "asking");
    gone.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(gone.holds(&chat.text("room"), 1)[0].text, "are you there?");
}

fn with_relay(name: &str, relay: &Relay) -> Person {
    Person::start_with(name, Relay::used(&[relay]))
}

#[test]
fn a_name_at_a_relay_leads_to_its_account_wherever_somebody_is_named() {
    let relay = Relay::start();
    let (alice, bob) = (with_relay("Alice", &relay), with_relay("Bob", &relay));
    let claimed = bob.cli(&["name", "claim", "bob", "--relay", "127.0.0.1"]).done();
    assert_eq!(claimed.text("name"), "@bob");
    alice.cli(&["name", "claim", "b0b", "--relay", relay.address()]).refused(1, "name_taken");
    alice.cli(&["name", "lookup", "@nobody@127.0.0.1"]).refused(5, "contact_not_found");
    alice.cli(&["dm", "@bob@elsewhere.example", "hi"]).refused(5, "not_found");
    let found = alice.cli(&["name", "lookup", "@bob@127.0.0.1"]).done();
    assert_eq!(found.text("account"), claimed.text("account"));
    let room = alice.cli(&["dm", "@bob@127.0.0.1", "found you"]).done().text("room");
    becomes(&bob, "Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(bob.holds(&room, 1)[0].text, "found you");
}

#[test]
fn a_first_letter_and_its_answer_wait_at_a_relay_while_the_other_sleeps() {
    let relay = Relay::start();
    let (mut alice, mut bob) = (with_relay("Alice", &relay), with_relay("Bob", &relay));
    let link = card(&bob);
    bob.stop();
    let room = alice.cli(&["dm", &link, "hello Bob"]).done().text("room");
    eventually("the letter lies at the relay", || contact(&alice, "Bob").filter(|it| it["mailed"] == true));
    alice.stop();
    bob.run();
    becomes(&bob, "Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    alice.run();
    becomes(&alice, "Bob", "contact");
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
}
