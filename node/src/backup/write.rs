//! Writing a backup from the store of a running node.

use std::collections::HashMap;

use parlor_api::{Code, Problem};
use parlor_crypto::Secret;
use parlor_crypto::account::Inception;
use parlor_crypto::backup::phrase_key;
use parlor_crypto::phrase;
use parlor_crypto::vault::Unlock;
use parlor_proto::{DeviceId, RoomId};
use parlor_storage::{ControlRow, HEADS, KeyValue, Namespace, Position, ReadError, Store};

use super::BackupKey;
use super::record::{Counts, FORMAT, Head, Record, Said};
use super::stream::{Sink, Writer};
use crate::limits::BACKUP_ROWS;
use crate::services::attention::SETTINGS;
use crate::services::mailboxes::KEPT;

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

/// Values of no room that it takes over wholly; of the settings it takes some. Not: tokens, webhooks and what else this home is for.
pub(super) const OF_NONE: [Namespace; 4] =
    [Namespace::Contact, Namespace::Group, Namespace::Profile, Namespace::Portrait];

/// How often a room is read that changes meanwhile.
const TRIES: usize = 20;

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
    let tips: HashMap<DeviceId, u64> = tips.into_iter().map(|tip| (tip.device, tip.seq)).collect();
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
    let mut after: Option<Position> = None;
    loop {
        let rows = store.walk_all(&room, after, BACKUP_ROWS).map_err(unread)?;
        let full = rows.len() == BACKUP_ROWS;
        after = rows.last().map(|(row, _)| row.position);
        for (row, aside) in rows {
            // What came since it was begun is left for the next one.
            if tips.get(&row.row.device).is_some_and(|end| row.row.seq <= *end) {
                counts.messages += 1;
                to.write(&Record::Message(Box::new(Said::of(row.row, aside))))?;
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// Values of a room by their namespaces.
type Values = Vec<(Namespace, Vec<KeyValue>)>;

/// The values of a room with its control events. Events of forked logs are among the values, and stand on others as others stand on
/// them: so both are read when no event came between.
fn read_control(store: &Store, room: RoomId) -> Result<(Values, Vec<ControlRow>), Problem> {
    let mut control = store.control(&room).map_err(unread)?;
    for _ in 0..TRIES {
        let scan = |namespace| Ok((namespace, store.scan(Some(&room), namespace, &[]).map_err(unread)?));
        let values: Values = OF_ROOMS.into_iter().map(scan).collect::<Result<_, Problem>>()?;
        let again = store.control(&room).map_err(unread)?;
        if again.len() == control.len() {
            return Ok((values, again));
        }
        control = again;
    }
    Err(Problem::new(Code::Busy, "a room changed again and again while it was read").hint("try again in a moment"))
}

fn unread(error: ReadError) -> Problem {
    match error {
        ReadError::Closed => Problem::of(Code::Stopping),
        other => crate::home_damaged(other.to_string()),
    }
}
