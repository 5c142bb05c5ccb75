//! Steps of walks through grants and admissions, counted in tests: so they can say how much work something makes, whatever the machine.

use std::cell::Cell;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static SETTLED: Cell<u64> = const { Cell::new(0) };
}

/// One more.
pub(crate) fn note() {
    STEPS.set(STEPS.get() + 1);
}

/// Those of this thread so far.
pub(crate) fn taken() -> u64 {
    STEPS.get()
}

/// A room looked once more at all that follows from what came or was written.
pub(crate) fn settle() {
    SETTLED.set(SETTLED.get() + 1);
}

/// How often a room of this thread did.
pub(crate) fn settled() -> u64 {
    SETTLED.get()
}
