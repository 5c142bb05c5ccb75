//! What a notification says: as much as the settings let it, without tricks of those who wrote it.

use parlor_api::{Notification, Notify};

use super::notices::Notice;
use crate::count::count;

/// Longest name in a notification, in characters.
const NAME_MAX: usize = 40;
/// Longest text in a notification, in characters.
const TEXT_MAX: usize = 160;

/// The notification of a notice, about a room of this name.
pub(super) fn notification(notice: &Notice, room_name: &str, notify: Notify) -> Notification {
    let many = count(notice.count, "new message", "new messages");
    let many = match notice.mentions {
        0 => many,
        _ if notice.count == 1 => "1 new message that mentions you".to_owned(),
        n => format!("{many}, {}", count(n, "mentions you", "mention you")),
    };
    let (title, body) = match (notify, &notice.newest) {
        (Notify::Count | Notify::Off, _) => ("Parlor".to_owned(), many),
        (_, None) => ("Parlor".to_owned(), format!("{many} in {}", count(notice.rooms, "room", "rooms"))),
        (Notify::Names, Some(newest)) => {
            (plain(room_name, NAME_MAX), format!("{}: {many}", plain(&newest.author, NAME_MAX)))
        }
        (Notify::Text, Some(newest)) => {
            let said = format!("{}: {}", plain(&newest.author, NAME_MAX), plain(&newest.text, TEXT_MAX));
            let body = if notice.count == 1 { said } else { format!("{said} ({many})") };
            (plain(room_name, NAME_MAX), body)
        }
    };
    Notification {
        room: notice.newest.as_ref().map(|newest| newest.room.clone()),
        message: notice.newest.as_ref().map(|newest| newest.message.clone()),
        count: notice.count,
        mentions: notice.mentions,
        title,
        body,
    }
}

/// The notification of a device that came to the own account.
pub(super) fn of_device(name: &str, notify: Notify) -> Notification {
    let body = match notify {
        Notify::Names | Notify::Text if !name.is_empty() => {
            format!("{}: if it is not yours, revoke it", plain(name, NAME_MAX))
        }
        _ => "If it is not yours, revoke it".to_owned(),
    };
    let title = "A new device of your account".to_owned();
    Notification { room: None, message: None, count: 0, mentions: 0, title, body }
}

/// Text of others in one short line: without control characters, and without those that turn or hide what stands around them.
fn plain(text: &str, max: usize) -> String {
    let mut line = String::new();
    let mut n_chars = 0;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    for word in
        words.map(|word| word.chars().filter(|c| !is_trick(*c)).collect::<String>()).filter(|word| !word.is_empty())
    {
        if n_chars > 0 {
            line.push(' ');
            n_chars += 1;
        }
        for c in word.chars() {
            if n_chars == max {
                line.push('…');
                return line;
            }
            line.push(c);
            n_chars += 1;
        }
    }
    line
}

fn is_trick(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::super::notices::Call;
    use super::*;

    fn notice(count: u64, mentions: u64, text: &str) -> Notice {
        let newest = Call {
            room: "r".into(),
            message: "m".into(),
            order: "1".into(),
            mention: mentions > 0,
            sent_ms: 0,
            author: "Bob".into(),
            text: text.into(),
        };
        Notice { newest: Some(newest), rooms: 1, count, mentions }
    }

    #[test]
    fn a_notification_says_no_more_than_it_may() {
        let said = |notify, count| {
            let it = notification(&notice(count, 1, "the plan is ready"), "Secret club", notify);
            format!("{} | {}", it.title, it.body)
        };
        assert_eq!(said(Notify::Count, 1), "Parlor | 1 new message that mentions you");
        assert_eq!(said(Notify::Count, 3), "Parlor | 3 new messages, 1 mentions you");
        assert_eq!(said(Notify::Names, 3), "Secret club | Bob: 3 new messages, 1 mentions you");
        assert_eq!(said(Notify::Text, 1), "Secret club | Bob: the plan is ready");
        for hiding in [Notify::Off, Notify::Count] {
            let text = said(hiding, 2);
            assert!(!text.contains("club") && !text.contains("Bob") && !text.contains("plan"), "{text}");
        }
        assert!(!said(Notify::Names, 2).contains("plan"));
    }

    #[test]
    fn tricks_of_a_text_do_nothing_in_a_notification() {
        let text = "one\u{1b}[31m\r\n\ttwo \u{202e}eerht\u{200b} \u{7}";
        let it = notification(&notice(1, 0, text), "na\u{202d}me\n", Notify::Text);
        assert_eq!((it.title.as_str(), it.body.as_str()), ("name", "Bob: one [31m two eerht"));
        let long = notification(&notice(1, 0, &"x".repeat(9_000)), "r", Notify::Text);
        assert_eq!(long.body.chars().count(), "Bob: ".len() + TEXT_MAX + 1);
    }
}
