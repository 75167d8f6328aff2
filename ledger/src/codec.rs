//! Canonical CBOR (RFC 8949): one value, one encoding.
//!
//! Everything on the wire and on disk is written by [`encode`] and read by [`decode`], which encodes again what it
//! has read and refuses input that differs by a bit: longer integer forms, indefinite lengths, reordered or
//! unknown fields and trailing bytes are all refused by that single rule. Structures are maps from field names in
//! the order of declaration; variants are maps of one entry, or text where they carry nothing.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not the canonical form of a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than the caller allows; nothing was read.
    #[error("{length} bytes, more than the {limit} allowed")]
    TooLong {
        /// Length found, in bytes.
        length: usize,
        /// Length allowed, in bytes.
        limit: usize,
    },
    /// Not CBOR, cut short, or not of the expected shape.
    #[error("malformed: {0}")]
    Malformed(String),
    /// A well-formed value, but not in its one canonical encoding.
    #[error("not canonical: the value has a different encoding")]
    NotCanonical,
}

/// The canonical encoding of `value`.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    cbor4ii::serde::to_vec(Vec::with_capacity(128), &value)
        .expect("the types of this project have only shapes that CBOR holds, and memory is the only writer")
}

/// Reads a value from its canonical encoding of at most `limit` bytes.
///
/// # Errors
/// One [`DecodeError`] for each way in which the input can fall short.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { length: bytes.len(), limit });
    }
    let value: T =
        cbor4ii::serde::from_slice(bytes).map_err(|error| DecodeError::Malformed(error.to_string()))?;
    if encode(&value) == bytes { Ok(value) } else { Err(DecodeError::NotCanonical) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: u64,
        name: Option<String>,
    }

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let point = Point { x: 7, name: Some("seven".into()) };
        let bytes = encode(&point);
        assert_eq!(decode::<Point>(&bytes, 64).unwrap(), point);
        assert_eq!(decode::<Point>(&bytes, 4), Err(DecodeError::TooLong { length: bytes.len(), limit: 4 }));
        for cut in 0..bytes.len() {
            assert!(
                matches!(decode::<Point>(&bytes[..cut], 64), Err(DecodeError::Malformed(_))),
                "cut at {cut}"
            );
        }
        let trailing = [bytes.as_slice(), &[0]].concat();
        assert_eq!(decode::<Point>(&trailing, 64), Err(DecodeError::NotCanonical));
    }

    #[test]
    fn refuses_every_other_encoding_of_the_same_value() {
        // {"x": 7, "name": null} with 7 in two bytes, as an indefinite map, and with its fields exchanged.
        let long_integer = b"\xa2\x61x\x18\x07\x64name\xf6";
        let indefinite = b"\xbf\x61x\x07\x64name\xf6\xff";
        let reordered = b"\xa2\x64name\xf6\x61x\x07";
        for other in [&long_integer[..], indefinite, reordered] {
            assert_eq!(decode::<Point>(other, 64), Err(DecodeError::NotCanonical), "{other:x?}");
        }
        assert!(decode::<Point>(b"\xa2\x61x\x07\x64name\xf6", 64).is_ok());
    }
}
