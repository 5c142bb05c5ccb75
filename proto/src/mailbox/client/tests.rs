//! The client against relays: honest ones over bad lines, and each way to lie (attack 55).

mod by_hand;
mod world;

use super::*;
use crate::mailbox::frame::{Reply, ServerFrame};
use crate::mailbox::limits::MAX_LIES;
use world::{Evil, World, blob, relay_id};

/// Three relays, of which the second is `evil`; others put 40 blobs, we 8, over lines that are cut now and then.
fn played(evil: Evil, seed: u64) -> World {
    let mut world = World::new(seed, &[Evil::None, evil, Evil::None]);
    // Some are there before us, at the second relay alone at first.
    for n in 0..10 {
        world.others_put(&blob(n), &[1]);
    }
    world.open();
    world.run_for(2_000);
    for n in 0..40 {
        world.others_put(&blob(n), &[0, 1, 2]);
        if n % 5 == 0 {
            world.put(blob(1_000 + n));
        }
        world.run_for(200);
        if n == 20 {
            world.cut(1);
        }
    }
    world.run_for(3 * 60 * 60 * 1_000);
    world
}

/// What must hold whatever the second relay does: everything came once, ours is at the others, and nobody else is blamed.
fn nothing_is_lost_and_nobody_else_is_blamed(world: &World, evil: Evil) {
    for n in 0..40 {
        assert_eq!(world.got.get(&BlobId::of(&blob(n))), Some(&1), "{evil:?}: blob {n}");
    }
    assert_eq!(world.got.len(), 40, "{evil:?}: something else came");
    for n in (0..40).step_by(5) {
        assert!(world.is_kept_by(0, &blob(1_000 + n)) && world.is_kept_by(2, &blob(1_000 + n)), "{evil:?}");
    }
    for relay in [0, 2] {
        assert_eq!(world.faults(relay), [], "{evil:?}");
        assert_eq!(world.cursor(relay), world.end(relay), "{evil:?}: the cursor of {relay} stands still");
    }
}

#[test]
fn of_honest_relays_everything_comes_once_and_everything_is_put_everywhere() {
    let world = played(Evil::None, 1);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::None);
    assert_eq!(world.client.waiting_puts(), 0);
    assert_eq!(world.cursor(1), world.end(1));
}

#[test]
fn a_relay_that_forgets_what_it_promised_is_found_out() {
    let world = played(Evil::DropsPuts, 2);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::DropsPuts);
    assert!(world.faults(1).iter().any(|fault| matches!(fault, Fault::Dropped(_))), "{:?}", world.faults(1));
}

#[test]
fn a_relay_that_repeats_everything_changes_nothing() {
    let world = played(Evil::Repeats, 3);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Repeats);
}

#[test]
fn what_a_relay_lists_after_it_lost_its_line_is_not_waited_for() {
    let world = played(Evil::Twice, 16);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Twice);
    assert!(world.faults(1).contains(&Fault::Disorder) && world.hung_up(1) > 0, "{:?}", world.faults(1));
    for seed in 200..220 {
        let mut world = World::new(seed, &[Evil::None, Evil::Twice]);
        for n in 0..20 {
            world.others_put(&blob(n), &[0, 1]);
        }
        world.open();
        world.run_for(10_000);
        assert!(world.hung_up(1) > 0 && world.got.len() == 20, "seed {seed}: {} came", world.got.len());
    }
}

#[test]
fn a_relay_that_reorders_its_list_is_found_out() {
    let world = played(Evil::Reorders, 4);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Reorders);
    assert!(world.faults(1).contains(&Fault::Disorder), "{:?}", world.faults(1));
}

#[test]
fn what_a_relay_withholds_comes_from_the_others() {
    let world = played(Evil::Withholds, 5);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Withholds);
}

#[test]
fn what_a_relay_lists_and_does_not_give_comes_from_the_others() {
    let world = played(Evil::ListsOnly, 6);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::ListsOnly);
    assert!(world.faults(1).contains(&Fault::Withheld), "{:?}", world.faults(1));
    assert_eq!(world.cursor(1), world.end(1), "it is passed over");
}

#[test]
fn what_a_relay_lists_and_puts_off_is_asked_of_the_others_at_once() {
    for (evil, seed) in [Evil::PutsOff, Evil::Fails].into_iter().flat_map(|evil| (0..8).map(move |seed| (evil, seed))) {
        let mut world = World::new(seed, &[Evil::None, evil]);
        for n in 0..100 {
            // The second one lists each first, and some of it alone for a while.
            world.others_put(&blob(n), &[1]);
        }
        world.open();
        world.run_for(1_000);
        for n in 0..100 {
            world.others_put(&blob(n), &[0]);
        }
        world.run_for(20_000);
        assert_eq!(world.got.len(), 100, "{evil:?}, seed {seed}");
        assert_eq!((world.cursor(0), world.faults(0)), (world.end(0), [].as_slice()), "{evil:?}, seed {seed}");
        assert!(world.faults(1).contains(&Fault::Withheld), "{evil:?}: {:?}", world.faults(1));
        assert_eq!(world.cursor(1), world.end(1), "{evil:?}: what came from the other is done with here too");
    }
    for evil in [Evil::PutsOff, Evil::Fails] {
        let world = played(evil, 12);
        nothing_is_lost_and_nobody_else_is_blamed(&world, evil);
    }
}

