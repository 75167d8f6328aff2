//! Whom the node is connected to, and whom it knows.

use super::Answer;
use crate::{
    api::{
        App,
        lookup::Names,
        problem::Problem,
        types::{KnownPeer, KnownPeers, NamedKey, Peer, Peers},
    },
    node::handle::{NodeView, PeerInfo},
};
use axum::{Json, extract::State};
use conclave_protocol::{
    known_peers::{Entry, Standing},
    peer as logic,
};
use libp2p::PeerId;
use std::{str::FromStr, sync::Arc};

/// The connected peers.
#[utoipa::path(get, path = "/v1/peers", tag = "node", responses(
    (status = 200, body = Peers),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn peers(State(app): State<Arc<App>>) -> Answer<Peers> {
    let read = |view: &NodeView<'_>| view.peers.iter().map(|info| connected(view, info.clone())).collect();
    Ok(Json(Peers { peers: app.handle.read(read).await? }))
}

fn connected(view: &NodeView<'_>, info: PeerInfo) -> Peer {
    let id = PeerId::from_str(&info.peer_id).ok();
    let peer = id.and_then(|id| logic::Peer::from_bytes(&id.to_bytes()).ok());
    let sources = peer.and_then(|peer| view.known_peers.table().get(&peer)).map(sources).unwrap_or_default();
    Peer { sources, ..info.into() }
}

impl From<PeerInfo> for Peer {
    fn from(peer: PeerInfo) -> Self {
        let PeerInfo { peer_id, validator, name, height, version, address } = peer;
        let validator = validator.map(|key| NamedKey { name, key });
        Self { peer_id, validator, height, version, address, sources: Vec::new() }
    }
}

fn sources(entry: &Entry) -> Vec<String> {
    entry.sources.iter().map(|source| source.name().to_owned()).collect()
}

/// The peers that the node knows, connected or not, and from where.
#[utoipa::path(get, path = "/v1/peers/known", tag = "node", responses(
    (status = 200, body = KnownPeers),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn known(State(app): State<Arc<App>>) -> Answer<KnownPeers> {
    Ok(Json(KnownPeers { peers: app.handle.read(read_known).await? }))
}

fn read_known(view: &NodeView<'_>) -> Vec<KnownPeer> {
    let (names, anchors) = (Names::read(view), view.known_peers.anchors());
    let describe = |(peer, entry): (&logic::Peer, &Entry)| KnownPeer {
        peer_id: PeerId::from_bytes(peer.as_bytes())
            .map_or_else(|_| format!("{peer:?}"), |id| id.to_base58()),
        validator: entry.standing.key().map(|key| names.named(key)),
        proved: matches!(entry.standing, Standing::Validates(_)),
        addresses: entry.addresses.clone(),
        sources: sources(entry),
        group: entry.group.to_string(),
        connected: view.known_peers.is_connected(peer),
        met: entry.met,
        anchor: anchors.contains(peer),
        failures: entry.failures,
    };
    view.known_peers.table().iter().map(describe).collect()
}
