//! The messages of the gossip API, byte for byte. All numbers are big-endian; `size` counts the whole message.
//!
//! | type | name | direction | bytes |
//! |---|---|---|---|
//! | 500 | ANNOUNCE | module → node | u16 size, u16 500, u8 TTL, u8 reserved, u16 data type, data |
//! | 501 | NOTIFY | module → node | u16 8, u16 501, u16 reserved, u16 data type |
//! | 502 | NOTIFICATION | node → module | u16 size, u16 502, u16 message id, u16 data type, data |
//! | 503 | VALIDATION | module → node | u16 8, u16 503, u16 message id, 15 bits reserved, 1 bit valid |

use tokio::io::{AsyncRead, AsyncReadExt};

/// Number of ANNOUNCE.
pub const ANNOUNCE: u16 = 500;
/// Number of NOTIFY.
pub const NOTIFY: u16 = 501;
/// Number of NOTIFICATION.
pub const NOTIFICATION: u16 = 502;
/// Number of VALIDATION.
pub const VALIDATION: u16 = 503;

/// Bytes of a header, and of a message without data.
pub const HEADER_BYTES: usize = 8;

/// Most bytes of a message: what its size can say.
pub const MAX_MESSAGE_BYTES: usize = u16::MAX as usize;

/// What a module says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromModule {
    /// Spread this.
    Announce {
        /// 0: no limit; otherwise the hops that it may go.
        ttl: u8,
        /// Kind of the data.
        data_type: u16,
        /// The data, at least one byte.
        data: Vec<u8>,
    },
    /// Tell me of this type from now on.
    Notify {
        /// The type.
        data_type: u16,
    },
    /// What I think of a notification.
    Validation {
        /// Its message id.
        id: u16,
        /// Whether the data is well-formed.
        valid: bool,
    },
}

/// What the node says: a NOTIFICATION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// What the VALIDATION names.
    pub id: u16,
    /// Kind of the data.
    pub data_type: u16,
    /// The data.
    pub data: Vec<u8>,
}

/// What is wrong with what came.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A type that is none of the expected ones.
    #[error("a message of type {0}, expected {1}")]
    UnknownType(u16, &'static str),
    /// A size that a message of this type cannot have.
    #[error("a message of type {message_type} with size {size}, expected {expected}")]
    WrongSize {
        /// The type.
        message_type: u16,
        /// The size.
        size: u16,
        /// What it may be.
        expected: &'static str,
    },
    /// An ANNOUNCE without data.
    #[error("an ANNOUNCE without data")]
    NoData,
    /// The stream ended within a message.
    #[error("the stream ended within a message: {found} of {expected} bytes")]
    CutShort {
        /// Bytes that came.
        found: usize,
        /// Bytes that the message has; of the header alone while its size is not known.
        expected: usize,
    },
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] std::io::Error),
}

/// A message as it came: its type, the four bytes after it, and the rest.
struct Raw {
    message_type: u16,
    fields: [u8; 4],
    data: Vec<u8>,
}

/// Reads until `buffer` is full, or the stream ends; says how much it got.
async fn fill(reader: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut found = 0;
    while found < buffer.len() {
        match reader.read(&mut buffer[found..]).await? {
            0 => break,
            more => found += more,
        }
    }
    Ok(found)
}

/// Reads one message; `None` at the end of the stream. What is wrong with type or size is seen before the rest is
/// waited for.
async fn read_raw(
    reader: &mut (impl AsyncRead + Unpin),
    check: fn(u16, u16) -> Result<(), ReadError>,
) -> Result<Option<Raw>, ReadError> {
    let mut head = [0; 4];
    match fill(reader, &mut head).await? {
        0 => return Ok(None),
        4 => {}
        found => return Err(ReadError::CutShort { found, expected: HEADER_BYTES }),
    }
    let [size, message_type] = [[head[0], head[1]], [head[2], head[3]]].map(u16::from_be_bytes);
    check(message_type, size)?;
    let expected = usize::from(size);
    let mut rest = vec![0; expected - head.len()];
    let found = head.len() + fill(reader, &mut rest).await?;
    if found < expected {
        return Err(ReadError::CutShort { found, expected });
    }
    let data = rest.split_off(4);
    Ok(Some(Raw { message_type, fields: [rest[0], rest[1], rest[2], rest[3]], data }))
}

fn check_from_module(message_type: u16, size: u16) -> Result<(), ReadError> {
    let wrong = |expected| Err(ReadError::WrongSize { message_type, size, expected });
    match (message_type, usize::from(size)) {
        (ANNOUNCE, HEADER_BYTES) => Err(ReadError::NoData),
        (ANNOUNCE, ..HEADER_BYTES) => wrong("more than 8"),
        (ANNOUNCE, _) | (NOTIFY | VALIDATION, HEADER_BYTES) => Ok(()),
        (NOTIFY | VALIDATION, _) => wrong("8"),
        _ => Err(ReadError::UnknownType(message_type, "500, 501 or 503")),
    }
}

fn check_from_node(message_type: u16, size: u16) -> Result<(), ReadError> {
    match (message_type, usize::from(size)) {
        (NOTIFICATION, ..=HEADER_BYTES) => {
            Err(ReadError::WrongSize { message_type, size, expected: "more than 8" })
        }
        (NOTIFICATION, _) => Ok(()),
        _ => Err(ReadError::UnknownType(message_type, "502")),
    }
}

