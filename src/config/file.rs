//! The configuration file of a node's home: its fields, and the commented text that `init` writes.

use super::{
    ApiLayer, GossipLayer, Layer, LogFormat, LogLayer, MeetingConfig, MeetingLayer, MiningLayer,
    NetworkLayer,
    discovery::{self, DiscoveryLayer, DiscoverySection, NatSection},
    located::{self, FileError},
    mining::MiningSection,
};
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Name of the file in the home.
pub const FILE_NAME: &str = "config.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    genesis: Option<PathBuf>,
    node_key: Option<PathBuf>,
    validator_key: Option<PathBuf>,
    #[serde(default)]
    network: NetworkSection,
    #[serde(default)]
    discovery: DiscoverySection,
    #[serde(default)]
    nat: NatSection,
    #[serde(default)]
    api: ApiSection,
    #[serde(default)]
    gossip: GossipSection,
    #[serde(default)]
    mining: MiningSection,
    #[serde(default)]
    log: LogSection,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkSection {
    listen: Option<Vec<Text<libp2p::Multiaddr>>>,
    peers: Option<Vec<Text<libp2p::Multiaddr>>>,
    admission_bits: Option<u8>,
    target_connections: Option<usize>,
    max_observers: Option<usize>,
    max_connections: Option<usize>,
    refresh_interval_s: Option<u64>,
    max_attempts: Option<u32>,
    max_known_peers: Option<usize>,
    trackers: Option<Vec<Text<libp2p::Multiaddr>>>,
    serve_tracker: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiSection {
    listen: Option<Text<SocketAddr>>,
    token_file: Option<PathBuf>,
    hostnames: Option<Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GossipSection {
    listen: Option<Text<SocketAddr>>,
    degree: Option<u64>,
    cache_size: Option<u64>,
    validation_timeout: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogSection {
    filter: Option<String>,
    format: Option<LogFormat>,
}

/// Something that is a string in the file.
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: FromStr<Err: std::fmt::Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(|error| serde::de::Error::custom(format!("{text:?}: {error}")))
    }
}

/// Reads the file of `home`; nothing is set if there is none. Relative paths are taken from the home.
///
/// # Errors
/// With file, line and field.
pub fn read(home: &Path) -> Result<Layer, FileError> {
    let path = home.join(FILE_NAME);
    if !path.exists() {
        return Ok(Layer::default());
    }
    parse(home, &path, &located::read_text(&path)?)
}

/// Reads the text of such a file, which errors call `path`.
///
/// # Errors
/// With file, line and field.
pub fn parse(home: &Path, path: &Path, text: &str) -> Result<Layer, FileError> {
    let file: File = located::parse(path, text)?;
    let in_home = |path: Option<PathBuf>| path.map(|path| home.join(path));
    let plain =
        |list: Option<Vec<Text<_>>>| list.map(|list| list.into_iter().map(|Text(item)| item).collect());
    Ok(Layer {
        genesis: in_home(file.genesis),
        node_key: in_home(file.node_key),
        validator_key: in_home(file.validator_key),
        network: NetworkLayer {
            listen: plain(file.network.listen),
            peers: plain(file.network.peers),
            meeting: MeetingLayer {
                admission_bits: file.network.admission_bits,
                target_connections: file.network.target_connections,
                max_observers: file.network.max_observers,
                max_connections: file.network.max_connections,
                refresh_interval_s: file.network.refresh_interval_s,
                max_attempts: file.network.max_attempts,
                max_known_peers: file.network.max_known_peers,
            },
            trackers: plain(file.network.trackers),
            serve_tracker: file.network.serve_tracker,
        },
        discovery: DiscoveryLayer::of_file(file.discovery, file.nat),
        api: ApiLayer {
            listen: file.api.listen.map(|Text(address)| address),
            token_file: in_home(file.api.token_file),
            token: None,
            hostnames: file.api.hostnames,
        },
        gossip: GossipLayer {
            listen: file.gossip.listen.map(|Text(address)| address),
            degree: file.gossip.degree,
            cache_size: file.gossip.cache_size,
            validation_timeout: file.gossip.validation_timeout,
        },
        mining: MiningLayer { threads: file.mining.threads, block_log: in_home(file.mining.block_log) },
        voidphone: None,
        log: LogLayer { filter: file.log.filter, format: file.log.format },
    })
}

/// What a new file says; everything else is there as a comment with its default.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The genesis file, if not the default.
    pub genesis: Option<PathBuf>,
    /// The validator key file, for a validator.
    pub validator_key: Option<PathBuf>,
    /// Addresses to listen on, if not the default.
    pub listen: Option<Vec<String>>,
    /// Peers.
    pub peers: Vec<String>,
    /// Trackers.
    pub trackers: Vec<String>,
    /// Address of the API, if not the default.
    pub api_listen: Option<SocketAddr>,
    /// Address of the gossip API, if there is to be one.
    pub gossip_listen: Option<SocketAddr>,
    /// Threads that mine, if any.
    pub mining_threads: Option<usize>,
    /// Work that is asked of strangers, if not the default.
    pub admission_bits: Option<u8>,
    /// File with the API's token, if it asks for one.
    pub api_token_file: Option<PathBuf>,
    /// Names, besides loopback, under which the API may be asked.
    pub api_hostnames: Vec<String>,
}

