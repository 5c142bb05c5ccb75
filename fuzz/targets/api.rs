//! Fuzz target: bytes as the body of a request of the local API.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::stored::api(data));
