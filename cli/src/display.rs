//! Text of other people on a terminal: escape sequences, direction overrides and invisible characters are made visible,
//! so that a name or message can neither move the cursor, nor recolour or rename anything, nor look like another one.
//!
//! What is kept: letters of all scripts, emoji with their joiners, and the joiners that Arabic and Indic scripts need
//! between their letters. The data itself is never changed; JSON answers carry it as it was written.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

/// Combining marks that may stand on one letter: more are a tower over other lines.
const MARKS_MAX: usize = 4;

/// Text of several lines: line ends stay, tabs become four spaces.
pub fn neutral(text: &str) -> String {
    clean(text, true)
}

/// Text of one line, such as a name: line ends become visible.
pub fn neutral_line(text: &str) -> String {
    clean(text, false)
}

/// A number of bytes as people say it.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    // The first with fewer than 1,024 of it; the last holds everything else.
    let step = (1..UNITS.len() as u32).find(|step| n >> (10 * step) < 1024).unwrap_or(UNITS.len() as u32);
    let tenths = (u128::from(n) * 10) >> (10 * step);
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS.get(step as usize - 1).unwrap_or(&"TiB"))
}

/// Columns that neutral text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

fn clean(text: &str, lines: bool) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut marks = 0;
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        match c {
            '\n' if lines => clean.push('\n'),
            '\r' if lines && rest.peek() == Some(&'\n') => {}
            '\t' if lines => clean.push_str("    "),
            // The pictures of control characters stand in their order.
            '\0'..='\u{1f}' => clean.extend(char::from_u32(0x2400 + u32::from(c))),
            '\u{7f}' => clean.push('\u{2421}'),
            '\u{200d}' if joins(before, rest.peek().copied()) => clean.push(c),
            '\u{200c}' if needs_joiners(before) && needs_joiners(rest.peek().copied()) => clean.push(c),
            _ if is_hidden(c) => drop(write!(clean, "<U+{:04X}>", u32::from(c))),
            _ if marks > MARKS_MAX => {}
            _ => clean.push(c),
        }
        // A variation selector belongs to the character before it.
        if c != '\u{fe0f}' {
            before = Some(c);
        }
    }
    clean
}

/// Characters that show nothing by themselves but change what is shown around them.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'                                       // C1 controls: escape sequences in one character
        | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'                                 // zero-width and direction marks
        | '\u{2028}'..='\u{202e}'                                 // line separators, direction overrides
        | '\u{2060}'..='\u{206f}'                                 // invisible operators, direction isolates
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'                               // tags and more variation selectors: hidden text
    )
}

fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Whether a joiner between these makes one emoji or one letter form of two.
fn joins(before: Option<char>, after: Option<char>) -> bool {
    let emoji = |c: Option<char>| c.is_some_and(|c| matches!(c, '\u{2190}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}'));
    emoji(before) && emoji(after) || needs_joiners(before) && needs_joiners(after)
}

/// Arabic and its neighbours, and the scripts of India.
fn needs_joiners(c: Option<char>) -> bool {
    c.is_some_and(|c| matches!(c, '\u{620}'..='\u{8ff}' | '\u{900}'..='\u{dff}'))
}

/// As much of a text as fits into `most` cells of a terminal, with a sign where something was left out.
pub fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(1);
    let fits = |c: &char| {
        let cells = width(c.encode_utf8(&mut [0; 4]));
        let fits = cells <= left;
        left = left.saturating_sub(cells);
        fits
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_on_a_terminal_is_made_visible() {
        let golden = [
            ("\u{1b}[31mred\u{1b}[0m", "␛[31mred␛[0m"),
            ("\u{1b}]0;title\u{7}", "␛]0;title␇"),
            ("\u{9b}2J", "<U+009B>2J"),
            ("a\rb", "a␍b"),
            ("a\u{8}b\u{7f}", "a␈b␡"),
            ("photo\u{202e}gnp.exe", "photo<U+202E>gnp.exe"),
            ("\u{2066}x\u{2069}", "<U+2066>x<U+2069>"),
            ("Al\u{200b}ice", "Al<U+200B>ice"),
            ("Al\u{200d}ice", "Al<U+200D>ice"),
            ("Al\u{200c}ice", "Al<U+200C>ice"),
            ("x\u{feff}\u{ad}\u{2028}", "x<U+FEFF><U+00AD><U+2028>"),
            ("hi\u{e0041}", "hi<U+E0041>"),
            ("\u{3164}", "<U+3164>"),
            ("a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}", "a\u{301}\u{301}\u{301}\u{301}"),
            ("\0", "␀"),
        ];
        for (text, wanted) in golden {
            assert_eq!(neutral(text), wanted, "{text:?}");
            assert_eq!(neutral_line(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn honest_text_of_all_scripts_stays_as_it_is() {
        for text in ["Grüße, señor", "日本語", "שלום", "می‌خواهم", "क्‍ष", "👩‍👩‍👧‍👦 ❤️ 🏳️‍🌈", "👍🏽", "ﷺ", "n\u{303}"]
        {
            assert_eq!(neutral(text), text);
        }
    }

    #[test]
    fn a_name_stays_on_its_line_and_a_message_keeps_its_lines() {
        assert_eq!(neutral_line("a\nb\tc"), "a␊b␉c");
        assert_eq!(neutral("a\nb\tc\r\nd"), "a\nb    c\nd");
    }
}
