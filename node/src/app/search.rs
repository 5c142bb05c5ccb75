//! Search.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use parlor_api::{Code, Problem, SEARCH_DEFAULT, SEARCH_MAX, SearchPage};

use super::{Answer, App};
use crate::services::search::Wanted;

/// What is searched for, in the words of a user.
#[derive(Debug, Clone, Default)]
pub struct SearchFor {
    /// Words, beginnings, phrases; may be empty when something else is said.
    pub words: String,
    /// In this room only.
    pub room: Option<String>,
    /// Written by somebody: an account, a beginning of one, `@name`, or `me`.
    pub from: Option<String>,
    /// Sent at this time or later: RFC 3339, or a day.
    pub since: Option<String>,
    /// Sent at this time or earlier; a day is taken in.
    pub until: Option<String>,
    /// With something: `file`.
    pub has: Option<String>,
    /// How many at most.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl App {
    /// Searches all messages, or those of a room, and answers a page of what fits, newest first.
    ///
    /// # Errors
    /// `bad_request`, `room_not_found`, `contact_not_found`, `ambiguous`, `rate_limited`.
    pub async fn search(&self, wanted: SearchFor) -> Answer<SearchPage> {
        let room = match &wanted.room {
            Some(room) => Some(self.find_room(room).await?),
            None => None,
        };
        let from = match wanted.from.as_deref() {
            None => None,
            Some("me" | "@me") => Some(self.node.context.identity.account()),
            Some(who) => Some(self.known(who).await?),
        };
        let file = match wanted.has.as_deref() {
            None => false,
            Some("file") => true,
            Some(_) => return Err(Problem::new(Code::BadRequest, "has can only be: file")),
        };
        let since = wanted.since.as_deref().map(|text| time(text, false)).transpose()?;
        let until = wanted.until.as_deref().map(|text| time(text, true)).transpose()?;
        let limit = wanted.limit.unwrap_or(SEARCH_DEFAULT).clamp(1, SEARCH_MAX) as usize;
        let wanted = Wanted {
            words: wanted.words,
            room,
            from,
            file,
            since_ms: since.unwrap_or(0),
            until_ms: until,
            cursor: wanted.cursor,
            limit,
        };
        self.node.search.find(&self.node.rooms, wanted).await
    }

    /// The account that a user means: his own, or that of somebody known.
    async fn known(&self, who: &str) -> Answer<parlor_proto::AccountId> {
        let me = &self.node.context;
        let own = me.identity.account();
        let is_own = who.strip_prefix('@').unwrap_or(who) == me.name;
        let found = self.contacts().account_of(&self.node.rooms, &self.whom(who).await?).await;
        match found {
            Err(problem) if is_own && problem.code == Code::ContactNotFound => Ok(own),
            found => found,
        }
    }
}

/// The millisecond that a time names; as the end of a stretch, the first one behind it.
fn time(text: &str, end: bool) -> Answer<u64> {
    let wrong =
        || Problem::new(Code::BadRequest, "a time is of the form 2026-11-21T08:00:00Z, a day of the form 2026-11-21");
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time.as_millisecond().saturating_add(i64::from(end)),
        Err(_) => {
            let day: Date = text.parse().map_err(|_| wrong())?;
            let day = if end { day.checked_add(1.day()).map_err(|_| wrong())? } else { day };
            day.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_millisecond()
        }
    };
    Ok(u64::try_from(time).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_taken_in_whole() {
        let day = 24 * 3_600_000;
        let first = time("2026-05-01", false).unwrap();
        assert_eq!(time("2026-05-01", true).unwrap(), first + day);
        assert_eq!(time("2026-05-01T00:00:00Z", false).unwrap(), first);
        assert_eq!(time("2026-05-01T00:00:00Z", true).unwrap(), first + 1);
        assert_eq!(time("2026-05-01T02:00:00+02:00", false).unwrap(), first);
        assert_eq!(time("1960-01-01", false).unwrap(), 0);
        for wrong in ["", "yesterday", "2026-13-01", "2026-05-01T", "1"] {
            assert_eq!(time(wrong, false).unwrap_err().code, Code::BadRequest, "{wrong}");
        }
    }
}
