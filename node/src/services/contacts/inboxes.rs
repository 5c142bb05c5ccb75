//! The boxes of inboxes: ours, which is read, and those of others while a letter is on its way into them. Without I/O.

use std::collections::BTreeMap;

use parlor_net::Address;
use parlor_proto::contact::RelayAt;
use parlor_proto::mailbox::{BoxKind, BoxName, BoxSetup, Cursor, Mailboxes, Out, RelayId};

use crate::limits::{ADDRESSES_PER_PEER, CONTACT_RELAYS, LETTERS_MAILED};
use crate::services::joins::to_address;

/// A letter that no relay took for this long gives up its place when there is none left: it is written again anyhow.
const PATIENCE_MS: u64 = 10 * 60 * 1_000;

/// Our inbox, and those that a letter is on its way to.
pub(super) struct Inboxes {
    pub(super) machine: Mailboxes,
    /// Where our own relays are.
    own: BTreeMap<RelayId, Vec<Address>>,
    /// What is on its way, the oldest first.
    under_way: Vec<UnderWay>,
    /// When a relay said that it keeps a letter of ours, by the key of the inbox.
    stored: BTreeMap<[u8; 32], u64>,
}

/// A letter on its way: the box is open until every relay that takes it has it.
struct UnderWay {
    name: BoxName,
    /// The relays of the inbox, and where its owner says they are.
    relays: Vec<(RelayId, Address)>,
    since_ms: u64,
}

impl UnderWay {
    fn setup(&self) -> BoxSetup {
        let relays = self.relays.iter().map(|(id, _)| (id.clone(), Cursor::default())).collect();
        BoxSetup { name: self.name, key: None, read: false, relays }
    }
}

/// The inbox with this key.
pub(super) fn inbox(key: [u8; 32]) -> BoxName {
    BoxName { kind: BoxKind::Inbox, key }
}

fn places(relays: &[RelayAt]) -> Vec<(RelayId, Address)> {
    let at = |relay: &RelayAt| Some((RelayId::new(&relay.peer)?, to_address(&relay.address)));
    relays.iter().take(CONTACT_RELAYS).filter_map(at).collect()
}

impl Inboxes {
    /// No letter is under way. Our own inbox is to be opened in the machine.
    pub(super) fn new(own: BTreeMap<RelayId, Vec<Address>>) -> Self {
        Self { machine: Mailboxes::new(), own, under_way: Vec::new(), stored: BTreeMap::new() }
    }

