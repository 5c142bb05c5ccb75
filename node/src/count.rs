//! A number of things, in words.

use std::fmt::Display;

/// `1 room`, `0 rooms`, `2 rooms`: `one` is what a single one is called, `many` what several are.
pub fn count<N: Display + PartialEq + From<u8>>(number: N, one: &str, many: &str) -> String {
    let called = if number == N::from(1) { one } else { many };
    format!("{number} {called}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_thing_is_not_called_as_several_are() {
        let said: Vec<_> = [0_u64, 1, 2, 21].map(|n| count(n, "person", "people")).into();
        assert_eq!(said, ["0 people", "1 person", "2 people", "21 people"]);
    }
}
