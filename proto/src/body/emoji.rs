//! What may be put on a message as a reaction.
//!
//! Whether it is an emoji by some table of Unicode is not asked: two nodes with tables of different years would disagree on
//! what is said. What is refused is what could deceive: nothing to see, or characters that change what stands around them.

use super::BodyError;
use crate::limits::{MAX_EMOJI, MAX_EMOJI_CHARS};

/// Whether this can be a reaction: 1 to [`MAX_EMOJI`] bytes and [`MAX_EMOJI_CHARS`] characters, of which one at least shows
/// something, and none is a control character, a space, or turns or hides text. Joiners and variation selectors are allowed
/// behind another character; so are tags, of which some flags are made.
///
/// # Errors
/// [`BodyError::Emoji`].
pub fn check_emoji(emoji: &str) -> Result<(), BodyError> {
    let fits = (1..=MAX_EMOJI).contains(&emoji.len()) && emoji.chars().count() <= MAX_EMOJI_CHARS;
    let begins = emoji.chars().next().is_some_and(|first| !joins(first));
    let whole = emoji.chars().all(|c| joins(c) || !is_hidden(c));
    if fits && begins && whole { Ok(()) } else { Err(BodyError::Emoji) }
}

/// Characters that make one emoji of several: the joiner, variation selectors, the keycap, skin tones and tags.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// Characters that show nothing by themselves, or change what is shown around them. A list that does not change with Unicode.
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{20}' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
        | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_react_with_is_taken() {
        for emoji in ["👍", "❤️", "👩‍👩‍👧‍👦", "👍🏽", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "🇩🇪", "+1", "é", "ツ"]
        {
            assert_eq!(check_emoji(emoji), Ok(()), "{emoji}");
        }
    }

    #[test]
    fn what_could_deceive_or_fill_a_screen_is_not() {
        let long = "👍".repeat(17);
        for bad in [
            "",
            " ",
            "\n",
            "a b",
            "\u{200d}",
            "\u{fe0f}",
            "\u{202e}x",
            "x\u{2066}",
            "\u{1b}[31m",
            "\u{3164}",
            "\u{200b}",
            "\u{e0041}",
            long.as_str(),
        ] {
            assert_eq!(check_emoji(bad), Err(BodyError::Emoji), "{bad:?}");
        }
    }
}
