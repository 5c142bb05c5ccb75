//! What all tests of vectors need: the randomness they are computed with, and the comparison with the files.

use std::path::PathBuf;

use serde_json::Value;

pub(crate) use self::common::{Counting, hex};

#[path = "../../../crypto/tests/common/mod.rs"]
mod common;

/// Compares with the file, or writes it, if `PARLOR_WRITE_VECTORS` says so.
pub(crate) fn agree(name: &str, found: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/spec/vectors").join(name);
    let text = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("PARLOR_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, text, "{name} says otherwise");
}