#[test]
fn a_relay_that_serves_an_old_state_is_found_out() {
    let world = played(Evil::GoesBack, 7);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::GoesBack);
    assert!(world.faults(1).contains(&Fault::Rewound), "{:?}", world.faults(1));
}

#[test]
fn a_relay_that_forges_is_found_out_and_nothing_of_it_gets_through() {
    let world = played(Evil::Forges, 8);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Forges);
    let forged = world.faults(1).iter().filter(|fault| **fault == Fault::Forged).count();
    assert!(forged > 0 && world.hung_up(1) > 0, "{:?}", world.faults(1));
    // It rests longer each time: in three hours it is asked for some dozen blobs, not thousands.
    assert!(forged <= 12 * MAX_LIES as usize, "{forged}");
}

#[test]
fn a_relay_that_makes_up_entries_costs_a_request_each_and_keeps_nothing_up() {
    let world = played(Evil::MakesUp, 9);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::MakesUp);
    assert!(world.faults(1).contains(&Fault::Withheld), "{:?}", world.faults(1));
}

#[test]
fn a_relay_that_talks_nonsense_loses_its_line_for_longer_each_time() {
    let world = played(Evil::Nonsense, 10);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Nonsense);
    assert!(world.faults(1).contains(&Fault::Malformed), "{:?}", world.faults(1));
    assert!((2..20).contains(&world.hung_up(1)), "{}", world.hung_up(1));
}

#[test]
fn an_answer_that_nobody_asked_for_ends_the_line() {
    let mut world = World::new(1, &[Evil::None]);
    world.open();
    world.run_for(1_000);
    assert!(world.client.is_up(&relay_id(0)));
    world.says(0, &ServerFrame::Reply { number: 77, reply: Reply::Done }.encode());
    assert_eq!((world.hung_up(0), world.faults(0)), (1, [Fault::Malformed].as_slice()));
}

#[test]
fn a_relay_that_is_silent_holds_nothing_up() {
    let world = played(Evil::Silent, 11);
    nothing_is_lost_and_nobody_else_is_blamed(&world, Evil::Silent);
    assert!(world.faults(1).contains(&Fault::Slow), "{:?}", world.faults(1));
}

#[test]
fn a_relay_that_lost_its_store_is_read_anew_and_what_was_taken_is_not_taken_again() {
    let mut world = World::new(12, &[Evil::None]);
    world.open();
    for n in 0..10 {
        world.others_put(&blob(n), &[0]);
    }
    world.run_for(10_000);
    world.lose_store(0);
    world.others_put(&blob(3), &[0]);
    world.others_put(&blob(50), &[0]);
    world.run_for(10 * 60 * 1_000);
    assert_eq!(world.faults(0).iter().filter(|fault| **fault == Fault::NewStore).count(), 1);
    assert_eq!(world.got.get(&BlobId::of(&blob(3))), Some(&1));
    assert_eq!(world.got.get(&BlobId::of(&blob(50))), Some(&1));
    assert_eq!(world.cursor(0), world.end(0));
}

/// Relays that keep different parts, lines that are cut at any moment, a client that is killed and goes on from what it had
/// made durable: in the end everything came, and nothing that was durable is handed over again but by accident of the cut.
#[test]
fn over_bad_lines_and_crashes_the_union_of_the_relays_is_read() {
    for seed in 100..140 {
        let mut world = World::new(seed, &[Evil::None, Evil::None, Evil::None]);
        world.delay_takes = true;
        world.open();
        let mut put = Vec::new();
        for n in 0..60 {
            let subset: Vec<usize> = (0..3).filter(|_| world.chance(60)).collect();
            if !subset.is_empty() {
                world.others_put(&blob(n), &subset);
                put.push(n);
            }
            if world.chance(10) {
                let relay = world.below(3);
                world.cut(relay);
            }
            if world.chance(5) {
                world.crash();
            }
            let pause = world.below(3_000) as u64;
            world.run_for(pause);
        }
        world.put(blob(5_000));
        world.run_for(2 * 60 * 60 * 1_000);
        for n in &put {
            assert!(world.durable.contains(&BlobId::of(&blob(*n))), "seed {seed}: blob {n}");
        }
        for relay in 0..3 {
            assert_eq!(world.cursor(relay), world.end(relay), "seed {seed}");
            assert!(world.is_kept_by(relay, &blob(5_000)), "seed {seed}");
            assert!(world.faults(relay).iter().all(|fault| *fault == Fault::Unreachable), "seed {seed}");
        }
        assert_eq!(world.client.handed_bytes, 0, "seed {seed}");
        assert_eq!(world.client.n_wanted, 0, "seed {seed}");
    }
}

