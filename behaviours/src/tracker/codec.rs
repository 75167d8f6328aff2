//! Reads requests and writes responses; see the client's side for the framing.

use super::server::RefusalReason;
use crate::rendezvous::{
    codec::{read_frame, write_frame},
    record::MAX_RECORD_BYTES,
    wire::{self, Incoming},
};
use futures::{AsyncRead, AsyncWrite};
use libp2p::{StreamProtocol, request_response};
use std::io;

/// Longest request that is read, in bytes: a record and what is around it.
const MAX_REQUEST_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// What a tracker answers. To `Unregister` there is no answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Registered for so long.
    Registered {
        /// In seconds.
        ttl_seconds: u64,
    },
    /// Signed records.
    Discovered {
        /// Under which name.
        namespace: String,
        /// Each with the seconds that it has left.
        records: Vec<(Vec<u8>, u64)>,
        /// To be shown with the next question.
        cookie: Vec<u8>,
    },
    /// A registration is refused.
    NotRegistered(RefusalReason),
    /// A question is refused.
    NotDiscovered(RefusalReason),
}

/// The codec.
#[derive(Clone, Debug, Default)]
pub struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Incoming;
    type Response = Answer;

    async fn read_request<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Incoming>
    where
        T: AsyncRead + Unpin + Send,
    {
        let bytes = read_frame(stream, MAX_REQUEST_BYTES).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        wire::decode_request(&bytes)
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, _: &mut T, _: Incoming) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        answer: Answer,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(stream, &wire::encode_answer(answer)).await
    }
}
