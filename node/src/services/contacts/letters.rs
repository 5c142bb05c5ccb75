//! Letters: taken from whoever hands them in or from our inbox, written, and sent where their receiver may be.

use parlor_api::{ContactChange, RequestChange};
use parlor_net::{Address, PeerId};
use parlor_proto::contact::{Contact, Letter, Papers, Reply as LetterReply, Stage, What};
use parlor_proto::control::NewDevice;
use parlor_proto::{AccountId, DeviceId};

use super::actor::Actor;
use super::inbox_lines::Mailed;
use super::owed::Fate;
use super::who::Acquaintance;
use crate::account::rng;
use crate::clock::now_ms;
use crate::services::joins::to_address;

/// What whoever hands in a letter is told when there is nothing else to say: the same to everybody.
const KEPT: &[u8] = b"kept";
/// A letter is put into an inbox again after a week, while nobody is reached: a relay keeps it for a month.
const MAIL_AGAIN_MS: u64 = 7 * 24 * 3_600 * 1_000;

/// A letter that could not be stored is heard again after this long.
const HEAR_AGAIN_MS: u64 = 2_000;

/// What became of a letter that went out.
pub(super) struct Sent {
    account: AccountId,
    /// What its receiver answered; nothing if nobody took it.
    answer: Option<bytes::Bytes>,
}

impl Actor {
    /// Somebody hands in a letter.
    pub(super) async fn letter(&mut self, from: PeerId, bytes: &[u8]) -> Option<Vec<u8>> {
        if !self.visitors.admit(from.as_key(), now_ms()) {
            tracing::debug!(peer = %from.short(), "a peer hands in letters too often");
            return None;
        }
        let letter = self.opened(bytes)?;
        let reply = self.hear(&letter).await?;
        let what = match reply {
            LetterReply::Kept => return Some(KEPT.to_vec()),
            LetterReply::Accept => What::Accept,
            LetterReply::Card => What::Card,
        };
        let to = letter.papers.account_id();
        let answer = self.write(&to, what);
        Some(answer.seal(&to, letter.papers.public()?.leaf(), &mut rng()))
    }

    fn opened(&self, bytes: &[u8]) -> Option<Letter> {
        let me = self.context.identity.now();
        let leafs = me.leafs().iter().map(|leaf| &leaf.secret);
        match Letter::open(&self.us(), &self.contacts.keys.secret, leafs, bytes) {
            Ok(letter) => Some(letter),
            Err(error) => {
                tracing::debug!(%error, "a letter was not taken");
                None
            }
        }
    }

    /// Takes a letter into the book, durably. What its writer is to be told; nothing if it could not be stored.
    async fn hear(&mut self, letter: &Letter) -> Option<LetterReply> {
        let account = letter.papers.account_id();
        let acquainted = self.rooms.acquaintance(account).await.ok()?.is_some();
        let (before, heard) = {
            let mut book = self.contacts.write();
            (book.get(&account).cloned(), book.hear(letter, acquainted, now_ms()))
        };
        if !heard.changed {
            return Some(heard.reply);
        }
        self.store(&account, before).await.ok()?;
        if heard.asks {
            self.tell_request(&account, RequestChange::Asked);
        }
        if heard.warn {
            self.warn(&account);
        }
        if heard.mutual {
            self.became_mutual(&account).await;
            // Who says yes knows that we do.
            if letter.what == What::Accept {
                self.settle(&account);
            }
        } else if self.stage_is(&account, |stage| *stage == Stage::Mutual) {
            let contact = self.contacts.read().get(&account).cloned();
            if let Some(contact) = contact {
                let _ = self.ensure_chat(&contact).await;
            }
        }
        Some(heard.reply)
    }

    fn warn(&self, account: &AccountId) {
        tracing::warn!(account = %account.short(), "a device came to a verified account");
        self.tell(account, ContactChange::DevicesChanged);
    }

    pub(super) async fn saw_devices(&mut self, account: &AccountId, devices: &[DeviceId]) {
        let before = self.contacts.read().get(account).cloned();
        let (changed, warn) = self.contacts.write().see_devices(account, devices, now_ms());
        // What could not be stored is seen again in a moment.
        if changed && self.store(account, before).await.is_ok() && warn {
            self.warn(account);
            self.rooms.refresh().await;
        }
    }