    /// Puts a sealed letter into an inbox at these relays. Whether it is on its way; nothing is left open if not.
    pub(super) fn put(
        &mut self,
        key: [u8; 32],
        relays: &[RelayAt],
        blob: Vec<u8>,
        now_ms: u64,
        out: &mut Vec<Out>,
    ) -> bool {
        let new = UnderWay { name: inbox(key), relays: places(relays), since_ms: now_ms };
        if new.relays.is_empty() {
            return false;
        }
        let name = new.name;
        out.extend(self.give_up(&name, now_ms));
        if self.under_way.len() >= LETTERS_MAILED && !self.make_place(now_ms, out) {
            return false;
        }
        loop {
            match self.machine.open(new.setup(), now_ms) {
                Ok(more) => break out.extend(more),
                Err(_) if self.make_place(now_ms, out) => {}
                Err(error) => {
                    tracing::debug!(%error, "an inbox can not be opened now");
                    return false;
                }
            }
        }
        match self.machine.put(name, blob.into(), now_ms) {
            Ok((_, more)) => {
                out.extend(more);
                self.under_way.push(new);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "a letter can not be put now");
                out.extend(self.machine.close(&name, now_ms));
                false
            }
        }
    }

    /// Whether a letter is on its way into the inbox with this key; then its relays are these from now on.
    pub(super) fn is_under_way(&mut self, key: [u8; 32], relays: &[RelayAt], now_ms: u64, out: &mut Vec<Out>) -> bool {
        let relays = places(relays);
        let Some(known) = self.under_way.iter_mut().find(|it| it.name.key == key) else { return false };
        if known.relays == relays {
            return true;
        }
        known.relays = relays;
        let setup = known.setup();
        let opened = if setup.relays.is_empty() { None } else { self.machine.open(setup, now_ms).ok() };
        // Where it is nowhere any more, or there is no room for other relays, it begins anew when it can.
        let goes_on = opened.is_some();
        out.extend(opened.unwrap_or_else(|| self.give_up(&inbox(key), now_ms)));
        goes_on
    }

    /// Frees a place: of a letter that some relay has, or that waits in vain for long. Whether there was one.
    fn make_place(&mut self, now_ms: u64, out: &mut Vec<Out>) -> bool {
        let has = |it: &&UnderWay| self.stored.get(&it.name.key).is_some_and(|at| *at >= it.since_ms);
        let late = |it: &&UnderWay| it.since_ms.saturating_add(PATIENCE_MS) <= now_ms;
        let over = self.under_way.iter().find(has).or_else(|| self.under_way.iter().find(late));
        let Some(name) = over.map(|it| it.name) else { return false };
        out.extend(self.give_up(&name, now_ms));
        true
    }

    fn give_up(&mut self, name: &BoxName, now_ms: u64) -> Vec<Out> {
        let before = self.under_way.len();
        self.under_way.retain(|it| it.name != *name);
        if self.under_way.len() < before { self.machine.close(name, now_ms) } else { Vec::new() }
    }

    /// A relay keeps a letter of ours.
    pub(super) fn stored(&mut self, name: &BoxName, now_ms: u64) {
        self.stored.insert(name.key, now_ms);
    }

    /// Every relay of the inbox has the letter, or will never take it.
    pub(super) fn settled(&mut self, name: &BoxName, now_ms: u64) -> Vec<Out> {
        self.give_up(name, now_ms)
    }

    /// What was written to the inbox with this key is of no interest any more: what is under way is given up.
    pub(super) fn forget(&mut self, key: [u8; 32], now_ms: u64) -> Vec<Out> {
        self.stored.remove(&key);
        self.give_up(&inbox(key), now_ms)
    }

    /// When a relay took a letter of ours into the inbox with this key.
    pub(super) fn stored_ms(&self, key: &[u8; 32]) -> Option<u64> {
        self.stored.get(key).copied()
    }

    /// Where a relay is dialled: as our settings say, then as those say whose inboxes are there, the newest word first, as far as
    /// that may be dialled on their word.
    pub(super) fn addresses(&self, relay: &RelayId, may_dial: impl Fn(&Address) -> bool) -> Vec<Address> {
        let mut addresses = self.own.get(relay).cloned().unwrap_or_default();
        let told = self.under_way.iter().rev().flat_map(|it| &it.relays).filter(|(id, _)| id == relay);
        for (_, address) in told.filter(|(_, address)| may_dial(address)) {
            if addresses.len() < ADDRESSES_PER_PEER && !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::link::{self, Host, Transport};
    use parlor_proto::mailbox::{Refusal, Reply, ServerFrame, StoreId, Terms, limits};

    use super::*;

    const LETTER: [u8; limits::MIN_BLOB] = [7; limits::MIN_BLOB];

    /// A relay that a letter names at 10.0.0.`host`.
    fn at(relay: u8, host: u8) -> RelayAt {
        let address = link::Address { host: Host::Ip4([10, 0, 0, host]), transport: Transport::Tcp, port: 4_001 };
        RelayAt { peer: [relay; 32], address }
    }

    fn id(relay: u8) -> RelayId {
        RelayId::new(&[relay; 32]).unwrap()
    }

    fn put(inboxes: &mut Inboxes, key: u8, relays: &[RelayAt], now_ms: u64) -> (bool, Vec<Out>) {
        let mut out = Vec::new();
        let done = inboxes.put([key; 32], relays, LETTER.to_vec(), now_ms, &mut out);
        (done, out)
    }

    fn empty() -> Inboxes {
        Inboxes::new(BTreeMap::new())
    }

    #[test]
    fn who_could_not_be_written_to_for_want_of_room_is_written_to_when_there_is_some() {
        let mut inboxes = empty();
        let relays = |n: u8| [at(2 * n, 1), at(2 * n + 1, 1)];
        let last = (limits::MAX_RELAYS / 2) as u8;
        for n in 0..last {
            assert!(put(&mut inboxes, n, &relays(n), 0).0);
        }
        assert!(!put(&mut inboxes, last, &relays(last), 0).0, "no room for more relays");
        inboxes.forget([0; 32], 0);
        let (done, out) = put(&mut inboxes, last, &relays(last), 0);
        assert!(done && out.contains(&Out::Connect { relay: id(2 * last) }), "{out:?}");
    }

    #[test]
    fn a_letter_that_can_not_be_put_leaves_nothing_open() {
        let mut inboxes = empty();
        let mut out = Vec::new();
        assert!(!inboxes.put([1; 32], &[at(1, 1)], vec![0; 3], 0, &mut out), "no blob has this length");
        assert!(inboxes.under_way.is_empty() && inboxes.addresses(&id(1), |_| true).is_empty());
        assert!(put(&mut inboxes, 1, &[at(1, 1)], 0).0);
    }

    #[test]
    fn letters_that_no_relay_takes_hold_up_others_for_a_while_only() {
        let mut inboxes = empty();
        for n in 0..LETTERS_MAILED as u8 {
            assert!(put(&mut inboxes, n, &[at(1, 1)], u64::from(n)).0);
        }
        assert!(!put(&mut inboxes, 200, &[at(1, 1)], 100).0);
        // One that a relay has gives up its place at once,
        inboxes.stored(&inbox([9; 32]), 100);
        assert!(put(&mut inboxes, 200, &[at(1, 1)], 100).0);
        assert!(!put(&mut inboxes, 201, &[at(1, 1)], 100).0);
        // and the oldest when it had its time.
        assert!(put(&mut inboxes, 201, &[at(1, 1)], PATIENCE_MS).0);
        let gone = |key: u8| inboxes.under_way.iter().all(|it| it.name.key != [key; 32]);
        assert!(gone(9) && gone(0) && !gone(1) && inboxes.under_way.len() == LETTERS_MAILED);
    }

    #[test]
    fn a_wrong_address_of_a_relay_is_one_among_others_and_goes_with_who_named_it() {
        let own = vec!["/ip4/192.0.2.1/tcp/1".parse().unwrap()];
        let mut inboxes = Inboxes::new(BTreeMap::from([(id(1), own.clone())]));
        put(&mut inboxes, 1, &[at(1, 66), at(2, 66)], 0);
        put(&mut inboxes, 2, &[at(2, 1)], 0);
        let [wrong, right] = [66, 1].map(|host| to_address(&at(0, host).address));
        assert_eq!(inboxes.addresses(&id(2), |_| true), [right.clone(), wrong.clone()]);
        assert_eq!(inboxes.addresses(&id(1), |_| true), [own[0].clone(), wrong], "ours first");
        inboxes.forget([1; 32], 0);
        assert_eq!((inboxes.addresses(&id(2), |_| true), inboxes.addresses(&id(1), |_| true)), (vec![right], own));
        assert!(inboxes.addresses(&id(2), |_| false).is_empty(), "on nobody's word");
        assert_eq!(inboxes.addresses(&id(1), |_| false).len(), 1, "our settings are not judged");
        // Who says himself that it is elsewhere now is believed.
        let mut out = Vec::new();
        assert!(inboxes.is_under_way([2; 32], &[at(2, 5)], 0, &mut out));
        assert_eq!(inboxes.addresses(&id(2), |_| true), [to_address(&at(2, 5).address)]);
        assert!(!inboxes.is_under_way([2; 32], &[], 0, &mut out), "he has no relay any more");
        assert!(inboxes.under_way.is_empty() && inboxes.addresses(&id(2), |_| true).is_empty());
        for key in 10..30 {
            put(&mut inboxes, key, &[at(2, key)], 0);
        }
        assert_eq!(inboxes.addresses(&id(2), |_| true).len(), ADDRESSES_PER_PEER);
    }

    /// The relay answers on the line, and what follows is heeded.
    fn hear(inboxes: &mut Inboxes, frame: &ServerFrame, now_ms: u64) -> Vec<Out> {
        let out = inboxes.machine.frame(&id(1), &frame.encode(), now_ms);
        for out in &out {
            match out {
                Out::Stored { name, .. } => inboxes.stored(name, now_ms),
                Out::Settled { name, .. } => drop(inboxes.settled(name, now_ms)),
                _ => {}
            }
        }
        out
    }

    fn reply(number: u32, reply: Reply) -> ServerFrame {
        ServerFrame::Reply { number, reply }
    }

    #[test]
    fn a_letter_lies_in_an_inbox_when_a_relay_says_so_and_not_before() {
        let hello = |token| {
            let terms = Terms { token, keep_ms: 1, slots: 8, window: 8 };
            ServerFrame::Hello { version: limits::VERSION, nonce: [1; 32], store: StoreId([1; 16]), terms }
        };
        let mut inboxes = empty();
        put(&mut inboxes, 1, &[at(1, 1)], 0);
        inboxes.machine.connected(&id(1), 0);
        let refused = |out: &[Out]| out.iter().any(|out| matches!(out, Out::Refused { .. }));
        assert!(refused(&hear(&mut inboxes, &hello(true), 0)), "it wants a token that we have not");
        assert_eq!(inboxes.stored_ms(&[1; 32]), None);
        let later = limits::MAX_RETRY_MS;
        assert!(inboxes.machine.tick(later).contains(&Out::Connect { relay: id(1) }));
        inboxes.machine.connected(&id(1), later);
        hear(&mut inboxes, &hello(false), later);
        hear(&mut inboxes, &reply(0, Reply::Done), later);
        let quota = Refusal::Quota { retry_ms: 1_000 };
        assert!(refused(&hear(&mut inboxes, &reply(1, Reply::Refused(quota)), later)));
        assert_eq!(inboxes.stored_ms(&[1; 32]), None);
        assert!(inboxes.is_under_way([1; 32], &[at(1, 1)], later, &mut Vec::new()), "it is put again");
        inboxes.machine.tick(later + 1_000);
        hear(&mut inboxes, &reply(2, Reply::Stored { at: 1 }), later + 1_000);
        assert_eq!(inboxes.stored_ms(&[1; 32]), Some(later + 1_000));
        assert!(inboxes.under_way.is_empty(), "nothing waits any more");
        inboxes.forget([1; 32], later);
        assert_eq!(inboxes.stored_ms(&[1; 32]), None);
    }

    #[test]
    fn a_letter_that_is_refused_for_good_is_not_said_to_lie_there() {
        let mut inboxes = empty();
        put(&mut inboxes, 1, &[at(1, 1)], 0);
        inboxes.machine.connected(&id(1), 0);
        let terms = Terms { token: false, keep_ms: 1, slots: 8, window: 8 };
        let hello = ServerFrame::Hello { version: limits::VERSION, nonce: [1; 32], store: StoreId([1; 16]), terms };
        hear(&mut inboxes, &hello, 0);
        hear(&mut inboxes, &reply(0, Reply::Done), 0);
        hear(&mut inboxes, &reply(1, Reply::Refused(Refusal::NotAllowed)), 0);
        assert!(inboxes.under_way.is_empty() && inboxes.stored_ms(&[1; 32]).is_none());
    }
}
