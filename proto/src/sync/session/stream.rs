//! Batches in both directions, and what each side is known to hold.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::wire::{Blob, Item, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_ITEMS, RoomFrame, SeriesKind, SeriesTag, Want};

use super::super::sketch::Tags;
use super::super::tables::{Series, Tables, is_record};
use super::{Handled, Misbehaviour, Out, Outgoing, Session, Standing, Turn, WINDOW, Wanted};

/// Ranges in one read: enough for any room of usual size at once, and bounded for the others.
const MAX_RANGES: usize = 4_096;
/// Claims of the peer that are remembered until they are fulfilled.
const MAX_OWED: usize = 8_192;

/// What goes to the peer and what comes from it.
#[derive(Default)]
pub(super) struct Stream {
    /// Of our series: how far the peer is known to hold each, and how far it was sent.
    far: BTreeMap<Series, Far>,
    /// Series of which more is to be sent: control logs first.
    push: BTreeSet<Series>,
    reading: Option<(u32, BTreeSet<Series>)>,
    next_ticket: u32,
    in_flight: VecDeque<(u32, Vec<(Series, u64)>)>,
    next_batch: u32,
    expected: u32,
    delivered: BTreeSet<u32>,
    owed: HashMap<SeriesTag, u64>,
    /// Gaps that the peer was asked to fill since the last summary, and behind which number.
    gaps: HashMap<SeriesTag, u64>,
    /// How far the peer acknowledged our own message log.
    acknowledged: u64,
    /// Of forked logs: how far before our end of it the peer is asked to begin.
    backs: BTreeMap<Series, u64>,
    /// Of which of them that is still to be asked.
    pub(super) to_look: BTreeSet<Series>,
    pub(super) tags: Tags,
}

#[derive(Default, Clone, Copy)]
struct Far {
    has: u64,
    sent: u64,
}

impl Stream {
    /// How far the peer is known to hold `series`.
    pub(super) fn far(&self, series: &Series) -> u64 {
        self.far.get(series).map_or(0, |far| far.has)
    }

    /// How far `series` was sent to the peer.
    pub(super) fn sent(&self, series: &Series) -> u64 {
        self.far.get(series).map_or(0, |far| far.sent)
    }

    /// Whether number `seq` of `series` is what the peer needs next.
    pub(super) fn is_next(&self, series: &Series, seq: u64) -> bool {
        let reached = self.far(series).max(self.sent(series));
        let follows = if is_record(series.kind) { seq > reached } else { seq == reached.saturating_add(1) };
        follows && !self.push.contains(series)
    }

    pub(super) fn mark_sent(&mut self, series: Series, seq: u64) {
        let far = self.far.entry(series).or_default();
        far.sent = far.sent.max(seq);
    }

    /// Series of which more is to be sent.
    pub(super) fn to_send(&self) -> impl Iterator<Item = &Series> {
        self.push.iter()
    }

    pub(super) fn n_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.push.is_empty() && self.in_flight.is_empty() && self.delivered.is_empty()
    }

    /// The peer said that it has `series` up to `seq`, which is more than we hold.
    pub(super) fn owe(&mut self, tag: SeriesTag, seq: u64) {
        if self.owed.len() < MAX_OWED {
            let owed = self.owed.entry(tag).or_default();
            *owed = seq.max(*owed);
        }
    }

    /// Whether the peer said that it has more of the series than the `held` that are here.
    pub(super) fn is_owed(&self, tag: &SeriesTag, held: u64) -> bool {
        self.owed.get(tag).is_some_and(|seq| *seq > held)
    }

    pub(super) fn clear_owed(&mut self) {
        self.owed.clear();
        self.gaps.clear();
    }

    /// How far before our end of `series` the peer is to begin.
    pub(super) fn back(&self, series: &Series) -> u64 {
        self.backs.get(series).copied().unwrap_or(0)
    }

    /// The peer is to begin twice as far before our end of `series`, which has `len` events. Answers how far.
    pub(super) fn look_back(&mut self, series: Series, len: u64) -> u64 {
        let room = self.backs.len() < MAX_OWED || self.backs.contains_key(&series);
        let back = (2 * self.back(&series)).clamp(1, len.max(1));
        if room {
            self.backs.insert(series, back);
        }
        back
    }

    /// Both sides hold the same: no branch is looked for.
    pub(super) fn clear_backs(&mut self) {
        self.backs.clear();
        self.to_look.clear();
    }

    /// Whether nothing that the peer sent waits to be stored.
    pub(super) fn takes_nothing(&self) -> bool {
        self.delivered.is_empty()
    }

    /// Notes that the peer is asked to fill a gap. Whether it was not asked for the same since the last summary.
    pub(super) fn note_gap(&mut self, want: Want) -> bool {
        self.gaps.len() < MAX_OWED && self.gaps.insert(want.tag, want.have) != Some(want.have)
    }

    /// How much of one series the peer owes, beyond what is held.
    pub(super) fn owes(&self, tag: &SeriesTag, held: u64) -> u64 {
        self.owed.get(tag).map_or(0, |seq| seq.saturating_sub(held))
    }

    pub(super) fn n_owed(&self, tables: &Tables, salt: &super::Salt) -> u64 {
        if self.owed.is_empty() {
            return 0;
        }
        // Asked after every change: the tags of all series are worked out only while new series are not among those known.
        let missing = |held: &dyn Fn(&SeriesTag) -> u64| {
            let missing = self.owed.iter().map(|(tag, seq)| seq.saturating_sub(held(tag)));
            missing.fold(0, u64::saturating_add)
        };
        if self.tags.are_of(tables) {
            return missing(&|tag| self.tags.get(tag).map_or(0, |series| tables.seq(&series)));
        }
        let ours: HashMap<_, _> = tables.iter().map(|(series, tip)| (salt.tag(series), tip.seq)).collect();
        missing(&|tag| ours.get(tag).copied().unwrap_or(0))
    }

    /// Series of one kind of which more is to be sent, with their ranges.
    fn next_read(&mut self, tables: &Tables) -> Option<(SeriesKind, Vec<Wanted>)> {
        self.push.retain(|series| self.far.get(series).map_or(0, |far| far.sent) < tables.seq(series));
        let kind = self.push.first()?.kind;
        let chosen = self.push.iter().take_while(|series| series.kind == kind).take(MAX_RANGES);
        let wanted = chosen.map(|series| {
            let from = self.far.get(series).map_or(0, |far| far.sent).saturating_add(1);
            Wanted { series: *series, from, to: tables.seq(series) }
        });
        Some((kind, wanted.collect()))
    }
}

