//! What the owner of the lines puts into boxes, and how the relays do.

use std::collections::BTreeMap;

use parlor_crypto::hedge::Hedged;
use parlor_crypto::leaf::LeafPublic;
use parlor_net::PeerId;
use parlor_proto::RoomId;
use parlor_proto::join::DoorMail;
use parlor_proto::mailbox::{self as mailbox, BlobId, BoxName, BoxSetup, Bundle, Cursor, Mail};
use parlor_proto::wire::Blob;
use rand::SeedableRng as _;

use super::{Actor, Use};
use crate::account::rng;
use crate::clock::now_ms;
use crate::limits::SNAPSHOT_BYTES;
use crate::services::mailboxes::handle::RelayView;
use crate::services::mailboxes::plan::{SharedBox, Stretch};
use crate::services::rooms::{KnockEnd, Knocked};

impl Actor {
    /// Seals content and puts it in a box. The same again is the same blob.
    pub(super) fn put(&mut self, name: &BoxName, content: &[u8]) -> Option<BlobId> {
        let used = self.boxes.get(name)?;
        let mut zeros = rand::rngs::StdRng::from_seed([0; 32]);
        let mut rng = Hedged::new(&mut zeros, &[self.seed.expose(), &name.to_bytes(), content]);
        let blob = mailbox::seal_blob(&mut rng, name, &used.keys.keys.seal, content).ok()?;
        match self.machine.put(*name, blob.into(), now_ms()) {
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

    pub(super) fn on_stretches(&mut self, room: RoomId, stretches: Vec<Stretch>) {
        if let Some(mail) = self.rooms.get_mut(&room) {
            mail.reading = false;
        }
        let now = now_ms();
        for stretch in stretches {
            let mut blobs = Vec::new();
            let mut whole = true;
            for shared in &stretch.boxes {
                if !self.boxes.contains_key(&shared.name) {
                    self.open_to_write(room, shared);
                }
                for bundle in Bundle::pack(stretch.mails.iter().cloned()) {
                    match self.put(&shared.name, &bundle.encode()) {
                        Some(id) => blobs.push((shared.name, id)),
                        None => whole = false,
                    }
                }
            }
            let Some(mail) = self.rooms.get_mut(&room) else { return };
            if !whole {
                // Too much waits in all: later.
                return;
            }
            mail.feed.sent(stretch.kind, stretch.from, stretch.to, blobs, now);
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
        what: Option<Knocked>,
        events: Vec<Mail>,
    ) {
        let Some(Knocked { bytes, end, came }) = what else { return };
        let last = match end {
            // It is looked at again.
            KnockEnd::Passing => return,
            KnockEnd::Pending => false,
            KnockEnd::In | KnockEnd::Refused => true,
        };
        let Some(mail) = self.rooms.get_mut(&room) else { return };
        if !last && !mail.knocks.tell_pending(&id) {
            return;
        }
        let mut size = 0;
        let leaf = came.and_then(|leaf| LeafPublic::parse(&leaf).ok());
        let sealed = leaf.map(|leaf| DoorMail::events(&room, &leaf, events, &mut rng()));
        for mail in sealed.into_iter().flatten() {
            let content = mail.encode();
            size += content.len();
            if size > SNAPSHOT_BYTES {
                break;
            }
            self.put(&name, &content);
        }
        self.put(&name, &DoorMail::Answer { to: id, last, bytes: Blob(bytes) }.encode());
        if last {
            if let Some(mail) = self.rooms.get_mut(&room) {
                mail.knocks.answered(&id);
            }
            let out = self.machine.taken(name, id, now_ms());
            self.carry_out(out);
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
