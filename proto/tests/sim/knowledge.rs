//! Who can derive which key: a ledger of every secret that was ever handed out, and what must hold of it.
//!
//! Secrets are handed out in four ways: the rows of a Rotate, a Welcome, a key share, and making the epoch oneself. The
//! ledger hears of each, whoever received it and whatever that one did with it since; from the key of a slice all later
//! slices of the epoch follow. So it knows more than any node holds: what a thief could know who recorded everything.
//!
//! C7: whoever is out in the view of a message's author can not derive its key, alone or with others who are out, but by what
//! the author had not heard of: that somebody came, or that what had put him out did not count.
//! C8: whoever was in can read it. C9: a newcomer without history derives nothing earlier. C19: an epoch that is safe
//! reaches members only.

use std::collections::{BTreeMap, BTreeSet};

use parlor_crypto::hpke::row_hint;
use parlor_crypto::leaf::LeafPublic;
use parlor_proto::control::{Control, History, InviteHistory, Rows};
use parlor_proto::dag::{Dag, GrantIdx, Insert, NodeIdx, Set};
use parlor_proto::epoch::{decode_names, decode_page, levels};
use parlor_proto::event::{Event, MessageHeader};
use parlor_proto::resolve::{Resolved, resolve};
use parlor_proto::{AccountId, DeviceId, EpochId, EventId, RoomId};

/// The key of a slice was handed out.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    pub to: DeviceId,
    pub epoch: EpochId,
    pub slice: u32,
    /// The frontier of what the giver knew of the room then.
    pub knew: Vec<EventId>,
}

/// From which slice on, and what the giver knew, each time.
type Hands = BTreeSet<(u32, Vec<EventId>)>;

/// The secrets that each device was handed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By device and epoch the earliest slice whose key it can derive.
    known: BTreeMap<(DeviceId, EpochId), u32>,
    /// And every time it was handed one.
    hands: BTreeMap<(DeviceId, EpochId), Hands>,
}

impl Ledger {
    /// A device was handed the key of a slice.
    pub(crate) fn hand(&mut self, hand: Hand) {
        let place = (hand.to, hand.epoch);
        let known = self.known.entry(place).or_insert(hand.slice);
        *known = hand.slice.min(*known);
        self.hands.entry(place).or_default().insert((hand.slice, hand.knew));
    }

    /// What they knew who handed the device what it derives the key of a message from.
    fn givers(&self, device: &DeviceId, header: &MessageHeader) -> impl Iterator<Item = &[EventId]> {
        let hands = self.hands.get(&(*device, header.epoch)).into_iter().flatten();
        hands.filter(|(slice, _)| *slice <= header.slice).map(|(_, knew)| knew.as_slice())
    }

    /// Reads the rows of all Rotates: `leafs` are the keys that devices ever had, `pages` those of large epochs.
    fn read_rows(&mut self, dag: &Dag, leafs: &[(DeviceId, LeafPublic)], pages: &BTreeMap<[u8; 32], Vec<u8>>) {
        for at in &dag.kinds().rotates {
            let node = dag.node(*at);
            let Control::Rotate(rotate) = &node.control else { continue };
            let epoch = EpochId::of(&node.event.id());
            // Who is handed a row is one of those whom its past names.
            let handed = |to: DeviceId| Hand { to, epoch, slice: 0, knew: vec![node.event.id()] };
            self.hand(handed(node.event.device()));
            let rows = match &rotate.rows {
                Rows::Inline(rows) => rows.clone(),
                Rows::Pages(named) => {
                    let mut named: Vec<[u8; 32]> = named.iter().map(|(_, hash)| *hash).collect();
                    for _ in 0..levels(rotate.n_rows as usize).1 {
                        let held = named.iter().filter_map(|hash| decode_names(pages.get(hash)?).ok());
                        named = held.flatten().map(|(_, hash)| hash).collect();
                    }
                    let held = named.iter().filter_map(|hash| decode_page(pages.get(hash)?).ok());
                    held.flatten().collect()
                }
            };
            let hints: BTreeSet<[u8; 8]> = rows.iter().map(|row| row.hint).collect();
            for (device, leaf) in leafs {
                if hints.contains(&row_hint(leaf, device.as_bytes(), &rotate.commit)) {
                    self.hand(handed(*device));
                }
            }
        }
    }
}

