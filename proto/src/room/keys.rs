//! Keys: rows opened, pages fetched, keys shared again, leaf records. What is stored of them: [`super::rows`].

use std::collections::{BTreeSet, HashSet};

use parlor_crypto::CryptoRng;
use parlor_crypto::epoch::{EpochSecret, SliceSecret};
use parlor_crypto::hpke::{self, RowContext};
use parlor_crypto::leaf::LeafPublic;
use parlor_crypto::secret::Secret;
use parlor_crypto::wrap::GossipKey;

use super::Room;
use super::epochs::{Held, WantedPage};
use super::types::{Change, KeyError, KeyShare, Outcome, Persist, ShareRefusal};
use super::walk::Walk;
use crate::control::{Admit, Complaint, Control, History, InviteHistory, LeafRecord, PageName, Rotate, Row, Rows};
use crate::dag::{DeviceEntry, NodeIdx};
use crate::epoch::{WelcomeKey, decode_names, decode_page, levels, page_hash, pages_of};
use crate::identity::Leaf;
use crate::ids::{AccountId, DeviceId, EpochId, EventId};

/// Labels a key share.
pub(super) const SHARE: &str = "key share";
/// Pages kept in memory for members who ask: those of the newest epochs of a large room, some 12 MB.
const PAGES_IN_MEMORY: usize = 16_384;

impl Room {
    /// The hashes of pages on which our row must be: fetch them from any member.
    pub fn pages_wanted(&self) -> Vec<[u8; 32]> {
        self.epochs.pages_wanted.keys().copied().collect()
    }

    /// Who made the epoch that a wanted page is of, and so held the page from the beginning: ask him first.
    pub fn page_author(&self, hash: &[u8; 32]) -> Option<DeviceId> {
        let (at, _) = self.dag.epoch(&self.epochs.pages_wanted.get(hash)?.epoch)?;
        Some(self.dag.node(at).event.device())
    }

    /// Whether pages of this Rotate are wanted.
    pub fn wants_pages_of(&self, rotate: &EventId) -> bool {
        let epoch = EpochId::of(rotate);
        self.epochs.pages_wanted.values().any(|wanted| wanted.epoch == epoch)
    }

    /// Takes a page that was wanted; then more may be, on the way to our row.
    ///
    /// # Errors
    /// See [`KeyError`]; the sender is at fault unless the page is no longer wanted.
    pub fn accept_page(&mut self, bytes: Vec<u8>) -> Result<Outcome, KeyError> {
        let hash = page_hash(&bytes);
        let wanted = self.epochs.pages_wanted.remove(&hash).ok_or(KeyError::NotWanted)?;
        let mut outcome = Outcome::default();
        let read = if wanted.level > 0 {
            decode_names(&bytes).map(|names| self.want_pages(&names, wanted))
        } else {
            decode_page(&bytes).map(|rows| match self.own_row(&wanted.epoch, &rows) {
                Ok(secret) => {
                    self.hold_secret(wanted.epoch, &secret, &mut outcome);
                    true
                }
                Err(fault) => {
                    let worst = self.epochs.faults.get(&wanted.epoch).copied().map_or(fault, |other| other.max(fault));
                    self.epochs.faults.insert(wanted.epoch, worst);
                    false
                }
            })
        };
        let goes_on = read.as_ref().is_ok_and(|goes_on| *goes_on);
        // It may be on another page, or under an older leaf key, if its author had not heard of the newest.
        let last = !self.epochs.pages_wanted.values().any(|other| other.epoch == wanted.epoch);
        if !goes_on && last && !self.want_row(wanted.epoch, wanted.leaf + 1) {
            self.epochs.faults.entry(wanted.epoch).or_insert(Complaint::NoRow);
            self.epochs.keys_wanted.insert(wanted.epoch);
        }
        read.map_err(|_| KeyError::Open)?;
        self.keep_page(hash, bytes.clone());
        outcome.persist.pages.push((hash, bytes));
        self.choose_epoch_noting(&mut outcome);
        Ok(outcome)
    }

    /// A page held in memory; older ones are in storage under their hash. Serve it to live members.
    pub fn page(&self, hash: &[u8; 32]) -> Option<&[u8]> {
        self.epochs.pages.get(hash).map(Vec::as_slice)
    }

    /// Epochs we were a recipient of, or may read by the history mode, whose key is missing: ask any member for a share.
    pub fn keys_wanted(&self) -> Vec<EpochId> {
        self.epochs.keys_wanted.iter().copied().collect()
    }

