//! Polls, and what accounts choose in them.

use serde::{Deserialize, Serialize};

use super::{BodyError, check_text};
use crate::ids::EventId;
use crate::limits::{MAX_OPTION, MAX_OPTIONS, MAX_QUESTION, MIN_OPTIONS};

/// A question with answers to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Poll {
    /// 1 to [`MAX_QUESTION`] bytes.
    pub question: String,
    /// [`MIN_OPTIONS`] to [`MAX_OPTIONS`], each of 1 to [`MAX_OPTION`] bytes.
    pub options: Vec<String>,
    /// Whether an account may choose more than one.
    pub several: bool,
}

/// What an account chooses in a poll: all of it, whatever it chose before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Which poll.
    pub poll: EventId,
    /// Places of the answers from 0, ascending; none takes the vote back.
    pub choices: Vec<u8>,
}

impl Poll {
    pub(super) fn check(&self) -> Result<(), BodyError> {
        check_text(&self.question, MAX_QUESTION)?;
        let fits = (MIN_OPTIONS..=MAX_OPTIONS).contains(&self.options.len());
        let each = self.options.iter().all(|option| (1..=MAX_OPTION).contains(&option.len()));
        if fits && each { Ok(()) } else { Err(BodyError::Options) }
    }

    /// Whether these choices of a [`Vote`] can be made in this poll.
    pub fn allows(&self, choices: &[u8]) -> bool {
        let there = choices.iter().all(|choice| usize::from(*choice) < self.options.len());
        there && (self.several || choices.len() <= 1)
    }
}

impl Vote {
    pub(super) fn check(&self) -> Result<(), BodyError> {
        let ascending = self.choices.is_sorted_by(|a, b| a < b);
        let there = self.choices.iter().all(|choice| usize::from(*choice) < MAX_OPTIONS);
        if ascending && there { Ok(()) } else { Err(BodyError::Choices) }
    }
}
