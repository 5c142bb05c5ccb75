//! `parlor contact …`: the own card, and the book of contacts.

use std::path::{Path, PathBuf};

use parlor_api::{AddContact, BlockContact, Contact, ContactCard, ContactState, NameContact, Safety, VerifyContact};
use parlor_node::home::write_private;
use serde_json::json;
use ureq::http::Method;

use crate::args::Globals;
use crate::client::{Client, segment};
use crate::cmd::invite::{can_hold, qr, read_qr};
use crate::display::neutral_line;
use crate::input;
use crate::out::{Done, Look, Out};
use crate::table::Table;
use crate::time;

/// Digits of an account that name it in a command to be pasted.
const SHORT_ACCOUNT: usize = 16;

/// What to do with contacts. WHO is a contact, an account, a unique beginning of one, or @name.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show your card: whoever has it can ask to write to you
    Card {
        /// Show it as a QR code
        #[arg(long)]
        qr: bool,
        /// Write the QR code into a picture
        #[arg(long, value_name = "FILE")]
        png: Option<PathBuf>,
        /// Draw the QR code for a light terminal
        #[arg(long)]
        light: bool,
    },
    /// Add somebody by his card and ask whether you may write, or accept who asks you
    #[command(group = clap::ArgGroup::new("whom").required(true))]
    Add {
        /// The card, or somebody of a room; `-` reads it from standard input
        #[arg(group = "whom")]
        who: Option<String>,
        /// A PNG or JPEG picture of the QR code of a card
        #[arg(long, value_name = "FILE", group = "whom")]
        qr: Option<PathBuf>,
        /// Your name for him
        #[arg(long)]
        name: Option<String>,
        /// A greeting that goes with the question
        #[arg(long, default_value = "")]
        text: String,
    },
    /// List your contacts, who asks to write to you, and who is blocked
    List,
    /// Let somebody write to you who asks
    Accept {
        /// Whom
        who: String,
    },
    /// Take nothing from somebody any more; nobody is told
    Block {
        /// Whom: also by a card
        who: String,
        /// Take the block back
        #[arg(long)]
        undo: bool,
    },
    /// Show the safety number to compare with somebody, and mark him as verified
    Verify {
        /// Whom
        who: String,
        /// The numbers are equal: mark him
        #[arg(long, conflicts_with_all = ["undo", "scan"])]
        yes: bool,
        /// Show it as a QR code for him to scan
        #[arg(long)]
        qr: bool,
        /// A picture of the QR code on his screen: compares, and marks him if it is equal
        #[arg(long, value_name = "FILE", conflicts_with = "undo")]
        scan: Option<PathBuf>,
        /// Take the mark back
        #[arg(long)]
        undo: bool,
    },
    /// Give somebody a name of your own; an empty one takes it back
    Name {
        /// Whom
        who: String,
        /// Your name for him
        name: String,
    },
    /// Take somebody out of your book; the chat stays
    Remove {
        /// Whom
        who: String,
    },
}

/// Runs it.
///
/// # Errors
/// What the node answers.
pub fn run(command: Command, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    match command {
        Command::Card { qr, png, light } => card(qr, png.as_deref(), light, node, out),
        Command::Add { who, qr, name, text } => {
            let who = match (who, qr) {
                (_, Some(picture)) => read_qr(node, &picture)?,
                (Some(who), None) if who != "-" => who,
                _ => input::message(std::io::stdin().lock())?.trim().to_owned(),
            };
            add(AddContact { who, text, name }, node, globals, out)
        }
        Command::List => list(node, out),
        Command::Accept { who } => {
            let contact: Contact = node.send(Method::POST, &path(&who, "/accept"), &json!({}))?;
            told(&contact, "can write to you now.", out)
        }
        Command::Block { who, undo } => {
            let contact: Contact = node.send(Method::PUT, &path(&who, "/block"), &BlockContact { blocked: !undo })?;
            let what = if undo { "is not blocked any more." } else { "is blocked. Nobody is told." };
            told(&contact, what, out)
        }
        Command::Verify { who, yes, qr, scan, undo } => verify(&who, yes, qr, scan.as_deref(), undo, node, out),
        Command::Name { who, name } => {
            let gone = name.trim().is_empty();
            let contact: Contact = node.send(Method::PUT, &path(&who, "/name"), &NameContact { name })?;
            let what =
                if gone { "is called by his own name again: yours is gone." } else { "is what you call this account." };
            told(&contact, what, out)
        }
        Command::Remove { who } => {
            node.act(Method::DELETE, &path(&who, ""))?;
            if out.is_json() {
                return out.json(&json!({}));
            }
            out.note("Removed from your book.");
            Ok(())
        }
    }
}

