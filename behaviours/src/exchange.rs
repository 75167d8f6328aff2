//! Requests and responses as bytes, with a bound on each: what handshake and sync travel in.
//!
//! A message goes behind its length, in four bytes, big-endian. A substream that ends before that many have come (a
//! connection that broke, a peer that gave up after its timeout in the middle of a long answer) is a request that
//! failed, and nobody's fault; a request whose [`ResponseChannel`] is dropped fails so at once. Whatever is complete is
//! the sender's own doing.
//!
//! A message that is longer than its bound is handed on cut off, one byte longer than the bound: libp2p does not say
//! whose request it failed to read, and whoever decodes what comes checks its length anyway, and can blame the sender.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{
    StreamProtocol,
    request_response::{self, ProtocolSupport},
};
use std::{io, time::Duration};

/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 4;

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
    /// Where a message ends.
    pub framing: Framing,
}

/// How the end of a message is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By the length before it.
    Length,
    /// By the end of the substream: for protocols that others define, and for those who write whatever they like.
    Substream,
}

/// Reads and writes messages, up to a bound.
#[derive(Clone, Debug)]
pub struct Codec {
    framing: Framing,
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
    let codec = Codec {
        framing: config.framing,
        max_request_bytes: config.max_request_bytes,
        max_response_bytes: config.max_response_bytes,
    };
    let limits = request_response::Config::default()
        .with_request_timeout(config.timeout)
        .with_max_concurrent_streams(config.max_concurrent);
    Behaviour::with_codec(codec, [(name, ProtocolSupport::Full)], limits)
}

impl Codec {
    /// One message, or of a longer one the first `limit + 1` bytes.
    async fn read(&self, stream: &mut (impl AsyncRead + Unpin + Send), limit: u64) -> io::Result<Vec<u8>> {
        let most = limit + 1;
        let (least, most) = match self.framing {
            Framing::Length => {
                let mut length = [0; LENGTH_BYTES];
                stream.read_exact(&mut length).await?;
                let length = u64::from(u32::from_be_bytes(length)).min(most);
                (length, length)
            }
            Framing::Substream => (0, most),
        };
        let mut bytes = Vec::new();
        stream.take(most).read_to_end(&mut bytes).await?;
        if (bytes.len() as u64) < least {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the message was cut off"));
        }
        Ok(bytes)
    }

    async fn write(&self, stream: &mut (impl AsyncWrite + Unpin + Send), bytes: &[u8]) -> io::Result<()> {
        if self.framing == Framing::Length {
            let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            stream.write_all(&length.to_be_bytes()).await?;
        }
        stream.write_all(bytes).await?;
        stream.close().await
    }
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(stream, self.max_request_bytes).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(stream, self.max_response_bytes).await
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
        self.write(stream, &request).await
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
        self.write(stream, &response).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};

    const LIMIT: u64 = 5;

    fn read(framing: Framing, stream: &[u8]) -> io::Result<Vec<u8>> {
        let codec = Codec { framing, max_request_bytes: LIMIT, max_response_bytes: LIMIT };
        block_on(codec.read(&mut Cursor::new(stream), LIMIT))
    }

    #[test]
    fn a_message_is_read_as_it_was_written_and_one_that_is_too_long_can_be_told() {
        for framing in [Framing::Length, Framing::Substream] {
            let codec = Codec { framing, max_request_bytes: LIMIT, max_response_bytes: LIMIT };
            for message in [&b""[..], b"five5", b"sixsix", b"longer still"] {
                let mut stream = Cursor::new(Vec::new());
                block_on(codec.write(&mut stream, message)).unwrap();
                let cut = &message[..message.len().min(LIMIT as usize + 1)];
                assert_eq!(read(framing, stream.get_ref()).unwrap(), cut, "{framing:?}");
            }
        }
    }

    /// Nobody is blamed for what the network has cut off: it never becomes a message.
    #[test]
    fn a_message_that_is_cut_off_is_an_error_and_no_message() {
        let whole = [&[0, 0, 0, 5], &b"five5"[..]].concat();
        for end in 0..whole.len() {
            let error = read(Framing::Length, &whole[..end]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{end} bytes");
        }
        assert_eq!(read(Framing::Length, &whole).unwrap(), b"five5");
        assert_eq!(read(Framing::Length, &[0, 0, 0, 0]).unwrap(), b"", "which is complete");
    }
}
