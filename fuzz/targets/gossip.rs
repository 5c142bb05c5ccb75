//! Fuzz target: bytes as a frame of a topic, wrapped and unwrapped.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::decode::gossip(data));
