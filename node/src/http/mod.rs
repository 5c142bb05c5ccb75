//! The local API over HTTP: `/api/v1/...` on loopback, for every window, script and bot of one user.
//!
//! All routes stand in one table in [`routes`], their
//! handlers in one file a subject; what stands before them is in [`guard`], what they may cost in [`limits`]. Handlers
//! hold no logic: they read the request, ask the `App`, and write its answer or its [`Problem`](parlor_api::Problem).
//!
//! A request passes, in this order: a place among the connections, the deadline for its head, the log line, `Host` (421),
//! `Origin` and `Sec-Fetch-Site` (403), the token (401, 429), its scope (403), the deadline of the handler (504) and the
//! bound of its body (413). Whoever does not read his answer loses his connection.

mod error;
mod guard;
pub mod limits;
mod page;
mod picture;
mod routes;
mod server;
mod socket;
mod stall;
mod tokens;

#[cfg(test)]
mod tests;

pub use routes::openapi;
pub(crate) use routes::{router, waiting};
pub use server::bind;
pub(crate) use server::{Switch, serve};
pub(crate) use tokens::{Grant, Tokens, Who};
