//! Fuzz target: bytes of a damaged disk: vault, identity, rows of a room.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::stored::stored(data));
