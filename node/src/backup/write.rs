//! Writing a backup from the store of a running node.

use std::collections::HashSet;

use parlor_api::{Code, Problem};
use parlor_crypto::Secret;
use parlor_crypto::account::Inception;
use parlor_crypto::backup::phrase_key;
use parlor_crypto::phrase;
use parlor_crypto::vault::Unlock;
use parlor_proto::event::Event;
use parlor_proto::{DeviceId, EventId, RoomId};
use parlor_storage::{ControlRow, HEADS, KeyValue, Namespace, ReadError, Store, Tip};

use super::BackupKey;
use super::record::{Counts, FORMAT, Head, Record, Said};
use super::stream::{Sink, Writer};
use crate::limits::BACKUP_ROWS;
use crate::services::attention::SETTINGS;
use crate::services::mailboxes::KEPT;
use crate::services::rooms::FORK;

/// Of what a backup is made.
pub(crate) struct Source {
    pub(crate) store: Store,
    pub(crate) account: Inception,
    pub(crate) device: DeviceId,
    pub(crate) name: String,
    pub(crate) root: Secret,
    pub(crate) locked: bool,
    pub(crate) config: String,
    pub(crate) now_ms: u64,
}

/// Values of a room that another device takes over. Not: what waits to be sent, which the device that wrote it sends; invites, which
/// it watches; what concerns files that are here.
pub(super) const OF_ROOMS: [Namespace; 4] = [Namespace::Meta, Namespace::Keys, Namespace::Marker, Namespace::Peer];

/// Values of no room that it takes over wholly, among them where members were reached last: without a relay nothing else leads to them.
/// Of the settings it takes some. Not: tokens, webhooks and what else this home is for.
pub(super) const OF_NONE: [Namespace; 5] =
    [Namespace::Contact, Namespace::Group, Namespace::Profile, Namespace::Portrait, Namespace::Peer];

/// Writes a backup. Blocks.
///
/// # Errors
/// `wrong_passphrase` for the recovery phrase of another account; `home_damaged`; what the sink says.
pub(crate) fn write(source: &Source, key: &BackupKey, to: &mut dyn Sink) -> Result<Counts, Problem> {
    let words;
    let with = match key {
        BackupKey::Passphrase(text) => Unlock::Passphrase(text),
        BackupKey::Recovery(text) => {
            words = words_key(text, Some(&source.account))?;
            Unlock::KeyFile(&words)
        }
    };
    let mut to = Writer::begin(with, to)?;
    to.write(&Record::Head(Box::new(Head {
        format: FORMAT,
        made_ms: source.now_ms,
        account: source.account,
        device: source.device,
        name: source.name.clone(),
        root: source.root.clone(),
        locked: source.locked,
        config: source.config.clone(),
    })))?;
    let mut counts = Counts::default();
    for namespace in OF_NONE {
        let rows = source.store.scan(None, namespace, &[]).map_err(unread)?;
        counts.contacts += if namespace == Namespace::Contact { rows.len() as u64 } else { 0 };
        values(&mut to, namespace, rows)?;
    }
    let settings = source.store.get(None, Namespace::Meta, SETTINGS).map_err(unread)?;
    values(&mut to, Namespace::Meta, settings.map(|row| (SETTINGS.to_vec(), row)))?;
    for (room, record) in source.store.rooms().map_err(unread)? {
        counts.rooms += 1;
        write_room(&source.store, room, record, &mut to, &mut counts)?;
    }
    to.write(&Record::End(counts))?;
    to.end()?;
    Ok(counts)
}

/// What the recovery phrase opens, if it is of this account.
pub(super) fn words_key(text: &str, account: Option<&Inception>) -> Result<Secret, Problem> {
    let seed = phrase::parse(text)
        .map_err(|error| Problem::new(Code::BadRequest, format!("the recovery phrase can not be used: {error}")))?;
    if account.is_some_and(|account| seed.inception() != *account) {
        return Err(Problem::new(Code::WrongPassphrase, "this is the recovery phrase of another account"));
    }
    Ok(phrase_key(&seed))
}

fn values(
    to: &mut Writer<'_>,
    namespace: Namespace,
    rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
) -> Result<(), Problem> {
    let mut rows = rows.into_iter();
    rows.try_for_each(|(key, value)| to.write(&Record::Value { namespace: namespace as u8, key, value }))
}