fn path(who: &str, what: &str) -> String {
    format!("/contacts/{}{what}", segment(who))
}

fn told(contact: &Contact, what: &str, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(contact);
    }
    out.note(format!("{} {what}", neutral_line(&contact.name)));
    Ok(())
}

fn card(draw: bool, png: Option<&Path>, light: bool, node: &Client, out: &mut Out) -> Done {
    if let Some(file) = png {
        can_hold(file)?;
    }
    let card: ContactCard = node.get("/contacts/card")?;
    if let Some(file) = png {
        write_private(file, &qr(node, &card.qr, "png")?)?;
    }
    if out.is_json() {
        return out.json(&card);
    }
    if draw {
        out.bytes(&qr(node, &card.qr, if light { "terminal-light" } else { "terminal" })?)?;
        out.line("")?;
    }
    out.line(&card.link)?;
    out.note("Whoever has it can ask to write to you. You decide whom you accept.");
    if let Some(file) = png {
        out.note(format!("QR code in {}", file.display()));
    }
    Ok(())
}

fn add(request: AddContact, node: &Client, globals: &Globals, out: &mut Out) -> Done {
    let contact: Contact = node.send(Method::POST, "/contacts", &request)?;
    if out.is_json() {
        return out.json(&contact);
    }
    let name = neutral_line(&contact.name);
    match contact.state {
        ContactState::Contact => out.note(format!("{name} is a contact.")),
        _ => out.note(format!("{name} is asked. What you write waits until the answer is yes.")),
    }
    // Names may be of several, or of nobody.
    let account: String = contact.account.chars().take(SHORT_ACCOUNT).collect();
    out.note(format!("Write: {} dm {account} 'Hello'", globals.program()));
    Ok(())
}

fn list(node: &Client, out: &mut Out) -> Done {
    let contacts: Vec<Contact> = node.get("/contacts")?;
    if out.is_json() {
        return contacts.iter().try_for_each(|contact| out.json(contact));
    }
    let asking = contacts.iter().any(|contact| contact.state == ContactState::Asking);
    let mut table = Table::new(&["account", "name", "state", "verified", "asked", "says"]);
    for contact in contacts {
        let verified = match (contact.verified, &contact.changed_at) {
            (true, _) => "yes",
            (false, Some(_)) => "CHANGED",
            (false, None) => "",
        };
        let state = match contact.state {
            _ if contact.blocked => "blocked",
            ContactState::Asked if contact.mailed => "asked, waits at a relay",
            ContactState::Asked => "asked",
            ContactState::Asking => "asks you",
            ContactState::Contact => "contact",
            ContactState::Known => "known",
        };
        let short: String = contact.account.chars().take(8).collect();
        let asked = contact.asked_at.as_deref().map(time::local).unwrap_or_default();
        let text = contact.text.as_deref().map(neutral_line).unwrap_or_default();
        table.row([short, contact.name, state.into(), verified.into(), asked, text]);
    }
    let nobody =
        out.called("nobody yet: add somebody with `parlor contact add CARD`, or give away your `parlor contact card`");
    table.write(out, &nobody)?;
    if asking {
        let text = "Anyone can call himself anything. Accept: parlor contact accept ACCOUNT; refuse: parlor contact block ACCOUNT";
        out.note(out.called(text));
    }
    Ok(())
}

fn verify(who: &str, yes: bool, draw: bool, scan: Option<&Path>, undo: bool, node: &Client, out: &mut Out) -> Done {
    let number = scan.map(|picture| read_qr(node, picture)).transpose()?;
    let safety: Safety = if yes || undo || number.is_some() {
        node.send(Method::PUT, &path(who, "/safety"), &VerifyContact { verified: !undo, number })?
    } else {
        node.get(&path(who, "/safety"))?
    };
    if out.is_json() {
        return out.json(&safety);
    }
    let name = neutral_line(&safety.name);
    if undo {
        out.note(format!("The mark of {name} is taken back."));
        return Ok(());
    }
    if draw {
        out.bytes(&qr(node, &safety.qr, "terminal")?)?;
    }
    out.line(&safety.safety_number)?;
    match (safety.verified, &safety.changed_at) {
        (true, _) => out.note(format!("{name} is verified.")),
        (false, Some(at)) => {
            let text =
                format!("A device came to {name} on {}, after you verified him: compare again.", time::local(at));
            out.note(out.paint(Look::Bad, &text));
        }
        (false, None) => {}
    }
    if !safety.verified {
        out.note(format!(
            "Compare it with what {name} sees, by voice or face to face. If both are equal, say so with --yes."
        ));
    }
    Ok(())
}
