//! A room as a page: everything of others is text, there is no script, and nothing is fetched from anywhere.

use std::collections::HashMap;
use std::fmt::Write;

use parlor_api::{ExportHead, Message, MessageKind};

use crate::display::{bytes, neutral, neutral_line};
use crate::time;

/// The end of a page.
pub const END: &str = "</main></body></html>\n";

const STYLE: &str = "body{font:16px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.5rem}article{margin:.8rem 0;padding-left:.8rem;border-left:3px solid #ddd}\
.who{font-weight:600}.when,.note{color:#666;font-size:.85rem}p{margin:.2rem 0;white-space:pre-wrap;overflow-wrap:anywhere}\
blockquote{margin:.2rem 0;padding-left:.6rem;border-left:3px solid #9bd;color:#555}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}article{border-color:#444}.when,.note,blockquote{color:#999}}";

/// The beginning of a page.
pub fn head(about: &ExportHead) -> String {
    let (name, by) = (escaped(&about.name), escaped(&about.by));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{name}</title><style>{STYLE}</style></head><body><main><h1>{name}</h1>\n"
    );
    if !about.description.is_empty() {
        let _ = writeln!(page, "<p>{}</p>", text(&about.description));
    }
    let at = escaped(&time::local(&about.exported_at));
    let _ = writeln!(page, "<p class=\"note\">As {by} had it on {at}.</p>");
    page
}

/// A message, with where its files are.
pub fn message(message: &Message, files: &HashMap<usize, String>) -> String {
    let (who, when) = (escaped(&message.author.name), escaped(&time::local(&message.sent_at)));
    let id = escaped(&message.message);
    let mut html =
        format!("<article id=\"m{id}\"><span class=\"who\">{who}</span> <span class=\"when\">{when}</span>\n");
    if message.deleted {
        html.push_str("<p class=\"note\">deleted</p>");
    } else if message.kind == MessageKind::Unknown {
        html.push_str("<p class=\"note\">made by a newer version</p>");
    }
    if let Some(reply) = message.reply.as_ref().filter(|_| !message.deleted) {
        let _ = writeln!(html, "<blockquote>{}: {}</blockquote>", escaped(&reply.author.name), text(&reply.text));
    }
    if !message.text.is_empty() {
        let _ = writeln!(html, "<p>{}</p>", text(&message.text));
    }
    for option in message.poll.iter().flat_map(|poll| &poll.options) {
        let _ =
            writeln!(html, "<p>&#9675; {} <span class=\"note\">{}</span></p>", text(&option.text), option.votes.len());
    }
    for (number, file) in message.files.iter().enumerate() {
        let name = escaped(&file.name);
        let size = bytes(file.bytes);
        let _ = match files.get(&number) {
            Some(path) => writeln!(
                html,
                "<p><a href=\"{}\" rel=\"noreferrer\">{name}</a> <span class=\"note\">{size}</span></p>",
                link(path)
            ),
            None => writeln!(html, "<p>{name} <span class=\"note\">{size}, not here</span></p>"),
        };
    }
    let mut notes: Vec<String> = message.edited_at.iter().map(|_| "edited".to_owned()).collect();
    notes.extend(message.pinned_by.iter().map(|by| format!("pinned by {}", escaped(&by.name))));
    notes.extend(message.reactions.iter().map(|(emoji, who)| format!("{} {}", escaped(emoji), who.len())));
    if !notes.is_empty() {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", notes.join(" &middot; "));
    }
    html.push_str("</article>\n");
    html
}

/// A relative link to a file: each part of the path is text that means nothing to a browser.
fn link(path: &str) -> String {
    let part = |part: &str| percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC).to_string();
    // With ./ before it no part can be taken for a scheme.
    format!("./{}", path.split('/').map(part).collect::<Vec<_>>().join("/"))
}

/// Text of others on one line.
fn escaped(text: &str) -> String {
    escape(&neutral_line(text))
}

/// Text of others of several lines.
fn text(text: &str) -> String {
    escape(&neutral(text))
}

fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_others_becomes_part_of_the_page() {
        let hostile = "</title><script>alert(1)</script><img src=x onerror='a()'>\"'`&#60;\u{202e}";
        let shown = text(hostile);
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{202e}']), "{shown}");
        let head = head(&ExportHead {
            parlor_export: 1,
            room: String::new(),
            name: hostile.to_owned(),
            description: hostile.to_owned(),
            account: String::new(),
            by: hostile.to_owned(),
            exported_at: hostile.to_owned(),
        });
        assert!(!head.contains("<script") && !head.contains("<img"), "{head}");
        assert!(head.contains("default-src 'none'"));
    }

    #[test]
    fn a_link_leads_beside_the_page_whatever_the_file_is_called() {
        assert_eq!(link("r.html.files/a.txt"), "./r%2Ehtml%2Efiles/a%2Etxt");
        assert_eq!(link("javascript:alert(1)/x"), "./javascript%3Aalert%281%29/x");
        assert!(!link("f/\"><script>").contains(['"', '<', '>']));
    }
}
