//! Fuzz target: frames of a hostile peer in the session of a room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::streams::session(data));
