//! Benches beside other systems.
