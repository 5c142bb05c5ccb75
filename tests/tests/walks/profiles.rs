//! What people tell of themselves, to whom they want: in every room, through absence, restarts, crashes and removals.

use std::path::Path;

use parlor_tests::{Person, eventually};
use serde_json::Value;

/// What `who` is shown as to somebody.
fn shown(to: &Person, who: &str) -> Value {
    to.cli(&["profile", "show", who]).done().object()
}

fn account(of: &Person) -> String {
    of.cli(&["status"]).done().text("account")
}

/// Waits until a field of somebody's profile is this to `to`; `null` for what is not told.
fn sees(to: &Person, who: &str, field: &str, wanted: &Value) {
    let what = format!("{} sees {wanted} as {field}", to.name);
    eventually(&what, || (shown(to, who)[field] == *wanted).then_some(()));
}

fn set(person: &Person, args: &[&str]) -> Value {
    let args: Vec<&str> = ["profile", "set"].iter().chain(args).copied().collect();
    person.cli(&args).done().object()
}

/// A picture of one colour; with a text that says where it was taken.
fn picture(folder: &Path, name: &str, rgb: [u8; 3]) -> String {
    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(400, 300, image::Rgb(rgb)).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let file = folder.join(name);
    std::fs::write(&file, png.into_inner()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The colour in the middle of somebody's picture, as it is saved.
fn colour(to: &Person, who: &str, name: &str) -> [u8; 3] {
    let file = to.scratch().join(name);
    to.cli(&["profile", "show", who, "--picture", file.to_str().unwrap()]).done();
    let saved = std::fs::read(&file).unwrap();
    assert!(saved.starts_with(&[0xff, 0xd8, 0xff]) && !saved.windows(4).any(|four| four == b"Exif"));
    let saved = image::load_from_memory(&saved).unwrap().into_rgb8();
    assert!(saved.width() <= 256 && saved.width() == saved.height());
    saved.get_pixel(saved.width() / 2, saved.height() / 2).0
}

fn is_close(one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(b) < 24)
}

/// Alice with Bob, who is her contact, and Carol, whom she knows from the room only.
fn three() -> ([Person; 3], String) {
    let people = ["Alice", "Bob", "Carol"].map(Person::start);
    let room = people[0].create_room("Reading club");
    for person in &people[1..] {
        person.join(&people[0].invite(&room, &[]));
    }
    people[1].cli(&["contact", "add", &people[0].card()]).done();
    people[0].sees_contact("Bob", "asking");
    people[0].cli(&["contact", "accept", "@Bob"]).done();
    people[1].sees_contact("Alice", "contact");
    (people, room)
}

#[test]
fn each_field_reaches_whom_it_is_for_also_who_was_away_and_nobody_else() {
    let ([mut alice, mut bob, mut carol], _) = three();
    let who = account(&alice);
    let window = carol.listen_to(None);
    set(&alice, &["name", "Alice Liddell"]);
    set(&alice, &["about", "Curious.", "--visible", "contacts"]);
    let red = picture(alice.scratch(), "red.png", [200, 30, 30]);
    let own = set(&alice, &["picture", &red, "--visible", "rooms"]);
    assert_eq!(own["about"], serde_json::json!({"value": "Curious.", "visible": "contacts"}));
    let hash = own["picture"]["value"].clone();
    for person in [&bob, &carol] {
        sees(person, &who, "name", &"Alice Liddell".into());
        sees(person, &who, "picture", &hash);
    }
    sees(&bob, &who, "about", &"Curious.".into());
    assert_eq!(shown(&carol, &who)["about"], Value::Null, "not for her");
    assert!(is_close(colour(&carol, &who, "of-alice.jpg"), [200, 30, 30]));
    let told = eventually("windows are told", || {
        window.lines().into_iter().rfind(|line| line["event"] == "profile" && line["account"] == who)
    });
    assert_eq!(told["own_name"], "Alice Liddell");
    let members = carol.cli(&["members", "Reading club"]).done().lines();
    let line = members.iter().find(|line| line["account"] == who).unwrap();
    assert_eq!((&line["name"], &line["picture"], &line["about"]), (&"Alice Liddell".into(), &hash, &Value::Null));

    // Two are away when it changes, and the one who comes back first has it from her alone, the other from anybody.
    carol.kill9();
    bob.stop();
    set(&alice, &["name", "Queen Alice"]);
    let blue = picture(alice.scratch(), "blue.png", [20, 40, 200]);
    let second = set(&alice, &["picture", &blue, "--visible", "contacts"])["picture"]["value"].clone();
    alice.kill9();
    alice.run();
    bob.run();
    carol.run();
    for person in [&bob, &carol] {
        sees(person, &who, "name", &"Queen Alice".into());
    }
    sees(&bob, &who, "picture", &second);
    sees(&carol, &who, "picture", &Value::Null);
    assert!(is_close(colour(&bob, &who, "blue.jpg"), [20, 40, 200]));
    carol.cli(&["profile", "show", &who, "--picture", "x.jpg"]).refused(5, "not_found");

    // Everything is as it was after a restart of everybody; then nobody is to see the text any more.
    bob.restart();
    carol.restart();
    sees(&bob, &who, "about", &"Curious.".into());
    sees(&carol, &who, "name", &"Queen Alice".into());
    set(&alice, &["about", "--visible", "nobody"]);
    sees(&bob, &who, "about", &Value::Null);
    assert_eq!(set(&alice, &["name", "Alice", "--visible", "contacts"])["about"]["value"], "Curious.", "kept for her");
    sees(&carol, &who, "own_name", &Value::Null);
    sees(&bob, &who, "own_name", &"Alice".into());
}

#[test]
fn who_is_removed_or_blocked_sees_no_later_one_and_a_newcomer_sees_the_newest() {
    let ([alice, bob, carol], room) = three();
    let who = account(&alice);
    set(&alice, &["about", "before"]);
    sees(&carol, &who, "about", &"before".into());
    alice.cli(&["member", "remove", &room, "@Carol"]).done();
    carol.is_removed(&room);
    let red = picture(alice.scratch(), "red.png", [200, 30, 30]);
    set(&alice, &["picture", &red]);
    set(&alice, &["about", "after"]);
    sees(&bob, &who, "about", &"after".into());
    let dave = Person::start("Dave");
    dave.join(&alice.invite(&room, &[]));
    sees(&dave, &who, "about", &"after".into());
    eventually("Dave sees the picture", || shown(&dave, &who)["picture"].is_string().then_some(()));
    let left = carol.cli(&["profile", "show", &who]);
    let text = left.stdout.clone();
    assert!(!text.contains("after") && !text.contains("picture"), "{text}");
    // Bob does not want to see her any more, and she does not want to be seen by him.
    bob.cli(&["contact", "block", "@Alice"]).done();
    let blocked = shown(&bob, &who);
    assert_eq!(
        (&blocked["blocked"], &blocked["about"], &blocked["picture"]),
        (&true.into(), &Value::Null, &Value::Null)
    );
    bob.cli(&["contact", "block", &who, "--undo"]).done();
    sees(&bob, &who, "about", &"after".into());
}

#[test]
fn names_do_not_pass_for_others_and_what_is_typed_wrongly_is_explained() {
    let ([alice, bob, carol], room) = three();
    let (of_alice, of_carol) = (account(&alice), account(&carol));
    bob.cli(&["contact", "name", &of_alice, "Ali"]).done();
    set(&alice, &["name", "Alice Liddell"]);
    sees(&bob, &of_alice, "own_name", &"Alice Liddell".into());
    assert_eq!(shown(&bob, &of_alice)["name"], "Ali", "what the user calls her wins");
    // Carol calls herself as Bob calls Alice: she is told apart, here and where she writes.
    set(&carol, &["name", "A1i"]);
    let apart = format!("A1i ({})", &of_carol[..8]);
    sees(&bob, &of_carol, "name", &apart.clone().into());
    carol.say(&room, "trust me");
    assert_eq!(bob.holds(&room, 1)[0].author, apart);
    for bad in ["\u{202e}ecila", "", "***", "\u{410}lice", &"x".repeat(65)] {
        let answer = alice.cli(&["profile", "set", "name", bad]);
        match bad {
            "" => drop(answer.done()),
            long if long.len() > 64 => answer.refused(2, "too_long"),
            _ => answer.refused(2, "bad_request"),
        }
    }
    sees(&bob, &of_alice, "own_name", &Value::Null);
    alice.cli(&["profile", "set", "name"]).refused(2, "usage");
    alice.cli(&["profile", "set", "last-seen", "now"]).refused(2, "usage");
    let text = alice.scratch().join("no-picture.png");
    std::fs::write(&text, "<svg onload=alert(1)>").unwrap();
    alice.cli(&["profile", "set", "picture", text.to_str().unwrap()]).refused(2, "bad_request");
    alice.cli(&["profile", "show", &"0".repeat(64)]).refused(5, "contact_not_found");
    // When she was seen last is told when she wants it, in stretches of ten minutes.
    assert_eq!(shown(&bob, &of_alice)["last_seen"], Value::Null);
    set(&alice, &["last-seen", "--visible", "contacts"]);
    let seen = eventually("Bob sees when", || shown(&bob, &of_alice)["last_seen"].as_str().map(str::to_owned));
    assert!(seen.ends_with("0:00Z") || seen.ends_with("0:00.000Z"), "{seen}");
    assert_eq!(shown(&carol, &of_alice)["last_seen"], Value::Null);
    set(&alice, &["last-seen", "--visible", "nobody"]);
    sees(&bob, &of_alice, "last_seen", &Value::Null);
}

#[test]
fn what_one_device_sets_the_other_has_too_and_keeps_when_the_first_is_gone() {
    let [(mut alice, _), (phone, _)] = Person::two_devices("Alice", "Phone");
    let bob = Person::start("Bob");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "2"]);
    bob.join(&link);
    phone.join(&link);
    let who = account(&alice);
    set(&alice, &["name", "Alice Liddell"]);
    let green = picture(alice.scratch(), "green.png", [30, 200, 30]);
    let hash = set(&alice, &["picture", &green])["picture"]["value"].clone();
    let own = |person: &Person, field: &str| person.cli(&["profile", "show"]).done().object()[field].clone();
    let rooms = |value: &Value| serde_json::json!({"value": value, "visible": "rooms"});
    eventually("the phone has the name", || (own(&phone, "name") == rooms(&"Alice Liddell".into())).then_some(()));
    eventually("and the picture", || (own(&phone, "picture") == rooms(&hash)).then_some(()));
    set(&phone, &["about", "From the phone"]);
    eventually("the first has the text", || (own(&alice, "about") == rooms(&"From the phone".into())).then_some(()));
    sees(&bob, &who, "about", &"From the phone".into());
    alice.cli(&["device", "revoke", "Phone"]).done();
    let before = own(&alice, "name");
    alice.restart();
    assert_eq!((own(&alice, "name"), own(&alice, "about")), (before, rooms(&"From the phone".into())));
    set(&alice, &["name", "Alice"]);
    sees(&bob, &who, "own_name", &"Alice".into());
    sees(&bob, &who, "about", &"From the phone".into());
    sees(&bob, &who, "picture", &hash);
}
