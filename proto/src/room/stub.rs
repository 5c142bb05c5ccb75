//! Stub of the signatures; bodies follow.
#![allow(missing_docs, unused_variables, clippy::todo)]
use super::*;
use crate::body::Body;
use crate::control::{InviteId, JoinRequest, LeafRecord, Permissions, Role, Setting};
use crate::epoch::Welcome;
use crate::event::{Event, LogId};
use crate::identity::Identity;
use crate::ids::{AccountId, DeviceId, EpochId, EventId, RoomId};
use parlor_crypto::CryptoRng;
use parlor_crypto::invite::InviteSeed;
use parlor_crypto::topic::TopicSecret;
use parlor_crypto::wrap::GossipKey;
use std::sync::Arc;

/// A room.
#[derive(Debug)]
pub struct Room {}

impl Room {
    /// .
    pub fn create(
        me: Arc<Identity>,
        new: NewRoom,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Outcome), Refusal> {
        todo!()
    }
    /// .
    pub fn join(me: Arc<Identity>, room: RoomId, welcome: Welcome) -> (Self, Outcome) {
        todo!()
    }
    /// .
    pub fn restore(me: Arc<Identity>, parts: RoomParts) -> Result<Self, RestoreError> {
        todo!()
    }
    /// Event::decode(&room, bytes) first
    pub fn receive(&mut self, batch: Vec<Event>, now_ms: u64) -> Received {
        todo!()
    }
    /// .
    pub fn parents_held(&mut self, held: &[EventId]) -> Persist {
        todo!()
    }
    /// summaries equal with a live member
    pub fn give_up_missing(&mut self) -> Persist {
        todo!()
    }
    /// .
    pub fn open_later(&mut self, event: &Event) -> Option<Opened> {
        todo!()
    }
    /// .
    pub fn write(&mut self, body: &Body, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Written, Refusal> {
        todo!()
    }
    /// .
    pub fn invite(
        &mut self,
        new: &NewInvite,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(InviteSeed, Outcome), Refusal> {
        todo!()
    }
    /// .
    pub fn revoke(&mut self, invite: &InviteId, now_ms: u64) -> Result<Outcome, Refusal> {
        todo!()
    }
    /// .
    pub fn admit(
        &mut self,
        join: JoinRequest,
        approved: bool,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Admission, JoinRefusal> {
        todo!()
    }
    /// .
    pub fn leave(&mut self, now_ms: u64) -> Result<Outcome, Refusal> {
        todo!()
    }
    /// .
    pub fn set_state(&mut self, writes: Vec<(Setting, Vec<u8>)>, now_ms: u64) -> Result<Outcome, Refusal> {
        todo!()
    }
    /// by hand (T4)
    pub fn rotate(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Outcome, Refusal> {
        todo!()
    }
    /// next wake-up, ms since epoch
    pub fn maintain(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> (Outcome, Option<u64>) {
        todo!()
    }
    /// .
    pub fn pages_wanted(&self) -> Vec<[u8; 32]> {
        todo!()
    }
    /// .
    pub fn accept_page(&mut self, bytes: Vec<u8>) -> Result<Outcome, KeyError> {
        todo!()
    }
    /// recent ones; older ones from storage
    pub fn page(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        todo!()
    }
    /// .
    pub fn keys_wanted(&self) -> Vec<EpochId> {
        todo!()
    }
    /// .
    pub fn key_share_for(
        &self,
        device: &DeviceId,
        epoch: &EpochId,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, ShareRefusal> {
        todo!()
    }
    /// .
    pub fn accept_key_share(&mut self, share: &KeyShare) -> Result<Outcome, KeyError> {
        todo!()
    }
    /// None: not newer
    pub fn accept_leaf(&mut self, leaf: LeafRecord) -> Result<Option<Persist>, KeyError> {
        todo!()
    }
    /// .
    pub fn leafs(&self) -> impl Iterator<Item = &LeafRecord> {
        std::iter::empty()
    }
    /// .
    pub fn id(&self) -> RoomId {
        todo!()
    }
    /// .
    pub fn me(&self) -> &Arc<Identity> {
        todo!()
    }
    /// None until the genesis is here
    pub fn info(&self) -> Option<RoomInfo> {
        todo!()
    }
    /// .
    pub fn members(&self) -> Vec<Member> {
        todo!()
    }
    /// .
    pub fn member(&self, account: &AccountId) -> Option<Member> {
        todo!()
    }
    /// .
    pub fn role(&self) -> Option<Role> {
        todo!()
    }
    /// .
    pub fn permissions(&self) -> Permissions {
        todo!()
    }
    /// .
    pub fn is_member(&self) -> bool {
        todo!()
    }
    /// .
    pub fn invites(&self) -> Vec<InviteInfo> {
        todo!()
    }
    /// .
    pub fn invite_info(&self, id: &InviteId) -> Option<InviteInfo> {
        todo!()
    }
    /// .
    pub fn invite_by_key(&self, invite_pk: &[u8; 32]) -> Option<InviteId> {
        todo!()
    }
    /// .
    pub fn epoch_status(&self) -> EpochStatus {
        todo!()
    }
    /// all logs, sorted by (device, kind)
    pub fn tips(&self) -> Vec<Tip> {
        todo!()
    }
    /// .
    pub fn tip(&self, log: &LogId) -> Option<Tip> {
        todo!()
    }
    /// .
    pub fn control_frontier(&self) -> &[EventId] {
        todo!()
    }
    /// .
    pub fn heads(&self) -> Vec<EventId> {
        todo!()
    }
    /// <= 8, all ancestors held
    pub fn marker_heads(&self) -> Vec<EventId> {
        todo!()
    }
    /// of a recent message or head: our seq acknowledged
    pub fn covers_own(&self, head: &EventId) -> Option<u64> {
        todo!()
    }
    /// .
    pub fn missing_parents(&self) -> usize {
        todo!()
    }
    /// .
    pub fn standing(&self, device: &DeviceId) -> Standing {
        todo!()
    }
    /// .
    pub fn account_of(&self, device: &DeviceId) -> Option<AccountId> {
        todo!()
    }
    /// by log position: held already
    pub fn seen(&self, event: &Event) -> bool {
        todo!()
    }
    /// .
    pub fn control_event(&self, id: &EventId) -> Option<&Event> {
        todo!()
    }
    /// .
    pub fn control_log(&self, device: &DeviceId, from: u64) -> impl Iterator<Item = &Event> {
        std::iter::empty()
    }
    /// in order of arrival
    pub fn control_events(&self) -> impl Iterator<Item = &Event> {
        std::iter::empty()
    }
    /// .
    pub fn topic_secret(&self) -> &TopicSecret {
        todo!()
    }
    /// .
    pub fn topic_generation(&self) -> u32 {
        todo!()
    }
    /// subscribe to all, publish on the first
    pub fn topic_names(&self) -> Vec<String> {
        todo!()
    }
    /// to wrap with
    pub fn gossip_key(&self) -> Option<GossipKey> {
        todo!()
    }
    /// .
    pub fn gossip_key_for(&self, hint: &[u8; 8]) -> Option<GossipKey> {
        todo!()
    }
    /// .
    pub fn fingerprint(&self) -> [u8; 32] {
        todo!()
    }
    /// of everything resolved: equal control events, equal hash
    pub fn state_hash(&self) -> [u8; 32] {
        todo!()
    }
}
