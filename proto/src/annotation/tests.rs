//! Promises of the fold: one result, whatever came first.

use proptest::prelude::*;

use super::*;
use crate::body::Poll;

const TARGET: EventId = EventId([9; 32]);

fn account(n: u8) -> AccountId {
    AccountId([n; 32])
}

/// An annotation by account `who` on its device, at a clock and with an id.
fn said(who: u8, clock: u64, id: u8, act: Act) -> Annotation {
    Annotation {
        id: EventId([id; 32]),
        hlc: Hlc(clock),
        device: DeviceId([who; 32]),
        seq: clock,
        author: account(who),
        control: Vec::new(),
        act,
    }
}

fn weigh(said: Annotation) -> Weighed {
    // Account 0 moderates.
    let moderates = said.author == account(0);
    (said, Weight { shown: true, moderates })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => Just(Act::Edit),
        1 => Just(Act::Redact),
        6 => ("[abc]", any::<bool>()).prop_map(|(emoji, on)| Act::React { emoji, on }),
        3 => prop::collection::btree_set(0_u8..4, 0..3)
            .prop_map(|choices| Act::Vote { choices: choices.into_iter().collect() }),
        2 => any::<bool>().prop_map(|on| Act::Pin { on }),
    ]
}

fn history() -> impl Strategy<Value = Vec<Annotation>> {
    prop::collection::vec((0_u8..4, 1_u64..12, act()), 0..40)
        .prop_map(|all| all.into_iter().zip(0..).map(|((who, clock, act), id)| said(who, clock, id, act)).collect())
}

fn bodies() -> impl Strategy<Value = Body> {
    let options = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    let poll = |several| Body::Poll(Poll { question: "?".into(), options: options.clone(), several });
    prop_oneof![Just(Body::text("hi")), Just(poll(true)), Just(poll(false))]
}

/// What the index keeps of them, as storage does: entries by place.
fn kept(all: &[Annotation]) -> Vec<Annotation> {
    let mut places: std::collections::BTreeMap<(Vec<u8>, Slot), Vec<Remark>> = Default::default();
    for said in all {
        for remark in said.remarks(&TARGET, said.author == account(0)) {
            let (place, most) = ((remark.list.clone(), remark.slot.clone()), usize::from(remark.most));
            put(places.entry(place).or_default(), remark, most, |entry| &entry.key, |entry| (entry.rank, entry.id));
        }
    }
    let about = about(&TARGET);
    let rows = places.into_iter().filter(|((list, _), _)| *list == about).flat_map(|(_, entries)| entries);
    rows.filter_map(|entry| said_in(&entry.value)).collect()
}

fn said_in(bytes: &[u8]) -> Option<Annotation> {
    match Kept::decode(bytes)? {
        Kept::Said(said) => Some(said),
        Kept::Thread | Kept::Unsafe => None,
    }
}

fn folded(author: u8, body: &Body, all: &[Annotation]) -> Fold {
    fold(&account(author), Some(body), all.iter().cloned().map(weigh))
}

proptest! {
    #[test]
    fn any_order_and_any_repetition_give_one_result(
        (all, mut shuffled) in history().prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
        again in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        body in bodies(),
        author in 0_u8..4,
    ) {
        if !all.is_empty() {
            shuffled.extend(again.iter().map(|index| index.get(&all).clone()));
        }
        prop_assert_eq!(folded(author, &body, &all), folded(author, &body, &shuffled));
        prop_assert_eq!(folded(author, &body, &kept(&all)), folded(author, &body, &kept(&shuffled)));
    }

    #[test]
    fn what_the_index_keeps_gives_what_everything_gives(all in history(), body in bodies(), author in 0_u8..4) {
        // Far fewer than are remembered: nothing may be lost. Deleted by whom may be told of another of several.
        let (index, whole) = (folded(author, &body, &kept(&all)), folded(author, &body, &all));
        prop_assert_eq!(index, whole);
    }

    #[test]
    fn nobody_changes_the_text_of_another_or_takes_it_back_without_the_right(all in history(), body in bodies()) {
        let foreign: Vec<_> = all.into_iter().filter(|said| said.author != account(3) && said.author != account(0)).collect();
        let fold = folded(3, &body, &foreign);
        prop_assert!(fold.edits.is_empty() && fold.deleted.is_none() && fold.pinned.is_none());
    }

    #[test]
    fn what_is_hidden_is_as_if_it_had_never_been(all in history(), hidden in 0_u8..4, body in bodies(), author in 0_u8..4) {
        let weighed = all.iter().cloned().map(|said| {
            let (said, weight) = weigh(said);
            let shown = said.author != account(hidden);
            (said, Weight { shown, ..weight })
        });
        let without: Vec<_> = all.iter().filter(|said| said.author != account(hidden)).cloned().collect();
        prop_assert_eq!(fold(&account(author), Some(&body), weighed), folded(author, &body, &without));
    }

    #[test]
    fn an_annotation_survives_its_remark(who in 0_u8..4, clock in any::<u64>(), act in act()) {
        let said = said(who, clock, 7, act);
        let remark = &said.remarks(&TARGET, true)[0];
        prop_assert_eq!(said_in(&remark.value), Some(said));
    }
}

