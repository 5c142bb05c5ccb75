//! More than two: through a member in the middle, and a room full of people.

use std::collections::BTreeSet;

use parlor_tests::Person;

/// People in the full room; `PARLOR_WALK_NODES` sets another number.
const PEOPLE: usize = 20;

/// What each of them writes.
const LINES: usize = 50;

#[test]
fn people_who_only_share_a_friend_see_each_other_s_messages() {
    let (alice, bob) = (Person::start("Alice"), Person::start("Bob"));
    let room = alice.create_room("Chain");
    bob.join(&alice.invite(&room, &["--role", "admin"]));
    // Carol's link names Bob's address, not Alice's.
    let carol = Person::start("Carol");
    carol.join(&bob.invite(&room, &[]));
    for person in [&alice, &bob, &carol] {
        person.say_lines(&room, &(1..=20).map(|n| format!("{} {n}", person.name)).collect::<Vec<_>>()).done();
    }
    let histories = [&alice, &bob, &carol].map(|person| person.holds(&room, 60));
    let ids = |index: usize| histories[index].iter().map(|message| message.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids(0), ids(1));
    assert_eq!(ids(1), ids(2));
    alice.all_delivered(&room, 2);
    carol.all_delivered(&room, 2);
}

#[test]
fn a_full_room_agrees_on_everything_everybody_wrote() {
    let n = std::env::var("PARLOR_WALK_NODES").ok().and_then(|text| text.parse().ok()).unwrap_or(PEOPLE);
    let start = std::time::Instant::now();
    let told = |what: &str| println!("{what} after {:.1} s", start.elapsed().as_secs_f64());
    let people: Vec<Person> = (1..=n).map(|number| Person::start(&format!("Person {number}"))).collect();
    told("all nodes run");
    let room = people[0].create_room("Everybody");
    let link = people[0].invite(&room, &["--uses", &n.to_string()]);
    people[1..].iter().for_each(|person| person.join(&link));
    told("all have joined");
    std::thread::scope(|scope| {
        for person in &people {
            let lines: Vec<String> = (1..=LINES).map(|line| format!("{} says {line}", person.name)).collect();
            let room = &room;
            scope.spawn(move || person.say_lines(room, &lines).done());
        }
    });
    told("all have written");
    let first = people[0].holds(&room, n * LINES);
    let authors: BTreeSet<_> = first.iter().map(|message| message.author.as_str()).collect();
    assert_eq!(authors.len(), n);
    told("the first has everything");
    for person in &people[1..] {
        let history = person.holds(&room, n * LINES);
        let same = history.iter().map(|message| &message.id).eq(first.iter().map(|message| &message.id));
        assert!(same, "{} shows another order than {}", person.name, people[0].name);
    }
    told("all have everything");
}
