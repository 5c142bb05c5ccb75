//! Several contacts at once: a group without a link that anybody copies.

use parlor_tests::{Person, Relay, eventually};
use serde_json::Value;

/// Makes all of them contacts of the first.
fn befriend(first: &Person, others: &[&Person]) {
    let card = first.card();
    for other in others {
        other.cli(&["contact", "add", &card]).done();
        first.cli(&["contact", "add", &other.card()]).done();
    }
    for other in others {
        first.sees_contact(&other.name, "contact");
        other.sees_contact(&first.name, "contact");
    }
}

/// Waits until somebody is in a room.
fn comes_into(person: &Person, room: &str) {
    eventually(&format!("{} is in the group", person.name), || {
        let rooms = person.cli(&["room", "list"]).done().lines();
        rooms.iter().any(|it| it["room"] == *room && it["role"] == "member").then_some(())
    });
}

fn invitations(person: &Person) -> Vec<Value> {
    person.cli(&["group", "list"]).done().lines()
}

#[test]
fn contacts_named_together_are_in_one_room_by_themselves_and_the_same_people_have_the_same_one() {
    let (mut ann, bob, cem) = (Person::start("Ann"), Person::start("Bob"), Person::start("Cem"));
    befriend(&ann, &[&bob, &cem]);
    let chat = ann.cli(&["dm", "@Bob", "hello all", "--with", "@Cem"]).done();
    let room = chat.text("room");
    let made = chat.object();
    assert_eq!((made["made"].as_bool(), made["name"].as_str()), (Some(true), Some("Ann, Bob, Cem")), "{made}");
    for one in [&bob, &cem] {
        comes_into(one, &room);
        assert_eq!(one.holds(&room, 1)[0].text, "hello all");
    }
    bob.say(&room, "hello from Bob");
    ann.holds(&room, 2);
    cem.holds(&room, 2);
    // Bob's only contact of them is Ann: nobody is asked anything for a chat that is there.
    for (person, line) in [(&ann, ["@Cem", "@Bob"]), (&bob, ["@Ann", "@Cem"]), (&cem, ["@Bob", "@Ann"])] {
        let again = person.cli(&["dm", line[0], "--with", line[1]]).done();
        assert_eq!((again.text("room"), again.object()["made"].as_bool()), (room.clone(), Some(false)));
    }
    assert!(bob.contact("Cem").is_none(), "Bob was not made to ask Cem");
    ann.restart();
    assert_eq!(ann.cli(&["dm", "@Bob", "--with", "@Cem"]).done().text("room"), room);
    // Without Cem it is the chat of other people.
    cem.cli(&["room", "leave", &room]).done();
    eventually("Ann sees that Cem left", || (ann.cli(&["members", &room]).done().lines().len() == 2).then_some(()));
    let other = ann.cli(&["dm", "@Bob", "--with", "@Cem", "--name", "Again"]).done();
    assert_ne!(other.text("room"), room);
    // He left it: nobody brings him into the chat of the same people without his word.
    let waits = eventually("the invitation waits for Cem", || invitations(&cem).pop());
    assert_eq!((waits["room"].as_str(), waits["why"].as_str()), (Some(other.text("room").as_str()), Some("left")));
    comes_into(&bob, &other.text("room"));
    cem.cli(&["group", "accept", "Again"]).done();
    comes_into(&cem, &other.text("room"));
}

#[test]
fn who_is_away_finds_the_invitation_at_his_relay_and_the_maker_may_be_gone_by_then() {
    let relay = Relay::start();
    let [mut ann, mut bob, cem] = ["Ann", "Bob", "Cem"].map(|name| Person::start_with(name, Relay::used(&[&relay])));
    befriend(&ann, &[&bob, &cem]);
    let chat = ann.cli(&["dm", "@Bob"]).done().text("room");
    bob.stop();
    let room = ann.cli(&["dm", "@Bob", "are you there", "--with", "@Cem"]).done().text("room");
    // Ended as a crash does, as soon as it was answered: what is not told yet is told after the next start.
    ann.kill9();
    ann.run();
    comes_into(&cem, &room);
    eventually("Bob is told in the chat with him", || {
        let lines = ann.cli(&["history", &chat]).done().lines();
        lines.iter().any(|line| line["kind"] == "system").then_some(())
    });
    ann.all_is_put(&chat, 1);
    ann.all_is_put(&room, 1);
    ann.stop();
    bob.run();
    comes_into(&bob, &room);
    assert_eq!(bob.holds(&room, 1)[0].text, "are you there");
    ann.run();
    let n = || ann.cli(&["members", &room]).done().lines().len();
    eventually("Ann sees both", || (n() == 3).then_some(()));
    let invites = ann.cli(&["invite", "list", &room]).done().lines();
    assert_eq!(invites.iter().filter(|invite| invite["used"] == 1).count(), 2, "{invites:?}");
}

#[test]
fn what_no_contact_invites_into_waits_for_a_word_and_so_does_who_is_blocked() {
    let (ann, bob, cem) = (Person::start("Ann"), Person::start("Bob"), Person::start("Cem"));
    befriend(&bob, &[&ann, &cem]);
    ann.cli(&["contact", "add", &cem.card()]).done();
    ann.cli(&["contact", "block", "@Cem"]).done();
    let with_blocked = bob.cli(&["dm", "@Ann", "hello", "--with", "@Cem", "--name", "Trip"]).done().text("room");
    let waits = eventually("the invitation waits", || invitations(&ann).pop());
    assert_eq!((waits["room"].as_str(), waits["why"].as_str()), (Some(with_blocked.as_str()), Some("blocked")));
    ann.cli(&["group", "refuse", "Trip"]).done();
    assert!(invitations(&ann).is_empty());
    ann.cli(&["contact", "block", "@Cem", "--undo"]).done();
    // The direct chat with Bob stays; he is no contact any more.
    ann.cli(&["contact", "remove", "@Bob"]).done();
    bob.cli(&["member", "remove", &with_blocked, "@Cem"]).done();
    let room = bob.cli(&["dm", "@Ann", "--with", "@Cem", "--name", "Second"]).done().text("room");
    let waits = eventually("the second one waits", || invitations(&ann).pop());
    assert_eq!((waits["room"].as_str(), waits["why"].as_str()), (Some(room.as_str()), Some("no_contact")));
    let rooms = ann.cli(&["room", "list"]).done().lines();
    assert!(rooms.iter().all(|it| it["room"] != *room), "nobody brings her in without her word");
    ann.cli(&["group", "accept", "Second"]).done();
    comes_into(&ann, &room);
    ann.cli(&["group", "accept", "Second"]).refused(5, "invite_not_found");
    ann.cli(&["dm", "@Cem", "--with", "@Cem"]).refused(2, "bad_request");
}
