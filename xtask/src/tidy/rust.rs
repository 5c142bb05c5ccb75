//! Just enough of Rust's surface to tell code from comments, strings and tests, and to find functions and attributes.
//!
//! Not a parser: it knows comments, literals and matching brackets, which is all the rules ask. Text keeps its length in
//! every view, so that positions are positions in the file.

/// A Rust file in several views of the same length; what a view leaves out is blank.
#[derive(Debug)]
pub(super) struct Source {
    /// As written.
    pub(super) text: String,
    /// Without comments and without the inside of literals.
    pub(super) code: String,
    /// `code` without what only tests see.
    pub(super) shipped: String,
    /// Like `shipped`, but with the literals: labels and tags are part of a format.
    pub(super) meaning: String,
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: String,
    /// The line of `fn`, from 1.
    pub(super) line: usize,
    /// Lines of its signature and body that hold code.
    pub(super) n_lines: usize,
}

impl Source {
    /// Reads `text`; everything in a file under `tests/` or called `tests.rs` is test code.
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (code, literal) = views(text);
        let mut shipped = code.clone().into_bytes();
        let mut meaning = literal.into_bytes();
        let mut hidden = test_items(&code);
        if is_test_file(path) {
            hidden = vec![(0, code.len())];
        }
        for (start, end) in hidden {
            blank(&mut shipped[start..end]);
            blank(&mut meaning[start..end]);
        }
        Self { text: text.to_owned(), code, shipped: lossless(shipped), meaning: lossless(meaning) }
    }

    /// The line of a position, from 1.
    pub(super) fn line(&self, position: usize) -> usize {
        self.text.as_bytes()[..position].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// All functions with bodies.
    pub(super) fn functions(&self) -> Vec<Function> {
        let bytes = self.code.as_bytes();
        let mut found = Vec::new();
        for start in words(&self.code, "fn") {
            let name = word_at(&self.code, start + 2);
            let Some(body) = body(bytes, start) else { continue };
            let Some(end) = matching(bytes, body) else { continue };
            if name.is_empty() {
                continue;
            }
            let n_lines = self.code[start..end].lines().filter(|line| !line.trim().is_empty()).count();
            found.push(Function { name: name.to_owned(), line: self.line(start), n_lines });
        }
        found
    }

    /// Names of the modules in files of their own that only tests see: `#[cfg(test)] mod name;`.
    pub(super) fn test_modules(&self) -> Vec<String> {
        let items = test_items(&self.code).into_iter().map(|(start, end)| &self.code[start..end]);
        let outside = items.filter(|item| item.ends_with(';'));
        outside.filter_map(|item| Some(word_at(item, words(item, "mod").next()? + "mod".len()).to_owned())).collect()
    }

    /// Takes everything out of what ships: the file is a module that only tests see.
    pub(super) fn hide(&mut self) {
        self.shipped = self.shipped.chars().map(|c| if c == '\n' { c } else { ' ' }).collect();
        self.meaning.clone_from(&self.shipped);
    }

    /// Every path that a `use` of what ships brings in, written out, and where its last part stands.
    pub(super) fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for start in words(&self.shipped, "use") {
            let end = self.shipped[start..].find(';').map_or(self.shipped.len(), |length| start + length);
            written_out(&self.shipped, start + "use".len(), end, &mut found);
        }
        found
    }

    /// The outer text of each attribute that begins with `name(`, and where it stands.
    pub(super) fn attributes(&self, name: &str) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        for start in words(&self.code, name) {
            let before = self.code[..start].trim_end();
            let open = start + name.len();
            if (before.ends_with("#[") || before.ends_with("#![")) && self.code[open..].starts_with('(') {
                let end = matching(self.code.as_bytes(), open).unwrap_or(self.code.len());
                found.push((start, &self.code[start..end]));
            }
        }
        found
    }
}

/// Whether the file at `path` holds nothing but tests.
pub(super) fn is_test_file(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.contains("/benches/") || path.ends_with("/tests.rs")
}

