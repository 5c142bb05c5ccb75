//! Whether a message is shown: by the grants of its author that its view has, as they count now.

use super::Room;
use super::types::Verdict;
use crate::control::{LogPoint, Permission};
use crate::dag::{GrantIdx, NodeIdx};
use crate::event::Event;
use crate::ids::{AccountId, DeviceId};
use crate::resolve::Ends;

impl Room {
    /// Shown iff some grant of the author in the view has POST, counts, and was ended by nothing that fences the message out, or another
    /// that counts stands in for it.
    pub(super) fn judge(
        &self,
        event: &Event,
        path: Option<&DeviceId>,
        author: &AccountId,
        in_view: impl Fn(NodeIdx) -> bool,
    ) -> Verdict {
        let point = LogPoint { device: event.device(), seq: event.seq(), id: event.id() };
        self.judge_as((&point, path), author, Permission::Post, |_| true, in_view)
    }

    /// Whether a message counts as one of somebody with a permission: some grant of its author in the view has it, is one of those
    /// asked for, and counts, and was ended by nothing that fences the message out; or another one like it stands in for it. A mere
    /// change of role keeps nobody from writing on, as long as he is in by a role with which he may. The message comes with the path of
    /// its log on which it stands, if that is known.
    pub(super) fn judge_as(
        &self,
        said: (&LogPoint, Option<&DeviceId>),
        author: &AccountId,
        permission: Permission,
        is_asked: impl Fn(GrantIdx) -> bool,
        in_view: impl Fn(NodeIdx) -> bool,
    ) -> Verdict {
        let allows = |g: &GrantIdx| self.dag.grants()[*g].perms.has(permission) && is_asked(*g);
        let theirs = self.dag.grants_of(author).iter().copied().filter(allows);
        let (seen, others): (Vec<GrantIdx>, Vec<GrantIdx>) = theirs.partition(|g| in_view(self.dag.grants()[*g].op));
        if seen.is_empty() {
            return Verdict::NotPermitted;
        }
        let counts = |g: &GrantIdx| self.resolved.is_ok(*g);
        let lets = |g: &GrantIdx, role_changes| counts(g) && self.lets_say(*g, said, author, role_changes);
        let saying = |role_changes| -> Vec<GrantIdx> {
            let by_other = |g: &&GrantIdx| lets(g, role_changes) && self.stands_in(**g, &seen, author);
            seen.iter().filter(|g| lets(g, role_changes)).chain(others.iter().filter(by_other)).copied().collect()
        };
        let goes_on = |before: GrantIdx| {
            let now = |g: &GrantIdx| lets(g, true) && self.resolved.goes_on(&self.dag, *g, before);
            seen.iter().chain(&others).any(now)
        };
        let by_later_role = || permission == Permission::Post && saying(false).into_iter().any(goes_on);
        if !saying(true).is_empty() || by_later_role() {
            Verdict::Shown
        } else if seen.iter().any(counts) {
            Verdict::AfterRemoval
        } else {
            Verdict::NotPermitted
        }
    }

    /// Whether a message lies inside the fences of all that ended a grant of its author, changes of role among them or not.
    fn lets_say(
        &self,
        g: GrantIdx,
        (point, path): (&LogPoint, Option<&DeviceId>),
        author: &AccountId,
        role_changes: bool,
    ) -> bool {
        // Of what we wrote ourselves, in a room that we were put out of.
        let own = *author == self.me.account() && !self.is_member();
        let ends = Ends { role_changes, purges: !own };
        self.resolved.admits_message(&self.dag, g, &point.device, ends, |fence| self.is_inside(fence, point, path))
    }

    /// Whether a grant that the author of a message had not heard of stands in for those that he had (`seen`): he was in by it all the
    /// while, or one of his came to nothing, by the word of who let him in maybe, and another let him in since. Not if whoever gave
    /// it knew that he had been removed or had left, unless what he left was void: then it begins something new.
    fn stands_in(&self, g: GrantIdx, seen: &[GrantIdx], author: &AccountId) -> bool {
        let op = self.dag.grants()[g].op;
        let knew = |end: NodeIdx| self.dag.in_past(end, op);
        let is_void = |g: &GrantIdx| !self.resolved.is_ok(*g);
        let mut ends = seen.iter().flat_map(|g| self.resolved.kills(*g)).copied();
        !self.resolved.removals(&self.dag, author).any(knew) && (seen.iter().any(is_void) || !ends.any(knew))
    }
}
