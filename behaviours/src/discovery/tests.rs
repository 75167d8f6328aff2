//! A table on loopback: finding by one peer, and what liars can do.

use super::{Finder, Found, Ignored, Kademlia, Role, kademlia};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, identify,
    kad::{self, ProviderRecord, store::RecordStore},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use libp2p_swarm_test::SwarmExt;
use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

const NETWORK: [u8; 32] = [7; 32];

#[derive(NetworkBehaviour)]
struct Peer {
    kademlia: Kademlia,
    identify: identify::Behaviour,
}

fn swarm(table: impl FnOnce(PeerId) -> Kademlia) -> Swarm<Peer> {
    Swarm::new_ephemeral_tokio(|keypair| Peer {
        kademlia: table(keypair.public().to_peer_id()),
        identify: identify::Behaviour::new(identify::Config::new("/test/1".into(), keypair.public())),
    })
}

/// Listens on loopback; returns where, with the peer's id.
async fn listen(swarm: &mut Swarm<Peer>) -> Multiaddr {
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = swarm
        .wait(|event| match event {
            SwarmEvent::NewListenAddr { address, .. } => Some(address),
            _ => None,
        })
        .await;
    address.with_p2p(*swarm.local_peer_id()).unwrap()
}

/// What a node of the network does, without end: announces itself, looks others up, tells what it finds and ignores.
async fn run(
    mut swarm: Swarm<Peer>,
    table: Vec<Multiaddr>,
    told: mpsc::UnboundedSender<(Vec<Found>, Ignored)>,
) {
    let mut finder = Finder::new(&NETWORK);
    let mut again = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(PeerEvent::Kademlia(event)) => {
                    let found = finder.handle(&mut swarm.behaviour_mut().kademlia, event);
                    if told.send((found, finder.ignored)).is_err() {
                        return;
                    }
                }
                SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Received { peer_id, info, .. })) => {
                    finder.identified(&mut swarm.behaviour_mut().kademlia, peer_id, &info);
                }
                _ => {}
            },
            _ = again.tick() => {
                let kademlia = &mut swarm.behaviour_mut().kademlia;
                for address in &table {
                    let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.iter().last() else { continue };
                    kademlia.add_address(&peer, address.clone());
                }
                finder.announce(kademlia);
                finder.look_up(kademlia);
            }
        }
    }
}

/// The next thing that is told; a test fails rather than wait without end.
async fn next<T>(told: &mut mpsc::UnboundedReceiver<T>, until: Instant) -> T {
    tokio::time::timeout_at(until.into(), told.recv()).await.expect("in time").unwrap()
}

#[tokio::test]
async fn a_newcomer_who_knows_one_peer_of_the_table_finds_all_nodes_of_its_network() {
    let until = Instant::now() + Duration::from_secs(60);
    let mut hub = swarm(|peer| kademlia::behaviour(peer, Role::Server));
    let at_hub = vec![listen(&mut hub).await];
    let (ignored, _unread) = mpsc::unbounded_channel();
    // The hub is of another network: it serves the table, and is not to be found.
    tokio::spawn(async move {
        let mut finder = Finder::new(&[8; 32]);
        loop {
            match hub.select_next_some().await {
                SwarmEvent::Behaviour(PeerEvent::Kademlia(event)) => {
                    finder.handle(&mut hub.behaviour_mut().kademlia, event);
                }
                SwarmEvent::Behaviour(PeerEvent::Identify(identify::Event::Received {
                    peer_id,
                    info,
                    ..
                })) => {
                    finder.identified(&mut hub.behaviour_mut().kademlia, peer_id, &info);
                }
                _ => {}
            }
        }
    });
    let mut expected = BTreeSet::new();
    for _ in 0..4 {
        let mut node = swarm(|peer| kademlia::behaviour(peer, Role::Server));
        let address = listen(&mut node).await;
        expected.insert((*node.local_peer_id(), address));
        tokio::spawn(run(node, at_hub.clone(), ignored.clone()));
    }
    let newcomer = swarm(|peer| kademlia::behaviour(peer, Role::Client));
    let (told, mut events) = mpsc::unbounded_channel();
    tokio::spawn(run(newcomer, at_hub, told));
    let mut found = BTreeSet::new();
    while found != expected {
        let (more, _) = next(&mut events, until).await;
        found.extend(
            more.into_iter()
                .flat_map(|found| found.addresses.into_iter().map(move |address| (found.peer, address))),
        );
        assert!(found.is_subset(&expected), "only nodes of the network are found: {found:?}");
    }
}

/// A peer of the table that answers with as many made-up providers as a packet holds, each with many addresses.
fn liar(peer: PeerId) -> Kademlia {
    let mut config = kad::Config::new(super::PROTOCOL);
    config.set_replication_factor(NonZeroUsize::new(10_000).unwrap()).set_max_packet_size(16 << 20);
    let store = kad::store::MemoryStoreConfig { max_providers_per_key: 10_000, ..Default::default() };
    let mut table = Kademlia::with_config(peer, kad::store::MemoryStore::with_config(peer, store), config);
    table.set_mode(Some(kad::Mode::Server));
    for _ in 0..40 {
        let addresses = (1..20).map(|port| format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()).collect();
        let record = ProviderRecord::new(kademlia::key_of(&NETWORK), PeerId::random(), addresses);
        table.store_mut().add_provider(record).unwrap();
    }
    table
}

#[tokio::test]
async fn liars_with_endless_providers_are_heard_up_to_a_bound_and_counted() {
    let until = Instant::now() + Duration::from_secs(60);
    let mut table = Vec::new();
    for _ in 0..6 {
        let mut liar = swarm(liar);
        table.push(listen(&mut liar).await);
        tokio::spawn(liar.loop_on_next());
    }
    let (told, mut events) = mpsc::unbounded_channel();
    tokio::spawn(run(swarm(|peer| kademlia::behaviour(peer, Role::Client)), table, told));
    let mut last = Ignored::default();
    while last.providers + last.unreachable == 0 || last.addresses == 0 {
        let (found, ignored) = next(&mut events, until).await;
        assert!(found.len() <= kademlia::MAX_FOUND);
        assert!(found.iter().all(|found| found.addresses.len() <= kademlia::MAX_ADDRESSES));
        last = ignored;
    }
}