impl Session {
    /// The peer says that it holds `series` up to `seq`, of whatever branch: it is sent nothing of that.
    pub(super) fn note_claim(&mut self, series: Series, seq: u64) {
        let far = self.stream.far.entry(series).or_default();
        far.has = far.has.max(seq);
        far.sent = far.sent.max(far.has);
    }

    /// The peer holds `series` up to `seq`: the very events that are here.
    pub(super) fn note_has(&mut self, series: Series, seq: u64, turn: &mut Turn<'_>) {
        self.note_claim(series, seq);
        if let Some(device) = self.peer
            && self.is_ours(&series)
            && seq > self.stream.acknowledged
            && seq <= turn.tables.seq(&series)
        {
            self.stream.acknowledged = seq;
            turn.out.push(Out::PeerHas { device, seq });
        }
    }

    /// Whether it is our own message log.
    pub(super) fn is_ours(&self, series: &Series) -> bool {
        series.kind == SeriesKind::Message && series.device == self.our_device
    }

    /// The peer holds `series` up to `have` and we hold more: send what follows.
    pub(super) fn offer(&mut self, series: Series, have: u64, turn: &mut Turn<'_>) {
        if !self.serves(series.kind) || turn.tables.seq(&series) <= have {
            return;
        }
        let stream = &mut self.stream;
        let under_way = stream.in_flight.iter().any(|(_, items)| items.iter().any(|(sent, _)| *sent == series));
        let being_read = stream.reading.as_ref().is_some_and(|(_, read)| read.contains(&series));
        if under_way || being_read {
            return;
        }
        stream.far.entry(series).or_default().sent = have;
        stream.push.insert(series);
    }

