//! The node's local API over HTTP on loopback.
//!
//! Address and token come from the home. Before the token is sent, it is made sure that a node owns the home: after a
//! crash its port may belong to another program, which must not receive the token. `PARLOR_TOKEN` is sent instead of the home's
//! token where it is set: for scripts that should do no more than it allows.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use parlor_api::{Code, Event, PREFIX, Problem};
use parlor_node::Home;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::Body;
use ureq::http::{Method, Request, Response};
use zeroize::Zeroizing;

/// Time to reach the node: it is on this machine.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Time for an answer that does not wait for other people; the node itself gives up after 45 s.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// Largest answer: a hundred of the longest messages with every byte escaped is below.
const ANSWER_MAX: u64 = 64 << 20;

/// Bytes of a file that are copied at once.
const COPIED: usize = 256 * 1024;

/// A node's API.
pub struct Client {
    agent: ureq::Agent,
    base: String,
    bearer: Zeroizing<String>,
    home: Home,
}

impl Client {
    /// The API of the node that runs for this home.
    ///
    /// # Errors
    /// `no_node`; `home_denied` or `home_damaged` when the files that name it can not be read.
    pub fn connect(home: Home) -> Result<Self, Problem> {
        let api = home.read_api()?.ok_or_else(|| no_node(&home))?;
        let token = match std::env::var("PARLOR_TOKEN").ok().map(Zeroizing::new).filter(|told| !told.trim().is_empty())
        {
            Some(told) if told.trim().bytes().all(|byte| byte.is_ascii_alphanumeric()) => told,
            Some(_) => return Err(Problem::new(Code::Usage, "PARLOR_TOKEN holds no token")),
            None => home.read_token()?.ok_or_else(|| no_node(&home))?,
        };
        let address: SocketAddr = api
            .api
            .strip_prefix("http://")
            .and_then(|a| a.parse().ok())
            .filter(|a: &SocketAddr| a.ip().is_loopback())
            .ok_or_else(|| Problem::new(Code::HomeDamaged, format!("{} is damaged", home.api_file().display())))?;
        TcpStream::connect_timeout(&address, CONNECT_TIME).map_err(|_| no_node(&home))?;
        if !is_owned(&home) {
            return Err(no_node(&home));
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIME))
            .timeout_global(Some(ANSWER_TIME))
            .build();
        let bearer = Zeroizing::new(format!("Bearer {}", token.trim()));
        Ok(Self { agent: agent.into(), base: format!("{}{PREFIX}", api.api), bearer, home })
    }

    /// The home of the node.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Asks for something.
    ///
    /// # Errors
    /// What the node answers; `no_node` when it is gone.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        json(self.call(Method::GET, path, (), ANSWER_TIME)?)
    }

    /// Asks for something that may take `time` longer than usual.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_within<T: DeserializeOwned>(&self, path: &str, time: Duration) -> Result<T, Problem> {
        json(self.call(Method::GET, path, (), ANSWER_TIME + time)?)
    }

    /// Asks to do something that a body describes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        self.send_within(method, path, body, Duration::ZERO)
    }

    /// The same, which may take `time` longer than usual.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn send_within<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        time: Duration,
    ) -> Result<T, Problem> {
        json(self.call(method, path, as_json(body)?, ANSWER_TIME + time)?)
    }

    /// Asks to do something whose answer is empty.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn act(&self, method: Method, path: &str) -> Result<(), Problem> {
        self.call(method, path, (), ANSWER_TIME).map(drop)
    }

    /// Asks to do something that a body describes, and whose answer is empty.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn send_quietly(&self, method: Method, path: &str, body: &impl Serialize) -> Result<(), Problem> {
        self.call(method, path, as_json(body)?, ANSWER_TIME).map(drop)
    }

    /// Asks with a JSON body for bytes of another type.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn bytes(&self, path: &str, body: &impl Serialize) -> Result<Vec<u8>, Problem> {
        let mut response = self.call(Method::POST, path, as_json(body)?, ANSWER_TIME)?;
        response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec().map_err(|e| broken(&e))
    }

    /// Sends bytes of another type.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn send_bytes<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> Result<T, Problem> {
        json(self.call(Method::POST, path, bytes, ANSWER_TIME)?)
    }

    /// Puts bytes of another type.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn put_bytes<T: DeserializeOwned>(&self, path: &str, bytes: Vec<u8>) -> Result<T, Problem> {
        json(self.call(Method::PUT, path, bytes, ANSWER_TIME)?)
    }

    /// Asks for bytes of another type.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_bytes(&self, path: &str) -> Result<Vec<u8>, Problem> {
        let mut response = self.call(Method::GET, path, (), ANSWER_TIME)?;
        response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec().map_err(|e| broken(&e))
    }

    /// Sends the bytes of a file, as long as it takes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn upload<T: DeserializeOwned>(&self, path: &str, mut bytes: impl Read) -> Result<T, Problem> {
        let request = self.request(Method::POST, path, ureq::SendBody::from_reader(&mut bytes))?;
        let request =
            self.agent.configure_request(request).timeout_global(None).timeout_recv_response(Some(ANSWER_TIME)).build();
        json(refused(self.agent.run(request).map_err(|e| broken(&e))?)?)
    }

    /// Writes the bytes of a file, as long as it takes; `told` hears how many came.
    ///
    /// # Errors
    /// As [`get`](Self::get); `disk_full` and `internal` when they can not be written.
    pub fn download(&self, path: &str, to: &mut impl Write, told: &mut dyn FnMut(u64)) -> Result<(), Problem> {
        let request = self.request(Method::GET, path, ())?;
        self.copy(request, to, told)
    }

    /// Writes the bytes that are answered to a JSON body, as long as it takes.
    ///
    /// # Errors
    /// As [`download`](Self::download).
    pub fn download_of(&self, path: &str, body: &impl Serialize, to: &mut impl Write) -> Result<(), Problem> {
        let request = self.request(Method::POST, path, as_json(body)?)?;
        self.copy(request, to, &mut |_| {})
    }

    fn copy(
        &self,
        request: Request<impl ureq::AsSendBody>,
        to: &mut impl Write,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), Problem> {
        let request =
            self.agent.configure_request(request).timeout_global(None).timeout_recv_response(Some(ANSWER_TIME)).build();
        let response = refused(self.agent.run(request).map_err(|e| broken(&e))?)?;
        let mut reader = response.into_body().into_reader();
        let mut buffer = vec![0; COPIED];
        let mut came = 0;
        loop {
            let n = reader.read(&mut buffer).map_err(|_| Problem::of(Code::Stopping))?;
            if n == 0 {
                return Ok(());
            }
            let unwritten = |e| crate::save::unwritten("the file could not be written", &e);
            to.write_all(buffer.get(..n).unwrap_or_default()).map_err(unwritten)?;
            came += n as u64;
            told(came);
        }
    }

    /// Events as they happen, until the node stops.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn events(&self, room: Option<&str>) -> Result<impl Iterator<Item = Result<Event, Problem>> + use<>, Problem> {
        let query = room.map_or_else(String::new, |room| format!("?room={}", segment(room)));
        let request = self.request(Method::GET, &format!("/events/stream{query}"), ())?;
        let request = self.agent.configure_request(request).timeout_global(None).build();
        let response = refused(self.agent.run(request).map_err(|e| broken(&e))?)?;
        let lines = BufReader::new(response.into_body().into_reader()).lines();
        Ok(lines.map(|line| {
            let line = line.map_err(|_| Problem::of(Code::Stopping).hint("start the node again, then listen again"))?;
            serde_json::from_str(&line).map_err(|e| garbled(&e))
        }))
    }

    fn request<B>(&self, method: Method, path: &str, body: B) -> Result<Request<B>, Problem> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", self.bearer.as_str())
            .header("content-type", "application/json")
            .body(body)
            .map_err(|e| Problem::new(Code::Internal, format!("the request could not be made: {e}")))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: impl ureq::AsSendBody,
        time: Duration,
    ) -> Result<Response<Body>, Problem> {
        let request = self.request(method, path, body)?;
        let request =
            self.agent.configure_request(request).timeout_global(Some(time)).allow_non_standard_methods(true).build();
        refused(self.agent.run(request).map_err(|e| match e {
            ureq::Error::ConnectionFailed => no_node(&self.home),
            ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => no_node(&self.home),
            other => broken(&other),
        })?)
    }
}

