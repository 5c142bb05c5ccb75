//! What was spent on dear operations on this thread, counted in builds with debug assertions only: so tests can say how much
//! work a peer can make us do, whatever the machine.

/// How often something dear was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Signatures verified: some 40 us each.
    pub signatures: u64,
    /// Sealings to a leaf key that were tried to be opened: some 70 us each.
    pub openings: u64,
    /// Steps from a key of a chain to the next: some 0.2 us each.
    pub steps: u64,
}

impl Work {
    /// What was done since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            signatures: self.signatures - before.signatures,
            openings: self.openings - before.openings,
            steps: self.steps - before.steps,
        }
    }
}

#[cfg(debug_assertions)]
thread_local! {
    static SPENT: std::cell::Cell<Work> = const { std::cell::Cell::new(Work { signatures: 0, openings: 0, steps: 0 }) };
}

/// What this thread did so far; nothing in other builds.
#[must_use]
pub fn spent() -> Work {
    #[cfg(debug_assertions)]
    return SPENT.get();
    #[cfg(not(debug_assertions))]
    Work::default()
}

/// Notes what is done.
#[inline]
pub(crate) fn note(work: Work) {
    #[cfg(debug_assertions)]
    SPENT.with(|spent| {
        let before = spent.get();
        spent.set(Work {
            signatures: before.signatures + work.signatures,
            openings: before.openings + work.openings,
            steps: before.steps + work.steps,
        });
    });
    #[cfg(not(debug_assertions))]
    let _ = work;
}
