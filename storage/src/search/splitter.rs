//! Texts as the index takes them in: cut by the rules of [`words`], not by those of tantivy.

use std::collections::HashSet;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

use super::words::{Kind, words};

/// Cuts text into words, or into what words of letters begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Splitter {
    pub(super) starts: bool,
}

pub(super) struct Tokens {
    tokens: std::vec::IntoIter<Token>,
    now: Token,
}

impl Tokenizer for Splitter {
    type TokenStream<'a> = Tokens;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens {
        let token = |text: String, place: u32| Token { text, position: place as usize, ..Token::default() };
        let tokens: Vec<Token> = if self.starts {
            let mut seen = HashSet::new();
            let letters = words(text).into_iter().filter(|word| word.kind == Kind::Letters);
            let starts = letters.flat_map(|word| [1, 2].map(|n| word.text.chars().take(n).collect::<String>()));
            starts.filter(|start| seen.insert(start.clone())).map(|start| token(start, 0)).collect()
        } else {
            words(text).into_iter().map(|word| token(word.text, word.place)).collect()
        };
        Tokens { tokens: tokens.into_iter(), now: Token::default() }
    }
}

impl TokenStream for Tokens {
    fn advance(&mut self) -> bool {
        let Some(next) = self.tokens.next() else { return false };
        self.now = next;
        true
    }

    fn token(&self) -> &Token {
        &self.now
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.now
    }
}
