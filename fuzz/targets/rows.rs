//! Fuzz target: bytes as a page of rows of an epoch.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::rows(data));
