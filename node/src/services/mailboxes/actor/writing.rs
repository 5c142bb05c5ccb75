//! What the owner of the lines puts into boxes, and how the relays do.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::hedge::Hedged;
use parlor_crypto::leaf::LeafPublic;
use parlor_net::PeerId;
use parlor_proto::RoomId;
use parlor_proto::join::DoorMail;
use parlor_proto::mailbox::{self as mailbox, BlobId, BoxName, BoxSetup, Bundle, Cursor, Mail, RelayId};
use parlor_proto::wire::Blob;
use rand::SeedableRng as _;

use super::{Actor, Use};
use crate::account::rng;
use crate::clock::now_ms;
use crate::limits::{FEED_PAUSE_MS, SNAPSHOT_BYTES};
use crate::services::mailboxes::handle::RelayView;
use crate::services::mailboxes::plan::{SharedBox, Stretch};
use crate::services::mailboxes::snapshots::Leave;
use crate::services::rooms::{KnockEnd, Knocked, NoAnswer};

impl Actor {
    /// Seals content and puts it in a box. The same again is the same blob.
    pub(super) fn put(&mut self, name: &BoxName, content: &[u8]) -> Option<BlobId> {
        self.put_where(name, content, |_| true)
    }

    /// Seals content and puts it in a box at some of its relays.
    fn put_where(&mut self, name: &BoxName, content: &[u8], wanted: impl Fn(&RelayId) -> bool) -> Option<BlobId> {
        let blob = self.seal(name, content)?;
        match self.machine.put_where(*name, blob.into(), wanted, now_ms()) {
            Ok((id, out)) => {
                self.carry_out(out);
                Some(id)
            }
            Err(error) => {
                tracing::debug!(%error, "something can not be put in a mailbox now");
                None
            }
        }
    }

    /// Seals content for a box. The same again is the same blob.
    pub(super) fn seal(&self, name: &BoxName, content: &[u8]) -> Option<Vec<u8>> {
        let used = self.boxes.get(name)?;
        let mut zeros = rand::rngs::StdRng::from_seed([0; 32]);
        let mut rng = Hedged::new(&mut zeros, &[self.seed.expose(), &name.to_bytes(), content]);
        mailbox::seal_blob(&mut rng, name, &used.keys.keys.seal, content).ok()
    }

    pub(super) fn on_stretches(&mut self, room: RoomId, stretches: Vec<Stretch>) {
        if let Some(mail) = self.rooms.get_mut(&room) {
            mail.reading = false;
        }
        let now = now_ms();
        let up: Vec<PeerId> = self.relays.values().filter(|at| at.up).map(|at| at.relay.peer).collect();
        if stretches.is_empty()
            && let Some(mail) = self.rooms.get_mut(&room)
        {
            // What there is can not be read now: asked again at once it could not be either.
            tracing::debug!(room = %room.short(), "own logs could not be read for mailboxes");
            mail.full_until_ms = now.saturating_add(FEED_PAUSE_MS);
        }
        for stretch in stretches {
            let Some(mail) = self.rooms.get(&room) else { return };
            let put_to = mail.feed.lacking(stretch.kind, stretch.to, &up, now);
            let ids = put_to.iter().filter_map(|peer| mail.plan.relays.iter().find(|relay| relay.peer == *peer)?.id());
            let lacking: BTreeSet<RelayId> = ids.collect();
            let mut blobs = Vec::new();
            let mut whole = true;
            for shared in &stretch.boxes {
                if !self.boxes.contains_key(&shared.name) {
                    self.open_to_write(room, shared);
                }
                for bundle in Bundle::pack(stretch.mails.iter().cloned()) {
                    match self.put_where(&shared.name, &bundle.encode(), |relay| lacking.contains(relay)) {
                        Some(id) => blobs.push((shared.name, id)),
                        None => whole = false,
                    }
                }
            }
            let Some(mail) = self.rooms.get_mut(&room) else { return };
            if !whole {
                // Too much waits in all: later.
                mail.full_until_ms = now.saturating_add(FEED_PAUSE_MS);
                return;
            }
            mail.feed.sent(stretch.kind, (stretch.from, stretch.to), blobs, put_to, now);
            mail.kept.put = mail.feed.places().clone();
        }
    }

