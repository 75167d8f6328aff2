//! What nodes say to each other about transactions.

use conclave_ledger::{hash::TransactionId, transaction::SharedTransaction};
use serde::{Deserialize, Serialize};

/// Most transactions or ids in one message.
pub const MAX_ITEMS: usize = 512;

/// Bytes of transactions after which a message is full; one more may make it longer.
pub const BATCH_BYTES: usize = 256 << 10;

/// Most bytes of a message: a full batch, one more transaction of the largest kind, and room for names.
pub const MAX_MESSAGE_BYTES: usize = BATCH_BYTES + (1 << 20) + (64 << 10);

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Message {
    /// Transactions, pushed by the node at which they were submitted or pulled by `Want`.
    Transactions(Vec<SharedTransaction>),
    /// The sender has these.
    Have(Vec<TransactionId>),
    /// The sender lacks these and was told that the receiver has them.
    Want(Vec<TransactionId>),
}