/// Positions where `word` stands as a whole word.
pub(super) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).map(|(start, _)| start).filter(move |start| {
        let before = text[..*start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        let goes_on =
            before.is_some_and(part) && word.starts_with(part) || after.is_some_and(part) && word.ends_with(part);
        !goes_on
    })
}

/// The word after the blanks at `position`; empty if something else stands there.
pub(super) fn word_at(text: &str, position: usize) -> &str {
    let rest = text[position..].trim_start();
    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())]
}

/// Writes out a tree of imports: `a::{b, c::{d, e as f}}` is `a::b`, `a::c::d`, `a::c::e`.
fn written_out(text: &str, start: usize, end: usize, found: &mut Vec<(usize, String)>) {
    let (mut prefixes, mut path) = (Vec::new(), String::new());
    let mut position = start;
    while position < end {
        let word = word_at(&text[..end], position);
        let at = end - text[position..end].trim_start().len();
        if word == "as" {
            position = end - text[position..end].trim_start()[2..].trim_start().len();
            position += word_at(&text[..end], position).len();
        } else if !word.is_empty() {
            path.push_str(word);
            position = at + word.len();
            if !text[position..end].trim_start().starts_with("::") {
                found.push((at, path.clone()));
            }
        } else {
            match text.as_bytes().get(at) {
                Some(b'{') => prefixes.push(path.clone()),
                Some(b'}') => path = prefixes.pop().unwrap_or_default(),
                Some(b',') => path = prefixes.last().cloned().unwrap_or_default(),
                Some(b'*') => found.push((at, path.clone() + "*")),
                Some(b':') if !path.ends_with("::") => path.push_str("::"),
                _ => {}
            }
            position = at + 1;
            while !text.is_char_boundary(position) {
                position += 1;
            }
        }
    }
}

/// Items behind `#[cfg(test)]`, from the attribute to the end of the item.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items = Vec::new();
    for (start, attribute) in code.match_indices("#[cfg(test)]") {
        let bytes = code.as_bytes();
        let end = match body(bytes, start + attribute.len()) {
            Some(open) => matching(bytes, open),
            None => code[start..].find(';').map(|semicolon| start + semicolon + 1),
        };
        items.push((start, end.unwrap_or(code.len())));
    }
    items
}

/// The `{` that opens the body of the item at `start`; nothing if a `;` ends the item first.
fn body(bytes: &[u8], start: usize) -> Option<usize> {
    let mut position = start;
    while position < bytes.len() {
        match bytes[position] {
            b'{' => return Some(position),
            b';' | b'}' => return None,
            b'(' | b'[' => position = matching(bytes, position)?,
            _ => position += 1,
        }
    }
    None
}

