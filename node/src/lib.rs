//! Joins the parts: services, local API, web UI served.

pub mod app;
pub mod bus;
pub mod config;
pub mod home;
pub mod http;
pub mod launch;

pub use app::App;
pub use config::{Config, Passphrase};
pub use home::Home;
pub use launch::{NewAccount, Running, init_account, start};
