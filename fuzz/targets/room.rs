//! Fuzz target: hostile events by members of a room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::history::room(data));
