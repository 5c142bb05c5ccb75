//! `parlor dm`: opens the chat with somebody, or with several at once, and writes into it.

use std::time::Duration;

use parlor_api::{Code, ContactState, Direct, GroupChat, GroupState, MessageStatus, OpenDirect, OpenGroup, Problem};
use ureq::http::Method;

use crate::args::{Globals, quoted};
use crate::client::Client;
use crate::cmd::send::show_sent;
use crate::display::neutral_line;
use crate::input;
use crate::out::{Done, Out};

/// What the node may take longer than usual: 20 s to ask a relay for a name, and 10 s for the card of somebody known from a room.
const PATIENCE: Duration = Duration::from_secs(30);

/// Arguments.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Three or more words after `dm` are people; of two, the second is a text, unless --text says it. A group of two others:
  parlor dm @Ann --with @Bob 'Hello'"
)]
pub struct Args {
    /// With whom: a contact, @name, an account, a contact card
    who: String,
    /// What to write (`-` reads it from standard input); or, if there are several words, more people
    #[arg(allow_hyphen_values = true, value_name = "TEXT|WHO")]
    second: Option<String>,
    /// More people
    #[arg(value_name = "WHO")]
    more: Vec<String>,
    /// With this one too
    #[arg(long, value_name = "WHO")]
    with: Vec<String>,
    /// What to write, after a list of people
    #[arg(long, allow_hyphen_values = true)]
    text: Option<String>,
    /// What a new group is called
    #[arg(long)]
    name: Option<String>,
}

/// What the words mean.
#[derive(Debug, PartialEq, Eq)]
struct Meant {
    who: Vec<String>,
    text: Option<String>,
    name: Option<String>,
}

impl Args {
    fn meant(self) -> Result<Meant, Problem> {
        let Self { who, second, more, with, text, name } = self;
        let twice = || Problem::new(Code::Usage, "there are two texts").hint("write the text once, in quotes");
        let (mut people, mut words) = (vec![who], Vec::from_iter(second));
        words.extend(more);
        let mut said = text;
        match (words.len(), with.is_empty()) {
            (0, _) => {}
            (1, _) => match (said.is_some(), words.pop()) {
                (true, Some(word)) if names_somebody(&word) => people.push(word),
                (true, _) => return Err(twice()),
                (false, Some(word)) if with.is_empty() && names_somebody(&word) => {
                    let hint = format!(
                        "a group with both: parlor dm WHO --with {word}; the text: parlor dm WHO --text {word}"
                    );
                    return Err(Problem::new(Code::Usage, format!("is {word} somebody, or what to write?")).hint(hint));
                }
                (false, word) => said = word,
            },
            (_, true) => people.append(&mut words),
            (_, false) => {
                return Err(Problem::new(Code::Usage, "there are more words than one text")
                    .hint("write the text in quotes, and every person with --with"));
            }
        }
        people.extend(with);
        if name.is_some() && people.len() < 2 {
            return Err(Problem::new(Code::Usage, "a chat with one person has his name")
                .hint("what you call him is set by: parlor contact name WHO NAME"));
        }
        Ok(Meant { who: people, text: said, name })
    }
}

/// Whether one word is how people are named.
fn names_somebody(word: &str) -> bool {
    word.len() > 1 && word.starts_with('@') && !word.contains(char::is_whitespace)
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(args: Args, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let Meant { mut who, text, name } = args.meant()?;
    let text = match text.as_deref() {
        Some("-") => Some(input::message(std::io::stdin().lock())?),
        Some(text) => Some(input::argument(text)?),
        None => None,
    };
    match who.pop() {
        Some(one) if who.is_empty() => direct(OpenDirect { who: one, text }, node, globals, out),
        last => {
            who.extend(last);
            group(OpenGroup { who, name, text }, node, globals, out)
        }
    }
}

fn direct(request: OpenDirect, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let sent = request.text.is_some();
    let chat: Direct = node.send_within(Method::POST, "/dm", &request, PATIENCE)?;
    if out.is_json() {
        return out.json(&chat);
    }
    let name = neutral_line(&chat.name);
    if chat.state != ContactState::Contact {
        let what = if sent { "What you wrote waits" } else { "What you write waits" };
        out.note(format!("{name} is asked whether you may write. {what} until the answer is yes."));
    }
    written(chat.message.as_ref(), chat.status, &chat.room, globals, out)
}

fn group(request: OpenGroup, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let chat: GroupChat = node.send_within(Method::POST, "/groups", &request, PATIENCE)?;
    if out.is_json() {
        return out.json(&chat);
    }
    let named = |state: GroupState| {
        let of = chat.people.iter().filter(|who| who.state == state);
        of.map(|who| neutral_line(&who.name)).collect::<Vec<_>>().join(", ")
    };
    let what = if chat.made { "The group is made" } else { "This is the group you have already" };
    out.note(format!("{what}: {}.", neutral_line(&chat.name)));
    let (asked, invited) = (named(GroupState::Asked), named(GroupState::Invited));
    if !invited.is_empty() {
        out.note(format!("Invited, and in as soon as their nodes hear of it: {invited}."));
    }
    if !asked.is_empty() {
        out.note(format!("Asked first whether you may write: {asked}."));
    }
    written(chat.message.as_ref(), chat.status, &chat.room, globals, out)
}

fn written(
    message: Option<&String>,
    status: Option<MessageStatus>,
    room: &str,
    globals: &Globals,
    out: &mut Out,
) -> Done {
    if let (Some(message), Some(status)) = (message, status) {
        return show_sent(message, status, out);
    }
    let room: String = room.chars().take(12).collect();
    out.note(format!("Write: {} send {} 'Hello'", globals.program(), quoted(&room)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn meant(words: &[&str]) -> Result<(Vec<String>, Option<String>), Code> {
        let line = Line::try_parse_from(["dm"].iter().chain(words)).unwrap();
        line.args.meant().map(|meant| (meant.who, meant.text)).map_err(|problem| problem.code)
    }

    #[test]
    fn of_two_words_the_second_is_a_text_and_of_more_all_are_people() {
        let of =
            |who: &[&str], text: Option<&str>| Ok((who.iter().map(|w| (*w).into()).collect(), text.map(str::to_owned)));
        assert_eq!(meant(&["@A"]), of(&["@A"], None));
        assert_eq!(meant(&["@A", "-hi"]), of(&["@A"], Some("-hi")));
        assert_eq!(meant(&["@A", "@B", "@C"]), of(&["@A", "@B", "@C"], None));
        assert_eq!(meant(&["@A", "@B", "@C", "--text", "hi"]), of(&["@A", "@B", "@C"], Some("hi")));
        assert_eq!(meant(&["@A", "@B", "--text", "hi"]), of(&["@A", "@B"], Some("hi")));
        assert_eq!(meant(&["@A", "@B"]), Err(Code::Usage), "a person, or the text?");
        assert_eq!(meant(&["@A", "@ home"]), of(&["@A"], Some("@ home")));
        assert_eq!(meant(&["@A", "--with", "@B", "hi"]), of(&["@A", "@B"], Some("hi")));
        assert_eq!(meant(&["@A", "hi", "--with", "@B"]), of(&["@A", "@B"], Some("hi")));
        assert_eq!(meant(&["@A", "--with", "@B", "hi", "there"]), Err(Code::Usage));
        assert_eq!(meant(&["@A", "hi", "--text", "ho"]), Err(Code::Usage));
        assert_eq!(meant(&["@A", "--name", "N"]), Err(Code::Usage));
    }
}
