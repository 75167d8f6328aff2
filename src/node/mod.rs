//! The running node: libp2p, disk, clocks and signals around the logic of the protocol crate.
//!
//! - `driver/`: the loop that feeds the logic and carries out its effects, in order, behind the log.
//! - `network.rs`: the swarm; `events.rs` and `effects.rs`: what comes from it, and what it is told.
//! - `tracking.rs`: the trackers, `tracker_metrics.rs` what is counted of them. `finding.rs`: other finders, NAT.
//! - `dialling.rs`: dials that somebody waits for.
//! - `known_peers_file.rs`: who is known, over a restart. `solver.rs`: proofs of work to be admitted.
//! - `miner.rs`: the search for blocks. `block_log.rs`: a line for each block as it is adopted or undone.
//! - `misbehaviour.rs`: faults on purpose, between the logic and the loop.
//! - `persistence.rs`: the log's and the database's. `gossip.rs`: the local modules.
//! - [`handle`]: how the rest of the process talks to it. `metrics.rs`: what Prometheus is told.

mod block_log;
mod dialling;
mod driver;
mod effects;
mod events;
mod finding;
mod gossip;
pub mod handle;
mod known_peers_file;
mod metrics;
mod miner;
mod misbehaviour;
mod network;
mod persistence;
mod solver;
mod tracker_metrics;
pub(crate) mod tracking;

use crate::{
    api,
    config::{ConfigError, NodeConfig, discovery::DiscoveryConfig},
    genesis_file, keys,
    storage::{DatabaseError, StoreError, WalQueueError},
};
use conclave_behaviours::{SwarmError, discovery};
use conclave_ledger::{chain::Chain, genesis::Genesis, keys::SecretKey};
use conclave_protocol::{
    node::{self as logic, RestoreError},
    peer::Peer,
};
use conclave_simulator::adversaries::Misbehaviour;
use handle::Handle;
use misbehaviour::Conduct;
use prometheus_client::registry::Registry;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Instant,
};
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, watch},
};

