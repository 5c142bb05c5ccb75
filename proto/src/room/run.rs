//! Which events of a batch are authentic.
//!
//! An id covers the header, and the header names the id before it, so a valid signature vouches for the whole run of its
//! log below it. Only the last event of a run is verified; if its copy is bad, the one before is verified, and so on
//! down. A run of any length that nobody tampered with costs one signature check.

use std::collections::HashMap;

use parlor_crypto::PublicKey;

use crate::event::{Event, EventError, LogId};
use crate::ids::{DeviceId, RoomId};

/// The parsed keys of devices: parsing costs a tenth of a verification.
pub(super) type KeyCache = super::cache::Cache<DeviceId, PublicKey>;

/// For each event of the batch whether it is authentic. `waiting` says whether an authentic event that waits names it as
/// its `prev`.
pub(super) fn authentic(
    room: &RoomId,
    batch: &[Event],
    keys: &mut KeyCache,
    waiting: impl Fn(&Event) -> bool,
) -> Vec<bool> {
    let mut good = vec![false; batch.len()];
    let mut logs: HashMap<LogId, Vec<usize>> = HashMap::new();
    for (at, event) in batch.iter().enumerate() {
        logs.entry(event.log()).or_default().push(at);
    }
    for places in logs.values_mut() {
        places.sort_by_key(|at| batch[*at].seq());
        // From the end down: an event that a good one names as its `prev` is good.
        let mut vouched = None;
        for at in places.iter().rev() {
            let event = &batch[*at];
            good[*at] = vouched == Some(event.id()) || verify(room, event, keys).is_ok() || waiting(event);
            if good[*at] {
                vouched = Some(event.prev());
            }
        }
    }
    good
}

fn verify(room: &RoomId, event: &Event, keys: &mut KeyCache) -> Result<(), EventError> {
    let device = event.device();
    if let Some(key) = keys.get_mut(&device) {
        return event.verify_by(room, key);
    }
    let key = PublicKey::parse(device.as_bytes()).map_err(|_| EventError::Signature)?;
    keys.put(device, key);
    event.verify_by(room, &key)
}
