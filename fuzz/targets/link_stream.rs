//! Fuzz target: frames of a hostile peer at a connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::streams::link(data));
