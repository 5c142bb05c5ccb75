//! Several devices of one account: a second one by the recovery phrase, and one that is revoked.

use parlor_tests::{Person, eventually};

#[test]
fn a_lost_device_is_revoked_from_another_one_and_reads_nothing_of_what_comes_after() {
    let [(alice, made), (phone, second)] = Person::two_devices("Alice", "Phone");
    assert_eq!(second["account"], made["account"], "the same account");
    assert_ne!(second["device"], made["device"], "another device");
    let bob = Person::start("Bob");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "2"]);
    bob.join(&link);
    phone.join(&link);
    bob.say(&room, "Before");
    phone.holds(&room, 1);
    bob.sees(&room, &[("Alice", "owner"), ("Bob", "member")]);
    let listed = eventually("both devices are listed", || {
        let devices = alice.cli(&["device", "list"]).done().lines();
        (devices.len() == 2).then_some(devices)
    });
    assert_eq!((&listed[0]["device"], &listed[0]["this"]), (&made["device"], &true.into()));
    assert_eq!((&listed[1]["device"], &listed[1]["name"]), (&second["device"], &"Phone".into()));

    let left = bob.create_room("Left");
    let link = bob.invite(&left, &["--uses", "2"]);
    alice.join(&link);
    phone.join(&link);
    eventually("the phone is in the other room too", || {
        let devices = alice.cli(&["device", "list"]).done().lines();
        (devices[1]["rooms"].as_array()?.len() == 2).then_some(())
    });
    alice.cli(&["room", "leave", &left]).done();

    let own = made["device"].as_str().unwrap();
    alice.cli(&["device", "revoke", own]).refused(1, "conflict");
    alice.cli(&["device", "revoke", "nothing"]).refused(5, "not_found");
    let before = alice.cli(&["room", "show", &room]).done().object();
    let revoked = alice.cli(&["device", "revoke", "Phone"]).done().object();
    assert_eq!((&revoked["device"], &revoked["rooms"]), (&second["device"], &serde_json::json!([room])));
    assert!(revoked["left"].as_array().is_none_or(Vec::is_empty), "a room that was left is none to be told: {revoked}");
    let after = alice.cli(&["room", "show", &room]).done().object();
    assert_ne!(after["epoch"], before["epoch"], "keys without it are made at once");
    eventually("Bob has the new keys", || {
        let seen = bob.cli(&["room", "show", &room]).done().object();
        (seen["epoch"] == after["epoch"]).then_some(())
    });
    bob.say(&room, "After");
    alice.holds(&room, 2);
    eventually("the phone knows that it is out", || (phone.cli(&["send", &room, "Still?"]).code == 4).then_some(()));
    let held = phone.cli(&["history", &room]).done().lines();
    let texts: Vec<&str> = held.iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(texts, ["Before"]);
    // It says what became of it, and makes no backup, of which a new device would come.
    let found = phone.cli(&["doctor"]).done().object();
    let codes: Vec<_> = found["findings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert!(codes.contains(&&"device_revoked".into()), "{codes:?}");
    let file = phone.home().join("../revoked.bak");
    std::fs::write(phone.home().join("../words"), "a long passphrase").unwrap();
    let words = phone.home().join("../words");
    let backup = ["backup", "create", file.to_str().unwrap(), "--passphrase-file", words.to_str().unwrap()];
    phone.cli(&backup).refused(1, "conflict");
    assert!(!file.exists());
    // Once more changes nothing, and another node lists it as revoked.
    alice.cli(&["device", "revoke", "Phone"]).done();
    let listed = alice.cli(&["device", "list"]).done().lines();
    assert_eq!(listed.iter().map(|line| line["revoked"] == true).collect::<Vec<_>>(), [false, true]);
    assert_eq!(bob.cli(&["members", &room]).done().lines().len(), 2, "the account is in as before");
}

