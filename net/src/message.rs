//! One message of a stream that carries a request and an answer: `u32` length, big-endian, and that many bytes.
//!
//! The length is there because a stream that is given up ends like one that is finished: without it, no answer would look like an
//! empty one. Memory follows the bytes that come, not the length that was promised.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Reads a message of at most `max` bytes.
pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin + Send), max: usize) -> io::Result<Bytes> {
    let mut len = [0; 4];
    io.read_exact(&mut len).await?;
    let len = u32::from_be_bytes(len);
    if usize::try_from(len).is_ok_and(|it| it > max) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message above its limit"));
    }
    let mut data = Vec::new();
    if io.take(len.into()).read_to_end(&mut data).await? < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(data.into())
}

/// Writes a message.
pub(crate) async fn write(io: &mut (impl AsyncWrite + Unpin + Send), data: &[u8]) -> io::Result<()> {
    let len = u32::try_from(data.len()).map_err(io::Error::other)?;
    io.write_all(&len.to_be_bytes()).await?;
    io.write_all(data).await
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    async fn read_back(bytes: &[u8]) -> Result<Bytes, io::ErrorKind> {
        read(&mut Cursor::new(bytes.to_vec()), 3).await.map_err(|it| it.kind())
    }

    #[tokio::test]
    async fn messages_come_back_and_cut_or_long_ones_are_errors() {
        let mut wire = Cursor::new(Vec::new());
        write(&mut wire, b"abc").await.unwrap();
        assert_eq!(read_back(wire.get_ref()).await, Ok("abc".into()));
        assert_eq!(read_back(&[0, 0, 0, 0]).await, Ok("".into()));
        assert_eq!(read_back(b"").await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read_back(&[0, 0, 0, 3, 1]).await, Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read_back(&[0, 0, 0, 4, 1, 1, 1, 1]).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read_back(&[255; 9]).await, Err(io::ErrorKind::InvalidData));
    }
}