    /// The key of an epoch, sealed again for `device`: the whole for a recipient or who may read all history, otherwise from
    /// the slice on in which it was let in.
    ///
    /// # Errors
    /// See [`ShareRefusal`].
    pub fn key_share_for(
        &self,
        device: &DeviceId,
        epoch: &EpochId,
        rng: &mut impl CryptoRng,
    ) -> Result<KeyShare, ShareRefusal> {
        let from = self.entitled_from(device, epoch).ok_or(ShareRefusal::NotEntitled)?;
        let held = self.epochs.held().get(epoch).filter(|held| held.checked && held.slice <= from);
        let held = held.ok_or(ShareRefusal::NotHeld)?;
        let mut secret = SliceSecret::from_secret(held.slice, held.key.clone()).map_err(|_| ShareRefusal::NotHeld)?;
        secret.advance_to(from).map_err(|_| ShareRefusal::NotHeld)?;
        let leaf = self.leaf_of(device).ok_or(ShareRefusal::NotEntitled)?;
        let leaf = LeafPublic::parse(&leaf.leaf_pk).map_err(|_| ShareRefusal::NotEntitled)?;
        let context = self.share_context(epoch, device);
        let rng = &mut self.hedged(rng, &[&context]);
        let sealed = hpke::seal_box(rng, SHARE, &context, &leaf, &from.to_be_bytes(), secret.secret().expose());
        Ok(KeyShare { epoch: *epoch, slice: from, sealed })
    }

    /// Takes a key share, from whomever it comes: it is checked against the commitment in the Rotate, or in our own Admit.
    ///
    /// # Errors
    /// See [`KeyError`]; the sender is at fault unless the key is no longer wanted.
    pub fn accept_key_share(&mut self, share: &KeyShare) -> Result<Outcome, KeyError> {
        if !self.epochs.keys_wanted.contains(&share.epoch) {
            return Err(KeyError::NotWanted);
        }
        let context = self.share_context(&share.epoch, &self.me.device());
        let aad = share.slice.to_be_bytes();
        let opened = self
            .me
            .leafs()
            .iter()
            .find_map(|leaf| hpke::open_box(SHARE, &context, &leaf.secret, &aad, &share.sealed).ok());
        let bytes: [u8; 32] = opened.ok_or(KeyError::Open)?.as_slice().try_into().map_err(|_| KeyError::Open)?;
        let mut held = Held { slice: share.slice, key: Secret::new(bytes), checked: false };
        self.owed(&share.epoch, &held)?;
        held.checked = true;
        let mut outcome = Outcome::default();
        self.epochs.hold(share.epoch, held);
        self.note_keys(share.epoch, &mut outcome);
        self.choose_epoch_noting(&mut outcome);
        Ok(outcome)
    }

    /// Takes a leaf record of a device of the room. `None` if it is not newer than what is known.
    ///
    /// # Errors
    /// [`KeyError::NotWanted`] for a device of nobody here, [`KeyError::Open`] for a bad signature.
    pub fn accept_leaf(&mut self, leaf: LeafRecord) -> Result<Option<Persist>, KeyError> {
        let device = DeviceId(leaf.device);
        let known = self.leaf_of(&device).ok_or(KeyError::NotWanted)?;
        // Our own is what our identity says.
        if leaf.counter <= known.counter || device == self.me.device() {
            return Ok(None);
        }
        leaf.verify().map_err(|_| KeyError::Open)?;
        // A key that another device's record names too is taken all the same: no record proves that its author has the secret,
        // so otherwise whoever is faster would keep the real one out. Rows and their hints name the device.
        self.leafs.insert(device, leaf);
        Ok(Some(Persist { keys: self.rows_with_leaf(&leaf), ..Persist::default() }))
    }

    /// The newest leaf record of every device.
    pub fn leafs(&self) -> impl Iterator<Item = &LeafRecord> {
        self.dag.devices().iter().map(|entry| self.newest_leaf(entry))
    }

    /// The newest leaf record of a device.
    pub(super) fn leaf_of(&self, device: &DeviceId) -> Option<&LeafRecord> {
        let entry = self.dag.devices().get(self.dag.device_no(device)?)?;
        Some(self.newest_leaf(entry))
    }

