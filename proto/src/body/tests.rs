//! Promises about what messages hold.

use parlor_crypto::seal;

use super::*;

const TARGET: EventId = EventId([1; 32]);

fn poll(options: Vec<String>) -> Body {
    Body::Poll(Poll { question: "Where?".into(), options, several: false })
}

#[test]
fn the_longest_texts_with_all_mentions_fit_into_a_payload() {
    let (text, mentions) = ("x".repeat(MAX_TEXT), vec![AccountId([2; 32]); MAX_MENTIONS]);
    let longest_poll = Poll {
        question: "q".repeat(limits::MAX_QUESTION),
        options: vec!["o".repeat(limits::MAX_OPTION); limits::MAX_OPTIONS],
        several: true,
    };
    let bodies = [
        Body::Text(Text { text: text.clone(), reply_to: Some(TARGET), mentions: mentions.clone(), thread: None }),
        Body::Text(Text {
            text: text.clone(),
            reply_to: Some(TARGET),
            mentions: mentions.clone(),
            thread: Some(TARGET),
        }),
        Body::Edit(Edit { target: TARGET, text, mentions }),
        Body::Poll(longest_poll),
    ];
    for body in bodies {
        assert_eq!(body.check(), Ok(()));
        assert!(seal::sealed_len(body.encode().len()) <= limits::MAX_PAYLOAD);
        assert_eq!(Body::decode(&body.encode()), Ok(body));
    }
}

#[test]
fn empty_and_long_texts_are_refused_with_their_length() {
    assert_eq!(Body::text("").check(), Err(BodyError::Empty));
    let long = Body::text("x".repeat(24 * 1024));
    assert_eq!(long.check(), Err(BodyError::TooLong { len: 24 * 1024, max: MAX_TEXT }));
    assert!(Body::decode(&long.encode()).is_err());
    let edit = Body::Edit(Edit { target: TARGET, text: String::new(), mentions: Vec::new() });
    assert_eq!(Body::decode(&edit.encode()), Err(BodyError::Empty));
}

#[test]
fn a_kind_of_a_newer_version_is_kept() {
    let bytes = [200, 1, 2, 3];
    let body = Body::decode(&bytes).unwrap();
    assert_eq!(body, Body::Unknown { kind: 200, content: vec![1, 2, 3] });
    assert_eq!(body.encode(), bytes);
    assert_eq!(body.target(), None);
}

#[test]
fn a_text_outside_of_threads_is_written_as_before_there_were_any() {
    let text = Text { text: "hi".into(), reply_to: None, mentions: Vec::new(), thread: None };
    assert_eq!(Body::Text(text.clone()).encode(), [1, 2, b'h', b'i', 0, 0]);
    let threaded = Body::Text(Text { thread: Some(TARGET), ..text });
    assert_eq!(threaded.encode(), [&[10][..], &[1; 32], &[2, b'h', b'i', 0, 0]].concat());
}

#[test]
fn annotations_name_their_target_and_nothing_else_does() {
    let annotations = [
        Body::Edit(Edit { target: TARGET, text: "x".into(), mentions: Vec::new() }),
        Body::Redact(Redact { target: TARGET }),
        Body::React(React { target: TARGET, emoji: "👍".into(), on: true }),
        Body::Vote(Vote { poll: TARGET, choices: vec![0, 3] }),
        Body::Pin(Pin { target: TARGET, on: false }),
    ];
    for body in annotations {
        assert_eq!(body.target(), Some(TARGET));
        assert_eq!(Body::decode(&body.encode()), Ok(body));
    }
    assert_eq!(Body::Text(Text { reply_to: Some(TARGET), ..Text::default() }).target(), None);
    assert_eq!(poll(vec!["a".into(), "b".into()]).target(), None);
}

#[test]
fn polls_and_votes_out_of_bounds_are_refused() {
    let many = |n: usize| poll((0..n).map(|n| n.to_string()).collect());
    assert_eq!(many(limits::MIN_OPTIONS).check(), Ok(()));
    assert_eq!(many(limits::MAX_OPTIONS).check(), Ok(()));
    assert_eq!(many(1).check(), Err(BodyError::Options));
    assert_eq!(many(21).check(), Err(BodyError::Options));
    assert_eq!(poll(vec!["a".into(), String::new()]).check(), Err(BodyError::Options));
    for choices in [vec![1, 1], vec![2, 1], vec![20]] {
        let vote = Body::Vote(Vote { poll: TARGET, choices });
        assert_eq!(Body::decode(&vote.encode()), Err(BodyError::Choices));
    }
    let single = Poll { question: "q".into(), options: vec!["a".into(), "b".into()], several: false };
    assert!(single.allows(&[]) && single.allows(&[1]) && !single.allows(&[0, 1]) && !single.allows(&[2]));
    assert!(Poll { several: true, ..single }.allows(&[0, 1]));
}

#[test]
fn a_reaction_that_deceives_is_no_content() {
    let react = Body::React(React { target: TARGET, emoji: "\u{202e}".into(), on: true });
    assert_eq!(Body::decode(&react.encode()), Err(BodyError::Emoji));
}

#[test]
fn what_is_left_over_behind_a_body_is_refused() {
    let mut bytes = Body::Pin(Pin { target: TARGET, on: true }).encode();
    bytes.push(0);
    assert_eq!(Body::decode(&bytes), Err(BodyError::Malformed));
    *bytes.last_mut().unwrap() = 2;
    bytes.pop();
    *bytes.last_mut().unwrap() = 2;
    assert_eq!(Body::decode(&bytes), Err(BodyError::Malformed), "neither on nor off");
}
