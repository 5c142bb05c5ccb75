//! The task that owns our own profile.
//!
//! What is changed is durable before it is answered, and before any room tells it. What our other devices told in rooms is
//! looked through when it came, all of it: nothing is lost if a look was missed.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_api::{Code, OwnProfile, Problem, UpdateField, UpdateProfile, Visible};
use parlor_proto::profile::{Audience, Mine, Own, Reach, TextError, picture_hash};
use parlor_proto::{AccountId, codec};
use parlor_storage::{Batch, Namespace, Store};

use super::handle::{Command, Inbox, Kept, OWN, Profiles, audience};
use super::people::Name;
use super::portrait;
use crate::app::Answer;
use crate::clock::now_ms;
use crate::services::commit_problem;
use crate::services::rooms::Rooms;

/// What the task works with.
pub(crate) struct Parts {
    pub(crate) profiles: Profiles,
    pub(crate) rooms: Rooms,
    pub(crate) store: Store,
}

struct Actor {
    profiles: Profiles,
    rooms: Rooms,
    store: Store,
    /// What the user calls his contacts, as last noted.
    petnames: BTreeMap<AccountId, String>,
}

/// Runs until the handles are gone.
pub(crate) async fn run(parts: Parts, mut inbox: Inbox) {
    let Parts { profiles, rooms, store } = parts;
    let mut changes = profiles.contacts().changes();
    let mut actor = Actor { profiles, rooms, store, petnames: BTreeMap::new() };
    actor.note_petnames();
    actor.look().await;
    loop {
        tokio::select! {
            command = inbox.0.recv() => match command {
                Some(command) => actor.on_command(command).await,
                None => return,
            },
            () = actor.profiles.looked_for() => actor.look().await,
            Ok(()) = changes.changed() => {
                actor.note_petnames();
                // Who is a contact decides what is told in the chat with him.
                actor.rooms.profess().await;
            }
        }
    }
}

impl Actor {
    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Update(update, reply) => drop(reply.send(self.update(&update).await)),
            Command::Picture(picture, to, reply) => drop(reply.send(self.set_picture(picture, to).await)),
            Command::Act => {
                let mut own = self.profiles.own().own.clone();
                if own.act(now_ms())
                    && let Err(problem) = self.keep(own, None).await
                {
                    tracing::warn!(%problem, "when the user was seen last could not be noted");
                }
            }
        }
    }

    async fn update(&mut self, update: &UpdateProfile) -> Answer<OwnProfile> {
        let before = self.profiles.own();
        let (mut own, now) = (before.own.clone(), now_ms());
        if let Some(name) = &update.name {
            let to = chosen(&own.name, name.visible);
            own.set_name(value(name), to, now).map_err(wrong)?;
        }
        if let Some(about) = &update.about {
            let to = chosen(&own.about, about.visible);
            own.set_about(value(about), to, now).map_err(wrong)?;
        }
        if let Some(to) = update.picture {
            own.picture.set(None, Some(audience(to)), now);
        }
        if let Some(to) = update.last_seen {
            own.set_seen(audience(to), now);
            own.act(now);
        }
        if own != before.own {
            self.keep(own, None).await?;
        }
        Ok(self.profiles.own_view())
    }

    async fn set_picture(&mut self, picture: Option<Vec<u8>>, to: Option<Visible>) -> Answer<OwnProfile> {
        let made = match picture {
            None => None,
            Some(picture) => {
                let made = tokio::task::spawn_blocking(move || portrait::made_small(&picture)).await;
                Some(made.map_err(|_| Problem::of(Code::Internal))??)
            }
        };
        let mut own = self.profiles.own().own.clone();
        let to = chosen(&own.picture, to);
        if own.picture.set(Some(made.as_deref().map(picture_hash)), to, now_ms()) {
            self.keep(own, Some(made.map(Arc::from))).await?;
        }
        Ok(self.profiles.own_view())
    }

    /// What our other devices told, as far as it is later than what is known here.
    async fn look(&mut self) {
        let before = self.profiles.own();
        let mut own = before.own.clone();
        let mut picture = None;
        for (room, device, told) in self.profiles.own_lines() {
            let reach = if told.direct { Reach::Contact } else { Reach::Room };
            own.name.adopt(&told.content.name, reach);
            own.about.adopt(&told.content.about, reach);
            own.seen.adopt(&told.content.seen, reach);
            let field = told.content.picture.hashed();
            if !own.picture.is_behind(&field, reach) {
                continue;
            }
            // A picture is told by us when we have it, and not before.
            match told.content.picture.value {
                Some(named) if own.picture.value() != Some(&named.hash) => {
                    let store = self.store.clone();
                    let read = move || portrait::told(&store, &room, &device, &named);
                    let Some(bytes) = tokio::task::spawn_blocking(read).await.ok().flatten() else { continue };
                    picture = Some(Some(Arc::from(bytes)));
                }
                Some(_) => {}
                None => picture = Some(None),
            }
            own.picture.adopt(&field, reach);
        }
        if own != before.own
            && let Err(problem) = self.keep(own, picture).await
        {
            tracing::warn!(%problem, "the profile of another device of this account could not be taken over");
        }
    }

    /// Makes it durable, puts it in force, and has the rooms tell it.
    async fn keep(&mut self, own: Own, picture: Option<Option<Arc<[u8]>>>) -> Answer<()> {
        let before = self.profiles.own();
        let mut batch = Batch::new(None);
        batch.put(Namespace::Profile, OWN, codec::encode(&own));
        match &picture {
            Some(Some(bytes)) => drop(batch.put(Namespace::Portrait, OWN, bytes.to_vec())),
            Some(None) => drop(batch.delete(Namespace::Portrait, OWN)),
            None => {}
        }
        self.store.commit(batch).await.map_err(|error| commit_problem(&error))?;
        let picture = picture.unwrap_or_else(|| before.picture.clone());
        self.profiles.put_own(Kept { own, picture, version: before.version + 1 });
        self.rooms.profess().await;
        Ok(())
    }

    fn note_petnames(&mut self) {
        let now = self.profiles.contacts().petnames();
        for account in self.petnames.keys().filter(|account| !now.contains_key(account)) {
            self.profiles.called(*account, Name::User, "");
        }
        for (account, name) in now.iter().filter(|(account, name)| self.petnames.get(account) != Some(*name)) {
            self.profiles.called(*account, Name::User, name);
        }
        self.petnames = now;
    }
}

/// What a text is to be: empty takes it away.
fn value(field: &UpdateField) -> Option<Option<&str>> {
    field.value.as_deref().map(|value| (!value.trim().is_empty()).then_some(value))
}

/// Who may see a field: whoever was said, else whoever could; of what was never set everybody in our rooms.
fn chosen<T: Clone + Ord>(field: &Mine<T>, said: Option<Visible>) -> Option<Audience> {
    let first = (!field.is_set()).then_some(Audience::Rooms);
    said.map(audience).or(first)
}

fn wrong(error: TextError) -> Problem {
    let code = match error {
        TextError::LongName | TextError::LongAbout => Code::TooLong,
        _ => Code::BadRequest,
    };
    let problem = Problem::new(code, error.to_string());
    match error {
        TextError::LongName | TextError::LongAbout => problem.hint("shorten it"),
        TextError::Parenthesis => problem.hint("write it without them"),
        TextError::Nameless => problem.hint("add a letter or a digit"),
        TextError::MixedScript => problem.hint("write each word in the letters of one script"),
        TextError::Hidden => problem.hint("type it anew: what was copied may hold characters that are not seen"),
        _ => problem.hint("parlor profile set --help shows what each field takes"),
    }
}
