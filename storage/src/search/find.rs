//! What the index proposes for a query: the newest messages first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;
use std::str::FromStr;

use parlor_proto::ids::AccountId;
use tantivy::query::{
    AllQuery, Bm25StatisticsProvider, BooleanQuery, EnableScoring, Occur, PhrasePrefixQuery, PhraseQuery,
    Query as TantivyQuery, Scorer, TermQuery, Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, Searcher, SegmentReader, TantivyError, Term};

use super::columns::{KeyColumns, STRETCH};
use super::index::{FILE_TAG, Fields, Key, SearchError, SearchIndex, account_tag, room_tag};
use super::query::{Clause, Query};
use super::words::{Kind, words};
use crate::limits::{SEARCH_CANDIDATES, SEARCH_STARTS};
use crate::timeline::Position;

/// What is asked of the index.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Words.
    pub query: Query,
    /// In this room only.
    pub room: Option<u32>,
    /// Written by this account.
    pub from: Option<AccountId>,
    /// With a file.
    pub file: bool,
    /// Not before this place in time.
    pub since: u64,
    /// Before this place in time.
    pub until: Option<u64>,
    /// Further than this.
    pub after: Option<Mark>,
    /// How many, at most [`SEARCH_CANDIDATES`].
    pub limit: usize,
}

/// A message that may fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Which.
    pub key: Key,
    /// How well its words fit, to be compared with others of the same answer.
    pub score: f32,
}

/// How far an answer goes: the place of its last candidate. As text 48 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub Key);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:08x}", self.0.position, self.0.room)
    }
}

impl FromStr for Mark {
    type Err = crate::ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (position, room) = text.split_at_checked(2 * Position::LEN).ok_or(crate::ParsePositionError)?;
        let room = u32::from_str_radix(room, 16).ok().filter(|number| format!("{number:08x}") == room);
        Ok(Self(Key { position: position.parse()?, room: room.ok_or(crate::ParsePositionError)? }))
    }
}

/// What is in a segment this many times as often as there are messages in a stretch occurs often.
const OFTEN: u32 = 16;

/// The part of a segment that is looked through first for what occurs often.
const PART: usize = 32;

/// As many stretches at least.
const LEAST_STRETCHES: usize = 4;

/// A candidate on the way, by its place; in which segment of which shelf.
type Place = (Key, (usize, usize), DocId);

impl SearchIndex {
    /// The newest messages that may fit, newest first. One that fits and was committed is among them, but for beginnings of more
    /// words than are looked at.
    ///
    /// # Errors
    /// See [`SearchError`].
    pub fn candidates(&self, ask: &Ask) -> Result<Vec<Candidate>, SearchError> {
        let searchers = self.inner().shelves().map(|shelf| shelf.reader.searcher());
        let found = self.newest(&searchers, ask).and_then(|places| self.scored(&searchers, &ask.query, places));
        found.map_err(|error| self.told(&error))
    }

    fn newest(&self, searchers: &[Searcher], ask: &Ask) -> Result<Vec<Place>, TantivyError> {
        let fields = self.inner().fields;
        let mut must = wanted(&ask.query, fields);
        let tag = |tag: &[u8]| -> Box<dyn TantivyQuery> {
            Box::new(TermQuery::new(Term::from_field_bytes(fields.tags, tag), IndexRecordOption::Basic))
        };
        must.extend(ask.room.map(|room| tag(&room_tag(room))));
        must.extend(ask.from.as_ref().map(|account| tag(&account_tag(account))));
        must.extend(ask.file.then(|| tag(FILE_TAG)));
        let all = all(must);
        let mut newest = Newest::new(ask);
        for (shelf, searcher) in searchers.iter().enumerate() {
            let weight = all.weight(EnableScoring::disabled_from_searcher(searcher))?;
            for (number, segment) in searcher.segment_readers().iter().enumerate() {
                let columns = self.inner().shelves()[shelf].columns.of(segment)?;
                if newest.looks_into(&columns) {
                    newest.look(&*weight, segment, &columns, (shelf, number))?;
                }
            }
        }
        Ok(newest.places())
    }

