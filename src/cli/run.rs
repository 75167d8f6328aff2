//! `conclave run`: a node, until it is told to stop.

use super::{
    console,
    discovery_flags::DiscoveryFlags,
    failure::{Context, Outcome},
    gather::GatherFlags,
    genesis,
    key::PassphraseFlag,
    logging,
    misbehaviour_flags::MisbehaviourFlags,
    session::Session,
};
use crate::{
    config::{ApiLayer, GossipLayer, Layer, LogLayer, MeetingLayer, MiningLayer, NetworkLayer, NodeConfig},
    node,
};
use clap::Parser;
use libp2p::Multiaddr;
use std::{io::Read, net::SocketAddr, path::PathBuf};

/// Runs a node until it is told to stop (Ctrl-C or SIGTERM)
#[derive(Parser)]
#[command(after_help = "Example:\n  conclave --home ./anna run --peer /ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…")]
pub(crate) struct Run {
    /// Genesis file [default: genesis.toml in the home]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Node key file [default: keys/node.key in the home]
    #[arg(long, value_name = "FILE")]
    node_key: Option<PathBuf>,
    /// Validator key file [default: keys/validator.key in the home, if there is one]
    #[arg(long, value_name = "FILE")]
    validator_key: Option<PathBuf>,
    /// Multiaddr to listen on; may be given several times [default: TCP and QUIC on port 7700]
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// Multiaddr of a node to connect to; may be given several times
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Multiaddr>,
    /// Zero bits of the work that is asked of observers before they are believed [default: 24]
    #[arg(long, value_name = "BITS")]
    admission_bits: Option<u8>,
    /// Connections that an observer keeps up by dialling [default: 8]
    #[arg(long, value_name = "NUMBER")]
    target_connections: Option<usize>,
    /// Observers that may stay because they dialled this node [default: 64]
    #[arg(long, value_name = "NUMBER")]
    max_observers: Option<usize>,
    /// Most connections at a time, whoever dialled [default: 512]
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<usize>,
    /// Seconds between two refreshments of the connections [default: 600]
    #[arg(long, value_name = "SECONDS")]
    refresh_interval_s: Option<u64>,
    /// Dials in a row without success after which a peer is forgotten [default: 10]
    #[arg(long, value_name = "NUMBER")]
    max_attempts: Option<u32>,
    /// Most peers that are known [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    max_known_peers: Option<usize>,
    /// Multiaddr of a tracker to register with and to ask for peers; may be given several times
    #[arg(long = "tracker", value_name = "MULTIADDR")]
    trackers: Vec<Multiaddr>,
    /// Be a tracker for others
    #[arg(long)]
    serve_tracker: bool,
    #[command(flatten)]
    discovery: DiscoveryFlags,
    /// Address of the HTTP API [default: 127.0.0.1:7780]
    #[arg(long, value_name = "ADDRESS:PORT")]
    api_listen: Option<SocketAddr>,
    /// File whose first line is the token that requests to the API must carry
    #[arg(long, value_name = "FILE")]
    api_token_file: Option<PathBuf>,
    /// Name, besides loopback, under which the API may be asked; may be given several times
    #[arg(long = "api-hostname", value_name = "NAME")]
    api_hostnames: Vec<String>,
    /// Address of the gossip API for local programs [default: none]
    #[arg(long, value_name = "ADDRESS:PORT")]
    gossip_listen: Option<SocketAddr>,
    /// Neighbours in the mesh of a data type [default: 6]
    #[arg(long, value_name = "NUMBER")]
    gossip_degree: Option<u64>,
    /// Announcements kept [default: 1024]
    #[arg(long, value_name = "NUMBER")]
    gossip_cache_size: Option<u64>,
    /// Seconds that local programs have to validate an announcement [default: 60]
    #[arg(long, value_name = "SECONDS")]
    gossip_validation_timeout: Option<u64>,
    /// Threads that mine, in networks where proofs of work decide [default: 0]
    #[arg(long, value_name = "THREADS")]
    mine: Option<usize>,
    /// File to which a line of JSON is added for each block that is adopted or undone [default: none]
    #[arg(long, value_name = "FILE")]
    block_log: Option<PathBuf>,
    /// INI file of Voidphone modules, whose section [gossip] is read
    #[arg(long, value_name = "FILE")]
    voidphone_config: Option<PathBuf>,
    /// What to log, as in RUST_LOG
    #[arg(long, value_name = "LEVELS")]
    log: Option<String>,
    #[command(flatten)]
    misbehaviour: MisbehaviourFlags,
    #[command(flatten)]
    gather: GatherFlags,
    #[command(flatten)]
    passphrase: PassphraseFlag,
    /// Open a console on the node in this terminal, and stop with it; log lines go to the file log in the home
    #[arg(long, conflicts_with_all = ["stop_with_stdin", "gather"])]
    console: bool,
    /// Stop when standard input ends, so that the node does not outlive who started it
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

impl Run {
    /// Runs the command.
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        if self.console {
            let flags = console::prepare(&session.home, self.flags(session))?;
            return console::run_with_node(self.config(session, flags)?, session).await;
        }
        let mut config = self.config(session, self.flags(session))?;
        logging::start(&config.log)?;
        if self.stop_with_stdin {
            std::thread::spawn(stop_at_end_of_input);
        }
        if let Some(parties) = self.gather.gather {
            self.gather(parties, &mut config).await?;
        }
        node::run(config).await.context(|| format!("the node in {} has stopped", session.home.display()))
    }

