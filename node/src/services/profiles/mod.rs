//! The profiles service: what people tell of themselves, and what we tell of ourselves.
//!
//! | part | does |
//! |---|---|
//! | [`people`] | what others told us, a line for each of their devices and rooms, put there by the rooms; names to show |
//! | [`handle`] | what others may ask of the service |
//! | [`actor`] | owns our own profile: changes it, and takes what our other devices told |
//! | [`portrait`] | pictures: made small, and made anew of what others sent |
//!
//! What goes to whom is decided in `parlor_proto::profile`; the rooms write the records
//! (`node/src/services/rooms/profiles.rs`). The format is in `docs/spec/profiles.md`.

mod actor;
mod handle;
mod people;
mod portrait;

pub(crate) use actor::{Parts, run};
pub(crate) use handle::{Kept, Profiles, restored};
pub(crate) use people::{Name, Told};
