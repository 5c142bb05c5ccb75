//! Frames have one encoding each, and bounds.

use proptest::prelude::*;

use super::*;
use crate::mailbox::name::BoxKind;

fn blob() -> impl Strategy<Value = Blob> {
    prop::collection::vec(any::<u8>(), 0..600).prop_map(Blob)
}

fn name() -> impl Strategy<Value = BoxName> {
    let kinds = prop::sample::select(BoxKind::ALL.to_vec());
    (kinds, any::<[u8; 32]>()).prop_map(|(kind, key)| BoxName { kind, key })
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u64>(), any::<[u8; 32]>(), any::<u32>()).prop_map(|(at, id, size)| Entry { at, id: BlobId(id), size })
}

fn ask() -> impl Strategy<Value = Ask> {
    let slot = any::<u16>;
    let id = || any::<[u8; 32]>().prop_map(BlobId);
    let proof = any::<Option<u8>>().prop_map(|byte| byte.map(|byte| Signature([byte; 64])));
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..=MAX_TOKEN).prop_map(|token| Ask::Token(Blob(token))),
        (slot(), name(), proof).prop_map(|(slot, name, proof)| Ask::Open { slot, name, proof }),
        slot().prop_map(|slot| Ask::Close { slot }),
        (slot(), blob()).prop_map(|(slot, blob)| Ask::Put { slot, blob }),
        (slot(), any::<u64>(), 1..=MAX_LISTED as u16).prop_map(|(slot, after, limit)| Ask::List { slot, after, limit }),
        (slot(), id()).prop_map(|(slot, id)| Ask::Get { slot, id }),
        (slot(), any::<bool>()).prop_map(|(slot, inline)| Ask::Subscribe { slot, inline }),
        (slot(), id()).prop_map(|(slot, id)| Ask::Drop { slot, id }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let refusal = prop_oneof![
        Just(Refusal::Token),
        Just(Refusal::Failed),
        any::<u64>().prop_map(|retry_ms| Refusal::Quota { retry_ms }),
    ];
    prop_oneof![
        Just(Reply::Done),
        any::<u64>().prop_map(|at| Reply::Stored { at }),
        (prop::collection::vec(entry(), 0..20), any::<bool>(), any::<u64>())
            .prop_map(|(entries, more, end)| Reply::Listed { entries, more, end }),
        prop::option::of(blob()).prop_map(Reply::Blob),
        refusal.prop_map(Reply::Refused),
    ]
}

fn server_frame() -> impl Strategy<Value = ServerFrame> {
    let terms = (any::<bool>(), any::<u64>(), any::<u16>(), 1_u16..)
        .prop_map(|(token, keep_ms, slots, window)| Terms { token, keep_ms, slots, window });
    prop_oneof![
        (any::<u16>(), any::<[u8; 32]>(), any::<[u8; 16]>(), terms).prop_map(|(version, nonce, store, terms)| {
            ServerFrame::Hello { version, nonce, store: StoreId(store), terms }
        }),
        (any::<u32>(), reply()).prop_map(|(number, reply)| ServerFrame::Reply { number, reply }),
        (any::<u16>(), entry(), prop::option::of(blob())).prop_map(|(slot, entry, blob)| ServerFrame::Push {
            slot,
            entry,
            blob
        }),
        any::<u16>().prop_map(|slot| ServerFrame::Behind { slot }),
    ]
}

proptest! {
    #[test]
    fn frames_of_clients_survive_their_encoding(number in any::<u32>(), ask in ask(), extra in any::<u8>()) {
        let frame = ClientFrame { number, ask };
        let mut bytes = frame.encode();
        prop_assert_eq!(ClientFrame::decode(&bytes), Ok(frame));
        prop_assert!(ClientFrame::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(extra);
        prop_assert!(ClientFrame::decode(&bytes).is_err());
    }

    #[test]
    fn frames_of_relays_survive_their_encoding(frame in server_frame(), extra in any::<u8>()) {
        let mut bytes = frame.encode();
        prop_assert_eq!(ServerFrame::decode(&bytes), Ok(frame));
        prop_assert!(ServerFrame::decode(&bytes[..bytes.len() - 1]).is_err());
        bytes.push(extra);
        prop_assert!(ServerFrame::decode(&bytes).is_err());
    }

    #[test]
    fn bytes_that_decode_are_the_encoding_of_what_they_mean(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(frame) = ClientFrame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), bytes.clone());
        }
        if let Ok(frame) = ServerFrame::decode(&bytes) {
            prop_assert_eq!(frame.encode(), bytes);
        }
    }
}

#[test]
fn what_is_beyond_a_bound_is_refused_and_a_promised_length_allocates_nothing() {
    let client = |ask| ClientFrame::decode(&ClientFrame { number: 1, ask }.encode());
    assert_eq!(client(Ask::Token(Blob(vec![0; MAX_TOKEN + 1]))), Err(FrameError::Bounds));
    assert_eq!(client(Ask::Put { slot: 0, blob: Blob(vec![0; MAX_BLOB + 1]) }), Err(FrameError::Bounds));
    for limit in [0, MAX_LISTED as u16 + 1] {
        assert_eq!(client(Ask::List { slot: 0, after: 0, limit }), Err(FrameError::Bounds));
    }
    assert!(client(Ask::Put { slot: 0, blob: Blob(vec![0; MAX_BLOB]) }).is_ok());
    let entry = Entry { at: u64::MAX, id: BlobId([255; 32]), size: u32::MAX };
    let listed = |n| ServerFrame::Reply {
        number: u32::MAX,
        reply: Reply::Listed { entries: vec![entry; n], more: true, end: u64::MAX },
    };
    assert!(ServerFrame::decode(&listed(MAX_LISTED).encode()).is_ok(), "the longest listing fits a frame");
    assert_eq!(ServerFrame::decode(&listed(MAX_LISTED + 1).encode()), Err(FrameError::Bounds));
    assert!(ServerFrame::decode(&vec![0; MAX_FRAME + 1]).is_err());
    // A reply that lists 2^40 entries, and a put of 2^60 bytes.
    assert!(ServerFrame::decode(&[1, 0, 2, 128, 128, 128, 128, 128, 64]).is_err());
    assert!(ClientFrame::decode(&[0, 3, 0, 255, 255, 255, 255, 255, 255, 255, 255, 15]).is_err());
}
