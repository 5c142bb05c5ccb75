//! Notifications on the desktop, by what the system offers: on Linux and the BSDs the session bus.
//!
//! Asking the bus may take any time, so a thread of its own does it; what comes while it is busy and [`DESKTOP_QUEUE`] is full is not
//! shown. Where there is no desktop nothing happens but a note for the doctor. Without the feature `desktop` there is none anywhere.

use parlor_api::Notification;

use super::settings::Attention;

/// What the desktop is to do.
#[cfg_attr(not(feature = "desktop"), allow(dead_code, reason = "nobody shows it"))]
pub(super) enum Shown {
    /// Show it, in place of what was shown of its room.
    Show(Notification),
    /// Take away what was shown of a room.
    Withdraw(String),
}

/// The way to the desktop.
#[cfg(not(feature = "desktop"))]
pub(super) struct Desktop;

#[cfg(not(feature = "desktop"))]
impl Desktop {
    /// There is none.
    pub(super) fn new(_: Attention) -> Self {
        Self
    }

    /// Nothing is shown.
    #[allow(clippy::unused_self, reason = "with the feature it is used")]
    pub(super) fn tell(&mut self, _: Shown) {}
}

/// The way to the desktop. The thread begins with the first notification: a node on a server has none.
#[cfg(feature = "desktop")]
pub(super) struct Desktop {
    attention: Attention,
    sender: Option<std::sync::mpsc::SyncSender<Shown>>,
}

#[cfg(feature = "desktop")]
impl Desktop {
    /// Looks whether there is one, without asking it anything.
    pub(super) fn new(attention: Attention) -> Self {
        if attention.desktop() == super::settings::Desktop::Unknown && !bus::may_be_there() {
            attention.note_desktop(super::settings::Desktop::Nobody);
        }
        Self { attention, sender: None }
    }

    /// Has something done; it is left when there is no desktop, or when too much waits.
    pub(super) fn tell(&mut self, shown: Shown) {
        use super::settings::Desktop as State;
        if matches!(self.attention.desktop(), State::Off) || !bus::may_be_there() {
            return;
        }
        if self.sender.is_none() && matches!(shown, Shown::Show(_)) {
            let (sender, inbox) = std::sync::mpsc::sync_channel(crate::limits::DESKTOP_QUEUE);
            let attention = self.attention.clone();
            let serve = move || bus::serve(&inbox, &attention);
            match std::thread::Builder::new().name("desktop".to_owned()).spawn(serve) {
                Ok(_) => self.sender = Some(sender),
                Err(error) => tracing::warn!(%error, "no notifications on the desktop"),
            }
        }
        if let Some(sender) = &self.sender {
            let _ = sender.try_send(shown);
        }
    }
}

#[cfg(feature = "desktop")]
mod bus {
    use std::collections::HashMap;
    use std::sync::mpsc::Receiver;

    use notify_rust::{Notification as Bubble, NotificationHandle};
    use parlor_api::Notification;

    use super::Shown;
    use crate::services::attention::settings::{Attention, Desktop};

    pub(super) fn serve(inbox: &Receiver<Shown>, attention: &Attention) {
        let mut handles: HashMap<String, NotificationHandle> = HashMap::new();
        while let Ok(shown) = inbox.recv() {
            match shown {
                Shown::Withdraw(room) => drop(handles.remove(&room).map(close)),
                Shown::Show(notification) => {
                    let room = notification.room.clone().unwrap_or_default();
                    match bubble(&notification, handles.get(&room)).show() {
                        Ok(handle) => {
                            attention.note_desktop(Desktop::Works);
                            handles.insert(room, handle);
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a notification was not shown");
                            attention.note_desktop(Desktop::Nobody);
                        }
                    }
                }
            }
        }
    }

    fn bubble(notification: &Notification, before: Option<&NotificationHandle>) -> Bubble {
        let mut bubble = Bubble::new();
        bubble.appname("Parlor").summary(&notification.title).body(&escaped(&notification.body));
        #[cfg(all(unix, not(target_os = "macos")))]
        {
            bubble.hint(notify_rust::Hint::Category("im.received".to_owned()));
            if let Some(before) = before {
                bubble.id(before.id());
            }
        }
        #[cfg(not(all(unix, not(target_os = "macos"))))]
        let _ = before;
        bubble
    }

    /// Whether a session bus is named, or stands where it stands by custom.
    #[cfg(all(unix, not(target_os = "macos")))]
    pub(super) fn may_be_there() -> bool {
        let named = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
        let custom = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| std::path::Path::new(&dir).join("bus"));
        named || custom.is_some_and(|bus| bus.exists())
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    pub(super) fn may_be_there() -> bool {
        true
    }

    #[cfg(all(unix, not(target_os = "macos")))]
    fn close(handle: NotificationHandle) {
        handle.close();
    }

    #[cfg(not(all(unix, not(target_os = "macos"))))]
    fn close(_: NotificationHandle) {}

    /// The body of a bubble may be marked up: text of others is not.
    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn text_of_others_is_no_markup() {
            assert_eq!(escaped("<a href=\"x\">&amp;</a>"), "&lt;a href=\"x\"&gt;&amp;amp;&lt;/a&gt;");
        }
    }
}
