//! What a stream of the network brings before anybody looks at it: the frames of a sync stream with the hello at its beginning,
//! and the messages of a join.
//!
//! The files of `net` that read them name no transport, so they are built here without one.

use std::time::Duration;

use futures::executor::block_on;
use futures::io::Cursor;

#[path = "../../net/src/stream/frame.rs"]
#[allow(dead_code, reason = "only reading is tried")]
mod frame;
#[path = "../../net/src/stream/hello.rs"]
#[allow(dead_code, reason = "the length of a hello is the stream's business")]
mod hello;
#[path = "../../net/src/message.rs"]
mod message;

/// Longest frame tried: many times the chunk that is given to a frame at first.
const MAX: usize = 1 << 20;
/// Nobody waits here.
const DEADLINE: Duration = Duration::from_secs(3_600);

/// Frames one after the other, a hello, and a message of a join.
pub fn frames(data: &[u8]) {
    if let Ok(read) = hello::Hello::decode(data) {
        assert!(data.starts_with(&read.encode()), "a hello is written as it was read");
    }
    if let Ok(read) = block_on(message::read(&mut Cursor::new(data), MAX)) {
        let mut again = Cursor::new(Vec::new());
        assert!(block_on(message::write(&mut again, &read)).is_ok() && data.starts_with(again.get_ref()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let mut stream = Cursor::new(data);
        let mut taken = 0;
        while let Ok(read) = frame::read(&mut stream, MAX, DEADLINE).await {
            assert!(!read.is_empty() && data[taken + 4..].starts_with(&read), "a frame is the bytes that came");
            taken += 4 + read.len();
            assert_eq!(stream.position(), taken as u64, "a frame ends where its length says");
        }
    });
}
