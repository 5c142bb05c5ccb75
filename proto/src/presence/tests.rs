//! Promises about what somebody does right now.

use parlor_crypto::Secret;

use super::*;

const ROOM: RoomId = RoomId([7; 32]);

fn device(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32]))
}

fn said(doing: Doing, ts_ms: u64) -> Presence {
    Presence::sign(&ROOM, &device(1), doing, ts_ms)
}

/// Offers a statement as the node does, and says whether it was taken, and what it made different.
fn offer(listener: &mut Listener, presence: &Presence, now_ms: u64) -> Option<Change> {
    let admitted = listener.admits(&presence.device, presence.ts_ms, now_ms);
    (admitted && presence.verify(&ROOM).is_ok()).then(|| listener.hear(presence, now_ms))
}

#[test]
fn a_statement_is_worth_something_in_its_room_only_and_unchanged() {
    let bytes = said(Doing::Types, 5).encode();
    assert!(bytes.len() <= MAX_PRESENCE);
    let decoded = Presence::decode(&bytes).unwrap();
    assert_eq!(decoded.verify(&ROOM), Ok(()));
    assert_eq!(decoded.verify(&RoomId([8; 32])), Err(PresenceError::Signature));
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(Presence::decode(&changed).is_err() || Presence::decode(&changed).unwrap().verify(&ROOM).is_err());
    }
}

#[test]
fn typing_is_said_at_once_repeated_and_ended() {
    let mut speaker = Speaker::default();
    assert_eq!((speaker.due(), speaker.take(1_000)), (None, None));
    speaker.typing(true, 10_000);
    assert_eq!(speaker.take(10_000), Some(Doing::Types));
    // Each key is told to the node; the others hear of it every five seconds.
    for now in (10_100..15_000).step_by(100) {
        speaker.typing(true, now);
        assert_eq!(speaker.take(now), None);
    }
    assert_eq!(speaker.due(), Some(15_000));
    assert_eq!(speaker.take(15_000), Some(Doing::Types));
    speaker.typing(false, 16_000);
    assert_eq!(speaker.take(16_000), None, "not sooner than three seconds");
    assert_eq!(speaker.due(), Some(18_000));
    assert_eq!(speaker.take(18_000), Some(Doing::Stopped));
    assert_eq!(speaker.due(), None);
}

#[test]
fn a_client_that_says_nothing_more_has_stopped() {
    let mut speaker = Speaker::default();
    speaker.typing(true, 10_000);
    assert_eq!(speaker.take(10_000), Some(Doing::Types));
    let mut now = 10_000;
    let mut told = Vec::new();
    while let Some(due) = speaker.due() {
        now = due.max(now + 1);
        told.extend(speaker.take(now));
        assert!(now < 60_000, "it ends");
    }
    assert_eq!(told, [Doing::Types, Doing::Stopped]);
}

#[test]
fn whoever_sends_what_he_typed_says_no_more_of_it() {
    let mut speaker = Speaker::default();
    speaker.typing(true, 10_000);
    speaker.take(10_000);
    speaker.sent();
    assert_eq!((speaker.due(), speaker.take(99_000)), (None, None));
}

#[test]
fn nobody_says_more_than_one_thing_in_three_seconds() {
    let mut speaker = Speaker::default();
    let mut last: Option<u64> = None;
    for now in (10_000..120_000).step_by(250) {
        speaker.typing(now % 1_000 == 0, now);
        speaker.stance(if now % 3_500 == 0 { Stance::Away } else { Stance::Hidden }, now);
        speaker.greet(now);
        if speaker.take(now).is_some() {
            assert!(last.is_none_or(|last| now - last >= INTERVAL_MS), "at {now}");
            last = Some(now);
        }
    }
    assert!(last.is_some());
}

