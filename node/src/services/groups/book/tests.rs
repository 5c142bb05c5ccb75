//! Promises of the book of groups.

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;
const ME: AccountId = AccountId([1; 32]);

fn account(n: u8) -> AccountId {
    AccountId([n; 32])
}

fn told(by: u8, room: u8) -> Told {
    let people = vec![ME, account(by), account(200)];
    Told { by: account(by), room: RoomId([room; 32]), group: Group { link: "l".into(), name: "n".into(), people } }
}

fn facts(now_ms: u64) -> Facts {
    Facts { now_ms, by_blocked: false, by_contact: true, names_blocked: false, inside: false, was_in: false }
}

fn made(invited: Vec<Invited>) -> Known {
    let people = told(2, 1).group.people;
    let state = State::Made(invited);
    Known { room: RoomId([1; 32]), name: "n".into(), people, heard_ms: NOW, at_ms: NOW, times: 0, state }
}

/// Does with an invitation what the book says.
fn hear(book: &mut Book, told: &Told, facts: Facts) -> Verdict {
    let verdict = book.judge(told, &ME, facts);
    if let Some(known) = book.heard(told, verdict, facts.now_ms) {
        book.put(known);
    }
    verdict
}

#[test]
fn a_contact_brings_us_in_and_nobody_else_does_without_our_word() {
    let mut book = Book::default();
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW)), Verdict::Take);
    let stranger = Facts { by_contact: false, ..facts(NOW) };
    assert_eq!(hear(&mut book, &told(3, 2), stranger), Verdict::Ask(Why::NoContact));
    let blocked = Facts { by_blocked: true, ..facts(NOW) };
    assert_eq!(hear(&mut book, &told(4, 3), blocked), Verdict::Forget);
    let with_blocked = Facts { names_blocked: true, ..facts(NOW) };
    assert_eq!(hear(&mut book, &told(5, 4), with_blocked), Verdict::Ask(Why::Blocked));
    assert_eq!(hear(&mut book, &told(6, 5), Facts { inside: true, ..facts(NOW) }), Verdict::Forget);
    // Whoever left is asked, also when nothing is known of an earlier invitation.
    assert_eq!(hear(&mut book, &told(6, 8), Facts { was_in: true, ..facts(NOW) }), Verdict::Ask(Why::Left));
}

#[test]
fn an_invitation_that_leaves_us_or_its_writer_out_is_none() {
    let (book, mut without_us, mut without_him) = (Book::default(), told(2, 1), told(2, 1));
    without_us.group.people = vec![account(2), account(3), account(4)];
    without_him.group.people = vec![ME, account(3), account(4)];
    for told in [without_us, without_him] {
        assert_eq!(book.judge(&told, &ME, facts(NOW)), Verdict::Forget);
    }
}

#[test]
fn who_left_a_group_is_asked_before_he_is_brought_in_again() {
    let mut book = Book::default();
    hear(&mut book, &told(2, 1), facts(NOW));
    let mut known = book.get(&RoomId([1; 32])).unwrap().clone();
    known.state = State::Taken { by: account(2), link: None };
    book.put(known);
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 1)), Verdict::Ask(Why::Left));
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 2)), Verdict::Ask(Why::Left), "and stays asked");
    assert_eq!(hear(&mut book, &told(3, 1), facts(NOW + 3)), Verdict::Forget, "another one does not take its place");
}

#[test]
fn nobody_takes_over_what_somebody_else_invited_into() {
    let mut book = Book::default();
    hear(&mut book, &told(2, 1), facts(NOW));
    assert_eq!(hear(&mut book, &told(3, 1), facts(NOW)), Verdict::Forget);
    assert_eq!(book.get(&RoomId([1; 32])).unwrap().by(), Some(account(2)));
}

