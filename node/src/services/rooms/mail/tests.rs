//! What lies in the mailbox of a room of many devices is enough for who was away.

use std::sync::Arc;

use parlor_crypto::invite::InviteSeed;
use parlor_proto::control::{History, JoinRequest, Role};
use parlor_proto::epoch::Welcome;
use parlor_proto::identity::Identity;
use parlor_proto::mailbox::Bundle;
use parlor_proto::room::{NewInvite, NewRoom, Room};
use parlor_storage::Batch;

use super::*;
use crate::account::rng;
use crate::clock::now_ms;
use crate::services::alone::Alone;

fn somebody() -> Arc<Identity> {
    Arc::new(Identity::create("laptop", now_ms(), &mut rng()).unwrap().1)
}

/// Lets somebody in; answers what he is sealed.
fn admit(room: &mut Room, who: &Identity, link: &InviteSeed) -> Vec<u8> {
    let request = JoinRequest::sign(&room.id(), &link.keys().sign, who.signing_key(), who.entrant(), [7; 16]);
    room.admit(request, false, now_ms(), &mut rng()).unwrap().welcome
}

/// A room of somebody else, with so many devices of others in it, and us.
async fn large(us: &Alone, others: usize) -> Room {
    let (mut room, _) = Room::create(somebody(), NewRoom::group("large", History::Full), now_ms(), &mut rng()).unwrap();
    let (link, _) =
        room.invite(&NewInvite { uses: None, ..NewInvite::of(Role::Member) }, now_ms(), &mut rng()).unwrap();
    for _ in 0..others {
        admit(&mut room, &somebody(), &link);
    }
    let me = us.app.node.context.identity.now();
    let welcome = admit(&mut room, &me, &link);
    let welcome = Welcome::open(&me, &room.id(), &link.keys().sign.public_bytes(), &welcome).unwrap();
    let (ours, outcome) = Room::join(me, room.id(), welcome);
    us.app.node.rooms.begin(ours, outcome).await.unwrap();
    let events = room.control_events().map(|event| vec![record(event)]).collect();
    let became = us.app.node.rooms.mail(room.id(), events).await.unwrap();
    assert!(became.iter().all(|became| *became == Became::There), "{became:?}");
    room
}

fn record(event: &Event) -> Mail {
    Mail::Record(Item { kind: SeriesKind::Control, bytes: Blob(event.bytes().to_vec()) })
}

/// New keys, so many hours from now: what goes into the mailbox with them.
async fn rotated(us: &Alone, room: &mut Room, hour: u64) -> Vec<Mail> {
    let outcome = room.rotate(now_ms() + hour * 3_600_000, &mut rng()).unwrap();
    let rotate = outcome.accepted[0].event().clone();
    // As if ours were its author's store.
    let store = &us.app.node.context.store;
    let mut batch = Batch::new(Some(room.id()));
    for (hash, bytes) in &outcome.persist.pages {
        batch.page(*hash, bytes.clone());
    }
    store.commit(batch).await.unwrap();
    let row = LogRow { device: rotate.device(), seq: rotate.seq(), rank: 0, bytes: rotate.bytes().to_vec() };
    let pages = pages_of(store, &room.id(), &row);
    assert_eq!(pages.len(), outcome.persist.pages.len(), "every page is put");
    [record(&rotate)].into_iter().chain(pages).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_has_the_new_keys_of_a_large_room_from_its_mailbox_however_its_blobs_come() {
    // With more than 128 devices there are pages above those of rows.
    for others in [68, 138] {
        let bob = Alone::new().await;
        let mut room = large(&bob, others).await;
        let (id, text) = (room.id(), room.id().to_string());
        let epoch = async || bob.app.room(&text).await.unwrap().epoch;
        let in_one = vec![rotated(&bob, &mut room, 0).await];
        let became = bob.app.node.rooms.mail(id, in_one).await.unwrap();
        assert_eq!(became, [Became::There]);
        assert_eq!(epoch().await, room.epoch_status().epoch.map(|epoch| epoch.short()), "{others} others, in one blob");
        // In small blobs, the last first, one at a time.
        let small = Bundle::pack_within(rotated(&bob, &mut room, 2).await, 2_500);
        let mut waiting: Vec<_> = small.into_iter().map(|bundle| bundle.0).rev().collect();
        assert!(waiting.len() > 2);
        for _ in 0..3 {
            for mails in std::mem::take(&mut waiting) {
                if bob.app.node.rooms.mail(id, vec![mails.clone()]).await.unwrap() == [Became::Waits] {
                    waiting.push(mails);
                }
            }
        }
        assert!(waiting.is_empty(), "nothing waits any more");
        assert_eq!(
            epoch().await,
            room.epoch_status().epoch.map(|epoch| epoch.short()),
            "{others} others, in small blobs"
        );
        bob.node.stop().await.unwrap();
    }
}
