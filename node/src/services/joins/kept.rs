//! Joins that wait for a member's word, as they are kept on disk: sealed like everything else there.

use std::collections::BTreeSet;

use parlor_proto::control::JoinRequest;
use parlor_proto::link::Link;
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Namespace};
use serde::{Deserialize, Serialize};

use crate::services::rooms::Context;

/// How the names of these values begin.
pub(super) const PREFIX: &[u8] = b"join";

/// Longest value: a link, a request, and what is around them.
const MAX: usize = parlor_proto::join::MAX_KNOCK + 1024;

/// A join that waits.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) room: RoomId,
    pub(super) link: String,
    /// The same request each time, so that the members who were asked know it again.
    pub(super) request: JoinRequest,
}

/// By room and invite: several links into one room may wait.
pub(super) fn key(room: &RoomId, invite_pk: &[u8; 32]) -> Vec<u8> {
    [PREFIX, room.as_bytes(), invite_pk.as_slice()].concat()
}

fn key_of(link: &Link) -> Vec<u8> {
    key(&link.room(), &link.keys().sign.public_bytes())
}

/// The names of all that is kept of joins into a room.
pub(super) async fn names(context: &Context, room: &RoomId) -> BTreeSet<Vec<u8>> {
    let (store, of_room) = (context.store.clone(), [PREFIX, room.as_bytes()].concat());
    let found = tokio::task::spawn_blocking(move || store.scan(None, Namespace::Invite, &of_room)).await;
    let rows = found.ok().and_then(Result::ok).unwrap_or_default();
    rows.into_iter().map(|(name, _)| name.to_vec()).collect()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Kept> {
    codec::decode(bytes, MAX).ok()
}

/// Keeps a join; durable when it returns. On a full disk it is not kept, and goes on only while the node runs.
pub(super) async fn keep(context: &Context, link: &Link, request: &JoinRequest) {
    let kept = Kept { room: link.room(), link: link.to_text(), request: request.clone() };
    let mut batch = Batch::new(None);
    batch.put(Namespace::Invite, &key_of(link), codec::encode(&kept));
    if let Err(error) = context.store.commit(batch).await {
        tracing::warn!(room = %kept.room.short(), %error, "a join that waits could not be kept");
    }
}

/// Forgets a join that is over. Another one by the same link that began since is kept.
pub(super) async fn forget(context: &Context, link: &Link, request: &JoinRequest) {
    let (store, name) = (context.store.clone(), key_of(link));
    let found = tokio::task::spawn_blocking(move || Some((store.get(None, Namespace::Invite, &name).ok()??, name)));
    let Ok(Some((bytes, name))) = found.await else { return };
    if decode(&bytes).is_none_or(|kept| kept.request == *request) {
        remove(context, &name).await;
    }
}

/// Takes out a value.
pub(super) async fn remove(context: &Context, name: &[u8]) {
    let mut batch = Batch::new(None);
    batch.delete(Namespace::Invite, name);
    if let Err(error) = context.store.commit(batch).await {
        tracing::warn!(%error, "a join that is over could not be forgotten");
    }
}

/// Gives a value the name it has today: once there was one a room.
pub(super) async fn rename(context: &Context, name: &[u8], link: &Link, request: &JoinRequest) {
    if name != key_of(link) {
        keep(context, link, request).await;
        remove(context, name).await;
    }
}