    fn newest_leaf<'a>(&'a self, entry: &'a DeviceEntry) -> &'a LeafRecord {
        let heard = self.leafs.get(&entry.device);
        heard.filter(|leaf| leaf.counter >= entry.leaf.counter).unwrap_or(&entry.leaf)
    }

    /// The key to wrap gossip with: of the slice that is written in.
    pub fn gossip_key(&mut self) -> Option<GossipKey> {
        let epoch = self.best?;
        let slice = self.current_slice(&epoch);
        self.epochs.gossip_key(&epoch, slice)
    }

    /// The key to unwrap gossip with: of any slice in use lately.
    pub fn gossip_key_for(&mut self, hint: &[u8; 8]) -> Option<GossipKey> {
        if let Some(key) = self.epochs.gossip_by_hint(hint) {
            return Some(key);
        }
        // Not seen yet: a slice of one of the newest epochs.
        const EPOCHS: usize = 4;
        let newest: Vec<EpochId> = self.epochs.all().take(EPOCHS).map(|epoch| epoch.id).collect();
        for epoch in newest {
            let last = self.current_slice(&epoch).saturating_add(1);
            for slice in last.saturating_sub(3)..=last {
                if let Some(key) = self.epochs.gossip_key(&epoch, slice).filter(|key| key.hint() == *hint) {
                    return Some(key);
                }
            }
        }
        None
    }

    /// For every Rotate without a key: opens our row, or notes which page or key is wanted. Checks keys of a Welcome.
    pub(super) fn open_rows(&mut self, outcome: &mut Outcome) {
        self.epochs.count_admissions(&self.dag);
        let unchecked: Vec<EpochId> =
            self.epochs.held().iter().filter(|(_, held)| !held.checked).map(|(epoch, _)| *epoch).collect();
        for epoch in unchecked {
            self.check_held(epoch, outcome);
        }
        let untried = std::mem::take(&mut self.epochs.untried);
        for epoch in untried.into_iter().filter(|epoch| self.lacks(epoch)).collect::<Vec<_>>() {
            self.open_row(epoch, outcome);
        }
        let me = self.me.account();
        let known = self.is_live_device(&self.me.device());
        let now = (self.resolved.members().get(&me).copied(), self.dag.grants_of(&me).len(), known);
        if std::mem::replace(&mut self.epochs.asked_as, now) != now {
            let all = self.epochs.all().map(|epoch| epoch.id);
            let lacking = all.filter(|epoch| self.lacks(epoch) || self.falls_short(epoch));
            let on_pages: HashSet<EpochId> = self.epochs.pages_wanted.values().map(|wanted| wanted.epoch).collect();
            for epoch in lacking.filter(|epoch| !on_pages.contains(epoch)).collect::<Vec<_>>() {
                self.want_key(epoch);
            }
        }
    }

    fn lacks(&self, epoch: &EpochId) -> bool {
        !self.epochs.held().contains_key(epoch) && !self.epochs.is_gone(epoch)
    }

    /// Whether we were let in into the epoch twice, for the first Welcome was lost with a crash, and hold only what came with the
    /// later one. Asked while we come in only, before any slice was noted to have begun: what is destroyed later is never wanted
    /// back.
    fn falls_short(&self, epoch: &EpochId) -> bool {
        let me = self.me.device();
        let new = |held: &&Held| held.checked && self.epochs.began(epoch).is_empty();
        let Some(held) = self.epochs.held().get(epoch).filter(new) else { return false };
        let came_with_it = self.admits_of(&me, epoch).iter().any(|(_, admit)| admit.slice == held.slice);
        came_with_it && self.entitled_from(&me, epoch).is_some_and(|from| from < held.slice)
    }

    fn open_row(&mut self, epoch: EpochId, outcome: &mut Outcome) {
        let Some((_, rotate)) = self.dag.epoch(&epoch) else { return };
        match &rotate.rows {
            Rows::Inline(rows) => match self.own_row(&epoch, rows) {
                Ok(secret) => self.hold_secret(epoch, &secret, outcome),
                Err(fault) => {
                    if self.was_recipient(&self.me.device(), &epoch) {
                        self.epochs.faults.insert(epoch, fault);
                    }
                    self.want_key(epoch);
                }
            },
            Rows::Pages(_) => {
                if !self.was_recipient(&self.me.device(), &epoch) || !self.want_row(epoch, 0) {
                    self.want_key(epoch);
                }
            }
        }
    }

