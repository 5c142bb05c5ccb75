//! Whether a backup can be restored: reads all of it, as restoring does, and makes nothing.

use std::io::Read;
use std::sync::Arc;

use parlor_api::Problem;
use parlor_crypto::SigningKey;
use parlor_proto::RoomId;
use parlor_proto::event::Event;
use parlor_proto::identity::Identity;
use parlor_proto::room::{Room, RoomParts, StoredKeys};
use parlor_storage::{HEADS, Namespace};
use zeroize::Zeroizing;

use super::fill::{kind_of, unrestorable};
use super::logs::Logs;
use super::record::{Counts, Head, Record, Said};
use super::restore::begin;
use super::stream::Reader;
use super::{BackupKey, damaged};
use crate::account::rng;
use crate::bus::rfc3339;
use crate::clock::now_ms;
use crate::services::rooms::FORK;

/// What a backup is of.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Account id.
    pub account: String,
    /// The device that made it.
    pub device: String,
    /// Name of the account.
    pub name: String,
    /// When it was made, RFC 3339.
    pub made_at: String,
    /// What is in it.
    pub counts: Counts,
}

/// Reads a backup to its end. Blocks, for as long as that takes.
///
/// # Errors
/// `wrong_passphrase`, `passphrase_needed`, `backup_damaged`: what restoring it would say.
pub fn verify_backup(from: impl Read, key: &BackupKey) -> Result<Checked, Problem> {
    let (mut reader, head) = begin(from, key)?;
    let mut checking = Checking { me: Arc::new(device(&head)?), room: None, counts: Counts::default() };
    checking.all(&mut reader)?;
    Ok(Checked {
        account: checking.me.account().to_string(),
        device: head.device.to_string(),
        name: head.name,
        made_at: rfc3339(head.made_ms),
        counts: checking.counts,
    })
}

/// A device as the new one would be.
fn device(head: &Head) -> Result<Identity, Problem> {
    let (root, now) = (SigningKey::from_seed(&head.root), now_ms());
    let made = Identity::add_device_of(head.account, &root, &head.name, now, now, &mut rng());
    made.map_err(|_| damaged("the keys of the account do not belong together"))
}

/// A backup that is being read.
struct Checking {
    me: Arc<Identity>,
    room: Option<OfRoom>,
    counts: Counts,
}

/// The room that is being read.
struct OfRoom {
    id: RoomId,
    /// Up to the first message.
    parts: Option<RoomParts>,
    logs: Logs,
}

impl Checking {
    fn all(&mut self, reader: &mut Reader<impl Read>) -> Result<(), Problem> {
        loop {
            match reader.next()? {
                Some(Record::Head(_)) | None => return Err(damaged("it says no end")),
                Some(Record::End(told)) => {
                    self.end_room()?;
                    let is_last = reader.next()?.is_none();
                    return match is_last && told == self.counts {
                        true => Ok(()),
                        false => Err(damaged("it holds something else than it says")),
                    };
                }
                Some(Record::Room { id, .. }) => {
                    self.end_room()?;
                    self.counts.rooms += 1;
                    let (heads, keys) = (Vec::new(), StoredKeys::default());
                    let parts = RoomParts { room: id, control: Vec::new(), tips: Vec::new(), heads, keys };
                    self.room = Some(OfRoom { id, parts: Some(parts), logs: Logs::default() });
                }
                Some(Record::Value { namespace, key, value }) => self.value(namespace, key, value)?,
                Some(Record::Control(bytes)) => {
                    self.counts.control += 1;
                    take(self.parts()?, &bytes)?;
                }
                Some(Record::Message(said)) => self.message(*said)?,
            }
        }
    }

    fn parts(&mut self) -> Result<&mut RoomParts, Problem> {
        let parts = self.room.as_mut().and_then(|room| room.parts.as_mut());
        parts.ok_or_else(|| damaged("a control event is of no room"))
    }

    fn value(&mut self, namespace: u8, key: Vec<u8>, value: Vec<u8>) -> Result<(), Problem> {
        let namespace = kind_of(namespace, self.room.is_some())?;
        self.counts.contacts += u64::from(namespace == Namespace::Contact);
        let Some(parts) = self.room.as_mut().and_then(|room| room.parts.as_mut()) else { return Ok(()) };
        match namespace {
            Namespace::Keys => drop(parts.keys.insert(key, Zeroizing::new(value))),
            Namespace::Meta if key == HEADS => parts.heads = value,
            Namespace::Meta if key.starts_with(FORK) => take(parts, &value)?,
            _ => {}
        }
        Ok(())
    }

    /// The control events of a room are there: whether it can be made of them.
    fn begin_room(&mut self) -> Result<(), Problem> {
        let Some(mut parts) = self.room.as_mut().and_then(|room| room.parts.take()) else { return Ok(()) };
        // Ancestors before descendants; those of forked logs came among the values.
        parts.control.sort_by_key(|event| event.control().map(|header| header.lamport));
        let id = parts.room;
        Room::restore(self.me.clone(), parts).map(|_| ()).map_err(|error| unrestorable(&id, &error))
    }

    fn message(&mut self, said: Said) -> Result<(), Problem> {
        self.begin_room()?;
        let room = self.room.as_mut().ok_or_else(|| damaged("a message is of no room"))?;
        Event::decode(&room.id, &said.bytes).map_err(|_| damaged("a message is none"))?;
        self.counts.messages += 1;
        room.logs.take(said).map(|_| ())
    }

    fn end_room(&mut self) -> Result<(), Problem> {
        self.begin_room()?;
        self.room.as_ref().map_or(Ok(()), |room| room.logs.end())
    }
}

/// Takes a control event.
fn take(parts: &mut RoomParts, bytes: &[u8]) -> Result<(), Problem> {
    parts.control.push(Event::decode(&parts.room, bytes).map_err(|_| damaged("a control event is none"))?);
    Ok(())
}
