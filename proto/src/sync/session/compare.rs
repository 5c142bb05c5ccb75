//! Rounds: summaries, and the comparison that follows when they differ.
//!
//! The dialer opens rounds. What a side tells in its summary follows from what the other is to it: a member is told all, a
//! former member the control logs, so that it learns that it is out, a stranger nothing. Unless both tell all, only control
//! logs are compared. A side that tells nothing *withholds*: it answers with `Tell` and `Want`, never with what it holds,
//! and the other side drives. When both withhold, nothing is compared.

use std::collections::VecDeque;

use parlor_crypto::topic::Side;

use crate::wire::{CompareItem, Digests, Entry, MAX_ITEMS, Path, RoomFrame, SeriesKind, Told, Want};

use super::super::sketch::{Sketch, Tags};
use super::super::tables::{Series, Tables};
use super::{Handled, Misbehaviour, Out, Session, Standing, Turn};

/// Pause before the next round after something happened.
const SHORT_PAUSE_MS: u64 = 2_000;
/// Longest pause between two rounds while something moves all the time: a room in which people talk is compared too.
const MOVING_PAUSE_MS: u64 = 10_000;
/// Longest pause between two rounds while the sides differ and nothing moves.
const LONG_PAUSE_MS: u64 = 300_000;
/// Longest pause while they are equal: an idle link costs one round trip of 120 bytes in this time. What is new is told by
/// tips; rounds find what slipped through.
const EQUAL_PAUSE_MS: u64 = 3_600_000;
/// How much longer each pause is than the one before, while the sides differ and while they are equal: 400 idle sessions that
/// doubled theirs would cost a megabyte before they are quiet.
const GROWTH: [u64; 2] = [2, 32];
/// Pause between two rounds that the peer asks for.
const AGAIN_PAUSE_MS: u64 = 500;
/// Turns of one comparison: a tag has 12 digits, and 4,096 lines fit in a turn.
const MAX_TURNS: u32 = 1_000;
/// Lines looked at in one comparison, as a multiple of the table: honest peers go down once, five or six levels deep.
const MAX_LOOKS: usize = 16;
/// Lines that may be looked at in any case.
const FREE_LOOKS: usize = 65_536;
/// Weight of the items in one turn, in entries.
const TURN_WEIGHT: usize = MAX_ITEMS;
/// Weight of the items that may wait for their turn: more than any honest table of 65,536 series makes.
const MAX_QUEUE_WEIGHT: usize = 262_144;

/// Where the rounds of a session stand.
#[derive(Default)]
pub(super) struct Rounds {
    round: u32,
    phase: Phase,
    /// The peer's summary that came before its standing was known.
    early: Option<(u32, Told)>,
    /// The last summary of the peer.
    peer_told: Option<Told>,
    last_equal: bool,
    /// The peer sees another room in the same events.
    split: bool,
    /// Our tables when they were told last.
    last_digests: Option<Digests>,
    pause_ms: u64,
    next_ms: Option<u64>,
    opened_ms: u64,
    deadline: Option<u64>,
}

/// What the current round waits for.
#[derive(Default)]
enum Phase {
    /// Nothing: the round is over, or none was opened.
    #[default]
    Rest,
    /// The other side's summary, after we sent this one.
    Summary(Told),
    /// The other side's turn.
    Compare(Comparing),
}

/// A comparison under way.
struct Comparing {
    sketch: Sketch,
    /// What the peer was when the sketch was made for it.
    told_to: Option<Standing>,
    /// We tell nothing of ours.
    withholds: bool,
    queue: VecDeque<CompareItem>,
    weight: usize,
    n_turns: u32,
    n_looks: usize,
    /// We have said all we had to say; the other side may have more.
    done: bool,
}

impl Rounds {
    pub(super) fn last_equal(&self) -> bool {
        self.last_equal && matches!(self.phase, Phase::Rest)
    }

    /// The peer takes us for a member.
    pub(super) fn peer_ready(&self) -> bool {
        matches!(self.peer_told, Some(Told::All(_)))
    }

    /// The control logs that the peer told last to hold, if it takes us for a member.
    pub(super) fn peer_control(&self) -> Option<[u8; 16]> {
        match self.peer_told {
            Some(Told::All(digests)) => Some(digests.control),
            _ => None,
        }
    }

    /// The peer sent a summary at least once.
    pub(super) fn peer_answered(&self) -> bool {
        self.peer_told.is_some()
    }

    pub(super) fn reply_deadline(&self) -> Option<u64> {
        self.deadline
    }

    /// Whether our tables are others than those told last.
    pub(super) fn moved(&self, tables: &Tables) -> bool {
        self.last_digests.is_none_or(|told| told != tables.digests())
    }

