//! What annotations count for in a room: who may say what about whose message.

use super::Room;
use super::types::{Refusal, Verdict};
use crate::annotation::{Act, Annotation, Remark, Weight, threaded};
use crate::body::Body;
use crate::control::{LogPoint, Permission};
use crate::dag::{GrantIdx, NodeIdx};
use crate::event::Event;
use crate::hlc::Hlc;
use crate::ids::{AccountId, DeviceId, EventId};

impl Room {
    /// The account that wrote a message of this room, as its own view of the room tells. The event is one that this room
    /// accepted.
    pub fn writer_of(&self, event: &Event) -> Option<AccountId> {
        let header = event.message()?;
        let heads = self.found(&header.control);
        let device = self.dag.device_no(&header.device)?;
        self.dag.account_where(device, |op| heads.iter().any(|head| self.dag.in_past(op, *head)))
    }

    /// What is to be stored of a message where others look for it: under its target, in its thread. The same on every node, now
    /// and later: nothing that may change is asked. `order` is its place on the timeline.
    pub fn remarks(&self, event: &Event, order: Hlc, body: &Body) -> Vec<Remark> {
        if let Body::Text(text) = body {
            return threaded(event, order, text);
        }
        let Some(author) = self.writer_of(event) else { return Vec::new() };
        let Some((target, annotation)) = Annotation::of(event, author, body) else { return Vec::new() };
        let moderating = matches!(annotation.act, Act::Redact | Act::Pin { .. }) && self.was_moderator(&annotation);
        annotation.remarks(&target, moderating)
    }

    /// Whether an annotation of a message of `author` counts, by what is known of the room now. `path` is the name under which the
    /// annotation is stored, as in [`verdict_on`](Self::verdict_on), if that is known; nothing but
    /// [`is_judged_by_branch`](Self::is_judged_by_branch) asks for it.
    pub fn weigh(&self, said: &Annotation, path: Option<&DeviceId>, author: &AccountId) -> Weight {
        let heads = self.found(&said.control);
        let in_view = |op: NodeIdx| heads.iter().any(|head| self.dag.in_past(op, *head));
        let point = LogPoint { device: said.device, seq: said.seq, id: said.id };
        let shown = self.judge_as((&point, path), &said.author, Permission::Post, |_| true, in_view) == Verdict::Shown;
        let moderates = shown
            && matches!(said.act, Act::Redact | Act::Pin { .. })
            && self.may_touch(&said.act, &said.author, author)
            && {
                let not_senior = |grant: GrantIdx| said.act != Act::Redact || !self.has_senior(author, grant, &in_view);
                self.judge_as((&point, path), &said.author, Permission::Moderate, not_senior, in_view) == Verdict::Shown
            };
        Weight { shown, moderates }
    }

    /// Whether we may say this about a message of `author` now.
    ///
    /// # Errors
    /// [`Refusal::NotMember`]; [`Refusal::NotPermitted`]; [`Refusal::TooStrong`] about a message of somebody more senior;
    /// [`Refusal::Direct`] about the other's in a direct chat.
    pub fn may_say(&self, body: &Body, author: &AccountId) -> Result<(), Refusal> {
        self.may_post()?;
        let me = self.me.account();
        match body {
            Body::Redact(_) | Body::Edit(_) if *author == me => Ok(()),
            Body::Edit(_) => Err(Refusal::NotAuthor),
            Body::Redact(_) if self.dag.direct().is_some() => Err(Refusal::Direct),
            Body::Redact(_) | Body::Pin(_) => {
                self.permitted(Permission::Moderate)?;
                let grant = self.grant().ok_or(Refusal::NotMember)?;
                let touches = matches!(body, Body::Redact(_)) && self.has_senior(author, grant, &|_| true);
                if touches { Err(Refusal::TooStrong) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    /// In a direct chat both are owners, and neither takes back what the other said.
    fn may_touch(&self, act: &Act, by: &AccountId, author: &AccountId) -> bool {
        *act != Act::Redact || by == author || self.dag.direct().is_none()
    }

    /// Whether an account has a grant in the view, one that counts and that nothing in the view ended, that is senior to this one.
    fn has_senior(&self, account: &AccountId, grant: GrantIdx, in_view: &impl Fn(NodeIdx) -> bool) -> bool {
        let stands =
            |g: &GrantIdx| self.resolved.is_ok(*g) && !self.resolved.kills(*g).iter().any(|kill| in_view(*kill));
        let theirs = self.dag.grants_of(account).iter().filter(|g| in_view(self.dag.grants()[**g].op) && stands(g));
        theirs.into_iter().any(|g| self.dag.seniority(*g, grant).is_lt())
    }

    /// Whether the author of an annotation held a grant to moderate in his own view, whether or not it counted.
    fn was_moderator(&self, said: &Annotation) -> bool {
        let heads = self.found(&said.control);
        let in_view = |op: NodeIdx| heads.iter().any(|head| self.dag.in_past(op, *head));
        let grants = self.dag.grants_of(&said.author).iter().map(|g| &self.dag.grants()[*g]);
        grants.into_iter().any(|grant| grant.perms.has(Permission::Moderate) && in_view(grant.op))
    }

    fn found(&self, control: &[EventId]) -> Vec<NodeIdx> {
        control.iter().filter_map(|head| self.dag.find(head)).collect()
    }
}
