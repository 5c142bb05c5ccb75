//! What calls the user, and what of him others see: his settings, and notifications.
//!
//! [`Attention`] holds the settings, for everybody to ask; only [`App`](crate::App) changes them, after they are on disk. [`run`] is
//! one more window on the node: it follows the events, asks the machine [`notices`] which of them call, and shows what that says as
//! events `notification` and, if this was built in and is wanted, on the desktop ([`desktop`]). Counting what is unread is left to
//! the rooms. What a user is promised is in `docs/spec/attention.md`.

mod actor;
mod asked;
mod desktop;
mod notices;
mod quiet;
mod settings;
mod words;

pub(crate) use actor::{Parts, run};
pub(crate) use asked::calling;
pub use quiet::Quiet;
pub use settings::Chosen;
pub(crate) use settings::{Attention, Desktop, NAME as SETTINGS, hours};
