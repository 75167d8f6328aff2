//! Decided heights and their proofs.

use super::Answer;
use crate::api::{
    App, MAX_BLOCKS_PAGE,
    extract::{ApiPath, ApiQuery},
    lookup::{self, Names},
    problem::Problem,
    types::{BlockInfo, BlockSummary, BlockTree, Blocks, ProofInfo, TreeBlock},
};
use axum::{Json, extract::State};
use conclave_ledger::{block::Decided, signed::Height};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// Heights in a page unless asked otherwise.
const DEFAULT_PAGE: usize = 20;

/// Most blocks of a tree that are shown.
const MAX_TREE_BLOCKS: usize = 2_000;

/// Which heights to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Page {
    /// The newest height to list (default: the last decided one).
    from: Option<u64>,
    /// How many at most, up to 100 (default 20).
    limit: Option<usize>,
}

/// Decided heights, newest first.
#[utoipa::path(get, path = "/v1/blocks", tag = "blocks", params(Page), responses(
    (status = 200, body = Blocks),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn list(
    State(app): State<Arc<App>>,
    ApiQuery(page): ApiQuery<Page>,
) -> Answer<Blocks> {
    let limit = page_size(page.limit, DEFAULT_PAGE, MAX_BLOCKS_PAGE)?;
    let blocks = lookup::newest_first(&app, page.from, limit, summary).await?;
    let next = blocks.last().and_then(|oldest| oldest.height.checked_sub(1)).filter(|next| *next > 0);
    Ok(Json(Blocks { blocks, next }))
}

/// The size of a page that was asked for.
pub(super) fn page_size(asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(default);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::bad_request(format!("`limit` is 1 to {most}, found {limit}")))
}

fn summary(decided: &Decided, names: &Names) -> BlockSummary {
    BlockSummary {
        height: decided.height(),
        hash: decided.hash(),
        kind: lookup::kind(decided),
        leader: lookup::leader(decided, names),
        timestamp: decided.block().map(|block| block.header.timestamp),
        transactions: decided.block().map_or(0, |block| block.transactions.len()),
    }
}

/// Heights of the tree that are shown unless asked otherwise.
const DEFAULT_TREE: usize = 30;

/// How much of the tree to show.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct TreePart {
    /// How many of the last heights, up to 100 (default 30).
    heights: Option<usize>,
}

/// The last heights with all branches that the node knows, where proofs of work decide.
#[utoipa::path(get, path = "/v1/tree", tag = "blocks", params(TreePart), responses(
    (status = 200, body = BlockTree),
    (status = 404, body = Problem, content_type = "application/problem+json",
        description = "Validators decide in this network: there are no branches."),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn tree(
    State(app): State<Arc<App>>,
    ApiQuery(part): ApiQuery<TreePart>,
) -> Answer<BlockTree> {
    let heights = page_size(part.heights, DEFAULT_TREE, MAX_BLOCKS_PAGE)? as u64;
    let read = app.handle.read(move |view| {
        let tree = view.mining?.tree();
        let height = tree.tip().height;
        let shown = tree.iter().filter(|(_, header, ..)| header.height + heights > height);
        let mut blocks: Vec<TreeBlock> = shown
            .map(|(hash, header, on_chain, _)| TreeBlock {
                height: header.height,
                hash: *hash,
                parent: header.parent,
                miner: header.leader,
                timestamp: header.timestamp,
                target: header.work.map_or(0, |seal| seal.target.0),
                transactions: tree.block(hash).map(|block| block.transactions.len()),
                on_chain,
            })
            .collect();
        blocks.sort_by_key(|block| (block.height, block.hash));
        blocks.truncate(MAX_TREE_BLOCKS);
        Some(BlockTree { height, blocks })
    });
    read.await?.map(Json).ok_or_else(|| {
        let detail = "validators decide in this network, so there are no branches to show";
        Problem::not_found(detail).with_rule("block/no-branches")
    })
}

/// A decided height: its record, with the ids of its transactions and its proof.
#[utoipa::path(get, path = "/v1/blocks/{height}", tag = "blocks",
    params(("height" = u64, Path, description = "The height, from 1.")),
    responses(
        (status = 200, body = BlockInfo),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "Not decided."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn block(
    State(app): State<Arc<App>>,
    ApiPath(height): ApiPath<Height>,
) -> Answer<BlockInfo> {
    let record = lookup::decided(&app, height).await?;
    let info = lookup::blocking(move || {
        let (leader, proof) = (record.leader(), record.proof_info());
        let record = Arc::unwrap_or_clone(record.decided);
        let transactions = record.block().map_or(&[][..], |block| &block.transactions);
        let transactions = transactions.iter().map(|transaction| transaction.id()).collect();
        BlockInfo { height, hash: record.hash(), leader, transactions, record, proof }
    });
    Ok(Json(info.await?))
}

/// Why a height is decided as it is: the signatures, and whose they are.
#[utoipa::path(get, path = "/v1/blocks/{height}/proof", tag = "blocks",
    params(("height" = u64, Path, description = "The height, from 1.")),
    responses(
        (status = 200, body = ProofInfo),
        (status = 404, body = Problem, content_type = "application/problem+json",
            description = "Not decided, or the proof has not reached this node yet."),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn proof(
    State(app): State<Arc<App>>,
    ApiPath(height): ApiPath<Height>,
) -> Answer<ProofInfo> {
    let record = lookup::decided(&app, height).await?;
    let missing = proof_not_known(&record.decided);
    let proof = lookup::blocking(move || record.proof_info()).await?;
    proof.map(Json).ok_or(missing)
}

/// The problem that a decided height's proof has not come yet, or that there is none but the work.
pub(super) fn proof_not_known(decided: &Decided) -> Problem {
    let height = decided.height();
    if decided.block().is_some_and(|block| block.header.work.is_some()) {
        let detail = format!(
            "no signatures prove height {height}: its block is proved by the work on it and on what follows; check an export"
        );
        return Problem::not_found(detail).with_rule("block/proved-by-work");
    }
    let detail =
        format!("height {height} is decided, but its proof has not reached this node yet: ask again later");
    Problem::not_found(detail).with_rule("block/proof-not-known")
}
