//! Two nodes on one connection in virtual time: what sync promises when both are honest.

use super::pair::*;
use super::*;
use crate::wire::{Asked, SeriesKind};

#[test]
fn equal_rooms_are_done_in_one_round_trip_of_less_than_200_bytes() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    for author in 10..210 {
        a.write(author, SeriesKind::Message, 3);
        b.copy_from(&a);
    }
    let mut pair = Pair::new(a, b);
    let before = pair.connect();
    pair.run_ms(100);
    assert!(pair.a.equal && pair.b.equal);
    let bytes = pair.n_bytes - before;
    println!("equal rooms of 200 authors: {bytes} bytes");
    assert!(bytes < 200, "{bytes} bytes");
    assert!(pair.n_stored() == 0);
}

#[test]
fn who_sees_another_room_in_the_same_events_is_noticed_by_both_sides_and_until_it_is_over() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Control, 5);
    b.copy_from(&a);
    a.tables.mean(5, &[1; 32]);
    b.tables.mean(5, &[2; 32]);
    let mut pair = Pair::new(a, b);
    pair.connect();
    pair.run_ms(10_000);
    assert!(pair.a.equal && pair.b.equal, "they hold the same");
    assert_eq!((&pair.a.splits[..], &pair.b.splits[..]), (&[true][..], &[true][..]), "told once");
    pair.b.tables.mean(5, &[1; 32]);
    pair.run_ms(2 * 3_600_000);
    assert_eq!((&pair.a.splits[..], &pair.b.splits[..]), (&[true, false][..], &[true, false][..]));
}

#[test]
fn of_logs_that_differ_and_of_what_is_not_durable_yet_no_views_are_compared() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Control, 5);
    b.copy_from(&a);
    // The room of one has taken an event that its tables do not tell yet.
    a.tables.mean(6, &[1; 32]);
    b.tables.mean(5, &[2; 32]);
    assert_eq!(a.tables.digests().view, None);
    // What came after the view was said takes it back.
    b.write(11, SeriesKind::Control, 1);
    assert_eq!(b.tables.digests().view, None);
    b.tables.mean(6, &[2; 32]);
    a.tables.mean(5, &[1; 32]);
    let mut pair = Pair::new(a, b);
    pair.connect();
    pair.run_ms(10_000);
    pair.assert_same();
    assert!(pair.a.splits.is_empty() && pair.b.splits.is_empty());
}

#[test]
fn both_sides_get_what_they_lack_in_the_order_of_the_logs() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Control, 5);
    a.write(10, SeriesKind::Message, 40);
    b.copy_from(&a);
    a.write(10, SeriesKind::Message, 700);
    b.write(11, SeriesKind::Message, 900);
    a.write(12, SeriesKind::Control, 3);
    a.write(13, SeriesKind::Leaf, 7);
    b.write(13, SeriesKind::Leaf, 9);
    b.write(14, SeriesKind::Marker, 2);
    let mut pair = Pair::new(a, b);
    pair.connect();
    pair.run_ms(10_000);
    pair.assert_same();
    assert!(pair.a.equal && pair.b.equal);
    assert_eq!(pair.a.out_of_order + pair.b.out_of_order, 0);
    assert_eq!(pair.b.tables.seq(&Series::leaf(device_id(13))), 9);
}

#[test]
fn scattered_differences_cost_what_differs() {
    for (n_authors, n_differ, limit) in [(1_000, 1, 600), (1_000, 100, 6_500), (200, 1, 500), (10, 10, 700)] {
        let (mut a, mut b) = (Node::new(1), Node::new(2));
        for author in 0..n_authors {
            a.write(1_000 + author, SeriesKind::Message, 5);
        }
        b.copy_from(&a);
        for place in 0..n_differ {
            a.write(1_000 + place * (n_authors / n_differ), SeriesKind::Message, 1);
        }
        let mut pair = Pair::new(a, b);
        let before = pair.connect();
        pair.run_ms(500);
        let events: usize = pair.b.stored_bytes;
        let bytes = pair.n_bytes - before - events;
        println!("{n_differ} of {n_authors}: {bytes} bytes beside the events");
        pair.assert_same();
        assert!(bytes < limit, "{bytes} bytes for {n_differ} of {n_authors}");
    }
}

#[test]
fn new_events_are_pushed_at_once_and_told_later_when_they_have_no_bytes() {
    let mut pair = Pair::equal();
    pair.a.write_live(1, true);
    pair.advance_a();
    pair.run_ms(1);
    pair.assert_same();
    assert_eq!(pair.a.peer_has, 1, "acknowledged");

    // Rounds, which would bring it too, have become seldom by then.
    pair.run_ms(200_000);
    pair.a.write_live(1, false);
    pair.advance_a();
    pair.run_ms(TIPS_MS - 10);
    assert_eq!(pair.b.tables.seq(&Series::messages(device_id(1))), 1);
    pair.run_ms(20);
    pair.assert_same();
    assert_eq!(pair.a.peer_has, 2);
}

