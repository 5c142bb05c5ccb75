//! Fuzz target: a hostile client at a relay's session, a hostile relay at our client, and bytes as a bundle.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| parlor_fuzz::mailbox::mailbox(data));
