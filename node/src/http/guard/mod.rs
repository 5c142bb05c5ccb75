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

pub(crate) use deadline::deadline;
pub(crate) use host::host;
pub(crate) use log::log;
pub(crate) use origin::origin;
pub(crate) use scope::{Gate, scope};
pub(crate) use token::{token, token_locked_too, token_or_link, token_or_ticket};
