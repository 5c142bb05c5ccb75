//! Both ends of a line to a relay: whatever the other one sends, in whatever order.

use std::sync::Arc;

use parlor_crypto::{Secret, SigningKey};
use parlor_proto::mailbox::frame::{Ask, ClientFrame, Entry, Reply, ServerFrame, Terms};
use parlor_proto::mailbox::proof::{name_of, prove};
use parlor_proto::mailbox::session::{Answer, Call, Session, Step};
use parlor_proto::mailbox::{
    BlobId, BoxKind, BoxSetup, Bundle, Cursor, Mailboxes, Out, RelayId, StoreId, blob, limits,
};
use parlor_proto::wire::Blob;

use crate::input::Input;

const NONCE: [u8; 32] = [3; 32];
const TERMS: Terms = Terms { token: false, keep_ms: 1, slots: 4, window: 4 };

fn relay() -> RelayId {
    RelayId::new(b"relay").expect("a short name")
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([n % 3; 32]))
}

/// The first byte says which end is attacked.
pub fn mailbox(data: &[u8]) {
    let Some((end, data)) = data.split_first() else { return };
    match end % 3 {
        0 => session(data),
        1 => client(data),
        _ => {
            if let Ok(bundle) = Bundle::decode(data) {
                assert_eq!(bundle.encode(), data, "an accepted bundle encodes to itself");
                assert!(bundle.0.len() <= blob::MAX_MAILS);
            }
        }
    }
}

/// A client that sends anything: nothing is called that it did not prove, and no more at once than allowed.
fn session(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut session, _) = Session::begin(NONCE, relay(), StoreId([1; 16]), TERMS);
    let mut proved = [false; 9];
    let mut number = 0;
    while !input.is_empty() {
        number += 1;
        let slot = u16::from(input.byte() % 6);
        let (n, kind) = (input.byte() % 3, BoxKind::ALL[usize::from(input.byte() % 3)]);
        let id = BlobId([n; 32]);
        let ask = match input.byte() % 9 {
            0 | 1 => {
                let honest = input.flag();
                let proof = honest.then(|| prove(kind, &key(n), &NONCE, &relay()));
                proved[usize::from(n) * 3 + usize::from(kind.byte())] |= honest;
                Ask::Open { slot, name: name_of(kind, &key(n)), proof }
            }
            2 => Ask::Close { slot },
            3 => Ask::Put { slot, blob: Blob(vec![n; [0, 512, 16_384, 65_536][usize::from(n)]]) },
            4 => Ask::List { slot, after: u64::from(n), limit: 1 },
            5 => Ask::Get { slot, id },
            6 => Ask::Subscribe { slot, inline: input.flag() },
            7 => Ask::Drop { slot, id },
            _ => {
                if session.frame(input.run()).is_err() {
                    return;
                }
                continue;
            }
        };
        let Ok(steps) = session.frame(&ClientFrame { number, ask }.encode()) else { return };
        for step in steps {
            let (number, name, answer) = match step {
                Step::Send(bytes) => {
                    ServerFrame::decode(&bytes).expect("what a session says is in the format");
                    continue;
                }
                Step::Call(Call::Put { number, name, blob, .. }) => {
                    assert!(blob::is_class(blob.len()) && blob.len() <= name.kind.max_blob());
                    (number, name.kind.proves_puts().then_some(name), Answer::Stored(1))
                }
                Step::Call(Call::List { number, name, .. }) => {
                    (number, Some(name), Answer::Listed { entries: Vec::new(), more: false, end: 0 })
                }
                Step::Call(Call::Get { number, name, .. }) => (number, Some(name), Answer::Blob(None)),
                Step::Call(Call::Subscribe { number, name } | Call::Drop { number, name, .. }) => {
                    (number, Some(name), Answer::Done)
                }
                Step::Call(Call::Token { number, .. }) => (number, None, Answer::Done),
                Step::Call(Call::Unsubscribe { .. }) => continue,
            };
            if let Some(name) = name {
                let n = (0..3).find(|n| key(*n).public_bytes() == name.key).expect("a box of ours");
                assert!(proved[usize::from(n) * 3 + usize::from(name.kind.byte())], "nobody proved {name:?}");
            }
            assert!(session.waiting() <= usize::from(TERMS.window));
            if input.flag() {
                session.answer(number, answer);
            }
        }
    }
}

/// A relay that sends anything: what is handed over has the name that it came under, once, and everything stays bounded.
fn client(data: &[u8]) {
    let mut input = Input::new(data);
    let mut client = Mailboxes::new();
    let key = key(1);
    let name = name_of(BoxKind::Room, &key);
    let relays = vec![(relay(), Cursor::default())];
    let setup = BoxSetup { name, key: Some(key), read: true, relays };
    let mut out = client.open(setup, 0).expect("there is room for one box");
    let mut now = 0;
    let mut last = 0;
    let blob: Arc<[u8]> = vec![5; 512].into();
    while !input.is_empty() {
        for out in out {
            match out {
                Out::Connect { relay } => client.connected(&relay, now),
                Out::Send { bytes, .. } => {
                    let frame = ClientFrame::decode(&bytes).expect("what a client says is in the format");
                    last = frame.number;
                }
                Out::Got { id, blob, .. } => {
                    assert_eq!(BlobId::of(&blob), id);
                    assert!(blob.len() <= limits::MAX_BLOB);
                }
                _ => {}
            }
        }
        now += u64::from(input.byte()) * 100;
        let at = u64::from(input.byte());
        let id = if input.flag() { BlobId::of(&blob) } else { BlobId([at as u8; 32]) };
        let entry = Entry { at, id, size: if input.flag() { 512 } else { 1_024 } };
        let number = last.wrapping_sub(u32::from(input.byte() % 3));
        let reply = |reply| ServerFrame::Reply { number, reply }.encode();
        let frame = match input.byte() % 12 {
            0 | 1 => ServerFrame::Hello { version: 1, nonce: NONCE, store: StoreId([at as u8 % 2; 16]), terms: TERMS }
                .encode(),
            2 | 3 => reply(Reply::Done),
            4 => reply(Reply::Stored { at }),
            5 => reply(Reply::Listed { entries: vec![entry], more: input.flag(), end: u64::from(input.byte()) }),
            6 => reply(Reply::Blob(Some(Blob(blob.to_vec())))),
            7 => reply(Reply::Blob(None)),
            8 => ServerFrame::Push { slot: 0, entry, blob: input.flag().then(|| Blob(blob.to_vec())) }.encode(),
            9 => {
                out = client.taken(name, id, now);
                continue;
            }
            10 => {
                out = if input.flag() { client.tick(now) } else { client.disconnected(&relay(), now) };
                continue;
            }
            _ => input.run().to_vec(),
        };
        out = client.frame(&relay(), &frame, now);
        if input.flag() {
            out.extend(client.put(name, Arc::clone(&blob), now).expect("there is room").1);
        }
        out.extend(client.tick(now));
    }
}
