//! The recovery phrase: 24 English words of BIP-39 that spell an account's root seed.
//!
//! The seed is the entropy of the phrase itself (no BIP-39 passphrase, no stretching). Errors name the place of a wrong
//! word, never the word: a nearly right phrase must not end in a log.

use bip39::{Language, Mnemonic};
use zeroize::Zeroizing;

use crate::account::RootSeed;
use crate::secret::Secret;

/// Words in a phrase.
pub const WORDS: usize = 24;

/// Why a text is no recovery phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// Another number of words than 24.
    #[error("a recovery phrase has {WORDS} words, this has {found}")]
    WordCount {
        /// How many there are.
        found: usize,
    },
    /// A word that is not on the list.
    #[error("word {position} is not on the word list")]
    UnknownWord {
        /// Its place, counted from 1.
        position: usize,
    },
    /// All words are on the list but do not belong together: one was swapped, or their order.
    #[error("the words do not belong together: one is wrong or out of order")]
    Checksum,
}

/// Spells a seed: 24 words with single spaces. Wiped when dropped.
pub fn spell(seed: &RootSeed) -> Zeroizing<String> {
    #[allow(clippy::expect_used, reason = "256 bits are an allowed size of entropy")]
    let mnemonic = Mnemonic::from_entropy_in(Language::English, seed.secret().expose()).expect("32 bytes of entropy");
    let mut text = Zeroizing::new(String::with_capacity(WORDS * 9));
    for word in mnemonic.words() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

/// Reads a phrase in any case and with any white space.
///
/// # Errors
/// [`PhraseError`] says what is wrong, and where.
pub fn parse(text: &str) -> Result<RootSeed, PhraseError> {
    let found = text.split_whitespace().count();
    if found != WORDS {
        return Err(PhraseError::WordCount { found });
    }
    let mut normal = Zeroizing::new(String::with_capacity(text.len() + 1));
    for (i, word) in text.split_whitespace().enumerate() {
        if i > 0 {
            normal.push(' ');
        }
        normal.extend(word.chars().map(|c| c.to_ascii_lowercase()));
    }
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &normal).map_err(|error| match error {
        bip39::Error::UnknownWord(index) => PhraseError::UnknownWord { position: index + 1 },
        _ => PhraseError::Checksum,
    })?;
    let (entropy, _) = mnemonic.to_entropy_array();
    let entropy = Zeroizing::new(entropy);
    Ok(RootSeed::from_secret(Secret::fill(|out| out.copy_from_slice(&entropy[..32]))))
}