#[test]
fn the_first_group_of_the_same_people_is_the_one_that_was_known_first() {
    let mut book = Book::default();
    let people = told(2, 9).group.people;
    hear(&mut book, &told(2, 9), facts(NOW));
    hear(&mut book, &told(2, 1), facts(NOW + 1));
    assert_eq!(book.of(&people), [RoomId([9; 32]), RoomId([1; 32])]);
    assert!(book.of(&people[..2]).is_empty());
    let stranger = Facts { by_contact: false, ..facts(NOW) };
    hear(&mut book, &told(7, 3), stranger);
    assert!(book.of(&told(7, 3).group.people).is_empty(), "what waits for a word is no chat of ours");
}

#[test]
fn who_was_told_is_told_again_only_after_the_invitation_ran_out() {
    let invited = |n: u8, told_ms: u64| Invited { told_ms, ..Invited::new(account(n), NOW) };
    let mut known = made(vec![invited(2, NOW), invited(3, 0)]);
    assert!(!known.tell_again(&[account(2), account(3)], NOW + GROUP_INVITE_MS - 1));
    assert_eq!(known.untold(NOW), [invited(3, 0)]);
    assert!(known.note_told(&account(3), 1, NOW) && !known.note_told(&account(3), 1, NOW));
    let later = NOW + GROUP_INVITE_MS;
    assert!(known.tell_again(&[account(2)], later));
    assert_eq!(known.untold(later), [Invited { times: 2, ..Invited::new(account(2), later) }]);
}

#[test]
fn there_is_one_link_for_each_however_often_telling_fails_and_that_ends() {
    let mut known = made(vec![Invited::new(account(2), NOW)]);
    assert!(known.note_link(&account(2), 1, "first".into()));
    assert!(!known.note_link(&account(2), 1, "second".into()), "an answer that comes late changes nothing");
    assert_eq!(known.untold(NOW + 1)[0].link.as_deref(), Some("first"));
    let later = NOW + GROUP_INVITE_MS;
    assert!(known.untold(later).is_empty(), "nobody is told of a link that ran out");
    assert!(known.tell_again(&[account(2)], later), "unless the user asks for it again");
    assert_eq!(known.untold(later), [Invited { times: 2, ..Invited::new(account(2), later) }]);
    assert!(!known.note_link(&account(2), 1, "old".into()) && known.note_link(&account(2), 2, "new".into()));
    assert!(!known.note_told(&account(2), 1, later), "what came of the old one says nothing of the new one");
    assert!(known.note_told(&account(2), 2, later));
    assert!(matches!(&known.state, State::Made(invited) if invited[0].link.is_none()), "it is kept no longer");
}

#[test]
fn what_was_refused_is_not_taken_when_it_is_heard_again() {
    let mut book = Book::default();
    for n in 0..GROUPS_A_DAY as u8 {
        hear(&mut book, &told(2, 10 + n), facts(NOW));
    }
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW)), Verdict::Ask(Why::Many));
    let mut known = book.get(&RoomId([1; 32])).unwrap().clone();
    assert!(known.refuse() && !known.refuse());
    book.put(known);
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 1)), Verdict::Forget);
    assert_eq!(hear(&mut book, &told(2, 2), facts(NOW + 1)), Verdict::Ask(Why::Many), "it counts all the same");
    assert!(!book.of(&told(2, 1).group.people).contains(&RoomId([1; 32])), "it is no chat of ours");
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW + 2 * DAY_MS)), Verdict::Forget, "for longer than a day");
    assert_eq!(hear(&mut book, &told(3, 1), facts(NOW + 2)), Verdict::Ask(Why::Left), "somebody else may ask");
}

#[test]
fn what_a_door_says_to_a_link_says_nothing_of_a_better_one_that_came_meanwhile() {
    let (mut book, room) = (Book::default(), RoomId([1; 32]));
    let with = |link: &str| Told { group: Group { link: link.into(), ..told(2, 1).group }, ..told(2, 1) };
    for link in ["old", "better"] {
        assert_eq!(hear(&mut book, &with(link), facts(NOW + 1)), Verdict::Take);
    }
    let mut known = book.get(&room).unwrap().clone();
    assert!(!known.fail("old"));
    assert_eq!(known.link(), Some("better"), "it is tried yet");
    assert!(known.fail("better"));
}

