//! `/parlor/join/1`: a stream carries one request and one answer, each a [`crate::message`].

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use libp2p::{StreamProtocol, request_response};

use crate::limits::{REQUEST_MAX, RESPONSE_MAX};
use crate::message::{read, write};

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
        write(io, &request).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, response: Bytes) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}
