//! Tests over real swarms: against libp2p's server, and against one that lies.

#![allow(clippy::unwrap_used)]

mod honest;
mod lying;

use super::*;
use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    identity::Keypair,
    swarm::{NetworkBehaviour, SwarmEvent},
};
use libp2p_swarm_test::SwarmExt;
use std::time::Duration;

/// How long anything may take before a test gives up; nothing waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

fn namespace() -> Namespace {
    Namespace::new("lunch").unwrap()
}

fn record(key: &Keypair, port: u16, sequence: u64) -> SignedRecord {
    let address: Multiaddr = format!("/ip4/192.0.2.7/tcp/{port}").parse().unwrap();
    SignedRecord::new(key, &[address], sequence).unwrap()
}

/// A client and its key, connected to `tracker`, which runs on its own from now on.
async fn client<B>(mut tracker: Swarm<B>) -> (Swarm<Behaviour>, Keypair, libp2p::PeerId)
where
    B: NetworkBehaviour + Send,
    B::ToSwarm: std::fmt::Debug + Send,
{
    tracker.listen().with_memory_addr_external().await;
    let mut keys = None;
    let mut client = Swarm::new_ephemeral_tokio(|key| {
        keys = Some(key);
        Behaviour::default()
    });
    client.connect(&mut tracker).await;
    let id = *tracker.local_peer_id();
    tokio::spawn(async move {
        loop {
            tracker.select_next_some().await;
        }
    });
    (client, keys.unwrap(), id)
}

/// What the client says next.
async fn next(client: &mut Swarm<Behaviour>) -> Event {
    let event = async {
        loop {
            if let SwarmEvent::Behaviour(event) = client.select_next_some().await {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, event).await.unwrap()
}