    /// A box in which something of ours goes and that is not read: of a slice long over.
    fn open_to_write(&mut self, room: RoomId, shared: &SharedBox) {
        let Some(mail) = self.rooms.get(&room) else { return };
        let relays = mail.plan.relays.iter().filter_map(|relay| Some((relay.id()?, Cursor::default()))).collect();
        let setup = BoxSetup { name: shared.name, key: Some(shared.keys.sign.clone()), read: false, relays };
        if let Ok(out) = self.machine.open(setup, now_ms()) {
            self.boxes.insert(shared.name, Use { room, keys: shared.clone() });
            self.carry_out(out);
        }
    }

    /// The room has looked at a knock.
    pub(super) fn on_knocked(
        &mut self,
        room: RoomId,
        name: BoxName,
        id: BlobId,
        what: Result<Knocked, NoAnswer>,
        events: Vec<Mail>,
    ) {
        let now = now_ms();
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        let Knocked { bytes, end, came } = match what {
            Ok(knocked) => knocked,
            Err(NoAnswer::NotNow) => return mail.knocks.not_now(&id, now),
            Err(NoAnswer::Strange) => return self.done_with(room, name, id),
        };
        let last = match end {
            KnockEnd::Passing | KnockEnd::Pending => false,
            KnockEnd::In | KnockEnd::Refused => true,
        };
        if !last {
            mail.knocks.again(&id, now);
            if end == KnockEnd::Passing || !mail.knocks.tell_pending(&id) {
                return;
            }
        }
        if let Some(leaf) = came {
            match mail.snapshots.leave(&name, &leaf, now) {
                Leave::Now(instead_of) => {
                    instead_of.iter().for_each(|id| self.machine.unput(&name, id));
                    self.leave_events(room, name, leaf, events);
                }
                Leave::Later => return mail.knocks.not_now(&id, now),
                Leave::No => {}
            }
        }
        let answer = self.put(&name, &DoorMail::Answer { to: id, last, bytes: Blob(bytes) }.encode());
        let Some(mail) = self.rooms.get_mut(&room).filter(|_| last) else { return };
        match answer {
            Some(answer) => mail.knocks.answering(&id, answer),
            // Too much waits in all.
            None => mail.knocks.not_now(&id, now),
        }
    }

    /// What may be our answer to a knock is at a relay, or nothing is tried any more with it.
    pub(super) fn on_answered(&mut self, name: &BoxName, answer: &BlobId) {
        let Some(room) = self.boxes.get(name).map(|used| used.room) else { return };
        let Some(knock) = self.rooms.get_mut(&room).and_then(|mail| mail.knocks.arrived(answer)) else { return };
        let out = self.machine.taken(*name, knock, now_ms());
        self.carry_out(out);
    }

    /// A knock is none.
    fn done_with(&mut self, room: RoomId, name: BoxName, id: BlobId) {
        if let Some(mail) = self.rooms.get_mut(&room) {
            mail.knocks.answered(&id);
        }
        let out = self.machine.taken(name, id, now_ms());
        self.carry_out(out);
    }

    /// Leaves the events of a room at its door for who was let in.
    fn leave_events(&mut self, room: RoomId, door: BoxName, leaf: [u8; 32], events: Vec<Mail>) {
        let Ok(key) = LeafPublic::parse(&leaf) else { return };
        let (mut size, mut blobs) = (0, BTreeSet::new());
        for mail in DoorMail::events(&room, &key, events, &mut rng()) {
            let content = mail.encode();
            size += content.len();
            if size > SNAPSHOT_BYTES {
                break;
            }
            blobs.extend(self.put(&door, &content));
        }
        if let Some(mail) = self.rooms.get_mut(&room) {
            mail.snapshots.put(door, leaf, blobs, now_ms());
        }
    }

    pub(super) fn show(&self) {
        let mut view: BTreeMap<PeerId, RelayView> = BTreeMap::new();
        for relay in self.parts.handle.own() {
            view.insert(relay.peer, RelayView { texts: relay.texts(), ..RelayView::default() });
        }
        for at in self.relays.values() {
            let peer = at.relay.peer;
            let uses = self.rooms.values().filter(|mail| mail.plan.relays.iter().any(|relay| relay.peer == peer));
            let rooms = uses.clone().count();
            let lacks = uses.map(|mail| mail.feed.lacks(&peer, &mail.tips) + mail.left.lacks()).sum();
            let shown = view.entry(peer).or_default();
            *shown = RelayView {
                texts: at.relay.texts(),
                up: at.up,
                rooms: u32::try_from(rooms).unwrap_or(u32::MAX),
                lacks,
                error: at.error.clone(),
                locked: at.locked,
            };
        }
        self.parts.handle.show(view);
    }
}
