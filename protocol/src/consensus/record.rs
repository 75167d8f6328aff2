//! What the write-ahead log holds of consensus: every signature, before it is sent.

use conclave_ledger::{
    keys::Signature,
    signed::{Height, Kind, Value},
};
use serde::{Deserialize, Serialize};

/// A signature that this validator made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRecord {
    /// The height that it is for.
    pub height: Height,
    /// Its kind.
    pub kind: Kind,
    /// The value that it is on.
    pub value: Value,
    /// The signature itself, so that the same bytes are sent again.
    pub signature: Signature,
}
