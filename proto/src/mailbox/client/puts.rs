//! Putting: each blob at every relay of its box.

use super::super::frame::Refusal;
use super::super::limits;
use super::super::name::{BlobId, BoxName, RelayId};
use super::line::{Job, pause_after};
use super::{Due, Mailboxes, Out, PutAt};

impl Mailboxes {
    /// Puts a blob at a relay where the box is open and the blob is not yet.
    pub(super) fn queue_put(&mut self, relay: &RelayId, name: BoxName, id: BlobId) {
        let Some(mailbox) = self.boxes.get(&name) else { return };
        let open = mailbox.at.get(relay).is_some_and(|at| at.open);
        let waits = mailbox.puts.get(&id).and_then(|put| put.at.get(relay)) == Some(&PutAt::Waiting);
        if open && waits {
            self.job(relay, Job::Put(name, id));
        }
    }

    pub(super) fn queue_drop(&mut self, name: BoxName, id: BlobId) {
        let Some(mailbox) = self.boxes.get(&name) else { return };
        let open: Vec<RelayId> = mailbox.at.iter().filter(|(_, at)| at.open).map(|(relay, _)| relay.clone()).collect();
        for relay in open {
            self.job(&relay, Job::Drop(name, id));
        }
    }

    /// The relay says that it keeps the blob.
    pub(super) fn on_stored(&mut self, relay: &RelayId, name: BoxName, id: BlobId, no: u64, out: &mut Vec<Out>) {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        if let Some(put) = mailbox.puts.get_mut(&id).and_then(|put| put.at.get_mut(relay)) {
            *put = PutAt::Settled;
            out.push(Out::Stored { name, id, relay: relay.clone() });
        }
        if let Some(at) = mailbox.at.get_mut(relay)
            && at.subscribed.is_some()
            && no > at.listed
            && at.promises.len() < limits::MAX_PROMISES
            && !at.pending.contains_key(&no)
        {
            at.promises.insert(no, id);
        }
        self.settle(name, out);
    }

    pub(super) fn on_put_refused(
        &mut self,
        relay: &RelayId,
        name: BoxName,
        id: BlobId,
        refusal: Refusal,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) {
        out.push(Out::Refused { relay: relay.clone(), name: Some(name), refusal });
        let put = self.boxes.get_mut(&name).and_then(|mailbox| mailbox.puts.get_mut(&id));
        let Some(put) = put.and_then(|put| put.at.get_mut(relay)) else { return };
        match pause_after(refusal) {
            Some(pause_ms) => {
                *put = PutAt::Waiting;
                self.due.insert((now_ms.saturating_add(pause_ms), Due::Put(relay.clone(), name, id)));
            }
            None => {
                *put = PutAt::Settled;
                self.settle(name, out);
            }
        }
    }

    /// Forgets the blobs of a box that wait for no relay any more.
    pub(super) fn settle(&mut self, name: BoxName, out: &mut Vec<Out>) {
        let Some(mailbox) = self.boxes.get_mut(&name) else { return };
        if mailbox.at.is_empty() {
            return;
        }
        let bytes = &mut self.put_bytes;
        mailbox.puts.retain(|id, put| {
            let waits = put.at.values().any(|at| *at != PutAt::Settled);
            if !waits {
                *bytes -= put.blob.len();
                out.push(Out::Settled { name, id: *id });
            }
            waits
        });
    }
}
