//! The settings of attention: what was chosen here, over what `config.toml` says, over defaults.
//!
//! The lock is held for a few lines, never over an await.

use std::sync::{Arc, PoisonError, RwLock};

use parlor_api::{Code, Notify, Problem, Settings, Stance, UpdateSettings};
use parlor_proto::presence;
use parlor_storage::{Batch, Namespace, Store};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::quiet::Quiet;
use crate::home_damaged;
use crate::limits::SETTINGS_INBOX;

/// Name of what is stored.
pub(crate) const NAME: &[u8] = b"attention";

/// What was chosen, in one place: by the file, or over the API. What is absent was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Chosen {
    /// Whether authors learn that we read their messages.
    pub receipts: Option<bool>,
    /// Whether others see that we type.
    pub typing: Option<bool>,
    /// How others see us.
    pub presence: Option<Stance>,
    /// What notifications tell.
    pub notify: Option<Notify>,
    /// Quiet hours, or none.
    pub quiet: Option<Option<Quiet>>,
}

/// Whether notifications reach the desktop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Desktop {
    /// Not built in, or not wanted by who runs the node.
    #[default]
    Off,
    /// Not tried yet.
    Unknown,
    /// The last one did.
    #[cfg_attr(not(feature = "desktop"), allow(dead_code, reason = "nobody shows them"))]
    Works,
    /// There is nobody to show them.
    Nobody,
}

/// The settings. Clones are the same.
#[derive(Clone)]
pub(crate) struct Attention {
    inner: Arc<Inner>,
}

struct Inner {
    file: Chosen,
    here: RwLock<Chosen>,
    desktop: RwLock<Desktop>,
    inbox: mpsc::Sender<Command>,
}

/// What the owner of the settings is told.
pub(crate) enum Command {
    /// Change them.
    Update(UpdateSettings, oneshot::Sender<Result<Settings, Problem>>),
}

impl Attention {
    /// The settings of a home whose file says `file`, and what their owner is told. Blocks.
    ///
    /// # Errors
    /// `home_damaged`.
    pub(crate) fn load(store: &Store, file: Chosen, desktop: bool) -> Result<(Self, mpsc::Receiver<Command>), Problem> {
        let stored = store.get(None, Namespace::Meta, NAME).map_err(|error| home_damaged(error.to_string()))?;
        let here = match stored {
            None => Chosen::default(),
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| home_damaged(format!("settings: {error}")))?
            }
        };
        let desktop = if desktop { Desktop::Unknown } else { Desktop::Off };
        let (inbox, commands) = mpsc::channel(SETTINGS_INBOX);
        let inner = Inner { file, here: RwLock::new(here), desktop: RwLock::new(desktop), inbox };
        Ok((Self { inner: Arc::new(inner) }, commands))
    }

    /// What holds now.
    pub(crate) fn settings(&self) -> Settings {
        let chosen = self.chosen();
        Settings {
            receipts: chosen.receipts.unwrap_or(true),
            typing: chosen.typing.unwrap_or(true),
            presence: chosen.presence.unwrap_or_default(),
            notify: chosen.notify.unwrap_or_default(),
            quiet: chosen.quiet.flatten().map(|quiet| quiet.to_string()),
        }
    }

    /// Whether authors learn that we read their messages.
    pub(crate) fn receipts(&self) -> bool {
        self.chosen().receipts.unwrap_or(true)
    }

    /// Whether others see that we type.
    pub(crate) fn typing(&self) -> bool {
        self.chosen().typing.unwrap_or(true)
    }

    /// How others see us.
    pub(crate) fn stance(&self) -> presence::Stance {
        match self.chosen().presence.unwrap_or_default() {
            Stance::Here => presence::Stance::Here,
            Stance::Away => presence::Stance::Away,
            Stance::Hidden => presence::Stance::Hidden,
        }
    }

    /// What notifications tell.
    pub(crate) fn notify(&self) -> Notify {
        self.chosen().notify.unwrap_or_default()
    }

    /// Quiet hours, if there are.
    pub(crate) fn quiet(&self) -> Option<Quiet> {
        self.chosen().quiet.flatten()
    }

    /// Whether notifications reach the desktop, as last seen.
    pub(crate) fn desktop(&self) -> Desktop {
        *self.inner.desktop.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether they do.
    #[cfg_attr(not(feature = "desktop"), allow(dead_code, reason = "nobody shows them"))]
    pub(crate) fn note_desktop(&self, desktop: Desktop) {
        *self.inner.desktop.write().unwrap_or_else(PoisonError::into_inner) = desktop;
    }

    /// Changes settings; durable, and in force, when it returns. Cancel safe: what was asked for is done.
    ///
    /// # Errors
    /// `bad_request`; what the disk says.
    pub(crate) async fn update(&self, update: UpdateSettings) -> Result<Settings, Problem> {
        let (reply, answer) = oneshot::channel();
        let stopping = || Problem::of(Code::Stopping);
        self.inner.inbox.send(Command::Update(update, reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    /// As [`update`](Self::update), by the one who owns the settings.
    pub(super) async fn store(&self, store: &Store, update: UpdateSettings) -> Result<Settings, Problem> {
        let quiet = update.quiet.as_deref().map(hours).transpose()?;
        let mut here = self.inner.here.read().unwrap_or_else(PoisonError::into_inner).clone();
        here.receipts = update.receipts.or(here.receipts);
        here.typing = update.typing.or(here.typing);
        here.presence = update.presence.or(here.presence);
        here.notify = update.notify.or(here.notify);
        here.quiet = quiet.or(here.quiet);
        let bytes = serde_json::to_vec(&here).map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
        let mut batch = Batch::new(None);
        batch.put(Namespace::Meta, NAME, bytes);
        store.commit(batch).await.map_err(|error| crate::services::commit_problem(&error))?;
        *self.inner.here.write().unwrap_or_else(PoisonError::into_inner) = here;
        Ok(self.settings())
    }

    fn chosen(&self) -> Chosen {
        let (file, here) = (&self.inner.file, self.inner.here.read().unwrap_or_else(PoisonError::into_inner));
        Chosen {
            receipts: here.receipts.or(file.receipts),
            typing: here.typing.or(file.typing),
            presence: here.presence.or(file.presence),
            notify: here.notify.or(file.notify),
            quiet: here.quiet.or(file.quiet),
        }
    }
}

/// Quiet hours as people write them; `off` is none.
///
/// # Errors
/// `bad_request`.
pub(crate) fn hours(text: &str) -> Result<Option<Quiet>, Problem> {
    if matches!(text.trim(), "off" | "") {
        return Ok(None);
    }
    let wrong = |why: super::quiet::NoHours| Problem::new(Code::BadRequest, why.to_string()).hint("or `off` for none");
    text.parse().map(Some).map_err(wrong)
}
