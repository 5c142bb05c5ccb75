//! The part of a message around what was found.

use std::ops::Range;

use crate::limits::SNIPPET_CHARS;

/// Characters before what was found.
const BEFORE: usize = 40;

/// What is shown of a text, on one line, with what was found in it as ranges of characters. `found` is in bytes, ascending.
pub(super) fn snippet(text: &str, found: &[Range<usize>]) -> (String, Vec<[u32; 2]>) {
    let first = found.first().map_or(0, |range| range.start);
    let ahead = text.get(..first).unwrap_or_default();
    let mut begin = ahead.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
    if begin > 0
        && let Some(blank) = ahead.get(begin..).and_then(|text| text.find(char::is_whitespace))
    {
        // Words are not cut at the beginning, if there is a blank.
        begin += blank + 1;
        while !text.is_char_boundary(begin) {
            begin += 1;
        }
    }
    let rest = text.get(begin..).unwrap_or_default();
    let end = rest.char_indices().nth(SNIPPET_CHARS).map_or(text.len(), |(at, _)| begin + at);
    let (cut_before, cut_after) = (begin > 0, end < text.len());
    let shown = text.get(begin..end).unwrap_or_default();
    let mut line = String::with_capacity(shown.len() + 6);
    line.extend(cut_before.then_some('…'));
    line.extend(shown.chars().map(|c| if c.is_control() { ' ' } else { c }));
    line.extend(cut_after.then_some('…'));
    let place = |byte: usize| {
        let chars = text.get(begin..byte).map_or(0, |text| text.chars().count()) + usize::from(cut_before);
        u32::try_from(chars).unwrap_or(u32::MAX)
    };
    let within = found.iter().filter(|range| range.start >= begin && range.start < end);
    let marks = within.map(|range| [place(range.start), place(range.end.min(end))]).filter(|[from, to]| from < to);
    (line, marks.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, found: &[Range<usize>]) -> Vec<String> {
        let (line, marks) = snippet(text, found);
        let chars: Vec<char> = line.chars().collect();
        marks.iter().map(|[from, to]| chars[*from as usize..*to as usize].iter().collect()).collect()
    }

    fn one(text: &str, range: Range<usize>) -> (String, Vec<[u32; 2]>) {
        snippet(text, std::slice::from_ref(&range))
    }

    fn alone(text: &str, range: Range<usize>) -> Vec<String> {
        marked(text, std::slice::from_ref(&range))
    }

    #[test]
    fn what_was_found_is_marked_by_characters() {
        assert_eq!(marked("hello wörld", &[0..5, 6..12]), ["hello", "wörld"]);
        assert_eq!(one("a\nb", 2..3), ("a b".to_owned(), vec![[2, 3]]));
        assert_eq!(snippet("", &[]), (String::new(), Vec::new()));
    }

    #[test]
    fn a_long_text_is_cut_around_what_was_found() {
        let text = format!("{}needle {}", "é 日本 ".repeat(200), "x ".repeat(500));
        let at = text.find("needle").unwrap();
        let (line, _) = snippet(&text, &[at..at + 6, text.len() - 2..text.len() - 1]);
        assert!(line.starts_with('…') && line.ends_with('…') && line.chars().count() <= SNIPPET_CHARS + 2, "{line}");
        assert_eq!(alone(&text, at..at + 6), ["needle"]);
        let many = "本".repeat(1_000);
        assert_eq!(alone(&many, 900..903), ["本"]);
    }

    #[test]
    fn ranges_that_do_not_fit_are_no_reason_to_fall() {
        for range in [0..0, 1..2, 2..100, 50..60] {
            let _ = one("é本x", range);
        }
    }
}
