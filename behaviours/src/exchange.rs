//! Requests and responses as bytes, with a bound on each: what handshake and sync travel in.
//!
//! One that is longer than its bound is handed on cut off, one byte longer than the bound: libp2p does not say whose
//! request it failed to read, and whoever decodes what comes checks its length anyway, and can blame the sender.
//! A request whose [`ResponseChannel`] is dropped fails at the other side at once: the substream ends without a byte.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use std::{io, time::Duration};

/// Configuration of an exchange.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the protocol, such as `/conclave/1a2b3c4d5e6f7081/sync/1`.
    pub name: String,
    /// Longest request, in bytes; of a longer one the first `max_request_bytes + 1` are handed on.
    pub max_request_bytes: u64,
    /// Longest response, in bytes; of a longer one the first `max_response_bytes + 1` are handed on.
    pub max_response_bytes: u64,
    /// After this time without a response a request has failed.
    pub timeout: Duration,
    /// Most requests and responses under way on one connection.
    pub max_concurrent: usize,
}

/// Reads and writes whole substreams, up to a bound.
#[derive(Clone, Debug)]
pub struct Codec {
    max_request_bytes: u64,
    max_response_bytes: u64,
}

/// The behaviour: libp2p's request-response over [`Codec`].
pub type Behaviour = request_response::Behaviour<Codec>;
/// Its events.
pub type Event = request_response::Event<Vec<u8>, Vec<u8>>;
/// Where the response to an inbound request goes.
pub type ResponseChannel = request_response::ResponseChannel<Vec<u8>>;

/// The behaviour of one protocol.
pub fn behaviour(config: &Config) -> Behaviour {
    let name = StreamProtocol::try_from_owned(config.name.clone())
        .expect("the composition gives names that begin with a slash");
    let codec =
        Codec { max_request_bytes: config.max_request_bytes, max_response_bytes: config.max_response_bytes };
    let limits = request_response::Config::default()
        .with_request_timeout(config.timeout)
        .with_max_concurrent_streams(config.max_concurrent);
    Behaviour::with_codec(codec, [(name, ProtocolSupport::Full)], limits)
}

/// Everything up to the end of the substream, or one byte more than `limit`.
async fn read(stream: &mut (impl AsyncRead + Unpin + Send), limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(limit + 1).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

async fn write(stream: &mut (impl AsyncWrite + Unpin + Send), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(stream, self.max_request_bytes).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        let response = read(stream, self.max_response_bytes).await?;
        if response.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the request was not answered"));
        }
        Ok(response)
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(stream, &request).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        response: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(stream, &response).await
    }
}
