//! Text from standard input, and questions on a terminal. Everything has a bound; nothing is asked without a terminal.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use parlor_api::{Code, Problem, TEXT_MAX};
use zeroize::Zeroizing;

/// The whole of `input` as the text of one message, without the line end after it.
///
/// # Errors
/// `too_long` as soon as more was read than a message holds, `not_utf8`, `empty_text`.
pub fn message(input: impl Read) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    // Room for a line end of two bytes and one byte that shows that it is too long.
    input.take(TEXT_MAX as u64 + 3).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
    text(strip_line_end(bytes))
}

/// Why a file of the user's could not be opened: `not_found` when it is not there, else `usage`.
pub fn unopened(path: &Path, error: &io::Error) -> Problem {
    let code = if error.kind() == io::ErrorKind::NotFound { Code::NotFound } else { Code::Usage };
    Problem::new(code, format!("{} can not be read: {error}", path.display()))
        .hint("name a file that is there and that you may read")
}

/// The bytes of a picture that the node is to look at.
///
/// # Errors
/// As [`unopened`]; `too_long` for more than the node takes.
pub fn picture(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |e: io::Error| unopened(path, &e);
    let (mut bytes, most) = (Vec::new(), parlor_api::PICTURE_MAX as u64);
    std::fs::File::open(path).map_err(unreadable)?.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(Problem::new(Code::TooLong, "the picture has too many bytes").hint("make it smaller than 16 MiB"));
    }
    Ok(bytes)
}

/// Bytes as the text of a message.
///
/// # Errors
/// `too_long`, `not_utf8`, `empty_text`.
pub fn text(bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.len() > TEXT_MAX {
        let detail = format!("the text is longer than a message can be ({} KiB)", TEXT_MAX / 1024);
        return Err(Problem::new(Code::TooLong, detail).hint("shorten it, or send it line by line with --lines"));
    }
    let wrong = |e: std::string::FromUtf8Error| {
        let at = e.utf8_error().valid_up_to();
        Problem::new(Code::NotUtf8, format!("the text is not UTF-8 (byte {at})"))
            .hint("convert it, for example with iconv")
    };
    let text = String::from_utf8(bytes).map_err(wrong)?;
    if text.trim().is_empty() {
        return Err(Problem::of(Code::EmptyText).hint("say something"));
    }
    Ok(text)
}

/// Text that was given as an argument. One that looks like a long option is none that exists: more likely it is misspelt than meant
/// to be sent, unless all that follows `--` is said to be no option.
///
/// # Errors
/// `usage` for such a one, else as [`text`].
pub fn argument(given: &str) -> Result<String, Problem> {
    let option = given.strip_prefix("--").is_some_and(|word| word.starts_with(char::is_alphanumeric));
    let meant = || std::env::args_os().any(|argument| argument == "--");
    if option && !given.contains(char::is_whitespace) && !meant() {
        return Err(Problem::new(Code::Usage, format!("there is no option {given}"))
            .hint("if it is the text: put -- before it, as in: parlor send ROOM -- '--text'"));
    }
    text(given.as_bytes().to_vec())
}

/// The lines of a stream, each at most as long as a message.
pub struct Lines<R> {
    input: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The lines of `input`.
    pub fn new(input: R) -> Self {
        Self { input, number: 0 }
    }

    /// The next line that is not blank, waiting for it; `None` at the end.
    ///
    /// # Errors
    /// `too_long`, `not_utf8`, with the number of the line.
    pub fn next(&mut self) -> Result<Option<String>, Problem> {
        loop {
            let mut line = Vec::new();
            let limit = TEXT_MAX as u64 + 3;
            let n = (&mut self.input).take(limit).read_until(b'\n', &mut line).map_err(|e| unreadable(&e))?;
            if n == 0 {
                return Ok(None);
            }
            self.number += 1;
            match text(strip_line_end(line)) {
                Ok(text) => return Ok(Some(text)),
                Err(problem) if problem.code == Code::EmptyText => {}
                Err(mut problem) => {
                    problem.detail = format!("line {}: {}", self.number, problem.detail);
                    let mend =
                        if problem.code == Code::TooLong { "shorten it" } else { "convert it, with iconv for example" };
                    problem.hint = Some(format!("{mend}; the lines before it were sent"));
                    return Err(problem);
                }
            }
        }
    }
}

