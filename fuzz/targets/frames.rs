//! Fuzz target: bytes as what a stream of the network brings.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::frames::frames(data));
