//! One record from its signature to its receipt, whatever happens to the node meanwhile.

use crate::{
    api::{Problem, types::TransactionStatus},
    archive::Receipt,
    cli::{failure::Outcome, sending},
    client::{Client, ClientError},
};
use conclave_ledger::{
    applications::{Payload, records::Record},
    bytes::Bytes,
    hash::Hash,
    keys::SecretKey,
    transaction::Transaction,
};
use std::time::Duration;

/// How long one request waits for the decision before it is asked again.
const WAIT: Duration = Duration::from_secs(5);

/// How long one request may take at all: a node that is frozen takes connections and answers nothing.
const LONGEST_REQUEST: Duration = Duration::from_secs(8);

/// Pause before a node is asked again that does not answer, or has no room.
const PAUSE: Duration = Duration::from_millis(200);

/// Kind of the records.
const KIND: &str = "load";

/// Who sends.
pub(super) struct Sender {
    client: Client,
    key: SecretKey,
    /// Tells the records of this run from those of any other.
    run: Hash,
    bytes: usize,
}

/// What to do after an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// It is decided.
    Done(Receipt),
    /// The same again, after a pause if the node had none of it.
    Again { pause: bool },
    /// Its last height has passed.
    SignAnew,
    /// Nothing will help.
    Refused(String),
}

impl Sender {
    /// Records of `bytes` bytes, signed with `key`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub(super) fn new(client: Client, key: SecretKey, bytes: u32) -> Outcome<Self> {
        let run = Hash(*crate::keys::random::<32>()?);
        Ok(Self { client, key, run, bytes: bytes as usize })
    }

    /// Sends record `number` until it is decided.
    ///
    /// # Errors
    /// When a rule forbids it for good.
    pub(super) async fn decide(&self, number: u64) -> Outcome<Receipt> {
        let mut signed: Option<Transaction> = None;
        loop {
            let transaction = match &signed {
                Some(transaction) => transaction,
                None => match in_time(sending::sign(&self.client, &self.key, self.payload(number))).await {
                    Some(Ok(transaction)) => signed.insert(transaction),
                    // The node does not answer.
                    Some(Err(_)) | None => {
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
            };
            match self.attempt(transaction).await {
                Next::Done(receipt) => return Ok(receipt),
                Next::Again { pause: false } => {}
                Next::Again { pause: true } => tokio::time::sleep(PAUSE).await,
                Next::SignAnew => signed = None,
                Next::Refused(reason) => return Err(sending::refused(&reason)),
            }
        }
    }

    fn payload(&self, number: u64) -> Payload {
        let mut data = self.run.0[..16].to_vec();
        data.extend(number.to_be_bytes());
        data.resize(self.bytes, 0);
        Payload::Record(Record { kind: KIND.into(), data: Bytes(data) })
    }

    async fn attempt(&self, transaction: &Transaction) -> Next {
        match in_time(self.client.submit_and_wait(transaction, WAIT)).await {
            Some(Ok(status)) => match after(status) {
                Next::SignAnew => self.after_expiry(transaction).await,
                next => next,
            },
            Some(Err(ClientError::Problem(problem))) => match meaning(&problem) {
                Next::SignAnew => self.after_expiry(transaction).await,
                next => next,
            },
            Some(Err(_)) | None => Next::Again { pause: true },
        }
    }

    /// A transaction that can no longer be included may have been: the answer that said so was lost.
    async fn after_expiry(&self, transaction: &Transaction) -> Next {
        match in_time(self.client.transaction(&transaction.id())).await {
            Some(Ok(info)) => match after(info.status) {
                Next::Done(receipt) => Next::Done(receipt),
                _ => Next::Again { pause: true },
            },
            Some(Err(ClientError::Problem(problem))) if problem.status == 404 => Next::SignAnew,
            Some(Err(_)) | None => Next::Again { pause: true },
        }
    }
}

/// What comes of a request within [`LONGEST_REQUEST`].
async fn in_time<T>(request: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(LONGEST_REQUEST, request).await.ok()
}

fn after(status: TransactionStatus) -> Next {
    match status {
        TransactionStatus::Decided { id, height, block, index, .. } => {
            Next::Done(Receipt { id, height, block, index })
        }
        TransactionStatus::Pending { .. } => Next::Again { pause: false },
        TransactionStatus::Refused { problem, .. } => meaning(&problem),
    }
}

/// What a refusal means.
fn meaning(problem: &Problem) -> Next {
    match problem.rule.as_deref() {
        Some("transaction/expired") => Next::SignAnew,
        // A node that is behind knows neither how far ahead a transaction may expire nor who needs no stamp.
        Some(
            "pool/full"
            | "pool/too-many-of-sender"
            | "pool/dropped"
            | "transaction/already-included"
            | "transaction/stamp"
            | "transaction/expires-too-late",
        )
        | None => Next::Again { pause: true },
        Some(_) => Next::Refused(problem.detail.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    #[test]
    fn only_a_rule_that_no_waiting_mends_ends_a_record() {
        let problem = |rule: Option<&str>| {
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "why");
            match rule {
                Some(rule) => problem.with_rule(rule),
                None => problem,
            }
        };
        for rule in [None, Some("pool/full"), Some("transaction/already-included"), Some("transaction/stamp")]
        {
            assert_eq!(meaning(&problem(rule)), Next::Again { pause: true }, "{rule:?}");
        }
        assert_eq!(meaning(&problem(Some("transaction/expired"))), Next::SignAnew);
        assert_eq!(meaning(&problem(Some("transaction/signature"))), Next::Refused("why".into()));
    }
}