#[test]
fn links_that_lead_nowhere_count_for_the_day() {
    let (mut book, room) = (Book::default(), RoomId([1; 32]));
    let with = |link: String| Told { group: Group { link, ..told(2, 1).group }, ..told(2, 1) };
    for n in 0..GROUPS_A_DAY {
        assert_eq!(hear(&mut book, &with(format!("{n}")), facts(NOW + 1)), Verdict::Take);
        let mut known = book.get(&room).unwrap().clone();
        assert!(known.fail(&n.to_string()) && !known.fail(&n.to_string()));
        book.put(known);
    }
    assert_eq!(hear(&mut book, &with("again".into()), facts(NOW + 2)), Verdict::Ask(Why::Many));
    assert_eq!(hear(&mut book, &told(3, 2), facts(NOW + 2)), Verdict::Take, "others are not held up");
    assert_eq!(hear(&mut book, &told(2, 3), facts(NOW + DAY_MS + 1)), Verdict::Take, "the next day is another one");
}

#[test]
fn who_accepts_late_and_who_is_asked_anew_has_all_the_time_to_come_in() {
    let (mut book, room, later) = (Book::default(), RoomId([1; 32]), NOW + 2 * GROUP_INVITE_MS);
    hear(&mut book, &told(2, 1), Facts { by_contact: false, ..facts(NOW) });
    let mut known = book.get(&room).unwrap().clone();
    assert!(known.accept(later) && !known.is_over(later));
    assert_eq!(known.heard_ms, NOW);
    known.state = State::Taken { by: account(2), link: None };
    book.put(Known { at_ms: NOW, ..known });
    assert_eq!(hear(&mut book, &told(2, 1), facts(later)), Verdict::Ask(Why::Left));
    assert!(!book.get(&room).unwrap().is_over(later));
    // Again and again the same link does not go on for ever.
    hear(&mut book, &told(3, 2), facts(NOW));
    hear(&mut book, &told(3, 2), facts(NOW + GROUP_INVITE_MS));
    assert!(book.get(&RoomId([2; 32])).unwrap().is_over(NOW + GROUP_INVITE_MS + 1));
    let better = Told { group: Group { link: "better".into(), ..told(3, 2).group }, ..told(3, 2) };
    hear(&mut book, &better, facts(later));
    assert!(!book.get(&RoomId([2; 32])).unwrap().is_over(later));
}

#[test]
fn doors_that_do_not_open_keep_nobody_else_waiting() {
    let mut book = Book::default();
    for (by, room) in [(2, 1), (2, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10)] {
        hear(&mut book, &told(by, room), facts(NOW));
    }
    let under_way = |rooms: &[u8]| rooms.iter().map(|room| RoomId([*room; 32])).collect::<BTreeSet<_>>();
    assert!(book.may_join(Some(account(2)), &under_way(&[1])));
    assert!(!book.may_join(Some(account(2)), &under_way(&[1, 2])));
    assert!(book.may_join(Some(account(3)), &under_way(&[1, 2])));
    assert!(!book.may_join(Some(account(9)), &under_way(&[1, 2, 4, 5, 6, 7, 8, 9])), "all in all");
}

#[test]
fn a_room_into_which_somebody_never_came_is_not_the_chat_with_him_for_ever() {
    let mut book = Book::default();
    hear(&mut book, &told(2, 1), facts(NOW));
    let known = book.get(&RoomId([1; 32])).unwrap();
    assert!(known.is_of(1, NOW + GROUP_INVITE_MS - 1) && known.is_of(0, NOW + GROUP_INVITE_MS));
    assert!(!known.is_of(1, NOW + GROUP_INVITE_MS));
    assert!(made(Vec::new()).is_of(1, NOW + GROUP_INVITE_MS), "whom we did not reach we tell again");
}

#[test]
fn who_made_a_group_and_left_it_is_asked_when_he_is_invited_into_it() {
    let mut book = Book::default();
    book.put(made(Vec::new()));
    assert_eq!(hear(&mut book, &told(2, 1), Facts { inside: true, ..facts(NOW) }), Verdict::Forget);
    assert_eq!(hear(&mut book, &told(2, 1), Facts { was_in: true, ..facts(NOW) }), Verdict::Ask(Why::Left));
}