    fn scored(
        &self,
        searchers: &[Searcher],
        query: &Query,
        places: Vec<Place>,
    ) -> Result<Vec<Candidate>, TantivyError> {
        let mut found: Vec<_> = places.iter().map(|(key, ..)| Candidate { key: *key, score: 0.0 }).collect();
        let wanted = wanted(query, self.inner().fields);
        if wanted.is_empty() {
            return Ok(found);
        }
        let (all, together) = (all(wanted), Together(searchers));
        for (shelf, searcher) in searchers.iter().enumerate() {
            let weight = all.weight(EnableScoring::enabled_from_statistics_provider(&together, searcher))?;
            for (number, segment) in searcher.segment_readers().iter().enumerate() {
                let of_segment = places.iter().enumerate().filter(|(_, (_, at, _))| *at == (shelf, number));
                let mut docs: Vec<_> = of_segment.map(|(place, (_, _, doc))| (*doc, place)).collect();
                if docs.is_empty() {
                    continue;
                }
                docs.sort_unstable();
                let mut scorer = weight.scorer(segment, 1.0)?;
                for (doc, place) in docs {
                    if scorer.doc() < doc {
                        scorer.seek(doc);
                    }
                    if scorer.doc() == doc
                        && let Some(candidate) = found.get_mut(place)
                    {
                        candidate.score = scorer.score();
                    }
                }
            }
        }
        Ok(found)
    }
}

/// The newest candidates so far.
struct Newest<'a> {
    ask: &'a Ask,
    limit: usize,
    until: u64,
    after: u64,
    heap: BinaryHeap<Reverse<Place>>,
}

impl<'a> Newest<'a> {
    fn new(ask: &'a Ask) -> Self {
        let limit = ask.limit.min(SEARCH_CANDIDATES);
        let until = ask.until.unwrap_or(u64::MAX);
        let after = ask.after.map_or(u64::MAX, |mark| mark.0.position.order);
        Self { ask, limit, until, after, heap: BinaryHeap::with_capacity(limit + 1) }
    }

    /// What is older than this is not among them.
    fn least(&self) -> u64 {
        let full = self.heap.len() == self.limit;
        let last = self.heap.peek().filter(|_| full).map_or(0, |Reverse(at)| at.0.position.order);
        last.max(self.ask.since)
    }

    fn looks_into(&self, columns: &KeyColumns) -> bool {
        columns.reach(self.least(), self.until.min(self.after))
    }

    /// Looks through a segment. Of what occurs often the newest stretches are looked through first: mostly the others have nothing that
    /// is new enough then.
    fn look(
        &mut self,
        weight: &dyn Weight,
        segment: &SegmentReader,
        columns: &KeyColumns,
        at: (usize, usize),
    ) -> Result<(), TantivyError> {
        let mut first = weight.scorer(segment, 1.0)?;
        let stretches = columns.stretches(self.least(), self.until.min(self.after));
        let mut newest: Vec<u64> = stretches.iter().map(|(_, most)| *most).collect();
        let often = first.size_hint() / STRETCH >= OFTEN;
        let n = if often { (stretches.len() / PART).max(LEAST_STRETCHES) } else { stretches.len() };
        let from = match newest.len().checked_sub(n) {
            Some(older) if older > 0 => *newest.select_nth_unstable(older).1,
            _ => 0,
        };
        let (now, later): (Vec<_>, Vec<_>) = stretches.into_iter().partition(|(_, most)| *most >= from);
        self.look_through(&mut *first, now, columns, segment, at);
        // Whoever reads goes forward only.
        if later.iter().any(|(_, most)| *most >= self.least()) {
            self.look_through(&mut *weight.scorer(segment, 1.0)?, later, columns, segment, at);
        }
        Ok(())
    }

