//! What is told of devices: this one, others of the account, and those of people who were verified.

use parlor_api::{Finding, Level};

use super::facts::Facts;
use super::rules::{counted, named, told};
use crate::count::count;

/// This device was revoked or copied, or somebody's devices changed.
pub(super) fn device(facts: &Facts) -> Vec<Finding> {
    let cloned = facts.rooms.iter().filter(|room| room.cloned).map(|room| {
        let text = format!(
            "this device was copied and both copies have written in {}: it writes nothing there any more",
            room.name
        );
        let hint = "run one copy of a home only; with a new home you can be invited again";
        named(&room.name, told("device_cloned", Level::Problem, text, hint))
    });
    let changed = facts.changed.iter().map(|name| {
        let text = format!("a new device came to {name}, whom you had verified");
        let hint = "compare safety numbers again: parlor contact verify WHO";
        named(name, told("devices_changed", Level::Warning, text, hint))
    });
    let revoked = facts.revoked.then(|| {
        let text = "this device was revoked by another one of your account: in its rooms it reads nothing new, and nobody takes what it writes there";
        let hint = "if that was not you, somebody has your account: tell the people you write with; what it holds can be saved with: parlor export ROOM --out FILE";
        told("device_revoked", Level::Problem, text, hint)
    });
    let text = |name| format!("a device came to your account that this one did not make: {name}");
    let hint = "is it yours? parlor device confirm DEVICE; if not, somebody has your recovery phrase or a backup: parlor device revoke DEVICE";
    let new = facts.own_new.iter().map(|name| named(name, told("device_new", Level::Problem, text(name), hint)));
    let half = facts.half_revoked.iter().map(|(name, n)| {
        let rooms = count(*n, "room", "rooms");
        let text = format!("{name} was revoked by another device of yours, which is not in {rooms} where it reads on");
        let finding = told("device_still_in", Level::Problem, text, "revoke it there too: parlor device revoke DEVICE");
        counted(*n, named(name, finding))
    });
    revoked.into_iter().chain(half).chain(new).chain(cloned).chain(changed).collect()
}
