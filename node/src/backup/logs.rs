//! The logs of a room as a backup holds them.
//!
//! What is written now holds each log in its order. Before, messages stood there in the order in which they are shown, and in that a
//! message can stand above an earlier one of its author, whose clock was ahead: it waits until that comes.

use std::collections::{BTreeMap, HashMap};

use parlor_api::Problem;
use parlor_proto::DeviceId;

use super::damaged;
use super::record::Said;
use crate::limits::BACKUP_WAITING;

/// Up to where each log of a room was taken.
#[derive(Default)]
pub(super) struct Logs {
    taken: HashMap<DeviceId, u64>,
    waiting: BTreeMap<(DeviceId, u64), Said>,
    /// Bytes of events that wait.
    bytes: usize,
}

impl Logs {
    /// Takes a message, and answers those that follow what was taken before, in order.
    ///
    /// # Errors
    /// `backup_damaged` if it comes twice, or too much waits for what does not come.
    pub(super) fn take(&mut self, said: Said) -> Result<Vec<Said>, Problem> {
        let device = said.device;
        let taken = self.taken.entry(device).or_default();
        if said.seq <= *taken {
            return Err(damaged("a message is in it twice"));
        }
        if said.seq > *taken + 1 {
            self.bytes += said.bytes.len();
            if self.bytes > BACKUP_WAITING || self.waiting.insert((device, said.seq), said).is_some() {
                return Err(damaged("the messages of a log do not follow each other"));
            }
            return Ok(Vec::new());
        }
        let mut next = vec![said];
        *taken += 1;
        while let Some(said) = self.waiting.remove(&(device, *taken + 1)) {
            self.bytes -= said.bytes.len();
            *taken += 1;
            next.push(said);
        }
        Ok(next)
    }

    /// The room is over.
    ///
    /// # Errors
    /// `backup_damaged` if something waits.
    pub(super) fn end(&self) -> Result<(), Problem> {
        if self.waiting.is_empty() { Ok(()) } else { Err(damaged("messages of a log are missing")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(device: u8, seq: u64) -> Said {
        let device = DeviceId([device; 32]);
        let (hlc, order, received_ms) = (seq, seq, seq);
        Said { device, seq, hlc, order, received_ms, key: None, fades_ms: None, aside: false, bytes: vec![0; 100] }
    }

    #[test]
    fn logs_are_taken_in_their_order_whatever_comes_first_and_nothing_twice() {
        let mut logs = Logs::default();
        let mut take =
            |device, seq| logs.take(said(device, seq)).map(|it| it.iter().map(|it| it.seq).collect::<Vec<_>>());
        assert_eq!(take(1, 3).unwrap(), [0; 0]);
        assert_eq!(take(2, 1).unwrap(), [1]);
        assert_eq!(take(1, 2).unwrap(), [0; 0]);
        assert_eq!(take(1, 1).unwrap(), [1, 2, 3]);
        assert_eq!(take(1, 4).unwrap(), [4]);
        assert!(take(1, 4).is_err());
        assert_eq!(take(2, 3).unwrap(), [0; 0]);
        assert!(logs.end().is_err());
        assert!(logs.take(said(2, 3)).is_err());
        assert_eq!(logs.bytes, 200);
    }

    #[test]
    fn what_waits_for_a_message_that_does_not_come_is_bounded() {
        let mut logs = Logs::default();
        let large = |seq| Said { bytes: vec![0; BACKUP_WAITING / 4], ..said(1, seq) };
        assert!((2..6).all(|seq| logs.take(large(seq)).is_ok()));
        assert!(logs.take(large(6)).is_err());
    }
}
