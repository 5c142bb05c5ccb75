//! Answers: the index proposes, the rooms say what is there now.

use std::collections::{BTreeMap, HashMap};

use parlor_api::{Code, Message, Problem, SearchHit, SearchPage};
use parlor_proto::hlc::Hlc;
use parlor_proto::{AccountId, RoomId};
use parlor_storage::limits::SEARCH_CANDIDATES;
use parlor_storage::search::{Ask, Candidate, Key, Mark, Query, SearchError};

use super::handle::{Search, blocking};
use super::parts;
use super::snippet::snippet;
use crate::app::Answer;
use crate::services::rooms::Rooms;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Words.
    pub(crate) words: String,
    /// In this room only.
    pub(crate) room: Option<RoomId>,
    /// Written by this account.
    pub(crate) from: Option<AccountId>,
    /// With a file.
    pub(crate) file: bool,
    /// Sent in this millisecond or later.
    pub(crate) since_ms: u64,
    /// Sent before this millisecond.
    pub(crate) until_ms: Option<u64>,
    /// `next` of the page before.
    pub(crate) cursor: Option<String>,
    /// How many.
    pub(crate) limit: usize,
}

/// Answers a page.
pub(super) async fn find(search: &Search, rooms: &Rooms, wanted: Wanted) -> Answer<SearchPage> {
    let query = Query::parse(&wanted.words).map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    if query.is_empty() && wanted.room.is_none() && wanted.from.is_none() && !wanted.file {
        let nothing = Problem::new(Code::BadRequest, "there is no word to search for");
        return Err(nothing.hint("name a word, or say what else: a room, from whom, with a file"));
    }
    let mut ask = ask(search, query, &wanted).await?;
    // Before anything is read: what comes meanwhile is not missing from an answer that says it is complete.
    let page = page(search).await?;
    let (mut items, mut next, mut looked) = (Vec::new(), None, 0);
    while looked < SEARCH_CANDIDATES {
        ask.limit = (2 * (wanted.limit - items.len())).clamp(10, 100).min(SEARCH_CANDIDATES - looked);
        let candidates = candidates(search, &ask).await?;
        looked += ask.limit;
        let more = candidates.len() == ask.limit;
        let now = now(search, rooms, &candidates).await?;
        for candidate in candidates {
            let mark = Mark(candidate.key);
            ask.after = Some(mark);
            next = Some(mark.to_string());
            items
                .extend(now.get(&candidate.key).and_then(|message| hit(&ask.query, &wanted, message, candidate.score)));
            if items.len() == wanted.limit {
                return Ok(SearchPage { items, next, ..page });
            }
        }
        if !more {
            return Ok(SearchPage { items, next: None, ..page });
        }
    }
    Ok(SearchPage { items, next, ..page })
}

/// A page without messages: how far the index is.
async fn page(search: &Search) -> Answer<SearchPage> {
    let (state, index, store) = (search.state(), search.index(), search.inner().store.clone());
    let behind = blocking(move || {
        let progress = index.and_then(|index| index.progress()).filter(|progress| progress.build.is_none());
        let Some(progress) = progress else { return Ok(true) };
        Ok(!store.changes(progress.group, 1).map_err(unreadable)?.changed.is_empty())
    });
    let complete = !behind.await.map_err(problem)?;
    Ok(SearchPage { items: Vec::new(), next: None, complete, indexed: state.indexed, total: state.total })
}

/// What the index is asked.
async fn ask(search: &Search, query: Query, wanted: &Wanted) -> Answer<Ask> {
    let after = wanted.cursor.as_deref().map(str::parse::<Mark>).transpose();
    let after = after.map_err(|_| Problem::new(Code::BadRequest, "not a cursor: take `next` of the page before"))?;
    let store = search.inner().store.clone();
    let room = match wanted.room {
        None => None,
        Some(room) => {
            let number = blocking(move || store.room_number(&room).map_err(unreadable)).await.map_err(problem)?;
            // A room of which nothing is stored has no number, and none has this one.
            Some(number.unwrap_or(u32::MAX))
        }
    };
    Ok(Ask {
        query,
        room,
        from: wanted.from,
        file: wanted.file,
        since: Hlc::at(wanted.since_ms).0,
        until: wanted.until_ms.map(|ms| Hlc::at(ms).0),
        after,
        limit: 0,
    })
}

/// What the index proposes; nothing while it is not open. That it is damaged is told to who builds it anew.
async fn candidates(search: &Search, ask: &Ask) -> Answer<Vec<Candidate>> {
    let Some(index) = search.index() else { return Ok(Vec::new()) };
    let _running = search.inner().running.acquire().await.map_err(|_| Problem::of(Code::Stopping))?;
    let ask = ask.clone();
    match blocking(move || index.candidates(&ask)).await {
        Err(SearchError::Damaged(why)) => {
            tracing::warn!(why, "the search index is damaged");
            search.broke();
            Ok(Vec::new())
        }
        other => other.map_err(problem),
    }
}

/// What the candidates are now, by place.
async fn now(search: &Search, rooms: &Rooms, candidates: &[Candidate]) -> Answer<HashMap<Key, Message>> {
    let mut places: BTreeMap<u32, Vec<_>> = BTreeMap::new();
    for candidate in candidates {
        places.entry(candidate.key.room).or_default().push(candidate.key.position);
    }
    let store = search.inner().store.clone();
    let numbers = blocking(move || store.room_numbers().map_err(unreadable)).await.map_err(problem)?;
    let numbers: BTreeMap<u32, RoomId> = numbers.into_iter().collect();
    let mut now = HashMap::new();
    for (number, places) in places {
        let Some(id) = numbers.get(&number) else { continue };
        // A room that is being forgotten has nothing to tell.
        let Ok(seen) = rooms.seen(*id, places, false).await else { continue };
        now.extend(seen.into_iter().map(|seen| (Key { position: seen.position, room: number }, seen.message)));
    }
    Ok(now)
}

/// A message as it is found, if it fits as it is now.
fn hit(query: &Query, wanted: &Wanted, message: &Message, score: f32) -> Option<SearchHit> {
    if message.deleted || wanted.file && message.files.is_empty() {
        return None;
    }
    let parts = parts(message);
    let found = query.find(&parts)?;
    let (snippet, marks) = snippet(parts.get(found.part).unwrap_or(&""), &found.ranges);
    Some(SearchHit { message: message.clone(), snippet, marks, score })
}

pub(super) fn unreadable(error: parlor_storage::ReadError) -> SearchError {
    SearchError::Io(error.to_string())
}

fn problem(error: SearchError) -> Problem {
    Problem::new(Code::Internal, error.to_string())
}
