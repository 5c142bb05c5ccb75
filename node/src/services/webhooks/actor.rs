//! The task that owns the webhooks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parlor_api::{Code, EventBody, Problem, Webhook, WebhookChanged, WebhookDelivery, WebhookState};
use parlor_crypto::Secret;
use parlor_proto::{RoomId, codec};
use parlor_storage::{Batch, Changed, Namespace, Position};
use tokio::task::JoinSet;

use super::book::{Became, Hook, Place, is_due, not_done, pause_ms};
use super::client::{Client, Post, Refused};
use super::handle::{Command, Floor, Inbox, NewHook};
use super::url::Target;
use crate::account::rng;
use crate::app::Answer;
use crate::bus::rfc3339;
use crate::clock::{now_ms, until};
use crate::limits::{WEBHOOK_BEHIND, WEBHOOK_COUNTED, WEBHOOK_NOTED, WEBHOOK_PAGE, WEBHOOK_READS, WEBHOOKS_MAX};
use crate::services::rooms::{Context, Rooms};

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

/// What waits to be delivered.
enum Next {
    /// Nothing: up to this group all is known to be of no interest, or done.
    Nothing(u64),
    /// This, at this place.
    Delivery(Place, Box<WebhookDelivery>),
    /// The receiver is told that something lacks.
    Gap(WebhookDelivery),
    /// What changed at this place can not be read now; no place: the list of changes can not.
    Unread(Option<Place>, Problem),
}

/// What came of a delivery.
struct Done {
    id: String,
    what: Delivered,
    result: Result<(), Refused>,
}

/// What was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivered {
    /// A change, at this place.
    Change(Place),
    /// That something lacks after this group.
    Gap(u64),
}

struct Running {
    hook: Hook,
    target: Target,
    /// Its place as it is on the disk: what comes after it is not thrown away.
    stored: u64,
    /// Not tried before.
    due_ms: u64,
    /// How often what comes next could not be read.
    unread: u32,
    busy: bool,
}

impl Running {
    fn new(hook: Hook, target: Target) -> Self {
        Self { stored: hook.group, hook, target, due_ms: 0, unread: 0, busy: false }
    }
}

struct Actor {
    parts: Parts,
    client: Client,
    hooks: BTreeMap<String, Running>,
    under_way: JoinSet<Done>,
}

