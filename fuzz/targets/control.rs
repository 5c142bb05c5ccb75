//! Fuzz target: bytes as the payload of a control event of each kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::control(data));
