//! Records, texts, and how devices of one account come to the same profile.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::limits::{MAX_ABOUT, MAX_PROFILE_NAME, SEEN_ROUND_MS};

const ROOM: RoomId = RoomId([7; 32]);
const SLICE: (EpochId, u32) = (EpochId([3; 16]), 2);

fn device(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

fn key(seed: u8) -> EnvelopeKey {
    EnvelopeKey::new(&Secret::new([seed; 32]))
}

fn says(text: &str) -> Content {
    let picture = PictureKey { hash: picture_hash(b"jpeg"), key: Secret::new([5; 32]) };
    Content {
        name: Field { stamp: 1, value: Some(text.to_owned()) },
        about: Field { stamp: 2, value: Some("Two\nlines".to_owned()) },
        picture: Field { stamp: 3, value: Some(picture) },
        seen: Field { stamp: SEEN_ROUND_MS, value: Some(SEEN_ROUND_MS) },
    }
}

fn record(counter: u64, content: &Content) -> Profile {
    let at = Place { room: &ROOM, slice: SLICE, key: &key(1) };
    Profile::seal(at, &device(1), counter, content, &mut StdRng::seed_from_u64(counter))
}

#[test]
fn a_record_is_worth_something_in_its_room_only_and_unchanged() {
    let bytes = record(4, &says("Alice")).encode();
    assert_eq!(Profile::decode(&ROOM, &bytes), Ok(record(4, &says("Alice"))));
    assert_eq!(Profile::decode(&RoomId([8; 32]), &bytes), Err(ProfileError::Signature));
    assert_eq!(Profile::decode(&ROOM, &record(0, &says("Alice")).encode()), Err(ProfileError::Limit));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(Profile::decode(&ROOM, &changed).is_err(), "byte {place}");
    }
    assert!(Profile::decode(&ROOM, &vec![0; MAX_PROFILE + 1]).is_err());
}

#[test]
fn the_longest_content_fits_a_record_and_nothing_longer_is_read() {
    let longest = Content {
        name: Field { stamp: MAX_STAMP, value: Some("n".repeat(MAX_PROFILE_NAME)) },
        about: Field { stamp: MAX_STAMP, value: Some("a".repeat(MAX_ABOUT)) },
        picture: Field { stamp: MAX_STAMP, ..says("x").picture },
        seen: Field { stamp: MAX_STAMP, value: Some(round_seen(MAX_STAMP)) },
    };
    let made = record(u64::MAX, &longest);
    let bytes = made.encode();
    assert!(bytes.len() <= MAX_PROFILE, "{}", bytes.len());
    assert_eq!(Profile::decode(&ROOM, &bytes).unwrap().open(&ROOM, &key(1)), Ok(longest.clone()));
    for longer in [
        Content { name: Field { stamp: 1, value: Some("n".repeat(MAX_PROFILE_NAME + 1)) }, ..longest.clone() },
        Content { about: Field { stamp: 1, value: Some("a".repeat(MAX_ABOUT + 1)) }, ..longest },
    ] {
        assert!(matches!(record(1, &longer).open(&ROOM, &key(1)), Err(Unopened::Content(_))));
    }
}

#[test]
fn a_record_opens_with_the_key_of_its_slice_only_and_as_its_authors_only() {
    let made = record(1, &says("Alice"));
    assert_eq!(made.open(&ROOM, &key(1)), Ok(says("Alice")));
    assert_eq!(made.open(&ROOM, &key(2)), Err(Unopened::Sealed));
    assert_eq!(made.open(&RoomId([8; 32]), &key(1)), Err(Unopened::Sealed));
    // Mallory signs what she saw as her own: the seal says whose it is.
    let stolen = Profile { device: DeviceId(device(2).public_bytes()), ..made };
    let sig = signed::sign(&stolen, &ROOM, &device(2), label::SIGN_PROFILE);
    let stolen = Profile::decode(&ROOM, &Profile { sig, ..stolen }.encode()).unwrap();
    assert_eq!(stolen.open(&ROOM, &key(1)), Err(Unopened::Sealed));
}