    /// A round is under way: the next is opened soon after.
    fn try_again(&mut self, now_ms: u64) {
        self.next_ms = Some(now_ms.saturating_add(AGAIN_PAUSE_MS));
    }

    fn rest(&mut self) {
        self.phase = Phase::Rest;
        self.deadline = None;
    }
}

impl Session {
    pub(super) fn next_round_ms(&self) -> Option<u64> {
        self.rounds.next_ms.filter(|_| self.side == Side::Dialer)
    }

    /// Something moved: look again, when it rests, whether both sides are equal. What never rests is looked at all the same.
    pub(super) fn round_soon(&mut self, now_ms: u64) {
        self.rounds.pause_ms = SHORT_PAUSE_MS;
        let latest = self.rounds.opened_ms.saturating_add(MOVING_PAUSE_MS).max(now_ms);
        self.rounds.next_ms = Some(now_ms.saturating_add(SHORT_PAUSE_MS).min(latest));
    }

    pub(super) fn on_standing(&mut self, standing: Standing, turn: &mut Turn<'_>) -> Handled {
        if self.peer.is_none() {
            return Ok(());
        }
        let before = self.standing.replace(standing);
        if before == Some(standing) {
            return Ok(());
        }
        self.stream.tags = Tags::default();
        if let (Standing::Removed, Some(peer)) = (standing, self.peer) {
            // What it wrote before it left counts, and its Leave came before its messages.
            let theirs = Series::messages(peer);
            let want = Want { tag: self.salt.tag(&theirs), have: turn.tables.seq(&theirs) };
            turn.send(&RoomFrame::Want(vec![want]));
        }
        self.compare_own(turn);
        if self.side == Side::Dialer {
            self.open_round(turn);
        } else if let Some((round, told)) = self.rounds.early.take() {
            self.on_summary(round, told, turn)?;
        } else if before.is_some() {
            turn.send(&RoomFrame::Again);
        }
        self.pump(turn);
        Ok(())
    }

    pub(super) fn on_again(&mut self, turn: &mut Turn<'_>) -> Handled {
        if self.side == Side::Dialer && self.standing.is_some() {
            let at = self.rounds.opened_ms.saturating_add(AGAIN_PAUSE_MS).max(turn.now_ms);
            self.rounds.next_ms = Some(self.rounds.next_ms.map_or(at, |next| next.min(at)));
        }
        Ok(())
    }

    /// The dialer opens a round, unless one is under way.
    pub(super) fn open_round(&mut self, turn: &mut Turn<'_>) {
        let rounds = &mut self.rounds;
        let [slow, fast] = GROWTH;
        let (times, longest) = if rounds.last_equal { (fast, EQUAL_PAUSE_MS) } else { (slow, LONG_PAUSE_MS) };
        rounds.pause_ms = (rounds.pause_ms * times).clamp(SHORT_PAUSE_MS, longest);
        rounds.next_ms = Some(turn.now_ms.saturating_add(rounds.pause_ms));
        match &rounds.phase {
            Phase::Compare(comparing) if !comparing.done => return rounds.try_again(turn.now_ms),
            Phase::Summary(_) => return rounds.try_again(turn.now_ms),
            Phase::Compare(_) | Phase::Rest => {}
        }
        rounds.round = rounds.round.saturating_add(1);
        rounds.opened_ms = turn.now_ms;
        rounds.deadline = Some(turn.now_ms.saturating_add(super::COMPARE_TIMEOUT_MS));
        let round = rounds.round;
        let told = self.told(turn);
        self.rounds.phase = Phase::Summary(told);
        turn.send(&RoomFrame::Summary { round, told });
    }

    /// What we tell the peer now.
    fn told(&mut self, turn: &Turn<'_>) -> Told {
        self.rounds.last_digests = Some(turn.tables.digests());
        match self.standing {
            Some(Standing::Live) => Told::All(turn.tables.digests()),
            Some(Standing::Removed) => Told::Control(turn.tables.digests().control),
            Some(Standing::Stranger) | None => Told::Nothing,
        }
    }

