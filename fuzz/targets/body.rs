//! Fuzz target: bytes as what is inside a message.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::body(data));
