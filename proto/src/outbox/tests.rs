//! Promises of the outbox.
