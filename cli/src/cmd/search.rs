//! `parlor search`: finds messages, newest first.

use std::collections::HashMap;

use parlor_api::{Code, Problem, SEARCH_MAX, SearchHit, SearchPage};

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::display;
use crate::out::{Done, Look, Out};
use crate::time;

/// Longest words that are looked for: as an address, in which each byte may be three, they still fit in a request.
const QUERY_MAX: usize = 2_048;

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "All words must occur; case and accents make no difference. The last word may go on: `hel` finds
hello, 'hel ' does not. `wor*` does so for any word; \"two words\" in quotes stand next to each other.

Examples:
  parlor search 'tax return'
  parlor search '\"see you\" tomor' --room Friends --from @alice
  parlor search --has file --since 2026-05-01 --until 2026-05-31"
)]
pub struct Args {
    /// Words
    #[arg(required_unless_present_any = ["room", "from", "has"])]
    query: Vec<String>,
    /// In this room only
    #[arg(long, value_name = "R")]
    room: Option<String>,
    /// Written by: an account, @name, me
    #[arg(long, value_name = "WHO")]
    from: Option<String>,
    /// Sent on this day or later, or at a time such as 2026-05-01T08:00:00Z
    #[arg(long, value_name = "D")]
    since: Option<String>,
    /// Sent on this day or earlier
    #[arg(long, value_name = "D")]
    until: Option<String>,
    /// With something
    #[arg(long, value_name = "WHAT", value_parser = ["file"])]
    has: Option<String>,
    /// At most so many messages
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: &Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let words = args.query.join(" ");
    if words.len() > QUERY_MAX {
        let text = format!("a search of more than {QUERY_MAX} bytes");
        return Err(Problem::new(Code::TooLong, text).hint("a few words of what is looked for are enough").into());
    }
    let mut query = format!("/search?q={}", segment(&words));
    // Days are the user's, as everywhere; the node's are those of UTC.
    let since = args.since.as_deref().map(|day| time::bound(day, false));
    let until = args.until.as_deref().map(|day| time::bound(day, true));
    for (name, value) in
        [("room", &args.room), ("from", &args.from), ("since", &since), ("until", &until), ("has", &args.has)]
    {
        if let Some(value) = value {
            query.push_str(&format!("&{name}={}", segment(value)));
        }
    }
    let names = if out.is_json() { HashMap::new() } else { super::outbox::names(node)? };
    let (mut left, mut cursor) = (args.limit, String::new());
    let (mut found, mut behind) = (0, None);
    while left > 0 {
        let limit = left.min(SEARCH_MAX);
        let page: SearchPage = node.get(&format!("{query}&limit={limit}{cursor}"))?;
        page.items.iter().try_for_each(|hit| write(hit, &names, globals, out))?;
        found += page.items.len();
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        behind = (!page.complete).then_some((page.indexed, page.total)).or(behind);
        match page.next {
            Some(next) => cursor = format!("&cursor={}", segment(&next)),
            None => break,
        }
    }
    if let Some((indexed, total)) = behind {
        out.note(format!("The index is being built: {indexed} of {total} messages are in it. There may be more."));
    }
    if found == 0 && !out.is_json() {
        out.note("nothing was found");
    }
    Ok(())
}

fn write(hit: &SearchHit, names: &HashMap<String, String>, globals: &Globals, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(hit);
    }
    let message = &hit.message;
    let when = out.paint(Look::Faint, &time::brief(time::said(&message.sent_at, &message.received_at)));
    let author = out.paint(Look::Strong, &display::neutral_line(&message.author.name));
    let room = names.get(&message.room).unwrap_or(&message.room);
    let id = if globals.verbose > 0 { format!(" {}", message.message) } else { String::new() };
    let words = match marked(hit, out) {
        words if words.is_empty() => {
            let files = message.files.iter().map(|file| display::neutral_line(&file.name));
            out.paint(Look::Faint, &format!("({})", files.collect::<Vec<_>>().join(", ")))
        }
        words => words,
    };
    out.line(format!("{when}  {author}: {words}  {}", out.paint(Look::Faint, &format!("[{room}{id}]"))))
}

/// The snippet with what was found made strong.
fn marked(hit: &SearchHit, out: &Out) -> String {
    let chars: Vec<char> = hit.snippet.chars().collect();
    let part = |from: usize, to: usize| {
        display::neutral_line(&chars.get(from..to).unwrap_or_default().iter().collect::<String>())
    };
    let (mut line, mut at) = (String::new(), 0);
    for [from, to] in &hit.marks {
        let (from, to) = ((*from as usize).max(at), *to as usize);
        line.push_str(&part(at, from));
        line.push_str(&out.paint(Look::Strong, &part(from, to)));
        at = to.max(at);
    }
    line.push_str(&part(at, chars.len()));
    line
}
