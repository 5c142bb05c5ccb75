//! What others tell and ask the mailboxes service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_crypto::mailbox::BoxKeys;
use parlor_net::PeerId;
use parlor_proto::RoomId;
use parlor_proto::mailbox::BoxName;
use tokio::sync::{Notify, oneshot};

use super::doors::JoinDoor;
use super::plan::{Plan, Tips};
use super::relays::Relay;
use crate::services::why::Why;

/// A handle on the mailboxes service. What is told never waits: it lies in a slot until the service looks.
#[derive(Clone)]
pub(crate) struct Mailboxes {
    slots: Arc<Mutex<Slots>>,
    told: Arc<Notify>,
    view: Arc<Mutex<BTreeMap<PeerId, RelayView>>>,
    /// The relays of the settings.
    own: Arc<[Relay]>,
}

/// What was told and not looked at yet. Each kind is bounded by the rooms there are.
#[derive(Default)]
pub(super) struct Slots {
    pub(super) plans: BTreeMap<RoomId, Plan>,
    pub(super) tips: BTreeMap<RoomId, Tips>,
    /// Doors at which we knock, and those that are of no interest any more.
    pub(super) doors: Vec<JoinDoor>,
    pub(super) left: Vec<JoinDoor>,
    /// Boxes that are read for who enters a room by the link of this door alone, and rooms of which none is read any more.
    pub(super) reads: Vec<(BoxName, Vec<BoxKeys>)>,
    pub(super) ended: Vec<(RoomId, oneshot::Sender<()>)>,
    pub(super) stop: Option<oneshot::Sender<()>>,
}

/// How a relay does as a mailbox, for the status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RelayView {
    /// Where it is.
    pub(crate) texts: Vec<String>,
    /// Its mailbox answers.
    pub(crate) up: bool,
    /// Rooms that have it as a mailbox.
    pub(crate) rooms: u32,
    /// Events of ours that it lacks.
    pub(crate) lacks: u64,
    /// What went wrong last, and not well since.
    pub(crate) error: Option<Why>,
    /// It wants a token that we have not.
    pub(crate) locked: bool,
}

impl Mailboxes {
    pub(crate) fn new(own: Vec<Relay>) -> Self {
        Self { slots: Arc::default(), told: Arc::new(Notify::new()), view: Arc::default(), own: own.into() }
    }

    /// The relays of the settings.
    pub(crate) fn own(&self) -> &[Relay] {
        &self.own
    }

    /// What a room wants of its mailboxes now.
    pub(crate) fn plan(&self, room: RoomId, plan: Plan) {
        self.tell(|slots| drop(slots.plans.insert(room, plan)));
    }

    /// How far our own logs of a room are durable now.
    pub(crate) fn wrote(&self, room: RoomId, tips: Tips) {
        self.tell(|slots| {
            slots.tips.insert(room, tips);
        });
    }

    /// Knocks at the door of an invite, until it is left or the room is here.
    pub(crate) fn knock(&self, door: JoinDoor) {
        self.tell(|slots| slots.doors.push(door));
    }

    /// The door is of no interest to this join any more.
    pub(crate) fn leave_door(&self, door: JoinDoor) {
        self.tell(|slots| slots.left.push(door));
    }

    /// Reads these boxes of a room for who enters by the link alone, at the relays of his door.
    pub(crate) fn read(&self, door: BoxName, boxes: Vec<BoxKeys>) {
        self.tell(|slots| slots.reads.push((door, boxes)));
    }

    /// Reads no boxes of a room any more for who enters; when it returns, none is open.
    pub(crate) async fn end_reads(&self, room: RoomId) {
        let (done, ended) = oneshot::channel();
        self.tell(|slots| slots.ended.push((room, done)));
        // An error means that the service has ended.
        let _ = ended.await;
    }

    /// How the relays do.
    pub(crate) fn relays(&self) -> BTreeMap<PeerId, RelayView> {
        lock(&self.view).clone()
    }

    /// Writes down what is remembered, and ends the service.
    pub(crate) async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.tell(|slots| slots.stop = Some(done));
        // An error means that it has ended already.
        let _ = stopped.await;
    }

    pub(super) fn show(&self, view: BTreeMap<PeerId, RelayView>) {
        *lock(&self.view) = view;
    }

    /// Waits until something is told. Cancel safe.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    pub(super) fn take(&self) -> Slots {
        std::mem::take(&mut lock(&self.slots))
    }

    fn tell(&self, change: impl FnOnce(&mut Slots)) {
        change(&mut lock(&self.slots));
        self.told.notify_one();
    }
}

/// Held for a few lines that do not panic; the data is whole in any case.
fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