    /// Wants the pages at the top that lead to our row, sealed to our leaf key number `leaf` or the first one before it for which
    /// there are any. Whether there are.
    fn want_row(&mut self, epoch: EpochId, leaf: usize) -> bool {
        let Some((_, rotate)) = self.dag.epoch(&epoch) else { return false };
        let Rows::Pages(names) = &rotate.rows else { return false };
        let (names, (_, level)) = (names.clone(), levels(rotate.n_rows as usize));
        (leaf..self.me.leafs().len()).any(|leaf| self.want_pages(&names, WantedPage { epoch, level: level + 1, leaf }))
    }

    /// Wants those of the pages named on the page `of` that lead to our row. Whether there are any.
    fn want_pages(&mut self, names: &[PageName], of: WantedPage) -> bool {
        let Some((_, rotate)) = self.dag.epoch(&of.epoch) else { return false };
        let Some(hint) = self.me.leafs().get(of.leaf).map(|leaf| self.row_hint(leaf, rotate)) else { return false };
        let below = WantedPage { level: of.level - 1, ..of };
        let pages: Vec<[u8; 32]> = pages_of(names, &hint).collect();
        self.epochs.pages_wanted.extend(pages.iter().map(|page| (*page, below)));
        !pages.is_empty()
    }

    /// Wants a share of the key, if we are entitled to one.
    fn want_key(&mut self, epoch: EpochId) {
        if self.entitled_from(&self.me.device(), &epoch).is_some() {
            self.epochs.keys_wanted.insert(epoch);
        }
    }

    /// Opens our row among `rows`, or says what is wrong with it.
    fn own_row(&self, epoch: &EpochId, rows: &[Row]) -> Result<EpochSecret, Complaint> {
        let (_, rotate) = self.dag.epoch(epoch).ok_or(Complaint::NoRow)?;
        let context = self.row_context(rotate);
        let device = self.me.device();
        let mut fault = Complaint::NoRow;
        for leaf in self.me.leafs() {
            let hint = self.row_hint(leaf, rotate);
            let first = rows.partition_point(|row| row.hint < hint);
            for row in rows.iter().skip(first).take_while(|row| row.hint == hint) {
                match hpke::open_row(&context, device.as_bytes(), &leaf.secret, row) {
                    Ok(secret) => return Ok(secret),
                    Err(hpke::RowError::Commit) => fault = Complaint::Commit,
                    Err(hpke::RowError::Open(_)) => fault = fault.max(Complaint::Sealed),
                }
            }
        }
        Err(fault)
    }

    /// The hint of our row under one of our leaf keys.
    fn row_hint(&self, leaf: &Leaf, rotate: &Rotate) -> [u8; 8] {
        hpke::row_hint(&leaf.secret.public(), self.me.device().as_bytes(), &rotate.commit)
    }

    pub(super) fn row_context(&self, rotate: &Rotate) -> RowContext {
        RowContext { room_id: self.id.0, commit: rotate.commit, member_root: rotate.member_root }
    }

    /// Keeps a secret whose commitment was checked.
    pub(super) fn hold_secret(&mut self, epoch: EpochId, secret: &EpochSecret, outcome: &mut Outcome) {
        let held = Held { slice: 0, key: secret.secret().clone(), checked: true };
        if self.epochs.hold(epoch, held) {
            self.note_keys(epoch, outcome);
        }
    }

    /// Checks a key that came in a Welcome, once its Rotate is here.
    fn check_held(&mut self, epoch: EpochId, outcome: &mut Outcome) {
        let Some(held) = self.epochs.held().get(&epoch).cloned() else { return };
        if self.dag.epoch(&epoch).is_none() || (held.slice > 0 && self.admits_of(&self.me.device(), &epoch).is_empty())
        {
            return;
        }
        if self.was_welcomed_with(&epoch, &held) {
            self.epochs.hold(epoch, Held { checked: true, ..held });
        } else {
            self.epochs.refuse(&epoch);
        }
        self.note_keys(epoch, outcome);
    }

    /// Whether a key that came in a Welcome is the one committed to: `k_0` by the Rotate, a later slice by an Admit of this device
    /// into it or one after it.
    fn was_welcomed_with(&self, epoch: &EpochId, held: &Held) -> bool {
        if held.slice == 0 {
            return self.is_first(epoch, held);
        }
        let mut walk = Walk::from(held);
        self.admits_of(&self.me.device(), epoch).iter().any(|(_, admit)| walk.leads_to(&self.id, admit))
    }

