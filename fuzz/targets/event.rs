//! Fuzz target: bytes as an event of a room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::event(data));
