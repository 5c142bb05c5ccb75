//! Names under which files of others are saved.

/// Longest safe name in bytes: with a number behind, and on file systems that take 255 bytes.
const NAME_LEN: usize = 200;

/// Longest ending that is kept when a name is cut, with its dot.
const ENDING_LEN: usize = 20;

/// What file systems or shells of some system take for something else.
const FOREIGN: &str = "<>:\"|?*\\/";

/// Names of devices, with any ending, on Windows.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// The name under which a file that somebody calls `name` is saved: one part of a path, that neither hides nor pretends.
///
/// Everything before the last slash or backslash is taken off, and what can not be seen: control characters, those that turn the
/// direction of writing or join nothing. What some system takes for something else becomes `_`, as does the beginning of names of
/// devices and of what a command would take for an option. Dots and blanks at either end go; the rest is cut to 200 bytes, with
/// its ending. What remains of nothing is `file`.
pub fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let seen = last.chars().filter(|c| !is_hidden(*c));
    let plain: String = seen.map(|c| if FOREIGN.contains(c) { '_' } else { c }).collect();
    let ends = |c: char| c == '.' || c.is_whitespace();
    let plain = plain.trim_matches(ends);
    let stem = plain.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let marked = if is_device(&stem) || plain.starts_with(['-', '~']) { format!("_{plain}") } else { plain.to_owned() };
    let cut = cut(&marked);
    let cut = cut.trim_matches(ends);
    if cut.is_empty() { "file".to_owned() } else { cut.to_owned() }
}

/// Whether a character shows nothing, or changes how others are shown.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_device(stem: &str) -> bool {
    let numbered = |port: &str| {
        stem.strip_prefix(port).is_some_and(|n| {
            let mut n = n.chars();
            matches!((n.next(), n.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
        })
    };
    DEVICES.contains(&stem) || numbered("com") || numbered("lpt")
}

/// At most [`NAME_LEN`] bytes, the ending kept.
fn cut(name: &str) -> String {
    if name.len() <= NAME_LEN {
        return name.to_owned();
    }
    let ending = name.rfind('.').map(|at| &name[at..]).filter(|ending| ending.len() <= ENDING_LEN).unwrap_or_default();
    let mut end = NAME_LEN - ending.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{ending}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_stay_as_they_are() {
        for name in
            ["photo.jpg", "Bericht 2026 (Entwurf).pdf", "写真.png", "émoji 👍.txt", "a.tar.gz", "README", "com.txt"]
        {
            assert_eq!(safe_name(name), name);
        }
    }

    /// Attack 51: names that lead out of the folder, hide, or pretend.
    #[test]
    fn hostile_names_become_plain_ones() {
        let names = [
            ("../../etc/passwd", "passwd"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("C:\\Windows\\system.ini", "system.ini"),
            ("..", "file"),
            (".", "file"),
            ("", "file"),
            ("/", "file"),
            ("...   ...", "file"),
            (".bashrc", "bashrc"),
            ("~root", "_~root"),
            ("-rf", "_-rf"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("Com1.log", "_Com1.log"),
            ("lpt³", "_lpt³"),
            ("aux .h", "_aux .h"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("a\0b\nc\u{1b}[31m.txt", "abc[31m.txt"),
            ("in\u{200b}visible\u{feff}.txt", "invisible.txt"),
            ("stream.txt:hidden", "stream.txt_hidden"),
            ("what?<>|\"*.txt", "what______.txt"),
            ("name.txt. . .", "name.txt"),
            ("\u{2028}\u{200f}", "file"),
        ];
        for (name, safe) in names {
            assert_eq!(safe_name(name), safe, "{name:?}");
        }
    }

    #[test]
    fn whatever_comes_one_part_of_a_path_goes_out() {
        use proptest::prelude::*;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let part = prop_oneof![
            any::<String>(),
            "[./\\\\ :~-]{0,8}",
            "(?i)(con|nul|lpt1)[. ]?.{0,4}",
            "\\PC{150,400}[.]\\PC{0,6}"
        ];
        runner
            .run(&part, |name| {
                let safe = safe_name(&name);
                let path = std::path::Path::new(&safe);
                let parts: Vec<_> = path.components().collect();
                prop_assert!(matches!(parts[..], [std::path::Component::Normal(_)]), "{name:?}: {safe:?}");
                prop_assert!(!safe.is_empty() && safe.len() <= NAME_LEN && !safe.starts_with(['.', '-', '~', ' ']));
                prop_assert!(!safe.ends_with(['.', ' ']) && !safe.chars().any(is_hidden));
                prop_assert_eq!(safe_name(&safe), safe, "once is enough");
                Ok(())
            })
            .unwrap();
    }
}
