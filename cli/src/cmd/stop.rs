//! `parlor stop`: stops the running node and returns when the home is free.

use std::thread::sleep;
use std::time::{Duration, Instant};

use parlor_api::{Code, Problem};
use ureq::http::Method;

use crate::client::{Client, is_owned};
use crate::out::{Done, Out};

/// Time for a node to stop: it finishes answers (5 s) and writes to disk.
const STOP_TIME: Duration = Duration::from_secs(30);

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Runs it.
///
/// # Errors
/// `timed_out` when it still runs after half a minute.
pub fn run(node: &Client, out: &mut Out) -> Done {
    node.act(Method::POST, "/stop")?;
    let begun = Instant::now();
    while is_owned(node.home()) {
        if begun.elapsed() > STOP_TIME {
            let problem = Problem::new(Code::TimedOut, "the node is still stopping");
            return Err(problem.hint("wait a little; it writes what it holds to disk").into());
        }
        sleep(LOOK);
    }
    if out.is_json() {
        return out.json(&serde_json::json!({"stopped": true}));
    }
    out.note("The node has stopped.");
    Ok(())
}
