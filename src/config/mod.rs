//! The configuration of a node: flags win over the environment, which wins over the home's file, which wins over the
//! defaults.
//!
//! Each source is read into a [`Layer`], where what it does not say is `None`; [`NodeConfig::resolve`] lays them over
//! one another. [`mod@file`] is the format of the file, [`environment`] the names of the variables, [`located`] how
//! errors find their line. [`discovery`] is what finds others and crosses NAT. [`voidphone`] reads a file in a format
//! of others, which comes between environment and file.

pub mod discovery;
pub mod environment;
pub mod file;
pub mod gossip;
pub mod located;
pub mod meeting;
pub mod mining;
pub mod voidphone;

pub use gossip::{GossipConfig, GossipLayer};

use crate::{keys::PassphraseSource, trackers::MAX_TRACKERS};
use conclave_simulator::adversaries::Misbehaviour;
use discovery::{DiscoveryConfig, DiscoveryLayer};
use libp2p::Multiaddr;
pub use meeting::{MeetingConfig, MeetingLayer};
pub use mining::{MiningConfig, MiningLayer};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where a node listens for others unless it is told otherwise: TCP and QUIC on every IPv4 address.
pub const DEFAULT_LISTEN: [&str; 2] = ["/ip4/0.0.0.0/tcp/7700", "/ip4/0.0.0.0/udp/7700/quic-v1"];

/// Where a node serves its API unless it is told otherwise: loopback.
pub const DEFAULT_API_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7780));

/// Shortest API token, in bytes.
pub const MIN_TOKEN_BYTES: usize = 16;

/// All that a node has to know to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    /// The node's folder: database, log, keys, known peers. One running node per home.
    pub home: PathBuf,
    /// The genesis file (default `genesis.toml` in the home). Its hash is the network id.
    pub genesis: PathBuf,
    /// The node key file (default `keys/node.key` in the home): the libp2p identity.
    pub node_key: PathBuf,
    /// The validator key file (default: `keys/validator.key` in the home if there is one). Without it the node
    /// observes.
    pub validator_key: Option<PathBuf>,
    /// Where passphrases of locked key files come from.
    pub passphrases: PassphraseSource,
    /// Multiaddrs to listen on (default [`DEFAULT_LISTEN`]).
    pub listen: Vec<Multiaddr>,
    /// Multiaddrs to connect to at the start (default none).
    pub peers: Vec<Multiaddr>,
    /// How it meets strangers.
    pub meeting: MeetingConfig,
    /// Where those are with whom this node has just gathered: known from the start like peers that a tracker has found,
    /// not configured. No source of configuration says them.
    pub gathered: Vec<Multiaddr>,
    /// Multiaddrs of trackers to register with and to ask for peers, at most [`MAX_TRACKERS`] (default none).
    pub trackers: Vec<Multiaddr>,
    /// Whether this node is a tracker for others (default no).
    pub serve_tracker: bool,
    /// Finders and NAT traversal (default: everything off).
    pub discovery: DiscoveryConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// The gossip API, and announcements.
    pub gossip: GossipConfig,
    /// Mining, and the log of blocks.
    pub mining: MiningConfig,
    /// Logging.
    pub log: LogConfig,
    /// What it does wrong on purpose (default nothing). Only flags say it, two at a time.
    pub misbehaviour: Option<Misbehaviour>,
    /// Whether SIGINT stops the node (default), as SIGTERM always does. A console has another use for Ctrl-C.
    pub stops_on_interrupt: bool,
}

/// The HTTP API of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConfig {
    /// Address to listen on (default [`DEFAULT_API_LISTEN`]).
    pub listen: SocketAddr,
    /// Token that requests must carry; always set when `listen` is not loopback.
    pub token: Option<Token>,
    /// Host names, besides loopback, under which requests may come in.
    pub hostnames: Vec<String>,
}

/// Logging to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Levels, as in `RUST_LOG` (default `info`).
    pub filter: String,
    /// Form of the lines (default text).
    pub format: LogFormat,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object per line.
    Json,
}

/// The secret of an API; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The token with this text; `None` if it is too short, or could not stand in a header.
    pub fn new(text: String) -> Option<Self> {
        let text = Zeroizing::new(text);
        (text.len() >= MIN_TOKEN_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic()))
            .then_some(Self(text))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// What one source says; `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// See [`NodeConfig::genesis`].
    pub genesis: Option<PathBuf>,
    /// See [`NodeConfig::node_key`].
    pub node_key: Option<PathBuf>,
    /// See [`NodeConfig::validator_key`].
    pub validator_key: Option<PathBuf>,
    /// The network.
    pub network: NetworkLayer,
    /// Finders and NAT traversal.
    pub discovery: DiscoveryLayer,
    /// The API.
    pub api: ApiLayer,
    /// The gossip API, and announcements.
    pub gossip: GossipLayer,
    /// A file in the format of [`voidphone`]; only flags and environment name one.
    pub voidphone: Option<PathBuf>,
    /// Mining, and the log of blocks.
    pub mining: MiningLayer,
    /// Logging.
    pub log: LogLayer,
}

