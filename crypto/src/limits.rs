//! Every bound of this crate, each with its reason.

/// Highest generation of a sender chain in one slice. A jump to it costs about 15 ms, so that a hostile generation
/// cannot hold a thread (attack 25).
pub const MAX_GENERATION: u32 = 65_535;

/// Highest slice of an epoch. An epoch lasts at most some days and a slice ends at an admission or after a day, so real
/// epochs stay far below; the bound keeps a hostile number from costing more than a jump along a sender chain.
pub const MAX_SLICE: u32 = 65_535;

/// Longest device name in bytes: one line on any screen.
pub const MAX_DEVICE_NAME: usize = 64;

/// Longest encoded fence in a device revocation, in bytes: eight rooms' worth of log positions still fit a control event.
pub const MAX_FENCE: usize = 4096;

/// Longest passphrase in bytes: Argon2id hashes it once, this only keeps an accident (a pasted file) out.
pub const MAX_PASSPHRASE: usize = 4096;

/// Most memory a vault file may ask Argon2id for, in KiB (1 GiB): a foreign file must not exhaust the machine.
pub const MAX_ARGON2_MEMORY_KIB: u32 = 1 << 20;

/// Most Argon2id passes a vault file may ask for: with the most memory this is about half a minute.
pub const MAX_ARGON2_PASSES: u32 = 32;

/// Most Argon2id lanes a vault file may ask for.
pub const MAX_ARGON2_LANES: u32 = 16;
