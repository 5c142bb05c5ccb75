//! Rooms full of people.

use std::collections::BTreeSet;

use parlor_api::{RemoveMembers, Role, SetRole};

use crate::nodes::{Crowd, eventually};

/// People in the large room; `PARLOR_CROWD` sets another number: `cargo xtask soak` has 200.
const PEOPLE: usize = 20;

/// People in the room of which five are removed at once; `PARLOR_CROWD_REMOVED` sets another number, 20 at least: `cargo xtask soak`
/// has 50.
const OF_WHOM_FIVE: usize = 20;

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_room_becomes_one_and_the_same_for_everybody() {
    let mut crowd = Crowd::gather(number("PARLOR_CROWD", PEOPLE)).await;
    let all: Vec<usize> = (0..crowd.seats.len()).collect();
    crowd.agree(&all).await;
    crowd.told("all agree on the room");
    // A few write, and everybody reads them.
    let speakers: Vec<usize> = all.iter().copied().step_by(10).collect();
    for seat in &speakers {
        crowd.say(*seat, &format!("{} is here", crowd.seats[*seat].name)).await;
    }
    let wanted: BTreeSet<String> = speakers.iter().map(|seat| format!("{} is here", crowd.seats[*seat].name)).collect();
    for seat in &all {
        eventually("everybody reads what was written", async || (crowd.texts(*seat).await == wanted).then_some(()))
            .await;
    }
    crowd.told("all have read everything");
    let names: BTreeSet<String> = crowd.seats.iter().map(|seat| seat.name.clone()).collect();
    for seat in &all {
        assert_eq!(crowd.members(*seat).await, names);
    }
    crowd.stop_all().await;
}

/// Admins who remove one each.
const REMOVERS: usize = 5;

/// Epochs that all the removals together may cost beside their own.
const EPOCHS_AFTER: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_who_are_removed_at_once_by_five_admins_apart_are_out_for_everybody_once_all_meet() {
    let mut crowd = Crowd::gather(number("PARLOR_CROWD_REMOVED", OF_WHOM_FIVE)).await;
    let all: Vec<usize> = (0..crowd.seats.len()).collect();
    let (admins, gone): (Vec<usize>, Vec<usize>) = ((1..=REMOVERS).collect(), (11..11 + REMOVERS).collect());
    for admin in &admins {
        let wanted = SetRole {
            role: Role::Admin,
            may_invite: false,
            invite_depth: None,
            invite_expires_in: None,
            invite_uses: None,
        };
        let who = format!("@{}", crowd.seats[*admin].name);
        crowd.seats[0].app().set_role(&crowd.room, &who, wanted).await.unwrap();
    }
    crowd.agree(&all).await;
    crowd.told("all agree on the admins");
    let before = crowd.epochs(0).await;
    // Each admin is alone when he removes one of them, and knows of no other removal.
    crowd.stop_all().await;
    for (admin, who) in admins.iter().zip(&gone) {
        crowd.seats[*admin].run().await;
        let who = format!("@{}", crowd.seats[*who].name);
        let room = crowd.room.clone();
        let app = crowd.seats[*admin].app();
        // A node that meets nobody looks for a while whether others hold more of its own log, and writes nothing meanwhile.
        let removed = eventually(&format!("{who} is removed"), async || {
            let done = app.remove_member(&room, &who, RemoveMembers::default(), false).await;
            done.inspect_err(|problem| println!("{who} is not removed yet: {problem}")).ok()
        })
        .await;
        assert_eq!(removed.removed.len(), 1);
        crowd.seats[*admin].stop().await;
    }
    crowd.told("five are removed by five who know nothing of each other");
    crowd.run_all().await;
    let stay: Vec<usize> = all.iter().copied().filter(|seat| !gone.contains(seat)).collect();
    crowd.agree(&stay).await;
    crowd.told("all who stay agree again");
    let names: BTreeSet<String> = stay.iter().map(|seat| crowd.seats[*seat].name.clone()).collect();
    for seat in &stay {
        assert_eq!(crowd.members(*seat).await, names);
    }
    // Each removal brought an epoch without the one removed. Those that came after, to be without all five, are few: whoever is
    // elected compares with all that are connected before.
    let made = crowd.epochs(0).await - before;
    println!("{made} epochs, {REMOVERS} of them with the removals");
    assert!((REMOVERS + 1..=REMOVERS + EPOCHS_AFTER).contains(&made), "{made} epochs for {REMOVERS} removals");
    crowd.say(stay[7], "Five are out").await;
    for seat in &stay {
        eventually("who stays reads it", async || crowd.texts(*seat).await.contains("Five are out").then_some(()))
            .await;
    }
    for seat in &gone {
        eventually("who is out knows it", async || crowd.view(*seat).await.gone.map(drop)).await;
        assert!(!crowd.texts(*seat).await.contains("Five are out"));
    }
    crowd.stop_all().await;
}