#[test]
fn the_last_word_of_an_account_about_an_emoji_counts() {
    let react = |who, clock, id, on| said(who, clock, id, Act::React { emoji: "a".into(), on });
    let all = [
        react(1, 5, 1, true),
        react(1, 6, 2, false),
        react(2, 4, 3, false),
        react(2, 4, 4, true),
        react(3, 3, 5, true),
    ];
    let fold = folded(3, &Body::text("hi"), &all);
    // Equal clocks: the greater id is later.
    assert_eq!(fold.reactions["a"], [account(3), account(2)]);
}

#[test]
fn of_a_deleted_message_nothing_else_is_told() {
    let react = said(1, 9, 1, Act::React { emoji: "a".into(), on: true });
    let edit = said(2, 9, 2, Act::Edit);
    let all = [react, edit, said(0, 3, 3, Act::Redact), said(2, 5, 4, Act::Redact), said(1, 1, 5, Act::Redact)];
    let fold = folded(2, &Body::text("hi"), &all);
    let deleted = Some(Deleted { by: account(2), at: Hlc(5) });
    assert_eq!(fold, Fold { deleted, ..Fold::default() }, "by its author, who is named before others");
}

#[test]
fn a_vote_for_what_is_not_there_counts_for_nothing_and_neither_does_the_one_before() {
    let poll = Body::Poll(Poll { question: "?".into(), options: vec!["a".into(), "b".into()], several: false });
    let vote = |who, clock, id, choices: &[u8]| said(who, clock, id, Act::Vote { choices: choices.to_vec() });
    let all =
        [vote(1, 1, 1, &[1]), vote(2, 1, 2, &[0]), vote(2, 2, 3, &[7]), vote(3, 1, 4, &[0, 1]), vote(0, 1, 5, &[])];
    let fold = folded(3, &poll, &all);
    assert_eq!(fold.votes.into_iter().collect::<Vec<_>>(), [(account(1), vec![1])]);
    assert!(folded(3, &Body::text("no poll"), &all).votes.is_empty());
}

#[test]
fn an_account_fills_only_its_own_places_and_those_have_bounds() {
    let flood = |who| {
        (0..2_000_u64).map(move |n| {
            let mut one = said(who, n, 0, Act::React { emoji: format!("{n}"), on: true });
            one.id = EventId([&n.to_be_bytes()[..], &[who; 24]].concat().try_into().unwrap());
            one
        })
    };
    let mut all: Vec<Annotation> = flood(1).collect();
    all.push(said(2, 1, 200, Act::React { emoji: "a".into(), on: true }));
    let kept = kept(&all);
    assert_eq!(kept.len(), usize::from(MAX_REACTIONS) + 1);
    assert!(folded(3, &Body::text("hi"), &kept).reactions.contains_key("a"));
}

#[test]
fn a_deletion_is_not_undone_by_another_that_does_not_count() {
    // A moderator who was put out goes on: what he wrote before stays among what is kept.
    let mut all = vec![said(0, 5, 1, Act::Redact)];
    all.extend((0..50).map(|n| said(0, 10 + u64::from(n), 100 + n, Act::Redact)));
    let weighed = kept(&all).into_iter().map(|said| {
        let counts = said.hlc <= Hlc(5);
        (said, Weight { shown: counts, moderates: counts })
    });
    assert!(fold(&account(3), Some(&Body::text("hi")), weighed).deleted.is_some());
}

#[test]
fn the_longest_annotation_fits_its_bound() {
    let act = Act::React { emoji: "x".repeat(crate::limits::MAX_EMOJI), on: true };
    let control = vec![EventId([7; 32]); crate::limits::MAX_PARENTS];
    let long = Annotation { control, seq: crate::limits::MAX_SEQ, hlc: Hlc(u64::MAX), ..said(1, 1, 1, act) };
    let bytes = codec::encode(&Kept::Said(long.clone()));
    assert_eq!(said_in(&bytes), Some(long), "{} bytes", bytes.len());
}