#[test]
fn a_portrait_opens_as_the_picture_that_was_named_and_as_no_other() {
    let mut rng = StdRng::seed_from_u64(1);
    let named = says("Alice").picture.value.unwrap();
    let made = Portrait::seal(&ROOM, &device(1), 3, Some((b"jpeg", &named.key)), &mut rng);
    let read = Portrait::decode(&ROOM, &made.encode()).unwrap();
    assert_eq!(read.open(&ROOM, &named).as_deref(), Some(&b"jpeg"[..]));
    let other = PictureKey { hash: picture_hash(b"other"), ..named.clone() };
    assert_eq!(read.open(&ROOM, &other), None);
    assert_eq!(read.open(&ROOM, &PictureKey { key: Secret::new([6; 32]), ..named.clone() }), None);
    assert_eq!(Portrait::decode(&RoomId([8; 32]), &made.encode()), Err(ProfileError::Signature));
    let none = Portrait::seal(&ROOM, &device(1), 4, None, &mut rng);
    assert_eq!(Portrait::decode(&ROOM, &none.encode()).unwrap().open(&ROOM, &named), None);
    let largest = vec![7; MAX_PORTRAIT];
    let made = Portrait::seal(&ROOM, &device(1), u64::MAX, Some((&largest, &named.key)), &mut rng);
    assert!(made.encode().len() <= MAX_PORTRAIT_RECORD);
    let larger = vec![7; MAX_PORTRAIT + 1];
    let refused = Portrait::seal(&ROOM, &device(1), 1, Some((&larger, &named.key)), &mut rng);
    assert_eq!(refused, Portrait::seal(&ROOM, &device(1), 1, None, &mut rng));
    assert!(Portrait::decode(&ROOM, &vec![0; MAX_PORTRAIT_RECORD + 1]).is_err());
}

#[test]
fn the_highest_counter_wins_so_nobody_brings_an_older_one_back() {
    assert!(record(1, &says("A")).replaces(None) && record(5, &says("A")).replaces(Some(4)));
    assert!(!record(4, &says("A")).replaces(Some(4)) && !record(3, &says("A")).replaces(Some(4)));
}

#[test]
fn names_that_people_have_are_names_in_one_form() {
    for (typed, named) in [
        ("Alice", "Alice"),
        ("  Alice   Liddell ", "Alice Liddell"),
        ("Ａｌｉｃｅ", "Alice"),
        ("Zoe\u{308}", "Zoë"),
        ("Иван Smith", "Иван Smith"),
        ("山田たろう", "山田たろう"),
        ("Nguyễn Văn A", "Nguyễn Văn A"),
        ("R2-D2 🤖", "R2-D2 🤖"),
        ("O'Neil, jr.", "O'Neil, jr."),
    ] {
        assert_eq!(name(typed).as_deref(), Ok(named), "{typed}");
        assert_eq!(text::check_name(named), Ok(()));
    }
}

#[test]
fn what_could_pass_for_another_or_hide_is_no_name() {
    for (bad, why) in [
        ("", TextError::Empty),
        (" \u{3000} ", TextError::Empty),
        ("\u{202e}ecilA", TextError::Hidden),
        ("Ali\u{200b}ce", TextError::Hidden),
        ("Ali\u{200d}ce", TextError::Hidden),
        ("\u{1b}[31mAlice", TextError::Hidden),
        ("Alice\u{e0041}", TextError::Hidden),
        ("Al\u{fe0f}ice", TextError::Hidden),
        ("\u{f8ff} Inc", TextError::Hidden),
        ("A\u{335}\u{335}\u{335}\u{335}", TextError::Hidden),
        ("---", TextError::Nameless),
        ("🙂", TextError::Nameless),
        ("\u{410}lice", TextError::MixedScript),
        ("Bob \u{410}lice", TextError::MixedScript),
        ("Alice (01010101)", TextError::Parenthesis),
        ("Alice \u{ff08}01010101\u{ff09}", TextError::Parenthesis),
        ("Alice \u{2768}01010101\u{2769}", TextError::Parenthesis),
    ] {
        assert_eq!(name(bad), Err(why), "{bad:?}");
    }
    assert_eq!(name(&"a".repeat(MAX_PROFILE_NAME + 1)), Err(TextError::LongName));
    assert_eq!(name(&"\u{fdfa}".repeat(MAX_PROFILE_NAME)), Err(TextError::LongName), "grows when written out");
    for odd in ["Ａlice", "Alice ", "Al  ice", "Al\u{a0}ice", "Al\tice", "Zoe\u{308}"] {
        assert!(text::check_name(odd).is_err(), "{odd:?} comes from no honest node");
    }
}