#[test]
fn acknowledgement_comes_only_after_the_commit() {
    let mut pair = Pair::equal();
    pair.b.holds_commits = true;
    pair.a.write_live(1, true);
    pair.advance_a();
    pair.run_ms(1_000);
    assert_eq!(pair.a.peer_has, 0);
    pair.b.holds_commits = false;
    pair.release_b(false);
    pair.run_ms(10);
    assert_eq!(pair.a.peer_has, 0, "not all of it was stored");
    pair.run_ms(20_000);
    assert_eq!(pair.a.peer_has, 1, "the next round brings it again");
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let (mut a, b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Message, 20_000);
    let mut pair = Pair::new(a, b);
    pair.b.holds_commits = true;
    pair.connect();
    pair.run_ms(1_000);
    assert_eq!(pair.b.held.len(), WINDOW);
    pair.b.holds_commits = false;
    pair.release_b(true);
    pair.run_ms(1_000);
    pair.assert_same();
}

#[test]
fn a_peer_that_never_acknowledges_is_dropped() {
    let (mut a, b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Message, 10);
    let mut pair = Pair::new(a, b);
    pair.b.holds_commits = true;
    pair.connect();
    pair.run_ms(ACK_TIMEOUT_MS + 2_000);
    assert_eq!(pair.a.misbehaved, Some(Misbehaviour::Stalled));
}

#[test]
fn a_stranger_brings_control_events_and_learns_nothing() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Control, 3);
    b.copy_from(&a);
    a.write(11, SeriesKind::Control, 2);
    a.write(11, SeriesKind::Message, 4);
    b.write(12, SeriesKind::Message, 4);
    for author in 100..180 {
        a.write(author, SeriesKind::Control, 1);
        b.write(author + 100, SeriesKind::Control, 1);
    }
    for flipped in [false, true] {
        let mut pair = Pair::with(a.clone(), b.clone(), flipped);
        pair.b.standing_of_peer = Standing::Stranger;
        pair.connect();
        pair.run_ms(5_000);
        assert_eq!((pair.a.misbehaved, pair.b.misbehaved), (None, None));
        assert_eq!(pair.a.stored_bytes, 0, "b tells nothing");
        assert_eq!(pair.b.tables.seq(&Series::control(device_id(11))), 2);
        assert_eq!(pair.b.tables.seq(&Series::control(device_id(150))), 1);
        assert_eq!(pair.b.tables.seq(&Series::messages(device_id(11))), 0);
        // What came makes the peer a member: now everything flows.
        pair.stand_b(Standing::Live);
        pair.run_ms(10_000);
        pair.assert_same();
    }
}

#[test]
fn two_strangers_tell_each_other_nothing() {
    let (mut a, b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Control, 3);
    let mut pair = Pair::new(a, b);
    pair.a.standing_of_peer = Standing::Stranger;
    pair.b.standing_of_peer = Standing::Stranger;
    pair.connect();
    pair.run_ms(60_000);
    assert_eq!(pair.n_stored(), 0);
    assert_eq!((pair.a.misbehaved, pair.b.misbehaved), (None, None));
}

#[test]
fn a_fork_is_seen() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(10, SeriesKind::Message, 3);
    b.copy_from(&a);
    a.write_other(10, 1);
    b.write_other(10, 2);
    let mut pair = Pair::new(a, b);
    pair.connect();
    pair.run_ms(1_000);
    assert!(pair.a.forked || pair.b.forked);
}

#[test]
fn a_device_put_back_to_an_old_copy_hears_of_its_own_logs_only_when_all_of_them_is_here() {
    for flipped in [false, true] {
        let (mut a, mut b) = (Node::new(1), Node::new(2));
        a.write(1, SeriesKind::Control, 2);
        a.write(1, SeriesKind::Message, 60);
        b.copy_from(&a);
        a.back_to(1, 20);
        b.write(2, SeriesKind::Message, 400);
        let mut pair = Pair::with(a, b, flipped);
        pair.a.holds_commits = true;
        pair.connect();
        pair.run_ms(1_000);
        assert!(pair.b.own_logs, "a holds nothing that b does not have");
        assert!(!pair.a.own_logs);
        assert_eq!(pair.a.peer_has, 0, "what the other has may be of another branch");
        pair.a.holds_commits = false;
        pair.release_a(true);
        pair.run_ms(10_000);
        pair.assert_same();
        assert!(pair.a.own_logs);
    }
}

#[test]
fn gaps_are_asked_for() {
    let mut pair = Pair::equal();
    pair.a.write_live(10, false);
    pair.a.write_live(10, false);
    // Told nothing yet; gossip brought number 2 to b, which notices that 1 is missing.
    pair.a.advances.clear();
    pair.gap_b(Series::messages(device_id(10)));
    pair.run_ms(10);
    pair.assert_same();
}

#[test]
fn pages_and_keys_are_asked_for_and_answered() {
    let mut pair = Pair::equal();
    pair.ask_a(Asked::Page([7; 32]));
    pair.ask_a(Asked::Page([8; 32]));
    pair.run_ms(10);
    assert_eq!(pair.a.answers, [(Asked::Page([7; 32]), Some(vec![7])), (Asked::Page([8; 32]), None)]);
}

