//! What a backup holds, put into the store of a home that is being made.

use std::io::Read;
use std::sync::Arc;

use parlor_api::Problem;
use parlor_proto::RoomId;
use parlor_proto::event::Event;
use parlor_proto::hlc::Hlc;
use parlor_proto::identity::Identity;
use parlor_proto::room::{RestoreError, Room, RoomParts};
use parlor_storage::{Batch, CommitError, ControlRow, MessageRow, Namespace, Store};

use super::damaged;
use super::logs::Logs;
use super::record::{Counts, Key, Record, Said};
use super::stream::Reader;
use super::write::{OF_NONE, OF_ROOMS};
use crate::limits::{BACKUP_ROWS, SPLIT_BYTES};
use crate::services::{groups, profiles, rooms};

/// A store that is being filled.
pub(super) struct Filling<'a> {
    store: &'a Store,
    me: Arc<Identity>,
    room: Option<Filled>,
    batch: Batch,
    rows: usize,
    counts: Counts,
}

/// The room that is being filled.
struct Filled {
    id: RoomId,
    /// From the first message on: tells what is kept beside messages.
    machine: Option<Room>,
    logs: Logs,
}

impl<'a> Filling<'a> {
    pub(super) fn new(store: &'a Store, me: Arc<Identity>) -> Self {
        Self { store, me, room: None, batch: Batch::new(None), rows: 0, counts: Counts::default() }
    }

    /// What was taken so far.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes everything up to the end.
    pub(super) fn all(&mut self, reader: &mut Reader<impl Read>) -> Result<(), Problem> {
        loop {
            match reader.next()? {
                Some(Record::Head(_)) | None => return Err(damaged("it says no end")),
                Some(Record::End(told)) => {
                    self.end_room()?;
                    self.flush()?;
                    if told != self.counts {
                        return Err(damaged("it holds something else than it says"));
                    }
                    // Only behind the last byte it is known to be whole.
                    return match reader.next()? {
                        None => Ok(()),
                        Some(_) => Err(damaged("something follows its end")),
                    };
                }
                Some(Record::Room { id, record }) => self.begin(id, record)?,
                Some(Record::Value { namespace, key, value }) => self.value(namespace, &key, value)?,
                Some(Record::Control(bytes)) => self.control(&bytes)?,
                Some(Record::Message(said)) => self.message(*said)?,
            }
        }
    }

    fn flush(&mut self) -> Result<(), Problem> {
        let next = Batch::new(self.room.as_ref().map(|room| room.id));
        let batch = std::mem::replace(&mut self.batch, next);
        self.rows = 0;
        if batch.is_empty() {
            return Ok(());
        }
        self.store.commit_blocking(batch).map_err(|error| match error {
            CommitError::Conflict { .. } => damaged("the events of a log do not follow each other"),
            other => crate::services::commit_problem(&other),
        })
    }

    /// Commits what is there, if that is enough.
    fn added(&mut self) -> Result<(), Problem> {
        self.rows += 1;
        if self.rows >= BACKUP_ROWS || self.batch.bytes() >= SPLIT_BYTES { self.flush() } else { Ok(()) }
    }

    fn begin(&mut self, id: RoomId, record: Vec<u8>) -> Result<(), Problem> {
        self.end_room()?;
        self.flush()?;
        self.counts.rooms += 1;
        self.room = Some(Filled { id, machine: None, logs: Logs::default() });
        self.batch = Batch::new(Some(id));
        self.batch.room(record);
        self.added()
    }

    fn end_room(&self) -> Result<(), Problem> {
        self.room.as_ref().map_or(Ok(()), |room| room.logs.end())
    }

