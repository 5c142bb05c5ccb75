//! What a client may do on a line, and what ends it.

use parlor_crypto::{Secret, SigningKey};

use super::*;
use crate::mailbox::name::BoxKind;
use crate::mailbox::proof::{name_of, prove};

const NONCE: [u8; 32] = [5; 32];

fn relay() -> RelayId {
    RelayId::new(b"relay").unwrap()
}

fn session(token: bool) -> Session {
    let terms = Terms { token, keep_ms: 1, slots: 4, window: 3 };
    Session::begin(NONCE, relay(), StoreId([1; 16]), terms).0
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([n; 32]))
}

fn ask(session: &mut Session, number: u32, ask: Ask) -> Vec<Step> {
    session.frame(&ClientFrame { number, ask }.encode()).unwrap()
}

fn replied(steps: &[Step]) -> Reply {
    let [Step::Send(bytes), ..] = steps else { panic!("no frame in {steps:?}") };
    let ServerFrame::Reply { reply, .. } = ServerFrame::decode(bytes).unwrap() else { panic!("no reply") };
    reply
}

fn open(session: &mut Session, slot: u16, kind: BoxKind, n: u8, proved: bool) -> Reply {
    let name = name_of(kind, &key(n));
    let proof = proved.then(|| prove(kind, &key(n), &NONCE, &relay()));
    replied(&ask(session, 99, Ask::Open { slot, name, proof }))
}

