//! Polls, tallies and ballots.

use super::{Answer, blocks::page_size};
use crate::api::{
    App,
    extract::{ApiPath, ApiQuery},
    problem::Problem,
    tallies::{Tallies, is_confirmed},
    types::{BallotInfo, Poll, PollPhase, PollTally, Polls, schema},
};
use axum::{Json, extract::State};
use conclave_ledger::{
    applications::polls::{self, PollView},
    hash::Hash,
    keys::PublicKey,
};
use serde::Deserialize;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use utoipa::IntoParams;

/// Polls in a page unless asked otherwise.
const DEFAULT_PAGE: usize = 20;

/// Which polls to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Page {
    /// List those that were opened before the poll with this number (default: the newest).
    before: Option<u64>,
    /// How many at most, up to 100 (default 20).
    limit: Option<usize>,
}

/// Polls, newest first.
#[utoipa::path(get, path = "/v1/polls", tag = "polls", params(Page), responses(
    (status = 200, body = Polls),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(page): ApiQuery<Page>,
) -> Answer<Polls> {
    let limit = page_size(page.limit, DEFAULT_PAGE, polls::MAX_PAGE)?;
    let views = app.handle.read(move |view| {
        let polls = polls::polls(&view.chain.view(), page.before, limit);
        polls.into_iter().map(|poll| (is_confirmed(view, &poll), poll)).collect::<Vec<_>>()
    });
    let views = views.await?;
    let next = views.last().map(|(_, oldest)| oldest.rules.number).filter(|number| *number > 0);
    let now = now_ms();
    Ok(Json(Polls {
        polls: views.into_iter().map(|(confirmed, view)| info(view, confirmed, now)).collect(),
        next,
    }))
}

/// A poll.
#[utoipa::path(get, path = "/v1/polls/{id}", tag = "polls",
    params(("id" = schema::Hex32, Path, description = "The id of the transaction that opened it.")),
    responses(
        (status = 200, body = Poll),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn poll(State(app): State<Arc<App>>, ApiPath(id): ApiPath<Hash>) -> Answer<Poll> {
    let view = app.handle.read(move |view| {
        let poll = polls::poll(&view.chain.view(), &id)?;
        Some((is_confirmed(view, &poll), poll))
    });
    view.await?.map(|(confirmed, view)| Json(info(view, confirmed, now_ms()))).ok_or_else(|| unknown(&id))
}

/// The tally of a poll: the final one, or one of the ballots so far.
#[utoipa::path(get, path = "/v1/polls/{id}/tally", tag = "polls",
    params(("id" = schema::Hex32, Path, description = "The poll.")),
    responses(
        (status = 200, body = PollTally),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn tally(
    State(app): State<Arc<App>>,
    ApiPath(id): ApiPath<Hash>,
) -> Answer<PollTally> {
    let kept = Tallies::of(&app, id).await?;
    Ok(Json(PollTally {
        poll: id,
        is_final: kept.is_final,
        height: kept.height,
        options: kept.options,
        tally: Arc::unwrap_or_clone(kept.tally),
    }))
}

/// The ballot of a voter that counts.
#[utoipa::path(get, path = "/v1/polls/{id}/ballots/{voter}", tag = "polls",
    params(
        ("id" = schema::Hex32, Path, description = "The poll."),
        ("voter" = schema::Hex32, Path, description = "The voter's public key."),
    ),
    responses(
        (status = 200, body = BallotInfo),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "No such poll, or no ballot; `detail` says whether the key belongs to the electorate."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn ballot(
    State(app): State<Arc<App>>,
    ApiPath((id, voter)): ApiPath<(Hash, PublicKey)>,
) -> Answer<BallotInfo> {
    let read = app.handle.read(move |view| {
        let state = view.chain.view();
        let may_vote = polls::is_elector(&state, &id, &voter);
        (may_vote, polls::ballot_of(&state, &id, &voter))
    });
    match read.await? {
        (_, Some(ballot)) => {
            let (choice, transaction) = (ballot.choice, ballot.transaction);
            Ok(Json(BallotInfo { poll: id, voter, choice, transaction }))
        }
        (None, None) => Err(unknown(&id)),
        (Some(true), None) => {
            let detail = format!("{voter} belongs to the electorate of poll {id} and has no ballot in it");
            Err(Problem::not_found(detail).with_rule("poll/no-ballot"))
        }
        (Some(false), None) => {
            let detail = format!("{voter} does not belong to the electorate of poll {id}");
            Err(Problem::not_found(detail).with_rule("poll/not-elector"))
        }
    }
}

/// The problem that there is no poll with this id.
pub(in crate::api) fn unknown(id: &Hash) -> Problem {
    let detail =
        format!("there is no poll {id}: check the id, and that the transaction that opens it is decided");
    Problem::not_found(detail).with_rule("poll/unknown-poll")
}

fn info(view: PollView, is_confirmed: bool, now_ms: u64) -> Poll {
    let phase = if is_confirmed { view.phase(now_ms).into() } else { PollPhase::Counting };
    let PollView { id, text, rules, ballots, closing } = view;
    Poll {
        id,
        number: rules.number,
        phase,
        title: text.title,
        options: text.options,
        method: rules.method,
        electorate: rules.electorate,
        opens: rules.opens,
        closes: rules.closes,
        revote: rules.revote,
        author: rules.author,
        ballots,
        closing: closing.map(Into::into),
    }
}

/// Milliseconds since 1970 by this node's clock.
fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}