impl<R: Read> Lines<io::BufReader<R>> {
    /// Whether another line is here already, so that taking it does not wait.
    pub fn ready(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }
}

/// Whether questions can be asked and answered.
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for a line; Enter takes `default`.
///
/// # Errors
/// When the terminal is gone.
pub fn ask(question: &str, default: &str) -> Result<String, Problem> {
    let mut terminal = io::stderr().lock();
    let shown = if default.is_empty() { String::new() } else { format!(" [{default}]") };
    write!(terminal, "{question}{shown}: ").and_then(|()| terminal.flush()).map_err(|e| unreadable(&e))?;
    let mut line = String::new();
    io::stdin().lock().take(1024).read_line(&mut line).map_err(|e| unreadable(&e))?;
    let line = line.trim();
    Ok(if line.is_empty() { default.to_owned() } else { line.to_owned() })
}

/// Asks for a secret without showing it; Enter answers `None`.
///
/// # Errors
/// When the terminal is gone.
pub fn ask_secret(question: &str) -> Result<Option<Zeroizing<String>>, Problem> {
    let secret = rpassword::prompt_password(format!("{question}: ")).map_err(|e| unreadable(&e))?;
    let secret = Zeroizing::new(secret);
    Ok(if secret.is_empty() { None } else { Some(secret) })
}

fn strip_line_end(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    bytes
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(Code::Internal, format!("could not read the input: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_option_is_not_sent_as_a_text() {
        assert_eq!(argument("--replyto").unwrap_err().code, Code::Usage);
        for text in ["-hello", "-->", "--", "--lines is nice", "hello --there"] {
            assert_eq!(argument(text).unwrap(), text);
        }
    }

    /// Gives bytes for ever, and fails the test when somebody reads far more than a message.
    struct Endless(usize);

    impl Read for Endless {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0 += buf.len();
            assert!(self.0 < 10 * TEXT_MAX, "read on without need");
            buf.fill(b'x');
            Ok(buf.len())
        }
    }

    #[test]
    fn an_endless_text_is_refused_without_reading_it() {
        assert_eq!(message(Endless(0)).unwrap_err().code, Code::TooLong);
    }

    #[test]
    fn a_text_of_the_greatest_length_is_taken_and_one_byte_more_refused() {
        let most = "x".repeat(TEXT_MAX);
        assert_eq!(message(format!("{most}\r\n").as_bytes()).unwrap(), most);
        assert_eq!(message(format!("{most}y").as_bytes()).unwrap_err().code, Code::TooLong);
        assert_eq!(message(format!("{most}y\n").as_bytes()).unwrap_err().code, Code::TooLong);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(message(&b"caf\xe9"[..]).unwrap_err().code, Code::NotUtf8);
        for empty in ["", "\n", " \t\r\n"] {
            assert_eq!(message(empty.as_bytes()).unwrap_err().code, Code::EmptyText);
        }
    }

    #[test]
    fn lines_are_taken_as_they_come_and_blank_ones_left_out() {
        let mut lines = Lines::new(io::BufReader::new(&b"one\r\n\n  \ntwo\nthree"[..]));
        assert_eq!(lines.next().unwrap().as_deref(), Some("one"));
        assert!(lines.ready());
        assert_eq!(lines.next().unwrap().as_deref(), Some("two"));
        assert!(!lines.ready());
        assert_eq!(lines.next().unwrap().as_deref(), Some("three"));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn a_bad_line_is_named() {
        let mut lines = Lines::new(&b"one\n\xff\n"[..]);
        lines.next().unwrap();
        assert!(lines.next().unwrap_err().detail.starts_with("line 2: "));
    }
}
