//! What is asked and answered.

use crate::{exchange, peer_record::MAX_RECORD_BYTES};
use conclave_ledger::{bytes::Bytes, keys::PublicKey};
use serde::{Deserialize, Serialize};

/// Most records in an answer.
pub const MAX_RECORDS: u16 = 32;

/// Most bytes of a request.
pub const MAX_REQUEST_BYTES: usize = 128;

/// Most bytes of a response: its records, each with a validator key and the names of the fields.
pub const MAX_RESPONSE_BYTES: usize = 256 + MAX_RECORDS as usize * (MAX_RECORD_BYTES + 128);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Peers, with work for the answer.
    Peers {
        /// Most records wanted, at most [`MAX_RECORDS`].
        limit: u16,
        /// A random number.
        nonce: u64,
        /// Zero bits that the hash has to begin with.
        bits: u8,
    },
}

/// A peer that one tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// Its signed record in its envelope.
    pub record: Bytes,
    /// The validator key that it has proved to the one who tells.
    pub validator: Option<PublicKey>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// Peers.
    Peers {
        /// The work; none from a validator.
        solution: Option<u64>,
        /// At most as many as were asked for.
        peers: Vec<Told>,
    },
    /// The request was refused.
    Refused(Refusal),
}

/// What the machines of two nodes exchange.
pub type Message = exchange::Message<Request, Response>;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The asker's admission is not settled.
    #[error("the asker is not admitted")]
    NotAdmitted,
    /// It has asked not long ago.
    #[error("the asker has asked not long ago")]
    TooSoon,
    /// Too many others wait.
    #[error("too many others wait for an answer")]
    Busy,
    /// The asker wants more work than the responder does.
    #[error("the asker wants more work than this node does: check admission_bits on both sides")]
    TooHard,
}
