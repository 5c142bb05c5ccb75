//! Recovery at opening: applies the groups of the journal that sled does not hold yet.
//!
//! sled recovers to a prefix of what the one writer wrote, and the last row of a group is its number. So that number
//! tells which groups are whole in sled; the next one may be there in part and those after it not at all, and all of them
//! are in the journal. Applying a group again changes nothing.

use crate::fault::Fault;
use crate::journal::Record;
use crate::mark::Mark;
use crate::opening::Core;
use crate::schema::{APPLIED_KEY, TreeId};
use crate::write::apply;

/// Applies what is missing. Returns the number for the next group.
///
/// # Errors
/// Damage, if a group is neither in sled nor in the journal though it was durable.
pub(crate) fn recover(core: &Core, records: Vec<Record>, mark: Mark) -> Result<u64, Fault> {
    let mut last = applied(core)?;
    for Record { group, rows } in records {
        if group <= last {
            continue;
        }
        if group != last + 1 {
            return Err(lost());
        }
        tracing::info!(group, rows = rows.len(), "applying a group from the journal");
        apply(core, group, rows)?;
        last = group;
    }
    if last < mark.group {
        return Err(lost());
    }
    Ok(last + 1)
}

/// The last group that is whole in sled.
fn applied(core: &Core) -> Result<u64, Fault> {
    let found = core.trees.get(TreeId::Applied).get(APPLIED_KEY)?;
    found.map_or(Ok(0), |group| match group.as_ref().try_into() {
        Ok(group) => Ok(u64::from_be_bytes(group)),
        Err(_) => Err(Fault::damaged(TreeId::Applied, "a malformed row")),
    })
}

fn lost() -> Fault {
    Fault::Damaged("acknowledged groups are missing in the journal beside it".to_owned())
}
