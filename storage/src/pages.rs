//! Pages of the timeline.

use crate::directory::Room;
use crate::fault::Fault;
use crate::limits::MAX_PAGE_ROWS;
use crate::opening::Core;
use crate::read::{message_at, message_of, walk_cell};
use crate::rows::LogKind;
use crate::schema::{TreeId, parse_timeline_key, timeline_key};
use crate::timeline::{Cursor, Page, Position, TimelineRow};

/// The first and the last position there can be.
const FIRST: Position = Position { order: 0, tie: 0, author: 0, seq: 0 };
const LAST: Position = Position { order: u64::MAX, tie: u32::MAX, author: u32::MAX, seq: u32::MAX };

/// What becomes of a page on which a message does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damaged {
    Fail,
    PassOver,
}

/// A page, newest first.
pub(crate) fn page(core: &Core, room: &Room, cursor: Cursor, limit: usize, damaged: Damaged) -> Result<Page, Fault> {
    let walk = Walk { core, room, damaged };
    let limit = limit.min(MAX_PAGE_ROWS);
    match cursor {
        Cursor::Newest => {
            let (rows, older) = walk.down(LAST, limit, true)?;
            Ok(Page { rows, older, newer: false })
        }
        Cursor::Before(position) => {
            let (rows, older) = walk.down(position, limit, false)?;
            let newer = walk.up(position, 0, true)?.1;
            Ok(Page { rows, older, newer })
        }
        Cursor::After(position) => {
            let (mut rows, newer) = walk.up(position, limit, false)?;
            rows.reverse();
            let older = walk.down(position, 0, true)?.1;
            Ok(Page { rows, older, newer })
        }
        Cursor::Around(position) => {
            let (mut rows, newer) = walk.up(position, limit.saturating_sub(1) / 2, false)?;
            rows.reverse();
            let (below, older) = walk.down(position, limit - rows.len(), true)?;
            rows.extend(below);
            Ok(Page { rows, older, newer })
        }
    }
}

/// Messages without a key, oldest first. One that does not open keeps no other from being opened.
pub(crate) fn unreadable(
    core: &Core,
    room: &Room,
    after: Option<Position>,
    limit: usize,
) -> Result<Vec<TimelineRow>, Fault> {
    let walk = Walk { core, room, damaged: Damaged::PassOver };
    let start = timeline_key(room.number, after.unwrap_or(FIRST));
    let end = timeline_key(room.number, LAST);
    let mut rows = Vec::new();
    for row in core.trees.get(TreeId::Unread).range(start..=end) {
        if rows.len() >= limit.min(MAX_PAGE_ROWS) {
            break;
        }
        let position = position_of(TreeId::Unread, &row?.0)?;
        if Some(position) == after || !walk.shows(position)? {
            continue;
        }
        if let Some(row) = walk.opened(message_at(core, room, position))?.filter(|row| row.key.is_none()) {
            rows.push(TimelineRow { position, row });
        }
    }
    Ok(rows)
}

/// All messages after a place that open, oldest first.
pub(crate) fn walk(core: &Core, room: &Room, after: Option<Position>, limit: usize) -> Result<Vec<TimelineRow>, Fault> {
    let walk = Walk { core, room, damaged: Damaged::PassOver };
    let limit = limit.min(MAX_PAGE_ROWS);
    let (start, end) = (timeline_key(room.number, after.unwrap_or(FIRST)), timeline_key(room.number, LAST));
    let mut rows = Vec::new();
    for tree in [TreeId::Timeline, TreeId::Asides] {
        let mut taken = 0;
        for row in core.trees.get(tree).range(start..=end) {
            let position = position_of(tree, &row?.0)?;
            if Some(position) == after || !walk.shows(position)? {
                continue;
            }
            if taken == limit {
                break;
            }
            // A message that is being moved is in both for a moment.
            if rows.iter().all(|it: &TimelineRow| it.position != position)
                && let Some(row) = walk.opened(message_at(core, room, position))?
            {
                rows.push(TimelineRow { position, row });
                taken += 1;
            }
        }
    }
    rows.sort_unstable_by_key(|row| row.position);
    rows.truncate(limit);
    Ok(rows)
}

/// Walks the timeline of a room.
struct Walk<'a> {
    core: &'a Core,
    room: &'a Room,
    damaged: Damaged,
}

impl Walk<'_> {
    /// At most `limit` messages before `from`, or from it on if `with` it, newest first; and whether there are more.
    fn down(&self, from: Position, limit: usize, with: bool) -> Result<(Vec<TimelineRow>, bool), Fault> {
        let start = timeline_key(self.room.number, FIRST);
        let end = timeline_key(self.room.number, from);
        let rows = self.core.trees.get(TreeId::Timeline).range(start..=end).rev();
        self.take(rows, limit, (!with).then_some(from))
    }

    /// At most `limit` messages after `from`, or from it on if `with` it, oldest first; and whether there are more.
    fn up(&self, from: Position, limit: usize, with: bool) -> Result<(Vec<TimelineRow>, bool), Fault> {
        let start = timeline_key(self.room.number, from);
        let end = timeline_key(self.room.number, LAST);
        let rows = self.core.trees.get(TreeId::Timeline).range(start..=end);
        self.take(rows, limit, (!with).then_some(from))
    }

    fn take(
        &self,
        rows: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
        limit: usize,
        without: Option<Position>,
    ) -> Result<(Vec<TimelineRow>, bool), Fault> {
        let mut taken = Vec::with_capacity(limit);
        for row in rows {
            let (key, cell) = row?;
            let position = position_of(TreeId::Timeline, &key)?;
            if Some(position) == without || !self.shows(position)? {
                continue;
            }
            if taken.len() == limit {
                return Ok((taken, true));
            }
            let row = walk_cell(self.core, TreeId::Timeline, &key, &cell)
                .and_then(|plain| plain.map(|plain| message_of(self.core, position, &plain)).transpose());
            let row = self.opened(row)?.flatten();
            taken.extend(row.map(|row| TimelineRow { position, row }));
        }
        Ok((taken, false))
    }

    /// What was read, unless it does not open and is passed over.
    fn opened<T>(&self, read: Result<T, Fault>) -> Result<Option<T>, Fault> {
        match read {
            Err(Fault::Damaged(detail)) if self.damaged == Damaged::PassOver => {
                tracing::warn!(detail, "a message is left out: it can not be read");
                Ok(None)
            }
            read => read.map(Some),
        }
    }

    /// Whether the message there is durable.
    fn shows(&self, position: Position) -> Result<bool, Fault> {
        let Core { trees, sealer, .. } = self.core;
        let seq = self.room.logs(trees, sealer, |logs| logs.seq(LogKind::Message, position.author))?;
        Ok(position.seq <= seq)
    }
}

fn position_of(tree: TreeId, key: &[u8]) -> Result<Position, Fault> {
    parse_timeline_key(key).ok_or_else(|| Fault::damaged(tree, "a malformed key"))
}

#[cfg(test)]
mod tests;
