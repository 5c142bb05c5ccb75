//! The local API over HTTP.
