//! What a room keeps beside its events fits in one value of a store, whatever its members write.

use crate::event::{MESSAGE_KIND, MessageHeader};
use crate::hlc::Hlc;
use crate::ids::{DeviceId, EpochId, EventId};
use crate::limits;
use crate::room::late::Late;
use crate::room::messages::Messages;
use parlor_crypto::epoch::SenderChain;
use parlor_crypto::secret::Secret;

fn id(number: u32, of: u8) -> [u8; 32] {
    let mut bytes = [of; 32];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The first message of a device, with these parents.
fn first(number: u32, parents: Vec<EventId>) -> MessageHeader {
    MessageHeader {
        v: limits::VERSION,
        suite: limits::SUITE,
        kind: MESSAGE_KIND,
        device: DeviceId(id(number, 1)),
        seq: 1,
        prev: EventId::ZERO,
        parents,
        control: Vec::new(),
        hlc: Hlc::ZERO.next(u64::from(number) + 1).unwrap(),
        epoch: EpochId([0; 16]),
        slice: 0,
        generation: 0,
        salt: [0; 16],
        payload_len: 0,
        payload_hash: [0; 32],
    }
}

fn take(messages: &mut Messages, number: u32, parents: Vec<EventId>) {
    let header = first(number, parents);
    messages.take(EventId(id(number, 2)), &header, header.device, None, false);
}

#[test]
fn the_ends_of_any_number_of_logs_fit_in_one_value_and_the_latest_are_kept() {
    let mut messages = Messages::new();
    for number in 0..5_000 {
        take(&mut messages, number, Vec::new());
    }
    assert!(messages.heads().contains(&EventId(id(4_999, 2))) && messages.closed().contains(&EventId(id(4_999, 2))));
    assert!(messages.heads().len() <= limits::MAX_HEADS);
    // With as many missing parents, open messages and branches as there may be.
    for number in 5_000..7_000 {
        let parents = (0..8).map(|parent| EventId(id(8 * number + parent, 3))).collect();
        take(&mut messages, number, parents);
    }
    let mut branch = 0;
    while messages.branches().count_all() + 2 <= limits::MAX_PATHS {
        let device = DeviceId(id(branch, 1));
        let (next, first) = (EventId(id(branch, 4)), EventId(id(branch, 5)));
        messages.branches_mut().begin(device, &device, (1 << 40, EventId(id(branch, 6))), next, first);
        branch += 1;
    }
    let bytes = messages.to_bytes();
    assert!(bytes.len() < limits::MAX_VALUE, "{} bytes", bytes.len());
    assert!(Messages::restore(&bytes, []).is_some());
}

#[test]
fn as_many_chains_of_one_epoch_as_are_kept_fit_in_one_value() {
    let mut late = Late::default();
    let epoch = EpochId([7; 16]);
    for number in 0..limits::MAX_LATE_CHAINS {
        let device = DeviceId(id(u32::try_from(number).unwrap(), 1));
        let chain = SenderChain::from_secret(limits::MAX_GEN, Secret::new([3; 32])).unwrap();
        late.keep(epoch, u32::MAX - 1, device, chain, 0);
    }
    late.expire(0);
    let row = late.row(&epoch).unwrap();
    assert!(row.len() < limits::MAX_VALUE, "{} bytes", row.len());
}