    /// Whether a key that anybody may have sent is the one we may have: `k_0` if we may have that, or else a slice that leads to what
    /// every Admit of a device of ours commits to. Of one alone it is not known who wrote it: a request to join lies open in the log,
    /// for everybody to admit us once more with a key of his own. If they contradict each other none is taken, and nobody is at fault.
    fn owed(&self, epoch: &EpochId, held: &Held) -> Result<(), KeyError> {
        if held.slice == 0 {
            return self.is_first(epoch, held).then_some(()).ok_or(KeyError::Commit);
        }
        let from = self.entitled_from(&self.me.device(), epoch);
        if from.is_none_or(|from| from < held.slice) {
            return Err(KeyError::NotWanted);
        }
        // As much as another device of the account was let into: who was put out and comes back with that one is in with all.
        let devices = self.dag.devices_of(&self.me.account()).iter().filter_map(|no| self.dag.devices().get(*no));
        let admits = devices.flat_map(|entry| self.openings_of(&entry.device, epoch));
        let mut walk = Walk::from(held);
        let led: Vec<bool> = admits.map(|admit| walk.leads_to(&self.id, admit)).collect();
        match (led.contains(&true), led.contains(&false)) {
            (true, false) => Ok(()),
            (true, true) => Err(KeyError::NotWanted),
            (false, _) => Err(KeyError::Commit),
        }
    }

    fn is_first(&self, epoch: &EpochId, held: &Held) -> bool {
        let commit = EpochSecret::from_secret(held.key.clone()).commit(self.id.as_bytes());
        self.dag.epoch(epoch).is_some_and(|(_, rotate)| rotate.commit == commit)
    }

    /// The Admits that let a device into an epoch, with their places.
    pub(super) fn admits_of(&self, device: &DeviceId, epoch: &EpochId) -> Vec<(NodeIdx, &Admit)> {
        let certs = self.dag.device_no(device).and_then(|no| self.dag.devices().get(no)).map(|entry| &entry.certs);
        let admit = |(at, _): &(NodeIdx, AccountId)| match &self.dag.node(*at).control {
            Control::Admit(admit) if admit.epoch == *epoch => Some((*at, admit.as_ref())),
            _ => None,
        };
        certs.into_iter().flatten().filter_map(admit).collect()
    }

    pub(super) fn was_recipient(&self, device: &DeviceId, epoch: &EpochId) -> bool {
        let no = self.dag.device_no(device);
        no.is_some_and(|no| self.epochs.info(epoch).is_some_and(|info| info.recipients.has(no)))
    }

