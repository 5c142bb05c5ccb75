//! Contacts in the words of the API.

use parlor_api::{Code, Contact as View, ContactState, Problem, Safety};
use parlor_proto::AccountId;
use parlor_proto::contact::{BookError, Contact, Stage, safety_number};

use crate::bus::rfc3339;

/// Hexadecimal digits of an account id that stand for a name nobody knows.
const NAMELESS: usize = 8;

/// What a QR code for comparing begins with.
const SAFETY_QR: &str = "PARLOR SAFETY ";

/// Digits of a safety number.
const SAFETY_DIGITS: usize = 60;

/// A contact, with the id of the direct chat if there is one, and whether a letter of ours lies in its inbox.
pub(super) fn view(contact: &Contact, room: Option<String>, mailed: bool) -> View {
    let (text, asked_at) = match &contact.stage {
        Stage::Asking { text, at_ms, .. } if !contact.blocked => (Some(text.clone()), Some(rfc3339(*at_ms))),
        _ => (None, None),
    };
    View {
        account: contact.id().to_string(),
        name: name(contact),
        own_name: contact.name.clone(),
        state: state(contact),
        verified: contact.trust.holds(),
        verified_at: contact.trust.verified_ms().map(rfc3339),
        changed_at: contact.trust.changed_ms().map(rfc3339),
        blocked: contact.blocked,
        text,
        asked_at,
        room,
        mailed,
        since: rfc3339(contact.since_ms),
    }
}

/// How far we are with a contact.
pub(super) fn state(contact: &Contact) -> ContactState {
    match contact.stage {
        Stage::Asked(_) => ContactState::Asked,
        Stage::Asking { .. } if !contact.blocked => ContactState::Asking,
        Stage::Mutual => ContactState::Contact,
        // What somebody asked who is blocked waits, and nobody is shown it.
        Stage::Asking { .. } | Stage::Known => ContactState::Known,
    }
}

/// What people see of a contact.
pub(super) fn name(contact: &Contact) -> String {
    let shown = contact.shown();
    if shown.is_empty() { contact.id().to_string().chars().take(NAMELESS).collect() } else { shown.to_owned() }
}

/// The safety number between us and somebody.
pub(super) fn safety(us: &AccountId, account: &AccountId, name: String, contact: Option<&Contact>) -> Safety {
    let number = safety_number(us, account);
    Safety {
        account: account.to_string(),
        name,
        qr: format!("{SAFETY_QR}{}", number.replace(' ', "")),
        safety_number: number,
        verified: contact.is_some_and(|contact| contact.trust.holds()),
        changed_at: contact.and_then(|contact| contact.trust.changed_ms()).map(rfc3339),
    }
}

/// The digits of a safety number that the other side shows: as its QR code says them, or as people write them. Nothing if it
/// is none, such as the code of a card.
pub(super) fn read_number(shown: &str) -> Option<String> {
    let shown = shown.trim();
    let digits = shown.strip_prefix(SAFETY_QR).unwrap_or(shown);
    let digits: String = digits.chars().filter(|c| !c.is_whitespace()).collect();
    (digits.len() == SAFETY_DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
}

/// What the book does not do, for people.
pub(super) fn problem(error: &BookError) -> Problem {
    match error {
        BookError::Unknown => Problem::of(Code::ContactNotFound),
        BookError::Blocked => Problem::of(Code::Blocked),
        BookError::Name => Problem::new(Code::TooLong, "the name is too long").hint("a name has at most 64 bytes"),
        BookError::Full => Problem::new(Code::Conflict, "the book of contacts is full").hint("remove somebody first"),
        BookError::Ourselves => Problem::new(Code::BadRequest, "this is your own account").hint("name somebody else"),
        other => {
            Problem::new(Code::BadRequest, other.to_string()).hint("parlor contact list shows who is in your book")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safety_number_is_read_as_shown_and_nothing_else_is_taken_for_one() {
        let number = safety_number(&AccountId([1; 32]), &AccountId([2; 32]));
        let digits = number.replace(' ', "");
        for shown in [number.clone(), digits.clone(), format!(" {SAFETY_QR}{digits}\n")] {
            assert_eq!(read_number(&shown).as_ref(), Some(&digits), "{shown}");
        }
        let card = format!("PARLOR://CONTACT/1/{digits}");
        for other in ["", "12345", &digits[1..], &format!("{digits}1"), &format!("{digits}A"), &card] {
            assert_eq!(read_number(other), None, "{other}");
        }
    }
}
