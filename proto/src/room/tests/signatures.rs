//! Signatures of every kind of record that devices of a room sign, each offered as a signature of every other use.

use parlor_crypto::{Secret, Signature, SigningKey, label};

use super::support::{Person, identity};
use crate::binding::Binding;
use crate::codec;
use crate::control::{History, JoinRequest, NewDevice};
use crate::event::Event;
use crate::hlc::Hlc;
use crate::ids::EventId;
use crate::mailbox::{BoxKind, RelayId, proof};
use crate::marker::Marker;
use crate::presence::{Doing, Presence};
use crate::profile::{Content, Place, Portrait, Profile};
use crate::signed;

/// A record with the label it is signed under: whether its reader takes it when the same content is signed under another.
type Kind<'a> = (&'static str, Box<dyn Fn(&'static str) -> bool + 'a>);

/// A record, whose encoding ends with its signature, with another.
fn ending(mut record: Vec<u8>, sig: Signature) -> Vec<u8> {
    record.truncate(record.len() - 64);
    record.extend(sig.0);
    record
}

/// Attack 29: whatever a device signed, over exactly these bytes and for exactly this room, it said nothing else by it.
#[test]
fn what_a_device_signs_is_taken_for_nothing_else_whatever_its_content() {
    let mut alice = Person::founder(1, History::Full);
    let message = alice.write("hello").event;
    let control = alice.events().remove(1);
    let (room, me) = (alice.room.id(), alice.room.me().clone());
    let device = me.signing_key();
    let event = |event: Event| {
        let room = &room;
        move |label| {
            let signed = device.sign(label, &[room.as_bytes(), event.header_bytes()]);
            let mut bytes = event.bytes().to_vec();
            let from = 2 + event.header_bytes().len();
            bytes[from..from + 64].copy_from_slice(&signed.0);
            Event::decode(room, &bytes).unwrap().verify(room).is_ok()
        }
    };
    let marker = Marker::sign(&room, device, 1, vec![EventId([1; 32])], Hlc(5), 7);
    let binding = Binding::sign(&room, device, 1, [2; 32], &[], 7);
    let presence = Presence::sign(&room, device, Doing::Types, 7);
    let slice = (crate::ids::EpochId([3; 16]), 0);
    let key = parlor_crypto::envelope::EnvelopeKey::new(&Secret::new([4; 32]));
    let at = Place { room: &room, slice, key: &key };
    let profile = Profile::seal(at, device, 1, &Content::default(), &mut alice.rng);
    let portrait = Portrait::seal(&room, device, 1, None, &mut alice.rng);
    let kinds: Vec<Kind<'_>> = vec![
        (label::SIGN_EVENT, Box::new(event(message))),
        (label::SIGN_EVENT, Box::new(event(control))),
        (
            label::SIGN_MARKER,
            Box::new(|label| {
                let sig = signed::sign(&marker, &room, device, label);
                Marker::decode(&room, &Marker { sig, ..marker.clone() }.encode()).is_ok()
            }),
        ),
        (
            label::SIGN_PEER_BINDING,
            Box::new(|label| {
                let sig = signed::sign(&binding, &room, device, label);
                Binding::decode(&room, &Binding { sig, ..binding.clone() }.encode()).is_ok()
            }),
        ),
        (
            label::SIGN_PRESENCE,
            Box::new(|label| {
                let sig = signed::sign(&presence, &room, device, label);
                Presence { sig, ..presence.clone() }.verify(&room).is_ok()
            }),
        ),
        (
            label::SIGN_PROFILE,
            Box::new(|label| {
                let sig = signed::sign(&profile, &room, device, label);
                Profile::decode(&room, &ending(profile.encode(), sig)).is_ok()
            }),
        ),
        (
            label::SIGN_PORTRAIT,
            Box::new(|label| {
                let sig = signed::sign(&portrait, &room, device, label);
                Portrait::decode(&room, &ending(portrait.encode(), sig)).is_ok()
            }),
        ),
    ];
    each_is_taken_as_itself_only(&kinds);
}

/// Attack 29, of what admits to rooms and boxes.
#[test]
fn what_a_device_signs_to_be_let_in_is_taken_for_nothing_else() {
    let alice = Person::founder(1, History::Full);
    let (room, me) = (alice.room.id(), alice.room.me().clone());
    let device = me.signing_key();
    let papers = me.entrant();
    let link = SigningKey::from_seed(&Secret::new([5; 32]));
    let joiner = identity(2);
    let joins = JoinRequest::sign(&room, &link, joiner.signing_key(), joiner.entrant(), [6; 16]);
    let asked = codec::encode(&(joins.invite_pk, &joins.entrant, joins.nonce));
    let (nonce, relay) = ([7; 32], RelayId::new(b"relay").unwrap());
    let name = proof::name_of(BoxKind::Room, device);
    let kinds: Vec<Kind<'_>> = vec![
        (
            label::SIGN_LEAF,
            Box::new(|label| {
                let leaf = papers.leaf;
                let parts: [&[u8]; 4] =
                    [&leaf.device, &leaf.counter.to_be_bytes(), &leaf.leaf_pk, &leaf.ts.to_be_bytes()];
                parlor_crypto::leaf::LeafRecord { sig: device.sign(label, &parts), ..leaf }.verify().is_ok()
            }),
        ),
        (
            label::SIGN_DEVICE_WORD,
            Box::new(|label| {
                let word = device.sign(label, &[&papers.cert.account]);
                let account = alice.room.inception_of(&me.account()).unwrap();
                NewDevice { word, ..NewDevice::sign(device, papers.clone()) }.verify(&account).is_ok()
            }),
        ),
        (
            label::SIGN_JOIN_INVITE,
            Box::new(|label| {
                let invite_sig = link.sign(label, &[room.as_bytes(), &asked]);
                JoinRequest { invite_sig, ..joins.clone() }.verify(&room).is_ok()
            }),
        ),
        (
            label::SIGN_JOIN_DEVICE,
            Box::new(|label| {
                let device_sig = joiner.signing_key().sign(label, &[room.as_bytes(), &asked]);
                JoinRequest { device_sig, ..joins.clone() }.verify(&room).is_ok()
            }),
        ),
        (
            label::SIGN_MAILBOX,
            Box::new(|label| {
                let signed: Signature = device.sign(label, &[&nonce, &name.to_bytes(), relay.as_bytes()]);
                proof::is_proved(&name, &signed, &nonce, &relay)
            }),
        ),
    ];
    each_is_taken_as_itself_only(&kinds);
}

fn each_is_taken_as_itself_only(kinds: &[Kind<'_>]) {
    for (own, takes) in kinds {
        for label in label::SIGNATURES {
            assert_eq!(takes(label), label == *own, "{own} signed as {label}");
        }
    }
}
