//! Our own profile: what it says, who may see what, and what is told to whom. A machine without I/O.
//!
//! Every device of an account keeps one. What is set here wins over what was known before; what another device set reaches
//! this one by its records ([`Own::adopt`]), and both end with the same fields, whichever order the records come in. What a
//! device can not see of another's choice it takes for narrower than it may be, never for wider.

use serde::{Deserialize, Serialize};

use super::content::{Field, MAX_STAMP};
use super::text::{self, TextError};
use crate::limits::SEEN_ROUND_MS;

/// Who may see a field. A later one is wider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Audience {
    /// Nobody but the own devices.
    #[default]
    Nobody,
    /// Contacts: accounts that want to write to us, and we to them.
    Contacts,
    /// Everybody in a room with us, contacts among them.
    Rooms,
}

/// What those of a room are to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Nobody who may see anything: the direct chat with somebody who is blocked.
    Nobody,
    /// Members.
    Room,
    /// A contact alone: the direct chat with him.
    Contact,
}

impl Audience {
    /// Whether it reaches those of such a room.
    pub fn reaches(self, reach: Reach) -> bool {
        match reach {
            Reach::Nobody => false,
            Reach::Room => self == Self::Rooms,
            Reach::Contact => self >= Self::Contacts,
        }
    }

    /// What it is at least, of a field that was seen in such a room.
    fn seen_in(reach: Reach) -> Self {
        match reach {
            Reach::Nobody => Self::Nobody,
            Reach::Room => Self::Rooms,
            Reach::Contact => Self::Contacts,
        }
    }
}

/// A field of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mine<T> {
    value: Option<T>,
    stamp: u64,
    audience: Audience,
    /// The stamp with which the audience was chosen: those whom the field does not reach are told this one, so that they
    /// do not learn when it changes for others.
    chosen: u64,
}

impl<T> Default for Mine<T> {
    fn default() -> Self {
        Self { value: None, stamp: 0, audience: Audience::Nobody, chosen: 0 }
    }
}

impl<T: Clone + Ord> Mine<T> {
    /// What it says.
    pub fn value(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// Who may see it.
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// Whether it was ever set, here or on another device.
    pub fn is_set(&self) -> bool {
        self.chosen > 0
    }

    /// Sets what is given; says whether that is news. The stamp is `now_ms`, or later if what was known has a later one.
    pub fn set(&mut self, value: Option<Option<T>>, audience: Option<Audience>, now_ms: u64) -> bool {
        let value = value.unwrap_or_else(|| self.value.clone());
        let audience = audience.unwrap_or(self.audience);
        let (first, moves) = (!self.is_set(), audience != self.audience);
        if !first && !moves && value == self.value {
            return false;
        }
        let stamp = self.next(now_ms);
        if first || moves {
            self.chosen = stamp;
        }
        // What nobody is told stands in no order with what others of our devices tell.
        if first || moves || audience != Audience::Nobody {
            self.stamp = stamp;
        }
        (self.value, self.audience) = (value, audience);
        true
    }

    /// Tells nobody any more, and does not say so as a choice: what another device of ours tells counts before this.
    fn hold_back(&mut self) {
        self.audience = Audience::Nobody;
    }

    /// What those are told who are told most.
    fn most(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.audience != Audience::Nobody)
    }

    fn next(&self, now_ms: u64) -> u64 {
        now_ms.max(self.stamp.saturating_add(1)).min(MAX_STAMP)
    }

    /// What is told in such a room.
    pub fn told(&self, reach: Reach) -> Field<T> {
        if self.audience.reaches(reach) {
            Field { stamp: self.stamp, value: self.value.clone() }
        } else {
            Field { stamp: self.chosen, value: None }
        }
    }

    /// Whether [`adopt`](Self::adopt) would take this.
    pub fn is_behind(&self, field: &Field<T>, reach: Reach) -> bool {
        self.clone().adopt(field, reach)
    }

    /// Takes what another device of ours tells in such a room; says whether that is news.
    pub fn adopt(&mut self, field: &Field<T>, reach: Reach) -> bool {
        let (theirs, ours) = ((field.stamp, field.value.as_ref()), (self.stamp, self.most()));
        if field.stamp > MAX_STAMP || theirs < ours {
            return false;
        }
        let seen = if field.value.is_some() { Audience::seen_in(reach) } else { Audience::Nobody };
        if theirs == ours {
            // The same word, heard in two rooms: it is for both.
            let wider = seen > self.audience;
            if wider {
                self.audience = seen;
            }
            return wider;
        }
        // Those who are not told the value are told when it was taken from them, and not when it changes.
        let chosen = if !self.is_set() || seen < self.audience { field.stamp } else { self.chosen };
        *self = Self { value: field.value.clone(), stamp: field.stamp, audience: seen, chosen };
        true
    }
}

/// Our own profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// The name.
    pub name: Mine<String>,
    /// The text about oneself.
    pub about: Mine<String>,
    /// Hash of the picture.
    pub picture: Mine<[u8; 32]>,
    /// When the user did something last.
    pub seen: Mine<u64>,
}

impl Own {
    /// Sets the name: `Some(None)` takes it away.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn set_name(
        &mut self,
        name: Option<Option<&str>>,
        audience: Option<Audience>,
        now_ms: u64,
    ) -> Result<bool, TextError> {
        let name = name.map(|name| name.map(text::name).transpose()).transpose()?;
        Ok(self.name.set(name, audience, now_ms))
    }

    /// Sets the text about oneself.
    ///
    /// # Errors
    /// [`TextError`].
    pub fn set_about(
        &mut self,
        about: Option<Option<&str>>,
        audience: Option<Audience>,
        now_ms: u64,
    ) -> Result<bool, TextError> {
        let about = about.map(|about| about.map(text::about).transpose()).transpose()?;
        Ok(self.about.set(about, audience, now_ms))
    }

    /// Chooses who may see when the user did something last. Whoever lets nobody see it forgets it too.
    pub fn set_seen(&mut self, audience: Audience, now_ms: u64) -> bool {
        let value = (audience == Audience::Nobody).then_some(None);
        self.seen.set(value, Some(audience), now_ms)
    }

    /// As it was known some time ago, when some of it may have been closed to others since: told to nobody, until another device tells
    /// it or the user says again who may see it.
    #[must_use]
    pub fn held_back(mut self) -> Self {
        self.name.hold_back();
        self.about.hold_back();
        self.picture.hold_back();
        self.seen.hold_back();
        self
    }

    /// The user does something. Says whether that is news: nothing if nobody may see it, and once in the time it is rounded to.
    pub fn act(&mut self, now_ms: u64) -> bool {
        let round = round_seen(now_ms);
        if self.seen.audience == Audience::Nobody || self.seen.value.is_some_and(|seen| seen >= round) {
            return false;
        }
        // Rounded too, or it would say more than what it stamps.
        self.seen.stamp = self.seen.next(round);
        self.seen.value = Some(round);
        true
    }
}

/// A time as others are told it: the beginning of its stretch of ten minutes.
pub fn round_seen(ms: u64) -> u64 {
    ms - ms % SEEN_ROUND_MS
}
