//! Proposals to change who decides, or within which bounds.

use super::Answer;
use crate::api::{
    App,
    extract::ApiPath,
    lookup::Names,
    problem::Problem,
    types::{ProposalInfo, Proposals, schema},
};
use axum::{Json, extract::State};
use conclave_ledger::{
    applications::governance::{self, Proposal},
    hash::Hash,
};
use std::sync::Arc;

/// Proposals, open and approved, until they expire: at most 64 open ones of each validator.
#[utoipa::path(get, path = "/v1/proposals", tag = "governance", responses(
    (status = 200, body = Proposals),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn list(State(app): State<Arc<App>>) -> Answer<Proposals> {
    let read = app.handle.read(|view| {
        let proposals: Vec<(Hash, Proposal)> = governance::proposals(&view.chain.view()).collect();
        (proposals, Names::read(view), view.chain.validators().quorum())
    });
    let (proposals, names, quorum) = read.await?;
    let proposals = proposals.into_iter().map(|(id, proposal)| info(id, proposal, &names, quorum)).collect();
    Ok(Json(Proposals { proposals }))
}

/// A proposal.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "governance",
    params(("id" = schema::Hex32, Path, description = "The id of the transaction that proposed it.")),
    responses(
        (status = 200, body = ProposalInfo),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn proposal(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<Hash>,
) -> Answer<ProposalInfo> {
    let read = app.handle.read(move |view| {
        let proposal = governance::proposal(&view.chain.view(), &id)?;
        Some(info(id, proposal, &Names::read(view), view.chain.validators().quorum()))
    });
    read.await?.map(Json).ok_or_else(|| {
        Problem::not_found(format!(
            "there is no proposal {id}: it may have expired, or its transaction waits"
        ))
    })
}

fn info(id: Hash, proposal: Proposal, names: &Names, quorum: usize) -> ProposalInfo {
    let Proposal { change, author, proposed, expires, approvals, effective } = proposal;
    ProposalInfo {
        id,
        change,
        author: author.map(|key| names.named(key)),
        proposed,
        expires,
        approvals: approvals.into_iter().map(|key| names.named(key)).collect(),
        quorum,
        effective,
    }
}
