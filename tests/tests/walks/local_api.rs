//! The local API as a web page or another user of the machine meets it: closed, unless the token is shown.

use std::io::{Read, Write};
use std::net::TcpStream;

use parlor_tests::Person;

/// Sends a request for `path` with these headers, as written, and answers status and body.
fn request(alice: &Person, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let mut stream = TcpStream::connect(alice.api()).unwrap();
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

#[test]
fn only_who_holds_the_token_and_comes_from_here_is_answered() {
    let alice = Person::start("Alice");
    let token = std::fs::read_to_string(alice.home().join("token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let (host, token) = (("Host", alice.api()), ("Authorization", bearer.as_str()));
    let status = |headers: &[(&str, &str)]| request(&alice, "/api/v1/status", headers).0;
    assert_eq!(status(&[host, token]), 200);
    assert_eq!(status(&[host]), 401, "no token");
    assert_eq!(status(&[host, ("Authorization", "Bearer 00")]), 401, "a wrong token");
    assert_eq!(status(&[("Host", "parlor.example"), token]), 421, "a name that leads here (DNS rebinding)");
    assert_eq!(status(&[host, token, ("Origin", "https://parlor.example")]), 403, "a web page from elsewhere");
    assert_eq!(status(&[host, token, ("Sec-Fetch-Site", "cross-site")]), 403, "a web page from elsewhere");
}

#[test]
fn the_api_describes_itself() {
    let alice = Person::start("Alice");
    let token = std::fs::read_to_string(alice.home().join("token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let headers = [("Host", alice.api()), ("Authorization", bearer.as_str())];
    let (status, body) = request(&alice, "/api/v1/openapi.json", &headers);
    assert_eq!(status, 200);
    for path in ["/rooms", "/join", "/status"] {
        assert!(body.contains(path), "{path} is described");
    }
}
