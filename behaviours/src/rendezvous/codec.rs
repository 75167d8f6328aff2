//! One request and one response on a substream: a length as an unsigned varint, and that many bytes.

use super::wire::{self, MAX_RESPONSE_BYTES, Request, Response};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use std::io;

/// Most bytes of a length: [`MAX_RESPONSE_BYTES`] needs three.
const MAX_LENGTH_BYTES: usize = 4;

/// Writes requests, reads responses. Requests are never read: the server's side is not served here.
#[derive(Clone, Debug, Default)]
pub struct Codec;

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, _: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, stream: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read_frame(stream, MAX_RESPONSE_BYTES).await? {
            Some(bytes) => wire::decode(&bytes),
            None => Ok(Response::Nothing),
        }
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        stream: &mut T,
        request: Request,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(stream, &wire::encode(request)).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, _: &mut T, _: Response) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Reads a frame of at most `limit` bytes; `None` if the substream ends before one begins.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Option<Vec<u8>>> {
    let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut length = 0usize;
    for position in 0..MAX_LENGTH_BYTES {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if position == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * position);
        if length > limit {
            return Err(wrong(format!("a message of {length} bytes or more, when {limit} are allowed")));
        }
        if byte[0] & 0x80 == 0 {
            let mut bytes = vec![0; length];
            stream.read_exact(&mut bytes).await?;
            return Ok(Some(bytes));
        }
    }
    Err(wrong("a length that does not end".into()))
}

/// Writes a frame; the substream stays open for the answer.
pub(crate) async fn write_frame(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(bytes.len() + MAX_LENGTH_BYTES);
    let mut length = bytes.len();
    while length >= 0x80 {
        frame.push(length as u8 | 0x80);
        length >>= 7;
    }
    frame.push(length as u8);
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).await?;
    stream.flush().await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures::{executor::block_on, io::Cursor};

    #[test]
    fn frames_read_back() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, MAX_RESPONSE_BYTES] {
            let mut stream = Cursor::new(Vec::new());
            block_on(write_frame(&mut stream, &vec![7; length])).unwrap();
            stream.set_position(0);
            let read = block_on(read_frame(&mut stream, MAX_RESPONSE_BYTES)).unwrap();
            assert_eq!(read, Some(vec![7; length]));
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for (bytes, error) in [
            (&[0x81, 0x80, 0x80, 0x80, 0x00][..], "does not end"),
            (&[0xff, 0xff, 0xff, 0x7f], "are allowed"),
            (&[0x80], "end of file"),
            (&[0x05, 1, 2], "end of file"),
        ] {
            let read = block_on(read_frame(&mut Cursor::new(bytes), MAX_RESPONSE_BYTES));
            let found = read.unwrap_err().to_string();
            assert!(found.contains(error), "{bytes:?}: {found}");
        }
        assert_eq!(block_on(read_frame(&mut Cursor::new(&[][..]), 10)).unwrap(), None);
    }
}
