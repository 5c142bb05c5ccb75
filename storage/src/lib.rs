//! The history on disk: the only crate that names sled.
