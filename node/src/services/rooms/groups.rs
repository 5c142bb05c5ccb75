//! Groups of several contacts, as far as a room has to do with them: invitations in direct chats, and who is in a room.

use std::collections::BTreeSet;

use parlor_api::{Problem, SendAnswer};
use parlor_proto::AccountId;
use parlor_proto::body::{Body, Group};
use parlor_proto::codec;
use parlor_proto::link::Link;
use parlor_proto::room::{Message, Verdict};
use parlor_storage::{Batch, Namespace};

use super::entry::Turn;
use super::message::Reply;
use super::wishes::{body_problem, nonce};
use crate::services::groups::Told;

/// Who is in a room, and who was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PeopleOf {
    /// Its members.
    pub(crate) members: BTreeSet<AccountId>,
    /// Of those asked for, who left or was removed.
    pub(crate) out: BTreeSet<AccountId>,
}

impl Turn<'_> {
    /// Who is in the room, and who of these people was.
    pub(super) fn people_of(&self, people: &[AccountId]) -> PeopleOf {
        let room = &self.entry.room;
        let out = people.iter().filter(|account| room.member(account).is_none() && room.exit(account).is_some());
        PeopleOf {
            members: room.members().into_iter().map(|member| member.account).collect(),
            out: out.copied().collect(),
        }
    }

    /// Writes an invitation into a group into this direct chat.
    pub(super) fn invite_into(&mut self, group: Group, client_id: &str, reply: Reply<SendAnswer>) {
        let body = Body::Group(Box::new(group));
        if let Err(error) = body.check() {
            return drop(reply.send(Err(body_problem(error))));
        }
        self.submit(vec![(nonce(Some(client_id)), body)], move |_, sent| {
            let first =
                sent.and_then(|sent| sent.into_iter().next().ok_or_else(|| Problem::of(parlor_api::Code::Internal)));
            drop(reply.send(first));
        });
    }

    /// Writes down, in the batch of a message, the invitation in it: so that it is looked at once, whatever happens. Only the other
    /// of a direct chat invites, by a link that his device which writes made itself.
    pub(super) fn note_group(&self, batch: &mut Batch, message: &Message) {
        let Some(Body::Group(group)) = &message.body else { return };
        let shown = message.verdict == Verdict::Shown && self.entry.room.other() == Some(message.author);
        if !shown || self.context.contacts.is_blocked(&message.author) {
            return;
        }
        // Our clock may be wrong: whether the link is over is seen when it is followed, again and again.
        let link = Link::parse(&group.link, 0).ok();
        let Some(link) = link.filter(|link| link.issuer() == message.event.device()) else { return };
        if self.context.groups.may_note(self.id()) {
            let told = Told { by: message.author, room: link.room(), group: (**group).clone() };
            batch.put(Namespace::Group, &message.event.id().0, codec::encode(&told));
        }
    }

    /// A message is durable: the invitation in it can be looked at.
    pub(super) fn group_seen(&self, body: Option<&Body>) {
        if matches!(body, Some(Body::Group(_))) && self.entry.room.other().is_some() {
            self.context.groups.told(self.id());
        }
    }

    /// The line of an invitation, for people.
    pub(super) fn group_text(&self, group: &Group, mine: bool) -> String {
        let (me, other) = (self.context.identity.account(), self.entry.room.other());
        let others = group.people.iter().filter(|account| **account != me && Some(**account) != other);
        let with = others.map(|account| self.name_of(account)).collect::<Vec<_>>().join(", ");
        match other.filter(|_| mine) {
            Some(other) => format!("You brought {} into the group “{}” with {with}", self.name_of(&other), group.name),
            None => format!("You are invited into the group “{}” with {with}", group.name),
        }
    }
}
