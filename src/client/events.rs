//! Reads a stream of server-sent events (HTML standard, section 9.2.6).

use super::ClientError;
use crate::api::types::Event;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// Longest event, in bytes; what is longer is no stream of this API.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What happens on a node, one event after the other.
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, buffer: Vec::new() }
    }

    /// The next event; `None` when the node has ended the stream.
    ///
    /// # Errors
    /// When the connection breaks, or what comes is no event.
    pub async fn next(&mut self) -> Option<Result<Event, ClientError>> {
        loop {
            while let Some(block) = take_block(&mut self.buffer) {
                if let Some(data) = data_of(&block) {
                    return Some(serde_json::from_slice(&data).map_err(|error| ClientError::Malformed {
                        what: "an event".into(),
                        reason: error.to_string(),
                    }));
                }
            }
            if self.buffer.len() > MAX_EVENT_BYTES {
                let reason = format!("it has more than {MAX_EVENT_BYTES} bytes");
                return Some(Err(ClientError::Malformed { what: "an event".into(), reason }));
            }
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Err(error) => return Some(Err(ClientError::Interrupted(error.to_string()))),
            }
        }
    }
}

/// Takes what comes before the next empty line, that included.
fn take_block(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let rest = buffer.split_off(end + 2);
    Some(std::mem::replace(buffer, rest))
}

/// The data of a block; `None` where it has comments only.
fn data_of(block: &[u8]) -> Option<Vec<u8>> {
    let mut lines = block
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(b"data:"))
        .map(|data| data.strip_prefix(b" ").unwrap_or(data))
        .peekable();
    lines.peek()?;
    Some(lines.collect::<Vec<_>>().join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_end_at_an_empty_line_and_comments_are_passed_over() {
        let mut buffer = b": keep\n\nevent: a\ndata: {\"x\":1}\n\ndata:2\ndata: 3\n\nevent: b\nda".to_vec();
        let mut read = || take_block(&mut buffer).map(|block| data_of(&block));
        assert_eq!(read(), Some(None));
        assert_eq!(read(), Some(Some(b"{\"x\":1}".to_vec())));
        assert_eq!(read(), Some(Some(b"2\n3".to_vec())));
        assert_eq!(read(), None);
        assert_eq!(buffer, b"event: b\nda");
    }
}
