//! Peers of the table that answer with made-up providers, and say ever new addresses of themselves.

use crate::{hub::Hub, node::Network};
use conclave_behaviours::{discovery, swarm::build_with};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, identify,
    identity::Keypair,
    kad::{self, ProviderRecord, store::MemoryStore, store::MemoryStoreConfig, store::RecordStore},
    swarm::{NetworkBehaviour, SwarmEvent},
};
use std::{num::NonZeroUsize, time::Duration};

/// Liars in the table; each makes up as many providers as fit into an answer.
const LIARS: usize = 6;

#[derive(NetworkBehaviour)]
struct Liar {
    kademlia: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

impl Liar {
    fn new(keypair: &Keypair, network: &[u8; 32]) -> Self {
        let peer = keypair.public().to_peer_id();
        let mut config = kad::Config::new(discovery::PROTOCOL);
        config.set_replication_factor(NonZeroUsize::new(10_000).unwrap()).set_max_packet_size(16 << 20);
        let store = MemoryStoreConfig { max_providers_per_key: 10_000, ..Default::default() };
        let mut kademlia = kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, store), config);
        kademlia.set_mode(Some(kad::Mode::Server));
        for _ in 0..40 {
            // Port 1 of loopback: nobody is there, and nothing leaves this machine.
            let addresses = (0..20).map(|_| "/ip4/127.0.0.1/tcp/1".parse().unwrap()).collect();
            let key = discovery::kademlia::key_of(network);
            kademlia.store_mut().add_provider(ProviderRecord::new(key, PeerId::random(), addresses)).unwrap();
        }
        let identify = identify::Config::new("/liar/1".into(), keypair.public());
        Self { kademlia, identify: identify::Behaviour::new(identify) }
    }
}

/// Starts a liar; returns where it listens.
async fn start(network: [u8; 32]) -> Multiaddr {
    let mut unread = libp2p::metrics::Registry::default();
    let keypair = Keypair::generate_ed25519();
    let mut swarm: Swarm<Liar> =
        build_with(keypair, &mut unread, Duration::from_secs(60), |keypair, _| Liar::new(keypair, &network))
            .unwrap();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address.with_p2p(*swarm.local_peer_id()).unwrap();
        }
    };
    tokio::spawn(async move {
        let mut port = 1;
        loop {
            if let SwarmEvent::Behaviour(LiarEvent::Identify(identify::Event::Sent { peer_id, .. })) =
                swarm.select_next_some().await
            {
                // As many addresses as an identify message holds, and other ones each time.
                for _ in 0..150 {
                    port = port % 60_000 + 1;
                    swarm.add_external_address(format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap());
                }
                swarm.behaviour_mut().identify.push([peer_id]);
            }
        }
    });
    address
}

#[test]
fn made_up_providers_and_addresses_are_bounded_counted_and_do_not_keep_honest_nodes_apart() {
    let network = Network::new(2);
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let liars: Vec<String> = network.runtime.block_on(async {
        let mut liars = Vec::new();
        for _ in 0..LIARS {
            liars.push(start(network.id()).await.to_string());
        }
        liars
    });
    let mut flags = vec!["--listen", "/ip4/127.0.0.1/tcp/0", "--kademlia", "--kademlia-peer", &hub.address];
    liars.iter().for_each(|liar| flags.extend(["--kademlia-peer", liar]));
    let nodes = [0, 1].map(|number| network.validator(number, &flags));
    for node in &nodes {
        network.wait_counter(node, "conclave_ignored_findings_total{kind=\"providers\"}");
        network.wait_counter(node, "conclave_ignored_findings_total{kind=\"addresses\"}");
        network.wait_peers(node, 1);
    }
    network.decide(&nodes[0], "in spite of them");
}
