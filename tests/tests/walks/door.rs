//! The door of the local API as a browser meets it: getting in by a code, making and unlocking the account, tokens with fewer
//! rights, links without a header.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use parlor_tests::{Person, eventually, program, run_to_end};
use serde_json::{Value, json};

/// What a request was answered.
#[derive(Debug)]
struct Answered {
    status: u16,
    head: String,
    body: String,
}

impl Answered {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A browser window of our page, or a script: sends `token` with each request.
struct Window {
    api: String,
    token: String,
}

impl Window {
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answered {
        let origin = format!("Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n", self.api);
        self.ask_as(method, &format!("/api/v1{path}"), &origin, body)
    }

    fn get(&self, path: &str) -> Answered {
        self.ask("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> Answered {
        self.ask("POST", path, Some(body))
    }

    fn ask_as(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> Answered {
        let mut stream = self.send(method, path, headers, body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answered { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: Option<&Value>) -> TcpStream {
        let mut stream = TcpStream::connect(&self.api).unwrap();
        let body = body.map(Value::to_string).unwrap_or_default();
        let bearer = match self.token.as_str() {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let (host, length) = (&self.api, body.len());
        let json = "Content-Type: application/json";
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{json}\r\n{bearer}{headers}");
        write!(stream, "{head}Content-Length: {length}\r\n\r\n{body}").unwrap();
        stream
    }

    /// Follows the events: lines, until the node ends them.
    fn follow(&self) -> BufReader<TcpStream> {
        let mut reader = BufReader::new(self.send("GET", "/api/v1/events/stream", "", None));
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
        reader
    }

    /// A window that was opened with the link of `parlor web`.
    fn open(api: &str, url: &str) -> Self {
        let code = url.strip_prefix(&format!("http://{api}/#code=")).unwrap();
        let mut window = Self { api: api.to_owned(), token: String::new() };
        let opened = window.post("/web/session", &json!({ "code": code }));
        assert_eq!(opened.status, 201, "{opened:?}");
        assert_eq!(window.post("/web/session", &json!({ "code": code })).status, 401, "a code works once");
        window.token = opened.json()["token"].as_str().unwrap().to_owned();
        window
    }

    fn of(person: &Person) -> Self {
        let link = person.cli(&["web", "--no-open"]).done().object();
        Self::open(person.api(), link["url"].as_str().unwrap())
    }
}

/// The text of all that came until the end.
fn rest(mut stream: BufReader<TcpStream>) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_browser_gets_in_by_a_code_and_is_put_out_at_once() {
    let alice = Person::start("Alice");
    let page = Window { api: alice.api().to_owned(), token: String::new() }.ask_as("GET", "/", "", None);
    assert!(page.status == 200 && page.head.contains("require-trusted-types-for 'script'"), "{page:?}");
    assert!(!page.body.contains(&alice.name), "nothing of the person is in the page");
    let window = Window::of(&alice);
    assert_eq!(window.get("/rooms").status, 200);
    assert_eq!(window.get("/web").json()["state"], "ready");
    assert_eq!(window.post("/web/codes", &json!({})).code(), "scope_missing", "a session opens no sessions");
    assert_eq!(window.post("/web/lock", &json!({})).code(), "conflict", "there is no passphrase");
    // The token is worth nothing to another page, even if it had it.
    for foreign in
        ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n"]
    {
        assert_eq!(window.ask_as("GET", "/api/v1/rooms", foreign, None).status, 403, "{foreign}");
    }
    let other = Window::of(&alice);
    let sessions = window.get("/web/sessions").json();
    assert_eq!(sessions.as_array().unwrap().len(), 2);
    let stream = other.follow();
    let id = sessions.as_array().unwrap().iter().find(|session| session["this"] == false).unwrap()["session"].clone();
    alice.cli(&["web", "revoke", id.as_str().unwrap()]).done();
    rest(stream);
    assert_eq!((other.get("/rooms").status, window.get("/rooms").status), (401, 200));
    assert_eq!(window.ask("DELETE", "/web/session", None).status, 204);
    assert_eq!(window.get("/rooms").status, 401);
}

/// A node that waits for the page, started without a terminal.
struct AtTheDoor {
    child: Child,
    out: std::path::PathBuf,
    waiting: Value,
}

impl AtTheDoor {
    fn start(home: &std::path::Path, out: std::path::PathBuf) -> Self {
        let mut command = Command::new(program());
        command.arg("--home").arg(home).args(["--json", "run", "--web", "--no-open", "--no-mdns"]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0", "--api", "127.0.0.1:0"]).env_remove("PARLOR_HOME");
        command.stdin(Stdio::null()).stdout(File::create(&out).unwrap());
        let mut this = Self { child: command.spawn().unwrap(), out, waiting: Value::Null };
        this.waiting = this.event("waiting");
        this
    }

    fn event(&self, name: &str) -> Value {
        eventually(&format!("the node says {name}"), || {
            let text = std::fs::read_to_string(&self.out).unwrap_or_default();
            let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.into_iter().find(|line| line["event"] == name)
        })
    }

    fn window(&self) -> Window {
        let api = self.waiting["api"].as_str().unwrap().strip_prefix("http://").unwrap();
        Window::open(api, self.waiting["url"].as_str().unwrap())
    }

    fn ended(mut self) {
        let status = eventually("the node ends", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for AtTheDoor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_run_in_a_browser_makes_an_account_whose_words_were_written_down_and_unlocks_it_later() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let cli = |args: &[&str]| {
        run_to_end(
            Command::new(program()).arg("--home").arg(&home).arg("--json").args(args).env_remove("PARLOR_HOME"),
            b"",
        )
    };
    let node = AtTheDoor::start(&home, folder.path().join("out-1"));
    assert_eq!(node.waiting["state"], "new");
    let window = node.window();
    assert_eq!(window.get("/rooms").code(), "no_account");
    cli(&["status"]).refused(5, "no_account");
    let words = window.post("/web/setup/phrase", &json!({})).json()["words"].as_array().unwrap().clone();
    assert_eq!(window.post("/web/setup/phrase", &json!({})).json()["words"], Value::from(words.clone()));
    let setup = |check: Value| {
        window.post("/web/setup", &json!({"name": "Ann", "passphrase": "correct horse", "check": check}))
    };
    let word = |place: usize| json!({"place": place, "word": words[place - 1]});
    let wrong = json!({"place": 9, "word": "nothing"});
    assert_eq!(setup(json!([word(1), word(5), wrong])).code(), "conflict");
    assert_eq!(setup(json!([word(1), word(5), word(5)])).code(), "bad_request");
    assert!(!home.join("account").exists(), "nothing was made");
    assert_eq!(window.post("/stop", &json!({})).code(), "no_account", "the page ends nothing");
    let made = setup(json!([word(3), word(24), word(11)]));
    assert_eq!((made.status, &made.json()["state"]), (200, &json!("ready")), "{made:?}");
    let ready = node.event("ready");
    assert_eq!(window.get("/rooms").json(), json!([]));
    assert_eq!(cli(&["status"]).done().object()["account"], ready["account"]);
    assert_eq!(setup(json!([word(1)])).code(), "conflict", "there is an account now");

    // The page is locked, and the node goes on.
    let stream = window.follow();
    assert_eq!(window.post("/web/lock", &json!({})).status, 204);
    rest(stream);
    assert_eq!(window.get("/rooms").code(), "passphrase_needed");
    assert_eq!(window.get("/web").json()["state"], "locked");
    cli(&["status"]).done();
    let unlock = |window: &Window, text: &str| window.post("/web/unlock", &json!({ "passphrase": text }));
    assert_eq!(unlock(&window, "wrong").code(), "wrong_passphrase");
    assert_eq!(unlock(&window, "correct horse").json()["state"], "ready");
    assert_eq!(window.get("/rooms").status, 200);
    cli(&["stop"]).done();
    node.ended();

    // As after a restart of the machine.
    let node = AtTheDoor::start(&home, folder.path().join("out-2"));
    assert_eq!(node.waiting["state"], "locked");
    let window = node.window();
    assert_eq!(window.get("/rooms").code(), "passphrase_needed");
    assert_eq!(window.post("/web/setup/phrase", &json!({})).code(), "conflict");
    for _ in 0..4 {
        assert_eq!(unlock(&window, "wrong").code(), "wrong_passphrase");
    }
    assert_eq!(unlock(&window, "correct horse").code(), "rate_limited", "guessing is slow");
    eventually("the pause is over", || (unlock(&window, "correct horse").status == 200).then_some(()));
    assert_eq!(node.event("ready")["account"], ready["account"]);
    cli(&["stop"]).done();
    node.ended();

    // The words are those of the account.
    let phrase = folder.path().join("phrase");
    let text: Vec<_> = words.iter().filter_map(Value::as_str).collect();
    std::fs::write(&phrase, text.join(" ")).unwrap();
    let other = Person::new("Ann", parlor_tests::Options::default());
    let again = other.cli(&["init", "--name", "Ann", "--recover", phrase.to_str().unwrap()]).done().object();
    assert_eq!(again["account"], ready["account"]);
}

#[test]
fn a_node_that_waits_for_the_page_is_stopped_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let node = AtTheDoor::start(&home, folder.path().join("out"));
    let mut stop = Command::new(program());
    run_to_end(stop.arg("--home").arg(&home).args(["--json", "stop"]).env_remove("PARLOR_HOME"), b"").done();
    node.ended();
    assert!(!home.join("api.json").exists() && !home.join("account").exists());
}

#[test]
fn a_token_does_what_its_scope_says_and_sees_its_rooms_only() {
    let alice = Person::start("Alice");
    let room = |name: &str| alice.cli(&["room", "create", name]).done().object()["room"].as_str().unwrap().to_owned();
    let (open, closed) = (room("Builds"), room("Private"));
    let made = alice.cli(&["token", "create", "bot", "--scope", "send", "--room", "Builds"]).done().object();
    let bot = Window { api: alice.api().to_owned(), token: made["token"].as_str().unwrap().to_owned() };
    let own = bot.get("/tokens/self").json();
    assert_eq!((&own["rooms"], &own["scope"]), (&json!([open]), &json!(["read", "send"])));
    let stream = bot.follow();
    alice.cli(&["send", "Private", "secret"]).done();
    alice.cli(&["draft", "set", "Private", "secret too"]).done();
    let sent = bot.post(&format!("/rooms/{open}/messages"), &json!({"text": "green"}));
    assert_eq!(sent.status, 201, "{sent:?}");
    let names: Vec<_> = bot.get("/rooms").json().as_array().unwrap().iter().map(|room| room["name"].clone()).collect();
    assert_eq!(names, ["Builds"]);
    let gone = "0".repeat(64);
    for path in [
        "/status".to_owned(),
        "/contacts".to_owned(),
        "/outbox".to_owned(),
        "/settings".to_owned(),
        "/devices".to_owned(),
        "/tokens".to_owned(),
        "/web/sessions".to_owned(),
        "/web".to_owned(),
        format!("/rooms/{closed}"),
        format!("/rooms/{closed}/messages"),
        format!("/rooms/{gone}"),
        "/rooms/Private".to_owned(),
        "/rooms/Builds".to_owned(),
        format!("/events/stream?room={closed}"),
        format!("/rooms/{open}/invites"),
    ] {
        let refused = bot.get(&path);
        assert_eq!((refused.status, refused.code()), (403, "scope_missing".to_owned()), "{path}");
    }
    let escape = bot.post("/tokens", &json!({"name": "more", "scope": ["manage"]}));
    assert_eq!(escape.code(), "scope_missing");
    let all = alice.cli(&["web", "--no-open"]).done().object();
    let none = Window::open(alice.api(), all["url"].as_str().unwrap());
    let none = none.post("/tokens", &json!({"name": "all?", "rooms": []}));
    assert_eq!(none.code(), "bad_request", "no rooms are not all");
    let leak = bot.post("/links", &json!({"paths": [format!("/api/v1/rooms/{closed}/messages/{gone}/files/0")]}));
    assert_eq!(leak.code(), "scope_missing");

    // The command line does no more with it either, and says what is missing.
    let mut command = Command::new(program());
    command.arg("--home").arg(alice.home()).args(["--json", "room", "create", "X"]).env("PARLOR_TOKEN", &bot.token);
    let refused = run_to_end(command.env_remove("PARLOR_HOME"), b"");
    refused.refused(4, "scope_missing");
    assert!(refused.stderr.contains("`manage`"), "{}", refused.stderr);

    let id = made["id"].as_str().unwrap();
    assert!(alice.cli(&["token", "list"]).lines()[0]["token"].is_null());
    alice.cli(&["token", "revoke", id]).done();
    let heard = rest(stream);
    assert!(heard.contains("green") && !heard.contains("secret") && !heard.contains(&closed), "{heard}");
    assert_eq!(bot.get("/rooms").status, 401);
    let kept = std::fs::read(alice.home().join("token")).unwrap();
    assert!(!String::from_utf8_lossy(&kept).contains(&bot.token));
}

#[test]
fn a_signed_link_opens_one_file_without_a_header_while_its_session_lasts() {
    let alice = Person::start("Alice");
    let room = alice.cli(&["room", "create", "Files"]).done().object()["room"].as_str().unwrap().to_owned();
    let file = alice.scratch().join("page.html");
    std::fs::write(&file, "<script>alert(1)</script>").unwrap();
    let sent = alice.cli(&["send", "Files", "--file", file.to_str().unwrap()]).done().object();
    let message = sent["message"].as_str().unwrap();
    let window = Window::of(&alice);
    let path = format!("/api/v1/rooms/{room}/messages/{message}/files/0");
    let links = window.post("/links", &json!({"paths": [path]})).json();
    let link = links["links"][0].as_str().unwrap();
    let image = Window { api: alice.api().to_owned(), token: String::new() };
    let same = "Sec-Fetch-Site: same-origin\r\n";
    let got = image.ask_as("GET", link, same, None);
    assert_eq!((got.status, got.body.as_str()), (200, "<script>alert(1)</script>"));
    for header in ["content-disposition: attachment", "content-type: application/octet-stream", "nosniff", "no-store"] {
        assert!(got.head.contains(header), "{header}: {}", got.head);
    }
    let part = image.ask_as("GET", link, &format!("{same}Range: bytes=1-6\r\n"), None);
    assert_eq!((part.status, part.body.as_str()), (206, "script"));
    let signed = link.split_once('?').unwrap().1;
    for (method, path, headers, status) in [
        ("GET", format!("{path}/preview?{signed}"), same, 401),
        ("GET", path.clone(), same, 401),
        ("GET", format!("/api/v1/rooms/{room}?{signed}"), same, 401),
        ("DELETE", link.to_owned(), same, 401),
        ("POST", link.to_owned(), same, 401),
        ("GET", link.to_owned(), "Sec-Fetch-Site: cross-site\r\n", 403),
        ("GET", link.to_owned(), "Origin: http://evil.example\r\n", 403),
    ] {
        assert_eq!(image.ask_as(method, &path, headers, None).status, status, "{method} {path} {headers}");
    }
    alice.cli(&["web", "revoke", "all"]).done();
    assert_eq!(image.ask_as("GET", link, same, None).status, 401);
}

#[test]
fn without_a_terminal_parlor_alone_makes_the_account_and_shows_its_words_and_run_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let command = |more: &[&str], out: &std::path::Path| {
        let mut command = Command::new(program());
        command.arg("--home").arg(&home).arg("--json").args(more).env_remove("PARLOR_HOME");
        command.stdin(Stdio::null()).stdout(File::create(out).unwrap());
        command
    };
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let refused = command(&["run", "--no-mdns"], &out).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(refused.status.code(), Some(5));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("no_account"));
    assert!(!home.exists(), "nothing was made by accident");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config.toml"), "listen = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\n").unwrap();
    let child = command(&[], &out).stderr(File::create(&err).unwrap()).spawn().unwrap();
    let node = AtTheDoor { child, out, waiting: Value::Null };
    let ready = node.event("ready");
    let said = std::fs::read_to_string(&err).unwrap();
    let said: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!((&said["event"], &said["account"]), (&json!("account"), &ready["account"]));
    assert_eq!(said["recovery_phrase"].as_str().unwrap().split_whitespace().count(), 24);
}