    fn look_through(
        &mut self,
        docs: &mut dyn Scorer,
        stretches: Vec<(u32, u64)>,
        columns: &KeyColumns,
        segment: &SegmentReader,
        at: (usize, usize),
    ) {
        let mut some = Vec::with_capacity(STRETCH as usize);
        for (number, most) in stretches {
            if most < self.least() {
                continue;
            }
            let mut doc = docs.doc();
            if doc < number * STRETCH {
                doc = docs.seek(number * STRETCH);
            }
            while doc < (number + 1).saturating_mul(STRETCH) {
                some.push(doc);
                doc = docs.advance();
            }
            self.take(&some, at, columns, segment);
            some.clear();
        }
    }

    fn take(&mut self, docs: &[DocId], at: (usize, usize), columns: &KeyColumns, segment: &SegmentReader) {
        let alive = segment.alive_bitset();
        let mut least = self.least();
        for doc in docs {
            let Some(order) = columns.order_from(*doc, least) else { continue };
            let out = order >= self.until || order > self.after;
            if out || alive.is_some_and(|alive| alive.is_deleted(*doc)) {
                continue;
            }
            let Some(key) = columns.key(*doc) else { continue };
            if self.ask.after.is_some_and(|mark| key >= mark.0) {
                continue;
            }
            self.heap.push(Reverse((key, at, *doc)));
            if self.heap.len() > self.limit {
                self.heap.pop();
            }
            least = self.least();
        }
    }

    fn places(self) -> Vec<Place> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(place)| place).collect()
    }
}

/// How often words occur on all shelves together, so that scores of one answer can be compared.
struct Together<'a>(&'a [Searcher]);

impl Bm25StatisticsProvider for Together<'_> {
    fn total_num_tokens(&self, field: Field) -> tantivy::Result<u64> {
        self.0.iter().map(|searcher| searcher.total_num_tokens(field)).sum()
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        self.0.iter().map(Bm25StatisticsProvider::total_num_docs).sum()
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        self.0.iter().map(|searcher| searcher.doc_freq(term)).sum()
    }
}

/// All of these; everything if there is none.
fn all(mut must: Vec<Box<dyn TantivyQuery>>) -> Box<dyn TantivyQuery> {
    match must.len() {
        0 => Box::new(AllQuery),
        1 => must.remove(0),
        _ => Box::new(BooleanQuery::new(must.into_iter().map(|query| (Occur::Must, query)).collect())),
    }
}

/// What the index is asked for a query: never less than what fits.
fn wanted(query: &Query, fields: Fields) -> Vec<Box<dyn TantivyQuery>> {
    let mut all: Vec<Box<dyn TantivyQuery>> = Vec::new();
    for clause in &query.clauses {
        match clause {
            Clause::Word(word) => all.push(one(word, fields)),
            Clause::Start(start) => all.push(begins(start, fields)),
            Clause::Phrase { words, open: false } => all.push(next_to_each_other(words, fields)),
            Clause::Phrase { words, open: true } => {
                // That the last one is next to the others is looked at in the text.
                if let Some(((_, last), whole)) = words.split_last() {
                    all.push(next_to_each_other(whole, fields));
                    all.push(begins(last, fields));
                }
            }
        }
    }
    all
}

fn one(word: &str, fields: Fields) -> Box<dyn TantivyQuery> {
    Box::new(TermQuery::new(Term::from_field_text(fields.words, word), IndexRecordOption::WithFreqs))
}

fn next_to_each_other(words: &[(u32, String)], fields: Fields) -> Box<dyn TantivyQuery> {
    let term = |(at, word): &(u32, String)| (*at as usize, Term::from_field_text(fields.words, word));
    match words {
        [] => Box::new(AllQuery),
        [(_, word)] => one(word, fields),
        words => Box::new(PhraseQuery::new_with_offset(words.iter().map(term).collect())),
    }
}

fn begins(start: &str, fields: Fields) -> Box<dyn TantivyQuery> {
    let of_letters = words(start).first().is_some_and(|word| word.kind == Kind::Letters);
    if of_letters && start.chars().count() <= 2 {
        return Box::new(TermQuery::new(Term::from_field_text(fields.starts, start), IndexRecordOption::Basic));
    }
    let mut begins = PhrasePrefixQuery::new(vec![Term::from_field_text(fields.words, start)]);
    begins.set_max_expansions(SEARCH_STARTS);
    Box::new(begins)
}
