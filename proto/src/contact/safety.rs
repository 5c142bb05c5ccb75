//! Safety numbers: 60 digits that two people compare, 30 for each account.
//!
//! `digits(A)` = for each of the first six groups of 5 bytes of `H("safety", A)`: the number (big-endian) modulo 100,000, as
//! five digits. The number of two accounts is the digits of both, the smaller first, so both see the same. An account
//! keeps its digits for ever: they say who somebody is, not by which devices.

use parlor_crypto::hash::SAFETY;

use crate::ids::AccountId;

/// Digits a group.
const GROUP: usize = 5;
/// Groups an account.
const GROUPS: usize = 6;

/// The safety number of two accounts, in groups of five digits with a space between them.
pub fn safety_number(one: &AccountId, other: &AccountId) -> String {
    let mut both = [digits(one), digits(other)];
    both.sort_unstable();
    both.concat().join(" ")
}

fn digits(account: &AccountId) -> Vec<String> {
    let hash: [u8; 32] = SAFETY.hash(&[&account.0]);
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) % 100_000;
    hash.chunks_exact(GROUP).take(GROUPS).map(|bytes| format!("{:05}", number(bytes))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_see_the_same_sixty_digits_and_nobody_else_does() {
        let [a, b, c] = [1, 2, 3].map(|n| AccountId([n; 32]));
        let number = safety_number(&a, &b);
        assert_eq!(number, safety_number(&b, &a));
        assert_eq!(number.len(), 60 + 11);
        assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 60);
        assert_ne!(number, safety_number(&a, &c));
    }

    #[test]
    fn the_number_is_the_one_of_the_page() {
        assert_eq!(safety_number(&AccountId([1; 32]), &AccountId([2; 32])), VECTOR);
    }

    /// In `docs/spec/contacts.md`.
    const VECTOR: &str = "61959 64353 94254 84957 58175 72726 94567 00341 36196 94543 71500 34788";
}
