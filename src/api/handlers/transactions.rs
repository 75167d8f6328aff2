//! Submitting transactions, waiting for them, and proving that they are decided.

use super::{Answer, blocks::proof_not_known};
use crate::{
    api::{
        App, MAX_BODY_BYTES, MAX_SUBMISSION, MAX_WAIT_MS,
        extract::{self, ApiPath, ApiQuery, Format},
        lookup::{self, Found},
        problem::Problem,
        types::{Submission, Submitted, TransactionInfo, TransactionProof, TransactionStatus, schema},
    },
    node::handle::{Outcome, Stopped},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use conclave_ledger::{
    block::{Block, Decided},
    bytes::Bytes,
    chain::TransactionError,
    codec,
    hash::TransactionId,
    merkle,
    pool::PoolError,
    transaction::{SharedTransaction, Transaction},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc::UnboundedReceiver, time::Instant};
use utoipa::IntoParams;

/// How long a request waits for the decision unless it says otherwise, in milliseconds.
const DEFAULT_WAIT_MS: u64 = 10_000;

/// Bodies larger than this are read on a thread of their own, in bytes.
const LARGE_BODY: usize = 256 << 10;

/// What a submission waits for.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::api) enum WaitFor {
    /// The decision, on this node's disk.
    Decided,
}

/// Whether and how long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Waiting {
    /// Answer when the transactions are decided, not when they are admitted.
    #[param(inline)]
    wait: Option<WaitFor>,
    /// How long to wait at most, up to 60,000 (default 10,000), in milliseconds. What is not decided by then is
    /// answered as `pending`.
    timeout_ms: Option<u64>,
}

/// One transaction or several.
enum Asked {
    One(SharedTransaction),
    Several(Vec<SharedTransaction>),
}

/// Submits a transaction, or several.
///
/// A single transaction, as JSON or canonical CBOR, is answered with 202 when it is admitted to the pool (200 when
/// it is decided, with `wait=decided`) or with the problem. Several, as `{"transactions":[…]}` or a CBOR array, are
/// admitted or refused each by itself and always answered with 200 and a list. With `wait=decided`, what is
/// already waiting or decided is not refused, so that a submission can be repeated safely.
#[utoipa::path(post, path = "/v1/transactions", tag = "transactions", params(Waiting),
    request_body(content(
        (Submission = "application/json"),
        (schema::Cbor = "application/cbor"),
    )),
    responses(
        (status = 200, body = schema::Answered,
            description = "Decided; for several transactions `{\"results\":[…]}`, whatever became of them."),
        (status = 202, body = TransactionStatus, description = "Admitted, waits to be decided."),
        (status = 409, body = Problem, content_type = "application/problem+json",
            description = "Already waiting or already on the chain."),
        (status = 413, body = Problem, content_type = "application/problem+json", description = "Too many bytes."),
        (status = 415, body = Problem, content_type = "application/problem+json",
            description = "Neither JSON nor CBOR."),
        (status = 422, body = Problem, content_type = "application/problem+json",
            description = "Breaks the rule that `rule` names."),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "The pool is full."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn submit(
    State(app): State<Arc<App>>,
    ApiQuery(waiting): ApiQuery<Waiting>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wait = wait_of(&waiting)?;
    let format = extract::format(&headers)?;
    let bytes = extract::body(&app, &headers, body).await?;
    let asked = if bytes.len() > LARGE_BODY {
        lookup::blocking(move || parse(format, &bytes)).await??
    } else {
        parse(format, &bytes)?
    };
    match asked {
        Asked::One(transaction) => {
            let results = submit_all(&app, vec![transaction], wait).await?;
            let result = results.into_iter().next().expect("one answer for each transaction");
            let status = result?;
            let (code, id) = match &status {
                TransactionStatus::Pending { id } | TransactionStatus::Refused { id, .. } => {
                    (StatusCode::ACCEPTED, id)
                }
                TransactionStatus::Decided { id, .. } => (StatusCode::OK, id),
            };
            let location = [(header::LOCATION, format!("/v1/transactions/{id}"))];
            Ok((code, location, Json(status)).into_response())
        }
        Asked::Several(transactions) => {
            let ids: Vec<TransactionId> = transactions.iter().map(SharedTransaction::id).collect();
            let results = submit_all(&app, transactions, wait).await?.into_iter().zip(ids);
            let results = results.map(|(result, id)| {
                result.unwrap_or_else(|problem| TransactionStatus::Refused { id, problem: Box::new(problem) })
            });
            Ok(Json(Submitted { results: results.collect() }).into_response())
        }
    }
}

fn wait_of(waiting: &Waiting) -> Result<Option<Duration>, Problem> {
    let timeout = waiting.timeout_ms.unwrap_or(DEFAULT_WAIT_MS);
    if timeout > MAX_WAIT_MS {
        return Err(Problem::bad_request(format!("`timeout_ms` is at most {MAX_WAIT_MS}, found {timeout}")));
    }
    Ok(waiting.wait.map(|WaitFor::Decided| Duration::from_millis(timeout)))
}

fn parse(format: Format, bytes: &[u8]) -> Result<Asked, Problem> {
    let asked = match format {
        Format::Json => parse_json(bytes)?,
        // Major type 4 of CBOR (RFC 8949, section 3.1) is an array.
        Format::Cbor if bytes.first().is_some_and(|first| first >> 5 == 4) => {
            codec::decode(bytes, MAX_BODY_BYTES).map(Asked::Several).map_err(cbor_problem)?
        }
        Format::Cbor => codec::decode(bytes, MAX_BODY_BYTES).map(Asked::One).map_err(cbor_problem)?,
    };
    match &asked {
        Asked::Several(transactions) if transactions.len() > MAX_SUBMISSION => {
            let detail = format!(
                "{} transactions, at most {MAX_SUBMISSION} can be submitted at a time",
                transactions.len()
            );
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail))
        }
        _ => Ok(asked),
    }
}

