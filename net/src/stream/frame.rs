//! Framing: `u32` length, big-endian, then that many bytes.
//!
//! Reading waits for ever for the first byte of a frame and has a deadline for the rest. Memory follows the bytes that came, not
//! the length that was promised.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Memory given to a frame before its bytes come.
const FIRST_CHUNK: usize = 64 * 1024;

/// Why reading or writing a frame failed.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The stream ended between two frames.
    End,
    /// The length is 0 or above the limit.
    Length,
    /// The deadline passed.
    Late,
    /// The stream broke.
    Io,
}

impl From<io::Error> for FrameError {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// Reads one frame of at most `max` bytes.
pub(crate) async fn read(
    io: &mut (impl AsyncRead + Unpin),
    max: usize,
    deadline: Duration,
) -> Result<Bytes, FrameError> {
    let mut first = [0];
    if io.read(&mut first).await? == 0 {
        return Err(FrameError::End);
    }
    let rest = async {
        let mut others = [0; 3];
        io.read_exact(&mut others).await?;
        let ([a], [b, c, d]) = (first, others);
        let len = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| FrameError::Length)?;
        if len == 0 || len > max {
            return Err(FrameError::Length);
        }
        let mut body = Vec::with_capacity(len.min(FIRST_CHUNK));
        while body.len() < len {
            let have = body.len();
            body.resize(len.min(have.max(FIRST_CHUNK / 2) * 2), 0);
            if let Some(fresh) = body.get_mut(have..) {
                io.read_exact(fresh).await?;
            }
        }
        Ok(body.into())
    };
    timeout(deadline, rest).await.map_err(|_| FrameError::Late)?
}

/// Writes one frame; flushing is the caller's.
pub(crate) async fn write(
    io: &mut (impl AsyncWrite + Unpin),
    data: &[u8],
    deadline: Duration,
) -> Result<(), FrameError> {
    let len = u32::try_from(data.len()).map_err(|_| FrameError::Length)?;
    let all = async {
        io.write_all(&len.to_be_bytes()).await?;
        io.write_all(data).await
    };
    Ok(timeout(deadline, all).await.map_err(|_| FrameError::Late)??)
}

/// Flushes within the deadline.
pub(crate) async fn flush(io: &mut (impl AsyncWrite + Unpin), deadline: Duration) -> Result<(), FrameError> {
    Ok(timeout(deadline, io.flush()).await.map_err(|_| FrameError::Late)??)
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn frames_of_every_size_come_back() {
        let mut wire = Cursor::new(Vec::new());
        let sizes = [1, 2, FIRST_CHUNK - 1, FIRST_CHUNK, FIRST_CHUNK + 1, 3 * FIRST_CHUNK];
        for len in sizes {
            write(&mut wire, &vec![7; len], DEADLINE).await.unwrap();
        }
        wire.set_position(0);
        for len in sizes {
            assert_eq!(read(&mut wire, 3 * FIRST_CHUNK, DEADLINE).await.unwrap(), vec![7; len]);
        }
        assert!(matches!(read(&mut wire, 9, DEADLINE).await, Err(FrameError::End)));
    }

    #[tokio::test]
    async fn empty_and_oversize_and_cut_frames_are_errors() {
        for bytes in [&[0, 0, 0, 0][..], &[0, 0, 0, 11], &[255; 4]] {
            let mut wire = Cursor::new(bytes.to_vec());
            assert!(matches!(read(&mut wire, 10, DEADLINE).await, Err(FrameError::Length)));
        }
        for bytes in [&[0][..], &[0, 0, 0, 2, 1]] {
            let mut wire = Cursor::new(bytes.to_vec());
            assert!(matches!(read(&mut wire, 10, DEADLINE).await, Err(FrameError::Io)));
        }
    }
}