/// A segment of a path or value of a query, such as a name with spaces and slashes.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// No node runs for this home.
pub fn no_node(home: &Home) -> Problem {
    let detail = format!("no node is running for {}", home.dir().display());
    let hint = if home.has_account() {
        "start it with `parlor run`"
    } else {
        "start one with `parlor`: it makes an account first"
    };
    Problem::new(Code::NoNode, detail).hint(hint)
}

/// Whether a node holds the lock of this home now.
pub fn is_owned(home: &Home) -> bool {
    let Ok(lock) = File::open(home.lock_file()) else { return false };
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
}

fn as_json(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|e| Problem::new(Code::Internal, format!("the request could not be written: {e}")))
}

fn json<T: DeserializeOwned>(mut response: Response<Body>) -> Result<T, Problem> {
    let bytes = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec().map_err(|e| broken(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| garbled(&e))
}

/// The problem that a response carries, if it carries one.
fn refused(mut response: Response<Body>) -> Result<Response<Body>, Problem> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status();
    let bytes = response.body_mut().read_to_vec().unwrap_or_default();
    Err(serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Problem::new(Code::Internal, format!("the node answered with status {}", status.as_u16()))))
}

fn broken(error: &ureq::Error) -> Problem {
    match error {
        ureq::Error::Timeout(_) => Problem::new(Code::TimedOut, "the node did not answer in time"),
        _ => Problem::new(Code::Stopping, format!("the connection to the node broke: {error}"))
            .hint("it may have stopped: see `parlor status`; what was asked may be done all the same"),
    }
}

fn garbled(error: &serde_json::Error) -> Problem {
    Problem::new(Code::Internal, format!("the node's answer was not understood: {error}"))
        .hint("node and command may be of different versions: restart the node")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_path() {
        assert_eq!(segment("a/b ?#%é"), "a%2Fb%20%3F%23%25%C3%A9");
    }

    #[test]
    fn without_a_node_nothing_is_sent_and_the_user_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        let problem = Client::connect(home.clone()).err().unwrap();
        assert_eq!((problem.code, problem.code.exit()), (Code::NoNode, 3));
        // A node that was killed left its files, and its port belongs to somebody else now.
        let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let api = format!("http://{}", stranger.local_addr().unwrap());
        home.write_api(&parlor_node::home::ApiFile { api, pid: 1, started_at: String::new() }).unwrap();
        home.token_or(&[7; 32]).unwrap();
        std::fs::write(home.lock_file(), "1\n").unwrap();
        assert_eq!(Client::connect(home).err().unwrap().code, Code::NoNode);
    }
}
