//! What somebody may who showed a token: how much, in which rooms, and for how long.

use std::collections::BTreeSet;
use std::sync::Arc;

use parlor_api::{Code, EventBody, Problem, Scope};
use tokio::sync::watch;

/// Whose token it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// Of the home: whoever can read its files.
    Home,
    /// Of a browser, by its short id.
    Session(String),
    /// Of a script, by its short id.
    Script(String),
}

/// What a request may.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    pub(crate) who: Who,
    pub(crate) scope: Scope,
    /// Only in these rooms.
    rooms: Option<Arc<BTreeSet<String>>>,
    /// Changes, or ends, when it holds no more.
    over: watch::Receiver<()>,
}

impl Grant {
    pub(super) fn new(who: Who, scope: Scope, over: watch::Receiver<()>) -> Self {
        Self { who, scope, rooms: None, over }
    }

    pub(super) fn within(mut self, rooms: &[String]) -> Self {
        self.rooms = (!rooms.is_empty()).then(|| Arc::new(rooms.iter().cloned().collect()));
        self
    }

    /// One of a script.
    #[cfg(test)]
    pub(crate) fn of_script(scope: Scope, rooms: &[&str]) -> Self {
        let rooms: Vec<String> = rooms.iter().map(|room| (*room).to_owned()).collect();
        Self::new(Who::Script("1".into()), scope, watch::channel(()).1).within(&rooms)
    }

    /// Whether it is for some rooms only.
    pub(crate) fn is_narrow(&self) -> bool {
        self.rooms.is_some()
    }

    /// The rooms it is for; none for all.
    pub(crate) fn rooms(&self) -> Vec<String> {
        self.rooms.iter().flat_map(|rooms| rooms.iter().cloned()).collect()
    }

    /// Whether it is for the room with this id. One that is for some rooms takes no other name of a room: what a name leads to
    /// changes, and whether it leads anywhere is told to nobody who may not see it.
    pub(crate) fn is_for(&self, room: &str) -> bool {
        self.rooms.as_ref().is_none_or(|rooms| rooms.contains(room))
    }

    /// Passes if it allows at least this.
    ///
    /// # Errors
    /// `scope_missing`.
    pub(crate) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        if self.scope >= scope {
            return Ok(());
        }
        let (needed, has) = (scope.name(), self.scope.name());
        let refused =
            Problem::new(Code::ScopeMissing, format!("this needs the scope `{needed}`, and the token has `{has}`"));
        Err(match scope {
            // No token of a script has it.
            Scope::All => refused.hint("only the owner may: at this machine, without PARLOR_TOKEN"),
            _ => refused.hint(format!("make a token with: parlor token create NAME --scope {needed}")),
        })
    }

    /// Passes if it is for the room with this id.
    ///
    /// # Errors
    /// `scope_missing`, whether or not there is such a room.
    pub(crate) fn needs_room(&self, room: Option<&str>) -> Result<(), Problem> {
        match room {
            _ if !self.is_narrow() => Ok(()),
            Some(room) if self.is_for(room) => Ok(()),
            Some(_) => Err(Problem::new(Code::ScopeMissing, "the token is not for this room")
                .hint("name the room by its whole id; GET /api/v1/tokens/self lists those that the token is for")),
            None => Err(Problem::new(Code::ScopeMissing, "the token is for some rooms only, and this is about all")
                .hint("make a token without --room")),
        }
    }

    /// Whether it is told of this.
    pub(crate) fn hears(&self, event: &EventBody) -> bool {
        let needed = match event {
            EventBody::Draft(_) => Scope::Send,
            EventBody::Invite(_) | EventBody::Request(_) | EventBody::Webhook(_) => Scope::Manage,
            _ => Scope::Read,
        };
        let here = match (event, event.room()) {
            (EventBody::Error(_), _) => true,
            (_, Some(room)) => self.is_for(room),
            (_, None) => !self.is_narrow(),
        };
        here && self.scope >= needed
    }

    /// Done when it holds no more. Cancel safe.
    pub(crate) async fn over(&mut self) {
        // An error says that its session or token is gone.
        let _ = self.over.changed().await;
    }
}

#[cfg(test)]
mod tests {
    use parlor_api::{Draft, PeerChanged, SyncProgress};

    use super::*;

    fn grant(scope: Scope, rooms: &[&str]) -> Grant {
        Grant::of_script(scope, rooms)
    }

    fn sync(room: &str) -> EventBody {
        EventBody::Sync(SyncProgress { room: room.into(), have: 0, want: 0, done: true, asking: false, early: 0 })
    }

    #[test]
    fn who_may_see_a_room_hears_of_no_other_and_of_nothing_else() {
        let narrow = grant(Scope::Manage, &["a"]);
        assert!(narrow.hears(&sync("a")) && !narrow.hears(&sync("b")));
        let peer = EventBody::Peer(PeerChanged { peer_id: "p".into(), connected: true, peers: 1 });
        assert!(!narrow.hears(&peer) && grant(Scope::Read, &[]).hears(&peer));
        let of_new_kind = EventBody::Other(serde_json::Map::new());
        assert!(!narrow.hears(&of_new_kind));
    }

    #[test]
    fn who_only_reads_hears_of_no_draft() {
        let draft = EventBody::Draft(Box::new(Draft { room: "a".into(), ..Draft::default() }));
        assert!(!grant(Scope::Read, &[]).hears(&draft) && grant(Scope::Send, &["a"]).hears(&draft));
    }

    #[test]
    fn a_refusal_names_the_scope_and_does_not_tell_whether_a_room_exists() {
        let problem = grant(Scope::Read, &[]).needs(Scope::Send).unwrap_err();
        assert!(problem.code == Code::ScopeMissing && problem.detail.contains("`send`"), "{problem}");
        let narrow = grant(Scope::Send, &["aa"]);
        assert!(narrow.needs_room(Some("aa")).is_ok());
        let other = narrow.needs_room(Some("bb")).unwrap_err();
        assert_eq!(narrow.needs_room(Some("a")).unwrap_err(), other, "neither a beginning nor a name of its own room");
        assert!(narrow.needs_room(None).is_err());
    }
}