/// A room as somebody who sees every event understands it.
pub(crate) struct Whole {
    pub dag: Dag,
    views: BTreeMap<Vec<EventId>, (Set, Resolved)>,
}

impl Whole {
    /// From all control events that anybody holds.
    pub(crate) fn new<'a>(room: RoomId, events: impl Iterator<Item = &'a Event>) -> Self {
        let mut dag = Dag::new(room);
        let mut waiting: Vec<&Event> = events.collect();
        loop {
            let before = waiting.len();
            waiting.retain(|event| !matches!(dag.insert_stored(event), Insert::New(_) | Insert::Known));
            if waiting.len() == before {
                break;
            }
        }
        Self { dag, views: BTreeMap::new() }
    }

    /// What the author of a message knew, and what it meant.
    fn view(&mut self, header: &MessageHeader) -> Option<&(Set, Resolved)> {
        let heads: Option<Vec<NodeIdx>> = header.control.iter().map(|head| self.dag.find(head)).collect();
        let past = self.dag.past_of(heads?);
        let dag = &self.dag;
        Some(self.views.entry(header.control.clone()).or_insert_with(|| {
            let resolved = resolve(dag, &past);
            (past, resolved)
        }))
    }

    /// What a giver knew of the room: as far as anybody still holds it, for a crash may have lost the latest.
    fn known_at(&self, frontier: &[EventId]) -> Set {
        self.dag.past_of(frontier.iter().filter_map(|head| self.dag.find(head)))
    }

    /// Whether an account has a part in an epoch, by what is known: as a member, or let in into it.
    fn has_part(&self, account: &AccountId, epoch: &EpochId, knew: &Resolved) -> bool {
        let into = |g: &GrantIdx| match &self.dag.node(self.dag.grants()[*g].op).control {
            Control::Admit(admit) => admit.epoch == *epoch && knew.began(&self.dag, *g),
            _ => false,
        };
        knew.members().contains_key(account) || self.dag.grants_of(account).iter().any(into)
    }
}

/// What is to be told of a finished history.
pub(crate) struct Finished<'a> {
    pub whole: Whole,
    pub ledger: &'a mut Ledger,
    /// Every message that anybody holds, by honest authors.
    pub messages: Vec<&'a Event>,
    /// Every leaf key that any device ever had.
    pub leafs: Vec<(DeviceId, LeafPublic)>,
    pub pages: BTreeMap<[u8; 32], Vec<u8>>,
    /// Who read what: device and message, of honest nodes.
    pub read: BTreeSet<(DeviceId, EventId)>,
    /// The honest devices that should be able to read what is theirs by now.
    pub readers: BTreeMap<DeviceId, AccountId>,
}

