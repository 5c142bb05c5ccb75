//! Resolutions of views that are not all events: of the control heads that a message or a Rotate was written on.
//!
//! Most are asked for again, or are a little more than one asked for lately; such a one is grown from that. So a view that
//! follows the room costs a copy and a step, and only one beside all others is resolved from scratch.

use std::sync::Arc;

use crate::dag::{Dag, Set};
use crate::limits;
use crate::resolve::{Resolved, resolve};

/// The resolutions asked for lately.
#[derive(Debug, Default)]
pub(super) struct Views {
    /// The one used last stands last.
    recent: Vec<Arc<Resolved>>,
}

impl Views {
    /// What the events of `view` mean, which holds the ancestors of all its events.
    pub(super) fn of(&mut self, dag: &Dag, view: &Set) -> Arc<Resolved> {
        let below = self.recent.iter().enumerate().filter(|(_, known)| known.view().within(view));
        let nearest = below.map(|(at, known)| (known.view().len(), at)).max();
        let resolved = match nearest.map(|(_, at)| self.recent[at].clone()) {
            Some(known) => {
                if let Some((_, at)) = nearest {
                    self.recent.remove(at);
                }
                grown(dag, known, view)
            }
            None => Arc::new(resolve(dag, view)),
        };
        if self.recent.len() >= limits::MAX_VIEWS {
            self.recent.remove(0);
        }
        self.recent.push(resolved.clone());
        resolved
    }
}

/// `known` with what else is in `view`.
fn grown(dag: &Dag, mut known: Arc<Resolved>, view: &Set) -> Arc<Resolved> {
    let more: Vec<usize> = view.without(known.view()).collect();
    // Deciding again for many events costs more than deciding once.
    if more.len() > limits::MAX_GROWTH {
        return Arc::new(resolve(dag, view));
    }
    if !more.is_empty() {
        let grown = Arc::make_mut(&mut known);
        for at in more {
            grown.advance(dag, at);
        }
    }
    known
}
