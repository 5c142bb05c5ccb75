//! Fuzz target: bytes as a profile, a picture of one, what one says, and a text of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::profile(data));