#[test]
fn a_device_that_came_is_told_loudly_on_the_others_until_somebody_says_that_it_is_his_or_revokes_it() {
    let [(mut alice, _), (phone, _)] = Person::two_devices("Alice", "Phone");
    let room = alice.create_room("Club");
    let link = alice.invite(&room, &["--uses", "3"]);
    let follows = alice.listen_to(None);
    phone.join(&link);
    eventually("Alice's window is told, and she is called", || {
        let lines = follows.lines();
        let came = lines.iter().any(|it| it["event"] == "device" && it["change"] == "came" && it["name"] == "Phone");
        let calls = |it: &serde_json::Value| {
            it["event"] == "notification" && it["title"].as_str().is_some_and(|title| title.contains("new device"))
        };
        (came && lines.iter().any(calls)).then_some(())
    });
    let warned = |person: &Person| {
        let status = person.cli(&["status"]).done().object();
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().any(|it| it.as_str().is_some_and(|text| text.starts_with("device_new: Phone")))
    };
    let new = |person: &Person| {
        let devices = person.cli(&["device", "list"]).done().lines();
        devices.iter().filter(|it| it["new"] == true).count()
    };
    assert!(warned(&alice) && new(&alice) == 1);
    let found = alice.cli(&["doctor"]).done().object();
    assert!(found["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "device_new"), "{found}");
    assert!(
        phone.cli(&["status"]).done().object()["warnings"].as_array().is_some_and(Vec::is_empty),
        "it knew the other"
    );
    assert_eq!(new(&phone), 0);
    alice.kill9();
    alice.run();
    assert!(warned(&alice) && new(&alice) == 1, "a start is no answer");
    assert_eq!(alice.cli(&["device", "confirm", "Phone"]).done().object()["name"], "Phone");
    assert!(!warned(&alice) && new(&alice) == 0);
    // Another room in which it comes says nothing new.
    let other = alice.create_room("Garden");
    phone.join(&alice.invite(&other, &[]));
    eventually("it is in both", || {
        let devices = alice.cli(&["device", "list"]).done().lines();
        (devices[1]["rooms"].as_array()?.len() == 2).then_some(())
    });
    alice.restart();
    assert!(!warned(&alice) && new(&alice) == 0);
}

#[test]
fn a_device_that_is_revoked_where_one_is_not_in_all_its_rooms_is_told_on_those_that_are_until_they_revoke_it() {
    let [(alice, made), (phone, _)] = Person::two_devices("Alice", "Phone");
    let (mut tablet, _) = Person::further_device(&made, "Tablet");
    let bob = Person::start("Bob");
    let all = bob.create_room("All");
    let link = bob.invite(&all, &["--uses", "3"]);
    [&alice, &phone, &tablet].into_iter().for_each(|device| device.join(&link));
    // The laptop is not in this one.
    let two = bob.create_room("Two");
    let link = bob.invite(&two, &["--uses", "2"]);
    [&phone, &tablet].into_iter().for_each(|device| device.join(&link));
    alice.cli(&["device", "revoke", "Phone"]).done();
    eventually("it is known in the room of all", || (phone.cli(&["send", &all, "Still?"]).code == 4).then_some(()));
    bob.say(&two, "Still read");
    phone.holds(&two, 1);
    let said = |tablet: &Person| {
        let status = tablet.cli(&["status"]).done().object();
        let warnings = status["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().any(|it| it.as_str().is_some_and(|it| it.starts_with("device_still_in: Phone")))
    };
    eventually("the tablet says so", || said(&tablet).then_some(()));
    // After a start too.
    tablet.stop();
    tablet.run();
    eventually("the tablet says so again", || said(&tablet).then_some(()));
    let still = |tablet: &Person| {
        let devices = tablet.cli(&["device", "list"]).done().lines();
        let phone = devices.into_iter().find(|device| device["name"] == "Phone").expect("the phone is listed");
        phone["still_in"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(still(&tablet), 1);
    tablet.cli(&["device", "revoke", "Phone"]).done();
    assert_eq!(still(&tablet), 0);
    assert!(!said(&tablet));
    bob.say(&two, "Not read");
    tablet.holds(&two, 2);
    eventually("the phone is out", || (phone.cli(&["send", &two, "Still?"]).code == 4).then_some(()));
    assert!(!phone.texts(&two).contains(&"Not read".to_owned()));
}