    /// Makes the genesis file with the others, where there is none, and knows them from then on. The swarm in which they
    /// gathered is gone before that of the node listens on the same addresses.
    async fn gather(&self, parties: u16, config: &mut NodeConfig) -> Outcome {
        if config.genesis.exists() {
            tracing::info!(file = %config.genesis.display(), "there is a genesis file: nothing to gather for");
            return Ok(());
        }
        let gathered = self.gather.run(parties, config).await?;
        genesis::write(&config.genesis, &gathered.genesis)?;
        tracing::info!(file = %config.genesis.display(), network = %gathered.genesis.network_id(), "made");
        config.gathered = gathered.addresses;
        Ok(())
    }

    fn flags(&self, session: &Session) -> Layer {
        let some = |list: &[Multiaddr]| (!list.is_empty()).then(|| list.to_vec());
        let quietness = logging::filter_of(session.verbose, session.quiet).map(String::from);
        Layer {
            genesis: self.genesis.clone(),
            node_key: self.node_key.clone(),
            validator_key: self.validator_key.clone(),
            network: NetworkLayer {
                listen: some(&self.listen),
                peers: some(&self.peers),
                meeting: MeetingLayer {
                    admission_bits: self.admission_bits,
                    target_connections: self.target_connections,
                    max_observers: self.max_observers,
                    max_connections: self.max_connections,
                    refresh_interval_s: self.refresh_interval_s,
                    max_attempts: self.max_attempts,
                    max_known_peers: self.max_known_peers,
                },
                trackers: some(&self.trackers),
                serve_tracker: self.serve_tracker.then_some(true),
            },
            discovery: self.discovery.layer(),
            api: ApiLayer {
                listen: self.api_listen,
                token: None,
                token_file: self.api_token_file.clone(),
                hostnames: (!self.api_hostnames.is_empty()).then(|| self.api_hostnames.clone()),
            },
            gossip: GossipLayer {
                listen: self.gossip_listen,
                degree: self.gossip_degree,
                cache_size: self.gossip_cache_size,
                validation_timeout: self.gossip_validation_timeout,
            },
            mining: MiningLayer { threads: self.mine, block_log: self.block_log.clone() },
            voidphone: self.voidphone_config.clone(),
            log: LogLayer { filter: self.log.clone().or(quietness), format: session.log_format },
        }
    }

    fn config(&self, session: &Session, flags: Layer) -> Outcome<NodeConfig> {
        let mut config = NodeConfig::load(&session.home, flags)?;
        config.passphrases = self.passphrase.source();
        config.misbehaviour = self.misbehaviour.kind();
        Ok(config)
    }
}

/// Asks this process to stop, as a supervisor would, once nobody holds the other end of standard input any more.
pub(crate) fn stop_at_end_of_input() {
    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 64];
    while matches!(input.read(&mut buffer), Ok(1..)) {}
    // This process exists, so it can be signalled.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM);
}
