//! What this device writes: messages, settings, invites, leaving.

use std::cmp::Reverse;

use parlor_crypto::CryptoRng;
use parlor_crypto::invite::InviteSeed;
use parlor_crypto::seal;

use super::Room;
use super::fading;
use super::invites::{InviteLimit, NewInvite};
use super::types::{Accepted, Message, Outcome, Persist, Refusal, Verdict, Written};
use crate::body::Body;
use crate::control::{
    Control, History, Invite, InviteBounds, InviteHistory, InviteId, InviteRevoke, Leave, LogPoint, MailboxTokens,
    Mailboxes, Permission, Setting, State,
};
use crate::dag::{Grant, Insert, NodeIdx, Set};
use crate::event::{ControlHeader, Event, Header, MESSAGE_KIND, MessageHeader, sealing_header};
use crate::hlc::Hlc;
use crate::ids::{EpochId, EventId};
use crate::limits;

/// So many of the last ends of grants an invite is made to know of: with so many heads that they can not all be named it would let
/// nobody back in whose removal lies below another one.
const ENDS_NAMED: usize = 256;

impl Room {
    /// Writes a message under the best safe epoch.
    ///
    /// # Errors
    /// See [`Refusal`]; after [`Refusal::NoSafeEpoch`] try again at the next [`Change::Epoch`](super::Change::Epoch).
    pub fn write(&mut self, body: &Body, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Written, Refusal> {
        body.check()?;
        self.may_post()?;
        let bytes = body.encode();
        if seal::sealed_len(bytes.len()) > limits::MAX_PAYLOAD {
            return Err(Refusal::Limit);
        }
        let epoch = self.best.ok_or(Refusal::NoSafeEpoch)?;
        let salt = seal::salt(rng, self.me.signing_key(), &bytes);
        let header = self.message_header(epoch, salt, now_ms)?;
        let unsealed = Header::Message(header.clone());
        let sealing = sealing_header(&unsealed, &unsealed.encode());
        let room = *self.id.as_bytes();
        let key = self.epochs.message_key(&room, &header, &sealing).ok_or(Refusal::NoSafeEpoch)?;
        let payload = seal::seal(&key, &room, &sealing, &bytes);
        let event = Event::sign(&self.id, unsealed, &payload, self.me.signing_key()).map_err(|_| Refusal::Limit)?;
        let device = self.me.device();
        let before = self.messages.end(&device).copied();
        // What the view of this message says: its heads may leave some of what is known out.
        let ttl_ms = self.view_ttl(&header);
        let fades_ms = ttl_ms.map(|ttl_ms| now_ms.saturating_add(ttl_ms));
        let (covers_own, _) = self.messages.take(event.id(), &header, device, before, true);
        self.epochs.saw_slice(header.epoch, header.slice);
        let message = Message {
            event,
            author: self.me.account(),
            // Ahead of our clock if that was ahead before: others see it where it arrives, and so do we.
            order: self.order_of(header.hlc, now_ms),
            covers_own,
            key: Some(key),
            body: Some(body.clone()),
            verdict: Verdict::Shown,
            unsafe_epoch: false,
            fades_ms,
        };
        Ok(Written { message, persist: Persist { heads: Some(self.messages.to_bytes()), ..Persist::default() } })
    }

    /// Whether we may write messages now, leaving epochs aside.
    ///
    /// # Errors
    /// [`Refusal::NotMember`] or [`Refusal::NotPermitted`].
    pub fn may_post(&self) -> Result<(), Refusal> {
        self.permitted(Permission::Post).map(|_| ())
    }

    /// Makes an invite. The seed goes into the link; it is nowhere in the room.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn invite(
        &mut self,
        new: &NewInvite,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(InviteSeed, Outcome), Refusal> {
        let grant = self.permitted(Permission::Invite)?.clone();
        let info = self.info().ok_or(Refusal::NotMember)?;
        let mut perms = new.role.permissions(info.kind);
        let below = grant.max_depth.checked_sub(1).ok_or(Refusal::Invite(InviteLimit::Depth(0)))?;
        let mut max_depth = below.min(new.role.max_depth());
        if let Some(depth) = new.delegate.filter(|depth| *depth > 0) {
            perms = perms.with(Permission::Invite);
            max_depth = depth;
        }
        if new.role.power() < grant.power || !perms.within(grant.perms) {
            return Err(Refusal::TooStrong);
        }
        if max_depth > below {
            return Err(Refusal::Invite(InviteLimit::Depth(below)));
        }
        let history = self.dag.narrower(grant.invites.history, grant.reads, &self.everything);
        let mine = InviteBounds { history, ..grant.invites };
        let says = self.invite_says(new, info.history, &mine)?;
        let onward = match new.delegate {
            Some(_) => says,
            None => InviteBounds { history: says.history, ..mine },
        };
        let seed = InviteSeed::generate(rng);
        let keys = seed.keys();
        let invite = Invite {
            auth: self.dag.node(grant.op).event.id(),
            invite_pk: keys.sign.public_bytes(),
            box_pk: *keys.leaf.public().as_bytes(),
            door: keys.door.public_bytes(),
            power: new.role.power(),
            perms,
            // A sponsor's clock may be behind ours.
            not_before_ms: now_ms.saturating_sub(limits::MAX_AHEAD_MS),
            expires_ms: says.until_ms,
            max_uses: says.uses,
            approval: new.approval,
            history: says.history,
            sponsor: new.sponsor,
            max_depth,
            onward,
        };
        let outcome = self.write_control(Control::Invite(invite), now_ms)?;
        Ok((seed, outcome))
    }

    /// How long, for how many and with how much of the past an invite is to be, if `mine` reaches to it.
    fn invite_says(&self, new: &NewInvite, room: History, mine: &InviteBounds) -> Result<InviteBounds, Refusal> {
        let most = match room {
            History::None => InviteHistory::None,
            History::Full => mine.history,
        };
        if room == History::None && new.history.is_some_and(|wanted| wanted != InviteHistory::None) {
            return Err(Refusal::Invite(InviteLimit::Room));
        }
        let says = InviteBounds {
            until_ms: new.expires_ms.unwrap_or(mine.until_ms),
            uses: new.uses.unwrap_or(mine.uses),
            history: new.history.unwrap_or(most),
        };
        if says.until_ms > mine.until_ms {
            return Err(Refusal::Invite(InviteLimit::Until(mine.until_ms)));
        }
        if says.uses > mine.uses {
            return Err(Refusal::Invite(InviteLimit::Uses(mine.uses)));
        }
        let later = |first: &EpochId, bound: &EpochId| {
            self.epochs.order(bound).is_some_and(|bound| self.epochs.order(first) >= Some(bound))
        };
        if says.history.within(&mine.history, later) { Ok(says) } else { Err(Refusal::Invite(InviteLimit::History)) }
    }

    /// Takes an invite back, and puts out the guests of an instant one: nobody reads on with its link. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// [`Refusal::NoInvite`]; [`Refusal::TooStrong`] if somebody more senior made it.
    pub fn revoke(&mut self, invite: &InviteId, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Outcome, Refusal> {
        let auth = self.grant().ok_or(Refusal::NotMember)?;
        let (at, _) = self.dag.invite(invite).ok_or(Refusal::NoInvite)?;
        if self.resolved.is_closed(&self.dag, at) {
            return Ok(Outcome::default());
        }
        let inviter = self.dag.node(at).auth.ok_or(Refusal::NoInvite)?;
        if self.dag.seniority(auth, inviter).is_gt() {
            return Err(Refusal::TooStrong);
        }
        let auth = self.grant_id(auth);
        let mut outcome = self.write_control(Control::InviteRevoke(InviteRevoke { auth, invite: *invite }), now_ms)?;
        let guests = self.guests_of(at).map(|instant| self.guests_left(instant)).unwrap_or_default();
        if !guests.is_empty() {
            outcome.merge(self.put_out(&guests, now_ms));
            self.rotate_at_once(&mut outcome, now_ms, rng);
        }
        Ok(outcome)
    }

    /// Leaves the room. What is held stays readable. The guests of our instant invites go first, for we have the links.
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::Direct`].
    pub fn leave(&mut self, now_ms: u64) -> Result<Outcome, Refusal> {
        if self.dag.direct().is_some() {
            return Err(Refusal::Direct);
        }
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        let guests = self.guests_made_by(&[self.me.account()]);
        let mut outcome = self.put_out(&guests, now_ms);
        let ours = |device: &crate::ids::DeviceId| self.account_of(device) == Some(self.me.account());
        let ends = self.messages.ends().iter().filter(|(device, _)| ours(device));
        let fence = ends.map(|(device, end)| LogPoint { device: *device, seq: end.seq, id: end.id });
        let fence = fence.take(limits::MAX_FENCE).collect();
        outcome.merge(self.write_control(Control::Leave(Leave { auth, fence }), now_ms)?);
        Ok(outcome)
    }

    /// As [`set_state`](Self::set_state), without what is so already: then nothing is written.
    ///
    /// # Errors
    /// As [`set_state`](Self::set_state), also for what is so already.
    pub fn change_state(&mut self, mut writes: Vec<(Setting, Vec<u8>)>, now_ms: u64) -> Result<Outcome, Refusal> {
        for (setting, _) in &writes {
            self.permitted(Setting::permission(*setting as u8))?;
        }
        let settings = self.resolved.settings();
        let now = |setting: Setting| settings.get(&(setting as u8)).map_or(&[][..], Vec::as_slice);
        writes.retain(|(setting, value)| now(*setting) != value.as_slice());
        self.set_state(writes, now_ms)
    }

    /// Changes settings of the room.
    ///
    /// # Errors
    /// [`Refusal::NotPermitted`]; [`Refusal::Setting`] for a value that is too long, or a name that is empty or no UTF-8.
    pub fn set_state(&mut self, writes: Vec<(Setting, Vec<u8>)>, now_ms: u64) -> Result<Outcome, Refusal> {
        let mut numbered: Vec<(u8, Vec<u8>)> = Vec::new();
        for (setting, value) in writes {
            self.permitted(Setting::permission(setting as u8))?;
            let fits = match setting {
                Setting::Name => {
                    (1..=limits::MAX_ROOM_NAME).contains(&value.len()) && std::str::from_utf8(&value).is_ok()
                }
                Setting::About => value.len() <= limits::MAX_SETTING && std::str::from_utf8(&value).is_ok(),
                Setting::Ttl => value.is_empty() || fading::is_ttl(&value),
                Setting::TopicGeneration => value.len() == 4,
                Setting::Mailboxes => Mailboxes::decode(&value).is_some(),
                Setting::MailboxTokens => MailboxTokens::decode(&value).is_some(),
            };
            if !fits {
                return Err(Refusal::Setting);
            }
            numbered.retain(|(number, _)| *number != setting as u8);
            numbered.push((setting as u8, value));
        }
        if numbered.is_empty() {
            return Ok(Outcome::default());
        }
        numbered.sort_unstable_by_key(|(number, _)| *number);
        let auth = self.grant_id(self.grant().ok_or(Refusal::NotMember)?);
        self.write_control(Control::State(State { auth, writes: numbered }), now_ms)
    }

    /// Our own grant, if it has the permission.
    pub(super) fn permitted(&self, permission: Permission) -> Result<&Grant, Refusal> {
        let grant = &self.dag.grants()[self.grant().ok_or(Refusal::NotMember)?];
        self.may_write()?;
        if grant.perms.has(permission) { Ok(grant) } else { Err(Refusal::NotPermitted(permission)) }
    }

    /// The name of a grant.
    pub(super) fn grant_id(&self, grant: usize) -> EventId {
        self.dag.node(self.dag.grants()[grant].op).event.id()
    }

    /// Writes a control event of ours and settles what follows from it.
    pub(super) fn write_control(&mut self, control: Control, now_ms: u64) -> Result<Outcome, Refusal> {
        let header = self.control_header(control.kind(), &self.named_by(&control), now_ms)?;
        self.write_under(header, &control)
    }

    /// As [`write_control`](Self::write_control), under a header made before.
    pub(super) fn write_under(&mut self, header: ControlHeader, control: &Control) -> Result<Outcome, Refusal> {
        let event = self.write_event(header, control)?;
        let mut outcome = Outcome { accepted: vec![Accepted::Control(event)], ..Outcome::default() };
        self.settle(&mut outcome);
        Ok(outcome)
    }

    /// As [`write_under`](Self::write_under), for one of several: whoever writes them settles what follows from all.
    pub(super) fn write_event(&mut self, header: ControlHeader, control: &Control) -> Result<Event, Refusal> {
        self.may_write()?;
        let payload = control.encode();
        let header = Header::Control(header);
        let event = Event::sign(&self.id, header, &payload, self.me.signing_key()).map_err(|_| Refusal::Limit)?;
        match self.insert_control(&event) {
            Insert::New(_) => Ok(event),
            _ => Err(Refusal::Limit),
        }
    }

    /// The events that a payload names, which must be in its past.
    fn named_by(&self, control: &Control) -> Vec<NodeIdx> {
        let mut named: Vec<NodeIdx> = control.auth().and_then(|auth| self.dag.find(&auth)).into_iter().collect();
        match control {
            // It lets back in nobody whose removal it does not know of.
            Control::Invite(_) => named.extend(self.dag.kinds().ends.iter().rev().take(ENDS_NAMED)),
            Control::InviteRevoke(revoke) => named.extend(self.dag.find(&revoke.invite)),
            Control::Decline(decline) => {
                named.extend(self.dag.find(&decline.invite));
                named.extend(self.dag.grants_of(&decline.account).iter().map(|g| self.dag.grants()[*g].op));
            }
            Control::Grant(grant) => {
                let theirs = self.dag.grants_of(&grant.subject);
                // What ended them first: what it is not said to know of would end it too.
                named.extend(theirs.iter().flat_map(|g| self.resolved.kills(*g)));
                named.extend(
                    self.dag.removes_of(&grant.subject).filter(|at| self.resolved.is_admissible(&self.dag, *at)),
                );
                named.extend(theirs.iter().map(|g| self.dag.grants()[*g].op));
            }
            Control::Unban(unban) => named.extend(self.dag.find(&unban.removal)),
            Control::KeyComplaint(complaint) => named.extend(self.dag.epoch(&complaint.epoch).map(|(at, _)| at)),
            Control::Admit(admit) => {
                named.extend(self.dag.find(&admit.invite));
                named.extend(self.dag.epoch(&admit.epoch).map(|(at, _)| at));
                named.extend(self.epochs.opened_by(&admit.epoch));
            }
            _ => {}
        }
        named
    }

    /// The header of our next control event: on top of all that is known, or of eight heads with `named` below them.
    pub(super) fn control_header(&self, kind: u8, named: &[NodeIdx], now_ms: u64) -> Result<ControlHeader, Refusal> {
        let device = self.me.device();
        let tip = self.dag.tip(&device);
        let (seq, prev) = tip.map_or((1, EventId::ZERO), |tip| (tip.event.seq() + 1, tip.event.id()));
        if seq > limits::MAX_SEQ {
            return Err(Refusal::Limit);
        }
        let parents = self.choose_heads(self.dag.find(&prev), named);
        let before = parents.iter().chain([&prev]).filter_map(|id| self.dag.find(id));
        let lamport = 1 + before.map(|at| self.dag.node(at).lamport).max().unwrap_or(0);
        Ok(ControlHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind,
            device,
            seq,
            prev,
            parents,
            lamport,
            ts_ms: now_ms,
            payload_len: 0,
            payload_hash: [0; 32],
        })
    }

    /// The header of our next message, without its payload.
    fn message_header(&self, epoch: EpochId, salt: [u8; 16], now_ms: u64) -> Result<MessageHeader, Refusal> {
        let device = self.me.device();
        let end = self.messages.end(&device).copied();
        let (seq, prev) = end.map_or((1, EventId::ZERO), |end| (end.seq + 1, end.id));
        let parents = self.message_parents(&prev, now_ms);
        // What is shown early is no parent, and an answer to it stands below it all the same.
        let seen = Some(self.seen_early).filter(|seen| !seen.is_ahead_of(now_ms));
        let latest = parents.iter().map(|(hlc, _)| *hlc).chain(end.map(|end| end.hlc)).chain(seen).max();
        let hlc = latest.unwrap_or(Hlc::ZERO).next(now_ms).ok_or(Refusal::Limit)?;
        let mut parents: Vec<EventId> = parents.into_iter().map(|(_, id)| id).collect();
        parents.sort_unstable();
        let mut slice = self.slice_to_write(&epoch, now_ms);
        let mut generation = match end {
            Some(end) if end.epoch == epoch && end.slice == slice => end.generation + 1,
            _ => 0,
        };
        if generation > limits::MAX_GEN {
            (slice, generation) = (slice + 1, 0);
        }
        if slice > self.last_slice(&epoch) || seq > limits::MAX_SEQ {
            return Err(Refusal::Limit);
        }
        Ok(MessageHeader {
            v: limits::VERSION,
            suite: limits::SUITE,
            kind: MESSAGE_KIND,
            device,
            seq,
            prev,
            parents,
            control: self.control_heads(&epoch),
            hlc,
            epoch,
            slice,
            generation,
            salt,
            payload_len: 0,
            payload_hash: [0; 32],
        })
    }

    /// Heads to build on, at most eight: the latest ones, none whose clock runs far ahead, for ours must be later.
    fn message_parents(&self, prev: &EventId, now_ms: u64) -> Vec<(Hlc, EventId)> {
        let tips = self.messages.all_ends().filter(|end| end.id != *prev && self.messages.heads().contains(&end.id));
        let mut heads: Vec<(Hlc, EventId)> =
            tips.filter(|end| !end.hlc.is_ahead_of(now_ms)).map(|end| (end.hlc, end.id)).collect();
        heads.sort_unstable_by(|a, b| b.cmp(a));
        heads.truncate(limits::MAX_PARENTS);
        heads
    }

    /// Control heads to name in a message: with its epoch and our own grant below them.
    fn control_heads(&self, epoch: &EpochId) -> Vec<EventId> {
        let rotate = self.epochs.info(epoch).map(|info| info.at);
        let grant = self.grant().map(|grant| self.dag.grants()[grant].op);
        // The slice is bounded by what admissions opened in the view of the message.
        let named: Vec<NodeIdx> = rotate.into_iter().chain(grant).chain(self.epochs.opened_by(epoch)).collect();
        self.choose_heads(None, &named)
    }

    /// The control frontier without `prev`, ascending. Of more than eight heads: those with `named` below them as far as that
    /// is not below `prev`, then of those with the most below them and of those that came first half each.
    fn choose_heads(&self, prev: Option<NodeIdx>, named: &[NodeIdx]) -> Vec<EventId> {
        let heads = self.dag.frontier().iter().filter_map(|head| self.dag.find(head));
        let mut heads: Vec<NodeIdx> = heads.filter(|head| Some(*head) != prev).collect();
        if heads.len() > limits::MAX_PARENTS {
            let mut covered = self.dag.past_of(prev);
            let mut first = Set::default();
            for at in named {
                if first.len() < limits::MAX_PARENTS
                    && !covered.has(*at)
                    && let Some(head) = heads.iter().find(|head| self.dag.in_past(*at, **head))
                {
                    covered.put_all(&self.dag.past_of([*head]));
                    first.put(*head);
                }
            }
            heads.sort_by_key(|head| (!first.has(*head), Reverse(self.dag.node(*head).past.len())));
            // Half of the others those that wait longest: nobody keeps a head out by extending more than eight of his own.
            let named = heads.iter().filter(|head| first.has(**head)).count().min(limits::MAX_PARENTS);
            let largest = named + (limits::MAX_PARENTS - named) / 2;
            heads[largest..].sort_unstable();
            heads.truncate(limits::MAX_PARENTS);
        }
        let mut ids: Vec<EventId> = heads.into_iter().map(|head| self.dag.node(head).event.id()).collect();
        ids.sort_unstable();
        ids
    }
}
