//! People who share no room: cards, requests, direct chats, names, blocks, safety numbers.

use parlor_tests::{Person, Relay, eventually};

#[test]
fn a_stranger_with_a_card_writes_waits_and_is_read_after_he_is_accepted() {
    let (alice, mut bob) = (Person::start("Alice"), Person::start("Bob"));
    let link = bob.card();
    assert!(link.len() <= 400 && link.starts_with("parlor://contact/1/#"), "{link}");
    let chat = alice.cli(&["dm", &link, "hello Bob"]).done();
    let room = chat.text("room");
    assert_eq!(chat.text("state"), "asked");
    let asks = bob.sees_contact("Alice", "asking");
    assert_eq!(asks["verified"], false);
    assert!(bob.cli(&["room", "list"]).done().lines().is_empty(), "nothing is shared before it is accepted");
    bob.restart();
    let account = asks["account"].as_str().unwrap().to_owned();
    let accepted = bob.cli(&["contact", "accept", &account]).done();
    assert_eq!(accepted.text("state"), "contact");
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
    alice.sees_contact("Bob", "contact");
    alice.all_delivered(&room, 1);
    bob.cli(&["dm", "@Alice", "hello Alice"]).done();
    assert_eq!(alice.holds(&room, 2).len(), 2);
    let rooms = bob.cli(&["room", "list"]).done().lines();
    assert_eq!((rooms[0]["name"].as_str(), rooms[0]["kind"].as_str()), (Some("Alice"), Some("direct")));
}

#[test]
fn two_who_have_each_others_card_begin_at_once_and_hold_one_chat() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (alice.card(), bob.card());
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
    bob.sees_contact("Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(bob.holds(&room, 1)[0].text, "just you");
}

#[test]
fn whoever_is_blocked_is_neither_heard_nor_told() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (alice.card(), bob.card());
    bob.cli(&["contact", "add", &of_alice]).done();
    let room = alice.cli(&["dm", &of_bob, "first"]).done().text("room");
    eventually("Bob has the chat", || bob.contact("Alice")?["room"].as_str().map(drop));
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
    let of_bob = alice.sees_contact("Bob", "contact");
    assert_eq!(of_bob["blocked"], false, "Alice is not told");
    bob.cli(&["contact", "block", "@Alice", "--undo"]).done();
    bob.holds(&room, 2);
    assert_eq!(bob.holds(&kitchen, 2).len(), 2);
}

#[test]
fn both_see_one_safety_number_and_a_mark_and_a_name_last() {
    let (mut alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (alice.card(), bob.card());
    alice.cli(&["contact", "add", &of_bob, "--name", "Bobby"]).done();
    bob.cli(&["contact", "add", &of_alice]).done();
    alice.sees_contact("Bob", "contact");
    let number = alice.cli(&["contact", "verify", "@Bobby"]).done().text("safety_number");
    assert_eq!(number, bob.cli(&["contact", "verify", "@Alice"]).done().text("safety_number"));
    assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 60);
    alice.cli(&["contact", "verify", "@Bobby", "--yes"]).done();
    alice.restart();
    let kept = alice.contact("Bob").unwrap();
    assert_eq!((kept["verified"].as_bool(), kept["name"].as_str()), (Some(true), Some("Bobby")));
    let room = alice.cli(&["dm", "@Bobby"]).done().text("room");
    let members = alice.cli(&["members", &room]).done().lines();
    let of_bob = members.iter().find(|member| member["me"] == false).unwrap();
    assert_eq!((of_bob["verified"].as_bool(), of_bob["name"].as_str()), (Some(true), Some("Bobby")));
}

#[test]
fn who_is_no_contact_is_blocked_by_his_card_without_being_asked() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let (of_alice, of_bob) = (alice.card(), bob.card());
    alice.cli(&["contact", "block", &of_bob]).done();
    let blocked = alice.contact("Bob").unwrap();
    assert_eq!((blocked["blocked"].as_bool(), blocked["state"].as_str()), (Some(true), Some("known")));
    // What Bob asks is answered as if nobody had looked at it.
    bob.cli(&["contact", "add", &of_alice]).done();
    let carol = Person::start("Carol");
    carol.cli(&["contact", "add", &of_alice]).done();
    alice.sees_contact("Carol", "asking");
    assert_eq!(bob.sees_contact("Alice", "asked")["blocked"], false);
    assert_eq!(alice.contact("Bob").unwrap()["state"], "known");
    alice.cli(&["contact", "block", &of_alice]).refused(2, "bad_request");
    alice.cli(&["contact", "block", &carol.card()[..30]]).refused(2, "link_damaged");
}

#[test]
fn a_scanned_code_that_is_no_safety_number_accuses_nobody() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    alice.cli(&["contact", "add", &bob.card()]).done();
    let card = bob.scratch().join("card.png");
    let card = card.to_string_lossy();
    bob.cli(&["contact", "card", "--png", &card]).done();
    alice.cli(&["contact", "verify", "@Bob", "--scan", &card]).refused(2, "bad_request");
    assert_eq!(alice.contact("Bob").unwrap()["verified"], false);
}

