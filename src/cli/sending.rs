//! From a payload to a decided transaction: signed, stamped if need be, submitted, and waited for.

use super::{
    failure::{Failure, Outcome},
    progress,
};
use crate::{
    api::types::{Sender, TransactionStatus},
    archive::Receipt,
    client::Client,
};
use conclave_ledger::{
    applications::Payload,
    hash::NetworkId,
    keys::SecretKey,
    signed::Height,
    transaction::{Request, Transaction, find_stamp},
};
use std::time::Duration;

/// How long one request waits for a decision before it is asked again.
const WAIT: Duration = Duration::from_secs(30);

/// Nonces that are tried between two looks at the progress bar.
const STAMP_ATTEMPTS: u64 = 1 << 14;

/// The last height at which a transaction signed now may be included: half as far ahead as is allowed, so that nodes
/// that are behind take it too.
pub(crate) fn expiry(sender: &Sender) -> Height {
    sender.next_height + sender.latest_expiry.saturating_sub(sender.next_height) / 2
}

/// Signs `payload`, with a stamp if the ledger does not know the key.
///
/// # Errors
/// When the node cannot be asked.
pub(crate) async fn sign(client: &Client, key: &SecretKey, payload: Payload) -> Outcome<Transaction> {
    let sender = client.sender(&key.public()).await?;
    let network = client.status().await?.network;
    let transaction = request(network, key, expiry(&sender), payload).sign(key);
    stamp(transaction, sender.stamp_bits).await
}

/// A request by `key`.
pub(crate) fn request(network: NetworkId, key: &SecretKey, expires: Height, payload: Payload) -> Request {
    Request { network, sender: key.public(), expires, payload }
}

/// Searches the stamp of a transaction on a thread of its own; none is needed for 0 bits.
///
/// # Errors
/// When that thread cannot run.
pub(crate) async fn stamp(mut transaction: Transaction, bits: u8) -> Outcome<Transaction> {
    if bits == 0 {
        return Ok(transaction);
    }
    let id = transaction.id();
    let bar = progress::spinner(format!("searching a stamp of {bits} bits, nonces tried:"));
    let search = move || {
        (0..).step_by(STAMP_ATTEMPTS as usize).find_map(|first| {
            bar.set_position(first);
            find_stamp(&id, bits, first, STAMP_ATTEMPTS)
        })
    };
    transaction.stamp = tokio::task::spawn_blocking(search).await?;
    Ok(transaction)
}

/// Submits a transaction and waits until it is decided.
///
/// # Errors
/// With the rule by which it was refused, or when the node cannot be asked.
pub(crate) async fn submit(client: &Client, transaction: &Transaction) -> Outcome<Receipt> {
    let bar = progress::spinner("waiting for the decision");
    let mut status = client.submit_and_wait(transaction, WAIT).await?;
    loop {
        match status {
            TransactionStatus::Decided { id, height, block, index, .. } => {
                bar.finish_and_clear();
                return Ok(Receipt { id, height, block, index });
            }
            TransactionStatus::Refused { problem, .. } => return Err(refused(&problem.detail)),
            // To submit it again is to go on waiting.
            TransactionStatus::Pending { .. } => status = client.submit_and_wait(transaction, WAIT).await?,
        }
    }
}

/// Signs, submits and waits.
///
/// # Errors
/// As [`sign`] and [`submit`].
pub(crate) async fn send(client: &Client, key: &SecretKey, payload: Payload) -> Outcome<Receipt> {
    submit(client, &sign(client, key, payload).await?).await
}

/// The failure for a transaction that was refused.
pub(crate) fn refused(reason: &str) -> Failure {
    Failure::new(format!("the transaction was refused: {reason}"))
}
