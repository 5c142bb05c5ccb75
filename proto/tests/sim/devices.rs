//! Accounts of several devices: nodes that are another one's, and devices that are brought into the room and revoked.

use std::sync::Arc;

use parlor_proto::control::{AccountUpdate, NewDevice};
use parlor_proto::identity::Identity;
use rand::RngExt as _;

use crate::node::Node;

impl Node {
    /// It is a further device of the account of `owner`.
    pub(crate) fn belong_to(&mut self, owner: &Self) {
        let number = 100 + self.index as u64;
        let device = owner
            .root
            .as_ref()
            .and_then(|root| Identity::add_device(root, "phone", number, 1_700_000_000_000, &mut self.fork_rng()).ok());
        self.me = Arc::new(device.expect("nobody hostile has several"));
        self.root = None;
        self.start(0);
    }

    /// Brings another device into its account, or revokes one that it brought.
    pub(crate) fn change_devices(&mut self, now_ms: u64) {
        let Some(root) = self.root.take() else { return };
        let mut rng = self.fork_rng();
        let gone = rng.random_bool(0.5).then(|| self.pads.pop()).flatten();
        if let Some(pad) = gone {
            let device = pad.device();
            self.change(now_ms, |room, now, rng| room.revoke_device(&device, &root.root_key(0), now, rng));
            // It may be refused: who has it is told by the room.
            self.pads.insert(0, pad);
        } else {
            let pad = Identity::add_device(&root, "pad", rng.random(), now_ms, &mut rng).expect("a short name");
            let devices = vec![NewDevice::sign(pad.signing_key(), pad.entrant())];
            self.pads.push(pad);
            self.change(now_ms, |room, now, _| {
                room.update_account(AccountUpdate { devices, revokes: Vec::new() }, now)
            });
        }
        self.root = Some(root);
    }
}
