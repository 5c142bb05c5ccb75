//! `parlor profile …`: what you and others tell of yourselves.

use std::path::Path;

use clap::ValueEnum;
use parlor_api::{Code, OwnField, OwnProfile, Problem, Profile, UpdateField, UpdateProfile, Visible};
use ureq::http::Method;

use crate::client::{Client, segment};
use crate::display;
use crate::out::{Done, Out};
use crate::time;

/// What to do with profiles.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show what somebody tells you, or your own profile with who may see what
    Show {
        /// Whose: a contact, an account, a unique beginning of one, or @name
        who: Option<String>,
        /// Save his picture as this file
        #[arg(long, value_name = "FILE")]
        picture: Option<std::path::PathBuf>,
    },
    /// Change a field of your profile, or who may see it
    #[command(after_help = "Fields:
  name       what others see you as, if they gave you no name of their own
  about      a few lines about you
  picture    a PNG or JPEG file; its middle is made small, and nothing else of it is kept
  last-seen  when you did something last, rounded to ten minutes: it takes no value, only --visible

Who may see a field:
  rooms      everybody in a room with you, and your contacts
  contacts   people who want to write to you, and you to them
  nobody     nobody: those who saw it before see no later version")]
    Set {
        /// Which
        field: Field,
        /// To what; left out, only who may see it changes
        value: Option<String>,
        /// Who may see it
        #[arg(long, value_name = "WHO")]
        visible: Option<Who>,
        /// Take it away
        #[arg(long, conflicts_with = "value")]
        clear: bool,
    },
}

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Field {
    /// What others see you as
    Name,
    /// A few lines about you
    About,
    /// Your picture
    Picture,
    /// When you did something last
    LastSeen,
}

/// Who may see a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// Everybody in a room with you, and your contacts
    Rooms,
    /// Your contacts
    Contacts,
    /// Nobody
    Nobody,
}

impl From<Who> for Visible {
    fn from(who: Who) -> Self {
        match who {
            Who::Rooms => Self::Rooms,
            Who::Contacts => Self::Contacts,
            Who::Nobody => Self::Nobody,
        }
    }
}

/// Runs it.
///
/// # Errors
/// `usage` for what is no value of the field; what the node answers.
pub fn run(command: Command, node: &Client, out: &mut Out) -> Done {
    match command {
        Command::Show { who: None, picture } => {
            let own: OwnProfile = node.get("/profile")?;
            if let Some(file) = &picture {
                save(own.picture.value.as_deref(), file, node)?;
            }
            show_own(&own, out)
        }
        Command::Show { who: Some(who), picture } => {
            let profile: Profile = node.get(&format!("/profiles/{}", segment(&who)))?;
            if let Some(file) = &picture {
                save(profile.picture.as_deref(), file, node)?;
            }
            show(&profile, out)
        }
        Command::Set { field, value, visible, clear } => {
            let own = set(field, value, visible.map(Visible::from), clear, node)?;
            show_own(&own, out)
        }
    }
}

fn set(
    field: Field,
    value: Option<String>,
    visible: Option<Visible>,
    clear: bool,
    node: &Client,
) -> Result<OwnProfile, Problem> {
    if value.is_none() && visible.is_none() && !clear {
        return Err(Problem::new(Code::Usage, "there is nothing to change")
            .hint("say what the field is to be, or who may see it: --visible rooms, contacts or nobody"));
    }
    let patch = |update: UpdateProfile| node.send(Method::PATCH, "/profile", &update);
    let text = || UpdateField { value: if clear { Some(String::new()) } else { value.clone() }, visible };
    match field {
        Field::Name => patch(UpdateProfile { name: Some(text()), ..UpdateProfile::default() }),
        Field::About => patch(UpdateProfile { about: Some(text()), ..UpdateProfile::default() }),
        Field::LastSeen if value.is_some() || clear => {
            Err(Problem::new(Code::Usage, "last-seen takes no value: your node notes it")
                .hint("--visible rooms or contacts switches it on, --visible nobody off"))
        }
        Field::LastSeen => patch(UpdateProfile { last_seen: visible, ..UpdateProfile::default() }),
        Field::Picture if clear => {
            let own: OwnProfile = node.send(Method::DELETE, "/profile/picture", &serde_json::json!({}))?;
            match visible {
                Some(_) => patch(UpdateProfile { picture: visible, ..UpdateProfile::default() }),
                None => Ok(own),
            }
        }
        Field::Picture => match &value {
            None => patch(UpdateProfile { picture: visible, ..UpdateProfile::default() }),
            Some(file) => {
                let bytes = crate::input::picture(Path::new(file))?;
                let query = visible.map_or_else(String::new, |visible| format!("?visible={}", word(visible)));
                node.put_bytes(&format!("/profile/picture{query}"), bytes)
            }
        },
    }
}

fn save(hash: Option<&str>, file: &Path, node: &Client) -> Result<(), Problem> {
    let hash = hash.ok_or_else(|| Problem::new(Code::NotFound, "there is no picture to save"))?;
    let picture = node.get_bytes(&format!("/pictures/{}", segment(hash)))?;
    let unwritten = |e| crate::save::unwritten(&format!("{} could not be written", file.display()), &e);
    let mut saved = std::fs::File::create_new(file).map_err(unwritten)?;
    std::io::Write::write_all(&mut saved, &picture).map_err(unwritten)
}

fn show_own(own: &OwnProfile, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(own);
    }
    let line = |out: &mut Out, name: &str, field: &OwnField, value: Option<String>| {
        let value = value.unwrap_or_else(|| "-".to_owned());
        out.line(format!("{name:<10} {:<9} {value}", word(field.visible)))
    };
    let text = |field: &OwnField| field.value.as_deref().map(display::neutral_line);
    line(out, "name", &own.name, text(&own.name))?;
    line(out, "about", &own.about, text(&own.about))?;
    line(out, "picture", &own.picture, own.picture.value.as_deref().map(|hash| hash.chars().take(16).collect()))?;
    line(out, "last-seen", &own.last_seen, own.last_seen.value.as_deref().map(time::local))?;
    out.line(format!(
        "members of your rooms see the name of your device in any case: {}",
        display::neutral_line(&own.certificate_name)
    ))
}

fn show(profile: &Profile, out: &mut Out) -> Done {
    if out.is_json() {
        return out.json(profile);
    }
    out.line(format!("name       {}", display::neutral_line(&profile.name)))?;
    out.line(format!("account    {}", profile.account))?;
    if profile.blocked {
        return out.line("blocked: nothing of what this account tells is shown");
    }
    if let Some(own) = profile.own_name.as_deref().filter(|own| *own != profile.name) {
        out.line(format!("calls itself {}", display::neutral_line(own)))?;
    }
    if let Some(about) = &profile.about {
        for (n, line) in about.lines().enumerate() {
            out.line(format!("{:<10} {}", if n == 0 { "about" } else { "" }, display::neutral_line(line)))?;
        }
    }
    if let Some(picture) = &profile.picture {
        let short: String = picture.chars().take(16).collect();
        out.line(format!("picture    {short} (save it with --picture FILE)"))?;
    }
    if let Some(seen) = &profile.last_seen {
        out.line(format!("last seen  {}", time::local(seen)))?;
    }
    Ok(())
}

fn word(visible: Visible) -> &'static str {
    match visible {
        Visible::Rooms => "rooms",
        Visible::Contacts => "contacts",
        Visible::Nobody => "nobody",
    }
}