#[test]
fn what_is_not_taken_is_bounded_and_goes_on_when_it_is() {
    let mut world = World::new(13, &[Evil::None]);
    world.holds_back = true;
    for n in 0..3_000 {
        world.others_put(&blob(n), &[0]);
    }
    world.open();
    world.run_for(60_000);
    assert!(world.client.n_wanted <= limits::MAX_PENDING + limits::MAX_BOX_RELAYS * 512, "{}", world.client.n_wanted);
    assert!(world.client.handed_bytes <= limits::MAX_HANDED_BYTES);
    assert_eq!(world.cursor(0), 0, "nothing was taken");
    world.take_all();
    world.holds_back = false;
    world.run_for(60_000);
    assert_eq!(world.got.len(), 3_000);
    assert_eq!(world.cursor(0), world.end(0));
}

#[test]
fn a_box_moves_to_other_relays_and_closes_without_a_trace() {
    let mut world = World::new(14, &[Evil::None, Evil::None]);
    world.open_at(&[0]);
    world.put(blob(1));
    world.run_for(5_000);
    world.unreachable(1);
    world.open_at(&[0, 1]);
    world.put(blob(2));
    world.run_for(5_000);
    assert_eq!(world.client.waiting_puts(), 1, "one relay is missing");
    world.open_at(&[0]);
    assert_eq!(world.client.waiting_puts(), 0, "it is not waited for any more");
    world.open_at(&[0, 1]);
    world.reachable(1);
    world.put(blob(3));
    world.run_for(10 * 60 * 1_000);
    assert!(world.is_kept_by(1, &blob(3)));
    world.put(blob(4));
    world.close();
    assert_eq!(world.client.put_bytes, 0);
    assert!(world.client.relays.is_empty() && world.client.unasked.is_empty());
    assert!(!world.client.is_up(&relay_id(0)));
}

#[test]
fn what_a_box_refuses_for_now_is_put_later_and_what_it_refuses_for_good_is_settled() {
    let mut world = World::new(15, &[Evil::None]);
    world.refuse_puts(0, Some(Refusal::Busy { retry_ms: 3_000 }));
    world.open();
    world.put(blob(1));
    world.run_for(10_000);
    assert_eq!(world.client.waiting_puts(), 1);
    world.refuse_puts(0, None);
    world.run_for(10_000);
    assert!(world.is_kept_by(0, &blob(1)));
    world.refuse_puts(0, Some(Refusal::NotAllowed));
    world.put(blob(2));
    world.run_for(10_000);
    assert_eq!(world.client.waiting_puts(), 0);
    assert!(!world.is_kept_by(0, &blob(2)));
}

#[test]
fn a_relay_that_wants_a_token_is_tried_again_at_once_when_there_is_another_and_else_after_a_while() {
    let (relay, mut client) = (relay_id(0), Mailboxes::new());
    let key = SigningKey::from_seed(&parlor_crypto::Secret::new([1; 32]));
    let name = BoxName { kind: crate::mailbox::BoxKind::Room, key: key.public_bytes() };
    let relays = vec![(relay.clone(), Cursor::default())];
    let terms = crate::mailbox::Terms { token: true, keep_ms: 1, slots: 8, window: 8 };
    let hello = ServerFrame::Hello { version: limits::VERSION, nonce: [1; 32], store: StoreId([1; 16]), terms };
    let connects = |out: &[Out]| out.contains(&Out::Connect { relay: relay_id(0) });
    let refused = |out: &[Out]| {
        out.iter().any(|out| matches!(out, Out::Refused { refusal: Refusal::Token, .. }))
            && out.contains(&Out::HangUp { relay: relay_id(0) })
    };
    assert!(connects(&client.open(BoxSetup { name, key: Some(key), read: true, relays }, 0).unwrap()));
    client.connected(&relay, 0);
    assert!(refused(&client.frame(&relay, &hello.encode(), 0)), "there is none to show");
    assert!(!connects(&client.tick(limits::MAX_RETRY_MS - 1)));

    let token = |text: &str| Some(AccessToken::parse(text).unwrap());
    client.token(relay.clone(), token("another-horse"));
    assert!(connects(&client.tick(1)));
    client.connected(&relay, 1);
    let out = client.frame(&relay, &hello.encode(), 1);
    assert!(matches!(out.first(), Some(Out::Send { .. })), "{out:?}");
    let answer = ServerFrame::Reply { number: 0, reply: Reply::Refused(Refusal::Token) };
    assert!(refused(&client.frame(&relay, &answer.encode(), 1)));
    client.token(relay.clone(), token("another-horse"));
    assert!(!connects(&client.tick(limits::MAX_RETRY_MS)), "the same one is not shown again so soon");
    client.token(relay.clone(), token("correct-horse"));
    assert!(connects(&client.tick(2)));

    // Who rests for another reason does not come back for a token.
    client.connected(&relay, 2);
    client.frame(&relay, b"nonsense", 2);
    client.disconnected(&relay, 2);
    client.token(relay.clone(), None);
    assert!(!connects(&client.tick(3)));
}
