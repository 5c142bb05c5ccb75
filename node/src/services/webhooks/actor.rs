//! The task that owns the webhooks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_api::{
    Code, EventBody, Message, MessageStatus, Problem, Webhook, WebhookChanged, WebhookDelivery, WebhookState,
};
use parlor_crypto::Secret;
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Changed, Namespace, Position};
use tokio::task::JoinSet;

use super::book::{Became, Hook};
use super::client::{Client, Post, Refused};
use super::handle::{Command, Floor, Inbox, NewHook};
use super::url::Target;
use crate::account::rng;
use crate::app::Answer;
use crate::clock::{now_ms, until};
use crate::limits::{WEBHOOK_BEHIND, WEBHOOK_COUNTED, WEBHOOK_NOTED, WEBHOOKS_MAX};
use crate::services::rooms::{Context, Rooms};

/// Longest stored webhook in bytes: an address, 64 rooms.
const MAX_STORED: usize = 16 * 1_024;
/// Longest name in bytes.
const NAME_MAX: usize = 64;
/// Most rooms of a webhook that is not for all.
const ROOMS_MAX: usize = 64;
/// Longest sleep: the clock of the machine may jump.
const LOOK: Duration = Duration::from_secs(600);

/// What the service works with.
pub(crate) struct Parts {
    pub(crate) context: Arc<Context>,
    pub(crate) rooms: Rooms,
    pub(crate) floor: Floor,
}

/// What waits to be delivered: of one group, and the group itself when nothing of it is left.
struct Next {
    /// Everything up to this group is known to be of no interest, or done.
    up_to: u64,
    /// So many of the group after that were done.
    done: u32,
    /// The next delivery, if there is one.
    delivery: Option<(WebhookDelivery, u32)>,
}

/// What came of a delivery: which webhook, how far it is when it was taken, and whether it was.
struct Done {
    id: String,
    group: u64,
    done: u32,
    result: Result<(), Refused>,
}

struct Running {
    hook: Hook,
    target: Target,
    /// Its place as it is on the disk: what comes after it is not thrown away.
    stored: u64,
    /// Not tried before.
    due_ms: u64,
    busy: bool,
}

impl Running {
    fn new(hook: Hook, target: Target) -> Self {
        Self { stored: hook.group, hook, target, due_ms: 0, busy: false }
    }
}

struct Actor {
    parts: Parts,
    client: Client,
    hooks: BTreeMap<String, Running>,
    under_way: JoinSet<Done>,
}

