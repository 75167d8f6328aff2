//! Connecting to a node whose address a person or a program knows.

use super::Answer;
use crate::{
    api::{
        App, MAX_CONNECT_MS, extract,
        problem::{Problem, TOO_MANY_DIALS},
        types::{Connect, Peer},
    },
    node::handle::{Handle, NodeEvent, NotDialled, Stopped},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use conclave_protocol::known_peers::MAX_ADDRESS_BYTES;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use std::{sync::Arc, time::Duration};
use tokio::sync::broadcast::{self, error::RecvError};

/// Connects to a node by its multiaddress.
///
/// Answered when the peer's handshake is done, at once if it is connected already. An address at which nobody answers
/// is forgotten; a peer that was reached is dialled again when it is lost.
#[utoipa::path(post, path = "/v1/peers", tag = "node", request_body = Connect, responses(
    (status = 200, body = Peer, description = "Connected."),
    (status = 400, body = Problem, content_type = "application/problem+json",
        description = "Not a multiaddress, or this node's own."),
    (status = 403, body = Problem, content_type = "application/problem+json", description = "The handshake was refused."),
    (status = 415, body = Problem, content_type = "application/problem+json", description = "Not JSON."),
    (status = 502, body = Problem, content_type = "application/problem+json",
        description = "Nobody answers there, or somebody else."),
    (status = 503, body = Problem, content_type = "application/problem+json",
        description = "Too many addresses are being dialled for others; Retry-After says when to try again."),
    (status = 504, body = Problem, content_type = "application/problem+json",
        description = "No handshake within 10 seconds."),
    (status = "default", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::api) async fn connect(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Body,
) -> Answer<Peer> {
    let Connect { address } = extract::json(&app, &headers, body).await?;
    let multiaddr = parse(&address)?;
    let meeting = meet(&app.handle, &address, multiaddr);
    let met = tokio::time::timeout(Duration::from_millis(MAX_CONNECT_MS), meeting).await;
    met.unwrap_or_else(|_| {
        let seconds = MAX_CONNECT_MS / 1000;
        let detail = format!(
            "no node of this network has finished a handshake at {address} within {seconds} seconds: check that the \
             node there runs, and with the same genesis file"
        );
        Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, detail))
    })
}

/// A multiaddr that can be dialled.
fn parse(address: &str) -> Result<Multiaddr, Problem> {
    let advice =
        "write one such as /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…, as `conclave status` prints it there";
    if address.len() > MAX_ADDRESS_BYTES {
        let length = address.len();
        return Err(Problem::bad_request(format!(
            "an address has at most {MAX_ADDRESS_BYTES} bytes, found {length}: {advice}"
        )));
    }
    let multiaddr: Multiaddr = address.parse().map_err(|error| {
        Problem::bad_request(format!("{address:?} is not a multiaddress ({error}): {advice}"))
    })?;
    if matches!(multiaddr.iter().next(), None | Some(Protocol::P2p(_))) {
        return Err(Problem::bad_request(format!("{address:?} does not say where the node is: {advice}")));
    }
    Ok(multiaddr)
}

async fn meet(handle: &Handle, address: &str, multiaddr: Multiaddr) -> Answer<Peer> {
    let named = multiaddr.iter().find_map(|part| match part {
        Protocol::P2p(id) => Some(id),
        _ => None,
    });
    if let Some(id) = named.map(|id: PeerId| id.to_base58()) {
        let own = handle.read(|view| view.status.peer_id.clone()).await?;
        if id == own {
            return Err(Problem::bad_request(format!("{address} is this node itself: name another")));
        }
        if let Some(peer) = connected(handle, id).await? {
            return Ok(Json(peer));
        }
    }
    let mut events = handle.events();
    let dialled = handle.dial(multiaddr).await?;
    let peer_id = dialled.map_err(|reason| match reason {
        NotDialled::Busy(_) => {
            let detail = format!("cannot connect to {address} now: {reason}");
            Problem::unavailable(detail).with_rule(TOO_MANY_DIALS)
        }
        NotDialled::Failed(reason) => {
            let detail = format!("cannot connect to {address}: {reason}; check that a node listens there");
            Problem::new(StatusCode::BAD_GATEWAY, detail)
        }
    })?;
    loop {
        if let Some(peer) = connected(handle, peer_id.clone()).await? {
            return Ok(Json(peer));
        }
        refused(&mut events, &peer_id, address).await?;
    }
}

/// The peer, if its handshake is done.
async fn connected(handle: &Handle, peer_id: String) -> Result<Option<Peer>, Stopped> {
    let find = move |peers: &[crate::node::handle::PeerInfo]| {
        peers.iter().find(|peer| peer.peer_id == peer_id).cloned().map(Peer::from)
    };
    handle.read(move |view| find(view.peers)).await
}

/// Waits until something happens to the peer; a problem if it will not be connected.
async fn refused(
    events: &mut broadcast::Receiver<NodeEvent>,
    peer_id: &str,
    address: &str,
) -> Result<(), Problem> {
    loop {
        match events.recv().await {
            Ok(NodeEvent::PeerConnected(peer)) if peer.peer_id == peer_id => return Ok(()),
            Ok(NodeEvent::PeerRefused { peer_id: id, reason, by_us }) if id == peer_id => {
                let who = if by_us { "this node refused" } else { "was refused by" };
                let detail = format!("{who} {peer_id} at {address}: {reason}");
                return Err(Problem::new(StatusCode::FORBIDDEN, detail));
            }
            Ok(_) => {}
            // Whatever was missed, the peers say where it stands.
            Err(RecvError::Lagged(_)) => return Ok(()),
            Err(RecvError::Closed) => return Err(Stopped.into()),
        }
    }
}