    fn write(&self, to: &AccountId, what: What) -> Letter {
        let me = self.context.identity.now();
        let papers = Papers {
            account: me.entrant().account,
            key: self.contacts.keys.public,
            name: self.context.name.clone(),
            devices: vec![NewDevice::sign(me.signing_key(), me.entrant())],
            reach: self.reach(),
        };
        Letter::write(to, papers, what, now_ms(), me.signing_key())
    }

    pub(super) fn peer_up(&mut self, peer: PeerId) {
        let book = self.contacts.read();
        let there = |contact: &Contact| contact.reach.peer == Some(peer.to_key());
        let owed: Vec<_> = book.iter().filter(|(id, it)| there(it) && self.owed.owes(id)).map(|(id, _)| *id).collect();
        drop(book);
        owed.into_iter().for_each(|account| self.owed.owe(account, now_ms()));
    }

    /// Sends what is due.
    pub(super) async fn send_due(&mut self) {
        for account in self.owed.take_due(now_ms()) {
            let contact = self.contacts.read().get(&account).cloned();
            let Some(contact) = contact.filter(Contact::is_wanted) else {
                self.settle(&account);
                continue;
            };
            let member = self.rooms.acquaintance(account).await.ok().flatten();
            self.send(account, &contact, member);
        }
    }

    /// Hands a letter to the peers where the account may be, one after the other.
    fn send(&mut self, account: AccountId, contact: &Contact, member: Option<Acquaintance>) {
        let letter = self.write(&account, what_to(contact));
        let mut doors: Vec<(PeerId, Vec<Address>, Vec<u8>)> = Vec::new();
        let members = member.iter().flat_map(|member| member.peers.iter().copied());
        let told = contact.reach.peer.map(PeerId::from_key);
        for peer in told.into_iter().chain(members) {
            let key = contact.public().map(|key| *key.leaf());
            let leaf = member.iter().flat_map(|member| &member.devices).map(|(_, leaf)| *leaf).next();
            let Some(key) = key.or(leaf).filter(|_| doors.iter().all(|(known, ..)| *known != peer)) else { continue };
            let own = contact.reach.peer == Some(peer.to_key());
            // A card is what a person gave us; what a letter says is its writer's word.
            let card = contact.papers_ms == 0;
            let may_dial = |address: &Address| card || self.context.peers.may_dial(address);
            let told = contact.reach.addresses.iter().filter(|_| own).map(to_address);
            let addresses = told.filter(may_dial).collect();
            doors.push((peer, addresses, letter.seal(&account, &key, &mut rng())));
        }
        let net = self.context.net.clone();
        self.sending.spawn(async move {
            for (peer, addresses, bytes) in doors {
                match net.request(peer, addresses, bytes.into()).await {
                    Ok(answer) if !answer.is_empty() => return Sent { account, answer: Some(answer) },
                    Ok(_) => {}
                    Err(error) => tracing::debug!(peer = %peer.short(), %error, "a letter could not be handed over"),
                }
            }
            Sent { account, answer: None }
        });
    }

    pub(super) async fn on_sent(&mut self, sent: Sent) {
        let Sent { account, answer } = sent;
        let Some(answer) = answer else {
            self.owed.came_back(&account, Fate::Lost, now_ms());
            return self.mail_to(&account);
        };
        self.owed.came_back(&account, Fate::There, now_ms());
        if answer.as_ref() != KEPT {
            let letter = self.opened(&answer).filter(|letter| letter.papers.account_id() == account);
            match letter {
                Some(letter) => drop(self.hear(&letter).await),
                None => return self.owed.came_back(&account, Fate::Lost, now_ms()),
            }
        }
        // A yes that arrived is not said again.
        if self.stage_is(&account, |stage| *stage == Stage::Mutual) {
            self.settle(&account);
            self.said_yes(&account).await;
        }
    }

    /// Nothing is owed to somebody any more, and what lies in his inbox is of no interest.
    pub(super) fn settle(&mut self, account: &AccountId) {
        self.owed.settle(account);
        self.forget_mailed(account);
    }

    fn forget_mailed(&mut self, account: &AccountId) {
        let key = self.contacts.read().get(account).and_then(|contact| contact.key);
        if let Some(key) = key {
            self.inboxes.forget(key.key);
        }
    }

