//! The one behaviour that a node runs: every protocol it speaks, composed in one place.

use crate::{
    address_blocks, announcements, channel, discovery, exchange,
    nat::{self, Switches},
    rendezvous, tracker,
};
use libp2p::{PeerId, allow_block_list, connection_limits, identify, identity::Keypair, mdns, ping, relay};
use std::time::Duration;

/// Time from an answer to the next ping, and from a lost ping to the next one.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// After this time without an answer a ping is lost. A connection is given up after two in a row, about 20 seconds
/// after the other end fell silent: nothing else notices that soon when a cable is cut or an address has moved.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds and names of the protocols.
#[derive(Clone, Debug)]
pub struct Config {
    /// First 8 bytes of the network id in hexadecimal; part of every protocol's name, so that nodes of different
    /// networks do not even negotiate.
    pub network: String,
    /// What identify says of the program, such as `conclave/0.1.0`.
    pub agent: String,
    /// Most established connections (default 512).
    pub max_connections: u32,
    /// Most established connections to one peer (default 3: two that were dialled at once, and one to replace).
    pub max_connections_per_peer: u32,
    /// Most incoming connections that are being negotiated (default 64).
    pub max_pending_incoming: u32,
    /// Most incoming connections from one block of addresses (default 40 that are being negotiated; 160 that are
    /// established, among those of peers that have not proved a validator's key).
    pub address_blocks: address_blocks::Config,
    /// Longest consensus frame in bytes: that of a block.
    pub max_consensus_frame_bytes: usize,
    /// Longest frame of transactions in bytes.
    pub max_transactions_frame_bytes: usize,
    /// Bytes that may wait to be sent to one peer on the consensus channel (default 128 MiB: two blocks of the largest
    /// kind). Only validators are sent anything there.
    pub max_queued_consensus_bytes: usize,
    /// Bytes that may wait to be sent to one peer on the transactions channel (default 16 MiB, twice what a pool holds).
    /// A peer that does not read gets no more; it learns of what it missed when it connects again, or from blocks.
    pub max_queued_transactions_bytes: usize,
    /// Longest response of sync in bytes.
    pub max_sync_response_bytes: u64,
    /// Longest response of peer exchange in bytes.
    pub max_peers_response_bytes: u64,
    /// Time for a response of peer exchange (default 60 s): the other side works for it.
    pub peers_timeout: Duration,
    /// Announcements.
    pub announcements: announcements::Config,
    /// After this time without a response a request has failed (default 10 s); the machines have shorter ones.
    pub request_timeout: Duration,
    /// Bounds of the tracker that this node serves; `None` if it serves none (default).
    pub tracker: Option<tracker::Config>,
    /// Which finders are on (default none).
    pub discovery: discovery::Config,
    /// Which parts of NAT traversal are on (default none).
    pub nat: Switches,
}

impl Config {
    /// The defaults for a network.
    pub fn new(network: String, agent: String) -> Self {
        let announcements = announcements::Config::new(format!("/conclave/{network}/announcements"));
        Self {
            network,
            agent,
            max_connections: 512,
            max_connections_per_peer: 3,
            max_pending_incoming: 64,
            address_blocks: address_blocks::Config { max_pending: 40, max_established: 160 },
            max_consensus_frame_bytes: 72 << 20,
            max_transactions_frame_bytes: 2 << 20,
            max_queued_consensus_bytes: 128 << 20,
            max_queued_transactions_bytes: 16 << 20,
            max_sync_response_bytes: 80 << 20,
            max_peers_response_bytes: 160 << 10,
            peers_timeout: Duration::from_secs(60),
            announcements,
            request_timeout: Duration::from_secs(10),
            tracker: None,
            discovery: discovery::Config::default(),
            nat: Switches::default(),
        }
    }

    /// Name of the network's version of a protocol.
    pub fn name(&self, protocol: &str) -> String {
        format!("/conclave/{}/{protocol}/1", self.network)
    }

    fn exchange(&self, protocol: &str, max_response_bytes: u64) -> exchange::Config {
        exchange::Config {
            name: self.name(protocol),
            max_request_bytes: 64 << 10,
            max_response_bytes,
            timeout: self.request_timeout,
            max_concurrent: 32,
            framing: exchange::Framing::Length,
        }
    }

    fn consensus(&self) -> channel::Config {
        channel::Config {
            name: self.name("consensus"),
            max_frame_bytes: self.max_consensus_frame_bytes,
            max_queued_bytes: self.max_queued_consensus_bytes,
        }
    }

