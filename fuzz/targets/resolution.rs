//! Fuzz target: random hostile histories: the incremental resolver is the one from scratch.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::history::resolution(data));