    pub(super) fn on_summary(&mut self, round: u32, theirs: Told, turn: &mut Turn<'_>) -> Handled {
        if self.standing.is_none() {
            let first = self.side == Side::Listener && self.rounds.early.replace((round, theirs)).is_none();
            return if first { Ok(()) } else { Err(Misbehaviour::OutOfTurn) };
        }
        // Both sides judge by the same two summaries, whatever has changed since they were sent.
        let ours = match (self.side, &self.rounds.phase) {
            (Side::Dialer, Phase::Summary(sent)) if round == self.rounds.round => *sent,
            (Side::Listener, _) if round > self.rounds.round => {
                self.rounds.round = round;
                let ours = self.told(turn);
                turn.send(&RoomFrame::Summary { round, told: ours });
                ours
            }
            _ => return Err(Misbehaviour::OutOfTurn),
        };
        self.rounds.rest();
        self.rounds.peer_told = Some(theirs);
        self.rounds.last_equal = false;
        self.stream.clear_owed();
        self.compare_views(&ours, &theirs, turn);
        match (ours, theirs) {
            (Told::Nothing, Told::Nothing) => {}
            (Told::All(ours), Told::All(theirs)) if ours.same_content(&theirs) => self.all_equal(ours, turn),
            (Told::All(a), Told::All(b)) => {
                if a.control == b.control && a.messages == b.messages {
                    turn.out.push(Out::Equal);
                }
                self.differ(&ours, &theirs, self.side == Side::Dialer, turn);
            }
            // The side that tells drives.
            (Told::Nothing, _) => self.differ(&ours, &theirs, false, turn),
            (_, Told::Nothing) => self.differ(&ours, &theirs, true, turn),
            _ if ours.control() == theirs.control() => self.rounds.last_equal = true,
            _ => self.differ(&ours, &theirs, self.side == Side::Dialer, turn),
        }
        self.pump(turn);
        Ok(())
    }

    /// Notices that the peer sees another room in the same control events (a split view), and that it does no longer.
    fn compare_views(&mut self, ours: &Told, theirs: &Told, turn: &mut Turn<'_>) {
        let (Told::All(ours), Told::All(theirs), Some(device)) = (ours, theirs, self.peer) else { return };
        let Some(split) = ours.split_from(theirs) else { return };
        if std::mem::replace(&mut self.rounds.split, split) != split {
            turn.out.push(Out::View { device, split });
        }
    }

    fn all_equal(&mut self, digests: Digests, turn: &mut Turn<'_>) {
        self.rounds.last_equal = true;
        self.stream.clear_backs();
        turn.out.push(Out::Equal);
        // What is new since we told our digests, the peer need not have.
        if turn.tables.digests().same_content(&digests) {
            for (series, tip) in turn.tables.iter() {
                self.note_has(*series, tip.seq, turn);
            }
        } else {
            self.round_soon(turn.now_ms);
        }
    }

    /// Compares the kinds of series that differ by these two summaries.
    fn differ(&mut self, ours: &Told, theirs: &Told, speaks_first: bool, turn: &mut Turn<'_>) {
        let sketch = Sketch::new(turn.tables, &self.salt, self.rounds.round, |kind| ours.differs(theirs, kind));
        let first = sketch.first();
        self.rounds.phase = Phase::Compare(Comparing {
            sketch,
            told_to: self.standing,
            withholds: *ours == Told::Nothing,
            queue: VecDeque::new(),
            weight: 0,
            n_turns: 0,
            n_looks: 0,
            done: false,
        });
        self.rounds.deadline = Some(turn.now_ms.saturating_add(super::COMPARE_TIMEOUT_MS));
        if speaks_first {
            turn.send(&RoomFrame::Compare { round: self.rounds.round, items: vec![first] });
        }
    }

    pub(super) fn on_compare(&mut self, round: u32, items: &[CompareItem], turn: &mut Turn<'_>) -> Handled {
        if round > self.rounds.round || items.len() > MAX_ITEMS {
            return Err(Misbehaviour::OutOfTurn);
        }
        // A turn of a round that is over was under way when the next was opened.
        if round < self.rounds.round {
            return Ok(());
        }
        let Phase::Compare(mut comparing) = std::mem::take(&mut self.rounds.phase) else {
            return Err(Misbehaviour::OutOfTurn);
        };
        // Who was a member when the round began may have left meanwhile: no more of this round's sketch for it.
        comparing.withholds |= self.standing != comparing.told_to;
        comparing.n_turns += 1;
        if comparing.n_turns > MAX_TURNS {
            return Err(Misbehaviour::TooMany);
        }
        let mut wants = Vec::new();
        for item in items {
            match item {
                CompareItem::Split { path, children, digests } => {
                    self.on_split(&mut comparing, *path, *children, digests, turn)?;
                }
                CompareItem::List { path, entries } => {
                    self.on_list(&mut comparing, *path, entries, &mut wants, turn)?;
                }
                CompareItem::Tell { path } => on_tell(&mut comparing, *path)?,
            }
        }
        self.send_wants(wants, turn);
        let reply = comparing.next_turn();
        comparing.done = reply.is_empty();
        let waits = !comparing.done;
        self.rounds.deadline = waits.then(|| turn.now_ms.saturating_add(super::COMPARE_TIMEOUT_MS));
        self.rounds.phase = Phase::Compare(comparing);
        if waits || !items.is_empty() {
            turn.send(&RoomFrame::Compare { round, items: reply });
        }
        self.tell_ahead(turn);
        self.pump(turn);
        Ok(())
    }

