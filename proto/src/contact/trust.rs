//! Trust: that a person was verified, and whether his devices changed since.

use serde::{Deserialize, Serialize};

use crate::ids::DeviceId;

/// Most devices remembered of one account: more only a hostile one has, and then the oldest of them are enough to warn.
const MAX_DEVICES: usize = 64;

/// What we know of somebody's devices, and whether we compared safety numbers.
///
/// The number belongs to the account, the devices to whoever holds its root key. Somebody who stole that can add one of
/// his own: therefore a device that comes after the comparison is told loudly, and stays marked until people compare again.
/// A device that goes is no danger and is not told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    verified_ms: Option<u64>,
    changed_ms: Option<u64>,
    /// Ascending.
    devices: Vec<DeviceId>,
}

impl Trust {
    /// Notes devices of the account. Whether a new one came after it was verified: warn.
    pub fn see(&mut self, devices: &[DeviceId], now_ms: u64) -> bool {
        let mut new = false;
        for device in devices {
            let Err(place) = self.devices.binary_search(device) else { continue };
            new = true;
            if self.devices.len() < MAX_DEVICES {
                self.devices.insert(place, *device);
            }
        }
        let warn = new && self.verified_ms.is_some() && self.changed_ms.is_none();
        if warn {
            self.changed_ms = Some(now_ms);
        }
        warn
    }

    /// The safety number was compared: the devices known now are trusted.
    pub fn verify(&mut self, now_ms: u64) {
        self.verified_ms = Some(now_ms);
        self.changed_ms = None;
    }

    /// Takes the mark back.
    pub fn forget(&mut self) {
        self.verified_ms = None;
        self.changed_ms = None;
    }

    /// When it was verified; `None` if it was not. Stays, whatever the devices do.
    pub fn verified_ms(&self) -> Option<u64> {
        self.verified_ms
    }

    /// When the first device came that was not there when it was verified.
    pub fn changed_ms(&self) -> Option<u64> {
        self.changed_ms
    }

    /// Whether it is verified and nothing changed since.
    pub fn holds(&self) -> bool {
        self.verified_ms.is_some() && self.changed_ms.is_none()
    }

    /// The devices that were seen, ascending.
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices(all: &[u8]) -> Vec<DeviceId> {
        all.iter().map(|n| DeviceId([*n; 32])).collect()
    }

    #[test]
    fn a_device_that_comes_after_the_comparison_is_told_once_and_stays_marked() {
        let mut trust = Trust::default();
        assert!(!trust.see(&devices(&[1, 2]), 10), "not verified: nothing to warn of");
        assert!(!trust.holds());
        trust.verify(20);
        assert!(trust.holds() && !trust.see(&devices(&[2, 1]), 30), "the same devices");
        assert!(!trust.see(&devices(&[1]), 35), "one less is no danger");
        assert!(trust.see(&devices(&[1, 3]), 40));
        assert!(!trust.holds() && trust.verified_ms() == Some(20) && trust.changed_ms() == Some(40));
        assert!(!trust.see(&devices(&[1, 3, 4]), 50), "told once");
        trust.verify(60);
        assert!(trust.holds() && !trust.see(&devices(&[3, 4]), 70));
        trust.forget();
        assert!(!trust.holds() && !trust.see(&devices(&[5]), 80));
    }

    #[test]
    fn thousands_of_devices_fill_no_memory_and_still_warn() {
        let mut trust = Trust::default();
        let many: Vec<DeviceId> = (0..5_000_u32)
            .map(|n| {
                let mut id = [0; 32];
                id[..4].copy_from_slice(&n.to_be_bytes());
                DeviceId(id)
            })
            .collect();
        trust.see(&many, 1);
        assert_eq!(trust.devices().len(), MAX_DEVICES);
        trust.verify(2);
        assert!(trust.see(&devices(&[0xee]), 3));
    }
}
