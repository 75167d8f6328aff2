//! What verifier and prover say to each other.

use crate::exchange;
use serde::{Deserialize, Serialize};

/// Most bytes of a request or response.
pub const MAX_MESSAGE_BYTES: usize = 128;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The verifier asks for work; answered by `Accepted`, or `Refused` when it asks for too much.
    Challenge {
        /// A random number.
        nonce: u64,
        /// Zero bits that the hash has to begin with.
        bits: u8,
    },
    /// The verifier needs no work; answered by `Accepted`.
    Welcome,
    /// The prover's work; answered by `Admitted` or `Refused`.
    Solution {
        /// The verifier's number.
        nonce: u64,
        /// What was found.
        solution: u64,
    },
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Response {
    /// The request was understood.
    Accepted,
    /// The work is right.
    Admitted,
    /// It is not, or too much is asked.
    Refused(Refusal),
}

/// What the machines of two nodes exchange.
pub type Message = exchange::Message<Request, Response>;

/// Why work is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// The hash does not begin with enough zeros, for these two nodes and this nonce: no work, or somebody else's.
    #[error("the work is not of this node for this verifier: the hash does not begin with enough zero bits")]
    NoWork,
    /// The nonce was given to another peer.
    #[error("the challenge that it answers was given to another peer")]
    ForeignChallenge,
    /// The challenge was answered before.
    #[error("the challenge that it answers was answered before")]
    Replayed,
    /// The answer came too late, or not at all.
    #[error("the work did not come in time")]
    Expired,
    /// This verifier never gave that nonce.
    #[error("there was no such challenge")]
    UnknownChallenge,
    /// Too many others are being verified.
    #[error("too many others wait for their admission: try again later")]
    Busy,
    /// The verifier asks for more than the prover is willing to do.
    #[error("the verifier asks for more work than this node does: check admission_bits on both sides")]
    TooHard,
}

impl Refusal {
    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoWork => "no-work",
            Self::ForeignChallenge => "foreign-challenge",
            Self::Replayed => "replayed",
            Self::Expired => "expired",
            Self::UnknownChallenge => "unknown-challenge",
            Self::Busy => "busy",
            Self::TooHard => "too-hard",
        }
    }
}