impl Template {
    /// The text of the file.
    pub fn text(&self) -> String {
        let path = |field: &str, path: &Option<PathBuf>, default: &str| match path {
            Some(path) => format!("{field} = {}", quoted(&path.display().to_string())),
            None => format!("# {field} = {}", quoted(default)),
        };
        let list = |items: &[String]| items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", ");
        let listen = match &self.listen {
            Some(listen) => format!("listen = [{}]", list(listen)),
            None => format!("# listen = [{}]", list(&super::DEFAULT_LISTEN.map(String::from))),
        };
        let peers = match self.peers.as_slice() {
            [] => "# peers = [\"/ip4/192.0.2.7/tcp/7700/p2p/12D3KooW…\"]".to_owned(),
            peers => format!("peers = [\n    {},\n]", list(peers).replace(", ", ",\n    ")),
        };
        let trackers = match self.trackers.as_slice() {
            [] => "# trackers = []".to_owned(),
            trackers => format!("trackers = [{}]", list(trackers)),
        };
        let MeetingConfig {
            admission_bits,
            target_connections,
            max_observers,
            max_connections,
            refresh_interval_s,
            max_attempts,
            max_known_peers,
        } = MeetingConfig::default();
        let admission_bits = match self.admission_bits {
            Some(bits) => format!("admission_bits = {bits}"),
            None => format!("# admission_bits = {admission_bits}"),
        };
        let mining_threads = match self.mining_threads {
            Some(threads) => format!("threads = {threads}"),
            None => "# threads = 0".to_owned(),
        };
        let api_listen = match self.api_listen {
            Some(address) => format!("listen = \"{address}\""),
            None => format!("# listen = \"{}\"", super::DEFAULT_API_LISTEN),
        };
        let gossip_listen = match self.gossip_listen {
            Some(address) => format!("listen = \"{address}\""),
            None => "# listen = \"127.0.0.1:7001\"".to_owned(),
        };
        let token_file = path("token_file", &self.api_token_file, "api-token");
        let hostnames = match self.api_hostnames.as_slice() {
            [] => "# hostnames = []".to_owned(),
            names => format!("hostnames = [{}]", list(names)),
        };
        format!(
            r#"# Configuration of a Conclave node. Flags win over the environment (CONCLAVE_…), which wins over this file.
# Paths are taken from this folder. What is commented out is the default.

# The genesis file, which defines the network. Nodes with different ones do not speak to each other.
{genesis}
# The node key, which is the node's identity in the network. Another key is another node.
{node_key}
# The validator key. With it the node decides if the network knows the key; without it the node only follows.
# Two running nodes must never share one: both would sign, and the ledger suspends whoever signs twice.
{validator_key}

[network]
# Where other nodes reach this one: libp2p multiaddrs. Port 0 takes any free port.
{listen}
# Nodes to connect to at the start: multiaddrs with /p2p/ and the peer id. The others are learned from these.
{peers}
# Work that is asked of an observer before it is believed, in zero bits of a hash; each bit more doubles it. At 24 it
# takes some seconds, at 0 nothing. Nodes of one network should ask for the same: this node does up to 4 bits more.
{admission_bits}
# Connections that an observer keeps up by dialling, validators first. (Validators keep up those among each other.)
# target_connections = {target_connections}
# Observers that may stay because they dialled this node. More are told addresses and let go.
# max_observers = {max_observers}
# Most connections at a time, whoever dialled, to trackers too. If that is less than the two above ask for together,
# about half of it is for dialling and the rest for others. A validator needs three more than there are other validators.
# max_connections = {max_connections}
# Seconds between two refreshments: the trackers are asked again, and one connection makes room for a fresh one.
# refresh_interval_s = {refresh_interval_s}
# Dials in a row without success after which a peer is forgotten. A configured one is then only tried slowly.
# max_attempts = {max_attempts}
# Most peers that are known; a quarter of the places at most are for one part of the network (IPv4 /16, IPv6 /32).
# max_known_peers = {max_known_peers}
# Trackers: the node registers with each of them, so that others find it, and asks them for peers. They are trusted with
# nothing; several, so that none must not fail. Multiaddrs as above.
{trackers}
# Whether this node is a tracker for others, of this network and of any other.
# serve_tracker = false

{discovery}
[api]
# Where programs on this machine reach the node (HTTP). It lets anybody who reaches it read everything and submit
# transactions, so an address other than loopback needs a token.
{api_listen}
# A file whose first line is the token that requests must carry; without it no token is asked for.
{token_file}
# Names, besides loopback, under which requests may come in (their Host), against DNS rebinding.
{hostnames}

[gossip]
# Where local programs announce and are notified (the gossip API, TCP); without an address there is no such socket.
# It has no authentication: whoever reaches it announces in this node's name.
{gossip_listen}
# Neighbours in the mesh of a data type: each announcement comes from about as many.
# degree = 6
# Announcements kept: those in validation, and those for neighbours that ask.
# cache_size = 1024
# Seconds that local programs have to validate an announcement; then it is dropped without blame.
# validation_timeout = 60

[mining]
# Threads that mine, in networks where proofs of work decide; without any the node follows the chain all the same.
{mining_threads}
# A file to which a line of JSON is added for each block that is adopted or undone.
# block_log = "blocks.jsonl"

[log]
# What is logged, as in RUST_LOG: error, warn, info, debug or trace, also by module ("info,conclave=debug").
# filter = "info"
# "text" for people, "json" for programs; one line each.
# format = "text"
"#,
            discovery = discovery::TEMPLATE,
            genesis = path("genesis", &self.genesis, "genesis.toml"),
            node_key = path("node_key", &None, "keys/node.key"),
            validator_key = path("validator_key", &self.validator_key, "keys/validator.key"),
        )
    }
}

