//! Recovery at opening: completes the last group or removes what there is of it.
//!
//! The intent names the last group. If the mark says it was durable there is nothing to do. Otherwise: all its events
//! are there, then everything that follows from them is written again; or one is missing, then nothing that follows was
//! written (it comes later in the log), and the events that are there are removed. Either way under a new intent, so
//! that a kill in the middle is met the same way.

use crate::fault::Fault;
use crate::intent::Intent;
use crate::mark::Mark;
use crate::opening::Core;
use crate::schema::{INTENT_KEY, TreeId, blind_key, control_key, timeline_key};
use crate::value::{CellMaker, ControlValue, MessageValue, decode, first_generation, open_cell, read_cell};
use crate::write::{Facts, Writing, follow};

/// Makes the last group whole or nothing. Returns the number for the next group.
pub(crate) fn recover(core: &Core, mark: Mark) -> Result<u64, Fault> {
    let Some(plain) = read_cell(&core.trees, &core.sealer, TreeId::Intent, &INTENT_KEY)? else {
        return if mark.group == 0 { Ok(1) } else { Err(lost()) };
    };
    let mut intent: Intent = decode(TreeId::Intent, &plain)?;
    let interrupted = intent.group;
    if interrupted < mark.group {
        return Err(lost());
    }
    if interrupted == mark.group {
        return Ok(interrupted + 1);
    }
    match facts(core, &intent)? {
        Some(facts) => {
            tracing::info!(group = interrupted, "completing the last group");
            intent.group = interrupted + 1;
            let mut cells = CellMaker::new(&core.sealer, intent.group);
            let mut writing = Writing::new(&core.trees);
            writing.intent(&mut cells, &intent)?;
            follow(core, &mut cells, &mut writing, &intent, &facts)?;
        }
        None => {
            tracing::info!(group = interrupted, "removing what there is of the last group");
            undo(core, &intent)?;
        }
    }
    core.engine.flush()?;
    Ok(interrupted + 2)
}

fn lost() -> Fault {
    Fault::Damaged("acknowledged groups are missing at its end".to_owned())
}

/// What the events of the group are, if all are there.
fn facts(core: &Core, intent: &Intent) -> Result<Option<Facts>, Fault> {
    let Core { trees, sealer, .. } = core;
    for (room, name) in &intent.pages {
        if !trees.get(TreeId::Pages).contains_key(blind_key(*room, *name))? {
            return Ok(None);
        }
    }
    let mut facts = Facts::default();
    for (room, arrival) in intent.control() {
        let key = control_key(room, arrival);
        let Some(cell) = trees.get(TreeId::Control).get(key)? else { return Ok(None) };
        let plain = open_cell(trees, sealer, TreeId::Control, &key, &cell)?;
        let value: ControlValue<'_> = decode(TreeId::Control, &plain)?;
        facts.control.push((room, arrival, value.author, value.seq, value.id));
    }
    for (room, position) in intent.messages() {
        let key = timeline_key(room, position);
        let Some(cell) = trees.get(TreeId::Timeline).get(key)? else { return Ok(None) };
        let plain = open_cell(trees, sealer, TreeId::Timeline, &key, &cell)?;
        let value: MessageValue<'_> = decode(TreeId::Timeline, &plain)?;
        facts.messages.push((room, position, value.id, value.key.is_some()));
    }
    Ok(Some(facts))
}

/// Removes the events of a group that is not whole: rows first, then, under a new intent, their pieces.
fn undo(core: &Core, intent: &Intent) -> Result<(), Fault> {
    let trees = &core.trees;
    for (room, position) in intent.messages() {
        trees.get(TreeId::Timeline).remove(timeline_key(room, position))?;
    }
    for (room, arrival) in intent.control() {
        trees.get(TreeId::Control).remove(control_key(room, arrival))?;
    }
    for (room, name) in &intent.pages {
        trees.get(TreeId::Pages).remove(blind_key(*room, *name))?;
    }
    let empty = Intent { group: intent.group + 1, ..Intent::default() };
    let mut writing = Writing::new(trees);
    writing.intent(&mut CellMaker::new(&core.sealer, empty.group), &empty)?;
    writing.finish()?;
    let pieces = trees.get(TreeId::Pieces);
    let of_group = first_generation(intent.group).to_be_bytes()..first_generation(intent.group + 1).to_be_bytes();
    for row in pieces.range(of_group) {
        pieces.remove(row?.0)?;
    }
    Ok(())
}