impl FromModule {
    /// Reads one message; `None` at the end of the stream between two messages.
    ///
    /// # Errors
    /// One [`ReadError`] for each rule of the format.
    pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, ReadError> {
        let Some(Raw { message_type, fields: [a, b, c, d], data }) =
            read_raw(reader, check_from_module).await?
        else {
            return Ok(None);
        };
        Ok(Some(match message_type {
            ANNOUNCE => Self::Announce { ttl: a, data_type: u16::from_be_bytes([c, d]), data },
            NOTIFY => Self::Notify { data_type: u16::from_be_bytes([c, d]) },
            _ => Self::Validation { id: u16::from_be_bytes([a, b]), valid: d & 1 == 1 },
        }))
    }

    /// Its bytes. Data beyond what a message holds is the caller's to refuse.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Announce { ttl, data_type, data } => message(ANNOUNCE, [*ttl, 0], *data_type, data),
            Self::Notify { data_type } => message(NOTIFY, [0, 0], *data_type, &[]),
            Self::Validation { id, valid } => message(VALIDATION, id.to_be_bytes(), u16::from(*valid), &[]),
        }
    }
}

impl Notification {
    /// Reads one message; `None` at the end of the stream between two messages.
    ///
    /// # Errors
    /// One [`ReadError`] for each rule of the format.
    pub async fn read(reader: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, ReadError> {
        let raw = read_raw(reader, check_from_node).await?;
        Ok(raw.map(|Raw { fields: [a, b, c, d], data, .. }| Self {
            id: u16::from_be_bytes([a, b]),
            data_type: u16::from_be_bytes([c, d]),
            data,
        }))
    }
}

/// The bytes of a NOTIFICATION.
pub fn notification(id: u16, data_type: u16, data: &[u8]) -> Vec<u8> {
    message(NOTIFICATION, id.to_be_bytes(), data_type, data)
}

fn message(message_type: u16, fields: [u8; 2], last: u16, data: &[u8]) -> Vec<u8> {
    debug_assert!(HEADER_BYTES + data.len() <= MAX_MESSAGE_BYTES, "{} bytes of data", data.len());
    let size = (HEADER_BYTES + data.len()) as u16;
    let mut bytes = Vec::with_capacity(usize::from(size));
    bytes.extend(size.to_be_bytes());
    bytes.extend(message_type.to_be_bytes());
    bytes.extend(fields);
    bytes.extend(last.to_be_bytes());
    bytes.extend(data);
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        conclave_ledger::bytes::from_hex(&text.replace(' ', "")).unwrap()
    }

    fn read(mut bytes: &[u8]) -> Result<Option<FromModule>, ReadError> {
        futures::executor::block_on(FromModule::read(&mut bytes))
    }

    #[test]
    fn the_vectors_of_the_format() {
        let announce = FromModule::Announce { ttl: 4, data_type: 1337, data: b"deadbeef".to_vec() };
        let bytes = hex("0010 01F4 04 00 0539 6465616462656566");
        assert_eq!(announce.encode(), bytes);
        assert_eq!(read(&bytes).unwrap(), Some(announce));
        let bytes = hex("0010 01F6 B8A3 0539 6465616462656566");
        assert_eq!(notification(0xb8a3, 1337, b"deadbeef"), bytes);
        let read = futures::executor::block_on(Notification::read(&mut bytes.as_slice())).unwrap();
        assert_eq!(read, Some(Notification { id: 0xb8a3, data_type: 1337, data: b"deadbeef".to_vec() }));
        for (message, text) in [
            (FromModule::Notify { data_type: 1337 }, "0008 01F5 0000 0539"),
            (FromModule::Validation { id: 0xb8a3, valid: true }, "0008 01F7 B8A3 0001"),
            (FromModule::Validation { id: 0xb8a3, valid: false }, "0008 01F7 B8A3 0000"),
        ] {
            assert_eq!(message.encode(), hex(text));
            assert_eq!(super::tests::read(&hex(text)).unwrap(), Some(message));
        }
    }

    #[test]
    fn reserved_bits_are_not_looked_at() {
        assert_eq!(read(&hex("0008 01F5 FFFF 0007")).unwrap(), Some(FromModule::Notify { data_type: 7 }));
        let valid = |valid| Some(FromModule::Validation { id: 1, valid });
        assert_eq!(read(&hex("0008 01F7 0001 FFFE")).unwrap(), valid(false));
        assert_eq!(read(&hex("0008 01F7 0001 FFFF")).unwrap(), valid(true));
        let announced = read(&hex("0009 01F4 00 FF 0007 61")).unwrap();
        assert_eq!(announced, Some(FromModule::Announce { ttl: 0, data_type: 7, data: vec![0x61] }));
    }

    #[test]
    fn each_broken_rule_is_named() {
        for (text, says) in [
            ("0008 01F4 00 00 0001", "without data"),
            ("0007 01F4 00 00 00", "size 7, expected more than 8"),
            ("0009 01F5 0000 0539 00", "size 9, expected 8"),
            ("0000 01F7", "size 0, expected 8"),
            ("0010 01F6 B8A3 0539", "type 502, expected 500, 501 or 503"),
            ("4745 5420", "type 21536"),
            ("0008 01", "3 of 8 bytes"),
            ("0008 01F5 00", "5 of 8 bytes"),
            ("0010 01F4 00 00 0001 6162", "10 of 16 bytes"),
        ] {
            let error = read(&hex(text)).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert_eq!(read(&[]).unwrap(), None);
    }

    #[test]
    fn the_longest_message_is_read() {
        let data = vec![7; MAX_MESSAGE_BYTES - HEADER_BYTES];
        let announce = FromModule::Announce { ttl: 0, data_type: 1, data };
        assert_eq!(announce.encode().len(), MAX_MESSAGE_BYTES);
        assert_eq!(read(&announce.encode()).unwrap(), Some(announce));
    }
}