    fn transactions(&self) -> channel::Config {
        channel::Config {
            name: self.name("transactions"),
            max_frame_bytes: self.max_transactions_frame_bytes,
            max_queued_bytes: self.max_queued_transactions_bytes,
        }
    }
}

pub use composition::{Behaviour, BehaviourEvent};

/// The struct alone, because the derive writes an enum of events beside it whose variants carry no documentation.
#[allow(missing_docs)]
mod composition {
    use crate::{
        address_blocks, announcements, channel, discovery::Kademlia, exchange, nat, rendezvous, tracker,
    };
    use libp2p::{
        allow_block_list, connection_limits, identify, mdns, ping,
        swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    };

    /// Everything that a node speaks.
    #[derive(NetworkBehaviour)]
    pub struct Behaviour {
        /// Bounds on the connections from one block of addresses.
        pub address_blocks: address_blocks::Behaviour,
        /// Bounds on connections.
        pub limits: connection_limits::Behaviour,
        /// Peers that are kept out.
        pub blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
        /// Who is there, and which protocols and addresses it has.
        pub identify: identify::Behaviour,
        /// Whether it is still there.
        pub ping: ping::Behaviour,
        /// Who it is: network, role, proof of its key.
        pub handshake: exchange::Behaviour,
        /// What was decided.
        pub sync: exchange::Behaviour,
        /// Work that observers do before they are believed.
        pub admission: exchange::Behaviour,
        /// Where others are.
        pub peers: exchange::Behaviour,
        /// What is being decided.
        pub consensus: channel::Behaviour,
        /// What waits to be decided.
        pub transactions: channel::Behaviour,
        /// What is asked of trackers.
        pub rendezvous: rendezvous::Behaviour,
        /// What this node answers as a tracker, if it is one.
        pub tracker: Toggle<tracker::Behaviour>,
        /// Finds others without trackers.
        pub kademlia: Toggle<Kademlia>,
        /// Finds others on the local network.
        pub mdns: Toggle<mdns::tokio::Behaviour>,
        /// Reaches nodes behind routers.
        pub nat: nat::Behaviour,
        /// What local programs tell each other.
        pub announcements: announcements::Behaviour,
    }
}

/// What belongs to the transport or the network of the machine, and so is made outside.
pub struct Sockets {
    /// The relay client that belongs to the transport.
    pub relay: relay::client::Behaviour,
    /// mDNS, where it is on.
    pub mdns: Option<mdns::tokio::Behaviour>,
}

impl Behaviour {
    /// The behaviour of a node with this key.
    pub fn new(keypair: &Keypair, sockets: Sockets, config: &Config) -> Self {
        let peer = keypair.public().to_peer_id();
        let table = config.discovery.kademlia.map(|role| discovery::kademlia::behaviour(peer, role));
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_established(Some(config.max_connections))
            .with_max_established_per_peer(Some(config.max_connections_per_peer))
            .with_max_pending_incoming(Some(config.max_pending_incoming));
        let identify = identify::Config::new("/conclave/1".into(), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true);
        Self {
            address_blocks: address_blocks::Behaviour::new(config.address_blocks),
            limits: connection_limits::Behaviour::new(limits),
            blocked: allow_block_list::Behaviour::default(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(
                ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT),
            ),
            handshake: exchange::behaviour(&config.exchange("handshake", 64 << 10)),
            sync: exchange::behaviour(&config.exchange("sync", config.max_sync_response_bytes)),
            admission: exchange::behaviour(&config.exchange("admission", 1 << 10)),
            peers: exchange::behaviour(&exchange::Config {
                timeout: config.peers_timeout,
                ..config.exchange("peers", config.max_peers_response_bytes)
            }),
            consensus: channel::Behaviour::new(config.consensus()),
            transactions: channel::Behaviour::new(config.transactions()),
            rendezvous: rendezvous::Behaviour::default(),
            tracker: config.tracker.clone().map(tracker::Behaviour::new).into(),
            kademlia: table.into(),
            mdns: sockets.mdns.into(),
            nat: nat::Behaviour::new(peer, sockets.relay, config.nat),
            announcements: announcements::Behaviour::new(keypair, config.announcements.clone()),
        }
    }

    /// Opens the channels to a peer whose handshake is done.
    pub fn open_channels(&mut self, peer: PeerId) {
        self.consensus.open(peer);
        self.transactions.open(peer);
    }

    /// Lets the announcements of a peer in, whose admission is settled.
    pub fn open_announcements(&mut self, peer: PeerId) {
        self.announcements.open(peer);
    }

    /// Closes the channels to a peer.
    pub fn close_channels(&mut self, peer: PeerId) {
        self.consensus.close(peer);
        self.transactions.close(peer);
        self.announcements.close(peer);
    }
}