/// The request is refused, or becomes a call, which is answered with a refusal so that it does not wait.
fn allowed(session: &mut Session, what: Ask) -> Result<(), Refusal> {
    match ask(session, 7, what).as_slice() {
        [Step::Call(_)] => {
            session.answer(7, Answer::Refused(Refusal::Failed));
            Ok(())
        }
        steps => match replied(steps) {
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn what_is_allowed_in_a_box_follows_its_kind_and_the_proof() {
    let mut session = session(false);
    assert_eq!(open(&mut session, 0, BoxKind::Room, 1, true), Reply::Done);
    assert_eq!(open(&mut session, 1, BoxKind::Inbox, 2, true), Reply::Done);
    assert_eq!(open(&mut session, 2, BoxKind::Inbox, 3, false), Reply::Done);
    assert_eq!(open(&mut session, 3, BoxKind::Door, 4, true), Reply::Done);
    for (slot, puts, reads, drops) in
        [(0, true, true, false), (1, true, true, true), (2, true, false, false), (3, true, true, false)]
    {
        let id = BlobId([1; 32]);
        let want = |allowed: bool| if allowed { Ok(()) } else { Err(Refusal::NotAllowed) };
        assert_eq!(allowed(&mut session, Ask::Put { slot, blob: Blob(vec![0; 512]) }), want(puts));
        assert_eq!(allowed(&mut session, Ask::List { slot, after: 0, limit: 1 }), want(reads));
        assert_eq!(allowed(&mut session, Ask::Get { slot, id }), want(reads));
        assert_eq!(allowed(&mut session, Ask::Subscribe { slot, inline: true }), want(reads));
        assert_eq!(allowed(&mut session, Ask::Drop { slot, id }), want(drops));
    }
    for (slot, len) in [(0, 0), (0, 511), (0, 1_000), (2, 16 * 1_024)] {
        let put = Ask::Put { slot, blob: Blob(vec![0; len]) };
        assert_eq!(allowed(&mut session, put), Err(Refusal::BadBlob), "{len}");
    }
}

#[test]
fn a_box_is_opened_by_its_own_proof_in_one_free_slot() {
    let mut session = session(false);
    for kind in [BoxKind::Room, BoxKind::Door] {
        assert_eq!(open(&mut session, 0, kind, 1, false), Reply::Refused(Refusal::NotAllowed));
    }
    let name = name_of(BoxKind::Room, &key(1));
    let others = [
        prove(BoxKind::Room, &key(2), &NONCE, &relay()),
        prove(BoxKind::Door, &key(1), &NONCE, &relay()),
        prove(BoxKind::Room, &key(1), &[6; 32], &relay()),
        prove(BoxKind::Room, &key(1), &NONCE, &RelayId::new(b"other").unwrap()),
    ];
    for proof in others {
        let steps = ask(&mut session, 1, Ask::Open { slot: 0, name, proof: Some(proof) });
        assert_eq!(replied(&steps), Reply::Refused(Refusal::Proof));
    }
    assert_eq!(open(&mut session, 0, BoxKind::Room, 1, true), Reply::Done);
    assert_eq!(open(&mut session, 0, BoxKind::Room, 2, true), Reply::Refused(Refusal::Slot), "taken");
    assert_eq!(open(&mut session, 1, BoxKind::Room, 1, true), Reply::Refused(Refusal::Slot), "open already");
    assert_eq!(open(&mut session, 4, BoxKind::Room, 2, true), Reply::Refused(Refusal::Slot), "beyond the terms");
    assert_eq!(allowed(&mut session, Ask::List { slot: 2, after: 0, limit: 1 }), Err(Refusal::Slot), "free");
    assert_eq!(replied(&ask(&mut session, 1, Ask::Close { slot: 0 })), Reply::Done);
    assert_eq!(open(&mut session, 1, BoxKind::Room, 1, true), Reply::Done);
}

#[test]
fn without_its_token_a_closed_relay_does_nothing() {
    let mut session = session(true);
    assert_eq!(open(&mut session, 0, BoxKind::Inbox, 1, true), Reply::Refused(Refusal::Token));
    let steps = ask(&mut session, 1, Ask::Token(Blob(b"wrong".to_vec())));
    assert_eq!(steps, [Step::Call(Call::Token { number: 1, token: Blob(b"wrong".to_vec()) })]);
    session.answer(1, Answer::Refused(Refusal::Token));
    assert!(!session.is_admitted());
    ask(&mut session, 2, Ask::Token(Blob(b"right".to_vec())));
    assert_eq!(replied(&session.answer(2, Answer::Done)), Reply::Done);
    assert_eq!(open(&mut session, 0, BoxKind::Inbox, 1, true), Reply::Done);
}

#[test]
fn who_breaks_the_window_a_number_or_the_frames_loses_the_line() {
    let mut session = session(false);
    open(&mut session, 0, BoxKind::Room, 1, true);
    let list = |number| ClientFrame { number, ask: Ask::List { slot: 0, after: 0, limit: 1 } }.encode();
    session.frame(&list(1)).unwrap();
    assert_eq!(session.frame(&list(1)), Err(SessionError::Number));
    session.frame(&list(2)).unwrap();
    session.frame(&list(3)).unwrap();
    assert_eq!(session.frame(&list(4)), Err(SessionError::Window));
    assert!(matches!(session.frame(&[9, 9, 9]), Err(SessionError::Frame(_))));
    session.answer(2, Answer::Listed { entries: Vec::new(), more: false, end: 0 });
    assert!(session.frame(&list(2)).is_ok(), "an answered number is free");
    assert_eq!(session.answer(17, Answer::Done), [], "nothing waits for this");
    let unlike = session.answer(1, Answer::Stored(1));
    assert_eq!(replied(&unlike), Reply::Refused(Refusal::Failed), "an answer of another sort tells nothing wrong");
}

#[test]
fn pushes_go_to_subscribed_boxes_and_a_subscription_ends_with_its_slot() {
    let mut session = session(false);
    open(&mut session, 0, BoxKind::Room, 1, true);
    let name = name_of(BoxKind::Room, &key(1));
    let entry = Entry { at: 1, id: BlobId([1; 32]), size: 512 };
    let subscribe = |inline| Ask::Subscribe { slot: 0, inline };
    assert_eq!(session.push(&name, entry, b"x"), None);
    ask(&mut session, 1, subscribe(false));
    session.answer(1, Answer::Done);
    let frame = |bytes: Option<Vec<u8>>| ServerFrame::decode(&bytes.unwrap()).unwrap();
    assert_eq!(frame(session.push(&name, entry, b"x")), ServerFrame::Push { slot: 0, entry, blob: None });
    assert_eq!(frame(session.behind(&name)), ServerFrame::Behind { slot: 0 });
    ask(&mut session, 1, subscribe(true));
    session.answer(1, Answer::Done);
    let inline = ServerFrame::Push { slot: 0, entry, blob: Some(Blob(b"x".to_vec())) };
    assert_eq!(frame(session.push(&name, entry, b"x")), inline);
    assert_eq!(session.subscribed().len(), 1);
    let steps = ask(&mut session, 2, Ask::Close { slot: 0 });
    assert_eq!(steps[1], Step::Call(Call::Unsubscribe { name }));
    assert_eq!(session.push(&name, entry, b"x"), None);
    // Closed while the subscription was under way: it is taken back.
    open(&mut session, 0, BoxKind::Room, 1, true);
    ask(&mut session, 3, subscribe(true));
    ask(&mut session, 4, Ask::Close { slot: 0 });
    assert_eq!(session.answer(3, Answer::Done).last(), Some(&Step::Call(Call::Unsubscribe { name })));
}