/// Runs the service until its handles are gone.
pub(crate) async fn run(parts: Parts, mut inbox: Inbox) {
    let mut changes = parts.context.store.watch();
    let client = tokio::task::spawn_blocking(Client::new).await;
    let Ok(client) = client else { return };
    let hooks = stored(&parts.context);
    let mut actor = Actor { parts, client, hooks, under_way: JoinSet::new() };
    loop {
        actor.start_due().await;
        actor.set_floor();
        let waits = actor.hooks.values().filter(|running| !running.busy && !running.hook.disabled);
        let due = waits.map(|running| running.due_ms).filter(|due| *due > 0).min();
        let sleep = due.map_or(LOOK, until).min(LOOK);
        tokio::select! {
            command = inbox.0.recv() => match command {
                Some(command) => actor.on_command(command).await,
                None => return,
            },
            Some(done) = actor.under_way.join_next(), if !actor.under_way.is_empty() => {
                if let Ok(done) = done {
                    actor.on_done(done).await;
                }
            }
            changed = changes.changed(), if actor.idles() => if changed.is_err() {
                // The store is closed: the node stops.
                return;
            },
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// The webhooks as stored. One that can not be read is left out, and told in the log.
fn stored(context: &Context) -> BTreeMap<String, Running> {
    let rows = context.store.scan(None, Namespace::Webhook, &[]).unwrap_or_default();
    let mut hooks = BTreeMap::new();
    for (_, bytes) in rows {
        let hook = codec::decode::<Hook>(&bytes, MAX_STORED).ok();
        match hook.and_then(|hook| Some((Target::parse(&hook.url).ok()?, hook))) {
            Some((target, hook)) => {
                hooks.insert(hook.id.clone(), Running::new(hook, target));
            }
            None => tracing::error!("a stored webhook can not be read"),
        }
    }
    hooks
}

impl Actor {
    /// Whether some webhook waits for something to happen.
    fn idles(&self) -> bool {
        self.hooks.values().any(|running| !running.busy && running.due_ms == 0 && !running.hook.disabled)
    }

    /// The number of the store's last group.
    fn last_group(&self) -> u64 {
        *self.parts.context.store.watch().borrow()
    }

    /// Lets go of what no webhook needs. Who is too far behind, or was given up, is told later that something lacks.
    fn set_floor(&mut self) {
        let last = self.last_group();
        let least = last.saturating_sub(WEBHOOK_BEHIND);
        let needed = self.hooks.values().filter(|running| !running.hook.disabled).map(|running| running.stored);
        let floor = needed.min().map_or(last, |group| group.max(least));
        self.parts.floor.set(floor);
        for running in self.hooks.values_mut().filter(|running| running.hook.group < floor) {
            (running.hook.group, running.stored) = (floor, floor);
            (running.hook.done, running.hook.gap) = (0, true);
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Make(new, reply) => drop(reply.send(self.make(new).await)),
            Command::List(reply) => drop(reply.send(self.list().await)),
            Command::Remove(id, reply) => drop(reply.send(self.remove(&id).await)),
            Command::Rotate(id, reply) => drop(reply.send(self.rotate(&id).await)),
            Command::Enable(id, reply) => drop(reply.send(self.enable(&id).await)),
        }
    }

    async fn make(&mut self, new: NewHook) -> Answer<Webhook> {
        let name = new.name.trim();
        let wrong = |what: &str| Err(Problem::new(Code::BadRequest, what));
        if name.is_empty() || name.len() > NAME_MAX || name.chars().any(char::is_control) {
            return wrong("a webhook has a name of 1 to 64 bytes");
        }
        if new.rooms.len() > ROOMS_MAX {
            return wrong("a webhook is for at most 64 rooms, or for all");
        }
        if self.hooks.len() >= WEBHOOKS_MAX {
            return Err(
                Problem::new(Code::Conflict, "there are too many webhooks").hint("remove some: parlor webhook list")
            );
        }
        let target = Target::parse(&new.url)?;
        let hook = Hook {
            id: format!("{:016x}", rand::random::<u64>()),
            name: name.to_owned(),
            url: new.url,
            rooms: new.rooms,
            secret: Secret::random(&mut rng()),
            before: None,
            made_ms: now_ms(),
            group: self.last_group(),
            done: 0,
            delivered: 0,
            failures: 0,
            failing_ms: None,
            last_error: None,
            disabled: false,
            gap: false,
        };
        self.keep(&hook).await?;
        let view = hook.view((0, false), None, true);
        self.hooks.insert(hook.id.clone(), Running::new(hook, target));
        Ok(view)
    }

    async fn list(&self) -> Answer<Vec<Webhook>> {
        let mut all = Vec::new();
        for running in self.hooks.values() {
            let waits = self.waits(&running.hook).await;
            all.push((running.hook.made_ms, running.hook.view(waits, Some(running.due_ms), false)));
        }
        all.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        Ok(all.into_iter().map(|(_, view)| view).collect())
    }

    /// How many messages wait for a webhook, as far as they are counted.
    async fn waits(&self, hook: &Hook) -> (u64, bool) {
        let (store, after) = (self.parts.context.store.clone(), hook.group);
        let read = tokio::task::spawn_blocking(move || {
            Some((store.changes(after, WEBHOOK_COUNTED).ok()?, store.room_numbers().ok()?))
        });
        let Ok(Some((changes, numbers))) = read.await else { return (0, false) };
        let wanted = |changed: &&Changed| {
            let room = numbers.iter().find(|(number, _)| *number == changed.room).map(|(_, room)| room);
            changed.position.is_some() && room.is_some_and(|room| hook.wants(room))
        };
        let n = changes.changed.iter().filter(wanted).count() as u64;
        (n.saturating_sub(u64::from(hook.done)), changes.more)
    }

    fn named(&mut self, id: &str) -> Answer<&mut Running> {
        self.hooks.get_mut(id).ok_or_else(|| {
            Problem::new(Code::NotFound, "there is no such webhook").hint("parlor webhook list shows them")
        })
    }

    async fn remove(&mut self, id: &str) -> Answer<()> {
        self.named(id)?;
        let mut batch = Batch::new(None);
        batch.delete(Namespace::Webhook, id.as_bytes());
        let done = self.parts.context.store.commit(batch).await;
        done.map_err(|error| crate::services::commit_problem(&error))?;
        // One that is on its way goes nowhere any more: what comes of it is of no interest.
        self.hooks.remove(id);
        Ok(())
    }

    async fn rotate(&mut self, id: &str) -> Answer<Webhook> {
        let mut hook = self.named(id)?.hook.clone();
        hook.rotate(Secret::random(&mut rng()), now_ms());
        self.keep(&hook).await?;
        let waits = self.waits(&hook).await;
        let running = self.named(id)?;
        (running.hook.secret, running.hook.before) = (hook.secret, hook.before);
        Ok(running.hook.view(waits, Some(running.due_ms), true))
    }

    async fn enable(&mut self, id: &str) -> Answer<Webhook> {
        let mut hook = self.named(id)?.hook.clone();
        hook.enable();
        self.keep(&hook).await?;
        let waits = self.waits(&hook).await;
        let running = self.named(id)?;
        running.hook = hook;
        running.due_ms = 0;
        let view = running.hook.view(waits, None, false);
        self.tell(&view.id);
        Ok(view)
    }

    /// Writes a webhook down.
    async fn keep(&self, hook: &Hook) -> Answer<()> {
        let mut batch = Batch::new(None);
        batch.put(Namespace::Webhook, hook.id.as_bytes(), codec::encode(hook));
        let done = self.parts.context.store.commit(batch).await;
        done.map_err(|error| crate::services::commit_problem(&error))
    }

    fn tell(&self, id: &str) {
        let Some(Running { hook, .. }) = self.hooks.get(id) else { return };
        let event = WebhookChanged {
            webhook: hook.id.clone(),
            name: hook.name.clone(),
            state: hook.state(),
            last_error: hook.last_error.clone(),
        };
        self.parts.context.bus.publish(now_ms(), EventBody::Webhook(event));
    }

    /// Starts what is due.
    async fn start_due(&mut self) {
        let now = now_ms();
        let ready = |running: &Running| !running.busy && !running.hook.disabled && running.due_ms <= now;
        let due: Vec<String> =
            self.hooks.iter().filter(|(_, running)| ready(running)).map(|(id, _)| id.clone()).collect();
        for id in due {
            self.start(&id).await;
        }
    }

    async fn start(&mut self, id: &str) {
        let Some(hook) = self.hooks.get(id).map(|running| running.hook.clone()) else { return };
        let next = self.next(&hook).await;
        let Some(running) = self.hooks.get_mut(id) else { return };
        running.due_ms = 0;
        let Next { up_to, done, delivery } = next;
        // Nothing of interest: it is not written down, for it is found again the same way.
        (running.hook.group, running.hook.done) = (up_to, done);
        let Some((delivery, after)) = delivery else { return self.note_place(id).await };
        let Ok(body) = serde_json::to_vec(&delivery) else { return };
        let post = Post {
            signature: running.hook.signature(&body, now_ms()),
            body,
            webhook: running.hook.id.clone(),
            delivery: delivery.delivery,
        };
        running.busy = true;
        let (client, target, id) = (self.client.clone(), running.target.clone(), id.to_owned());
        self.under_way.spawn(async move {
            let result = client.deliver(&target, post).await;
            Done { id, group: up_to, done: after, result }
        });
    }

    /// Writes down how far a webhook is to which little is delivered, so that little is kept for it.
    async fn note_place(&mut self, id: &str) {
        let Some(running) = self.hooks.get(id) else { return };
        if running.hook.group < running.stored.saturating_add(WEBHOOK_NOTED) {
            return;
        }
        let hook = running.hook.clone();
        if self.keep(&hook).await.is_ok()
            && let Some(running) = self.hooks.get_mut(id)
        {
            running.stored = hook.group;
        }
    }

    /// The next thing for a webhook.
    async fn next(&self, hook: &Hook) -> Next {
        if hook.gap {
            let what = [hook.group.to_be_bytes().as_slice(), &u64::from(hook.done).to_be_bytes()].concat();
            let delivery = WebhookDelivery {
                delivery: hook.delivery("gap", &what),
                webhook: hook.id.clone(),
                event: "gap".to_owned(),
                message: None,
            };
            return Next { up_to: hook.group, done: hook.done, delivery: Some((delivery, hook.done)) };
        }
        let (mut group, mut done) = (hook.group, hook.done);
        loop {
            let (store, after) = (self.parts.context.store.clone(), group);
            let read =
                tokio::task::spawn_blocking(move || Some((store.changes(after, 1).ok()?, store.room_numbers().ok()?)));
            let Ok(Some((changes, numbers))) = read.await else {
                return Next { up_to: group, done, delivery: None };
            };
            let numbers: BTreeMap<u32, RoomId> = numbers.into_iter().collect();
            for (at, changed) in (0_u32..).zip(&changes.changed).skip(done as usize) {
                let room = numbers.get(&changed.room).filter(|room| hook.wants(room));
                let Some((room, position)) = room.zip(changed.position) else { continue };
                if let Some(delivery) = self.delivery(hook, *room, position).await {
                    return Next { up_to: group, done: at, delivery: Some((delivery, at.saturating_add(1))) };
                }
            }
            // All of it is done.
            (group, done) = (changes.up_to, 0);
            if !changes.more {
                return Next { up_to: group, done, delivery: None };
            }
        }
    }

    /// What a change is to a webhook; nothing of what is not shown, or can not be read.
    async fn delivery(&self, hook: &Hook, room: RoomId, position: Position) -> Option<WebhookDelivery> {
        let seen = self.parts.rooms.seen(room, vec![position], true).await.ok()?.pop()?;
        if !seen.shown {
            return None;
        }
        let itself = seen.position == position;
        let event = if itself && !seen.message.deleted { "message" } else { "message.updated" };
        let what = if itself && !seen.message.deleted {
            seen.message.message.clone().into_bytes()
        } else {
            serde_json::to_vec(&without_way(&seen.message)).ok()?
        };
        Some(WebhookDelivery {
            delivery: hook.delivery(event, &what),
            webhook: hook.id.clone(),
            event: event.to_owned(),
            message: Some(Box::new(seen.message)),
        })
    }

    async fn on_done(&mut self, done: Done) {
        let now = now_ms();
        let Some(running) = self.hooks.get_mut(&done.id) else { return };
        running.busy = false;
        let became = match &done.result {
            Ok(()) => {
                running.hook.gap = false;
                // It may have been moved on meanwhile, past what was thrown away.
                if running.hook.group == done.group {
                    running.hook.done = done.done;
                }
                running.hook.took()
            }
            Err(refused) => {
                tracing::debug!(webhook = %done.id, target = %running.target, why = %refused.why, "a delivery was not taken");
                let became = running.hook.failed(&refused.why, refused.gone, now);
                running.due_ms = now.saturating_add(running.hook.pause_ms(rand::random()));
                became
            }
        };
        let hook = running.hook.clone();
        match self.keep(&hook).await {
            Ok(()) => {
                if let Some(running) = self.hooks.get_mut(&done.id) {
                    running.stored = hook.group;
                }
            }
            // It is delivered once more after a crash.
            Err(problem) => tracing::warn!(%problem, "how far a webhook is could not be kept"),
        }
        if became != Became::Same {
            if became == Became::Disabled {
                tracing::warn!(webhook = %done.id, "a webhook is given up");
            }
            self.tell(&done.id);
        }
        debug_assert!(became != Became::Disabled || hook.state() == WebhookState::Disabled, "they say the same");
    }
}

/// A message without how far it is on its way: that changes, and is no news of the message.
fn without_way(message: &Message) -> Message {
    let mut plain = message.clone();
    (plain.status, plain.reason) = (MessageStatus::Delivered, None);
    (plain.delivered_to, plain.read_by, plain.recipients) = (0, 0, 0);
    plain
}
