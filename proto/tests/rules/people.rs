//! The people of all histories, made once: making keys costs more than playing a history.

use std::sync::LazyLock;

use parlor_crypto::Signature;
use parlor_crypto::SigningKey;
use parlor_crypto::account::RootSeed;
use parlor_proto::control::{Entrant, JoinRequest, NewDevice};
use parlor_proto::identity::Identity;
use parlor_proto::{AccountId, DeviceId};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How many accounts there are.
pub(crate) const PEOPLE: usize = 20;
/// Devices of each.
pub(crate) const DEVICES: usize = 3;

pub(crate) struct Person {
    root: RootSeed,
    devices: Vec<Identity>,
}

static ALL: LazyLock<Vec<Person>> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(0x9a71);
    let person = |_| {
        let (root, first) = Identity::create("first", 1, &mut rng).unwrap();
        let more = (1..DEVICES).map(|n| Identity::add_device(&root, "more", n as u64 + 1, 1, &mut rng).unwrap());
        let devices = std::iter::once(first).chain(more.collect::<Vec<_>>()).collect();
        Person { root, devices }
    };
    (0..PEOPLE).map(person).collect()
});

pub(crate) fn person(n: usize) -> &'static Person {
    &ALL[n]
}

impl Person {
    pub(crate) fn account(&self) -> AccountId {
        self.devices[0].account()
    }

    pub(crate) fn device(&self, n: usize) -> DeviceId {
        self.devices[n].device()
    }

    pub(crate) fn key(&self, n: usize) -> &SigningKey {
        self.devices[n].signing_key()
    }

    pub(crate) fn root(&self) -> SigningKey {
        self.root.root_key(0)
    }

    pub(crate) fn entrant(&self, n: usize) -> Entrant {
        self.devices[n].entrant()
    }

    pub(crate) fn papers(&self, n: usize) -> NewDevice {
        NewDevice::sign(self.key(n), self.entrant(n))
    }

    /// A request with signatures that nobody checks here.
    pub(crate) fn request(&self, n: usize, invite_pk: [u8; 32]) -> JoinRequest {
        let none = Signature([0; 64]);
        JoinRequest { invite_pk, entrant: self.entrant(n), nonce: [0; 16], invite_sig: none, device_sig: none }
    }
}
