//! A text as words with places: what is indexed, and what a query asks for. The rules are in `docs/spec/search.md`.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{compose, is_combining_mark};

/// Words of one message that are indexed: more than the longest text has.
pub(crate) const MAX_WORDS: usize = 4_096;

/// Characters of a word that count.
const MAX_CHARS: usize = 32;

/// What a word is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters and digits.
    Letters,
    /// Two characters of a script without blanks.
    Pair,
    /// The last character of a run of such a script.
    Last,
    /// An emoji or pictograph.
    Sign,
}

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// As it is compared.
    pub(crate) text: String,
    pub(crate) kind: Kind,
    /// Its place among the words.
    pub(crate) place: u32,
    /// Where it stands in the text, in bytes,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// and where its first character ends.
    pub(crate) first_end: usize,
}

/// A character as it is compared, and what it comes from.
#[derive(Debug, Clone, Copy)]
struct Unit {
    char: char,
    class: Class,
    start: usize,
    end: usize,
    /// Something stands between it and the one before.
    apart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    /// Of a script that is written without blanks, or nearly.
    Joined,
    Sign,
}

/// The words of a text, in the order of their places.
pub(crate) fn words(text: &str) -> Vec<Word> {
    let units = units(text);
    let mut words = Vec::new();
    let mut place = 0;
    let mut rest = units.as_slice();
    while let Some(first) = rest.first() {
        let run = 1 + rest.iter().skip(1).take_while(|unit| !unit.apart && unit.class == first.class).count();
        let (now, later) = rest.split_at(run);
        rest = later;
        match first.class {
            Class::Letter => {
                words.push(word(now, Kind::Letters, place));
                place += 1;
            }
            Class::Joined => {
                for pair in now.windows(2) {
                    words.push(word(pair, Kind::Pair, place));
                    place += 1;
                }
                words.push(word(&now[now.len() - 1..], Kind::Last, place));
                place += 1;
            }
            Class::Sign => {
                for sign in now.chunks(1) {
                    words.push(word(sign, Kind::Sign, place));
                    place += 1;
                }
            }
        }
        if words.len() >= MAX_WORDS {
            words.truncate(MAX_WORDS);
            break;
        }
    }
    words
}

fn word(units: &[Unit], kind: Kind, place: u32) -> Word {
    let text = units.iter().take(MAX_CHARS).map(|unit| unit.char).collect();
    let at = |unit: Option<&Unit>| unit.map_or((0, 0), |unit| (unit.start, unit.end));
    let ((start, first_end), (_, end)) = (at(units.first()), at(units.last()));
    Word { text, kind, place, start, end, first_end }
}

fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut apart = true;
    // A mark that is left out belongs to what stands before it: it is marked with it where that was found.
    for (start, original) in text.char_indices() {
        let end = start + original.len_utf8();
        if is_ignored(original) {
            continue;
        }
        for part in std::iter::once(original).nfkd().filter(|part| !is_accent(*part)) {
            for small in part.to_lowercase() {
                apart = push(&mut units, small, (start, end), apart);
            }
        }
    }
    units
}

/// Adds a character, or composes it with the one before; whether the next one is apart.
fn push(units: &mut Vec<Unit>, char: char, (start, end): (usize, usize), apart: bool) -> bool {
    if let Some(last) = units.last_mut().filter(|_| !apart)
        && let Some(composed) = compose(last.char, char)
    {
        (last.char, last.end) = (composed, end);
        last.class = class(composed).unwrap_or(last.class);
        return false;
    }
    let Some(found) = class(char) else { return true };
    let mut apart = apart;
    for char in simple(char).chars() {
        units.push(Unit { char, class: found, start, end, apart });
        apart = false;
    }
    false
}

/// What a small letter is compared as, where that is no matter of accents.
fn simple(char: char) -> Simple {
    Simple::new(
        match char {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'þ' => "th",
            'ø' => "o",
            'ł' => "l",
            'đ' => "d",
            'ı' => "i",
            'ς' => "σ",
            _ => "",
        },
        char,
    )
}

/// One or two characters.
struct Simple {
    known: &'static str,
    other: char,
}

impl Simple {
    fn new(known: &'static str, other: char) -> Self {
        Self { known, other }
    }

    fn chars(&self) -> impl Iterator<Item = char> + '_ {
        let other = self.known.is_empty().then_some(self.other);
        self.known.chars().chain(other)
    }
}

