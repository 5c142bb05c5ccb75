//! The walk-through of `docs/guide/bots.md`: a bot with a token of its own, through kills of itself and of its node.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use parlor_tests::{Person, eventually};

/// The bot, as a process that is killed when it goes.
struct Bot(Child);

impl Bot {
    fn start(person: &Person, token: &str, state: &Path, log: PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_adding-bot"));
        command.arg(person.home().join("api.json")).arg(state).env("PARLOR_TOKEN", token);
        let bot = Self(command.stdin(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap());
        eventually("the bot is ready", || {
            std::fs::read_to_string(&log).is_ok_and(|said| said.contains("ready")).then_some(())
        });
        bot
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_bot_answers_each_question_once_whoever_is_killed_meanwhile() {
    let mut adder = Person::start("Adder");
    let bob = Person::start("Bob");
    let room = adder.create_room("Sums");
    bob.join(&adder.invite(&room, &[]));
    let other = adder.create_room("Private");
    adder.say(&other, "!add 1 1");
    bob.say(&room, "!add 9 9");
    adder.holds(&room, 1);
    let made = adder.cli(&["token", "create", "adder", "--scope", "send", "--room", &room]).done();
    let token = made.text("token");
    let (state, logs) = (adder.scratch().join("seen"), adder.scratch().to_owned());
    let start = |adder: &Person, n: u32| Bot::start(adder, &token, &state, logs.join(format!("bot-{n}.err")));
    let answers = |text: &str| bob.texts(&room).iter().filter(|said| *said == text).count();
    let answered = |text: &str| eventually(&format!("Bob reads {text}"), || (answers(text) == 1).then_some(()));

    let bot = start(&adder, 1);
    let beginning = std::fs::read(&state).unwrap();
    let question = bob.say(&room, "!add 1 2 3");
    answered("6");
    let reply = bob.history(&room).into_iter().find(|message| message.text == "6").unwrap();
    let shown = bob.cli(&["message", &room, &reply.id]).done().object();
    assert_eq!(shown["reply_to"], question.as_str());

    // Killed, asked meanwhile, started again.
    drop(bot);
    bob.say(&room, "!add 4 5");
    adder.holds(&room, 4);
    let bot = start(&adder, 2);
    answered("9");

    // Its node is killed, listens elsewhere, and the bot finds it.
    adder.kill9();
    adder.run();
    bob.say(&room, "!add 20 22");
    answered("42");

    // The bot has forgotten what it did, and answers all of it again: nobody sees it.
    drop(bot);
    std::fs::write(&state, beginning).unwrap();
    let _bot = start(&adder, 3);
    bob.say(&room, "!add 100 1");
    answered("101");
    assert_eq!((answers("6"), answers("9"), answers("42"), answers("18")), (1, 1, 1, 0));
    assert_eq!(adder.texts(&other), ["!add 1 1"], "a room that its token is not for");
}
