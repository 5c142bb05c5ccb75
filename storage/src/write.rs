//! Applying rows to sled: by the writer once they are durable in the journal, and at opening from there.

use crate::fault::Fault;
use crate::opening::Core;
use crate::schema::value_key;
use crate::schema::{APPLIED_KEY, TreeId, piece_key};
use crate::seal::Blind;
use crate::value::{Row, pieces_of};

/// Applies the rows of a group in their order, at last its number. Repeating it changes nothing.
///
/// Pieces of cells that are replaced are removed with them. A kill between leaves them on disk unused: a few pages of
/// 4 KiB, never more than one group replaced.
pub(crate) fn apply(core: &Core, group: u64, rows: Vec<Row>) -> Result<(), Fault> {
    for Row { tree, key, value } in rows {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        let kept = value.as_deref().and_then(pieces_of);
        let rows = core.trees.get(tree);
        let old = match value {
            Some(value) => rows.insert(key, value)?,
            None => rows.remove(key)?,
        };
        if tree.holds_cells()
            && let Some((generation, pieces)) = old.as_deref().and_then(pieces_of)
            && kept.is_none_or(|(kept, _)| kept != generation)
        {
            for piece in 0..pieces {
                core.trees.get(TreeId::Pieces).remove(piece_key(generation, piece))?;
            }
        }
        core.engine.settle(bytes)?;
    }
    core.trees.get(TreeId::Applied).insert(APPLIED_KEY, &group.to_be_bytes())?;
    Ok(())
}

/// The row key of a small value.
pub(crate) fn value_key_of(core: &Core, room: u32, namespace: u8, key: &[u8]) -> [u8; 21] {
    let mut named = Vec::with_capacity(1 + key.len());
    named.push(namespace);
    named.extend_from_slice(key);
    value_key(room, namespace, core.sealer.blind(Blind::Value, room, &named))
}
