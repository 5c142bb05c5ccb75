//! How a room begins on this device: made here, joined with a Welcome, or restored from storage.

use std::sync::Arc;

use parlor_crypto::CryptoRng;
use parlor_crypto::secret::SecretBytes;
use parlor_crypto::topic::TopicSecret;

use super::epochs::Held;
use super::messages::Messages;
use super::receive::log_end;
use super::types::{Accepted, Outcome, Persist, Refusal, RestoreError, RoomParts};
use super::{Reject, Room};
use crate::control::{Control, Genesis, History, MailboxTokens, Mailboxes, Policy, RoomKind, RotateReason, Setting};
use crate::dag::Insert;
use crate::epoch::Welcome;
use crate::event::{ControlHeader, Event, GENESIS_KIND, Header};
use crate::identity::Identity;
use crate::ids::{EventId, RoomId};
use crate::limits;

/// How a room begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// Its name, 1 to 128 bytes.
    pub name: String,
    /// What sort.
    pub kind: RoomKind,
    /// What newcomers may read; for ever.
    pub history: History,
    /// What it is about; may be empty.
    pub about: String,
    /// How long messages live in milliseconds; `None` for ever.
    pub ttl_ms: Option<u64>,
    /// The relays that keep mailboxes for it.
    pub mailboxes: Mailboxes,
    /// What those of them ask for that are not open to all.
    pub mailbox_tokens: MailboxTokens,
}

impl NewRoom {
    /// A group of this name, with nothing else said.
    pub fn group(name: impl Into<String>, history: History) -> Self {
        Self {
            name: name.into(),
            kind: RoomKind::Group,
            history,
            about: String::new(),
            ttl_ms: None,
            mailboxes: Mailboxes::default(),
            mailbox_tokens: MailboxTokens::default(),
        }
    }
}

impl Room {
    /// Makes a room with us as its owner: genesis, settings, and a first epoch.
    ///
    /// # Errors
    /// [`Refusal::Setting`] for a name that is empty or too long.
    pub fn create(
        me: Arc<Identity>,
        new: NewRoom,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Outcome), Refusal> {
        let genesis = genesis_event(&me, &new, now_ms, rng)?;
        let mut room = Self::new(me, RoomId(genesis.id().0), TopicSecret::generate(rng));
        let mut outcome = Outcome::default();
        if room.insert_control(&genesis) == Insert::Invalid(crate::validity::Invalid::Genesis) {
            return Err(Refusal::Limit);
        }
        outcome.accepted.push(Accepted::Control(genesis));
        room.settle(&mut outcome);
        let mut writes = vec![(Setting::Name, new.name.into_bytes())];
        if !new.about.is_empty() {
            writes.push((Setting::About, new.about.into_bytes()));
        }
        if let Some(ttl_ms) = new.ttl_ms {
            writes.push((Setting::Ttl, ttl_ms.to_be_bytes().to_vec()));
        }
        if !new.mailboxes.list().is_empty() {
            writes.push((Setting::Mailboxes, new.mailboxes.encode()));
        }
        if !new.mailbox_tokens.is_empty() {
            writes.push((Setting::MailboxTokens, new.mailbox_tokens.encode()));
        }
        outcome.merge(room.set_state(writes, now_ms)?);
        outcome.merge(room.make_epoch(RotateReason::NoSafeEpoch, now_ms, rng)?);
        outcome.persist.keys = room.all_rows();
        outcome.persist.heads = Some(room.messages.to_bytes());
        Ok((room, outcome))
    }

    /// Begins a room with the Welcome of a sponsor. It is empty: the control events come by sync, the genesis first, and
    /// [`Change::Joined`](super::Change::Joined) says when our Admit is among them. Keys are checked against the commitments in the
    /// events as these come.
    pub fn join(me: Arc<Identity>, room: RoomId, welcome: Welcome) -> (Self, Outcome) {
        let mut room = Self::new(me, room, welcome.topic_secret);
        room.generation = welcome.generation;
        for key in welcome.keys {
            room.epochs.hold(key.epoch, Held { slice: key.slice, key: key.key, checked: false });
        }
        let persist = Persist { keys: room.all_rows(), heads: Some(room.messages.to_bytes()), pages: Vec::new() };
        (room, Outcome { persist, ..Outcome::default() })
    }

    /// The room as storage holds it. Costs one resolution, and no signature check: what is stored was checked.
    ///
    /// # Errors
    /// See [`RestoreError`]: the stored bytes are damaged.
    pub fn restore(me: Arc<Identity>, parts: RoomParts) -> Result<Self, RestoreError> {
        let (topic, generation) = Self::stored_topic(&parts.keys).ok_or(RestoreError::State)?;
        let mut room = Self::new(me, parts.room, topic);
        room.generation = generation;
        room.restore_keys(&parts.keys).ok_or(RestoreError::State)?;
        for event in &parts.control {
            let insert = room.dag.insert_stored(event);
            room.inserted(&insert);
            match insert {
                Insert::New(_) | Insert::Known => {}
                Insert::Missing(_) => return Err(RestoreError::Gap(event.id())),
                Insert::Invalid(why) => {
                    return Err(RestoreError::Event { id: event.id(), why: Reject::Invalid(why) });
                }
            }
        }
        let ends: Option<Vec<_>> = parts
            .tips
            .iter()
            .map(|tip| Some((tip.path, tip.event.device(), log_end(&tip.event, tip.covers_own)?)))
            .collect();
        let ends = ends.ok_or(RestoreError::State)?;
        ends.iter().for_each(|(.., end)| room.epochs.saw_slice(end.epoch, end.slice));
        room.messages = Messages::restore(&parts.heads, ends).ok_or(RestoreError::State)?;
        room.restore_pins();
        if !room.dag.is_empty() {
            room.settle(&mut Outcome::default());
        }
        Ok(room)
    }
}

fn genesis_event(me: &Identity, new: &NewRoom, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Event, Refusal> {
    let named = (1..=limits::MAX_ROOM_NAME).contains(&new.name.len());
    if !named || new.about.len() > limits::MAX_SETTING {
        return Err(Refusal::Setting);
    }
    let genesis = Genesis {
        rules: limits::RULES,
        suite: limits::SUITE,
        kind: new.kind,
        owners: vec![me.entrant()],
        policy: Policy { history: new.history },
        nonce: *SecretBytes::<32>::random(rng).expose(),
    };
    let header = ControlHeader {
        v: limits::VERSION,
        suite: limits::SUITE,
        kind: GENESIS_KIND,
        device: me.device(),
        seq: 1,
        prev: EventId::ZERO,
        parents: Vec::new(),
        lamport: 1,
        ts_ms: now_ms,
        payload_len: 0,
        payload_hash: [0; 32],
    };
    let payload = Control::Genesis(genesis).encode();
    Event::sign(&RoomId([0; 32]), Header::Control(header), &payload, me.signing_key()).map_err(|_| Refusal::Limit)
}
