//! What people say to everybody in a network: a short text, signed with the node key of who says it.
//!
//! It spreads as an announcement of data type [`DATA_TYPE`] without a hop limit; its data are a [`Said`] in canonical
//! CBOR. The signature is over `conclave/said/1` ‖ network id ‖ time (8 bytes, big-endian) ‖ text, so whoever passes it
//! on can neither change it nor say it in another network. Every node is subscribed to the type as long as it runs, and
//! passes on what is well-formed and rightly signed. What is older than [`MAX_AGE_MS`] by a node's own clock it does
//! not show: for that long an announcement is known again, so nobody's words can be repeated later.

use conclave_ledger::{
    codec,
    hash::NetworkId,
    keys::{PublicKey, SecretKey, Signature},
};
use libp2p::{PeerId, identity};
use serde::{Deserialize, Serialize};

/// The data type of announcements that are a [`Said`]: `SA` in ASCII.
pub const DATA_TYPE: u16 = 0x5341;

/// Longest text, in bytes.
pub const MAX_TEXT_BYTES: usize = 1_000;

/// Longest encoding, in bytes: the text, a key, a signature, a time and their names.
const MAX_ENCODED_BYTES: usize = MAX_TEXT_BYTES + 256;

/// How old, or how far in the future, something said may be to be shown, in milliseconds: not more than the window in
/// which announcements are known again (two minutes, unless it is configured longer).
pub const MAX_AGE_MS: u64 = 120_000;

/// Something that somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The node key of who said it.
    pub from: PublicKey,
    /// When, in milliseconds since 1970, by their clock.
    pub at: u64,
    /// What.
    pub text: String,
    /// Theirs.
    pub signature: Signature,
}

/// Why something cannot be said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaidError {
    /// Nothing is said.
    #[error("there is nothing to say: write a text")]
    Empty,
    /// Too much at once.
    #[error("a text has at most {MAX_TEXT_BYTES} bytes, found {0}: say it in parts")]
    TooLong(usize),
    /// What would drive a terminal.
    #[error("a text is one line without control characters, found {0:?}")]
    ControlCharacter(char),
    /// No encoding of it.
    #[error("it is no text that somebody signed: {0}")]
    Malformed(String),
    /// Not signed by whom it says.
    #[error("its signature is not that of the key {0}")]
    Signature(PublicKey),
}

impl Said {
    /// `text`, said with `key` at `at`.
    ///
    /// # Errors
    /// When it is no text that can be said.
    pub fn new(network: NetworkId, key: &SecretKey, at: u64, text: String) -> Result<Self, SaidError> {
        check(&text)?;
        let signature = key.sign(&payload(network, at, &text));
        Ok(Self { from: key.public(), at, text, signature })
    }

    /// Reads what somebody announced.
    ///
    /// # Errors
    /// When they break a rule.
    pub fn decode(network: NetworkId, data: &[u8]) -> Result<Self, SaidError> {
        let said: Self = codec::decode(data, MAX_ENCODED_BYTES)
            .map_err(|error| SaidError::Malformed(error.to_string()))?;
        check(&said.text)?;
        if !said.from.verify(&payload(network, said.at, &said.text), &said.signature) {
            return Err(SaidError::Signature(said.from));
        }
        Ok(said)
    }

    /// The data of its announcement.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The peer id of who said it; `None` for a key that is none.
    pub fn peer_id(&self) -> Option<PeerId> {
        let key = identity::ed25519::PublicKey::try_from_bytes(&self.from.0).ok()?;
        Some(identity::PublicKey::from(key).to_peer_id())
    }

    /// Whether it is shown at `now`, in milliseconds since 1970.
    pub fn is_recent(&self, now: u64) -> bool {
        self.at.abs_diff(now) <= MAX_AGE_MS
    }
}

fn check(text: &str) -> Result<(), SaidError> {
    match text.chars().find(|character| character.is_control()) {
        _ if text.trim().is_empty() => Err(SaidError::Empty),
        _ if text.len() > MAX_TEXT_BYTES => Err(SaidError::TooLong(text.len())),
        Some(character) => Err(SaidError::ControlCharacter(character)),
        None => Ok(()),
    }
}

fn payload(network: NetworkId, at: u64, text: &str) -> Vec<u8> {
    let mut payload = b"conclave/said/1".to_vec();
    payload.extend_from_slice(&network.0);
    payload.extend_from_slice(&at.to_be_bytes());
    payload.extend_from_slice(text.as_bytes());
    payload
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use conclave_ledger::hash::Hash;

    const HERE: NetworkId = Hash([1; 32]);

    fn key() -> SecretKey {
        SecretKey::from_seed([7; 32])
    }

    #[test]
    fn what_is_said_is_heard_with_who_said_it() {
        let said = Said::new(HERE, &key(), 5, "Grüße, 世界".into()).unwrap();
        assert_eq!(Said::decode(HERE, &said.encode()), Ok(said.clone()));
        assert_eq!(said.peer_id(), Some(crate::keys::node_identity(&key()).public().to_peer_id()));
        let longest = Said::new(HERE, &key(), u64::MAX, "x".repeat(MAX_TEXT_BYTES)).unwrap();
        assert_eq!(Said::decode(HERE, &longest.encode()), Ok(longest));
    }

    #[test]
    fn whatever_is_changed_on_the_way_is_noticed() {
        let said = Said::new(HERE, &key(), 5, "yes".into()).unwrap();
        let other = SecretKey::from_seed([8; 32]).public();
        for changed in [
            Said { text: "no".into(), ..said.clone() },
            Said { at: 6, ..said.clone() },
            Said { from: other, ..said.clone() },
        ] {
            let refused = Said::decode(HERE, &changed.encode());
            assert_eq!(refused, Err(SaidError::Signature(changed.from)));
        }
        assert!(Said::decode(Hash([2; 32]), &said.encode()).is_err(), "another network");
        for data in [b"".as_slice(), b"hello", &[0xff; 2000]] {
            assert!(matches!(Said::decode(HERE, data), Err(SaidError::Malformed(_))));
        }
    }

    #[test]
    fn a_text_is_one_short_line() {
        for (text, expected) in [
            ("".to_owned(), SaidError::Empty),
            (" \t".into(), SaidError::Empty),
            ("a\u{1b}[2J".into(), SaidError::ControlCharacter('\u{1b}')),
            ("a\nb".into(), SaidError::ControlCharacter('\n')),
            ("x".repeat(MAX_TEXT_BYTES + 1), SaidError::TooLong(MAX_TEXT_BYTES + 1)),
        ] {
            assert_eq!(Said::new(HERE, &key(), 0, text), Err(expected));
        }
    }

    #[test]
    fn words_are_not_shown_again_later() {
        let said = Said::new(HERE, &key(), MAX_AGE_MS * 2, "yes".into()).unwrap();
        for (now, shown) in
            [(0, false), (MAX_AGE_MS, true), (MAX_AGE_MS * 3, true), (MAX_AGE_MS * 3 + 1, false)]
        {
            assert_eq!(said.is_recent(now), shown, "{now}");
        }
    }
}
