//! Fuzz target: bytes as a knock, an answer and a welcome.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::doors::join(data));
