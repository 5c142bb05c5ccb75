//! What a line has not taken yet: a short queue, so that a client is still heard while it is slow to read.
//!
//! A client may write all the requests its window allows before it reads an answer, and a relay that did not read them
//! because an answer was in its way would wait for a client that waits for it.

use std::collections::VecDeque;

use bytes::Bytes;
use parlor_net::LineSender;
use parlor_proto::mailbox::limits as terms;
use tokio::time::{Instant, timeout_at};

use super::Over;
use crate::limits::{SEND_DEADLINE, UNSENT_BYTES};

/// Frames in order, each of which the line has to take in time.
#[derive(Debug)]
pub(super) struct Unsent {
    sender: LineSender,
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// When the line must have taken the first frame.
    until: Instant,
}

impl Unsent {
    /// Nothing waits.
    pub(super) fn new(sender: LineSender) -> Self {
        Self { sender, frames: VecDeque::new(), bytes: 0, until: Instant::now() }
    }

    /// Frames that wait.
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether so much waits that no answers are to be made.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= UNSENT_BYTES
    }

    /// Sends a frame, at once if the line has room. More than a client can be owed end the line.
    pub(super) fn push(&mut self, frame: Vec<u8>) -> Result<(), Over> {
        let frame = Bytes::from(frame);
        if self.frames.is_empty() {
            if self.sender.try_send(frame.clone()).map_err(|_| Over)? {
                return Ok(());
            }
            self.until = Instant::now() + SEND_DEADLINE;
        }
        // One answer for each request of the window, and one push.
        if self.frames.len() > usize::from(terms::WINDOW) {
            return Err(Over);
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        Ok(())
    }

    /// Waits until the line takes the first frame; for ever when there is none. Cancel safe. The line is over when it
    /// takes none for [`SEND_DEADLINE`].
    pub(super) async fn pass_on(&mut self) -> Result<(), Over> {
        let Some(first) = self.frames.front() else { return std::future::pending().await };
        let len = first.len();
        match timeout_at(self.until, self.sender.send(first.clone())).await {
            Ok(Ok(())) => {
                self.frames.pop_front();
                self.bytes -= len;
                self.until = Instant::now() + SEND_DEADLINE;
                Ok(())
            }
            _ => Err(Over),
        }
    }

    /// Waits until the line took everything.
    pub(super) async fn pass_all_on(&mut self) -> Result<(), Over> {
        while self.len() > 0 {
            self.pass_on().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_net::{Line, LineKind, PeerId, limits::LINE_QUEUE};

    use super::*;

    fn line() -> (Unsent, Line) {
        let (one, other) = (PeerId::from_seed(&[1; 32]), PeerId::from_seed(&[2; 32]));
        let (here, there) = Line::pair(LineKind::Mailbox, one, other);
        (Unsent::new(here.split().0), there)
    }

    #[tokio::test(start_paused = true)]
    async fn frames_wait_in_order_and_as_long_as_one_is_taken_in_time_the_line_stands() {
        let (mut unsent, mut there) = line();
        let n_frames = LINE_QUEUE + 10;
        for n in 0..n_frames {
            assert!(unsent.push(vec![n as u8]).is_ok());
        }
        assert_eq!(unsent.len(), 10);
        for n in 0..n_frames {
            tokio::time::advance(SEND_DEADLINE - Duration::from_secs(1)).await;
            assert_eq!(there.recv().await.unwrap(), [n as u8][..]);
            if unsent.len() > 0 {
                assert!(unsent.pass_on().await.is_ok(), "{n}");
            }
        }
        assert_eq!(unsent.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_until_the_deadline_loses_the_line() {
        let (mut unsent, _there) = line();
        for n in 0..=LINE_QUEUE {
            assert!(unsent.push(vec![n as u8]).is_ok());
        }
        let began = Instant::now();
        assert!(unsent.pass_on().await.is_err());
        assert_eq!(began.elapsed(), SEND_DEADLINE);
    }

    #[tokio::test]
    async fn what_waits_is_bounded_in_frames_and_full_in_bytes() {
        let (mut unsent, _there) = line();
        let large = vec![0; UNSENT_BYTES / 4];
        for n in 0..LINE_QUEUE + 4 {
            assert!(!unsent.is_full(), "{n}");
            assert!(unsent.push(large.clone()).is_ok());
        }
        assert!(unsent.is_full());
        let mut n_taken = unsent.len();
        while unsent.push(vec![0]).is_ok() {
            n_taken += 1;
            assert!(n_taken < 1_000, "no bound");
        }
        assert_eq!(n_taken, usize::from(terms::WINDOW) + 1);
    }
}