fn cbor_problem(error: codec::DecodeError) -> Problem {
    Problem::bad_request(format!(
        "the body is not the canonical CBOR of a transaction or of several: {error}"
    ))
}

fn parse_json(bytes: &[u8]) -> Result<Asked, Problem> {
    let submission: Submission = serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request(format!("the body is not a transaction in JSON: {error}")))?;
    match submission {
        Submission { transactions: Some(transactions), request: None, signature: None, stamp: None } => {
            Ok(Asked::Several(transactions.into_iter().map(Into::into).collect()))
        }
        Submission { transactions: None, request: Some(request), signature: Some(signature), stamp } => {
            Ok(Asked::One(Transaction { request, signature, stamp }.into()))
        }
        _ => Err(Problem::bad_request(
            "the body is either one transaction, with `request` and `signature`, or has `transactions` alone",
        )),
    }
}

/// Submits transactions and says what became of each.
async fn submit_all(
    app: &Arc<App>,
    transactions: Vec<SharedTransaction>,
    wait: Option<Duration>,
) -> Result<Vec<Result<TransactionStatus, Problem>>, Problem> {
    let ids: Vec<TransactionId> = transactions.iter().map(SharedTransaction::id).collect();
    let Some(wait) = wait else {
        let admitted = app.handle.submit(transactions).await?.into_iter().zip(ids);
        return Ok(admitted
            .map(|(admitted, id)| match admitted {
                Ok(id) => Ok(TransactionStatus::Pending { id }),
                Err(error) => Err(Problem::not_admitted(&id, &error)),
            })
            .collect());
    };
    let deadline = Instant::now() + wait;
    let (admitted, reports) = app.handle.submit_and_watch(transactions).await?;
    let waits = |admitted: &Result<_, PoolError>| matches!(admitted, Ok(_) | Err(PoolError::AlreadyWaiting));
    let waiting = admitted.iter().zip(&ids).filter(|(admitted, _)| waits(admitted)).map(|(_, id)| *id);
    let outcomes = outcomes_of(waiting.collect(), reports, deadline).await?;
    let mut results = Vec::with_capacity(ids.len());
    for (admitted, id) in admitted.into_iter().zip(ids) {
        results.push(match admitted {
            Ok(_) | Err(PoolError::AlreadyWaiting) => match outcomes.get(&id) {
                Some(Outcome::Decided { height, block, index }) => Ok(TransactionStatus::Decided {
                    id,
                    height: *height,
                    block: *block,
                    index: *index,
                    depth: 1,
                }),
                Some(Outcome::Dropped(reason)) => Err(Problem::dropped(&id, reason)),
                None => Ok(TransactionStatus::Pending { id }),
            },
            Err(error @ PoolError::Invalid(TransactionError::AlreadyIncluded)) => {
                match lookup::transaction(app, id).await? {
                    Some(found) => Ok(status(id, &found)),
                    None => Err(Problem::not_admitted(&id, &error)),
                }
            }
            Err(error) => Err(Problem::not_admitted(&id, &error)),
        });
    }
    Ok(results)
}

