//! The harness of tests that need whole nodes: real `parlor` processes, each with a home of its own, on loopback.
//!
//! A test is a story about people: [`Person::start`] makes an account and runs its node, [`Person::cli`] types a command,
//! and the story waits with [`eventually`], never with a sleep. Tests call the methods here and not the command line's
//! JSON, so that a change of an interface changes one line. Every process ends with its person; when a test fails, the
//! logs of all its nodes are printed.
//!
//! What a rule says is tested in `proto` with the simulator. Here is tested that the parts together keep the promise.

mod answer;
mod canary;
mod capture;
mod contact;
#[cfg(target_os = "linux")]
pub mod lab;
mod patience;
mod person;
mod program;
mod relay;
mod rights;
mod room;

pub use answer::Answer;
pub use canary::{Canaries, each_file, each_stretch};
pub use capture::Capture;
pub use patience::{DEADLINE, eventually};
pub use person::{Options, Person, Stream};
pub use program::{program, run_to_end};
pub use relay::Relay;
pub use rights::left_out;
pub use room::Message;
