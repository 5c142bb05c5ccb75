//! `/parlor/join/1` on the wire: one request, one answer, each the whole of its half of a stream.
//!
//! A side reads to the end of the half, at most one byte past its limit, so a longer message is an error and not memory.

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};

use crate::limits::{REQUEST_MAX, RESPONSE_MAX};

/// The protocol's name.
pub(crate) const PROTOCOL: StreamProtocol = StreamProtocol::new("/parlor/join/1");

/// Reads and writes whole messages within their limits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct JoinCodec;

impl request_response::Codec for JoinCodec {
    type Protocol = StreamProtocol;
    type Request = Bytes;
    type Response = Bytes;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, REQUEST_MAX).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Bytes>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io, RESPONSE_MAX).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, request: Bytes) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Bytes) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&response).await
    }
}

async fn read(io: &mut (impl AsyncRead + Unpin + Send), max: usize) -> io::Result<Bytes> {
    let mut data = Vec::new();
    let mut limited = io.take(max as u64 + 1);
    limited.read_to_end(&mut data).await?;
    if data.len() > max {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message above its limit"));
    }
    Ok(data.into())
}