/// Writes a room. What is read earlier may be older than what is read later and never newer: each event stands on what was written
/// before it.
fn write_room(
    store: &Store,
    room: RoomId,
    record: Vec<u8>,
    to: &mut Writer<'_>,
    counts: &mut Counts,
) -> Result<(), Problem> {
    let heads = store.get(Some(&room), Namespace::Meta, HEADS).map_err(unread)?;
    let tips = store.tips(&room).map_err(unread)?.message;
    let (mut found, control) = read_control(store, room)?;
    for (namespace, rows) in &mut found {
        if *namespace == Namespace::Meta {
            rows.retain(|(key, _)| key != HEADS && key != KEPT);
            rows.extend(heads.iter().map(|heads| (HEADS.to_vec(), heads.clone())));
        }
    }
    to.write(&Record::Room { id: room, record })?;
    for (namespace, rows) in found {
        values(to, namespace, rows)?;
    }
    for row in control {
        counts.control += 1;
        to.write(&Record::Control(row.bytes))?;
    }
    // What came since it was begun is left for the next one.
    tips.into_iter().try_for_each(|tip| write_log(store, &room, tip, to, counts))
}

/// Writes the messages of a log in its order: that in which they are shown goes by clocks, and those of an author may go back.
fn write_log(store: &Store, room: &RoomId, tip: Tip, to: &mut Writer<'_>, counts: &mut Counts) -> Result<(), Problem> {
    let mut next = 1;
    while next <= tip.seq {
        let rows = store.walk_log(room, &tip.device, next, BACKUP_ROWS).map_err(unread)?;
        let Some((last, _)) = rows.last() else {
            return Err(crate::home_damaged("a log is shorter than it says"));
        };
        next = last.seq + 1;
        for (row, aside) in rows.into_iter().filter(|(row, _)| row.seq <= tip.seq) {
            counts.messages += 1;
            to.write(&Record::Message(Box::new(Said::of(row, aside))))?;
        }
    }
    Ok(())
}

/// Values of a room by their namespaces.
pub(super) type Values = Vec<(Namespace, Vec<KeyValue>)>;

/// The values of a room with its control events. Events of forked logs are among the values, and stand on others as others stand on
/// them: of what came while both were read only that is taken which stands on nothing that was missed.
fn read_control(store: &Store, room: RoomId) -> Result<(Values, Vec<ControlRow>), Problem> {
    let before = store.tips(&room).map_err(unread)?.control;
    let scan = |namespace| Ok((namespace, store.scan(Some(&room), namespace, &[]).map_err(unread)?));
    let mut values: Values = OF_ROOMS.into_iter().map(scan).collect::<Result<_, Problem>>()?;
    let mut control = store.control(&room).map_err(unread)?;
    if store.tips(&room).map_err(unread)?.control != before {
        let whole = whole(room, &values, &control)?;
        let is_whole = |key: &[u8]| key.strip_prefix(FORK).is_none_or(|id| whole.contains(id));
        values.iter_mut().filter(|(namespace, _)| *namespace == Namespace::Meta).for_each(|(_, rows)| {
            rows.retain(|(key, _)| is_whole(key));
        });
        control.retain(|row| whole.contains(row.id.as_bytes().as_slice()));
    }
    Ok((values, control))
}

/// Of these control events those of which everything they stand on is among them, too.
pub(super) fn whole(room: RoomId, values: &Values, control: &[ControlRow]) -> Result<HashSet<Vec<u8>>, Problem> {
    let of_meta = values.iter().filter(|(namespace, _)| *namespace == Namespace::Meta).flat_map(|(_, rows)| rows);
    let forks = of_meta.filter(|(key, _)| key.starts_with(FORK)).map(|(_, bytes)| bytes);
    let mut events = Vec::with_capacity(control.len());
    for bytes in control.iter().map(|row| &row.bytes).chain(forks) {
        let event = Event::decode(&room, bytes).map_err(|error| crate::home_damaged(error.to_string()))?;
        events.extend(event.control().map(|header| (event.id(), header.clone())));
    }
    // What is stood on before what stands on it.
    events.sort_by_key(|(_, header)| header.lamport);
    let mut whole = HashSet::new();
    for (id, header) in events {
        let mut below = header.parents.iter().chain([&header.prev]).filter(|id| **id != EventId::ZERO);
        if below.all(|id| whole.contains(id.as_bytes().as_slice())) {
            whole.insert(id.as_bytes().to_vec());
        }
    }
    Ok(whole)
}

fn unread(error: ReadError) -> Problem {
    match error {
        ReadError::Closed => Problem::of(Code::Stopping),
        other => crate::home_damaged(other.to_string()),
    }
}
