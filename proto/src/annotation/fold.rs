//! From a message and what was said about it to what it looks like.

use std::collections::{BTreeMap, BTreeSet};

use super::{Act, Annotation};
use crate::body::{Body, Poll};
use crate::hlc::Hlc;
use crate::ids::{AccountId, EventId};

/// Whether an annotation counts, by what is known of the room now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// It is shown, as a message would be.
    pub shown: bool,
    /// Its author could moderate when writing it, and whose message it is about was not senior to him.
    pub moderates: bool,
}

/// An annotation with its weight.
pub type Weighed = (Annotation, Weight);

/// A message as its annotations make it. Accounts and changes stand in an order that does not depend on how they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fold {
    /// It was taken back: nothing else counts any more.
    pub deleted: Option<Deleted>,
    /// Its later texts, the last one last.
    pub edits: Vec<Change>,
    /// Who put which emoji on it, each in the order in which they did.
    pub reactions: BTreeMap<String, Vec<AccountId>>,
    /// What each account chooses, of a poll.
    pub votes: BTreeMap<AccountId, Vec<u8>>,
    /// It is pinned.
    pub pinned: Option<Pinned>,
}

/// By whom and when a message was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleted {
    /// Who.
    pub by: AccountId,
    /// When.
    pub at: Hlc,
}

/// A later text of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The event that holds it.
    pub id: EventId,
    /// When.
    pub at: Hlc,
}

/// By whom and when a message was pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// Who.
    pub by: AccountId,
    /// When.
    pub at: Hlc,
}

/// What a message of `author` looks like. `body` is what it said when it was written; `None` if that is not known any more.
/// The order and repetition of what was said make no difference.
pub fn fold(author: &AccountId, body: Option<&Body>, said: impl IntoIterator<Item = Weighed>) -> Fold {
    let mut shown: Vec<Weighed> = said.into_iter().filter(|(_, weight)| weight.shown).collect();
    shown.sort_by_key(|(said, _)| (said.hlc, said.id));
    shown.dedup_by(|a, b| a.0.id == b.0.id);
    let counts = |(said, weight): &Weighed| match said.act {
        Act::Redact => said.author == *author || weight.moderates,
        Act::Edit => said.author == *author && matches!(body, Some(Body::Text(_))),
        Act::Pin { .. } => weight.moderates,
        Act::React { .. } | Act::Vote { .. } => true,
    };
    shown.retain(counts);
    // Whoever was first took it back; the own author before others, who may not have known.
    let redactions = shown.iter().filter(|(said, _)| said.act == Act::Redact);
    if let Some((said, _)) = redactions.min_by_key(|(said, _)| said.author != *author) {
        let deleted = Some(Deleted { by: said.author, at: said.hlc });
        return Fold { deleted, ..Fold::default() };
    }
    let poll = match body {
        Some(Body::Poll(poll)) => Some(poll),
        _ => None,
    };
    let edits = shown.iter().filter(|(said, _)| said.act == Act::Edit);
    Fold {
        deleted: None,
        edits: edits.map(|(said, _)| Change { id: said.id, at: said.hlc }).collect(),
        reactions: reactions(&shown),
        votes: poll.map(|poll| votes(poll, &shown)).unwrap_or_default(),
        pinned: pinned(&shown),
    }
}

fn reactions(said: &[Weighed]) -> BTreeMap<String, Vec<AccountId>> {
    // Later ones come later: the last of an account about an emoji stays.
    let mut last: BTreeMap<(AccountId, &str), (Hlc, EventId, bool)> = BTreeMap::new();
    for (said, _) in said {
        if let Act::React { emoji, on } = &said.act {
            last.insert((said.author, emoji), (said.hlc, said.id, *on));
        }
    }
    let mut put: BTreeMap<String, BTreeSet<(Hlc, EventId, AccountId)>> = BTreeMap::new();
    for ((account, emoji), (at, id, on)) in last {
        if on {
            put.entry(emoji.to_owned()).or_default().insert((at, id, account));
        }
    }
    put.into_iter().map(|(emoji, who)| (emoji, who.into_iter().map(|(_, _, account)| account).collect())).collect()
}

fn votes(poll: &Poll, said: &[Weighed]) -> BTreeMap<AccountId, Vec<u8>> {
    let mut votes = BTreeMap::new();
    for (said, _) in said {
        if let Act::Vote { choices } = &said.act {
            votes.insert(said.author, choices.clone());
        }
    }
    votes.retain(|_, choices: &mut Vec<u8>| !choices.is_empty() && poll.allows(choices));
    votes
}

fn pinned(said: &[Weighed]) -> Option<Pinned> {
    let last = said.iter().rev().find(|(said, _)| matches!(said.act, Act::Pin { .. }));
    let on = last.filter(|(said, _)| said.act == Act::Pin { on: true });
    on.map(|(said, _)| Pinned { by: said.author, at: said.hlc })
}
