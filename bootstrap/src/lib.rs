//! The relay that anyone can host.
