//! `parlor config …`: what your account shows of itself, and how it wants to be called.

use clap::ValueEnum;
use parlor_api::{Code, Notify, Problem, Settings, Stance, UpdateSettings};
use ureq::http::Method;

use crate::client::Client;
use crate::out::{Done, Out};

/// What to do with the settings.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show one setting, or all
    Get {
        /// Which
        key: Option<Key>,
    },
    /// Change a setting
    #[command(after_help = "Settings:
  receipts  on, off                   authors learn that you read their messages
  typing    on, off                   others see that you type
  presence  here, away, hidden        how others see you while your node is connected
  notify    off, count, names, text   what notifications tell
  quiet     22:00-07:00, off          hours without notifications, by the clock of the node's machine")]
    Set {
        /// Which
        key: Key,
        /// To what
        value: String,
    },
}

/// A setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Key {
    /// Whether authors learn that you read their messages
    Receipts,
    /// Whether others see that you type
    Typing,
    /// How others see you while your node is connected
    Presence,
    /// What notifications tell
    Notify,
    /// Hours without notifications
    Quiet,
}

/// Runs it.
///
/// # Errors
/// `usage` for what is no value of the setting; what the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Get { key } => show(&node.get("/settings")?, key, out),
        Command::Set { key, value } => {
            let settings: Settings = node.send(Method::PATCH, "/settings", &update(key, value)?)?;
            show(&settings, Some(key), out)
        }
    }
}

fn update(key: Key, value: String) -> Result<UpdateSettings, Problem> {
    let mut update = UpdateSettings::default();
    match key {
        Key::Receipts => update.receipts = Some(one_of(&value, &[("on", true), ("off", false)])?),
        Key::Typing => update.typing = Some(one_of(&value, &[("on", true), ("off", false)])?),
        Key::Presence => {
            let all = [Stance::Here, Stance::Away, Stance::Hidden].map(|stance| (stance.name(), stance));
            update.presence = Some(one_of(&value, &all)?);
        }
        Key::Notify => {
            let all = [Notify::Off, Notify::Count, Notify::Names, Notify::Text].map(|notify| (notify.name(), notify));
            update.notify = Some(one_of(&value, &all)?);
        }
        Key::Quiet => update.quiet = Some(value),
    }
    Ok(update)
}

fn one_of<T: Copy>(value: &str, all: &[(&str, T)]) -> Result<T, Problem> {
    let found = all.iter().find(|(name, _)| *name == value).map(|(_, it)| *it);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        Problem::new(Code::Usage, format!("`{value}` is no value of this setting"))
            .hint(format!("one of: {}", names.join(", ")))
    })
}

fn show(settings: &Settings, key: Option<Key>, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(settings);
    }
    let switch = |on: bool| if on { "on" } else { "off" };
    let rows = [
        (Key::Receipts, "receipts", switch(settings.receipts)),
        (Key::Typing, "typing", switch(settings.typing)),
        (Key::Presence, "presence", settings.presence.name()),
        (Key::Notify, "notify", settings.notify.name()),
        (Key::Quiet, "quiet", settings.quiet.as_deref().unwrap_or("off")),
    ];
    match key {
        Some(key) => rows.iter().filter(|(of, ..)| *of == key).try_for_each(|(_, _, value)| out.line(value)),
        None => rows.iter().try_for_each(|(_, name, value)| out.line(format!("{name:<9} {value}"))),
    }
}
