//! One ballot, cast for certain: through whichever node answers, until it is decided, and never counted twice.
//!
//! The very same transaction is handed to one node after the other, so however many of them take it, its id is
//! remembered by the ledger and it counts once. A node that is down, starting or behind is passed over; only a rule
//! that no waiting mends ends the attempt. A ballot whose last height has passed is signed anew: the old one can no
//! longer be included, and if it was after all, the ledger says that the voter has voted, which is then looked up.

use crate::{
    api::{Problem, types::TransactionStatus},
    archive::Receipt,
    cli::{
        failure::{Failure, Outcome},
        sending::request,
    },
    client::{Client, ClientError},
};
use conclave_ledger::{
    applications::{Payload, polls},
    hash::Hash,
    keys::SecretKey,
    signed::Height,
    tally::Choice,
    transaction::Transaction,
};
use std::time::{Duration, Instant};

/// How long one node is given to report the decision before the next one is asked.
const WAIT: Duration = Duration::from_secs(5);
/// First pause before the next attempt; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A ballot to be cast.
pub(super) struct Ballot {
    /// The poll.
    pub(super) poll: Hash,
    /// The voter's key.
    pub(super) voter: SecretKey,
    /// What for.
    pub(super) choice: Choice,
}

/// What all ballots of an import share.
pub(super) struct Caster {
    /// The nodes, at least one.
    pub(super) nodes: Vec<Client>,
    /// The network.
    pub(super) network: Hash,
    /// How long to try for.
    pub(super) patience: Duration,
}

/// What to do after an attempt.
enum Next {
    /// It is decided.
    Done(Receipt),
    /// Ask the next node, at once or after a pause.
    Again { pause: bool, reason: String },
    /// Its last height has passed.
    SignAnew,
    /// The voter has voted: is it this ballot?
    LookUp,
    /// Nothing will help.
    Refused(String),
}

impl Caster {
    /// Casts a ballot, beginning with node number `first` (any number).
    ///
    /// # Errors
    /// When a rule forbids it, or no node has had it decided within the patience.
    pub(super) async fn cast(&self, ballot: &Ballot, first: usize) -> Outcome<Receipt> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        let mut transaction = None;
        let mut reason = String::new();
        for attempt in first.. {
            let node = &self.nodes[attempt % self.nodes.len()];
            if start.elapsed() > self.patience {
                break;
            }
            let signed = match &transaction {
                Some(signed) => signed,
                None => match self.sign(node, ballot).await {
                    Ok(signed) => transaction.insert(signed),
                    Err(error) => {
                        reason = error.to_string();
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                },
            };
            match attempt_at(node, signed).await {
                Next::Done(included) => return Ok(included),
                Next::Refused(rule) => return Err(Failure::new(format!("a ballot was refused: {rule}"))),
                Next::SignAnew => transaction = None,
                Next::LookUp => match self.look_up(node, ballot).await {
                    Some(Ok(included)) => return Ok(included),
                    Some(Err(other)) => return Err(Failure::new(other)),
                    None => reason = "the ballot is cast but cannot be looked up".into(),
                },
                Next::Again { pause: false, reason: why } => reason = why,
                Next::Again { pause: true, reason: why } => {
                    reason = why;
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        let seconds = self.patience.as_secs();
        Err(Failure::new(format!("a ballot is not decided after {seconds} s; the last answer was: {reason}"))
            .advise("See `conclave status`: without a quorum of validators nothing is decided."))
    }

    async fn sign(&self, node: &Client, ballot: &Ballot) -> Result<Transaction, ClientError> {
        let sender = node.sender(&ballot.voter.public()).await?;
        let expires: Height = crate::cli::sending::expiry(&sender);
        let cast = polls::Payload::CastBallot { poll: ballot.poll, choice: ballot.choice.clone() };
        Ok(request(self.network, &ballot.voter, expires, Payload::Poll(cast)).sign(&ballot.voter))
    }

    /// Where the voter's ballot is, if it says the same; a text if it says something else.
    async fn look_up(&self, node: &Client, ballot: &Ballot) -> Option<Result<Receipt, String>> {
        let voter = ballot.voter.public();
        let cast = node.ballot(&ballot.poll, &voter).await.ok()?;
        if cast.choice != ballot.choice {
            return Some(Err(format!("voter {voter} has cast another ballot in this poll already")));
        }
        match node.transaction(&cast.transaction).await.ok()?.status {
            TransactionStatus::Decided { id, height, block, index, .. } => {
                Some(Ok(Receipt { id, height, block, index }))
            }
            _ => None,
        }
    }
}

/// Hands the transaction to a node and waits for the decision; to hand it over again is to go on waiting.
async fn attempt_at(node: &Client, transaction: &Transaction) -> Next {
    let Ok(answer) = tokio::time::timeout(2 * WAIT, node.submit_and_wait(transaction, WAIT)).await else {
        return Next::Again { pause: false, reason: format!("{} does not answer", node.url()) };
    };
    match answer {
        Ok(TransactionStatus::Decided { id, height, block, index, .. }) => {
            Next::Done(Receipt { id, height, block, index })
        }
        Ok(TransactionStatus::Pending { .. }) => {
            Next::Again { pause: false, reason: "the ballot waits to be decided".into() }
        }
        Ok(TransactionStatus::Refused { problem, .. }) => after(&problem),
        Err(ClientError::Problem(problem)) => after(&problem),
        Err(error) => Next::Again { pause: true, reason: error.to_string() },
    }
}

/// What a refusal means.
fn after(problem: &Problem) -> Next {
    let reason = problem.detail.clone();
    match problem.rule.as_deref() {
        Some("transaction/expired") => Next::SignAnew,
        Some("poll/already-cast" | "transaction/already-included") => Next::LookUp,
        // The ledger forgets known keys with the poll's close, so a stamp is asked for then; a node that is behind
        // asks for one too.
        Some(
            "pool/full"
            | "pool/too-many-of-sender"
            | "pool/dropped"
            | "poll/unknown-poll"
            | "poll/not-yet-open"
            | "transaction/stamp"
            | "transaction/expires-too-late",
        ) => Next::Again { pause: true, reason },
        Some(_) => Next::Refused(reason),
        // No rule was broken: the node is starting or stopping, is overloaded, or has lost sight of the transaction.
        None => Next::Again { pause: true, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;

    fn meaning(rule: Option<&str>) -> &'static str {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "why");
        match after(&match rule {
            Some(rule) => problem.with_rule(rule),
            None => problem,
        }) {
            Next::Done(_) => "done",
            Next::Again { .. } => "again",
            Next::SignAnew => "sign",
            Next::LookUp => "look up",
            Next::Refused(_) => "refused",
        }
    }

    #[test]
    fn only_what_no_waiting_mends_ends_the_attempt() {
        for (rule, expected) in [
            (None, "again"),
            (Some("pool/full"), "again"),
            (Some("poll/unknown-poll"), "again"),
            (Some("poll/not-yet-open"), "again"),
            (Some("transaction/expired"), "sign"),
            (Some("poll/already-cast"), "look up"),
            (Some("poll/closed"), "refused"),
            (Some("poll/not-elector"), "refused"),
            (Some("transaction/signature"), "refused"),
        ] {
            assert_eq!(meaning(rule), expected, "{rule:?}");
        }
    }
}
