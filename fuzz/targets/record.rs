//! Fuzz target: bytes as a marker, a binding or a leaf record.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::record(data));
