//! Promises of joining.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::ids::{EventId, RoomId};

mod joiner;

const ROOM: RoomId = RoomId([6; 32]);
const INVITE: EventId = EventId([7; 32]);

fn rng() -> StdRng {
    StdRng::seed_from_u64(5)
}

/// All invites a member knows: the one meant is the last.
fn invites(invite_pk: [u8; 32]) -> Vec<(RoomId, EventId, [u8; 32])> {
    let others = (0..20).map(|n| (RoomId([n; 32]), EventId([n; 32]), [n; 32]));
    others.chain([(ROOM, INVITE, invite_pk)]).collect()
}

#[test]
fn a_member_finds_the_invite_and_its_answer_reaches_the_joiner_only() {
    let request = joiner::request(&mut rng());
    let (knock, bytes) = knock(&request.invite_pk, &request, &mut rng());
    assert!(bytes.len() < MAX_KNOCK);
    let mut door = Doorkeeper::default();
    let knocker = door.open(b"bob", &bytes, invites(request.invite_pk), 0).unwrap();
    assert_eq!((knocker.room, knocker.invite), (ROOM, INVITE));
    assert_eq!(knocker.request, request);
    let answer = Answer::Refused(Refusal::UsedUp);
    let sealed = knocker.knock.seal(&answer, &mut rng());
    assert_eq!(knock.open(&sealed), Some(answer));
    // Another knock on the same invite can not take it for its own.
    let (other, _) = super::knock(&request.invite_pk, &request, &mut StdRng::seed_from_u64(6));
    assert_eq!(other.open(&sealed), None);
    assert_eq!(knock.open(&[]), None);
}

#[test]
fn a_stranger_learns_nothing_and_damage_is_noticed() {
    let request = joiner::request(&mut rng());
    let (_, bytes) = knock(&request.invite_pk, &request, &mut rng());
    for secret in [ROOM.as_bytes(), &request.invite_pk, request.entrant.leaf.device.as_slice()] {
        assert!(!bytes.windows(32).any(|window| window == secret), "an id travels in the open");
    }
    let open = |bytes: &[u8], pk| Doorkeeper::default().open(b"peer", bytes, invites(pk), 0).unwrap_err();
    assert_eq!(open(&bytes, [99; 32]), KnockError::NoMatch);
    assert_eq!(open(&bytes[..31], request.invite_pk), KnockError::Malformed);
    assert_eq!(open(&vec![0; MAX_KNOCK + 1], request.invite_pk), KnockError::Malformed);
    let mut changed = bytes.clone();
    changed[100] ^= 1;
    assert_eq!(open(&changed, request.invite_pk), KnockError::Damaged);
    changed = bytes;
    changed[20] ^= 1;
    assert_eq!(open(&changed, request.invite_pk), KnockError::NoMatch);
}

#[test]
fn one_peer_may_not_knock_without_end_and_others_still_may() {
    let request = joiner::request(&mut rng());
    let (_, bytes) = knock(&request.invite_pk, &request, &mut rng());
    let mut door = Doorkeeper::default();
    let mut knock_as = |peer: &[u8], now_ms| door.open(peer, &bytes, invites(request.invite_pk), now_ms).err();
    let allowed = (0..100).filter(|_| knock_as(b"mallory", 0).is_none()).count();
    assert_eq!(allowed, 8);
    assert_eq!(knock_as(b"bob", 0), None);
    assert_eq!(knock_as(b"mallory", 1_000), Some(KnockError::TooOften));
    assert_eq!(knock_as(b"mallory", 2_000), None);
    // Ever new peer ids do not fill the memory.
    for n in 0_u32..5_000 {
        knock_as(&n.to_be_bytes(), 3_000);
    }
    assert_eq!(knock_as(b"bob", 3_000), None);
}

#[test]
fn what_opens_nothing_counts_for_no_door_and_what_opens_does() {
    let request = joiner::request(&mut rng());
    let (_, bytes) = knock(&request.invite_pk, &request, &mut rng());
    let mut keeper = Doorkeeper::default();
    let mut knock_with = |bytes: &[u8]| keeper.open_at_door(b"door", bytes, invites(request.invite_pk), 0).err();
    for n in 0..100 {
        assert_eq!(knock_with(&[n; 300]), Some(KnockError::NoMatch));
    }
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    assert_eq!(knock_with(&damaged), Some(KnockError::Damaged));
    assert_eq!((0..100).filter(|_| knock_with(&bytes).is_none()).count(), 8);
}