#[test]
fn a_text_about_somebody_has_lines_and_hides_nothing() {
    assert_eq!(about(" Hello\r\nworld ").as_deref(), Ok("Hello\nworld"));
    assert_eq!(about("a\u{202e}b"), Err(TextError::Hidden));
    assert_eq!(about("a\tb"), Err(TextError::Hidden));
    assert_eq!(about("\n \n"), Err(TextError::Empty));
    assert_eq!(about(&"a\n".repeat(9)), Err(TextError::LongAbout));
    assert_eq!(about(&"a".repeat(MAX_ABOUT + 1)), Err(TextError::LongAbout));
}

#[test]
fn what_no_honest_node_says_is_shown_by_none() {
    let good = says("Alice");
    let ahead = Field { stamp: MAX_STAMP + 1, value: Some("Alice".to_owned()) };
    let unstamped = Field { stamp: 0, value: Some("Alice".to_owned()) };
    for bad in [
        Content { name: ahead, ..good.clone() },
        Content { name: unstamped, ..good.clone() },
        Content { name: Field { stamp: 1, value: Some("a\u{202e}".into()) }, ..good.clone() },
        Content { about: Field { stamp: 1, value: Some(String::new()) }, ..good.clone() },
        Content { seen: Field { stamp: 1, value: Some(SEEN_ROUND_MS + 1) }, ..good.clone() },
    ] {
        assert!(matches!(record(1, &bad).open(&ROOM, &key(1)), Err(Unopened::Content(_))), "{bad:?}");
    }
    let mut newer = good.encode();
    newer[0] = 2;
    assert_eq!(Content::decode(&newer), Err(ContentError::Version(2)));
}

#[test]
fn a_field_is_told_to_those_it_is_for_and_the_others_learn_nothing_of_its_changes() {
    let mut own = Own::default();
    own.set_about(Some(Some("one")), Some(Audience::Rooms), 100).unwrap();
    assert_eq!(own.about.told(Reach::Room).value.as_deref(), Some("one"));
    own.set_about(Some(Some("two")), Some(Audience::Contacts), 200).unwrap();
    let left_out = own.about.told(Reach::Room);
    assert_eq!(left_out, Field { stamp: 200, value: None });
    assert_eq!(own.about.told(Reach::Contact).value.as_deref(), Some("two"));
    own.set_about(Some(Some("three")), None, 300).unwrap();
    assert_eq!(own.about.told(Reach::Room), left_out, "nor when it changes");
    assert_eq!(own.about.told(Reach::Contact), Field { stamp: 300, value: Some("three".to_owned()) });
    own.set_about(None, Some(Audience::Nobody), 400).unwrap();
    assert_eq!(own.about.told(Reach::Contact), Field { stamp: 400, value: None });
    assert_eq!(own.about.value().map(String::as_str), Some("three"), "and it is kept here");
    own.set_about(None, Some(Audience::Rooms), 500).unwrap();
    assert_eq!(own.about.told(Reach::Nobody).value, None);
}

#[test]
fn a_clock_that_went_back_does_not_lose_what_is_set() {
    let mut own = Own::default();
    own.set_name(Some(Some("one")), Some(Audience::Rooms), 1_000).unwrap();
    own.set_name(Some(Some("two")), None, 10).unwrap();
    let told = own.name.told(Reach::Room);
    assert_eq!((told.stamp, told.value.as_deref()), (1_001, Some("two")));
    assert_eq!(own.set_name(Some(Some("two")), None, 2_000), Ok(false), "nothing new");
}

