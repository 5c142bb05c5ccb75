//! The task: follows the events like any window, and lets the machine decide which of them call.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlor_api::{Calls, DeviceChange, DeviceChanged, EventBody, Message, MessageStatus, RoomChange, UpdateSettings};
use tokio::sync::mpsc;

use super::desktop::{Desktop, Shown};
use super::notices::{Call, Notices, Out};
use super::settings::Command;
use super::words;
use crate::bus::Subscription;
use crate::clock::{now_ms, until};
use crate::services::rooms::{Context, Rooms};

/// What the task works with.
pub(crate) struct Parts {
    context: Arc<Context>,
    rooms: Rooms,
    commands: mpsc::Receiver<Command>,
    events: Subscription,
}

impl Parts {
    /// Follows the events from now on.
    pub(crate) fn new(context: &Arc<Context>, rooms: &Rooms, commands: mpsc::Receiver<Command>) -> Self {
        Self { context: context.clone(), rooms: rooms.clone(), commands, events: context.bus.subscribe(None) }
    }
}

/// Runs until the node ends.
pub(crate) async fn run(parts: Parts) {
    let Parts { context, rooms, mut commands, mut events } = parts;
    let desktop = Desktop::new(context.attention.clone());
    let mut teller = Teller { context, desktop, notices: Notices::default(), devices: BTreeSet::new() };
    teller.devices = teller.own_devices().map(|device| device.device).collect();
    loop {
        let due = teller.notices.due();
        tokio::select! {
            command = commands.recv() => match command {
                None => return,
                Some(Command::Update(update, reply)) => drop(reply.send(teller.update(update, &rooms).await)),
            },
            event = events.next() => match event {
                None => return,
                Some(Ok(event)) => teller.on_event(&event.body, now_ms()),
                // What was missed is counted as unread, and calls nobody; but for a device that came.
                Some(Err(_)) => {
                    events = teller.context.bus.subscribe(None);
                    teller.tell_missed_devices();
                }
            },
            () = tokio::time::sleep(due.map_or(std::time::Duration::MAX, until)), if due.is_some() => teller.tick(),
        }
    }
}

struct Teller {
    context: Arc<Context>,
    desktop: Desktop,
    notices: Notices,
    /// Own devices that were told of, or waited for the user's word when this run began.
    devices: BTreeSet<String>,
}

impl Teller {
    async fn update(
        &mut self,
        update: UpdateSettings,
        rooms: &Rooms,
    ) -> Result<parlor_api::Settings, parlor_api::Problem> {
        let settings = self.context.attention.store(&self.context.store, update).await?;
        // The rooms tell others what they may know now.
        rooms.refresh().await;
        Ok(settings)
    }

    fn on_event(&mut self, event: &EventBody, now_ms: u64) {
        let out = match event {
            EventBody::Message(message) => {
                self.on_message(message, now_ms);
                None
            }
            EventBody::Unread(unread) => {
                let first = unread.first_unread_order.as_deref();
                self.notices.waits(&unread.room, first, calls_of(&unread.attention))
            }
            EventBody::Device(device) if device.change == DeviceChange::Came => {
                self.tell_device(device);
                None
            }
            EventBody::MessageExpired(gone) => {
                self.notices.gone(&gone.room, &gone.message);
                None
            }
            EventBody::Room(room) => match room.change {
                RoomChange::Joined => {
                    self.notices.joined(&room.room, now_ms);
                    None
                }
                RoomChange::Left | RoomChange::Removed => self.notices.left(&room.room),
                RoomChange::Created | RoomChange::Updated => None,
            },
            _ => None,
        };
        if let Some(Out::Withdraw(room)) = out {
            self.desktop.tell(Shown::Withdraw(room));
        }
    }

    /// The own devices that wait for the user's word.
    fn own_devices(&self) -> impl Iterator<Item = DeviceChanged> + use<> {
        let new_ones = self.context.own.new_ones().into_iter();
        new_ones.map(|(device, name, _)| DeviceChanged { device: device.to_string(), name, change: DeviceChange::Came })
    }

    /// Events were missed: tells the devices that came with them.
    fn tell_missed_devices(&mut self) {
        for device in self.own_devices().filter(|device| !self.devices.contains(&device.device)).collect::<Vec<_>>() {
            self.tell_device(&device);
        }
    }

    /// Told at once, also in quiet hours: whoever has the account reads along from now on.
    fn tell_device(&mut self, device: &DeviceChanged) {
        let notify = self.context.attention.notify();
        self.devices.insert(device.device.clone());
        if notify == parlor_api::Notify::Off {
            return;
        }
        let notification = words::of_device(&device.name, notify);
        self.context.bus.publish(now_ms(), EventBody::Notification(notification.clone()));
        self.desktop.tell(Shown::Show(notification));
    }

    fn on_message(&mut self, message: &Message, now_ms: u64) {
        let me = self.context.identity.account().to_string();
        // Read already: another window was faster, or it stands before what was read and was shown there.
        if message.author.account == me || message.status == MessageStatus::Read {
            return;
        }
        let Some(summary) = message.room.parse().ok().and_then(|room| self.context.directory.get(&room)) else {
            return;
        };
        let sent = message.sent_at.parse::<jiff::Timestamp>().map_or(0, |at| at.as_millisecond());
        let call = Call {
            room: message.room.clone(),
            message: message.message.clone(),
            order: message.order.clone(),
            mention: message.mentions.contains(&me),
            sent_ms: u64::try_from(sent).unwrap_or(0),
            author: message.author.name.clone(),
            text: said(message),
        };
        self.notices.call(call, calls_of(&summary.item.attention), now_ms);
    }

    fn tick(&mut self) {
        let attention = &self.context.attention;
        let notify = attention.notify();
        let quiet = attention.quiet().is_some_and(|quiet| quiet.holds(minute_of_day()));
        let silent = quiet || notify == parlor_api::Notify::Off;
        for out in self.notices.tick(silent, now_ms()) {
            let Out::Show(notice) = out else { continue };
            let room = notice.newest.as_ref().and_then(|newest| newest.room.parse().ok());
            let name = room.and_then(|room| self.context.directory.get(&room)).map(|summary| summary.item.name);
            let notification = words::notification(&notice, &name.unwrap_or_default(), notify);
            self.context.bus.publish(now_ms(), EventBody::Notification(notification.clone()));
            self.desktop.tell(Shown::Show(notification));
        }
    }
}

/// Which messages call, as things are.
fn calls_of(attention: &parlor_api::Attention) -> Calls {
    if attention.muted { Calls::None } else { attention.level }
}

/// The minute of the day by the clock of this machine.
fn minute_of_day() -> u16 {
    let now = jiff::Zoned::now();
    u16::try_from(now.hour()).unwrap_or(0) * 60 + u16::try_from(now.minute()).unwrap_or(0)
}

/// What a message says, in a notification; of one with files only, what they are called.
fn said(message: &Message) -> String {
    let names = || message.files.iter().map(|file| file.save_as.as_str()).collect::<Vec<_>>().join(", ");
    if message.text.is_empty() { names() } else { message.text.clone() }
}
