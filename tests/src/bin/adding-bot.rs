//! A small bot: `!add 1 2 39` is answered with `42`. The walk-through is in `docs/guide/bots.md`.
//!
//!     PARLOR_TOKEN=TOKEN adding-bot HOME/api.json STATE
//!
//! `TOKEN` is one of `parlor token create adder --scope send --room ROOM`; it answers in the rooms that the token is for. `STATE` is a
//! file of its own, in which it remembers how far it has looked.
//!
//! It may be killed at any moment, and so may its node. What it answers carries the id of the question as `client_id`: the node
//! answers a request that is repeated with the message that the first one made. So the bot simply answers again what it may have
//! answered before, and nobody sees two answers.
#![allow(clippy::print_stderr, reason = "a program for a terminal")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Pause before the node is looked for again.
const PAUSE: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(api), Some(state)) = (args.next(), args.next()) else { return Err("usage: adding-bot API STATE".into()) };
    let token = std::env::var("PARLOR_TOKEN")?;
    loop {
        // It ends when the node does; the next one may listen elsewhere.
        if let Err(why) = Bot::connect(&api, &token, &state).and_then(Bot::serve) {
            eprintln!("adding-bot: {why}");
        }
        std::thread::sleep(PAUSE);
    }
}

struct Bot {
    node: Node,
    /// Our own account, whose messages we do not answer.
    account: String,
    rooms: Vec<String>,
    /// How far it has looked in each room.
    seen: BTreeMap<String, Seen>,
    state: PathBuf,
}

/// Places in a room.
#[derive(Clone, Serialize, Deserialize)]
struct Seen {
    /// Where it began: what stands before is not for it.
    began: String,
    /// Up to here everything was looked at.
    up_to: String,
}

impl Bot {
    fn connect(api: &Path, token: &str, state: &Path) -> Result<Self> {
        let node = Node::find(api, token)?;
        let who = node.get("/tokens/self")?;
        let rooms: Vec<String> = serde_json::from_value(who["rooms"].clone())?;
        if rooms.is_empty() {
            return Err("make a token for some rooms: parlor token create NAME --scope send --room ROOM".into());
        }
        let seen = match std::fs::read(state) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(_) => BTreeMap::new(),
        };
        Ok(Self { node, account: text(&who, "account"), rooms, seen, state: state.to_owned() })
    }

    /// Answers what was asked meanwhile, and then what is asked, until the node ends.
    fn serve(mut self) -> Result<()> {
        // First the events, then the past: nothing falls between.
        let events = self.node.events()?;
        for room in self.rooms.clone() {
            self.catch_up(&room)?;
        }
        eprintln!("adding-bot: ready");
        for line in events.lines() {
            let event: Value = serde_json::from_str(&line?)?;
            match event["event"].as_str() {
                Some("message") => self.look_at(&event)?,
                // We were too slow: connect again, and read the past.
                Some("error") => return Err(text(&event, "message").into()),
                _ => {}
            }
        }
        Err("the node ended".into())
    }

    /// Looks at what came while we were away.
    fn catch_up(&mut self, room: &str) -> Result<()> {
        let Some(mut from) = self.seen.get(room).map(|seen| seen.up_to.clone()) else {
            // The first time: what was said before we came is not for us.
            let newest = self.node.get(&format!("/rooms/{room}/messages?limit=1"))?;
            let order = newest["items"].get(0).map(|newest| text(newest, "order"));
            return self.saw(room, order.unwrap_or_else(|| "0".into()));
        };
        // A message that came late stands before others that were there: look at the last hundred again.
        if from != "0" {
            let before = self.node.get(&format!("/rooms/{room}/messages?limit=100&before={from}"))?;
            self.look_at_all(&before)?;
        }
        loop {
            let place = if from == "0" { String::new() } else { format!("&after={from}") };
            let page = self.node.get(&format!("/rooms/{room}/messages?limit=100{place}"))?;
            self.look_at_all(&page)?;
            match page["newer"].as_str() {
                Some(newer) if newer != from => from = newer.to_owned(),
                _ => return Ok(()),
            }
        }
    }

    fn look_at_all(&mut self, page: &Value) -> Result<()> {
        // A page stands newest first.
        page["items"].as_array().into_iter().flatten().rev().try_for_each(|message| self.look_at(message))
    }

    fn look_at(&mut self, message: &Value) -> Result<()> {
        let room = text(message, "room");
        let ours = message["author"]["account"] == self.account.as_str();
        let before = self.seen.get(&room).is_some_and(|seen| text(message, "order") <= seen.began);
        if !ours
            && !before
            && let Some(answer) = answer(message["text"].as_str().unwrap_or_default())
        {
            let question = text(message, "message");
            // The id of the question is the key: whoever repeats this request sends nothing twice.
            let body = json!({"text": answer, "reply_to": question, "client_id": question});
            self.node.post(&format!("/rooms/{room}/messages"), &body)?;
        }
        self.saw(&room, text(message, "order"))
    }

    /// Remembers that everything up to here was looked at and answered.
    fn saw(&mut self, room: &str, order: String) -> Result<()> {
        let began = || Seen { began: order.clone(), up_to: String::new() };
        let seen = self.seen.entry(room.to_owned()).or_insert_with(began);
        if seen.up_to >= order {
            return Ok(());
        }
        seen.up_to = order;
        let beside = self.state.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(&self.seen)?)?;
        Ok(std::fs::rename(beside, &self.state)?)
    }
}

/// The answer to a message, if it asks us.
fn answer(text: &str) -> Option<String> {
    let numbers = text.strip_prefix("!add ")?;
    let sum = numbers.split_whitespace().try_fold(0_i64, |sum, number| sum.checked_add(number.parse().ok()?));
    Some(sum.map_or_else(|| "I add whole numbers: !add 1 2 39".into(), |sum| sum.to_string()))
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// The API of the node.
struct Node {
    agent: ureq::Agent,
    base: String,
    bearer: String,
}

impl Node {
    fn find(api: &Path, token: &str) -> Result<Self> {
        let api: Value = serde_json::from_slice(&std::fs::read(api)?)?;
        let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
        Ok(Self {
            agent: config.build().into(),
            base: format!("{}/api/v1", text(&api, "api")),
            bearer: format!("Bearer {token}"),
        })
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut response =
            self.agent.get(format!("{}{path}", self.base)).header("authorization", &self.bearer).call()?;
        let value: Value = response.body_mut().read_json()?;
        if response.status().is_success() { Ok(value) } else { Err(value.to_string().into()) }
    }

    fn post(&self, path: &str, body: &Value) -> Result<()> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("authorization", &self.bearer);
        let mut response = request.send_json(body)?;
        match response.status().as_u16() {
            200..300 => Ok(()),
            // The node will refuse this one each time (the question was edited since we answered it, the room is read only): go on.
            400..500 => {
                eprintln!("adding-bot: {}", response.body_mut().read_to_string()?);
                Ok(())
            }
            _ => Err(response.body_mut().read_to_string()?.into()),
        }
    }

    fn events(&self) -> Result<impl BufRead + use<>> {
        let request = self.agent.get(format!("{}/events/stream", self.base)).header("authorization", &self.bearer);
        let response = request.call()?;
        if !response.status().is_success() {
            return Err(format!("the node answered {}", response.status()).into());
        }
        Ok(BufReader::new(response.into_body().into_reader()))
    }
}