impl Finished<'_> {
    /// Checks C7, C8 and C9.
    pub(crate) fn check(mut self) {
        self.ledger.read_rows(&self.whole.dag, &self.leafs, &self.pages);
        let devices: BTreeSet<DeviceId> = self.leafs.iter().map(|(device, _)| *device).collect();
        for event in std::mem::take(&mut self.messages) {
            let Some(header) = event.message() else { continue };
            let Some((view, resolved)) = self.whole.view(header).cloned() else { continue };
            for device in &devices {
                self.nobody_out_reads(event, header, device, &view, &resolved);
                self.members_read(event, header, device, &view, &resolved);
            }
        }
        self.newcomers_know_nothing_earlier();
    }

    /// C7. Whoever is out may have been handed a key by what the author had not heard of, which brought him in or back; but not
    /// by anything that the author knew too.
    fn nobody_out_reads(&self, event: &Event, header: &MessageHeader, device: &DeviceId, view: &Set, knew: &Resolved) {
        let (dag, epoch) = (&self.whole.dag, &header.epoch);
        let Some(account) = self.account(device).filter(|account| !knew.members().contains_key(account)) else {
            return;
        };
        for giver in self.ledger.givers(device, header) {
            let known = self.whole.known_at(giver);
            let mut common = known.clone();
            known.without(view).for_each(|at| common.take(at));
            let had_part = |view: &Set| self.whole.has_part(&account, epoch, &resolve(dag, view));
            let story = || self.story(event, header, device, view);
            let by_news = had_part(&known) && !had_part(&common);
            assert!(by_news, "C7: {} is out and can read {}{}", device.short(), event.id().short(), story());
        }
    }

    /// C8. Whoever was a member when it was written, as its author saw it, has read it.
    fn members_read(&self, event: &Event, header: &MessageHeader, device: &DeviceId, view: &Set, knew: &Resolved) {
        let Some(account) = self.readers.get(device) else { return };
        let certified =
            self.whole.dag.device_no(device).is_some_and(|no| self.whole.dag.account_in(no, view).is_some());
        if certified && knew.members().contains_key(account) && !self.let_in_falsely(account, header, knew) {
            let read = self.read.contains(&(*device, event.id()));
            let story = || self.story(event, header, device, view);
            assert!(read, "C8: {} was in and cannot read {}{}", device.short(), event.id().short(), story());
        }
    }

    /// Whether somebody was let in into the epoch by the word of villains alone, who may have committed to a key that is none: then he
    /// reads from the next epoch on.
    fn let_in_falsely(&self, account: &AccountId, header: &MessageHeader, knew: &Resolved) -> bool {
        let dag = &self.whole.dag;
        let honest = |author: &AccountId| self.readers.values().any(|reader| reader == author);
        let falsely = |g: &GrantIdx| {
            let node = dag.node(dag.grants()[*g].op);
            let into = matches!(&node.control, Control::Admit(admit) if admit.epoch == header.epoch);
            into && !honest(&node.author)
        };
        let mut live = dag.grants_of(account).iter().filter(|g| knew.is_live(**g));
        live.all(falsely)
    }

    /// C9. Whatever role somebody was given since: by how he came he may read what was made without him, or he may not.
    fn newcomers_know_nothing_earlier(&self) {
        let dag = &self.whole.dag;
        for ((device, epoch), hands) in &self.ledger.hands {
            let Some(account) = self.account(device) else { continue };
            let Some((made, _)) = dag.epoch(epoch) else { continue };
            // Also who was in before, was out when it was made, and came again since.
            if resolve(dag, &dag.node(made).past).members().contains_key(&account) {
                continue;
            }
            let by_themselves = |g: GrantIdx| self.counted(g);
            let first = self.reads_from(&account, epoch, &by_themselves);
            // Whom a hostile Rotate has a row for is asked where it is safe (C19).
            let by_row = vec![dag.node(made).event.id()];
            for (slice, knew) in hands.iter().filter(|(_, knew)| *knew != by_row) {
                let heads: Option<Vec<NodeIdx>> = knew.iter().map(|head| dag.find(head)).collect();
                // What was given on what nobody holds any more, by a sponsor who was put back to a copy from before, was given on
                // another admission than this one.
                let Some(heads) = heads else { continue };
                let may = first.is_some_and(|first| *slice >= first) || {
                    // Or what counted in the eyes of who gave it: a use that was taken before may have been free for him.
                    let knew = resolve(dag, &dag.past_of(heads));
                    let first = self.reads_from(&account, epoch, &|g| knew.began(dag, g));
                    first.is_some_and(|first| *slice >= first)
                };
                assert!(may, "C9: {} knows slice {slice} of an epoch from before it came", device.short());
            }
        }
    }

    /// From which slice on an account may read an epoch of before it came: all of it, by how it came, or from where it was let in.
    fn reads_from(&self, account: &AccountId, epoch: &EpochId, counts: &dyn Fn(GrantIdx) -> bool) -> Option<u32> {
        let dag = &self.whole.dag;
        let (_, rotate) = dag.epoch(epoch)?;
        let came = |g: &GrantIdx| counts(*g) && self.came_with_history(*g, counts);
        let shared = rotate.share_history == History::Full && dag.grants_of(account).iter().any(came);
        if shared { Some(0) } else { self.first_opened(account, epoch, None, counts) }
    }

    /// The first slice of an epoch that admissions opened to an account, whoever wrote them: each hands on what its author might read.
    fn first_opened(
        &self,
        account: &AccountId,
        epoch: &EpochId,
        view: Option<&Set>,
        counts: &dyn Fn(GrantIdx) -> bool,
    ) -> Option<u32> {
        let dag = &self.whole.dag;
        let opened = |g: &GrantIdx| {
            let op = dag.grants()[*g].op;
            let Control::Admit(admit) = &dag.node(op).control else { return None };
            (admit.epoch == *epoch && view.is_none_or(|view| view.has(op))).then_some(())?;
            let node = dag.node(op);
            let (made, rotate) = dag.epoch(epoch)?;
            let made_for = resolve(dag, &dag.node(made).past).members().contains_key(&node.author);
            let shared = rotate.share_history == History::Full;
            let by_history = node.auth.is_some_and(|g| shared && self.came_with_history(g, counts));
            let own = || self.first_opened(&node.author, epoch, Some(&node.past), counts);
            let had = if made_for || by_history { Some(0) } else { own() };
            had.filter(|had| *had <= admit.slice).map(|_| admit.slice)
        };
        dag.grants_of(account).iter().filter(|g| counts(**g)).filter_map(opened).min()
    }

    /// Whether a grant counted when it was made, as its author saw it: what a villain writes himself by a link that is over, or acting
    /// under what he was once, gives nobody anything.
    fn counted(&self, g: GrantIdx) -> bool {
        let dag = &self.whole.dag;
        let op = dag.grants()[g].op;
        let mut view = dag.node(op).past.clone();
        view.put(op);
        resolve(dag, &view).began(dag, g)
    }

    /// Whether who has a grant came with a right to read of the past: a founder, or by the invite of somebody who did so
    /// himself. A role gives none.
    fn came_with_history(&self, g: GrantIdx, counts: &dyn Fn(GrantIdx) -> bool) -> bool {
        let dag = &self.whole.dag;
        let op = dag.node(dag.grants()[g].op);
        match &op.control {
            Control::Admit(admit) => dag.invite(&admit.invite).is_some_and(|(at, invite)| {
                let inviter = dag.node(at).auth;
                invite.history != InviteHistory::None && inviter.is_some_and(|g| self.came_with_history(g, counts))
            }),
            Control::Grant(grant) => {
                let before = dag.grants_of(&grant.subject).iter().filter(|g| op.past.has(dag.grants()[**g].op));
                before.into_iter().any(|g| counts(*g) && self.came_with_history(*g, counts))
            }
            _ => true,
        }
    }

    /// What happened in the room, for a failed check.
    fn story(&self, event: &Event, header: &MessageHeader, device: &DeviceId, view: &Set) -> String {
        let dag = &self.whole.dag;
        let account = self.account(device).map(|account| account.short().to_string());
        let known = self.ledger.known.get(&(*device, header.epoch));
        let (author, epoch, slice) = (event.device().short().to_string(), header.epoch.0[0], header.slice);
        let mut story = format!(
            "\nwritten by {author} in epoch {epoch:02x} slice {slice}; {account:?} was handed slice {known:?} of it"
        );
        for (at, node) in dag.nodes().iter().enumerate() {
            let what = match &node.control {
                Control::Genesis(_) => "Genesis".into(),
                Control::Grant(grant) => format!("Grant {:?} to {}", grant.power, grant.subject.short()),
                Control::Remove(remove) => format!("Remove {:?} cascade {}", remove.target, remove.cascade),
                Control::Admit(admit) => format!(
                    "Admit {} epoch {:02x} slice {}",
                    admit.join.entrant.account().short(),
                    admit.epoch.0[0],
                    admit.slice
                ),
                Control::Rotate(rotate) => format!("Rotate {:?} of {} rows", rotate.reason, rotate.n_rows),
                other => format!("kind {}", other.kind()),
            };
            let seen = if view.has(at) { "seen" } else { "unseen" };
            let (by, id) = (node.author.short(), node.event.id());
            let parents: Vec<u8> = node.event.parents().iter().map(|parent| parent.0[0]).collect();
            story += &format!("\n  {:02x} by {by} {seen} after {parents:02x?}: {what}", id.0[0]);
        }
        story
    }

    fn account(&self, device: &DeviceId) -> Option<AccountId> {
        let no = self.whole.dag.device_no(device)?;
        self.whole.dag.account_where(no, |_| true)
    }
}
