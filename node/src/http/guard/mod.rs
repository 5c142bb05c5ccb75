//! What stands before every route, from outside to inside: [`log`], [`host`], [`origin`], [`token`], [`scope`],
//! [`deadline`].
//!
//! Nothing of a request is read but its head before it passed [`host`] and [`origin`]; nothing is done before it passed
//! [`token`]. No answer has a CORS header, so a browser lets no other page read one.

mod deadline;
mod host;
mod log;
mod origin;
mod scope;
mod token;

pub use deadline::deadline;
pub use host::host;
pub use log::log;
pub use origin::origin;
pub use scope::scope;
pub use token::{token, token_or_ticket};