/// A TOML string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<Layer, FileError> {
        parse(Path::new("/home"), Path::new("/home/config.toml"), text)
    }

    #[test]
    fn a_new_file_reads_back() {
        assert_eq!(parse_text(&Template::default().text()).unwrap(), Layer::default());
        let template = Template {
            genesis: Some("../genesis.toml".into()),
            validator_key: Some("keys/validator.key".into()),
            listen: Some(vec!["/ip4/127.0.0.1/tcp/1".into(), "/ip4/127.0.0.1/udp/1/quic-v1".into()]),
            peers: vec!["/ip4/127.0.0.1/tcp/2".into(), "/ip4/127.0.0.1/tcp/3".into()],
            trackers: vec!["/ip4/127.0.0.1/tcp/4".into()],
            api_listen: Some("127.0.0.1:9".parse().unwrap()),
            gossip_listen: Some("127.0.0.1:10".parse().unwrap()),
            api_token_file: Some("api-token".into()),
            api_hostnames: vec!["anna".into(), "anna.example".into()],
            mining_threads: Some(2),
            admission_bits: Some(12),
        };
        let layer = parse_text(&template.text()).unwrap();
        assert_eq!(layer.genesis.unwrap(), Path::new("/home/../genesis.toml"));
        assert_eq!(layer.validator_key.unwrap(), Path::new("/home/keys/validator.key"));
        assert_eq!(layer.network.listen.unwrap().len(), 2);
        assert_eq!(layer.network.peers.unwrap()[1].to_string(), "/ip4/127.0.0.1/tcp/3");
        assert_eq!(layer.network.trackers.unwrap().len(), 1);
        assert_eq!(layer.api.listen.unwrap().port(), 9);
        assert_eq!(layer.gossip.listen.unwrap().port(), 10);
        assert_eq!(layer.api.token_file.unwrap(), Path::new("/home/api-token"));
        assert_eq!(layer.api.hostnames.unwrap(), ["anna", "anna.example"]);
        assert_eq!(layer.mining.threads, Some(2));
    }

    #[test]
    fn every_default_in_the_comments_is_a_real_field() {
        let text = Template::default().text();
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect::<String>()
            .replace("/p2p/12D3KooW…", "");
        let layer = parse_text(&uncommented).unwrap();
        let config = super::super::NodeConfig::resolve(
            Path::new("/home"),
            [Layer {
                api: ApiLayer { token_file: None, ..layer.api.clone() },
                gossip: GossipLayer { listen: None, ..layer.gossip.clone() },
                mining: MiningLayer { block_log: None, ..layer.mining.clone() },
                network: NetworkLayer { peers: None, ..layer.network.clone() },
                validator_key: None,
                ..layer
            }],
        )
        .unwrap();
        let default = super::super::NodeConfig::resolve(Path::new("/home"), []).unwrap();
        assert_eq!(config, default);
    }

    #[test]
    fn errors_name_file_line_and_field() {
        for (text, parts) in [
            ("genesi = \"x\"", ["config.toml:1:1", "genesi", "unknown field"]),
            ("\n[api]\nlisten = 5", ["config.toml:3:10", "api.listen", "string"]),
            ("[api]\nlisten = \"nowhere\"", ["config.toml:2:10", "api.listen", "nowhere"]),
            (
                "[network]\npeers = [\n\"/ip4/1.2.3.4/tcp/1\",\n\"tcp\"]",
                ["config.toml:2:9", "network.peers", "\"tcp\""],
            ),
            ("[log]\nformat = \"xml\"", ["config.toml:2:10", "log.format", "xml"]),
            ("[log]\nfilter = ", ["config.toml:2:", "", ""]),
        ] {
            let error = parse_text(text).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }
}