/// What has become, by the deadline, of those that wait.
async fn outcomes_of(
    mut waiting: BTreeSet<TransactionId>,
    mut reports: UnboundedReceiver<(TransactionId, Outcome)>,
    deadline: Instant,
) -> Result<BTreeMap<TransactionId, Outcome>, Problem> {
    let mut outcomes = BTreeMap::new();
    while !waiting.is_empty() {
        let Ok(report) = tokio::time::timeout_at(deadline, reports.recv()).await else { break };
        let (id, outcome) = report.ok_or(Stopped)?;
        waiting.remove(&id);
        outcomes.insert(id, outcome);
    }
    Ok(outcomes)
}

fn status(id: TransactionId, found: &Found) -> TransactionStatus {
    match found {
        Found::Pending(_) => TransactionStatus::Pending { id },
        Found::Decided(record, index) => {
            let height = record.decided.height();
            let depth = (record.tip + 1).saturating_sub(height);
            TransactionStatus::Decided { id, height, block: record.decided.hash(), index: *index, depth }
        }
    }
}

/// A transaction and where it stands.
#[utoipa::path(get, path = "/v1/transactions/{id}", tag = "transactions",
    params(("id" = schema::Hex32, Path, description = "The transaction's id.")),
    responses(
        (status = 200, body = TransactionInfo),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "Neither waiting at this node nor decided."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn transaction(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<TransactionId>,
) -> Answer<TransactionInfo> {
    let found = lookup::transaction(&app, id).await?.ok_or_else(|| unknown(&id))?;
    let status = status(id, &found);
    let transaction = match &found {
        Found::Pending(waiting) => Some(&**waiting),
        Found::Decided(record, index) => transaction_at(&record.decided, *index),
    };
    let transaction = transaction.cloned().ok_or_else(|| unknown(&id))?;
    Ok(Json(TransactionInfo { status, transaction }))
}

/// Proof that a transaction is decided, to keep and to check without any node.
#[utoipa::path(get, path = "/v1/transactions/{id}/proof", tag = "transactions",
    params(("id" = schema::Hex32, Path, description = "The transaction's id.")),
    responses(
        (status = 200, body = TransactionProof),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "Unknown, or the proof of its height has not reached this node yet."),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "Not decided yet."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn proof(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<TransactionId>,
) -> Answer<TransactionProof> {
    let (record, index) = match lookup::transaction(&app, id).await?.ok_or_else(|| unknown(&id))? {
        Found::Decided(record, index) => (record, index),
        Found::Pending(_) => {
            let detail = format!("transaction {id} waits to be decided: ask again when it is");
            return Err(Problem::new(StatusCode::CONFLICT, detail).with_rule("transaction/pending"));
        }
    };
    let proof = lookup::blocking(move || {
        let proof = record.proof.clone().ok_or_else(|| proof_not_known(&record.decided))?;
        let block = record.decided.block().ok_or_else(|| unknown(&id))?;
        let transaction = transaction_at(&record.decided, index).cloned().ok_or_else(|| unknown(&id))?;
        let leaves = Block::leaves(&block.transactions);
        let inclusion = merkle::prove(&leaves, u64::from(index)).ok_or_else(|| unknown(&id))?;
        let validators = record.validators();
        let validators =
            validators.map(|set| set.members.into_iter().map(|member| member.validator).collect());
        let (bytes, header) = (Bytes(codec::encode(&transaction)), block.header.clone());
        Ok(TransactionProof {
            id,
            transaction,
            bytes,
            inclusion: inclusion.into(),
            header,
            proof,
            validators,
        })
    });
    proof.await?.map(Json)
}

fn transaction_at(decided: &Decided, index: u32) -> Option<&Transaction> {
    decided.block()?.transactions.get(index as usize).map(|transaction| &**transaction)
}

fn unknown(id: &TransactionId) -> Problem {
    let detail = format!("transaction {id} neither waits at this node nor is decided: it may have expired");
    Problem::not_found(detail).with_rule("transaction/unknown")
}
