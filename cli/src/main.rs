//! The parlor program: commands and terminal UI.

fn main() {}