#[test]
fn being_seen_is_off_until_it_is_wanted_and_says_ten_minutes() {
    let mut own = Own::default();
    assert!(!own.act(5 * SEEN_ROUND_MS) && own.seen.value().is_none());
    own.set_seen(Audience::Contacts, 5 * SEEN_ROUND_MS + 5);
    let left_out = own.seen.told(Reach::Room);
    assert!(own.act(5 * SEEN_ROUND_MS + 6) && !own.act(6 * SEEN_ROUND_MS - 1) && own.act(7 * SEEN_ROUND_MS + 77));
    let told = own.seen.told(Reach::Contact);
    assert_eq!((told.stamp, told.value), (7 * SEEN_ROUND_MS, Some(7 * SEEN_ROUND_MS)));
    assert_eq!(own.seen.told(Reach::Room), left_out, "others do not learn that the user is there");
    own.set_seen(Audience::Nobody, 9 * SEEN_ROUND_MS);
    assert!(own.seen.value().is_none() && !own.act(10 * SEEN_ROUND_MS), "off forgets");
}

#[test]
fn another_devices_choice_is_taken_for_narrower_until_it_was_seen_to_be_wider() {
    let (mut mine, mut other) = (Own::default(), Own::default());
    mine.set_name(Some(Some("old")), Some(Audience::Rooms), 10).unwrap();
    other.set_name(Some(Some("new")), Some(Audience::Rooms), 20).unwrap();
    assert!(mine.name.adopt(&other.name.told(Reach::Contact), Reach::Contact));
    assert_eq!(mine.name.audience(), Audience::Contacts);
    assert!(mine.name.adopt(&other.name.told(Reach::Room), Reach::Room));
    assert_eq!((mine.name.audience(), mine.name.value().map(String::as_str)), (Audience::Rooms, Some("new")));
    // Narrowed on the other: heard first where it is not for.
    other.set_name(None, Some(Audience::Contacts), 30).unwrap();
    assert!(mine.name.adopt(&other.name.told(Reach::Room), Reach::Room));
    assert_eq!(mine.name.told(Reach::Room).value, None);
    assert!(mine.name.adopt(&other.name.told(Reach::Contact), Reach::Contact));
    assert_eq!(mine.name.audience(), Audience::Contacts);
    assert_eq!(mine.name.told(Reach::Contact).value.as_deref(), Some("new"));
}

/// One thing a user does on one of his devices.
#[derive(Debug, Clone)]
enum Act {
    /// Sets the name and who may see it.
    Set { device: usize, name: Option<u8>, audience: u8, at: u64 },
    /// A device hears what another tells in one of the rooms, as it is then.
    Hear { from: usize, to: usize, contact: bool },
}

fn act() -> impl Strategy<Value = Act> {
    let set = (0..3usize, proptest::option::of(0..4u8), 0..3u8, 1..6u64);
    let hear = (0..3usize, 0..3usize, any::<bool>());
    prop_oneof![
        set.prop_map(|(device, name, audience, at)| Act::Set { device, name, audience, at }),
        hear.prop_map(|(from, to, contact)| Act::Hear { from, to, contact }),
    ]
}

fn audience(n: u8) -> Audience {
    [Audience::Nobody, Audience::Contacts, Audience::Rooms][usize::from(n % 3)]
}

fn hear(devices: &mut [Mine<u8>], from: usize, to: usize, reach: Reach) {
    let told = devices[from].told(reach);
    devices[to].adopt(&told, reach);
}

/// What a member, or a contact, makes of the records of all devices.
fn shown(devices: &[Mine<u8>], reach: Reach, order: impl Iterator<Item = usize>) -> Field<u8> {
    let mut merged = Field::default();
    for at in order {
        merged.take(devices[at].told(reach));
    }
    merged
}

