//! A storm of rotations (attack 32), with real rooms and real delays.

use std::collections::{BTreeMap, BTreeSet};

use super::reunion::{Plan, Reunion};
use crate::ids::{DeviceId, EpochId};
use crate::limits::ROTATE_EVERY_MS;

#[test]
fn two_hundred_devices_that_meet_again_after_five_removals_make_at_most_three_epochs_beside_those_of_the_removers() {
    let plan = Plan { stay: 200, talks_to: Some(3), ..Plan::default() };
    let made = Reunion::new(1, &plan).meet();
    assert!((1..=3).contains(&made), "{made}");
}

#[test]
fn members_who_rotate_by_hand_again_and_again_change_the_keys_once_an_hour_each_and_nobody_else_makes_any() {
    const HOURS: u64 = 4;
    let end_ms = HOURS * ROTATE_EVERY_MS;
    let plan = Plan { stay: 16, removers: 0, talks_to: Some(3), told: true, end_ms };
    let mut reunion = Reunion::new(2, &plan);
    // One does it every four minutes, which counts once; two as often as it counts.
    reunion.rotates(0, (20_000..end_ms - 20_000).step_by(240_000));
    for who in [1, 2] {
        reunion.rotates(who, (1..HOURS).map(|hour| hour * ROTATE_EVERY_MS + who as u64 * 600_000));
    }
    let mut under: BTreeMap<DeviceId, BTreeSet<EpochId>> = BTreeMap::new();
    reunion.go_on(|person| {
        let epoch = person.room.epoch_status().epoch;
        // Whatever comes, there is one to write under.
        under.entry(person.room.me().device()).or_default().extend(epoch);
        assert!(epoch.is_some());
    });
    reunion.check_same();
    assert_eq!(reunion.made, 0);
    for epochs in under.values() {
        let most = 1 + 1 + 2 * (HOURS as usize - 1);
        assert!((HOURS as usize..=most).contains(&epochs.len()), "{} of {most}", epochs.len());
    }
}