/// What belongs to what stands before it and is not compared: joiners, variation selectors, skin tones.
fn is_ignored(char: char) -> bool {
    matches!(u32::from(char), 0xAD | 0x200C | 0x200D | 0x2060 | 0xFE00..=0xFE0F | 0x1F3FB..=0x1F3FF | 0xE0000..=0xE007F)
}

fn is_accent(char: char) -> bool {
    matches!(
        u32::from(char),
        0x0300..=0x036F
            | 0x0591..=0x05C7
            | 0x0610..=0x061A
            | 0x064B..=0x065F
            | 0x0670
            | 0x1AB0..=0x1AFF
            | 0x1DC0..=0x1DFF
            | 0x20D0..=0x20FF
            | 0xFE20..=0xFE2F
    )
}

fn class(char: char) -> Option<Class> {
    match u32::from(char) {
        0x3005..=0x3007
        | 0x3041..=0x30FA
        | 0x30FC..=0x30FF
        | 0x31F0..=0x31FF
        | 0x3400..=0x4DBF
        | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF
        | 0x20000..=0x3FFFF => Some(Class::Joined),
        0x1100..=0x11FF | 0x3130..=0x318F | 0xAC00..=0xD7FF => Some(Class::Joined),
        0x0E01..=0x0E3A | 0x0E40..=0x0E4E | 0x0E80..=0x0ECF | 0x1000..=0x103F | 0x1780..=0x17D3 => Some(Class::Joined),
        0x2300..=0x23FF | 0x2600..=0x27BF | 0x2B00..=0x2BFF | 0x1F000..=0x1FAFF => Some(Class::Sign),
        _ if char.is_alphanumeric() || is_combining_mark(char) => Some(Class::Letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        words(text).into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn case_accents_and_forms_make_no_difference() {
        assert_eq!(texts("Héllo, WORLD! re\u{301}sume\u{301}"), ["hello", "world", "resume"]);
        assert_eq!(texts("ｆｕｌｌ　Straße Ærø Łódź ΣΊΣΥΦΟΣ"), ["full", "strasse", "aero", "lodz", "σισυφοσ"]);
        assert_eq!(texts("don't a-b.c 3,5 x_y"), ["don", "t", "a", "b", "c", "3", "5", "x", "y"]);
        assert_eq!(texts("שָׁלוֹם مُحَمَّد"), ["שלום", "محمد"]);
        assert_eq!(texts("İstanbul ISTANBUL"), ["istanbul", "istanbul"]);
    }

    #[test]
    fn scripts_without_blanks_are_cut_into_pairs() {
        assert_eq!(texts("日本語"), ["日本", "本語", "語"]);
        assert_eq!(texts("語 한국"), ["語", "한국", "국"]);
        assert_eq!(texts("\u{1112}\u{1161}\u{11ab}국"), ["한국", "국"], "Hangul written in parts");
        assert_eq!(texts("ガム"), texts("カ\u{3099}ム"), "marks of kana stay");
        assert_ne!(texts("ガ"), texts("カ"));
        assert_eq!(texts("iPhone手机"), ["iphone", "手机", "机"]);
        assert_eq!(words("日本 x").iter().map(|word| word.place).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn an_emoji_is_a_word_whatever_its_skin() {
        assert_eq!(texts("ok 👍🏽🎉!"), ["ok", "👍", "🎉"]);
        assert_eq!(texts("❤\u{fe0f}"), ["❤"]);
    }

    #[test]
    fn a_word_knows_where_it_stands() {
        let text = "Ein Cafe\u{301} 日本!";
        let found = words(text);
        let at = |n: usize| &text[found[n].start..found[n].end];
        assert_eq!((at(0), at(2), at(3)), ("Ein", "日本", "本"));
        assert_eq!(&text[found[2].start..found[2].first_end], "日");
        assert!(at(1).starts_with("Cafe"));
    }

    #[test]
    fn what_is_long_is_cut_and_nothing_is_no_word() {
        assert_eq!(texts(&"x".repeat(1_000)), ["x".repeat(MAX_CHARS)]);
        assert_eq!(words(&"a ".repeat(10_000)).len(), MAX_WORDS);
        assert_eq!(words(&"日".repeat(10_000)).len(), MAX_WORDS);
        assert!(words(" .,!?\u{301}\u{200d}\u{0}").is_empty());
    }
}
