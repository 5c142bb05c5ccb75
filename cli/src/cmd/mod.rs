//! One command, one file. Each takes its arguments, asks the node, and writes the answer.

pub mod backup;
pub mod completions;
pub mod config;
pub mod contact;
pub mod device;
pub mod dm;
pub mod doctor;
pub mod draft;
pub mod export;
pub mod file;
pub mod group;
pub mod history;
pub mod init;
pub mod invite;
pub mod join;
pub mod listen;
pub mod man;
pub mod member;
pub mod members;
pub mod message;
pub mod name;
pub mod outbox;
pub mod profile;
pub mod read;
pub mod requests;
pub mod room;
pub mod run;
pub mod say;
pub mod search;
pub mod send;
pub mod status;
pub mod stop;
pub mod token;
pub mod typing;
pub mod web;
pub mod webhook;

use crate::args::{Cli, Command};
use crate::client::Client;
use crate::out::{Done, Out};

/// Does what the command line says.
///
/// # Errors
/// Why it was not done.
pub fn run(cli: Cli, out: &mut Out) -> Done {
    let Cli { globals, command } = cli;
    let Some(command) = command else { return run::first_or_again(&globals, out) };
    let node = || Client::connect(globals.home()?);
    match command {
        Command::Init(args) => init::run(args, &globals, out),
        Command::Run(args) => run::run(args, &globals, out),
        Command::Status => status::run(&node()?, out),
        Command::Stop => stop::run(&node()?, out),
        Command::Room(command) => room::run(command, &node()?, out),
        Command::Invite(command) => invite::run(command, &node()?, &globals, out),
        Command::Join(args) => join::run(args, &node()?, &globals, out),
        Command::Requests(args) => requests::list(&args, &node()?, &globals, out),
        Command::Approve(args) => requests::approve(&args, &node()?, out),
        Command::Refuse(args) => requests::refuse(&args, &node()?, out),
        Command::Contact(command) => contact::run(command, &node()?, &globals, out),
        Command::Doctor(args) => doctor::run(&args, &node()?, out),
        Command::Name(command) => name::run(command, &node()?, out),
        Command::Dm(args) => dm::run(args, &node()?, &globals, out),
        Command::Group(command) => group::run(command, &node()?, &globals, out),
        Command::Members(args) => members::run(&args, &node()?, out),
        Command::Member(command) => member::run(command, &node()?, out),
        Command::Send(args) => send::run(args, node, out),
        Command::Edit(args) => say::edit(&args, node, &globals, out),
        Command::Delete(args) => say::delete(&args, &node()?, &globals, out),
        Command::React(args) => say::react(&args, &node()?, &globals, out),
        Command::Pin(args) => say::pin(&args, &node()?, &globals, out),
        Command::Pins(args) => say::pins(&args, &node()?, &globals, out),
        Command::Poll(args) => say::poll(args, &node()?, out),
        Command::Vote(args) => say::vote(&args, &node()?, &globals, out),
        Command::Edits(args) => say::edits(&args, &node()?, out),
        Command::History(args) => history::run(&args, &node()?, &globals, out),
        Command::Search(args) => search::run(&args, &node()?, &globals, out),
        Command::Export(args) => export::run(&args, node, out),
        Command::Backup(command) => backup::run(command, node, &globals, out),
        Command::File(command) => file::run(command, &node()?, out),
        Command::Listen(args) => listen::run(&args, &node()?, &globals, out),
        Command::Read(args) => read::run(args, &node()?, out),
        Command::Message(args) => message::run(&args, &node()?, &globals, out),
        Command::Typing(args) => typing::run(&args, &node()?, out),
        Command::Draft(command) => draft::run(command, &node()?, out),
        Command::Profile(command) => profile::run(command, &node()?, out),
        Command::Config(command) => config::run(command, &node()?, out),
        Command::Device(command) => device::run(command, &node()?, out),
        Command::Web(args) => web::run(&args, &node()?, out),
        Command::Webhook(command) => webhook::run(command, &node()?, out),
        Command::Token(command) => token::run(command, &node()?, out),
        Command::Outbox(command) => outbox::run(command, &node()?, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, out),
    }
}