    /// Asks for the next events to be read, when there is something to send and room in the window.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) {
        let stream = &mut self.stream;
        if stream.reading.is_some() || stream.in_flight.len() >= WINDOW || stream.push.is_empty() {
            return;
        }
        if !self.rounds.peer_answered() {
            return;
        }
        let Some((kind, wanted)) = stream.next_read(turn.tables) else { return };
        if !self.serves(kind) {
            self.stream.push.clear();
            return;
        }
        let stream = &mut self.stream;
        let ticket = stream.next_ticket;
        stream.next_ticket = stream.next_ticket.wrapping_add(1);
        stream.reading = Some((ticket, wanted.iter().map(|range| range.series).collect()));
        let (max_bytes, max_items) = (MAX_BATCH_BYTES, MAX_BATCH_ITEMS);
        turn.out.push(Out::Read { ticket, kind, wanted, max_bytes, max_items });
    }

    pub(super) fn on_read(&mut self, ticket: u32, events: Vec<Outgoing>, turn: &mut Turn<'_>) -> Handled {
        let Some((_, asked)) = self.stream.reading.take_if(|(reading, _)| *reading == ticket) else { return Ok(()) };
        let (mut items, mut sent) = (Vec::new(), BTreeMap::new());
        for Outgoing { series, seq, bytes } in events {
            let reached = self.stream.sent(&series);
            let follows = is_record(series.kind) && seq > reached || seq == reached.saturating_add(1);
            if asked.contains(&series) && follows && self.serves(series.kind) {
                self.stream.mark_sent(series, seq);
                sent.insert(series, seq);
                items.push(Item { kind: series.kind, bytes: Blob(bytes) });
            }
        }
        if items.is_empty() {
            // Not there although the tables say so: not to be asked for again before the next round.
            self.stream.push.retain(|series| !asked.contains(series));
        } else {
            self.send_batch(items, sent.into_iter().collect(), turn);
        }
        self.pump(turn);
        Ok(())
    }

    pub(super) fn send_batch(&mut self, items: Vec<Item>, sent: Vec<(Series, u64)>, turn: &mut Turn<'_>) {
        let id = self.stream.next_batch;
        self.stream.next_batch = id.wrapping_add(1);
        self.stream.in_flight.push_back((id, sent));
        if self.wake.ack.is_none() {
            self.wake.ack = Some(turn.now_ms.saturating_add(super::ACK_TIMEOUT_MS));
        }
        turn.send(&RoomFrame::Batch { id, items });
    }

    pub(super) fn on_ack(&mut self, id: u32, stored: bool, turn: &mut Turn<'_>) -> Handled {
        let place = self.stream.in_flight.iter().position(|(batch, _)| *batch == id);
        let (_, sent) = place.and_then(|at| self.stream.in_flight.remove(at)).ok_or(Misbehaviour::Unsolicited)?;
        let more = !self.stream.in_flight.is_empty();
        self.wake.ack = more.then(|| turn.now_ms.saturating_add(super::ACK_TIMEOUT_MS));
        let progress = stored && sent.iter().any(|(series, seq)| *seq > self.stream.far(series));
        if stored {
            for (series, seq) in sent {
                self.note_has(series, seq, turn);
            }
        }
        // What the peer takes and yet does not hold in the next round is no reason to hurry again.
        if progress {
            self.round_soon(turn.now_ms);
        }
        self.pump(turn);
        Ok(())
    }

    pub(super) fn on_batch(&mut self, id: u32, items: Vec<Item>, turn: &mut Turn<'_>) -> Handled {
        let (Some(from), Some(standing)) = (self.peer, self.standing) else { return Err(Misbehaviour::OutOfTurn) };
        let stream = &mut self.stream;
        if id != stream.expected || items.is_empty() {
            return Err(Misbehaviour::Malformed);
        }
        if stream.delivered.len() >= WINDOW || items.len() > MAX_BATCH_ITEMS {
            return Err(Misbehaviour::TooMany);
        }
        stream.expected = id.wrapping_add(1);
        self.wake.owed = self.wake.owed.map(|_| turn.now_ms.saturating_add(super::OWED_TIMEOUT_MS));
        let only_control = items.iter().all(|item| item.kind == SeriesKind::Control);
        if standing == Standing::Stranger && !only_control {
            return Err(Misbehaviour::NotEntitled);
        }
        self.stream.delivered.insert(id);
        turn.out.push(Out::Deliver { batch: id, from, items });
        Ok(())
    }

    pub(super) fn on_stored(&mut self, batch: u32, complete: bool, turn: &mut Turn<'_>) -> Handled {
        if self.stream.delivered.remove(&batch) {
            let moved = self.rounds.moved(turn.tables);
            // What was held already was claimed under another name: a peer that knows of a fork tells the stretches of a log, of which a
            // former member may hold the whole in one, and is not told of the branch that cut it.
            if !complete || !moved {
                self.stream.clear_owed();
            }
            turn.send(&RoomFrame::Ack { id: batch, stored: complete });
            self.ask_further_back(turn);
            if moved {
                self.round_soon(turn.now_ms);
            }
        }
        self.pump(turn);
        Ok(())
    }

    pub(super) fn send_wants(&mut self, wants: Vec<Want>, turn: &mut Turn<'_>) {
        if wants.is_empty() {
            return;
        }
        let deadline = turn.now_ms.saturating_add(super::OWED_TIMEOUT_MS);
        // With nothing older open the time begins now.
        if self.n_owed_now(turn) <= wants.len() {
            self.wake.owed = Some(deadline);
        }
        self.wake.owed.get_or_insert(deadline);
        for wants in wants.chunks(MAX_ITEMS) {
            turn.send(&RoomFrame::Want(wants.to_vec()));
        }
    }

    pub(super) fn on_want(&mut self, wants: &[Want], turn: &mut Turn<'_>) -> Handled {
        if wants.len() > MAX_ITEMS {
            return Err(Misbehaviour::TooMany);
        }
        // Of who was just removed and may not know it yet, wants for messages are passed over.
        for want in wants {
            if let Some(series) = self.stream.tags.find(&want.tag, turn.tables, &self.salt) {
                self.offer(series, want.have, turn);
            }
        }
        self.pump(turn);
        Ok(())
    }

    /// How many claims of the peer are still open; forgets those fulfilled.
    pub(super) fn n_owed_now(&mut self, turn: &Turn<'_>) -> usize {
        let (stream, salt) = (&mut self.stream, &self.salt);
        let tags = &mut stream.tags;
        stream.owed.retain(|tag, seq| {
            let held = tags.find(tag, turn.tables, salt).map_or(0, |series| turn.tables.seq(&series));
            held < *seq
        });
        stream.owed.len()
    }
}
