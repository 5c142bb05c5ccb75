//! Groups and invitations as clients see them.

use parlor_api::{Author, Code, GroupAsks, GroupInvitation, GroupPerson, GroupState, Problem};
use parlor_proto::AccountId;

use super::book::{Book, Known, State, Why};
use crate::app::Answer;
use crate::bus::rfc3339;
use crate::limits::ID_PREFIX_MIN;
use crate::services::contacts::Contacts;

/// Somebody of a group.
pub(crate) fn person(contacts: &Contacts, account: &AccountId, state: GroupState) -> GroupPerson {
    GroupPerson {
        account: account.to_string(),
        name: contacts.shown(account).unwrap_or_default(),
        state,
        contact: contacts.is_mutual(account),
        blocked: contacts.is_blocked(account),
    }
}

/// An invitation that waits; `None` for a group of another state.
pub(super) fn invitation(contacts: &Contacts, me: &AccountId, known: &Known) -> Option<GroupInvitation> {
    let State::Asked { by, why, .. } = &known.state else { return None };
    let others = known.people.iter().filter(|account| *account != me);
    Some(GroupInvitation {
        room: known.room.to_string(),
        name: known.name.clone(),
        by: Author { account: by.to_string(), name: contacts.shown(by).unwrap_or_default() },
        people: others.map(|account| person(contacts, account, GroupState::Invited)).collect(),
        why: match why {
            Why::NoContact => GroupAsks::NoContact,
            Why::Blocked => GroupAsks::Blocked,
            Why::Left => GroupAsks::Left,
            Why::Many => GroupAsks::Many,
        },
        at: rfc3339(known.at_ms),
    })
}

/// The invitation of those that are `meant` which the user names: by the room, a unique beginning of it, or the name.
///
/// # Errors
/// `invite_not_found`, `ambiguous`.
pub(super) fn named<'a>(book: &'a Book, text: &str, meant: impl Fn(&Known) -> bool) -> Answer<&'a Known> {
    let lower = text.to_ascii_lowercase();
    let begins = |known: &Known| text.len() >= ID_PREFIX_MIN && known.room.to_string().starts_with(&lower);
    let found: Vec<&Known> =
        book.iter().filter(|known| meant(known)).filter(|known| known.name == text || begins(known)).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Problem::new(Code::InviteNotFound, "no invitation into a group waits by this name")
            .hint("parlor group list shows those that wait")),
        several => {
            let line = |known: &&Known| format!("{} ({})", &known.room.to_string()[..16], known.name);
            let lines: Vec<_> = several.iter().take(5).map(line).collect();
            Err(Problem::new(Code::Ambiguous, "more than one invitation fits")
                .hint(format!("name the room: {}", lines.join(", "))))
        }
    }
}
