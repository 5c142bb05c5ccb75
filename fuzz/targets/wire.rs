//! Fuzz target: bytes as each frame of the sync stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::wire(data));