    fn value(&mut self, namespace: u8, key: &[u8], mut value: Vec<u8>) -> Result<(), Problem> {
        let namespace = kind_of(namespace, self.room.is_some())?;
        if namespace == Namespace::Group && self.room.is_none() {
            // Whom the other device was about to invite it invites itself.
            let Some(told) = groups::restored(&value) else { return Ok(()) };
            value = told;
        }
        if namespace == Namespace::Profile && self.room.is_none() {
            value = profiles::restored(&value).ok_or_else(|| damaged("the own profile is none"))?;
        }
        self.counts.contacts += u64::from(namespace == Namespace::Contact);
        // A draft may be sent later: nothing of it may outlive that.
        match self.room.is_some() && namespace == Namespace::Meta && key == rooms::DRAFT {
            true => self.batch.put_fading(namespace, key, value),
            false => self.batch.put(namespace, key, value),
        };
        self.added()
    }

    fn control(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let room = self.room.as_ref().filter(|room| room.machine.is_none());
        let id = room.map(|room| room.id).ok_or_else(|| damaged("a control event is of no room"))?;
        let event = Event::decode(&id, bytes).map_err(|_| damaged("a control event is none"))?;
        self.counts.control += 1;
        self.batch.control(ControlRow::of(&event));
        self.added()
    }

    fn message(&mut self, said: Said) -> Result<(), Problem> {
        let id = self.room.as_ref().map(|room| room.id).ok_or_else(|| damaged("a message is of no room"))?;
        if self.room.as_ref().is_some_and(|room| room.machine.is_none()) {
            self.flush()?;
            let machine = machine(self.store, id, self.me.clone())?;
            self.room = Some(Filled { id, machine: Some(machine), logs: Logs::default() });
        }
        let Some(room) = &mut self.room else { return Ok(()) };
        let next = room.logs.take(said)?;
        next.into_iter().try_for_each(|said| self.next(id, said))
    }

    /// Takes a message whose log was taken up to it.
    fn next(&mut self, id: RoomId, said: Said) -> Result<(), Problem> {
        let Some(Filled { machine: Some(machine), .. }) = &self.room else { return Ok(()) };
        let event = Event::decode(&id, &said.bytes).map_err(|_| damaged("a message is none"))?;
        let Said { device, seq, hlc, order, received_ms, key, fades_ms, aside, bytes } = said;
        let row = MessageRow {
            device,
            seq,
            id: event.id(),
            hlc,
            order,
            received_ms,
            covers_own: 0,
            key: key.map(|Key(key)| key),
            bytes,
            fades_ms,
        };
        let body = if row.is_erased() { None } else { rooms::open(&id, &event, &row) };
        let aside = aside || body.as_ref().is_some_and(|body| body.target().is_some());
        self.batch.message(row);
        if aside {
            self.batch.aside(event.id());
        }
        if let Some(body) = &body {
            for remark in machine.remarks(&event, Hlc(order), body) {
                self.batch.remark(remark, fades_ms);
            }
            rooms::note_files(&mut self.batch, &event, body, false);
        }
        self.counts.messages += 1;
        self.added()
    }
}

/// The namespace of a value of a room, or of none.
pub(super) fn kind_of(namespace: u8, of_room: bool) -> Result<Namespace, Problem> {
    let of = |namespaces: &[Namespace]| namespaces.iter().copied().find(|one| *one as u8 == namespace);
    let found = if of_room { of(&OF_ROOMS) } else { of(&OF_NONE).or_else(|| of(&[Namespace::Meta])) };
    found.ok_or_else(|| damaged("a value is of no kind that is backed up"))
}

/// What is stored of a room makes none.
pub(super) fn unrestorable(room: &RoomId, error: &RestoreError) -> Problem {
    damaged(&format!("room {} can not be restored: {error}", room.short()))
}

/// The machine of a room whose control events are in the store, and no message yet.
fn machine(store: &Store, id: RoomId, me: Arc<Identity>) -> Result<Room, Problem> {
    let parts = rooms::stored_parts(store, id)?;
    let restored = Room::restore(me, RoomParts { tips: Vec::new(), ..parts });
    restored.map_err(|error| unrestorable(&id, &error))
}