#[test]
fn who_may_not_see_a_field_does_not_see_from_any_device_when_it_changes() {
    let mut devices = vec![Mine::<u8>::default(); 2];
    devices[0].set(Some(Some(1)), Some(Audience::Contacts), 5);
    hear(&mut devices, 0, 1, Reach::Contact);
    let before: Vec<_> = devices.iter().map(|device| device.told(Reach::Room)).collect();
    devices[0].set(Some(Some(2)), None, 9);
    hear(&mut devices, 0, 1, Reach::Contact);
    assert_eq!(devices[1].told(Reach::Contact).value, Some(2));
    let after: Vec<_> = devices.iter().map(|device| device.told(Reach::Room)).collect();
    assert_eq!(before, after);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Any order, any number of times: the same field.
    #[test]
    fn copies_of_a_field_meet_in_one(copies in prop::collection::vec((0..4u64, proptest::option::of(0..3u8)), 1..8), seed: u64) {
        let fields: Vec<_> = copies.into_iter().map(|(stamp, value)| Field { stamp, value }).collect();
        let mut one = Field::default();
        for field in &fields {
            one.take(field.clone());
        }
        let mut other = Field::default();
        for n in 0..3 * fields.len() {
            other.take(fields[(n * 7 + seed as usize % 11) % fields.len()].clone());
        }
        for field in fields.iter().rev() {
            other.take(field.clone());
        }
        prop_assert_eq!(one, other);
    }

    /// Two devices of one account, or three, that set the same field at once: when all heard all, each tells the same in every
    /// room, and what it tells to no more than what the choice that won was for.
    #[test]
    fn devices_of_one_account_converge_and_widen_nothing(acts in prop::collection::vec(act(), 1..30)) {
        let mut devices = vec![Mine::<u8>::default(); 3];
        let mut chosen = Vec::new();
        for act in acts {
            match act {
                Act::Set { device, name, audience: to, at } => {
                    if devices[device].set(Some(name), Some(audience(to)), at) {
                        chosen.push((devices[device].told(Reach::Contact).stamp.max(devices[device].told(Reach::Room).stamp), name, audience(to)));
                    }
                }
                Act::Hear { from, to, contact } => {
                    hear(&mut devices, from, to, if contact { Reach::Contact } else { Reach::Room });
                }
            }
        }
        for _ in 0..4 {
            for (from, to) in [(0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)] {
                hear(&mut devices, from, to, Reach::Contact);
                hear(&mut devices, from, to, Reach::Room);
            }
        }
        for reach in [Reach::Room, Reach::Contact] {
            let one = shown(&devices, reach, 0..3);
            prop_assert_eq!(&one, &shown(&devices, reach, (0..3).rev()));
            for device in &devices {
                prop_assert_eq!(&device.told(reach).value, &one.value);
            }
            // Whoever is told something: somebody chose that, for them.
            if let Some(value) = one.value {
                prop_assert!(chosen.iter().any(|(_, name, to)| *name == Some(value) && to.reaches(reach)));
            }
        }
    }

    /// Whatever is typed is refused, or has a form that is taken as it is by everybody.
    #[test]
    fn a_name_that_is_taken_is_taken_by_all(text in "\\PC{0,40}") {
        if let Ok(named) = name(&text) {
            prop_assert_eq!(text::check_name(&named), Ok(()));
            prop_assert_eq!(name(&named), Ok(named));
        }
        if let Ok(said) = about(&text) {
            prop_assert_eq!(about(&said), Ok(said));
        }
    }

    #[test]
    fn whatever_comes_is_decoded_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Profile::decode(&ROOM, &bytes);
        let _ = Portrait::decode(&ROOM, &bytes);
        if let Ok(content) = Content::decode(&bytes) {
            prop_assert_eq!(content.encode(), bytes);
        }
    }
}

#[test]
fn what_is_held_back_is_told_to_nobody_until_another_device_tells_it_or_it_is_set_anew() {
    let mut before = Own::default();
    before.set_about(Some(Some("5 Elm Street")), Some(Audience::Rooms), 1_000).unwrap();
    let mut kept = before.clone().held_back();
    assert_eq!((kept.about.audience(), kept.about.value()), (Audience::Nobody, before.about.value()));
    assert!([Reach::Room, Reach::Contact].iter().all(|reach| kept.about.told(*reach).value.is_none()));
    let mut other = before.clone();
    assert!(!other.about.adopt(&kept.about.told(Reach::Room), Reach::Room), "nobody takes it for a choice");
    // The other device told it on, or closed it meanwhile.
    let mut adopts = kept.clone();
    assert!(adopts.about.adopt(&other.about.told(Reach::Room), Reach::Room));
    assert_eq!(adopts.about.audience(), Audience::Rooms);
    other.set_about(None, Some(Audience::Nobody), 2_000).unwrap();
    kept.about.adopt(&other.about.told(Reach::Room), Reach::Room);
    assert!(kept.about.told(Reach::Room).value.is_none());
    kept.set_about(Some(Some("5 Elm Street")), Some(Audience::Rooms), 3_000).unwrap();
    assert!(kept.about.told(Reach::Room).value.is_some());
}
