//! The node itself: where it stands, who decides.

use super::Answer;
use crate::{
    api::{
        App,
        extract::ApiPath,
        lookup::Names,
        problem::Problem,
        types::{GenesisInfo, PoolStatus, Sender, Status, ValidatorInfo, Validators, WorkStatus, schema},
    },
    node::handle::NodeView,
};
use axum::{Json, extract::State};
use conclave_ledger::{
    applications::{self, governance},
    keys::PublicKey,
    rotation::Rotation,
};
use std::sync::Arc;

/// The program and its version.
const VERSION: &str = concat!("conclave/", env!("CARGO_PKG_VERSION"));

/// Where the node stands.
#[utoipa::path(get, path = "/v1/status", tag = "node", responses(
    (status = 200, body = Status),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn status(State(app): State<Arc<App>>) -> Answer<Status> {
    Ok(Json(app.handle.read(read_status).await?))
}

fn read_status(view: &NodeView<'_>) -> Status {
    let (chain, names, node) = (view.chain, Names::read(view), view.status);
    let tip = chain.tip();
    Status {
        version: VERSION.into(),
        network_name: chain.genesis().name.clone(),
        network: chain.network(),
        peer_id: node.peer_id.clone(),
        listen: node.listen.clone(),
        validator: node.validator.map(|key| names.named(key)),
        height: tip.height,
        hash: tip.hash,
        timestamp: tip.timestamp,
        block_height: tip.block_height,
        state: chain.state_hash(),
        leader: names.named(chain.leader()),
        peers: view.peers.len(),
        validators_reachable: reachable(view),
        quorum: chain.validators().quorum(),
        pool: PoolStatus { transactions: view.pool.len(), bytes: view.pool.bytes() },
        catching_up_to: node.catching_up_to,
        halted: node.halted,
        failed: node.failed.clone(),
        not_ready: not_ready(view),
        proof_of_work: work_status(view),
    }
}

fn work_status(view: &NodeView<'_>) -> Option<WorkStatus> {
    let (mining, position) = (view.mining?, view.chain.position()?);
    let target = position.next_target(view.chain.genesis().proof_of_work.as_ref()?);
    let standing = mining.standing();
    Some(WorkStatus {
        work: position.work(),
        target: target.0,
        difficulty: target.target()?.work().as_f64() as u64,
        hash_rate: view.status.hash_rate as u64,
        mining: view.status.is_mining,
        depth: view.chain.depth(),
        forks: standing.forks,
        reorganisations: standing.reorganisations,
        undone: standing.undone,
        deepest: standing.deepest,
    })
}

/// Validators that can be reached and whose word counts, this node itself included.
fn reachable(view: &NodeView<'_>) -> usize {
    let counts = |member: &&conclave_ledger::validators::Member| {
        !member.suspended && is_connected(view, &member.validator.key)
    };
    view.chain.validators().members.iter().filter(counts).count()
}

fn is_connected(view: &NodeView<'_>, key: &PublicKey) -> bool {
    view.status.validator == Some(*key) || view.peers.iter().any(|peer| peer.validator == Some(*key))
}

/// Why the node is not ready to serve, if it is not: it stopped for good, stands still, is behind, or sees fewer
/// than `q−1` other validators.
pub(super) fn not_ready(view: &NodeView<'_>) -> Option<String> {
    let status = view.status;
    if let Some(reason) = &status.failed {
        return Some(format!("the node no longer takes part: {reason}"));
    }
    if let Some(height) = status.halted {
        return Some(format!("height {height} cannot close: too few validators can be reached"));
    }
    if let Some(target) = status.catching_up_to {
        return Some(format!("catching up: at height {} of {target}", view.chain.tip().height));
    }
    let own = status.validator.is_some_and(|key| view.chain.validators().index_of(&key).is_some());
    let (others, needed) =
        (reachable(view) - usize::from(own && counts_itself(view)), view.chain.validators().quorum() - 1);
    (others < needed).then(|| {
        format!(
            "connected to {others} other validators, {needed} are needed for a quorum: check /v1/validators"
        )
    })
}

/// Whether this node's own validator is among the reachable ones.
fn counts_itself(view: &NodeView<'_>) -> bool {
    view.status.validator.is_some_and(|key| {
        view.chain.validators().members.iter().any(|member| member.validator.key == key && !member.suspended)
    })
}

/// The validators of the next height.
#[utoipa::path(get, path = "/v1/validators", tag = "node", responses(
    (status = 200, body = Validators),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn validators(State(app): State<Arc<App>>) -> Answer<Validators> {
    Ok(Json(app.handle.read(read_validators).await?))
}

fn read_validators(view: &NodeView<'_>) -> Validators {
    let (chain, state) = (view.chain, view.chain.view());
    let (set, rotation) = (chain.validators(), Rotation::read(&state));
    let info = |(index, member): (usize, &conclave_ledger::validators::Member)| {
        let key = member.validator.key;
        ValidatorInfo {
            index: index as u16,
            name: member.validator.name.clone(),
            key,
            suspended: member.suspended,
            absent: rotation.is_absent(&key),
            leader: chain.leader() == key,
            connected: is_connected(view, &key),
        }
    };
    Validators {
        height: chain.next_height(),
        quorum: set.quorum(),
        faulty: set.faulty(),
        validators: set.members.iter().enumerate().map(info).collect(),
        limits: governance::limits(&state),
    }
}

/// What the ledger makes of a sender: whether it needs a stamp, and until when its transactions may live.
#[utoipa::path(get, path = "/v1/senders/{key}", tag = "transactions",
    params(("key" = schema::Hex32, Path, description = "The sender's public key.")),
    responses(
        (status = 200, body = Sender),
        (status = "default", body = Problem, content_type = "application/problem+json"),
    ))]
pub(in crate::api) async fn sender(
    State(app): State<Arc<App>>,
    ApiPath(key): ApiPath<PublicKey>,
) -> Answer<Sender> {
    let sender = app.handle.read(move |view| {
        let (chain, state) = (view.chain, view.chain.view());
        let known = applications::knows(&key, &state);
        let stamp_bits = if known { 0 } else { chain.genesis().stamp_bits };
        let next_height = chain.next_height();
        let latest_expiry = next_height.saturating_add(governance::limits(&state).expiry_heights);
        Sender { key, known, stamp_bits, next_height, latest_expiry }
    });
    Ok(Json(sender.await?))
}

/// The network's definition.
#[utoipa::path(get, path = "/v1/genesis", tag = "node", responses(
    (status = 200, body = GenesisInfo),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn genesis(State(app): State<Arc<App>>) -> Answer<GenesisInfo> {
    let info = app.handle.read(|view| GenesisInfo {
        network: view.chain.network(),
        genesis: view.chain.genesis().as_ref().clone(),
    });
    Ok(Json(info.await?))
}
