//! What is asked for: words, beginnings of words, phrases; and whether a text has it.

use std::ops::Range;

use super::words::{Kind, Word, words};

/// Longest query in bytes.
pub const MAX_QUERY: usize = 512;

/// Words of a query, at most: each is looked up.
pub const MAX_QUERY_WORDS: usize = 16;

/// Places between two parts of a message, so that no phrase goes from one into the other.
pub(crate) const APART: u32 = 8;

/// A query that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    pub(crate) clauses: Vec<Clause>,
}

/// What must occur.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clause {
    Word(String),
    /// A word that begins so.
    Start(String),
    /// Words at these distances; the last one may only begin so.
    Phrase {
        words: Vec<(u32, String)>,
        open: bool,
    },
}

/// A query that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a query has at most {MAX_QUERY} bytes and {MAX_QUERY_WORDS} words")]
pub struct TooLong;

/// Where a query was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// In which part of the message,
    pub part: usize,
    /// and where in it, in bytes; ascending, apart from each other.
    pub ranges: Vec<Range<usize>>,
}

impl Query {
    /// Reads a query as a user types it.
    ///
    /// # Errors
    /// [`TooLong`]; nothing else is wrong.
    pub fn parse(text: &str) -> Result<Self, TooLong> {
        if text.len() > MAX_QUERY {
            return Err(TooLong);
        }
        let mut clauses = Vec::new();
        let mut rest = text.trim_start();
        let mut n_words = 0;
        while let Some(first) = rest.chars().next() {
            let (chunk, quoted, after) = if is_quote(first) {
                let inner = &rest[first.len_utf8()..];
                match inner.char_indices().find(|(_, c)| is_quote(*c)) {
                    Some((end, quote)) => (&inner[..end], true, &inner[end + quote.len_utf8()..]),
                    // Not written to its end yet.
                    None => (inner, inner.ends_with(char::is_whitespace), ""),
                }
            } else {
                let end = rest.find(|c: char| c.is_whitespace() || is_quote(c)).unwrap_or(rest.len());
                (&rest[..end], false, &rest[end..])
            };
            // The last word may go on, unless a blank says that it is over.
            let open = !quoted && (after.is_empty() || chunk.ends_with('*'));
            n_words += add(&mut clauses, words(chunk), open);
            if n_words > MAX_QUERY_WORDS {
                return Err(TooLong);
            }
            rest = after.trim_start();
        }
        Ok(Self { clauses })
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Where it is found in the parts of a message; `None` if something of it does not occur. Of an empty query nothing, in the
    /// first part.
    pub fn find(&self, parts: &[&str]) -> Option<Found> {
        let mut found = Vec::new();
        let words = in_parts(parts);
        for clause in &self.clauses {
            let before = found.len();
            clause.find(&words, &mut found);
            if found.len() == before {
                return None;
            }
        }
        let part = found.iter().map(|(part, _)| *part).min().unwrap_or(0);
        let mut ranges: Vec<_> = found.into_iter().filter(|(at, _)| *at == part).map(|(_, range)| range).collect();
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        let mut apart: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        Some(Found { part, ranges: apart })
    }
}

/// Words of the parts of a message, with the number of their part; places run on from part to part.
pub(crate) fn in_parts(parts: &[&str]) -> Vec<(usize, Word)> {
    let mut all = Vec::new();
    let mut next = 0;
    for (part, text) in parts.iter().enumerate() {
        let mut end = next;
        for mut word in words(text) {
            word.place += next;
            end = word.place + APART;
            all.push((part, word));
        }
        next = end;
        if all.len() >= super::words::MAX_WORDS {
            all.truncate(super::words::MAX_WORDS);
            break;
        }
    }
    all
}

/// Adds what a chunk without blanks, or a phrase, asks for; how many words that are.
fn add(clauses: &mut Vec<Clause>, chunk: Vec<Word>, open: bool) -> usize {
    let Some(first) = chunk.first().map(|word| word.place) else { return 0 };
    let last = chunk.len() - 1;
    let mut open = open;
    let mut asked: Vec<(u32, String)> = Vec::with_capacity(chunk.len());
    for (at, word) in chunk.iter().enumerate() {
        if word.kind == Kind::Last {
            // The end of a run is the end of a run in the text only if something stands behind it.
            let alone = at == 0 || chunk[at - 1].kind != Kind::Pair;
            if !alone {
                continue;
            }
            open |= at == last;
        }
        asked.push((word.place - first, word.text.clone()));
    }
    // Of a pair nothing is left to be written.
    let open = open
        && chunk.last().is_some_and(|word| match word.kind {
            Kind::Letters => true,
            Kind::Last => last == 0 || chunk[last - 1].kind != Kind::Pair,
            Kind::Pair | Kind::Sign => false,
        });
    let n_words = asked.len();
    let clause = match <[_; 1]>::try_from(asked) {
        Ok([(_, word)]) if open => Clause::Start(word),
        Ok([(_, word)]) => Clause::Word(word),
        Err(words) => Clause::Phrase { words, open },
    };
    if !clauses.contains(&clause) {
        clauses.push(clause);
    }
    n_words
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\u{201c}' | '\u{201d}' | '\u{201e}')
}

impl Clause {
    /// Adds where it is found.
    fn find(&self, words: &[(usize, Word)], found: &mut Vec<(usize, Range<usize>)>) {
        match self {
            Self::Word(text) => {
                let same = words.iter().filter(|(_, word)| word.text == *text);
                found.extend(same.map(|(part, word)| (*part, word.start..word.end)));
            }
            Self::Start(text) => {
                let begin = words.iter().filter(|(_, word)| word.text.starts_with(text.as_str()));
                found.extend(begin.map(|(part, word)| (*part, begun(word))));
            }
            Self::Phrase { words: wanted, open } => {
                let Some((_, first)) = wanted.first() else { return };
                for (at, (part, word)) in words.iter().enumerate().filter(|(_, (_, word))| word.text == *first) {
                    if let Some(ranges) = phrase(wanted, *open, word.place, &words[at..]) {
                        found.extend(ranges.into_iter().map(|range| (*part, range)));
                    }
                }
            }
        }
    }
}

/// What of a word is marked of which the beginning was asked for: all of it, of a pair the one character.
fn begun(word: &Word) -> Range<usize> {
    let end = if word.kind == Kind::Pair { word.first_end } else { word.end };
    word.start..end
}

/// A phrase that begins at a place.
fn phrase(wanted: &[(u32, String)], open: bool, place: u32, words: &[(usize, Word)]) -> Option<Vec<Range<usize>>> {
    let mut ranges = Vec::with_capacity(wanted.len());
    for (at, (distance, text)) in wanted.iter().enumerate() {
        let begins = open && at + 1 == wanted.len();
        let found = words.iter().find(|(_, word)| word.place == place + distance)?;
        let fits = if begins { found.1.text.starts_with(text.as_str()) } else { found.1.text == *text };
        if !fits {
            return None;
        }
        ranges.push(if begins { begun(&found.1) } else { found.1.start..found.1.end });
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(query: &str, text: &str) -> bool {
        Query::parse(query).unwrap().find(&[text]).is_some()
    }

    #[test]
    fn words_beginnings_and_phrases_are_told_apart() {
        for (query, text, fits) in [
            ("hello", "Hello, world", true),
            ("hel", "Hello, world", true),
            ("hel ", "Hello, world", false),
            ("hel* wor", "Hello, world", true),
            ("hel wor", "Hello, world", false),
            ("world hello", "Hello, world", true),
            ("\"hello world\"", "Hello, world", true),
            ("\"world hello\"", "Hello, world", false),
            ("\"hello wor\"", "Hello, world", false),
            ("\"hello wor", "Hello, world", true),
            ("\"hello wor ", "Hello, world", false),
            ("don't", "I don't know", true),
            ("don't", "don, t", true),
            ("don't", "don, or t", false),
            ("don't", "I do not know", false),
            ("a-b.c", "see a-b.cd", true),
            ("a-b.c ", "see a-b.cd", false),
            ("日", "今日は", true),
            ("は", "今日は", true),
            ("今日", "今日は", true),
            ("日今", "今日は", false),
            ("今は", "今日は", false),
            ("手机", "iPhone手机", true),
            ("\"手 abc\"", "买手 abc", true),
            ("\"手机 abc\"", "手机电 abc", false),
            ("🎉", "done 🎉", true),
            ("héLLO", "hello", true),
            ("", "anything", true),
            ("!!!", "anything", true),
        ] {
            assert_eq!(finds(query, text), fits, "{query:?} in {text:?}");
        }
    }

    #[test]
    fn what_was_found_is_marked() {
        let found = |query: &str, parts: &[&str]| Query::parse(query).unwrap().find(parts);
        assert_eq!(found("wor hello", &["Hello, wörld"]), None, "wor is not the last word");
        assert_eq!(found("hel", &["Hello, help"]).unwrap(), Found { part: 0, ranges: vec![0..5, 7..11] });
        assert_eq!(found("hello wor", &["Hello, wörld"]).unwrap().ranges, [0..5, 7..13]);
        let only = |query: &str, parts: &[&str]| {
            let found = found(query, parts).unwrap();
            assert_eq!(found.ranges.len(), 1);
            (found.part, found.ranges[0].clone())
        };
        assert_eq!(only("本", &["日本語"]), (0, 3..6));
        assert_eq!(only("日本語", &["x 日本語"]), (0, 2..11));
        assert_eq!(only("plan", &["text", "plan.pdf"]), (1, 0..4));
        assert_eq!(found("\"text plan\"", &["text", "plan.pdf"]), None, "a phrase stays in its part");
    }

    #[test]
    fn what_is_too_long_is_refused_and_nothing_else() {
        assert_eq!(Query::parse(&"x".repeat(MAX_QUERY + 1)), Err(TooLong));
        let many = (0..=MAX_QUERY_WORDS).map(|n| format!("w{n} ")).collect::<String>();
        assert_eq!(Query::parse(&many), Err(TooLong));
        for odd in [
            "\"",
            "\"\"",
            "*",
            "* *",
            "\"\u{301}",
            "\u{201c}x\u{201d}\u{201e}",
            "\0",
            "\u{202e}x",
            "((\\[^",
            "a AND NOT b:c^2~",
        ] {
            Query::parse(odd).unwrap().find(&[odd]);
        }
    }
}