/// Runs the service until its handles are gone.
pub(crate) async fn run(parts: Parts, inbox: Inbox) {
    let Inbox { mut commands, hooks } = inbox;
    let mut changes = parts.context.store.watch();
    let client = tokio::task::spawn_blocking(Client::new).await;
    let Ok(client) = client else { return };
    let hooks = hooks.into_iter().filter_map(with_target).collect();
    let mut actor = Actor { parts, client, hooks, under_way: JoinSet::new() };
    loop {
        // First what is lost: nothing is delivered of what stands after it before the receiver was told.
        actor.set_floor().await;
        actor.start_due().await;
        let waits = actor.hooks.values().filter(|running| !running.busy && !running.hook.disabled);
        let due = waits.map(|running| running.due_ms).filter(|due| *due > 0).min();
        let sleep = due.map_or(LOOK, until).min(LOOK);
        tokio::select! {
            command = commands.recv() => match command {
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

/// A stored webhook with where it leads; `None` if that is no address any more.
fn with_target(hook: Hook) -> Option<(String, Running)> {
    let target = Target::parse(&hook.url);
    let target =
        target.inspect_err(|_| tracing::error!(webhook = %hook.id, "the address of a webhook can not be read"));
    Some((hook.id.clone(), Running::new(hook, target.ok()?)))
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

    /// Lets go of what no webhook needs. Who is too far behind, or was given up, is told later that something lacks; that is on the
    /// disk before anything is thrown away.
    async fn set_floor(&mut self) {
        let last = self.last_group();
        let least = last.saturating_sub(WEBHOOK_BEHIND);
        let needed = self.hooks.values().filter(|running| !running.hook.disabled).map(|running| running.stored);
        let floor = needed.min().map_or(last, |group| group.max(least));
        let behind =
            self.hooks.values().filter(|running| running.hook.group < floor).map(|running| running.hook.clone());
        for mut hook in behind.collect::<Vec<_>>() {
            let known = hook.gap;
            hook.lose_up_to(floor);
            // Where it is known already that something lacks, how much is not: that is worked out again after a start.
            if !known && let Err(problem) = self.keep(&hook).await {
                return tracing::warn!(%problem, "that a webhook lost something could not be kept");
            }
            if let Some(running) = self.hooks.get_mut(&hook.id) {
                (running.stored, running.hook) = (floor, hook);
            }
        }
        self.parts.floor.set(floor);
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
        let (id, secret) = (format!("{:016x}", rand::random::<u64>()), Secret::random(&mut rng()));
        let last = self.last_group();
        let hook = Hook { rooms: new.rooms, ..Hook::new(id, name.to_owned(), new.url, secret, now_ms(), last) };
        self.keep(&hook).await?;
        let view = hook.view((0, false), None, true);
        self.hooks.insert(hook.id.clone(), Running::new(hook, target));
        Ok(view)
    }

    async fn list(&self) -> Answer<Vec<Webhook>> {
        let mut all = Vec::new();
        for running in self.hooks.values() {
            let waits = self.waits(&running.hook).await;
            let mut view = running.hook.view(waits, Some(running.due_ms), false);
            if running.unread > 0 && view.state == WebhookState::Working {
                view.state = WebhookState::Failing;
                view.last_error = Some("what it is to be told of can not be read".to_owned());
                view.next_attempt = Some(rfc3339(running.due_ms));
            }
            all.push((running.hook.made_ms, view));
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
        let Ok(Some((changes, numbers))) = read.await else { return (0, true) };
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
        let ready = |running: &Running| !running.busy && !running.hook.disabled && is_due(running.due_ms, now);
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
        let (what, delivery) = match next {
            // It is not written down, for it is found again the same way.
            Next::Nothing(up_to) => {
                (running.hook.group, running.hook.done, running.unread) = (up_to, 0, 0);
                return self.note_place(id).await;
            }
            Next::Unread(place, problem) => return self.unread(id, place, &problem).await,
            Next::Gap(delivery) => (Delivered::Gap(running.hook.group), delivery),
            Next::Delivery(place, delivery) => {
                running.hook.move_to(place);
                (Delivered::Change(place), *delivery)
            }
        };
        running.unread = 0;
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
            Done { id, what, result }
        });
    }

    /// What changed could not be read: nothing is passed over without a word. It is tried again; and when that does not help, the
    /// receiver is told that something lacks.
    async fn unread(&mut self, id: &str, place: Option<Place>, problem: &Problem) {
        let last = self.last_group();
        let Some(running) = self.hooks.get_mut(id) else { return };
        running.unread = running.unread.saturating_add(1);
        tracing::warn!(webhook = %id, %problem, "what a webhook is to be told of can not be read");
        if running.unread >= WEBHOOK_READS {
            match place {
                Some(place) => running.hook.pass_over(place),
                None => running.hook.lose_up_to(last),
            }
            running.unread = 0;
            let hook = running.hook.clone();
            if let Err(problem) = self.keep(&hook).await {
                tracing::warn!(%problem, "how far a webhook is could not be kept");
            }
        }
        if let Some(running) = self.hooks.get_mut(id) {
            running.due_ms = now_ms().saturating_add(pause_ms(running.unread));
        }
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
            return Next::Gap(WebhookDelivery {
                delivery: hook.delivery("gap", &what),
                webhook: hook.id.clone(),
                event: "gap".to_owned(),
                message: None,
            });
        }
        let (mut group, mut done) = (hook.group, hook.done);
        loop {
            let (store, after) = (self.parts.context.store.clone(), group);
            let read = tokio::task::spawn_blocking(move || {
                Some((store.changes(after, WEBHOOK_PAGE).ok()?, store.room_numbers().ok()?))
            });
            let Ok(Some((changes, numbers))) = read.await else {
                return Next::Unread(None, Problem::of(Code::Internal));
            };
            let numbers: BTreeMap<u32, RoomId> = numbers.into_iter().collect();
            for (place, changed) in not_done(done, &changes.changed) {
                let room = numbers.get(&changed.room).filter(|room| hook.wants(room));
                let Some((room, position)) = room.zip(changed.position) else { continue };
                match self.delivery(hook, place, *room, position).await {
                    Ok(Some(delivery)) => return Next::Delivery(place, Box::new(delivery)),
                    Ok(None) => {}
                    Err(problem) => return Next::Unread(Some(place), problem),
                }
            }
            // All of it is done.
            (group, done) = (changes.up_to, 0);
            if !changes.more {
                return Next::Nothing(group);
            }
        }
    }

    /// What a change is to a webhook; nothing of what is not shown, is not there any more, or says nothing.
    async fn delivery(
        &self,
        hook: &Hook,
        place: Place,
        room: RoomId,
        position: Position,
    ) -> Answer<Option<WebhookDelivery>> {
        let seen = match self.parts.rooms.seen(room, vec![position], true).await {
            Err(problem) if problem.code == Code::RoomNotFound => return Ok(None),
            seen => seen?.pop(),
        };
        let Some(seen) = seen.filter(|seen| seen.shown) else { return Ok(None) };
        let itself = seen.position == position && !seen.message.deleted;
        let event = if itself { "message" } else { "message.updated" };
        let name = match itself {
            true => hook.delivery(event, seen.message.message.as_bytes()),
            false => hook.delivery_at(event, place),
        };
        Ok(Some(WebhookDelivery {
            delivery: name,
            webhook: hook.id.clone(),
            event: event.to_owned(),
            message: Some(Box::new(seen.message)),
        }))
    }

    async fn on_done(&mut self, done: Done) {
        let now = now_ms();
        let Some(running) = self.hooks.get_mut(&done.id) else { return };
        running.busy = false;
        let became = match &done.result {
            Ok(()) => {
                match done.what {
                    Delivered::Change(place) => running.hook.passed(place),
                    Delivered::Gap(group) => running.hook.told_gap(group),
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