    /// The peer's part below `path`, by digests of its sixteen parts.
    fn on_split(
        &mut self,
        comparing: &mut Comparing,
        path: Path,
        children: u16,
        digests: &[[u8; 2]],
        turn: &mut Turn<'_>,
    ) -> Handled {
        if path.child(0).is_none() || usize::try_from(children.count_ones()) != Ok(digests.len()) {
            return Err(Misbehaviour::Malformed);
        }
        comparing.look(path)?;
        let mut digests = digests.iter();
        for digit in 0..16 {
            let theirs = if children & 1 << digit == 0 { None } else { digests.next().copied() };
            let Some(path) = path.child(digit) else { break };
            let lines = comparing.sketch.below(path);
            match (comparing.sketch.digest(lines), theirs) {
                (ours, theirs) if ours == theirs => {}
                (_, None) => {
                    for line in lines {
                        self.offer(line.series, 0, turn);
                    }
                }
                (_, Some(_)) if comparing.withholds => comparing.say(CompareItem::Tell { path })?,
                (_, Some(_)) => comparing.say(comparing.sketch.describe(path))?,
            }
        }
        Ok(())
    }

    /// The peer's part below `path`, line by line.
    fn on_list(
        &mut self,
        comparing: &mut Comparing,
        path: Path,
        entries: &[Entry],
        wants: &mut Vec<Want>,
        turn: &mut Turn<'_>,
    ) -> Handled {
        let sorted = entries.is_sorted_by(|a, b| a.tag < b.tag);
        let below = entries.iter().all(|entry| path.place(&entry.tag).is_eq());
        if path.digits().is_none() || entries.len() > MAX_ITEMS || !sorted || !below {
            return Err(Misbehaviour::Malformed);
        }
        for entry in entries {
            self.weigh(entry, comparing.sketch.round(), wants, turn);
        }
        for line in comparing.sketch.below(path) {
            if entries.binary_search_by_key(&line.entry.tag, |entry| entry.tag).is_err() {
                self.offer(line.series, 0, turn);
            }
        }
        Ok(())
    }
}

/// The peer tells nothing and asks for more about the part below `path`.
fn on_tell(comparing: &mut Comparing, path: Path) -> Handled {
    if path.digits().is_none() {
        return Err(Misbehaviour::Malformed);
    }
    if comparing.withholds {
        return Ok(());
    }
    comparing.look(path)?;
    comparing.say(comparing.sketch.describe(path))
}

impl Comparing {
    /// Counts the work that a message about the part below `path` makes: twice the lines there, for digests and splits.
    fn look(&mut self, path: Path) -> Handled {
        self.n_looks += 1 + 2 * self.sketch.below(path).len();
        if self.n_looks > FREE_LOOKS + MAX_LOOKS * self.sketch.len() {
            return Err(Misbehaviour::TooMany);
        }
        Ok(())
    }

    fn say(&mut self, item: CompareItem) -> Handled {
        self.weight += weight(&item);
        if self.weight > MAX_QUEUE_WEIGHT {
            return Err(Misbehaviour::TooMany);
        }
        self.queue.push_back(item);
        Ok(())
    }

    /// The items of our next turn.
    fn next_turn(&mut self) -> Vec<CompareItem> {
        let (mut items, mut total) = (Vec::new(), 0);
        while let Some(item) = self.queue.front() {
            let weight = weight(item);
            if total > 0 && total + weight > TURN_WEIGHT {
                break;
            }
            total += weight;
            self.weight = self.weight.saturating_sub(weight);
            items.extend(self.queue.pop_front());
        }
        items
    }
}

impl Told {
    /// Whether series of this kind are compared after these two summaries: those that differ of all when both tell all,
    /// else the control logs.
    fn differs(&self, theirs: &Self, kind: SeriesKind) -> bool {
        match (self, theirs) {
            (Self::All(ours), Self::All(theirs)) => ours.of(kind) != theirs.of(kind),
            _ => kind == SeriesKind::Control,
        }
    }

    fn control(&self) -> Option<[u8; 16]> {
        match self {
            Self::Nothing => None,
            Self::Control(digest) => Some(*digest),
            Self::All(digests) => Some(digests.control),
        }
    }
}

fn weight(item: &CompareItem) -> usize {
    match item {
        CompareItem::Split { digests, .. } => 1 + digests.len() / 4,
        CompareItem::List { entries, .. } => 1 + entries.len(),
        CompareItem::Tell { .. } => 1,
    }
}