    /// Nobody of the account is online: leaves the letter in its inbox, once in a while.
    fn mail_to(&mut self, account: &AccountId) {
        let contact = self.contacts.read().get(account).cloned();
        let Some((contact, key)) = contact.filter(Contact::is_wanted).and_then(|it| it.key.map(|key| (it, key))) else {
            return;
        };
        let stored_ms = self.inboxes.stored_ms(&key.key);
        let lately = stored_ms.is_some_and(|at| now_ms() < at.saturating_add(MAIL_AGAIN_MS));
        let Some(public) = contact.public().filter(|_| !lately) else { return };
        let letter = self.write(account, what_to(&contact));
        let sealed = || letter.seal(account, public.leaf(), &mut rng());
        self.inboxes.put(key.key, public.leaf(), &contact.reach.relays, sealed);
    }

    /// Hears what could not be stored, some seconds later: the disk may work again.
    pub(super) async fn hear_again(&mut self) {
        if now_ms() < self.hear_again_ms {
            return;
        }
        for mailed in std::mem::take(&mut self.unheard) {
            self.on_mailed(mailed).await;
        }
    }

    /// A letter lay in our inbox. What its writer is to be told goes out by itself.
    pub(super) async fn on_mailed(&mut self, mailed: Mailed) {
        if let Some(letter) = self.opened(&mailed.bytes) {
            let account = letter.papers.account_id();
            let Some(reply) = self.hear(&letter).await else {
                // What could not be stored stays in the inbox, and here.
                self.hear_again_ms = now_ms().saturating_add(HEAR_AGAIN_MS);
                return self.unheard.push(mailed);
            };
            if reply == LetterReply::Accept {
                // What lies in his inbox asks him: he is to have our yes.
                self.forget_mailed(&account);
                self.owed.owe(account, now_ms());
            }
        }
        self.inboxes.taken(mailed.id);
    }
}

/// What a contact is to be told.
fn what_to(contact: &Contact) -> What {
    match &contact.stage {
        Stage::Asked(text) => What::Ask(text.clone()),
        _ => What::Accept,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use parlor_proto::mailbox::BlobId;

    use super::*;
    use crate::services::alone::Alone;
    use crate::services::contacts::actor::Parts;

    fn beside(node: &Alone) -> Actor {
        let (context, rooms) = (node.app.node.context.clone(), node.app.node.rooms.clone());
        Actor::new(Parts { context, rooms, relays: Vec::new() })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_yes_that_did_not_arrive_is_said_again_after_a_start() {
        let (alone, carol) = (Alone::new().await, Alone::new().await);
        let (mut ours, hers) = (beside(&alone), beside(&carol));
        let (us, her) = (ours.us(), hers.us());
        let letter = hers.write(&us, What::Ask("may I".to_owned()));
        let before = ours.contacts.read().get(&her).cloned();
        assert!(ours.hear(&letter).await.is_some() && before.is_none());
        let before = ours.contacts.read().get(&her).cloned();
        ours.contacts.write().accept(&her).unwrap();
        ours.store(&her, before).await.unwrap();
        // The node ends before anybody was reached.
        let mut again = beside(&alone);
        again.begin().await;
        assert!(again.owed.owes(&her));
        again.on_sent(Sent { account: her, answer: Some(bytes::Bytes::from_static(KEPT)) }).await;
        assert!(!again.owed.owes(&her));
        let mut later = beside(&alone);
        later.begin().await;
        assert!(!later.owed.owes(&her), "it arrived");
        carol.node.stop().await.unwrap();
        alone.node.stop().await.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_letter_that_could_not_be_stored_is_heard_when_the_disk_works_again() {
        let (alone, carol) = (Alone::new().await, Alone::new().await);
        let (mut ours, hers) = (beside(&alone), beside(&carol));
        let (us, her) = (ours.us(), hers.us());
        let letter = hers.write(&us, What::Ask("may I".to_owned()));
        let papers = ours.write(&her, What::Card).papers;
        let bytes = letter.seal(&us, papers.public().unwrap().leaf(), &mut rng());
        let store = &alone.app.node.context.store;
        // Whatever the fault meets first, the letter finds a store that is not open.
        store.break_disk(20);
        let mut batch = parlor_storage::Batch::new(None);
        batch.put(parlor_storage::Namespace::Meta, b"test", vec![1]);
        assert!(store.commit(batch).await.is_err());
        ours.on_mailed(Mailed { id: BlobId::of(&bytes), bytes }).await;
        assert!(ours.contacts.read().get(&her).is_none(), "the store did not take it");
        let begun = Instant::now();
        while ours.contacts.read().get(&her).is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is never heard");
            ours.hear_again().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(ours.unheard.is_empty());
        carol.node.stop().await.unwrap();
        alone.node.stop().await.unwrap();
    }
}
