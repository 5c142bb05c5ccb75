//! Who may use a relay that is not open: whoever knows its access token.
//!
//! ```text
//! relay text   ADDRESS  or  ADDRESS?token=TOKEN         ADDRESS a multiaddress that ends in /p2p/<relay>
//! ```
//! The token is shown on a line (`/parlor/mailbox/1`, `/parlor/directory/1`), which is encrypted to the relay whose key
//! stands in the address, and to nobody else. It is as good as a password for the relay's resources; it opens no content.
//! The rules are in `docs/spec/relay.md`.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Shortest token: below, it could be guessed by trying.
pub const MIN_TOKEN: usize = 8;
/// Longest token.
pub const MAX_TOKEN: usize = 128;

/// What a relay that is not open asks for. Wiped when dropped, never shown, compared in constant time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessToken(Zeroizing<String>);

/// Text that is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token has {MIN_TOKEN} to {MAX_TOKEN} letters, digits, `-`, `_` or `.`")]
pub struct TokenError;

impl AccessToken {
    /// A token from its text.
    ///
    /// # Errors
    /// [`TokenError`] for text that is too short, too long, or would not survive in an address.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let fits = (MIN_TOKEN..=MAX_TOKEN).contains(&text.len());
        if plain && fits { Ok(Self(Zeroizing::new(text.to_owned()))) } else { Err(TokenError) }
    }

    /// The text: to be sent to the relay, and stored where it is as safe as a password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether somebody showed this token. Takes as long for a wrong one as for the right one of its length.
    pub fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(shown).fold(0, |acc, (a, b)| acc | (a ^ b));
        std::hint::black_box(differing) == 0 && own.len() == shown.len()
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.is(other.0.as_bytes())
    }
}

impl Eq for AccessToken {}

impl TryFrom<String> for AccessToken {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        Self::parse(&Zeroizing::new(text))
    }
}

impl From<AccessToken> for String {
    fn from(token: AccessToken) -> Self {
        token.expose().to_owned()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// Splits the text by which people name a relay into its address and the token it carries.
///
/// # Errors
/// [`TokenError`] when there is something after the address that is no token.
pub fn split(text: &str) -> Result<(&str, Option<AccessToken>), TokenError> {
    match text.split_once('?') {
        None => Ok((text, None)),
        Some((address, query)) => {
            let token = query.strip_prefix("token=").ok_or(TokenError)?;
            Ok((address, Some(AccessToken::parse(token)?)))
        }
    }
}

/// The text by which people name a relay: what [`split`] takes apart.
pub fn join(address: &str, token: Option<&AccessToken>) -> String {
    match token {
        None => address.to_owned(),
        Some(token) => format!("{address}?token={}", token.expose()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/dns4/relay.example/tcp/4001/p2p/12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD";

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = AccessToken::parse("correct-horse").unwrap();
        assert!(token.is(b"correct-horse"));
        for wrong in ["correct-house", "correct-hors", "correct-horses", ""] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn the_text_of_a_relay_comes_back_with_its_token() {
        let token = AccessToken::parse("correct-horse").unwrap();
        assert_eq!(split(RELAY), Ok((RELAY, None)));
        let text = join(RELAY, Some(&token));
        assert_eq!(split(&text), Ok((RELAY, Some(token))));
        assert_eq!(join(RELAY, None), RELAY);
    }

    #[test]
    fn what_is_no_token_is_refused_and_none_is_shown() {
        for wrong in ["short", "with space", "wörter-und-mehr", "a/b/c/d/e/f", &"a".repeat(129), ""] {
            assert_eq!(AccessToken::parse(wrong), Err(TokenError), "{wrong}");
        }
        assert_eq!(split("/ip4/127.0.0.1/tcp/1?key=abcdefgh"), Err(TokenError));
        assert_eq!(split("/ip4/127.0.0.1/tcp/1?token=short"), Err(TokenError));
        let token = AccessToken::parse("correct-horse").unwrap();
        assert!(!format!("{token:?}").contains("horse"));
    }
}
