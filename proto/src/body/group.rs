//! An invitation into a group of several contacts, as it goes into the direct chat with each of them.

use serde::{Deserialize, Serialize};

use super::BodyError;
use crate::ids::AccountId;
use crate::limits::{MAX_GROUP, MAX_GROUP_LINK, MAX_ROOM_NAME, MIN_GROUP};

/// Come into a group. It means something in a direct chat only, and only from the device that made the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The text form of a link for whoever is invited, and nobody else: 1 to [`MAX_GROUP_LINK`] bytes.
    pub link: String,
    /// What the group is called: 1 to [`MAX_ROOM_NAME`] bytes, as [`is_title`] has it.
    pub name: String,
    /// Who is meant to be in it, ascending, each once, writer and reader among them: [`MIN_GROUP`] to [`MAX_GROUP`].
    pub people: Vec<AccountId>,
}

impl Group {
    /// Whether it is within its bounds.
    pub(super) fn check(&self) -> Result<(), BodyError> {
        let sized = (1..=MAX_GROUP_LINK).contains(&self.link.len()) && (1..=MAX_ROOM_NAME).contains(&self.name.len());
        let ascending = self.people.is_sorted_by(|a, b| a < b);
        if sized && ascending && is_title(&self.name) && (MIN_GROUP..=MAX_GROUP).contains(&self.people.len()) {
            Ok(())
        } else {
            Err(BodyError::Group)
        }
    }
}

/// Whether a text stays within its line: it has no control characters, no ends of lines, and nothing that turns the direction of what
/// is written beside it. What joins letters and emoji is allowed, and so are the marks of a direction, which turn nothing around them.
pub fn is_title(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::*;

    fn group(n: usize) -> Group {
        let people = (0..n).map(|n| AccountId([u8::try_from(n).unwrap(); 32])).collect();
        Group { link: "parlor://join/1/#x".into(), name: "Trip".into(), people }
    }

    fn read(group: Group) -> Result<Body, BodyError> {
        Body::decode(&Body::Group(Box::new(group)).encode())
    }

    #[test]
    fn the_largest_invitation_fits_and_survives_its_bytes() {
        let largest = Group { link: "x".repeat(MAX_GROUP_LINK), name: "y".repeat(MAX_ROOM_NAME), ..group(MAX_GROUP) };
        let body = Body::Group(Box::new(largest.clone()));
        assert!(body.encode().len() < 2_048, "it stays far below what one message holds");
        assert_eq!(read(largest), Ok(body));
    }

    #[test]
    fn what_is_out_of_bounds_is_no_invitation() {
        let (same, few) = (group(4), group(MIN_GROUP - 1));
        let twice = Group { people: [&same.people[..2], &same.people[1..]].concat(), ..same.clone() };
        let turned = Group { people: same.people.iter().rev().copied().collect(), ..same.clone() };
        let long = Group { link: "x".repeat(MAX_GROUP_LINK + 1), ..same.clone() };
        let unnamed = Group { name: String::new(), ..same.clone() };
        for wrong in [few, group(MAX_GROUP + 1), twice, turned, long, unnamed, Group { link: String::new(), ..same }] {
            assert_eq!(read(wrong), Err(BodyError::Group));
        }
    }

    #[test]
    fn the_name_of_a_group_stays_within_its_line() {
        for wrong in ["Trip\nAnn left", "Trip\u{2028}", "\u{202e}pirT", "\u{2067}Trip", "\u{1b}[2J", "Trip\u{85}"] {
            assert_eq!(read(Group { name: wrong.into(), ..group(4) }), Err(BodyError::Group), "{wrong:?}");
        }
        for name in ["Reise nach Köln", "👩\u{200d}🚀 und 👍\u{1f3fd}", "טיול \u{200f}!", "می\u{200c}خواهم"]
        {
            assert!(read(Group { name: name.into(), ..group(4) }).is_ok(), "{name}");
        }
    }
}
