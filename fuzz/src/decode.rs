//! Decoders of one value each.

use parlor_crypto::Secret;
use parlor_crypto::envelope::EnvelopeKey;
use parlor_crypto::leaf::{LeafPublic, LeafRecord};
use parlor_crypto::wrap::GossipKey;
use parlor_proto::binding::Binding;
use parlor_proto::body::Body;
use parlor_proto::codec;
use parlor_proto::control::{Control, Rows};
use parlor_proto::event::{Event, Header};
use parlor_proto::gossip::{GossipFrame, Unreached};
use parlor_proto::limits::MAX_PORTRAIT;
use parlor_proto::marker::Marker;
use parlor_proto::presence::{FRESH_MS, Listener, Presence, STANCE_MS};
use parlor_proto::profile::{Content, Field, PictureKey, Place, Portrait, Profile, picture_hash};
use parlor_proto::room::KeyShare;
use parlor_proto::wire::{LinkFrame, Newest, Proof, RoomFrame};
use parlor_proto::{DeviceId, EpochId, RoomId, epoch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::input::Input;
use crate::people::{prepared, rng};

/// Bytes as an event; and their header, if it is one, with a payload that fits, signed.
pub fn event(data: &[u8]) {
    let prepared = prepared();
    let room = prepared.room;
    if let Ok(event) = Event::decode(&room, data) {
        let len = u16::try_from(event.header_bytes().len()).expect("an accepted header is short").to_be_bytes();
        let signature = event.signature().0;
        let again = [&len[..], &event.header().encode(), &signature, event.payload()].concat();
        assert_eq!(again, data, "an accepted event encodes to itself");
        let _ = event.verify(&room);
        assert!(event.seq() > 0);
    }
    let mut input = Input::new(data);
    let Ok(mut header) = Header::parse(input.run()) else { return };
    let me = &prepared.people[2];
    match &mut header {
        Header::Control(header) => header.device = me.device(),
        Header::Message(header) => header.device = me.device(),
    }
    if let Ok(event) = Event::sign(&room, header, input.rest(), me.signing_key()) {
        let genesis = event.control().is_some_and(|header| header.kind == 1);
        let room = if genesis { RoomId(event.id().0) } else { room };
        let again = Event::decode(&room, event.bytes()).expect("a signed event decodes");
        assert_eq!(again, event);
        assert!(again.verify(&room).is_ok(), "and holds");
    }
}

/// The first byte as a kind, the others as its payload.
pub fn control(data: &[u8]) {
    let Some((kind, payload)) = data.split_first() else { return };
    let Ok(control) = Control::decode(*kind, payload) else { return };
    assert_eq!(control.kind(), *kind);
    let room = prepared().room;
    match &control {
        Control::Unknown(_) => return,
        Control::Admit(admit) => drop(admit.join.verify(&room)),
        Control::EquivProof(proof) => drop(proof.verify(&room)),
        _ => {}
    }
    assert_eq!(control.encode(), payload, "an accepted payload encodes to itself");
    // Offered as another kind it is that, or nothing: it never stands for two without being the same bytes.
    if let Ok(other) = Control::decode(kind.wrapping_add(1), payload)
        && !matches!(other, Control::Unknown(_))
    {
        assert_eq!(other.encode(), payload);
    }
}

/// The inside of a message.
pub fn body(data: &[u8]) {
    if let Ok(body) = Body::decode(data) {
        assert_eq!(body.encode(), data);
        assert_eq!(body.check(), Ok(()), "what was accepted may be sent");
    }
}

/// Frames of the sync stream.
pub fn wire(data: &[u8]) {
    if let Ok(frame) = LinkFrame::decode(data) {
        assert_eq!(frame.encode(), data);
        if let LinkFrame::Room { bytes, .. } = frame {
            room_frame(&bytes.0);
        }
    }
    room_frame(data);
    if let Ok(page) = Newest::decode(data) {
        assert_eq!(page.encode(), data);
    }
    canonical::<Proof>(data);
    canonical::<KeyShare>(data);
}

fn room_frame(data: &[u8]) {
    if let Ok(frame) = RoomFrame::decode(data) {
        assert_eq!(frame.encode(), data);
    }
}

/// A frame of a topic: as it comes, and wrapped by a member.
pub fn gossip(data: &[u8]) {
    let key = GossipKey::new(&Secret::new([1; 32]));
    let _ = GossipFrame::unwrap(data, |_| Some(&key));
    let wrapped = key.wrap(&mut rng(), data);
    if let Ok((frame, unreached)) = GossipFrame::unwrap(&wrapped, |_| Some(&key)) {
        assert_eq!(codec::encode(&(&unreached, &frame)), data);
        let again = frame.wrap(&unreached, &key, &mut rng()).expect("what was accepted fits");
        assert_eq!(GossipFrame::unwrap(&again, |_| Some(&key)), Ok((frame, unreached)));
    }
    canonical::<Unreached>(data);
}

/// Profiles: records as they come; and what they say, sealed and signed by a device.
pub fn profile(data: &[u8]) {
    let prepared = prepared();
    let (room, me) = (prepared.room, &prepared.people[2]);
    let key = EnvelopeKey::new(&Secret::new([1; 32]));
    if let Ok(record) = Profile::decode(&room, data) {
        assert_eq!(record.encode(), data);
        let _ = record.open(&room, &key);
    }
    let named = PictureKey { hash: picture_hash(data), key: Secret::new([2; 32]) };
    if let Ok(portrait) = Portrait::decode(&room, data) {
        assert_eq!(portrait.encode(), data);
        let _ = portrait.open(&room, &named);
    }
    let made = Portrait::seal(&room, me.signing_key(), 1, Some((data, &named.key)), &mut rng());
    let again = Portrait::decode(&room, &made.encode()).expect("what was sealed is read");
    assert_eq!(again.open(&room, &named).as_deref(), (data.len() <= MAX_PORTRAIT).then_some(data));
    if let Ok(content) = Content::decode(data) {
        assert_eq!(content.encode(), data);
        let at = Place { room: &room, slice: (EpochId([3; 16]), 1), key: &key };
        let made = Profile::seal(at, me.signing_key(), 1, &content, &mut rng());
        let read = Profile::decode(&room, &made.encode()).expect("what was sealed is read");
        assert_eq!(read.open(&room, &key), Ok(content.clone()));
        // Whatever order copies come in, one thing is said.
        let mut one = content.clone();
        one.take(Content::default());
        let mut other = Content::default();
        other.take(content.clone());
        assert_eq!((&one, &other), (&content, &content));
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(name) = parlor_proto::profile::name(&text) {
        assert_eq!(parlor_proto::profile::name(&name), Ok(name.clone()));
        let said = Content { name: Field { stamp: 1, value: Some(name) }, ..Content::default() };
        assert_eq!(Content::decode(&said.encode()), Ok(said));
    }
    if let Ok(about) = parlor_proto::profile::about(&text) {
        assert_eq!(parlor_proto::profile::about(&about), Ok(about));
    }
}

/// Records beside the logs: as they come, and signed by a device.
pub fn record(data: &[u8]) {
    let prepared = prepared();
    let (room, me) = (prepared.room, &prepared.people[2]);
    if let Ok(marker) = Marker::decode(&room, data) {
        assert_eq!(marker.encode(), data);
    }
    if let Ok(said) = codec::decode::<Marker>(data, data.len()) {
        let count = said.heads.len();
        let made = Marker::sign(&room, me.signing_key(), said.counter, said.heads, said.read_up_to, said.ts_ms);
        assert!(made.heads.len() <= count);
        assert_eq!(Marker::decode(&room, &made.encode()).ok(), (said.counter > 0).then_some(made));
    }
    if let Ok(presence) = Presence::decode(data) {
        assert_eq!(presence.encode(), data);
        let made = Presence::sign(&room, me.signing_key(), presence.doing, presence.ts_ms);
        assert!(made.verify(&room).is_ok() && Presence::decode(&made.encode()).is_ok_and(|it| it == made));
        // Whatever it says, what is kept of it is bounded in time.
        let mut listener = Listener::default();
        if listener.admits(&made.device, made.ts_ms, FRESH_MS) {
            listener.hear(&made, FRESH_MS);
            assert!(listener.due().is_none_or(|due| due <= FRESH_MS + STANCE_MS));
        }
    }
    if let Ok(binding) = Binding::decode(&room, data) {
        assert_eq!(binding.encode(), data);
    }
    if let Ok(said) = codec::decode::<Binding>(data, data.len()) {
        let made = Binding::sign(&room, me.signing_key(), said.counter, said.peer, &said.addresses, said.ts_ms);
        assert_eq!(Binding::decode(&room, &made.encode()).ok(), (said.counter > 0).then_some(made));
        said.addresses.iter().for_each(|address| drop(address.to_string()));
    }
    if let Some(record) = canonical::<LeafRecord>(data) {
        let _ = record.verify();
        if let Ok(leaf) = LeafPublic::parse(&record.leaf_pk) {
            let made = LeafRecord::issue(me.signing_key(), record.counter, &leaf, record.ts);
            assert!(made.verify().is_ok_and(|key| key.as_bytes() == &record.leaf_pk));
        }
    }
}

/// Rows of an epoch, on pages and in a Rotate.
pub fn rows(data: &[u8]) {
    if let Ok(rows) = epoch::decode_page(data) {
        assert_eq!(codec::encode(&rows), data);
        let hints: Vec<_> = rows.iter().map(|row| row.hint).collect();
        let (paged, pages) = epoch::page_rows(rows);
        if let Rows::Pages(index) = &paged {
            for (page, bytes) in &pages {
                assert_eq!(epoch::page_hash(bytes), *page);
            }
            for hint in &hints {
                assert!(epoch::pages_of(index, hint).count() > 0, "every row is found");
            }
            assert!(index.len() <= parlor_proto::limits::PAGE_FANOUT);
        }
    }
    if let Ok(names) = epoch::decode_names(data) {
        assert_eq!(codec::encode(&names), data);
    }
    if let Some(Rows::Pages(index)) = canonical::<Rows>(data) {
        for (hint, _) in &index {
            assert!(epoch::pages_of(&index, hint).count() <= index.len());
        }
    }
    let devices: Vec<DeviceId> = data.as_chunks::<32>().0.iter().map(|bytes| DeviceId(*bytes)).collect();
    let mut turned = devices.clone();
    turned.reverse();
    assert_eq!(epoch::member_root(devices), epoch::member_root(turned));
}

/// The value that `data` is the encoding of.
pub fn canonical<T: Serialize + DeserializeOwned>(data: &[u8]) -> Option<T> {
    let value: T = codec::decode(data, data.len()).ok()?;
    assert_eq!(codec::encode(&value), data);
    Some(value)
}