#[test]
fn a_stance_is_said_when_it_changes_repeated_while_it_is_not_here_and_to_whom_comes() {
    let mut speaker = Speaker::default();
    speaker.greet(5_000);
    assert_eq!(speaker.due(), None, "who is here says nothing");
    speaker.stance(Stance::Hidden, 10_000);
    assert_eq!(speaker.take(10_000), Some(Doing::Hidden));
    assert_eq!(speaker.take(20_000), Some(Doing::Hidden));
    assert_eq!(speaker.due(), Some(20_000 + STANCE_REPEAT_MS));
    speaker.greet(30_000);
    assert_eq!(speaker.take(30_000), Some(Doing::Hidden));
    speaker.stance(Stance::Here, 50_000);
    assert_eq!(speaker.take(50_000), Some(Doing::Here));
    assert_eq!(speaker.take(60_000), Some(Doing::Here), "once more, for whom it missed");
    assert_eq!(speaker.due(), None);
}

#[test]
fn a_statement_counts_once_while_it_is_fresh() {
    let mut listener = Listener::default();
    let now = 100_000_000;
    let typing = said(Doing::Types, now);
    assert_eq!(offer(&mut listener, &typing, now), Some(Change::Typing(true)));
    assert!(listener.types(&typing.device));
    assert_eq!(listener.due(), Some(now + TYPING_MS));
    assert_eq!(listener.tick(now + TYPING_MS), [(typing.device, Change::Typing(false))]);
    assert!(!listener.types(&typing.device));
    assert_eq!(offer(&mut listener, &typing, now + TYPING_MS), None, "a copy of it says nothing");
    for ts_ms in [now - FRESH_MS - 1, now + FRESH_MS + 1] {
        assert_eq!(offer(&mut Listener::default(), &said(Doing::Types, ts_ms), now), None);
    }
    assert_eq!(offer(&mut listener, &said(Doing::Types, now + 9_000), now + 9_000), Some(Change::Typing(true)));
    assert_eq!(offer(&mut listener, &said(Doing::Stopped, now + 13_000), now + 13_000), Some(Change::Typing(false)));
}

#[test]
fn a_device_that_floods_is_not_looked_at() {
    let mut listener = Listener::default();
    let now = 100_000_000;
    let id = DeviceId(device(1).public_bytes());
    let mut looked = 0;
    for n in 0..60_000u64 {
        if listener.admits(&id, now + n, now + n) {
            looked += 1;
            listener.hear(&said(Doing::Types, now + n), now + n);
        }
    }
    assert_eq!(looked, 2 + 59_999 / 2_000, "of a minute with a thousand a second");
    // An honest node beside it is heard.
    let other = Presence::sign(&ROOM, &device(2), Doing::Types, now + 60_000);
    assert_eq!(offer(&mut listener, &other, now + 60_000), Some(Change::Typing(true)));
}

#[test]
fn who_forges_statements_of_another_takes_nothing_from_him() {
    let mut listener = Listener::default();
    let now = 100_000_000;
    for n in 1..100 {
        let forged = Presence { ts_ms: now + n, ..said(Doing::Hidden, now) };
        assert_eq!(offer(&mut listener, &forged, now + n), None);
    }
    assert_eq!(offer(&mut listener, &said(Doing::Types, now + 100), now + 100), Some(Change::Typing(true)));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut listener = Listener::default();
    let sig = Signature([0; 64]);
    let mut crowd = 0;
    for n in 0..2 * MAX_HEARD as u64 {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_le_bytes());
        if listener.admits(&DeviceId(id), 1_000, 1_000) {
            crowd += 1;
            listener.hear(&Presence { device: DeviceId(id), ts_ms: 1_000, doing: Doing::Types, sig }, 1_000);
        }
    }
    assert_eq!(crowd, MAX_HEARD);
    let later = 1_000 + FRESH_MS;
    assert!(!listener.admits(&DeviceId([9; 32]), later, 1_000), "there is no room for more");
    listener.tick(later);
    assert!(listener.admits(&DeviceId([9; 32]), later, later), "who said nothing for long makes room");
}
