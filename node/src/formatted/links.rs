//! Links: which are safe to follow, and addresses that stand in a text.

use parlor_api::Span;

/// Longest address.
const URL_MAX: usize = 2_048;

/// What an address begins with.
const SCHEMES: [&str; 3] = ["https://", "http://", "mailto:"];

/// Whether a window may offer to go there: a scheme that runs nothing here, and nothing in it that hides where it leads.
pub(super) fn is_safe(url: &str) -> bool {
    let begins = |scheme: &&str| {
        url.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)) && url.len() > scheme.len()
    };
    let hides = |c: char| c.is_control() || c.is_whitespace() || is_invisible(c);
    url.len() <= URL_MAX && SCHEMES.iter().any(begins) && !url.chars().any(hides)
}

/// Characters that turn the direction of text or show nothing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Adds text, to the text before if there is one.
pub(super) fn push_text(spans: &mut Vec<Span>, text: &str) {
    match spans.last_mut() {
        _ if text.is_empty() => {}
        Some(Span::Text { text: before }) => before.push_str(text),
        _ => spans.push(Span::Text { text: text.to_owned() }),
    }
}

/// Adds text with a link for each address in it, at most so many; answers how many there were.
pub(super) fn split(text: &str, budget: usize, spans: &mut Vec<Span>) -> usize {
    let mut rest = text;
    let mut found = 0;
    let mut from = 0;
    while found < budget {
        let Some(at) = next(rest, from) else { break };
        let (before, address) = rest.split_at(at);
        let len = length(address);
        let url = address.get(..len).unwrap_or_default();
        if !is_safe(url) {
            // Behind all of it, or a text of addresses that are none would be measured again from each of them.
            from = at + run(address);
            continue;
        }
        push_text(spans, before);
        spans.push(Span::Link { url: url.to_owned(), spans: vec![Span::Text { text: url.to_owned() }] });
        found += 1;
        rest = address.get(len..).unwrap_or_default();
        from = 0;
    }
    push_text(spans, rest);
    found
}

/// Where the next address may begin: a scheme that is not the end of a longer word.
fn next(text: &str, from: usize) -> Option<usize> {
    let tail = text.get(from..)?;
    for (at, _) in tail.match_indices(':') {
        let colon = from + at;
        for scheme in SCHEMES {
            let word = scheme.split(':').next().unwrap_or_default();
            let Some(start) = colon.checked_sub(word.len()).filter(|start| *start >= from) else { continue };
            let here = text.get(start..start + scheme.len()).is_some_and(|it| it.eq_ignore_ascii_case(scheme));
            let begins = text.get(..start).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
            if here && begins {
                return Some(start);
            }
        }
    }
    None
}

/// How long the address at the beginning of `text` is: up to white space, without what ends a sentence or closes a bracket that
/// was opened before it.
fn length(text: &str) -> usize {
    let end = run(text);
    if end > 2 * URL_MAX {
        return end;
    }
    let mut address = text.get(..end).unwrap_or_default();
    let open = address.matches('(').count();
    let mut closed = address.matches(')').count();
    while let Some(last) = address.chars().next_back() {
        let ends = match last {
            ')' => closed > open,
            _ => ".,;:!?'*_~]}".contains(last),
        };
        if !ends {
            break;
        }
        closed -= usize::from(last == ')');
        address = address.get(..address.len() - last.len_utf8()).unwrap_or_default();
    }
    address.len()
}

/// How long the run of characters is that an address at the beginning of `text` may be part of.
fn run(text: &str) -> usize {
    let ends = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
    text.find(ends).unwrap_or(text.len())
}
