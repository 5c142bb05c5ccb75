//! What the fuzz targets do with their bytes; `targets/` holds one short program for each.
//!
//! A target that decodes promises, for every byte string: no panic, time bounded by the size, and what is accepted encodes
//! to the same bytes again (attack 28). Where a signature or a hash would stop every mutation at the gate, the target also
//! makes the bytes good: it signs what decodes with a key of its own, so that what lies behind is reached.
//!
//! `cargo xtask fuzz [TARGET]` runs them, from `seeds/` (kept small, written by `src/bin/seeds.rs`) and `corpus/` (what
//! earlier runs found, not kept).

pub mod decode;
pub mod disk;
pub mod doors;
pub mod forge;
pub mod frames;
pub mod history;
pub mod input;
#[path = "../../net/src/limits.rs"]
#[allow(dead_code, reason = "of the network only the version is used")]
pub(crate) mod limits;
pub mod mailbox;
pub mod people;
pub mod stored;
pub mod streams;
