//! What the store promises, tested through its public face: by use, by model, by killing it, by damaging its files and
//! by filling its disk.

mod canary;
mod common;
mod corrupt;
mod disk;
mod kill;
mod model;
mod promises;
