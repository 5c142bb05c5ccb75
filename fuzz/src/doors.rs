//! The ways into a room: knocks, answers, welcomes, links.

use parlor_crypto::domain;
use parlor_crypto::hash::Domain;
use parlor_crypto::hpke::{self, WelcomeContext};
use parlor_crypto::invite::{InviteSeed, knock_key};
use parlor_crypto::leaf::LeafPublic;
use parlor_proto::codec;
use parlor_proto::control::JoinRequest;
use parlor_proto::epoch::Welcome;
use parlor_proto::ids::{DeviceId, EventId, RoomId};
use parlor_proto::join::{self, Answer, Doorkeeper};
use parlor_proto::link::{Address, Caveats, Link, MAX_TEXT};

use crate::decode::canonical;
use crate::people::{NOW, prepared, rng};

static PROBE: Domain = domain!("knock probe");
static CHECK: Domain = domain!("link check");

/// A knock as it comes, a knock that a holder of the link sealed, the answer to one, and a Welcome sealed for a member.
pub fn join(data: &[u8]) {
    let prepared = prepared();
    let invite_pk = prepared.invite.keys().sign.public_bytes();
    let invites = || [(prepared.room, EventId([1; 32]), [9; 32]), (prepared.room, EventId([2; 32]), invite_pk)];
    let _ = Doorkeeper::default().open(b"peer", data, invites(), NOW);

    let nonce = [3; 16];
    let probe: [u8; 16] = PROBE.hash_prefix(&[&invite_pk, &nonce]);
    let sealed = knock_key(&invite_pk).seal(&mut rng(), &[b"knock".as_slice(), &nonce].concat(), data);
    let knock = [&nonce[..], &probe, &sealed].concat();
    if let Ok(knocker) = Doorkeeper::default().open(b"peer", &knock, invites(), NOW) {
        assert_eq!(codec::encode(&knocker.request), data);
        assert_eq!(knocker.invite, EventId([2; 32]));
        let _ = knocker.request.verify(&prepared.room);
    }
    if let Some(request) = canonical::<JoinRequest>(data) {
        let _ = request.verify(&prepared.room);
    }

    let (mine, _) = join::knock(&invite_pk, &prepared.request, &mut rng());
    let _ = mine.open(data);
    if let Some(answer) = canonical::<Answer>(data) {
        let opened = mine.open(&mine.seal(&answer, &mut rng()));
        assert_eq!(opened, (data.len() <= join::MAX_ANSWER / 2).then_some(answer).or(opened.clone()));
    }

    let me = &prepared.people[2];
    let _ = Welcome::open(me, &prepared.room, &invite_pk, data);
    let leaf = LeafPublic::parse(&me.entrant().leaf.leaf_pk).expect("a sound leaf key");
    let context = WelcomeContext { room_id: prepared.room.0, invite: invite_pk, device: me.device().0 };
    let sealed = hpke::seal_welcome(&mut rng(), &context, &leaf, data);
    if let Ok(welcome) = Welcome::open(me, &prepared.room, &invite_pk, &sealed) {
        assert_eq!(codec::encode(&welcome), data);
        // What a room does with it.
        let (mut room, _) = parlor_proto::room::Room::join(me.clone(), prepared.room, welcome);
        let _ = room.receive(prepared.events.clone(), NOW);
    }
}

/// A text as it comes; bytes as the fields of a link in every form.
pub fn link(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        text_of_link(text);
    }
    // The checksum would stop every change.
    let check: [u8; 4] = CHECK.hash_prefix(&[data]);
    let payload = [data, &check].concat();
    let hex = |bits: usize, alphabet: &[u8]| -> String {
        let mut text = String::new();
        let (mut held, mut n) = (0_u32, 0);
        for byte in &payload {
            held = held << 8 | u32::from(*byte);
            n += 8;
            while n >= bits {
                n -= bits;
                text.push(char::from(alphabet[(held >> n) as usize & ((1 << bits) - 1)]));
            }
        }
        if n > 0 {
            text.push(char::from(alphabet[(held << (bits - n)) as usize & ((1 << bits) - 1)]));
        }
        text
    };
    let base64 = hex(6, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
    text_of_link(&format!("parlor://join/1/#{base64}"));
    text_of_link(&format!("PARLOR://JOIN/1/{}", hex(5, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")));

    // Made by a member with the same fields.
    type Fields = (InviteSeed, RoomId, DeviceId, Caveats, [u8; 32], Vec<Address>);
    if let Ok((seed, room, _, caveats, peer, addresses)) = codec::decode::<Fields>(data, data.len()) {
        let made = Link::issue(seed, room, caveats, prepared().people[0].signing_key(), peer, &addresses);
        for text in [made.to_text(), made.to_qr_text(), made.to_web_text("example.org")] {
            assert_eq!(Link::parse(&text, 0).as_ref(), Ok(&made));
        }
        assert!(made.to_text().len() <= MAX_TEXT && made.to_qr_text().len() <= MAX_TEXT);
    }
}

fn text_of_link(text: &str) {
    if let Ok(link) = Link::parse(text, NOW) {
        assert!(link.caveats().expires_ms >= NOW);
        for again in [link.to_text(), link.to_qr_text(), link.to_web_text("example.org")] {
            assert_eq!(Link::parse(&again, NOW).as_ref(), Ok(&link));
        }
        let trimmed = text.trim();
        let own = trimmed == link.to_text() || trimmed == link.to_qr_text();
        let without_mark = link.to_text().replace('#', "");
        let web =
            trimmed.starts_with("https://") && link.to_web_text("").rsplit('/').next() == trimmed.rsplit('/').next();
        assert!(own || trimmed == without_mark || web, "one payload has one text of each form");
    }
}