/// What one source says of the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkLayer {
    /// See [`NodeConfig::listen`].
    pub listen: Option<Vec<Multiaddr>>,
    /// See [`NodeConfig::peers`].
    pub peers: Option<Vec<Multiaddr>>,
    /// See [`NodeConfig::meeting`].
    pub meeting: MeetingLayer,
    /// See [`NodeConfig::trackers`].
    pub trackers: Option<Vec<Multiaddr>>,
    /// See [`NodeConfig::serve_tracker`].
    pub serve_tracker: Option<bool>,
}

/// What one source says of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiLayer {
    /// See [`ApiConfig::listen`].
    pub listen: Option<SocketAddr>,
    /// The token itself; only the environment gives it.
    pub token: Option<Token>,
    /// A file whose first line is the token.
    pub token_file: Option<PathBuf>,
    /// See [`ApiConfig::hostnames`].
    pub hostnames: Option<Vec<String>>,
}

/// What one source says of logging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogLayer {
    /// See [`LogConfig::filter`].
    pub filter: Option<String>,
    /// See [`LogConfig::format`].
    pub format: Option<LogFormat>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error(transparent)]
    File(#[from] located::FileError),
    /// A variable of the environment.
    #[error("the environment variable {name}: {reason}")]
    Environment {
        /// The variable.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file in a format of others.
    #[error(transparent)]
    Voidphone(#[from] voidphone::VoidphoneError),
    /// A number of the section `gossip` that is too small or too large.
    #[error("gossip.{field} is {value}; it has to be from 1 to {most}")]
    GossipOutOfRange {
        /// The field.
        field: &'static str,
        /// What it is.
        value: u64,
        /// The most that it may be.
        most: u64,
    },
    /// A number that is too small or too large.
    #[error("network.{field} is {value}; it has to be from {least} to {most}")]
    OutOfRange {
        /// The field of the section `network`.
        field: &'static str,
        /// What it is.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// The token file cannot be read.
    #[error("cannot read the API token from {}", .0.display())]
    TokenFile(PathBuf, #[source] std::io::Error),
    /// The token is no token.
    #[error(
        "the API token in {0} must have at least {MIN_TOKEN_BYTES} printable characters and no spaces: write a longer one"
    )]
    Token(String),
    /// An API that everybody could reach.
    #[error(
        "the API would be open to everybody who reaches {0}: give a token (api.token_file, --api-token-file or \
         CONCLAVE_API_TOKEN), or listen on 127.0.0.1"
    )]
    OpenApi(SocketAddr),
    /// An address that does not say whose it is.
    #[error("{field}: {address} does not say who is there: end it with /p2p/ and the peer id")]
    NoPeerId {
        /// The field of the file.
        field: &'static str,
        /// The address.
        address: Multiaddr,
    },
    /// Too many of something.
    #[error("{field}: {found} are named, and a node uses at most {}: name fewer", discovery::MAX_NAMED)]
    TooManyNamed {
        /// The field of the file.
        field: &'static str,
        /// How many.
        found: usize,
    },
    /// Relays without a way to dial them.
    #[error("nat.relays and nat.hole_punching need nat.relay_client: switch it on, or leave them away")]
    NoRelayClient,
    /// More trackers than a node uses.
    #[error("{0} trackers are named, and a node uses at most {MAX_TRACKERS}: name fewer")]
    TooManyTrackers(usize),
}

impl NodeConfig {
    /// The configuration of `home` by its file, the process's environment and `flags`; a file in the format of
    /// [`voidphone`], if one of these names it, wins over the home's file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn load(home: &Path, flags: Layer) -> Result<Self, ConfigError> {
        let environment = environment::read(|name| std::env::var(name).ok())?;
        let voidphone = flags.voidphone.as_ref().or(environment.voidphone.as_ref());
        let voidphone = voidphone.map(|path| voidphone::read(path)).transpose()?.unwrap_or_default();
        Self::resolve(home, [flags, environment, voidphone, file::read(home)?])
    }

    /// Lays `layers` over one another and the defaults; the first that says something wins.
    ///
    /// # Errors
    /// When the token cannot be read, or is needed and missing.
    pub fn resolve(home: &Path, layers: impl IntoIterator<Item = Layer>) -> Result<Self, ConfigError> {
        let set = layers.into_iter().fold(Layer::default(), Layer::over);
        let validator_key = set.validator_key.or_else(|| {
            let default = home.join("keys/validator.key");
            default.exists().then_some(default)
        });
        let default_listen =
            || DEFAULT_LISTEN.map(|address| address.parse().expect("the defaults are multiaddrs"));
        let api = ApiConfig {
            listen: set.api.listen.unwrap_or(DEFAULT_API_LISTEN),
            token: match (set.api.token, set.api.token_file) {
                (Some(token), _) => Some(token),
                (None, Some(path)) => Some(read_token(&path)?),
                (None, None) => None,
            },
            hostnames: set.api.hostnames.unwrap_or_default(),
        };
        if !api.listen.ip().is_loopback() && api.token.is_none() {
            return Err(ConfigError::OpenApi(api.listen));
        }
        let trackers = set.network.trackers.unwrap_or_default();
        if trackers.len() > MAX_TRACKERS {
            return Err(ConfigError::TooManyTrackers(trackers.len()));
        }
        Ok(Self {
            home: home.to_owned(),
            genesis: set.genesis.unwrap_or_else(|| home.join("genesis.toml")),
            node_key: set.node_key.unwrap_or_else(|| home.join("keys/node.key")),
            validator_key,
            passphrases: PassphraseSource::default(),
            listen: set.network.listen.unwrap_or_else(|| default_listen().to_vec()),
            peers: set.network.peers.unwrap_or_default(),
            meeting: set.network.meeting.resolve()?,
            gathered: Vec::new(),
            trackers,
            serve_tracker: set.network.serve_tracker.unwrap_or(false),
            discovery: set.discovery.resolve()?,
            api,
            gossip: set.gossip.resolve()?,
            mining: set.mining.resolve(),
            log: LogConfig {
                filter: set.log.filter.unwrap_or_else(|| "info".into()),
                format: set.log.format.unwrap_or_default(),
            },
            misbehaviour: None,
            stops_on_interrupt: true,
        })
    }
}

