//! Applying rows to sled: by the writer once they are durable in the journal, and at opening from there.

use crate::fault::Fault;
use crate::keyring::KeyId;
use crate::opening::Core;
use crate::schema::value_key;
use crate::schema::{APPLIED_KEY, TreeId, piece_key};
use crate::seal::Blind;
use crate::value::{Row, key_of, pieces_of};

/// Applies the rows of a group in their order, at last its number. Repeating it changes nothing.
///
/// Pieces of cells that are replaced are removed with them. A kill between leaves them on disk unused: a few pages of
/// 4 KiB, never more than one group replaced. Of a row that disappears with its own key the key is destroyed with it.
pub(crate) fn apply(core: &Core, group: u64, rows: Vec<Row>) -> Result<(), Fault> {
    let mut orphans: Vec<KeyId> = Vec::new();
    for Row { tree, key, value } in rows {
        let bytes = key.len() + value.as_ref().map_or(0, Vec::len);
        let kept = value.as_deref().and_then(pieces_of);
        let sealed_by = value.as_deref().and_then(|cell| key_of(cell).0);
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
        if tree == TreeId::Values {
            let before = old.as_deref().and_then(|cell| key_of(cell).0);
            orphans.extend(before.filter(|before| sealed_by != Some(*before)));
        }
        core.engine.settle(bytes)?;
    }
    core.keyring.destroy_rows(&orphans)?;
    core.trees.get(TreeId::Applied).insert(APPLIED_KEY, &group.to_be_bytes())?;
    Ok(())
}

/// The keys that small values are sealed with inside.
pub(crate) fn keys_of_rows(core: &Core) -> Result<Vec<KeyId>, Fault> {
    let mut keys = Vec::new();
    for row in core.trees.get(TreeId::Values).iter().values() {
        keys.extend(key_of(&row?).0);
    }
    Ok(keys)
}

/// The row key of a small value.
pub(crate) fn value_key_of(core: &Core, room: u32, namespace: u8, key: &[u8]) -> [u8; 21] {
    let mut named = Vec::with_capacity(1 + key.len());
    named.push(namespace);
    named.extend_from_slice(key);
    value_key(room, namespace, core.sealer.blind(Blind::Value, room, &named))
}
