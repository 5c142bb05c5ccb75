//! What a name and a text about oneself may be.
//!
//! A name is shown where people decide whom they believe, so it has one form, shows everything that is in it, and has words
//! of one script each: `Аlice` with a Cyrillic letter is no name. Two names that look alike ([`crate::name::look`]) are both
//! allowed, for nobody owns a name here; whoever shows them tells the accounts apart.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::MixedScript as _;

use crate::body::is_hidden;
use crate::limits::{MAX_ABOUT, MAX_ABOUT_LINES, MAX_PROFILE_NAME};

/// Marks that may stand on one letter: no script in use needs more, and more hide the lines around.
const MAX_MARKS: usize = 3;

/// Why a text can not be in a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// Nothing is left of it.
    #[error("it is empty")]
    Empty,
    /// Longer than a name may be.
    #[error("a name has at most {MAX_PROFILE_NAME} bytes")]
    LongName,
    /// Longer than a text may be.
    #[error("a text about you has at most {MAX_ABOUT} bytes and {MAX_ABOUT_LINES} lines")]
    LongAbout,
    /// Characters that show nothing, turn the direction of writing, or pile up.
    #[error("it has characters that can not be seen, or that change how others are shown")]
    Hidden,
    /// Nothing that can be read aloud.
    #[error("a name has at least one letter or digit")]
    Nameless,
    /// A word with letters of several scripts, which people take for another.
    #[error("a word of it has letters of several scripts, which people take for each other")]
    MixedScript,
    /// A parenthesis, or what looks like one: they stand around the account of those who are told apart by it.
    #[error("a name has no parentheses: what stands in them tells accounts apart")]
    Parenthesis,
    /// Not as [`name`] or [`about`] writes it.
    #[error("not in normal form")]
    NotNormal,
}

/// The name that somebody typed, in its one form: NFKC, single spaces between words.
///
/// # Errors
/// [`TextError`] says why it is none.
pub fn name(text: &str) -> Result<String, TextError> {
    if text.len() > 8 * MAX_PROFILE_NAME {
        return Err(TextError::LongName);
    }
    let normal = text.nfkc().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    check_name(&normal)?;
    Ok(normal)
}

/// The text about somebody, as he typed it, in its one form: NFC, without blanks at its ends.
///
/// # Errors
/// [`TextError`] says why it is none.
pub fn about(text: &str) -> Result<String, TextError> {
    if text.len() > 8 * MAX_ABOUT {
        return Err(TextError::LongAbout);
    }
    let normal = text.replace("\r\n", "\n").nfc().collect::<String>();
    let normal = normal.trim().to_owned();
    check_about(&normal)?;
    Ok(normal)
}

/// Whether it is a name as [`name`] gives it.
pub(super) fn check_name(name: &str) -> Result<(), TextError> {
    match name.len() {
        0 => return Err(TextError::Empty),
        n if n > MAX_PROFILE_NAME => return Err(TextError::LongName),
        _ => {}
    }
    if name.chars().any(|c| c != ' ' && hides(c)) || piles_up(name) {
        return Err(TextError::Hidden);
    }
    if !name.chars().any(char::is_alphanumeric) {
        return Err(TextError::Nameless);
    }
    if !name.split(' ').all(|word| word.is_single_script()) {
        return Err(TextError::MixedScript);
    }
    if crate::name::look(name).contains('(') {
        return Err(TextError::Parenthesis);
    }
    let spaced = name.split(' ').all(|word| !word.is_empty());
    if !spaced || !name.nfkc().eq(name.chars()) { Err(TextError::NotNormal) } else { Ok(()) }
}

/// Whether it is a text as [`about`] gives it.
pub(super) fn check_about(about: &str) -> Result<(), TextError> {
    if about.is_empty() {
        return Err(TextError::Empty);
    }
    if about.len() > MAX_ABOUT || about.split('\n').count() > MAX_ABOUT_LINES {
        return Err(TextError::LongAbout);
    }
    if about.chars().any(|c| !matches!(c, ' ' | '\n') && hides(c)) || piles_up(about) {
        return Err(TextError::Hidden);
    }
    if about.trim() != about || !about.nfc().eq(about.chars()) { Err(TextError::NotNormal) } else { Ok(()) }
}

/// Whether a character shows nothing of its own here: also those that are part of an emoji, and those of nobody's alphabet.
fn hides(c: char) -> bool {
    is_hidden(c) || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Whether marks stand on each other until they cover what is around.
fn piles_up(text: &str) -> bool {
    let mut marks = 0;
    text.chars().any(|c| {
        marks = if is_combining_mark(c) { marks + 1 } else { 0 };
        marks > MAX_MARKS
    })
}