#[test]
fn loss_of_gossip_heals_without_a_reconnect() {
    let mut pair = Pair::equal();
    for _ in 0..50 {
        pair.a.write_live(1, false);
        pair.b.write_live(2, false);
        pair.advance_a();
        pair.advance_b();
        pair.run_ms(500);
    }
    pair.run_ms(5_000);
    pair.assert_same();
}

#[test]
fn an_idle_link_costs_little() {
    let mut pair = Pair::equal();
    pair.run_ms(600_000);
    let before = pair.n_bytes;
    pair.run_ms(3_600_000);
    let bytes = pair.n_bytes - before;
    println!("an idle session: {bytes} bytes an hour");
    assert!(bytes < 2_500, "{bytes} bytes an hour");
}

#[test]
fn what_a_member_wrote_before_it_left_is_taken_after_its_leave() {
    let (mut a, mut b) = (Node::new(1), Node::new(2));
    a.write(20, SeriesKind::Message, 30);
    b.copy_from(&a);
    a.write(1, SeriesKind::Message, 40);
    a.write(20, SeriesKind::Message, 1);
    b.write(20, SeriesKind::Message, 3);
    for flipped in [false, true] {
        // b has the Leave of a already.
        let mut pair = Pair::with(a.clone(), b.clone(), flipped);
        pair.b.standing_of_peer = Standing::Removed;
        pair.connect();
        pair.run_ms(30_000);
        assert_eq!((pair.a.misbehaved, pair.b.misbehaved), (None, None));
        assert_eq!(pair.b.tables.seq(&Series::messages(device_id(1))), 40);
        assert_eq!(pair.a.stored_bytes, 0, "who left gets nothing");
    }
}

#[test]
fn what_is_new_since_the_summary_is_not_taken_for_held() {
    let mut pair = Pair::equal();
    pair.run_ms(1_000);
    let due = pair.next_round_ms();
    pair.run_ms(due - pair.now_ms - 1);
    // The summary of the next round is under way when the message is written.
    pair.tick_a_at(due);
    pair.a.write_live(1, false);
    pair.advance_a();
    pair.deliver_all();
    assert_eq!(pair.a.peer_has, 0);
    pair.run_ms(10_000);
    assert_eq!(pair.a.peer_has, 1);
}

#[test]
fn a_gap_that_the_peer_can_not_fill_is_no_fault_of_the_peer() {
    let mut pair = Pair::equal();
    pair.run_ms(1_000_000);
    pair.gap_b(Series::messages(device_id(20)));
    pair.run_ms(1_000_000);
    pair.assert_same();
}

#[test]
fn what_one_side_never_takes_does_not_keep_the_link_busy() {
    for flipped in [false, true] {
        let (mut a, mut b) = (Node::new(1), Node::new(2));
        a.write(20, SeriesKind::Message, 30);
        b.copy_from(&a);
        a.write(21, SeriesKind::Marker, 4);
        b.drops = Some(SeriesKind::Marker);
        let mut pair = Pair::with(a, b, flipped);
        pair.connect();
        pair.run_ms(1_800_000);
        assert!(pair.a.equal && pair.b.equal, "the logs are");
        let before = pair.n_bytes;
        pair.run_ms(3_600_000);
        let bytes = pair.n_bytes - before;
        assert!(bytes < 20_000, "{bytes} bytes an hour");
    }
}

#[test]
fn who_lacks_much_is_told_how_much_before_it_comes() {
    for flipped in [false, true] {
        let (mut a, b) = (Node::new(1), Node::new(2));
        a.write(10, SeriesKind::Message, 3_000);
        a.write(11, SeriesKind::Message, 10);
        let mut pair = Pair::with(a, b, flipped);
        pair.b.holds_commits = true;
        pair.connect();
        pair.run_ms(100);
        assert_eq!(pair.owed_b(10), 3_000);
        assert_eq!(pair.owed_b(11), 10);
        pair.b.holds_commits = false;
        pair.release_b(true);
        pair.run_ms(10_000);
        pair.assert_same();
        // Of 250 bytes each.
        assert_eq!((pair.owed_b(10), pair.n_stored()), (0, 3_010 * 250), "nothing is sent twice");
    }
}

#[test]
fn the_newest_page_is_asked_for_once_in_a_while_and_of_who_knows_it() {
    let mut pair = Pair::equal();
    pair.ask_a(Asked::Newest);
    pair.run_ms(10);
    pair.ask_a(Asked::Newest);
    pair.run_ms(10);
    assert_eq!(pair.a.answers, [(Asked::Newest, Some(vec![9])), (Asked::Newest, None)]);
    pair.run_ms(30_000);
    pair.ask_a(Asked::Newest);
    pair.run_ms(10);
    assert_eq!(pair.a.answers.last(), Some(&(Asked::Newest, Some(vec![9]))));
}