/// Why a node does not start, or has stopped.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The genesis file.
    #[error(transparent)]
    Genesis(#[from] crate::config::located::FileError),
    /// A key file.
    #[error(transparent)]
    Key(#[from] keys::KeyError),
    /// The home.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log.
    #[error(transparent)]
    Log(#[from] WalQueueError),
    /// The log failed while the node ran.
    #[error(
        "the write-ahead log cannot be written, so the node stops before it says anything that is not on disk: {0}"
    )]
    LogFailed(String),
    /// The database failed while the node ran.
    #[error("the database cannot be written, so the node stops; nothing that was acknowledged is lost: {0}")]
    DatabaseFailed(String),
    /// What is on disk does not fit together.
    #[error("{}: {reason}; restore the home from a backup, or begin in a fresh one and let the node catch up", .path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Log and database do not fit each other.
    #[error("{}: {error}; restore the home from a backup, or begin in a fresh one and let the node catch up", .home.display())]
    Restore {
        /// The home.
        home: PathBuf,
        /// What is wrong.
        error: RestoreError,
    },
    /// A validator without room for the others.
    #[error(
        "network.max_connections is {limit}, and this validator needs {least} for the others: allow as many, or more"
    )]
    TooFewConnections {
        /// What is configured.
        limit: usize,
        /// What it takes.
        least: usize,
    },
    /// The transports.
    #[error(transparent)]
    Swarm(#[from] SwarmError),
    /// An address that cannot be listened on.
    #[error("cannot listen on {address}: {reason}; give another with --listen")]
    Listen {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The API's address.
    #[error("cannot listen on {address} for the API: {source}; give another with --api-listen")]
    ApiListen {
        /// The address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The gossip API's address.
    #[error("cannot listen on {address} for the gossip API: {source}; give another with --gossip-listen")]
    GossipListen {
        /// The address.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// The API's configuration.
    #[error(transparent)]
    Api(#[from] api::ServeError),
    /// A thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Signals.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
    /// The block log.
    #[error("cannot write the block log {}: {source}; name another file with --block-log, or none", .path.display())]
    BlockLog {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody is to mine where validators decide.
    #[error(
        "validators decide in this network, so there is nothing to mine: leave --mine away, and mining.threads in the file"
    )]
    NothingToMine,
    /// Somebody is to misbehave who does not decide.
    #[error(
        "only a validator can misbehave, and this node has no validator key: give one with --validator-key, or take --misbehave away"
    )]
    NoValidator,
    /// The misbehaviour is one of the other engine.
    #[error("nobody can misbehave by {kind} under this network's engine; take one of these: {there_are}")]
    OtherEngine {
        /// What was asked for.
        kind: &'static str,
        /// What could be.
        there_are: String,
    },
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
}

/// Runs a node until SIGINT, SIGTERM or [`Handle::stop`], or until it must not go on.
///
/// # Errors
/// Why it did not start or had to stop.
pub async fn run(config: NodeConfig) -> Result<(), NodeError> {
    let genesis = Arc::new(genesis_file::read(&config.genesis)?);
    let node_key = keys::load(&config.node_key, &config.passphrases)?;
    let is_mined = genesis.proof_of_work.is_some();
    if config.mining.threads > 0 && !is_mined {
        return Err(NodeError::NothingToMine);
    }
    // Where work decides, nobody has a vote.
    let validator_key = config
        .validator_key
        .as_ref()
        .filter(|_| !is_mined)
        .map(|path| keys::load(path, &config.passphrases))
        .transpose()?;
    let identity = keys::node_identity(&node_key);
    let peer_id = identity.public().to_peer_id();
    let mut opened = persistence::open(&config.home, genesis.clone())?;

    let mut registry = Registry::default();
    let version = concat!("conclave/", env!("CARGO_PKG_VERSION"));
    let network = opened.restored.chain.network();
    let mut behaviour =
        conclave_behaviours::Config::new(network.to_string()[..16].to_owned(), version.to_owned());
    check_connections(config.meeting.max_connections, &opened.restored.chain, validator_key.as_ref())?;
    behaviour.max_connections = u32::try_from(config.meeting.max_connections).unwrap_or(u32::MAX);
    behaviour.tracker = config.serve_tracker.then(Default::default);
    behaviour.discovery = finders_of(&config.discovery);
    behaviour.nat = config.discovery.nat;
    let announcements = config.gossip.announcements();
    config.gossip.configure(&mut behaviour.announcements, &announcements);
    let swarm = conclave_behaviours::build_swarm(identity.clone(), &behaviour, &mut registry)?;
    let metrics = metrics::Metrics::register(&mut registry);
    let gossip_metrics = gossip::GossipMetrics::register(&mut registry);
    let tracking = tracking::Tracking::new(&config.trackers, &behaviour.network, identity, &mut registry);
    let finding =
        finding::Finding::new(config.discovery.clone(), config.serve_tracker, &network.0, &mut registry);
    let mut network_side = network::Network::new(swarm, behaviour.name("handshake"), tracking, finding);
    network_side.start_finding();
    network_side.listen(&config.listen)?;
    let api_listener = TcpListener::bind(config.api.listen)
        .await
        .map_err(|source| NodeError::ApiListen { address: config.api.listen.to_string(), source })?;
    let modules = gossip::listen(config.gossip.listen).await?;

    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(NodeError::Randomness)?;
    let is_validator = validator_key.is_some();
    let own_key = if is_mined { Some(node_key.clone()) } else { validator_key.clone() };
    let voice = gossip::Voice { network, key: node_key.clone() };
    let logic_config = logic::Config {
        peer: Peer::from_bytes(&peer_id.to_bytes()).expect("an Ed25519 peer id has 38 bytes"),
        node_key,
        validator_key: validator_key.clone(),
        mines: config.mining.threads > 0,
        version: version.to_owned(),
        meeting: config.meeting.logic(),
        pool: Default::default(),
        announcements,
        seed,
        rules: Default::default(),
    };
    let conduct = conduct_of(&config, &genesis, own_key, seed)?;
    let start = Instant::now();
    let clock = driver::clock(start);
    let chain = Chain::new(genesis);
    let (proofs, known_peers) = Default::default();
    let empty = logic::Restored { chain, proofs, log: Vec::new(), known_peers };
    let mut restored = std::mem::replace(&mut opened.restored, empty);
    restored.known_peers = known_peers_file::read(&config.home);
    let node = logic::Node::new(logic_config, restored, clock)
        .map_err(|error| NodeError::Restore { home: config.home.clone(), error })?;

    let (requests, request_queue) = mpsc::channel(handle::REQUEST_QUEUE);
    let (events, _) = broadcast::channel(handle::EVENT_QUEUE);
    let (stopping, _) = watch::channel(false);
    let handle = Handle { requests, events, database: opened.database.clone(), stopping };
    let (disk_sender, disk_events) = mpsc::unbounded_channel();
    let persistence = persistence::Persistence::start(opened, &disk_sender)?;

    let api_config = api::ApiConfig {
        listen: config.api.listen,
        token: config.api.token.as_ref().map(|token| token.as_str().to_owned()),
        hostnames: config.api.hostnames.clone(),
    };
    let api_address = api_listener
        .local_addr()
        .map_err(|source| NodeError::ApiListen { address: config.api.listen.to_string(), source })?;
    let api =
        tokio::spawn(api::serve(api_listener, handle.clone(), api_config, Arc::new(Mutex::new(registry))));
    tracing::info!(
        peer = %peer_id, %network, height = node.chain().tip().height, api = %api_address, is_validator,
        "the node is up"
    );
    let gossip = gossip::Gossip::new(modules, gossip_metrics, Some(voice));
    let block_log = match &config.mining.block_log {
        Some(path) => block_log::BlockLog::open(path)
            .map_err(|source| NodeError::BlockLog { path: path.clone(), source })?,
        None => block_log::BlockLog::default(),
    };
    let driver =
        driver::Driver::new(node, network_side, persistence, metrics, handle.clone(), start, &config);
    let result = driver
        .with_modules(gossip)
        .with_conduct(conduct)
        .with_block_log(block_log)
        .run(request_queue, disk_events)
        .await;
    handle.stop();
    match api.await {
        Ok(served) => result.and(served.map_err(NodeError::from)),
        // A panic there has been printed; the node's own result says more.
        Err(_) => result,
    }
}

/// A validator has to have room for all others, a visitor, a dial and a stranger.
fn check_connections(limit: usize, chain: &Chain, key: Option<&SecretKey>) -> Result<(), NodeError> {
    let validators = chain.validators();
    let is_member = key.is_some_and(|key| validators.index_of(&key.public()).is_some());
    let least = validators.members.len() + 2;
    if is_member && limit < least {
        return Err(NodeError::TooFewConnections { limit, least });
    }
    Ok(())
}

/// How the node behaves: it keeps the rules, unless it was told twice not to.
fn conduct_of(
    config: &NodeConfig,
    genesis: &Genesis,
    key: Option<SecretKey>,
    seed: [u8; 32],
) -> Result<Conduct, NodeError> {
    let Some(kind) = config.misbehaviour else { return Ok(Conduct::honest()) };
    let is_mined = genesis.proof_of_work.is_some();
    let fitting = if is_mined { &Misbehaviour::OF_MINERS[..] } else { &Misbehaviour::OF_VALIDATORS[..] };
    if !fitting.contains(&kind) {
        let there_are = fitting.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        return Err(NodeError::OtherEngine { kind: kind.name(), there_are });
    }
    let key = key.ok_or(NodeError::NoValidator)?;
    tracing::error!(
        misbehaviour = kind.name(),
        "THIS NODE ATTACKS ITS NETWORK ON PURPOSE, with its own keys: it {}. Others will disconnect it, and what it signs \
         twice suspends it for good. Stop it unless this is a test",
        kind.describe()
    );
    Ok(Conduct::attack(kind, genesis.network_id(), key, seed))
}

/// The finders that a configuration switches on. Who has to be reached over a relay cannot serve the table.
fn finders_of(config: &DiscoveryConfig) -> discovery::Config {
    let role = if config.relays.is_empty() { discovery::Role::Server } else { discovery::Role::Client };
    discovery::Config { kademlia: config.kademlia.then_some(role), mdns: config.mdns }
}
