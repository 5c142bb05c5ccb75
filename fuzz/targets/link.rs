//! Fuzz target: text as an invite link.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::doors::link(data));
