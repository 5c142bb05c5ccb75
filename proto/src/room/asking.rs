//! Which pages and keys are asked for first, when more are missing than can be asked for at once.
//!
//! Who may write can make epochs whose rows nobody has the keys of, as many as he likes. So half the places are for what is
//! needed: epochs that were made as they should be, the best first. The other half is for everything else in turn, so that what
//! was crowded out comes all the same.

use super::Room;
use crate::ids::EpochId;
use crate::wire::Asked;

impl Room {
    /// What to ask members for now, at most `most`, and whether that leaves something out: then this is to be called again in a
    /// while ([`limits::ROW_WAIT_MS`](crate::limits::ROW_WAIT_MS)).
    pub fn lacks_now(&mut self, most: usize) -> (Vec<Asked>, bool) {
        let pages = self.epochs.pages_wanted.iter().map(|(hash, wanted)| (wanted.epoch, Asked::Page(*hash)));
        let keys = self.epochs.keys_wanted.iter().map(|epoch| (*epoch, Asked::Key(*epoch)));
        let mut lacking: Vec<(EpochId, Asked)> = pages.chain(keys).collect();
        if lacking.len() <= most {
            return (lacking.into_iter().map(|(_, what)| what).collect(), false);
        }
        let place = |epoch: &EpochId| self.epochs.info(epoch).map(|info| (info.sound, info.order));
        lacking.sort_by_cached_key(|(epoch, _)| std::cmp::Reverse(place(epoch)));
        let rest = lacking.split_off(most / 2);
        // Those after the ones asked for last, and then from the first again.
        let from = self.asked.and_then(|asked| rest.iter().position(|(_, what)| *what == asked)).map_or(0, |at| at + 1);
        lacking.extend(rest.iter().cycle().skip(from).take((most - most / 2).min(rest.len())));
        self.asked = lacking.last().map(|(_, what)| *what);
        (lacking.into_iter().map(|(_, what)| what).collect(), true)
    }
}