#[test]
fn commands_about_contacts_say_to_people_what_they_did() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let account = bob.cli(&["contact", "card"]).done().text("account");
    let added = alice.plain(&["contact", "add", &bob.card(), "--name", "Bobby"]).done();
    assert!(added.stderr.contains(&format!(" dm {} ", &account[..16])), "{}", added.stderr);
    let sent = alice.plain(&["dm", &account[..16], "hello"]).done();
    let (id, status) = sent.stdout.trim().split_once(' ').unwrap();
    let waits = alice.cli(&["outbox", "list"]).done().lines();
    assert_eq!((Some(id), status), (waits[0]["message"].as_str(), "queued"));
    let named = alice.plain(&["contact", "name", "@Bobby", "Robert"]).done();
    assert_eq!(named.stderr.trim(), "Robert is what you call this account.");
    let gone = alice.plain(&["contact", "name", "@Robert", ""]).done();
    assert_eq!(gone.stderr.trim(), "Bob is called by his own name again: yours is gone.");
    alice.cli(&["contact", "verify", "@Bob", "--yes"]).done();
    let undone = alice.plain(&["contact", "verify", "@Bob", "--undo"]).done();
    assert_eq!((undone.stderr.trim(), undone.stdout.as_str()), ("The mark of Bob is taken back.", ""));
    // Commands in the doctor's hints are for this home.
    let found = alice.plain(&["doctor"]).done().stdout;
    let home = alice.home();
    assert!(found.contains(&format!("--home {} run --relay", home.display())), "{found}");
}

#[test]
fn mistakes_with_contacts_are_told_with_a_hint_and_a_question_outlives_a_node_that_is_gone() {
    let alice = Person::start("Alice");
    let own = alice.card();
    let kitchen = alice.create_room("kitchen");
    let invite = alice.invite(&kitchen, &[]);
    alice.cli(&["dm", &own]).refused(2, "bad_request");
    alice.cli(&["contact", "add", &invite]).refused(2, "link_damaged");
    alice.cli(&["contact", "add", &own[..own.len() - 3]]).refused(2, "link_damaged");
    alice.cli(&["join", &own]).refused(2, "link_damaged");
    alice.cli(&["dm", "@nobody", "hi"]).refused(5, "contact_not_found");
    alice.cli(&["contact", "accept", "@nobody"]).refused(5, "contact_not_found");
    let mut gone = Person::start("Gone");
    let link = gone.card();
    gone.stop();
    // A name that is too long is said before anybody is asked.
    alice.cli(&["contact", "add", &link, "--name", &"N".repeat(65)]).refused(2, "too_long");
    assert_eq!(alice.contact("Gone"), None);
    let chat = alice.cli(&["dm", &link, "are you there?"]).done();
    assert_eq!(chat.text("state"), "asked");
    assert_eq!(alice.cli(&["outbox", "list"]).done().lines().len(), 1);
    gone.run();
    gone.sees_contact("Alice", "asking");
    gone.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(gone.holds(&chat.text("room"), 1)[0].text, "are you there?");
}

#[test]
fn a_name_at_a_relay_leads_to_its_account_wherever_somebody_is_named() {
    let relay = Relay::start();
    let (alice, bob) =
        (Person::start_with("Alice", Relay::used(&[&relay])), Person::start_with("Bob", Relay::used(&[&relay])));
    let claimed = bob.cli(&["name", "claim", "bob", "--relay", "127.0.0.1"]).done();
    assert_eq!(claimed.text("name"), "@bob");
    alice.cli(&["name", "claim", "b0b", "--relay", relay.address()]).refused(1, "name_taken");
    alice.cli(&["name", "lookup", "@nobody@127.0.0.1"]).refused(5, "contact_not_found");
    alice.cli(&["dm", "@bob@elsewhere.example", "hi"]).refused(5, "not_found");
    let found = alice.cli(&["name", "lookup", "@bob@127.0.0.1"]).done();
    assert_eq!(found.text("account"), claimed.text("account"));
    let room = alice.cli(&["dm", "@bob@127.0.0.1", "found you"]).done().text("room");
    bob.sees_contact("Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    assert_eq!(bob.holds(&room, 1)[0].text, "found you");
}

#[test]
fn a_first_letter_and_its_answer_wait_at_a_relay_while_the_other_sleeps() {
    let relay = Relay::start();
    let (mut alice, mut bob) =
        (Person::start_with("Alice", Relay::used(&[&relay])), Person::start_with("Bob", Relay::used(&[&relay])));
    let link = bob.card();
    bob.stop();
    let room = alice.cli(&["dm", &link, "hello Bob"]).done().text("room");
    alice.has_mailed("Bob");
    alice.stop();
    bob.run();
    bob.sees_contact("Alice", "asking");
    bob.cli(&["contact", "accept", "@Alice"]).done();
    alice.run();
    alice.sees_contact("Bob", "contact");
    assert_eq!(bob.holds(&room, 1)[0].text, "hello Bob");
}
