//! Where a text names somebody: a token that says which of its mentions, so that each reader sees the name he knows.
//!
//! `<@N>` stands for the account at place `N` of the message's mentions; petnames never leave the node of whoever gave
//! them. A token that no mention belongs to is text.

use std::fmt::Write as _;

use crate::ids::AccountId;
use crate::limits::{MAX_MENTIONS, MAX_SHOWN_MENTIONS};

/// A text with names in place of tokens: `@` and what `name` calls the account. Of very many tokens the first
/// [`MAX_SHOWN_MENTIONS`] are replaced, so that a text does not grow without end.
pub fn shown(text: &str, mentions: &[AccountId], name: impl Fn(&AccountId) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = 0;
    while let Some(at) = rest.find("<@").filter(|_| replaced < MAX_SHOWN_MENTIONS) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        match token(from).and_then(|(number, len)| Some((mentions.get(number)?, len))) {
            Some((account, len)) => {
                shown.push('@');
                shown.push_str(&name(account));
                rest = &from[len..];
                replaced += 1;
            }
            None => {
                shown.push_str("<@");
                rest = &from[2..];
            }
        }
    }
    shown.push_str(rest);
    shown
}

/// The first token in `text`: what is before it, its number, and what is after it.
pub fn next(text: &str) -> Option<(&str, usize, &str)> {
    text.match_indices("<@").find_map(|(at, _)| {
        let (before, from) = text.split_at(at);
        let (number, len) = token(from)?;
        Some((before, number, &from[len..]))
    })
}

/// The number in the token at the beginning of `text`, and its length.
fn token(text: &str) -> Option<(usize, usize)> {
    let inner = text.strip_prefix("<@")?;
    // At most two digits: a text of tokens without ends is not searched to its end for each.
    let digits = inner.bytes().take(3).position(|byte| byte == b'>').filter(|len| *len >= 1)?;
    let (number, _) = inner.split_at(digits);
    let canonical = number == "0" || !number.starts_with('0');
    let plain = number.bytes().all(|digit| digit.is_ascii_digit());
    let number = number.parse().ok().filter(|_| canonical && plain)?;
    Some((number, 2 + digits + 1))
}

/// The text as it is sent, with its mentions: `@name` of one of `people` becomes a token, where the name is not part of a longer
/// word. The longest name that fits is meant; one that two people have names nobody.
pub fn addressed(text: &str, people: &[(AccountId, String)]) -> (String, Vec<AccountId>) {
    let mut sent = String::with_capacity(text.len());
    let mut mentions: Vec<AccountId> = Vec::new();
    let mut rest = text;
    let mut before: Option<char> = None;
    while let Some(at) = rest.find('@') {
        let (skipped, from) = rest.split_at(at);
        sent.push_str(skipped);
        before = skipped.chars().next_back().or(before);
        let begins = before.is_none_or(|c| !c.is_alphanumeric() && c != '<');
        let found = Some(&from[1..]).filter(|_| begins).and_then(|from| named(from, people));
        let number = found.and_then(|(account, _)| match mentions.iter().position(|known| *known == account) {
            Some(number) => Some(number),
            None if mentions.len() < MAX_MENTIONS => {
                mentions.push(account);
                Some(mentions.len() - 1)
            }
            None => None,
        });
        match (number, found) {
            (Some(number), Some((_, len))) => {
                // Writing to a string does not fail.
                let _ = write!(sent, "<@{number}>");
                before = Some('>');
                rest = &from[1 + len..];
            }
            _ => {
                sent.push('@');
                before = Some('@');
                rest = &from[1..];
            }
        }
    }
    sent.push_str(rest);
    (sent, mentions)
}

/// Whose name `text` begins with, and how long it is there.
fn named(text: &str, people: &[(AccountId, String)]) -> Option<(AccountId, usize)> {
    let fits = |name: &str| {
        let len = name.len();
        let same = !name.is_empty() && text.get(..len).is_some_and(|begin| begin.to_lowercase() == name.to_lowercase());
        let ends = text.get(len..).is_some_and(|after| after.chars().next().is_none_or(|c| !c.is_alphanumeric()));
        same && ends
    };
    let found: Vec<_> = people.iter().filter(|(_, name)| fits(name)).collect();
    let longest = found.iter().map(|(_, name)| name.len()).max()?;
    let mut of_longest = found.iter().filter(|(_, name)| name.len() == longest);
    match (of_longest.next(), of_longest.next()) {
        (Some((account, _)), None) => Some((*account, longest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANN: AccountId = AccountId([1; 32]);
    const ANNA: AccountId = AccountId([2; 32]);

    fn people() -> Vec<(AccountId, String)> {
        let twin = AccountId([3; 32]);
        let other = AccountId([4; 32]);
        vec![(ANN, "Ann".into()), (ANNA, "Anna Lee".into()), (twin, "Twin".into()), (other, "Twin".into())]
    }

    #[test]
    fn a_name_becomes_a_token_and_the_token_the_name_that_the_reader_knows() {
        let (sent, mentions) = addressed("@ann, ask @Anna Lee (or @Ann)!", &people());
        assert_eq!(sent, "<@0>, ask <@1> (or <@0>)!");
        assert_eq!(mentions, [ANN, ANNA]);
        let petname = |account: &AccountId| if *account == ANN { "Sis".to_owned() } else { "Boss".to_owned() };
        assert_eq!(shown(&sent, &mentions, petname), "@Sis, ask @Boss (or @Sis)!");
    }

    #[test]
    fn what_names_nobody_stays_text() {
        for text in ["@Annabel", "mail ann@Ann.example", "@Twin", "@", "@@", "<@0>", "@nobody", "a@Ann"] {
            assert_eq!(addressed(text, &people()), (text.to_owned(), Vec::new()), "{text}");
        }
        for text in ["<@1>", "<@00>", "<@>", "<@-1>", "<@ 0>", "<@999>", "<@"] {
            assert_eq!(shown(text, &[ANN], |_| "Ann".into()), text);
        }
    }

    #[test]
    fn a_text_full_of_tokens_grows_within_bounds() {
        let text = "<@0>".repeat(5_000);
        let long = "n".repeat(64);
        assert!(shown(&text, &[ANN], |_| long.clone()).len() < text.len() + MAX_SHOWN_MENTIONS * 64);
    }

    proptest! {
        #[test]
        fn any_text_can_be_addressed_and_shown(text in ".{0,64}", number in 0_usize..3) {
            let text = format!("{text}<@{number}>@Ann{text}");
            let (sent, mentions) = addressed(&text, &people());
            let _ = shown(&sent, &mentions, |_| "x".into());
            prop_assert!(mentions.len() <= MAX_MENTIONS);
        }
    }
}