#[test]
fn what_another_device_was_to_tell_is_told_when_the_same_people_are_asked_again() {
    let told = Invited { told_ms: NOW - 1, ..Invited::new(account(3), NOW - 1) };
    let known = made(vec![Invited::new(account(2), NOW), told]);
    let restored = restored(&codec::encode(&known)).unwrap();
    let mut known: Known = codec::decode(&restored, MAX_STORED).unwrap();
    assert!(!known.has_untold(), "nobody is told twice by himself");
    assert!(known.tell_again(&[account(2), account(3)], NOW));
    assert_eq!(known.untold(NOW).iter().map(|one| (one.account, one.times)).collect::<Vec<_>>(), [(account(2), 2)]);
}

#[test]
fn a_clock_that_is_wrong_for_a_while_ends_no_invitation() {
    let mut book = Book::default();
    hear(&mut book, &told(2, 1), facts(NOW));
    let known = book.get(&RoomId([1; 32])).unwrap();
    let month = GROUP_INVITE_MS + DAY_MS;
    assert!(!known.is_over(NOW + DAY_MS) && !known.is_over(NOW - DAY_MS));
    assert!(known.is_over(NOW + month) && known.is_over(NOW - month), "a clock that was ahead gives no years");
    let known = made(vec![Invited::new(account(2), NOW)]);
    assert!(known.untold(NOW + month).is_empty() && known.has_untold(), "it is looked at again");
}

#[test]
fn the_user_gives_up_what_he_is_brought_into_while_he_is_not_in() {
    let mut book = Book::default();
    hear(&mut book, &told(2, 1), facts(NOW));
    let mut known = book.get(&RoomId([1; 32])).unwrap().clone();
    assert!(known.refuse());
    book.put(known);
    assert_eq!(hear(&mut book, &told(2, 1), facts(NOW)), Verdict::Forget, "he does not ask again");
    let mut inside = made(Vec::new());
    inside.state = State::Taken { by: account(2), link: None };
    assert!(!inside.refuse(), "who is in leaves as in every room");
}

#[test]
fn a_better_link_with_other_people_is_asked_about_as_a_first_one_would_be() {
    let (mut book, mut better) = (Book::default(), told(2, 1));
    hear(&mut book, &better, facts(NOW));
    let with_blocked = Facts { names_blocked: true, ..facts(NOW) };
    assert_eq!(
        book.judge(&better, &ME, with_blocked),
        Verdict::Take,
        "who is blocked since was to be in it from the first"
    );
    better.group.people.push(account(201));
    assert_eq!(book.judge(&better, &ME, facts(NOW)), Verdict::Take);
    assert_eq!(book.judge(&better, &ME, with_blocked), Verdict::Ask(Why::Blocked));
}

proptest! {
    #[test]
    fn whatever_contacts_send_bounds_hold(
        sent in prop::collection::vec((2u8..6, any::<u8>(), any::<bool>(), any::<bool>(), 0u64..1_000), 1..400),
    ) {
        let (mut book, mut now) = (Book::default(), NOW);
        for (by, room, by_contact, names_blocked, later) in sent {
            now += later;
            hear(&mut book, &told(by, room), Facts { by_contact, names_blocked, ..facts(now) });
        }
        for by in 2..6 {
            let of = |known: &&Known| known.by() == Some(account(by));
            let asked = |known: &&Known| matches!(known.state, State::Asked { .. });
            prop_assert!(book.iter().filter(of).filter(asked).count() <= GROUPS_ASKED_BY);
            let taken = book.iter().filter(of).filter(|known| !asked(known)).count();
            prop_assert!(taken <= GROUPS_A_DAY, "all of it is within a day");
        }
        let asked = book.iter().filter(|known| matches!(known.state, State::Asked { .. })).count();
        prop_assert!(asked <= GROUPS_ASKED_MAX);
        prop_assert!(book.groups.len() <= GROUPS_MAX);
    }
}
