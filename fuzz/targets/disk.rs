//! Fuzz target: bytes as rows, journal and mark of the store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::disk::disk(data));