/// The position after the bracket that closes the one at `open`.
fn matching(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (position, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(position + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The text without comments and insides of literals, and the text without comments.
fn views(text: &str) -> (String, String) {
    let bytes = text.as_bytes();
    let (mut code, mut literal) = (bytes.to_vec(), bytes.to_vec());
    let mut position = 0;
    while position < bytes.len() {
        let rest = &bytes[position..];
        let end = if rest.starts_with(b"//") {
            let end = position + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            blank(&mut literal[position..end]);
            end
        } else if rest.starts_with(b"/*") {
            let end = position + block_comment(rest);
            blank(&mut literal[position..end]);
            end
        } else if let Some(length) = literal_at(text, position) {
            position + length
        } else {
            position += 1;
            continue;
        };
        blank(&mut code[position..end]);
        position = end;
    }
    (lossless(code), lossless(literal))
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut position) = (0usize, 0);
    while position < rest.len() {
        if rest[position..].starts_with(b"/*") {
            depth += 1;
            position += 2;
        } else if rest[position..].starts_with(b"*/") {
            depth -= 1;
            position += 2;
            if depth == 0 {
                return position;
            }
        } else {
            position += 1;
        }
    }
    rest.len()
}

/// The length of the string or character literal at `position`, if one begins there.
fn literal_at(text: &str, position: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let inside_word = position > 0 && (bytes[position - 1].is_ascii_alphanumeric() || bytes[position - 1] == b'_');
    let rest = &bytes[position..];
    match rest[0] {
        b'"' => Some(quoted(rest, b'"')),
        b'r' if !inside_word || bytes[position - 1] == b'b' => raw(rest),
        b'\'' => {
            // A lifetime has no closing quote right after its first character.
            let first = text[position + 1..].chars().next()?;
            let closed = first == '\\' || bytes.get(position + 1 + first.len_utf8()) == Some(&b'\'');
            closed.then(|| quoted(rest, b'\''))
        }
        _ => None,
    }
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut position = 1;
    while position < rest.len() {
        match rest[position] {
            b'\\' => position += 2,
            byte if byte == quote => return position + 1,
            _ => position += 1,
        }
    }
    rest.len()
}

fn raw(rest: &[u8]) -> Option<usize> {
    let n_hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + n_hashes) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', n_hashes)).collect();
    let inside = 2 + n_hashes;
    let length = rest[inside..].windows(close.len()).position(|window| window == close.as_slice());
    Some(length.map_or(rest.len(), |length| inside + length + close.len()))
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
}

fn lossless(bytes: Vec<u8>) -> String {
    // Only whole comments and literals are blanked, so what is left is UTF-8 still.
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r##"//! Head: fn no() {}
/* a /* nested */ "comment" */
fn one<'a>(x: &'a str) -> char { let _ = r#"fn two() {"#; '}' }
#[allow(dead_code, reason = "why")]
fn long(
    a: [u8; 3],
) -> u8 {
    // blank

    a[0]
}
#[cfg(test)]
mod tests { fn hidden() { let s = "\"}"; } }
fn after() {}
"##;

    #[test]
    fn functions_are_found_outside_comments_and_strings() {
        let source = Source::new("a/src/lib.rs", FILE);
        let names: Vec<_> = source.functions().into_iter().map(|f| (f.name, f.line, f.n_lines)).collect();
        let expected = [("one", 3, 1), ("long", 5, 5), ("hidden", 13, 1), ("after", 14, 1)];
        assert_eq!(names, expected.map(|(name, line, n)| (name.to_owned(), line, n)));
    }

    #[test]
    fn tests_are_hidden_from_what_ships() {
        let source = Source::new("a/src/lib.rs", FILE);
        assert!(!source.shipped.contains("hidden") && source.shipped.contains("after"));
        assert!(source.meaning.contains("fn two()") && !source.meaning.contains("nested"));
        assert_eq!(source.shipped.len(), FILE.len());
        assert!(Source::new("a/tests/x.rs", FILE).shipped.trim().is_empty());
    }

    #[test]
    fn attributes_are_found_with_their_arguments() {
        let source = Source::new("a/src/lib.rs", FILE);
        let found = source.attributes("allow");
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("reason"));
    }

    #[test]
    fn modules_for_tests_are_named() {
        let text = "mod a;\n#[cfg(test)]\nmod b;\n#[cfg(test)]\npub(crate) mod c;\n#[cfg(test)]\nmod d { }\n#[cfg(test)]\nuse x;";
        assert_eq!(Source::new("a/src/lib.rs", text).test_modules(), ["b", "c"]);
    }

    #[test]
    fn imports_are_written_out() {
        let text =
            "use std::{fs, time::{Duration, Instant as Now}, net::*};\nuse a as b;\n#[cfg(test)]\nuse hidden::x;\n";
        let paths: Vec<_> = Source::new("a/src/lib.rs", text).imports().into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["std::fs", "std::time::Duration", "std::time::Instant", "std::net::*", "a"]);
    }

    #[test]
    fn words_are_whole() {
        assert_eq!(words("time::Instant Instantly xInstant Instant", "Instant").collect::<Vec<_>>(), [6, 33]);
    }
}