    /// All epochs, the best last: an author never goes back to one he has left.
    pub fn epochs(&self) -> impl Iterator<Item = EpochId> + '_ {
        self.epochs.by_age()
    }

    /// The epochs whose keys a device may have (attack 31): of a former member those of before it was put out.
    pub fn epochs_for(&self, device: &DeviceId) -> BTreeSet<EpochId> {
        let all = self.dag.kinds().rotates.iter().map(|at| EpochId::of(&self.dag.node(*at).event.id()));
        all.filter(|epoch| self.entitled_from(device, epoch).is_some()).collect()
    }

    /// From which slice on a device may have the key of an epoch (attack 31): wholly if it was made for it; if its account is
    /// in, wholly by the history modes of the epoch and of the invite it came by, or as much as another device of it; and
    /// else from where an Admit that counts let it in, also when it was removed since. A device that its account revoked
    /// gets nothing.
    fn entitled_from(&self, device: &DeviceId, epoch: &EpochId) -> Option<u32> {
        let no = self.dag.device_no(device).filter(|_| !self.resolved.is_revoked(device) && !self.was_guest(device))?;
        let recipients = &self.epochs.info(epoch)?.recipients;
        if recipients.has(no) {
            return Some(0);
        }
        let account = self.dag.account_in(no, &self.everything)?;
        let all = if self.live.has(no) { self.dag.devices_of(&account) } else { std::slice::from_ref(&no) };
        if self.live.has(no) && (all.iter().any(|no| recipients.has(*no)) || self.history_entitles(&account, epoch)) {
            return Some(0);
        }
        let devices = all.iter().filter_map(|no| self.dag.devices().get(*no));
        devices.flat_map(|entry| self.openings_of(&entry.device, epoch)).map(|admit| admit.slice).min()
    }

    /// The Admits that count, and let a device into an epoch.
    fn openings_of(&self, device: &DeviceId, epoch: &EpochId) -> impl Iterator<Item = &Admit> {
        let admits = self.admits_of(device, epoch).into_iter();
        admits.filter(|(at, _)| self.epochs.opens(&self.dag, *at, &self.resolved)).map(|(_, admit)| admit)
    }

    /// Whether an account may read an epoch by the history modes.
    fn history_entitles(&self, account: &AccountId, epoch: &EpochId) -> bool {
        let Some((_, rotate)) = self.dag.epoch(epoch) else { return false };
        let mut live = self.dag.grants_of(account).iter().copied().filter(|g| self.resolved.is_live(*g));
        live.any(|g| self.epochs.history_reaches(&self.dag, g, rotate.share_history, epoch, |_| true))
    }

    /// Whether an invite lets its newcomers read an epoch made before.
    pub(super) fn invite_reaches(&self, history: &InviteHistory, epoch: &EpochId) -> bool {
        self.epochs.invite_reaches(history, epoch, |_| true)
    }

    pub(super) fn share_context(&self, epoch: &EpochId, device: &DeviceId) -> Vec<u8> {
        [self.id.as_bytes().as_slice(), epoch.as_bytes(), device.as_bytes()].concat()
    }

    /// Chooses the epoch to write under: the best safe one whose current slice can be worked out, and not older than the
    /// one our last message used.
    pub(super) fn choose_epoch(&mut self) {
        let last = self.messages.end(&self.me.device()).and_then(|end| self.epochs.order(&end.epoch));
        let safe = self.epochs.safe_in(&self.dag, &self.resolved, &self.live, &self.everything);
        let usable = safe.filter(|epoch| last.is_none_or(|last| epoch.order >= last));
        let with_key = |epoch: &EpochId| self.epochs.has_key(epoch, self.current_slice(epoch));
        self.best = usable.map(|epoch| epoch.id).find(with_key);
    }

    pub(super) fn choose_epoch_noting(&mut self, outcome: &mut Outcome) {
        let before = self.best;
        self.choose_epoch();
        self.last.best = self.best;
        if self.best != before {
            outcome.changes.push(Change::Epoch);
        }
    }

    fn note_keys(&mut self, epoch: EpochId, outcome: &mut Outcome) {
        self.note_rows(outcome);
        outcome.changes.push(Change::Keys(epoch));
    }

    pub(super) fn keep_page(&mut self, hash: [u8; 32], bytes: Vec<u8>) {
        if self.epochs.pages.len() >= PAGES_IN_MEMORY {
            self.epochs.pages.pop_first();
        }
        self.epochs.pages.insert(hash, bytes);
    }

    /// The keys to be handed to a newcomer who is let in `into` an epoch: of all epochs the invite reaches.
    pub(super) fn all_keys(&self, history: &InviteHistory, into: &EpochId) -> Vec<WelcomeKey> {
        let newest_first = self.epochs.all().filter(|epoch| {
            let rotate = self.dag.epoch(&epoch.id).map(|(_, rotate)| rotate.share_history);
            rotate == Some(History::Full) && self.invite_reaches(history, &epoch.id)
        });
        let keys = newest_first.filter_map(|epoch| {
            // A later slice can be checked by the newcomer only in the epoch of its Admit.
            let can_check = |held: &&Held| held.checked && (held.slice == 0 || epoch.id == *into);
            let held = self.epochs.held().get(&epoch.id).filter(can_check)?;
            Some(WelcomeKey { epoch: epoch.id, slice: held.slice, key: held.key.clone() })
        });
        keys.take(crate::limits::MAX_WELCOME_KEYS - 1).collect()
    }
}

#[cfg(test)]
impl Room {
    /// A member who lost its keys.
    pub(super) fn forget_keys_for_tests(&mut self) {
        let held: Vec<EpochId> = self.epochs.held().keys().copied().collect();
        held.iter().for_each(|epoch| self.epochs.refuse(epoch));
        self.choose_epoch();
    }

    /// A liar's store: holds a key without asking whether it fits.
    pub(super) fn hold_wrong_secret_for_tests(&mut self, epoch: EpochId, secret: &EpochSecret) {
        self.epochs.refuse(&epoch);
        self.epochs.hold(epoch, Held { slice: 0, key: secret.secret().clone(), checked: true });
    }
}
