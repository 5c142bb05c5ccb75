//! Promises of joining.