impl Layer {
    /// This layer, and where it says nothing the one below.
    fn over(self, below: Self) -> Self {
        // A token names its own source: the upper layer's file is not overruled by a token from below.
        let (token, token_file) = match (self.api.token, self.api.token_file) {
            (None, None) => (below.api.token, below.api.token_file),
            upper => upper,
        };
        Self {
            genesis: self.genesis.or(below.genesis),
            node_key: self.node_key.or(below.node_key),
            validator_key: self.validator_key.or(below.validator_key),
            network: NetworkLayer {
                listen: self.network.listen.or(below.network.listen),
                peers: self.network.peers.or(below.network.peers),
                meeting: self.network.meeting.over(below.network.meeting),
                trackers: self.network.trackers.or(below.network.trackers),
                serve_tracker: self.network.serve_tracker.or(below.network.serve_tracker),
            },
            discovery: self.discovery.over(below.discovery),
            api: ApiLayer {
                listen: self.api.listen.or(below.api.listen),
                token,
                token_file,
                hostnames: self.api.hostnames.or(below.api.hostnames),
            },
            gossip: self.gossip.over(below.gossip),
            mining: self.mining.over(below.mining),
            voidphone: self.voidphone.or(below.voidphone),
            log: LogLayer {
                filter: self.log.filter.or(below.log.filter),
                format: self.log.format.or(below.log.format),
            },
        }
    }
}

/// The token on the first line of a file.
///
/// # Errors
/// When there is none.
pub fn read_token(path: &Path) -> Result<Token, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::TokenFile(path.into(), error))?;
    let text = Zeroizing::new(text);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    Token::new(line).ok_or_else(|| ConfigError::Token(path.display().to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layer(genesis: Option<&str>, filter: Option<&str>) -> Layer {
        let log = LogLayer { filter: filter.map(String::from), format: None };
        Layer { genesis: genesis.map(PathBuf::from), log, ..Layer::default() }
    }

    #[test]
    fn the_first_layer_that_says_something_wins() {
        let layers =
            [layer(None, Some("flag")), layer(Some("environment"), None), layer(Some("file"), Some("file"))];
        let config = NodeConfig::resolve(Path::new("/home"), layers).unwrap();
        assert_eq!((config.genesis, config.log.filter.as_str()), ("environment".into(), "flag"));
        assert_eq!(config.node_key, Path::new("/home/keys/node.key"));
        assert_eq!((config.api.listen, config.listen.len()), (DEFAULT_API_LISTEN, 2));
    }

    #[test]
    fn an_api_beyond_loopback_needs_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let resolve = |token_file: Option<&PathBuf>| {
            let api = ApiLayer {
                listen: Some("0.0.0.0:7780".parse().unwrap()),
                token_file: token_file.cloned(),
                ..ApiLayer::default()
            };
            NodeConfig::resolve(Path::new("/home"), [Layer { api, ..Layer::default() }])
        };
        assert!(matches!(resolve(None), Err(ConfigError::OpenApi(_))));
        assert!(matches!(resolve(Some(&path)), Err(ConfigError::TokenFile(..))));
        for (text, good) in [("short", false), ("0123456789 123456", false), ("0123456789abcdef\n", true)] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(resolve(Some(&path)).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_validator_key_in_the_home_is_found() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(NodeConfig::resolve(home.path(), []).unwrap().validator_key, None);
        std::fs::create_dir(home.path().join("keys")).unwrap();
        std::fs::write(home.path().join("keys/validator.key"), "").unwrap();
        let found = NodeConfig::resolve(home.path(), []).unwrap().validator_key;
        assert_eq!(found, Some(home.path().join("keys/validator.key")));
    }
}
